//! One slot for each object, 32 bytes, sorted: in it meet its leaf, its record and its row.

use std::ops::Range;

use kluis_keys::ObjectId;
use kluis_ledger::Log;

use super::{
    prints::Salt,
    report::{Place, VerifyReport},
};
use crate::{error::chain, record::Leaf};

/// Leaves read in one step.
const LEAVES_STEP: u64 = 4_096;

const RECORD: u64 = 1 << 63;
const UNREAD: u64 = 1 << 62;
const VISIBLE: u64 = 1 << 61;
const CONFLICT: u64 = 1 << 60;
const LATER: u64 = 1 << 59;
const INDEX: u64 = (1 << 48) - 1;

/// What is known of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    object: [u8; 16],
    /// Index of its leaf, all ones where it has none, with the flags above.
    leaf: u64,
    /// Fingerprint of the leaf, and once the record was met that of the row.
    row: u32,
    /// The rest of the leaf's fingerprint, and once the record was met that of the whole metadata.
    metadata: u32,
}

impl Slot {
    pub(super) fn unlogged(object: ObjectId) -> Self {
        Self { object: object.0, leaf: INDEX, row: 0, metadata: 0 }
    }

    pub(super) fn object(&self) -> ObjectId {
        ObjectId(self.object)
    }

    pub(super) fn leaf(&self) -> Option<u64> {
        Some(self.leaf & INDEX).filter(|index| *index != INDEX)
    }

    pub(super) fn has_record(&self) -> bool {
        self.leaf & RECORD != 0
    }

    /// Whether the record is there, but not what it says.
    pub(super) fn is_unread(&self) -> bool {
        self.leaf & UNREAD != 0
    }

    pub(super) fn is_visible(&self) -> bool {
        self.leaf & VISIBLE != 0
    }

    pub(super) fn is_conflict(&self) -> bool {
        self.leaf & CONFLICT != 0
    }

    /// Whether its record names a version before it.
    pub(super) fn is_later(&self) -> bool {
        self.leaf & LATER != 0
    }

    pub(super) fn is_leaf(&self, print: u64) -> bool {
        (u64::from(self.row) << 32) | u64::from(self.metadata) == print
    }

    pub(super) fn is_row(&self, print: u32) -> bool {
        self.row == print
    }

    pub(super) fn is_metadata(&self, print: u32) -> bool {
        self.metadata == print
    }

    pub(super) fn met(&mut self) {
        self.leaf |= RECORD;
    }

    pub(super) fn unreadable(&mut self) {
        self.leaf |= UNREAD;
    }

    pub(super) fn said(&mut self, row: u32, metadata: u32, is_later: bool) {
        (self.row, self.metadata) = (row, metadata);
        self.leaf |= if is_later { LATER } else { 0 };
    }

    pub(super) fn shown(&mut self) {
        self.leaf |= VISIBLE;
    }

    pub(super) fn kept_aside(&mut self) {
        self.leaf |= CONFLICT;
    }
}

/// All objects by their ids.
#[derive(Default)]
pub(super) struct Objects {
    slots: Vec<Slot>,
    /// Met in the packs, without a leaf.
    unlogged: Vec<Slot>,
}

impl Objects {
    /// Reads the leaves. Blocks.
    pub(super) fn read(log: &Log, leaves: Range<u64>, salt: Salt, report: &mut VerifyReport) -> Self {
        let mut slots = Vec::with_capacity(usize::try_from(leaves.end).unwrap_or(0));
        let mut at = leaves.start;
        while at < leaves.end {
            let end = leaves.end.min(at + LEAVES_STEP);
            let entries = log.entries(at..end).unwrap_or_else(|error| {
                let place = Place::log("objects").entry(Some(at));
                report.find("ledger", format!("leaves {at} to {end} cannot be read: {}", chain(&error)), place);
                Vec::new()
            });
            for (index, entry) in (at..end).zip(entries) {
                let parsed = serde_json::from_slice::<Leaf>(&entry).ok();
                match parsed.and_then(|leaf| Some((leaf.object, serde_json::to_vec(&leaf).ok()?))) {
                    Some((object, leaf)) => slots.push(Self::logged(object, index, salt.print(&leaf))),
                    None => report.find("ledger", "a leaf cannot be read", Place::log("objects").entry(Some(index))),
                }
            }
            at = end;
        }
        slots.sort_unstable_by_key(|slot| (slot.object, slot.leaf));
        slots.dedup_by(|later, first| {
            let is_same = later.object == first.object;
            if is_same {
                let place = Place::object(first.object()).leaf(later.leaf());
                report.find("ledger", "the object has more than one leaf", place);
            }
            is_same
        });
        Self { slots, unlogged: Vec::new() }
    }

    fn logged(object: ObjectId, index: u64, print: u64) -> Slot {
        let (row, metadata) = (print >> 32, print & u64::from(u32::MAX));
        Slot {
            object: object.0,
            leaf: index & INDEX,
            row: u32::try_from(row).unwrap_or(0),
            metadata: u32::try_from(metadata).unwrap_or(0),
        }
    }

    pub(super) fn find(&mut self, object: ObjectId) -> Option<&mut Slot> {
        let at = self.slots.binary_search_by_key(&object.0, |slot| slot.object).ok()?;
        self.slots.get_mut(at)
    }

    pub(super) fn leaf(&self, object: ObjectId) -> Option<u64> {
        let at = self.slots.binary_search_by_key(&object.0, |slot| slot.object).ok()?;
        self.slots.get(at).and_then(Slot::leaf)
    }

    pub(super) fn add_unlogged(&mut self, slot: Slot) {
        self.unlogged.push(slot);
    }

    /// Ends the walk over the packs: objects without a leaf are found from here on.
    pub(super) fn settle(&mut self) {
        if !self.unlogged.is_empty() {
            self.slots.append(&mut self.unlogged);
            self.slots.sort_unstable_by_key(|slot| slot.object);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }
}
