//! The few cryptographic operations of this crate, with fixed algorithms, so that nothing above chooses one.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey},
    hmac, rand,
};
use zeroize::Zeroizing;

/// Length of a wrapped 32-byte key: nonce, ciphertext, tag.
pub(crate) const WRAPPED_LEN: usize = 12 + 32 + 16;

/// A 256-bit secret that is wiped when dropped.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// Random bytes from the library's generator.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if rand::fill(&mut bytes).is_err() {
        // Without randomness every key made from here on would be worthless; there is nothing to go on with.
        std::process::abort();
    }
    bytes
}

/// A new random secret.
pub(crate) fn random_secret() -> Secret {
    Zeroizing::new(random())
}

/// HKDF-SHA256 (RFC 5869) for one block of output: the subkey of `secret` for `info`.
pub(crate) fn subkey(secret: &[u8; 32], info: &[&[u8]]) -> Secret {
    hkdf(b"kluis/1", secret, info)
}

fn hkdf(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Secret {
    let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), secret);
    let key = hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref());
    let mut context = hmac::Context::with_key(&key);
    for part in info {
        context.update(part);
    }
    context.update(&[1]);
    Zeroizing::new(digest(&context.sign()))
}

/// HMAC-SHA256.
pub(crate) fn mac(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    digest(&context.sign())
}

fn digest(tag: &hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    bytes
}

/// AES-256-GCM-SIV (RFC 8452) with random nonces: wraps keys and seals small values. Does not fall apart when a nonce
/// repeats.
pub(crate) struct Wrapper(RandomizedNonceKey);

impl Wrapper {
    /// `None` only when the library refuses a 32-byte key.
    pub(crate) fn new(key: &[u8; 32]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM_SIV, key).ok().map(Self)
    }

    /// Nonce, ciphertext, tag.
    pub(crate) fn seal(&self, associated: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = Zeroizing::new(plain.to_vec());
        let (nonce, tag) = self.0.seal_in_place_separate_tag(Aad::from(associated), &mut buffer).ok()?;
        Some([nonce.as_ref(), buffer.as_slice(), tag.as_ref()].concat())
    }

    /// The plain bytes, or `None` when anything was altered.
    pub(crate) fn open(&self, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_first_chunk::<12>()?;
        let mut buffer = Zeroizing::new(rest.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::from(associated), &mut buffer).ok()?.len();
        buffer.truncate(length);
        Some(buffer)
    }

    /// Wraps a key: always [`WRAPPED_LEN`] bytes.
    pub(crate) fn wrap(&self, associated: &[u8], key: &[u8; 32]) -> Option<[u8; WRAPPED_LEN]> {
        self.seal(associated, key)?.try_into().ok()
    }

    /// Unwraps a key.
    pub(crate) fn unwrap(&self, associated: &[u8], wrapped: &[u8]) -> Option<Secret> {
        let plain = self.open(associated, wrapped)?;
        plain.as_slice().try_into().ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 5869, test cases 1 and 3: the first 32 bytes of output.
    #[test]
    fn hkdf_gives_the_published_values() {
        let cases = [
            (
                "000102030405060708090a0b0c",
                "f0f1f2f3f4f5f6f7f8f9",
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
            ),
            ("", "", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"),
        ];
        for (salt, info, output) in cases {
            let key = hkdf(&bytes(salt), &[0x0b; 22], &[&bytes(info)]);
            assert_eq!(key.to_vec(), bytes(output));
        }
    }

    #[test]
    fn wrapped_key_opens_only_whole_and_in_its_place() {
        let wrapper = Wrapper::new(&[7; 32]).unwrap();
        let wrapped = wrapper.wrap(b"place", &[9; 32]).unwrap();
        assert_eq!(wrapper.unwrap(b"place", &wrapped).unwrap().to_vec(), [9; 32]);
        assert!(wrapper.unwrap(b"other", &wrapped).is_none());
        assert!(Wrapper::new(&[8; 32]).unwrap().unwrap(b"place", &wrapped).is_none());
        for at in 0..wrapped.len() {
            let mut altered = wrapped;
            altered[at] ^= 1;
            assert!(wrapper.unwrap(b"place", &altered).is_none(), "byte {at}");
            assert!(wrapper.unwrap(b"place", &wrapped[..at]).is_none(), "cut at {at}");
        }
        assert_ne!(wrapper.wrap(b"place", &[9; 32]).unwrap(), wrapped, "nonces are random");
    }
}
