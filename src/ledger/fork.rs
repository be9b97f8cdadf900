//! Equivocation: one ledger, two signed checkpoints of one size with different roots.
//!
//! Nobody but the holder of the ledger's key can make such a pair, so it proves by itself, to anybody, that the ledger
//! has shown two histories. It is kept as a small JSON file that holds both notes as they were received:
//! `{"checkpoints":["…","…"],"what":"equivocation"}`.

use serde_json::{Value, json};

use super::checkpoint::Checkpoint;
use super::note::Vkey;
use crate::json;

/// Whether two signed notes are checkpoints of one origin and size, with different roots, and each is signed by one of
/// `keys` (the ledger's own; keys of witnesses do not count here).
#[must_use]
pub fn is_equivocation(a: &str, b: &str, keys: &[Vkey]) -> bool {
    let open = |note: &str| {
        let (checkpoint, parsed) = Checkpoint::parse_unverified(note).ok()?;
        let own: Vec<Vkey> = keys
            .iter()
            .filter(|k| k.name() == checkpoint.origin)
            .cloned()
            .collect();
        (!parsed.good_lines(&own).is_empty()).then_some(checkpoint)
    };
    match (open(a), open(b)) {
        (Some(a), Some(b)) => a.origin == b.origin && a.size == b.size && a.root != b.root,
        _ => false,
    }
}

/// The evidence file of two notes.
#[must_use]
pub fn evidence(a: &str, b: &str) -> String {
    let mut text = json::canonical(&json!({ "checkpoints": [a, b], "what": "equivocation" }));
    text.push('\n');
    text
}

/// The notes of an evidence file, as they were received; `None` when the text is not one.
#[must_use]
pub fn read_evidence(text: &str) -> Option<Vec<String>> {
    let value = json::parse(text.as_bytes(), json::Limits::default()).ok()?;
    if value.get("what") != Some(&json!("equivocation")) {
        return None;
    }
    let notes = value.get("checkpoints")?.as_array()?;
    notes
        .iter()
        .map(|n| n.as_str().map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .filter(|notes| notes.len() == 2 && value.as_object().is_some_and(has_two))
}

fn has_two(object: &serde_json::Map<String, Value>) -> bool {
    object.len() == 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Hash;
    use crate::ledger::note::NoteSigner;
    use ed25519_dalek::SigningKey;

    #[test]
    fn two_roots_of_one_size_are_one_and_nothing_else_is() {
        let signer = |name: &str, seed| {
            NoteSigner::new(name, SigningKey::from_bytes(&[seed; 32]))
                .unwrap_or_else(|| panic!("a key name"))
        };
        let ours = signer("l.example/a", 1);
        let note = |by: &NoteSigner, origin: &str, size, root: &[u8]| {
            Checkpoint {
                origin: origin.into(),
                size,
                root: Hash::leaf(root),
            }
            .sign(by)
        };
        let keys = [ours.vkey().clone()];
        let one = note(&ours, "l.example/a", 5, b"x");
        let two = note(&ours, "l.example/a", 5, b"y");
        assert!(is_equivocation(&one, &two, &keys));
        for other in [
            one.clone(),
            note(&ours, "l.example/a", 6, b"y"),
            note(&ours, "l.example/b", 5, b"y"),
            note(&signer("l.example/a", 2), "l.example/a", 5, b"y"),
        ] {
            assert!(!is_equivocation(&one, &other, &keys), "{other}");
        }
        let file = evidence(&one, &two);
        assert_eq!(read_evidence(&file), Some(vec![one, two]));
        assert_eq!(read_evidence("{}"), None);
    }
}
