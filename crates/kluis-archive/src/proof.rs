//! The lines of a proof bundle: what an export says of itself, so that it can be checked far from here.
//!
//! The form is described in `docs/book/proof.md`; `kluis-verify` reads it and shares no code with this. Why it is enough,
//! and what the commitment key gives away, stands in `docs/design/013-export-with-proof.md`.

use std::ops::Range;

use base64::prelude::{BASE64_STANDARD, Engine};
use blake3::Hasher;
use kluis_dicom::{
    frames::FrameTable,
    part10::{Event, Outline},
    transfer_syntax,
};
use kluis_ledger::Hash;
use serde::Serialize;

use crate::record::{InstanceRecord, hex};

/// The form of the bundle.
const FORM: &str = "kluis-proof/1";

/// Parts of an object are hashed in steps of so many bytes; of larger objects in longer ones.
const STEP: u64 = 64 << 10;

/// Steps of an object at most, those that frames and elements add not counted.
const STEPS_MAX: u64 = 65_536;

/// Elements that are parts of their own at most; what stands behind them is one part.
const PARTS_MAX: usize = 10_000;

/// Frames that are told apart at most.
const FRAMES_MAX: u32 = 65_536;

/// The first line.
#[derive(Serialize)]
pub(crate) struct HeadLine<'a> {
    pub(crate) form: &'static str,
    pub(crate) origin: &'a str,
    pub(crate) key: String,
    pub(crate) study: String,
    pub(crate) study_uid: &'a str,
    pub(crate) commitment_key: String,
    pub(crate) checkpoint: &'a str,
}

impl<'a> HeadLine<'a> {
    pub(crate) fn new(
        key: String,
        study: String,
        study_uid: &'a str,
        commitment: &[u8],
        head: &'a kluis_ledger::Checkpoint,
    ) -> Self {
        let commitment_key = hex(commitment);
        Self { form: FORM, origin: &head.origin, key, study, study_uid, commitment_key, checkpoint: &head.note }
    }
}

/// A line for one version of an object.
#[derive(Serialize)]
pub(crate) struct ObjectLine {
    /// `exported`, `conflict` or `lost`.
    pub(crate) state: &'static str,
    pub(crate) file: Option<String>,
    /// `None` where the log has no leaf of it.
    pub(crate) leaf: Option<LeafProof>,
    /// `None` where the archive has the leaf only.
    pub(crate) opening: Option<Opening>,
    pub(crate) parts: Option<Parts>,
}

/// A leaf and its way to the root.
#[derive(Serialize)]
pub(crate) struct LeafProof {
    pub(crate) index: u64,
    /// The entry of the log, base64.
    pub(crate) entry: String,
    /// Hashes one after the other, base64.
    pub(crate) path: String,
}

/// What the leaf commits to.
#[derive(Serialize)]
pub(crate) struct Opening {
    object: String,
    digest: String,
    length: u64,
    series: String,
    sop_instance: String,
    sop_class: String,
    transfer_syntax: String,
    sender: String,
    transport: &'static str,
    received_at_us: i64,
    previous: Option<String>,
}

impl Opening {
    pub(crate) fn new(record: &InstanceRecord, object: kluis_keys::ObjectId, length: u64) -> Self {
        Self {
            object: object.to_string(),
            digest: hex(&record.digest),
            length,
            series: record.ids.series.to_string(),
            sop_instance: record.ids.sop_instance.to_string(),
            sop_class: record.ids.sop_class.to_string(),
            transfer_syntax: record.outline.transfer_syntax.to_string(),
            sender: record.sender.clone(),
            transport: record.transport.name(),
            received_at_us: record.received_at_us,
            previous: record.previous.map(|object| hex(&object)),
        }
    }
}

/// Finer hashes of an object, which only say where it was altered.
#[derive(Serialize)]
pub(crate) struct Parts {
    step: u64,
    list: Vec<Part>,
}

/// A data element of the outermost level, from its tag to its end; or what belongs to none.
#[derive(Serialize)]
struct Part {
    tag: Option<String>,
    length: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    frames: Vec<u64>,
    hashes: String,
}

/// The last line.
#[derive(Serialize)]
pub(crate) struct ClosingLine {
    /// SHA-256 of every line before, base64 of all one after the other.
    pub(crate) line_hashes: String,
    /// The signed note over them.
    pub(crate) statement: String,
}

