//! PS3.4 C.2.2.2 over DICOM JSON objects.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    VR, dictionary,
    query::{Agreed, parse_path},
};

fn filter(path: &str, text: &str) -> Filter {
    let path = parse_path(path).unwrap();
    let tag = *path.last().unwrap();
    let vr = dictionary::vr(tag).unwrap_or(VR::LO);
    let agreed = Agreed { empty_value: true, multiple_value: true };
    Filter { matching: Matching::from_text(tag, vr, text, agreed).unwrap(), path }
}

fn attributes() -> Map<String, Value> {
    let json = json!({
        "00080008": {"vr": "CS", "Value": ["DERIVED", null, "AXIAL"]},
        "00080020": {"vr": "DA", "Value": ["20240229"]},
        "00080030": {"vr": "TM", "Value": ["1030"]},
        "00080021": {"vr": "DA", "Value": ["2024.03.01"]},
        "0008002A": {"vr": "DT", "Value": ["20240229120000+0100"]},
        "00080050": {"vr": "SH"},
        "00081030": {"vr": "LO", "Value": ["Skull * AP?"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg", "Ideographic": "山田^太郎"}]},
        "00100020": {"vr": "LO", "Value": ["4711 "]},
        "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
        "00200013": {"vr": "IS", "Value": [7]},
        "00181314": {"vr": "DS", "Value": [1.5]},
        "00400275": {"vr": "SQ", "Value": [
            {"00400009": {"vr": "SH", "Value": ["S1"]}, "00401001": {"vr": "SH", "Value": ["R1"]}},
            {"00400009": {"vr": "SH", "Value": ["S2"]}, "00401001": {"vr": "SH", "Value": ["R2"]}},
        ]},
    });
    json.as_object().unwrap().clone()
}

#[test]
fn one_filter_table() {
    for (path, text, expected) in [
        ("PatientID", "4711", true),
        ("PatientID", "471", false),
        ("PatientID", "47*", true),
        ("PatientID", "471?", true),
        ("PatientID", "4711?", false),
        ("PatientName", "muller^jorg", true),
        ("PatientName", "MÜLLER^JÖRG^^", true),
        ("PatientName", "muller", false),
        ("PatientName", "mul*", true),
        ("PatientName", "*jorg", true),
        ("PatientName", "muller^jorg^*", true),
        ("PatientName", "山田*", true),
        ("PatientName", "=山田^太郎", true),
        ("PatientName", "muller*=山*", true),
        ("PatientName", "muller*=鈴木*", false),
        ("StudyDescription", "Skull * AP?", true),
        ("StudyDescription", "skull*", false),
        ("StudyDescription", "*AP*", true),
        ("ImageType", "AXIAL", true),
        ("ImageType", "CORONAL\\AXIAL", true),
        ("ImageType", "CORONAL", false),
        ("AccessionNumber", "", true),
        ("AccessionNumber", "*", true),
        ("AccessionNumber", "\"\"", true),
        ("AccessionNumber", "?", false),
        ("StudyID", "\"\"", true),
        ("StudyID", "1", false),
        ("PatientID", "\"\"", false),
        ("StudyInstanceUID", "1.2,1.2.3", true),
        ("StudyInstanceUID", "1.2", false),
        ("InstanceNumber", "07", true),
        ("InstanceNumber", "70", false),
        ("FlipAngle", "1.50", true),
        ("StudyDate", "20240229", true),
        ("StudyDate", "20240101-20240228", false),
        ("StudyDate", "20240229-20240229", true),
        ("StudyDate", "-20240229", true),
        ("StudyDate", "20240301-", false),
        ("SeriesDate", "20240301", true),
        ("StudyTime", "10", true),
        ("StudyTime", "103000", true),
        ("StudyTime", "1031", false),
        ("StudyTime", "-1030", true),
        ("StudyTime", "1031-", false),
        ("StudyTime", "10-1029", false),
        ("AcquisitionDateTime", "20240229", true),
        ("AcquisitionDateTime", "20240229110000+0000", true),
        ("AcquisitionDateTime", "20240229120000+0000", false),
        ("AcquisitionDateTime", "20240229103000+0000-20240229113000+0000", true),
        ("AcquisitionDateTime", "20240229-0500-", true),
        ("AcquisitionDateTime", "20240229-1200-", false),
        ("AcquisitionDateTime", "20240301-", false),
        ("RequestAttributesSequence.ScheduledProcedureStepID", "S2", true),
        ("RequestAttributesSequence.ScheduledProcedureStepID", "S3", false),
        ("ReferencedStudySequence.ReferencedSOPInstanceUID", "1.2", false),
        ("ReferencedStudySequence.ReferencedSOPInstanceUID", "", true),
    ] {
        let found = matches(&[filter(path, text)], &attributes(), Manner::default());
        assert_eq!(found, expected, "{path}={text}");
    }
}

#[test]
fn filters_into_a_sequence_hold_for_one_item() {
    let step = |text| filter("RequestAttributesSequence.ScheduledProcedureStepID", text);
    let procedure = |text| filter("RequestAttributesSequence.RequestedProcedureID", text);
    let found = |filters: &[Filter]| matches(filters, &attributes(), Manner::default());
    assert!(found(&[step("S2"), filter("PatientID", "4711"), procedure("R2")]));
    assert!(!found(&[step("S2"), procedure("R1")]));
    assert!(!found(&[step("S2"), filter("PatientID", "4712"), procedure("R2")]));
}

#[test]
fn date_and_time_ranges_combine() {
    let combined = Manner { combines_date_time: true, is_fuzzy: false };
    // Stored: 29 February 10:30.
    for (date, time, apart, together) in [
        ("20240228-20240301", "2200-0900", false, true),
        ("20240228-20240301", "1000-1100", true, true),
        ("20240228-20240229", "1000-1000", false, false),
        ("20240228-", "2200-", false, true),
        ("-20240229", "-1029", false, false),
        ("20240229", "1000-1100", true, true),
        ("20240228-20240301", "11", false, false),
    ] {
        let filters = [filter("StudyTime", time), filter("StudyDate", date)];
        assert_eq!(matches(&filters, &attributes(), Manner::default()), apart, "{date} {time} apart");
        assert_eq!(matches(&filters, &attributes(), combined), together, "{date} {time} together");
    }
}

#[test]
fn fuzzy_names_begin_words() {
    let fuzzy = Manner { is_fuzzy: true, combines_date_time: false };
    for (text, expected) in [("jor mul", true), ("MÜLLER", true), ("jörg müller", true), ("örg", false), ("山田", true)]
    {
        assert_eq!(matches(&[filter("PatientName", text)], &attributes(), fuzzy), expected, "{text}");
    }
    assert!(!matches(&[filter("PatientName", "jor mul")], &attributes(), Manner::default()));
}

#[test]
fn wildcard_table() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("?", "", false),
        ("?", "é", true),
        ("??", "é", false),
        ("a*b*c", "aXbYbZc", true),
        ("a*b*c", "aXbYbZ", false),
        ("*aab", "aaaab", true),
        ("a*", "a", true),
        ("*?", "", false),
        ("*山*", "小山田", true),
        ("a.c", "abc", false),
    ] {
        assert_eq!(wildcard(pattern, text), expected, "{pattern:?} {text:?}");
    }
}

#[test]
fn many_stars_take_no_more_than_a_product_of_steps() {
    // Exponential backtracking would not end within the life of the test machine.
    let pattern = "*a".repeat(500) + "b";
    assert!(!wildcard(&pattern, &"a".repeat(4000)));
}

/// The definition, without any cleverness.
fn wildcard_by_table(pattern: &[char], text: &[char]) -> bool {
    let mut row: Vec<bool> = std::iter::once(true).chain(text.iter().map(|_| false)).collect();
    for wanted in pattern {
        let mut next = vec![*wanted == '*' && row[0]];
        for (index, found) in text.iter().enumerate() {
            next.push(match wanted {
                '*' => row[index + 1] || next[index],
                '?' => row[index],
                other => row[index] && other == found,
            });
        }
        row = next;
    }
    row[text.len()]
}

proptest! {
    #[test]
    fn wildcard_is_as_defined(pattern in "[ab?*é]{0,8}", text in "[abé]{0,10}") {
        let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        prop_assert_eq!(wildcard(&pattern, &text), wildcard_by_table(&p, &t));
    }
}
