//! Entries: their leaves, proofs and, for those who may, their content.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Entries, InLedger, Proofs, Sight};
use super::problem::{Kind, Problem, ProblemBody};
use super::proofs::receipt_for;
use super::reads::{PURPOSE_DOC, Reading, Unrecorded};
use super::{Server, text};
use crate::access::Permission;
use crate::ledger::content::Opened;
use crate::ledger::{Hash, Id16, Leaf, Timestamp, b64url, decode_b64url};
use crate::reconstruct::{CaseName, CaseSight, find_case, is_w3c_trace, open_entry, trace_id};
use crate::sequencer::{Access, Ledger};
use crate::store::{EntryQuery, StoreError, StoredEntry};

/// Entries of a page unless the request says otherwise.
const PAGE: usize = 100;
/// Most entries of a page.
const MAX_PAGE: usize = 1_000;
/// Most entries that are looked at for a page when a filter has no index.
const MAX_SCAN: usize = 20_000;

/// Which entries; all given conditions must hold.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EntriesQuery {
    /// Of this case: its id, or `~` and its pseudonym.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "C-7")]
    case: Option<String>,
    /// Of this trace, by the id that was posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "0af7651916cd43dd8448eb211c80319c")]
    trace: Option<String>,
    /// Of this event type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[param(example = "approval.decided")]
    kind: Option<String>,
    /// Recorded at or after this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "2026-11-01T00:00:00Z")]
    recorded_from: Option<String>,
    /// Recorded before this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "2026-12-01T00:00:00Z")]
    recorded_to: Option<String>,
    /// Claimed to have happened at or after this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "2026-11-22T10:00:00Z")]
    occurred_from: Option<String>,
    /// Claimed to have happened before this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "2026-11-22T11:00:00+01:00")]
    occurred_to: Option<String>,
    /// At most so many (1 to 1,000; 100 unless given).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<usize>,
    /// Where an earlier page ended: its `next_cursor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "AAAAAAAAAGTAqRVk3D9WYg")]
    cursor: Option<String>,
}

/// A page of entries, in ledger order.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryPage {
    /// The entries.
    pub items: Vec<EntryItem>,
    /// Where the next page begins; absent on the last one. A page may be shorter than `limit` and still have a next.
    #[schema(example = "AAAAAAAAAGTAqRVk3D9WYg")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
    /// The ledger's size that the page speaks of.
    pub as_of: u64,
}

/// An entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryItem {
    /// Position in the ledger.
    #[schema(example = 7)]
    pub seq: u64,
    /// Leaf hash, hex.
    pub leaf_hash: String,
    /// The leaf's exact text: what is hashed.
    #[schema(example = "{\"case\":\"3da8d00aa31bc2a6baa82c1dee5d3519\",…,\"v\":1}")]
    pub leaf: String,
    /// The event as it was posted, for callers who may read the content of its case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub event: Option<Value>,
    /// The disclosures (base64url), for the same callers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disclosures: Option<Vec<String>>,
}

/// What a caller may see of entries.
pub(super) struct View {
    content: Sight,
    proofs: Option<Sight>,
}

impl View {
    fn of(at: &InLedger<Entries>) -> Self {
        Self {
            content: at.sight(Permission::ReadContent),
            proofs: Some(at.sight(Permission::ReadProofs)),
        }
    }

    /// Nothing but what comes with content.
    fn with_content_only(self) -> Self {
        Self {
            proofs: None,
            ..self
        }
    }

    fn proofs_see(&self, blind: Option<&Id16>) -> bool {
        self.proofs.as_ref().is_some_and(|s| s.sees(blind))
    }

    /// The entry as this caller may see it, with the pseudonym of its case; `None` when not at all.
    fn show(
        &self,
        ledger: &Ledger,
        entry: &StoredEntry,
    ) -> Result<Option<(EntryItem, Option<Id16>)>, Problem> {
        let leaf = Leaf::decode(&entry.leaf)
            .map_err(|e| Problem::internal(format!("entry {}: {e}", entry.seq)))?;
        let blind = match leaf.case {
            Some(link) => ledger
                .reader()
                .case_by_pseudonym(&link.case)?
                .map(|f| f.blind),
            None => None,
        };
        let content = self.content.sees(blind.as_ref());
        if !content && !self.proofs_see(blind.as_ref()) {
            return Ok(None);
        }
        let (mut event, mut disclosures) = (None, None);
        if content && let Some(shown) = ledger.disclosures(entry)? {
            let (opened, _) = open_entry(entry, &shown)?;
            event = Some(native(&leaf, &opened.opened));
            disclosures = Some(shown);
        }
        let text = String::from_utf8(entry.leaf.clone()).map_err(Problem::internal)?;
        let item = EntryItem {
            seq: entry.seq,
            leaf_hash: Hash::leaf(&entry.leaf).to_hex(),
            leaf: text,
            event,
            disclosures,
        };
        Ok(Some((item, leaf.case.map(|c| c.case))))
    }
}

