//! Why an operation came to no answer.

use std::io;

use kluis_dicom::Uid;

use crate::{
    association::Violation,
    driver::How,
    pdu::{Abort, AssociateRj},
};

/// The association is over, or never came about; but for [`Failure::NotAccepted`], after which it goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The peer let us not in.
    #[error("the peer rejected the association: {0}")]
    Rejected(AssociateRj),
    /// The peer ended it.
    #[error("the peer aborted the association (source {}, reason {})", .0.source.code(), .0.reason)]
    Aborted(Abort),
    /// The connection was closed without a word.
    #[error("the peer closed the connection")]
    Closed,
    /// Reading or writing failed.
    #[error("the connection failed: {0}")]
    Io(io::ErrorKind),
    /// The peer broke a rule, or was too slow; we have aborted.
    #[error("the association was aborted here: {0}")]
    Violation(Violation),
    /// There is no context for what was to be done.
    #[error("the peer accepted no presentation context for SOP class {0}")]
    NotAccepted(Uid),
    /// What was to be sent could not be read to its end; we have aborted.
    #[error("the rest of an object could not be read")]
    Unreadable,
    /// We stop; we have aborted.
    #[error("stopped")]
    ShutDown,
}

impl From<How> for Failure {
    fn from(how: How) -> Self {
        match how {
            How::Rejected(rj) => Self::Rejected(rj),
            How::Aborted(abort) => Self::Aborted(abort),
            How::Released | How::Closed => Self::Closed,
            How::Io(kind) => Self::Io(kind),
            How::Violation(violation) => Self::Violation(violation),
            How::Unreadable => Self::Unreadable,
            How::ShutDown => Self::ShutDown,
        }
    }
}
