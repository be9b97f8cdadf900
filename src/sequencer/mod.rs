//! From events to acknowledged entries: preparation, one writer with group commit, guard, recovery.
//!
//! The order is the promise: T1 (one transaction: identities, leaves, case positions, content, index rows, tree, head by
//! compare-and-swap) → sign the committed head → guard file, fdatasync → answer. Nothing is acknowledged before the
//! guard knows it, and nothing that failed is acknowledged at all.

mod clock;
mod guard;
mod prepare;
mod recover;
mod writer;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::event::Event;
use crate::keyring::{Keyring, KeyringError, OpenContentError, random};
use crate::ledger::checkpoint::{Checkpoint, is_origin};
use crate::ledger::receipt::Receipt;
use crate::ledger::{Hash, Id16, Leaf, Timestamp, disclosure, tree};
use crate::store::sqlite::SqliteStore;
use crate::store::{LedgerReader, NewReport, StoreError, StoredEntry};

pub use clock::{Clock, SystemClock};
pub use guard::{Guard, GuardError};
use prepare::{Books, NewRows, Prepared, Salts, prepare, prepare_own};
use writer::{Batch, Committed, Job, Recent, Writer};

/// Where one ledger lies.
#[derive(Debug, Clone)]
pub struct LedgerPaths {
    /// Folder of database, guard file and lock. Backed up together.
    pub ledger: PathBuf,
    /// Folder of the keyring: never in the same backup.
    pub keyring: PathBuf,
}

impl LedgerPaths {
    /// The places of a ledger below a data folder.
    #[must_use]
    pub fn below(data: &Path, name: &str) -> Self {
        Self {
            ledger: data.join("ledgers").join(name),
            keyring: data.join("keyring").join(name),
        }
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.ledger.join("ledger.db")
    }
}

/// What bounds the sequencer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Batches that may wait for the writer.
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 1_024 }
    }
}

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
    fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
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

type AppendResult<T> = Result<T, AppendError>;

impl AppendError {
    fn from_store(e: &StoreError) -> Self {
        Self::Unavailable(e.to_string())
    }
}

/// Whether an event was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is a new entry.
    Created,
    /// It was an entry before; the receipt is the first one.
    Duplicate,
}

/// What the poster gets for one event.
#[derive(Debug, Clone)]
pub struct Posted {
    /// New or not.
    pub status: Status,
    /// Position.
    pub seq: u64,
    /// Leaf hash.
    pub hash: Hash,
    /// The receipt.
    pub receipt: Receipt,
    /// The disclosures (base64url), so that the poster can recompute what was committed.
    pub disclosures: Vec<String>,
}

/// A ledger that is open for writing and reading.
pub struct Ledger {
    name: String,
    origin: String,
    service: Id16,
    keyring: Arc<Keyring>,
    store: Arc<SqliteStore>,
    books: Arc<Books>,
    guarded: Arc<AtomicU64>,
    jobs: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    conflicts: Mutex<Conflicts>,
    _lock: File,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({})", self.origin)
    }
}

/// Conflicting posts that wait to be recorded: one entry a minute at most.
#[derive(Debug, Default)]
struct Conflicts {
    last: Option<Instant>,
    count: u64,
    seqs: Vec<u64>,
}

const CONFLICTS_EVERY: Duration = Duration::from_secs(60);
/// Of how many conflicts one entry names the positions.
const CONFLICTS_NAMED: usize = 32;

/// Whether a text can name a ledger within a server: it stands in paths and in origins.
#[must_use]
pub fn is_ledger_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
}

/// What stands behind a new ledger that replaces one that cannot resume.
#[derive(Debug, Clone)]
pub struct Replaces {
    /// The old ledger's newest known checkpoint, as a signed note.
    pub checkpoint: String,
    /// How many of its entries are lost, and other words for the record.
    pub lost: u64,
}

