//! Slots: the random secrets that content is encrypted under, one for each case (or trace, or entry).
//!
//! A slot's id is a block's random id and a place in it. Blocks are files of 1,024 secrets, written and made durable
//! before the first of them is used, and a process uses only blocks that it minted itself: so no crash can bring a
//! secret into use twice, and the write path waits for no second fsync. Destroying a slot overwrites it.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::{KeyringError, files, random};

/// Bytes of a slot's id: block (8), place (4, big-endian).
pub const SLOT_LEN: usize = 12;
/// Secrets in a block.
const PER_BLOCK: u32 = 1024;
const HEADER: &[u8; 16] = b"whereas-slots-1\n";

/// Which slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotId(pub [u8; SLOT_LEN]);

impl SlotId {
    fn new(block: [u8; 8], place: u32) -> Self {
        let mut id = [0; SLOT_LEN];
        id[..8].copy_from_slice(&block);
        id[8..].copy_from_slice(&place.to_be_bytes());
        Self(id)
    }

    fn parts(self) -> ([u8; 8], u32) {
        let b = self.0;
        (
            [b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]],
            u32::from_be_bytes([b[8], b[9], b[10], b[11]]),
        )
    }

    /// Takes the id from stored bytes; `None` when the length differs.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// A slot's secret.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// A secret with known bytes, for tests and published vectors.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The slots of one ledger.
#[derive(Debug)]
pub struct Slots {
    dir: PathBuf,
    /// Blocks that are there. Files are opened when needed, so that their number is not bounded by open files.
    blocks: RwLock<HashSet<[u8; 8]>>,
    fresh: Mutex<Option<([u8; 8], u32)>>,
}

impl Slots {
    /// Opens the folder of blocks.
    ///
    /// # Errors
    /// When it is absent, or a file in it is not a block.
    pub fn open(dir: &Path) -> Result<Self, KeyringError> {
        let mut blocks = HashSet::new();
        files::check_private(dir)?;
        for entry in
            std::fs::read_dir(dir).map_err(KeyringError::io("cannot read the folder", dir))?
        {
            let path = entry
                .map_err(KeyringError::io("cannot read the folder", dir))?
                .path();
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default();
            let Some(id) = name
                .strip_suffix(".slots")
                .and_then(|n| hex::decode(n).ok())
                .and_then(|b| <[u8; 8]>::try_from(b).ok())
            else {
                continue;
            };
            files::check_private(&path)?;
            let file = File::open(&path).map_err(KeyringError::io("cannot open", &path))?;
            let mut header = [0; HEADER.len()];
            // A block whose creation a crash cut short was never used.
            if file.read_exact_at(&mut header, 0).is_ok() && &header == HEADER {
                blocks.insert(id);
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            blocks: RwLock::new(blocks),
            fresh: Mutex::new(None),
        })
    }

    fn path(&self, block: [u8; 8]) -> PathBuf {
        self.dir.join(format!("{}.slots", hex::encode(block)))
    }

    /// The file of a block that is there.
    fn block(
        &self,
        block: [u8; 8],
        place: u32,
        options: &OpenOptions,
    ) -> Result<Option<File>, KeyringError> {
        let blocks = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        if place >= PER_BLOCK || !blocks.contains(&block) {
            return Ok(None);
        }
        let path = self.path(block);
        options
            .open(&path)
            .map(Some)
            .map_err(KeyringError::io("cannot open", &path))
    }

    /// A slot that was never used, with its secret. Durable before it is given.
    ///
    /// # Errors
    /// When a new block cannot be written.
    pub fn take(&self) -> Result<(SlotId, Secret), KeyringError> {
        let id = {
            let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            let (block, place) = match *fresh {
                Some((block, place)) if place < PER_BLOCK => (block, place),
                _ => (self.mint()?, 0),
            };
            *fresh = Some((block, place + 1));
            SlotId::new(block, place)
        };
        let path = &self.dir;
        self.secret(id)?
            .map(|secret| (id, secret))
            .ok_or_else(|| KeyringError::Malformed { path: path.clone(), what: "lost a block of slots while the service runs; stop the service and restore the keyring".into() })
    }

    fn mint(&self) -> Result<[u8; 8], KeyringError> {
        let block: [u8; 8] = random()?;
        let mut bytes = Zeroizing::new(vec![0; HEADER.len() + 32 * PER_BLOCK as usize]);
        bytes[..HEADER.len()].copy_from_slice(HEADER);
        getrandom::fill(&mut bytes[HEADER.len()..]).map_err(KeyringError::Random)?;
        files::write_new_private(&self.path(block), &bytes)?;
        self.blocks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(block);
        Ok(block)
    }

    /// The secret of a slot; `None` when it was destroyed or is not in this keyring.
    ///
    /// # Errors
    /// When the block cannot be read.
    pub fn secret(&self, id: SlotId) -> Result<Option<Secret>, KeyringError> {
        let (block, place) = id.parts();
        let Some(file) = self.block(block, place, OpenOptions::new().read(true))? else {
            return Ok(None);
        };
        let mut secret = Zeroizing::new([0; 32]);
        file.read_exact_at(&mut *secret, offset(place))
            .map_err(KeyringError::io("cannot read slots in", &self.dir))?;
        Ok((*secret != [0; 32]).then_some(Secret(secret)))
    }

    /// Whether the slot's secret is there, without keeping it.
    ///
    /// # Errors
    /// When the block cannot be read.
    pub fn has(&self, id: SlotId) -> Result<bool, KeyringError> {
        self.secret(id).map(|s| s.is_some())
    }

    /// Destroys a slot's secret for good: overwritten and durable on return. (On storage that writes elsewhere, such
    /// as flash or copy-on-write, the old bytes may linger below the file system; see `docs/keyring.md`.)
    ///
    /// # Errors
    /// When the block cannot be written.
    pub fn destroy(&self, id: SlotId) -> Result<(), KeyringError> {
        let (block, place) = id.parts();
        let Some(file) = self.block(block, place, OpenOptions::new().write(true))? else {
            return Ok(());
        };
        file.write_all_at(&[0; 32], offset(place))
            .and_then(|()| file.sync_data())
            .map_err(KeyringError::io("cannot destroy a slot in", &self.dir))
    }
}

fn offset(place: u32) -> u64 {
    HEADER.len() as u64 + 32 * u64::from(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_durable_distinct_and_can_be_destroyed() -> Result<(), Box<dyn std::error::Error>> {
        let temp = tempfile::tempdir()?;
        let dir = temp.path().join("slots");
        files::create_private_dir(&dir)?;
        let slots = Slots::open(&dir)?;
        let mut seen = std::collections::HashSet::new();
        let mut last = None;
        for _ in 0..PER_BLOCK + 3 {
            let (id, secret) = slots.take()?;
            assert!(seen.insert(id) && seen.len() <= PER_BLOCK as usize + 3);
            last = Some((id, secret));
        }
        let Some((id, secret)) = last else {
            panic!("slots were taken")
        };
        let again = Slots::open(&dir)?;
        assert_eq!(again.secret(id)?.map(|s| *s.bytes()), Some(*secret.bytes()));
        assert_ne!(
            again.take()?.0.parts().0,
            id.parts().0,
            "a process uses only blocks of its own"
        );
        again.destroy(id)?;
        assert!(!again.has(id)? && !Slots::open(&dir)?.has(id)?);
        assert!(!again.has(SlotId([1; SLOT_LEN]))?);
        Ok(())
    }
}
