//! What lies beside the entries and is not computed from them: head, schema, origin file.

use std::collections::BTreeMap;

use crate::audit::AuditError;
use crate::ledger::Hash;
use crate::sequencer::LedgerPaths;
use crate::store::StoreError;
use crate::store::scan::{LedgerScan, SchemaItem};
use crate::verify::ledger::{LedgerCode, LedgerLog};

/// The stored head.
pub(super) struct Head {
    /// Number of entries; `None` when the row is absent or no head can have its values.
    pub size: Option<u64>,
    root: Vec<u8>,
    rows: usize,
}

pub(super) fn head(scan: &mut dyn LedgerScan) -> Result<Head, StoreError> {
    let rows = scan.heads()?;
    let count = rows.len();
    let first = rows.into_iter().find(|(id, ..)| *id == 1);
    Ok(match first {
        Some((_, size, root)) => Head {
            size: u64::try_from(size).ok(),
            root,
            rows: count,
        },
        None => Head {
            size: None,
            root: Vec::new(),
            rows: count,
        },
    })
}

impl Head {
    /// Compares the head's root with the tree.
    pub fn compare(&self, root: &Hash, log: &mut LedgerLog) {
        if self.size.is_none() || self.rows != 1 {
            let text = "The table `head` does not hold the one row that it must hold: the service cannot go on writing.";
            log.add(LedgerCode::RowAbsent, None, None, "table head", text);
        } else if self.root != root.0 {
            let text = "The root in the table `head` is not that of the entries: the service would refuse to start.";
            log.add(
                LedgerCode::RowDiffers,
                None,
                None,
                "table head, id 1, column root",
                text,
            );
        }
    }
}

/// Compares what the database says it holds with what this program makes.
pub(super) fn schema(scan: &mut dyn LedgerScan, log: &mut LedgerLog) -> Result<(), StoreError> {
    // What ANALYZE leaves behind steers the order in which SQLite looks, and no answer.
    let own = |items: Vec<SchemaItem>| -> BTreeMap<(String, String), Option<String>> {
        let kept = items
            .into_iter()
            .filter(|i| !i.name.starts_with("sqlite_stat"));
        kept.map(|i| ((i.kind, i.name), i.sql)).collect()
    };
    let have = own(scan.schema()?);
    let want = own(scan.expected_schema()?);
    for ((kind, name), sql) in &have {
        let why = match want.get(&(kind.clone(), name.clone())) {
            None => "is one that this program does not make",
            Some(theirs) if theirs != sql => "is defined otherwise than this program defines it",
            Some(_) => continue,
        };
        let text = format!(
            "The {kind} `{name}` of the database {why}: somebody with access to the file made it, and what it does to what is written or read is unknown."
        );
        log.add(
            LedgerCode::SchemaDiffers,
            None,
            None,
            format!("{kind} {name}"),
            text,
        );
    }
    for (kind, name) in want.keys().filter(|k| !have.contains_key(k)) {
        let text = format!("The {kind} `{name}` that this program makes is not in the database.");
        log.add(
            LedgerCode::SchemaDiffers,
            None,
            None,
            format!("{kind} {name}"),
            text,
        );
    }
    Ok(())
}

/// Compares the file that says which ledger this is.
pub(super) fn origin_file(
    paths: &LedgerPaths,
    origin: &str,
    log: &mut LedgerLog,
) -> Result<(), AuditError> {
    let path = paths.ledger.join("origin");
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim_end() == origin => {}
        Ok(text) => {
            let text = format!(
                "The file `origin` names the ledger `{}`, and the pinned key is of `{origin}`.",
                text.trim_end()
            );
            log.add(LedgerCode::OriginDiffers, None, None, "file origin", text);
        }
        // A copy of the database alone comes without it.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
            log.add(
                LedgerCode::OriginDiffers,
                None,
                None,
                "file origin",
                "The file `origin` is not text.",
            );
        }
        Err(e) => return Err(e.into()),
    }
    Ok(())
}
