//! The audit trail: an entry is opened before an act and closed with its outcome.
//!
//! An audit event is about a principal, a study and an act, not about a frame: the first access is written (and for
//! whatever discloses, durable) before the first byte leaves; further ones within a minute are added to a tally, which
//! is written when the minute is over. A crash leaves the begin without an end, which is a trace too. An entry that is
//! dropped unfinished counts as interrupted.

use std::{
    collections::{HashMap, hash_map},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use kluis_dicom::AeTitle;
use kluis_keys::KeyId;
use kluis_ledger::{
    Log,
    event::{self, AuditEvent, Detail, EventError, Kind, StudyId},
};
use kluis_policy::Door;
use time::OffsetDateTime;

use crate::{ArchiveError, Clock};

/// Tallies kept at most; when there are more, all are written out.
const TALLIES_MAX: usize = 10_000;

/// How long accesses are counted together.
const TALLY_SECONDS: i64 = 60;

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done as asked.
    Done,
    /// There is no such thing, or not for this principal.
    Absent,
    /// The policy said no.
    Denied,
    /// It could not be done.
    Failed,
    /// It was neither finished nor given up.
    Interrupted,
}

/// What accesses are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    /// Label of the principal; `None` where nothing was proved.
    pub(crate) principal: Option<String>,
    /// For those who proved nothing, so that sources are told apart.
    pub(crate) unproved_from: Option<IpAddr>,
    pub(crate) door: Door,
    pub(crate) act: &'static str,
    pub(crate) study: Option<KeyId>,
    /// Who gets what is disclosed, where that is not the principal.
    pub(crate) destination: Option<AeTitle>,
}

struct Tally {
    first: OffsetDateTime,
    /// Index of the leaf that opened it; none where it was closed after its minute was written.
    begin: Option<u64>,
    counts: Counts,
}

/// How many acts came to which end.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    done: u64,
    absent: u64,
    denied: u64,
    failed: u64,
    interrupted: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        let pairs = [
            (&mut self.done, other.done),
            (&mut self.absent, other.absent),
            (&mut self.denied, other.denied),
            (&mut self.failed, other.failed),
            (&mut self.interrupted, other.interrupted),
        ];
        for (count, more) in pairs {
            *count = count.saturating_add(more);
        }
    }
}

pub(crate) struct Trail {
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    tallies: Mutex<HashMap<Subject, Tally>>,
    durable: AtomicU64,
    syncing: tokio::sync::Mutex<()>,
}

