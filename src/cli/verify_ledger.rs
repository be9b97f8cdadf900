//! Verifying a whole ledger.

use std::io::{BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::verify::{judge_again, keys};
use super::{Config, Failure, Outcome, fail, read, read_text, say};
use crate::audit::archive;
use crate::audit::folder::{self, FolderAudit, Progress};
use crate::audit::source::{self, SourceAudit};
use crate::audit::web::Web;
use crate::ledger::note::Vkey;
use crate::ledger::receipt::Receipt;
use crate::ledger::{Hash, Leaf};
use crate::sequencer::{Clock, SystemClock};
use crate::verify::ledger::{
    LedgerCheck, LedgerContent, LedgerIndex, LedgerKeys, LedgerSequence, OutsideCheckpoint,
    OutsideEntry, words,
};
use crate::verify::{self, Freshness};

/// What `verify ledger` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 verified, 1 refused, 2 cannot be read, 3 verified but a verdict named with --require is not good.\n\
                  The data folder is the one given with --data-dir; its keyring and guard file with --keyring-dir and --guard-dir."
)]
pub struct LedgerArgs {
    /// Name of the ledger in the data folder [default: the only one]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["url", "export"])]
    ledger: Option<String>,
    /// An export file, of a whole ledger or a part, instead of the data folder
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    export: Option<PathBuf>,
    /// A log on the web (C2SP tlog-tiles) instead of the data folder: the address before `/checkpoint`; of a
    /// ledger of this service `…/v1/ledgers/NAME/log`
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the bearer token that the log wants [default: the environment variable WHEREAS_TOKEN, if it is set]
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// Pinned verifier key (vkey), or a file with one a line; may be repeated
    #[arg(long = "key", required = true, value_name = "VKEY")]
    keys: Vec<String>,
    /// A signed checkpoint that you kept; may be repeated
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// A receipt that you kept: its entry must stand in the ledger; may be repeated
    #[arg(long = "receipt", value_name = "FILE")]
    receipts: Vec<PathBuf>,
    /// A report file that you kept: its entries must stand in the ledger; may be repeated
    #[arg(long = "report", value_name = "FILE")]
    reports: Vec<PathBuf>,
    /// A key that somebody else may have held, and from when on (RFC 3339): entries that only it vouches for are not
    /// proven; may be repeated
    #[arg(long, value_name = "VKEY=TIME")]
    compromised: Vec<String>,
    /// Leave the content of the data folder out: no keyring is needed
    #[arg(long, conflicts_with_all = ["url", "export"])]
    no_content: bool,
    /// Leave the guard file out, for a copy of the database that comes without it
    #[arg(long, conflicts_with_all = ["url", "export"])]
    no_guard: bool,
    /// Verdicts that must be good; may be repeated
    #[arg(long = "require", value_enum, value_name = "VERDICT")]
    require: Vec<Required>,
    /// Threads that work [default: as many as the machine has]
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// Mebibytes that sorting may hold in memory
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: usize,
    /// Folder for what sorting cannot hold in memory [default: the system's]
    #[arg(long, value_name = "DIR")]
    temporary: Option<PathBuf>,
    /// Tell on standard error how far it is, also when that is no terminal
    #[arg(long)]
    progress: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Required {
    Sequence,
    Content,
    Index,
    Freshness,
    Keys,
}

impl LedgerArgs {
    fn threads(&self) -> usize {
        let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or(all).max(1)
    }
}

/// What was brought from outside, verified and ready to be compared.
#[derive(Default)]
struct Brought {
    checkpoints: Vec<OutsideCheckpoint>,
    entries: Vec<OutsideEntry>,
}

pub(super) fn run(args: &LedgerArgs, config: &Config) -> Outcome {
    let keys = keys(&args.keys)?;
    if let Some(url) = &args.url {
        return web(args, url, keys);
    }
    if let Some(file) = &args.export {
        return export(args, file, keys);
    }
    let name = match &args.ledger {
        Some(name) => name.clone(),
        None => only_ledger(config)?,
    };
    let brought = brought(args, &keys)?;
    let audit = FolderAudit {
        checkpoints: brought.checkpoints,
        entries: brought.entries,
        compromised: super::verify::compromised(&args.compromised)?,
        content: !args.no_content,
        guard: !args.no_guard,
        threads: args.threads(),
        memory: args.memory.max(1) << 20,
        temporary: args.temporary.clone().unwrap_or_else(std::env::temp_dir),
        now: Some(SystemClock::default().now()),
        ..FolderAudit::new(config.paths(&name), keys)
    };
    let progress = Progress::default();
    let telling = args.progress || std::io::stderr().is_terminal();
    let check = watched(telling, &progress, || folder::verify(&audit, &progress))??;
    finish(args, &check)
}

/// What a source is checked against.
fn source_audit(args: &LedgerArgs, keys: Vec<Vkey>) -> Result<SourceAudit, Failure> {
    let brought = brought(args, &keys)?;
    Ok(SourceAudit {
        keys,
        checkpoints: brought.checkpoints,
        entries: brought.entries,
        compromised: super::verify::compromised(&args.compromised)?,
        threads: args.threads(),
        memory: args.memory.max(1) << 20,
        temporary: args.temporary.clone().unwrap_or_else(std::env::temp_dir),
        now: Some(SystemClock::default().now()),
    })
}

fn export(args: &LedgerArgs, path: &Path, keys: Vec<Vkey>) -> Outcome {
    let audit = source_audit(args, keys)?;
    let file = std::fs::File::open(path)
        .map_err(|e| Failure(format!("the export {} cannot be read: {e}", path.display())))?;
    let progress = Progress::default();
    let telling = args.progress || std::io::stderr().is_terminal();
    let check = watched(telling, &progress, || {
        archive::verify(BufReader::new(file), &audit, &progress)
    })??;
    finish(args, &check)
}

fn web(args: &LedgerArgs, url: &str, keys: Vec<Vkey>) -> Outcome {
    let token = match &args.token_file {
        Some(file) => Some(read_text(file)?.trim().to_owned()),
        None => std::env::var("WHEREAS_TOKEN").ok(),
    };
    let audit = source_audit(args, keys)?;
    let progress = Progress::default();
    let telling = args.progress || std::io::stderr().is_terminal();
    let mut log = Web::open(url, token)?;
    let check = watched(telling, &progress, || {
        source::verify(&mut log, &audit, &progress)
    })??;
    finish(args, &check)
}

fn only_ledger(config: &Config) -> Result<String, Failure> {
    let mut names = config.ledgers()?;
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        (None, _) => fail(format!(
            "there is no ledger in {}; give its folder with --data-dir",
            config.data_dir.display()
        )),
        (Some(last), false) => fail(format!(
            "there are several ledgers in {} ({}, {last}); name one with --ledger",
            config.data_dir.display(),
            names.join(", ")
        )),
    }
}

