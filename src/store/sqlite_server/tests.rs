#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::pool::MIGRATIONS;
use super::*;
use crate::store::access::contract;
use diesel::connection::SimpleConnection;
use diesel_migrations::MigrationHarness;
use std::sync::Arc;

#[test]
fn keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract::all(&|name| {
        Arc::new(SqliteServerStore::open(&dir.path().join(format!("{name}.db"))).unwrap())
    });
}

#[derive(QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    value: String,
}

fn ask(c: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let rows: Vec<Text> = diesel::sql_query(sql).load(c).unwrap();
    rows.into_iter().map(|row| row.value).collect()
}

#[test]
fn connections_are_set_as_promised() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteServerStore::open(&dir.path().join("server.db")).unwrap();
    for mut c in [store.pool.writer().unwrap(), store.pool.reader().unwrap()] {
        let one = |c: &mut SqliteConnection, sql: &str| {
            ask(
                c,
                &format!("SELECT CAST({sql} AS TEXT) AS value FROM pragma_{sql}"),
            )
        };
        assert_eq!(one(&mut c, "journal_mode"), ["wal"]);
        assert_eq!(one(&mut c, "synchronous"), ["2"], "FULL");
        assert_eq!(one(&mut c, "foreign_keys"), ["1"]);
    }
    let written = store
        .pool
        .reader()
        .unwrap()
        .batch_execute("DELETE FROM token");
    assert!(written.is_err(), "a reader wrote");
    let tables = "SELECT name AS value FROM pragma_table_list WHERE type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '__diesel_%'";
    assert_eq!(
        ask(&mut store.pool.reader().unwrap(), tables),
        Vec::<String>::new()
    );
}

#[test]
fn migrations_go_down_and_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteServerStore::open(&dir.path().join("server.db")).unwrap();
    let mut c = store.pool.writer().unwrap();
    let shape = "SELECT sql AS value FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '__diesel_%' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let before = ask(&mut c, shape);
    assert!(before.len() >= 7);
    c.revert_all_migrations(MIGRATIONS).unwrap();
    assert_eq!(ask(&mut c, shape), Vec::<String>::new());
    c.run_pending_migrations(MIGRATIONS).unwrap();
    assert_eq!(ask(&mut c, shape), before);
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.db");
    let store = SqliteServerStore::open(&path).unwrap();
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')";
    store.pool.writer().unwrap().batch_execute(newer).unwrap();
    let error = SqliteServerStore::open(&path).err().unwrap().to_string();
    assert!(error.contains("newer version"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.db");
    std::fs::write(&path, [b'x'; 8192]).unwrap();
    assert!(SqliteServerStore::open(&path).is_err());
    assert!(SqliteServerStore::open(&dir.path().join("no/such/folder.db")).is_err());
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let _store = SqliteServerStore::open(&dir.path().join("server.db")).unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        files += 1;
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o077,
            0,
            "{file:?}"
        );
    }
    assert!(files >= 3, "database, log and index of the log");
}

#[test]
fn processes_that_start_together_migrate_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.db");
    std::thread::scope(|threads| {
        let open = || SqliteServerStore::open(&path).map(|store| store.generation());
        let started: Vec<_> = (0..6).map(|_| threads.spawn(open)).collect();
        for thread in started {
            assert_eq!(thread.join().unwrap(), Ok(Ok(0)));
        }
    });
}

#[test]
fn a_panic_in_a_transaction_harms_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteServerStore::open(&dir.path().join("server.db")).unwrap();
    let panicked = std::thread::scope(|threads| {
        let thread = threads.spawn(|| {
            let mut c = store.pool.writer().unwrap();
            let _: Result<(), AccessStoreError> = c.immediate_transaction(|c| {
                c.batch_execute("UPDATE access_generation SET generation = 7")
                    .unwrap();
                panic!("on purpose");
            });
        });
        thread.join().is_err()
    });
    assert!(panicked);
    assert_eq!(store.generation(), Ok(0));
    let missing = store.mark_recorded(Id16([1; 16]), "a");
    assert!(
        matches!(missing, Err(AccessStoreError::Missing { .. })),
        "{missing:?}"
    );
}
