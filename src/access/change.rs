//! The record of what changed, on its way into the ledgers.

use super::principal::{Grant, Principal};
use super::role::Role;
use super::scope::{Cases, Ledgers};
use super::text;
use crate::ledger::{Id16, Timestamp};
use crate::store::access::{AccessStoreError, ChangeRow, LedgerSet, PendingRow};
use serde::{Deserialize, Serialize};

/// What kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The first administrator, made at the first start.
    AdministratorCreated,
    /// A new token for the administrator, made on the server's machine.
    AdministratorRecovered,
    /// A principal with its first grants.
    PrincipalCreated,
    /// A principal ended, and all its tokens with it.
    PrincipalRevoked,
    /// One more grant.
    GrantAdded,
    /// A grant ended.
    GrantEnded,
    /// One more token.
    TokenMinted,
    /// A token replaced by a new one.
    TokenRotated,
    /// A token ended.
    TokenRevoked,
}

impl ChangeKind {
    const NAMES: [(Self, &str); 9] = [
        (Self::AdministratorCreated, "administrator_created"),
        (Self::AdministratorRecovered, "administrator_recovered"),
        (Self::PrincipalCreated, "principal_created"),
        (Self::PrincipalRevoked, "principal_revoked"),
        (Self::GrantAdded, "grant_added"),
        (Self::GrantEnded, "grant_ended"),
        (Self::TokenMinted, "token_minted"),
        (Self::TokenRotated, "token_rotated"),
        (Self::TokenRevoked, "token_revoked"),
    ];

    /// The name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|row| row.0 == self)
            .map_or("", |row| row.1)
    }
}

/// A grant, as the record tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantNote {
    /// Its id.
    #[serde(with = "text::id")]
    pub id: Id16,
    /// The role.
    pub role: Role,
    /// In which ledgers.
    pub ledgers: Ledgers,
    /// For which sources.
    pub sources: Vec<String>,
    /// About which cases, blinded.
    pub cases: Cases,
    /// Until when.
    #[serde(
        default,
        with = "text::time_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires: Option<Timestamp>,
}

impl From<&Grant> for GrantNote {
    fn from(grant: &Grant) -> Self {
        Self {
            id: grant.id,
            role: grant.role,
            ledgers: grant.scope.ledgers.clone(),
            sources: grant.scope.sources.iter().cloned().collect(),
            cases: grant.scope.cases.clone(),
            expires: grant.expires,
        }
    }
}

/// A token, as the record tells it: never its text, nor its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenNote {
    /// Its id.
    #[serde(with = "text::id")]
    pub id: Id16,
    /// Until when it counts.
    #[serde(
        default,
        with = "text::time_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires: Option<Timestamp>,
    /// The token that it replaces.
    #[serde(
        default,
        with = "text::id_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub replaces: Option<Id16>,
    /// From when the replaced token is refused.
    #[serde(
        default,
        with = "text::time_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub replaced_ends: Option<Timestamp>,
}

/// More about a change; no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeDetails {
    /// The principal's name.
    pub name: String,
    /// The grants given or ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantNote>,
    /// The token minted or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenNote>,
}

/// One change of who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Random id, and the id of the entries that record it: recording twice is one entry.
    pub id: Id16,
    /// When.
    pub time: Timestamp,
    /// Who; `None` is someone with a shell on the server's machine, or the server's first start.
    pub by: Option<Id16>,
    /// What kind.
    pub kind: ChangeKind,
    /// Whose access changed.
    pub principal: Id16,
    /// More about it, over all ledgers; a ledger records [`PendingChange::details_for`] itself.
    pub details: ChangeDetails,
    /// The ledgers that must record it: all that the principal reaches or ever reached.
    pub ledgers: Ledgers,
}

/// A change that some ledgers still have to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingChange {
    /// The change.
    pub change: Change,
    /// The ledgers that have not recorded it, of those asked about.
    pub missing: Vec<String>,
}

impl PendingChange {
    /// The details as this ledger's record may tell them: nothing about what the principal has in another ledger.
    #[must_use]
    pub fn details_for(&self, ledger: &str) -> ChangeDetails {
        let mut details = self.change.details.clone();
        details
            .grants
            .retain(|grant| grant.ledgers.contains(ledger));
        for grant in &mut details.grants {
            if grant.ledgers != Ledgers::All {
                grant.ledgers = Ledgers::one(ledger);
            }
            if let Cases::Only(ledgers) = &mut grant.cases {
                ledgers.retain(|name, _| name == ledger);
            }
        }
        details
    }
}

impl Change {
    /// A change of `principal` as it is after the change. Other members are set by whoever makes it.
    pub(super) fn of(
        id: Id16,
        time: Timestamp,
        by: Option<Id16>,
        kind: ChangeKind,
        principal: &Principal,
    ) -> Self {
        Self {
            id,
            time,
            by,
            kind,
            principal: principal.id,
            details: ChangeDetails {
                name: principal.name.clone(),
                grants: Vec::new(),
                token: None,
            },
            ledgers: principal.ledgers(),
        }
    }

    pub(super) fn with_grants<'a>(mut self, grants: impl IntoIterator<Item = &'a Grant>) -> Self {
        self.details.grants = grants.into_iter().map(GrantNote::from).collect();
        self
    }

    /// A grant is the business of the ledgers that it reaches, not of the principal's others.
    pub(super) fn about_one_grant(mut self, grant: &Grant) -> Self {
        self.ledgers = grant.scope.ledgers.clone();
        self.with_grants([grant])
    }

    pub(super) fn with_token(mut self, token: TokenNote) -> Self {
        self.details.token = Some(token);
        self
    }

    pub(super) fn row(&self) -> Result<ChangeRow, AccessStoreError> {
        Ok(ChangeRow {
            id: self.id,
            time: self.time,
            by: self.by,
            kind: self.kind.name().to_owned(),
            principal: self.principal,
            details: serde_json::to_string(&self.details)
                .map_err(|e| AccessStoreError::Corrupt(e.to_string()))?,
            ledgers: match &self.ledgers {
                Ledgers::All => LedgerSet::All,
                Ledgers::Only(names) => LedgerSet::Only(names.iter().cloned().collect()),
            },
        })
    }
}

impl TryFrom<PendingRow> for PendingChange {
    type Error = AccessStoreError;

    fn try_from(row: PendingRow) -> Result<Self, AccessStoreError> {
        let PendingRow {
            change: row,
            missing,
        } = row;
        let corrupt = |e: String| AccessStoreError::Corrupt(format!("change {}: {e}", row.id));
        let kind = ChangeKind::NAMES.iter().find(|known| known.1 == row.kind);
        let change = Change {
            id: row.id,
            time: row.time,
            by: row.by,
            kind: kind
                .ok_or_else(|| corrupt(format!("unknown kind {:?}", row.kind)))?
                .0,
            principal: row.principal,
            details: serde_json::from_str(&row.details).map_err(|e| corrupt(e.to_string()))?,
            ledgers: match row.ledgers {
                LedgerSet::All => Ledgers::All,
                LedgerSet::Only(names) => Ledgers::Only(names.into_iter().collect()),
            },
        };
        Ok(Self { change, missing })
    }
}
