//! Exports over HTTP and on the command line, and what is restored from them.

use std::io::Read;

use serde_json::json;

use crate::harness::{LEDGER, Process, SOURCE, Service, at, printed, proper_case, simple, whereas};

/// The members of a tar file, by name.
fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap();
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (name, bytes)
    };
    entries.map(read).collect()
}

fn text(members: &[(String, Vec<u8>)], prefix: &str) -> String {
    let found = members.iter().filter(|(name, _)| name.starts_with(prefix));
    found
        .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
        .collect()
}

#[test]
fn everybody_exports_what_they_may_see() {
    let service = Service::new();
    let producer = service.producer();
    let (one, other) = (proper_case("-one"), proper_case("-other"));
    producer.post(&at("/events"), &json!(one)).json(201);
    producer.post(&at("/events"), &json!(other)).json(201);
    let case = one[0]["case_id"].as_str().unwrap();
    let client = |grant| service.client(Some(&service.token(&grant)));
    let auditor = client(json!({"role": "auditor", "ledgers": [LEDGER], "all_cases": true}));
    let regulator = client(
        json!({"role": "regulator", "ledgers": [LEDGER], "cases": {LEDGER: [case]}, "expires": "2099-01-01T00:00:00Z"}),
    );
    let reader = client(json!({"role": "investigator", "ledgers": [LEDGER], "all_cases": true}));

    let file = auditor.get(&at("/export"));
    assert_eq!(file.media_type(), "application/x-tar");
    let leaves = members(&file.body);
    assert_eq!(leaves[0].0, "export.json");
    assert_eq!(leaves[leaves.len() - 1].0, "end.json");
    let content = text(&leaves, "content/");
    assert!(content.contains("\"digests\"") && !content.contains("disclosures"));

    let disclosed = text(&members(&reader.get(&at("/export")).body), "content/");
    let shown = |text: &str| text.lines().filter(|l| l.contains("disclosures")).count();
    assert!(shown(&disclosed) >= one.len() + other.len(), "{disclosed}");

    let own = regulator.get(&at(&format!("/export?case={case}")));
    let own = text(&members(&own.body), "entries/");
    assert_eq!(own.lines().count(), one.len(), "{own}");
    assert_eq!(shown(&own), one.len());

    regulator.get(&at("/export")).problem("forbidden");
    let foreign = other[0]["case_id"].as_str().unwrap();
    let foreign = at(&format!("/export?case={foreign}"));
    regulator.get(&foreign).problem("not-found");
    auditor.get(&foreign).problem("not-found");
    auditor
        .get(&at("/export?content=disclosed"))
        .problem("forbidden");
    reader
        .get(&at("/export?content=sealed"))
        .problem("forbidden");
    auditor
        .get(&at("/export?first=9&last=3"))
        .problem("invalid-query");
    auditor
        .get(&at("/export?first=1000000"))
        .problem("invalid-query");
    auditor
        .get(&at(&format!("/export?case={case}&first=1")))
        .problem("invalid-query");
}

#[test]
fn a_ledger_comes_back_from_its_sealed_export_and_its_keyring() {
    let mut process = Process::new();
    let grant = json!({"role": "producer", "ledgers": [LEDGER], "sources": [SOURCE]});
    let producer = process.client(&process.token(&grant));
    producer
        .post(&at("/events"), &simple("one", "C-1"))
        .json(201);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("acme.tar");
    let out = out.to_str().unwrap();
    let served = printed(&process.run(&["export", "--out", out]), 2);
    assert!(served.contains("another process is serving"), "{served}");
    let data = process.path().join("data");
    let token = data.join("administrator.token");
    let url = format!("{}/v1/ledgers/{LEDGER}", process.base);
    let done = printed(
        &process.run(&[
            "export",
            "--out",
            out,
            "--url",
            &url,
            "--token-file",
            token.to_str().unwrap(),
        ]),
        0,
    );
    assert!(done.contains("acme.tar"), "{done}");
    let again = printed(&process.run(&["export", "--out", out, "--url", &url]), 2);
    assert!(again.contains("exists already"), "{again}");
    let key = process.vkey().to_string();
    process.terminate();

    let run = |args: &[&str]| whereas(dir.path(), args);
    let bare = printed(&run(&["import", out, "--key", &key]), 2);
    assert!(bare.contains("keyring"), "{bare}");
    let (from, to) = (data.join("keyring"), dir.path().join("data/keyring"));
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&from, &to])
        .status();
    assert!(copied.unwrap().success());
    let restored = printed(&run(&["import", out, "--key", &key]), 0);
    assert!(restored.contains("byte for byte"), "{restored}");
    let other = dir.path().join("data/keyring/other");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([from.join(LEDGER), other])
        .status();
    assert!(copied.unwrap().success());
    let broken = dir.path().join("broken.tar");
    let bytes = std::fs::read(out).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() - 1_536]).unwrap();
    let broken = printed(
        &run(&[
            "import",
            broken.to_str().unwrap(),
            "--key",
            &key,
            "--ledger",
            "other",
        ]),
        2,
    );
    assert!(broken.contains("breaks off"), "{broken}");
    let listed = printed(&run(&["ledger", "list"]), 0);
    assert_eq!(listed.lines().count(), 1, "{listed}");
}
