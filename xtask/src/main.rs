//! Project tasks, run as `cargo xtask TASK`. May not contain: anything that the product needs at run time.

mod bench;
mod checks;
mod command;
mod demo;
mod fuzz;
mod stamp;
mod tidy;
mod tools;
mod viewer;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};

const TASKS: &str = "\
cargo xtask TASK

  demo [ARGS]   install what is missing, build, and run `kluis demo` with ARGS
  tools         install what the tests need into .tools (Debian packages, Python, npm, cargo tools)
  viewer        package the viewer into target/viewer
  test [ARGS]   tools, viewer, all tests; ARGS go to cargo nextest run
  ci            formatting, lints, tidy, dependencies, tests
  bench [ARGS]  measure Kluis beside DCMTK, Orthanc, nginx and the disk; `bench --help` tells ARGS
  fuzz [ARGS]   [TARGET…] [--runs N | --seconds N] [--json] [--merge]: the fuzz targets, one after another
  hostile [N] [SEED]  N generated inputs (100,000) over C-STORE, STOW-RS and import of a real node
  tidy          the project's own rules: arrows between crates, lengths, banned calls
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let root = root()?;
    match task.as_str() {
        "demo" => demo::run(&root, &rest)?,
        "tools" => tools::install_for_tests(&root)?,
        "viewer" => viewer::package(&root)?,
        "test" => checks::test(&root, &rest)?,
        "ci" => checks::ci(&root)?,
        "bench" => bench::run(&root, &rest)?,
        "fuzz" => fuzz::fuzz(&root, &rest)?,
        "hostile" => fuzz::hostile(&root, &rest)?,
        "tidy" => tidy::run(&root)?,
        _ => {
            eprint!("{TASKS}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder of the workspace.
fn root() -> Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask stands in no workspace")?.to_path_buf())
}
