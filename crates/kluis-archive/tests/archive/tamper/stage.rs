//! A small archive on disk, and a copy of it in memory from which every manipulation is undone.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kluis_archive::{Archive, Parts, Place, Replayed, Settings, VerifyOptions, VerifyReport, act, departure};
use kluis_identity::{Authenticator, CertificateAuthority, Directory, Registrar};
use kluis_index::{
    Index,
    sqlite::{SqliteDirectory, SqliteIndex, SqliteKeyTable, SqliteOutbox, SqliteWorklist},
};
use kluis_keys::{KeyRing, RootProvider};
use kluis_ledger::{LedgerError, Log};
use kluis_policy::Principal;
use kluis_testkit::SmallInstance;
use kluis_vault::{DiskVault, Location, Position, RecordHeader, RecordKind, Vault};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::site::{ORIGIN, Signer, TestClock, clock, seal, store};

/// Files by their path in the directory.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

pub struct Stage {
    dir: TempDir,
    pub clock: Arc<TestClock>,
    pub pristine: Files,
    /// An earlier state, with fewer of everything.
    pub old: Files,
    pub records: Vec<(Location, RecordHeader)>,
    /// Saved elsewhere when the last object was in.
    pub notes: Vec<String>,
}

/// What came of looking at a manipulated archive.
pub struct Seen {
    pub report: VerifyReport,
    pub replayed: Replayed,
    pub cuts: Vec<u64>,
}

/// Why a store was not opened, and which.
#[derive(Debug)]
pub struct Refusal {
    pub what: String,
    pub place: Box<Place>,
    /// The entry from which on a log is not what is remembered of it.
    pub departed: Option<u64>,
}

fn settings() -> kluis_vault::Settings {
    // several packs, and objects with packs of their own, without megabytes
    kluis_vault::Settings { pack_bytes: 256 << 10, gathered_bytes: 160 << 10, ..kluis_vault::Settings::default() }
}

fn read(dir: &Path, files: &mut Files, root: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, files, root);
        } else {
            files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
}

