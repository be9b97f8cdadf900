//! Ledgers: which there are, their keys and checkpoints, their clock.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, get, post, web};
use serde::Serialize;
use serde_json::{Map, json};
use utoipa::ToSchema;

use super::auth::{Allowed, InLedger, Knowing, Oneself, Operating};
use super::problem::{Problem, ProblemBody};
use super::{Server, text};
use crate::sequencer::Ledger;

/// Ledgers that the caller has to do with.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerList {
    /// One for each.
    pub items: Vec<LedgerInfo>,
}

/// A ledger.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerInfo {
    /// Its name in addresses.
    #[schema(example = "demo")]
    pub name: String,
    /// Its origin: the name under which verifiers pin it.
    #[schema(example = "ledger.example/demo")]
    pub origin: String,
    /// Number of entries.
    #[schema(example = 42)]
    pub size: u64,
}

fn info(ledger: &Ledger) -> LedgerInfo {
    LedgerInfo {
        name: ledger.name().to_owned(),
        origin: ledger.origin().to_owned(),
        size: ledger.size(),
    }
}

/// List the ledgers that one has to do with.
///
/// Those that the caller's grants reach; others are not told of.
#[utoipa::path(
    tag = "Ledgers",
    responses(
        (status = 200, description = "The ledgers", body = LedgerList),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers")]
pub async fn list_ledgers(who: Allowed<Oneself>, server: web::Data<Server>) -> HttpResponse {
    let seen = server
        .ledgers
        .values()
        .filter(|l| who.caller.sees_ledger(l.name()));
    HttpResponse::Ok().json(LedgerList {
        items: seen.map(|l| info(l)).collect(),
    })
}

/// Look at a ledger.
///
/// Its origin, under which verifiers pin its key, and its size.
#[utoipa::path(
    tag = "Ledgers",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo")),
    responses(
        (status = 200, description = "The ledger", body = LedgerInfo),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}")]
pub async fn read_ledger(at: InLedger<Knowing>) -> HttpResponse {
    HttpResponse::Ok().json(info(&at.ledger))
}

/// Read the published checkpoint.
///
/// A signed note (C2SP tlog-checkpoint), at most a second old. Keep one outside the operator's reach: with it, a rewrite
/// or a truncation of the ledger can be proved.
#[utoipa::path(
    tag = "Proofs",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo")),
    responses(
        (status = 200, description = "The checkpoint", body = String, content_type = "text/plain",
         example = json!("ledger.example/demo\n42\nNVhkB9jrSxZMcGs7Qx1kZz0S2eJ0xkD9Ut0dHcOJ1bY=\n\n— ledger.example/demo Hy49TN…\n")),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/checkpoint")]
pub async fn read_checkpoint(
    at: InLedger<Knowing>,
    server: web::Data<Server>,
) -> Result<HttpResponse, Problem> {
    let mut response = text(server.published_checkpoint(&at.ledger)?);
    response.headers_mut().insert(
        CACHE_CONTROL,
        actix_web::http::header::HeaderValue::from_static("private, max-age=1"),
    );
    Ok(response)
}

/// What was confirmed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClockConfirmed {
    /// Position of the entry that records it.
    #[schema(example = 43)]
    pub seq: u64,
}

/// Confirm that the machine's clock is right although it is far behind the ledger.
///
/// Writes go on; `recorded` stands still until the clock has caught up. The confirmation is an entry of the ledger.
#[utoipa::path(
    tag = "Ledgers",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo")),
    responses(
        (status = 200, description = "Confirmed and recorded", body = ClockConfirmed),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[post("/v1/ledgers/{ledger}/clock/confirm")]
pub async fn confirm_clock(at: InLedger<Operating>) -> Result<HttpResponse, Problem> {
    at.ledger.confirm_clock().await?;
    let by = at.caller.principal().to_hex();
    let fact = Map::from_iter([("confirmed_by".to_owned(), json!(by))]);
    let seq = at.ledger.append_own("clock.stepped", fact).await?;
    Ok(HttpResponse::Ok().json(ClockConfirmed { seq }))
}
