//! What a `why` costs: a case of 40 entries among many, against a bare read of the same 40 rows.
//!
//! `cargo bench --bench why`; without `--bench` (as `cargo test` runs it) the ledger is tiny and the figures mean
//! nothing.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Failure, NAME, ORIGIN, event_json, read_event};
use rusqlite::Connection;
use serde_json::{Value, json};
use whereas::event::{Context, Event};
use whereas::judge::{self, Catalogue, Profile};
use whereas::ledger::Id16;
use whereas::reconstruct::{CaseName, CaseSight, Question, collect};
use whereas::sequencer::{AppendError, Ledger, LedgerPaths, Limits, SystemClock};

/// A reader who may see every case.
struct Everything;

impl CaseSight for Everything {
    fn sees(&self, _: Option<&Id16>) -> bool {
        true
    }
}

const CASE: &str = "WHY-40";
/// Entries of the case that is asked about.
const ENTRIES: usize = 40;

/// The case: the demonstration's sixteen events, and notes up to forty.
fn case_events() -> Result<Vec<Event>, Failure> {
    let text = include_str!("../src/cli/demo/proper.json").replace("C-2041", CASE);
    let mut values: Vec<Value> = serde_json::from_str(&text)?;
    while values.len() < ENTRIES {
        values.push(json!({
            "id": format!("note-{}", values.len()), "type": "x.note", "case_id": CASE, "time": "",
            "source": "https://workflow.example/cases", "data": { "text": "looked at again", "number": values.len() }
        }));
    }
    let context = Context {
        ledger: NAME,
        origin: ORIGIN,
        only_source: None,
    };
    let events = values.into_iter().map(|mut v| {
        v["time"] = json!("2026-03-01T09:00:00Z");
        if v.pointer("/data/expires").is_some() {
            v["data"]["expires"] = json!("2026-03-02T09:00:00Z");
        }
        Event::read(v, &context).map_err(|f| format!("{f:?}").into())
    });
    events.collect()
}

async fn fill(ledger: &Ledger, total: u64) -> Result<(), Failure> {
    let mut case = case_events()?.into_iter();
    let every = (total / ENTRIES as u64).max(1);
    let mut batch = Vec::new();
    for n in 0..total {
        let turn = n.is_multiple_of(every);
        batch.push(match turn.then(|| case.next()).flatten() {
            Some(event) => event,
            None => read_event(&event_json(7, n))?,
        });
        if batch.len() == 500 {
            ledger
                .append(&std::mem::take(&mut batch), Id16([1; 16]))
                .await?;
        }
    }
    batch.extend(case);
    ledger.append(&batch, Id16([1; 16])).await?;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn main() -> Result<(), Failure> {
    let real = std::env::args().any(|a| a == "--bench");
    let sizes: &[u64] = if real { &[10_000, 100_000] } else { &[200] };
    let runs = if real { 300 } else { 3 };
    println!(
        "entries in the ledger | why, median | p99 | collect and open | judge | sentences | bare read of the 40 rows | ratio"
    );
    for size in sizes {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(target)?;
        let dir = tempfile::tempdir_in(target)?;
        let paths = LedgerPaths::below(dir.path(), NAME);
        let clock = Arc::new(SystemClock::default());
        Ledger::create(&paths, NAME, ORIGIN, clock.clone(), None)?;
        let ledger = Ledger::open(&paths, NAME, ORIGIN, clock, Limits::default())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(fill(&ledger, *size))?;
        let profile = Profile::builtin()?;
        let (_, words) = judge::catalogue::builtin()
            .into_iter()
            .next()
            .ok_or("a catalogue")?;
        let catalogue = Catalogue::parse(words)?;
        let question = Question::Case(CaseName::Id(CASE.into()));
        let bare = Connection::open(paths.database())?;
        let mut select = bare.prepare("SELECT leaf, slot, sealed FROM entry WHERE seq IN (SELECT seq FROM case_entry WHERE pseudonym = ?) ORDER BY seq")?;
        let pseudonym = collect(&ledger, &question, &Everything)?
            .case
            .ok_or(AppendError::Closed)?;
        let (mut all, mut open, mut judged, mut told, mut base) =
            (vec![], vec![], vec![], vec![], vec![]);
        for _ in 0..runs {
            let start = Instant::now();
            let rows = select.query_map([&pseudonym.0[..]], |r| r.get::<_, Vec<u8>>(2))?;
            let read = rows.collect::<Result<Vec<_>, _>>()?.len();
            base.push(start.elapsed());
            let start = Instant::now();
            let collected = collect(&ledger, &question, &Everything)?;
            open.push(start.elapsed());
            let next = Instant::now();
            let judgement = judge::judge(&collected.subject, &collected.entries, &profile);
            judged.push(next.elapsed());
            let next = Instant::now();
            let shown = judge::Entries::new(&collected.entries);
            let sentences = judgement
                .answer
                .iter()
                .flat_map(|p| &p.sentences)
                .chain(judgement.timeline.iter().map(|t| &t.sentence));
            let letters: usize = sentences
                .map(|s| judge::render(s, &catalogue, &shown).len())
                .sum();
            told.push(next.elapsed());
            all.push(start.elapsed());
            if read != ENTRIES || collected.entries.len() != ENTRIES || letters == 0 {
                return Err(format!(
                    "the case has {} entries, {read} rows, {letters} letters",
                    collected.entries.len()
                )
                .into());
            }
        }
        let ((why, p99), (base, _)) = (median(all), median(base));
        println!(
            "{size} | {why:.2?} | {p99:.2?} | {:.2?} | {:.2?} | {:.2?} | {base:.2?} | {:.0}x",
            median(open).0,
            median(judged).0,
            median(told).0,
            why.as_secs_f64() / base.as_secs_f64()
        );
        runtime.block_on(ledger.close());
    }
    Ok(())
}
