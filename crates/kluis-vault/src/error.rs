//! What can go wrong in a vault.

use std::io;

use kluis_keys::KeysError;

use crate::{Location, RecordPart};

/// Why an object could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// No room: nothing of the object was kept.
    #[error("the storage is full")]
    StorageFull,
    /// A file operation failed. After a write or sync, nothing of the objects concerned counts as kept.
    #[error("{operation} failed")]
    Io {
        /// What was tried: `write`, `sync`, …
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes stored are not those that were written.
    #[error("record in {location} is damaged: {part}")]
    Damaged {
        /// The record.
        location: Location,
        /// Where in it.
        part: RecordPart,
    },
    /// There is no such pack.
    #[error("no pack for record in {location}")]
    NoPack {
        /// The record asked for.
        location: Location,
    },
    /// The record was sealed for another study than the key's.
    #[error("record in {location} belongs to another key")]
    OtherKey {
        /// The record.
        location: Location,
    },
    /// The range asked for is not within the object, or longer than one read may be.
    #[error("bytes {from} to {to} are not to be had from an object of {length} bytes")]
    Range {
        /// First byte.
        from: u64,
        /// Behind the last byte.
        to: u64,
        /// The object's length.
        length: u64,
    },
    /// More metadata than a record may carry ([`METADATA_BYTES`](crate::METADATA_BYTES)).
    #[error("metadata of {length} bytes is longer than a record may carry")]
    MetadataTooLong {
        /// Its length.
        length: usize,
    },
    /// A longer object than a record may hold ([`OBJECT_BYTES`](crate::OBJECT_BYTES)).
    #[error("the object is longer than a record may be")]
    ObjectTooLong,
    /// An earlier write of this object failed or was given up.
    #[error("an earlier write of this object failed")]
    Broken,
    /// The study key failed.
    #[error("object key")]
    Keys(#[from] KeysError),
    /// The cryptographic library or the compressor refused; not caused by any input.
    #[error("{operation} failed")]
    Library {
        /// The operation.
        operation: &'static str,
    },
    /// The vault's writer has ended, or a read was given up because the runtime is stopping.
    #[error("the vault is closed")]
    Closed,
}

impl VaultError {
    pub(crate) fn io(operation: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::StorageFull
            }
            _ => Self::Io { operation, source },
        }
    }
}
