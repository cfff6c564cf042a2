//! Series manifests: once a series is quiet, its instances stand in one sealed object of the vault, with their places,
//! digests and their whole metadata as DICOM JSON, and no longer as rows.
//!
//! So the metadata of a series is one read, and the database does not grow with every image of the archive.

use std::{
    io::Read,
    num::NonZeroUsize,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use kluis_dicom::{Uid, attributes::InstanceIds};
use kluis_index::{ManifestPointer, SealedSeries};
use kluis_keys::{KeyId, ObjectId};
use kluis_policy::Transport;
use kluis_vault::{Location, RecordKind, SealedObject, Vault};
use lru::LruCache;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::{ArchiveError, Inner, place};

/// Manifests in memory at most, together no more than [`CACHED_BYTES`].
const CACHED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// Bytes of manifests in memory at most.
const CACHED_BYTES: usize = 64 << 20;

/// Bytes of a manifest as it is kept, and before it is compressed, at most; a series that would give a larger one is not
/// sealed, and a larger one was not written by us.
pub(crate) const MANIFEST_BYTES: u64 = 128 << 20;

/// Manifests that are read at one time: each is there three times for a moment.
const READ_AT_ONCE: usize = 4;

/// One that is longer than this as it is kept is read alone.
const LONG_BYTES: u64 = 1 << 20;

/// Manifests longer than this are compressed off the async workers.
const INLINE_BYTES: usize = 128 << 10;

/// What is in front of the URI of each bulk value in kept metadata; replaced by the address of the instance when served.
/// Text values cannot hold it, as their quotation marks are escaped.
pub(crate) const BULK_MARK: &str = "\"BulkDataURI\":\"@@";

/// All instances of one series.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) study: Uid,
    pub(crate) series: Uid,
    /// By Instance Number, then order of arrival.
    pub(crate) entries: Vec<ManifestEntry>,
    /// Positions of the entries by SOP Instance UID, made at the first question.
    #[serde(skip)]
    by_uid: OnceLock<Vec<usize>>,
}

/// One instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ManifestEntry {
    pub(crate) sop_instance: Uid,
    pub(crate) sop_class: Uid,
    pub(crate) location: Location,
    pub(crate) object_id: [u8; 16],
    pub(crate) transfer_syntax: Uid,
    pub(crate) data_set_length: u64,
    pub(crate) digest: [u8; 32],
    pub(crate) received_at_us: i64,
    pub(crate) sender: String,
    pub(crate) transport: Transport,
    pub(crate) number: Option<i64>,
    /// Attributes for searches at instance level, DICOM JSON.
    pub(crate) attributes: String,
    /// The whole metadata, DICOM JSON, with [`BULK_MARK`].
    pub(crate) metadata: String,
}

/// What stands in the metadata section of the manifest's record: enough to find it again when the index is rebuilt.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ManifestHead {
    pub(crate) study: Uid,
    pub(crate) series: Uid,
    pub(crate) count: u64,
    pub(crate) data_length: u64,
}

impl Manifest {
    /// A manifest of these entries, in whatever order.
    pub(crate) fn new(study: Uid, series: Uid, mut entries: Vec<ManifestEntry>) -> Self {
        entries.sort_by_key(|entry| (entry.number.unwrap_or(i64::MAX), entry.received_at_us));
        Self { study, series, entries, by_uid: OnceLock::new() }
    }

    pub(crate) fn head(&self) -> ManifestHead {
        ManifestHead {
            study: self.study.clone(),
            series: self.series.clone(),
            count: self.entries.len() as u64,
            data_length: self.entries.iter().map(|entry| entry.data_set_length).sum(),
        }
    }

    /// The first entry of this SOP Instance UID.
    pub(crate) fn entry(&self, sop_instance: &Uid) -> Option<&ManifestEntry> {
        let uid = |position: usize| self.entries.get(position).map(|entry| &entry.sop_instance);
        let by_uid = self.by_uid.get_or_init(|| {
            let mut positions: Vec<usize> = (0..self.entries.len()).collect();
            positions.sort_by_key(|position| uid(*position));
            positions
        });
        let first = by_uid.partition_point(|position| uid(*position) < Some(sop_instance));
        let entry = by_uid.get(first).and_then(|position| self.entries.get(*position));
        entry.filter(|entry| entry.sop_instance == *sop_instance)
    }

    /// The manifest as an object of the vault that is still to be committed.
    pub(crate) async fn seal(&self, inner: &Inner, key_id: KeyId) -> Result<SealedObject, ArchiveError> {
        let head = self.head();
        let body = postcard::to_stdvec(self).map_err(|_| ArchiveError::Record)?;
        let compress = |body: &[u8]| zstd::bulk::compress(body, 3).map_err(|_| ArchiveError::Record);
        let body = if body.len() <= INLINE_BYTES {
            compress(&body)?
        } else {
            tokio::task::spawn_blocking(move || compress(&body)).await.map_err(|_| ArchiveError::Stopped)??
        };
        let key = inner.study_keys.get(key_id).await?.ok_or(ArchiveError::KeyDestroyed)?;
        let mut writer = inner.vault.begin(RecordKind::Manifest);
        writer.write(&body).await?;
        let metadata = postcard::to_stdvec(&head).map_err(|_| ArchiveError::Record)?;
        Ok(writer.finish(&key, &metadata).await?)
    }
}

