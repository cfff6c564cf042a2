//! `kluis-bench`: measures Kluis beside the systems that people know, in one run. Started by `cargo xtask bench`, which
//! installs the others and builds ours.
//!
//! May not contain: anything that the product needs.

mod cases;
mod clock;
mod dimse;
mod http;
mod load;
mod machine;
mod page;
mod peers;
mod process;
mod profile;
mod reading;
mod site;
mod slices;
mod stream;
mod usage;
mod verdict;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::Parser;
use serde_json::{Value, json};

use crate::{
    cases::{Book, CASES},
    site::{Plan, Site},
};

/// The page of results, from the folder of the workspace.
const PAGE: &str = "docs/measurements.md";

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
    /// Profile our server under each load instead of measuring (`perf` is needed).
    #[arg(long)]
    profile: bool,
    /// Write the page of results even where not all was measured, or quickly.
    #[arg(long)]
    write: bool,
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
    let (place, root) = (site.place().to_owned(), arguments.root);
    let machine = machine::describe(&root, &place, site.program());
    let page = root.join(PAGE);
    let is_whole = arguments.only.is_empty() && !arguments.quick;
    let is_written = is_whole || arguments.write;
    if arguments.profile {
        let profiles = cases::profiled::run(&site, &arguments.only);
        let text = page::profiles(&machine, &profiles);
        tell(arguments.json, &text, || json!({ "machine": machine, "profiles": profiles }))?;
        return if is_written { page::put_profiles(&page, &text) } else { Ok(()) };
    }
    let book = measure(&site, &arguments.only);
    let summaries = reading::summarise(&book.readings);
    let verdicts = verdict::verdicts(&summaries);
    let text = page::tables(&machine, site.rounds, &summaries, &verdicts, &book.failures);
    let document = || {
        json!({ "machine": machine, "rounds": site.rounds, "verdicts": verdicts, "summaries": summaries,
            "readings": book.readings, "failures": book.failures })
    };
    // first to a place of its own: what was measured for minutes is not lost for want of a page
    std::fs::write(place.join("results.json"), serde_json::to_string_pretty(&document())?)?;
    tell(arguments.json, &text, document)?;
    if is_written { page::put_measured(&page, &text) } else { Ok(()) }
}

fn measure(site: &Site, only: &[String]) -> Book {
    let mut book = Book::default();
    for case in CASES {
        if !only.is_empty() && only.iter().all(|name| name != case.name) {
            continue;
        }
        eprintln!("== {}: {}", case.name, case.title);
        if let Err(error) = (case.run)(site, &mut book) {
            eprintln!("{}: {error:#}", case.name);
            book.failures.push((case.name.to_owned(), format!("{error:#}")));
        }
    }
    book
}

fn tell(is_json: bool, text: &str, document: impl FnOnce() -> Value) -> Result<()> {
    if is_json {
        println!("{}", serde_json::to_string_pretty(&document())?);
    } else {
        println!("{text}");
    }
    Ok(())
}