/// The native form of an entry's event, put together again from what is shown.
#[must_use]
pub fn native(leaf: &Leaf, opened: &Opened) -> Value {
    let mut event = Map::new();
    event.insert("type".into(), leaf.kind.clone().into());
    event.insert("time".into(), leaf.occurred.to_string().into());
    if let Some(trace) = &leaf.trace {
        event.insert("trace_id".into(), trace.to_hex().into());
    }
    if let Some(span) = &leaf.span {
        event.insert("span_id".into(), span.to_hex().into());
    }
    for (at, member) in &opened.members {
        let value = opened.expand(&member.value);
        match &crate::json::pointer::split(at).unwrap_or_default()[..] {
            [name] => {
                event.insert(name.clone(), value);
            }
            [object, name] if object == "ext" => {
                event.insert(name.clone(), value);
            }
            [object, name] => {
                if let Value::Object(inner) = event
                    .entry(object.clone())
                    .or_insert_with(|| Value::Object(Map::new()))
                {
                    inner.insert(name.clone(), value);
                }
            }
            _ => {}
        }
    }
    Value::Object(event)
}

/// List entries.
///
/// By case, trace, type and time, in ledger order. Callers who may read content get the events, others the leaves.
#[utoipa::path(
    tag = "Reading",
    params(
        ("ledger" = String, Path, description = "Name of the ledger", example = "demo"),
        ("Whereas-Purpose" = Option<String>, Header, description = PURPOSE_DOC, example = "Complaint 2026/114"),
        EntriesQuery
    ),
    responses(
        (status = 200, description = "A page of entries", body = EntryPage),
        (status = 400, description = "The query or cursor is not understood", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger or case", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/events")]
pub async fn list_entries(
    at: InLedger<Entries>,
    server: web::Data<Server>,
    reading: Reading,
    query: web::Query<EntriesQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let page = web::block(move || page(&at, &query, &reading, server.clock.now()))
        .await
        .map_err(Problem::internal)??;
    Ok(HttpResponse::Ok().json(page.record().await?))
}

/// By which permission entries were shown.
fn shown_by(content: bool) -> Permission {
    if content {
        Permission::ReadContent
    } else {
        Permission::ReadProofs
    }
}

