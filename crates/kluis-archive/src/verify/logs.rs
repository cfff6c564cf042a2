//! Both logs, by themselves and against what was known of them before: by the index, by the keys directory, and by
//! whoever kept a checkpoint elsewhere.

use std::{io, sync::Arc};

use kluis_ledger::{Checkpoint, Hash, Log, VerifierKey, proof::verify_consistency};
use kluis_vault::{Position, VaultError};

use super::report::{Finding, LogHead, Place, VerifyReport};
use crate::{ArchiveError, Inner, error::chain, record::hex, remembered::Remembered};

impl Inner {
    fn logs(&self) -> [(&'static str, Arc<Log>); 2] {
        [("objects", Arc::clone(&self.objects)), ("audit", Arc::clone(&self.audit))]
    }

    /// What the watermark and the remembered heads contradict. Logs and packs were synced before these were stored, so
    /// that no crash can take from them what they name: where they are shorter, an older copy was put in their place.
    pub(crate) async fn look_back(&self) -> Result<Vec<Finding>, ArchiveError> {
        let mut found = Vec::new();
        let mark = self.index.watermark().await?;
        let remembered = match Remembered::read(&self.keys) {
            Ok(remembered) => remembered.unwrap_or_default(),
            Err(error) => {
                let what = format!("what is remembered of the logs cannot be read: {}", chain(&error));
                found.push(Finding::new("keys", what, Place::row("keys/checkpoints.sealed")));
                Remembered::default()
            }
        };
        let sizes = mark.map_or([0, 0], |mark| [mark.objects_size, mark.audit_size]);
        for ((name, log), marked) in self.logs().into_iter().zip(sizes) {
            let heads = remembered.of(name).to_vec();
            let checked = tokio::task::spawn_blocking(move || hold_against(&log, name, marked, &heads)).await;
            found.extend(checked.map_err(|_| ArchiveError::Stopped)?);
        }
        if let Some(mark) = mark {
            let end = self.end_of_packs().await?;
            if end < (Position { pack: mark.pack, offset: mark.offset }) {
                let what = "the packs end before the place up to which the index has seen them";
                found.push(Finding::new("vault", what, Place::pack(mark.pack, mark.offset)));
            }
        }
        for finding in &found {
            tracing::error!(store = finding.store, which = finding.which, what = finding.what, "rolled back");
        }
        Ok(found)
    }

    /// Behind everything that is in the packs. Where the last pack is gone nobody knows: the walk over them says so.
    pub(super) async fn end_of_packs(&self) -> Result<Position, ArchiveError> {
        match self.vault.position().await {
            Err(VaultError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Position { pack: u64::MAX, offset: u64::MAX })
            }
            end => Ok(end?),
        }
    }

    pub(super) async fn verify_logs(&self, since: &[String], report: &mut VerifyReport) -> Result<(), ArchiveError> {
        let mut notes: Vec<Option<&String>> = since.iter().map(Some).collect();
        for (name, log) in self.logs() {
            let own: Vec<String> = notes
                .iter_mut()
                .filter(|note| note.is_some_and(|note| is_of(note, &log)))
                .filter_map(Option::take)
                .cloned()
                .collect();
            report.renewed_tiles += log.recovery().renewed_tiles;
            let head = log.published();
            report.checkpoints.push(LogHead {
                log: name,
                size: head.size,
                unsigned: log.size().saturating_sub(head.size),
                root: hex(&head.root),
                note: head.note.clone(),
            });
            let work = move || {
                let mut found = verify_log(&log, name);
                for note in &own {
                    found.extend(since_then(&log, name, note));
                }
                found
            };
            let found = tokio::task::spawn_blocking(work).await.map_err(|_| ArchiveError::Stopped)?;
            found.into_iter().for_each(|finding| report.add(finding));
        }
        for _ in notes.into_iter().flatten() {
            let what = "FORKED: the checkpoint that was kept is of no log of this node";
            report.find("ledger", what, Place::default());
        }
        report.object_leaves = self.objects.size();
        report.audit_leaves = self.audit.size();
        Ok(())
    }
}

