//! Keys over time, for whoever verifies: from pinned keys over bridges to later ones, and what a stolen key leaves
//! unproven.
//!
//! A bridge is the checkpoint that ends with a `key.rotated` of the checkpoint key; the old and the new key both sign it.
//! Whoever trusts the old key at that size trusts the new one from there on, and the old one no further. Sizes decide,
//! clock time plays no part.

use super::format::Bridge;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::keys::{KeyHistory, Purpose, Rotation};
use crate::ledger::note::{Algorithm, Note, Vkey};
use crate::ledger::proof::{verify_consistency, verify_inclusion};
use crate::ledger::{Hash, Leaf, Timestamp};

/// A key that is trusted, and for which sizes of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub vkey: Vkey,
    /// The smallest size that it signs.
    pub from: u64,
    /// The largest size that it signs: its bridge.
    pub until: Option<u64>,
    /// Whether it was pinned, not found over a bridge.
    pub pinned: bool,
}

impl TrustedKey {
    fn signs(&self, size: u64) -> bool {
        self.from <= size && self.until.is_none_or(|until| size <= until)
    }
}

/// A bridge that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossed {
    /// What its entry says.
    pub rotation: Rotation,
    /// Leaf hash of that entry.
    pub leaf: Hash,
    /// Root of the tree that ends with it.
    pub root: Hash,
    /// Where it joins the tree that it is meant for.
    pub consistency: Vec<Hash>,
    /// The earliest word of a pinned witness on it, in seconds since 1970.
    pub witnessed: Option<u64>,
}

impl Crossed {
    /// Whether the bridge's tree is the beginning of this one.
    #[must_use]
    pub fn joins(&self, head: &Checkpoint) -> bool {
        let size = self.rotation.bridge();
        verify_consistency(size, head.size, &self.consistency, &self.root, &head.root).is_ok()
    }
}

/// Why a bridge is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// Its checkpoint is none of this ledger.
    #[error("its checkpoint is not a checkpoint of this ledger")]
    Checkpoint,
    /// Its entry is no rotation of the checkpoint key at the place.
    #[error(
        "its entry does not replace the checkpoint key in the last place of the checkpoint's tree"
    )]
    Leaf,
    /// One of the two signatures is absent or wrong.
    #[error("its checkpoint is not signed by both the old and the new key")]
    Signatures,
    /// Its entry does not stand in the tree.
    #[error("its entry is not proven to stand in the checkpoint's tree")]
    Inclusion,
    /// Another bridge of the same size says something else.
    #[error(
        "another bridge of the same size is of another history: the ledger was rewritten, or a key was stolen"
    )]
    Forked,
    /// The old key had been replaced already.
    #[error("its old key was replaced before, by the entry that ends the tree of {0} entries")]
    Retired(u64),
}

/// The checkpoint keys of a ledger that a verifier trusts.
#[derive(Debug, Clone)]
pub struct TrustedKeys {
    origin: String,
    keys: Vec<TrustedKey>,
    crossed: Vec<Crossed>,
}

impl TrustedKeys {
    /// The pinned Ed25519 keys that bear the ledger's name. Keys of witnesses never stand in for the ledger's own.
    #[must_use]
    pub fn pinned(origin: &str, keys: &[Vkey]) -> Self {
        let own = keys
            .iter()
            .filter(|k| k.algorithm() == Algorithm::Ed25519 && k.name() == origin);
        let pinned = |vkey: &Vkey| TrustedKey {
            vkey: vkey.clone(),
            from: 0,
            until: None,
            pinned: true,
        };
        Self {
            origin: origin.to_owned(),
            keys: own.map(pinned).collect(),
            crossed: Vec::new(),
        }
    }

    /// The ledger's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Every trusted key, each with the sizes that it signs.
    #[must_use]
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// The bridges that hold, in the order in which they were crossed.
    #[must_use]
    pub fn crossed(&self) -> &[Crossed] {
        &self.crossed
    }

    /// The trusted keys that sign a checkpoint of this size.
    #[must_use]
    pub fn at(&self, size: u64) -> Vec<Vkey> {
        let signs = self.keys.iter().filter(|k| k.signs(size));
        signs.map(|k| k.vkey.clone()).collect()
    }