impl Ledger {
    /// Makes a new ledger: folders, keys, database, guard file, and entry 0.
    ///
    /// # Errors
    /// When the name or origin is not possible, something is there already, or cannot be written.
    pub fn create(
        paths: &LedgerPaths,
        name: &str,
        origin: &str,
        clock: Arc<dyn Clock>,
        replaces: Option<&Replaces>,
    ) -> Result<(), OpenError> {
        if !is_ledger_name(name) {
            return Err(OpenError::Name(format!(
                "`{name}` cannot name a ledger: use 1 to 64 lower-case letters, digits, - and _, starting with a letter or digit"
            )));
        }
        if !is_origin(origin) {
            return Err(OpenError::Name(format!(
                "`{origin}` cannot be an origin: use a host-like name and path without spaces or plus signs, such as ledger.example/{name}"
            )));
        }
        if paths.ledger.exists() || paths.keyring.exists() {
            return Err(OpenError::Name(format!(
                "there is a ledger `{name}` (or a part of one) already in {} or {}",
                paths.ledger.display(),
                paths.keyring.display()
            )));
        }
        let replaced = match replaces {
            Some(r) => {
                let (old, _) = Checkpoint::parse_unverified(&r.checkpoint).map_err(|e| {
                    OpenError::Name(format!("the checkpoint of the ledger to be replaced: {e}"))
                })?;
                Some(
                    json!({ "origin": old.origin, "size": old.size, "root": old.root.to_b64(), "lost": r.lost }),
                )
            }
            None => None,
        };
        fs::create_dir_all(&paths.ledger)
            .map_err(OpenError::io("cannot make the folder", &paths.ledger))?;
        let lock = lock(&paths.ledger)?;
        let keyring = Arc::new(Keyring::create(&paths.keyring, origin)?);
        let store = Arc::new(SqliteStore::open(&paths.database(), true)?);
        let guard = Guard::create(&paths.ledger.join("guard"))?;
        let service = Id16(random()?);
        let mut fact = Map::from_iter([
            ("spec".to_owned(), json!(1)),
            (
                "vocabulary".to_owned(),
                json!(crate::event::types::VOCABULARY_VERSION),
            ),
            (
                "software".to_owned(),
                json!(concat!("whereas ", env!("CARGO_PKG_VERSION"))),
            ),
            (
                "checkpoint_key".to_owned(),
                json!(keyring.checkpoint.vkey().to_string()),
            ),
            (
                "report_key".to_owned(),
                json!(keyring.report.vkey().to_string()),
            ),
            (
                "id_key_check".to_owned(),
                json!(keyring.id.check().to_b64url()),
            ),
        ]);
        fact.extend(replaced.map(|r| ("replaces".to_owned(), r)));
        let entry = prepare_own(&keyring, origin, service, "ledger.created", fact, None)
            .map_err(|e| OpenError::Name(e.to_string()))?;
        let end = recover::tail(&*store)?;
        let mut writer = Self::writer(
            origin,
            service,
            &keyring,
            &store,
            &Arc::new(Books::default()),
            guard,
            &Arc::new(AtomicU64::new(0)),
            clock,
            end,
            Vec::new(),
        )?;
        let (reply, mut answer) = oneshot::channel();
        let rows = NewRows::default();
        writer.commit(vec![Box::new(Batch {
            entries: vec![entry],
            rows,
            looked_up_at: 0,
            case_must_have: None,
            report: None,
            reply,
        })]);
        writer.finish();
        drop(lock);
        match answer.try_recv() {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(OpenError::Name(format!(
                "the first entry could not be written: {e}"
            ))),
            Err(_) => Err(OpenError::Unfinished),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all that a writer consists of, named once"
    )]
    fn writer(
        origin: &str,
        service: Id16,
        keyring: &Arc<Keyring>,
        store: &Arc<SqliteStore>,
        books: &Arc<Books>,
        guard: Guard,
        guarded: &Arc<AtomicU64>,
        clock: Arc<dyn Clock>,
        tail: writer::Tail,
        unstored: Vec<(u64, String)>,
    ) -> Result<Writer, OpenError> {
        Ok(Writer {
            origin: origin.to_owned(),
            service,
            keyring: Arc::clone(keyring),
            reader: Arc::clone(store) as Arc<dyn LedgerReader>,
            store: Box::new(store.writer()?),
            books: Arc::clone(books),
            guard,
            time: clock::LedgerClock::new(tail.recorded),
            step: None,
            clock,
            recent: Recent::starting_at(tail.frontier.size()),
            tail,
            guarded: Arc::clone(guarded),
            cases: HashMap::new(),
            unstored,
            doubtful: false,
        })
    }

