//! Reading is recorded: no route hands out anything of the record before the read is an entry, and none is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use whereas::http::{Class, PURPOSE, ROUTES};
use whereas::ledger::{Leaf, decode_b64, decode_b64url};
use whereas::reconstruct::open_entry;
use whereas::store::EntryQuery;
use whereas::verify;

use crate::harness::{
    Answer, Client, LEDGER, OTHER, SOURCE, Service, at, operations, proper_case, segment, simple,
    until,
};

/// What the entries of a type in a ledger hold, in ledger order, each with its position.
fn told(service: &Service, ledger: &str, kind: &str, at: &str) -> Vec<(u64, Value)> {
    let ledger = &service.server().ledgers[ledger];
    let query = EntryQuery {
        kind: Some(kind.into()),
        below: ledger.size(),
        limit: 100_000,
        ..EntryQuery::default()
    };
    let mut all = Vec::new();
    for entry in ledger.reader().entries(&query).unwrap() {
        let leaf = Leaf::decode(&entry.leaf).unwrap();
        assert_eq!((leaf.case, leaf.fact), (None, None));
        let shown = ledger.disclosures(&entry).unwrap().unwrap();
        let (opened, _) = open_entry(&entry, &shown).unwrap();
        assert_eq!(opened.opened.members.len(), 1);
        let list = opened.opened.expand(&opened.opened.members[at].value);
        let list = list.as_array().unwrap().clone();
        assert!(!list.is_empty());
        all.extend(list.into_iter().map(|item| (entry.seq, item)));
    }
    all
}

fn accesses(service: &Service) -> Vec<(u64, Value)> {
    told(service, LEDGER, "record.accessed", "/data/accesses")
}

fn denials(service: &Service, ledger: &str) -> Vec<Value> {
    let all = told(service, ledger, "access.denied", "/data/denials");
    all.into_iter().map(|(_, denial)| denial).collect()
}

struct Place {
    service: Service,
    producer: Client,
    investigator: Client,
    principal: String,
    case: String,
    pseudonym: String,
    entries: usize,
    seq: u64,
    values: BTreeMap<&'static str, String>,
}

fn place() -> Place {
    let service = Service::new();
    let producer = service.producer();
    let grant = json!({"role": "investigator", "ledgers": [LEDGER], "all_cases": true});
    let (principal, token) = service.principal(&grant);
    let investigator = service.client(Some(&token));
    let events = proper_case("-a");
    let posted = producer.post(&at("/events"), &json!(events)).json(201);
    let seq = posted["items"][0]["seq"].as_u64().unwrap();
    let case = events[0]["case_id"].as_str().unwrap().to_owned();
    let order = json!({"subject": {"case": case}, "purpose": "A test"});
    let report = investigator.post(&at("/reports"), &order).json(201);
    let why = investigator.get(&at(&format!("/cases/{case}/why")));
    let pseudonym = why.json(200)["case"].as_str().unwrap().to_owned();
    let drafted = events.iter().find_map(|e| e["recommendation_id"].as_str());
    let values = BTreeMap::from([
        ("ledger", LEDGER.to_owned()),
        ("case", case.clone()),
        ("trace", events[0]["trace_id"].as_str().unwrap().to_owned()),
        ("recommendation", drafted.unwrap().to_owned()),
        ("report", report["id"].as_str().unwrap().to_owned()),
        ("seq", seq.to_string()),
        ("size", "1".to_owned()),
        ("level", "0".to_owned()),
        ("tile", "000.p/1".to_owned()),
        ("bundle", "000.p/1".to_owned()),
    ]);
    Place {
        service,
        producer,
        investigator,
        principal,
        case,
        pseudonym,
        // With the report's own.
        entries: events.len() + 1,
        seq,
        values,
    }
}

