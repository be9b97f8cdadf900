//! Keys over time: which key is in force where, as the ledger's own entries say.
//!
//! Entry 0 names the first keys, each `key.rotated` the next one. Sizes decide, clock time plays no part: a rotation of
//! the checkpoint key at position `n` makes the checkpoint of size `n + 1` its **bridge**, which carries the signatures of
//! both keys; smaller sizes are the old key's, larger ones the new key's.

use serde_json::{Map, Value};

use super::note::{Algorithm, Vkey};
use super::{Leaf, Timestamp};

/// Event type of a ledger's first entry.
pub const LEDGER_CREATED: &str = "ledger.created";
/// Event type of a change of keys.
pub const KEY_ROTATED: &str = "key.rotated";

/// What a key of a ledger is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// It signs checkpoints.
    Checkpoint,
    /// It signs reports.
    Report,
}

impl Purpose {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Checkpoint, Self::Report];

    /// The word in facts, file names and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Report => "report",
        }
    }

    /// The name that such a key of a ledger bears, made from the origin: for reports a key of its own.
    #[must_use]
    pub fn key_name(self, origin: &str) -> String {
        match self {
            Self::Checkpoint => origin.to_owned(),
            Self::Report => format!("{origin}/reports"),
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == text)
    }
}

/// What a `key.rotated` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Position of the entry.
    pub seq: u64,
    /// When the ledger took it.
    pub recorded: Timestamp,
    /// Which key was replaced.
    pub purpose: Purpose,
    /// The key that ends.
    pub old: Vkey,
    /// The key that begins.
    pub new: Vkey,
    /// From when on somebody else may have held the old key.
    pub compromised_since: Option<Timestamp>,
}

impl Rotation {
    /// Reads the fact of a `key.rotated`; `None` when it is not of the prescribed form: `purpose`, `old` and `new` (vkeys
    /// of type 1; the new one bears the name of a key of this purpose), and perhaps `compromised_since`.
    #[must_use]
    pub fn read(leaf: &Leaf) -> Option<Self> {
        let fact = leaf.fact.as_ref().filter(|_| leaf.kind == KEY_ROTATED)?;
        let purpose = Purpose::parse(fact.get("purpose")?.as_str()?)?;
        let compromised_since = match fact.get("compromised_since") {
            None => None,
            Some(time) => Some(Timestamp::parse_canonical(time.as_str()?)?),
        };
        let (old, new) = (vkey(fact, "old")?, vkey(fact, "new")?);
        if new.name() != purpose.key_name(&leaf.ledger) {
            return None;
        }
        Some(Self {
            seq: leaf.seq,
            recorded: leaf.recorded,
            purpose,
            old,
            new,
            compromised_since,
        })
    }

    /// Size of the checkpoint that both keys sign.
    #[must_use]
    pub fn bridge(&self) -> u64 {
        self.seq + 1
    }
}

/// An Ed25519 vkey that a fact names.
fn vkey(fact: &Map<String, Value>, name: &str) -> Option<Vkey> {
    Vkey::parse(fact.get(name)?.as_str()?)
        .ok()
        .filter(|k| k.algorithm() == Algorithm::Ed25519)
}

/// Why the key facts of a ledger do not join up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFactError {
    /// Entry 0 does not name the keys.
    #[error(
        "the ledger's first entry does not name a checkpoint key and a report key of format v1"
    )]
    Genesis,
    /// A rotation is not of its form.
    #[error("entry {0} does not say in the prescribed form which key it replaces by which")]
    Form(u64),
    /// A rotation does not start from the key in force.
    #[error("entry {0} replaces a key that was not in force")]
    NotInForce(u64),
    /// A key that was in force before comes back.
    #[error("entry {0} brings back a key that was in force before")]
    Again(u64),
}

/// One key and where it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpan {
    /// The key.
    pub vkey: Vkey,
    /// 0, or the size of the tree that ends with the rotation that brought it in.
    pub from: u64,
    /// The size of the tree that ends with the rotation that took it away.
    pub to: Option<u64>,
    /// When the ledger took that rotation.
    pub retired: Option<Timestamp>,
    /// From when on somebody else may have held it, as that rotation says.
    pub compromised_since: Option<Timestamp>,
}

/// The keys of a ledger, from its first entry on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHistory {
    checkpoint: Vkey,
    report: Vkey,
    rotations: Vec<Rotation>,
}

impl KeyHistory {
    /// Begins with entry 0.
    ///
    /// # Errors
    /// [`KeyFactError::Genesis`] when its fact lacks `spec` = 1 or a key, or a key bears another name than it must.
    pub fn begin(genesis: &Leaf) -> Result<Self, KeyFactError> {
        let fact = genesis
            .fact
            .as_ref()
            .filter(|f| f.get("spec").and_then(Value::as_u64) == Some(1));
        let key = |name: &str, purpose: Purpose| {
            vkey(fact?, name).filter(|k| k.name() == purpose.key_name(&genesis.ledger))
        };
        let keys =
            key("checkpoint_key", Purpose::Checkpoint).zip(key("report_key", Purpose::Report));
        let (checkpoint, report) = keys.ok_or(KeyFactError::Genesis)?;
        Ok(Self::new(checkpoint, report))
    }

