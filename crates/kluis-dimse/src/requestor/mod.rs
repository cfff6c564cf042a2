//! The side that asks for an association and uses services (SCU), over any stream; one operation at a time (PS3.7 D.3.3.3).
//!
//! May not contain: how a peer is found or trusted, what objects mean, storage.

mod associate;
mod exchange;
mod failure;
mod find;
mod get;
mod normalized;
mod offers;
mod store;
mod transfer;

use std::collections::BTreeMap;

use kluis_dicom::{AeTitle, Uid};

pub use failure::Failure;
pub use find::{Finding, Found};
pub use get::{Getting, Receiver};
pub use normalized::{EventReport, Normalized};
pub use offers::offers;
pub use store::Stored;
pub use transfer::{Progress, Transferring};

use crate::{
    association::Machine,
    command::{CommandSet, Status, element},
    driver::connection::Connection,
    pdu::{ExtendedNegotiation, RoleSelection, UserIdentity},
};

/// What an association is asked for with.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Our AE title.
    pub calling: AeTitle,
    /// The peer's.
    pub called: AeTitle,
    /// Presentation contexts, at most 128; they get the ids 1, 3, 5 and so on.
    pub contexts: Vec<Offer>,
    /// Roles other than that of the user (PS3.7 D.3.3.4).
    pub roles: Vec<RoleSelection>,
    /// SOP class extended negotiation (PS3.7 D.3.3.5).
    pub extended: Vec<ExtendedNegotiation>,
    /// User identity (PS3.7 D.3.3.7).
    pub identity: Option<UserIdentity>,
    /// Our implementation class UID.
    pub implementation_class_uid: Uid,
    /// Our implementation version name, at most 16 characters.
    pub implementation_version: String,
}

/// One presentation context that is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// SOP class.
    pub abstract_syntax: Uid,
    /// In the order of preference.
    pub transfer_syntaxes: Vec<Uid>,
}

/// A presentation context that the peer accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// SOP class.
    pub abstract_syntax: Uid,
    /// The one transfer syntax.
    pub transfer_syntax: Uid,
    /// We may be asked for it as its provider: proposed, and accepted by the peer.
    pub we_provide: bool,
}

/// What came of an operation, by the peer's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status (0000,0900).
    pub status: Status,
    /// Error Comment (0000,0902); the peer's own words, which may be anything.
    pub comment: Option<String>,
}

impl Answer {
    fn of(set: &CommandSet, status: Status) -> Self {
        // what a peer says must not move the cursor of who reads it
        let plain = |value: &[u8]| {
            let text = String::from_utf8_lossy(value);
            text.trim_end_matches([' ', '\0']).chars().filter(|c| !c.is_control()).take(64).collect::<String>()
        };
        let comment = set.value(element::ERROR_COMMENT).map(plain);
        Self { status, comment: comment.filter(|comment| !comment.is_empty()) }
    }
}

/// An association that we asked for. Dropped without [`Association::release`] the connection is just closed.
#[derive(Debug)]
pub struct Association<S> {
    connection: Connection<S>,
    machine: Machine,
    contexts: BTreeMap<u8, Agreed>,
    extended: Vec<ExtendedNegotiation>,
    peer: Peer,
    send_maximum: u32,
    message_id: u16,
    /// Notifications that came while something else was waited for.
    events: Vec<EventReport>,
}

/// What the peer says of itself (PS3.7 D.3.3.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Implementation class UID.
    pub implementation_class_uid: Option<Uid>,
    /// Implementation version name.
    pub implementation_version: Option<String>,
    /// The longest P-DATA-TF that it takes; `None` or 0: no limit.
    pub maximum_length: Option<u32>,
}

impl<S> Association<S> {
    /// What was accepted, by the id of the context.
    #[must_use]
    pub fn contexts(&self) -> &BTreeMap<u8, Agreed> {
        &self.contexts
    }

    /// SOP class extended negotiation, as the peer answered it.
    #[must_use]
    pub fn extended(&self) -> &[ExtendedNegotiation] {
        &self.extended
    }

    /// The peer's account of itself.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The first context that was accepted for a SOP class.
    ///
    /// # Errors
    /// [`Failure::NotAccepted`]
    pub fn context_of(&self, sop_class: &Uid) -> Result<u8, Failure> {
        let found = self.contexts.iter().find(|(_, agreed)| agreed.abstract_syntax == *sop_class);
        found.map(|(id, _)| *id).ok_or_else(|| Failure::NotAccepted(sop_class.clone()))
    }

    /// The context for an object as it is.
    #[must_use]
    pub fn context_for(&self, sop_class: &Uid, transfer_syntax: &Uid) -> Option<u8> {
        let fits = |agreed: &Agreed| agreed.abstract_syntax == *sop_class && agreed.transfer_syntax == *transfer_syntax;
        self.contexts.iter().find(|(_, agreed)| fits(agreed)).map(|(id, _)| *id)
    }

    fn next_message_id(&mut self) -> u16 {
        self.message_id = self.message_id.wrapping_add(1).max(1);
        self.message_id
    }
}
