//! Secrets: made here, shown once, kept only as a hash.

use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use zeroize::Zeroizing;

use crate::{
    limits::{SECRET_BYTES, SECRET_TEXT_BYTES},
    record::SecretHash,
};

/// What the text of a bearer token begins with, so that a leaked one can be found by its looks.
pub(crate) const TOKEN_PREFIX: &str = "kluis_";

/// The text of a secret: to be shown or sent to its owner once. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// The random generator of the system failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random numbers")]
pub(crate) struct NoRandom;

impl Secret {
    /// A new secret of 32 random bytes, base64url behind the prefix, and its hash.
    pub(crate) fn generate(prefix: &str) -> Result<(Self, SecretHash), NoRandom> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| NoRandom)?;
        // long enough that pushing never moves the text and leaves a copy behind
        let mut text = Zeroizing::new(String::with_capacity(SECRET_TEXT_BYTES));
        text.push_str(prefix);
        BASE64_URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        let hash = hash_text(&text);
        Ok((Self(text), hash))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The hash under which a secret that was presented would be kept; `None` where it cannot be one of ours.
pub(crate) fn hash_presented(text: &str, prefix: &str) -> Option<SecretHash> {
    let encoded = text.strip_prefix(prefix)?;
    let is_ours = text.len() <= SECRET_TEXT_BYTES
        && encoded.len() == SECRET_BYTES.div_ceil(3) * 4 - 1
        && encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    is_ours.then(|| hash_text(text))
}

/// SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

fn hash_text(text: &str) -> SecretHash {
    SecretHash(sha256(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_never_twice_the_same() {
        let (first, first_hash) = Secret::generate(TOKEN_PREFIX).unwrap();
        let (second, second_hash) = Secret::generate(TOKEN_PREFIX).unwrap();
        assert_eq!(first.as_str().len(), 6 + 43);
        assert_ne!(first, second);
        assert_ne!(first_hash, second_hash);
        assert_eq!(hash_presented(first.as_str(), TOKEN_PREFIX), Some(first_hash));
    }

    #[test]
    fn what_is_not_ours_is_not_hashed() {
        let (secret, _) = Secret::generate(TOKEN_PREFIX).unwrap();
        let text = secret.as_str();
        let cases = ["", "kluis_", &text[6..], &text[..48], &format!("{text}A"), &text.replace("kluis_", "KLUIS_")];
        for case in cases {
            assert_eq!(hash_presented(case, TOKEN_PREFIX), None, "{}", case.len());
        }
        assert_eq!(hash_presented(&format!("{}\u{e9}", &text[..47]), TOKEN_PREFIX), None);
    }

    #[test]
    fn debug_shows_nothing() {
        let (secret, hash) = Secret::generate("").unwrap();
        assert_eq!(format!("{secret:?} {hash:?}"), "Secret(..) SecretHash(..)");
    }
}
