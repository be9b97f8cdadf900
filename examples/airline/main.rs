//! Plays 120 real runs of an airline's AI agent through the ledger's HTTP API, as a workflow system would: one case
//! a run, one request a message. Then asks why, for every run, has a report issued, verifies it offline, and compares
//! what it says of every booking change with a published rule.
//!
//! The rule decides which booking changes rest on the customer's consent. `docs/airline.md` states it, and what a check
//! of its verdicts and of the reports by hand found.
//!
//! ```text
//! cargo run --release --example airline -- --runs runs.jsonl               # a new ledger, served and played
//! cargo run --release --example airline -- --runs runs.jsonl --out out --table-only    # only the table of the rule
//! cargo run --release --example airline -- --runs runs.jsonl --url http://127.0.0.1:8080 --ledger airline \
//!     --token-file token --key airline.vkey                                # a service that runs already
//! ```

mod api;
mod consent;
mod coverage;
mod events;
mod play;
mod proposal;
mod service;
mod summary;
mod table;
mod transcript;
mod words;

use clap::Parser;
use play::{Played, Service};
use serde_json::json;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use whereas::judge::Profile;
use whereas::ledger::note::Vkey;

/// What the records are judged against.
const PROFILE: &[u8] = include_bytes!("profile.json");

/// Plays real runs of an airline's AI agent through the ledger.
#[derive(Parser)]
#[command(name = "airline")]
struct Arguments {
    /// The runs: one JSON object a line.
    #[arg(long)]
    runs: PathBuf,
    /// Where the tables, answers and reports go, and the new ledger [default: airline, with a number when that is taken]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write the table of booking changes and stop: needs no service.
    #[arg(long)]
    table_only: bool,
    /// A service that runs already, with the profile of this example; without it, a new ledger is made and served.
    #[arg(long, requires_all = ["token_file", "ledger", "key"])]
    url: Option<String>,
    /// Name of the ledger there.
    #[arg(long, requires = "url")]
    ledger: Option<String>,
    /// File with a token that may post, read, and ask for reports there.
    #[arg(long, requires = "url")]
    token_file: Option<PathBuf>,
    /// File with the ledger's public key, pinned beforehand.
    #[arg(long, requires = "url")]
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
    /// The new service does not start.
    #[error(transparent)]
    Service(#[from] service::ServiceError),
    /// The service cannot be reached, or says no.
    #[error("{what}: {cause}")]
    Ledger {
        /// What was to be done.
        what: String,
        /// What happened.
        cause: api::ApiError,
    },
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] whereas::judge::ProfileError),
    /// The key cannot be used.
    #[error("the key: {0}")]
    Key(String),
    /// Text cannot be formatted.
    #[error(transparent)]
    Format(#[from] std::fmt::Error),
    /// Standard output is gone.
    #[error(transparent)]
    Output(#[from] std::io::Error),
    /// Something is not as it must be.
    #[error("{0} of the runs are not as they must be: see the tables")]
    Bad(usize),
}

fn main() -> std::process::ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runs = transcript::read(&read(&arguments.runs)?)?;
    let judged: Vec<consent::Findings> = runs.iter().map(consent::judge).collect();
    let out = arguments.out.clone().unwrap_or_else(free_folder);
    write_table(&runs, &judged, &out)?;
    if arguments.table_only {
        return Ok(());
    }
    let cases: Vec<_> = runs.into_iter().zip(judged).collect();
    let played = match (
        &arguments.url,
        &arguments.ledger,
        &arguments.token_file,
        &arguments.key,
    ) {
        (Some(url), Some(ledger), Some(token), Some(key)) => {
            let (token, key) = (read(token)?, read(key)?);
            let service = Service {
                workflow: api::Client::new(url, token.trim()),
                investigator: api::Client::new(url, token.trim()),
                ledger: ledger.clone(),
                key: Vkey::parse(key.trim()).map_err(|error| Failure::Key(error.to_string()))?,
            };
            play_all(&service, &cases, &out)?
        }
        _ => {
            let (folder, results) = (out.join("service"), out.clone());
            let profile = Profile::parse(PROFILE)?;
            service::with(&folder, profile, move |running| {
                play_all(&principals(running)?, &cases, &results)
            })??
        }
    };
    let (summary, details) = (summary::summary(&played)?, summary::details(&played)?);
    write(&out.join("summary.md"), &summary)?;
    write(&out.join("details.md"), &details)?;
    let mut stdout = std::io::stdout();
    writeln!(
        stdout,
        "{summary}\nReports, answers and tables are in {}.",
        out.display()
    )?;
    match played.iter().filter(|run| !run.is_good()).count() {
        0 => Ok(()),
        bad => Err(Failure::Bad(bad)),
    }
}

