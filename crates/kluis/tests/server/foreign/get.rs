//! C-GET by foreign programs over TLS (conformance D).

use std::path::PathBuf;

use anyhow::{Context, Result};
use kluis_testkit::{SmallInstance, data_set::Encoding, part10};
use serde_json::{Value, json};

use crate::support::{
    Server,
    dimse::{get, tunnelled},
};

const PATIENT_ROOT: &str = "1.2.840.10008.5.1.4.1.2.1.3";
const STUDY_ROOT: &str = "1.2.840.10008.5.1.4.1.2.2.3";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const NOWHERE: &str = "1.2.826.0.1.3680043.10.9.9.9";

/// Two studies of one patient: two series of two images, and one image.
fn stocked() -> Result<(Server, Vec<SmallInstance>, PathBuf)> {
    let server = Server::start()?;
    let mut instances = Vec::new();
    for (study, series, number) in [(1, 1, 1), (1, 1, 2), (1, 2, 1), (1, 2, 2), (2, 1, 1)] {
        let mut instance = SmallInstance::new(12, study, series, number);
        "P1".clone_into(&mut instance.patient_id);
        let file = server.beside().join(format!("{}.dcm", instances.len()));
        std::fs::write(&file, instance.file())?;
        server.command(&["import", file.to_str().context("path")?])?;
        instances.push(instance);
    }
    let device = server.device("VIEW1", "find,get")?;
    Ok((server, instances, device))
}

fn ask(server: &Server, folder: &std::path::Path, queries: &Value) -> Result<Vec<Value>> {
    let answer = get(server, "VIEW1", Some((folder, "VIEW1")), queries)?;
    assert_eq!(answer["error"], Value::Null, "{answer}");
    Ok(answer["answers"].as_array().context("answers")?.clone())
}

/// The UIDs and bytes that must have come.
fn bytes_of(instances: &[&SmallInstance]) -> Value {
    let one = |instance: &&SmallInstance| {
        let bytes: String = instance.data_set_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let stored = json!({ "syntax": EXPLICIT, "bytes": bytes });
        (instance.sop_instance.clone(), stored)
    };
    Value::Object(instances.iter().map(one).collect())
}

