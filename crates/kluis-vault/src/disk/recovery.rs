//! What is done to the packs at start.

use std::io;

use crate::{Cut, Gap, Position, Recovery, VaultError};

use super::{
    pack::{self, Step, Walk},
    shared::Shared,
    storage::write_full,
};

/// Reads every record behind `safe`, cuts half-written tails, removes `parts` (objects that were never committed).
/// Packs that this process writes are left alone. Blocks.
pub(super) fn recover(shared: &Shared, safe: Position, parts: &[String]) -> Result<Recovery, VaultError> {
    let mut recovery = Recovery::default();
    let behind: Vec<_> =
        shared.packs().range(safe.pack..).filter(|(_, end)| end.is_none()).map(|(pack, _)| *pack).collect();
    for pack in behind {
        let from = if pack == safe.pack { safe.offset } else { 0 };
        recover_pack(shared, pack, from, &mut recovery)?;
    }
    for part in parts {
        if remove(shared, part)? {
            recovery.uncommitted = recovery.uncommitted.saturating_add(1);
        }
    }
    shared.storage.sync_directory().map_err(|source| VaultError::io("sync", source))?;
    Ok(recovery)
}

fn remove(shared: &Shared, part: &str) -> Result<bool, VaultError> {
    match shared.storage.remove(part) {
        Ok(()) => Ok(true),
        // Gone since the vault was opened: recovery ran before.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(VaultError::io("remove", source)),
    }
}

fn recover_pack(shared: &Shared, pack: u64, from: u64, recovery: &mut Recovery) -> Result<(), VaultError> {
    let failed = |operation| move |source| VaultError::io(operation, source);
    let file = shared.file(pack).map_err(failed("open"))?;
    let end = file.length().map_err(failed("read"))?;
    let mut walk = Walk { file: &*file, pack, at: from, end, is_thorough: true };
    let mut records: u64 = 0;
    let mut tail = None;
    while let Some(step) = walk.next().map_err(failed("read"))? {
        match step {
            Step::Record(..) => records = records.saturating_add(1),
            Step::Gap { from, to } if to == end => tail = Some(from),
            Step::Gap { from, to } => {
                let gap = Gap { pack, offset: from, bytes: to.saturating_sub(from) };
                tracing::error!(?gap, "bytes of a pack are no record, with whole records behind them");
                recovery.gaps.push(gap);
            }
        }
    }
    recovery.records = recovery.records.saturating_add(records);
    if records > 0 {
        // a program that was killed between write and sync leaves records that nothing but the page cache has: whoever
        // takes them up tells senders that they are kept
        file.sync().map_err(failed("sync"))?;
    }
    let is_empty = records == 0 && from <= pack::FIRST_RECORD;
    if is_empty && !pack::has_first_page(&*file, pack).map_err(failed("read"))? {
        shared.forget_file(pack);
        shared.storage.remove(&pack::name(pack)).map_err(failed("remove"))?;
        shared.packs().remove(&pack);
        recovery.cuts.push(Cut { pack, offset: 0, bytes: end });
        return Ok(());
    }
    if records > 0
        && from <= pack::FIRST_RECORD
        && pack::is_zero(&*file, 0, pack::FIRST_RECORD).map_err(failed("read"))?
    {
        // a loss of power may take the first page and leave what was written behind it
        write_full(&*file, &pack::first_page(pack), 0).map_err(failed("write"))?;
        file.sync().map_err(failed("sync"))?;
        let gap = Gap { pack, offset: 0, bytes: pack::FIRST_RECORD };
        tracing::warn!(?gap, "the first page of a pack was missing; it is written anew");
        recovery.gaps.push(gap);
    }
    if let Some(offset) = tail {
        let cut = Cut { pack, offset, bytes: end.saturating_sub(offset) };
        tracing::warn!(?cut, "a half-written tail is cut");
        file.set_length(offset).map_err(failed("cut"))?;
        file.sync().map_err(failed("sync"))?;
        recovery.cuts.push(cut);
    }
    Ok(())
}
