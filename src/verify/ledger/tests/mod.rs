//! Streams made by hand, each with one thing wrong.

use ed25519_dalek::SigningKey;
use serde_json::{Map, Value, json};

use super::records::{
    CASE_RECORD, CaseChains, IDENTITY_RECORD, Identities, case_record, identity_record,
};
use super::*;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::{Algorithm, NoteSigner, Vkey};
use crate::ledger::tree::Frontier;
use crate::ledger::{CaseLink, Hash, Id16, Timestamp};
use crate::verify::keys::Compromise;
use crate::verify::{Freshness, Integrity};

const ORIGIN: &str = "l.example/a";

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new(ORIGIN, SigningKey::from_bytes(&[seed; 32]))
        .unwrap_or_else(|| panic!("a key name"))
}

fn report_key(seed: u8) -> Vkey {
    let key = SigningKey::from_bytes(&[seed; 32]);
    Vkey::new(
        &format!("{ORIGIN}/reports"),
        Algorithm::Ed25519,
        key.verifying_key(),
    )
    .unwrap_or_else(|| panic!("a key name"))
}

/// A ledger in memory, which a test writes as it likes.
#[derive(Clone)]
struct Book {
    leaves: Vec<Leaf>,
    /// Bytes that stand in place of what a leaf encodes to.
    instead: Vec<(usize, Vec<u8>)>,
    notes: Vec<(u64, String)>,
}

impl Book {
    fn new() -> Self {
        let mut book = Self {
            leaves: Vec::new(),
            instead: Vec::new(),
            notes: Vec::new(),
        };
        book.add("ledger.created", None, Some(json!({
            "spec": 1, "checkpoint_key": signer(1).vkey().to_string(), "report_key": report_key(9).to_string()
        })));
        book.sign(&[1]);
        book
    }

    fn add(&mut self, kind: &str, case: Option<u8>, fact: Option<Value>) {
        let seq = self.leaves.len() as u64;
        let hash = |l: &Leaf| Hash::leaf(l.encode().as_bytes());
        let case = case.map(|c| {
            let case = Id16([c; 16]);
            let before = self
                .leaves
                .iter()
                .rfind(|l| l.case.is_some_and(|x| x.case == case));
            CaseLink {
                case,
                seq: before.and_then(|l| l.case).map_or(0, |c| c.seq + 1),
                prev: before.map_or(Hash::ZERO, hash),
            }
        });
        let time = Timestamp::from_micros(1_000_000 * (100 + i64::try_from(seq).unwrap_or(0)))
            .unwrap_or(Timestamp::EPOCH);
        self.leaves.push(Leaf {
            ledger: ORIGIN.to_owned(),
            seq,
            prev: self.leaves.last().map_or(Hash::ZERO, hash),
            kind: kind.to_owned(),
            eid: Hash::leaf(&seq.to_be_bytes()),
            case,
            trace: None,
            span: None,
            occurred: time,
            recorded: time,
            producer: Id16([3; 16]),
            content: None,
            fact: fact.and_then(|f| f.as_object().cloned()),
        });
    }

    /// Links all entries from `at` on anew, after one was changed.
    fn relink(&mut self, at: usize) {
        for i in at.max(1)..self.leaves.len() {
            self.leaves[i].prev = Hash::leaf(self.leaves[i - 1].encode().as_bytes());
        }
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        let mut tree = Frontier::new();
        for leaf in &self.leaves[..size] {
            tree.append(Hash::leaf(leaf.encode().as_bytes()), |_, _| {});
        }
        Checkpoint {
            origin: ORIGIN.to_owned(),
            size: size as u64,
            root: tree.root(),
        }
    }

    /// Ends a commit here, signed by these keys.
    fn sign(&mut self, seeds: &[u8]) {
        let text = self.checkpoint(self.leaves.len()).text();
        self.notes
            .push((self.leaves.len() as u64, signed_by(&text, seeds)));
    }

    fn check(&self, pins: Pins) -> LedgerCheck {
        let mut checker = Checker::new(pins);
        let mut records = Records::default();
        for (i, leaf) in self.leaves.iter().enumerate() {
            let own = leaf.encode().into_bytes();
            let bytes = self
                .instead
                .iter()
                .find(|(at, _)| *at == i)
                .map_or(&own, |(_, b)| b);
            checker.leaf(read(bytes), Some(Hash::leaf(&own)), &mut records);
            for (_, note) in self.notes.iter().filter(|(s, _)| *s == i as u64 + 1) {
                let stored = Stored {
                    note,
                    place: "here",
                };
                checker.stored(stored, &mut records);
            }
        }
        let mut streamed = checker.finish(false, &mut records);
        records.0.sort_unstable();
        records.1.sort_unstable();
        let (mut identities, mut chains) = (Identities::default(), CaseChains::default());
        records
            .0
            .iter()
            .for_each(|r| identities.take(r, &mut streamed.log));
        records
            .1
            .iter()
            .for_each(|r| chains.take(r, &mut streamed.log));
        conclude(streamed, &Extent::default(), |_| None)
    }