    /// Begins with two keys.
    #[must_use]
    pub fn new(checkpoint: Vkey, report: Vkey) -> Self {
        Self {
            checkpoint,
            report,
            rotations: Vec::new(),
        }
    }

    /// Follows the next `key.rotated`, in ledger order.
    ///
    /// # Errors
    /// When it is not of its form, its `old` is not the key in force, or its `new` was in force before.
    pub fn follow(&mut self, leaf: &Leaf) -> Result<&Rotation, KeyFactError> {
        let rotation = Rotation::read(leaf).ok_or(KeyFactError::Form(leaf.seq))?;
        if rotation.old != *self.newest(rotation.purpose) {
            return Err(KeyFactError::NotInForce(leaf.seq));
        }
        if self
            .spans(rotation.purpose)
            .iter()
            .any(|s| s.vkey == rotation.new)
        {
            return Err(KeyFactError::Again(leaf.seq));
        }
        self.rotations.push(rotation);
        Ok(&self.rotations[self.rotations.len() - 1])
    }

    /// The rotations, in ledger order.
    #[must_use]
    pub fn rotations(&self) -> &[Rotation] {
        &self.rotations
    }

    /// Every key of a purpose that was ever in force, oldest first.
    #[must_use]
    pub fn all(&self, purpose: Purpose) -> Vec<Vkey> {
        self.spans(purpose).into_iter().map(|s| s.vkey).collect()
    }

    /// The key in force at the end.
    #[must_use]
    pub fn newest(&self, purpose: Purpose) -> &Vkey {
        let first = match purpose {
            Purpose::Checkpoint => &self.checkpoint,
            Purpose::Report => &self.report,
        };
        self.of(purpose).last().map_or(first, |r| &r.new)
    }

    fn of(&self, purpose: Purpose) -> impl DoubleEndedIterator<Item = &Rotation> {
        self.rotations.iter().filter(move |r| r.purpose == purpose)
    }

    /// All keys of a purpose, each with where it is in force.
    #[must_use]
    pub fn spans(&self, purpose: Purpose) -> Vec<KeySpan> {
        let first = match purpose {
            Purpose::Checkpoint => &self.checkpoint,
            Purpose::Report => &self.report,
        };
        let span = |vkey: &Vkey, from| KeySpan {
            vkey: vkey.clone(),
            from,
            to: None,
            retired: None,
            compromised_since: None,
        };
        let mut spans = vec![span(first, 0)];
        for rotation in self.of(purpose) {
            if let Some(last) = spans.last_mut() {
                last.to = Some(rotation.bridge());
                last.retired = Some(rotation.recorded);
                last.compromised_since = rotation.compromised_since;
            }
            spans.push(span(&rotation.new, rotation.bridge()));
        }
        spans
    }

    /// What was known when the tree had this size.
    #[must_use]
    pub fn up_to(mut self, size: u64) -> Self {
        self.rotations.retain(|r| r.seq < size);
        self
    }

    /// The keys that sign the checkpoint of a size: one, or two at a bridge, the old one first.
    #[must_use]
    pub fn signers(&self, size: u64) -> Vec<Vkey> {
        let spans = self.spans(Purpose::Checkpoint);
        let signs = |s: &KeySpan| size >= s.from && s.to.is_none_or(|to| size <= to);
        spans.into_iter().filter(signs).map(|s| s.vkey).collect()
    }

    /// The checkpoint key under which an entry was committed: at a bridge the old one.
    #[must_use]
    pub fn checkpoint_key_at(&self, size: u64) -> &Vkey {
        let rotation = self.of(Purpose::Checkpoint).find(|r| size <= r.bridge());
        rotation.map_or_else(|| self.newest(Purpose::Checkpoint), |r| &r.old)
    }

