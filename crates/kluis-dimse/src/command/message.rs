//! What a command set asks for, and the answer to it (PS3.7 9.3, 10.3).

use kluis_dicom::{AeTitle, Uid};

use super::{CommandError, CommandField, CommandSet, Status, element};

/// Command Data Set Type: no data set (PS3.7 9.3, E.1). Any other value means that there is one.
const NO_DATA_SET: u16 = 0x0101;

/// What we say where there is one.
const DATA_SET: u16 = 0x0001;

/// A message that has come, but for its data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// C-ECHO-RQ
    Echo(OtherRequest),
    /// C-STORE-RQ
    Store(StoreCommand),
    /// C-FIND-RQ
    Find(OtherRequest),
    /// C-CANCEL-RQ of the operation with this message id.
    Cancel(Option<u16>),
    /// Any other request, known to PS3.7 or not.
    Other(OtherRequest),
    /// A response.
    Response(CommandField),
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

impl Message {
    /// Says what a command set asks for.
    ///
    /// # Errors
    /// [`CommandError::Missing`] where there is no command field, or no message id in a request that is to be answered.
    pub fn read(set: &CommandSet) -> Result<Self, CommandError> {
        let field =
            set.us(element::COMMAND_FIELD).map(CommandField).ok_or(CommandError::Missing(element::COMMAND_FIELD))?;
        if field.is_response() {
            return Ok(Self::Response(field));
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
            _ => Self::Other(request),
        })
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
        if let Some(comment) = &self.comment {
            set.set_text(element::ERROR_COMMENT, comment, 64);
        }
        if let Some(uid) = &self.request.sop_instance {
            set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, uid);
        }
        set
    }
}
