//! The stores under the archive, each call of them counted by the simulated disk, so that it can fail or be the last.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use kluis_dicom::{Uid, query::Query};
use kluis_index::{
    CheckReport, ConflictRow, Contents, Counts, Index, IndexError, Inserted, InstanceEntry, InstanceRow, Known,
    LastRows, ManifestPointer, NewInstance, Page, SealCandidate, SeriesCursor, SeriesEntry, SeriesPage, SeriesRow,
    StudyEntry, StudyRow, Watermark,
};
use kluis_keys::{KeyId, KeyTable, KeyTableError, ObjectId, StudyKey, WrappedKey};
use kluis_policy::RowFilter;
use kluis_vault::{
    Candidate, Examined, Location, ObjectReader, ObjectWriter, PackFile, Position, RecordHeader, RecordKind, Recovery,
    SealedObject, Storage, Survey, Vault, VaultError, VaultStats, simulation::Folder,
};
use time::OffsetDateTime;
use tokio::sync::Semaphore;

/// The files of a log on the simulated disk.
pub struct LogFolder(pub Folder);

struct LogFile(Arc<dyn PackFile>);

impl LogFolder {
    fn split(&self, name: &str) -> (Folder, String) {
        match name.rsplit_once('/') {
            Some((directory, file)) => (self.0.folder(directory), file.to_owned()),
            None => (self.0.clone(), name.to_owned()),
        }
    }
}

impl kluis_ledger::Storage for LogFolder {
    fn make(&self) -> io::Result<()> {
        self.0.make()
    }

    fn lock(&self, _name: &str) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn kluis_ledger::LogFile>> {
        Ok(Arc::new(LogFile(self.0.open(name)?)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn kluis_ledger::LogFile>> {
        let file = match self.0.create(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = self.0.open(name)?;
                file.set_length(0)?;
                file
            }
            created => created?,
        };
        Ok(Arc::new(LogFile(file)))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.0.open(name)?;
        let mut bytes = vec![0; usize::try_from(file.length()?).unwrap()];
        let mut at = 0;
        while at < bytes.len() {
            match file.read_at(&mut bytes[at..], at as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => at += read,
            }
        }
        Ok(bytes)
    }

    fn list(&self, name: &str) -> io::Result<Vec<String>> {
        self.0.folder(name).list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove_directory(&self, name: &str) -> io::Result<()> {
        let folder = self.0.folder(name);
        for file in folder.list()? {
            folder.remove(&file)?;
        }
        let (above, own) = self.split(name);
        above.remove(&format!("{own}/"))
    }

    fn sync_directory(&self, name: &str) -> io::Result<()> {
        self.0.folder(name).sync_directory()
    }
}

impl kluis_ledger::LogFile for LogFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }
}

/// The real index, each call of which can fail before it is made, and each that writes also behind it: then the answer
/// is lost and the work is done.
pub struct CountedIndex {
    pub index: Arc<dyn Index>,
    pub folder: Folder,
    pub files: IndexFiles,
}

/// Where the database lies, and what of it is known to have been durable.
#[derive(Clone)]
pub struct IndexFiles {
    pub path: PathBuf,
    /// Bytes of the write-ahead log at the last sync, and a copy of database and log.
    pub synced: Arc<Mutex<Option<Copied>>>,
}

/// Database and write-ahead log, as they were at a moment.
#[derive(Clone)]
pub struct Copied {
    pub database: Vec<u8>,
    pub log: Vec<u8>,
}

impl Copied {
    pub fn of(path: &Path) -> Self {
        let log = std::fs::read(beside(path, "-wal")).unwrap_or_default();
        Self { database: std::fs::read(path).unwrap_or_default(), log }
    }

    pub fn put_back(&self, path: &Path) {
        let _ = std::fs::remove_file(beside(path, "-shm"));
        std::fs::write(path, &self.database).unwrap();
        std::fs::write(beside(path, "-wal"), &self.log).unwrap();
    }
}

/// A file of `SQLite` beside the database.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl CountedIndex {
    fn pass(&self, what: &str) -> Result<(), IndexError> {
        self.folder.pass(what).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull => IndexError::Full,
            kind => IndexError::Io(kind),
        })
    }
}

#[async_trait]
impl Index for CountedIndex {
    async fn insert(&self, batch: Arc<[NewInstance]>) -> Result<Vec<Inserted>, IndexError> {
        self.pass("insert")?;
        let inserted = self.index.insert(batch).await?;
        self.pass("inserted").map(|()| inserted)
    }

