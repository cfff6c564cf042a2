//! The requestor against our own acceptor, and against peers that break the rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peer;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kluis_dicom::Phi;
use kluis_dimse::{
    Body, Outcome, StoreRequest, StoreSink, Unreadable,
    association::Violation,
    command::{CommandField, CommandSet, Counts, Status, element},
    driver::{Ending, How, serve},
    limits::Timing,
    pdu::{
        self, AssociateAc, AssociateRq, ContextReply, ContextResult, Pdu, RoleSelection, UserInformation, reject_reason,
    },
    requestor::{Association, Failure, Found, Normalized, Offer, Progress, Proposal, Receiver, Stored},
};
use tokio::{io::DuplexStream, sync::watch, task::JoinHandle, time::Instant};

use peer::{CT, IMPLICIT, Memory, Peer, VERIFICATION, config, data, piece, set_bytes, uid};

const STUDY_ROOT_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
const STUDY_ROOT_GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
const STUDY_ROOT_MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";

/// Of the context that no peer of ours takes, for what the played one does.
const EVENTS: u8 = 11;

fn proposal() -> Proposal {
    let offer =
        |class: &str| Offer { abstract_syntax: uid(class), transfer_syntaxes: vec![uid("1.2.3.4"), uid(IMPLICIT)] };
    Proposal {
        calling: "WORKSTATION".parse().unwrap(),
        called: "KLUIS".parse().unwrap(),
        contexts: [VERIFICATION, CT, STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, "1.2.3"].map(offer).to_vec(),
        roles: vec![RoleSelection { sop_class: uid(CT), is_scu: true, is_scp: true }],
        extended: Vec::new(),
        identity: None,
        implementation_class_uid: uid("1.2.826.0.1.3680043.10.1"),
        implementation_version: "KLUIS".to_owned(),
    }
}

fn never() -> watch::Receiver<bool> {
    let (keep, shutdown) = watch::channel(false);
    std::mem::forget(keep);
    shutdown
}

async fn associated(memory: Memory) -> (Association<DuplexStream>, JoinHandle<Ending>) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let served = tokio::spawn(async move {
        let mut memory = memory;
        serve(theirs, &mut memory, &config(), Instant::now(), never()).await
    });
    (Association::request(ours, &proposal(), Timing::default(), never()).await.unwrap(), served)
}

struct Pieces(Vec<Result<Bytes, Unreadable>>);

impl Body for Pieces {
    async fn read(&mut self) -> Result<Option<Bytes>, Unreadable> {
        if self.0.is_empty() { Ok(None) } else { self.0.remove(0).map(Some) }
    }
}

#[tokio::test]
async fn what_is_accepted_is_told_and_echo_store_and_release_are_answered() {
    let memory = Memory::default();
    let (mut association, served) = associated(memory.clone()).await;
    let classes: Vec<_> =
        association.contexts().iter().map(|(id, agreed)| (*id, agreed.abstract_syntax.as_str())).collect();
    assert_eq!(classes, [(1, VERIFICATION), (3, CT), (5, STUDY_ROOT_FIND), (7, STUDY_ROOT_GET), (9, STUDY_ROOT_MOVE)]);
    assert_eq!(association.context_of(&uid("1.2.3")), Err(Failure::NotAccepted(uid("1.2.3"))));
    assert_eq!(association.peer().implementation_version.as_deref(), Some("KLUIS"));

    assert_eq!(association.echo(1).await.unwrap().status, Status::SUCCESS);
    let context = association.context_for(&uid(CT), &uid(IMPLICIT)).unwrap();
    let pieces = || Pieces(vec![Ok(piece(1, 0).into()), Ok(piece(1, 1).into()), Ok(piece(1, 2).into())]);
    let mover = "MOVER".parse().unwrap();
    let stored = association.store(context, &uid("1.2.1"), Some((&mover, 77)), pieces()).await.unwrap();
    assert!(matches!(stored, Stored::Answered(answer) if answer.status == Status::SUCCESS));
    // a refusal leaves the association usable, and what cannot be read is not begun
    let refused = association.store(context, &uid("9.9.9"), None, pieces()).await.unwrap();
    assert!(matches!(refused, Stored::Answered(answer) if answer.status == Status::NOT_AUTHORIZED));
    let unreadable = Pieces(vec![Ok(piece(1, 0).into()), Err(Unreadable)]);
    assert_eq!(association.store(context, &uid("1.2.2"), None, unreadable).await.unwrap(), Stored::Unreadable);
    assert_eq!(association.echo(1).await.unwrap().status, Status::SUCCESS);
    association.release().await.unwrap();

    let ending = served.await.unwrap();
    assert_eq!((ending.how, ending.messages), (How::Released, 4));
    let stored = memory.stored.lock().unwrap();
    assert_eq!(stored.len(), 1);
    assert!(stored[0].data_set == [piece(1, 0), piece(1, 1), piece(1, 2)].concat());
    let request = &stored[0].request;
    assert_eq!((request.move_originator.as_ref(), request.move_originator_message_id), (Some(&mover), Some(77)));
}

