//! A large object on its way in: a pack of its own that is no pack yet.

use std::sync::Arc;

use kluis_keys::ObjectId;
use tokio::task::spawn_blocking;

use crate::{RecordHeader, VaultError, limits::SPILL_HAND_BYTES, record::CHUNK_LEN};

use super::{
    aligned::AlignedBytes,
    pack,
    shared::Shared,
    staging::Staging,
    storage::{PackFile, write_full},
};

const SUFFIX: &str = ".part";

/// Whether a file is a large object that was never committed.
pub(super) fn is_part(name: &str) -> bool {
    name.ends_with(SUFFIX)
}

/// Holds the file until it becomes a pack; dropping it removes the file.
pub(crate) struct Spill {
    file: Arc<dyn PackFile>,
    part: Part,
    /// What was appended and is not yet written.
    staging: Staging,
}

/// The file's name, for as long as it is to be removed.
struct Part {
    name: String,
    shared: Arc<Shared>,
    is_kept: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_kept && self.shared.storage.remove(&self.name).is_err() {
            tracing::warn!(file = self.name, "an unfinished object could not be removed; the next start will");
        }
    }
}

impl Spill {
    /// Begins the file, which is written in pieces of `write_bytes`, a multiple of the page. Blocks.
    pub(super) fn create(shared: &Arc<Shared>, write_bytes: usize) -> Result<Self, VaultError> {
        let name = format!("{}{SUFFIX}", ObjectId::random());
        let file = shared.storage.create(&name).map_err(|source| VaultError::io("create", source))?;
        let part = Part { name, shared: Arc::clone(shared), is_kept: false };
        let mut staging = Staging::new(write_bytes);
        staging.begin(pack::FIRST_RECORD);
        Ok(Self { file, part, staging })
    }

    /// Appends sealed bytes; gives the buffer back, empty.
    pub(crate) async fn append(mut self, mut bytes: AlignedBytes) -> Result<(Self, AlignedBytes), VaultError> {
        let written = spawn_blocking(move || {
            self.staging.put(&*self.file, bytes.rest(0)).map_err(|source| VaultError::io("write", source))?;
            bytes.truncate(0);
            // The first part was everything gathered so far; from now on there is less at a time.
            Ok((self, bytes.no_larger_than(SPILL_HAND_BYTES.saturating_add(2 * CHUNK_LEN))))
        });
        written.await.map_err(|_| VaultError::Closed)?
    }

    /// Makes what was appended durable, so that the commit itself has only a page to sync.
    pub(crate) async fn sync(mut self) -> Result<Self, VaultError> {
        let synced = spawn_blocking(move || {
            self.staging.end(&*self.file).map_err(|source| VaultError::io("write", source))?;
            self.file.sync().map_err(|source| VaultError::io("sync", source))?;
            Ok(self)
        });
        synced.await.map_err(|_| VaultError::Closed)?
    }

    /// Makes it the pack of this number, durable on return. Blocks.
    pub(super) fn commit(mut self, number: u64, header: &RecordHeader) -> Result<(), VaultError> {
        let shared = Arc::clone(&self.part.shared);
        let write =
            |bytes: &[u8], at| write_full(&*self.file, bytes, at).map_err(|source| VaultError::io("write", source));
        write(&pack::first_page(number), 0)?;
        write(&header.encode(number, pack::FIRST_RECORD), pack::FIRST_RECORD)?;
        self.file.sync().map_err(|source| VaultError::io("sync", source))?;
        let name = pack::name(number);
        shared.storage.rename(&self.part.name, &name).map_err(|source| VaultError::io("rename", source))?;
        // From here on, what is removed on failure is the pack: nobody was told of it.
        self.part.name = name;
        shared.storage.sync_directory().map_err(|source| VaultError::io("sync", source))?;
        self.part.is_kept = true;
        Ok(())
    }
}
