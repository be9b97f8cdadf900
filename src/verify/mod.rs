//! Verifying receipts and report files: offline, with nothing but pinned keys.
//!
//! Knows judge, event and ledger. There is no store, no key material, no clock and no I/O here, so what checks a report
//! cannot reach anything that could change the answer. Whoever checks pins the ledger's checkpoint key (whose name is
//! the ledger's origin) and never takes it from the party being checked.
//!
//! Verdicts are given apart ([`Verdicts`]); problems have stable codes ([`Code`]).

mod case;
pub mod checkpoints;
mod content;
pub mod custody;
mod evidence;
pub mod format;
mod freshness;
mod judgement;
pub mod keys;
pub mod ledger;
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
    Basis, Code, Committed, Content, Custody, Freshness, Heading, Integrity, Problem, Process,
    ProcessVerdict, ReceiptCheck, ReportCheck, Sequence, Touches, Verdict, Verdicts,
};

use crate::ledger::Timestamp;
use crate::ledger::note::Vkey;
use crate::ledger::policy::Policy;

/// What a verifier trusts, and has from elsewhere than from the party being verified.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust<'a> {
    /// The pinned keys: ledgers' and witnesses'. A policy's keys must be among them.
    pub keys: &'a [Vkey],
    /// How many of the witnesses are needed; without it, any pinned one is enough.
    pub policy: Option<&'a Policy>,
    /// Signed checkpoints from elsewhere.
    pub outside: &'a [String],
    /// What time it is, to state how old a witness's word is.
    pub now: Option<Timestamp>,
    /// Changes of the checkpoint key that the verifier knows of: a key that they replaced signs nothing beyond them.
    pub bridges: Option<&'a format::BridgesFile>,
    /// Keys that somebody else may have held.
    pub compromised: &'a [keys::Compromise],
}
