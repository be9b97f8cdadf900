//! Findings over many cases: what a sample shows, to whom, and that the index is made from the ledger alone.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use whereas::judge::Profile;
use whereas::ledger::Timestamp;

use crate::findings::{load_all, renamed};
use crate::harness::{Answer, Client, LEDGER, Process, Service, at, proper_case, simple, until};

/// The same record in another case, with traces of its own.
fn own(events: &[Value], suffix: &str) -> Vec<Value> {
    let mut events = renamed(events, suffix);
    for event in &mut events {
        if let Some(trace) = event["trace_id"].as_str().map(|t| format!("{t}{suffix}")) {
            event["trace_id"] = json!(trace);
        }
    }
    events
}

/// Records of the corpus with a defect: each in a case of its own. Gives the case ids.
fn planted(service: &Service, codes: &[&str]) -> Vec<String> {
    let corpus = load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings"));
    let producer = service.producer();
    let mut cases = Vec::new();
    for (n, code) in codes.iter().enumerate() {
        let fixture = corpus.iter().find(|f| f.code == *code).unwrap();
        let events = own(&fixture.with, &format!("-p{n}"));
        producer.post(&at("/events"), &json!(events)).json(201);
        let case = events.iter().find_map(|e| e["case_id"].as_str());
        cases.push(case.unwrap().to_owned());
    }
    cases
}

fn proper(service: &Service, suffix: &str) -> Vec<Value> {
    let events = own(&proper_case(""), suffix);
    service
        .producer()
        .post(&at("/events"), &json!(events))
        .json(201);
    events
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().unwrap().clone()
}

fn list(client: &Client, query: &str) -> Value {
    client.get(&at(&format!("/findings{query}"))).json(200)
}

fn why(client: &Client, case: &str) -> Value {
    client.get(&at(&format!("/cases/{case}/why"))).json(200)
}

fn accepting(client: &Client, query: &str, kind: &str) -> Answer {
    let path = at(&format!("/findings{query}"));
    client.send("GET", &path, &[("accept", kind)], Vec::new())
}

#[test]
fn all_missing_approvals_are_found_and_each_leads_to_its_entries() {
    let service = Service::new();
    let cases = planted(
        &service,
        &["approval.absent", "approval.self", "approval.absent"],
    );
    proper(&service, "-good");
    let investigator = service.reader("investigator");
    let page = list(&investigator, "?code=approval.absent");
    assert_eq!(page["complete"], true, "{page}");
    assert_eq!(page["as_of"], page["size"]);
    // The page speaks of the ledger before the page itself became an entry.
    assert_eq!(page["as_of"], service.size() - 1);
    assert_eq!(page["has_more"], false);
    let found = items(&page);
    let expected: Vec<Value> = [&cases[0], &cases[2]]
        .iter()
        .map(|case| why(&investigator, case)["case"].clone())
        .collect();
    let of: Vec<Value> = found.iter().map(|f| f["case"].clone()).collect();
    assert_eq!(of, expected, "in the order of the ledger");
    for item in &found {
        assert_eq!(item["controls"], "bad");
        let entries = item["entries"].as_array().unwrap();
        assert!(!entries.is_empty());
        for entry in entries {
            let read = investigator.get(entry["href"].as_str().unwrap()).json(200);
            assert_eq!(read["seq"], entry["seq"]);
            let leaf: Value = serde_json::from_str(read["leaf"].as_str().unwrap()).unwrap();
            assert_eq!(leaf["case"], item["case"]);
        }
        let newest = entries.iter().map(|e| e["seq"].as_u64()).max().unwrap();
        let read = investigator.get(&at(&format!("/entries/{}", newest.unwrap())));
        let read = read.json(200);
        let leaf: Value = serde_json::from_str(read["leaf"].as_str().unwrap()).unwrap();
        assert_eq!(leaf["recorded"], item["recorded"]);
        assert_eq!(leaf["occurred"], item["occurred"]);
        let asked = investigator.get(item["case_href"].as_str().unwrap());
        let told = asked.json(200)["findings"].to_string();
        assert!(told.contains("approval.absent"), "{told}");
    }
    // All that is listed is what each case's own answer says.
    let all = items(&list(&investigator, "?limit=1000"));
    for case in cases.iter().map(String::as_str) {
        let answer = why(&investigator, case);
        let told: Vec<&Value> = answer["findings"].as_array().unwrap().iter().collect();
        let listed: Vec<&Value> = all.iter().filter(|f| f["case"] == answer["case"]).collect();
        assert_eq!(listed.len(), told.len(), "{case}");
        for finding in told {
            let same = listed.iter().any(|l| {
                let seqs: Vec<&Value> = l["entries"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|e| &e["seq"])
                    .collect();
                l["code"] == finding["code"]
                    && l["severity"] == finding["severity"]
                    && json!(seqs) == finding["entries"]
            });
            assert!(same, "{finding} of {case} is not listed");
        }
    }
}

