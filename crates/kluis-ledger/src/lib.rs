//! Append-only logs in C2SP tlog-tiles form, checkpoints and proofs, and the audit event catalogue.
//!
//! A [`Log`] is an RFC 6962 Merkle tree over entries of at most 65,535 bytes. Its files are those of
//! <https://c2sp.org/tlog-tiles>, its head is a signed note (<https://c2sp.org/tlog-checkpoint>), so that any verifier of
//! these formats can check them without this program. [`proof`], [`checkpoint`] and [`note`] are pure and need no log.
//!
//! What it may not do: decide anything, or know what an entry means. Time is an argument; it reads no clock.

mod appending;
pub mod checkpoint;
mod departure;
mod edge;
mod error;
pub mod event;
mod files;
mod hash;
mod journal;
pub mod limits;
mod log;
pub mod note;
mod opening;
mod path;
pub mod proof;
mod publishing;
mod report;
mod statement;
mod storage;
mod tree;
mod verification;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use departure::departure;
pub use error::LedgerError;
pub use hash::{Hash, empty_root, leaf_hash, node_hash};
pub use log::{Log, Recovery};
pub use note::{Signer, VerifierKey};
pub use path::{TileKind, TilePath};
pub use report::{Finding, LogReport};
pub use statement::ExportStatement;
pub use storage::{LogFile, Storage};
pub use tree::{NodeSource, consistency_proof, inclusion_proof, root};

#[cfg(test)]
mod tests;
