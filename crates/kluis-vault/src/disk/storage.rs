//! The file operations that a disk vault is made of, so that a simulation can stand in for them.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::record::PAGE;

/// One directory of files. Names are made by the vault, never by input.
pub trait Storage: Send + Sync + 'static {
    /// The names of all files.
    ///
    /// # Errors
    /// What the system says; so for all of them.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A new file, for reading and writing; an error where the name is taken.
    fn create(&self, name: &str) -> io::Result<Arc<dyn PackFile>>;
    /// A file that exists, for reading and cutting.
    fn open(&self, name: &str) -> io::Result<Arc<dyn PackFile>>;
    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_directory(&self) -> io::Result<()>;
}

/// One open file. All calls take their place in the file as an argument, so that readers and the writer share it.
pub trait PackFile: Send + Sync {
    /// Reads some bytes; 0 at the end of the file.
    ///
    /// # Errors
    /// What the system says; so for all of them.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some bytes, at least one.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes what was written durable, the length included.
    fn sync(&self) -> io::Result<()>;
    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Cuts or extends the file.
    fn set_length(&self, length: u64) -> io::Result<()>;
}

/// Reads until the buffer is full; an `UnexpectedEof` error where the file ends first.
pub(super) fn read_full(file: &dyn PackFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = buffer.get_mut(read..).unwrap_or_default();
                offset = offset.saturating_add(read as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes everything.
pub(super) fn write_full(file: &dyn PackFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset = offset.saturating_add(written as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A directory of the file system: mode 0700, files 0600.
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens the directory; makes it where it is missing.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(path) {
            // The directory's own name must last as well, or its packs go with it.
            Ok(()) => File::open(parent(path))?.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path: path.into() })
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Storage for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        // A name that is no text is none of ours.
        entries.filter_map(Result::transpose).collect()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn PackFile>> {
        let path = self.path.join(name);
        let cached = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        // not every file system has it: then everything goes through the page cache
        let direct = OpenOptions::new().write(true).custom_flags(direct_flag()).open(&path).ok();
        Ok(Arc::new(DirectFile { cached, direct, is_refused: AtomicBool::new(false) }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn PackFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(target_os = "linux")]
fn direct_flag() -> i32 {
    rustix::fs::OFlags::DIRECT.bits().cast_signed()
}

#[cfg(not(target_os = "linux"))]
fn direct_flag() -> i32 {
    0
}

/// A new pack: whole pages are written past the page cache. They are read again, if at all, much later, and writeback
/// through the cache is slower than the disk.
struct DirectFile {
    cached: File,
    direct: Option<File>,
    /// The file system took the flag and refuses the write.
    is_refused: AtomicBool,
}

impl PackFile for DirectFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.cached, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let direct =
            self.direct.as_ref().filter(|_| is_paged(bytes, offset) && !self.is_refused.load(Ordering::Relaxed));
        let Some(direct) = direct else { return FileExt::write_at(&self.cached, bytes, offset) };
        match FileExt::write_at(direct, bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.is_refused.store(true, Ordering::Relaxed);
                FileExt::write_at(&self.cached, bytes, offset)
            }
            written => written,
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.cached.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        PackFile::length(&self.cached)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.cached.set_len(length)
    }
}

/// Whether a write covers whole pages, in memory and in the file.
fn is_paged(bytes: &[u8], offset: u64) -> bool {
    let page = PAGE as usize;
    offset.is_multiple_of(PAGE) && bytes.len().is_multiple_of(page) && bytes.as_ptr().align_offset(page) == 0
}

impl PackFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync writes the length as well where it changed.
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
