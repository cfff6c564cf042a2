//! The outbox in a file of its own. Every write is durable when it is answered.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use time::OffsetDateTime;

use super::{
    check,
    column::get,
    connection::Profile,
    database::{Database, change, collect},
    schema,
};
use crate::{Backlog, IndexError, Job, JobKind, NewJob, Outbox, Reached};

const PROFILE: Profile = Profile { schema: &schema::OUTBOX, is_durable: true, cache_kib: 4 << 10, readers: 2 };

const COLUMNS: &str =
    "job_key, kind, destination, subject, payload, priority, created_at, due_at, attempts, pack, pack_offset";

/// Jobs in one file.
pub struct SqliteOutbox {
    database: Database,
}

impl SqliteOutbox {
    /// Opens the outbox, or makes it where there is none. Blocks.
    ///
    /// # Errors
    /// [`IndexError::WrongKey`], [`IndexError::SchemaVersion`], [`IndexError::Damaged`], [`IndexError::Io`].
    pub fn open(path: &Path, key: &[u8; 32]) -> Result<Self, IndexError> {
        Ok(Self { database: Database::open(path, key, PROFILE)? })
    }
}

#[async_trait]
impl Outbox for SqliteOutbox {
    async fn add(&self, jobs: Vec<NewJob>) -> Result<Vec<bool>, IndexError> {
        let work = move |connection: &Connection| {
            let mut added = Vec::with_capacity(jobs.len());
            for job in &jobs {
                let place = job.place.map(|place| Ok((number(place.pack)?, number(place.offset)?))).transpose()?;
                let count = change(
                    connection,
                    "add job",
                    "INSERT OR IGNORE INTO job (kind, destination, subject, payload, priority, created_at, due_at, \
                     attempts, pack, pack_offset) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9)",
                    params![
                        code(job.kind),
                        job.destination,
                        job.subject,
                        job.payload,
                        job.priority,
                        job.created_at.unix_timestamp(),
                        job.due_at.unix_timestamp(),
                        place.map(|(pack, _)| pack),
                        place.map(|(_, offset)| offset)
                    ],
                )?;
                added.push(count > 0);
            }
            Ok(added)
        };
        self.database.write(work).await
    }

