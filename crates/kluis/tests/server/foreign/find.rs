//! C-FIND by foreign programs over TLS (conformance C).

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use kluis_testkit::SmallInstance;
use serde_json::{Value, json};

use crate::support::{
    Server,
    dimse::find,
    tools::{program, run, text},
};

const PATIENT_ROOT: &str = "1.2.840.10008.5.1.4.1.2.1.1";
const STUDY_ROOT: &str = "1.2.840.10008.5.1.4.1.2.2.1";

/// Three studies of two patients: the first has two series of two images, the others one image each.
fn stocked() -> Result<(Server, Vec<SmallInstance>)> {
    let server = Server::start()?;
    let mut instances = Vec::new();
    for (study, series, number) in [(1, 1, 1), (1, 1, 2), (1, 2, 1), (1, 2, 2), (2, 1, 1), (3, 1, 1)] {
        let mut instance = SmallInstance::new(9, study, series, number);
        (if study < 3 { "P1" } else { "P2" }).clone_into(&mut instance.patient_id);
        (if study < 3 { "Müller^Zoë" } else { "Doe^John" }).clone_into(&mut instance.patient_name);
        instance.study_date = format!("2024010{study}");
        (if series == 1 { "CT" } else { "MR" }).clone_into(&mut instance.modality);
        let file = server.beside().join(format!("{}.dcm", instances.len()));
        std::fs::write(&file, instance.file())?;
        server.command(&["import", file.to_str().context("path")?])?;
        instances.push(instance);
    }
    Ok((server, instances))
}

fn ask(server: &Server, folder: &Path, queries: &Value) -> Result<Vec<Value>> {
    let answer = find(server, "VIEW1", Some((folder, "VIEW1")), queries)?;
    assert_eq!(answer["error"], Value::Null, "{answer}");
    Ok(answer["answers"].as_array().context("answers")?.clone())
}

/// The values of an attribute in the matches of an answer, sorted.
fn values(answer: &Value, tag: &str) -> Vec<String> {
    let matches = answer["matches"].as_array().into_iter().flatten();
    let mut all: Vec<String> = matches
        .map(|found| match &found[tag]["Value"][0] {
            Value::Object(name) => name["Alphabetic"].as_str().unwrap_or_default().to_owned(),
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        })
        .collect();
    all.sort();
    all
}

#[test]
fn c01_c02_c03_c15_c16_c24_levels_of_both_roots() -> Result<()> {
    let (server, instances) = stocked()?;
    let device = server.device("VIEW1", "find")?;
    let (study, series) = (&instances[0].study, &instances[2].series);
    let count = |level: &str, keys: Value| {
        let mut keys = keys;
        keys["QueryRetrieveLevel"] = json!(level);
        keys
    };
    let answers = ask(
        &server,
        &device,
        &json!([
            { "model": STUDY_ROOT, "keys": count("STUDY", json!({
                "PatientID": "P1", "StudyInstanceUID": "", "PatientName": "", "NumberOfStudyRelatedInstances": null,
                "NumberOfStudyRelatedSeries": null, "ModalitiesInStudy": "" })) },
            { "model": STUDY_ROOT, "keys": count("SERIES", json!({ "StudyInstanceUID": study, "SeriesInstanceUID": "", "Modality": "" })) },
            { "model": STUDY_ROOT, "keys": count("IMAGE", json!({
                "StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": "", "InstanceNumber": "2" })) },
            { "model": PATIENT_ROOT, "keys": count("PATIENT", json!({ "PatientID": "", "PatientName": "" })) },
            { "model": PATIENT_ROOT, "keys": count("STUDY", json!({ "PatientID": "P2", "StudyInstanceUID": "" })) },
            { "model": STUDY_ROOT, "keys": count("STUDY", json!({ "PatientID": "nobody" })) },
        ]),
    )?;
    let statuses: Vec<&Value> = answers.iter().map(|answer| &answer["statuses"]).collect();
    const P: u16 = 0xFF00;
    assert_eq!(json!(statuses), json!([[P, P, 0], [P, P, 0], [P, 0], [P, P, 0], [P, 0], [0]]));
    assert_eq!(values(&answers[0], "0020000D"), sorted([&instances[0].study, &instances[4].study]));
    assert_eq!(values(&answers[0], "00201208"), ["1", "4"]);
    assert_eq!(values(&answers[0], "00201206"), ["1", "2"]);
    assert_eq!(values(&answers[0], "00100010"), ["Müller^Zoë", "Müller^Zoë"]);
    // C18, C19
    assert_eq!(values(&answers[0], "00080052"), ["STUDY", "STUDY"]);
    assert_eq!(values(&answers[0], "00080054"), ["KLUIS", "KLUIS"]);
    assert_eq!(values(&answers[0], "00080005"), ["ISO_IR 100", "ISO_IR 100"]);
    assert_eq!(values(&answers[1], "00080060"), ["CT", "MR"]);
    assert_eq!(values(&answers[2], "00080018"), [instances[3].sop_instance.clone()]);
    assert_eq!(values(&answers[3], "00100020"), ["P1", "P2"]);
    assert_eq!(values(&answers[4], "0020000D"), [instances[5].study.clone()]);
    Ok(())
}

fn sorted<const N: usize>(texts: [&String; N]) -> Vec<String> {
    let mut texts: Vec<String> = texts.into_iter().cloned().collect();
    texts.sort();
    texts
}