fn verify_log(log: &Log, name: &'static str) -> Vec<Finding> {
    match log.verify() {
        Ok(checked) => {
            let hidden = checked.findings_total.saturating_sub(checked.findings.len() as u64);
            let mut found: Vec<Finding> = checked
                .findings
                .iter()
                .map(|finding| Finding::new("ledger", finding.to_string(), Place::log(name).entry(finding.index())))
                .collect();
            if hidden > 0 {
                found.push(Finding::new("ledger", format!("{hidden} more findings"), Place::log(name)));
            }
            found
        }
        Err(error) => {
            let place = Place::log(name).entry(error_index(&error));
            vec![Finding::new("ledger", chain(&error), place)]
        }
    }
}

/// The entry that an error of a log names.
fn error_index(error: &kluis_ledger::LedgerError) -> Option<u64> {
    use kluis_ledger::LedgerError;
    match error {
        LedgerError::Damaged { index, .. } | LedgerError::Contradiction { index } => Some(*index),
        LedgerError::Truncated { entries, .. } => Some(*entries),
        _ => None,
    }
}

/// Sizes and roots as they were seen earlier, ascending.
fn hold_against(log: &Log, name: &'static str, marked: u64, heads: &[(u64, Hash)]) -> Vec<Finding> {
    let mut found = Vec::new();
    let held = log.size();
    let seen = heads.iter().map(|(size, _)| *size).max().unwrap_or(0).max(marked);
    if held < seen {
        let what = format!("the log holds {held} leaves, {seen} were seen in it: it was rolled back");
        found.push(Finding::new("ledger", what, Place::log(name).entry(Some(held))));
    }
    let mut good = 0;
    for (size, root) in heads.iter().filter(|(size, _)| *size <= held) {
        match log.root(*size) {
            Ok(now) if now == *root => good = *size,
            Ok(_) => {
                let what = format!("entries {good} to {size} are not those that were there: the log was made anew");
                found.push(Finding::new("ledger", what, Place::log(name).entry(Some(good))));
                break;
            }
            Err(error) => {
                found.push(Finding::new("ledger", chain(&error), Place::log(name).entry(Some(good))));
                break;
            }
        }
    }
    found
}

/// Whether a note says that it is of this log.
fn is_of(note: &str, log: &Log) -> bool {
    let key: Option<VerifierKey> = log.verifier_key().parse().ok();
    key.is_some_and(|key| note.lines().next() == Some(key.name()))
}

/// A checkpoint that somebody kept: the log must have grown from it.
fn since_then(log: &Log, name: &'static str, note: &str) -> Option<Finding> {
    let forked = |what: String| Some(Finding::new("ledger", format!("FORKED: {what}"), Place::log(name)));
    let key: VerifierKey = match log.verifier_key().parse() {
        Ok(key) => key,
        Err(error) => return forked(chain(&error)),
    };
    let kept = match Checkpoint::open(note, &key) {
        Ok(kept) => kept,
        Err(error) => return forked(format!("the checkpoint that was kept is not of the key of this log: {error}")),
    };
    let head = log.published();
    if kept.size > head.size {
        let what = format!("ROLLED BACK: the log holds {} entries, {} were signed", head.size, kept.size);
        return Some(Finding::new("ledger", what, Place::log(name).entry(Some(head.size))));
    }
    let path = match log.consistency_proof(kept.size, head.size) {
        Ok(path) => path,
        Err(error) => return forked(format!("its tiles cannot prove anything: {}", chain(&error))),
    };
    match verify_consistency(kept.size, head.size, &path, &kept.root, &head.root) {
        Ok(()) => None,
        Err(_) => {
            let what = format!("the log did not grow from the {} entries that were signed", kept.size);
            let place = Place::log(name).entry(Some(0));
            Some(Finding::new("ledger", format!("FORKED: {what}"), place))
        }
    }
}
