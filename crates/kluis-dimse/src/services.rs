//! What an edge implements: who is let in, and what the messages mean.

use std::{borrow::Cow, future::Future};

use bytes::Bytes;
use kluis_dicom::{AeTitle, Phi, Tag, Uid};

use crate::{
    association::Context,
    command::{CommandField, Counts, Status},
    pdu::{AssociateRj, ExtendedNegotiation, UserIdentity, reject_reason},
};

/// One association's services. The driver calls one method at a time, in the order of the messages.
pub trait Services: Send {
    /// Takes one data set.
    type Sink: StoreSink;
    /// Gives the matches of one C-FIND.
    type Matches: Matches;
    /// Gives the objects of one C-GET.
    type Objects: Objects;
    /// Performs one C-MOVE.
    type Transfer: Transfer;

    /// Says whether this peer gets an association. Called once, after the request was found to be in order.
    fn admit(&mut self, request: &AssociationRequest<'_>) -> impl Future<Output = Result<Admission, Refusal>> + Send;

    /// C-ECHO (PS3.7 9.1.5).
    fn echo(&mut self, request: EchoRequest) -> impl Future<Output = Outcome> + Send;

    /// C-STORE (PS3.7 9.1.1): the command has come, the data set begins. On `Err` the data set is taken and thrown away
    /// before the outcome is sent, and the association stays usable.
    fn store_begin(&mut self, request: StoreRequest) -> impl Future<Output = Result<Self::Sink, Outcome>> + Send;

    /// C-FIND (PS3.7 9.1.2): the identifier is complete.
    fn find(&mut self, request: FindRequest) -> impl Future<Output = Result<Self::Matches, Outcome>> + Send;

    /// C-GET (PS3.7 9.1.3): the identifier is complete. The driver performs the sub-operations.
    fn get(&mut self, request: GetRequest) -> impl Future<Output = Result<Self::Objects, Outcome>> + Send;

    /// C-MOVE (PS3.7 9.1.4): the identifier is complete. The sub-operations go over associations of their own.
    fn transfer(&mut self, request: MoveRequest) -> impl Future<Output = Result<Self::Transfer, Outcome>> + Send;

    /// The next notification for this peer, as soon as there is one. May be dropped at any point.
    fn next_event(&mut self) -> impl Future<Output = Notification> + Send {
        std::future::pending()
    }

    /// The peer has answered the notification that was given last.
    fn event_answered(&mut self, status: Status) {
        let _ = status;
    }

    /// Whether this operation of a normalized service is offered in contexts that were accepted for this SOP class.
    fn offers(&self, operation: CommandField, service: &Uid) -> bool {
        let _ = (operation, service);
        false
    }

    /// Whether requests of a normalized service about this SOP class may come in a context that was accepted for
    /// `service`. Some services have one SOP class for several abstract syntaxes (PS3.4 CC.3.1).
    fn covers(&self, service: &Uid, sop_class: &Uid) -> bool {
        service == sop_class
    }

    /// A request of a normalized service (PS3.7 10.1) that is offered; its data set is complete.
    fn normalized(&mut self, request: NormalizedRequest) -> impl Future<Output = NormalizedResponse> + Send {
        drop(request);
        std::future::ready(Status::UNRECOGNIZED_OPERATION.into())
    }
}

/// An N-EVENT-REPORT-RQ for the peer, between its own requests (PS3.7 10.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// SOP class, and abstract syntax of the context to send it in.
    pub sop_class: Uid,
    /// Affected SOP Instance UID.
    pub sop_instance: Uid,
    /// Event Type ID.
    pub event_type: u16,
    /// The transfer syntax of the data set: that of a context of this association.
    pub transfer_syntax: Uid,
    /// The bytes of the data set.
    pub data_set: Phi<Vec<u8>>,
}

/// Sends objects to a third. Dropped where the association ends; then no more are sent.
pub trait Transfer: Send {
    /// Waits until some sub-operation has ended, and says how far it is; none when all have. May be dropped at any point.
    fn progress(&mut self) -> impl Future<Output = Option<Counts>> + Send;

    /// No more sub-operations are begun; those under way end.
    fn cancel(&mut self);

    /// What came of it, once all have ended.
    fn finish(self) -> Transferred;
}

