//! The modality worklist and performed procedure steps by foreign programs over TLS (conformance C38, E05).

use std::{
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context, Result};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    Server,
    dimse::{find, normalized},
    tools::{program, run, text},
    worklist::{MODALITY_WORKLIST, PERFORMED_STEP, entry, put, states, step, study},
};

/// Entries of two stations on two days; one has a name that is not ASCII.
fn stocked() -> Result<Server> {
    let server = Server::start()?;
    let mut third = entry(3, "CT1", "20261123", "1400");
    third["00100010"]["Value"][0]["Alphabetic"] = json!("Müller^Zoë");
    third["00400100"]["Value"][0]["00080060"]["Value"][0] = json!("MR");
    put(
        &server,
        &[
            entry(1, "CT1", "20261123", "0800"),
            entry(2, "CT2", "20261123", "0900"),
            third,
            entry(4, "CT1", "20261124", "0700"),
        ],
    )?;
    Ok(server)
}

fn ask(server: &Server, folder: &Path, steps: &[Value]) -> Result<Vec<Value>> {
    let queries: Vec<Value> = steps.iter().map(|keys| json!({ "model": MODALITY_WORKLIST, "keys": keys })).collect();
    let answer = find(server, "CT1", Some((folder, "CT1")), &json!(queries))?;
    assert_eq!(answer["error"], Value::Null, "{answer}");
    Ok(answer["answers"].as_array().context("answers")?.clone())
}

/// The patients of the matches, in their order.
fn patients(answer: &Value) -> Vec<&str> {
    let matches = answer["matches"].as_array().into_iter().flatten();
    matches.map(|found| found["00100020"]["Value"][0].as_str().unwrap_or_default()).collect()
}

#[test]
fn c38_the_worklist_is_searched_by_step_and_patient_keys() -> Result<()> {
    let server = stocked()?;
    let device = server.device("CT1", "worklist")?;
    let by_step = |keys: Value| json!({ "PatientID": "", "ScheduledProcedureStepSequence": keys });
    let date = |text: &str| by_step(json!({ "ScheduledProcedureStepStartDate": text }));
    let cases = [
        (by_step(json!({ "ScheduledStationAETitle": "CT1" })), vec!["P1", "P3", "P4"]),
        (date("20261123"), vec!["P1", "P2", "P3"]),
        (date("20261124-20261130"), vec!["P4"]),
        (date("-20261122"), vec![]),
        // one range of moments (K.6.1.2.2)
        (
            by_step(json!({ "ScheduledProcedureStepStartDate": "20261123-20261124",
                "ScheduledProcedureStepStartTime": "1000-0700" })),
            vec!["P3", "P4"],
        ),
        (by_step(json!({ "Modality": "MR" })), vec!["P3"]),
        (by_step(json!({ "ScheduledPerformingPhysicianName": "PER^*", "Modality": "CT" })), vec!["P1", "P2", "P4"]),
        (by_step(json!({ "ScheduledStationAETitle": "CT2", "Modality": "MR" })), vec![]),
        (by_step(json!({ "ScheduledProcedureStepID": "S2" })), vec!["P2"]),
        (json!({ "PatientID": "P4" }), vec!["P4"]),
        (json!({ "PatientID": "", "PatientName": "patient^*" }), vec!["P1", "P2", "P4"]),
        (json!({ "SpecificCharacterSet": "ISO_IR 100", "PatientID": "", "PatientName": "MÜLLER*" }), vec!["P3"]),
        (json!({ "PatientID": "", "AccessionNumber": "A2" }), vec!["P2"]),
        (json!({ "PatientID": "", "RequestedProcedureID": "R?" }), vec!["P1", "P2", "P3", "P4"]),
        (json!({ "PatientID": "", "StudyInstanceUID": study(4) }), vec!["P4"]),
    ];
    let keys: Vec<Value> = cases.iter().map(|(keys, _)| keys.clone()).collect();
    let answers = ask(&server, &device, &keys)?;
    for ((keys, expected), answer) in cases.iter().zip(&answers) {
        assert_eq!(patients(answer), *expected, "{keys}: {answer}");
        let statuses: Vec<u16> = expected.iter().map(|_| 0xFF00).chain([0]).collect();
        assert_eq!(answer["statuses"], json!(statuses), "{keys}");
    }
    assert_eq!(answers.len(), cases.len());
    Ok(())
}

