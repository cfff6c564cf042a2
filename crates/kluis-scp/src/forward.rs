//! Sends what the rules of the site made jobs of: each destination by itself, one association at a time, in the order of
//! priority and arrival. A job goes when the destination has answered; whoever is down, slow or unwilling is tried again.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kluis_archive::{Archive, Origin, Outgoing, act};
use kluis_dicom::{AeTitle, Uid, transcode, transfer_syntax};
use kluis_dimse::requestor::{Stored, offers};
use kluis_identity::Device;
use kluis_policy::{Door, Principal, Target};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{
    dialer::{Called, Dialer},
    get::DataSet,
    limits,
};

/// Works until `shutdown` turns true; then what is under way is finished.
pub(crate) async fn serve(archive: Archive, dialer: Dialer, mut shutdown: watch::Receiver<bool>) {
    let busy: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut senders = JoinSet::new();
    loop {
        let now = archive.clock().now();
        let waiting = archive.waiting().await.unwrap_or_else(|error| {
            tracing::error!(%error, "the outbox cannot be read");
            Vec::new()
        });
        for due in waiting.into_iter().filter(|waiting| waiting.due_at <= now) {
            let Ok(destination) = due.destination.parse::<AeTitle>() else { continue };
            let is_free = busy.lock().unwrap_or_else(PoisonError::into_inner).insert(due.destination.clone());
            if is_free && senders.len() < limits::DESTINATIONS_AT_ONCE {
                let (archive, dialer, busy, shutdown) =
                    (archive.clone(), dialer.clone(), Arc::clone(&busy), shutdown.clone());
                senders.spawn(async move {
                    empty(&archive, &dialer, &destination, &shutdown).await;
                    busy.lock().unwrap_or_else(PoisonError::into_inner).remove(destination.as_str());
                });
            } else if is_free {
                busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&due.destination);
            }
        }
        tokio::select! {
            _ = shutdown.wait_for(|is_stopping| *is_stopping) => break,
            () = archive.outgoing_added() => {}
            Some(_) = senders.join_next() => {}
            () = sleep(limits::OUTGOING_LOOK) => {}
        }
    }
    while senders.join_next().await.is_some() {}
}

/// Sends to one destination until nothing is due, or it cannot be reached.
async fn empty(archive: &Archive, dialer: &Dialer, destination: &AeTitle, shutdown: &watch::Receiver<bool>) {
    while !*shutdown.borrow() {
        let batch = match archive.outgoing(destination, limits::OUTGOING_A_BATCH).await {
            Ok(batch) if batch.is_empty() => return,
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "the outbox cannot be read");
                return;
            }
        };
        let (left, is_over) = match send_batch(archive, dialer, destination, &batch, shutdown).await {
            Batch::Sent => continue,
            // whoever breaks an association stands behind those that do not; the others come after a rest
            Batch::Broken(object) => (vec![object], false),
            Batch::NotReached => (batch, true),
        };
        let until = archive.clock().now() + pause(left.iter().map(|object| object.attempts).min().unwrap_or_default());
        if let Err(error) = archive.postpone(&left, until).await {
            tracing::error!(%error, "the outbox cannot be written");
        }
        if is_over {
            return;
        }
        sleep(limits::OUTGOING_PAUSE).await;
    }
}

/// What became of a batch.
enum Batch {
    /// All has been answered, or the node stops.
    Sent,
    /// The association broke over this object.
    Broken(Outgoing),
    /// There was no association.
    NotReached,
}

/// Sends a batch over one association.
async fn send_batch(
    archive: &Archive,
    dialer: &Dialer,
    destination: &AeTitle,
    batch: &[Outgoing],
    shutdown: &watch::Receiver<bool>,
) -> Batch {
    let device = match dialer.authenticator().destination(destination, archive.clock().now()).await {
        Ok(Some(device)) => device,
        Ok(None) => {
            tracing::warn!(%destination, "a route leads to a device that is not enrolled with an address");
            return Batch::NotReached;
        }
        Err(_) => return Batch::NotReached,
    };
    let mut kinds: Vec<(Uid, Uid)> = Vec::new();
    for object in batch {
        let kind = (object.sop_class.clone(), object.transfer_syntax.clone());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let mut association = match dialer.call(&device, offers(kinds.iter()), Vec::new()).await {
        Ok(association) => association,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%destination, %error, cause, "a destination was not reached; it is tried again");
            return Batch::NotReached;
        }
    };
    for object in batch {
        if *shutdown.borrow() {
            break;
        }
        if let Err(Broken) = send(archive, &mut association, &device, object).await {
            return Batch::Broken(object.clone());
        }
    }
    // all is answered: how the destination parts does not matter
    let _ = association.release().await;
    Batch::Sent
}

