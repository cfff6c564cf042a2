//! The seven protocol data units of the upper layer, their items and sub-items (PS3.8 9.3 and D, PS3.7 D.3.3).
//!
//! [`read`] and [`write`] turn whole PDUs into values and back; [`Decoder`] does so with bytes as they arrive and never
//! gathers the contents of a P-DATA-TF. No declared length is ever allocated: memory grows with the bytes that came.

mod associate;
mod cursor;
mod decoder;
mod read;
mod user_information;
mod write;

pub use associate::{
    Abort, AbortSource, AssociateAc, AssociateRj, AssociateRq, ContextReply, ContextResult, ProposedContext,
    RejectResult, abort_reason, reject_reason,
};
pub use decoder::{Decoder, Incoming, PduLimits, Step};
pub use read::read;
pub use user_information::{
    AsynchronousOperations, CommonExtendedNegotiation, ExtendedNegotiation, RoleSelection, UnknownSubItem,
    UserIdentity, UserInformation,
};
pub use write::write;

/// PDU types (PS3.8 9.3.1).
pub mod kind {
    /// A-ASSOCIATE-RQ
    pub const ASSOCIATE_RQ: u8 = 0x01;
    /// A-ASSOCIATE-AC
    pub const ASSOCIATE_AC: u8 = 0x02;
    /// A-ASSOCIATE-RJ
    pub const ASSOCIATE_RJ: u8 = 0x03;
    /// P-DATA-TF
    pub const DATA_TF: u8 = 0x04;
    /// A-RELEASE-RQ
    pub const RELEASE_RQ: u8 = 0x05;
    /// A-RELEASE-RP
    pub const RELEASE_RP: u8 = 0x06;
    /// A-ABORT
    pub const ABORT: u8 = 0x07;
}

/// The DICOM application context name (PS3.7 A.2.1).
pub const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";

/// A protocol data unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pdu {
    /// PS3.8 9.3.2
    AssociateRq(Box<AssociateRq>),
    /// PS3.8 9.3.3
    AssociateAc(Box<AssociateAc>),
    /// PS3.8 9.3.4
    AssociateRj(AssociateRj),
    /// PS3.8 9.3.5
    Data(Vec<Pdv>),
    /// PS3.8 9.3.6
    ReleaseRq,
    /// PS3.8 9.3.7
    ReleaseRp,
    /// PS3.8 9.3.8
    Abort(Abort),
}

/// A presentation data value: one fragment of a command set or of a data set (PS3.8 9.3.5.1 and E.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdv {
    /// Presentation context id.
    pub context_id: u8,
    /// A fragment of a command set, not of a data set.
    pub is_command: bool,
    /// The last fragment.
    pub is_last: bool,
    /// The fragment.
    pub bytes: Vec<u8>,
}

/// Every way in which bytes can fail to be a PDU, or a value can fail to be written as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PduError {
    /// The type is none of the seven.
    #[error("unrecognised PDU type {0:#04x}")]
    UnrecognizedType(u8),
    /// The length field is over the limit for this type.
    #[error("a PDU of type {kind:#04x} declares {declared} bytes, the limit is {limit}")]
    TooLong {
        /// PDU type.
        kind: u8,
        /// Its length field.
        declared: u32,
        /// The limit in bytes.
        limit: u32,
    },
    /// A PDU of fixed length has another.
    #[error("a PDU of type {kind:#04x} has a length of {declared}, not 4")]
    FixedLength {
        /// PDU type.
        kind: u8,
        /// Its length field.
        declared: u32,
    },
    /// A field or item ends behind the end of what holds it.
    #[error("a field ends behind the end of its item or PDU")]
    Truncated,
    /// A sub-item of fixed length has another.
    #[error("a sub-item of type {0:#04x} has the wrong length")]
    SubItemLength(u8),
    /// More items of a kind than there may be.
    #[error("too many items of type {0:#04x}")]
    TooManyItems(u8),
    /// A presentation context id is even (PS3.8 9.3.2.2).
    #[error("presentation context id {0} is not odd")]
    EvenContextId(u8),
    /// A presentation context id stands twice.
    #[error("presentation context id {0} stands twice")]
    DuplicateContextId(u8),
    /// A P-DATA-TF without a single presentation data value.
    #[error("a P-DATA-TF holds no presentation data value")]
    NoPdv,
    /// A presentation data value is shorter than its own header or longer than what is left of its PDU.
    #[error("a presentation data value of {0} bytes does not fit its PDU")]
    PdvLength(u32),
    /// A value to be written does not fit the length field in front of it.
    #[error("a value does not fit its length field")]
    FieldTooLong,
}

#[cfg(test)]
mod tests;
