//! Ed25519 signatures for the logs' checkpoints.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::{KeysError, crypto};

/// Signs checkpoints of one log (Ed25519, RFC 8032).
pub struct LogSigner {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl LogSigner {
    /// The signer of a seed of 32 bytes.
    ///
    /// # Errors
    /// [`KeysError::Crypto`] where the library refuses the seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeysError> {
        let refused = KeysError::Crypto { operation: "ed25519 key set-up" };
        let Ok(pair) = Ed25519KeyPair::from_seed_unchecked(seed) else { return Err(refused) };
        let Ok(public) = <[u8; 32]>::try_from(pair.public_key().as_ref()) else { return Err(refused) };
        Ok(Self { pair, public })
    }

    /// A signer with a new seed, and the seed.
    ///
    /// # Errors
    /// [`KeysError::Crypto`].
    pub fn generate() -> Result<(Self, Zeroizing<[u8; 32]>), KeysError> {
        let seed = crypto::random_secret();
        Ok((Self::from_seed(&seed)?, seed))
    }

    /// The signature of 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(self.pair.sign(message).as_ref()) {
            *to = *from;
        }
        bytes
    }

    /// The public key of 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSigner").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn signature_holds_for_its_message_only() {
        let signer = LogSigner::generate().unwrap().0;
        let signature = signer.sign(b"checkpoint");
        let public = UnparsedPublicKey::new(&ED25519, signer.public_key());
        assert!(public.verify(b"checkpoint", &signature).is_ok());
        assert!(public.verify(b"checkpoinT", &signature).is_err());
    }

    /// RFC 8032 7.1, test 1.
    #[test]
    fn seed_gives_the_published_key() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let public = LogSigner::from_seed(&seed).unwrap().public_key();
        assert_eq!(public[..8], [0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7]);
    }
}