#[test]
fn conditions_select_and_counts_count_what_they_select() {
    let service = Service::new();
    planted(&service, &["approval.absent"]);
    service.clock.pass(std::time::Duration::from_secs(100));
    planted_later(&service);
    let investigator = service.reader("investigator");
    let all = items(&list(&investigator, "?limit=1000"));
    let select = |keep: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        all.iter().filter(|f| keep(f)).cloned().collect()
    };
    assert!(all.len() > 2, "{all:?}");
    let text = |f: &Value, member: &str| f[member].as_str().unwrap().to_owned();
    let approvals = select(&|f| text(f, "code").starts_with("approval."));
    assert!(!approvals.is_empty() && approvals.len() < all.len());
    for query in [
        "?code=approval.*",
        "?code=approval.absent,approval.self",
        "?code=approval.absent&code=approval.self",
    ] {
        assert_eq!(items(&list(&investigator, query)), approvals, "{query}");
    }
    let severity = text(&all[0], "severity");
    let grave = select(&|f| f["severity"] == severity);
    let query = format!("?severity={severity}&limit=1000");
    assert_eq!(items(&list(&investigator, &query)), grave);
    let time = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
    for name in ["recorded", "occurred"] {
        let member = name;
        let split = text(all.last().unwrap(), member);
        let (before, after) = (
            select(&|f| time(&text(f, member)) < time(&split)),
            select(&|f| time(&text(f, member)) >= time(&split)),
        );
        let query = format!("?{name}_from={split}&limit=1000");
        assert_eq!(items(&list(&investigator, &query)), after, "{query}");
        let query = format!("?{name}_to={split}&limit=1000");
        assert_eq!(items(&list(&investigator, &query)), before, "{query}");
        assert!(!after.is_empty());
    }
    let counted = list(&investigator, "?counts=true&limit=1");
    assert_eq!(items(&counted).len(), 1);
    let counts = &counted["counts"];
    assert_eq!(counts["findings"], all.len());
    assert_eq!(counts["cases"], 2);
    let total = |member: &str| -> u64 {
        let map = counts[member].as_object().unwrap();
        map.values().map(|n| n.as_u64().unwrap()).sum()
    };
    assert_eq!(total("by_code"), all.len() as u64);
    assert_eq!(total("by_severity"), all.len() as u64);
    for (code, count) in counts["by_code"].as_object().unwrap() {
        assert_eq!(*count, select(&|f| f["code"] == *code).len(), "{code}");
    }
    let narrow = list(&investigator, "?counts=true&code=approval.self");
    assert_eq!(narrow["counts"]["by_code"], json!({"approval.self": 1}));
    assert_eq!(narrow["counts"]["cases"], 1);
    for (query, word) in [
        ("?code=approval.abesnt", "approval.abesnt"),
        ("?code=appr*", "appr*"),
        ("?code=", "no finding"),
        ("?severity=high", "high"),
        ("?recorded_from=yesterday", "recorded_from"),
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=x", "limit"),
        ("?counts=yes", "counts"),
        ("?colour=red", "colour"),
        ("?case=a&case=b", "twice"),
    ] {
        let refused = investigator.get(&at(&format!("/findings{query}")));
        let problem = refused.problem("invalid-query");
        assert!(
            problem["detail"].as_str().unwrap().contains(word),
            "{problem}"
        );
    }
    accepting(&investigator, "?counts=true", "text/csv").problem("invalid-query");
}

