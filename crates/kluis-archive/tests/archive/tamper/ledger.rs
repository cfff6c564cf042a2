//! Manipulations of both logs.

use std::path::{Path, PathBuf};

use kluis_keys::LogSigner;
use kluis_ledger::Log;
use kluis_testkit::random::Random;

use super::{packs::Manipulation, stage::Stage, wanted::Wanted};
use crate::site::Signer;

pub const KINDS: &[(&str, Manipulation)] = &[
    ("ledger: a bit of a tile or bundle", |stage, random| {
        let log = any(random);
        let files = files(stage, log, "tile");
        let chosen = random.below(files.len());
        flip(stage, random, &files[chosen]);
        Some(vec![Wanted::Log(log, None)])
    }),
    ("ledger: a tile or bundle gone", |stage, random| {
        let log = any(random);
        // those of an earlier width may go: nobody is served them any more
        let files: Vec<PathBuf> =
            files(stage, log, "tile").into_iter().filter(|path| is_of_now(path, size(&stage.pristine, log))).collect();
        std::fs::remove_file(stage.path().join(&files[random.below(files.len())])).unwrap();
        Some(vec![Wanted::Log(log, None)])
    }),
    ("ledger: a bit of the journal", |stage, random| {
        let log = any(random);
        let path = PathBuf::from(format!("{log}/entries.log"));
        let byte = flip(stage, random, &path);
        let entry = entry_at(&stage.pristine[&path], byte);
        Some(vec![Wanted::Log(log, Some(entry..entry + 1))])
    }),
    ("ledger: the journal cut", |stage, random| {
        let log = any(random);
        let path = PathBuf::from(format!("{log}/entries.log"));
        let cut = random.below(stage.pristine[&path].len());
        let entry = entry_at(&stage.pristine[&path], cut);
        stage.change(&path, |bytes| bytes.truncate(cut));
        Some(vec![Wanted::Log(log, Some(entry..entry + 1))])
    }),
    ("ledger: a bit of the checkpoint", |stage, random| {
        let log = any(random);
        flip(stage, random, &PathBuf::from(format!("{log}/checkpoint")));
        Some(vec![Wanted::Log(log, None)])
    }),
    ("ledger: the checkpoint gone", |stage, random| {
        let log = any(random);
        std::fs::remove_file(stage.path().join(log).join("checkpoint")).unwrap();
        Some(vec![Wanted::Log(log, None)])
    }),
    ("ledger: an older checkpoint", |stage, random| {
        let log = any(random);
        let path = PathBuf::from(format!("{log}/checkpoint"));
        stage.write(&path, &stage.old[&path]);
        Some(vec![Wanted::Log(log, None)])
    }),
    ("ledger: an entry removed, tiles made anew", |stage, random| {
        forged(stage, random, false, |entries, at, _| drop(entries.remove(at)))
    }),
    ("ledger: an entry twice, tiles made anew", |stage, random| {
        forged(stage, random, false, |entries, at, _| entries.insert(at, entries[at].clone()))
    }),
    ("ledger: two entries exchanged, tiles made anew", |stage, random| {
        forged(stage, random, false, |entries, at, other| entries.swap(at, other))
    }),
    ("ledger: an entry changed, tiles made anew", |stage, random| {
        forged(stage, random, false, |entries, at, _| *entries[at].last_mut().unwrap() ^= 1)
    }),
    ("ledger: the last entries cut, tiles made anew", |stage, random| {
        forged(stage, random, false, |entries, at, _| entries.truncate(at))
    }),
    ("ledger: an entry removed, signed by another key", |stage, random| {
        forged(stage, random, true, |entries, at, _| drop(entries.remove(at)))
    }),
    ("ledger: two entries exchanged, signed by another key", |stage, random| {
        forged(stage, random, true, |entries, at, other| entries.swap(at, other))
    }),
    ("ledger: the last entries cut, signed by another key", |stage, random| {
        forged(stage, random, true, |entries, at, _| entries.truncate(at))
    }),
    ("ledger: rolled back", |stage, random| {
        let log = any(random);
        stage.roll_back(|path| path.starts_with(log));
        Some(vec![Wanted::Log(log, Some(size(&stage.old, log)..size(&stage.old, log) + 1))])
    }),
    ("ledger: both logs and the index rolled back", |stage, _| {
        stage.roll_back(|path| {
            path.starts_with("objects") || path.starts_with("audit") || path == Path::new("index.db")
        });
        Some(["objects", "audit"].map(|log| Wanted::Log(log, Some(size(&stage.old, log)..u64::MAX))).to_vec())
    }),
    ("all but the keys rolled back", |stage, _| {
        stage.roll_back(|path| !path.starts_with("keys"));
        Some(["objects", "audit"].map(|log| Wanted::Log(log, Some(size(&stage.old, log)..u64::MAX))).to_vec())
    }),
];