#[test]
fn c38_the_step_sequence_and_every_key_come_back() -> Result<()> {
    let server = stocked()?;
    let device = server.device("CT1", "worklist")?;
    let answers = ask(
        &server,
        &device,
        &[
            json!({
                "PatientID": "P3", "PatientName": "", "PatientSex": "", "RequestedProcedureDescription": "",
                "ScheduledProcedureStepSequence": {
                    "ScheduledStationAETitle": "", "ScheduledProcedureStepStartDate": "", "Modality": "",
                    "ScheduledProcedureStepStatus": "", "ScheduledProcedureStepLocation": "",
                    "ScheduledProtocolCodeSequence": { "CodeValue": "", "CodeMeaning": "" },
                },
            }),
            // without keys in its item the whole sequence
            json!({ "PatientID": "P3", "ScheduledProcedureStepSequence": {} }),
            // a wrong date
            json!({ "PatientID": "", "ScheduledProcedureStepSequence": { "ScheduledProcedureStepStartDate": "2026-11-23" } }),
        ],
    )?;
    assert_eq!(
        answers[0]["matches"],
        json!([{
            "00080005": { "vr": "CS", "Value": ["ISO_IR 100"] },
            "00100010": { "vr": "PN", "Value": [{ "Alphabetic": "Müller^Zoë" }] },
            "00100020": { "vr": "LO", "Value": ["P3"] },
            "00100040": { "vr": "CS" },
            "00321060": { "vr": "LO", "Value": ["Chest"] },
            "00400100": { "vr": "SQ", "Value": [{
                "00080060": { "vr": "CS", "Value": ["MR"] },
                "00400001": { "vr": "AE", "Value": ["CT1"] },
                "00400002": { "vr": "DA", "Value": ["20261123"] },
                "00400008": { "vr": "SQ", "Value": [{
                    "00080100": { "vr": "SH", "Value": ["C1"] }, "00080104": { "vr": "LO", "Value": ["Chest CT"] } }] },
                "00400011": { "vr": "SH" },
                "00400020": { "vr": "CS", "Value": ["SCHEDULED"] },
            }] },
        }])
    );
    let whole = &answers[1]["matches"][0]["00400100"]["Value"][0];
    assert_eq!((&whole["00400009"]["Value"][0], &whole["00400020"]["Value"][0]), (&json!("S3"), &json!("SCHEDULED")));
    assert_eq!(answers[2]["statuses"], json!([0xA900]));
    Ok(())
}

#[test]
fn c38_many_entries_are_streamed_and_can_be_cancelled() -> Result<()> {
    let server = Server::start()?;
    let entries: Vec<Value> = (0..700).map(|number| entry(number, "CT1", "20261123", "0800")).collect();
    assert_eq!(put(&server, &entries)?.len(), 700);
    let device = server.device("CT1", "worklist")?;
    let keys = json!({ "PatientID": "", "PatientName": "" });
    let query = |cancel: Option<u32>| json!({ "model": MODALITY_WORKLIST, "keys": keys, "cancel_after": cancel });
    let answer = find(&server, "CT1", Some((&device, "CT1")), &json!([query(None), query(Some(20))]))?;
    let mut all = patients(&answer["answers"][0]);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 700);
    let statuses = answer["answers"][1]["statuses"].as_array().context("statuses")?;
    assert_eq!(statuses.last(), Some(&json!(0xFE00)));
    assert!(statuses.len() < 650, "{} came all the same", statuses.len());
    Ok(())
}

