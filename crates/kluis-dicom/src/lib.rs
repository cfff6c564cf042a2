//! The words of the DICOM standard as types, and the bounded gate in front of untrusted bytes.
//!
//! May not contain: async, sockets, a clock, storage, policy.

mod ae_title;
mod fold;
mod phi;
mod uid;

pub use ae_title::{AeTitle, AeTitleError};
pub use fold::fold;
pub use phi::Phi;
pub use uid::{Uid, UidError};
