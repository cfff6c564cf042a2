//! `kluis verify`: vault, index and ledger held against each other.

use std::collections::HashMap;

use aws_lc_rs::digest::{Context, SHA256};
use kluis_index::Counts;
use kluis_keys::ObjectId;
use kluis_policy::RowFilter;
use kluis_vault::{Location, ObjectReader, Position, RecordHeader, RecordKind};
use serde::Serialize;

use crate::{
    Archive, ArchiveError, Inner, Outcome, Permit,
    act::VerifyArchive,
    record::{InstanceRecord, Leaf},
    replay::is_current,
};

/// Records looked at in one step.
const STEP: u32 = 256;

/// Leaves read in one step.
const LEAVES_STEP: u64 = 4_096;

/// Bytes read at once.
const READ_STEP: u64 = 4 << 20;

/// Findings listed at most; the rest is counted.
const FINDINGS_MAX: usize = 10_000;

/// What was looked at and what was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VerifyReport {
    /// Whether every byte was read.
    pub full: bool,
    /// Records of objects in the packs.
    pub objects: u64,
    /// Records of manifests in the packs.
    pub manifests: u64,
    /// Instances that the index shows.
    pub instances: u64,
    /// Leaves of the objects log.
    pub object_leaves: u64,
    /// Leaves of the audit log.
    pub audit_leaves: u64,
    /// Objects whose key was destroyed.
    pub erased: u64,
    /// Objects that no index row names: the second of two that came at once.
    pub orphans: u64,
    /// Bytes of data sets that were read.
    pub bytes_read: u64,
    /// What does not agree; empty when all is well.
    pub findings: Vec<Finding>,
    /// Findings that were not listed.
    pub findings_not_listed: u64,
}

/// One thing that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// vault, index or ledger.
    pub store: &'static str,
    /// What is wrong.
    pub what: String,
    /// Object id, or place in the pack, or index of the leaf.
    pub which: String,
}

impl VerifyReport {
    fn find(&mut self, store: &'static str, what: impl Into<String>, which: impl Into<String>) {
        if self.findings.len() >= FINDINGS_MAX {
            self.findings_not_listed += 1;
            return;
        }
        self.findings.push(Finding { store, what: what.into(), which: which.into() });
    }
}

impl Archive {
    /// Holds vault, index and ledger against each other; with `full` every byte is decrypted and hashed.
    ///
    /// # Errors
    /// [`ArchiveError`] where the comparison could not be made; what it finds is in the report.
    pub async fn verify(&self, permit: Permit<VerifyArchive>, full: bool) -> Result<VerifyReport, ArchiveError> {
        let result = self.inner.verify(full).await;
        permit.finish(if result.is_ok() { Outcome::Done } else { Outcome::Failed });
        result
    }
}

