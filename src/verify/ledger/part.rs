//! A part of a ledger, each entry with its proof to one signed checkpoint: a range, or the entries of one case.

use super::keys::KeyHistory;
use super::outcome::{LedgerCode, LedgerLog, PartRead};
use super::outside::Outside;
use super::stream;
use super::stream::{Covered, Pins, Read, Sink, Streamed, reading};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::keys::LEDGER_CREATED;
use crate::ledger::note::{Algorithm, Note, NoteError, Vkey};
use crate::ledger::proof::verify_inclusion;
use crate::ledger::{Hash, Id16, Leaf, Timestamp};
use crate::verify::keys::{Compromise, is_before};
use crate::verify::service::is_service;

/// Which entries a part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartScope {
    /// Every position, both ends included, as far as the ledger went.
    Range {
        /// First position.
        first: u64,
        /// Last position.
        last: u64,
    },
    /// Those of one case, from its first on.
    Case(Id16),
}

/// The entry before, as far as what comes next depends on it.
struct Before {
    seq: u64,
    hash: Hash,
    recorded: Timestamp,
}

/// Checks the entries of a part, in the order of the ledger.
pub struct PartChecker {
    origin: String,
    pinned: Vec<Vkey>,
    scope: PartScope,
    checkpoint: Checkpoint,
    confirmed: bool,
    before: Option<Before>,
    /// Next position of a range.
    next: u64,
    read: u64,
    keys: KeyHistory,
    outside: Outside,
    log: LedgerLog,
}

impl PartChecker {
    /// Begins with the checkpoint that everything is proven to: `checkpoint` as `note` states it, unverified.
    #[must_use]
    pub fn new(pins: Pins, scope: PartScope, checkpoint: Checkpoint, note: &Note<'_>) -> Self {
        let mut log = LedgerLog::default();
        let mut outside = Outside::new(&pins.origin, pins.checkpoints, pins.entries, &mut log);
        let signers = signed(&checkpoint, note, &pins.keys, &mut outside, &mut log);
        let keys = KeyHistory::default();
        if outside.wants_root(checkpoint.size) {
            outside.compare(
                checkpoint.size,
                &checkpoint.root,
                &pins.keys,
                &keys,
                &mut log,
            );
        }
        stolen(
            checkpoint.size,
            &signers,
            &pins.compromised,
            &outside,
            &mut log,
        );
        let next = match scope {
            PartScope::Range { first, .. } => first,
            PartScope::Case(_) => 0,
        };
        Self {
            origin: pins.origin,
            pinned: pins.keys,
            scope,
            checkpoint,
            confirmed: !signers.is_empty(),
            before: None,
            next,
            read: 0,
            keys,
            outside,
            log,
        }
    }

    /// Where further checks note what they find.
    pub fn log(&mut self) -> &mut LedgerLog {
        &mut self.log
    }

    /// Takes the next entry with its proof; `None` for a proof that cannot be read.
    pub fn entry(&mut self, read: Read, path: Option<&[Hash]>, sink: &mut impl Sink) {
        let nth = self.read;
        self.read += 1;
        let leaf = match read.leaf {
            Ok(leaf) => leaf,
            Err(e) => {
                let (code, why) = reading(&e);
                let text = format!(
                    "The entry at place {nth} of the part (from 0) cannot be read: {e}. {why}"
                );
                self.log
                    .add(code, None, None, format!("place {nth} of the part"), text);
                // It takes a position; that the position is empty would be told twice.
                self.next = self.next.saturating_add(1);
                return;
            }
        };
        let case = leaf.case.map(|c| c.case);
        self.place(&leaf);
        let proven = path.is_some_and(|path| {
            let Checkpoint { size, root, .. } = &self.checkpoint;
            verify_inclusion(&read.hash, leaf.seq, *size, path, root).is_ok()
        });
        if !proven {
            let text = format!(
                "Nothing proves that entry {} stands under the signed checkpoint of {} entries: the entry or its proof was changed, or it is of another history.",
                leaf.seq, self.checkpoint.size
            );
            self.log
                .entry(LedgerCode::LeafInclusion, leaf.seq, case, text);
        }
        self.links(&leaf);
        self.genesis(&leaf);
        self.outside
            .compare_entry(leaf.seq, &read.hash, &mut self.log);
        sink.entry(leaf.seq, &read.hash, &leaf);
        self.before = Some(Before {
            seq: leaf.seq,
            hash: read.hash,
            recorded: leaf.recorded,
        });
    }

