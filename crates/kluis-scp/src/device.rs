//! One enrolled device's association: who it is before each message, and which service a message goes to.

use std::{net::IpAddr, sync::Arc};

use kluis_archive::{Archive, Origin};
use kluis_dicom::{AeTitle, Uid, sop_class};
use kluis_dimse::{
    Admission, AssociationRequest, EchoRequest, FindRequest, GetRequest, Match, Matches, MoveRequest,
    NormalizedRequest, NormalizedResponse, Notification, Outcome, Refusal, Services, StoreRequest,
    command::{CommandField, Status},
    pdu::ExtendedNegotiation,
};
use kluis_identity::{Authenticator, Cause};
use kluis_policy::{Door, Principal};
use tokio::sync::watch;

use crate::{
    SERVICES,
    commitment::{self, Commitments, Listening, PUSH_MODEL},
    connection::{Caller, House},
    dialer::Dialer,
    find::{self, Asker, Found},
    forward,
    get::{self, Retrieved, StillProved},
    performed_step::{self, PERFORMED_STEP},
    query::{Agreement, FIND_CLASSES},
    storage::{self, ObjectSink},
    transfer::{self, Sending},
    verification,
    worklist::{self, Entries, MODALITY_WORKLIST},
};

/// What the edge asks: the archive, and who a certificate is.
#[derive(Clone)]
pub struct Edge {
    archive: Archive,
    authenticator: Arc<Authenticator>,
    dialer: Dialer,
    commitments: Arc<Commitments>,
}

impl Edge {
    /// The edge of this archive.
    #[must_use]
    pub fn new(archive: Archive, authenticator: Arc<Authenticator>, dialer: Dialer) -> Self {
        Self { archive, authenticator, dialer, commitments: Arc::default() }
    }
}

impl House for Edge {
    type Services = DeviceServices;

    fn services(&self, caller: Caller) -> DeviceServices {
        DeviceServices { edge: self.clone(), caller, association: None, listening: None }
    }

    async fn note_unproved(&self, source: IpAddr) {
        if let Err(error) = self.archive.note_unproved(origin(source), "associate").await {
            tracing::error!(%error, "a refusal could not be written to the trail");
        }
    }
}

/// The services of one association.
pub(crate) struct DeviceServices {
    edge: Edge,
    caller: Caller,
    association: Option<Association>,
    /// Since the device asked for a commitment.
    listening: Option<Listening>,
}

/// What was said in negotiation.
struct Association {
    calling: AeTitle,
    called: AeTitle,
    /// By SOP class.
    agreements: Vec<(Uid, Agreement)>,
}

impl DeviceServices {
    async fn principal(&self) -> Result<Principal, Cause> {
        self.proof()?.principal().await
    }

    async fn principal_of_message(&self) -> Result<Principal, Outcome> {
        self.proof().map_err(|_| Status::NOT_AUTHORIZED)?.principal_of_message().await
    }

    fn proof(&self) -> Result<Proof, Cause> {
        let Some(Association { calling, .. }) = &self.association else { return Err(Cause::AeNotBound) };
        Ok(Proof { edge: self.edge.clone(), caller: self.caller.clone(), calling: calling.clone() })
    }

    fn asker(&self, principal: Principal) -> Result<Asker, Outcome> {
        let Some(association) = &self.association else { return Err(Status::PROCESSING_FAILURE.into()) };
        Ok(Asker {
            archive: self.edge.archive.clone(),
            principal,
            origin: origin(self.caller.source),
            ae: association.called.clone(),
        })
    }
}

/// What a peer proves itself with.
pub(crate) struct Proof {
    edge: Edge,
    caller: Caller,
    calling: AeTitle,
}

impl Proof {
    /// Looked at again before each message, so that a device that was removed is shut out within seconds (threat T28).
    /// The AE title proves nothing; it has to be the one bound to the key.
    async fn principal(&self) -> Result<Principal, Cause> {
        let now = self.edge.archive.clock().now();
        let proof = self.edge.authenticator.device(&self.caller.certificate, &self.calling, now).await;
        proof.map_err(|not_proved| not_proved.cause())
    }

    async fn principal_of_message(&self) -> Result<Principal, Outcome> {
        match self.principal().await {
            Ok(principal) => Ok(principal),
            Err(Cause::DirectoryUnavailable) => Err(Status::PROCESSING_FAILURE.into()),
            Err(_) => {
                self.edge.note_unproved(self.caller.source).await;
                Err(Status::NOT_AUTHORIZED.into())
            }
        }
    }
}

impl StillProved for Proof {
    async fn check(&self) -> Result<(), Outcome> {
        self.principal_of_message().await.map(|_| ())
    }
}

/// The matches of a C-FIND of any service class.
pub(crate) enum Answers {
    Studies(Found),
    Worklist(Entries),
}

impl Matches for Answers {
    async fn next(&mut self) -> Result<Option<Match>, Outcome> {
        match self {
            Self::Studies(found) => found.next().await,
            Self::Worklist(entries) => entries.next().await,
        }
    }
}

impl Services for DeviceServices {
    type Sink = ObjectSink;
    type Matches = Answers;
    type Objects = Retrieved<Proof>;
    type Transfer = Sending;

