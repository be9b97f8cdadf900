//! What a copy of a ledger needs beside its entries.

use super::{CaseFile, Commitment, ReportRow, Slot, StoreError};
use crate::ledger::{Hash, Id16};

/// Reading what belongs to a ledger page by page, to take a copy of it.
///
/// # Contract
/// - Rows come in the order of their keys, after the key given, at most `limit`; a page that is shorter is the last.
/// - Each call sees one state that some commit left behind. Rows that are added between two pages may be missed: a copy
///   speaks of the entries below a size, and what belongs to these was there when the copy began.
pub trait ArchiveReader: Send + Sync {
    /// Commitments of sizes from `from` on.
    ///
    /// # Errors
    /// When storage fails.
    fn commitments(&self, from: u64, limit: usize) -> Result<Vec<Commitment>, StoreError>;
    /// Cases, by blind image.
    ///
    /// # Errors
    /// When storage fails.
    fn case_files(&self, after: Option<Id16>, limit: usize) -> Result<Vec<CaseFile>, StoreError>;
    /// Slots of traces without a case, by trace.
    ///
    /// # Errors
    /// When storage fails.
    fn trace_slots(
        &self,
        after: Option<Id16>,
        limit: usize,
    ) -> Result<Vec<(Id16, Slot)>, StoreError>;
    /// Blind images by which entries are found, with positions.
    ///
    /// # Errors
    /// When storage fails.
    fn lookups(
        &self,
        after: Option<(Id16, u64)>,
        limit: usize,
    ) -> Result<Vec<(Id16, u64)>, StoreError>;
    /// Reports, by id.
    ///
    /// # Errors
    /// When storage fails.
    fn reports(&self, after: Option<Id16>, limit: usize) -> Result<Vec<ReportRow>, StoreError>;
    /// Message catalogues, by digest.
    ///
    /// # Errors
    /// When storage fails.
    fn catalogues(
        &self,
        after: Option<Hash>,
        limit: usize,
    ) -> Result<Vec<(Hash, String)>, StoreError>;
}

/// Writing a copy of a ledger, beside [`super::Transaction`]: what an append never does.
pub trait ArchiveTransaction: super::Transaction {
    /// Writes commitments, with their checkpoints, of sizes below that of the commitment that ends this transaction.
    ///
    /// # Errors
    /// When storage fails or one is there.
    fn put_commitments(&mut self, commitments: &[Commitment]) -> Result<(), StoreError>;
    /// Writes blind images of entries that are there already.
    ///
    /// # Errors
    /// When storage fails or a row is there.
    fn put_lookups(&mut self, lookups: &[(Id16, u64)]) -> Result<(), StoreError>;
    /// Writes a message catalogue.
    ///
    /// # Errors
    /// When storage fails.
    fn put_catalogue(&mut self, text: &str) -> Result<(), StoreError>;
}
