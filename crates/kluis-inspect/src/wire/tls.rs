//! A TLS handshake that believes everything and remembers what it saw: whom the peer is, and whether it wants to know us.
//!
//! No secret is ever sent through such a connection, so that nobody in the middle could learn anything.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::Stream;

/// What a handshake showed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// `TLS 1.2` or `TLS 1.3`.
    pub(crate) version: Option<&'static str>,
    /// The certificate of the peer, DER.
    pub(crate) certificate: Option<Vec<u8>>,
    /// The peer asked who we are.
    pub(crate) asks_for_certificate: bool,
}

/// What came of it.
pub(crate) enum Handshake {
    Open(Box<dyn Stream>, Seen),
    /// The peer speaks TLS and ended the handshake.
    Refused(Seen),
    /// It does not speak TLS.
    Foreign,
    /// Nothing within the time.
    Silent,
}

/// Shakes hands over a connection.
pub(crate) async fn handshake(stream: TcpStream, address: IpAddr, name: Option<&str>, patience: Duration) -> Handshake {
    let asked = Arc::new(Asked::default());
    let Some(config) = config(Arc::clone(&asked)) else { return Handshake::Foreign };
    let by_name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    let server = by_name.unwrap_or_else(|| ServerName::from(address));
    let connecting = TlsConnector::from(Arc::new(config)).connect(server, stream);
    match timeout(patience, connecting).await {
        Err(_) => Handshake::Silent,
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let version = session.protocol_version().map(|version| match version {
                rustls::ProtocolVersion::TLSv1_3 => "TLS 1.3",
                _ => "TLS 1.2",
            });
            let certificate = session.peer_certificates().and_then(<[_]>::first).map(|der| der.to_vec());
            let seen = Seen { version, certificate, asks_for_certificate: asked.was_asked() };
            Handshake::Open(Box::new(stream), seen)
        }
        Ok(Err(error)) => {
            let seen = Seen { asks_for_certificate: asked.was_asked(), ..Seen::default() };
            match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(Error::AlertReceived(_) | Error::PeerIncompatible(_) | Error::InvalidCertificate(_)) => {
                    Handshake::Refused(seen)
                }
                _ if seen.asks_for_certificate => Handshake::Refused(seen),
                _ => Handshake::Foreign,
            }
        }
    }
}

fn config(asked: Arc<Asked>) -> Option<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Anybody(Arc::clone(&provider)));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_client_cert_resolver(asked);
    config.enable_sni = true;
    Some(config)
}

/// Notes that the peer asked for a certificate, and has none.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl Asked {
    fn was_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // else rustls would not ask
        true
    }
}

/// Takes every certificate; the handshake must still be signed by its key, so that what is noted is the peer's own.
struct Anybody(Arc<CryptoProvider>);

impl fmt::Debug for Anybody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anybody")
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        lenient(verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        lenient(verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A certificate of an old form (version 1, no names) cannot be read by the library; a wrong signature is one all the same.
fn lenient(outcome: Result<HandshakeSignatureValid, Error>) -> Result<HandshakeSignatureValid, Error> {
    match outcome {
        Err(Error::InvalidCertificate(reason)) if !matches!(reason, CertificateError::BadSignature) => {
            Ok(HandshakeSignatureValid::assertion())
        }
        outcome => outcome,
    }
}
