//! What the index knows of an instance: identifiers, the keys that are searched, and the return attributes of PS3.18
//! Tables 10.6.3-3, 10.6.3-4 and 10.6.3-5 as DICOM JSON.
//!
//! Read from the bounded header only. Patient data stands in no error and no `Debug`.

mod extract;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::extract::extract;
use crate::{Tag, Uid};

/// Which instance this is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InstanceIds {
    /// Study Instance UID (0020,000D).
    pub study: Uid,
    /// Series Instance UID (0020,000E).
    pub series: Uid,
    /// SOP Instance UID (0008,0018).
    pub sop_instance: Uid,
    /// SOP Class UID (0008,0016).
    pub sop_class: Uid,
}

/// What is kept of one instance for searching.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    /// Which instance this is.
    pub ids: InstanceIds,
    /// Keys of the patient and the study.
    pub study: StudyKeys,
    /// Keys of the series.
    pub series: SeriesKeys,
    /// Keys of the instance.
    pub instance: InstanceKeys,
    /// DICOM JSON of the patient and study attributes. Those the object does not have are not there.
    pub study_json: Map<String, Value>,
    /// DICOM JSON of the series attributes.
    pub series_json: Map<String, Value>,
    /// DICOM JSON of the instance attributes.
    pub instance_json: Map<String, Value>,
}

/// Keys of the patient and the study: text in UTF-8 without padding, `""` where the object has none; of several values
/// the first. At most 1,024 characters each.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StudyKeys {
    /// Patient ID (0010,0020).
    pub patient_id: String,
    /// Issuer of Patient ID (0010,0021).
    pub issuer_of_patient_id: String,
    /// Patient's Name (0010,0010), with `^` and `=`.
    pub patient_name: String,
    /// Patient's Birth Date (0010,0030) as `YYYYMMDD`; text that is no date as it stands.
    pub birth_date: String,
    /// Patient's Sex (0010,0040).
    pub sex: String,
    /// Study Date (0008,0020) as `YYYYMMDD`; text that is no date as it stands.
    pub date: String,
    /// Study Time (0008,0030) as `HHMMSS.FFFFFF` (a partial time as its first moment); text that is no time as it stands.
    pub time: String,
    /// Accession Number (0008,0050).
    pub accession: String,
    /// Study Description (0008,1030).
    pub description: String,
    /// Referring Physician's Name (0008,0090).
    pub referring: String,
    /// Study ID (0020,0010).
    pub id: String,
}

/// Keys of the series; texts as in [`StudyKeys`].
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeriesKeys {
    /// Modality (0008,0060).
    pub modality: String,
    /// Series Number (0020,0011).
    pub number: Option<i64>,
    /// Series Description (0008,103E).
    pub description: String,
    /// Body Part Examined (0018,0015).
    pub body_part: String,
    /// Series Date (0008,0021) as `YYYYMMDD`.
    pub date: String,
    /// Series Time (0008,0031) as `HHMMSS.FFFFFF`.
    pub time: String,
    /// Protocol Name (0018,1030).
    pub protocol: String,
    /// Station Name (0008,1010).
    pub station_name: String,
    /// Performed Procedure Step Start Date (0040,0244) as `YYYYMMDD`.
    pub performed_date: String,
    /// Performed Procedure Step Start Time (0040,0245) as `HHMMSS.FFFFFF`.
    pub performed_time: String,
    /// Request Attributes Sequence (0040,0275) > Scheduled Procedure Step ID (0040,0009), first item that has one.
    pub scheduled_step_id: String,
    /// Request Attributes Sequence (0040,0275) > Requested Procedure ID (0040,1001), first item that has one.
    pub requested_procedure_id: String,
}

/// Keys of the instance.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InstanceKeys {
    /// Instance Number (0020,0013).
    pub number: Option<i64>,
    /// Rows (0028,0010).
    pub rows: Option<u32>,
    /// Columns (0028,0011).
    pub columns: Option<u32>,
    /// Number of Frames (0028,0008).
    pub frames: Option<u32>,
    /// Bits Allocated (0028,0100).
    pub bits_allocated: Option<u32>,
}

/// Why an object cannot be put into a study. Never carries a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributesError {
    /// One of the four UIDs is absent or empty.
    #[error("{0} is missing")]
    MissingUid(Tag),
    /// One of the four UIDs is there, and is no UID.
    #[error("{0} is not a valid UID")]
    InvalidUid(Tag),
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attributes").field("ids", &self.ids).finish_non_exhaustive()
    }
}

impl fmt::Debug for StudyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StudyKeys(..)")
    }
}

impl fmt::Debug for SeriesKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeriesKeys(..)")
    }
}

impl fmt::Debug for InstanceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstanceKeys(..)")
    }
}

#[cfg(test)]
mod tests;