impl Trail {
    pub(crate) fn new(log: Arc<Log>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            log,
            clock,
            tallies: Mutex::new(HashMap::new()),
            durable: AtomicU64::new(0),
            syncing: tokio::sync::Mutex::new(()),
        })
    }

    /// Opens an entry. With `must_be_durable` its begin is on disk when this returns.
    pub(crate) async fn open(
        self: &Arc<Self>,
        subject: Subject,
        peer: Option<IpAddr>,
        must_be_durable: bool,
    ) -> Result<Entry, ArchiveError> {
        let begin = self.begin(&subject, peer)?;
        if must_be_durable {
            self.make_durable(begin).await?;
        }
        Ok(Entry { trail: Arc::clone(self), subject: Some(subject) })
    }

    /// Writes out the tallies that are older than a minute, or all of them.
    pub(crate) fn flush(&self, all: bool) -> Result<(), ArchiveError> {
        let now = self.clock.now();
        let is_due = |tally: &Tally| all || (now - tally.first).whole_seconds() >= TALLY_SECONDS;
        let mut due: Vec<(Subject, Tally)> = Vec::new();
        {
            let mut tallies = self.lock();
            let keys: Vec<Subject> =
                tallies.iter().filter(|(_, tally)| is_due(tally)).map(|(subject, _)| subject.clone()).collect();
            for key in keys {
                if let Some(tally) = tallies.remove(&key) {
                    due.push((key, tally));
                }
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        due.sort_by_key(|(_, tally)| tally.begin);
        if let Err(error) = self.write_ends(&due, now) {
            // not a count is lost: they are written when the log can be written to again
            self.put_back(due);
            return Err(error);
        }
        Ok(())
    }

    fn write_ends(&self, due: &[(Subject, Tally)], now: OffsetDateTime) -> Result<(), ArchiveError> {
        let mut leaves = Vec::new();
        for (subject, tally) in due {
            leaves.extend(ends(subject, tally, now)?);
        }
        self.log.append(&leaves)?;
        Ok(())
    }

    fn put_back(&self, due: Vec<(Subject, Tally)>) {
        let mut tallies = self.lock();
        for (subject, old) in due {
            match tallies.entry(subject) {
                hash_map::Entry::Vacant(place) => {
                    place.insert(old);
                }
                hash_map::Entry::Occupied(mut place) => place.get_mut().counts.add(old.counts),
            }
        }
    }

    fn begin(&self, subject: &Subject, peer: Option<IpAddr>) -> Result<u64, ArchiveError> {
        let mut tallies = self.lock();
        if let Some(Tally { begin: Some(begin), .. }) = tallies.get(subject) {
            return Ok(*begin);
        }
        let is_full = tallies.len() >= TALLIES_MAX;
        let now = self.clock.now();
        let range = self.log.append(&[begin(subject, peer, now)?])?;
        let tally = tallies.entry(subject.clone()).or_insert_with(|| Tally {
            first: now,
            begin: None,
            counts: Counts::default(),
        });
        tally.begin = Some(range.start);
        drop(tallies);
        if is_full {
            self.flush(true)?;
        }
        Ok(range.start)
    }

    /// Concurrent callers share a sync.
    async fn make_durable(self: &Arc<Self>, index: u64) -> Result<(), ArchiveError> {
        if self.durable.load(Ordering::Acquire) > index {
            return Ok(());
        }
        let _turn = self.syncing.lock().await;
        if self.durable.load(Ordering::Acquire) > index {
            return Ok(());
        }
        let log = Arc::clone(&self.log);
        let size = tokio::task::spawn_blocking(move || log.sync()).await.map_err(|_| ArchiveError::Stopped)??;
        self.durable.fetch_max(size, Ordering::AcqRel);
        Ok(())
    }

    fn close(&self, subject: Subject, outcome: Outcome) {
        let now = self.clock.now();
        let mut tallies = self.lock();
        let tally =
            tallies.entry(subject).or_insert_with(|| Tally { first: now, begin: None, counts: Counts::default() });
        let count = match outcome {
            Outcome::Done => &mut tally.counts.done,
            Outcome::Absent => &mut tally.counts.absent,
            Outcome::Denied => &mut tally.counts.denied,
            Outcome::Failed => &mut tally.counts.failed,
            Outcome::Interrupted => &mut tally.counts.interrupted,
        };
        *count = count.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Tally>> {
        // a panic while counting leaves counts that are at worst one short
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open entry; closed with an outcome, or as interrupted when dropped.
pub(crate) struct Entry {
    trail: Arc<Trail>,
    subject: Option<Subject>,
}

impl Entry {
    /// What the act is about is known now. The first begin stays; the act is counted under the new subject only.
    pub(crate) fn turn_to(&mut self, subject: Subject) {
        self.subject = Some(subject);
    }

    /// Makes its begin durable; it is written again where the tally was closed meanwhile.
    pub(crate) async fn make_durable(&self, peer: Option<IpAddr>) -> Result<(), ArchiveError> {
        let Some(subject) = &self.subject else { return Ok(()) };
        let begin = self.trail.begin(subject, peer)?;
        self.trail.make_durable(begin).await
    }

    pub(crate) fn close(mut self, outcome: Outcome) {
        if let Some(subject) = self.subject.take() {
            self.trail.close(subject, outcome);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(subject) = self.subject.take() {
            self.trail.close(subject, Outcome::Interrupted);
        }
    }
}

fn begin(subject: &Subject, peer: Option<IpAddr>, now: OffsetDateTime) -> Result<Vec<u8>, EventError> {
    let kind = if subject.principal.is_some() { Kind::Begin } else { Kind::Deny };
    let mut opening = event(kind, subject, now);
    opening.origin = peer.map(|address| SocketAddr::new(address, 0));
    opening.detail = subject.principal.is_none().then_some(Detail::NoProof);
    opening.to_leaf()
}

/// One event for each way in which acts of the tally ended.
fn ends(subject: &Subject, tally: &Tally, now: OffsetDateTime) -> Result<Vec<Vec<u8>>, EventError> {
    let counts = &tally.counts;
    [
        (counts.done, Kind::End, event::Outcome::Done, None),
        (counts.absent, Kind::End, event::Outcome::Refused, Some(Detail::NotFound)),
        (counts.denied, Kind::Deny, event::Outcome::Refused, None),
        (counts.failed, Kind::End, event::Outcome::Failed, None),
        (counts.interrupted, Kind::End, event::Outcome::Interrupted, None),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, kind, outcome, detail)| {
        let mut end = event(kind, subject, now);
        end.begin = tally.begin;
        end.count = Some(count);
        end.outcome = Some(outcome);
        end.detail = detail;
        end.to_leaf()
    })
    .collect()
}

fn event(kind: Kind, subject: &Subject, now: OffsetDateTime) -> AuditEvent {
    let door = match subject.door {
        Door::Dimse => event::Door::Dimse,
        Door::Web => event::Door::Web,
        Door::Control => event::Door::Control,
    };
    let mut event = AuditEvent::new(now, kind, subject.act, door);
    event.principal.clone_from(&subject.principal);
    event.study = subject.study.map(|id| StudyId(id.0));
    event.destination = subject.destination.as_ref().map(|ae| ae.as_str().to_owned());
    event
}
