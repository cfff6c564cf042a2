//! Storage commitment asked for by a foreign program (conformance E01 to E04).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use kluis_testkit::SmallInstance;
use serde_json::{Value, json};

use crate::support::{Server, dimse::commit, free_port, program};

const NOWHERE: &str = "1.2.826.0.1.3680043.10.9.9.9";

struct House {
    server: Server,
    images: Vec<SmallInstance>,
    /// Where CT1 listens, and with what it proves itself.
    port: u16,
    device: PathBuf,
}

fn house() -> Result<House> {
    let server = Server::start()?;
    let folder = server.beside().join("images");
    std::fs::create_dir_all(&folder)?;
    let mut images: Vec<SmallInstance> = (1..=3).map(|number| SmallInstance::new(41, 1, 1, number)).collect();
    images.iter_mut().for_each(|image| image.side_pixels = 256);
    for (at, image) in images.iter().enumerate() {
        std::fs::write(folder.join(format!("{at}.dcm")), image.file())?;
    }
    server.command(&["import", folder.to_str().context("path")?])?;
    let port = free_port()?;
    let device = server.listening_device("CT1", "store,commit", &format!("127.0.0.1:{port}"))?;
    Ok(House { server, images, port, device })
}

impl House {
    fn ask(&self, queries: &Value) -> Result<Vec<Value>> {
        let answer = commit(&self.server, "CT1", Some((&self.device, "CT1")), queries)?;
        ensure!(answer["error"] == Value::Null, "{answer}");
        Ok(answer["answers"].as_array().context("answers")?.clone())
    }

    fn instances(&self) -> Value {
        self.images.iter().map(|image| json!([image.sop_class, image.sop_instance])).collect()
    }

    fn uids(&self) -> Value {
        self.images.iter().map(|image| json!(image.sop_instance)).collect()
    }

    /// Somebody listens where CT1 does, so many seconds later.
    fn listen(&self, after: u32) -> Value {
        let file = |kind: &str| self.device.join(format!("CT1.{kind}.pem"));
        json!({ "port": self.port, "cert": file("cert"), "key": file("key"), "after": after })
    }
}

#[test]
fn e01_e02_the_answer_comes_on_the_same_association() -> Result<()> {
    let house = house()?;
    let first = &house.images[0];
    let some = json!([
        [first.sop_class, first.sop_instance],
        [first.sop_class, NOWHERE],
        ["1.2.840.10008.5.1.4.1.1.128", house.images[1].sop_instance],
    ]);
    let answers = house.ask(&json!([
        { "transaction": "1.2.3.1", "instances": house.instances(), "wait": 20 },
        { "transaction": "1.2.3.2", "instances": some, "wait": 20 },
    ]))?;
    let told = |answer: &Value| (answer["status"].clone(), answer["reports"][0].clone());
    let (status, report) = told(&answers[0]);
    assert_eq!((&status, &report["on"], &report["type"]), (&json!(0), &json!("same"), &json!(1)), "{report}");
    assert_eq!((&report["transaction"], &report["held"]), (&json!("1.2.3.1"), &house.uids()));
    let (status, report) = told(&answers[1]);
    assert_eq!((&status, &report["type"], &report["held"]), (&json!(0), &json!(2), &json!([first.sop_instance])));
    let failed = json!({ NOWHERE: 0x0112, house.images[1].sop_instance.clone(): 0x0119 });
    assert_eq!(report["failed"], failed, "{report}");
    Ok(())
}