    /// Whether an entry belongs to the part, and stands where it must.
    fn place(&mut self, leaf: &Leaf) {
        let case = leaf.case.map(|c| c.case);
        let seq = leaf.seq;
        if leaf.ledger != self.origin {
            let text = format!(
                "Entry {seq} says that it is of the ledger `{}`, not of `{}`.",
                leaf.ledger, self.origin
            );
            self.log.entry(LedgerCode::LeafOrigin, seq, case, text);
        }
        if leaf.fact.is_some() && !is_service(&leaf.kind) {
            let text = format!(
                "Entry {seq} of type `{}` carries a `fact`, which only the service's own entries may.",
                leaf.kind
            );
            self.log.entry(LedgerCode::LeafFact, seq, case, text);
        }
        if let Some(before) = self.before.as_ref().filter(|b| b.seq >= seq) {
            let text = format!(
                "Entry {seq} stands after entry {} in the part: entries were moved or doubled.",
                before.seq
            );
            self.log.entry(LedgerCode::LeafSeq, seq, case, text);
        }
        let outside = match self.scope {
            PartScope::Range { first, last } => {
                (!(first..=last).contains(&seq)).then(|| format!("the range {first} to {last}"))
            }
            PartScope::Case(wanted) => {
                (case != Some(wanted)).then(|| format!("the case {}", wanted.to_hex()))
            }
        };
        if let Some(scope) = outside {
            let text = format!("Entry {seq} does not belong to {scope}, of which this is a part.");
            return self.log.entry(LedgerCode::PartScope, seq, case, text);
        }
        if let PartScope::Range { .. } = self.scope {
            self.reach(seq);
            self.next = self.next.max(seq.saturating_add(1));
        }
    }

    /// Notes the positions of a range that are not there before `seq`.
    fn reach(&mut self, seq: u64) {
        if self.next >= seq {
            return;
        }
        let text = if self.next + 1 == seq {
            format!("Entry {} is not in the part.", self.next)
        } else {
            format!(
                "The entries {} to {} are not in the part.",
                self.next,
                seq - 1
            )
        };
        let text = format!("{text} A range holds every position: they were left out.");
        self.log
            .entry(LedgerCode::EntryAbsent, self.next, None, text);
    }

    fn links(&mut self, leaf: &Leaf) {
        let (seq, case) = (leaf.seq, leaf.case.map(|c| c.case));
        let neighbour = self.before.as_ref().filter(|b| b.seq + 1 == seq);
        let text = match neighbour {
            _ if seq == 0 && leaf.prev != Hash::ZERO => Some(
                "Entry 0 claims an entry before it: it is not the first of its ledger.".to_owned(),
            ),
            Some(before) if before.hash != leaf.prev => Some(format!(
                "Entry {seq} does not link to entry {} as it stands here: one of the two was changed or put in place of another.",
                before.seq
            )),
            _ => None,
        };
        if let Some(text) = text {
            self.log.entry(LedgerCode::LeafPrev, seq, case, text);
        }
        if let Some(before) = self.before.as_ref().filter(|b| b.recorded > leaf.recorded) {
            let text = format!(
                "Entry {seq} says that it was recorded at {}, and entry {} before it at {}: the ledger's time never goes backwards.",
                leaf.recorded, before.seq, before.recorded
            );
            self.log.entry(LedgerCode::LeafRecorded, seq, case, text);
        }
    }

    fn genesis(&mut self, leaf: &Leaf) {
        match (leaf.seq, leaf.kind.as_str()) {
            (0, LEDGER_CREATED) if !self.keys.begin(leaf) => {
                let text = "Entry 0 does not name a checkpoint key and a report key of format v1.";
                self.log.entry(LedgerCode::GenesisForm, 0, None, text);
            }
            (0, LEDGER_CREATED) => {}
            (0, kind) => {
                let text = format!("Entry 0 is of type `{kind}`, not the creation of a ledger.");
                self.log.entry(LedgerCode::GenesisAbsent, 0, None, text);
            }
            (seq, LEDGER_CREATED) => {
                let text = format!("Entry {seq} is a second creation of the ledger.");
                self.log.entry(LedgerCode::GenesisAbsent, seq, None, text);
            }
            _ => {}
        }
    }

