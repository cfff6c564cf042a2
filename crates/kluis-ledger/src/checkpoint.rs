//! Checkpoints: the signed head of a log (<https://c2sp.org/tlog-checkpoint>).

use base64::prelude::{BASE64_STANDARD, Engine};

use crate::{
    hash::Hash,
    note::{NoteError, VerifierKey},
};

/// Why a text is not the checkpoint of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The note around it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text inside the note has not the form of a checkpoint.
    #[error("the note holds no checkpoint")]
    Form,
    /// It is the checkpoint of another log.
    #[error("the checkpoint is of another log")]
    Origin,
}

/// The head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries it signs.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// The signed note as it is served.
    pub note: String,
}

impl Checkpoint {
    /// Checks a signed note: signature, form, and that the origin is the name of the key.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        let text = key.open(note)?;
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Form)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Form);
        };
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Form);
        }
        if origin != key.name() {
            return Err(CheckpointError::Origin);
        }
        let value: u64 = size.parse().map_err(|_| CheckpointError::Form)?;
        if value.to_string() != size {
            return Err(CheckpointError::Form);
        }
        let root = BASE64_STANDARD.decode(root).map_err(|_| CheckpointError::Form)?;
        let root = root.try_into().map_err(|_| CheckpointError::Form)?;
        Ok(Self { origin: origin.to_owned(), size: value, root, note: note.to_owned() })
    }

    /// The text that is signed, without the note around it.
    #[must_use]
    pub fn text(origin: &str, size: u64, root: &Hash) -> String {
        format!("{origin}\n{size}\n{}\n", BASE64_STANDARD.encode(root))
    }
}
