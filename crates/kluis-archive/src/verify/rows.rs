//! The walk over the index: every row is held against what the record in the packs says.

use std::{collections::HashMap, sync::Arc};

use kluis_dicom::attributes::{Attributes, InstanceKeys, SeriesKeys, StudyKeys};
use kluis_index::{
    IndexError, InstanceEntry, Known, LastRows, ManifestPointer, NewInstance, SeriesEntry, limits::ARRIVAL_LAG_NS,
};
use kluis_keys::{KeyId, ObjectId};
use kluis_vault::{Location, Position};
use serde_json::Map;

use super::{
    objects::Objects,
    prints::Heard,
    report::{Place, VerifyReport},
};
use crate::{
    ArchiveError, Inner,
    error::chain,
    manifest::{Manifest, ManifestEntry},
    place,
    record::{InstanceRecord, from_microseconds},
    store::new_instance,
};

/// Rows looked at in one step.
const STEP: u32 = 1_000;

/// Rows of objects that came while the packs were looked at, remembered at most.
const LATE_MAX: usize = 100_000;

/// What was there when the verification began.
pub(super) struct Begin {
    pub(super) end: Position,
    pub(super) last: LastRows,
}

/// The hot rows of a series.
#[derive(Default)]
struct Hot {
    count: u64,
    latest: i64,
}

struct Walk<'a> {
    inner: &'a Arc<Inner>,
    begin: &'a Begin,
    objects: &'a mut Objects,
    heard: &'a Heard,
    report: &'a mut VerifyReport,
    hot: HashMap<i64, Hot>,
    late: Vec<(ObjectId, Location, String)>,
    /// Series whose last arrival is later than that of any instance that was met.
    later: Vec<Place>,
}

/// Walks over all rows. The caller holds the lock of sealing, so that no row becomes a manifest's entry meanwhile.
pub(super) async fn look(
    inner: &Arc<Inner>,
    begin: &Begin,
    objects: &mut Objects,
    heard: &Heard,
    report: &mut VerifyReport,
) -> Result<(), ArchiveError> {
    let (hot, late, later) = (HashMap::new(), Vec::new(), Vec::new());
    let mut walk = Walk { inner, begin, objects, heard, report, hot, late, later };
    walk.instances().await?;
    walk.series().await?;
    walk.studies().await?;
    walk.conflicts().await?;
    walk.late().await
}

