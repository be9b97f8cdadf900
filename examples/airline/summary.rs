//! What the reports say about all runs, in tables.

use crate::consent::Verdict;
use crate::play::{Change, Played, word};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use whereas::judge::Severity;

/// The summary: counts only.
pub fn summary(played: &[Played]) -> Result<String, std::fmt::Error> {
    let mut out = String::from("# What the reports say\n\n");
    let all = played.len();
    let events: usize = played.iter().map(|run| run.events).sum();
    let refused: usize = played.iter().map(|run| run.receipts.len()).sum();
    let verified = played.iter().filter(|run| run.report.is_ok()).count();
    let same = played.iter().filter(|run| run.same_findings).count();
    let changes: Vec<&Change> = changes(played).collect();
    let agree = changes.iter().filter(|change| change.agrees()).count();
    writeln!(
        out,
        "| what | count |\n|---|---:|\n| runs | {all} |\n| events | {events} |"
    )?;
    let receipts = events.saturating_sub(refused);
    writeln!(out, "| receipts verified | {receipts} of {events} |")?;
    writeln!(out, "| reports verified | {verified} of {all} |")?;
    writeln!(
        out,
        "| answers with the findings of the report | {same} of {all} |"
    )?;
    let rows = changes.len();
    writeln!(
        out,
        "| changes and certificates on which report and rule agree | {agree} of {rows} |"
    )?;
    verdicts(&mut out, played)?;
    codes(&mut out, played)?;
    agreement(&mut out, &changes)?;
    Ok(out)
}

fn changes(played: &[Played]) -> impl Iterator<Item = &Change> {
    played.iter().flat_map(|run| &run.changes)
}

fn verdicts(out: &mut String, played: &[Played]) -> std::fmt::Result {
    let mut counts: BTreeMap<(usize, &str, String), usize> = BTreeMap::new();
    for report in played.iter().filter_map(|run| run.report.as_ref().ok()) {
        let verdicts = &report.check.verdicts;
        let said = [
            ("integrity", word(verdicts.integrity.verdict)),
            ("sequence", word(verdicts.sequence.verdict)),
            ("freshness", word(verdicts.freshness.verdict)),
            ("elements", word(verdicts.elements.verdict)),
            ("controls", word(verdicts.controls.verdict)),
        ];
        for (place, (name, verdict)) in said.into_iter().enumerate() {
            *counts.entry((place, name, verdict)).or_default() += 1;
        }
    }
    writeln!(
        out,
        "\n## Verdicts\n\n| verdict | | reports |\n|---|---|---:|"
    )?;
    for ((_, name, verdict), count) in counts {
        writeln!(out, "| {name} | {verdict} | {count} |")?;
    }
    Ok(())
}

fn codes(out: &mut String, played: &[Played]) -> std::fmt::Result {
    let mut counts: BTreeMap<(std::cmp::Reverse<Severity>, &str), (usize, usize)> = BTreeMap::new();
    for report in played.iter().filter_map(|run| run.report.as_ref().ok()) {
        let mut seen = Vec::new();
        for found in &report.findings {
            let key = (std::cmp::Reverse(found.severity), found.code.as_str());
            let (findings, reports) = counts.entry(key).or_default();
            *findings += 1;
            if !seen.contains(&key) {
                seen.push(key);
                *reports += 1;
            }
        }
    }
    writeln!(
        out,
        "\n## Findings\n\n| code | severity | findings | reports |\n|---|---|---:|---:|"
    )?;
    for ((severity, code), (findings, reports)) in counts {
        writeln!(
            out,
            "| `{code}` | {} | {findings} | {reports} |",
            word(severity.0)
        )?;
    }
    Ok(())
}

/// Booking changes by the rule's verdict and the report's finding.
fn agreement(out: &mut String, changes: &[&Change]) -> std::fmt::Result {
    let mut counts: BTreeMap<(Verdict, String), (usize, usize)> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.is_booking()) {
        let (done, refused) = counts.entry((change.verdict, said(change))).or_default();
        *if change.succeeded { done } else { refused } += 1;
    }
    let head = "| verdict of the rule | finding of the report | done | refused by the tool |";
    writeln!(out, "\n## Booking changes\n\n{head}\n|---|---|---:|---:|")?;
    for ((verdict, said), (done, refused)) in counts {
        writeln!(out, "| {} | {said} | {done} | {refused} |", verdict.name())?;
    }
    Ok(())
}

/// The approval findings on a change.
fn said(change: &Change) -> String {
    if change.seq.is_none() {
        return "no entry".to_owned();
    }
    let said = change
        .findings
        .iter()
        .map(|found| format!("`{}`", found.code));
    let mut said: Vec<String> = said.collect();
    said.dedup();
    if said.is_empty() {
        "none".to_owned()
    } else {
        said.join(", ")
    }
}

/// Run by run, and every change.
pub fn details(played: &[Played]) -> Result<String, std::fmt::Error> {
    let mut out = String::from(
        "# Run by run\n\n| run | events | elements | controls | findings |\n|---|---:|---|---|---|\n",
    );
    for run in played {
        let (elements, controls, codes) = match &run.report {
            Ok(report) => {
                let verdicts = &report.check.verdicts;
                let mut codes: Vec<&str> =
                    report.findings.iter().map(|f| f.code.as_str()).collect();
                codes.dedup();
                (
                    word(verdicts.elements.verdict),
                    word(verdicts.controls.verdict),
                    codes.join(", "),
                )
            }
            Err(why) => (
                "not verified".to_owned(),
                "not verified".to_owned(),
                why.replace('\n', " "),
            ),
        };
        writeln!(
            out,
            "| {} | {} | {elements} | {controls} | {codes} |",
            run.run, run.events
        )?;
    }
    writeln!(
        out,
        "\n# Change by change\n\n| run | call | tool | outcome | entry | rule | report | agree |\n|---|---:|---|---|---:|---|---|---|"
    )?;
    for run in played {
        for change in &run.changes {
            let outcome = if change.succeeded { "ok" } else { "error" };
            let seq = change
                .seq
                .map_or_else(|| "–".to_owned(), |seq| format!("#{seq}"));
            let agrees = if change.agrees() { "" } else { "**no**" };
            writeln!(
                out,
                "| {} | {} | {} | {outcome} | {seq} | {} | {} | {agrees} |",
                run.run,
                change.at,
                change.tool,
                change.verdict.name(),
                said(change)
            )?;
        }
    }
    Ok(out)
}