    /// The report key that counts for a `report.issued` at a position: the one in force before it.
    #[must_use]
    pub fn report_key_at(&self, seq: u64) -> &Vkey {
        let rotation = self.of(Purpose::Report).find(|r| seq < r.seq);
        rotation.map_or_else(|| self.newest(Purpose::Report), |r| &r.old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::note::NoteSigner;
    use crate::ledger::{Hash, Id16};
    use ed25519_dalek::SigningKey;
    use serde_json::json;

    fn key(name: &str, seed: u8) -> Vkey {
        NoteSigner::new(name, SigningKey::from_bytes(&[seed; 32]))
            .map(|s| s.vkey().clone())
            .unwrap_or_else(|| panic!("{name} is a key name"))
    }

    fn leaf(seq: u64, kind: &str, fact: Value) -> Leaf {
        Leaf {
            ledger: "l".into(),
            seq,
            prev: Hash::ZERO,
            kind: kind.into(),
            eid: Hash::ZERO,
            case: None,
            trace: None,
            span: None,
            occurred: Timestamp::EPOCH,
            recorded: Timestamp::EPOCH,
            producer: Id16([0; 16]),
            content: None,
            fact: fact.as_object().cloned(),
        }
    }

    fn rotated(seq: u64, purpose: &str, old: &Vkey, new: &Vkey) -> Leaf {
        let fact = json!({"purpose": purpose, "old": old.to_string(), "new": new.to_string()});
        leaf(seq, KEY_ROTATED, fact)
    }

    #[test]
    fn sizes_decide_which_key_counts() -> Result<(), KeyFactError> {
        let (a, b, c) = (key("l", 1), key("l", 2), key("l", 3));
        let (r, s) = (key("l/reports", 4), key("l/reports", 5));
        let genesis =
            json!({"spec": 1, "checkpoint_key": a.to_string(), "report_key": r.to_string()});
        let mut h = KeyHistory::begin(&leaf(0, LEDGER_CREATED, genesis))?;
        h.follow(&rotated(4, "checkpoint", &a, &b))?;
        h.follow(&rotated(5, "checkpoint", &b, &c))?;
        h.follow(&rotated(9, "report", &r, &s))?;
        let names = |size| h.signers(size);
        assert_eq!(names(1), std::slice::from_ref(&a));
        assert_eq!(names(4), std::slice::from_ref(&a));
        assert_eq!(names(5), [a.clone(), b.clone()], "the first bridge");
        assert_eq!(names(6), [b.clone(), c.clone()], "the second, right behind");
        assert_eq!(names(7), std::slice::from_ref(&c));
        let under = |size| h.checkpoint_key_at(size);
        assert_eq!((under(5), under(6), under(7)), (&a, &b, &c));
        assert_eq!((h.report_key_at(8), h.report_key_at(9)), (&r, &s));
        assert_eq!(h.report_key_at(10), &s);
        assert_eq!(h.newest(Purpose::Checkpoint), &c);
        let spans = h.spans(Purpose::Checkpoint);
        let ends: Vec<_> = spans.iter().map(|s| (s.from, s.to)).collect();
        assert_eq!(ends, [(0, Some(5)), (5, Some(6)), (6, None)]);
        Ok(())
    }

    #[test]
    fn facts_that_do_not_join_up_are_refused() -> Result<(), KeyFactError> {
        let (a, b, r) = (key("l", 1), key("l", 2), key("l/reports", 4));
        let genesis =
            json!({"spec": 1, "checkpoint_key": a.to_string(), "report_key": r.to_string()});
        let mut h = KeyHistory::begin(&leaf(0, LEDGER_CREATED, genesis))?;
        let good = rotated(2, "checkpoint", &a, &b);
        let with = |name: &str, value: Value| {
            let mut bad = good.clone();
            if let Some(fact) = &mut bad.fact {
                fact.insert(name.into(), value);
            }
            bad
        };
        for (bad, why) in [
            (with("purpose", json!("dinner")), KeyFactError::Form(2)),
            (with("new", json!("x")), KeyFactError::Form(2)),
            (
                with("new", json!(key("m", 2).to_string())),
                KeyFactError::Form(2),
            ),
            (
                with("compromised_since", json!("2026-01-01T00:00:00Z")),
                KeyFactError::Form(2),
            ),
            (
                with("old", json!(b.to_string())),
                KeyFactError::NotInForce(2),
            ),
            (with("new", json!(a.to_string())), KeyFactError::Again(2)),
            (leaf(2, "x.other", json!({})), KeyFactError::Form(2)),
        ] {
            assert_eq!(h.follow(&bad).err(), Some(why));
        }
        h.follow(&good)?;
        let back = rotated(3, "checkpoint", &b, &a);
        assert_eq!(h.follow(&back).err(), Some(KeyFactError::Again(3)));
        assert!(KeyHistory::begin(&leaf(0, LEDGER_CREATED, json!({"spec": 2}))).is_err());
        let elsewhere = rotated(3, "report", &r, &key("l/report", 5));
        assert_eq!(h.follow(&elsewhere).err(), Some(KeyFactError::Form(3)));
        for (checkpoint, report) in [("m", "l/reports"), ("l", "l/report"), ("l", "l")] {
            let (a, r) = (key(checkpoint, 1), key(report, 4));
            let fact =
                json!({"spec": 1, "checkpoint_key": a.to_string(), "report_key": r.to_string()});
            let begun = KeyHistory::begin(&leaf(0, LEDGER_CREATED, fact));
            assert_eq!(begun.err(), Some(KeyFactError::Genesis));
        }
        Ok(())
    }
}
