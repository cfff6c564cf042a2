use kluis_dicom::Uid;

use super::*;
use crate::pdu::{
    AssociateRj, AssociateRq, AsynchronousOperations, CommonExtendedNegotiation, ContextResult, ExtendedNegotiation,
    ProposedContext, RejectResult, RoleSelection, UserInformation,
};

/// PS3.8 Table 9-10, row by row: Evt1 to Evt19, Sta1 to Sta13.
const TABLE: &str = "
AE-1 -    -    -    -    -    -    -    -     -     -    -    -
-    -    -    AE-2 -    -    -    -    -     -     -    -    -
-    AA-1 AA-8 -    AE-3 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8 AA-8 AA-6
-    AA-1 AA-8 -    AE-4 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8 AA-8 AA-6
AE-5 -    -    -    -    -    -    -    -     -     -    -    -
-    AE-6 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8 AA-8 AA-7
-    -    AE-7 -    -    -    -    -    -     -     -    -    -
-    -    AE-8 -    -    -    -    -    -     -     -    -    -
-    -    -    -    -    DT-1 -    AR-7 -     -     -    -    -
-    AA-1 AA-8 -    AA-8 DT-2 AR-6 AA-8 AA-8  AA-8  AA-8 AA-8 AA-6
-    -    -    -    -    AR-1 -    -    -     -     -    -    -
-    AA-1 AA-8 -    AA-8 AR-2 AR-8 AA-8 AA-8  AA-8  AA-8 AA-8 AA-6
-    AA-1 AA-8 -    AA-8 AA-8 AR-3 AA-8 AA-8  AR-10 AR-3 AA-8 AA-6
-    -    -    -    -    -    -    AR-4 AR-9  -     -    AR-4 -
-    -    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1  AA-1 AA-1 -
-    AA-2 AA-3 -    AA-3 AA-3 AA-3 AA-3 AA-3  AA-3  AA-3 AA-3 AA-2
-    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4  AA-4 AA-4 AR-5
-    AA-2 -    -    -    -    -    -    -     -     -    -    AA-2
-    AA-1 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8 AA-8 AA-7
";

/// Ways to each state, so that the table is tested through the public machine only.
fn at(state: State) -> Machine {
    use Event as E;
    let (role, events): (Role, &[Event]) = match state {
        State::Idle => (Role::Acceptor, &[]),
        State::AwaitingRequest => (Role::Acceptor, &[E::TransportIndicated]),
        State::AwaitingLocalAnswer => (Role::Acceptor, &[E::TransportIndicated, E::AssociateRq]),
        State::AwaitingTransport => (Role::Requestor, &[E::LocalAssociate]),
        State::AwaitingAnswer => (Role::Requestor, &[E::LocalAssociate, E::TransportConfirmed]),
        State::Established => (Role::Acceptor, &[E::TransportIndicated, E::AssociateRq, E::LocalAccept]),
        State::AwaitingReleaseReply => {
            (Role::Acceptor, &[E::TransportIndicated, E::AssociateRq, E::LocalAccept, E::LocalRelease])
        }
        State::AwaitingLocalRelease => {
            (Role::Acceptor, &[E::TransportIndicated, E::AssociateRq, E::LocalAccept, E::ReleaseRq])
        }
        State::CollisionRequestorLocal => (
            Role::Requestor,
            &[E::LocalAssociate, E::TransportConfirmed, E::AssociateAc, E::LocalRelease, E::ReleaseRq],
        ),
        State::CollisionAcceptorRemote => {
            (Role::Acceptor, &[E::TransportIndicated, E::AssociateRq, E::LocalAccept, E::LocalRelease, E::ReleaseRq])
        }
        State::CollisionRequestorRemote => (
            Role::Requestor,
            &[
                E::LocalAssociate,
                E::TransportConfirmed,
                E::AssociateAc,
                E::LocalRelease,
                E::ReleaseRq,
                E::LocalReleaseReply,
            ],
        ),
        State::CollisionAcceptorLocal => (
            Role::Acceptor,
            &[E::TransportIndicated, E::AssociateRq, E::LocalAccept, E::LocalRelease, E::ReleaseRq, E::ReleaseRp],
        ),
        State::AwaitingClose => (Role::Acceptor, &[E::TransportIndicated, E::AssociateRq, E::LocalReject]),
    };
    let mut machine = Machine::new(role);
    for event in events {
        machine.on(*event).unwrap();
    }
    assert_eq!(machine.state(), state);
    machine
}