fn page(
    at: &InLedger<Entries>,
    query: &EntriesQuery,
    reading: &Reading,
    now: Timestamp,
) -> Result<Unrecorded<EntryPage>, Problem> {
    let view = View::of(at);
    let ledger = &at.ledger;
    let mark = query_mark(
        ledger,
        &EntriesQuery {
            limit: None,
            cursor: None,
            ..query.clone()
        },
    );
    let cursor = query.cursor.as_ref().map(|cursor| {
        read_cursor(cursor, &mark).ok_or_else(|| Problem::new(Kind::InvalidCursor, "The cursor does not belong to this query: repeat the parameters of the page that gave it."))
    });
    let cursor = cursor.transpose()?;
    // All pages of a walk speak of the state that the first one read: each page is itself recorded, and a walk would
    // never come to the end of its own traces.
    let as_of = cursor.map_or(ledger.size(), |(_, as_of)| as_of.min(ledger.size()));
    let mut select = EntryQuery {
        below: as_of,
        limit: MAX_PAGE + 1,
        kind: query.kind.clone(),
        ..EntryQuery::default()
    };
    if let Some(case) = &query.case {
        let name = case_name(case);
        let found = find_case(ledger, &name, &view.content);
        // Case ids are content: whoever reads leaves only must not find out by guessing whether somebody has a case.
        let found = match (&name, &view.proofs) {
            (CaseName::Pseudonym(_), Some(proofs)) => {
                found.or_else(|_| find_case(ledger, &name, proofs))
            }
            _ => found,
        };
        select.case = Some(found?);
    } else if !view.content.is_all() && !view.proofs.as_ref().is_some_and(Sight::is_all) {
        return Err(Problem::new(
            Kind::InvalidQuery,
            "Your grants are for single cases: say which with the parameter `case`.",
        ));
    }
    select.trace = query.trace.as_ref().map(|t| trace_id(ledger, t));
    // So are trace ids of another form than W3C's.
    let view = if query.trace.as_ref().is_some_and(|t| !is_w3c_trace(t)) {
        view.with_content_only()
    } else {
        view
    };
    let time = |name: &str, value: &Option<String>| -> Result<Option<Timestamp>, Problem> {
        let read = value
            .as_ref()
            .map(|t| Timestamp::parse_rfc3339(t))
            .transpose();
        read.map_err(|e| Problem::new(Kind::InvalidQuery, format!("`{name}`: {e}.")))
    };
    let (occurred_from, occurred_to) = (
        time("occurred_from", &query.occurred_from)?,
        time("occurred_to", &query.occurred_to)?,
    );
    if let Some(from) = time("recorded_from", &query.recorded_from)? {
        select.from = first_recorded_at(ledger, from, as_of)?;
    }
    if let Some(to) = time("recorded_to", &query.recorded_to)? {
        select.below = first_recorded_at(ledger, to, as_of)?;
    }
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::new(
            Kind::InvalidQuery,
            format!("`limit` must be between 1 and {MAX_PAGE}."),
        ));
    }
    if let Some((at, _)) = cursor {
        select.from = select.from.max(at);
    }
    let (mut items, mut next, mut looked_at) = (Vec::new(), None, 0);
    let mut cases = BTreeSet::new();
    'pages: while select.from < select.below {
        let found = ledger.entries(&select)?;
        let more = found.len() == select.limit;
        for entry in found {
            if items.len() == limit || looked_at == MAX_SCAN {
                next = Some(entry.seq);
                break 'pages;
            }
            looked_at += 1;
            select.from = entry.seq + 1;
            if !within(&entry, occurred_from, occurred_to)? {
                continue;
            }
            if let Some((item, case)) = view.show(ledger, &entry)? {
                items.push(item);
                cases.extend(case);
            }
        }
        if !more {
            break;
        }
    }
    let next_cursor = next.map(|seq| write_cursor(seq, as_of, &mark));
    let content = items.iter().any(|i| i.event.is_some());
    let shown = items.first().zip(items.last());
    let access = Access {
        case: select.case,
        cases: if select.case.is_some() {
            BTreeSet::new()
        } else {
            cases
        },
        entries: shown.map(|(first, last)| (first.seq, last.seq)),
        count: items.len() as u64,
        as_of,
        content,
        ..reading.access(at, shown_by(content), now)
    };
    let page = EntryPage {
        items,
        has_more: next_cursor.is_some(),
        next_cursor,
        as_of,
    };
    Ok(Unrecorded::new(ledger, access, page))
}

/// A case as it stands in an address: its id, or `~` and its pseudonym (`~~…` for an id that begins with `~`).
#[must_use]
pub fn case_name(text: &str) -> CaseName {
    match text.strip_prefix('~') {
        Some(rest) if rest.starts_with('~') => CaseName::Id(rest.to_owned()),
        Some(rest) => match crate::ledger::Id16::from_hex(rest) {
            Some(pseudonym) => CaseName::Pseudonym(pseudonym),
            None => CaseName::Id(text.to_owned()),
        },
        None => CaseName::Id(text.to_owned()),
    }
}

