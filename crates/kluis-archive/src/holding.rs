//! Retrieving: what a study, series or instance holds, hot and sealed alike.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use kluis_dicom::{Uid, attributes::InstanceIds, json};
use kluis_index::{ConflictRow, InstanceRow, ManifestPointer};
use kluis_keys::{KeyId, ObjectId};
use kluis_policy::{RowFilter, Target, Transport};
use kluis_vault::Location;
use time::OffsetDateTime;

use crate::{
    Archive, ArchiveError, Disclosed, Inner, Outcome, Permit,
    act::Targeted,
    budget::{self, AnswerShare},
    manifest::{BULK_MARK, Manifest, ManifestEntry},
    place,
    record::from_microseconds,
};

/// Why something cannot be retrieved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetrieveError {
    /// There is no such thing, or not for this principal: the two answer alike.
    #[error("not found")]
    NotFound,
    /// The archive could not read it.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// What a target holds, by series and Instance Number.
pub struct Holding {
    /// At least one.
    pub instances: Vec<Instance>,
    /// Memory for the answer, until all who hold this have let go.
    share: Arc<AnswerShare>,
}

impl Holding {
    pub(crate) fn share(&self) -> &Arc<AnswerShare> {
        &self.share
    }
}

/// One instance of a [`Holding`].
pub struct Instance {
    /// Its UIDs.
    pub ids: InstanceIds,
    /// Transfer syntax as stored.
    pub transfer_syntax: Uid,
    /// Bytes of the data set as stored.
    pub data_set_length: u64,
    /// BLAKE3 over the data set as stored.
    pub digest: [u8; 32],
    /// When it was received.
    pub received_at: OffsetDateTime,
    /// How it travelled.
    pub transport: Transport,
    /// Instance Number (0020,0013).
    pub number: Option<i64>,
    pub(crate) location: Location,
    pub(crate) object_id: ObjectId,
    pub(crate) key_id: KeyId,
    manifest: Option<Arc<Manifest>>,
}

impl Archive {
    /// What the target of the permit holds.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`] where it holds nothing that the permit lets see.
    pub async fn holding<A: Targeted>(&self, permit: Permit<A>) -> Result<Disclosed<Holding>, RetrieveError> {
        let target = permit.act().target().clone();
        let found = async {
            let share = self.inner.budget.answer().await?;
            Ok((self.instances(permit.rows(), &target).await?, share))
        };
        let (instances, share) = match found.await {
            Ok(found) => found,
            Err(error) => {
                permit.finish(Outcome::Failed);
                return Err(RetrieveError::Archive(error));
            }
        };
        if instances.is_empty() {
            permit.finish(Outcome::Absent);
            return Err(RetrieveError::NotFound);
        }
        Ok(permit.disclose(Holding { instances, share }))
    }

    pub(crate) async fn instances(&self, rows: &RowFilter, target: &Target) -> Result<Vec<Instance>, ArchiveError> {
        self.inner.instances_of(rows, target).await
    }

    /// The metadata of one instance as a DICOM JSON object (PS3.18 F), its bulk values addressed below `instance_url`.
    ///
    /// # Errors
    /// [`RetrieveError::Archive`] where it cannot be read.
    pub async fn metadata(
        &self,
        holding: &Disclosed<Holding>,
        instance: &Instance,
        instance_url: &str,
    ) -> Result<Bytes, RetrieveError> {
        let kept = instance.manifest.as_ref().and_then(|manifest| manifest.entry(&instance.ids.sop_instance));
        if let Some(entry) = kept {
            let address = format!("\"BulkDataURI\":\"{instance_url}");
            return Ok(entry.metadata.replace(BULK_MARK, &address).into());
        }
        let reader = self.open_instance(holding, instance).await?;
        let header = self.inner.budget.header(reader.outline().header.as_bytes().len()).await?;
        let mut text = Vec::new();
        json::write(reader.outline(), &|index| format!("{instance_url}/bulkdata/{index}"), &mut text);
        drop((reader, header));
        let memory = holding.share.opened(text.len()).await?;
        Ok(budget::counted(text.into(), memory))
    }
}

impl Inner {
    pub(crate) async fn instances_of(&self, rows: &RowFilter, target: &Target) -> Result<Vec<Instance>, ArchiveError> {
        let index = &self.index;
        let hot = index.instances(&target.study, target.series.as_ref(), target.instance.as_ref(), rows).await?;
        if let (Some(_), [row]) = (&target.instance, hot.as_slice()) {
            return Ok(vec![Instance::from_row(row.clone())]);
        }
        let mut instances = Vec::new();
        for series in index.series_of(&target.study, rows).await? {
            if target.series.as_ref().is_some_and(|wanted| *wanted != series.uid) {
                continue;
            }
            let from = instances.len();
            if let Some(pointer) = &series.manifest {
                self.add_sealed(&mut instances, KeyId(series.key_id), pointer, target).await?;
            }
            // rows that were sealed between the two looks stand in the manifest too
            let sealed: HashSet<[u8; 16]> =
                instances.iter().skip(from).map(|instance: &Instance| instance.object_id.0).collect();
            let own = hot.iter().filter(|row| row.ids.series == series.uid && !sealed.contains(&row.object_id));
            instances.extend(own.cloned().map(Instance::from_row));
            if let Some(added) = instances.get_mut(from..) {
                added.sort_by_key(|instance| instance.number.unwrap_or(i64::MAX));
            }
        }
        Ok(instances)
    }

    async fn add_sealed(
        &self,
        instances: &mut Vec<Instance>,
        key_id: KeyId,
        pointer: &ManifestPointer,
        target: &Target,
    ) -> Result<(), ArchiveError> {
        let manifest = self.manifests.read(self, key_id, pointer).await?;
        match &target.instance {
            Some(sop_instance) => {
                if let Some(entry) = manifest.entry(sop_instance) {
                    instances.push(Instance::from_entry(entry, &manifest, key_id));
                }
            }
            None => {
                instances.extend(manifest.entries.iter().map(|entry| Instance::from_entry(entry, &manifest, key_id)));
            }
        }
        Ok(())
    }
}

impl Instance {
    fn from_row(row: InstanceRow) -> Self {
        Self {
            ids: row.ids,
            transfer_syntax: row.transfer_syntax,
            data_set_length: row.data_set_length,
            digest: row.digest,
            received_at: row.received_at,
            transport: row.transport,
            number: row.number,
            location: place::to_vault(row.location),
            object_id: ObjectId(row.object_id),
            key_id: KeyId(row.key_id),
            manifest: None,
        }
    }

    /// Another version under a known SOP Instance UID; never part of a [`Holding`].
    pub(crate) fn from_conflict(row: ConflictRow) -> Self {
        Self {
            ids: row.ids,
            transfer_syntax: row.transfer_syntax,
            data_set_length: row.data_set_length,
            digest: row.digest,
            received_at: row.received_at,
            transport: row.transport,
            number: None,
            location: place::to_vault(row.location),
            object_id: ObjectId(row.object_id),
            key_id: KeyId(row.key_id),
            manifest: None,
        }
    }

    fn from_entry(entry: &ManifestEntry, manifest: &Arc<Manifest>, key_id: KeyId) -> Self {
        Self {
            ids: entry.ids(manifest),
            transfer_syntax: entry.transfer_syntax.clone(),
            data_set_length: entry.data_set_length,
            digest: entry.digest,
            received_at: from_microseconds(entry.received_at_us),
            transport: entry.transport,
            number: entry.number,
            location: entry.location,
            object_id: entry.object_id(),
            key_id,
            manifest: Some(Arc::clone(manifest)),
        }
    }
}
