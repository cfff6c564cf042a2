//! The built-in certificate authority: made with the vault, trusted by nobody but this house and its devices.
//!
//! Profiles follow RFC 5280 4.2 strictly (critical basic constraints and key usage, key identifiers, subject alternative
//! names), because OpenSSL-based peers check them. Keys are ECDSA P-256.

use std::fmt;

use aws_lc_rs::rand;
use kluis_dicom::AeTitle;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::certificate::{fingerprint, requested_key};

/// How long the authority lives.
pub const CA_DAYS: i64 = 3652;

/// How long a server certificate lives; clients refuse longer ones.
pub const SERVER_DAYS: i64 = 397;

/// How long a device certificate lives.
pub const DEVICE_DAYS: i64 = 730;

/// Certificates begin this much before they are made, for peers whose clock is behind.
const BACKDATED: Duration = Duration::HOUR;

/// Why a certificate could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// The library refused.
    #[error("cannot make the certificate: {0}")]
    Library(#[from] rcgen::Error),
    /// The key or the certificate of the authority cannot be read.
    #[error("the key or the certificate of the authority cannot be read")]
    Unreadable,
    /// The key is not that of the certificate.
    #[error("the key of the authority does not belong to its certificate")]
    KeyDiffers,
    /// The text is no signing request.
    #[error("the file is no certificate signing request in PEM form")]
    Request,
    /// The request is not signed by its own key.
    #[error("the certificate signing request is not signed by its own key")]
    RequestSignature,
    /// The key of the request is too weak or of a kind that is not used.
    #[error("the key of the request must be RSA of 2048 to 4096 bits, ECDSA P-256 or P-384, or Ed25519")]
    WeakKey,
    /// A host name is none.
    #[error("a host name of the server is not valid")]
    HostName,
    /// The random generator of the system failed.
    #[error("no random numbers")]
    NoRandom,
}

/// The authority: a certificate and its key.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    expires_at: OffsetDateTime,
}

/// A certificate that was just made.
#[derive(Clone)]
pub struct IssuedCertificate {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// The key (PKCS #8, PEM), where it was made here.
    pub key_pem: Option<Zeroizing<String>>,
    /// SHA-256 of the `SubjectPublicKeyInfo`, 64 lowercase hexadecimal digits.
    pub key_fingerprint: String,
    /// The end of the certificate.
    pub expires_at: OffsetDateTime,
}

impl CertificateAuthority {
    /// Makes an authority with a new key, for ten years, named `Kluis CA` and eight random hexadecimal digits.
    ///
    /// # Errors
    /// [`CaError::Library`], [`CaError::NoRandom`].
    pub fn create(now: OffsetDateTime) -> Result<Self, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let suffix: String = random_bytes::<4>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut params = params(&format!("Kluis CA {suffix}"), now, CA_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = false;
        let certificate = params.self_signed(&key)?;
        Self::load(key.serialized_der(), &certificate.pem())
    }

