//! A whole ledger in one read transaction, on a connection that cannot write.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel_migrations::MigrationHarness;

use super::schema::{
    anchor, case_file, catalogue, commitment, cosignature, entry, head, identity, node, report,
    trace_slot, type_name,
};
use super::{MIGRATIONS, MIGRATIONS_COUNT, backend};
use crate::store::StoreError;
use crate::store::scan::{
    Cell, Derived, LedgerScan, ScanCommitment, ScanCosignature, ScanEntry, ScanReport, SchemaItem,
};

/// No write can come of this connection, and definitions in the file are not trusted. A large page cache is of no use to
/// whoever reads each page once.
const SETUP: &str = "PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; \
                     PRAGMA cell_size_check = ON; PRAGMA cache_size = -8192;";

/// Reads a ledger's file from end to end.
pub struct SqliteScan {
    connection: SqliteConnection,
}

impl std::fmt::Debug for SqliteScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteScan")
    }
}

impl SqliteScan {
    /// Opens the file read-only and begins the read transaction: what is committed afterwards is not seen.
    ///
    /// # Errors
    /// When the file is absent or cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let text = path.to_str().ok_or_else(|| {
            StoreError::Backend(format!("the path {} is not UTF-8", path.display()))
        })?;
        if !path.exists() {
            return Err(StoreError::Version(format!("{text} is not there")));
        }
        let mut connection = SqliteConnection::establish(&read_only_uri(text))
            .map_err(|e| StoreError::Backend(format!("cannot open {text}: {e}")))?;
        connection.batch_execute(SETUP).map_err(backend)?;
        connection.batch_execute("BEGIN").map_err(backend)?;
        let mut scan = Self { connection };
        // The first read fixes the state that all later ones see.
        scan.schema()?;
        Ok(scan)
    }
}

/// A URI for SQLite, in which `?`, `#` and `%` would mean something.
fn read_only_uri(path: &str) -> String {
    let escaped = path
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    format!("file:{escaped}?mode=ro")
}

#[derive(QueryableByName)]
struct Master {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    sql: Option<String>,
}

fn schema_of(c: &mut SqliteConnection) -> Result<Vec<SchemaItem>, StoreError> {
    let rows: Vec<Master> =
        diesel::sql_query("SELECT type AS kind, name, sql FROM sqlite_schema ORDER BY name")
            .load(c)
            .map_err(backend)?;
    let item = |m: Master| SchemaItem {
        kind: m.kind,
        name: m.name,
        sql: m.sql,
    };
    Ok(rows.into_iter().map(item).collect())
}

