//! Rows as the database holds them, and their way to the store's types and back.

use super::schema;
use crate::ledger::{Hash, Id16, Timestamp};
use crate::store::access::{
    AccessStoreError, ChangeRow, GrantRow, LedgerSet, PrincipalRow, TokenRow,
};
use diesel::prelude::*;

fn id(bytes: &[u8]) -> Result<Id16, AccessStoreError> {
    Id16::from_slice(bytes)
        .ok_or_else(|| AccessStoreError::Corrupt("an id that is not 16 bytes long".to_owned()))
}

fn time(micros: i64) -> Result<Timestamp, AccessStoreError> {
    Timestamp::from_micros(micros)
        .ok_or_else(|| AccessStoreError::Corrupt(format!("a time outside the calendar: {micros}")))
}

fn time_opt(micros: Option<i64>) -> Result<Option<Timestamp>, AccessStoreError> {
    micros.map(time).transpose()
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = schema::principal, check_for_backend(diesel::sqlite::Sqlite))]
pub(super) struct DbPrincipal {
    pub(super) id: Vec<u8>,
    name: String,
    created: i64,
    revoked: Option<i64>,
}

impl From<&PrincipalRow> for DbPrincipal {
    fn from(row: &PrincipalRow) -> Self {
        Self {
            id: row.id.0.to_vec(),
            name: row.name.clone(),
            created: row.created.micros(),
            revoked: row.revoked.map(Timestamp::micros),
        }
    }
}

impl TryFrom<DbPrincipal> for PrincipalRow {
    type Error = AccessStoreError;

    fn try_from(row: DbPrincipal) -> Result<Self, AccessStoreError> {
        Ok(Self {
            id: id(&row.id)?,
            name: row.name,
            created: time(row.created)?,
            revoked: time_opt(row.revoked)?,
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = schema::access_grant, check_for_backend(diesel::sqlite::Sqlite))]
pub(super) struct DbGrant {
    id: Vec<u8>,
    principal: Vec<u8>,
    role: String,
    scope: String,
    created: i64,
    expires: Option<i64>,
    ended: Option<i64>,
}

impl From<&GrantRow> for DbGrant {
    fn from(row: &GrantRow) -> Self {
        Self {
            id: row.id.0.to_vec(),
            principal: row.principal.0.to_vec(),
            role: row.role.clone(),
            scope: row.scope.clone(),
            created: row.created.micros(),
            expires: row.expires.map(Timestamp::micros),
            ended: row.ended.map(Timestamp::micros),
        }
    }
}

impl TryFrom<DbGrant> for GrantRow {
    type Error = AccessStoreError;

    fn try_from(row: DbGrant) -> Result<Self, AccessStoreError> {
        Ok(Self {
            id: id(&row.id)?,
            principal: id(&row.principal)?,
            role: row.role,
            scope: row.scope,
            created: time(row.created)?,
            expires: time_opt(row.expires)?,
            ended: time_opt(row.ended)?,
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = schema::token, check_for_backend(diesel::sqlite::Sqlite))]
pub(super) struct DbToken {
    id: Vec<u8>,
    pub(super) principal: Vec<u8>,
    digest: Vec<u8>,
    created: i64,
    expires: Option<i64>,
    revoked: Option<i64>,
    rotated: Option<i64>,
    replaced_by: Option<Vec<u8>>,
}

impl From<&TokenRow> for DbToken {
    fn from(row: &TokenRow) -> Self {
        Self {
            id: row.id.0.to_vec(),
            principal: row.principal.0.to_vec(),
            digest: row.digest.0.to_vec(),
            created: row.created.micros(),
            expires: row.expires.map(Timestamp::micros),
            revoked: row.revoked.map(Timestamp::micros),
            rotated: row.rotated.map(Timestamp::micros),
            replaced_by: row.replaced_by.map(|id| id.0.to_vec()),
        }
    }
}

impl TryFrom<DbToken> for TokenRow {
    type Error = AccessStoreError;

    fn try_from(row: DbToken) -> Result<Self, AccessStoreError> {
        let digest = Hash::from_slice(&row.digest);
        Ok(Self {
            id: id(&row.id)?,
            principal: id(&row.principal)?,
            digest: digest.ok_or_else(|| {
                AccessStoreError::Corrupt("a digest that is not 32 bytes long".to_owned())
            })?,
            created: time(row.created)?,
            expires: time_opt(row.expires)?,
            revoked: time_opt(row.revoked)?,
            rotated: time_opt(row.rotated)?,
            replaced_by: row.replaced_by.as_deref().map(id).transpose()?,
        })
    }
}

/// `seq` stays with the database.
#[derive(Insertable)]
#[diesel(table_name = schema::principal_change)]
pub(super) struct NewDbChange {
    id: Vec<u8>,
    time: i64,
    by_principal: Option<Vec<u8>>,
    kind: String,
    principal: Vec<u8>,
    details: String,
    all_ledgers: i64,
}

impl From<&ChangeRow> for NewDbChange {
    fn from(row: &ChangeRow) -> Self {
        Self {
            id: row.id.0.to_vec(),
            time: row.time.micros(),
            by_principal: row.by.map(|id| id.0.to_vec()),
            kind: row.kind.clone(),
            principal: row.principal.0.to_vec(),
            details: row.details.clone(),
            all_ledgers: i64::from(row.ledgers == LedgerSet::All),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = schema::principal_change, check_for_backend(diesel::sqlite::Sqlite))]
pub(super) struct DbChange {
    id: Vec<u8>,
    time: i64,
    by_principal: Option<Vec<u8>>,
    kind: String,
    principal: Vec<u8>,
    details: String,
    all_ledgers: i64,
}

impl DbChange {
    /// With the ledgers that `principal_change_ledger` lists for it.
    pub(super) fn with_ledgers(self, listed: Vec<String>) -> Result<ChangeRow, AccessStoreError> {
        Ok(ChangeRow {
            id: id(&self.id)?,
            time: time(self.time)?,
            by: self.by_principal.as_deref().map(id).transpose()?,
            kind: self.kind,
            principal: id(&self.principal)?,
            details: self.details,
            ledgers: if self.all_ledgers == 1 {
                LedgerSet::All
            } else {
                LedgerSet::Only(listed)
            },
        })
    }
}
