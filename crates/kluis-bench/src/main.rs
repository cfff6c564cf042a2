//! `kluis-bench`: measures Kluis beside the systems that people know, in one run. Started by `cargo xtask bench`, which
//! installs the others and builds ours.
//!
//! May not contain: anything that the product needs.

mod cases;
mod dimse;
mod http;
mod load;
mod peers;
mod process;
mod reading;
mod site;
mod slices;
mod stream;
mod usage;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::Parser;

use crate::{
    cases::{Book, CASES},
    site::{Plan, Site},
};

/// Measures Kluis beside other systems, in one run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", max_term_width = 110)]
struct Arguments {
    /// Only these cases; may be given several times.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// How often each is measured; medians are told.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// One round of fewer and shorter runs: whether it works, not how quick it is.
    #[arg(long)]
    quick: bool,
    /// Print one JSON document instead of tables.
    #[arg(long)]
    json: bool,
    /// How many seconds the whole run may spend waiting for a quiet machine.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    quiet_wait: u64,
    /// Folder on the disk that is measured.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// Folder of the workspace, for the page of results.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// The program that is measured.
    #[arg(long, value_name = "FILE")]
    kluis: PathBuf,
    /// The same, built without encryption and ledger.
    #[arg(long, value_name = "FILE")]
    bare: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    if let Some(unknown) = arguments.only.iter().find(|name| CASES.iter().all(|case| case.name != name.as_str())) {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        bail!("there is no case `{unknown}`, only: {}", names.join(", "));
    }
    let site = Site::new(Plan {
        folder: arguments.folder,
        kluis: arguments.kluis,
        bare: arguments.bare,
        rounds: if arguments.quick { 1 } else { arguments.rounds },
        is_quick: arguments.quick,
        quiet_wait: Duration::from_secs(arguments.quiet_wait),
    })?;
    let mut book = Book::default();
    for case in CASES {
        if !arguments.only.is_empty() && arguments.only.iter().all(|name| name != case.name) {
            continue;
        }
        eprintln!("== {}: {}", case.name, case.title);
        if let Err(error) = (case.run)(&site, &mut book) {
            eprintln!("{}: {error:#}", case.name);
            book.failures.push((case.name.to_owned(), format!("{error:#}")));
        }
    }
    for summary in reading::summarise(&book.readings) {
        println!("{}", serde_json::to_string(&summary)?);
    }
    Ok(())
}
