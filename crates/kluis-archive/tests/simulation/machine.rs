//! One simulated computer: its disk, its databases, the archive that runs on it, and the moments when the power goes.

use std::{
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, Weak},
    time::{Duration, Instant},
};

use kluis_archive::{Archive, Clock, Parts, Settings};
use kluis_identity::{Authenticator, CertificateAuthority, Directory, Registrar};
use kluis_index::{
    Index, Worklist,
    sqlite::{SqliteDirectory, SqliteIndex, SqliteKeyTable, SqliteOutbox, SqliteWorklist},
};
use kluis_keys::{KeyRing, LogSigner, RootProvider, StudyKeys};
use kluis_ledger::Log;
use kluis_testkit::random::Random;
use kluis_vault::{DiskVault, Position, Storage as _, Vault, simulation::SimulatedDisk};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::stores::{Copied, CountedIndex, CountedKeys, IndexFiles, LogFolder, SteppedVault, beside};

struct Signer(LogSigner);

impl kluis_ledger::Signer for Signer {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// A clock that only the test moves.
pub struct TestClock(Mutex<OffsetDateTime>);

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

impl TestClock {
    pub fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

/// Some signer of a log.
pub fn signer() -> Box<dyn kluis_ledger::Signer> {
    Box::new(Signer(LogSigner::from_seed(&[7; 32]).unwrap()))
}

/// What does not take part in the simulation and is the same for all runs: the root key, devices and people, the worklist.
struct Site {
    folder: TempDir,
    directory: Arc<dyn Directory>,
    worklist: Arc<dyn Worklist>,
    authority: Arc<CertificateAuthority>,
}

fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| {
        let folder = scratch();
        let keys = KeyRing::create(&folder.path().join("keys"), &provider(&folder)).unwrap();
        keys.log_signer("objects").unwrap();
        keys.log_signer("audit").unwrap();
        let path = folder.path().join("directory.db");
        let directory = Arc::new(SqliteDirectory::open(&path, &keys.derive("directory/1")).unwrap());
        let worklist = folder.path().join("worklist.db");
        let worklist = Arc::new(SqliteWorklist::open(&worklist, &keys.derive("worklist/1")).unwrap());
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let authority = Arc::new(CertificateAuthority::create(now).unwrap());
        Site { folder, directory, worklist, authority }
    })
}

fn provider(folder: &TempDir) -> RootProvider {
    RootProvider::KeyFile(folder.path().join("keys").join("root.key"))
}

/// A directory of keys for one machine: what the archive keeps in it is its own.
fn copy_keys(to: &TempDir) {
    let target = to.path().join("keys");
    std::fs::DirBuilder::new().mode(0o700).create(&target).unwrap();
    for entry in std::fs::read_dir(site().folder.path().join("keys")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), target.join(entry.file_name())).unwrap();
    }
}

/// A directory in memory where the system has one: what is durable is decided here, not by the disk under the test.
fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

/// The archive while it runs, and its stores behind its back.
pub struct Running {
    pub archive: Archive,
    pub vault: Arc<SteppedVault>,
    pub index: Arc<dyn Index>,
    pub objects: Arc<Log>,
    pub audit: Arc<Log>,
    pub study_keys: StudyKeys,
    /// Calls that had gone wrong when it began.
    pub fired: u64,
}

pub struct Machine {
    pub disk: SimulatedDisk,
    pub clock: Arc<TestClock>,
    /// What is longer goes to a file of its own on its way in.
    gathered_bytes: usize,
    folder: TempDir,
    files: IndexFiles,
}

/// What a crash leaves of the index, which nothing has to survive of but what was synced.
#[derive(Debug, Clone, Copy)]
enum IndexLoss {
    Nothing,
    /// The write-ahead log is cut somewhere behind its last sync.
    Tail,
    /// All that came behind the last sync.
    Unsynced,
    /// The file.
    All,
}

impl Machine {
    /// The large objects of the model are gathered in memory with every other seed, and spilled with the others.
    pub fn new(seed: u64) -> Self {
        let folder = scratch();
        copy_keys(&folder);
        let files = IndexFiles { path: folder.path().join("index.db"), synced: Arc::default() };
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let gathered_bytes = if seed.is_multiple_of(2) { 64 << 10 } else { 256 << 10 };
        let clock = Arc::new(TestClock(Mutex::new(now)));
        Self { disk: SimulatedDisk::new(), clock, gathered_bytes, folder, files }
    }

    fn key_path(&self) -> PathBuf {
        self.folder.path().join("keys.db")
    }

