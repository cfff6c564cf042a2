//! Normalized services through the driver: what is handed on, what is answered, and what the command alone says to be wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peer;

use kluis_dicom::{Phi, Tag};
use kluis_dimse::{
    association::Violation,
    command::{CommandField, CommandSet, element},
    driver::{Ending, How, serve},
    limits,
    pdu::Pdu,
};
use tokio::{io::DuplexStream, sync::watch, task::JoinHandle, time::Instant};

use peer::{CT, IMPLICIT, Memory, PULL, Peer, STEP, config, context, data, request, set_bytes, uid};

const CONTEXT: u8 = 5;

async fn associated(memory: Memory) -> (Peer<DuplexStream>, JoinHandle<Ending>) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (keep, shutdown) = watch::channel(false);
    let served = tokio::spawn(async move {
        let mut memory = memory;
        let ending = serve(theirs, &mut memory, &config(), Instant::now(), shutdown).await;
        drop(keep);
        ending
    });
    let mut peer = Peer::new(ours);
    let mut rq = request();
    rq.contexts.push(context(CONTEXT, STEP, IMPLICIT));
    peer.associate(rq).await;
    (peer, served)
}

/// A request as PS3.7 10.3 has it: N-CREATE and N-EVENT-REPORT have affected ones, all others requested ones.
fn asked(field: CommandField, sop_class: &str, sop_instance: Option<&str>, has_data_set: bool) -> CommandSet {
    let is_affected = matches!(field, CommandField::N_CREATE_RQ | CommandField::N_EVENT_REPORT_RQ);
    let (class, instance) = match is_affected {
        true => (element::AFFECTED_SOP_CLASS_UID, element::AFFECTED_SOP_INSTANCE_UID),
        false => (element::REQUESTED_SOP_CLASS_UID, element::REQUESTED_SOP_INSTANCE_UID),
    };
    let mut set = CommandSet::default();
    set.set_uid(class, &uid(sop_class));
    set.set_us(element::COMMAND_FIELD, field.0);
    set.set_us(element::MESSAGE_ID, 9);
    set.set_us(element::DATA_SET_TYPE, if has_data_set { 1 } else { 0x0101 });
    if let Some(sop_instance) = sop_instance {
        set.set_text(instance, sop_instance, 64);
    }
    match field {
        CommandField::N_EVENT_REPORT_RQ => set.set_us(element::EVENT_TYPE_ID, 2),
        CommandField::N_ACTION_RQ => set.set_us(element::ACTION_TYPE_ID, 3),
        _ => {}
    }
    set
}

/// Sends a request with its data set, in two fragments, and takes the response with its own.
async fn answered(peer: &mut Peer<DuplexStream>, set: &CommandSet, data_set: &[u8]) -> (CommandSet, Vec<u8>) {
    peer.send(&data(&[(CONTEXT, true, true, &set_bytes(set))])).await;
    if set.us(element::DATA_SET_TYPE) != Some(0x0101) {
        let (first, second) = data_set.split_at(data_set.len() / 2);
        peer.send(&data(&[(CONTEXT, false, false, first), (CONTEXT, false, true, second)])).await;
    }
    let (reply, _) = peer.receive_command().await;
    assert_eq!(reply.us(element::COMMAND_FIELD), set.us(element::COMMAND_FIELD).map(|field| field | 0x8000));
    assert_eq!(reply.us(element::MESSAGE_ID_BEING_RESPONDED_TO), Some(9));
    let mut bytes = Vec::new();
    if reply.us(element::DATA_SET_TYPE) == Some(0x0101) {
        return (reply, bytes);
    }
    loop {
        let Some(Pdu::Data(pdvs)) = peer.receive().await else { panic!("no data set") };
        let is_last = pdvs.last().unwrap().is_last;
        for pdv in pdvs {
            assert!(!pdv.is_command && pdv.context_id == CONTEXT && pdv.bytes.len() <= 16_384 - 6);
            bytes.extend(pdv.bytes);
        }
        if is_last {
            return (reply, bytes);
        }
    }
}

