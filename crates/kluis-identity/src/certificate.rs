//! What is read from a certificate or a signing request (RFC 5280, RFC 2986): the key, and from when to when.

use time::OffsetDateTime;
use x509_parser::{
    certification_request::X509CertificationRequest, prelude::FromDer, public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

use crate::{
    ca::CaError,
    limits::{CERTIFICATE_BYTES, CSR_BYTES},
    secret::sha256,
};

/// The parts of a client certificate on which identity rests.
pub(crate) struct ClientCertificate {
    pub(crate) key_fingerprint: String,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
}

impl ClientCertificate {
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        if der.len() > CERTIFICATE_BYTES {
            return None;
        }
        let (rest, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        Some(Self {
            key_fingerprint: fingerprint(certificate.public_key().raw),
            not_before: certificate.validity().not_before.to_datetime(),
            not_after: certificate.validity().not_after.to_datetime(),
        })
    }
}

/// SHA-256 of a `SubjectPublicKeyInfo` in DER, as 64 lowercase hexadecimal digits.
pub(crate) fn fingerprint(public_key_info: &[u8]) -> String {
    sha256(public_key_info).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The `SubjectPublicKeyInfo` of a PEM signing request that its own key has signed. Everything else in the request
/// (names, extensions) is a wish and is not looked at.
pub(crate) fn requested_key(csr_pem: &str) -> Result<Vec<u8>, CaError> {
    if csr_pem.len() > CSR_BYTES {
        return Err(CaError::Request);
    }
    let (_, pem) = x509_parser::pem::parse_x509_pem(csr_pem.as_bytes()).map_err(|_| CaError::Request)?;
    if pem.label != "CERTIFICATE REQUEST" && pem.label != "NEW CERTIFICATE REQUEST" {
        return Err(CaError::Request);
    }
    let (rest, request) = X509CertificationRequest::from_der(&pem.contents).map_err(|_| CaError::Request)?;
    if !rest.is_empty() {
        return Err(CaError::Request);
    }
    let key = &request.certification_request_info.subject_pki;
    if !is_strong(key) {
        return Err(CaError::WeakKey);
    }
    request.verify_signature().map_err(|_| CaError::RequestSignature)?;
    Ok(key.raw.to_vec())
}

/// RSA of 2048 to 4096 bits, or an elliptic curve of at least 256 bits.
fn is_strong(key: &SubjectPublicKeyInfo<'_>) -> bool {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => (2048..=4096).contains(&rsa.key_size()),
        Ok(PublicKey::EC(point)) => point.key_size() >= 256,
        // Ed25519 (RFC 8410) has one size, and its key is not parsed further
        _ => key.algorithm.algorithm.to_id_string() == "1.3.101.112",
    }
}
