//! Every way in which a peer can break the rules, and what it is told.

use super::State;
use crate::{
    command::CommandError,
    pdu::{Abort, AbortSource, PduError, abort_reason},
};

/// A peer broke the rules; the association is aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The bytes are no PDU.
    #[error(transparent)]
    Pdu(#[from] PduError),
    /// A PDU came in a state in which it may not (PS3.8 Table 9-10).
    #[error("a PDU of type {kind:#04x} came in state {state:?}")]
    UnexpectedPdu {
        /// PDU type.
        kind: u8,
        /// Our state.
        state: State,
    },
    /// A presentation data value names a context that was not accepted.
    #[error("presentation context {0} was not accepted")]
    ContextNotAccepted(u8),
    /// A presentation context was answered that was not proposed, or with a transfer syntax that was not.
    #[error("presentation context {0} was answered with what was not proposed")]
    NotProposed(u8),
    /// The maximum length of the peer leaves no room for a message.
    #[error("the peer takes PDUs of at most {0} bytes")]
    PeerMaximumLength(u32),
    /// The fragments of one message name several contexts.
    #[error("a message began in presentation context {began} and went on in {went_on}")]
    ContextChanged {
        /// Context of its first fragment.
        began: u8,
        /// Context of this fragment.
        went_on: u8,
    },
    /// A fragment of a command set came where one of a data set is due.
    #[error("a command set began before the data set was complete")]
    CommandWithinDataSet,
    /// A fragment of a data set came where one of a command set is due.
    #[error("a data set came without a command set")]
    DataSetWithoutCommand,
    /// A command set is over the limit.
    #[error("a command set is too long")]
    CommandTooLong,
    /// The bytes are no command set.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A response came to no request of ours.
    #[error("a response {0:#06x} came to no request")]
    UnexpectedResponse(u16),
    /// A request came while another one is answered, which was not negotiated (PS3.7 D.3.3.3).
    #[error("a request came while another one is answered")]
    RequestWithinOperation,
    /// The data set of a response is over the limit.
    #[error("the data set of a response is too long")]
    DataSetTooLong,
    /// A data set that is refused anyway does not end.
    #[error("a refused data set is too long to be taken")]
    RefusedDataSetTooLong,
    /// No whole A-ASSOCIATE-RQ in time (ARTIM).
    #[error("no association request in time")]
    NoRequestInTime,
    /// Nothing came for too long.
    #[error("the association was idle for too long")]
    Idle,
    /// A message came slower than the least rate.
    #[error("a message came too slowly")]
    TooSlow,
    /// The peer did not take our message.
    #[error("the peer does not read")]
    DoesNotRead,
}

impl Violation {
    /// The A-ABORT that says so (PS3.8 9.3.8). `None` where the connection is just closed (AA-2, or no one reads).
    #[must_use]
    pub fn abort(self) -> Option<Abort> {
        let provider = |reason| Some(Abort { source: AbortSource::Provider, reason });
        match self {
            Self::Pdu(PduError::UnrecognizedType(_)) => provider(abort_reason::UNRECOGNIZED_PDU),
            Self::Pdu(_)
            | Self::ContextNotAccepted(_)
            | Self::NotProposed(_)
            | Self::PeerMaximumLength(_)
            | Self::ContextChanged { .. } => provider(abort_reason::INVALID_PARAMETER),
            Self::UnexpectedPdu { .. } => provider(abort_reason::UNEXPECTED_PDU),
            Self::CommandWithinDataSet | Self::DataSetWithoutCommand => provider(abort_reason::UNEXPECTED_PARAMETER),
            Self::TooSlow => provider(abort_reason::NOT_SPECIFIED),
            Self::CommandTooLong
            | Self::Command(_)
            | Self::UnexpectedResponse(_)
            | Self::RequestWithinOperation
            | Self::DataSetTooLong
            | Self::RefusedDataSetTooLong
            | Self::Idle => Some(Abort { source: AbortSource::User, reason: abort_reason::NOT_SPECIFIED }),
            Self::NoRequestInTime | Self::DoesNotRead => None,
        }
    }
}
