use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::{Context, Event};
use crate::judge::Profile;
use crate::ledger::keys::Purpose;
use crate::ledger::note::{Cosigner, Vkey};
use crate::ledger::{Id16, Timestamp};
use crate::reconstruct::{CaseName, CaseSight, Question};
use crate::sequencer::{Clock, FromOutside, Ledger, LedgerPaths, Limits, Rotate, SystemClock};
use crate::store::Cosignature;
use crate::store::StoreError;

pub(super) type Outcome = Result<(), Box<dyn std::error::Error>>;

const ORIGIN: &str = "ledger.example/acme";

struct Everything;

impl Filter for Everything {
    fn shows(&mut self, _: Option<&Id16>) -> Result<bool, StoreError> {
        Ok(true)
    }
}

impl CaseSight for Everything {
    fn sees(&self, _: Option<&Id16>) -> bool {
        true
    }
}

pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

pub(super) fn paths(dir: &Path) -> LedgerPaths {
    LedgerPaths::below(dir, "acme")
}

pub(super) fn open(dir: &Path) -> Result<Arc<Ledger>, Box<dyn std::error::Error>> {
    Ok(Ledger::open(
        &paths(dir),
        "acme",
        ORIGIN,
        clock(),
        Limits::default(),
    )?)
}

fn event(n: u64) -> Event {
    let mut value = json!({
        "id": format!("e{n}"), "source": "wf", "type": if n.is_multiple_of(3) { "x.a" } else { "x.b" },
        "time": "2026-01-12T13:46:39Z",
        "data": { "note": format!("note {n}"), "list": [{"a": n}, {"b": 2}] }
    });
    match n % 4 {
        0 => {}
        1 => value["trace_id"] = json!("run 7"),
        _ => value["case_id"] = json!(format!("C-{}", n % 7)),
    }
    if n.is_multiple_of(5) {
        value["recommendation_id"] = json!(format!("rec-{n}"));
    }
    let context = Context {
        ledger: "acme",
        origin: ORIGIN,
        only_source: None,
    };
    Event::read(value, &context).unwrap_or_else(|f| panic!("{f:?}"))
}

/// A ledger of a few bundles in commits of several sizes, with a report; closed.
pub(super) async fn ledger(dir: &Path, events: u64) -> Outcome {
    Ledger::create(&paths(dir), "acme", ORIGIN, clock(), None)?;
    let ledger = open(dir)?;
    let mut n = 0;
    while n < events {
        let batch = (n % 37 + 1).min(events - n);
        let events: Vec<Event> = (n..n + batch).map(event).collect();
        ledger.append(&events, Id16([7; 16])).await?;
        n += batch;
    }
    let witness =
        Cosigner::new("witness.example/w", SigningKey::from_bytes(&[5; 32])).ok_or("no witness")?;
    let (head, note) = ledger.checkpoint()?;
    let text = note.split_inclusive('\n').take(3).collect::<String>();
    ledger
        .keep(FromOutside::Cosignature(Cosignature {
            size: head.size,
            name: witness.vkey().name().to_owned(),
            key_id: witness.vkey().id(),
            line: witness.cosign(&text, 1_768_000_000),
            time: 1_768_000_000,
        }))
        .await?;
    for purpose in [Purpose::Checkpoint, Purpose::Report] {
        let job = Rotate {
            purpose,
            given: None,
            compromised_since: None,
            reason: None,
        };
        ledger.rotate(job).await?;
    }
    let order = crate::report::Order {
        question: Question::Case(CaseName::Id("C-2".into())),
        role: "regulator",
        requester: Id16([8; 16]),
        purpose: "review".into(),
        supersedes: None,
        content: true,
        access: crate::sequencer::Access::new(Id16([8; 16]), "report.issue", Timestamp::EPOCH),
    };
    let now = Timestamp::parse_rfc3339("2026-01-13T00:00:00Z")?;
    crate::report::issue(&ledger, &order, &Everything, &Profile::builtin()?, now).await?;
    ledger.close().await;
    Ok(())
}

fn manifest(scope: Scope, content: Content, size: u64) -> Manifest {
    Manifest {
        v: VERSION,
        ledger: ORIGIN.into(),
        size,
        scope,
        content,
        exported: "2026-01-13T00:00:00.000000Z".into(),
        software: "whereas test".into(),
    }
}

pub(super) fn export(
    dir: &Path,
    scope: Scope,
    content: Content,
) -> Result<(Vec<u8>, Vkey), Box<dyn std::error::Error>> {
    let ledger = open(dir)?;
    let (head, note) = ledger.checkpoint()?;
    let manifest = manifest(scope, content, head.size);
    let (_, bytes) = write(&ledger, &manifest, &note, &mut Everything, Vec::new())?;
    let key = ledger.keyring().checkpoint().vkey().clone();
    Ok((bytes, key))
}

