//! What is as it should be is accepted, and said no more of than it proves.

use serde_json::{Value, json};

use super::builder::*;
use super::*;
use crate::judge::Subject;
use crate::ledger::note::{Algorithm, Vkey};
use crate::ledger::{Hash, disclosure};
use crate::verify::format::ConsistencyProof;
use crate::verify::{Basis, Freshness, Integrity, Process, Sequence, words};

#[test]
fn a_sound_report_is_accepted() {
    let built = Build::default().run();
    let got = check(&built);
    assert_eq!(got.problems, []);
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Intact);
    assert_eq!(got.verdicts.sequence.verdict, Sequence::Complete);
    assert_eq!(got.verdicts.freshness.verdict, Freshness::NotProven);
    let (elements, controls) = (&got.verdicts.elements, &got.verdicts.controls);
    assert_eq!(
        (elements.verdict, elements.basis),
        (Process::Good, Basis::Recomputed)
    );
    assert_eq!(
        (controls.verdict, controls.basis),
        (Process::Bad, Basis::Recomputed)
    );
    assert_eq!((got.entries, got.checkpoint_size), (7, Some(12)));
    let c = got.content;
    assert_eq!((c.withheld, c.erased, c.missing), (0, 0, 0));
    assert_eq!(c.shown, built.file.disclosures.len() as u64);
    let opened = report::open(built.text().as_bytes(), &built.keys, &[], Some(&JUDGE));
    assert_eq!(opened.entries.len(), 7);
    assert!(opened.statement.is_some());
}

#[test]
fn an_object_without_members_is_one_disclosure() {
    let mut events = events();
    let empty = [("/actor", Value::Null), ("/subject", json!({}))];
    events[6].members.extend(empty);
    events[10].members = vec![("/data", json!({}))];
    let build = Build {
        events,
        ..Build::default()
    };
    assert_eq!(check(&build.run()).problems, []);
}

#[test]
fn words_and_json_tell_each_verdict() {
    let check = check(&Build::default().run());
    let text = words::report(&check);
    for line in [
        "result: ",
        "integrity: intact. ",
        "sequence: complete. ",
        "freshness: not proven. ",
        "elements: good. ",
        "controls: bad. ",
    ] {
        assert!(text.lines().any(|l| l.starts_with(line)), "{line}\n{text}");
    }
    let json = serde_json::to_value(&check).unwrap();
    assert_eq!(json["verdicts"]["integrity"]["verdict"], "intact");
    assert_eq!(json["verdicts"]["elements"]["basis"], "recomputed");
    assert_eq!(json["report"]["purpose"], "complaint 17");
}

#[test]
fn withheld_content_is_counted_and_the_issuer_is_quoted() {
    let withhold = vec!["/data/claims", "/data/result", "/case_id"];
    let got = check(
        &Build {
            withhold,
            ..Build::default()
        }
        .run(),
    );
    assert_eq!(got.problems, []);
    assert_eq!(got.content.withheld, 8);
    assert_eq!(got.verdicts.controls.basis, Basis::Stated);
    assert_eq!(got.verdicts.controls.verdict, Process::Bad);
}

/// The digest of an element of entry 4.
pub fn candidate(ledger: &Ledger) -> Hash {
    let of = ledger.disclosures[4]
        .iter()
        .find(|d| disclosure::decode(d).is_ok_and(|d| d.pointer.is_none()));
    disclosure::digest(of.unwrap())
}

fn erase(ledger: &Ledger) -> Value {
    json!({"ranges": [[6, 6]], "digests": [candidate(ledger).to_b64url()], "why": "retention"})
}

pub fn erased() -> Build {
    Build {
        after: vec![service("content.erased", erase)],
        file: Box::new(|ledger, file| {
            let gone: Vec<Hash> = ledger.digests[6]
                .iter()
                .copied()
                .chain([candidate(ledger)])
                .collect();
            let drop = below(&file.disclosures, &gone);
            file.disclosures.retain(|d| !drop.contains(d));
        }),
        ..Build::default()
    }
}

