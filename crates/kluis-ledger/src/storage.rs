//! The file operations that a log is made of, so that a simulation can stand in for them.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One directory with what is below it. Names are made by the log, never by input; `/` parts the directories in them, and
/// the directory itself is `""`.
pub trait Storage: Send + Sync + 'static {
    /// Makes the directory itself where it is missing, durably.
    ///
    /// # Errors
    /// What the system says; so for all of them.
    fn make(&self) -> io::Result<()>;
    /// Keeps every other process out, until what it returns is dropped; `WouldBlock` where another one was first.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>>;
    /// A file that exists, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;
    /// An empty file, in the place of one that exists; makes the directories that lead to it.
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;
    /// Everything that a file holds.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// The names of all files in a directory, without those that lead to it.
    fn list(&self, name: &str) -> io::Result<Vec<String>>;
    /// Gives a file another name, in the place of one that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a directory with all files in it.
    fn remove_directory(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_directory(&self, name: &str) -> io::Result<()>;
}

/// One open file. All calls take their place in the file as an argument.
pub trait LogFile: Send + Sync {
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
    /// Cuts the file.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Takes the space for bytes behind the end of the file, which does not grow by it, so that writing them cannot fail
    /// for lack of space. A storage that cannot do that does nothing.
    fn reserve(&self, offset: u64, length: u64) -> io::Result<()> {
        let _ = (offset, length);
        Ok(())
    }
}

/// Writes everything.
pub(crate) fn write_full(file: &dyn LogFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
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

/// A file from a place on, as a stream.
pub(crate) struct Input {
    pub(crate) file: Arc<dyn LogFile>,
    pub(crate) at: u64,
}

impl io::Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

/// A directory of the file system.
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Storage for Directory {
    fn make(&self) -> io::Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.path)?;
        // its own name must last as well, or all that is in it goes with it
        File::open(parent(&self.path))?.sync_all()
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>> {
        let file = File::options().create(true).truncate(false).write(true).open(self.path.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(self.path.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(parent(&path))?;
                Ok(Arc::new(options.open(&path)?))
            }
            opened => Ok(Arc::new(opened?)),
        }
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn list(&self, name: &str) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.path.join(name))?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        // a name that is no text is none of ours
        entries.filter_map(Result::transpose).collect()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove_directory(&self, name: &str) -> io::Result<()> {
        fs::remove_dir_all(self.path.join(name))
    }

    fn sync_directory(&self, name: &str) -> io::Result<()> {
        let path = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        File::open(path)?.sync_all()
    }
}

impl LogFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync writes the length as well where it changed
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn reserve(&self, offset: u64, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, rustix::fs::FallocateFlags::KEEP_SIZE, offset, length) {
            // some file systems know no such thing
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            reserved => Ok(reserved?),
        }
    }
}
