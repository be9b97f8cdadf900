//! Every finding of the corpus, over HTTP: a record with the defect tells its code, the same record without does not.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use whereas::judge::{self, Judgement, Profile};
use whereas::verify;

use crate::findings::{Fixture, load_all, renamed};
use crate::harness::{Client, LEDGER, Service, at, segment};

fn fixtures() -> Vec<Fixture> {
    load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings"))
}

/// A record under names of its own: events, cases and traces.
fn own(events: &[Value], suffix: &str) -> Vec<Value> {
    let mut events = renamed(events, suffix);
    for event in &mut events {
        let trace = event.get("trace_id").and_then(Value::as_str);
        let trace = trace.map(|t| format!("{t}{suffix}"));
        if let Some(trace) = trace {
            event["trace_id"] = json!(trace);
        }
    }
    events
}

fn post(producer: &Client, events: &[Value]) {
    let answer = producer.post(&at("/events"), &json!(events));
    let items = answer.json(201)["items"].as_array().unwrap().len();
    assert_eq!(items, events.len());
}

/// Where to ask about a record.
fn place(ask: &str, events: &[Value]) -> String {
    let member = if ask == "trace" {
        "trace_id"
    } else {
        "case_id"
    };
    let name = events.iter().find_map(|e| e[member].as_str()).unwrap();
    at(&format!("/{ask}s/{}/why", segment(name)))
}

fn codes(answer: &Value) -> BTreeSet<String> {
    let findings = answer["findings"].as_array().unwrap();
    let code = |f: &Value| f["code"].as_str().unwrap().to_owned();
    findings.iter().map(code).collect()
}

#[test]
fn each_finding_is_told_of_the_record_with_the_defect_and_not_of_the_one_without() {
    let service = Service::new();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let auditor = service.reader("auditor");
    let fixtures = fixtures();
    assert!(fixtures.len() > 40, "the corpus is there");
    let mut wrong = Vec::new();
    for (number, fixture) in fixtures.iter().enumerate() {
        assert_eq!(fixture.differences, 1, "{}: one fact", fixture.code);
        let ask = |events: &[Value], suffix: &str| {
            let events = own(events, suffix);
            post(&producer, &events);
            investigator.get(&place(&fixture.ask, &events)).json(200)
        };
        let with = ask(&fixture.with, &format!("-{number}w"));
        let without = ask(&fixture.without, &format!("-{number}o"));
        let (told, untold) = (codes(&with), codes(&without));
        if !told.contains(&fixture.code) || untold.contains(&fixture.code) {
            let both: Vec<_> = told.symmetric_difference(&untold).collect();
            wrong.push(format!(
                "{} ({}): with {told:?}, without {untold:?}, apart {both:?}",
                fixture.code, fixture.why
            ));
        }
        if !untold.is_subset(&told) {
            let lost: Vec<_> = untold.difference(&told).collect();
            wrong.push(format!("{}: the defect hides {lost:?}", fixture.code));
        }
        // Who reads no content gets the same codes and verdicts, by the case's pseudonym.
        if let Some(case) = with["case"].as_str() {
            let seen = auditor.get(&at(&format!("/cases/~{case}/why"))).json(200);
            assert_eq!(seen["verdicts"], with["verdicts"], "{}", fixture.code);
            if fixture.ask == "case" {
                assert_eq!(codes(&seen), told, "{}", fixture.code);
            }
        }
        for sentence in with["findings"].as_array().unwrap() {
            let text = sentence["sentence"].as_str().unwrap();
            assert!(!text.is_empty() && !text.contains("{"), "{text}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub fn judge_again(
    subject: &judge::Subject,
    entries: &[judge::Entry],
    profile: &Value,
) -> Result<Judgement, String> {
    let profile = Profile::parse(profile.to_string().as_bytes()).map_err(|e| e.to_string())?;
    Ok(judge::judge(subject, entries, &profile))
}

#[test]
fn reports_on_defects_verify_offline_and_are_judged_again() {
    let service = Service::new();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let chosen = [
        "approval.after_action",
        "citation.quote_absent",
        "missing.case",
        "missing.model_version",
        "time.backdated",
    ];
    for fixture in fixtures() {
        if !chosen.contains(&fixture.code.as_str()) {
            continue;
        }
        let events = own(&fixture.with, &format!("-{}", fixture.code));
        post(&producer, &events);
        let member = if fixture.ask == "trace" {
            "trace_id"
        } else {
            "case_id"
        };
        let name = events.iter().find_map(|e| e[member].as_str()).unwrap();
        let order = json!({"subject": {&fixture.ask: name}, "purpose": "A test"});
        let issued = investigator.post(&at("/reports"), &order).json(201);
        let found = issued["findings"].as_array().unwrap();
        assert!(found.contains(&json!(fixture.code)), "{issued}");
        let file = investigator.get(issued["href"].as_str().unwrap());
        let keys = [service.vkey()];
        let check = verify::report::verify(file.ok().as_bytes(), &keys, &[], Some(&judge_again));
        assert!(!check.refused(), "{}: {:#?}", fixture.code, check.problems);
        let verdicts = &check.verdicts;
        assert_eq!(verdicts.integrity.verdict, verify::Integrity::Intact);
        for judged in [&verdicts.elements, &verdicts.controls] {
            assert_eq!(judged.basis, verify::Basis::Recomputed, "{}", fixture.code);
        }
        let sequence = if fixture.ask == "case" {
            verify::Sequence::Complete
        } else {
            verify::Sequence::NotEstablished
        };
        assert_eq!(verdicts.sequence.verdict, sequence, "{}", fixture.code);
        let bad = issued["elements"] == "bad" || issued["controls"] == "bad";
        assert!(bad, "{}: {issued}", fixture.code);
        let heading = check.report.expect("a heading");
        assert_eq!(heading.ledger, format!("ledger.example/{LEDGER}"));
    }
}
