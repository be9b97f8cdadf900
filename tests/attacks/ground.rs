//! A small but complete ledger: cases, traces, single events, a report, a refused retry.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use whereas::event::{Context, Event};
use whereas::judge::Profile;
use whereas::ledger::note::Vkey;
use whereas::ledger::{Id16, Timestamp};
use whereas::reconstruct::{CaseName, CaseSight, Question};
use whereas::sequencer::{Ledger, LedgerPaths, Limits, SystemClock};

use crate::forger::Outcome;

pub const NAME: &str = "acme";
pub const ORIGIN: &str = "ledger.example/acme";
pub const PRODUCER: Id16 = Id16([7; 16]);

/// A ledger's folder, and what parties outside have kept of it.
pub struct Ground {
    dir: tempfile::TempDir,
    /// The pinned checkpoint key.
    pub key: Vkey,
    /// Receipts of some events, as their posters keep them.
    pub receipts: Vec<String>,
    /// A report file.
    pub report: String,
    /// Checkpoints that somebody kept, oldest first.
    pub kept: Vec<String>,
}

struct Everybody;

impl CaseSight for Everybody {
    fn sees(&self, _: Option<&Id16>) -> bool {
        true
    }
}

impl Ground {
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A place for copies, beside the data folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn open(&self) -> Outcome<Arc<Ledger>> {
        open(&self.data())
    }
}

pub fn open(data: &Path) -> Outcome<Arc<Ledger>> {
    let paths = LedgerPaths::below(data, NAME);
    let clock = Arc::new(SystemClock::default());
    Ok(Ledger::open(
        &paths,
        NAME,
        ORIGIN,
        clock,
        Limits::default(),
    )?)
}

pub fn event(value: Value) -> Event {
    let context = Context {
        ledger: NAME,
        origin: ORIGIN,
        only_source: None,
    };
    Event::read(value, &context).unwrap_or_else(|f| panic!("{f:?}"))
}

/// The `n`th event: of a case, of a trace, or of neither.
pub fn numbered(n: u64) -> Event {
    let kind =
        ["request.received", "recommendation.drafted", "x.note"][usize::try_from(n % 3).unwrap()];
    let mut value = json!({
        "id": format!("e{n}"), "source": "https://workflow.example", "type": kind,
        "time": format!("2026-01-12T13:{:02}:{:02}.5Z", n / 60 % 60, n % 60),
        "actor": {"id": format!("u{}", n % 5), "kind": "human"},
        "data": {"draft": format!("text {n}"), "claims": [{"text": format!("c{n}")}, {"text": "d"}]},
    });
    match n % 5 {
        0 => value["trace_id"] = json!("run 7"),
        1 => {}
        _ => {
            value["case_id"] = json!(format!("C-{}", n % 4));
            value["trace_id"] = json!(format!("{:032x}", 1 + n % 4));
        }
    }
    if kind == "recommendation.drafted" {
        value["recommendation_id"] = json!(format!("rec-{n}"));
    }
    event(value)
}

/// A ledger with so many events, closed.
pub fn ledger(events: u64) -> Outcome<Ground> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let paths = LedgerPaths::below(&data, NAME);
    let clock = Arc::new(SystemClock::default());
    Ledger::create(&paths, NAME, ORIGIN, clock, None)?;
    let ledger = open(&data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (mut receipts, mut kept) = (Vec::new(), Vec::new());
    let report = runtime.block_on(async {
        let mut n = 0;
        while n < events {
            let batch = (n % 4 + 1).min(events - n);
            let events: Vec<Event> = (n..n + batch).map(numbered).collect();
            let posted = ledger.append(&events, PRODUCER).await?;
            if n.is_multiple_of(3) {
                receipts.push(posted[0].receipt.encode());
                kept.push(ledger.checkpoint()?.1);
            }
            n += batch;
        }
        let mut other = numbered(1);
        other.id = "e2".into();
        // The same identity with other content: refused, and recorded.
        assert!(ledger.append(&[other], PRODUCER).await.is_err());
        let order = whereas::report::Order {
            question: Question::Case(CaseName::Id("C-2".into())),
            role: "regulator",
            requester: Id16([8; 16]),
            purpose: "review".into(),
            supersedes: None,
            content: true,
            access: whereas::sequencer::Access::new(
                Id16([8; 16]),
                "report.issue",
                Timestamp::EPOCH,
            ),
        };
        let now = Timestamp::parse_rfc3339("2026-01-13T00:00:00Z")?;
        let profile = Profile::builtin()?;
        let issued = whereas::report::issue(&ledger, &order, &Everybody, &profile, now).await?;
        let row = ledger.reader().report(&issued.id)?.ok_or("no report")?;
        let report = whereas::report::file(&ledger, &row)?.encode()?;
        Ok::<_, Box<dyn std::error::Error>>(report)
    })?;
    kept.push(ledger.checkpoint()?.1);
    let key = ledger.keyring().checkpoint().vkey().clone();
    runtime.block_on(ledger.close());
    Ok(Ground {
        dir,
        key,
        receipts,
        report,
        kept,
    })
}

/// Every row of every table, as text.
pub fn rows(data: &Path) -> Outcome<Vec<String>> {
    let db = rusqlite::Connection::open(LedgerPaths::below(data, NAME).database())?;
    let mut tables = db.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let names: Vec<String> = tables
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for name in names {
        let mut query = db.prepare(&format!("SELECT * FROM {name}"))?;
        let columns = query.column_count();
        let mut found = query.query([])?;
        while let Some(row) = found.next()? {
            let values: Result<Vec<String>, rusqlite::Error> = (0..columns)
                .map(|i| Ok(format!("{:?}", row.get_ref(i)?)))
                .collect();
            all.push(format!("{name}: {}", values?.join(", ")));
        }
    }
    Ok(all)
}
