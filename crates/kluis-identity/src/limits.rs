//! The limits of identity, in one place.

use std::time::Duration;

/// How long a browser session lives at most.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);

/// How long a browser session may lie idle.
pub const SESSION_IDLE: Duration = Duration::from_secs(3600);

/// How far `last_seen_at` may lag behind: a session is written at most once in this time, not at every request.
pub const SESSION_TOUCH: Duration = Duration::from_secs(60);

/// How long an enrolment code can be redeemed.
pub const CODE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How long a bearer token lives when nothing else is asked for.
pub const TOKEN_LIFE: Duration = Duration::from_secs(8 * 3600);

/// How long a bearer token can live at most.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long a proved identity is believed without another look; a removal takes effect within 5 s (threat T28).
pub const CACHE_LIFE: Duration = Duration::from_secs(4);

/// How many proved identities are remembered at once.
pub const CACHE_ENTRIES: usize = 4096;

/// How many rows a list of the [`Directory`](crate::Directory) returns at most.
pub const LIST_ROWS: usize = 10_000;

/// Length of a secret, in bytes.
pub const SECRET_BYTES: usize = 32;

/// The longest text that is looked at as a secret, in bytes.
pub const SECRET_TEXT_BYTES: usize = 128;

/// The longest certificate that is looked at, in bytes of DER.
pub const CERTIFICATE_BYTES: usize = 64 * 1024;

/// The longest certificate signing request that is looked at, in bytes of PEM.
pub const CSR_BYTES: usize = 64 * 1024;

/// The longest name of a user or a token, in characters.
pub const NAME_CHARACTERS: usize = 64;

/// The longest Referring Physician's Name (PS3.5 6.2: 64 characters for each of three component groups), in characters.
pub const REFERRING_CHARACTERS: usize = 194;

/// The longest HOST:PORT of a device, in bytes.
pub const ADDRESS_BYTES: usize = 260;

/// Failed proofs of one source that are answered at once.
pub const FAILURES_FREE: u32 = 5;

/// What the answer to the next one is held back; doubled for each further one.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// What an answer is held back at most.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Failures are forgotten when a source has had none for so long.
pub const FAILURES_FORGOTTEN: Duration = Duration::from_secs(60);

/// Sources whose failures are remembered.
pub const FAILING_SOURCES: usize = 4096;

/// Lines of one kind in the log within [`SPARSE_WINDOW`], where anyone on the network can cause them.
pub const SPARSE_LINES: u32 = 10;

/// See [`SPARSE_LINES`].
pub const SPARSE_WINDOW: Duration = Duration::from_secs(10);
