//! The chain of the case: whole from its first entry to the report's own.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::Known;
use super::format::Predicate;
use super::outcome::{Code, Log};
use crate::json::canonical;
use crate::judge::{Entry, Subject};
use crate::ledger::{Hash, Id16};

/// Checks that the payload carries all entries of its case, in one chain, and that the report's own entry continues it.
pub fn chain(known: &BTreeMap<u64, Known>, predicate: &Predicate, issued: u64, log: &mut Log) {
    let Some(case) = predicate.case else {
        for (seq, k) in known
            .iter()
            .filter(|(seq, k)| (k.payload || **seq == issued) && k.leaf.case.is_some())
        {
            foreign(*seq, k, "the report is about no case", log);
        }
        return;
    };
    let traces: BTreeSet<Id16> = of_case(known, case)
        .filter_map(|(_, k)| k.leaf.trace)
        .collect();
    for (seq, k) in known.iter().filter(|(_, k)| k.payload) {
        match &k.leaf.case {
            Some(link) if link.case == case => {}
            Some(_) => foreign(*seq, k, "the report is about another case", log),
            None if k.leaf.trace.is_some_and(|t| traces.contains(&t)) => {}
            None => foreign(
                *seq,
                k,
                "it belongs neither to the report's case nor to a trace of it",
                log,
            ),
        }
    }
    if let Some((next, last)) = positions(known, case, log) {
        own_entry(known, case, issued, next, last, log);
        later(known, case, next, log);
    }
}

fn of_case(known: &BTreeMap<u64, Known>, case: Id16) -> impl Iterator<Item = (&u64, &Known)> {
    known
        .iter()
        .filter(move |(_, k)| k.payload && k.leaf.case.is_some_and(|link| link.case == case))
}

fn foreign(seq: u64, k: &Known, why: &str, log: &mut Log) {
    let text = format!(
        "Entry {seq} (`{}`) does not belong in this report: {why}. What the report tells about the case may rest on something else.",
        k.leaf.kind
    );
    log.add(Code::CaseForeign, format!("entry {seq}"), text);
}

/// Walks the case's entries; gives the next position and the last hash, or nothing after the first break.
fn positions(known: &BTreeMap<u64, Known>, case: Id16, log: &mut Log) -> Option<(u64, Hash)> {
    let (mut next, mut last) = (0, Hash::ZERO);
    for (seq, k) in of_case(known, case) {
        let Some(link) = &k.leaf.case else { continue };
        let place = format!("entry {seq}");
        if link.seq > next {
            let text = format!(
                "Position {next} of the case is not in the report: entry {seq} is at position {}. What was left out is not known.",
                link.seq
            );
            log.add(Code::CaseGap, place, text);
            return None;
        }
        if link.seq < next {
            let text = format!(
                "Entry {seq} claims position {} of the case, which another entry has. The ledger holds two histories of this case.",
                link.seq
            );
            log.add(Code::CaseDoubled, place, text);
            return None;
        }
        if link.prev != last {
            let text = format!(
                "Entry {seq} does not link to the entry before it in the case: the two are not of one history."
            );
            log.add(Code::CasePrev, place, text);
            return None;
        }
        (next, last) = (next + 1, k.hash);
    }
    Some((next, last))
}

fn own_entry(
    known: &BTreeMap<u64, Known>,
    case: Id16,
    issued: u64,
    next: u64,
    last: Hash,
    log: &mut Log,
) {
    let Some(own) = known.get(&issued) else {
        return;
    };
    let follows = own
        .leaf
        .case
        .is_some_and(|l| l.case == case && l.seq == next && l.prev == last);
    if !follows {
        let text = format!(
            "The report's own entry ({issued}) does not follow directly on the last of the {next} entries of the case that the report carries: \
             entries of the case may be left out at the end."
        );
        log.add(Code::CaseIssued, format!("entry {issued}"), text);
    }
}

/// Other proven entries of the case can only come after the report.
fn later(known: &BTreeMap<u64, Known>, case: Id16, next: u64, log: &mut Log) {
    let others = known.iter().filter(|(_, k)| !k.payload);
    let doubled = others.filter_map(|(seq, k)| {
        k.leaf
            .case
            .filter(|l| l.case == case && l.seq < next)
            .map(|l| (seq, l))
    });
    for (seq, link) in doubled {
        let text = format!(
            "Entry {seq} claims position {} of the case, which another entry has. The ledger holds two histories of this case.",
            link.seq
        );
        log.add(Code::CaseDoubled, format!("entry {seq}"), text);
    }
}

/// Whether subject, case and window say the same as the entries.
pub fn heading(known: &BTreeMap<u64, Known>, predicate: &Predicate, log: &mut Log) {
    let mut wrong = |what: &str, text: String| {
        log.add(
            Code::PayloadSubject,
            format!("payload:/predicate/{what}"),
            text,
        )
    };
    let payload = || known.iter().filter(|(_, k)| k.payload).map(|(seq, _)| *seq);
    let window = (payload().next(), payload().next_back());
    if window != (Some(predicate.window.first), Some(predicate.window.last)) {
        wrong(
            "window",
            "The report states another window than that of its entries.".into(),
        );
    }
    match &predicate.subject {
        Subject::Case(case) if predicate.case.map(|c| c.to_hex()).as_ref() != Some(case) => {
            wrong(
                "subject",
                "The report is asked about one case and tells of another.".into(),
            );
        }
        Subject::Trace(trace) => {
            let id = Id16::from_hex(trace);
            if id.is_none() || !known.values().any(|k| k.payload && k.leaf.trace == id) {
                wrong(
                    "subject",
                    "The report is asked about a trace that none of its entries belongs to.".into(),
                );
            }
        }
        _ => {}
    }
    if let Some(case) = predicate.case
        && of_case(known, case).next().is_none()
    {
        wrong(
            "case",
            "The report names a case that none of its entries belongs to.".into(),
        );
    }
}

/// Whether all shown case ids are one.
pub fn ids(entries: &[Entry], case: Option<Id16>, log: &mut Log) {
    let mut first: Option<(u64, String)> = None;
    for entry in entries
        .iter()
        .filter(|e| e.leaf.case.map(|l| l.case) == case)
    {
        let Some(member) = entry.opened.members.get("/case_id") else {
            continue;
        };
        let value = canonical(&member.value);
        match &first {
            Some((seq, other)) if *other != value => {
                let text = format!(
                    "Entries {seq} and {} show different case ids under one pseudonym: entries of different cases are told as one.",
                    entry.leaf.seq
                );
                log.add(Code::CaseIds, format!("entry {}", entry.leaf.seq), text);
                return;
            }
            Some(_) => {}
            None => first = Some((entry.leaf.seq, value)),
        }
    }
}
