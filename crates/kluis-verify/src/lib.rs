//! Checks exported studies and their proofs, far from the archive and without any network.
//!
//! It trusts nothing of what it reads: not the files, not the proof beside them, and not the key inside the proof. What it
//! trusts is the key that is given to it. The form of a proof is in `docs/book/proof.md`. It shares no code with what
//! makes proofs but the hashing and the signatures of `kluis-ledger`.
//!
//! May not contain: network, async, keys of the archive. [`proof::parse`] takes any bytes, for fuzzing.

pub mod limits;
mod locate;
mod opening;
pub mod proof;
mod report;
mod source;
mod study;

pub use report::{Conclusion, ObjectReport, Report, Verdict};
pub use source::SourceError;
pub use study::{Trust, verify_study};
