//! Who read a case.

use actix_web::{HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::auth::{InLedger, Readers};
use super::entries::{case_name, query_mark, read_cursor, write_cursor};
use super::problem::{Kind, Problem, ProblemBody};
use super::reads::{PURPOSE_DOC, Reading, Unrecorded};
use crate::access::Permission;
use crate::ledger::{Id16, Timestamp};
use crate::reconstruct::find_case;
use crate::report;
use crate::sequencer::Access;
use crate::verify::custody::names;

/// Entries of a page unless the request says otherwise.
const PAGE: usize = 100;
/// Most entries of a page.
const MAX_PAGE: usize = 1_000;

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AccessesQuery {
    /// At most the reads of so many entries (1 to 1,000; 100 unless given). One entry can record several reads.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<usize>,
    /// Where an earlier page ended: its `next_cursor`.
    #[param(example = "AAAAAAAAAGQAAAAAAAAAyECpFWTcP1Zi")]
    cursor: Option<String>,
}

/// A page of recorded reads, in ledger order.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessPage {
    /// Pseudonym of the case.
    #[schema(example = "3da8d00aa31bc2a6baa82c1dee5d3519")]
    pub case: String,
    /// The reads.
    pub items: Vec<AccessItem>,
    /// Where the next page begins; absent on the last one.
    #[schema(example = "AAAAAAAAAGQAAAAAAAAAyECpFWTcP1Zi")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
    /// The ledger's size that the page speaks of.
    pub as_of: u64,
}

/// A recorded read.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessItem {
    /// Position of the entry that records it.
    #[schema(example = 7)]
    pub seq: u64,
    /// The ledger's time of this entry: nothing was handed out before it.
    #[schema(example = "2026-11-22T10:15:30.000000Z")]
    pub recorded: String,
    /// The read, as it was recorded: `principal`, `role`, `resource`, `case` or `cases`, `report`, `entries`, `count`,
    /// `as_of`, `content`, `purpose`, `time`. Of `cases` (objects with a `case`) only this one is named; `cases_more`
    /// counts the others.
    #[schema(value_type = Object, example = json!({
        "principal": "bde1d818caa738851646f701c56a61a8", "role": "investigator", "resource": "case.why",
        "case": "3da8d00aa31bc2a6baa82c1dee5d3519", "count": 12, "as_of": 31, "content": true,
        "purpose": "Complaint 2026/114", "time": "2026-11-22T10:15:29.990000Z"
    }))]
    pub access: Value,
}

/// See who read a case.
///
/// Every recorded read of the case in ledger order: timelines, answers, entries, lists, reports, and this list. Reads
/// are recorded before they are answered; what an erasure took from the record is absent.
#[utoipa::path(
    tag = "Answering",
    params(
        ("ledger" = String, Path, description = "Name of the ledger", example = "demo"),
        ("case" = String, Path, description = "Its id, or `~` and its pseudonym", example = "C-7"),
        ("Whereas-Purpose" = Option<String>, Header, description = PURPOSE_DOC, example = "Complaint 2026/114"),
        AccessesQuery
    ),
    responses(
        (status = 200, description = "A page of reads", body = AccessPage),
        (status = 400, description = "The query or cursor is not understood", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Nothing there that this token may know of", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/cases/{case}/accesses")]
pub async fn case_accesses(
    at: InLedger<Readers>,
    server: web::Data<Server>,
    reading: Reading,
    path: web::Path<(String, String)>,
    query: web::Query<AccessesQuery>,
) -> Result<HttpResponse, Problem> {
    let page = web::block(move || page(&at, &path.1, &query, &reading, server.clock.now()))
        .await
        .map_err(Problem::internal)??;
    Ok(HttpResponse::Ok().json(page.record().await?))
}

fn page(
    at: &InLedger<Readers>,
    case: &str,
    query: &AccessesQuery,
    reading: &Reading,
    now: Timestamp,
) -> Result<Unrecorded<AccessPage>, Problem> {
    let ledger = &at.ledger;
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::new(
            Kind::InvalidQuery,
            format!("`limit` must be between 1 and {MAX_PAGE}."),
        ));
    }
    let case: Id16 = find_case(ledger, &case_name(case), &at.sight(Permission::ReadContent))?;
    let mark = query_mark(ledger, &("accesses", case.to_hex()));
    let cursor = match &query.cursor {
        Some(text) => Some(read_cursor(text, &mark).ok_or_else(|| {
            Problem::new(
                Kind::InvalidCursor,
                "The cursor does not belong to this case's list of reads.",
            )
        })?),
        None => None,
    };
    let (from, as_of) = cursor.unwrap_or((0, ledger.size()));
    let as_of = as_of.min(ledger.size());
    let mut found = ledger.accesses_of(&case, from, as_of, limit + 1)?;
    let next = (found.len() > limit)
        .then(|| found.pop().map(|e| e.seq))
        .flatten();
    let mut items = Vec::new();
    for entry in &found {
        let Some(custody) = report::accesses_in(ledger, entry, &case)? else {
            continue;
        };
        let (seq, recorded) = (entry.seq, custody.recorded.to_string());
        items.extend(custody.accesses.into_iter().map(|(_, access)| AccessItem {
            seq,
            recorded: recorded.clone(),
            access: of_this_case(access, &case),
        }));
    }
    let next_cursor = next.map(|seq| write_cursor(seq, as_of, &mark));
    let access = Access {
        case: Some(case),
        count: found.len() as u64,
        as_of,
        content: true,
        ..reading.access(at, Permission::ReadContent, now)
    };
    let page = AccessPage {
        case: case.to_hex(),
        items,
        has_more: next_cursor.is_some(),
        next_cursor,
        as_of,
    };
    Ok(Unrecorded::new(ledger, access, page))
}

/// A read without the names of other cases: whoever may look into this case need not have to do with them.
fn of_this_case(mut access: Value, case: &Id16) -> Value {
    let named = access.get("cases").and_then(Value::as_array);
    let Some(named) = named else { return access };
    let (this, others): (Vec<Value>, Vec<Value>) =
        named.iter().cloned().partition(|one| names(one, case));
    let before = access.get("cases_more").and_then(Value::as_u64);
    let more = others.len() as u64 + before.unwrap_or_default();
    access["cases"] = Value::Array(this);
    if more > 0 {
        access["cases_more"] = more.into();
    }
    access
}
