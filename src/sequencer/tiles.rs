//! Tiles and entry bundles (C2SP tlog-tiles), made from the stored nodes and leaves.

use super::Ledger;
use crate::ledger::tree::NodeId;
use crate::store::{EntryQuery, LedgerReader, StoreError};

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE: u64 = 256;
/// Levels of the tree that a level of tiles spans.
const HEIGHT: u8 = 8;

/// A tile: `width` hashes from place `index · 256` of level `level · 8` of the tree. A bundle has the level 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileId {
    /// Level of tiles, 0 to 63.
    pub level: u8,
    /// Place among the tiles of its level.
    pub index: u64,
    /// How many hashes: 256 when it is full, 1 to 255 when it is partial.
    pub width: u64,
}

impl TileId {
    /// The first place in its level of the tree, when all of the tile lies in a tree of `size` entries.
    #[must_use]
    fn within(self, size: u64) -> Option<u64> {
        let first = self.index.checked_mul(TILE)?;
        let end = first.checked_add(self.width)?;
        // At the eighth level of tiles, one hash would stand for more entries than can be counted.
        let shift = u32::from(self.level) * u32::from(HEIGHT);
        let complete = size.checked_shr(shift).unwrap_or(0);
        (end <= complete).then_some(first)
    }
}

impl Ledger {
    /// The bytes of a tile: its hashes, one after the other.
    ///
    /// # Errors
    /// When storage fails or lacks a node. `None` when the tile is not complete in what the guard vouches for.
    pub fn tile(&self, tile: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(first) = tile.within(self.size()) else {
            return Ok(None);
        };
        let ids: Vec<NodeId> = (first..first + tile.width)
            .map(|index| NodeId {
                level: tile.level * HEIGHT,
                index,
            })
            .collect();
        let hashes = self.store.nodes(&ids)?;
        Ok(Some(hashes.iter().flat_map(|hash| hash.0).collect()))
    }

    /// The bytes of an entry bundle: each leaf after its length in two bytes, checked against the tree.
    ///
    /// # Errors
    /// When storage fails, or a leaf is not the one in the tree. `None` as for [`Ledger::tile`].
    pub fn bundle(&self, tile: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(first) = tile.within(self.size()).filter(|_| tile.level == 0) else {
            return Ok(None);
        };
        let below = first + tile.width;
        let query = EntryQuery {
            from: first,
            below,
            limit: usize::try_from(TILE).unwrap_or(usize::MAX),
            ..EntryQuery::default()
        };
        let mut out = Vec::new();
        let mut next = first;
        for entry in self.entries(&query)? {
            if entry.seq != next {
                break;
            }
            let length = u16::try_from(entry.leaf.len()).map_err(|_| {
                StoreError::Damaged(format!("the leaf of entry {next} is too long to be one"))
            })?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&entry.leaf);
            next += 1;
        }
        if next == below {
            Ok(Some(out))
        } else {
            Err(StoreError::Damaged(format!("entry {next} is absent")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(level: u8, index: u64, width: u64, size: u64) -> Option<u64> {
        TileId {
            level,
            index,
            width,
        }
        .within(size)
    }

    #[test]
    fn a_tile_is_there_when_all_its_subtrees_are_complete() {
        // The example of the specification: 70,000 entries.
        let size = 70_000;
        assert_eq!(first(0, 272, 256, size), Some(272 * 256));
        assert_eq!(first(0, 273, 112, size), Some(273 * 256));
        assert_eq!(first(0, 273, 113, size), None);
        assert_eq!(first(0, 273, 256, size), None);
        assert_eq!(first(1, 0, 256, size), Some(0));
        assert_eq!(first(1, 1, 17, size), Some(256));
        assert_eq!(first(1, 1, 18, size), None);
        assert_eq!(first(2, 0, 1, size), Some(0));
        assert_eq!(first(2, 0, 2, size), None);
        assert_eq!(first(3, 0, 1, size), None);
        assert_eq!(first(1, 0, 1, 255), None);
        assert_eq!(first(1, 0, 1, 256), Some(0));
    }

    #[test]
    fn no_place_and_no_level_is_beyond_arithmetic() {
        for level in 0..=63 {
            assert_eq!(first(level, u64::MAX, 256, u64::MAX), None, "{level}");
            assert_eq!(first(level, u64::MAX / 256, 255, 9), None, "{level}");
        }
        assert_eq!(first(7, 0, 255, u64::MAX), Some(0));
        assert_eq!(first(7, 0, 256, u64::MAX), None);
        assert_eq!(first(8, 0, 1, u64::MAX), None);
    }
}