    /// User identities (PS3.7 D.3.3.7) are neither needed nor believed: a device is its key. None is answered.
    async fn admit(&mut self, request: &AssociationRequest<'_>) -> Result<Admission, Refusal> {
        let is_find = |proposed: &&ExtendedNegotiation| FIND_CLASSES.contains(&proposed.sop_class.as_str());
        let proposals = request.extended.iter().filter(is_find);
        let agreed = proposals.map(|proposed| (proposed, Agreement::of(proposed)));
        let agreed: Vec<(&ExtendedNegotiation, Agreement)> = agreed.collect();
        self.association = Some(Association {
            calling: request.calling.clone(),
            called: request.called.clone(),
            agreements: agreed.iter().map(|(proposed, agreement)| (proposed.sop_class.clone(), *agreement)).collect(),
        });
        match self.principal().await {
            Ok(_) => {
                let extended = agreed.iter().map(|(proposed, agreement)| agreement.answer(proposed)).collect();
                Ok(Admission { extended, ..Admission::default() })
            }
            Err(Cause::DirectoryUnavailable) => Err(Refusal::Congestion),
            Err(cause) => {
                tracing::info!(source = %self.caller.source, ?cause, "association rejected");
                Err(Refusal::Identity)
            }
        }
    }

    async fn echo(&mut self, _: EchoRequest) -> Outcome {
        match self.principal_of_message().await {
            Ok(principal) => verification::echo(&self.edge.archive, &principal, origin(self.caller.source)).await,
            Err(outcome) => outcome,
        }
    }

    async fn store_begin(&mut self, request: StoreRequest) -> Result<ObjectSink, Outcome> {
        is_offered(CommandField::C_STORE_RQ, &request.sop_class)?;
        let principal = self.principal_of_message().await?;
        storage::begin(&self.edge.archive, &principal, origin(self.caller.source), request).await
    }

    async fn find(&mut self, request: FindRequest) -> Result<Answers, Outcome> {
        is_offered(CommandField::C_FIND_RQ, &request.sop_class)?;
        let principal = self.principal_of_message().await?;
        if request.sop_class.as_str() == MODALITY_WORKLIST {
            return worklist::begin(self.asker(principal)?, request).await.map(Answers::Worklist);
        }
        let Some(association) = &self.association else { return Err(Status::PROCESSING_FAILURE.into()) };
        let agreement = association.agreements.iter().find(|(sop_class, _)| *sop_class == request.sop_class);
        let agreement = agreement.map_or_else(Agreement::default, |(_, agreement)| *agreement);
        find::begin(self.asker(principal)?, request, agreement).await.map(Answers::Studies)
    }

    async fn get(&mut self, request: GetRequest) -> Result<Retrieved<Proof>, Outcome> {
        is_offered(CommandField::C_GET_RQ, &request.sop_class)?;
        let principal = self.principal_of_message().await?;
        let proof = self.proof().map_err(|_| Status::NOT_AUTHORIZED)?;
        get::begin(self.asker(principal)?, request, proof).await
    }

    async fn transfer(&mut self, request: MoveRequest) -> Result<Sending, Outcome> {
        is_offered(CommandField::C_MOVE_RQ, &request.sop_class)?;
        let principal = self.principal_of_message().await?;
        let proof = self.proof().map_err(|_| Status::NOT_AUTHORIZED)?;
        let (dialer, originator) = (self.edge.dialer.clone(), proof.calling.clone());
        transfer::begin(self.asker(principal)?, request, proof, dialer, originator).await
    }

    fn offers(&self, operation: CommandField, service: &Uid) -> bool {
        is_offered(operation, service).is_ok()
    }

    async fn normalized(&mut self, request: NormalizedRequest) -> NormalizedResponse {
        let principal = match self.principal_of_message().await {
            Ok(principal) => principal,
            Err(outcome) => return outcome.into(),
        };
        let (archive, origin) = (&self.edge.archive, origin(self.caller.source));
        match request.service.as_str() {
            PERFORMED_STEP => performed_step::answer(archive, &principal, origin, request).await,
            PUSH_MODEL => {
                let Some(Association { calling, .. }) = &self.association else {
                    return Outcome::from(Status::PROCESSING_FAILURE).into();
                };
                let commitments = &self.edge.commitments;
                let listening = || commitments.listen(calling, &request.transfer_syntax);
                self.listening.get_or_insert_with(listening);
                commitment::answer(archive, &principal, origin, calling, commitments, &request).await
            }
            _ => Outcome::from(Status::SOP_CLASS_NOT_SUPPORTED).into(),
        }
    }

    async fn next_event(&mut self) -> Notification {
        match &mut self.listening {
            Some(listening) => listening.next().await,
            None => std::future::pending().await,
        }
    }

    fn event_answered(&mut self, status: Status) {
        if let Some(listening) = &mut self.listening {
            listening.answered(status);
        }
    }
}

/// What this edge does of itself, until `shutdown` turns true.
pub async fn work(edge: Edge, shutdown: watch::Receiver<bool>) {
    let Edge { archive, dialer, commitments, .. } = edge;
    tokio::join!(
        commitment::serve(archive.clone(), dialer.clone(), commitments, shutdown.clone()),
        forward::serve(archive, dialer, shutdown),
    );
}

/// A context is accepted for a SOP class, whatever the command: C-FIND in one for images is nothing that we offer.
fn is_offered(command: CommandField, sop_class: &Uid) -> Result<(), Outcome> {
    let class = sop_class::lookup(sop_class.as_str());
    let is_offered =
        class.is_some_and(|class| SERVICES.iter().any(|service| service.command == command && service.offers(class)));
    if is_offered { Ok(()) } else { Err(Status::SOP_CLASS_NOT_SUPPORTED.into()) }
}

fn origin(source: IpAddr) -> Origin {
    Origin { door: Door::Dimse, peer: Some(source) }
}
