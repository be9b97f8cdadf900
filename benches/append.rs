//! The ledger against a bare loop that inserts the same rows into SQLite: same tables, same bytes, same commits, same
//! pragmas, same SQLite, same file system, in alternating rounds. See `docs/benchmarks.md`.
//!
//! `cargo bench --bench append -- [--rounds N] [--only EVENTS_A_COMMIT]`; without `--bench` (as `cargo test` runs it)
//! everything is tiny and the figures mean nothing.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Failure, NAME, ORIGIN, event_json, read_event};
use rusqlite::{Connection, params};
use whereas::event::Event;
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::tree::stored_count;
use whereas::ledger::{Hash, Id16, Leaf, disclosure, proof};
use whereas::sequencer::{Guard, Ledger, LedgerPaths, Limits, Posted, Status, SystemClock};

/// The same as the ledger's own connections set.
const SETUP: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA cache_size = -16384;";

/// Who posts, and what is timed.
#[derive(Clone, Copy, PartialEq)]
enum Posting {
    /// One task; each batch is posted when the one before is answered.
    Sequential,
    /// Two tasks, so that one batch is prepared while the other is written.
    TwoTasks,
    /// Two tasks, and the time to read the JSON and to validate it counts too.
    TwoTasksFromJson,
}

impl Posting {
    fn name(self) -> &'static str {
        match self {
            Self::Sequential => "1 task",
            Self::TwoTasks => "2 tasks",
            Self::TwoTasksFromJson => "2 tasks, from JSON bytes",
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy)]
struct Plan {
    per_commit: u64,
    posting: Posting,
    /// Events that are timed.
    events: u64,
    /// Events that stand in the ledger before.
    before: u64,
}

/// What one round measured.
struct Round {
    ledger: Duration,
    bare: Duration,
    guard: Duration,
    commits: usize,
    verified: usize,
}

/// What a task posts.
enum Work {
    Events(Vec<Vec<Event>>),
    Json(Vec<Vec<Vec<u8>>>),
}

fn batches(run: u64, from: u64, to: u64, size: u64) -> Vec<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    let mut at = from;
    while at < to {
        let end = to.min(at + size);
        out.push((at..end).map(|n| event_json(run, n)).collect());
        at = end;
    }
    out
}

fn read_all(batches: Vec<Vec<Vec<u8>>>) -> Result<Vec<Vec<Event>>, Failure> {
    batches
        .iter()
        .map(|b| b.iter().map(|e| read_event(e)).collect())
        .collect()
}

async fn post(ledger: Arc<Ledger>, work: Work) -> Result<Vec<Posted>, Failure> {
    const PRODUCER: Id16 = Id16([0xaa; 16]);
    let mut out = Vec::new();
    match work {
        Work::Events(batches) => {
            for batch in &batches {
                out.extend(ledger.append(batch, PRODUCER).await?);
            }
        }
        Work::Json(batches) => {
            for batch in &batches {
                let events: Vec<Event> = batch
                    .iter()
                    .map(|e| read_event(e))
                    .collect::<Result<_, _>>()?;
                out.extend(ledger.append(&events, PRODUCER).await?);
            }
        }
    }
    Ok(out)
}

/// Checks every receipt as its holder would; gives how many.
fn verify(ledger: &Ledger, posted: &[Posted]) -> Result<usize, Failure> {
    let keys = [ledger.keyring().checkpoint().vkey().clone()];
    let mut opened: HashMap<&str, Checkpoint> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for p in posted {
        let note = p.receipt.checkpoint.as_str();
        let head = match opened.get(note) {
            Some(head) => head,
            None => {
                let head = Checkpoint::open(note, ORIGIN, &keys)?;
                opened.entry(note).or_insert(head)
            }
        };
        let leaf = Leaf::decode(&p.receipt.leaf)?;
        let mut top = Vec::new();
        for d in &p.disclosures {
            let d = disclosure::decode(d)?;
            if d.pointer.is_some() {
                top.push(d.digest);
            }
        }
        let fits = p.status == Status::Created
            && Hash::leaf(&p.receipt.leaf) == p.hash
            && (leaf.seq, p.receipt.index) == (p.seq, p.seq)
            && disclosure::commitment(&top) == leaf.content
            && seen.insert(p.seq);
        if !fits {
            return Err(format!("the receipt of entry {} does not fit it", p.seq).into());
        }
        proof::verify_inclusion(&p.hash, p.seq, head.size, &p.receipt.path, &head.root)?;
    }
    Ok(posted.len())
}