pub(crate) fn base64_of(hashes: &[Hash]) -> String {
    BASE64_STANDARD.encode(hashes.concat())
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Hashes an object as it passes: as a whole and in parts.
pub(crate) struct PartHasher {
    step: u64,
    parts: Vec<Part>,
    /// Ends of the pieces that are hashed, in the data set, and the part of each.
    cuts: Vec<(u64, usize)>,
    next: usize,
    at: u64,
    piece: Hasher,
    hashes: Vec<Vec<u8>>,
    whole: Hasher,
}

impl PartHasher {
    pub(crate) fn new(outline: &Outline, length: u64) -> Self {
        let step = STEP.max(length.div_ceil(STEPS_MAX).checked_next_power_of_two().unwrap_or(u64::MAX));
        let ranges = ranges(outline, length);
        let starts = frame_starts(outline, length);
        let (mut parts, mut cuts) = (Vec::with_capacity(ranges.len()), Vec::new());
        for (tag, range) in ranges {
            let is_in = |start: &u64| range.contains(start);
            let frames: Vec<u64> = if starts.iter().all(is_in) { starts.clone() } else { Vec::new() };
            let bounds = frames.iter().copied().filter(|start| *start > range.start).chain([range.end]);
            let mut from = range.start;
            for end in bounds {
                while from < end {
                    from = end.min(from.saturating_add(step));
                    cuts.push((from, parts.len()));
                }
            }
            let tag = tag.map(|(group, element)| format!("{group:04X}{element:04X}"));
            parts.push(Part { tag, length: range.end - range.start, frames, hashes: String::new() });
        }
        let hashes = vec![Vec::new(); parts.len()];
        let (piece, whole) = (Hasher::new(), Hasher::new());
        Self { step, parts, cuts, next: 0, at: 0, piece, hashes, whole }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        while let Some((end, part)) = self.cuts.get(self.next).copied() {
            let left = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(left.min(bytes.len()));
            self.piece.update(now);
            self.at = self.at.saturating_add(now.len() as u64);
            if self.at < end {
                return;
            }
            let piece = std::mem::take(&mut self.piece);
            if let Some(hashes) = self.hashes.get_mut(part) {
                hashes.extend_from_slice(piece.finalize().as_bytes());
            }
            self.next += 1;
            bytes = later;
        }
    }

    /// The hash of the whole, and those of the parts.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Parts) {
        for (part, hashes) in self.parts.iter_mut().zip(&self.hashes) {
            part.hashes = BASE64_STANDARD.encode(hashes);
        }
        (self.whole.finalize().as_bytes().to_vec(), Parts { step: self.step, list: self.parts })
    }
}

type Tagged = (Option<(u16, u16)>, Range<u64>);

/// The elements of the outermost level, without gaps. Deflated data sets are one range: places of elements count in the
/// inflated one.
fn ranges(outline: &Outline, length: u64) -> Vec<Tagged> {
    let is_deflated = transfer_syntax::lookup(outline.transfer_syntax.as_str()).is_none_or(|s| s.encoding.deflated);
    let mut found: Vec<Tagged> = Vec::new();
    let mut at = 0;
    let mut events = outline.header.events();
    while !is_deflated && found.len() < PARTS_MAX {
        let is_outermost = events.depth() == 0;
        let Some(event) = events.next() else { break };
        let end = events.offset().min(length);
        let tag = match event {
            Event::Element { tag, .. } | Event::SequenceStart { tag } if is_outermost => tag,
            _ => {
                if let Some((_, last)) = found.last_mut() {
                    last.end = end.max(last.end);
                }
                at = end;
                continue;
            }
        };
        found.push((Some((tag.0, tag.1)), at..end));
        at = end;
    }
    // the last one that was found may be a sequence that was not read to its end
    let end = found.last().map_or(0, |(_, last)| last.end);
    if end < length {
        found.push((None, end..length));
    }
    found
}

/// Where each frame begins, with the header of its first fragment. Empty where frames cannot be told apart.
fn frame_starts(outline: &Outline, length: u64) -> Vec<u64> {
    let Ok(table) = FrameTable::new(outline) else { return Vec::new() };
    if table.count() > FRAMES_MAX || outline.inflated_length != length {
        return Vec::new();
    }
    let item_header = if table.is_native() { 0 } else { 8 };
    let mut starts: Vec<u64> = Vec::new();
    for number in 1..=table.count() {
        let Some(first) = table.frame(number).ok().and_then(|ranges| ranges.first().cloned()) else {
            return Vec::new();
        };
        let start = first.start.saturating_sub(item_header);
        if starts.last().is_some_and(|last| start <= *last) {
            return Vec::new();
        }
        starts.push(start);
    }
    starts
}
