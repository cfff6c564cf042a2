//! Proof to [`Principal`](kluis_policy::Principal): client certificates, bearer tokens, browser sessions; enrolment; the
//! built-in authority. And what is to be had before and after the proof: a seat in the waiting room, a place of one's own.
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
mod pinned;
mod places;
mod record;
mod registrar;
mod secret;
mod source;
mod sparse;
#[cfg(test)]
mod testing;
pub mod tls;
mod waiting_room;

pub use authenticator::{Authenticator, Cause, NewSession, NotProved};
pub use backoff::Backoff;
pub use ca::{CaError, CertificateAuthority, IssuedCertificate};
pub use directory::{Directory, DirectoryError};
pub use places::{Place, Places, Room};
pub use record::{Device, EnrolmentCode, SecretHash, Session, Token, User};
pub use registrar::{DeviceKey, EnrolledDevice, NewCode, NewDevice, NewToken, Registrar, RegistrarError};
pub use secret::Secret;
pub use sparse::Sparse;
pub use waiting_room::{Guest, Seat, SendAway, WaitingRoom};
