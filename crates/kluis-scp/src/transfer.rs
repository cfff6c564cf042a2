//! Query/Retrieve service class, provider of C-MOVE (PS3.4 C.4.2): what a C-GET would give goes to an enrolled device, over
//! associations of its own.

use std::sync::{Arc, Mutex, PoisonError};

use kluis_archive::Archive;
use kluis_dicom::{AeTitle, Uid, transfer_syntax::Encoding};
use kluis_dimse::{
    MoveRequest, Object, Objects, Outcome, Transfer, Transferred,
    association::Context,
    command::{Counts, Status},
    requestor::{Stored, offers},
};
use kluis_identity::Device;
use kluis_policy::{Operation, Target};
use tokio::{
    sync::{Mutex as Shared, watch},
    task::JoinSet,
};

use crate::{
    answer,
    dialer::{Called, Dialer},
    find::Asker,
    get::{Asked, DataSet, Retrieved, StillProved, look_up},
    limits,
};

/// Looks up the destination and what is to be sent, and begins to send it.
pub(crate) async fn begin<P: StillProved>(
    asker: Asker,
    request: MoveRequest,
    proved: P,
    dialer: Dialer,
    originator: AeTitle,
) -> Result<Sending, Outcome> {
    let destination = destination(&asker, &request, &dialer).await?;
    let asked = Asked {
        sop_class: &request.sop_class,
        transfer_syntax: &request.transfer_syntax,
        identifier: &request.identifier,
        destination: Some(destination.ae.clone()),
    };
    let encoding = answer::encoding(request.transfer_syntax.as_str()).ok_or(Status::PROCESSING_FAILURE)?;
    let retrieved = look_up(asker, &asked, proved).await?;
    let summary = Arc::new(Mutex::new(Summary::of(retrieved.remaining())));
    let (tell, told) = watch::channel(());
    let (cancel, cancelled) = watch::channel(false);
    let move_ = Move {
        dialer,
        destination,
        originator,
        message_id: request.message_id,
        summary: Arc::clone(&summary),
        tell,
        cancelled,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::new(move_).perform(retrieved));
    Ok(Sending { told, cancel, summary, encoding, _tasks: tasks })
}

/// The device to send to. Who may not have anything sent learns nothing of who is enrolled.
async fn destination(asker: &Asker, request: &MoveRequest, dialer: &Dialer) -> Result<Device, Outcome> {
    let unknown = || told(Status::DESTINATION_UNKNOWN, "no device of this title is enrolled with an address");
    let Some(title) = &request.destination else {
        return Err(asker.refused(Some(&asker.ae)).await.unwrap_or_else(unknown));
    };
    let wanted = Operation::Move { target: Target::study(request.sop_class.clone()), destination: title.clone() };
    if !Archive::would_allow(&asker.principal, &wanted) {
        return Err(asker.refused(Some(title)).await.unwrap_or_else(unknown));
    }
    let now = asker.archive.clock().now();
    match dialer.authenticator().destination(title, now).await {
        Ok(Some(device)) => Ok(device),
        Ok(None) => Err(asker.refused(Some(title)).await.unwrap_or_else(unknown)),
        Err(error) => {
            tracing::error!(%error, "the directory cannot be asked for a destination");
            Err(told(Status::PROCESSING_FAILURE, "try again later"))
        }
    }
}

/// How far a C-MOVE is.
#[derive(Debug, Default)]
struct Summary {
    counts: Counts,
    failed: Vec<Uid>,
    outcome: Option<Outcome>,
}

impl Summary {
    fn of(remaining: usize) -> Self {
        let remaining = u16::try_from(remaining).unwrap_or(u16::MAX);
        Self { counts: Counts { remaining, ..Counts::default() }, ..Self::default() }
    }
}

/// A C-MOVE under way, as the association of who asked for it sees it.
pub(crate) struct Sending {
    told: watch::Receiver<()>,
    cancel: watch::Sender<bool>,
    summary: Arc<Mutex<Summary>>,
    encoding: Encoding,
    /// Ends with this.
    _tasks: JoinSet<()>,
}

impl Transfer for Sending {
    async fn progress(&mut self) -> Option<Counts> {
        self.told.changed().await.ok()?;
        Some(self.summary.lock().unwrap_or_else(PoisonError::into_inner).counts)
    }

    fn cancel(&mut self) {
        self.cancel.send_replace(true);
    }

    fn finish(self) -> Transferred {
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        let failed_list = match summary.failed.as_slice() {
            [] => Vec::new(),
            failed => answer::failed_list(failed, self.encoding),
        };
        Transferred { counts: summary.counts, failed_list, outcome: summary.outcome.take() }
    }
}

/// A C-MOVE under way.
struct Move {
    dialer: Dialer,
    destination: Device,
    originator: AeTitle,
    message_id: u16,
    summary: Arc<Mutex<Summary>>,
    tell: watch::Sender<()>,
    cancelled: watch::Receiver<bool>,
}

