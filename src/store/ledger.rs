//! The storage of one ledger.

use crate::ledger::tree::NodeId;
use crate::ledger::{Hash, Id16, Timestamp};

/// Why storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The backend refused or broke. Nothing of the transaction may be assumed, neither that it is there nor that it is not.
    #[error("the ledger's database failed: {0}")]
    Backend(String),
    /// The backend is full, read-only or locked by others; nothing was written, and trying again later may work.
    #[error("the ledger's database cannot be written now: {0}")]
    Unavailable(String),
    /// Somebody else moved the head.
    #[error("the head of the ledger was moved by somebody else")]
    HeadMoved,
    /// What is stored cannot be.
    #[error("the ledger's database is damaged: {0}")]
    Damaged(String),
    /// The database is of another version.
    #[error("the ledger's database {0}")]
    Version(String),
}

/// Which slot of the keyring an entry's content is sealed under; opaque here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(pub [u8; 12]);

/// The tree head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
}

/// An entry to be written. All that is not the leaf is derived from it or sealed beside it.
#[derive(Debug, Clone)]
pub struct EntryRow {
    /// Position.
    pub seq: u64,
    /// The leaf's exact bytes.
    pub leaf: Vec<u8>,
    /// Event type.
    pub kind: String,
    /// Identity.
    pub eid: Hash,
    /// Case pseudonym and position within the case.
    pub case: Option<(Id16, u64)>,
    /// Trace.
    pub trace: Option<Id16>,
    /// Slot and sealed disclosures.
    pub sealed: Option<(Slot, Vec<u8>)>,
    /// Blind images by which the entry is found.
    pub lookups: Vec<Id16>,
}

/// A stored entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Position.
    pub seq: u64,
    /// The leaf's exact bytes.
    pub leaf: Vec<u8>,
    /// Slot and sealed disclosures; `None` where there is no content, or none any more.
    pub sealed: Option<(Slot, Vec<u8>)>,
}

/// What a case id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseFile {
    /// Keyed image of the case id.
    pub blind: Id16,
    /// The case's pseudonym in the leaves.
    pub pseudonym: Id16,
    /// What its content is sealed under.
    pub slot: Slot,
}

/// A commit: the head that it led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commitment {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Hash,
    /// Id of the key that signs it.
    pub key_id: [u8; 4],
    /// The signed checkpoint, once it is stored.
    pub note: Option<String>,
}

/// A report to be stored with its `report.issued` entry.
#[derive(Debug, Clone)]
pub struct NewReport {
    /// Its id.
    pub id: Id16,
    /// Who asked for it.
    pub requester: Id16,
    /// The signed envelope.
    pub envelope: String,
    /// The texts of the message catalogues that it was signed with; stored under their SHA-256.
    pub catalogues: Vec<String>,
}

/// A stored report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// Its id.
    pub id: Id16,
    /// Position of its `report.issued`.
    pub seq: u64,
    /// The case that it is about.
    pub pseudonym: Option<Id16>,
    /// Who asked for it.
    pub requester: Id16,
    /// The signed envelope.
    pub envelope: String,
}

/// A witness's cosignature on a checkpoint of this ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Size of the checkpoint.
    pub size: u64,
    /// Name of the witness's key.
    pub name: String,
    /// Id of the witness's key.
    pub key_id: [u8; 4],
    /// The signature line of the note, with its line feed.
    pub line: String,
    /// When the witness says that it signed, in seconds since 1970.
    pub time: u64,
}

/// A checkpoint that lies at an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchored {
    /// Where: as configured.
    pub place: String,
    /// Size of the checkpoint.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// When it was put there, by this machine's clock.
    pub time: Timestamp,
}

/// Which entries; all given conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct EntryQuery {
    /// Of this case.
    pub case: Option<Id16>,
    /// Of this trace.
    pub trace: Option<Id16>,
    /// Of this type.
    pub kind: Option<String>,
    /// Found by this blind image.
    pub lookup: Option<Id16>,
    /// From this position.
    pub from: u64,
    /// Below this position.
    pub below: u64,
    /// At most so many.
    pub limit: usize,
}

