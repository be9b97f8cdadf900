//! Outcomes in plain lines, for people. Programs read the JSON of the same types.

use std::fmt::Write;

use serde::Serialize;

use super::custody::CustodyItem;
use super::outcome::{Custody, Problem, ProcessVerdict, ReceiptCheck, ReportCheck, Verdict};

/// The outcome of checking a report: the first problem first, then each verdict on its own line.
#[must_use]
pub fn report(check: &ReportCheck) -> String {
    let mut out = String::new();
    head(
        &mut out,
        &check.problems,
        "This report file is accepted: nothing in it is wrong.",
    );
    let v = &check.verdicts;
    verdict(&mut out, "integrity", &v.integrity);
    verdict(&mut out, "sequence", &v.sequence);
    verdict(&mut out, "freshness", &v.freshness);
    process(&mut out, "elements", &v.elements);
    process(&mut out, "controls", &v.controls);
    let c = &check.content;
    let mut facts = format!(
        "{} entries; content: {} shown, {} withheld, {} erased, {} missing",
        check.entries, c.shown, c.withheld, c.erased, c.missing
    );
    if let Some(size) = check.checkpoint_size {
        // Writing to a string cannot fail.
        let _ = write!(facts, "; checkpoint of {size} entries");
    }
    line(&mut out, "record", &facts);
    if let Some(c) = &check.custody {
        line(&mut out, "custody", &custody(c));
    }
    if let Some(h) = &check.report {
        let text = format!(
            "{} of {}, recorded {}, for the role `{}`, made by {}",
            h.report, h.ledger, h.recorded, h.role, h.software
        );
        line(&mut out, "report", &text);
        if let Some(old) = &h.supersedes {
            line(&mut out, "supersedes", old);
        }
    }
    rest(&mut out, &check.problems);
    out
}

fn custody(c: &Custody) -> String {
    let many = |n: u64, one: &'static str, more: &'static str| if n == 1 { one } else { more };
    let mut text = format!(
        "the report lists {} recorded {} of this case, in {} {} before its own",
        c.accesses,
        many(c.accesses, "read", "reads"),
        c.entries,
        many(c.entries, "entry", "entries")
    );
    if c.left_out > 0 {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "; {} more that may record such reads are older or erased, and not listed",
            c.left_out
        );
    }
    text
}

/// The recorded reads of the case, one a line.
#[must_use]
pub fn reads(items: &[CustodyItem]) -> Vec<String> {
    let one = |item: &CustodyItem| {
        let mut out = String::new();
        let mut text = format!("recorded {}", item.recorded);
        match &item.access {
            None => text.push_str("; who read what is not shown here"),
            Some(access) => {
                let word = |name: &str| {
                    let value = access.get(name).filter(|v| !v.is_null());
                    value.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
                };
                let names = [
                    "principal",
                    "role",
                    "resource",
                    "report",
                    "count",
                    "content",
                    "purpose",
                ];
                for name in names {
                    if let Some(value) = word(name) {
                        let _ = write!(text, "; {name} {value}");
                    }
                }
            }
        }
        line(&mut out, &format!("  #{}", item.seq), &text);
        out.trim_end().to_owned()
    };
    items.iter().map(one).collect()
}

/// The outcome of checking a receipt, likewise.
#[must_use]
pub fn receipt(check: &ReceiptCheck) -> String {
    let mut out = String::new();
    head(
        &mut out,
        &check.problems,
        "This receipt is accepted: nothing in it is wrong.",
    );
    verdict(&mut out, "integrity", &check.integrity);
    verdict(&mut out, "freshness", &check.freshness);
    verdict(&mut out, "event", &check.event);
    if let (Some(seq), Some(ledger), Some(recorded), Some(size)) = (
        check.seq,
        &check.ledger,
        &check.recorded,
        check.checkpoint_size,
    ) {
        line(
            &mut out,
            "record",
            &format!("entry {seq} of {ledger}, recorded {recorded}; checkpoint of {size} entries"),
        );
    }
    rest(&mut out, &check.problems);
    out
}

fn head(out: &mut String, problems: &[Problem], good: &str) {
    match problems.first() {
        None => line(out, "result", good),
        Some(p) => line(out, "refused", &problem(p)),
    }
}

fn rest(out: &mut String, problems: &[Problem]) {
    for p in problems.iter().skip(1) {
        line(out, "also", &problem(p));
    }
}

fn problem(p: &Problem) -> String {
    let place = if p.place.is_empty() {
        "the file"
    } else {
        &p.place
    };
    format!("{} [{} at {place}]", p.explanation, p.code.as_str())
}

pub(super) fn verdict<T: Serialize>(out: &mut String, name: &str, v: &Verdict<T>) {
    line(out, name, &format!("{}. {}", word(&v.verdict), v.reason));
}

fn process(out: &mut String, name: &str, v: &ProcessVerdict) {
    line(out, name, &format!("{}. {}", word(&v.verdict), v.reason));
}

/// The verdict's word, as in JSON but with spaces.
fn word<T: Serialize>(verdict: &T) -> String {
    let value = serde_json::to_value(verdict).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}

/// One line: what comes from a file must not start a line, or a terminal sequence, of its own.
pub(super) fn line(out: &mut String, name: &str, text: &str) {
    out.push_str(name);
    out.push_str(": ");
    let is_odd =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    out.extend(text.chars().map(|c| if is_odd(c) { '\u{fffd}' } else { c }));
    out.push('\n');
}
