//! Sealing: the hot rows of a quiet series become one manifest in the vault.

use kluis_dicom::json;
use kluis_index::{InstanceRow, SealCandidate};
use kluis_keys::{KeyId, ObjectId};
use kluis_policy::RowFilter;

use crate::{
    Archive, ArchiveError, Inner,
    manifest::{Manifest, ManifestEntry},
    place,
    record::{InstanceRecord, microseconds},
};

/// Series that are sealed in one round at most.
const ROUND: u32 = 64;

impl Archive {
    /// Seals the series into which nothing came for [`crate::Settings::seal_after`]. Returns how many.
    ///
    /// # Errors
    /// The first [`ArchiveError`]; that series stays hot and is tried again in the next round, the others are sealed.
    pub async fn seal_quiet(&self) -> Result<u32, ArchiveError> {
        let inner = &self.inner;
        let _turn = inner.sealing.lock().await;
        let quiet_since = inner.clock.now() - inner.settings.seal_after;
        let (mut sealed, mut failure) = (0, None);
        for candidate in inner.index.series_to_seal(quiet_since, ROUND).await? {
            match seal_series(inner, &candidate).await {
                Ok(is_sealed) => sealed += u32::from(is_sealed),
                // one damaged record must not keep all other series hot
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(sealed), Err)
    }
}

/// `false` where an instance came meanwhile: then the manifest just written is not used.
async fn seal_series(inner: &Inner, candidate: &SealCandidate) -> Result<bool, ArchiveError> {
    let key_id = KeyId(candidate.key_id);
    let rows = inner.index.instances(&candidate.study, Some(&candidate.series), None, &RowFilter::All).await?;
    let mut entries = match &candidate.manifest {
        Some(pointer) => inner.manifests.read(inner, key_id, pointer).await?.entries.clone(),
        None => Vec::new(),
    };
    let row_keys: Vec<i64> = rows.iter().map(|row| row.row_key).collect();
    for row in rows {
        entries.push(entry(inner, row).await?);
    }
    entries.sort_by_key(|entry| (entry.number.unwrap_or(i64::MAX), entry.received_at_us));
    let manifest = Manifest { study: candidate.study.clone(), series: candidate.series.clone(), entries };
    let pointer = manifest.write(inner, key_id).await?;
    Ok(inner.index.seal(candidate, &pointer, &row_keys).await?)
}

async fn entry(inner: &Inner, row: InstanceRow) -> Result<ManifestEntry, ArchiveError> {
    let key = inner.study_keys.get(KeyId(row.key_id)).await?.ok_or(ArchiveError::KeyDestroyed)?;
    let location = place::to_vault(row.location);
    let object = inner.vault.open(location, &key).await?;
    if object.header().object != ObjectId(row.object_id) {
        return Err(ArchiveError::WrongRecord);
    }
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
