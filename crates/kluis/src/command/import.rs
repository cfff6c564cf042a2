//! `kluis import`: files, folders and ZIP files, one report per file; a bad file does not stop the others.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
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

use super::zip_shelf::ZipShelf;
use crate::{client::Client, command::Output, say::say};

/// Files on their way at once: they share the syncs of the vault.
const AT_ONCE: usize = 4;

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// Files and folders looked at, at most.
const ENTRIES_MAX: usize = 5_000_000;

/// A compressed entry may grow by this factor once it is larger than [`RATIO_FREE_BYTES`].
const RATIO_MAX: u64 = 100;

/// So much may come out of any entry.
const RATIO_FREE_BYTES: u64 = 16 << 20;

/// One object to be sent.
#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    ZipEntry { zip: PathBuf, index: usize, name: String },
}

impl Source {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::ZipEntry { zip, name, .. } => format!("{}!{name}", zip.display()),
        }
    }
}

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
    let mut report = Report::default();
    let mut sources = VecDeque::new();
    for path in paths {
        collect(path, &mut sources, &mut report)?;
    }
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

fn progress(total: u64, output: &Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} files, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Walks folders without following links: a medium must not lead out of itself.
fn collect(path: &Path, sources: &mut VecDeque<Source>, report: &mut Report) -> Result<()> {
    let kind = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let is_directory_file = path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR"));
    let mut waiting = vec![match (is_directory_file && kind.is_file(), path.parent()) {
        // the directory of a medium stands for the medium
        (true, Some(folder)) if !folder.as_os_str().is_empty() => folder.to_owned(),
        (true, _) => PathBuf::from("."),
        (false, _) => path.to_owned(),
    }];
    while let Some(path) = waiting.pop() {
        if sources.len() + waiting.len() > ENTRIES_MAX {
            anyhow::bail!("more than {ENTRIES_MAX} files; import them in parts");
        }
        let kind = match fs::symlink_metadata(&path) {
            Ok(kind) => kind,
            Err(error) => {
                report.failed.push((path.display().to_string(), format!("cannot be read: {error}")));
                continue;
            }
        };
        if kind.is_dir() {
            match list(&path) {
                Ok(mut inside) => waiting.append(&mut inside),
                // on a medium with bad places the others are still read
                Err(error) => report.failed.push((path.display().to_string(), format!("cannot be listed: {error}"))),
            }
        } else if !kind.is_file() {
            report.skipped.push((path.display().to_string(), "no plain file"));
        } else if path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR")) {
            report.skipped.push((path.display().to_string(), "the directory of the medium; its files are read"));
        } else if is_zip(&path) {
            collect_zip(&path, sources, report);
        } else {
            sources.push_back(Source::File(path));
        }
    }
    Ok(())
}

/// What is in a folder, last name first. All of it or an error: nothing is left out silently.
fn list(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let inside: std::io::Result<Vec<PathBuf>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let mut inside = inside?;
    inside.sort_unstable_by(|a, b| b.cmp(a));
    Ok(inside)
}

/// A ZIP file by its first bytes; a DICOM file has `DICM` behind its preamble, whatever the preamble is.
fn is_zip(path: &Path) -> bool {
    let mut start = [0; 132];
    let Ok(mut file) = File::open(path) else { return false };
    let read = file.read(&mut start).unwrap_or(0);
    start.get(..4) == Some(b"PK\x03\x04") && (read < 132 || start.get(128..132) != Some(b"DICM"))
}

fn collect_zip(path: &Path, sources: &mut VecDeque<Source>, report: &mut Report) {
    let opened = File::open(path).map_err(|error| error.to_string());
    let archive = opened.and_then(|file| zip::ZipArchive::new(file).map_err(|error| error.to_string()));
    let mut archive = match archive {
        Ok(archive) => archive,
        Err(error) => {
            report.failed.push((path.display().to_string(), format!("no readable ZIP file: {error}")));
            return;
        }
    };
    for index in 0..archive.len() {
        match archive.by_index_raw(index) {
            Ok(entry) if entry.is_file() => {
                let name = entry.name().map_or_else(|_| format!("entry {index}"), |name| name.into_owned());
                if name.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case("DICOMDIR")) {
                    report.skipped.push((name, "the directory of the medium; its files are read"));
                } else {
                    sources.push_back(Source::ZipEntry { zip: path.to_owned(), index, name });
                }
            }
            Ok(_) => {}
            Err(error) => report.failed.push((path.display().to_string(), error.to_string())),
        }
    }
}

/// Sends one object; the answer of the node, or what was wrong.
async fn send(client: &Client, source: &Source, shelf: &Arc<ZipShelf>) -> Result<Value> {
    let (pieces, body) = mpsc::channel::<std::io::Result<Bytes>>(4);
    let (reading, shelf) = (source.clone(), Arc::clone(shelf));
    let reader = tokio::task::spawn_blocking(move || read(&reading, &shelf, &pieces));
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

fn read(source: &Source, shelf: &ZipShelf, pieces: &mpsc::Sender<std::io::Result<Bytes>>) -> Result<()> {
    match source {
        Source::File(path) => {
            let file = File::open(path).context("cannot be opened")?;
            pass_on(file, u64::MAX, pieces)
        }
        Source::ZipEntry { zip, index, .. } => {
            let mut archive = shelf.open(zip)?;
            let entry = archive.by_index(*index)?;
            let most = entry.compressed_size().saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
            pass_on(entry, most, pieces)
        }
    }
}

fn pass_on(mut from: impl Read, most: u64, pieces: &mpsc::Sender<std::io::Result<Bytes>>) -> Result<()> {
    let mut passed: u64 = 0;
    loop {
        let mut piece = vec![0; READ_BYTES];
        let read = match from.read(&mut piece) {
            Ok(read) => read,
            Err(error) => {
                // an error in the body makes the node drop the object, instead of taking a part for the whole
                let _ = pieces.blocking_send(Err(std::io::Error::from(error.kind())));
                return Err(error).context("cannot be read");
            }
        };
        passed = passed.saturating_add(read as u64);
        if passed > most {
            let _ = pieces.blocking_send(Err(std::io::ErrorKind::InvalidData.into()));
            anyhow::bail!("the compressed entry grows by more than {RATIO_MAX} times");
        }
        piece.truncate(read);
        if read == 0 || pieces.blocking_send(Ok(piece.into())).is_err() {
            return Ok(());
        }
    }
}
