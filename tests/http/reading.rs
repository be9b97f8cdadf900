//! Reading: every entry once, in ledger order; each filter finds what it names and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use whereas::sequencer::Clock;

use crate::harness::{Client, SOURCE, Service, at, segment, simple};

/// All items of a query, page by page.
fn walk(client: &Client, query: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client
            .get(&at(&format!("/events?{query}&limit={limit}{cursor}")))
            .json(200);
        let found = page["items"].as_array().unwrap();
        assert!(found.len() <= limit);
        items.extend(found.iter().cloned());
        let next = page["next_cursor"].as_str();
        assert_eq!(page["has_more"], next.is_some());
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

fn seqs(items: &[Value]) -> Vec<u64> {
    items.iter().map(|i| i["seq"].as_u64().unwrap()).collect()
}

#[test]
fn pages_give_every_entry_once_while_others_post() {
    let service = Service::new();
    let (producer, auditor) = (service.producer(), service.reader("auditor"));
    for batch in 0..5 {
        let events: Vec<Value> = (0..20)
            .map(|i| simple(&format!("b-{batch}-{i}"), &format!("C-{}", i % 3)))
            .collect();
        producer.post(&at("/events"), &json!(events)).json(201);
    }
    let done = AtomicBool::new(false);
    let before = service.size();
    let walks = std::thread::scope(|scope| {
        let posting = scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::SeqCst) {
                let event = simple(&format!("late-{number}"), "C-0");
                producer.post(&at("/events"), &event).json(201);
                number += 1;
            }
            number
        });
        let walks: Vec<Vec<u64>> = [1_000, 37, 10, 7]
            .iter()
            .map(|limit| seqs(&walk(&auditor, "", *limit)))
            .collect();
        done.store(true, Ordering::SeqCst);
        assert!(posting.join().unwrap() > 0, "somebody did post meanwhile");
        walks
    });
    for walk in walks {
        let until = walk.len() as u64;
        assert!(until >= before);
        assert_eq!(walk, (0..until).collect::<Vec<_>>(), "each once, in order");
    }
    let size = service.size();
    let walked = seqs(&walk(&auditor, "", 1));
    assert_eq!(walked, (0..size).collect::<Vec<_>>(), "as it was at first");
    assert!(service.size() > size, "and the walk itself is recorded");
}

