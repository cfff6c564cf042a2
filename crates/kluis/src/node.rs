//! Puts the parts of a node together: keys, stores, archive. No decisions here.

use std::{fs::File, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use kluis_archive::{Archive, Clock, Disks, Floor, Parts, Replayed, Settings, SystemClock};
use kluis_dicom::limits::Limits;
use kluis_identity::{Authenticator, CertificateAuthority, Directory, Registrar};
use kluis_index::{
    Index,
    sqlite::{SqliteDirectory, SqliteIndex, SqliteKeyTable, SqliteOutbox, SqliteWorklist},
};
use kluis_keys::{KeyRing, LogSigner, RootProvider};
use kluis_ledger::Log;
use kluis_vault::{DiskVault, Gap, Position, Vault};
use zeroize::Zeroizing;

use crate::{config::Config, data_dir::DataDir};

/// Name of the sealed file with the key of the certificate authority.
pub(crate) const AUTHORITY_KEY: &str = "authority";

/// An archive with its stores open. The lock keeps every other process out.
pub(crate) struct Node {
    pub(crate) archive: Archive,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) authority: Arc<CertificateAuthority>,
    pub(crate) config: Config,
    pub(crate) replayed: Replayed,
    _lock: File,
}

impl Node {
    /// Writes down what is still in memory and lets go of the stores. No other user of the archive may be left.
    pub(crate) async fn close(self) -> Result<()> {
        self.archive.close().await.context("the last state could not be written; the next start makes good for it")
    }
}

/// Opens the stores, or says `None` where another process has them open.
pub(crate) async fn open(dir: &DataDir) -> Result<Option<Node>> {
    dir.require_initialised()?;
    let config = Config::read(&dir.config())?;
    let Some(lock) = dir.lock()? else { return Ok(None) };
    // nobody runs: what a killed node left behind tells addresses that are no longer true
    let _ = std::fs::remove_file(dir.addresses());
    require_what_cannot_be_made_anew(dir)?;
    let keys = KeyRing::open(&dir.keys(), &root_provider(dir, &config)?).context("cannot open the keys")?;
    let authority = Arc::new(read_authority(dir, &keys)?);
    let directory: Arc<dyn Directory> = Arc::new(
        SqliteDirectory::open(&dir.directory(), &keys.derive("directory/1"))
            .context("cannot open the directory of devices and people")?,
    );
    let index: Arc<dyn Index> = Arc::new(
        SqliteIndex::open(&dir.index().join("index.db"), &keys.derive("index/1"))
            .context("cannot open the index; `kluis index rebuild` makes it anew from the packs")?,
    );
    let key_table = SqliteKeyTable::open(&dir.key_table(), &keys.derive("keytable/1"))
        .context("cannot open the table of study keys")?;
    if !dir.outbox().exists() && std::fs::read_dir(dir.packs()).is_ok_and(|mut packs| packs.next().is_some()) {
        tracing::warn!(file = %dir.outbox().display(), "is missing and is made anew: what was still to be sent is forgotten");
    }
    let outbox = SqliteOutbox::open(&dir.outbox(), &keys.derive("outbox/1"))
        .context("cannot open the outbox; without it, what is still to be sent is forgotten")?;
    let worklist = SqliteWorklist::open(&dir.worklist(), &keys.derive("worklist/1"))
        .context("cannot open the worklist; restore it from the backup")?;
    let authenticator = Arc::new(Authenticator::new(Arc::clone(&directory)));
    let (vault, gaps) = open_vault(dir, index.as_ref()).await?;
    let parts = Parts {
        objects: Arc::new(open_log(dir, &keys, "objects")?),
        audit: Arc::new(open_log(dir, &keys, "audit")?),
        authenticator: Arc::clone(&authenticator),
        registrar: Registrar::new(directory, Arc::clone(&authority)),
        vault,
        gaps,
        key_table: Arc::new(key_table),
        outbox: Arc::new(outbox),
        worklist: Arc::new(worklist),
        keys,
        index,
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
    };
    let settings = Settings {
        memory_bytes: config.limits.memory_bytes,
        limits: Limits { object_bytes: config.limits.object_bytes, ..Limits::default() },
        seal_after: Duration::from_secs(config.seal.quiet_s),
        routes: config.routes()?.into(),
        floor: Floor::new(
            Arc::new(Disks::new([dir.packs(), dir.index(), dir.ledger(), dir.keys()])),
            config.limits.free_bytes,
        ),
    };
    let (archive, replayed) = Archive::open(parts, settings).await.context("cannot open the archive")?;
    Ok(Some(Node { archive, authenticator, authority, config, replayed, _lock: lock }))
}

