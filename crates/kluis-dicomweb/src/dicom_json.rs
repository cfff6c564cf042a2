//! Answers of searches and metadata as arrays in the DICOM JSON model (PS3.18 F.2).

use kluis_dicom::query::{Level, Query};
use serde_json::{Map, Value, json};

/// Attributes of Table 10.6.3-3 that every study result has, where they are known.
const STUDY: [&str; 16] = [
    "00080005", "00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00080201", "00100010",
    "00100020", "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208",
];

/// Attributes of Table 10.6.3-4.
const SERIES: [&str; 12] = [
    "00080005", "00080056", "00080060", "00080201", "0008103E", "0020000D", "0020000E", "00200011", "00201209",
    "00400244", "00400245", "00400275",
];

/// Attributes of Table 10.6.3-5.
const INSTANCE: [&str; 13] = [
    "00080005", "00080016", "00080018", "00080056", "00080201", "00083002", "0020000D", "0020000E", "00200013",
    "00280008", "00280010", "00280011", "00280100",
];

/// Retrieve URL (0008,1190).
const RETRIEVE_URL: &str = "00081190";
/// Modalities in Study (0008,0061).
const MODALITIES_IN_STUDY: &str = "00080061";

/// Writes the results of a search, each with its Retrieve URL (PS3.18 10.6.3.3).
///
/// Modalities in Study without a value is left out: a widely used viewer loses its whole study list over one (G39).
#[must_use]
pub fn write_matches(matches: impl IntoIterator<Item = (Map<String, Value>, String)>) -> Vec<u8> {
    let mut out = ArrayWriter::default();
    for (mut attributes, url) in matches {
        if attributes.get(MODALITIES_IN_STUDY).is_some_and(|attribute| attribute.get("Value").is_none()) {
            attributes.remove(MODALITIES_IN_STUDY);
        }
        attributes.insert(RETRIEVE_URL.to_owned(), json!({"vr": "UR", "Value": [url]}));
        out.push(Value::Object(sorted(attributes)).to_string().as_bytes());
    }
    out.finish()
}

/// Keeps of a match what is always returned at its level, what the query includes and what it matched on.
///
/// Below a study or series that the path names, the attributes of that level are left out: the client knows them
/// (PS3.18 10.6.3.3.2).
pub fn project(query: &Query, attributes: &mut Map<String, Value>) {
    if query.include_all {
        return;
    }
    let is_in_study = query.study.is_some();
    let is_in_series = query.series.is_some();
    let included = |tag: &str| {
        let wanted = query.include.iter().chain(query.filters.iter().filter_map(|filter| filter.path.first()));
        wanted.into_iter().any(|wanted| format!("{:04X}{:04X}", wanted.0, wanted.1) == tag)
    };
    attributes.retain(|tag, _| {
        let tag = tag.as_str();
        let is_of_level = match query.level {
            Level::Study => STUDY.contains(&tag),
            Level::Series => SERIES.contains(&tag) || (!is_in_study && STUDY.contains(&tag)),
            Level::Instance => {
                INSTANCE.contains(&tag)
                    || (!is_in_series && SERIES.contains(&tag))
                    || (!is_in_study && STUDY.contains(&tag))
            }
        };
        is_of_level || included(tag)
    });
}

/// Joins objects that are already written, one by one, so that long arrays can be streamed.
#[derive(Debug, Default)]
pub struct ArrayWriter {
    out: Vec<u8>,
    has_items: bool,
}

impl ArrayWriter {
    /// Adds one object.
    pub fn push(&mut self, object: &[u8]) {
        self.out.push(if self.has_items { b',' } else { b'[' });
        self.has_items = true;
        self.out.extend_from_slice(object);
    }

    /// Takes what has been written so far.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The rest with the closing bracket.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(if self.has_items { b"]" } else { b"[]" });
        self.out
    }
}

/// Attributes ascend by tag (PS3.18 F.2.2), whatever map is behind.
fn sorted(attributes: Map<String, Value>) -> Map<String, Value> {
    let mut pairs: Vec<(String, Value)> = attributes.into_iter().collect();
    pairs.sort_by(|left, right| left.0.cmp(&right.0));
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("no object") };
        map
    }

    #[test]
    fn g27_g39_matches() {
        let first = attributes(json!({"0020000D": {"vr": "UI", "Value": ["1.2"]}, "00080061": {"vr": "CS"}}));
        let second = attributes(json!({"00080061": {"vr": "CS", "Value": ["CT"]}, "00100010": {"vr": "PN"}}));
        let text = String::from_utf8(write_matches([(first, "/a".into()), (second, "/b".into())])).unwrap();
        assert_eq!(
            text,
            "[{\"00081190\":{\"Value\":[\"/a\"],\"vr\":\"UR\"},\"0020000D\":{\"Value\":[\"1.2\"],\"vr\":\"UI\"}},\
             {\"00080061\":{\"Value\":[\"CT\"],\"vr\":\"CS\"},\"00081190\":{\"Value\":[\"/b\"],\"vr\":\"UR\"},\
             \"00100010\":{\"vr\":\"PN\"}}]"
        );
    }

    #[test]
    fn g02_g17_g19_g21_g34_projection() {
        let all =
            json!({"00080050": {}, "00080060": {}, "00081030": {}, "00080018": {}, "0020000D": {}, "00200013": {}});
        let uid: kluis_dicom::Uid = "1.2".parse().unwrap();
        let mut study = Query::all(Level::Study, 1);
        let mut series = Query::all(Level::Series, 1);
        let mut own_series = Query::all(Level::Series, 1);
        own_series.study = Some(uid);
        let mut included = study.clone();
        included.include = vec![kluis_dicom::Tag(0x0008, 0x1030)];
        for (query, expected) in [
            (&mut study, &["00080050", "0020000D"][..]),
            (&mut series, &["00080050", "00080060", "0020000D"]),
            (&mut own_series, &["00080060", "0020000D"]),
            (&mut included, &["00080050", "00081030", "0020000D"]),
        ] {
            let mut kept = attributes(all.clone());
            project(query, &mut kept);
            let kept: Vec<&str> = kept.keys().map(String::as_str).collect();
            assert_eq!(kept, expected, "{query:?}");
            query.include_all = true;
            let mut kept = attributes(all.clone());
            project(query, &mut kept);
            assert_eq!(kept.len(), 6);
        }
    }

    #[test]
    fn arrays_can_be_taken_in_pieces() {
        let mut writer = ArrayWriter::default();
        writer.push(b"{}");
        assert_eq!(writer.take(), b"[{}");
        writer.push(b"{}");
        assert_eq!(writer.finish(), b",{}]");
        assert_eq!(ArrayWriter::default().finish(), b"[]");
    }
}
