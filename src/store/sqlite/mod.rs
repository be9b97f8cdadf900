//! One ledger in one SQLite file: WAL, `synchronous=FULL`, one writer.

mod archive;
mod read;
mod scan;
mod schema;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::StoreError;

pub use scan::SqliteScan;
pub use write::SqliteWriter;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Statements for every connection: durable commits, readers that do not block, and no surprises.
const SETUP: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA cache_size = -16384;";

pub(super) fn backend(e: diesel::result::Error) -> StoreError {
    use diesel::result::DatabaseErrorKind;
    match &e {
        diesel::result::Error::DatabaseError(DatabaseErrorKind::Unknown, info) => {
            let m = info.message();
            let passing = ["full", "locked", "busy", "readonly", "read-only"]
                .iter()
                .any(|w| m.contains(w));
            if passing {
                StoreError::Unavailable(m.to_owned())
            } else {
                StoreError::Backend(m.to_owned())
            }
        }
        _ => StoreError::Backend(e.to_string()),
    }
}

fn connect(path: &Path) -> Result<SqliteConnection, StoreError> {
    let url = path
        .to_str()
        .ok_or_else(|| StoreError::Backend(format!("the path {} is not UTF-8", path.display())))?;
    let mut connection = SqliteConnection::establish(url)
        .map_err(|e| StoreError::Backend(format!("cannot open {}: {e}", path.display())))?;
    connection.batch_execute(SETUP).map_err(backend)?;
    Ok(connection)
}

/// The storage of one ledger; gives readers and the writer.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
}

struct Reader(SqliteConnection);

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl SqliteStore {
    /// Opens the file, and makes it when `create` is set and it is not there.
    ///
    /// # Errors
    /// When it is absent (or present and to be created), unreadable, or of a newer version of this program.
    pub fn open(path: &Path, create: bool) -> Result<Self, StoreError> {
        if create == path.exists() {
            let what = if create {
                "exists already"
            } else {
                "is not there"
            };
            return Err(StoreError::Version(format!("{} {what}", path.display())));
        }
        let mut connection = connect(path)?;
        let known = MIGRATIONS_COUNT;
        let applied = connection
            .applied_migrations()
            .map_err(|e| StoreError::Version(format!("cannot be read: {e}")))?
            .len();
        if applied > known {
            return Err(StoreError::Version(
                "was written by a newer version of whereas; use that version or a newer one".into(),
            ));
        }
        connection
            .run_pending_migrations(MIGRATIONS)
            .map_err(|e| StoreError::Version(format!("cannot be brought up to date: {e}")))?;
        Ok(Self {
            path: path.to_owned(),
            idle: Mutex::new(vec![Reader(connection)]),
        })
    }

    /// The writer. The caller sees to it that there is one only (the ledger's folder is locked).
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn writer(&self) -> Result<SqliteWriter, StoreError> {
        Ok(SqliteWriter::new(connect(&self.path)?))
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader(connect(&self.path)?),
        };
        let result = read(&mut reader.0);
        // A connection that failed may be in any state; let it go.
        if result.is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < 8 {
                idle.push(reader);
            }
        }
        result
    }
}

impl SqliteStore {
    /// Reads with several statements in one read transaction: one state, and one round of locks instead of many.
    fn snapshot<T>(
        &self,
        statements: usize,
        read: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if statements < 2 {
            return self.with(read);
        }
        self.with(|c| {
            c.batch_execute("BEGIN").map_err(backend)?;
            // When this fails, `with` lets go of the connection and the transaction with it.
            let result = read(c)?;
            c.batch_execute("COMMIT").map_err(backend)?;
            Ok(result)
        })
    }
}

const MIGRATIONS_COUNT: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use diesel_migrations::MigrationHarness;

    #[test]
    fn migrations_go_up_and_down_and_up() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let dir = tempfile::tempdir()?;
        let mut c = connect(&dir.path().join("l.db"))?;
        let applied = c.run_pending_migrations(MIGRATIONS)?.len();
        assert_eq!(applied, MIGRATIONS_COUNT);
        c.revert_all_migrations(MIGRATIONS)?;
        assert_eq!(c.run_pending_migrations(MIGRATIONS)?.len(), applied);
        Ok(())
    }

    #[test]
    fn a_file_of_the_first_version_is_brought_up_to_date() -> Result<(), Box<dyn std::error::Error>>
    {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("l.db");
        let first = include_str!("../../../migrations/sqlite/00000000000001_ledger/up.sql");
        let mut c = connect(&path)?;
        c.batch_execute(first)?;
        c.batch_execute(
            "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
             INSERT INTO __diesel_schema_migrations (version) VALUES ('00000000000001'); \
             INSERT INTO head VALUES (1, 3, x'0000000000000000000000000000000000000000000000000000000000000000')",
        )?;
        drop(c);
        let store = SqliteStore::open(&path, false)?;
        assert_eq!(crate::store::LedgerReader::head(&store)?.size, 3);
        assert_eq!(crate::store::LedgerReader::cosignatures(&store, 3)?, []);
        assert_eq!(crate::store::LedgerReader::newest_anchors(&store)?, []);
        Ok(())
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("l.db");
        drop(SqliteStore::open(&path, true)?);
        connect(&path)?.batch_execute(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999999999')",
        )?;
        let refused = SqliteStore::open(&path, false)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        assert!(refused.contains("newer version"), "{refused}");
        assert!(
            SqliteStore::open(&path, true).is_err()
                && SqliteStore::open(&dir.path().join("other.db"), false).is_err()
        );
        Ok(())
    }
}
