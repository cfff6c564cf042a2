//! What is remembered of both logs apart from them: sizes and roots, sealed in the keys directory. Logs, packs and index
//! that are put back together to an older state contradict it, and so does a log that was made anew.

use std::{ops::Range, path::Path};

use kluis_keys::KeyRing;
use kluis_ledger::Hash;
use serde::{Deserialize, Serialize};

use crate::ArchiveError;

/// Name of the sealed file.
const FILE: &str = "checkpoints";

/// Heads kept of each log: enough for one at each doubling of the distance from the end.
const HEADS_MAX: usize = 256;

/// Heads of both logs, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    objects: Vec<(u64, Hash)>,
    audit: Vec<(u64, Hash)>,
}

impl Remembered {
    /// `None` where nothing was remembered yet.
    pub(crate) fn read(keys: &KeyRing) -> Result<Option<Self>, ArchiveError> {
        let Some(bytes) = keys.read_sealed_file(FILE)? else { return Ok(None) };
        postcard::from_bytes(&bytes).map(Some).map_err(|_| ArchiveError::Record)
    }

    /// Durable on return. Blocks.
    pub(crate) fn write(&self, keys: &KeyRing) -> Result<(), ArchiveError> {
        let bytes = postcard::to_stdvec(self).map_err(|_| ArchiveError::Record)?;
        Ok(keys.write_sealed_file(FILE, &bytes)?)
    }

    pub(crate) fn of(&self, log: &str) -> &[(u64, Hash)] {
        if log == "objects" { &self.objects } else { &self.audit }
    }

    /// Adds the heads of now.
    pub(crate) fn add(&mut self, objects: (u64, Hash), audit: (u64, Hash)) {
        push(&mut self.objects, objects);
        push(&mut self.audit, audit);
    }
}

/// Where the log `name` (`objects` or `audit`) in `dir` left what is remembered of it, by the index of its entries: for a
/// log that cannot be opened. `None` where nothing tells.
#[must_use]
pub fn departure(keys: &KeyRing, name: &str, dir: &Path) -> Option<Range<u64>> {
    let remembered = Remembered::read(keys).ok()??;
    kluis_ledger::departure(dir, remembered.of(name)).ok()?
}

fn push(heads: &mut Vec<(u64, Hash)>, head: (u64, Hash)) {
    if heads.last().is_none_or(|(size, _)| *size < head.0) {
        heads.push(head);
    }
    // a head may go where its neighbours are close to each other, compared with how far back they are
    let mut kept: Vec<(u64, Hash)> = Vec::with_capacity(heads.len());
    for (position, this) in heads.iter().enumerate() {
        let next = heads.get(position + 1).map(|(size, _)| *size);
        let before = kept.last().map(|(size, _)| *size);
        let is_close = before
            .zip(next)
            .is_some_and(|(before, next)| next.saturating_sub(before) <= head.0.saturating_sub(next) / 8);
        if !is_close {
            kept.push(*this);
        }
    }
    let surplus = kept.len().saturating_sub(HEADS_MAX);
    kept.drain(..surplus);
    *heads = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_stay_few_and_the_newest_stay() {
        let mut remembered = Remembered::default();
        for size in 1..=100_000_u64 {
            remembered.add((size, [1; 32]), (size, [2; 32]));
        }
        let sizes: Vec<u64> = remembered.of("objects").iter().map(|(size, _)| *size).collect();
        assert!(sizes.len() < 150, "{}", sizes.len());
        assert_eq!(sizes.last(), Some(&100_000));
        assert_eq!(sizes.first(), Some(&1));
        assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
