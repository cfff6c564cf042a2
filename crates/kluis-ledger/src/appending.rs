//! Appending: one write to the journal, then hashes in memory. Tile files wait for the next checkpoint.

use std::{ops::Range, sync::Arc};

use crate::{
    LedgerError, Log,
    limits::{BATCH_BYTES, BATCH_ENTRIES, ENTRY_BYTES, PENDING_BYTES, PENDING_BYTES_MAX},
    log::lock,
    publishing,
};

pub(crate) fn append(log: &Log, entries: &[Vec<u8>]) -> Result<Range<u64>, LedgerError> {
    if let Some(position) = entries.iter().position(|entry| entry.len() > ENTRY_BYTES) {
        return Err(LedgerError::EntryTooLong { position });
    }
    if entries.len() > BATCH_ENTRIES || entries.iter().map(Vec::len).sum::<usize>() > BATCH_BYTES {
        return Err(LedgerError::TooMany);
    }
    if log.state().pending_bytes > PENDING_BYTES
        && let Err(error) = publishing::flush(log, &lock(&log.publishing))
    {
        // on a full disk the tiles can wait, as the journal has space of its own
        if log.state().pending_bytes > PENDING_BYTES_MAX {
            return Err(error);
        }
    }
    let mut state = log.state();
    let start = state.edge.size();
    if state.is_failed {
        return Err(LedgerError::Failed);
    }
    if entries.is_empty() || cfg!(kluis_bench_bare) {
        return Ok(start..start);
    }
    if let Err((error, is_lost)) = state.journal.append(entries) {
        state.is_failed = is_lost;
        return Err(error);
    }
    let mut full = Vec::new();
    for entry in entries {
        state.edge.push(entry, &mut full);
    }
    for tile in full {
        state.pending_bytes += tile.bytes.len();
        state.pending.insert(tile.path, Arc::new(tile.bytes));
    }
    Ok(start..state.edge.size())
}
