//! Reads of one study of 500 slices: metadata, single frames, the whole study. nginx serves the very bytes that Kluis
//! answered.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::{Book, ingest, profiled, turned, watched, write};
use crate::{
    http::Connection,
    load,
    peers::{Server, System, nginx::Nginx},
    process::pause,
    profile::{Profile, Recording},
    reading::{Reading, Work},
    site::{KLUIS, NGINX, Site},
    slices::{self, Slice},
    usage,
};

const SLICES: usize = 500;
/// Frames that are asked for again and again.
const FRAMES: usize = 100;
/// How long a series may stay hot.
const SEAL_WITHIN: Duration = Duration::from_secs(30);
/// CPU time a second of a node that rests.
const RESTING_CPU_S: f64 = 0.03;

const METADATA: &str = "Accept: application/dicom+json\r\n";
const FRAME: &str = "Accept: multipart/related; type=\"application/octet-stream\"\r\n";
const STUDY: &str = "Accept: multipart/related; type=\"application/dicom\"; transfer-syntax=*\r\n";

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Metadata of the series.
    Metadata,
    /// Single frames.
    Frame,
    /// All instances in one answer.
    Study,
}

impl Kind {
    fn case(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Frame => "frame",
            Self::Study => "study",
        }
    }

    fn accept(self) -> &'static str {
        match self {
            Self::Metadata => METADATA,
            Self::Frame => FRAME,
            Self::Study => STUDY,
        }
    }
}

/// Metadata of a sealed series of 500 slices, ours against Orthanc.
pub fn metadata(site: &Site, book: &mut Book) -> Result<()> {
    read(site, book, Kind::Metadata, &[site.kluis_sealing(), site.orthanc(true)], &[1])
}

/// One frame a request, ours against nginx and Orthanc.
pub fn frame(site: &Site, book: &mut Book) -> Result<()> {
    read(site, book, Kind::Frame, &[site.kluis_sealing(), site.nginx(), site.orthanc(true)], &[1, 8])
}

/// A whole study as multipart, ours against nginx and Orthanc.
pub fn study(site: &Site, book: &mut Book) -> Result<()> {
    read(site, book, Kind::Study, &[site.kluis_sealing(), site.nginx(), site.orthanc(true)], &[1])
}

/// A system that holds the study and goes on running through all rounds.
struct Ready<'s> {
    system: &'s System<'s>,
    server: Box<dyn Server>,
    /// Paths that are asked for in turn.
    paths: Vec<String>,
    _folder: TempDir,
}

fn read(site: &Site, book: &mut Book, kind: Kind, systems: &[System<'_>], parallel: &[usize]) -> Result<()> {
    let mut slices = slices::make(site.fewer(SLICES), 4);
    slices::name(&mut slices, 1, site.next_run());
    let mut ready: Vec<Ready<'_>> = Vec::new();
    for system in systems {
        // nginx comes behind ours, whose answers it serves
        let ours = ready.iter().find(|ready| ready.system.name == KLUIS);
        match prepare(site, system, kind, &slices, ours) {
            Ok(system) => ready.push(system),
            Err(error) => book.note(kind.case(), system.name, 1, Err(error)),
        }
    }
    for round in 0..site.rounds {
        for &parallel in parallel {
            for one in turned(&ready, round) {
                if book.has_given_up(kind.case(), one.system.name) {
                    continue;
                }
                site.settle();
                let reading = run(site, one, kind, parallel, round);
                book.note(kind.case(), one.system.name, parallel, reading);
            }
        }
    }
    Ok(())
}

fn run(site: &Site, one: &Ready<'_>, kind: Kind, parallel: usize, round: usize) -> Result<Reading> {
    let time = Duration::from_secs(site.seconds);
    let (work, usage) = watched(Some(one.server.process()), || get(one, kind, parallel, time))?;
    Ok(Reading::new(kind.case(), one.system.name, parallel, round, &work, usage))
}

/// Ours alone, profiled.
pub fn profile(site: &Site, title: &str, kind: Kind, parallel: usize) -> Result<Profile> {
    let mut slices = slices::make(site.fewer(SLICES), 6);
    slices::name(&mut slices, 1, site.next_run());
    let system = site.kluis_sealing();
    let ready = prepare(site, &system, kind, &slices, None)?;
    let folder = site.folder("perf")?;
    let recording = Recording::begin(ready.server.process(), folder.path())?;
    let time = Duration::from_secs(site.seconds.saturating_mul(2));
    let (work, usage) = watched(Some(ready.server.process()), || get(&ready, kind, parallel, time))?;
    profiled::finish(recording, title, &work, usage)
}

/// Asks over so many connections, for so long.
fn get(one: &Ready<'_>, kind: Kind, parallel: usize, time: Duration) -> Result<Work> {
    let door = one.server.web().context("no door for DICOMweb")?;
    let (headers, paths) = (format!("{}{}", door.headers, kind.accept()), &one.paths);
    load::run(
        parallel,
        |_| Connection::open(door.address, door.tls),
        |number, mut connection| {
            let mut paths = paths.iter().cycle().skip(number.saturating_mul(7));
            let mut get = |path: &str| -> Result<u64> {
                let answer = connection.get(path, &headers, false)?;
                ensure!(answer.status == 200, "status {}", answer.status);
                Ok(answer.length)
            };
            load::during(time, |_| get(paths.next().context("no path")?))
        },
    )
}

fn prepare<'s>(
    site: &Site,
    system: &'s System<'s>,
    kind: Kind,
    slices: &[Slice],
    ours: Option<&Ready<'_>>,
) -> Result<Ready<'s>> {
    let folder = site.folder(system.name)?;
    let paths = paths(kind, slices)?;
    if system.name == NGINX {
        let ours = ours.context("there are no answers of ours to serve")?;
        let nginx = Nginx::start(folder.path())?;
        let paths = copy_answers(ours, kind, &nginx.files)?;
        site.sync();
        return Ok(Ready { system, server: Box::new(nginx), paths, _folder: folder });
    }
    let server = (system.start)(folder.path())?;
    ingest::send(&*server, slices, 1)?;
    let ready = Ready { system, server, paths, _folder: folder };
    if system.name == KLUIS {
        wait_until_sealed(&ready)?;
    }
    check(&ready, kind, slices)?;
    site.sync();
    Ok(ready)
}

