//! The data directory: its fixed places, and the lock that lets one process at a time open the stores.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// `DIR`
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("kluis.toml")
    }

    pub(crate) fn ca_certificate(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Wrapped study keys: not derived from anything.
    pub(crate) fn key_table(&self) -> PathBuf {
        self.keys().join("keys.db")
    }

    /// Devices, people and tokens: not derived from anything.
    pub(crate) fn directory(&self) -> PathBuf {
        self.index().join("directory.db")
    }

    /// What is still to be done for others; not derived from anything.
    pub(crate) fn outbox(&self) -> PathBuf {
        self.index().join("outbox.db")
    }

    /// Entries of the worklist and performed steps: not derived from anything.
    pub(crate) fn worklist(&self) -> PathBuf {
        self.index().join("worklist.db")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    pub(crate) fn packs(&self) -> PathBuf {
        self.0.join("packs")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.0.join("ledger")
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.0.join("run").join("control.sock")
    }

    pub(crate) fn addresses(&self) -> PathBuf {
        self.0.join("run").join("addresses.json")
    }

    /// Whether a vault was made here.
    pub(crate) fn is_initialised(&self) -> bool {
        self.config().exists()
    }

    /// Makes the folders, readable by the owner only.
    pub(crate) fn create(&self) -> Result<()> {
        for folder in [self.0.clone(), self.keys(), self.index(), self.packs(), self.ledger(), self.0.join("run")] {
            private_folder(&folder)?;
        }
        Ok(())
    }

    /// Takes the lock; it goes with the process.
    pub(crate) fn lock(&self) -> Result<Option<File>> {
        // a backup need not hold this folder
        private_folder(&self.0.join("run"))?;
        let path = self.0.join("run").join("lock");
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}; is this a data directory?", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error).context("cannot lock the data directory"),
        }
    }

    /// Fails with a sentence that helps where no vault was made here.
    pub(crate) fn require_initialised(&self) -> Result<()> {
        if !self.is_initialised() {
            bail!("{} holds no vault; make one with `kluis init --data {}`", self.0.display(), self.0.display());
        }
        Ok(())
    }
}

fn private_folder(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("cannot restrict the folder {}", folder.display()))
}

/// Writes a file of which nobody ever sees a half: into a file beside it, synced, renamed.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    use std::io::Write;
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
