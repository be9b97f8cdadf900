//! A real small ledger, made by the sequencer, then changed by hand: every change must be caught and named.

mod edits;
mod outside;
mod web;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::folder::{FolderAudit, Progress, verify};
use crate::event::{Context, Event};
use crate::ledger::dsse::{Envelope, IN_TOTO};
use crate::ledger::note::Vkey;
use crate::ledger::{Id16, Timestamp, sha256};
use crate::sequencer::{Clock, Ledger, LedgerPaths, Limits};
use crate::store::NewReport;
use crate::verify::ledger::{LedgerCheck, LedgerCode};

type Outcome = Result<(), Box<dyn Error>>;

const ORIGIN: &str = "ledger.example/acme";

/// A clock that goes on by a second whenever it is asked.
#[derive(Debug, Default)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let second = self.0.fetch_add(1, Ordering::SeqCst);
        Timestamp::from_micros((1_000_000 + second) * 1_000_000).unwrap_or(Timestamp::EPOCH)
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// A small ledger with everything in it, closed: cases, traces, loose entries, recommendations, a report.
struct Made {
    dir: tempfile::TempDir,
    paths: LedgerPaths,
    key: Vkey,
}

const PRODUCER: Id16 = Id16([0xaa; 16]);

fn event(id: &str, case: Option<&str>, trace: Option<&str>, more: Value) -> Event {
    let mut value = json!({
        "id": id, "source": "wf", "type": "x.test", "time": "1970-01-12T13:46:39Z",
        "data": { "note": format!("note {id}"), "list": [{"a": 1}, {"b": 2}] }
    });
    if let Some(case) = case {
        value["case_id"] = json!(case);
    }
    if let Some(trace) = trace {
        value["trace_id"] = json!(trace);
    }
    if let Value::Object(more) = more {
        for (name, v) in more {
            value[name] = v;
        }
    }
    let context = Context {
        ledger: "acme",
        origin: ORIGIN,
        only_source: None,
    };
    Event::read(value, &context).unwrap_or_else(|f| panic!("{f:?}"))
}

impl Made {
    /// Makes it: 17 entries in 7 commits.
    async fn new() -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let paths = LedgerPaths::below(dir.path(), "acme");
        let clock: Arc<dyn Clock> = Arc::new(Ticking::default());
        Ledger::create(&paths, "acme", ORIGIN, clock.clone(), None)?;
        std::fs::create_dir_all(dir.path().join("tmp"))?;
        let ledger = Ledger::open(&paths, "acme", ORIGIN, clock, Limits::default())?;
        let w3c = "0af7651916cd43dd8448eb211c80319c";
        let own = json!({"recommendation_id": "rec-1", "type": "recommendation.drafted", "data": {"draft": "x"}});
        for batch in [
            vec![
                event("1", Some("C-1"), Some(w3c), Value::Null),
                event("2", Some("C-2"), None, Value::Null),
                event("3", None, Some("odd"), Value::Null),
            ],
            vec![event("4", Some("C-1"), None, own)],
            vec![
                event("5", None, None, Value::Null),
                event("6", Some("C-2"), None, Value::Null),
                event("7", Some("C-1"), None, Value::Null),
                event("8", Some("C-2"), Some(w3c), Value::Null),
                event("9", None, Some("odd"), Value::Null),
                event("10", Some("C-3"), None, Value::Null),
                event("11", Some("C-3"), None, Value::Null),
            ],
            (12..15)
                .map(|n| event(&n.to_string(), Some("C-2"), None, Value::Null))
                .collect(),
        ] {
            ledger.append(&batch, PRODUCER).await?;
        }
        Self::report(&ledger).await?;
        let key = ledger.keyring().checkpoint().vkey().clone();
        ledger.close().await;
        Ok(Self { dir, paths, key })
    }

    /// Puts an empty report on record; what a report says is not an audit's affair.
    async fn report(ledger: &Ledger) -> Outcome {
        let id = Id16([7; 16]);
        let body = br#"{"not":"a statement"}"#;
        let signer = ledger.keyring().report();
        let envelope = Envelope::sign(IN_TOTO, body, &signer);
        let fact = Map::from_iter([
            ("payload".to_owned(), json!(sha256(&[body]).to_hex())),
            ("report".to_owned(), json!(id.to_hex())),
        ]);
        let report = NewReport {
            id,
            requester: PRODUCER,
            envelope: serde_json::to_string(&envelope)?,
            catalogues: Vec::new(),
        };
        ledger
            .append_report(report, fact, None, signer.vkey())
            .await?;
        Ok(())
    }

    fn audit(&self) -> FolderAudit {
        FolderAudit {
            temporary: self.dir.path().join("tmp"),
            ..FolderAudit::new(self.paths.clone(), vec![self.key.clone()])
        }
    }

    fn check(&self) -> Result<LedgerCheck, Box<dyn Error>> {
        Ok(verify(&self.audit(), &Progress::default())?)
    }

    fn sql(&self, statements: &str) -> Outcome {
        let db = rusqlite::Connection::open(self.paths.database())?;
        db.execute_batch(statements)?;
        Ok(())
    }
}

