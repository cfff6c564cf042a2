//! The table of wrapped study keys. A file of its own, so that destroying a key is erasure: freed pages are overwritten
//! (`secure_delete`), and the write-ahead log is emptied before the answer.

use std::path::Path;

use async_trait::async_trait;
use kluis_keys::{KeyId, KeyTable, KeyTableError, WrappedKey};
use rusqlite::{Connection, params};

use super::{
    check,
    column::{bytes, get},
    connection::Profile,
    database::{Database, change, collect, first},
    log::empty_log,
    schema,
};
use crate::IndexError;

const PROFILE: Profile = Profile { schema: &schema::KEYS, is_durable: true, cache_kib: 8 << 10, readers: 2 };

/// Wrapped study keys in one file.
pub struct SqliteKeyTable {
    database: Database,
}

impl SqliteKeyTable {
    /// Opens the table, or makes it where there is none. Blocks.
    ///
    /// # Errors
    /// [`IndexError::WrongKey`], [`IndexError::SchemaVersion`], [`IndexError::Damaged`], [`IndexError::Io`].
    pub fn open(path: &Path, key: &[u8; 32]) -> Result<Self, IndexError> {
        Ok(Self { database: Database::open(path, key, PROFILE)? })
    }
}

#[async_trait]
impl KeyTable for SqliteKeyTable {
    async fn get(&self, id: KeyId) -> Result<Option<WrappedKey>, KeyTableError> {
        self.database.read(move |connection| find(connection, id)).await.map_err(failed("get"))
    }

    async fn put(&self, id: KeyId, key: WrappedKey) -> Result<WrappedKey, KeyTableError> {
        let work = move |connection: &Connection| {
            change(
                connection,
                "insert key",
                "INSERT OR IGNORE INTO wrapped_key (id, wrapped) VALUES (?1, ?2)",
                params![id.0, key.0],
            )?;
            find(connection, id)?.ok_or(IndexError::Row("key"))
        };
        self.database.write(work).await.map_err(failed("put"))
    }

    async fn destroy(&self, id: KeyId) -> Result<bool, KeyTableError> {
        let removed = self
            .database
            .write(move |connection| change(connection, "remove key", "DELETE FROM wrapped_key WHERE id = ?1", [id.0]))
            .await
            .map_err(failed("destroy"))?;
        self.database.alone(empty_log).await.map_err(failed("destroy"))?;
        Ok(removed > 0)
    }

    async fn list(&self, after: Option<KeyId>, limit: u32) -> Result<Vec<(KeyId, WrappedKey)>, KeyTableError> {
        let work = move |connection: &Connection| {
            // no id is shorter than the empty one
            let after = after.map_or(Vec::new(), |id| id.0.to_vec());
            collect(
                connection,
                "list keys",
                "SELECT id, wrapped FROM wrapped_key WHERE id > ?1 ORDER BY id LIMIT ?2",
                params![after, limit],
                |row| Ok((KeyId(bytes(row, 0)?), WrappedKey(get(row, 1)?))),
            )
        };
        self.database.read(work).await.map_err(failed("list"))
    }

    async fn check(&self) -> Result<Vec<String>, KeyTableError> {
        check::file(&self.database, None).await.map_err(failed("check"))
    }
}

fn find(connection: &Connection, id: KeyId) -> Result<Option<WrappedKey>, IndexError> {
    first(connection, "find key", "SELECT wrapped FROM wrapped_key WHERE id = ?1", [id.0], |row| {
        get(row, 0).map(WrappedKey)
    })
}

fn failed(operation: &'static str) -> impl Fn(IndexError) -> KeyTableError {
    move |error| KeyTableError { operation, source: Box::new(error) }
}
