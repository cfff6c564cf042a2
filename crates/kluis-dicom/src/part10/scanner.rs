//! Goes through a data set as it arrives and keeps its header; bulk values are stepped over, not looked at.
//!
//! Nothing is allocated for a length that is only declared, and nothing recurses.

use dicom_core::{Tag, VR};

use super::{
    element::{
        Decoded, EXTENDED_LENGTHS, EXTENDED_OFFSETS, ElementHeader, ITEM, ITEM_DELIMITER, LONGEST_HEADER,
        SEQUENCE_DELIMITER, SHORTEST_HEADER, Syntax, UNDEFINED, decode, is_pixel_data,
    },
    nesting::{Nesting, Step},
    outline::{BulkKind, BulkSpan, Fragment, Header, Repair, RepairKind},
    refusal::{Place, Refusal},
};
use crate::limits::Limits;

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The header of an element, item or delimiter.
    Header,
    /// A value of the header.
    Inline { left: u64 },
    /// A bulk value.
    Bulk { left: u64 },
    /// The item header of a fragment, or the delimiter behind the last one.
    FragmentHeader,
    /// The content of the basic offset table.
    OffsetTable { left: u64 },
    /// The content of another fragment.
    Fragment { left: u64 },
    /// Zeros behind the last element.
    Padding,
}

/// What a scanner learnt.
pub(super) struct Scanned {
    pub(super) header: Header,
    pub(super) length: u64,
    pub(super) repairs: Repairs,
}

pub(super) struct Scanner {
    limits: Limits,
    syntax: Syntax,
    /// Whether the transfer syntax has native pixel data.
    is_native: bool,
    state: State,
    nesting: Nesting,
    /// The bytes of a header that is not complete.
    pending: [u8; LONGEST_HEADER],
    pending_length: usize,
    pending_needs: usize,
    /// Of the next byte.
    offset: u64,
    /// The element that was begun last.
    current: Place,
    header: Vec<u8>,
    bulk: Vec<BulkSpan>,
    /// Bytes of offset tables, which count as header.
    tables: u64,
    elements: u32,
    fragments: u32,
    repairs: Repairs,
}

impl Scanner {
    pub(super) fn new(syntax: Syntax, is_native: bool, limits: Limits, repairs: Repairs) -> Self {
        Self {
            limits,
            syntax,
            is_native,
            state: State::Header,
            nesting: Nesting::new(syntax),
            pending: [0; LONGEST_HEADER],
            pending_length: 0,
            pending_needs: SHORTEST_HEADER,
            offset: 0,
            current: Place { tag: Tag(0, 0), offset: 0, depth: 0 },
            header: Vec::new(),
            bulk: Vec::new(),
            tables: 0,
            elements: 0,
            fragments: 0,
            repairs,
        }
    }

