//! What goes into the index and what comes out of it. `Debug` shows identifiers of objects, never names.

use std::fmt;

use kluis_dicom::{
    Uid,
    attributes::{Attributes, InstanceIds},
};
use kluis_policy::Transport;
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// Where a record stands in the vault; the shape is the vault's, the meaning too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Number of the pack.
    pub pack: u64,
    /// First byte of the record in the pack.
    pub offset: u64,
    /// Bytes of the whole record.
    pub length: u64,
}

/// An instance to be added.
#[derive(Debug, Clone)]
pub struct NewInstance {
    /// Identifiers, keys and return attributes.
    pub attributes: Attributes,
    /// BLAKE3 of the data set as received.
    pub digest: [u8; 32],
    /// Its record.
    pub location: Location,
    /// The vault's identifier of the object.
    pub object_id: [u8; 16],
    /// The study key that wraps the key of the object.
    pub key_id: [u8; 32],
    /// Transfer Syntax UID (0002,0010) of the bytes as kept.
    pub transfer_syntax: Uid,
    /// Bytes of the data set as kept.
    pub data_set_length: u64,
    /// Who sent it (label of a device or a person).
    pub sender: String,
    /// How it came.
    pub transport: Transport,
    /// When its last byte arrived.
    pub received_at: OffsetDateTime,
    /// Manifests in which the caller has looked for it, and not found it. See [`Inserted::Sealed`].
    pub absent_from: Vec<Location>,
}

/// What became of a [`NewInstance`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is there now.
    New,
    /// The same bytes are known under this SOP Instance UID; nothing was added.
    Duplicate,
    /// Other bytes are known under this SOP Instance UID: kept as a conflict version (once per digest), not visible.
    Conflict,
    /// A manifest, of whatever series, may hold this SOP Instance UID, and the caller has not looked there: not added.
    /// Look there, and insert again with [`NewInstance::absent_from`], or treat it as duplicate or conflict.
    Sealed(SealedSeries),
}

/// What the index knows of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: the instance is neither among the hot rows nor in a manifest.
    Unknown,
    /// A hot row has its SOP Instance UID, in whatever study and series.
    Hot(HotInstance),
    /// No hot row, but these manifests, mostly one, may hold the SOP Instance UID: the caller must read them to know.
    /// They are found by a hash of the UID, in whatever study and series.
    Sealed(Vec<SealedSeries>),
}

/// A series with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSeries {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
    /// The study key in the key table.
    pub key_id: [u8; 32],
    /// The manifest.
    pub manifest: ManifestPointer,
}

/// The hot row of a known SOP Instance UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotInstance {
    /// Its own identifiers; study and series may differ from those asked for.
    pub ids: InstanceIds,
    /// BLAKE3 of its data set.
    pub digest: [u8; 32],
    /// Its record.
    pub location: Location,
    /// The vault's identifier of the object.
    pub object_id: [u8; 16],
}

/// Where the manifest of a series stands and what it holds in sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestPointer {
    /// Its record in the vault.
    pub location: Location,
    /// Instances in it.
    pub count: u64,
    /// Bytes of their data sets together.
    pub data_length: u64,
}

/// One study.
#[derive(Clone, PartialEq)]
pub struct StudyRow {
    /// Study Instance UID.
    pub uid: Uid,
    /// Key of the row.
    pub study_key: i64,
    /// The study key in the key table.
    pub key_id: [u8; 32],
    /// Referring Physician's Name (0008,0090), as received; `""` where absent.
    pub referring: String,
    /// DICOM JSON of the study's attributes.
    pub attributes: Map<String, Value>,
    /// When its first instance arrived.
    pub created_at: OffsetDateTime,
}

/// One series.
#[derive(Clone, PartialEq)]
pub struct SeriesRow {
    /// Series Instance UID.
    pub uid: Uid,
    /// Key of the row.
    pub series_key: i64,
    /// Modality (0008,0060); `""` where absent.
    pub modality: String,
    /// Series Number (0020,0011).
    pub number: Option<i64>,
    /// The manifest, once sealed.
    pub manifest: Option<ManifestPointer>,
    /// Instances in hot rows.
    pub hot_count: u64,
    /// Instances in the manifest.
    pub sealed_count: u64,
    /// The study key in the key table.
    pub key_id: [u8; 32],
    /// DICOM JSON of the attributes of the study and of the series.
    pub attributes: Map<String, Value>,
    /// When its last instance arrived, or up to [`ARRIVAL_LAG_NS`](crate::limits::ARRIVAL_LAG_NS) before that.
    pub last_arrival: OffsetDateTime,
}