/// A worklist file that DCMTK made, taken in by the command; `findscu -W` gets it.
#[test]
fn findscu_gets_an_entry_from_a_worklist_file() -> Result<()> {
    let server = Server::start()?;
    let dump = server.beside().join("entry.dump");
    std::fs::write(
        &dump,
        "(0008,0005) CS [ISO_IR 100]\n(0008,0050) SH [00007]\n(0010,0010) PN [Vivaldi^Antonio]\n(0010,0020) LO [AV35674]\n\
         (0020,000d) UI [1.2.276.0.7230010.3.2.101]\n(0040,0100) SQ\n(fffe,e000) -\n(0008,0060) CS [MR]\n\
         (0040,0001) AE [MR1]\n(0040,0002) DA [20261123]\n(0040,0003) TM [154500]\n(0040,0009) SH [SPD3445]\n\
         (fffe,e00d) -\n(fffe,e0dd) -\n(0040,1001) SH [RP454G234]\n",
    )?;
    let file = server.beside().join("entry.wl");
    let made = run(Command::new(program("dump2dcm")?).arg(&dump).arg(&file))?;
    assert!(made.status.success(), "{}", text(&made));
    let broken = server.beside().join("broken.wl");
    std::fs::write(&broken, &std::fs::read(&file)?[..200])?;
    let import = |path: &Path| server.command(&["worklist", "import", path.to_str().unwrap_or_default()]);
    assert_eq!(import(&file)?["entries"][0]["replaced"], false);
    assert_eq!(import(&file)?["entries"][0]["replaced"], true);
    assert!(import(&broken).is_err());
    assert_eq!(states(&server)?, [("AV35674".to_owned(), "scheduled".to_owned())]);

    let said = findscu(&server, &["0008,0005", "ScheduledProcedureStepSequence[0].Modality=MR", "PatientName"])?;
    assert!(said.status.success() && text(&said).contains("Vivaldi^Antonio"), "{}", text(&said));
    let said = findscu(&server, &["ScheduledProcedureStepSequence[0].Modality=CT", "PatientName"])?;
    assert!(said.status.success() && !text(&said).contains("Vivaldi"), "{}", text(&said));
    Ok(())
}

fn findscu(server: &Server, keys: &[&str]) -> Result<Output> {
    let folder = match server.beside().join("MR1") {
        folder if folder.exists() => folder,
        _ => server.device("MR1", "worklist")?,
    };
    let (host, port) = server.dicom_tls.rsplit_once(':').context("address")?;
    let mut command = Command::new(program("findscu")?);
    command.args(["-v", "-W", "-aet", "MR1", "-aec", "KLUIS", "-to", "5", "-ta", "5"]).env("TCP_NODELAY", "1");
    command.arg("+tls").arg(folder.join("MR1.key.pem")).arg(folder.join("MR1.cert.pem"));
    command.arg("+cf").arg(server.ca());
    keys.iter().for_each(|key| _ = command.args(["-k", key]));
    run(command.args([host, port]))
}

fn request(operation: &str, instance: Option<&str>, attributes: &Value) -> Value {
    json!({ "operation": operation, "class": PERFORMED_STEP, "instance": instance, "attributes": attributes })
}

fn ending(status: &str) -> Value {
    json!({
        "00400250": { "vr": "DA", "Value": ["20261123"] },
        "00400251": { "vr": "TM", "Value": ["0830"] },
        "00400252": { "vr": "CS", "Value": [status] },
    })
}

fn series() -> Value {
    json!({ "00400340": { "vr": "SQ", "Value": [
        { "0020000E": { "vr": "UI", "Value": ["1.2.3.4"] }, "00181030": { "vr": "LO", "Value": ["Protocol"] } }] } })
}

