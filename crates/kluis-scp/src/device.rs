//! One enrolled device's association: who it is before each message, and which service a message goes to.

use std::{net::IpAddr, sync::Arc};

use kluis_archive::{Archive, Origin};
use kluis_dicom::AeTitle;
use kluis_dimse::{
    Admission, AssociationRequest, EchoRequest, Outcome, Refusal, Services, StoreRequest, command::Status,
};
use kluis_identity::{Authenticator, Cause};
use kluis_policy::{Door, Principal};

use crate::{
    connection::{Caller, House},
    storage::{self, ObjectSink},
    verification,
};

/// What the edge asks: the archive, and who a certificate is.
#[derive(Clone)]
pub struct Edge {
    archive: Archive,
    authenticator: Arc<Authenticator>,
}

impl Edge {
    /// The edge of this archive.
    #[must_use]
    pub fn new(archive: Archive, authenticator: Arc<Authenticator>) -> Self {
        Self { archive, authenticator }
    }
}

impl House for Edge {
    type Services = DeviceServices;

    fn services(&self, caller: Caller) -> DeviceServices {
        DeviceServices { edge: self.clone(), caller, calling: None }
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
    calling: Option<AeTitle>,
}

impl DeviceServices {
    /// Looked at again before each message, so that a device that was removed is shut out within seconds (threat T28).
    /// The AE title proves nothing; it has to be the one bound to the key.
    async fn principal(&self) -> Result<Principal, Cause> {
        let Some(calling) = &self.calling else { return Err(Cause::AeNotBound) };
        let now = self.edge.archive.clock().now();
        let proof = self.edge.authenticator.device(&self.caller.certificate, calling, now).await;
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

impl Services for DeviceServices {
    type Sink = ObjectSink;

    /// User identities (PS3.7 D.3.3.7) are neither needed nor believed: a device is its key. None is answered.
    async fn admit(&mut self, request: &AssociationRequest<'_>) -> Result<Admission, Refusal> {
        self.calling = Some(request.calling.clone());
        match self.principal().await {
            Ok(_) => Ok(Admission::default()),
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
        let principal = self.principal_of_message().await?;
        storage::begin(&self.edge.archive, &principal, origin(self.caller.source), request).await
    }
}

fn origin(source: IpAddr) -> Origin {
    Origin { door: Door::Dimse, peer: Some(source) }
}
