//! Makes durable objects visible, in batches: index rows, then ledger leaves, then the answers to the senders.
//!
//! One task does this for the whole node: so two senders of the same instance cannot both be the first, and all
//! objects that wait share one transaction. Nothing here is synced: the packs are the write-ahead log, and what a crash
//! takes from index and ledger is replayed from them ([`crate::replay`]).

use std::sync::{Arc, PoisonError};

use kluis_index::{Inserted, ManifestPointer, NewInstance};
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

/// A durable object.
#[derive(Clone)]
pub(crate) struct Accepted {
    pub(crate) instance: NewInstance,
    pub(crate) leaf: Vec<u8>,
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
        match accept_batch(&inner, accepted).await {
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

async fn accept_batch(inner: &Inner, batch: Vec<Accepted>) -> Result<Vec<Outcome>, ArchiveError> {
    // no rows while leaves of earlier ones are owed: so at most one batch of rows is ahead of the ledger
    inner.append_leaves(Vec::new())?;
    let (instances, leaves): (Vec<NewInstance>, Vec<Vec<u8>>) =
        batch.into_iter().map(|accepted| (accepted.instance, accepted.leaf)).unzip();
    let outcomes = inner.insert(instances).await?;
    let new = leaves.into_iter().zip(&outcomes);
    let new = new.filter(|(_, outcome)| outcome.as_ref().is_ok_and(|acceptance| acceptance.is_version()));
    inner.append_leaves(new.map(|(leaf, _)| leaf).collect())?;
    Ok(outcomes)
}

impl Inner {
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
    pub(crate) async fn insert(&self, instances: Vec<NewInstance>) -> Result<Vec<Outcome>, ArchiveError> {
        let inserted = self.index.insert(instances.clone()).await?;
        let mut acceptances = Vec::with_capacity(inserted.len());
        for (outcome, instance) in inserted.into_iter().zip(instances) {
            acceptances.push(match outcome {
                Inserted::New => Ok(Acceptance::New),
                Inserted::Duplicate => Ok(Acceptance::Duplicate),
                Inserted::Conflict => self.conflict(&instance).await,
                Inserted::Sealed(pointer) => self.insert_beside_manifest(instance, pointer).await,
            });
        }
        Ok(acceptances)
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
        mut pointer: ManifestPointer,
    ) -> Result<Acceptance, ArchiveError> {
        loop {
            let manifest = self.manifests.read(self, KeyId(instance.key_id), &pointer).await?;
            if let Some(known) = manifest.entry(&instance.attributes.ids.sop_instance) {
                if known.digest == instance.digest {
                    return Ok(Acceptance::Duplicate);
                }
                self.index.insert_conflicts(vec![instance.clone()]).await?;
                return self.conflict(&instance).await;
            }
            instance.absent_from = Some(pointer.location);
            match self.index.insert(vec![instance.clone()]).await?.first() {
                Some(Inserted::New) => return Ok(Acceptance::New),
                Some(Inserted::Duplicate) => return Ok(Acceptance::Duplicate),
                Some(Inserted::Conflict) => return self.conflict(&instance).await,
                // sealed anew between the two: look into the newer manifest
                Some(Inserted::Sealed(newer)) => pointer = *newer,
                None => return Err(ArchiveError::Stopped),
            }
        }
    }
}
