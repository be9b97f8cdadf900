//! What outside parties gave: cosignatures beside the checkpoints, and what was put at anchors.

use crate::audit::AuditError;
use crate::audit::archive::read_cosignature;
use crate::store::StoreError;
use crate::store::scan::{LedgerScan, ScanCosignature};
use crate::verify::ledger::{LedgerCode, LedgerLog};

/// The stored cosignatures, in the order of the sizes that they are of.
#[derive(Default)]
pub(super) struct Cosigned {
    next: Vec<ScanCosignature>,
    after: Option<i64>,
    ended: bool,
}

impl Cosigned {
    /// The size of the next ones.
    fn peek(&mut self, scan: &mut dyn LedgerScan) -> Result<Option<i64>, StoreError> {
        if self.next.is_empty() && !self.ended {
            self.next = scan.cosignatures(self.after)?;
            self.ended = self.next.is_empty();
            self.after = self.next.first().map(|c| c.size).or(self.after);
        }
        Ok(self.next.first().map(|c| c.size))
    }

    /// The signature lines for a commit's checkpoint. Those of sizes before it, of which there was no commit, are told of.
    pub fn lines(
        &mut self,
        scan: &mut dyn LedgerScan,
        size: i64,
        log: &mut LedgerLog,
    ) -> Result<String, AuditError> {
        let mut lines = String::new();
        while let Some(at) = self.peek(scan)?.filter(|at| *at <= size) {
            for row in std::mem::take(&mut self.next) {
                if at < size {
                    extra(&row, log);
                } else {
                    check(&row, log);
                    lines.push_str(&row.line);
                }
            }
        }
        Ok(lines)
    }

    /// What is left after the last commit.
    pub fn end(
        &mut self,
        scan: &mut dyn LedgerScan,
        log: &mut LedgerLog,
    ) -> Result<(), AuditError> {
        while self.peek(scan)?.is_some() {
            for row in std::mem::take(&mut self.next) {
                extra(&row, log);
            }
        }
        Ok(())
    }
}

fn place(row: &ScanCosignature) -> String {
    format!("table cosignature, size {}, name {}", row.size, row.name)
}

fn extra(row: &ScanCosignature, log: &mut LedgerLog) {
    let text = format!(
        "The table `cosignature` has a row of the witness {} for {} entries, and no commit led to this size: the row was put in, or its size was changed.",
        row.name, row.size
    );
    log.add(LedgerCode::RowExtra, None, None, place(row), text);
}

/// Whether the row says of its line what the line says. Whether the witness signed it is found where its key is pinned.
fn check(row: &ScanCosignature, log: &mut LedgerLog) {
    let line = row.line.strip_suffix('\n').unwrap_or_default();
    let read = u64::try_from(row.size)
        .ok()
        .and_then(|s| read_cosignature(s, line));
    let good = read.is_some_and(|c| {
        c.name == row.name && c.key_id[..] == row.key_id && i64::try_from(c.time) == Ok(row.time)
    });
    if !good {
        let text = format!(
            "The row of the cosignature of {} on {} entries does not say what its signature line says: it was changed.",
            row.name, row.size
        );
        log.add(LedgerCode::RowDiffers, None, None, place(row), text);
    }
}

/// Whether what was put at anchors are heads that commits led to.
pub(super) fn anchors(scan: &mut dyn LedgerScan, log: &mut LedgerLog) -> Result<(), AuditError> {
    for (name, size, root) in scan.anchors()? {
        let commit = match size.checked_sub(1) {
            Some(before) => scan.commitments(Some(before), 1)?.pop(),
            None => None,
        };
        if commit.is_none_or(|c| (c.size, &c.root) != (size, &root)) {
            let text = format!(
                "The table `anchor` says that a checkpoint of {size} entries was put at {name}, and no commit led to that head: the row was changed, or the ledger is another than the one that was anchored."
            );
            let place = format!("table anchor, place {name}, size {size}");
            log.add(LedgerCode::RowDiffers, None, None, place, text);
        }
    }
    Ok(())
}
