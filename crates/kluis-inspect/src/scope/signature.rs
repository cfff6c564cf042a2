//! The signature over a scope: a signed note (<https://c2sp.org/signed-note>) beside the file.
//!
//! Whoever answers for the estate signs with a key of their own, and whoever runs the inspector trusts that key. The note's
//! first line can be no origin of a log, so that neither can be taken for the other.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{Read, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    digest::{SHA256, digest as hash},
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::prelude::{BASE64_STANDARD, Engine};
use kluis_ledger::{Signer, VerifierKey};

use super::ScopeError;
use crate::{InspectError, limits};

/// First line of the note's text.
const FORM: &str = "kluis-inspect-scope/1";
const VERIFIER_KEY: &str = "authority.vkey";

/// An Ed25519 key that signs scopes, or the log of one run.
pub struct SigningKey {
    name: String,
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl SigningKey {
    /// A new key with this name, and its text for a file.
    ///
    /// # Errors
    /// [`InspectError::Key`] where the name is none.
    pub fn generate(name: &str) -> Result<(Self, String), InspectError> {
        let mut seed = [0_u8; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| InspectError::Key)?;
        let text = format!("kluis-inspect-key/1 {name} {}\n", BASE64_STANDARD.encode(seed));
        Ok((Self::parse(&text)?, text))
    }

    /// The key of a file's text.
    ///
    /// # Errors
    /// [`InspectError::Key`].
    pub fn parse(text: &str) -> Result<Self, InspectError> {
        let mut words = text.trim_end().split(' ');
        let (Some("kluis-inspect-key/1"), Some(name), Some(seed), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(InspectError::Key);
        };
        let seed = BASE64_STANDARD.decode(seed).map_err(|_| InspectError::Key)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| InspectError::Key)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| InspectError::Key)?;
        let key = Self { name: name.to_owned(), pair, public };
        VerifierKey::new(name, public).map(|_| key).map_err(|_| InspectError::Key)
    }

    /// The key in a file.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn read(path: &Path) -> Result<Self, InspectError> {
        let bytes = read_bounded(path, limits::NOTE_BYTES)?;
        Self::parse(std::str::from_utf8(&bytes).map_err(|_| InspectError::Key)?)
    }

    /// The public half.
    ///
    /// # Errors
    /// [`InspectError::Key`].
    pub fn verifier(&self) -> Result<VerifierKey, InspectError> {
        VerifierKey::new(&self.name, self.public).map_err(|_| InspectError::Key)
    }
}

/// Makes `authority.key` and `authority.vkey` in a folder; the verifier key.
///
/// # Errors
/// [`InspectError`]; also where they exist.
pub fn write_key_pair(name: &str, folder: &Path) -> Result<String, InspectError> {
    let (key, text) = SigningKey::generate(name)?;
    let verifier = key.verifier()?.to_string();
    write_secret(&folder.join("authority.key"), &text)?;
    let path = folder.join(VERIFIER_KEY);
    let failed = |source| InspectError::File { act: "write", path: path.clone(), source };
    fs::write(&path, format!("{verifier}\n")).map_err(failed)?;
    Ok(verifier)
}

impl Signer for SigningKey {
    fn public_key(&self) -> [u8; 32] {
        self.public
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(self.pair.sign(message).as_ref()) {
            *to = *from;
        }
        bytes
    }
}

/// Where the note of a scope file stands.
#[must_use]
pub fn note_path(scope: &Path) -> PathBuf {
    beside(scope, ".note")
}

/// Where the key is looked for that is trusted when none is named.
fn key_path(scope: &Path) -> PathBuf {
    scope.with_file_name(VERIFIER_KEY)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(ending);
    path.with_file_name(name)
}

/// Signs a scope file and writes the note beside it.
///
/// # Errors
/// [`InspectError`]; a scope that would not be worked with is not signed.
pub fn sign(path: &Path, key: &SigningKey, now: time::OffsetDateTime) -> Result<PathBuf, InspectError> {
    let bytes = read_bounded(path, limits::SCOPE_BYTES)?;
    let verifier = key.verifier()?;
    match super::Scope::check(&bytes, &verifier.to_string(), now) {
        // signed today, valid tomorrow
        Ok(_) | Err(ScopeError::NotValid { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let note = verifier.seal(&text(&bytes), key);
    let to = note_path(path);
    let failed = |source| InspectError::File { act: "write", path: to.clone(), source };
    fs::write(&to, note).map_err(failed)?;
    Ok(to)
}

/// Checks the note beside a scope file; the verifier key that signed it.
pub(super) fn verify(path: &Path, bytes: &[u8], key: Option<&VerifierKey>) -> Result<String, InspectError> {
    let note = note_path(path);
    if !note.exists() {
        return Err(ScopeError::NotSigned(note.display().to_string()).into());
    }
    let beside_scope;
    let key = match key {
        Some(key) => key,
        None => {
            let place = key_path(path);
            if !place.exists() {
                return Err(ScopeError::NoKey(place.display().to_string()).into());
            }
            beside_scope = read_key(&place)?;
            &beside_scope
        }
    };
    let note = read_bounded(&note, limits::NOTE_BYTES)?;
    let note = String::from_utf8(note).map_err(|_| ScopeError::Signature("it is no text".to_owned()))?;
    let signed = key.open(&note).map_err(|error| ScopeError::Signature(error.to_string()))?;
    if signed == text(bytes) {
        Ok(key.to_string())
    } else {
        Err(ScopeError::Signature("it is over another file".to_owned()).into())
    }
}

/// The verifier key in a file.
///
/// # Errors
/// [`InspectError`].
pub fn read_key(path: &Path) -> Result<VerifierKey, InspectError> {
    let bytes = read_bounded(path, limits::NOTE_BYTES)?;
    let form = || InspectError::Form { path: path.to_owned(), expected: "verifier key" };
    let text = std::str::from_utf8(&bytes).map_err(|_| form())?;
    text.trim().parse().map_err(|_| form())
}

/// SHA-256 in hexadecimal digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    hash(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn text(bytes: &[u8]) -> String {
    format!("{FORM}\nsha256 {}\n", digest(bytes))
}

/// A whole file that is not longer than it may be.
pub(crate) fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, InspectError> {
    let failed = |source| InspectError::File { act: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(InspectError::Form { path: path.to_owned(), expected: "file of a length that is taken" });
    }
    Ok(bytes)
}

/// Writes a new file that only its owner can read.
///
/// # Errors
/// [`InspectError::File`]; also where it exists.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), InspectError> {
    let failed = |source| InspectError::File { act: "write", path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
