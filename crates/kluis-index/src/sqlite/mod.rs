//! SQLite, encrypted as a whole with SQLCipher: the index, the worklist, the directory and the key table of one node, a file
//! each.
//!
//! The index may lose its last moments in a crash (it is replayed from the packs), the others lose nothing that was
//! answered.

mod check;
mod column;
mod connection;
mod database;
mod directory;
mod insert;
mod inventory;
mod key_table;
mod log;
mod lookup;
mod outbox;
mod schema;
mod seal;
mod search;
mod worklist;

#[cfg(test)]
mod directory_tests;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use kluis_dicom::{Uid, query::Query};
use kluis_policy::RowFilter;
use rusqlite::Connection;
use time::OffsetDateTime;

use self::{
    connection::{Profile, at},
    database::Database,
};
use crate::{
    CheckReport, ConflictRow, Contents, Counts, Index, IndexError, Inserted, InstanceEntry, InstanceRow, Known,
    LastRows, ManifestPointer, NewInstance, Page, Seal, SealCandidate, SeriesCursor, SeriesEntry, SeriesPage,
    SeriesRow, StudyEntry, StudyRow, Watermark,
    limits::{MAX_BATCH, MAX_VALUES},
};

pub use directory::SqliteDirectory;
pub use key_table::SqliteKeyTable;
pub use outbox::SqliteOutbox;
pub use worklist::SqliteWorklist;

/// `name_group.kind` of Patient's Name.
const PATIENT_NAME: i64 = 1;
/// `name_group.kind` of Referring Physician's Name.
const REFERRING_NAME: i64 = 2;

const PROFILE: Profile = Profile { schema: &schema::INDEX, is_durable: false, cache_kib: 32 << 10, readers: 4 };

/// The index in one file.
pub struct SqliteIndex {
    database: Database,
}

impl SqliteIndex {
    /// Opens the index, or makes it where there is none. Blocks.
    ///
    /// # Errors
    /// [`IndexError::WrongKey`], [`IndexError::SchemaVersion`], [`IndexError::Damaged`], [`IndexError::Io`].
    pub fn open(path: &Path, key: &[u8; 32]) -> Result<Self, IndexError> {
        Ok(Self { database: Database::open(path, key, PROFILE)? })
    }
}

#[async_trait]
impl Index for SqliteIndex {
    async fn insert(&self, batch: Arc<[NewInstance]>) -> Result<Vec<Inserted>, IndexError> {
        check_batch(&batch)?;
        self.database.write(move |connection| insert::insert(connection, &batch)).await
    }

    async fn insert_conflicts(&self, batch: Vec<NewInstance>) -> Result<u64, IndexError> {
        check_batch(&batch)?;
        self.database.write(move |connection| insert::insert_conflicts(connection, &batch)).await
    }

    async fn known(&self, sop_instances: &[Uid]) -> Result<Vec<Known>, IndexError> {
        if sop_instances.len() > MAX_VALUES {
            return Err(IndexError::QueryLimit("instances"));
        }
        let uids = sop_instances.to_vec();
        // asked before each store: the connection that writes knows its pages, while those that read must decrypt theirs
        // anew after each commit
        self.database.write(move |connection| lookup::known(connection, &uids)).await
    }

    async fn conflicts(&self, sop_instance: &Uid) -> Result<Vec<ConflictRow>, IndexError> {
        let uid = sop_instance.clone();
        self.database.read(move |connection| lookup::conflicts(connection, uid.as_str())).await
    }

    async fn conflicts_of(&self, study: &Uid) -> Result<Vec<ConflictRow>, IndexError> {
        let uid = study.clone();
        self.database.read(move |connection| lookup::conflicts_of(connection, uid.as_str())).await
    }

    async fn search(&self, query: &Query, rows: &RowFilter) -> Result<Page, IndexError> {
        let (query, rows) = (query.clone(), rows.clone());
        self.database.read(move |connection| search::search(connection, &query, &rows)).await
    }

    async fn search_series(
        &self,
        query: &Query,
        rows: &RowFilter,
        after: Option<SeriesCursor>,
        limit: u32,
    ) -> Result<SeriesPage, IndexError> {
        let (query, rows) = (query.clone(), rows.clone());
        self.database
            .read(move |connection| search::search_series(connection, &query, &rows, after.as_ref(), limit))
            .await
    }

    async fn study(&self, study: &Uid) -> Result<Option<StudyRow>, IndexError> {
        let uid = study.clone();
        self.database.read(move |connection| lookup::study(connection, uid.as_str())).await
    }

    async fn series_of(&self, study: &Uid, rows: &RowFilter) -> Result<Vec<SeriesRow>, IndexError> {
        let (uid, rows) = (study.clone(), rows.clone());
        self.database.read(move |connection| lookup::series_of(connection, uid.as_str(), &rows)).await
    }

