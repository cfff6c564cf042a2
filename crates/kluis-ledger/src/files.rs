//! The files of one log. Every name is made here from numbers; nothing that was typed or received becomes part of a path.

use std::{collections::BTreeSet, io, sync::Arc};

use crate::{
    edge::{Tile, hashes_of},
    error::LedgerError,
    hash::Hash,
    limits::{NOTE_BYTES, TILE_WIDTH},
    path::{TileKind, TilePath},
    storage::{LogFile, Storage, write_full},
};

pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const JOURNAL: &str = "entries.log";
pub(crate) const LOCK: &str = "lock";
const NEW: &str = ".new";

pub(crate) struct Files {
    storage: Arc<dyn Storage>,
}

impl Files {
    pub(crate) fn create(storage: Arc<dyn Storage>) -> Result<Self, LedgerError> {
        storage.make().map_err(LedgerError::io("create", "the directory of the log"))?;
        Ok(Self { storage })
    }

    pub(crate) fn lock(&self) -> Result<Box<dyn Send + Sync>, LedgerError> {
        self.storage.lock(LOCK).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => LedgerError::Locked,
            _ => LedgerError::io("lock", LOCK)(error),
        })
    }

    /// A file that must be there.
    pub(crate) fn open(&self, name: &str) -> Result<Arc<dyn LogFile>, LedgerError> {
        self.storage.open(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => LedgerError::Missing(name.to_owned()),
            _ => LedgerError::io("open", name)(error),
        })
    }

    /// The bytes of a tile, `None` where there is none.
    pub(crate) fn read(&self, path: TilePath) -> Result<Option<Vec<u8>>, LedgerError> {
        let name = path.to_string();
        match self.storage.read(&name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LedgerError::io("read", &name)(error)),
        }
    }

    /// The 256 hashes of a full tile.
    pub(crate) fn full_hashes(&self, level: u8, index: u64) -> Result<Vec<Hash>, LedgerError> {
        let path = TilePath::full(TileKind::Hashes(level), index);
        let bytes = self.read(path)?.ok_or_else(|| LedgerError::Missing(path.to_string()))?;
        match hashes_of(&bytes) {
            Some(hashes) if hashes.len() as u64 == TILE_WIDTH => Ok(hashes),
            _ => {
                let leaves = crate::path::leaves_per_hash(level).unwrap_or(0).saturating_mul(TILE_WIDTH);
                Err(LedgerError::Damaged { file: path.to_string(), index: index.saturating_mul(leaves) })
            }
        }
    }

    /// Writes a tile whole or not at all, but not durably: until [`Files::sync`] the journal can make it again.
    pub(crate) fn write(&self, path: TilePath, bytes: &[u8]) -> Result<(), LedgerError> {
        let name = path.to_string();
        let fresh = format!("{name}{NEW}");
        let file = self.storage.create(&fresh).map_err(LedgerError::io("create", &name))?;
        write_full(&*file, bytes, 0).map_err(LedgerError::io("write", &name))?;
        self.storage.rename(&fresh, &name).map_err(LedgerError::io("rename", &name))
    }

    /// Writes a tile where the file does not hold these bytes already. Returns whether it wrote.
    pub(crate) fn renew(&self, tile: &Tile) -> Result<bool, LedgerError> {
        if self.read(tile.path)?.as_ref() == Some(&tile.bytes) {
            return Ok(false);
        }
        self.write(tile.path, &tile.bytes)?;
        Ok(true)
    }

    /// Makes tiles durable, with the names of the directories that lead to them.
    pub(crate) fn sync(&self, paths: &[TilePath]) -> Result<(), LedgerError> {
        let mut directories = BTreeSet::new();
        for path in paths {
            let name = path.to_string();
            self.storage.open(&name).and_then(|file| file.sync()).map_err(LedgerError::io("sync", &name))?;
            let mut directory = name.as_str();
            while let Some((above, _)) = directory.rsplit_once('/') {
                directories.insert(above.to_owned());
                directory = above;
            }
            directories.insert(String::new());
        }
        for directory in directories {
            self.storage.sync_directory(&directory).map_err(LedgerError::io("sync", "a directory of the log"))?;
        }
        Ok(())
    }

    /// Widths of the partial files beside a tile, ascending.
    pub(crate) fn partial_widths(&self, kind: TileKind, index: u64) -> Result<Vec<u8>, LedgerError> {
        let name = format!("{}.p", TilePath::full(kind, index));
        let names = match self.storage.list(&name) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(LedgerError::io("list", &name)(error)),
        };
        let mut widths: Vec<u8> = names.iter().filter_map(|name| name.parse().ok()).collect();
        widths.sort_unstable();
        Ok(widths)
    }

    /// Drops the partial files of a tile that is full by now. What stays behind does no harm.
    pub(crate) fn drop_partials(&self, kind: TileKind, index: u64) {
        let name = format!("{}.p", TilePath::full(kind, index));
        if let Err(error) = self.storage.remove_directory(&name)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, name, "partial tiles stay behind");
        }
    }

    /// The checkpoint as it is on disk.
    pub(crate) fn read_checkpoint(&self) -> Result<Option<String>, LedgerError> {
        match self.storage.read(CHECKPOINT) {
            Ok(bytes) if bytes.len() > NOTE_BYTES => Err(crate::checkpoint::CheckpointError::Form.into()),
            Ok(bytes) => Ok(Some(String::from_utf8(bytes).map_err(|_| crate::checkpoint::CheckpointError::Form)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LedgerError::io("read", CHECKPOINT)(error)),
        }
    }

    /// Replaces the checkpoint, durably on return.
    pub(crate) fn write_checkpoint(&self, note: &str) -> Result<(), LedgerError> {
        self.replace(CHECKPOINT, note.as_bytes())
    }

    /// Makes the names of journal and checkpoint durable.
    pub(crate) fn sync_names(&self) -> Result<(), LedgerError> {
        self.storage.sync_directory("").map_err(LedgerError::io("sync", "a directory of the log"))
    }

    /// Replaces a file whole or not at all, durably on return.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        replace(&*self.storage, name, name, bytes)
    }
}

/// Replaces a file whole or not at all, durably on return; `what` is what an error calls it.
pub(crate) fn replace(storage: &dyn Storage, name: &str, what: &str, bytes: &[u8]) -> Result<(), LedgerError> {
    let fresh = format!("{name}{NEW}");
    let file = storage.create(&fresh).map_err(LedgerError::io("create", what))?;
    write_full(&*file, bytes, 0).and_then(|()| file.sync()).map_err(LedgerError::io("write", what))?;
    storage.rename(&fresh, name).map_err(LedgerError::io("rename", what))?;
    storage.sync_directory("").map_err(LedgerError::io("sync", "a directory of the log"))
}
