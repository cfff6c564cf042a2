//! C-GET and C-MOVE of a CT series of 500 slices: ours against Orthanc and DCMTK's `dcmqrscp`. What is moved goes to a
//! `storescp`, over TLS from us and in the clear from the others.

use std::{net::SocketAddr, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};

use super::{Book, ingest, turned, watched};
use crate::{
    dimse::Retrieval,
    peers::{
        CALLING, Server, Sink, System,
        dcmtk::{DcmQrScp, StoreScp},
        kluis::Kluis,
        orthanc::Orthanc,
    },
    process,
    reading::{Reading, Work},
    site::{DCMQRSCP, KLUIS, ORTHANC, QUIETLY, Site},
    slices::{self, Slice},
};

const SLICES: usize = 500;

/// How the slices leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    Move,
}

/// On the association of the client.
pub fn get(site: &Site, book: &mut Book) -> Result<()> {
    run(site, book, Kind::Get)
}

/// To a third.
pub fn transfer(site: &Site, book: &mut Book) -> Result<()> {
    run(site, book, Kind::Move)
}

fn run(site: &Site, book: &mut Book, kind: Kind) -> Result<()> {
    let case = if kind == Kind::Get { "get" } else { "move" };
    let mut slices = slices::make(site.fewer(SLICES), 5);
    for round in 0..site.rounds {
        let sink = process::loopback(process::free_port()?);
        for system in turned(&systems(site, sink), round) {
            if book.has_given_up(case, system.name) {
                continue;
            }
            slices::name(&mut slices, 1, site.next_run());
            let reading = once(site, system, kind, &slices, sink, (case, round));
            book.note(case, system.name, 1, reading);
        }
    }
    Ok(())
}

/// Each knows the sink, and lets the client of the bench have what it asks for.
fn systems(site: &Site, sink: SocketAddr) -> [System<'_>; 3] {
    let binary = site.program();
    [
        System {
            name: KLUIS,
            start: Box::new(move |folder| {
                let node = Kluis::start_with(binary, folder, "", QUIETLY, "store,get,move", Some(sink))?;
                Ok(Box::new(node) as Box<dyn Server>)
            }),
        },
        System {
            name: ORTHANC,
            start: Box::new(move |folder| {
                Ok(Box::new(Orthanc::start_with(folder, true, Some(sink))?) as Box<dyn Server>)
            }),
        },
        System {
            name: DCMQRSCP,
            start: Box::new(move |folder| Ok(Box::new(DcmQrScp::start(folder, sink)?) as Box<dyn Server>)),
        },
    ]
}

fn once(
    site: &Site,
    system: &System<'_>,
    kind: Kind,
    slices: &[Slice],
    sink: SocketAddr,
    (case, round): (&str, usize),
) -> Result<Reading> {
    let folder = site.folder(system.name)?;
    let server = (system.start)(folder.path())?;
    ingest::send(&*server, slices, 1)?;
    let taken = folder.path().join("taken");
    std::fs::create_dir_all(&taken)?;
    let _sink = match kind {
        Kind::Move => Some(StoreScp::listen(&taken, sink, server.sink())?),
        Kind::Get => None,
    };
    site.settle();
    let (work, usage) = watched(Some(server.process()), || retrieve(&*server, kind, slices))?;
    let reading = Reading::new(case, system.name, 1, round, &work, usage);
    drop(server);
    ensure!(kind == Kind::Get || count(&taken)? == slices.len(), "not all slices came to the sink");
    site.keep_or_drop(folder, false);
    site.sync();
    Ok(reading)
}

fn count(folder: &Path) -> Result<usize> {
    Ok(std::fs::read_dir(folder.join("files"))?.count())
}

/// The time of one slice is its share of the whole.
fn retrieve(server: &dyn Server, kind: Kind, slices: &[Slice]) -> Result<Work> {
    let door = server.dicom().context("no door for associations")?;
    let study = &slices.first().context("no slice")?.study;
    let bytes: usize = slices.iter().map(|slice| slice.bytes.len()).sum();
    let mut retrieval = Retrieval::open(door.address, door.tls, CALLING, door.called, kind == Kind::Get)?;
    let begun = Instant::now();
    let completed = match kind {
        Kind::Get => {
            let (completed, received) = retrieval.get(study)?;
            ensure!(received >= bytes, "{received} bytes of {bytes}");
            completed
        }
        Kind::Move => retrieval.transfer(study, Sink::TITLE)?,
    };
    let elapsed = begun.elapsed();
    ensure!(completed == slices.len(), "{completed} of {} slices", slices.len());
    let each = elapsed.checked_div(u32::try_from(slices.len())?).unwrap_or_default();
    Ok(Work { latencies: vec![each; slices.len()], bytes: u64::try_from(bytes)?, elapsed })
}
