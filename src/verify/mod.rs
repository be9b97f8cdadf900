//! Verifying receipts and report files: offline, with nothing but pinned keys.
//!
//! Knows judge, event and ledger. There is no store, no key material, no clock and no I/O here, so what checks a report
//! cannot reach anything that could change the answer. Whoever checks pins the ledger's checkpoint key (whose name is
//! the ledger's origin) and never takes it from the party being checked.
//!
//! Verdicts are given apart ([`Verdicts`]); problems have stable codes ([`Code`]).

mod case;
mod content;
mod evidence;
pub mod format;
mod freshness;
mod judgement;
pub mod keys;
mod outcome;
pub mod receipt;
pub mod report;
mod service;
pub mod words;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests;

pub use judgement::{Judge, catalogue};
pub use outcome::{
    Basis, Code, Committed, Content, Freshness, Heading, Integrity, Problem, Process,
    ProcessVerdict, ReceiptCheck, ReportCheck, Sequence, Touches, Verdict, Verdicts,
};