fn signed(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn integer(cell: Option<&Cell>) -> i64 {
    match cell {
        Some(Cell::Integer(n)) => *n,
        _ => i64::MIN,
    }
}

fn bytes(cell: Option<&Cell>) -> Vec<u8> {
    match cell {
        Some(Cell::Bytes(b)) => b.clone(),
        _ => Vec::new(),
    }
}

#[derive(QueryableByName)]
struct ByBytes {
    #[diesel(sql_type = Binary)]
    a: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    b: i64,
    #[diesel(sql_type = BigInt)]
    c: i64,
}

#[derive(QueryableByName)]
struct ByNumber {
    #[diesel(sql_type = BigInt)]
    a: i64,
    #[diesel(sql_type = BigInt)]
    b: i64,
}

fn pair(r: ByBytes) -> Vec<Cell> {
    vec![Cell::Bytes(r.a), Cell::Integer(r.b)]
}

/// A page of a table whose key is bytes and an integer. SQLite compares rows of values along the key's index, so a page
/// costs what it holds; a condition with OR would be read from the beginning each time.
fn by_bytes(
    connection: &mut SqliteConnection,
    statement: &str,
    after: Option<&[Cell]>,
    limit: i64,
) -> Result<Vec<ByBytes>, StoreError> {
    let (a, b) = after.map_or((Vec::new(), i64::MIN), |after| {
        (bytes(after.first()), integer(after.get(1)))
    });
    diesel::sql_query(statement)
        .bind::<Binary, _>(a)
        .bind::<BigInt, _>(b)
        .bind::<BigInt, _>(limit)
        .load(connection)
        .map_err(backend)
}

impl LedgerScan for SqliteScan {
    fn schema(&mut self) -> Result<Vec<SchemaItem>, StoreError> {
        schema_of(&mut self.connection)
    }

    fn expected_schema(&mut self) -> Result<Vec<SchemaItem>, StoreError> {
        let applied = self
            .connection
            .applied_migrations()
            .map_err(|e| StoreError::Version(format!("cannot be read: {e}")))?
            .len();
        if applied > MIGRATIONS_COUNT {
            return Err(StoreError::Version(
                "was written by a newer version of whereas; use that version or a newer one".into(),
            ));
        }
        let mut fresh = SqliteConnection::establish(":memory:")
            .map_err(|e| StoreError::Backend(e.to_string()))?;
        for _ in 0..applied {
            fresh
                .run_next_migration(MIGRATIONS)
                .map_err(|e| StoreError::Backend(e.to_string()))?;
        }
        schema_of(&mut fresh)
    }

    fn heads(&mut self) -> Result<Vec<(i64, i64, Vec<u8>)>, StoreError> {
        head::table
            .order(head::id)
            .limit(10)
            .load(&mut self.connection)
            .map_err(backend)
    }

    fn entries(
        &mut self,
        after: Option<i64>,
        limit: usize,
        content: bool,
    ) -> Result<Vec<ScanEntry>, StoreError> {
        let Some(from) = after.map_or(Some(i64::MIN), |a| a.checked_add(1)) else {
            return Ok(Vec::new());
        };
        let of = entry::table
            .filter(entry::seq.ge(from))
            .order(entry::seq)
            .limit(signed(limit));
        let c = &mut self.connection;
        if content {
            type Row = (i64, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);
            let rows: Vec<Row> = of.load(c).map_err(backend)?;
            let row = |(seq, leaf, slot, sealed): Row| ScanEntry {
                seq,
                leaf,
                slot,
                is_sealed: sealed.is_some(),
                sealed,
            };
            return Ok(rows.into_iter().map(row).collect());
        }
        type Row = (i64, Vec<u8>, Option<Vec<u8>>, bool);
        let rows: Vec<Row> = of
            .select((
                entry::seq,
                entry::leaf,
                entry::slot,
                entry::sealed.is_not_null(),
            ))
            .load(c)
            .map_err(backend)?;
        let row = |(seq, leaf, slot, is_sealed): Row| ScanEntry {
            seq,
            leaf,
            slot,
            is_sealed,
            sealed: None,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    fn nodes(
        &mut self,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        let mut select = node::table
            .order(node::position)
            .limit(signed(limit))
            .into_boxed();
        if let Some(after) = after {
            select = select.filter(node::position.gt(after));
        }
        select.load(&mut self.connection).map_err(backend)
    }

    fn commitments(
        &mut self,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<ScanCommitment>, StoreError> {
        type Row = (i64, Vec<u8>, Vec<u8>, Option<String>);
        let mut select = commitment::table
            .order(commitment::size)
            .limit(signed(limit))
            .into_boxed();
        if let Some(after) = after {
            select = select.filter(commitment::size.gt(after));
        }
        let rows: Vec<Row> = select.load(&mut self.connection).map_err(backend)?;
        let row = |(size, root, key_id, note): Row| ScanCommitment {
            size,
            root,
            key_id,
            note,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    fn cosignatures(&mut self, after: Option<i64>) -> Result<Vec<ScanCosignature>, StoreError> {
        let next: Option<i64> = cosignature::table
            .filter(cosignature::size.gt(after.unwrap_or(i64::MIN)))
            .select(diesel::dsl::min(cosignature::size))
            .get_result(&mut self.connection)
            .map_err(backend)?;
        let Some(size) = next else {
            return Ok(Vec::new());
        };
        type Row = (i64, String, Vec<u8>, String, i64);
        let rows: Vec<Row> = cosignature::table
            .filter(cosignature::size.eq(size))
            .order((cosignature::name, cosignature::key_id))
            .load(&mut self.connection)
            .map_err(backend)?;
        let row = |(size, name, key_id, line, time): Row| ScanCosignature {
            size,
            name,
            key_id,
            line,
            time,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    fn anchors(&mut self) -> Result<Vec<(String, i64, Vec<u8>)>, StoreError> {
        anchor::table
            .order((anchor::place, anchor::size))
            .select((anchor::place, anchor::size, anchor::root))
            .load(&mut self.connection)
            .map_err(backend)
    }

    fn type_names(&mut self) -> Result<Vec<(i64, String)>, StoreError> {
        type_name::table
            .order(type_name::id)
            .load(&mut self.connection)
            .map_err(backend)
    }

    fn derived(
        &mut self,
        table: Derived,
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let c = &mut self.connection;
        let limit = signed(limit);
        let all = match table {
            Derived::Identity => {
                let rows: Vec<(Vec<u8>, i64)> = identity::table
                    .filter(identity::eid.ge(bytes(after.and_then(<[Cell]>::first))))
                    .order(identity::eid)
                    .limit(limit.saturating_add(1))
                    .load(c)
                    .map_err(backend)?;
                let row = |(eid, seq)| vec![Cell::Bytes(eid), Cell::Integer(seq)];
                skip(rows.into_iter().map(row).collect(), after, limit)
            }
            Derived::CaseEntry => {
                let sql = "SELECT pseudonym AS a, case_seq AS b, seq AS c FROM case_entry \
                           WHERE (pseudonym, case_seq) > (?, ?) ORDER BY pseudonym, case_seq LIMIT ?";
                let row =
                    |r: ByBytes| vec![Cell::Bytes(r.a), Cell::Integer(r.b), Cell::Integer(r.c)];
                let rows = by_bytes(c, sql, after, limit)?;
                rows.into_iter().map(row).collect()
            }
            Derived::TraceEntry => {
                let sql = "SELECT trace AS a, seq AS b, 0 AS c FROM trace_entry \
                           WHERE (trace, seq) > (?, ?) ORDER BY trace, seq LIMIT ?";
                let rows = by_bytes(c, sql, after, limit)?;
                rows.into_iter().map(pair).collect()
            }
            Derived::Lookup => {
                let sql = "SELECT blind AS a, seq AS b, 0 AS c FROM lookup \
                           WHERE (blind, seq) > (?, ?) ORDER BY blind, seq LIMIT ?";
                let rows = by_bytes(c, sql, after, limit)?;
                rows.into_iter().map(pair).collect()
            }
            Derived::TypeEntry => {
                let (a, b) = after.map_or((i64::MIN, i64::MIN), |after| {
                    (integer(after.first()), integer(after.get(1)))
                });
                let rows: Vec<ByNumber> = diesel::sql_query(
                    "SELECT type_id AS a, seq AS b FROM type_entry \
                     WHERE (type_id, seq) > (?, ?) ORDER BY type_id, seq LIMIT ?",
                )
                .bind::<BigInt, _>(a)
                .bind::<BigInt, _>(b)
                .bind::<BigInt, _>(limit)
                .load(c)
                .map_err(backend)?;
                let row = |r: ByNumber| vec![Cell::Integer(r.a), Cell::Integer(r.b)];
                rows.into_iter().map(row).collect()
            }
            Derived::CaseFile => {
                let rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = case_file::table
                    .select((case_file::pseudonym, case_file::blind, case_file::slot))
                    .filter(case_file::pseudonym.ge(bytes(after.and_then(<[Cell]>::first))))
                    .order(case_file::pseudonym)
                    .limit(limit.saturating_add(1))
                    .load(c)
                    .map_err(backend)?;
                let row = |(case, blind, slot)| {
                    vec![Cell::Bytes(case), Cell::Bytes(blind), Cell::Bytes(slot)]
                };
                skip(rows.into_iter().map(row).collect(), after, limit)
            }
            Derived::TraceSlot => {
                let rows: Vec<(Vec<u8>, Vec<u8>)> = trace_slot::table
                    .filter(trace_slot::trace.ge(bytes(after.and_then(<[Cell]>::first))))
                    .order(trace_slot::trace)
                    .limit(limit.saturating_add(1))
                    .load(c)
                    .map_err(backend)?;
                let row = |(trace, slot)| vec![Cell::Bytes(trace), Cell::Bytes(slot)];
                skip(rows.into_iter().map(row).collect(), after, limit)
            }
        };
        Ok(all)
    }

    fn reports(
        &mut self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<ScanReport>, StoreError> {
        type Row = (Vec<u8>, i64, Option<Vec<u8>>, Vec<u8>, String);
        let mut select = report::table
            .order(report::id)
            .limit(signed(limit))
            .into_boxed();
        if let Some(after) = after {
            select = select.filter(report::id.gt(after.to_vec()));
        }
        let rows: Vec<Row> = select.load(&mut self.connection).map_err(backend)?;
        let row = |(id, seq, pseudonym, requester, envelope): Row| ScanReport {
            id,
            seq,
            pseudonym,
            requester,
            envelope,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    fn catalogues(&mut self) -> Result<Vec<(Vec<u8>, String)>, StoreError> {
        catalogue::table
            .order(catalogue::digest)
            .load(&mut self.connection)
            .map_err(backend)
    }
}

/// Leaves out the row that the page before ended with: a key may be empty, so the first page cannot begin after one.
fn skip(mut rows: Vec<Vec<Cell>>, after: Option<&[Cell]>, limit: i64) -> Vec<Vec<Cell>> {
    if after.is_some() && rows.first().map(Vec::as_slice) == after {
        rows.remove(0);
    }
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    rows
}
