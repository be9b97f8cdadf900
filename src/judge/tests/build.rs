//! Entries from event JSON, disclosed with counting salts.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::json::pointer;
use crate::judge::{Absence, Entry, Subject};
use crate::ledger::content::Pool;
use crate::ledger::disclosure::{disclose, encode};
use crate::ledger::{CaseLink, Hash, Id16, Leaf, Timestamp, sha256};

/// Entries as the ledger would hold them if the events were posted now, in this order.
pub fn entries(events: &[Value]) -> Vec<Entry> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros();
    let now = Timestamp::from_micros(i64::try_from(now).unwrap()).unwrap();
    let mut salt = 0_u128;
    let mut case_seq = 0;
    let build = |(at, event): (usize, &Value)| {
        let seq = at as u64 + 1;
        let mut members: Vec<(String, Value)> = Vec::new();
        let mut fact: Option<Map<String, Value>> = None;
        for (name, value) in event.as_object().unwrap() {
            match name.as_str() {
                "type" | "time" | "trace_id" | "span_id" => {}
                "fact" => fact = value.as_object().cloned(),
                "actor" | "subject" | "data" => {
                    for (inner, value) in value.as_object().unwrap() {
                        members.push((pointer::join(&format!("/{name}"), inner), value.clone()));
                    }
                }
                name => members.push((pointer::join("", name), value.clone())),
            }
        }
        let disclosed = disclose(members.iter().map(|(p, v)| (p.as_str(), v)), || {
            salt += 1;
            salt.to_be_bytes()
        });
        let texts: Vec<String> = disclosed.texts.iter().map(|text| encode(text)).collect();
        let mut pool = Pool::new(texts.iter().map(String::as_str)).unwrap();
        let opened = pool.open(&disclosed.top, disclosed.commitment()).unwrap();
        pool.finish().unwrap();
        let case = event["case_id"].as_str().map(|id| {
            case_seq += 1;
            CaseLink {
                case: id16(id),
                seq: case_seq - 1,
                prev: Hash::ZERO,
            }
        });
        let leaf = Leaf {
            ledger: "ledger.example/test".to_owned(),
            seq,
            prev: Hash::ZERO,
            kind: event["type"].as_str().unwrap().to_owned(),
            eid: sha256(&[event["id"].as_str().unwrap_or_default().as_bytes()]),
            case,
            trace: event["trace_id"]
                .as_str()
                .map(|id| Id16::from_hex(id).unwrap_or_else(|| id16(id))),
            span: None,
            occurred: event["time"]
                .as_str()
                .map_or(now, |t| Timestamp::parse_rfc3339(t).unwrap()),
            recorded: now.plus_micros(i64::try_from(seq).unwrap() * 1_000),
            producer: id16("producer"),
            content: disclosed.commitment(),
            fact,
        };
        Entry {
            leaf,
            digests: disclosed.top,
            opened,
            absences: BTreeMap::new(),
        }
    };
    events.iter().enumerate().map(build).collect()
}

/// The question about the case of the first entry.
pub fn case(entries: &[Entry]) -> Subject {
    let case = entries.iter().find_map(|entry| entry.leaf.case);
    Subject::Case(case.map_or_else(String::new, |link| link.case.to_hex()))
}

/// The question about the trace of the first entry.
pub fn trace(entries: &[Entry]) -> Subject {
    let trace = entries.iter().find_map(|entry| entry.leaf.trace);
    Subject::Trace(trace.map_or_else(String::new, |trace| trace.to_hex()))
}

/// Hides a top-level member, with everything in it.
pub fn hide(entry: &mut Entry, pointer: &str, absence: Option<Absence>) -> Hash {
    let member = entry
        .opened
        .members
        .remove(pointer)
        .unwrap_or_else(|| panic!("nothing at {pointer}"));
    entry.opened.hidden.push(member.digest);
    if let Some(absence) = absence {
        entry.absences.insert(member.digest, absence);
    }
    member.digest
}

/// Hides everything in an entry. `known` says whether the places of what is hidden are told.
pub fn hide_all(entry: &mut Entry, absence: impl Fn(&str) -> Absence) {
    let pointers: Vec<String> = entry.opened.members.keys().cloned().collect();
    for pointer in pointers {
        hide(entry, &pointer, Some(absence(&pointer)));
    }
}

/// Erases a whole entry, as told by the entry with position `by`.
pub fn erase(entry: &mut Entry, by: u64) {
    hide_all(entry, |_| Absence::Erased { by });
}

/// Withholds everything in an entry, telling the places.
pub fn withhold(entry: &mut Entry) {
    hide_all(entry, |pointer| Absence::Withheld {
        pointer: Some(pointer.to_owned()),
    });
}

fn id16(text: &str) -> Id16 {
    let hex = sha256(&[text.as_bytes()]).to_hex();
    Id16::from_hex(&hex[..32]).unwrap()
}