#[test]
fn the_machine_is_table_9_10() {
    let rows: Vec<Vec<&str>> = TABLE.trim().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), Event::ALL.len());
    for (event, row) in Event::ALL.into_iter().zip(rows) {
        assert_eq!(row.len(), State::ALL.len(), "{event:?}");
        for (state, cell) in State::ALL.into_iter().zip(row) {
            let mut machine = at(state);
            let action = machine.on(event).map_or("-".to_owned(), |action| {
                let name = format!("{action:?}").to_uppercase();
                format!("{}-{}", &name[..2], &name[2..])
            });
            assert_eq!(action, cell, "{event:?} in {state:?}");
            if cell == "-" {
                assert_eq!(machine.state(), state, "{event:?} in {state:?} must change nothing");
            }
        }
    }
}

#[test]
fn a32_release_collision_ends_on_both_sides() {
    use Event as E;
    let mut acceptor = at(State::AwaitingReleaseReply);
    for (event, state) in [
        (E::ReleaseRq, State::CollisionAcceptorRemote),
        (E::ReleaseRp, State::CollisionAcceptorLocal),
        (E::LocalReleaseReply, State::AwaitingClose),
        (E::TransportClosed, State::Idle),
    ] {
        acceptor.on(event).unwrap();
        assert_eq!(acceptor.state(), state);
    }
    let mut requestor = at(State::CollisionRequestorLocal);
    for (event, state) in [(E::LocalReleaseReply, State::CollisionRequestorRemote), (E::ReleaseRp, State::Idle)] {
        requestor.on(event).unwrap();
        assert_eq!(requestor.state(), state);
    }
}

#[test]
fn a32_an_abort_leaves_no_state_but_idle() {
    for state in State::ALL {
        let mut machine = at(state);
        if machine.on(Event::Abort).is_some() {
            assert_eq!(machine.state(), State::Idle, "{state:?}");
        }
    }
}

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const JPEG: &str = "1.2.840.10008.1.2.4.50";

fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

fn acceptor() -> Acceptor {
    Acceptor {
        called: vec!["KLUIS".parse().unwrap()],
        provides: |uid| [CT, "1.2.840.10008.1.1"].contains(&uid.as_str()),
        uses: |_| false,
        knows: |_, uid| [IMPLICIT, EXPLICIT, JPEG].contains(&uid.as_str()),
        implementation_class_uid: uid("1.2.3"),
        implementation_version: "KLUIS".to_owned(),
        maximum_length: 131_072,
    }
}

fn context(id: u8, abstract_syntax: &str, transfer_syntaxes: &[&str]) -> ProposedContext {
    ProposedContext {
        id,
        abstract_syntax: Some(uid(abstract_syntax)),
        transfer_syntaxes: transfer_syntaxes.iter().map(|text| uid(text)).collect(),
    }
}

fn request(contexts: Vec<ProposedContext>) -> AssociateRq {
    AssociateRq {
        protocol_version: 1,
        called_ae: *b"KLUIS           ",
        calling_ae: *b"MODALITY        ",
        reserved: [7; 32],
        application_context: Some(uid(crate::pdu::APPLICATION_CONTEXT)),
        contexts,
        user: UserInformation::default(),
    }
}

#[test]
fn a02_a03_a04_a05_a06_rejections_by_number() {
    let rejection = |change: fn(&mut AssociateRq)| {
        let mut rq = request(vec![context(1, CT, &[IMPLICIT])]);
        change(&mut rq);
        negotiate(&acceptor(), &rq).err().map(|rj: AssociateRj| (rj.result.code(), rj.source, rj.reason))
    };
    type Case = (fn(&mut AssociateRq), Option<(u8, u8, u8)>);
    let cases: [Case; 10] = [
        (|_| (), None),
        (|rq| rq.called_ae = *b"OTHER           ", Some((1, 1, 7))),
        (|rq| rq.called_ae = [b' '; 16], Some((1, 1, 7))),
        (|rq| rq.called_ae = *b"kluis           ", Some((1, 1, 7))),
        (|rq| rq.calling_ae = [b' '; 16], Some((1, 1, 3))),
        (|rq| rq.calling_ae = [0xFF; 16], Some((1, 1, 3))),
        (|rq| rq.application_context = Some("1.2.3".parse().unwrap()), Some((1, 1, 2))),
        (|rq| rq.application_context = None, Some((1, 1, 2))),
        (|rq| rq.protocol_version = 2, Some((1, 2, 2))),
        (|rq| rq.protocol_version = 3, None),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(rejection(change), expected, "case {index}");
    }
    let rq = AssociateRq { called_ae: *b"OTHER           ", ..request(Vec::new()) };
    assert_eq!(negotiate(&acceptor(), &rq).unwrap_err().result, RejectResult::Permanent);
}

