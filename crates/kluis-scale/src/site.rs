//! A data directory as `kluis init` makes it and `kluis serve` opens it, opened in this process.

use std::{fs, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use kluis_archive::{Archive, Clock, Origin, Parts, Replayed, Settings, SystemClock};
use kluis_identity::{Authenticator, CertificateAuthority, Directory, Registrar};
use kluis_index::{
    Counts, Index,
    sqlite::{SqliteDirectory, SqliteIndex, SqliteKeyTable, SqliteOutbox, SqliteWorklist},
};
use kluis_keys::{KeyRing, LogSigner, RootProvider};
use kluis_ledger::Log;
use kluis_policy::{Door, Principal, Role, RowFilter};
use kluis_vault::{DiskVault, Position, Vault};

const AUTHORITY: &str = "authority";

/// Where the requests of the load come from.
pub const ORIGIN: Origin = Origin { door: Door::Dimse, peer: None };

/// The device that stores.
#[must_use]
pub fn device() -> Principal {
    let rights = "store,find".parse().unwrap_or_default();
    Principal::Device { ae: "LOADER".to_owned(), key_fingerprint: "0".repeat(64), rights }
}

/// The person that searches.
#[must_use]
pub fn radiologist() -> Principal {
    Principal::Person { name: "reader".to_owned(), role: Role::Radiologist, referring: None }
}

struct Signer(LogSigner);

impl kluis_ledger::Signer for Signer {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// Opens the archive in `dir`, and makes it where there is none.
///
/// # Errors
/// Where a part cannot be made or opened.
pub async fn open(dir: &Path, seal_after: Duration) -> Result<(Archive, Replayed)> {
    let provider = RootProvider::KeyFile(dir.join("keys/root.key"));
    if !dir.join("kluis.toml").exists() {
        create(dir, &provider)?;
    }
    let keys = KeyRing::open(&dir.join("keys"), &provider).context("cannot open the keys")?;
    let key = keys.read_sealed_file(AUTHORITY)?.context("the key of the authority is missing")?;
    let authority = CertificateAuthority::load(&key, &fs::read_to_string(dir.join("ca.pem"))?)?;
    let directory: Arc<dyn Directory> =
        Arc::new(SqliteDirectory::open(&dir.join("index/directory.db"), &keys.derive("directory/1"))?);
    let index: Arc<dyn Index> = Arc::new(SqliteIndex::open(&dir.join("index/index.db"), &keys.derive("index/1"))?);
    let vault = DiskVault::open(&dir.join("packs"), kluis_vault::Settings::default())?;
    let mark = index.watermark().await?;
    let safe = mark.map_or_else(Position::default, |m| Position { pack: m.pack, offset: m.offset });
    let gaps = vault.recover(safe).await?.gaps;
    let parts = Parts {
        objects: Arc::new(open_log(dir, &keys, "objects")?),
        audit: Arc::new(open_log(dir, &keys, "audit")?),
        authenticator: Arc::new(Authenticator::new(Arc::clone(&directory))),
        registrar: Registrar::new(directory, Arc::new(authority)),
        key_table: Arc::new(SqliteKeyTable::open(&dir.join("keys/keys.db"), &keys.derive("keytable/1"))?),
        outbox: Arc::new(SqliteOutbox::open(&dir.join("index/outbox.db"), &keys.derive("outbox/1"))?),
        worklist: Arc::new(SqliteWorklist::open(&dir.join("index/worklist.db"), &keys.derive("worklist/1"))?),
        keys,
        index,
        vault: Arc::new(vault),
        gaps,
        clock: Arc::new(SystemClock),
    };
    Ok(Archive::open(parts, Settings { seal_after, ..Settings::default() }).await?)
}

/// Counts the rows of the index. Nobody else may have it open.
///
/// # Errors
/// Where it cannot be read.
pub async fn counts(dir: &Path) -> Result<Counts> {
    let keys = KeyRing::open(&dir.join("keys"), &RootProvider::KeyFile(dir.join("keys/root.key")))?;
    let index = SqliteIndex::open(&dir.join("index/index.db"), &keys.derive("index/1"))?;
    Ok(index.counts(&RowFilter::All).await?)
}

fn create(dir: &Path, provider: &RootProvider) -> Result<()> {
    for folder in ["keys", "index", "packs", "ledger", "run"] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join(folder))?;
    }
    let keys = KeyRing::create(&dir.join("keys"), provider)?;
    let authority = CertificateAuthority::create(SystemClock.now())?;
    keys.write_sealed_file(AUTHORITY, &authority.key())?;
    fs::write(dir.join("ca.pem"), authority.certificate_pem())?;
    fs::write(dir.join("kluis.toml"), "")?;
    Ok(())
}

fn open_log(dir: &Path, keys: &KeyRing, name: &str) -> Result<Log> {
    let signer = Box::new(Signer(keys.log_signer(&format!("ledger-{name}"))?));
    let site: String = keys.key_id("site/1", b"").to_string().chars().take(16).collect();
    let folder = dir.join("ledger");
    let key_file = folder.join(format!("{name}.vkey"));
    Ok(Log::open(&folder.join(name), &key_file, &format!("kluis.invalid/{site}/{name}"), signer)?)
}
