//! Associations that we ask for: with enrolled devices, where they listen, over TLS on both sides' certificates.

use std::{net::IpAddr, sync::Arc};

use kluis_dicom::{AeTitle, implementation};
use kluis_dimse::{
    PromptTcp,
    limits::Timing,
    pdu::RoleSelection,
    requestor::{Association, Failure, Offer, Proposal},
};
use kluis_identity::{Authenticator, Device, IssuedCertificate, tls::destination_config};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::limits;

/// Calls enrolled devices.
#[derive(Clone)]
pub struct Dialer {
    authenticator: Arc<Authenticator>,
    /// Shown to whom we call.
    own: Arc<IssuedCertificate>,
    /// Our AE title.
    calling: AeTitle,
    timing: Timing,
    shutdown: watch::Receiver<bool>,
}

/// Why a device was not reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DialError {
    /// Nobody has said where it listens.
    #[error("no address is known")]
    Address,
    /// No connection came about, or not in time.
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    /// It does not speak TLS, or has not proved to be the enrolled device.
    #[error("no tls with the enrolled key")]
    Tls(#[source] std::io::Error),
    /// Our side of TLS cannot be set up.
    #[error(transparent)]
    Own(#[from] kluis_identity::tls::TlsError),
    /// No association came about.
    #[error(transparent)]
    Association(#[from] Failure),
}

/// An association with a device.
pub(crate) type Called = Association<TlsStream<PromptTcp>>;

impl Dialer {
    /// Calls as `calling`, with this certificate and its key. What is waited for is given up when `shutdown` turns true.
    #[must_use]
    pub fn new(
        authenticator: Arc<Authenticator>,
        own: IssuedCertificate,
        calling: AeTitle,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        Self { authenticator, own: Arc::new(own), calling, timing: Timing::default(), shutdown }
    }

    /// Our AE title.
    pub(crate) fn title(&self) -> &AeTitle {
        &self.calling
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// Asks the device for an association with these contexts and roles.
    pub(crate) async fn call(
        &self,
        device: &Device,
        contexts: Vec<Offer>,
        roles: Vec<RoleSelection>,
    ) -> Result<Called, DialError> {
        let address = device.address.as_deref().ok_or(DialError::Address)?;
        let stream = timeout(limits::CONNECT, TcpStream::connect(address)).await;
        let stream = stream.unwrap_or_else(|late| Err(late.into())).and_then(PromptTcp::new);
        let config = destination_config(&self.own, &device.key_fingerprint)?;
        let shaken = TlsConnector::from(config).connect(name(address), stream.map_err(DialError::Connect)?);
        let stream = timeout(limits::CONNECT, shaken).await.unwrap_or_else(|late| Err(late.into()));
        let proposal = Proposal {
            calling: self.calling.clone(),
            called: device.ae.clone(),
            contexts,
            roles,
            extended: Vec::new(),
            identity: None,
            implementation_class_uid: implementation::class_uid(),
            implementation_version: implementation::VERSION_NAME.to_owned(),
        };
        let stream = stream.map_err(DialError::Tls)?;
        Ok(Association::request(stream, &proposal, self.timing, self.shutdown.clone()).await?)
    }
}

/// For the peer to choose a certificate by; what it shows is held against the enrolled key, not against this.
fn name(address: &str) -> ServerName<'static> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    ServerName::try_from(host.to_owned()).unwrap_or(ServerName::IpAddress(IpAddr::from([127, 0, 0, 1]).into()))
}
