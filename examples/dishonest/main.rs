//! What a dishonest operator might do about a run whose approval is missing, and what everybody else sees then.
//!
//! Takes the ledger that the airline example made, picks a run in which the agent changed a booking that nobody had
//! approved, and does twelve things to copies of it. After each, the copy is checked as an auditor checks it: first with
//! the pinned key alone, then with what parties outside have kept: the receipt that the workflow system got for the
//! action, the report that the regulator got, a checkpoint.
//!
//! ```text
//! cargo run --release --example airline -- --runs runs.jsonl --out out
//! cargo run --release --example dishonest -- --service out/service --ledger airline --key out/ledger.vkey \
//!     --case airline-run-28-0 --report out/reports/airline-run-28-0.json
//! ```

#[path = "../../tests/attacks/forger.rs"]
#[expect(dead_code, reason = "the attacks of the tests use all of it")]
mod forger;

mod deeds;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use deeds::{ALL, Run};
use forger::{Forger, Outcome, copy};
use serde_json::json;
use whereas::audit::folder::{self, FolderAudit, Progress};
use whereas::event::{Context, Event};
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::note::Vkey;
use whereas::ledger::receipt::Receipt;
use whereas::ledger::{Hash, Id16};
use whereas::sequencer::{Ledger, LedgerPaths, Limits, SystemClock};
use whereas::store::EntryQuery;
use whereas::verify::ledger::{OutsideCheckpoint, OutsideEntry, words};

/// Tampers with copies of a ledger, and shows what a check says.
#[derive(Parser)]
#[command(name = "dishonest")]
struct Arguments {
    /// Data folder of the service.
    #[arg(long)]
    service: PathBuf,
    /// Name of the ledger.
    #[arg(long)]
    ledger: String,
    /// File with the ledger's public key, pinned beforehand.
    #[arg(long)]
    key: PathBuf,
    /// Id of the case that the operator would like to look better.
    #[arg(long)]
    case: String,
    /// The report on it that the regulator has.
    #[arg(long)]
    report: PathBuf,
    /// Only this deed.
    #[arg(long)]
    only: Option<String>,
}

