//! What the auditor kept, against a ledger that was rewritten or cut off.

use super::*;
use crate::ledger::Hash;
use crate::verify::Freshness;
use crate::verify::ledger::{OutsideCheckpoint, OutsideEntry};

fn kept(note: &str) -> OutsideCheckpoint {
    OutsideCheckpoint {
        note: note.to_owned(),
        name: "the checkpoint kept.txt".to_owned(),
        independent: true,
    }
}

fn note(made: &Made, size: u64) -> Result<String, Box<dyn Error>> {
    let db = rusqlite::Connection::open(made.paths.database())?;
    let note = db.query_row(
        "SELECT note FROM commitment WHERE size = ?1",
        [i64::try_from(size)?],
        |r| r.get(0),
    )?;
    Ok(note)
}

#[tokio::test]
async fn a_kept_checkpoint_of_this_history_anchors_and_one_of_another_contradicts() -> Outcome {
    let (made, other) = (Made::new().await?, Made::new().await?);
    let mut audit = made.audit();
    audit.checkpoints = vec![kept(&note(&made, 5)?)];
    let check = verify(&audit, &Progress::default())?;
    assert_eq!(check.problems, []);
    assert_eq!(check.verdicts.freshness.verdict, Freshness::Anchored);
    assert_eq!(check.word.map(|w| w.size), Some(5));

    // Of another history under the same name, but signed by a key that is not this ledger's: no evidence.
    audit.checkpoints = vec![kept(&note(&other, 5)?)];
    let check = verify(&audit, &Progress::default())?;
    assert_eq!(codes(&check), ["outside.unusable"]);

    // With both keys pinned it is: whoever signs two histories is caught.
    audit.keys.push(other.key.clone());
    let check = verify(&audit, &Progress::default())?;
    assert_eq!(codes(&check), ["outside.contradiction"]);
    assert_eq!(check.verdicts.freshness.verdict, Freshness::Contradicted);
    assert_eq!(check.problems.first().and_then(|p| p.seq), Some(4));
    assert!(
        check
            .problems
            .iter()
            .any(|p| p.explanation.contains("kept.txt"))
    );
    Ok(())
}

#[tokio::test]
async fn a_ledger_that_was_cut_off_is_shorter_than_what_was_kept() -> Outcome {
    let made = Made::new().await?;
    let (whole, entry) = (note(&made, 16)?, {
        let db = rusqlite::Connection::open(made.paths.database())?;
        let leaf: Vec<u8> =
            db.query_row("SELECT leaf FROM entry WHERE seq = 13", [], |r| r.get(0))?;
        Hash::leaf(&leaf)
    });
    made.sql("DELETE FROM entry WHERE seq >= 12; DELETE FROM commitment WHERE size > 12; DELETE FROM node WHERE position >= 22; \
              DELETE FROM identity WHERE seq >= 12; DELETE FROM case_entry WHERE seq >= 12; DELETE FROM type_entry WHERE seq >= 12; \
              DELETE FROM type_name WHERE name = 'report.issued'; DELETE FROM report; \
              UPDATE head SET size = 12, root = (SELECT root FROM commitment WHERE size = 12)")?;
    let mut audit = made.audit();
    audit.guard = false;
    let check = verify(&audit, &Progress::default())?;
    assert_eq!(
        check.problems,
        [],
        "by itself it is sound: nothing in it tells of the rest"
    );
    audit.checkpoints = vec![kept(&whole)];
    audit.entries = vec![OutsideEntry {
        seq: 13,
        hash: entry,
        name: "the receipt r".to_owned(),
    }];
    let check = verify(&audit, &Progress::default())?;
    assert_eq!(codes(&check), ["outside.truncated"]);
    assert_eq!(check.problems.len(), 2);
    assert_eq!(check.good_to.map(|g| g.size), Some(12));
    Ok(())
}

#[tokio::test]
async fn an_entry_that_a_receipt_proves_must_be_the_one_that_stands_there() -> Outcome {
    let made = Made::new().await?;
    let mut audit = made.audit();
    audit.entries = vec![OutsideEntry {
        seq: 6,
        hash: Hash::leaf(b"another"),
        name: "the receipt r".to_owned(),
    }];
    let check = verify(&audit, &Progress::default())?;
    assert_eq!(codes(&check), ["outside.entry"]);
    assert_eq!(check.first_break.and_then(|p| p.seq), Some(6));
    Ok(())
}

#[tokio::test]
async fn a_guard_that_is_gone_or_foreign_is_named() -> Outcome {
    let (made, other) = (Made::new().await?, Made::new().await?);
    std::fs::copy(&other.paths.guard, &made.paths.guard)?;
    let found = codes(&made.check()?);
    assert_eq!(
        found,
        ["guard.unusable"],
        "signed by a key that this ledger does not name"
    );
    std::fs::remove_file(&made.paths.guard)?;
    assert_eq!(codes(&made.check()?), ["guard.unusable"]);
    let audit = FolderAudit {
        guard: false,
        ..made.audit()
    };
    assert_eq!(verify(&audit, &Progress::default())?.problems, []);
    Ok(())
}

#[tokio::test]
async fn a_ledger_is_nothing_without_the_pinned_key() -> Outcome {
    let (made, other) = (Made::new().await?, Made::new().await?);
    let audit = FolderAudit {
        keys: vec![other.key.clone()],
        ..made.audit()
    };
    let check = verify(&audit, &Progress::default())?;
    assert!(codes(&check).contains(&"key.pin"), "{:?}", codes(&check));
    assert_eq!(check.good_to, None);
    Ok(())
}
