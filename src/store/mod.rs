//! What storage must do, and the backends that do it.
//!
//! The traits state their consistency contract in prose; contract suites check each backend against it.

pub mod access;
pub mod archive;
pub mod ledger;
pub mod scan;
pub mod sqlite;
pub mod sqlite_server;

pub use ledger::{
    Anchored, CaseFile, Commitment, Cosignature, EntryQuery, EntryRow, Head, LedgerReader,
    LedgerWriter, NewReport, ReportRow, Slot, StoreError, StoredEntry, Transaction,
};

#[cfg(test)]
mod contract;
