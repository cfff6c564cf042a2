//! Storage Commitment service class, push model, provider (PS3.4 Annex J): a request is kept before it is answered, looked at
//! byte by byte, and its result told on the same association or on one that we ask for, until the device has it.

mod message;
mod worker;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use kluis_archive::{Archive, Origin, Requested, act};
use kluis_dicom::{AeTitle, Uid};
use kluis_dimse::{
    NormalizedRequest, NormalizedResponse, Notification, Outcome,
    command::{CommandField, Status},
};
use kluis_policy::Principal;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{limits, status};

pub(crate) use worker::serve;

/// Storage Commitment Push Model.
pub(crate) const PUSH_MODEL: &str = "1.2.840.10008.1.20.1";

/// The well-known SOP instance (PS3.4 J.3.5).
const INSTANCE: &str = "1.2.840.10008.1.20.1.1";

/// The only action: Request Storage Commitment.
const REQUEST: u16 = 1;

/// A notification for an association, and where to say what the peer answered.
pub(crate) struct Report {
    pub(crate) notification: Notification,
    pub(crate) answered: oneshot::Sender<Status>,
}

/// An association on which its device can be told.
struct Open {
    device: AeTitle,
    transfer_syntax: Uid,
    reports: mpsc::Sender<Report>,
}

/// What the associations and the worker share.
#[derive(Default)]
pub(crate) struct Commitments {
    /// A request has come.
    new: Notify,
    next_number: Mutex<u64>,
    open: Mutex<HashMap<u64, Open>>,
}

/// An association's entry among those on which a device can be told; gone with it.
pub(crate) struct Listening {
    commitments: Arc<Commitments>,
    number: u64,
    reports: mpsc::Receiver<Report>,
    awaited: Option<oneshot::Sender<Status>>,
}

impl Listening {
    /// The next notification for the device.
    pub(crate) async fn next(&mut self) -> Notification {
        match self.reports.recv().await {
            Some(report) => {
                self.awaited = Some(report.answered);
                report.notification
            }
            None => std::future::pending().await,
        }
    }

    /// The device has answered it.
    pub(crate) fn answered(&mut self, status: Status) {
        if let Some(awaited) = self.awaited.take() {
            // who waits for it may have given up
            let _ = awaited.send(status);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.commitments.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl Commitments {
    /// From now on this device can be told on the association that holds what is given.
    pub(crate) fn listen(self: &Arc<Self>, device: &AeTitle, transfer_syntax: &Uid) -> Listening {
        let (tell, reports) = mpsc::channel(1);
        let number = {
            let mut next = self.next_number.lock().unwrap_or_else(PoisonError::into_inner);
            *next = next.wrapping_add(1);
            *next
        };
        let open = Open { device: device.clone(), transfer_syntax: transfer_syntax.clone(), reports: tell };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, open);
        Listening { commitments: Arc::clone(self), number, reports, awaited: None }
    }

    /// The latest association on which this device can be told.
    fn of(&self, device: &AeTitle) -> Option<(Uid, mpsc::Sender<Report>)> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = open.iter().filter(|(_, open)| open.device == *device).max_by_key(|(number, _)| **number);
        latest.map(|(_, open)| (open.transfer_syntax.clone(), open.reports.clone()))
    }
}

/// Answers an N-ACTION: 0000H once the request is durable.
pub(crate) async fn answer(
    archive: &Archive,
    principal: &Principal,
    origin: Origin,
    device: &AeTitle,
    commitments: &Commitments,
    request: &NormalizedRequest,
) -> NormalizedResponse {
    let permit = match archive.admit(principal, origin, act::Commit).await {
        Ok(permit) => permit,
        Err(refused) => return status::refused(&refused).into(),
    };
    let read = check(request).and_then(|data_set| message::read(&request.transfer_syntax, data_set));
    let (transaction, references) = match read {
        Ok(read) => read,
        Err(outcome) => {
            permit.finish(kluis_archive::Outcome::Failed);
            return outcome.into();
        }
    };
    match archive.request_commitment(permit, device, &transaction, &references).await {
        Ok(Requested::Taken) => {
            commitments.new.notify_one();
            Outcome::from(Status::SUCCESS).into()
        }
        Ok(Requested::Known) => told(Status::DUPLICATE_TRANSACTION_UID, "this transaction waits for its answer").into(),
        Ok(Requested::TooMany) => told(Status::RESOURCE_LIMITATION, "too many instances for one request").into(),
        Err(error) => {
            tracing::error!(%error, "a storage commitment could not be taken");
            told(Status::PROCESSING_FAILURE, "try again later").into()
        }
    }
}

fn check(request: &NormalizedRequest) -> Result<&[u8], Outcome> {
    if request.operation != CommandField::N_ACTION_RQ {
        return Err(Status::UNRECOGNIZED_OPERATION.into());
    }
    if request.sop_instance.as_ref().is_none_or(|uid| uid.as_str() != INSTANCE) {
        return Err(told(Status::NO_SUCH_SOP_INSTANCE, "the SOP instance is the well-known one"));
    }
    if request.kind != Some(REQUEST) {
        return Err(Status::NO_SUCH_ACTION.into());
    }
    let data_set = request.data_set.as_ref().map(|data_set| data_set.0.as_slice());
    data_set.ok_or_else(|| told(Status::INVALID_ARGUMENT_VALUE, "no data set"))
}

fn told(status: Status, comment: &'static str) -> Outcome {
    Outcome { status, comment: Some(comment.into()) }
}

/// How long until the next try, after so many in vain.
fn pause(attempts: u32) -> std::time::Duration {
    let factor = 1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX);
    limits::COMMITMENT_PAUSE.saturating_mul(factor).min(limits::COMMITMENT_PAUSE_MAX)
}
