//! PS3.18 messages both ways: query parameters, Accept, multipart/related, DICOM JSON answers.
//!
//! Pure: bytes and text in, values out, and back. May not contain: sockets, axum, storage, a clock, randomness.

pub mod accept;
pub mod dicom_json;
pub mod frame_list;
pub mod limits;
pub mod media_type;
pub mod multipart;
mod percent;
pub mod qido;
pub mod status;
pub mod stow;

pub use percent::{decode, encode_component};
