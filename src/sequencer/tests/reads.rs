//! Reads and refusals on record.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::ledger::content::Pool;

fn access(n: u8) -> Access {
    Access {
        case: Some(Id16([n; 16])),
        count: 1,
        ..Access::new(Id16([7; 16]), "case.why", Timestamp::EPOCH)
    }
}

/// What the entries of a type hold at their one place, with their positions; each is of the form that it must have,
/// and its lookups can be computed again.
fn told(ledger: &Ledger, kind: &str, at: &str) -> Result<Vec<(u64, Value)>, AppendError> {
    let query = EntryQuery {
        kind: Some(kind.into()),
        below: ledger.size(),
        limit: 10_000,
        ..EntryQuery::default()
    };
    let mut all = Vec::new();
    for entry in ledger.entries(&query)? {
        let leaf = decode(&entry)?;
        assert!(leaf.case.is_none() && leaf.trace.is_none() && leaf.fact.is_none());
        assert_eq!(leaf.occurred, leaf.recorded);
        let shown = ledger.disclosures(&entry)?.unwrap_or_default();
        let mut pool = Pool::new(shown.iter().map(String::as_str)).unwrap();
        let decoded = shown.iter().map(|d| disclosure::decode(d).unwrap());
        let top: Vec<Hash> = decoded
            .filter(|d| d.pointer.is_some())
            .map(|d| d.digest)
            .collect();
        assert_eq!(top.len(), 1);
        let opened = pool.open(&top, leaf.content).unwrap();
        let value = opened.expand(&opened.members[at].value);
        for found in lookups(&ledger.keyring().id, kind, [(at, &value)]) {
            let by = EntryQuery {
                kind: None,
                lookup: Some(found),
                ..query.clone()
            };
            let seqs: Vec<u64> = ledger.entries(&by)?.iter().map(|e| e.seq).collect();
            assert!(seqs.contains(&entry.seq), "found again");
        }
        all.push((entry.seq, value));
    }
    Ok(all)
}

fn reads(ledger: &Ledger) -> Result<Vec<(u64, Value)>, AppendError> {
    told(ledger, RECORD_ACCESSED, "/data/accesses")
}

fn denied(ledger: &Ledger) -> Result<u64, AppendError> {
    let all = told(ledger, ACCESS_DENIED, "/data/denials")?;
    let lines = all.iter().flat_map(|(_, v)| v.as_array().unwrap());
    Ok(lines.map(|d| d["count"].as_u64().unwrap()).sum())
}

fn denial(n: u16) -> Denial {
    Denial {
        principal: Id16([7; 16]),
        resource: "case.why",
        status: n,
    }
}

#[tokio::test]
async fn reads_that_wait_for_a_commit_share_the_next_entry() -> Outcome {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let place = Place::new()?;
    let ledger = place.open()?;
    let database = place.paths().database();
    let mut holder = SqliteConnection::establish(database.to_str().ok_or("path")?)?;
    holder.batch_execute("BEGIN IMMEDIATE")?;
    let mut waiting = Vec::new();
    for n in 0..600_usize {
        let ledger = Arc::clone(&ledger);
        let n = u8::try_from(n % 251)?;
        waiting.push(tokio::spawn(async move {
            ledger.record_access(access(n)).await
        }));
        tokio::task::yield_now().await;
    }
    let posting = Arc::clone(&ledger);
    let posted =
        tokio::spawn(async move { posting.append(&[event("1", None, "a")], PRODUCER).await });
    tokio::task::yield_now().await;
    assert_eq!(ledger.size(), 1, "nothing is acknowledged yet");
    holder.batch_execute("ROLLBACK")?;
    let mut told = BTreeSet::new();
    for task in waiting {
        told.insert(task.await??);
    }
    posted.await??;
    let all = reads(&ledger)?;
    let sizes: Vec<usize> = all
        .iter()
        .map(|(_, list)| list.as_array().unwrap().len())
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 600, "each is recorded once");
    assert!(sizes.iter().all(|n| *n <= 256), "{sizes:?}");
    assert!(sizes.len() < 20, "gathered: {sizes:?}");
    let seqs: BTreeSet<u64> = all.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(told, seqs, "whoever waited knows the entry");
    let found = ledger.accesses_of(&Id16([3; 16]), 0, ledger.size(), 1_000)?;
    assert!(!found.is_empty());
    assert!(
        ledger
            .accesses_of(&Id16([255; 16]), 0, ledger.size(), 9)?
            .is_empty()
    );
    check_all(&ledger)?;
    ledger.close().await;
    Ok(())
}

