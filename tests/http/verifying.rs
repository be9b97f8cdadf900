//! Verifying whole ledgers: by the command line, and by the service itself.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{
    Client, LEDGER, Process, SOURCE, at, printed, proper_case, simple, until, whereas,
};

fn producer(process: &Process) -> Client {
    let grant = json!({"role": "producer", "ledgers": [LEDGER], "sources": [SOURCE]});
    process.client(&process.token(&grant))
}

fn auditor(process: &Process) -> Client {
    let grant = json!({"role": "auditor", "ledgers": [LEDGER], "all_cases": true});
    process.client(&process.token(&grant))
}

/// Changes the database beside everything that watches over it.
fn sql(process: &Process, statements: &str) {
    let path = process
        .path()
        .join(format!("data/ledgers/{LEDGER}/ledger.db"));
    let db = rusqlite::Connection::open(path).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    db.execute_batch(statements).unwrap();
}

#[test]
fn the_exit_code_says_what_verifying_a_ledger_came_to() {
    let mut process = Process::new();
    let posting = producer(&process);
    let answer = posting.post(&at("/events"), &json!(proper_case("-w")));
    let receipt = answer.json(201)["items"][2]["receipt"].clone();
    let path = |name: &str| process.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("receipt"), receipt.as_str().unwrap()).unwrap();
    let key = process.vkey().to_string();
    let grant = json!({"role": "investigator", "ledgers": [LEDGER], "all_cases": true});
    let reader = process.client(&process.token(&grant));
    let note = reader.get(&at("/checkpoint"));
    std::fs::write(path("kept"), &note.body).unwrap();
    let case = proper_case("-w")[0]["case_id"].as_str().unwrap().to_owned();
    let asked = json!({"subject": {"case": case}, "purpose": "A review"});
    let issued = reader.post(&at("/reports"), &asked).json(201);
    let report = reader.get(issued["href"].as_str().unwrap());
    std::fs::write(path("report"), &report.body).unwrap();
    std::fs::write(path("export"), &reader.get(&at("/export")).body).unwrap();
    std::fs::write(
        path("range"),
        &reader.get(&at("/export?first=2&last=5")).body,
    )
    .unwrap();
    let verify = |more: &[&str]| {
        let args = [&["verify", "ledger", "--key", &key], more].concat();
        whereas(process.path(), &args)
    };

    // Of a running service's folder, and of the export.
    let said = printed(&verify(&[]), 0);
    assert!(
        said.contains("accepted") && said.contains("freshness: not proven"),
        "{said}"
    );
    printed(&verify(&["--require", "freshness"]), 3);
    for kept in [
        ["--checkpoint", "kept"],
        ["--receipt", "receipt"],
        ["--report", "report"],
    ] {
        for source in [&[][..], &["--export", "export"]] {
            let args = [&kept[..], source, &["--require", "freshness", "--json"]].concat();
            let said: Value = serde_json::from_str(&printed(&verify(&args), 0)).unwrap();
            assert_eq!(
                said["verdicts"]["freshness"]["verdict"], "anchored",
                "{args:?}"
            );
            assert_eq!(said["problems"], json!([]));
        }
    }
    let range: Value = serde_json::from_str(&printed(
        &verify(&["--export", "range", "--json", "--require", "sequence"]),
        0,
    ))
    .unwrap();
    assert_eq!(range["verdicts"]["sequence"]["verdict"], "part");
    assert_eq!(range["part"], json!({"range": {"first": 2, "last": 5}}));
    assert!(printed(&verify(&["--export", "range"]), 0).contains("This part of a ledger"));
    // What cannot be read or asked for.
    printed(&verify(&["--export", "none"]), 2);
    printed(&verify(&["--export", "export", "--ledger", LEDGER]), 2);
    printed(&verify(&["--export", "export", "--no-content"]), 2);
    printed(&verify(&["--export", "export", "--no-guard"]), 2);
    printed(&verify(&["--checkpoint", "none"]), 2);
    let no_receipt = printed(&verify(&["--receipt", "kept"]), 2);
    assert!(
        no_receipt.contains("does not verify by itself"),
        "{no_receipt}"
    );
    printed(&verify(&["--ledger", "none"]), 2);
    // Broken files are refused, not unreadable.
    let bytes = std::fs::read(path("export")).unwrap();
    std::fs::write(path("cut"), &bytes[..bytes.len() / 2]).unwrap();
    let said: Value =
        serde_json::from_str(&printed(&verify(&["--export", "cut", "--json"]), 1)).unwrap();
    assert_eq!(said["counts"], json!({"export.truncated": 1}));
    std::fs::write(path("text"), "no export at all ".repeat(100)).unwrap();
    let said = printed(&verify(&["--export", "text"]), 1);
    assert!(
        said.contains("export.form") && said.contains("still good: nothing"),
        "{said}"
    );

    let (data, origin) = (path("data"), format!("ledger.example/{LEDGER}"));
    drop((posting, reader));
    process.terminate();
    let verify = |more: &[&str]| {
        let args = [&["verify", "ledger", "--key", &key], more].concat();
        process.run(&args)
    };
    // The entry of the receipt is taken away: what it proves is no longer there.
    let seq = issued_seq(receipt.as_str().unwrap());
    sql(&process, &format!("DELETE FROM entry WHERE seq = {seq}"));
    let said = printed(&verify(&["--receipt", "receipt"]), 1);
    assert!(
        said.contains("outside.entry")
            && said.contains("absent or cannot be read")
            && !said.contains("cut off"),
        "{said}"
    );
    let file = Path::new(&data).join("ledgers").join(LEDGER).join("origin");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), origin);
    std::fs::write(&file, "ledger.example/other\n").unwrap();
    let said = printed(&verify(&["--json"]), 1);
    assert!(
        said.contains("origin.differs") && said.contains("entry.absent"),
        "{said}"
    );
}

