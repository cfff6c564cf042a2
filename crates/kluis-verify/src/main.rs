//! The `kluis-verify` command.
//!
//! Exit codes: 0 intact by the key that was given; 1 something is not intact; 2 wrong use, or nothing that can be looked at;
//! 3 intact, but only by the key in the proof itself.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use kluis_ledger::VerifierKey;
use kluis_verify::{Trust, limits, verify_study};

/// Wrong use.
const WRONG_USE: u8 = 2;

/// Check exported studies and their proofs, offline.
#[derive(Debug, Parser)]
#[command(name = "kluis-verify", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a study that `kluis export --proof` wrote: INTACT, ALTERED, MISSING, EXTRA or UNPROVEN per object.
    Study(StudyArgs),
}

#[derive(Debug, Args)]
struct StudyArgs {
    /// The folder or ZIP file.
    path: PathBuf,
    /// The verifier key of the archive's objects log, or a file with it, had by another way than the export itself.
    /// Without it the result is worth no more than the key in the proof (exit code 3).
    #[arg(long, value_name = "VKEY|FILE")]
    key: Option<String>,
    /// A signed checkpoint of the log, had by another way: the proof must not contradict it.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Print one JSON document instead of text.
    #[arg(long)]
    json: bool,
    /// Write a report of one page to this new file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Command::Study(args) = Cli::parse().command;
    match study(&args) {
        Ok(code) => ExitCode::from(code),
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::from(WRONG_USE)
        }
    }
}

fn study(args: &StudyArgs) -> Result<u8, String> {
    let key = args.key.as_deref().map(key).transpose()?;
    let checkpoint = args.checkpoint.as_deref().map(|path| small_file(path, limits::NOTE_BYTES)).transpose()?;
    let report = verify_study(&args.path, &Trust { key, checkpoint }).map_err(|error| error.to_string())?;
    if let Some(path) = &args.html {
        let mut file = File::create_new(path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        file.write_all(report.html().as_bytes())
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    let text = if args.json {
        let document = serde_json::to_string(&report).map_err(|error| error.to_string())?;
        format!("{document}\n")
    } else {
        report.text()
    };
    // where the reader has gone, the exit code still says what was found
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(report.conclusion.exit_code())
}

/// A key as text, or the file that holds it.
fn key(text: &str) -> Result<VerifierKey, String> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    if fs::metadata(path).is_err() {
        return Err(format!("{text} is neither a verifier key nor a file"));
    }
    let held = small_file(path, limits::KEY_BYTES)?;
    held.trim().parse().map_err(|error| format!("{text}: {error}"))
}

fn small_file(path: &Path, most: usize) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(most as u64 + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() > most {
        return Err(format!("{} is too long", path.display()));
    }
    Ok(text)
}
