//! The files that a person names: paths, folders read to the bottom, entries of ZIP files; and their bytes, piece by piece.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::zip_shelf::ZipShelf;

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
pub(crate) enum Source {
    File(PathBuf),
    ZipEntry { zip: PathBuf, index: usize, name: String },
}

impl Source {
    /// For people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::ZipEntry { zip, name, .. } => format!("{}!{name}", zip.display()),
        }
    }

    /// Reads it, in pieces, until nobody takes them any more.
    pub(super) fn read(&self, shelf: &ZipShelf, pieces: &mpsc::Sender<std::io::Result<Bytes>>) -> Result<()> {
        match self {
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
}

/// What was found, and what was not taken, each with the reason.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) sources: VecDeque<Source>,
    pub(crate) skipped: Vec<(String, &'static str)>,
    pub(crate) failed: Vec<(String, String)>,
}

impl Collected {
    /// Looks through the paths.
    pub(crate) fn from(paths: &[PathBuf]) -> Result<Self> {
        let mut collected = Self::default();
        for path in paths {
            collect(path, &mut collected)?;
        }
        Ok(collected)
    }
}

/// Walks folders without following links: a medium must not lead out of itself.
fn collect(path: &Path, collected: &mut Collected) -> Result<()> {
    let kind = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let is_directory_file = path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR"));
    let mut waiting = vec![match (is_directory_file && kind.is_file(), path.parent()) {
        // the directory of a medium stands for the medium
        (true, Some(folder)) if !folder.as_os_str().is_empty() => folder.to_owned(),
        (true, _) => PathBuf::from("."),
        (false, _) => path.to_owned(),
    }];
    while let Some(path) = waiting.pop() {
        if collected.sources.len() + waiting.len() > ENTRIES_MAX {
            anyhow::bail!("more than {ENTRIES_MAX} files; take them in parts");
        }
        let kind = match fs::symlink_metadata(&path) {
            Ok(kind) => kind,
            Err(error) => {
                collected.failed.push((path.display().to_string(), format!("cannot be read: {error}")));
                continue;
            }
        };
        if kind.is_dir() {
            match list(&path) {
                Ok(mut inside) => waiting.append(&mut inside),
                // on a medium with bad places the others are still read
                Err(error) => collected.failed.push((path.display().to_string(), format!("cannot be listed: {error}"))),
            }
        } else if !kind.is_file() {
            collected.skipped.push((path.display().to_string(), "no plain file"));
        } else if path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR")) {
            collected.skipped.push((path.display().to_string(), "the directory of the medium; its files are read"));
        } else if is_zip(&path) {
            collect_zip(&path, collected);
        } else {
            collected.sources.push_back(Source::File(path));
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

fn collect_zip(path: &Path, collected: &mut Collected) {
    let opened = File::open(path).map_err(|error| error.to_string());
    let archive = opened.and_then(|file| zip::ZipArchive::new(file).map_err(|error| error.to_string()));
    let mut archive = match archive {
        Ok(archive) => archive,
        Err(error) => {
            collected.failed.push((path.display().to_string(), format!("no readable ZIP file: {error}")));
            return;
        }
    };
    for index in 0..archive.len() {
        match archive.by_index_raw(index) {
            Ok(entry) if entry.is_file() => {
                let name = entry.name().map_or_else(|_| format!("entry {index}"), |name| name.into_owned());
                if name.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case("DICOMDIR")) {
                    collected.skipped.push((name, "the directory of the medium; its files are read"));
                } else {
                    collected.sources.push_back(Source::ZipEntry { zip: path.to_owned(), index, name });
                }
            }
            Ok(_) => {}
            Err(error) => collected.failed.push((path.display().to_string(), error.to_string())),
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
