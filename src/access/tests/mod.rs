#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod outbox;
mod scopes;
mod tenants;
mod tokens;

use super::*;
use crate::ledger::{Hash, Id16, Timestamp};
use crate::store::access::{
    AccessStore, AccessStoreError, ChangeRow, Found, GrantRow, PendingRow, PrincipalRow, TokenRow,
    Write,
};
use crate::store::sqlite_server::SqliteServerStore;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A server's database in a folder of its own, opened as often as a test likes.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("server.db")
    }

    fn store(&self) -> SqliteServerStore {
        SqliteServerStore::open(&self.path()).unwrap()
    }

    fn open(&self) -> Access {
        Access::new(Arc::new(self.store()))
    }

    /// The bytes of all files of the database.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.dir.path()).unwrap();
        files
            .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).unwrap()
}

fn case(n: u8) -> BlindCase {
    BlindCase(Id16([n; 16]))
}

fn ledgers(names: &[&str]) -> Ledgers {
    Ledgers::Only(names.iter().map(|name| (*name).to_owned()).collect())
}

/// A grant of the shape that its role needs.
fn grant(role: Role, names: &[&str]) -> NewGrant {
    let cases = || {
        Cases::Only(
            names
                .iter()
                .map(|name| ((*name).to_owned(), BTreeSet::from([case(1)])))
                .collect(),
        )
    };
    let (sources, cases) = match role {
        Role::Producer => (BTreeSet::from(["urn:wf".to_owned()]), Cases::none()),
        Role::Administrator => (BTreeSet::new(), Cases::none()),
        Role::CaseWorker | Role::Regulator => (BTreeSet::new(), cases()),
        Role::Investigator | Role::Auditor | Role::PrivacyOfficer => (BTreeSet::new(), Cases::All),
    };
    let expires = (role == Role::Regulator).then(|| at(10_000));
    NewGrant {
        role,
        scope: Scope {
            ledgers: ledgers(names),
            sources,
            cases,
        },
        expires,
    }
}

/// Creates a principal with these grants and a token, and returns its id and the token.
fn enrol(access: &Access, grants: &[NewGrant], now: i64) -> (Id16, NewToken) {
    let id = access
        .create_principal(Actor::Machine, "someone", grants, at(now))
        .unwrap()
        .id;
    (
        id,
        access
            .mint_token(Actor::Machine, id, None, at(now))
            .unwrap(),
    )
}

/// Enrols and authenticates.
fn caller(access: &Access, grants: &[NewGrant], now: i64) -> Caller {
    access
        .authenticate(enrol(access, grants, now).1.expose(), at(now))
        .unwrap()
}

/// A store that counts look-ups, and can be told to fail or to be overtaken.
struct Watched {
    inner: SqliteServerStore,
    lookups: AtomicUsize,
    down: AtomicBool,
    overtaken: AtomicUsize,
}

impl Watched {
    fn new(place: &Place) -> Arc<Self> {
        Arc::new(Self {
            inner: place.store(),
            lookups: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            overtaken: AtomicUsize::new(0),
        })
    }
}

impl AccessStore for Watched {
    fn generation(&self) -> Result<u64, AccessStoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(AccessStoreError::Unavailable("down".to_owned()));
        }
        self.inner.generation()
    }

    fn find_token(&self, digest: &Hash) -> Result<(u64, Option<Found>), AccessStoreError> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        self.inner.find_token(digest)
    }

    fn principals(
        &self,
        after: Option<Id16>,
        limit: usize,
    ) -> Result<Vec<(PrincipalRow, Vec<GrantRow>)>, AccessStoreError> {
        self.inner.principals(after, limit)
    }

    fn principal(
        &self,
        id: Id16,
    ) -> Result<Option<(PrincipalRow, Vec<GrantRow>)>, AccessStoreError> {
        self.inner.principal(id)
    }

    fn principals_with_role(
        &self,
        role: &str,
    ) -> Result<Vec<(PrincipalRow, Vec<GrantRow>)>, AccessStoreError> {
        self.inner.principals_with_role(role)
    }

    fn tokens(&self, principal: Id16) -> Result<Vec<TokenRow>, AccessStoreError> {
        self.inner.tokens(principal)
    }

    fn token(&self, id: Id16) -> Result<Option<TokenRow>, AccessStoreError> {
        self.inner.token(id)
    }

    fn apply(
        &self,
        expected: u64,
        writes: &[Write],
        changes: &[ChangeRow],
    ) -> Result<u64, AccessStoreError> {
        let left = self.overtaken.load(Ordering::SeqCst);
        if left > 0 {
            self.overtaken.store(left - 1, Ordering::SeqCst);
            return self.inner.apply(u64::MAX, writes, changes);
        }
        self.inner.apply(expected, writes, changes)
    }

    fn pending_changes(
        &self,
        ledgers: &[String],
        limit: usize,
    ) -> Result<Vec<PendingRow>, AccessStoreError> {
        self.inner.pending_changes(ledgers, limit)
    }

    fn mark_recorded(&self, change: Id16, ledger: &str) -> Result<(), AccessStoreError> {
        self.inner.mark_recorded(change, ledger)
    }
}
