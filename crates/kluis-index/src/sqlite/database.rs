//! One database file: a thread that writes, and a few connections that read.
//!
//! Writes that wait together share one transaction (group commit), each in a savepoint of its own, so that one that
//! fails leaves the others. Answers are given after the commit only.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{
    connection::{Profile, at, of_code, open_reader, open_writer},
    log::{Log, Still, empty_log},
};
use crate::IndexError;

/// Writes that wait; more callers wait for a place.
const QUEUE: usize = 64;
/// Most writes in one transaction.
const GROUP: usize = 64;

/// An open database. Dropping it finishes the writes that wait, and closes the file.
pub(super) struct Database {
    // in this order: the connection that writes is closed last, and empties the write-ahead log
    readers: Arc<Readers>,
    writer: Writer,
    /// Held by a check: a second one would make it wait for its long reads.
    pub(super) checking: tokio::sync::Mutex<()>,
}

struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Readers {
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

/// What a write still has to do once it is known whether the transaction was committed: the code when it was not.
type Answer = Box<dyn FnOnce(Result<(), i32>) + Send>;

/// Says whether it went well. Without a connection, but the code of what failed before it, it only answers.
type Write = Box<dyn FnOnce(Result<&Connection, i32>) -> (bool, Answer) + Send>;

enum Job {
    /// Part of a transaction.
    Write(Write),
    /// Outside of any transaction.
    Alone(Box<dyn FnOnce(&Connection) + Send>),
    /// The log is to be carried over soon.
    Carry,
    /// The file is to stand still; `None` where the writer itself is all who writes to it.
    Still(oneshot::Sender<Result<Option<Still>, IndexError>>),
}

impl Database {
    /// Opens or makes the file. Blocks.
    pub fn open(path: &Path, key: &[u8; 32], profile: Profile) -> Result<Self, IndexError> {
        let mut connection = open_writer(path, key, profile)?;
        // of a durable database the log stays short, and who destroys a key must find nobody else at it
        let log = if profile.is_durable { None } else { Some(Log::start(&mut connection, path, key, profile)?) };
        let idle: Vec<Connection> =
            (0..profile.readers).map(|_| open_reader(path, key, profile)).collect::<Result<_, _>>()?;
        let (jobs, receiver) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("kluis-index-writer".to_owned())
            .spawn(move || run(&connection, log, receiver))
            .map_err(|error| IndexError::Io(error.kind()))?;
        Ok(Self {
            readers: Arc::new(Readers { places: Arc::new(Semaphore::new(profile.readers)), idle: Mutex::new(idle) }),
            writer: Writer { jobs: Some(jobs), thread: Some(thread) },
            checking: tokio::sync::Mutex::default(),
        })
    }

    /// Reads. The work sees what was committed before it began, and nothing that is committed meanwhile.
    pub async fn read<T, F>(&self, work: F) -> Result<T, IndexError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, IndexError> + Send + 'static,
    {
        let place = self.readers.places.clone().acquire_owned().await.map_err(|_| IndexError::Closed)?;
        let readers = self.readers.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            let lent = Lent::take(readers)?;
            // all statements of the work see the same state
            let snapshot = lent.connection()?.unchecked_transaction().map_err(at("begin"))?;
            work(&snapshot)
        });
        reading.await.map_err(|_| IndexError::Closed)?
    }

    /// Writes, within a transaction. When the caller goes away, the work is done all the same.
    pub async fn write<T, F>(&self, work: F) -> Result<T, IndexError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, IndexError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job = Job::Write(Box::new(move |connection| {
            let outcome = connection.map_err(|code| of_code("begin", code)).and_then(work);
            let is_good = outcome.is_ok();
            let answer: Answer = Box::new(move |committed| {
                let answer = match committed {
                    Err(code) if is_good => Err(of_code("commit", code)),
                    _ => outcome,
                };
                // the caller may have gone
                let _ = sender.send(answer);
            });
            (is_good, answer)
        }));
        self.submit(job).await?;
        receiver.await.map_err(|_| IndexError::Closed)?
    }

    /// Does something on the connection that writes, outside of a transaction.
    pub async fn alone<T, F>(&self, work: F) -> Result<T, IndexError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, IndexError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job = Job::Alone(Box::new(move |connection| {
            let _ = sender.send(work(connection));
        }));
        self.submit(job).await?;
        receiver.await.map_err(|_| IndexError::Closed)?
    }

    /// Reads while all that was committed stands in the file itself, and nobody writes to that. Only one at a time.
    pub async fn read_still<T, F>(&self, work: F) -> Result<T, IndexError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, IndexError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.submit(Job::Still(sender)).await?;
        match receiver.await.map_err(|_| IndexError::Closed)?? {
            Some(still) => {
                let work = move |connection: &Connection| {
                    let _still = still;
                    work(connection)
                };
                self.read(work).await
            }
            None => self.alone(|writer| empty_log(writer).and_then(|()| work(writer))).await,
        }
    }

    /// Has the log carried over into the file, some time soon.
    pub async fn carry_log(&self) -> Result<(), IndexError> {
        self.submit(Job::Carry).await
    }

    async fn submit(&self, job: Job) -> Result<(), IndexError> {
        let jobs = self.writer.jobs.as_ref().ok_or(IndexError::Closed)?;
        jobs.send(job).await.map_err(|_| IndexError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take() {
            // it ends when the queue is empty; a thread that panicked has nothing left to close
            let _ = thread.join();
        }
    }
}

