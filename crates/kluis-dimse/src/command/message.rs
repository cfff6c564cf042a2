//! What a command set asks for, and the answer to it (PS3.7 9.3, 10.3).

use kluis_dicom::{AeTitle, Tag, Uid};

use super::{CommandError, CommandField, CommandSet, Status, element};

/// Command Data Set Type: no data set (PS3.7 9.3, E.1). Any other value means that there is one.
pub(crate) const NO_DATA_SET: u16 = 0x0101;

/// What we say where there is one.
pub(super) const DATA_SET: u16 = 0x0001;

/// A message that has come, but for its data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// C-ECHO-RQ
    Echo(OtherRequest),
    /// C-STORE-RQ
    Store(StoreCommand),
    /// C-FIND-RQ
    Find(OtherRequest),
    /// C-GET-RQ
    Get(OtherRequest),
    /// C-MOVE-RQ, and its Move Destination where that is an AE title.
    Move(OtherRequest, Option<AeTitle>),
    /// A request of a normalized service (PS3.7 10.3).
    Normalized(NormalizedCommand),
    /// C-CANCEL-RQ of the operation with this message id.
    Cancel(Option<u16>),
    /// Any other request, known to PS3.7 or not.
    Other(OtherRequest),
    /// A response.
    Response(Response),
}

/// A response to a request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// To which operation.
    pub field: CommandField,
    /// Message ID Being Responded To (0000,0120).
    pub message_id: Option<u16>,
    /// Status (0000,0900).
    pub status: Option<Status>,
    /// A data set follows.
    pub has_data_set: bool,
}

/// A request of which only what is needed for an answer is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRequest {
    /// Which.
    pub field: CommandField,
    /// Message ID (0000,0110).
    pub message_id: u16,
    /// Affected, or else requested, SOP class.
    pub sop_class: Option<Uid>,
    /// Affected, or else requested, SOP instance.
    pub sop_instance: Option<Uid>,
    /// A data set follows.
    pub has_data_set: bool,
}

/// C-STORE-RQ (PS3.7 9.3.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCommand {
    /// What all requests have.
    pub request: OtherRequest,
    /// Move Originator AE Title.
    pub move_originator: Option<AeTitle>,
    /// Move Originator Message ID.
    pub move_originator_message_id: Option<u16>,
}

/// A request of a normalized service (PS3.7 10.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalizedCommand {
    /// What all requests have.
    pub request: OtherRequest,
    /// An Affected, or Requested, SOP Instance UID stands there, be it valid or not.
    pub names_instance: bool,
    /// Event Type ID of an N-EVENT-REPORT, Action Type ID of an N-ACTION.
    pub kind: Option<u16>,
    /// Attribute Identifier List of an N-GET; empty where all are asked for, `None` where it is no list of tags.
    pub attributes: Option<Vec<Tag>>,
}

impl Message {
    /// Says what a command set asks for.
    ///
    /// # Errors
    /// [`CommandError::Missing`] where there is no command field, or no message id in a request that is to be answered.
    pub fn read(set: &CommandSet) -> Result<Self, CommandError> {
        let field =
            set.us(element::COMMAND_FIELD).map(CommandField).ok_or(CommandError::Missing(element::COMMAND_FIELD))?;
        if field.is_response() {
            return Ok(Self::Response(Response {
                field,
                message_id: set.us(element::MESSAGE_ID_BEING_RESPONDED_TO),
                status: set.us(element::STATUS).map(Status),
                has_data_set: set.us(element::DATA_SET_TYPE).is_some_and(|kind| kind != NO_DATA_SET),
            }));
        }
        if field == CommandField::C_CANCEL_RQ {
            return Ok(Self::Cancel(set.us(element::MESSAGE_ID_BEING_RESPONDED_TO)));
        }
        let request = OtherRequest {
            field,
            message_id: set.us(element::MESSAGE_ID).ok_or(CommandError::Missing(element::MESSAGE_ID))?,
            sop_class: set.uid(element::AFFECTED_SOP_CLASS_UID).or_else(|| set.uid(element::REQUESTED_SOP_CLASS_UID)),
            sop_instance: set
                .uid(element::AFFECTED_SOP_INSTANCE_UID)
                .or_else(|| set.uid(element::REQUESTED_SOP_INSTANCE_UID)),
            has_data_set: set.us(element::DATA_SET_TYPE).ok_or(CommandError::Missing(element::DATA_SET_TYPE))?
                != NO_DATA_SET,
        };
        Ok(match field {
            CommandField::C_ECHO_RQ => Self::Echo(request),
            CommandField::C_STORE_RQ => Self::Store(StoreCommand {
                request,
                move_originator: set.ae(element::MOVE_ORIGINATOR_AE_TITLE),
                move_originator_message_id: set.us(element::MOVE_ORIGINATOR_MESSAGE_ID),
            }),
            CommandField::C_FIND_RQ => Self::Find(request),
            CommandField::C_GET_RQ => Self::Get(request),
            CommandField::C_MOVE_RQ => Self::Move(request, set.ae(element::MOVE_DESTINATION)),
            field if field.is_normalized() => Self::Normalized(NormalizedCommand::read(set, request)),
            _ => Self::Other(request),
        })
    }
}