/// `seq`, `leaf`, `slot`, `sealed`.
type EntryTuple = (i64, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// The rows of one commit, as they stand in the ledger's database.
#[derive(Default)]
struct Commit {
    size: i64,
    root: Vec<u8>,
    key_id: Vec<u8>,
    note: Option<String>,
    entries: Vec<EntryTuple>,
    identities: Vec<(Vec<u8>, i64)>,
    nodes: Vec<(i64, Vec<u8>)>,
    cases: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    case_entries: Vec<(Vec<u8>, i64, i64)>,
    trace_entries: Vec<(Vec<u8>, i64)>,
    type_entries: Vec<(i64, i64)>,
    lookups: Vec<(Vec<u8>, i64)>,
}

impl Commit {
    fn with(c: &Connection, from: i64, mut commit: Self) -> Result<Self, Failure> {
        fn rows<T>(
            c: &Connection,
            sql: &str,
            (from, to): (i64, i64),
            read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
        ) -> Result<Vec<T>, Failure> {
            let mut query = c.prepare(sql)?;
            let rows = query
                .query_map([from, to], read)?
                .collect::<Result<_, _>>()?;
            Ok(rows)
        }
        let span = (from, commit.size);
        let nodes = (
            i64::try_from(stored_count(from.unsigned_abs()))?,
            i64::try_from(stored_count(commit.size.unsigned_abs()))?,
        );
        commit.entries = rows(
            c,
            "SELECT seq, leaf, slot, sealed FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq",
            span,
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)),
        )?;
        commit.identities = rows(
            c,
            "SELECT eid, seq FROM by_seq.identity WHERE seq >= ? AND seq < ? ORDER BY seq",
            span,
            |r| Ok((r.get(0)?, r.get(1)?)),
        )?;
        commit.nodes = rows(
            c,
            "SELECT position, hash FROM node WHERE position >= ? AND position < ? ORDER BY position",
            nodes,
            |r| Ok((r.get(0)?, r.get(1)?)),
        )?;
        commit.case_entries = rows(
            c,
            "SELECT pseudonym, case_seq, seq FROM by_seq.case_entry WHERE seq >= ? AND seq < ? ORDER BY seq",
            span,
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
        )?;
        commit.cases = rows(
            c,
            "SELECT blind, pseudonym, slot FROM by_seq.case_entry JOIN case_file USING (pseudonym) WHERE seq >= ? AND seq < ? AND case_seq = 0 ORDER BY seq",
            span,
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
        )?;
        commit.trace_entries = rows(
            c,
            "SELECT trace, seq FROM by_seq.trace_entry WHERE seq >= ? AND seq < ? ORDER BY seq",
            span,
            |r| Ok((r.get(0)?, r.get(1)?)),
        )?;
        commit.type_entries = rows(
            c,
            "SELECT type_id, seq FROM by_seq.type_entry WHERE seq >= ? AND seq < ? ORDER BY seq",
            span,
            |r| Ok((r.get(0)?, r.get(1)?)),
        )?;
        commit.lookups = rows(
            c,
            "SELECT blind, seq FROM by_seq.lookup WHERE seq >= ? AND seq < ? ORDER BY seq",
            span,
            |r| Ok((r.get(0)?, r.get(1)?)),
        )?;
        Ok(commit)
    }

    /// Reads every commit of a ledger's database.
    fn all(path: &Path) -> Result<Vec<Self>, Failure> {
        let c = Connection::open(path)?;
        // Copies in memory, by position: the ledger has no such indexes, and needs none.
        c.execute_batch("ATTACH ':memory:' AS by_seq")?;
        for table in [
            "identity",
            "case_entry",
            "trace_entry",
            "type_entry",
            "lookup",
        ] {
            c.execute_batch(&format!(
                "CREATE TABLE by_seq.{table} AS SELECT * FROM main.{table}; CREATE INDEX by_seq.{table}_seq ON {table} (seq)"
            ))?;
        }
        let heads: Vec<Self> = c
            .prepare("SELECT size, root, key_id, note FROM commitment ORDER BY size")?
            .query_map([], |r| {
                Ok(Self {
                    size: r.get(0)?,
                    root: r.get(1)?,
                    key_id: r.get(2)?,
                    note: r.get(3)?,
                    ..Self::default()
                })
            })?
            .collect::<Result<_, _>>()?;
        let mut from = 0;
        let mut out = Vec::with_capacity(heads.len());
        for head in heads {
            let size = head.size;
            out.push(Self::with(&c, from, head)?);
            from = size;
        }
        Ok(out)
    }
}

