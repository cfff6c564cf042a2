//! Replay: what stands in the packs behind the watermark is brought into index and ledger again.
//!
//! After a crash index and ledger may lack the last acknowledged objects; the packs never do. The same code makes the
//! whole index anew when it was lost. It does nothing for a record whose row and leaf are there.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::Ordering,
};

use kluis_dicom::{Uid, attributes::extract};
use kluis_index::{InstanceRow, Known, ManifestPointer, NewInstance, SealCandidate, SeriesRow};
use kluis_keys::{KeyId, ObjectId};
use kluis_policy::RowFilter;
use kluis_vault::{Location, Position, RecordHeader, RecordKind};

use crate::{
    Archive, ArchiveError, Inner,
    accept::Acceptance,
    error::chain,
    manifest::{Manifest, ManifestHead},
    place,
    record::{InstanceRecord, Leaf},
    remembered::Remembered,
    store::new_instance,
};

/// Records looked at in one step.
const STEP: u32 = 256;

/// Leaves read in one step.
const LEAVES_STEP: u64 = 4_096;

/// Records held back at most, to be put in the order of their leaves: more than can be on their way at once.
const HELD_BACK: usize = 4_096;

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Records behind the watermark.
    pub records: u64,
    /// Objects that were not in the index.
    pub objects: u64,
    /// Leaves that were not in the ledger.
    pub leaves: u64,
    /// Records whose study key was destroyed, or that belong to no version any more.
    pub skipped: u64,
    /// Records that cannot be read; they are in the packs as they are.
    pub damaged: u64,
}

impl Archive {
    /// Forgets the index and makes it anew from packs and keys alone.
    ///
    /// # Errors
    /// [`ArchiveError`] where a store cannot be read; run it again after the cause was mended. A damaged record is counted
    /// and passed over.
    pub async fn rebuild_index(&self) -> Result<Replayed, ArchiveError> {
        let inner = &self.inner;
        let _sealing = inner.sealing.lock().await;
        let _marking = inner.marking.lock().await;
        let _quiet = inner.ingest.write().await;
        inner.append_leaves(Vec::new())?;
        // until it is whole again nothing new is taken, and no watermark: the next start would not look at the rest
        inner.is_rebuilding.store(true, Ordering::Release);
        inner.index.clear().await?;
        // what was sent, or not, before the index was lost is not sent now
        let replayed = replay_and(inner, false).await;
        inner.arrivals.renew();
        let replayed = replayed?;
        inner.doubtful.lock().await.clear();
        inner.is_rebuilding.store(false, Ordering::Release);
        Ok(replayed)
    }
}

/// Which objects a walk over the packs takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    /// Those with a leaf, in the order of the leaves, which is the order in which they were accepted.
    Logged,
    /// Those without, in the order of the packs.
    Unlogged,
}

pub(crate) async fn replay(inner: &Inner) -> Result<Replayed, ArchiveError> {
    replay_and(inner, true).await
}

/// `may_route`: jobs may be missing like rows, and are made, where it is known from where on.
async fn replay_and(inner: &Inner, may_route: bool) -> Result<Replayed, ArchiveError> {
    let end = inner.vault.position().await?;
    let mark = inner.index.watermark().await?;
    // a watermark behind the end of the packs was taken from others: it says nothing about these
    let mark = mark.filter(|mark| Position { pack: mark.pack, offset: mark.offset } <= end);
    // of what lies before a watermark that is not there, nobody knows what was sent; before the first one, all is new
    let is_first_life = || Remembered::read(&inner.keys).is_ok_and(|remembered| remembered.is_none());
    let is_routed = may_route && (mark.is_some() || is_first_life());
    let from = mark.map_or_else(Position::default, |mark| Position { pack: mark.pack, offset: mark.offset });
    let leaves = leaves_behind(inner, mark.map_or(0, |mark| mark.objects_size))?;
    let replayed = Replayed::default();
    let mut walk = Walk { inner, leaves, replayed, unlogged: 0, unused_manifests: 0, is_routed };
    walk.run(from, Taking::Logged).await?;
    if walk.unlogged > 0 {
        walk.run(from, Taking::Unlogged).await?;
    }
    walk.replayed.skipped += walk.unused_manifests;
    Ok(walk.replayed)
}

/// Index of the leaf of each object, from leaf `from` on: as a crash can only take leaves off the end, no others can be
/// missing.
fn leaves_behind(inner: &Inner, from: u64) -> Result<HashMap<ObjectId, u64>, ArchiveError> {
    let size = inner.objects.size();
    let mut objects = HashMap::new();
    let mut at = from.min(size);
    while at < size {
        let end = size.min(at + LEAVES_STEP);
        for (index, entry) in (at..end).zip(inner.objects.entries(at..end)?) {
            let leaf: Leaf = serde_json::from_slice(&entry).map_err(|_| ArchiveError::Record)?;
            objects.insert(leaf.object, index);
        }
        at = end;
    }
    Ok(objects)
}

