//! The one writer of a ledger: group commit, then sign, then guard, then answer.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, json};
use tokio::sync::oneshot;

use super::accesses::WaitingAccess;
use super::clock::{Clock, LedgerClock, Reading, Step};
use super::denials::{Denials, Tally};
use super::guard::Guard;
use super::prepare::{Books, NewRows, Prepared, prepare_own};
use super::rotation::{self, Keys, Point, Rotate, Rotated};
use super::{AppendError, AppendResult, FromOutside};
use crate::keyring::Keyring;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::keys::{KEY_ROTATED, Purpose};
use crate::ledger::note::Vkey;
use crate::ledger::tree::{Frontier, NodeId};
use crate::ledger::{CaseLink, Hash, Id16, Leaf, MAX_LEAF, Timestamp};
use crate::store::{
    Commitment, EntryRow, Head, LedgerReader, LedgerWriter, NewReport, StoreError, Transaction,
};

/// Most events that one commit takes.
const GROUP: usize = 1_024;
/// When nothing comes for this long, what rides along with the next commit is written on its own.
const IDLE: Duration = Duration::from_millis(200);

/// What the queue carries.
pub(super) enum Job {
    /// Entries to append, all or none.
    Append(Box<Batch>),
    /// A read to record.
    Access(Box<WaitingAccess>),
    /// Somebody confirms that the clock is right although it is far behind the ledger.
    ConfirmClock(oneshot::Sender<()>),
    /// Somebody found an entry that the guard does not know yet: answer when it does.
    Settle(oneshot::Sender<AppendResult<()>>),
    /// Something that an outside party gave, to be kept beside the ledger: answer when it is durable.
    Keep(FromOutside, oneshot::Sender<AppendResult<()>>),
    /// A signing key is to be replaced.
    Rotate(Box<Rotate>, oneshot::Sender<AppendResult<Rotated>>),
}

/// Entries to append, all or none.
pub(super) struct Batch {
    pub entries: Vec<Prepared>,
    pub rows: NewRows,
    /// Head size at which the identities were looked up and found free.
    pub looked_up_at: u64,
    /// The case must have exactly this many entries, else the batch is refused.
    pub case_must_have: Option<(Id16, u64)>,
    /// A report that the first entry issues.
    pub report: Option<NewReport>,
    /// The key that signed the report: it must be the one in force where the entry is placed.
    pub signed_by: Option<Vkey>,
    pub reply: Waiting,
}

/// Who waits for a batch.
pub(super) enum Waiting {
    /// Somebody who posted.
    One(oneshot::Sender<AppendResult<Committed>>),
    /// Readers whose reads the batch's one entry records.
    Accesses(Vec<oneshot::Sender<AppendResult<u64>>>),
    /// Nobody; refusals that could not be recorded are counted on.
    Denials(Denials, Tally),
}

impl Waiting {
    /// Tells what became of the batch. Whoever waited may be gone: what was written stands.
    pub fn answer(self, done: AppendResult<Committed>) {
        match self {
            Self::One(reply) => {
                let _ = reply.send(done);
            }
            Self::Accesses(all) => {
                let seq = done.as_ref().ok().and_then(|d| Some(d.entries.first()?.0));
                for reply in all {
                    let _ = reply.send(match (seq, &done) {
                        (Some(seq), _) => Ok(seq),
                        (None, Err(e)) => Err(e.again()),
                        (None, Ok(_)) => Err(AppendError::Closed),
                    });
                }
            }
            Self::Denials(book, tally) => {
                if let Err(e) = done {
                    tracing::warn!(component = "sequencer", error = %e, retryable = true, "refusals could not be recorded yet; they are counted on");
                    book.give_back(tally);
                }
            }
        }
    }
}

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Committed {
    /// Position, leaf bytes and leaf hash, in batch order.
    pub entries: Vec<(u64, Vec<u8>, Hash)>,
    /// The disclosures, given back.
    pub texts: Vec<Vec<String>>,
    pub commit: Arc<CommitProof>,
}

