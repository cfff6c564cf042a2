//! What is kept of a data set that passed the gate: everything but its bulk values, and where those are.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::byte_string;
use crate::Uid;

/// What the gate learnt of an object.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// The transfer syntax in which the data set really is.
    pub transfer_syntax: Uid,
    /// The data set without its bulk values.
    pub header: Header,
    /// The data set as received, in bytes.
    pub data_set_length: u64,
    /// The data set once inflated, in bytes; `data_set_length` where it is not deflated. Offsets of bulk count in this.
    pub inflated_length: u64,
    /// The elements of group 0002 as received, without preamble and prefix; empty for a bare data set.
    #[serde(with = "byte_string")]
    pub file_meta: Vec<u8>,
    /// What was wrong and could be read all the same.
    pub repairs: Vec<Repair>,
}

/// A data set with its bulk values cut out, checked by the gate; read with [`Header::events`](crate::part10::Events).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    #[serde(with = "byte_string")]
    pub(super) bytes: Vec<u8>,
    pub(super) bulk: Vec<BulkSpan>,
    pub(super) explicit_vr: bool,
    pub(super) big_endian: bool,
}

impl Header {
    /// The values that were cut out, in the order in which they stand in the data set.
    #[must_use]
    pub fn bulk(&self) -> &[BulkSpan] {
        &self.bulk
    }

    /// Whether numbers have their most significant byte first (see [`crate::part10::Events::is_big_endian`] for the
    /// exception).
    #[must_use]
    pub fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// Whether elements name their value representation.
    #[must_use]
    pub fn is_explicit_vr(&self) -> bool {
        self.explicit_vr
    }

    /// The bytes themselves: element headers and the values that are not bulk.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A value that was cut out of the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkSpan {
    /// Where in the header the value would begin, in bytes.
    pub header_position: u64,
    /// Group and element.
    pub tag: (u16, u16),
    /// Where in the (inflated) data set the value begins, in bytes; of an encapsulated one, its first item.
    pub offset: u64,
    /// Length of the value, in bytes; of an encapsulated one, up to and with its sequence delimiter.
    pub length: u64,
    /// Plain or encapsulated.
    pub kind: BulkKind,
}

/// How a bulk value is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BulkKind {
    /// As one piece.
    Value,
    /// Encapsulated (PS3.5 A.4).
    Fragments {
        /// The content of the basic offset table: `u32` in little endian order each, often empty.
        #[serde(with = "byte_string")]
        offset_table: Vec<u8>,
        /// All fragments; the first one is the basic offset table.
        fragments: Vec<Fragment>,
    },
}

/// The content of one fragment, without its item header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// In the (inflated) data set, in bytes.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

/// Something that breaks the standard and could be read without doubt; each kind is noted once, with its first place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// What is wrong.
    pub kind: RepairKind,
    /// Group and element where it was first seen.
    pub tag: (u16, u16),
    /// Offset of that element in the (inflated) data set, in bytes; in the file meta group for what concerns it.
    pub offset: u64,
    /// How often it was seen.
    pub count: u32,
}

/// What the gate puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RepairKind {
    /// A file without the 128 bytes in front of `DICM`.
    PreambleMissing,
    /// A file without `DICM`.
    PrefixMissing,
    /// A file without file meta information: the encoding was told from the first element.
    FileMetaMissing,
    /// File meta information in implicit VR.
    FileMetaImplicit,
    /// No (0002,0000).
    FileMetaLengthMissing,
    /// (0002,0000) says something else than the elements do.
    FileMetaLengthWrong,
    /// No (0002,0010): the encoding was told from the first element.
    TransferSyntaxMissing,
    /// (0002,0010) says explicit VR where the data set is implicit, or the other way round.
    TransferSyntaxWrong,
    /// A value of odd length.
    OddLength,
    /// A tag that is not greater than the one before it.
    TagOrder,
    /// A tag that stands twice in a row.
    TagTwice,
    /// An element of group 0002 in the data set.
    StrayFileMeta,
    /// Two bytes that are no value representation, read as UN.
    UnknownVr,
    /// An item in implicit VR inside a data set in explicit VR.
    ImplicitItem,
    /// Encapsulated pixel data in a transfer syntax for native pixel data.
    EncapsulatedInNativeSyntax,
    /// Zeros after the last element.
    ZeroPadding,
    /// A checksum and length as of gzip behind a deflated data set.
    DeflateTrailer,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("bytes", &self.bytes.len())
            .field("bulk", &self.bulk)
            .field("explicit_vr", &self.explicit_vr)
            .field("big_endian", &self.big_endian)
            .finish()
    }
}

impl fmt::Debug for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outline")
            .field("transfer_syntax", &self.transfer_syntax)
            .field("header", &self.header)
            .field("data_set_length", &self.data_set_length)
            .field("inflated_length", &self.inflated_length)
            .field("file_meta", &self.file_meta.len())
            .field("repairs", &self.repairs)
            .finish()
    }
}
