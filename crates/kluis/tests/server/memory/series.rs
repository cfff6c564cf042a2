//! One long series: its images in, its images and their metadata out, in memory that does not grow with their number.
//!
//! `KLUIS_SERIES_INSTANCES` makes it longer.

use std::time::Instant;

use anyhow::{Result, ensure};
use futures_util::StreamExt;
use kluis_testkit::SmallInstance;

use super::process::{Watch, resident};
use crate::support::{
    Server,
    dicomweb::{get, stow},
};

const AT_ONCE: usize = 100;
/// What ten thousand rows and their answers may take; the objects themselves would be ten times as much.
const RESIDENT_ALLOWED: u64 = 200 << 20;

fn instances() -> Result<u32> {
    Ok(std::env::var("KLUIS_SERIES_INSTANCES").map_or(Ok(600), |text| text.parse())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_series_goes_in_and_out_within_bounds() -> Result<()> {
    let server = Server::start_with_config("[seal]\nquiet_s = 100000\n")?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let count = instances()?;
    let say = |what: &str, peak: u64, begun: Instant| {
        println!("{what}: {} MB resident at most, {:.1} s", peak / 1_000_000, begun.elapsed().as_secs_f64());
        ensure!(peak < RESIDENT_ALLOWED, "{what}: {peak}");
        Ok(())
    };
    println!("idle: {} MB resident", resident(&server)? / 1_000_000);
    let study = SmallInstance::new(1, 1, 1, 1).study;
    let (watch, begun) = (Watch::begin(&server)?, Instant::now());
    for numbers in (1..=count).collect::<Vec<_>>().chunks(AT_ONCE) {
        let files: Vec<_> = numbers.iter().map(|number| SmallInstance::new(1, 1, 1, *number).file()).collect();
        let (status, answer) = stow(&http, &server, &token, &files).await?;
        ensure!(status.is_success(), "{status}: {answer}");
    }
    say("stored", watch.end()?.resident, begun)?;
    println!("after: {} MB resident", resident(&server)? / 1_000_000);
    for (what, path, accept, least) in [
        ("the study", "", "multipart/related; type=\"application/dicom\"; transfer-syntax=*", 1_700),
        ("metadata", "/metadata", "application/dicom+json", 1_000),
    ] {
        let (watch, begun) = (Watch::begin(&server)?, Instant::now());
        let answer = get(&http, &server, &token, &format!("/dicom-web/studies/{study}{path}"), accept).await?;
        ensure!(answer.status().is_success(), "{what}: {}", answer.status());
        let (mut pieces, mut read) = (answer.bytes_stream(), 0);
        while let Some(piece) = pieces.next().await {
            read += piece?.len();
        }
        ensure!(read > count as usize * least, "{what}: {read} bytes");
        say(what, watch.end()?.resident, begun)?;
    }
    Ok(())
}