/// The signed head of a commit, and what proves its own entries.
#[derive(Debug)]
pub(super) struct CommitProof {
    pub size: u64,
    pub note: String,
    nodes: HashMap<NodeId, Hash>,
}

impl CommitProof {
    /// The inclusion proof of an entry of this commit.
    pub fn path(&self, seq: u64) -> Result<Vec<Hash>, NodeId> {
        crate::ledger::tree::inclusion(&self.nodes, seq, self.size)
    }
}

/// What is known of the ledger's end.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    pub frontier: Frontier,
    pub prev: Hash,
    pub recorded: Timestamp,
}

pub(super) struct Writer {
    pub origin: String,
    pub service: Id16,
    pub keyring: Arc<Keyring>,
    pub reader: Arc<dyn LedgerReader>,
    pub store: Box<dyn LedgerWriter>,
    pub books: Arc<Books>,
    pub guard: Guard,
    pub clock: Arc<dyn Clock>,
    /// Refusals that wait to be recorded.
    pub denials: Denials,
    pub time: LedgerClock,
    /// A step of the clock that no entry tells of yet.
    pub step: Option<Step>,
    pub tail: Tail,
    /// Size up to which the guard file vouches: nothing beyond is answered.
    pub guarded: Arc<AtomicU64>,
    pub recent: Recent,
    pub cases: HashMap<Id16, (u64, Hash)>,
    /// Checkpoints whose rows ride in the next transaction. Readers find them here until then: nobody else signs.
    pub unstored: FreshNotes,
    /// The newest head that was signed: nothing that does not contain it will be.
    pub signed: Option<Head>,
    /// The last commit failed in a way that leaves its fate open.
    pub doubtful: bool,
    /// The ledger's key facts.
    pub keys: Keys,
    /// A key that was replaced may not be destroyed yet.
    pub unretired: bool,
    /// Where a test lets the service die.
    #[cfg(test)]
    pub die_at: Option<Point>,
    #[cfg(test)]
    pub dead: bool,
}

/// Identities of the newest entries, so that only races need a look into the database.
#[derive(Debug, Default)]
pub(super) struct Recent {
    known: HashMap<Hash, u64>,
    order: VecDeque<Hash>,
    /// Every entry from here on is known.
    from: u64,
}

const RECENT: usize = 65_536;

impl Recent {
    pub fn starting_at(size: u64) -> Self {
        Self {
            from: size,
            ..Self::default()
        }
    }

    fn add(&mut self, eid: Hash, seq: u64) {
        self.known.insert(eid, seq);
        self.order.push_back(eid);
        if self.order.len() > RECENT
            && let Some(old) = self.order.pop_front()
            && let Some(seq) = self.known.remove(&old)
        {
            self.from = seq + 1;
        }
    }
}

/// Signed checkpoints that are not in the store yet, by size.
#[derive(Debug, Clone, Default)]
pub(super) struct FreshNotes(Arc<Mutex<BTreeMap<u64, String>>>);

impl FreshNotes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, size: u64) -> Option<String> {
        self.lock().get(&size).cloned()
    }

    pub fn add(&self, size: u64, note: String) {
        self.lock().insert(size, note);
    }

    fn all(&self) -> Vec<(u64, String)> {
        self.lock()
            .iter()
            .map(|(size, note)| (*size, note.clone()))
            .collect()
    }

    fn forget(&self, stored: &[(u64, String)]) {
        let mut notes = self.lock();
        for (size, _) in stored {
            notes.remove(size);
        }
    }
}

/// A batch that has its place.
struct Placed {
    batch: Batch,
    entries: Vec<(u64, Vec<u8>, Hash)>,
}

