//! Posting: what is acknowledged is in the ledger once, and its receipt proves it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use whereas::event::COMMON_MEMBERS;
use whereas::verify::receipt::{EventCheck, verify};
use whereas::verify::{Committed, Integrity};

use crate::harness::{
    Client, LEDGER, OTHER, SOURCE, Service, at, full_event, proper_case, segment, simple,
};

/// Asserts that the answer's receipts prove the events that were posted.
#[track_caller]
fn proved(service: &Service, answer: &Value, events: &[Value]) {
    let items = answer["items"].as_array().unwrap();
    assert_eq!(items.len(), events.len());
    for (item, event) in items.iter().zip(events) {
        let disclosures: Vec<String> = serde_json::from_value(item["disclosures"].clone()).unwrap();
        let posted = serde_json::to_vec(event).unwrap();
        let check = EventCheck {
            event: &posted,
            disclosures: &disclosures,
            declared: COMMON_MEMBERS,
        };
        let keys = [service.vkey()];
        let found = verify(item["receipt"].as_str().unwrap(), &keys, Some(&check));
        assert!(!found.refused(), "{event}: {:#?}", found.problems);
        assert_eq!(found.integrity.verdict, Integrity::Intact);
        assert_eq!(found.event.verdict, Committed::Whole);
        assert_eq!(found.seq, item["seq"].as_u64());
        assert_eq!(found.leaf_hash.as_deref(), item["leaf_hash"].as_str());
    }
}

fn own_receipt(client: &Client, source: &str, id: &str) -> crate::harness::Answer {
    let (source, id) = (segment(source), segment(id));
    client.get(&at(&format!("/receipts?source={source}&id={id}")))
}

fn entry(auditor: &Client, seq: u64) -> Value {
    let item = auditor.get(&at(&format!("/entries/{seq}"))).json(200);
    serde_json::from_str(item["leaf"].as_str().unwrap()).unwrap()
}

#[test]
fn a_new_event_is_created_and_a_retry_gets_the_first_receipt() {
    let service = Service::new();
    let producer = service.producer();
    let event = full_event("e-1", "C-1");
    let first = producer.post(&at("/events"), &event);
    let made = first.json(201);
    assert_eq!(made["items"][0]["status"], "created");
    let seq = made["items"][0]["seq"].as_u64().unwrap();
    assert_eq!(first.header("location"), at(&format!("/entries/{seq}")));
    proved(&service, &made, std::slice::from_ref(&event));
    let size = service.size();
    // Other member order, other white space: the same event.
    let text = serde_json::to_string_pretty(&event).unwrap();
    let again = producer
        .post_bytes(&at("/events"), text.as_bytes())
        .json(200);
    assert_eq!(again["items"][0]["status"], "duplicate");
    for member in ["receipt", "seq", "leaf_hash", "disclosures"] {
        assert_eq!(again["items"][0][member], made["items"][0][member]);
    }
    assert_eq!(service.size(), size, "nothing was added");
    let fetched = own_receipt(&producer, SOURCE, "e-1");
    assert_eq!(fetched.ok(), made["items"][0]["receipt"]);
    own_receipt(&producer, SOURCE, "e-2").problem("not-found");
    own_receipt(&producer, "urn:other", "e-1").problem("not-found");
}

#[test]
fn minimal_answers_carry_no_proof() {
    let service = Service::new();
    let producer = service.producer();
    let headers = [
        ("content-type", "application/json"),
        ("prefer", "respond-async, return=minimal"),
    ];
    let body = serde_json::to_vec(&simple("e-1", "C-1")).unwrap();
    let answer = producer.send("POST", &at("/events"), &headers, body);
    assert_eq!(answer.header("preference-applied"), "return=minimal");
    let item = answer.json(201)["items"][0].clone();
    let members: Vec<&String> = item.as_object().unwrap().keys().collect();
    assert_eq!(members, ["leaf_hash", "seq", "status"]);
    own_receipt(&producer, SOURCE, "e-1").ok();
}

