//! Messages over a stream in memory (conformance B).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peer;

use kluis_dimse::{
    command::{CommandField, element},
    driver::{Ending, How, serve},
    limits,
};
use peer::{Memory, Peer, command, config, data, request, set_bytes, store_command, uid};
use tokio::{
    io::{DuplexStream, duplex},
    sync::watch,
    task::JoinHandle,
    time::Instant,
};

async fn associated(memory: Memory) -> (Peer<DuplexStream>, JoinHandle<Ending>) {
    let (ours, theirs) = duplex(64 * 1024);
    let (stop, stopping) = watch::channel(false);
    let mut memory = memory;
    let served = tokio::spawn(async move {
        let _stop = stop;
        serve(ours, &mut memory, &config(), Instant::now(), stopping).await
    });
    let mut peer = Peer::new(theirs);
    peer.associate(request()).await;
    (peer, served)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[tokio::test]
async fn b02_a_data_set_arrives_as_it_was_sent() {
    for length in [0, 1, 2, 8, 16_378, 16_379, 1_000_001] {
        let memory = Memory::default();
        let (mut peer, served) = associated(memory.clone()).await;
        let data_set = pattern(length);
        if length == 0 {
            peer.send(&data(&[(3, true, true, &store_command(5, "1.2.3")), (3, false, true, &[])])).await;
            assert_eq!(peer.receive_status().await, 0);
        } else {
            assert_eq!(peer.store(5, "1.2.3", &data_set).await, 0);
        }
        peer.release().await;
        assert_eq!(served.await.unwrap().how, How::Released);
        let stored = memory.stored.lock().unwrap();
        assert_eq!(stored.len(), 1);
        assert!(stored[0].data_set == data_set, "{length} bytes");
        assert_eq!(stored[0].request.sop_class, uid(peer::CT));
        assert_eq!(stored[0].request.sop_instance, uid("1.2.3"));
        assert_eq!(stored[0].request.transfer_syntax, uid(peer::IMPLICIT));
    }
}

#[tokio::test]
async fn a_data_set_is_handed_on_in_slices_and_never_gathered() {
    let memory = Memory::default();
    let (mut peer, _served) = associated(memory.clone()).await;
    assert_eq!(peer.store(5, "1.2.3", &pattern(1_000_000)).await, 0);
    let stored = memory.stored.lock().unwrap();
    assert!(stored[0].pieces >= 1_000_000 / limits::BUFFER, "{} pieces", stored[0].pieces);
}

#[tokio::test]
async fn a24_commands_and_data_sets_come_in_any_fragments() {
    let command = store_command(5, "1.2.3");
    let data_set = pattern(1000);
    let (first, second) = command.split_at(13);
    // fragments over many PDUs
    let mut many = Vec::new();
    for (index, byte) in command.iter().enumerate() {
        many.extend(data(&[(3, true, index + 1 == command.len(), &[*byte])]));
    }
    for (index, bytes) in data_set.chunks(7).enumerate() {
        many.extend(data(&[(3, false, (index + 1) * 7 >= data_set.len(), bytes)]));
    }
    for bytes in [
        // all in one PDU
        data(&[
            (3, true, false, first),
            (3, true, true, second),
            (3, false, false, &data_set[..10]),
            (3, false, true, &data_set[10..]),
        ]),
        // an empty fragment first and last
        [
            data(&[(3, true, false, &[]), (3, true, true, &command)]),
            data(&[(3, false, false, &[]), (3, false, false, &data_set), (3, false, true, &[])]),
        ]
        .concat(),
        many,
    ] {
        // and cut anywhere on the way
        for piece in [1, 5, 1000, usize::MAX] {
            let memory = Memory::default();
            let (mut peer, _served) = associated(memory.clone()).await;
            for piece in bytes.chunks(piece.min(bytes.len())) {
                peer.send(piece).await;
            }
            assert_eq!(peer.receive_status().await, 0);
            let stored = memory.stored.lock().unwrap();
            assert!(stored[0].data_set == data_set);
        }
    }
}

#[tokio::test]
async fn b12_after_a_refused_data_set_the_association_goes_on() {
    let memory = Memory { refused_prefix: Some(b"bad"), ..Memory::default() };
    let (mut peer, served) = associated(memory.clone()).await;
    let bad = [b"bad".to_vec(), pattern(300_000)].concat();
    assert_eq!(peer.store(1, "1.2.3", &bad).await, 0xC000);
    assert_eq!(peer.store(2, "9.9.9", &pattern(300_000)).await, 0x0124);
    assert_eq!(peer.store(3, "1.2.4", &pattern(300_000)).await, 0);
    assert_eq!(peer.echo(4).await, 0);
    peer.release().await;
    assert_eq!(served.await.unwrap().messages, 4);
    assert_eq!(memory.stored.lock().unwrap().len(), 1);
    assert_eq!(*memory.dropped.lock().unwrap(), 1);
}

#[tokio::test]
async fn store_commands_that_are_wrong_in_themselves_are_refused_by_status() {
    let good = || {
        let mut set = command(CommandField::C_STORE_RQ, 5, peer::CT, true);
        set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, &uid("1.2.3"));
        set
    };
    let other_class = {
        let mut set = good();
        set.set_uid(element::AFFECTED_SOP_CLASS_UID, &uid(peer::VERIFICATION));
        set
    };
    let no_instance = command(CommandField::C_STORE_RQ, 5, peer::CT, true);
    let bad_instance = {
        let mut set = good();
        set.set_text(element::AFFECTED_SOP_INSTANCE_UID, "1.2/../3", 64);
        set
    };
    let no_data_set = {
        let mut set = good();
        set.set_us(element::DATA_SET_TYPE, 0x0101);
        set
    };
    for (set, status) in
        [(other_class, 0x0122), (no_instance, 0x0117), (bad_instance, 0x0117), (no_data_set, 0xC000), (good(), 0)]
    {
        let (mut peer, _served) = associated(Memory::default()).await;
        peer.send(&data(&[(3, true, true, &set_bytes(&set))])).await;
        if set.us(element::DATA_SET_TYPE) != Some(0x0101) {
            peer.send(&data(&[(3, false, true, &pattern(100))])).await;
        }
        let (reply, _) = peer.receive_command().await;
        assert_eq!(reply.us(element::STATUS), Some(status));
        assert_eq!(reply.us(element::COMMAND_FIELD), Some(0x8001));
        assert_eq!(reply.us(element::MESSAGE_ID_BEING_RESPONDED_TO), Some(5));
        assert_eq!(peer.echo(6).await, 0);
    }
}