fn paths(kind: Kind, slices: &[Slice]) -> Result<Vec<String>> {
    let first = slices.first().context("no slices")?;
    let series = format!("/dicom-web/studies/{}/series/{}", first.study, first.series);
    Ok(match kind {
        Kind::Metadata => vec![format!("{series}/metadata")],
        Kind::Study => vec![format!("/dicom-web/studies/{}", first.study)],
        Kind::Frame => {
            let some = slices.iter().step_by(slices.len().div_ceil(FRAMES).max(1));
            some.map(|slice| format!("{series}/instances/{}/frames/1", slice.instance)).collect()
        }
    })
}

/// Whether the answers are what was stored: a quick wrong answer is no measure.
fn check(one: &Ready<'_>, kind: Kind, slices: &[Slice]) -> Result<()> {
    let door = one.server.web().context("no door for DICOMweb")?;
    let mut connection = Connection::open(door.address, door.tls)?;
    let path = one.paths.first().context("no path")?;
    let answer = connection.get(path, &format!("{}{}", door.headers, kind.accept()), true)?;
    ensure!(answer.status == 200, "{} {path}: status {}", one.system.name, answer.status);
    match kind {
        Kind::Metadata => {
            let document: serde_json::Value = serde_json::from_slice(&answer.body)?;
            let instances = document.as_array().map_or(0, Vec::len);
            ensure!(instances == slices.len(), "metadata of {instances} instances instead of {}", slices.len());
        }
        Kind::Frame => {
            let pixels = slices.first().map(Slice::pixels).unwrap_or_default();
            let start = pixels.get(..64).unwrap_or_default();
            let is_there = answer.body.windows(start.len()).any(|window| window == start);
            ensure!(is_there && answer.body.len() >= pixels.len(), "the frame is not the one that was stored");
        }
        Kind::Study => {
            let all: usize = slices.iter().map(|slice| slice.bytes.len()).sum();
            ensure!(answer.length >= u64::try_from(all)?, "the study is shorter than what was stored");
        }
    }
    Ok(())
}

/// Puts our answers where nginx serves them; their paths there.
fn copy_answers(ours: &Ready<'_>, kind: Kind, files: &Path) -> Result<Vec<String>> {
    let door = ours.server.web().context("no door for DICOMweb")?;
    let mut connection = Connection::open(door.address, door.tls)?;
    let headers = format!("{}{}", door.headers, kind.accept());
    let mut paths = Vec::new();
    for (number, path) in ours.paths.iter().enumerate() {
        let answer = connection.get(path, &headers, true)?;
        ensure!(answer.status == 200, "status {}", answer.status);
        let name = format!("{}-{number}", kind.case());
        write(&files.join(&name), &answer.body)?;
        paths.push(format!("/{name}"));
    }
    Ok(paths)
}

/// Nothing at the doors tells that a series is sealed, but the node has nothing to do once it is: it has rested for a
/// second, three seconds and more after the last slice, with series sealed after one second.
fn wait_until_sealed(ready: &Ready<'_>) -> Result<()> {
    let begun = Instant::now();
    pause(Duration::from_secs(3));
    while begun.elapsed() < SEAL_WITHIN {
        let before = usage::tree_cpu_s(ready.server.process());
        pause(Duration::from_secs(1));
        if usage::tree_cpu_s(ready.server.process()) - before <= RESTING_CPU_S {
            return Ok(());
        }
    }
    bail!("the node does not come to rest")
}
