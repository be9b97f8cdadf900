//! Proofs, checkpoints by size, receipts in later checkpoints, tiles: what is there, what is not, and for how long.

use std::time::Duration;

use serde_json::{Value, json};
use whereas::ledger::Hash;
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::proof::{verify_consistency, verify_inclusion};
use whereas::ledger::receipt::Receipt;

use crate::harness::{Answer, Client, LEDGER, SOURCE, Service, at, origin, simple};

const FOREVER: &str = "max-age=31536000, immutable";

fn opened(service: &Service, note: &str) -> Checkpoint {
    Checkpoint::open(note, &origin(LEDGER), &[service.vkey()]).unwrap()
}

fn hashes(proof: &Value) -> Vec<Hash> {
    let hash = |h: &Value| Hash::from_b64(h.as_str().unwrap()).unwrap();
    proof["hashes"]
        .as_array()
        .unwrap()
        .iter()
        .map(hash)
        .collect()
}

/// Posts a batch of so many events: one commit. Gives the ledger's size after it.
fn commit(service: &Service, name: &str, count: usize) -> u64 {
    commit_by(&service.producer(), name, count)
}

fn commit_by(producer: &Client, name: &str, count: usize) -> u64 {
    let events: Vec<Value> = (0..count)
        .map(|n| simple(&format!("{name}-{n}"), "C-1"))
        .collect();
    let answer = producer.post(&at("/events"), &json!(events));
    let seq = answer.json(201)["items"][count - 1]["seq"]
        .as_u64()
        .unwrap();
    seq + 1
}

fn detail(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["detail"].as_str().unwrap().to_owned()
}

#[test]
fn every_commit_has_its_checkpoint_and_nothing_else_has() {
    let mut service = Service::new();
    let (auditor, producer) = (service.reader("auditor"), service.producer());
    let first = commit_by(&producer, "a", 5);
    let second = commit_by(&producer, "b", 7);
    let path = |size: u64| at(&format!("/checkpoints/{size}"));
    let early = auditor.get(&path(first));
    assert_eq!(early.header("cache-control"), format!("private, {FOREVER}"));
    let checkpoint = opened(&service, early.ok());
    assert_eq!(checkpoint.size, first);
    let receipt = auditor.get(&at(&format!("/entries/{}/receipt", first - 1)));
    assert!(receipt.ok().ends_with(early.text()), "the very same note");
    for between in [first + 1, second - 1] {
        let absent = auditor.get(&path(between));
        absent.problem("not-found");
        let near = format!("those of {first} and {second}.");
        assert!(detail(&absent).contains(&near), "{}", detail(&absent));
    }
    let beyond = auditor.get(&path(service.size() + 10));
    beyond.problem("not-found");
    assert!(detail(&beyond).contains(&format!("that of {}.", service.size())));
    auditor.get(&path(u64::MAX)).problem("not-found");
    auditor.get(&path(0)).problem("not-found");
    for bad in ["-1", "x", "18446744073709551616"] {
        auditor
            .get(&at(&format!("/checkpoints/{bad}")))
            .problem("not-found");
    }
    let before = auditor.get(&path(second)).text().to_owned();
    service.restart();
    let again = service.reader("auditor").get(&path(second));
    assert_eq!(again.ok(), before);
}

