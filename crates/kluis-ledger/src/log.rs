//! The log: one Merkle tree, its files, and the key that signs its heads.

use std::{
    collections::BTreeMap,
    fmt, io,
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    Checkpoint, Finding, LedgerError, LogReport, Signer, TileKind, TilePath, VerifierKey,
    edge::{Edge, Place, entries_of, hashes_of},
    files::{CHECKPOINT, Files, JOURNAL},
    hash::Hash,
    journal::{Journal, Reader},
    limits::{BATCH_ENTRIES, TILE_WIDTH},
    path::full_tiles,
    storage::{Directory, Storage},
    tree::{self, NodeSource},
    verification,
};

/// An append-only log. All methods take `&self` and may be called from many threads; those that touch the disk block.
///
/// One process at a time holds a log. What [`Log::append`] took is lost in a crash until [`Log::sync`] or
/// [`Log::checkpoint`] returned.
pub struct Log {
    pub(crate) files: Files,
    pub(crate) key: VerifierKey,
    pub(crate) signer: Box<dyn Signer>,
    pub(crate) state: Mutex<State>,
    /// Held by whoever writes tiles or the checkpoint; taken before `state`, never after.
    pub(crate) publishing: Mutex<()>,
    /// Held while the journal is flushed; taken after `publishing`, before `state`.
    pub(crate) flushing: Mutex<()>,
    /// Held by a verification: partial files of tiles that became full are not dropped meanwhile.
    pub(crate) verifying: Mutex<()>,
    pub(crate) durable: AtomicU64,
    pub(crate) recovery: Recovery,
    /// The lock ends when the file is closed.
    pub(crate) _lock: Box<dyn Send + Sync>,
}

/// What an open found to mend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes behind the last whole entry that were cut off; nothing under a checkpoint or a finished sync is among them.
    pub cut_bytes: u64,
    /// Tiles behind the last cut of the journal that were not (fully) on disk and were written anew.
    pub renewed_tiles: u64,
}

pub(crate) struct State {
    pub(crate) edge: Edge,
    pub(crate) journal: Journal,
    /// Full tiles and bundles that wait for their files.
    pub(crate) pending: BTreeMap<TilePath, Arc<Vec<u8>>>,
    pub(crate) pending_bytes: usize,
    pub(crate) published: Arc<Checkpoint>,
    /// Full tiles whose partial files can go.
    pub(crate) obsolete: Vec<TilePath>,
    pub(crate) is_failed: bool,
}

impl Log {
    /// Opens the log in `dir`, or makes it where neither it nor its verifier key exists.
    ///
    /// `origin` names the log in its checkpoints and is the name of its key. The verifier key is written to
    /// `verifier_key_path` when the log is made. A torn tail is cut; a log of 1,000,000 entries opens in well under a
    /// second, because only what the journal repeats is hashed.
    ///
    /// # Errors
    /// [`LedgerError::Truncated`], [`LedgerError::RolledBack`], [`LedgerError::Contradiction`], [`LedgerError::Damaged`],
    /// [`LedgerError::Missing`], [`LedgerError::Checkpoint`], [`LedgerError::KeyDiffers`] where the disk contradicts the
    /// last checkpoint or the key; [`LedgerError::Locked`], [`LedgerError::Origin`], [`LedgerError::SignerBroken`],
    /// [`LedgerError::Io`].
    pub fn open(
        dir: &Path,
        verifier_key_path: &Path,
        origin: &str,
        signer: Box<dyn Signer>,
    ) -> Result<Self, LedgerError> {
        let no_name = || LedgerError::io("open", "the verifier key")(io::ErrorKind::InvalidInput.into());
        let key_name = verifier_key_path.file_name().and_then(|name| name.to_str()).ok_or_else(no_name)?;
        let keys = Directory::new(verifier_key_path.parent().unwrap_or(Path::new("")));
        crate::opening::open(Arc::new(Directory::new(dir)), (&keys, key_name), origin, signer)
    }

