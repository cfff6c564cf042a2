//! What a person types as `-k Keyword=value`, as an identifier (PS3.4 C.4.1.1.3.1); and answers as DICOM JSON.

use anyhow::{Context, Result, bail};
use kluis_dicom::{
    Tag, Uid, VR, data_set, dictionary, json,
    limits::Limits,
    part10::{Gate, Source},
    query::parse_path,
    transfer_syntax::Encoding,
};
use serde_json::{Map, Value, json};

use crate::cli::{Level, Model};

/// An identifier that is being put together, as DICOM JSON.
#[derive(Debug, Default, Clone)]
pub(super) struct Keys(pub(super) Map<String, Value>);

impl Keys {
    /// `PatientName=DOE*`, `00100010`, `ScheduledProcedureStepSequence.Modality=CT`; without a value the key is only asked for.
    pub(super) fn read(typed: &[String]) -> Result<Self> {
        let mut keys = Self::default();
        for text in typed {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let path = parse_path(name).with_context(|| format!("`{name}` is no attribute"))?;
            keys.set(&path, value).with_context(|| format!("`{name}` takes no such value"))?;
        }
        Ok(keys)
    }

    /// Sets a key; within a sequence, in its one item.
    pub(super) fn set(&mut self, path: &[Tag], value: &str) -> Result<()> {
        let Some((last, sequences)) = path.split_last() else { bail!("no attribute") };
        let mut place = &mut self.0;
        for sequence in sequences {
            let attribute = place.entry(name(*sequence)).or_insert_with(|| json!({ "vr": "SQ", "Value": [{}] }));
            if attribute.get("Value").is_none() {
                *attribute = json!({ "vr": "SQ", "Value": [{}] });
            }
            let item = attribute.get_mut("Value").and_then(|items| items.get_mut(0)).and_then(Value::as_object_mut);
            place = item.context("no sequence")?;
        }
        place.insert(name(*last), attribute(*last, value)?);
        Ok(())
    }

    /// Sets a key where nobody has set it.
    pub(super) fn or(&mut self, tag: Tag, value: &str) -> Result<()> {
        if !self.0.contains_key(&name(tag)) {
            self.set(&[tag], value)?;
        }
        Ok(())
    }

    /// The text of a key.
    pub(super) fn text(&self, tag: Tag) -> Option<&str> {
        let value = self.0.get(&name(tag))?.get("Value")?.get(0)?;
        value.as_str().filter(|text| !text.is_empty())
    }

    /// The bytes for a context.
    pub(super) fn write(&self, encoding: Encoding) -> Vec<u8> {
        data_set::write(&self.0, encoding)
    }
}

fn attribute(tag: Tag, value: &str) -> Result<Value> {
    let vr = dictionary::vr(tag).unwrap_or(VR::UN);
    if value.is_empty() {
        return Ok(json!({ "vr": vr.to_string() }));
    }
    if vr == VR::SQ {
        bail!("a sequence has keys of its own: Sequence.Keyword=value");
    }
    let single = matches!(vr, VR::LT | VR::ST | VR::UT | VR::UR);
    let parts: Vec<&str> = if single { vec![value] } else { value.split('\\').collect() };
    let values = parts.into_iter().map(|part| one(vr, part)).collect::<Result<Vec<Value>>>()?;
    Ok(json!({ "vr": vr.to_string(), "Value": values }))
}

fn one(vr: VR, text: &str) -> Result<Value> {
    Ok(match vr {
        VR::PN => {
            let mut name = Map::new();
            for (group, part) in ["Alphabetic", "Ideographic", "Phonetic"].into_iter().zip(text.split('=')) {
                name.insert(group.to_owned(), part.into());
            }
            name.into()
        }
        VR::US | VR::SS | VR::UL | VR::SL | VR::UV | VR::SV => text.parse::<i64>().context("no whole number")?.into(),
        VR::FL | VR::FD => text.parse::<f64>().context("no number")?.into(),
        _ => text.into(),
    })
}

/// Unique keys of the query/retrieve information models.
pub(super) const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
pub(super) const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
pub(super) const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
pub(super) const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);

