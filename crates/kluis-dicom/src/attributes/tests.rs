//! What is taken out of real shapes of objects, and what is said of broken ones.

use serde_json::json;

use super::*;
use crate::{VR, sample::Sample};

fn uids(sample: Sample) -> Sample {
    sample.with((0x0020, 0x000D), VR::UI, "1.2.3").with((0x0020, 0x000E), VR::UI, "1.2.3.4")
}

fn complete() -> Sample {
    let requests = vec![
        Sample::little_endian().with((0x0040, 0x0007), VR::LO, "not taken"),
        Sample::little_endian().with((0x0040, 0x0009), VR::SH, "STEP1").with((0x0040, 0x1001), VR::SH, "RP1"),
        Sample::little_endian().with((0x0040, 0x0009), VR::SH, "STEP2"),
    ];
    // Neither its description nor its step nor its character set are those of the data set.
    let elsewhere = vec![
        Sample::little_endian()
            .with((0x0008, 0x0005), VR::CS, "ISO_IR 144")
            .with((0x0008, 0x1030), VR::LO, "of another study")
            .with((0x0040, 0x0009), VR::SH, "ELSEWHERE"),
    ];
    let sample = Sample::little_endian()
        .with((0x0008, 0x0005), VR::CS, "ISO_IR 100")
        .with((0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.2")
        .with((0x0008, 0x0018), VR::UI, "1.2.3.4.5")
        .with((0x0008, 0x0020), VR::DA, "2024.02.29")
        .with((0x0008, 0x0030), VR::TM, "1030")
        .with((0x0008, 0x0050), VR::SH, "")
        .with((0x0008, 0x0060), VR::CS, "CT")
        .with((0x0008, 0x0201), VR::SH, "+0100")
        .with((0x0008, 0x103E), VR::LO, b"Sch\xe4del")
        .with_sequence((0x0008, 0x1110), elsewhere)
        .with((0x0010, 0x0010), VR::PN, b"M\xfcller^J\xf6rg ")
        .with((0x0010, 0x0020), VR::UN, " 4711 ");
    uids(sample)
        .with((0x0020, 0x0011), VR::IS, " 3 ")
        .with((0x0020, 0x0013), VR::IS, "-12")
        .with((0x0028, 0x0008), VR::IS, "120")
        .with((0x0028, 0x0010), VR::US, [0, 2])
        .with((0x0028, 0x0011), VR::US, [0, 2])
        .with((0x0028, 0x0100), VR::US, [16, 0])
        .with_sequence((0x0040, 0x0275), requests)
}

#[test]
fn extract_takes_ids_keys_and_return_attributes() {
    let found = extract(&complete().outline()).unwrap();
    assert_eq!(found.ids.study.as_str(), "1.2.3");
    assert_eq!(found.ids.series.as_str(), "1.2.3.4");
    assert_eq!(found.ids.sop_instance.as_str(), "1.2.3.4.5");
    assert_eq!(found.ids.sop_class.as_str(), "1.2.840.10008.5.1.4.1.1.2");
    let study = &found.study;
    assert_eq!((study.patient_name.as_str(), study.patient_id.as_str()), ("Müller^Jörg", "4711"));
    assert_eq!((study.date.as_str(), study.time.as_str()), ("20240229", "103000.000000"));
    assert_eq!((study.accession.as_str(), study.description.as_str()), ("", ""));
    let series = &found.series;
    assert_eq!((series.modality.as_str(), series.number, series.description.as_str()), ("CT", Some(3), "Schädel"));
    assert_eq!((series.scheduled_step_id.as_str(), series.requested_procedure_id.as_str()), ("STEP1", "RP1"));
    let keys = InstanceKeys {
        number: Some(-12),
        rows: Some(512),
        columns: Some(512),
        frames: Some(120),
        bits_allocated: Some(16),
    };
    assert!(found.instance == keys);
    assert_eq!(
        Value::Object(found.study_json),
        json!({
            "00080020": {"vr": "DA", "Value": ["2024.02.29"]},
            "00080030": {"vr": "TM", "Value": ["1030"]},
            "00080201": {"vr": "SH", "Value": ["+0100"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg"}]},
            "00100020": {"vr": "LO", "Value": [" 4711"]},
            "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
        })
    );
    assert_eq!(
        found.series_json["00400275"]["Value"],
        json!([
            {"00400009": {"vr": "SH", "Value": ["STEP1"]}, "00401001": {"vr": "SH", "Value": ["RP1"]}},
            {"00400009": {"vr": "SH", "Value": ["STEP2"]}},
        ])
    );
    assert_eq!(found.instance_json["00280010"], json!({"vr": "US", "Value": [512]}));
    assert!(found.instance_json.contains_key("00080201"));
}

#[test]
fn missing_and_invalid_uids_are_named() {
    let with = |class: &str, instance: &str| {
        let sample =
            Sample::little_endian().with((0x0008, 0x0016), VR::UI, class).with((0x0008, 0x0018), VR::UI, instance);
        extract(&uids(sample).outline()).map(|found| found.ids)
    };
    assert_eq!(with("", "1.2"), Err(AttributesError::MissingUid(Tag(0x0008, 0x0016))));
    assert_eq!(with("1.2", " "), Err(AttributesError::MissingUid(Tag(0x0008, 0x0018))));
    assert_eq!(with("1.2", "JANSEN"), Err(AttributesError::InvalidUid(Tag(0x0008, 0x0018))));
    assert_eq!(with("1.2\\1.3", "1.2"), Err(AttributesError::InvalidUid(Tag(0x0008, 0x0016))));
    let no_study = Sample::little_endian().with((0x0008, 0x0016), VR::UI, "1").with((0x0008, 0x0018), VR::UI, "1");
    let error = extract(&no_study.outline()).unwrap_err();
    assert_eq!(error.to_string(), "(0020,000D) is missing");
}

#[test]
fn long_values_are_cut_and_empty_ones_left_out() {
    let sample = Sample::little_endian()
        .with((0x0008, 0x0016), VR::UI, "1")
        .with((0x0008, 0x0018), VR::UI, "1")
        .with((0x0008, 0x0060), VR::CS, "  ")
        .with((0x0008, 0x1030), VR::LO, "é".repeat(9000))
        .with((0x0008, 0x103E), VR::LO, "\\".repeat(9000))
        .with((0x0010, 0x0010), VR::PN, "é".repeat(9000));
    let found = extract(&uids(sample).outline()).unwrap();
    assert!(!found.series_json.contains_key("00080060"));
    assert_eq!(found.study.description.chars().count(), 1024);
    assert_eq!(found.study_json["00081030"]["Value"][0].as_str().unwrap().len(), 4096);
    assert_eq!(found.study_json["00100010"]["Value"][0]["Alphabetic"].as_str().unwrap().len(), 4096);
    assert_eq!(found.series_json["0008103E"]["Value"].as_array().unwrap().len(), 512);
}

#[test]
fn debug_shows_no_patient() {
    let shown = format!("{:?}", extract(&complete().outline()).unwrap());
    assert!(!shown.contains("ller") && !shown.contains("4711"), "{shown}");
    let study = extract(&complete().outline()).unwrap().study;
    assert_eq!(format!("{study:?}"), "StudyKeys(..)");
}
