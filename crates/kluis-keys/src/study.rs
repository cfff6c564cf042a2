//! Study keys: one random key per study, wrapped in the key table, and what hangs on it.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::hmac;
use lru::LruCache;
use zeroize::Zeroizing;

use crate::{
    KeyId, KeyTable, KeysError, ObjectId, WrappedKey,
    crypto::{self, Secret, WRAPPED_LEN, Wrapper},
    limits,
    tenant::Tenant,
};

/// Length of a wrapped object key in bytes: nonce 12, ciphertext 32, tag 16.
pub const WRAPPED_OBJECT_KEY_LEN: usize = WRAPPED_LEN;

const WRAPPED_FORMAT: u8 = 1;

/// The key of one object's bytes. Random, used for one object only, so that its nonces can count.
pub struct ObjectKey(Secret);

impl ObjectKey {
    /// A new key.
    #[must_use]
    pub fn random() -> Self {
        Self(crypto::random_secret())
    }

    /// The 32 bytes, for an AES-256 key set-up.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectKey(..)")
    }
}

/// The key of one study.
pub struct StudyKey {
    id: KeyId,
    objects: Wrapper,
    commitment: Secret,
    commitments: hmac::Key,
}

impl fmt::Debug for StudyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StudyKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl StudyKey {
    fn new(id: KeyId, secret: &Secret) -> Result<Self, KeysError> {
        let objects = Wrapper::new(&crypto::subkey(secret, &[b"study/objects/1"]));
        let commitment = crypto::subkey(secret, &[b"study/commit/1"]);
        Ok(Self {
            id,
            objects: objects.ok_or(KeysError::Crypto { operation: "key set-up" })?,
            commitments: hmac::Key::new(hmac::HMAC_SHA256, commitment.as_slice()),
            commitment,
        })
    }

    /// The id under which the key table keeps it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Wraps an object's key for its record.
    ///
    /// # Errors
    /// [`KeysError::Crypto`].
    pub fn wrap(&self, object: ObjectId, key: &ObjectKey) -> Result<[u8; WRAPPED_OBJECT_KEY_LEN], KeysError> {
        self.objects.wrap(&self.associated(object), &key.0).ok_or(KeysError::Crypto { operation: "wrap" })
    }

    /// Unwraps an object's key.
    ///
    /// # Errors
    /// [`KeysError::ObjectKey`] where the bytes were altered, or belong to another object or study.
    pub fn unwrap(&self, object: ObjectId, wrapped: &[u8]) -> Result<ObjectKey, KeysError> {
        self.objects.unwrap(&self.associated(object), wrapped).map(ObjectKey).ok_or(KeysError::ObjectKey)
    }

    /// A commitment to a message: HMAC-SHA256 under the study's commitment key. Says nothing about the message once the
    /// study key is destroyed.
    #[must_use]
    pub fn commit(&self, message: &[u8]) -> [u8; 32] {
        crypto::mac(&self.commitments, &[message])
    }

    /// The key of [`StudyKey::commit`], to be given away with a proof. It opens no object: it is a one-way child of the
    /// study's secret, beside the one that wraps the keys of objects.
    #[must_use]
    pub fn commitment_key(&self) -> Zeroizing<[u8; 32]> {
        self.commitment.clone()
    }

    fn associated(&self, object: ObjectId) -> Vec<u8> {
        [b"kluis/object/1".as_slice(), &self.id.0, &object.0].concat()
    }
}

/// Wraps study keys under the tenant key versions.
pub(crate) struct StudyWrapping {
    tenant: [u8; 16],
    current: u32,
    versions: BTreeMap<u32, Wrapper>,
}

impl StudyWrapping {
    pub(crate) fn new(tenant: &Tenant) -> Result<Self, KeysError> {
        let versions = tenant.versions.iter().map(|(version, key)| {
            let wrapper = Wrapper::new(&crypto::subkey(key, &[b"tenant/study/1"]));
            Ok((*version, wrapper.ok_or(KeysError::Crypto { operation: "key set-up" })?))
        });
        let versions = versions.collect::<Result<_, KeysError>>()?;
        Ok(Self { tenant: tenant.id, current: tenant.current, versions })
    }

    fn wrap(&self, id: KeyId, key: &Secret) -> Result<WrappedKey, KeysError> {
        let wrapper = self.wrapper(self.current)?;
        let wrapped = wrapper.wrap(&self.associated(id, self.current), key);
        let wrapped = wrapped.ok_or(KeysError::Crypto { operation: "wrap" })?;
        Ok(WrappedKey([[WRAPPED_FORMAT].as_slice(), &self.current.to_be_bytes(), &wrapped].concat()))
    }

    fn unwrap(&self, id: KeyId, wrapped: &WrappedKey) -> Result<Secret, KeysError> {
        let Some(([WRAPPED_FORMAT, version @ ..], rest)) = wrapped.0.split_first_chunk::<5>() else {
            return Err(KeysError::StudyKey { id });
        };
        let version = u32::from_be_bytes(*version);
        let key = self.wrapper(version)?.unwrap(&self.associated(id, version), rest);
        key.ok_or(KeysError::StudyKey { id })
    }

