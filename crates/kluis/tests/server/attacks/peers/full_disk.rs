//! A full disk: nothing new is taken, all that is there can be read, nothing acknowledged is lost, and it goes on by
//! itself when there is room again.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use kluis_testkit::SmallInstance;
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    GOOD, Identity,
    scu::{Association, slices},
};
use crate::support::{
    Server,
    dicomweb::{get, retrieve, stow},
};

const OUT_OF_RESOURCES: u16 = 0xA700;

/// The floor alone, on any disk: one so high that it is always reached.
#[tokio::test(flavor = "multi_thread")]
async fn t14_below_the_floor_nothing_is_taken_and_all_is_read() -> Result<()> {
    let mut server = Server::start()?;
    let device = server.device("GOOD", "store")?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let known = SmallInstance::new(1, 1, 1, 1);
    let (status, answer) = stow(&http, &server, &token, &[known.file()]).await?;
    ensure!(status == StatusCode::OK, "{answer}");
    server.stop()?;
    std::fs::write(server.data().join("kluis.toml"), format!("[limits]\nfree_bytes = {}\n", i64::MAX))?;
    server.restart()?;

    let good = Identity::device(&server, &device, "GOOD")?;
    let mut association = Association::open(&good, GOOD, server.dicom_tls.parse()?, "GOOD").await?;
    for (instance, data_set) in slices(3, 2, 64) {
        ensure!(association.store(&instance, &data_set).await? == OUT_OF_RESOURCES);
    }
    ensure!(association.echo().await? == 0, "the association goes on");
    association.release().await?;
    let refused = http
        .post(format!("{}/dicom-web/studies", server.https))
        .bearer_auth(&token)
        .header("content-type", "multipart/related; type=\"application/dicom\"; boundary=kluis-test-boundary")
        .body(crate::support::dicomweb::multipart(&[SmallInstance::new(1, 2, 1, 1).file()]))
        .send()
        .await?;
    ensure!(refused.status() == StatusCode::INSUFFICIENT_STORAGE, "{}", refused.status());
    ensure!(refused.headers().contains_key("retry-after"), "no Retry-After");
    let file = server.beside().join("new.dcm");
    std::fs::write(&file, SmallInstance::new(1, 3, 1, 1).file())?;
    let import = crate::support::kluis(&server.data(), &["import", file.to_str().context("path")?, "--json"])?;
    let report: Value = serde_json::from_slice(&import.stdout)?;
    ensure!(report["stored"] == 0 && import.status.code() == Some(1), "{report}");
    let files = retrieve(&http, &server, &token, &format!("/dicom-web/studies/{}", known.study)).await?;
    ensure!(files.len() == 1);
    Ok(())
}

/// A disk that is really full, by our doing and by another program's.
#[tokio::test(flavor = "multi_thread")]
async fn t14_on_a_full_disk_reads_go_on_and_stores_do_when_there_is_room_again() -> Result<()> {
    let disk = SmallDisk::mount(192)?;
    let server = Server::start_in(disk.place.path(), "[limits]\nfree_bytes = 16777216\n")?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let good = Identity::device(&server, &server.device("GOOD", "store")?, "GOOD")?;
    let ballast = disk.place.path().join("ballast");
    fill(&ballast, 40 << 20)?;

    // by our own doing: up to the floor
    let mut association = Association::open(&good, GOOD, server.dicom_tls.parse()?, "GOOD").await?;
    let mut rest = slices(5, 400, 724).into_iter();
    let mut kept = 0;
    for (instance, data_set) in rest.by_ref() {
        match association.store(&instance, &data_set).await? {
            0 => kept += 1,
            OUT_OF_RESOURCES => break,
            other => anyhow::bail!("{other:04X}H"),
        }
    }
    ensure!(kept > 10, "{kept} objects");
    reads_go_on(&server, &http, &token, kept).await.context("at the floor")?;

    // by another program's: to the last byte; long enough for checkpoints and tallies to fail
    let filler = disk.place.path().join("filler");
    fill(&filler, u64::MAX)?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(7) {
        // a new token each time has its own entries in the trail
        reads_go_on(&server, &http, &token, kept).await.context("on a full disk")?;
        let (instance, data_set) = rest.next().context("no slice left")?;
        let status = association.store(&instance, &data_set).await?;
        ensure!(status == OUT_OF_RESOURCES, "{status:04X}H");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // room again: it goes on without a restart, and nothing is lost
    std::fs::remove_file(filler)?;
    std::fs::remove_file(ballast)?;
    for (instance, data_set) in rest.by_ref().take(10) {
        let status = association.store(&instance, &data_set).await?;
        ensure!(status == 0, "{status:04X}H");
        kept += 1;
    }
    association.release().await?;
    reads_go_on(&server, &http, &token, kept).await.context("with room again")?;
    // fails where anything is found
    server.command(&["verify"])?;
    Ok(())
}

/// A search finds all that was acknowledged, and an object comes back whole.
async fn reads_go_on(server: &Server, http: &reqwest::Client, token: &str, kept: usize) -> Result<()> {
    let found = get(http, server, token, "/dicom-web/instances?limit=1000", "application/dicom+json").await?;
    ensure!(found.status() == StatusCode::OK, "search: {}", found.status());
    let found: Vec<Value> = found.json().await?;
    ensure!(found.len() == kept, "{} of {kept} objects", found.len());
    let study = found[0]["0020000D"]["Value"][0].as_str().context("study")?;
    let series = found[0]["0020000E"]["Value"][0].as_str().context("series")?;
    let instance = found[0]["00080018"]["Value"][0].as_str().context("instance")?;
    let path = format!("/dicom-web/studies/{study}/series/{series}/instances/{instance}");
    let files = retrieve(http, server, token, &path).await?;
    ensure!(files.len() == 1 && files[0].len() > 500_000, "{} files", files.len());
    Ok(())
}

/// A file of so many bytes, or of all that the disk has.
fn fill(path: &Path, bytes: u64) -> Result<()> {
    let mut file = File::create(path)?;
    let (mut left, mut piece) = (bytes, 1_u64 << 20);
    while left > 0 && piece > 0 {
        let length = usize::try_from(left.min(piece))?;
        match file.write(&vec![0; length]) {
            Ok(written) => left -= written as u64,
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => piece /= 2,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A file system of its own in memory; gone when dropped.
struct SmallDisk {
    place: TempDir,
    sudo: bool,
}

impl SmallDisk {
    /// Fails where this machine does not permit it.
    fn mount(mebibytes: u32) -> Result<Self> {
        for sudo in [false, true] {
            let disk = Self { place: TempDir::new()?, sudo };
            let size = format!("size={mebibytes}m,mode=0777");
            let place = disk.place.path().to_str().context("path")?.to_owned();
            if disk.run(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs", &place]) {
                return Ok(disk);
            }
        }
        bail!("tests must be able to mount a tmpfs: run them as root, or let `sudo -n mount` and `sudo -n umount` work")
    }

    fn run(&self, words: &[&str]) -> bool {
        let words: Vec<&str> = if self.sudo { [&["sudo", "-n"], words].concat() } else { words.to_vec() };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Some(place) = self.place.path().to_str() {
            self.run(&["umount", "-l", place]);
        }
    }
}
