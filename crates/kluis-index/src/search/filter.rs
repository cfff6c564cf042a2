//! Which attributes can be searched at which level, and the filters of a query evaluated in memory.

use kluis_dicom::{
    Tag,
    matching::{self, Manner},
    query::{Filter, Level, Query},
};
use serde_json::{Map, Value};

/// Whether the index keeps the attribute (or the sequence in which the path begins) for rows of this level. A filter on
/// any other attribute is passed over, as PS3.4 C.4.1.1.4 has it for optional keys that are not supported; the caller
/// tells the peer.
#[must_use]
pub fn is_searchable(level: Level, path: &[Tag]) -> bool {
    path.first().and_then(|tag| level_of(*tag)).is_some_and(|kept| kept <= level)
}

/// Whether a row with these attributes (its own, those of its series and study, and the computed ones) fulfils every
/// searchable filter of the query. The same answer as the database's.
#[must_use]
pub fn matches(query: &Query, attributes: &Map<String, Value>) -> bool {
    let filters: Vec<Filter> =
        query.filters.iter().filter(|filter| is_searchable(query.level, &filter.path)).cloned().collect();
    matching::matches(&filters, attributes, manner(query))
}

pub(crate) fn manner(query: &Query) -> Manner {
    Manner { is_fuzzy: query.is_fuzzy, combines_date_time: query.combines_date_time }
}

/// The level at which an attribute is kept.
pub(crate) fn level_of(tag: Tag) -> Option<Level> {
    if STUDY.contains(&tag) {
        Some(Level::Study)
    } else if SERIES.contains(&tag) {
        Some(Level::Series)
    } else if INSTANCE.contains(&tag) {
        Some(Level::Instance)
    } else {
        None
    }
}

pub(crate) const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
pub(crate) const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
pub(crate) const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
pub(crate) const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
pub(crate) const INSTANCE_AVAILABILITY: Tag = Tag(0x0008, 0x0056);

/// What is kept of a study (PS3.18 Table 10.6.3-3 and what [`kluis_dicom::attributes`] adds), and what is computed.
const STUDY: [Tag; 17] = [
    Tag(0x0008, 0x0020), // Study Date
    Tag(0x0008, 0x0030), // Study Time
    Tag(0x0008, 0x0050), // Accession Number
    INSTANCE_AVAILABILITY,
    MODALITIES_IN_STUDY,
    Tag(0x0008, 0x0080), // Institution Name
    Tag(0x0008, 0x0090), // Referring Physician's Name
    Tag(0x0008, 0x0201), // Timezone Offset From UTC
    Tag(0x0008, 0x1030), // Study Description
    Tag(0x0010, 0x0010), // Patient's Name
    Tag(0x0010, 0x0020), // Patient ID
    Tag(0x0010, 0x0021), // Issuer of Patient ID
    Tag(0x0010, 0x0030), // Patient's Birth Date
    Tag(0x0010, 0x0040), // Patient's Sex
    Tag(0x0010, 0x1010), // Patient's Age
    STUDY_INSTANCE_UID,
    Tag(0x0020, 0x0010), // Study ID
];

/// Of a series (Table 10.6.3-4).
const SERIES: [Tag; 14] = [
    Tag(0x0008, 0x0021), // Series Date
    Tag(0x0008, 0x0031), // Series Time
    Tag(0x0008, 0x0060), // Modality
    Tag(0x0008, 0x0070), // Manufacturer
    Tag(0x0008, 0x1010), // Station Name
    Tag(0x0008, 0x103E), // Series Description
    Tag(0x0018, 0x0015), // Body Part Examined
    Tag(0x0018, 0x1030), // Protocol Name
    SERIES_INSTANCE_UID,
    Tag(0x0020, 0x0011), // Series Number
    Tag(0x0020, 0x0060), // Laterality
    Tag(0x0040, 0x0244), // Performed Procedure Step Start Date
    Tag(0x0040, 0x0245), // Performed Procedure Step Start Time
    Tag(0x0040, 0x0275), // Request Attributes Sequence
];

/// Of an instance (Table 10.6.3-5).
const INSTANCE: [Tag; 10] = [
    Tag(0x0008, 0x0008), // Image Type
    Tag(0x0008, 0x0016), // SOP Class UID
    SOP_INSTANCE_UID,
    Tag(0x0008, 0x0023), // Content Date
    Tag(0x0008, 0x0033), // Content Time
    Tag(0x0020, 0x0013), // Instance Number
    Tag(0x0028, 0x0008), // Number of Frames
    Tag(0x0028, 0x0010), // Rows
    Tag(0x0028, 0x0011), // Columns
    Tag(0x0028, 0x0100), // Bits Allocated
];
