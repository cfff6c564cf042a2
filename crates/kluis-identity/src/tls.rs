//! TLS of the two doors: 1.3, and 1.2 with ECDHE and AEAD only (BCP 195; PS3.15 B.12), nothing that can be turned down.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};

use crate::{
    ca::{CertificateAuthority, IssuedCertificate},
    pinned::PinnedKey,
};

/// Why a door could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate of the node came without its key, or with one that cannot be read.
    #[error("the key of the server certificate is missing or cannot be read")]
    Key,
    /// The certificate of the authority cannot be used.
    #[error("the certificate of the authority cannot be used to check peers")]
    Authority,
    /// TLS itself.
    #[error("cannot set up tls")]
    Tls(#[source] rustls::Error),
}

const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// HTTPS: no client certificate, HTTP/2 and HTTP/1.1.
///
/// # Errors
/// [`TlsError`].
pub fn https_config(server: &IssuedCertificate) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key) = identity(server)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(TlsError::Tls)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// DICOM: without a client certificate of our authority there is no handshake. Sessions are never resumed, so that every
/// association shows its certificate.
///
/// # Errors
/// [`TlsError`].
pub fn dimse_config(
    server: &IssuedCertificate,
    authority: &CertificateAuthority,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).map_err(|_| TlsError::Authority)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|_| TlsError::Authority)?;
    let (chain, key) = identity(server)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(TlsError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(TlsError::Tls)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// DICOM, called by us: `own` is shown where the peer asks for a certificate, and the peer must prove to have the key with
/// this fingerprint (SHA-256 of its public key info, hexadecimal).
///
/// # Errors
/// [`TlsError`].
pub fn destination_config(own: &IssuedCertificate, key_fingerprint: &str) -> Result<Arc<ClientConfig>, TlsError> {
    client_config(Some(identity(own)?), Trusted::Key(key_fingerprint))
}

/// A certificate chain with its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Whom we believe to be the peer that we call.
#[derive(Debug, Clone, Copy)]
pub enum Trusted<'a> {
    /// Who has a certificate of this authority (PEM) for the name that we called.
    Authority(&'a str),
    /// Who has the key with this fingerprint: SHA-256 of its public key info, hexadecimal.
    Key(&'a str),
}

/// DICOM, called by us; `own` is shown where the peer asks for a certificate.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(own: Option<Identity>, trusted: Trusted<'_>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(VERSIONS)
        .map_err(TlsError::Tls)?;
    let builder = match trusted {
        Trusted::Authority(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate.map_err(|_| TlsError::Authority)?).map_err(|_| TlsError::Authority)?;
            }
            builder.with_root_certificates(roots)
        }
        Trusted::Key(key_fingerprint) => {
            let pinned = PinnedKey { key_fingerprint: key_fingerprint.to_owned(), provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
        }
    };
    let mut config = match own {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(TlsError::Tls)?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A certificate chain and its key out of PEM files.
///
/// # Errors
/// [`TlsError::Key`]
pub fn read_identity(certificate_pem: &str, key_pem: &str) -> Result<Identity, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| TlsError::Key)?;
    Ok((chain.map_err(|_| TlsError::Key)?, key))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn identity(server: &IssuedCertificate) -> Result<Identity, TlsError> {
    let pem = server.key_pem.as_ref().ok_or(TlsError::Key)?;
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| TlsError::Key)?;
    Ok((vec![server.certificate.clone()], key))
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConnection, ServerConnection, pki_types::ServerName};
    use time::OffsetDateTime;

    use super::*;

    // rustls reads the wall clock; certificates of this age hold for some years
    fn now() -> OffsetDateTime {
        let elapsed = std::time::UNIX_EPOCH.elapsed().unwrap();
        OffsetDateTime::UNIX_EPOCH + elapsed
    }

    fn client(
        authority: &CertificateAuthority,
        identity_of: Option<&IssuedCertificate>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match identity_of {
            Some(issued) => {
                let (chain, key) = identity(issued).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        }
    }

    /// Both sides over memory, until neither has anything to say; `true` where data came through.
    fn shake(server: &Arc<ServerConfig>, client: ClientConfig, host: &str) -> Result<ServerConnection, rustls::Error> {
        let mut server = ServerConnection::new(server.clone()).unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        for _ in 0..8 {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let mut input = wire.as_slice();
            while !input.is_empty() {
                server.read_tls(&mut input).unwrap();
                server.process_new_packets()?;
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut input = wire.as_slice();
            while !input.is_empty() {
                client.read_tls(&mut input).unwrap();
                client.process_new_packets()?;
            }
        }
        assert!(!server.is_handshaking() && !client.is_handshaking());
        Ok(server)
    }

    #[test]
    fn dicom_takes_devices_of_our_authority_only() {
        let authority = CertificateAuthority::create(now()).unwrap();
        let server = authority.issue_server(&[], now()).unwrap();
        let config = dimse_config(&server, &authority).unwrap();
        let ae = "CT1".parse().unwrap();
        let device = authority.issue_device(&ae, now()).unwrap();
        let other = CertificateAuthority::create(now()).unwrap().issue_device(&ae, now()).unwrap();
        for versions in [&[&TLS13][..], &[&TLS12]] {
            let shaken = shake(&config, client(&authority, Some(&device), versions), "127.0.0.1").unwrap();
            assert_eq!(shaken.peer_certificates().unwrap()[0], device.certificate);
            assert!(shake(&config, client(&authority, None, versions), "127.0.0.1").is_err(), "no certificate");
            assert!(
                shake(&config, client(&authority, Some(&other), versions), "127.0.0.1").is_err(),
                "other authority"
            );
            let as_client = shake(&config, client(&authority, Some(&server), versions), "127.0.0.1");
            assert!(as_client.is_err(), "a server certificate is no client certificate");
        }
        let past = now() - time::Duration::days(800);
        let old = authority.issue_device(&ae, past).unwrap();
        assert!(shake(&config, client(&authority, Some(&old), VERSIONS), "127.0.0.1").is_err(), "expired");
    }

    #[test]
    fn a_dicom_session_is_never_resumed() {
        let authority = CertificateAuthority::create(now()).unwrap();
        let config = dimse_config(&authority.issue_server(&[], now()).unwrap(), &authority).unwrap();
        let device = authority.issue_device(&"CT1".parse().unwrap(), now()).unwrap();
        let client = client(&authority, Some(&device), VERSIONS);
        for _ in 0..2 {
            let server = shake(&config, client.clone(), "localhost").unwrap();
            assert_eq!(server.handshake_kind(), Some(rustls::HandshakeKind::Full));
        }
    }

    #[test]
    fn https_answers_to_its_names_and_speaks_http_2() {
        let authority = CertificateAuthority::create(now()).unwrap();
        let server = authority.issue_server(&["pacs.example".into()], now()).unwrap();
        let config = https_config(&server).unwrap();
        for host in ["localhost", "127.0.0.1", "::1", "pacs.example"] {
            let mut client = client(&authority, None, VERSIONS);
            client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            let shaken = shake(&config, client, host).unwrap();
            assert_eq!(shaken.alpn_protocol(), Some(b"h2".as_slice()));
        }
        assert!(shake(&config, client(&authority, None, VERSIONS), "other.example").is_err());
    }

    #[test]
    fn a_device_cannot_pose_as_the_node() {
        let authority = CertificateAuthority::create(now()).unwrap();
        let device = authority.issue_device(&"localhost".parse().unwrap(), now()).unwrap();
        let config = https_config(&device).unwrap();
        assert!(shake(&config, client(&authority, None, VERSIONS), "localhost").is_err());
    }

    /// A device that listens shows the certificate with which it calls; what others have for its title is not it.
    #[test]
    fn a_device_that_we_call_is_its_key() {
        let authority = CertificateAuthority::create(now()).unwrap();
        let ae = "WORKSTATION".parse().unwrap();
        let (device, other) =
            (authority.issue_device(&ae, now()).unwrap(), authority.issue_device(&ae, now()).unwrap());
        let own = authority.issue_device(&"KLUIS".parse().unwrap(), now()).unwrap();
        let ours = destination_config(&own, &device.key_fingerprint).unwrap();
        let listening = dimse_config(&device, &authority).unwrap();
        let shaken = shake(&listening, ClientConfig::clone(&ours), "any.name").unwrap();
        assert_eq!(shaken.peer_certificates().unwrap()[0], own.certificate);
        let imposter = dimse_config(&other, &authority).unwrap();
        let refused = shake(&imposter, ClientConfig::clone(&ours), "any.name").unwrap_err();
        let why = rustls::CertificateError::ApplicationVerificationFailure;
        assert_eq!(refused, rustls::Error::InvalidCertificate(why));
    }

    #[test]
    fn only_forward_secret_authenticated_ciphers() {
        let authority = CertificateAuthority::create(now()).unwrap();
        let config = dimse_config(&authority.issue_server(&[], now()).unwrap(), &authority).unwrap();
        let suites = &config.crypto_provider().cipher_suites;
        assert!(suites.len() >= 6);
        for suite in suites {
            let name = format!("{:?}", suite.suite());
            let is_modern = name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_");
            assert!(is_modern && (name.contains("GCM") || name.contains("POLY1305")), "{name}");
        }
    }

    #[test]
    fn a_certificate_without_its_key_opens_no_door() {
        let authority = CertificateAuthority::create(now()).unwrap();
        let mut server = authority.issue_server(&[], now()).unwrap();
        server.key_pem = None;
        assert!(matches!(https_config(&server), Err(TlsError::Key)));
        assert!(matches!(dimse_config(&server, &authority), Err(TlsError::Key)));
    }
}
