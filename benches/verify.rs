//! What checking a whole ledger costs, against a bare scan of the same rows and SHA-256 of the same bytes.
//!
//! `cargo bench --bench verify` (`WHEREAS_BENCH_ENTRIES` sets the size); without `--bench` (as `cargo test` runs it) the
//! ledger is tiny and the figures mean nothing.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod common;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use common::{Failure, NAME, ORIGIN, event_json, read_event};
use whereas::audit::folder::{FolderAudit, Progress, verify};
use whereas::audit::sort::Sorter;
use whereas::ledger::note::Vkey;
use whereas::ledger::tree::Frontier;
use whereas::ledger::{Hash, Id16, sha256};
use whereas::sequencer::{Ledger, LedgerPaths, Limits, SystemClock};
use whereas::store::scan::LedgerScan;
use whereas::store::sqlite::SqliteScan;
use whereas::verify::ledger::records::{case_record, identity_record};
use whereas::verify::ledger::{Checker, OutsideCheckpoint, Pins, Sink, read};

const PAGE: usize = 512;

async fn fill(paths: &LedgerPaths, total: u64) -> Result<Vkey, Failure> {
    let clock = Arc::new(SystemClock::default());
    Ledger::create(paths, NAME, ORIGIN, clock.clone(), None)?;
    let ledger = Ledger::open(paths, NAME, ORIGIN, clock, Limits::default())?;
    let mut batch = Vec::new();
    for n in 0..total {
        batch.push(read_event(&event_json(3, n))?);
        if batch.len() == 100 || n + 1 == total {
            let posted = std::mem::take(&mut batch);
            ledger.append(&posted, Id16([1; 16])).await?;
        }
    }
    let key = ledger.keyring().checkpoint().vkey().clone();
    ledger.close().await;
    Ok(key)
}

fn told(what: &str, entries: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what} | {seconds:.3} s | {:.0} entries/s",
        entries as f64 / seconds
    );
}

/// Reads every leaf, page by page, and does something with it.
fn leaves(database: &Path, content: bool, mut each: impl FnMut(&[u8])) -> Result<u64, Failure> {
    let mut scan = SqliteScan::open(database)?;
    let (mut after, mut count) = (None, 0);
    loop {
        let page = scan.entries(after, PAGE, content)?;
        let Some(last) = page.last() else {
            return Ok(count);
        };
        after = Some(last.seq);
        count += page.len() as u64;
        page.iter().for_each(|e| each(&e.leaf));
    }
}

/// Makes the records that are sorted.
struct Records(Sorter<40>, Sorter<96>);

impl Sink for Records {
    fn entry(&mut self, seq: u64, hash: &Hash, leaf: &whereas::ledger::Leaf) {
        let pushed = self
            .0
            .push(identity_record(seq, leaf))
            .and_then(|()| case_record(seq, hash, leaf).map_or(Ok(()), |r| self.1.push(r)));
        if let Err(e) = pushed {
            println!("a record could not be kept: {e}");
        }
    }
}

fn main() -> Result<(), Failure> {
    let measured = std::env::args().any(|a| a == "--bench");
    let asked = std::env::var("WHEREAS_BENCH_ENTRIES").ok();
    let total = match (measured, asked) {
        (false, _) => 300,
        (true, Some(n)) => n.parse()?,
        (true, None) => 100_000,
    };
    let dir = tempfile::tempdir()?;
    let paths = LedgerPaths::below(dir.path(), NAME);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let start = Instant::now();
    let key = runtime.block_on(fill(&paths, total))?;
    let database = paths.database();
    println!(
        "{} entries, {:.0} MB, written in {:.1} s",
        total + 1,
        std::fs::metadata(&database)?.len() as f64 / 1e6,
        start.elapsed().as_secs_f64()
    );
    let pins = Pins {
        origin: ORIGIN.to_owned(),
        keys: vec![key.clone()],
        ..Pins::default()
    };

    // In memory, without storage.
    let mut held: Vec<Vec<u8>> = Vec::new();
    leaves(&database, false, |leaf| held.push(leaf.to_vec()))?;
    let entries = held.len() as u64;
    let start = Instant::now();
    held.iter().for_each(|leaf| {
        black_box(sha256(&[leaf]));
    });
    told("memory: SHA-256 of the leaves", entries, start);
    let start = Instant::now();
    let mut tree = Frontier::new();
    for leaf in &held {
        let read = read(leaf);
        black_box(read.leaf.is_ok());
        tree.append(read.hash, |_, _| {});
    }
    black_box(tree.root());
    told("memory: decode, leaf hash, tree", entries, start);
    let start = Instant::now();
    let mut checker = Checker::new(pins.clone());
    for leaf in &held {
        checker.leaf(read(leaf), None, &mut ());
    }
    let streamed = checker.finish(true, &mut ());
    told("memory: the streaming check", entries, start);
    drop(held);

    // From SQLite.
    for (what, content) in [
        ("scan of leaves", false),
        ("scan of leaves and content", true),
    ] {
        let start = Instant::now();
        leaves(&database, content, |leaf| {
            black_box(leaf.len());
        })?;
        told(&format!("SQLite: bare {what}"), entries, start);
    }
    let start = Instant::now();
    leaves(&database, false, |leaf| {
        black_box(sha256(&[leaf]));
    })?;
    told("SQLite: scan, SHA-256", entries, start);
    let start = Instant::now();
    let mut checker = Checker::new(pins.clone());
    leaves(&database, false, |leaf| {
        checker.leaf(read(leaf), None, &mut ());
    })?;
    let again = checker.finish(true, &mut ());
    told("SQLite: leaves, chain, tree, one thread", entries, start);
    if again.root != streamed.root || again.size != entries {
        return Err("the two ways to check came to different trees".into());
    }

    // The sorts apart.
    let mut records = Records(
        Sorter::new(dir.path(), 1 << 30),
        Sorter::new(dir.path(), 1 << 30),
    );
    let mut checker = Checker::new(pins);
    leaves(&database, false, |leaf| {
        checker.leaf(read(leaf), None, &mut records);
    })?;
    drop(checker.finish(true, &mut records));
    let start = Instant::now();
    let (mut a, mut b) = (records.0.finish()?, records.1.finish()?);
    let mut count = 0_u64;
    while a.next()?.is_some() {
        count += 1;
    }
    while b.next()?.is_some() {
        count += 1;
    }
    black_box(count);
    told("sorts: identities and cases", entries, start);

    // The whole audit of a folder.
    for (content, threads) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
        let audit = FolderAudit {
            content,
            threads,
            checkpoints: Vec::<OutsideCheckpoint>::new(),
            temporary: dir.path().to_owned(),
            ..FolderAudit::new(paths.clone(), vec![key.clone()])
        };
        let start = Instant::now();
        let check = verify(&audit, &Progress::default())?;
        let what = if content {
            "with content"
        } else {
            "without content"
        };
        told(
            &format!("folder, {what}, {threads} thread(s)"),
            entries,
            start,
        );
        if check.refused() {
            return Err(format!("the ledger is refused: {:?}", check.problems).into());
        }
    }
    Ok(())
}
