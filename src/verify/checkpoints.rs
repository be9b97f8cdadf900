//! Comparing checkpoints that different people hold: has the ledger shown all of them one history?

use serde::Serialize;

use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::{Algorithm, Vkey};
use crate::ledger::proof::{consistency_roots, verify_consistency};
use crate::ledger::{Hash, fork};

/// What two checkpoints say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// The same tree.
    Same,
    /// The smaller tree is the beginning of the larger one.
    Consistent,
    /// Of one size with different roots, both signed with the ledger's key: the ledger has shown two histories.
    Equivocation,
    /// The larger tree, as the source shows it, does not begin with the smaller one.
    Inconsistent,
    /// Nothing was at hand to join the two sizes.
    NotCompared,
    /// The source gave something that does not belong to the signed checkpoints: nothing is proven by it.
    BadSource,
}

/// A checkpoint that was opened with pinned keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What it is called in answers (a file's name).
    pub name: String,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The signed note, verbatim.
    pub note: String,
}

/// The outcome for a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The one with the smaller size.
    pub first: String,
    /// The other one.
    pub second: String,
    /// Sizes of both.
    pub sizes: (u64, u64),
    /// What they say together.
    pub agreement: Agreement,
    /// Why, in plain words.
    pub reason: String,
}

/// Opens a checkpoint: one of the pinned keys of the ledger that it names must have signed it. A witness's key alone is
/// not enough: only the ledger's own signature can accuse the ledger.
///
/// # Errors
/// Why it cannot be used, in words.
pub fn open(name: &str, note: &str, keys: &[Vkey]) -> Result<Opened, String> {
    let (checkpoint, parsed) =
        Checkpoint::parse_unverified(note).map_err(|e| format!("{name}: {e}"))?;
    let own: Vec<Vkey> = keys
        .iter()
        .filter(|k| k.algorithm() == Algorithm::Ed25519 && k.name() == checkpoint.origin)
        .cloned()
        .collect();
    if own.is_empty() {
        return Err(format!(
            "{name}: it is a checkpoint of the ledger `{}`, and none of the pinned keys is that ledger's",
            checkpoint.origin
        ));
    }
    parsed.verify(&own).map_err(|e| format!("{name}: {e}"))?;
    Ok(Opened {
        name: name.to_owned(),
        checkpoint,
        note: note.to_owned(),
    })
}

/// What a source gives to join two sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// A consistency proof (RFC 6962).
    pub path: Vec<Hash>,
    /// The root of the last complete subtree of the smaller tree, when the source knows it from the larger one. Proofs
    /// from a power of two leave it out; with it, such a proof can show an inconsistency as well.
    pub seed: Option<Hash>,
}

/// Compares two checkpoints of one ledger. `source` joins two sizes, `None` when there is none.
///
/// # Errors
/// What `source` says.
pub fn compare<E>(
    a: &Opened,
    b: &Opened,
    keys: &[Vkey],
    source: impl FnOnce(u64, u64) -> Result<Option<Joined>, E>,
) -> Result<Pair, E> {
    let (first, second) = if a.checkpoint.size <= b.checkpoint.size {
        (a, b)
    } else {
        (b, a)
    };
    let (old, new) = (&first.checkpoint, &second.checkpoint);
    let (agreement, reason) = if old.origin != new.origin {
        let reason = format!(
            "One is of the ledger {}, the other of {}: there is nothing to compare.",
            old.origin, new.origin
        );
        (Agreement::NotCompared, reason)
    } else if old.size == new.size {
        same_size(first, second, keys)
    } else if old.size == 0 {
        (
            Agreement::Consistent,
            "Every ledger begins empty, so the first one says nothing that could be contradicted."
                .to_owned(),
        )
    } else {
        match source(old.size, new.size)? {
            None => (
                Agreement::NotCompared,
                "They are of different sizes, and nothing was given to join them: name a source of proofs (--url, --data-dir or --proof).".to_owned(),
            ),
            Some(joined) => by_source(old, new, &joined),
        }
    };
    Ok(Pair {
        first: first.name.clone(),
        second: second.name.clone(),
        sizes: (old.size, new.size),
        agreement,
        reason,
    })
}

fn same_size(a: &Opened, b: &Opened, keys: &[Vkey]) -> (Agreement, String) {
    let size = a.checkpoint.size;
    if a.checkpoint.root == b.checkpoint.root {
        return (
            Agreement::Same,
            format!("Both are of the same {size} entries, with the same root."),
        );
    }
    if fork::is_equivocation(&a.note, &b.note, keys) {
        let reason = format!(
            "Both are of {size} entries and signed with the ledger's own key, yet their roots differ: the ledger showed one \
             history to one of you and another to the other. Nobody without its key could have made this pair."
        );
        return (Agreement::Equivocation, reason);
    }
    (
        Agreement::NotCompared,
        "Their roots differ, but not both are signed with a pinned key of the ledger.".into(),
    )
}

