//! Showing public keys.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;

use super::{Config, Failure, Outcome, say};
use crate::keyring::{read_signing_key, report_key_name};
use crate::ledger::note::{NoteSigner, Vkey};

/// What `keys` takes.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// Name of the ledger
    ledger: String,
    /// Print the public keys as PEM (SPKI) as well
    #[arg(long)]
    pem: bool,
}

pub(super) fn run(config: &Config, args: &KeysArgs) -> Outcome {
    let origin = config.stored_origin(&args.ledger)?;
    print(&config.paths(&args.ledger).keyring, &origin, args.pem)?;
    Ok(ExitCode::SUCCESS)
}

/// The verifier key of a private key file.
pub(super) fn vkey(file: &Path, name: &str) -> Result<Vkey, Failure> {
    let signer = NoteSigner::new(name, read_signing_key(file)?);
    signer
        .map(|s| s.vkey().clone())
        .ok_or_else(|| Failure(format!("`{name}` is not a key name")))
}

pub(super) fn print(keyring: &Path, origin: &str, pem: bool) -> Result<(), Failure> {
    for (what, file, name) in [
        ("checkpoint key", "checkpoint.pem", origin.to_owned()),
        ("report key    ", "report.pem", report_key_name(origin)),
    ] {
        let vkey = vkey(&keyring.join(file), &name)?;
        say(&format!("  {what}  {vkey}"))?;
        if pem {
            let text = vkey
                .key()
                .to_public_key_pem(LineEnding::LF)
                .map_err(|e| Failure(format!("the key cannot be written as PEM: {e}")))?;
            say(text.trim_end())?;
        }
    }
    Ok(())
}
