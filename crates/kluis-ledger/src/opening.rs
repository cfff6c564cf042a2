//! Opening: the last checkpoint is the yardstick, and what contradicts it is named and not opened.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use crate::{
    Checkpoint, LedgerError, Log, Recovery, Signer, VerifierKey,
    edge::{Edge, Tile},
    files::{CHECKPOINT, Files, JOURNAL, replace},
    hash::{Hash, empty_root, fold_complete},
    journal::{Journal, Next, Reader, has_entries},
    log::State,
    path::full_tiles,
    publishing::{seal, tiles_between},
    storage::Storage,
    verification,
};

/// What errors call the file of the verifier key.
const VERIFIER_KEY: &str = "the verifier key";

pub(crate) fn open(
    storage: Arc<dyn Storage>,
    (keys, key_name): (&dyn Storage, &str),
    origin: &str,
    signer: Box<dyn Signer>,
) -> Result<Log, LedgerError> {
    let key = VerifierKey::new(origin, signer.public_key()).map_err(|_| LedgerError::Origin)?;
    let files = Files::create(storage)?;
    let lock = files.lock()?;
    let has_key = check_key(keys, key_name, &key)?;
    let checkpoint = match files.read_checkpoint()? {
        Some(note) => Checkpoint::open(&note, &key)?,
        None => begin(&files, &key, signer.as_ref(), has_key)?,
    };
    if !has_key {
        // an earlier start may have failed before the name of the checkpoint was durable; the key says that there is one
        files.sync_names()?;
        replace(keys, key_name, VERIFIER_KEY, format!("{key}\n").as_bytes())?;
    }
    let mut recovery = Recovery::default();
    let (edge, journal) = recover(&files, &checkpoint, &mut recovery)?;
    let durable = AtomicU64::new(checkpoint.size);
    let state = State {
        edge,
        journal,
        pending: BTreeMap::new(),
        pending_bytes: 0,
        published: Arc::new(checkpoint),
        obsolete: Vec::new(),
        is_failed: false,
    };
    Ok(Log {
        files,
        key,
        signer,
        state: Mutex::new(state),
        publishing: Mutex::new(()),
        flushing: Mutex::new(()),
        verifying: Mutex::new(()),
        durable,
        recovery,
        _lock: lock,
    })
}

/// Whether the verifier key is on disk; one of another key is an error.
fn check_key(keys: &dyn Storage, name: &str, key: &VerifierKey) -> Result<bool, LedgerError> {
    match keys.read(name) {
        Ok(line) if line == format!("{key}\n").as_bytes() => Ok(true),
        Ok(_) => Err(LedgerError::KeyDiffers),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LedgerError::io("read", VERIFIER_KEY)(error)),
    }
}

/// A new log: an empty journal, a checkpoint of size 0, and last the key. Where the key is there without a checkpoint,
/// the checkpoint was taken away.
fn begin(files: &Files, key: &VerifierKey, signer: &dyn Signer, has_key: bool) -> Result<Checkpoint, LedgerError> {
    if has_key || has_entries(files)? {
        return Err(LedgerError::Missing(CHECKPOINT.to_owned()));
    }
    Journal::create(files)?;
    let checkpoint = seal(key, signer, 0, empty_root())?;
    files.write_checkpoint(&checkpoint.note)?;
    Ok(checkpoint)
}

/// Reads what the journal repeats, holds it against the checkpoint on the way, and cuts the torn tail.
fn recover(files: &Files, checkpoint: &Checkpoint, recovery: &mut Recovery) -> Result<(Edge, Journal), LedgerError> {
    let mut reader = Reader::open(files)?;
    if reader.base > checkpoint.size {
        return Err(LedgerError::RolledBack { checkpoint: checkpoint.size, journal: reader.base });
    }
    let mut edge = Edge::at_boundary(reader.base, upper_levels(files, reader.base)?);
    let mut full = Vec::new();
    let mut is_checked = false;
    loop {
        if edge.size() == checkpoint.size && !is_checked {
            is_checked = true;
            // before anything is mended, so that what was there can still be examined
            if edge.root()? != checkpoint.root {
                let index = verification::first_contradiction(files, checkpoint)?;
                return Err(LedgerError::Contradiction { index });
            }
            full.extend(edge.partial_tiles());
        }
        match reader.next()? {
            Next::Entry(entry) => edge.push(&entry, &mut full),
            Next::End => break,
            Next::Torn if edge.size() < checkpoint.size => {
                return Err(LedgerError::Damaged { file: JOURNAL.to_owned(), index: edge.size() });
            }
            Next::Torn => break,
        }
        if is_checked {
            renew(files, &mut full, recovery)?;
        }
    }
    if edge.size() < checkpoint.size {
        return Err(LedgerError::Truncated { entries: edge.size(), checkpoint: checkpoint.size });
    }
    renew(files, &mut full, recovery)?;
    renew_partials(files, &edge, reader.base, recovery)?;
    recovery.cut_bytes = reader.remaining();
    let journal = Journal::resume(files, &reader, edge.size() > checkpoint.size)?;
    if *recovery != Recovery::default() {
        tracing::warn!(origin = checkpoint.origin, ?recovery, "the end of the log was mended");
    }
    Ok((edge, journal))
}

/// A crash may have kept a tile from reaching the disk although the journal has its entries.
fn renew(files: &Files, full: &mut Vec<Tile>, recovery: &mut Recovery) -> Result<(), LedgerError> {
    for tile in full.drain(..) {
        recovery.renewed_tiles += u64::from(files.renew(&tile)?);
    }
    Ok(())
}

/// The partial files of earlier checkpoints hold the beginning of what is known now. None of them was synced, so that a
/// crash may have torn them; those of tiles that are full by now are dropped, as their files are.
fn renew_partials(files: &Files, edge: &Edge, base: u64, recovery: &mut Recovery) -> Result<(), LedgerError> {
    for path in tiles_between(base, edge.size()) {
        files.drop_partials(path.kind, path.index);
    }
    for tile in edge.partial_tiles() {
        for width in files.partial_widths(tile.path.kind, tile.path.index)? {
            if let Some(earlier) = tile.earlier(width) {
                recovery.renewed_tiles += u64::from(files.renew(&earlier)?);
            }
        }
    }
    Ok(())
}

/// The hashes of the partial tiles above the leaves, each the root of a full tile: of all tiles only those at the edge
/// are read, at most 255 of each level.
fn upper_levels(files: &Files, size: u64) -> Result<Vec<Vec<Hash>>, LedgerError> {
    let mut levels = Vec::new();
    for level in 0_u8..7 {
        let last = full_tiles(level, size);
        let first = full_tiles(level + 1, size) * crate::limits::TILE_WIDTH;
        let mut hashes = Vec::new();
        for index in first..last {
            hashes.push(fold_complete(&files.full_hashes(level, index)?).unwrap_or_default());
        }
        levels.push(hashes);
    }
    Ok(levels)
}
