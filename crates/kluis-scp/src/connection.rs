//! One connection: the first byte, the TLS handshake, the association. All before the association within ARTIM.

use std::{net::IpAddr, sync::Arc};

use kluis_dicom::{AeTitle, Uid};
use kluis_dimse::{
    Admission, AssociationRequest, EchoRequest, FindRequest, GetRequest, MoveRequest, NormalizedRequest,
    NormalizedResponse, Notification, Outcome, PromptTcp, Refusal, Services, StoreRequest,
    command::{CommandField, Status},
    driver::{self, Config, How},
    pdu::reject_reason,
};
use kluis_identity::{Backoff, Guest, Place, Places, Sparse};
use rustls::pki_types::CertificateDer;
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What is known of a caller once TLS has authenticated it.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Where it calls from.
    pub(crate) source: IpAddr,
    /// Its certificate, which our authority has signed.
    pub(crate) certificate: CertificateDer<'static>,
}

/// Who answers callers.
pub(crate) trait House: Send + Sync + 'static {
    /// What one association is served by.
    type Services: Services;

    /// The services for a caller, who is still to be admitted.
    fn services(&self, caller: Caller) -> Self::Services;

    /// Someone came without proof.
    fn note_unproved(&self, source: IpAddr) -> impl Future<Output = ()> + Send;
}

/// What all connections of a listener share.
pub(crate) struct Shared<H> {
    pub(crate) house: H,
    pub(crate) tls: TlsAcceptor,
    pub(crate) config: Config,
    /// Places for associations, by source.
    pub(crate) sources: Arc<Places<IpAddr>>,
    /// And by device: the calling AE title, once it has proved to be that of the certificate.
    pub(crate) devices: Arc<Places<AeTitle>>,
    pub(crate) backoff: Backoff,
    /// Lines about those who were not let in.
    pub(crate) failures: Sparse,
}

impl<H> Shared<H> {
    /// A line about someone who was not let in: a flood of them writes few.
    fn tell(&self, source: IpAddr, cause: &dyn std::fmt::Display) {
        if let Some(passed_over) = self.failures.admit(Instant::now().into_std()) {
            tracing::warn!(%source, %cause, passed_over, "not let in at the DICOM door");
        }
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve<H: House>(
    stream: TcpStream,
    guest: Guest,
    source: IpAddr,
    shared: Arc<Shared<H>>,
    shutdown: watch::Receiver<bool>,
) {
    let opened = Instant::now();
    let Some(stream) = shake_hands(stream, source, opened, &shared).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let Some(certificate) = certificate.map(|certificate| certificate.clone().into_owned()) else {
        // TLS was not set up to ask for one: a fault of ours, and nothing is let in by it
        tracing::error!("a peer without a certificate passed the handshake");
        return;
    };
    let services = shared.house.services(Caller { source, certificate });
    let mut admitted = Admitted { services, source, shared: &shared, guest: Some(guest), places: None };
    let ending = driver::serve(stream, &mut admitted, &shared.config, opened, shutdown).await;
    // the negotiation knows nothing of the trail; whoever does not know our name may be trying names
    if ending.how == How::Rejected(reject_reason::CALLED_AE) {
        shared.house.note_unproved(source).await;
        shared.tell(source, &"the called AE title is not ours");
    }
    tracing::info!(
        %source,
        calling = ending.calling.as_ref().map(tracing::field::display),
        implementation = ending.implementation_class_uid.as_ref().map(tracing::field::display),
        messages = ending.messages,
        how = ?ending.how,
        "association ended"
    );
}

async fn shake_hands<H: House>(
    stream: TcpStream,
    source: IpAddr,
    opened: Instant,
    shared: &Shared<H>,
) -> Option<TlsStream<PromptTcp>> {
    let until = opened + shared.config.timing.artim;
    // a silent connection costs its task and its socket; memory for TLS is taken at its first byte
    let mut first = [0];
    match timeout_at(until, stream.peek(&mut first)).await {
        Ok(Ok(1)) => {}
        _ => return None,
    }
    let stream = PromptTcp::new(stream).ok()?;
    match timeout_at(until, shared.tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            shared.tell(source, &error);
            shared.house.note_unproved(source).await;
            None
        }
        Err(_) => {
            shared.tell(source, &"the TLS handshake was too slow");
            None
        }
    }
}

/// The services of an association, behind its place in this listener.
struct Admitted<'a, H: House> {
    services: H::Services,
    source: IpAddr,
    shared: &'a Shared<H>,
    guest: Option<Guest>,
    places: Option<(Place<IpAddr>, Place<AeTitle>)>,
}

impl<H: House> Services for Admitted<'_, H> {
    type Sink = <H::Services as Services>::Sink;
    type Matches = <H::Services as Services>::Matches;
    type Objects = <H::Services as Services>::Objects;
    type Transfer = <H::Services as Services>::Transfer;

    async fn admit(&mut self, request: &AssociationRequest<'_>) -> Result<Admission, Refusal> {
        let admission = self.services.admit(request).await;
        if admission == Err(Refusal::Identity) {
            self.shared.house.note_unproved(self.source).await;
            let held_back = self.shared.backoff.note(self.source, Instant::now().into_std());
            tokio::time::sleep(held_back).await;
        }
        let admission = admission?;
        let of_source = self.shared.sources.take(self.source).ok_or(Refusal::LocalLimit)?;
        let of_device = self.shared.devices.take(request.calling.clone()).ok_or(Refusal::LocalLimit)?;
        self.places = Some((of_source, of_device));
        self.guest = None;
        Ok(admission)
    }

    async fn echo(&mut self, request: EchoRequest) -> Outcome {
        self.services.echo(request).await
    }

    async fn store_begin(&mut self, request: StoreRequest) -> Result<Self::Sink, Outcome> {
        self.services.store_begin(request).await
    }

    async fn find(&mut self, request: FindRequest) -> Result<Self::Matches, Outcome> {
        self.services.find(request).await
    }

    async fn get(&mut self, request: GetRequest) -> Result<Self::Objects, Outcome> {
        self.services.get(request).await
    }

    async fn transfer(&mut self, request: MoveRequest) -> Result<Self::Transfer, Outcome> {
        self.services.transfer(request).await
    }

    fn offers(&self, operation: CommandField, service: &Uid) -> bool {
        self.services.offers(operation, service)
    }

    fn covers(&self, service: &Uid, sop_class: &Uid) -> bool {
        self.services.covers(service, sop_class)
    }

    async fn normalized(&mut self, request: NormalizedRequest) -> NormalizedResponse {
        self.services.normalized(request).await
    }

    async fn next_event(&mut self) -> Notification {
        self.services.next_event().await
    }

    fn event_answered(&mut self, status: Status) {
        self.services.event_answered(status);
    }
}