#[test]
fn c04_to_c14_c20_c28_kinds_of_matching() -> Result<()> {
    let (server, instances) = stocked()?;
    let device = server.device("VIEW1", "find")?;
    let both = format!("{}\\{}", instances[0].study, instances[5].study);
    let mut queries = Vec::new();
    let expected: Vec<(Value, usize)> = vec![
        (json!({ "PatientName": "M*" }), 2),
        (json!({ "PatientName": "D?e^J*" }), 1),
        (json!({ "PatientName": "D??e*" }), 0),
        (json!({ "StudyDate": "20240101-20240102" }), 2),
        (json!({ "StudyDate": "20240102-" }), 2),
        (json!({ "StudyDate": "-20240101" }), 1),
        (json!({ "StudyInstanceUID": both }), 2),
        (json!({ "ModalitiesInStudy": "MR" }), 1),
        (json!({ "SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller*" }), 2),
        (json!({ "SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller*" }), 2),
        (json!({ "PatientID": "P2 " }), 1),
        (json!({ "PatientID": "P1\\P2" }), 3),
    ];
    for (keys, _) in &expected {
        let mut keys = keys.clone();
        keys["QueryRetrieveLevel"] = json!("STUDY");
        queries.push(json!({ "model": STUDY_ROOT, "keys": keys }));
    }
    // multiple values were negotiated, fuzzy names were not
    queries[0]["extended"] = json!([1, 1, 0, 0, 0, 0, 1]);
    let answers = ask(&server, &device, &json!(queries))?;
    for (answer, (keys, count)) in answers.iter().zip(&expected) {
        assert_eq!(answer["matches"].as_array().map(Vec::len), Some(*count), "{keys}: {answer}");
    }
    Ok(())
}

#[test]
fn a28_c21_c22_c23_c25_c26_what_is_agreed_refused_and_cancelled() -> Result<()> {
    let (server, instances) = stocked()?;
    let device = server.device("VIEW1", "find")?;
    let answer = find(
        &server,
        "VIEW1",
        Some((&device, "VIEW1")),
        &json!([
            { "model": PATIENT_ROOT, "extended": [1, 1, 1, 1], "keys": { "QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": "" } },
            { "model": STUDY_ROOT, "keys": { "StudyInstanceUID": "" } },
            { "model": STUDY_ROOT, "keys": { "QueryRetrieveLevel": "PATIENT", "PatientID": "" } },
            { "model": STUDY_ROOT, "keys": { "QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": "" } },
            { "model": STUDY_ROOT, "keys": { "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "WindowCenter": "40" } },
            { "model": STUDY_ROOT, "keys": { "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": instances[0].study } },
        ]),
    )?;
    assert_eq!(answer["agreed"], json!({ PATIENT_ROOT: [1, 1, 1, 0] }), "{answer}");
    let statuses: Vec<&Value> =
        answer["answers"].as_array().context("answers")?.iter().map(|a| &a["statuses"]).collect();
    const W: u16 = 0xFF01;
    assert_eq!(
        json!(statuses),
        json!([[0xFF00, 0xFF00, 0xFF00, 0xFF00, 0], [0xA900], [0xA900], [0xA900], [W, W, W, 0], [0xFF00, 0]])
    );
    Ok(())
}

/// Thousands of studies: all come, and a cancel is heard on the way.
#[test]
fn c26_c37_many_matches_are_streamed_and_can_be_cancelled() -> Result<()> {
    let server = Server::start()?;
    let folder = server.beside().join("many");
    std::fs::create_dir_all(&folder)?;
    for study in 0..2_200 {
        let mut instance = SmallInstance::new(11, study, 1, 1);
        instance.side_pixels = 2;
        std::fs::write(folder.join(format!("{study}.dcm")), instance.file())?;
    }
    server.command(&["import", folder.to_str().context("path")?])?;
    let device = server.device("VIEW1", "find")?;
    let keys = json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientName": "" });
    let answers = ask(
        &server,
        &device,
        &json!([{ "model": STUDY_ROOT, "keys": keys }, { "model": STUDY_ROOT, "keys": keys, "cancel_after": 20 }]),
    )?;
    let uids = values(&answers[0], "0020000D");
    assert_eq!(uids.len(), 2_200);
    assert!(uids.windows(2).all(|pair| pair[0] != pair[1]), "a study came twice");
    let statuses = answers[1]["statuses"].as_array().context("statuses")?;
    assert_eq!(statuses.last(), Some(&json!(0xFE00)));
    assert!(statuses.len() < 2_000, "{} came all the same", statuses.len());
    Ok(())
}

/// `findscu` of DCMTK.
#[test]
fn findscu_finds_what_is_there() -> Result<()> {
    let (server, instances) = stocked()?;
    let folder = server.device("VIEW1", "find")?;
    let (host, port) = server.dicom_tls.rsplit_once(':').context("address")?;
    let mut command = Command::new(program("findscu")?);
    command.args(["-v", "-S", "-aet", "VIEW1", "-aec", "KLUIS", "-to", "5", "-ta", "5"]).env("TCP_NODELAY", "1");
    command.arg("+tls").arg(folder.join("VIEW1.key.pem")).arg(folder.join("VIEW1.cert.pem"));
    command.arg("+cf").arg(server.ca());
    for key in ["QueryRetrieveLevel=STUDY", "PatientID=P2", "StudyInstanceUID", "PatientName"] {
        command.args(["-k", key]);
    }
    let output = run(command.args([host, port]))?;
    let said = text(&output);
    assert!(output.status.success() && said.contains(&instances[5].study) && said.contains("Doe^John"), "{said}");
    assert!(!said.contains(&instances[0].study), "{said}");
    Ok(())
}
