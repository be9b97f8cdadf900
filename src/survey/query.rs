//! What is asked of the index.

use std::collections::BTreeMap;

use crate::judge::Severity;
use crate::ledger::{Id16, Timestamp};

/// Where a finding stands in the order of all: by the newest entry that it rests on (an entry belongs to one case at
/// most), then in the order of its case's findings, gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Position of that entry.
    pub newest: u64,
    /// Place among the findings of the case.
    pub at: u64,
}

/// Which codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codes {
    /// This one.
    Is(String),
    /// Those that begin so.
    Begin(String),
}

/// Which findings; all given conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct FindingQuery {
    /// With one of these codes; any when empty.
    pub codes: Vec<Codes>,
    /// Of one of these severities; any when empty.
    pub severities: Vec<Severity>,
    /// Of a case with this feature, by its keyed image.
    pub feature: Option<Id16>,
    /// Of these cases; of any when `None`, of none when empty.
    pub cases: Option<Vec<Id16>>,
    /// Recorded at or after.
    pub recorded_from: Option<Timestamp>,
    /// Recorded before.
    pub recorded_to: Option<Timestamp>,
    /// Claimed to have happened at or after.
    pub occurred_from: Option<Timestamp>,
    /// Claimed to have happened before.
    pub occurred_to: Option<Timestamp>,
    /// Behind this place.
    pub after: Option<Place>,
    /// At most so many.
    pub limit: usize,
}

/// How many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Cases that have any.
    pub cases: u64,
    /// By code and severity.
    pub findings: BTreeMap<(String, Severity), u64>,
}