#[tokio::test]
async fn an_object_that_breaks_off_ends_the_association() {
    let memory = Memory::default();
    let (mut association, served) = associated(memory.clone()).await;
    let broken = Pieces(vec![Ok(piece(1, 0).into()), Ok(piece(1, 1).into()), Err(Unreadable)]);
    assert_eq!(association.store(3, &uid("1.2.1"), None, broken).await, Err(Failure::Unreadable));
    assert!(matches!(served.await.unwrap().how, How::Aborted(_)));
    assert!(memory.stored.lock().unwrap().is_empty());
    assert_eq!(*memory.dropped.lock().unwrap(), 1);
}

#[tokio::test]
async fn matches_come_one_by_one_and_can_be_cancelled() {
    let (mut association, served) = associated(Memory { stalls_at: Some(5), ..Memory::default() }).await;
    let mut finding = association.find(5, b"3").await.unwrap();
    for number in 1..=3 {
        let found = Found::Match(Status::PENDING, Phi(format!("match {number}").into_bytes()));
        assert_eq!(finding.next().await.unwrap(), found);
    }
    assert!(matches!(finding.next().await.unwrap(), Found::End(answer) if answer.status == Status::SUCCESS));

    let mut finding = association.find(5, b"1000").await.unwrap();
    for _ in 0..5 {
        assert!(matches!(finding.next().await.unwrap(), Found::Match(..)));
    }
    finding.cancel().await.unwrap();
    assert!(matches!(finding.next().await.unwrap(), Found::End(answer) if answer.status == Status::CANCEL));

    let mut finding = association.find(5, b"no number").await.unwrap();
    let end = finding.next().await.unwrap();
    assert!(matches!(end, Found::End(answer) if answer.status == Status::DATA_SET_DOES_NOT_MATCH));
    association.release().await.unwrap();
    assert_eq!(served.await.unwrap().how, How::Released);
}

type Kept = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Keeps what comes, but refuses some of it.
#[derive(Default)]
struct Keeper {
    kept: Kept,
    refused: Vec<&'static str>,
}

struct Keeping(String, Vec<u8>, Kept);

impl Receiver for Keeper {
    type Sink = Keeping;

    async fn begin(&mut self, request: StoreRequest) -> Result<Keeping, Outcome> {
        let name = request.sop_instance.as_str().to_owned();
        if self.refused.contains(&name.as_str()) {
            return Err(Status::OUT_OF_RESOURCES.into());
        }
        Ok(Keeping(name, Vec::new(), Arc::clone(&self.kept)))
    }
}

impl StoreSink for Keeping {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Outcome> {
        self.1.extend_from_slice(bytes);
        Ok(())
    }

    async fn finish(self) -> Outcome {
        self.2.lock().unwrap().push((self.0, self.1));
        Status::SUCCESS.into()
    }
}

#[tokio::test]
async fn objects_of_a_get_come_whole_and_refused_ones_are_counted() {
    let (mut association, served) = associated(Memory::default()).await;
    let mut keeper = Keeper { refused: vec!["1.2.2"], ..Keeper::default() };
    let mut getting = association.get(7, b"3").await.unwrap();
    let mut pending = Vec::new();
    let (answer, counts, failed) = loop {
        match getting.next(&mut keeper).await.unwrap() {
            Progress::Pending(counts) => pending.push(counts.remaining),
            Progress::End { answer, counts, failed } => break (answer, counts, failed),
        }
    };
    assert_eq!(answer.status, Status::SOME_FAILED);
    assert_eq!(counts, Counts { remaining: 0, completed: 2, failed: 1, warning: 0 });
    assert_eq!(failed.unwrap().0, b"1.2.2");
    assert_eq!(pending, [2, 1]);
    let kept = keeper.kept.lock().unwrap().clone();
    let names: Vec<_> = kept.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["1.2.1", "1.2.3"]);
    assert!(kept[1].1 == [piece(3, 0), piece(3, 1), piece(3, 2)].concat());
    association.release().await.unwrap();
    assert_eq!(served.await.unwrap().how, How::Released);
}

