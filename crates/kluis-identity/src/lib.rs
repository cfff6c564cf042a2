//! Proof to [`Principal`](kluis_policy::Principal): client certificates, bearer tokens, browser sessions; enrolment; the
//! built-in authority.
//!
//! What it may not do: know routes or DIMSE messages, read a clock (time is an argument), keep a secret. Of every secret
//! that it hands out only the SHA-256 hash is kept, and every failed proof looks the same from outside.

mod authenticator;
mod backoff;
pub mod ca;
mod cache;
mod certificate;
mod directory;
pub mod limits;
mod record;
mod registrar;
mod secret;
#[cfg(test)]
mod testing;
pub mod tls;

pub use authenticator::{Authenticator, Cause, NewSession, NotProved};
pub use backoff::Backoff;
pub use ca::{CaError, CertificateAuthority, IssuedCertificate};
pub use directory::{Directory, DirectoryError};
pub use record::{Device, EnrolmentCode, SecretHash, Session, Token, User};
pub use registrar::{DeviceKey, EnrolledDevice, NewCode, NewDevice, NewToken, Registrar, RegistrarError};
pub use secret::Secret;
