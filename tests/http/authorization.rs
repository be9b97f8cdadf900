//! Who may do what: every operation of the served document, for everybody who may come.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{
    Answer, Client, LEDGER, OTHER, SOURCE, Service, at, full_event, proper_case, segment,
};

/// Who comes: without a token, with a wrong one, each role of this tenant, each role of the other.
const CALLERS: [&str; 9] = [
    "nobody",
    "garbage",
    "producer",
    "case_worker",
    "investigator",
    "auditor",
    "regulator",
    "privacy_officer",
    "administrator",
];

/// A row: method, path template, what each of [`CALLERS`] gets, and what somebody of the other tenant gets who has
/// the role for which the operation is meant.
type Row = (&'static str, &'static str, [u16; 9], Foreign);

/// What somebody of the other tenant gets.
#[derive(Clone, Copy)]
enum Foreign {
    /// The same as everybody, since it belongs to no tenant.
    Same,
    /// This.
    Gets(&'static str, u16),
}
use Foreign::{Gets, Same};

/// The whole of it. An operation that is not here fails the test.
///
/// Columns:                                                  none bad  prod work inve audi regu priv admi
#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("GET",    "/healthz",                                      [200, 200, 200, 200, 200, 200, 200, 200, 200], Same),
    ("GET",    "/metrics",                                      [200, 200, 200, 200, 200, 200, 200, 200, 200], Same),
    ("GET",    "/problems",                                     [200, 200, 200, 200, 200, 200, 200, 200, 200], Same),
    ("GET",    "/problems/{problem}",                           [200, 200, 200, 200, 200, 200, 200, 200, 200], Same),
    ("GET",    "/v1/event-types",                               [200, 200, 200, 200, 200, 200, 200, 200, 200], Same),
    ("GET",    "/v1/event-types/{type}/schema",                 [200, 200, 200, 200, 200, 200, 200, 200, 200], Same),
    ("GET",    "/v1/me",                                        [401, 401, 200, 200, 200, 200, 200, 200, 200], Gets("producer", 200)),
    ("GET",    "/v1/ledgers",                                   [401, 401, 200, 200, 200, 200, 200, 200, 200], Gets("producer", 200)),
    ("GET",    "/v1/ledgers/{ledger}",                          [401, 401, 200, 200, 200, 200, 200, 200, 200], Gets("administrator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/keys",                     [401, 401, 200, 200, 200, 200, 200, 200, 200], Gets("auditor", 404)),
    ("GET",    "/v1/ledgers/{ledger}/keys/bridges",             [401, 401, 200, 200, 200, 200, 200, 200, 200], Gets("auditor", 404)),
    ("POST",   "/v1/ledgers/{ledger}/keys/rotations",           [401, 401, 403, 403, 403, 403, 403, 403, 201], Gets("administrator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/checkpoint",               [401, 401, 200, 200, 200, 200, 200, 200, 200], Gets("auditor", 404)),
    ("GET",    "/v1/ledgers/{ledger}/export",                   [401, 401, 403, 403, 200, 200, 403, 200, 200], Gets("auditor", 404)),
    ("GET",    "/v1/ledgers/{ledger}/checkpoints/{size}",       [401, 401, 403, 403, 403, 200, 403, 403, 403], Gets("auditor", 404)),
    ("GET",    "/v1/ledgers/{ledger}/proofs/inclusion",         [401, 401, 403, 403, 403, 200, 403, 403, 403], Gets("auditor", 404)),
    ("GET",    "/v1/ledgers/{ledger}/proofs/consistency",       [401, 401, 403, 403, 403, 200, 403, 403, 403], Gets("auditor", 404)),
    ("GET",    "/v1/ledgers/{ledger}/log/checkpoint",           [401, 401, 200, 200, 200, 200, 200, 200, 200], Gets("auditor", 404)),
    ("GET",    "/v1/ledgers/{ledger}/log/tile/{level}/{tile}",  [401, 401, 403, 403, 403, 200, 403, 403, 403], Gets("auditor", 404)),
    ("GET",    "/v1/ledgers/{ledger}/log/tile/entries/{bundle}", [401, 401, 403, 403, 403, 200, 403, 403, 403], Gets("auditor", 404)),
    ("POST",   "/v1/ledgers/{ledger}/clock/confirm",            [401, 401, 403, 403, 403, 403, 403, 403, 200], Gets("administrator", 404)),
    ("POST",   "/v1/ledgers/{ledger}/events",                   [401, 401, 201, 403, 403, 403, 403, 403, 403], Gets("producer", 404)),
    ("GET",    "/v1/ledgers/{ledger}/receipts",                 [401, 401, 200, 403, 403, 403, 403, 403, 403], Gets("producer", 404)),
    ("GET",    "/v1/ledgers/{ledger}/events",                   [401, 401, 403, 200, 200, 404, 200, 200, 403], Gets("investigator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/entries/{seq}",            [401, 401, 403, 200, 200, 200, 200, 200, 403], Gets("auditor", 404)),
    ("GET",    "/v1/ledgers/{ledger}/entries/{seq}/receipt",    [401, 401, 403, 403, 403, 200, 403, 403, 403], Gets("auditor", 404)),
    ("GET",    "/v1/ledgers/{ledger}/cases/{case}",             [401, 401, 403, 200, 200, 404, 200, 200, 403], Gets("investigator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/cases/{case}/why",         [401, 401, 403, 200, 200, 404, 200, 200, 403], Gets("investigator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/cases/{case}/accesses",    [401, 401, 403, 200, 200, 403, 200, 200, 403], Gets("investigator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/traces/{trace}",           [401, 401, 403, 200, 200, 200, 200, 200, 403], Gets("investigator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/traces/{trace}/why",       [401, 401, 403, 200, 200, 200, 200, 200, 403], Gets("investigator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/recommendations/{recommendation}",     [401, 401, 403, 200, 200, 404, 200, 200, 403], Gets("investigator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/recommendations/{recommendation}/why", [401, 401, 403, 200, 200, 404, 200, 200, 403], Gets("investigator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/findings",                 [401, 401, 403, 200, 200, 200, 200, 200, 403], Gets("investigator", 404)),
    ("POST",   "/v1/ledgers/{ledger}/reports",                  [401, 401, 403, 403, 201, 404, 201, 201, 403], Gets("regulator", 404)),
    ("GET",    "/v1/ledgers/{ledger}/reports/{report}",         [401, 401, 403, 403, 200, 404, 200, 200, 403], Gets("regulator", 404)),
    ("GET",    "/v1/principals",                                [401, 401, 403, 403, 403, 403, 403, 403, 200], Gets("administrator", 200)),
    ("POST",   "/v1/principals",                                [401, 401, 403, 403, 403, 403, 403, 403, 201], Gets("administrator", 403)),
    ("GET",    "/v1/principals/{principal}",                    [401, 401, 403, 403, 403, 403, 403, 403, 200], Gets("administrator", 404)),
    ("POST",   "/v1/principals/{principal}/grants",             [401, 401, 403, 403, 403, 403, 403, 403, 201], Gets("administrator", 404)),
    ("GET",    "/v1/principals/{principal}/tokens",             [401, 401, 403, 403, 403, 403, 403, 403, 200], Gets("administrator", 404)),
    ("POST",   "/v1/principals/{principal}/tokens",             [401, 401, 403, 403, 403, 403, 403, 403, 201], Gets("administrator", 404)),
    ("POST",   "/v1/principals/{principal}/tokens/{token}/rotate", [401, 401, 403, 403, 403, 403, 403, 403, 201], Gets("administrator", 404)),
    ("DELETE", "/v1/principals/{principal}/tokens/{token}",     [401, 401, 403, 403, 403, 403, 403, 403, 204], Gets("administrator", 404)),
    ("DELETE", "/v1/principals/{principal}/grants/{grant}",     [401, 401, 403, 403, 403, 403, 403, 403, 204], Gets("administrator", 404)),
    ("DELETE", "/v1/principals/{principal}",                    [401, 401, 403, 403, 403, 403, 403, 403, 204], Gets("administrator", 404)),
];

/// A tenant's people, and something of everything.
struct Cast {
    clients: BTreeMap<&'static str, Client>,
    foreign: BTreeMap<&'static str, Client>,
    /// What stands for the parameters of paths.
    values: BTreeMap<&'static str, String>,
    events: Vec<Value>,
}

const CASE: &str = "C-2041-planted";

fn cast(service: &Service) -> Cast {
    let soon = "2099-01-01T00:00:00Z";
    let grant = |role: &str, ledger: &str| match role {
        "producer" => json!({"role": role, "ledgers": [ledger], "sources": [SOURCE]}),
        "administrator" => json!({"role": role, "ledgers": [ledger]}),
        "case_worker" => json!({"role": role, "ledgers": [ledger], "cases": {ledger: [CASE]}}),
        "regulator" => {
            json!({"role": role, "ledgers": [ledger], "cases": {ledger: [CASE]}, "expires": soon})
        }
        _ => json!({"role": role, "ledgers": [ledger], "all_cases": true}),
    };
    let mut clients = BTreeMap::new();
    let mut foreign = BTreeMap::new();
    clients.insert("nobody", service.client(None));
    clients.insert("garbage", service.client(Some("wh_garbage")));
    for role in &CALLERS[2..] {
        let token = service.token(&grant(role, LEDGER));
        clients.insert(role, service.client(Some(&token)));
        let token = service.token(&grant(role, OTHER));
        foreign.insert(*role, service.client(Some(&token)));
    }
    let events = proper_case("-planted");
    assert_eq!(events[0]["case_id"], CASE);
    clients["producer"]
        .post(&at("/events"), &json!(events))
        .json(201);
    let order = json!({"subject": {"case": CASE}, "purpose": "A test"});
    let report = clients["investigator"]
        .post(&at("/reports"), &order)
        .json(201);
    let drafted = events.iter().find_map(|e| e["recommendation_id"].as_str());
    let trace = events[0]["trace_id"].as_str().unwrap();
    let values = BTreeMap::from([
        ("problem", "not-found".to_owned()),
        ("type", "approval.decided".to_owned()),
        ("ledger", LEDGER.to_owned()),
        ("case", CASE.to_owned()),
        ("trace", trace.to_owned()),
        ("recommendation", drafted.unwrap().to_owned()),
        ("report", report["id"].as_str().unwrap().to_owned()),
        ("seq", (report["seq"].as_u64().unwrap() - 2).to_string()),
        // A report is a commit of its own.
        ("size", (report["seq"].as_u64().unwrap() + 1).to_string()),
        ("level", "0".to_owned()),
        ("tile", "000.p/2".to_owned()),
        ("bundle", "000.p/2".to_owned()),
    ]);
    Cast {
        clients,
        foreign,
        values,
        events,
    }
}

impl Cast {
    /// Sends what the operation wants, about something that is there.
    fn ask(&self, service: &Service, client: &Client, method: &str, template: &str) -> Answer {
        let mut values = self.values.clone();
        if template.contains("{principal}") {
            // A principal of its own each time: some operations end it.
            let grant = json!({"role": "producer", "ledgers": [LEDGER], "sources": ["urn:x"]});
            let (id, _) = service.principal(&grant);
            let admin = service.administrator();
            let made = admin.get(&format!("/v1/principals/{id}")).json(200);
            let tokens = admin.get(&format!("/v1/principals/{id}/tokens")).json(200);
            let text = |v: &Value| v.as_str().unwrap().to_owned();
            values.insert("grant", text(&made["grants"][0]["id"]));
            values.insert("token", text(&tokens["items"][0]["id"]));
            values.insert("principal", id);
        }
        let mut path = template.to_owned();
        for (name, value) in &values {
            let value = match *name {
                "tile" | "bundle" => value.clone(),
                _ => segment(value),
            };
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        assert!(!path.contains('{'), "no value for a parameter of {path}");
        match (method, template) {
            ("GET", t) if t.ends_with("/receipts") => {
                let id = self.events[0]["id"].as_str().unwrap();
                path.push_str(&format!("?source={}&id={}", segment(SOURCE), segment(id)));
            }
            ("GET", t) if t.ends_with("/proofs/inclusion") => path.push_str("?seq=1&size=2"),
            ("GET", t) if t.ends_with("/proofs/consistency") => path.push_str("?first=1&second=2"),
            ("GET", t) if t.ends_with("/events") => {
                path.push_str(&format!("?case={}", segment(CASE)));
            }
            _ => {}
        }
        let own = json!({"role": "producer", "ledgers": [LEDGER], "sources": ["urn:y"]});
        let body = match template.rsplit('/').next().unwrap() {
            "events" => full_event(&format!("e-{}", service.size()), "C-other"),
            "reports" => json!({"subject": {"case": CASE}, "purpose": "A test"}),
            "principals" => json!({"name": "X", "grants": [own]}),
            "grants" => own,
            "rotations" => json!({"purpose": "report"}),
            _ => json!({}),
        };
        match method {
            "GET" => client.get(&path),
            "DELETE" => client.delete(&path),
            "POST" if template.ends_with("/confirm") => client.send(method, &path, &[], Vec::new()),
            "POST" => client.post(&path, &body),
            other => panic!("no test for the method {other}"),
        }
    }
}

#[test]
fn every_operation_answers_everybody_as_the_table_says() {
    let service = Service::new();
    let cast = cast(&service);
    let served: Value = service.client(None).get("/openapi.json").json(200);
    let mut operations = BTreeSet::new();
    for (path, item) in served["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            operations.insert((method.to_ascii_uppercase(), path.clone()));
        }
    }
    let known: BTreeSet<(String, String)> = TABLE
        .iter()
        .map(|(m, p, ..)| ((*m).to_owned(), (*p).to_owned()))
        .collect();
    assert_eq!(known.len(), TABLE.len());
    assert_eq!(operations, known, "served, and in the table");
    let mut wrong = Vec::new();
    for (method, template, expected, foreign) in TABLE {
        for (caller, expected) in CALLERS.iter().zip(expected) {
            let answer = cast.ask(&service, &cast.clients[caller], method, template);
            if answer.status != *expected {
                let got = answer.status;
                wrong.push(format!(
                    "{method} {template} as {caller}: {got}, not {expected}: {}",
                    answer.start()
                ));
            }
        }
        if let Gets(role, expected) = foreign {
            let answer = cast.ask(&service, &cast.foreign[role], method, template);
            if answer.status != *expected {
                let got = answer.status;
                wrong.push(format!(
                    "{method} {template} as the other tenant's {role}: {got}, not {expected}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_another_tenant_nothing_shows_at_all() {
    let service = Service::new();
    let cast = cast(&service);
    for (role, client) in &cast.foreign {
        for (method, template, _, foreign) in TABLE {
            if matches!(foreign, Same) || !template.contains("{ledger}") {
                continue;
            }
            let theirs = cast.ask(&service, client, method, template);
            theirs.problem("not-found");
            // A ledger that does not exist is refused with the same words.
            let mut nowhere = Cast {
                values: cast.values.clone(),
                clients: BTreeMap::new(),
                foreign: BTreeMap::new(),
                events: cast.events.clone(),
            };
            nowhere.values.insert("ledger", "none".into());
            let none = nowhere.ask(&service, client, method, template);
            assert_eq!(theirs.text(), none.text(), "{role} {method} {template}");
        }
        let list = client.get("/v1/ledgers").json(200);
        let names: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, [OTHER], "{role}");
    }
    let theirs = cast.foreign["administrator"]
        .get("/v1/principals?limit=1000")
        .json(200);
    let reaching = theirs["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p.to_string().contains(LEDGER));
    assert_eq!(reaching.count(), 0, "{theirs}");
}

/// All texts of the planted case that would tell something: of more than three characters, and not in the vocabulary.
fn planted(events: &[Value]) -> BTreeSet<String> {
    fn texts(value: &Value, out: &mut BTreeSet<String>) {
        match value {
            Value::String(text) => {
                out.insert(text.clone());
            }
            Value::Array(items) => items.iter().for_each(|v| texts(v, out)),
            Value::Object(map) => map.values().for_each(|v| texts(v, out)),
            _ => {}
        }
    }
    let mut out = BTreeSet::new();
    for event in events {
        let mut event = event.clone();
        for member in ["type", "time", "trace_id", "span_id"] {
            event.as_object_mut().unwrap().remove(member);
        }
        texts(&event, &mut out);
    }
    out.retain(|t| t.contains([' ', '-', '@']) && t.len() > 3 || t.len() > 12);
    out
}

#[test]
fn an_auditor_follows_every_case_and_reads_none() {
    let service = Service::new();
    let cast = cast(&service);
    let auditor = &cast.clients["auditor"];
    let investigator = &cast.clients["investigator"];
    let planted = planted(&cast.events);
    assert!(planted.len() > 30 && planted.contains(CASE), "{planted:?}");
    let full = investigator
        .get(&at(&format!("/cases/{CASE}/why")))
        .json(200);
    let case = format!("~{}", full["case"].as_str().unwrap());
    let order = json!({"subject": {"case": case}, "purpose": "An audit"});
    let report = auditor.post(&at("/reports"), &order).json(201);
    let trace = &cast.values["trace"];
    let odd = json!({"id": "odd", "source": SOURCE, "type": "x.odd", "time": "2026-01-01T00:00:00Z", "trace_id": "tr-odd"});
    cast.clients["producer"]
        .post(&at("/events"), &odd)
        .json(201);
    let mut paths = vec![
        "/v1/me".to_owned(),
        "/v1/ledgers".to_owned(),
        at(""),
        at("/keys"),
        at("/checkpoint"),
        at("/events?limit=1000"),
        at("/findings?limit=1000"),
        at(&format!("/events?case={case}")),
        at(&format!("/events?trace={trace}")),
        at(&format!("/cases/{case}")),
        at(&format!("/cases/{case}/why")),
        at(&format!("/cases/{case}/why?lang=de")),
        at(&format!("/traces/{trace}")),
        at(&format!("/traces/{trace}/why")),
        at(&format!("/traces/{trace}/why?case={case}")),
        report["href"].as_str().unwrap().to_owned(),
    ];
    for seq in 0..service.size() {
        paths.push(at(&format!("/entries/{seq}")));
        paths.push(at(&format!("/entries/{seq}/receipt")));
        paths.push(at(&format!("/entries/{seq}/receipt?size=latest")));
        paths.push(at(&format!("/log/tile/entries/000.p/{}", seq + 1)));
    }
    for path in &paths {
        let answer = auditor.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.start());
        let mut text = String::from_utf8_lossy(&answer.body).into_owned();
        if path.contains("/receipt") {
            text.push_str(&decoded(answer.text()));
        }
        if let Ok(file) = serde_json::from_slice::<Value>(&answer.body)
            && let Some(payload) = file.pointer("/envelope/payload").and_then(Value::as_str)
        {
            assert_eq!(
                file["disclosures"],
                json!([]),
                "an auditor's report shows nothing"
            );
            text.push_str(&base64(payload));
        }
        for secret in &planted {
            assert!(!text.contains(secret), "{path} tells {secret:?}");
        }
    }
    // The same planted texts do show where they may: the search above finds what it looks for.
    let read = investigator.get(&at(&format!("/events?case={CASE}&limit=1000")));
    let read = read.ok();
    assert!(planted.iter().all(|t| read.contains(&json!(t).to_string())));
    let seen = auditor.get(&at(&format!("/cases/{case}/why"))).json(200);
    assert_eq!(seen["verdicts"], full["verdicts"]);
    let by_odd_trace = auditor.get(&at("/events?trace=tr-odd")).json(200);
    assert_eq!(
        by_odd_trace["items"],
        json!([]),
        "odd trace ids are content"
    );
    // Whether somebody has a case is not to be found out by guessing its id.
    for path in [
        format!("/cases/{CASE}"),
        format!("/cases/{CASE}/why"),
        format!("/events?case={CASE}"),
        format!("/traces/{trace}/why?case={CASE}"),
        "/traces/tr-odd".to_owned(),
        "/traces/tr-odd/why".to_owned(),
        format!(
            "/recommendations/{}",
            segment(&cast.values["recommendation"])
        ),
        format!(
            "/recommendations/{}/why",
            segment(&cast.values["recommendation"])
        ),
    ] {
        let absent = path
            .replace(CASE, "C-none")
            .replace("tr-odd", "tr-none")
            .replace(&cast.values["recommendation"], "rec-none");
        let (there, none) = (auditor.get(&at(&path)), auditor.get(&at(&absent)));
        there.problem("not-found");
        assert_eq!(there.text(), none.text(), "{path}");
    }
}

fn base64(text: &str) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The leaf that stands in a receipt.
fn decoded(receipt: &str) -> String {
    let extra = receipt.lines().find_map(|l| l.strip_prefix("extra "));
    base64(extra.expect("a receipt carries its leaf"))
}

#[test]
fn a_producer_reads_its_receipts_and_nothing_else() {
    let service = Service::new();
    let cast = cast(&service);
    let grant = json!({"role": "producer", "ledgers": [LEDGER], "sources": ["urn:second"]});
    let second = service.client(Some(&service.token(&grant)));
    let id = cast.events[0]["id"].as_str().unwrap();
    let path = at(&format!(
        "/receipts?source={}&id={}",
        segment(SOURCE),
        segment(id)
    ));
    cast.clients["producer"].get(&path).ok();
    second.get(&path).problem("not-found");
    let mut event = cast.events[0].clone();
    event["source"] = json!("urn:second");
    second.post(&at("/events"), &event).json(201);
    let path = at(&format!("/receipts?source=urn:second&id={}", segment(id)));
    second.get(&path).ok();
    cast.clients["producer"].get(&path).problem("not-found");
}

#[test]
fn a_case_worker_sees_the_cases_of_the_list_only() {
    let service = Service::new();
    let cast = cast(&service);
    let worker = &cast.clients["case_worker"];
    let other = proper_case("-unlisted");
    let posted = cast.clients["producer"]
        .post(&at("/events"), &json!(other))
        .json(201);
    let of_other = other[0]["case_id"].as_str().unwrap();
    let loose = json!({"id": "loose", "source": SOURCE, "type": "x.loose", "time": "2026-01-01T00:00:00Z", "trace_id": "tr-loose"});
    let loose = cast.clients["producer"]
        .post(&at("/events"), &loose)
        .json(201);
    worker.get(&at(&format!("/cases/{CASE}"))).json(200);
    let seq = |answer: &Value| answer["items"][0]["seq"].as_u64().unwrap();
    let why = cast.clients["investigator"]
        .get(&at(&format!("/cases/{of_other}/why")))
        .json(200);
    let pseudonym = why["case"].as_str().unwrap();
    for path in [
        format!("/cases/{of_other}"),
        format!("/cases/{of_other}/why"),
        format!("/cases/~{pseudonym}"),
        format!("/events?case={of_other}"),
        format!("/events?case=~{pseudonym}"),
        format!("/entries/{}", seq(&posted)),
        format!("/entries/{}", seq(&loose)),
        "/entries/0".to_owned(),
        "/traces/tr-loose".to_owned(),
    ] {
        worker.get(&at(&path)).problem("not-found");
    }
    worker.get(&at("/events")).problem("invalid-query");
    let listed = worker
        .get(&at(&format!("/events?case={CASE}&limit=1000")))
        .json(200);
    let seen = listed["items"].as_array().unwrap();
    assert!(seen.len() >= cast.events.len());
    for item in seen {
        let case = &item["event"]["case_id"];
        assert!(case == CASE || case.is_null(), "{item}");
    }
    // Both records use the same trace; only one of the two is seen.
    let trace = &cast.values["trace"];
    let told = worker.get(&at(&format!("/traces/{trace}"))).json(200);
    assert!(!told.to_string().contains(of_other));
    cast.clients["investigator"]
        .get(&at(&format!("/traces/{trace}")))
        .problem("several-cases");
}

#[test]
fn who_reads_one_case_and_audits_all_cannot_guess_at_the_others() {
    let service = Service::new();
    let cast = cast(&service);
    let other = proper_case("-unlisted");
    cast.clients["producer"]
        .post(&at("/events"), &json!(other))
        .json(201);
    let of_other = other[0]["case_id"].as_str().unwrap();
    let grant = json!({"role": "auditor", "ledgers": [LEDGER], "all_cases": true});
    let (id, token) = service.principal(&grant);
    let grant = json!({"role": "case_worker", "ledgers": [LEDGER], "cases": {LEDGER: [CASE]}});
    service
        .administrator()
        .post(&format!("/v1/principals/{id}/grants"), &grant)
        .json(201);
    let both = service.client(Some(&token));
    let own = both.get(&at(&format!("/cases/{CASE}/why"))).json(200);
    assert!(own["answer"][0]["sentences"][0]["text"].is_string());
    for path in [
        format!("/cases/{of_other}"),
        format!("/cases/{of_other}/why"),
        format!("/events?case={of_other}"),
    ] {
        let there = both.get(&at(&path));
        there.problem("not-found");
        let none = both.get(&at(&path.replace(of_other, "C-none")));
        assert_eq!(there.text(), none.text(), "{path}");
    }
    let why = cast.clients["investigator"]
        .get(&at(&format!("/cases/{of_other}/why")))
        .json(200);
    let pseudonym = why["case"].as_str().unwrap();
    let odd = json!({"id": "odd", "source": SOURCE, "type": "x.odd", "time": "2026-01-01T00:00:00Z", "case_id": of_other, "trace_id": "tr-odd"});
    cast.clients["producer"]
        .post(&at("/events"), &odd)
        .json(201);
    let by_trace = both.get(&at("/events?trace=tr-odd")).json(200);
    assert_eq!(by_trace["items"], json!([]));
    both.get(&at("/traces/tr-odd/why")).problem("not-found");
    let seen = both.get(&at(&format!("/cases/~{pseudonym}/why"))).json(200);
    assert!(seen["answer"][0]["sentences"][0].get("text").is_none());
}

#[test]
fn a_regulator_sees_the_case_until_the_grant_is_over() {
    let service = Service::new();
    let cast = cast(&service);
    let now = whereas::sequencer::Clock::now(&*service.clock);
    let soon = now.plus_micros(3_600_000_000).to_string();
    let grant = json!({"role": "regulator", "ledgers": [LEDGER], "cases": {LEDGER: [CASE]}, "expires": soon});
    let (id, token) = service.principal(&grant);
    let regulator = service.client(Some(&token));
    let path = at(&format!("/cases/{CASE}/why"));
    regulator.get(&path).json(200);
    regulator.get(&at("/entries/0")).problem("not-found");
    service.clock.pass(std::time::Duration::from_secs(3_601));
    // The ledger is gone for them, and the case with it; who they are they may still see.
    regulator.get(&path).problem("not-found");
    let order = json!({"subject": {"case": CASE}, "purpose": "Too late"});
    regulator.post(&at("/reports"), &order).problem("not-found");
    cast.clients["regulator"].get(&path).json(200);
    let over = json!({"role": "regulator", "ledgers": [LEDGER], "cases": {LEDGER: [CASE]}, "expires": soon});
    let refused = service
        .administrator()
        .post(&format!("/v1/principals/{id}/grants"), &over);
    refused.problem("invalid-request");
    let endless = json!({"role": "regulator", "ledgers": [LEDGER], "cases": {LEDGER: [CASE]}});
    let refused = service
        .administrator()
        .post(&format!("/v1/principals/{id}/grants"), &endless);
    refused.problem("invalid-request");
}

#[test]
fn what_is_revoked_ends_at_once_and_is_recorded() {
    let service = Service::new();
    let admin = service.administrator();
    let auditor = service.reader("auditor");
    let grant = json!({"role": "investigator", "ledgers": [LEDGER], "all_cases": true});
    let (id, token) = service.principal(&grant);
    let client = service.client(Some(&token));
    client.get(&at("")).json(200);
    let tokens = admin.get(&format!("/v1/principals/{id}/tokens")).json(200);
    let first = tokens["items"][0]["id"].as_str().unwrap();
    let rotated = admin
        .post(
            &format!("/v1/principals/{id}/tokens/{first}/rotate"),
            &json!({}),
        )
        .json(201);
    client.get(&at("")).problem("unauthenticated");
    let client = service.client(Some(rotated["token"].as_str().unwrap()));
    client.get(&at("")).json(200);
    admin
        .post(
            &format!("/v1/principals/{id}/tokens/{first}/rotate"),
            &json!({}),
        )
        .problem("access-change-refused");
    assert_eq!(admin.delete(&format!("/v1/principals/{id}")).status, 204);
    client.get(&at("")).problem("unauthenticated");
    admin
        .post(&format!("/v1/principals/{id}/tokens"), &json!({}))
        .problem("access-change-refused");
    let page = auditor
        .get(&at("/events?type=principal.changed&limit=1000"))
        .json(200);
    let mut kinds = Vec::new();
    for item in page["items"].as_array().unwrap() {
        let leaf: Value = serde_json::from_str(item["leaf"].as_str().unwrap()).unwrap();
        if leaf["fact"]["principal"] == json!(id) {
            kinds.push(leaf["fact"]["kind"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(
        kinds.len(),
        4,
        "created, minted, rotated, revoked: {kinds:?}"
    );
}
