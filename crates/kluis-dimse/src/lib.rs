//! DICOM upper layer (PS3.8) and DIMSE messages (PS3.7).
//!
//! Bytes become values in [`pdu`] and [`command`], rules become tables and pure functions in [`association`], and
//! [`driver`] is the only module that does IO: it reads, asks, and writes. What the messages mean is said by an
//! implementation of [`Services`], which lives in an edge.
//!
//! May not contain: storage, policy, TLS set-up, a listener.

pub mod association;
pub mod command;
pub mod driver;
pub mod limits;
pub mod pdu;
pub mod requestor;
mod services;
mod transport;

pub use services::{
    Admission, AssociationRequest, Body, EchoRequest, FindRequest, GetRequest, Match, Matches, MoveRequest,
    NormalizedRequest, NormalizedResponse, Notification, Object, Objects, Outcome, Refusal, Services, StoreRequest,
    StoreSink, Transfer, Transferred, Unreadable,
};
pub use transport::PromptTcp;
