//! Everything hashed anew from the files alone, and held against tiles and checkpoint.
//!
//! Where two copies of the same thing differ, a third witness (the hash one level up, or the root that was signed) tells
//! which of them was changed, so that one flipped bit gives one finding, at its place.

use crate::{
    Checkpoint,
    edge::{entries_of, hashes_of},
    error::LedgerError,
    files::Files,
    hash::{Hash, fold_complete, leaf_hash},
    journal::{Next, Reader},
    limits::TILE_WIDTH,
    path::{TileKind, TilePath, full_tiles, leaves_per_hash, partial_width},
    report::{Finding, LogReport},
    tree::{self, NodeSource},
};

/// Reads the log up to its checkpoint; `size` is that of the log: entries behind the checkpoint must be in the journal.
pub(crate) fn verify(
    files: &Files,
    journal: Reader,
    checkpoint: &Checkpoint,
    size: u64,
) -> Result<LogReport, LedgerError> {
    let report = LogReport {
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        root: checkpoint.root,
        unsigned_entries: size.saturating_sub(checkpoint.size),
        entry_bytes: 0,
        files: 0,
        findings: Vec::new(),
        findings_total: 0,
    };
    let mut walk = Walk { files, size: checkpoint.size, report, levels: vec![Vec::new(); 9], journal: Some(journal) };
    for index in 0..full_tiles(0, checkpoint.size) {
        walk.bundle(index)?;
    }
    walk.tail(checkpoint)?;
    walk.unsigned(size)?;
    Ok(walk.report)
}

struct Walk<'a> {
    files: &'a Files,
    size: u64,
    report: LogReport,
    /// Hashes of the tiles that are not yet full, level by level, as far as the walk has come.
    levels: Vec<Vec<Hash>>,
    /// `None` once it proved unreadable.
    journal: Option<Reader>,
}

