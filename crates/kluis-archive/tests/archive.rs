//! The archive on its real stores: SQLite, packs on disk, logs on disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt;
use kluis_archive::{
    Archive, Clock, Expected, Incoming, Origin, Outcome, Parts, Permit, Refused, Replayed, RetrieveError, Settings,
    StoreError, Stored, act,
};
use kluis_dicom::{
    part10::Source,
    query::{Level, Query},
};
use kluis_identity::{Authenticator, CertificateAuthority, Directory, Registrar};
use kluis_index::{
    Index,
    sqlite::{SqliteDirectory, SqliteIndex, SqliteKeyTable},
};
use kluis_keys::{KeyRing, LogSigner, RootProvider};
use kluis_ledger::Log;
use kluis_policy::{Door, Principal, Role, Target, Transport};
use kluis_testkit::SmallInstance;
use kluis_vault::{DiskVault, Position, Vault};
use tempfile::TempDir;
use time::OffsetDateTime;

struct Signer(LogSigner);

impl kluis_ledger::Signer for Signer {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// A clock that tests move.
struct TestClock(Mutex<OffsetDateTime>);

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock(Mutex::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap())))
}

async fn open(dir: &Path, clock: Arc<TestClock>) -> (Archive, Replayed) {
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
    let vault = DiskVault::open(&dir.join("packs"), kluis_vault::Settings::default()).unwrap();
    let mark = index.watermark().await.unwrap();
    vault.recover(mark.map_or_else(Position::default, |m| Position { pack: m.pack, offset: m.offset })).await.unwrap();
    let directory: Arc<dyn Directory> =
        Arc::new(SqliteDirectory::open(&dir.join("directory.db"), &keys.derive("directory/1")).unwrap());
    let authority = Arc::new(CertificateAuthority::create(clock.now()).unwrap());
    let parts = Parts {
        authenticator: Arc::new(Authenticator::new(Arc::clone(&directory))),
        registrar: Registrar::new(directory, authority),
        key_table: Arc::new(SqliteKeyTable::open(&dir.join("keys.db"), &keys.derive("keytable/1")).unwrap()),
        keys,
        index,
        vault: Arc::new(vault),
        objects,
        audit,
        clock,
    };
    let settings = Settings { seal_after: Duration::from_secs(60), ..Settings::default() };
    Archive::open(parts, settings).await.unwrap()
}

/// Drops the archive as a crash would, with nothing written down, and lets its task see that.
async fn end(archive: Archive) {
    drop(archive);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn person(role: Role, referring: Option<&str>) -> Principal {
    Principal::Person { name: "someone".to_owned(), role, referring: referring.map(str::to_owned) }
}

const ORIGIN: Origin = Origin { door: Door::Web, peer: None };

async fn store(archive: &Archive, instance: &SmallInstance) -> Result<Stored, StoreError> {
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::Store { study: None }).await.unwrap();
    let incoming = Incoming { source: Source::File, expected: Expected::default(), transport: Transport::Local };
    let mut stream = archive.begin_store(permit, incoming);
    for slice in instance.file().chunks(100) {
        stream.write(slice).await?;
    }
    stream.finish().await
}

async fn permit(archive: &Archive, principal: &Principal, study: &str) -> Result<Permit<act::Retrieve>, Refused> {
    archive.admit(principal, ORIGIN, act::Retrieve { target: Target::study(study.parse().unwrap()) }).await
}

async fn data_sets(archive: &Archive, study: &str) -> Result<Vec<Vec<u8>>, RetrieveError> {
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

async fn verify_is_clean(archive: &Archive) {
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::VerifyArchive).await.unwrap();
    let report = archive.verify(permit, true).await.unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
}

async fn count(archive: &Archive, principal: &Principal) -> usize {
    let permit = archive.admit(principal, ORIGIN, act::Search { level: kluis_policy::Level::Study }).await.unwrap();
    let found = archive.search(permit, &Query::all(Level::Study, 100)).await.unwrap();
    found.matches.len()
}

#[tokio::test]
async fn stored_bytes_come_back_hot_and_sealed() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    let instances: Vec<SmallInstance> = (1..=3).map(|number| SmallInstance::new(1, 1, 1, number)).collect();
    for instance in &instances {
        assert!(!store(&archive, instance).await.unwrap().is_duplicate);
    }
    assert!(store(&archive, &instances[0]).await.unwrap().is_duplicate);
    let sent: Vec<Vec<u8>> = instances.iter().map(SmallInstance::data_set_bytes).collect();
    assert!(data_sets(&archive, &instances[0].study).await.unwrap() == sent);
    verify_is_clean(&archive).await;

    *clock.0.lock().unwrap() += Duration::from_secs(120);
    assert_eq!(archive.seal_quiet().await.unwrap(), 1);
    assert_eq!(archive.seal_quiet().await.unwrap(), 0);
    assert!(data_sets(&archive, &instances[0].study).await.unwrap() == sent);
    assert!(store(&archive, &instances[0]).await.unwrap().is_duplicate, "known from the manifest");
    verify_is_clean(&archive).await;
}

