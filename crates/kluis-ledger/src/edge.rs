//! The right edge of the tree: the tiles that are not yet full, which is all that an append has to know.

use crate::{
    error::LedgerError,
    hash::{Hash, fold_complete, leaf_hash},
    limits::TILE_WIDTH,
    path::{TileKind, TilePath, full_tiles, partial_width},
    tree::{self, NodeSource},
};

/// A tile or bundle and its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Tile {
    pub(crate) path: TilePath,
    pub(crate) bytes: Vec<u8>,
}

impl Tile {
    /// The same partial tile as it was when it was this wide; `None` where it is not that wide.
    pub(crate) fn earlier(&self, width: u8) -> Option<Self> {
        let length = match self.path.kind {
            TileKind::Hashes(_) => usize::from(width).checked_mul(32)?,
            TileKind::Entries => {
                let entries = entries_of(&self.bytes)?;
                entries.get(..usize::from(width))?.iter().map(|entry| entry.len().saturating_add(2)).sum()
            }
        };
        let bytes = self.bytes.get(..length)?.to_vec();
        Some(Self { path: TilePath { width: Some(width), ..self.path }, bytes })
    }
}

/// The partial tiles of all levels and the partial entry bundle. At most 8 x 255 hashes and 255 entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
    bundle: Vec<u8>,
}

impl Edge {
    /// The edge of a log whose size is a multiple of 256, from the hashes of its partial tiles, level 1 first.
    pub(crate) fn at_boundary(size: u64, upper_levels: Vec<Vec<Hash>>) -> Self {
        let mut levels = vec![Vec::new()];
        levels.extend(upper_levels);
        Self { size, levels, bundle: Vec::new() }
    }

    /// Entries in the log.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The entries behind the last full bundle, as a bundle.
    pub(crate) fn bundle(&self) -> &[u8] {
        &self.bundle
    }

    /// The hashes of the partial tile of a level.
    pub(crate) fn level(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Adds an entry of at most 65,535 bytes; tiles that it fills are pushed to `full`, leaves first.
    pub(crate) fn push(&mut self, entry: &[u8], full: &mut Vec<Tile>) {
        self.bundle.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.bundle.extend_from_slice(entry);
        self.size += 1;
        if self.size.is_multiple_of(TILE_WIDTH) {
            let path = TilePath::full(TileKind::Entries, self.size / TILE_WIDTH - 1);
            full.push(Tile { path, bytes: std::mem::take(&mut self.bundle) });
        }
        let mut hash = leaf_hash(entry);
        for level in 0_u8..8 {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(usize::from(level)) else { return };
            hashes.push(hash);
            if (hashes.len() as u64) < TILE_WIDTH {
                return;
            }
            let path = TilePath::full(TileKind::Hashes(level), full_tiles(level, self.size).saturating_sub(1));
            full.push(Tile { path, bytes: hashes.concat() });
            hash = fold_complete(hashes).unwrap_or_default();
            hashes.clear();
        }
    }

    /// The partial tiles and the partial bundle of the log at its present size.
    pub(crate) fn partial_tiles(&self) -> Vec<Tile> {
        let mut tiles = Vec::new();
        for (level, hashes) in (0_u8..).zip(&self.levels) {
            let width = partial_width(level, self.size);
            if width == 0 {
                continue;
            }
            let index = full_tiles(level, self.size);
            let path = |kind| TilePath { kind, index, width: Some(width) };
            if level == 0 {
                tiles.push(Tile { path: path(TileKind::Entries), bytes: self.bundle.clone() });
            }
            tiles.push(Tile { path: path(TileKind::Hashes(level)), bytes: hashes.concat() });
        }
        tiles
    }

    /// Root of the tree at its present size.
    pub(crate) fn root(&self) -> Result<Hash, LedgerError> {
        tree::root(self, self.size)
    }
}

impl NodeSource for Edge {
    type Error = LedgerError;

    /// Only the complete subtrees that end at the edge, which are those of which the root is made.
    fn node(&self, height: u32, index: u64) -> Result<Hash, LedgerError> {
        let place = Place::of(height, index).ok_or(LedgerError::OutOfRange)?;
        if place.tile != full_tiles(place.level, self.size) {
            return Err(LedgerError::OutOfRange);
        }
        place.fold(self.level(place.level)).ok_or(LedgerError::OutOfRange)
    }
}

/// Where the hashes stand from which a complete subtree is made.
pub(crate) struct Place {
    pub(crate) level: u8,
    pub(crate) tile: u64,
    start: usize,
    count: usize,
}

impl Place {
    pub(crate) fn of(height: u32, index: u64) -> Option<Self> {
        let level = u8::try_from(height / 8).ok()?;
        let start = index.checked_mul(1 << (height % 8))?;
        Some(Self {
            level,
            tile: start / TILE_WIDTH,
            start: usize::try_from(start % TILE_WIDTH).ok()?,
            count: 1 << (height % 8),
        })
    }

    /// The hash of the subtree, from the hashes of its tile.
    pub(crate) fn fold(&self, tile: &[Hash]) -> Option<Hash> {
        fold_complete(tile.get(self.start..self.start.checked_add(self.count)?)?)
    }
}

/// The hashes in the bytes of a tile; `None` where the length fits no number of hashes.
pub(crate) fn hashes_of(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}

/// The entries in the bytes of a bundle; `None` where the length prefixes do not fit.
pub(crate) fn entries_of(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (entry, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        rest = tail;
    }
    rest.is_empty().then_some(entries)
}
