//! Contents of the association PDUs (PS3.8 9.3.2 to 9.3.4 and 9.3.8).

use kluis_dicom::Uid;

use super::UserInformation;

/// A-ASSOCIATE-RQ (PS3.8 9.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociateRq {
    /// Bit field; only bit 0 is tested (PS3.8 9.3.2).
    pub protocol_version: u16,
    /// Called AE title as sent, padded with spaces.
    pub called_ae: [u8; 16],
    /// Calling AE title as sent, padded with spaces.
    pub calling_ae: [u8; 16],
    /// Reserved, and repeated in the answer (PS3.8 9.3.3).
    pub reserved: [u8; 32],
    /// Application context name; `None` where there is none or it is no UID.
    pub application_context: Option<Uid>,
    /// Proposed presentation contexts, ids odd and each once.
    pub contexts: Vec<ProposedContext>,
    /// User information.
    pub user: UserInformation,
}

/// A proposed presentation context (PS3.8 9.3.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedContext {
    /// Odd number from 1 to 255.
    pub id: u8,
    /// Abstract syntax; `None` where there is none or it is no UID.
    pub abstract_syntax: Option<Uid>,
    /// Transfer syntaxes in the requestor's order; those that are no UIDs are left out.
    pub transfer_syntaxes: Vec<Uid>,
}

/// A-ASSOCIATE-AC (PS3.8 9.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociateAc {
    /// Bit field; 1.
    pub protocol_version: u16,
    /// Called AE title of the request.
    pub called_ae: [u8; 16],
    /// Calling AE title of the request.
    pub calling_ae: [u8; 16],
    /// Reserved bytes of the request.
    pub reserved: [u8; 32],
    /// Application context name.
    pub application_context: Option<Uid>,
    /// One answer for each proposed context.
    pub contexts: Vec<ContextReply>,
    /// User information.
    pub user: UserInformation,
}

/// The answer to one proposed presentation context (PS3.8 9.3.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextReply {
    /// The id of the proposal.
    pub id: u8,
    /// Acceptance, or the reason against it.
    pub result: ContextResult,
    /// The transfer syntax; without meaning unless accepted.
    pub transfer_syntax: Option<Uid>,
}

/// Result of a presentation context (PS3.8 Table 9-18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextResult {
    /// 0
    Acceptance,
    /// 1
    UserRejection,
    /// 2
    NoReason,
    /// 3
    AbstractSyntaxNotSupported,
    /// 4
    TransferSyntaxesNotSupported,
    /// Any other number.
    Other(u8),
}

impl ContextResult {
    /// The number in the PDU.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Acceptance => 0,
            Self::UserRejection => 1,
            Self::NoReason => 2,
            Self::AbstractSyntaxNotSupported => 3,
            Self::TransferSyntaxesNotSupported => 4,
            Self::Other(code) => code,
        }
    }
}

impl From<u8> for ContextResult {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Acceptance,
            1 => Self::UserRejection,
            2 => Self::NoReason,
            3 => Self::AbstractSyntaxNotSupported,
            4 => Self::TransferSyntaxesNotSupported,
            other => Self::Other(other),
        }
    }
}

/// Whether it makes sense to try again (PS3.8 Table 9-21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectResult {
    /// 1
    Permanent,
    /// 2
    Transient,
    /// Any other number.
    Other(u8),
}

impl RejectResult {
    /// The number in the PDU.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Permanent => 1,
            Self::Transient => 2,
            Self::Other(code) => code,
        }
    }
}

impl From<u8> for RejectResult {
    fn from(code: u8) -> Self {
        match code {
            1 => Self::Permanent,
            2 => Self::Transient,
            other => Self::Other(other),
        }
    }
}

/// A-ASSOCIATE-RJ (PS3.8 9.3.4): result, and source and reason as in Table 9-21.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociateRj {
    /// Permanent or transient.
    pub result: RejectResult,
    /// 1 service user, 2 service provider (ACSE), 3 service provider (presentation).
    pub source: u8,
    /// Meaning depends on the source.
    pub reason: u8,
}

impl std::fmt::Display for AssociateRj {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = match (self.source, self.reason) {
            (1, 2) => "application context name not supported",
            (1, 3) => "calling AE title not recognised",
            (1, 7) => "called AE title not recognised",
            (2, 2) => "protocol version not supported",
            (3, 1) => "temporary congestion",
            (3, 2) => "local limit exceeded",
            _ => "no reason given",
        };
        let how_long = match self.result {
            RejectResult::Transient => "for now",
            _ => "for good",
        };
        write!(f, "{why}, {how_long} ({}, {}, {})", self.result.code(), self.source, self.reason)
    }
}

/// Rejections that an acceptor sends (PS3.8 Table 9-21).
pub mod reject_reason {
    use super::{AssociateRj, RejectResult};

    const fn permanent(source: u8, reason: u8) -> AssociateRj {
        AssociateRj { result: RejectResult::Permanent, source, reason }
    }

    /// Application context name not supported.
    pub const APPLICATION_CONTEXT: AssociateRj = permanent(1, 2);
    /// Calling AE title not recognised; also the answer to everything that is wrong with an identity.
    pub const CALLING_AE: AssociateRj = permanent(1, 3);
    /// Called AE title not recognised.
    pub const CALLED_AE: AssociateRj = permanent(1, 7);
    /// Protocol version not supported.
    pub const PROTOCOL_VERSION: AssociateRj = permanent(2, 2);
    /// Temporary congestion.
    pub const CONGESTION: AssociateRj = AssociateRj { result: RejectResult::Transient, source: 3, reason: 1 };
    /// Local limit exceeded.
    pub const LOCAL_LIMIT: AssociateRj = AssociateRj { result: RejectResult::Transient, source: 3, reason: 2 };
}

/// Who aborts (PS3.8 Table 9-26).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortSource {
    /// 0: the service user; the reason has no meaning then.
    User,
    /// 2: the service provider.
    Provider,
    /// Any other number.
    Other(u8),
}

impl AbortSource {
    /// The number in the PDU.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::User => 0,
            Self::Provider => 2,
            Self::Other(code) => code,
        }
    }
}

impl From<u8> for AbortSource {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::User,
            2 => Self::Provider,
            other => Self::Other(other),
        }
    }
}

/// A-ABORT (PS3.8 9.3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort {
    /// Who aborts.
    pub source: AbortSource,
    /// One of [`abort_reason`].
    pub reason: u8,
}

/// Reasons of a provider's A-ABORT (PS3.8 Table 9-26).
pub mod abort_reason {
    /// Not specified.
    pub const NOT_SPECIFIED: u8 = 0;
    /// Unrecognised PDU.
    pub const UNRECOGNIZED_PDU: u8 = 1;
    /// Unexpected PDU.
    pub const UNEXPECTED_PDU: u8 = 2;
    /// Unrecognised PDU parameter.
    pub const UNRECOGNIZED_PARAMETER: u8 = 4;
    /// Unexpected PDU parameter.
    pub const UNEXPECTED_PARAMETER: u8 = 5;
    /// Invalid PDU parameter value.
    pub const INVALID_PARAMETER: u8 = 6;
}