#[test]
fn a07_a08_a09_each_context_is_answered_by_itself() {
    let rq = request(vec![
        context(1, CT, &[JPEG, IMPLICIT]),
        context(3, "1.2.3.4", &[IMPLICIT]),
        context(5, CT, &["1.2.3.5", "1.2.3.6"]),
        context(7, CT, &["1.2.3.5", EXPLICIT, IMPLICIT]),
        ProposedContext { id: 9, abstract_syntax: None, transfer_syntaxes: Vec::new() },
        context(11, CT, &[]),
    ]);
    let negotiated = negotiate(&acceptor(), &rq).unwrap();
    let results: Vec<_> = negotiated
        .reply
        .contexts
        .iter()
        .map(|reply| (reply.id, reply.result.code(), reply.transfer_syntax.as_ref().map(Uid::as_str)))
        .collect();
    assert_eq!(
        results,
        [
            (1, 0, Some(JPEG)),
            (3, 3, Some(IMPLICIT)),
            (5, 4, Some("1.2.3.5")),
            (7, 0, Some(EXPLICIT)),
            (9, 3, None),
            (11, 4, None),
        ]
    );
    assert_eq!(negotiated.contexts.keys().copied().collect::<Vec<_>>(), [1, 7]);
    assert_eq!(negotiated.contexts[&7].transfer_syntax.as_str(), EXPLICIT);
}

#[test]
fn a10_128_contexts_are_answered() {
    let contexts: Vec<_> = (0..128).map(|n| context(n * 2 + 1, CT, &[IMPLICIT])).collect();
    let negotiated = negotiate(&acceptor(), &request(contexts)).unwrap();
    assert_eq!(negotiated.contexts.len(), 128);
    assert!(negotiated.reply.contexts.iter().all(|reply| reply.result == ContextResult::Acceptance));
}

#[test]
fn a12_a13_the_answer_repeats_the_titles_and_tells_who_we_are() {
    let reply = negotiate(&acceptor(), &request(Vec::new())).unwrap().reply;
    assert_eq!(&reply.called_ae, b"KLUIS           ");
    assert_eq!(&reply.calling_ae, b"MODALITY        ");
    assert_eq!(reply.reserved, [7; 32]);
    assert_eq!(reply.user.maximum_length, Some(131_072));
    assert_eq!(reply.user.implementation_class_uid, Some(uid("1.2.3")));
    assert_eq!(reply.user.implementation_version.as_deref(), Some(&b"KLUIS"[..]));
}

#[test]
fn a20_roles_are_given_only_where_proposed_and_taken() {
    let role = |sop_class, is_scu, is_scp| RoleSelection { sop_class: uid(sop_class), is_scu, is_scp };
    let mut rq = request(vec![context(1, CT, &[IMPLICIT])]);
    rq.user.roles = vec![role(CT, true, true), role("1.2.3.4", true, true)];
    let reply = negotiate(&acceptor(), &rq).unwrap().reply;
    assert_eq!(reply.user.roles, [role(CT, true, false), role("1.2.3.4", false, false)]);
    let with_get = Acceptor { uses: |uid| uid.as_str() == CT, ..acceptor() };
    rq.user.roles = vec![role(CT, false, true)];
    assert_eq!(negotiate(&with_get, &rq).unwrap().reply.user.roles, [role(CT, false, true)]);
    rq.user.roles = Vec::new();
    assert!(negotiate(&with_get, &rq).unwrap().reply.user.roles.is_empty());
}

#[test]
fn a22_a23_the_maximum_of_the_peer_is_kept_and_0_is_none() {
    for (peer, ours) in [(None, 131_072), (Some(0), 131_072), (Some(4096), 4096), (Some(u32::MAX), 131_072)] {
        let mut rq = request(Vec::new());
        rq.user.maximum_length = peer;
        assert_eq!(negotiate(&acceptor(), &rq).unwrap().send_maximum, ours, "{peer:?}");
    }
}

#[test]
fn a26_a28_a29_windows_are_one_and_unsupported_negotiation_stays_unanswered() {
    let mut rq = request(vec![context(1, CT, &[IMPLICIT])]);
    assert_eq!(negotiate(&acceptor(), &rq).unwrap().reply.user.asynchronous_operations, None);
    rq.user.asynchronous_operations = Some(AsynchronousOperations { invoked: 0, performed: 9 });
    rq.user.extended = vec![ExtendedNegotiation { sop_class: uid(CT), information: vec![1] }];
    rq.user.common_extended = vec![CommonExtendedNegotiation {
        version: 0,
        sop_class: uid(CT),
        service_class: uid("1.2.840.10008.4.2"),
        related: vec![uid(CT)],
    }];
    let user = negotiate(&acceptor(), &rq).unwrap().reply.user;
    assert_eq!(user.asynchronous_operations, Some(AsynchronousOperations { invoked: 1, performed: 1 }));
    assert!(user.extended.is_empty() && user.common_extended.is_empty());
}