    /// The same over any storage, such as a simulated one; the file `key_name` of `keys` holds the verifier key.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn with_storage(
        storage: Arc<dyn Storage>,
        keys: &dyn Storage,
        key_name: &str,
        origin: &str,
        signer: Box<dyn Signer>,
    ) -> Result<Self, LedgerError> {
        crate::opening::open(storage, (keys, key_name), origin, signer)
    }

    /// Adds entries, all or none, and returns their indices. Not durable yet.
    ///
    /// # Errors
    /// [`LedgerError::EntryTooLong`], [`LedgerError::TooMany`], [`LedgerError::Io`]; [`LedgerError::Failed`] after a
    /// write that could not be undone.
    pub fn append(&self, entries: &[Vec<u8>]) -> Result<Range<u64>, LedgerError> {
        crate::appending::append(self, entries)
    }

    /// From now on there is space on the disk for the next entries of at least half so many bytes, whoever fills the rest,
    /// where there is now and the file system can take it beforehand (Linux `fallocate`).
    pub fn reserve(&self, bytes: u64) {
        self.state().journal.reserve(bytes);
    }

    /// Makes everything durable that was appended before the call; returns how many entries are. One flush of one file.
    ///
    /// # Errors
    /// [`LedgerError::Io`]. After a failed flush the log takes and promises nothing more ([`LedgerError::Failed`]): the
    /// kernel may have dropped what was not written, and would report the next flush as a success.
    pub fn sync(&self) -> Result<u64, LedgerError> {
        let wanted = self.size();
        // one at a time: a flush that fails may have dropped what the next one then reports as written
        let _flushing = lock(&self.flushing);
        let durable = self.durable_size();
        if durable >= wanted {
            return Ok(durable);
        }
        let (file, size) = {
            let state = self.state();
            if state.is_failed {
                return Err(LedgerError::Failed);
            }
            (Arc::clone(&state.journal.file), state.edge.size())
        };
        if let Err(error) = file.sync() {
            self.state().is_failed = true;
            tracing::error!(origin = self.key.name(), %error, "the journal could not be flushed; the log must be opened anew");
            return Err(LedgerError::io("sync", JOURNAL)(error));
        }
        Ok(self.durable.fetch_max(size, Ordering::AcqRel).max(size))
    }

    /// Syncs, writes the tiles, signs the head and puts the checkpoint in place: everything under it is durable before
    /// it can be seen. Without new entries it returns the last one.
    ///
    /// # Errors
    /// [`LedgerError::Io`], [`LedgerError::SignerBroken`]; the last checkpoint then stays.
    pub fn checkpoint(&self) -> Result<Checkpoint, LedgerError> {
        crate::publishing::publish(self)
    }

    /// The last checkpoint.
    #[must_use]
    pub fn published(&self) -> Arc<Checkpoint> {
        Arc::clone(&self.state().published)
    }

    /// How many entries were appended.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state().edge.size()
    }

    /// How many entries are known to be durable.
    #[must_use]
    pub fn durable_size(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// What the open found to mend.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// One entry.
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`]; [`LedgerError::Missing`] or [`LedgerError::Damaged`] where its bundle is.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        let end = index.checked_add(1).ok_or(LedgerError::OutOfRange)?;
        self.entries(index..end)?.pop().ok_or(LedgerError::OutOfRange)
    }

    /// Entries in order, at most [`BATCH_ENTRIES`].
    ///
    /// # Errors
    /// As [`Log::entry`]; [`LedgerError::TooMany`].
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, LedgerError> {
        if range.end > self.size() {
            return Err(LedgerError::OutOfRange);
        }
        if range.end.saturating_sub(range.start) > BATCH_ENTRIES as u64 {
            return Err(LedgerError::TooMany);
        }
        let mut found = Vec::new();
        let mut index = range.start;
        while index < range.end {
            let bundle = index / TILE_WIDTH;
            let bytes = self.bundle(bundle)?;
            let path = TilePath::full(TileKind::Entries, bundle);
            let damaged = || LedgerError::Damaged { file: path.to_string(), index: bundle * TILE_WIDTH };
            let entries = entries_of(&bytes).ok_or_else(damaged)?;
            let end = range.end.min((bundle + 1) * TILE_WIDTH);
            for position in index % TILE_WIDTH..end - bundle * TILE_WIDTH {
                let entry = usize::try_from(position).ok().and_then(|position| entries.get(position));
                found.push(entry.ok_or_else(damaged)?.to_vec());
            }
            index = end;
        }
        Ok(found)
    }

    /// The path that proves entry `index` in the tree of `size` entries; check it with
    /// [`proof::verify_inclusion`](crate::proof::verify_inclusion).
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`]; [`LedgerError::Missing`] or [`LedgerError::Damaged`] where a tile is.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        if index >= size || size > self.size() {
            return Err(LedgerError::OutOfRange);
        }
        tree::inclusion_proof(self, index, size)
    }

    /// The path that proves that the log of `old` entries is a prefix of the log of `new` entries; check it with
    /// [`proof::verify_consistency`](crate::proof::verify_consistency).
    ///
    /// # Errors
    /// As [`Log::inclusion_proof`].
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        if old > new || new > self.size() {
            return Err(LedgerError::OutOfRange);
        }
        tree::consistency_proof(self, old, new)
    }

    /// Root of the tree over the first `size` entries.
    ///
    /// # Errors
    /// As [`Log::inclusion_proof`].
    pub fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        if size > self.size() {
            return Err(LedgerError::OutOfRange);
        }
        tree::root(self, size)
    }

    /// The file that C2SP tlog-tiles serves under this path (`checkpoint`, `tile/…`), or the verifier key line under
    /// `key`. `None` for everything else, and for tiles that the last checkpoint does not cover. Only paths in the one
    /// spelling of the specification are looked at, and of those only the numbers are used.
    ///
    /// # Errors
    /// [`LedgerError::Missing`] where a full tile is gone that must be there, [`LedgerError::Io`].
    pub fn file(&self, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        match path {
            CHECKPOINT => return Ok(Some(self.published().note.clone().into_bytes())),
            "key" => return Ok(Some(format!("{}\n", self.key).into_bytes())),
            _ => {}
        }
        let size = self.published().size;
        let Some(path) = TilePath::parse(path).filter(|path| path.is_within(size)) else { return Ok(None) };
        match self.files.read(path)? {
            None if path.width.is_none() => Err(LedgerError::Missing(path.to_string())),
            found => Ok(found),
        }
    }

    /// Reads every entry under the last checkpoint and holds it against tiles and checkpoint. Appends and checkpoints go
    /// on meanwhile.
    ///
    /// # Errors
    /// [`LedgerError::Io`]; everything that is wrong with the log itself is in the report.
    pub fn verify(&self) -> Result<LogReport, LedgerError> {
        let _verifying = lock(&self.verifying);
        let (journal, checkpoint, size, on_disk) = {
            let publishing = lock(&self.publishing);
            crate::publishing::flush(self, &publishing)?;
            let (checkpoint, size) = {
                let state = self.state();
                (Arc::clone(&state.published), state.edge.size())
            };
            (Reader::open(&self.files)?, checkpoint, size, self.files.read_checkpoint()?)
        };
        // what is on disk must carry the signature, and be the last that was signed
        let on_disk = on_disk.ok_or_else(|| LedgerError::Missing(CHECKPOINT.to_owned()))?;
        let size_on_disk = Checkpoint::open(&on_disk, &self.key)?.size;
        let mut report = verification::verify(&self.files, journal, &checkpoint, size)?;
        if on_disk != checkpoint.note {
            report.add(Finding::CheckpointReplaced { size: size_on_disk, signed: checkpoint.size });
        }
        Ok(report)
    }

    /// The verifier key: `<name>+<hash>+<base64>`.
    #[must_use]
    pub fn verifier_key(&self) -> String {
        self.key.to_string()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The bytes of a bundle, from memory where it is not yet a file.
    fn bundle(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        let path = TilePath::full(TileKind::Entries, index);
        {
            let state = self.state();
            if index == full_tiles(0, state.edge.size()) {
                return Ok(state.edge.bundle().to_vec());
            }
            if let Some(bytes) = state.pending.get(&path) {
                return Ok(bytes.to_vec());
            }
        }
        self.files.read(path)?.ok_or_else(|| LedgerError::Missing(path.to_string()))
    }

    /// The hashes of a tile, from memory where it is not yet a file.
    fn hashes(&self, level: u8, index: u64) -> Result<Vec<Hash>, LedgerError> {
        {
            let state = self.state();
            if index == full_tiles(level, state.edge.size()) {
                return Ok(state.edge.level(level).to_vec());
            }
            let path = TilePath::full(TileKind::Hashes(level), index);
            if let Some(hashes) = state.pending.get(&path).and_then(|bytes| hashes_of(bytes)) {
                return Ok(hashes);
            }
        }
        self.files.full_hashes(level, index)
    }
}

impl NodeSource for Log {
    type Error = LedgerError;

    fn node(&self, height: u32, index: u64) -> Result<Hash, LedgerError> {
        let place = Place::of(height, index).ok_or(LedgerError::OutOfRange)?;
        place.fold(&self.hashes(place.level, place.tile)?).ok_or(LedgerError::OutOfRange)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("origin", &self.key.name()).field("size", &self.size()).finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves no half-changed state behind: every change is made after all that can fail.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