/// A database with the ledger's tables, and nothing in them but what is not written with each commit.
fn empty_like(ledger: &Path, path: &Path) -> Result<Connection, Failure> {
    let c = Connection::open(path)?;
    c.execute_batch(SETUP)?;
    c.execute("ATTACH ? AS ledger", [ledger.to_str().ok_or("path")?])?;
    let tables: Vec<String> = c
        .prepare("SELECT sql FROM ledger.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")?
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    for sql in tables {
        c.execute_batch(&sql)?;
    }
    c.execute_batch(
        "INSERT INTO main.meta SELECT * FROM ledger.meta; INSERT INTO main.type_name SELECT * FROM ledger.type_name; \
         INSERT INTO main.__diesel_schema_migrations SELECT * FROM ledger.__diesel_schema_migrations; \
         INSERT INTO main.head VALUES (1, 0, x''); DETACH ledger",
    )?;
    Ok(c)
}

/// The bare loop: rows at hand, prepared statements, one transaction for each commit. `after` runs after each commit.
fn insert(
    c: &Connection,
    commits: &[Commit],
    mut after: impl FnMut(&Commit) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut begin = c.prepare("BEGIN IMMEDIATE")?;
    let mut commit = c.prepare("COMMIT")?;
    let mut entry = c.prepare("INSERT INTO entry (seq, leaf, slot, sealed) VALUES (?, ?, ?, ?)")?;
    let mut identity = c.prepare("INSERT INTO identity (eid, seq) VALUES (?, ?)")?;
    let mut node = c.prepare("INSERT INTO node (position, hash) VALUES (?, ?)")?;
    let mut case = c.prepare("INSERT INTO case_file (blind, pseudonym, slot) VALUES (?, ?, ?)")?;
    let mut case_entry =
        c.prepare("INSERT INTO case_entry (pseudonym, case_seq, seq) VALUES (?, ?, ?)")?;
    let mut trace_entry = c.prepare("INSERT INTO trace_entry (trace, seq) VALUES (?, ?)")?;
    let mut type_entry = c.prepare("INSERT INTO type_entry (type_id, seq) VALUES (?, ?)")?;
    let mut lookup = c.prepare("INSERT INTO lookup (blind, seq) VALUES (?, ?)")?;
    let mut commitment =
        c.prepare("INSERT INTO commitment (size, root, key_id, note) VALUES (?, ?, ?, ?)")?;
    let mut head = c.prepare("UPDATE head SET size = ?, root = ? WHERE id = 1")?;
    for rows in commits {
        begin.execute([])?;
        for (blind, pseudonym, slot) in &rows.cases {
            case.execute(params![blind, pseudonym, slot])?;
        }
        for (seq, leaf, slot, sealed) in &rows.entries {
            entry.execute(params![seq, leaf, slot, sealed])?;
        }
        for (eid, seq) in &rows.identities {
            identity.execute(params![eid, seq])?;
        }
        for (type_id, seq) in &rows.type_entries {
            type_entry.execute(params![type_id, seq])?;
        }
        for (pseudonym, case_seq, seq) in &rows.case_entries {
            case_entry.execute(params![pseudonym, case_seq, seq])?;
        }
        for (trace, seq) in &rows.trace_entries {
            trace_entry.execute(params![trace, seq])?;
        }
        for (blind, seq) in &rows.lookups {
            lookup.execute(params![blind, seq])?;
        }
        for (position, hash) in &rows.nodes {
            node.execute(params![position, hash])?;
        }
        commitment.execute(params![rows.size, rows.root, rows.key_id, rows.note])?;
        head.execute(params![rows.size, rows.root])?;
        commit.execute([])?;
        after(rows)?;
    }
    Ok(())
}

