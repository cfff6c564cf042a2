//! What a verification found.

use std::fmt;

use serde::Serialize;

use crate::{hash::Hash, limits::FINDINGS};

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "finding")]
#[non_exhaustive]
pub enum Finding {
    /// These entries are not those that were signed.
    EntriesDiffer {
        /// The first of them.
        first: u64,
        /// How many there are at most.
        count: u64,
    },
    /// A bundle cannot be cut into its entries.
    BundleUnreadable {
        /// Its path.
        path: String,
        /// Its first entry.
        first: u64,
    },
    /// A file is not there.
    Missing {
        /// Its path.
        path: String,
    },
    /// A tile holds hashes that the entries do not have.
    TileDiffers {
        /// Its path.
        path: String,
        /// The first entry under the first hash that differs.
        first: u64,
    },
    /// The journal holds another entry than the bundle, or none where there must be one.
    JournalDiffers {
        /// Which entry.
        index: u64,
    },
    /// The root of what is on disk is not the one that was signed.
    CheckpointDiffers {
        /// Entries under the checkpoint.
        size: u64,
    },
    /// The checkpoint on disk is not the last that was signed.
    CheckpointReplaced {
        /// Entries under the one on disk.
        size: u64,
        /// Entries under the last that was signed.
        signed: u64,
    },
}

impl Finding {
    /// The first entry that the finding concerns, where it concerns one.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        match self {
            Self::EntriesDiffer { first, .. }
            | Self::BundleUnreadable { first, .. }
            | Self::TileDiffers { first, .. } => Some(*first),
            Self::JournalDiffers { index } => Some(*index),
            Self::CheckpointReplaced { size, .. } => Some(*size),
            Self::Missing { .. } | Self::CheckpointDiffers { .. } => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntriesDiffer { first, count: 1 } => write!(f, "entry {first} is not the one that was signed"),
            Self::EntriesDiffer { first, count } => {
                write!(f, "among the {count} entries from {first} on some are not those that were signed")
            }
            Self::BundleUnreadable { path, first } => write!(f, "{path} (from entry {first} on) is unreadable"),
            Self::Missing { path } => write!(f, "{path} is missing"),
            Self::TileDiffers { path, first } => write!(f, "{path} has another hash from entry {first} on"),
            Self::JournalDiffers { index } => write!(f, "the journal has another entry {index}, or none"),
            Self::CheckpointReplaced { size, signed } => {
                write!(f, "the checkpoint on disk signs {size} entries, the last that was signed {signed}")
            }
            Self::CheckpointDiffers { size } => write!(f, "the checkpoint over {size} entries signs another root"),
        }
    }
}

/// The result of [`Log::verify`](crate::Log::verify).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Which log.
    pub origin: String,
    /// Entries under the checkpoint, all of which were hashed anew.
    pub size: u64,
    /// Root that the checkpoint signs.
    #[serde(skip)]
    pub root: Hash,
    /// Entries that no checkpoint covers yet.
    pub unsigned_entries: u64,
    /// Bytes of entries that were hashed.
    pub entry_bytes: u64,
    /// Tiles and bundles that were compared.
    pub files: u64,
    /// What is wrong, the first [`FINDINGS`] of it.
    pub findings: Vec<Finding>,
    /// How much is wrong in all.
    pub findings_total: u64,
}

impl LogReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings_total == 0
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS {
            self.findings.push(finding);
        }
    }
}
