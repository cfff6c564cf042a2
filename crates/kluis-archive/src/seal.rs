//! Sealing: the hot rows of a quiet series become one manifest in the vault.

use std::{collections::HashSet, pin::pin};

use futures_util::{StreamExt, stream};
use kluis_dicom::json;
use kluis_index::{InstanceRow, ManifestPointer, Seal, SealCandidate};
use kluis_keys::{KeyId, ObjectId};
use kluis_policy::RowFilter;
use kluis_vault::SealedObject;
use tokio::sync::Semaphore;

use crate::{
    Archive, ArchiveError, Inner,
    manifest::{MANIFEST_BYTES, Manifest, ManifestEntry, ManifestHead},
    place,
    record::{InstanceRecord, microseconds},
};

/// Series that are sealed by one call at most.
pub(crate) const ROUND: u32 = 1_024;

/// Series whose manifests are made durable together at most.
const STEP: u32 = 128;

/// Hot instances of these at most; a series that has more is alone.
const STEP_INSTANCES: u64 = 4_096;

/// Manifests that are made, and records that are read, at the same time. One after the other, each would wait for its turn
/// behind all senders of a busy node, and sealing would fall behind them for as long as they send.
const AT_ONCE: usize = 4;

/// A series whose headers are longer than this, as kept, is made alone: what they unpack to is in memory.
const SMALL_SERIES_BYTES: u64 = 128 << 10;

/// Series that cannot be sealed, in one call: beyond it the call ends.
const FAILED_MAX: usize = 4_096;

/// A manifest that is still to be committed.
struct Made {
    candidate: SealCandidate,
    object: SealedObject,
    head: ManifestHead,
    row_keys: Vec<i64>,
}

impl Archive {
    /// Seals the series into which nothing came for [`crate::Settings::seal_after`], [`ROUND`] at most. Returns how many.
    ///
    /// # Errors
    /// The first [`ArchiveError`]; that series stays hot and is tried again in the next round, the others are sealed.
    pub async fn seal_quiet(&self) -> Result<u32, ArchiveError> {
        let inner = &self.inner;
        let _turn = inner.sealing.lock().await;
        let quiet_since = inner.clock.now() - inner.settings.seal_after;
        let (mut sealed, mut failure, mut passed) = (0, None, HashSet::new());
        while sealed < ROUND && passed.len() < FAILED_MAX {
            // those that were passed over stand first, again
            let limit = STEP.saturating_add(u32::try_from(passed.len()).unwrap_or(u32::MAX));
            let candidates = inner.index.series_to_seal(quiet_since, limit).await?;
            let step = first_step(candidates, &passed);
            if step.is_empty() {
                break;
            }
            let keys: Vec<i64> = step.iter().map(|candidate| candidate.series_key).collect();
            let (small, large): (Vec<_>, Vec<_>) = hot_rows(inner, step).await.into_iter().partition(is_small);
            let mut made = Vec::with_capacity(keys.len());
            let opens = Semaphore::new(AT_ONCE);
            for (series, at_once) in [(small, AT_ONCE), (large, 1)] {
                let making = stream::iter(series).map(|(candidate, rows)| make(inner, &opens, candidate, rows));
                let mut making = pin!(making.buffered(at_once));
                while let Some(manifest) = making.next().await {
                    match manifest {
                        Ok(manifest) => made.push(manifest),
                        // one damaged record must not keep all other series hot
                        Err(error) => failure = failure.or(Some(error)),
                    }
                }
            }
            let done = commit(inner, made).await?;
            sealed += u32::try_from(done.len()).unwrap_or(u32::MAX);
            passed.extend(keys.into_iter().filter(|key| !done.contains(key)));
        }
        failure.map_or(Ok(sealed), Err)
    }
}

fn first_step(candidates: Vec<SealCandidate>, passed: &HashSet<i64>) -> Vec<SealCandidate> {
    let mut instances = 0;
    let fresh = candidates.into_iter().filter(|candidate| !passed.contains(&candidate.series_key)).enumerate();
    let step = fresh.take_while(|(number, candidate)| {
        instances += candidate.hot_count;
        *number == 0 || instances <= STEP_INSTANCES
    });
    step.map(|(_, candidate)| candidate).take(STEP as usize).collect()
}

type Rows = Result<Vec<InstanceRow>, ArchiveError>;