/// What came of a C-MOVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    /// What became of the sub-operations.
    pub counts: Counts,
    /// An identifier with the Failed SOP Instance UID List (0008,0058), in the transfer syntax of the context; empty where
    /// none failed.
    pub failed_list: Vec<u8>,
    /// The outcome where the counts do not tell it.
    pub outcome: Option<Outcome>,
}

/// Gives objects one by one, as the peer takes them. Dropped where the operation is cancelled or the association ends.
pub trait Objects: Send {
    /// The bytes of one object.
    type Body: Body;

    /// How many have not been given yet.
    fn remaining(&self) -> usize;

    /// The next object, or none behind the last. What is given before has been answered by the peer. An `Err` ends the
    /// operation.
    fn next(&mut self) -> impl Future<Output = Result<Option<Object<Self::Body>>, Outcome>> + Send;

    /// An identifier with these in its Failed SOP Instance UID List (0008,0058), in the transfer syntax of the context.
    fn failed_list(&self, failed: &[Uid]) -> Vec<u8>;

    /// All have been given, and the peer has answered the last of them.
    fn complete(self);
}

/// One object of a C-GET.
#[derive(Debug)]
pub struct Object<B> {
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// Its bytes and their transfer syntax; none where it cannot be read, or not in a way that the peer takes.
    pub content: Option<(Uid, B)>,
}

/// The bytes of one data set, piece by piece.
pub trait Body: Send {
    /// The next piece, none of them empty, or none behind the last.
    fn read(&mut self) -> impl Future<Output = Result<Option<Bytes>, Unreadable>> + Send;
}

/// The rest of an object cannot be read. Half an object cannot be taken back: the association ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// Gives matches one by one, as the peer takes them. Dropped where the operation is cancelled or the association ends.
pub trait Matches: Send {
    /// The next match, or none behind the last. After an `Err`, which ends the operation, it is not asked again.
    fn next(&mut self) -> impl Future<Output = Result<Option<Match>, Outcome>> + Send;
}

/// One match of a C-FIND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// [`Status::PENDING`] or [`Status::PENDING_KEY_NOT_SUPPORTED`].
    pub status: Status,
    /// Its identifier, in the transfer syntax of the presentation context.
    pub identifier: Phi<Vec<u8>>,
}

/// Takes one data set, piece by piece as it arrives. Dropped where the association ends first.
pub trait StoreSink: Send {
    /// The next bytes of the data set. After an `Err` nothing more is handed over.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Outcome>> + Send;

    /// The data set is complete.
    fn finish(self) -> impl Future<Output = Outcome> + Send;
}

/// Who asks for an association, by its own account.
#[derive(Debug, Clone, Copy)]
pub struct AssociationRequest<'a> {
    /// Calling AE title.
    pub calling: &'a AeTitle,
    /// Called AE title; one of ours.
    pub called: &'a AeTitle,
    /// User identity (PS3.7 D.3.3.7), where one was sent.
    pub identity: Option<&'a UserIdentity>,
    /// Implementation class UID of the peer.
    pub implementation_class_uid: Option<&'a Uid>,
    /// SOP class extended negotiation (PS3.7 D.3.3.5), as it was asked for.
    pub extended: &'a [ExtendedNegotiation],
}

/// The peer is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// Server response to the user identity (PS3.7 D.3.3.7.2); sent only where the peer asked for one.
    pub identity_response: Option<Vec<u8>>,
    /// SOP class extended negotiation: what of it is agreed. A class that is left out has none of it.
    pub extended: Vec<ExtendedNegotiation>,
}

/// The peer is not let in. All that is wrong with an identity has one variant, so that all refusals look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not known, not proved, not this AE title, no longer allowed: rejected 1, 1, 3.
    Identity,
    /// Too many associations: rejected 2, 3, 2.
    LocalLimit,
    /// We cannot answer now: rejected 2, 3, 1.
    Congestion,
}

impl Refusal {
    /// The PDU that says so.
    #[must_use]
    pub fn reject(self) -> AssociateRj {
        match self {
            Self::Identity => reject_reason::CALLING_AE,
            Self::LocalLimit => reject_reason::LOCAL_LIMIT,
            Self::Congestion => reject_reason::CONGESTION,
        }
    }
}

/// A C-ECHO-RQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoRequest {
    /// Message ID (0000,0110).
    pub message_id: u16,
}