    async fn instances(
        &self,
        study: &Uid,
        series: Option<&Uid>,
        instance: Option<&Uid>,
        rows: &RowFilter,
    ) -> Result<Vec<InstanceRow>, IndexError> {
        let (study, series, instance, rows) = (study.clone(), series.cloned(), instance.cloned(), rows.clone());
        self.database
            .read(move |connection| {
                let (series, instance) = (series.as_ref().map(Uid::as_str), instance.as_ref().map(Uid::as_str));
                lookup::instances(connection, study.as_str(), series, instance, &rows)
            })
            .await
    }

    async fn hot_rows(&self, candidates: &[SealCandidate]) -> Result<Vec<Vec<InstanceRow>>, IndexError> {
        let candidates = candidates.to_vec();
        let work = move |connection: &Connection| {
            let rows = |candidate: &SealCandidate| {
                let (study, series) = (candidate.study.as_str(), candidate.series.as_str());
                lookup::instances(connection, study, Some(series), None, &RowFilter::All)
            };
            candidates.iter().map(rows).collect()
        };
        self.database.read(work).await
    }

    async fn series_to_seal(&self, quiet_since: OffsetDateTime, limit: u32) -> Result<Vec<SealCandidate>, IndexError> {
        let quiet_since = column::nanoseconds(quiet_since)?;
        self.database.read(move |connection| seal::series_to_seal(connection, quiet_since, limit)).await
    }

    async fn seal(
        &self,
        candidate: &SealCandidate,
        manifest: &ManifestPointer,
        hot_rows: &[i64],
    ) -> Result<bool, IndexError> {
        let (candidate, manifest, hot_rows) = (candidate.clone(), *manifest, hot_rows.to_vec());
        self.database.write(move |connection| seal::seal(connection, &candidate, &manifest, &hot_rows)).await
    }

    async fn seal_all(&self, seals: Vec<Seal>) -> Result<Vec<bool>, IndexError> {
        let work = move |connection: &Connection| {
            let seal = |one: &Seal| seal::seal(connection, &one.candidate, &one.manifest, &one.hot_rows);
            seals.iter().map(seal).collect()
        };
        self.database.write(work).await
    }

    async fn watermark(&self) -> Result<Option<Watermark>, IndexError> {
        self.database.read(lookup::watermark).await
    }

    async fn set_watermark(&self, watermark: Watermark) -> Result<(), IndexError> {
        self.database.write(move |connection| lookup::set_watermark(connection, watermark)).await
    }

    async fn checkpoint(&self) -> Result<(), IndexError> {
        self.database.alone(checkpoint).await?;
        self.database.carry_log().await
    }

    async fn counts(&self, rows: &RowFilter) -> Result<Counts, IndexError> {
        let rows = rows.clone();
        self.database.read(move |connection| lookup::counts(connection, &rows)).await
    }

    async fn clear(&self) -> Result<(), IndexError> {
        self.database.write(lookup::clear).await
    }

    fn contents(&self, instance: &NewInstance) -> Result<Contents, IndexError> {
        inventory::contents(instance)
    }

    async fn last_rows(&self) -> Result<LastRows, IndexError> {
        self.database.read(inventory::last_rows).await
    }

    async fn study_entries(&self, after: i64, limit: u32) -> Result<Vec<StudyEntry>, IndexError> {
        self.database.read(move |connection| inventory::studies(connection, after, limit)).await
    }

    async fn series_entries(&self, after: i64, limit: u32) -> Result<Vec<SeriesEntry>, IndexError> {
        self.database.read(move |connection| inventory::series(connection, after, limit)).await
    }

    async fn instance_entries(&self, after: i64, limit: u32) -> Result<Vec<InstanceEntry>, IndexError> {
        self.database.read(move |connection| inventory::instances(connection, after, limit)).await
    }

    async fn conflict_entries(&self, after: i64, limit: u32) -> Result<Vec<InstanceEntry>, IndexError> {
        self.database.read(move |connection| inventory::conflicts(connection, after, limit)).await
    }

    async fn check(&self) -> Result<CheckReport, IndexError> {
        let mut findings = check::file(&self.database, Some("study_text")).await?;
        if findings.is_empty() {
            findings = self.database.read(inventory::derived).await?;
            findings.truncate(check::MAX_FINDINGS);
        }
        Ok(CheckReport { findings })
    }
}

fn check_batch(batch: &[NewInstance]) -> Result<(), IndexError> {
    if batch.len() > MAX_BATCH { Err(IndexError::QueryLimit("instances in a batch")) } else { Ok(()) }
}

/// One commit with a sync of the write-ahead log makes all commits before it durable, as they stand before it in the
/// same log.
fn checkpoint(connection: &Connection) -> Result<(), IndexError> {
    connection.execute_batch("PRAGMA synchronous = FULL").map_err(at("checkpoint"))?;
    let committed = connection.execute("UPDATE checkpoint SET number = number + 1", []).map_err(at("checkpoint"));
    connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(at("checkpoint"))?;
    committed.map(|_| ())
}