    /// The size up to which a key signs, when that is smaller than this one.
    #[must_use]
    pub fn retired(&self, vkey: &Vkey, size: u64) -> Option<u64> {
        let key = self.keys.iter().find(|k| k.vkey == *vkey)?;
        key.until.filter(|until| *until < size)
    }

    /// From when on somebody else may have held a key: by the auditor's word, by a crossed bridge's, or because the only way
    /// to it leads over a bridge that a stolen key signed, with no earlier word of a witness on it.
    #[must_use]
    pub fn stolen_since(&self, vkey: &Vkey, told: &[Compromise]) -> Option<Timestamp> {
        let mut found: Option<Timestamp> = None;
        // From the key back to where it was trusted from; a key comes into force only once.
        let mut at = Some(vkey.clone());
        for _ in 0..=self.crossed.len() {
            let Some(key) = at.take() else { break };
            let arrived = self.crossed.iter().find(|c| c.rotation.new == key);
            let left = self.crossed.iter().find(|c| c.rotation.old == key);
            let said = left.and_then(|c| c.rotation.compromised_since);
            let mine = since(told, &key, said);
            // Behind the key itself, a bridge that a witness saw before the theft is sound.
            let bridge = left.filter(|_| key != *vkey).and_then(|c| c.witnessed);
            let saved = mine.is_some_and(|t| bridge.is_some_and(|s| is_before(s, t)));
            found = [found, mine.filter(|_| !saved)].into_iter().flatten().min();
            let pinned = self.keys.iter().any(|k| k.pinned && k.vkey == key);
            at = arrived.filter(|_| !pinned).map(|c| c.rotation.old.clone());
        }
        found
    }

    /// Crosses a bridge: checks all that it shows by itself, and trusts the new key from its size on when the old one is
    /// trusted there. Where neither key is trusted, a bridge that holds changes nothing. What it does not show by itself
    /// is [`Crossed::joins`].
    ///
    /// # Errors
    /// See [`BridgeError`].
    pub fn cross(&mut self, bridge: &Bridge, witnesses: &[Vkey]) -> Result<(), BridgeError> {
        let (head, note) = Checkpoint::parse_unverified(&bridge.checkpoint)
            .ok()
            .filter(|(head, _)| head.origin == self.origin)
            .ok_or(BridgeError::Checkpoint)?;
        let rotation = Leaf::decode(bridge.leaf.as_bytes())
            .ok()
            .filter(|leaf| leaf.ledger == self.origin)
            .and_then(|leaf| Rotation::read(&leaf))
            .filter(|r| r.purpose == Purpose::Checkpoint && r.bridge() == head.size)
            .filter(|r| r.old.name() == self.origin && r.old != r.new)
            .ok_or(BridgeError::Leaf)?;
        let both = [rotation.old.clone(), rotation.new.clone()];
        if !note
            .verify(&both)
            .is_ok_and(|good| good.len() == both.len())
        {
            return Err(BridgeError::Signatures);
        }
        let leaf = Hash::leaf(bridge.leaf.as_bytes());
        verify_inclusion(&leaf, rotation.seq, head.size, &bridge.path, &head.root)
            .map_err(|_| BridgeError::Inclusion)?;
        let same = |c: &&Crossed| c.rotation.seq == rotation.seq;
        let known = self.crossed.iter().find(same);
        if known.is_some_and(|k| (k.leaf, k.root) != (leaf, head.root)) {
            return Err(BridgeError::Forked);
        }
        if let Some(until) = self.retired(&rotation.old, head.size) {
            return Err(BridgeError::Retired(until));
        }
        let old = self.keys.iter_mut().find(|k| k.vkey == rotation.old);
        let trusted = old.is_some_and(|old| {
            old.until = Some(head.size);
            old.from <= head.size
        });
        match self.keys.iter_mut().find(|k| k.vkey == rotation.new) {
            Some(new) => new.from = new.from.max(head.size),
            None if trusted => self.keys.push(TrustedKey {
                vkey: rotation.new.clone(),
                from: head.size,
                until: None,
                pinned: false,
            }),
            None => {}
        }
        self.crossed.push(Crossed {
            witnessed: cosigned(&note, witnesses),
            rotation,
            leaf,
            root: head.root,
            consistency: bridge.consistency.clone(),
        });
        Ok(())
    }
}