#[tokio::test]
async fn b17_requests_are_handed_on_whole_and_answered_with_all_that_a_response_carries() {
    let memory = Memory::default();
    let (mut peer, _served) = associated(memory.clone()).await;
    let arguments: Vec<u8> = (0..40_000_u32).map(|n| (n % 251) as u8).collect();

    // one is made, and named in the answer
    let set = asked(CommandField::N_CREATE_RQ, STEP, None, true);
    let (reply, bytes) = answered(&mut peer, &set, &arguments).await;
    assert_eq!((reply.us(element::STATUS), bytes.len()), (Some(0), 0));
    assert_eq!(reply.uid(element::AFFECTED_SOP_CLASS_UID), Some(uid(STEP)));
    assert_eq!(reply.uid(element::AFFECTED_SOP_INSTANCE_UID), Some(uid("1.2.99")));
    // named by the peer
    let set = asked(CommandField::N_CREATE_RQ, STEP, Some("1.2.3"), false);
    let (reply, _) = answered(&mut peer, &set, &[]).await;
    assert_eq!(reply.uid(element::AFFECTED_SOP_INSTANCE_UID), Some(uid("1.2.3")));

    let set = asked(CommandField::N_SET_RQ, STEP, Some("1.2.3"), true);
    let (reply, _) = answered(&mut peer, &set, &arguments).await;
    assert_eq!((reply.us(element::STATUS), reply.us(element::ERROR_ID)), (Some(0x0110), Some(0xA710)));
    assert_eq!(reply.value(element::OFFENDING_ELEMENT), Some(&[0x40, 0, 0x52, 2, 0x10, 0, 0x10, 0][..]));
    assert_eq!(reply.value(element::ERROR_COMMENT), Some(&b"may no longer be updated"[..]));

    // about another SOP class that the service covers
    let mut set = asked(CommandField::N_GET_RQ, PULL, Some("1.2.3"), false);
    set.set_tags(element::ATTRIBUTE_IDENTIFIER_LIST, &[Tag(0x0040, 0x0252), Tag(0x0010, 0x0010)]);
    let (reply, bytes) = answered(&mut peer, &set, &[]).await;
    assert_eq!((reply.us(element::STATUS), bytes), (Some(0), vec![7; 100_000]));
    assert_eq!(reply.uid(element::AFFECTED_SOP_CLASS_UID), Some(uid(PULL)));

    let set = asked(CommandField::N_ACTION_RQ, STEP, Some("1.2.3"), true);
    let (reply, bytes) = answered(&mut peer, &set, &arguments).await;
    assert_eq!((reply.us(element::STATUS), reply.us(element::ACTION_TYPE_ID)), (Some(0), Some(3)));
    assert!(bytes == arguments);

    // an empty data set is none
    let set = asked(CommandField::N_EVENT_REPORT_RQ, STEP, Some("1.2.3"), true);
    let (reply, _) = answered(&mut peer, &set, &arguments).await;
    assert_eq!((reply.us(element::EVENT_TYPE_ID), reply.us(element::DATA_SET_TYPE)), (Some(2), Some(0x0101)));

    let requests = memory.normalized.lock().unwrap();
    let handed_on: Vec<_> = requests
        .iter()
        .map(|request| {
            assert_eq!((request.message_id, request.service.as_str()), (9, STEP));
            assert_eq!(request.transfer_syntax.as_str(), IMPLICIT);
            assert!(request.data_set.as_ref().is_none_or(|bytes| *bytes == Phi(arguments.clone())));
            let instance = request.sop_instance.as_ref().map(|uid| uid.as_str().to_owned());
            (request.operation.name(), instance, request.kind, request.data_set.is_some(), request.attributes.len())
        })
        .collect();
    let step = || Some("1.2.3".to_owned());
    assert_eq!(
        handed_on,
        [
            ("N-CREATE", None, None, true, 0),
            ("N-CREATE", step(), None, false, 0),
            ("N-SET", step(), None, true, 0),
            ("N-GET", step(), None, false, 2),
            ("N-ACTION", step(), Some(3), true, 0),
            ("N-EVENT-REPORT", step(), Some(2), true, 0),
        ]
    );
    assert_eq!(requests[3].attributes, [Tag(0x0040, 0x0252), Tag(0x0010, 0x0010)]);
    assert_eq!(requests[3].sop_class, uid(PULL));
}

