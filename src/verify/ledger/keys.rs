//! The history of a ledger's keys: what entry 0 names, and every change on record.

use serde_json::{Map, Value};

use crate::ledger::Leaf;
use crate::ledger::note::{Algorithm, Vkey};

/// A change of the checkpoint key.
#[derive(Debug, Clone)]
struct Change {
    /// Position of its `key.rotated`.
    seq: u64,
    /// The new key.
    key: Vkey,
    /// Whether the checkpoint that ends its commit carries both signatures.
    bridged: bool,
}

/// Which key is in force where.
#[derive(Debug, Clone, Default)]
pub struct KeyHistory {
    first: Option<Vkey>,
    changes: Vec<Change>,
    report: Vec<(u64, Vkey)>,
}

fn vkey(fact: &Map<String, Value>, name: &str) -> Option<Vkey> {
    Vkey::parse(fact.get(name)?.as_str()?)
        .ok()
        .filter(|k| k.algorithm() == Algorithm::Ed25519)
}

impl KeyHistory {
    /// Takes the keys that entry 0 names; false when it names none in the form of format v1.
    pub fn begin(&mut self, leaf: &Leaf) -> bool {
        let Some(fact) = leaf
            .fact
            .as_ref()
            .filter(|f| f.get("spec").and_then(Value::as_u64) == Some(1))
        else {
            return false;
        };
        match (vkey(fact, "checkpoint_key"), vkey(fact, "report_key")) {
            (Some(checkpoint), Some(report)) => {
                self.first = Some(checkpoint);
                self.report.push((0, report));
                true
            }
            _ => false,
        }
    }

    /// Follows a `key.rotated`; says what is wrong with it.
    ///
    /// # Errors
    /// When it names no purpose or keys, or replaces a key that was not in force.
    pub fn rotate(&mut self, leaf: &Leaf) -> Result<(), &'static str> {
        let fact = leaf.fact.as_ref().ok_or("it carries no fact")?;
        let (old, new) = vkey(fact, "old")
            .zip(vkey(fact, "new"))
            .ok_or("it does not name both keys")?;
        match fact.get("purpose").and_then(Value::as_str) {
            Some("checkpoint") => {
                if self.newest() != Some(&old) {
                    return Err("the key that it replaces was not in force");
                }
                self.changes.push(Change {
                    seq: leaf.seq,
                    key: new,
                    bridged: false,
                });
                Ok(())
            }
            Some("report") => {
                if self.report.last().map(|(_, k)| k) != Some(&old) {
                    return Err("the key that it replaces was not in force");
                }
                self.report.push((leaf.seq, new));
                Ok(())
            }
            _ => Err("it does not say which key it replaces"),
        }
    }

    /// The checkpoint key at the end.
    #[must_use]
    pub fn newest(&self) -> Option<&Vkey> {
        self.changes.last().map(|c| &c.key).or(self.first.as_ref())
    }

    /// The keys that must have signed the checkpoint of this size: one, or at the end of a change's commit both.
    #[must_use]
    pub fn for_size(&self, size: u64) -> Vec<&Vkey> {
        let before = self.changes.iter().rfind(|c| c.seq + 1 < size);
        let mut keys: Vec<&Vkey> = before
            .map(|c| &c.key)
            .or(self.first.as_ref())
            .into_iter()
            .collect();
        keys.extend(
            self.changes
                .iter()
                .filter(|c| c.seq + 1 == size)
                .map(|c| &c.key),
        );
        keys
    }

    /// The report key in force before the entry at `seq`.
    #[must_use]
    pub fn report_key(&self, seq: u64) -> Option<&Vkey> {
        let before = self.report.iter().rfind(|(at, _)| *at < seq);
        before.map(|(_, k)| k)
    }

    /// Every checkpoint key that was ever in force.
    pub fn all(&self) -> impl Iterator<Item = &Vkey> {
        self.first.iter().chain(self.changes.iter().map(|c| &c.key))
    }

    /// Notes that the checkpoint of this size carries the signatures of both keys.
    pub fn bridged(&mut self, size: u64) {
        for change in self.changes.iter_mut().filter(|c| c.seq + 1 == size) {
            change.bridged = true;
        }
    }

    /// Whether a pinned key vouches for the newest one: it is the newest, or every change after it is bridged.
    #[must_use]
    pub fn reaches(&self, pinned: &[Vkey]) -> bool {
        for change in self.changes.iter().rev() {
            if pinned.contains(&change.key) {
                return true;
            }
            if !change.bridged {
                return false;
            }
        }
        self.first.as_ref().is_some_and(|k| pinned.contains(k))
    }
}