fn codes(check: &LedgerCheck) -> Vec<&'static str> {
    check.counts.keys().map(|c| c.as_str()).collect()
}

#[tokio::test]
async fn a_sound_ledger_is_accepted_whatever_the_threads_and_the_memory() -> Outcome {
    let made = Made::new().await?;
    for (threads, memory) in [(1, 1), (2, 256 << 20), (3, 300)] {
        let audit = FolderAudit {
            threads,
            memory,
            ..made.audit()
        };
        let check = verify(&audit, &Progress::default())?;
        assert_eq!(check.problems, [], "{threads} threads");
        let v = serde_json::to_value(&check.verdicts)?;
        let words: Vec<&str> = [
            "integrity",
            "sequence",
            "content",
            "index",
            "freshness",
            "keys",
        ]
        .iter()
        .filter_map(|name| v[name]["verdict"].as_str())
        .collect();
        assert_eq!(
            words,
            [
                "intact",
                "complete",
                "checked",
                "sound",
                "not_proven",
                "good"
            ]
        );
        assert_eq!(
            (check.size, check.entries, check.content.opened),
            (16, 16, 14)
        );
        assert_eq!(check.good_to.map(|g| g.size), Some(16));
    }
    let check = verify(
        &FolderAudit {
            content: false,
            ..made.audit()
        },
        &Progress::default(),
    )?;
    assert_eq!(check.problems, []);
    assert_eq!(
        serde_json::to_value(check.verdicts.content.verdict)?,
        json!("not_checked")
    );
    Ok(())
}

#[tokio::test]
async fn the_folder_is_checked_while_the_service_writes() -> Outcome {
    let made = Made::new().await?;
    let clock: Arc<dyn Clock> = Arc::new(Ticking::default());
    let ledger = Ledger::open(&made.paths, "acme", ORIGIN, clock, Limits::default())?;
    for n in 0..20 {
        let posted = event(&format!("live-{n}"), Some("C-9"), None, Value::Null);
        ledger.append(&[posted], PRODUCER).await?;
        let check = made.check()?;
        assert_eq!(check.problems, []);
        assert!(check.size >= 17 + n);
    }
    ledger.close().await;
    Ok(())
}

#[test]
fn the_table_of_codes_has_every_code_and_no_other() {
    let page = include_str!("../../../docs/verify.md");
    let (_, codes) = page.split_once("## Codes").unwrap_or_default();
    let (codes, _) = codes.split_once("\n## ").unwrap_or_default();
    let cells = codes.lines().filter(|l| l.starts_with("| `"));
    let cells = cells.filter_map(|l| l.split(" | ").next());
    let mut said: Vec<&str> = cells
        .flat_map(|c| c.split('`').skip(1).step_by(2))
        .collect();
    let mut all: Vec<&str> = LedgerCode::ALL.iter().map(|c| c.as_str()).collect();
    said.sort_unstable();
    all.sort_unstable();
    assert_eq!(said, all);
}