#[test]
fn each_filter_finds_what_it_names() {
    let service = Service::new();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let mut marks = Vec::new();
    for number in 0..12_u32 {
        marks.push(service.clock.now().to_string());
        let mut event = simple(&format!("e-{number}"), &format!("C-{}", number % 2));
        event["type"] = json!(format!("x.kind{}", number % 3));
        event["trace_id"] = json!(format!("tr-{}", number % 4));
        event["time"] = json!(format!("2026-01-{:02}T00:00:00Z", 20 - number));
        producer.post(&at("/events"), &event).json(201);
        service.clock.pass(Duration::from_secs(60));
    }
    let ids = |query: &str| -> Vec<u32> {
        // But for what tells of the walks themselves.
        let walk = |limit: usize| {
            let mut items = walk(&investigator, query, limit);
            items.retain(|i| !i["leaf"].as_str().unwrap().contains("\"record.accessed\""));
            items
        };
        let (all, few) = (walk(100), walk(2));
        assert_eq!(all, few, "{query}: in pages as in one");
        let id = |i: &Value| i["event"]["id"].as_str()?.strip_prefix("e-")?.parse().ok();
        all.iter().filter_map(id).collect()
    };
    let want = |test: &dyn Fn(u32) -> bool| (0..12).filter(|n| test(*n)).collect::<Vec<u32>>();
    let at_mark = |number: usize| segment(&marks[number]);
    assert_eq!(ids(""), want(&|_| true));
    assert_eq!(ids("case=C-1"), want(&|n| n % 2 == 1));
    assert_eq!(ids("trace=tr-3"), want(&|n| n % 4 == 3));
    assert_eq!(ids("type=x.kind2"), want(&|n| n % 3 == 2));
    assert_eq!(ids("type=x.none"), want(&|_| false));
    assert_eq!(ids("case=C-0&trace=tr-3"), want(&|_| false));
    assert_eq!(ids("case=C-1&type=x.kind0&trace=tr-1"), want(&|n| n == 9));
    let from = at_mark(4);
    let to = at_mark(9);
    assert_eq!(ids(&format!("recorded_from={from}")), want(&|n| n >= 4));
    assert_eq!(ids(&format!("recorded_to={to}")), want(&|n| n < 9));
    let both = format!("recorded_from={from}&recorded_to={to}");
    assert_eq!(ids(&both), want(&|n| (4..9).contains(&n)));
    assert_eq!(ids(&format!("{both}&case=C-1")), [5, 7]);
    let crossed = format!("recorded_from={to}&recorded_to={from}");
    assert_eq!(ids(&crossed), want(&|_| false));
    // Claimed time runs backwards here, and both ends are as they say: from is in, to is not.
    let span = "occurred_from=2026-01-10T00:00:00Z&occurred_to=2026-01-15T00:00:00Z";
    assert_eq!(ids(span), want(&|n| (10..15).contains(&(20 - n))));
    let offset = segment("2026-01-10T01:00:00+01:00");
    assert_eq!(
        ids(&format!(
            "occurred_from={offset}&occurred_to=2026-01-11T00:00:00Z"
        )),
        [10]
    );
    assert_eq!(ids("recorded_from=2099-01-01T00:00:00Z"), want(&|_| false));
    let case = investigator.get(&at("/cases/C-1")).json(200);
    let pseudonym = case["case"].as_str().unwrap();
    assert_eq!(ids(&format!("case=~{pseudonym}")), want(&|n| n % 2 == 1));
}

#[test]
fn leaf_receipt_and_checkpoint_fit_together() {
    let service = Service::new();
    let (producer, auditor) = (service.producer(), service.reader("auditor"));
    let events: Vec<Value> = (0..30).map(|i| simple(&format!("e-{i}"), "C")).collect();
    for event in &events {
        producer.post(&at("/events"), event).json(201);
    }
    let keys = auditor.get(&at("/keys")).json(200);
    assert_eq!(keys["checkpoint"], service.vkey().to_string());
    let mut last = whereas::ledger::Hash::ZERO.to_hex();
    for item in walk(&auditor, "", 100) {
        let leaf: Value = serde_json::from_str(item["leaf"].as_str().unwrap()).unwrap();
        assert_eq!(leaf["prev"], last);
        assert_eq!((&leaf["seq"], item.get("event")), (&item["seq"], None));
        let path = at(&format!("/entries/{}/receipt", item["seq"]));
        let receipt = auditor.get(&path);
        let check = whereas::verify::receipt::verify(receipt.ok(), &[service.vkey()], None);
        assert!(!check.refused(), "{:?}", check.problems);
        assert_eq!(check.leaf_hash.as_deref(), item["leaf_hash"].as_str());
        assert_eq!(auditor.get(&path).text(), receipt.text(), "always the same");
        last = item["leaf_hash"].as_str().unwrap().to_owned();
    }
    // The published checkpoint is at most a second old, and no newer than that within the second.
    let published = auditor.get(&at("/checkpoint")).ok().to_owned();
    producer
        .post(&at("/events"), &simple("more", "C"))
        .json(201);
    service.clock.pass(Duration::from_secs(2));
    let newer = auditor.get(&at("/checkpoint")).ok().to_owned();
    let origin = format!("ledger.example/{}", crate::harness::LEDGER);
    let open = |note: &str| {
        whereas::ledger::checkpoint::Checkpoint::open(note, &origin, &[service.vkey()]).unwrap()
    };
    assert!(open(&published).size < open(&newer).size);
    assert_eq!(open(&newer).size, service.size());
    let source = segment(SOURCE);
    let own = producer.get(&at(&format!("/receipts?source={source}&id=more")));
    assert!(own.ok().contains("\nindex "));
}