/// Writes the table of the rule's verdicts.
fn write_table(
    runs: &[transcript::Run],
    judged: &[consent::Findings],
    out: &Path,
) -> Result<(), Failure> {
    let row = |run: &transcript::Run, judged: &consent::Judged| table::Row {
        run: run.name(),
        judged: judged.clone(),
    };
    let rows: Vec<table::Row> = runs
        .iter()
        .zip(judged)
        .flat_map(|(run, found)| found.judged.iter().map(move |judged| row(run, judged)))
        .collect();
    write(&out.join("consent.md"), &table::markdown(&rows)?)?;
    write(&out.join("consent.csv"), &table::csv(&rows)?)?;
    let (runs, calls) = (runs.len(), rows.len());
    writeln!(
        std::io::stdout(),
        "{runs} runs, {calls} calls judged by the rule"
    )?;
    Ok(())
}

/// The workflow system and the investigator of a new service.
fn principals(running: service::Running) -> Result<Service, Failure> {
    let administrator = api::Client::new(&running.url, &running.administrator);
    let ledger = service::LEDGER;
    let client = |name: &str, grant| match administrator.principal(name, &grant) {
        Ok(token) => Ok(api::Client::new(&running.url, &token)),
        Err(cause) => Err(Failure::Ledger {
            what: name.to_owned(),
            cause,
        }),
    };
    let posts = json!({"role": "producer", "ledgers": [ledger], "sources": [events::SOURCE]});
    let reads = json!({"role": "investigator", "ledgers": [ledger], "all_cases": true});
    Ok(Service {
        workflow: client("Airline workflow", posts)?,
        investigator: client("Investigator", reads)?,
        ledger: ledger.to_owned(),
        key: running.key,
    })
}

/// Plays all runs, and keeps answers and reports.
fn play_all(
    service: &Service,
    cases: &[(transcript::Run, consent::Findings)],
    out: &Path,
) -> Result<Vec<Played>, Failure> {
    write(&out.join("ledger.vkey"), &format!("{}\n", service.key))?;
    let mut all = Vec::new();
    for (run, found) in cases {
        let case = events::case_id(run);
        let played = service.play(run, found).map_err(|cause| Failure::Ledger {
            what: case.clone(),
            cause,
        })?;
        write(
            &out.join("why").join(format!("{case}.json")),
            &format!("{:#}\n", played.why),
        )?;
        let reports = out.join("reports");
        write(&reports.join(format!("{case}.json")), &played.file)?;
        let text = played
            .report
            .as_ref()
            .map_or_else(|why| why, |report| &report.text);
        write(&reports.join(format!("{case}.txt")), text)?;
        for problem in &played.receipts {
            writeln!(std::io::stderr(), "{case}: {problem}")?;
        }
        all.push(played);
    }
    Ok(all)
}

fn free_folder() -> PathBuf {
    let numbered = (2..).map(|number| PathBuf::from(format!("airline-{number}")));
    let mut folders = std::iter::once(PathBuf::from("airline")).chain(numbered);
    folders.find(|folder| !folder.exists()).unwrap_or_default()
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
        let parses = |line: &str| Arguments::try_parse_from(line.split(' ')).is_ok();
        assert!(parses("airline --runs r"));
        assert!(parses("airline --runs r --out o --table-only"));
        assert!(parses(
            "airline --runs r --url u --ledger l --token-file t --key k"
        ));
        assert!(!parses("airline --runs r --url u --ledger l"));
        assert!(!parses("airline --runs r --key k"));
    }

    #[test]
    fn the_profile_wants_consent_whatever_the_risk() -> Result<(), String> {
        use whereas::event::vocabulary::RiskLevel::{Critical, High, Low, Medium};
        let profile = Profile::parse(PROFILE).map_err(|error| error.to_string())?;
        for level in [Low, Medium, High, Critical] {
            let rule = profile.rule_for(Some(events::FEATURE), level);
            let rule = rule
                .and_then(|index| profile.rules.get(index))
                .ok_or("no rule")?;
            assert!(rule.approval_required && !rule.separation_of_duties);
        }
        Ok(())
    }
}
