//! Storage commitment (PS3.4 Annex J): what a device asks about is kept until it has its answer, and an object is committed to
//! only after every byte of it was read, decrypted and compared.

use futures_util::StreamExt;
use kluis_dicom::{AeTitle, Uid};
use kluis_index::{Backlog, Job, JobKind, Known, NewJob};
use kluis_policy::{RowFilter, Target};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Archive, ArchiveError, Disclosed, Inner, Instance, Outcome, Permit, act, reader::InstanceReader};

/// Instances of one request at most.
const INSTANCES_MAX: usize = 20_000;

/// Requests of one device that wait for their answer at most.
const PENDING_MAX: u64 = 200;

/// An instance that a device asks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Referenced SOP Class UID (0008,1150).
    pub sop_class: Uid,
    /// Referenced SOP Instance UID (0008,1155).
    pub sop_instance: Uid,
}

/// Why an instance is not committed to (PS3.3 C.14.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncommitted {
    /// It is not here.
    Absent,
    /// It is of another SOP class.
    ClassConflict,
    /// It cannot be read as it was received.
    Unreadable,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// Kept, and whole.
    pub held: Vec<Reference>,
    /// Not committed to.
    pub failed: Vec<(Reference, Uncommitted)>,
}

/// A request that has not been answered.
#[derive(Debug, Clone)]
pub struct PendingCommitment {
    /// Who asked.
    pub device: AeTitle,
    /// Transaction UID (0008,1195).
    pub transaction: Uid,
    /// What about.
    pub references: Vec<Reference>,
    /// How often an answer was sent in vain.
    pub attempts: u32,
    /// When it was asked.
    pub asked_at: OffsetDateTime,
    id: i64,
}

/// What became of a request for commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// It will be answered.
    Taken,
    /// A request with this Transaction UID waits for its answer.
    Known,
    /// It names more instances than one request may, or too many requests of the device wait.
    TooMany,
}

impl Archive {
    /// Takes a request: durable on return.
    ///
    /// # Errors
    /// [`ArchiveError`]: it was not taken.
    pub async fn request_commitment(
        &self,
        permit: Permit<act::Commit>,
        device: &AeTitle,
        transaction: &Uid,
        references: &[Reference],
    ) -> Result<Requested, ArchiveError> {
        if references.len() > INSTANCES_MAX {
            permit.finish(Outcome::Failed);
            return Ok(Requested::TooMany);
        }
        let now = self.clock().now();
        let added = async {
            let backlog = self.inner.outbox.backlog().await?;
            let of_device = |of: &&Backlog| of.kind == JobKind::Commitment && of.destination == device.as_str();
            if backlog.iter().find(of_device).is_some_and(|of| of.count >= PENDING_MAX) {
                return Ok(None);
            }
            let job = NewJob {
                kind: JobKind::Commitment,
                destination: device.as_str().to_owned(),
                subject: transaction.as_str().to_owned(),
                payload: serde_json::to_string(references).map_err(|_| ArchiveError::Record)?,
                priority: 0,
                created_at: now,
                due_at: now,
                place: None,
            };
            Ok::<_, ArchiveError>(Some(self.inner.outbox.add(vec![job]).await?))
        };
        match added.await {
            Ok(None) => {
                permit.finish(Outcome::Failed);
                Ok(Requested::TooMany)
            }
            Ok(Some(added)) => {
                permit.finish(Outcome::Done);
                Ok(if added.first() == Some(&true) { Requested::Taken } else { Requested::Known })
            }
            Err(error) => {
                permit.finish(Outcome::Failed);
                Err(error)
            }
        }
    }

