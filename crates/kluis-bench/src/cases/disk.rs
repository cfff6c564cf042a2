//! What the disk takes: fio, the yardstick for durable stores.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Book, watched};
use crate::{
    process,
    reading::{Percentiles, Reading, Work},
    site::Site,
};

/// 512 KiB.
const BLOCK_BYTES: u64 = 512 << 10;
/// What all jobs may write together, in MiB, and what one may: more than they do in a run, so that none begins anew in its
/// file, where a sync would have less to do.
const ALL_MIB: usize = 4 << 10;
const ONE_MIB: usize = 2 << 10;

/// `fio` with 1, 4 and 8 jobs, each appending to a file of its own; nothing where another case has measured it already.
pub fn run(site: &Site, book: &mut Book) -> Result<()> {
    if book.readings.iter().any(|reading| reading.case == "disk") {
        return Ok(());
    }
    for round in 0..site.rounds {
        for jobs in site.parallel() {
            once(site, book, round, jobs);
        }
    }
    Ok(())
}

/// One run, for the cases that hold something against it.
pub fn once(site: &Site, book: &mut Book, round: usize, jobs: usize) {
    site.settle();
    book.note("disk", "fio", jobs, fio(site, round, jobs));
}

fn fio(site: &Site, round: usize, jobs: usize) -> Result<Reading> {
    let folder = site.folder("fio")?;
    let seconds = site.seconds;
    let size = ALL_MIB.checked_div(jobs).unwrap_or_default().min(ONE_MIB);
    let mut command = Command::new("fio");
    command
        .args(["--name=append", "--ioengine=psync", "--rw=write", "--bs=512k", "--fdatasync=1"])
        .args([
            &format!("--size={size}m"),
            &format!("--runtime={seconds}"),
            &format!("--numjobs={jobs}"),
            "--group_reporting",
        ])
        .args(["--randrepeat=0", "--refill_buffers", "--output-format=json"])
        .arg(format!("--directory={}", folder.path().display()));
    let mut document = Value::Null;
    let (mut work, usage) = watched(None, || {
        let longest = Duration::from_secs(seconds.saturating_add(60));
        let (out, _) = process::run(&mut command, longest)?;
        document = serde_json::from_str(out.get(out.find('{').unwrap_or_default()..).unwrap_or_default())?;
        Ok(Work::default())
    })?;
    let number = |path: &str| document.pointer(path).and_then(Value::as_f64).with_context(|| format!("fio: no {path}"));
    let operations =
        document.pointer("/jobs/0/write/total_ios").and_then(Value::as_u64).context("fio: no total_ios")?;
    work.elapsed = Duration::from_secs_f64(number("/jobs/0/write/runtime")? / 1e3);
    work.bytes = operations.saturating_mul(BLOCK_BYTES);
    let mut reading = Reading::new("disk", "fio", jobs, round, &work, usage);
    reading.operations = operations;
    let sync = |percent: &str| number(&format!("/jobs/0/sync/lat_ns/percentile/{percent}")).unwrap_or_default() / 1e6;
    reading.latency = Percentiles {
        p50_ms: sync("50.000000"),
        p90_ms: sync("90.000000"),
        p99_ms: sync("99.000000"),
        max_ms: number("/jobs/0/sync/lat_ns/max").unwrap_or_default() / 1e6,
    };
    Ok(reading)
}