#[test]
fn an_erasure_leaves_the_same_envelope_standing() {
    let before = Build::default().run();
    let after = erased().run();
    assert_eq!(before.file.envelope, after.file.envelope);
    let got = check(&after);
    assert_eq!(got.problems, []);
    assert_eq!((got.content.erased, got.content.missing), (5, 0));
    assert_eq!(got.verdicts.elements.basis, Basis::Stated);
}

#[test]
fn a_case_goes_on_after_a_report() {
    let first = |_: &Ledger| json!({"report": "00000000000000000000000000000001", "payload": "00"});
    let mut events = events();
    events.push(Event {
        case: Some(0),
        ..service("report.issued", first)
    });
    let statement = |_: &Ledger, s: &mut crate::verify::format::Statement| {
        s.predicate.supersedes = Some(crate::ledger::Id16([1; 16]))
    };
    let after = vec![event("outcome.recorded", Some(0), &[])];
    let got = check(
        &Build {
            events,
            after,
            statement: Box::new(statement),
            ..Build::default()
        }
        .run(),
    );
    assert_eq!(got.problems, []);
    assert_eq!(got.report.and_then(|r| r.supersedes), Some("01".repeat(16)));
}

#[test]
fn without_a_case_sequence_is_not_established() {
    let build = Build {
        choose: Box::new(|leaf| leaf.case.is_none() && leaf.trace == Some(TRACE)),
        issued_case: None,
        case: None,
        subject: Subject::Trace(TRACE.to_hex()),
        ..Build::default()
    };
    let got = check(&build.run());
    assert_eq!(got.problems, []);
    assert_eq!(got.verdicts.sequence.verdict, Sequence::NotEstablished);
}

#[test]
fn another_judgement_is_told_apart_from_an_altered_file() {
    let build = Build {
        statement: Box::new(|_, s| {
            s.predicate.judgement.findings.clear();
            s.predicate.judgement.controls = crate::judge::Judged::Good;
        }),
        ..Build::default()
    };
    let got = check(&build.run());
    assert_eq!(first(&got), Some(Code::JudgementDiffers));
    assert!(got.problems[0].explanation.contains("authorization.denied"));
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Intact);
    assert_eq!(got.verdicts.controls.verdict, Process::Differs);
    let built = Build::default().run();
    let mute =
        |_: &Subject, _: &[crate::judge::Entry], _: &Value| Err("no such profile".to_owned());
    let got = report::verify(built.text().as_bytes(), &built.keys, &[], Some(&mute));
    assert_eq!(
        (got.problems.len(), got.verdicts.controls.basis),
        (0, Basis::Stated)
    );
    let got = report::verify(built.text().as_bytes(), &built.keys, &[], None);
    assert_eq!(
        (got.problems.len(), got.verdicts.controls.basis),
        (0, Basis::Stated)
    );
}

fn fresh(built: &Built, keys: &[Vkey], outside: &[String]) -> ReportCheck {
    report::verify(built.text().as_bytes(), keys, outside, Some(&JUDGE))
}

#[test]
fn an_outside_checkpoint_anchors_or_contradicts() {
    let build = Build {
        file: Box::new(|ledger, file| file.evidence.consistency = vec![ledger.consistency(5)]),
        ..Build::default()
    };
    let built = build.run();
    let kept = |size| built.ledger.checkpoint(size).sign(&checkpoint_signer());
    for (outside, want) in [
        (5, Freshness::Anchored),
        (12, Freshness::Anchored),
        (7, Freshness::NotProven),
    ] {
        let got = fresh(&built, &built.keys, &[kept(outside)]);
        assert_eq!(
            (got.problems.len(), got.verdicts.freshness.verdict),
            (0, want),
            "{outside}"
        );
    }
    let mut other = built.ledger.checkpoint(5);
    other.root = Hash::leaf(b"other");
    let got = fresh(
        &built,
        &built.keys,
        &[kept(5), other.sign(&checkpoint_signer())],
    );
    assert_eq!(first(&got), Some(Code::OutsideContradiction));
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Broken);
    assert_eq!(got.verdicts.freshness.verdict, Freshness::Contradicted);
    let got = fresh(&built, &built.keys, &[other.sign(&signer(ORIGIN, 7))]);
    assert_eq!(first(&got), Some(Code::OutsideUnusable));
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Intact);
}