fn finish(args: &LedgerArgs, check: &LedgerCheck) -> Outcome {
    if args.json {
        say(&serde_json::to_string_pretty(check)?)?;
    } else {
        say(words::ledger(check).trim_end())?;
    }
    if check.refused() {
        return Ok(ExitCode::from(1));
    }
    let v = &check.verdicts;
    let unmet = args.require.iter().any(|r| match r {
        // Of a part no more can be had than that it is linked as far as it goes.
        Required::Sequence => !matches!(
            (v.sequence.verdict, &check.part),
            (LedgerSequence::Complete, _) | (LedgerSequence::Part, Some(_))
        ),
        Required::Content => v.content.verdict != LedgerContent::Checked,
        Required::Index => v.index.verdict != LedgerIndex::Sound,
        Required::Freshness => !matches!(
            v.freshness.verdict,
            Freshness::Witnessed | Freshness::Anchored
        ),
        Required::Keys => v.keys.verdict != LedgerKeys::Good,
    });
    Ok(if unmet {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    })
}

/// Runs `work`, and meanwhile tells on standard error how far it is.
fn watched<T>(telling: bool, progress: &Progress, work: impl FnOnce() -> T) -> Result<T, Failure> {
    let (ended, end) = channel::<()>();
    std::thread::scope(|scope| {
        let teller = telling.then(|| {
            scope.spawn(move || {
                let mut told = false;
                while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(Duration::from_secs(1))
                {
                    let (read, size) = (
                        progress.read.load(Ordering::Relaxed),
                        progress.size.load(Ordering::Relaxed),
                    );
                    told = true;
                    // Nobody may be reading; the outcome does not depend on it.
                    let _ = write!(std::io::stderr(), "\r{read} of {size} entries");
                }
                if told {
                    let _ = writeln!(std::io::stderr());
                }
            })
        });
        let outcome = work();
        drop(ended);
        match teller.map(std::thread::ScopedJoinHandle::join) {
            Some(Err(_)) => fail("telling the progress failed"),
            _ => Ok(outcome),
        }
    })
}

