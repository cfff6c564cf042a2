//! The key ring: what one node holds open while it runs.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::{
    KeyId, KeyTable, KeysError, LogSigner, RootProvider, StudyKeys,
    crypto::{self, Secret, Wrapper},
    files, root,
    study::StudyWrapping,
    tenant::Tenant,
};

/// The tenant's keys, unwrapped, and the directory they came from.
pub struct KeyRing {
    directory: PathBuf,
    secret: Secret,
    ids: hmac::Key,
    current: u32,
    sealing: BTreeMap<u32, Secret>,
    study_wrapping: Arc<StudyWrapping>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("directory", &self.directory)
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

const SEAL_FORMAT: u8 = 1;

impl KeyRing {
    /// Makes a key ring in `keys_dir` (made with mode 0700 where missing; its parent must exist): the root key of the
    /// provider, and `tenant.json` with a new tenant secret and key version 1. All files have mode 0600 and are durable
    /// on return.
    ///
    /// # Errors
    /// [`KeysError::Exists`] where there is a key ring already; [`KeysError::PassphraseTooShort`];
    /// [`KeysError::TooOpen`]; [`KeysError::Io`].
    pub fn create(keys_dir: &Path, provider: &RootProvider) -> Result<Self, KeysError> {
        files::make_directory(keys_dir)?;
        let path = Tenant::path(keys_dir);
        if files::read(&path)?.is_some() {
            return Err(KeysError::Exists { path });
        }
        let root = root::create(keys_dir, provider)?;
        Self::from_tenant(keys_dir, Tenant::create(keys_dir, &root)?)
    }

    /// Opens the key ring of `keys_dir`.
    ///
    /// # Errors
    /// [`KeysError::WrongPassphrase`]; [`KeysError::WrongRootKey`]; [`KeysError::FileMissing`];
    /// [`KeysError::TooOpen`] where a file or the directory can be read by others; [`KeysError::Damaged`].
    pub fn open(keys_dir: &Path, provider: &RootProvider) -> Result<Self, KeysError> {
        files::check_directory(keys_dir)?;
        let root = root::open(keys_dir, provider)?;
        Self::from_tenant(keys_dir, Tenant::open(keys_dir, &root)?)
    }

    /// The id of the key for a thing: opaque, the same at every call, and of no use to find the name without the ring.
    #[must_use]
    pub fn key_id(&self, purpose: &str, name: &[u8]) -> KeyId {
        KeyId(crypto::mac(&self.ids, &[purpose.as_bytes(), &[0], name]))
    }

    /// A key for a purpose such as `index/1`: the same at every call, also after the tenant key was rotated.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        crypto::subkey(&self.secret, &[b"derive/1/", purpose.as_bytes()])
    }

    /// Seals a small secret (a seed, a private key) for a purpose, under the current tenant key.
    ///
    /// # Errors
    /// [`KeysError::Crypto`].
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, KeysError> {
        let sealed = self.sealer(purpose, self.current)?.seal(&seal_associated(purpose, self.current), plain);
        let sealed = sealed.ok_or(KeysError::Crypto { operation: "seal" })?;
        Ok([[SEAL_FORMAT].as_slice(), &self.current.to_be_bytes(), &sealed].concat())
    }

    /// Opens what [`seal`](Self::seal) made for the same purpose, under whichever tenant key version it names.
    ///
    /// # Errors
    /// [`KeysError::Sealed`] where it was altered or is for another purpose; [`KeysError::UnknownVersion`].
    pub fn open_sealed(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let refused = || KeysError::Sealed { purpose: purpose.into() };
        let Some(([SEAL_FORMAT, version @ ..], rest)) = sealed.split_first_chunk::<5>() else { return Err(refused()) };
        let version = u32::from_be_bytes(*version);
        self.sealer(purpose, version)?.open(&seal_associated(purpose, version), rest).ok_or_else(refused)
    }

    /// Reads `NAME.sealed` of the keys directory; `None` where there is none.
    ///
    /// # Errors
    /// [`KeysError::Name`]; [`KeysError::Sealed`]; [`KeysError::TooOpen`]; [`KeysError::Io`].
    pub fn read_sealed_file(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeysError> {
        match files::read(&self.sealed_path(name)?)? {
            Some(bytes) => self.open_sealed(&file_purpose(name), &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Writes `NAME.sealed` of the keys directory as a whole; durable on return.
    ///
    /// # Errors
    /// [`KeysError::Name`]; [`KeysError::Io`].
    pub fn write_sealed_file(&self, name: &str, plain: &[u8]) -> Result<(), KeysError> {
        files::write(&self.sealed_path(name)?, &self.seal(&file_purpose(name), plain)?)
    }

    /// The signer of a log: its seed is kept in `NAME.sealed`, and made at the first call.
    ///
    /// # Errors
    /// Those of [`read_sealed_file`](Self::read_sealed_file) and [`write_sealed_file`](Self::write_sealed_file).
    pub fn log_signer(&self, name: &str) -> Result<LogSigner, KeysError> {
        if let Some(seed) = self.read_sealed_file(name)? {
            let seed = seed.as_slice().try_into().map_err(|_| KeysError::Sealed { purpose: name.into() })?;
            return LogSigner::from_seed(seed);
        }
        let seed = crypto::random_secret();
        self.write_sealed_file(name, seed.as_slice())?;
        LogSigner::from_seed(&seed)
    }

    /// The study keys of a table.
    #[must_use]
    pub fn study_keys(&self, table: Arc<dyn KeyTable>) -> StudyKeys {
        StudyKeys::new(Arc::clone(&self.study_wrapping), table)
    }

    fn from_tenant(keys_dir: &Path, tenant: Tenant) -> Result<Self, KeysError> {
        let study_wrapping = Arc::new(StudyWrapping::new(&tenant)?);
        let ids = hmac::Key::new(hmac::HMAC_SHA256, crypto::subkey(&tenant.secret, &[b"key ids/1"]).as_slice());
        let sealing = tenant.versions.iter().map(|(version, key)| (*version, crypto::subkey(key, &[b"tenant/seal/1"])));
        Ok(Self {
            directory: keys_dir.into(),
            sealing: sealing.collect(),
            secret: tenant.secret,
            ids,
            current: tenant.current,
            study_wrapping,
        })
    }

    fn sealer(&self, purpose: &str, version: u32) -> Result<Wrapper, KeysError> {
        let key = self.sealing.get(&version).ok_or(KeysError::UnknownVersion { version })?;
        Wrapper::new(&crypto::subkey(key, &[purpose.as_bytes()])).ok_or(KeysError::Crypto { operation: "key set-up" })
    }

    fn sealed_path(&self, name: &str) -> Result<PathBuf, KeysError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
            return Err(KeysError::Name);
        }
        Ok(self.directory.join(format!("{name}.sealed")))
    }
}

fn seal_associated(purpose: &str, version: u32) -> Vec<u8> {
    [b"kluis/seal/1".as_slice(), &version.to_be_bytes(), purpose.as_bytes()].concat()
}

fn file_purpose(name: &str) -> String {
    format!("file/{name}")
}
