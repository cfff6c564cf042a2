//! Hostile files over each door: a named refusal, memory and time within bounds, the node unharmed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kluis_testkit::{SmallInstance, hostile, instance::CT_IMAGE, part10};
use reqwest::StatusCode;

use crate::support::{
    Server,
    dicomweb::{find, stow},
    dimse::{Listed, send},
};

/// Beyond the size of the object.
const MEMORY_ALLOWED: u64 = 64 << 20;
const TIME_ALLOWED: Duration = Duration::from_secs(2);

/// Forgets the most memory that the process had: it counts from what it has now.
pub(super) fn forget_peak(server: &Server) -> Result<()> {
    Ok(std::fs::write(format!("/proc/{}/clear_refs", server.pid()?), "5")?)
}

/// The most memory that the process had since [`forget_peak`], in bytes.
pub(super) fn peak(server: &Server) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()?))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib << 10)
}

#[tokio::test]
async fn stow_refuses_each_by_name_within_bounds() -> Result<()> {
    let server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    stow(&http, &server, &token, &[SmallInstance::new(1, 1, 1, 1).file()]).await?;
    for input in hostile::refused() {
        let size = input.bytes.len() as u64;
        forget_peak(&server)?;
        let before = peak(&server)?;
        let begun = Instant::now();
        let (status, answer) = stow(&http, &server, &token, std::slice::from_ref(&input.bytes)).await?;
        assert!(begun.elapsed() < TIME_ALLOWED, "{}: {:?}", input.name, begun.elapsed());
        assert!(
            matches!(status, StatusCode::CONFLICT | StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE),
            "{}: {status} {answer}",
            input.name
        );
        let after = peak(&server)?;
        assert!(after.saturating_sub(before) < size + MEMORY_ALLOWED, "{}: {before} -> {after}", input.name);
    }
    still_serves(&server, &http, &token).await
}

#[tokio::test]
async fn import_reports_each_by_name_and_goes_on() -> Result<()> {
    let server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let folder = server.beside().join("hostile");
    std::fs::create_dir_all(&folder)?;
    let inputs = hostile::refused();
    for (number, input) in inputs.iter().enumerate() {
        std::fs::write(folder.join(format!("{number:03}-{}", input.name)), &input.bytes)?;
    }
    let good = SmallInstance::new(1, 3, 1, 1);
    std::fs::write(folder.join("good.dcm"), good.file())?;
    let biggest = inputs.iter().map(|input| input.bytes.len()).max().unwrap_or_default() as u64;
    forget_peak(&server)?;
    let before = peak(&server)?;
    let begun = Instant::now();
    let output = crate::support::kluis(&server.data(), &["import", folder.to_str().context("path")?, "--json"])?;
    // a guard against one that hangs: all of some fifty files take well under a second on a quiet machine
    assert!(begun.elapsed() < TIME_ALLOWED * 5, "{:?}", begun.elapsed());
    assert_eq!(output.status.code(), Some(1), "files failed");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(report["stored"], 1, "{report}");
    let failed = report["failed"].as_array().context("failed")?;
    assert_eq!(failed.len(), inputs.len(), "{report}");
    for failure in failed {
        let sentence = failure["error"].as_str().unwrap_or_default();
        assert!(sentence.len() > 10, "no sentence for {failure}");
    }
    // four files are on their way at once
    assert!(peak(&server)?.saturating_sub(before) < 4 * biggest + MEMORY_ALLOWED);
    still_serves(&server, &http, &token).await
}

#[tokio::test]
async fn what_devices_write_wrong_is_repaired_without_touching_a_byte() -> Result<()> {
    let server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    for (input, data_set) in hostile::repaired() {
        let (status, answer) = stow(&http, &server, &token, std::slice::from_ref(&input.bytes)).await?;
        assert_eq!(status, StatusCode::OK, "{}: {answer}", input.name);
        let study = answer["00081190"]["Value"][0].as_str().context("no retrieve URL")?.to_owned();
        let path = study.trim_start_matches(&server.https).to_owned();
        let files = crate::support::dicomweb::retrieve(&http, &server, &token, &path).await?;
        assert!(crate::support::dicomweb::data_set(&files[0]) == data_set, "{}", input.name);
    }
    Ok(())
}

