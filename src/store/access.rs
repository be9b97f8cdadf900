//! What the server keeps about principals, grants and tokens, as the store sees it: rows, and one way to change them.
//!
//! # Consistency contract
//! - There is one **generation**, a counter that moves by exactly one with every change. [`AccessStore::apply`] is a
//!   compare-and-swap on it: whoever read generation *n*, decided, and applies with *n*, has decided on what is there.
//! - A change and its outbox rows are **one transaction**: both are durable when `apply` returns `Ok`, or neither
//!   ever is. A change without an outbox row is refused, so nothing about access can change unrecorded.
//! - Reads see committed states only, and everything that one call returns comes from one state. A read that begins
//!   after `apply` returned `Ok`, in this process or in any other, sees the change.
//! - After an error of `apply` other than [`AccessStoreError::Stale`] the fate of the change may be unknown:
//!   read again before telling anyone.
//! - Every call may block on the disk; asynchronous callers run it where blocking is allowed.
//! - The store holds no token, only SHA-256 digests of tokens, and no case id, only keyed hashes inside `scope`. Roles,
//!   scopes and details are text whose meaning is the access room's business.

use crate::ledger::{Hash, Id16, Timestamp};

#[cfg(test)]
pub(crate) mod contract;

/// A principal's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalRow {
    /// Random id; leaves name it as `producer`.
    pub id: Id16,
    /// Name for people.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// When someone revoked it. None of its tokens counts any more, whatever a clock says.
    pub revoked: Option<Timestamp>,
}

/// A grant's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// Random id.
    pub id: Id16,
    /// Whose grant.
    pub principal: Id16,
    /// Name of the role.
    pub role: String,
    /// The scope, as JSON.
    pub scope: String,
    /// When it was given.
    pub created: Timestamp,
    /// From when it no longer counts, as given at the start.
    pub expires: Option<Timestamp>,
    /// When someone ended it. It counts no more, whatever a clock says.
    pub ended: Option<Timestamp>,
}

/// A token's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Random id, which is not secret.
    pub id: Id16,
    /// Whose token.
    pub principal: Id16,
    /// SHA-256 of the token's text.
    pub digest: Hash,
    /// When it was minted.
    pub created: Timestamp,
    /// From when it no longer counts: as given at the start, or earlier, the end of its rotation's grace period.
    pub expires: Option<Timestamp>,
    /// When someone revoked it, or rotated it without grace. It counts no more, whatever a clock says.
    pub revoked: Option<Timestamp>,
    /// When it was rotated.
    pub rotated: Option<Timestamp>,
    /// The token that took its place.
    pub replaced_by: Option<Id16>,
}

/// One step of a change. Steps apply in the order given; each sees those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Adds a principal; its id must be new.
    AddPrincipal(PrincipalRow),
    /// Ends a principal for ever.
    RevokePrincipal {
        /// Which.
        id: Id16,
        /// When.
        at: Timestamp,
    },
    /// Adds a grant to an existing principal.
    AddGrant(GrantRow),
    /// Ends a grant for ever.
    EndGrant {
        /// Which.
        id: Id16,
        /// When.
        at: Timestamp,
    },
    /// Adds a token to an existing principal; its digest must be new.
    AddToken(TokenRow),
    /// Ends a token for ever.
    RevokeToken {
        /// Which.
        id: Id16,
        /// When.
        at: Timestamp,
    },
    /// Sets when a token was rotated and what took its place, and ends it.
    RotateToken {
        /// Which.
        id: Id16,
        /// Until when it still counts, which replaces its `expires`; `None` revokes it.
        grace_ends: Option<Timestamp>,
        /// When it was rotated.
        at: Timestamp,
        /// Its successor, present when the transaction ends.
        by: Id16,
    },
}

/// The ledgers that something concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerSet {
    /// All, those still to be created included.
    All,
    /// These.
    Only(Vec<String>),
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRow {
    /// Random id: the id of the ledger entry that will record the change, so that recording twice is one entry.
    pub id: Id16,
    /// When.
    pub time: Timestamp,
    /// Who; `None` is someone with a shell on the server's machine, or the server's first start.
    pub by: Option<Id16>,
    /// What kind of change.
    pub kind: String,
    /// Whose access changed.
    pub principal: Id16,
    /// More about it, as JSON, without secrets.
    pub details: String,
    /// Ledgers that must record it.
    pub ledgers: LedgerSet,
}