fn perform(server: &Server, folder: &Path, requests: &[Value]) -> Result<Vec<(u64, Option<u64>)>> {
    let answer = normalized(server, "CT1", Some((folder, "CT1")), &json!(requests))?;
    assert_eq!(answer["error"], Value::Null, "{answer}");
    let answers = answer["answers"].as_array().context("answers")?;
    answers.iter().map(|a| Ok((a["status"].as_u64().context("status")?, a["error_id"].as_u64()))).collect()
}

#[test]
fn e05_a_step_goes_on_until_it_has_ended_and_its_entry_with_it() -> Result<()> {
    let mut server = stocked()?;
    let device = server.device("CT1", "worklist")?;
    let of = |number: usize| -> Result<String> { Ok(states(&server)?[number].1.clone()) };
    let series = series();
    assert_eq!(of(0)?, "scheduled");
    let begun = perform(
        &server,
        &device,
        &[
            request("N-CREATE", Some("2.25.11"), &step(1)),
            request("N-CREATE", Some("2.25.11"), &step(1)),
            request("N-SET", Some("2.25.11"), &series),
            request("N-SET", Some("2.25.12"), &series),
        ],
    )?;
    assert_eq!(begun, [(0, None), (0x0111, None), (0, None), (0x0112, None)]);
    assert_eq!(of(0)?, "started");
    let answers = ask(
        &server,
        &device,
        &[
            json!({ "PatientID": "P1", "ScheduledProcedureStepSequence": { "ScheduledProcedureStepStatus": "STARTED" } }),
        ],
    )?;
    assert_eq!(patients(&answers[0]), ["P1"]);

    // what was answered is durable
    server.kill()?;
    server.restart()?;
    let ended = perform(
        &server,
        &device,
        &[
            request("N-SET", Some("2.25.11"), &ending("COMPLETED")),
            request("N-SET", Some("2.25.11"), &ending("DISCONTINUED")),
            request("N-SET", Some("2.25.11"), &series),
            request("N-CREATE", Some("2.25.13"), &step(4)),
            request("N-SET", Some("2.25.13"), &ending("DISCONTINUED")),
            request("N-SET", Some("2.25.13"), &ending("IN PROGRESS")),
        ],
    )?;
    let too_late = (0x0110, Some(0xA710));
    assert_eq!(ended, [(0, None), too_late, too_late, (0, None), (0, None), too_late]);
    let expected = [("P1", "completed"), ("P2", "scheduled"), ("P3", "scheduled"), ("P4", "discontinued")];
    assert_eq!(states(&server)?, expected.map(|(patient, state)| (patient.to_owned(), state.to_owned())));
    // what is done is no work any more
    assert_eq!(patients(&ask(&server, &device, &[json!({ "PatientID": "" })])?[0]), ["P2", "P3"]);
    Ok(())
}

#[test]
fn e05_what_is_wrong_with_a_step_is_told() -> Result<()> {
    let server = stocked()?;
    let device = server.device("CT1", "worklist")?;
    let without = |tag: &str| {
        let mut step = step(1);
        step.as_object_mut().map(|step| step.remove(tag));
        step
    };
    let with = |tag: &str, value: Value| {
        let mut step = step(1);
        step[tag] = value;
        step
    };
    let mut renamed = ending("IN PROGRESS");
    renamed["00100010"] = json!({ "vr": "PN", "Value": [{ "Alphabetic": "Somebody^Else" }] });
    let answers = perform(
        &server,
        &device,
        &[
            request("N-CREATE", Some("2.25.1"), &without("00400252")),
            request("N-CREATE", Some("2.25.1"), &without("00400253")),
            request("N-CREATE", Some("2.25.1"), &with("00400253", json!({ "vr": "SH" }))),
            request("N-CREATE", Some("2.25.1"), &with("00400252", json!({ "vr": "CS", "Value": ["COMPLETED"] }))),
            request("N-CREATE", Some("2.25.1"), &series()),
            request("N-CREATE", Some("2.25.1"), &step(1)),
            request("N-SET", Some("2.25.1"), &ending("DONE")),
            // left as it was, and told
            request("N-SET", Some("2.25.1"), &renamed),
        ],
    )?;
    let statuses: Vec<u64> = answers.into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, [0x0120, 0x0120, 0x0121, 0x0106, 0x0120, 0, 0x0106, 0x0107]);
    // without a UID of its own it gets one
    let unnamed = json!([request("N-CREATE", None, &step(2))]);
    let answer = normalized(&server, "CT1", Some((&device, "CT1")), &unnamed)?;
    let uid = answer["answers"][0]["instance"].as_str().context("instance")?;
    assert!(answer["answers"][0]["status"] == 0 && uid.starts_with("2.25."), "{answer}");
    let ended = perform(&server, &device, &[request("N-SET", Some(uid), &ending("COMPLETED"))])?;
    assert_eq!(ended, [(0, None)]);
    Ok(())
}

