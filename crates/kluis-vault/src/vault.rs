//! The trait of every vault.

use async_trait::async_trait;
use kluis_keys::StudyKey;

use crate::{
    Candidate, Examined, Location, ObjectReader, ObjectWriter, Position, RecordHeader, RecordKind, SealedObject,
    Survey, VaultError,
};

/// Keeps sealed objects, in the order in which they were committed.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Begins an object: its bytes are sealed as they arrive. Nothing is kept before [`commit`](Self::commit).
    fn begin(&self, kind: RecordKind) -> ObjectWriter;

    /// Keeps objects; durable on return, their locations in the order given. Concurrent callers share a sync. After an
    /// error none of these objects counts as kept.
    async fn commit(&self, objects: Vec<SealedObject>) -> Result<Vec<Location>, VaultError>;

    /// Opens a record for reading, its metadata first. The caller compares [`ObjectReader::header`]'s object id with
    /// the one it expects.
    async fn open(&self, location: Location, key: &StudyKey) -> Result<ObjectReader, VaultError>;

    /// What a record says of itself; needs no key, verifies the header only.
    async fn inspect(&self, location: Location) -> Result<RecordHeader, VaultError>;

    /// Reads the whole record and verifies its checksums; needs no key.
    async fn check(&self, location: Location) -> Result<RecordHeader, VaultError>;

    /// Up to `limit` durable records behind a position, in commit order: for replay, rebuild and verification. An empty
    /// answer means that there are no more.
    async fn scan(&self, after: Position, limit: u32) -> Result<Vec<(Location, RecordHeader)>, VaultError>;

    /// What stands behind a position, in commit order, as it is on the disk now: records by their headers, and what is
    /// none. [`Position::START`] also looks for files that do not belong here. For verification.
    async fn survey(&self, after: Position, limit: u32) -> Result<Survey, VaultError>;

    /// Reads records as they are on the disk now and verifies them, their answers in the order given; with `is_full` every
    /// byte between the first of the header and the last of the trailer, without it header and metadata. For
    /// verification: one answer takes one thread for all its records.
    async fn examine(
        &self,
        candidates: Vec<Candidate>,
        is_full: bool,
    ) -> Result<Vec<Result<Examined, VaultError>>, VaultError>;

    /// The position behind the last durable record.
    async fn position(&self) -> Result<Position, VaultError>;

    /// At start, before the first commit: reads every record behind `safe` (the position up to which index and ledger
    /// are durable), cuts what a crash left half-written, and removes what was never committed. A complete record is
    /// never cut.
    async fn recover(&self, safe: Position) -> Result<Recovery, VaultError>;

    /// Figures since the vault was opened.
    fn stats(&self) -> VaultStats;
}

/// What [`Vault::recover`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whole records behind the safe position.
    pub records: u64,
    /// Half-written tails that were cut.
    pub cuts: Vec<Cut>,
    /// Bytes with whole records behind them that are no record. They were left as they are, but for a pack's first page,
    /// which was written anew.
    pub gaps: Vec<Gap>,
    /// Large objects that were never committed, removed.
    pub uncommitted: u64,
}

/// A tail that was cut from a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The pack's number.
    pub pack: u64,
    /// Its length now.
    pub offset: u64,
    /// The bytes cut.
    pub bytes: u64,
}

/// A damaged stretch of a pack with whole records behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The pack's number.
    pub pack: u64,
    /// First byte of the stretch.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
}

/// Figures of a vault since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VaultStats {
    /// Packs there are.
    pub packs: u64,
    /// Objects committed.
    pub objects: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Syncs of pack data for commits.
    pub syncs: u64,
    /// Calls of commit that failed.
    pub failures: u64,
}
