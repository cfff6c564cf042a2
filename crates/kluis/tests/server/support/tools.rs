//! The foreign programs that tests drive. A missing one fails the test; it is never passed over.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
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

/// What a script answered, and whether it found all well.
#[derive(Debug)]
pub struct ForeignRun {
    pub answer: Value,
    pub is_well: bool,
}

/// Runs a Python script of `tests/foreign` that must find all well; the JSON document of its last line.
pub fn python(script: &str, arguments: &[&str]) -> Result<Value> {
    let run = python_run(script, arguments)?;
    ensure!(run.is_well, "{script}: {}", run.answer);
    Ok(run.answer)
}

/// Runs a Python script of `tests/foreign` in the prepared environment.
pub fn python_run(script: &str, arguments: &[&str]) -> Result<ForeignRun> {
    let python = folder().join("venv/bin/python");
    ensure!(python.exists(), "{} is missing; run `cargo xtask tools`", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(script);
    let output = run(Command::new(python).arg(script).args(arguments))?;
    Ok(ForeignRun { answer: last_json(&output)?, is_well: output.status.success() })
}

/// Runs a node script of `tests/foreign`; its last line of output is one JSON document.
pub fn node(script: &str, arguments: &[&str]) -> Result<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(script);
    let mut command = Command::new(program("node")?);
    let output = run(command.arg(script).args(arguments).env("KLUIS_TOOLS", folder()))?;
    let answer = last_json(&output)?;
    ensure!(output.status.success(), "{answer}");
    Ok(answer)
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
    serde_json::from_str(last).with_context(|| format!("no JSON: {}", text(output)))
}