#[tokio::test]
async fn d10_d11_a_move_tells_how_far_it_is_and_can_be_cancelled() {
    let memory = Memory::default();
    let (mut association, served) = associated(memory.clone()).await;
    let there = "WORKSTATION".parse().unwrap();
    let counts = |remaining, completed, failed| Counts { remaining, completed, failed, warning: 0 };

    let mut moving = association.transfer(9, &there, b"3").await.unwrap();
    for expected in [counts(2, 1, 0), counts(1, 1, 1), counts(0, 2, 1)] {
        memory.step.notify_one();
        assert_eq!(moving.next().await.unwrap(), Progress::Pending(expected));
    }
    let Progress::End { answer, counts: last, failed } = moving.next().await.unwrap() else { panic!("no end") };
    assert_eq!((answer.status, last, failed.unwrap().0), (Status::SOME_FAILED, counts(0, 2, 1), b"1.2.2".to_vec()));

    let mut moving = association.transfer(9, &there, b"3").await.unwrap();
    memory.step.notify_one();
    assert_eq!(moving.next().await.unwrap(), Progress::Pending(counts(2, 1, 0)));
    moving.cancel().await.unwrap();
    memory.cancelled.notified().await;
    let Progress::End { answer, counts: last, .. } = moving.next().await.unwrap() else { panic!("no end") };
    assert_eq!((answer.status, last), (Status::CANCEL, counts(2, 1, 0)));

    let mut moving = association.transfer(9, &"ELSEWHERE".parse().unwrap(), b"3").await.unwrap();
    let Progress::End { answer, .. } = moving.next().await.unwrap() else { panic!("no end") };
    assert_eq!(answer.status, Status::DESTINATION_UNKNOWN);
    association.release().await.unwrap();
    assert_eq!(served.await.unwrap().how, How::Released);
}

#[tokio::test]
async fn a_rejection_says_why() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let served = tokio::spawn(async move {
        serve(theirs, &mut Memory::default(), &config(), Instant::now(), never()).await;
    });
    let proposal = Proposal { called: "OTHER".parse().unwrap(), ..proposal() };
    let failure = Association::request(ours, &proposal, Timing::default(), never()).await.unwrap_err();
    assert_eq!(failure, Failure::Rejected(reject_reason::CALLED_AE));
    assert_eq!(
        failure.to_string(),
        "the peer rejected the association: called AE title not recognised, for good (1, 1, 7)"
    );
    served.await.unwrap();
}

/// A peer that accepts as it is told to, and is then played by the test.
async fn played(
    change: impl FnOnce(&AssociateRq, &mut AssociateAc) + Send + 'static,
) -> (Result<Association<DuplexStream>, Failure>, Peer<DuplexStream>) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let mut peer = Peer::new(theirs);
    let answered = async {
        let Some(Pdu::AssociateRq(rq)) = peer.receive().await else { panic!("no request") };
        let contexts = rq.contexts.iter().map(|proposed| ContextReply {
            id: proposed.id,
            result: ContextResult::Acceptance,
            transfer_syntax: Some(uid(IMPLICIT)),
        });
        let mut ac = AssociateAc {
            protocol_version: 1,
            called_ae: rq.called_ae,
            calling_ae: rq.calling_ae,
            reserved: rq.reserved,
            application_context: Some(uid(pdu::APPLICATION_CONTEXT)),
            contexts: contexts.collect(),
            user: UserInformation { maximum_length: Some(0), ..UserInformation::default() },
        };
        change(&rq, &mut ac);
        peer.send_pdu(&Pdu::AssociateAc(Box::new(ac))).await;
    };
    let proposal = proposal();
    let asked = Association::request(ours, &proposal, Timing::default(), never());
    let (asked, ()) = tokio::join!(asked, answered);
    (asked, peer)
}

#[tokio::test]
async fn what_was_not_proposed_is_not_agreed() {
    let (asked, mut peer) = played(|_, ac| ac.contexts[1].transfer_syntax = Some(uid("1.2.9"))).await;
    assert_eq!(asked.unwrap_err(), Failure::Violation(Violation::NotProposed(3)));
    assert!(matches!(peer.receive().await, Some(Pdu::Abort(_))));
    let (asked, _) = played(|_, ac| ac.contexts[1].id = 99).await;
    assert_eq!(asked.unwrap_err(), Failure::Violation(Violation::NotProposed(99)));
    // roles that we did not ask for do not make us a provider
    let (asked, _) = played(|_, ac| {
        ac.user.roles.push(RoleSelection { sop_class: uid(VERIFICATION), is_scu: false, is_scp: true });
    })
    .await;
    assert!(asked.unwrap().contexts().values().all(|agreed| !agreed.we_provide));
}