struct Walk<'a> {
    inner: &'a Inner,
    leaves: HashMap<ObjectId, u64>,
    replayed: Replayed,
    /// Objects without a leaf that the first walk has met.
    unlogged: u64,
    /// Manifests that the last walk had no use for.
    unused_manifests: u64,
    /// The rules of the site look at each object: its job may be missing like its row.
    is_routed: bool,
}

impl Walk<'_> {
    /// Two objects can be accepted in another order than the one in which they came into the packs, where they came at
    /// once. Which one is the visible version must not change: so records are held back and taken in the order of their
    /// leaves, manifests behind all that was met before them.
    async fn run(&mut self, from: Position, taking: Taking) -> Result<(), ArchiveError> {
        self.unused_manifests = 0;
        let mut position = from;
        let mut held: BTreeMap<(u64, Location), RecordHeader> = BTreeMap::new();
        let mut latest = 0;
        loop {
            let records = self.inner.vault.scan(position, STEP).await?;
            let Some((last, _)) = records.last() else { break };
            position = last.end();
            for (location, header) in records {
                let order = match self.order(&header, taking) {
                    Some(Order::At(order)) => order,
                    Some(Order::BehindAll) => latest,
                    None => continue,
                };
                latest = latest.max(order);
                held.insert((order, location), header);
            }
            while held.len() > HELD_BACK
                && let Some(((_, location), header)) = held.pop_first()
            {
                self.take(location, &header, taking).await?;
            }
        }
        for ((_, location), header) in held {
            self.take(location, &header, taking).await?;
        }
        Ok(())
    }

    /// Where the record stands in the order of this walk; `None` where it is not for this walk.
    fn order(&mut self, header: &RecordHeader, taking: Taking) -> Option<Order> {
        self.replayed.records += u64::from(taking == Taking::Logged);
        match (header.kind, self.leaves.get(&header.object), taking) {
            (RecordKind::Manifest, ..) => Some(Order::BehindAll),
            (RecordKind::Instance | RecordKind::Conflict, Some(leaf), Taking::Logged) => Some(Order::At(*leaf)),
            (RecordKind::Instance | RecordKind::Conflict, Some(_), Taking::Unlogged) => None,
            (RecordKind::Instance | RecordKind::Conflict, None, Taking::Logged) => {
                self.unlogged += 1;
                None
            }
            (RecordKind::Instance | RecordKind::Conflict, None, Taking::Unlogged) => Some(Order::At(0)),
            _ => {
                self.replayed.skipped += u64::from(taking == Taking::Logged);
                None
            }
        }
    }

    async fn take(&mut self, location: Location, header: &RecordHeader, taking: Taking) -> Result<(), ArchiveError> {
        let taken = match header.kind {
            RecordKind::Manifest => self.take_manifest(location, header, taking).await,
            _ => self.take_instance(location, header).await,
        };
        match taken {
            Err(error) if error.is_damage() => {
                // what stands behind it must come back all the same; `verify` names it too
                tracing::error!(object = %header.object, %location, error = %chain(&error), "a record is damaged");
                self.replayed.damaged += 1;
                Ok(())
            }
            other => other,
        }
    }

    async fn take_instance(&mut self, location: Location, header: &RecordHeader) -> Result<(), ArchiveError> {
        let inner = self.inner;
        let Some(key) = inner.study_keys.get(header.key).await? else {
            self.replayed.skipped += 1;
            return Ok(());
        };
        if !self.leaves.contains_key(&header.object) {
            // nobody was told of it, and of a torn write header and metadata may have come to the disk without the rest: it
            // would stand for what its sender sends again
            inner.vault.check(location).await?;
        }
        let object = inner.vault.open(location, &key).await?;
        let record = InstanceRecord::from_bytes(object.metadata())?;
        let leaf = record.leaf(header.object, header.key, &key);
        let attributes = extract(&record.outline).map_err(|_| ArchiveError::Record)?;
        let instance = new_instance(&record, attributes, location, header.object, header.key, object.plain_len());
        let acceptance = inner.insert([instance.clone()].into()).await?.pop().ok_or(ArchiveError::Stopped)??;
        let is_version = match acceptance {
            Acceptance::New => {
                self.replayed.objects += 1;
                true
            }
            _ => is_current(inner, header, &record).await?,
        };
        if !is_version {
            // the second of two that came at once with the same bytes
            self.replayed.skipped += 1;
            return Ok(());
        }
        if !self.leaves.contains_key(&header.object) {
            inner.objects.append(&[leaf])?;
            self.replayed.leaves += 1;
        }
        if self.is_routed && header.kind == RecordKind::Instance && is_visible(inner, &instance).await? {
            inner.route(&[&instance]).await?;
        }
        Ok(())
    }

    async fn take_manifest(
        &mut self,
        location: Location,
        header: &RecordHeader,
        taking: Taking,
    ) -> Result<(), ArchiveError> {
        let inner = self.inner;
        let Some(key) = inner.study_keys.get(header.key).await? else {
            self.unused_manifests += 1;
            return Ok(());
        };
        let object = inner.vault.open(location, &key).await?;
        let head: ManifestHead = postcard::from_bytes(object.metadata()).map_err(|_| ArchiveError::Record)?;
        let series = inner.index.series_of(&head.study, &RowFilter::All).await?;
        let Some(row) = series.into_iter().find(|row| row.uid == head.series) else {
            self.unused_manifests += 1;
            return Ok(());
        };
        let place = place::to_index(location);
        if row.manifest.is_some_and(|manifest| manifest.location >= place) {
            return Ok(());
        }
        let pointer = ManifestPointer { location: place, count: head.count, data_length: head.data_length };
        let manifest = inner.manifests.read(inner, KeyId(row.key_id), &pointer).await?;
        let hot = inner.index.instances(&head.study, Some(&head.series), None, &RowFilter::All).await?;
        let held = hot.len() as u64 + row.manifest.map_or(0, |before| before.count);
        if taking == Taking::Logged && self.unlogged > 0 && manifest.entries.len() as u64 > held {
            // some of its instances are only taken by the next walk, which comes by here again
            return Ok(());
        }
        let is_whole = is_whole(inner, &row, &manifest, &hot).await?;
        let candidate = SealCandidate {
            study: head.study,
            series: head.series,
            series_key: row.series_key,
            key_id: row.key_id,
            manifest: row.manifest,
            hot_count: row.hot_count,
            last_arrival: row.last_arrival,
        };
        let row_keys: Vec<i64> = hot.iter().map(|instance| instance.row_key).collect();
        if !is_whole || !inner.index.seal(&candidate, &pointer, &row_keys).await? {
            // it lost against an instance that came meanwhile, then as now: the series stays hot and is sealed again
            self.unused_manifests += 1;
        }
        Ok(())
    }
}

