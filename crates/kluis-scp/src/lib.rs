//! The DIMSE edge: DICOM over mutually authenticated TLS (PS3.15 B.12), one module per service class.
//!
//! Bytes become messages in `kluis-dimse`; here a certificate becomes a principal, and each message one act that the
//! gate of `kluis-archive` admits or refuses. May not contain: SQL, blobs, decisions of policy, key material.

mod acceptor;
mod answer;
mod commitment;
mod connection;
mod device;
mod dialer;
mod find;
mod forward;
mod get;
pub mod limits;
mod listener;
mod performed_step;
mod query;
mod retrieve;
mod service;
mod statement;
mod status;
mod storage;
mod transfer;
mod verification;
mod worklist;

pub use device::{Edge, work};
pub use dialer::Dialer;
pub use listener::{Settings, serve};
pub use service::{SERVICES, Service};
pub use statement::statement;
