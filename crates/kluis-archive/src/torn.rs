//! Writes that a loss of power tore.
//!
//! The pages of one flush come to the disk in any order: a record that came may stand behind one that did not. Neither
//! was acknowledged, and no later look can tell the bytes between from a manipulation. So the start that finds them says so
//! in the audit log, before a watermark passes them, and `verify` holds them against that. An object that was
//! acknowledged has a leaf, and is missed whatever stands here.

use kluis_ledger::{
    Log,
    event::{AuditEvent, Detail, Door, Kind},
};
use kluis_vault::{Gap, Location};

use crate::{ArchiveError, Inner, remembered::Remembered};

/// Word of the event.
const ACT: &str = "recover-packs";

/// Stretches noted at one start; more than that is no torn write.
const NOTED_MAX: usize = 1_000;

/// Entries read in one step.
const STEP: u64 = 4_096;

/// Notes what the recovery of the packs found. Durable with the next watermark; until then each start finds it again.
///
/// Nothing is noted of stores that contradict one another, nor where the index is gone and with it the watermark of an archive
/// that has had one: then all packs were looked at, and what is found in them may be old, and no torn write.
pub(crate) async fn note(inner: &Inner, gaps: &[Gap]) -> Result<(), ArchiveError> {
    let has_mark = inner.index.watermark().await?.is_some();
    let is_first_life = || Remembered::read(&inner.keys).is_ok_and(|remembered| remembered.is_none());
    if gaps.is_empty() || !inner.rolled_back.is_empty() || !(has_mark || is_first_life()) {
        return Ok(());
    }
    let now = inner.clock.now();
    let leaves = gaps.iter().take(NOTED_MAX).map(|gap| {
        let mut event = AuditEvent::new(now, Kind::System, ACT, Door::Control);
        event.detail = Some(Detail::Torn);
        (event.pack, event.offset, event.count) = (Some(gap.pack), Some(gap.offset), Some(gap.bytes));
        event.to_leaf()
    });
    let leaves = leaves.collect::<Result<Vec<_>, _>>()?;
    if !leaves.is_empty() {
        inner.audit.append(&leaves)?;
    }
    Ok(())
}

/// What starts noted so far.
pub(crate) struct Noted(Vec<Gap>);

impl Noted {
    /// Reads the whole audit log. Blocks. Entries that cannot be read are findings of the log's own verification.
    pub(crate) fn read(audit: &Log) -> Self {
        let (size, mut at, mut noted) = (audit.size(), 0, Vec::new());
        while at < size {
            let end = size.min(at.saturating_add(STEP));
            noted.extend(audit.entries(at..end).unwrap_or_default().iter().filter_map(|entry| gap(entry)));
            at = end;
        }
        Self(noted)
    }

    /// Whether all of these bytes are told of.
    pub(crate) fn covers(&self, pack: u64, from: u64, to: u64) -> bool {
        let covers = |gap: &Gap| gap.pack == pack && gap.offset <= from && to <= gap.offset.saturating_add(gap.bytes);
        self.0.iter().any(covers)
    }

    /// The same of a record.
    pub(crate) fn covers_record(&self, location: Location) -> bool {
        self.covers(location.pack, location.offset, location.end().offset)
    }
}

fn gap(entry: &[u8]) -> Option<Gap> {
    // most entries are of another kind and need not be read whole
    let entry = str::from_utf8(entry).ok().filter(|text| text.contains(ACT))?;
    let event = AuditEvent::from_leaf(entry.as_bytes()).ok()?;
    if event.kind != Kind::System || event.detail != Some(Detail::Torn) {
        return None;
    }
    Some(Gap { pack: event.pack?, offset: event.offset?, bytes: event.count? })
}
