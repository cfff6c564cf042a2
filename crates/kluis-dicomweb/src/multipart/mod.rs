//! `multipart/related` payloads (PS3.18 8.6.1.2, RFC 2046 5.1, RFC 2387): a streaming [`Reader`] and a [`Writer`].

mod reader;
mod related;
mod writer;

pub use reader::{MultipartError, PartHeaders, Reader, Step};
pub use related::{Boundary, Related, RelatedError};
pub use writer::{PartHead, Writer};
