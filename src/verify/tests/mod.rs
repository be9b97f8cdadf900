//! The corpus: a small ledger, a report on it, and everything that a forger might try.

mod builder;
mod bytes;
mod forged;
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