impl Place {
    fn path(&self, template: &str) -> String {
        let mut path = template.to_owned();
        for (name, value) in &self.values {
            let value = match *name {
                "tile" | "bundle" => value.clone(),
                _ => segment(value),
            };
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        assert!(!path.contains('{'), "no value for a parameter of {path}");
        path
    }

    /// Reads what a content route hands out.
    fn read(&self, method: &str, template: &str, headers: &[(&str, &str)]) -> Answer {
        let path = self.path(template);
        if method == "GET" {
            return self.investigator.send("GET", &path, headers, Vec::new());
        }
        assert_eq!((method, template), ("POST", "/v1/ledgers/{ledger}/reports"));
        let order = json!({"subject": {"case": self.case}, "purpose": "From the body"});
        self.investigator.post(&path, &order)
    }
}

/// Every operation of the document has a class; each that hands out something of the record is recorded once, and
/// nothing else is.
#[test]
fn every_route_that_hands_out_content_records_it_first() {
    let routes = ROUTES
        .iter()
        .map(|(m, p, ..)| ((*m).to_owned(), (*p).to_owned()));
    let known: BTreeSet<(String, String)> = routes.collect();
    assert_eq!(known.len(), ROUTES.len());
    assert_eq!(
        operations(),
        known,
        "give each route a class in http::reads"
    );
    let p = place();
    let entries = json!(p.entries);
    let expected = |resource: &str| -> Value {
        match resource {
            "event" => json!({"case": p.pseudonym, "entries": [p.seq, p.seq], "count": 1}),
            // The list shows the case's entries and those of the service.
            "events" => json!({"cases": [{"case": p.pseudonym}]}),
            "export" => json!({"every_case": true}),
            "findings" => json!({}),
            "report" => json!({"case": p.pseudonym, "count": p.entries - 1}),
            "case.accesses" => json!({"case": p.pseudonym}),
            "report.issue" => {
                json!({"case": p.pseudonym, "count": entries, "purpose": "From the body"})
            }
            _ => json!({"case": p.pseudonym, "count": entries}),
        }
    };
    let purpose = "Ünder review";
    for (method, template, resource, class) in ROUTES {
        if *class != Class::Content {
            continue;
        }
        let before = accesses(&p.service).len();
        let answer = p.read(method, template, &[(PURPOSE, purpose)]);
        assert!(answer.status < 300, "{}: {}", answer.asked, answer.start());
        let all = accesses(&p.service);
        assert_eq!(all.len(), before + 1, "{}", answer.asked);
        let (seq, access) = &all[before];
        let mut want = expected(resource);
        want["resource"] = json!(resource);
        want["principal"] = json!(p.principal);
        want["role"] = json!("investigator");
        // A list of findings tells codes and positions.
        want["content"] = json!(*resource != "findings");
        if want.get("purpose").is_none() {
            want["purpose"] = json!(purpose);
        }
        for (name, value) in want.as_object().unwrap() {
            assert_eq!(&access[name], value, "{}: {name}: {access}", answer.asked);
        }
        assert!(access["as_of"].as_u64().unwrap() <= *seq, "{access}");
        assert!(access["time"].as_str().unwrap().ends_with('Z'));
        let text = access.to_string();
        assert!(!text.contains(&p.case), "never a case id: {text}");
        if answer.media_type() == "application/json" && *resource != "report" {
            let body = answer.json(answer.status);
            if let Some(as_of) = body.get("as_of") {
                assert_eq!(as_of, &access["as_of"], "the state that was read");
            }
        }
    }
    let before = accesses(&p.service).len();
    for (method, template, _, class) in ROUTES {
        let asks = *class == Class::Free && *method == "GET" && template.contains("{ledger}");
        if !asks {
            continue;
        }
        let path = p.path(template);
        let (client, path) = if template.ends_with("/receipts") {
            let id = proper_case("-a")[0]["id"].as_str().unwrap().to_owned();
            let query = format!("?source={}&id={}", segment(SOURCE), segment(&id));
            (p.producer.clone(), path + &query)
        } else {
            let query = match *template {
                t if t.ends_with("/inclusion") => "?seq=0&size=1",
                t if t.ends_with("/consistency") => "?first=1&second=2",
                _ => "",
            };
            (p.service.reader("auditor"), path + query)
        };
        let answer = client.get(&path);
        assert_eq!(answer.status, 200, "{}", answer.asked);
    }
    assert_eq!(accesses(&p.service).len(), before, "proofs are free");
}

#[test]
fn what_cannot_be_recorded_is_not_handed_out_and_proofs_still_are() {
    let p = place();
    let auditor = p.service.reader("auditor");
    let size = p.service.size();
    p.service.clock.set(-3_600);
    for (method, template, _, class) in ROUTES {
        if *class == Class::Content {
            let answer = p.read(method, template, &[]);
            answer.problem("read-not-recorded");
            assert!(!answer.start().contains("disclosures"));
        }
    }
    assert_eq!(p.service.size(), size);
    for path in ["", "/keys", "/checkpoint", "/entries/2/receipt"] {
        auditor.get(&at(path)).ok();
    }
    p.service.clock.set(3_600);
    p.investigator.get(&at("/entries/2")).json(200);
    assert_eq!(p.service.size(), size + 1);
}

#[test]
fn a_purpose_is_one_clean_line_or_refused() {
    let p = place();
    let before = accesses(&p.service).len();
    let long = "x".repeat(501);
    for bad in ["", "   ", long.as_str(), "a\tb"] {
        let answer = p
            .investigator
            .send("GET", &at("/entries/2"), &[(PURPOSE, bad)], Vec::new());
        answer.problem("invalid-purpose");
    }
    let twice = [(PURPOSE, "a"), (PURPOSE, "b")];
    let answer = p
        .investigator
        .send("GET", &at("/entries/2"), &twice, Vec::new());
    answer.problem("invalid-purpose");
    assert_eq!(accesses(&p.service).len(), before);
    let good = "ü".repeat(500);
    let answer = p
        .investigator
        .send("GET", &at("/entries/2"), &[(PURPOSE, &good)], Vec::new());
    answer.json(200);
    assert_eq!(accesses(&p.service)[before].1["purpose"], good);
}

#[test]
fn who_read_a_case_is_listed_page_by_page_and_the_list_is_recorded() {
    let p = place();
    p.producer
        .post(&at("/events"), &simple("other", "C-other"))
        .json(201);
    let auditor = p.service.reader("auditor");
    auditor.get(&at("/events")).json(200);
    p.investigator.get(&at("/cases/C-other")).json(200);
    p.investigator.get(&at("/entries/0")).json(200);
    let list = |limit: usize| {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/cases/{}/accesses?limit={limit}{cursor}", p.case);
            let page = p.investigator.get(&at(&path)).json(200);
            assert_eq!(page["case"], p.pseudonym);
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    };
    let resources = |items: &[Value]| -> Vec<String> {
        let name = |i: &Value| i["access"]["resource"].as_str().unwrap().to_owned();
        items.iter().map(name).collect()
    };
    let all = list(100);
    assert_eq!(resources(&all), ["report.issue", "case.why", "events"]);
    assert_eq!(all[2]["access"]["content"], false);
    assert_eq!(all[2]["access"]["role"], "auditor");
    // The other case on that page is counted, and not named.
    assert_eq!(all[2]["access"]["cases"], json!([{"case": p.pseudonym}]));
    assert_eq!(all[2]["access"]["cases_more"], 1);
    // A page of one each, and the walk before is on the list.
    let again = list(1);
    assert_eq!(again[..3], all);
    assert_eq!(resources(&again)[3..], ["case.accesses"]);
    let other = p.investigator.get(&at("/cases/C-other/accesses")).json(200);
    let other = other["items"].as_array().unwrap().clone();
    assert_eq!(resources(&other), ["events", "case.timeline"]);
    // A cursor belongs to its case.
    let path = format!("/cases/{}/accesses?limit=1", p.case);
    let page = p.investigator.get(&at(&path)).json(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    p.investigator
        .get(&at(&format!("/cases/C-other/accesses?cursor={cursor}")))
        .problem("invalid-cursor");
}

#[test]
fn many_readers_at_once_share_entries_and_none_is_lost() {
    let p = place();
    let before = accesses(&p.service).len();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    p.investigator.get(&at("/entries/2")).json(200);
                }
            });
        }
    });
    assert_eq!(accesses(&p.service).len(), before + 80);
}