    /// Requests whose answer is due, the oldest first.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub async fn pending_commitments(&self, limit: u32) -> Result<Vec<PendingCommitment>, ArchiveError> {
        let jobs = self.inner.outbox.due(JobKind::Commitment, None, self.clock().now(), limit).await?;
        Ok(jobs.into_iter().filter_map(pending).collect())
    }

    /// Looks at every byte of what a request names.
    ///
    /// # Errors
    /// [`ArchiveError`]: it is not known, as a store failed; to be tried again.
    pub async fn answer_commitment(
        &self,
        permit: Permit<act::Commit>,
        references: &[Reference],
    ) -> Result<Disclosed<Committed>, ArchiveError> {
        let mut committed = Committed::default();
        for reference in references {
            match self.inner.look_at(reference).await {
                Ok(Ok(())) => committed.held.push(reference.clone()),
                Ok(Err(why)) => committed.failed.push((reference.clone(), why)),
                Err(error) => {
                    permit.finish(Outcome::Failed);
                    return Err(error);
                }
            }
        }
        Ok(permit.disclose(committed))
    }

    /// The device has its answer, or will never take one.
    ///
    /// # Errors
    /// [`ArchiveError`]: it will get it once more.
    pub async fn commitment_answered(&self, pending: &PendingCommitment) -> Result<(), ArchiveError> {
        Ok(self.inner.outbox.finish(vec![pending.id]).await?)
    }

    /// The device could not be told; it is tried again then.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub async fn postpone_commitment(
        &self,
        pending: &PendingCommitment,
        until: OffsetDateTime,
    ) -> Result<(), ArchiveError> {
        Ok(self.inner.outbox.postpone(vec![pending.id], until).await?)
    }
}

fn pending(job: Job) -> Option<PendingCommitment> {
    let Job { id, job, attempts } = job;
    // written by us: what cannot be read was never taken
    Some(PendingCommitment {
        device: job.destination.parse().ok()?,
        transaction: job.subject.parse().ok()?,
        references: serde_json::from_str(&job.payload).ok()?,
        attempts,
        asked_at: job.created_at,
        id,
    })
}

impl Inner {
    async fn look_at(&self, reference: &Reference) -> Result<Result<(), Uncommitted>, ArchiveError> {
        let Some(instance) = self.visible_instance(&reference.sop_instance).await? else {
            return Ok(Err(Uncommitted::Absent));
        };
        if instance.ids.sop_class != reference.sop_class {
            return Ok(Err(Uncommitted::ClassConflict));
        }
        match self.is_whole(&instance).await {
            Ok(true) => Ok(Ok(())),
            Ok(false) => Ok(Err(Uncommitted::Unreadable)),
            Err(error) if error.is_damage() => Ok(Err(Uncommitted::Unreadable)),
            Err(error) => Err(error),
        }
    }

    /// The instance that has this UID, hot or sealed.
    async fn visible_instance(&self, sop_instance: &Uid) -> Result<Option<Instance>, ArchiveError> {
        let known = self.index.known(std::slice::from_ref(sop_instance)).await?.into_iter().next();
        let places = match known {
            None | Some(Known::Unknown) => return Ok(None),
            Some(Known::Hot(hot)) => vec![(hot.ids.study, hot.ids.series)],
            Some(Known::Sealed(series)) => series.into_iter().map(|of| (of.study, of.series)).collect(),
        };
        for (study, series) in places {
            let target = Target::instance(study, series, sop_instance.clone());
            let archive = self.instances_of(&RowFilter::All, &target).await?;
            if let Some(instance) = archive.into_iter().next() {
                return Ok(Some(instance));
            }
        }
        Ok(None)
    }

    /// Whether the stored bytes are those that were received.
    async fn is_whole(&self, instance: &Instance) -> Result<bool, ArchiveError> {
        let reader = InstanceReader::open(self, instance, None).await?;
        let mut data_set = std::pin::pin!(reader.data_set());
        let (mut digest, mut length) = (blake3::Hasher::new(), 0_u64);
        while let Some(bytes) = data_set.next().await {
            let bytes = bytes?;
            digest.update(&bytes);
            length = length.saturating_add(bytes.len() as u64);
        }
        Ok(length == instance.data_set_length && digest.finalize() == instance.digest)
    }
}
