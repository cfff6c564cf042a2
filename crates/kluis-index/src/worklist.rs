//! The modality worklist and the performed procedure steps (PS3.4 Annexes K and F): what a store of them can do.
//!
//! Unlike the index they are derived from nothing: every write is durable when it is answered. All of it is about patients.

use async_trait::async_trait;
use kluis_dicom::{
    Uid,
    matching::Manner,
    performed_step::{NewStep, StepChange, StepState},
    query::Filter,
    worklist::Entry,
};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::IndexError;

/// How far the step of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryState {
    /// Nothing was performed of it.
    Scheduled,
    /// A performed procedure step of it is in progress.
    Started,
    /// Every performed procedure step of it has ended, and one was completed.
    Completed,
    /// Every performed procedure step of it was discontinued.
    Discontinued,
}

impl EntryState {
    /// All states, in the order of the numbers that stand in rows.
    pub(crate) const ALL: [Self; 4] = [Self::Scheduled, Self::Started, Self::Completed, Self::Discontinued];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Discontinued => "discontinued",
        }
    }
}

/// One entry as it is kept.
#[derive(Clone, PartialEq)]
pub struct EntryRow {
    /// A random name, so that nothing of a patient stands in a URL.
    pub id: String,
    /// How far it is.
    pub state: EntryState,
    /// Study Instance UID.
    pub study: String,
    /// All attributes as they came.
    pub attributes: Map<String, Value>,
}

impl std::fmt::Debug for EntryRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryRow").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

/// What became of an entry that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryPut {
    /// It is new, under the id that was given.
    Added,
    /// It took the place of one with the same study and step, whose id it has; and its state, but that one which had ended
    /// and is to be done at another time is work again.
    Replaced {
        /// The id.
        id: String,
    },
    /// There is no room for another.
    TooMany,
    /// It is longer than [`crate::limits::MAX_ENTRY_BYTES`].
    TooLong,
}

/// Behind which entry a page begins. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryCursor {
    pub(crate) start_date: String,
    pub(crate) start_time: String,
    pub(crate) entry_key: i64,
}

impl std::fmt::Debug for EntryCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntryCursor(..)")
    }
}

/// Some entries, by date and time of their start.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryPage {
    /// The entries.
    pub entries: Vec<EntryRow>,
    /// Where the next page begins; none behind the last.
    pub next: Option<EntryCursor>,
}

/// What became of a change of a performed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepChanged {
    /// Done.
    Done,
    /// There is no such step of this sender.
    Absent,
    /// It has ended, and may not be changed any more.
    Ended(StepState),
    /// With this change it would be too long.
    TooLong,
}

/// What became of a performed step that was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepMade {
    /// Done.
    Done,
    /// There is one of this SOP Instance UID, whoever made it.
    Exists,
    /// There is no room for another.
    TooMany,
    /// It is too long.
    TooLong,
}

/// The worklist of a node.
#[async_trait]
pub trait Worklist: Send + Sync {
    /// Adds an entry under this id, or puts it in the place of the one with the same study and step. Entries that ended
    /// longer than [`crate::limits::ENDED_ENTRY_DAYS`] before `now` are removed by the way.
    async fn put_entry(&self, id: String, entry: Entry, now: OffsetDateTime) -> Result<EntryPut, IndexError>;

    /// One entry.
    async fn entry(&self, id: &str) -> Result<Option<EntryRow>, IndexError>;

    /// Removes an entry; whether there was one.
    async fn remove_entry(&self, id: &str) -> Result<bool, IndexError>;

    /// All entries, whatever their state, by date and time of their start.
    async fn entries(&self, offset: u32, limit: u32) -> Result<Vec<EntryRow>, IndexError>;

    /// Entries that are scheduled or started and fulfil all filters, `limit` at most, behind a cursor.
    async fn search_entries(
        &self,
        filters: &[Filter],
        manner: Manner,
        after: Option<EntryCursor>,
        limit: u32,
    ) -> Result<EntryPage, IndexError>;

    /// Makes a performed step of a sender, and moves the entries that it performs on.
    async fn make_step(
        &self,
        uid: &Uid,
        step: NewStep,
        sender: &str,
        now: OffsetDateTime,
    ) -> Result<StepMade, IndexError>;

    /// The study of a performed step of a sender.
    async fn step_study(&self, uid: &Uid, sender: &str) -> Result<Option<Uid>, IndexError>;

    /// Changes a performed step of a sender that is in progress, and moves the entries that it performs on.
    async fn change_step(
        &self,
        uid: &Uid,
        change: StepChange,
        sender: &str,
        now: OffsetDateTime,
    ) -> Result<StepChanged, IndexError>;

    /// What is wrong with the file.
    async fn check(&self) -> Result<Vec<String>, IndexError>;
}
