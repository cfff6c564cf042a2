//! One entry of the modality worklist as DICOM JSON attributes (PS3.4 K.6.1.2.2; PS3.3 C.4.10 to C.4.13): how it is read,
//! and what it must say.
//!
//! An entry is one scheduled procedure step: its Scheduled Procedure Step Sequence has one item. Knows no store.

use serde_json::{Map, Value, json};

use crate::{
    Tag, Uid, VR, data_set, date_time, dictionary, element_value, json as dicom_json,
    limits::Limits,
    part10::{Gate, Refusal, Source},
    transfer_syntax,
};

/// Scheduled Procedure Step Sequence.
pub const STEP_SEQUENCE: Tag = Tag(0x0040, 0x0100);
/// Scheduled Station AE Title.
pub const STATION_AE_TITLE: Tag = Tag(0x0040, 0x0001);
/// Scheduled Procedure Step Start Date.
pub const START_DATE: Tag = Tag(0x0040, 0x0002);
/// Scheduled Procedure Step Start Time.
pub const START_TIME: Tag = Tag(0x0040, 0x0003);
/// Scheduled Procedure Step ID.
pub const STEP_ID: Tag = Tag(0x0040, 0x0009);
/// Scheduled Procedure Step Status.
pub const STEP_STATUS: Tag = Tag(0x0040, 0x0020);

const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// What every entry says at its top, and in its step (type 1 of PS3.4 Table K.6-1, but for those with conditions).
const REQUIRED: [Tag; 4] = [Tag(0x0010, 0x0010), Tag(0x0010, 0x0020), STUDY_INSTANCE_UID, Tag(0x0040, 0x1001)];
const REQUIRED_OF_STEP: [Tag; 5] = [STATION_AE_TITLE, START_DATE, START_TIME, Tag(0x0008, 0x0060), STEP_ID];

/// Most bytes of a data set that is no image: a performed step with 4,000 images takes 0.6 MB.
pub const DATA_SET_BYTES: usize = 1024 * 1024;
/// Most values, items and attributes of it together: each takes a hundred times its bytes in memory.
const MAX_PARTS: usize = 80_000;
/// Sequences inside one another in DICOM JSON.
const MAX_DEPTH: usize = 16;
/// Most bytes of one text value: what fits behind a length of 16 bits.
const MAX_TEXT_BYTES: usize = 65_534;

/// One entry. Its `Debug` shows nothing, as all of it is about a patient.
#[derive(Clone, PartialEq)]
pub struct Entry {
    /// Study Instance UID.
    pub study: Uid,
    /// Scheduled Procedure Step ID: with the study it names the step.
    pub step_id: String,
    /// Scheduled Station AE Titles.
    pub stations: Vec<String>,
    /// `YYYYMMDD`.
    pub start_date: String,
    /// `HHMMSS.FFFFFF`, the first moment where less was given.
    pub start_time: String,
    /// All attributes, without a character set.
    pub attributes: Map<String, Value>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry(..)")
    }
}

/// The bytes are no attributes, or no entry. Carries no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// They are no data set.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// They are no DICOM JSON object (PS3.18 F.2).
    #[error("not a DICOM JSON object")]
    NotJson,
    /// One attribute is not in the form of PS3.18 F.2, or has another VR than the standard says.
    #[error("{0} is not written as DICOM JSON has it, or has another VR than the standard says")]
    Attribute(Tag),
    /// A value that would be bulk data, or too long.
    #[error("{0} has a value that is too long")]
    TooLong(Tag),
    /// More values, items and attributes than any entry or step has.
    #[error("it has too many values")]
    TooMany,
    /// Sequences inside one another without end.
    #[error("sequences are nested too deeply")]
    TooDeep,
    /// An attribute without which it is none has no value.
    #[error("{0} has no value")]
    Missing(Tag),
    /// Each entry is one step.
    #[error("the Scheduled Procedure Step Sequence must have one item")]
    Steps,
    /// A value is none of its VR.
    #[error("{0} has no valid value")]
    Invalid(Tag),
}

impl Entry {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`EntryError`] with what is missing or wrong.
    pub fn new(attributes: Map<String, Value>) -> Result<Self, EntryError> {
        for tag in REQUIRED {
            first_text(&attributes, tag).ok_or(EntryError::Missing(tag))?;
        }
        let [step] = items(&attributes, STEP_SEQUENCE).collect::<Vec<_>>()[..] else { return Err(EntryError::Steps) };
        let required = |tag: Tag| first_text(step, tag).ok_or(EntryError::Missing(tag));
        for tag in REQUIRED_OF_STEP {
            required(tag)?;
        }
        let study = first_text(&attributes, STUDY_INSTANCE_UID).unwrap_or_default();
        let time = date_time::time(&required(START_TIME)?).ok_or(EntryError::Invalid(START_TIME))?;
        Ok(Self {
            study: study.parse().map_err(|_| EntryError::Invalid(STUDY_INSTANCE_UID))?,
            step_id: required(STEP_ID)?,
            stations: texts(step, STATION_AE_TITLE).collect(),
            start_date: date_time::date(&required(START_DATE)?).ok_or(EntryError::Invalid(START_DATE))?,
            start_time: time.from,
            attributes,
        })
    }
}

/// Sets Scheduled Procedure Step Status in the step of an entry.
pub fn set_status(attributes: &mut Map<String, Value>, status: &str) {
    let steps = attributes.get_mut(&name(STEP_SEQUENCE)).and_then(|sequence| sequence.get_mut("Value"));
    for step in steps.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
        step.insert(name(STEP_STATUS), json!({ "vr": "CS", "Value": [status] }));
    }
}

