//! Makes durable objects visible, in batches: index rows, then ledger leaves, then the answers to the senders.
//!
//! One task does this for the whole node: so two senders of the same instance cannot both be the first, and all
//! objects that wait share one transaction. Nothing here is synced: the packs are the write-ahead log, and what a crash
//! takes from index and ledger is replayed from them ([`crate::replay`]).

use std::sync::{Arc, PoisonError};

use kluis_index::{Inserted, Known, NewInstance, SealedSeries};
use kluis_keys::KeyId;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{ArchiveError, Inner};

/// Objects that wait for the task at most; more senders wait for a place.
const QUEUE: usize = 1_024;

/// Objects in one transaction at most.
const BATCH: usize = 512;

/// Objects that are remembered while the index fails.
const DOUBTFUL_MAX: usize = 4_096;

/// Manifests in which one SOP Instance UID is looked for at most: as many share a hash only when someone wants it so.
const ABSENT_MAX: usize = 1_000;

/// A durable object.
#[derive(Clone)]
pub(crate) struct Accepted {
    pub(crate) instance: NewInstance,
    pub(crate) leaf: Vec<u8>,
}

impl Accepted {
    fn again((instance, leaf): (&NewInstance, Vec<u8>)) -> Self {
        Self { instance: instance.clone(), leaf }
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acceptance {
    New,
    Duplicate,
    /// Other bytes, kept aside.
    Conflict,
    /// Other bytes that were kept aside before: this record is of no use.
    KnownConflict,
}

impl Acceptance {
    /// Whether the record is a version of its own, and so has a leaf.
    pub(crate) fn is_version(self) -> bool {
        matches!(self, Self::New | Self::Conflict)
    }
}

/// What became of one object of a batch.
type Outcome = Result<Acceptance, ArchiveError>;

type Answer = Result<Acceptance, Arc<ArchiveError>>;

struct Request {
    accepted: Accepted,
    answer: oneshot::Sender<Answer>,
}

/// The way to the task.
#[derive(Clone)]
pub(crate) struct Acceptor {
    queue: mpsc::Sender<Request>,
}

impl Acceptor {
    /// Starts the task. It ends when the last `Acceptor` is dropped.
    pub(crate) fn start(inner: Arc<Inner>) -> (Self, JoinHandle<()>) {
        let (queue, requests) = mpsc::channel(QUEUE);
        let task = tokio::spawn(run(requests, inner));
        (Self { queue }, task)
    }

    /// Waits until the object is in the index and its leaf in the ledger.
    pub(crate) async fn accept(&self, accepted: Accepted) -> Result<Acceptance, ArchiveError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Request { accepted, answer }).await.map_err(|_| ArchiveError::Stopped)?;
        answered.await.map_err(|_| ArchiveError::Stopped)?.map_err(ArchiveError::Shared)
    }
}

async fn run(mut requests: mpsc::Receiver<Request>, inner: Arc<Inner>) {
    let mut batch = Vec::with_capacity(BATCH);
    while requests.recv_many(&mut batch, BATCH).await > 0 {
        let (accepted, answers): (Vec<Accepted>, Vec<oneshot::Sender<Answer>>) =
            batch.drain(..).map(|request| (request.accepted, request.answer)).unzip();
        let (instances, leaves) = accepted.into_iter().map(|accepted| (accepted.instance, accepted.leaf)).unzip();
        match accept_batch(&inner, Vec::into(instances), leaves).await {
            Ok(outcomes) => {
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    if let Err(error) = &outcome {
                        tracing::error!(error = %crate::error::chain(error), "an object was not accepted");
                    }
                    // a sender that has gone away has its object kept all the same
                    let _ = answer.send(outcome.map_err(Arc::new));
                }
            }
            Err(error) => {
                tracing::error!(error = %crate::error::chain(&error), "a batch of objects was not accepted");
                let error = Arc::new(error);
                for answer in answers {
                    let _ = answer.send(Err(Arc::clone(&error)));
                }
            }
        }
    }
}

