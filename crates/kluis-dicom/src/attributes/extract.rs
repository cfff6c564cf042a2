//! One pass over the header that picks out what the index keeps.

use serde_json::{Map, Value as Json, json};

use super::{Attributes, AttributesError, InstanceIds, InstanceKeys, SeriesKeys, StudyKeys};
use crate::{
    Charset, Tag, Uid, VR, date_time, dictionary, element_value, json,
    part10::{Event, Outline, Value},
};

/// Most characters of a text taken over into a key.
const MAX_KEY_CHARS: usize = 1024;
/// Most bytes of the texts of one attribute taken over into the JSON.
const MAX_JSON_BYTES: usize = 4096;
/// What stands around a value counts, too: thousands of empty values are no way around the limit.
const VALUE_BYTES: usize = 8;
/// Most items of the Request Attributes Sequence taken over.
const MAX_REQUEST_ITEMS: usize = 16;

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
const TIMEZONE_OFFSET: Tag = Tag(0x0008, 0x0201);
const REQUEST_ATTRIBUTES: Tag = Tag(0x0040, 0x0275);
const SCHEDULED_STEP_ID: Tag = Tag(0x0040, 0x0009);
const REQUESTED_PROCEDURE_ID: Tag = Tag(0x0040, 0x1001);

/// Return attributes of a study: PS3.18 Table 10.6.3-3, and what lists of studies commonly show beyond it.
const STUDY_TAGS: [Tag; 15] = [
    Tag(0x0008, 0x0020), // Study Date
    Tag(0x0008, 0x0030), // Study Time
    Tag(0x0008, 0x0050), // Accession Number
    Tag(0x0008, 0x0080), // Institution Name
    Tag(0x0008, 0x0090), // Referring Physician's Name
    TIMEZONE_OFFSET,
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

/// Return attributes of a series: PS3.18 Table 10.6.3-4 and the same.
const SERIES_TAGS: [Tag; 14] = [
    Tag(0x0008, 0x0021), // Series Date
    Tag(0x0008, 0x0031), // Series Time
    Tag(0x0008, 0x0060), // Modality
    Tag(0x0008, 0x0070), // Manufacturer
    TIMEZONE_OFFSET,
    Tag(0x0008, 0x1010), // Station Name
    Tag(0x0008, 0x103E), // Series Description
    Tag(0x0018, 0x0015), // Body Part Examined
    Tag(0x0018, 0x1030), // Protocol Name
    SERIES_INSTANCE_UID,
    Tag(0x0020, 0x0011), // Series Number
    Tag(0x0020, 0x0060), // Laterality
    Tag(0x0040, 0x0244), // Performed Procedure Step Start Date
    Tag(0x0040, 0x0245), // Performed Procedure Step Start Time
];

/// Return attributes of an instance: PS3.18 Table 10.6.3-5 and the same.
const INSTANCE_TAGS: [Tag; 11] = [
    Tag(0x0008, 0x0008), // Image Type
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    Tag(0x0008, 0x0023), // Content Date
    Tag(0x0008, 0x0033), // Content Time
    TIMEZONE_OFFSET,
    Tag(0x0020, 0x0013), // Instance Number
    Tag(0x0028, 0x0008), // Number of Frames
    Tag(0x0028, 0x0010), // Rows
    Tag(0x0028, 0x0011), // Columns
    Tag(0x0028, 0x0100), // Bits Allocated
];

/// Reads identifiers, keys and return attributes from the header of an object.
///
/// Only the attributes of the data set itself count, not those within sequences, but for the Request Attributes Sequence.
/// Where a tag stands more than once, the first one counts.
///
/// # Errors
/// [`AttributesError`] where one of the four UIDs is missing or is none.
pub fn extract(outline: &Outline) -> Result<Attributes, AttributesError> {
    let mut pass = Pass::default();
    let mut events = outline.header.events();
    while let Some(event) = events.next() {
        pass.event(event, events.is_big_endian());
    }
    pass.finish()
}

#[derive(Default)]
struct Pass {
    charset: Charset,
    /// Sequences and items around the current element.
    depth: usize,
    /// Within the Request Attributes Sequence of the data set itself.
    is_in_requests: bool,
    outer_charset: Charset,
    request_item: Map<String, Json>,
    request_items: Vec<Json>,
    uids: [Option<Result<Uid, AttributesError>>; 4],
    study: StudyKeys,
    series: SeriesKeys,
    instance: InstanceKeys,
    study_json: Map<String, Json>,
    series_json: Map<String, Json>,
    instance_json: Map<String, Json>,
}

/// An element whose VR is settled.
#[derive(Clone, Copy)]
struct Element<'a> {
    tag: Tag,
    vr: VR,
    bytes: &'a [u8],
    charset: Charset,
    is_big_endian: bool,
}