impl NormalizedCommand {
    fn read(set: &CommandSet, request: OtherRequest) -> Self {
        let is_there = |element| set.value(element).is_some_and(|value| !value.is_empty());
        let attributes = match is_there(element::ATTRIBUTE_IDENTIFIER_LIST) {
            true => set.tags(element::ATTRIBUTE_IDENTIFIER_LIST),
            false => Some(Vec::new()),
        };
        Self {
            names_instance: is_there(element::AFFECTED_SOP_INSTANCE_UID)
                || is_there(element::REQUESTED_SOP_INSTANCE_UID),
            kind: kind_element(request.field).and_then(|element| set.us(element)),
            attributes,
            request,
        }
    }
}

/// Where the kind of an event or action stands, in requests and in responses (PS3.7 10.3.1, 10.3.4).
fn kind_element(field: CommandField) -> Option<u16> {
    match field {
        CommandField::N_EVENT_REPORT_RQ => Some(element::EVENT_TYPE_ID),
        CommandField::N_ACTION_RQ => Some(element::ACTION_TYPE_ID),
        _ => None,
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The request.
    pub request: OtherRequest,
    /// Status.
    pub status: Status,
    /// Error Comment.
    pub comment: Option<std::borrow::Cow<'static, str>>,
    /// A data set follows.
    pub has_data_set: bool,
    /// Of an operation that has sub-operations.
    pub counts: Option<Counts>,
}

/// What became of sub-operations (PS3.7 9.1.3.1.6 to 9.1.3.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Still to come.
    pub remaining: u16,
    /// Done.
    pub completed: u16,
    /// Failed.
    pub failed: u16,
    /// Done with a warning.
    pub warning: u16,
}

impl Counts {
    /// As a response tells them; 0 what it leaves out.
    #[must_use]
    pub fn of(set: &CommandSet) -> Self {
        let count = |element| set.us(element).unwrap_or_default();
        Self {
            remaining: count(element::REMAINING),
            completed: count(element::COMPLETED),
            failed: count(element::FAILED),
            warning: count(element::WARNING),
        }
    }

    /// The status of the last response (PS3.4 C.4.2.1.5, C.4.3.1.4).
    #[must_use]
    pub fn status(&self, is_cancelled: bool) -> Status {
        match (self.completed, self.failed, self.warning) {
            _ if is_cancelled => Status::CANCEL,
            (_, 0, 0) => Status::SUCCESS,
            (0, _, 0) => Status::CANNOT_PERFORM,
            _ => Status::SOME_FAILED,
        }
    }
}

impl Reply {
    /// As a command set.
    #[must_use]
    pub fn command_set(&self) -> CommandSet {
        let mut set = CommandSet::default();
        if let Some(uid) = &self.request.sop_class {
            set.set_uid(element::AFFECTED_SOP_CLASS_UID, uid);
        }
        set.set_us(element::COMMAND_FIELD, self.request.field.response().0);
        set.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, self.request.message_id);
        set.set_us(element::DATA_SET_TYPE, if self.has_data_set { DATA_SET } else { NO_DATA_SET });
        set.set_us(element::STATUS, self.status.0);
        if let Some(counts) = self.counts {
            // the last response has no remaining ones, unless it was cancelled (PS3.7 9.3.3.2)
            if matches!(self.status, Status::PENDING | Status::CANCEL) {
                set.set_us(element::REMAINING, counts.remaining);
            }
            set.set_us(element::COMPLETED, counts.completed);
            set.set_us(element::FAILED, counts.failed);
            set.set_us(element::WARNING, counts.warning);
        }
        if let Some(comment) = &self.comment {
            set.set_text(element::ERROR_COMMENT, comment, 64);
        }
        if let Some(uid) = &self.request.sop_instance {
            set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, uid);
        }
        set
    }
}

/// A response of a normalized service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalizedReply {
    /// What all responses have.
    pub reply: Reply,
    /// The kind of the event or action.
    pub kind: Option<u16>,
    /// Error ID.
    pub error_id: Option<u16>,
    /// Offending Element.
    pub offending: Vec<Tag>,
}

impl NormalizedReply {
    /// As a command set.
    #[must_use]
    pub fn command_set(&self) -> CommandSet {
        let mut set = self.reply.command_set();
        if let Some((element, kind)) = kind_element(self.reply.request.field).zip(self.kind) {
            set.set_us(element, kind);
        }
        if let Some(error_id) = self.error_id {
            set.set_us(element::ERROR_ID, error_id);
        }
        if !self.offending.is_empty() {
            set.set_tags(element::OFFENDING_ELEMENT, &self.offending);
        }
        set
    }
}
