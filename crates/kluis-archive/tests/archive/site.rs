//! An archive in a directory, and what the tests do with it.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt;
use kluis_archive::{
    Archive, Clock, Expected, Incoming, Origin, Parts, Permit, Refused, Replayed, RetrieveError, Settings, StoreError,
    Stored, VerifyOptions, VerifyReport, act,
};
use kluis_dicom::{
    part10::Source,
    query::{Level, Query},
};
use kluis_identity::{Authenticator, CertificateAuthority, Directory, Registrar};
use kluis_index::{
    Index,
    sqlite::{SqliteDirectory, SqliteIndex, SqliteKeyTable, SqliteOutbox, SqliteWorklist},
};
use kluis_keys::{KeyRing, LogSigner, RootProvider};
use kluis_ledger::Log;
use kluis_policy::{Door, Principal, Role, Target, Transport};
use kluis_testkit::SmallInstance;
use kluis_vault::{DiskVault, Position, Vault};
use time::OffsetDateTime;

pub struct Signer(pub LogSigner);

impl kluis_ledger::Signer for Signer {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// A clock that tests move.
pub struct TestClock(pub Mutex<OffsetDateTime>);

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

pub fn clock() -> Arc<TestClock> {
    Arc::new(TestClock(Mutex::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap())))
}

pub async fn open(dir: &Path, clock: Arc<TestClock>) -> (Archive, Replayed) {
    let vault = DiskVault::open(&dir.join("packs"), kluis_vault::Settings::default()).unwrap();
    open_over(dir, clock, Arc::new(vault)).await
}

pub async fn open_over(dir: &Path, clock: Arc<TestClock>, vault: Arc<dyn Vault>) -> (Archive, Replayed) {
    open_with(dir, clock, vault, Settings::default()).await
}

pub async fn open_with(
    dir: &Path,
    clock: Arc<TestClock>,
    vault: Arc<dyn Vault>,
    settings: Settings,
) -> (Archive, Replayed) {
    let keys_dir = dir.join("keys");
    let provider = RootProvider::KeyFile(keys_dir.join("root.key"));
    let keys = if keys_dir.exists() {
        KeyRing::open(&keys_dir, &provider).unwrap()
    } else {
        KeyRing::create(&keys_dir, &provider).unwrap()
    };
    let log = |name: &str| {
        let signer = Box::new(Signer(keys.log_signer(name).unwrap()));
        Arc::new(Log::open(&dir.join(name), &dir.join(format!("{name}.vkey")), "example.org/log", signer).unwrap())
    };
    let (objects, audit) = (log("objects"), log("audit"));
    let index = Arc::new(SqliteIndex::open(&dir.join("index.db"), &keys.derive("index/1")).unwrap());
    let mark = index.watermark().await.unwrap();
    let safe = mark.map_or_else(Position::default, |m| Position { pack: m.pack, offset: m.offset });
    let gaps = vault.recover(safe).await.unwrap().gaps;
    let directory: Arc<dyn Directory> =
        Arc::new(SqliteDirectory::open(&dir.join("directory.db"), &keys.derive("directory/1")).unwrap());
    let authority = Arc::new(CertificateAuthority::create(clock.now()).unwrap());
    let outbox = Arc::new(SqliteOutbox::open(&dir.join("outbox.db"), &keys.derive("outbox/1")).unwrap());
    let parts = Parts {
        authenticator: Arc::new(Authenticator::new(Arc::clone(&directory))),
        registrar: Registrar::new(directory, authority),
        key_table: Arc::new(SqliteKeyTable::open(&dir.join("keys.db"), &keys.derive("keytable/1")).unwrap()),
        worklist: Arc::new(SqliteWorklist::open(&dir.join("worklist.db"), &keys.derive("worklist/1")).unwrap()),
        keys,
        index,
        vault,
        gaps,
        outbox,
        objects,
        audit,
        clock,
    };
    let settings = Settings { seal_after: Duration::from_secs(60), ..settings };
    Archive::open(parts, settings).await.unwrap()
}

/// Drops the archive as a crash would, with nothing written down, and lets its task see that.
pub async fn end(archive: Archive) {
    drop(archive);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

pub fn person(role: Role, referring: Option<&str>) -> Principal {
    Principal::Person { name: "someone".to_owned(), role, referring: referring.map(str::to_owned) }
}

pub const ORIGIN: Origin = Origin { door: Door::Web, peer: None };

pub async fn store(archive: &Archive, instance: &SmallInstance) -> Result<Stored, StoreError> {
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::Store { study: None }).await.unwrap();
    let incoming = Incoming { source: Source::File, expected: Expected::default(), transport: Transport::Local };
    let mut stream = archive.begin_store(permit, incoming);
    for slice in instance.file().chunks(100) {
        stream.write(slice).await?;
    }
    stream.finish().await
}

pub async fn permit(archive: &Archive, principal: &Principal, study: &str) -> Result<Permit<act::Retrieve>, Refused> {
    archive.admit(principal, ORIGIN, act::Retrieve { target: Target::study(study.parse().unwrap()) }).await
}

pub async fn data_sets(archive: &Archive, study: &str) -> Result<Vec<Vec<u8>>, RetrieveError> {
    let holding = archive.holding(permit(archive, &Principal::Operator, study).await.unwrap()).await?;
    let mut all = Vec::new();
    for instance in &holding.instances {
        let reader = archive.open_instance(&holding, instance).await?;
        let mut bytes = Vec::new();
        let mut parts = Box::pin(reader.data_set());
        while let Some(part) = parts.next().await {
            bytes.extend_from_slice(&part.unwrap());
        }
        all.push(bytes);
    }
    holding.complete();
    Ok(all)
}

pub async fn verify(archive: &Archive) -> VerifyReport {
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::VerifyArchive).await.unwrap();
    archive.verify(permit, VerifyOptions { full: true, since: Vec::new() }).await.unwrap()
}

pub async fn verify_is_clean(archive: &Archive) {
    let report = verify(archive).await;
    assert!(report.findings.is_empty(), "{report:?}");
}

/// Seals what is there, two minutes later.
pub async fn seal(archive: &Archive, clock: &TestClock) -> u32 {
    *clock.0.lock().unwrap() += Duration::from_secs(120);
    archive.seal_quiet().await.unwrap()
}

pub async fn count(archive: &Archive, principal: &Principal) -> usize {
    let permit = archive.admit(principal, ORIGIN, act::Search { level: kluis_policy::Level::Study }).await.unwrap();
    let found = archive.search(permit, &Query::all(Level::Study, 100)).await.unwrap();
    found.matches.len()
}
