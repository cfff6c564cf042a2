//! Asking for an association, and its end (PS3.8 7.1, 7.2, 9.3.2 to 9.3.8).

use std::collections::BTreeMap;

use kluis_dicom::AeTitle;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{Instant, timeout},
};

use super::{Agreed, Association, Failure, Peer, Proposal};
use crate::{
    association::{Event, Machine, Role, State, Violation},
    driver::{
        How,
        connection::{Arrived, Connection, Patience},
        kind_of,
    },
    limits::{self, Timing},
    pdu::{
        self, APPLICATION_CONTEXT, Abort, AbortSource, AssociateAc, AssociateRq, ContextResult, Pdu, PduLimits,
        ProposedContext, RoleSelection, UserInformation, abort_reason, kind,
    },
};

impl<S> Association<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Asks for an association over a stream that stands. When `shutdown` turns true, what is waited for is given up.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn request(
        stream: S,
        proposal: &Proposal,
        timing: Timing,
        shutdown: watch::Receiver<bool>,
    ) -> Result<Self, Failure> {
        let mut machine = Machine::new(Role::Requestor);
        machine.on(Event::LocalAssociate);
        let mut association = Self {
            connection: Connection::new(stream, PduLimits::default(), timing, shutdown),
            machine,
            contexts: BTreeMap::new(),
            extended: Vec::new(),
            peer: Peer::default(),
            send_maximum: limits::PDU_SENT,
            message_id: 0,
            events: Vec::new(),
        };
        let asked = association.ask(proposal, Instant::now() + timing.artim).await;
        match asked {
            Ok(()) => Ok(association),
            Err(how) => Err(association.given_up(how).await),
        }
    }

    async fn ask(&mut self, proposal: &Proposal, until: Instant) -> Result<(), How> {
        let rq = request(proposal);
        self.send_pdu(&Pdu::AssociateRq(Box::new(rq.clone()))).await?;
        self.machine.on(Event::TransportConfirmed);
        match self.connection.next(Patience::Request(until)).await? {
            Arrived::Pdu(Pdu::AssociateAc(ac)) => {
                self.machine.on(Event::AssociateAc);
                self.agree(proposal, &rq, *ac)?;
                self.connection.established();
                Ok(())
            }
            Arrived::Pdu(Pdu::AssociateRj(rj)) => {
                self.machine.on(Event::AssociateRj);
                Err(How::Rejected(rj))
            }
            Arrived::Pdu(pdu) => Err(self.ended_by(&pdu)),
            Arrived::Data | Arrived::Fragment { .. } => Err(self.unexpected(kind::DATA_TF)),
        }
    }

    /// Takes what the peer accepted. Nothing may be in it that was not proposed.
    fn agree(&mut self, proposal: &Proposal, rq: &AssociateRq, ac: AssociateAc) -> Result<(), How> {
        for reply in ac.contexts {
            let proposed = rq.contexts.iter().find(|proposed| proposed.id == reply.id);
            let proposed = proposed.ok_or(Violation::NotProposed(reply.id))?;
            if reply.result != ContextResult::Acceptance {
                continue;
            }
            let transfer_syntax = reply.transfer_syntax.filter(|uid| proposed.transfer_syntaxes.contains(uid));
            let (Some(abstract_syntax), Some(transfer_syntax)) = (proposed.abstract_syntax.clone(), transfer_syntax)
            else {
                return Err(Violation::NotProposed(reply.id).into());
            };
            let gives = |role: &RoleSelection| role.is_scp && role.sop_class == abstract_syntax;
            let we_provide = proposal.roles.iter().any(gives) && ac.user.roles.iter().any(gives);
            self.contexts.insert(reply.id, Agreed { abstract_syntax, transfer_syntax, we_provide });
        }
        self.send_maximum = match ac.user.maximum_length {
            None | Some(0) => limits::PDU_SENT,
            Some(length) if length < limits::PEER_MAXIMUM_LENGTH_MIN => {
                return Err(Violation::PeerMaximumLength(length).into());
            }
            Some(length) => length.min(limits::PDU_SENT),
        };
        self.extended = ac.user.extended;
        let version = ac.user.implementation_version.as_deref();
        self.peer = Peer {
            implementation_class_uid: ac.user.implementation_class_uid,
            implementation_version: version.map(|name| String::from_utf8_lossy(name).trim_end().to_owned()),
            maximum_length: ac.user.maximum_length,
        };
        Ok(())
    }

    /// Releases the association and waits for the peer's answer. A release collision is answered (PS3.8 7.2.2.7).
    ///
    /// # Errors
    /// [`Failure`]: the peer did not answer as it should; the association is over all the same.
    pub async fn release(mut self) -> Result<(), Failure> {
        match self.released().await {
            Ok(()) => Ok(()),
            Err(how) => Err(self.given_up(how).await),
        }
    }

    async fn released(&mut self) -> Result<(), How> {
        self.machine.on(Event::LocalRelease);
        self.send_pdu(&Pdu::ReleaseRq).await?;
        let until = self.connection.artim();
        let answered = timeout(until, async {
            loop {
                match self.connection.next(Patience::Operation).await? {
                    Arrived::Pdu(Pdu::ReleaseRp) => return Ok(()),
                    Arrived::Pdu(Pdu::ReleaseRq) => {
                        self.machine.on(Event::ReleaseRq);
                        self.machine.on(Event::LocalReleaseReply);
                        self.send_pdu(&Pdu::ReleaseRp).await?;
                    }
                    // AR-6: what was under way at the peer is passed over
                    Arrived::Data | Arrived::Fragment { .. } => {}
                    Arrived::Pdu(pdu) => return Err(self.ended_by(&pdu)),
                }
            }
        });
        answered.await.map_err(|_| Violation::Idle)??;
        self.machine.on(Event::ReleaseRp);
        self.connection.end_sending().await;
        Ok(())
    }

    /// Ends the association at once.
    pub async fn abort(mut self) {
        let abort = Abort { source: AbortSource::User, reason: abort_reason::NOT_SPECIFIED };
        self.machine.on(Event::LocalAbort);
        // whoever is gone already is told nothing
        let _ = self.send_pdu(&Pdu::Abort(abort)).await;
        self.connection.end_sending().await;
    }

    /// The last words of our side, after which nothing more is said on this association.
    pub(super) async fn given_up(&mut self, how: How) -> Failure {
        let abort = match how {
            How::Violation(violation) => violation.abort(),
            How::ShutDown | How::Unreadable => {
                Some(Abort { source: AbortSource::User, reason: abort_reason::NOT_SPECIFIED })
            }
            How::Released => {
                let _ = self.send_pdu(&Pdu::ReleaseRp).await;
                None
            }
            _ => None,
        };
        if let Some(abort) = abort {
            self.machine.on(Event::LocalAbort);
            let _ = self.send_pdu(&Pdu::Abort(abort)).await;
        }
        self.connection.end_sending().await;
        how.into()
    }

    /// A PDU that is no data, while something is waited for.
    pub(super) fn ended_by(&mut self, pdu: &Pdu) -> How {
        match pdu {
            Pdu::ReleaseRq if self.machine.state() == State::Established => {
                self.machine.on(Event::ReleaseRq);
                How::Released
            }
            Pdu::Abort(abort) => {
                self.machine.on(Event::Abort);
                How::Aborted(*abort)
            }
            pdu => self.unexpected(kind_of(pdu)),
        }
    }

    fn unexpected(&self, kind: u8) -> How {
        Violation::UnexpectedPdu { kind, state: self.machine.state() }.into()
    }

    pub(super) async fn send_pdu(&mut self, pdu: &Pdu) -> Result<(), How> {
        let mut bytes = Vec::new();
        pdu::write(pdu, &mut bytes).map_err(Violation::Pdu)?;
        self.connection.send(&bytes).await
    }
}