/// A place with the keyring of another and nothing else.
fn keyring_only(from: &Path) -> Result<tempfile::TempDir, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (old, new) = (paths(from).keyring, paths(dir.path()).keyring);
    crate::keyring::create_private_dir(&dir.path().join("keyring"))?;
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&old, &new])
        .status()?;
    assert!(copied.success());
    Ok(dir)
}

/// Every row of every table, as text.
fn rows(dir: &Path) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let db = rusqlite::Connection::open(paths(dir).database())?;
    let mut tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY name")?;
    let names: Vec<String> = tables
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for name in names {
        let mut query = db.prepare(&format!("SELECT * FROM {name}"))?;
        let columns = query.column_count();
        let mut found = query.query([])?;
        while let Some(row) = found.next()? {
            let values = (0..columns).map(|i| Ok(format!("{:?}", row.get_ref(i)?)));
            let values: Result<Vec<String>, rusqlite::Error> = values.collect();
            all.push(format!("{name}: {}", values?.join(", ")));
        }
    }
    Ok(all)
}

fn parts(bytes: &[u8]) -> Result<Vec<Part>, ArchiveError> {
    let mut reader = Reader::open(bytes)?;
    let mut parts = Vec::new();
    while let Some(part) = reader.next_part()? {
        parts.push(part);
    }
    Ok(parts)
}

#[tokio::test]
async fn a_restored_ledger_is_the_same_row_for_row_and_goes_on() -> Outcome {
    let old = tempfile::tempdir()?;
    ledger(old.path(), 700).await?;
    let (bytes, key) = export(old.path(), Scope::Whole, Content::Sealed)?;
    let new = keyring_only(old.path())?;
    let done = import(
        &bytes[..],
        &paths(new.path()),
        "acme",
        std::slice::from_ref(&key),
    )?;
    assert_eq!((done.origin.as_str(), done.size), (ORIGIN, 705));
    // The newest checkpoint's row of a closed ledger is stored, so nothing differs at all.
    let (before, after) = (rows(old.path())?, rows(new.path())?);
    assert!(before.len() > 4_000, "{}", before.len());
    assert_eq!(before, after);
    let again = import(
        &bytes[..],
        &paths(new.path()),
        "acme",
        std::slice::from_ref(&key),
    );
    assert!(
        matches!(again, Err(ImportError::Unsuitable(_))),
        "{again:?}"
    );
    let went_on = open(new.path())?;
    let first = event(3);
    let posted = went_on
        .append(&[first, event(9_999)], Id16([7; 16]))
        .await?;
    let seqs: Vec<u64> = posted.iter().map(|p| p.seq).collect();
    assert_eq!(seqs, [4, 705], "a retry is known, a new event is next");
    went_on.close().await;
    Ok(())
}

#[tokio::test]
async fn a_ledger_is_not_restored_behind_its_guard_nor_under_another_key() -> Outcome {
    let old = tempfile::tempdir()?;
    ledger(old.path(), 20).await?;
    let (bytes, key) = export(old.path(), Scope::Whole, Content::Sealed)?;
    let later = open(old.path())?;
    later.append(&[event(50)], Id16([7; 16])).await?;
    later.close().await;
    drop(later);
    let new = keyring_only(old.path())?;
    let to = paths(new.path());
    std::fs::create_dir_all(new.path().join("guard"))?;
    std::fs::copy(paths(old.path()).guard, &to.guard)?;
    let refused = import(&bytes[..], &to, "acme", &[key]).err();
    let text = refused.map(|e| e.to_string()).unwrap_or_default();
    assert!(text.contains("guard"), "{text}");
    assert!(!to.ledger.exists() && to.guard.exists());
    let left: Vec<_> = std::fs::read_dir(new.path().join("ledgers"))?.collect();
    assert!(left.is_empty(), "{left:?}");
    let stranger =
        Vkey::parse("ledger.example/acme+5e0b1d0f+AWqzZ7a4s0c1L2p9jz0Jb4h9c3J5JQyYp0n1mZ7X8b1K");
    assert!(stranger.is_err(), "a key with a wrong id is none");
    let refused = import(&bytes[..], &to, "acme", &[]).err();
    assert!(refused.is_some_and(|e| e.to_string().contains("none of the keys")));
    Ok(())
}