#[test]
fn a_batch_is_one_or_nothing_and_keeps_its_order() {
    let service = Service::new();
    let producer = service.producer();
    let case = proper_case("-batch");
    let made = producer.post(&at("/events"), &json!(case)).json(201);
    proved(&service, &made, &case);
    let seqs: Vec<u64> = made["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.windows(2).all(|w| w[1] == w[0] + 1), "{seqs:?}");
    let size = service.size_but_reads();

    let mut bad = simple("b-2", "C-1");
    bad["time"] = json!("yesterday-ish, around noon");
    let batch = json!([simple("b-1", "C-1"), bad, simple("b-3", "C-1")]);
    let refused = producer.post(&at("/events"), &batch);
    refused.problem("invalid-event");
    assert_eq!(refused.pointers(), ["/1/time"]);
    let mut foreign = simple("b-2", "C-1");
    foreign["source"] = json!("urn:foreign");
    let batch = json!([simple("b-1", "C-1"), foreign]);
    let refused = producer.post(&at("/events"), &batch);
    refused.problem("source-not-allowed");
    assert_eq!(refused.pointers(), ["/1/source"]);
    assert_eq!(
        service.size_but_reads(),
        size,
        "nothing of either was stored"
    );

    let batch = json!([
        simple("b-1", "C-1"),
        case[0],
        simple("b-3", "C-2"),
        simple("b-1", "C-1")
    ]);
    let mixed = producer.post(&at("/events"), &batch).json(200);
    let status = |i: usize| mixed["items"][i]["status"].as_str().unwrap();
    let all: Vec<&str> = (0..4).map(status).collect();
    assert_eq!(all, ["created", "duplicate", "created", "duplicate"]);
    assert_eq!(mixed["items"][0]["receipt"], mixed["items"][3]["receipt"]);
    assert_eq!(mixed["items"][1]["receipt"], made["items"][0]["receipt"]);
    assert_eq!(service.size_but_reads(), size + 2);
    let empty = producer.post(&at("/events"), &json!([])).json(200);
    assert_eq!(empty, json!({"items": []}));
}

#[test]
fn a_conflict_refuses_the_batch_and_is_recorded_once_without_content() {
    let service = Service::new();
    let (producer, auditor) = (service.producer(), service.reader("auditor"));
    let made = producer
        .post(&at("/events"), &simple("e-1", "C-1"))
        .json(201);
    let mut other = simple("e-1", "C-1");
    other["data"]["note"] = json!("SOMETHING-ELSE");
    let (size, told) = (service.size(), service.size_but_reads());
    let one = producer.post(&at("/events"), &other);
    let problem = one.problem("event-conflict");
    assert_eq!(problem["seq"], made["items"][0]["seq"]);
    assert_eq!(one.pointers(), [""]);
    assert_eq!(service.size(), size + 1, "the conflict is recorded");
    let leaf = entry(&auditor, size);
    assert_eq!(leaf["type"], "post.conflicted");
    assert_eq!(leaf.get("case"), None);
    let fact = json!({"count": 1, "entries": [made["items"][0]["seq"]]});
    assert_eq!(leaf["fact"], fact);
    let batch = json!([simple("e-2", "C-1"), other]);
    let refused = producer.post(&at("/events"), &batch);
    refused.problem("event-conflict");
    assert_eq!(refused.pointers(), ["/1"]);
    let mut twin = simple("e-3", "C-1");
    twin["data"]["note"] = json!("TWIN");
    let within = producer.post(&at("/events"), &json!([simple("e-3", "C-1"), twin]));
    within.problem("event-conflict");
    assert_eq!(within.pointers(), ["/0", "/1"]);
    assert_eq!(
        service.size_but_reads(),
        told + 1,
        "one entry a minute, nothing stored"
    );
    own_receipt(&producer, SOURCE, "e-2").problem("not-found");
}

#[test]
fn the_same_event_from_many_threads_is_one_entry() {
    let service = Service::new();
    let producer = service.producer();
    let size = service.size();
    let event = full_event("e-1", "C-1");
    let line = std::sync::Barrier::new(16);
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let one = || {
            let producer = producer.clone();
            line.wait();
            let answer = producer.post(&at("/events"), &event);
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            (answer.status, body)
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(service.size(), size + 1, "exactly one entry");
    let created = answers.iter().filter(|(status, _)| *status == 201).count();
    let duplicate = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!((created, duplicate), (1, 15));
    let receipts: BTreeSet<&str> = answers
        .iter()
        .map(|(_, a)| a["items"][0]["receipt"].as_str().unwrap())
        .collect();
    assert_eq!(receipts.len(), 1, "and one receipt");
}

#[test]
fn different_events_from_many_threads_are_all_recorded() {
    let service = Service::new();
    let producer = service.producer();
    let size = service.size();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (producer, service) = (producer.clone(), &service);
            scope.spawn(move || {
                for number in 0..8 {
                    // Two threads share a case that neither knew before.
                    let case = format!("C-{}", thread / 2);
                    let event = full_event(&format!("e-{thread}-{number}"), &case);
                    let made = producer.post(&at("/events"), &event).json(201);
                    proved(service, &made, std::slice::from_ref(&event));
                }
            });
        }
    });
    assert_eq!(service.size(), size + 64);
    let investigator = service.reader("investigator");
    for case in 0..4 {
        let why = investigator
            .get(&at(&format!("/cases/C-{case}/why")))
            .json(200);
        assert_eq!(why["verdicts"]["sequence"], "complete");
        let told = investigator.get(&at(&format!("/cases/C-{case}"))).json(200);
        assert_eq!(told["items"].as_array().unwrap().len(), 16);
    }
}

