//! Principals and their grants.

use super::role::Role;
use super::scope::{Ledgers, NewGrant, Scope};
use super::text;
use crate::ledger::{Id16, Timestamp};
use crate::store::access::{AccessStoreError, GrantRow, PrincipalRow};
use serde::Serialize;
use utoipa::ToSchema;

/// A role within a scope, held by a principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Grant {
    /// Random id.
    #[serde(with = "text::id")]
    #[schema(value_type = String)]
    pub id: Id16,
    /// The role.
    pub role: Role,
    /// Where it holds.
    pub scope: Scope,
    /// When it was given.
    #[serde(with = "text::time")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// Until when it holds.
    #[serde(with = "text::time_opt", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
    /// When someone ended it.
    #[serde(with = "text::time_opt", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
}

impl Grant {
    /// Whether it holds at `now`. One that was ended does not, even
    /// when the clock was set back since.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.ended.is_none() && self.expires.is_none_or(|t| now < t)
    }

    /// Whether it reaches this ledger. A role that is about cases reaches a ledger only if its grant lists a case there.
    pub(super) fn reaches(&self, ledger: &str) -> bool {
        self.scope.ledgers.contains(ledger)
            && (!self.role.is_about_cases() || self.scope.cases.any_in(ledger))
    }

    pub(super) fn new(id: Id16, grant: &NewGrant, created: Timestamp) -> Self {
        Self {
            id,
            role: grant.role,
            scope: grant.scope.clone(),
            created,
            expires: grant.expires,
            ended: None,
        }
    }

    pub(super) fn row(&self, principal: Id16) -> Result<GrantRow, AccessStoreError> {
        Ok(GrantRow {
            id: self.id,
            principal,
            role: self.role.name().to_owned(),
            scope: serde_json::to_string(&self.scope)
                .map_err(|e| AccessStoreError::Corrupt(e.to_string()))?,
            created: self.created,
            expires: self.expires,
            ended: self.ended,
        })
    }
}

impl TryFrom<GrantRow> for Grant {
    type Error = AccessStoreError;

    fn try_from(row: GrantRow) -> Result<Self, AccessStoreError> {
        let corrupt =
            |e: &dyn std::fmt::Display| AccessStoreError::Corrupt(format!("grant {}: {e}", row.id));
        Ok(Self {
            id: row.id,
            role: row.role.parse().map_err(|e| corrupt(&e))?,
            scope: serde_json::from_str(&row.scope).map_err(|e| corrupt(&e))?,
            created: row.created,
            expires: row.expires,
            ended: row.ended,
        })
    }
}

/// A person, a producer or a service that can be told apart from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Principal {
    /// Random id; leaves name it as `producer`, accesses as their principal.
    #[serde(with = "text::id")]
    #[schema(value_type = String)]
    pub id: Id16,
    /// Name for people.
    pub name: String,
    /// When it was created.
    #[serde(with = "text::time")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was revoked, for ever.
    #[serde(with = "text::time_opt", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked: Option<Timestamp>,
    /// Its grants, the oldest first, those that no longer hold included.
    pub grants: Vec<Grant>,
}

impl Principal {
    pub(super) fn from_rows(
        row: PrincipalRow,
        grants: Vec<GrantRow>,
    ) -> Result<Self, AccessStoreError> {
        Ok(Self {
            id: row.id,
            name: row.name,
            created: row.created,
            revoked: row.revoked,
            grants: grants
                .into_iter()
                .map(Grant::try_from)
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn row(&self) -> PrincipalRow {
        PrincipalRow {
            id: self.id,
            name: self.name.clone(),
            created: self.created,
            revoked: self.revoked,
        }
    }

    /// Whether it has ended, whatever the clock says now.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.revoked.is_some()
    }

    /// Every ledger that it reaches or ever reached.
    pub(super) fn ledgers(&self) -> Ledgers {
        self.grants.iter().fold(Ledgers::none(), |all, grant| {
            all.union(&grant.scope.ledgers)
        })
    }

    /// Every ledger that it reaches at `now`.
    pub(super) fn ledgers_at(&self, now: Timestamp) -> Ledgers {
        self.grants
            .iter()
            .filter(|g| g.holds(now))
            .fold(Ledgers::none(), |all, g| all.union(&g.scope.ledgers))
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<Id16>,
}
