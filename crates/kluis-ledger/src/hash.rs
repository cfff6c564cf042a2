//! Hashes of RFC 6962 section 2.1: SHA-256 with a prefix that keeps leaves and nodes apart.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Hash of an entry as a leaf: `SHA-256(0x00 || entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    hash_parts(&[&[0], entry])
}

/// Hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash_parts(&[&[1], left, right])
}

/// Root of the tree without leaves: `SHA-256("")`.
#[must_use]
pub fn empty_root() -> Hash {
    hash_parts(&[])
}

/// SHA-256 of parts set one behind the other.
pub(crate) fn hash_parts(parts: &[&[u8]]) -> Hash {
    let mut hash = Hash::default();
    if let [part] = parts {
        hash.copy_from_slice(digest(&SHA256, part).as_ref());
        return hash;
    }
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Root of a complete subtree: the number of hashes must be a power of two. `None` for no hashes.
pub(crate) fn fold_complete(hashes: &[Hash]) -> Option<Hash> {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node_hash(left, right),
                rest => rest.first().copied().unwrap_or_default(),
            })
            .collect();
    }
    level.first().copied()
}
