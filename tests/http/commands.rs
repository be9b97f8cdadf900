//! The command line, beside a running service.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{
    Client, LEDGER, Process, SOURCE, at, printed, proper_case, simple, until, whereas,
};

#[test]
fn a_ledger_is_created_once_and_under_a_possible_name() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| whereas(dir.path(), args);
    let made = printed(&run(&["ledger", "create", "claims"]), 0);
    assert!(
        made.contains("ledger.example/claims") && made.contains("ledger.example/claims+"),
        "{made}"
    );
    let again = printed(&run(&["ledger", "create", "claims"]), 2);
    assert!(again.contains("already"), "{again}");
    for name in [
        "Claims",
        "a b",
        "-a",
        "../x",
        "",
        "ä",
        "a/b",
        &"x".repeat(65),
    ] {
        let refused = printed(&run(&["ledger", "create", "--", name]), 2);
        assert!(
            refused.contains("lower-case letters, digits"),
            "{name}: {refused}"
        );
    }
    let listed = printed(&run(&["ledger", "list"]), 0);
    assert_eq!(listed, "claims\tledger.example/claims\n");
    let keys = std::fs::read_dir(dir.path().join("data/keyring/claims")).unwrap();
    let keys = keys.map(|k| k.unwrap().path());
    let secrets: Vec<_> = keys.filter(|k| k.extension().is_some()).collect();
    assert_eq!(secrets.len(), 3, "two signing keys and the id key");
    assert!(secrets.iter().all(|s| mode(s) == 0o600));
    let unknown = printed(&run(&["keys", "none"]), 2);
    assert!(unknown.contains("there is no ledger `none`"), "{unknown}");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn serving_says_clearly_what_is_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let serve = |more: &[&str]| {
        whereas(
            dir.path(),
            &[&["serve", "--listen", "127.0.0.1:0"], more].concat(),
        )
    };
    let empty = printed(&serve(&[]), 2);
    assert!(empty.contains("whereas ledger create"), "{empty}");
    let process = Process::new();
    let second = printed(&process.run(&["serve", "--listen", "127.0.0.1:0"]), 2);
    assert!(second.contains("another process is serving"), "{second}");
    let taken = process.base.strip_prefix("http://").unwrap();
    let refused = printed(&process.run(&["serve", "--listen", taken]), 2);
    assert!(
        refused.contains(&format!("cannot listen on {taken}")),
        "{refused}"
    );
    let file = dir.path().join("whereas.toml");
    for (text, says) in [
        ("lisen = \"127.0.0.1:0\"\n", "lisen"),
        ("listen = 7\n", "listen"),
        ("listen = \"here\"\n", "listen"),
        ("workers = \"two\"\n", "workers"),
        ("= \n", "whereas.toml"),
    ] {
        std::fs::write(&file, text).unwrap();
        let refused = printed(&serve(&["--config", "whereas.toml"]), 2);
        assert!(
            refused.contains(says) && refused.contains("whereas.toml"),
            "{text}: {refused}"
        );
    }
    let absent = printed(&serve(&["--config", "none.toml"]), 2);
    assert!(absent.contains("none.toml"), "{absent}");
    let profile = printed(&process.run(&["profile"]), 0);
    std::fs::write(
        dir.path().join("profile.json"),
        profile.replacen("\"name\"", "\"nam\"", 1),
    )
    .unwrap();
    let refused = whereas(dir.path(), &["profile", "profile.json"]);
    let refused = printed(&refused, 2);
    assert!(refused.contains("nam"), "{refused}");
}

/// The value of a line `name   value`.
fn value<'a>(printed: &'a str, name: &str) -> &'a str {
    let line = printed.lines().find_map(|l| l.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {printed}"))
        .split_whitespace()
        .next()
        .unwrap()
}

