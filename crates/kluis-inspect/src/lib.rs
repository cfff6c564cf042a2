//! The exposure inspector: finds what of an owner's estate lies open, proves how far a stranger would get without ever
//! reading a patient, and shows the trend.
//!
//! [`scope`] says where it may go and [`guard`] is the only way out: every connection passes it. [`run`] asks the peers,
//! [`scan`] is what it found; [`report`] writes it for people and programs, and [`compare`] holds two against each other.
//!
//! May not contain: the archive, the index, anything that keeps what a peer said of a patient.

mod check;
pub mod clock;
pub mod compare;
pub mod error;
mod fingerprint;
pub mod guard;
mod host;
mod identity;
pub mod import;
pub mod journal;
mod judge;
pub mod limits;
mod pace;
pub mod report;
pub mod rule;
pub mod run;
pub mod scan;
pub mod scope;
pub mod stop;
mod wire;

pub use error::InspectError;
