//! Reads a header that passed the gate, element by element, without recursion.

use dicom_core::{Tag, VR};

use super::{
    element::{Decoded, Syntax, decode},
    nesting::{Nesting, Step},
    outline::{BulkSpan, Header},
};

/// Decides between US and SS for others.
const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);

/// One step through a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A data element that is no sequence.
    Element {
        /// Its tag.
        tag: Tag,
        /// As written, or from the dictionary where it is not written.
        vr: VR,
        /// Its value.
        value: Value<'a>,
    },
    /// A sequence begins; its items follow.
    SequenceStart {
        /// Its tag.
        tag: Tag,
    },
    /// An item begins; its elements follow.
    ItemStart,
    /// The item ends.
    ItemEnd,
    /// The sequence ends.
    SequenceEnd,
}

/// A value as it stands in the data set: padding included, in the byte order of the data set.
#[derive(Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// The bytes.
    Inline(&'a [u8]),
    /// The value is bulk and stands in the object only.
    Bulk {
        /// Its index in [`Header::bulk`].
        index: usize,
        /// Where it is.
        span: &'a BulkSpan,
    },
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(bytes) => write!(f, "Inline({} bytes)", bytes.len()),
            Self::Bulk { index, .. } => write!(f, "Bulk({index})"),
        }
    }
}

/// Iterator over the events of a header. Never fails: the gate has checked the structure before. A header that did not come
/// from the gate ends where it stops making sense.
#[derive(Debug, Clone)]
pub struct Events<'a> {
    header: &'a Header,
    nesting: Nesting,
    /// In the bytes of the header.
    position: usize,
    /// In the data set: `position` and the bulk values so far.
    offset: u64,
    next_bulk: usize,
    is_big_endian: bool,
}

impl Header {
    /// The data elements in the order in which they stand in the data set.
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        let syntax = Syntax { explicit_vr: self.explicit_vr, big_endian: self.big_endian };
        Events {
            header: self,
            nesting: Nesting::new(syntax),
            position: 0,
            offset: 0,
            next_bulk: 0,
            is_big_endian: self.big_endian,
        }
    }
}

impl<'a> Events<'a> {
    /// Whether the value of the last event has its most significant byte first. As [`Header::is_big_endian`], except
    /// inside UN of undefined length, which is always little endian (PS3.5 6.2.2).
    #[must_use]
    pub fn is_big_endian(&self) -> bool {
        self.is_big_endian
    }

    /// Where in the (inflated) data set the last event ended, in bytes: where the next element begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many sequences are open after the last event.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.nesting.depth()
    }

    fn read(&mut self) -> Option<Event<'a>> {
        let rest = self.header.bytes.get(self.position..)?;
        if let Some(first) = rest.first_chunk() {
            self.nesting.probe(*first);
        }
        let syntax = self.nesting.syntax();
        let Decoded::Header(header) = decode(rest, syntax) else { return None };
        let step = self.nesting.step(&header, self.offset).ok()?;
        self.position = self.position.checked_add(header.size)?;
        self.offset = self.offset.checked_add(header.size as u64)?;
        self.is_big_endian = syntax.big_endian;
        match step {
            Step::Value { vr, length } => self.value(header.tag, vr, u64::from(length)),
            Step::Fragments { vr } => self.value(header.tag, vr, u64::MAX),
            Step::SequenceStart => Some(Event::SequenceStart { tag: header.tag }),
            Step::ItemStart => Some(Event::ItemStart),
            Step::ItemEnd => Some(Event::ItemEnd),
            Step::SequenceEnd => Some(Event::SequenceEnd),
        }
    }

    fn value(&mut self, tag: Tag, vr: VR, length: u64) -> Option<Event<'a>> {
        let index = self.next_bulk;
        if let Some(span) = self.header.bulk.get(index)
            && span.header_position == self.position as u64
        {
            self.next_bulk += 1;
            self.offset = self.offset.checked_add(span.length)?;
            return Some(Event::Element { tag, vr, value: Value::Bulk { index, span } });
        }
        let end = self.position.checked_add(usize::try_from(length).ok()?)?;
        let bytes = self.header.bytes.get(self.position..end)?;
        self.position = end;
        self.offset = self.offset.checked_add(length)?;
        if tag == PIXEL_REPRESENTATION {
            self.nesting.set_signed(bytes.contains(&1));
        }
        Some(Event::Element { tag, vr, value: Value::Inline(bytes) })
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        match self.nesting.close_at(self.offset) {
            Some(Step::ItemEnd) => return Some(Event::ItemEnd),
            Some(_) => return Some(Event::SequenceEnd),
            None => {}
        }
        let event = self.read();
        if event.is_none() {
            self.position = usize::MAX;
        }
        event
    }
}

impl std::iter::FusedIterator for Events<'_> {}