impl Writer {
    /// Takes jobs until every sender is gone, then writes what is left and ends.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let first = match jobs.recv_timeout(IDLE) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    match self.due_denials(false) {
                        Some(batch) => self.commit(vec![batch]),
                        None => self.finish_rotations(),
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (mut group, mut accesses) = (Vec::new(), Vec::new());
            let mut events = 0;
            let mut next = Some(first);
            // A rotation ends its commit: what came before goes before it, what comes after waits.
            let mut rotation = None;
            while let Some(job) = next {
                match job {
                    Job::Append(batch) => {
                        events += batch.entries.len();
                        group.push(*batch);
                    }
                    Job::Access(access) => {
                        events += 1;
                        accesses.push(*access);
                    }
                    Job::ConfirmClock(done) => {
                        self.time.confirm();
                        // Whoever asked may be gone; the confirmation stands.
                        let _ = done.send(());
                    }
                    Job::Settle(done) => {
                        let _ = done.send(self.settle());
                    }
                    Job::Keep(given, done) => {
                        let _ = done.send(self.keep(&given));
                    }
                    Job::Rotate(job, reply) => rotation = Some((job, reply)),
                }
                next = if events < GROUP && rotation.is_none() {
                    jobs.try_recv().ok()
                } else {
                    None
                };
            }
            group.extend(self.gather(accesses));
            group.extend(self.due_denials(false));
            if !group.is_empty() {
                self.commit(group);
            }
            if let Some((job, reply)) = rotation {
                self.rotate(*job, reply);
            }
        }
        if let Some(batch) = self.due_denials(true) {
            self.commit(vec![batch]);
        }
        self.finish_rotations();
    }

    /// Stores what waits for a transaction, and destroys keys that were replaced.
    pub fn finish_rotations(&mut self) {
        self.flush();
        if let Err(e) = self.retire() {
            tracing::error!(component = "sequencer", error = %e, retryable = true, "a replaced key is not destroyed yet");
        }
    }

    /// A batch of one of the service's own entries: its identity is random, so nobody else has it.
    pub fn own_batch(&self, entry: Prepared, reply: Waiting) -> Batch {
        Batch {
            entries: vec![entry],
            rows: NewRows::default(),
            looked_up_at: self.tail.frontier.size(),
            case_must_have: None,
            report: None,
            signed_by: None,
            reply,
        }
    }

    /// Stores checkpoints that wait for a transaction to ride in.
    pub fn flush(&mut self) {
        let notes = self.unstored.all();
        if notes.is_empty() {
            return;
        }
        let stored = self.store.begin().and_then(|mut t| {
            put_notes(&mut *t, &notes)?;
            t.commit(None)
        });
        match stored {
            Ok(()) => self.unstored.forget(&notes),
            // Readers find them in memory meanwhile, and the next transaction takes them along.
            Err(e) => {
                tracing::warn!(component = "sequencer", error = %e, retryable = true, "storing checkpoints failed")
            }
        }
    }

    /// Writes what an outside party gave, in a transaction of its own: it moves no head, so it concerns no batch.
    fn keep(&mut self, given: &FromOutside) -> AppendResult<()> {
        let mut t = self.store.begin()?;
        match given {
            FromOutside::Cosignature(c) => t.put_cosignature(c)?,
            FromOutside::Anchored(a) => t.put_anchored(a)?,
        }
        Ok(t.commit(None)?)
    }

    /// One group: T1, sign, guard, answer.
    pub fn commit(&mut self, group: Vec<Batch>) {
        if self.doubtful
            && let Err(e) = self.reload()
        {
            return refuse_all(group, || AppendError::from_store(&e));
        }
        let recorded = match self.time.read(&*self.clock) {
            Reading::Time { recorded, step } => {
                // A step waits here until a commit has recorded it.
                self.step = step.or(self.step.take());
                recorded
            }
            Reading::FarBehind { now, last } => {
                tracing::error!(component = "sequencer", %now, %last, "the clock is far behind the ledger; writes are stopped");
                return refuse_all(group, || AppendError::ClockBehind { now, last });
            }
        };
        let own = match &self.step {
            Some(step) => {
                let fact = Map::from_iter([
                    ("expected".to_owned(), json!(step.expected.to_string())),
                    ("found".to_owned(), json!(step.found.to_string())),
                ]);
                match prepare_own(
                    &self.keyring,
                    &self.origin,
                    self.service,
                    "clock.stepped",
                    fact,
                    None,
                    None,
                ) {
                    Ok(entry) => Some(entry),
                    Err(e) => return refuse_all(group, || AppendError::Unavailable(e.to_string())),
                }
            }
            None => None,
        };
        let before = self.tail.clone();
        let mut nodes: Vec<(NodeId, Hash)> = Vec::new();
        match self.write(group, own, recorded, &mut nodes) {
            Ok((placed, None)) => {
                debug_assert!(placed.is_empty(), "without a commit nothing is placed")
            }
            Ok((placed, Some(head))) => {
                let edge: HashMap<NodeId, Hash> = before.frontier.nodes().chain(nodes).collect();
                self.answer(placed, head, edge);
            }
            Err((placed, e)) => {
                tracing::error!(component = "sequencer", error = %e, "a commit failed");
                let wanted = Head {
                    size: self.tail.frontier.size(),
                    root: self.tail.frontier.root(),
                };
                // A failure before anything was placed leaves the head where it was: that is no commit.
                let reached = wanted.size > before.frontier.size()
                    && matches!(e, StoreError::Backend(_))
                    && self.reader.head().is_ok_and(|h| h == wanted);
                if reached {
                    // The commit is on disk although its answer was an error: its entries stand.
                    let edge: HashMap<NodeId, Hash> =
                        before.frontier.nodes().chain(nodes).collect();
                    return self.answer(placed, wanted, edge);
                }
                self.tail = before;
                self.doubtful = true;
                self.cases.clear();
                refuse_all(placed.into_iter().map(|p| p.batch).collect(), || {
                    AppendError::from_store(&e)
                });
            }
        }
    }

    /// T1. Batches that cannot be placed are answered here; the rest is committed together.
    #[expect(
        clippy::type_complexity,
        reason = "the error carries the batches that were not answered"
    )]
    fn write(
        &mut self,
        group: Vec<Batch>,
        own: Option<Prepared>,
        recorded: Timestamp,
        nodes: &mut Vec<(NodeId, Hash)>,
    ) -> Result<(Vec<Placed>, Option<Head>), (Vec<Placed>, StoreError)> {
        let mut placed: Vec<Placed> = Vec::new();
        let mut t = match self.store.begin() {
            Ok(t) => t,
            Err(e) => {
                return Err((
                    group
                        .into_iter()
                        .map(|batch| Placed {
                            batch,
                            entries: Vec::new(),
                        })
                        .collect(),
                    e,
                ));
            }
        };
        let held = t.head();
        if (held.size, held.root) != (self.tail.frontier.size(), self.tail.frontier.root()) {
            drop(t);
            return Err((
                group
                    .into_iter()
                    .map(|batch| Placed {
                        batch,
                        entries: Vec::new(),
                    })
                    .collect(),
                StoreError::HeadMoved,
            ));
        }
        let mut place = Place {
            origin: &self.origin,
            tail: &mut self.tail,
            cases: &mut self.cases,
            reader: &*self.reader,
            recorded,
            nodes: &mut *nodes,
            rows: Vec::new(),
        };
        let mut failure = None;
        if let Some(mut own) = own
            && let Err(e) = place.put(&mut *t, &mut own)
        {
            failure = Some(e);
        }
        let mut in_group: HashMap<Hash, ()> = HashMap::new();
        let mut waiting = group.into_iter();
        for mut batch in waiting.by_ref() {
            if failure.is_some() {
                placed.push(Placed {
                    batch,
                    entries: Vec::new(),
                });
                break;
            }
            let replaced = batch
                .signed_by
                .as_ref()
                .is_some_and(|k| !rotation::in_force(&self.keys, k));
            if replaced {
                batch.reply.answer(Err(AppendError::KeyReplaced));
                continue;
            }
            match admit(&mut *t, &batch, &self.recent, &in_group, place.cases) {
                Ok(None) => {}
                Ok(Some(refusal)) => {
                    batch.reply.answer(Err(refusal));
                    continue;
                }
                Err(e) => {
                    failure = Some(e);
                    placed.push(Placed {
                        batch,
                        entries: Vec::new(),
                    });
                    break;
                }
            }
            let mut entries = Vec::with_capacity(batch.entries.len());
            for prepared in &mut batch.entries {
                match place.put(&mut *t, prepared) {
                    Ok(entry) => entries.push(entry),
                    Err(e) => {
                        failure = Some(e);
                        break;
                    }
                }
                in_group.insert(prepared.eid, ());
            }
            if failure.is_none()
                && let Some(report) = &batch.report
                && let (Some((seq, ..)), Some(first)) = (entries.first(), batch.entries.first())
                && let Err(e) = t.put_report(report, *seq, first.case)
            {
                failure = Some(e);
            }
            placed.push(Placed { batch, entries });
            if failure.is_some() {
                break;
            }
        }
        if let Some(e) = failure {
            drop(t);
            placed.extend(waiting.map(|batch| Placed {
                batch,
                entries: Vec::new(),
            }));
            return Err((placed, e));
        }
        let rows = place.rows;
        if rows.is_empty() {
            return Ok((placed, None));
        }
        let head = Head {
            size: self.tail.frontier.size(),
            root: self.tail.frontier.root(),
        };
        let commitment = Commitment {
            size: head.size,
            root: head.root,
            // At a change of keys this is the old one: the entries were committed under it.
            key_id: self.keys.get().newest(Purpose::Checkpoint).id(),
            note: None,
        };
        let notes = self.unstored.all();
        let written = put_notes(&mut *t, &notes)
            .and_then(|()| t.put_entries(&rows))
            .and_then(|()| t.put_nodes(nodes))
            .and_then(|()| t.commit(Some(&commitment)));
        match written {
            Ok(()) => {
                self.unstored.forget(&notes);
                Ok((placed, Some(head)))
            }
            Err(e) => Err((placed, e)),
        }
    }

    /// Signs the committed head, guards it, and answers.
    fn answer(&mut self, placed: Vec<Placed>, head: Head, nodes: HashMap<NodeId, Hash>) {
        if self.dies(Point::Committed) {
            return;
        }
        self.step = None;
        for p in &placed {
            self.books.stored(&p.batch.rows);
            for (prepared, (seq, ..)) in p.batch.entries.iter().zip(&p.entries) {
                self.recent.add(prepared.eid, *seq);
            }
        }
        let signed = self.follow_placed(&placed).and_then(|()| {
            let checkpoint = Checkpoint {
                origin: self.origin.clone(),
                size: head.size,
                root: head.root,
            };
            rotation::sign(&self.keyring, &self.keys.get(), &checkpoint)
                .ok_or_else(|| AppendError::Unavailable("a key to sign with is not held".into()))
        });
        let note = match signed {
            Ok(note) => note,
            Err(e) => {
                tracing::error!(component = "sequencer", error = %e, "a commit cannot be signed; nothing is acknowledged");
                self.doubtful = true;
                return refuse_all(placed.into_iter().map(|p| p.batch).collect(), || {
                    AppendError::Unavailable(e.to_string())
                });
            }
        };
        self.unstored.add(head.size, note.clone());
        self.signed = Some(head);
        if self.dies(Point::Signed) {
            return;
        }
        if let Err(e) = self.guard.write(&note) {
            // The entries stand, but nobody may be told before the guard knows: a retry gets the first receipts.
            tracing::error!(component = "sequencer", error = %e, retryable = true, "the guard file cannot be written; nothing is acknowledged");
            return refuse_all(placed.into_iter().map(|p| p.batch).collect(), || {
                AppendError::Unavailable(e.to_string())
            });
        }
        self.guarded.store(head.size, Ordering::Release);
        let commit = Arc::new(CommitProof {
            size: head.size,
            note,
            nodes,
        });
        for Placed { batch, entries } in placed {
            let texts = batch.entries.into_iter().map(|p| p.texts).collect();
            // A client that went away gets its receipts when it asks again.
            batch.reply.answer(Ok(Committed {
                entries,
                texts,
                commit: Arc::clone(&commit),
            }));
        }
    }

    /// Takes note of a change of keys among what was committed.
    fn follow_placed(&mut self, placed: &[Placed]) -> AppendResult<()> {
        let rotated = placed.iter().flat_map(|p| {
            let pairs = p.batch.entries.iter().zip(&p.entries);
            pairs.filter(|(prepared, _)| prepared.kind == KEY_ROTATED)
        });
        let mut history = self.keys.get();
        for (_, (seq, bytes, _)) in rotated {
            let damaged = |e: String| StoreError::Damaged(format!("entry {seq}: {e}"));
            let leaf = Leaf::decode(bytes).map_err(|e| damaged(e.to_string()))?;
            history.follow(&leaf).map_err(|e| damaged(e.to_string()))?;
            self.follow(history.clone());
        }
        Ok(())
    }

    /// Brings the guard up to the committed head, after a commit whose guarding failed.
    pub fn settle(&mut self) -> AppendResult<()> {
        if self.doubtful {
            self.reload().map_err(|e| AppendError::from_store(&e))?;
        }
        let size = self.tail.frontier.size();
        if self.guarded.load(Ordering::Acquire) == size {
            return Ok(());
        }
        let note = self
            .unstored
            .get(size)
            .map_or_else(
                || {
                    self.reader
                        .commitment_at_least(size)
                        .map(|c| c.and_then(|c| c.note))
                },
                |note| Ok(Some(note)),
            )?
            .ok_or_else(|| {
                AppendError::Unavailable("the newest checkpoint is not signed yet".into())
            })?;
        self.guard
            .write(&note)
            .map_err(|e| AppendError::Unavailable(e.to_string()))?;
        self.guarded.store(size, Ordering::Release);
        Ok(())
    }

    /// Reads the ledger's end again after a commit of unknown fate. What does not contain the newest signed head is
    /// another history: it is refused, and nothing is ever signed on it.
    pub fn reload(&mut self) -> Result<(), StoreError> {
        let tail = super::recover::tail(&*self.reader)?;
        let head = Head {
            size: tail.frontier.size(),
            root: tail.frontier.root(),
        };
        if let Some(signed) = self.signed {
            super::recover::contains(&*self.reader, head, signed)?;
        }
        // The commit may have reached the disk after all: its head is signed as it is at a start, or its entries would
        // never have a receipt.
        let history = super::recover::history(&*self.reader, &self.origin)
            .map_err(|e| StoreError::Damaged(e.to_string()))?;
        self.follow(history.clone());
        // A new key that no entry names will not be named any more.
        if let Err(e) = self.keyring.signing().discard() {
            tracing::warn!(component = "sequencer", error = %e, "a key that was never in force is not destroyed");
        }
        let unsigned = super::recover::unsigned(
            &*self.reader,
            &self.keyring,
            &history,
            &self.origin,
            head,
            self.signed,
        )?;
        for (size, note) in unsigned {
            self.unstored.add(size, note);
        }
        self.signed = Some(head);
        self.tail = tail;
        self.cases.clear();
        self.recent = Recent::starting_at(self.tail.frontier.size());
        self.doubtful = false;
        Ok(())
    }
}

