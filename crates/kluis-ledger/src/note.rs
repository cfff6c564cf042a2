//! Signed notes (<https://c2sp.org/signed-note>), with the one kind of signature that our logs use: Ed25519, type 0x01.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine};

use crate::{
    hash::hash_parts,
    limits::{NAME_BYTES, NOTE_BYTES},
};

const ED25519_TYPE: u8 = 1;

/// Signs the checkpoints of one log. The secret stays with whoever implements this.
pub trait Signer: Send + Sync {
    /// The Ed25519 public key (RFC 8032).
    fn public_key(&self) -> [u8; 32];

    /// The Ed25519 signature of a message.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// Why a note is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// The text has not the form of a note.
    #[error("this is no signed note")]
    Form,
    /// No signature of the key that is asked for.
    #[error("the note is not signed by this key")]
    NotSigned,
    /// A signature of the key is wrong.
    #[error("the signature of the note is wrong")]
    Signature,
    /// The text is no verifier key.
    #[error("this is no verifier key of the form name+hash+key")]
    VerifierKey,
}

/// The public half of a log's key, with its name: `<name>+<hash>+<base64>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public_key: [u8; 32],
}

impl VerifierKey {
    /// A key with a name of 1 to 255 bytes, without spaces, control characters and plus signs.
    ///
    /// # Errors
    /// [`NoteError::VerifierKey`] where the name is none.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, NoteError> {
        let is_name = (1..=NAME_BYTES).contains(&name.len())
            && name.chars().all(|c| c != '+' && !c.is_whitespace() && !c.is_control());
        if is_name { Ok(Self { name: name.to_owned(), public_key }) } else { Err(NoteError::VerifierKey) }
    }

    /// The name, which for a log is its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// The first four bytes of `SHA-256(name || 0x0A || 0x01 || public key)`.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hash = hash_parts(&[self.name.as_bytes(), b"\n", &[ED25519_TYPE], &self.public_key]);
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }

    /// Checks the note and returns its text with the closing newline. Signatures of other keys are passed over.
    ///
    /// # Errors
    /// [`NoteError::Form`], [`NoteError::NotSigned`], [`NoteError::Signature`].
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        if note.len() > NOTE_BYTES || note.chars().any(|c| c < ' ' && c != '\n') || !note.ends_with('\n') {
            return Err(NoteError::Form);
        }
        let separator = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, rest) = note.split_at_checked(separator + 1).ok_or(NoteError::Form)?;
        let mut is_signed = false;
        for line in rest.strip_prefix('\n').unwrap_or(rest).lines() {
            let (name, signature) =
                line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' ')).ok_or(NoteError::Form)?;
            let bytes = BASE64_STANDARD.decode(signature).map_err(|_| NoteError::Form)?;
            let (id, signature) = bytes.split_at_checked(4).ok_or(NoteError::Form)?;
            if name != self.name || id != self.id() {
                continue;
            }
            UnparsedPublicKey::new(&ED25519, self.public_key)
                .verify(text.as_bytes(), signature)
                .map_err(|_| NoteError::Signature)?;
            is_signed = true;
        }
        if is_signed { Ok(text) } else { Err(NoteError::NotSigned) }
    }

    /// The note: the text, which must end in a newline, an empty line, and one signature line.
    #[must_use]
    pub fn seal(&self, text: &str, signer: &dyn Signer) -> String {
        let mut signature = self.id().to_vec();
        signature.extend_from_slice(&signer.sign(text.as_bytes()));
        format!("{text}\n\u{2014} {} {}\n", self.name, BASE64_STANDARD.encode(signature))
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(&self.public_key);
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), BASE64_STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // base64 may hold plus signs, a name and a hash may not
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey);
        };
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| NoteError::VerifierKey)?;
        let Some((&ED25519_TYPE, public_key)) = bytes.split_first() else { return Err(NoteError::VerifierKey) };
        let public_key = public_key.try_into().map_err(|_| NoteError::VerifierKey)?;
        let key = Self::new(name, public_key)?;
        if format!("{:08x}", u32::from_be_bytes(key.id())) == hash { Ok(key) } else { Err(NoteError::VerifierKey) }
    }
}
