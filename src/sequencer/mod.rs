//! From events to acknowledged entries: preparation, one writer with group commit, guard, recovery.
//!
//! The order is the promise: T1 (one transaction: identities, leaves, case positions, content, index rows, tree, head by
//! compare-and-swap) → sign the committed head → guard file, fdatasync → answer. Nothing is acknowledged before the
//! guard knows it, and nothing that failed is acknowledged at all.

mod accesses;
mod clock;
mod conflicts;
mod create;
mod denials;
mod errors;
mod guard;
mod lookups;
mod outside;
mod prepare;
mod proofs;
mod recover;
mod rotation;
mod tiles;
mod writer;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::event::Event;
use crate::keyring::Keyring;
use crate::ledger::keys::Purpose;
use crate::ledger::note::Vkey;
use crate::ledger::policy::Policy;
use crate::ledger::receipt::Receipt;
use crate::ledger::{Hash, Id16, Leaf, disclosure};
use crate::store::sqlite::SqliteStore;
use crate::store::{Head, LedgerReader, NewReport, StoreError, StoredEntry};

pub use accesses::{Access, CASES_NAMED, RECORD_ACCESSED};
pub use clock::{Clock, SystemClock};
use conflicts::Conflicts;
pub use create::{Replaces, is_ledger_name};
use denials::Denials;
pub use denials::{ACCESS_DENIED, Denial};
use errors::AppendResult;
pub use errors::{AppendError, OpenError};
pub use guard::{Guard, GuardError};
pub use lookups::lookups;
pub use outside::FromOutside;
use prepare::{Books, NewRows, Prepared, Salts, prepare, prepare_own};
use rotation::Keys;
pub use rotation::{Reason, Rotate, Rotated, read_keys};
pub use tiles::{TILE, TileId};
use writer::FreshNotes;
use writer::{Batch, Committed, Job, Recent, Waiting, Writer};

/// Where one ledger lies.
#[derive(Debug, Clone)]
pub struct LedgerPaths {
    /// Folder of the database and its lock.
    pub ledger: PathBuf,
    /// The guard file. Never in a backup: restored together with the database, it would hide that the database is old.
    pub guard: PathBuf,
    /// Folder of the keyring: never in the same backup.
    pub keyring: PathBuf,
}

impl LedgerPaths {
    /// The places of a ledger below a data folder.
    #[must_use]
    pub fn below(data: &Path, name: &str) -> Self {
        Self {
            ledger: data.join("ledgers").join(name),
            guard: data.join("guard").join(name),
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
    folder: PathBuf,
    origin: String,
    service: Id16,
    keyring: Arc<Keyring>,
    store: Arc<SqliteStore>,
    books: Arc<Books>,
    guarded: Arc<AtomicU64>,
    notes: FreshNotes,
    keys: Keys,
    jobs: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    conflicts: Mutex<Conflicts>,
    denials: Denials,
    policy: OnceLock<Policy>,
    _lock: File,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({})", self.origin)
    }
}

impl Ledger {
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
        denials: &Denials,
        tail: writer::Tail,
        unstored: &FreshNotes,
        keys: &Keys,
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
            denials: denials.clone(),
            recent: Recent::starting_at(tail.frontier.size()),
            tail,
            guarded: Arc::clone(guarded),
            cases: HashMap::new(),
            unstored: unstored.clone(),
            signed: None,
            doubtful: false,
            keys: keys.clone(),
            unretired: true,
            #[cfg(test)]
            die_at: None,
            #[cfg(test)]
            dead: false,
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
        let keys = recover::history(&*store, origin)?;
        let keyring = Arc::new(Keyring::open(
            &paths.keyring,
            keys.newest(Purpose::Checkpoint),
            keys.newest(Purpose::Report),
        )?);
        let (mut guard, guarded) = Guard::open(&paths.guard)?;
        let (tail, resigned) = recover::check(
            &*store,
            &keyring,
            &keys,
            origin,
            &mut guard,
            guarded.as_deref(),
        )?;
        let keys = Keys::new(keys);
        let service = store
            .entry(0)?
            .and_then(|e| Leaf::decode(&e.leaf).ok())
            .map(|l| l.producer)
            .ok_or(OpenError::Unfinished)?;
        let (books, guarded) = (
            Arc::new(Books::default()),
            Arc::new(AtomicU64::new(tail.frontier.size())),
        );
        let (notes, denials) = (FreshNotes::default(), Denials::default());
        resigned
            .into_iter()
            .for_each(|(size, note)| notes.add(size, note));
        let signed = Head {
            size: tail.frontier.size(),
            root: tail.frontier.root(),
        };
        let mut writer = Self::writer(
            origin, service, &keyring, &store, &books, guard, &guarded, clock, &denials, tail,
            &notes, &keys,
        )?;
        writer.signed = Some(signed);
        writer.finish_rotations();
        let (jobs, queue) = sync_channel(limits.queue);
        let thread = std::thread::Builder::new()
            .name(format!("writer-{name}"))
            .spawn(move || writer.run(&queue))
            .map_err(OpenError::io("cannot start the writer of", &paths.ledger))?;
        Ok(Arc::new(Self {
            name: name.to_owned(),
            folder: paths.ledger.clone(),
            origin: origin.to_owned(),
            service,
            keyring,
            store,
            books,
            guarded,
            notes,
            keys,
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            conflicts: Mutex::default(),
            denials,
            policy: OnceLock::new(),
            _lock: lock,
        }))
    }

