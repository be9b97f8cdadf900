//! Random changes to everything that a ledger consists of: each must be caught and named, or change no meaning.
//!
//! The seed is printed; `WHEREAS_SEED` repeats a run and `WHEREAS_MUTATIONS` makes it longer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use whereas::sequencer::LedgerPaths;

use crate::dice::Dice;
use crate::forger::Outcome;
use crate::ground::{Ground, NAME, rows};

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// `table.column`, or the file.
    pub place: String,
    /// What was done, in words.
    pub how: String,
}

/// A table's columns, and how many of them make its key.
struct Table {
    name: String,
    columns: Vec<String>,
}

fn tables(db: &Connection) -> Outcome<Vec<Table>> {
    let mut query = db.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )?;
    let names: Vec<String> = query
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    names
        .into_iter()
        .map(|name| {
            let mut info = db.prepare(&format!("PRAGMA table_info({name})"))?;
            let columns = info.query_map([], |r| r.get(1))?;
            let columns = columns.collect::<Result<_, _>>()?;
            Ok(Table { name, columns })
        })
        .collect()
}

fn all(db: &Connection, table: &Table) -> Outcome<Vec<Vec<Value>>> {
    let mut query = db.prepare(&format!("SELECT * FROM {}", table.name))?;
    let width = table.columns.len();
    let found = query.query_map([], |r| (0..width).map(|i| r.get(i)).collect())?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Another value than this one: a changed bit, one more, another row's, nothing.
fn other(dice: &mut Dice, value: &Value, column: &[&Value]) -> Value {
    let foreign = |dice: &mut Dice| (*dice.pick(column)).clone();
    match value {
        Value::Integer(n) => match dice.below(4) {
            0 => Value::Integer(n + 1),
            1 => Value::Integer(n - 1),
            2 => Value::Integer(i64::try_from(dice.next() >> 40).unwrap()),
            _ => foreign(dice),
        },
        Value::Text(text) => match dice.below(4) {
            0 if !text.is_empty() => {
                let mut chars: Vec<char> = text.chars().collect();
                let at = dice.below(chars.len());
                chars[at] = if chars[at] == 'x' { 'y' } else { 'x' };
                Value::Text(chars.into_iter().collect())
            }
            1 => Value::Text(format!("{text} ")),
            2 => Value::Null,
            _ => foreign(dice),
        },
        Value::Blob(bytes) => match dice.below(5) {
            0 | 1 if !bytes.is_empty() => {
                let mut bytes = bytes.clone();
                let at = dice.below(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
                Value::Blob(bytes)
            }
            2 if !bytes.is_empty() => Value::Blob(bytes[..bytes.len() - 1].to_vec()),
            3 => Value::Null,
            _ => foreign(dice),
        },
        Value::Null => foreign(dice),
        Value::Real(_) => Value::Null,
    }
}

/// Changes something in the database by SQL; `None` when the database would not have it.
pub fn by_sql(dice: &mut Dice, database: &Path) -> Outcome<Option<Change>> {
    let db = Connection::open(database)?;
    let tables = tables(&db)?;
    let table = dice.pick(&tables);
    let rows = all(&db, table)?;
    let name = &table.name;
    let change = |column: &str, how: &str| {
        Some(Change {
            place: format!("{name}.{column}"),
            how: how.to_owned(),
        })
    };
    let only = |row: &[Value]| -> (String, Vec<Value>) {
        let terms: Vec<String> = table.columns.iter().map(|c| format!("{c} IS ?")).collect();
        (terms.join(" AND "), row.to_vec())
    };
    let insert = |row: &[Value]| {
        let marks = vec!["?"; row.len()].join(", ");
        db.execute(
            &format!("INSERT INTO {name} VALUES ({marks})"),
            params_from_iter(row),
        )
    };
    if rows.is_empty() {
        return Ok(None);
    }
    let row = dice.pick(&rows).clone();
    let at = dice.below(table.columns.len());
    let column = &table.columns[at];
    let of_column: Vec<&Value> = rows.iter().map(|r| &r[at]).collect();
    let (filter, mut values) = only(&row);
    let done = match dice.below(10) {
        0..5 => {
            let new = other(dice, &row[at], &of_column);
            values.insert(0, new);
            let sql = format!("UPDATE {name} SET {column} = ? WHERE {filter}");
            db.execute(&sql, params_from_iter(values))
                .map(|_| change(column, "updated"))
        }
        5 => db
            .execute(
                &format!("DELETE FROM {name} WHERE {filter}"),
                params_from_iter(values),
            )
            .map(|_| change("*", "a row deleted")),
        6 => {
            let mut new = row.clone();
            new[at] = other(dice, &row[at], &of_column);
            insert(&new).map(|_| change(column, "a row inserted"))
        }
        7 => {
            let second = dice.pick(&rows).clone();
            let (second_filter, mut second_values) = only(&second);
            values.insert(0, second[at].clone());
            second_values.insert(0, row[at].clone());
            let swap = || -> Result<(), rusqlite::Error> {
                let t = db.unchecked_transaction()?;
                let sql = format!("UPDATE {name} SET {column} = ? WHERE {filter}");
                let second_sql = format!("UPDATE {name} SET {column} = ? WHERE {second_filter}");
                t.execute(&sql, params_from_iter(values))?;
                t.execute(&second_sql, params_from_iter(second_values))?;
                t.commit()
            };
            swap().map(|()| change(column, "swapped between two rows"))
        }
        8 => {
            let keep = dice.below(rows.len());
            let cut = || -> Result<(), rusqlite::Error> {
                let t = db.unchecked_transaction()?;
                t.execute(&format!("DELETE FROM {name}"), [])?;
                for row in &rows[..keep] {
                    let marks = vec!["?"; row.len()].join(", ");
                    t.execute(
                        &format!("INSERT INTO {name} VALUES ({marks})"),
                        params_from_iter(row),
                    )?;
                }
                t.commit()
            };
            cut().map(|()| change("*", "cut short"))
        }
        _ => {
            let sql = [
                format!("CREATE TRIGGER t AFTER INSERT ON {name} BEGIN SELECT 1; END"),
                format!("CREATE VIEW v AS SELECT * FROM {name}"),
                format!("ALTER TABLE {name} ADD COLUMN more TEXT"),
                format!("CREATE INDEX more ON {name} ({column})"),
                format!("DROP TABLE {name}"),
            ];
            db.execute_batch(dice.pick(&sql[..]).as_str())
                .map(|()| change("*", "the schema changed"))
        }
    };
    // A refused change (a key that is taken, NULL where none may be) changed nothing.
    Ok(done.unwrap_or(None))
}

/// Changes bytes of a file.
pub fn by_bytes(dice: &mut Dice, file: &Path) -> Outcome<Option<Change>> {
    let mut bytes = std::fs::read(file)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let at = dice.below(bytes.len());
    let how = match dice.below(6) {
        0 => {
            bytes.truncate(at);
            "cut short"
        }
        1 => {
            bytes.insert(at, u8::try_from(dice.below(256)).unwrap());
            "a byte inserted"
        }
        2 => {
            let end = bytes.len().min(at + 1 + dice.below(64));
            bytes[at..end].fill(0);
            "bytes zeroed"
        }
        _ => {
            bytes[at] ^= 1 << dice.below(8);
            "a bit turned"
        }
    };
    std::fs::write(file, bytes)?;
    Ok(Some(Change {
        place: file
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default(),
        how: how.to_owned(),
    }))
}

/// A folder's files, to put back after each change.
pub struct Pristine {
    files: Vec<(PathBuf, Vec<u8>)>,
    pub rows: BTreeSet<String>,
}

impl Pristine {
    pub fn of(ground: &Ground) -> Outcome<Self> {
        let mut files = Vec::new();
        let mut folders = vec![ground.data()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), std::fs::read(&path)?));
                }
            }
        }
        Ok(Self {
            files,
            rows: rows(&ground.data())?.into_iter().collect(),
        })
    }

    /// Puts everything back.
    pub fn restore(&self) -> Outcome {
        for (path, bytes) in &self.files {
            if std::fs::read(path).ok().as_ref() != Some(bytes) {
                std::fs::write(path, bytes)?;
            }
            for extra in ["-wal", "-shm", "-journal"] {
                let mut name = path.clone().into_os_string();
                name.push(extra);
                let extra = PathBuf::from(name);
                if extra.exists() {
                    std::fs::remove_file(extra)?;
                }
            }
        }
        Ok(())
    }

    /// The files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.files.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The first rows in which the database differs from what it was.
    pub fn differs(&self, data: &Path) -> String {
        let now: BTreeSet<String> = rows(data).unwrap_or_default().into_iter().collect();
        let short = |row: &String| row.chars().take(160).collect::<String>();
        let gone: Vec<String> = self.rows.difference(&now).take(2).map(short).collect();
        let new: Vec<String> = now.difference(&self.rows).take(2).map(short).collect();
        format!("was {gone:?}, is {new:?}")
    }

    /// Whether the database still says the same: free pages and the order of cells mean nothing.
    pub fn says_the_same(&self, data: &Path) -> bool {
        let now = rows(data).map(|r| r.into_iter().collect::<BTreeSet<String>>());
        now.is_ok_and(|now| now == self.rows)
    }
}

/// How often each place was changed, how often that was caught, and by which codes.
#[derive(Default)]
pub struct Coverage(pub BTreeMap<String, Tally>);

#[derive(Default)]
pub struct Tally {
    pub changed: u64,
    pub caught: u64,
    pub without_meaning: u64,
    pub codes: BTreeMap<String, u64>,
    pub survivors: Vec<String>,
}

impl Coverage {
    pub fn print(&self) {
        eprintln!(
            "{:<28} {:>7} {:>7} {:>9}  codes",
            "place", "changed", "caught", "no matter"
        );
        for (place, t) in &self.0 {
            let mut codes: Vec<(&String, &u64)> = t.codes.iter().collect();
            codes.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
            let codes: Vec<&str> = codes.iter().take(4).map(|(c, _)| c.as_str()).collect();
            eprintln!(
                "{place:<28} {:>7} {:>7} {:>9}  {}",
                t.changed,
                t.caught,
                t.without_meaning,
                codes.join(" ")
            );
        }
    }
}

/// The database of a ground.
pub fn database(data: &Path) -> PathBuf {
    LedgerPaths::below(data, NAME).database()
}