fn refuse_all(group: Vec<Batch>, why: impl Fn() -> AppendError) {
    for batch in group {
        batch.reply.answer(Err(why()));
    }
}

fn put_notes(t: &mut dyn Transaction, notes: &[(u64, String)]) -> Result<(), StoreError> {
    notes
        .iter()
        .try_for_each(|(size, note)| t.put_note(*size, note))
}

/// Whether a batch can be placed; what to answer when not.
fn admit(
    t: &mut dyn Transaction,
    batch: &Batch,
    recent: &Recent,
    in_group: &HashMap<Hash, ()>,
    cases: &HashMap<Id16, (u64, Hash)>,
) -> Result<Option<AppendError>, StoreError> {
    let raced = batch
        .entries
        .iter()
        .any(|e| recent.known.contains_key(&e.eid) || in_group.contains_key(&e.eid));
    if raced {
        return Ok(Some(AppendError::Raced));
    }
    if batch.looked_up_at < recent.from {
        let eids: Vec<Hash> = batch.entries.iter().map(|e| e.eid).collect();
        if t.find_identities(&eids)?.iter().any(Option::is_some) {
            return Ok(Some(AppendError::Raced));
        }
    }
    if let Some((case, count)) = &batch.case_must_have {
        // What this very group added to the case is in memory only; its rows are written at the end.
        let has = match cases.get(case) {
            Some((next, _)) => *next,
            None => t.case_tail(case)?.map_or(0, |(case_seq, _)| case_seq + 1),
        };
        if has != *count {
            return Ok(Some(AppendError::CaseMoved));
        }
    }
    for case in &batch.rows.cases {
        if t.put_case(case)? != *case {
            return Ok(Some(AppendError::Raced));
        }
    }
    for (trace, slot) in &batch.rows.traces {
        if t.put_trace_slot(trace, *slot)? != *slot {
            return Ok(Some(AppendError::Raced));
        }
    }
    Ok(None)
}

