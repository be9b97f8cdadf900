//! What was acknowledged is there, whatever becomes of the process.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{
    LEDGER, Process, SOURCE, Service, at, full_event, proper_case, segment, simple, until,
};

#[test]
fn after_a_restart_everything_is_as_it_was() {
    let mut service = Service::new();
    let tokens = [
        service.producer(),
        service.reader("investigator"),
        service.reader("auditor"),
    ]
    .map(|c| c.token().to_owned());
    let clients = |service: &Service| tokens.clone().map(|t| service.client(Some(&t)));
    let [producer, investigator, auditor] = clients(&service);
    let events = proper_case("-r");
    let case = events[0]["case_id"].as_str().unwrap().to_owned();
    let mut posted = vec![];
    for event in &events {
        posted.push(producer.post(&at("/events"), event).json(201)["items"][0].clone());
    }
    let order = json!({"subject": {"case": case}, "purpose": "A test"});
    let issued = investigator.post(&at("/reports"), &order).json(201);
    let href = issued["href"].as_str().unwrap().to_owned();
    let report = investigator.get(&href).json(200);
    let why = investigator
        .get(&at(&format!("/cases/{case}/why")))
        .json(200);
    let all = auditor.get(&at("/events?limit=1000")).json(200);

    service.restart();
    let [producer, investigator, auditor] = clients(&service);
    for (event, item) in events.iter().zip(&posted) {
        let again = producer.post(&at("/events"), event).json(200)["items"][0].clone();
        for member in ["receipt", "seq", "leaf_hash", "disclosures"] {
            assert_eq!(again[member], item[member]);
        }
        let query = format!(
            "/receipts?source={}&id={}",
            segment(SOURCE),
            segment(event["id"].as_str().unwrap())
        );
        assert_eq!(producer.get(&at(&query)).ok(), item["receipt"]);
    }
    let now = investigator.get(&href).json(200);
    assert_eq!(
        (&now["envelope"], &now["disclosures"]),
        (&report["envelope"], &report["disclosures"])
    );
    let after = auditor.get(&at("/events?limit=1000")).json(200);
    let (after, before) = (
        after["items"].as_array().unwrap(),
        all["items"].as_array().unwrap(),
    );
    assert_eq!(&after[..before.len()], before, "nothing was changed");
    for item in &after[before.len()..] {
        let leaf = item["leaf"].as_str().unwrap();
        assert!(leaf.contains("\"record.accessed\""), "{leaf}");
    }
    let mut again = investigator
        .get(&at(&format!("/cases/{case}/why")))
        .json(200);
    for member in ["answer", "findings", "verdicts", "case", "profile"] {
        assert_eq!(again[member].take(), why[member], "{member}");
    }
    // The case goes on under its pseudonym, and the ledger where it stood.
    let size = service.size();
    let more = producer
        .post(&at("/events"), &simple("more", &case))
        .json(201);
    assert_eq!(more["items"][0]["seq"], size);
    let told = investigator.get(&at(&format!("/cases/{case}"))).json(200);
    assert_eq!(told["case"], why["case"]);
    assert_eq!(told["items"].as_array().unwrap().len(), events.len() + 2);
}

