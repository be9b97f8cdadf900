//! Whole ledgers: taken along in an export and restored from it; read from a folder, an export or the web to be checked,
//! with what is sorted on the way. The judging is `verify::ledger`'s.

pub mod archive;
pub mod bridges;
pub mod folder;
pub mod sort;
pub mod source;
pub mod web;

use crate::keyring::KeyringError;
use crate::ledger::note::{Algorithm, Vkey};
use crate::store::StoreError;

/// Why a ledger cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keyring cannot be read.
    #[error("{0}; to check without content, leave it out (--no-content)")]
    Keyring(#[from] KeyringError),
    /// The keyring is another ledger's.
    #[error(
        "the keyring is not this ledger's: its id key is not the one that entry 0 names; give the right one, or leave content out (--no-content)"
    )]
    WrongKeyring,
    /// The file system said no.
    #[error("a file cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// No key is pinned.
    #[error(
        "no checkpoint key of a ledger is pinned (a key of type 1 whose name is the ledger's origin)"
    )]
    NoKey,
    /// Keys of several ledgers are pinned.
    #[error(
        "the pinned checkpoint keys are of several ledgers; pin those of the one that is to be checked"
    )]
    ManyLedgers,
    /// A thread ended before its work was done.
    #[error("a worker thread ended before its work was done")]
    Worker,
    /// A source cannot be read.
    #[error("{0}")]
    Source(String),
}

/// The origin that the pinned checkpoint keys name.
fn origin_of(keys: &[Vkey]) -> Result<String, AuditError> {
    let mut names = keys
        .iter()
        .filter(|k| k.algorithm() == Algorithm::Ed25519)
        .map(Vkey::name);
    let first = names.next().ok_or(AuditError::NoKey)?;
    if names.any(|n| n != first) {
        return Err(AuditError::ManyLedgers);
    }
    Ok(first.to_owned())
}

#[cfg(test)]
mod tests;
