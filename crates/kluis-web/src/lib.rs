//! The HTTPS edge: one file per URL noun, the console and the viewer.
//!
//! Every route stands in the one table [`ROUTES`]; the router is built from it and from nothing else. A handler gets a
//! [`Call`](call::Call) whose principal was proved, asks the gate of `kluis-archive` for a permit, and encodes what the
//! permit disclosed. May not contain: SQL, blobs, decisions about who may do what.

mod app;
mod body;
mod call;
mod compress;
mod console;
mod control;
mod errors;
mod headers;
mod health;
mod identity;
mod idle;
mod ledger;
pub mod limits;
mod listener;
mod metrics;
mod openapi;
mod routes;
mod session;
mod stay;
mod studies;
mod viewer;
mod worklist;

pub use app::{App, Settings};
pub use control::export::{ExportFrame, ExportReader, NoExport};
pub use listener::{ListenError, serve_control, serve_tls};
pub use routes::{Access, ROUTES, Route, router};
pub use viewer::{Viewer, ViewerError};
