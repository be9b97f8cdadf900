//! What taking an export and restoring from it cost, against copying as many bytes.
//!
//! `cargo bench --bench export` (`WHEREAS_BENCH_ENTRIES` sets the size); without `--bench` (as `cargo test` runs it) the
//! ledger is tiny and the figures mean nothing.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod common;

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use common::{Failure, NAME, ORIGIN, event_json, read_event};
use whereas::audit::archive::{self, Content, Filter, Manifest, Scope};
use whereas::ledger::Id16;
use whereas::sequencer::{Ledger, LedgerPaths, Limits, SystemClock};
use whereas::store::StoreError;

struct Everything;

impl Filter for Everything {
    fn shows(&mut self, _: Option<&Id16>) -> Result<bool, StoreError> {
        Ok(true)
    }
}

fn open(paths: &LedgerPaths) -> Result<Arc<Ledger>, Failure> {
    let clock = Arc::new(SystemClock::default());
    Ok(Ledger::open(paths, NAME, ORIGIN, clock, Limits::default())?)
}

async fn fill(paths: &LedgerPaths, total: u64) -> Result<(), Failure> {
    let clock = Arc::new(SystemClock::default());
    Ledger::create(paths, NAME, ORIGIN, clock, None)?;
    let ledger = open(paths)?;
    let mut batch = Vec::new();
    for n in 0..total {
        batch.push(read_event(&event_json(3, n))?);
        if batch.len() == 100 || n + 1 == total {
            let posted = std::mem::take(&mut batch);
            ledger.append(&posted, Id16([1; 16])).await?;
        }
    }
    ledger.close().await;
    Ok(())
}

fn told(what: &str, entries: u64, bytes: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what} | {seconds:.2} s | {:.0} entries/s | {:.0} MB/s",
        entries as f64 / seconds,
        bytes as f64 / 1e6 / seconds
    );
}

/// Copies a file, and waits until the copy is durable.
fn copy(from: &Path, to: &Path) -> Result<u64, Failure> {
    let mut file = File::create(to)?;
    let bytes = std::io::copy(&mut File::open(from)?, &mut file)?;
    file.sync_all()?;
    Ok(bytes)
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
    let paths = LedgerPaths::below(&dir.path().join("old"), NAME);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(fill(&paths, total))?;
    let start = Instant::now();
    let bytes = copy(&paths.database(), &dir.path().join("copy.db"))?;
    told("copying the database file", total, bytes, start);

    let ledger = open(&paths)?;
    let key = ledger.keyring().checkpoint().vkey().clone();
    let (head, note) = ledger.checkpoint()?;
    let sealed = dir.path().join("sealed.tar");
    for (what, content, file) in [
        ("export, leaves only", Content::None, "none.tar"),
        ("export, sealed", Content::Sealed, "sealed.tar"),
        ("export, disclosed", Content::Disclosed, "disclosed.tar"),
    ] {
        let path = dir.path().join(file);
        let manifest = Manifest {
            v: archive::VERSION,
            ledger: ORIGIN.to_owned(),
            size: head.size,
            scope: Scope::Whole,
            content,
            exported: "2026-01-01T00:00:00.000000Z".to_owned(),
            software: "bench".to_owned(),
        };
        let start = Instant::now();
        let out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let (_, mut out) = archive::write(&ledger, &manifest, &note, &mut Everything, out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        let bytes = std::fs::metadata(&path)?.len();
        told(what, head.size, bytes, start);
        let start = Instant::now();
        copy(&path, &dir.path().join("copy.tar"))?;
        told("  copying that file", head.size, bytes, start);
    }
    runtime.block_on(ledger.close());
    drop(ledger);

    let new = LedgerPaths {
        ledger: dir.path().join("new/ledgers").join(NAME),
        guard: dir.path().join("new/guard").join(NAME),
        keyring: paths.keyring.clone(),
    };
    let start = Instant::now();
    let input = BufReader::with_capacity(1 << 20, File::open(&sealed)?);
    let done = archive::import(input, &new, NAME, &[key])?;
    let bytes = std::fs::metadata(new.database())?.len();
    told("import", done.size, bytes, start);
    Ok(())
}
