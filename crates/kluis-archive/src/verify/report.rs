//! What a verification reports. Findings name places by identifiers that tell nothing about a person.

use std::fmt;

use kluis_keys::{KeyId, ObjectId};
use kluis_vault::Location;
use serde::Serialize;

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
    /// Study keys.
    pub keys: u64,
    /// Objects whose key was destroyed.
    pub erased: u64,
    /// Objects that no index row names: the second of two that came at once.
    pub orphans: u64,
    /// Bytes of data sets that were read.
    pub bytes_read: u64,
    /// The heads of both logs as they are now, to be kept elsewhere and to be given to a later verification.
    pub checkpoints: Vec<LogHead>,
    /// Tiles of the logs that the start found missing or other than the journal has them, and wrote anew: what a loss of
    /// power leaves, and what somebody leaves who changes them.
    pub renewed_tiles: u64,
    /// Stretches of the packs that a start found to be no record, and noted in the audit log, before anything behind them
    /// was accepted: what a loss of power leaves of a write that nobody was told of. An object that was acknowledged is
    /// missed all the same.
    pub torn: u64,
    /// What does not agree; empty when all is well.
    pub findings: Vec<Finding>,
    /// Findings that were not listed.
    pub findings_not_listed: u64,
}

/// The signed head of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogHead {
    /// `objects` or `audit`.
    pub log: &'static str,
    /// Entries under it.
    pub size: u64,
    /// Entries behind it: those of the last second, or more where the checkpoint is older than the log.
    pub unsigned: u64,
    /// Root of the tree over them, hexadecimal.
    pub root: String,
    /// The signed note (C2SP tlog-checkpoint).
    pub note: String,
}

/// One thing that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// vault, index, keys or ledger.
    pub store: &'static str,
    /// What is wrong.
    pub what: String,
    /// Where, in words.
    pub which: String,
    /// Where, in fields.
    #[serde(flatten)]
    pub place: Place,
}

/// Where something is wrong, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Id of the object in the vault, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Number of the pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<u64>,
    /// First byte in the pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// `objects` or `audit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<&'static str>,
    /// Index of the entry in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// Id of the study's key, which stands for the study.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study_key: Option<String>,
    /// Database, table and row, or a file of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
}

impl Place {
    pub(super) fn object(object: ObjectId) -> Self {
        Self { object: Some(object.to_string()), ..Self::default() }
    }

    pub(super) fn record(object: ObjectId, location: Location) -> Self {
        Self::object(object).at(location)
    }

    pub(super) fn pack(pack: u64, offset: u64) -> Self {
        Self { pack: Some(pack), offset: Some(offset), ..Self::default() }
    }

    pub(super) fn log(log: &'static str) -> Self {
        Self { log: Some(log), ..Self::default() }
    }

    pub(super) fn key(key: KeyId) -> Self {
        Self { study_key: Some(key.to_string()), ..Self::default() }
    }

    pub(super) fn row(row: impl Into<String>) -> Self {
        Self { row: Some(row.into()), ..Self::default() }
    }

    pub(super) fn at(mut self, location: Location) -> Self {
        (self.pack, self.offset) = (Some(location.pack), Some(location.offset));
        self
    }

    pub(super) fn leaf(mut self, index: Option<u64>) -> Self {
        if index.is_some() {
            (self.log, self.entry) = (Some("objects"), index);
        }
        self
    }

    pub(super) fn entry(mut self, index: Option<u64>) -> Self {
        self.entry = index;
        self
    }

    pub(super) fn of(mut self, key: Option<KeyId>) -> Self {
        self.study_key = key.map(|key| key.to_string());
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.object.as_ref().map(|object| format!("object {object}")));
        match (self.pack, self.offset) {
            (Some(pack), Some(offset)) => parts.push(format!("pack {pack:016x} at {offset}")),
            (Some(pack), None) => parts.push(format!("pack {pack:016x}")),
            _ => {}
        }
        match (self.log, self.entry) {
            (Some(log), Some(entry)) => parts.push(format!("{log}, entry {entry}")),
            (Some(log), None) => parts.push(log.to_owned()),
            _ => {}
        }
        parts.extend(self.row.clone());
        parts.extend(self.study_key.as_ref().map(|key| format!("study key {key}")));
        f.write_str(&parts.join(", "))
    }
}

impl Finding {
    pub(super) fn new(store: &'static str, what: impl Into<String>, place: Place) -> Self {
        Self { store, what: what.into(), which: place.to_string(), place }
    }
}

impl VerifyReport {
    pub(super) fn find(&mut self, store: &'static str, what: impl Into<String>, place: Place) {
        self.add(Finding::new(store, what, place));
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.findings.len() >= FINDINGS_MAX {
            self.findings_not_listed += 1;
            return;
        }
        self.findings.push(finding);
    }
}