/// The rows of each series. Where they cannot be read together, each is tried alone.
async fn hot_rows(inner: &Inner, candidates: Vec<SealCandidate>) -> Vec<(SealCandidate, Rows)> {
    if let Ok(rows) = inner.index.hot_rows(&candidates).await {
        return candidates.into_iter().zip(rows.into_iter().map(Ok)).collect();
    }
    let mut all = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let rows = inner.index.instances(&candidate.study, Some(&candidate.series), None, &RowFilter::All).await;
        all.push((candidate, rows.map_err(ArchiveError::from)));
    }
    all
}

/// Whether others may be made beside it. A series that was sealed before brings the entries of its manifest, however many.
fn is_small((candidate, rows): &(SealCandidate, Rows)) -> bool {
    let header = |row: &InstanceRow| row.location.length.saturating_sub(row.data_set_length);
    let headers = rows.iter().flatten().map(header).fold(0, u64::saturating_add);
    candidate.manifest.is_none() && headers <= SMALL_SERIES_BYTES
}

async fn make(inner: &Inner, opens: &Semaphore, candidate: SealCandidate, rows: Rows) -> Result<Made, ArchiveError> {
    let (key_id, rows) = (KeyId(candidate.key_id), rows?);
    let mut entries = match &candidate.manifest {
        Some(pointer) => inner.manifests.read(inner, key_id, pointer).await?.entries.clone(),
        None => Vec::new(),
    };
    let row_keys: Vec<i64> = rows.iter().map(|row| row.row_key).collect();
    let mut bytes: u64 = entries.iter().map(ManifestEntry::size).sum();
    let mut reading = pin!(stream::iter(rows).map(|row| entry(inner, opens, row)).buffered(AT_ONCE));
    while let Some(entry) = reading.next().await {
        let entry = entry?;
        bytes = bytes.saturating_add(entry.size());
        if bytes > MANIFEST_BYTES {
            return Err(ArchiveError::SeriesTooLong);
        }
        entries.push(entry);
    }
    let manifest = Manifest::new(candidate.study.clone(), candidate.series.clone(), entries);
    let object = manifest.seal(inner, key_id).await?;
    Ok(Made { candidate, object, head: manifest.head(), row_keys })
}

/// Makes the manifests durable, then puts them in the place of the rows. Answers the keys of the series that are sealed:
/// not those into which an instance came meanwhile, whose manifest is not used.
async fn commit(inner: &Inner, made: Vec<Made>) -> Result<HashSet<i64>, ArchiveError> {
    let (mut objects, mut rest) = (Vec::with_capacity(made.len()), Vec::with_capacity(made.len()));
    for Made { candidate, object, head, row_keys } in made {
        objects.push(object);
        rest.push((candidate, head, row_keys));
    }
    let locations = inner.vault.commit(objects).await?;
    let seals: Vec<Seal> = rest
        .into_iter()
        .zip(locations)
        .map(|((candidate, head, hot_rows), location)| Seal {
            candidate,
            manifest: ManifestPointer {
                location: place::to_index(location),
                count: head.count,
                data_length: head.data_length,
            },
            hot_rows,
        })
        .collect();
    let keys: Vec<i64> = seals.iter().map(|seal| seal.candidate.series_key).collect();
    let sealed = inner.index.seal_all(seals).await?;
    Ok(keys.into_iter().zip(sealed).filter(|(_, is_sealed)| *is_sealed).map(|(key, _)| key).collect())
}

async fn entry(inner: &Inner, opens: &Semaphore, row: InstanceRow) -> Result<ManifestEntry, ArchiveError> {
    let _turn = opens.acquire().await.map_err(|_| ArchiveError::Stopped)?;
    let key = inner.study_keys.get(KeyId(row.key_id)).await?.ok_or(ArchiveError::KeyDestroyed)?;
    let location = place::to_vault(row.location);
    let object = inner.vault.open(location, &key).await?;
    if object.header().object != ObjectId(row.object_id) {
        return Err(ArchiveError::WrongRecord);
    }
    let _header = inner.budget.header(object.metadata().len()).await?;
    let record = InstanceRecord::from_bytes(object.metadata())?;
    let mut metadata = Vec::new();
    json::write(&record.outline, &|index| format!("@@/bulkdata/{index}"), &mut metadata);
    Ok(ManifestEntry {
        sop_instance: row.ids.sop_instance,
        sop_class: row.ids.sop_class,
        location,
        object_id: row.object_id,
        transfer_syntax: row.transfer_syntax,
        data_set_length: row.data_set_length,
        digest: row.digest,
        received_at_us: microseconds(row.received_at),
        sender: row.sender,
        transport: row.transport,
        number: row.number,
        attributes: serde_json::to_string(&row.attributes).map_err(|_| ArchiveError::Record)?,
        metadata: String::from_utf8(metadata).map_err(|_| ArchiveError::Record)?,
    })
}
