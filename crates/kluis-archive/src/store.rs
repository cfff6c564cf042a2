//! Storing: one stream per object, from the first byte to the durable acknowledgement.
//!
//! The bytes pass the gate of `kluis-dicom`, the digest and the cipher in one go, as they arrive; nothing of the bulk
//! data is held. Order at the end: attributes read -> audit entry of the study durable -> pack bytes durable -> index
//! row and ledger leaf -> success.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use kluis_dicom::{
    Uid,
    attributes::{Attributes, AttributesError, InstanceIds, extract},
    part10::{Gate, Outline, Refusal, Source},
};
use kluis_index::{IndexError, Known, NewInstance};
use kluis_keys::{KeyId, KeysError, ObjectId, StudyKey};
use kluis_ledger::LedgerError;
use kluis_policy::{Operation, Transport};
use kluis_vault::{Location, ObjectWriter, RecordKind, SLOW_SPILL_BYTES, SPILL_BYTES, VaultError};

use crate::{
    Archive, ArchiveError, Outcome, Permit, STUDY_KEY,
    accept::{Acceptance, Accepted},
    act::Store,
    arrivals::Turn,
    budget::StoreShare,
    early::EarlyLook,
    place,
    record::InstanceRecord,
    space::LOOK_EVERY_BYTES,
    stages::{self, timed},
};

/// Bytes that are taken before it is asked again whether there is memory for them.
const PIECE_BYTES: usize = 64 << 10;

/// What comes in, as far as it is known before the first byte.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// How to read the bytes.
    pub source: Source,
    /// What the request says about the object; what it holds must agree.
    pub expected: Expected,
    /// How the bytes travel.
    pub transport: Transport,
}

/// What a request says about the object that it carries.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Affected SOP Class UID (PS3.7 9.1.1.1).
    pub sop_class: Option<Uid>,
    /// Affected SOP Instance UID (PS3.7 9.1.1.1).
    pub sop_instance: Option<Uid>,
    /// The study of the resource (PS3.18 10.5.1).
    pub study: Option<Uid>,
}

/// The object is kept: durable, encrypted, in ledger and index.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its UIDs.
    pub ids: InstanceIds,
    /// Transfer syntax as received.
    pub transfer_syntax: Uid,
    /// Whether the very same bytes were there before; then nothing was written.
    pub is_duplicate: bool,
}

/// Why an object is not kept, or not as the visible version.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The bytes are no valid object.
    #[error(transparent)]
    Refused(Arc<Refusal>),
    /// A UID that every object must have is missing or invalid.
    #[error(transparent)]
    Attributes(Arc<AttributesError>),
    /// The object's SOP Class UID is not the one that the request names.
    #[error("the SOP Class UID (0008,0016) of the object is not the one that the request names")]
    SopClassMismatch {
        /// What the object says.
        ids: Box<InstanceIds>,
    },
    /// The object's SOP Instance UID is not the one that the request names.
    #[error("the SOP Instance UID (0008,0018) of the object is not the one that the request names")]
    SopInstanceMismatch {
        /// What the object says.
        ids: Box<InstanceIds>,
    },
    /// The object belongs to another study than the one that the request names.
    #[error("the Study Instance UID (0020,000D) of the object is not the one that the request names")]
    StudyMismatch {
        /// What the object says.
        ids: Box<InstanceIds>,
    },
    /// Other bytes are known under this SOP Instance UID. The first version stays visible, this one is kept beside it.
    #[error(
        "other bytes are known under this SOP Instance UID; the first version stays visible, this one is kept aside"
    )]
    Conflict {
        /// What the object says.
        ids: Box<InstanceIds>,
    },
    /// The store is full.
    #[error("out of resources: the store is full")]
    StorageFull,
    /// The archive could not keep it; trying again later may help.
    #[error("the archive could not keep the object")]
    Unavailable(Arc<ArchiveError>),
}

impl StoreError {
    /// The UIDs of the object, where they could be read.
    #[must_use]
    pub fn ids(&self) -> Option<&InstanceIds> {
        match self {
            Self::SopClassMismatch { ids }
            | Self::SopInstanceMismatch { ids }
            | Self::StudyMismatch { ids }
            | Self::Conflict { ids } => Some(ids),
            Self::Refused(_) | Self::Attributes(_) | Self::StorageFull | Self::Unavailable(_) => None,
        }
    }
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Arc::new(refusal))
    }
}

impl From<AttributesError> for StoreError {
    fn from(error: AttributesError) -> Self {
        Self::Attributes(Arc::new(error))
    }
}