fn planted_later(service: &Service) {
    let corpus = load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings"));
    let fixture = corpus.iter().find(|f| f.code == "approval.self").unwrap();
    let events = own(&fixture.with, "-later");
    service
        .producer()
        .post(&at("/events"), &json!(events))
        .json(201);
}

#[test]
fn a_cursor_goes_through_all_of_its_query_and_of_no_other() {
    let service = Service::new();
    planted(
        &service,
        &["approval.absent", "missing.identity", "approval.expired"],
    );
    let auditor = service.reader("auditor");
    let all = items(&list(&auditor, "?limit=1000"));
    let (mut walked, mut query) = (Vec::new(), "?limit=1".to_owned());
    loop {
        let page = list(&auditor, &query);
        assert!(items(&page).len() <= 1);
        walked.extend(items(&page));
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=1&cursor={cursor}"),
            None => break,
        }
        assert_eq!(page["has_more"], true);
    }
    assert_eq!(walked, all);
    let cursor = list(&auditor, "?limit=1")["next_cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    for other in [
        format!("?severity=critical&cursor={cursor}"),
        "?cursor=x".to_owned(),
    ] {
        let refused = auditor.get(&at(&format!("/findings{other}")));
        refused.problem("invalid-cursor");
    }
    let more = list(&auditor, &format!("?limit=2&cursor={cursor}"));
    assert_eq!(
        items(&more),
        all[1..3].to_vec(),
        "only the limit may change"
    );
}