    async fn due(
        &self,
        kind: JobKind,
        destination: Option<&str>,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<Job>, IndexError> {
        let destination = destination.map(str::to_owned);
        let work = move |connection: &Connection| {
            let now = now.unix_timestamp();
            match destination {
                Some(destination) => collect(
                    connection,
                    "due jobs",
                    &format!(
                        "SELECT {COLUMNS} FROM job WHERE kind = ?1 AND destination = ?2 AND due_at <= ?3 AND is_done = 0 ORDER BY \
                         priority DESC, job_key LIMIT ?4"
                    ),
                    params![code(kind), destination, now, limit],
                    job,
                ),
                None => collect(
                    connection,
                    "due jobs",
                    &format!(
                        "SELECT {COLUMNS} FROM job WHERE kind = ?1 AND due_at <= ?2 AND is_done = 0 ORDER BY priority DESC, job_key \
                         LIMIT ?3"
                    ),
                    params![code(kind), now, limit],
                    job,
                ),
            }
        };
        self.database.read(work).await
    }

    async fn finish(&self, ids: Vec<i64>) -> Result<(), IndexError> {
        let work = move |connection: &Connection| {
            for id in &ids {
                change(connection, "finish job", "UPDATE job SET is_done = 1 WHERE job_key = ?1 AND pack >= 0", [id])?;
                change(connection, "remove job", "DELETE FROM job WHERE job_key = ?1 AND is_done = 0", [id])?;
            }
            Ok(())
        };
        self.database.write(work).await
    }

    async fn forget(&self, before: Reached) -> Result<(), IndexError> {
        let place = (number(before.pack)?, number(before.offset)?);
        let work = move |connection: &Connection| {
            let sql = "DELETE FROM job WHERE is_done = 1 AND (pack, pack_offset) < (?1, ?2)";
            change(connection, "forget jobs", sql, [place.0, place.1]).map(|_| ())
        };
        self.database.write(work).await
    }

    async fn postpone(&self, ids: Vec<i64>, due_at: OffsetDateTime) -> Result<(), IndexError> {
        let work = move |connection: &Connection| {
            for id in &ids {
                change(
                    connection,
                    "postpone job",
                    "UPDATE job SET attempts = attempts + 1, due_at = ?2 WHERE job_key = ?1",
                    params![id, due_at.unix_timestamp()],
                )?;
            }
            Ok(())
        };
        self.database.write(work).await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, IndexError> {
        let work = |connection: &Connection| {
            collect(
                connection,
                "backlog",
                "SELECT kind, destination, count(*), total(attempts > 0), min(due_at) FROM job WHERE is_done = 0 GROUP BY kind, \
                 destination ORDER BY kind, destination",
                [],
                |row| {
                    let tried: f64 = get(row, 3)?;
                    Ok(Backlog {
                        kind: kind(get(row, 0)?)?,
                        destination: get(row, 1)?,
                        count: count(get(row, 2)?),
                        tried: tried as u64,
                        due_at: time(get(row, 4)?)?,
                    })
                },
            )
        };
        self.database.read(work).await
    }

    async fn check(&self) -> Result<Vec<String>, IndexError> {
        check::file(&self.database, None).await
    }
}

fn job(row: &Row<'_>) -> Result<Job, IndexError> {
    let attempts: i64 = get(row, 8)?;
    Ok(Job {
        id: get(row, 0)?,
        job: NewJob {
            kind: kind(get(row, 1)?)?,
            destination: get(row, 2)?,
            subject: get(row, 3)?,
            payload: get(row, 4)?,
            priority: get(row, 5)?,
            created_at: time(get(row, 6)?)?,
            due_at: time(get(row, 7)?)?,
            place: place(get(row, 9)?, get(row, 10)?),
        },
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
    })
}

fn code(kind: JobKind) -> i64 {
    match kind {
        JobKind::Commitment => 1,
        JobKind::Send => 2,
    }
}

fn kind(code: i64) -> Result<JobKind, IndexError> {
    Ok(match code {
        1 => JobKind::Commitment,
        2 => JobKind::Send,
        _ => return Err(IndexError::Row("job")),
    })
}

fn time(seconds: i64) -> Result<OffsetDateTime, IndexError> {
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| IndexError::Row("job"))
}

fn place(pack: Option<i64>, offset: Option<i64>) -> Option<Reached> {
    Some(Reached { pack: count(pack?), offset: count(offset?) })
}

fn number(value: u64) -> Result<i64, IndexError> {
    i64::try_from(value).map_err(|_| IndexError::Row("job"))
}

fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-03-01 08:00 UTC);

    fn new(kind: JobKind, destination: &str, subject: &str, priority: i64) -> NewJob {
        let (destination, subject) = (destination.to_owned(), subject.to_owned());
        let place = (kind == JobKind::Send).then_some(Reached { pack: 3, offset: 4_000_000_000 });
        NewJob { kind, destination, subject, payload: "{}".to_owned(), priority, created_at: NOW, due_at: NOW, place }
    }

    #[tokio::test]
    async fn jobs_wait_by_priority_until_they_are_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let outbox = SqliteOutbox::open(&path, &[7; 32]).unwrap();
        let jobs = vec![
            new(JobKind::Send, "A", "1.1", 0),
            new(JobKind::Send, "A", "1.2", 5),
            new(JobKind::Send, "B", "1.1", 0),
            new(JobKind::Commitment, "A", "1.1", 0),
            new(JobKind::Send, "A", "1.1", 9),
        ];
        let added = outbox.add(jobs).await.unwrap();
        assert_eq!(added, [true, true, true, true, false], "one job for each kind, destination and subject");

        let subjects = |jobs: &[Job]| -> Vec<String> { jobs.iter().map(|job| job.job.subject.clone()).collect() };
        let of_a = outbox.due(JobKind::Send, Some("A"), NOW, 10).await.unwrap();
        assert_eq!(subjects(&of_a), ["1.2", "1.1"]);
        assert_eq!(outbox.due(JobKind::Send, None, NOW, 10).await.unwrap().len(), 3);
        assert!(outbox.due(JobKind::Send, None, NOW - Duration::from_secs(1), 10).await.unwrap().is_empty());

        let later = NOW + Duration::from_secs(60);
        outbox.postpone(vec![of_a[0].id], later).await.unwrap();
        assert_eq!(subjects(&outbox.due(JobKind::Send, Some("A"), NOW, 10).await.unwrap()), ["1.1"]);
        assert_eq!(outbox.due(JobKind::Send, Some("A"), later, 10).await.unwrap()[0].attempts, 1);
        outbox.finish(vec![of_a[1].id]).await.unwrap();
        let commitment = outbox.due(JobKind::Commitment, None, NOW, 10).await.unwrap();
        outbox.finish(vec![commitment[0].id]).await.unwrap();
        drop(outbox);

        // what was answered is there after a start
        let outbox = SqliteOutbox::open(&path, &[7; 32]).unwrap();
        let again = || outbox.add(vec![new(JobKind::Send, "A", "1.1", 0), new(JobKind::Commitment, "A", "1.1", 0)]);
        assert_eq!(again().await.unwrap(), [false, true], "what is done is remembered where it has a place");
        outbox.forget(Reached { pack: 3, offset: 4_000_000_000 }).await.unwrap();
        assert_eq!(again().await.unwrap(), [false, false]);
        outbox.forget(Reached { pack: 3, offset: 4_000_000_001 }).await.unwrap();
        assert_eq!(again().await.unwrap(), [true, false]);
        let backlog = outbox.backlog().await.unwrap();
        let told: Vec<_> =
            backlog.iter().map(|of| (of.kind, of.destination.as_str(), of.count, of.tried, of.due_at)).collect();
        assert_eq!(
            told,
            [(JobKind::Commitment, "A", 1, 0, NOW), (JobKind::Send, "A", 2, 1, NOW), (JobKind::Send, "B", 1, 0, NOW)]
        );
    }
}
