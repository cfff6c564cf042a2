//! What the directory keeps: devices, users, tokens, sessions, enrolment codes. Of secrets only hashes.
//!
//! All times are whole seconds (the storage keeps unix seconds), UTC.

use std::fmt;

use kluis_dicom::AeTitle;
use kluis_policy::{DeviceRights, Role};
use time::OffsetDateTime;

/// SHA-256 of the text of a secret as it was handed out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretHash(pub [u8; 32]);

impl fmt::Debug for SecretHash {
    /// A hash finds its row and so is a handle to it: not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// An enrolled device. Both `ae` and `key_fingerprint` are unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The label bound to the key.
    pub ae: AeTitle,
    /// SHA-256 of the certificate's `SubjectPublicKeyInfo` (DER), 64 lowercase hexadecimal digits.
    pub key_fingerprint: String,
    /// What it may do.
    pub rights: DeviceRights,
    /// HOST:PORT at which the device itself listens, where it does.
    pub address: Option<String>,
    /// The certificate that was issued.
    pub certificate_pem: String,
    /// When it was enrolled.
    pub created_at: OffsetDateTime,
    /// When the enrolment ends; the same as the end of the certificate.
    pub expires_at: OffsetDateTime,
}

/// A person. `name` is unique among users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// 1 to 64 characters of `[A-Za-z0-9._@-]`.
    pub name: String,
    /// The role.
    pub role: Role,
    /// For [`Role::Referrer`]: the Referring Physician's Name of the person's own studies.
    pub referring: Option<String>,
    /// When the person was added.
    pub created_at: OffsetDateTime,
}

/// A bearer token of a program. `name` is unique among tokens, and so is `hash`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// 1 to 64 characters of `[A-Za-z0-9._@-]`.
    pub name: String,
    /// The role.
    pub role: Role,
    /// For [`Role::Referrer`]: the Referring Physician's Name of the program's own studies.
    pub referring: Option<String>,
    /// Hash of the token.
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// The first second in which it is worth nothing.
    pub expires_at: OffsetDateTime,
}

/// A browser session. `hash` is unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Hash of the cookie.
    pub hash: SecretHash,
    /// Name of the user.
    pub user: String,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// The first second in which it is worth nothing, however busy it was.
    pub expires_at: OffsetDateTime,
    /// When it was last used, at most [`SESSION_TOUCH`](crate::limits::SESSION_TOUCH) behind.
    pub last_seen_at: OffsetDateTime,
}

/// A one-time code with which a person begins a session. `hash` is unique; a user has at most one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentCode {
    /// Hash of the code.
    pub hash: SecretHash,
    /// Name of the user.
    pub user: String,
    /// The first second in which it is worth nothing.
    pub expires_at: OffsetDateTime,
}