/// Posts from many threads until the process ends in the midst of it; gives each acknowledged id with its receipt,
/// and how many posts were sent in all.
fn interrupted(
    process: &mut Process,
    token: &str,
    end: impl FnOnce(&mut Process),
) -> (BTreeMap<String, Value>, Vec<String>) {
    let acknowledged = Mutex::new(BTreeMap::new());
    let sent = Mutex::new(Vec::new());
    let (count, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let client = process.client(token);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (client, acknowledged, sent, count, over) =
                (client.clone(), &acknowledged, &sent, &count, &over);
            scope.spawn(move || {
                for number in 0.. {
                    let id = format!("e-{thread}-{number}");
                    let event = full_event(&id, &format!("C-{}", thread % 3));
                    sent.lock().unwrap().push(id.clone());
                    let headers = [("content-type", "application/json")];
                    let answer = client.try_send(
                        "POST",
                        &at("/events"),
                        &headers,
                        event.to_string().into_bytes(),
                    );
                    match answer {
                        Ok(answer) if answer.status == 201 => {
                            let item = answer.json(201)["items"][0].clone();
                            acknowledged.lock().unwrap().insert(id, item);
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(answer) => {
                            answer.problem("unavailable");
                            return;
                        }
                        Err(_) => {
                            assert!(
                                over.load(Ordering::SeqCst),
                                "only the end breaks connections"
                            );
                            return;
                        }
                    }
                }
            });
        }
        until("a hundred posts", || count.load(Ordering::SeqCst) >= 100);
        over.store(true, Ordering::SeqCst);
        end(process);
    });
    (
        acknowledged.into_inner().unwrap(),
        sent.into_inner().unwrap(),
    )
}

/// Starts again, and finds each acknowledged event once, with its receipt.
fn nothing_was_lost_or_doubled(
    process: &mut Process,
    token: &str,
    auditor: &str,
    acknowledged: &BTreeMap<String, Value>,
    sent: &[String],
) {
    process.start();
    let (producer, auditor) = (process.client(token), process.client(auditor));
    for (id, item) in acknowledged {
        let query = format!("/receipts?source={}&id={id}", segment(SOURCE));
        assert_eq!(producer.get(&at(&query)).ok(), item["receipt"], "{id}");
    }
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = auditor
            .get(&at(&format!(
                "/events?type=request.received&limit=1000{cursor}"
            )))
            .json(200);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(items.len() >= acknowledged.len() && items.len() <= sent.len());
    let mut eids: Vec<Value> = items
        .iter()
        .map(|i| serde_json::from_str::<Value>(i["leaf"].as_str().unwrap()).unwrap()["eid"].clone())
        .collect();
    eids.sort_by_key(Value::to_string);
    eids.dedup();
    assert_eq!(eids.len(), items.len(), "none stands twice");
    // Whoever got no answer sends again, and each is recorded once.
    let before = auditor.get(&at("")).json(200)["size"].as_u64().unwrap();
    let mut created = 0;
    for id in sent {
        let thread: usize = id.split('-').nth(1).unwrap().parse().unwrap();
        let event = full_event(id, &format!("C-{}", thread % 3));
        let answer = producer.post(&at("/events"), &event);
        created += u64::from(answer.status == 201);
        assert!(
            answer.status == 200 || !acknowledged.contains_key(id),
            "{id}"
        );
    }
    let after = auditor.get(&at("")).json(200)["size"].as_u64().unwrap();
    assert_eq!(after - before, created);
    assert_eq!(items.len() as u64 + created, sent.len() as u64);
}

fn tokens(process: &Process) -> (String, String) {
    let producer = json!({"role": "producer", "ledgers": [LEDGER], "sources": [SOURCE]});
    let auditor = json!({"role": "auditor", "ledgers": [LEDGER], "all_cases": true});
    (process.token(&producer), process.token(&auditor))
}

#[test]
fn an_orderly_end_finishes_what_was_taken() {
    let mut process = Process::new();
    let (producer, auditor) = tokens(&process);
    let (acknowledged, sent) = interrupted(&mut process, &producer, |p| {
        let status = p.terminate();
        assert!(status.success(), "{status}: {}", p.log());
    });
    assert!(!process.log().contains("ERROR"), "{}", process.log());
    nothing_was_lost_or_doubled(&mut process, &producer, &auditor, &acknowledged, &sent);
}

#[test]
fn a_crash_loses_nothing_that_was_acknowledged() {
    let mut process = Process::new();
    let (producer, auditor) = tokens(&process);
    let (acknowledged, sent) = interrupted(&mut process, &producer, Process::kill);
    nothing_was_lost_or_doubled(&mut process, &producer, &auditor, &acknowledged, &sent);
}
