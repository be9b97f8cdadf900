//! What storage must do, and the backends that do it.
//!
//! The traits state their consistency contract in prose; `contract` checks each backend against it.

pub mod ledger;
pub mod sqlite;

pub use ledger::{
    CaseFile, Commitment, EntryQuery, EntryRow, Head, LedgerReader, LedgerWriter, NewReport,
    ReportRow, Slot, StoreError, StoredEntry, Transaction,
};

#[cfg(test)]
mod contract;