/// The association is over.
struct Broken;

/// Sends one object and notes what came of it.
async fn send(archive: &Archive, association: &mut Called, device: &Device, object: &Outgoing) -> Result<(), Broken> {
    let noted = match sent(archive, association, device, object).await {
        Ok(Sent::Taken | Sent::Gone) => archive.sent(std::slice::from_ref(object)).await,
        Ok(Sent::Refused(why)) => {
            let attempts = object.attempts.saturating_add(1);
            tracing::warn!(destination = %device.ae, why, attempts, "an object was not taken; it is tried again");
            let until = archive.clock().now() + pause(object.attempts);
            archive.postpone(std::slice::from_ref(object), until).await
        }
        Err(error) => {
            tracing::warn!(destination = %device.ae, %error, "an association broke");
            return Err(Broken);
        }
    };
    if let Err(error) = noted {
        tracing::error!(%error, "the outbox cannot be written");
    }
    Ok(())
}

/// What came of one object.
enum Sent {
    /// The destination has it.
    Taken,
    /// It is no longer here.
    Gone,
    /// The destination does not take it now.
    Refused(String),
}

async fn sent(
    archive: &Archive,
    association: &mut Called,
    device: &Device,
    object: &Outgoing,
) -> Result<Sent, kluis_dimse::requestor::Failure> {
    let Some((context, syntax)) = chosen(association, object) else {
        return Ok(Sent::Refused("it takes no such SOP class, or none of the possible transfer syntaxes".to_owned()));
    };
    let target = Target::instance(object.study.clone(), object.series.clone(), object.sop_instance.clone());
    let act = act::Move { target, destination: device.ae.clone() };
    let origin = Origin { door: Door::Control, peer: None };
    // the rules are the operator's
    let permit = match archive.admit(&Principal::Operator, origin, act).await {
        Ok(permit) => permit,
        Err(error) => return Ok(Sent::Refused(error.to_string())),
    };
    let holding = match archive.holding(permit).await {
        Ok(holding) => holding,
        Err(kluis_archive::RetrieveError::NotFound) => return Ok(Sent::Gone),
        Err(error) => return Ok(Sent::Refused(error.to_string())),
    };
    let body = match DataSet::open(archive, &holding, 0, &syntax).await {
        Ok(Some(body)) => body,
        Ok(None) => return Ok(Sent::Refused("it would have to be decompressed".to_owned())),
        Err(error) => return Ok(Sent::Refused(error.to_string())),
    };
    match association.store(context, &object.sop_instance, None, body).await? {
        Stored::Answered(answer) if !answer.status.is_failure() => {
            holding.complete();
            Ok(Sent::Taken)
        }
        Stored::Answered(answer) => {
            holding.fail();
            Ok(Sent::Refused(format!("it answered {:04X}H", answer.status.0)))
        }
        Stored::Unreadable => {
            holding.fail();
            Ok(Sent::Refused("it cannot be read".to_owned()))
        }
    }
}

/// The context for an object: as it is stored, or in a plain transfer syntax where that needs no codec.
fn chosen(association: &Called, object: &Outgoing) -> Option<(u8, Uid)> {
    let stored = object.transfer_syntax.as_str();
    let plain = [transfer_syntax::EXPLICIT_LITTLE_ENDIAN, transfer_syntax::IMPLICIT_LITTLE_ENDIAN];
    let possible = plain.into_iter().filter(|to| transcode::is_possible(stored, to));
    std::iter::once(stored).chain(possible).find_map(|to| {
        let to: Uid = to.parse().ok()?;
        association.context_for(&object.sop_class, &to).map(|context| (context, to))
    })
}

/// How long until the next try, after so many in vain.
fn pause(attempts: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX);
    limits::OUTGOING_PAUSE.saturating_mul(factor).min(limits::OUTGOING_PAUSE_MAX)
}
