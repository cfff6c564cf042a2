//! `kluis export`: a study as a folder or ZIP file of DICOM files, whole or not at all.
//!
//! Everything is written under a temporary name beside its place, for the owner only, and moved there at the end.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{BufWriter, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use axum::body::Body;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use indicatif::{ProgressBar, ProgressStyle};
use kluis_web::{ExportFrame, ExportReader};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    cli::ExportArgs,
    client::Client,
    command::{Output, segment},
    data_dir::DataDir,
    say::say,
};

/// The name of the proof bundle beside the files.
const PROOF: &str = "proof.jsonl";

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Said where something would be written behind the end.
const CLOSED: &str = "the ZIP file is closed";

/// What was written.
#[derive(Debug, Default)]
struct Written {
    objects: u64,
    bytes: u64,
}

/// Exports the study.
pub(crate) async fn run(dir: &DataDir, client: &Client, args: &ExportArgs, output: &Output) -> Result<()> {
    let mut sink = Sink::create(&args.out)?;
    let written = tokio::select! {
        written = write(client, args, &mut sink, output) => written?,
        stopped = stopped() => return Err(stopped.err().unwrap_or_else(|| anyhow::anyhow!("interrupted; nothing was exported"))),
    };
    tokio::task::block_in_place(|| sink.finish())?;
    let out = args.out.display().to_string();
    let document = json!({
        "study": args.study, "out": out, "objects": written.objects, "bytes": written.bytes, "proof": args.proof,
    });
    output.print(&document, || {
        say!("{} objects, {} bytes in {out}", written.objects, written.bytes);
        if args.proof {
            say!("check it with: kluis-verify study {out} --key {}", dir.path().join("ledger/objects.vkey").display());
        }
    });
    Ok(())
}

/// Waits for a signal that ends the command, so that what was begun is removed.
async fn stopped() -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn write(client: &Client, args: &ExportArgs, sink: &mut Sink, output: &Output) -> Result<Written> {
    let path = format!("/control/export/{}?proof={}", segment(&args.study), args.proof);
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::ACCEPT, "application/octet-stream, application/json")
        .body(Body::empty())?;
    let mut body = client.stream(request).await?;
    let (mut reader, mut written) = (ExportReader::default(), Written::default());
    let progress = if output.is_json() { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}, {eta} left") {
        progress.set_style(style);
    }
    let mut is_whole = false;
    while let Some(piece) = body.frame().await {
        let piece = piece.map_err(|_| anyhow::anyhow!("the node broke off; its log says why"))?;
        reader.push(&piece.into_data().unwrap_or_default());
        while let Some(frame) = reader.next()? {
            ensure!(!is_whole, "the answer goes on behind its end");
            match &frame {
                ExportFrame::Begin { bytes, .. } => progress.set_length(*bytes),
                ExportFrame::File { .. } => written.objects += 1,
                ExportFrame::Data(data) => {
                    written.bytes += data.len() as u64;
                    progress.inc(data.len() as u64);
                }
                ExportFrame::Proof(_) => {}
                ExportFrame::End => is_whole = true,
            }
            tokio::task::block_in_place(|| sink.take(frame))?;
        }
    }
    progress.finish_and_clear();
    ensure!(is_whole, "the node broke off; its log says why");
    Ok(written)
}

/// Where the files go. Dropped unfinished it removes what it wrote.
struct Sink {
    out: PathBuf,
    /// The folder or file under its temporary name.
    temporary: PathBuf,
    kind: Kind,
    /// Bytes of the current file that are to come.
    left: u64,
    is_done: bool,
}

enum Kind {
    Folder {
        /// Whether the folder was there before, empty.
        is_old: bool,
        file: Option<BufWriter<File>>,
        proof: Option<BufWriter<File>>,
    },
    Zip {
        /// `None` once it is closed.
        writer: Option<Box<ZipWriter<BufWriter<File>>>>,
        /// Lines wait in a file without a name, as a ZIP file takes its entries one after the other.
        proof: Option<BufWriter<File>>,
    },
}