/// One hot instance.
#[derive(Clone, PartialEq)]
pub struct InstanceRow {
    /// Key of the row, for [`crate::Index::seal`].
    pub row_key: i64,
    /// Identifiers.
    pub ids: InstanceIds,
    /// Its record.
    pub location: Location,
    /// The vault's identifier of the object.
    pub object_id: [u8; 16],
    /// The study key in the key table.
    pub key_id: [u8; 32],
    /// Transfer Syntax UID of the bytes as kept.
    pub transfer_syntax: Uid,
    /// Bytes of the data set as kept.
    pub data_set_length: u64,
    /// BLAKE3 of the data set.
    pub digest: [u8; 32],
    /// Who sent it.
    pub sender: String,
    /// How it came.
    pub transport: Transport,
    /// When its last byte arrived.
    pub received_at: OffsetDateTime,
    /// Instance Number (0020,0013).
    pub number: Option<i64>,
    /// DICOM JSON of the instance's own attributes (without those of study and series).
    pub attributes: Map<String, Value>,
}

/// Other bytes under a known SOP Instance UID; kept, not visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictRow {
    /// Identifiers, as this version names them.
    pub ids: InstanceIds,
    /// BLAKE3 of its data set.
    pub digest: [u8; 32],
    /// Its record.
    pub location: Location,
    /// The vault's identifier of the object.
    pub object_id: [u8; 16],
    /// The study key in the key table.
    pub key_id: [u8; 32],
    /// Transfer Syntax UID of the bytes as kept.
    pub transfer_syntax: Uid,
    /// Bytes of the data set as kept.
    pub data_set_length: u64,
    /// Who sent it.
    pub sender: String,
    /// How it came.
    pub transport: Transport,
    /// When its last byte arrived.
    pub received_at: OffsetDateTime,
}

/// A series with hot rows that has been quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealCandidate {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
    /// Key of the series row.
    pub series_key: i64,
    /// The study key in the key table.
    pub key_id: [u8; 32],
    /// The manifest that it has already: its instances belong into the next one too.
    pub manifest: Option<ManifestPointer>,
    /// Instances in hot rows.
    pub hot_count: u64,
    /// When its last instance arrived, or up to [`ARRIVAL_LAG_NS`](crate::limits::ARRIVAL_LAG_NS) before that.
    pub last_arrival: OffsetDateTime,
}

/// A series that is to be sealed, and the manifest that holds its hot rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The series as it was when the manifest was made.
    pub candidate: SealCandidate,
    /// The manifest.
    pub manifest: ManifestPointer,
    /// The hot rows that it holds ([`InstanceRow::row_key`]).
    pub hot_rows: Vec<i64>,
}

/// Up to where packs are in the index and in the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// Number of the pack.
    pub pack: u64,
    /// First byte in the pack that is not yet in.
    pub offset: u64,
    /// Leaves of the objects log.
    pub objects_size: u64,
    /// Leaves of the audit log.
    pub audit_size: u64,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Studies.
    pub studies: u64,
    /// Series.
    pub series: u64,
    /// Instances in hot rows.
    pub hot_instances: u64,
    /// Instances in manifests.
    pub sealed_instances: u64,
    /// Conflict versions.
    pub conflicts: u64,
    /// Bytes of the data sets of all instances, conflict versions not counted.
    pub data_length: u64,
}

/// What [`crate::Index::check`] found; no finding carries a value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// One line per finding; empty when all is well.
    pub findings: Vec<String>,
}

impl fmt::Debug for StudyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StudyRow").field("uid", &self.uid).finish_non_exhaustive()
    }
}

impl fmt::Debug for SeriesRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesRow").field("uid", &self.uid).field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

impl fmt::Debug for InstanceRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceRow").field("ids", &self.ids).field("location", &self.location).finish_non_exhaustive()
    }
}