/// Where a record stands in the order of a walk.
enum Order {
    At(u64),
    BehindAll,
}

/// Whether this very record is the visible one of its instance.
async fn is_visible(inner: &Inner, instance: &NewInstance) -> Result<bool, ArchiveError> {
    if inner.settings.routes.is_empty() {
        return Ok(false);
    }
    inner.is_row_of(instance).await
}

/// Whether the index holds this very record, as visible or as conflict version.
pub(crate) async fn is_current(
    inner: &Inner,
    header: &RecordHeader,
    record: &InstanceRecord,
) -> Result<bool, ArchiveError> {
    let object_id = header.object.0;
    let visible = match inner.index.known(std::slice::from_ref(&record.ids.sop_instance)).await?.into_iter().next() {
        Some(Known::Hot(hot)) => hot.object_id == object_id,
        Some(Known::Sealed(series)) => {
            let sealed = inner.sealed_instance(&series, &record.ids.sop_instance).await?;
            sealed.is_some_and(|entry| entry.object_id == object_id)
        }
        Some(Known::Unknown) | None => false,
    };
    if visible {
        return Ok(true);
    }
    let conflicts = inner.index.conflicts(&record.ids.sop_instance).await?;
    Ok(conflicts.iter().any(|conflict| conflict.object_id == object_id))
}

/// Whether every hot row, and every instance of the manifest before, stands in this one.
async fn is_whole(
    inner: &Inner,
    row: &SeriesRow,
    manifest: &Manifest,
    hot: &[InstanceRow],
) -> Result<bool, ArchiveError> {
    let held: HashMap<&Uid, [u8; 16]> =
        manifest.entries.iter().map(|entry| (&entry.sop_instance, entry.object_id)).collect();
    let holds = |uid: &Uid, object_id: [u8; 16]| held.get(uid) == Some(&object_id);
    if !hot.iter().all(|instance| holds(&instance.ids.sop_instance, instance.object_id)) {
        return Ok(false);
    }
    let Some(pointer) = &row.manifest else { return Ok(true) };
    match inner.manifests.read(inner, KeyId(row.key_id), pointer).await {
        Ok(before) => Ok(before.entries.iter().all(|entry| holds(&entry.sop_instance, entry.object_id))),
        // it cannot be read any more: as many as it held is all that can be asked
        Err(error) if error.is_damage() => Ok(manifest.entries.len() as u64 >= pointer.count + hot.len() as u64),
        Err(error) => Err(error),
    }
}
