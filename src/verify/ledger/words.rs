//! The outcome in plain lines, for people. Programs read the JSON of the same types.

use super::outcome::{LedgerCheck, LedgerCode, LedgerProblem};
use crate::verify::words::{line, verdict};

/// The outcome of checking a ledger: the gravest problem first, then the verdicts, then everything else.
#[must_use]
pub fn ledger(check: &LedgerCheck) -> String {
    let mut out = String::new();
    match check.problems.first() {
        None => {
            let what = match check.part {
                Some(_) => "This part of a ledger",
                None => "This ledger",
            };
            let text =
                format!("{what} is accepted: nothing in it is wrong, as far as it was checked.");
            line(&mut out, "result", &text);
        }
        Some(p) => line(&mut out, "refused", &problem(p)),
    }
    if let Some(first) = &check.first_break {
        let seq = first.seq.unwrap_or(0);
        let mut text = match first.code {
            // That a later root or entry differs does not tell where the difference begins.
            LedgerCode::OutsideContradiction | LedgerCode::OutsideEntry | LedgerCode::GuardFork => {
                format!("the record is broken at entry {seq}, or before it")
            }
            _ => format!("the record is broken from entry {seq} on"),
        };
        if let Some(case) = &first.case {
            text.push_str(&format!(", in the case {case}"));
        }
        if let Some(commit) = first.commit {
            text.push_str(&format!(", in the commit that led to {commit} entries"));
        }
        text.push_str(&format!(" [{}]", first.code.as_str()));
        line(&mut out, "first break", &text);
    }
    match &check.good_to {
        Some(good) if check.refused() => {
            let text = format!(
                "the first {} entries are as they were signed, root {}, by the word of {}",
                good.size, good.root, good.by
            );
            line(&mut out, "still good", &text);
        }
        None if check.refused() && check.part.is_none() => {
            line(
                &mut out,
                "still good",
                "nothing that can be relied on: no good checkpoint confirms a part of it, or its own key may have signed two histories",
            );
        }
        _ => {}
    }
    let v = &check.verdicts;
    verdict(&mut out, "integrity", &v.integrity);
    verdict(&mut out, "sequence", &v.sequence);
    verdict(&mut out, "content", &v.content);
    verdict(&mut out, "index", &v.index);
    verdict(&mut out, "freshness", &v.freshness);
    verdict(&mut out, "keys", &v.keys);
    let facts = format!(
        "{}, {} entries, {} of them read; root {}",
        check.ledger, check.size, check.entries, check.root
    );
    line(&mut out, "ledger", &facts);
    for p in check.problems.iter().skip(1) {
        line(&mut out, "also", &problem(p));
    }
    let total: u64 = check.counts.values().sum();
    let listed = check.problems.len() as u64;
    if total > listed {
        let counts: Vec<String> = check
            .counts
            .iter()
            .map(|(code, n)| format!("{} {n}", code.as_str()))
            .collect();
        let text = format!(
            "{} more problems are not listed; in all: {}",
            total - listed,
            counts.join(", ")
        );
        line(&mut out, "more", &text);
    }
    out
}

fn problem(p: &LedgerProblem) -> String {
    format!("{} [{} at {}]", p.explanation, p.code.as_str(), p.place)
}
