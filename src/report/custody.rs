//! The recorded reads of a case: for a report's list, and for whoever asks who read it.

use std::collections::{HashSet, VecDeque};

use serde_json::Value;

use super::ReportError;
use crate::ledger::content::Item;
use crate::ledger::disclosure::Disclosure;
use crate::ledger::{Hash, Id16, Leaf, Timestamp, disclosure};
use crate::reconstruct::open_entry;
use crate::sequencer::Ledger;
use crate::store::StoredEntry;
use crate::verify::custody::{ACCESSES, beneath, concerns, names};
use crate::verify::format::{CustodyEntry, MAX_CUSTODY};

/// Entries that are read at a time.
const AT_A_TIME: usize = 1_000;

/// What a report lists of the reads of its case.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The newest entries that record them, in ledger order.
    pub entries: Vec<CustodyEntry>,
    /// How many more may record some: older ones, and those whose content was erased.
    pub left_out: u64,
}

/// What one entry records of the reads of a case.
#[derive(Debug)]
pub struct RecordedReads {
    /// The ledger's time of the entry.
    pub recorded: Timestamp,
    /// Digests of the entry's members.
    pub digests: Vec<Hash>,
    /// The accesses that concern the case, each with the digest of its disclosure.
    pub accesses: Vec<(Hash, Value)>,
}

/// What an entry records of the reads of a case; `None` when its content was erased.
///
/// # Errors
/// When the ledger fails or the entry is damaged.
pub fn accesses_in(
    ledger: &Ledger,
    entry: &StoredEntry,
    case: &Id16,
) -> Result<Option<RecordedReads>, ReportError> {
    let Some(shown) = ledger.disclosures(entry)? else {
        return Ok(None);
    };
    let (opened, _) = open_entry(entry, &shown)?;
    let of_case = |item: Item<'_>| match item {
        Item::Shown(access) => {
            let named = beneath(access.value).filter_map(|d| opened.opened.elements.get(&d));
            concerns(access.value, named, case)
                .then(|| (access.digest, opened.opened.expand(access.value)))
        }
        Item::Hidden(_) => None,
    };
    let items = opened.opened.items(ACCESSES).into_iter();
    Ok(Some(RecordedReads {
        recorded: opened.leaf.recorded,
        accesses: items.filter_map(of_case).collect(),
        digests: opened.digests,
    }))
}

/// The reads of a case that are on record now.
pub(super) fn list(ledger: &Ledger, case: &Id16) -> Result<Reads, ReportError> {
    let (below, mut from) = (ledger.size(), 0);
    let (mut newest, mut reads) = (VecDeque::new(), Reads::default());
    loop {
        let found = ledger.accesses_of(case, from, below, AT_A_TIME)?;
        let Some(last) = found.last() else { break };
        from = last.seq + 1;
        newest.extend(found);
        while newest.len() > MAX_CUSTODY {
            newest.pop_front();
            reads.left_out += 1;
        }
    }
    for entry in newest {
        match accesses_in(ledger, &entry, case)? {
            Some(found) if !found.accesses.is_empty() => reads.entries.push(CustodyEntry {
                leaf: String::from_utf8(entry.leaf)
                    .map_err(|e| ReportError::Damaged(e.to_string()))?,
                digests: found.digests,
                accesses: found
                    .accesses
                    .into_iter()
                    .map(|(digest, _)| digest)
                    .collect(),
            }),
            Some(_) => {}
            None => reads.left_out += 1,
        }
    }
    Ok(reads)
}

/// The position of a listed entry, and what a reader is shown of it: its member, the listed accesses, and of the cases
/// that these name the report's own.
pub(super) fn disclosures(
    ledger: &Ledger,
    entry: &CustodyEntry,
    case: Option<&Id16>,
    withheld: &HashSet<Hash>,
) -> Result<(u64, Vec<String>), ReportError> {
    let leaf =
        Leaf::decode(entry.leaf.as_bytes()).map_err(|e| ReportError::Damaged(e.to_string()))?;
    let stored = ledger
        .entry(leaf.seq)?
        .ok_or_else(|| ReportError::Damaged(format!("entry {} is absent", leaf.seq)))?;
    if entry.digests.iter().any(|d| withheld.contains(d)) {
        return Ok((leaf.seq, Vec::new()));
    }
    let all = ledger.disclosures(&stored)?.unwrap_or_default();
    let read = all
        .iter()
        .map(|d| disclosure::decode(d))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| ReportError::Damaged(format!("entry {}: {e}", leaf.seq)))?;
    let named: HashSet<Hash> = read
        .iter()
        .filter(|d| entry.accesses.contains(&d.digest))
        .flat_map(|d| beneath(&d.value))
        .collect();
    let is_shown = |d: &Disclosure| {
        let own = || named.contains(&d.digest) && case.is_some_and(|case| names(&d.value, case));
        !withheld.contains(&d.digest)
            && (entry.digests.contains(&d.digest) || entry.accesses.contains(&d.digest) || own())
    };
    let shown = all.iter().zip(&read).filter(|(_, d)| is_shown(d));
    Ok((leaf.seq, shown.map(|(text, _)| text.clone()).collect()))
}
