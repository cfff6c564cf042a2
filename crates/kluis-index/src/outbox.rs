//! What is still to be done for others: objects to be sent, answers that are owed. Not derived from anything, and durable when
//! it is answered.

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::IndexError;

/// What sort of work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Tell a device what became of its storage commitment (PS3.4 J.3.3).
    Commitment,
    /// Send an object to a device.
    Send,
}

/// A job that is to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// What sort.
    pub kind: JobKind,
    /// AE title of the device that it is for.
    pub destination: String,
    /// What it is about, a UID: there is one job for it, kind and destination at a time.
    pub subject: String,
    /// What it needs; the outbox does not look into it.
    pub payload: String,
    /// The higher, the earlier.
    pub priority: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Not to be done before.
    pub due_at: OffsetDateTime,
    /// Where in the packs its object stands, where it has one: until [`Outbox::forget`] has passed it, the job is remembered
    /// when it is done.
    pub place: Option<Reached>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number; later jobs have higher ones.
    pub id: i64,
    /// What it was added with.
    pub job: NewJob,
    /// How often it was tried in vain.
    pub attempts: u32,
}

/// How many jobs there are of a kind for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// What sort.
    pub kind: JobKind,
    /// AE title.
    pub destination: String,
    /// How many.
    pub count: u64,
    /// Of how many something went wrong so far.
    pub tried: u64,
    /// The earliest time at which one is due.
    pub due_at: OffsetDateTime,
}

/// A place in the packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reached {
    /// Number of the pack.
    pub pack: u64,
    /// Byte in it.
    pub offset: u64,
}

/// The jobs of one node.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Adds jobs, all in one transaction. `false` for each job that is there already, done or not, which stays as it is.
    async fn add(&self, jobs: Vec<NewJob>) -> Result<Vec<bool>, IndexError>;

    /// Jobs of a kind that are due, for one destination or all: the highest priority first, then the oldest.
    async fn due(
        &self,
        kind: JobKind,
        destination: Option<&str>,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<Job>, IndexError>;

    /// These are done: gone at once, or remembered where they have a place.
    async fn finish(&self, ids: Vec<i64>) -> Result<(), IndexError>;

    /// Forgets done jobs whose place is before this.
    async fn forget(&self, before: Reached) -> Result<(), IndexError>;

    /// These were tried in vain, and are due again then.
    async fn postpone(&self, ids: Vec<i64>, due_at: OffsetDateTime) -> Result<(), IndexError>;

    /// What waits, by kind and destination.
    async fn backlog(&self) -> Result<Vec<Backlog>, IndexError>;

    /// Looks at every page; what is wrong, in words.
    async fn check(&self) -> Result<Vec<String>, IndexError>;
}