#[test]
fn a_report_older_than_the_outside_checkpoint_can_be_joined_to_it() {
    let mut built = Build::default().run();
    let later = Build {
        after: vec![event("x.later", None, &[])],
        ..Build::default()
    }
    .run()
    .ledger;
    let kept = later.checkpoint(13);
    let path = later.consistency(12).path;
    built.file.evidence.consistency = vec![ConsistencyProof {
        size: 13,
        root: kept.root,
        path,
    }];
    let got = fresh(&built, &built.keys, &[kept.sign(&checkpoint_signer())]);
    assert_eq!(
        (got.problems.len(), got.verdicts.freshness.verdict),
        (0, Freshness::Anchored)
    );
    built.file.evidence.consistency[0].root = Hash::ZERO;
    assert_eq!(
        first(&fresh(&built, &built.keys, &[])),
        Some(Code::EvidenceConsistency)
    );
}

#[test]
fn an_extension_that_nobody_signed_accuses_nobody() {
    let mut built = Build::default().run();
    let later = |kind: &'static str| {
        let after = vec![event(kind, None, &[])];
        let build = Build {
            after,
            ..Build::default()
        };
        build.run().ledger
    };
    // The ledger went on with one entry; whoever passes the file on joins another to it, which needs no key.
    let kept = later("x.later").checkpoint(13);
    let forged = later("x.forged");
    built.file.evidence.consistency = vec![ConsistencyProof {
        size: 13,
        root: forged.checkpoint(13).root,
        path: forged.consistency(12).path,
    }];
    let got = fresh(&built, &built.keys, &[kept.sign(&checkpoint_signer())]);
    assert_eq!(got.problems, []);
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Intact);
    assert_eq!(got.verdicts.freshness.verdict, Freshness::NotProven);
}

/// A cosignature line (C2SP tlog-cosignature), by hand.
pub fn cosigned(note: &str, seconds: u64, seed: u8) -> (String, Vkey) {
    use ed25519_dalek::{Signer, SigningKey};
    let key = SigningKey::from_bytes(&[seed; 32]);
    let vkey = Vkey::new(
        "witness.example",
        Algorithm::CosignatureV1,
        key.verifying_key(),
    )
    .unwrap();
    let text = &note[..=note.rfind("\n\n").unwrap()];
    let signature = key.sign(format!("cosignature/v1\ntime {seconds}\n{text}").as_bytes());
    let blob = [
        &vkey.id()[..],
        &seconds.to_be_bytes(),
        &signature.to_bytes(),
    ]
    .concat();
    (
        format!("{note}— witness.example {}\n", crate::ledger::b64(&blob)),
        vkey,
    )
}

#[test]
fn a_pinned_witness_says_as_of_when_and_never_replaces_the_ledgers_key() {
    let mut built = Build::default().run();
    let (note, witness) = cosigned(&built.file.evidence.checkpoint, 1_767_323_045, 8);
    built.file.evidence.checkpoint = note;
    let ledger_key = built.keys[0].clone();
    let got = fresh(&built, &built.keys, &[]);
    assert_eq!(
        (got.problems.len(), got.verdicts.freshness.verdict),
        (0, Freshness::NotProven)
    );
    let got = fresh(&built, &[ledger_key.clone(), witness.clone()], &[]);
    assert_eq!(
        (got.problems.len(), got.verdicts.freshness.verdict),
        (0, Freshness::Witnessed)
    );
    assert!(
        got.verdicts
            .freshness
            .reason
            .contains("2026-01-02T03:04:05"),
        "{}",
        got.verdicts.freshness.reason
    );
    assert_eq!(
        first(&fresh(&built, std::slice::from_ref(&witness), &[])),
        Some(Code::LedgerForeign)
    );
    let (forged, _) = cosigned(
        &built.ledger.checkpoint(12).sign(&checkpoint_signer()),
        1_767_323_045,
        9,
    );
    built.file.evidence.checkpoint = forged;
    let got = fresh(&built, &[ledger_key, witness], &[]);
    assert_eq!(
        (got.problems.len(), got.verdicts.freshness.verdict),
        (0, Freshness::NotProven),
        "another key of that name"
    );
}