#[test]
fn a_key_is_replaced_by_command_and_the_old_one_leads_to_the_new() {
    let mut process = Process::new();
    let posting = producer(&process);
    posting
        .post(&at("/events"), &simple("one", "C-1"))
        .json(201);
    let old = process.vkey().to_string();
    drop(posting);
    process.terminate();
    printed(
        &process.run(&["keys", "rotate", "checkpoint", "--reason", "scheduled"]),
        0,
    );
    process.start();
    let new = process.vkey().to_string();
    assert_ne!(old, new);

    // The bridge is in the ledger, so either key leads over all of it.
    for key in [&old, &new] {
        let said = printed(&process.run(&["verify", "ledger", "--key", key]), 0);
        assert!(said.contains("keys: good"), "{said}");
    }
    // Beside a receipt of the new key it has to be brought along, by whoever has pinned the old one.
    let answer = producer(&process).post(&at("/events"), &json!([simple("two", "C-1")]));
    let receipt = answer.json(201)["items"][0]["receipt"].clone();
    std::fs::write(process.path().join("receipt"), receipt.as_str().unwrap()).unwrap();
    let bridges = auditor(&process).get(&at("/keys/bridges"));
    std::fs::write(process.path().join("bridges"), &bridges.body).unwrap();
    let one = |more: &[&str]| {
        let args = [&["verify", "receipt", "receipt", "--key", &old], more].concat();
        whereas(process.path(), &args)
    };
    printed(&one(&[]), 1);
    printed(&one(&["--bridges", "bridges"]), 0);
    // What only the stolen key vouches for is not proven.
    let stolen = format!("{old}=2020-01-01T00:00:00Z");
    let args = ["verify", "ledger", "--key", &old, "--compromised", &stolen];
    let said = printed(&process.run(&args), 1);
    assert!(
        said.contains("key.compromised") && said.contains("integrity: unprovable"),
        "{said}"
    );
    let unread = [
        "verify",
        "ledger",
        "--key",
        &old,
        "--compromised",
        "yesterday",
    ];
    printed(&process.run(&unread), 2);
}

/// The position that a receipt proves.
fn issued_seq(receipt: &str) -> u64 {
    let line = receipt.lines().find_map(|l| l.strip_prefix("index "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_service_that_verifies_itself_tells_of_damage_once() {
    let mut process = Process::new();
    producer(&process)
        .post(&at("/events"), &simple("one", "C-1"))
        .json(201);
    process.terminate();
    std::fs::write(
        process.path().join("whereas.toml"),
        "verify_every = \"200ms\"\n",
    )
    .unwrap();
    process.start_with(&["--config", "whereas.toml"]);
    let auditor = auditor(&process);
    let verification =
        || auditor.get(&format!("/v1/ledgers/{LEDGER}")).json(200)["verification"].clone();
    let metric = |line: &str| {
        let told = auditor.get("/metrics");
        told.text()
            .contains(&format!("whereas_verification_{line}"))
    };
    until("it is verified", || verification()["accepted"] == true);
    assert!(metric(&format!("good{{ledger=\"{LEDGER}\"}} 1")));
    assert!(metric(&format!("time_seconds{{ledger=\"{LEDGER}\"}} 1")) || metric("time_seconds"));
    assert!(verification()["size"].as_u64().is_some_and(|s| s >= 2));
    let incidents = || {
        let page = auditor
            .get(&at("/events?type=incident.verification_failed&limit=100"))
            .json(200);
        page["items"].as_array().unwrap().clone()
    };
    assert_eq!(incidents().len(), 0);
    sql(
        &process,
        "UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), '\"v\":1', '\"v\":2') AS BLOB) WHERE seq = 1",
    );
    until("the damage is found", || incidents().len() == 1);
    let leaf: Value = serde_json::from_str(incidents()[0]["leaf"].as_str().unwrap()).unwrap();
    assert_eq!(leaf["fact"]["code"], "leaf.form");
    assert_eq!(
        (&leaf["fact"]["seq"], &leaf["fact"]["place"]),
        (&json!(1), &json!("entry 1"))
    );
    assert_eq!(leaf["fact"]["good_to"], 1);
    let now = verification();
    assert_eq!(
        (&now["accepted"], &now["code"], &now["good_to"]),
        (&json!(false), &json!("leaf.form"), &json!(1))
    );
    assert!(metric(&format!("good{{ledger=\"{LEDGER}\"}} 0")));
    // Later checks find the same, and say nothing new; other damage is told again.
    let before = verification()["time"].clone();
    let mut seen = std::collections::BTreeSet::new();
    until("it was verified again, three times", || {
        seen.insert(verification()["time"].to_string());
        seen.len() > 3
    });
    assert_ne!(verification()["time"], before);
    assert_eq!(incidents().len(), 1);
    sql(&process, "UPDATE entry SET leaf = x'7b7d' WHERE seq = 0");
    until("other damage is told", || incidents().len() == 2);
    assert!(process.log().contains("the ledger does not verify"));
}
