//! Collecting what the ledger holds about a case, a trace or a recommendation, and opening it for the judge.

use std::collections::BTreeSet;

use crate::judge::{self, DatumRef, Subject};
use crate::keyring::OpenContentError;
use crate::ledger::content::{ContentError, Pool};
use crate::ledger::{Hash, Id16, Leaf, disclosure};
use crate::sequencer::{AppendError, Ledger};
use crate::store::{EntryQuery, StoreError, StoredEntry};

/// Most entries that one reconstruction holds.
pub const MAX_ENTRIES: usize = 20_000;

/// A case, as people or auditors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseName {
    /// The case id of the producer's system.
    Id(String),
    /// The case's pseudonym in the ledger.
    Pseudonym(Id16),
}

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A case.
    Case(CaseName),
    /// A trace, by the id that was posted; of this case only, when it spans several.
    Trace(String, Option<CaseName>),
    /// A recommendation, by the id that was posted; of this case only, when several use it.
    Recommendation(String, Option<CaseName>),
}

impl Question {
    /// Whether it names something by an id that is content: then only who may read that content may ask, or guessing
    /// would tell whether somebody has a case.
    #[must_use]
    pub fn names_content(&self) -> bool {
        match self {
            Self::Recommendation(..)
            | Self::Case(CaseName::Id(_))
            | Self::Trace(_, Some(CaseName::Id(_))) => true,
            Self::Trace(id, _) => !is_w3c_trace(id),
            Self::Case(CaseName::Pseudonym(_)) => false,
        }
    }
}

/// Why there is nothing to judge.
#[derive(Debug, thiserror::Error)]
pub enum ReconstructError {
    /// Nothing is recorded under this name.
    #[error("nothing is recorded under this name")]
    NotFound,
    /// It belongs to several cases.
    #[error("it belongs to {} cases; say which with the query parameter `case`", .0.len())]
    SeveralCases(Vec<Id16>),
    /// Too long.
    #[error("the record has more than {MAX_ENTRIES} entries")]
    TooLong,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] AppendError),
    /// What is stored does not belong together.
    #[error("entry {seq}: {error}")]
    Content {
        /// Which entry.
        seq: u64,
        /// What is wrong.
        error: ContentError,
    },
}

impl From<StoreError> for ReconstructError {
    fn from(e: StoreError) -> Self {
        Self::Ledger(e.into())
    }
}

/// All entries of a subject, opened.
#[derive(Debug)]
pub struct Collected {
    /// What the answer is about.
    pub subject: Subject,
    /// The case, when there is one.
    pub case: Option<Id16>,
    /// The entries in ledger order, with everything that the ledger still holds.
    pub entries: Vec<judge::Entry>,
    /// The exact leaf texts, one for each entry.
    pub leaves: Vec<String>,
    /// The disclosures (base64url) of each entry.
    pub disclosures: Vec<Vec<String>>,
}

/// Which cases a reader may look into.
pub trait CaseSight {
    /// Whether the case with this blind image may be seen.
    fn sees(&self, blind: Option<&Id16>) -> bool;
}

/// Finds the pseudonym of a case that the reader may see.
///
/// # Errors
/// [`ReconstructError::NotFound`] when there is none, or none for this reader.
pub fn find_case(
    ledger: &Ledger,
    name: &CaseName,
    sight: &dyn CaseSight,
) -> Result<Id16, ReconstructError> {
    let file = match name {
        CaseName::Id(id) => ledger
            .reader()
            .case_by_blind(&ledger.keyring().id.blind("case", id))?,
        CaseName::Pseudonym(pseudonym) => ledger.reader().case_by_pseudonym(pseudonym)?,
    };
    match (file, name) {
        (Some(file), _) if sight.sees(Some(&file.blind)) => Ok(file.pseudonym),
        // The row that joins case id and pseudonym may be erased; the entries stay under the pseudonym.
        (None, CaseName::Pseudonym(p))
            if sight.sees(None) && ledger.reader().case_tail(p)?.is_some() =>
        {
            Ok(*p)
        }
        _ => Err(ReconstructError::NotFound),
    }
}

