//! The table of every booking change, with the verdicts of both rules.

use crate::consent::{Judged, Verdict};
use crate::transcript::CERTIFICATE;
use std::fmt::Write as _;

/// A judged call of a run.
pub struct Row {
    /// The run, as `task/trial`.
    pub run: String,
    /// The call.
    pub judged: Judged,
}

/// What stands above the table in the Markdown file.
const HEAD: &str = "# Consent to every booking change

Written by `cargo run --example airline -- --runs runs.jsonl --out DIR --table-only`. The rules are in
`docs/airline.md`. `run` is task/trial and every number under `call`, `proposal` and `answer` is an index into that
run's `traj`, from 0, so that each row can be looked up in the published transcript. `not listed` names what the
approved proposal lacks.
";

/// The whole Markdown file.
pub fn markdown(rows: &[Row]) -> Result<String, std::fmt::Error> {
    let (certificates, changes): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.judged.tool == CERTIFICATE);
    let mut out = String::from(HEAD);
    write!(out, "\n## Counts\n\n")?;
    summary(&mut out, &changes)?;
    write!(out, "\n## Every booking change\n\n")?;
    table(&mut out, &changes)?;
    write!(
        out,
        "\n## Certificates\n\nNot a change of a booking; judged in the same way, not counted above.\n\n"
    )?;
    table(&mut out, &certificates)?;
    Ok(out)
}

fn summary(out: &mut String, rows: &[&Row]) -> std::fmt::Result {
    let yes = |row: &&&Row| row.judged.literal_yes;
    writeln!(
        out,
        "| verdict of the rule | changes | done | refused by the tool | literal yes | no literal yes |"
    )?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|")?;
    let mut line = |name: &str, of: &[&&Row]| {
        let done = of.iter().filter(|row| row.judged.succeeded).count();
        let said = of.iter().filter(|row| row.judged.literal_yes).count();
        let (all, failed, unsaid) = (
            of.len(),
            of.len().saturating_sub(done),
            of.len().saturating_sub(said),
        );
        writeln!(
            out,
            "| {name} | {all} | {done} | {failed} | {said} | {unsaid} |"
        )
    };
    for verdict in Verdict::ALL {
        line(
            verdict.name(),
            &rows
                .iter()
                .filter(|row| row.judged.verdict == verdict)
                .collect::<Vec<_>>(),
        )?;
    }
    line("all", &rows.iter().collect::<Vec<_>>())?;
    let consented = |row: &&&Row| row.judged.verdict == Verdict::Consented;
    let only_yes = rows
        .iter()
        .filter(yes)
        .filter(|row| !consented(row))
        .count();
    let only_rule = rows
        .iter()
        .filter(consented)
        .filter(|row| !yes(row))
        .count();
    let both = rows.iter().filter(consented).filter(yes).count();
    let agree = rows
        .len()
        .saturating_sub(only_yes)
        .saturating_sub(only_rule);
    writeln!(
        out,
        "\nThe rules agree on {agree} changes ({both} consented, {} not). The literal yes passes {only_yes} that the \
         rule does not, and misses {only_rule} that the rule accepts.",
        agree.saturating_sub(both)
    )
}

fn table(out: &mut String, rows: &[&Row]) -> std::fmt::Result {
    writeln!(
        out,
        "| run | call | tool | outcome | proposal | answer | rule | literal yes | rules agree | not listed |"
    )?;
    writeln!(out, "|---|---:|---|---|---:|---:|---|---|---|---|")?;
    for row in rows {
        let judged = &row.judged;
        let index = |at: Option<usize>| at.map_or_else(|| "–".to_owned(), |at| at.to_string());
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.run,
            judged.at,
            judged.tool,
            outcome(judged),
            index(judged.proposal),
            index(judged.answer),
            judged.verdict.name(),
            if judged.literal_yes { "yes" } else { "no" },
            if agrees(judged) { "" } else { "**no**" },
            lacks(judged),
        )?;
    }
    Ok(())
}

/// The same rows for machines.
pub fn csv(rows: &[Row]) -> Result<String, std::fmt::Error> {
    let mut out = String::from(
        "run,call,tool,outcome,proposal,answer,rule,literal_yes,rules_agree,not_listed\n",
    );
    for Row { run, judged } in rows {
        let index = |at: Option<usize>| at.map_or_else(String::new, |at| at.to_string());
        writeln!(
            out,
            "{run},{},{},{},{},{},{},{},{},\"{}\"",
            judged.at,
            judged.tool,
            outcome(judged),
            index(judged.proposal),
            index(judged.answer),
            judged.verdict.name(),
            judged.literal_yes,
            agrees(judged),
            lacks(judged).replace('"', "\"\""),
        )?;
    }
    Ok(out)
}

fn outcome(judged: &Judged) -> &'static str {
    if judged.succeeded { "ok" } else { "error" }
}

fn agrees(judged: &Judged) -> bool {
    (judged.verdict == Verdict::Consented) == judged.literal_yes
}

/// What the approved proposal lacks; empty under every other verdict.
fn lacks(judged: &Judged) -> String {
    if judged.verdict == Verdict::NotListed {
        judged.missing.join("; ")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tool: &str, verdict: Verdict, literal_yes: bool) -> Row {
        let missing = vec!["flight HAT001".to_owned(), "$5".to_owned()];
        let judged = Judged {
            at: 9,
            tool: tool.to_owned(),
            succeeded: false,
            verdict,
            proposal: Some(6),
            answer: None,
            missing,
            literal_yes,
        };
        Row {
            run: "3/1".to_owned(),
            judged,
        }
    }

    #[test]
    fn counts_and_lists() -> Result<(), std::fmt::Error> {
        let rows = [
            row("cancel_reservation", Verdict::Consented, false),
            row("cancel_reservation", Verdict::NotListed, true),
            row("book_reservation", Verdict::NoProposal, false),
            row(CERTIFICATE, Verdict::Consented, true),
        ];
        let text = markdown(&rows)?;
        assert!(text.contains("| all | 3 | 0 | 3 | 1 | 2 |"), "{text}");
        assert!(
            text.contains("The rules agree on 1 changes (0 consented, 1 not)."),
            "{text}"
        );
        assert!(
            text.contains("passes 1 that the rule does not, and misses 1 that"),
            "{text}"
        );
        assert!(text.contains("| 3/1 | 9 | cancel_reservation | error | 6 | – | not listed | yes | **no** | flight HAT001; $5 |"));
        assert!(
            text.split("## Certificates")
                .nth(1)
                .is_some_and(|end| end.contains("| send_certificate | error |"))
        );
        assert_eq!(csv(&rows)?.lines().count(), 5);
        Ok(())
    }
}
