//! Attacks on a ledger, with every advantage that an operator, an administrator of the database or a thief of keys has.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod dice;
mod downgrades;
mod exports;
mod forger;
mod given;
mod ground;
mod liars;
mod mutation;
mod observers;
mod page;
mod rewriting;
mod rollback;

use std::path::Path;

use dice::Dice;
use forger::{Forger, Outcome, Power};
use ground::Ground;
use mutation::{Coverage, Pristine};
use whereas::audit::AuditError;
use whereas::audit::folder::{self, FolderAudit, Progress};
use whereas::sequencer::{Ledger, LedgerPaths};
use whereas::verify::ledger::LedgerCheck;

/// Checks a folder as an auditor does who has the keyring, the pinned keys of ledger and witness, and nothing else from
/// outside.
fn check(ground: &Ground, data: &Path) -> Result<LedgerCheck, AuditError> {
    let paths = LedgerPaths::below(data, ground::NAME);
    let mut audit = FolderAudit::new(paths, vec![ground.key.clone(), ground::witness_key()]);
    audit.threads = 1;
    audit.memory = 8 << 20;
    folder::verify(&audit, &Progress::default())
}

fn refuses_to_start(data: &Path) -> bool {
    let paths = LedgerPaths::below(data, ground::NAME);
    Ledger::inspect(&paths, ground::ORIGIN).is_err()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().expect("a number"))
}

#[test]
fn the_forgers_hand_is_sure() -> Outcome {
    let ground = ground::ledger(60)?;
    let before = ground::rows(&ground.data())?;
    let forger = Forger::open(&ground.data(), ground::NAME, ground::ORIGIN)?;
    let entries = forger.entries()?;
    forger.rewrite(entries, Power::WithKey)?;
    drop(forger);
    assert_eq!(ground::rows(&ground.data())?, before);
    let check = check(&ground, &ground.data())?;
    assert!(!check.refused(), "{check:#?}");
    ground.open()?;
    Ok(())
}

/// Places in which a change can survive a check of the whole ledger without anything from outside, with the reason
/// (`docs/threats.md` says more).
const SURVIVES: [(&str, &str); 6] = [
    (
        "commitment.*",
        "which sizes were commits stands nowhere else: entries of a commit whose row is gone are proven by the next one",
    ),
    (
        "commitment.note",
        "the newest commit's checkpoint is stored with the next commit, so that it may be absent",
    ),
    (
        "anchor.*",
        "what was put where is a note for the next start: the evidence lies at the anchor, and is read there",
    ),
    (
        "cosignature.*",
        "a cosignature that is gone takes from freshness, and from nothing else; the witness has the checkpoint still",
    ),
    ("anchor.place", "as anchor.*"),
    ("anchor.time", "as anchor.*"),
];

/// Whether a place is one of these.
fn survives(known: &str, place: &str) -> bool {
    known == place
}

#[test]
fn every_change_that_means_something_is_caught_and_named() -> Outcome {
    let seed = number("WHEREAS_SEED", 1);
    let many = number("WHEREAS_MUTATIONS", 1_000);
    eprintln!("WHEREAS_SEED={seed} WHEREAS_MUTATIONS={many}");
    let mut dice = Dice::new(seed);
    let ground = ground::ledger(40)?;
    let data = ground.data();
    let pristine = Pristine::of(&ground)?;
    let files = pristine.files();
    let mut coverage = Coverage::default();
    for _ in 0..many {
        let change = if dice.below(10) < 8 {
            mutation::by_sql(&mut dice, &mutation::database(&data))?
        } else {
            let file = dice.pick(&files).clone();
            mutation::by_bytes(&mut dice, &file)?
        };
        let Some(change) = change else { continue };
        let found = check(&ground, &data);
        let tally = coverage.0.entry(change.place.clone()).or_default();
        tally.changed += 1;
        match found {
            Ok(check) if check.refused() => {
                tally.caught += 1;
                for code in check.counts.keys() {
                    *tally.codes.entry(code.as_str().to_owned()).or_default() += 1;
                }
            }
            Err(e) => {
                tally.caught += 1;
                let text = e.to_string();
                let text: String = text.chars().take(40).collect();
                *tally.codes.entry(format!("“{text}”")).or_default() += 1;
            }
            // What is no part of the record, the service looks at before it starts: keys, guard file.
            Ok(_) if refuses_to_start(&data) => {
                tally.caught += 1;
                *tally
                    .codes
                    .entry("(does not start)".to_owned())
                    .or_default() += 1;
            }
            Ok(_) if pristine.says_the_same(&data) => tally.without_meaning += 1,
            Ok(_) => {
                let differs = pristine.differs(&data);
                tally.survivors.push(format!("{}: {differs}", change.how));
            }
        }
        pristine.restore()?;
    }
    coverage.print();
    let survivors: Vec<String> = coverage
        .0
        .iter()
        .filter(|(place, _)| !SURVIVES.iter().any(|(p, _)| survives(p, place)))
        .flat_map(|(place, t)| t.survivors.iter().map(move |s| format!("{place}: {s}")))
        .collect();
    assert!(
        survivors.is_empty(),
        "{} changes survived:\n{}",
        survivors.len(),
        survivors[..survivors.len().min(30)].join("\n")
    );
    Ok(())
}
