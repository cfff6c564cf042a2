//! The floor of free space: below it no new object is taken, so that the trail, the index and reads go on.
//!
//! The floor holds what may still be written once it is reached: objects on their way in, sealing, tallies, checkpoints,
//! the write-ahead logs of the databases. See `docs/design/016-peers-and-room.md`.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::statvfs;

const GIB: u64 = 1 << 30;

/// Bytes of one object after which the space is looked at again.
pub(crate) const LOOK_EVERY_BYTES: u64 = 16 << 20;

/// Bytes for which the journal of the trail takes space beforehand. An entry has about 150 bytes, and there are two a
/// minute at most for each principal, study and act: this is for days in which another program keeps the disk full.
pub(crate) const TRAIL_RESERVE_BYTES: u64 = 64 << 20;

/// What a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes that we may still use.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// Tells how much space there is.
pub trait Space: fmt::Debug + Send + Sync {
    /// The file system with the least margin over its floor counts.
    ///
    /// # Errors
    /// What the system says.
    fn look(&self) -> io::Result<Vec<FreeSpace>>;
}

/// The file systems on which these directories lie.
#[derive(Debug)]
pub struct Disks {
    directories: Vec<PathBuf>,
}

impl Disks {
    /// Those of these directories; several on one file system are looked at once.
    #[must_use]
    pub fn new(directories: impl IntoIterator<Item = PathBuf>) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let mut seen = Vec::new();
        let mut kept = Vec::new();
        for directory in directories {
            let device = std::fs::metadata(&directory).map(|metadata| metadata.dev()).ok();
            if device.is_none() || !seen.contains(&device) {
                seen.push(device);
                kept.push(directory);
            }
        }
        Self { directories: kept }
    }
}

impl Space for Disks {
    fn look(&self) -> io::Result<Vec<FreeSpace>> {
        let look = |directory: &PathBuf| {
            let found = statvfs(directory)?;
            Ok(FreeSpace {
                free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
                total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            })
        };
        self.directories.iter().map(look).collect()
    }
}

/// How much must stay free.
#[derive(Debug, Clone, Default)]
pub struct Floor {
    space: Option<Arc<dyn Space>>,
    bytes: Option<u64>,
    is_below: Arc<AtomicBool>,
}

impl Floor {
    /// A floor of so many bytes; without a number a hundredth of the file system, at least 1 GiB and at most 16 GiB, but
    /// never more than a tenth of it.
    #[must_use]
    pub fn new(space: Arc<dyn Space>, bytes: Option<u64>) -> Self {
        Self { space: Some(space), bytes, is_below: Arc::default() }
    }

    /// Whether there is room for a new object. Told in the log when that changes. A file system that cannot be looked at
    /// is not taken for a full one: the write itself will tell.
    pub(crate) fn has_room(&self) -> bool {
        let Some(space) = &self.space else { return true };
        let found = match space.look() {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the free space cannot be looked at");
                return true;
            }
        };
        let short = found.iter().find(|space| space.free_bytes < self.bytes.unwrap_or_else(|| floor_of(space)));
        if self.is_below.swap(short.is_some(), Ordering::Relaxed) != short.is_some() {
            match short {
                Some(space) => tracing::error!(
                    free_bytes = space.free_bytes,
                    floor_bytes = self.bytes.unwrap_or_else(|| floor_of(space)),
                    "the disk is nearly full: new objects are refused, what is stored can be read"
                ),
                None => tracing::info!("there is room on the disk again: new objects are taken"),
            }
        }
        short.is_none()
    }
}

fn floor_of(space: &FreeSpace) -> u64 {
    (space.total_bytes / 100).clamp(GIB, 16 * GIB).min(space.total_bytes / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_floor_follows_the_disk() {
        for (total, floor) in
            [(0, 0), (GIB, GIB / 10), (10 * GIB, GIB), (50 * GIB, GIB), (500 * GIB, 5 * GIB), (100_000 * GIB, 16 * GIB)]
        {
            assert_eq!(floor_of(&FreeSpace { free_bytes: 0, total_bytes: total }), floor, "{total}");
        }
    }

    #[test]
    fn directories_of_one_disk_are_looked_at_once() {
        let place = tempfile::tempdir().unwrap();
        let disks = Disks::new([place.path().to_owned(), place.path().to_owned()]);
        let found = disks.look().unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].total_bytes >= found[0].free_bytes && found[0].total_bytes > 0);
        assert!(!Floor::new(Arc::new(disks), Some(u64::MAX)).has_room());
        assert!(Floor::default().has_room());
    }
}
