//! The state machine of the upper layer (PS3.8 9.2, Table 9-10), both roles, as one table.
//!
//! It holds no timer and no socket: an event gives an action, the driver performs it.

/// Sta1 to Sta13 (PS3.8 Tables 9-1 to 9-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Sta1: idle.
    Idle,
    /// Sta2: connection open, awaiting A-ASSOCIATE-RQ.
    AwaitingRequest,
    /// Sta3: awaiting our answer to an A-ASSOCIATE-RQ.
    AwaitingLocalAnswer,
    /// Sta4: awaiting the transport connection that we asked for.
    AwaitingTransport,
    /// Sta5: awaiting A-ASSOCIATE-AC or -RJ.
    AwaitingAnswer,
    /// Sta6: association established.
    Established,
    /// Sta7: awaiting A-RELEASE-RP.
    AwaitingReleaseReply,
    /// Sta8: awaiting our answer to an A-RELEASE-RQ.
    AwaitingLocalRelease,
    /// Sta9: release collision, requestor, awaiting our answer.
    CollisionRequestorLocal,
    /// Sta10: release collision, acceptor, awaiting A-RELEASE-RP.
    CollisionAcceptorRemote,
    /// Sta11: release collision, requestor, awaiting A-RELEASE-RP.
    CollisionRequestorRemote,
    /// Sta12: release collision, acceptor, awaiting our answer.
    CollisionAcceptorLocal,
    /// Sta13: awaiting the peer's closing of the transport connection.
    AwaitingClose,
}

impl State {
    /// All states, Sta1 first.
    pub const ALL: [Self; 13] = [
        Self::Idle,
        Self::AwaitingRequest,
        Self::AwaitingLocalAnswer,
        Self::AwaitingTransport,
        Self::AwaitingAnswer,
        Self::Established,
        Self::AwaitingReleaseReply,
        Self::AwaitingLocalRelease,
        Self::CollisionRequestorLocal,
        Self::CollisionAcceptorRemote,
        Self::CollisionRequestorRemote,
        Self::CollisionAcceptorLocal,
        Self::AwaitingClose,
    ];
}

/// Evt1 to Evt19 (PS3.8 Table 9-10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Evt1: we ask for an association.
    LocalAssociate,
    /// Evt2: the transport connection that we asked for stands.
    TransportConfirmed,
    /// Evt3
    AssociateAc,
    /// Evt4
    AssociateRj,
    /// Evt5: a peer has connected.
    TransportIndicated,
    /// Evt6
    AssociateRq,
    /// Evt7: we accept.
    LocalAccept,
    /// Evt8: we reject.
    LocalReject,
    /// Evt9: we send data.
    LocalData,
    /// Evt10
    Data,
    /// Evt11: we ask for release.
    LocalRelease,
    /// Evt12
    ReleaseRq,
    /// Evt13
    ReleaseRp,
    /// Evt14: we answer a release.
    LocalReleaseReply,
    /// Evt15: we abort.
    LocalAbort,
    /// Evt16
    Abort,
    /// Evt17: the transport connection is closed.
    TransportClosed,
    /// Evt18: ARTIM has expired.
    ArtimExpired,
    /// Evt19: an unrecognised or invalid PDU.
    Invalid,
}

impl Event {
    /// All events, Evt1 first.
    pub const ALL: [Self; 19] = [
        Self::LocalAssociate,
        Self::TransportConfirmed,
        Self::AssociateAc,
        Self::AssociateRj,
        Self::TransportIndicated,
        Self::AssociateRq,
        Self::LocalAccept,
        Self::LocalReject,
        Self::LocalData,
        Self::Data,
        Self::LocalRelease,
        Self::ReleaseRq,
        Self::ReleaseRp,
        Self::LocalReleaseReply,
        Self::LocalAbort,
        Self::Abort,
        Self::TransportClosed,
        Self::ArtimExpired,
        Self::Invalid,
    ];
}

/// Actions (PS3.8 Tables 9-6 to 9-9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// AE-1: connect.
    Ae1,
    /// AE-2: send A-ASSOCIATE-RQ.
    Ae2,
    /// AE-3: tell that the association stands.
    Ae3,
    /// AE-4: tell that it was rejected, close.
    Ae4,
    /// AE-5: a peer has connected, start ARTIM.
    Ae5,
    /// AE-6: stop ARTIM, look at the request. What the provider itself refuses goes the way of AE-8 here.
    Ae6,
    /// AE-7: send A-ASSOCIATE-AC.
    Ae7,
    /// AE-8: send A-ASSOCIATE-RJ, start ARTIM.
    Ae8,
    /// DT-1: send P-DATA-TF.
    Dt1,
    /// DT-2: hand on P-DATA.
    Dt2,
    /// AR-1: send A-RELEASE-RQ.
    Ar1,
    /// AR-2: tell of the peer's release.
    Ar2,
    /// AR-3: tell that the release is answered, close.
    Ar3,
    /// AR-4: send A-RELEASE-RP, start ARTIM.
    Ar4,
    /// AR-5: stop ARTIM.
    Ar5,
    /// AR-6: hand on P-DATA that comes after our release request.
    Ar6,
    /// AR-7: send P-DATA-TF after the peer's release request.
    Ar7,
    /// AR-8: release collision.
    Ar8,
    /// AR-9: send A-RELEASE-RP in a collision.
    Ar9,
    /// AR-10: the requestor has answered in a collision.
    Ar10,
    /// AA-1: send A-ABORT, start ARTIM.
    Aa1,
    /// AA-2: stop ARTIM, close.
    Aa2,
    /// AA-3: tell of the peer's abort, close.
    Aa3,
    /// AA-4: tell that the connection is lost.
    Aa4,
    /// AA-5: stop ARTIM.
    Aa5,
    /// AA-6: ignore the PDU.
    Aa6,
    /// AA-7: send A-ABORT once more.
    Aa7,
    /// AA-8: send A-ABORT as the provider, tell of it, start ARTIM.
    Aa8,
}