/// An identifier for a C-MOVE or C-GET: the level is that of the lowest unique key, where nobody says otherwise.
pub(super) fn retrieval(typed: &[String], level: Option<Level>, model: Model) -> Result<Keys> {
    let mut keys = Keys::read(typed)?;
    let level = level.or_else(|| {
        [
            (SOP_INSTANCE_UID, Level::Image),
            (SERIES_INSTANCE_UID, Level::Series),
            (STUDY_INSTANCE_UID, Level::Study),
            (PATIENT_ID, Level::Patient),
        ]
        .into_iter()
        .find_map(|(tag, level)| keys.text(tag).map(|_| level))
    });
    let level = level.context("say what to retrieve, such as -k StudyInstanceUID=UID")?;
    if level == Level::Patient && model == Model::Study {
        bail!("the study root model has no PATIENT level; take --model patient");
    }
    keys.or(QUERY_RETRIEVE_LEVEL, level.name())?;
    Ok(keys)
}

/// Query/Retrieve Level.
pub(super) fn set_level(keys: &mut Keys, level: Level) -> Result<()> {
    keys.or(QUERY_RETRIEVE_LEVEL, level.name())
}

/// A data set as DICOM JSON; it has gone through the gate.
pub(super) fn to_json(transfer_syntax: &Uid, bytes: &[u8]) -> Result<Map<String, Value>> {
    let source = Source::DataSet { transfer_syntax: transfer_syntax.clone() };
    let mut gate = Gate::new(source, Limits::default())?;
    gate.push(bytes)?;
    let (_, outline) = gate.finish().context("the peer sent a data set that cannot be read")?;
    let mut text = Vec::new();
    json::write(&outline, &|_| String::new(), &mut text);
    Ok(serde_json::from_slice(&text)?)
}

/// Eight hexadecimal digits.
pub(super) fn name(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.0, tag.1)
}

/// The values of an attribute on one line.
pub(super) fn shown(attribute: &Value) -> String {
    let values = attribute.get("Value").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Object(_) if value.get("Alphabetic").is_some() || value.get("Ideographic").is_some() => {
            let groups =
                ["Alphabetic", "Ideographic", "Phonetic"].map(|group| value.get(group).and_then(Value::as_str));
            let groups: Vec<&str> = groups.into_iter().flatten().collect();
            groups.join("=")
        }
        other => other.to_string(),
    };
    // what a peer sends must not move the cursor
    let line: String = values.iter().map(text).collect::<Vec<_>>().join("\\");
    line.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_typed() {
        let typed = ["PatientName=DOE*", "00100020", "StudyDate=20240101-", "Rows=512", "ModalitiesInStudy=CT\\MR"];
        let typed: Vec<String> =
            typed.into_iter().chain(["ScheduledProcedureStepSequence.Modality=CT"]).map(str::to_owned).collect();
        let keys = Keys::read(&typed).unwrap();
        assert_eq!(
            Value::Object(keys.0),
            json!({
                "00100010": { "vr": "PN", "Value": [{ "Alphabetic": "DOE*" }] },
                "00100020": { "vr": "LO" },
                "00080020": { "vr": "DA", "Value": ["20240101-"] },
                "00280010": { "vr": "US", "Value": [512] },
                "00080061": { "vr": "CS", "Value": ["CT", "MR"] },
                "00400100": { "vr": "SQ", "Value": [{ "00080060": { "vr": "CS", "Value": ["CT"] } }] },
            })
        );
        for wrong in ["NoSuchKey=1", "Rows=many", "PatientName.Modality=CT", "ScheduledProcedureStepSequence=x"] {
            assert!(Keys::read(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_level_of_a_retrieval_is_that_of_its_lowest_key() {
        let of = |typed: &[&str]| {
            let typed: Vec<String> = typed.iter().map(|text| (*text).to_owned()).collect();
            retrieval(&typed, None, Model::Study).map(|keys| keys.text(QUERY_RETRIEVE_LEVEL).unwrap().to_owned())
        };
        assert_eq!(of(&["StudyInstanceUID=1.2"]).unwrap(), "STUDY");
        assert_eq!(of(&["StudyInstanceUID=1.2", "SeriesInstanceUID=1.3"]).unwrap(), "SERIES");
        assert!(of(&["PatientID=1"]).is_err() && of(&[]).is_err());
    }
}
