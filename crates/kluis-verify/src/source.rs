//! Where the files are: a folder or a ZIP file. Links are not followed, and no name of an entry is used as a path.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use zip::ZipArchive;

use crate::limits;

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The folder or file cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    /// It is a file, and no ZIP file.
    #[error("{0} is neither a folder nor a ZIP file: {1}")]
    NoZip(PathBuf, String),
    /// Two entries of a ZIP file have one name, so that programs differ in what it holds.
    #[error("{0} has two entries of one name")]
    TwoOfOneName(PathBuf),
    /// There are more files than an export can have.
    #[error("{0} holds too many files, or folders inside one another")]
    TooMany(PathBuf),
}

/// The files of an export.
pub(crate) struct Source {
    kind: Kind,
    /// Plain files, by their path from the top with `/` in between; the number of the entry in a ZIP file.
    files: BTreeMap<String, usize>,
    /// What is neither a plain file nor a folder, or has no name in Unicode.
    odd: Vec<String>,
}

enum Kind {
    Folder(PathBuf),
    Zip(Box<ZipArchive<BufReader<File>>>),
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        let read = |error| SourceError::Read(path.to_owned(), error);
        // the path itself was given by who asks, and may be a link
        if fs::metadata(path).map_err(read)?.is_dir() {
            let mut source = Self { kind: Kind::Folder(path.to_owned()), files: BTreeMap::new(), odd: Vec::new() };
            source.list_folder(path)?;
            return Ok(source);
        }
        let no_zip = |error: zip::result::ZipError| SourceError::NoZip(path.to_owned(), error.to_string());
        let file = BufReader::new(File::open(path).map_err(read)?);
        let mut archive = ZipArchive::new(file).map_err(no_zip)?;
        if archive.has_duplicate_names() {
            return Err(SourceError::TwoOfOneName(path.to_owned()));
        }
        if archive.len() > limits::FILES {
            return Err(SourceError::TooMany(path.to_owned()));
        }
        let (mut files, mut odd) = (BTreeMap::new(), Vec::new());
        for index in 0..archive.len() {
            match archive.by_index_raw(index) {
                Ok(entry) if entry.is_dir() => {}
                Ok(entry) => match std::str::from_utf8(entry.name_raw()) {
                    Ok(name) if !entry.is_symlink() => {
                        files.insert(name.to_owned(), index);
                    }
                    _ => odd.push(String::from_utf8_lossy(entry.name_raw()).into_owned()),
                },
                Err(error) => odd.push(format!("entry {index}: {error}")),
            }
        }
        Ok(Self { kind: Kind::Zip(Box::new(archive)), files, odd })
    }

    fn list_folder(&mut self, top: &Path) -> Result<(), SourceError> {
        let mut waiting = vec![(top.to_owned(), String::new(), 0)];
        while let Some((folder, prefix, depth)) = waiting.pop() {
            if depth > limits::DEPTH || self.files.len() + self.odd.len() + waiting.len() > limits::FILES {
                return Err(SourceError::TooMany(top.to_owned()));
            }
            let read = |error| SourceError::Read(folder.clone(), error);
            for entry in fs::read_dir(&folder).map_err(read)? {
                let entry = entry.map_err(read)?;
                let name = entry.file_name();
                let shown = format!("{prefix}{}", name.to_string_lossy());
                let kind = entry.file_type().map_err(read)?;
                match (kind.is_dir(), kind.is_file() && name.to_str().is_some()) {
                    (true, _) => waiting.push((entry.path(), format!("{shown}/"), depth + 1)),
                    (false, true) => {
                        self.files.insert(shown, 0);
                    }
                    (false, false) => self.odd.push(shown),
                }
            }
        }
        Ok(())
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &String> {
        self.files.keys()
    }

    pub(crate) fn holds(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    pub(crate) fn odd(&self) -> &[String] {
        &self.odd
    }

    /// Opens one of [`Source::files`].
    pub(crate) fn file(&mut self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let index = *self.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        match &mut self.kind {
            Kind::Folder(top) => Ok(Box::new(File::open(top.join(name))?)),
            Kind::Zip(archive) => Ok(Box::new(archive.by_index(index).map_err(io::Error::other)?)),
        }
    }
}