#[test]
fn tables_hold_the_same_findings() {
    let service = Service::new();
    planted(&service, &["approval.absent", "approval.self"]);
    let auditor = service.reader("auditor");
    let all = items(&list(&auditor, "?limit=1000"));
    let lines = accepting(&auditor, "", "application/x-ndjson");
    let read: Vec<Value> = lines
        .ok()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(read, all);
    assert_eq!(
        lines.header("whereas-as-of"),
        (service.size() - 1).to_string()
    );
    assert_eq!(lines.header("whereas-complete"), "true");
    assert_eq!(lines.header("link"), "");
    let table = accepting(&auditor, "", "text/csv");
    assert_eq!(table.header("vary"), "accept");
    let rows: Vec<Vec<&str>> = table
        .ok()
        .split("\r\n")
        .filter(|l| !l.is_empty())
        .map(|l| l.split(',').collect())
        .collect();
    assert_eq!(rows.len(), all.len() + 1);
    assert_eq!(rows[0][..3], ["case", "code", "severity"]);
    for (row, item) in rows[1..].iter().zip(&all) {
        assert_eq!(row.len(), rows[0].len());
        assert_eq!(row[0], format!("~{}", item["case"].as_str().unwrap()));
        assert_eq!(row[1], item["code"].as_str().unwrap());
        let seqs: Vec<String> = item["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["seq"].to_string())
            .collect();
        assert_eq!(row[7], seqs.join(" "));
    }
    // The rest of a table is behind its Link header.
    let mut path = "?severity=error,critical,warning,info&limit=2".to_owned();
    let mut read: Vec<Value> = Vec::new();
    loop {
        let part = accepting(&auditor, &path, "application/x-ndjson");
        read.extend(part.ok().lines().map(|l| serde_json::from_str(l).unwrap()));
        let link = part.header("link").to_owned();
        let Some(address) = link.strip_prefix('<') else {
            break;
        };
        let address = address.strip_suffix(">; rel=\"next\"").unwrap();
        path = address.strip_prefix(&at("/findings")).unwrap().to_owned();
    }
    assert_eq!(read, all);
}

#[test]
fn everybody_sees_the_cases_of_their_grants_and_guesses_nothing() {
    let service = Service::new();
    let cases = planted(&service, &["approval.absent", "approval.absent"]);
    let (mine, other) = (&cases[0], &cases[1]);
    let investigator = service.reader("investigator");
    let pseudonym = |case: &str| {
        why(&investigator, case)["case"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let grant =
        json!({"role": "case_worker", "ledgers": [LEDGER], "cases": {LEDGER: [mine, "C-none"]}});
    let worker = service.client(Some(&service.token(&grant)));
    let seen = items(&list(&worker, "?limit=1000"));
    assert!(!seen.is_empty());
    assert!(
        seen.iter().all(|f| f["case"] == pseudonym(mine)),
        "{seen:?}"
    );
    let counts = list(&worker, "?counts=true")["counts"].clone();
    assert_eq!(
        (&counts["cases"], &counts["findings"]),
        (&json!(1), &json!(seen.len()))
    );
    let get = |client: &Client, query: &str| client.get(&at(&format!("/findings{query}")));
    let hidden = get(&worker, &format!("?case={other}"));
    hidden.problem("not-found");
    assert_eq!(hidden.text(), get(&worker, "?case=C-absent").text());
    get(&worker, &format!("?case=~{}", pseudonym(other))).problem("not-found");
    assert_eq!(
        items(&list(&worker, &format!("?case={mine}"))).len(),
        seen.len()
    );

    let auditor = service.reader("auditor");
    let by_name = get(&auditor, &format!("?case={mine}"));
    by_name.problem("not-found");
    assert_eq!(by_name.text(), get(&auditor, "?case=C-absent").text());
    let by_pseudonym = list(&auditor, &format!("?case=~{}", pseudonym(mine)));
    assert_eq!(items(&by_pseudonym), seen);
    get(&auditor, "?feature=complaint.escalation").problem("forbidden");

    // Features select cases for whoever reads their content, and only those.
    let feature = proper_case("")
        .iter()
        .find_map(|e| e["feature"].as_str().map(str::to_owned));
    let feature = feature.unwrap();
    let of_feature = items(&list(
        &investigator,
        &format!("?feature={feature}&limit=1000"),
    ));
    assert_eq!(of_feature, items(&list(&investigator, "?limit=1000")));
    assert_eq!(
        items(&list(&investigator, "?feature=other")),
        Vec::<Value>::new()
    );
    assert_eq!(items(&list(&worker, &format!("?feature={feature}"))), seen);
    let (id, token) =
        service.principal(&json!({"role": "auditor", "ledgers": [LEDGER], "all_cases": true}));
    service
        .administrator()
        .post(&format!("/v1/principals/{id}/grants"), &grant)
        .json(201);
    let both = service.client(Some(&token));
    assert!(items(&list(&both, "?limit=1000")).len() > seen.len());
    assert_eq!(
        items(&list(&both, &format!("?feature={feature}&limit=1000"))),
        seen
    );
}

#[test]
fn the_index_is_derived_and_holds_no_content() {
    let mut service = Service::new();
    let cases = planted(&service, &["approval.absent", "approval.expired"]);
    let all = |service: &Service| items(&list(&service.reader("auditor"), "?limit=1000"));
    let before = all(&service);
    let file = service.dir().join("ledgers").join(LEDGER).join("survey.db");
    let ends = ["", "-wal", "-shm"].map(|end| {
        let mut path = file.clone().into_os_string();
        path.push(end);
        std::path::PathBuf::from(path)
    });
    let bytes: Vec<u8> = ends
        .iter()
        .filter_map(|path| std::fs::read(path).ok())
        .flatten()
        .collect();
    let holds = |text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(holds("approval.absent"), "the search finds what is there");
    let feature = proper_case("")
        .iter()
        .find_map(|e| e["feature"].as_str().map(str::to_owned));
    for content in [
        &cases[0],
        &cases[1],
        &feature.unwrap(),
        &"A. Jansen".to_owned(),
    ] {
        assert!(!holds(content), "{content} is in the index");
    }

    service.restart();
    assert_eq!(all(&service), before, "after a restart");
    service.stop();
    for path in &ends {
        let _ = std::fs::remove_file(path);
    }
    service.start();
    assert_eq!(all(&service), before, "after it was deleted");
    service.stop();
    for path in &ends {
        let _ = std::fs::remove_file(path);
    }
    std::fs::write(&file, vec![7; 10_000]).unwrap();
    service.start();
    assert_eq!(all(&service), before, "after it was damaged");

    // Judged against another profile, all of it is judged again.
    service.stop();
    let mut profile = Profile::builtin().unwrap();
    profile.version = "2".into();
    for rule in &mut profile.rules {
        rule.controls.remove("approval.absent");
    }
    service.profile = Some(profile);
    service.start();
    let auditor = service.reader("auditor");
    let page = list(&auditor, "?limit=1000");
    assert_eq!(page["profile"]["version"], "2");
    let left: Vec<Value> = before
        .iter()
        .filter(|f| f["code"] != "approval.absent")
        .cloned()
        .collect();
    let codes = |rows: &[Value]| -> Vec<(Value, Value)> {
        rows.iter()
            .map(|f| (f["case"].clone(), f["code"].clone()))
            .collect()
    };
    assert!(left.len() < before.len());
    assert_eq!(codes(&items(&page)), codes(&left));
}

#[test]
fn a_case_is_judged_again_when_it_goes_on() {
    let service = Service::new();
    let events = proper(&service, "-grows");
    let auditor = service.reader("auditor");
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let before = items(&list(&auditor, "?code=approval.*,output.*"));
    assert_eq!(before, Vec::<Value>::new());
    let action = events.iter().rfind(|e| e["type"] == "action.performed");
    let mut again = action.unwrap().clone();
    again["id"] = json!("again");
    again["data"]["action"] = json!("refund");
    producer.post(&at("/events"), &again).json(201);
    let case = events[0]["case_id"].as_str().unwrap();
    let told: BTreeSet<String> = why(&investigator, case)["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["code"].as_str().unwrap().to_owned())
        .collect();
    let listed: BTreeSet<String> = items(&list(&auditor, "?limit=1000"))
        .iter()
        .map(|f| f["code"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, told);
    assert!(
        !told.is_empty(),
        "an action without a recommendation is found"
    );
}

#[test]
fn one_request_goes_some_way_and_says_how_far() {
    let service = Service::new();
    let producer = service.producer();
    for batch in 0..3 {
        let events: Vec<Value> = (0..100)
            .map(|n| simple(&format!("e-{batch}-{n}"), &format!("C-{batch}-{n}")))
            .collect();
        producer.post(&at("/events"), &json!(events)).json(201);
    }
    let auditor = service.reader("auditor");
    let first = list(&auditor, "?limit=1");
    assert_eq!(first["complete"], false, "{first}");
    assert!(first["as_of"].as_u64() < first["size"].as_u64());
    let table = accepting(&auditor, "?limit=1", "text/csv");
    assert_eq!(table.header("whereas-complete"), "true");
    let second = list(&auditor, "?limit=1");
    assert_eq!(second["as_of"], service.size() - 1);
    // In the background it goes on in steps until nothing is left.
    producer
        .post(&at("/events"), &json!([simple("one-more", "C-more")]))
        .json(201);
    assert!(!service.server().survey_some());
}

#[test]
fn the_program_judges_in_the_background() {
    let process = Process::new();
    let file = process
        .path()
        .join(format!("data/ledgers/{LEDGER}/survey.db"));
    until("the index is made", || file.exists());
}
