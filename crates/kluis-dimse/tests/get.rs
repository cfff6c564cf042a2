//! C-GET through the driver: sub-operations, their counts, cancelling, and what breaks in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peer;

use kluis_dimse::{
    association::Violation,
    command::{CommandField, CommandSet, element},
    driver::{Ending, How, serve},
    pdu::{Pdu, RoleSelection},
};
use tokio::{io::DuplexStream, sync::watch, task::JoinHandle, time::Instant};

use peer::{CT, IMPLICIT, Memory, Peer, command, config, context, data, piece, request, set_bytes, uid};

const STUDY_ROOT: &str = "1.2.840.10008.5.1.4.1.2.2.3";
const CONTEXT: u8 = 5;
const CT_CONTEXT: u8 = 3;

async fn associated(memory: Memory, takes_ct: bool) -> (Peer<DuplexStream>, JoinHandle<Ending>) {
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
    rq.contexts.push(context(CONTEXT, STUDY_ROOT, IMPLICIT));
    if takes_ct {
        rq.user.roles.push(RoleSelection { sop_class: uid(CT), is_scu: false, is_scp: true });
    }
    let ac = peer.associate(rq).await;
    let roles: Vec<_> = ac.user.roles.iter().map(|role| (role.sop_class.as_str(), role.is_scu, role.is_scp)).collect();
    assert_eq!(roles, if takes_ct { vec![(CT, false, true)] } else { vec![] });
    (peer, served)
}

async fn ask(peer: &mut Peer<DuplexStream>, message_id: u16, count: usize) {
    let set = set_bytes(&command(CommandField::C_GET_RQ, message_id, STUDY_ROOT, true));
    peer.send(&data(&[(CONTEXT, true, true, &set)])).await;
    peer.send(&data(&[(CONTEXT, false, true, count.to_string().as_bytes())])).await;
}

fn cancel(message_id: u16) -> Vec<u8> {
    let mut set = CommandSet::default();
    set.set_us(element::COMMAND_FIELD, CommandField::C_CANCEL_RQ.0);
    set.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, message_id);
    set.set_us(element::DATA_SET_TYPE, 0x0101);
    data(&[(CONTEXT, true, true, &set_bytes(&set))])
}

fn answer(request: &CommandSet, status: u16) -> Vec<u8> {
    let mut set = CommandSet::default();
    set.set_us(element::COMMAND_FIELD, CommandField::C_STORE_RQ.response().0);
    set.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, request.us(element::MESSAGE_ID).unwrap());
    set.set_us(element::DATA_SET_TYPE, 0x0101);
    set.set_us(element::STATUS, status);
    data(&[(CT_CONTEXT, true, true, &set_bytes(&set))])
}

async fn data_set(peer: &mut Peer<DuplexStream>, context_id: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let Some(Pdu::Data(pdvs)) = peer.receive().await else { panic!("no data set") };
        let is_last = pdvs.last().unwrap().is_last;
        for pdv in pdvs {
            assert!(!pdv.is_command && pdv.context_id == context_id && pdv.bytes.len() <= 16_384 - 6);
            bytes.extend(pdv.bytes);
        }
        if is_last {
            return bytes;
        }
    }
}

/// Status and counters: remaining, completed, failed, warning.
type Told = (u16, [Option<u16>; 4]);

/// Takes every object and answers with the statuses in turn, up to the last response; gives all responses and the failed.
async fn take_all(peer: &mut Peer<DuplexStream>, message_id: u16, statuses: &[u16]) -> (Vec<Told>, Vec<u8>) {
    let (mut told, mut stored) = (Vec::new(), 0);
    loop {
        let (set, _) = peer.receive_command().await;
        if set.us(element::COMMAND_FIELD) == Some(CommandField::C_STORE_RQ.0) {
            let image: usize = set.uid(element::AFFECTED_SOP_INSTANCE_UID).unwrap().as_str()[4..].parse().unwrap();
            let expected: Vec<u8> = (0..3).flat_map(|number| piece(image, number)).collect();
            assert!(data_set(peer, CT_CONTEXT).await == expected, "image {image}");
            peer.send(&answer(&set, statuses[stored % statuses.len()])).await;
            stored += 1;
            continue;
        }
        assert_eq!(set.us(element::COMMAND_FIELD), Some(CommandField::C_GET_RQ.response().0));
        assert_eq!(set.us(element::MESSAGE_ID_BEING_RESPONDED_TO), Some(message_id));
        let counters = [element::REMAINING, element::COMPLETED, element::FAILED, element::WARNING];
        let status = set.us(element::STATUS).unwrap();
        told.push((status, counters.map(|counter| set.us(counter))));
        if status != 0xFF00 {
            let has_list = set.us(element::DATA_SET_TYPE) != Some(0x0101);
            return (told, if has_list { data_set(peer, CONTEXT).await } else { Vec::new() });
        }
    }
}

#[tokio::test]
async fn d01_objects_come_as_sub_operations_with_counts() {
    let memory = Memory::default();
    let (mut peer, served) = associated(memory.clone(), true).await;
    ask(&mut peer, 1, 3).await;
    let (told, list) = take_all(&mut peer, 1, &[0]).await;
    let pending = |remaining, completed| (0xFF00, [Some(remaining), Some(completed), Some(0), Some(0)]);
    assert_eq!(told, [pending(2, 1), pending(1, 2), (0, [None, Some(3), Some(0), Some(0)])]);
    assert!(list.is_empty());
    // D03: nothing to send is a success, and the association goes on
    ask(&mut peer, 2, 0).await;
    assert_eq!(take_all(&mut peer, 2, &[0]).await.0, [(0, [None, Some(0), Some(0), Some(0)])]);
    assert_eq!(*memory.completed.lock().unwrap(), 2);
    peer.send(&peer::pdu_bytes(&Pdu::ReleaseRq)).await;
    assert_eq!(peer.receive().await, Some(Pdu::ReleaseRp));
    drop(peer);
    assert_eq!(served.await.unwrap().how, How::Released);
}