    /// Starts the archive as the program does.
    pub async fn start(&self) -> Result<Running, String> {
        fn text(error: impl std::error::Error) -> String {
            chain(&error)
        }
        let fired = self.disk.fired();
        let keys = KeyRing::open(&self.folder.path().join("keys"), &provider(&self.folder)).unwrap();
        let root = self.disk.folder("");
        let index: Arc<dyn Index> = Arc::new(SqliteIndex::open(&self.files.path, &keys.derive("index/1")).unwrap());
        let counted: Arc<dyn Index> =
            Arc::new(CountedIndex { index: Arc::clone(&index), folder: root.clone(), files: self.files.clone() });
        let table = Arc::new(SqliteKeyTable::open(&self.key_path(), &keys.derive("keytable/1")).unwrap());
        let log = |name: &str| {
            let signer = Box::new(Signer(keys.log_signer(name).unwrap()));
            let storage = Arc::new(LogFolder(root.folder(name)));
            let beside = LogFolder(root.clone());
            Log::with_storage(storage, &beside, &format!("{name}.vkey"), "example.org/log", signer).map(Arc::new)
        };
        let (objects, audit) = (log("objects").map_err(text)?, log("audit").map_err(text)?);
        let settings = kluis_vault::Settings {
            pack_bytes: 96 << 10,
            gathered_bytes: self.gathered_bytes,
            ..kluis_vault::Settings::default()
        };
        let packs = root.folder("packs");
        packs.make().and_then(|()| root.sync_directory()).map_err(text)?;
        let vault = DiskVault::with_storage(Arc::new(packs), settings).map_err(text)?;
        let vault = SteppedVault::new(Arc::new(vault));
        let mark = counted.watermark().await.map_err(text)?;
        let safe = mark.map_or_else(Position::default, |mark| Position { pack: mark.pack, offset: mark.offset });
        let gaps = vault.recover(safe).await.map_err(text)?.gaps;
        let site = site();
        let study_keys = keys.study_keys(Arc::clone(&table) as _);
        let outbox = self.folder.path().join("outbox.db");
        let outbox = Arc::new(SqliteOutbox::open(&outbox, &keys.derive("outbox/1")).unwrap());
        let parts = Parts {
            authenticator: Arc::new(Authenticator::new(Arc::clone(&site.directory))),
            registrar: Registrar::new(Arc::clone(&site.directory), Arc::clone(&site.authority)),
            key_table: Arc::new(CountedKeys { keys: table, folder: root }),
            keys,
            index: counted,
            worklist: Arc::clone(&site.worklist),
            vault: Arc::clone(&vault) as _,
            gaps,
            outbox,
            objects: Arc::clone(&objects),
            audit: Arc::clone(&audit),
            clock: Arc::clone(&self.clock) as _,
        };
        let settings = Settings { seal_after: Duration::from_secs(60), ..Settings::default() };
        let (archive, _) = Archive::open(parts, settings).await.map_err(text)?;
        Ok(Running { archive, vault, index, objects, audit, study_keys, fired })
    }

    /// The power goes, whatever runs. Says what became of the index.
    pub async fn crash(&self, running: Option<Running>, dice: &mut Random) -> String {
        let (index, keys) = (Copied::of(&self.files.path), Copied::of(&self.key_path()));
        let was_running = running.is_some();
        if let Some(running) = running {
            end(running).await;
        }
        self.disk.crash(dice.bits());
        if was_running {
            // a commit of the table of keys is durable when it returns
            keys.put_back(&self.key_path());
            index.put_back(&self.files.path);
        }
        let loss = match dice.below(10) {
            0..4 => IndexLoss::Nothing,
            4..6 => IndexLoss::Tail,
            6..9 => IndexLoss::Unsynced,
            _ => IndexLoss::All,
        };
        self.lose(loss, dice);
        format!("{loss:?}")
    }

    fn lose(&self, loss: IndexLoss, dice: &mut Random) {
        let path = &self.files.path;
        let synced = self.files.synced.lock().unwrap().clone();
        match (loss, synced) {
            (IndexLoss::Nothing, _) => {}
            (IndexLoss::Tail, synced) => {
                let mut now = Copied::of(path);
                let safe = synced.map_or(0, |synced| synced.log.len()).min(now.log.len());
                now.log.truncate(safe + dice.below(now.log.len() - safe + 1));
                now.put_back(path);
            }
            (IndexLoss::Unsynced, Some(synced)) => synced.put_back(path),
            (IndexLoss::Unsynced, None) | (IndexLoss::All, _) => self.lose_index(),
        }
    }

    /// Removes the index.
    pub fn lose_index(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(beside(&self.files.path, suffix));
        }
        *self.files.synced.lock().unwrap() = None;
    }
}

/// Drops the archive and waits until all that it had open is closed.
async fn end(running: Running) {
    let index: Weak<dyn Index> = Arc::downgrade(&running.index);
    drop(running);
    settle(|| index.strong_count() == 0).await;
}

/// Waits until something is true that other tasks and threads bring about.
pub async fn settle(is_done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "something does not come to its end");
        tokio::task::yield_now().await;
    }
}

/// Ends the archive in good order.
pub async fn close(running: Running) -> Result<(), String> {
    let index: Weak<dyn Index> = Arc::downgrade(&running.index);
    let archive = running.archive.clone();
    // with all that it holds open
    drop(running);
    let closed = archive.close().await;
    settle(|| index.strong_count() == 0).await;
    closed.map_err(|error| chain(&error))
}

/// The error with its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
