//! The same loads once more on our server alone, while it is profiled.

use std::time::Duration;

use anyhow::Result;

use super::{fresh, ingest, reads, stow, watched};
use crate::{
    peers::Server,
    profile::{self, Profile, Recording},
    reading::{Work, percentiles, real},
    site::Site,
    slices::{self, Slice},
    usage::Usage,
};

/// Slices of one pass, with new UIDs in each.
const SLICES: usize = 320;
/// Passes of a load that stores.
const PASSES: usize = 4;

/// A load to be profiled: its case, its heading, and how it is done.
type Load = (&'static str, &'static str, fn(&Site, &str) -> Result<Profile>);

const LOADS: &[Load] = &[
    ("cstore", "C-STORE, 1 association", |site, title| {
        stores(site, title, 1, |_, server, slices, parallel| ingest::send(server, slices, parallel))
    }),
    ("cstore", "C-STORE, 4 associations", |site, title| {
        stores(site, title, 4, |_, server, slices, parallel| ingest::send(server, slices, parallel))
    }),
    ("storescu", "C-STORE by `storescu`, 1 association", |site, title| {
        stores(site, title, 1, |site, server, slices, _| ingest::by_storescu(site, server, slices))
    }),
    ("stow", "STOW-RS, 4 connections", |site, title| {
        stores(site, title, 4, |_, server, slices, parallel| stow::store(server, slices, parallel))
    }),
    ("metadata", "Metadata of 500 slices", |site, title| reads::profile(site, title, reads::Kind::Metadata, 1)),
    ("frame", "One frame, 1 connection", |site, title| reads::profile(site, title, reads::Kind::Frame, 1)),
    ("frame", "One frame, 8 connections", |site, title| reads::profile(site, title, reads::Kind::Frame, 8)),
    ("study", "Whole study", |site, title| reads::profile(site, title, reads::Kind::Study, 1)),
];

/// Profiles every load, or those of the named cases. One that fails is told and left out.
pub fn run(site: &Site, only: &[String]) -> Vec<Profile> {
    let mut profiles = Vec::new();
    for (case, title, load) in LOADS {
        if !only.is_empty() && only.iter().all(|name| name != case) {
            continue;
        }
        eprintln!("== profile: {title}");
        match load(site, title) {
            Ok(profile) => {
                for (stage, share) in &profile.stages {
                    eprintln!("{:>6.1} %  {stage}", share * 100.0);
                }
                for (stage, times) in &profile.waits {
                    eprintln!("{:>6.2} ms p50 {:>6.2} ms p99  {stage}", times.p50_ms, times.p99_ms);
                }
                profiles.push(profile);
            }
            Err(error) => eprintln!("{title}: {error:#}"),
        }
    }
    profiles
}

fn stores(
    site: &Site,
    title: &str,
    parallel: usize,
    send: fn(&Site, &dyn Server, &[Slice], usize) -> Result<Work>,
) -> Result<Profile> {
    let mut slices = slices::make(site.fewer(SLICES), 5);
    let folder = site.folder("perf")?;
    let mut profile = fresh(site, &site.kluis(), |server| {
        let recording = Recording::begin(server.process(), folder.path())?;
        let (work, usage) = watched(Some(server.process()), || {
            let mut all = Work::default();
            for _ in 0..PASSES {
                slices::name(&mut slices, parallel, site.next_run());
                let work = send(site, server, &slices, parallel)?;
                all.latencies.extend(work.latencies);
                all.elapsed = all.elapsed.saturating_add(work.elapsed);
            }
            Ok(all)
        })?;
        finish(recording, title, &work, usage)
    })?;
    slices::name(&mut slices, parallel, site.next_run());
    // neither is perf there now, nor does this pass count for the rate: telling costs as well
    profile.waits = fresh(site, &site.kluis_by_stage(), |server| {
        site.settle();
        let work = send(site, server, &slices, parallel)?;
        let log = server.log().map(std::fs::read_to_string).transpose()?.unwrap_or_default();
        let mut waits = profile::waits(&log);
        waits.push(("all, as the client sees it".to_owned(), percentiles(&work.latencies)));
        Ok(waits)
    })?;
    Ok(profile)
}

/// Ends a recording of some work.
pub fn finish(recording: Recording, title: &str, work: &Work, usage: Usage) -> Result<Profile> {
    let operations = real(u64::try_from(work.latencies.len())?.max(1));
    let rate = operations / work.elapsed.max(Duration::from_millis(1)).as_secs_f64();
    recording.end(title, rate, 1e3 * usage.server_cpu_s / operations)
}