#[tokio::test]
async fn d04_what_failed_is_counted_and_listed() {
    let memory = Memory { unsent: vec![2], broken: Some((5, 1)), ..Memory::default() };
    let (mut peer, _served) = associated(memory, true).await;
    ask(&mut peer, 1, 5).await;
    // image 1 with a warning, 3 refused, 4 stored, 5 damaged
    let (told, list) = take_all(&mut peer, 1, &[0xB000, 0xA700, 0]).await;
    assert_eq!(told.last(), Some(&(0xB000, [None, Some(1), Some(3), Some(1)])));
    assert_eq!(String::from_utf8(list).unwrap(), "1.2.2\\1.2.3\\1.2.5");
    ask(&mut peer, 2, 2).await;
    let (told, list) = take_all(&mut peer, 2, &[0x0110]).await;
    assert_eq!(told.last(), Some(&(0xA702, [None, Some(0), Some(2), Some(0)])));
    assert_eq!(String::from_utf8(list).unwrap(), "1.2.1\\1.2.2");
}

#[tokio::test]
async fn d04_without_a_role_nothing_is_sent() {
    let (mut peer, _served) = associated(Memory::default(), false).await;
    ask(&mut peer, 1, 2).await;
    let (told, list) = take_all(&mut peer, 1, &[0]).await;
    assert_eq!(told.last(), Some(&(0xA702, [None, Some(0), Some(2), Some(0)])));
    assert_eq!(list, b"1.2.1\\1.2.2");
}

#[tokio::test]
async fn d11_a_cancel_ends_it_between_two_objects_and_while_none_comes() {
    let memory = Memory { stalls_at: Some(6), ..Memory::default() };
    let (mut peer, _served) = associated(memory.clone(), true).await;
    ask(&mut peer, 1, 5).await;
    let (set, _) = peer.receive_command().await;
    data_set(&mut peer, CT_CONTEXT).await;
    // of another operation: passed over
    peer.send(&cancel(9)).await;
    peer.send(&cancel(1)).await;
    peer.send(&answer(&set, 0)).await;
    let (told, _) = take_all(&mut peer, 1, &[0]).await;
    assert_eq!(told, [(0xFE00, [Some(4), Some(1), Some(0), Some(0)])]);
    // behind the answer, in one write with it
    ask(&mut peer, 3, 5).await;
    let (set, _) = peer.receive_command().await;
    data_set(&mut peer, CT_CONTEXT).await;
    peer.send(&[answer(&set, 0), cancel(3)].concat()).await;
    let (told, _) = take_all(&mut peer, 3, &[0]).await;
    assert_eq!(told.last(), Some(&(0xFE00, [Some(4), Some(1), Some(0), Some(0)])));
    ask(&mut peer, 2, 9).await;
    let mut stored = 0;
    while stored < 6 {
        let (set, _) = peer.receive_command().await;
        if set.us(element::COMMAND_FIELD) == Some(CommandField::C_STORE_RQ.0) {
            data_set(&mut peer, CT_CONTEXT).await;
            stored += 1;
            peer.send(&answer(&set, 0)).await;
        }
    }
    peer.send(&cancel(2)).await;
    let (told, _) = take_all(&mut peer, 2, &[0]).await;
    assert_eq!(told.last(), Some(&(0xFE00, [Some(3), Some(6), Some(0), Some(0)])));
    assert_eq!(*memory.completed.lock().unwrap(), 0, "a cancelled answer is no complete one");
}

#[tokio::test]
async fn an_object_that_breaks_off_and_a_wrong_answer_end_the_association() {
    let (mut peer, served) = associated(Memory { broken: Some((1, 2)), ..Memory::default() }, true).await;
    ask(&mut peer, 1, 1).await;
    peer.receive_command().await;
    while let Some(pdu) = peer.receive().await {
        if matches!(pdu, Pdu::Abort(_)) {
            break;
        }
    }
    drop(peer);
    assert_eq!(served.await.unwrap().how, How::Unreadable);
    // another message id, another operation, a request
    for wrong in 0..3 {
        let (mut peer, served) = associated(Memory::default(), true).await;
        ask(&mut peer, 1, 1).await;
        let (mut set, _) = peer.receive_command().await;
        data_set(&mut peer, CT_CONTEXT).await;
        let expected = match wrong {
            0 => {
                set.set_us(element::MESSAGE_ID, 77);
                peer.send(&answer(&set, 0)).await;
                Violation::UnexpectedResponse(0x8001)
            }
            1 => {
                let mut other = CommandSet::default();
                other.set_us(element::COMMAND_FIELD, 0x8030);
                other.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, set.us(element::MESSAGE_ID).unwrap());
                other.set_us(element::DATA_SET_TYPE, 0x0101);
                other.set_us(element::STATUS, 0);
                peer.send(&data(&[(CT_CONTEXT, true, true, &set_bytes(&other))])).await;
                Violation::UnexpectedResponse(0x8030)
            }
            _ => {
                ask(&mut peer, 2, 1).await;
                Violation::RequestWithinOperation
            }
        };
        assert!(matches!(peer.receive().await, Some(Pdu::Abort(_))));
        drop(peer);
        assert_eq!(served.await.unwrap().how, How::Violation(expected));
    }
}
