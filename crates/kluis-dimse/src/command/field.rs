//! Command Field (0000,0100): which operation or notification a message is (PS3.7 E.1).

/// A command field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandField(pub u16);

impl CommandField {
    /// C-STORE-RQ
    pub const C_STORE_RQ: Self = Self(0x0001);
    /// C-GET-RQ
    pub const C_GET_RQ: Self = Self(0x0010);
    /// C-FIND-RQ
    pub const C_FIND_RQ: Self = Self(0x0020);
    /// C-MOVE-RQ
    pub const C_MOVE_RQ: Self = Self(0x0021);
    /// C-ECHO-RQ
    pub const C_ECHO_RQ: Self = Self(0x0030);
    /// N-EVENT-REPORT-RQ
    pub const N_EVENT_REPORT_RQ: Self = Self(0x0100);
    /// N-GET-RQ
    pub const N_GET_RQ: Self = Self(0x0110);
    /// N-SET-RQ
    pub const N_SET_RQ: Self = Self(0x0120);
    /// N-ACTION-RQ
    pub const N_ACTION_RQ: Self = Self(0x0130);
    /// N-CREATE-RQ
    pub const N_CREATE_RQ: Self = Self(0x0140);
    /// N-DELETE-RQ
    pub const N_DELETE_RQ: Self = Self(0x0150);
    /// C-CANCEL-RQ, which has no response of its own.
    pub const C_CANCEL_RQ: Self = Self(0x0FFF);

    /// Every request of PS3.7.
    pub const REQUESTS: [Self; 12] = [
        Self::C_STORE_RQ,
        Self::C_GET_RQ,
        Self::C_FIND_RQ,
        Self::C_MOVE_RQ,
        Self::C_ECHO_RQ,
        Self::N_EVENT_REPORT_RQ,
        Self::N_GET_RQ,
        Self::N_SET_RQ,
        Self::N_ACTION_RQ,
        Self::N_CREATE_RQ,
        Self::N_DELETE_RQ,
        Self::C_CANCEL_RQ,
    ];

    /// Whether this is a request of a normalized service (PS3.7 10).
    #[must_use]
    pub fn is_normalized(self) -> bool {
        matches!(
            self,
            Self::N_EVENT_REPORT_RQ
                | Self::N_GET_RQ
                | Self::N_SET_RQ
                | Self::N_ACTION_RQ
                | Self::N_CREATE_RQ
                | Self::N_DELETE_RQ
        )
    }

    /// Whether this is a response.
    #[must_use]
    pub fn is_response(self) -> bool {
        self.0 & 0x8000 != 0
    }

    /// The response to this request.
    #[must_use]
    pub fn response(self) -> Self {
        Self(self.0 | 0x8000)
    }

    /// The name in PS3.7, for logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match Self(self.0 & 0x7FFF) {
            Self::C_STORE_RQ => "C-STORE",
            Self::C_GET_RQ => "C-GET",
            Self::C_FIND_RQ => "C-FIND",
            Self::C_MOVE_RQ => "C-MOVE",
            Self::C_ECHO_RQ => "C-ECHO",
            Self::N_EVENT_REPORT_RQ => "N-EVENT-REPORT",
            Self::N_GET_RQ => "N-GET",
            Self::N_SET_RQ => "N-SET",
            Self::N_ACTION_RQ => "N-ACTION",
            Self::N_CREATE_RQ => "N-CREATE",
            Self::N_DELETE_RQ => "N-DELETE",
            Self::C_CANCEL_RQ => "C-CANCEL",
            _ => "unknown",
        }
    }
}