fn main() -> std::process::ExitCode {
    match run(&Arguments::parse()) {
        Ok(0) => std::process::ExitCode::SUCCESS,
        Ok(missed) => {
            let _ = writeln!(std::io::stderr(), "{missed} deeds were not caught");
            std::process::ExitCode::FAILURE
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// What parties outside have.
struct Outside {
    receipt: Receipt,
    receipt_text: String,
    kept: String,
    report: Vec<u8>,
}

fn run(arguments: &Arguments) -> Outcome<usize> {
    let dir = tempfile::tempdir()?;
    let honest = copy(&arguments.service, &dir.path().join("honest"))?;
    let key = Vkey::parse(std::fs::read_to_string(&arguments.key)?.trim())?;
    let name = &arguments.ledger;
    let origin = key.name().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (run, outside) = runtime.block_on(prepare(arguments, &honest, name, &origin))?;
    let mut out = std::io::stdout();
    let untouched = check(&honest, name, &key, Some(&outside))?;
    writeln!(out, "# The ledger as it is\n\n{}", first(&untouched.0))?;
    let mut missed = usize::from(untouched.1);
    for deed in &ALL {
        if arguments.only.as_ref().is_some_and(|o| o != deed.name) {
            continue;
        }
        let data = copy(&honest, &dir.path().join(deed.name))?;
        let forger = Forger::open(&data, name, &origin)?;
        (deed.by)(&forger, &run)?;
        drop(forger);
        writeln!(out, "\n# {}\n\n{}\n", deed.name, deed.does)?;
        let (alone, caught) = check(&data, name, &key, None)?;
        writeln!(out, "## With the pinned key alone\n\n{}", first(&alone))?;
        let (with, caught_with) = check(&data, name, &key, Some(&outside))?;
        writeln!(out, "## With what others have kept\n\n{}", first(&with))?;
        if !caught && !caught_with {
            missed += 1;
        }
        std::fs::remove_dir_all(&data)?;
    }
    Ok(missed)
}

/// The lines that matter to somebody in a hurry: the gravest problem, the first break, what is still good, verdicts.
fn first(words: &str) -> String {
    let also = words.lines().filter(|l| l.starts_with("also: ")).count();
    let lines = words.lines().filter(|l| !l.starts_with("also: "));
    let mut text: Vec<String> = lines.map(|l| format!("> {l}")).collect();
    if also > 0 {
        text.push(format!("> ({also} more lines)"));
    }
    text.join("\n")
}

/// Finds the run's action, and collects what others were given about it. Posts a late approval, too: the customer
/// complained, and the operator got a yes out of him afterwards.
async fn prepare(
    arguments: &Arguments,
    data: &Path,
    name: &str,
    origin: &str,
) -> Outcome<(Run, Outside)> {
    let paths = LedgerPaths::below(data, name);
    let clock = Arc::new(SystemClock::default());
    let ledger = Ledger::open(&paths, name, origin, clock, Limits::default())?;
    let blind = ledger.keyring().id.blind("case", &arguments.case);
    let case = ledger
        .reader()
        .case_by_blind(&blind)?
        .ok_or("there is no such case")?
        .pseudonym;
    let of_type = |kind: &str| {
        let query = EntryQuery {
            case: Some(case),
            kind: Some(kind.to_owned()),
            below: ledger.size(),
            limit: 1_000,
            ..EntryQuery::default()
        };
        ledger.entries(&query)
    };
    let action = of_type("action.performed")?
        .last()
        .ok_or("nothing was done in this case")?
        .seq;
    let draft = of_type("recommendation.drafted")?
        .iter()
        .rev()
        .find(|e| e.seq < action)
        .ok_or("nothing was recommended in this case")?
        .seq;
    let late = json!({
        "id": "late-approval", "source": "https://workflow.example", "type": "approval.decided",
        "time": ledger_time(), "case_id": arguments.case, "approval_id": "late",
        "actor": {"id": "customer", "role": "customer", "kind": "human"},
        "data": {"decision": "approved", "reason": "Fine with me, looking back."},
    });
    let context = Context {
        ledger: name,
        origin,
        only_source: None,
    };
    let late = Event::read(late, &context).map_err(|f| format!("{f:?}"))?;
    ledger.append(&[late], Id16([9; 16])).await?;
    let receipt = ledger.receipt(action)?.ok_or("there is no receipt")?;
    let kept = ledger.checkpoint()?.1;
    ledger.close().await;
    let outside = Outside {
        receipt_text: receipt.encode(),
        receipt,
        kept,
        report: std::fs::read(&arguments.report)?,
    };
    Ok((
        Run {
            case,
            action,
            draft,
        },
        outside,
    ))
}

fn ledger_time() -> String {
    use whereas::sequencer::Clock as _;
    SystemClock::default().now().to_string()
}

/// Checks a folder; gives the words, and whether anything is wrong.
fn check(
    data: &Path,
    name: &str,
    key: &Vkey,
    outside: Option<&Outside>,
) -> Outcome<(String, bool)> {
    let keys = vec![key.clone()];
    let mut audit = FolderAudit::new(LedgerPaths::below(data, name), keys.clone());
    if let Some(o) = outside {
        let receipt = whereas::verify::receipt::verify(&o.receipt_text, &keys, None);
        let report = whereas::verify::report::verify(&o.report, &keys, &[], None);
        if receipt.refused() || report.refused() {
            return Err("what was kept outside does not verify".into());
        }
        audit.entries.push(OutsideEntry {
            seq: o.receipt.index,
            hash: Hash::leaf(&o.receipt.leaf),
            name: "The receipt of the action".into(),
        });
        let (size, _) = Checkpoint::parse_unverified(&o.receipt.checkpoint)?;
        let of_report: serde_json::Value = serde_json::from_slice(&o.report)?;
        let of_report = of_report["evidence"]["checkpoint"]
            .as_str()
            .unwrap_or_default();
        let kept = [
            (o.kept.as_str(), "The checkpoint that the auditor kept"),
            (of_report, "The checkpoint in the regulator's report"),
            (
                &o.receipt.checkpoint,
                "The checkpoint in the receipt of the action",
            ),
        ];
        audit.checkpoints = kept
            .into_iter()
            .map(|(note, name)| OutsideCheckpoint {
                note: note.to_owned(),
                name: name.to_owned(),
                independent: true,
            })
            .collect();
        if size.origin != key.name() {
            return Err("the receipt is of another ledger".into());
        }
    }
    let check = folder::verify(&audit, &Progress::default())?;
    Ok((words::ledger(&check), check.refused()))
}