fn request(proposal: &Proposal) -> AssociateRq {
    let contexts = proposal.contexts.iter().take(limits::PRESENTATION_CONTEXTS).zip((1_u8..=255).step_by(2));
    AssociateRq {
        protocol_version: 1,
        called_ae: field(&proposal.called),
        calling_ae: field(&proposal.calling),
        reserved: [0; 32],
        application_context: APPLICATION_CONTEXT.parse().ok(),
        contexts: contexts
            .map(|(offer, id)| ProposedContext {
                id,
                abstract_syntax: Some(offer.abstract_syntax.clone()),
                transfer_syntaxes: offer.transfer_syntaxes.clone(),
            })
            .collect(),
        user: UserInformation {
            maximum_length: Some(limits::MAXIMUM_LENGTH),
            implementation_class_uid: Some(proposal.implementation_class_uid.clone()),
            implementation_version: Some(proposal.implementation_version.bytes().take(16).collect()),
            roles: proposal.roles.clone(),
            extended: proposal.extended.clone(),
            identity: proposal.identity.clone(),
            ..UserInformation::default()
        },
    }
}

/// Padded with spaces (PS3.8 9.3.2).
fn field(title: &AeTitle) -> [u8; 16] {
    let mut field = [b' '; 16];
    for (place, byte) in field.iter_mut().zip(title.as_str().bytes()) {
        *place = byte;
    }
    field
}
