//! ZIP files that are being read: their directory is read once, and not again for each of perhaps a million entries.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use zip::ZipArchive;

/// ZIP files whose directory is kept: entries come in the order of their files.
const KEPT: usize = 2;

/// The ZIP files that are being read.
#[derive(Default)]
pub(super) struct ZipShelf {
    /// Last used last.
    kept: Mutex<Vec<(PathBuf, ZipArchive<PlacedFile>)>>,
}

impl ZipShelf {
    /// The ZIP file, to be read by one reader. Blocks.
    pub(super) fn open(&self, path: &Path) -> Result<ZipArchive<PlacedFile>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(known, _)| known == path).map(|at| kept.remove(at));
        let (path, archive) = match found {
            Some(found) => found,
            None => {
                let file = File::open(path).context("cannot be opened")?;
                (path.to_owned(), ZipArchive::new(PlacedFile { file: Arc::new(file), at: 0 })?)
            }
        };
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        // a clone shares the directory
        kept.push((path, archive.clone()));
        Ok(archive)
    }
}

/// A file with a place of its own for each reader.
#[derive(Clone)]
pub(super) struct PlacedFile {
    file: Arc<File>,
    at: u64,
}

impl Read for PlacedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

impl Seek for PlacedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn readers_of_one_file_do_not_move_one_another_and_its_directory_is_read_once() {
        let folder = tempfile::TempDir::new().unwrap();
        let paths: Vec<PathBuf> = (0..3).map(|number| folder.path().join(format!("{number}.zip"))).collect();
        for path in &paths {
            let mut writer = zip::ZipWriter::new(File::create(path).unwrap());
            for name in ["one", "two"] {
                writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
                writer.write_all(name.repeat(1_000).as_bytes()).unwrap();
            }
            writer.finish().unwrap();
        }
        let shelf = ZipShelf::default();
        let (mut first, mut second) = (shelf.open(&paths[0]).unwrap(), shelf.open(&paths[0]).unwrap());
        let (mut one, mut two) = (first.by_index(0).unwrap(), second.by_index(1).unwrap());
        let (mut start, mut whole) = ([0; 10], String::new());
        one.read_exact(&mut start).unwrap();
        two.read_to_string(&mut whole).unwrap();
        assert_eq!((&start, whole.len()), (b"oneoneoneo", 3_000));
        one.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"neoneoneon");
        drop((one, two));

        // without the file's end there is no directory any more, but it is known
        File::options().write(true).open(&paths[0]).unwrap().set_len(100).unwrap();
        assert_eq!(shelf.open(&paths[0]).unwrap().len(), 2);
        shelf.open(&paths[1]).unwrap();
        shelf.open(&paths[2]).unwrap();
        assert!(shelf.open(&paths[0]).is_err(), "no more than {KEPT} are kept");
    }
}