#[test]
fn proofs_verify_with_the_checkpoints_of_their_sizes() {
    let service = Service::new();
    let auditor = service.reader("auditor");
    let first = commit(&service, "a", 3);
    let second = commit(&service, "b", 30);
    let checkpoint = |size: u64| {
        let note = auditor.get(&at(&format!("/checkpoints/{size}")));
        opened(&service, note.ok())
    };
    let (old, new) = (checkpoint(first), checkpoint(second));
    for (seq, tree) in [(0, &old), (first - 1, &old), (0, &new), (second - 1, &new)] {
        let answer = auditor.get(&at(&format!(
            "/proofs/inclusion?seq={seq}&size={}",
            tree.size
        )));
        assert_eq!(
            answer.header("cache-control"),
            format!("private, {FOREVER}")
        );
        let proof = answer.json(200);
        let entry = auditor.get(&at(&format!("/entries/{seq}"))).json(200);
        let leaf = Hash::leaf(entry["leaf"].as_str().unwrap().as_bytes());
        assert_eq!(proof["leaf_hash"], leaf.to_b64());
        assert_eq!(proof["root"], tree.root.to_b64());
        verify_inclusion(&leaf, seq, tree.size, &hashes(&proof), &tree.root).unwrap();
    }
    let path = at(&format!(
        "/proofs/consistency?first={first}&second={second}"
    ));
    let proof = auditor.get(&path).json(200);
    verify_consistency(first, second, &hashes(&proof), &old.root, &new.root).unwrap();
    assert_eq!(proof["first_root"], old.root.to_b64());
    let same = auditor.get(&at(&format!(
        "/proofs/consistency?first={first}&second={first}"
    )));
    assert_eq!(same.json(200)["hashes"], json!([]));
    let size = service.size();
    for (path, word) in [
        (
            format!("/proofs/inclusion?seq=0&size={}", size + 1),
            "`size`",
        ),
        ("/proofs/inclusion?seq=2&size=2".to_owned(), "less than"),
        ("/proofs/inclusion?seq=0&size=0".to_owned(), "less than"),
        (
            format!("/proofs/consistency?first=1&second={}", size + 1),
            "`second`",
        ),
        (
            "/proofs/consistency?first=0&second=2".to_owned(),
            "at least 1",
        ),
        ("/proofs/consistency?first=3&second=2".to_owned(), "at most"),
        ("/proofs/inclusion?seq=0".to_owned(), "size"),
        ("/proofs/inclusion?seq=-1&size=2".to_owned(), ""),
        ("/proofs/consistency?first=1&second=2&x=1".to_owned(), "x"),
    ] {
        let refused = auditor.get(&at(&path));
        refused.problem("invalid-query");
        assert!(
            detail(&refused).contains(word),
            "{path}: {}",
            detail(&refused)
        );
    }
}

#[test]
fn an_entry_has_a_receipt_in_every_later_checkpoint() {
    let service = Service::new();
    let (auditor, producer) = (service.reader("auditor"), service.producer());
    let first = commit(&service, "a", 2);
    let second = commit(&service, "b", 9);
    let seq = first - 2;
    let path = |size: &str| at(&format!("/entries/{seq}/receipt{size}"));
    let own = auditor.get(&path("")).ok().to_owned();
    assert_eq!(auditor.get(&path(&format!("?size={first}"))).ok(), own);
    let later = auditor.get(&path(&format!("?size={second}")));
    let check = |text: &str, size: u64| {
        let receipt = Receipt::parse(text).unwrap();
        let checkpoint = opened(&service, &receipt.checkpoint);
        assert_eq!(checkpoint.size, size);
        let leaf = Hash::leaf(&receipt.leaf);
        verify_inclusion(&leaf, seq, size, &receipt.path, &checkpoint.root).unwrap();
    };
    check(later.ok(), second);
    service.clock.pass(Duration::from_secs(2));
    check(auditor.get(&path("?size=latest")).ok(), service.size());
    let mine = format!("/receipts?source={SOURCE}&id=a-0");
    assert_eq!(producer.get(&at(&mine)).ok(), own);
    let mine_later = producer.get(&at(&format!("{mine}&size={second}")));
    assert_eq!(mine_later.ok(), later.text());
    // What is not published yet has its own commit's checkpoint.
    let size = commit(&service, "c", 1);
    let newest = at(&format!("/entries/{}/receipt", size - 1));
    let plain = auditor.get(&newest).ok().to_owned();
    assert_eq!(auditor.get(&format!("{newest}?size=latest")).ok(), plain);
    for (size, kind) in [
        (seq.to_string(), "invalid-query"),
        ("0".to_owned(), "invalid-query"),
        ("newest".to_owned(), "invalid-query"),
        ("-1".to_owned(), "invalid-query"),
        ((service.size() + 1).to_string(), "invalid-query"),
        ((first - 1).to_string(), "not-found"),
        ((second - 1).to_string(), "not-found"),
    ] {
        auditor.get(&path(&format!("?size={size}"))).problem(kind);
    }
}

