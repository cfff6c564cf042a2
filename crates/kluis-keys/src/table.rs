//! Where wrapped study keys are kept.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{KeyId, KeyTableError};

/// A study key under a tenant key: of no use without the key ring. Format 1, tenant key version, nonce, ciphertext, tag.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey(pub Vec<u8>);

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({} bytes)", self.0.len())
    }
}

/// A durable table of wrapped study keys, kept apart from the packs so that destroying an entry is erasure.
#[async_trait]
pub trait KeyTable: Send + Sync {
    /// The key under this id.
    async fn get(&self, id: KeyId) -> Result<Option<WrappedKey>, KeyTableError>;

    /// Keeps a key; durable on return. Where the id is known the stored key wins and is returned.
    async fn put(&self, id: KeyId, key: WrappedKey) -> Result<WrappedKey, KeyTableError>;

    /// Destroys a key beyond recovery, durable on return. False where there was none.
    async fn destroy(&self, id: KeyId) -> Result<bool, KeyTableError>;

    /// Up to `limit` keys in the order of their ids, behind `after`.
    async fn list(&self, after: Option<KeyId>, limit: u32) -> Result<Vec<(KeyId, WrappedKey)>, KeyTableError>;

    /// Reads the whole table and holds it against its checksums: one line per finding, none with a key.
    async fn check(&self) -> Result<Vec<String>, KeyTableError> {
        Ok(Vec::new())
    }
}

/// A key table that forgets everything when dropped: for tests of what stands above it.
#[derive(Default)]
pub struct MemoryKeyTable {
    keys: Mutex<BTreeMap<KeyId, WrappedKey>>,
}

impl MemoryKeyTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<KeyId, WrappedKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyTable for MemoryKeyTable {
    async fn get(&self, id: KeyId) -> Result<Option<WrappedKey>, KeyTableError> {
        Ok(self.keys().get(&id).cloned())
    }

    async fn put(&self, id: KeyId, key: WrappedKey) -> Result<WrappedKey, KeyTableError> {
        Ok(self.keys().entry(id).or_insert(key).clone())
    }

    async fn destroy(&self, id: KeyId) -> Result<bool, KeyTableError> {
        Ok(self.keys().remove(&id).is_some())
    }

    async fn list(&self, after: Option<KeyId>, limit: u32) -> Result<Vec<(KeyId, WrappedKey)>, KeyTableError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.keys();
        let entries = keys.range((from, Bound::Unbounded)).take(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(entries.map(|(id, key)| (*id, key.clone())).collect())
    }
}
