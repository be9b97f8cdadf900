//! What the auditor brought along: checkpoints kept outside, and entries that receipts and reports prove.

use std::collections::BTreeMap;

use super::keys::KeyHistory;
use super::outcome::{LedgerCode, LedgerLog, Word};
use crate::ledger::Hash;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::{Algorithm, Note, NoteError, Vkey};
use crate::verify::keys::OutsideWord;

/// A checkpoint from outside.
#[derive(Debug, Clone)]
pub struct OutsideCheckpoint {
    /// The signed note.
    pub note: String,
    /// What it is, in words for people: a file's name, `the checkpoint of the receipt r.tlog-proof`.
    pub name: String,
    /// Whether it was kept by somebody else than the operator, so that agreeing with it counts as fresh. The operator's
    /// own guard file was not.
    pub independent: bool,
}

impl OutsideCheckpoint {
    fn unusable(&self, why: &str, log: &mut LedgerLog) {
        if self.independent {
            return unusable(&self.name, why, log);
        }
        let text = format!(
            "{} does not vouch for this ledger: {why}. It can no longer tell whether an older copy of the database was put in place.",
            self.name
        );
        log.add(LedgerCode::GuardUnusable, None, None, &self.name, text);
    }
}

/// An entry that a receipt or report proves to stand in the ledger.
#[derive(Debug, Clone)]
pub struct OutsideEntry {
    /// Its position.
    pub seq: u64,
    /// Its leaf hash.
    pub hash: Hash,
    /// What proves it, in words for people.
    pub name: String,
}

/// All of it, by the size or position at which it is compared.
#[derive(Debug, Default)]
pub(super) struct Outside {
    checkpoints: BTreeMap<u64, Vec<(OutsideCheckpoint, Hash)>>,
    entries: BTreeMap<u64, Vec<OutsideEntry>>,
    /// The best word so far.
    pub word: Option<Word>,
    /// All words.
    pub words: Vec<OutsideWord>,
    pub contradicted: bool,
}

impl Outside {
    pub fn new(
        origin: &str,
        checkpoints: Vec<OutsideCheckpoint>,
        entries: Vec<OutsideEntry>,
        log: &mut LedgerLog,
    ) -> Self {
        let mut out = Self::default();
        for c in checkpoints {
            let read = Checkpoint::parse_unverified(&c.note).map(|(read, _)| read);
            match read {
                Ok(read) if read.origin == origin => {
                    let here = out.checkpoints.entry(read.size).or_default();
                    here.push((c, read.root));
                }
                Ok(read) => unusable(
                    &c.name,
                    &format!("it is of the ledger `{}`, not of `{origin}`", read.origin),
                    log,
                ),
                Err(e) => unusable(&c.name, &e.to_string(), log),
            }
        }
        for e in entries {
            out.entries.entry(e.seq).or_default().push(e);
        }
        out
    }

    /// Whether anything is to be compared at this size.
    pub fn wants_root(&self, size: u64) -> bool {
        self.checkpoints.contains_key(&size)
    }

    /// The roots that outside checkpoints state for this size, unverified.
    pub fn roots(&self, size: u64) -> impl Iterator<Item = &Hash> {
        let here = self.checkpoints.get(&size).into_iter().flatten();
        here.map(|(_, root)| root)
    }

    /// Compares checkpoints of this size with the tree; gives the name of one that agrees.
    pub fn compare(
        &mut self,
        size: u64,
        root: &Hash,
        pinned: &[Vkey],
        history: &KeyHistory,
        log: &mut LedgerLog,
    ) -> Option<String> {
        let mut agrees = None;
        for (c, theirs) in self.checkpoints.remove(&size).unwrap_or_default() {
            let at = match signed(&c.note, pinned, history) {
                Ok(at) => at,
                Err(e) => {
                    c.unusable(&e.to_string(), log);
                    continue;
                }
            };
            if theirs != *root {
                self.contradicted |= c.independent;
                let text = format!(
                    "{}: its {size} entries are another history than the first {size} entries of this ledger, and it is signed. \
                     The ledger was rewritten after that checkpoint was given out, or shows different people different things. \
                     Keep that checkpoint and a copy of this ledger: together they are the proof.",
                    c.name
                );
                let code = if c.independent {
                    LedgerCode::OutsideContradiction
                } else {
                    LedgerCode::GuardFork
                };
                log.add(
                    code,
                    Some(size.saturating_sub(1)),
                    None,
                    format!("checkpoint of {size} entries"),
                    text,
                );
                continue;
            }
            if let Some((by, at)) = at {
                self.say(by, size, Some(at));
            } else if c.independent {
                self.say(c.name.clone(), size, None);
            }
            agrees = Some(c.name);
        }
        agrees
    }

