//! Ledgers: which there are, their keys and checkpoints, their clock.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, get, post, web};
use serde::Serialize;
use serde_json::{Map, json};
use utoipa::ToSchema;

use super::auth::{Allowed, InLedger, Knowing, Oneself, Operating};
use super::problem::{Problem, ProblemBody};
use super::verification::VerificationInfo;
use super::{Server, text};
use crate::ledger::policy::Policy;
use crate::outside::Outside;
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

/// A ledger, and who outside its operator's reach knows its history.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerState {
    /// Its name in addresses.
    #[schema(example = "demo")]
    pub name: String,
    /// Its origin: the name under which verifiers pin it.
    #[schema(example = "ledger.example/demo")]
    pub origin: String,
    /// Number of entries.
    #[schema(example = 42)]
    pub size: u64,
    /// The witnesses of the configured policy.
    pub witnesses: Vec<WitnessInfo>,
    /// How the policy's quorum stands.
    pub quorum: QuorumInfo,
    /// Where checkpoints are kept.
    pub anchors: Vec<AnchorInfo>,
    /// How the last verification by the service itself ended; absent before the first, and where none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = VerificationInfo, required = false)]
    pub verification: Option<VerificationInfo>,
}

/// A witness: an outside party that cosigns checkpoints.
#[derive(Debug, Serialize, ToSchema)]
pub struct WitnessInfo {
    /// Its name in the policy.
    #[schema(example = "regulator")]
    pub name: String,
    /// Its verifier key.
    #[schema(example = "witness.example/w1+1e5ca125+BK…")]
    pub key: String,
    /// Size of the largest checkpoint that it cosigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 40)]
    pub size: Option<u64>,
    /// When, by its clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-22T10:20:15.000000Z")]
    pub time: Option<String>,
    /// Whether the last question to it was answered well.
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a policy's quorum stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuorumInfo {
    /// Whether the policy needs any witness.
    #[schema(example = true)]
    pub needed: bool,
    /// How many witnesses cosigned the checkpoint that they were asked about last, or a later one.
    #[schema(example = 2)]
    pub cosigned: usize,
    /// How many witnesses there are.
    #[schema(example = 3)]
    pub witnesses: usize,
    /// Size of the newest checkpoint whose cosignatures satisfy the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 40)]
    pub size: Option<u64>,
}

/// A place where checkpoints are kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnchorInfo {
    /// Where.
    #[schema(example = "/mnt/regulator")]
    pub place: String,
    /// Size of the largest checkpoint there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 40)]
    pub size: Option<u64>,
    /// When it was put there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-22T10:20:15.000000Z")]
    pub time: Option<String>,
    /// Whether the last attempt went well.
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn state(ledger: &Ledger, outside: Option<&Outside>) -> Result<LedgerState, Problem> {
    let mut state = LedgerState {
        name: ledger.name().to_owned(),
        origin: ledger.origin().to_owned(),
        size: ledger.size(),
        witnesses: Vec::new(),
        quorum: QuorumInfo {
            needed: false,
            cosigned: 0,
            witnesses: 0,
            size: None,
        },
        anchors: Vec::new(),
        verification: None,
    };
    let Some(outside) = outside else {
        return Ok(state);
    };
    let now = outside.state()?;
    state.quorum = QuorumInfo {
        needed: ledger.policy().is_some_and(Policy::needs_witnesses),
        cosigned: now.cosigned.0,
        witnesses: now.cosigned.1,
        size: now.quorum_size,
    };
    state.witnesses = now
        .witnesses
        .into_iter()
        .map(|w| WitnessInfo {
            name: w.name,
            key: w.vkey.to_string(),
            size: w.size,
            time: w.time.map(|t| t.to_string()),
            ok: w.error.is_none(),
            error: w.error,
        })
        .collect();
    state.anchors = now
        .anchors
        .into_iter()
        .map(|a| AnchorInfo {
            place: a.place,
            size: a.size,
            time: a.time.map(|t| t.to_string()),
            ok: a.error.is_none(),
            error: a.error,
        })
        .collect();
    Ok(state)
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
/// Its origin, under which verifiers pin its key, its size, how its witnesses and anchors stand, and how the
/// service's own last verification of it ended.
#[utoipa::path(
    tag = "Ledgers",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo")),
    responses(
        (status = 200, description = "The ledger", body = LedgerState),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}")]
pub async fn read_ledger(
    at: InLedger<Knowing>,
    server: web::Data<Server>,
) -> Result<HttpResponse, Problem> {
    let outside = server.outside.get(at.ledger.name());
    let mut state = state(&at.ledger, outside)?;
    state.verification = server.verifications.of(at.ledger.name());
    Ok(HttpResponse::Ok().json(state))
}

/// Read the published checkpoint.
///
/// A signed note (C2SP tlog-checkpoint), at most a second old, with the cosignatures of witnesses that it has so far.
/// Keep one outside the operator's reach: with it, a rewrite
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
    let mut response = text(server.published(&at.ledger)?.1);
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
