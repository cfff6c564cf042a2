//! DIMSE command sets (PS3.7 6.3.1, 9.3): read, said what they are, answered, and written and read again the same.

use kluis_dimse::{
    command::{CommandSet, Message, OtherRequest, Reply, Response, Status, element},
    limits,
};

/// The command set as it stands.
pub fn dimse_command(data: &[u8]) {
    let Ok(set) = CommandSet::read(data) else { return };
    let carried: usize = ELEMENTS.iter().filter_map(|number| Some(set.value(*number)?.len())).sum();
    assert!(carried <= data.len(), "more came out than went in");
    let bytes = written(&set);
    // the group length is set in front where it was not there
    assert!(bytes.len() <= data.len() + 12, "{} bytes became {}", data.len(), bytes.len());
    assert_eq!(CommandSet::read(&bytes).as_ref(), Ok(&set), "written and read, it is another set");
    assert!((bytes.len() - 12) / 8 <= limits::COMMAND_ELEMENTS || set.value(0).is_none());
    let Ok(message) = Message::read(&set) else { return };
    match message {
        Message::Echo(request)
        | Message::Find(request)
        | Message::Get(request)
        | Message::Move(request, _)
        | Message::Other(request) => answered(request),
        Message::Store(command) => answered(command.request),
        Message::Normalized(command) => {
            assert!(command.request.sop_instance.is_none() || command.names_instance);
            answered(command.request);
        }
        Message::Cancel(_) => {}
        Message::Response(response) => assert!(response.field.is_response()),
    }
}

const ELEMENTS: [u16; 6] = [
    element::AFFECTED_SOP_CLASS_UID,
    element::COMMAND_FIELD,
    element::MESSAGE_ID,
    element::DATA_SET_TYPE,
    element::AFFECTED_SOP_INSTANCE_UID,
    element::MOVE_ORIGINATOR_AE_TITLE,
];

/// Every request has an answer, which says whose it is and holds nothing that was not named.
fn answered(request: OtherRequest) {
    assert!(!request.field.is_response());
    let (field, id) = (request.field, request.message_id);
    let reply = Reply {
        request,
        status: Status::UNRECOGNIZED_OPERATION,
        comment: Some("cannot \\ be".into()),
        has_data_set: false,
        counts: None,
    };
    let set = reply.command_set();
    let bytes = written(&set);
    assert!(bytes.len() < 512, "an answer of {} bytes", bytes.len());
    let read = CommandSet::read(&bytes);
    assert_eq!(read.as_ref(), Ok(&set));
    assert_eq!(set.us(element::MESSAGE_ID_BEING_RESPONDED_TO), Some(id));
    assert_eq!(set.us(element::COMMAND_FIELD), Some(field.response().0));
    let status = Some(Status::UNRECOGNIZED_OPERATION);
    let response = Response { field: field.response(), message_id: Some(id), status, has_data_set: false };
    assert_eq!(Message::read(&set), Ok(Message::Response(response)));
}

fn written(set: &CommandSet) -> Vec<u8> {
    let mut bytes = Vec::new();
    set.write(&mut bytes);
    bytes
}