async fn accept_batch(
    inner: &Inner,
    instances: Arc<[NewInstance]>,
    leaves: Vec<Vec<u8>>,
) -> Result<Vec<Outcome>, ArchiveError> {
    // no rows while leaves of earlier ones are owed: so at most one batch of rows is ahead of the ledger
    let settled = inner.settle_owed().await;
    let batch = instances.iter().zip(leaves);
    let inserted = match settled {
        Ok(_) => inner.insert(Arc::clone(&instances)).await,
        // durable in the packs all the same: a watermark must not pass them
        Err(error) => Err(error),
    };
    let outcomes = match inserted {
        Ok(outcomes) => outcomes,
        Err(error) => {
            inner.doubtful.lock().await.add(batch.map(Accepted::again).collect());
            return Err(error);
        }
    };
    let (mut versions, mut doubtful) = (Vec::new(), Vec::new());
    for ((instance, leaf), outcome) in batch.zip(&outcomes) {
        match outcome {
            Ok(acceptance) if acceptance.is_version() => versions.push(leaf),
            Ok(_) => {}
            Err(error) if error.is_damage() => {}
            Err(_) => doubtful.push(Accepted::again((instance, leaf))),
        }
    }
    inner.doubtful.lock().await.add(doubtful);
    let visible = instances.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Ok(Acceptance::New)));
    inner.owe_jobs(&visible.map(|(instance, _)| instance).collect::<Vec<_>>())?;
    inner.append_leaves(versions)?;
    // before the senders have their answers: what they were promised is also passed on
    inner.settle_jobs().await?;
    Ok(outcomes)
}

/// Objects that are durable in the packs while the index failed: whether it has taken them is not known. Their senders
/// were told that they are not kept. No watermark passes them, or nobody would ever look at them again.
#[derive(Default)]
pub(crate) struct Doubtful {
    accepted: Vec<Accepted>,
    /// There were more than are remembered: only a replay finds the others.
    is_overfull: bool,
}

impl Doubtful {
    fn add(&mut self, accepted: Vec<Accepted>) {
        let room = DOUBTFUL_MAX.saturating_sub(self.accepted.len());
        self.is_overfull |= accepted.len() > room;
        self.accepted.extend(accepted.into_iter().take(room));
    }

    /// A replay has looked at all that is in the packs.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Inner {
    /// Brings to an end what could not be done before. Says whether nothing is left: `false` where only the next start
    /// finds the rest.
    pub(crate) async fn settle_owed(&self) -> Result<bool, ArchiveError> {
        self.append_leaves(Vec::new())?;
        self.settle_jobs().await?;
        let mut doubtful = self.doubtful.lock().await;
        if doubtful.accepted.is_empty() {
            return Ok(!doubtful.is_overfull);
        }
        let instances = doubtful.accepted.iter().map(|accepted| accepted.instance.clone()).collect();
        let outcomes = self.insert(instances).await;
        // also where it failed: some may be in
        self.arrivals.renew();
        let outcomes = outcomes?;
        let (mut leaves, mut left) = (Vec::new(), Vec::new());
        for (accepted, outcome) in doubtful.accepted.iter().zip(outcomes) {
            match outcome {
                Ok(acceptance) if acceptance.is_version() => {
                    leaves.push(accepted.leaf.clone());
                    if acceptance == Acceptance::New {
                        self.owe_jobs(&[&accepted.instance])?;
                    }
                }
                // it was inserted the first time, and only the answer was lost
                Ok(Acceptance::Duplicate) if self.is_row_of(&accepted.instance).await? => {
                    leaves.push(accepted.leaf.clone());
                    self.owe_jobs(&[&accepted.instance])?;
                }
                Ok(_) => {}
                Err(error) if error.is_damage() => {}
                Err(_) => left.push(accepted.clone()),
            }
        }
        doubtful.accepted = left;
        let is_settled = doubtful.accepted.is_empty() && !doubtful.is_overfull;
        drop(doubtful);
        self.append_leaves(leaves)?;
        self.settle_jobs().await?;
        Ok(is_settled)
    }

