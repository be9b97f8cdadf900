//! The server's own database, `server.db`, beside the ledgers' folders: principals, grants, tokens.

mod pool;
mod rows;
mod schema;

use crate::ledger::{Hash, Id16};
use crate::store::access::{
    AccessStore, AccessStoreError, ChangeRow, Found, GrantRow, LedgerSet, PendingRow, PrincipalRow,
    TokenRow, Write,
};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sqlite::SqliteConnection;
use pool::Pool;
use rows::{DbChange, DbGrant, DbPrincipal, DbToken, NewDbChange};
use schema::{
    access_generation, access_grant, principal, principal_change, principal_change_ledger,
    principal_change_recorded, token,
};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// [`AccessStore`] on SQLite: write-ahead log with `synchronous=FULL`, one connection that writes
/// (`BEGIN IMMEDIATE`) and a few that read. Several processes may have the same file open.
pub struct SqliteServerStore {
    pool: Pool,
}

impl SqliteServerStore {
    /// Opens `path`, creates it (readable by its owner only) if it is not there, and migrates it.
    ///
    /// # Errors
    /// When the file cannot be opened as such a database, or was migrated by a newer version of this program.
    pub fn open(path: &Path) -> Result<Self, AccessStoreError> {
        Ok(Self {
            pool: Pool::open(path)?,
        })
    }

    fn read<T>(
        &self,
        f: impl FnOnce(&mut SqliteConnection) -> Result<T, AccessStoreError>,
    ) -> Result<T, AccessStoreError> {
        let mut connection = self.pool.reader()?;
        connection.transaction(f)
    }
}