    async fn insert_conflicts(&self, batch: Vec<NewInstance>) -> Result<u64, IndexError> {
        self.pass("insert conflicts")?;
        let inserted = self.index.insert_conflicts(batch).await?;
        self.pass("inserted conflicts").map(|()| inserted)
    }

    async fn known(&self, sop_instances: &[Uid]) -> Result<Vec<Known>, IndexError> {
        self.pass("known")?;
        self.index.known(sop_instances).await
    }

    async fn conflicts(&self, sop_instance: &Uid) -> Result<Vec<ConflictRow>, IndexError> {
        self.pass("conflicts")?;
        self.index.conflicts(sop_instance).await
    }

    async fn conflicts_of(&self, study: &Uid) -> Result<Vec<ConflictRow>, IndexError> {
        self.pass("conflicts of")?;
        self.index.conflicts_of(study).await
    }

    async fn search(&self, query: &Query, rows: &RowFilter) -> Result<Page, IndexError> {
        self.pass("search")?;
        self.index.search(query, rows).await
    }

    async fn search_series(
        &self,
        query: &Query,
        rows: &RowFilter,
        after: Option<SeriesCursor>,
        limit: u32,
    ) -> Result<SeriesPage, IndexError> {
        self.pass("search series")?;
        self.index.search_series(query, rows, after, limit).await
    }

    async fn study(&self, study: &Uid) -> Result<Option<StudyRow>, IndexError> {
        self.pass("study")?;
        self.index.study(study).await
    }

    async fn series_of(&self, study: &Uid, rows: &RowFilter) -> Result<Vec<SeriesRow>, IndexError> {
        self.pass("series of")?;
        self.index.series_of(study, rows).await
    }

    async fn instances(
        &self,
        study: &Uid,
        series: Option<&Uid>,
        instance: Option<&Uid>,
        rows: &RowFilter,
    ) -> Result<Vec<InstanceRow>, IndexError> {
        self.pass("instances")?;
        self.index.instances(study, series, instance, rows).await
    }

    async fn series_to_seal(&self, quiet_since: OffsetDateTime, limit: u32) -> Result<Vec<SealCandidate>, IndexError> {
        self.pass("series to seal")?;
        self.index.series_to_seal(quiet_since, limit).await
    }

    async fn seal(
        &self,
        candidate: &SealCandidate,
        manifest: &ManifestPointer,
        hot_rows: &[i64],
    ) -> Result<bool, IndexError> {
        self.pass("seal")?;
        let sealed = self.index.seal(candidate, manifest, hot_rows).await?;
        self.pass("sealed").map(|()| sealed)
    }

    async fn watermark(&self) -> Result<Option<Watermark>, IndexError> {
        self.pass("watermark")?;
        self.index.watermark().await
    }

    async fn set_watermark(&self, watermark: Watermark) -> Result<(), IndexError> {
        self.pass("set watermark")?;
        self.index.set_watermark(watermark).await?;
        self.pass("set the watermark")
    }

    async fn checkpoint(&self) -> Result<(), IndexError> {
        self.pass("checkpoint")?;
        self.index.checkpoint().await?;
        *self.files.synced.lock().unwrap() = Some(Copied::of(&self.files.path));
        self.pass("made a checkpoint")
    }

    async fn counts(&self, rows: &RowFilter) -> Result<Counts, IndexError> {
        self.pass("counts")?;
        self.index.counts(rows).await
    }

    async fn clear(&self) -> Result<(), IndexError> {
        self.pass("clear")?;
        self.index.clear().await?;
        self.pass("cleared")
    }

    fn contents(&self, instance: &NewInstance) -> Result<Contents, IndexError> {
        self.index.contents(instance)
    }

    async fn last_rows(&self) -> Result<LastRows, IndexError> {
        self.pass("last rows")?;
        self.index.last_rows().await
    }

    async fn study_entries(&self, after: i64, limit: u32) -> Result<Vec<StudyEntry>, IndexError> {
        self.pass("study entries")?;
        self.index.study_entries(after, limit).await
    }

    async fn series_entries(&self, after: i64, limit: u32) -> Result<Vec<SeriesEntry>, IndexError> {
        self.pass("series entries")?;
        self.index.series_entries(after, limit).await
    }

    async fn instance_entries(&self, after: i64, limit: u32) -> Result<Vec<InstanceEntry>, IndexError> {
        self.pass("instance entries")?;
        self.index.instance_entries(after, limit).await
    }

    async fn conflict_entries(&self, after: i64, limit: u32) -> Result<Vec<InstanceEntry>, IndexError> {
        self.pass("conflict entries")?;
        self.index.conflict_entries(after, limit).await
    }