impl From<ArchiveError> for StoreError {
    fn from(error: ArchiveError) -> Self {
        if error.is_full() { Self::StorageFull } else { Self::Unavailable(Arc::new(error)) }
    }
}

impl From<VaultError> for StoreError {
    fn from(error: VaultError) -> Self {
        ArchiveError::from(error).into()
    }
}

impl From<KeysError> for StoreError {
    fn from(error: KeysError) -> Self {
        ArchiveError::from(error).into()
    }
}

impl From<IndexError> for StoreError {
    fn from(error: IndexError) -> Self {
        ArchiveError::from(error).into()
    }
}

impl From<LedgerError> for StoreError {
    fn from(error: LedgerError) -> Self {
        ArchiveError::from(error).into()
    }
}

/// An object on its way in. Dropping it leaves nothing behind.
pub struct StoreStream {
    archive: Archive,
    permit: Permit<Store>,
    incoming: Incoming,
    gate: Option<Gate>,
    writer: ObjectWriter,
    /// The memory that it may take, from the first byte on until it is kept.
    share: Option<StoreShare>,
    /// Begun with the first byte, where the request names the instance.
    early: Option<EarlyLook>,
    /// It goes to disk because memory is short.
    is_slow: bool,
    /// What the gate holds.
    header_bytes: usize,
    /// Length at which the free space was looked at last.
    looked_at: u64,
    failure: Option<StoreError>,
    begun: Instant,
}

impl Archive {
    /// Begins to take in one object.
    pub fn begin_store(&self, permit: Permit<Store>, incoming: Incoming) -> StoreStream {
        let floor = &self.inner.settings.floor;
        let (gate, failure) = match Gate::new(incoming.source.clone(), self.inner.settings.limits) {
            Ok(_) if !floor.has_room() => (None, Some(StoreError::StorageFull)),
            Ok(gate) => (Some(gate), None),
            Err(refusal) => (None, Some(refusal.into())),
        };
        StoreStream {
            archive: self.clone(),
            permit,
            incoming,
            gate,
            writer: self.inner.vault.begin(RecordKind::Instance),
            share: None,
            early: None,
            is_slow: false,
            header_bytes: 0,
            looked_at: 0,
            failure,
            begun: Instant::now(),
        }
    }
}