#[tokio::test]
async fn whatever_is_changed_cut_or_added_nothing_else_is_restored() -> Outcome {
    let old = tempfile::tempdir()?;
    ledger(old.path(), 30).await?;
    let (bytes, key) = export(old.path(), Scope::Whole, Content::Sealed)?;
    let before = rows(old.path())?;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(60));
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    runner.run(&change, |(at, byte, how)| {
        let at = at.index(bytes.len());
        let mut other = bytes.clone();
        match how {
            0 => other[at] = byte,
            1 => other.truncate(at),
            _ => other.insert(at, byte),
        }
        let fail = |e: String| TestCaseError::fail(e);
        let new = keyring_only(old.path()).map_err(|e| fail(e.to_string()))?;
        let to = paths(new.path());
        match import(&other[..], &to, "acme", std::slice::from_ref(&key)) {
            Ok(_) => {
                let after = rows(new.path()).map_err(|e| fail(e.to_string()))?;
                // What the leaves do not commit to may differ where a byte was changed: sealed content (which then does
                // not open) and keyed images; `verify ledger` recomputes these. No leaf, node or checkpoint may.
                let core = |rows: &[String]| -> Vec<String> {
                    let of = [
                        "head",
                        "identity",
                        "node",
                        "commitment",
                        "case_entry",
                        "trace_entry",
                    ];
                    rows.iter()
                        .filter(|r| of.iter().any(|t| r.starts_with(t)))
                        .cloned()
                        .collect()
                };
                prop_assert_eq!(core(&before), core(&after));
                prop_assert_eq!(before.len(), after.len());
            }
            Err(_) => prop_assert!(!to.ledger.exists() && !to.guard.exists()),
        }
        Ok(())
    })?;
    Ok(())
}

#[tokio::test]
async fn parts_and_whole_hold_what_they_say() -> Outcome {
    let dir = tempfile::tempdir()?;
    ledger(dir.path(), 600).await?;
    let (whole, _) = export(dir.path(), Scope::Whole, Content::Disclosed)?;
    let (mut leaves, mut shown, mut widths) = (0, 0, Vec::new());
    for part in parts(&whole)? {
        match part {
            Part::Bundle { leaves: l, .. } => leaves += l.len(),
            Part::Content { lines, .. } => {
                shown += lines.iter().filter(|l| l.disclosures.is_some()).count();
            }
            Part::Tile { level, n, hashes } => widths.push((level, n, hashes.len())),
            _ => {}
        }
    }
    assert_eq!((leaves, shown), (605, 601));
    assert_eq!(widths, [(0, 0, 256), (0, 1, 256), (0, 2, 93), (1, 0, 2)]);
    let (range, key) = export(
        dir.path(),
        Scope::Range {
            first: 250,
            last: 260,
        },
        Content::Digests,
    )?;
    // Whoever pinned the key that was replaced checks a part over its bridges.
    let first = ledger_key(dir.path())?;
    assert_ne!(first, key);
    for pinned in [&first, &key] {
        let check = checked(&range, pinned)?;
        assert_eq!(check.problems, []);
    }
    let mut found = Vec::new();
    let head = Reader::open(&range[..])?;
    let head = crate::ledger::checkpoint::Checkpoint::open(head.checkpoint(), ORIGIN, &[key])?;
    for part in parts(&range)? {
        let Part::Entries(lines) = part else { continue };
        for line in lines {
            let leaf = crate::ledger::Leaf::decode(line.leaf.as_bytes())?;
            let path: Option<Vec<_>> = line
                .path
                .iter()
                .map(|h| crate::ledger::Hash::from_b64(h))
                .collect();
            let hash = crate::ledger::Hash::leaf(line.leaf.as_bytes());
            let path = path.unwrap_or_default();
            crate::ledger::proof::verify_inclusion(&hash, leaf.seq, head.size, &path, &head.root)?;
            assert!(line.digests.is_some() && line.disclosures.is_none());
            found.push(leaf.seq);
        }
    }
    assert_eq!(found, (250..=260).collect::<Vec<u64>>());
    assert!(matches!(
        parts(&whole[..whole.len() - 2_000]),
        Err(ArchiveError::Truncated)
    ));
    Ok(())
}

/// The key that entry 0 names.
fn ledger_key(dir: &Path) -> Result<Vkey, Box<dyn std::error::Error>> {
    let keys = crate::sequencer::read_keys(&paths(dir), ORIGIN)?;
    Ok(keys.all(Purpose::Checkpoint).swap_remove(0))
}

fn checked(
    export: &[u8],
    key: &Vkey,
) -> Result<crate::verify::ledger::LedgerCheck, Box<dyn std::error::Error>> {
    let audit = crate::audit::source::SourceAudit {
        keys: vec![key.clone()],
        checkpoints: Vec::new(),
        entries: Vec::new(),
        compromised: Vec::new(),
        threads: 1,
        memory: 1 << 20,
        temporary: std::env::temp_dir(),
        now: None,
    };
    let progress = crate::audit::folder::Progress::default();
    Ok(verify(export, &audit, &progress)?)
}
