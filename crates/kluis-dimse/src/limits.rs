//! Every limit of this crate. Sizes in bytes.

use std::time::Duration;

/// Association PDU before the peer has proved who it is.
pub const ASSOCIATION_PDU_UNPROVED: u32 = 64 * 1024;
/// Association PDU after client authentication; a legal one of 128 contexts with 45 syntaxes each takes 148 kB.
pub const ASSOCIATION_PDU: u32 = 1024 * 1024;
/// P-DATA-TF PDU. More than we announce, as there are devices that count the headers in or do not read our maximum.
pub const DATA_PDU: u32 = 256 * 1024;
/// The maximum length that we announce (PS3.8 D.1).
pub const MAXIMUM_LENGTH: u32 = 128 * 1024;
/// The least maximum length of a peer with which we talk; none in the field is under 4,096.
pub const PEER_MAXIMUM_LENGTH_MIN: u32 = 128;
/// Where the peer sets no maximum, PDUs that we send stay within this length.
pub const PDU_SENT: u32 = 128 * 1024;
/// Presentation contexts of one request: the odd numbers of one byte.
pub const PRESENTATION_CONTEXTS: usize = 128;
/// Transfer syntaxes of one presentation context.
pub const TRANSFER_SYNTAXES: usize = 256;
/// Sub-items of the user information item; three for each of 128 SOP classes are legal.
pub const USER_SUB_ITEMS: usize = 1024;
/// Related general SOP classes of one common extended negotiation.
pub const RELATED_SOP_CLASSES: usize = 256;
/// Bytes of a data set that go out in one write, at most about twice as many.
pub const WRITTEN: usize = 64 * 1024;
/// A command set.
pub const COMMAND_SET: usize = 64 * 1024;
/// Elements of a command set; PS3.7 E.1 and E.2 know about 50.
pub const COMMAND_ELEMENTS: usize = 256;
/// Bytes of a data set that are taken and thrown away after a refusal, so that the association stays usable.
pub const DRAINED_DATA_SET: u64 = 4 * 1024 * 1024 * 1024;
/// An identifier: a list of 1,000 UIDs takes 65 kB.
pub const IDENTIFIER: usize = 256 * 1024;
/// The data set of a response to a request of ours: an identifier, or a storage commitment of some thousand instances.
pub const ANSWER_DATA_SET: usize = 1024 * 1024;
/// Notifications kept that came while something else was waited for.
pub const EVENTS_KEPT: usize = 16;
/// The data set of a request of a normalized service, which is gathered: a storage commitment of 4,000 instances takes
/// 0.6 MB.
pub const NORMALIZED_DATA_SET: usize = 1024 * 1024;
/// Bytes of such a data set that is too long that are taken and thrown away.
pub const DRAINED_NORMALIZED: u64 = 16 * 1024 * 1024;
/// Bytes of an identifier (the data set of an operation that is not offered) that are taken and thrown away.
pub const DRAINED_IDENTIFIER: u64 = 1024 * 1024;
/// Bytes that are taken and thrown away after an abort, while waiting for the peer to close.
pub const DRAINED_AFTER_ABORT: usize = 1024 * 1024;
/// Buffer of a connection until it has an association.
pub const BUFFER_BEFORE_ASSOCIATION: usize = 4 * 1024;
/// Buffer of an association: slices handed to a sink are at most this long.
pub const BUFFER: usize = 64 * 1024;

/// How long the driver waits for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// ARTIM (PS3.8 9.1.5): from the first byte of the transport connection to the last of A-ASSOCIATE-RQ, and from our
    /// last PDU to the peer's closing.
    pub artim: Duration,
    /// Between messages.
    pub idle: Duration,
    /// The rate of a message under way is looked at after each such time spent waiting for the peer.
    pub rate_window: Duration,
    /// The least number of bytes in one window.
    pub rate_window_bytes: u64,
    /// For one message of ours to be taken by the peer.
    pub write: Duration,
}

impl Default for Timing {
    /// 10 s; 60 s; 1 KiB/s over 30 s; 30 s.
    fn default() -> Self {
        Self {
            artim: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            rate_window: Duration::from_secs(30),
            rate_window_bytes: 30 * 1024,
            write: Duration::from_secs(30),
        }
    }
}
