//! What is as it should be is accepted, and said no more of than it proves.

use super::builder::*;
use super::*;
use crate::judge::Subject;
use crate::ledger::disclosure::{self, Disclosure};
use crate::verify::{Basis, Freshness, Integrity, Process, Sequence, words};
use serde_json::json;

#[test]
fn a_sound_report_is_accepted() {
    let built = Build::default().run();
    let got = check(&built);
    assert_eq!(got.problems, []);
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Intact);
    assert_eq!(got.verdicts.sequence.verdict, Sequence::Complete);
    assert_eq!(got.verdicts.freshness.verdict, Freshness::NotProven);
    assert_eq!(
        (got.verdicts.elements.verdict, got.verdicts.elements.basis),
        (Process::Good, Basis::Recomputed)
    );
    assert_eq!(
        (got.verdicts.controls.verdict, got.verdicts.controls.basis),
        (Process::Bad, Basis::Recomputed)
    );
    assert_eq!((got.entries, got.checkpoint_size), (7, Some(12)));
    assert_eq!(
        (
            got.content.withheld,
            got.content.erased,
            got.content.missing
        ),
        (0, 0, 0)
    );
    let opened = report::open(built.text().as_bytes(), &built.keys, &[], Some(&JUDGE));
    assert_eq!(opened.entries.len(), 7);
    assert!(opened.statement.is_some());
}