fn changes(auditor: &Client, principal: &str) -> Vec<String> {
    let page = auditor
        .get(&at("/events?type=principal.changed&limit=1000"))
        .json(200);
    let items = page["items"].as_array().unwrap();
    let facts = items.iter().map(|i| {
        serde_json::from_str::<Value>(i["leaf"].as_str().unwrap()).unwrap()["fact"].clone()
    });
    facts
        .filter(|f| f["principal"] == principal)
        .map(|f| f["kind"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn principals_and_tokens_take_effect_while_the_service_runs_and_are_recorded() {
    let process = Process::new();
    let grant = json!({"role": "auditor", "ledgers": [LEDGER], "all_cases": true});
    let auditor = process.client(&process.token(&grant));
    let create = [
        "principal",
        "create",
        "Workflow",
        "--role",
        "producer",
        "--ledger",
        LEDGER,
        "--source",
        SOURCE,
    ];
    let made = printed(&process.run(&create), 0);
    let (id, first) = (value(&made, "principal  "), value(&made, "token      "));
    let old = process.client(first);
    old.post(&at("/events"), &simple("a", "C")).json(201);
    let listed = printed(&process.run(&["token", "list", id]), 0);
    let token = listed.split('\t').next().unwrap();
    let rotated = printed(
        &process.run(&["token", "rotate", id, token, "--token-file", "new.token"]),
        0,
    );
    old.get(&at("")).problem("unauthenticated");
    let file = process.path().join("new.token");
    assert_eq!(mode(&file), 0o600);
    let new = process.client(std::fs::read_to_string(&file).unwrap().trim());
    new.get(&at("")).json(200);
    let token = value(&rotated, "token id   ").to_owned();
    let exists = printed(
        &process.run(&["token", "create", id, "--token-file", "new.token"]),
        2,
    );
    assert!(exists.contains("new.token"), "{exists}");
    printed(&process.run(&["token", "revoke", id, &token]), 0);
    new.get(&at("")).problem("unauthenticated");
    printed(&process.run(&["principal", "revoke", id]), 0);
    let refused = printed(&process.run(&["token", "create", id]), 2);
    assert!(refused.contains("revoked"), "{refused}");
    until("all changes are entries", || {
        changes(&auditor, id).len() >= 6
    });
    let kinds = changes(&auditor, id);
    assert_eq!(
        kinds.len(),
        6,
        "made, minted, rotated, minted, revoked, ended: {kinds:?}"
    );
    for (args, says) in [
        (
            vec![
                "principal",
                "create",
                "X",
                "--role",
                "root",
                "--ledger",
                LEDGER,
            ],
            "producer, case_worker",
        ),
        (
            vec![
                "principal",
                "create",
                "X",
                "--role",
                "auditor",
                "--ledger",
                "none",
                "--all-cases",
            ],
            "no ledger `none`",
        ),
        (
            vec![
                "principal",
                "create",
                "X",
                "--role",
                "auditor",
                "--ledger",
                LEDGER,
            ],
            "case",
        ),
        (
            vec![
                "principal",
                "create",
                "X",
                "--role",
                "regulator",
                "--ledger",
                LEDGER,
                "--case",
                "C",
            ],
            "end",
        ),
        (
            vec![
                "principal",
                "create",
                "X",
                "--role",
                "investigator",
                "--ledger",
                LEDGER,
                "--all-cases",
                "--expires",
                "soon",
            ],
            "RFC 3339",
        ),
        (
            vec!["token", "list", "nonsense"],
            "32 lower-case hex digits",
        ),
        (
            vec!["token", "list", "00112233445566778899aabbccddeeff"],
            "no such principal",
        ),
    ] {
        let refused = printed(&process.run(&args), 2);
        assert!(refused.contains(says), "{args:?}: {refused}");
    }
    // A case worker made here sees the case that was named, by its id.
    let worker = printed(
        &process.run(&[
            "principal",
            "create",
            "W",
            "--role",
            "case_worker",
            "--ledger",
            LEDGER,
            "--case",
            "C",
        ]),
        0,
    );
    let worker = process.client(value(&worker, "token      "));
    worker.get(&at("/cases/C")).json(200);
}

#[test]
fn the_administrators_token_is_private_and_can_be_made_anew() {
    let process = Process::new();
    let first = process.path().join("data/administrator.token");
    assert_eq!(mode(&first), 0o600);
    assert_eq!(mode(&process.path().join("data")), 0o700);
    process.administrator().get("/v1/principals").json(200);
    printed(&process.run(&["token", "recover-administrator"]), 0);
    let second = process.path().join("data/administrator.token.2");
    assert_eq!(mode(&second), 0o600);
    let client = process.client(std::fs::read_to_string(&second).unwrap().trim());
    client.get("/v1/principals").json(200);
    process.administrator().get("/v1/principals").json(200);
}

#[test]
fn verifying_ends_with_the_code_that_it_documents() {
    let process = Process::new();
    let grant = json!({"role": "producer", "ledgers": [LEDGER], "sources": [SOURCE]});
    let producer = process.client(&process.token(&grant));
    let grant = json!({"role": "investigator", "ledgers": [LEDGER], "all_cases": true});
    let investigator = process.client(&process.token(&grant));
    let mut events = proper_case("-v");
    events.retain(|e| e["type"] != "approval.decided");
    let answer = producer.post(&at("/events"), &json!(events));
    let path = |name: &str| process.path().join(name);
    let key = process.vkey().to_string();
    std::fs::write(path("key"), format!("# pinned\n{key}\n")).unwrap();
    std::fs::write(path("answer.json"), &answer.body).unwrap();
    std::fs::write(path("event.json"), events[2].to_string()).unwrap();
    std::fs::write(path("other.json"), events[1].to_string()).unwrap();
    let receipt = answer.json(201)["items"][2]["receipt"]
        .as_str()
        .unwrap()
        .to_owned();
    std::fs::write(path("receipt"), &receipt).unwrap();
    std::fs::write(
        path("bad"),
        receipt
            .replacen("index 5", "index 4", 1)
            .replacen("extra e", "extra f", 1),
    )
    .unwrap();
    let verify = |what: &str, more: &[&str]| process.run(&[&["verify", what], more].concat());

    assert!(
        printed(&verify("receipt", &["receipt", "--key", "key"]), 0).contains("integrity: intact")
    );
    let whole = [
        "answer.json",
        "--key",
        &key,
        "--item",
        "2",
        "--event",
        "event.json",
    ];
    printed(&verify("receipt", &whole), 0);
    let other = [
        "answer.json",
        "--key",
        &key,
        "--item",
        "2",
        "--event",
        "other.json",
        "--json",
    ];
    let said: Value = serde_json::from_str(&printed(&verify("receipt", &other), 1)).unwrap();
    assert_eq!(said["event"]["verdict"], "differs");
    assert_eq!(said["integrity"]["verdict"], "intact");
    let refused: Value = serde_json::from_str(&printed(
        &verify("receipt", &["bad", "--key", "key", "--json"]),
        1,
    ))
    .unwrap();
    assert_eq!(refused["integrity"]["verdict"], "broken");
    for args in [
        vec!["none", "--key", "key"],
        vec!["receipt", "--key", "nokey"],
        vec!["receipt", "--key", "a+b+c"],
        vec!["answer.json", "--key", "key", "--item", "99"],
        vec!["receipt", "--key", "key", "--event", "event.json"],
        vec!["receipt"],
    ] {
        printed(&verify("receipt", &args), 2);
    }

    let case = events[0]["case_id"].as_str().unwrap();
    let order = json!({"subject": {"case": case}, "purpose": "A test"});
    let issued = investigator.post(&at("/reports"), &order).json(201);
    let kept = investigator.get(&at("/checkpoint"));
    let file = investigator.get(issued["href"].as_str().unwrap());
    std::fs::write(path("report.json"), &file.body).unwrap();
    std::fs::write(path("cut.json"), &file.body[..file.body.len() / 2]).unwrap();
    std::fs::write(
        path("forged.json"),
        file.text()
            .replacen("\"disclosures\":[\"", "\"disclosures\":[\"AA", 1),
    )
    .unwrap();
    let told = printed(
        &verify("report", &["report.json", "--key", "key", "--lang", "de"]),
        0,
    );
    assert!(told.contains("controls: bad"), "{told}");
    let codes = issued["findings"].as_array().unwrap();
    assert!(
        codes.iter().all(|c| told.contains(c.as_str().unwrap())),
        "{codes:?}: {told}"
    );
    let json: Value = serde_json::from_str(&printed(
        &verify("report", &["report.json", "--key", "key", "--json"]),
        0,
    ))
    .unwrap();
    assert_eq!(
        json["verdicts"]["controls"],
        json!({"verdict": "bad", "basis": "recomputed", "reason": json["verdicts"]["controls"]["reason"]})
    );
    for (verdict, code) in [
        ("sequence", 0),
        ("controls", 3),
        ("elements", 3),
        ("freshness", 3),
    ] {
        printed(
            &verify(
                "report",
                &["report.json", "--key", "key", "--require", verdict],
            ),
            code,
        );
    }
    printed(
        &verify(
            "report",
            &["forged.json", "--key", "key", "--require", "controls"],
        ),
        1,
    );
    printed(&verify("report", &["cut.json", "--key", "key"]), 1);
    for args in [
        vec!["none", "--key", "key"],
        vec!["report.json"],
        vec!["report.json", "--key", "key", "--lang", "fr"],
        vec!["report.json", "--key", "key", "--require", "truth"],
    ] {
        printed(&verify("report", &args), 2);
    }
    // A checkpoint that somebody kept outside anchors the report; one of another history contradicts it.
    std::fs::write(path("kept"), &kept.body).unwrap();
    let anchored = [
        "report.json",
        "--key",
        "key",
        "--checkpoint",
        "kept",
        "--require",
        "freshness",
    ];
    printed(&verify("report", &anchored), 0);
}

#[test]
fn the_demonstration_plays_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let told = printed(
        &whereas(
            dir.path(),
            &["demo", "--exit", "--dir", "played", "--lang", "de"],
        ),
        0,
    );
    assert!(told.contains("played/cases/failed/report.json"), "{told}");
    let verify = [
        "verify",
        "report",
        "played/cases/failed/report.json",
        "--key",
        "played/ledger.vkey",
    ];
    assert!(printed(&whereas(dir.path(), &verify), 0).contains("controls: bad"));
    let again = printed(
        &whereas(dir.path(), &["demo", "--exit", "--dir", "played"]),
        2,
    );
    assert!(again.contains("is there already"), "{again}");
}
