//! The words of the DICOM standard as types, and the bounded gate in front of untrusted bytes.
//!
//! May not contain: async, sockets, a clock, storage, policy.

mod ae_title;
pub mod attributes;
pub mod charset;
pub mod data_set;
pub mod date_time;
pub mod dictionary;
pub mod element_value;
pub mod file_meta;
mod fold;
pub mod frames;
pub mod identifier;
pub mod implementation;
pub mod json;
pub mod limits;
pub mod matching;
pub mod part10;
pub mod performed_step;
pub mod person_name;
mod phi;
pub mod query;
#[cfg(test)]
mod sample;
pub mod sop_class;
pub mod transcode;
pub mod transfer_syntax;
mod uid;
pub mod worklist;

pub use dicom_core::{Tag, VR};

pub use ae_title::{AeTitle, AeTitleError};
pub use charset::Charset;
pub use fold::fold;
pub use person_name::PersonName;
pub use phi::Phi;
pub use uid::{Uid, UidError};
