//! `kluis verify`: vault, index, keys and ledger held against each other.
//!
//! Each accepted object has one leaf, one record and one row (or entry of a manifest). Leaves are read first; then the
//! packs, where each record is held against its leaf and what it says is kept as fingerprints; then the index, where each
//! row is held against these. What is left over on any side is a finding. See `docs/design/012-verify.md`.

mod logs;
mod objects;
mod packs;
mod prints;
mod report;
mod rows;

use std::{collections::HashSet, sync::Arc};

use kluis_index::{Counts, IndexError};
use kluis_keys::ObjectId;
use kluis_policy::RowFilter;
use kluis_vault::{Position, RecordKind};

pub use self::report::{Finding, LogHead, Place, VerifyReport};
use self::{
    objects::{Objects, Slot},
    prints::{Heard, Salt},
    rows::Begin,
};
use crate::{Archive, ArchiveError, Inner, Outcome, Permit, act::VerifyArchive, error::chain, torn::Noted};

/// Keys and headers looked at in one step.
const STEP: u32 = 1_000;

/// Objects that are looked for in the packs once more, to say where they stand.
const SOUGHT_MAX: usize = 10_000;

/// How thoroughly to look.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Read, decrypt and hash every byte; else headers and metadata only.
    pub full: bool,
    /// Checkpoints of the logs (signed notes) that were kept elsewhere: the logs must have grown from these.
    pub since: Vec<String>,
}

impl Archive {
    /// Holds vault, index, keys and ledger against each other.
    ///
    /// # Errors
    /// [`ArchiveError`] where the comparison could not be made; what it finds is in the report.
    pub async fn verify(
        &self,
        permit: Permit<VerifyArchive>,
        options: VerifyOptions,
    ) -> Result<VerifyReport, ArchiveError> {
        let result = verify(&self.inner, options).await;
        permit.finish(if result.is_ok() { Outcome::Done } else { Outcome::Failed });
        result
    }
}

async fn verify(inner: &Arc<Inner>, options: VerifyOptions) -> Result<VerifyReport, ArchiveError> {
    let mut report =
        VerifyReport { full: options.full, findings: inner.rolled_back.clone(), ..VerifyReport::default() };
    // what is stored is to be looked at, not what is remembered of it
    inner.manifests.clear();
    // nothing is between pack and index while the ends are read; what comes later is not part of this look
    let begun = {
        let _quiet = inner.ingest.write().await;
        let leaves = inner.objects.size();
        begin(inner).await.map(|(begin, counts)| (begin, leaves, counts))
    };
    if inner.rolled_back.is_empty() {
        match inner.look_back().await {
            Ok(found) => found.into_iter().for_each(|finding| report.add(finding)),
            Err(error) => unreadable(error, &mut report)?,
        }
    }
    inner.verify_logs(&options.since, &mut report).await?;
    databases(inner, &mut report).await?;
    keys(inner, &mut report).await?;
    let (begin, leaves, counts) = match begun {
        Ok(begun) => begun,
        // the rest can only be judged with an index; packs and keys make it anew
        Err(error) => return unreadable(error, &mut report).map(|()| report),
    };
    report.instances = counts.hot_instances + counts.sealed_instances;

    let salt = Salt::random();
    let (log, audit) = (Arc::clone(&inner.objects), Arc::clone(&inner.audit));
    let reading = tokio::task::spawn_blocking(move || {
        let objects = Objects::read(&log, 0..leaves, salt, &mut report);
        (objects, Noted::read(&audit), report)
    });
    let (mut objects, noted, mut report) = reading.await.map_err(|_| ArchiveError::Stopped)?;
    let mut heard = Heard::new(salt, noted);
    packs::look(inner, begin.end, &mut objects, &mut heard, &mut report).await?;
    {
        // no row becomes an entry of a manifest while rows are looked at
        let _sealing = inner.sealing.lock().await;
        rows::look(inner, &begin, &mut objects, &heard, &mut report).await?;
    }
    conclude(inner, &begin, &objects, &mut report).await?;
    Ok(report)
}