impl Walk<'_> {
    fn bundle(&mut self, index: u64) -> Result<(), LedgerError> {
        let path = TilePath::full(TileKind::Entries, index);
        let first = index * TILE_WIDTH;
        let from_journal = self.journal_hashes(first, TILE_WIDTH)?;
        let Some(bytes) = self.read(path)? else {
            self.report.add(Finding::Missing { path: path.to_string() });
            return self.settle(0, index, None);
        };
        let hashes = match entries_of(&bytes) {
            Some(entries) if entries.len() as u64 == TILE_WIDTH => {
                self.report.entry_bytes += entries.iter().map(|entry| entry.len() as u64).sum::<u64>();
                entries.into_iter().map(leaf_hash).collect::<Vec<_>>()
            }
            _ => {
                self.report.add(Finding::BundleUnreadable { path: path.to_string(), first });
                return self.settle(0, index, None);
            }
        };
        if let Some(others) = from_journal {
            for (entry, _) in (first..).zip(hashes.iter().zip(&others)).filter(|(_, (hash, other))| hash != other) {
                self.report.add(Finding::JournalDiffers { index: entry });
            }
        }
        self.settle(0, index, Some(hashes))
    }

    /// Holds the computed hashes of a full tile against its file and carries the root of the right ones upwards.
    fn settle(&mut self, level: u8, index: u64, computed: Option<Vec<Hash>>) -> Result<(), LedgerError> {
        let path = TilePath::full(TileKind::Hashes(level), index);
        let stored = self.read(path)?.and_then(|bytes| hashes_of(&bytes)).filter(|hashes| hashes.len() == 256);
        let root = match (computed, stored) {
            (Some(computed), Some(stored)) if computed == stored => fold_complete(&computed),
            (Some(computed), Some(stored)) => fold_complete(&self.arbitrate(path, computed, stored)?),
            (Some(computed), None) => {
                self.report.add(Finding::Missing { path: path.to_string() });
                fold_complete(&computed)
            }
            (None, Some(stored)) => fold_complete(&stored),
            (None, None) => {
                self.report.add(Finding::Missing { path: path.to_string() });
                self.parent(path)?
            }
        };
        let root = root.unwrap_or_default();
        let Some(parent) = self.levels.get_mut(usize::from(level) + 1) else { return Ok(()) };
        parent.push(root);
        if (parent.len() as u64) < TILE_WIDTH {
            return Ok(());
        }
        let full = std::mem::take(parent);
        self.settle(level + 1, index / TILE_WIDTH, Some(full))
    }

    /// Asks the level above which of two versions of a full tile was signed.
    fn arbitrate(&mut self, path: TilePath, computed: Vec<Hash>, stored: Vec<Hash>) -> Result<Vec<Hash>, LedgerError> {
        let parent = self.parent(path)?;
        let speaks_for = |hashes: &[Hash]| parent.is_some() && fold_complete(hashes) == parent;
        let (is_tile_right, are_entries_right) = (speaks_for(&stored), speaks_for(&computed));
        if !are_entries_right {
            self.blame_entries(path, &computed, &stored);
        }
        if !is_tile_right {
            self.blame_tile(path, &computed, &stored);
        }
        Ok(if is_tile_right { stored } else { computed })
    }

    /// The hash of a full tile as the file of the level above has it.
    fn parent(&self, path: TilePath) -> Result<Option<Hash>, LedgerError> {
        let level = path.kind.level() + 1;
        let index = path.index / TILE_WIDTH;
        let width = (index >= full_tiles(level, self.size)).then(|| partial_width(level, self.size));
        let bytes = self.files.read(TilePath { kind: TileKind::Hashes(level), index, width })?;
        let position = usize::try_from(path.index % TILE_WIDTH).unwrap_or_default();
        Ok(bytes.and_then(|bytes| hashes_of(&bytes)).and_then(|hashes| hashes.get(position).copied()))
    }

    fn blame_entries(&mut self, path: TilePath, computed: &[Hash], stored: &[Hash]) {
        let level = path.kind.level();
        let count = leaves_per_hash(level).unwrap_or(u64::MAX);
        // entries that could not even be read have been named already
        for position in differing(computed, stored).filter(|position| *position < computed.len() as u64) {
            let first = path.index.saturating_mul(TILE_WIDTH).saturating_add(position).saturating_mul(count);
            self.report.add(Finding::EntriesDiffer { first, count });
        }
    }

    fn blame_tile(&mut self, path: TilePath, computed: &[Hash], stored: &[Hash]) {
        let count = leaves_per_hash(path.kind.level()).unwrap_or(u64::MAX);
        let position = differing(computed, stored).next().unwrap_or_default();
        let first = path.index.saturating_mul(TILE_WIDTH).saturating_add(position).saturating_mul(count);
        self.report.add(Finding::TileDiffers { path: path.to_string(), first });
    }

    /// What no checkpoint covers yet has nothing to be held against but its own checksums.
    fn unsigned(&mut self, size: u64) -> Result<(), LedgerError> {
        let mut at = self.size;
        while at < size && self.journal.is_some() {
            let count = TILE_WIDTH.min(size - at);
            self.journal_entries(at, count)?;
            at += count;
        }
        Ok(())
    }

    /// The partial tiles and the checkpoint.
    fn tail(&mut self, checkpoint: &Checkpoint) -> Result<(), LedgerError> {
        let width = partial_width(0, self.size);
        let first = self.size - u64::from(width);
        let entries = self.journal_entries(first, u64::from(width))?;
        let hashes: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        self.report.entry_bytes += entries.iter().map(|entry| entry.len() as u64).sum::<u64>();
        if let Some(level) = self.levels.first_mut() {
            *level = hashes;
        }
        let mut stored = Vec::new();
        for level in 0_u8..8 {
            let path = self.partial(TileKind::Hashes(level));
            let bytes = if path.width.is_some() { self.read(path)? } else { Some(Vec::new()) };
            stored.push(bytes.and_then(|bytes| hashes_of(&bytes)));
        }
        self.judge_partials(checkpoint, &stored);
        for level in 0_u8..8 {
            let hashes = self.levels.get(usize::from(level)).cloned().unwrap_or_default();
            self.older_partials(TileKind::Hashes(level), &hashes.iter().map(<[u8; 32]>::as_slice).collect::<Vec<_>>())?;
        }
        let prefixed: Vec<Vec<u8>> = entries.iter().map(|entry| bundle_of(entry)).collect();
        self.older_partials(TileKind::Entries, &prefixed.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// The root that was signed tells whether the computed or the stored hashes of the right edge are right.
    fn judge_partials(&mut self, checkpoint: &Checkpoint, stored: &[Option<Vec<Hash>>]) {
        let computed = EdgeHashes { size: self.size, levels: &self.levels };
        let is_signed = |edge: &EdgeHashes<'_>| tree::root(edge, self.size) == Ok(checkpoint.root);
        let are_entries_right = is_signed(&computed);
        let mixed: Vec<Vec<Hash>> =
            self.levels.iter().zip(stored).map(|(own, file)| file.clone().unwrap_or_else(|| own.clone())).collect();
        let is_other_right = is_signed(&EdgeHashes { size: self.size, levels: &mixed });
        let total = self.report.findings_total;
        for (level, file) in (0_u8..).zip(stored) {
            let own = self.levels.get(usize::from(level)).cloned().unwrap_or_default();
            let path = self.partial(TileKind::Hashes(level));
            match file {
                // an older width of the same tile may stand in for it, this one may not be missing
                None => self.report.add(Finding::Missing { path: path.to_string() }),
                Some(file) if *file == own => {}
                Some(file) => {
                    if !are_entries_right {
                        self.blame_entries(path, &own, file);
                    }
                    if !is_other_right {
                        self.blame_tile(path, &own, file);
                    }
                }
            }
        }
        if !are_entries_right && self.report.findings_total == total {
            self.report.add(Finding::CheckpointDiffers { size: self.size });
        }
    }

    /// Every partial file that is still served must be the beginning of what stands there now.
    fn older_partials(&mut self, kind: TileKind, parts: &[&[u8]]) -> Result<(), LedgerError> {
        let widest = self.partial(kind);
        let is_hashes = matches!(kind, TileKind::Hashes(_));
        if kind == TileKind::Entries && widest.width.is_some() && self.files.read(widest)?.is_none() {
            self.report.add(Finding::Missing { path: widest.to_string() });
        }
        for width in self.files.partial_widths(kind, widest.index)? {
            // the widest hashes were judged already; what is wider than the checkpoint is not served
            if width == 0 || Some(width) > widest.width || (is_hashes && Some(width) == widest.width) {
                continue;
            }
            let path = TilePath { width: Some(width), ..widest };
            let Some(bytes) = self.read(path)? else { continue };
            let expected = parts.get(..usize::from(width)).map(<[&[u8]]>::concat);
            if expected.as_ref() != Some(&bytes) {
                let first = first_difference(parts, &bytes);
                let leaves = leaves_per_hash(kind.level()).unwrap_or(u64::MAX);
                let first = (path.index * TILE_WIDTH).saturating_add(first).saturating_mul(leaves);
                self.report.add(Finding::TileDiffers { path: path.to_string(), first });
            }
        }
        Ok(())
    }

    fn partial(&self, kind: TileKind) -> TilePath {
        let width = Some(partial_width(kind.level(), self.size)).filter(|width| *width > 0);
        TilePath { kind, index: full_tiles(kind.level(), self.size), width }
    }

    fn read(&mut self, path: TilePath) -> Result<Option<Vec<u8>>, LedgerError> {
        let bytes = self.files.read(path)?;
        self.report.files += u64::from(bytes.is_some());
        Ok(bytes)
    }

    /// Leaf hashes of a full bundle, where the journal still repeats it.
    fn journal_hashes(&mut self, first: u64, count: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        if self.journal.as_ref().is_none_or(|journal| journal.index() > first) {
            return Ok(None);
        }
        let entries = self.journal_entries(first, count)?;
        Ok(Some(entries.iter().map(|entry| leaf_hash(entry)).collect()))
    }

    fn journal_entries(&mut self, first: u64, count: u64) -> Result<Vec<Vec<u8>>, LedgerError> {
        let mut entries = Vec::new();
        for index in first..first + count {
            let next = match &mut self.journal {
                Some(journal) if journal.index() == index => journal.next()?,
                _ => Next::Torn,
            };
            let Next::Entry(entry) = next else {
                if self.journal.take().is_some() {
                    self.report.add(Finding::JournalDiffers { index });
                }
                break;
            };
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// The right edge as the walk or the files have it.
struct EdgeHashes<'a> {
    size: u64,
    levels: &'a [Vec<Hash>],
}

impl NodeSource for EdgeHashes<'_> {
    type Error = ();

    fn node(&self, height: u32, index: u64) -> Result<Hash, ()> {
        let place = crate::edge::Place::of(height, index).ok_or(())?;
        if place.tile != full_tiles(place.level, self.size) {
            return Err(());
        }
        self.levels.get(usize::from(place.level)).and_then(|hashes| place.fold(hashes)).ok_or(())
    }
}

/// An entry with its length in front of it.
pub(crate) fn bundle_of(entry: &[u8]) -> Vec<u8> {
    let length = u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes();
    [length.as_slice(), entry].concat()
}

/// Positions at which two lists differ, or one ends.
fn differing(left: &[Hash], right: &[Hash]) -> impl Iterator<Item = u64> {
    let count = left.len().max(right.len());
    let positions: Vec<usize> = (0..count).filter(|position| left.get(*position) != right.get(*position)).collect();
    positions.into_iter().map(|position| position as u64)
}

/// The part in which the first byte stands that `bytes` has differently.
fn first_difference(parts: &[&[u8]], bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    for (position, part) in (0_u64..).zip(parts) {
        match rest.split_at_checked(part.len()) {
            Some((same, tail)) if same == *part => rest = tail,
            _ => return position,
        }
    }
    parts.len() as u64
}

/// Names the first entry that contradicts a checkpoint, for a log that cannot be opened.
pub(crate) fn first_contradiction(files: &Files, checkpoint: &Checkpoint) -> Result<u64, LedgerError> {
    let journal = Reader::open(files)?;
    let report = verify(files, journal, checkpoint, checkpoint.size)?;
    Ok(report.findings.iter().filter_map(Finding::index).min().unwrap_or(checkpoint.size))
}
