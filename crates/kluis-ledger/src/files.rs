//! The files of one log. Every name is made here from numbers; nothing that was typed or received becomes part of a path.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    edge::{Tile, hashes_of},
    error::LedgerError,
    hash::Hash,
    limits::{NOTE_BYTES, TILE_WIDTH},
    path::{TileKind, TilePath},
};

pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const JOURNAL: &str = "entries.log";
pub(crate) const LOCK: &str = "lock";
const NEW: &str = ".new";

#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    pub(crate) fn create(dir: &Path) -> Result<Self, LedgerError> {
        fs::create_dir_all(dir).map_err(LedgerError::io("create", "the directory of the log"))?;
        Ok(Self { dir: dir.to_owned() })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The bytes of a tile, `None` where there is none.
    pub(crate) fn read(&self, path: TilePath) -> Result<Option<Vec<u8>>, LedgerError> {
        let name = path.to_string();
        match fs::read(self.dir.join(&name)) {
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
        let target = self.dir.join(&name);
        let fresh = self.dir.join(format!("{name}{NEW}"));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(LedgerError::io("create the directory of", &name))?;
        }
        fs::write(&fresh, bytes).map_err(LedgerError::io("write", &name))?;
        fs::rename(&fresh, &target).map_err(LedgerError::io("rename", &name))
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
            let file = self.dir.join(&name);
            File::open(&file).and_then(|file| file.sync_all()).map_err(LedgerError::io("sync", &name))?;
            directories
                .extend(file.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.dir)).map(Path::to_owned));
        }
        for directory in directories {
            sync_directory(&directory)?;
        }
        Ok(())
    }

    /// Widths of the partial files beside a tile, ascending.
    pub(crate) fn partial_widths(&self, kind: TileKind, index: u64) -> Result<Vec<u8>, LedgerError> {
        let name = format!("{}.p", TilePath::full(kind, index));
        let mut widths = Vec::new();
        let entries = match fs::read_dir(self.dir.join(&name)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(widths),
            Err(error) => return Err(LedgerError::io("list", &name)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(LedgerError::io("list", &name))?;
            widths.extend(entry.file_name().to_str().and_then(|text| text.parse::<u8>().ok()));
        }
        widths.sort_unstable();
        Ok(widths)
    }

    /// Drops the partial files of a tile that is full by now. What stays behind does no harm.
    pub(crate) fn drop_partials(&self, kind: TileKind, index: u64) {
        let name = format!("{}.p", TilePath::full(kind, index));
        if let Err(error) = fs::remove_dir_all(self.dir.join(&name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, name, "partial tiles stay behind");
        }
    }

    /// The checkpoint as it is on disk.
    pub(crate) fn read_checkpoint(&self) -> Result<Option<String>, LedgerError> {
        match fs::read(self.dir.join(CHECKPOINT)) {
            Ok(bytes) if bytes.len() > NOTE_BYTES => Err(crate::checkpoint::CheckpointError::Form.into()),
            Ok(bytes) => Ok(Some(String::from_utf8(bytes).map_err(|_| crate::checkpoint::CheckpointError::Form)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LedgerError::io("read", CHECKPOINT)(error)),
        }
    }

    /// Replaces the checkpoint, durably on return.
    pub(crate) fn write_checkpoint(&self, note: &str) -> Result<(), LedgerError> {
        replace(&self.dir.join(CHECKPOINT), CHECKPOINT, note.as_bytes())
    }
}

/// Replaces a file whole or not at all, durably on return.
pub(crate) fn replace(target: &Path, name: &str, bytes: &[u8]) -> Result<(), LedgerError> {
    let mut fresh = target.as_os_str().to_owned();
    fresh.push(NEW);
    let mut file = File::create(&fresh).map_err(LedgerError::io("create", name))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(LedgerError::io("write", name))?;
    fs::rename(&fresh, target).map_err(LedgerError::io("rename", name))?;
    target.parent().map_or(Ok(()), sync_directory)
}

fn sync_directory(directory: &Path) -> Result<(), LedgerError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(LedgerError::io("sync", "a directory of the log"))
}
