//! Keys over time: bridges, keys that were replaced, keys that were stolen.

use serde_json::{Value, json};

use super::builder::*;
use super::sound::cosigned;
use super::*;
use crate::ledger::Timestamp;
use crate::ledger::note::{NoteSigner, Vkey};
use crate::ledger::receipt::Receipt;
use crate::verify::Trust;
use crate::verify::format::{Bridge, BridgesFile};
use crate::verify::keys::{BridgeError, Compromise, TrustedKeys};
use crate::verify::report::open_by;
use crate::verify::{Freshness, Integrity, Sequence, receipt};

fn a() -> NoteSigner {
    checkpoint_signer()
}
fn b() -> NoteSigner {
    signer(ORIGIN, 5)
}
fn c() -> NoteSigner {
    signer(ORIGIN, 6)
}
fn report_2() -> NoteSigner {
    signer("ledger.example/a/reports", 7)
}

fn rotation(purpose: &str, old: &NoteSigner, new: &NoteSigner, since: Option<&str>) -> Value {
    let mut fact =
        json!({"purpose": purpose, "old": old.vkey().to_string(), "new": new.vkey().to_string()});
    if let Some(since) = since {
        fact["compromised_since"] = json!(since);
    }
    fact
}

/// The key was stolen before the ledger's first entry, as far as its times go.
const STOLEN: &str = "2026-01-02T03:04:20.000000Z";

fn a_to_b(_: &Ledger) -> Value {
    rotation("checkpoint", &a(), &b(), None)
}
fn a_to_b_stolen(_: &Ledger) -> Value {
    rotation("checkpoint", &a(), &b(), Some(STOLEN))
}
fn b_to_c(_: &Ledger) -> Value {
    rotation("checkpoint", &b(), &c(), None)
}
fn report_stolen(_: &Ledger) -> Value {
    rotation("report", &report_signer(), &report_2(), Some(STOLEN))
}

/// Position of the first rotation: after the events.
const AT: u64 = 11;

/// A report on a ledger whose checkpoint key was replaced by these facts, one right after the other.
fn rotated(facts: &[Fact], signer: NoteSigner, bridges: bool) -> Built {
    let mut all = events();
    all.extend(facts.iter().map(|f| service("key.rotated", *f)));
    let n = facts.len() as u64;
    Build {
        events: all,
        checkpoint_key: signer,
        file: Box::new(move |ledger, file| {
            let pairs = [[a(), b()], [b(), c()]];
            if bridges {
                let each = (AT..AT + n).zip(&pairs);
                file.evidence.bridges = each.map(|(seq, p)| ledger.bridge(seq, p)).collect();
            }
        }),
        ..Build::default()
    }
    .run()
}

fn with(built: &Built, pinned: &[&NoteSigner], brought: &Trust<'_>) -> ReportCheck {
    let keys: Vec<Vkey> = pinned.iter().map(|s| s.vkey().clone()).collect();
    open_by(
        built.text().as_bytes(),
        &Trust {
            keys: &keys,
            ..*brought
        },
        Some(&JUDGE),
    )
    .check
}

fn codes(check: &ReportCheck) -> Vec<Code> {
    check.problems.iter().map(|p| p.code).collect()
}

#[test]
fn a_pinned_key_leads_over_bridges_to_the_one_in_force() {
    let plain = Trust::default();
    let once = rotated(&[a_to_b], b(), true);
    let twice = rotated(&[a_to_b, b_to_c], c(), true);
    for (built, pinned) in [(&once, [a(), b()].as_slice()), (&twice, &[a(), b(), c()])] {
        for key in pinned {
            assert_eq!(codes(&with(built, &[key], &plain)), [], "{:?}", key.vkey());
        }
        let all: Vec<&NoteSigner> = pinned.iter().collect();
        assert_eq!(codes(&with(built, &all, &plain)), []);
        let stranger = signer(ORIGIN, 99);
        assert_eq!(
            codes(&with(built, &[&stranger], &plain)),
            [Code::CheckpointKey]
        );
    }
    // Without the bridges, only the key that signed will do.
    let bare = rotated(&[a_to_b], b(), false);
    assert_eq!(codes(&with(&bare, &[&b()], &plain)), []);
    assert_eq!(codes(&with(&bare, &[&a()], &plain)), [Code::CheckpointKey]);
    // A checkpoint from outside at a bridge's size can be compared.
    let outside = [once.file.evidence.bridges[0].checkpoint.clone()];
    let brought = Trust {
        outside: &outside,
        ..plain
    };
    let got = with(&once, &[&a()], &brought);
    assert_eq!(codes(&got), []);
    assert_eq!(got.verdicts.freshness.verdict, Freshness::Anchored);
}

