//! A person opens the demo: the link signs in, the study shows in OHIF, the canvas is not blank.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    pause,
    tools::{folder, node, root},
};

struct Demo {
    child: Child,
    link: String,
    _data: TempDir,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn viewer() -> Result<PathBuf> {
    let path = std::env::var_os("KLUIS_VIEWER").map_or_else(|| root().join("target/viewer"), PathBuf::from);
    if !path.join("index.html").exists() {
        bail!("{} holds no viewer; run `cargo xtask viewer`", path.display());
    }
    Ok(path)
}

/// `kluis demo` on free ports, once it has printed its link.
fn demo() -> Result<(Demo, PathBuf)> {
    let data = TempDir::new()?;
    let path = data.path().join("data");
    let printed = data.path().join("printed");
    let child = Command::new(env!("CARGO_BIN_EXE_kluis"))
        .args(["demo", "--no-browser", "--json", "--https", "127.0.0.1:0", "--dicom-tls", "127.0.0.1:0", "--viewer"])
        .arg(viewer()?)
        .env("KLUIS_DATA", &path)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&printed)?)
        .stderr(std::fs::File::create(data.path().join("log"))?)
        .spawn()?;
    let mut demo = Demo { child, link: String::new(), _data: data };
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(&printed)?;
        if let Ok(document) = serde_json::from_str::<Value>(&text) {
            demo.link = document["sign_in"].as_str().with_context(|| format!("no link: {text}"))?.to_owned();
            return Ok((demo, path));
        }
        if let Some(status) = demo.child.try_wait()? {
            bail!("the demo ended with {status}");
        }
        if begun.elapsed() > Duration::from_secs(120) {
            bail!("the demo printed no link");
        }
        pause();
    }
}

#[test]
fn demo_link_leads_to_a_picture_in_the_viewer() -> Result<()> {
    let (demo, data) = demo()?;
    let studies = crate::support::json(&crate::support::kluis(&data, &["study", "list", "--json"])?)?;
    let ct = studies
        .as_array()
        .context("list")?
        .iter()
        .find(|study| study["instance_count"] == "120")
        .with_context(|| format!("no CT study of 120 slices: {studies}"))?;
    let shots = root().join("target").join("screenshots");
    std::fs::create_dir_all(&shots)?;
    let shot = |name: &str| -> String { Path::new(&shots).join(name).display().to_string() };
    let answer = node(
        "viewer.mjs",
        &[
            "--tools",
            folder().to_str().context("path")?,
            "--link",
            &demo.link,
            "--study",
            ct["study"].as_str().context("study")?,
            "--out",
            &shot("viewer.png"),
            "--list",
            &shot("studies.png"),
        ],
    )?;
    assert!(answer["grey"].as_u64().unwrap_or_default() >= 64, "{answer}");
    Ok(())
}