/// The same inputs as data sets over C-STORE: a failure status for each, and the association goes on.
#[tokio::test(flavor = "multi_thread")]
async fn b12_c_store_refuses_each_and_the_association_goes_on() -> Result<()> {
    let server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let device = server.device("SENDER", "store")?;
    let folder = server.beside().join("hostile");
    std::fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    let mut biggest = 0;
    for (number, input) in hostile::refused().iter().enumerate() {
        let transfer_syntax = transfer_syntax_of(&input.bytes);
        // a syntax that nobody knows is not negotiated, and nothing at all cannot be sent
        if transfer_syntax.ends_with(".999") || input.bytes.is_empty() {
            continue;
        }
        let path = folder.join(format!("{number:03}-{}.dcm", input.name));
        let data_set = data_set_of(&input.bytes);
        biggest = biggest.max(data_set.len() as u64);
        std::fs::write(&path, part10::file_around(data_set, CT_IMAGE, "1.2.3.4", &transfer_syntax))?;
        files.push(Listed { path: &path, sop_class: CT_IMAGE, transfer_syntax: &transfer_syntax }.to_json());
    }
    let list = server.beside().join("hostile.json");
    std::fs::write(&list, serde_json::to_vec(&files)?)?;
    forget_peak(&server)?;
    let before = peak(&server)?;
    let answer = send("dimse.py", &server, "SENDER", Some((&device, "SENDER")), &list)?.answer;
    assert!(answer["error"].is_null() && answer["refused"] == serde_json::json!([]), "{answer}");
    assert_eq!(answer["stored"], 0, "{answer}");
    let failed = answer["failed"].as_array().context("failed")?;
    assert_eq!(failed.len(), files.len(), "{answer}");
    for failure in failed {
        let status = failure["status"].as_u64().unwrap_or_default();
        // A7xx: beyond a limit; A9xx: not what it says; Cxxx: not understood (PS3.4 B.2.3)
        assert!(matches!(status >> 8, 0xA7 | 0xA9) || status >> 12 == 0xC, "{failure}");
    }
    assert!(answer["slowest_s"].as_f64().context("slowest")? < TIME_ALLOWED.as_secs_f64(), "{answer}");
    assert!(peak(&server)?.saturating_sub(before) < biggest + MEMORY_ALLOWED);
    still_serves(&server, &http, &token).await
}

/// (0002,0010) as it stands in the file; explicit little endian where there is none.
fn transfer_syntax_of(file: &[u8]) -> String {
    let head = &file[..file.len().min(1_000)];
    let found = find(head, b"\x02\x00\x10\x00UI").and_then(|at| {
        let length = usize::from(u16::from_le_bytes([*head.get(at + 6)?, *head.get(at + 7)?]));
        std::str::from_utf8(head.get(at + 8..at + 8 + length)?).ok()
    });
    let text = found.map_or("", |text| text.trim_end_matches('\0'));
    if text.is_empty() { part10::EXPLICIT_VR_LITTLE_ENDIAN.to_owned() } else { text.to_owned() }
}

/// What stands behind the file meta group; everything where there is none.
fn data_set_of(file: &[u8]) -> &[u8] {
    let behind = || {
        let length = u32::from_le_bytes(file.get(140..144)?.try_into().ok()?) as usize;
        (file.get(128..132)? == b"DICM").then(|| file.get(144 + length..))?
    };
    behind().filter(|data_set| !data_set.is_empty()).unwrap_or(file)
}

async fn still_serves(server: &Server, http: &reqwest::Client, token: &str) -> Result<()> {
    let (status, answer) = stow(http, server, token, &[SmallInstance::new(1, 9, 1, 1).file()]).await?;
    assert_eq!(status, StatusCode::OK, "{answer}");
    Ok(())
}
