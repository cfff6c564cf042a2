use proptest::{collection::vec, prelude::*};

use super::*;
use crate::limits;

fn request(field: CommandField) -> CommandSet {
    request_without(0, field)
}

fn request_without(missing: u16, field: CommandField) -> CommandSet {
    let mut set = CommandSet::default();
    set.set_uid(element::AFFECTED_SOP_CLASS_UID, &"1.2.840.10008.5.1.4.1.1.2".parse().unwrap());
    set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, &"1.2.3".parse().unwrap());
    for (element, value) in
        [(element::COMMAND_FIELD, field.0), (element::MESSAGE_ID, 7), (element::DATA_SET_TYPE, 0x0001)]
    {
        if element != missing {
            set.set_us(element, value);
        }
    }
    set
}

fn written(set: &CommandSet) -> Vec<u8> {
    let mut out = Vec::new();
    set.write(&mut out);
    out
}

#[test]
fn b15_command_sets_are_implicit_little_endian_with_their_group_length() {
    let mut set = CommandSet::default();
    set.set_us(element::COMMAND_FIELD, 0x8030);
    set.set_uid(element::AFFECTED_SOP_CLASS_UID, &"1.2.3".parse().unwrap());
    assert_eq!(
        written(&set),
        [
            0, 0, 0, 0, 4, 0, 0, 0, 24, 0, 0, 0, // group length: 14 + 10
            0, 0, 2, 0, 6, 0, 0, 0, b'1', b'.', b'2', b'.', b'3', 0, // padded to even
            0, 0, 0, 1, 2, 0, 0, 0, 0x30, 0x80,
        ]
    );
}

#[test]
fn b16_only_0101_means_no_data_set() {
    for (kind, has_data_set) in [(0x0101, false), (0x0000, true), (0x0001, true), (0x0102, true), (0xFEFE, true)] {
        let mut set = request(CommandField::C_ECHO_RQ);
        set.set_us(element::DATA_SET_TYPE, kind);
        let Ok(Message::Echo(echo)) = Message::read(&set) else { panic!("no C-ECHO") };
        assert_eq!(echo.has_data_set, has_data_set, "{kind:04x}");
    }
}

#[test]
fn b17_every_request_is_recognised_and_answered_in_kind() {
    for field in CommandField::REQUESTS.into_iter().chain([CommandField(0x0222)]) {
        let message = Message::read(&request(field)).unwrap();
        match (field, message) {
            (CommandField::C_STORE_RQ, Message::Store(command)) => assert_eq!(command.request.message_id, 7),
            (CommandField::C_ECHO_RQ, Message::Echo(request)) => assert_eq!(request.message_id, 7),
            (CommandField::C_FIND_RQ, Message::Find(request)) => assert_eq!(request.message_id, 7),
            (CommandField::C_GET_RQ, Message::Get(request)) => assert_eq!(request.message_id, 7),
            (CommandField::C_MOVE_RQ, Message::Move(request, None)) => assert_eq!(request.message_id, 7),
            (field, Message::Normalized(command)) if field.is_normalized() => {
                assert_eq!((command.request.message_id, command.names_instance), (7, true));
            }
            (CommandField::C_CANCEL_RQ, Message::Cancel(_)) => {}
            (_, Message::Other(request)) => {
                let (status, comment) = (Status::UNRECOGNIZED_OPERATION, None);
                let reply = Reply { request, status, comment, has_data_set: false, counts: None }.command_set();
                assert_eq!(reply.us(element::COMMAND_FIELD), Some(field.0 | 0x8000));
                assert_eq!(reply.us(element::MESSAGE_ID_BEING_RESPONDED_TO), Some(7));
                assert_eq!(reply.us(element::DATA_SET_TYPE), Some(0x0101));
                assert_eq!(reply.us(element::STATUS), Some(0x0211));
            }
            (field, message) => panic!("{field:?} gave {message:?}"),
        }
        let Ok(Message::Response(response)) = Message::read(&request(field.response())) else { panic!("no response") };
        assert_eq!(response.field, field.response());
    }
}

#[test]
fn b19_the_move_originator_is_read() {
    let mut set = request(CommandField::C_STORE_RQ);
    set.set_text(element::MOVE_ORIGINATOR_AE_TITLE, "WORKSTATION", 16);
    set.set_us(element::MOVE_ORIGINATOR_MESSAGE_ID, 42);
    let Ok(Message::Store(command)) = Message::read(&set) else { panic!("no C-STORE") };
    assert_eq!(command.move_originator.unwrap().as_str(), "WORKSTATION");
    assert_eq!(command.move_originator_message_id, Some(42));
}

#[test]
fn what_cannot_be_answered_is_named() {
    for element in [element::COMMAND_FIELD, element::MESSAGE_ID, element::DATA_SET_TYPE] {
        let set = request_without(element, CommandField::C_STORE_RQ);
        assert_eq!(Message::read(&set), Err(CommandError::Missing(element)));
    }
}

#[test]
fn bytes_that_are_no_command_set_are_named() {
    let element = |group: u16, element: u16, length: u32, value: &[u8]| {
        let mut bytes = Vec::new();
        bytes.extend(group.to_le_bytes());
        bytes.extend(element.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(value);
        bytes
    };
    let many: Vec<u8> =
        (1..=u16::try_from(limits::COMMAND_ELEMENTS).unwrap() + 1).flat_map(|n| element(0, n, 0, &[])).collect();
    for (bytes, error) in [
        (element(0, 0x100, u32::MAX, &[1, 0]), CommandError::Truncated(0x100)),
        (element(0, 0x100, 3, &[1, 0]), CommandError::Truncated(0x100)),
        (element(8, 0x16, 2, &[1, 0]), CommandError::Group { group: 8, element: 0x16 }),
        ([element(0, 0x100, 2, &[1, 0]), element(0, 0x100, 2, &[1, 0])].concat(), CommandError::Duplicate(0x100)),
        (vec![0, 0, 0], CommandError::TruncatedHeader),
        (many, CommandError::TooManyElements),
    ] {
        assert_eq!(CommandSet::read(&bytes), Err(error));
    }
}

#[test]
fn comments_are_cut_to_64_printable_characters() {
    let mut set = CommandSet::default();
    set.set_text(element::ERROR_COMMENT, &"ü\\\u{1b}x".repeat(40), 64);
    let value = set.value(element::ERROR_COMMENT).unwrap();
    assert_eq!(value.len(), 64);
    assert!(value.starts_with(b"???x"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(elements in proptest::collection::btree_map(1_u16.., any::<u16>(), 0..40)) {
        let mut set = CommandSet::default();
        for (element, value) in elements {
            set.set_us(element, value);
        }
        prop_assert_eq!(CommandSet::read(&written(&set)), Ok(set));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200), at in 0_usize..90, byte: u8) {
        let _ = CommandSet::read(&bytes).map(|set| Message::read(&set));
        let mut changed = written(&request(CommandField::C_STORE_RQ));
        if let Some(place) = changed.get_mut(at) {
            *place = byte;
        }
        let _ = CommandSet::read(&changed).map(|set| Message::read(&set));
    }
}