impl Walk<'_> {
    async fn instances(&mut self) -> Result<(), ArchiveError> {
        let mut after = 0;
        loop {
            let entries = match self.inner.index.instance_entries(after, STEP).await {
                Ok(entries) => entries,
                Err(error) => return self.unreadable("instance", error),
            };
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.row_key;
            for entry in entries {
                let hot = self.hot.entry(entry.series_key).or_default();
                hot.count += 1;
                hot.latest = hot.latest.max(entry.received_at);
                let row = format!("index.db, instance {}", entry.row_key);
                let print = self.heard.salt.short(&entry.content);
                self.show(ObjectId(entry.object_id), place::to_vault(entry.location), row, print, None);
            }
        }
    }

    /// One object that the index shows; `print` is that of its row, `metadata` that of its metadata where it is kept.
    fn show(&mut self, object: ObjectId, location: Location, row: String, print: u32, metadata: Option<u32>) {
        let place = Place { row: Some(row.clone()), ..Place::record(object, location) };
        let Some(slot) = self.objects.find(object) else {
            if (Position { pack: location.pack, offset: location.offset }) >= self.begin.end {
                if self.late.len() < LATE_MAX {
                    self.late.push((object, location, row));
                }
            } else {
                self.report.find("index", "the index shows an object that no pack holds", place);
            }
            return;
        };
        let place = place.leaf(slot.leaf());
        if slot.is_visible() || slot.is_conflict() {
            self.report.find("index", "the index shows the object twice", place);
            return;
        }
        slot.shown();
        if !slot.has_record() {
            self.report.find("vault", LOST, place);
            return;
        }
        if slot.is_unread() {
            return;
        }
        if slot.leaf().is_none() {
            self.report.find("ledger", "the object has no leaf", place.clone());
        }
        if !slot.is_row(print) {
            self.report.find("index", "the row of the object is not what its record says", place.clone());
        } else if self.report.full && metadata.is_some_and(|metadata| !slot.is_metadata(metadata)) {
            self.report.find("vault", "the manifest has other metadata than the record", place.clone());
        }
        if slot.is_later() {
            self.report.find("index", "a later version is shown in place of the first", place);
        }
    }

    async fn series(&mut self) -> Result<(), ArchiveError> {
        let mut after = 0;
        loop {
            let entries = match self.inner.index.series_entries(after, STEP).await {
                Ok(entries) => entries,
                Err(error) => return self.unreadable("series", error),
            };
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.row_key;
            for entry in entries.into_iter().filter(|entry| entry.row_key <= self.begin.last.series) {
                self.one_series(entry).await?;
            }
        }
    }

    async fn one_series(&mut self, entry: SeriesEntry) -> Result<(), ArchiveError> {
        let key_id = entry.key_id.map(KeyId);
        let place = Place::row(format!("index.db, series {}", entry.row_key)).of(key_id);
        let salt = self.heard.salt;
        let uid = salt.print(&[entry.study.as_slice(), b"/", &entry.uid].concat());
        let is_judged = self.heard.series.knows(uid) || !key_id.is_some_and(|key| self.heard.unread.contains(&key));
        if is_judged && !self.heard.series.says(uid, salt.print(&entry.content)) {
            self.report.find("index", "the row of the series is not what any of its records says", place.clone());
        }
        let (count, hot_latest) = self.hot.get(&entry.row_key).map_or((0, i64::MIN), |hot| (hot.count, hot.latest));
        if entry.is_hot != (count > 0) && !self.has_moved(&entry).await? {
            self.report.find("index", "whether the series has rows of its own is told wrongly", place.clone());
        }
        let latest = match (entry.manifest, key_id) {
            (Some(pointer), Some(key_id)) => self.manifest(&entry, key_id, &pointer, &place).await?,
            (Some(_), None) => None,
            (None, _) if count == 0 && !entry.is_hot => {
                self.report.find("index", "the series has neither instances nor a manifest", place);
                return Ok(());
            }
            (None, _) => Some(i64::MIN),
        };
        match latest.map(|latest| latest.max(hot_latest)) {
            Some(latest) if entry.last_arrival <= latest.saturating_sub(ARRIVAL_LAG_NS) => {
                self.report.find("index", ARRIVAL, place)
            }
            // something may have come since
            Some(latest) if entry.last_arrival > latest => self.later.push(place),
            _ => {}
        }
        Ok(())
    }

    /// Whether an instance came into the series since its rows were counted.
    async fn has_moved(&self, entry: &SeriesEntry) -> Result<bool, ArchiveError> {
        let index = &self.inner.index;
        if !entry.is_hot {
            let now = index.series_entries(entry.row_key - 1, 1).await?;
            return Ok(now.first().is_some_and(|now| now.row_key == entry.row_key && now.is_hot));
        }
        let uid = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<kluis_dicom::Uid>().ok());
        let (Some(study), Some(series)) = (uid(&entry.study), uid(&entry.uid)) else { return Ok(false) };
        let now = index.series_of(&study, &kluis_policy::RowFilter::All).await?;
        Ok(now.iter().any(|now| now.uid == series && now.hot_count > 0))
    }

    /// The entries of a manifest; the latest arrival among them.
    async fn manifest(
        &mut self,
        series: &SeriesEntry,
        key_id: KeyId,
        pointer: &ManifestPointer,
        place: &Place,
    ) -> Result<Option<i64>, ArchiveError> {
        let place = place.clone().at(place::to_vault(pointer.location));
        let manifest = match self.inner.manifests.read(self.inner, key_id, pointer).await {
            Ok(manifest) => manifest,
            Err(error) if is_unreadable(&error) => {
                self.report.find("vault", format!("the manifest cannot be read: {}", chain(&error)), place);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let head = manifest.head();
        let is_its_own =
            head.study.as_str().as_bytes() == series.study && head.series.as_str().as_bytes() == series.uid;
        if !is_its_own {
            self.report.find("index", "the series has the manifest of another", place);
            return Ok(None);
        }
        if (head.count, head.data_length) != (pointer.count, pointer.data_length) {
            self.report.find("index", "the series counts other instances than its manifest has", place.clone());
        }
        self.listed(&manifest, pointer, &place).await?;
        let mut latest = i64::MIN;
        for (number, entry) in manifest.entries.iter().enumerate() {
            let row = format!("manifest of series {}, entry {number}", series.row_key);
            let Some(instance) = instance_of(&manifest, entry, key_id) else {
                let place = Place { row: Some(row), ..Place::record(entry.object_id(), entry.location) };
                self.report.find("vault", "an entry of the manifest cannot be read", place);
                continue;
            };
            let content = self.inner.index.contents(&instance)?.instance;
            let metadata = self.report.full.then(|| self.heard.salt.short(entry.metadata.as_bytes()));
            let print = self.heard.salt.short(&content);
            self.show(entry.object_id(), entry.location, row, print, metadata);
            latest = latest.max(i64::try_from(instance.received_at.unix_timestamp_nanos()).unwrap_or(i64::MAX));
        }
        Ok(Some(latest))
    }

    /// Each entry must be found by its SOP Instance UID.
    async fn listed(
        &mut self,
        manifest: &Manifest,
        pointer: &ManifestPointer,
        place: &Place,
    ) -> Result<(), ArchiveError> {
        for entries in manifest.entries.chunks(kluis_index::limits::MAX_VALUES) {
            let uids: Vec<_> = entries.iter().map(|entry| entry.ids(manifest).sop_instance).collect();
            for (known, entry) in self.inner.index.known(&uids).await?.into_iter().zip(entries) {
                let is_listed = match known {
                    Known::Sealed(series) => series.iter().any(|series| series.manifest.location == pointer.location),
                    // the row is judged by itself
                    Known::Hot(_) => true,
                    Known::Unknown => false,
                };
                if !is_listed {
                    let place = Place { object: Some(entry.object_id().to_string()), ..place.clone() };
                    self.report.find("index", "a sealed instance is not found by its UID", place);
                }
            }
        }
        Ok(())
    }

    async fn studies(&mut self) -> Result<(), ArchiveError> {
        let mut after = 0;
        loop {
            let entries = match self.inner.index.study_entries(after, STEP).await {
                Ok(entries) => entries,
                Err(error) => return self.unreadable("study", error),
            };
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.row_key;
            for entry in entries.into_iter().filter(|entry| entry.row_key <= self.begin.last.study) {
                let key_id = entry.key_id.map(KeyId);
                let (said, salt) = (&self.heard.studies, self.heard.salt);
                let uid = salt.print(&entry.uid);
                let place = Place::row(format!("index.db, study {}", entry.row_key)).of(key_id);
                if key_id.is_some_and(|key| self.heard.unread.contains(&key)) && !said.knows(uid) {
                    continue;
                }
                if !said.says(uid, salt.print(&entry.content)) {
                    self.report.find("index", "the row of the study is not what any of its records says", place);
                } else if !said.came(uid, entry.created_at)
                    && !key_id.is_some_and(|key| self.heard.unread.contains(&key))
                {
                    self.report.find("index", "the time of the first arrival is told wrongly", place);
                }
            }
        }
    }

    /// There are few: their records are read again.
    async fn conflicts(&mut self) -> Result<(), ArchiveError> {
        let mut after = 0;
        loop {
            let entries = match self.inner.index.conflict_entries(after, STEP).await {
                Ok(entries) => entries,
                Err(error) => return self.unreadable("conflict_version", error),
            };
            let Some(last) = entries.last() else { break };
            after = last.row_key;
            for entry in entries {
                self.conflict(entry).await?;
            }
        }
        for (object, previous) in &self.heard.versions {
            let Some(slot) = self.objects.find(*object).copied().filter(|slot| slot.is_conflict()) else { continue };
            if self.objects.find(*previous).is_none_or(|slot| !slot.is_visible()) {
                let place = Place::object(*object).leaf(slot.leaf());
                self.report.find("index", "the version before a conflict is not the one that is shown", place);
            }
        }
        Ok(())
    }

    async fn conflict(&mut self, entry: InstanceEntry) -> Result<(), ArchiveError> {
        let (object, location) = (ObjectId(entry.object_id), place::to_vault(entry.location));
        let row = format!("index.db, conflict_version {}", entry.row_key);
        let place = Place { row: Some(row.clone()), ..Place::record(object, location) };
        let Some(slot) = self.objects.find(object) else {
            if (Position { pack: location.pack, offset: location.offset }) >= self.begin.end {
                if self.late.len() < LATE_MAX {
                    self.late.push((object, location, row));
                }
            } else {
                self.report.find("index", "the index keeps an object that no pack holds", place);
            }
            return Ok(());
        };
        let place = place.leaf(slot.leaf());
        if slot.is_visible() || slot.is_conflict() {
            self.report.find("index", "the index shows the object twice", place);
            return Ok(());
        }
        slot.kept_aside();
        if !slot.has_record() {
            self.report.find("vault", LOST, place);
            return Ok(());
        }
        if slot.is_unread() {
            return Ok(());
        }
        let (leaf, is_later) = (slot.leaf(), slot.is_later());
        if leaf.is_none() {
            self.report.find("ledger", "the object has no leaf", place.clone());
        }
        match self.record(object, location).await {
            Ok((instance, record)) => {
                if self.inner.index.contents(&instance)?.conflict != entry.content {
                    self.report.find("index", "the row of the object is not what its record says", place);
                } else if !is_later {
                    self.first_of_two(&record, leaf, place).await?;
                }
            }
            Err(error) if is_unreadable(&error) => self.report.find("vault", chain(&error), place),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Two that came at once name no version before them: the one that was accepted first, by its leaf, is shown.
    async fn first_of_two(
        &mut self,
        record: &InstanceRecord,
        leaf: Option<u64>,
        place: Place,
    ) -> Result<(), ArchiveError> {
        let known = self.inner.index.known(std::slice::from_ref(&record.ids.sop_instance)).await?.into_iter().next();
        let shown = match known {
            Some(Known::Hot(hot)) => Some(hot.object_id),
            Some(Known::Sealed(series)) => match self.inner.sealed_instance(&series, &record.ids.sop_instance).await {
                Ok(entry) => entry.map(|entry| entry.object_id),
                Err(error) if is_unreadable(&error) => return Ok(()),
                Err(error) => return Err(error),
            },
            _ => None,
        };
        let first = shown.and_then(|object| self.objects.find(ObjectId(object))).and_then(|slot| slot.leaf());
        if first.is_none() || leaf < first {
            self.report.find("index", "the version before a conflict is not the one that is shown", place);
        }
        Ok(())
    }

    async fn record(
        &self,
        object: ObjectId,
        location: Location,
    ) -> Result<(NewInstance, InstanceRecord), ArchiveError> {
        let header = self.inner.vault.inspect(location).await?;
        let key = self.inner.study_keys.get(header.key).await?.ok_or(ArchiveError::KeyDestroyed)?;
        let reader = self.inner.vault.open(location, &key).await?;
        if reader.header().object != object {
            return Err(ArchiveError::WrongRecord);
        }
        let record = InstanceRecord::from_bytes(reader.metadata())?;
        let attributes = kluis_dicom::attributes::extract(&record.outline).map_err(|_| ArchiveError::Record)?;
        let instance = new_instance(&record, attributes, location, object, header.key, reader.plain_len());
        Ok((instance, record))
    }

    /// Rows of objects that came meanwhile are not looked at; but there must be room for them in the packs.
    async fn late(&mut self) -> Result<(), ArchiveError> {
        let end = self.inner.end_of_packs().await?;
        if end == self.begin.end {
            for place in self.later.drain(..) {
                self.report.find("index", ARRIVAL, place);
            }
        }
        for (object, location, row) in self.late.drain(..) {
            if location.end() > end {
                let place = Place { row: Some(row), ..Place::record(object, location) };
                self.report.find("index", "the index shows an object behind the end of the packs", place);
            }
        }
        Ok(())
    }

    /// A row that cannot even be read ends the walk over its table: the rest shows as missing.
    fn unreadable(&mut self, table: &str, error: IndexError) -> Result<(), ArchiveError> {
        let error = ArchiveError::from(error);
        match &error {
            ArchiveError::Index(IndexError::Row(_) | IndexError::Damaged | IndexError::Database { .. }) => {
                self.report.find("index", chain(&error), Place::row(format!("index.db, {table}")));
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// What is said where nothing came at the time that is told.
const ARRIVAL: &str = "the time of the last arrival is told wrongly";

/// What is said where an object is gone.
pub(super) const LOST: &str = "the ledger names an object that no pack holds";

/// Whether what stands in the packs cannot be read, or the key for it.
fn is_unreadable(error: &ArchiveError) -> bool {
    error.is_damage() || matches!(error, ArchiveError::Keys(_))
}

/// The row that an entry was before it was sealed.
fn instance_of(manifest: &Manifest, entry: &ManifestEntry, key_id: KeyId) -> Option<NewInstance> {
    let attributes = Attributes {
        ids: entry.ids(manifest),
        study: StudyKeys::default(),
        series: SeriesKeys::default(),
        instance: InstanceKeys { number: entry.number, ..InstanceKeys::default() },
        study_json: Map::new(),
        series_json: Map::new(),
        instance_json: serde_json::from_str(&entry.attributes).ok()?,
    };
    Some(NewInstance {
        attributes,
        digest: entry.digest,
        location: place::to_index(entry.location),
        object_id: entry.object_id,
        key_id: key_id.0,
        transfer_syntax: entry.transfer_syntax.clone(),
        data_set_length: entry.data_set_length,
        sender: entry.sender.clone(),
        transport: entry.transport,
        received_at: from_microseconds(entry.received_at_us),
        absent_from: Vec::new(),
    })
}
