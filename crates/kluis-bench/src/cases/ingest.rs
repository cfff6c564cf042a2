//! C-STORE: our client over several associations, and DCMTK's `storescu` over one.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{Book, disk, fresh, turned, watched, write_files};
use crate::{
    dimse::Association,
    load,
    peers::{CALLING, Server, System, dcmtk},
    reading::{Reading, Work},
    site::Site,
    slices::{self, Slice},
    usage::Usage,
};

/// Slices of one run into a system that is as quick as it can be.
const SLICES: usize = 960;
/// Without TCP_NODELAY a DCMTK peer takes 16 to 25 a second.
const SLICES_OF_SLOW: usize = 40;

/// Our client into every system.
pub fn cstore(site: &Site, book: &mut Book) -> Result<()> {
    let systems = [site.kluis(), site.orthanc(true), site.storescp(true), site.orthanc(false)];
    run(site, book, "cstore", &systems, true)
}

/// Runs the systems against each other, with fio among them where `with_disk`.
pub fn run(site: &Site, book: &mut Book, case: &str, systems: &[System<'_>], with_disk: bool) -> Result<()> {
    let mut slices = slices::make(site.fewer(SLICES), 1);
    for round in 0..site.rounds {
        for parallel in site.parallel() {
            if with_disk {
                disk::once(site, book, round, parallel);
            }
            for system in turned(systems, round) {
                if book.has_given_up(case, system.name) || (is_slow(system) && round > 0) {
                    continue;
                }
                slices::name(&mut slices, parallel, site.next_run());
                let count = if is_slow(system) { SLICES_OF_SLOW } else { slices.len() };
                let sent = slices.get(..count).unwrap_or(&slices);
                let outcome = fresh(site, system, |server| {
                    site.settle();
                    let (work, usage) = watched(Some(server.process()), || send(server, sent, parallel))?;
                    Ok(Reading::new(case, system.name, parallel, round, &work, usage))
                });
                book.note(case, system.name, parallel, outcome);
            }
        }
    }
    Ok(())
}

/// Sends the slices over so many associations; each sends one study.
pub fn send(server: &dyn Server, slices: &[Slice], parallel: usize) -> Result<Work> {
    let door = server.dicom().context("no door for associations")?;
    load::run(
        parallel,
        |_| Association::open(door.address, door.tls, CALLING, door.called),
        |number, mut association| {
            let mine = slices.iter().skip(number).step_by(parallel.max(1));
            let done = load::each(mine, |slice| {
                association.store(&slice.instance, &slice.bytes)?;
                Ok(u64::try_from(slice.bytes.len())?)
            })?;
            association.release()?;
            Ok(done)
        },
    )
}

/// An untouched `storescu`, without any variable in its environment.
pub fn storescu(site: &Site, book: &mut Book) -> Result<()> {
    let systems = [site.kluis(), site.orthanc(true), site.storescp(true), site.orthanc(false), site.storescp(false)];
    let mut slices = slices::make(site.fewer(SLICES), 2);
    for round in 0..site.rounds {
        for system in turned(&systems, round) {
            // the peers take 16 to 100 a second: few slices and rounds tell as much
            let is_ours = system.name == site.kluis().name;
            if book.has_given_up("storescu", system.name) || (!is_ours && round > 1) {
                continue;
            }
            slices::name(&mut slices, 1, site.next_run());
            let count = if is_ours { slices.len() } else { SLICES_OF_SLOW };
            let outcome =
                fresh(site, system, |server| one_storescu(site, server, slices.get(..count).unwrap_or(&slices)));
            let reading = outcome.map(|(work, usage)| Reading::new("storescu", system.name, 1, round, &work, usage));
            book.note("storescu", system.name, 1, reading);
        }
    }
    Ok(())
}

fn one_storescu(site: &Site, server: &dyn Server, slices: &[Slice]) -> Result<(Work, Usage)> {
    let folder = site.folder("storescu")?;
    let files = write_files(&folder, slices.iter())?;
    site.settle();
    watched(Some(server.process()), || send_files(server, &files, slices))
}

/// Writes the slices as files and sends them.
pub fn by_storescu(site: &Site, server: &dyn Server, slices: &[Slice]) -> Result<Work> {
    let folder = site.folder("storescu")?;
    let files = write_files(&folder, slices.iter())?;
    send_files(server, &files, slices)
}

/// The client tells no times of single slices: each is given its share of the whole, connecting and all.
fn send_files(server: &dyn Server, files: &Path, slices: &[Slice]) -> Result<Work> {
    let door = server.dicom().context("no door for associations")?;
    let took = dcmtk::storescu(door, files, Duration::from_secs(120))?;
    let each = took.checked_div(u32::try_from(slices.len())?).unwrap_or_default();
    let bytes = slices.iter().map(|slice| slice.bytes.len()).sum::<usize>();
    Ok(Work { latencies: vec![each; slices.len()], bytes: u64::try_from(bytes)?, elapsed: took })
}

fn is_slow(system: &System<'_>) -> bool {
    system.name.ends_with("(plain)")
}
