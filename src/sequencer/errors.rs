//! Why a ledger does not start, and why events are not appended.

use std::path::{Path, PathBuf};

use super::GuardError;
use crate::keyring::{KeyringError, OpenContentError};
use crate::ledger::Timestamp;
use crate::ledger::keys::KeyFactError;
use crate::store::StoreError;

/// Why a ledger does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`KeyringError`].
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// See [`GuardError`].
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The file system said no.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The name or origin is not possible.
    #[error("{0}")]
    Name(String),
    /// Another process has it.
    #[error(
        "another process is serving the ledger in {0}; stop it first (two writers would fork the ledger)"
    )]
    Locked(PathBuf),
    /// Creation was cut short.
    #[error(
        "the ledger was never finished being created; remove its two folders and create it again"
    )]
    Unfinished,
    /// The configuration names another origin.
    #[error(
        "the ledger's origin is `{stored}`, but `{configured}` is configured; an origin never changes, so correct the configuration"
    )]
    Origin {
        /// What entry 0 says.
        stored: String,
        /// What the configuration says.
        configured: String,
    },
    /// The ledger's key facts do not join up.
    #[error("the ledger's database is damaged: {0}")]
    KeyFacts(#[from] KeyFactError),
    /// The signed checkpoint of a change of keys is gone, and so is the key that could sign it again.
    #[error(
        "the signed checkpoint of size {size} is absent, and the key that signed it was replaced and destroyed; restore the database"
    )]
    BridgeGone {
        /// Its size.
        size: u64,
    },
    /// The keyring is another ledger's.
    #[error(
        "the keyring's {file} is not the key that the ledger's first entry names; restore the right keyring"
    )]
    WrongKey {
        /// Which file.
        file: &'static str,
    },
    /// The guard file holds nothing.
    #[error(
        "the ledger has {size} entries but its guard file is empty: the guard file was replaced; restore it, or compare the ledger with an anchor first"
    )]
    GuardEmpty {
        /// Entries in the database.
        size: u64,
    },
    /// The guard file is another ledger's.
    #[error(
        "the guard file does not hold a checkpoint of this ledger ({0}); restore the right one"
    )]
    GuardForeign(String),
    /// The database is older than the guard.
    #[error(
        "the database holds {size} entries, but the guard file saw {guarded}: the database is older than it was (a backup was restored, or entries were cut off). \
         It does not resume: bring back the lost entries byte for byte, or create a new ledger with --replaces, whose first entry names this one and what was lost"
    )]
    BehindGuard {
        /// Entries in the database.
        size: u64,
        /// Entries that the guard saw.
        guarded: u64,
    },
    /// The database tells another story than the guard.
    #[error(
        "the database and the guard file disagree about the first {size} entries: the past was rewritten. It does not resume; keep both files as evidence"
    )]
    Forked {
        /// Size at which they disagree.
        size: u64,
    },
    /// The keyring lost secrets.
    #[error(
        "{count} slots that content is sealed under are not in the keyring, and no erasure explains it; restore the newest backup of the keyring"
    )]
    SlotsAbsent {
        /// How many.
        count: u64,
    },
}

impl OpenError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// Why events were not appended. None of the batch was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The queue is full.
    #[error("the ledger is busy; try again")]
    Busy,
    /// Storage cannot take it now. Its fate is known: nothing was written, or nobody was told.
    #[error("the ledger cannot write now: {0}")]
    Unavailable(String),
    /// The service is stopping.
    #[error("the service is stopping")]
    Closed,
    /// The clock is far behind the ledger.
    #[error(
        "the machine's clock ({now}) is far behind the ledger ({last}); writes stop until the clock is right or an administrator confirms it"
    )]
    ClockBehind {
        /// What the clock says.
        now: Timestamp,
        /// What the ledger recorded last.
        last: Timestamp,
    },
    /// Other content stands under the same identity.
    #[error("event {index} of the request has the identity of entry {seq}, with other content")]
    Conflict {
        /// Place in the request.
        index: usize,
        /// The entry that stands.
        seq: u64,
        /// Its content was erased, so sameness cannot be decided.
        erased: bool,
    },
    /// Two events of one request have the same identity and other content.
    #[error("events {first} and {second} of the request have the same identity and other content")]
    ConflictWithin {
        /// Place of the first.
        first: usize,
        /// Place of the second.
        second: usize,
    },
    /// A case moved on while a report on it was made.
    #[error("the case got new entries meanwhile")]
    CaseMoved,
    /// The report key was replaced while a report was made.
    #[error("the report key was replaced meanwhile")]
    KeyReplaced,
    /// A key that was given cannot take over.
    #[error("{0}")]
    Key(String),
    /// Somebody posted the same identity at the same moment. Never leaves this room.
    #[error("the same event was posted at the same moment")]
    Raced,
    /// A case's secret is gone although nothing erased it.
    #[error("the secret that the case's content is sealed under is not in the keyring")]
    SlotGone,
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`KeyringError`].
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Stored content does not open.
    #[error(transparent)]
    Content(#[from] OpenContentError),
}

pub(super) type AppendResult<T> = Result<T, AppendError>;

impl AppendError {
    /// The same once more, for each of several that wait for one entry.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Busy => Self::Busy,
            Self::Closed => Self::Closed,
            Self::ClockBehind { now, last } => Self::ClockBehind {
                now: *now,
                last: *last,
            },
            other => Self::Unavailable(other.to_string()),
        }
    }

    pub(super) fn from_store(e: &StoreError) -> Self {
        Self::Unavailable(e.to_string())
    }
}
