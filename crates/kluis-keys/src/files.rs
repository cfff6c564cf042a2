//! Files of the keys directory: mode 0600 in a directory of mode 0700, replaced as a whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use zeroize::Zeroizing;

use crate::{KeysError, crypto, limits};

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Makes the keys directory, or checks that it is closed to others.
pub(crate) fn make_directory(path: &Path) -> Result<(), KeysError> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Ok(()) => sync_directory(parent(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_directory(path),
        Err(source) => Err(io_error("make directory", path, source)),
    }
}

/// Refuses a keys directory that others can get into.
pub(crate) fn check_directory(path: &Path) -> Result<(), KeysError> {
    match fs::metadata(path) {
        Ok(metadata) => check_mode(path, &metadata, DIRECTORY_MODE),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(KeysError::FileMissing { path: path.into() }),
        Err(source) => Err(io_error("read", path, source)),
    }
}

/// The whole file, or `None` where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeysError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("open", path, source)),
    };
    let metadata = file.metadata().map_err(|source| io_error("read", path, source))?;
    if !metadata.is_file() {
        return Err(KeysError::Damaged { path: path.into(), what: "not a file" });
    }
    check_mode(path, &metadata, FILE_MODE)?;
    if metadata.len() > limits::FILE_BYTES {
        return Err(KeysError::Damaged { path: path.into(), what: "longer than any key file" });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).saturating_add(1)));
    file.take(limits::FILE_BYTES).read_to_end(&mut bytes).map_err(|source| io_error("read", path, source))?;
    Ok(Some(bytes))
}

/// Puts the file in place as a whole: written beside, synced, renamed, directory synced. Durable on return.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), KeysError> {
    let directory = parent(path);
    let suffix = u64::from_le_bytes(crypto::random());
    let beside = directory.join(format!(".{suffix:016x}.new"));
    let written = write_new(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if let Err(source) = written {
        // The first error is the one to tell; a file left beside is empty of use and never read.
        let _ = fs::remove_file(&beside);
        return Err(io_error("write", path, source));
    }
    sync_directory(directory)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory(path: &Path) -> Result<(), KeysError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|source| io_error("sync", path, source))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn check_mode(path: &Path, metadata: &fs::Metadata, wanted: u32) -> Result<(), KeysError> {
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeysError::TooOpen { path: path.into(), mode, wanted });
    }
    Ok(())
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> KeysError {
    KeysError::Io { operation, path: path.into(), source }
}
