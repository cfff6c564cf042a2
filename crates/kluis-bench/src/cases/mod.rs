//! What is measured. Each case stands alone: one that fails is told and the others go on.

mod bare;
mod disk;
mod ingest;
pub mod profiled;
mod reads;
mod retrieval;
mod stow;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    peers::System,
    reading::{Reading, Work},
    site::Site,
    usage::{Usage, Watch},
};

/// A case: its name for `--only`, what it is, and how it is run.
pub struct Case {
    /// Name.
    pub name: &'static str,
    /// One line for the tables.
    pub title: &'static str,
    /// Runs it; readings are put into the book as they come.
    pub run: fn(&Site, &mut Book) -> Result<()>,
}

/// Every case, in the order in which they are run.
pub const CASES: &[Case] = &[
    Case { name: "cstore", title: "C-STORE of 0.5 MB CT slices, our client", run: ingest::cstore },
    Case { name: "disk", title: "Durable sequential appends of 512 KiB (fio, `fdatasync` after each)", run: disk::run },
    Case {
        name: "storescu",
        title: "C-STORE by an untouched DCMTK `storescu`, one association",
        run: ingest::storescu,
    },
    Case { name: "stow", title: "STOW-RS of 0.5 MB CT slices, ten a request", run: stow::run },
    Case { name: "metadata", title: "Metadata of a sealed series of 500 slices, one connection", run: reads::metadata },
    Case { name: "frame", title: "One frame of 0.5 MB a request by WADO-RS", run: reads::frame },
    Case { name: "study", title: "A study of 500 slices as one multipart answer", run: reads::study },
    Case { name: "get", title: "C-GET of a CT series of 500 slices, one association", run: retrieval::get },
    Case { name: "move", title: "C-MOVE of a CT series of 500 slices to a `storescp`", run: retrieval::transfer },
    Case { name: "bare", title: "C-STORE with and without encryption and ledger", run: bare::run },
];

/// What has been measured so far.
#[derive(Debug, Default)]
pub struct Book {
    /// Every run.
    pub readings: Vec<Reading>,
    /// What failed: case and system, and how.
    pub failures: Vec<(String, String)>,
}

impl Book {
    /// Notes a run, or that it failed; tells the person who waits.
    pub fn note(&mut self, case: &str, system: &str, parallel: usize, outcome: Result<Reading>) {
        match outcome {
            Ok(reading) => {
                eprintln!(
                    "{case:<9} {system:<22} x{parallel}  {:>8.1}/s  {:>7.1} MB/s  p50 {:>7.2} ms  p99 {:>7.2} ms  \
                     server {:>6.2} ms CPU each  others {:.2} cores",
                    reading.rate(),
                    crate::reading::real(reading.bytes) / 1e6 / reading.seconds.max(1e-9),
                    reading.latency.p50_ms,
                    reading.latency.p99_ms,
                    1e3 * reading.server_cpu_s / crate::reading::real(reading.operations.max(1)),
                    reading.other_cores,
                );
                self.readings.push(reading);
            }
            Err(error) => {
                let what = format!("{case}, {system}, {parallel} at once");
                eprintln!("{what}: {error:#}");
                self.failures.push((what, format!("{error:#}")));
            }
        }
    }

    /// Whether the system failed in this case twice, so that it is left alone.
    pub fn has_given_up(&self, case: &str, system: &str) -> bool {
        let start = format!("{case}, {system}, ");
        self.failures.iter().filter(|(what, _)| what.starts_with(&start)).count() >= 2
    }
}

/// Starts the system afresh for one run, in a folder on the disk that is measured, which is gone afterwards.
fn fresh<T>(site: &Site, system: &System<'_>, run: impl FnOnce(&dyn crate::peers::Server) -> Result<T>) -> Result<T> {
    let folder = site.folder(system.name)?;
    let server = (system.start)(folder.path())?;
    let outcome = run(&*server);
    drop(server);
    site.keep_or_drop(folder, outcome.is_err());
    // what is still on its way to the disk would fall into the next run
    site.sync();
    outcome
}

/// Watches a piece of work on a server.
fn watched(server: Option<u32>, work: impl FnOnce() -> Result<Work>) -> Result<(Work, Usage)> {
    let watch = Watch::begin(server);
    let work = work();
    let usage = watch.end();
    Ok((work?, usage))
}

/// The order of the systems in a round: turned by one each time, so that none is always behind the same other.
fn turned<T>(systems: &[T], round: usize) -> impl Iterator<Item = &T> {
    let by = round.checked_rem(systems.len()).unwrap_or_default();
    systems.iter().cycle().skip(by).take(systems.len())
}

/// Writes files for a foreign client.
fn write_files<'s>(folder: &TempDir, slices: impl Iterator<Item = &'s crate::slices::Slice>) -> Result<PathBuf> {
    let files = folder.path().join("slices");
    std::fs::create_dir_all(&files)?;
    for (number, slice) in slices.enumerate() {
        write(&files.join(format!("{number:05}.dcm")), &slice.file())?;
    }
    Ok(files)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
