//! Replay: what stands in the packs behind the watermark is brought into index and ledger again.
//!
//! After a crash index and ledger may lack the last acknowledged objects; the packs never do. The same code makes the
//! whole index anew when it was lost. It does nothing for a record whose row and leaf are there.

use std::{collections::HashSet, sync::Arc};

use kluis_dicom::attributes::extract;
use kluis_index::{Known, ManifestPointer, SealCandidate};
use kluis_keys::KeyId;
use kluis_policy::RowFilter;
use kluis_vault::{Location, Position, RecordHeader, RecordKind};

use crate::{
    Archive, ArchiveError, Inner,
    accept::Acceptance,
    manifest::ManifestHead,
    place,
    record::{InstanceRecord, Leaf},
    store::new_instance,
};

/// Records looked at in one step.
const STEP: u32 = 256;

/// Leaves read in one step.
const LEAVES_STEP: u64 = 4_096;

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Records behind the watermark.
    pub records: u64,
    /// Objects that were not in the index.
    pub objects: u64,
    /// Leaves that were not in the ledger.
    pub leaves: u64,
    /// Records whose study key was destroyed, or that belong to no version any more.
    pub skipped: u64,
}

impl Archive {
    /// Forgets the index and makes it anew from packs and keys alone.
    ///
    /// # Errors
    /// [`ArchiveError`] where a record cannot be read; run it again after the cause was mended.
    pub async fn rebuild_index(&self) -> Result<Replayed, ArchiveError> {
        let _quiet = self.inner.ingest.write().await;
        self.inner.index.clear().await?;
        replay(&self.inner).await
    }
}

pub(crate) async fn replay(inner: &Arc<Inner>) -> Result<Replayed, ArchiveError> {
    let watermark = inner.index.watermark().await?;
    let mut position =
        watermark.map_or_else(Position::default, |mark| Position { pack: mark.pack, offset: mark.offset });
    let known_leaves = leaves_behind(inner, watermark.map_or(0, |mark| mark.objects_size))?;
    let mut replayed = Replayed::default();
    loop {
        let records = inner.vault.scan(position, STEP).await?;
        let Some((last, _)) = records.last() else {
            break;
        };
        position = Position { pack: last.pack, offset: last.offset.saturating_add(last.length) };
        for (location, header) in &records {
            replayed.records += 1;
            match header.kind {
                RecordKind::Manifest => replay_manifest(inner, *location, header, &mut replayed).await?,
                RecordKind::Instance | RecordKind::Conflict => {
                    replay_instance(inner, *location, header, &known_leaves, &mut replayed).await?;
                }
                _ => replayed.skipped += 1,
            }
        }
    }
    Ok(replayed)
}

/// Object ids of the leaves from `from` on: as a crash can only take leaves off the end, no others can be missing.
fn leaves_behind(inner: &Inner, from: u64) -> Result<HashSet<String>, ArchiveError> {
    let size = inner.objects.size();
    let mut objects = HashSet::new();
    let mut at = from.min(size);
    while at < size {
        let end = size.min(at + LEAVES_STEP);
        for entry in inner.objects.entries(at..end)? {
            let leaf: Leaf = serde_json::from_slice(&entry).map_err(|_| ArchiveError::Record)?;
            objects.insert(leaf.object);
        }
        at = end;
    }
    Ok(objects)
}

async fn replay_instance(
    inner: &Inner,
    location: Location,
    header: &RecordHeader,
    known_leaves: &HashSet<String>,
    replayed: &mut Replayed,
) -> Result<(), ArchiveError> {
    let Some(key) = inner.study_keys.get(header.key).await? else {
        replayed.skipped += 1;
        return Ok(());
    };
    let object = inner.vault.open(location, &key).await?;
    let record = InstanceRecord::from_bytes(object.metadata())?;
    let leaf = record.leaf(header.object, header.key, &key);
    let attributes = extract(&record.outline).map_err(|_| ArchiveError::Record)?;
    let instance = new_instance(&record, attributes, location, header.object, header.key, object.plain_len());
    let is_version = match inner.insert(vec![instance]).await?.first() {
        Some(Acceptance::New) => {
            replayed.objects += 1;
            true
        }
        Some(Acceptance::Conflict | Acceptance::Duplicate) => is_current(inner, header, &record).await?,
        None => false,
    };
    if !is_version {
        // the second of two that came at once with the same bytes
        replayed.skipped += 1;
        return Ok(());
    }
    if !known_leaves.contains(&header.object.to_string()) {
        inner.objects.append(&[leaf])?;
        replayed.leaves += 1;
    }
    Ok(())
}

/// Whether the index holds this very record, as visible or as conflict version.
pub(crate) async fn is_current(
    inner: &Inner,
    header: &RecordHeader,
    record: &InstanceRecord,
) -> Result<bool, ArchiveError> {
    let object_id = header.object.0;
    let visible = match inner.index.known(std::slice::from_ref(&record.ids)).await?.into_iter().next() {
        Some(Known::Hot(hot)) => hot.object_id == object_id,
        Some(Known::SeriesSealed(pointer)) => {
            let manifest = inner.manifests.read(inner, header.key, &pointer).await?;
            manifest.entry(&record.ids.sop_instance).is_some_and(|entry| entry.object_id == object_id)
        }
        Some(Known::Unknown) | None => false,
    };
    if visible {
        return Ok(true);
    }
    let conflicts = inner.index.conflicts(&record.ids.sop_instance).await?;
    Ok(conflicts.iter().any(|conflict| conflict.object_id == object_id))
}

async fn replay_manifest(
    inner: &Inner,
    location: Location,
    header: &RecordHeader,
    replayed: &mut Replayed,
) -> Result<(), ArchiveError> {
    let Some(key) = inner.study_keys.get(header.key).await? else {
        replayed.skipped += 1;
        return Ok(());
    };
    let object = inner.vault.open(location, &key).await?;
    let head: ManifestHead = postcard::from_bytes(object.metadata()).map_err(|_| ArchiveError::Record)?;
    let series = inner.index.series_of(&head.study, &RowFilter::All).await?;
    let Some(row) = series.into_iter().find(|row| row.uid == head.series) else {
        replayed.skipped += 1;
        return Ok(());
    };
    let place = place::to_index(location);
    if row.manifest.is_some_and(|manifest| manifest.location >= place) {
        return Ok(());
    }
    let pointer = ManifestPointer { location: place, count: head.count, data_length: head.data_length };
    let manifest = inner.manifests.read(inner, KeyId(row.key_id), &pointer).await?;
    let hot = inner.index.instances(&head.study, Some(&head.series), None, &RowFilter::All).await?;
    let is_whole = hot
        .iter()
        .all(|instance| manifest.entry(&instance.ids.sop_instance).is_some_and(|e| e.object_id == instance.object_id));
    let candidate = SealCandidate {
        study: head.study,
        series: head.series,
        series_key: row.series_key,
        key_id: row.key_id,
        manifest: row.manifest,
        hot_count: row.hot_count,
        last_arrival: row.last_arrival,
    };
    let row_keys: Vec<i64> = hot.iter().map(|instance| instance.row_key).collect();
    if !is_whole || !inner.index.seal(&candidate, &pointer, &row_keys).await? {
        // it lost against an instance that came meanwhile, then as now: the series stays hot and is sealed again
        replayed.skipped += 1;
    }
    Ok(())
}