/// A store that is empty where the packs are not would let the node run on, and show what it cannot read.
fn require_what_cannot_be_made_anew(dir: &DataDir) -> Result<()> {
    let is_in_use = std::fs::read_dir(dir.packs()).is_ok_and(|mut packs| packs.next().is_some());
    if !is_in_use {
        return Ok(());
    }
    if !dir.key_table().exists() {
        bail!(
            "{} is missing: without the study keys no image can be read; restore it from the backup",
            dir.key_table().display()
        );
    }
    if !dir.directory().exists() {
        bail!(
            "{} is missing: it holds devices, people and tokens; restore it from the backup, or make an empty file of \
             that name and enrol them again",
            dir.directory().display()
        );
    }
    Ok(())
}

fn read_authority(dir: &DataDir, keys: &KeyRing) -> Result<CertificateAuthority> {
    let key = keys.read_sealed_file(AUTHORITY_KEY)?.context("the key of the certificate authority is missing")?;
    let path = dir.ca_certificate();
    let certificate = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    CertificateAuthority::load(&key, &certificate).with_context(|| format!("{} is not ours", path.display()))
}

async fn open_vault(dir: &DataDir, index: &dyn Index) -> Result<(Arc<dyn Vault>, Vec<Gap>)> {
    let vault = DiskVault::open(&dir.packs(), kluis_vault::Settings::default()).context("cannot open the packs")?;
    let safe = index
        .watermark()
        .await?
        .map_or_else(Position::default, |mark| Position { pack: mark.pack, offset: mark.offset });
    let recovery = vault.recover(safe).await.context("cannot recover the packs")?;
    for cut in &recovery.cuts {
        tracing::warn!(pack = cut.pack, offset = cut.offset, bytes = cut.bytes, "cut an unfinished record off a pack");
    }
    Ok((Arc::new(vault), recovery.gaps))
}

/// Opens a log, or makes it where there is none.
fn open_log(dir: &DataDir, keys: &KeyRing, name: &str) -> Result<Log> {
    let signer = Box::new(Signer(keys.log_signer(&format!("ledger-{name}"))?));
    let origin = format!("kluis.invalid/{}/{name}", site(keys));
    let key_file = dir.ledger().join(format!("{name}.vkey"));
    Log::open(&dir.ledger().join(name), &key_file, &origin, signer)
        .with_context(|| format!("cannot open the {name} log"))
}

/// Where a log that cannot be opened left what is remembered of it.
pub(crate) fn departure(dir: &DataDir, log: &str) -> Option<std::ops::Range<u64>> {
    let config = Config::read(&dir.config()).ok()?;
    let keys = KeyRing::open(&dir.keys(), &root_provider(dir, &config).ok()?).ok()?;
    kluis_archive::departure(&keys, log, &dir.ledger().join(log))
}

/// A name for this node that tells nothing, the same for its whole life.
fn site(keys: &KeyRing) -> String {
    keys.key_id("site/1", b"").to_string().chars().take(16).collect()
}

/// Signs checkpoints with a key of the ring.
struct Signer(LogSigner);

impl kluis_ledger::Signer for Signer {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// How the root key is opened, by the configuration.
pub(crate) fn root_provider(dir: &DataDir, config: &Config) -> Result<RootProvider> {
    match (&config.root_key.key_file, &config.root_key.passphrase_file) {
        (Some(_), Some(_)) => bail!("kluis.toml: [root_key] names both key_file and passphrase_file; keep one"),
        (Some(path), None) => Ok(RootProvider::KeyFile(path.clone())),
        (None, Some(path)) => Ok(RootProvider::Passphrase(read_passphrase(path)?)),
        (None, None) => Ok(RootProvider::KeyFile(default_key_file(dir))),
    }
}

/// Where the root key lies unless told otherwise.
pub(crate) fn default_key_file(dir: &DataDir) -> PathBuf {
    dir.keys().join("root.key")
}

/// The first line of the file.
pub(crate) fn read_passphrase(path: &std::path::Path) -> Result<Zeroizing<String>> {
    let mode = std::fs::metadata(path).map_or(0, |file| file.permissions().mode());
    if mode & 0o077 != 0 {
        bail!("{} can be read by others; `chmod 600 {}` closes it", path.display(), path.display());
    }
    let text = Zeroizing::new(
        std::fs::read_to_string(path).with_context(|| format!("cannot read the passphrase in {}", path.display()))?,
    );
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        bail!("the first line of {} is empty; it must be the passphrase", path.display());
    }
    Ok(Zeroizing::new(line.to_owned()))
}
