//! Every limit of this crate.

/// Longest file read from the keys directory, in bytes.
pub(crate) const FILE_BYTES: u64 = 1024 * 1024;

/// Most study keys held in memory at once.
pub(crate) const CACHED_STUDY_KEYS: usize = 4096;

/// Most tenant key versions in `tenant.json`.
pub(crate) const TENANT_VERSIONS: usize = 1024;

/// Shortest passphrase taken for a new root key, in characters.
pub(crate) const PASSPHRASE_CHARS: usize = 12;

/// Argon2id memory, in KiB: least accepted (OWASP's minimum), used for new keys, most accepted (a forged file must not
/// take the machine's memory).
pub(crate) const ARGON2_MEMORY_KIB: (u32, u32, u32) = (19 * 1024, 64 * 1024, 1024 * 1024);

/// Argon2id passes: least accepted, used for new keys, most accepted.
pub(crate) const ARGON2_PASSES: (u32, u32, u32) = (2, 3, 32);

/// Argon2id lanes: least accepted, used for new keys, most accepted.
pub(crate) const ARGON2_LANES: (u32, u32, u32) = (1, 1, 16);
