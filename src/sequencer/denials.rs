//! Refusals of callers that are known: counted, and recorded at most once a minute.
//!
//! Nobody waits for it: a refusal that took as long as a commit would tell that there was something to refuse.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::Ledger;
use super::writer::{Batch, Waiting, Writer};
use crate::ledger::{Id16, Timestamp};

/// Event type of the entries that record refusals.
pub const ACCESS_DENIED: &str = "access.denied";
/// At most one entry in this time.
const EVERY: Duration = Duration::from_secs(60);
/// Most lines that one entry tells apart; what is beyond is counted in one more. A disclosed array has at most 1,000
/// elements.
const APART: usize = 999;

/// A caller that is known was refused, or told that there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// Who asked.
    pub principal: Id16,
    /// What for: the name of a route family.
    pub resource: &'static str,
    /// The status of the answer.
    pub status: u16,
}

/// How often, and when.
#[derive(Debug, Clone, Copy)]
struct Counted {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Counted {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// What was counted since it was last recorded. `None` stands for all that is not told apart.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Option<Denial>, Counted>);

impl Tally {
    fn add(&mut self, denial: Option<Denial>, counted: Counted) {
        let apart = self.0.len() - usize::from(self.0.contains_key(&None));
        let key = denial.filter(|d| self.0.contains_key(&Some(*d)) || apart < APART);
        self.0
            .entry(key)
            .and_modify(|c| c.add(counted))
            .or_insert(counted);
    }

    fn to_json(&self) -> Value {
        let line = |(denial, c): (&Option<Denial>, &Counted)| {
            let mut line = match denial {
                Some(d) => json!({
                    "principal": d.principal.to_hex(), "resource": d.resource, "status": d.status,
                }),
                None => json!({"resource": "others"}),
            };
            line["count"] = json!(c.count);
            line["first"] = json!(c.first.to_string());
            line["last"] = json!(c.last.to_string());
            line
        };
        self.0.iter().map(line).collect()
    }
}

/// Refusals that wait to be recorded.
#[derive(Debug, Clone, Default)]
pub(super) struct Denials(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    tally: Tally,
    /// When it was last recorded, or tried, on the steady clock.
    last: Option<Duration>,
}

impl Denials {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is to be recorded now.
    fn take_due(&self, now: Duration, whatever: bool) -> Option<Tally> {
        let mut book = self.lock();
        let due = book.last.is_none_or(|t| now.saturating_sub(t) >= EVERY);
        if book.tally.0.is_empty() || !(due || whatever) {
            return None;
        }
        book.last = Some(now);
        Some(std::mem::take(&mut book.tally))
    }

    /// Counts on with what could not be recorded.
    pub fn give_back(&self, tally: Tally) {
        let mut book = self.lock();
        for (denial, counted) in tally.0 {
            book.tally.add(denial, counted);
        }
    }
}

impl Ledger {
    /// Counts a refusal. It is recorded within a minute, and when the ledger is closed.
    pub fn note_denial(&self, denial: Denial, time: Timestamp) {
        let counted = Counted {
            count: 1,
            first: time,
            last: time,
        };
        self.denials.lock().tally.add(Some(denial), counted);
    }
}

impl Writer {
    /// The entry that records the refusals, when it is time (or `whatever` the time is).
    pub(super) fn due_denials(&self, whatever: bool) -> Option<Batch> {
        let tally = self.denials.take_due(self.clock.elapsed(), whatever)?;
        let entry = self.tell(ACCESS_DENIED, "/data/denials", tally.to_json());
        let waiting = Waiting::Denials(self.denials.clone(), tally);
        match entry {
            Ok(entry) => Some(self.own_batch(entry, waiting)),
            Err(e) => {
                waiting.answer(Err(e));
                None
            }
        }
    }
}
