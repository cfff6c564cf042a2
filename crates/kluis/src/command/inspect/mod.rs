//! `kluis inspect`: words for people; what is looked at, and how, is said in `kluis-inspect`.

mod compare;
mod import;
mod progress;
mod scope;

use std::path::Path;

use anyhow::Result;
use kluis_inspect::{
    InspectError, report,
    run::{self, Options},
    scan::{Scan, Severity},
    scope::read_key,
    stop::{Stop, StopReason},
};
use kluis_ledger::VerifierKey;
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{
    DONE, FAILED, FOUND, WRONG_USE,
    cli::{InspectCommand, InspectRunArgs},
    command::Output,
    say::say,
};

/// Lines that wait to be shown; more are left out, not waited for.
const EVENTS: usize = 1_024;

/// Runs a command of the inspector; the exit code.
pub(crate) async fn run(command: &InspectCommand, output: &Output) -> Result<u8> {
    let outcome = match command {
        InspectCommand::Run(args) => inspect(args, output).await,
        InspectCommand::Import(args) => import::run(args, output),
        InspectCommand::Compare(args) => compare::run(args, output),
        InspectCommand::Scope(command) => scope::run(command, output).map(|()| DONE),
    };
    match outcome {
        Err(error) if error.is_wrong_use() => {
            refused(&error, output);
            Ok(WRONG_USE)
        }
        outcome => Ok(outcome?),
    }
}

fn refused(error: &InspectError, output: &Output) {
    if output.is_json() {
        say!("{}", json!({ "error": error.to_string() }));
    } else {
        eprintln!("error: {error}");
    }
}

async fn inspect(args: &InspectRunArgs, output: &Output) -> Result<u8, InspectError> {
    let options = Options {
        scope: args.scope.clone(),
        key: key(args.key.as_deref())?,
        out: args.out.clone(),
        only: args.only.clone(),
        port: args.port,
    };
    let stop = Stop::default();
    let signals = tokio::spawn(stop_on_signal(stop.clone()));
    let (events, heard) = mpsc::channel(EVENTS);
    let shown = tokio::spawn(progress::show(heard, output.is_json()));
    let scan = run::run(&options, stop, events).await;
    signals.abort();
    let _ = shown.await;
    let scan = scan?;
    report::write_all(&scan, &args.out)?;
    tell(&scan, &args.out, output);
    Ok(exit_code(&scan))
}

/// Ctrl-C or SIGTERM end the run as the file STOP does.
async fn stop_on_signal(stop: Stop) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.now(StopReason::Signal);
}

/// A key as text, or the file that holds it.
fn key(text: Option<&str>) -> Result<Option<VerifierKey>, InspectError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(key) => Ok(Some(key)),
        Err(_) => read_key(Path::new(text)).map(Some),
    }
}

fn exit_code(scan: &Scan) -> u8 {
    let is_found = scan.findings().any(|(_, finding)| finding.severity >= Severity::Low);
    match (is_found, scan.stopped) {
        (true, _) => FOUND,
        (false, None) => DONE,
        // nothing found so far is not nothing
        (false, Some(_)) => FAILED,
    }
}

fn tell(scan: &Scan, out: &Path, output: &Output) {
    let count = |least: Severity| scan.findings().filter(|(_, finding)| finding.severity == least).count();
    let document = json!({
        "out": out,
        "grade": scan.grade(),
        "hosts": scan.coverage.hosts,
        "assets": scan.coverage.alive,
        "refused": scan.coverage.refused,
        "stopped": scan.stopped,
        "critical": count(Severity::Critical),
        "high": count(Severity::High),
        "medium": count(Severity::Medium),
        "low": count(Severity::Low),
        "probes": scan.probes.as_ref().map(|probes| probes.size),
    });
    output.print(&document, || {
        let coverage = scan.coverage;
        say!("{} hosts looked at, {} answered, {} refused", coverage.hosts, coverage.alive, coverage.refused);
        say!(
            "{} critical, {} high, {} medium, {} low",
            count(Severity::Critical),
            count(Severity::High),
            count(Severity::Medium),
            count(Severity::Low)
        );
        if let Some(reason) = scan.stopped {
            say!("stopped before the end ({reason:?}); the same command goes on");
        }
        say!("grade {:?}; everything stands in {}", scan.grade(), out.display());
    });
}