/// The attributes of a data set of at most [`DATA_SET_BYTES`] that holds no bulk data.
///
/// # Errors
/// [`EntryError`].
pub fn read(source: Source, bytes: &[u8]) -> Result<Map<String, Value>, EntryError> {
    let limits = Limits { object_bytes: DATA_SET_BYTES as u64, ..Limits::default() };
    let mut gate = Gate::new(source, limits)?;
    gate.push(bytes)?;
    let outline = gate.finish()?.1;
    if let Some(bulk) = outline.header.bulk().first() {
        return Err(EntryError::TooLong(Tag(bulk.tag.0, bulk.tag.1)));
    }
    let mut text = Vec::new();
    dicom_json::write(&outline, &|_| String::new(), &mut text);
    // looked at before it is taken apart: every part has one of these in front of it
    if text.iter().filter(|byte| matches!(byte, b',' | b'{' | b'[')).count() > MAX_PARTS {
        return Err(EntryError::TooMany);
    }
    let mut attributes: Map<String, Value> = serde_json::from_slice(&text).map_err(|_| EntryError::NotJson)?;
    // it is set anew wherever the attributes are written
    attributes.remove(&name(SPECIFIC_CHARACTER_SET));
    Ok(attributes)
}

/// The attributes of a DICOM JSON object, or of an array that holds one (PS3.18 F.2), as they come back out of a data set:
/// what no data set can hold is refused.
///
/// # Errors
/// [`EntryError`].
pub fn read_json(bytes: &[u8]) -> Result<Map<String, Value>, EntryError> {
    let object = match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => object,
        Ok(Value::Array(mut list)) if list.len() == 1 => match list.pop() {
            Some(Value::Object(object)) => object,
            _ => return Err(EntryError::NotJson),
        },
        _ => return Err(EntryError::NotJson),
    };
    check(&object)?;
    let syntax = transfer_syntax::EXPLICIT_LITTLE_ENDIAN;
    let encoding = transfer_syntax::lookup(syntax).ok_or(EntryError::NotJson)?.encoding;
    let written = data_set::write(&object, encoding);
    let syntax = syntax.parse().map_err(|_| EntryError::NotJson)?;
    read(Source::DataSet { transfer_syntax: syntax }, &written)
}

/// Looks at every attribute, those of items too, without recursion.
fn check(object: &Map<String, Value>) -> Result<(), EntryError> {
    let mut open = vec![(object, 0)];
    while let Some((attributes, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(EntryError::TooDeep);
        }
        for (name, attribute) in attributes {
            let tag = parse(name).ok_or(EntryError::NotJson)?;
            let wrong = EntryError::Attribute(tag);
            let vr: VR =
                attribute.get("vr").and_then(Value::as_str).and_then(|vr| vr.parse().ok()).ok_or(wrong.clone())?;
            let is_known = |known: VR| known == vr || !(element_value::is_text(known) || known == VR::SQ);
            if !dictionary::vr(tag).is_none_or(is_known) || attribute.get("BulkDataURI").is_some() {
                return Err(wrong);
            }
            let values = match attribute.get("Value") {
                None => continue,
                Some(values) => values.as_array().ok_or(wrong.clone())?,
            };
            let length: usize = values.iter().map(|value| value.as_str().map_or(16, str::len).saturating_add(1)).sum();
            if length > MAX_TEXT_BYTES {
                return Err(EntryError::TooLong(tag));
            }
            for value in values {
                match value {
                    Value::Object(item) if vr == VR::SQ => open.push((item, depth.saturating_add(1))),
                    Value::Object(_) if vr == VR::PN => {}
                    Value::String(_) | Value::Number(_) | Value::Null if vr != VR::SQ => {}
                    _ => return Err(wrong),
                }
            }
        }
    }
    Ok(())
}

/// The name of an attribute in DICOM JSON.
#[must_use]
pub fn name(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.0, tag.1)
}

fn parse(name: &str) -> Option<Tag> {
    let is_tag = name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_lowercase());
    let number = u32::from_str_radix(name, 16).ok().filter(|_| is_tag)?;
    Some(Tag((number >> 16) as u16, (number & 0xFFFF) as u16))
}

/// The items of a sequence.
pub fn items(attributes: &Map<String, Value>, tag: Tag) -> impl Iterator<Item = &Map<String, Value>> {
    values(attributes, tag).filter_map(Value::as_object)
}

/// The values of an attribute that are text and not empty, without padding; of a name its first group.
pub fn texts(attributes: &Map<String, Value>, tag: Tag) -> impl Iterator<Item = String> {
    values(attributes, tag)
        .filter_map(|value| match value {
            Value::String(text) => Some(text.as_str()),
            Value::Object(groups) => groups.values().find_map(Value::as_str),
            _ => None,
        })
        .map(|text| text.trim_matches([' ', '\0']).to_owned())
        .filter(|text| !text.is_empty())
}

/// The first of [`texts`].
#[must_use]
pub fn first_text(attributes: &Map<String, Value>, tag: Tag) -> Option<String> {
    texts(attributes, tag).next()
}

fn values(attributes: &Map<String, Value>, tag: Tag) -> impl Iterator<Item = &Value> {
    attributes
        .get(&name(tag))
        .and_then(|attribute| attribute.get("Value"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests;