/// A C-STORE-RQ in a context that was accepted for its SOP class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRequest {
    /// Message ID (0000,0110).
    pub message_id: u16,
    /// Affected SOP Class UID (0000,0002).
    pub sop_class: Uid,
    /// Affected SOP Instance UID (0000,1000).
    pub sop_instance: Uid,
    /// The transfer syntax of the presentation context.
    pub transfer_syntax: Uid,
    /// Move Originator AE Title (0000,1030), where this store belongs to a C-MOVE.
    pub move_originator: Option<AeTitle>,
    /// Move Originator Message ID (0000,1031).
    pub move_originator_message_id: Option<u16>,
}

/// A C-FIND-RQ in a context that was accepted for its SOP class, with its identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindRequest {
    /// Message ID (0000,0110).
    pub message_id: u16,
    /// Affected SOP Class UID (0000,0002): the information model.
    pub sop_class: Uid,
    /// The transfer syntax of the presentation context.
    pub transfer_syntax: Uid,
    /// The bytes of the data set.
    pub identifier: Phi<Vec<u8>>,
}

/// A C-GET-RQ in a context that was accepted for its SOP class, with its identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetRequest {
    /// Message ID (0000,0110).
    pub message_id: u16,
    /// Affected SOP Class UID (0000,0002): the information model.
    pub sop_class: Uid,
    /// The transfer syntax of the presentation context.
    pub transfer_syntax: Uid,
    /// The bytes of the data set.
    pub identifier: Phi<Vec<u8>>,
    /// What the peer takes: the contexts of which it is provider.
    pub taken: Vec<Context>,
}

/// A C-MOVE-RQ in a context that was accepted for its SOP class, with its identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveRequest {
    /// Message ID (0000,0110).
    pub message_id: u16,
    /// Affected SOP Class UID (0000,0002): the information model.
    pub sop_class: Uid,
    /// The transfer syntax of the presentation context.
    pub transfer_syntax: Uid,
    /// The bytes of the data set.
    pub identifier: Phi<Vec<u8>>,
    /// Move Destination (0000,0600); `None` where there is none or it is no AE title.
    pub destination: Option<AeTitle>,
}

/// A request of a normalized service (PS3.7 10.1): N-EVENT-REPORT, N-GET, N-SET, N-ACTION, N-CREATE or N-DELETE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalizedRequest {
    /// Message ID (0000,0110).
    pub message_id: u16,
    /// Which of the six.
    pub operation: CommandField,
    /// The abstract syntax of the presentation context.
    pub service: Uid,
    /// Affected (0000,0002) or Requested (0000,0003) SOP Class UID; the service covers it.
    pub sop_class: Uid,
    /// Affected (0000,1000) or Requested (0000,1001) SOP Instance UID; only an N-CREATE may have none.
    pub sop_instance: Option<Uid>,
    /// Event Type ID (0000,1002) or Action Type ID (0000,1008); none with other operations.
    pub kind: Option<u16>,
    /// Attribute Identifier List (0000,1005) of an N-GET; empty where all are asked for.
    pub attributes: Vec<Tag>,
    /// The transfer syntax of the presentation context.
    pub transfer_syntax: Uid,
    /// The bytes of the data set, where one came.
    pub data_set: Option<Phi<Vec<u8>>>,
}

/// The answer to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalizedResponse {
    /// Status and comment.
    pub outcome: Outcome,
    /// Affected SOP Instance UID, where the request named none: that of what an N-CREATE made.
    pub sop_instance: Option<Uid>,
    /// Error ID (0000,0903).
    pub error_id: Option<u16>,
    /// Offending Element (0000,0901).
    pub offending: Vec<Tag>,
    /// Attributes, or the reply to an event or action, in the transfer syntax of the context.
    pub data_set: Option<Phi<Vec<u8>>>,
}

impl From<Status> for NormalizedResponse {
    fn from(status: Status) -> Self {
        Outcome::from(status).into()
    }
}

impl From<Outcome> for NormalizedResponse {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, sop_instance: None, error_id: None, offending: Vec::new(), data_set: None }
    }
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Status (0000,0900).
    pub status: Status,
    /// Error Comment (0000,0902): ASCII, the first 64 characters are sent. No patient data.
    pub comment: Option<Cow<'static, str>>,
}

impl From<Status> for Outcome {
    fn from(status: Status) -> Self {
        Self { status, comment: None }
    }
}