#[tokio::test]
async fn entries_over_rest() -> Result<()> {
    let server = Server::start()?;
    let (http, token) = (server.http()?, server.token("scheduler")?);
    let entries = format!("{}/worklist/entries", server.https);
    let post = |kind: &str, body: Vec<u8>| {
        http.post(&entries)
            .bearer_auth(&token)
            .header("content-type", kind)
            .header("accept", "application/json")
            .body(body)
    };
    let put = |entry: Value| post("application/dicom+json", entry.to_string().into_bytes());
    let made = put(entry(1, "CT1", "20261123", "0800")).send().await?;
    assert_eq!(made.status(), StatusCode::CREATED);
    let place = made.headers()["location"].to_str()?.to_owned();
    assert!(!place.contains("P1") && !place.contains(&study(1)), "{place}");
    let again = put(json!([entry(1, "CT9", "20261125", "0800")])).send().await?;
    assert_eq!((again.status(), again.headers()["location"].to_str()?), (StatusCode::OK, place.as_str()));

    let get = |url: String| http.get(url).bearer_auth(&token).header("accept", "application/json");
    let one: Value = get(format!("{}{place}", server.https)).send().await?.json().await?;
    assert_eq!(one["attributes"], entry(1, "CT9", "20261125", "0800"));
    put(entry(2, "CT1", "20261124", "0800")).send().await?;
    let all: Value = get(entries.clone()).send().await?.json().await?;
    let of = |page: &Value| page.as_array().map(|page| page.iter().map(|e| e["state"].clone()).collect::<Vec<_>>());
    assert_eq!(of(&all), Some(vec![json!("scheduled"), json!("scheduled")]));
    let second: Value = get(format!("{entries}?offset=1&limit=1")).send().await?.json().await?;
    assert_eq!((second.as_array().map(Vec::len), &second[0]), (Some(1), &all[1]));

    let mut without_patient = entry(3, "CT1", "20261124", "0800");
    without_patient.as_object_mut().map(|entry| entry.remove("00100020"));
    for (request, status) in [
        (put(without_patient), StatusCode::BAD_REQUEST),
        (post("application/dicom+json", b"{".to_vec()), StatusCode::BAD_REQUEST),
        (post("application/dicom", b"no file".to_vec()), StatusCode::BAD_REQUEST),
        (post("text/plain", b"{}".to_vec()), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (post("application/dicom+json", vec![b' '; 300_000]), StatusCode::PAYLOAD_TOO_LARGE),
        (get(format!("{entries}?limit=all")), StatusCode::BAD_REQUEST),
        (get(format!("{entries}/0")), StatusCode::NOT_FOUND),
    ] {
        let response = request.send().await?;
        assert_eq!(response.status(), status, "{}", response.text().await?);
    }
    let delete = || http.delete(format!("{}{place}", server.https)).bearer_auth(&token).send();
    assert_eq!(delete().await?.status(), StatusCode::NO_CONTENT);
    assert_eq!(delete().await?.status(), StatusCode::NOT_FOUND);
    assert_eq!(states(&server)?.len(), 1);
    Ok(())
}
