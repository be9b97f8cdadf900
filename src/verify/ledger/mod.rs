//! Verifying a whole ledger: pure, streaming, with memory that does not grow with it.
//!
//! Whoever holds the leaves (a data folder, an export, a log on the web) feeds them in order to a [`Checker`], with the
//! checkpoints at their sizes, sorts the fixed-size [`records`] for what needs another order, and has [`conclude()`] make
//! the verdicts.

mod conclude;
pub mod erasure;
mod keys;
mod outcome;
mod outside;
pub mod part;
pub mod records;
mod stream;
pub mod words;

use super::content;
use super::outcome::Log;
use crate::ledger::Leaf;
use crate::ledger::content::Opened;

/// What is wrong with the form of an entry's opened content; empty when it is such as a ledger of format v1 writes.
#[must_use]
pub fn shapes(leaf: &Leaf, opened: &Opened) -> Vec<String> {
    let mut log = Log::default();
    content::shapes(leaf.seq, leaf.occurred, opened, &mut log);
    log.into_problems()
        .into_iter()
        .map(|p| p.explanation)
        .collect()
}

pub use conclude::{Extent, conclude};
pub use keys::KeyHistory;
pub use outcome::{
    ContentCounts, GoodTo, LedgerCheck, LedgerCode, LedgerContent, LedgerIndex, LedgerKeys,
    LedgerLog, LedgerProblem, LedgerSequence, LedgerVerdicts, MAX_PROBLEMS, Part, PartRead, Word,
};
pub use outside::{OutsideCheckpoint, OutsideEntry};
pub use part::{PartChecker, PartScope};
pub use stream::{Begin, Checker, Covered, Pins, Read, Sink, Stored, Streamed, read};

#[cfg(test)]
mod tests;