#[test]
fn a_replaced_key_signs_nothing_beyond_its_bridge() {
    let plain = Trust::default();
    // The bridge is in the file; then only among the entries; then only with the verifier.
    let shown = rotated(&[a_to_b], a(), true);
    assert_eq!(codes(&with(&shown, &[&a()], &plain)), [Code::KeyRetired]);
    let among = rotated(&[a_to_b], a(), false);
    assert_eq!(codes(&with(&among, &[&a()], &plain)), [Code::KeyRetired]);
    let forked = Build::default().run();
    let later = Build {
        after: vec![service("key.rotated", a_to_b)],
        ..Build::default()
    }
    .run();
    let known = |seq| BridgesFile {
        checkpoint: rotated(&[a_to_b], b(), true).file.evidence.checkpoint,
        bridges: vec![
            rotated(&[a_to_b], b(), true)
                .ledger
                .bridge(seq, &[a(), b()]),
        ],
    };
    let file = known(AT);
    assert_eq!(
        forked.ledger.size(),
        AT + 1,
        "the fork's size is the bridge's"
    );
    let brought = Trust {
        bridges: Some(&file),
        ..plain
    };
    assert_eq!(codes(&with(&forked, &[&a()], &brought)), []);
    assert_eq!(codes(&with(&later, &[&a()], &brought)), [Code::KeyRetired]);
    // A new key does not vouch for what lies before its bridge.
    let early = Build {
        checkpoint_key: b(),
        events: events()[..9].to_vec(),
        ..Build::default()
    }
    .run();
    assert_eq!(
        codes(&with(&early, &[&b()], &brought)),
        [Code::CheckpointKey]
    );
    // Nor does a replaced key make a second bridge.
    let mut trust = TrustedKeys::pinned(ORIGIN, &[a().vkey().clone()]);
    assert_eq!(trust.cross(&file.bridges[0], &[]), Ok(()));
    let second = rotated(&[b_to_c, a_to_b], b(), false).ledger;
    let second = second.bridge(AT + 1, &[a(), b()]);
    assert_eq!(trust.cross(&second, &[]), Err(BridgeError::Retired(AT + 1)));
}

