//! Publishing: tiles to files, the head signed, the checkpoint put in place, the journal cut short.
//!
//! Order: entries durable in the journal, tile files, checkpoint. The tile files need no sync of their own until the
//! journal drops the entries from which they can be made again.

use std::sync::{Arc, MutexGuard, TryLockError, atomic::Ordering};

use crate::{
    Checkpoint, LedgerError, Log, TileKind, TilePath,
    limits::{JOURNAL_BYTES, JOURNAL_ENTRIES, TILE_WIDTH},
    log::lock,
    path::full_tiles,
};

pub(crate) fn publish(log: &Log) -> Result<Checkpoint, LedgerError> {
    let publishing = lock(&log.publishing);
    let (size, root, partial) = {
        let state = log.state();
        if state.published.size == state.edge.size() {
            return Ok(Checkpoint::clone(&state.published));
        }
        let edge = &state.edge;
        (edge.size(), edge.root()?, edge.partial_tiles())
    };
    log.sync()?;
    flush(log, &publishing)?;
    for tile in &partial {
        log.files.write(tile.path, &tile.bytes)?;
    }
    let checkpoint = sign(log, size, root)?;
    log.files.write_checkpoint(&checkpoint.note)?;
    {
        let mut state = log.state();
        let before = std::mem::replace(&mut state.published, Arc::new(checkpoint.clone())).size;
        state.obsolete.extend(tiles_between(before, size));
    }
    drop_obsolete(log);
    cut_journal(log, size)?;
    Ok(checkpoint)
}

/// Signs a head, and trusts no signer before its signature has been checked.
pub(crate) fn sign(log: &Log, size: u64, root: crate::Hash) -> Result<Checkpoint, LedgerError> {
    seal(&log.key, log.signer.as_ref(), size, root)
}

pub(crate) fn seal(
    key: &crate::VerifierKey,
    signer: &dyn crate::Signer,
    size: u64,
    root: crate::Hash,
) -> Result<Checkpoint, LedgerError> {
    let note = key.seal(&Checkpoint::text(key.name(), size, &root), signer);
    Checkpoint::open(&note, key).map_err(|_| LedgerError::SignerBroken)
}

/// Writes the full tiles that wait. The caller holds the publishing lock, so that no two threads write one file.
pub(crate) fn flush(log: &Log, _publishing: &MutexGuard<'_, ()>) -> Result<(), LedgerError> {
    let waiting: Vec<_> = log.state().pending.iter().map(|(path, bytes)| (*path, Arc::clone(bytes))).collect();
    for (path, bytes) in waiting {
        log.files.write(path, &bytes)?;
        let mut state = log.state();
        // only now: a reader looks here first and in the file after it
        state.pending.remove(&path);
        state.pending_bytes = state.pending_bytes.saturating_sub(bytes.len());
    }
    Ok(())
}

/// Full tiles and bundles of a log of `size` entries that it did not have at `before`.
pub(crate) fn tiles_between(before: u64, size: u64) -> Vec<TilePath> {
    let mut paths = Vec::new();
    for level in 0_u8..8 {
        for index in full_tiles(level, before)..full_tiles(level, size) {
            paths.push(TilePath::full(TileKind::Hashes(level), index));
            if level == 0 {
                paths.push(TilePath::full(TileKind::Entries, index));
            }
        }
    }
    paths
}

fn drop_obsolete(log: &Log) {
    let _guard = match log.verifying.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(error)) => error.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    let obsolete = std::mem::take(&mut log.state().obsolete);
    for path in obsolete {
        log.files.drop_partials(path.kind, path.index);
    }
}

/// Once enough entries stand in full bundles, makes these durable and drops the entries from the journal.
fn cut_journal(log: &Log, published: u64) -> Result<(), LedgerError> {
    let target = published / TILE_WIDTH * TILE_WIDTH;
    let (base, length) = {
        let state = log.state();
        (state.journal.base, state.journal.length)
    };
    let is_long = target.saturating_sub(base) >= JOURNAL_ENTRIES || length >= JOURNAL_BYTES;
    if target <= base || !is_long {
        return Ok(());
    }
    log.files.sync(&tiles_between(base, target))?;
    let mut state = log.state();
    let size = state.edge.size();
    state.journal.cut_before(&log.files, target)?;
    log.durable.fetch_max(size, Ordering::AcqRel);
    Ok(())
}
