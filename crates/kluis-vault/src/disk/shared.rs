//! What the writer thread, readers and object writers of one disk vault share.

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use lru::LruCache;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    Location, Position, RecordHeader, RecordPart, VaultError,
    buffers::{ReadBuffer, ReadBuffers},
    limits::SCAN_RECORDS,
    reader::RecordBytes,
};

use super::{
    Settings,
    aligned::Buffers,
    pack,
    spill::Spill,
    storage::{PackFile, Storage, read_full},
};

/// A disk vault's common state.
pub(crate) struct Shared {
    pub(super) storage: Arc<dyn Storage>,
    pub(crate) settings: Settings,
    pub(super) counters: Counters,
    pub(crate) buffers: Buffers,
    pub(super) read_buffers: Arc<ReadBuffers>,
    files: Mutex<LruCache<u64, Arc<dyn PackFile>>>,
    readers: Arc<Semaphore>,
    /// Every pack. Of those written by this process, the end of what is durable; the others end where the file does.
    packs: Mutex<BTreeMap<u64, Option<u64>>>,
}

/// Figures for [`VaultStats`](crate::VaultStats).
#[derive(Default)]
pub(super) struct Counters {
    pub(super) objects: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) failures: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

impl Shared {
    pub(super) fn new(storage: Arc<dyn Storage>, settings: Settings, packs: impl Iterator<Item = u64>) -> Self {
        let open_files = NonZeroUsize::new(settings.open_files).unwrap_or(NonZeroUsize::MIN);
        Self {
            storage,
            files: Mutex::new(LruCache::new(open_files)),
            readers: Arc::new(Semaphore::new(settings.readers.max(1))),
            packs: Mutex::new(packs.map(|pack| (pack, None)).collect()),
            counters: Counters::default(),
            buffers: Buffers::default(),
            read_buffers: Arc::default(),
            settings,
        }
    }

    /// A file for an object that has become too large for memory.
    pub(crate) async fn spill(shared: &Arc<Self>, write_bytes: usize) -> Result<Spill, VaultError> {
        let shared = Arc::clone(shared);
        spawn_blocking(move || Spill::create(&shared, write_bytes)).await.map_err(|_| VaultError::Closed)?
    }

    pub(super) fn packs(&self) -> MutexGuard<'_, BTreeMap<u64, Option<u64>>> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position behind the last durable record. Blocks.
    pub(super) fn position(&self) -> Result<Position, VaultError> {
        let last = self.packs().last_key_value().map(|(pack, end)| (*pack, *end));
        let Some((pack, end)) = last else { return Ok(Position::START) };
        let file = self.file(pack);
        let offset = match end {
            Some(end) => end,
            None => file.and_then(|file| file.length()).map_err(|source| VaultError::io("read", source))?,
        };
        Ok(Position { pack, offset: offset.max(pack::FIRST_RECORD) })
    }

    /// A pack's file, opened where it is not open. Blocks.
    pub(super) fn file(&self, pack: u64) -> io::Result<Arc<dyn PackFile>> {
        if let Some(file) = self.files().get(&pack) {
            return Ok(Arc::clone(file));
        }
        let file = self.storage.open(&pack::name(pack))?;
        self.files().put(pack, Arc::clone(&file));
        Ok(file)
    }

    pub(super) fn forget_file(&self, pack: u64) {
        self.files().pop(&pack);
    }

