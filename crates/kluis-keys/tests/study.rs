//! Study keys over a table: made once, opened, refused, destroyed.

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use kluis_keys::{
        KeyId, KeyRing, KeyTable, KeyTableError, KeysError, MemoryKeyTable, ObjectId, ObjectKey, RootProvider,
        StudyKeys, WrappedKey,
    };
    use tempfile::TempDir;

    const ID: KeyId = KeyId([1; 32]);
    const OTHER: KeyId = KeyId([2; 32]);

    fn ring(dir: &TempDir) -> KeyRing {
        let provider = RootProvider::KeyFile(dir.path().join("root.key"));
        KeyRing::create(&dir.path().join("keys"), &provider).unwrap()
    }

    async fn damage(table: &MemoryKeyTable, change: impl FnOnce(&mut Vec<u8>)) {
        let mut key = table.get(ID).await.unwrap().unwrap();
        change(&mut key.0);
        table.destroy(ID).await.unwrap();
        table.put(ID, key).await.unwrap();
    }

    #[tokio::test]
    async fn study_key_is_made_once_and_outlives_the_cache() {
        let dir = TempDir::new().unwrap();
        let (ring, table) = (ring(&dir), Arc::new(MemoryKeyTable::new()));
        let keys = ring.study_keys(table.clone());
        assert!(keys.get(ID).await.unwrap().is_none());
        let key = keys.get_or_create(ID).await.unwrap();
        let object = ObjectId::random();
        let object_key = ObjectKey::random();
        let wrapped = key.wrap(object, &object_key).unwrap();
        for keys in [&keys, &ring.study_keys(table)] {
            let again = keys.get_or_create(ID).await.unwrap();
            assert_eq!(again.unwrap(object, &wrapped).unwrap().as_bytes(), object_key.as_bytes());
            assert_eq!(again.commit(b"leaf"), key.commit(b"leaf"));
        }
        let other = keys.get_or_create(OTHER).await.unwrap();
        assert!(matches!(other.unwrap(object, &wrapped), Err(KeysError::ObjectKey)), "another study");
        assert!(matches!(key.unwrap(ObjectId::random(), &wrapped), Err(KeysError::ObjectKey)), "another object");
        assert_ne!(other.commit(b"leaf"), key.commit(b"leaf"));
    }

    #[tokio::test]
    async fn stored_key_opens_only_whole_and_in_its_place() {
        let dir = TempDir::new().unwrap();
        let (ring, table) = (ring(&dir), Arc::new(MemoryKeyTable::new()));
        ring.study_keys(table.clone()).get_or_create(ID).await.unwrap();
        let wrapped = table.get(ID).await.unwrap().unwrap();
        table.put(OTHER, wrapped.clone()).await.unwrap();
        let moved = ring.study_keys(table.clone()).get(OTHER).await.unwrap_err();
        assert!(matches!(moved, KeysError::StudyKey { id: OTHER }), "{moved}");
        for at in 0..wrapped.0.len() {
            damage(&table, |key| key[at] ^= 1).await;
            assert!(ring.study_keys(table.clone()).get(ID).await.is_err(), "byte {at}");
            damage(&table, |key| key[at] ^= 1).await;
        }
        ring.study_keys(table.clone()).get(ID).await.unwrap().unwrap();
        damage(&table, |key| key[4] = 7).await;
        let version = ring.study_keys(table.clone()).get(ID).await.unwrap_err();
        assert!(matches!(version, KeysError::UnknownVersion { version: 7 }), "{version}");
        damage(&table, |key| key.truncate(4)).await;
        assert!(matches!(ring.study_keys(table).get(ID).await, Err(KeysError::StudyKey { .. })));
    }

    #[tokio::test]
    async fn destroyed_key_is_gone() {
        let dir = TempDir::new().unwrap();
        let (ring, table) = (ring(&dir), Arc::new(MemoryKeyTable::new()));
        let keys = ring.study_keys(table.clone());
        let before = keys.get_or_create(ID).await.unwrap().commit(b"leaf");
        assert!(keys.destroy(ID).await.unwrap());
        assert!(!keys.destroy(ID).await.unwrap());
        assert!(keys.get(ID).await.unwrap().is_none());
        assert!(table.get(ID).await.unwrap().is_none());
        assert_ne!(keys.get_or_create(ID).await.unwrap().commit(b"leaf"), before, "a new key, not the old one");
    }

    /// A table in which a key is destroyed, or another writer is first, between the answer and its arrival.
    struct Racing {
        table: MemoryKeyTable,
        keys: Mutex<Option<Arc<StudyKeys>>>,
        first: Mutex<Option<WrappedKey>>,
    }

    impl Racing {
        fn new(first: Option<WrappedKey>) -> Arc<Self> {
            Arc::new(Self { table: MemoryKeyTable::new(), keys: Mutex::new(None), first: Mutex::new(first) })
        }
    }

    #[async_trait]
    impl KeyTable for Racing {
        async fn get(&self, id: KeyId) -> Result<Option<WrappedKey>, KeyTableError> {
            let answer = self.table.get(id).await?;
            let keys = self.keys.lock().unwrap().take();
            if let Some(keys) = keys {
                keys.destroy(id).await.unwrap();
            }
            Ok(answer)
        }

        async fn put(&self, id: KeyId, key: WrappedKey) -> Result<WrappedKey, KeyTableError> {
            let first = self.first.lock().unwrap().take();
            if let Some(first) = first {
                self.table.put(id, first).await?;
            }
            self.table.put(id, key).await
        }

        async fn destroy(&self, id: KeyId) -> Result<bool, KeyTableError> {
            self.table.destroy(id).await
        }

        async fn list(&self, after: Option<KeyId>, limit: u32) -> Result<Vec<(KeyId, WrappedKey)>, KeyTableError> {
            self.table.list(after, limit).await
        }
    }

    #[tokio::test]
    async fn key_destroyed_while_it_is_read_does_not_come_back() {
        let dir = TempDir::new().unwrap();
        let ring = ring(&dir);
        let table = Racing::new(None);
        ring.study_keys(table.clone()).get_or_create(ID).await.unwrap();
        let keys = Arc::new(ring.study_keys(table.clone()));
        *table.keys.lock().unwrap() = Some(Arc::clone(&keys));
        keys.get(ID).await.unwrap();
        assert!(keys.get(ID).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn key_of_a_faster_writer_wins() {
        let dir = TempDir::new().unwrap();
        let ring = ring(&dir);
        let elsewhere = Arc::new(MemoryKeyTable::new());
        let winner = ring.study_keys(elsewhere.clone()).get_or_create(ID).await.unwrap();
        let table = Racing::new(elsewhere.get(ID).await.unwrap());
        let loser = ring.study_keys(table).get_or_create(ID).await.unwrap();
        assert_eq!(loser.commit(b"leaf"), winner.commit(b"leaf"));
    }

    #[tokio::test]
    async fn memory_table_lists_in_order_behind_an_id() {
        let table = MemoryKeyTable::new();
        for byte in [3, 1, 2] {
            table.put(KeyId([byte; 32]), WrappedKey(vec![byte])).await.unwrap();
        }
        let listed = |list: Vec<(KeyId, WrappedKey)>| list.iter().map(|(id, _)| id.0[0]).collect::<Vec<_>>();
        assert_eq!(listed(table.list(None, 2).await.unwrap()), [1, 2]);
        assert_eq!(listed(table.list(Some(KeyId([2; 32])), 9).await.unwrap()), [3]);
    }
}