#[tokio::test]
async fn b17_operations_that_are_not_offered_are_0211_and_their_data_sets_drained() {
    let (mut peer, _served) = associated(Memory::default()).await;
    for field in CommandField::REQUESTS.into_iter().chain([CommandField(0x0777)]) {
        let offered = [
            CommandField::C_STORE_RQ,
            CommandField::C_FIND_RQ,
            CommandField::C_GET_RQ,
            CommandField::C_MOVE_RQ,
            CommandField::C_ECHO_RQ,
            CommandField::C_CANCEL_RQ,
        ];
        if offered.contains(&field) {
            continue;
        }
        for has_data_set in [false, true] {
            let set = command(field, 11, peer::CT, has_data_set);
            peer.send(&data(&[(3, true, true, &set_bytes(&set))])).await;
            if has_data_set {
                peer.send(&data(&[(3, false, false, &pattern(50)), (3, false, true, &pattern(50))])).await;
            }
            let (reply, _) = peer.receive_command().await;
            assert_eq!(reply.us(element::STATUS), Some(0x0211), "{}", field.name());
            assert_eq!(reply.us(element::COMMAND_FIELD), Some(field.response().0));
        }
    }
    assert_eq!(peer.echo(12).await, 0);
}

#[tokio::test]
async fn a_cancel_of_nothing_is_passed_over() {
    let (mut peer, _served) = associated(Memory::default()).await;
    let mut set = command(CommandField::C_CANCEL_RQ, 1, peer::CT, false);
    set.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, 3);
    peer.send(&data(&[(3, true, true, &set_bytes(&set))])).await;
    assert_eq!(peer.echo(2).await, 0);
}

#[tokio::test]
async fn b19_the_move_originator_is_handed_on() {
    let memory = Memory::default();
    let (mut peer, _served) = associated(memory.clone()).await;
    let mut set = command(CommandField::C_STORE_RQ, 5, peer::CT, true);
    set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, &uid("1.2.3"));
    set.set_text(element::MOVE_ORIGINATOR_AE_TITLE, "STATION", 16);
    set.set_us(element::MOVE_ORIGINATOR_MESSAGE_ID, 77);
    peer.send(&data(&[(3, true, true, &set_bytes(&set)), (3, false, true, &[1, 2])])).await;
    assert_eq!(peer.receive_status().await, 0);
    let stored = memory.stored.lock().unwrap();
    assert_eq!(stored[0].request.move_originator.as_ref().unwrap().as_str(), "STATION");
    assert_eq!(stored[0].request.move_originator_message_id, Some(77));
}
