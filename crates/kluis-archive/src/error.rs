//! What can go wrong below the edges.

use std::{io, sync::Arc};

use kluis_identity::DirectoryError;
use kluis_index::IndexError;
use kluis_keys::KeysError;
use kluis_ledger::{LedgerError, event::EventError};
use kluis_vault::VaultError;

/// A store failed, or what it holds is not what it must be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The vault failed.
    #[error("the vault failed")]
    Vault(#[from] VaultError),
    /// The index failed.
    #[error("the index failed")]
    Index(#[from] IndexError),
    /// A key could not be had.
    #[error("a key could not be had")]
    Keys(#[from] KeysError),
    /// A log failed.
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// An audit event could not be written down.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The directory of devices and people failed.
    #[error("the directory failed")]
    Directory(#[from] DirectoryError),
    /// The metadata of a record could be decrypted but not read.
    #[error("the metadata of a record cannot be read")]
    Record,
    /// The record at a place in the vault is not the one that the index names.
    #[error("the record at this place is not the one that the index names")]
    WrongRecord,
    /// The key of the study was destroyed.
    #[error("the key of the study was destroyed")]
    KeyDestroyed,
    /// The series has more instances than one manifest may hold; it stays as it is, in rows.
    #[error("the series is too long for one manifest")]
    SeriesTooLong,
    /// There is no memory for it now; later there will be.
    #[error("too much is under way; try again later")]
    Busy,
    /// A rebuild of the index did not come to its end.
    #[error("the index is not whole; it must be rebuilt")]
    IndexNotWhole,
    /// The archive is shutting down.
    #[error("the archive is shutting down")]
    Stopped,
    /// A failure that several callers share.
    #[error(transparent)]
    Shared(Arc<ArchiveError>),
}

impl ArchiveError {
    /// Whether the stored bytes themselves are at fault, so that trying again is of no use and what stands beside them can
    /// still be read.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Record | Self::WrongRecord | Self::KeyDestroyed => true,
            Self::Vault(error) => {
                matches!(error, VaultError::Damaged { .. } | VaultError::OtherKey { .. } | VaultError::NoPack { .. })
            }
            Self::Keys(error) => matches!(error, KeysError::StudyKey { .. } | KeysError::ObjectKey),
            Self::Shared(error) => error.is_damage(),
            _ => false,
        }
    }

    /// Whether a store has no room left.
    pub(crate) fn is_full(&self) -> bool {
        if let Self::Shared(error) = self {
            return error.is_full();
        }
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let is_full = matches!(error.downcast_ref(), Some(VaultError::StorageFull))
                || matches!(error.downcast_ref(), Some(IndexError::Full))
                || error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull);
            if is_full {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// The error with its causes in one line. None of them carries patient data.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
