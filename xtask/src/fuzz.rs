//! `cargo xtask fuzz`: the targets of `fuzz/`, one after another, and what came of each as a table; and the long run of
//! generated inputs against a real node.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::command::{cargo, read, run};

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Coverage counters of LLVM, as libFuzzer reads them. No address sanitizer: our crates forbid unsafe code.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// What is asked for.
#[derive(Debug, Default)]
struct Wish {
    targets: Vec<String>,
    runs: Option<u64>,
    seconds: Option<u64>,
    is_json: bool,
    merges: bool,
}

/// What one target came to.
struct Outcome {
    target: String,
    executions: u64,
    seconds: f64,
    finding: Option<String>,
}

/// Builds the targets and runs those that are named, or all: `[TARGET…] [--runs N | --seconds N] [--merge] [--json]`.
pub fn fuzz(root: &Path, arguments: &[String]) -> Result<()> {
    let mut wish = wish(arguments)?;
    let known = targets(root)?;
    if wish.targets.is_empty() {
        wish.targets.clone_from(&known);
    }
    if let Some(unknown) = wish.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no target {unknown}; there are {}", known.join(", "));
    }
    build(root)?;
    if wish.merges {
        return wish.targets.iter().try_for_each(|target| merge(root, target));
    }
    let mut outcomes = Vec::new();
    for target in &wish.targets {
        outcomes.push(one(root, target, &wish)?);
    }
    report(&outcomes, wish.is_json);
    match outcomes.iter().filter(|outcome| outcome.finding.is_some()).count() {
        0 => Ok(()),
        count => bail!("{count} targets have a finding"),
    }
}

/// The generated inputs against a real node: `[N] [SEED]`; 100,000 of seed 1 where nothing is said.
pub fn hostile(root: &Path, arguments: &[String]) -> Result<()> {
    let number = |place: usize, otherwise: &str| arguments.get(place).map_or(otherwise, String::as_str).to_owned();
    let mut test = cargo(root);
    test.args(["test", "--release", "-p", "kluis", "--test", "server", "generated_inputs", "--", "--nocapture"]);
    run(test.env("KLUIS_HOSTILE_INPUTS", number(0, "100000")).env("KLUIS_HOSTILE_SEED", number(1, "1")))
}

fn wish(arguments: &[String]) -> Result<Wish> {
    let mut wish = Wish::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().and_then(|text| text.parse().ok()).with_context(|| format!("{argument} N"));
        match argument.as_str() {
            "--runs" => wish.runs = Some(number()?),
            "--seconds" => wish.seconds = Some(number()?),
            "--json" => wish.is_json = true,
            "--merge" => wish.merges = true,
            option if option.starts_with('-') => bail!("unknown option {option}"),
            target => wish.targets.push(target.to_owned()),
        }
    }
    Ok(wish)
}