/// Collects and opens all entries that a question is about.
///
/// # Errors
/// See [`ReconstructError`].
pub fn collect(
    ledger: &Ledger,
    question: &Question,
    sight: &dyn CaseSight,
) -> Result<Collected, ReconstructError> {
    let below = ledger.size();
    let all = EntryQuery {
        below,
        limit: MAX_ENTRIES + 1,
        ..EntryQuery::default()
    };
    let (found, choice, by) = match question {
        Question::Case(name) => {
            let case = find_case(ledger, name, sight)?;
            let stored = read(
                ledger,
                &EntryQuery {
                    case: Some(case),
                    ..all
                },
            )?;
            return open(ledger, Subject::Case(case.to_hex()), Some(case), stored);
        }
        Question::Trace(id, choice) => {
            let trace = trace_id(ledger, id);
            (
                EntryQuery {
                    trace: Some(trace),
                    ..all.clone()
                },
                choice,
                Subject::Trace(trace.to_hex()),
            )
        }
        Question::Recommendation(id, choice) => {
            let blind = ledger.keyring().id.blind("recommendation", id);
            let unknown = Subject::Recommendation(DatumRef {
                digest: String::new(),
                at: String::new(),
            });
            (
                EntryQuery {
                    lookup: Some(blind),
                    ..all.clone()
                },
                choice,
                unknown,
            )
        }
    };
    let found = read(ledger, &found)?;
    let mut cases = BTreeSet::new();
    for entry in &found {
        cases.extend(decode(entry)?.case.map(|c| c.case));
    }
    if let Some(name) = choice {
        let chosen = find_case(ledger, name, sight)?;
        cases.retain(|c| *c == chosen);
        if cases.is_empty() {
            return Err(ReconstructError::NotFound);
        }
    }
    let mut seen = Vec::new();
    for case in &cases {
        if find_case(ledger, &CaseName::Pseudonym(*case), sight).is_ok() {
            seen.push(*case);
        }
    }
    let collected = match &seen[..] {
        [] if cases.is_empty() && !found.is_empty() && sight.sees(None) => {
            open(ledger, by, None, found)?
        }
        [] => return Err(ReconstructError::NotFound),
        [case] => {
            let stored = read(
                ledger,
                &EntryQuery {
                    case: Some(*case),
                    ..all
                },
            )?;
            open(ledger, by, Some(*case), stored)?
        }
        several => return Err(ReconstructError::SeveralCases(several.to_vec())),
    };
    match question {
        Question::Recommendation(id, _) => name_recommendation(collected, id),
        _ => Ok(collected),
    }
}

/// Whether a trace id stands in leaves as it was posted; any other is content.
#[must_use]
pub fn is_w3c_trace(posted: &str) -> bool {
    Id16::from_hex(posted).is_some_and(|id| id.0 != [0; 16])
}

/// The trace id that stands in leaves for one that was posted.
#[must_use]
pub fn trace_id(ledger: &Ledger, posted: &str) -> Id16 {
    Id16::from_hex(posted)
        .filter(|id| id.0 != [0; 16])
        .unwrap_or_else(|| ledger.keyring().id.trace(posted))
}

/// Names the recommendation by a disclosure that holds its id, so that what is signed holds no content.
fn name_recommendation(mut collected: Collected, id: &str) -> Result<Collected, ReconstructError> {
    let named = collected.entries.iter().find_map(|e| {
        let member = e.opened.members.get("/recommendation_id")?;
        (member.value.as_str() == Some(id)).then_some(member.digest)
    });
    let digest = named.ok_or(ReconstructError::NotFound)?.to_b64url();
    collected.subject = Subject::Recommendation(DatumRef {
        digest,
        at: String::new(),
    });
    Ok(collected)
}

fn read(ledger: &Ledger, query: &EntryQuery) -> Result<Vec<StoredEntry>, ReconstructError> {
    let stored = ledger.entries(query)?;
    if stored.len() > MAX_ENTRIES {
        Err(ReconstructError::TooLong)
    } else {
        Ok(stored)
    }
}

fn decode(entry: &StoredEntry) -> Result<Leaf, ReconstructError> {
    Leaf::decode(&entry.leaf)
        .map_err(|e| StoreError::Damaged(format!("entry {}: {e}", entry.seq)).into())
}

fn open(
    ledger: &Ledger,
    subject: Subject,
    case: Option<Id16>,
    stored: Vec<StoredEntry>,
) -> Result<Collected, ReconstructError> {
    if stored.is_empty() {
        return Err(ReconstructError::NotFound);
    }
    let mut out = Collected {
        subject,
        case,
        entries: Vec::with_capacity(stored.len()),
        leaves: Vec::new(),
        disclosures: Vec::new(),
    };
    for entry in stored {
        let disclosures = ledger.disclosures(&entry)?.unwrap_or_default();
        let (opened, leaf) = open_entry(&entry, &disclosures)?;
        out.entries.push(opened);
        out.leaves.push(leaf);
        out.disclosures.push(disclosures);
    }
    Ok(out)
}

/// Opens one entry with its disclosures; gives the leaf's text as well.
///
/// # Errors
/// When leaf and disclosures do not belong together.
pub fn open_entry(
    entry: &StoredEntry,
    disclosures: &[String],
) -> Result<(judge::Entry, String), ReconstructError> {
    let leaf = decode(entry)?;
    let seq = entry.seq;
    let content = |error| ReconstructError::Content { seq, error };
    // What is sealed is the whole of it: every top-level disclosure is there, or none is.
    let mut digests: Vec<Hash> = Vec::new();
    for d in disclosures {
        let read = disclosure::decode(d).map_err(|e| content(e.into()))?;
        if read.pointer.is_some() {
            digests.push(read.digest);
        }
    }
    let mut pool = Pool::new(disclosures.iter().map(String::as_str)).map_err(content)?;
    let opened = pool
        .open(
            &digests,
            if digests.is_empty() {
                None
            } else {
                leaf.content
            },
        )
        .map_err(content)?;
    pool.finish().map_err(content)?;
    let text = String::from_utf8(entry.leaf.clone())
        .map_err(|_| StoreError::Damaged(format!("the leaf of entry {seq} is not text")))?;
    Ok((
        judge::Entry {
            leaf,
            digests,
            opened,
            absences: Default::default(),
        },
        text,
    ))
}

impl From<OpenContentError> for ReconstructError {
    fn from(e: OpenContentError) -> Self {
        Self::Ledger(e.into())
    }
}
