//! The index's file: SQLite, and nothing that cannot be made again.

use std::collections::HashMap;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::dsl::{count, count_star};
use diesel::expression::BoxableExpression;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::schema::{case_feature, finding, judged_case, survey};
use super::{Codes, Counted, FindingQuery, Place, Row, SurveyError, Unjudged};
use crate::judge::{Judged, Severity};
use crate::ledger::{Hash, Id16, Timestamp};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite_survey");
/// Losing the last rows with the machine costs judging them again.
const SETUP: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
                     PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;";

const SEVERITIES: [Severity; 4] = [
    Severity::Info,
    Severity::Warning,
    Severity::Error,
    Severity::Critical,
];

/// What all rows were judged against, and how far.
pub(super) struct Basis {
    pub(super) profile: Hash,
    pub(super) judge: String,
    pub(super) size: u64,
    pub(super) tip: Hash,
}

pub(super) struct Index(SqliteConnection);

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

fn damaged(what: &str) -> SurveyError {
    SurveyError::Index(format!("{what} cannot be"))
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(n: i64) -> Result<u64, SurveyError> {
    u64::try_from(n).map_err(|_| damaged("a negative position"))
}

fn id(bytes: &[u8]) -> Result<Id16, SurveyError> {
    bytes
        .try_into()
        .map(Id16)
        .map_err(|_| damaged("a pseudonym of this length"))
}

fn hash(bytes: &[u8]) -> Result<Hash, SurveyError> {
    bytes
        .try_into()
        .map(Hash)
        .map_err(|_| damaged("a hash of this length"))
}

fn word(judged: Judged) -> &'static str {
    match judged {
        Judged::Good => "good",
        Judged::Bad => "bad",
        Judged::Undetermined => "undetermined",
        Judged::NotApplicable => "not_applicable",
    }
}

fn judged(word: Option<&str>) -> Result<Judged, SurveyError> {
    match word {
        Some("good") => Ok(Judged::Good),
        Some("bad") => Ok(Judged::Bad),
        Some("undetermined") => Ok(Judged::Undetermined),
        Some("not_applicable") => Ok(Judged::NotApplicable),
        _ => Err(damaged("a verdict with this name")),
    }
}

fn rank(severity: Severity) -> i64 {
    SEVERITIES
        .iter()
        .position(|s| *s == severity)
        .and_then(|at| i64::try_from(at).ok())
        .unwrap_or_default()
}

fn severity(rank: i64) -> Result<Severity, SurveyError> {
    let at = usize::try_from(rank).ok();
    at.and_then(|at| SEVERITIES.get(at))
        .copied()
        .ok_or_else(|| damaged("a severity of this rank"))
}

fn time(micros: i64) -> Result<Timestamp, SurveyError> {
    Timestamp::from_micros(micros).ok_or_else(|| damaged("a time like this"))
}

type Condition = Box<dyn BoxableExpression<finding::table, Sqlite, SqlType = Bool>>;

/// Everything that a query asks of a finding but its page.
fn condition(query: &FindingQuery) -> Condition {
    let mut all: Condition = Box::new(finding::newest.ge(0));
    if !query.codes.is_empty() {
        let mut any: Condition = Box::new(finding::newest.lt(0));
        for codes in &query.codes {
            any = match codes {
                Codes::Is(code) => Box::new(any.or(finding::code.eq(code.clone()))),
                Codes::Begin(start) => {
                    // Codes are ASCII: what begins so lies before the next text of this length.
                    let mut end = start.clone().into_bytes();
                    if let Some(last) = end.last_mut() {
                        *last = last.saturating_add(1);
                    }
                    let end = String::from_utf8_lossy(&end).into_owned();
                    let within = finding::code.ge(start.clone()).and(finding::code.lt(end));
                    Box::new(any.or(within))
                }
            };
        }
        all = Box::new(all.and(any));
    }
    if !query.severities.is_empty() {
        let ranks: Vec<i64> = query.severities.iter().map(|s| rank(*s)).collect();
        all = Box::new(all.and(finding::severity.eq_any(ranks)));
    }
    if let Some(cases) = &query.cases {
        let cases: Vec<Vec<u8>> = cases.iter().map(|c| c.0.to_vec()).collect();
        all = Box::new(all.and(finding::pseudonym.eq_any(cases)));
    }
    if let Some(feature) = &query.feature {
        let cases = case_feature::table
            .filter(case_feature::feature.eq(feature.0.to_vec()))
            .select(case_feature::pseudonym);
        all = Box::new(all.and(finding::pseudonym.eq_any(cases)));
    }
    if let Some(from) = query.recorded_from {
        all = Box::new(all.and(finding::recorded.ge(from.micros())));
    }
    if let Some(to) = query.recorded_to {
        all = Box::new(all.and(finding::recorded.lt(to.micros())));
    }
    if let Some(from) = query.occurred_from {
        all = Box::new(all.and(finding::occurred.ge(from.micros())));
    }
    if let Some(to) = query.occurred_to {
        all = Box::new(all.and(finding::occurred.lt(to.micros())));
    }
    all
}

