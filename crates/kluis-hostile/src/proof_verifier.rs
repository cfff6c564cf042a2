//! Proofs of inclusion and consistency (RFC 9162 2.1.3.2, 2.1.4.2): those of a real tree hold, and nothing else does.

use std::convert::Infallible;

use kluis_ledger::{
    Hash, NodeSource, consistency_proof, inclusion_proof, leaf_hash, node_hash,
    proof::{verify_consistency, verify_inclusion},
    root,
};

use crate::input::Input;

/// Leaves in memory.
struct Leaves(Vec<Hash>);

impl NodeSource for Leaves {
    type Error = Infallible;

    fn node(&self, height: u32, index: u64) -> Result<Hash, Infallible> {
        let count = 1_usize << height;
        let from = usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(count);
        let mut level = self.0.get(from..from.saturating_add(count)).unwrap_or_default().to_vec();
        while level.len() > 1 {
            level = level.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        Ok(level.first().copied().unwrap_or_default())
    }
}

/// `which (1) | …`: proofs of a real tree, changed in one place, or proofs out of nothing.
pub fn proof_verifier(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 3 {
        0 => inclusion(&mut input),
        1 => consistency(&mut input),
        _ => out_of_nothing(&mut input),
    }
}

fn leaves(count: usize, input: &mut Input<'_>) -> Leaves {
    let seed = input.long().to_be_bytes();
    Leaves((0..count).map(|index| leaf_hash(&[seed.as_slice(), &index.to_be_bytes()].concat())).collect())
}

/// `leaves (1) | index (1) | seed (4) | change (1) | place (2)`
fn inclusion(input: &mut Input<'_>) {
    let size = u64::from(input.byte()) + 1;
    let index = u64::from(input.byte()) % size;
    let tree = leaves(size as usize, input);
    let (Ok(root), Ok(mut path)) = (root(&tree, size), inclusion_proof(&tree, index, size));
    let Some(mut leaf) = tree.0.get(index as usize).copied() else { return };
    assert_eq!(verify_inclusion(&leaf, index, size, &path, &root), Ok(()), "a true proof does not hold");
    assert!(path.len() <= 9, "a proof of {} hashes for {size} leaves", path.len());
    let (change, place) = (input.byte(), input.short());
    let (mut other_index, mut other_size, mut other_root) = (index, size, root);
    match change % 6 {
        0 => flip(&mut leaf, place),
        1 => flip(&mut other_root, place),
        2 => {
            let count = path.len().max(1);
            match path.get_mut(usize::from(place) % count) {
                Some(hash) => flip(hash, place / 7),
                None => path.push(root),
            }
        }
        3 => other_index = other_index.wrapping_add(u64::from(place) + 1) % size.saturating_mul(2),
        4 => other_size = u64::from(place),
        _ => change_length(&mut path, place),
    }
    // another size may give the same path to the same place: then the statement is another, and the root still binds it
    let is_same = (other_index, other_size) == (index, size);
    if change % 6 == 3 && is_same {
        return;
    }
    let verdict = verify_inclusion(&leaf, other_index, other_size, &path, &other_root);
    if change % 6 == 4 {
        assert!(verdict.is_err() || other_size > index, "a size that does not hold the leaf");
        return;
    }
    assert!(verdict.is_err(), "a proof holds that was changed: {change} at {place}");
}

/// `old (1) | new (1) | seed (4) | change (1) | place (2)`
fn consistency(input: &mut Input<'_>) {
    let (one, other) = (u64::from(input.byte()), u64::from(input.byte()));
    let (old, new) = (one.min(other), one.max(other));
    let tree = leaves(new as usize, input);
    let (Ok(mut old_root), Ok(mut new_root)) = (root(&tree, old), root(&tree, new));
    let Ok(mut path) = consistency_proof(&tree, old, new);
    assert_eq!(verify_consistency(old, new, &path, &old_root, &new_root), Ok(()), "a true proof does not hold");
    let (change, place) = (input.byte(), input.short());
    match change % 4 {
        0 => flip(&mut old_root, place),
        // nothing binds the new root to an empty old tree
        1 if old > 0 => flip(&mut new_root, place),
        2 if !path.is_empty() => {
            let count = path.len();
            if let Some(hash) = path.get_mut(usize::from(place) % count) {
                flip(hash, place / 7);
            }
        }
        _ => change_length(&mut path, place),
    }
    assert!(
        verify_consistency(old, new, &path, &old_root, &new_root).is_err(),
        "a proof holds that was changed: {change} at {place}"
    );
}

/// `index (8) | size (8) | hashes`: no path leads from a leaf to a root that knows nothing of it.
fn out_of_nothing(input: &mut Input<'_>) {
    let (one, other) = (input.longest(), input.longest());
    let (leaf, root) = (leaf_hash(b"leaf"), leaf_hash(b"root"));
    let mut path = Vec::new();
    while !input.is_empty() {
        path.push(input.array::<32>());
    }
    assert!(verify_inclusion(&leaf, one, other, &path, &root).is_err(), "a proof holds that proves nothing");
    if one > 0 {
        assert!(verify_consistency(one, other, &path, &leaf, &root).is_err());
    }
}

fn flip(hash: &mut Hash, place: u16) {
    if let Some(byte) = hash.get_mut(usize::from(place) % 32) {
        *byte ^= 1 << (place / 32 % 8);
    }
}

/// One hash more or less.
fn change_length(path: &mut Vec<Hash>, place: u16) {
    match place % 2 {
        0 if !path.is_empty() => drop(path.pop()),
        _ => path.push([place.to_be_bytes()[0]; 32]),
    }
}