#[test]
fn d01_d02_d03_every_level_of_both_roots_as_stored() -> Result<()> {
    let (server, all, device) = stocked()?;
    let class = all[0].sop_class.clone();
    let ask_for = |model: &str, keys: Value| json!({ "model": model, "keys": keys, "take": [[class, EXPLICIT]] });
    let (study, series) = (&all[0].study, &all[2].series);
    let sops = [all[2].sop_instance.clone(), all[3].sop_instance.clone()];
    let cases = [
        (ask_for(STUDY_ROOT, json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study })), vec![0, 1, 2, 3]),
        (
            ask_for(STUDY_ROOT, json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": [study, all[4].study] })),
            vec![0, 1, 2, 3, 4],
        ),
        (
            ask_for(
                STUDY_ROOT,
                json!({ "QueryRetrieveLevel": "SERIES", "StudyInstanceUID": study, "SeriesInstanceUID": series }),
            ),
            vec![2, 3],
        ),
        (
            ask_for(
                STUDY_ROOT,
                json!({ "QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": study, "SeriesInstanceUID": series,
                    "SOPInstanceUID": sops }),
            ),
            vec![2, 3],
        ),
        (
            ask_for(
                PATIENT_ROOT,
                json!({ "QueryRetrieveLevel": "IMAGE", "PatientID": "P1", "StudyInstanceUID": study,
                    "SeriesInstanceUID": series, "SOPInstanceUID": sops[1] }),
            ),
            vec![3],
        ),
        (ask_for(PATIENT_ROOT, json!({ "QueryRetrieveLevel": "PATIENT", "PatientID": "P1" })), vec![0, 1, 2, 3, 4]),
        (ask_for(STUDY_ROOT, json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": NOWHERE })), vec![]),
    ];
    let queries: Vec<&Value> = cases.iter().map(|(query, _)| query).collect();
    let answers = ask(&server, &device, &json!(queries))?;
    assert_eq!(answers.len(), cases.len());
    for (answer, (query, expected)) in answers.iter().zip(&cases) {
        let expected: Vec<&SmallInstance> = expected.iter().map(|at| &all[*at]).collect();
        assert_eq!(answer["stored"], bytes_of(&expected), "{query}");
        assert_eq!(answer["counts"], json!([null, expected.len(), 0, 0]), "{query}: {answer}");
        assert_eq!(answer["statuses"].as_array().and_then(|all| all.last()), Some(&json!(0)), "{query}");
        assert_eq!(answer["alive"], json!(true), "{query}");
    }
    Ok(())
}

#[test]
fn d04_d11_what_the_peer_does_not_take_and_cancelling() -> Result<()> {
    let (server, all, device) = stocked()?;
    let class = &all[0].sop_class;
    let keys = json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": all[0].study });
    let answers = ask(
        &server,
        &device,
        &json!([
            { "model": STUDY_ROOT, "keys": keys },
            { "model": STUDY_ROOT, "keys": keys, "take": [["1.2.840.10008.5.1.4.1.1.4", EXPLICIT]] },
            { "model": STUDY_ROOT, "keys": keys, "take": [[class, EXPLICIT]], "answer": 0xA700 },
            { "model": STUDY_ROOT, "keys": keys, "take": [[class, EXPLICIT]], "answer": 0xB000 },
            { "model": STUDY_ROOT, "keys": keys, "take": [[class, EXPLICIT]], "cancel_after": 2 },
            { "model": STUDY_ROOT, "keys": { "StudyInstanceUID": all[0].study }, "take": [[class, EXPLICIT]] },
        ]),
    )?;
    let last = |answer: &Value| answer["statuses"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
    let statuses: Vec<Value> = answers.iter().map(last).collect();
    assert_eq!(json!(statuses), json!([0xA702, 0xA702, 0xA702, 0xB000, 0xFE00, 0xA900]));
    let counts: Vec<&Value> = answers.iter().take(5).map(|answer| &answer["counts"]).collect();
    let none = Value::Null;
    assert_eq!(
        json!(counts),
        json!([[none, 0, 4, 0], [none, 0, 4, 0], [none, 0, 4, 0], [none, 0, 0, 4], [2, 2, 0, 0]])
    );
    assert_eq!(answers[0]["failed"].as_array().map(Vec::len), Some(4), "{}", answers[0]);
    assert!(answers.iter().all(|answer| answer["alive"] == json!(true)), "{answers:?}");
    // what is kept in one uncompressed syntax and taken in another
    let answers = ask(&server, &device, &json!([{ "model": STUDY_ROOT, "keys": keys, "take": [[class, IMPLICIT]] }]))?;
    assert_eq!(answers[0]["counts"], json!([null, 4, 0, 0]), "{answers:?}");
    for image in &all[..4] {
        let stored = &answers[0]["stored"][&image.sop_instance];
        let bytes: String =
            image.data_set().encode(Encoding::IMPLICIT_LITTLE).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(*stored, json!({ "syntax": IMPLICIT, "bytes": bytes }));
    }
    Ok(())
}

/// What came in implicit VR leaves in explicit VR where the peer takes only that, pixels and all.
#[test]
fn b06_implicit_in_and_explicit_out() -> Result<()> {
    let server = Server::start()?;
    let mut image = SmallInstance::new(14, 1, 1, 1);
    image.side_pixels = 128;
    let file = server.beside().join("implicit.dcm");
    std::fs::write(&file, part10::file(&image.data_set(), part10::IMPLICIT_VR_LITTLE_ENDIAN))?;
    server.command(&["import", file.to_str().context("path")?])?;
    let device = server.device("VIEW1", "get")?;
    let keys = json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": image.study });
    let query = |syntax: &str| json!({ "model": STUDY_ROOT, "keys": keys, "take": [[image.sop_class, syntax]] });
    let answers = ask(&server, &device, &json!([query(IMPLICIT), query(EXPLICIT)]))?;
    let stored =
        |at: usize| answers[at]["stored"][&image.sop_instance]["bytes"].as_str().unwrap_or_default().to_owned();
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(stored(0) == hexadecimal(&image.data_set().encode(Encoding::IMPLICIT_LITTLE)));
    let explicit = image.data_set().encode(Encoding::EXPLICIT_LITTLE);
    // PS3.5 A.1 makes pixel data of implicit VR OW
    let mut expected = explicit.clone();
    let place = expected.windows(6).position(|at| at == [0xE0, 0x7F, 0x10, 0, b'O', b'B']).context("pixels")?;
    expected[place + 5] = b'W';
    let got = stored(1);
    assert!(got == hexadecimal(&expected) || got == hexadecimal(&explicit), "other bytes");
    Ok(())
}

/// `getscu` of DCMTK, which knows no TLS, through a tunnel that has the device's certificate.
#[test]
fn getscu_gets_a_study() -> Result<()> {
    let (server, all, device) = stocked()?;
    let folder = server.beside().join("got");
    std::fs::create_dir_all(&folder)?;
    let folder_text = folder.to_str().context("path")?;
    let study = format!("StudyInstanceUID={}", all[0].study);
    let wanted = ["-v", "-S", "-aet", "VIEW1", "-aec", "KLUIS", "+B", "-od", folder_text];
    let keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", &study];
    let said = tunnelled(&server, (&device, "VIEW1"), "getscu", &[&wanted[..], &keys].concat())?;
    for instance in &all[..4] {
        let bytes = instance.data_set_bytes();
        let files = std::fs::read_dir(&folder)?.map(|entry| Ok(std::fs::read(entry?.path())?));
        let files = files.collect::<Result<Vec<_>>>()?;
        assert_eq!(files.len(), 4, "{said}");
        assert!(files.iter().any(|file| file.ends_with(&bytes)), "{}: {said}", instance.sop_instance);
    }
    assert!(said.contains("Number of Completed Suboperations : 4"), "{said}");
    Ok(())
}

/// More studies than there are places for answers, in one request: each is asked for when its turn comes.
#[test]
fn d01_hundreds_of_studies_in_one_request() -> Result<()> {
    let server = Server::start()?;
    let folder = server.beside().join("many");
    std::fs::create_dir_all(&folder)?;
    let mut all = Vec::new();
    for study in 0..400 {
        let mut instance = SmallInstance::new(13, study, 1, 1);
        instance.side_pixels = 2;
        std::fs::write(folder.join(format!("{study}.dcm")), instance.file())?;
        all.push(instance);
    }
    server.command(&["import", folder.to_str().context("path")?])?;
    let device = server.device("VIEW1", "get")?;
    let studies: Vec<&str> = all.iter().map(|instance| instance.study.as_str()).collect();
    let keys = json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": studies });
    let query = json!([{ "model": STUDY_ROOT, "keys": keys, "take": [[all[0].sop_class, EXPLICIT]] }]);
    let answers = ask(&server, &device, &query)?;
    assert_eq!(answers[0]["counts"], json!([null, 400, 0, 0]));
    assert_eq!(answers[0]["stored"].as_object().map(serde_json::Map::len), Some(400));
    Ok(())
}