impl Sink {
    fn create(out: &Path) -> Result<Self> {
        let name = out.file_name().and_then(|name| name.to_str()).context("--out has no name at its end")?;
        let temporary_name = format!(".{name}.{}.partial", std::process::id());
        let beside = out.with_file_name(&temporary_name);
        let is_zip = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
        if is_zip {
            ensure!(fs::symlink_metadata(out).is_err(), "{} exists already", out.display());
            let file = new_file(&beside)?;
            let writer = Some(Box::new(ZipWriter::new(BufWriter::with_capacity(BUFFER_BYTES, file))));
            let kind = Kind::Zip { writer, proof: None };
            return Ok(Self { out: out.to_owned(), temporary: beside, kind, left: 0, is_done: false });
        }
        let is_old = match fs::read_dir(out) {
            Ok(mut inside) => {
                ensure!(inside.next().is_none(), "{} is not empty", out.display());
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => bail!("{} cannot be written to: {error}", out.display()),
        };
        // an old folder may be the root of a medium, beside which nothing can be moved into it
        let temporary = if is_old { out.join(temporary_name) } else { beside };
        new_folder(&temporary)?;
        let kind = Kind::Folder { is_old, file: None, proof: None };
        Ok(Self { out: out.to_owned(), temporary, kind, left: 0, is_done: false })
    }

    fn take(&mut self, frame: ExportFrame) -> Result<()> {
        match frame {
            ExportFrame::File { path, length } => self.begin(&path, length),
            ExportFrame::Data(bytes) => {
                self.left = self.left.checked_sub(bytes.len() as u64).context("a file is longer than was said")?;
                match &mut self.kind {
                    Kind::Folder { file, .. } => file.as_mut().context("bytes of no file")?.write_all(&bytes)?,
                    Kind::Zip { writer, .. } => writer.as_mut().context(CLOSED)?.write_all(&bytes)?,
                }
                Ok(())
            }
            ExportFrame::Proof(line) => self.proof(&line),
            ExportFrame::Begin { .. } => Ok(()),
            ExportFrame::End => self.end_of_file(),
        }
    }

    fn begin(&mut self, path: &str, length: u64) -> Result<()> {
        ensure!(is_media_path(path), "the node names a file in a way that it must not");
        self.end_of_file()?;
        self.left = length;
        match &mut self.kind {
            Kind::Folder { file, .. } => {
                let place = self.temporary.join(path);
                let mut folders: Vec<&Path> = place.ancestors().skip(1).collect();
                folders.retain(|folder| folder.starts_with(&self.temporary) && !folder.exists());
                for folder in folders.into_iter().rev() {
                    new_folder(folder)?;
                }
                *file = Some(BufWriter::with_capacity(BUFFER_BYTES, new_file(&place)?));
            }
            Kind::Zip { writer, .. } => writer.as_mut().context(CLOSED)?.start_file(path, options(length))?,
        }
        Ok(())
    }

    fn end_of_file(&mut self) -> Result<()> {
        ensure!(self.left == 0, "a file is shorter than was said");
        if let Kind::Folder { file, .. } = &mut self.kind
            && let Some(mut file) = file.take()
        {
            file.flush()?;
        }
        Ok(())
    }

    fn proof(&mut self, line: &[u8]) -> Result<()> {
        let proof = match &mut self.kind {
            Kind::Folder { proof: Some(proof), .. } | Kind::Zip { proof: Some(proof), .. } => proof,
            Kind::Folder { proof, .. } => proof.insert(BufWriter::new(new_file(&self.temporary.join(PROOF))?)),
            Kind::Zip { proof, .. } => {
                let place = self.temporary.with_extension("proof");
                let file = new_file(&place)?;
                fs::remove_file(&place)?;
                proof.insert(BufWriter::new(file))
            }
        };
        proof.write_all(line)?;
        proof.write_all(b"\n")?;
        Ok(())
    }

    /// Makes everything durable and moves it to its place.
    fn finish(mut self) -> Result<()> {
        match &mut self.kind {
            Kind::Folder { is_old, proof, .. } => {
                if let Some(mut proof) = proof.take() {
                    proof.flush()?;
                }
                sync_all(&self.temporary)?;
                if *is_old {
                    for name in ["ST000001", PROOF] {
                        let from = self.temporary.join(name);
                        if from.exists() {
                            fs::rename(from, self.out.join(name))?;
                        }
                    }
                    fs::remove_dir(&self.temporary)?;
                } else {
                    fs::rename(&self.temporary, &self.out).context("cannot be moved to its place")?;
                }
            }
            Kind::Zip { writer, proof } => {
                let mut writer = writer.take().context(CLOSED)?;
                if let Some(proof) = proof.take() {
                    let mut file = proof.into_inner().map_err(|error| error.into_error())?;
                    let length = file.stream_position()?;
                    file.rewind()?;
                    writer.start_file(PROOF, options(length))?;
                    std::io::copy(&mut file, writer.as_mut())?;
                }
                let file = writer.finish()?;
                file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
                ensure!(fs::symlink_metadata(&self.out).is_err(), "{} exists already", self.out.display());
                fs::rename(&self.temporary, &self.out).context("cannot be moved to its place")?;
            }
        }
        self.is_done = true;
        if let Some(folder) = self.out.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let removed = match self.kind {
            Kind::Folder { .. } => fs::remove_dir_all(&self.temporary),
            Kind::Zip { .. } => fs::remove_file(&self.temporary),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "what was begun cannot be removed: {}", self.temporary.display());
        }
    }
}

fn options(length: u64) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(length >= u64::from(u32::MAX))
        .unix_permissions(0o600)
}

/// File IDs of PS3.10 8.2, and nothing that leads elsewhere.
fn is_media_path(path: &str) -> bool {
    let is_name = |name: &str| {
        (1..=8).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    path.split('/').count() <= 8 && path.split('/').all(is_name)
}

fn new_file(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    opened.with_context(|| format!("cannot make {}", path.display()))
}

fn new_folder(path: &Path) -> Result<()> {
    DirBuilder::new().mode(0o700).create(path).with_context(|| format!("cannot make {}", path.display()))
}

/// Syncs what is in a folder, and the folder.
fn sync_all(folder: &Path) -> Result<()> {
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        }
        File::open(&path)?.sync_all()?;
    }
    Ok(())
}
