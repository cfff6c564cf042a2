//! C-MOVE asked for by foreign programs, to destinations that foreign programs play (conformance D).

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use kluis_testkit::{SmallInstance, data_set::Encoding};
use serde_json::{Value, json};

use crate::support::{
    Server,
    dimse::{transfer, tunnelled},
    free_port, pause,
    tools::program,
};

const STUDY_ROOT: &str = "1.2.840.10008.5.1.4.1.2.2.2";
const PATIENT_ROOT: &str = "1.2.840.10008.5.1.4.1.2.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const NOWHERE: &str = "1.2.826.0.1.3680043.10.9.9.9";

/// A node with images, who may move, and who gets them.
struct House {
    server: Server,
    images: Vec<SmallInstance>,
    mover: PathBuf,
    /// Where WORKSTATION listens, and with what it proves itself.
    port: u16,
    workstation: PathBuf,
}

/// Two studies of one patient: two series of so many images, and one image.
fn house(images_of_a_series: u32) -> Result<House> {
    let server = Server::start()?;
    let folder = server.beside().join("images");
    std::fs::create_dir_all(&folder)?;
    let mut images = Vec::new();
    let of_first = [1, 2].into_iter().flat_map(|series| (1..=images_of_a_series).map(move |n| (1, series, n)));
    for (study, series, number) in of_first.chain([(2, 1, 1)]) {
        let mut image = SmallInstance::new(21, study, series, number);
        "P1".clone_into(&mut image.patient_id);
        std::fs::write(folder.join(format!("{}.dcm", images.len())), image.file())?;
        images.push(image);
    }
    server.command(&["import", folder.to_str().context("path")?])?;
    let mover = server.device("MOVER", "find,move")?;
    let port = free_port()?;
    let workstation = server.listening_device("WORKSTATION", "", &format!("127.0.0.1:{port}"))?;
    Ok(House { server, images, mover, port, workstation })
}

impl House {
    /// Somebody listens where WORKSTATION does, with the key of `title`.
    fn listen(&self, title: &str, folder: &Path, syntaxes: &[&str]) -> Value {
        let class = &self.images[0].sop_class;
        let take: Vec<Value> = syntaxes.iter().map(|syntax| json!([class, syntax])).collect();
        let file = |kind: &str| folder.join(format!("{title}.{kind}.pem"));
        json!({ "port": self.port, "cert": file("cert"), "key": file("key"), "take": take })
    }

    fn workstation(&self, syntaxes: &[&str]) -> Value {
        self.listen("WORKSTATION", &self.workstation, syntaxes)
    }

    fn study(&self) -> Value {
        json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": self.images[0].study })
    }

    fn ask(&self, queries: &Value) -> Result<Vec<Value>> {
        let answer = transfer(&self.server, "MOVER", Some((&self.mover, "MOVER")), queries)?;
        ensure!(answer["error"] == Value::Null, "{answer}");
        Ok(answer["answers"].as_array().context("answers")?.clone())
    }
}

