//! The command line.

mod access;
mod checkpoints;
mod config;
mod demo;
mod export;
mod keys;
mod serve;
mod untold;
mod verify;
mod verify_ledger;
mod witness;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::sequencer::{Clock, Ledger, Replaces, SystemClock, is_ledger_name};
pub use config::Config;

/// The ledger of record for AI-assisted case decisions.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    config: config::Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play two cases through a fresh service, and show receipts, answers and verified reports
    Demo(demo::DemoArgs),
    /// Serve the ledgers of the data folder over HTTP
    Serve(serve::ServeArgs),
    /// Create and list ledgers
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Verify receipts, reports and whole ledgers; compare checkpoints
    #[command(subcommand)]
    Verify(verify::VerifyCommand),
    /// Take an export: a file that verifies by itself, of a whole ledger or a part of it
    Export(export::ExportArgs),
    /// Restore a ledger from a sealed export
    Import(export::ImportArgs),
    /// Show a ledger's public keys; replace a signing key
    Keys(keys::KeysArgs),
    /// Create, list and revoke principals
    #[command(subcommand)]
    Principal(access::PrincipalCommand),
    /// Create, list, rotate and revoke tokens; recover the administrator's
    #[command(subcommand)]
    Token(access::TokenCommand),
    /// Watch logs from outside, and cosign their checkpoints (C2SP tlog-witness)
    Witness(witness::WitnessArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Check a profile, or print the built-in one
    Profile {
        /// The profile to check; without it the built-in one is printed
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Create a ledger: folders, keys, database, guard file and its first entry
    Create(CreateArgs),
    /// List the ledgers of the data folder
    List,
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Name of the ledger: stands in addresses and in its origin, `<server name>/<name>`
    name: String,
    /// Use this Ed25519 key (PKCS#8 PEM) for checkpoints instead of a new one
    #[arg(long, value_name = "PEM")]
    checkpoint_key: Option<PathBuf>,
    /// Use this Ed25519 key (PKCS#8 PEM) for reports instead of a new one
    #[arg(long, value_name = "PEM")]
    report_key: Option<PathBuf>,
    /// The newest known checkpoint of a ledger that cannot resume: the new one's first entry names it
    #[arg(long, value_name = "CHECKPOINT", requires = "lost")]
    replaces: Option<PathBuf>,
    /// How many entries of the replaced ledger are lost
    #[arg(long, value_name = "COUNT", requires = "replaces")]
    lost: Option<u64>,
}

/// What a command ends with.
pub type Outcome = Result<ExitCode, Failure>;

/// Why a command failed, in words for people; exit code 2.
#[derive(Debug)]
pub struct Failure(pub String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(e: E) -> Self {
        let mut text = e.to_string();
        let mut source = e.source();
        while let Some(inner) = source {
            let more = inner.to_string();
            // Many errors repeat their source in their own words.
            if !text.contains(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            source = inner.source();
        }
        Self(text)
    }
}

fn fail<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure(text.into()))
}

/// Runs the command line.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    match command(cli) {
        Ok(code) => code,
        Err(Failure(text)) => {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "whereas: {text}");
            ExitCode::from(2)
        }
    }
}

fn command(cli: Cli) -> Outcome {
    match cli.command {
        Command::Verify(args) => verify::run(&args, &cli.config),
        Command::Witness(args) => witness::run(&args),
        Command::Openapi => {
            say(&crate::http::openapi().to_pretty_json()?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Profile { file } => profile(file),
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&Config::load(&cli.config)?, &args),
        Command::Ledger(LedgerCommand::Create(args)) => create(&Config::load(&cli.config)?, &args),
        Command::Ledger(LedgerCommand::List) => list(&Config::load(&cli.config)?),
        Command::Export(args) => export::export(&Config::load(&cli.config)?, &args),
        Command::Import(args) => export::import(&Config::load(&cli.config)?, &args),
        Command::Keys(args) => keys::run(&Config::load(&cli.config)?, &args),
        Command::Principal(args) => access::principal(&Config::load(&cli.config)?, args),
        Command::Token(args) => access::token(&Config::load(&cli.config)?, args),
    }
}

/// One line on standard output.
fn say(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}")
        .map_err(|e| Failure(format!("cannot write to standard output: {e}")))
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure(format!("cannot read {}: {e}", path.display())))
}

fn read_text(path: &std::path::Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?).map_err(|_| Failure(format!("{} is not text", path.display())))
}

fn create(config: &Config, args: &CreateArgs) -> Outcome {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let replaces = match (&args.replaces, args.lost) {
        (Some(file), Some(lost)) => Some(Replaces {
            checkpoint: read_text(file)?,
            lost,
        }),
        _ => None,
    };
    let origin = config.origin(&args.name);
    let paths = config.paths(&args.name);
    let given = crate::keyring::GivenKeys {
        checkpoint: args
            .checkpoint_key
            .as_deref()
            .map(crate::keyring::read_signing_key)
            .transpose()?,
        report: args
            .report_key
            .as_deref()
            .map(crate::keyring::read_signing_key)
            .transpose()?,
    };
    if is_ledger_name(&args.name) {
        // Made here first, or it would be open to everybody on the machine.
        crate::keyring::create_private_dir(&config.data_dir)?;
    }
    Ledger::create_with(&paths, &args.name, &origin, clock, replaces.as_ref(), given)?;
    say(&format!("Created the ledger {origin}."))?;
    say(&format!("  record   {}", paths.ledger.display()))?;
    say(&format!(
        "  keyring  {}   (back it up apart from the record)",
        paths.keyring.display()
    ))?;
    keys::print(&paths, &origin, false)?;
    say(
        "Give the checkpoint key to whoever will verify: they must not take it from this service later.",
    )?;
    Ok(ExitCode::SUCCESS)
}

fn list(config: &Config) -> Outcome {
    for name in config.ledgers()? {
        say(&format!("{name}\t{}", config.stored_origin(&name)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn profile(file: Option<PathBuf>) -> Outcome {
    let profile = match file {
        Some(file) => crate::judge::Profile::parse(&read(&file)?)?,
        None => {
            let profile = crate::judge::Profile::builtin()?;
            say(&serde_json::to_string_pretty(&profile)?)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    say(&format!(
        "The profile {} {} can be used; its digest is {}.",
        profile.name,
        profile.version,
        profile.digest()
    ))?;
    Ok(ExitCode::SUCCESS)
}