    /// Ends the part; `broke_off` when the source gave no more although there should be.
    #[must_use]
    pub fn finish(mut self, broke_off: bool) -> Streamed {
        if let PartScope::Range { last, .. } = self.scope
            && !broke_off
        {
            let end = last.saturating_add(1).min(self.checkpoint.size);
            self.reach(end);
        }
        if !broke_off {
            let size = self.checkpoint.size;
            self.outside
                .finish_part(size, &self.pinned, &self.keys, &mut self.log);
        }
        let scope = match self.scope {
            PartScope::Range { first, last } => PartRead::Range { first, last },
            PartScope::Case(case) => PartRead::Case {
                case: case.to_hex(),
            },
        };
        Streamed {
            origin: self.origin,
            from: 0,
            size: self.checkpoint.size,
            read: self.read,
            covered: Covered::Part {
                scope,
                ended: !broke_off,
            },
            root: self.checkpoint.root,
            keys: self.keys,
            confirmed: Vec::new(),
            checkpoints: u64::from(self.confirmed),
            word: self.outside.word,
            contradicted: self.outside.contradicted,
            log: self.log,
        }
    }
}

/// Notes that nothing but keys which somebody else may have held vouches for the checkpoint, and so for the whole part: the
/// rule of a receipt, and a checkpoint that the auditor kept counts as well.
fn stolen(
    size: u64,
    signers: &[Vkey],
    compromised: &[Compromise],
    outside: &Outside,
    log: &mut LedgerLog,
) {
    // At a bridge two keys sign; one that nobody stole is enough.
    let times: Option<Vec<Timestamp>> = signers
        .iter()
        .map(|k| compromised.iter().find(|c| c.key == *k).map(|c| c.since))
        .collect();
    let Some(since) = times.and_then(|t| t.into_iter().max()) else {
        return;
    };
    let mut words = outside.words.iter().filter(|w| w.size == size);
    if words.any(|w| w.time.is_none_or(|t| is_before(t, since))) {
        return;
    }
    let text = format!(
        "Somebody else may have held the key that signed the checkpoint of {size} entries since {since}, and nobody outside says that its entries were there before: \
         the thief could have written this part. A cosignature or a checkpoint of this size from before that time would prove it."
    );
    log.add(LedgerCode::KeyCompromised, None, None, "checkpoint", text);
}

/// The pinned keys of the ledger that signed the checkpoint; a part carries no history of keys that would say more.
fn signed(
    checkpoint: &Checkpoint,
    note: &Note<'_>,
    pinned: &[Vkey],
    outside: &mut Outside,
    log: &mut LedgerLog,
) -> Vec<Vkey> {
    let size = checkpoint.size;
    let place = format!("checkpoint of {size} entries");
    let good = match note.verify(pinned) {
        Ok(good) => good,
        Err(NoteError::Unknown) => Vec::new(),
        Err(e) => {
            let text = format!(
                "{e}: the checkpoint of {size} entries was changed after it was signed, or is forged."
            );
            log.add(LedgerCode::CheckpointSignature, None, None, place, text);
            return Vec::new();
        }
    };
    let own = |k: &&Vkey| k.algorithm() == Algorithm::Ed25519 && k.name() == checkpoint.origin;
    let signers: Vec<Vkey> = good.iter().copied().filter(own).cloned().collect();
    if signers.is_empty() {
        let text = format!(
            "The checkpoint of {size} entries does not bear the signature of a pinned key of the ledger. If the ledger has changed its key, pin the new one: a part does not carry the history of the keys."
        );
        log.add(LedgerCode::CheckpointKey, None, None, place, text);
        return signers;
    }
    stream::witnessed(checkpoint, note, &good, outside);
    signers
}

impl std::fmt::Debug for PartChecker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartChecker({:?} of {})", self.scope, self.origin)
    }
}
