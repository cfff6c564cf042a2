//! Serves one association over any stream: reads, asks [`Services`], writes.
//!
//! One write and one flush per message. The data set of a C-STORE is handed on in the slices in which it arrives and is
//! never gathered. May not contain: rules of the protocol, which stand in [`crate::association`].

pub(crate) mod connection;
mod find;
mod get;
mod normalized;
mod notify;
pub(crate) mod outgoing;
mod session;
mod transfer;

pub(crate) use session::kind_of;

use std::io;

use kluis_dicom::{AeTitle, Uid};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::Instant,
};

use crate::{
    Services,
    association::{Acceptor, Violation},
    limits::Timing,
    pdu::{Abort, AssociateRj, PduLimits},
};

/// How associations are served.
#[derive(Debug, Clone)]
pub struct Config {
    /// What is accepted.
    pub acceptor: Acceptor,
    /// How long a peer is waited for.
    pub timing: Timing,
    /// The longest PDUs that are taken.
    pub pdu_limits: PduLimits,
}

/// What became of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How it ended.
    pub how: How,
    /// Calling AE title, where a request came and it has one.
    pub calling: Option<AeTitle>,
    /// Implementation class UID of the peer.
    pub implementation_class_uid: Option<Uid>,
    /// Messages that were answered.
    pub messages: u64,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// Released by the peer.
    Released,
    /// Rejected by us.
    Rejected(AssociateRj),
    /// Aborted by the peer.
    Aborted(Abort),
    /// Closed by the peer without release, or lost.
    Closed,
    /// Reading or writing failed.
    Io(io::ErrorKind),
    /// Aborted by us, as the peer broke a rule.
    Violation(Violation),
    /// Aborted by us, as the rest of an object that was being sent could not be read.
    Unreadable,
    /// Ended by us, as the node stops.
    ShutDown,
}

impl From<Violation> for How {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// Serves one connection to its end, including the wait for the peer's closing.
///
/// `opened` is when the transport connection was opened: ARTIM counts from there, so that a TLS handshake counts in.
/// When `shutdown` turns true, the message under way is finished and the association aborted.
pub async fn serve<S, V>(
    stream: S,
    services: &mut V,
    config: &Config,
    opened: Instant,
    shutdown: watch::Receiver<bool>,
) -> Ending
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    V: Services,
{
    session::Session::new(stream, services, config, shutdown).run(opened).await
}