#[test]
fn bridges_that_do_not_hold_are_refused() {
    let good = rotated(&[a_to_b, b_to_c], c(), true);
    let bad = |change: &dyn Fn(&mut Vec<Bridge>, &Ledger)| {
        let mut built = rotated(&[a_to_b, b_to_c], c(), true);
        change(&mut built.file.evidence.bridges, &good.ledger);
        codes(&with(&built, &[&a()], &Trust::default()))
    };
    assert_eq!(bad(&|_, _| {}), []);
    let other = rotated(&[a_to_b_stolen, b_to_c], c(), true).ledger;
    type Change<'a> = &'a dyn Fn(&mut Vec<Bridge>, &Ledger);
    let cases: [(&str, Change<'_>, Code); 13] = [
        (
            "one signature only",
            &|v, l| v[0] = l.bridge(AT, &[a()]),
            Code::KeyBridge,
        ),
        (
            "the new one only",
            &|v, l| v[0] = l.bridge(AT, &[b()]),
            Code::KeyBridge,
        ),
        (
            "another's signature",
            &|v, l| v[0] = l.bridge(AT, &[a(), c()]),
            Code::KeyBridge,
        ),
        (
            "another's leaf",
            &|v, l| v[0].leaf = l.leaves[2].clone(),
            Code::KeyBridge,
        ),
        ("no leaf", &|v, _| v[0].leaf = "{}".into(), Code::KeyBridge),
        (
            "no inclusion",
            &|v, _| v[0].path.truncate(1),
            Code::KeyBridge,
        ),
        (
            "no consistency",
            &|v, _| v[0].consistency.truncate(1),
            Code::KeyBridge,
        ),
        (
            "another size",
            &|v, l| v[0].checkpoint = l.checkpoint(AT).sign_all(&[a(), b()]),
            Code::KeyBridge,
        ),
        (
            "no checkpoint",
            &|v, _| v[0].checkpoint = "x".into(),
            Code::KeyBridge,
        ),
        (
            "another history",
            &|v, _| v[0] = other.bridge(AT, &[a(), b()]),
            Code::KeyBridge,
        ),
        ("out of order", &|v, _| v.swap(0, 1), Code::KeyBridge),
        ("twice", &|v, _| v.insert(0, v[0].clone()), Code::KeyBridge),
        (
            "the second only",
            &|v, _| drop(v.remove(0)),
            Code::CheckpointKey,
        ),
    ];
    for (what, change, code) in cases {
        assert_eq!(bad(change), [code], "{what}");
    }
    // A bridge is an entry like any other: it must be among those that are followed.
    let mut built = rotated(&[a_to_b], b(), true);
    built.file.evidence.entries.retain(|e| {
        !matches!(e, crate::verify::format::ProvenEntry::Other { leaf, .. } if leaf.contains("key.rotated"))
    });
    let got = codes(&with(&built, &[&a()], &Trust::default()));
    assert_eq!(got, [Code::KeyRotation]);
    // Two bridges of one size are two histories.
    let mut trust = TrustedKeys::pinned(ORIGIN, &[a().vkey().clone()]);
    let bridges = &good.file.evidence.bridges;
    assert_eq!(trust.cross(&bridges[0], &[]), Ok(()));
    let forked = trust.cross(&other.bridge(AT, &[a(), b()]), &[]);
    assert_eq!(forked, Err(BridgeError::Forked));
}

#[test]
fn a_bridge_that_leaves_no_room_for_more_is_refused() {
    let mut built = rotated(&[a_to_b], b(), true);
    let one = built.file.evidence.bridges[0].clone();
    built.file.evidence.bridges = vec![one; crate::verify::format::MAX_BRIDGES + 1];
    let got = codes(&with(&built, &[&a()], &Trust::default()));
    assert_eq!(got, [Code::KeyBridge]);
}

fn told(key: &NoteSigner) -> Vec<Compromise> {
    vec![Compromise {
        key: key.vkey().clone(),
        since: Timestamp::parse_canonical(STOLEN).unwrap(),
    }]
}

/// Seconds since 1970 of a moment before the theft, and of one after it.
const BEFORE: u64 = 1_767_323_055;
const AFTER: u64 = 1_767_323_061;

#[test]
fn a_stolen_key_proves_only_what_is_older_by_word_from_outside() {
    let plain = Trust::default();
    let said = rotated(&[a_to_b_stolen], b(), true);
    // The issuer says so: with the new key pinned, what stands after the bridge is good, the rest is not.
    let got = with(&said, &[&b()], &plain);
    assert_eq!(codes(&got), [Code::KeyCompromised]);
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Unprovable);
    assert_eq!(got.verdicts.sequence.verdict, Sequence::NotEstablished);
    assert!(
        got.problems[0]
            .explanation
            .contains(": 0 to 1, 3 to 4, 6, 8 to 11."),
        "{got:?}"
    );
    // With the old one alone, the thief could have made the bridge himself.
    let got = with(&said, &[&a()], &plain);
    assert!(
        got.problems[0]
            .explanation
            .contains(": 0 to 1, 3 to 4, 6, 8 to 12."),
        "{got:?}"
    );
    // A checkpoint that the verifier had before covers its entries; one that covers all, or the bridge, saves all.
    let mut joined = rotated(&[a_to_b_stolen], b(), true);
    joined.file.evidence.consistency = vec![joined.ledger.consistency(9)];
    let kept = [joined.ledger.checkpoint(9).sign(&a())];
    let brought = Trust {
        outside: &kept,
        ..plain
    };
    let got = with(&joined, &[&a(), &b()], &brought);
    assert_eq!(codes(&got), [Code::KeyCompromised]);
    assert!(
        got.problems[0].explanation.contains(": 9 to 11."),
        "{got:?}"
    );
    let kept = [said.file.evidence.bridges[0].checkpoint.clone()];
    let brought = Trust {
        outside: &kept,
        ..plain
    };
    assert_eq!(codes(&with(&said, &[&a()], &brought)), []);
    // A witness's word counts by its time.
    for (seconds, want) in [(BEFORE, vec![]), (AFTER, vec![Code::KeyCompromised])] {
        let mut built = rotated(&[a_to_b_stolen], b(), true);
        let (note, witness) = cosigned(&built.file.evidence.checkpoint, seconds, 8);
        built.file.evidence.checkpoint = note;
        let keys = [a().vkey().clone(), witness];
        let got = open_by(
            built.text().as_bytes(),
            &Trust {
                keys: &keys,
                ..plain
            },
            Some(&JUDGE),
        )
        .check;
        assert_eq!(codes(&got), want, "{seconds}");
    }
    // Whoever stole it has left the word out: the auditor says it.
    let silent = Build::default().run();
    let compromised = told(&a());
    let brought = Trust {
        compromised: &compromised,
        ..plain
    };
    assert_eq!(
        codes(&with(&silent, &[&a()], &brought)),
        [Code::KeyCompromised]
    );
    let own_bridge = rotated(&[a_to_b], b(), true);
    assert_eq!(
        codes(&with(&own_bridge, &[&a()], &brought)),
        [Code::KeyCompromised]
    );
    let compromised = told(&b());
    let brought = Trust {
        compromised: &compromised,
        ..plain
    };
    let got = with(&own_bridge, &[&a()], &brought);
    assert!(
        got.problems[0].explanation.contains(": 12."),
        "what A committed stays: {got:?}"
    );
    // Something else beside it: broken.
    let mut broken = rotated(&[a_to_b_stolen], b(), true);
    broken.file.disclosures.pop();
    let got = with(&broken, &[&b()], &plain);
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Broken);
}

