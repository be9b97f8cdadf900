//! Connections to one SQLite file: one that writes, a few that read.

use crate::store::access::AccessStoreError;
use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite_server");

/// Enough that a slow read does not hold up the others; each costs a file handle and a page cache.
const READERS: usize = 4;

/// `busy_timeout` first: the pragmas after it may meet another process.
const SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                        PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;";

pub(super) struct Pool {
    path: PathBuf,
    writer: Mutex<SqliteConnection>,
    readers: Vec<Mutex<SqliteConnection>>,
    next: AtomicUsize,
}

impl Pool {
    pub(super) fn open(path: &Path) -> Result<Self, AccessStoreError> {
        create_private(path)?;
        let mut writer = connect(path, false)?;
        migrate(&mut writer)?;
        let readers = (0..READERS)
            .map(|_| connect(path, true).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers,
            next: AtomicUsize::new(0),
        })
    }

    pub(super) fn writer(&self) -> Result<MutexGuard<'_, SqliteConnection>, AccessStoreError> {
        self.lock(&self.writer, false)
    }

    /// A reader that is free, else the next in turn.
    pub(super) fn reader(&self) -> Result<MutexGuard<'_, SqliteConnection>, AccessStoreError> {
        for reader in &self.readers {
            match reader.try_lock() {
                Ok(guard) => return Ok(guard),
                Err(TryLockError::Poisoned(_)) => return self.lock(reader, true),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.readers.len().max(1);
        let reader = self.readers.get(turn).ok_or_else(|| {
            AccessStoreError::Unavailable("no connection to read with".to_owned())
        })?;
        self.lock(reader, true)
    }

    /// A panic in the middle of a transaction leaves it open: the connection is replaced, which rolls it back.
    fn lock<'a>(
        &'a self,
        connection: &'a Mutex<SqliteConnection>,
        read_only: bool,
    ) -> Result<MutexGuard<'a, SqliteConnection>, AccessStoreError> {
        match connection.lock() {
            Ok(guard) => Ok(guard),
            Err(poisoned) => {
                let mut guard = poisoned.into_inner();
                *guard = connect(&self.path, read_only)?;
                connection.clear_poison();
                Ok(guard)
            }
        }
    }
}

/// SQLite gives the files beside the database (`-wal`, `-shm`) the database's own mode.
fn create_private(path: &Path) -> Result<(), AccessStoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(AccessStoreError::Unavailable(format!(
            "{}: {error}",
            path.display()
        ))),
    }
}

/// Whatever `busy_timeout` says, SQLite does not wait when two processes make one new database a WAL one: the second is
/// told at once that it is locked. So it waits here, as long as everywhere else.
fn settle(connection: &mut SqliteConnection) -> QueryResult<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match connection.batch_execute(SETTINGS) {
            Err(diesel::result::Error::DatabaseError(_, told))
                if told.message().contains("locked") && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

fn connect(path: &Path, read_only: bool) -> Result<SqliteConnection, AccessStoreError> {
    let unavailable =
        |error: String| AccessStoreError::Unavailable(format!("{}: {error}", path.display()));
    let text = path
        .to_str()
        .ok_or_else(|| unavailable("the path is not UTF-8".to_owned()))?;
    let mut connection =
        SqliteConnection::establish(text).map_err(|e| unavailable(e.to_string()))?;
    settle(&mut connection).map_err(|e| unavailable(e.to_string()))?;
    if read_only {
        connection
            .batch_execute("PRAGMA query_only = ON;")
            .map_err(|e| unavailable(e.to_string()))?;
    }
    Ok(connection)
}

/// In one transaction that excludes other writers, so that two processes that start together do not both migrate.
fn migrate(connection: &mut SqliteConnection) -> Result<(), AccessStoreError> {
    connection.immediate_transaction(|c| {
        let failed =
            |e: &dyn std::fmt::Display| AccessStoreError::Unavailable(format!("migration: {e}"));
        c.run_pending_migrations(MIGRATIONS)
            .map_err(|e| failed(&e))?;
        let known = MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(|e| failed(&e))?;
        let known: Vec<_> = known
            .iter()
            .map(|m| m.name().version().as_owned())
            .collect();
        let applied = c.applied_migrations().map_err(|e| failed(&e))?;
        match applied.iter().find(|version| !known.contains(version)) {
            Some(version) => Err(AccessStoreError::Corrupt(format!(
                "it was written by a newer version of this program (migration {version})"
            ))),
            None => Ok(()),
        }
    })
}
