//! The viewer: OHIF's published package, verified against `viewer/ohif.lock` and made servable by `viewer/package.mjs`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    command::{read, run},
    stamp::Stamp,
    tools,
};

/// Where the packaged viewer stands.
pub fn folder(root: &Path) -> PathBuf {
    root.join("target/viewer")
}

/// Makes the viewer, unless it was made from the same inputs before.
pub fn package(root: &Path) -> Result<()> {
    let lock = root.join("viewer/ohif.lock");
    let script = root.join("viewer/package.mjs");
    let tools_lock = root.join("viewer/package-lock.json");
    let stamp = Stamp::new(root.join("target/viewer.stamp"), "1", &[&lock, &script, &tools_lock])?;
    if stamp.is_fresh() && folder(root).join("index.html").is_file() {
        return Ok(());
    }
    tools::install_for_building()?;
    tools::npm(root)?;
    let tarball = fetch(root, &lock)?;
    let fresh = root.join("target/viewer.tmp");
    eprintln!("packaging the viewer");
    let packaged = run(Command::new("node")
        .arg(&script)
        .arg("--lock")
        .arg(&lock)
        .arg("--tarball")
        .arg(&tarball)
        .arg("--modules")
        .arg(tools::folder(root).join("npm"))
        .arg("--out")
        .arg(&fresh));
    if let Err(error) = packaged {
        // a damaged download must not stand in the way of the next try
        fs::remove_file(&tarball)?;
        return Err(error.context("the viewer cannot be packaged"));
    }
    swap_in(root, &fresh)?;
    stamp.set()
}

/// The package as a file in `.tools/cache`, downloaded where it is not there yet. It is verified by the script.
fn fetch(root: &Path, lock: &Path) -> Result<PathBuf> {
    let pinned: Value = serde_json::from_str(&fs::read_to_string(lock)?).context("viewer/ohif.lock is no JSON")?;
    let field = |name: &str| {
        pinned.get(name).and_then(Value::as_str).with_context(|| format!("viewer/ohif.lock has no `{name}`"))
    };
    let (package, version) = (field("package")?, field("version")?);
    let cache = tools::folder(root).join("cache");
    let file = cache.join(format!("{}-{version}.tgz", package.trim_start_matches('@').replace('/', "-")));
    if !file.is_file() {
        fs::create_dir_all(&cache)?;
        eprintln!("downloading {package} {version}");
        read(
            Command::new("npm")
                .args(["pack", "--silent", "--ignore-scripts", &format!("{package}@{version}"), "--pack-destination"])
                .arg(&cache)
                .current_dir(&cache),
        )?;
    }
    Ok(file)
}

/// Puts the new folder in the place of the old one, so that a running node sees either.
fn swap_in(root: &Path, fresh: &Path) -> Result<()> {
    let old = root.join("target/viewer.old");
    remove(&old)?;
    if folder(root).exists() {
        fs::rename(folder(root), &old)?;
    }
    fs::rename(fresh, folder(root))?;
    remove(&old)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}
