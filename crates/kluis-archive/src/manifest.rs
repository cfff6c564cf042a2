//! Series manifests: once a series is quiet, its instances stand in one sealed object of the vault, with their places,
//! digests and their whole metadata as DICOM JSON, and no longer as rows.
//!
//! So the metadata of a series is one read, and the database does not grow with every image of the archive.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use kluis_dicom::{Uid, attributes::InstanceIds};
use kluis_index::ManifestPointer;
use kluis_keys::{KeyId, ObjectId};
use kluis_policy::Transport;
use kluis_vault::{Location, RecordKind, Vault};
use lru::LruCache;
use serde::{Deserialize, Serialize};

use crate::{ArchiveError, Inner, place};

/// Manifests in memory at most, together no more than [`CACHED_BYTES`].
const CACHED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// Bytes of manifests in memory at most.
const CACHED_BYTES: usize = 64 << 20;

/// A manifest larger than this was not written by us.
const MANIFEST_BYTES_MAX: u64 = 2 << 30;

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
    pub(crate) fn head(&self) -> ManifestHead {
        ManifestHead {
            study: self.study.clone(),
            series: self.series.clone(),
            count: self.entries.len() as u64,
            data_length: self.entries.iter().map(|entry| entry.data_set_length).sum(),
        }
    }

    pub(crate) fn entry(&self, sop_instance: &Uid) -> Option<&ManifestEntry> {
        self.entries.iter().find(|entry| entry.sop_instance == *sop_instance)
    }

    /// Writes the manifest into the vault; durable on return.
    pub(crate) async fn write(&self, inner: &Inner, key_id: KeyId) -> Result<ManifestPointer, ArchiveError> {
        let head = self.head();
        let body = postcard::to_stdvec(self).map_err(|_| ArchiveError::Record)?;
        let body = tokio::task::spawn_blocking(move || zstd::bulk::compress(&body, 3))
            .await
            .map_err(|_| ArchiveError::Stopped)?
            .map_err(|_| ArchiveError::Record)?;
        let key = inner.study_keys.get(key_id).await?.ok_or(ArchiveError::KeyDestroyed)?;
        let mut writer = inner.vault.begin(RecordKind::Manifest);
        writer.write(&body).await?;
        let metadata = postcard::to_stdvec(&head).map_err(|_| ArchiveError::Record)?;
        let sealed = writer.finish(&key, &metadata).await?;
        let location = inner.vault.commit(vec![sealed]).await?.into_iter().next().ok_or(ArchiveError::Stopped)?;
        Ok(ManifestPointer { location: place::to_index(location), count: head.count, data_length: head.data_length })
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

    fn size(&self) -> usize {
        self.attributes.len() + self.metadata.len() + 512
    }
}

/// Reads manifests, and keeps some in memory.
pub(crate) struct Manifests {
    cache: Mutex<Cache>,
}

struct Cache {
    manifests: LruCache<Location, (Arc<Manifest>, usize)>,
    bytes: usize,
}

impl Manifests {
    pub(crate) fn new() -> Self {
        Self { cache: Mutex::new(Cache { manifests: LruCache::new(CACHED), bytes: 0 }) }
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
        let size: usize = manifest.entries.iter().map(ManifestEntry::size).sum();
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
    if length > MANIFEST_BYTES_MAX {
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
    let plain = zstd::stream::decode_all(body).map_err(|_| ArchiveError::Record)?;
    postcard::from_bytes(&plain).map_err(|_| ArchiveError::Record)
}