    fn codes(&self) -> Vec<&'static str> {
        codes(&self.check(pins()))
    }
}

fn signed_by(text: &str, seeds: &[u8]) -> String {
    let notes: Vec<String> = seeds.iter().map(|s| signer(*s).sign(text)).collect();
    let lines: String = notes.iter().map(|n| &n[text.len() + 1..]).collect();
    format!("{text}\n{lines}")
}

#[derive(Default)]
struct Records(Vec<[u8; IDENTITY_RECORD]>, Vec<[u8; CASE_RECORD]>);

impl Sink for Records {
    fn entry(&mut self, seq: u64, hash: &Hash, leaf: &Leaf) {
        self.0.push(identity_record(seq, leaf));
        self.1.extend(case_record(seq, hash, leaf));
    }
}

fn pins() -> Pins {
    Pins {
        origin: ORIGIN.to_owned(),
        keys: vec![signer(1).vkey().clone()],
        ..Pins::default()
    }
}

fn codes(check: &LedgerCheck) -> Vec<&'static str> {
    check.counts.keys().map(|c| c.as_str()).collect()
}

/// Ten entries of three cases in three commits.
fn sound() -> Book {
    let mut book = Book::new();
    for case in [1, 2, 1, 3] {
        book.add("x.a", Some(case), None);
    }
    book.sign(&[1]);
    book.add("x.a", None, None);
    for case in [2, 1, 1, 3] {
        book.add("x.a", Some(case), None);
    }
    book.sign(&[1]);
    book
}

#[test]
fn a_sound_stream_is_accepted() {
    let check = sound().check(pins());
    assert_eq!(check.problems, []);
    assert_eq!((check.size, check.checkpoints), (10, 3));
    assert_eq!(check.good_to.map(|g| g.size), Some(10));
    assert_eq!(check.verdicts.freshness.verdict, Freshness::NotProven);
}

/// A change that the writer of a ledger makes: chain and tree are made to fit, and the end is signed again.
fn rewritten(change: impl Fn(&mut Book)) -> Vec<&'static str> {
    let mut book = sound();
    change(&mut book);
    book.relink(1);
    book.notes.clear();
    book.sign(&[1]);
    book.codes()
}

#[test]
fn what_a_whole_ledger_written_anew_still_shows() {
    let case = |book: &mut Book, at: usize, change: fn(&mut CaseLink)| {
        if let Some(link) = &mut book.leaves[at].case {
            change(link);
        }
    };
    for (what, change, want) in [
        (
            "another ledger's",
            &(|b: &mut Book| b.leaves[4].ledger = "l.example/b".into()) as &dyn Fn(&mut Book),
            "leaf.origin",
        ),
        ("another position", &|b| b.leaves[4].seq = 5, "leaf.seq"),
        (
            "time backwards",
            &|b| b.leaves[4].recorded = Timestamp::EPOCH,
            "leaf.recorded",
        ),
        (
            "a fact",
            &|b| b.leaves[4].fact = Some(Map::new()),
            "leaf.fact",
        ),
        (
            "two creations",
            &|b| b.leaves[4].kind = "ledger.created".into(),
            "genesis.absent",
        ),
        (
            "no creation",
            &|b| b.leaves[0].kind = "policy.changed".into(),
            "genesis.absent",
        ),
        ("no keys", &|b| b.leaves[0].fact = None, "genesis.form"),
        (
            "one identity twice",
            &|b| b.leaves[7].eid = b.leaves[2].eid,
            "identity.doubled",
        ),
        (
            "a place in the case twice",
            &|b| case(b, 3, |l| l.seq = 0),
            "case.doubled",
        ),
        (
            "a place in the case skipped",
            &|b| case(b, 3, |l| l.seq = 5),
            "case.gap",
        ),
        (
            "a case that begins later",
            &|b| case(b, 1, |l| l.seq = 9),
            "case.gap",
        ),
        (
            "another entry before in the case",
            &|b| case(b, 3, |l| l.prev = Hash::ZERO),
            "case.prev",
        ),
        (
            "an entry before the case's first",
            &|b| case(b, 1, |l| l.prev = Hash([1; 32])),
            "case.prev",
        ),
    ] {
        let found = rewritten(change);
        assert!(found.contains(&want), "{what}: {found:?}");
    }
    assert_eq!(rewritten(|_| {}), Vec::<&str>::new());
}

