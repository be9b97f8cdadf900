//! Running a witness.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use ed25519_dalek::SigningKey;

use super::{Failure, Outcome, read_text, say};
use crate::keyring::{
    create_private_dir, random, read_signing_key, signing_key_to_pem, write_new_private,
};
use crate::ledger::note::{Algorithm, Cosigner, Vkey};
use crate::ledger::policy::Policy;
use crate::witness::{self, Witness};

/// What `witness` takes.
#[derive(Debug, Args)]
pub struct WitnessArgs {
    /// Folder of the witness's state, made on the first start
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Name of the witness, as in its verifier key: a host and path without scheme, such as witness.example/w1
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Its key (PKCS#8 PEM) [default: key.pem in the folder, made on the first start]
    #[arg(long, value_name = "PEM")]
    key: Option<PathBuf>,
    /// Verifier key of a log to watch; may be repeated
    #[arg(long = "log", value_name = "VKEY")]
    log: Vec<String>,
    /// File of logs to watch: a tlog-policy, or one verifier key a line
    #[arg(long, value_name = "FILE")]
    logs: Option<PathBuf>,
}

pub(super) fn run(args: &WitnessArgs) -> Outcome {
    super::serve::log(None);
    let logs = logs(args)?;
    create_private_dir(&args.dir)?;
    let file = args.key.clone().unwrap_or_else(|| args.dir.join("key.pem"));
    let key = key(&file, args.key.is_none())?;
    let cosigner = Cosigner::new(&args.name, key).ok_or_else(|| {
        Failure(format!(
            "`{}` cannot be a witness's name: it must not be empty nor hold spaces or plus signs",
            args.name
        ))
    })?;
    let witness = Arc::new(Witness::open(
        &args.dir,
        cosigner,
        &logs,
        Box::new(seconds),
    )?);
    let listener = TcpListener::bind(args.listen)
        .map_err(|e| Failure(format!("cannot listen on {}: {e}", args.listen)))?;
    let address = listener.local_addr()?;
    say(&format!(
        "whereas witnesses {} on http://{address} (stop with Ctrl-C)",
        witness.origins().collect::<Vec<_>>().join(", ")
    ))?;
    say(&format!("  verifier key  {}", witness.vkey()))?;
    say("Give this key to whoever is to trust the witness, and to the logs' operators.")?;
    actix_web::rt::System::new().block_on(async move {
        let (running, handle) = witness::serve(witness, listener, 2)?;
        let serving = tokio::task::spawn_local(running);
        super::serve::stop_signal().await?;
        handle.stop(true).await;
        serving.await??;
        Ok::<(), Failure>(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

/// Read, or made when it is the witness's own file and the witness never ran: a witness that lost its key must not go on
/// under a new one unnoticed.
fn key(file: &Path, own: bool) -> Result<SigningKey, Failure> {
    let ran = file
        .parent()
        .is_some_and(|d| d.join("checkpoints").exists());
    if own && !file.exists() && !ran {
        let key = SigningKey::from_bytes(&random()?);
        write_new_private(file, signing_key_to_pem(&key, file)?.as_bytes())?;
    }
    Ok(read_signing_key(file)?)
}

fn logs(args: &WitnessArgs) -> Result<Vec<Vkey>, Failure> {
    let mut lines = args.log.clone();
    if let Some(file) = &args.logs {
        let text = read_text(file)?;
        if is_policy(&text) {
            let policy =
                Policy::parse(&text).map_err(|e| Failure(format!("{}: {e}", file.display())))?;
            lines.extend(policy.logs.iter().map(|l| l.vkey.to_string()));
        } else {
            let keys = text.lines().map(str::trim);
            lines.extend(
                keys.filter(|l| !l.is_empty() && !l.starts_with('#'))
                    .map(str::to_owned),
            );
        }
    }
    lines
        .iter()
        .map(|line| {
            let vkey = Vkey::parse(line).map_err(|e| Failure(format!("the key `{line}`: {e}")))?;
            if vkey.algorithm() == Algorithm::Ed25519 {
                Ok(vkey)
            } else {
                Err(Failure(format!(
                    "`{line}` is a witness's key; give the keys of logs"
                )))
            }
        })
        .collect()
}

/// Whether a file of logs is a policy: its first line that says anything has one of a policy's first words.
fn is_policy(text: &str) -> bool {
    text.lines()
        .filter_map(|l| l.split_whitespace().next())
        .find(|w| !w.starts_with('#'))
        .is_some_and(|w| ["log", "witness", "group", "quorum"].contains(&w))
}
