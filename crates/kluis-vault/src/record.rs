//! The form of a record.
//!
//! ```text
//! header 256 | chunks: 64 KiB sealed + 16 tag, the last one shorter | sealed metadata | zeros | trailer 16
//! ```
//!
//! A record begins and ends on a multiple of 64 bytes, so that the next one is found behind a damaged one. Records that
//! are written together stand close to each other; each such batch, and each large record with what stands behind it, begins
//! on a page of 4096 bytes of its own, so that a torn write never shares a page with what was durable before. The header has a checksum of its own and names its
//! place; the trailer holds one of everything between, so that a half-written record is found without any key. Numbers
//! are little-endian.

use std::fmt;

use kluis_keys::{KeyId, ObjectId, WRAPPED_OBJECT_KEY_LEN};

use crate::{
    Location,
    limits::{OBJECT_BYTES, SEALED_METADATA_BYTES},
};

/// Records begin at multiples of this many bytes.
pub(crate) const ALIGNMENT: u64 = 64;
/// Batches of records begin at multiples of this many bytes, which is also what writes past the page cache need.
pub(crate) const PAGE: u64 = 4096;
/// Length of a record's header.
pub(crate) const HEADER_LEN: usize = 256;
/// Length of a record's trailer.
pub(crate) const TRAILER_LEN: usize = 16;
/// Plain bytes of a chunk.
pub(crate) const CHUNK_LEN: usize = 64 * 1024;
/// What sealing adds to a chunk.
pub(crate) const TAG_LEN: usize = 16;

/// The first bytes of a record.
pub(crate) const MAGIC: [u8; 8] = *b"kluisrec";
const TRAILER_MAGIC: [u8; 4] = *b"kend";
const VERSION: u16 = 1;
const CHECKED_LEN: usize = HEADER_LEN - 4;

/// What a record holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum RecordKind {
    /// An accepted object.
    Instance,
    /// The sealed list of a series' instances.
    Manifest,
    /// Other bytes under a known identifier.
    Conflict,
}

impl RecordKind {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Instance => 1,
            Self::Manifest => 2,
            Self::Conflict => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Instance),
            2 => Some(Self::Manifest),
            3 => Some(Self::Conflict),
            _ => None,
        }
    }
}

/// A part of a record, to say where it is damaged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum RecordPart {
    /// The header, or there is no record here.
    Header,
    /// The wrapped object key.
    Key,
    /// The chunk of this number, from 0.
    Chunk(u64),
    /// The metadata section.
    Metadata,
    /// Something between header and trailer, found by the checksum without any key.
    Checksum,
    /// The record ends early.
    End,
}

impl fmt::Display for RecordPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Key => f.write_str("object key"),
            Self::Chunk(number) => write!(f, "chunk {number}"),
            Self::Metadata => f.write_str("metadata"),
            Self::Checksum => f.write_str("checksum"),
            Self::End => f.write_str("it ends early"),
        }
    }
}

/// What a record says of itself without any key. None of it is secret; all of it is bound to the sealed bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordHeader {
    /// What the record holds.
    pub kind: RecordKind,
    /// The object's id.
    pub object: ObjectId,
    /// The study key's id.
    pub key: KeyId,
    /// The object key, wrapped by the study key.
    pub wrapped: [u8; WRAPPED_OBJECT_KEY_LEN],
    /// The object's length in bytes.
    pub plain_length: u64,
    /// The sealed metadata's length in bytes.
    pub metadata_length: u64,
}

impl RecordHeader {
    /// Number of chunks: an empty object has one, which is empty.
    pub(crate) fn chunks(&self) -> u64 {
        self.plain_length.div_ceil(CHUNK_LEN as u64).max(1)
    }

    /// Length of all sealed chunks.
    pub(crate) fn body_length(&self) -> u64 {
        self.plain_length.saturating_add(self.chunks().saturating_mul(TAG_LEN as u64))
    }

    /// First byte of the metadata in the record.
    pub(crate) fn metadata_offset(&self) -> u64 {
        self.body_length().saturating_add(HEADER_LEN as u64)
    }

    /// Length of the whole record.
    pub(crate) fn record_length(&self) -> u64 {
        let end = self.metadata_offset().saturating_add(self.metadata_length).saturating_add(TRAILER_LEN as u64);
        end.div_ceil(ALIGNMENT).saturating_mul(ALIGNMENT)
    }

