//! STOW-RS: our client over several connections, ten slices a request.

use anyhow::{Context, Result, ensure};

use super::{Book, fresh, turned, watched};
use crate::{
    http::Connection,
    load,
    peers::{Server, Web},
    reading::{Reading, Work},
    site::Site,
    slices::{self, Slice},
};

const SLICES: usize = 640;
const SLICES_A_REQUEST: usize = 10;
const BOUNDARY: &str = "kluis-bench-boundary";

/// Ours over TLS with a token, Orthanc in the clear.
pub fn run(site: &Site, book: &mut Book) -> Result<()> {
    let systems = [site.kluis(), site.orthanc(true)];
    let mut slices = slices::make(site.fewer(SLICES), 3);
    for round in 0..site.rounds {
        for parallel in site.parallel() {
            for system in turned(&systems, round) {
                if book.has_given_up("stow", system.name) {
                    continue;
                }
                slices::name(&mut slices, parallel, site.next_run());
                let outcome = fresh(site, system, |server| {
                    site.settle();
                    let (work, usage) = watched(Some(server.process()), || store(server, &slices, parallel))?;
                    Ok(Reading::new("stow", system.name, parallel, round, &work, usage))
                });
                book.note("stow", system.name, parallel, outcome);
            }
        }
    }
    Ok(())
}

/// Stores the slices over so many connections; each stores one study. An operation is a slice: the time of a request is
/// shared among its slices.
pub fn store(server: &dyn Server, slices: &[Slice], parallel: usize) -> Result<Work> {
    let door = server.web().context("no door for DICOMweb")?;
    load::run(
        parallel,
        |number| {
            let mine: Vec<&Slice> = slices.iter().skip(number).step_by(parallel.max(1)).collect();
            let bodies: Vec<(Vec<u8>, usize)> =
                mine.chunks(SLICES_A_REQUEST).map(|some| (body(some), some.len())).collect();
            Ok((Connection::open(door.address, door.tls)?, bodies))
        },
        |_, (mut connection, bodies)| {
            let mut done = load::Done::new();
            for (body, count) in bodies {
                let begun = std::time::Instant::now();
                request(&mut connection, &door, &body, count)?;
                let each = begun.elapsed().checked_div(u32::try_from(count)?).unwrap_or_default();
                let bytes = u64::try_from(body.len().checked_div(count).unwrap_or_default())?;
                done.extend(std::iter::repeat_n((each, bytes), count));
            }
            Ok(done)
        },
    )
}

fn request(connection: &mut Connection, door: &Web<'_>, body: &[u8], count: usize) -> Result<()> {
    let headers = format!(
        "{}Content-Type: multipart/related; type=\"application/dicom\"; boundary={BOUNDARY}\r\n\
         Accept: application/dicom+json\r\n",
        door.headers
    );
    let answer = connection.post("/dicom-web/studies", &headers, &[body])?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == 200, "status {}: {}", answer.status, text.chars().take(300).collect::<String>());
    let document: serde_json::Value = serde_json::from_str(&text).context("the answer is no JSON")?;
    // Referenced SOP Sequence (PS3.18 10.5.3): what was stored
    let stored = document.pointer("/00081199/Value").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
    ensure!(stored == count, "{stored} of {count} slices were stored");
    Ok(())
}

fn body(slices: &[&Slice]) -> Vec<u8> {
    let mut body = Vec::new();
    for slice in slices {
        body.extend_from_slice(format!("--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n").as_bytes());
        body.extend_from_slice(&slice.file());
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}