fn by_source(old: &Checkpoint, new: &Checkpoint, joined: &Joined) -> (Agreement, String) {
    if verify_consistency(old.size, new.size, &joined.path, &old.root, &new.root).is_ok() {
        let reason = format!(
            "The {} entries of the smaller one are proven to be the beginning of the {} entries of the larger one: one history.",
            old.size, new.size
        );
        return (Agreement::Consistent, reason);
    }
    let (seed, rest) = match (old.size.is_power_of_two(), joined.path.split_first()) {
        (true, _) => (joined.seed.as_ref(), &joined.path[..]),
        (false, Some((seed, rest))) => (Some(seed), rest),
        (false, None) => (None, &joined.path[..]),
    };
    let led = seed.and_then(|seed| consistency_roots(old.size, new.size, seed, rest).ok());
    match led {
        // Bound to the signed larger root, the hashes say which root its first entries have: another than was signed.
        Some((_, at_new)) if at_new == new.root => {
            let reason = format!(
                "The larger checkpoint signs a tree whose first {} entries have another root than the smaller checkpoint signs, \
                 both with the ledger's own key: the past was rewritten, or each of you was shown another history.",
                old.size
            );
            (Agreement::Inconsistent, reason)
        }
        _ => (
            Agreement::BadSource,
            "The source gave no proof that belongs to these checkpoints. A source of another history would give such a one, and a broken \
             source as well, so this alone proves nothing: ask for a proof elsewhere, and the operator for an explanation."
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::note::NoteSigner;
    use crate::ledger::tree::{self, Frontier, NodeId};
    use ed25519_dalek::SigningKey;
    use std::collections::HashMap;
    use std::convert::Infallible;

    struct History(HashMap<NodeId, Hash>);

    impl History {
        fn new(size: u64, mark: u8, from: u64) -> Self {
            let mut nodes = HashMap::new();
            let mut frontier = Frontier::new();
            for i in 0..size {
                let leaf = Hash::leaf(&[if i < from { 0 } else { mark }, i.to_le_bytes()[0]]);
                frontier.append(leaf, |id, hash| {
                    nodes.insert(id, hash);
                });
            }
            Self(nodes)
        }

        fn note(&self, size: u64, by: &NoteSigner) -> String {
            Checkpoint {
                origin: by.vkey().name().to_owned(),
                size,
                root: tree::root(&self.0, size).unwrap_or(Hash::ZERO),
            }
            .sign(by)
        }

        fn join(&self, old: u64, new: u64) -> Joined {
            Joined {
                path: tree::consistency(&self.0, old, new).unwrap_or_default(),
                seed: old
                    .is_power_of_two()
                    .then(|| tree::root(&self.0, old).unwrap_or(Hash::ZERO)),
            }
        }
    }

    #[test]
    fn two_histories_are_told_from_one_by_whoever_shows_them() {
        let signer = NoteSigner::new("l.example/a", SigningKey::from_bytes(&[1; 32]))
            .unwrap_or_else(|| panic!("a key name"));
        let keys = [signer.vkey().clone()];
        let (one, two) = (History::new(30, 1, 5), History::new(30, 2, 5));
        let agreement = |a: &str, b: &str, joined: Option<Joined>| {
            let (a, b) = (open("a", a, &keys), open("b", b, &keys));
            let (Ok(a), Ok(b)) = (a, b) else {
                panic!("both open")
            };
            let pair = compare(&a, &b, &keys, |_, _| Ok::<_, Infallible>(joined));
            let Ok(pair) = pair;
            pair.agreement
        };
        for size in 1..30 {
            let want = if size <= 5 {
                Agreement::Same
            } else {
                Agreement::Equivocation
            };
            assert_eq!(
                agreement(&one.note(size, &signer), &two.note(size, &signer), None),
                want
            );
            let (small, large) = (one.note(size, &signer), two.note(30, &signer));
            let want = if size <= 5 {
                Agreement::Consistent
            } else {
                Agreement::Inconsistent
            };
            assert_eq!(
                agreement(&small, &large, Some(two.join(size, 30))),
                want,
                "{size}"
            );
            assert_eq!(agreement(&large, &small, None), Agreement::NotCompared);
            // The tree of the smaller one's history does not belong to the larger checkpoint: it proves nothing.
            if size > 5 {
                let joined = one.join(size, 30);
                assert_eq!(
                    agreement(&small, &large, Some(joined)),
                    Agreement::BadSource,
                    "{size}"
                );
            }
        }
        let foreign = NoteSigner::new("l.example/a", SigningKey::from_bytes(&[2; 32]))
            .unwrap_or_else(|| panic!("a key name"));
        assert!(open("c", &one.note(3, &foreign), &keys).is_err());
        assert!(open("c", "nothing", &keys).is_err());
    }
}