    fn files(&self) -> MutexGuard<'_, LruCache<u64, Arc<dyn PackFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a read off the async workers, with no more than so many at once.
    pub(super) async fn reading<T: Send + 'static>(
        shared: &Arc<Self>,
        read: impl FnOnce(&Arc<Self>) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        let turn = Arc::clone(&shared.readers).acquire_owned().await.map_err(|_| VaultError::Closed)?;
        let shared = Arc::clone(shared);
        let done = spawn_blocking(move || {
            // Held by the read itself, which goes on when its caller has given up.
            let _turn = turn;
            read(&shared)
        });
        done.await.map_err(|_| VaultError::Closed)?
    }

    /// The header of a record, checked against its location. Blocks.
    pub(super) fn header(&self, location: Location) -> Result<(Arc<dyn PackFile>, RecordHeader), VaultError> {
        let file = self.file(location.pack).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => VaultError::NoPack { location },
            _ => VaultError::io("open", source),
        })?;
        let header = pack::header_at(&*file, location.pack, location.offset, u64::MAX);
        let header = header.map_err(|source| read_error(location, source))?;
        let header = header.filter(|header| header.record_length() == location.length);
        let header = header.ok_or(VaultError::Damaged { location, part: RecordPart::Header })?;
        Ok((file, header))
    }

    /// Records behind a position. Blocks.
    pub(super) fn scan(&self, after: Position, limit: u32) -> Result<Vec<(Location, RecordHeader)>, VaultError> {
        let limit = limit.min(SCAN_RECORDS) as usize;
        let mut found = Vec::new();
        let mut from = after;
        while found.len() < limit {
            let next = self.packs().range(from.pack..).next().map(|(pack, end)| (*pack, *end));
            let Some((pack, end)) = next else { break };
            let at = if pack == from.pack { from.offset } else { 0 };
            self.scan_pack(pack, at, end, limit, &mut found)?;
            let Some(pack) = pack.checked_add(1) else { break };
            from = Position { pack, offset: 0 };
        }
        Ok(found)
    }

    fn scan_pack(
        &self,
        pack: u64,
        at: u64,
        end: Option<u64>,
        limit: usize,
        found: &mut Vec<(Location, RecordHeader)>,
    ) -> Result<(), VaultError> {
        let failed = |source| VaultError::io("read", source);
        let file = self.file(pack).map_err(failed)?;
        let end = end.map_or_else(|| file.length(), Ok).map_err(failed)?;
        let mut walk = pack::Walk { file: &*file, pack, at, end, is_thorough: false };
        while found.len() < limit {
            match walk.next().map_err(failed)? {
                Some(pack::Step::Record(location, header)) => found.push((location, header)),
                Some(pack::Step::Gap { from, to }) => {
                    tracing::error!(pack, from, to, "bytes of a pack are no record");
                }
                None => break,
            }
        }
        Ok(())
    }

    /// Verifies a whole record. Blocks.
    pub(super) fn check(&self, location: Location) -> Result<RecordHeader, VaultError> {
        let (file, header) = self.header(location)?;
        let is_whole = pack::has_whole_body(&*file, location).map_err(|source| read_error(location, source))?;
        is_whole.then_some(header).ok_or(VaultError::Damaged { location, part: RecordPart::Checksum })
    }
}

fn read_error(location: Location, source: io::Error) -> VaultError {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => VaultError::Damaged { location, part: RecordPart::End },
        _ => VaultError::io("read", source),
    }
}

/// One record of a disk vault. Holds the file open.
pub(super) struct DiskRecord {
    pub(super) shared: Arc<Shared>,
    pub(super) file: Arc<dyn PackFile>,
    pub(super) location: Location,
}

impl DiskRecord {
    /// Opens a record: its header and its sealed metadata in one go. Blocks.
    pub(super) fn open(shared: &Arc<Shared>, location: Location) -> Result<(Self, RecordHeader, Vec<u8>), VaultError> {
        let (file, header) = shared.header(location)?;
        let record = Self { shared: Arc::clone(shared), file, location };
        // Bounded when the header was read.
        let length = usize::try_from(header.metadata_length).unwrap_or(0);
        let metadata = record.read_now(header.metadata_offset(), length)?;
        Ok((record, header, metadata))
    }

    fn read_now(&self, offset: u64, length: usize) -> Result<Vec<u8>, VaultError> {
        let mut bytes = vec![0; length];
        self.fill(offset, &mut bytes).map(|()| bytes)
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<(), VaultError> {
        let read = read_full(&*self.file, buffer, self.location.offset.saturating_add(offset));
        read.map_err(|source| read_error(self.location, source))
    }
}

#[async_trait]
impl RecordBytes for DiskRecord {
    async fn read(&self, offset: u64, length: usize) -> Result<ReadBuffer, VaultError> {
        let record = Self { shared: Arc::clone(&self.shared), file: Arc::clone(&self.file), location: self.location };
        let read = move |shared: &Arc<Shared>| {
            // not before it is this read's turn: many may wait
            let mut buffer = ReadBuffers::take(&shared.read_buffers, length);
            record.fill(offset, &mut buffer).map(|()| buffer)
        };
        Shared::reading(&self.shared, read).await
    }
}
