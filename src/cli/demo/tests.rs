use serde_json::{Value, json};

use super::{CASES, LEDGER, SOURCE, events};
use crate::cli::untold::untold;
use crate::cli::verify::{tell, timeline};
use crate::event::{Context, Event, TraceRef};
use crate::json::pointer;
use crate::judge::{self, Catalogue, Entries, Entry, Profile, Subject};
use crate::ledger::content::Pool;
use crate::ledger::disclosure::{disclose, encode};
use crate::ledger::{CaseLink, Hash, Id16, Leaf, Timestamp};

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap_or(Timestamp::EPOCH)
}

/// The entries that these events become, as far as the judge looks at them; `None` when one of them is refused.
fn entries(events: &[Value]) -> Option<Vec<Entry>> {
    let context = Context {
        ledger: LEDGER,
        origin: "ledger.example/demo",
        only_source: Some(SOURCE),
    };
    let mut salt = 0_u128;
    let mut out = Vec::new();
    for (seq, value) in (0..).zip(events) {
        let event = Event::read(value.clone(), &context).ok()?;
        let members = event.members();
        let disclosures = disclose(members.iter().map(|(p, v)| (p.as_str(), *v)), || {
            salt += 1;
            salt.to_be_bytes()
        });
        let texts: Vec<String> = disclosures.texts.iter().map(|t| encode(t)).collect();
        let opened = Pool::new(texts.iter().map(String::as_str))
            .ok()?
            .open(&disclosures.top, disclosures.commitment())
            .ok()?;
        let leaf = Leaf {
            ledger: "ledger.example/demo".into(),
            seq,
            prev: Hash::ZERO,
            kind: event.kind.clone(),
            eid: Hash::leaf(&seq.to_be_bytes()),
            case: Some(CaseLink {
                case: Id16([1; 16]),
                seq,
                prev: Hash::ZERO,
            }),
            trace: match &event.trace {
                Some(TraceRef::W3c(id)) => Some(*id),
                _ => None,
            },
            span: None,
            occurred: event.occurred,
            recorded: now().plus_micros(i64::try_from(seq).unwrap_or(0)),
            producer: Id16([2; 16]),
            content: disclosures.commitment(),
            fact: None,
        };
        out.push(Entry {
            leaf,
            digests: disclosures.top,
            opened,
            absences: Default::default(),
        });
    }
    Some(out)
}

/// What the demonstration prints about a case.
fn printed(events: &[Value]) -> Option<Vec<String>> {
    let entries = entries(events)?;
    let profile = Profile::builtin().ok()?;
    let judgement = judge::judge(&Subject::Case("01".repeat(16)), &entries, &profile);
    let (_, bytes) = judge::catalogue::builtin()
        .into_iter()
        .find(|(lang, _)| *lang == "en")?;
    let catalogue = Catalogue::parse(bytes).ok()?;
    let shown = Entries::new(&entries);
    let mut lines = tell(&judgement, &catalogue, &shown);
    lines.extend(timeline(&judgement, &catalogue, &shown));
    lines.extend(untold(&judgement, &entries));
    lines.push(format!("{:?} {:?}", judgement.elements, judgement.controls));
    Some(lines)
}

/// Pointers of all scalars.
fn facts(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(k, v)| facts(v, &pointer::join(at, k), out)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(i, v)| facts(v, &pointer::join(at, &i.to_string()), out)),
        _ => out.push(at.to_owned()),
    }
}

/// Other values that a fact could have; the first that the vocabulary takes is tried.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(b) => vec![json!(!b)],
        Value::Number(n) => vec![
            json!(n.as_f64().unwrap_or(0.0) + 1.0),
            json!(n.as_u64().unwrap_or(0) + 1),
        ],
        Value::String(text) => match Timestamp::parse_rfc3339(text) {
            Ok(time) => vec![json!(time.plus_micros(-7_000_000).to_string())],
            Err(_) => {
                let words = [
                    "denied", "rejected", "failed", "flagged", "low", "agent", "refused", "human",
                ];
                let hex = text.replace('4', "5");
                let mut all = vec![json!(format!("{text} (other)")), json!(hex)];
                all.extend(words.iter().map(|w| json!(w)));
                all.retain(|v| v != value);
                all
            }
        },
        _ => vec![json!("something")],
    }
}

#[test]
fn every_posted_fact_changes_what_is_printed() {
    for (name, text, _) in CASES {
        let events = events(text, now()).unwrap_or_else(|e| panic!("{name}: {}", e.0));
        let before = printed(&events).unwrap_or_else(|| panic!("{name} is accepted"));
        let mut all = Vec::new();
        facts(&json!(events), "", &mut all);
        assert!(all.len() > 250, "{} facts", all.len());
        let mut silent = Vec::new();
        for at in all {
            // An event's identity names it; it is no fact about the case.
            if at.ends_with("/id") && at.matches('/').count() == 2
                || at.ends_with("/source")
                || at.ends_with("/type")
            {
                continue;
            }
            let fact = json!(events).pointer(&at).cloned().unwrap_or_default();
            let changed = others(&fact).into_iter().find_map(|other| {
                let mut events = json!(events);
                *events.pointer_mut(&at)? = other;
                printed(events.as_array()?)
            });
            let changed =
                changed.unwrap_or_else(|| panic!("{name}: no other value of {at} is accepted"));
            if changed == before {
                silent.push(at);
            }
        }
        assert!(
            silent.is_empty(),
            "{name}: changing these facts changes nothing that is printed: {silent:#?}"
        );
    }
}