/// Reads and verifies what the auditor kept. What does not verify is no evidence, so it is refused here.
fn brought(args: &LedgerArgs, keys: &[Vkey]) -> Result<Brought, Failure> {
    let mut out = Brought::default();
    let kept = |note: String, name: String| OutsideCheckpoint {
        note,
        name,
        independent: true,
    };
    for path in &args.checkpoints {
        let name = format!("the checkpoint {}", path.display());
        out.checkpoints.push(kept(read_text(path)?, name));
    }
    for path in &args.receipts {
        let text = read_text(path)?;
        let check = verify::receipt::verify(&text, keys, None);
        let receipt = Receipt::parse(&text);
        let (false, Ok(receipt)) = (check.refused(), receipt) else {
            let why = check.problems.first().map(|p| p.explanation.clone());
            return fail(format!(
                "the receipt {} does not verify by itself, so it proves nothing about a ledger: {}",
                path.display(),
                why.unwrap_or_default()
            ));
        };
        let name = format!("the receipt {}", path.display());
        out.entries.push(OutsideEntry {
            seq: receipt.index,
            hash: Hash::leaf(&receipt.leaf),
            name: name.clone(),
        });
        let name = format!("the checkpoint of {name}");
        out.checkpoints.push(kept(receipt.checkpoint, name));
    }
    for path in &args.reports {
        report(path, keys, &mut out)?;
    }
    Ok(out)
}

fn report(path: &Path, keys: &[Vkey], out: &mut Brought) -> Result<(), Failure> {
    let bytes = read(path)?;
    let opened = verify::report::open(&bytes, keys, &[], Some(&judge_again));
    let file = verify::format::ReportFile::decode(&bytes);
    let (false, Ok(file), Some(statement)) = (opened.check.refused(), file, &opened.statement)
    else {
        let why = opened.check.problems.first().map(|p| p.explanation.clone());
        return fail(format!(
            "the report {} does not verify by itself, so it proves nothing about a ledger: {}",
            path.display(),
            why.unwrap_or_default()
        ));
    };
    let name = format!("the report {}", path.display());
    let payload = statement.predicate.entries.iter().map(|e| e.leaf.as_str());
    let others = file.evidence.entries.iter().filter_map(|e| match e {
        verify::format::ProvenEntry::Other { leaf, .. } => Some(leaf.as_str()),
        verify::format::ProvenEntry::Payload { .. } => None,
    });
    for leaf in payload.chain(others) {
        let read = Leaf::decode(leaf.as_bytes())?;
        out.entries.push(OutsideEntry {
            seq: read.seq,
            hash: Hash::leaf(leaf.as_bytes()),
            name: name.clone(),
        });
    }
    out.checkpoints.push(OutsideCheckpoint {
        note: file.evidence.checkpoint.clone(),
        name: format!("the checkpoint of {name}"),
        independent: true,
    });
    Ok(())
}