#[tokio::test]
async fn an_access_to_many_cases_names_a_thousand_and_is_found_for_every_one() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    let cases: BTreeSet<Id16> = (0..1_003_u128).map(|n| Id16(n.to_be_bytes())).collect();
    let many = Access {
        case: None,
        cases,
        ..access(0)
    };
    let seq = ledger.record_access(many).await?;
    let list = &reads(&ledger)?[0].1;
    assert_eq!(list[0]["cases"].as_array().unwrap().len(), CASES_NAMED);
    assert_eq!(list[0]["cases_more"], 3);
    assert_eq!(list[0].get("case"), None);
    for n in [0_u128, 999, 1_002, u128::MAX] {
        let found = ledger.accesses_of(&Id16(n.to_be_bytes()), 0, 100, 10)?;
        assert_eq!(found.len(), 1, "{n}: it may be one of those not named");
        assert_eq!(found[0].seq, seq);
    }
    ledger.close().await;
    drop(ledger);
    let again = place.open()?;
    assert_eq!(reads(&again)?.len(), 1, "sealed under a slot that lasts");
    check_all(&again)?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_written_is_not_on_record_and_says_so() -> Outcome {
    let place = Place::new()?;
    let at = Unsound::open(&place)?;
    at.ledger.note_denial(denial(404), Timestamp::EPOCH);
    at.next(Wrong::Begin).await;
    let refused = at.ledger.record_access(access(1)).await;
    assert!(
        matches!(refused, Err(AppendError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(reads(&at.ledger)?.is_empty());
    at.ledger.record_access(access(2)).await?;
    assert_eq!(reads(&at.ledger)?.len(), 1);
    place.clock.wall.store(1_000, Ordering::SeqCst);
    let refused = at.ledger.record_access(access(1)).await;
    assert!(
        matches!(refused, Err(AppendError::ClockBehind { .. })),
        "{refused:?}"
    );
    // What is refused meanwhile is counted on, and recorded once that is possible: here at the end.
    at.ledger.note_denial(denial(403), Timestamp::EPOCH);
    place.clock.wall.store(2_000_000, Ordering::SeqCst);
    at.ledger.close().await;
    assert_eq!(denied(&at.ledger)?, 2);
    let refused = at.ledger.record_access(access(1)).await;
    assert!(matches!(refused, Err(AppendError::Closed)), "{refused:?}");
    check_all(&at.ledger)?;
    Ok(())
}

#[tokio::test]
async fn refusals_without_number_take_bounded_room_and_none_is_forgotten() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    for n in 0..3_000 {
        ledger.note_denial(denial(n), Timestamp::EPOCH);
        ledger.note_denial(denial(n), Timestamp::EPOCH.plus_micros(5));
    }
    ledger.close().await;
    assert_eq!(denied(&ledger)?, 6_000);
    let all = told(&ledger, ACCESS_DENIED, "/data/denials")?;
    assert!(all.len() <= 2, "at most one a minute, and one at the end");
    for (_, list) in all {
        let list = list.as_array().unwrap();
        assert!(list.len() <= 1_000);
        let others = list.iter().filter(|d| d["resource"] == "others");
        assert!(others.count() <= 1);
    }
    check_all(&ledger)?;
    Ok(())
}
