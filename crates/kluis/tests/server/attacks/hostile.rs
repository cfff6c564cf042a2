//! Hostile files over each door: a named refusal, memory and time within bounds, the node unharmed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kluis_testkit::{SmallInstance, hostile};
use reqwest::StatusCode;

use crate::support::{Server, dicomweb::stow};

/// Beyond the size of the object.
const MEMORY_ALLOWED: u64 = 64 << 20;
const TIME_ALLOWED: Duration = Duration::from_secs(2);

/// The most memory that the process ever had, in bytes.
fn peak(server: &Server) -> Result<u64> {
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
    let before = peak(&server)?;
    let output = crate::support::kluis(&server.data(), &["import", folder.to_str().context("path")?, "--json"])?;
    assert_eq!(output.status.code(), Some(1), "files failed");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(report["stored"], 1, "{report}");
    let failed = report["failed"].as_array().context("failed")?;
    assert_eq!(failed.len(), inputs.len(), "{report}");
    for failure in failed {
        let sentence = failure["error"].as_str().unwrap_or_default();
        assert!(sentence.len() > 10, "no sentence for {failure}");
    }
    assert!(peak(&server)?.saturating_sub(before) < 4 * (biggest + MEMORY_ALLOWED));
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

async fn still_serves(server: &Server, http: &reqwest::Client, token: &str) -> Result<()> {
    let (status, answer) = stow(http, server, token, &[SmallInstance::new(1, 9, 1, 1).file()]).await?;
    assert_eq!(status, StatusCode::OK, "{answer}");
    Ok(())
}