#[test]
fn refusals_are_counted_and_recorded_without_telling_what_is_there() {
    let p = place();
    let grant = json!({"role": "case_worker", "ledgers": [LEDGER], "cases": {LEDGER: ["C-mine"]}});
    let (principal, token) = p.service.principal(&grant);
    let worker = p.service.client(Some(&token));
    // Somebody else's case, and one that does not exist: the same to the caller, and the same on record.
    for case in [p.case.as_str(), "C-none"] {
        worker
            .get(&at(&format!("/cases/{case}/why")))
            .problem("not-found");
    }
    worker
        .post(&at("/reports"), &json!({}))
        .problem("forbidden");
    let stranger = json!({"role": "investigator", "ledgers": [OTHER], "all_cases": true});
    let (foreign, token) = p.service.principal(&stranger);
    let stranger = p.service.client(Some(&token));
    stranger.get(&at("/entries/2")).problem("not-found");
    // Nobody: not counted.
    p.service.client(None).get(&at("/entries/2"));
    let total = |who: &str, resource: &str, status: u16| -> u64 {
        let all = denials(&p.service, LEDGER);
        let of = all.iter().filter(|d| {
            d["principal"] == who && d["resource"] == resource && d["status"] == status
        });
        of.map(|d| d["count"].as_u64().unwrap()).sum()
    };
    p.service.clock.pass(Duration::from_secs(61));
    until("the refusals are on record", || {
        total(&principal, "case.why", 404) == 2
            && total(&principal, "report.issue", 403) == 1
            && total(&foreign, "event", 404) == 1
    });
    let all: u64 = denials(&p.service, LEDGER)
        .iter()
        .map(|d| d["count"].as_u64().unwrap())
        .sum();
    assert_eq!(all, 4);
    assert_eq!(denials(&p.service, OTHER), Vec::<Value>::new());
    for denial in denials(&p.service, LEDGER) {
        assert!(denial["first"].as_str() <= denial["last"].as_str());
        assert!(!denial.to_string().contains(&p.case));
    }
}

