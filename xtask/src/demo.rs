//! `cargo xtask demo`: from a fresh clone to the sign-in link.

use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    command::{self, cargo},
    tools, viewer,
};

/// Prepares, builds, and becomes `kluis demo`, so that signals reach it. Returns only on failure.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    tools::install_for_building()?;
    viewer::package(root)?;
    command::run(cargo(root).args(["build", "--package", "kluis", "--bin", "kluis"]))?;
    let kluis = target(root).join("debug/kluis");
    let error = Command::new(kluis).arg("demo").arg("--viewer").arg(viewer::folder(root)).args(arguments).exec();
    Err(error).context("kluis cannot be started")
}

/// Where cargo builds.
pub fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