impl From<DieselError> for AccessStoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(
                diesel::result::DatabaseErrorKind::UniqueViolation
                | diesel::result::DatabaseErrorKind::ForeignKeyViolation
                | diesel::result::DatabaseErrorKind::CheckViolation
                | diesel::result::DatabaseErrorKind::NotNullViolation,
                info,
            ) => Self::Conflict(info.message().to_owned()),
            DieselError::DeserializationError(error) => Self::Corrupt(error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl AccessStore for SqliteServerStore {
    fn generation(&self) -> Result<u64, AccessStoreError> {
        generation(&mut *self.pool.reader()?)
    }

    fn find_token(&self, digest: &Hash) -> Result<(u64, Option<Found>), AccessStoreError> {
        self.read(|c| {
            let generation = generation(c)?;
            let row = token::table
                .filter(token::digest.eq(&digest.0[..]))
                .select(DbToken::as_select())
                .first(c)
                .optional()?;
            let Some(row) = row else {
                return Ok((generation, None));
            };
            let owner = principal::table
                .find(&row.principal)
                .select(DbPrincipal::as_select())
                .first(c)?;
            let grants = grants_of(c, &owner.id)?;
            let found = Found {
                token: row.try_into()?,
                principal: owner.try_into()?,
                grants,
            };
            Ok((generation, Some(found)))
        })
    }

    fn principals(
        &self,
        after: Option<Id16>,
        limit: usize,
    ) -> Result<Vec<(PrincipalRow, Vec<GrantRow>)>, AccessStoreError> {
        self.read(|c| {
            let mut query = principal::table
                .select(DbPrincipal::as_select())
                .order(principal::id)
                .limit(as_limit(limit))
                .into_boxed();
            if let Some(after) = after {
                query = query.filter(principal::id.gt(after.0.to_vec()));
            }
            let found = query.load(c)?;
            with_grants(c, found)
        })
    }

    fn principal(
        &self,
        id: Id16,
    ) -> Result<Option<(PrincipalRow, Vec<GrantRow>)>, AccessStoreError> {
        self.read(|c| {
            let found = principal::table
                .find(&id.0[..])
                .select(DbPrincipal::as_select())
                .load(c)?;
            Ok(with_grants(c, found)?.pop())
        })
    }

    fn principals_with_role(
        &self,
        role: &str,
    ) -> Result<Vec<(PrincipalRow, Vec<GrantRow>)>, AccessStoreError> {
        self.read(|c| {
            let holds = access_grant::table
                .filter(access_grant::principal.eq(principal::id))
                .filter(access_grant::role.eq(role));
            let found = principal::table
                .filter(exists(holds))
                .select(DbPrincipal::as_select())
                .order((principal::created, principal::id))
                .load(c)?;
            with_grants(c, found)
        })
    }

    fn tokens(&self, principal: Id16) -> Result<Vec<TokenRow>, AccessStoreError> {
        self.read(|c| {
            token::table
                .filter(token::principal.eq(&principal.0[..]))
                .select(DbToken::as_select())
                .order((token::created, token::id))
                .load(c)?
                .into_iter()
                .map(TokenRow::try_from)
                .collect()
        })
    }

    fn token(&self, id: Id16) -> Result<Option<TokenRow>, AccessStoreError> {
        self.read(|c| {
            token::table
                .find(&id.0[..])
                .select(DbToken::as_select())
                .first(c)
                .optional()?
                .map(TokenRow::try_from)
                .transpose()
        })
    }

    fn apply(
        &self,
        expected: u64,
        writes: &[Write],
        changes: &[ChangeRow],
    ) -> Result<u64, AccessStoreError> {
        if changes.is_empty() {
            return Err(AccessStoreError::Unrecorded);
        }
        let (Ok(from), Some(next)) = (i64::try_from(expected), expected.checked_add(1)) else {
            return Err(AccessStoreError::Stale);
        };
        self.pool.writer()?.immediate_transaction(|c| {
            let swapped = diesel::update(
                access_generation::table.filter(access_generation::generation.eq(from)),
            )
            .set(access_generation::generation.eq(access_generation::generation + 1))
            .execute(c)?;
            if swapped != 1 {
                return Err(AccessStoreError::Stale);
            }
            for write in writes {
                apply_one(c, write)?;
            }
            for change in changes {
                append(c, change)?;
            }
            Ok(next)
        })
    }

    fn pending_changes(
        &self,
        ledgers: &[String],
        limit: usize,
    ) -> Result<Vec<PendingRow>, AccessStoreError> {
        self.read(|c| {
            // The first `limit` of each ledger contain the first `limit` of all of them, with every ledger they lack.
            let mut missing: BTreeMap<i64, Vec<String>> = BTreeMap::new();
            for ledger in ledgers {
                for seq in pending_in(c, ledger, limit)? {
                    let names = missing.entry(seq).or_default();
                    if !names.contains(ledger) {
                        names.push(ledger.clone());
                    }
                }
            }
            missing
                .into_iter()
                .take(limit)
                .map(|(seq, missing)| {
                    let listed = principal_change_ledger::table
                        .filter(principal_change_ledger::change.eq(seq))
                        .select(principal_change_ledger::ledger)
                        .order(principal_change_ledger::ledger)
                        .load(c)?;
                    let change: DbChange = principal_change::table
                        .find(seq)
                        .select(DbChange::as_select())
                        .first(c)?;
                    Ok(PendingRow {
                        change: change.with_ledgers(listed)?,
                        missing,
                    })
                })
                .collect()
        })
    }

    fn mark_recorded(&self, change: Id16, ledger: &str) -> Result<(), AccessStoreError> {
        self.pool.writer()?.immediate_transaction(|c| {
            let seq: i64 = principal_change::table
                .filter(principal_change::id.eq(&change.0[..]))
                .select(principal_change::seq)
                .first(c)
                .optional()?
                .ok_or(AccessStoreError::Missing {
                    what: "change",
                    id: change,
                })?;
            diesel::insert_or_ignore_into(principal_change_recorded::table)
                .values((
                    principal_change_recorded::change.eq(seq),
                    principal_change_recorded::ledger.eq(ledger),
                ))
                .execute(c)?;
            Ok(())
        })
    }
}

fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn generation(c: &mut SqliteConnection) -> Result<u64, AccessStoreError> {
    let stored: i64 = access_generation::table
        .select(access_generation::generation)
        .first(c)?;
    u64::try_from(stored).map_err(|_| AccessStoreError::Corrupt("a negative generation".to_owned()))
}

fn grants_of(
    c: &mut SqliteConnection,
    principal: &[u8],
) -> Result<Vec<GrantRow>, AccessStoreError> {
    access_grant::table
        .filter(access_grant::principal.eq(principal))
        .select(DbGrant::as_select())
        .order((access_grant::created, access_grant::id))
        .load(c)?
        .into_iter()
        .map(GrantRow::try_from)
        .collect()
}

fn with_grants(
    c: &mut SqliteConnection,
    found: Vec<DbPrincipal>,
) -> Result<Vec<(PrincipalRow, Vec<GrantRow>)>, AccessStoreError> {
    let ids: Vec<&[u8]> = found.iter().map(|row| row.id.as_slice()).collect();
    let mut grants: HashMap<Id16, Vec<GrantRow>> = HashMap::new();
    // SQLite bounds the number of parameters of a statement.
    for ids in ids.chunks(500) {
        let rows = access_grant::table
            .filter(access_grant::principal.eq_any(ids.iter().copied()))
            .select(DbGrant::as_select())
            .order((access_grant::created, access_grant::id))
            .load(c)?;
        for row in rows {
            let row = GrantRow::try_from(row)?;
            grants.entry(row.principal).or_default().push(row);
        }
    }
    found
        .into_iter()
        .map(|row| {
            let row = PrincipalRow::try_from(row)?;
            let grants = grants.remove(&row.id).unwrap_or_default();
            Ok((row, grants))
        })
        .collect()
}

fn apply_one(c: &mut SqliteConnection, write: &Write) -> Result<(), AccessStoreError> {
    let (touched, what, id) = match write {
        Write::AddPrincipal(row) => (
            diesel::insert_into(principal::table)
                .values(DbPrincipal::from(row))
                .execute(c)?,
            "principal",
            row.id,
        ),
        Write::AddGrant(row) => (
            diesel::insert_into(access_grant::table)
                .values(DbGrant::from(row))
                .execute(c)?,
            "grant",
            row.id,
        ),
        Write::AddToken(row) => (
            diesel::insert_into(token::table)
                .values(DbToken::from(row))
                .execute(c)?,
            "token",
            row.id,
        ),
        Write::RevokePrincipal { id, at } => (
            diesel::update(principal::table.find(&id.0[..]))
                .set(principal::revoked.eq(at.micros()))
                .execute(c)?,
            "principal",
            *id,
        ),
        Write::EndGrant { id, at } => (
            diesel::update(access_grant::table.find(&id.0[..]))
                .set(access_grant::ended.eq(at.micros()))
                .execute(c)?,
            "grant",
            *id,
        ),
        Write::RevokeToken { id, at } => (
            diesel::update(token::table.find(&id.0[..]))
                .set(token::revoked.eq(at.micros()))
                .execute(c)?,
            "token",
            *id,
        ),
        Write::RotateToken {
            id,
            grace_ends,
            at,
            by,
        } => {
            let row = diesel::update(token::table.find(&id.0[..]));
            let rotated = (
                token::rotated.eq(at.micros()),
                token::replaced_by.eq(by.0.to_vec()),
            );
            let touched = match grace_ends {
                Some(ends) => row
                    .set((rotated, token::expires.eq(ends.micros())))
                    .execute(c)?,
                None => row
                    .set((rotated, token::revoked.eq(at.micros())))
                    .execute(c)?,
            };
            (touched, "token", *id)
        }
    };
    if touched == 1 {
        Ok(())
    } else {
        Err(AccessStoreError::Missing { what, id })
    }
}

fn append(c: &mut SqliteConnection, change: &ChangeRow) -> Result<(), AccessStoreError> {
    let seq: i64 = diesel::insert_into(principal_change::table)
        .values(NewDbChange::from(change))
        .returning(principal_change::seq)
        .get_result(c)?;
    if let LedgerSet::Only(ledgers) = &change.ledgers {
        for ledger in ledgers {
            diesel::insert_or_ignore_into(principal_change_ledger::table)
                .values((
                    principal_change_ledger::change.eq(seq),
                    principal_change_ledger::ledger.eq(ledger),
                ))
                .execute(c)?;
        }
    }
    Ok(())
}

fn pending_in(
    c: &mut SqliteConnection,
    ledger: &str,
    limit: usize,
) -> Result<Vec<i64>, AccessStoreError> {
    let listed = principal_change_ledger::table
        .filter(principal_change_ledger::change.eq(principal_change::seq))
        .filter(principal_change_ledger::ledger.eq(ledger));
    let recorded = principal_change_recorded::table
        .filter(principal_change_recorded::change.eq(principal_change::seq))
        .filter(principal_change_recorded::ledger.eq(ledger));
    Ok(principal_change::table
        .filter(principal_change::all_ledgers.eq(1).or(exists(listed)))
        .filter(not(exists(recorded)))
        .select(principal_change::seq)
        .order(principal_change::seq)
        .limit(as_limit(limit))
        .load(c)?)
}

#[cfg(test)]
mod tests;