#[test]
fn refusals_of_the_last_minute_are_recorded_at_the_end() {
    let mut p = place();
    let worker = p.service.reader("auditor");
    for number in 0..3 {
        worker
            .get(&at(&format!("/cases/C-{number}")))
            .problem("not-found");
    }
    p.service.restart();
    let count: u64 = denials(&p.service, LEDGER)
        .iter()
        .map(|d| d["count"].as_u64().unwrap())
        .sum();
    assert_eq!(count, 3);
}

#[test]
fn a_report_lists_who_read_its_case_up_to_itself_and_nothing_of_other_cases() {
    let p = place();
    p.producer
        .post(&at("/events"), &simple("other", "C-other"))
        .json(201);
    p.investigator.get(&at("/cases/C-other")).json(200);
    p.service.reader("auditor").get(&at("/events")).json(200);
    let order = json!({"subject": {"case": p.case}, "purpose": "Custody"});
    let issued = p.investigator.post(&at("/reports"), &order).json(201);
    let file = p.investigator.get(issued["href"].as_str().unwrap());
    let again = crate::corpus::judge_again;
    let open = |bytes: &[u8]| verify::report::open(bytes, &[p.service.vkey()], &[], Some(&again));
    let opened = open(&file.body);
    assert!(!opened.check.refused(), "{:#?}", opened.check.problems);
    let custody = opened.check.custody.unwrap();
    assert_eq!((custody.accesses, custody.left_out), (4, 0));
    let access = |i: usize| opened.custody[i].access.as_ref().unwrap();
    let resources: Vec<&Value> = (0..4).map(|i| &access(i)["resource"]).collect();
    assert_eq!(
        resources,
        ["report.issue", "case.why", "events", "report.issue"]
    );
    let own = access(3);
    assert_eq!(
        (&own["report"], &own["purpose"]),
        (&issued["id"], &json!("Custody"))
    );
    assert!(opened.custody[3].seq < issued["seq"].as_u64().unwrap());
    // Of the cases that the list showed, the report's own is named, and no other anywhere in the file.
    let cases = access(2)["cases"].as_array().unwrap();
    let (named, hidden): (Vec<&Value>, Vec<&Value>) =
        cases.iter().partition(|c| c.get("case").is_some());
    assert_eq!(
        (named, hidden.len()),
        (vec![&json!({"case": p.pseudonym})], 1)
    );
    let other = p.investigator.get(&at("/cases/C-other")).json(200);
    let other = other["case"].as_str().unwrap().to_owned();
    let file: Value = serde_json::from_slice(&file.body).unwrap();
    let mut texts = vec![file["envelope"]["payload"].as_str().unwrap().to_owned()];
    texts[0] = String::from_utf8(decode_b64(&texts[0]).unwrap()).unwrap();
    for disclosure in file["disclosures"].as_array().unwrap() {
        let bytes = decode_b64url(disclosure.as_str().unwrap()).unwrap();
        texts.push(String::from_utf8(bytes).unwrap());
    }
    assert!(texts.iter().any(|t| t.contains(&p.pseudonym)));
    assert!(!texts.iter().any(|t| t.contains(&other)), "{other}");
    let words = verify::words::reads(&opened.custody).join("\n");
    assert!(
        words.contains("purpose Custody") && words.lines().count() == 4,
        "{words}"
    );
    // Without content, the reads are listed and withheld; the file says how many there are and no more.
    let auditor = p.service.reader("auditor");
    let order = json!({"subject": {"case": format!("~{}", p.pseudonym)}, "purpose": "No content"});
    let issued = auditor.post(&at("/reports"), &order).json(201);
    let file = auditor.get(issued["href"].as_str().unwrap());
    let opened = open(&file.body);
    assert!(!opened.check.refused(), "{:#?}", opened.check.problems);
    assert_eq!(opened.check.content.shown, 0);
    assert_eq!(opened.custody.len(), 6);
    assert!(opened.custody.iter().all(|c| c.access.is_none()));
    assert!(!file.text().contains("Custody"));
}

#[test]
fn that_something_belongs_to_several_cases_is_a_read_of_each() {
    let p = place();
    let more = proper_case("-b");
    p.producer.post(&at("/events"), &json!(more)).json(201);
    let before = accesses(&p.service).len();
    let path = format!("/traces/{}/why", segment(&p.values["trace"]));
    let several = p.investigator.get(&at(&path)).problem("several-cases");
    let order = json!({"subject": {"trace": p.values["trace"]}, "purpose": "Which?"});
    let again = p.investigator.post(&at("/reports"), &order);
    assert_eq!(again.problem("several-cases")["cases"], several["cases"]);
    let named = several["cases"].as_array().unwrap().iter();
    let named: Vec<Value> = named
        .map(|c| json!({"case": &c.as_str().unwrap()[1..]}))
        .collect();
    let all = accesses(&p.service);
    assert_eq!(all.len(), before + 2);
    for ((_, access), resource) in all[before..].iter().zip(["trace.why", "report.issue"]) {
        assert_eq!(access["resource"], resource);
        assert_eq!(access["cases"], json!(named));
        assert_eq!(
            (&access["count"], &access["content"]),
            (&json!(0), &json!(false))
        );
    }
    assert_eq!(all[before + 1].1["purpose"], "Which?");
}