    /// Notes a word; a witness's counts more than a checkpoint that the auditor kept, a later one more than an earlier.
    pub fn say(&mut self, by: String, size: u64, at: Option<u64>) {
        self.words.push(OutsideWord { size, time: at });
        let better = self
            .word
            .as_ref()
            .is_none_or(|w| (at.is_some(), size, at) > (w.at.is_some(), w.size, w.at));
        if better {
            self.word = Some(Word {
                by,
                size,
                at,
                age: None,
            });
        }
    }

    /// Compares the entry at this position with what receipts and reports prove.
    pub fn compare_entry(&mut self, seq: u64, hash: &Hash, log: &mut LedgerLog) {
        for e in self.entries.remove(&seq).unwrap_or_default() {
            if e.hash != *hash {
                let text = format!(
                    "{} proves another entry at position {seq} than the one that stands in this ledger. \
                     Entries were changed, moved or replaced after the proof was given out.",
                    e.name
                );
                log.entry(LedgerCode::OutsideEntry, seq, None, text);
            }
        }
    }

    /// What is left when the ledger has ended: proof that it was longer. Entries below `from` were not read.
    pub fn finish(
        &mut self,
        from: u64,
        size: u64,
        pinned: &[Vkey],
        history: &KeyHistory,
        log: &mut LedgerLog,
    ) {
        for (theirs, all) in std::mem::take(&mut self.checkpoints) {
            for (c, _) in all {
                if theirs < from {
                    let text = format!(
                        "its {theirs} entries lie below the checkpoint of {from} entries that the check began with, and were not read"
                    );
                    c.unusable(&text, log);
                    continue;
                }
                if let Err(e) = signed(&c.note, pinned, history) {
                    c.unusable(&e.to_string(), log);
                    continue;
                }
                self.contradicted |= c.independent;
                let text = format!(
                    "{}: it is a signed checkpoint of {theirs} entries, and this ledger has only {size}. \
                     What came after was cut off, or an older copy was put in place of the ledger.",
                    c.name
                );
                let code = if c.independent {
                    LedgerCode::OutsideTruncated
                } else {
                    LedgerCode::GuardAhead
                };
                log.add(
                    code,
                    Some(size),
                    None,
                    format!("checkpoint of {theirs} entries"),
                    text,
                );
            }
        }
        for e in std::mem::take(&mut self.entries).into_values().flatten() {
            if e.seq < from {
                unusable(
                    &e.name,
                    "its entry lies below the checkpoint that the check began with, and was not read",
                    log,
                );
                continue;
            }
            if e.seq < size {
                let text = format!(
                    "{} proves an entry at position {}, and the entry at that place is absent or cannot be read: what was proven is no longer on record.",
                    e.name, e.seq
                );
                log.entry(LedgerCode::OutsideEntry, e.seq, None, text);
                continue;
            }
            let text = format!(
                "{} proves an entry at position {}, and this ledger has only {size} entries: entries were cut off.",
                e.name, e.seq
            );
            log.entry(LedgerCode::OutsideTruncated, e.seq, None, text);
        }
    }

    /// What is left when a part of a ledger has ended: what cannot be compared with the part.
    pub fn finish_part(
        &mut self,
        size: u64,
        pinned: &[Vkey],
        history: &KeyHistory,
        log: &mut LedgerLog,
    ) {
        for (theirs, all) in std::mem::take(&mut self.checkpoints) {
            for (c, _) in all {
                let why = match signed(&c.note, pinned, history) {
                    Ok(_) => format!(
                        "it is of {theirs} entries, and the part is proven to a checkpoint of {size}; a part can be compared with a checkpoint of the same size alone"
                    ),
                    Err(e) => e.to_string(),
                };
                c.unusable(&why, log);
            }
        }
        for e in std::mem::take(&mut self.entries).into_values().flatten() {
            unusable(&e.name, "its entry is not in the part", log);
        }
    }
}

fn unusable(name: &str, why: &str, log: &mut LedgerLog) {
    let text = format!("{name} says nothing about this ledger: {why}.");
    log.add(LedgerCode::OutsideUnusable, None, None, name, text);
}

/// Whether the ledger's key that is in force at a note's size signed it, or a pinned key that the ledger's own entries do
/// not name (a witness's; the ledger's own, when these entries are not its own); and when a witness did.
pub(super) fn signed(
    note: &str,
    pinned: &[Vkey],
    history: &KeyHistory,
) -> Result<Option<(String, u64)>, NoteError> {
    let size = Checkpoint::parse_unverified(note).map_or(0, |(c, _)| c.size);
    let note = Note::parse(note)?;
    // A key signs only the sizes at which it is in force: one that was replaced may be in anybody's hands by now.
    let mut keys = history.for_size(size);
    let known = history.all();
    keys.extend(pinned.iter().filter(|k| !known.contains(k)).cloned());
    let good = note.verify(&keys)?;
    let witnesses = good
        .into_iter()
        .filter(|k| k.algorithm() == Algorithm::CosignatureV1);
    let latest = witnesses
        .filter_map(|k| Some((note.cosigned_at(k)?, k.name().to_owned())))
        .max();
    Ok(latest.map(|(at, name)| (format!("the witness {name}"), at)))
}