impl Move {
    async fn perform<P: StillProved>(self: Arc<Self>, mut retrieved: Retrieved<P>) {
        if retrieved.remaining() == 0 {
            retrieved.complete();
            return;
        }
        let kinds: Vec<(Uid, Uid)> = retrieved.kinds().iter().cloned().collect();
        let Some(first) = self.call(&kinds).await else {
            self.give_up(&mut retrieved).await;
            return;
        };
        let taken = taken(&first);
        retrieved.set_taken(taken.clone());
        let others = (retrieved.remaining() / limits::OBJECTS_PER_ASSOCIATION).min(limits::ASSOCIATIONS_PER_MOVE - 1);
        let source = Arc::new(Shared::new(retrieved));
        let mut senders = JoinSet::new();
        for association in std::iter::once(Some(first)).chain((0..others).map(|_| None)) {
            let sender = Sender {
                transfer: Arc::clone(&self),
                source: Arc::clone(&source),
                kinds: kinds.clone(),
                taken: taken.clone(),
                is_first: association.is_some(),
                association,
            };
            senders.spawn(sender.send_all());
        }
        while senders.join_next().await.is_some() {}
        let Some(source) = Arc::into_inner(source) else { return };
        let mut retrieved = source.into_inner();
        let is_ended = *self.cancelled.borrow() || self.lock().outcome.is_some();
        match retrieved.remaining() {
            0 if self.is_nothing_taken() => retrieved.fail(),
            0 => retrieved.complete(),
            _ if is_ended => {}
            _ => self.give_up(&mut retrieved).await,
        }
    }

    async fn call(&self, kinds: &[(Uid, Uid)]) -> Option<Called> {
        match self.dialer.call(&self.destination, offers(kinds.iter()), Vec::new()).await {
            Ok(association) => Some(association),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(destination = %self.destination.ae, %error, cause, "a destination was not reached");
                None
            }
        }
    }

    fn is_nothing_taken(&self) -> bool {
        let counts = self.lock().counts;
        counts.completed == 0 && counts.warning == 0
    }

    /// What has not been sent counts as failed.
    async fn give_up<P: StillProved>(&self, retrieved: &mut Retrieved<P>) {
        let listed = self.lock().failed.len();
        let failed = retrieved.give_up(limits::FAILED_LISTED.saturating_sub(listed)).await;
        let mut summary = self.lock();
        summary.failed.extend(failed);
        summary.counts.failed = summary.counts.failed.saturating_add(summary.counts.remaining);
        summary.counts.remaining = 0;
    }

    /// One sub-operation has ended.
    fn note(&self, sop_instance: Uid, status: Option<Status>) {
        let mut summary = self.lock();
        let counts = &mut summary.counts;
        counts.remaining = counts.remaining.saturating_sub(1);
        match status {
            Some(Status::SUCCESS) => counts.completed = counts.completed.saturating_add(1),
            Some(status) if !status.is_failure() => counts.warning = counts.warning.saturating_add(1),
            _ => {
                counts.failed = counts.failed.saturating_add(1);
                if summary.failed.len() < limits::FAILED_LISTED {
                    summary.failed.push(sop_instance);
                }
            }
        }
        drop(summary);
        self.tell.send_replace(());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Summary> {
        // counts that are at worst one short
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the associations of a C-MOVE.
struct Sender<P> {
    transfer: Arc<Move>,
    source: Arc<Shared<Retrieved<P>>>,
    kinds: Vec<(Uid, Uid)>,
    /// What the destination took at first; whoever takes something else now is not sent to.
    taken: Vec<Context>,
    association: Option<Called>,
    /// The others are for speed only: many destinations take one association at a time.
    is_first: bool,
}

impl<P: StillProved> Sender<P> {
    async fn send_all(mut self) {
        let mut broken = 0_usize;
        while !*self.transfer.cancelled.borrow() {
            if self.association.is_none() {
                let called = self.transfer.call(&self.kinds).await.filter(|called| taken(called) == self.taken);
                self.association = called;
                if self.association.is_none() {
                    broken = broken.saturating_add(1);
                    if !self.is_first || broken >= limits::BROKEN_IN_A_ROW {
                        return;
                    }
                    continue;
                }
            }
            let next = self.source.lock().await.next().await;
            match next {
                Ok(Some(object)) => {
                    broken = if self.send(object).await { 0 } else { broken.saturating_add(1) };
                    if broken >= limits::BROKEN_IN_A_ROW {
                        return;
                    }
                }
                Ok(None) => break,
                Err(outcome) => {
                    self.transfer.lock().outcome = Some(outcome);
                    break;
                }
            }
        }
        if let Some(association) = self.association.take() {
            // all is answered: how the destination parts does not matter
            let _ = association.release().await;
        }
    }

    /// Sends one object. False where the association broke over it.
    async fn send(&mut self, object: Object<DataSet>) -> bool {
        let Object { sop_class, sop_instance, content } = object;
        let Some(association) = &mut self.association else { return false };
        let context =
            content.as_ref().and_then(|(transfer_syntax, _)| association.context_for(&sop_class, transfer_syntax));
        let (Some(context), Some((_, body))) = (context, content) else {
            self.transfer.note(sop_instance, None);
            return true;
        };
        let originator = Some((&self.transfer.originator, self.transfer.message_id));
        match association.store(context, &sop_instance, originator, body).await {
            Ok(Stored::Answered(answer)) => {
                self.transfer.note(sop_instance, Some(answer.status));
                true
            }
            Ok(Stored::Unreadable) => {
                self.transfer.note(sop_instance, None);
                true
            }
            Err(error) => {
                tracing::warn!(destination = %self.transfer.destination.ae, %error, "an association broke");
                self.association = None;
                self.transfer.note(sop_instance, None);
                false
            }
        }
    }
}

fn taken(association: &Called) -> Vec<Context> {
    let contexts = association.contexts().values();
    contexts
        .map(|agreed| Context {
            abstract_syntax: agreed.abstract_syntax.clone(),
            transfer_syntax: agreed.transfer_syntax.clone(),
            we_may_use: true,
        })
        .collect()
}

fn told(status: Status, comment: &'static str) -> Outcome {
    Outcome { status, comment: Some(comment.into()) }
}