fn response(field: CommandField, message_id: u16, status: u16, has_data_set: bool) -> CommandSet {
    let mut set = CommandSet::default();
    set.set_us(element::COMMAND_FIELD, field.response().0);
    set.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, message_id);
    set.set_us(element::DATA_SET_TYPE, if has_data_set { 1 } else { 0x0101 });
    set.set_us(element::STATUS, status);
    set
}

#[tokio::test]
async fn answers_to_another_message_or_operation_end_the_association() {
    for (field, message_id) in [(CommandField::C_ECHO_RQ, 2), (CommandField::C_STORE_RQ, 1)] {
        let (asked, mut peer) = played(|_, _| ()).await;
        let mut association = asked.unwrap();
        let answered = async {
            peer.receive_command().await;
            peer.send(&data(&[(1, true, true, &set_bytes(&response(field, message_id, 0, false)))])).await;
            assert!(matches!(peer.receive().await, Some(Pdu::Abort(_))));
        };
        let (echoed, ()) = tokio::join!(association.echo(1), answered);
        assert_eq!(echoed, Err(Failure::Violation(Violation::UnexpectedResponse(field.response().0))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_is_left_in_time() {
    let (asked, mut peer) = played(|_, _| ()).await;
    let mut association = asked.unwrap();
    let began = Instant::now();
    assert_eq!(association.echo(1).await, Err(Failure::Violation(Violation::Idle)));
    assert_eq!(began.elapsed().as_secs(), 60);
    peer.receive_command().await;
    assert!(matches!(peer.receive().await, Some(Pdu::Abort(_))));

    let (ours, _silent) = tokio::io::duplex(1 << 16);
    let failure = Association::request(ours, &proposal(), Timing::default(), never()).await.unwrap_err();
    assert_eq!(failure, Failure::Violation(Violation::NoRequestInTime));
}

#[tokio::test]
async fn a32_a_release_collision_is_answered() {
    let (asked, mut peer) = played(|_, _| ()).await;
    let played = async {
        assert_eq!(peer.receive().await, Some(Pdu::ReleaseRq));
        peer.send_pdu(&Pdu::ReleaseRq).await;
        assert_eq!(peer.receive().await, Some(Pdu::ReleaseRp));
        peer.send_pdu(&Pdu::ReleaseRp).await;
    };
    let (released, ()) = tokio::join!(asked.unwrap().release(), played);
    released.unwrap();
}

#[tokio::test]
async fn a_notification_before_the_response_is_answered_and_kept() {
    let (asked, mut peer) = played(|_, _| ()).await;
    let mut association = asked.unwrap();
    let mut event = CommandSet::default();
    event.set_uid(element::AFFECTED_SOP_CLASS_UID, &uid("1.2.840.10008.1.20.1"));
    event.set_uid(element::AFFECTED_SOP_INSTANCE_UID, &uid("1.2.840.10008.1.20.1.1"));
    event.set_us(element::COMMAND_FIELD, CommandField::N_EVENT_REPORT_RQ.0);
    event.set_us(element::MESSAGE_ID, 9);
    event.set_us(element::DATA_SET_TYPE, 1);
    event.set_us(element::EVENT_TYPE_ID, 2);
    let played = async {
        let (asked, _) = peer.receive_command().await;
        assert_eq!(asked.us(element::ACTION_TYPE_ID), Some(1));
        assert_eq!(asked.uid(element::REQUESTED_SOP_INSTANCE_UID), Some(uid("1.2.840.10008.1.20.1.1")));
        peer.receive().await;
        peer.send(&data(&[(EVENTS, true, true, &set_bytes(&event))])).await;
        peer.send(&data(&[(EVENTS, false, true, b"what came of it")])).await;
        let (answer, _) = peer.receive_command().await;
        assert_eq!(answer.us(element::MESSAGE_ID_BEING_RESPONDED_TO), Some(9));
        assert_eq!((answer.us(element::STATUS), answer.us(element::EVENT_TYPE_ID)), (Some(0), Some(2)));
        let done = response(CommandField::N_ACTION_RQ, 1, 0, false);
        peer.send(&data(&[(EVENTS, true, true, &set_bytes(&done))])).await;
    };
    let action = Normalized {
        field: CommandField::N_ACTION_RQ,
        sop_class: None,
        sop_instance: Some(uid("1.2.840.10008.1.20.1.1")),
        kind: Some(1),
        data_set: Some(b"transaction"),
    };
    let (answered, ()) = tokio::join!(association.normalized(EVENTS, &action), played);
    assert_eq!(answered.unwrap().0.status, Status::SUCCESS);
    let event = association.event().await.unwrap();
    assert_eq!((event.event_type, event.data_set.unwrap().0), (Some(2), b"what came of it".to_vec()));
}
