//! Taking an export, and restoring from one.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::{Config, Failure, Outcome, fail, read_text, say};
use crate::audit::archive::{self, Content, Filter, Manifest, Scope};
use crate::ledger::Id16;
use crate::sequencer::{Clock, Ledger, Limits, SystemClock};
use crate::store::StoreError;

/// What `export` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "From a running service (--url): what the token's principal may read, and the reading is recorded. From the data folder, while the ledger is not served: a sealed copy to restore from, or leaves only."
)]
pub struct ExportArgs {
    /// File to write; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Ledger of the data folder; may be left out when there is one only
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    ledger: Option<String>,
    /// Address of a ledger of a running service, such as http://127.0.0.1:8080/v1/ledgers/demo
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the token for --url
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// Why: recorded with the reading
    #[arg(long, value_name = "TEXT", requires = "url")]
    purpose: Option<String>,
    /// What of the content [default: what the token may read; from the data folder: sealed]
    #[arg(long, value_enum, value_name = "WHAT")]
    content: Option<What>,
    /// One case: its id, or ~ and its pseudonym
    #[arg(long, value_name = "CASE", requires = "url")]
    case: Option<String>,
    /// First position of a range
    #[arg(
        long,
        value_name = "POSITION",
        requires = "url",
        conflicts_with = "case"
    )]
    first: Option<u64>,
    /// Last position of a range
    #[arg(
        long,
        value_name = "POSITION",
        requires = "url",
        conflicts_with = "case"
    )]
    last: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Leaves and proofs only
    None,
    /// The digests of disclosures
    Digests,
    /// Disclosures
    Disclosed,
    /// As it is stored, to restore from
    Sealed,
}

/// What `import` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Restore the keyring from its own backup first. Entries and checkpoints are restored byte for byte, or nothing is; `whereas verify ledger` compares the rest with them."
)]
pub struct ImportArgs {
    /// A whole, sealed export
    file: PathBuf,
    /// Pinned checkpoint key (vkey), or a file with one a line; may be repeated
    #[arg(long = "key", required = true, value_name = "VKEY")]
    keys: Vec<String>,
    /// Name of the ledger in the data folder [default: the last part of its origin]
    #[arg(long, value_name = "NAME")]
    ledger: Option<String>,
}

pub(super) fn export(config: &Config, args: &ExportArgs) -> Outcome {
    // Beside its place until it is whole: what broke off must not look like an export.
    let partial = args.out.with_added_extension("part");
    let unwritable =
        |e: std::io::Error| Failure(format!("cannot write {}: {e}", partial.display()));
    if args.out.exists() {
        return fail(format!("{} exists already", args.out.display()));
    }
    let file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(&partial)
        .map_err(unwritable)?;
    let told = match &args.url {
        Some(url) => from_service(url, args, file),
        None => from_folder(config, args, file),
    };
    let told = told.and_then(|told| {
        fs::rename(&partial, &args.out).map_err(unwritable)?;
        Ok(told)
    });
    match told {
        Ok(told) => say(&format!("{told} is in {}.", args.out.display()))?,
        Err(e) => {
            fs::remove_file(&partial).map_err(unwritable)?;
            return Err(e);
        }
    }
    Ok(ExitCode::SUCCESS)
}

struct Nothing;

impl Filter for Nothing {
    fn shows(&mut self, _: Option<&Id16>) -> Result<bool, StoreError> {
        Ok(false)
    }
}