/// The programs in `fuzz/fuzz_targets`.
fn targets(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("fuzz/fuzz_targets"))? {
        names.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn build(root: &Path) -> Result<()> {
    let mut build = cargo(&root.join("fuzz"));
    build.args(["build", "--release", "--locked", "--target", TRIPLE, "--target-dir", "target"]);
    // flags of the caller would be taken instead of ours
    run(build.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_TARGET_DIR").env("RUSTFLAGS", RUSTFLAGS))
}

fn program(root: &Path, target: &str) -> Command {
    let mut program = Command::new(root.join("fuzz/target").join(TRIPLE).join("release").join(target));
    program.current_dir(root.join("fuzz")).stdin(Stdio::null());
    if let Some(dictionary) = dictionary(root, target) {
        program.arg(format!("-dict={}", dictionary.display()));
    }
    program.args(["-rss_limit_mb=2048", "-timeout=5", "-print_final_stats=1"]).arg(format!("-max_len={}", 16 << 10));
    program
}

fn dictionary(root: &Path, target: &str) -> Option<PathBuf> {
    let name = match target {
        "byte_gate" | "dicom_json" | "file_meta" | "frames" | "worklist" => "dicom",
        "association" | "dimse_command" | "negotiation" | "pdu" => "dimse",
        "accept_header" | "multipart" | "qido" | "stow" => "web",
        "export_proof" | "ledger_note" => "ledger",
        _ => return None,
    };
    Some(root.join("fuzz/dictionaries").join(format!("{name}.dict")))
}

/// Runs one target; what it learns is kept in `fuzz/target/learned`, not in the corpus that stands in the repository.
fn one(root: &Path, target: &str, wish: &Wish) -> Result<Outcome> {
    let learned = root.join("fuzz/target/learned").join(target);
    let artifacts = root.join("fuzz/artifacts").join(target);
    fs::create_dir_all(&learned)?;
    fs::create_dir_all(&artifacts)?;
    let mut program = program(root, target);
    program.arg(format!("-artifact_prefix={}/", artifacts.display()));
    match (wish.runs, wish.seconds) {
        (None, None) => program.arg("-max_total_time=60"),
        (runs, seconds) => program
            .args(runs.map(|runs| format!("-runs={runs}")))
            .args(seconds.map(|seconds| format!("-max_total_time={seconds}"))),
    };
    program.arg(&learned).arg(root.join("fuzz/corpus").join(target));
    eprintln!("{target} …");
    let start = Instant::now();
    let output = program.output().with_context(|| format!("{target} cannot be started"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let finding = (!output.status.success()).then(|| finding(&said));
    Ok(Outcome {
        target: target.to_owned(),
        executions: executions(&said),
        seconds: start.elapsed().as_secs_f64(),
        finding,
    })
}

/// `stat::number_of_executed_units: N`, or the number of the last line of progress (`#N …`).
fn executions(said: &str) -> u64 {
    let exact = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let seen = || said.lines().rev().find_map(|line| line.strip_prefix('#')?.split_whitespace().next());
    exact.or_else(seen).and_then(|number| number.trim().parse().ok()).unwrap_or_default()
}

/// What did not hold, and in which file the input is.
fn finding(said: &str) -> String {
    let what = said.lines().skip_while(|line| !line.contains("panicked at")).nth(1).unwrap_or("it ended early");
    let input = said.lines().find_map(|line| line.split_once("Test unit written to ")).map_or("", |(_, path)| path);
    format!("{} {input}", what.trim())
}

/// Takes into the corpus what was learnt and reaches further, smallest first.
fn merge(root: &Path, target: &str) -> Result<()> {
    let corpus = root.join("fuzz/corpus").join(target);
    let learned = root.join("fuzz/target/learned").join(target);
    fs::create_dir_all(&learned)?;
    read(program(root, target).args(["-merge=1"]).arg(&corpus).arg(&learned)).map(drop)
}

fn report(outcomes: &[Outcome], is_json: bool) {
    if is_json {
        let all: Vec<_> = outcomes
            .iter()
            .map(|one| {
                json!({
                    "target": one.target, "executions": one.executions, "seconds": one.seconds, "finding": one.finding,
                })
            })
            .collect();
        println!("{}", json!(all));
        return;
    }
    println!("{:<16}{:>14}{:>10}  finding", "target", "executions", "seconds");
    for Outcome { target, executions, seconds, finding } in outcomes {
        println!("{target:<16}{executions:>14}{seconds:>10.0}  {}", finding.as_deref().unwrap_or("none"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read() {
        let wish = |text: &str| wish(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let asked = wish("pdu --runs 10 qido --json").unwrap();
        assert_eq!(
            (asked.targets, asked.runs, asked.is_json),
            (vec!["pdu".to_owned(), "qido".to_owned()], Some(10), true)
        );
        assert!(wish("--runs").is_err() && wish("--runs many").is_err() && wish("--fast").is_err());
    }

    #[test]
    fn what_libfuzzer_says_is_read() {
        let clean = "#2\tINITED cov: 3\n#65536\tpulse\nstat::number_of_executed_units: 70000\n";
        assert_eq!(executions(clean), 70_000);
        assert_eq!(executions("#2\tINITED\n#4941\tNEW cov: 618\n"), 4_941);
        assert_eq!(executions(""), 0);
        let broken =
            "#9\tNEW\nthread '<unnamed>' panicked at a.rs:1:2:\nslices differ\nTest unit written to fuzz/artifacts/x\n";
        assert_eq!(finding(broken), "slices differ fuzz/artifacts/x");
    }
}
