//! Instances to be added, made from a few words.

use kluis_dicom::{
    Tag, Uid,
    attributes::{Attributes, InstanceIds, InstanceKeys, SeriesKeys, StudyKeys},
    query::{Filter, Level, Matching, Query},
};
use kluis_policy::Transport;
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use crate::{Location, NewInstance};

/// One instance; numbers become UIDs.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Study Instance UID `1.2.3.n`.
    pub study: u32,
    /// Series Instance UID `1.2.3.study.n`.
    pub series: u32,
    /// SOP Instance UID `1.2.3.study.series.n`.
    pub instance: u32,
    /// First byte of the digest: what the bytes are.
    pub content: u8,
    /// Patient ID (0010,0020).
    pub patient_id: &'static str,
    /// Patient's Name (0010,0010).
    pub name: String,
    /// Patient's Birth Date (0010,0030).
    pub birth_date: &'static str,
    /// Study Date (0008,0020).
    pub date: String,
    /// Study Time (0008,0030).
    pub time: &'static str,
    /// Accession Number (0008,0050).
    pub accession: &'static str,
    /// Study Description (0008,1030).
    pub description: String,
    /// Referring Physician's Name (0008,0090).
    pub referring: &'static str,
    /// Modality (0008,0060).
    pub modality: &'static str,
    /// Series Number (0020,0011).
    pub series_number: Option<i64>,
    /// Station Name (0008,1010).
    pub station: &'static str,
    /// Request Attributes Sequence (0040,0275) > Scheduled Procedure Step ID (0040,0009), one per item.
    pub steps: Vec<&'static str>,
    /// Instance Number (0020,0013).
    pub number: Option<i64>,
    /// Seconds after [`epoch`] at which it arrived.
    pub arrival: i64,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            study: 1,
            series: 1,
            instance: 1,
            content: 1,
            patient_id: "",
            name: String::new(),
            birth_date: "",
            date: String::new(),
            time: "",
            accession: "",
            description: String::new(),
            referring: "",
            modality: "",
            series_number: None,
            station: "",
            steps: Vec::new(),
            number: None,
            arrival: 0,
        }
    }
}

/// When the samples began to arrive.
#[must_use]
pub fn epoch() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::days(20_000)
}

/// `1.2.3.` and the numbers.
///
/// # Panics
/// Never.
#[must_use]
pub fn uid(numbers: &[u32]) -> Uid {
    let text: String = numbers.iter().map(|number| format!(".{number}")).collect();
    format!("1.2.3{text}").parse().unwrap()
}

/// A query with one-tag filters.
#[must_use]
pub fn query(level: Level, filters: &[(Tag, Matching)]) -> Query {
    let filters = filters.iter().map(|(tag, matching)| Filter { path: vec![*tag], matching: matching.clone() });
    Query { filters: filters.collect(), ..Query::all(level, 100) }
}

impl Sample {
    /// The instance.
    #[must_use]
    pub fn build(&self) -> NewInstance {
        let place = u64::from(self.study) * 1_000_000 + u64::from(self.series) * 1_000 + u64::from(self.instance);
        let mut object_id = [0; 16];
        object_id[..8].copy_from_slice(&place.to_be_bytes());
        object_id[8] = self.content;
        NewInstance {
            attributes: self.attributes(),
            digest: [self.content; 32],
            location: Location { pack: 7, offset: place * 256 + u64::from(self.content), length: 99 },
            object_id,
            key_id: [u8::try_from(self.study % 251).unwrap(); 32],
            transfer_syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
            data_set_length: 1000 + u64::from(self.instance),
            sender: "device:CT1".to_owned(),
            transport: Transport::DimseTls,
            received_at: epoch() + Duration::seconds(self.arrival),
            absent_from: Vec::new(),
        }
    }

    fn attributes(&self) -> Attributes {
        let ids = InstanceIds {
            study: uid(&[self.study]),
            series: uid(&[self.study, self.series]),
            sop_instance: uid(&[self.study, self.series, self.instance]),
            sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
        };
        let study = StudyKeys {
            patient_id: self.patient_id.to_owned(),
            patient_name: self.name.clone(),
            birth_date: self.birth_date.to_owned(),
            date: self.date.clone(),
            time: self.time.to_owned(),
            accession: self.accession.to_owned(),
            description: self.description.clone(),
            referring: self.referring.to_owned(),
            ..StudyKeys::default()
        };
        let series = SeriesKeys {
            modality: self.modality.to_owned(),
            number: self.series_number,
            station_name: self.station.to_owned(),
            ..SeriesKeys::default()
        };
        Attributes {
            study_json: self.study_json(),
            series_json: self.series_json(),
            instance_json: json_of(&[
                ("00080016", "UI", text(ids.sop_class.as_str())),
                ("00080018", "UI", text(ids.sop_instance.as_str())),
                ("00200013", "IS", self.number.map(|number| json!([number]))),
            ]),
            ids,
            study,
            series,
            instance: InstanceKeys { number: self.number, ..InstanceKeys::default() },
        }
    }

    fn study_json(&self) -> Map<String, Value> {
        json_of(&[
            ("00080020", "DA", text(&self.date)),
            ("00080030", "TM", text(self.time)),
            ("00080050", "SH", text(self.accession)),
            ("00080090", "PN", name(self.referring)),
            ("00081030", "LO", text(&self.description)),
            ("00100010", "PN", name(&self.name)),
            ("00100020", "LO", text(self.patient_id)),
            ("00100030", "DA", text(self.birth_date)),
        ])
    }

    fn series_json(&self) -> Map<String, Value> {
        let steps: Vec<Value> =
            self.steps.iter().map(|step| json!({"00400009": {"vr": "SH", "Value": [step]}})).collect();
        json_of(&[
            ("00080060", "CS", text(self.modality)),
            ("00081010", "SH", text(self.station)),
            ("00200011", "IS", self.series_number.map(|number| json!([number]))),
            ("00400275", "SQ", (!steps.is_empty()).then_some(Value::Array(steps))),
        ])
    }
}

fn json_of(attributes: &[(&str, &str, Option<Value>)]) -> Map<String, Value> {
    attributes
        .iter()
        .filter_map(|(tag, vr, value)| Some(((*tag).to_owned(), json!({"vr": vr, "Value": value.as_ref()?}))))
        .collect()
}

fn text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!([text]))
}

fn name(text: &str) -> Option<Value> {
    let groups: Map<String, Value> = ["Alphabetic", "Ideographic", "Phonetic"]
        .into_iter()
        .zip(text.split('='))
        .filter(|(_, group)| !group.is_empty())
        .map(|(key, group)| (key.to_owned(), json!(group)))
        .collect();
    (!groups.is_empty()).then(|| json!([groups]))
}
