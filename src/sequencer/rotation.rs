//! Changing a signing key.
//!
//! The order makes every crash harmless: the new key's file is durable → the entry `key.rotated`, which ends its commit →
//! the checkpoint of that size signed by both keys, the bridge → guard → the new key signs → the bridge and all that was
//! committed before it are stored → the old key is destroyed. Until then the old key is kept, because it signs the bridge
//! and what was committed before; a start goes on where the order was cut.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use ed25519_dalek::SigningKey;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::prepare::{NewRows, prepare_own};
use super::writer::{Batch, Job, Waiting, Writer};
use super::{AppendError, AppendResult, Ledger, recover};
use crate::keyring::Keyring;
use crate::ledger::Timestamp;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::keys::{KEY_ROTATED, KeyHistory, Purpose, Rotation};
use crate::ledger::note::Vkey;
use crate::store::StoreError;

/// Why a key is replaced: one of these words, because a fact is public and is never erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It was time.
    Scheduled,
    /// Whoever may reach the key has changed.
    CustodyChanged,
    /// Somebody else may hold it.
    Suspected,
    /// Somebody else holds it.
    Compromised,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Scheduled,
        Self::CustodyChanged,
        Self::Suspected,
        Self::Compromised,
    ];

    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::CustodyChanged => "custody_changed",
            Self::Suspected => "suspected",
            Self::Compromised => "compromised",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.name() == text)
    }
}

/// A change of keys that is asked for.
pub struct Rotate {
    /// Which key.
    pub purpose: Purpose,
    /// The key that is to take over, instead of a fresh one.
    pub given: Option<SigningKey>,
    /// From when on somebody else may have held the old key.
    pub compromised_since: Option<Timestamp>,
    /// Why; without it `compromised` when a time is given, else `scheduled`.
    pub reason: Option<Reason>,
}

impl std::fmt::Debug for Rotate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rotate({})", self.purpose.name())
    }
}

/// A change of keys that is recorded.
#[derive(Debug, Clone)]
pub struct Rotated {
    /// What the entry says.
    pub rotation: Rotation,
    /// The signed checkpoint that ends with the entry; signed by both keys when the checkpoint key changed.
    pub checkpoint: String,
    /// Whether the old key is destroyed already; else the service keeps trying.
    pub destroyed: bool,
}

/// The ledger's key facts, shared by its writer and its readers.
#[derive(Debug, Clone)]
pub(super) struct Keys(Arc<RwLock<KeyHistory>>);

impl Keys {
    pub fn new(history: KeyHistory) -> Self {
        Self(Arc::new(RwLock::new(history)))
    }

    pub fn get(&self) -> KeyHistory {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn set(&self, history: KeyHistory) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = history;
    }
}

/// The checkpoint of a size, signed by the keys that sign it; `None` when one of them is not held any more.
pub(super) fn sign(
    keyring: &Keyring,
    keys: &KeyHistory,
    checkpoint: &Checkpoint,
) -> Option<String> {
    let signers = keys.signers(checkpoint.size);
    let held: Option<Vec<_>> = signers
        .iter()
        .map(|k| keyring.signing().signer(k))
        .collect();
    Some(checkpoint.sign_all(held?.iter().map(Arc::as_ref)))
}

/// Where a test lets the service die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// The new key's file is there, and nothing else.
    KeyMade,
    /// The entry is committed.
    Committed,
    /// The bridge is signed.
    Signed,
    /// The bridge is guarded.
    Guarded,
    /// The bridge is stored; the old key is next to be destroyed.
    Stored,
}

impl Writer {
    /// Whether the service dies here.
    pub(super) fn dies(&mut self, _at: Point) -> bool {
        #[cfg(test)]
        {
            self.dead |= self.die_at == Some(_at);
            self.dead
        }
        #[cfg(not(test))]
        false
    }

    /// Replaces a key, alone in its commit.
    pub(super) fn rotate(
        &mut self,
        job: Rotate,
        reply: oneshot::Sender<AppendResult<Rotated>>,
    ) -> bool {
        let outcome = self.try_rotate(job);
        if let Err(e) = &outcome {
            tracing::error!(component = "sequencer", error = %e, "a key was not replaced");
        }
        // Whoever asked may be gone; the entry tells.
        reply.send(outcome).is_ok()
    }

