//! Names of tiles and entry bundles (C2SP tlog-tiles, "Merkle Tree" and "Log entries").

use std::fmt;

use crate::limits::{PATH_BYTES, TILE_WIDTH};

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// Hashes of one level: 0 is that of the leaves, each further one holds the roots of 256 below.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

impl TileKind {
    /// The level of hashes to which the tile belongs.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::Hashes(level) => level,
            Self::Entries => 0,
        }
    }
}

/// A tile or an entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TilePath {
    /// What it holds.
    pub kind: TileKind,
    /// Its number within the level.
    pub index: u64,
    /// For a partial tile its width, 1 to 255.
    pub width: Option<u8>,
}

impl TilePath {
    /// A full tile.
    #[must_use]
    pub fn full(kind: TileKind, index: u64) -> Self {
        Self { kind, index, width: None }
    }

    /// Reads the one spelling that the specification allows; everything else is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > PATH_BYTES {
            return None;
        }
        let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().ok().filter(|level| *level <= 63)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, Some(width.parse::<u8>().ok().filter(|width| *width > 0)?)),
            None => (rest, None),
        };
        let mut index = 0_u64;
        for part in number.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            let digits = digits.parse::<u16>().ok().filter(|value| *value < 1000)?;
            index = index.checked_mul(1000)?.checked_add(u64::from(digits))?;
        }
        let path = Self { kind, index, width };
        // whatever was read leniently above does not come out as it went in
        (path.to_string() == text).then_some(path)
    }

    /// Whether a log of `size` entries has this tile, or had it at a smaller size with the same number of full tiles.
    #[must_use]
    pub fn is_within(&self, size: u64) -> bool {
        let full = full_tiles(self.kind.level(), size);
        match self.width {
            None => self.index < full,
            Some(width) => self.index == full && u64::from(width) <= u64::from(partial_width(self.kind.level(), size)),
        }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (position, group) in groups.iter().enumerate().rev() {
            if position > 0 {
                write!(f, "x{group:03}/")?;
            } else {
                write!(f, "{group:03}")?;
            }
        }
        match self.width {
            Some(width) => write!(f, ".p/{width}"),
            None => Ok(()),
        }
    }
}

/// How many leaves one hash of this level stands for; `None` where no log can be that long.
pub(crate) fn leaves_per_hash(level: u8) -> Option<u64> {
    1_u64.checked_shl(u32::from(level) * 8)
}

/// How many full tiles of this level a log of `size` entries has.
pub(crate) fn full_tiles(level: u8, size: u64) -> u64 {
    leaves_per_hash(level).map_or(0, |leaves| size / leaves / TILE_WIDTH)
}

/// How wide the partial tile of this level is, 0 where there is none.
pub(crate) fn partial_width(level: u8, size: u64) -> u8 {
    let hashes = leaves_per_hash(level).map_or(0, |leaves| size / leaves);
    u8::try_from(hashes % TILE_WIDTH).unwrap_or_default()
}
