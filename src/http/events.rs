//! Posting events, and the receipts of one's own.

use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::auth::{InLedger, OwnReceipts, Posting};
use super::body::JsonBody;
use super::problem::{Kind, Problem, ProblemBody};
use super::proofs::receipt_for;
use super::{Server, text};
use crate::event::{Context, Event};
use crate::json::{Fault, FaultKind};
use crate::ledger::Leaf;
use crate::sequencer::{Posted, Status};

/// What became of the events of one request, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub struct PostAnswer {
    /// One for each event.
    pub items: Vec<PostedItem>,
}

/// What became of one event.
#[derive(Debug, Serialize, ToSchema)]
pub struct PostedItem {
    /// `created`, or `duplicate` when it was in the ledger already.
    pub status: PostedStatus,
    /// Its position in the ledger.
    #[schema(example = 7)]
    pub seq: u64,
    /// Its leaf hash, hex.
    #[schema(example = "7a1d0f5fd5bd4b9f4bd3b30a36cfd3a3d9a4f3f7e4f3f4b4b0f3f4b4b0f3f4b4")]
    pub leaf_hash: String,
    /// The receipt: a C2SP tlog-proof file with the leaf in its `extra` line. Keep it. Left out under `Prefer: return=minimal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        example = "c2sp.org/tlog-proof@v1\nextra eyJjYXNlIjo…\nindex 7\n…\n\nledger.example/demo\n8\n…"
    )]
    pub receipt: Option<String>,
    /// The disclosures (base64url): whoever has them and the receipt can recompute what was committed. Left out under
    /// `Prefer: return=minimal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disclosures: Option<Vec<String>>,
}

/// Whether an event was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PostedStatus {
    /// It is a new entry.
    Created,
    /// It was in the ledger; the receipt is the first one.
    Duplicate,
}

fn item(posted: Posted, minimal: bool) -> PostedItem {
    PostedItem {
        status: match posted.status {
            Status::Created => PostedStatus::Created,
            Status::Duplicate => PostedStatus::Duplicate,
        },
        seq: posted.seq,
        leaf_hash: posted.hash.to_hex(),
        receipt: (!minimal).then(|| posted.receipt.encode()),
        disclosures: (!minimal).then_some(posted.disclosures),
    }
}

