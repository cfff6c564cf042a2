//! Every limit of this crate; those of messages and of waiting stand in `kluis_dimse::limits`, those of failed
//! identities in `kluis_identity::limits`.

use std::time::Duration;

/// Associations at a time.
pub const ASSOCIATIONS: usize = 256;

/// Associations at a time from one source address.
pub const ASSOCIATIONS_PER_SOURCE: usize = 64;

/// Associations at a time of one device, whatever its addresses.
pub const ASSOCIATIONS_PER_DEVICE: usize = 64;

/// So many associations of all are kept for devices that have fewer than [`FEW_ASSOCIATIONS`]: devices that open all
/// they can and fall silent do not shut out the others.
pub const ASSOCIATIONS_KEPT: usize = 64;

/// See [`ASSOCIATIONS_KEPT`].
pub const FEW_ASSOCIATIONS: usize = 4;

/// Connections at a time that have no association: silent ones, handshakes, requests, rejections. One more sends the
/// oldest of the source with the most away.
pub const WAITING: usize = 512;

/// Connections sent away at once where the operating system has no more files to give.
pub const SENT_AWAY_WHEN_OUT_OF_FILES: usize = 16;

/// How long the listener rests then.
pub const REST_WHEN_OUT_OF_FILES: Duration = Duration::from_millis(50);

/// For messages under way when the node stops.
pub const GRACE: Duration = Duration::from_secs(30);

/// Objects of one C-GET.
pub const SUB_OPERATIONS: usize = 50_000;

/// Studies of a patient that are retrieved together.
pub const PATIENT_STUDIES: u32 = 200;