#[tokio::test]
async fn conflict_is_kept_once_told_each_time_and_never_shown() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    let first = SmallInstance::new(1, 1, 1, 1);
    let mut second = first.clone();
    second.patient_name = "Other^Name".to_owned();
    store(&archive, &first).await.unwrap();
    for is_sealed in [false, true] {
        for _ in 0..2 {
            assert!(matches!(store(&archive, &second).await, Err(StoreError::Conflict { .. })), "{is_sealed}");
        }
        assert!(data_sets(&archive, &first.study).await.unwrap() == [first.data_set_bytes()]);
        verify_is_clean(&archive).await;
        *clock.0.lock().unwrap() += Duration::from_secs(120);
        archive.seal_quiet().await.unwrap();
        second.patient_name = "Third^Name".to_owned();
    }
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::VerifyArchive).await.unwrap();
    assert_eq!(archive.verify(permit, false).await.unwrap().objects, 3);
}

#[tokio::test]
async fn what_a_crash_takes_from_index_and_ledger_is_replayed() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let instances: Vec<SmallInstance> = (1..=5).map(|number| SmallInstance::new(1, number % 2, 1, number)).collect();
    {
        let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
        for instance in &instances {
            store(&archive, instance).await.unwrap();
        }
        // no settle: the watermark stays where it was
        end(archive).await;
    }
    for file in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(file));
    }
    std::fs::remove_dir_all(dir.path().join("objects")).unwrap();
    std::fs::remove_file(dir.path().join("objects.vkey")).unwrap();
    let (archive, replayed) = open(dir.path(), Arc::clone(&clock)).await;
    assert_eq!((replayed.objects, replayed.leaves), (5, 5));
    assert_eq!(count(&archive, &Principal::Operator).await, 2);
    verify_is_clean(&archive).await;

    archive.close().await.unwrap();
    let (archive, replayed) = open(dir.path(), clock).await;
    assert_eq!((replayed.records, replayed.objects, replayed.leaves), (0, 0, 0), "the watermark spares the work");
    verify_is_clean(&archive).await;
}

#[tokio::test]
async fn rebuilt_index_shows_what_the_old_one_showed() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    for number in 1..=4 {
        store(&archive, &SmallInstance::new(1, 1, number % 2, number)).await.unwrap();
    }
    *clock.0.lock().unwrap() += Duration::from_secs(120);
    assert_eq!(archive.seal_quiet().await.unwrap(), 2);
    let late = SmallInstance::new(1, 1, 1, 9);
    store(&archive, &late).await.unwrap();
    let before = data_sets(&archive, &late.study).await.unwrap();
    let rebuilt = archive.rebuild_index().await.unwrap();
    assert_eq!((rebuilt.objects, rebuilt.leaves), (5, 0));
    assert!(data_sets(&archive, &late.study).await.unwrap() == before);
    verify_is_clean(&archive).await;
}

#[tokio::test]
async fn gate_refuses_and_rows_are_filtered() {
    let dir = TempDir::new().unwrap();
    let (archive, _) = open(dir.path(), clock()).await;
    let instance = SmallInstance::new(1, 1, 1, 1);
    store(&archive, &instance).await.unwrap();
    for (principal, may_read, sees) in [
        (person(Role::Admin, None), true, Some(1)),
        (person(Role::Radiologist, None), true, Some(1)),
        (person(Role::Uploader, None), false, None),
        (person(Role::Auditor, None), false, None),
        // the study names no referring physician
        (person(Role::Referrer, Some("Doe^Jane")), false, Some(0)),
    ] {
        assert_eq!(permit(&archive, &principal, &instance.study).await.is_ok(), may_read, "{principal:?}");
        if let Some(sees) = sees {
            assert_eq!(count(&archive, &principal).await, sees, "{principal:?}");
        }
    }
}

#[tokio::test]
async fn dropped_permit_is_recorded_as_interrupted() {
    let dir = TempDir::new().unwrap();
    let (archive, _) = open(dir.path(), clock()).await;
    drop(permit(&archive, &person(Role::Admin, None), "1.2.3").await.unwrap());
    permit(&archive, &person(Role::Radiologist, None), "1.2.3").await.unwrap().finish(Outcome::Done);
    archive.settle().await.unwrap();
    let permit = archive
        .admit(&Principal::Operator, ORIGIN, act::ReadLedger { log: kluis_policy::LogName::Audit })
        .await
        .unwrap();
    // one begin for the minute, and an end for each outcome
    let path = "tile/entries/000.p/3";
    let bundle = archive.ledger_file(permit, path).await.unwrap();
    let text = String::from_utf8_lossy(&bundle.expect("one begin and two ends").to_vec()).into_owned();
    assert!(text.contains("\"interrupted\"") && text.contains("\"done\""), "{text}");
    assert!(!text.contains("1.2.3"), "an event names no UID: {text}");
}