    /// Takes up an authority again: its key (PKCS #8, DER; see [`CertificateAuthority::key`]) and its certificate.
    ///
    /// # Errors
    /// [`CaError::Unreadable`], [`CaError::KeyDiffers`].
    pub fn load(key: &[u8], certificate_pem: &str) -> Result<Self, CaError> {
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(key), &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| CaError::Unreadable)?;
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| CaError::Unreadable)?;
        let expires_at = {
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).map_err(|_| CaError::Unreadable)?;
            if !parsed.is_ca() {
                return Err(CaError::Unreadable);
            }
            if parsed.public_key().raw != key.subject_public_key_info() {
                return Err(CaError::KeyDiffers);
            }
            parsed.validity().not_after.to_datetime()
        };
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| CaError::Unreadable)?;
        Ok(Self { issuer, certificate_pem: certificate_pem.to_owned(), certificate, expires_at })
    }

    /// The key, PKCS #8 in DER. The caller seals it before it goes to disk.
    #[must_use]
    pub fn key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.issuer.key().serialize_der())
    }

    /// The certificate, PEM: what peers are told to trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The end of the authority.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.expires_at
    }

    /// A certificate for the doors of the node: `localhost`, `127.0.0.1`, `::1`, and the host names and IP addresses
    /// given.
    ///
    /// # Errors
    /// [`CaError::HostName`], [`CaError::Library`], [`CaError::NoRandom`].
    pub fn issue_server(&self, hosts: &[String], now: OffsetDateTime) -> Result<IssuedCertificate, CaError> {
        let mut names: Vec<SanType> = Vec::new();
        for host in ["localhost", "127.0.0.1", "::1"].into_iter().chain(hosts.iter().map(String::as_str)) {
            let name = match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) if is_host_name(host) => {
                    SanType::DnsName(host.to_ascii_lowercase().try_into().map_err(|_| CaError::HostName)?)
                }
                Err(_) => return Err(CaError::HostName),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut params = self.leaf("Kluis", now, SERVER_DAYS)?;
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params)
    }

    /// A key and a certificate for a device: client authentication only, the AE title as common name, two years.
    ///
    /// # Errors
    /// [`CaError::Library`], [`CaError::NoRandom`].
    pub fn issue_device(&self, ae: &AeTitle, now: OffsetDateTime) -> Result<IssuedCertificate, CaError> {
        self.issue(&self.device(ae, now)?)
    }

    /// As [`CertificateAuthority::issue_device`], for a key that the device made itself. Of the signing request (PEM)
    /// only the public key is taken.
    ///
    /// # Errors
    /// [`CaError::Request`], [`CaError::RequestSignature`], [`CaError::WeakKey`], [`CaError::Library`],
    /// [`CaError::NoRandom`].
    pub fn sign_request(&self, csr_pem: &str, ae: &AeTitle, now: OffsetDateTime) -> Result<IssuedCertificate, CaError> {
        let key = SubjectPublicKeyInfo::from_der(&requested_key(csr_pem)?).map_err(|_| CaError::WeakKey)?;
        self.sign(&self.device(ae, now)?, &key, None)
    }

    fn device(&self, ae: &AeTitle, now: OffsetDateTime) -> Result<CertificateParams, CaError> {
        let mut params = self.leaf(ae.as_str(), now, DEVICE_DAYS)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params)
    }

    fn leaf(&self, name: &str, now: OffsetDateTime, days: i64) -> Result<CertificateParams, CaError> {
        let mut params = params(name, now, days)?;
        params.not_after = params.not_after.min(self.expires_at);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    fn issue(&self, params: &CertificateParams) -> Result<IssuedCertificate, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        self.sign(params, &key, Some(Zeroizing::new(key.serialize_pem())))
    }

    fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
        key_pem: Option<Zeroizing<String>>,
    ) -> Result<IssuedCertificate, CaError> {
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(IssuedCertificate {
            certificate_pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key_pem,
            key_fingerprint: fingerprint(&key.subject_public_key_info()),
            expires_at: params.not_after,
        })
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedCertificate")
            .field("key_fingerprint", &self.key_fingerprint)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

fn params(name: &str, now: OffsetDateTime, days: i64) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    let now = now.to_offset(time::UtcOffset::UTC).replace_nanosecond(0).unwrap_or(now);
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(days);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // not derived from the key: a key that is certified twice must not give one number twice (RFC 5280 4.1.2.2)
    let mut serial = random_bytes::<20>()?;
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn random_bytes<const N: usize>() -> Result<[u8; N], CaError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| CaError::NoRandom)?;
    Ok(bytes)
}