/// Reading a ledger. Safe from many threads.
///
/// # Contract
/// - Each call sees one state that some commit left behind, never a part of a commit.
/// - After [`Transaction::commit`] returned, every later call, on any reader of this ledger, sees at least that commit.
/// - Entries, nodes, identities and commitments never change once seen; `sealed` may become absent (erasure), a
///   commitment's `note` may become present.
/// - Results come in ledger order.
pub trait LedgerReader: Send + Sync {
    /// The head.
    ///
    /// # Errors
    /// When storage fails or holds no head.
    fn head(&self) -> Result<Head, StoreError>;
    /// Positions of the entries with these identities, in the order asked; `None` where there is none.
    ///
    /// # Errors
    /// When storage fails.
    fn find_identities(&self, eids: &[Hash]) -> Result<Vec<Option<u64>>, StoreError>;
    /// The entry at a position.
    ///
    /// # Errors
    /// When storage fails.
    fn entry(&self, seq: u64) -> Result<Option<StoredEntry>, StoreError>;
    /// The entries that a query asks for.
    ///
    /// # Errors
    /// When storage fails.
    fn entries(&self, query: &EntryQuery) -> Result<Vec<StoredEntry>, StoreError>;
    /// Hashes of complete subtrees, in the order asked. A node that is not there is an error: whoever asks knows the size.
    ///
    /// # Errors
    /// When storage fails or lacks a node.
    fn nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, StoreError>;
    /// The first commitment of at least this size: the one that an entry at `size - 1` was committed by.
    ///
    /// # Errors
    /// When storage fails.
    fn commitment_at_least(&self, size: u64) -> Result<Option<Commitment>, StoreError>;
    /// The last commitment of at most this size.
    ///
    /// # Errors
    /// When storage fails.
    fn commitment_at_most(&self, size: u64) -> Result<Option<Commitment>, StoreError>;
    /// Commitments without a stored checkpoint, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When storage fails.
    fn unsigned_commitments(&self, limit: usize) -> Result<Vec<Commitment>, StoreError>;
    /// The case behind a blind image.
    ///
    /// # Errors
    /// When storage fails.
    fn case_by_blind(&self, blind: &Id16) -> Result<Option<CaseFile>, StoreError>;
    /// The case behind a pseudonym, while its row is there.
    ///
    /// # Errors
    /// When storage fails.
    fn case_by_pseudonym(&self, pseudonym: &Id16) -> Result<Option<CaseFile>, StoreError>;
    /// The last entry of a case: its position in the case and in the ledger.
    ///
    /// # Errors
    /// When storage fails.
    fn case_tail(&self, pseudonym: &Id16) -> Result<Option<(u64, u64)>, StoreError>;
    /// What a trace without a case is sealed under.
    ///
    /// # Errors
    /// When storage fails.
    fn trace_slot(&self, trace: &Id16) -> Result<Option<Slot>, StoreError>;
    /// Every slot that stored content is sealed under, or that a case or trace will use, each once, after `after`
    /// in byte order, at most `limit`.
    ///
    /// # Errors
    /// When storage fails.
    fn slots(&self, after: Option<Slot>, limit: usize) -> Result<Vec<Slot>, StoreError>;
    /// A report.
    ///
    /// # Errors
    /// When storage fails.
    fn report(&self, id: &Id16) -> Result<Option<ReportRow>, StoreError>;
    /// The text of a message catalogue that a report was signed with, by its SHA-256.
    ///
    /// # Errors
    /// When storage fails.
    fn catalogue(&self, digest: &Hash) -> Result<Option<String>, StoreError>;
    /// The cosignatures on the checkpoint of a size, by name and key id.
    ///
    /// # Errors
    /// When storage fails.
    fn cosignatures(&self, size: u64) -> Result<Vec<Cosignature>, StoreError>;
    /// Sizes above `above` whose checkpoint has a cosignature, the largest first, at most `limit`.
    ///
    /// # Errors
    /// When storage fails.
    fn cosigned_sizes(&self, above: u64, limit: usize) -> Result<Vec<u64>, StoreError>;
    /// The cosignature with the largest size that a key gave.
    ///
    /// # Errors
    /// When storage fails.
    fn newest_cosigned(
        &self,
        name: &str,
        key_id: [u8; 4],
    ) -> Result<Option<Cosignature>, StoreError>;
    /// The largest checkpoint at each anchor, by place.
    ///
    /// # Errors
    /// When storage fails.
    fn newest_anchors(&self) -> Result<Vec<Anchored>, StoreError>;
}

