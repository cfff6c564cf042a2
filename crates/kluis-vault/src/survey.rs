//! Going over everything that a vault holds, to verify it.

use std::sync::Arc;

use kluis_keys::StudyKey;

use crate::{Gap, Location, Position, RecordHeader, RecordPart};

/// A stretch of the packs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The records in it, going by their headers.
    pub records: Vec<(Location, RecordHeader)>,
    /// What is there and should not be, or is not there and should be.
    pub strays: Vec<Stray>,
    /// Where to go on; `None` at the end.
    pub next: Option<Position>,
}

/// What does not belong where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stray {
    /// Bytes that are no record.
    Gap(Gap),
    /// The first page of a pack is not what it must be.
    FirstPage {
        /// The pack's number.
        pack: u64,
    },
    /// A pack is gone.
    NoPack {
        /// The pack's number.
        pack: u64,
    },
    /// A file that this vault did not make. Its name is told where it cannot hold anything of a person.
    File {
        /// The name, or nothing.
        name: Option<String>,
    },
}

/// A record that is to be examined.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The record.
    pub location: Location,
    /// Its header, as the survey found it.
    pub header: RecordHeader,
    /// The key of its study; without it only checksums are verified.
    pub key: Option<Arc<StudyKey>>,
}

/// What is in a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// The metadata that was kept with the object; `None` where it does not open.
    pub metadata: Option<Vec<u8>>,
    /// BLAKE3 over the object; `None` where it was not read or a chunk does not open.
    pub digest: Option<[u8; 32]>,
    /// Bytes of the object that were read.
    pub bytes: u64,
    /// What is damaged; empty where all is well. Of damaged chunks the first [`Examined::DAMAGE_MAX`].
    pub damage: Vec<RecordPart>,
}

impl Examined {
    /// How many damaged parts are named at most.
    pub const DAMAGE_MAX: usize = 16;
}