/// Gives entries their places, one after the other.
struct Place<'a> {
    origin: &'a str,
    tail: &'a mut Tail,
    cases: &'a mut HashMap<Id16, (u64, Hash)>,
    reader: &'a dyn LedgerReader,
    recorded: Timestamp,
    nodes: &'a mut Vec<(NodeId, Hash)>,
    rows: Vec<EntryRow>,
}

impl Place<'_> {
    /// Takes out of `p` what only the rows need: a batch is placed once, whatever becomes of it.
    fn put(
        &mut self,
        t: &mut dyn Transaction,
        p: &mut Prepared,
    ) -> Result<(u64, Vec<u8>, Hash), StoreError> {
        let seq = self.tail.frontier.size();
        let case = p.case.map(|case| self.case_link(t, case)).transpose()?;
        let leaf = Leaf {
            ledger: self.origin.to_owned(),
            seq,
            prev: self.tail.prev,
            kind: p.kind.clone(),
            eid: p.eid,
            case,
            trace: p.trace,
            span: p.span,
            occurred: p.occurred.unwrap_or(self.recorded),
            recorded: self.recorded,
            producer: p.producer,
            content: p.content,
            fact: p.fact.take(),
        };
        let bytes = leaf.encode().into_bytes();
        if bytes.len() > MAX_LEAF {
            // Only the service's own facts could be that long, and it bounds them.
            return Err(StoreError::Damaged(format!(
                "an entry of type {} is too long for a leaf",
                p.kind
            )));
        }
        let hash = Hash::leaf(&bytes);
        if let Some(link) = case {
            self.cases.insert(link.case, (link.seq + 1, hash));
        }
        let nodes = &mut *self.nodes;
        self.tail
            .frontier
            .append(hash, |id, hash| nodes.push((id, hash)));
        self.tail.prev = hash;
        self.tail.recorded = self.recorded;
        self.rows.push(EntryRow {
            seq,
            leaf: bytes.clone(),
            kind: leaf.kind,
            eid: p.eid,
            case: case.map(|c| (c.case, c.seq)),
            trace: p.trace,
            sealed: p.sealed.take(),
            lookups: std::mem::take(&mut p.lookups),
        });
        Ok((seq, bytes, hash))
    }

    fn case_link(&mut self, t: &mut dyn Transaction, case: Id16) -> Result<CaseLink, StoreError> {
        if self.cases.len() > RECENT {
            // Safe to forget only what storage holds already; the rows of this transaction are not there yet.
            let unwritten: Vec<Id16> = self
                .rows
                .iter()
                .filter_map(|r| r.case.map(|c| c.0))
                .collect();
            self.cases.retain(|id, _| unwritten.contains(id));
        }
        let (seq, prev) = match self.cases.get(&case) {
            Some(known) => *known,
            None => match t.case_tail(&case)? {
                Some((case_seq, seq)) => (case_seq + 1, self.reader_hash(seq)?),
                None => (0, Hash::ZERO),
            },
        };
        Ok(CaseLink { case, seq, prev })
    }

    fn reader_hash(&self, seq: u64) -> Result<Hash, StoreError> {
        self.reader
            .nodes(&[NodeId {
                level: 0,
                index: seq,
            }])?
            .pop()
            .ok_or_else(|| StoreError::Damaged("a leaf's node is absent".into()))
    }
}