impl Pass {
    fn event(&mut self, event: Event<'_>, is_big_endian: bool) {
        match event {
            Event::SequenceStart { tag } => {
                if self.depth == 0 {
                    self.is_in_requests = tag == REQUEST_ATTRIBUTES;
                }
                self.depth += 1;
            }
            Event::ItemStart => {
                self.depth += 1;
                if self.depth == 2 {
                    self.outer_charset = self.charset;
                }
            }
            Event::ItemEnd => {
                if self.depth == 2 {
                    self.charset = self.outer_charset;
                    self.end_request_item();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            Event::SequenceEnd => self.depth = self.depth.saturating_sub(1),
            Event::Element { tag, vr, value: Value::Inline(bytes) } => {
                let element = Element {
                    tag,
                    vr: settled_vr(tag, vr),
                    bytes,
                    charset: self.charset,
                    is_big_endian: is_big_endian && vr != VR::UN,
                };
                match self.depth {
                    0 => self.root_element(element),
                    2 => self.item_element(element),
                    _ => {}
                }
            }
            // A value so long that it is bulk is none of these attributes in earnest.
            Event::Element { .. } => {}
        }
    }

    fn root_element(&mut self, element: Element<'_>) {
        let tag = element.tag;
        if tag == SPECIFIC_CHARACTER_SET {
            self.charset = Charset::from_value(element.bytes);
            return;
        }
        let is_study = STUDY_TAGS.contains(&tag);
        let is_series = SERIES_TAGS.contains(&tag);
        let is_instance = INSTANCE_TAGS.contains(&tag);
        if !(is_study || is_series || is_instance) {
            return;
        }
        let name = json_name(tag);
        let is_known = [&self.study_json, &self.series_json, &self.instance_json]
            .iter()
            .any(|attributes| attributes.contains_key(&name));
        if is_known {
            return;
        }
        if let Some(uid) = uid_place(tag).and_then(|place| self.uids.get_mut(place)) {
            *uid = read_uid(tag, element.bytes);
        }
        self.key(element);
        let Some(attribute) = bounded_json(element) else { return };
        if is_study {
            self.study_json.insert(name.clone(), attribute.clone());
        }
        if is_series {
            self.series_json.insert(name.clone(), attribute.clone());
        }
        if is_instance {
            self.instance_json.insert(name, attribute);
        }
    }

    fn key(&mut self, element: Element<'_>) {
        let (study, series, instance) = (&mut self.study, &mut self.series, &mut self.instance);
        match (element.tag.0, element.tag.1) {
            (0x0008, 0x0020) => study.date = date_key(element),
            (0x0008, 0x0030) => study.time = time_key(element),
            (0x0008, 0x0050) => study.accession = text_key(element),
            (0x0008, 0x0090) => study.referring = text_key(element),
            (0x0008, 0x1030) => study.description = text_key(element),
            (0x0010, 0x0010) => study.patient_name = text_key(element),
            (0x0010, 0x0020) => study.patient_id = text_key(element),
            (0x0010, 0x0021) => study.issuer_of_patient_id = text_key(element),
            (0x0010, 0x0030) => study.birth_date = date_key(element),
            (0x0010, 0x0040) => study.sex = text_key(element),
            (0x0020, 0x0010) => study.id = text_key(element),
            (0x0008, 0x0021) => series.date = date_key(element),
            (0x0008, 0x0031) => series.time = time_key(element),
            (0x0008, 0x0060) => series.modality = text_key(element),
            (0x0008, 0x1010) => series.station_name = text_key(element),
            (0x0008, 0x103E) => series.description = text_key(element),
            (0x0018, 0x0015) => series.body_part = text_key(element),
            (0x0018, 0x1030) => series.protocol = text_key(element),
            (0x0020, 0x0011) => series.number = integer_key(element),
            (0x0040, 0x0244) => series.performed_date = date_key(element),
            (0x0040, 0x0245) => series.performed_time = time_key(element),
            (0x0020, 0x0013) => instance.number = integer_key(element),
            (0x0028, 0x0008) => instance.frames = count_key(element),
            (0x0028, 0x0010) => instance.rows = count_key(element),
            (0x0028, 0x0011) => instance.columns = count_key(element),
            (0x0028, 0x0100) => instance.bits_allocated = count_key(element),
            _ => {}
        }
    }

    fn item_element(&mut self, element: Element<'_>) {
        if element.tag == SPECIFIC_CHARACTER_SET {
            self.charset = Charset::from_value(element.bytes);
            return;
        }
        let is_wanted = self.is_in_requests && self.request_items.len() < MAX_REQUEST_ITEMS;
        let key = match element.tag {
            SCHEDULED_STEP_ID => &mut self.series.scheduled_step_id,
            REQUESTED_PROCEDURE_ID => &mut self.series.requested_procedure_id,
            _ => return,
        };
        if !is_wanted {
            return;
        }
        if key.is_empty() {
            *key = text_key(element);
        }
        if let Some(attribute) = bounded_json(element) {
            self.request_item.entry(json_name(element.tag)).or_insert(attribute);
        }
    }

    fn end_request_item(&mut self) {
        let item = std::mem::take(&mut self.request_item);
        if !item.is_empty() {
            self.request_items.push(Json::Object(item));
        }
    }

    fn finish(mut self) -> Result<Attributes, AttributesError> {
        if !self.request_items.is_empty() {
            let sequence = json!({"vr": "SQ", "Value": self.request_items});
            self.series_json.insert(json_name(REQUEST_ATTRIBUTES), sequence);
        }
        let [study, series, sop_instance, sop_class] = self.uids;
        let ids = InstanceIds {
            study: study.unwrap_or(Err(AttributesError::MissingUid(STUDY_INSTANCE_UID)))?,
            series: series.unwrap_or(Err(AttributesError::MissingUid(SERIES_INSTANCE_UID)))?,
            sop_instance: sop_instance.unwrap_or(Err(AttributesError::MissingUid(SOP_INSTANCE_UID)))?,
            sop_class: sop_class.unwrap_or(Err(AttributesError::MissingUid(SOP_CLASS_UID)))?,
        };
        Ok(Attributes {
            ids,
            study: self.study,
            series: self.series,
            instance: self.instance,
            study_json: self.study_json,
            series_json: self.series_json,
            instance_json: self.instance_json,
        })
    }
}

fn uid_place(tag: Tag) -> Option<usize> {
    [STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID, SOP_CLASS_UID].iter().position(|uid| *uid == tag)
}

/// `None` where the value is only padding: the UID is missing, not wrong.
fn read_uid(tag: Tag, bytes: &[u8]) -> Option<Result<Uid, AttributesError>> {
    let is_empty = bytes.iter().all(|byte| matches!(byte, 0 | b' '));
    (!is_empty).then(|| Uid::from_value(bytes).map_err(|_| AttributesError::InvalidUid(tag)))
}

/// The VR of the standard, unless the value is written as a number where the standard has text, or the other way round.
fn settled_vr(tag: Tag, written: VR) -> VR {
    match dictionary::vr(tag) {
        Some(vr) if element_value::number_width(written).is_none() && element_value::is_text(vr) => vr,
        Some(vr) if written == VR::UN && vr != VR::SQ => vr,
        _ => written,
    }
}

fn json_name(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.0, tag.1)
}

/// The DICOM JSON of an element, cut to [`MAX_JSON_BYTES`]; `None` where there is no value.
fn bounded_json(element: Element<'_>) -> Option<Json> {
    let mut attribute = json::attribute(element.vr, element.bytes, element.charset, element.is_big_endian);
    let values = attribute.get_mut("Value")?.as_array_mut()?;
    let mut left = MAX_JSON_BYTES;
    let mut kept = 0;
    for value in values.iter_mut() {
        if left == 0 {
            break;
        }
        kept += 1;
        match value {
            Json::String(text) => cut(text, &mut left),
            Json::Object(groups) => {
                for group in groups.values_mut() {
                    if let Json::String(text) = group {
                        cut(text, &mut left);
                    }
                }
                groups.retain(|_, group| group.as_str() != Some(""));
            }
            _ => left = left.saturating_sub(VALUE_BYTES),
        }
    }
    values.truncate(kept);
    Some(attribute)
}

fn cut(text: &mut String, left: &mut usize) {
    let end = text.floor_char_boundary(*left);
    text.truncate(end);
    *left = left.saturating_sub(end.saturating_add(VALUE_BYTES));
}

fn text_key(element: Element<'_>) -> String {
    let mut text = element_value::first_text(element.charset, element.vr, element.bytes, element.is_big_endian);
    if let Some((end, _)) = text.char_indices().nth(MAX_KEY_CHARS) {
        text.truncate(end);
    }
    text
}

fn date_key(element: Element<'_>) -> String {
    let text = text_key(element);
    date_time::date(&text).unwrap_or(text)
}

fn time_key(element: Element<'_>) -> String {
    let text = text_key(element);
    date_time::time(&text).map_or(text, |time| time.from)
}

fn integer_key(element: Element<'_>) -> Option<i64> {
    element_value::first_integer(element.vr, element.bytes, element.is_big_endian)
}

fn count_key(element: Element<'_>) -> Option<u32> {
    integer_key(element).and_then(|number| u32::try_from(number).ok())
}