    /// Whether a ledger that nobody serves would open: the same checks, then it is let go.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn inspect(paths: &LedgerPaths, origin: &str) -> Result<(), OpenError> {
        let _lock = lock(&paths.ledger)?;
        let store = SqliteStore::open(&paths.database(), false)?;
        let keys = recover::history(&store, origin)?;
        let keyring = Keyring::open(
            &paths.keyring,
            keys.newest(Purpose::Checkpoint),
            keys.newest(Purpose::Report),
        )?;
        let (mut guard, guarded) = Guard::open(&paths.guard)?;
        recover::check(
            &store,
            &keyring,
            &keys,
            origin,
            &mut guard,
            guarded.as_deref(),
        )?;
        Ok(())
    }

    /// Name within the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Folder of the database: what is derived from it lies beside it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
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

    /// Waits until the guard knows an entry that is stored.
    async fn guarded(&self, seq: u64) -> AppendResult<()> {
        if seq >= self.size() {
            // It was committed a moment ago, or by a commit whose guarding failed.
            let (done, settled) = oneshot::channel();
            self.send(Job::Settle(done))?;
            settled.await.map_err(|_| AppendError::Closed)??;
            if seq >= self.size() {
                return Err(AppendError::Unavailable(
                    "the entry is stored but not guarded yet".into(),
                ));
            }
        }
        Ok(())
    }

    /// The answer for an event that was posted before: its first receipt, and what it disclosed.
    async fn first_receipt(&self, seq: u64) -> AppendResult<Posted> {
        self.guarded(seq).await?;
        let entry = self
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

    /// Appends one of the service's own entries.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append_own(&self, kind: &str, fact: Map<String, Value>) -> AppendResult<u64> {
        let entry = prepare_own(
            &self.keyring,
            &self.origin,
            self.service,
            kind,
            fact,
            None,
            None,
        )?;
        let size = self.store.head()?.size;
        let done = self
            .commit(vec![entry], NewRows::default(), size, None, None)
            .await?;
        Ok(done.entries[0].0)
    }

    /// Appends one of the service's own entries unless it was appended before under this id.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append_own_once(
        &self,
        kind: &str,
        fact: Map<String, Value>,
        id: &str,
    ) -> AppendResult<u64> {
        loop {
            let size = self.store.head()?.size;
            let eid = self.keyring.id.eid(&self.origin, id);
            if let Some(seq) = self.store.find_identities(&[eid])?.pop().flatten() {
                self.guarded(seq).await?;
                return Ok(seq);
            }
            let entry = prepare_own(
                &self.keyring,
                &self.origin,
                self.service,
                kind,
                fact.clone(),
                None,
                Some(id),
            )?;
            match self
                .commit(vec![entry], NewRows::default(), size, None, None)
                .await
            {
                Ok(done) => return Ok(done.entries[0].0),
                Err(AppendError::Raced) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Appends `report.issued` to a case that must have exactly `case_len` entries (or to no case), and stores the
    /// report with it, which `signed_by` has signed.
    ///
    /// # Errors
    /// [`AppendError::CaseMoved`] when the case has other entries, [`AppendError::KeyReplaced`] when another report key
    /// is in force by now; else see [`AppendError`].
    pub async fn append_report(
        &self,
        report: NewReport,
        fact: Map<String, Value>,
        case: Option<(Id16, u64)>,
        signed_by: &Vkey,
    ) -> AppendResult<u64> {
        let entry = prepare_own(
            &self.keyring,
            &self.origin,
            self.service,
            "report.issued",
            fact,
            case.map(|c| c.0),
            None,
        )?;
        let size = self.store.head()?.size;
        let done = self
            .commit(
                vec![entry],
                NewRows::default(),
                size,
                case,
                Some((report, signed_by.clone())),
            )
            .await?;
        Ok(done.entries[0].0)
    }

    async fn commit(
        &self,
        entries: Vec<Prepared>,
        rows: NewRows,
        looked_up_at: u64,
        case_must_have: Option<(Id16, u64)>,
        report: Option<(NewReport, Vkey)>,
    ) -> AppendResult<Committed> {
        let (reply, answer) = oneshot::channel();
        let forget = NewRows {
            cases: rows.cases.clone(),
            traces: rows.traces.clone(),
        };
        let (report, signed_by) = report.unzip();
        let batch = Batch {
            entries,
            rows,
            looked_up_at,
            case_must_have,
            report,
            signed_by,
            reply: Waiting::One(reply),
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