/// Only what was kept elsewhere tells.
pub const EVERYTHING: &str = "everything rolled back, a checkpoint kept elsewhere";

fn any(random: &mut Random) -> &'static str {
    ["objects", "audit"][random.below(2)]
}

fn files(stage: &Stage, log: &str, below: &str) -> Vec<PathBuf> {
    let below = Path::new(log).join(below);
    stage.pristine.keys().filter(|path| path.starts_with(&below)).cloned().collect()
}

/// Whether a tile is full, or as wide as it is now.
fn is_of_now(path: &Path, size: u64) -> bool {
    let text = path.to_str().unwrap();
    let Some((tile, width)) = text.rsplit_once(".p/") else { return true };
    let hashes = if tile.contains("/tile/1/") { size / 256 } else { size };
    width.parse() == Ok(hashes % 256)
}

fn flip(stage: &Stage, random: &mut Random, path: &Path) -> usize {
    let mut byte = 0;
    stage.change(path, |bytes| {
        byte = random.below(bytes.len());
        bytes[byte] ^= 1 << random.below(8);
    });
    byte
}

pub fn size(files: &super::stage::Files, log: &str) -> u64 {
    let note = String::from_utf8(files[&PathBuf::from(format!("{log}/checkpoint"))].clone()).unwrap();
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// The entries of a journal that begins with the first.
fn entries(journal: &[u8]) -> Vec<Vec<u8>> {
    let (mut at, mut entries) = (20, Vec::new());
    while at < journal.len() {
        let length = usize::from(u16::from_be_bytes([journal[at], journal[at + 1]]));
        entries.push(journal[at + 6..at + 6 + length].to_vec());
        at += 6 + length;
    }
    entries
}

/// The entry in which a byte of the journal stands; 0 for its header.
fn entry_at(journal: &[u8], byte: usize) -> u64 {
    let (mut at, mut entry) = (20, 0);
    while at < journal.len() {
        let length = usize::from(u16::from_be_bytes([journal[at], journal[at + 1]]));
        at += 6 + length;
        if byte < at {
            return entry;
        }
        entry += 1;
    }
    entry
}

/// A log with other entries, consistent in itself; its checkpoint is the old one, or signed by a key of the forger.
fn forged(
    stage: &Stage,
    random: &mut Random,
    is_signed: bool,
    change: impl Fn(&mut Vec<Vec<u8>>, usize, usize),
) -> Option<Vec<Wanted>> {
    let log = any(random);
    let before = entries(&stage.pristine[&PathBuf::from(format!("{log}/entries.log"))]);
    let mut after = before.clone();
    let (at, other) = (random.below(before.len()), random.below(before.len()));
    change(&mut after, at, other);
    if after == before {
        return None;
    }
    let first = before.iter().zip(&after).take_while(|(one, other)| one == other).count() as u64;
    let dir = tempfile::TempDir::new().unwrap();
    let (signer, _) = LogSigner::generate().unwrap();
    let (place, key) = (dir.path().join("log"), dir.path().join("vkey"));
    let made = Log::open(&place, &key, &format!("example.org/{log}"), Box::new(Signer(signer))).unwrap();
    made.append(&after).unwrap();
    made.checkpoint().unwrap();
    drop(made);
    for path in files(stage, log, "tile") {
        std::fs::remove_file(stage.path().join(path)).unwrap();
    }
    copy(stage, &place, Path::new(log), is_signed);
    // where all is made anew, what is remembered tells behind which head the first entry stands that is another
    Some(vec![Wanted::Log(log, (!is_signed).then_some(0..first + 1))])
}

fn copy(stage: &Stage, from: &Path, to: &Path, is_signed: bool) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(stage, &entry.path(), &target, is_signed);
        } else if entry.file_name() != "lock" && (is_signed || entry.file_name() != "checkpoint") {
            stage.write(&target, &std::fs::read(entry.path()).unwrap());
        }
    }
}
