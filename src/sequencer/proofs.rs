//! What a ledger gives back: receipts, proofs, checkpoints, content.

use super::{AppendResult, Ledger, decode, recover};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::receipt::Receipt;
use crate::ledger::{Hash, disclosure, tree};
use crate::store::{LedgerReader, StoreError, StoredEntry};

impl Ledger {
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

    pub(super) fn receipt_of(&self, entry: StoredEntry) -> AppendResult<Receipt> {
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
}
