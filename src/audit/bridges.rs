//! What joins a ledger's later checkpoint keys to the earlier ones, for whatever leaves the ledger.

use crate::ledger::keys::Purpose;
use crate::sequencer::Ledger;
use crate::store::StoreError;
use crate::verify::format::Bridge;

/// The changes of the checkpoint key up to a size, joined to the tree of that size.
///
/// # Errors
/// When storage fails or is damaged.
pub fn bridges(ledger: &Ledger, size: u64) -> Result<Vec<Bridge>, StoreError> {
    let keys = ledger.keys().up_to(size);
    let changes = keys.rotations().iter();
    changes
        .filter(|r| r.purpose == Purpose::Checkpoint)
        .map(|r| {
            let damaged = |what: String| StoreError::Damaged(format!("entry {}: {what}", r.seq));
            let stored = ledger
                .entry(r.seq)?
                .ok_or_else(|| damaged("it is absent".into()))?;
            Ok(Bridge {
                leaf: String::from_utf8(stored.leaf).map_err(|e| damaged(e.to_string()))?,
                path: ledger.inclusion(r.seq, r.bridge())?,
                checkpoint: ledger.bridge(r)?,
                consistency: ledger.consistency(r.bridge(), size)?,
            })
        })
        .collect()
}