    /// Opens a ledger after comparing head, tree, chain tail, commitments, keyring and guard file.
    ///
    /// # Errors
    /// See [`OpenError`]: a ledger that is not what it was does not resume.
    pub fn open(
        paths: &LedgerPaths,
        name: &str,
        origin: &str,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Result<Arc<Self>, OpenError> {
        let lock = lock(&paths.ledger)?;
        let store = Arc::new(SqliteStore::open(&paths.database(), false)?);
        let keyring = Arc::new(Keyring::open(&paths.keyring, origin)?);
        let (mut guard, guarded) = Guard::open(&paths.ledger.join("guard"))?;
        let (tail, unstored) =
            recover::check(&*store, &keyring, origin, &mut guard, guarded.as_deref())?;
        let service = store
            .entry(0)?
            .and_then(|e| Leaf::decode(&e.leaf).ok())
            .map(|l| l.producer)
            .ok_or(OpenError::Unfinished)?;
        let (books, guarded) = (
            Arc::new(Books::default()),
            Arc::new(AtomicU64::new(tail.frontier.size())),
        );
        let writer = Self::writer(
            origin, service, &keyring, &store, &books, guard, &guarded, clock, tail, unstored,
        )?;
        let (jobs, queue) = sync_channel(limits.queue);
        let thread = std::thread::Builder::new()
            .name(format!("writer-{name}"))
            .spawn(move || writer.run(&queue))
            .map_err(OpenError::io("cannot start the writer of", &paths.ledger))?;
        Ok(Arc::new(Self {
            name: name.to_owned(),
            origin: origin.to_owned(),
            service,
            keyring,
            store,
            books,
            guarded,
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            conflicts: Mutex::default(),
            _lock: lock,
        }))
    }

    /// Name within the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The keyring.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Reading.
    #[must_use]
    pub fn reader(&self) -> &dyn LedgerReader {
        &*self.store
    }

    /// Up to which size the guard file vouches for the ledger: what may be shown.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.guarded.load(Ordering::Acquire)
    }