/// The earliest time at which a pinned witness signed, in seconds since 1970. Signatures that do not verify count for
/// nothing here.
#[must_use]
pub fn cosigned(note: &Note<'_>, witnesses: &[Vkey]) -> Option<u64> {
    let witnesses = witnesses
        .iter()
        .filter(|k| k.algorithm() == Algorithm::CosignatureV1);
    witnesses
        .filter_map(|k| {
            let good = note.verify(std::slice::from_ref(k)).ok()?;
            note.cosigned_at(good.first()?)
        })
        .min()
}

/// The auditor's word that somebody else may have held a key from a time on: for a history from which whoever holds the
/// key has left the ledger's own word out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compromise {
    /// The key.
    pub key: Vkey,
    /// From when on.
    pub since: Timestamp,
}

/// Word from outside on when entries were there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutsideWord {
    /// Every entry below this position was there.
    pub size: u64,
    /// When, in seconds since 1970, by a pinned witness; `None` for a checkpoint that the verifier vouches for having had
    /// before.
    pub time: Option<u64>,
}

/// Whether a witness's time, in seconds since 1970, lies before another.
#[must_use]
pub fn is_before(seconds: u64, time: Timestamp) -> bool {
    i64::try_from(seconds)
        .ok()
        .and_then(|s| s.checked_mul(1_000_000))
        .is_some_and(|micros| micros < time.micros())
}

/// How many entries are known from outside to have been there before a time.
fn covered(words: &[OutsideWord], since: Timestamp) -> u64 {
    let before = |w: &&OutsideWord| w.time.is_none_or(|seconds| is_before(seconds, since));
    let sizes = words.iter().filter(before).map(|w| w.size);
    sizes.max().unwrap_or(0)
}

/// Entries that a stolen checkpoint key leaves unproven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unprovable {
    /// The key.
    pub key: Vkey,
    /// From when on somebody else may have held it.
    pub since: Timestamp,
    /// The first position.
    pub first: u64,
    /// The position after the last; `None` when there is no end.
    pub end: Option<u64>,
}

impl Unprovable {
    /// Whether an entry is among them.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        self.first <= seq && self.end.is_none_or(|end| seq < end)
    }
}

fn since(told: &[Compromise], key: &Vkey, said: Option<Timestamp>) -> Option<Timestamp> {
    let told = told.iter().filter(|c| c.key == *key).map(|c| c.since);
    told.chain(said).min()
}

/// What stolen checkpoint keys leave unproven, given the ledger's key facts and the auditor's word.
///
/// An entry that was committed under a stolen key is good when word from outside, older than the theft, covers it. Entries
/// after the bridge are good under the next key, if the bridge itself is covered or the next key is pinned: the thief can
/// make a bridge to a key of his own. Else they are unproven as far as the next pinned key.
#[must_use]
pub fn unprovable(
    keys: &KeyHistory,
    told: &[Compromise],
    words: &[OutsideWord],
    pinned: &[Vkey],
) -> Vec<Unprovable> {
    let spans = keys.spans(Purpose::Checkpoint);
    let mut out = Vec::new();
    for (i, span) in spans.iter().enumerate() {
        let Some(since) = since(told, &span.vkey, span.compromised_since) else {
            continue;
        };
        let covered = covered(words, since);
        if span.to.is_some_and(|to| covered >= to) {
            continue;
        }
        let mut later = spans[i + 1..].iter();
        out.push(Unprovable {
            key: span.vkey.clone(),
            since,
            first: covered.max(span.from),
            end: later.find(|s| pinned.contains(&s.vkey)).map(|s| s.from),
        });
    }
    out
}

/// From when on the key of a report may have been held by somebody else, when no word from outside says that the report's
/// own entry was there before.
#[must_use]
pub fn report_unprovable(
    keys: &KeyHistory,
    told: &[Compromise],
    words: &[OutsideWord],
    issued: u64,
) -> Option<Timestamp> {
    let key = keys.report_key_at(issued);
    let spans = keys.spans(Purpose::Report);
    let said = spans.iter().find(|s| s.vkey == *key)?.compromised_since;
    let since = since(told, key, said)?;
    (covered(words, since) <= issued).then_some(since)
}