/// A change that some ledgers still have to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRow {
    /// The change.
    pub change: ChangeRow,
    /// Those of the ledgers asked about that it concerns and that have not recorded it, in the order asked.
    pub missing: Vec<String>,
}

/// What a token's digest leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The token.
    pub token: TokenRow,
    /// Its principal.
    pub principal: PrincipalRow,
    /// All grants of the principal, ended ones included.
    pub grants: Vec<GrantRow>,
}

/// Why the store could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessStoreError {
    /// The generation is not the expected one: someone else changed something. Nothing was done; read and decide again.
    #[error("someone else changed principals or tokens at the same time")]
    Stale,
    /// A step names a row that is not there. Nothing was done.
    #[error("there is no {what} {id}")]
    Missing {
        /// What kind of row.
        what: &'static str,
        /// Its id.
        id: Id16,
    },
    /// A row breaks a rule of the database: an id or digest that is there already, an unknown principal. Nothing was done.
    #[error("the change contradicts what is stored: {0}")]
    Conflict(String),
    /// A change without an outbox row. Nothing was done.
    #[error("a change of access must come with its record")]
    Unrecorded,
    /// The database could not be read or written.
    #[error("the server's database is not available: {0}")]
    Unavailable(String),
    /// What is stored cannot be understood.
    #[error("the server's database holds something that this program cannot read: {0}")]
    Corrupt(String),
}

/// Principals, grants, tokens and their outbox. The module's text is the contract of every method.
pub trait AccessStore: Send + Sync {
    /// The current generation; 0 for a store in which nothing was ever changed. Cheap enough for every request.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn generation(&self) -> Result<u64, AccessStoreError>;

    /// The token with this digest, its principal and grants, and the generation of the state that they were read from.
    /// Ended, expired and revoked rows are returned as they are: the caller judges them against its own clock.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn find_token(&self, digest: &Hash) -> Result<(u64, Option<Found>), AccessStoreError>;

    /// Principals in ascending order of id, after `after`, at most `limit`, each with its grants, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn principals(
        &self,
        after: Option<Id16>,
        limit: usize,
    ) -> Result<Vec<(PrincipalRow, Vec<GrantRow>)>, AccessStoreError>;

    /// One principal with its grants, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn principal(
        &self,
        id: Id16,
    ) -> Result<Option<(PrincipalRow, Vec<GrantRow>)>, AccessStoreError>;

    /// Principals that hold or ever held a grant of this role, the oldest first, each with all its grants.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn principals_with_role(
        &self,
        role: &str,
    ) -> Result<Vec<(PrincipalRow, Vec<GrantRow>)>, AccessStoreError>;

    /// All tokens of a principal, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn tokens(&self, principal: Id16) -> Result<Vec<TokenRow>, AccessStoreError>;

    /// One token.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn token(&self, id: Id16) -> Result<Option<TokenRow>, AccessStoreError>;

    /// Applies `writes` and appends `changes` to the outbox in one transaction, if the generation is `expected`;
    /// the generation is then `expected + 1`, which is returned. Of several callers with the same `expected`, in
    /// however many processes, exactly one succeeds.
    ///
    /// # Errors
    /// [`AccessStoreError::Stale`] when the generation is another; the other kinds as they say.
    fn apply(
        &self,
        expected: u64,
        writes: &[Write],
        changes: &[ChangeRow],
    ) -> Result<u64, AccessStoreError>;

    /// Changes that concern one of `ledgers` and are not recorded there, oldest first, at most `limit`. A change that
    /// concerns all ledgers concerns those created later too. The answer can only grow by a call of `apply` or by
    /// another list, so whoever has seen it empty need not ask again before the generation moves.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn pending_changes(
        &self,
        ledgers: &[String],
        limit: usize,
    ) -> Result<Vec<PendingRow>, AccessStoreError>;

    /// Notes, durably, that `ledger` holds an entry for this change. Noting it twice is the same as once. Leaves the
    /// generation alone. Call it after the entry is durable: a crash in between has the change recorded again under
    /// the same id, and lost never.
    ///
    /// # Errors
    /// [`AccessStoreError::Missing`] when there is no such change; otherwise when the store cannot be written.
    fn mark_recorded(&self, change: Id16, ledger: &str) -> Result<(), AccessStoreError>;
}
