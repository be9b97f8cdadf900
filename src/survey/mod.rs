//! Findings over many cases: an index derived from the ledger, for samples and counts.
//!
//! The index lies in a file of its own beside the ledger's database. It may be deleted at any time and is made again;
//! nothing in it is the record, and nothing in it is content. Each row leads to the entries that it rests on.

mod index;
mod query;
mod schema;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::judge::{self, Judged, Profile, Severity};
use crate::ledger::{Hash, Id16, Leaf, Timestamp};
use crate::reconstruct::{CaseName, CaseSight, Question, ReconstructError, collect};
use crate::sequencer::{AppendError, Ledger};
use crate::store::{EntryQuery, StoreError};

use index::{Basis, Index};
pub use query::{Codes, Counted, FindingQuery, Place};

/// What the index's rows depend on besides ledger and profile: the program's version, and the index's own form.
const JUDGE: &str = concat!(env!("CARGO_PKG_VERSION"), "/1");
/// Entries that are read at once.
const CHUNK: usize = 500;

/// Why the index cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] ReconstructError),
    /// The index's file failed. It is opened again at the next use, and made anew when it is damaged.
    #[error("the index of findings failed: {0}")]
    Index(String),
}

impl From<StoreError> for SurveyError {
    fn from(e: StoreError) -> Self {
        Self::Ledger(e.into())
    }
}

impl From<diesel::result::Error> for SurveyError {
    fn from(e: diesel::result::Error) -> Self {
        Self::Index(e.to_string())
    }
}

/// How far the index goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Every case is judged with at least its entries below this position.
    pub as_of: u64,
    /// The ledger's size when this was said.
    pub size: u64,
}

impl Progress {
    /// Whether nothing of the ledger is missing.
    #[must_use]
    pub fn is_complete(self) -> bool {
        self.as_of >= self.size
    }
}

/// How much one call may do.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Cases that are judged.
    pub cases: usize,
    /// Entries that are looked at for their cases.
    pub entries: usize,
}

/// A finding of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it stands in the order of all findings.
    pub place: Place,
    /// The case's pseudonym.
    pub case: Id16,
    /// Its code.
    pub code: String,
    /// How grave it is.
    pub severity: Severity,
    /// Positions of the entries that it rests on; none where it rests on what is absent.
    pub entries: Vec<u64>,
    /// When the newest of these entries happened, as claimed; of the case's last entry, when there is none.
    pub occurred: Timestamp,
    /// When the ledger took that entry.
    pub recorded: Timestamp,
    /// The case's verdict on elements.
    pub elements: Judged,
    /// The case's verdict on controls.
    pub controls: Judged,
}

/// A case that could not be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    /// The case's pseudonym.
    pub case: Id16,
    /// Why: `record-too-long` or `record-damaged`.
    pub why: String,
}

/// The findings of one ledger.
#[derive(Debug)]
pub struct Survey {
    path: PathBuf,
    /// Whoever brings the index up to date; others wait.
    updating: Mutex<()>,
    index: Mutex<Option<Index>>,
}

/// The index sees every case; who may see its rows is decided where they are read.
struct Everything;

impl CaseSight for Everything {
    fn sees(&self, _: Option<&Id16>) -> bool {
        true
    }
}

