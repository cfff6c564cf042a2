//! Associations over a stream in memory: who gets in, who is sent away, and how (conformance A).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peer;

use std::time::Duration;

use kluis_dicom::Phi;
use kluis_dimse::{
    Refusal,
    association::{State, Violation},
    driver::{Config, Ending, How, serve},
    limits,
    pdu::{Abort, AbortSource, AssociateRj, Pdu, PduError, UnknownSubItem, UserIdentity, reject_reason},
};
use peer::{Memory, Peer, ae, command, config, context, data, echo_command, pdu_bytes, request, set_bytes};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    sync::watch,
    task::JoinHandle,
    time::Instant,
};

fn start(memory: Memory, config: Config) -> (Peer<DuplexStream>, JoinHandle<Ending>, watch::Sender<bool>) {
    let (ours, theirs) = duplex(256 * 1024);
    let (stop, stopping) = watch::channel(false);
    let (mut memory, opened) = (memory, Instant::now());
    let served = tokio::spawn(async move { serve(ours, &mut memory, &config, opened, stopping).await });
    (Peer::new(theirs), served, stop)
}

async fn ending(peer: Peer<DuplexStream>, served: JoinHandle<Ending>) -> How {
    drop(peer);
    served.await.unwrap().how
}

fn provider(reason: u8) -> Pdu {
    Pdu::Abort(Abort { source: AbortSource::Provider, reason })
}

#[tokio::test]
async fn a01_b01_a_request_for_verification_is_accepted_and_echoed() {
    let (mut peer, served, _stop) = start(Memory::default(), config());
    let mut rq = request();
    rq.contexts.truncate(1);
    let ac = peer.associate(rq).await;
    assert_eq!(ac.contexts[0].result.code(), 0);
    assert_eq!(peer.echo(1).await, 0x0000);
    assert_eq!(peer.echo(2).await, 0x0000);
    peer.release().await;
    let ending = served.await.unwrap();
    assert_eq!((ending.how, ending.messages), (How::Released, 2));
    assert_eq!(ending.calling.unwrap().as_str(), "MODALITY");
}

#[tokio::test]
async fn a02_a03_a04_a05_rejections_reach_the_peer() {
    for (refusal, change, expected) in [
        (None, "called", reject_reason::CALLED_AE),
        (None, "calling", reject_reason::CALLING_AE),
        (Some(Refusal::Identity), "", reject_reason::CALLING_AE),
        (Some(Refusal::LocalLimit), "", reject_reason::LOCAL_LIMIT),
        (None, "context", reject_reason::APPLICATION_CONTEXT),
        (None, "version", reject_reason::PROTOCOL_VERSION),
    ] {
        let (mut peer, served, _stop) = start(Memory { refusal, ..Memory::default() }, config());
        let mut rq = request();
        match change {
            "called" => rq.called_ae = ae("ANYBODY"),
            "calling" => rq.calling_ae = [b' '; 16],
            "context" => rq.application_context = None,
            "version" => rq.protocol_version = 0,
            _ => {}
        }
        peer.send_pdu(&Pdu::AssociateRq(Box::new(rq))).await;
        let rejected: AssociateRj = expected;
        assert_eq!(peer.receive().await, Some(Pdu::AssociateRj(rejected)));
        assert_eq!(ending(peer, served).await, How::Rejected(rejected));
    }
}

#[tokio::test]
async fn a11_an_even_context_id_is_aborted() {
    let (mut peer, served, _stop) = start(Memory::default(), config());
    let mut rq = request();
    rq.contexts.push(context(2, peer::CT, peer::IMPLICIT));
    peer.send_pdu(&Pdu::AssociateRq(Box::new(rq))).await;
    assert_eq!(peer.receive().await, Some(provider(6)));
    let violation = Violation::Pdu(PduError::EvenContextId(2));
    assert_eq!(ending(peer, served).await, How::Violation(violation));
}

#[tokio::test]
async fn a14_unknown_sub_items_are_skipped() {
    let (mut peer, _served, _stop) = start(Memory::default(), config());
    let mut rq = request();
    rq.user.unknown = vec![UnknownSubItem { kind: 0x7F, bytes: vec![1, 2, 3] }];
    peer.associate(rq).await;
    assert_eq!(peer.echo(1).await, 0);
}

