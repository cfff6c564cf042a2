//! Studies, series and instances, the worklist, and the directory of devices and people: the only crate with SQL.
//!
//! [`Index`] is what the archive sees; [`sqlite`] implements it (PostgreSQL will stand beside it as `postgres/`).
//! `suite` (a feature) is the behaviour that every implementation shows. The index is derived: packs and keys rebuild it, so it
//! may lose its last moments in a crash, and the archive replays them from the packs behind [`Watermark`].
//!
//! May not contain: blobs, HTTP, a clock, decisions. Row filters come from the permit and are applied in SQL.

mod error;
mod index;
mod inventory;
pub mod limits;
mod outbox;
mod record;
mod search;
pub mod sqlite;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
mod worklist;

pub use error::IndexError;
pub use index::Index;
pub use inventory::{Contents, InstanceEntry, LastRows, SeriesEntry, StudyEntry};
pub use outbox::{Backlog, Job, JobKind, NewJob, Outbox, Reached};
pub use record::{
    CheckReport, ConflictRow, Counts, HotInstance, Inserted, InstanceRow, Known, Location, ManifestPointer,
    NewInstance, Seal, SealCandidate, SealedSeries, SeriesRow, StudyRow, Watermark,
};
pub use search::{Page, Row, SeriesCursor, SeriesMatch, SeriesPage, is_searchable, matches};
pub use worklist::{EntryCursor, EntryPage, EntryPut, EntryRow, EntryState, StepChanged, StepMade, Worklist};
