//! The walk over the packs: every record is read, and what it says is held against its leaf and kept for the index.

use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc};

use kluis_dicom::{attributes::extract, json};
use kluis_keys::{KeyId, StudyKey};
use kluis_vault::{Candidate, Examined, Location, Position, RecordHeader, RecordKind, RecordPart, Stray};
use lru::LruCache;

use super::{
    objects::{Objects, Slot},
    prints::{Heard, Salt},
    report::{Place, VerifyReport},
};
use crate::{
    ArchiveError, Inner, STUDY_KEY, error::chain, manifest::ManifestHead, record::InstanceRecord, store::new_instance,
    torn::Noted,
};

/// Records looked at in one step.
const STEP: u32 = 256;

/// Steps at a time: one reads and decrypts while the other is judged.
const STEPS_AT_ONCE: usize = 4;

/// Study keys held open.
const KEYS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);

/// Progress is told so often, in records.
const TELL_EVERY: u64 = 100_000;

/// One record, read and judged by itself.
struct Judged {
    location: Location,
    header: RecordHeader,
    bytes: u64,
    /// What is wrong with it, with the store that is at fault.
    wrong: Vec<(&'static str, String)>,
    said: Option<Said>,
}

/// What the record of an object says.
struct Said {
    leaf: u64,
    row: u32,
    metadata: u32,
    study: (u64, u64),
    series: (u64, u64),
    received_at: i64,
    previous: Option<[u8; 16]>,
}

enum Key {
    Open(Arc<StudyKey>),
    Gone,
    Damaged(String),
}

/// Walks over everything before `end`.
pub(super) async fn look(
    inner: &Arc<Inner>,
    end: Position,
    objects: &mut Objects,
    heard: &mut Heard,
    report: &mut VerifyReport,
) -> Result<(), ArchiveError> {
    let (is_full, salt) = (report.full, heard.salt);
    let mut keys = LruCache::new(KEYS);
    let mut steps = VecDeque::new();
    let (mut from, mut seen, mut told) = (Some(Position::START), 0, 0);
    while from.is_some() || !steps.is_empty() {
        if let Some(at) = from
            && steps.len() < STEPS_AT_ONCE
        {
            let survey = inner.vault.survey(at, STEP).await?;
            survey.strays.into_iter().for_each(|stray| report_stray(stray, end, &heard.noted, report));
            let mut records = Vec::with_capacity(survey.records.len());
            for (location, header) in survey.records {
                if (Position { pack: location.pack, offset: location.offset }) < end {
                    let key = key(inner, header.key, &mut keys).await?;
                    records.push((location, header, key));
                }
            }
            from = survey.next.filter(|next| *next < end);
            steps.push_back(tokio::spawn(judge_all(Arc::clone(inner), records, salt, is_full)));
            continue;
        }
        let Some(step) = steps.pop_front() else { break };
        let records = step.await.map_err(|_| ArchiveError::Stopped)??;
        seen += records.len() as u64;
        for record in records {
            take(record, objects, heard, report);
        }
        if seen - told >= TELL_EVERY {
            told = seen;
            tracing::info!(records = seen, bytes = report.bytes_read, findings = report.findings.len(), "verifying");
        }
    }
    objects.settle();
    Ok(())
}

/// The key as the table has it now, not as it is remembered.
async fn key(inner: &Inner, id: KeyId, keys: &mut LruCache<KeyId, Option<Arc<StudyKey>>>) -> Result<Key, ArchiveError> {
    let key = match keys.get(&id) {
        Some(key) => key.clone(),
        None => match inner.study_keys.stored(id).await {
            Ok(key) => {
                keys.put(id, key.clone());
                key
            }
            // a table that cannot be read is named as such elsewhere
            Err(error) => return Ok(Key::Damaged(chain(&error))),
        },
    };
    Ok(key.map_or(Key::Gone, Key::Open))
}

fn report_stray(stray: Stray, end: Position, noted: &Noted, report: &mut VerifyReport) {
    match stray {
        Stray::Gap(gap) if (Position { pack: gap.pack, offset: gap.offset }) >= end => {}
        Stray::Gap(gap) if noted.covers(gap.pack, gap.offset, gap.offset.saturating_add(gap.bytes)) => report.torn += 1,
        Stray::Gap(gap) => {
            let what = format!("{} bytes are no record", gap.bytes);
            report.find("vault", what, Place::pack(gap.pack, gap.offset));
        }
        Stray::FirstPage { pack } if pack > end.pack => {}
        Stray::FirstPage { pack } => {
            report.find("vault", "the first page of the pack is damaged", Place::pack(pack, 0));
        }
        Stray::NoPack { pack } => report.find("vault", "the pack is missing", Place::pack(pack, 0)),
        Stray::File { name } => {
            let row = format!("packs/{}", name.as_deref().unwrap_or("(its name is not told)"));
            report.find("vault", "a file is among the packs that is none", Place::row(row));
        }
        other => report.find("vault", format!("{other:?}"), Place::default()),
    }
}

async fn judge_all(
    inner: Arc<Inner>,
    records: Vec<(Location, RecordHeader, Key)>,
    salt: Salt,
    is_full: bool,
) -> Result<Vec<Judged>, ArchiveError> {
    let candidate = |(location, header, key): &(Location, RecordHeader, Key)| Candidate {
        location: *location,
        header: header.clone(),
        key: if let Key::Open(key) = key { Some(Arc::clone(key)) } else { None },
    };
    let examined = inner.vault.examine(records.iter().map(candidate).collect(), is_full).await?;
    let judging = tokio::task::spawn_blocking(move || {
        let both = records.into_iter().zip(examined);
        both.map(|(record, examined)| judge(&inner, record, examined, salt, is_full)).collect()
    });
    judging.await.map_err(|_| ArchiveError::Stopped)?
}

/// Judges one record by what is in it.
fn judge(
    inner: &Inner,
    (location, header, key): (Location, RecordHeader, Key),
    examined: Result<Examined, kluis_vault::VaultError>,
    salt: Salt,
    is_full: bool,
) -> Result<Judged, ArchiveError> {
    let mut wrong: Vec<(&'static str, String)> = Vec::new();
    let examined = match examined.map_err(ArchiveError::from) {
        Ok(examined) => examined,
        Err(error) if error.is_damage() => {
            wrong.push(("vault", chain(&error)));
            Examined::default()
        }
        Err(error) => return Err(error),
    };
    let is_known = examined.damage.iter().any(|part| *part != RecordPart::Checksum);
    // the checksum tells of what nothing else covers
    let damage = examined.damage.iter().filter(|part| !is_known || **part != RecordPart::Checksum);
    wrong.extend(damage.map(|part| ("vault", format!("the record is damaged: {part}"))));
    match &key {
        Key::Open(_) => {}
        Key::Gone => wrong.push(("keys", GONE.to_owned())),
        Key::Damaged(error) => wrong.push(("keys", error.clone())),
    }
    let mut judged = Judged { location, header, bytes: examined.bytes, wrong, said: None };
    let (Some(metadata), Key::Open(key)) = (&examined.metadata, &key) else { return Ok(judged) };
    if judged.header.kind == RecordKind::Manifest {
        let head: Option<ManifestHead> = postcard::from_bytes(metadata).ok();
        let belongs = head.map(|head| inner.keys.key_id(STUDY_KEY, head.study.as_str().as_bytes()));
        if belongs != Some(judged.header.key) {
            judged.wrong.push(("vault", "the manifest is not of the study whose key it has".to_owned()));
        }
        return Ok(judged);
    }
    match say(inner, &judged, metadata, key, salt, is_full) {
        Ok((record, said)) => {
            if is_full && examined.digest.is_some_and(|digest| digest != record.digest) {
                judged.wrong.push(("vault", "the bytes do not have the digest of the record".to_owned()));
            }
            if inner.keys.key_id(STUDY_KEY, record.ids.study.as_str().as_bytes()) != judged.header.key {
                judged.wrong.push(("vault", "the object is not of the study whose key it has".to_owned()));
            }
            judged.said = Some(said);
        }
        Err(error) if error.is_damage() => judged.wrong.push(("vault", chain(&error))),
        Err(error) => return Err(error),
    }
    Ok(judged)
}

/// What is said where a key is not in the table.
const GONE: &str = "the key of the study is gone";

fn say(
    inner: &Inner,
    judged: &Judged,
    metadata: &[u8],
    key: &StudyKey,
    salt: Salt,
    is_full: bool,
) -> Result<(InstanceRecord, Said), ArchiveError> {
    let header = &judged.header;
    let record = InstanceRecord::from_bytes(metadata)?;
    let leaf = record.leaf(header.object, header.key, key);
    let attributes = extract(&record.outline).map_err(|_| ArchiveError::Record)?;
    let instance = new_instance(&record, attributes, judged.location, header.object, header.key, header.plain_length);
    let contents = inner.index.contents(&instance)?;
    let mut whole = Vec::new();
    if is_full {
        json::write(&record.outline, &|index| format!("@@/bulkdata/{index}"), &mut whole);
    }
    let received_at = i64::try_from(record.received_at().unix_timestamp_nanos()).map_err(|_| ArchiveError::Record)?;
    let ids = &record.ids;
    let series_uid = [ids.study.as_str(), ids.series.as_str()].join("/");
    let said = Said {
        leaf: salt.print(&leaf),
        row: salt.short(&contents.instance),
        metadata: salt.short(&whole),
        study: (salt.print(ids.study.as_str().as_bytes()), salt.print(&contents.study)),
        series: (salt.print(series_uid.as_bytes()), salt.print(&contents.series)),
        received_at,
        previous: record.previous,
    };
    Ok((record, said))
}

/// Brings record and leaf together.
fn take(record: Judged, objects: &mut Objects, heard: &mut Heard, report: &mut VerifyReport) {
    let Judged { location, header, bytes, wrong, said } = record;
    report.bytes_read += bytes;
    if !wrong.is_empty() && objects.find(header.object).is_none() && heard.noted.covers_record(location) {
        // its header came to the disk, the rest did not
        report.torn += 1;
        return;
    }
    let is_gone = wrong.iter().any(|(_, what)| what == GONE);
    if header.kind == RecordKind::Manifest {
        report.manifests += 1;
        for (store, what) in wrong {
            report.find(store, what, Place::record(header.object, location).of(Some(header.key)));
        }
        return;
    }
    report.objects += u64::from(said.is_some());
    report.erased += u64::from(is_gone);
    let mut added = Slot::unlogged(header.object);
    let (slot, is_logged) = match objects.find(header.object) {
        Some(slot) => (slot, true),
        None => (&mut added, false),
    };
    let place = Place::record(header.object, location).leaf(slot.leaf()).of(Some(header.key));
    if slot.has_record() {
        report.find("vault", "the object is in the packs twice", place);
        return;
    }
    slot.met();
    for (store, what) in wrong {
        report.find(store, what, place.clone());
    }
    match said {
        Some(said) => {
            if is_logged && !slot.is_leaf(said.leaf) {
                report.find("ledger", "the leaf does not commit to this object", place);
            }
            slot.said(said.row, said.metadata, said.previous.is_some());
            match said.previous {
                Some(previous) => heard.versions.push((header.object, kluis_keys::ObjectId(previous))),
                // a later version makes no row of a study or a series
                None => {
                    heard.studies.hear(said.study.0, said.study.1, said.received_at);
                    heard.series.hear(said.series.0, said.series.1, said.received_at);
                }
            }
        }
        None => {
            slot.unreadable();
            heard.unread.insert(header.key);
        }
    }
    if !is_logged {
        objects.add_unlogged(added);
    }
}
