//! Ten images of many frames at once, in and out by each door, and one frame of them by itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, stream};
use kluis_testkit::{Giant, giant::Pixels};
use reqwest::{Client, Response};
use tokio::task::JoinSet;

use super::process::{Peak, Watch, bytes_read, resident};
use crate::support::{Server, sender::Sender};

const AT_ONCE: u32 = 10;
/// With images of 1 GiB each, in and out.
const RESIDENT_ALLOWED: u64 = 512_000_000;
/// With small ones, which would be 640 MiB if they were held.
const RESIDENT_ALLOWED_SMALL: u64 = 256 << 20;
const SIDE_PIXELS: u16 = 1024;
const FRAME_BYTES: u64 = 2 << 20;
/// Beside the frame itself: the record's header and metadata, the chunks at its edges, the request.
const READ_BESIDE_FRAME: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(1800);
const BOUNDARY: &str = "kluis-giant-boundary";

/// Bytes of one image: 64 MiB, or what `KLUIS_GIANT_MIB` says.
fn giant_bytes() -> Result<u64> {
    let mib = std::env::var("KLUIS_GIANT_MIB").map_or(Ok(64), |text| text.parse::<u64>())?;
    Ok(mib << 20)
}

fn giants(seed: u64, pixels: Pixels) -> Result<Vec<Arc<Giant>>> {
    let frames = u32::try_from(giant_bytes()? / FRAME_BYTES)?;
    Ok((1..=AT_ONCE).map(|number| Arc::new(Giant::new(seed, number, frames, SIDE_PIXELS, pixels))).collect())
}

