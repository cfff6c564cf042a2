//! What can go wrong for a whole run. What goes wrong with one host is a result of the run, not an error.

use std::path::PathBuf;

use kluis_ledger::LedgerError;

use crate::scope::ScopeError;

/// Why a command of the inspector ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The scope does not allow it.
    #[error("{0}")]
    Scope(#[from] ScopeError),
    /// A file could not be read or written.
    #[error("cannot {act} {}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is no {expected}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The log of probes failed.
    #[error("the log of probes failed: {0}")]
    Ledger(#[from] LedgerError),
    /// The folder holds the scan of another scope, or one that is finished.
    #[error("{} holds a scan that is finished or of another scope: use another folder", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
    },
    /// The library of cryptography refused.
    #[error("a key could not be made or read")]
    Key,
}

impl InspectError {
    /// Whether it is the one who asked who should do otherwise.
    #[must_use]
    pub fn is_wrong_use(&self) -> bool {
        matches!(self, Self::Scope(_) | Self::Form { .. } | Self::Folder { .. })
    }
}
