//! The vault on a local disk.
//!
//! A pack is an append-only file `<16 hex digits>.pack`, written by one thread with group commit. A process never
//! appends to a pack of an earlier one. An object too large for memory arrives in a file `<32 hex digits>.part`, already
//! sealed, which becomes a pack of its own when it is committed.

mod aligned;
mod appender;
mod pack;
mod recovery;
mod shared;
mod spill;
mod staging;
mod storage;
mod survey;

use std::{fmt, path::Path, sync::Arc, thread, time::Duration};

use async_trait::async_trait;
use kluis_keys::StudyKey;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Candidate, Examined, Location, ObjectReader, ObjectWriter, Position, RecordHeader, RecordKind, Recovery,
    SealedObject, Survey, Vault, VaultError, VaultStats, limits::WAITING_COMMITS,
};

pub use self::storage::{PackFile, Storage};
pub(crate) use self::{aligned::AlignedBytes, shared::Shared, spill::Spill};
use self::{
    appender::{Appender, Request},
    shared::{Counters, DiskRecord},
};

/// How a disk vault behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A pack that would grow beyond this many bytes is closed.
    pub pack_bytes: u64,
    /// A pack older than this is closed at the next commit.
    pub pack_age: Duration,
    /// Sealed bytes of one object that are gathered in memory; a larger one goes to a file of its own.
    pub gathered_bytes: usize,
    /// Pack files held open for reading.
    pub open_files: usize,
    /// Reads at the same time.
    pub readers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pack_bytes: 256 * 1024 * 1024,
            pack_age: Duration::from_secs(60 * 60),
            gathered_bytes: 8 * 1024 * 1024,
            open_files: 256,
            readers: 32,
        }
    }
}

/// The vault on a local disk.
pub struct DiskVault {
    shared: Arc<Shared>,
    /// Objects that were never committed, found when the vault was opened.
    parts: Vec<String>,
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl DiskVault {
    /// Opens the vault of this directory, which holds the packs and nothing else; made with mode 0700 where missing.
    /// The caller sees to it that no two processes have it open, and calls [`Vault::recover`] before the first commit.
    ///
    /// # Errors
    /// [`VaultError::Io`] where the directory cannot be made or listed.
    pub fn open(directory: &Path, settings: Settings) -> Result<Self, VaultError> {
        let storage = storage::Directory::open(directory).map_err(|source| VaultError::io("open", source))?;
        Self::with_storage(Arc::new(storage), settings)
    }

    /// A vault over any storage, such as a simulated one.
    ///
    /// # Errors
    /// [`VaultError::Io`] where the storage cannot be listed, or no thread be started.
    pub fn with_storage(storage: Arc<dyn Storage>, settings: Settings) -> Result<Self, VaultError> {
        let names = storage.list().map_err(|source| VaultError::io("list", source))?;
        let packs: Vec<_> = names.iter().filter_map(|name| pack::number(name)).collect();
        let next_pack = packs.iter().max().map_or(1, |last| last.saturating_add(1));
        let parts = names.into_iter().filter(|name| spill::is_part(name)).collect();
        let shared = Arc::new(Shared::new(storage, settings, packs.into_iter()));
        let (sender, requests) = mpsc::channel(WAITING_COMMITS);
        let appender = Appender::new(Arc::clone(&shared), next_pack);
        let thread = thread::Builder::new().name("vault writer".into()).spawn(move || appender.run(requests));
        let thread = thread.map_err(|source| VaultError::io("start the writer", source))?;
        Ok(Self { shared, parts, requests: Some(sender), thread: Some(thread) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Shared>) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        Shared::reading(&self.shared, work).await
    }
}

#[async_trait]
impl Vault for DiskVault {
    fn begin(&self, kind: RecordKind) -> ObjectWriter {
        ObjectWriter::new(kind, Arc::clone(&self.shared))
    }

    async fn commit(&self, objects: Vec<SealedObject>) -> Result<Vec<Location>, VaultError> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let requests = self.requests.as_ref().ok_or(VaultError::Closed)?;
        let (reply, done) = oneshot::channel();
        requests.send(Request { objects, reply }).await.map_err(|_| VaultError::Closed)?;
        done.await.map_err(|_| VaultError::Closed)?
    }

    async fn open(&self, location: Location, key: &StudyKey) -> Result<ObjectReader, VaultError> {
        let (record, header, metadata) = self.blocking(move |shared| DiskRecord::open(shared, location)).await?;
        ObjectReader::new(location, header, metadata, key, Box::new(record), Arc::clone(&self.shared.read_buffers))
            .await
    }

    async fn inspect(&self, location: Location) -> Result<RecordHeader, VaultError> {
        self.blocking(move |shared| shared.header(location).map(|(_, header)| header)).await
    }

    async fn check(&self, location: Location) -> Result<RecordHeader, VaultError> {
        self.blocking(move |shared| shared.check(location)).await
    }

    async fn scan(&self, after: Position, limit: u32) -> Result<Vec<(Location, RecordHeader)>, VaultError> {
        self.blocking(move |shared| shared.scan(after, limit)).await
    }

    async fn survey(&self, after: Position, limit: u32) -> Result<Survey, VaultError> {
        self.blocking(move |shared| survey::survey(shared, after, limit)).await
    }

    async fn examine(
        &self,
        candidates: Vec<Candidate>,
        is_full: bool,
    ) -> Result<Vec<Result<Examined, VaultError>>, VaultError> {
        self.blocking(move |shared| Ok(survey::examine(shared, candidates, is_full))).await
    }

    async fn position(&self) -> Result<Position, VaultError> {
        self.blocking(|shared| shared.position()).await
    }

    async fn recover(&self, safe: Position) -> Result<Recovery, VaultError> {
        let parts = self.parts.clone();
        self.blocking(move |shared| recovery::recover(shared, safe, &parts)).await
    }

    fn stats(&self) -> VaultStats {
        let counters = &self.shared.counters;
        VaultStats {
            packs: self.shared.packs().len() as u64,
            objects: Counters::get(&counters.objects),
            bytes: Counters::get(&counters.bytes),
            syncs: Counters::get(&counters.syncs),
            failures: Counters::get(&counters.failures),
        }
    }
}

impl Drop for DiskVault {
    fn drop(&mut self) {
        self.requests = None;
        // The writer ends with the batch it is at, so that the directory can be opened again at once.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for DiskVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskVault").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
