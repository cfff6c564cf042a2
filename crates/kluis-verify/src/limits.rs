//! How much of anything is taken, in one place.

/// The longest line of a proof, in bytes.
pub const LINE_BYTES: usize = 32 << 20;

/// Lines of a proof at most.
pub const LINES: usize = 2_000_000;

/// Hashes of an inclusion proof at most: one for each level of a tree of 2^63 leaves.
pub const PATH_HASHES: usize = 64;

/// The longest leaf, in bytes.
pub const LEAF_BYTES: usize = 4_096;

/// The longest text of any other field, in bytes.
pub const TEXT_BYTES: usize = 1_024;

/// The longest signed note, in bytes.
pub const NOTE_BYTES: usize = 128 << 10;

/// Files and folders under a path, or entries of a ZIP file, at most.
pub const FILES: usize = 4_000_000;

/// Folders inside one another at most.
pub const DEPTH: usize = 16;

/// Parts of an object at most.
pub const PARTS: usize = 20_000;

/// Places that are named for an altered object; the rest is counted.
pub const PLACES: usize = 16;

/// Bytes read at once.
pub const READ_BYTES: usize = 1 << 20;

/// The longest key file, in bytes.
pub const KEY_BYTES: usize = 4_096;

/// The longest piece of an object with a hash of its own, in bytes: held in memory while it is compared.
pub const STEP_BYTES: u64 = 16 << 20;

/// Bytes of proof lines that are held while altered places are looked for.
pub const LOCATED_BYTES: usize = 256 << 20;