#[test]
fn e03_a_device_that_has_released_is_called_until_it_answers() -> Result<()> {
    let mut house = house()?;
    let asked = |transaction: &str, house: &House| json!({ "transaction": transaction, "release": true, "instances": house.instances() });
    let mut at_once = asked("1.2.3.1", &house);
    at_once["listen"] = house.listen(0);
    at_once["wait"] = 40.into();
    let answers = house.ask(&json!([at_once]))?;
    let report = &answers[0]["reports"][0];
    assert_eq!(
        (&report["on"], &report["type"], &report["calling"]),
        (&json!("new"), &json!(1), &json!("KLUIS")),
        "{report}"
    );

    // nobody listens, the node is killed, and starts again: the answer is still owed
    let answers = house.ask(&json!([asked("1.2.3.2", &house)]))?;
    assert_eq!(answers[0]["status"], 0);
    house.server.kill()?;
    house.server.restart()?;
    let later = json!({ "transaction": null, "listen": house.listen(1), "wait": 60 });
    let once_more = asked("1.2.3.3", &house);
    let answers = house.ask(&json!([later, once_more]))?;
    let report = &answers[0]["reports"][0];
    assert_eq!((&report["on"], &report["transaction"]), (&json!("new"), &json!("1.2.3.2")), "{answers:?}");
    assert_eq!(report["held"], house.uids());
    Ok(())
}

#[test]
fn e04_damaged_bytes_are_not_committed_to() -> Result<()> {
    let house = house()?;
    damage_first_object(&house.server.data())?;
    let answers = house.ask(&json!([{ "transaction": "1.2.3.1", "instances": house.instances(), "wait": 20 }]))?;
    let report = &answers[0]["reports"][0];
    assert_eq!((&report["type"], report["held"].as_array().map(Vec::len)), (&json!(2), Some(2)), "{report}");
    let failed = report["failed"].as_object().context("failed")?;
    assert_eq!(failed.values().collect::<Vec<_>>(), [&json!(0x0110)], "{report}");
    Ok(())
}

/// Changes a byte in the middle of the pixels of the object that was stored first.
fn damage_first_object(data: &Path) -> Result<()> {
    let pack = std::fs::read_dir(data.join("packs"))?.next().context("no pack")??.path();
    let mut bytes = std::fs::read(&pack)?;
    // three objects of one size: the middle of the first is a sixth into what is written
    let written = bytes.iter().rposition(|byte| *byte != 0).context("an empty pack")?;
    let place = written / 6;
    bytes[place] ^= 1;
    Ok(std::fs::write(&pack, bytes)?)
}

#[test]
fn bad_requests_are_named() -> Result<()> {
    let house = house()?;
    let answers = house.ask(&json!([
        { "transaction": "1.2.3.1", "instances": house.instances(), "instance": "1.2.3" },
        { "transaction": "1.2.3.1", "instances": house.instances(), "action": 7 },
        { "transaction": "1.2.3.1", "instances": [] },
        { "transaction": "", "instances": house.instances() },
        { "transaction": "1.2.3.9", "instances": house.instances(), "release": true },
        { "transaction": "1.2.3.9", "instances": house.instances(), "release": true },
    ]))?;
    let statuses: Vec<&Value> = answers.iter().map(|answer| &answer["status"]).collect();
    assert_eq!(json!(statuses), json!([0x0112, 0x0123, 0x0115, 0x0115, 0, 0x0131]));
    Ok(())
}

/// `kluis dicom commit` asks a node of our own.
#[test]
fn the_command_asks_for_what_it_sent() -> Result<()> {
    let house = house()?;
    let folder = house.server.beside().join("images");
    let absent = SmallInstance::new(42, 1, 1, 1);
    let ask = || -> Result<(Option<i32>, Value)> {
        let arguments =
            ["--identity", house.device.to_str().context("path")?, folder.to_str().context("path")?, "--json"];
        let output = std::process::Command::new(program())
            .args(["dicom", "commit", &house.server.dicom_tls])
            .args(arguments)
            .output()?;
        Ok((output.status.code(), serde_json::from_slice(&output.stdout)?))
    };
    let (code, told) = ask()?;
    assert_eq!((code, told["committed"].as_array().map(Vec::len)), (Some(0), Some(3)), "{told}");
    std::fs::write(folder.join("absent.dcm"), absent.file())?;
    let (code, told) = ask()?;
    assert_eq!(
        (code, &told["failed"]),
        (Some(1), &json!([{ "instance": absent.sop_instance, "reason": "0112H" }])),
        "{told}"
    );
    Ok(())
}
