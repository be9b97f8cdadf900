//! Reads, recorded before they are answered.
//!
//! The writer gathers the reads that wait while a commit is under way into one entry: many readers cost hardly more
//! than one.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::prepare::{Prepared, prepare_told};
use super::writer::{Job, Waiting, Writer};
use super::{AppendError, AppendResult, Ledger};
use crate::ledger::{Id16, Timestamp};
use crate::store::EntryQuery;

/// Event type of the entries that record reads.
pub const RECORD_ACCESSED: &str = "record.accessed";
/// Most cases that one access names; of more it tells how many.
pub const CASES_NAMED: usize = 1_000;
/// Most accesses that one entry records.
const ACCESSES: usize = 256;
/// Most cases that the accesses of one entry name together, unless a single access names more.
const CASES_TOGETHER: usize = 4_096;
/// Stands in the blind index for cases that an access does not name. No pseudonym is written like this.
pub(super) const EVERY_CASE: &str = "*";

/// A read that is to be recorded. It tells who read how much of what, and never what it says.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who reads.
    pub principal: Id16,
    /// In which role, when that is certain.
    pub role: Option<&'static str>,
    /// What is read: the name of a route family (`case.why`).
    pub resource: &'static str,
    /// Pseudonym of the one case that it is about.
    pub case: Option<Id16>,
    /// Pseudonyms of the cases that a list shows entries of.
    pub cases: BTreeSet<Id16>,
    /// Whether entries of any case may be among what is shown, and none is named (an export of everything).
    pub every_case: bool,
    /// The report that is read or issued.
    pub report: Option<Id16>,
    /// Positions of the first and last entry that is shown, where no case says which.
    pub entries: Option<(u64, u64)>,
    /// How many entries are shown.
    pub count: u64,
    /// The ledger's size that the answer speaks of.
    pub as_of: u64,
    /// Whether content is shown.
    pub content: bool,
    /// Why, in the reader's words.
    pub purpose: Option<String>,
    /// When it was read.
    pub time: Timestamp,
}

impl Access {
    /// A read of nothing yet.
    #[must_use]
    pub fn new(principal: Id16, resource: &'static str, time: Timestamp) -> Self {
        Self {
            principal,
            role: None,
            resource,
            case: None,
            cases: BTreeSet::new(),
            every_case: false,
            report: None,
            entries: None,
            count: 0,
            as_of: 0,
            content: false,
            purpose: None,
            time,
        }
    }

    /// As it stands in `/data/accesses`.
    fn to_json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            out.extend(value.map(|v| (name.to_owned(), v)));
        };
        put("principal", Some(json!(self.principal.to_hex())));
        put("role", self.role.map(Value::from));
        put("resource", Some(json!(self.resource)));
        put("case", self.case.map(|c| json!(c.to_hex())));
        let named: Vec<String> = self
            .cases
            .iter()
            .take(CASES_NAMED)
            .map(Id16::to_hex)
            .collect();
        let more = self.cases.len() - named.len();
        put("cases", (!named.is_empty()).then(|| json!(named)));
        put("cases_more", (more > 0).then(|| json!(more)));
        put("every_case", self.every_case.then_some(Value::Bool(true)));
        put("report", self.report.map(|r| json!(r.to_hex())));
        put("entries", self.entries.map(|(a, b)| json!([a, b])));
        put("count", Some(json!(self.count)));
        put("as_of", Some(json!(self.as_of)));
        put("content", Some(json!(self.content)));
        put("purpose", self.purpose.clone().map(Value::from));
        put("time", Some(json!(self.time.to_string())));
        Value::Object(out)
    }
}

/// A read and whoever waits for it to be on record.
pub(super) type WaitingAccess = (Access, oneshot::Sender<AppendResult<u64>>);

impl Ledger {
    /// Records a read; gives the position of the entry once it is durable. Until then nothing may be answered.
    ///
    /// # Errors
    /// See [`AppendError`]: the read is not on record.
    pub async fn record_access(&self, access: Access) -> AppendResult<u64> {
        let (done, recorded) = oneshot::channel();
        self.send(Job::Access(Box::new((access, done))))?;
        recorded.await.map_err(|_| AppendError::Closed)?
    }

    /// The entries that record reads of a case, in ledger order: those from position `from` and below `below`, at most
    /// `limit`. Among them are those that name not all of their cases and so may concern this one.
    ///
    /// # Errors
    /// When storage fails.
    pub fn accesses_of(
        &self,
        case: &Id16,
        from: u64,
        below: u64,
        limit: usize,
    ) -> AppendResult<Vec<crate::store::StoredEntry>> {
        let mut found = Vec::new();
        for name in [&case.to_hex(), EVERY_CASE] {
            let query = EntryQuery {
                lookup: Some(self.keyring.id.blind("access", name)),
                from,
                below,
                limit,
                ..EntryQuery::default()
            };
            found.extend(self.entries(&query)?);
        }
        found.sort_by_key(|e| e.seq);
        found.dedup_by_key(|e| e.seq);
        found.truncate(limit);
        Ok(found)
    }
}

impl Writer {
    /// Makes entries of the reads that wait. Those that cannot be prepared are answered here.
    pub(super) fn gather(&self, waiting: Vec<WaitingAccess>) -> Vec<super::writer::Batch> {
        let mut groups: Vec<Vec<WaitingAccess>> = Vec::new();
        let mut cases = 0;
        for one in waiting {
            cases += one.0.cases.len().min(CASES_NAMED);
            match groups.last_mut() {
                Some(group) if group.len() < ACCESSES && cases <= CASES_TOGETHER => group.push(one),
                _ => {
                    cases = one.0.cases.len().min(CASES_NAMED);
                    groups.push(vec![one]);
                }
            }
        }
        let mut batches = Vec::with_capacity(groups.len());
        for group in groups {
            let list: Vec<Value> = group.iter().map(|(access, _)| access.to_json()).collect();
            let waiting = Waiting::Accesses(group.into_iter().map(|(_, done)| done).collect());
            match self.tell(RECORD_ACCESSED, "/data/accesses", Value::Array(list)) {
                Ok(entry) => batches.push(self.own_batch(entry, waiting)),
                Err(e) => waiting.answer(Err(e)),
            }
        }
        batches
    }

    /// One of the service's own entries, with one member of content.
    pub(super) fn tell(&self, kind: &str, at: &str, value: Value) -> AppendResult<Prepared> {
        prepare_told(&self.keyring, &self.origin, self.service, kind, at, value)
    }
}
