//! Reading a whole ledger in bulk, as it lies there: for whoever checks it.

use super::StoreError;

/// A stored entry, not judged: positions may be negative, lengths wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanEntry {
    /// The row's key.
    pub seq: i64,
    /// The leaf's bytes.
    pub leaf: Vec<u8>,
    /// The slot's id.
    pub slot: Option<Vec<u8>>,
    /// The sealed content, when it was asked for.
    pub sealed: Option<Vec<u8>>,
    /// Whether there is sealed content.
    pub is_sealed: bool,
}

/// A row of a table that is derived from the entries: its key's and its other columns' bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// An integer.
    Integer(i64),
    /// Bytes, or a text's bytes.
    Bytes(Vec<u8>),
    /// Nothing.
    Null,
}

/// A stored commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanCommitment {
    /// Number of entries.
    pub size: i64,
    /// Root.
    pub root: Vec<u8>,
    /// Id of the key that signs it.
    pub key_id: Vec<u8>,
    /// The signed checkpoint.
    pub note: Option<String>,
}

/// A stored cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanCosignature {
    /// Size of the checkpoint.
    pub size: i64,
    /// Name of the witness's key.
    pub name: String,
    /// Id of the witness's key.
    pub key_id: Vec<u8>,
    /// The signature line.
    pub line: String,
    /// The witness's time, in seconds since 1970.
    pub time: i64,
}

/// A stored report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanReport {
    /// Its id.
    pub id: Vec<u8>,
    /// Position of its entry.
    pub seq: i64,
    /// The case.
    pub pseudonym: Option<Vec<u8>>,
    /// Who asked.
    pub requester: Vec<u8>,
    /// The signed envelope.
    pub envelope: String,
}

/// A row of the database's own schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaItem {
    /// `table`, `index`, `trigger` or `view`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its definition; absent for an index that a constraint makes.
    pub sql: Option<String>,
}

/// Tables whose rows are derived from entries and content, with rows of a fixed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Derived {
    /// `eid`, `seq`.
    Identity,
    /// `pseudonym`, `case_seq`, `seq`.
    CaseEntry,
    /// `trace`, `seq`.
    TraceEntry,
    /// `type_id`, `seq`.
    TypeEntry,
    /// `blind`, `seq`.
    Lookup,
    /// `pseudonym`, `blind`, `slot`.
    CaseFile,
    /// `trace`, `slot`.
    TraceSlot,
}

/// Reads one state of a ledger from end to end.
///
/// # Contract
/// - All calls on one scan see the state of one moment, whatever is written meanwhile; a writer is not held up.
/// - Nothing is changed, ever, and nothing is judged: rows come as they are stored, in ascending order of their keys.
/// - A page has at most `limit` rows; an empty page is the end. `after` is the key of the last row of the page before.
/// - Memory is bounded by `limit` rows.
pub trait LedgerScan: Send {
    /// What the database says it holds: every table, index, trigger and view.
    ///
    /// # Errors
    /// When storage fails.
    fn schema(&mut self) -> Result<Vec<SchemaItem>, StoreError>;
    /// What this program makes in a new database of the same version.
    ///
    /// # Errors
    /// When storage fails, or the database is of a newer version.
    fn expected_schema(&mut self) -> Result<Vec<SchemaItem>, StoreError>;
    /// The rows of `head`: id, size, root.
    ///
    /// # Errors
    /// When storage fails.
    fn heads(&mut self) -> Result<Vec<(i64, i64, Vec<u8>)>, StoreError>;
    /// Entries after a position; `content` says whether sealed content is read as well.
    ///
    /// # Errors
    /// When storage fails.
    fn entries(
        &mut self,
        after: Option<i64>,
        limit: usize,
        content: bool,
    ) -> Result<Vec<ScanEntry>, StoreError>;
    /// Nodes after a position.
    ///
    /// # Errors
    /// When storage fails.
    fn nodes(
        &mut self,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(i64, Vec<u8>)>, StoreError>;
    /// Commits after a size.
    ///
    /// # Errors
    /// When storage fails.
    fn commitments(
        &mut self,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<ScanCommitment>, StoreError>;
    /// All cosignatures of the next size, after a size, that has any.
    ///
    /// # Errors
    /// When storage fails.
    fn cosignatures(&mut self, after: Option<i64>) -> Result<Vec<ScanCosignature>, StoreError>;
    /// What was put at anchors: place, size, root.
    ///
    /// # Errors
    /// When storage fails.
    fn anchors(&mut self) -> Result<Vec<(String, i64, Vec<u8>)>, StoreError>;
    /// The type names with their numbers.
    ///
    /// # Errors
    /// When storage fails.
    fn type_names(&mut self) -> Result<Vec<(i64, String)>, StoreError>;
    /// Rows of a derived table after a row.
    ///
    /// # Errors
    /// When storage fails.
    fn derived(
        &mut self,
        table: Derived,
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>, StoreError>;
    /// Reports after an id.
    ///
    /// # Errors
    /// When storage fails.
    fn reports(
        &mut self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<ScanReport>, StoreError>;
    /// Catalogues: digest and text.
    ///
    /// # Errors
    /// When storage fails.
    fn catalogues(&mut self) -> Result<Vec<(Vec<u8>, String)>, StoreError>;
}