impl Stage {
    pub async fn build() -> Self {
        let dir = TempDir::new().unwrap();
        let mut stage = Self {
            dir,
            clock: clock(),
            pristine: Files::new(),
            old: Files::new(),
            records: Vec::new(),
            notes: Vec::new(),
        };
        let instance = |study: u32, series: u32, number: u32| {
            let mut instance = SmallInstance::new(7, study, series, number);
            instance.side_pixels = 8;
            instance.modality = ["CT", "MR", "OT"][study as usize % 3].to_owned();
            instance.patient_name = format!("Proof^Study{study}=Other^Group{study}");
            instance
        };
        let (archive, ..) = stage.open().await.unwrap();
        for study in 1..=10 {
            for number in 0..10 {
                store(&archive, &instance(study, number % 2, number)).await.unwrap();
            }
        }
        assert_eq!(seal(&archive, &stage.clock).await, 20);
        // beside a manifest, and sealed with it once more
        for number in 10..13 {
            store(&archive, &instance(1, number % 2, number)).await.unwrap();
        }
        assert_eq!(seal(&archive, &stage.clock).await, 2);
        archive.close().await.unwrap();
        stage.old = stage.files();

        let (archive, ..) = stage.open().await.unwrap();
        for study in 11..=25 {
            for number in 0..10 {
                store(&archive, &instance(study, number % 2, number)).await.unwrap();
            }
        }
        for number in 20..23 {
            store(&archive, &instance(2, number % 2, number)).await.unwrap();
        }
        for (study, number) in [(1, 1), (3, 4), (12, 2), (13, 3), (14, 4)] {
            let mut other = instance(study, number % 2, number);
            other.patient_name = "Other^Name".to_owned();
            assert!(store(&archive, &other).await.is_err(), "a conflict is told");
        }
        // one that begins on a page of its own among others, and one that has a pack of its own
        for (number, side_pixels) in [(1, 360), (2, 420)] {
            let mut large = instance(20, 5, number);
            large.side_pixels = side_pixels;
            store(&archive, &large).await.unwrap();
        }
        let seen = verify(&archive, Vec::new()).await;
        assert!(seen.findings.is_empty(), "{:?}", seen.findings);
        archive.close().await.unwrap();

        let (archive, ..) = stage.open().await.unwrap();
        stage.notes = verify(&archive, Vec::new()).await.checkpoints.into_iter().map(|head| head.note).collect();
        archive.close().await.unwrap();
        stage.pristine = stage.files();
        let vault = DiskVault::open(&stage.path().join("packs"), settings()).unwrap();
        let mut from = Some(Position::START);
        while let Some(at) = from {
            let survey = vault.survey(at, 1_000).await.unwrap();
            assert!(survey.strays.is_empty(), "{:?}", survey.strays);
            stage.records.extend(survey.records);
            from = survey.next;
        }
        stage
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn files(&self) -> Files {
        let mut files = Files::new();
        read(self.path(), &mut files, self.path());
        files
    }

    /// Puts everything back as it was.
    pub fn restore(&self) {
        let now = self.files();
        for path in now.keys().filter(|path| !self.pristine.contains_key(*path)) {
            fs::remove_file(self.path().join(path)).unwrap();
        }
        for (path, bytes) in self.pristine.iter().filter(|(path, bytes)| now.get(*path) != Some(*bytes)) {
            self.write(path, bytes);
        }
    }

    pub fn write(&self, path: &Path, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        if path.parent().is_some_and(|parent| parent.ends_with("keys")) {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// Changes one file.
    pub fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.pristine[path].clone();
        change(&mut bytes);
        self.write(path, &bytes);
    }

    /// Puts these files back to their older state, those that were not there away.
    pub fn roll_back(&self, belongs: impl Fn(&Path) -> bool) {
        for path in self.pristine.keys().filter(|path| belongs(path)) {
            match self.old.get(path) {
                Some(bytes) => self.write(path, bytes),
                None => fs::remove_file(self.path().join(path)).unwrap(),
            }
        }
        for (path, bytes) in self.old.iter().filter(|(path, _)| belongs(path) && !self.pristine.contains_key(*path)) {
            self.write(path, bytes);
        }
    }

    fn keys(&self) -> KeyRing {
        let keys_dir = self.path().join("keys");
        let provider = RootProvider::KeyFile(keys_dir.join("root.key"));
        match keys_dir.exists() {
            true => KeyRing::open(&keys_dir, &provider).unwrap(),
            false => KeyRing::create(&keys_dir, &provider).unwrap(),
        }
    }

    /// A connection to one of the databases with its real key.
    pub fn sql(&self, file: &str, purpose: &str) -> Connection {
        let key = self.keys().derive(purpose);
        let connection = Connection::open(self.path().join(file)).unwrap();
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let begin = format!(
            "PRAGMA key = \"x'{hex}'\"; PRAGMA cipher_page_size = 8192; PRAGMA cipher_hmac_algorithm = HMAC_SHA256; PRAGMA foreign_keys = OFF;"
        );
        connection.execute_batch(&begin).unwrap();
        connection
    }

    pub fn index(&self) -> Connection {
        self.sql("index.db", "index/1")
    }

    /// Opens the archive, or says which store refused.
    pub async fn open(&self) -> Result<(Archive, Replayed, Vec<u64>), Refusal> {
        let dir = self.path();
        let keys = self.keys();
        let log = |name: &'static str| {
            let signer = Box::new(Signer(keys.log_signer(name).unwrap()));
            let key = dir.join(format!("{name}.vkey"));
            let opened = Log::open(&dir.join(name), &key, &format!("example.org/{name}"), signer);
            opened.map(Arc::new).map_err(|error| {
                let entry = match &error {
                    LedgerError::Damaged { index, .. } | LedgerError::Contradiction { index } => Some(*index),
                    LedgerError::Truncated { entries, .. } => Some(*entries),
                    _ => None,
                };
                // what contradicts its checkpoint as a whole is held against what is remembered
                let departed = match error {
                    LedgerError::Contradiction { .. } | LedgerError::Truncated { .. } => {
                        departure(&keys, name, &dir.join(name)).map(|range| range.start)
                    }
                    _ => None,
                };
                let place = Place { log: Some(name), entry, ..Place::default() };
                Refusal { what: error.to_string(), place: Box::new(place), departed }
            })
        };
        let database = |name: &'static str| {
            move |error: kluis_index::IndexError| Refusal {
                what: error.to_string(),
                place: Box::new(Place { row: Some(name.to_owned()), ..Place::default() }),
                departed: None,
            }
        };
        let (objects, audit) = (log("objects")?, log("audit")?);
        let index = SqliteIndex::open(&dir.join("index.db"), &keys.derive("index/1")).map_err(database("index.db"))?;
        let index = Arc::new(index);
        let directory = SqliteDirectory::open(&dir.join("directory.db"), &keys.derive("directory/1"));
        let directory: Arc<dyn Directory> = Arc::new(directory.map_err(database("directory.db"))?);
        let key_table = SqliteKeyTable::open(&dir.join("keys.db"), &keys.derive("keytable/1"));
        let key_table = Arc::new(key_table.map_err(database("keys.db"))?);
        let worklist = SqliteWorklist::open(&dir.join("worklist.db"), &keys.derive("worklist/1"));
        let worklist = Arc::new(worklist.map_err(database("worklist.db"))?);
        let vault = Arc::new(DiskVault::open(&dir.join("packs"), settings()).unwrap());
        let mark = index.watermark().await.map_err(database("index.db"))?;
        let safe = mark.map_or_else(Position::default, |mark| Position { pack: mark.pack, offset: mark.offset });
        let recovery = vault.recover(safe).await.unwrap();
        let cuts = recovery.cuts.iter().map(|cut| cut.pack).collect();
        let authority = Arc::new(CertificateAuthority::create(kluis_archive::Clock::now(&*self.clock)).unwrap());
        let outbox = SqliteOutbox::open(&dir.join("outbox.db"), &keys.derive("outbox/1"));
        let outbox = Arc::new(outbox.map_err(database("outbox.db"))?);
        let parts = Parts {
            authenticator: Arc::new(Authenticator::new(Arc::clone(&directory))),
            registrar: Registrar::new(directory, authority),
            clock: Arc::clone(&self.clock) as _,
            key_table,
            worklist,
            keys,
            index,
            vault,
            gaps: recovery.gaps,
            outbox,
            objects,
            audit,
        };
        let settings = Settings { seal_after: Duration::from_secs(60), ..Settings::default() };
        let opened = Archive::open(parts, settings).await;
        let (archive, replayed) = opened.map_err(|error| {
            let (mut what, mut cause) = (error.to_string(), std::error::Error::source(&error));
            while let Some(error) = cause {
                what = format!("{what}: {error}");
                cause = error.source();
            }
            let files = [("index", "index.db"), ("key", "keys.db")];
            let row = files.iter().find(|(word, _)| what.contains(word)).map(|(_, file)| (*file).to_owned());
            Refusal { what, place: Box::new(Place { row, ..Place::default() }), departed: None }
        })?;
        Ok((archive, replayed, cuts))
    }