#[test]
fn the_flat_audit_event_is_taken() {
    let service = Service::new();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let flat = json!({
        "audit_event_id": "audit-1", "timestamp": "2026-01-01T00:00:00Z", "tenant_id": LEDGER, "user_id": "u-1",
        "request_id": "req-1", "trace_id": "tr-1", "action": "answer", "selected_source_ids": ["s-1"],
        "cited_source_ids": [], "model_versions": ["m 1"], "index_versions": [], "answer_status": "success"
    });
    let made = producer.post(&at("/events"), &flat).json(201);
    assert_eq!(
        producer.post(&at("/events"), &flat).json(200)["items"][0]["receipt"],
        made["items"][0]["receipt"]
    );
    let seq = made["items"][0]["seq"].as_u64().unwrap();
    let item = investigator.get(&at(&format!("/entries/{seq}"))).json(200);
    let event = &item["event"];
    assert_eq!(
        (&event["type"], &event["id"], &event["source"]),
        (&json!("ai.audit"), &json!("audit-1"), &json!(SOURCE))
    );
    assert_eq!(event["data"]["selected_source_ids"], json!(["s-1"]));
    // As the entry shows it, the event is the one that was committed to.
    proved(&service, &made, std::slice::from_ref(event));
    investigator.get(&at("/traces/tr-1/why")).json(200);
    let mut wrong = flat.clone();
    (wrong["audit_event_id"], wrong["tenant_id"]) = (json!("audit-2"), json!(OTHER));
    let refused = producer.post(&at("/events"), &wrong);
    refused.problem("invalid-event");
    assert_eq!(refused.pointers(), ["/tenant_id"]);
}