fn within(
    entry: &StoredEntry,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<bool, Problem> {
    if from.is_none() && to.is_none() {
        return Ok(true);
    }
    let leaf = Leaf::decode(&entry.leaf).map_err(Problem::internal)?;
    Ok(from.is_none_or(|t| leaf.occurred >= t) && to.is_none_or(|t| leaf.occurred < t))
}

/// The first position recorded at or after a time. `recorded` never decreases, so halving finds it.
fn first_recorded_at(ledger: &Ledger, time: Timestamp, size: u64) -> Result<u64, Problem> {
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        let entry = ledger
            .entry(middle)?
            .ok_or_else(|| StoreError::Damaged(format!("entry {middle} is absent")))?;
        let leaf = Leaf::decode(&entry.leaf).map_err(Problem::internal)?;
        if leaf.recorded < time {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// What a cursor remembers of its query: a keyed image, so that a cursor confirms no guess at a case id.
pub(super) fn query_mark(ledger: &Ledger, query: &impl Serialize) -> [u8; 8] {
    let text = serde_json::to_string(query).unwrap_or_default();
    let image = ledger.keyring().id.blind("cursor", &text).0;
    std::array::from_fn(|i| image[i])
}

/// Where the next page begins, and the size that the walk speaks of.
pub(super) fn write_cursor(seq: u64, as_of: u64, mark: &[u8; 8]) -> String {
    b64url(&[seq.to_be_bytes(), as_of.to_be_bytes(), *mark].concat())
}

pub(super) fn read_cursor(cursor: &str, mark: &[u8; 8]) -> Option<(u64, u64)> {
    let bytes: [u8; 24] = decode_b64url(cursor)?.try_into().ok()?;
    let (seq, rest) = bytes.split_first_chunk::<8>()?;
    let (as_of, rest) = rest.split_first_chunk::<8>()?;
    (rest == mark).then(|| (u64::from_be_bytes(*seq), u64::from_be_bytes(*as_of)))
}

fn stored(ledger: &Ledger, seq: u64) -> Result<StoredEntry, Problem> {
    if seq >= ledger.size() {
        return Err(Problem::not_found("entry"));
    }
    ledger
        .entry(seq)?
        .ok_or_else(|| Problem::internal(format!("entry {seq} is absent")))
}

/// Read one entry.
///
/// Callers who may read the content of its case get the event, others the leaf.
#[utoipa::path(
    tag = "Reading",
    params(
        ("ledger" = String, Path, description = "Name of the ledger", example = "demo"),
        ("seq" = u64, Path, description = "Position", example = 7),
        ("Whereas-Purpose" = Option<String>, Header, description = PURPOSE_DOC, example = "Complaint 2026/114"),
    ),
    responses(
        (status = 200, description = "The entry", body = EntryItem),
        (status = 400, description = "The purpose is not understood", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such entry", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/entries/{seq}")]
pub async fn read_entry(
    at: InLedger<Entries>,
    server: web::Data<Server>,
    reading: Reading,
    path: web::Path<(String, u64)>,
) -> Result<HttpResponse, Problem> {
    let as_of = at.ledger.size();
    let entry = stored(&at.ledger, path.1)?;
    let (item, case) = View::of(&at)
        .show(&at.ledger, &entry)?
        .ok_or_else(|| Problem::not_found("entry"))?;
    let content = item.event.is_some();
    let access = Access {
        case,
        entries: Some((entry.seq, entry.seq)),
        count: 1,
        as_of,
        content,
        ..reading.access(&at, shown_by(content), server.clock.now())
    };
    let item = Unrecorded::new(&at.ledger, access, item).record().await?;
    Ok(HttpResponse::Ok().json(item))
}

/// In which checkpoint.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AnyReceiptQuery {
    /// In the checkpoint of this size, which must be a commit's, or `latest` for the newest that is published. Without
    /// it, in that of the entry's own commit.
    #[param(example = "latest")]
    size: Option<String>,
}

/// Fetch the receipt of any entry.
///
/// The proof to the checkpoint of the entry's own commit, always the same bytes; or with `size` to a later one.
#[utoipa::path(
    tag = "Proofs",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo"), ("seq" = u64, Path, description = "Position", example = 7), AnyReceiptQuery),
    responses(
        (status = 200, description = "The receipt, a C2SP tlog-proof file", body = String, content_type = "text/plain",
         example = json!("c2sp.org/tlog-proof@v1\nextra eyJjYXNlIjo…\nindex 7\n…")),
        (status = 400, description = "The size is not understood, or the entry does not stand in it", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such entry, or no commit of this size", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/entries/{seq}/receipt")]
pub async fn any_receipt(
    at: InLedger<Proofs>,
    path: web::Path<(String, u64)>,
    query: web::Query<AnyReceiptQuery>,
    server: web::Data<Server>,
) -> Result<HttpResponse, Problem> {
    let entry = stored(&at.ledger, path.1)?;
    let leaf = Leaf::decode(&entry.leaf).map_err(Problem::internal)?;
    let blind = match leaf.case {
        Some(link) => at
            .ledger
            .reader()
            .case_by_pseudonym(&link.case)?
            .map(|f| f.blind),
        None => None,
    };
    if !at.sight(Permission::ReadProofs).sees(blind.as_ref()) {
        return Err(Problem::not_found("entry"));
    }
    let receipt = receipt_for(&server, &at.ledger, path.1, query.size.as_deref())?;
    Ok(text(receipt.encode()))
}
