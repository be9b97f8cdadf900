//! What outside parties gave: cosignatures and anchors, kept beside the ledger through its one writer, and the
//! checkpoints that they make worth more.

use tokio::sync::oneshot;

use super::writer::Job;
use super::{AppendError, AppendResult, Ledger, recover};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::Vkey;
use crate::ledger::policy::Policy;
use crate::ledger::{Hash, tree};
use crate::store::{Anchored, Cosignature, LedgerReader, StoreError};

/// How many cosigned sizes are looked at for one that satisfies the policy.
const LOOK_AT: usize = 1_000;

/// Something that an outside party gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromOutside {
    /// A witness's cosignature.
    Cosignature(Cosignature),
    /// A checkpoint lies at an anchor.
    Anchored(Anchored),
}

impl Ledger {
    /// Says which witnesses count; for the life of this ledger, the first word stands.
    pub fn set_policy(&self, policy: Policy) {
        // A second policy would let one report be judged by another rule than the one before it.
        let _ = self.policy.set(policy);
    }

    /// Which witnesses count.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.get()
    }

    /// Keeps what an outside party gave. Durable on return.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn keep(&self, given: FromOutside) -> AppendResult<()> {
        let (done, answer) = oneshot::channel();
        self.send(Job::Keep(given, done))?;
        answer.await.map_err(|_| AppendError::Closed)?
    }

    /// As [`Ledger::keep`], for threads that are not part of a runtime.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn keep_blocking(&self, given: FromOutside) -> AppendResult<()> {
        let (done, answer) = oneshot::channel();
        self.send(Job::Keep(given, done))?;
        answer.blocking_recv().map_err(|_| AppendError::Closed)?
    }

    /// A signed checkpoint of this size with the cosignatures that are kept of it.
    ///
    /// # Errors
    /// When storage fails.
    pub fn with_cosignatures(&self, size: u64, mut note: String) -> Result<String, StoreError> {
        for cosignature in self.store.cosignatures(size)? {
            note.push_str(&cosignature.line);
        }
        Ok(note)
    }

    /// The newest cosigned checkpoint of more than `covered` entries, if there is one: with a policy, the newest whose
    /// cosignatures satisfy it.
    ///
    /// # Errors
    /// When storage fails.
    pub fn cosigned_checkpoint(
        &self,
        covered: u64,
    ) -> Result<Option<(Checkpoint, String)>, StoreError> {
        for size in self.store.cosigned_sizes(covered, LOOK_AT)? {
            // What the guard does not know yet is not shown.
            if size > self.size() {
                continue;
            }
            let commit = self.store.commitment_at_least(size)?;
            let Some(commit) = commit.filter(|c| c.size == size) else {
                continue;
            };
            let checkpoint = Checkpoint {
                origin: self.origin.clone(),
                size,
                root: commit.root,
            };
            let note = self.with_cosignatures(size, self.note(commit)?)?;
            if self.satisfies(&note) {
                return Ok(Some((checkpoint, note)));
            }
        }
        Ok(None)
    }

    fn satisfies(&self, note: &str) -> bool {
        let Some(policy) = self.policy() else {
            return true;
        };
        let keys = policy.witness_keys();
        let Ok((_, parsed)) = Checkpoint::parse_unverified(note) else {
            return false;
        };
        let good = parsed.good_lines(&keys);
        let good: Vec<&Vkey> = good.iter().map(|(k, _)| k).collect();
        policy.satisfied(&good)
    }

    /// The checkpoint that evidence about the first `covered + 1` entries best leads to: the newest that outside parties
    /// vouch for, else the newest.
    ///
    /// # Errors
    /// When storage fails.
    pub fn evidence_checkpoint(&self, covered: u64) -> Result<(Checkpoint, String), StoreError> {
        match self.cosigned_checkpoint(covered)? {
            Some(found) => Ok(found),
            None => self.checkpoint(),
        }
    }

    /// The root of the first `size` entries, from stored nodes.
    ///
    /// # Errors
    /// When storage fails or lacks a node.
    pub fn root_at(&self, size: u64) -> Result<Hash, StoreError> {
        let nodes = recover::fetch(self.reader(), |w| tree::root(w, size))?;
        tree::root(&nodes, size)
            .map_err(|id| StoreError::Damaged(format!("a node is absent: {id:?}")))
    }
}
