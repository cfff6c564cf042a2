//! Proofs: made by the log, checked by the pure module, and never by luck.

use std::convert::Infallible;

use proptest::prelude::*;

use super::{Place, entries, entry, leaves, reference_root};
use crate::{
    Hash, NodeSource, consistency_proof, empty_root, inclusion_proof, leaf_hash,
    proof::{ProofError, verify_consistency, verify_inclusion},
    root,
};

/// All leaves in memory.
struct Leaves(Vec<Hash>);

impl NodeSource for Leaves {
    type Error = Infallible;

    fn node(&self, height: u32, index: u64) -> Result<Hash, Infallible> {
        let width = 1_usize << height;
        let start = usize::try_from(index).unwrap() * width;
        Ok(reference_root(&self.0[start..start + width]))
    }
}

/// The definitions of RFC 6962 2.1.1 and 2.1.2.
fn reference_inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = match index.checked_sub(left.len()) {
        None => (reference_inclusion(index, left), right),
        Some(index) => (reference_inclusion(index, right), left),
    };
    path.push(reference_root(sibling));
    path
}

fn reference_consistency(old: usize, leaves: &[Hash], is_whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if is_whole { Vec::new() } else { vec![reference_root(leaves)] };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = match old.checked_sub(left.len()) {
        None | Some(0) => (reference_consistency(old, left, is_whole), right),
        Some(old) => (reference_consistency(old, right, false), left),
    };
    path.push(reference_root(sibling));
    path
}

#[test]
fn all_inclusion_proofs_up_to_300() {
    let source = Leaves(leaves(300));
    for size in (1..=70).chain(120..=135).chain(250..=300_usize) {
        let expected = reference_root(&source.0[..size]);
        assert_eq!(root(&source, size as u64), Ok(expected));
        for index in 0..size {
            let path = inclusion_proof(&source, index as u64, size as u64).unwrap();
            if size < 70 || index % 16 == 0 {
                assert_eq!(path, reference_inclusion(index, &source.0[..size]), "{index} of {size}");
            }
            let verified = verify_inclusion(&source.0[index], index as u64, size as u64, &path, &expected);
            assert_eq!(verified, Ok(()), "{index} of {size}");
        }
    }
}

#[test]
fn all_consistency_proofs_up_to_300() {
    let source = Leaves(leaves(300));
    let roots: Vec<Hash> = (0..=300).map(|size| reference_root(&source.0[..size])).collect();
    for new in (0..=70).chain(120..=135).chain(250..=300_usize) {
        for old in 0..=new {
            let path = consistency_proof(&source, old as u64, new as u64).unwrap();
            if old > 0 && new < 70 {
                assert_eq!(path, reference_consistency(old, &source.0[..new], true), "{old} to {new}");
            }
            let verified = verify_consistency(old as u64, new as u64, &path, &roots[old], &roots[new]);
            assert_eq!(verified, Ok(()), "{old} to {new}");
            let swapped = verify_consistency(old as u64, new as u64, &path, &roots[new], &roots[old]);
            assert_eq!(swapped.is_ok(), old == new, "{old} to {new}");
        }
    }
}

#[test]
fn a_log_proves_across_tiles() {
    let place = Place::new();
    let log = place.open();
    let size = 65_536 + 300;
    log.append(&entries(0..size)).unwrap();
    let all = leaves(size);
    let expected = reference_root(&all);
    // from memory, and from files
    for _ in 0..2 {
        assert_eq!(log.root(size).unwrap(), expected);
        for index in [0, 1, 255, 256, 32_767, 65_535, 65_536, 65_791, 65_792, size - 1] {
            let path = log.inclusion_proof(index, size).unwrap();
            assert_eq!(verify_inclusion(&leaf_hash(&entry(index)), index, size, &path, &expected), Ok(()));
            assert_eq!(log.entry(index).unwrap(), entry(index));
        }
        for old in [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, size - 1, size] {
            let before = log.root(old).unwrap();
            assert_eq!(before, reference_root(&all[..usize::try_from(old).unwrap()]), "{old}");
            let path = log.consistency_proof(old, size).unwrap();
            assert_eq!(verify_consistency(old, size, &path, &before, &expected), Ok(()), "{old}");
        }
        log.checkpoint().unwrap();
    }
    assert!(log.inclusion_proof(size, size).is_err());
    assert!(log.inclusion_proof(0, size + 1).is_err());
    assert!(log.consistency_proof(5, 4).is_err());
    assert!(log.entry(size).is_err());
    assert!(log.entry(u64::MAX).is_err());
}

