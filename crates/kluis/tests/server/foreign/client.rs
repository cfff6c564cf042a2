//! `kluis dicom …` against foreign programs and against a node of our own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use kluis_testkit::{SmallInstance, data_set::Encoding};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Server, free_port, pause, program as kluis_program, tools::program};

/// A program that goes with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program that listens at a port.
fn listening(name: &str, arguments: &[&str], port: u16) -> Result<Running> {
    let mut running = Running(Command::new(program(name)?).args(arguments).stdin(Stdio::null()).spawn()?);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(running.0.try_wait()?.is_none(), "{name} ended before it listened");
        pause();
    }
    Ok(running)
}

/// Runs `kluis dicom`; its exit code and JSON document.
fn dicom(arguments: &[&str]) -> Result<(i32, Value)> {
    let output =
        Command::new(kluis_program()).arg("dicom").args(arguments).arg("--json").stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let document = serde_json::from_str(&said)
        .with_context(|| format!("no JSON: {said}{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((output.status.code().context("ended by a signal")?, document))
}

fn done(arguments: &[&str]) -> Result<Value> {
    let (code, document) = dicom(arguments)?;
    ensure!(code == 0, "exit {code}: {document}");
    Ok(document)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("path")
}

/// A folder with so many images of one study, and a file that is none.
fn images(count: u32) -> Result<(TempDir, Vec<SmallInstance>)> {
    let folder = TempDir::new()?;
    let mut images = Vec::new();
    for number in 1..=count {
        let image = SmallInstance::new(31, 1, 1, number);
        std::fs::write(folder.path().join(format!("{number}.dcm")), image.file())?;
        images.push(image);
    }
    Ok((folder, images))
}

fn files_in(folder: &Path) -> Result<Vec<Vec<u8>>> {
    std::fs::read_dir(folder)?.map(|entry| Ok(std::fs::read(entry?.path())?)).collect()
}

#[test]
fn b05_a_node_of_our_own_is_used_with_what_enrolment_wrote() -> Result<()> {
    let server = Server::start()?;
    let device = server.device("CT1", "store,find,get")?;
    let (peer, identity) = (server.dicom_tls.as_str(), text(&device)?);
    let told = done(&["echo", peer, "--identity", identity, "--count", "3"])?;
    assert_eq!((&told["status"], told["milliseconds"].as_array().map(Vec::len)), (&json!("0000H"), Some(3)));

    let (folder, images) = images(3)?;
    std::fs::write(folder.path().join("notes.txt"), "not a picture")?;
    let (code, sent) = dicom(&["send", peer, "--identity", identity, text(folder.path())?])?;
    assert_eq!((code, &sent["sent"]), (1, &json!(3)), "{sent}");
    assert!(sent["failed"][0]["path"].as_str().is_some_and(|path| path.ends_with("notes.txt")), "{sent}");

    // B05: the same again is no failure and no second object
    let (_, again) = dicom(&["send", peer, "--identity", identity, text(folder.path())?])?;
    assert_eq!((&again["sent"], again["failed"].as_array().map(Vec::len)), (&json!(3), Some(1)), "{again}");
    assert_eq!(server.command(&["verify"])?["objects"], 3);

    let study = format!("StudyInstanceUID={}", images[0].study);
    let found = done(&["find", peer, "--identity", identity, "--level", "series", "-k", &study])?;
    assert_eq!(found["matches"][0]["0020000E"]["Value"][0], json!(images[0].series), "{found}");
    assert_eq!(found["matches"][0]["00201209"]["Value"][0], json!(3), "{found}");
    let out = folder.path().join("got");
    let got = done(&["get", peer, "--identity", identity, "-k", &study, "--out", text(&out)?])?;
    assert_eq!((&got["completed"], &got["failed"]), (&json!(3), &json!(0)), "{got}");
    for image in &images {
        let file = std::fs::read(out.join(format!("{}.dcm", image.sop_instance)))?;
        assert!(file.ends_with(&image.data_set_bytes()));
    }
    // what is there is not replaced
    let (code, again) = dicom(&["get", peer, "--identity", identity, "-k", &study, "--out", text(&out)?])?;
    assert_eq!((code, &again["completed"], &again["failed"]), (1, &json!(0), &json!(3)), "{again}");
    assert_eq!(files_in(&out)?.len(), 3);
    Ok(())
}

#[test]
fn who_is_not_let_in_or_not_believed_is_told_why() -> Result<()> {
    let (server, other) = (Server::start()?, Server::start()?);
    let device = server.device("CT1", "store")?;
    let stranger = other.device("CT1", "store")?;
    let peer = server.dicom_tls.as_str();
    let fails = |arguments: &[&str], why: &str| -> Result<()> {
        let (code, told) = dicom(arguments)?;
        let error = told["error"].as_str().unwrap_or_default();
        ensure!(code == 1 && error.contains(why), "{code}: {told}");
        Ok(())
    };
    fails(&["echo", peer, "--identity", text(&device)?, "--called", "OTHER"], "called AE title not recognised")?;
    let ca = server.ca();
    let (cert, key) = (device.join("CT1.cert.pem"), device.join("CT1.key.pem"));
    let certified = ["--cert", text(&cert)?, "--key", text(&key)?, "--ca", text(&ca)?];
    let posing = [&["echo", peer, "--called", "KLUIS", "--calling", "MR1"], &certified[..]].concat();
    fails(&posing, "calling AE title not recognised")?;
    // the other node's authority did not sign this one
    fails(&["echo", peer, "--identity", text(&stranger)?], "no TLS")?;
    fails(&["echo", peer, "--plain"], "speaks TLS")?;
    fails(&["echo", "127.0.0.1:1", "--plain"], "cannot connect")?;
    fails(&["echo", peer], "--ca")?;
    Ok(())
}

#[test]
fn storescp_gets_what_it_takes_in_the_clear_and_over_tls() -> Result<()> {
    let server = Server::start()?;
    let device = server.device("STORE1", "store")?;
    let (folder, images) = images(4)?;
    let file = |kind: &str| device.join(format!("STORE1.{kind}.pem"));
    let (key, cert, ca) = (file("key"), file("cert"), server.ca());
    let pin = server.command(&["device", "show", "STORE1"])?["key_fingerprint"].as_str().context("pin")?.to_owned();
    let tls = ["+tls", text(&key)?, text(&cert)?, "+cf", text(&ca)?];
    let proved = ["--pin", &pin, "--cert", text(&cert)?, "--key", text(&key)?];
    for (options, connect, encoding) in [
        (vec![], vec!["--plain"], Encoding::EXPLICIT_LITTLE),
        (vec!["+xi"], vec!["--plain"], Encoding::IMPLICIT_LITTLE),
        (tls.to_vec(), proved.to_vec(), Encoding::EXPLICIT_LITTLE),
    ] {
        let (out, port) = (TempDir::new()?, free_port()?);
        let port_text = port.to_string();
        let arguments = [&options[..], &["-od", text(out.path())?, &port_text]].concat();
        let _storescp = listening("storescp", &arguments, port)?;
        let peer = format!("127.0.0.1:{port}");
        let sent = done(&[&["send", &peer, text(folder.path())?], &connect[..]].concat())?;
        assert_eq!(sent["sent"], 4, "{sent}");
        let files = files_in(out.path())?;
        for image in &images {
            let bytes = image.data_set().encode(encoding);
            assert!(files.iter().any(|file| file.ends_with(&bytes)), "{options:?}: {}", image.sop_instance);
        }
    }
    Ok(())
}

/// A `dcmqrscp` with one storage area, which may send to one other node.
fn dcmqrscp(folder: &Path, port: u16, destination: u16) -> Result<Running> {
    let area = folder.join("area");
    std::fs::create_dir_all(&area)?;
    let config = folder.join("dcmqrscp.cfg");
    let lines = format!(
        "NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\nthere = (THERE, 127.0.0.1, \
         {destination})\nHostTable END\nVendorTable BEGIN\nVendorTable END\nAETable BEGIN\nQRSCP {} RW (200, 1024mb) \
         ANY\nAETable END\n",
        area.display()
    );
    std::fs::write(&config, lines)?;
    listening("dcmqrscp", &["-c", text(&config)?], port)
}

#[test]
fn dcmqrscp_is_filled_searched_and_emptied() -> Result<()> {
    let (folder, images) = images(5)?;
    let house = TempDir::new()?;
    let (port, there) = (free_port()?, free_port()?);
    let _dcmqrscp = dcmqrscp(house.path(), port, there)?;
    let peer = format!("127.0.0.1:{port}");
    let connect = ["--plain", "--called", "QRSCP", "--calling", "CLIENT"];
    let ask = |arguments: &[&str]| dicom(&[&arguments[..1], &[&peer], &connect[..], &arguments[1..]].concat());
    let (code, sent) = ask(&["send", text(folder.path())?])?;
    assert_eq!((code, &sent["sent"]), (0, &json!(5)), "{sent}");

    let name = format!("PatientID={}", images[0].patient_id);
    let (_, found) = ask(&["find", "-k", &name])?;
    assert_eq!(found["matches"][0]["0020000D"]["Value"][0], json!(images[0].study), "{found}");
    let (_, found) = ask(&["find", "--model", "patient", "-k", &name])?;
    assert_eq!(found["matches"].as_array().map(Vec::len), Some(1), "{found}");
    let keys = [("StudyInstanceUID", &images[0].study), ("SeriesInstanceUID", &images[0].series)];
    let [study, series] = keys.map(|(key, uid)| format!("{key}={uid}"));
    let (code, found) = ask(&["find", "--level", "image", "-k", &study, "-k", &series, "--limit", "2"])?;
    assert_eq!((code, found["matches"].as_array().map(Vec::len)), (0, Some(2)), "{found}");

    let out = house.path().join("got");
    let (code, got) = ask(&["get", "-k", &study, "--out", text(&out)?])?;
    assert_eq!((code, &got["completed"]), (0, &json!(5)), "{got}");
    let taken: PathBuf = house.path().join("taken");
    std::fs::create_dir_all(&taken)?;
    let there_text = there.to_string();
    let _storescp = listening("storescp", &["-od", text(&taken)?, "-aet", "THERE", &there_text], there)?;
    let (code, moved) = ask(&["move", "--to", "THERE", "-k", &study])?;
    assert_eq!((code, &moved["completed"], &moved["status"]), (0, &json!(5), &json!("0000H")), "{moved}");
    for files in [files_in(&out)?, files_in(&taken)?] {
        assert_eq!(files.len(), 5);
        for image in &images {
            assert!(files.iter().any(|file| file.ends_with(&image.data_set_bytes())), "{}", image.sop_instance);
        }
    }
    let (code, moved) = ask(&["move", "--to", "NOWHERE", "-k", &study])?;
    assert_eq!((code, &moved["status"]), (1, &json!("A801H")), "{moved}");
    Ok(())
}
