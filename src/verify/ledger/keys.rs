//! The history of a ledger's keys as a stream meets it: the ledger's own facts, and which changes are bridged.

use std::collections::BTreeSet;

use crate::ledger::Leaf;
use crate::ledger::keys::{self, Purpose};
use crate::ledger::note::Vkey;

/// Which key is in force where.
#[derive(Debug, Clone, Default)]
pub struct KeyHistory {
    facts: Option<keys::KeyHistory>,
    /// Sizes of checkpoints that carry the signatures of both the old and the new key.
    bridged: BTreeSet<u64>,
}

impl KeyHistory {
    /// Takes the keys that entry 0 names; false when it names none in the form of format v1.
    pub fn begin(&mut self, leaf: &Leaf) -> bool {
        self.facts = keys::KeyHistory::begin(leaf).ok();
        self.facts.is_some()
    }

    /// Follows a `key.rotated`; says what is wrong with it.
    ///
    /// # Errors
    /// When it names no purpose or keys, replaces a key that was not in force, or brings one back.
    pub fn rotate(&mut self, leaf: &Leaf) -> Result<(), String> {
        let facts = self
            .facts
            .as_mut()
            .ok_or("the ledger names no keys before it")?;
        facts.follow(leaf).map(|_| ()).map_err(|e| e.to_string())
    }

    /// What the ledger's own entries say; `None` when entry 0 names no keys.
    #[must_use]
    pub fn facts(&self) -> Option<&keys::KeyHistory> {
        self.facts.as_ref()
    }

    /// The checkpoint key at the end.
    #[must_use]
    pub fn newest(&self) -> Option<&Vkey> {
        self.facts.as_ref().map(|f| f.newest(Purpose::Checkpoint))
    }

    /// The keys that must have signed the checkpoint of this size: one, or at a bridge both, the old one first.
    #[must_use]
    pub fn for_size(&self, size: u64) -> Vec<Vkey> {
        self.facts
            .as_ref()
            .map_or_else(Vec::new, |f| f.signers(size))
    }

    /// The report key in force before the entry at `seq`.
    #[must_use]
    pub fn report_key(&self, seq: u64) -> Option<&Vkey> {
        self.facts.as_ref().map(|f| f.report_key_at(seq))
    }

    /// Every checkpoint key that was ever in force.
    #[must_use]
    pub fn all(&self) -> Vec<Vkey> {
        self.facts
            .as_ref()
            .map_or_else(Vec::new, |f| f.all(Purpose::Checkpoint))
    }

    /// Notes that the checkpoint of this size carries the signatures of both keys.
    pub fn bridged(&mut self, size: u64) {
        self.bridged.insert(size);
    }

    /// Whether a pinned key vouches for the newest one: it is the newest, or every change after it is bridged.
    #[must_use]
    pub fn reaches(&self, pinned: &[Vkey]) -> bool {
        let Some(facts) = &self.facts else {
            return false;
        };
        for span in facts.spans(Purpose::Checkpoint).iter().rev() {
            if pinned.contains(&span.vkey) {
                return true;
            }
            if !self.bridged.contains(&span.from) {
                return false;
            }
        }
        false
    }
}
