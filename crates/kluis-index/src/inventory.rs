//! The rows of an index as they stand, for verification: each with its content as one string of bytes, to be held against
//! what [`crate::Index::contents`] makes of the record in the vault.

use std::fmt;

use crate::{Location, ManifestPointer};

/// What the rows of one instance must hold, all columns in fixed order. Holds patient data; `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Contents {
    /// Of its study, where this instance was the first to name it.
    pub study: Vec<u8>,
    /// Of its series, where this instance was the first to name it.
    pub series: Vec<u8>,
    /// Of its own row.
    pub instance: Vec<u8>,
    /// Of its row as a conflict version.
    pub conflict: Vec<u8>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contents(..)")
    }
}

/// The keys of the last rows, so that what comes later can be told from what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastRows {
    /// Of the studies.
    pub study: i64,
    /// Of the series.
    pub series: i64,
}

/// One study as it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct StudyEntry {
    /// Key of the row.
    pub row_key: i64,
    /// Study Instance UID as it stands in the row, whatever that is.
    pub uid: Vec<u8>,
    /// The study key in the key table, where the row holds one.
    pub key_id: Option<[u8; 32]>,
    /// When its first instance arrived, in nanoseconds since 1970.
    pub created_at: i64,
    /// All other columns.
    pub content: Vec<u8>,
}

/// One series as it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct SeriesEntry {
    /// Key of the row.
    pub row_key: i64,
    /// Study Instance UID as it stands in the row of the study.
    pub study: Vec<u8>,
    /// Series Instance UID as it stands in the row.
    pub uid: Vec<u8>,
    /// The study key in the key table, where the row of the study holds one.
    pub key_id: Option<[u8; 32]>,
    /// The manifest.
    pub manifest: Option<ManifestPointer>,
    /// Whether it says that it has hot rows.
    pub is_hot: bool,
    /// When its last instance arrived, in nanoseconds since 1970; up to
    /// [`ARRIVAL_LAG_NS`](crate::limits::ARRIVAL_LAG_NS) before that.
    pub last_arrival: i64,
    /// All other columns.
    pub content: Vec<u8>,
}

/// One instance, or one conflict version, as it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct InstanceEntry {
    /// Key of the row.
    pub row_key: i64,
    /// Key of its series; 0 for a conflict version.
    pub series_key: i64,
    /// SOP Instance UID as it stands in the row.
    pub sop_instance: Vec<u8>,
    /// The vault's identifier of the object; zeros where the row holds none.
    pub object_id: [u8; 16],
    /// Its record.
    pub location: Location,
    /// When its last byte arrived, in nanoseconds since 1970.
    pub received_at: i64,
    /// All columns.
    pub content: Vec<u8>,
}

macro_rules! silent {
    ($($entry:ty),+) => {
        $(impl fmt::Debug for $entry {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($entry)).field("row_key", &self.row_key).finish_non_exhaustive()
            }
        })+
    };
}

silent!(StudyEntry, SeriesEntry, InstanceEntry);