impl StoreStream {
    /// Takes the next bytes, in slices of any size. Waits where too much is under way, so that the sender waits too.
    ///
    /// # Errors
    /// The first [`StoreError`]; [`StoreStream::finish`] gives it again. The rest of the object need not be written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let result = self.write_through(bytes).await;
        if let Err(failure) = &result {
            self.failure = Some(failure.clone());
            self.gate = None;
        }
        result
    }

    async fn write_through(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.gate.is_none() {
            return Ok(());
        }
        if self.share.is_none() {
            let inner = &self.archive.inner;
            self.share = Some(inner.budget.store(self.permit.origin().door).await?);
            self.early = self.incoming.expected.sop_instance.as_ref().map(|uid| EarlyLook::begin(inner, uid));
        }
        if let Some(share) = &self.share {
            share.note(bytes.len())?;
        }
        for piece in bytes.chunks(PIECE_BYTES) {
            let Some(gate) = &mut self.gate else { return Ok(()) };
            let data_set = gate.push(piece)?;
            self.header_bytes = gate.held_bytes();
            for part in [data_set.carried.as_slice(), data_set.rest] {
                if !part.is_empty() {
                    self.make_room(part.len()).await?;
                    self.writer.write(part).await?;
                }
            }
        }
        let length = self.writer.plain_len();
        if length.saturating_sub(self.looked_at) >= LOOK_EVERY_BYTES {
            self.looked_at = length;
            if !self.archive.inner.settings.floor.has_room() {
                return Err(StoreError::StorageFull);
            }
        }
        Ok(())
    }

    /// Sees to it that there is memory for the header and for so many more bytes. Where there is none, or others have
    /// waited for it long enough, the object goes to disk from here on.
    async fn make_room(&mut self, more: usize) -> Result<(), StoreError> {
        let Some(share) = &mut self.share else { return Ok(()) };
        if !self.writer.is_spilled() {
            let needed = self.header_bytes.saturating_add(self.writer.held_bytes()).saturating_add(more);
            let is_overdue = share.is_overdue();
            if !is_overdue && (share.covers(needed) || share.grow(needed).await) {
                return Ok(());
            }
            self.writer.spill().await?;
            self.is_slow = true;
        }
        let needed = self.header_bytes.saturating_add(if self.is_slow { SLOW_SPILL_BYTES } else { SPILL_BYTES });
        share.shrink(needed);
        if share.covers(needed) || share.grow(needed).await { Ok(()) } else { Err(ArchiveError::Busy.into()) }
    }

    /// Gives the object up, as what was sent is wrong: nothing of it is kept, and the audit entry says failed.
    pub fn give_up(self) {
        self.permit.finish(Outcome::Failed);
    }

    /// Ends the object and waits until it is durable. Once begun it is carried through, also where the caller goes away:
    /// given up between pack and index, an object would stand in the one and not in the other.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing was promised. Where it failed behind the packs, the object may still turn up, whole;
    /// sent again it is acknowledged.
    pub async fn finish(self) -> Result<Stored, StoreError> {
        let task = tokio::spawn(self.carry_through());
        task.await.unwrap_or_else(|_| Err(ArchiveError::Stopped.into()))
    }

    async fn carry_through(mut self) -> Result<Stored, StoreError> {
        stages::tell("arrival", self.begun.elapsed());
        let outline = match self.end_of_data_set().await {
            Ok(outline) => outline,
            Err(failure) => {
                self.permit.finish(Outcome::Failed);
                return Err(failure);
            }
        };
        let Self { archive, mut permit, incoming, writer, share, early, header_bytes, .. } = self;
        // held until the object is kept
        let _share = share;
        let _header = match archive.inner.budget.header(header_bytes).await {
            Ok(header) => header,
            Err(busy) => {
                permit.finish(Outcome::Failed);
                return Err(busy.into());
            }
        };
        let result = match extract(&outline) {
            Ok(attributes) => match check_expected(&incoming.expected, permit.act().study.as_ref(), &attributes.ids) {
                Ok(()) => {
                    let object = Object { outline, attributes, digest: writer.digest(), writer, early };
                    archive.keep(&mut permit, incoming.transport, object).await
                }
                Err(mismatch) => Err(mismatch),
            },
            Err(error) => Err(error.into()),
        };
        permit.finish(if result.is_ok() { Outcome::Done } else { Outcome::Failed });
        result
    }

    async fn end_of_data_set(&mut self) -> Result<Outline, StoreError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let gate = self.gate.take().ok_or(ArchiveError::Stopped)?;
        let (tail, outline) = gate.finish()?;
        for part in [tail.carried.as_slice(), tail.rest] {
            if !part.is_empty() {
                self.writer.write(part).await?;
            }
        }
        Ok(outline)
    }
}

/// An object whose bytes are all in, not yet durable.
struct Object {
    outline: Outline,
    attributes: Attributes,
    digest: [u8; 32],
    writer: ObjectWriter,
    early: Option<EarlyLook>,
}

/// The version that is visible, or was sent before.
struct Version {
    digest: [u8; 32],
    object_id: [u8; 16],
}

impl Archive {
    async fn keep(
        &self,
        permit: &mut Permit<Store>,
        transport: Transport,
        object: Object,
    ) -> Result<Stored, StoreError> {
        if permit.act().study.is_none() {
            // the study is known now: from here on the entry is about it
            let operation = Operation::Store { study: Some(object.attributes.ids.study.clone()) };
            permit.turn_to(self.subject(permit.principal(), permit.origin().door, &operation, operation.study()));
        }
        timed("audit entry", permit.make_durable()).await?;
        let turn = timed("turn", self.inner.arrivals.turn(&object.attributes.ids.sop_instance)).await;
        self.keep_version(permit, transport, object, &turn).await
    }