/// Writing a ledger. There is one writer.
pub trait LedgerWriter: Send {
    /// Starts a transaction that holds the head: until it ends, nobody else can move it.
    ///
    /// # Errors
    /// When storage fails or is locked.
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, StoreError>;
}

/// A transaction. Dropped without [`Transaction::commit`], it leaves nothing behind.
///
/// # Contract
/// - [`Transaction::head`] is the head that this transaction holds.
/// - What is put is seen by no reader before [`Transaction::commit`].
/// - `commit` returns `Ok` only when everything that was put is durable: it survives the loss of the process and of
///   power. It replaces the head only if head and size are still those that [`Transaction::head`] gave, else
///   [`StoreError::HeadMoved`] and nothing is written.
/// - When `commit` fails with [`StoreError::Backend`], its fate is unknown: the caller reads the head again before it
///   answers anyone.
/// - An identity, a position or a case position that is taken fails the transaction; the caller has looked before.
pub trait Transaction {
    /// The head that this transaction holds.
    fn head(&self) -> Head;
    /// Positions of identities, as [`LedgerReader::find_identities`], within this transaction.
    ///
    /// # Errors
    /// When storage fails.
    fn find_identities(&mut self, eids: &[Hash]) -> Result<Vec<Option<u64>>, StoreError>;
    /// The last entry of a case, within this transaction.
    ///
    /// # Errors
    /// When storage fails.
    fn case_tail(&mut self, pseudonym: &Id16) -> Result<Option<(u64, u64)>, StoreError>;
    /// Writes entries with all their index rows.
    ///
    /// # Errors
    /// When storage fails or a row is taken.
    fn put_entries(&mut self, entries: &[EntryRow]) -> Result<(), StoreError>;
    /// Writes complete subtrees.
    ///
    /// # Errors
    /// When storage fails or a node is there.
    fn put_nodes(&mut self, nodes: &[(NodeId, Hash)]) -> Result<(), StoreError>;
    /// Writes cases. A blind image that has a case keeps it, and the call gives the case that stands.
    ///
    /// # Errors
    /// When storage fails.
    fn put_case(&mut self, case: &CaseFile) -> Result<CaseFile, StoreError>;
    /// Writes a trace's slot. A trace that has one keeps it, and the call gives the slot that stands.
    ///
    /// # Errors
    /// When storage fails.
    fn put_trace_slot(&mut self, trace: &Id16, slot: Slot) -> Result<Slot, StoreError>;
    /// Writes a report beside its entry.
    ///
    /// # Errors
    /// When storage fails.
    fn put_report(
        &mut self,
        report: &NewReport,
        seq: u64,
        pseudonym: Option<Id16>,
    ) -> Result<(), StoreError>;
    /// Writes the signed checkpoint of an earlier commit.
    ///
    /// # Errors
    /// When storage fails.
    fn put_note(&mut self, size: u64, note: &str) -> Result<(), StoreError>;
    /// Writes a cosignature. Of one key on one size, the newest by the witness's time stands.
    ///
    /// # Errors
    /// When storage fails.
    fn put_cosignature(&mut self, cosignature: &Cosignature) -> Result<(), StoreError>;
    /// Writes that a checkpoint lies at an anchor. The first word of one size and place stands.
    ///
    /// # Errors
    /// When storage fails.
    fn put_anchored(&mut self, anchored: &Anchored) -> Result<(), StoreError>;
    /// Ends the transaction; see the contract. `next` is `None` when no entries were put.
    ///
    /// # Errors
    /// See the contract.
    fn commit(self: Box<Self>, next: Option<&Commitment>) -> Result<(), StoreError>;
}