    /// The header's bytes at its place.
    pub(crate) fn encode(&self, pack: u64, offset: u64) -> [u8; HEADER_LEN] {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([self.kind.code(), 0]);
        bytes.extend((CHUNK_LEN as u32).to_le_bytes());
        bytes.extend(self.object.0);
        bytes.extend(self.key.0);
        bytes.extend(self.wrapped);
        for number in [self.plain_length, self.metadata_length, self.record_length(), pack, offset] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(CHECKED_LEN, 0);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes.try_into().unwrap_or([0; HEADER_LEN])
    }

    /// Reads a header that stands at this place. `None` where there is none, or it is not whole, or it is for elsewhere.
    pub(crate) fn decode(bytes: &[u8], pack: u64, offset: u64) -> Option<Self> {
        let (checked, sum) = bytes.first_chunk::<HEADER_LEN>()?.split_first_chunk::<CHECKED_LEN>()?;
        let mut fields = Fields(checked);
        // Magic first: most places that are tried are none.
        if fields.take()? != MAGIC || sum != crc32fast::hash(checked).to_le_bytes() {
            return None;
        }
        if u16::from_le_bytes(fields.take()?) != VERSION {
            return None;
        }
        let [kind, 0] = fields.take()? else { return None };
        if u32::from_le_bytes(fields.take()?) != CHUNK_LEN as u32 {
            return None;
        }
        let header = Self {
            kind: RecordKind::from_code(kind)?,
            object: ObjectId(fields.take()?),
            key: KeyId(fields.take()?),
            wrapped: fields.take()?,
            plain_length: fields.number()?,
            metadata_length: fields.number()?,
        };
        let is_bounded = header.plain_length <= OBJECT_BYTES && header.metadata_length <= SEALED_METADATA_BYTES;
        let is_here = is_bounded
            && fields.number()? == header.record_length()
            && fields.number()? == pack
            && fields.number()? == offset;
        is_here.then_some(header)
    }

    /// The record that this header begins.
    pub(crate) fn location(&self, pack: u64, offset: u64) -> Location {
        Location { pack, offset, length: self.record_length() }
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// The trailer for a record of this length whose bytes between header and trailer have this checksum.
pub(crate) fn trailer(record_length: u64, checksum: u32) -> [u8; TRAILER_LEN] {
    let mut bytes = [0; TRAILER_LEN];
    let fields = TRAILER_MAGIC.into_iter().chain(checksum.to_le_bytes()).chain(record_length.to_le_bytes());
    for (to, from) in bytes.iter_mut().zip(fields) {
        *to = from;
    }
    bytes
}

/// Zeros between the end of the metadata and the trailer.
pub(crate) fn padding(header: &RecordHeader) -> usize {
    let used = header.metadata_offset().saturating_add(header.metadata_length).saturating_add(TRAILER_LEN as u64);
    usize::try_from(header.record_length().saturating_sub(used)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordHeader {
        RecordHeader {
            kind: RecordKind::Conflict,
            object: ObjectId([3; 16]),
            key: KeyId([4; 32]),
            wrapped: [5; WRAPPED_OBJECT_KEY_LEN],
            plain_length: 70_000,
            metadata_length: 99,
        }
    }

    #[test]
    fn header_survives_its_bytes_and_no_flip() {
        let bytes = header().encode(7, 8192);
        assert_eq!(RecordHeader::decode(&bytes, 7, 8192), Some(header()));
        assert_eq!(RecordHeader::decode(&bytes, 8, 8192), None, "another pack");
        assert_eq!(RecordHeader::decode(&bytes, 7, 4096), None, "another offset");
        assert_eq!(RecordHeader::decode(&bytes[..HEADER_LEN - 1], 7, 8192), None, "cut");
        for at in 0..HEADER_LEN {
            let mut flipped = bytes;
            flipped[at] ^= 1;
            assert_eq!(RecordHeader::decode(&flipped, 7, 8192), None, "byte {at}");
        }
    }

    #[test]
    fn header_refuses_lengths_that_lie() {
        for (plain_length, metadata_length) in [(OBJECT_BYTES + 1, 0), (u64::MAX, 0), (0, SEALED_METADATA_BYTES + 1)] {
            let lying = RecordHeader { plain_length, metadata_length, ..header() };
            assert_eq!(RecordHeader::decode(&lying.encode(0, 0), 0, 0), None, "{plain_length} {metadata_length}");
        }
    }

    #[test]
    fn record_length_is_aligned_and_holds_everything() {
        for plain_length in [0, 1, 3_000, 3_709, 3_710, 65_535, 65_536, 65_537, 131_072] {
            let header = RecordHeader { plain_length, ..header() };
            let parts =
                header.metadata_offset() + header.metadata_length + padding(&header) as u64 + TRAILER_LEN as u64;
            assert_eq!(header.record_length(), parts);
            assert_eq!(header.record_length() % ALIGNMENT, 0);
        }
    }
}