#[test]
fn tiles_are_there_when_complete_and_at_one_address_only() {
    let service = Service::new();
    let auditor = service.reader("auditor");
    commit(&service, "a", 300);
    let size = service.size();
    assert!(size < 512);
    let rest = size - 256;
    let get = |path: &str| auditor.get(&at(&format!("/log/tile/{path}")));
    let full = get("0/000");
    assert_eq!((full.status, full.body.len()), (200, 256 * 32));
    assert_eq!(full.header("cache-control"), format!("private, {FOREVER}"));
    assert_eq!(full.header("content-type"), "application/octet-stream");
    let part = get("0/000.p/3");
    assert_eq!(
        part.body[..],
        full.body[..96],
        "any width, also of a full one"
    );
    assert_eq!(get(&format!("0/001.p/{rest}")).body.len() as u64, rest * 32);
    assert_eq!(get("1/000.p/1").body.len(), 32);
    let bundle = get("entries/000.p/1");
    let entry = auditor.get(&at("/entries/0")).json(200);
    assert_eq!(
        bundle.body[2..],
        *entry["leaf"].as_str().unwrap().as_bytes()
    );
    assert_eq!(
        bundle.header("cache-control"),
        format!("private, {FOREVER}")
    );
    let more = format!("0/001.p/{}", service.size() - 256 + 1);
    for absent in [
        more.as_str(),
        "0/001",
        "1/000",
        "1/000.p/2",
        "2/000.p/1",
        "63/000.p/1",
        "64/000.p/1",
        "00/000",
        "0/0",
        "0/x000/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/03",
        "0/000.p",
        "0/000/",
        "0/",
        "0",
        "-1/000",
        "0/%30",
        "0/x001%2F000",
        "8/0/000",
        "entries/001",
        "entries/000.p/0",
        "entries/00",
        "entries",
        "data/000",
        "",
    ] {
        get(absent).problem("not-found");
    }
    let twice = get("0/000.p/3");
    assert_eq!(twice.body, part.body);
}

#[test]
fn the_published_checkpoint_is_at_most_a_second_old_and_its_tiles_are_there() {
    let service = Service::new();
    let auditor = service.reader("auditor");
    service.clock.pass(Duration::from_secs(2));
    let read = || {
        let answer = auditor.get(&at("/log/checkpoint"));
        assert_eq!(answer.header("cache-control"), "private, max-age=1");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        answer.ok().to_owned()
    };
    let before = read();
    let path = at("/checkpoint");
    assert_eq!(auditor.get(&path).ok(), before, "the same one everywhere");
    commit(&service, "a", 4);
    service.clock.pass(Duration::from_secs(2));
    let after = opened(&service, &read());
    assert_eq!(after.size, service.size());
    let tile = auditor.get(&at(&format!("/log/tile/0/000.p/{}", after.size)));
    assert_eq!(tile.body.len() as u64, after.size * 32);
}

#[test]
fn a_public_log_shows_hashes_to_everybody_and_leaves_to_nobody_new() {
    let mut service = Service::new();
    commit(&service, "a", 4);
    service.stop();
    service.public_log = true;
    service.start();
    let nobody = service.client(None);
    let checkpoint = nobody.get(&at("/log/checkpoint"));
    assert_eq!(checkpoint.header("cache-control"), "public, max-age=1");
    opened(&service, checkpoint.ok());
    let tile = nobody.get(&at("/log/tile/0/000.p/4"));
    assert_eq!(tile.status, 200, "{}", tile.start());
    assert_eq!(tile.header("cache-control"), format!("public, {FOREVER}"));
    for path in [
        "/log/tile/entries/000.p/4",
        "/checkpoint",
        "/checkpoints/1",
        "/proofs/inclusion?seq=0&size=1",
        "/proofs/consistency?first=1&second=2",
        "/entries/0/receipt?size=latest",
    ] {
        nobody.get(&at(path)).problem("unauthenticated");
    }
    nobody
        .get("/v1/ledgers/none/log/checkpoint")
        .problem("not-found");
    let bundle = service
        .reader("auditor")
        .get(&at("/log/tile/entries/000.p/4"));
    assert_eq!(
        bundle.header("cache-control"),
        format!("private, {FOREVER}")
    );
}

#[test]
fn whose_grant_is_for_single_cases_sees_hashes_and_no_leaves_of_others() {
    let service = Service::new();
    commit(&service, "a", 4);
    let other = json!([simple("x-1", "C-other")]);
    let posted = service.producer().post(&at("/events"), &other).json(201);
    let seq = posted["items"][0]["seq"].as_u64().unwrap();
    let grant = json!({"role": "auditor", "ledgers": [LEDGER], "cases": {LEDGER: ["C-1"]}});
    let one = service.client(Some(&service.token(&grant)));
    one.get(&at(&format!("/entries/{seq}/receipt")))
        .problem("not-found");
    one.get(&at(&format!("/entries/{seq}/receipt?size=latest")))
        .problem("not-found");
    one.get(&at("/log/tile/entries/000.p/4"))
        .problem("forbidden");
    let all = service.reader("auditor");
    let size = service.size();
    let path = at(&format!("/proofs/inclusion?seq={seq}&size={size}"));
    let (seen, whole) = (one.get(&path).json(200), all.get(&path).json(200));
    assert_eq!(seen, whole);
    let members: Vec<&String> = seen.as_object().unwrap().keys().collect();
    assert_eq!(members, ["hashes", "leaf_hash", "root", "seq", "size"]);
    assert_eq!(one.get(&at("/log/tile/0/000.p/4")).status, 200);
}
