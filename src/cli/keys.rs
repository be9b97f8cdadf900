//! Showing public keys, and replacing signing keys.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use serde_json::{Value, json};

use super::demo::Client;
use super::{Config, Failure, Outcome, fail, read_text, say};
use crate::keyring::read_signing_key;
use crate::ledger::Timestamp;
use crate::ledger::keys::{KeySpan, Purpose};
use crate::ledger::note::Vkey;
use crate::sequencer::{
    Clock, Ledger, LedgerPaths, Limits, Reason, Rotate, SystemClock, read_keys,
};

/// What `keys` takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: Option<KeysCommand>,
    /// Name of the ledger
    #[arg(required = true)]
    ledger: Option<String>,
    /// Print the public keys in force as PEM (SPKI) as well
    #[arg(long)]
    pem: bool,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Replace a signing key: of a service that runs, with --url, or of a ledger that is not served
    Rotate(RotateArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    Checkpoint,
    Report,
}

#[derive(Debug, Args)]
struct RotateArgs {
    /// Which key
    purpose: Which,
    /// Name of the ledger; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    ledger: Option<String>,
    /// Use this Ed25519 key (PKCS#8 PEM) instead of a new one
    #[arg(long, value_name = "PEM", conflicts_with = "url")]
    new_key: Option<PathBuf>,
    /// From when on somebody else may have held the old key (RFC 3339)
    #[arg(long, value_name = "TIME")]
    compromised_since: Option<String>,
    /// Why: scheduled, custody_changed, suspected or compromised
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Address of the running service, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL", requires = "token_file")]
    url: Option<String>,
    /// File with an administrator's token
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(config: &Config, args: &KeysArgs) -> Outcome {
    match (&args.command, &args.ledger) {
        (Some(KeysCommand::Rotate(args)), _) => rotate(config, args)?,
        (None, Some(name)) => {
            let origin = config.stored_origin(name)?;
            print(&config.paths(name), &origin, args.pem)?;
        }
        (None, None) => return fail("name the ledger"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The checkpoint key in force.
pub(super) fn checkpoint_key(paths: &LedgerPaths, origin: &str) -> Result<Vkey, Failure> {
    let keys = read_keys(paths, origin)?;
    Ok(keys.newest(Purpose::Checkpoint).clone())
}

/// The keys in force, then those that were replaced.
pub(super) fn print(paths: &LedgerPaths, origin: &str, pem: bool) -> Result<(), Failure> {
    let keys = read_keys(paths, origin)?;
    for purpose in Purpose::ALL {
        let vkey = keys.newest(purpose);
        say(&format!(
            "  {:14}  {vkey}",
            format!("{} key", purpose.name())
        ))?;
        if pem {
            let text = vkey
                .key()
                .to_public_key_pem(LineEnding::LF)
                .map_err(|e| Failure(format!("the key cannot be written as PEM: {e}")))?;
            say(text.trim_end())?;
        }
    }
    for purpose in Purpose::ALL {
        for span in keys.spans(purpose) {
            if let Some(line) = replaced(purpose, &span) {
                say(&line)?;
            }
        }
    }
    Ok(())
}

fn replaced(purpose: Purpose, span: &KeySpan) -> Option<String> {
    let (to, retired) = (span.to?, span.retired?);
    let stolen = span
        .compromised_since
        .map(|t| format!("; compromised since {t}"))
        .unwrap_or_default();
    Some(format!(
        "  replaced {}: {}, by the last of the first {to} entries, {retired}{stolen}",
        purpose.name(),
        span.vkey
    ))
}

fn rotate(config: &Config, args: &RotateArgs) -> Result<(), Failure> {
    let purpose = match args.purpose {
        Which::Checkpoint => Purpose::Checkpoint,
        Which::Report => Purpose::Report,
    };
    let since = args.compromised_since.as_deref().map(|text| {
        Timestamp::parse_rfc3339(text).map_err(|_| {
            Failure(format!(
                "`{text}` is not a time such as 2026-11-20T00:00:00Z"
            ))
        })
    });
    let since = since.transpose()?;
    let reason = args.reason.as_deref().map(|text| {
        let words = Reason::ALL.map(Reason::name).join(", ");
        Reason::parse(text)
            .ok_or_else(|| Failure(format!("`{text}` is no reason; use one of: {words}")))
    });
    let reason = reason.transpose()?;
    if let (Some(url), Some(file)) = (&args.url, &args.token_file) {
        let Some(name) = &args.ledger else {
            return fail("name the ledger with --ledger");
        };
        return rotate_served(url, file, name, purpose, since, reason);
    }
    let name = one_ledger(config, args.ledger.as_deref())?;
    let origin = config.stored_origin(&name)?;
    let job = Rotate {
        purpose,
        given: args.new_key.as_deref().map(read_signing_key).transpose()?,
        compromised_since: since,
        reason,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    if since.is_some_and(|t| t > clock.now()) {
        return fail("the time given with --compromised-since is in the future");
    }
    let paths = config.paths(&name);
    let ledger = Ledger::open(&paths, &name, &origin, clock, Limits::default()).map_err(|e| {
        Failure(format!(
            "{e}. Of a ledger that is served, replace the key with --url"
        ))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let done = runtime.block_on(async {
        let done = ledger.rotate(job).await;
        ledger.close().await;
        done
    })?;
    told(
        done.rotation.seq,
        &done.rotation.old.to_string(),
        &done.rotation.new.to_string(),
        done.destroyed,
        &done.checkpoint,
    )
}

fn one_ledger(config: &Config, given: Option<&str>) -> Result<String, Failure> {
    let known = config.ledgers()?;
    match (given, known.as_slice()) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, [only]) => Ok(only.clone()),
        (None, _) => fail("there is more than one ledger, or none: name one with --ledger"),
    }
}

fn rotate_served(
    url: &str,
    token: &Path,
    name: &str,
    purpose: Purpose,
    since: Option<Timestamp>,
    reason: Option<Reason>,
) -> Result<(), Failure> {
    let client = Client::new(url.trim_end_matches('/'), read_text(token)?.trim());
    let mut body = json!({"purpose": purpose.name()});
    if let Some(since) = since {
        body["compromised_since"] = json!(since.to_string());
    }
    if let Some(reason) = reason {
        body["reason"] = json!(reason.name());
    }
    let done = client.post(&format!("/v1/ledgers/{name}/keys/rotations"), &body)?;
    let text = |member: &str| done[member].as_str().unwrap_or_default().to_owned();
    told(
        done["seq"].as_u64().unwrap_or_default(),
        &text("old"),
        &text("new"),
        done["destroyed"] == Value::Bool(true),
        &text("checkpoint"),
    )
}

fn told(seq: u64, old: &str, new: &str, destroyed: bool, note: &str) -> Result<(), Failure> {
    say(&format!("replaced by entry {seq}"))?;
    say(&format!("  old  {old}"))?;
    say(&format!("  new  {new}"))?;
    say(if destroyed {
        "The old private key is destroyed here. Destroy its copies as well."
    } else {
        "The old private key is NOT destroyed yet; the service keeps trying. Destroy its copies."
    })?;
    say(
        "Back up the new key, and announce it to whoever verifies. The checkpoint that ends with the entry:\n",
    )?;
    say(note.trim_end())
}