    fn try_rotate(&mut self, job: Rotate) -> AppendResult<Rotated> {
        self.settle()?;
        self.flush();
        if !self.retire()? {
            return Err(AppendError::Unavailable(
                "an earlier change of keys is not finished yet".into(),
            ));
        }
        let before = self.keys.get();
        let old = before.newest(job.purpose).clone();
        let given = job.given.map(|g| g.to_bytes());
        if let Some(bytes) = &given {
            let public = SigningKey::from_bytes(bytes).verifying_key();
            let spans = Purpose::ALL.into_iter().flat_map(|p| before.spans(p));
            if spans.into_iter().any(|s| *s.vkey.key() == public) {
                return Err(AppendError::Key(
                    "the given key was in use in this ledger before; give a fresh one".into(),
                ));
            }
        }
        let given = given.as_ref().map(SigningKey::from_bytes);
        let signing = self.keyring.signing();
        let new = signing.prepare(job.purpose, &self.origin, given)?;
        if self.dies(Point::KeyMade) {
            return Err(AppendError::Closed);
        }
        let reason = job.reason.unwrap_or(match job.compromised_since {
            Some(_) => Reason::Compromised,
            None => Reason::Scheduled,
        });
        let mut fact = Map::from_iter([
            ("purpose".to_owned(), json!(job.purpose.name())),
            ("old".to_owned(), json!(old.to_string())),
            ("new".to_owned(), json!(new.to_string())),
            ("reason".to_owned(), json!(reason.name())),
        ]);
        if let Some(since) = job.compromised_since {
            fact.insert("compromised_since".to_owned(), json!(since.to_string()));
        }
        let committed = self.commit_rotation(fact);
        if self.dies(Point::Signed) {
            return Err(AppendError::Closed);
        }
        if self.doubtful {
            // Its fate decides what becomes of the new key; until it is known, both keys stay.
            self.reload().map_err(|e| AppendError::from_store(&e))?;
        }
        if self.keys.get().newest(job.purpose) != &new {
            self.keyring.signing().discard()?;
            return Err(committed.err().unwrap_or(AppendError::Closed));
        }
        let note = committed.or_else(|_| {
            self.settle()?;
            let size = self.tail.frontier.size();
            self.unstored
                .get(size)
                .ok_or_else(|| AppendError::Unavailable("the new key is in force".into()))
        })?;
        if self.dies(Point::Guarded) {
            return Err(AppendError::Closed);
        }
        self.flush();
        if self.dies(Point::Stored) {
            return Err(AppendError::Closed);
        }
        let destroyed = self.retire().unwrap_or_else(|e| {
            tracing::error!(component = "sequencer", error = %e, retryable = true, "a replaced key is not destroyed yet");
            false
        });
        let now = self.keys.get();
        let rotation = now.rotations().iter().rfind(|r| r.new == new).cloned();
        Ok(Rotated {
            rotation: rotation.ok_or(AppendError::Closed)?,
            checkpoint: note,
            destroyed,
        })
    }

    /// Commits the entry, and gives the checkpoint of its commit.
    fn commit_rotation(&mut self, fact: Map<String, Value>) -> AppendResult<String> {
        let entry = prepare_own(
            &self.keyring,
            &self.origin,
            self.service,
            KEY_ROTATED,
            fact,
            None,
            None,
        )?;
        let (reply, mut answer) = oneshot::channel();
        self.commit(vec![Batch {
            entries: vec![entry],
            rows: NewRows::default(),
            looked_up_at: self.tail.frontier.size(),
            case_must_have: None,
            report: None,
            signed_by: None,
            reply: Waiting::One(reply),
        }]);
        let done = answer.try_recv().map_err(|_| AppendError::Closed)??;
        Ok(done.commit.note.clone())
    }

    /// Puts the keys in force that the ledger's entries name.
    pub(super) fn follow(&mut self, history: KeyHistory) {
        for purpose in Purpose::ALL {
            self.keyring.signing().adopt(history.newest(purpose));
        }
        self.unretired |= !history.rotations().is_empty();
        self.keys.set(history);
    }

    /// Destroys keys that were replaced, once nothing is left for them to sign: the bridge, and every commit before it, is
    /// signed, stored and guarded. Whether all is done.
    pub(super) fn retire(&mut self) -> AppendResult<bool> {
        if !self.unretired {
            return Ok(true);
        }
        let guarded = self.guarded.load(Ordering::Acquire);
        let unsigned = self.reader.unsigned_commitments(1)?;
        let unsigned = unsigned.first().map_or(u64::MAX, |c| c.size);
        let keys = self.keys.get();
        for purpose in Purpose::ALL {
            for span in keys.spans(purpose) {
                let Some(bridge) = span.to else { continue };
                let needed = purpose == Purpose::Checkpoint
                    && unsigned <= bridge
                    && self.keyring.signing().signer(&span.vkey).is_some();
                if guarded < bridge || needed {
                    return Ok(false);
                }
                self.keyring.signing().destroy(purpose, &span.vkey)?;
            }
        }
        self.unretired = false;
        Ok(true)
    }
}

impl Ledger {
    /// Replaces a signing key by a new one, and records it: `key.rotated`, then a checkpoint signed by both keys, then
    /// the old key is destroyed.
    ///
    /// # Errors
    /// See [`AppendError`]. After [`AppendError::Unavailable`] the key may have been replaced: [`Ledger::keys`] tells.
    pub async fn rotate(&self, job: Rotate) -> AppendResult<Rotated> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Rotate(Box::new(job), reply))?;
        answer.await.map_err(|_| AppendError::Closed)?
    }

    /// The ledger's keys, as far as the guard vouches for the entries that name them.
    #[must_use]
    pub fn keys(&self) -> KeyHistory {
        self.keys.get().up_to(self.size())
    }

    /// The signed checkpoint that ends with a rotation of the checkpoint key, with both signatures.
    ///
    /// # Errors
    /// When storage fails or lacks it.
    pub fn bridge(&self, rotation: &Rotation) -> Result<String, StoreError> {
        let size = rotation.bridge();
        let commit = self
            .reader()
            .commitment_at_least(size)?
            .filter(|c| c.size == size)
            .ok_or_else(|| StoreError::Damaged(format!("there is no commitment of size {size}")))?;
        self.note(commit)
    }
}

/// The keys of a ledger that need not be open: read from its entries.
///
/// # Errors
/// When the database cannot be read, or its key facts do not join up.
pub fn read_keys(paths: &super::LedgerPaths, origin: &str) -> Result<KeyHistory, super::OpenError> {
    let store = crate::store::sqlite::SqliteStore::open(&paths.database(), false)?;
    recover::history(&store, origin)
}

/// Whether a key was replaced, for whoever signed with it.
pub(super) fn in_force(keys: &Keys, report_key: &Vkey) -> bool {
    keys.get().newest(Purpose::Report) == report_key
}
