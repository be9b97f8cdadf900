//! What a ledger gives back: receipts, proofs, checkpoints, content.

use super::{AppendError, AppendResult, Ledger, decode, recover};
use crate::keyring::OpenContentError;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::receipt::Receipt;
use crate::ledger::tree::NodeId;
use crate::ledger::{Hash, disclosure, tree};
use crate::store::{Commitment, EntryQuery, LedgerReader, StoreError, StoredEntry};

impl Ledger {
    /// The entry at a position, checked against the tree: what is handed out is what was committed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], naming the entry, when its leaf is not the one in the tree.
    pub fn entry(&self, seq: u64) -> Result<Option<StoredEntry>, StoreError> {
        let Some(entry) = self.store.entry(seq)? else {
            return Ok(None);
        };
        self.check_leaves(std::slice::from_ref(&entry))?;
        Ok(Some(entry))
    }

    /// The entries that a query asks for, each checked against the tree.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn entries(&self, query: &EntryQuery) -> Result<Vec<StoredEntry>, StoreError> {
        let entries = self.store.entries(query)?;
        self.check_leaves(&entries)?;
        Ok(entries)
    }

    fn check_leaves(&self, entries: &[StoredEntry]) -> Result<(), StoreError> {
        let leaf = |e: &StoredEntry| NodeId {
            level: 0,
            index: e.seq,
        };
        let ids: Vec<NodeId> = entries.iter().map(leaf).collect();
        for (entry, node) in entries.iter().zip(self.store.nodes(&ids)?) {
            if Hash::leaf(&entry.leaf) != node {
                return Err(StoreError::Damaged(format!(
                    "entry {} is not what was committed: its leaf was changed",
                    entry.seq
                )));
            }
        }
        Ok(())
    }

    /// What an entry disclosed (base64url); `None` when it has no content any more.
    ///
    /// # Errors
    /// When storage or keyring fail, or the content was altered.
    pub fn disclosures(&self, entry: &StoredEntry) -> AppendResult<Option<Vec<String>>> {
        let Some((slot, blob)) = &entry.sealed else {
            return Ok(None);
        };
        let opened = self.keyring.open_content(&decode(entry)?, slot.0, blob);
        let sealed = opened.map_err(|e| match e {
            OpenContentError::Seal(e) => {
                AppendError::from(StoreError::Damaged(format!("entry {}: {e}", entry.seq)))
            }
            OpenContentError::Keyring(e) => e.into(),
        })?;
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
        self.entry(seq)?.map(|e| self.receipt_of(e)).transpose()
    }

    pub(super) fn receipt_of(&self, entry: StoredEntry) -> AppendResult<Receipt> {
        let seq = entry.seq;
        let commit = self
            .store
            .commitment_at_least(seq + 1)?
            .ok_or_else(|| StoreError::Damaged(format!("no commitment covers entry {seq}")))?;
        let path = self.inclusion(seq, commit.size)?;
        let checkpoint = self.note(commit)?;
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
        let note = self.note(commit)?;
        Ok((checkpoint, note))
    }

    /// The signed checkpoint of a commit: as the writer signed it. Nothing is signed here.
    pub(super) fn note(&self, commit: Commitment) -> Result<String, StoreError> {
        if let Some(note) = commit.note.or_else(|| self.notes.get(commit.size)) {
            return Ok(note);
        }
        // It may have been stored between the two looks.
        let again = self.store.commitment_at_least(commit.size)?;
        again
            .filter(|c| c.size == commit.size)
            .and_then(|c| c.note)
            .ok_or_else(|| {
                StoreError::Damaged(format!(
                    "the signed checkpoint of size {} is absent",
                    commit.size
                ))
            })
    }
}