/// Fails unless both databases hold the same rows in every table.
fn same_rows(bare: &Connection, ledger: &Path) -> Result<(), Failure> {
    bare.execute("ATTACH ? AS ledger", [ledger.to_str().ok_or("path")?])?;
    let tables: Vec<String> = bare
        .prepare("SELECT name FROM ledger.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    for t in tables {
        let sql = format!(
            "SELECT (SELECT count(*) FROM main.{t}) = (SELECT count(*) FROM ledger.{t}) \
             AND NOT EXISTS (SELECT * FROM main.{t} EXCEPT SELECT * FROM ledger.{t})"
        );
        if !bare.query_row(&sql, [], |r| r.get::<_, bool>(0))? {
            return Err(format!("the bare loop did not write the ledger's rows of {t}").into());
        }
    }
    bare.execute_batch("DETACH ledger")?;
    Ok(())
}

/// One round: the ledger, then the bare loop with the ledger's rows, then the same loop with a guard file.
fn round(
    runtime: &tokio::runtime::Runtime,
    place: &Path,
    run: u64,
    plan: Plan,
) -> Result<Round, Failure> {
    let dir = tempfile::tempdir_in(place)?;
    let paths = LedgerPaths::below(dir.path(), NAME);
    let clock = Arc::new(SystemClock::default());
    Ledger::create(&paths, NAME, ORIGIN, clock.clone(), None)?;
    let ledger = Ledger::open(&paths, NAME, ORIGIN, clock, Limits::default())?;

    let before = read_all(batches(run, 0, plan.before, 1_000))?;
    runtime.block_on(post(Arc::clone(&ledger), Work::Events(before)))?;
    let timed_from = ledger.size();

    let json = batches(run, plan.before, plan.before + plan.events, plan.per_commit);
    let tasks = if plan.posting == Posting::Sequential {
        1
    } else {
        2
    };
    let mut shares: Vec<Vec<Vec<Vec<u8>>>> = vec![Vec::new(); tasks];
    for (i, batch) in json.into_iter().enumerate() {
        shares[i % tasks].push(batch);
    }
    let mut work = Vec::new();
    for share in shares {
        work.push(match plan.posting {
            Posting::TwoTasksFromJson => Work::Json(share),
            _ => Work::Events(read_all(share)?),
        });
    }
    let (took, posted) = runtime.block_on(async {
        let start = Instant::now();
        let tasks: Vec<_> = work
            .into_iter()
            .map(|w| tokio::spawn(post(Arc::clone(&ledger), w)))
            .collect();
        let mut posted = Vec::new();
        for task in tasks {
            posted.extend(task.await??);
        }
        Ok::<_, Failure>((start.elapsed(), posted))
    })?;
    let verified = verify(&ledger, &posted)?;
    if verified as u64 != plan.events {
        return Err(format!("{} events, but {verified} receipts", plan.events).into());
    }
    drop(posted);
    runtime.block_on(ledger.close());
    drop(ledger);

    let database = paths.database();
    let commits = Commit::all(&database)?;
    let first = commits.partition_point(|c| c.size.unsigned_abs() <= timed_from);
    let (early, timed) = commits.split_at(first);

    let c = empty_like(&database, &dir.path().join("bare.db"))?;
    insert(&c, early, |_| Ok(()))?;
    let start = Instant::now();
    insert(&c, timed, |_| Ok(()))?;
    let bare = start.elapsed();
    same_rows(&c, &database)?;
    drop(c);

    let c = empty_like(&database, &dir.path().join("guarded.db"))?;
    let mut file = Guard::create(&dir.path().join("guard"))?;
    insert(&c, early, |_| Ok(()))?;
    let mut guard = Duration::ZERO;
    insert(&c, timed, |commit| {
        let start = Instant::now();
        file.write(commit.note.as_deref().unwrap_or_default())?;
        guard += start.elapsed();
        Ok(())
    })?;
    Ok(Round {
        ledger: took,
        bare,
        guard,
        commits: timed.len(),
        verified,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => f64::NAN,
        _ if n % 2 == 1 => values[n / 2],
        _ => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// The file system that a folder lies on, where the system tells.
fn file_system(dir: &Path) -> String {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mounts") else {
        return "unknown".into();
    };
    mounts
        .lines()
        .filter_map(|l| {
            let mut words = l.split(' ');
            let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
            dir.starts_with(at).then(|| (at.len(), kind.to_owned()))
        })
        .max_by_key(|m| m.0)
        .map_or_else(|| "unknown".into(), |m| m.1)
}

struct Options {
    rounds: u64,
    only: Option<u64>,
    tiny: bool,
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        rounds: 5,
        only: None,
        tiny: true,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || -> Result<u64, Failure> {
            let text = args.next().ok_or("a number is missing")?;
            Ok(text.parse()?)
        };
        match arg.as_str() {
            "--bench" => options.tiny = false,
            "--rounds" => options.rounds = number()?.max(1),
            "--only" => options.only = Some(number()?),
            _ => return Err(format!("unknown argument {arg}").into()),
        }
    }
    if options.tiny {
        options.rounds = 1;
    }
    Ok(options)
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    let scale = if options.tiny { 100 } else { 1 };
    let plan = |per_commit, posting, events: u64| Plan {
        per_commit,
        posting,
        events: (events / scale).max(per_commit.min(200)),
        before: 20_000 / scale,
    };
    let plans = [
        plan(1, Posting::Sequential, 4_000),
        plan(100, Posting::Sequential, 20_000),
        plan(100, Posting::TwoTasks, 20_000),
        plan(100, Posting::TwoTasksFromJson, 20_000),
        plan(1_000, Posting::Sequential, 40_000),
        plan(1_000, Posting::TwoTasks, 40_000),
        plan(1_000, Posting::TwoTasksFromJson, 40_000),
    ];
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(place)?;
    let place = place.canonicalize()?;
    let sizes: Vec<usize> = (0..400).map(|n| event_json(0, n).len()).collect();
    println!(
        "{} cores; SQLite {}; file system of the databases: {}; events of {} bytes on average; {} entries before; medians of {} alternating rounds{}",
        std::thread::available_parallelism()?,
        rusqlite::version(),
        file_system(&place),
        sizes.iter().sum::<usize>() / sizes.len(),
        20_000 / scale,
        options.rounds,
        if options.tiny || cfg!(debug_assertions) {
            "; TINY OR UNOPTIMISED, the figures mean nothing"
        } else {
            ""
        },
    );
    println!(
        "\n| events a commit | posted by | measured a commit | ledger: events/s | bare rows: events/s | ratio | lowest, highest | guard's share |\n|---|---|---|---|---|---|---|---|"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut verified = 0;
    for (number, plan) in plans.into_iter().enumerate() {
        if options.only.is_some_and(|only| only != plan.per_commit) {
            continue;
        }
        let mut rounds = Vec::new();
        for r in 0..options.rounds {
            let run = number as u64 * 1_000 + r;
            rounds.push(round(&runtime, &place, run, plan)?);
        }
        verified += rounds.iter().map(|r| r.verified).sum::<usize>();
        let events = plan.events as f64;
        let each = |f: &dyn Fn(&Round) -> f64| rounds.iter().map(f).collect::<Vec<f64>>();
        let ratios = each(&|r| r.bare.as_secs_f64() / r.ledger.as_secs_f64());
        println!(
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2}, {:.2} | {:.1} % |",
            plan.per_commit,
            plan.posting.name(),
            median(each(&|r| events / r.commits as f64)),
            median(each(&|r| events / r.ledger.as_secs_f64())),
            median(each(&|r| events / r.bare.as_secs_f64())),
            median(ratios.clone()),
            ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratios.iter().copied().fold(0.0, f64::max),
            100.0 * median(each(&|r| r.guard.as_secs_f64() / r.ledger.as_secs_f64())),
        );
    }
    println!(
        "\n{verified} receipts verified (leaf hash, disclosures, inclusion, checkpoint signature); every bare database holds the ledger's rows, table by table."
    );
    Ok(())
}