    /// Opens and verifies what is there; `meanwhile` happens between the two.
    pub async fn look(&self, meanwhile: impl FnOnce(&Self), since: Vec<String>) -> Result<Seen, Refusal> {
        let (archive, replayed, cuts) = self.open().await?;
        meanwhile(self);
        let report = verify(&archive, since).await;
        // waits until all stores are let go of; what it writes down is undone
        let _ = archive.close().await;
        Ok(Seen { report, replayed, cuts })
    }

    pub fn pack(&self, number: u64) -> PathBuf {
        PathBuf::from(format!("packs/{number:016x}.pack"))
    }

    /// Records of accepted objects, not of manifests.
    pub fn objects(&self) -> Vec<(Location, RecordHeader)> {
        self.records.iter().filter(|(_, header)| header.kind != RecordKind::Manifest).cloned().collect()
    }

    pub fn record_at(&self, pack: u64, offset: u64) -> Option<&(Location, RecordHeader)> {
        self.records.iter().find(|(at, _)| at.pack == pack && (at.offset..at.offset + at.length).contains(&offset))
    }
}

async fn verify(archive: &Archive, since: Vec<String>) -> VerifyReport {
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::VerifyArchive).await.unwrap();
    archive.verify(permit, VerifyOptions { full: true, since }).await.unwrap()
}