#[tokio::test]
async fn a15_an_unrecognised_pdu_is_aborted_and_the_connection_closed() {
    for is_associated in [false, true] {
        let (mut peer, served, _stop) = start(Memory::default(), config());
        if is_associated {
            peer.associate(request()).await;
        }
        peer.send(&[0x0A, 0, 0, 0, 0, 4, 1, 2, 3, 4]).await;
        assert_eq!(peer.receive().await, Some(provider(1)));
        assert_eq!(peer.receive().await, None);
        let violation = Violation::Pdu(PduError::UnrecognizedType(0x0A));
        assert_eq!(ending(peer, served).await, How::Violation(violation));
    }
}

#[tokio::test]
async fn a16_pdus_out_of_turn_are_aborted() {
    let rp = pdu_bytes(&Pdu::ReleaseRp);
    let rq = pdu_bytes(&Pdu::AssociateRq(Box::new(request())));
    for (bytes, kind, is_associated) in [
        (data(&[(1, true, true, &echo_command(1))]), 4, false),
        (vec![4, 0, 0, 0, 0, 9, 0xFF], 4, false),
        (pdu_bytes(&Pdu::ReleaseRq), 5, false),
        (rp, 6, true),
        (rq, 1, true),
    ] {
        let (mut peer, served, _stop) = start(Memory::default(), config());
        if is_associated {
            peer.associate(request()).await;
        }
        peer.send(&bytes).await;
        assert_eq!(peer.receive().await, Some(provider(2)), "type {kind}");
        let state = if is_associated { State::Established } else { State::AwaitingRequest };
        let violation = Violation::UnexpectedPdu { kind, state };
        assert_eq!(ending(peer, served).await, How::Violation(violation));
    }
}

#[tokio::test]
async fn a17_a_length_of_4_gib_is_aborted_at_once() {
    for (kind, is_associated) in [(1, false), (4, true), (1, true)] {
        let (mut peer, served, _stop) = start(Memory::default(), config());
        if is_associated {
            peer.associate(request()).await;
        }
        peer.send(&[kind, 0, 0xFF, 0xFF, 0xFF, 0xFF]).await;
        assert_eq!(peer.receive().await, Some(provider(6)));
        let how = ending(peer, served).await;
        assert!(matches!(how, How::Violation(Violation::Pdu(PduError::TooLong { declared: u32::MAX, .. }))), "{how:?}");
    }
}

#[tokio::test]
async fn a18_release_is_answered() {
    let (mut peer, served, _stop) = start(Memory::default(), config());
    peer.associate(request()).await;
    peer.release().await;
    assert_eq!(served.await.unwrap().how, How::Released);
}

#[tokio::test(start_paused = true)]
async fn a19_a_connection_without_a_request_is_closed_after_artim() {
    let began = Instant::now();
    let (mut peer, served, _stop) = start(Memory::default(), config());
    // drip-feeding does not help
    for byte in [1, 0, 0] {
        peer.send(&[byte]).await;
        tokio::time::advance(Duration::from_secs(3)).await;
    }
    assert_eq!(peer.receive().await, None);
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(ending(peer, served).await, How::Violation(Violation::NoRequestInTime));
}