fn last_status(answer: &Value) -> Value {
    answer["statuses"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What must have come to the destination.
fn stored(images: &[&SmallInstance], syntax: &str, encoding: Encoding) -> Value {
    let one = |image: &&SmallInstance| {
        let bytes = hexadecimal(&image.data_set().encode(encoding));
        (image.sop_instance.clone(), json!({ "syntax": syntax, "bytes": bytes, "originator": ["MOVER", 77] }))
    };
    Value::Object(images.iter().map(one).collect())
}

#[test]
fn d06_d07_d10_every_level_of_both_roots_arrives_as_stored() -> Result<()> {
    let house = house(2)?;
    let (study, series) = (&house.images[0].study, &house.images[2].series);
    let sops = [house.images[2].sop_instance.clone(), house.images[3].sop_instance.clone()];
    let cases = [
        (STUDY_ROOT, house.study(), vec![0, 1, 2, 3]),
        (
            STUDY_ROOT,
            json!({ "QueryRetrieveLevel": "SERIES", "StudyInstanceUID": study, "SeriesInstanceUID": series }),
            vec![2, 3],
        ),
        (
            STUDY_ROOT,
            json!({ "QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": study, "SeriesInstanceUID": series,
                "SOPInstanceUID": sops }),
            vec![2, 3],
        ),
        (PATIENT_ROOT, json!({ "QueryRetrieveLevel": "PATIENT", "PatientID": "P1" }), vec![0, 1, 2, 3, 4]),
        (STUDY_ROOT, json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": NOWHERE }), vec![]),
    ];
    let query = |(model, keys, _): &(&str, Value, Vec<usize>)| {
        let listen = house.workstation(&[EXPLICIT]);
        json!({ "model": model, "keys": keys, "destination": "WORKSTATION", "listen": listen })
    };
    let answers = house.ask(&json!(cases.iter().map(query).collect::<Vec<_>>()))?;
    assert_eq!(answers.len(), cases.len());
    for (answer, (_, keys, expected)) in answers.iter().zip(&cases) {
        let images: Vec<&SmallInstance> = expected.iter().map(|at| &house.images[*at]).collect();
        assert_eq!(answer["stored"], stored(&images, EXPLICIT, Encoding::EXPLICIT_LITTLE), "{keys}");
        assert_eq!(answer["counts"], json!([null, expected.len(), 0, 0]), "{keys}: {answer}");
        assert_eq!((last_status(answer), &answer["alive"]), (json!(0), &json!(true)), "{keys}");
        if !expected.is_empty() {
            assert_eq!(answer["calling"], json!(["KLUIS"]), "{keys}");
            assert!(answer["pending"].as_array().is_some_and(|all| !all.is_empty()), "{answer}");
        }
    }
    // D10: what is left and what is done is the whole at any moment
    for pending in answers[0]["pending"].as_array().context("pending")? {
        let all: i64 = pending.as_array().context("counts")?.iter().filter_map(Value::as_i64).sum();
        assert_eq!(all, 4, "{pending}");
    }
    Ok(())
}

#[test]
fn d05_d09_d15_only_enrolled_destinations_that_prove_it_are_sent_to() -> Result<()> {
    let house = house(1)?;
    house.server.device("SILENT", "find")?;
    let imposter = house.server.device("OTHER", "")?;
    let imposter = house.listen("OTHER", &imposter, &[EXPLICIT]);
    let to = |destination: &str| json!({ "model": STUDY_ROOT, "keys": house.study(), "destination": destination });
    let mut posed = to("WORKSTATION");
    posed["listen"] = imposter;
    // unknown, without an address, nobody listens, somebody with another key listens
    let answers = house.ask(&json!([to("ELSEWHERE"), to("SILENT"), to("WORKSTATION"), posed]))?;
    let statuses: Vec<Value> = answers.iter().map(last_status).collect();
    assert_eq!(json!(statuses), json!([0xA801, 0xA801, 0xA702, 0xA702]));
    assert_eq!(answers[0]["comment"], answers[1]["comment"]);
    assert_eq!(answers[2]["counts"], json!([null, 0, 2, 0]));
    assert_eq!(answers[2]["failed"].as_array().map(Vec::len), Some(2), "{}", answers[2]);
    assert_eq!((&answers[3]["stored"], &answers[3]["calling"]), (&json!({}), &json!([])), "{}", answers[3]);
    assert!(answers.iter().all(|answer| answer["alive"] == json!(true)), "{answers:?}");
    Ok(())
}

#[test]
fn d08_d13_refusals_warnings_and_bad_requests_are_told() -> Result<()> {
    let house = house(2)?;
    let asked = |keys: Value, answer: i64, syntaxes: &[&str]| {
        let mut listen = house.workstation(syntaxes);
        listen["answer"] = answer.into();
        json!({ "model": STUDY_ROOT, "keys": keys, "destination": "WORKSTATION", "listen": listen })
    };
    let no_level = json!({ "StudyInstanceUID": house.images[0].study });
    let answers = house.ask(&json!([
        asked(house.study(), 0xA700, &[EXPLICIT]),
        asked(house.study(), 0xB000, &[EXPLICIT]),
        asked(house.study(), 0, &["1.2.840.10008.1.2.4.50"]),
        asked(no_level, 0, &[EXPLICIT]),
    ]))?;
    let statuses: Vec<Value> = answers.iter().map(last_status).collect();
    assert_eq!(json!(statuses), json!([0xA702, 0xB000, 0xA702, 0xA900]));
    let counts: Vec<&Value> = answers.iter().take(3).map(|answer| &answer["counts"]).collect();
    assert_eq!(json!(counts), json!([[null, 0, 4, 0], [null, 0, 0, 4], [null, 0, 4, 0]]));
    let mut failed: Vec<&str> =
        answers[0]["failed"].as_array().context("failed")?.iter().flat_map(Value::as_str).collect();
    let mut sent: Vec<&str> = house.images[..4].iter().map(|image| image.sop_instance.as_str()).collect();
    failed.sort_unstable();
    sent.sort_unstable();
    assert_eq!(failed, sent);
    Ok(())
}

#[test]
fn d12_what_is_taken_in_another_plain_syntax_is_rewritten() -> Result<()> {
    let house = house(2)?;
    let listen = house.workstation(&[IMPLICIT]);
    let query = json!({ "model": STUDY_ROOT, "keys": house.study(), "destination": "WORKSTATION", "listen": listen });
    let answers = house.ask(&json!([query]))?;
    let images: Vec<&SmallInstance> = house.images[..4].iter().collect();
    assert_eq!(answers[0]["stored"], stored(&images, IMPLICIT, Encoding::IMPLICIT_LITTLE));
    assert_eq!(last_status(&answers[0]), json!(0));
    Ok(())
}

#[test]
fn d11_a_cancel_stops_what_has_not_begun() -> Result<()> {
    let house = house(100)?;
    let query = json!({ "model": STUDY_ROOT, "keys": house.study(), "destination": "WORKSTATION",
        "listen": house.workstation(&[EXPLICIT]), "cancel_after": 1 });
    let answer = house.ask(&json!([query]))?.remove(0);
    assert_eq!(last_status(&answer), json!(0xFE00), "{}", answer["counts"]);
    let counts: Vec<i64> = answer["counts"].as_array().context("counts")?.iter().filter_map(Value::as_i64).collect();
    let [remaining, completed, 0, 0] = counts[..] else { panic!("{counts:?}") };
    assert!(remaining > 0 && remaining + completed == 200, "{counts:?}");
    assert_eq!(answer["stored"].as_object().map(|all| all.len() as i64), Some(completed));
    Ok(())
}

/// Several associations where there is much to send, one where the destination takes no more; what a broken association
/// took with it is told, and the rest arrives over a new one.
#[test]
fn many_objects_go_over_several_associations_and_broken_ones_are_replaced() -> Result<()> {
    let house = house(50)?;
    let query = |listen: Value| json!({ "model": STUDY_ROOT, "keys": house.study(), "destination": "WORKSTATION", "listen": listen });
    let (mut alone, mut dropping) = (house.workstation(&[EXPLICIT]), house.workstation(&[EXPLICIT]));
    alone["associations"] = 1.into();
    dropping["associations"] = 1.into();
    dropping["drop_after"] = 10.into();
    let answers = house.ask(&json!([query(house.workstation(&[EXPLICIT])), query(alone), query(dropping)]))?;
    let images: Vec<&SmallInstance> = house.images[..100].iter().collect();
    let all = stored(&images, EXPLICIT, Encoding::EXPLICIT_LITTLE);
    for (answer, associations) in answers.iter().take(2).zip([3, 1]) {
        assert_eq!(answer["counts"], json!([null, 100, 0, 0]), "{}", answer["counts"]);
        assert_eq!(answer["associations"], json!(associations));
        assert!(answer["stored"] == all);
    }
    let dropped = &answers[2];
    assert_eq!((last_status(dropped), &dropped["counts"]), (json!(0xB000), &json!([null, 99, 1, 0])));
    assert_eq!(dropped["failed"].as_array().map(Vec::len), Some(1));
    Ok(())
}

/// DCMTK on both sides: `movescu` asks through a tunnel, as it knows no TLS; `storescp` takes over TLS, with the certificate
/// that enrolment gave it.
#[test]
fn movescu_has_a_study_sent_to_storescp() -> Result<()> {
    let house = house(3)?;
    let folder = house.server.beside().join("taken");
    std::fs::create_dir_all(&folder)?;
    let text = |path: PathBuf| path.to_str().map(str::to_owned).context("path");
    let ca = text(house.server.ca())?;
    let file = |kind: &str| text(house.workstation.join(format!("WORKSTATION.{kind}.pem")));
    let (key, cert) = (file("key")?, file("cert")?);
    let taken = text(folder.clone())?;
    let port = house.port.to_string();
    let storescp = Command::new(program("storescp")?)
        .args(["+tls", &key, &cert, "+cf", &ca, "-od", &taken, "-aet", "WORKSTATION", &port])
        .stdin(Stdio::null())
        .spawn()?;
    let _storescp = Ended(storescp);
    while std::net::TcpStream::connect(("127.0.0.1", house.port)).is_err() {
        pause();
    }
    let study = format!("StudyInstanceUID={}", house.images[0].study);
    let wanted = ["-v", "-S", "-aet", "MOVER", "-aec", "KLUIS", "-aem", "WORKSTATION"];
    let keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", &study];
    let said = tunnelled(&house.server, (&house.mover, "MOVER"), "movescu", &[&wanted[..], &keys].concat())?;
    let files = std::fs::read_dir(&folder)?.map(|entry| Ok(std::fs::read(entry?.path())?));
    let files = files.collect::<Result<Vec<_>>>()?;
    assert_eq!(files.len(), 6, "{said}");
    for image in &house.images[..6] {
        let bytes = image.data_set_bytes();
        assert!(files.iter().any(|file| file.ends_with(&bytes)), "{}: {said}", image.sop_instance);
    }
    Ok(())
}

/// A program that goes with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
