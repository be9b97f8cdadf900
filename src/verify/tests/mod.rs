//! The corpus: a small ledger, a report on it, and everything that a forger might try.

mod builder;
mod bytes;
mod custody;
mod forged;
mod keys;
mod receipts;
mod sound;
mod tampered;

use super::{Code, ReportCheck, report};
use builder::{Built, JUDGE};

/// Verifies with the ledger's pinned key.
fn check(built: &Built) -> ReportCheck {
    check_file(&built.text(), built)
}

fn check_file(text: &str, built: &Built) -> ReportCheck {
    report::verify(text.as_bytes(), &built.keys, &[], Some(&JUDGE))
}

fn first(check: &ReportCheck) -> Option<Code> {
    check.problems.first().map(|p| p.code)
}

/// No code without a file in the corpus that is refused for it, and no text twice.
#[test]
fn every_code_is_in_the_corpus() {
    let corpus = [
        include_str!("custody.rs"),
        include_str!("forged.rs"),
        include_str!("keys.rs"),
        include_str!("receipts.rs"),
        include_str!("sound.rs"),
        include_str!("tampered.rs"),
    ]
    .concat();
    for code in Code::ALL {
        assert!(corpus.contains(&format!("Code::{code:?}")), "{code:?}");
    }
    let texts: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|c| c.as_str()).collect();
    assert_eq!(texts.len(), Code::ALL.len());
}