impl Index {
    /// Opens the file. One that is damaged, or of another version, is made anew.
    pub(super) fn open(path: &Path) -> Result<Self, SurveyError> {
        match Self::try_open(path) {
            Ok(index) => Ok(index),
            Err(e) => {
                tracing::warn!(component = "survey", error = %e, path = %path.display(), "the index of findings is made anew");
                for end in ["", "-wal", "-shm"] {
                    let mut file = path.as_os_str().to_owned();
                    file.push(end);
                    match std::fs::remove_file(&file) {
                        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                            return Err(SurveyError::Index(format!(
                                "{}: {e}",
                                Path::new(&file).display()
                            )));
                        }
                        _ => {}
                    }
                }
                Self::try_open(path)
            }
        }
    }

    fn try_open(path: &Path) -> Result<Self, SurveyError> {
        let failed =
            |e: &dyn std::fmt::Display| SurveyError::Index(format!("{}: {e}", path.display()));
        let url = path
            .to_str()
            .ok_or_else(|| failed(&"the path is not UTF-8"))?;
        let mut connection = SqliteConnection::establish(url).map_err(|e| failed(&e))?;
        connection.batch_execute(SETUP)?;
        let checked: Vec<String> = diesel::sql_query("PRAGMA quick_check(1)")
            .load::<Check>(&mut connection)?
            .into_iter()
            .map(|c| c.quick_check)
            .collect();
        if checked != ["ok"] {
            return Err(failed(&checked.join("; ")));
        }
        connection
            .run_pending_migrations(MIGRATIONS)
            .map_err(|e| failed(&e))?;
        let applied = connection.applied_migrations().map_err(|e| failed(&e))?;
        if applied.len() != MIGRATIONS_COUNT {
            return Err(failed(&"it is of another version"));
        }
        Ok(Self(connection))
    }

    pub(super) fn basis(&mut self) -> Result<Option<Basis>, SurveyError> {
        type Found = (Vec<u8>, String, i64, Vec<u8>);
        let row: Option<Found> = survey::table
            .find(1)
            .select((survey::profile, survey::judge, survey::size, survey::tip))
            .get_result(&mut self.0)
            .optional()?;
        row.map(|(profile, judge, size, tip)| {
            Ok(Basis {
                profile: hash(&profile)?,
                judge,
                size: unsigned(size)?,
                tip: hash(&tip)?,
            })
        })
        .transpose()
    }

    /// Forgets everything, and starts on another basis.
    pub(super) fn restart(&mut self, basis: &Basis) -> Result<(), SurveyError> {
        self.0.immediate_transaction(|c| {
            diesel::delete(survey::table).execute(c)?;
            diesel::delete(case_feature::table).execute(c)?;
            diesel::delete(finding::table).execute(c)?;
            diesel::delete(judged_case::table).execute(c)?;
            diesel::insert_into(survey::table)
                .values((
                    survey::id.eq(1),
                    survey::profile.eq(&basis.profile.0[..]),
                    survey::judge.eq(&basis.judge),
                    survey::size.eq(signed(basis.size)),
                    survey::tip.eq(&basis.tip.0[..]),
                ))
                .execute(c)?;
            Ok(())
        })
    }

    pub(super) fn reached(&mut self, size: u64, tip: &Hash) -> Result<(), SurveyError> {
        diesel::update(survey::table.find(1))
            .set((survey::size.eq(signed(size)), survey::tip.eq(&tip.0[..])))
            .execute(&mut self.0)?;
        Ok(())
    }

    /// Below which position all entries of a case are judged.
    pub(super) fn judged_up_to(&mut self, case: &Id16) -> Result<u64, SurveyError> {
        let size: Option<i64> = judged_case::table
            .find(&case.0[..])
            .select(judged_case::size)
            .get_result(&mut self.0)
            .optional()?;
        unsigned(size.unwrap_or_default())
    }

    /// Replaces what is said of a case.
    pub(super) fn put_case(
        &mut self,
        case: &Id16,
        size: u64,
        (elements, controls): (Judged, Judged),
        rows: &[Row],
        features: &[Id16],
    ) -> Result<(), SurveyError> {
        self.0.immediate_transaction(|c| {
            forget(c, case)?;
            diesel::insert_into(judged_case::table)
                .values((
                    judged_case::pseudonym.eq(&case.0[..]),
                    judged_case::size.eq(signed(size)),
                    judged_case::elements.eq(word(elements)),
                    judged_case::controls.eq(word(controls)),
                ))
                .execute(c)?;
            for row in rows {
                let entries = serde_json::to_string(&row.entries)
                    .map_err(|e| SurveyError::Index(e.to_string()))?;
                diesel::insert_into(finding::table)
                    .values((
                        finding::newest.eq(signed(row.place.newest)),
                        finding::place.eq(signed(row.place.at)),
                        finding::pseudonym.eq(&case.0[..]),
                        finding::code.eq(&row.code),
                        finding::severity.eq(rank(row.severity)),
                        finding::entries.eq(entries),
                        finding::occurred.eq(row.occurred.micros()),
                        finding::recorded.eq(row.recorded.micros()),
                    ))
                    .execute(c)?;
            }
            for feature in features {
                diesel::insert_or_ignore_into(case_feature::table)
                    .values((
                        case_feature::pseudonym.eq(&case.0[..]),
                        case_feature::feature.eq(&feature.0[..]),
                    ))
                    .execute(c)?;
            }
            Ok(())
        })
    }

    /// Replaces what is said of a case by why nothing can be said.
    pub(super) fn put_failed(
        &mut self,
        case: &Id16,
        size: u64,
        why: &str,
    ) -> Result<(), SurveyError> {
        self.0.immediate_transaction(|c| {
            forget(c, case)?;
            diesel::insert_into(judged_case::table)
                .values((
                    judged_case::pseudonym.eq(&case.0[..]),
                    judged_case::size.eq(signed(size)),
                    judged_case::failed.eq(why),
                ))
                .execute(c)?;
            Ok(())
        })
    }

    pub(super) fn findings(&mut self, query: &FindingQuery) -> Result<Vec<Row>, SurveyError> {
        type Found = (i64, i64, Vec<u8>, String, i64, String, i64, i64);
        let (newest, at) = query
            .after
            .map_or((-1, -1), |p| (signed(p.newest), signed(p.at)));
        let behind = finding::newest
            .gt(newest)
            .or(finding::newest.eq(newest).and(finding::place.gt(at)));
        let found: Vec<Found> = finding::table
            .filter(condition(query))
            .filter(finding::newest.ge(newest))
            .filter(behind)
            .order((finding::newest, finding::place))
            .limit(i64::try_from(query.limit).unwrap_or(i64::MAX))
            .load(&mut self.0)?;
        let mut verdicts = HashMap::new();
        found
            .into_iter()
            .map(|row| {
                let (newest, at, case, code, rank, entries, occurred, recorded) = row;
                let (elements, controls) = match verdicts.get(&case) {
                    Some(known) => *known,
                    None => {
                        let known = self.verdicts(&case)?;
                        verdicts.insert(case.clone(), known);
                        known
                    }
                };
                Ok(Row {
                    place: Place {
                        newest: unsigned(newest)?,
                        at: unsigned(at)?,
                    },
                    case: id(&case)?,
                    code,
                    severity: severity(rank)?,
                    entries: serde_json::from_str(&entries)
                        .map_err(|_| damaged("a list of entries like this"))?,
                    occurred: time(occurred)?,
                    recorded: time(recorded)?,
                    elements,
                    controls,
                })
            })
            .collect()
    }

    fn verdicts(&mut self, case: &[u8]) -> Result<(Judged, Judged), SurveyError> {
        let (elements, controls): (Option<String>, Option<String>) = judged_case::table
            .find(case)
            .select((judged_case::elements, judged_case::controls))
            .get_result(&mut self.0)?;
        Ok((judged(elements.as_deref())?, judged(controls.as_deref())?))
    }

    pub(super) fn counts(&mut self, query: &FindingQuery) -> Result<Counted, SurveyError> {
        let rows: Vec<(String, i64, i64)> = finding::table
            .filter(condition(query))
            .group_by((finding::code, finding::severity))
            .select((finding::code, finding::severity, count_star()))
            .load(&mut self.0)?;
        let cases: i64 = finding::table
            .filter(condition(query))
            .select(count(finding::pseudonym).aggregate_distinct())
            .get_result(&mut self.0)?;
        let mut counted = Counted {
            cases: unsigned(cases)?,
            ..Counted::default()
        };
        for (code, rank, count) in rows {
            let key = (code, severity(rank)?);
            counted.findings.insert(key, unsigned(count)?);
        }
        Ok(counted)
    }

    pub(super) fn unjudged(
        &mut self,
        cases: Option<&[Id16]>,
        limit: usize,
    ) -> Result<Vec<Unjudged>, SurveyError> {
        let mut select = judged_case::table
            .filter(judged_case::failed.is_not_null())
            .order(judged_case::pseudonym)
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .select((
                judged_case::pseudonym,
                judged_case::failed.assume_not_null(),
            ))
            .into_boxed::<Sqlite>();
        if let Some(cases) = cases {
            let cases: Vec<Vec<u8>> = cases.iter().map(|c| c.0.to_vec()).collect();
            select = select.filter(judged_case::pseudonym.eq_any(cases));
        }
        let rows: Vec<(Vec<u8>, String)> = select.load(&mut self.0)?;
        rows.into_iter()
            .map(|(case, why)| {
                Ok(Unjudged {
                    case: id(&case)?,
                    why,
                })
            })
            .collect()
    }
}

const MIGRATIONS_COUNT: usize = 1;

#[derive(QueryableByName)]
struct Check {
    #[diesel(sql_type = diesel::sql_types::Text)]
    quick_check: String,
}

fn forget(c: &mut SqliteConnection, case: &Id16) -> QueryResult<()> {
    let of = &case.0[..];
    diesel::delete(finding::table.filter(finding::pseudonym.eq(of))).execute(c)?;
    diesel::delete(case_feature::table.filter(case_feature::pseudonym.eq(of))).execute(c)?;
    diesel::delete(judged_case::table.find(of)).execute(c)?;
    Ok(())
}
