//! One set of real files over each door, and back by WADO-RS: every valid image that the packages pydicom and pydicom-data
//! bring. Files that share a SOP Instance UID go to archives of their own ("rounds").

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::support::{Server, dimse::send, tools::python};

/// Fewer than these, and the packages were not found or have changed.
const FILES_AT_LEAST: usize = 150;

/// The files of each round.
fn rounds() -> Result<Vec<Vec<Value>>> {
    let listed = python("images.py", &[])?;
    let mut rounds: Vec<Vec<Value>> = Vec::new();
    for file in ["files", "again"].iter().filter_map(|key| listed[*key].as_array()).flatten() {
        let round = usize::try_from(file["round"].as_u64().context("no round")?)?;
        if rounds.len() <= round {
            rounds.resize(round + 1, Vec::new());
        }
        rounds[round].push(file.clone());
    }
    let count: usize = rounds.iter().map(Vec::len).sum();
    ensure!(count >= FILES_AT_LEAST, "only {count} files");
    Ok(rounds)
}

/// Delivers each round to a new archive and compares what comes back.
fn deliver(compare: &str, send: impl Fn(&Server, &str, &[Value]) -> Result<()>) -> Result<()> {
    for files in rounds()? {
        let server = Server::start()?;
        let list = server.beside().join("files.json");
        std::fs::write(&list, json!({ "files": files }).to_string())?;
        let list = list.to_str().context("path")?;
        send(&server, list, &files)?;
        let token = server.token("radiologist")?;
        let (url, ca) = (format!("{}/dicom-web", server.https), text(server.ca())?);
        let answer =
            python("wado.py", &["--url", &url, "--ca", &ca, "--token", &token, "--files", list, "--compare", compare])?;
        ensure!(answer["compared"] == files.len(), "{answer}");
        let report = server.command(&["verify", "--full"])?;
        ensure!(report["findings"] == json!([]), "{report}");
    }
    Ok(())
}

fn text(path: PathBuf) -> Result<String> {
    Ok(path.to_str().context("path")?.to_owned())
}

fn run_dimse(script: &str, server: &Server, device: &str, list: &str) -> Result<Value> {
    let folder = server.device(device, "store")?;
    Ok(send(script, server, device, Some((&folder, device)), Path::new(list))?.answer)
}

#[test]
fn dicomweb_client_stores_and_every_byte_comes_back() -> Result<()> {
    deliver("bytes", |server, list, files| {
        let token = server.token("uploader")?;
        let (url, ca) = (format!("{}/dicom-web", server.https), text(server.ca())?);
        let answer = python("stow.py", &["--url", &url, "--ca", &ca, "--token", &token, "--files", list])?;
        ensure!(answer["stored"].as_array().map(Vec::len) == Some(files.len()), "{answer}");
        Ok(())
    })
}

#[test]
fn import_and_every_byte_comes_back() -> Result<()> {
    deliver("bytes", |server, _, files| {
        let paths: Vec<&str> = files.iter().filter_map(|file| file["path"].as_str()).collect();
        let report = server.command(&[&["import"], paths.as_slice()].concat())?;
        ensure!(report["stored"] == files.len(), "{report}");
        Ok(())
    })
}

#[test]
fn b02_b09_b13_b14_pynetdicom_stores_over_tls_and_every_byte_comes_back() -> Result<()> {
    deliver("bytes", |server, list, files| {
        // pynetdicom takes the UIDs of the command from the file meta group; where they are not those of the data set the
        // object is refused (B03: A900H), and comes by import so that the comparison covers the whole set
        let answer = run_dimse("dimse.py", server, "PYNETDICOM", list)?;
        let failed = answer["failed"].as_array().context("failed")?;
        ensure!(failed.iter().all(|failure| failure["status"] == 0xA900), "{answer}");
        ensure!(failed.len() <= 1, "{answer}");
        ensure!(answer["stored"].as_u64().context("stored")? + failed.len() as u64 == files.len() as u64, "{answer}");
        for failure in failed {
            server.command(&["import", failure["path"].as_str().context("path")?])?;
        }
        Ok(())
    })
}

/// DCMTK reads each data set and encodes it anew, so elements are compared, not bytes. What DCMTK itself cannot read is
/// delivered by import, so that the comparison covers the whole set.
#[test]
fn storescu_stores_over_tls_and_every_element_comes_back() -> Result<()> {
    deliver("elements", |server, list, files| {
        let answer = run_dimse("storescu.py", server, "STORESCU", list)?;
        let unreadable: Vec<&str> =
            answer["unreadable"].as_array().context("unreadable")?.iter().filter_map(Value::as_str).collect();
        ensure!(answer["sent"].as_u64().context("sent")? + unreadable.len() as u64 == files.len() as u64, "{answer}");
        if !unreadable.is_empty() {
            server.command(&[&["import"], unreadable.as_slice()].concat())?;
        }
        Ok(())
    })
}
