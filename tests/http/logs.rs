//! Logs: what happened and to which route, never to whom.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{LEDGER, Process, SOURCE, at, operations, proper_case, segment};

#[test]
fn logs_hold_routes_and_request_ids_and_nothing_of_anybody() {
    let mut process = Process::new();
    let grant = json!({"role": "producer", "ledgers": [LEDGER], "sources": [SOURCE]});
    let producer = process.client(&process.token(&grant));
    let grant = json!({"role": "investigator", "ledgers": [LEDGER], "all_cases": true});
    let investigator = process.client(&process.token(&grant));
    let mut ids = BTreeSet::new();
    let mut keep = |answer: crate::harness::Answer| {
        ids.insert(answer.header("x-request-id").to_owned());
        answer
    };
    let events = proper_case("-planted");
    let case = events[0]["case_id"].as_str().unwrap();
    let recommendation = events
        .iter()
        .find_map(|e| e["recommendation_id"].as_str())
        .unwrap();
    let trace = events[0]["trace_id"].as_str().unwrap();
    keep(producer.post(&at("/events"), &json!(events)));
    keep(producer.post(&at("/events"), &json!(events)));
    let mut bad = events.clone();
    bad[0]["actor"]["name"] = json!("PLANTED-OTHER-NAME");
    keep(producer.post(&at("/events"), &json!(bad))).problem("event-conflict");
    bad[0]["data"] = json!({"channel": {"PLANTED-MEMBER": 1}});
    keep(producer.post(&at("/events"), &json!(bad))).problem("invalid-event");
    keep(producer.post_bytes(&at("/events"), b"{\"PLANTED-SYNTAX")).problem("json-syntax");
    bad[1]["source"] = json!("urn:PLANTED-SOURCE");
    bad.truncate(2);
    bad.remove(0);
    keep(producer.post(&at("/events"), &json!(bad))).problem("source-not-allowed");
    for path in [
        format!("/cases/{case}"),
        format!("/cases/{case}/why?lang=de"),
        format!("/events?case={case}"),
        format!("/recommendations/{}/why", segment(recommendation)),
        format!("/traces/{trace}/why"),
        "/cases/PLANTED-CASE/why".to_owned(),
        "/events?PLANTED-QUERY=1".to_owned(),
        "/PLANTED-PATH".to_owned(),
        format!(
            "/receipts?source={}&id={}",
            segment(SOURCE),
            segment(events[0]["id"].as_str().unwrap())
        ),
    ] {
        keep(investigator.get(&at(&path)));
    }
    keep(process.client("wh_PLANTED-TOKEN").get(&at("")));
    keep(investigator.send("PUT", &at(&format!("/cases/{case}")), &[], Vec::new()));
    let odd = [
        ("traceparent", "00-PLANTED-TRACE-00"),
        ("user-agent", "PLANTED-AGENT"),
        ("x-request-id", "PLANTED-ID"),
    ];
    keep(investigator.send("GET", "/v1/me", &odd, Vec::new()));
    let good = [(
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )];
    let traced = keep(investigator.send("GET", "/v1/me", &good, Vec::new()));
    let order = json!({"subject": {"case": case}, "purpose": "PLANTED-PURPOSE"});
    keep(investigator.post(&at("/reports"), &order)).json(201);
    let traced = traced.header("x-request-id").to_owned();
    assert_eq!(ids.len(), 20, "each request has an id of its own");
    let status = process.terminate();
    assert!(status.success());

    let log = process.log();
    let mut forbidden: Vec<String> = vec![
        "PLANTED".into(),
        case.into(),
        recommendation.into(),
        "wh_".into(),
    ];
    forbidden.extend([producer.token().to_owned(), investigator.token().to_owned()]);
    for event in &events {
        for at in [
            "/id",
            "/actor/name",
            "/actor/id",
            "/subject/id",
            "/data/draft",
            "/data/question",
            "/data/final",
        ] {
            let text = event.pointer(at).and_then(Value::as_str);
            // Ids such as `draft` are words of the log's own.
            forbidden.extend(
                text.filter(|t| t.len() > 3 && t.contains(['-', ' ']))
                    .map(str::to_owned),
            );
        }
    }
    assert!(forbidden.len() > 20);
    let mut templates: BTreeSet<String> = operations().into_iter().map(|(_, path)| path).collect();
    templates.insert("none".into());
    let mut logged = BTreeSet::new();
    for line in log.lines() {
        for secret in &forbidden {
            assert!(!line.contains(secret.as_str()), "{secret}: {line}");
        }
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(
            line["timestamp"].is_string() && line["level"].is_string(),
            "{line}"
        );
        let Some(span) = line.get("span") else {
            continue;
        };
        let route = span["route"].as_str().unwrap();
        assert!(templates.contains(route), "{line}");
        if line["message"] == "request done" {
            let id = span["request_id"].as_str().unwrap().to_owned();
            assert!(
                line["status"].is_u64() && line["duration_ms"].is_u64(),
                "{line}"
            );
            if id == traced {
                assert_eq!(span["trace_id"], "0af7651916cd43dd8448eb211c80319c");
            }
            assert!(logged.insert(id), "one such line a request");
        }
    }
    assert!(ids.is_subset(&logged), "{:?}", ids.difference(&logged));
}