#[test]
fn sizes_that_make_no_sense_prove_nothing() {
    let hash = leaf_hash(b"");
    assert_eq!(verify_inclusion(&hash, 0, 0, &[], &hash), Err(ProofError::Sizes));
    assert_eq!(verify_inclusion(&hash, 1, 1, &[], &hash), Err(ProofError::Sizes));
    assert_eq!(verify_inclusion(&hash, 0, 1, &[hash], &hash), Err(ProofError::Length));
    assert_eq!(verify_inclusion(&hash, 0, u64::MAX, &[], &hash), Err(ProofError::Length));
    assert_eq!(verify_inclusion(&hash, 0, u64::MAX, &[hash; 1000], &hash), Err(ProofError::Length));
    assert_eq!(verify_consistency(2, 1, &[], &hash, &hash), Err(ProofError::Sizes));
    assert_eq!(verify_consistency(1, 1, &[hash], &hash, &hash), Err(ProofError::Length));
    assert_eq!(verify_consistency(0, 1, &[], &hash, &hash), Err(ProofError::Root), "not the root of nothing");
    assert_eq!(verify_consistency(0, 1, &[], &empty_root(), &hash), Ok(()));
    assert_eq!(verify_consistency(3, 4, &[], &hash, &hash), Err(ProofError::Length));
    assert_eq!(verify_consistency(1, 2, &[], &hash, &hash), Err(ProofError::Length));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_proof_proves_nothing_else(size in 2_u64..2000, seed in any::<u64>(), bit in 0_usize..256) {
        let source = Leaves(leaves(size));
        let index = seed % size;
        let expected = root(&source, size).unwrap();
        let leaf = source.0[usize::try_from(index).unwrap()];
        let path = inclusion_proof(&source, index, size).unwrap();
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &path, &expected), Ok(()));

        let mut other = leaf;
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_inclusion(&other, index, size, &path, &expected).is_err());
        prop_assert!(verify_inclusion(&leaf, (index + 1) % size, size, &path, &expected).is_err());
        prop_assert!(verify_inclusion(&leaf, index, size, &path[1..], &expected).is_err());
        let mut longer = path.clone();
        longer.push(other);
        prop_assert!(verify_inclusion(&leaf, index, size, &longer, &expected).is_err());
        let mut bent = path.clone();
        let position = usize::try_from(seed).unwrap_or(0) % bent.len();
        bent[position][bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_inclusion(&leaf, index, size, &bent, &expected).is_err());
    }

    #[test]
    fn a_history_cannot_be_changed(new in 2_u64..2000, seed in any::<u64>(), bit in 0_usize..256) {
        let source = Leaves(leaves(new));
        let old = seed % (new - 1) + 1;
        let (before, after) = (root(&source, old).unwrap(), root(&source, new).unwrap());
        let path = consistency_proof(&source, old, new).unwrap();
        prop_assert_eq!(verify_consistency(old, new, &path, &before, &after), Ok(()));

        let mut other = before;
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_consistency(old, new, &path, &other, &after).is_err());
        prop_assert!(verify_consistency(old, new, &path[1..], &before, &after).is_err());
        let mut bent = path.clone();
        let position = usize::try_from(seed >> 32).unwrap_or(0) % bent.len();
        bent[position][bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_consistency(old, new, &bent, &before, &after).is_err());
        // another entry in the past
        let mut changed = Leaves(source.0.clone());
        changed.0[usize::try_from(seed % old).unwrap()] = other;
        let forged = root(&changed, new).unwrap();
        let path = consistency_proof(&changed, old, new).unwrap();
        prop_assert!(verify_consistency(old, new, &path, &before, &forged).is_err());
    }
}
