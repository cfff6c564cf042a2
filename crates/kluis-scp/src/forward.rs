//! Sends what the rules of the site made jobs of: each destination by itself, one association at a time, in the order of
//! priority and arrival. A job goes when the destination has answered; whoever is down, slow or unwilling is tried again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kluis_archive::{Archive, Origin, Outgoing, act};
use kluis_dicom::{AeTitle, Uid, transcode, transfer_syntax};
use kluis_dimse::{
    command::Status,
    requestor::{Stored, offers},
};
use kluis_identity::Device;
use kluis_policy::{Door, Principal, Target};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    dialer::{Called, Dialer},
    get::DataSet,
    limits,
};

/// Which destinations are being sent to, and which rest, by AE title.
#[derive(Default)]
struct Turns {
    busy: HashSet<String>,
    /// Until when, and how often in a row there was nothing to be had.
    resting: HashMap<String, (Instant, u32)>,
}

type SharedTurns = Arc<Mutex<Turns>>;

fn lock(turns: &SharedTurns) -> MutexGuard<'_, Turns> {
    // titles and times: at worst one too many
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A destination that is being sent to; given back when dropped, however that comes.
struct Busy {
    turns: SharedTurns,
    title: String,
}

impl Busy {
    fn take(turns: &SharedTurns, title: &str) -> Option<Self> {
        let mut held = lock(turns);
        let is_resting = held.resting.get(title).is_some_and(|(until, _)| *until > Instant::now());
        if is_resting || held.busy.len() >= limits::DESTINATIONS_AT_ONCE || !held.busy.insert(title.to_owned()) {
            return None;
        }
        Some(Self { turns: Arc::clone(turns), title: title.to_owned() })
    }

    fn ended(&self, ending: Ending) {
        let mut held = lock(&self.turns);
        match ending {
            Ending::Empty => held.resting.remove(&self.title).map(|_| ()),
            Ending::Trouble => {
                let times = held.resting.get(&self.title).map_or(0, |(_, times)| *times);
                held.resting.insert(self.title.clone(), (Instant::now() + pause(times), times.saturating_add(1)));
                None
            }
        };
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        lock(&self.turns).busy.remove(&self.title);
    }
}

/// Works until `shutdown` turns true; then what is under way is finished, within the grace time.
pub(crate) async fn serve(archive: Archive, dialer: Dialer, mut shutdown: watch::Receiver<bool>) {
    let turns = SharedTurns::default();
    let mut senders = JoinSet::new();
    loop {
        let now = archive.clock().now();
        let mut waiting = archive.waiting().await.unwrap_or_else(|error| {
            tracing::error!(%error, "the outbox cannot be read");
            Vec::new()
        });
        waiting.retain(|waiting| waiting.due_at <= now);
        // the longest waiting first: none is shut out by others that come before it in the alphabet
        waiting.sort_by_key(|waiting| waiting.due_at);
        for due in waiting {
            let Ok(destination) = due.destination.parse::<AeTitle>() else { continue };
            let Some(busy) = Busy::take(&turns, destination.as_str()) else { continue };
            let (archive, dialer, shutdown) = (archive.clone(), dialer.clone(), shutdown.clone());
            senders.spawn(async move {
                let ending = empty(&archive, &dialer, &destination, &shutdown).await;
                busy.ended(ending);
            });
        }
        let rest = tokio::select! {
            _ = shutdown.wait_for(|is_stopping| *is_stopping) => break,
            () = archive.outgoing_added() => limits::OUTGOING_LOOK_MIN,
            Some(_) = senders.join_next() => Duration::ZERO,
            () = sleep(limits::OUTGOING_LOOK) => Duration::ZERO,
        };
        // what comes one by one is looked at together
        sleep(rest).await;
    }
    let ended = timeout(limits::GRACE, async { while senders.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!(destinations = senders.len(), "cut off at the end of the grace time");
    }
    senders.shutdown().await;
}

/// How it went with a destination.
enum Ending {
    /// Nothing is due any more, or the node stops.
    Empty,
    /// It was not reached, or breaks associations, or the outbox cannot be written: it gets a rest.
    Trouble,
}

/// Sends to one destination until nothing is due, or it is no use.
async fn empty(archive: &Archive, dialer: &Dialer, destination: &AeTitle, shutdown: &watch::Receiver<bool>) -> Ending {
    let mut broken = 0;
    while !*shutdown.borrow() && broken < limits::OUTGOING_BROKEN {
        let batch = match archive.outgoing(destination, limits::OUTGOING_A_BATCH).await {
            Ok(batch) if batch.is_empty() => return Ending::Empty,
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "the outbox cannot be read");
                return Ending::Trouble;
            }
        };
        match send_batch(archive, dialer, destination, &batch, shutdown).await {
            Batch::Sent => broken = 0,
            Batch::NotReached => return Ending::Trouble,
            Batch::Broken(_) if *shutdown.borrow() => return Ending::Empty,
            // what breaks an association stands behind what does not
            Batch::Broken(object) => {
                broken += 1;
                let until = archive.clock().now() + pause(object.attempts);
                if let Err(error) = archive.postpone(&[object], until).await {
                    tracing::error!(%error, "the outbox cannot be written");
                    return Ending::Trouble;
                }
            }
        }
    }
    if *shutdown.borrow() { Ending::Empty } else { Ending::Trouble }
}

/// What became of a batch.
enum Batch {
    /// All has been answered, or the node stops.
    Sent,
    /// The association broke over this object.
    Broken(Outgoing),
    /// There was no association, or what came of an object could not be noted.
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
        match send(archive, &mut association, &device, object).await {
            Ok(true) => {}
            Ok(false) => return Batch::NotReached,
            Err(Broken) => return Batch::Broken(object.clone()),
        }
    }
    // all is answered: how the destination parts does not matter
    let _ = association.release().await;
    Batch::Sent
}

/// The association is over.
struct Broken;

/// Sends one object and notes what came of it; false where that could not be noted.
async fn send(archive: &Archive, association: &mut Called, device: &Device, object: &Outgoing) -> Result<bool, Broken> {
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
    Ok(noted.inspect_err(|error| tracing::error!(%error, "the outbox cannot be written")).is_ok())
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
        Stored::Answered(answer) if is_taken(answer.status) => {
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

/// Success, or a warning of C-STORE (PS3.4 B.2.3). Who has the instance already will not have it otherwise by being sent it again.
fn is_taken(status: Status) -> bool {
    matches!(status.0, 0x0000 | 0xB000..=0xBFFF) || status == Status::DUPLICATE_SOP_INSTANCE
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
