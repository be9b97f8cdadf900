//! The recorded reads that a report lists: entries `record.accessed`, proven like those of the payload, of which only
//! the accesses to the report's case are shown.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use super::evidence::Known;
use super::format::{CustodyEntry, Predicate};
use super::outcome::{Code, Log};
use crate::judge::Entry;
use crate::ledger::disclosure::placeholder;
use crate::ledger::{Hash, Id16, Leaf};

/// Event type of an entry that records reads.
pub const RECORD_ACCESSED: &str = "record.accessed";
/// The one member of such an entry.
pub const ACCESSES: &str = "/data/accesses";

/// A recorded read of the report's case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CustodyItem {
    /// Position of the entry that records it.
    pub seq: u64,
    /// The ledger's time of that entry.
    pub recorded: String,
    /// The access as it was recorded, cases that are not shown as placeholders; absent when it is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Value>,
}

/// Whether an access is one to this case: it names it alone, or among `cases` (as `named` has opened them), or it names
/// not all of its cases.
#[must_use]
pub fn concerns<'a>(
    access: &Value,
    mut named: impl Iterator<Item = &'a Value>,
    case: &Id16,
) -> bool {
    access.get("cases_more").is_some()
        || access.get("every_case").is_some()
        || names(access, case)
        || named.any(|one| names(one, case))
}

/// Whether an object's `case` is this one.
#[must_use]
pub fn names(value: &Value, case: &Id16) -> bool {
    value.get("case").and_then(Value::as_str) == Some(&case.to_hex())
}

/// The digests of the elements beneath an access, each a case that it names.
pub fn beneath(access: &Value) -> impl Iterator<Item = Hash> {
    let cases = access.get("cases").and_then(Value::as_array);
    cases.into_iter().flatten().filter_map(placeholder)
}

/// Whether a leaf and its line of the list are of the form of a recorded read.
pub(super) fn form(i: usize, leaf: &Leaf, entry: &CustodyEntry, log: &mut Log) {
    let accesses: HashSet<&Hash> = entry.accesses.iter().collect();
    let good = leaf.kind == RECORD_ACCESSED
        && leaf.case.is_none()
        && leaf.fact.is_none()
        && entry.digests.len() == 1
        && !accesses.is_empty()
        && accesses.len() == entry.accesses.len();
    if !good {
        let text = format!(
            "Entry {} is listed as a recorded read and is not of that form: one of type `{RECORD_ACCESSED}`, without case and fact, with one member, and each listed access once.",
            leaf.seq
        );
        log.add(
            Code::CustodyForm,
            format!("payload:/predicate/custody/{i}"),
            text,
        );
    }
}

/// Whether the list belongs in this report: it is about a case, and every read was recorded before the report was.
pub(super) fn place(
    known: &BTreeMap<u64, Known>,
    predicate: &Predicate,
    issued: u64,
    log: &mut Log,
) {
    if predicate.case.is_none()
        && (!predicate.custody.is_empty() || predicate.custody_left_out.is_some())
    {
        let text = "The report is about no case and yet lists reads of one.";
        log.add(Code::CustodyForm, "payload:/predicate/custody", text);
    }
    let later = known.iter().filter(|(seq, k)| k.custody && **seq >= issued);
    for (seq, _) in later {
        let text = format!(
            "Entry {seq} is listed as a read before this report, and stands after the report's own entry."
        );
        log.add(Code::CustodyForm, format!("entry {seq}"), text);
    }
}

/// Checks what is shown of a recorded read: its one member in its place, no access that is not listed, none that does
/// not concern the case, and of the cases that one names no other. Forgets placeholders that are not listed: they have no
/// state.
pub(super) fn shown(entry: &mut Entry, listed: &CustodyEntry, case: Option<Id16>, log: &mut Log) {
    let seq = entry.leaf.seq;
    let place = format!("entry {seq}");
    let wanted: HashSet<Hash> = listed.accesses.iter().copied().collect();
    entry.opened.hidden_elements.retain(|d| wanted.contains(d));
    let Some((at, member)) = entry.opened.members.iter().next() else {
        return;
    };
    let items = member.value.as_array().map(Vec::as_slice).unwrap_or(&[]);
    let held: HashSet<Hash> = items.iter().filter_map(placeholder).collect();
    if at != ACCESSES || items.is_empty() || held.len() != items.len() || !wanted.is_subset(&held) {
        let text = format!(
            "Entry {seq} does not hold the reads that the report lists of it, at `{ACCESSES}` and one by one."
        );
        log.add(Code::CustodyForm, &place, text);
    }
    let shown = &entry.opened.elements;
    let (accesses, others): (Vec<_>, Vec<_>) = shown.iter().partition(|(d, _)| held.contains(*d));
    let listed: HashSet<Hash> = accesses.iter().flat_map(|(_, a)| beneath(a)).collect();
    let foreign = case.is_none_or(|case| {
        let of_case =
            |access: &Value| concerns(access, beneath(access).filter_map(|d| shown.get(&d)), &case);
        accesses
            .iter()
            .any(|(d, a)| !wanted.contains(*d) || !of_case(a))
            || others
                .iter()
                .any(|(d, one)| !listed.contains(*d) || !names(one, &case))
    });
    if foreign {
        let text = format!(
            "Entry {seq} shows a read that is not one of the report's case: it is nothing that this reader may see."
        );
        log.add(Code::CustodyForeign, &place, text);
    }
}

/// The listed reads, in ledger order.
pub(super) fn items(entries: &[Entry], predicate: &Predicate) -> Vec<CustodyItem> {
    let each = entries.iter().zip(&predicate.custody);
    each.flat_map(|(entry, listed)| {
        listed.accesses.iter().map(|digest| CustodyItem {
            seq: entry.leaf.seq,
            recorded: entry.leaf.recorded.to_string(),
            access: entry
                .opened
                .elements
                .get(digest)
                .map(|a| entry.opened.expand(a)),
        })
    })
    .collect()
}