impl ManifestEntry {
    pub(crate) fn ids(&self, manifest: &Manifest) -> InstanceIds {
        InstanceIds {
            study: manifest.study.clone(),
            series: manifest.series.clone(),
            sop_instance: self.sop_instance.clone(),
            sop_class: self.sop_class.clone(),
        }
    }

    pub(crate) fn object_id(&self) -> ObjectId {
        ObjectId(self.object_id)
    }

    /// Bytes that it takes in memory, and never less than it takes in a manifest.
    pub(crate) fn size(&self) -> u64 {
        (self.attributes.len() + self.metadata.len() + 1024) as u64
    }
}

impl Inner {
    /// What one of these manifests says of a SOP Instance UID.
    pub(crate) async fn sealed_instance(
        &self,
        series: &[SealedSeries],
        sop_instance: &Uid,
    ) -> Result<Option<SealedInstance>, ArchiveError> {
        for series in series {
            let manifest = self.manifests.read(self, KeyId(series.key_id), &series.manifest).await?;
            if let Some(entry) = manifest.entry(sop_instance) {
                return Ok(Some(SealedInstance { digest: entry.digest, object_id: entry.object_id }));
            }
        }
        Ok(None)
    }
}

/// The version of an instance that a manifest holds.
pub(crate) struct SealedInstance {
    pub(crate) digest: [u8; 32],
    pub(crate) object_id: [u8; 16],
}

/// Reads manifests, and keeps some in memory.
pub(crate) struct Manifests {
    cache: Mutex<Cache>,
    reading: Semaphore,
}

struct Cache {
    manifests: LruCache<Location, (Arc<Manifest>, usize)>,
    bytes: usize,
}

impl Manifests {
    pub(crate) fn new() -> Self {
        Self {
            cache: Mutex::new(Cache { manifests: LruCache::new(CACHED), bytes: 0 }),
            reading: Semaphore::new(READ_AT_ONCE),
        }
    }

    pub(crate) async fn read(
        &self,
        inner: &Inner,
        key_id: KeyId,
        pointer: &ManifestPointer,
    ) -> Result<Arc<Manifest>, ArchiveError> {
        let location = place::to_vault(pointer.location);
        if let Some((manifest, _)) = self.lock().manifests.get(&location) {
            return Ok(Arc::clone(manifest));
        }
        let turns = if location.length > LONG_BYTES { READ_AT_ONCE } else { 1 };
        let turns = u32::try_from(turns).unwrap_or(u32::MAX);
        let _turn = self.reading.acquire_many(turns).await.map_err(|_| ArchiveError::Stopped)?;
        // somebody else may have read it meanwhile
        if let Some((manifest, _)) = self.lock().manifests.get(&location) {
            return Ok(Arc::clone(manifest));
        }
        let key = inner.study_keys.get(key_id).await?.ok_or(ArchiveError::KeyDestroyed)?;
        let body = read_all(inner.vault.as_ref(), location, &key).await?;
        let manifest =
            tokio::task::spawn_blocking(move || decode(&body)).await.map_err(|_| ArchiveError::Stopped)??;
        let manifest = Arc::new(manifest);
        self.keep(location, &manifest);
        Ok(manifest)
    }

    /// Forgets all, so that the next look is at what is stored.
    pub(crate) fn clear(&self) {
        let mut cache = self.lock();
        cache.manifests.clear();
        cache.bytes = 0;
    }

    fn keep(&self, location: Location, manifest: &Arc<Manifest>) {
        let size: u64 = manifest.entries.iter().map(ManifestEntry::size).sum();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > CACHED_BYTES {
            return;
        }
        let mut cache = self.lock();
        let displaced = cache.manifests.push(location, (Arc::clone(manifest), size));
        cache.bytes += size;
        if let Some((_, (_, size))) = displaced {
            cache.bytes = cache.bytes.saturating_sub(size);
        }
        while cache.bytes > CACHED_BYTES {
            let Some((_, (_, size))) = cache.manifests.pop_lru() else { break };
            cache.bytes = cache.bytes.saturating_sub(size);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        // a cache that a panic left half-changed still holds whole manifests
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_all(vault: &dyn Vault, location: Location, key: &kluis_keys::StudyKey) -> Result<Vec<u8>, ArchiveError> {
    const STEP: u64 = 4 << 20;
    let reader = vault.open(location, key).await?;
    let length = reader.plain_len();
    if length > MANIFEST_BYTES {
        return Err(ArchiveError::Record);
    }
    let mut body = Vec::new();
    let mut at = 0;
    while at < length {
        let end = length.min(at + STEP);
        body.extend_from_slice(&reader.read(at..end).await?);
        at = end;
    }
    Ok(body)
}

fn decode(body: &[u8]) -> Result<Manifest, ArchiveError> {
    let decoder = zstd::stream::Decoder::with_buffer(body).map_err(|_| ArchiveError::Record)?;
    let mut plain = Vec::new();
    decoder.take(MANIFEST_BYTES + 1).read_to_end(&mut plain).map_err(|_| ArchiveError::Record)?;
    if plain.len() as u64 > MANIFEST_BYTES {
        return Err(ArchiveError::Record);
    }
    postcard::from_bytes(&plain).map_err(|_| ArchiveError::Record)
}
