//! Requests that we make (PS3.7 9.3).

use kluis_dicom::Uid;

use super::{
    CommandField, CommandSet, element,
    message::{DATA_SET, NO_DATA_SET},
};

/// Medium (PS3.7 9.1.1.1.4).
const MEDIUM: u16 = 0;

/// A request of medium priority; C-ECHO-RQ has none.
#[must_use]
pub fn request_command(field: CommandField, message_id: u16, sop_class: &Uid, has_data_set: bool) -> CommandSet {
    let mut set = CommandSet::default();
    set.set_uid(element::AFFECTED_SOP_CLASS_UID, sop_class);
    set.set_us(element::COMMAND_FIELD, field.0);
    set.set_us(element::MESSAGE_ID, message_id);
    if field != CommandField::C_ECHO_RQ {
        set.set_us(element::PRIORITY, MEDIUM);
    }
    set.set_us(element::DATA_SET_TYPE, if has_data_set { DATA_SET } else { NO_DATA_SET });
    set
}

/// C-STORE-RQ (PS3.7 9.3.1.1).
#[must_use]
pub fn store_command(message_id: u16, sop_class: &Uid, sop_instance: &Uid) -> CommandSet {
    let mut set = request_command(CommandField::C_STORE_RQ, message_id, sop_class, true);
    set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, sop_instance);
    set
}

/// N-EVENT-REPORT-RQ with a data set (PS3.7 10.3.1.1).
#[must_use]
pub fn event_command(message_id: u16, sop_class: &Uid, sop_instance: &Uid, event_type: u16) -> CommandSet {
    let mut set = CommandSet::default();
    set.set_uid(element::AFFECTED_SOP_CLASS_UID, sop_class);
    set.set_us(element::COMMAND_FIELD, CommandField::N_EVENT_REPORT_RQ.0);
    set.set_us(element::MESSAGE_ID, message_id);
    set.set_us(element::DATA_SET_TYPE, DATA_SET);
    set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, sop_instance);
    set.set_us(element::EVENT_TYPE_ID, event_type);
    set
}

/// C-CANCEL-RQ of the operation with this message id (PS3.7 9.3.2.3).
#[must_use]
pub fn cancel_command(message_id: u16) -> CommandSet {
    let mut set = CommandSet::default();
    set.set_us(element::COMMAND_FIELD, CommandField::C_CANCEL_RQ.0);
    set.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, message_id);
    set.set_us(element::DATA_SET_TYPE, NO_DATA_SET);
    set
}
