//! Where a log left what was known of it: for a log that is not opened any more, because it contradicts its checkpoint.

use std::{ops::Range, path::Path, sync::Arc};

use crate::{
    LedgerError, TileKind, TilePath,
    edge::entries_of,
    files::Files,
    hash::{Hash, empty_root, leaf_hash, node_hash},
    journal::{Next, Reader},
    limits::TILE_WIDTH,
    storage::Directory,
};

/// Hashes the entries of the log in `dir` anew, from its bundles and its journal alone, and holds the tree against heads
/// (size and root, ascending) that were known once. The first entry that is not what it was stands in the range: behind
/// the last head that holds, before the first that does not. `None` where all hold.
///
/// # Errors
/// [`LedgerError::Missing`], [`LedgerError::Damaged`], [`LedgerError::Io`] where the journal cannot be read.
pub fn departure(dir: &Path, heads: &[(u64, Hash)]) -> Result<Option<Range<u64>>, LedgerError> {
    let files = Files::create(Arc::new(Directory::new(dir)))?;
    let mut journal = Reader::open(&files)?;
    let mut tree = Peaks::default();
    let mut good = 0;
    let mut heads = heads.iter().skip_while(|(size, _)| *size == 0).peekable();
    let mut holds = |tree: &Peaks| {
        while let Some((size, root)) = heads.next_if(|(size, _)| *size <= tree.size) {
            if *size == tree.size && tree.root() != *root {
                return Err(good..*size);
            }
            good = *size;
        }
        Ok(())
    };
    for index in 0..journal.base / TILE_WIDTH {
        let bundle = files.read(TilePath::full(TileKind::Entries, index))?.unwrap_or_default();
        let Some(entries) = entries_of(&bundle).filter(|entries| entries.len() as u64 == TILE_WIDTH) else {
            return Ok(Some(tree.size..tree.size + TILE_WIDTH));
        };
        for entry in entries {
            tree.push(leaf_hash(entry));
            if let Err(range) = holds(&tree) {
                return Ok(Some(range));
            }
        }
    }
    while let Next::Entry(entry) = journal.next()? {
        tree.push(leaf_hash(&entry));
        if let Err(range) = holds(&tree) {
            return Ok(Some(range));
        }
    }
    // entries are gone; which, is only known of those under a head that holds
    let missing = heads.next().map(|(missing, _)| *missing);
    Ok(missing.map(|missing| good..missing))
}

/// Roots of the complete subtrees from the left, the largest first.
#[derive(Default)]
struct Peaks {
    size: u64,
    peaks: Vec<(u32, Hash)>,
}

impl Peaks {
    fn push(&mut self, leaf: Hash) {
        let (mut height, mut hash) = (0, leaf);
        while let Some((_, left)) = self.peaks.pop_if(|(peak, _)| *peak == height) {
            (height, hash) = (height + 1, node_hash(&left, &hash));
        }
        self.peaks.push((height, hash));
        self.size += 1;
    }

    fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().map(|(_, hash)| *hash);
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(last, |right, left| node_hash(&left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::node_hash;

    #[test]
    fn roots_are_those_of_rfc_6962() {
        let leaves: Vec<Hash> = (0..5_u8).map(|number| leaf_hash(&[number])).collect();
        let mut peaks = Peaks::default();
        assert_eq!(peaks.root(), empty_root());
        leaves.iter().for_each(|leaf| peaks.push(*leaf));
        let four = node_hash(&node_hash(&leaves[0], &leaves[1]), &node_hash(&leaves[2], &leaves[3]));
        assert_eq!(peaks.root(), node_hash(&four, &leaves[4]));
    }
}
