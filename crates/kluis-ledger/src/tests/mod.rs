//! Tests of the log as a whole: storage and crashes, tampering, proofs.

mod concurrency;
mod formats;
mod proofs;
mod storage;
mod tampering;

use std::{
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::{Hash, LedgerError, Log, Signer, empty_root, leaf_hash, node_hash};

pub(super) const ORIGIN: &str = "kluis.test/audit";

/// A signer from a seed.
pub(super) struct SeedSigner(Ed25519KeyPair);

impl SeedSigner {
    pub(super) fn new(seed: u8) -> Box<Self> {
        Box::new(Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()))
    }
}

impl Signer for SeedSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().unwrap()
    }
}

/// A log in a directory of its own.
pub(super) struct Place {
    root: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.root.path().join("audit")
    }

    pub(super) fn key_path(&self) -> PathBuf {
        self.root.path().join("audit.vkey")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub(super) fn open(&self) -> Log {
        self.try_open().unwrap()
    }

    pub(super) fn try_open(&self) -> Result<Log, LedgerError> {
        Log::open(&self.dir(), &self.key_path(), ORIGIN, SeedSigner::new(7))
    }

    /// A copy of everything on disk, as after a crash.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new();
        copy_tree(self.root.path(), copy.root.path());
        copy
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(super) fn entry(index: u64) -> Vec<u8> {
    let mut entry = format!("entry {index} ").into_bytes();
    entry.extend(std::iter::repeat_n(b'.', usize::try_from(index % 7).unwrap()));
    entry
}

pub(super) fn entries(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(entry).collect()
}

pub(super) fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|index| leaf_hash(&entry(index))).collect()
}

/// The definition of RFC 6962 2.1, word for word, and so slow.
pub(super) fn reference_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&reference_root(left), &reference_root(right))
        }
    }
}

/// Changes one file.
pub(super) fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
