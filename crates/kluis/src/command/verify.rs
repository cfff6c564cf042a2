//! `kluis verify`

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use kluis_ledger::LedgerError;
use serde_json::{Value, json};

use crate::{
    cli::VerifyArgs,
    client::Client,
    command::{Output, checkpoint::SUFFIX, text_of},
    data_dir::DataDir,
    node,
    say::say,
};

/// Saved checkpoints that are held against the logs at most.
const NOTES_MAX: usize = 500;

/// The longest file that is taken for a checkpoint.
const NOTE_BYTES_MAX: u64 = 16 << 10;

/// Compares the stores; `false` where they disagree.
pub(crate) async fn run(client: &Client, args: &VerifyArgs, output: &Output) -> Result<bool> {
    let since = saved(&args.since)?;
    let body = json!({ "since": since });
    let report = client.json(Method::POST, &format!("/control/verify?full={}", args.full), Some(&body)).await?;
    let findings = report.get("findings").and_then(Value::as_array).cloned().unwrap_or_default();
    output.print(&report, || {
        let number = |key: &str| report.get(key).and_then(Value::as_u64).unwrap_or_default();
        say!(
            "{} objects, {} leaves, {} instances in the index{}",
            number("objects"),
            number("object_leaves"),
            number("instances"),
            if args.full { format!(", {} bytes read", number("bytes_read")) } else { String::new() },
        );
        if number("renewed_tiles") > 0 {
            say!("{} tiles of the logs were written anew at the start", number("renewed_tiles"));
        }
        if number("torn") > 0 {
            say!("{} torn writes stand in the packs, as earlier starts noted", number("torn"));
        }
        for finding in &findings {
            say!("{}: {} ({})", text_of(finding, "store"), text_of(finding, "what"), text_of(finding, "which"));
        }
        if number("findings_not_listed") > 0 {
            say!("and {} more", number("findings_not_listed"));
        }
        if findings.is_empty() {
            say!("vault, index and ledger agree");
            if !since.is_empty() {
                say!("both logs have grown from the {} saved checkpoints", since.len());
            }
        }
    });
    Ok(findings.is_empty())
}

/// A log that is not opened because it is not what was signed is a finding. `false` for every other error.
pub(crate) fn report_refusal(dir: &DataDir, error: &anyhow::Error, output: &Output) -> bool {
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<LedgerError>());
    let Some(cause) = cause.filter(|cause| !matches!(cause, LedgerError::Io { .. } | LedgerError::Locked)) else {
        return false;
    };
    let what = format!("{error:#}");
    let log = if what.contains("audit") { "audit" } else { "objects" };
    let entry = match cause {
        LedgerError::Damaged { index, .. } | LedgerError::Contradiction { index } => Some(*index),
        LedgerError::Truncated { entries, .. } => Some(*entries),
        _ => None,
    };
    let is_contradicted = matches!(cause, LedgerError::Contradiction { .. } | LedgerError::Truncated { .. });
    let departure = if is_contradicted { node::departure(dir, log) } else { None };
    let entry = departure.as_ref().map_or(entry, |departure| Some(departure.start));
    let before = departure.as_ref().map(|departure| departure.end);
    let finding =
        json!({ "store": "ledger", "what": what, "which": log, "log": log, "entry": entry, "before": before });
    output.print(&json!({ "findings": [finding] }), || {
        say!("ledger: {what} ({log})");
        if let Some(departure) = departure {
            say!("the first entry that is another stands from {} on, before {}", departure.start, departure.end);
        }
    });
    true
}

/// The notes in these files and folders, the newest first.
fn saved(paths: &[PathBuf]) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            for entry in fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
                let file = entry.with_context(|| format!("cannot list {}", path.display()))?.path();
                if file.extension().is_some_and(|extension| extension == SUFFIX) {
                    files.push(file);
                }
            }
            ensure!(files.len() > before, "{} holds no checkpoints", path.display());
        } else {
            files.push(path.clone());
        }
    }
    ensure!(files.len() <= NOTES_MAX, "{} checkpoints are more than are looked at at once ({NOTES_MAX})", files.len());
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Result<String> {
    let cannot = || format!("cannot read {}", file.display());
    if fs::metadata(file).with_context(cannot)?.len() > NOTE_BYTES_MAX {
        bail!("{} is too long for a checkpoint", file.display());
    }
    fs::read_to_string(file).with_context(cannot)
}
