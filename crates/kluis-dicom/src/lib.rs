//! The words of the DICOM standard as types, and the bounded gate in front of untrusted bytes.
//!
//! May not contain: async, sockets, a clock, storage, policy.

mod ae_title;
pub mod attributes;
pub mod date_time;
pub mod dictionary;
pub mod file_meta;
mod fold;
pub mod frames;
pub mod limits;
pub mod matching;
pub mod part10;
mod phi;
pub mod query;
pub mod sop_class;
pub mod transfer_syntax;
mod uid;

pub use dicom_core::{Tag, VR};

pub use ae_title::{AeTitle, AeTitleError};
pub use fold::fold;
pub use phi::Phi;
pub use uid::{Uid, UidError};
