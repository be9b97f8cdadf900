//! Exports of the ground's ledger, and the pieces that they consist of.

use whereas::audit::archive::{self, Content, Filter, Manifest, Scope};
use whereas::ledger::Id16;
use whereas::sequencer::Ledger;
use whereas::store::StoreError;

use crate::forger::Outcome;
use crate::ground::ORIGIN;

struct Everything;

impl Filter for Everything {
    fn shows(&mut self, _: Option<&Id16>) -> Result<bool, StoreError> {
        Ok(true)
    }
}

/// An export for somebody who may read every case.
pub fn export(ledger: &Ledger, scope: Scope, content: Content) -> Outcome<Vec<u8>> {
    let (checkpoint, note) = ledger.checkpoint()?;
    let manifest = Manifest {
        v: archive::VERSION,
        ledger: ORIGIN.to_owned(),
        size: checkpoint.size,
        scope,
        content,
        exported: "2026-01-13T00:00:00.000000Z".to_owned(),
        software: "whereas test".to_owned(),
    };
    let (_, bytes) = archive::write(ledger, &manifest, &note, &mut Everything, Vec::new())?;
    Ok(bytes)
}

/// The members of a tar file, each with its header, and what follows the last.
pub fn members(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 512 && rest[0] != 0 {
        let size = std::str::from_utf8(&rest[124..135]).unwrap();
        let size = usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).unwrap();
        let end = 512 + size.div_ceil(512) * 512;
        found.push(rest[..end].to_vec());
        rest = &rest[end..];
    }
    found.push(rest.to_vec());
    found
}