/// A connection that goes back when it is dropped, also when the work panics.
struct Lent {
    readers: Arc<Readers>,
    connection: Option<Connection>,
}

impl Lent {
    fn take(readers: Arc<Readers>) -> Result<Self, IndexError> {
        let connection = readers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if connection.is_none() {
            return Err(IndexError::Closed);
        }
        Ok(Self { readers, connection })
    }

    fn connection(&self) -> Result<&Connection, IndexError> {
        self.connection.as_ref().ok_or(IndexError::Closed)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

fn run(connection: &Connection, mut log: Option<Log>, mut jobs: mpsc::Receiver<Job>) {
    let mut next = jobs.blocking_recv();
    while let Some(job) = next {
        next = match job {
            Job::Alone(work) => {
                work(connection);
                None
            }
            Job::Carry => {
                if let Some(log) = &log {
                    log.ask();
                }
                None
            }
            Job::Still(reply) => {
                let still = log.as_ref().map(|log| log.hold_still(connection)).transpose();
                // who asked may have gone; then it is let go at once
                let _ = reply.send(still);
                None
            }
            Job::Write(first) => write_group(connection, first, &mut jobs),
        };
        if let Some(log) = &mut log {
            log.tend(connection);
        }
        if next.is_none() {
            next = jobs.blocking_recv();
        }
    }
}

/// One transaction of all writes that wait. Returns the job that ended the group without belonging to it.
fn write_group(connection: &Connection, first: Write, jobs: &mut mpsc::Receiver<Job>) -> Option<Job> {
    let mut answers = Vec::new();
    let mut behind = None;
    let mut state = execute(connection, "BEGIN IMMEDIATE");
    let mut current = Some(first);
    while let Some(work) = current.take() {
        if state.is_ok() {
            state = execute(connection, "SAVEPOINT job");
        }
        let (is_good, answer) = work(state.map(|()| connection));
        answers.push(answer);
        if state.is_ok() {
            // some failures (a full disk) end the whole transaction
            state = if connection.is_autocommit() {
                Err(rusqlite::ffi::SQLITE_ABORT)
            } else if is_good {
                execute(connection, "RELEASE job")
            } else {
                execute(connection, "ROLLBACK TO job").and_then(|()| execute(connection, "RELEASE job"))
            };
        }
        if answers.len() < GROUP && state.is_ok() {
            match jobs.try_recv() {
                Ok(Job::Write(work)) => current = Some(work),
                Ok(other) => behind = Some(other),
                Err(_) => {}
            }
        }
    }
    let committed = state.and_then(|()| execute(connection, "COMMIT"));
    if committed.is_err() && !connection.is_autocommit() {
        // nothing more can be done when this fails too: the next BEGIN says so
        let _ = execute(connection, "ROLLBACK");
    }
    for answer in answers {
        answer(committed);
    }
    behind
}

fn execute(connection: &Connection, sql: &'static str) -> Result<(), i32> {
    let outcome = connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    outcome.map(|_| ()).map_err(|error| error.sqlite_extended_error_code().unwrap_or(rusqlite::ffi::SQLITE_ERROR))
}

/// Reads all rows of a statement.
pub(super) fn collect<T>(
    connection: &Connection,
    statement: &'static str,
    sql: &str,
    parameters: impl rusqlite::Params,
    mut read: impl FnMut(&rusqlite::Row<'_>) -> Result<T, IndexError>,
) -> Result<Vec<T>, IndexError> {
    let mut prepared = connection.prepare_cached(sql).map_err(at(statement))?;
    let mut rows = prepared.query(parameters).map_err(at(statement))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(at(statement))? {
        all.push(read(row)?);
    }
    Ok(all)
}

/// Looks at the rows of a statement one after the other, for as long as `look` says true.
pub(super) fn walk(
    connection: &Connection,
    statement: &'static str,
    sql: &str,
    parameters: impl rusqlite::Params,
    mut look: impl FnMut(&rusqlite::Row<'_>) -> Result<bool, IndexError>,
) -> Result<(), IndexError> {
    let mut prepared = connection.prepare_cached(sql).map_err(at(statement))?;
    let mut rows = prepared.query(parameters).map_err(at(statement))?;
    while let Some(row) = rows.next().map_err(at(statement))? {
        if !look(row)? {
            break;
        }
    }
    Ok(())
}

/// Reads the first row of a statement, where there is one.
pub(super) fn first<T>(
    connection: &Connection,
    statement: &'static str,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnOnce(&rusqlite::Row<'_>) -> Result<T, IndexError>,
) -> Result<Option<T>, IndexError> {
    let mut prepared = connection.prepare_cached(sql).map_err(at(statement))?;
    let mut rows = prepared.query(parameters).map_err(at(statement))?;
    rows.next().map_err(at(statement))?.map(read).transpose()
}

/// Writes; how many rows changed.
pub(super) fn change(
    connection: &Connection,
    statement: &'static str,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<usize, IndexError> {
    connection.prepare_cached(sql).and_then(|mut prepared| prepared.execute(parameters)).map_err(at(statement))
}