    fn wrapper(&self, version: u32) -> Result<&Wrapper, KeysError> {
        self.versions.get(&version).ok_or(KeysError::UnknownVersion { version })
    }

    fn associated(&self, id: KeyId, version: u32) -> Vec<u8> {
        [b"kluis/study/1".as_slice(), &self.tenant, &version.to_be_bytes(), &id.0].concat()
    }
}

/// Study keys by id, with the most recently used ones held open.
pub struct StudyKeys {
    wrapping: Arc<StudyWrapping>,
    table: Arc<dyn KeyTable>,
    cache: Mutex<Cache>,
}

struct Cache {
    keys: LruCache<KeyId, Arc<StudyKey>>,
    /// Counts destructions, so that a key read from the table before one does not come back into the cache after it.
    destroyed: u64,
}

impl fmt::Debug for StudyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StudyKeys").finish_non_exhaustive()
    }
}

impl StudyKeys {
    pub(crate) fn new(wrapping: Arc<StudyWrapping>, table: Arc<dyn KeyTable>) -> Self {
        let bound = NonZeroUsize::new(limits::CACHED_STUDY_KEYS).unwrap_or(NonZeroUsize::MIN);
        Self { wrapping, table, cache: Mutex::new(Cache { keys: LruCache::new(bound), destroyed: 0 }) }
    }

    /// The key under this id, made where there is none; durable in the table on return. Concurrent callers get the
    /// same key.
    ///
    /// # Errors
    /// [`KeysError::Table`]; [`KeysError::StudyKey`] where the stored key was altered; [`KeysError::UnknownVersion`].
    pub async fn get_or_create(&self, id: KeyId) -> Result<Arc<StudyKey>, KeysError> {
        if let Some(key) = self.get(id).await? {
            return Ok(key);
        }
        let destroyed = self.cache().destroyed;
        let wrapped = self.wrapping.wrap(id, &crypto::random_secret())?;
        // Another caller, or another node, may have been first: what the table holds is the key.
        let stored = self.table.put(id, wrapped).await?;
        self.open(id, &stored, destroyed)
    }

    /// The key under this id, or `None` where there is none, or no longer.
    ///
    /// # Errors
    /// As [`get_or_create`](Self::get_or_create).
    pub async fn get(&self, id: KeyId) -> Result<Option<Arc<StudyKey>>, KeysError> {
        let destroyed = {
            let mut cache = self.cache();
            if let Some(key) = cache.keys.get(&id) {
                return Ok(Some(Arc::clone(key)));
            }
            cache.destroyed
        };
        match self.table.get(id).await? {
            Some(wrapped) => self.open(id, &wrapped, destroyed).map(Some),
            None => Ok(None),
        }
    }

    /// Destroys the key in the table and here; durable on return. False where there was none. A copy that a caller
    /// still holds lives until it is dropped.
    ///
    /// # Errors
    /// [`KeysError::Table`]; the key may then still exist.
    pub async fn destroy(&self, id: KeyId) -> Result<bool, KeysError> {
        let destroyed = self.table.destroy(id).await;
        {
            let mut cache = self.cache();
            cache.destroyed = cache.destroyed.wrapping_add(1);
            cache.keys.pop(&id);
        }
        Ok(destroyed?)
    }

    /// The key as the table holds it now, whatever is held open here. For verification.
    ///
    /// # Errors
    /// As [`get_or_create`](Self::get_or_create).
    pub async fn stored(&self, id: KeyId) -> Result<Option<Arc<StudyKey>>, KeysError> {
        let Some(wrapped) = self.table.get(id).await? else { return Ok(None) };
        let secret: Zeroizing<_> = self.wrapping.unwrap(id, &wrapped)?;
        Ok(Some(Arc::new(StudyKey::new(id, &secret)?)))
    }

    /// Up to `limit` ids of the table behind `after`, in order, each with whether its key can be opened.
    ///
    /// # Errors
    /// [`KeysError::Table`].
    pub async fn try_stored(&self, after: Option<KeyId>, limit: u32) -> Result<Vec<(KeyId, bool)>, KeysError> {
        let listed = self.table.list(after, limit).await?;
        Ok(listed.into_iter().map(|(id, wrapped)| (id, self.wrapping.unwrap(id, &wrapped).is_ok())).collect())
    }

    /// What is wrong with the file of the table: see [`KeyTable::check`].
    ///
    /// # Errors
    /// [`KeysError::Table`].
    pub async fn check_table(&self) -> Result<Vec<String>, KeysError> {
        Ok(self.table.check().await?)
    }

    fn open(&self, id: KeyId, wrapped: &WrappedKey, destroyed: u64) -> Result<Arc<StudyKey>, KeysError> {
        let secret: Zeroizing<_> = self.wrapping.unwrap(id, wrapped)?;
        let key = Arc::new(StudyKey::new(id, &secret)?);
        let mut cache = self.cache();
        if cache.destroyed == destroyed {
            cache.keys.put(id, Arc::clone(&key));
        }
        Ok(key)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
