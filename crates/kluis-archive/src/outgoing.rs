//! Objects on their way to others: the rules of the site make a job of an object before its sender has its answer, and a job
//! stays until the destination has taken the object.
//!
//! A job that is done is remembered until the watermark has passed its object: a replay that meets the object again makes no
//! second one.

use std::{collections::HashSet, sync::PoisonError};

use kluis_dicom::{AeTitle, Uid, dictionary};
use kluis_index::{Job, JobKind, NewInstance, NewJob, Reached};
use kluis_policy::Route;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{Archive, ArchiveError, Inner};

/// What a job needs to know of its object.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Payload {
    study: Uid,
    series: Uid,
    sop_class: Uid,
    transfer_syntax: Uid,
}

/// An object that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// SOP Class UID.
    pub sop_class: Uid,
    /// Transfer syntax as stored.
    pub transfer_syntax: Uid,
    /// How often it was tried in vain.
    pub attempts: u32,
    id: i64,
}

/// How much waits for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// AE title.
    pub destination: String,
    /// Objects.
    pub count: u64,
    /// Objects of which a try has failed.
    pub tried: u64,
    /// The earliest moment at which one is due.
    pub due_at: OffsetDateTime,
}

impl Inner {
    /// Makes jobs of what the rules take; durable on return. What cannot be written stays owed: no watermark passes its object,
    /// and no sender is told that it is known.
    pub(crate) async fn route(&self, instances: &[&NewInstance]) -> Result<(), ArchiveError> {
        self.owe_jobs(instances)?;
        self.settle_jobs().await
    }

    /// Notes what is to be written by [`Inner::settle_jobs`].
    pub(crate) fn owe_jobs(&self, instances: &[&NewInstance]) -> Result<(), ArchiveError> {
        if self.settings.routes.is_empty() || instances.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let mut jobs = Vec::new();
        for instance in instances {
            let mut taken: HashSet<&AeTitle> = HashSet::new();
            for route in self.settings.routes.iter().filter(|route| takes(route, instance)) {
                let due_at = route.hours.map_or(now, |hours| hours.next(now));
                for destination in route.to.iter().filter(|destination| taken.insert(destination)) {
                    jobs.push(job(instance, destination, route.priority, now, due_at)?);
                }
            }
        }
        self.owed_jobs.lock().unwrap_or_else(PoisonError::into_inner).extend(jobs);
        Ok(())
    }

    /// Writes the jobs that are owed.
    pub(crate) async fn settle_jobs(&self) -> Result<(), ArchiveError> {
        // one at a time: who finds nothing owed must know that all is written
        let _turn = self.settling_jobs.lock().await;
        let owed = self.owed_jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if owed.is_empty() {
            return Ok(());
        }
        let count = owed.len();
        self.outbox.add(owed).await?;
        self.owed_jobs.lock().unwrap_or_else(PoisonError::into_inner).drain(..count);
        self.outgoing.notify_one();
        Ok(())
    }
}

/// Whether a rule takes an object.
fn takes(route: &Route, instance: &NewInstance) -> bool {
    let attributes = &instance.attributes;
    let values = |keyword: &str| {
        let Some(tag) = dictionary::tag(keyword) else { return Vec::new() };
        let name = format!("{:04X}{:04X}", tag.0, tag.1);
        let found = [&attributes.instance_json, &attributes.series_json, &attributes.study_json]
            .into_iter()
            .find_map(|attributes| attributes.get(&name)?.get("Value")?.as_array());
        found.into_iter().flatten().map(text).collect()
    };
    route.takes(instance.sender.strip_prefix("device:"), &values)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(name) => name.get("Alphabetic").and_then(Value::as_str).unwrap_or_default().to_owned(),
        other => other.to_string(),
    }
}

fn job(
    instance: &NewInstance,
    destination: &AeTitle,
    priority: i64,
    created_at: OffsetDateTime,
    due_at: OffsetDateTime,
) -> Result<NewJob, ArchiveError> {
    let ids = &instance.attributes.ids;
    let payload = Payload {
        study: ids.study.clone(),
        series: ids.series.clone(),
        sop_class: ids.sop_class.clone(),
        transfer_syntax: instance.transfer_syntax.clone(),
    };
    Ok(NewJob {
        kind: JobKind::Send,
        destination: destination.as_str().to_owned(),
        subject: ids.sop_instance.as_str().to_owned(),
        payload: serde_json::to_string(&payload).map_err(|_| ArchiveError::Record)?,
        priority,
        created_at,
        due_at,
        place: Some(Reached { pack: instance.location.pack, offset: instance.location.offset }),
    })
}

impl Archive {
    /// Waits until there is something new to be sent.
    pub async fn outgoing_added(&self) {
        self.inner.outgoing.notified().await;
    }

    /// What waits, by destination.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub async fn waiting(&self) -> Result<Vec<Waiting>, ArchiveError> {
        let backlog = self.inner.outbox.backlog().await?.into_iter().filter(|of| of.kind == JobKind::Send);
        Ok(backlog
            .map(|of| Waiting { destination: of.destination, count: of.count, tried: of.tried, due_at: of.due_at })
            .collect())
    }

    /// What is due for a destination, in the order in which it is to be sent.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub async fn outgoing(&self, destination: &AeTitle, limit: u32) -> Result<Vec<Outgoing>, ArchiveError> {
        let now = self.clock().now();
        let jobs = self.inner.outbox.due(JobKind::Send, Some(destination.as_str()), now, limit).await?;
        Ok(jobs.into_iter().filter_map(outgoing).collect())
    }

    /// The destination has taken these, or they are no longer here. Durable on return.
    ///
    /// # Errors
    /// [`ArchiveError`]: they are sent again.
    pub async fn sent(&self, objects: &[Outgoing]) -> Result<(), ArchiveError> {
        Ok(self.inner.outbox.finish(objects.iter().map(|object| object.id).collect()).await?)
    }

    /// These could not be sent, and are tried again then.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub async fn postpone(&self, objects: &[Outgoing], until: OffsetDateTime) -> Result<(), ArchiveError> {
        Ok(self.inner.outbox.postpone(objects.iter().map(|object| object.id).collect(), until).await?)
    }
}

fn outgoing(job: Job) -> Option<Outgoing> {
    let Job { id, job, attempts } = job;
    // written by us
    let Payload { study, series, sop_class, transfer_syntax } = serde_json::from_str(&job.payload).ok()?;
    Some(Outgoing { study, series, sop_instance: job.subject.parse().ok()?, sop_class, transfer_syntax, attempts, id })
}