    /// Takes the next bytes of the data set.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        if self.offset.saturating_add(bytes.len() as u64) > self.limits.object_bytes {
            return Err(Refusal::ObjectTooLarge { limit: self.limits.object_bytes });
        }
        while !bytes.is_empty() {
            let taken = match self.state {
                State::Header | State::FragmentHeader => self.gather(bytes)?,
                State::Inline { left } => self.keep(bytes, left)?,
                State::OffsetTable { left } => self.keep_table(bytes, left)?,
                State::Bulk { left } | State::Fragment { left } => self.skip(bytes, left),
                State::Padding => self.pad(bytes)?,
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Bytes of what was kept.
    pub(super) fn held_bytes(&self) -> usize {
        let tables = usize::try_from(self.tables).unwrap_or(usize::MAX);
        let fragments = usize::try_from(self.fragments).unwrap_or(usize::MAX).saturating_mul(size_of::<Fragment>());
        let bulk = self.bulk.len().saturating_mul(size_of::<BulkSpan>());
        self.header.len().saturating_add(tables).saturating_add(fragments).saturating_add(bulk)
    }

    /// Ends the data set.
    pub(super) fn finish(self) -> Result<Scanned, Refusal> {
        let is_between = self.state == State::Header && self.pending_length == 0 && self.nesting.is_root();
        if !is_between && self.state != State::Padding {
            return Err(Refusal::Truncated(self.end_place()));
        }
        if self.elements == 0 {
            return Err(Refusal::NoElements);
        }
        let header = Header {
            bytes: self.header,
            bulk: self.bulk,
            explicit_vr: self.syntax.explicit_vr,
            big_endian: self.syntax.big_endian,
        };
        Ok(Scanned { header, length: self.offset, repairs: self.repairs })
    }

    /// What the bytes end in: a value, the header that just began, or the sequence around.
    fn end_place(&self) -> Place {
        if self.state != State::Header {
            return self.current;
        }
        if let Some(tag) = self.pending.first_chunk().filter(|_| self.pending_length >= 4) {
            let offset = self.offset.saturating_sub(self.pending_length as u64);
            return Place { tag: self.nesting.syntax().tag(*tag), offset, depth: self.nesting.depth() };
        }
        self.nesting.innermost().unwrap_or(self.current)
    }

    fn gather(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let wanted = self.pending_needs.saturating_sub(self.pending_length);
        let (head, _) = bytes.split_at(wanted.min(bytes.len()));
        if let Some(free) = self.pending.get_mut(self.pending_length..self.pending_length + head.len()) {
            free.copy_from_slice(head);
        }
        self.pending_length += head.len();
        self.offset += head.len() as u64;
        if self.pending_length < self.pending_needs {
            return Ok(head.len());
        }
        if let (State::Header, SHORTEST_HEADER, Some(first)) =
            (self.state, self.pending_length, self.pending.first_chunk())
        {
            self.nesting.probe(*first);
        }
        match decode(self.pending.get(..self.pending_length).unwrap_or_default(), self.nesting.syntax()) {
            Decoded::Needs(length) => self.pending_needs = length,
            Decoded::UnknownVr(tag) => return Err(Refusal::UnknownVr(self.begin(tag))),
            Decoded::Header(header) => {
                let place = self.begin(header.tag);
                match self.state {
                    State::FragmentHeader => self.fragment(&header, place)?,
                    _ => self.element(&header, place)?,
                }
                self.pending_length = 0;
                self.pending_needs = SHORTEST_HEADER;
                self.settle();
            }
        }
        Ok(head.len())
    }

    fn begin(&self, tag: Tag) -> Place {
        let offset = self.offset.saturating_sub(self.pending_length as u64);
        Place { tag, offset, depth: self.nesting.depth() }
    }

    /// An element, item or delimiter whose header is complete.
    fn element(&mut self, header: &ElementHeader, place: Place) -> Result<(), Refusal> {
        if self.is_padding() {
            self.repairs.note(RepairKind::ZeroPadding, place);
            self.state = State::Padding;
            return Ok(());
        }
        if header.tag.0 == 0 {
            return Err(Refusal::CommandGroup(place));
        }
        self.current = place;
        // Delimiters are no more than the items and sequences that they end.
        self.elements += u32::from(!matches!(header.tag, ITEM_DELIMITER | SEQUENCE_DELIMITER));
        if self.elements > self.limits.elements {
            return Err(Refusal::TooManyElements { place, limit: self.limits.elements });
        }
        self.note_step(place);
        let step = self.nesting.step(header, place.offset)?;
        self.note_step(place);
        self.note_oddities(header, place);
        self.check_header(header.size as u64, place)?;
        self.header.extend_from_slice(self.pending.get(..header.size).unwrap_or_default());
        match step {
            Step::Value { vr, length } => return self.value(header.tag, vr, length, place),
            Step::Fragments { .. } => return self.fragments(place),
            Step::SequenceStart if self.nesting.depth() > self.limits.depth => {
                return Err(Refusal::TooDeep { place, limit: self.limits.depth });
            }
            Step::ItemStart if self.nesting.items() > self.limits.sequence_items => {
                return Err(Refusal::TooManyItems { place, limit: self.limits.sequence_items });
            }
            Step::SequenceStart | Step::ItemStart if header.length != UNDEFINED => {
                self.check_object(u64::from(header.length))?;
            }
            Step::SequenceStart | Step::ItemStart | Step::ItemEnd | Step::SequenceEnd => {}
        }
        Ok(())
    }

    fn value(&mut self, tag: Tag, vr: VR, length: u32, place: Place) -> Result<(), Refusal> {
        let left = u64::from(length);
        self.check_object(left)?;
        if self.is_bulk(tag, vr, length) {
            self.cut(BulkKind::Value, left, place)?;
            self.state = State::Bulk { left };
        } else {
            // Refused here already: the bytes that are declared would not fit.
            self.check_header(left, place)?;
            self.state = State::Inline { left };
        }
        Ok(())
    }

    fn fragments(&mut self, place: Place) -> Result<(), Refusal> {
        if self.is_native {
            self.repairs.note(RepairKind::EncapsulatedInNativeSyntax, place);
        }
        self.cut(BulkKind::Fragments { offset_table: Vec::new(), fragments: Vec::new() }, 0, place)?;
        self.state = State::FragmentHeader;
        Ok(())
    }

    /// The header of a fragment, or the delimiter behind the last one (PS3.5 A.4).
    fn fragment(&mut self, header: &ElementHeader, place: Place) -> Result<(), Refusal> {
        let offset = self.offset;
        let Some(span) = self.bulk.last_mut() else { return Err(Refusal::ItemExpected(place)) };
        let BulkKind::Fragments { fragments, .. } = &mut span.kind else { return Err(Refusal::ItemExpected(place)) };
        match (header.tag, header.length) {
            (SEQUENCE_DELIMITER, 0) => {
                span.length = offset.saturating_sub(span.offset);
                self.state = State::Header;
                return Ok(());
            }
            (SEQUENCE_DELIMITER, _) => return Err(Refusal::DelimiterLength(place)),
            (ITEM, UNDEFINED) => return Err(Refusal::UndefinedLength(place)),
            (ITEM, _) => {}
            _ => return Err(Refusal::ItemExpected(place)),
        }
        let length = u64::from(header.length);
        self.fragments += 1;
        if self.fragments > self.limits.fragments {
            return Err(Refusal::TooManyFragments { place, limit: self.limits.fragments });
        }
        let available = self.nesting.available(offset).unwrap_or(0);
        if length > available {
            let size = header.size as u64;
            let (length, available) = (length.saturating_add(size), available.saturating_add(size));
            return Err(Refusal::LengthBeyondParent { place, length, available });
        }
        fragments.push(Fragment { offset, length });
        let is_table = fragments.len() == 1;
        self.check_object(length)?;
        if is_table {
            self.check_header(length, place)?;
            self.state = State::OffsetTable { left: length };
        } else {
            self.state = State::Fragment { left: length };
        }
        Ok(())
    }

    /// Goes on where a value or fragment is complete, and closes what ends here.
    fn settle(&mut self) {
        match self.state {
            State::Inline { left: 0 } | State::Bulk { left: 0 } => self.state = State::Header,
            State::OffsetTable { left: 0 } | State::Fragment { left: 0 } => self.state = State::FragmentHeader,
            _ => {}
        }
        if self.state == State::Header {
            while self.nesting.close_at(self.offset).is_some() {}
        }
    }

    fn keep(&mut self, bytes: &[u8], left: u64) -> Result<usize, Refusal> {
        let value = take(bytes, left);
        self.check_header(value.len() as u64, self.current)?;
        self.header.extend_from_slice(value);
        self.state = State::Inline { left: left - value.len() as u64 };
        Ok(self.went(value))
    }

    fn keep_table(&mut self, bytes: &[u8], left: u64) -> Result<usize, Refusal> {
        let value = take(bytes, left);
        self.check_header(value.len() as u64, self.current)?;
        self.tables += value.len() as u64;
        if let Some(BulkSpan { kind: BulkKind::Fragments { offset_table, .. }, .. }) = self.bulk.last_mut() {
            offset_table.extend_from_slice(value);
        }
        self.state = State::OffsetTable { left: left - value.len() as u64 };
        Ok(self.went(value))
    }

    fn skip(&mut self, bytes: &[u8], left: u64) -> usize {
        let value = take(bytes, left);
        let left = left - value.len() as u64;
        self.state = match self.state {
            State::Fragment { .. } => State::Fragment { left },
            _ => State::Bulk { left },
        };
        self.went(value)
    }

    fn went(&mut self, value: &[u8]) -> usize {
        self.offset += value.len() as u64;
        self.settle();
        value.len()
    }

    fn pad(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        if bytes.iter().any(|byte| *byte != 0) {
            return Err(Refusal::BytesAfterPadding(self.current));
        }
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    /// Whether the pending header is the beginning of zeros behind the data set, as some writers leave them.
    fn is_padding(&self) -> bool {
        self.nesting.is_root()
            && self.elements > 0
            && self.pending.iter().take(self.pending_length).all(|byte| *byte == 0)
    }

    fn is_bulk(&self, tag: Tag, vr: VR, length: u32) -> bool {
        use VR::{OB, OD, OF, OL, OV, OW, UN};
        match vr {
            _ if length == 0 => false,
            _ if is_pixel_data(tag) => true,
            // Needed to tell frames apart, and counted as header.
            _ if matches!(tag, EXTENDED_OFFSETS | EXTENDED_LENGTHS) => false,
            OB | OD | OF | OL | OV | OW | UN => length > self.limits.inline_binary_bytes,
            _ => length > self.limits.inline_text_bytes,
        }
    }

    fn cut(&mut self, kind: BulkKind, length: u64, place: Place) -> Result<(), Refusal> {
        if self.bulk.len() as u64 >= u64::from(self.limits.bulk_values) {
            return Err(Refusal::TooManyBulkValues { place, limit: self.limits.bulk_values });
        }
        let header_position = self.header.len() as u64;
        let tag = (place.tag.0, place.tag.1);
        self.bulk.push(BulkSpan { header_position, tag, offset: self.offset, length, kind });
        Ok(())
    }

    /// Refuses a value of `length` bytes that would reach beyond the largest object.
    fn check_object(&self, length: u64) -> Result<(), Refusal> {
        let limit = self.limits.object_bytes;
        if self.offset.saturating_add(length) > limit { Err(Refusal::ObjectTooLarge { limit }) } else { Ok(()) }
    }

    /// Refuses what would make the header too large.
    fn check_header(&self, more: u64, place: Place) -> Result<(), Refusal> {
        let limit = self.limits.header_bytes;
        let length = (self.header.len() as u64).saturating_add(self.tables).saturating_add(more);
        if length > limit { Err(Refusal::HeaderTooLarge { place, limit }) } else { Ok(()) }
    }

    fn note_step(&mut self, place: Place) {
        if let Some(kind) = self.nesting.note.take() {
            self.repairs.note(kind, place);
        }
    }

    fn note_oddities(&mut self, header: &ElementHeader, place: Place) {
        if header.is_vr_unknown {
            self.repairs.note(RepairKind::UnknownVr, place);
        }
        if header.length != UNDEFINED && header.length % 2 == 1 {
            self.repairs.note(RepairKind::OddLength, place);
        }
        if header.tag.0 == 2 {
            self.repairs.note(RepairKind::StrayFileMeta, place);
        }
    }
}

fn take(bytes: &[u8], left: u64) -> &[u8] {
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(..length).unwrap_or_default()
}

/// What was put up with, one entry a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Repairs(pub(super) Vec<Repair>);

impl Repairs {
    pub(super) fn note(&mut self, kind: RepairKind, place: Place) {
        match self.0.iter_mut().find(|repair| repair.kind == kind) {
            Some(repair) => repair.count = repair.count.saturating_add(1),
            None => {
                self.0.push(Repair { kind, tag: (place.tag.0, place.tag.1), offset: place.offset, count: 1 });
            }
        }
    }
}