impl Inner {
    async fn verify(&self, full: bool) -> Result<VerifyReport, ArchiveError> {
        let mut report = VerifyReport { full, findings: self.rolled_back.clone(), ..VerifyReport::default() };
        // what is stored is to be looked at, not what is remembered of it
        self.manifests.clear();
        // nothing is between pack and index while the ends are read; what comes later is not part of this look
        let (end, objects_size, counts) = {
            let _quiet = self.ingest.write().await;
            (self.vault.position().await?, self.objects.size(), self.index.counts(&RowFilter::All).await?)
        };
        if self.rolled_back.is_empty() {
            report.findings.extend(self.look_back().await?);
        }
        self.verify_logs(&mut report).await?;
        let mut leaves = self.leaves(objects_size, &mut report);
        let mut position = Position::default();
        'packs: loop {
            let records = self.vault.scan(position, STEP).await?;
            let Some((last, _)) = records.last() else { break };
            position = Position { pack: last.pack, offset: last.offset.saturating_add(last.length) };
            for (location, header) in &records {
                if (Position { pack: location.pack, offset: location.offset }) >= end {
                    break 'packs;
                }
                match self.verify_record(*location, header, &mut leaves, &mut report).await {
                    Err(error) if error.is_damage() => {
                        report.find("vault", crate::error::chain(&error), header.object.to_string());
                    }
                    other => other?,
                }
            }
        }
        for (object, (index, _)) in leaves {
            report.find("vault", "the ledger names an object that no pack holds", format!("leaf {index}, {object}"));
        }
        verify_counts(&counts, &mut report);
        Ok(report)
    }

    /// What the watermark contradicts. Logs and packs were synced before it was stored, so that no crash can take from
    /// them what it names: where they are shorter, an older copy was put in their place.
    pub(crate) async fn look_back(&self) -> Result<Vec<Finding>, ArchiveError> {
        let Some(mark) = self.index.watermark().await? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (name, held, seen) in
            [("objects", self.objects.size(), mark.objects_size), ("audit", self.audit.size(), mark.audit_size)]
        {
            if held < seen {
                let what = format!("the log holds {held} leaves, the index has seen {seen}: it was rolled back");
                found.push(Finding { store: "ledger", what, which: name.to_owned() });
            }
        }
        let end = self.vault.position().await?;
        if end < (Position { pack: mark.pack, offset: mark.offset }) {
            let what = "the packs end before the place up to which the index has seen them".to_owned();
            found.push(Finding { store: "vault", what, which: format!("pack {}, offset {}", mark.pack, mark.offset) });
        }
        for finding in &found {
            tracing::error!(store = finding.store, which = finding.which, what = finding.what, "rolled back");
        }
        Ok(found)
    }

    async fn verify_logs(&self, report: &mut VerifyReport) -> Result<(), ArchiveError> {
        for (name, log) in [("objects", &self.objects), ("audit", &self.audit)] {
            let log = std::sync::Arc::clone(log);
            let checked = tokio::task::spawn_blocking(move || log.verify()).await.map_err(|_| ArchiveError::Stopped)?;
            match checked {
                Ok(checked) => {
                    for finding in checked.findings {
                        report.find("ledger", finding.to_string(), name);
                    }
                }
                Err(error) => report.find("ledger", crate::error::chain(&error), name),
            }
        }
        report.object_leaves = self.objects.size();
        report.audit_leaves = self.audit.size();
        for finding in self.index.check().await?.findings {
            report.find("index", finding, "database");
        }
        Ok(())
    }

    fn leaves(&self, size: u64, report: &mut VerifyReport) -> HashMap<ObjectId, (u64, Leaf)> {
        let mut leaves = HashMap::new();
        let mut at = 0;
        while at < size {
            let end = size.min(at + LEAVES_STEP);
            let entries = self.objects.entries(at..end).unwrap_or_else(|error| {
                report.find("ledger", crate::error::chain(&error), format!("leaves {at} to {end}"));
                Vec::new()
            });
            for (index, entry) in (at..end).zip(entries) {
                match serde_json::from_slice::<Leaf>(&entry) {
                    Ok(leaf) => {
                        let object = leaf.object;
                        if leaves.insert(object, (index, leaf)).is_some() {
                            report.find(
                                "ledger",
                                "the object has more than one leaf",
                                format!("leaf {index}, {object}"),
                            );
                        }
                    }
                    Err(_) => report.find("ledger", "a leaf cannot be read", format!("leaf {index}")),
                }
            }
            at = end;
        }
        leaves
    }

    async fn verify_record(
        &self,
        location: Location,
        header: &RecordHeader,
        leaves: &mut HashMap<ObjectId, (u64, Leaf)>,
        report: &mut VerifyReport,
    ) -> Result<(), ArchiveError> {
        let which = header.object.to_string();
        let leaf = leaves.remove(&header.object);
        let Some(key) = self.study_keys.get(header.key).await? else {
            // no act of this archive destroys a key, so that this is a loss
            report.find("keys", "the key of the study is gone", which);
            report.erased += u64::from(header.kind != RecordKind::Manifest);
            return Ok(());
        };
        let object = match self.vault.open(location, &key).await {
            Ok(object) => object,
            Err(error) => {
                report.find("vault", error.to_string(), which);
                return Ok(());
            }
        };
        if header.kind == RecordKind::Manifest {
            report.manifests += 1;
            if report.full
                && let Err(what) = read_through(&object, report).await
            {
                report.find("vault", what, which);
            }
            return Ok(());
        }
        report.objects += 1;
        let record = InstanceRecord::from_bytes(object.metadata())?;
        if report.full {
            match read_through(&object, report).await {
                Ok(digest) if digest == record.digest => {}
                Ok(_) => report.find("vault", "the bytes do not have the digest of the record", which.as_str()),
                Err(what) => report.find("vault", what, which.as_str()),
            }
        }
        if !is_current(self, header, &record).await? {
            match leaf {
                Some(_) => report.find("index", "the object is in ledger and vault, but not in the index", which),
                None => report.orphans += 1,
            }
            return Ok(());
        }
        match leaf {
            None => report.find("ledger", "the object has no leaf", which),
            Some((_, leaf)) => {
                let expected = record.leaf(header.object, header.key, &key);
                if serde_json::from_slice::<Leaf>(&expected).ok().as_ref() != Some(&leaf) {
                    report.find("ledger", "the leaf does not commit to this object", which);
                }
            }
        }
        Ok(())
    }
}

fn verify_counts(counts: &Counts, report: &mut VerifyReport) {
    report.instances = counts.hot_instances + counts.sealed_instances;
    let shown = report.instances + counts.conflicts;
    let held = (report.objects + report.erased).saturating_sub(report.orphans);
    if shown > held {
        report.find("vault", format!("the index shows {shown} objects, the packs hold {held}"), "packs");
    }
}

/// Decrypts everything and hashes it.
async fn read_through(object: &ObjectReader, report: &mut VerifyReport) -> Result<[u8; 32], String> {
    let mut digest = Context::new(&SHA256);
    let mut at = 0;
    while at < object.plain_len() {
        let end = object.plain_len().min(at + READ_STEP);
        let bytes = object.read(at..end).await.map_err(|error| error.to_string())?;
        digest.update(&bytes);
        report.bytes_read += bytes.len() as u64;
        at = end;
    }
    digest.finish().as_ref().try_into().map_err(|_| "digest has the wrong length".to_owned())
}
