//! Why bytes were refused, by name and place; never with a value, so that no patient data gets into an error.

use std::fmt;

use dicom_core::Tag;

use crate::Uid;

/// Where in a data set something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The data element, or the sequence, item or delimiter.
    pub tag: Tag,
    /// Offset of its first byte in the data set (in the inflated one, where it came deflated), in bytes.
    pub offset: u64,
    /// How many sequences it stands in.
    pub depth: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:04X},{:04X}) at offset {}, depth {}", self.tag.0, self.tag.1, self.offset, self.depth)
    }
}

/// Every way in which bytes can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Neither a DICOM file nor anything that looks like a data set.
    #[error("the bytes are no DICOM file")]
    NotDicom,
    /// No data element at all.
    #[error("there is no data element")]
    NoElements,
    /// The transfer syntax is none of PS3.6 Table A-1 (a private one, for instance), so nothing can be read.
    #[error("transfer syntax {uid} is unknown")]
    UnknownTransferSyntax {
        /// What (0002,0010) or the presentation context says.
        uid: Uid,
    },
    /// (0002,0010) is no UID.
    #[error("the transfer syntax is no UID")]
    InvalidTransferSyntax,
    /// File meta information without (0002,0010), and a data set whose encoding its first element does not tell.
    #[error("the file does not say its transfer syntax")]
    TransferSyntaxMissing,
    /// The file meta group does not follow PS3.10 7.1; offsets count from its first element.
    #[error("the file meta information is malformed: {0}")]
    FileMetaMalformed(Place),
    /// More file meta than [`crate::limits::Limits::file_meta_bytes`].
    #[error("the file meta information is longer than {limit} bytes")]
    FileMetaTooLong {
        /// In bytes.
        limit: u64,
    },
    /// The bytes end inside the file meta group.
    #[error("the bytes end inside the file meta information")]
    FileMetaTruncated,
    /// The bytes end inside this element, item or sequence.
    #[error("the bytes end inside {0}")]
    Truncated(Place),
    /// The bytes end inside the deflated stream.
    #[error("the bytes end inside the deflated data set")]
    DeflateTruncated,
    /// The deflated stream is damaged (RFC 1951).
    #[error("the deflated data set is damaged after {offset} bytes")]
    DeflateDamaged {
        /// How far it was inflated, in bytes.
        offset: u64,
    },
    /// The deflated data set grows too much.
    #[error("the deflated data set grows more than {ratio} times")]
    DeflateRatio {
        /// Bytes out for one in.
        ratio: u64,
    },
    /// Something else than padding follows the deflated stream.
    #[error("bytes follow the deflated data set")]
    BytesAfterDeflate,
    /// Something else than zeros follows zero padding.
    #[error("bytes follow the padding after {0}")]
    BytesAfterPadding(Place),
    /// More bytes than [`crate::limits::Limits::object_bytes`], received or inflated or declared.
    #[error("the object is larger than {limit} bytes")]
    ObjectTooLarge {
        /// In bytes.
        limit: u64,
    },
    /// All but the bulk values is more than [`crate::limits::Limits::header_bytes`].
    #[error("the header is larger than {limit} bytes at {place}")]
    HeaderTooLarge {
        /// Where.
        place: Place,
        /// In bytes.
        limit: u64,
    },
    /// Sequences inside one another beyond [`crate::limits::Limits::depth`].
    #[error("more than {limit} sequences inside one another at {place}")]
    TooDeep {
        /// Where.
        place: Place,
        /// Sequences.
        limit: u32,
    },
    /// More than [`crate::limits::Limits::elements`].
    #[error("more than {limit} data elements at {place}")]
    TooManyElements {
        /// Where.
        place: Place,
        /// Data elements and items.
        limit: u32,
    },
    /// More than [`crate::limits::Limits::sequence_items`].
    #[error("more than {limit} items in a sequence at {place}")]
    TooManyItems {
        /// Where.
        place: Place,
        /// Items.
        limit: u32,
    },
    /// More than [`crate::limits::Limits::fragments`].
    #[error("more than {limit} fragments at {place}")]
    TooManyFragments {
        /// Where.
        place: Place,
        /// Fragments.
        limit: u32,
    },
    /// More than [`crate::limits::Limits::bulk_values`].
    #[error("more than {limit} bulk values at {place}")]
    TooManyBulkValues {
        /// Where.
        place: Place,
        /// Values.
        limit: u32,
    },
    /// A length that reaches beyond the item or sequence around it.
    #[error("{length} bytes where {available} bytes are left in what contains it: {place}")]
    LengthBeyondParent {
        /// Where.
        place: Place,
        /// As declared, and with the header in front, in bytes.
        length: u64,
        /// From that header on, in bytes.
        available: u64,
    },
    /// An undefined length where PS3.5 7.1 allows none.
    #[error("an undefined length that is not allowed: {0}")]
    UndefinedLength(Place),
    /// Two bytes where a value representation should stand, which are none.
    #[error("an unknown value representation: {0}")]
    UnknownVr(Place),
    /// Something else than an item or a delimiter in a sequence or in encapsulated pixel data.
    #[error("an item was expected in a sequence: {0}")]
    ItemExpected(Place),
    /// An item or a delimiter where none can be.
    #[error("an item or delimiter out of place: {0}")]
    UnexpectedDelimiter(Place),
    /// A delimiter with a length other than zero.
    #[error("a delimiter with a length: {0}")]
    DelimiterLength(Place),
    /// An element of the command group (0000,xxxx), which never stands in a data set (PS3.7 6.3.1).
    #[error("a command element in a data set: {0}")]
    CommandGroup(Place),
}
