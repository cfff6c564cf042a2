//! What can go wrong with keys.

use std::{io, path::PathBuf};

use crate::KeyId;

/// Why a key could not be made, read or used. No variant carries key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The passphrase is not the one the root key was made with.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// The passphrase for a new root key is too short.
    #[error("a passphrase has at least {least} characters")]
    PassphraseTooShort {
        /// The least number of characters.
        least: usize,
    },
    /// A key file is not there.
    #[error("key file {path} is missing; without it nothing in this archive can be read")]
    FileMissing {
        /// The file.
        path: PathBuf,
    },
    /// A key file or the keys directory can be read or written by others.
    #[error("{path} has mode {mode:04o}, so others can get at it; run: chmod {wanted:o} {path}")]
    TooOpen {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits it must have.
        wanted: u32,
    },
    /// A key file does not hold what it should.
    #[error("key file {path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The tenant's keys were wrapped under another root key.
    #[error("{path} was made with another root key, or is damaged")]
    WrongRootKey {
        /// The tenant file.
        path: PathBuf,
    },
    /// A key ring was to be made where there is one.
    #[error("{path} exists; a key ring is never made over another")]
    Exists {
        /// The tenant file.
        path: PathBuf,
    },
    /// The name of a sealed file is not of `a-z`, `0-9` and `-`, 1 to 64 characters.
    #[error("a sealed file's name has 1 to 64 characters of a-z, 0-9 and -")]
    Name,
    /// The argument of a file operation, or the operation, failed.
    #[error("{operation} {path}")]
    Io {
        /// What was tried: `read`, `write`, …
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A sealed value is altered, cut short, or was sealed for another purpose.
    #[error("sealed value for {purpose} does not open")]
    Sealed {
        /// What it was to be opened for.
        purpose: String,
    },
    /// A wrapped study key is altered, or belongs to another id or tenant.
    #[error("wrapped study key {id} does not open")]
    StudyKey {
        /// The study key's id.
        id: KeyId,
    },
    /// A wrapped key or sealed value names a tenant key version that this ring does not hold.
    #[error("tenant key version {version} is not in the key ring")]
    UnknownVersion {
        /// The version named.
        version: u32,
    },
    /// A wrapped object key is altered, or belongs to another object or study.
    #[error("wrapped object key does not open")]
    ObjectKey,
    /// The key table failed.
    #[error("key table")]
    Table(#[from] KeyTableError),
    /// The cryptographic library refused; not caused by any input.
    #[error("cryptographic operation {operation} failed")]
    Crypto {
        /// The operation.
        operation: &'static str,
    },
}

/// Why the key table could not answer.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed")]
pub struct KeyTableError {
    /// What was tried: `get`, `put`, `destroy` or `list`.
    pub operation: &'static str,
    /// What the store said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
