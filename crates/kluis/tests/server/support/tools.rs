//! The foreign programs that tests drive. A missing one fails the test; it is never passed over.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where `cargo xtask tools` installed.
pub fn folder() -> PathBuf {
    std::env::var_os("KLUIS_TOOLS").map_or_else(|| root().join(".tools"), PathBuf::from)
}

/// A program on the PATH.
pub fn program(name: &str) -> Result<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is missing; run `cargo xtask tools`"))
}

/// Runs a Python script of `tests/foreign` in the prepared environment; its last line of output is one JSON document.
pub fn python(script: &str, arguments: &[&str]) -> Result<Value> {
    let python = folder().join("venv/bin/python");
    if !python.exists() {
        bail!("{} is missing; run `cargo xtask tools`", python.display());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(script);
    last_json(&run(Command::new(python).arg(script).args(arguments))?)
}

/// Runs a node script of `tests/foreign`; its last line of output is one JSON document.
pub fn node(script: &str, arguments: &[&str]) -> Result<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(script);
    let mut command = Command::new(program("node")?);
    last_json(&run(command.arg(script).args(arguments).env("KLUIS_TOOLS", folder()))?)
}

/// Runs a program to its end; the output whatever its exit code.
pub fn run(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))
}

/// Both outputs as text.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn last_json(output: &Output) -> Result<Value> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().unwrap_or_default();
    let document = serde_json::from_str(last).with_context(|| format!("no JSON: {}", text(output)))?;
    if !output.status.success() {
        bail!("exit {:?}: {}", output.status.code(), text(output));
    }
    Ok(document)
}
