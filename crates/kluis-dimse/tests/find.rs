//! C-FIND through the driver: matches as they come, cancelling, and what breaks in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peer;

use kluis_dimse::{
    association::Violation,
    command::{CommandField, CommandSet, element},
    driver::{Ending, How, serve},
    limits,
    pdu::Pdu,
};
use tokio::{io::DuplexStream, sync::watch, task::JoinHandle, time::Instant};

use peer::{IMPLICIT, Memory, Peer, command, config, context, data, request, set_bytes};

const STUDY_ROOT: &str = "1.2.840.10008.5.1.4.1.2.2.1";
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
    rq.contexts.push(context(CONTEXT, STUDY_ROOT, IMPLICIT));
    peer.associate(rq).await;
    (peer, served)
}

fn find(message_id: u16) -> Vec<u8> {
    data(&[(CONTEXT, true, true, &set_bytes(&command(CommandField::C_FIND_RQ, message_id, STUDY_ROOT, true)))])
}

fn cancel(message_id: u16) -> Vec<u8> {
    let mut set = CommandSet::default();
    set.set_us(element::COMMAND_FIELD, CommandField::C_CANCEL_RQ.0);
    set.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, message_id);
    set.set_us(element::DATA_SET_TYPE, 0x0101);
    data(&[(CONTEXT, true, true, &set_bytes(&set))])
}

fn identifier(bytes: &[u8]) -> Vec<u8> {
    data(&[(CONTEXT, false, true, bytes)])
}

/// Responses up to the last: statuses and identifiers.
async fn responses(peer: &mut Peer<DuplexStream>, message_id: u16) -> Vec<(u16, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        let (set, _) = peer.receive_command().await;
        assert_eq!(set.us(element::MESSAGE_ID_BEING_RESPONDED_TO), Some(message_id));
        assert_eq!(set.us(element::COMMAND_FIELD), Some(CommandField::C_FIND_RQ.response().0));
        assert_eq!(set.uid(element::AFFECTED_SOP_CLASS_UID).unwrap().as_str(), STUDY_ROOT);
        let status = set.us(element::STATUS).unwrap();
        let has_data_set = set.us(element::DATA_SET_TYPE) != Some(0x0101);
        assert_eq!(has_data_set, status & 0xFF00 == 0xFF00, "{status:04x}");
        if !has_data_set {
            all.push((status, Vec::new()));
            return all;
        }
        let mut bytes = Vec::new();
        loop {
            let Some(Pdu::Data(pdvs)) = peer.receive().await else { panic!("no data set") };
            let is_last = pdvs.last().unwrap().is_last;
            for pdv in pdvs {
                assert!(!pdv.is_command && pdv.context_id == CONTEXT);
                bytes.extend(pdv.bytes);
            }
            if is_last {
                break;
            }
        }
        all.push((status, bytes));
    }
}

#[tokio::test]
async fn matches_come_one_by_one_and_the_association_goes_on() {
    let (mut peer, served) = associated(Memory::default()).await;
    for (message_id, count) in [(1, 0), (2, 1), (3, 1000)] {
        peer.send(&find(message_id)).await;
        peer.send(&identifier(count.to_string().as_bytes())).await;
        let all = responses(&mut peer, message_id).await;
        assert_eq!(all.len(), count + 1);
        for (number, (status, bytes)) in all.iter().take(count).enumerate() {
            assert_eq!((*status, bytes.as_slice()), (0xFF00, format!("match {}", number + 1).as_bytes()));
        }
        assert_eq!(all[count].0, 0);
    }
    // what is refused has one answer
    peer.send(&find(4)).await;
    peer.send(&identifier(b"no number")).await;
    assert_eq!(responses(&mut peer, 4).await, [(0xA900, Vec::new())]);
    assert_eq!(peer.echo(5).await, 0);
    peer.release().await;
    assert_eq!(served.await.unwrap().how, How::Released);
}

#[tokio::test]
async fn c26_a_cancel_is_heard_while_a_match_is_awaited() {
    let (mut peer, _served) = associated(Memory { stalls_at: Some(2), ..Memory::default() }).await;
    peer.send(&find(7)).await;
    peer.send(&identifier(b"100")).await;
    // one for another message is none for this
    peer.send(&cancel(6)).await;
    let cancelled = cancel(7);
    let (first, second) = cancelled.split_at(9);
    peer.send(first).await;
    peer.send(second).await;
    let statuses: Vec<u16> = responses(&mut peer, 7).await.iter().map(|(status, _)| *status).collect();
    // the cancel may be heard before the first match
    assert!(statuses.len() <= 3 && statuses.last() == Some(&0xFE00), "{statuses:04x?}");
    assert_eq!(peer.echo(8).await, 0);
    // what has ended is not cancelled any more
    peer.send(&cancel(7)).await;
    assert_eq!(peer.echo(9).await, 0);
    peer.release().await;
}

#[tokio::test]
async fn who_breaks_in_or_goes_away_ends_it() {
    let stalled = || Memory { stalls_at: Some(0), ..Memory::default() };
    for (bytes, expected) in [
        (find(2), How::Violation(Violation::RequestWithinOperation)),
        (identifier(b"more"), How::Violation(Violation::DataSetWithoutCommand)),
        (data(&[(9, true, true, b"x")]), How::Violation(Violation::ContextNotAccepted(9))),
        (peer::pdu_bytes(&Pdu::ReleaseRq), How::Released),
        (Vec::new(), How::Closed),
    ] {
        let (mut peer, served) = associated(stalled()).await;
        peer.send(&find(1)).await;
        peer.send(&identifier(b"1")).await;
        match bytes.is_empty() {
            true => drop(peer),
            false => {
                peer.send(&bytes).await;
                while peer.receive().await.is_some() {}
                drop(peer);
            }
        }
        assert_eq!(served.await.unwrap().how, expected);
    }
}

#[tokio::test]
async fn identifiers_have_a_limit_and_a_class() {
    let (mut peer, _served) = associated(Memory::default()).await;
    let long = vec![b'1'; limits::IDENTIFIER + 1];
    peer.send(&find(1)).await;
    let mut pieces = long.chunks(16_000).peekable();
    while let Some(piece) = pieces.next() {
        peer.send(&data(&[(CONTEXT, false, pieces.peek().is_none(), piece)])).await;
    }
    assert_eq!(responses(&mut peer, 1).await[0].0, 0xA900);
    // another class than that of the context
    let set = command(CommandField::C_FIND_RQ, 2, "1.2.840.10008.5.1.4.1.2.1.1", true);
    peer.send(&data(&[(CONTEXT, true, true, &set_bytes(&set))])).await;
    peer.send(&identifier(b"1")).await;
    assert_eq!(peer.receive_status().await, 0x0122);
    // and no identifier at all
    let set = command(CommandField::C_FIND_RQ, 3, STUDY_ROOT, false);
    peer.send(&data(&[(CONTEXT, true, true, &set_bytes(&set))])).await;
    assert_eq!(peer.receive_status().await, 0xA900);
    peer.release().await;
}
