//! Plays 120 real runs of an airline's AI agent through the ledger's HTTP API, as a workflow system would: one case
//! a run. Then asks why, for every run, has a report issued, and verifies it.
//!
//! Before any of that it decides, by a published rule, which booking changes rest on the customer's consent, and
//! writes the table of all of them. `docs/airline.md` states the rule, and what a check of its verdicts by hand found.
//!
//! ```text
//! cargo run --example airline -- --runs runs.jsonl --out out --table-only
//! cargo run --example airline -- --runs runs.jsonl --out out --url http://127.0.0.1:8080 \
//!     --ledger airline --token-file token --key airline.vkey
//! ```

mod api;
mod consent;
mod coverage;
mod events;
mod proposal;
mod table;
mod transcript;
mod words;

use clap::Parser;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What every report is asked for.
const PURPOSE: &str = "Check whether each booking change rests on the customer's consent";

/// Plays real runs of an airline's AI agent through the ledger.
#[derive(Parser)]
#[command(name = "airline")]
struct Arguments {
    /// The runs: one JSON object a line.
    #[arg(long)]
    runs: PathBuf,
    /// Where the tables, the answers and the reports go.
    #[arg(long)]
    out: PathBuf,
    /// Write the table of booking changes and stop: needs no server.
    #[arg(long)]
    table_only: bool,
    /// The server.
    #[arg(long, required_unless_present = "table_only")]
    url: Option<String>,
    /// Name of the ledger.
    #[arg(long, required_unless_present = "table_only")]
    ledger: Option<String>,
    /// File with the token of the workflow system, which may also read and ask for reports.
    #[arg(long, required_unless_present = "table_only")]
    token_file: Option<PathBuf>,
    /// File with the ledger's public key, pinned beforehand.
    #[arg(long, required_unless_present = "table_only")]
    key: Option<PathBuf>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A file cannot be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The runs cannot be read.
    #[error(transparent)]
    Runs(#[from] transcript::TranscriptError),
    /// The ledger cannot be reached, or says no.
    #[error("case {case}: {cause}")]
    Ledger {
        /// The case.
        case: String,
        /// What happened.
        cause: api::ApiError,
    },
    /// Text cannot be formatted.
    #[error(transparent)]
    Format(#[from] std::fmt::Error),
    /// Standard output is gone.
    #[error(transparent)]
    Output(#[from] std::io::Error),
    /// A flag is missing.
    #[error("--{0} is missing")]
    Flag(&'static str),
    /// Not every report could be verified.
    #[error("{0} of the reports could not be verified: see findings.md")]
    Unverified(usize),
}

/// What the verification of a report found.
struct Outcome {
    /// Whether anything was altered.
    integrity: String,
    /// Whether all entries of the case are present.
    sequence: String,
    /// As of when, by whose word outside the operator.
    freshness: String,
}

/// Verifies a report file against the pinned key, as a reader would who has nothing else.
fn verify_report(_report: &[u8], _key: &str) -> Result<Outcome, String> {
    Err("not wired".to_owned())
}

/// What the ledger says about a case.
struct Answer {
    run: String,
    /// Booking changes, and how many of them the rule does not find consented.
    changes: (usize, usize),
    verdicts: String,
    codes: Vec<String>,
    verified: Result<Outcome, String>,
}

fn main() -> std::process::ExitCode {
    match play(&Arguments::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn play(arguments: &Arguments) -> Result<(), Failure> {
    let runs = transcript::read(&read(&arguments.runs)?)?;
    let judged: Vec<consent::Findings> = runs.iter().map(consent::judge).collect();
    let rows: Vec<table::Row> = runs
        .iter()
        .zip(&judged)
        .flat_map(|(run, found)| {
            found.judged.iter().map(|judged| table::Row {
                run: run.name(),
                judged: judged.clone(),
            })
        })
        .collect();
    write(&arguments.out.join("consent.md"), &table::markdown(&rows)?)?;
    write(&arguments.out.join("consent.csv"), &table::csv(&rows)?)?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} runs, {} calls judged: see consent.md",
        runs.len(),
        rows.len()
    )?;
    if arguments.table_only {
        return Ok(());
    }
    let url = arguments.url.as_ref().ok_or(Failure::Flag("url"))?;
    let name = arguments.ledger.as_ref().ok_or(Failure::Flag("ledger"))?;
    let token = read(
        arguments
            .token_file
            .as_ref()
            .ok_or(Failure::Flag("token-file"))?,
    )?;
    let key = read(arguments.key.as_ref().ok_or(Failure::Flag("key"))?)?;
    let ledger = api::Ledger::new(url, name, token.trim());
    let mut answers = Vec::new();
    for (run, found) in runs.iter().zip(&judged) {
        let answer = play_run(&ledger, run, found, &key, &arguments.out)?;
        writeln!(out, "{}: {}", events::case_id(run), answer.verdicts)?;
        answers.push(answer);
    }
    write(&arguments.out.join("findings.md"), &findings(&answers)?)?;
    match answers
        .iter()
        .filter(|answer| answer.verified.is_err())
        .count()
    {
        0 => Ok(()),
        unverified => Err(Failure::Unverified(unverified)),
    }
}

/// Posts a run, asks why, has the report issued, keeps both, and verifies the report.
fn play_run(
    ledger: &api::Ledger,
    run: &transcript::Run,
    found: &consent::Findings,
    key: &str,
    out: &Path,
) -> Result<Answer, Failure> {
    let case = events::case_id(run);
    let failed = |cause| Failure::Ledger {
        case: case.clone(),
        cause,
    };
    for batch in events::batches(run, events::events(run, found)) {
        ledger.post_events(&batch).map_err(failed)?;
    }
    let why = ledger.why(&case).map_err(failed)?;
    write(
        &out.join("why").join(format!("{case}.json")),
        &format!("{why:#}\n"),
    )?;
    let report = ledger.report(&case, PURPOSE).map_err(failed)?;
    write(&out.join("reports").join(format!("{case}.json")), &report)?;
    let changes: Vec<&consent::Judged> = found
        .judged
        .iter()
        .filter(|judged| judged.tool != transcript::CERTIFICATE)
        .collect();
    let open = changes
        .iter()
        .filter(|judged| judged.verdict != consent::Verdict::Consented)
        .count();
    let codes = why
        .get("findings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut codes: Vec<String> = codes
        .filter_map(|finding| finding.get("code")?.as_str())
        .map(str::to_owned)
        .collect();
    codes.sort();
    codes.dedup();
    Ok(Answer {
        run: run.name(),
        changes: (changes.len(), open),
        verdicts: why
            .get("verdicts")
            .map(Value::to_string)
            .unwrap_or_default(),
        codes,
        verified: verify_report(report.as_bytes(), key),
    })
}

/// The table of what the ledger says about each run.
fn findings(answers: &[Answer]) -> Result<String, std::fmt::Error> {
    let mut text = String::from("# What the ledger says about each run\n\n");
    writeln!(
        text,
        "| run | booking changes | not consented (rule) | findings | verdicts | report |"
    )?;
    writeln!(text, "|---|---:|---:|---|---|---|")?;
    for answer in answers {
        let verified = match &answer.verified {
            Ok(found) => format!(
                "integrity {}, sequence {}, freshness {}",
                found.integrity, found.sequence, found.freshness
            ),
            Err(why) => format!("not verified: {why}"),
        };
        let (all, open) = answer.changes;
        let (run, codes, verdicts) = (&answer.run, answer.codes.join(", "), &answer.verdicts);
        writeln!(
            text,
            "| {run} | {all} | {open} | {codes} | `{verdicts}` | {verified} |"
        )?;
    }
    Ok(text)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|cause| Failure::File {
        path: path.to_owned(),
        cause,
    })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|cause| Failure::File {
            path: path.to_owned(),
            cause,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
        assert!(
            Arguments::try_parse_from(["airline", "--runs", "r", "--out", "o", "--table-only"])
                .is_ok()
        );
        assert!(Arguments::try_parse_from(["airline", "--runs", "r", "--out", "o"]).is_err());
    }

    #[test]
    fn lists_findings_and_unverified_reports() -> Result<(), std::fmt::Error> {
        let answer = Answer {
            run: "3/1".to_owned(),
            changes: (2, 1),
            verdicts: "{}".to_owned(),
            codes: vec!["approval.absent".to_owned(), "missing.risk".to_owned()],
            verified: Err("not wired".to_owned()),
        };
        let text = findings(&[answer])?;
        let line =
            "| 3/1 | 2 | 1 | approval.absent, missing.risk | `{}` | not verified: not wired |";
        assert!(text.contains(line), "{text}");
        Ok(())
    }
}