/// Letters, digits, hyphens and dots (RFC 1123 2.1); no wildcard.
pub(crate) fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-03-01 08:00 UTC);

    fn parse(der: &[u8]) -> X509Certificate<'_> {
        x509_parser::parse_x509_certificate(der).unwrap().1
    }

    #[test]
    fn an_authority_is_a_strict_one() {
        let authority = CertificateAuthority::create(NOW).unwrap();
        let parsed = parse(authority.certificate());
        assert!(parsed.subject().to_string().starts_with("CN=Kluis CA "));
        let constraints = parsed.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        let usage = parsed.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.key_cert_sign() && !usage.value.digital_signature());
        assert!(parsed.verify_signature(None).is_ok());
        assert_eq!(authority.expires_at(), NOW + Duration::days(CA_DAYS));
    }

    #[test]
    fn an_authority_comes_back_from_its_key_and_certificate() {
        let first = CertificateAuthority::create(NOW).unwrap();
        let again = CertificateAuthority::load(&first.key(), first.certificate_pem()).unwrap();
        let ae = "CT1".parse().unwrap();
        let device = again.issue_device(&ae, NOW).unwrap();
        let parsed = parse(&device.certificate);
        assert!(parsed.verify_signature(Some(parse(first.certificate()).public_key())).is_ok());
        assert_eq!(parsed.issuer(), parse(first.certificate()).subject());

        let other = CertificateAuthority::create(NOW).unwrap();
        let refused = CertificateAuthority::load(&other.key(), first.certificate_pem()).unwrap_err();
        assert_eq!(refused, CaError::KeyDiffers);
        assert_eq!(CertificateAuthority::load(b"x", first.certificate_pem()).unwrap_err(), CaError::Unreadable);
        let leaf = CertificateAuthority::load(&first.key(), &device.certificate_pem).unwrap_err();
        assert_eq!(leaf, CaError::Unreadable);
    }

    #[test]
    fn leaves_carry_what_strict_peers_ask_for() {
        let authority = CertificateAuthority::create(NOW).unwrap();
        let device = authority.issue_device(&"CT 1".parse().unwrap(), NOW).unwrap();
        let server = authority.issue_server(&["pacs.example".into(), "10.0.0.7".into()], NOW).unwrap();
        let ca_oids = oids(authority.certificate());
        for (leaf, days, is_server) in [(&device, DEVICE_DAYS, false), (&server, SERVER_DAYS, true)] {
            let parsed = parse(&leaf.certificate);
            assert!(!parsed.basic_constraints().unwrap().unwrap().value.ca);
            assert!(parsed.key_usage().unwrap().unwrap().value.digital_signature());
            let usage = parsed.extended_key_usage().unwrap().unwrap().value;
            assert_eq!((usage.server_auth, usage.client_auth, usage.any), (is_server, !is_server, false));
            // subject and authority key identifier
            assert!(["2.5.29.14", "2.5.29.35"].iter().all(|oid| oids(&leaf.certificate).contains(&oid.to_string())));
            assert_eq!(leaf.expires_at, NOW + Duration::days(days));
            assert_eq!(parsed.validity().not_after.to_datetime(), leaf.expires_at);
            assert_eq!(leaf.key_fingerprint, fingerprint(parsed.public_key().raw));
        }
        assert!(ca_oids.contains(&"2.5.29.14".to_owned()));
        assert_eq!(parse(&device.certificate).subject().to_string(), "CN=CT 1");
        let names = parse(&server.certificate).subject_alternative_name().unwrap().unwrap().value.clone();
        let names: Vec<String> = names
            .general_names
            .iter()
            .map(|name| match name {
                GeneralName::DNSName(name) => (*name).to_owned(),
                GeneralName::IPAddress(bytes) => format!("{} bytes", bytes.len()),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(names, ["localhost", "4 bytes", "16 bytes", "pacs.example", "4 bytes"]);
    }

    fn oids(der: &[u8]) -> Vec<String> {
        parse(der).extensions().iter().map(|extension| extension.oid.to_id_string()).collect()
    }

    #[test]
    fn a_leaf_never_outlives_its_authority() {
        let authority = CertificateAuthority::create(NOW).unwrap();
        let late = authority.expires_at() - Duration::DAY;
        let device = authority.issue_device(&"CT1".parse().unwrap(), late).unwrap();
        assert_eq!(device.expires_at, authority.expires_at());
    }

    #[test]
    fn a_host_name_is_one() {
        let authority = CertificateAuthority::create(NOW).unwrap();
        for host in ["", "*.example", "a b", "-a", "a..b", "a/b", &"a".repeat(64)] {
            assert_eq!(authority.issue_server(&[host.to_owned()], NOW).unwrap_err(), CaError::HostName, "{host:?}");
        }
    }

    #[test]
    fn of_a_request_only_the_key_is_taken() {
        let authority = CertificateAuthority::create(NOW).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut wish = params("EVIL", NOW, 1).unwrap();
        wish.serial_number = None;
        wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wish.subject_alt_names = vec![SanType::DnsName("pacs.example".try_into().unwrap())];
        wish.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let csr = wish.serialize_request(&key).unwrap().pem().unwrap();

        let issued = authority.sign_request(&csr, &"CT1".parse().unwrap(), NOW).unwrap();
        assert!(issued.key_pem.is_none());
        let parsed = parse(&issued.certificate);
        assert_eq!(parsed.public_key().raw, key.subject_public_key_info());
        assert_eq!(parsed.subject().to_string(), "CN=CT1");
        assert!(!parsed.is_ca());
        assert!(parsed.subject_alternative_name().unwrap().is_none());
        assert!(!parsed.extended_key_usage().unwrap().unwrap().value.server_auth);
    }

    #[test]
    fn a_request_must_be_signed_by_its_own_key() {
        let authority = CertificateAuthority::create(NOW).unwrap();
        let ae: AeTitle = "CT1".parse().unwrap();
        let key = KeyPair::generate().unwrap();
        let der = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
        let pem = |der: &[u8]| {
            use base64::prelude::{BASE64_STANDARD, Engine};
            let begin = "-----BEGIN CERTIFICATE REQUEST-----";
            format!("{begin}\n{}\n-----END CERTIFICATE REQUEST-----\n", BASE64_STANDARD.encode(der))
        };
        assert!(authority.sign_request(&pem(&der), &ae, NOW).is_ok());
        // another name of the same length under the old signature
        let position = der.windows(6).position(|bytes| bytes == b"rcgen ").unwrap();
        let mut forged = der.clone();
        forged[position] = b'x';
        assert_eq!(authority.sign_request(&pem(&forged), &ae, NOW).unwrap_err(), CaError::RequestSignature);
        let mut longer = der.clone();
        longer.push(0);
        for wrong in [pem(&longer), pem(&der[..20]), "hello".into(), authority.certificate_pem().into()] {
            assert_eq!(authority.sign_request(&wrong, &ae, NOW).unwrap_err(), CaError::Request);
        }
    }

    #[test]
    fn requests_of_other_kinds_of_keys_are_signed_too() {
        let authority = CertificateAuthority::create(NOW).unwrap();
        let ae: AeTitle = "CT1".parse().unwrap();
        for kind in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256] {
            let key = KeyPair::generate_for(kind).unwrap();
            let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
            let issued = authority.sign_request(&csr, &ae, NOW).unwrap();
            assert_eq!(parse(&issued.certificate).public_key().raw, key.subject_public_key_info(), "{kind:?}");
        }
    }

    #[test]
    fn no_two_serial_numbers_are_alike() {
        let authority = CertificateAuthority::create(NOW).unwrap();
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let serial = || {
            let issued = authority.sign_request(&csr, &"CT1".parse().unwrap(), NOW).unwrap();
            parse(&issued.certificate).raw_serial().to_vec()
        };
        let (first, second) = (serial(), serial());
        assert_ne!(first, second);
        assert_eq!((first.len(), second.len()), (20, 20));
    }
}