    /// Appends events: all or none, in order.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append(&self, events: &[Event], producer: Id16) -> AppendResult<Vec<Posted>> {
        loop {
            match self.try_append(events, producer).await {
                Err(AppendError::Raced) => {}
                Err(e @ (AppendError::Conflict { .. } | AppendError::ConflictWithin { .. })) => {
                    self.note_conflict(&e).await;
                    return Err(e);
                }
                done => return done,
            }
        }
    }

    async fn try_append(&self, events: &[Event], producer: Id16) -> AppendResult<Vec<Posted>> {
        let looked_up_at = self.store.head()?.size;
        let eids: Vec<Hash> = events
            .iter()
            .map(|e| self.keyring.id.eid(&e.source, &e.id))
            .collect();
        let found = self.store.find_identities(&eids)?;
        let mut rows = NewRows::default();
        let mut salts = Salts::new();
        let mut entries = Vec::new();
        // For each event: the entry that stands already, or its place among the new ones.
        let mut places: Vec<Result<u64, usize>> = Vec::with_capacity(events.len());
        let mut within: HashMap<Hash, usize> = HashMap::new();
        for (index, (event, (eid, found))) in events.iter().zip(eids.iter().zip(found)).enumerate()
        {
            if let Some(seq) = found {
                self.same_or_conflict(index, seq, event)?;
                places.push(Ok(seq));
                continue;
            }
            if let Some(first) = within.insert(*eid, index) {
                if events[first].canonical() != event.canonical() {
                    return Err(AppendError::ConflictWithin {
                        first,
                        second: index,
                    });
                }
                within.insert(*eid, first);
                let place = places[first];
                places.push(place);
                continue;
            }
            places.push(Err(entries.len()));
            entries.push(prepare(
                &self.keyring,
                &*self.store,
                &self.books,
                &self.origin,
                event,
                producer,
                &mut rows,
                &mut salts,
            )?);
        }
        let committed = if entries.is_empty() {
            None
        } else {
            Some(self.commit(entries, rows, looked_up_at, None, None).await?)
        };
        let mut posted = Vec::with_capacity(events.len());
        let mut given = std::collections::HashSet::new();
        for place in places {
            posted.push(match (place, &committed) {
                (Ok(seq), _) => self.first_receipt(seq).await?,
                (Err(at), Some(done)) => self.posted(done, at, given.insert(at))?,
                (Err(_), None) => return Err(AppendError::Raced),
            });
        }
        Ok(posted)
    }

    fn posted(&self, done: &Committed, at: usize, first: bool) -> AppendResult<Posted> {
        let (seq, leaf, hash) = &done.entries[at];
        let path = done
            .commit
            .path(*seq)
            .map_err(|id| StoreError::Damaged(format!("a commit lacks its own node {id:?}")))?;
        let receipt = Receipt {
            leaf: leaf.clone(),
            index: *seq,
            path,
            checkpoint: done.commit.note.clone(),
        };
        let disclosures = done.texts[at]
            .iter()
            .map(|t| disclosure::encode(t))
            .collect();
        Ok(Posted {
            status: if first {
                Status::Created
            } else {
                Status::Duplicate
            },
            seq: *seq,
            hash: *hash,
            receipt,
            disclosures,
        })
    }

    /// Whether an event is the same as the entry that has its identity.
    fn same_or_conflict(&self, index: usize, seq: u64, event: &Event) -> AppendResult<()> {
        let entry = self
            .store
            .entry(seq)?
            .ok_or_else(|| StoreError::Damaged(format!("entry {seq} is absent")))?;
        let leaf = decode(&entry)?;
        let sealed = match &entry.sealed {
            Some((slot, blob)) => self.keyring.open_content(&leaf, slot.0, blob)?,
            None => None,
        };
        match sealed {
            None => Err(AppendError::Conflict {
                index,
                seq,
                erased: true,
            }),
            Some(s) if s.sameness == self.keyring.id.sameness(&event.canonical()) => Ok(()),
            Some(_) => Err(AppendError::Conflict {
                index,
                seq,
                erased: false,
            }),
        }
    }

    /// The answer for an event that was posted before: its first receipt, and what it disclosed.
    async fn first_receipt(&self, seq: u64) -> AppendResult<Posted> {
        if seq >= self.size() {
            // It was committed a moment ago, or by a commit whose guarding failed.
            let (done, settled) = oneshot::channel();
            self.send(Job::Settle(done))?;
            settled.await.map_err(|_| AppendError::Closed)??;
            if seq >= self.size() {
                return Err(AppendError::Unavailable("the entry is stored but not guarded yet".into()));
            }
        }
        let entry = self
            .store
            .entry(seq)?
            .ok_or_else(|| StoreError::Damaged(format!("entry {seq} is absent")))?;
        let disclosures = self.disclosures(&entry)?.unwrap_or_default();
        Ok(Posted {
            status: Status::Duplicate,
            seq,
            hash: Hash::leaf(&entry.leaf),
            receipt: self.receipt_of(entry)?,
            disclosures,
        })
    }

    /// What an entry disclosed (base64url); `None` when it has no content any more.
    ///
    /// # Errors
    /// When storage or keyring fail, or the content was altered.
    pub fn disclosures(&self, entry: &StoredEntry) -> AppendResult<Option<Vec<String>>> {
        let Some((slot, blob)) = &entry.sealed else {
            return Ok(None);
        };
        let sealed = self.keyring.open_content(&decode(entry)?, slot.0, blob)?;
        Ok(sealed.map(|s| s.texts.iter().map(|t| disclosure::encode(t)).collect()))
    }

    /// The receipt of an entry: always the same bytes.
    ///
    /// # Errors
    /// When storage fails. `None` when there is no such entry, or none that the guard knows.
    pub fn receipt(&self, seq: u64) -> AppendResult<Option<Receipt>> {
        if seq >= self.size() {
            return Ok(None);
        }
        self.store
            .entry(seq)?
            .map(|e| self.receipt_of(e))
            .transpose()
    }

    fn receipt_of(&self, entry: StoredEntry) -> AppendResult<Receipt> {
        let seq = entry.seq;
        let commit = self
            .store
            .commitment_at_least(seq + 1)?
            .ok_or_else(|| StoreError::Damaged(format!("no commitment covers entry {seq}")))?;
        let path = self.inclusion(seq, commit.size)?;
        let checkpoint = match commit.note {
            Some(note) => note,
            None => Checkpoint {
                origin: self.origin.clone(),
                size: commit.size,
                root: commit.root,
            }
            .sign(&self.keyring.checkpoint),
        };
        Ok(Receipt {
            leaf: entry.leaf,
            index: seq,
            path,
            checkpoint,
        })
    }

    /// The inclusion proof of an entry in the tree of `size` leaves.
    ///
    /// # Errors
    /// When storage fails or lacks a node.
    pub fn inclusion(&self, seq: u64, size: u64) -> Result<Vec<Hash>, StoreError> {
        let nodes = recover::fetch(self.reader(), |w| tree::inclusion(w, seq, size))?;
        tree::inclusion(&nodes, seq, size)
            .map_err(|id| StoreError::Damaged(format!("a node is absent: {id:?}")))
    }

    /// The consistency proof between two sizes.
    ///
    /// # Errors
    /// When storage fails or lacks a node.
    pub fn consistency(&self, first: u64, second: u64) -> Result<Vec<Hash>, StoreError> {
        let nodes = recover::fetch(self.reader(), |w| tree::consistency(w, first, second))?;
        tree::consistency(&nodes, first, second)
            .map_err(|id| StoreError::Damaged(format!("a node is absent: {id:?}")))
    }

    /// The newest checkpoint that the guard knows.
    ///
    /// # Errors
    /// When storage fails.
    pub fn checkpoint(&self) -> Result<(Checkpoint, String), StoreError> {
        let size = self.size();
        let commit = self
            .store
            .commitment_at_least(size)?
            .filter(|c| c.size == size)
            .ok_or_else(|| StoreError::Damaged(format!("there is no commitment of size {size}")))?;
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size,
            root: commit.root,
        };
        let note = commit
            .note
            .unwrap_or_else(|| checkpoint.sign(&self.keyring.checkpoint));
        Ok((checkpoint, note))
    }

    /// Appends one of the service's own entries.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append_own(&self, kind: &str, fact: Map<String, Value>) -> AppendResult<u64> {
        let entry = prepare_own(&self.keyring, &self.origin, self.service, kind, fact, None)?;
        let size = self.store.head()?.size;
        let done = self
            .commit(vec![entry], NewRows::default(), size, None, None)
            .await?;
        Ok(done.entries[0].0)
    }

    /// Appends `report.issued` to a case that must have exactly `case_len` entries (or to no case), and stores the
    /// report with it.
    ///
    /// # Errors
    /// [`AppendError::CaseMoved`] when the case has other entries; else see [`AppendError`].
    pub async fn append_report(
        &self,
        report: NewReport,
        fact: Map<String, Value>,
        case: Option<(Id16, u64)>,
    ) -> AppendResult<u64> {
        let entry = prepare_own(
            &self.keyring,
            &self.origin,
            self.service,
            "report.issued",
            fact,
            case.map(|c| c.0),
        )?;
        let size = self.store.head()?.size;
        let done = self
            .commit(vec![entry], NewRows::default(), size, case, Some(report))
            .await?;
        Ok(done.entries[0].0)
    }

    async fn commit(
        &self,
        entries: Vec<Prepared>,
        rows: NewRows,
        looked_up_at: u64,
        case_must_have: Option<(Id16, u64)>,
        report: Option<NewReport>,
    ) -> AppendResult<Committed> {
        let (reply, answer) = oneshot::channel();
        let forget = NewRows {
            cases: rows.cases.clone(),
            traces: rows.traces.clone(),
        };
        let batch = Batch {
            entries,
            rows,
            looked_up_at,
            case_must_have,
            report,
            reply,
        };
        self.send(Job::Append(Box::new(batch)))?;
        let done = answer.await.map_err(|_| AppendError::Closed)?;
        if matches!(done, Err(AppendError::Raced)) {
            self.books.forget(&forget);
        }
        done
    }

    fn send(&self, job: Job) -> AppendResult<()> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        match jobs.as_ref().ok_or(AppendError::Closed)?.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(AppendError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(AppendError::Closed),
        }
    }

    /// Confirms that the clock is right although it is far behind the ledger.
    ///
    /// # Errors
    /// When the service is stopping or busy.
    pub async fn confirm_clock(&self) -> AppendResult<()> {
        let (done, answer) = oneshot::channel();
        self.send(Job::ConfirmClock(done))?;
        answer.await.map_err(|_| AppendError::Closed)
    }

    /// Counts a conflicting post, and records what has been counted, at most once a minute.
    async fn note_conflict(&self, conflict: &AppendError) {
        let due = {
            let mut c = self
                .conflicts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            c.count += 1;
            if let AppendError::Conflict { seq, .. } = conflict
                && c.seqs.len() < CONFLICTS_NAMED
                && !c.seqs.contains(seq)
            {
                c.seqs.push(*seq);
            }
            let due = c.last.is_none_or(|t| t.elapsed() >= CONFLICTS_EVERY);
            if due {
                c.last = Some(Instant::now());
            }
            due
        };
        if due {
            self.record_conflicts().await;
        }
    }

    async fn record_conflicts(&self) {
        let (count, seqs) = {
            let mut c = self
                .conflicts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            (std::mem::take(&mut c.count), std::mem::take(&mut c.seqs))
        };
        if count == 0 {
            return;
        }
        let fact = Map::from_iter([
            ("count".to_owned(), json!(count)),
            ("entries".to_owned(), json!(seqs)),
        ]);
        if let Err(e) = self.append_own("post.conflicted", fact).await {
            tracing::warn!(component = "sequencer", error = %e, count, "conflicting posts could not be recorded yet; they are counted on");
            let mut c = self
                .conflicts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            c.count += count;
            c.seqs.extend(seqs);
        }
    }

    /// Takes no more, finishes what was taken, and ends the writer.
    pub async fn close(&self) {
        self.record_conflicts().await;
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!(component = "sequencer", "the writer ended in disorder");
            }
        }
    }
}

impl Writer {
    /// Writes what still waits for a transaction; used where no thread runs.
    fn finish(self) {
        let (jobs, queue) = sync_channel(0);
        drop(jobs);
        self.run(&queue);
    }
}

fn decode(entry: &StoredEntry) -> AppendResult<Leaf> {
    Ok(Leaf::decode(&entry.leaf)
        .map_err(|e| StoreError::Damaged(format!("entry {}: {e}", entry.seq)))?)
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(OpenError::io("cannot open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(OpenError::Io {
            what: "cannot lock",
            path,
            source,
        }),
    }
}

#[cfg(test)]
mod tests;
