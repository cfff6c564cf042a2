//! Answers of a search, and the matching of filters in memory (PS3.4 C.2.2.2) where no column serves them.

pub(crate) mod filter;

use std::fmt;

use kluis_dicom::Uid;
use serde_json::{Map, Value};

use crate::ManifestPointer;

pub use filter::{is_searchable, matches};

/// One page of an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The rows, at most as many as asked for.
    pub matches: Vec<Row>,
    /// There are more behind them.
    pub has_more: bool,
}

/// One match.
#[derive(Clone, PartialEq)]
pub struct Row {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID, at series and instance level.
    pub series: Option<Uid>,
    /// SOP Instance UID, at instance level.
    pub instance: Option<Uid>,
    /// DICOM JSON (PS3.18 F): the attributes kept at this level and above, and the computed ones: Modalities in Study
    /// (0008,0061; absent when there is none), Instance Availability (0008,0056), the numbers of related series and
    /// instances (0020,1206), (0020,1208), (0020,1209), Available Transfer Syntax UID (0008,3002).
    pub attributes: Map<String, Value>,
}

/// A series that can hold instances which match.
#[derive(Clone, PartialEq)]
pub struct SeriesMatch {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
    /// The study key in the key table.
    pub key_id: [u8; 32],
    /// The manifest, once sealed.
    pub manifest: Option<ManifestPointer>,
    /// Instances in hot rows.
    pub hot_count: u64,
    /// DICOM JSON of study and series, with the computed attributes of [`Row::attributes`]: an instance's own
    /// attributes are added to them.
    pub attributes: Map<String, Value>,
}

/// One page of series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeriesPage {
    /// The series.
    pub series: Vec<SeriesMatch>,
    /// Where to go on; `None` at the end.
    pub next: Option<SeriesCursor>,
}

/// The place behind a series in the order of a search. Made by the index only.
#[derive(Clone, PartialEq, Eq)]
pub struct SeriesCursor {
    pub(crate) study_date: String,
    pub(crate) study_key: i64,
    pub(crate) series_number: i64,
    pub(crate) series_key: i64,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("study", &self.study)
            .field("series", &self.series)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SeriesMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesMatch").field("study", &self.study).field("series", &self.series).finish_non_exhaustive()
    }
}

impl fmt::Debug for SeriesCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesCursor").field("series_key", &self.series_key).finish_non_exhaustive()
    }
}
