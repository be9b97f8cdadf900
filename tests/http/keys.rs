//! Replacing signing keys of a running service: what was handed out before still verifies, and what comes after does so
//! with the key that was pinned before.

use serde_json::json;
use whereas::ledger::note::Vkey;
use whereas::verify::format::BridgesFile;
use whereas::verify::report::open_by;
use whereas::verify::{Code, ReportCheck, Trust, receipt};

use crate::harness::*;

fn report(service: &Service, case: &str) -> String {
    let reader = service.reader("investigator");
    let order = json!({"subject": {"case": case}, "purpose": "review"});
    let issued = reader.post(&at("/reports"), &order).json(201);
    issued["href"].as_str().unwrap().to_owned()
}

fn check(file: &str, pinned: &[&Vkey], bridges: Option<&BridgesFile>) -> ReportCheck {
    let keys: Vec<Vkey> = pinned.iter().map(|k| (*k).clone()).collect();
    let trust = Trust {
        keys: &keys,
        bridges,
        ..Trust::default()
    };
    open_by(file.as_bytes(), &trust, None).check
}

#[test]
fn what_was_handed_out_before_a_rotation_verifies_and_what_comes_after_does_too() {
    let mut service = Service::new();
    let producer = service.producer();
    let old = service.vkey();
    let events = proper_case("-k");
    let case = events[0]["case_id"].as_str().unwrap().to_owned();
    let posted = producer.post(&at("/events"), &json!(events));
    let first = posted.json(201)["items"][0]["receipt"].clone();
    let href = report(&service, &case);
    let reader = service.reader("investigator");
    let before = reader.get(&href).ok().to_owned();

    let admin = service.administrator();
    let rotate = |body| admin.post(&at("/keys/rotations"), &body);
    let done = rotate(json!({"purpose": "checkpoint"})).json(201);
    assert_eq!(
        (&done["old"], &done["destroyed"]),
        (&json!(old.to_string()), &json!(true))
    );
    rotate(json!({"purpose": "report", "reason": "custody_changed"})).json(201);
    let new = service.vkey();
    assert_eq!(done["new"], json!(new.to_string()));
    assert_ne!(old, new);

    // Before: receipt and file as they were handed out, with the old key.
    let good = receipt::verify(first.as_str().unwrap(), std::slice::from_ref(&old), None);
    assert_eq!(good.problems, []);
    assert_eq!(check(&before, &[&old], None).problems, []);
    // The same report with evidence of today, and a report of today: with either key.
    let later = report(&service, &case);
    for href in [&href, &later] {
        let file = reader.get(href).ok().to_owned();
        assert_eq!(check(&file, &[&old], None).problems, []);
        assert_eq!(check(&file, &[&new], None).problems, []);
    }
    // A receipt of today needs the bridges, or the new key.
    let posted = producer.post(&at("/events"), &simple("after-the-change", "C-2"));
    let receipt_now = posted.json(201)["items"][0]["receipt"].clone();
    let receipt_now = receipt_now.as_str().unwrap();
    let text = service.producer().get(&at("/keys/bridges")).ok().to_owned();
    let bridges = BridgesFile::decode(text.as_bytes()).unwrap();
    assert_eq!(bridges.bridges.len(), 1);
    let with = |key: &Vkey, bridges| {
        let trust = Trust {
            keys: std::slice::from_ref(key),
            bridges,
            ..Trust::default()
        };
        let got = receipt::verify_by(receipt_now, &trust, None);
        got.problems.first().map(|p| p.code)
    };
    assert_eq!(with(&new, None), None);
    assert_eq!(with(&old, None), Some(Code::CheckpointKey));
    assert_eq!(with(&old, Some(&bridges)), None);
    assert_eq!(check(&before, &[&old], Some(&bridges)).problems, []);

    // What the service tells, also after a restart.
    service.restart();
    let keys = service.producer().get(&at("/keys")).json(200);
    assert_eq!(keys["checkpoint"], json!(new.to_string()));
    let history = keys["history"].as_array().unwrap();
    assert_eq!(history.len(), 4);
    assert_eq!(history[0]["vkey"], json!(old.to_string()));
    assert_eq!(history[0]["to"], json!(done["seq"].as_u64().unwrap() + 1));
    assert_eq!(history[1]["from"], history[0]["to"]);
    assert!(history[1].get("to").is_none());
}

#[test]
fn a_rotation_that_is_not_asked_for_properly_changes_nothing() {
    let service = Service::new();
    let old = service.vkey();
    let admin = service.administrator();
    for body in [
        json!({"purpose": "dinner"}),
        json!({"purpose": "checkpoint", "reason": "boredom"}),
        json!({"purpose": "checkpoint", "compromised_since": "yesterday"}),
        json!({"purpose": "checkpoint", "compromised_since": "9000-01-01T00:00:00Z"}),
        json!({"purpose": "checkpoint", "key": "x"}),
        json!({}),
    ] {
        admin.post(&at("/keys/rotations"), &body).json(422);
    }
    let body = json!({"purpose": "checkpoint"});
    service
        .reader("auditor")
        .post(&at("/keys/rotations"), &body)
        .json(403);
    assert_eq!(service.vkey(), old);
}
