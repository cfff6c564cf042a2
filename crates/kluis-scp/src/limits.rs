//! Every limit of this crate; those of messages and of waiting stand in `kluis_dimse::limits`.

use std::time::Duration;

/// Associations at a time.
pub const ASSOCIATIONS: usize = 256;

/// Associations at a time from one source address.
pub const ASSOCIATIONS_PER_SOURCE: usize = 64;

/// Connections at a time that have no association: silent ones, handshakes, requests, rejections. One more sends the
/// oldest of the source with the most away. With the associations they stay well under the 1,024 open files that a
/// process commonly gets, so that no number of callers can keep the stores from opening theirs.
pub const WAITING: usize = 512;

/// Connections sent away at once where the operating system has no more files to give.
pub const SENT_AWAY_WHEN_OUT_OF_FILES: usize = 16;

/// How long the listener rests then.
pub const REST_WHEN_OUT_OF_FILES: Duration = Duration::from_millis(50);

/// Failed identities of one source that are answered at once.
pub const FAILURES_FREE: u32 = 5;

/// What the answer to the next one is held back; doubled for each further one.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// What an answer is held back at most.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Failures are forgotten when a source has had none for so long.
pub const FAILURES_FORGOTTEN: Duration = Duration::from_secs(60);

/// Sources whose failures are remembered.
pub const FAILING_SOURCES: usize = 4096;

/// For messages under way when the node stops.
pub const GRACE: Duration = Duration::from_secs(30);
