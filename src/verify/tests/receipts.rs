//! Receipts, and what a poster can prove with the disclosures.

use serde_json::{Value, json};

use super::builder::*;
use super::*;
use crate::ledger::disclosure::Disclosures;
use crate::ledger::receipt::Receipt;
use crate::ledger::{Hash, Leaf, Timestamp};
use crate::verify::receipt::{EventCheck, verify};
use crate::verify::{Committed, Integrity, ReceiptCheck, words};

const DECLARED: [&str; 8] = [
    "id", "source", "time", "case_id", "feature", "trace_id", "span_id", "refs",
];

fn posted() -> Value {
    json!({
        "id": "e-1", "source": "urn:flow", "type": "authorization.decided", "time": "2026-01-02T03:04:05.5Z",
        "case_id": "C-0", "trace_id": TRACE.to_hex(), "span_id": "0505050505050505", "feature": null, "colour": "red",
        "refs": [{"kind": "ticket"}, {"kind": "document"}],
        "actor": {"name": "A. Person", "role": null}, "data": {"result": "allowed", "a/b": 1.5, "nested": {"x": [1, 2]}}
    })
}

struct Given {
    receipt: Receipt,
    disclosures: Vec<String>,
}

/// A ledger that holds the posted event at position 3 of 5.
fn given(change: impl Fn(&mut Leaf, &mut Vec<(&'static str, Value)>)) -> Given {
    let mut members = vec![
        ("/id", json!("e-1")),
        ("/source", json!("urn:flow")),
        ("/case_id", json!("C-0")),
        ("/ext/colour", json!("red")),
        ("/refs", json!([{"kind": "ticket"}, {"kind": "document"}])),
        ("/actor/name", json!("A. Person")),
        ("/data/result", json!("allowed")),
        ("/data/a~1b", json!(1.5)),
        ("/data/nested", json!({"x": [1, 2]})),
    ];
    let mut ledger = Ledger::default();
    for e in &events()[..3] {
        let (leaf, d) = ledger.leaf(e);
        ledger.append(leaf.encode(), d);
    }
    let (mut scratch, _) = ledger.leaf(&event("authorization.decided", Some(0), &[]));
    change(&mut scratch, &mut members);
    let e = Event {
        members,
        ..event("authorization.decided", Some(0), &[])
    };
    let (mut leaf, d): (Leaf, Disclosures) = ledger.leaf(&e);
    leaf.occurred = Timestamp::parse_rfc3339("2026-01-02T03:04:05.5Z").unwrap();
    change(&mut leaf, &mut Vec::new());
    ledger.append(leaf.encode(), d);
    let (after, d) = ledger.leaf(&event("run.concluded", Some(1), &[]));
    ledger.append(after.encode(), d);
    Given {
        receipt: Receipt {
            leaf: ledger.leaves[3].clone().into_bytes(),
            index: 3,
            path: ledger.path(3),
            checkpoint: ledger.checkpoint(5).sign(&checkpoint_signer()),
        },
        disclosures: ledger.disclosures[3].clone(),
    }
}

fn sound() -> Given {
    given(|_, _| {})
}

fn checked(given: &Given, event: &Value) -> ReceiptCheck {
    let event = event.to_string();
    let check = EventCheck {
        event: event.as_bytes(),
        disclosures: &given.disclosures,
        declared: &DECLARED,
    };
    verify(
        &given.receipt.encode(),
        &[checkpoint_signer().vkey().clone()],
        Some(&check),
    )
}

fn codes(check: &ReceiptCheck) -> Vec<(Code, &str)> {
    check
        .problems
        .iter()
        .map(|p| (p.code, p.place.as_str()))
        .collect()
}

#[test]
fn a_sound_receipt_and_its_event() {
    let got = checked(&sound(), &posted());
    assert_eq!(got.problems, []);
    assert_eq!(
        (got.integrity.verdict, got.event.verdict),
        (Integrity::Intact, Committed::Whole)
    );
    assert_eq!((got.seq, got.checkpoint_size), (Some(3), Some(5)));
    assert!(words::receipt(&got).contains("entry 3 of ledger.example/a"));
    let bare = verify(
        &sound().receipt.encode(),
        &[checkpoint_signer().vkey().clone()],
        None,
    );
    assert_eq!(
        (bare.problems.len(), bare.event.verdict),
        (0, Committed::NotChecked)
    );
}

#[test]
fn a_tampered_receipt_is_refused() {
    let refused = |code: Code, change: &dyn Fn(&mut Receipt)| {
        let mut given = sound();
        change(&mut given.receipt);
        let got = checked(&given, &posted());
        assert_eq!(
            got.problems.first().map(|p| p.code),
            Some(code),
            "{:#?}",
            got.problems
        );
        assert_eq!(
            (got.integrity.verdict, got.event.verdict, got.seq),
            (Integrity::Broken, Committed::NotChecked, None)
        );
        assert!(words::receipt(&got).starts_with("refused: "));
    };
    refused(Code::ReceiptInclusion, &|r| r.path[0].0[0] ^= 1);
    refused(Code::ReceiptInclusion, &|r| {
        r.path.pop();
    });
    refused(Code::ReceiptInclusion, &|r| {
        r.leaf = String::from_utf8(r.leaf.clone())
            .unwrap()
            .replace("05.500000Z", "06.500000Z")
            .into_bytes()
    });
    refused(Code::ReceiptIndex, &|r| r.index = 2);
    refused(Code::LeafNotCanonical, &|r| r.leaf.push(b' '));
    refused(Code::LeafForm, &|r| r.leaf.clear());
    refused(Code::CheckpointKey, &|r| {
        r.checkpoint = r
            .checkpoint
            .replace("— ledger.example/a", "— ledger.example/b")
    });
    refused(Code::CheckpointSignature, &|r| {
        r.checkpoint = r.checkpoint.replacen("\n5\n", "\n6\n", 1)
    });
    refused(Code::LedgerForeign, &|r| {
        r.checkpoint = r
            .checkpoint
            .replacen("ledger.example/a", "ledger.example/b", 1)
    });
    refused(Code::CheckpointForm, &|r| r.checkpoint.clear());
    let got = verify("c2sp.org/tlog-proof@v2\n", &[], None);
    assert_eq!(
        got.problems.first().map(|p| p.code),
        Some(Code::ReceiptForm)
    );
}

#[test]
fn a_leaf_of_another_ledger_is_refused() {
    let other = given(|leaf, _| leaf.ledger = "ledger.example/b".into());
    assert_eq!(
        codes(&checked(&other, &posted())).first(),
        Some(&(Code::LeafOrigin, "extra"))
    );
}

#[test]
fn every_member_is_compared() {
    let sound = sound();
    let differs = |pointer: &str, value: Value, want: (Code, &str)| {
        let mut event = posted();
        *event.pointer_mut(pointer).unwrap() = value;
        let got = checked(&sound, &event);
        assert_eq!(codes(&got), [want], "{pointer}");
        assert_eq!(
            (got.integrity.verdict, got.event.verdict),
            (Integrity::Intact, Committed::Differs)
        );
    };
    differs("/id", json!("e-2"), (Code::EventDiffers, "/id"));
    differs(
        "/type",
        json!("approval.decided"),
        (Code::EventDiffers, "/type"),
    );
    differs(
        "/time",
        json!("2026-01-02T03:04:05.6Z"),
        (Code::EventDiffers, "/time"),
    );
    differs(
        "/time",
        json!("2026-01-02T04:04:05.5+01:00"),
        (Code::EventAbsent, "/time"),
    );
    differs(
        "/span_id",
        json!("0505050505050506"),
        (Code::EventDiffers, "/span_id"),
    );
    differs(
        "/trace_id",
        json!("run 7"),
        (Code::EventAbsent, "/trace_id"),
    );
    differs(
        "/actor/role",
        json!("clerk"),
        (Code::EventAbsent, "/actor/role"),
    );
    differs(
        "/actor/name",
        Value::Null,
        (Code::EventAdded, "/actor/name"),
    );
    differs(
        "/data/a~1b",
        json!(1.25),
        (Code::EventDiffers, "/data/a~1b"),
    );
    differs(
        "/data/nested/x/1",
        json!(3),
        (Code::EventDiffers, "/data/nested"),
    );
    differs(
        "/refs/1/kind",
        json!("trace"),
        (Code::EventDiffers, "/refs"),
    );
    differs(
        "/colour",
        json!("blue"),
        (Code::EventDiffers, "/ext/colour"),
    );
    differs("/feature", json!("x"), (Code::EventAbsent, "/feature"));
    let got = checked(&sound, &json!([]));
    assert_eq!(codes(&got), [(Code::EventForm, "event")]);
}

#[test]
fn disclosures_must_be_all_and_only_those_committed_to() {
    for change in [
        |d: &mut Vec<String>| d.truncate(1),
        |d: &mut Vec<String>| d.push(d[0].clone()),
        |d: &mut Vec<String>| d[0].push('='),
        |d: &mut Vec<String>| {
            d.retain(|d| crate::ledger::disclosure::decode(d).is_ok_and(|d| d.pointer.is_some()))
        },
        |d: &mut Vec<String>| {
            d.push(crate::ledger::disclosure::encode(
                r#"["AAAAAAAAAAAAAAAAAAAAAQ",{"x":1}]"#,
            ))
        },
        |d: &mut Vec<String>| {
            d.push(crate::ledger::disclosure::encode(
                r#"["AAAAAAAAAAAAAAAAAAAAAQ","/x",1]"#,
            ))
        },
    ] {
        let mut given = sound();
        change(&mut given.disclosures);
        assert_eq!(
            codes(&checked(&given, &posted())),
            [(Code::EventDisclosures, "disclosures")]
        );
    }
}

#[test]
fn members_at_places_of_no_event_are_refused() {
    for at in [
        "/colour",
        "/",
        "/ext/feature",
        "/data/a/b",
        "/type",
        "/ext",
        "/data",
    ] {
        let given = given(|_, members| members.push((at, json!("x"))));
        let refused = [(Code::EventDisclosures, "disclosures")];
        assert_eq!(codes(&checked(&given, &posted())), refused, "{at}");
    }
    for value in [
        json!({"...": "not a digest"}),
        json!({"a": [{"...": Hash([7; 32]).to_b64url()}, 1]}),
        json!({"_sd": []}),
    ] {
        let given = given(|_, members| members.push(("/data/odd", value.clone())));
        let refused = [(Code::EventDisclosures, "disclosures")];
        assert_eq!(codes(&checked(&given, &posted())), refused, "{value}");
    }
}

#[test]
fn a_file_that_is_no_text_is_no_receipt() {
    let mut bytes = sound().receipt.encode().into_bytes();
    let keys = [checkpoint_signer().vkey().clone()];
    assert!(!verify(&bytes, &keys, None).refused());
    bytes[30] = 0xff;
    let got = verify(&bytes, &keys, None);
    assert_eq!(codes(&got), [(Code::ReceiptForm, "receipt")]);
}

#[test]
fn an_object_without_members_is_one_disclosure() {
    let given = given(|_, members| {
        members.push(("/subject", json!({})));
    });
    let mut event = posted();
    event["subject"] = json!({});
    assert_eq!(codes(&checked(&given, &event)), []);
    event["subject"] = Value::Null;
    let added = [(Code::EventAdded, "/subject")];
    assert_eq!(codes(&checked(&given, &event)), added);
    event["subject"] = json!({"id": "p"});
    let both = [(Code::EventAbsent, "/subject/id"), added[0]];
    assert_eq!(codes(&checked(&given, &event)), both);
    let whole = [(Code::EventAbsent, "/subject")];
    event["subject"] = json!({});
    assert_eq!(codes(&checked(&sound(), &event)), whole);
}

#[test]
fn what_the_leaf_cannot_say_is_content() {
    let given = given(|leaf, members| {
        members.push(("/time", json!("2026-01-02T04:04:05.5+01:00")));
        members.push(("/trace_id", json!("run 7")));
        leaf.case = None;
    });
    let mut event = posted();
    event["time"] = json!("2026-01-02T04:04:05.5+01:00");
    event["trace_id"] = json!("run 7");
    let got = checked(&given, &event);
    assert_eq!(
        codes(&got),
        [(Code::EventDiffers, "/case_id")],
        "the leaf was given no case"
    );
}