async fn begin(inner: &Inner) -> Result<(Begin, Counts), ArchiveError> {
    let (end, last) = (inner.end_of_packs().await?, inner.index.last_rows().await?);
    Ok((Begin { end, last }, inner.index.counts(&RowFilter::All).await?))
}

/// An index that cannot be read is a finding and no failure.
fn unreadable(error: ArchiveError, report: &mut VerifyReport) -> Result<(), ArchiveError> {
    match &error {
        ArchiveError::Index(
            IndexError::Damaged | IndexError::Row(_) | IndexError::WrongKey | IndexError::Database { .. },
        ) => {
            report.find("index", chain(&error), Place::row("index.db"));
            Ok(())
        }
        _ => Err(error),
    }
}

/// The files of the databases, page by page.
async fn databases(inner: &Inner, report: &mut VerifyReport) -> Result<(), ArchiveError> {
    match inner.index.check().await {
        Ok(checked) => {
            checked.findings.into_iter().for_each(|finding| report.find("index", finding, Place::row("index.db")));
        }
        Err(error) => unreadable(error.into(), report)?,
    }
    for (store, file, checked) in [
        ("keys", "keys.db", inner.study_keys.check_table().await.map_err(ArchiveError::from)),
        ("outbox", "outbox.db", inner.outbox.check().await.map_err(ArchiveError::from)),
        ("worklist", "worklist.db", inner.worklist.check().await.map_err(ArchiveError::from)),
        ("directory", "directory.db", inner.registrar.check().await.map_err(ArchiveError::from)),
    ] {
        match checked {
            Ok(findings) => findings.into_iter().for_each(|finding| report.find(store, finding, Place::row(file))),
            Err(error) => report.find(store, chain(&error), Place::row(file)),
        }
    }
    Ok(())
}

/// Every key of the table must open.
async fn keys(inner: &Inner, report: &mut VerifyReport) -> Result<(), ArchiveError> {
    let mut after = None;
    loop {
        let listed = match inner.study_keys.try_stored(after, STEP).await {
            Ok(listed) => listed,
            Err(error) => {
                report.find("keys", chain(&error), Place::row("keys.db"));
                return Ok(());
            }
        };
        let Some((last, _)) = listed.last() else { return Ok(()) };
        after = Some(*last);
        for (id, opens) in listed {
            report.keys += 1;
            if !opens {
                report.find("keys", "the key of the study cannot be opened", Place::key(id));
            }
        }
    }
}

/// What is left over.
async fn conclude(
    inner: &Inner,
    begin: &Begin,
    objects: &Objects,
    report: &mut VerifyReport,
) -> Result<(), ArchiveError> {
    let mut sought: Vec<Slot> = Vec::new();
    for slot in objects.iter() {
        let is_in_index = slot.is_visible() || slot.is_conflict();
        let place = Place::object(slot.object()).leaf(slot.leaf());
        match (slot.leaf(), slot.has_record()) {
            (Some(_), false) if !is_in_index => report.find("vault", rows::LOST, place),
            (Some(_), true) if !is_in_index && !slot.is_unread() => {
                if sought.len() < SOUGHT_MAX {
                    sought.push(*slot);
                } else {
                    report.find("index", UNLISTED, place);
                }
            }
            (None, true) if !is_in_index => report.orphans += 1,
            _ => {}
        }
    }
    if sought.is_empty() {
        return Ok(());
    }
    let mut left: HashSet<ObjectId> = sought.iter().map(Slot::object).collect();
    let mut from = Some(Position::START);
    while let Some(at) = from.filter(|at| *at < begin.end && !left.is_empty()) {
        let survey = inner.vault.survey(at, STEP).await?;
        for (location, header) in survey.records {
            if header.kind != RecordKind::Manifest && left.remove(&header.object) {
                let leaf = objects.leaf(header.object);
                let place = Place::record(header.object, location).leaf(leaf).of(Some(header.key));
                report.find("index", UNLISTED, place);
            }
        }
        from = survey.next;
    }
    for object in left {
        report.find("index", UNLISTED, Place::object(object).leaf(objects.leaf(object)));
    }
    Ok(())
}

/// What is said of an object that the index lacks.
const UNLISTED: &str = "the object is in ledger and vault, but not in the index";