#[tokio::test]
async fn b17_what_the_command_says_to_be_wrong_is_told_and_nothing_handed_on() {
    use CommandField as Field;
    let memory = Memory::default();
    let (mut peer, _served) = associated(memory.clone()).await;
    let step = Some("1.2.3");
    let without = |field, element| {
        let mut set = asked(field, STEP, step, false);
        // four bytes where there ought to be two
        set.set_tags(element, &[Tag(1, 1)]);
        set
    };
    let mut bad_list = asked(Field::N_GET_RQ, STEP, step, false);
    bad_list.set_us(element::ATTRIBUTE_IDENTIFIER_LIST, 1);
    let mut no_class = asked(Field::N_SET_RQ, STEP, step, true);
    no_class.set_text(element::REQUESTED_SOP_CLASS_UID, "no UID", 64);
    for (set, status) in [
        // not offered at all, or not in this context
        (asked(Field::N_DELETE_RQ, STEP, step, false), 0x0211),
        (asked(CommandField(0x0160), STEP, step, true), 0x0211),
        (asked(Field::N_SET_RQ, CT, step, true), 0x0118),
        (no_class, 0x0118),
        (asked(Field::N_SET_RQ, STEP, None, true), 0x0117),
        (asked(Field::N_SET_RQ, STEP, Some("1.x"), true), 0x0117),
        (asked(Field::N_CREATE_RQ, STEP, Some("1.x"), true), 0x0117),
        (without(Field::N_EVENT_REPORT_RQ, element::EVENT_TYPE_ID), 0x0113),
        (without(Field::N_ACTION_RQ, element::ACTION_TYPE_ID), 0x0123),
        (bad_list, 0x0212),
        (asked(Field::N_GET_RQ, STEP, step, true), 0x0212),
    ] {
        let (reply, _) = answered(&mut peer, &set, &[1; 100]).await;
        assert_eq!(reply.us(element::STATUS), Some(status), "{set:?}");
        assert_eq!(peer.echo(1).await, 0);
    }
    assert!(memory.normalized.lock().unwrap().is_empty());
}

#[tokio::test]
async fn data_sets_are_gathered_up_to_their_limit_and_drained_behind_it() {
    let memory = Memory::default();
    let (mut peer, served) = associated(memory.clone()).await;
    let set = asked(CommandField::N_CREATE_RQ, STEP, Some("1.2.3"), true);
    for (length, status) in
        [(limits::NORMALIZED_DATA_SET, 0), (limits::NORMALIZED_DATA_SET + 1, 0x0213), (5_000_000, 0x0213)]
    {
        peer.send(&data(&[(CONTEXT, true, true, &set_bytes(&set))])).await;
        let bytes = vec![1; length];
        let mut pieces = bytes.chunks(100_000).peekable();
        while let Some(piece) = pieces.next() {
            peer.send(&data(&[(CONTEXT, false, pieces.peek().is_none(), piece)])).await;
        }
        assert_eq!(peer.receive_status().await, status, "{length}");
    }
    assert_eq!(memory.normalized.lock().unwrap().len(), 1);
    // and not without end
    peer.send(&data(&[(CONTEXT, true, true, &set_bytes(&set))])).await;
    let piece = data(&[(CONTEXT, false, false, &[1; 100_000])]);
    while !served.is_finished() {
        if tokio::io::AsyncWriteExt::write_all(&mut peer.stream, &piece).await.is_err() {
            break;
        }
        if let Ok(Some(Pdu::Abort(_))) = tokio::time::timeout(std::time::Duration::from_millis(1), peer.receive()).await
        {
            break;
        }
    }
    drop(peer);
    assert_eq!(served.await.unwrap().how, How::Violation(Violation::RefusedDataSetTooLong));
}