/// Who asked for the association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// We did.
    Requestor,
    /// The peer did.
    Acceptor,
}

/// One association's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    state: State,
    role: Role,
}

impl Machine {
    /// At Sta1.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self { state: State::Idle, role }
    }

    /// The present state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Takes the event, moves on, and says what is to be done. `None`: the table has no such cell, nothing changes.
    pub fn on(&mut self, event: Event) -> Option<Action> {
        let action = action(self.state, event)?;
        self.state = after(action, self.role);
        Some(action)
    }
}

/// PS3.8 Table 9-10.
fn action(state: State, event: Event) -> Option<Action> {
    use Action as A;
    use State as S;
    let has_association_or_asks =
        !matches!(state, S::Idle | S::AwaitingTransport | S::AwaitingRequest | S::AwaitingClose);
    let action = match (event, state) {
        (Event::LocalAssociate, S::Idle) => A::Ae1,
        (Event::TransportConfirmed, S::AwaitingTransport) => A::Ae2,
        (Event::TransportIndicated, S::Idle) => A::Ae5,
        (Event::LocalAccept, S::AwaitingLocalAnswer) => A::Ae7,
        (Event::LocalReject, S::AwaitingLocalAnswer) => A::Ae8,
        (Event::LocalData, S::Established) => A::Dt1,
        (Event::LocalData, S::AwaitingLocalRelease) => A::Ar7,
        (Event::LocalRelease, S::Established) => A::Ar1,
        (Event::LocalReleaseReply, S::AwaitingLocalRelease | S::CollisionAcceptorLocal) => A::Ar4,
        (Event::LocalReleaseReply, S::CollisionRequestorLocal) => A::Ar9,
        (Event::LocalAbort, S::AwaitingTransport) => A::Aa2,
        (Event::LocalAbort, _) if has_association_or_asks => A::Aa1,
        (Event::ArtimExpired, S::AwaitingRequest | S::AwaitingClose) => A::Aa2,
        (Event::TransportClosed, S::AwaitingRequest) => A::Aa5,
        (Event::TransportClosed, S::AwaitingClose) => A::Ar5,
        (Event::TransportClosed, state) if state != S::Idle => A::Aa4,
        (Event::Abort, S::AwaitingRequest | S::AwaitingClose) => A::Aa2,
        (Event::Abort, _) if has_association_or_asks => A::Aa3,
        // PDUs where they are due
        (Event::AssociateAc, S::AwaitingAnswer) => A::Ae3,
        (Event::AssociateRj, S::AwaitingAnswer) => A::Ae4,
        (Event::AssociateRq, S::AwaitingRequest) => A::Ae6,
        (Event::Data, S::Established) => A::Dt2,
        (Event::Data, S::AwaitingReleaseReply) => A::Ar6,
        (Event::ReleaseRq, S::Established) => A::Ar2,
        (Event::ReleaseRq, S::AwaitingReleaseReply) => A::Ar8,
        (Event::ReleaseRp, S::AwaitingReleaseReply | S::CollisionRequestorRemote) => A::Ar3,
        (Event::ReleaseRp, S::CollisionAcceptorRemote) => A::Ar10,
        // and where they are not
        (event, state) if is_pdu(event) => match state {
            S::AwaitingRequest => A::Aa1,
            S::AwaitingClose if matches!(event, Event::AssociateRq | Event::Invalid) => A::Aa7,
            S::AwaitingClose => A::Aa6,
            _ if has_association_or_asks => A::Aa8,
            _ => return None,
        },
        _ => return None,
    };
    Some(action)
}

fn is_pdu(event: Event) -> bool {
    matches!(
        event,
        Event::AssociateAc
            | Event::AssociateRj
            | Event::AssociateRq
            | Event::Data
            | Event::ReleaseRq
            | Event::ReleaseRp
            | Event::Invalid
    )
}

/// The state that an action ends in (PS3.8 Tables 9-6 to 9-9).
fn after(action: Action, role: Role) -> State {
    use Action as A;
    use State as S;
    match action {
        A::Ae1 => S::AwaitingTransport,
        A::Ae2 => S::AwaitingAnswer,
        A::Ae5 => S::AwaitingRequest,
        A::Ae6 => S::AwaitingLocalAnswer,
        A::Ae3 | A::Ae7 | A::Dt1 | A::Dt2 => S::Established,
        A::Ar1 | A::Ar6 => S::AwaitingReleaseReply,
        A::Ar2 | A::Ar7 => S::AwaitingLocalRelease,
        A::Ar8 if role == Role::Requestor => S::CollisionRequestorLocal,
        A::Ar8 => S::CollisionAcceptorRemote,
        A::Ar9 => S::CollisionRequestorRemote,
        A::Ar10 => S::CollisionAcceptorLocal,
        A::Ae8 | A::Ar4 | A::Aa1 | A::Aa6 | A::Aa7 | A::Aa8 => S::AwaitingClose,
        A::Ae4 | A::Ar3 | A::Ar5 | A::Aa2 | A::Aa3 | A::Aa4 | A::Aa5 => S::Idle,
    }
}
