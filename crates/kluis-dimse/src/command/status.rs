//! Status (0000,0900) (PS3.7 C, PS3.4 B.2.3).

/// A status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

impl Status {
    /// Success.
    pub const SUCCESS: Self = Self(0x0000);
    /// Invalid attribute value (PS3.7 C.5).
    pub const INVALID_ATTRIBUTE_VALUE: Self = Self(0x0106);
    /// Attribute list error, a warning: some attributes were left as they are (PS3.7 C.4).
    pub const ATTRIBUTE_LIST_ERROR: Self = Self(0x0107);
    /// Processing failure (PS3.7 C.5.12).
    pub const PROCESSING_FAILURE: Self = Self(0x0110);
    /// Duplicate SOP instance (PS3.7 C.5.6).
    pub const DUPLICATE_SOP_INSTANCE: Self = Self(0x0111);
    /// No such SOP instance (PS3.7 C.5).
    pub const NO_SUCH_SOP_INSTANCE: Self = Self(0x0112);
    /// No such event type (PS3.7 C.5).
    pub const NO_SUCH_EVENT_TYPE: Self = Self(0x0113);
    /// Invalid argument value (PS3.7 C.5).
    pub const INVALID_ARGUMENT_VALUE: Self = Self(0x0115);
    /// Invalid SOP instance: the UID is none (PS3.7 C.5.11).
    pub const INVALID_SOP_INSTANCE: Self = Self(0x0117);
    /// No such SOP class (PS3.7 C.5).
    pub const NO_SUCH_SOP_CLASS: Self = Self(0x0118);
    /// Class-instance conflict: the instance is none of this SOP class (PS3.7 C.5).
    pub const CLASS_INSTANCE_CONFLICT: Self = Self(0x0119);
    /// Missing attribute (PS3.7 C.5).
    pub const MISSING_ATTRIBUTE: Self = Self(0x0120);
    /// Missing attribute value (PS3.7 C.5).
    pub const MISSING_ATTRIBUTE_VALUE: Self = Self(0x0121);
    /// SOP class not supported (PS3.7 C.5.23).
    pub const SOP_CLASS_NOT_SUPPORTED: Self = Self(0x0122);
    /// No such action (PS3.7 C.5).
    pub const NO_SUCH_ACTION: Self = Self(0x0123);
    /// Not authorised (PS3.7 C.5.19).
    pub const NOT_AUTHORIZED: Self = Self(0x0124);
    /// Duplicate Transaction UID (PS3.3 C.14.1.1).
    pub const DUPLICATE_TRANSACTION_UID: Self = Self(0x0131);
    /// Unrecognised operation (PS3.7 C.5.24).
    pub const UNRECOGNIZED_OPERATION: Self = Self(0x0211);
    /// Mistyped argument (PS3.7 C.5).
    pub const MISTYPED_ARGUMENT: Self = Self(0x0212);
    /// Resource limitation (PS3.7 C.5).
    pub const RESOURCE_LIMITATION: Self = Self(0x0213);
    /// Out of resources (PS3.4 B.2.3).
    pub const OUT_OF_RESOURCES: Self = Self(0xA700);
    /// Data set does not match SOP class (PS3.4 B.2.3).
    pub const DATA_SET_DOES_NOT_MATCH: Self = Self(0xA900);
    /// Cannot understand (PS3.4 B.2.3).
    pub const CANNOT_UNDERSTAND: Self = Self(0xC000);
    /// Out of resources: the number of matches cannot be calculated (PS3.4 C.4.2.1.5).
    pub const CANNOT_CALCULATE: Self = Self(0xA701);
    /// Out of resources: no sub-operation could be performed (PS3.4 C.4.2.1.5, C.4.3.1.4).
    pub const CANNOT_PERFORM: Self = Self(0xA702);
    /// The move destination is unknown (PS3.4 C.4.2.1.5).
    pub const DESTINATION_UNKNOWN: Self = Self(0xA801);
    /// Sub-operations are complete, one or more with failures or warnings (PS3.4 C.4.2.1.5, C.4.3.1.4).
    pub const SOME_FAILED: Self = Self(0xB000);
    /// Matches go on (PS3.4 C.4.1.1.4).
    pub const PENDING: Self = Self(0xFF00);
    /// Matches go on; a key was not supported for matching (PS3.4 C.4.1.1.4).
    pub const PENDING_KEY_NOT_SUPPORTED: Self = Self(0xFF01);
    /// Ended by a C-CANCEL (PS3.4 C.4.1.1.4).
    pub const CANCEL: Self = Self(0xFE00);
    /// Coercion of data elements, a warning (PS3.4 B.2.3).
    pub const COERCION: Self = Self(0xB000);

    /// Whether more responses follow.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::PENDING | Self::PENDING_KEY_NOT_SUPPORTED)
    }

    /// Whether the operation failed, that is, neither succeeded, nor did so with a warning, nor goes on
    /// (PS3.7 C.1 to C.3).
    #[must_use]
    pub fn is_failure(self) -> bool {
        !matches!(self.0, 0x0000 | 0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF | 0xFF00 | 0xFF01 | 0xFE00)
    }
}
