//! The archive service: gate, store, search, retrieve, export, seal, replay, verify.
//!
//! May not contain: PDUs, HTTP. The edges reach stores only through a [`Permit`] that [`Archive::admit`] gave.

mod accept;
pub mod act;
mod arrivals;
mod budget;
mod clock;
mod commitment;
mod early;
mod error;
mod export;
mod gate;
mod holding;
mod janitor;
mod ledger;
mod manage;
mod manifest;
mod outgoing;
mod performed_step;
mod place;
mod proof;
mod reader;
mod record;
mod remembered;
mod replay;
mod rewritten;
mod seal;
mod search;
mod space;
mod stages;
mod store;
mod torn;
mod trail;
mod verify;
mod worklist;

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use kluis_dicom::limits::Limits;
use kluis_identity::{Authenticator, Registrar};

use kluis_index::{Index, NewJob, Outbox, Worklist};
use kluis_keys::{KeyRing, KeyTable, StudyKeys};
use kluis_ledger::Log;
use kluis_policy::Route;
use kluis_vault::{Gap, Vault};
use tokio::{sync::RwLock, task::JoinHandle};

pub use clock::{Clock, SystemClock};
pub use commitment::{Committed, PendingCommitment, Reference, Requested, Uncommitted};
pub use error::ArchiveError;
pub use export::{ExportPiece, ExportStream};
pub use gate::{Disclosed, Origin, Permit, Refused};
pub use holding::{Holding, Instance, RetrieveError};
pub use janitor::Janitor;
pub use kluis_index::{EntryCursor, EntryPage, EntryRow, EntryState};
pub use manage::{EnrolledDevice, ManageError, NewAccount, NewCode, NewDevice, NewToken};
pub use outgoing::{Outgoing, Waiting};
pub use performed_step::PerformError;
pub use reader::InstanceReader;
pub use remembered::departure;
pub use replay::Replayed;
pub use rewritten::Rewritten;
pub use search::{Found, Match, SearchError};
pub use space::{Disks, Floor, FreeSpace, Space};
pub use store::{Expected, Incoming, StoreError, StoreStream, Stored};
pub use trail::Outcome;
pub use verify::{Finding, LogHead, Place, VerifyOptions, VerifyReport};
pub use worklist::{PutEntry, WorklistError};

/// Purpose under which the key ring makes the opaque id of a study's key from its Study Instance UID.
pub(crate) const STUDY_KEY: &str = "study/1";

/// How long [`Archive::close`] waits for those who still use the archive.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// What an archive is made of.
pub struct Parts {
    /// Key hierarchy.
    pub keys: KeyRing,
    /// Where wrapped study keys are kept.
    pub key_table: Arc<dyn KeyTable>,
    /// Rows.
    pub index: Arc<dyn Index>,
    /// Entries of the worklist and performed steps.
    pub worklist: Arc<dyn Worklist>,
    /// Bytes.
    pub vault: Arc<dyn Vault>,
    /// What the vault's recovery found to be no record.
    pub gaps: Vec<Gap>,
    /// What is still to be done for others.
    pub outbox: Arc<dyn Outbox>,
    /// One leaf per accepted version.
    pub objects: Arc<Log>,
    /// One leaf per audit event.
    pub audit: Arc<Log>,
    /// Proof to principal.
    pub authenticator: Arc<Authenticator>,
    /// Devices, people and tokens.
    pub registrar: Registrar,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What a site may move.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Limits of the byte gate.
    pub limits: Limits,
    /// A series into which nothing came for so long is sealed.
    pub seal_after: Duration,
    /// Where arriving objects are sent.
    pub routes: Arc<[Route]>,
    /// How much must stay free on the disks.
    pub floor: Floor,
    /// Memory for objects on their way in and out, in bytes; beside it stand connections, caches and the index.
    pub memory_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            routes: Arc::default(),
            seal_after: Duration::from_secs(300),
            floor: Floor::default(),
            memory_bytes: 320 << 20,
        }
    }
}