#[test]
fn a_report_under_a_stolen_report_key_needs_word_from_outside() {
    let plain = Trust::default();
    let built = Build {
        after: vec![service("key.rotated", report_stolen)],
        ..Build::default()
    }
    .run();
    let got = with(&built, &[&a()], &plain);
    assert_eq!(codes(&got), [Code::KeyCompromised]);
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Unprovable);
    let kept = [built.ledger.checkpoint(built.ledger.size()).sign(&a())];
    let brought = Trust {
        outside: &kept,
        ..plain
    };
    assert_eq!(codes(&with(&built, &[&a()], &brought)), []);
    let compromised = told(&report_signer());
    let brought = Trust {
        compromised: &compromised,
        ..plain
    };
    assert_eq!(
        codes(&with(&Build::default().run(), &[&a()], &brought)),
        [Code::KeyCompromised]
    );
}

#[test]
fn receipts_go_over_bridges_too() {
    let built = rotated(&[a_to_b], b(), true);
    let ledger = &built.ledger;
    let text = |signer: &NoteSigner| {
        let size = ledger.size();
        Receipt {
            leaf: ledger.leaves[1].clone().into_bytes(),
            index: 1,
            path: ledger.path(1),
            checkpoint: ledger.checkpoint(size).sign(signer),
        }
        .encode()
    };
    let file = BridgesFile {
        checkpoint: built.file.evidence.checkpoint.clone(),
        bridges: built.file.evidence.bridges.clone(),
    };
    let pinned = |s: &NoteSigner| vec![s.vkey().clone()];
    let check =
        |signer: &NoteSigner, keys: &[Vkey], file: Option<&BridgesFile>, stolen: &[Compromise]| {
            let got = receipt::verify_by(
                &text(signer),
                &Trust {
                    keys,
                    bridges: file,
                    compromised: stolen,
                    ..Trust::default()
                },
                None,
            );
            let codes: Vec<Code> = got.problems.iter().map(|p| p.code).collect();
            (codes, got.integrity.verdict)
        };
    let intact = (vec![], Integrity::Intact);
    assert_eq!(check(&b(), &pinned(&b()), None, &[]), intact);
    assert_eq!(
        check(&b(), &pinned(&a()), None, &[]).0,
        [Code::CheckpointKey]
    );
    assert_eq!(check(&b(), &pinned(&a()), Some(&file), &[]), intact);
    assert_eq!(
        check(&a(), &pinned(&a()), Some(&file), &[]).0,
        [Code::KeyRetired]
    );
    let unprovable = (vec![Code::KeyCompromised], Integrity::Unprovable);
    assert_eq!(check(&a(), &pinned(&a()), None, &told(&a())), unprovable);
    assert_eq!(
        check(&b(), &pinned(&a()), Some(&file), &told(&a())),
        unprovable
    );
    assert_eq!(check(&b(), &pinned(&b()), Some(&file), &told(&a())), intact);
    let mut other = file.clone();
    other.bridges[0].consistency.pop();
    assert_eq!(
        check(&b(), &pinned(&a()), Some(&other), &[]).0,
        [Code::KeyBridge]
    );
}
