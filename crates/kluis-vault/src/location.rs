//! Where records stand.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A whole record: its pack, its first byte, and its length with everything around it, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Location {
    /// The pack's number. Packs are numbered in the order in which they were begun.
    pub pack: u64,
    /// The record's first byte in the pack.
    pub offset: u64,
    /// The record's length.
    pub length: u64,
}

impl Location {
    /// Three numbers, big-endian: in the order of commits when compared as bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let numbers = [self.pack, self.offset, self.length].map(u64::to_be_bytes);
        for (to, from) in bytes.iter_mut().zip(numbers.as_flattened()) {
            *to = *from;
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 24]) -> Self {
        let numbers = bytes.as_chunks::<8>().0;
        let number = |at: usize| numbers.get(at).map_or(0, |bytes| u64::from_be_bytes(*bytes));
        Self { pack: number(0), offset: number(1), length: number(2) }
    }

    /// The position behind this record.
    #[must_use]
    pub fn end(self) -> Position {
        Position { pack: self.pack, offset: self.offset.saturating_add(self.length) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pack {:016x} at {} ({} bytes)", self.pack, self.offset, self.length)
    }
}

/// A place between records, in the order of commits: everything that ends at or before it has been seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// The pack's number.
    pub pack: u64,
    /// The first byte not seen yet.
    pub offset: u64,
}

impl Position {
    /// Before every record.
    pub const START: Self = Self { pack: 0, offset: 0 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pack {:016x} at {}", self.pack, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_survives_its_bytes_and_keeps_its_order() {
        let early = Location { pack: 1, offset: 0x1_0000_0000, length: u64::MAX };
        let late = Location { pack: 256, offset: 4096, length: 8192 };
        for location in [early, late] {
            assert_eq!(Location::from_bytes(location.to_bytes()), location);
        }
        assert!(early < late && early.to_bytes() < late.to_bytes());
        assert_eq!(late.end(), Position { pack: 256, offset: 12_288 });
    }
}
