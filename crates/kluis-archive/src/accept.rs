//! Makes durable objects visible, in batches: index rows, then ledger leaves, then the answers to the senders.
//!
//! One task does this for the whole node: so two senders of the same instance cannot both be the first, and all
//! objects that wait share one transaction. Nothing here is synced: the packs are the write-ahead log, and what a crash
//! takes from index and ledger is replayed from them ([`crate::replay`]).

use std::sync::Arc;

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
    Conflict,
}

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
            Ok(acceptances) => {
                for (answer, acceptance) in answers.into_iter().zip(acceptances) {
                    // a sender that has gone away has its object kept all the same
                    let _ = answer.send(Ok(acceptance));
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

async fn accept_batch(inner: &Inner, batch: Vec<Accepted>) -> Result<Vec<Acceptance>, ArchiveError> {
    let (instances, leaves): (Vec<NewInstance>, Vec<Vec<u8>>) =
        batch.into_iter().map(|accepted| (accepted.instance, accepted.leaf)).unzip();
    let acceptances = inner.insert(instances).await?;
    let new: Vec<Vec<u8>> = leaves
        .into_iter()
        .zip(&acceptances)
        .filter(|(_, acceptance)| !matches!(acceptance, Acceptance::Duplicate))
        .map(|(leaf, _)| leaf)
        .collect();
    if !new.is_empty() {
        inner.objects.append(&new)?;
    }
    Ok(acceptances)
}

impl Inner {
    /// Inserts rows, all in one transaction; instances of sealed series are looked for in the manifest first.
    pub(crate) async fn insert(&self, instances: Vec<NewInstance>) -> Result<Vec<Acceptance>, ArchiveError> {
        let inserted = self.index.insert(instances.clone()).await?;
        let mut acceptances = Vec::with_capacity(inserted.len());
        for (outcome, instance) in inserted.into_iter().zip(instances) {
            acceptances.push(match outcome {
                Inserted::New => Acceptance::New,
                Inserted::Duplicate => Acceptance::Duplicate,
                Inserted::Conflict => Acceptance::Conflict,
                Inserted::Sealed(pointer) => self.insert_beside_manifest(instance, pointer).await?,
            });
        }
        Ok(acceptances)
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
                self.index.insert_conflicts(vec![instance]).await?;
                return Ok(Acceptance::Conflict);
            }
            instance.absent_from = Some(pointer.location);
            match self.index.insert(vec![instance.clone()]).await?.first() {
                Some(Inserted::New) => return Ok(Acceptance::New),
                Some(Inserted::Duplicate) => return Ok(Acceptance::Duplicate),
                Some(Inserted::Conflict) => return Ok(Acceptance::Conflict),
                // sealed anew between the two: look into the newer manifest
                Some(Inserted::Sealed(newer)) => pointer = *newer,
                None => return Err(ArchiveError::Stopped),
            }
        }
    }
}
