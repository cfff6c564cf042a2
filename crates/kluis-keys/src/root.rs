//! The root key and where it comes from.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    KeysError,
    crypto::{self, Secret},
    files, limits,
};

/// Where the root key comes from.
#[derive(Clone)]
pub enum RootProvider {
    /// A file that holds the key itself: made by [`KeyRing::create`](crate::KeyRing::create) unless it exists already
    /// (a key put there by the operator or by systemd is taken as it is).
    KeyFile(PathBuf),
    /// A passphrase, stretched with Argon2id; salt and cost are kept in `root.json` of the keys directory.
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for RootProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyFile(path) => f.debug_tuple("KeyFile").field(path).finish(),
            Self::Passphrase(_) => f.write_str("Passphrase(..)"),
        }
    }
}

const KEY_FILE_TITLE: &str = "kluis root key 1";
const PASSPHRASE_FILE: &str = "root.json";

/// The root key for a new key ring.
pub(crate) fn create(keys_dir: &Path, provider: &RootProvider) -> Result<Secret, KeysError> {
    match provider {
        RootProvider::KeyFile(path) => match read_key_file(path)? {
            Some(key) => Ok(key),
            None => create_key_file(path),
        },
        RootProvider::Passphrase(passphrase) => {
            let path = keys_dir.join(PASSPHRASE_FILE);
            match files::read(&path)? {
                // Left by a set-up that did not end.
                Some(bytes) => PassphraseFile::parse(&path, &bytes)?.root_key(&path, passphrase),
                None => create_passphrase_file(&path, passphrase),
            }
        }
    }
}

/// The root key of an existing key ring.
pub(crate) fn open(keys_dir: &Path, provider: &RootProvider) -> Result<Secret, KeysError> {
    match provider {
        RootProvider::KeyFile(path) => {
            read_key_file(path)?.ok_or_else(|| KeysError::FileMissing { path: path.clone() })
        }
        RootProvider::Passphrase(passphrase) => {
            let path = keys_dir.join(PASSPHRASE_FILE);
            let bytes = files::read(&path)?.ok_or_else(|| KeysError::FileMissing { path: path.clone() })?;
            PassphraseFile::parse(&path, &bytes)?.root_key(&path, passphrase)
        }
    }
}

/// Two lines: a title, and the base64 of the key and the first 4 bytes of its SHA-256.
fn create_key_file(path: &Path) -> Result<Secret, KeysError> {
    let key = crypto::random_secret();
    let mut bytes = Zeroizing::new(key.to_vec());
    bytes.extend(checksum(&key));
    let line = Zeroizing::new(BASE64.encode(bytes.as_slice()));
    let text = Zeroizing::new(format!("{KEY_FILE_TITLE}\n{}\n", line.as_str()));
    files::write(path, text.as_bytes())?;
    Ok(key)
}

fn read_key_file(path: &Path) -> Result<Option<Secret>, KeysError> {
    let Some(bytes) = files::read(path)? else { return Ok(None) };
    let damaged = |what| KeysError::Damaged { path: path.into(), what };
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged("not text"))?;
    let (title, line) = text.trim_end().split_once('\n').ok_or_else(|| damaged("not two lines"))?;
    if title.trim_end() != KEY_FILE_TITLE {
        return Err(damaged("not a root key of version 1"));
    }
    let value = Zeroizing::new(BASE64.decode(line.trim()).map_err(|_| damaged("the key is not base64"))?);
    let (key, sum) = value.split_first_chunk::<32>().ok_or_else(|| damaged("the key is too short"))?;
    let key = Zeroizing::new(*key);
    if sum != checksum(&key) {
        return Err(damaged("the checksum is wrong"));
    }
    Ok(Some(key))
}

fn checksum(key: &Secret) -> [u8; 4] {
    let digest = digest::digest(&digest::SHA256, key.as_slice());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// `root.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PassphraseFile {
    format: u32,
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    /// Tells a wrong passphrase from a damaged tenant file. Helps nobody who guesses: the wrapped tenant keys would do.
    check: String,
}

const PASSPHRASE_FORMAT: u32 = 1;
const PASSPHRASE_ALGORITHM: &str = "argon2id";

fn create_passphrase_file(path: &Path, passphrase: &str) -> Result<Secret, KeysError> {
    if passphrase.chars().count() < limits::PASSPHRASE_CHARS {
        return Err(KeysError::PassphraseTooShort { least: limits::PASSPHRASE_CHARS });
    }
    let mut file = PassphraseFile {
        format: PASSPHRASE_FORMAT,
        algorithm: PASSPHRASE_ALGORITHM.into(),
        memory_kib: limits::ARGON2_MEMORY_KIB.1,
        passes: limits::ARGON2_PASSES.1,
        lanes: limits::ARGON2_LANES.1,
        salt: BASE64.encode(crypto::random::<16>()),
        check: String::new(),
    };
    let key = file.stretch(path, passphrase)?;
    file.check = BASE64.encode(check_value(&key));
    let text = serde_json::to_vec_pretty(&file).map_err(|_| KeysError::Crypto { operation: "encode root.json" })?;
    files::write(path, &text)?;
    Ok(key)
}

impl PassphraseFile {
    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, KeysError> {
        let damaged = |what| KeysError::Damaged { path: path.into(), what };
        let file: Self = serde_json::from_slice(bytes).map_err(|_| damaged("not a passphrase file"))?;
        if file.format != PASSPHRASE_FORMAT || file.algorithm != PASSPHRASE_ALGORITHM {
            return Err(damaged("of an unknown format"));
        }
        let costs = [
            (file.memory_kib, limits::ARGON2_MEMORY_KIB),
            (file.passes, limits::ARGON2_PASSES),
            (file.lanes, limits::ARGON2_LANES),
        ];
        if costs.into_iter().any(|(cost, (least, _, most))| cost < least || cost > most) {
            return Err(damaged("its Argon2id cost is outside the accepted range"));
        }
        Ok(file)
    }

    fn root_key(&self, path: &Path, passphrase: &str) -> Result<Secret, KeysError> {
        let key = self.stretch(path, passphrase)?;
        let check = BASE64.decode(&self.check).map_err(|_| self.damaged(path, "its check value is not base64"))?;
        verify_slices_are_equal(check_value(&key).as_slice(), &check).map_err(|_| KeysError::WrongPassphrase)?;
        Ok(key)
    }

    fn stretch(&self, path: &Path, passphrase: &str) -> Result<Secret, KeysError> {
        let salt = BASE64.decode(&self.salt).map_err(|_| self.damaged(path, "its salt is not base64"))?;
        if salt.len() < 16 {
            return Err(self.damaged(path, "its salt is too short"));
        }
        let failed = |_| KeysError::Crypto { operation: "argon2id" };
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(failed)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &salt, key.as_mut_slice())
            .map_err(failed)?;
        Ok(key)
    }

    fn damaged(&self, path: &Path, what: &'static str) -> KeysError {
        KeysError::Damaged { path: path.into(), what }
    }
}

fn check_value(key: &Secret) -> Secret {
    crypto::subkey(key, &[b"root/check/1"])
}
