//! Why a log did not do what was asked.

use std::io;

/// Why a log did not do what was asked. No message holds a byte of an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The file system failed.
    #[error("cannot {act} {file}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// Name of the file inside the log.
        file: String,
        /// How it failed.
        source: io::Error,
    },
    /// Another process has the log open.
    #[error("the log is open in another process")]
    Locked,
    /// An origin or key name must be 1 to 255 bytes without spaces, control characters and plus signs.
    #[error("the origin is not a usable key name")]
    Origin,
    /// The verifier key on disk is of another key or name than the signer's.
    #[error("the verifier key file names another key than the one that signs this log")]
    KeyDiffers,
    /// The signer gave a signature that its own public key does not confirm.
    #[error("the signer's signature does not match its public key")]
    SignerBroken,
    /// A file that must be there is not.
    #[error("{0} is missing")]
    Missing(String),
    /// A file is not what it must be.
    #[error("{file} is damaged at entry {index}")]
    Damaged {
        /// Name of the file inside the log.
        file: String,
        /// The first entry that it concerns.
        index: u64,
    },
    /// The checkpoint on disk is not a checkpoint of this log signed by its key.
    #[error("the checkpoint on disk is not this log's: {0}")]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// Fewer entries are on disk than the checkpoint signs.
    #[error("the checkpoint signs {checkpoint} entries, but only {entries} are on disk")]
    Truncated {
        /// Entries on disk.
        entries: u64,
        /// Entries under the checkpoint.
        checkpoint: u64,
    },
    /// The checkpoint is older than what had been made durable under a later one.
    #[error("the checkpoint signs {checkpoint} entries, but a later one had signed at least {journal}")]
    RolledBack {
        /// Entries under the checkpoint on disk.
        checkpoint: u64,
        /// Entries that the journal no longer repeats because a checkpoint covered them.
        journal: u64,
    },
    /// The entries or tiles on disk do not hash to the root of the checkpoint.
    #[error("entries and tiles on disk contradict the checkpoint, first at entry {index}")]
    Contradiction {
        /// The first entry that differs, or the size of the checkpoint where only its root differs.
        index: u64,
    },
    /// An entry is longer than 65,535 bytes.
    #[error("entry {position} of the batch is longer than 65535 bytes")]
    EntryTooLong {
        /// Its position in the batch.
        position: usize,
    },
    /// A batch, or a range that was asked for, is over its limit.
    #[error("too many entries at once")]
    TooMany,
    /// An index or a size is not inside the log.
    #[error("no such entry or size in the log")]
    OutOfRange,
    /// An earlier write failed half-way and could not be undone, or a flush failed: the log must be opened anew.
    #[error("the log failed earlier and must be opened anew")]
    Failed,
}

impl LedgerError {
    /// For `map_err`: what was tried with which file.
    pub(crate) fn io(act: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { act, file: file.to_owned(), source }
    }
}