/// The archive service. Clones share everything.
#[derive(Clone)]
pub struct Archive {
    inner: Arc<Inner>,
    acceptor: accept::Acceptor,
    /// The task behind the acceptor; whoever closes the archive waits for its end.
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

pub(crate) struct Inner {
    keys: Arc<KeyRing>,
    study_keys: StudyKeys,
    index: Arc<dyn Index>,
    worklist: Arc<dyn Worklist>,
    vault: Arc<dyn Vault>,
    outbox: Arc<dyn Outbox>,
    /// Something new is to be sent.
    outgoing: tokio::sync::Notify,
    objects: Arc<Log>,
    audit: Arc<Log>,
    authenticator: Arc<Authenticator>,
    registrar: Registrar,
    clock: Arc<dyn Clock>,
    settings: Settings,
    trail: Arc<trail::Trail>,
    manifests: manifest::Manifests,
    budget: budget::Budget,
    /// Read-held by each object between pack and index; write-held while a watermark is taken.
    ingest: RwLock<()>,
    /// Who stores which instance just now. Taken before all others.
    arrivals: arrivals::Arrivals,
    /// Leaves whose rows are in the index and that could not be appended yet.
    owed_leaves: Mutex<Vec<Vec<u8>>>,
    /// Jobs of objects that are in the index, and that could not be written yet.
    owed_jobs: Mutex<Vec<NewJob>>,
    /// Held while they are written.
    settling_jobs: tokio::sync::Mutex<()>,
    /// Objects in the packs of which it is not known whether they are in the index.
    doubtful: tokio::sync::Mutex<accept::Doubtful>,
    /// The index was cleared and is not yet whole again.
    is_rebuilding: AtomicBool,
    /// Held while a watermark is taken, and while the index is rebuilt: a watermark from before must not get into the
    /// index after it was cleared. Taken before `ingest`.
    marking: tokio::sync::Mutex<()>,
    /// Held while series are sealed, and while the index is rebuilt. Taken before `marking`.
    sealing: tokio::sync::Mutex<()>,
    /// What contradicted the watermark at start, for `verify`: a log or the packs were rolled back.
    rolled_back: Vec<Finding>,
}

impl Archive {
    /// Puts the parts together and replays what a crash may have left between packs, index and ledger.
    ///
    /// # Errors
    /// [`ArchiveError`] where a part cannot be read.
    pub async fn open(parts: Parts, settings: Settings) -> Result<(Self, Replayed), ArchiveError> {
        parts.audit.reserve(space::TRAIL_RESERVE_BYTES);
        let mut inner = Inner {
            study_keys: parts.keys.study_keys(parts.key_table),
            keys: Arc::new(parts.keys),
            index: parts.index,
            worklist: parts.worklist,
            vault: parts.vault,
            outbox: parts.outbox,
            outgoing: tokio::sync::Notify::new(),
            trail: trail::Trail::new(Arc::clone(&parts.audit), Arc::clone(&parts.clock)),
            objects: parts.objects,
            audit: parts.audit,
            authenticator: parts.authenticator,
            registrar: parts.registrar,
            clock: parts.clock,
            budget: budget::Budget::new(settings.memory_bytes),
            settings,
            manifests: manifest::Manifests::new(),
            ingest: RwLock::new(()),
            arrivals: arrivals::Arrivals::default(),
            owed_leaves: Mutex::new(Vec::new()),
            owed_jobs: Mutex::new(Vec::new()),
            settling_jobs: tokio::sync::Mutex::default(),
            doubtful: tokio::sync::Mutex::default(),
            is_rebuilding: AtomicBool::new(false),
            marking: tokio::sync::Mutex::new(()),
            sealing: tokio::sync::Mutex::new(()),
            rolled_back: Vec::new(),
        };
        inner.rolled_back = inner.look_back().await?;
        let inner = Arc::new(inner);
        torn::note(&inner, &parts.gaps).await?;
        let replayed = replay::replay(&inner).await?;
        let (acceptor, task) = accept::Acceptor::start(Arc::clone(&inner));
        Ok((Self { inner, acceptor, task: Arc::new(Mutex::new(Some(task))) }, replayed))
    }

    /// Ends the archive: writes down what is still in memory and lets go of the stores, so that they can be opened again.
    /// Every other clone must be gone; it waits for [`CLOSE_PATIENCE`] at most.
    ///
    /// # Errors
    /// [`ArchiveError`] where the last state could not be written; the next start makes good for it.
    pub async fn close(self) -> Result<(), ArchiveError> {
        let settled = self.settle().await;
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(self);
        if let Some(task) = task
            && tokio::time::timeout(CLOSE_PATIENCE, task).await.is_err()
        {
            tracing::warn!("the archive is still in use by another part of the program");
        }
        settled
    }

    /// Proof to principal; the edges use it before they come to the gate.
    #[must_use]
    pub fn authenticator(&self) -> &Authenticator {
        &self.inner.authenticator
    }

    /// The time, for the edges.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.inner.clock.as_ref()
    }
}