    async fn keep_version(
        &self,
        permit: &Permit<Store>,
        transport: Transport,
        object: Object,
        turn: &Turn,
    ) -> Result<Stored, StoreError> {
        let ids = object.attributes.ids.clone();
        let transfer_syntax = object.outline.transfer_syntax.clone();
        let visible = timed("look-up", self.visible_version(&ids.sop_instance, object.early, turn)).await?;
        if let Some(version) = &visible {
            if version.digest == object.digest {
                // it is not only kept: what the rules want of it is written down as well
                self.inner.settle_jobs().await?;
                return Ok(Stored { ids, transfer_syntax, is_duplicate: true });
            }
            let conflicts = self.inner.index.conflicts(&ids.sop_instance).await?;
            if conflicts.iter().any(|conflict| conflict.digest == object.digest) {
                return Err(StoreError::Conflict { ids: Box::new(ids) });
            }
        }
        let key_id = self.study_key_id(&ids.study);
        let key = timed("study key", self.inner.study_keys.get_or_create(key_id)).await?;
        let record = InstanceRecord::new(
            ids.clone(),
            object.digest,
            permit.principal().label(),
            transport,
            self.inner.clock.now(),
            visible.map(|version| version.object_id),
            object.outline,
        );
        match self.commit(&record, object.attributes, &key, object.writer).await? {
            Acceptance::New => Ok(Stored { ids, transfer_syntax, is_duplicate: false }),
            Acceptance::Duplicate => {
                self.inner.settle_jobs().await?;
                Ok(Stored { ids, transfer_syntax, is_duplicate: true })
            }
            Acceptance::Conflict | Acceptance::KnownConflict => {
                tracing::warn!(study = %key_id, "conflict: other bytes arrived under a known SOP Instance UID");
                Err(StoreError::Conflict { ids: Box::new(ids) })
            }
        }
    }

    /// Makes the object durable, then visible.
    async fn commit(
        &self,
        record: &InstanceRecord,
        attributes: Attributes,
        key: &StudyKey,
        writer: ObjectWriter,
    ) -> Result<Acceptance, StoreError> {
        let object_id = writer.id();
        let data_set_length = writer.plain_len();
        let sealed = timed("sealing", writer.finish(key, &record.to_bytes()?)).await?;
        // held until the row is in the index, so that a watermark never passes an object that is not in it
        let _ingest = self.inner.ingest.read().await;
        if self.inner.is_rebuilding.load(Ordering::Acquire) {
            return Err(ArchiveError::IndexNotWhole.into());
        }
        let locations = timed("vault", self.inner.vault.commit(vec![sealed])).await?;
        let location = *locations.first().ok_or(ArchiveError::Stopped)?;
        let accepted = Accepted {
            leaf: record.leaf(object_id, key.id(), key),
            instance: new_instance(record, attributes, location, object_id, key.id(), data_set_length),
        };
        Ok(timed("index and ledger", self.acceptor.accept(accepted)).await?)
    }

    async fn visible_version(
        &self,
        sop_instance: &Uid,
        early: Option<EarlyLook>,
        turn: &Turn,
    ) -> Result<Option<Version>, StoreError> {
        let seen = match early {
            Some(early) => early.seen(turn).await,
            None => None,
        };
        let known = match seen {
            Some(known) => Some(known),
            None => self.inner.index.known(std::slice::from_ref(sop_instance)).await?.into_iter().next(),
        };
        Ok(match known {
            Some(Known::Hot(hot)) => Some(Version { digest: hot.digest, object_id: hot.object_id }),
            Some(Known::Sealed(series)) => self
                .inner
                .sealed_instance(&series, sop_instance)
                .await?
                .map(|entry| Version { digest: entry.digest, object_id: entry.object_id }),
            Some(Known::Unknown) | None => None,
        })
    }

    pub(crate) fn study_key_id(&self, study: &Uid) -> KeyId {
        self.inner.keys.key_id(STUDY_KEY, study.as_str().as_bytes())
    }
}

fn check_expected(expected: &Expected, study: Option<&Uid>, ids: &InstanceIds) -> Result<(), StoreError> {
    if expected.sop_class.as_ref().is_some_and(|uid| *uid != ids.sop_class) {
        return Err(StoreError::SopClassMismatch { ids: Box::new(ids.clone()) });
    }
    if expected.sop_instance.as_ref().is_some_and(|uid| *uid != ids.sop_instance) {
        return Err(StoreError::SopInstanceMismatch { ids: Box::new(ids.clone()) });
    }
    if expected.study.as_ref().or(study).is_some_and(|uid| *uid != ids.study) {
        return Err(StoreError::StudyMismatch { ids: Box::new(ids.clone()) });
    }
    Ok(())
}

/// The rows of a record, whether it just came or is replayed.
pub(crate) fn new_instance(
    record: &InstanceRecord,
    attributes: Attributes,
    location: Location,
    object_id: ObjectId,
    key_id: KeyId,
    data_set_length: u64,
) -> NewInstance {
    NewInstance {
        attributes,
        digest: record.digest,
        location: place::to_index(location),
        object_id: object_id.0,
        key_id: key_id.0,
        transfer_syntax: record.outline.transfer_syntax.clone(),
        data_set_length,
        sender: record.sender.clone(),
        transport: record.transport,
        received_at: record.received_at(),
        absent_from: Vec::new(),
    }
}
