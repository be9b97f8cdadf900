//! Secrets: signing keys, the id key, the slots that content is encrypted under.
//!
//! The keyring lies in a folder of its own, outside the ledger's database and its backups: content that was erased
//! must not come back with a restored database. Everything in it is readable by its owner only.

mod files;
mod idkey;
mod seal;
mod signing;
mod slots;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use files::{create_private_dir, read_private, sync_dir, write_new_private};
pub use idkey::{IdKey, Sameness};
pub use seal::{SealError, Sealed, open, seal};
pub use signing::{SigningKeys, read_signing_key, signing_key_from_pem, signing_key_to_pem};
pub use slots::{SLOT_LEN, Secret, SlotId, Slots};

use crate::ledger::Leaf;
use crate::ledger::keys::Purpose;
use crate::ledger::note::{NoteSigner, Vkey};

/// Why the keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file system said no.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried, as a beginning of a sentence.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} {what}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// A signing key is absent, or another one lies in its place.
    #[error("{path} {what}")]
    WrongKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl KeyringError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// Fills an array with random bytes from the operating system.
///
/// # Errors
/// When it gives none.
pub fn random<const N: usize>() -> Result<[u8; N], KeyringError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(KeyringError::Random)?;
    Ok(bytes)
}

/// The secrets of one ledger.
#[derive(Debug)]
pub struct Keyring {
    /// Signs checkpoints and reports.
    signing: SigningKeys,
    /// Makes identities and blind indexes.
    pub id: IdKey,
    /// What content is encrypted under.
    pub slots: Slots,
}

/// Signing keys that a new ledger is to use instead of fresh ones.
#[derive(Default)]
pub struct GivenKeys {
    /// For checkpoints.
    pub checkpoint: Option<ed25519_dalek::SigningKey>,
    /// For reports.
    pub report: Option<ed25519_dalek::SigningKey>,
}

impl Keyring {
    /// Makes the keyring of a new ledger in an empty or absent folder.
    ///
    /// # Errors
    /// When files exist already or cannot be written.
    pub fn create(dir: &Path, origin: &str, given: GivenKeys) -> Result<Self, KeyringError> {
        create_private_dir(dir)?;
        let checkpoint = SigningKeys::make(dir, Purpose::Checkpoint, origin, given.checkpoint)?;
        let report = SigningKeys::make(dir, Purpose::Report, origin, given.report)?;
        write_new_private(&dir.join("id.key"), IdKey::generate()?.to_text().as_bytes())?;
        create_private_dir(&dir.join("slots"))?;
        sync_dir(dir)?;
        Self::open(dir, checkpoint.vkey(), report.vkey())
    }

    /// Opens the keyring of a ledger whose entries name these two keys as those in force.
    ///
    /// # Errors
    /// When a file is absent, malformed, readable by others, or holds another key.
    pub fn open(dir: &Path, checkpoint: &Vkey, report: &Vkey) -> Result<Self, KeyringError> {
        Ok(Self {
            signing: SigningKeys::open(dir, checkpoint, report)?,
            id: IdKey::read(&dir.join("id.key"))?,
            slots: Slots::open(&dir.join("slots"))?,
        })
    }

    /// The key that signs checkpoints.
    #[must_use]
    pub fn checkpoint(&self) -> Arc<NoteSigner> {
        self.signing.current(Purpose::Checkpoint)
    }

    /// The key that signs reports.
    #[must_use]
    pub fn report(&self) -> Arc<NoteSigner> {
        self.signing.current(Purpose::Report)
    }

    /// The signing keys, for whoever changes them.
    #[must_use]
    pub fn signing(&self) -> &SigningKeys {
        &self.signing
    }

    /// Opens the sealed content of an entry; `None` when its slot was destroyed.
    ///
    /// # Errors
    /// When the slot cannot be read, or the content was altered.
    pub fn open_content(
        &self,
        leaf: &Leaf,
        slot: [u8; SLOT_LEN],
        blob: &[u8],
    ) -> Result<Option<Sealed>, OpenContentError> {
        let Some(secret) = self.slots.secret(SlotId(slot))? else {
            return Ok(None);
        };
        Ok(Some(open(
            &secret,
            &leaf.ledger,
            &leaf.eid,
            leaf.content.as_ref(),
            blob,
        )?))
    }
}

/// Why an entry's content does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenContentError {
    /// The keyring cannot be read.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The content was altered.
    #[error(transparent)]
    Seal(#[from] SealError),
}
