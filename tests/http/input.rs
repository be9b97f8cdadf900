//! Bad input: each fault is named with its place, and nothing is stored.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use whereas::http::Kind;

use crate::harness::{Client, LEDGER, SOURCE, Service, at, proper_case, segment, simple};

/// The text of an event whose `data` is this JSON.
fn with_data(data: &str) -> String {
    format!(
        r#"{{"id":"bad","source":"{SOURCE}","type":"x.bad","time":"2026-01-01T00:00:00Z","data":{data}}}"#
    )
}

fn changed(change: impl Fn(&mut Value)) -> String {
    let mut event = simple("bad", "C-1");
    change(&mut event);
    event.to_string()
}

fn nested(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

fn wide(members: usize) -> String {
    let members: Vec<String> = (0..members).map(|i| format!("\"m{i}\":{i}")).collect();
    format!("{{{}}}", members.join(","))
}

fn long(elements: usize) -> String {
    format!("{{\"l\":[{}]}}", vec!["1"; elements].join(","))
}

/// Body, problem, pointers.
fn bad_bodies() -> Vec<(String, &'static str, Vec<&'static str>)> {
    let deep = nested(32);
    let decided = |data: Value| {
        changed(|e| {
            e["type"] = json!("approval.decided");
            e["data"] = data.clone();
        })
    };
    vec![
        (String::new(), "json-syntax", vec![""]),
        ("{".into(), "json-syntax", vec![""]),
        ("nonsense".into(), "json-syntax", vec![""]),
        ("{} {}".into(), "json-syntax", vec![""]),
        (with_data("{\"a\": 01}"), "json-syntax", vec!["/data"]),
        (
            with_data("{\"a\":1,\"a\":2}"),
            "json-inexact",
            vec!["/data/a"],
        ),
        (
            with_data("{\"a\":9007199254740992}"),
            "json-inexact",
            vec!["/data/a"],
        ),
        (
            with_data("{\"a\":-9007199254740993}"),
            "json-inexact",
            vec!["/data/a"],
        ),
        (
            with_data("{\"a\":[0.1,0.10000000000000000555]}"),
            "json-inexact",
            vec!["/data/a/1"],
        ),
        (with_data("{\"a\":1e999}"), "json-inexact", vec!["/data/a"]),
        (
            with_data("{\"a\":\"\\ud800\"}"),
            "json-inexact",
            vec!["/data/a"],
        ),
        (
            with_data("{\"a\":9007199254740992,\"b/c\":{\"d\":1,\"d\":1}}"),
            "json-inexact",
            vec!["/data/a", "/data/b~1c/d"],
        ),
        (with_data(&deep), "too-large", vec![]),
        (with_data(&wide(257)), "too-large", vec!["/data"]),
        (with_data(&long(1_001)), "too-large", vec!["/data/l"]),
        (
            format!("[{}]", vec!["{}"; 1_001].join(",")),
            "too-large",
            vec![""],
        ),
        ("[]x".into(), "json-syntax", vec![""]),
        ("null".into(), "invalid-event", vec![""]),
        ("7".into(), "invalid-event", vec![""]),
        ("[[]]".into(), "invalid-event", vec!["/0"]),
        (
            "{}".into(),
            "invalid-event",
            vec!["/id", "/source", "/time", "/type"],
        ),
        (
            changed(|e| e["type"] = json!("approval.decidid")),
            "invalid-event",
            vec!["/type"],
        ),
        (
            changed(|e| e["type"] = json!("report.issued")),
            "invalid-event",
            vec!["/type"],
        ),
        (
            changed(|e| e["type"] = json!("incident.opened")),
            "invalid-event",
            vec!["/type"],
        ),
        (
            changed(|e| e["type"] = json!("x.Upper")),
            "invalid-event",
            vec!["/type"],
        ),
        (
            changed(|e| e["type"] = json!(7)),
            "invalid-event",
            vec!["/type"],
        ),
        (
            changed(|e| e["time"] = json!("2026-02-30T00:00:00Z")),
            "invalid-event",
            vec!["/time"],
        ),
        (
            changed(|e| e["time"] = json!("2026-01-01T00:00:00")),
            "invalid-event",
            vec!["/time"],
        ),
        (
            changed(|e| e["case_id"] = json!("")),
            "invalid-event",
            vec!["/case_id"],
        ),
        (
            changed(|e| e["case_id"] = json!(7)),
            "invalid-event",
            vec!["/case_id"],
        ),
        (
            changed(|e| e["id"] = json!("x".repeat(1_025))),
            "invalid-event",
            vec!["/id"],
        ),
        (
            changed(|e| e["data"] = json!([])),
            "invalid-event",
            vec!["/data"],
        ),
        (
            changed(|e| e["actor"] = json!("me")),
            "invalid-event",
            vec!["/actor"],
        ),
        (
            changed(|e| e["sequence"] = json!(-1)),
            "invalid-event",
            vec!["/sequence"],
        ),
        (
            changed(|e| e["data"] = json!({"a": {"_sd": 1}, "...": 2})),
            "invalid-event",
            vec!["/data/...", "/data/a/_sd"],
        ),
        (
            decided(json!({"decision": "maybe"})),
            "invalid-event",
            vec!["/data/decision"],
        ),
        (
            decided(json!({"decision": 1, "reason": []})),
            "invalid-event",
            vec!["/data/decision", "/data/reason"],
        ),
        (
            changed(|e| e["source"] = json!("urn:foreign")),
            "source-not-allowed",
            vec!["/source"],
        ),
    ]
}

#[test]
fn each_fault_of_a_body_is_named_with_its_place() {
    let service = Service::new();
    let producer = service.producer();
    let size = service.size();
    let mut wrong = Vec::new();
    for (body, slug, pointers) in bad_bodies() {
        let headers = [("content-type", "application/json")];
        let answer = producer.send("POST", &at("/events"), &headers, body.clone().into_bytes());
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        let mut found = answer.pointers();
        found.sort();
        // A place may break two rules.
        let at_type = found.iter().filter(|at| at.ends_with("/type")).count();
        assert!(at_type < 2, "{body}: {}", answer.text());
        found.dedup();
        let start: String = body.chars().take(120).collect();
        let too_deep = slug == "too-large" && pointers.is_empty();
        if problem["type"] != format!("/problems/{slug}") || (found != pointers && !too_deep) {
            wrong.push(format!(
                "{start}: {} {found:?}, not {slug} {pointers:?}",
                problem["type"]
            ));
        }
        for error in problem["errors"].as_array().unwrap() {
            assert_ne!(error["detail"], "", "{start}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(service.size(), size, "nothing was stored");
}

#[test]
fn all_faults_of_a_batch_are_named_at_once() {
    let service = Service::new();
    let producer = service.producer();
    let mut events = vec![
        simple("a", "C"),
        simple("b", "C"),
        simple("c", "C"),
        simple("d", "C"),
    ];
    events[0]["time"] = json!("never");
    events[1]["type"] = json!("nope");
    events[1]["actor"] = json!({"kind": "ghost"});
    events[3]["source"] = json!("urn:foreign");
    let refused = producer.post(&at("/events"), &json!(events));
    refused.problem("invalid-event");
    let found: BTreeSet<String> = refused.pointers().into_iter().collect();
    let want = ["/0/time", "/1/actor/kind", "/1/type", "/3/source"];
    assert_eq!(found, want.map(str::to_owned).into());
    // Nothing of what was posted comes back: answers are logged by others.
    assert!(!refused.text().contains("ghost") && !refused.text().contains("never"));
}

#[test]
fn bodies_are_json_by_their_header_and_of_bounded_length() {
    let service = Service::new();
    let producer = service.producer();
    let body = simple("e", "C").to_string().into_bytes();
    let send = |headers: &[(&str, &str)], body: Vec<u8>| {
        producer.send("POST", &at("/events"), headers, body)
    };
    send(&[], body.clone()).problem("unsupported-media-type");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/cloudevents+json",
        "json",
        "",
    ] {
        send(&[("content-type", kind)], body.clone()).problem("unsupported-media-type");
    }
    let kind = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(send(&kind, body).status, 201);
    // A valid event of exactly the limit is taken; one byte more is not.
    let limit = 8 << 20;
    let filled = |id: &str, length: usize| {
        let empty = changed_note(id, "");
        changed_note(id, &"x".repeat(length - empty.len()))
    };
    let kind = [("content-type", "application/json")];
    let fits = filled("fits", limit);
    assert_eq!(fits.len(), limit);
    assert_eq!(send(&kind, fits.into_bytes()).status, 201);
    let size = service.size();
    send(&kind, filled("over", limit + 1).into_bytes()).problem("too-large");
    assert_eq!(service.size(), size);
}

fn changed_note(id: &str, note: &str) -> String {
    let mut event = simple(id, "C");
    event["data"]["note"] = json!(note);
    event.to_string()
}

#[test]
fn queries_are_understood_or_refused() {
    let service = Service::new();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let admin = service.administrator();
    let batch: Vec<Value> = (0..5).map(|i| simple(&format!("e-{i}"), "C-1")).collect();
    producer.post(&at("/events"), &json!(batch)).json(201);
    for query in [
        "foo=1",
        "case=C-1&Case=C-1",
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "limit=1&limit=2",
        "recorded_from=yesterday",
        "recorded_to=2026-01-01",
        "occurred_from=1",
        "occurred_to=2026-02-30T00:00:00Z",
    ] {
        let refused = investigator.get(&at(&format!("/events?{query}")));
        refused.problem("invalid-query");
    }
    let unknown = investigator
        .get(&at("/events?foo=1"))
        .problem("invalid-query");
    assert!(
        unknown["detail"].as_str().unwrap().contains("foo"),
        "{unknown}"
    );
    let first = investigator.get(&at("/events?case=C-1&limit=2")).json(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    investigator
        .get(&at(&format!("/events?case=C-1&limit=3&cursor={cursor}")))
        .json(200);
    for query in [
        format!("limit=2&cursor={cursor}"),
        format!("case=C-1&type=x.note&cursor={cursor}"),
        format!("case=C-1&cursor={}", &cursor[1..]),
        "case=C-1&cursor=".to_owned(),
        "case=C-1&cursor=~~~~".to_owned(),
    ] {
        investigator
            .get(&at(&format!("/events?{query}")))
            .problem("invalid-cursor");
    }
    for path in [
        "/cases/C-1/why?lang=fr",
        "/cases/C-1/why?lang=EN",
        "/cases/C-1?foo=1",
        "/cases/C-1?case=C-2",
        "/traces/t?case=a&case=b",
    ] {
        investigator.get(&at(path)).problem("invalid-query");
    }
    for path in [
        "/receipts",
        "/receipts?source=x",
        "/receipts?source=x&id=y&z=1",
    ] {
        producer.get(&at(path)).problem("invalid-query");
    }
    for query in ["limit=0", "limit=1001", "foo=1"] {
        admin
            .get(&format!("/v1/principals?{query}"))
            .problem("invalid-query");
    }
    for cursor in ["x", "0", "00112233445566778899AABBCCDDEEFF"] {
        admin
            .get(&format!("/v1/principals?cursor={cursor}"))
            .problem("invalid-cursor");
    }
}

#[test]
fn unknown_addresses_and_methods_are_problems() {
    let service = Service::new();
    let investigator = service.reader("investigator");
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/me",
        "/v1/me/",
        "/v1//me",
        "/favicon.ico",
        "/v1/ledgers/acme/nothing",
        "/docs",
        "/%FF",
        "/%00",
        "/v1/event-types/nope/schema",
        "/problems/nope",
        "/problems/",
        "/%F0%9F%A6%89",
    ] {
        investigator.get(path).problem("not-found");
    }
    for path in [
        "/entries/x",
        "/entries/-1",
        "/entries/99999999999999999999",
        "/entries/999",
        "/entries/1.0",
        "/entries/0x1",
        "/reports/x",
        "/reports/00112233445566778899aabbccddeeff",
        "/cases/C-none",
        "/cases/%FF/why",
        "/traces/%00",
    ] {
        investigator.get(&at(path)).problem("not-found");
    }
    for (method, path, allow) in [
        ("DELETE", at("/events"), "GET, POST"),
        ("PUT", at("/events"), "GET, POST"),
        ("PATCH", at(""), "GET"),
        ("POST", "/v1/me".to_owned(), "GET"),
        ("GET", at("/reports"), "POST"),
        ("GET", at("/clock/confirm"), "POST"),
        ("PUT", "/v1/principals/x".to_owned(), "DELETE, GET"),
        ("OPTIONS", "/v1/principals".to_owned(), "GET, POST"),
        ("BREW", "/healthz".to_owned(), "GET"),
    ] {
        let refused = investigator.send(method, &path, &[], Vec::new());
        refused.problem("method-not-allowed");
        assert_eq!(refused.header("allow"), allow, "{method} {path}");
    }
}

#[test]
fn case_ids_of_any_form_are_found_again() {
    let service = Service::new();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let names = [
        "C/2041/a",
        "a b",
        "100%",
        "%2F",
        "ä/№ 7",
        "~tilde",
        "~~",
        "~00112233445566778899aabbccddeeff",
        "..",
        ".",
        "a?b#c",
        "a+b",
        "a;b=c",
        "🦉",
        "C\\1",
        "\"'",
        " lead",
        "why",
        "a\u{0}b",
        "e\u{301}",
        "\u{e9}",
    ];
    for (number, name) in names.iter().enumerate() {
        producer
            .post(&at("/events"), &simple(&format!("e-{number}"), name))
            .json(201);
    }
    for (number, name) in names.iter().enumerate() {
        // `~` begins a pseudonym; doubled, it stands for itself.
        let asked = if name.starts_with('~') {
            format!("~{name}")
        } else {
            (*name).to_owned()
        };
        // A client that follows the URL standard takes `..` away before it sends; `%2E%2E` does not help either.
        let path = if name.chars().all(|c| c == '.') {
            None
        } else {
            Some(at(&format!("/cases/{}", segment(&asked))))
        };
        let by_query = at(&format!("/events?case={}", segment(&asked)));
        for path in path.into_iter().chain([by_query]) {
            let found = investigator.get(&path).json(200);
            let items = found["items"].as_array().unwrap();
            assert_eq!(items.len(), 1, "{name:?} {path}");
            assert_eq!(items[0]["event"]["case_id"], *name, "{path}");
            assert_eq!(items[0]["event"]["id"], format!("e-{number}"));
        }
    }
    for name in names
        .iter()
        .filter(|n| !n.chars().all(|c| c == '.') && !n.starts_with('~'))
    {
        investigator
            .get(&at(&format!("/cases/{}/why", segment(name))))
            .json(200);
    }
}

#[test]
fn requests_about_access_and_reports_are_checked_whole() {
    let service = Service::new();
    let admin = service.administrator();
    let investigator = service.reader("investigator");
    let grant = json!({"role": "auditor", "ledgers": [LEDGER], "all_cases": true});
    let principal = |grants: Value| json!({"name": "X", "grants": grants});
    let with = |name: &str, value: Value| {
        let mut grant = grant.clone();
        grant[name] = value;
        principal(json!([grant]))
    };
    for (body, pointers) in [
        (json!({}), vec!["/grants", "/name"]),
        (json!([]), vec![""]),
        (principal(json!({})), vec!["/grants"]),
        (with("role", json!("root")), vec!["/grants/0/role"]),
        (with("ledgers", json!("acme")), vec!["/grants/0/ledgers"]),
        // A misspelt member would give more than was meant.
        (
            with("expire", json!("2027-01-01T00:00:00Z")),
            vec!["/grants/0/expire"],
        ),
        (with("expires", json!("soon")), vec!["/grants/0/expires"]),
        (
            json!({"name": "X", "grants": [grant], "admin": true}),
            vec!["/admin"],
        ),
    ] {
        let refused = admin.post("/v1/principals", &body);
        refused.problem("invalid-request");
        let mut found = refused.pointers();
        found.sort();
        assert_eq!(found, pointers, "{body}");
    }
    for body in [
        principal(json!([])),
        json!({"name": "", "grants": [grant]}),
        json!({"name": " x", "grants": [grant]}),
        principal(json!([{"role": "auditor", "ledgers": [LEDGER]}])),
        principal(json!([{"role": "producer", "ledgers": [LEDGER]}])),
        principal(json!([{"role": "case_worker", "ledgers": [LEDGER], "all_cases": true}])),
        principal(json!([{"role": "auditor", "ledgers": [], "all_cases": true}])),
        principal(json!([{"role": "administrator", "ledgers": [LEDGER]}, grant])),
        with("expires", json!("2020-01-01T00:00:00Z")),
    ] {
        admin
            .post("/v1/principals", &body)
            .problem("invalid-request");
    }
    admin
        .post("/v1/principals", &with("cases", json!({"none": ["C"]})))
        .json(201);
    let listed =
        principal(json!([{"role": "auditor", "ledgers": [LEDGER], "cases": {"none": ["C"]}}]));
    admin.post("/v1/principals", &listed).problem("not-found");
    for (body, pointers) in [
        (json!({}), vec!["/purpose", "/subject"]),
        (json!({"subject": {}, "purpose": "x"}), vec!["/subject"]),
        (
            json!({"subject": {"case": "C", "trace": 1}, "purpose": "x"}),
            vec!["/subject/trace"],
        ),
        (
            json!({"subject": {"trace": "t", "recommendation": "r"}, "purpose": "x"}),
            vec!["/subject"],
        ),
        (
            json!({"subject": {"case": "C"}, "purpose": ""}),
            vec!["/purpose"],
        ),
        (
            json!({"subject": {"case": "C"}, "purpose": "  "}),
            vec!["/purpose"],
        ),
        (
            json!({"subject": {"case": "C"}, "purpose": "x".repeat(501)}),
            vec!["/purpose"],
        ),
        (
            json!({"subject": {"case": "C"}, "purpose": "a\nb", "supersedes": "x"}),
            vec!["/purpose", "/supersedes"],
        ),
        (
            json!({"subject": {"case": "C", "cases": []}, "purpose": "x"}),
            vec!["/subject/cases"],
        ),
    ] {
        let refused = investigator.post(&at("/reports"), &body);
        refused.problem("invalid-request");
        let mut found = refused.pointers();
        found.sort();
        assert_eq!(found, pointers, "{body}");
    }
    let body = json!({"subject": {"case": "C"}, "purpose": "x"});
    investigator
        .post(&at("/reports"), &body)
        .problem("not-found");
}

/// Problems that no request provokes in these tests, and why.
const NOT_PROVOKED: [(Kind, &str); 4] = [
    (
        Kind::Internal,
        "needs a fault of the program itself; the harness refuses every other 500",
    ),
    (
        Kind::RecordTooLong,
        "needs a record of more than 20,000 entries",
    ),
    (
        Kind::CaseBusy,
        "a race; `reports` allows it where it can happen",
    ),
    (
        Kind::Busy,
        "needs a queue that stays full; the sequencer's own tests fill it",
    ),
];

#[test]
fn every_problem_is_documented_and_provoked() {
    let service = Service::new();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let admin = service.administrator();
    let mut seen = BTreeSet::new();
    let mut provoke = |answer: crate::harness::Answer| {
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        seen.insert(problem["type"].as_str().unwrap().to_owned());
    };
    let post = |client: &Client, body: &str| client.post_bytes(&at("/events"), body.as_bytes());
    provoke(post(&producer, "{"));
    provoke(post(&producer, &with_data("{\"a\":9007199254740992}")));
    provoke(post(&producer, &with_data(&nested(40))));
    provoke(post(&producer, "{}"));
    provoke(post(&producer, &changed(|e| e["source"] = json!("urn:x"))));
    provoke(producer.send("POST", &at("/events"), &[], b"{}".to_vec()));
    provoke(post(&investigator, "{}"));
    provoke(service.client(None).get("/v1/me"));
    provoke(producer.get("/nowhere"));
    provoke(producer.delete("/v1/me"));
    provoke(investigator.get(&at("/events?x=1")));
    provoke(investigator.get(&at("/events?cursor=x")));
    let purpose = [("whereas-purpose", "")];
    provoke(investigator.send("GET", &at("/events"), &purpose, Vec::new()));
    provoke(admin.post("/v1/principals", &json!({})));
    post(&producer, &changed(|_| {})).json(201);
    provoke(post(&producer, &changed(|e| e["data"]["x"] = json!(1))));
    let (id, _) =
        service.principal(&json!({"role": "auditor", "ledgers": [LEDGER], "all_cases": true}));
    assert_eq!(admin.delete(&format!("/v1/principals/{id}")).status, 204);
    provoke(admin.post(&format!("/v1/principals/{id}/tokens"), &json!({})));
    for suffix in ["-1", "-2"] {
        producer
            .post(&at("/events"), &json!(proper_case(suffix)))
            .json(201);
    }
    let trace = proper_case("")[0]["trace_id"].as_str().unwrap().to_owned();
    let several = investigator.get(&at(&format!("/traces/{trace}/why")));
    let listed = several.problem("several-cases")["cases"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(listed.len(), 2);
    for case in &listed {
        let case = case.as_str().unwrap();
        investigator
            .get(&at(&format!("/traces/{trace}/why?case={case}")))
            .json(200);
    }
    provoke(several);
    service.clock.set(-600);
    provoke(investigator.get(&at("/events")));
    provoke(post(&producer, &simple("late", "C").to_string()));
    let confirmed = admin.send("POST", &at("/clock/confirm"), &[], Vec::new());
    confirmed.json(200);
    post(&producer, &simple("late", "C").to_string()).json(201);
    // As an erasure leaves it.
    let erased = alter(&service, "slot = NULL, sealed = NULL");
    provoke(post(&producer, &simple("late", "C").to_string()));
    investigator
        .get(&at(&format!("/entries/{erased}")))
        .json(200);
    post(&producer, &simple("damaged", "C").to_string()).json(201);
    let entry = alter(&service, "sealed = x'00'");
    let failed = investigator
        .try_send("GET", &at(&format!("/entries/{entry}")), &[], Vec::new())
        .unwrap();
    assert_eq!(
        (failed.status, failed.media_type()),
        (500, "application/problem+json")
    );
    let problem: Value = serde_json::from_slice(&failed.body).unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        problem["type"] == "/problems/record-damaged" && detail.contains(&format!("entry {entry}")),
        "{problem}"
    );
    provoke(failed);
    let closing = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    closing.block_on(service.server().ledgers[LEDGER].close());
    provoke(post(&producer, &simple("closed", "C").to_string()));
    for kind in Kind::ALL {
        let place = format!("/problems/{}", kind.slug());
        let page = service.client(None).get(&place);
        assert!(
            page.ok().contains(kind.slug()) && page.text().contains(kind.title()),
            "{place}"
        );
        let excused = NOT_PROVOKED
            .iter()
            .any(|(k, why)| k == kind && !why.is_empty());
        assert_ne!(
            excused,
            seen.contains(&place),
            "{place} is provoked, or excused"
        );
    }
    let all = service.client(None).get("/problems");
    assert!(
        Kind::ALL
            .iter()
            .all(|k| all.ok().contains(&format!("id=\"{}\"", k.slug())))
    );
}

/// Alters the last entry behind the service's back; gives its position.
fn alter(service: &Service, change: &str) -> u64 {
    use diesel::{Connection, RunQueryDsl, SqliteConnection, sql_query};
    let path = service.dir().join("ledgers").join(LEDGER).join("ledger.db");
    let mut db = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let seq = service.size() - 1;
    let done = sql_query(format!("UPDATE entry SET {change} WHERE seq = {seq}")).execute(&mut db);
    assert_eq!(done, Ok(1));
    seq
}