#[test]
fn a_leaf_changed_in_place_is_told_from_one_that_cannot_be_read() {
    for (bytes, want) in [
        (b"{}".to_vec(), "leaf.form"),
        (
            format!(" {}", sound().leaves[4].encode()).into_bytes(),
            "leaf.not_canonical",
        ),
        (
            sound().leaves[4]
                .encode()
                .replace("\"v\":1", "\"v\":1,\"w\":1")
                .into_bytes(),
            "leaf.unknown_member",
        ),
        (
            sound().leaves[4]
                .encode()
                .replace("x.a", "x.b")
                .into_bytes(),
            "leaf.altered",
        ),
    ] {
        let mut book = sound();
        book.instead.push((4, bytes));
        let check = book.check(pins());
        assert!(codes(&check).contains(&want), "{want}: {:?}", codes(&check));
        // The stored hash goes on where the bytes do not: what comes after is confirmed, what comes before is good.
        assert_eq!(check.checkpoints, 3, "{want}");
        assert_eq!(check.first_break.and_then(|p| p.seq), Some(4), "{want}");
        assert_eq!(check.good_to.map(|g| g.size), Some(1), "{want}");
    }
}

#[test]
fn checkpoints_are_read_strictly() {
    let with = |note: String| {
        let mut book = sound();
        book.notes[1] = (5, note);
        book.codes()
    };
    let good = sound().checkpoint(5);
    let other = |c: Checkpoint| with(c.sign(&signer(1)));
    assert_eq!(other(good.clone()), Vec::<&str>::new());
    assert_eq!(with("x".into()), ["checkpoint.form"]);
    assert_eq!(
        other(Checkpoint {
            origin: "l.example/b".into(),
            ..good.clone()
        }),
        ["checkpoint.origin"]
    );
    assert_eq!(
        other(Checkpoint {
            size: 4,
            ..good.clone()
        }),
        ["checkpoint.size"]
    );
    assert_eq!(
        other(Checkpoint {
            root: Hash::ZERO,
            ..good.clone()
        }),
        ["checkpoint.root"]
    );
    assert_eq!(with(good.sign(&signer(2))), ["checkpoint.key"]);
    let forged = good
        .sign(&signer(1))
        .replace(&good.root.to_b64(), &Hash::ZERO.to_b64());
    assert_eq!(with(forged), ["checkpoint.signature"]);
    let mut book = sound();
    book.notes.pop();
    let check = book.check(pins());
    assert_eq!(codes(&check), ["checkpoint.absent"]);
    assert_eq!(check.first_break.and_then(|p| p.seq), Some(5));
}

/// A change of the checkpoint key from 1 to 2 that ends its commit.
fn rotating(bridge: &[u8]) -> Book {
    let mut book = sound();
    let (old, new) = (signer(1).vkey().to_string(), signer(2).vkey().to_string());
    book.add(
        "key.rotated",
        None,
        Some(json!({"purpose": "checkpoint", "old": old, "new": new})),
    );
    book.sign(bridge);
    book.add("x.a", Some(1), None);
    book.sign(&[2]);
    book
}

#[test]
fn keys_are_followed_over_their_changes() {
    let with = |book: &Book, seed: u8| {
        let keys = vec![signer(seed).vkey().clone()];
        codes(&book.check(Pins { keys, ..pins() }))
    };
    let book = rotating(&[1, 2]);
    for seed in [1, 2] {
        assert_eq!(with(&book, seed), Vec::<&str>::new(), "pinned key {seed}");
    }
    assert_eq!(with(&book, 3), ["key.pin"]);
    // Without the bridge the old pin says nothing of the new key.
    assert_eq!(with(&rotating(&[1]), 1), ["key.pin", "key.bridge"]);
    // The old key has no say after the change, nor the new one before it.
    let mut late = rotating(&[1, 2]);
    let text = late.checkpoint(12).text();
    late.notes[4].1 = signed_by(&text, &[1]);
    assert!(late.codes().contains(&"checkpoint.key"));
    let mut early = rotating(&[1, 2]);
    let text = early.checkpoint(10).text();
    early.notes[2].1 = signed_by(&text, &[2]);
    assert!(early.codes().contains(&"checkpoint.key"));
    // A change that does not end its commit.
    let mut book = rotating(&[1, 2]);
    book.notes.remove(3);
    assert!(book.codes().contains(&"key.bridge"));
    // A change of a key that was not in force.
    let mut book = sound();
    let (old, new) = (signer(5).vkey().to_string(), signer(2).vkey().to_string());
    book.add(
        "key.rotated",
        None,
        Some(json!({"purpose": "checkpoint", "old": old, "new": new})),
    );
    book.sign(&[1]);
    assert_eq!(book.codes(), ["key.rotation"]);
}