fn judge(what: &str, peak: &Peak, bytes: u64, took: Duration) -> Result<()> {
    let allowed = if giant_bytes()? >= 1 << 30 { RESIDENT_ALLOWED } else { RESIDENT_ALLOWED_SMALL };
    let rate = bytes as f64 / 1e6 / took.as_secs_f64();
    println!(
        "{what}: {} MB resident at most, {} MB of it allocated; {rate:.0} MB/s, {:.1} s",
        peak.resident / 1_000_000,
        peak.anonymous / 1_000_000,
        took.as_secs_f64()
    );
    ensure!(peak.resident < allowed, "{what}: {peak:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_by_c_store_and_back_within_bounds() -> Result<()> {
    let server = Arc::new(Server::start()?);
    println!("idle: {} MB resident", resident(&server)? / 1_000_000);
    let giants = giants(1, Pixels::Native)?;
    let folder = server.device("GIANTS", "store")?;
    let (watch, begun) = (Watch::begin(&server)?, Instant::now());
    let mut senders = JoinSet::new();
    for giant in &giants {
        let (server, folder, giant) = (Arc::clone(&server), folder.clone(), Arc::clone(giant));
        senders.spawn(async move {
            let mut sender = Sender::associate(&server, &folder, "GIANTS", giant.transfer_syntax()).await?;
            ensure!(sender.store(&giant).await? == 0, "not stored");
            sender.release().await
        });
    }
    all(senders).await?;
    judge("ten by C-STORE", &watch.end()?, total(&giants), begun.elapsed())?;
    retrieve(&server, &giants).await?;
    one_frame(&server, &giants[3]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_by_stow_and_back_within_bounds() -> Result<()> {
    let server = Arc::new(Server::start()?);
    let giants = giants(2, Pixels::ExtendedOffsetTable)?;
    let token = server.token("uploader")?;
    let (watch, begun) = (Watch::begin(&server)?, Instant::now());
    let mut senders = JoinSet::new();
    for giant in &giants {
        let (server, token, giant) = (Arc::clone(&server), token.clone(), Arc::clone(giant));
        senders.spawn(async move { stow(&server, &token, giant).await });
    }
    all(senders).await?;
    judge("ten by STOW", &watch.end()?, total(&giants), begun.elapsed())?;
    retrieve(&server, &giants).await?;
    one_frame(&server, &giants[7]).await
}

/// 131,072 fragments: their places are kept, and are all that is read beside the frame.
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_many_fragments_is_read_without_the_rest() -> Result<()> {
    let server = Arc::new(Server::start()?);
    let giant = Arc::new(Giant::new(3, 1, 32, SIDE_PIXELS, Pixels::BasicOffsetTable { fragments: 4096 }));
    let token = server.token("uploader")?;
    let (watch, begun) = (Watch::begin(&server)?, Instant::now());
    stow(&server, &token, Arc::clone(&giant)).await?;
    judge("131,072 fragments in", &watch.end()?, giant.data_set_bytes(), begun.elapsed())?;
    let watch = Watch::begin(&server)?;
    one_frame(&server, &giant).await?;
    judge("one frame of them", &watch.end()?, giant.frame_bytes(), begun.elapsed())
}

async fn stow(server: &Server, token: &str, giant: Arc<Giant>) -> Result<()> {
    let answer = client(server)?
        .post(format!("{}/dicom-web/studies", server.https))
        .bearer_auth(token)
        .header("content-type", format!("multipart/related; type=\"application/dicom\"; boundary={BOUNDARY}"))
        .body(body(giant))
        .send()
        .await?;
    ensure!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await?);
    Ok(())
}

/// Every instance by itself at once, then ten times the frames of one, then all of the study in one answer.
async fn retrieve(server: &Arc<Server>, giants: &[Arc<Giant>]) -> Result<()> {
    let token = server.token("admin")?;
    let (watch, begun) = (Watch::begin(server)?, Instant::now());
    let mut readers = JoinSet::new();
    for giant in giants {
        let path = instance(giant);
        let (answer, giant) = (get(server, &token, &path, "application/dicom").await?, Arc::clone(giant));
        readers.spawn(async move { compare(answer, &giant).await });
    }
    all(readers).await?;
    judge("ten by WADO-RS", &watch.end()?, total(giants), begun.elapsed())?;

    let (watch, begun) = (Watch::begin(server)?, Instant::now());
    let mut readers = JoinSet::new();
    for giant in giants {
        let numbers: Vec<String> = (1..=giant.frames).map(|number| number.to_string()).collect();
        let path = format!("{}/frames/{}", instance(giant), numbers.join(","));
        let answer = get(server, &token, &path, "multipart/related; type=\"*/*\"; transfer-syntax=*").await?;
        let expected = u64::from(giant.frames) * giant.frame_bytes();
        readers.spawn(async move {
            let read = count(answer).await?;
            ensure!(read > expected && read < expected + (1 << 20), "{read} of {expected}");
            Ok(())
        });
    }
    all(readers).await?;
    judge("ten times all frames", &watch.end()?, total(giants), begun.elapsed())?;

    let (watch, begun) = (Watch::begin(server)?, Instant::now());
    let path = format!("/dicom-web/studies/{}", giants[0].study);
    let accept = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
    let read = count(get(server, &token, &path, accept).await?).await?;
    let expected = total(giants);
    ensure!(read > expected && read < expected + (1 << 20), "{read} of {expected}");
    judge("the study", &watch.end()?, expected, begun.elapsed())
}

/// The last frames but a few, so that nothing before them can have been read.
async fn one_frame(server: &Arc<Server>, giant: &Giant) -> Result<()> {
    let token = server.token("radiologist")?;
    let number = (giant.frames * 500 / 512).max(1);
    let path = format!("{}/frames/{number}", instance(giant));
    let accept = "application/octet-stream; transfer-syntax=*, image/jp2; transfer-syntax=*";
    for round in 0..3 {
        let (read, begun) = (bytes_read(server)?, Instant::now());
        let frame = get(server, &token, &path, accept).await?.bytes().await?;
        let (read, took) = (bytes_read(server)? - read, begun.elapsed());
        ensure!(frame == giant.frame(number), "frame {number} is another one");
        println!(
            "frame {number} alone, round {round}: {:.1} ms, {read} bytes read for {}",
            took.as_secs_f64() * 1e3,
            frame.len()
        );
        ensure!(read < giant.frame_bytes() + READ_BESIDE_FRAME, "{read} bytes read");
    }
    Ok(())
}

fn instance(giant: &Giant) -> String {
    format!("/dicom-web/studies/{}/series/{}/instances/{}", giant.study, giant.series, giant.sop_instance)
}

fn total(giants: &[Arc<Giant>]) -> u64 {
    giants.iter().map(|giant| giant.data_set_bytes()).sum()
}

async fn all(mut tasks: JoinSet<Result<()>>) -> Result<()> {
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// A connection of its own for each.
fn client(server: &Server) -> Result<Client> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = reqwest::Certificate::from_pem(&std::fs::read(server.ca())?)?;
    Ok(Client::builder().tls_certs_only([authority]).no_proxy().timeout(PATIENCE).build()?)
}

async fn get(server: &Server, token: &str, path: &str, accept: &str) -> Result<Response> {
    let url = format!("{}{path}", server.https);
    let answer = client(server)?.get(url).bearer_auth(token).header("accept", accept).send().await?;
    ensure!(answer.status().is_success(), "{path}: {}", answer.status());
    Ok(answer)
}

/// A store request of one part, made while it is sent.
fn body(giant: Arc<Giant>) -> reqwest::Body {
    let head = format!("--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n").into_bytes();
    let head = [head, giant.file_meta()].concat();
    let pieces = stream::unfold(0, move |at| {
        let giant = Arc::clone(&giant);
        async move {
            let mut piece = vec![0; 256 << 10];
            let read = giant.read_at(at, &mut piece);
            piece.truncate(read);
            (read > 0).then(|| (Ok::<_, std::io::Error>(piece), at + read as u64))
        }
    });
    let tail = format!("\r\n--{BOUNDARY}--\r\n").into_bytes();
    reqwest::Body::wrap_stream(stream::iter([Ok(head)]).chain(pieces).chain(stream::iter([Ok(tail)])))
}

async fn count(answer: Response) -> Result<u64> {
    let mut pieces = answer.bytes_stream();
    let mut read = 0;
    while let Some(piece) = pieces.next().await {
        read += piece?.len() as u64;
    }
    Ok(read)
}

/// Compares a file with what was sent, while it comes; only its file meta group is held.
async fn compare(answer: Response, giant: &Giant) -> Result<()> {
    let mut pieces = answer.bytes_stream();
    let (mut held, mut at) = (Vec::new(), None);
    while let Some(piece) = pieces.next().await {
        held.extend_from_slice(&piece?);
        if at.is_none() && held.len() > 144 {
            let length = u32::from_le_bytes(held[140..144].try_into()?) as usize;
            if held.len() > 144 + length {
                held.drain(..144 + length);
                at = Some(0);
            }
        }
        if let Some(at) = &mut at {
            let mut expected = vec![0; held.len()];
            ensure!(giant.read_at(*at, &mut expected) == held.len() && held == expected, "other bytes near {at}");
            *at += held.len() as u64;
            held.clear();
        }
    }
    ensure!(at.context("no data set")? == giant.data_set_bytes(), "{at:?} bytes came");
    Ok(())
}
