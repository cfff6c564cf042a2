//! The limits of the ledger, in one place.

/// Hashes in a full tile and entries in a full bundle (C2SP tlog-tiles).
pub const TILE_WIDTH: u64 = 256;

/// The longest entry, in bytes: a bundle prefixes each with a 16-bit length.
pub const ENTRY_BYTES: usize = 65_535;

/// The most entries in one call of [`Log::append`](crate::Log::append) or [`Log::entries`](crate::Log::entries).
pub const BATCH_ENTRIES: usize = 131_072;

/// The most bytes of entries in one call of [`Log::append`](crate::Log::append).
pub const BATCH_BYTES: usize = 256 * 1024 * 1024;

/// When more than this waits in memory for its tile files, the next append writes it out first, in bytes.
pub const PENDING_BYTES: usize = 8 * 1024 * 1024;

/// Where that cannot be done, appends go on until so much waits, in bytes.
pub const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many entries that stand in full, durable bundles the journal may still repeat before it is cut short.
pub const JOURNAL_ENTRIES: u64 = 8_192;

/// How long the journal may be before it is cut short, in bytes.
pub const JOURNAL_BYTES: u64 = 16 * 1024 * 1024;

/// The longest signed note that is read, in bytes (16 signatures of the largest known kind fit).
pub const NOTE_BYTES: usize = 128 * 1024;

/// The longest origin or key name, in bytes.
pub const NAME_BYTES: usize = 255;

/// The longest path that is looked at by [`Log::file`](crate::Log::file), in bytes.
pub const PATH_BYTES: usize = 64;

/// The most hashes in a proof: two for each level of a tree of 2^64 leaves.
pub const PROOF_HASHES: usize = 128;

/// How many findings a report names; the rest is counted.
pub const FINDINGS: usize = 1_000;
