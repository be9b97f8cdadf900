//! What proofs cost as the ledger grows: inclusion, consistency, receipts in a later checkpoint, tiles and bundles.
//!
//! `cargo bench --bench proofs`; without `--bench` (as `cargo test` runs it) the ledger is tiny and the figures mean
//! nothing. The ledger is filled straight through its storage, many entries to a commit.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    dead_code,
    reason = "the events of the other benchmarks are not posted here"
)]

mod common;

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Failure, NAME, ORIGIN};
use whereas::ledger::proof::{verify_consistency, verify_inclusion};
use whereas::ledger::tree::{Frontier, NodeId};
use whereas::ledger::{Hash, Id16, Leaf, Timestamp};
use whereas::sequencer::{Ledger, LedgerPaths, Limits, SystemClock, TileId};
use whereas::store::sqlite::SqliteStore;
use whereas::store::{Commitment, EntryRow, LedgerReader, LedgerWriter};

/// What a proof at a million entries may cost.
const BUDGET: Duration = Duration::from_millis(2);

/// Fills a new ledger up to `total` entries, `each` to a commit.
fn fill(paths: &LedgerPaths, total: u64, each: u64) -> Result<(), Failure> {
    let store = SqliteStore::open(&paths.database(), false)?;
    let first = store.entry(0)?.ok_or("the first entry")?;
    let key_id = store.commitment_at_least(1)?.ok_or("a commit")?.key_id;
    let mut prev = Hash::leaf(&first.leaf);
    let root = NodeId { level: 0, index: 0 };
    let mut frontier = Frontier::load(&HashMap::from([(root, prev)]), 1)
        .map_err(|id| format!("no node {id:?}"))?;
    let recorded = Leaf::decode(&first.leaf)?.recorded;
    let mut writer = store.writer()?;
    while frontier.size() < total {
        let (mut rows, mut nodes) = (Vec::new(), Vec::new());
        for seq in frontier.size()..(frontier.size() + each).min(total) {
            let leaf = Leaf {
                ledger: ORIGIN.to_owned(),
                seq,
                prev,
                kind: "x.note".to_owned(),
                eid: Hash::leaf(&seq.to_le_bytes()),
                case: None,
                trace: None,
                span: None,
                occurred: Timestamp::EPOCH,
                recorded,
                producer: Id16([1; 16]),
                content: Some(Hash::leaf(&seq.to_be_bytes())),
                fact: None,
            };
            let bytes = leaf.encode().into_bytes();
            prev = Hash::leaf(&bytes);
            frontier.append(prev, |id, hash| nodes.push((id, hash)));
            rows.push(EntryRow {
                seq,
                leaf: bytes,
                kind: leaf.kind,
                eid: leaf.eid,
                case: None,
                trace: None,
                sealed: None,
                lookups: Vec::new(),
            });
        }
        let mut transaction = writer.begin()?;
        transaction.put_entries(&rows)?;
        transaction.put_nodes(&nodes)?;
        transaction.commit(Some(&Commitment {
            size: frontier.size(),
            root: frontier.root(),
            key_id,
            note: None,
        }))?;
    }
    Ok(())
}

/// A small generator, so that runs repeat.
fn place(turn: u64, below: u64) -> u64 {
    turn.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) % below
}

/// Median and 99th percentile of so many runs.
fn measured(
    runs: u64,
    mut run: impl FnMut(u64) -> Result<(), Failure>,
) -> Result<(Duration, Duration), Failure> {
    let mut times = Vec::new();
    for turn in 0..runs {
        let start = Instant::now();
        run(turn)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok((times[times.len() / 2], times[times.len() * 99 / 100]))
}

fn main() -> Result<(), Failure> {
    let real = std::env::args().any(|a| a == "--bench");
    let sizes: &[u64] = if real {
        &[10_000, 100_000, 1_000_000]
    } else {
        &[700]
    };
    let (runs, each) = if real { (1_000, 10_000) } else { (20, 100) };
    println!(
        "entries in the ledger | inclusion, median | p99 | consistency, median | p99 | receipt at the newest size, median | p99 | tile, median | bundle, median"
    );
    for &size in sizes {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(target)?;
        let dir = tempfile::tempdir_in(target)?;
        let paths = LedgerPaths::below(dir.path(), NAME);
        let clock = Arc::new(SystemClock::default());
        Ledger::create(&paths, NAME, ORIGIN, clock.clone(), None)?;
        fill(&paths, size, each)?;
        let ledger = Ledger::open(&paths, NAME, ORIGIN, clock, Limits::default())?;
        let (newest, _) = ledger.checkpoint()?;
        let inclusion = measured(runs, |turn| {
            let seq = place(turn, size);
            let path = ledger.inclusion(seq, size)?;
            black_box(ledger.root(size)?);
            verify_inclusion(&ledger.leaf_hash(seq)?, seq, size, &path, &newest.root)?;
            Ok(())
        })?;
        let consistency = measured(runs, |turn| {
            let first = 1 + place(turn, size);
            let (old, new) = (ledger.root(first)?, ledger.root(size)?);
            verify_consistency(first, size, &ledger.consistency(first, size)?, &old, &new)?;
            Ok(())
        })?;
        let receipt = measured(runs, |turn| {
            let receipt = ledger.receipt_at(place(turn, size), size)?;
            black_box(receipt.ok_or("a receipt")?.encode());
            Ok(())
        })?;
        let full = |turn| TileId {
            level: 0,
            index: place(turn, size / 256),
            width: 256,
        };
        let tile = measured(runs, |turn| {
            black_box(ledger.tile(full(turn))?.ok_or("a tile")?);
            Ok(())
        })?;
        let bundle = measured(runs, |turn| {
            black_box(ledger.bundle(full(turn))?.ok_or("a bundle")?);
            Ok(())
        })?;
        println!(
            "{size} | {:.2?} | {:.2?} | {:.2?} | {:.2?} | {:.2?} | {:.2?} | {:.2?} | {:.2?}",
            inclusion.0,
            inclusion.1,
            consistency.0,
            consistency.1,
            receipt.0,
            receipt.1,
            tile.0,
            bundle.0
        );
        let worst = inclusion.0.max(consistency.0).max(receipt.0);
        if real && worst > BUDGET {
            return Err(format!("{worst:.2?} at {size} entries is more than {BUDGET:.2?}").into());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(ledger.close());
    }
    Ok(())
}