    /// Appends leaves to the objects log, those first that could not be appended before. What fails stays owed, and no
    /// watermark is taken meanwhile: at the latest a replay appends it.
    pub(crate) fn append_leaves(&self, new: Vec<Vec<u8>>) -> Result<(), ArchiveError> {
        let mut owed = self.owed_leaves.lock().unwrap_or_else(PoisonError::into_inner);
        owed.extend(new);
        if !owed.is_empty() {
            self.objects.append(&owed)?;
            owed.clear();
        }
        Ok(())
    }

    /// Inserts rows, all in one transaction; instances of sealed series are looked for in the manifest first. One whose
    /// manifest cannot be read fails alone: the rows of the others are there already.
    pub(crate) async fn insert(&self, instances: Arc<[NewInstance]>) -> Result<Vec<Outcome>, ArchiveError> {
        let inserted = self.index.insert(Arc::clone(&instances)).await?;
        let mut acceptances = Vec::with_capacity(inserted.len());
        for (outcome, instance) in inserted.into_iter().zip(instances.iter()) {
            acceptances.push(match outcome {
                Inserted::New => Ok(Acceptance::New),
                Inserted::Duplicate => Ok(Acceptance::Duplicate),
                Inserted::Conflict => self.conflict(instance).await,
                Inserted::Sealed(series) => self.insert_beside_manifest(instance.clone(), series).await,
            });
        }
        Ok(acceptances)
    }

    /// Whether the visible row of this instance is of this very record.
    pub(crate) async fn is_row_of(&self, instance: &NewInstance) -> Result<bool, ArchiveError> {
        let ids = &instance.attributes.ids;
        Ok(match self.index.known(std::slice::from_ref(&ids.sop_instance)).await?.into_iter().next() {
            Some(Known::Hot(hot)) => hot.object_id == instance.object_id,
            Some(Known::Sealed(series)) => {
                let sealed = self.sealed_instance(&series, &ids.sop_instance).await?;
                sealed.is_some_and(|entry| entry.object_id == instance.object_id)
            }
            Some(Known::Unknown) | None => false,
        })
    }

    /// The index keeps the same bytes as a conflict once: whether it is this record that it kept.
    async fn conflict(&self, instance: &NewInstance) -> Outcome {
        let kept = self.index.conflicts(&instance.attributes.ids.sop_instance).await?;
        let is_kept = kept.iter().any(|conflict| conflict.object_id == instance.object_id);
        Ok(if is_kept { Acceptance::Conflict } else { Acceptance::KnownConflict })
    }

    async fn insert_beside_manifest(
        &self,
        mut instance: NewInstance,
        mut series: SealedSeries,
    ) -> Result<Acceptance, ArchiveError> {
        loop {
            let manifest = self.manifests.read(self, KeyId(series.key_id), &series.manifest).await?;
            if let Some(known) = manifest.entry(&instance.attributes.ids.sop_instance) {
                if known.digest == instance.digest {
                    return Ok(Acceptance::Duplicate);
                }
                self.index.insert_conflicts(vec![instance.clone()]).await?;
                return self.conflict(&instance).await;
            }
            if instance.absent_from.len() >= ABSENT_MAX {
                return Err(ArchiveError::Stopped);
            }
            instance.absent_from.push(series.manifest.location);
            match self.index.insert([instance.clone()].into()).await?.first() {
                Some(Inserted::New) => return Ok(Acceptance::New),
                Some(Inserted::Duplicate) => return Ok(Acceptance::Duplicate),
                Some(Inserted::Conflict) => return self.conflict(&instance).await,
                // another one with the same hash, or sealed anew between the two: look there too
                Some(Inserted::Sealed(next)) => series = next.clone(),
                None => return Err(ArchiveError::Stopped),
            }
        }
    }
}