impl Survey {
    /// The index in this file, which is made when it is first needed.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self {
            path,
            updating: Mutex::default(),
            index: Mutex::default(),
        }
    }

    /// Uses the index. A connection that failed is let go of.
    fn with<T>(
        &self,
        run: impl FnOnce(&mut Index) -> Result<T, SurveyError>,
    ) -> Result<T, SurveyError> {
        let mut place: MutexGuard<'_, Option<Index>> =
            self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = match place.take() {
            Some(index) => index,
            None => Index::open(&self.path)?,
        };
        let done = run(&mut index)?;
        *place = Some(index);
        Ok(done)
    }

    /// Judges the cases that have entries which the index does not know yet, within bounds. All of them again, when
    /// profile or judge are others than those of the index.
    ///
    /// # Errors
    /// When ledger or index fail. What was judged before stays.
    pub fn update(
        &self,
        ledger: &Ledger,
        profile: &Profile,
        bounds: Bounds,
    ) -> Result<Progress, SurveyError> {
        let _one_at_a_time = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let size = ledger.size();
        let mut from = self.start(ledger, profile, size)?;
        let (mut judged, mut looked_at) = (0, 0);
        'all: while from < size && looked_at < bounds.entries {
            let query = EntryQuery {
                from,
                below: size,
                limit: CHUNK,
                ..EntryQuery::default()
            };
            let start = from;
            for entry in ledger.entries(&query)? {
                let leaf = Leaf::decode(&entry.leaf)
                    .map_err(|e| StoreError::Damaged(format!("entry {}: {e}", entry.seq)))?;
                if let Some(case) = leaf.case.map(|link| link.case)
                    && self.with(|i| i.judged_up_to(&case))? <= entry.seq
                {
                    if judged == bounds.cases {
                        self.reached(ledger, start, from)?;
                        break 'all;
                    }
                    self.judge(ledger, profile, case)?;
                    judged += 1;
                }
                from = entry.seq + 1;
                looked_at += 1;
            }
            if from == start {
                return Err(StoreError::Damaged(format!("entry {from} is absent")).into());
            }
            self.reached(ledger, start, from)?;
        }
        Ok(Progress { as_of: from, size })
    }

    /// Where to go on: at the first entry, when the index is of another ledger, profile or judge.
    fn start(&self, ledger: &Ledger, profile: &Profile, size: u64) -> Result<u64, SurveyError> {
        let digest = profile.digest();
        let basis = self.with(|i| i.basis())?;
        if let Some(basis) = basis
            && basis.profile == digest
            && basis.judge == JUDGE
            && basis.size <= size
            && basis.tip == tip(ledger, basis.size)?
        {
            return Ok(basis.size);
        }
        self.with(|i| {
            i.restart(&Basis {
                profile: digest,
                judge: JUDGE.to_owned(),
                size: 0,
                tip: Hash::ZERO,
            })
        })?;
        Ok(0)
    }

    fn reached(&self, ledger: &Ledger, start: u64, size: u64) -> Result<(), SurveyError> {
        if size == start {
            return Ok(());
        }
        let tip = tip(ledger, size)?;
        self.with(|i| i.reached(size, &tip))
    }

    fn judge(&self, ledger: &Ledger, profile: &Profile, case: Id16) -> Result<(), SurveyError> {
        // Looked at before the entries are collected: there may be newer ones, which are judged again then.
        let size = ledger.size();
        let question = Question::Case(CaseName::Pseudonym(case));
        let collected = match collect(ledger, &question, &Everything) {
            Ok(collected) => collected,
            Err(e) => {
                let Some(why) = lasting(&e) else {
                    return Err(e.into());
                };
                tracing::error!(component = "survey", case = %case, why, "a case cannot be judged");
                return self.with(|i| i.put_failed(&case, size, why));
            }
        };
        let judgement = judge::judge(&collected.subject, &collected.entries, profile);
        let leaf_at = |seq: u64| collected.entries.iter().find(|e| e.leaf.seq == seq);
        let mut rows = Vec::new();
        for (at, finding) in (0_u64..).zip(judgement.findings) {
            let newest = finding.sentence.entries.iter().max();
            let Some(leaf) = newest
                .and_then(|seq| leaf_at(*seq))
                .or(collected.entries.last())
                .map(|e| &e.leaf)
            else {
                continue;
            };
            rows.push(Row {
                place: Place {
                    newest: leaf.seq,
                    at,
                },
                case,
                code: finding.code,
                severity: finding.severity,
                entries: finding.sentence.entries,
                occurred: leaf.occurred,
                recorded: leaf.recorded,
                elements: judgement.elements,
                controls: judgement.controls,
            });
        }
        let features: Vec<Id16> = collected
            .entries
            .iter()
            .filter_map(|e| e.opened.members.get("/feature")?.value.as_str())
            .map(|feature| feature_image(ledger, feature))
            .collect();
        let verdicts = (judgement.elements, judgement.controls);
        self.with(|i| i.put_case(&case, size, verdicts, &rows, &features))
    }

    /// A page of findings, in the order of the entries that they rest on.
    ///
    /// # Errors
    /// When the index fails.
    pub fn findings(&self, query: &FindingQuery) -> Result<Vec<Row>, SurveyError> {
        self.with(|i| i.findings(query))
    }

    /// How many findings a query has in all, whatever its page.
    ///
    /// # Errors
    /// When the index fails.
    pub fn counts(&self, query: &FindingQuery) -> Result<Counted, SurveyError> {
        self.with(|i| i.counts(query))
    }

    /// Cases that could not be judged, of these cases or of all, at most `limit`.
    ///
    /// # Errors
    /// When the index fails.
    pub fn unjudged(
        &self,
        cases: Option<&[Id16]>,
        limit: usize,
    ) -> Result<Vec<Unjudged>, SurveyError> {
        self.with(|i| i.unjudged(cases, limit))
    }
}

/// The keyed image of a feature's name: names could be content, so that none stands in the index.
#[must_use]
pub fn feature_image(ledger: &Ledger, feature: &str) -> Id16 {
    ledger.keyring().id.blind("feature", feature)
}

/// The leaf hash of the last of so many entries: an index that says another was made of another ledger.
fn tip(ledger: &Ledger, size: u64) -> Result<Hash, StoreError> {
    match size.checked_sub(1) {
        Some(last) => ledger.leaf_hash(last),
        None => Ok(Hash::ZERO),
    }
}

/// The name of a failure that trying again does not mend; the other cases go on without this one.
fn lasting(e: &ReconstructError) -> Option<&'static str> {
    match e {
        ReconstructError::TooLong => Some("record-too-long"),
        ReconstructError::Content { .. }
        | ReconstructError::Ledger(AppendError::Store(StoreError::Damaged(_))) => {
            Some("record-damaged")
        }
        ReconstructError::NotFound
        | ReconstructError::SeveralCases(_)
        | ReconstructError::Ledger(_) => None,
    }
}