#[test]
fn the_report_key_may_have_been_replaced() {
    let rotated = |_: &Ledger| {
        let (old, new) = (
            report_signer().vkey().to_string(),
            signer("ledger.example/a/reports", 6).vkey().to_string(),
        );
        json!({"purpose": "report", "old": old, "new": new})
    };
    let rotate = || vec![service("key.rotated", rotated)];
    let mut before = events();
    before.extend(rotate());
    let new = || signer("ledger.example/a/reports", 6);
    assert_eq!(
        check(
            &Build {
                events: before.clone(),
                report_key: new(),
                ..Build::default()
            }
            .run()
        )
        .problems,
        []
    );
    assert_eq!(
        first(&check(
            &Build {
                events: before,
                ..Build::default()
            }
            .run()
        )),
        Some(Code::EnvelopeSignature)
    );
    assert_eq!(
        check(
            &Build {
                after: rotate(),
                ..Build::default()
            }
            .run()
        )
        .problems,
        []
    );
    assert_eq!(
        first(&check(
            &Build {
                after: rotate(),
                report_key: new(),
                ..Build::default()
            }
            .run()
        )),
        Some(Code::EnvelopeSignature)
    );
    let again = |_: &Ledger| {
        let (old, new) = (
            signer("ledger.example/a/reports", 6).vkey().to_string(),
            signer("ledger.example/a/reports", 7).vkey().to_string(),
        );
        json!({"purpose": "report", "old": old, "new": new})
    };
    let mut after = rotate();
    after.push(service("key.rotated", again));
    assert_eq!(
        check(
            &Build {
                after,
                ..Build::default()
            }
            .run()
        )
        .problems,
        [],
        "two rotations after the report"
    );
}

#[test]
fn a_policy_needs_its_quorum_and_tells_since_when_it_stands() {
    use crate::ledger::Timestamp;
    use crate::ledger::policy::Policy;
    use crate::verify::Trust;
    let mut built = Build::default().run();
    let (early, late) = (1_767_323_045, 1_767_326_645);
    let (once, first_witness) = cosigned(&built.file.evidence.checkpoint, early, 8);
    let (twice, second_witness) = cosigned(&once, late, 9);
    let (_, third) = cosigned(&once, late, 10);
    let policy = Policy::parse(&format!(
        "log {}\nwitness a {first_witness}\nwitness b {second_witness}\nwitness c {third}\ngroup g 2 a b c\nquorum g\n",
        built.keys[0]
    ))
    .unwrap();
    let keys = policy.keys();
    let open = |built: &Built, keys: &[Vkey], outside: &[String], now: u64| {
        let trust = Trust {
            keys,
            policy: Some(&policy),
            outside,
            now: Timestamp::from_micros(i64::try_from(now).unwrap() * 1_000_000),
            ..Trust::default()
        };
        let check = report::open_by(built.text().as_bytes(), &trust, Some(&JUDGE)).check;
        assert_eq!(check.problems, []);
        (check.verdicts.freshness, check.as_of)
    };
    built.file.evidence.checkpoint = once.clone();
    let (one_of_two, as_of) = open(&built, &keys, &[], late);
    assert_eq!((one_of_two.verdict, as_of), (Freshness::NotProven, None));
    assert!(
        one_of_two.reason.starts_with("1 of the 3 witnesses"),
        "{}",
        one_of_two.reason
    );
    // A cosigned copy from elsewhere of the very checkpoint completes nothing here, but anchors and tells a time.
    let (kept, as_of) = open(&built, &keys, std::slice::from_ref(&twice), late);
    assert_eq!(kept.verdict, Freshness::Anchored);
    assert_eq!(as_of.as_deref(), Some("2026-01-02T03:04:05.000000Z"));
    built.file.evidence.checkpoint = twice;
    let (both, as_of) = open(&built, &keys, &[], late + 7_200);
    assert_eq!(both.verdict, Freshness::Witnessed);
    assert_eq!(
        as_of.as_deref(),
        Some("2026-01-02T03:04:05.000000Z"),
        "the quorum stands since its slowest member"
    );
    assert!(
        both.reason.ends_with("That is 3 hours ago."),
        "{}",
        both.reason
    );
    let (ahead, _) = open(&built, &keys, &[], early - 301);
    assert!(ahead.reason.contains("future"), "{}", ahead.reason);
}
