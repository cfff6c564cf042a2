//! Statements over exports: the key of a log signs that a list of lines is what the node wrote out at that moment.
//!
//! A signed note like a checkpoint, whose first line can be no origin that this program gives a log, so that neither can be
//! taken for the other. It says less than the log does (who holds the key can sign anything), and is meant for what no
//! leaf can say: that the list is whole, and what the parts of each object hash to.

use base64::prelude::{BASE64_STANDARD, Engine};

use crate::{
    CheckpointError, LedgerError, Log, VerifierKey,
    hash::{Hash, hash_parts},
};

/// The first line of the text.
const FORM: &str = "kluis-export/1";

/// What was signed of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportStatement {
    /// The log whose key signed.
    pub origin: String,
    /// How many lines.
    pub lines: u64,
    /// [`ExportStatement::digest_of`] the hashes of the lines.
    pub digest: Hash,
}

impl ExportStatement {
    /// SHA-256 over the SHA-256 hashes of all lines, one after the other.
    #[must_use]
    pub fn digest_of(hashes: &[Hash]) -> Hash {
        hash_parts(&hashes.iter().map(<[u8; 32]>::as_slice).collect::<Vec<_>>())
    }

    /// SHA-256 of one line without its line end.
    #[must_use]
    pub fn line_hash(line: &[u8]) -> Hash {
        hash_parts(&[line])
    }

    /// Checks a signed note: signature, form, and that the origin is the name of the key.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        let text = key.open(note)?;
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Form)?.split('\n');
        let (Some(FORM), Some(origin), Some(count), Some(digest), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Form);
        };
        if origin != key.name() {
            return Err(CheckpointError::Origin);
        }
        let digest = BASE64_STANDARD.decode(digest).map_err(|_| CheckpointError::Form)?;
        let statement = Self {
            origin: origin.to_owned(),
            lines: count.parse().map_err(|_| CheckpointError::Form)?,
            digest: digest.try_into().map_err(|_| CheckpointError::Form)?,
        };
        if statement.text() == text { Ok(statement) } else { Err(CheckpointError::Form) }
    }

    fn text(&self) -> String {
        format!("{FORM}\n{}\n{}\n{}\n", self.origin, self.lines, BASE64_STANDARD.encode(self.digest))
    }
}

impl Log {
    /// Signs with the key of the log that these are the hashes of all lines of an export. Returns the signed note.
    ///
    /// # Errors
    /// [`LedgerError::SignerBroken`].
    pub fn sign_export(&self, line_hashes: &[Hash]) -> Result<String, LedgerError> {
        let statement = ExportStatement {
            origin: self.key.name().to_owned(),
            lines: line_hashes.len() as u64,
            digest: ExportStatement::digest_of(line_hashes),
        };
        let note = self.key.seal(&statement.text(), self.signer.as_ref());
        ExportStatement::open(&note, &self.key).map(|_| note).map_err(|_| LedgerError::SignerBroken)
    }
}
