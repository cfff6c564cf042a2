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

/// Objects of one C-GET or C-MOVE.
pub const SUB_OPERATIONS: usize = 50_000;

/// Associations at a time over which the objects of one C-MOVE go out.
pub const ASSOCIATIONS_PER_MOVE: usize = 3;

/// Objects for each of them, before another one is opened.
pub const OBJECTS_PER_ASSOCIATION: usize = 16;

/// How often in a row an association to a destination may break before the rest counts as failed.
pub const BROKEN_IN_A_ROW: usize = 3;

/// For a destination to take our connection and shake hands.
pub const CONNECT: Duration = Duration::from_secs(10);

/// SOP Instance UIDs in a list of those that failed; more do not fit one value of explicit VR.
pub const FAILED_LISTED: usize = 4_096;

/// For the answer of a device to a notification on the association on which it asked.
pub const COMMITMENT_ANSWER: Duration = Duration::from_secs(30);

/// Between two looks at what has to be told.
pub const COMMITMENT_LOOK: Duration = Duration::from_secs(5);

/// Until a device that was not reached is called again; twice as long after each time, up to the other one.
pub const COMMITMENT_PAUSE: Duration = Duration::from_secs(5);

/// See [`COMMITMENT_PAUSE`].
pub const COMMITMENT_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// How long a device is tried to be told.
pub const COMMITMENT_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Devices that are told at the same time.
pub const COMMITMENTS_AT_ONCE: usize = 8;

/// Requests for commitment that are looked at together.
pub const COMMITMENTS_A_ROUND: u32 = 16;

/// Destinations that are sent to at the same time.
pub const DESTINATIONS_AT_ONCE: usize = 8;

/// Objects that are sent over one association.
pub const OUTGOING_A_BATCH: u32 = 500;

/// Objects over which an association may break in a row before its destination gets a rest.
pub const OUTGOING_BROKEN: u32 = 3;

/// Between two looks at what has to be sent, where something new comes all the time.
pub const OUTGOING_LOOK_MIN: Duration = Duration::from_millis(500);

/// Between two looks at what has to be sent.
pub const OUTGOING_LOOK: Duration = Duration::from_secs(5);

/// Until what was not taken is tried again; twice as long after each time, up to the other one.
pub const OUTGOING_PAUSE: Duration = Duration::from_secs(2);

/// See [`OUTGOING_PAUSE`].
pub const OUTGOING_PAUSE_MAX: Duration = Duration::from_secs(1800);

/// Studies of a patient that are retrieved together.
pub const PATIENT_STUDIES: u32 = 200;
