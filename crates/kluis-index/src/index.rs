//! The trait that every engine implements.

use std::sync::Arc;

use async_trait::async_trait;
use kluis_dicom::{Uid, query::Query};
use kluis_policy::RowFilter;
use time::OffsetDateTime;

use crate::{
    CheckReport, ConflictRow, Contents, Counts, IndexError, Inserted, InstanceEntry, InstanceRow, Known, LastRows,
    ManifestPointer, NewInstance, Page, Seal, SealCandidate, SeriesCursor, SeriesEntry, SeriesPage, SeriesRow,
    StudyEntry, StudyRow, Watermark,
};

/// Studies, series and instances of one archive.
///
/// A study row and a series row are made by the first instance that names them, and keep its attributes. Instances are
/// rows while *hot*; [`Index::seal`] replaces those of a series by a pointer to its manifest in the vault.
#[async_trait]
pub trait Index: Send + Sync {
    /// Adds instances, all in one transaction; the answers stand in the order of the batch. Durable after the next
    /// [`Index::checkpoint`] only. An instance of a batch is already known to those behind it.
    ///
    /// # Errors
    /// Nothing of the batch was written.
    async fn insert(&self, batch: Arc<[NewInstance]>) -> Result<Vec<Inserted>, IndexError>;

    /// Keeps instances as conflict versions (other bytes under a SOP Instance UID that a manifest already holds).
    /// Versions that are known, by digest, are passed over. Answers how many are new.
    ///
    /// # Errors
    /// Nothing of the batch was written.
    async fn insert_conflicts(&self, batch: Vec<NewInstance>) -> Result<u64, IndexError>;

    /// What is known of these SOP Instance UIDs, in the order of the question (at most [`crate::limits::MAX_VALUES`]).
    async fn known(&self, sop_instances: &[Uid]) -> Result<Vec<Known>, IndexError>;

    /// Conflict versions under a SOP Instance UID, oldest first.
    async fn conflicts(&self, sop_instance: &Uid) -> Result<Vec<ConflictRow>, IndexError>;

    /// All conflict versions of a study, oldest first.
    async fn conflicts_of(&self, study: &Uid) -> Result<Vec<ConflictRow>, IndexError>;

    /// One page. Order: Study Date descending, then the study last made first; Series Number, then order of arrival;
    /// Instance Number, then order of arrival. Rows hold every attribute that the index keeps at their level and above,
    /// and the computed ones; the caller leaves out what was not asked for.
    ///
    /// At [`kluis_dicom::query::Level::Instance`] the rows are hot instances only: see [`Index::search_series`].
    ///
    /// Filters for which [`crate::is_searchable`] says no are passed over: the caller tells the peer.
    async fn search(&self, query: &Query, rows: &RowFilter) -> Result<Page, IndexError>;

    /// The series that can hold instances which match an instance-level query, in the order of [`Index::search`], those
    /// with a manifest too: the caller reads each manifest, adds the hot rows ([`Index::instances`]), applies
    /// [`crate::matches`], sorts by Instance Number, and counts offset and limit itself. Study and series filters of the
    /// query hold for every answer; of the instance filters the index uses what it can. `limit` series at most.
    async fn search_series(
        &self,
        query: &Query,
        rows: &RowFilter,
        after: Option<SeriesCursor>,
        limit: u32,
    ) -> Result<SeriesPage, IndexError>;

    /// One study. Without a row filter: it is what the gate asks to learn whose study it is.
    async fn study(&self, study: &Uid) -> Result<Option<StudyRow>, IndexError>;

    /// The series of a study, by Series Number, then order of arrival.
    async fn series_of(&self, study: &Uid, rows: &RowFilter) -> Result<Vec<SeriesRow>, IndexError>;

    /// Hot instances of a study, series or both, by series, Instance Number, order of arrival.
    async fn instances(
        &self,
        study: &Uid,
        series: Option<&Uid>,
        instance: Option<&Uid>,
        rows: &RowFilter,
    ) -> Result<Vec<InstanceRow>, IndexError>;

    /// The hot rows of each of these series, as [`Index::instances`] gives them.
    ///
    /// # Errors
    /// As [`Index::instances`].
    async fn hot_rows(&self, candidates: &[SealCandidate]) -> Result<Vec<Vec<InstanceRow>>, IndexError> {
        let mut rows = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            rows.push(self.instances(&candidate.study, Some(&candidate.series), None, &RowFilter::All).await?);
        }
        Ok(rows)
    }

    /// Series with hot rows of which none arrived after `quiet_since`, longest quiet first.
    async fn series_to_seal(&self, quiet_since: OffsetDateTime, limit: u32) -> Result<Vec<SealCandidate>, IndexError>;

    /// Points the series at a manifest, notes its instances by hash, and removes the hot rows that it now holds
    /// ([`InstanceRow::row_key`]), in one transaction. `false`, and nothing changed, when the hot rows of the series are no
    /// longer exactly these, or its manifest is no longer the candidate's.
    async fn seal(
        &self,
        candidate: &SealCandidate,
        manifest: &ManifestPointer,
        hot_rows: &[i64],
    ) -> Result<bool, IndexError>;

    /// [`Index::seal`] for many series together.
    ///
    /// # Errors
    /// As [`Index::seal`]; some may be sealed then.
    async fn seal_all(&self, seals: Vec<Seal>) -> Result<Vec<bool>, IndexError> {
        let mut sealed = Vec::with_capacity(seals.len());
        for Seal { candidate, manifest, hot_rows } in seals {
            sealed.push(self.seal(&candidate, &manifest, &hot_rows).await?);
        }
        Ok(sealed)
    }

    /// Up to where the packs are in the index and the logs; `None` in a new or cleared index.
    async fn watermark(&self) -> Result<Option<Watermark>, IndexError>;

    /// Stores the watermark. It becomes durable not before every insert that was answered before it.
    async fn set_watermark(&self, watermark: Watermark) -> Result<(), IndexError>;

    /// Durable on return: everything answered before.
    async fn checkpoint(&self) -> Result<(), IndexError>;

    /// How much is kept, of what the filter lets see.
    async fn counts(&self, rows: &RowFilter) -> Result<Counts, IndexError>;

    /// Forgets all studies, conflicts and the watermark, before a rebuild from packs. Devices and people stay.
    async fn clear(&self) -> Result<(), IndexError>;

    /// What the rows of an instance must hold, for verification.
    ///
    /// # Errors
    /// [`IndexError::OutOfRange`].
    fn contents(&self, instance: &NewInstance) -> Result<Contents, IndexError>;

    /// The keys of the last rows.
    async fn last_rows(&self) -> Result<LastRows, IndexError>;

    /// Studies as they stand, behind a row, in the order of their rows.
    async fn study_entries(&self, after: i64, limit: u32) -> Result<Vec<StudyEntry>, IndexError>;

    /// Series as they stand, behind a row, in the order of their rows.
    async fn series_entries(&self, after: i64, limit: u32) -> Result<Vec<SeriesEntry>, IndexError>;

    /// Hot instances as they stand, behind a row, in the order of their rows.
    async fn instance_entries(&self, after: i64, limit: u32) -> Result<Vec<InstanceEntry>, IndexError>;

    /// Conflict versions as they stand, behind a row, in the order of their rows.
    async fn conflict_entries(&self, after: i64, limit: u32) -> Result<Vec<InstanceEntry>, IndexError>;

    /// Reads the whole database and holds it against its checksums and its rules. Slow.
    async fn check(&self) -> Result<CheckReport, IndexError>;
}
