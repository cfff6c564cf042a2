//! DIMSE command sets (PS3.7 6.3, 9.3, 10.3, E).
//!
//! Always Implicit VR Little Endian. A command set is bounded in bytes and elements, flat by definition, and read in
//! one pass.

mod field;
mod message;
mod request;
mod set;
mod status;

pub use field::CommandField;
pub(crate) use message::NO_DATA_SET;
pub use message::{Counts, Message, NormalizedCommand, NormalizedReply, OtherRequest, Reply, Response, StoreCommand};
pub use request::{cancel_command, event_command, request_command, store_command};
pub use set::{CommandSet, element};
pub use status::Status;

/// Every way in which bytes can fail to be a command set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// An element ends behind the end of the command set.
    #[error("command element (0000,{0:04x}) ends behind the command set")]
    Truncated(u16),
    /// Bytes are left that are too few for an element.
    #[error("the command set ends within an element header")]
    TruncatedHeader,
    /// An element of another group.
    #[error("element ({group:04x},{element:04x}) in a command set")]
    Group {
        /// Group number.
        group: u16,
        /// Element number.
        element: u16,
    },
    /// An element stands twice.
    #[error("command element (0000,{0:04x}) stands twice")]
    Duplicate(u16),
    /// More elements than there may be.
    #[error("too many command elements")]
    TooManyElements,
    /// An element without which the message cannot be answered is missing or has no value of its VR.
    #[error("command element (0000,{0:04x}) is missing or has no valid value")]
    Missing(u16),
}

#[cfg(test)]
mod tests;
