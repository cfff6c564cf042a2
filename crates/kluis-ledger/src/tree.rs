//! Roots and proofs of RFC 6962 section 2.1, made from the hashes of complete subtrees wherever these are kept.

use crate::hash::{Hash, empty_root, node_hash};

/// Where the hashes of complete subtrees come from.
pub trait NodeSource {
    /// Why a hash could not be had.
    type Error;

    /// Hash of the complete subtree over the leaves `index * 2^height .. (index + 1) * 2^height`.
    ///
    /// # Errors
    /// As the source says.
    fn node(&self, height: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// Root of the first `size` leaves.
///
/// # Errors
/// Those of the source.
pub fn root<S: NodeSource>(source: &S, size: u64) -> Result<Hash, S::Error> {
    range_root(source, 0, size)
}

/// The path that proves leaf `index` in the tree of `size` leaves (RFC 6962 2.1.1), from the leaf upwards. Empty where
/// `index` is not below `size`.
///
/// # Errors
/// Those of the source.
pub fn inclusion_proof<S: NodeSource>(source: &S, index: u64, size: u64) -> Result<Vec<Hash>, S::Error> {
    let mut path = Vec::new();
    if index >= size {
        return Ok(path);
    }
    let (mut low, mut high) = (0, size);
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            path.push(range_root(source, middle, high)?);
            high = middle;
        } else {
            path.push(range_root(source, low, middle)?);
            low = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The path that proves that the tree of `old` leaves is a prefix of the tree of `new` leaves (RFC 6962 2.1.2). Empty
/// where `old` is 0 or not below `new`.
///
/// # Errors
/// Those of the source.
pub fn consistency_proof<S: NodeSource>(source: &S, old: u64, new: u64) -> Result<Vec<Hash>, S::Error> {
    let mut path = Vec::new();
    if old == 0 || old >= new {
        return Ok(path);
    }
    let (mut low, mut high) = (0, new);
    while old != high {
        let middle = low + split(high - low);
        if old <= middle {
            path.push(range_root(source, middle, high)?);
            high = middle;
        } else {
            path.push(range_root(source, low, middle)?);
            low = middle;
        }
    }
    // the verifier knows the old root; only a part of the old tree has to be told
    if low != 0 {
        path.push(range_root(source, low, high)?);
    }
    path.reverse();
    Ok(path)
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// Root over the leaves `low .. high`; `low` is a multiple of a power of two that is at least `high - low`.
fn range_root<S: NodeSource>(source: &S, low: u64, high: u64) -> Result<Hash, S::Error> {
    let mut peaks = Vec::new();
    let mut start = low;
    while start < high {
        let height = (high - start).ilog2();
        peaks.push(source.node(height, start >> height)?);
        start += 1 << height;
    }
    let Some(mut hash) = peaks.pop() else { return Ok(empty_root()) };
    while let Some(left) = peaks.pop() {
        hash = node_hash(&left, &hash);
    }
    Ok(hash)
}
