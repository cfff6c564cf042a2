//! `kluis import`: files, folders and ZIP files, one report per file; a bad file does not stop the others.

use std::{path::PathBuf, sync::Arc};

use anyhow::Result;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    sources::{Collected, Source},
    zip_shelf::ZipShelf,
};
use crate::{client::Client, command::Output, say::say};

/// Files on their way at once: they share the syncs of the vault.
const AT_ONCE: usize = 4;

/// What became of the files.
#[derive(Debug, Default)]
struct Report {
    stored: u64,
    known: u64,
    skipped: Vec<(String, &'static str)>,
    failed: Vec<(String, String)>,
}

/// Imports the paths; `false` where a file failed.
pub(crate) async fn run(clients: Vec<Client>, paths: &[PathBuf], output: &Output) -> Result<bool> {
    let Collected { sources, skipped, failed } = Collected::from(paths)?;
    let report = Report { skipped, failed, ..Report::default() };
    let progress = progress(sources.len() as u64, output);
    let sources = Arc::new(Mutex::new(sources));
    let report = Arc::new(Mutex::new(report));
    let shelf = Arc::new(ZipShelf::default());
    let mut workers = JoinSet::new();
    for client in clients.into_iter().take(AT_ONCE) {
        let (sources, report, progress) = (Arc::clone(&sources), Arc::clone(&report), progress.clone());
        let shelf = Arc::clone(&shelf);
        workers.spawn(async move {
            loop {
                let Some(source) = sources.lock().await.pop_front() else { return };
                let result = send(&client, &source, &shelf).await;
                report.lock().await.note(&source, result);
                progress.inc(1);
            }
        });
    }
    while workers.join_next().await.is_some() {}
    progress.finish_and_clear();
    let report = report.lock().await;
    report.print(output);
    Ok(report.failed.is_empty())
}

/// How many clients make sense.
pub(crate) const fn clients_wanted() -> usize {
    AT_ONCE
}

impl Report {
    fn note(&mut self, source: &Source, result: Result<Value>) {
        match result {
            Ok(answer) if answer.get("duplicate").and_then(Value::as_bool) == Some(true) => self.known += 1,
            Ok(_) => self.stored += 1,
            Err(error) => self.failed.push((source.name(), format!("{error:#}"))),
        }
    }

    fn print(&self, output: &Output) {
        let failed: Vec<Value> =
            self.failed.iter().map(|(path, error)| json!({ "path": path, "error": error })).collect();
        let skipped: Vec<Value> =
            self.skipped.iter().map(|(path, why)| json!({ "path": path, "reason": why })).collect();
        let document = json!({ "stored": self.stored, "known": self.known, "failed": failed, "skipped": skipped });
        output.print(&document, || {
            for (path, why) in &self.skipped {
                say!("skipped  {path}: {why}");
            }
            for (path, error) in &self.failed {
                say!("failed   {path}: {error}");
            }
            say!(
                "{} stored, {} known before, {} skipped, {} failed",
                self.stored,
                self.known,
                self.skipped.len(),
                self.failed.len()
            );
        });
    }
}

/// Shown beside text only.
pub(crate) fn progress(total: u64, output: &Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} files, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Sends one object; the answer of the node, or what was wrong.
async fn send(client: &Client, source: &Source, shelf: &Arc<ZipShelf>) -> Result<Value> {
    let (pieces, body) = mpsc::channel::<std::io::Result<Bytes>>(4);
    let (reading, shelf) = (source.clone(), Arc::clone(shelf));
    let reader = tokio::task::spawn_blocking(move || reading.read(&shelf, &pieces));
    let request = Request::builder()
        .method(Method::POST)
        .uri("/control/import")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/dicom")
        .header(header::ACCEPT, "application/json")
        .body(Body::from_stream(ReceiverStream::new(body)))?;
    let answer = client.send(request).await;
    // a node that refuses early stops reading: only what the reader itself found wrong counts then
    if let Ok(Err(error)) = reader.await
        && !matches!(&answer, Ok(answer) if answer.status == StatusCode::OK)
    {
        return Err(error);
    }
    answer?.into_json()
}