/// Post one event or an atomic batch.
///
/// The body is one event or an array of events (an atomic batch, at most 1,000; its order is ledger order): native
/// events of the vocabulary (`/v1/event-types`), or the observability specification's flat audit event. The answer comes
/// only after every event is durable, its checkpoint signed and kept in the guard file. Sending the same event again is
/// safe and gives its first receipt.
#[utoipa::path(
    tag = "Recording",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo")),
    request_body(content = Value, content_type = "application/json", description = "An event, or an array of events", example = json!({
        "id": "evt-1", "source": "https://workflow.example/cases", "type": "request.received", "time": "2026-11-22T10:15:30Z",
        "case_id": "C-7", "actor": { "id": "u-17", "name": "A. Jansen", "role": "caseworker", "kind": "human" },
        "data": { "channel": "web", "question": "Should this complaint be escalated?" }
    })),
    responses(
        (status = 201, description = "Every event is a new entry", body = PostAnswer),
        (status = 200, description = "Some or all events were in the ledger already", body = PostAnswer),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted, or not for this source", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Another event has this identity", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its JSON pointer", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Busy or unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[post("/v1/ledgers/{ledger}/events")]
pub async fn post_events(
    at: InLedger<Posting>,
    request: HttpRequest,
    body: JsonBody,
) -> Result<HttpResponse, Problem> {
    let value = body
        .value()
        .map_err(|f| Problem::faults(f, Kind::InvalidEvent))?;
    let (values, is_batch) = match value {
        Value::Array(items) => (items, true),
        one => (vec![one], false),
    };
    let events = read_events(&at, values, is_batch)?;
    let producer = at.caller.principal();
    let posted = at.ledger.append(&events, producer).await.map_err(|e| {
        let problem = Problem::from(e);
        if is_batch {
            problem
        } else {
            problem.without_index()
        }
    })?;
    let minimal = request.headers().get_all("prefer").any(|h| {
        h.to_str()
            .is_ok_and(|h| h.split(',').any(|p| p.trim() == "return=minimal"))
    });
    let all_new = posted.iter().all(|p| p.status == Status::Created);
    let first = posted.first().map(|p| p.seq);
    log_posted(&at, &events, &posted);
    let answer = PostAnswer {
        items: posted.into_iter().map(|p| item(p, minimal)).collect(),
    };
    let mut response = if all_new && first.is_some() {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    if let (false, Some(seq)) = (is_batch, first)
        && let Ok(place) =
            HeaderValue::from_str(&format!("/v1/ledgers/{}/entries/{seq}", at.ledger.name()))
    {
        response.insert_header((LOCATION, place));
    }
    if minimal {
        response.insert_header(("preference-applied", "return=minimal"));
    }
    Ok(response.json(answer))
}

/// What the log says of a post: pseudonyms and keyed images, never ids of cases or runs as they were posted.
fn log_posted(at: &InLedger<Posting>, events: &[Event], posted: &[Posted]) {
    let (Some(event), Some(first)) = (events.first(), posted.first()) else {
        return;
    };
    let leaf = Leaf::decode(&first.receipt.leaf).ok();
    let case = leaf.as_ref().and_then(|l| l.case).map(|c| c.case.to_hex());
    let trace = leaf.and_then(|l| l.trace).map(|t| t.to_hex());
    let run = event
        .text("run_id")
        .map(|run| at.ledger.keyring().id.blind("run", run).to_hex());
    tracing::info!(
        component = "recording",
        ledger = at.ledger.name(),
        events = posted.len(),
        first_seq = first.seq,
        case,
        trace,
        run,
        "events recorded"
    );
}

fn read_events(
    at: &InLedger<Posting>,
    values: Vec<Value>,
    is_batch: bool,
) -> Result<Vec<Event>, Problem> {
    let ledger = at.ledger.name();
    let context = Context {
        ledger,
        origin: at.ledger.origin(),
        only_source: at.caller.only_source(ledger),
    };
    let (mut events, mut faults, mut foreign) =
        (Vec::with_capacity(values.len()), Vec::new(), Vec::new());
    for (index, value) in values.into_iter().enumerate() {
        let prefix = if is_batch {
            format!("/{index}")
        } else {
            String::new()
        };
        match Event::read(value, &context) {
            Ok(event) => {
                if event.source == at.ledger.origin()
                    || !at.caller.may_post_for(&event.source, ledger)
                {
                    let detail = "the token's grants do not list this source".to_owned();
                    foreign.push(Fault {
                        kind: FaultKind::Schema,
                        pointer: format!("{prefix}/source"),
                        detail,
                    });
                }
                events.push(event);
            }
            Err(found) => faults.extend(found.into_iter().map(|f| Fault {
                pointer: format!("{prefix}{}", f.pointer),
                ..f
            })),
        }
    }
    if !faults.is_empty() {
        faults.extend(foreign);
        return Err(Problem::faults(faults, Kind::InvalidEvent));
    }
    if !foreign.is_empty() {
        return Err(Problem::new(
            Kind::SourceNotAllowed,
            "The token may not post for this source; nothing was stored.",
        )
        .at(foreign));
    }
    Ok(events)
}

/// Which event.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ReceiptQuery {
    /// The event's source.
    #[param(example = "https://workflow.example/cases")]
    source: String,
    /// The event's id.
    #[param(example = "evt-1")]
    id: String,
    /// In the checkpoint of this size, which must be a commit's, or `latest` for the newest that is published. Without
    /// it, in that of the event's own commit.
    #[param(example = "latest")]
    size: Option<String>,
}

/// Fetch the receipt of an event that one may post for.
///
/// Always the same bytes as the first answer; or with `size` the proof to a later checkpoint. For a producer that lost
/// an answer, or its disk.
#[utoipa::path(
    tag = "Recording",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo"), ReceiptQuery),
    responses(
        (status = 200, description = "The receipt, a C2SP tlog-proof file", body = String, content_type = "text/plain",
         example = json!("c2sp.org/tlog-proof@v1\nextra eyJjYXNlIjo…\nindex 7\n…")),
        (status = 400, description = "The query is not understood", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such event, or not of one's own sources", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/receipts")]
pub async fn own_receipt(
    at: InLedger<OwnReceipts>,
    query: web::Query<ReceiptQuery>,
    server: web::Data<Server>,
) -> Result<HttpResponse, Problem> {
    let absent = || Problem::not_found("event");
    if !at.caller.may_post_for(&query.source, at.ledger.name()) {
        return Err(absent());
    }
    let eid = at.ledger.keyring().id.eid(&query.source, &query.id);
    let seq = at
        .ledger
        .reader()
        .find_identities(&[eid])?
        .pop()
        .flatten()
        .ok_or_else(absent)?;
    let receipt = receipt_for(&server, &at.ledger, seq, query.size.as_deref())?;
    Ok(text(receipt.encode()))
}
