//! Nothing that tells who a patient is stands anywhere under the data directory or in the log (threats T21, T22).

use std::path::Path;

use anyhow::Result;
use kluis_testkit::SmallInstance;
use reqwest::StatusCode;

use crate::support::{
    Server,
    dicomweb::{find, get, stow},
    dimse::normalized,
    worklist,
};

const NAME: &str = "ZEBRAFISH^QUETZALCOATL";
const ID: &str = "MARKER-7Q4X9-ID";
const PIXELS: &[u8] = b"<<pixel-marker-0f3b9c52>>";

fn marked(number: u32) -> SmallInstance {
    let mut instance = SmallInstance::new(21, 1, 1, number);
    instance.patient_name = NAME.to_owned();
    instance.patient_id = ID.to_owned();
    instance.pixel_mark = PIXELS.to_vec();
    instance.side_pixels = 256;
    instance
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_marked_patient_lies_open() -> Result<()> {
    let mut server = Server::start_with_config("[seal]\nquiet_s = 1\n")?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let files: Vec<Vec<u8>> = (1..=5).map(|number| marked(number).file()).collect();
    assert_eq!(stow(&http, &server, &token, &files).await?.0, StatusCode::OK);
    let import = server.beside().join("import");
    std::fs::create_dir_all(&import)?;
    std::fs::write(import.join("one.dcm"), marked(6).file())?;
    // a broken one too: its error must not tell either
    std::fs::write(import.join("two.dcm"), &marked(7).file()[..2000])?;
    let _ = server.command(&["import", import.to_str().unwrap_or_default()]);

    // an entry of the worklist, one that is refused, and a performed step
    let mut entry = worklist::entry(1, "CT1", "20261123", "0800");
    entry["00100010"]["Value"][0]["Alphabetic"] = NAME.into();
    entry["00100020"]["Value"][0] = ID.into();
    worklist::put(&server, &[entry.clone()])?;
    entry["0020000D"]["Value"][0] = ID.into();
    assert!(worklist::put(&server, &[entry]).is_err());
    let device = server.device("CT1", "worklist")?;
    let mut step = worklist::step(1);
    step["00100010"]["Value"][0]["Alphabetic"] = NAME.into();
    let request = |uid: &str| serde_json::json!({ "operation": "N-CREATE", "class": worklist::PERFORMED_STEP, "instance": uid, "attributes": step });
    let requests = serde_json::json!([request("2.25.1"), request("2.25.1")]);
    let answer = normalized(&server, "CT1", Some((&device, "CT1")), &requests)?;
    assert_eq!((&answer["answers"][0]["status"], &answer["answers"][1]["status"]), (&0.into(), &0x0111.into()));

    // while the node runs, and read back in every form
    let study = marked(1).study;
    for path in ["", "/metadata", "/series"] {
        let response = get(&http, &server, &token, &format!("/dicom-web/studies/{study}{path}"), "*/*").await?;
        assert!(response.status().is_success(), "{path}");
        response.bytes().await?;
    }
    let found = get(&http, &server, &token, "/dicom-web/studies?PatientName=ZEBRAFISH*", "*/*").await?;
    assert!(found.text().await?.contains(ID), "the marker is in the archive");
    scan(&server.data())?;
    scan_file(&server.log())?;
    server.stop()?;
    scan(&server.data())?;
    scan_file(&server.log())
}

fn scan(folder: &Path) -> Result<()> {
    let mut files = 0;
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(&path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(!name.contains("ZEBRAFISH") && !name.contains(ID), "{name}");
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            } else if entry.file_type()?.is_file() {
                scan_file(&entry.path())?;
                files += 1;
            }
        }
    }
    assert!(files > 8, "only {files} files were looked at");
    Ok(())
}

fn scan_file(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path)?;
    for marker in [b"ZEBRAFISH".as_slice(), b"QUETZALCOATL", b"zebrafish", ID.as_bytes(), PIXELS] {
        assert!(find(&bytes, marker).is_none(), "{} holds {}", path.display(), String::from_utf8_lossy(marker));
    }
    Ok(())
}