fn from_folder(config: &Config, args: &ExportArgs, file: File) -> Result<String, Failure> {
    let content = match args.content {
        None | Some(What::Sealed) => Content::Sealed,
        Some(What::None) => Content::None,
        Some(What::Digests | What::Disclosed) => {
            return fail(
                "content is read through the service only, which records who read it: use --url",
            );
        }
    };
    let name = config.one_ledger(args.ledger.as_deref())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let origin = config.stored_origin(&name)?;
    let exported = clock.now().to_string();
    let ledger = Ledger::open(
        &config.paths(&name),
        &name,
        &origin,
        clock,
        Limits::default(),
    )?;
    let (head, note) = ledger.checkpoint()?;
    let manifest = Manifest {
        v: archive::VERSION,
        ledger: origin,
        size: head.size,
        scope: Scope::Whole,
        content,
        exported,
        software: concat!("whereas ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let out = BufWriter::with_capacity(1 << 20, file);
    let (written, out) = archive::write(&ledger, &manifest, &note, &mut Nothing, out)?;
    let file = out.into_inner().map_err(|e| Failure(e.to_string()))?;
    file.sync_all()?;
    Ok(format!(
        "The ledger {} with {} entries",
        manifest.ledger, written.entries
    ))
}

fn from_service(url: &str, args: &ExportArgs, file: File) -> Result<String, Failure> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(format!("{}/export", url.trim_end_matches('/')));
    let token = match &args.token_file {
        Some(file) => Some(read_text(file)?),
        None => std::env::var("WHEREAS_TOKEN").ok(),
    };
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {}", token.trim()));
    }
    if let Some(purpose) = &args.purpose {
        request = request.header("whereas-purpose", purpose);
    }
    let content = args.content.map(|c| match c {
        What::None => "none",
        What::Digests => "digests",
        What::Disclosed => "disclosed",
        What::Sealed => "sealed",
    });
    let numbers = [("first", args.first), ("last", args.last)];
    let numbers = numbers.map(|(name, n)| (name, n.map(|n| n.to_string())));
    let texts = [
        ("content", content.map(str::to_owned)),
        ("case", args.case.clone()),
    ];
    for (name, value) in texts.into_iter().chain(numbers) {
        if let Some(value) = value {
            request = request.query(name, value);
        }
    }
    let mut answer = request
        .call()
        .map_err(|e| Failure(format!("{url} does not answer: {e}")))?;
    if answer.status() != 200 {
        let problem: serde_json::Value = answer.body_mut().read_json().unwrap_or_default();
        return fail(format!(
            "the service refused with {}: {}",
            answer.status(),
            problem["detail"].as_str().unwrap_or("no reason was given")
        ));
    }
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut body = answer.into_body().into_reader();
    let bytes = std::io::copy(&mut body, &mut out)
        .map_err(|e| Failure(format!("the export broke off: {e}; nothing was kept")))?;
    let mut file = out.into_inner().map_err(|e| Failure(e.to_string()))?;
    file.flush()?;
    file.sync_all()?;
    Ok(format!("An export of {bytes} bytes"))
}

pub(super) fn import(config: &Config, args: &ImportArgs) -> Outcome {
    let keys = super::verify::keys(&args.keys)?;
    let open = || {
        let file = File::open(&args.file)
            .map_err(|e| Failure(format!("cannot read {}: {e}", args.file.display())))?;
        Ok::<_, Failure>(BufReader::with_capacity(1 << 20, file))
    };
    let name = match &args.ledger {
        Some(name) => name.clone(),
        None => origin_name(open()?)?,
    };
    crate::keyring::create_private_dir(&config.data_dir)?;
    let paths = config.paths(&name);
    if !paths.keyring.exists() {
        return fail(format!(
            "there is no keyring in {}; restore it from its own backup first: without it no content opens, and nothing can be signed",
            paths.keyring.display()
        ));
    }
    let done = archive::import(open()?, &paths, &name, &keys)?;
    say(&format!(
        "Restored the ledger {} with {} entries and {} checkpoints, as they were signed, byte for byte. \
         Content, reports and indexes came along as they stand in the export: `whereas verify ledger` compares them with the entries.",
        done.origin, done.size, done.checkpoints
    ))?;
    say(
        "Compare its newest checkpoint with one that somebody outside has kept before you let anybody post.",
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The name that the ledger's origin suggests.
fn origin_name(input: impl Read) -> Result<String, Failure> {
    let reader = archive::Reader::open(input)?;
    let origin = &reader.manifest().ledger;
    Ok(origin.rsplit('/').next().unwrap_or(origin).to_owned())
}
