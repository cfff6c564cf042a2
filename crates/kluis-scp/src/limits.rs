//! Every limit of this crate; those of messages and of waiting stand in `kluis_dimse::limits`, those of failed
//! identities in `kluis_identity::limits`.

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

/// For messages under way when the node stops.
pub const GRACE: Duration = Duration::from_secs(30);
