//! What a ledger gives back: receipts, proofs, checkpoints, content.

use super::{AppendError, AppendResult, Ledger, decode, recover};
use crate::keyring::OpenContentError;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::receipt::Receipt;
use crate::ledger::tree::NodeId;
use crate::ledger::{Hash, disclosure, tree};
use crate::store::archive::ArchiveReader;
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

    /// The receipt of an entry in the checkpoint of a later commit, which must be of exactly `size` entries.
    ///
    /// # Errors
    /// When storage fails. `None` when there is no such entry below `size`, or no commit of this size.
    pub fn receipt_at(&self, seq: u64, size: u64) -> AppendResult<Option<Receipt>> {
        if seq >= size {
            return Ok(None);
        }
        let (Some(commit), Some(entry)) = (self.commit_of(size)?, self.entry(seq)?) else {
            return Ok(None);
        };
        self.receipt_in(entry, commit).map(Some)
    }

    pub(super) fn receipt_of(&self, entry: StoredEntry) -> AppendResult<Receipt> {
        let seq = entry.seq;
        let commit = self
            .store
            .commitment_at_least(seq + 1)?
            .ok_or_else(|| StoreError::Damaged(format!("no commitment covers entry {seq}")))?;
        self.receipt_in(entry, commit)
    }

    fn receipt_in(&self, entry: StoredEntry, commit: Commitment) -> AppendResult<Receipt> {
        let path = self.inclusion(entry.seq, commit.size)?;
        let checkpoint = self.note(commit)?;
        Ok(Receipt {
            leaf: entry.leaf,
            index: entry.seq,
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

    /// The root of the first `size` entries.
    ///
    /// # Errors
    /// When storage fails or lacks a node.
    pub fn root(&self, size: u64) -> Result<Hash, StoreError> {
        let nodes = recover::fetch(self.reader(), |w| tree::root(w, size))?;
        tree::root(&nodes, size)
            .map_err(|id| StoreError::Damaged(format!("a node is absent: {id:?}")))
    }

    /// The hash of an entry's leaf, as it stands in the tree.
    ///
    /// # Errors
    /// When storage fails or lacks the node.
    pub fn leaf_hash(&self, seq: u64) -> Result<Hash, StoreError> {
        let id = NodeId {
            level: 0,
            index: seq,
        };
        let found = self.store.nodes(&[id])?.pop();
        found.ok_or_else(|| StoreError::Damaged(format!("a node is absent: {id:?}")))
    }

    /// The signed checkpoint of the commit that led to exactly this size.
    ///
    /// # Errors
    /// When storage fails. `None` when no commit that the guard knows led to it.
    pub fn checkpoint_of(&self, size: u64) -> Result<Option<String>, StoreError> {
        self.commit_of(size)?.map(|c| self.note(c)).transpose()
    }

    /// The sizes of the commits before and after a size that no commit led to.
    ///
    /// # Errors
    /// When storage fails.
    pub fn nearest_commits(&self, size: u64) -> Result<(Option<u64>, Option<u64>), StoreError> {
        let guarded = self.size();
        let before = self.store.commitment_at_most(size.min(guarded))?;
        let after = self.store.commitment_at_least(size)?;
        Ok((
            before.map(|c| c.size),
            after.map(|c| c.size).filter(|s| *s <= guarded),
        ))
    }

    fn commit_of(&self, size: u64) -> Result<Option<Commitment>, StoreError> {
        if size > self.size() {
            return Ok(None);
        }
        let found = self.store.commitment_at_least(size)?;
        Ok(found.filter(|c| c.size == size))
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

    /// The signed checkpoints of the commits of sizes from `from` to `to`, both included, in order.
    ///
    /// # Errors
    /// When storage fails or lacks one.
    pub fn checkpoints(&self, from: u64, to: u64) -> Result<Vec<(u64, String)>, StoreError> {
        let mut found = Vec::new();
        let mut next = from;
        while next <= to {
            let page = self.store.commitments(next, 1_000)?;
            let Some(last) = page.last() else { break };
            next = last.size + 1;
            for commit in page.into_iter().filter(|c| c.size <= to) {
                found.push((commit.size, self.note(commit)?));
            }
        }
        Ok(found)
    }

    /// Whether a query finds an entry below a position.
    ///
    /// # Errors
    /// When storage fails.
    pub fn has_entry(&self, query: &EntryQuery, below: u64) -> Result<bool, StoreError> {
        let query = EntryQuery {
            below,
            limit: 1,
            ..query.clone()
        };
        Ok(!self.store.entries(&query)?.is_empty())
    }

    /// Reading what a copy of the ledger needs beside its entries.
    #[must_use]
    pub fn archive(&self) -> &dyn ArchiveReader {
        &*self.store
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