    async fn check(&self) -> Result<CheckReport, IndexError> {
        self.pass("check")?;
        self.index.check().await
    }
}

/// The real table of keys, likewise.
pub struct CountedKeys {
    pub keys: Arc<dyn KeyTable>,
    pub folder: Folder,
}

impl CountedKeys {
    fn pass(&self, operation: &'static str) -> Result<(), KeyTableError> {
        self.folder.pass(operation).map_err(|error| KeyTableError { operation, source: Box::new(error) })
    }
}

#[async_trait]
impl KeyTable for CountedKeys {
    async fn get(&self, id: KeyId) -> Result<Option<WrappedKey>, KeyTableError> {
        self.pass("get key")?;
        self.keys.get(id).await
    }

    async fn put(&self, id: KeyId, key: WrappedKey) -> Result<WrappedKey, KeyTableError> {
        self.pass("put key")?;
        let kept = self.keys.put(id, key).await?;
        self.pass("kept key").map(|()| kept)
    }

    async fn destroy(&self, id: KeyId) -> Result<bool, KeyTableError> {
        self.pass("destroy key")?;
        self.keys.destroy(id).await
    }

    async fn list(&self, after: Option<KeyId>, limit: u32) -> Result<Vec<(KeyId, WrappedKey)>, KeyTableError> {
        self.pass("list keys")?;
        self.keys.list(after, limit).await
    }
}

/// A place at which a sender waits, between pack and index.
#[derive(Clone)]
pub struct Gate {
    reached: Arc<Semaphore>,
    go: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { reached: Arc::new(Semaphore::new(0)), go: Arc::new(Semaphore::new(0)) }
    }

    pub async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    pub fn open(&self) {
        self.go.add_permits(1);
    }
}

/// The real vault on the simulated disk; single objects can be made to wait once they are in the packs.
pub struct SteppedVault {
    pub vault: Arc<dyn Vault>,
    pub last_begun: Mutex<Option<ObjectId>>,
    gates: Mutex<HashMap<ObjectId, Gate>>,
}

impl SteppedVault {
    pub fn new(vault: Arc<dyn Vault>) -> Arc<Self> {
        Arc::new(Self { vault, last_begun: Mutex::default(), gates: Mutex::default() })
    }

    /// The object that was begun last will wait.
    pub fn hold_last(&self) -> Gate {
        let gate = Gate::new();
        let id = self.last_begun.lock().unwrap().unwrap();
        self.gates.lock().unwrap().insert(id, gate.clone());
        gate
    }
}

#[async_trait]
impl Vault for SteppedVault {
    fn begin(&self, kind: RecordKind) -> ObjectWriter {
        let writer = self.vault.begin(kind);
        *self.last_begun.lock().unwrap() = Some(writer.id());
        writer
    }

    async fn commit(&self, objects: Vec<SealedObject>) -> Result<Vec<Location>, VaultError> {
        let gate = objects.first().and_then(|object| self.gates.lock().unwrap().remove(&object.id()));
        let committed = self.vault.commit(objects).await;
        if let Some(gate) = gate {
            gate.reached.add_permits(1);
            gate.go.acquire().await.unwrap().forget();
        }
        committed
    }

    async fn open(&self, location: Location, key: &StudyKey) -> Result<ObjectReader, VaultError> {
        self.vault.open(location, key).await
    }

    async fn inspect(&self, location: Location) -> Result<RecordHeader, VaultError> {
        self.vault.inspect(location).await
    }

    async fn check(&self, location: Location) -> Result<RecordHeader, VaultError> {
        self.vault.check(location).await
    }

    async fn scan(&self, after: Position, limit: u32) -> Result<Vec<(Location, RecordHeader)>, VaultError> {
        self.vault.scan(after, limit).await
    }

    async fn survey(&self, after: Position, limit: u32) -> Result<Survey, VaultError> {
        self.vault.survey(after, limit).await
    }

    async fn examine(
        &self,
        candidates: Vec<Candidate>,
        is_full: bool,
    ) -> Result<Vec<Result<Examined, VaultError>>, VaultError> {
        self.vault.examine(candidates, is_full).await
    }

    async fn position(&self) -> Result<Position, VaultError> {
        self.vault.position().await
    }

    async fn recover(&self, safe: Position) -> Result<Recovery, VaultError> {
        self.vault.recover(safe).await
    }

    fn stats(&self) -> VaultStats {
        self.vault.stats()
    }
}