/// A stolen key leaves unproven what nobody outside saw before; what somebody saw, and what stands under a later pinned
/// key, is good.
#[test]
fn a_stolen_key_proves_only_what_somebody_saw_before() {
    let since = Timestamp::parse_rfc3339("2026-05-01T00:00:00Z").unwrap_or(Timestamp::EPOCH);
    let told = vec![Compromise {
        key: signer(1).vkey().clone(),
        since,
    }];
    let verdict = |book: &Book, pins: Pins| {
        let check = book.check(pins);
        let first = check.problems.first().and_then(|p| p.seq);
        (check.verdicts.integrity.verdict, codes(&check), first)
    };
    let stolen = |pins: Pins| Pins {
        compromised: told.clone(),
        ..pins
    };
    let unproven = |first: u64| (Integrity::Unprovable, vec!["key.compromised"], Some(first));
    let book = sound();
    assert_eq!(verdict(&book, stolen(pins())), unproven(0));
    // What the auditor kept from before stands.
    let seen = kept(book.checkpoint(7).sign(&signer(1)));
    assert_eq!(verdict(&book, stolen(seen)), unproven(7));
    let all = kept(book.checkpoint(10).sign(&signer(1)));
    let good = (Integrity::Intact, vec![], None);
    assert_eq!(verdict(&book, stolen(all)), good);
    // After a bridge the next key counts for itself only when it is pinned: a thief can make a bridge, too.
    let book = rotating(&[1, 2]);
    assert_eq!(verdict(&book, stolen(pins())), unproven(0));
    let both = Pins {
        keys: vec![signer(1).vkey().clone(), signer(2).vkey().clone()],
        ..pins()
    };
    let check = book.check(stolen(both));
    let text = check.problems.first().map(|p| p.explanation.clone());
    assert!(text.is_some_and(|t| t.contains("the entries 0 to 10 ")));
    // A key that was replaced says nothing about larger trees, not even against the ledger.
    let forged = Checkpoint {
        root: Hash::ZERO,
        ..book.checkpoint(12)
    };
    let accused = book.check(kept(forged.sign(&signer(1))));
    assert_eq!(codes(&accused), ["outside.unusable"]);
}

fn kept(note: String) -> Pins {
    Pins {
        checkpoints: vec![OutsideCheckpoint {
            note,
            name: "kept".into(),
            independent: true,
        }],
        ..pins()
    }
}

#[test]
fn what_was_kept_outside_anchors_or_accuses() {
    let book = sound();
    // Also of a size at which no commit ended.
    let check = book.check(kept(book.checkpoint(7).sign(&signer(1))));
    assert_eq!(check.problems, []);
    assert_eq!(check.verdicts.freshness.verdict, Freshness::Anchored);
    let other = Checkpoint {
        root: Hash::ZERO,
        ..book.checkpoint(7)
    };
    let check = book.check(kept(other.sign(&signer(1))));
    assert_eq!(codes(&check), ["outside.contradiction"]);
    assert_eq!(check.verdicts.freshness.verdict, Freshness::Contradicted);
    let check = book.check(kept(other.sign(&signer(2))));
    assert_eq!(codes(&check), ["outside.unusable"]);
    let longer = Checkpoint { size: 11, ..other };
    let check = book.check(kept(longer.sign(&signer(1))));
    assert_eq!(codes(&check), ["outside.truncated"]);
    assert_eq!(check.verdicts.freshness.verdict, Freshness::Contradicted);
}

#[test]
fn a_damaged_ledger_fills_no_memory_and_hides_no_kind_of_damage() {
    let mut log = LedgerLog::default();
    for seq in (0..10_000).rev() {
        log.entry(LedgerCode::LeafPrev, seq, None, "x");
    }
    log.entry(LedgerCode::CaseGap, 20_000, None, "x");
    assert_eq!(log.lowest_break(), Some(0));
    let (listed, lowest, counts) = log.into_parts();
    assert_eq!(listed.len(), MAX_PROBLEMS + 1);
    assert_eq!(lowest.and_then(|p| p.seq), Some(0));
    assert_eq!(counts.values().sum::<u64>(), 10_001);
}