/// Events that are unusual, and must be kept exactly all the same.
fn odd_events() -> Vec<Value> {
    let base = |id: &str| json!({"id": id, "source": SOURCE, "type": "x.odd", "time": "2026-01-01T00:00:00Z"});
    let with = |id: &str, more: Value| {
        let mut event = base(id);
        for (name, value) in more.as_object().unwrap() {
            event[name] = value.clone();
        }
        event
    };
    vec![
        base("bare"),
        with("empty-data", json!({"data": {}})),
        with("null-actor", json!({"actor": null, "data": {"x": 1}})),
        with(
            "all-empty",
            json!({"actor": {}, "subject": {}, "data": {}, "case_id": "C-odd"}),
        ),
        with(
            "all-null",
            json!({"actor": null, "subject": null, "data": null, "case_id": null, "trace_id": null, "span_id": null, "refs": null, "sequence": null}),
        ),
        with(
            "null-inside",
            json!({"actor": {"id": null, "name": "n"}, "data": {"a": null, "b": {"c": null}}}),
        ),
        with(
            "odd-trace",
            json!({"trace_id": "tr-123", "span_id": "sp 1", "case_id": "C-odd"}),
        ),
        with(
            "odd-span",
            json!({"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "0000000000000000"}),
        ),
        with(
            "zero-trace",
            json!({"trace_id": "00000000000000000000000000000000", "span_id": "b7ad6b7169203331"}),
        ),
        with(
            "upper-trace",
            json!({"trace_id": "0AF7651916CD43DD8448EB211C80319C"}),
        ),
        with("lone-span", json!({"span_id": "b7ad6b7169203331"})),
        with("offset", json!({"time": "2026-01-01T01:30:00.5+01:30"})),
        with(
            "fine-time",
            json!({"time": "2026-01-01T00:00:00.123456789Z"}),
        ),
        with(
            "zero-fraction",
            json!({"time": "2026-01-01T00:00:00.500000Z"}),
        ),
        with(
            "minus-zero-offset",
            json!({"time": "2026-01-01T00:00:00-00:00"}),
        ),
        with(
            "ünï-cödé",
            json!({"case_id": "Fall №7/ä", "actor": {"name": "Žofie Ω 李"}, "data": {"ключ": "значение"}}),
        ),
        with(
            "emoji",
            json!({"🦉": "🦉🏽", "data": {"👩‍👩‍👧": {"🔑": ["🗝️"]}}, "actor": {"🎭": "x"}}),
        ),
        with(
            "names",
            json!({"a/b": 1, "~": 2, "": 3, "data": {"": 1, "a/b": {"": 2}, "~1": 3, "\u{0}\n\"\\": 4}}),
        ),
        with(
            "ext",
            json!({"ext": {"data": 1}, "type2": "x", "_": [], "sd": "_sd"}),
        ),
        with(
            "numbers",
            json!({"data": {"a": 0.1, "b": -0.0, "c": 1e21, "d": 9_007_199_254_740_991_i64, "e": -1.5e-7, "f": 5e-324}}),
        ),
        with(
            "lists",
            json!({"refs": [], "causes": [], "data": {"l": [], "m": [[]], "n": [{}], "o": [{"p": [{"q": [{}, {}]}]}], "r": [{"a": 1}, 2], "s": [[{"t": 1}]]}}),
        ),
        with(
            "same-elements",
            json!({"data": {"l": [{"a": 1}, {"a": 1}], "m": [{"a": 1}]}}),
        ),
    ]
}

#[test]
fn odd_events_are_kept_exactly_and_proved() {
    let service = Service::new();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    for event in odd_events() {
        let made = producer.post(&at("/events"), &event).json(201);
        proved(&service, &made, std::slice::from_ref(&event));
        let seq = made["items"][0]["seq"].as_u64().unwrap();
        let item = investigator.get(&at(&format!("/entries/{seq}"))).json(200);
        let shown = &item["event"];
        assert_eq!(without_time(shown), without_time(&event));
        let time =
            |e: &Value| whereas::ledger::Timestamp::parse_rfc3339(e["time"].as_str().unwrap());
        assert_eq!(time(shown), time(&event), "{event}");
        let retried = producer.post(&at("/events"), &event).json(200);
        assert_eq!(retried["items"][0]["receipt"], made["items"][0]["receipt"]);
    }
    let told = |path: &str| {
        investigator.get(&at(path)).json(200)["items"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        told("/traces/tr-123"),
        2,
        "the trace's case has two entries"
    );
    investigator.get(&at("/traces/tr-123/why")).json(200);
    assert_eq!(told("/events?trace=tr-123"), 1);
    assert_eq!(told("/events?trace=0af7651916cd43dd8448eb211c80319c"), 1);
    assert_eq!(told("/events?trace=0AF7651916CD43DD8448EB211C80319C"), 1);
    assert_eq!(told(&format!("/cases/{}", segment("Fall №7/ä"))), 1);
    assert_eq!(told(&format!("/events?case={}", segment("Fall №7/ä"))), 1);
}

/// An event without its time, which the leaf may state in another form; canonical, since -0.0 and 0 are one number.
fn without_time(event: &Value) -> String {
    let mut event = event.clone();
    event.as_object_mut().unwrap().remove("time");
    whereas::json::canonical(&event)
}

#[test]
fn reports_on_odd_events_verify() {
    let service = Service::new();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let auditor = service.reader("auditor");
    let mut events = odd_events();
    for event in &mut events {
        event["case_id"] = json!("C-odd");
    }
    producer.post(&at("/events"), &json!(events)).json(201);
    let why = investigator.get(&at("/cases/C-odd/why")).json(200);
    let case = format!("~{}", why["case"].as_str().unwrap());
    for reader in [&investigator, &auditor] {
        let order = json!({"subject": {"case": case}, "purpose": "A test"});
        let issued = reader.post(&at("/reports"), &order).json(201);
        let file = reader.get(issued["href"].as_str().unwrap());
        let check =
            whereas::verify::report::verify(file.ok().as_bytes(), &[service.vkey()], &[], None);
        assert!(!check.refused(), "{:#?}", check.problems);
    }
}

#[test]
fn tokens_post_to_their_own_ledger_for_their_own_sources() {
    let service = Service::new();
    let producer = service.producer();
    let two = json!({"role": "producer", "ledgers": [LEDGER], "sources": [SOURCE, "urn:two"]});
    let two = service.client(Some(&service.token(&two)));
    producer
        .post(&format!("/v1/ledgers/{OTHER}/events"), &simple("e", "C"))
        .problem("not-found");
    producer
        .post("/v1/ledgers/none/events", &simple("e", "C"))
        .problem("not-found");
    let mut event = simple("e", "C");
    event["source"] = json!("urn:two");
    let refused = producer.post(&at("/events"), &event);
    refused.problem("source-not-allowed");
    assert_eq!(refused.pointers(), ["/source"]);
    two.post(&at("/events"), &event).json(201);
    event["source"] = json!(format!("ledger.example/{LEDGER}"));
    two.post(&at("/events"), &event)
        .problem("source-not-allowed");
    let flat =
        json!({"audit_event_id": "a", "timestamp": "2026-01-01T00:00:00Z", "tenant_id": LEDGER});
    let refused = two.post(&at("/events"), &flat);
    refused.problem("invalid-event");
    assert_eq!(refused.pointers(), ["/source"]);
}