#[tokio::test(start_paused = true)]
async fn an_idle_association_is_aborted_after_60_s() {
    let (mut peer, served, _stop) = start(Memory::default(), config());
    peer.associate(request()).await;
    tokio::time::advance(Duration::from_secs(50)).await;
    assert_eq!(peer.echo(1).await, 0);
    let began = Instant::now();
    assert_eq!(peer.receive().await, Some(Pdu::Abort(Abort { source: AbortSource::User, reason: 0 })));
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(ending(peer, served).await, How::Violation(Violation::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_message_slower_than_the_least_rate_is_aborted() {
    let (mut peer, served, _stop) = start(Memory::default(), config());
    peer.associate(request()).await;
    let store = data(&[(3, true, true, &peer::store_command(1, "1.2.3"))]);
    peer.send(&store).await;
    // 2 KiB/s for a minute is enough, and then 100 bytes/s are not
    for _ in 0..60 {
        peer.send(&data(&[(3, false, false, &[0; 2048])])).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut seconds = 0;
    let abort = loop {
        tokio::select! {
            biased;
            pdu = peer.receive() => break pdu,
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                seconds += 1;
                assert!(seconds <= 60, "still served after a minute");
                peer.send(&data(&[(3, false, false, &[0; 100])])).await;
            }
        }
    };
    assert_eq!(abort, Some(provider(0)));
    assert!((29..=60).contains(&seconds), "{seconds} s");
    assert_eq!(ending(peer, served).await, How::Violation(Violation::TooSlow));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_let_go() {
    let (ours, theirs) = duplex(600);
    let (_stop, stopping) = watch::channel(false);
    let served =
        tokio::spawn(async move { serve(ours, &mut Memory::default(), &config(), Instant::now(), stopping).await });
    let mut peer = Peer::new(theirs);
    peer.associate(request()).await;
    let mut stream = peer.stream;
    let flood = tokio::spawn(async move {
        let echo = data(&[(1, true, true, &echo_command(1))]);
        while stream.write_all(&echo).await.is_ok() {}
    });
    assert_eq!(served.await.unwrap().how, How::Violation(Violation::DoesNotRead));
    flood.await.unwrap();
}

#[tokio::test]
async fn a22_answers_keep_the_maximum_length_of_the_peer() {
    for (maximum, expected) in [(128, 128), (150, 150), (4096, 4096), (0, 1 << 17)] {
        let (mut peer, _served, _stop) = start(Memory::default(), config());
        let mut rq = request();
        rq.user.maximum_length = Some(maximum);
        peer.associate(rq).await;
        let instance = "1.2.".to_owned() + &"3".repeat(60);
        peer.send(&data(&[(3, true, true, &peer::store_command(9, &instance)), (3, false, true, &[0; 8])])).await;
        let (set, longest) = peer.receive_command().await;
        assert_eq!(set.us(kluis_dimse::command::element::STATUS), Some(0));
        assert!(longest <= expected, "{longest} > {expected}");
        assert!(maximum != 128 || longest > 100, "the case of several fragments was not met");
    }
}

#[tokio::test]
async fn a_maximum_length_without_room_for_a_message_is_aborted() {
    let (mut peer, served, _stop) = start(Memory::default(), config());
    let mut rq = request();
    rq.user.maximum_length = Some(7);
    peer.send_pdu(&Pdu::AssociateRq(Box::new(rq))).await;
    assert_eq!(peer.receive().await, Some(provider(6)));
    assert_eq!(ending(peer, served).await, How::Violation(Violation::PeerMaximumLength(7)));
}

#[tokio::test]
async fn a25_a_context_that_was_not_accepted_is_aborted() {
    for context_id in [0, 5, 7, 255] {
        let (mut peer, served, _stop) = start(Memory::default(), config());
        let mut rq = request();
        rq.contexts.push(context(5, "1.2.3.4", peer::IMPLICIT));
        peer.associate(rq).await;
        peer.send(&data(&[(context_id, true, true, &echo_command(1))])).await;
        assert_eq!(peer.receive().await, Some(provider(6)));
        let violation = Violation::ContextNotAccepted(context_id);
        assert_eq!(ending(peer, served).await, How::Violation(violation));
    }
}

#[tokio::test]
async fn messages_that_break_the_rules_are_named() {
    use kluis_dimse::command::{CommandError, CommandField};
    let echo = echo_command(1);
    let store = peer::store_command(1, "1.2.3");
    let response = set_bytes(&command(CommandField::C_ECHO_RQ.response(), 1, peer::VERIFICATION, false));
    let long = vec![0; limits::COMMAND_SET];
    for (bytes, violation) in [
        (data(&[(3, false, true, &[1, 2])]), Violation::DataSetWithoutCommand),
        (data(&[(3, true, true, &store), (1, true, true, &echo)]), Violation::CommandWithinDataSet),
        (
            data(&[(3, true, false, &store), (1, true, true, &store)]),
            Violation::ContextChanged { began: 3, went_on: 1 },
        ),
        (data(&[(3, true, true, &store), (1, false, true, &[0])]), Violation::ContextChanged { began: 3, went_on: 1 }),
        (data(&[(1, true, true, &response)]), Violation::UnexpectedResponse(0x8030)),
        (data(&[(1, true, false, &long), (1, true, false, &long)]), Violation::CommandTooLong),
        (
            data(&[(1, true, true, &[8, 0, 0, 0, 0, 0, 0, 0])]),
            Violation::Command(CommandError::Group { group: 8, element: 0 }),
        ),
        (data(&[(1, true, true, &[])]), Violation::Command(CommandError::Missing(0x0100))),
    ] {
        let (mut peer, served, _stop) = start(Memory::default(), config());
        peer.associate(request()).await;
        peer.send(&bytes).await;
        assert_eq!(peer.receive().await, violation.abort().map(Pdu::Abort));
        assert_eq!(ending(peer, served).await, How::Violation(violation));
    }
}

#[tokio::test]
async fn a27_an_identity_is_answered_only_where_asked_for() {
    for (is_response_requested, answer, expected) in
        [(true, Some(b"ok".to_vec()), Some(b"ok".to_vec())), (false, Some(b"ok".to_vec()), None), (true, None, None)]
    {
        for kind in 1..=5 {
            let memory = Memory { identity_response: answer.clone(), ..Memory::default() };
            let (mut peer, _served, _stop) = start(memory, config());
            let mut rq = request();
            rq.user.identity = Some(UserIdentity {
                kind,
                is_response_requested,
                primary: Phi(b"name".to_vec()),
                secondary: Phi(b"word".to_vec()),
            });
            assert_eq!(peer.associate(rq).await.user.identity_response, expected);
        }
    }
}

#[tokio::test]
async fn a31_a_lost_connection_drops_what_was_half_stored() {
    let memory = Memory::default();
    let (mut peer, served, _stop) = start(memory.clone(), config());
    peer.associate(request()).await;
    peer.send(&data(&[(3, true, true, &peer::store_command(1, "1.2.3")), (3, false, false, &[0; 100])])).await;
    assert_eq!(ending(peer, served).await, How::Closed);
    assert_eq!(*memory.dropped.lock().unwrap(), 1);
    assert!(memory.stored.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a32_an_abort_or_a_release_at_any_point_ends_the_association() {
    let whole = [
        data(&[(3, true, true, &peer::store_command(1, "1.2.3"))]),
        data(&[(3, false, false, &[0; 100])]),
        data(&[(3, false, false, &[0; 100])]),
    ];
    let abort = Pdu::Abort(Abort { source: AbortSource::User, reason: 0 });
    for sent in 0..=whole.len() {
        for last in [&abort, &Pdu::ReleaseRq] {
            let memory = Memory::default();
            let (mut peer, served, _stop) = start(memory.clone(), config());
            peer.associate(request()).await;
            for part in &whole[..sent] {
                peer.send(part).await;
            }
            peer.send_pdu(last).await;
            if *last == Pdu::ReleaseRq {
                assert_eq!(peer.receive().await, Some(Pdu::ReleaseRp));
                // let go before the peer closes, not after
                assert_eq!(*memory.dropped.lock().unwrap(), u32::from(sent > 0));
                assert_eq!(ending(peer, served).await, How::Released);
            } else {
                assert_eq!(peer.receive().await, None);
                assert!(matches!(ending(peer, served).await, How::Aborted(_)));
            }
            assert_eq!(*memory.dropped.lock().unwrap(), u32::from(sent > 0));
            assert!(memory.stored.lock().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn a32_an_abort_before_the_request_just_closes() {
    let (mut peer, served, _stop) = start(Memory::default(), config());
    let abort = Abort { source: AbortSource::User, reason: 0 };
    peer.send_pdu(&Pdu::Abort(abort)).await;
    assert_eq!(peer.receive().await, None);
    assert_eq!(ending(peer, served).await, How::Aborted(abort));
}

#[tokio::test]
async fn stopping_finishes_the_message_under_way() {
    let memory = Memory::default();
    let (mut peer, served, stop) = start(memory.clone(), config());
    peer.associate(request()).await;
    peer.send(&data(&[(3, true, true, &peer::store_command(1, "1.2.3")), (3, false, false, &[1; 64])])).await;
    // the half message has been read when the stream is empty again
    tokio::task::yield_now().await;
    stop.send(true).unwrap();
    peer.send(&data(&[(3, false, true, &[2; 64])])).await;
    assert_eq!(peer.receive_status().await, 0);
    assert_eq!(peer.receive().await, Some(Pdu::Abort(Abort { source: AbortSource::User, reason: 0 })));
    assert_eq!(ending(peer, served).await, How::ShutDown);
    assert_eq!(memory.stored.lock().unwrap().len(), 1);

    let (mut peer, served, stop) = start(Memory::default(), config());
    peer.associate(request()).await;
    stop.send(true).unwrap();
    assert_eq!(peer.receive().await, Some(Pdu::Abort(Abort { source: AbortSource::User, reason: 0 })));
    assert_eq!(ending(peer, served).await, How::ShutDown);
}
