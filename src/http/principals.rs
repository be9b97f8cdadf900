//! Principals, their grants and tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use actix_web::{HttpResponse, delete, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::auth::{Allowed, Managing, Oneself};
use super::body::JsonBody;
use super::problem::{Kind, Problem, ProblemBody};
use crate::access::{
    Actor, BlindCase, Cases, Grant, Ledgers, NewGrant, NewToken, Principal, Role, Scope, TokenInfo,
};
use crate::json::{Fault, FaultKind};
use crate::ledger::{Id16, Timestamp};

/// A principal to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalRequest {
    /// Name for people.
    #[schema(example = "Benefits workflow")]
    name: String,
    /// What it may do; at least one.
    grants: Vec<GrantRequest>,
}

/// A grant to be given. What is left out is nothing, never everything.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// The role.
    role: Role,
    /// Names of the ledgers, or `["*"]` for all.
    #[schema(example = json!(["demo"]))]
    ledgers: Vec<String>,
    /// For a producer: the sources that it may post for, exactly.
    #[schema(example = json!(["https://workflow.example/cases"]))]
    sources: Option<Vec<String>>,
    /// For a role that reads: case ids, by ledger. They are kept as keyed hashes only.
    #[schema(example = json!({"demo": ["C-7"]}))]
    cases: Option<BTreeMap<String, Vec<String>>>,
    /// For a role that reads: all cases of these ledgers.
    all_cases: Option<bool>,
    /// Until when (RFC 3339); a regulator's grant must end.
    #[schema(example = "2027-01-31T00:00:00Z")]
    expires: Option<String>,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Until when it counts (RFC 3339).
    #[schema(example = "2027-01-31T00:00:00Z")]
    expires: Option<String>,
    /// When it replaces another: how many seconds that one still counts.
    #[schema(example = 3600, minimum = 0)]
    grace_seconds: Option<u64>,
}

/// A new token. It is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenMade {
    /// Its id.
    #[schema(example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")]
    pub id: String,
    /// The token: send it as `Authorization: Bearer …`.
    #[schema(example = "wh_…")]
    pub token: String,
    /// Until when it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A page of principals.
#[derive(Debug, Serialize, ToSchema)]
pub struct PrincipalPage {
    /// The principals.
    pub items: Vec<Principal>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The tokens of a principal.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenList {
    /// What is known about each; never the token itself.
    #[schema(example = json!([{"id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "principal": "1f2e3d4c5b6a79888796a5b4c3d2e1f0", "created": "2026-11-22T10:15:30.000000Z"}]))]
    pub items: Vec<TokenInfo>,
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// Id of the principal.
    #[schema(example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")]
    pub principal: String,
    /// Its name.
    pub name: String,
    /// Id of the token in use.
    #[schema(example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")]
    pub token: String,
    /// What it may do.
    pub grants: Vec<Grant>,
}

fn time(at: &str, text: Option<&String>) -> Result<Option<Timestamp>, Problem> {
    let read = text.map(|t| Timestamp::parse_rfc3339(t)).transpose();
    read.map_err(|e| {
        let fault = Fault {
            kind: FaultKind::Schema,
            pointer: at.to_owned(),
            detail: e.to_string(),
        };
        Problem::faults(vec![fault], Kind::InvalidRequest)
    })
}

impl GrantRequest {
    /// The grant, with case ids replaced by what each ledger's key makes of them; `at` is its place in the body.
    fn blinded(&self, at: &str, server: &Server) -> Result<NewGrant, Problem> {
        let ledgers = if self.ledgers.iter().any(|l| l == "*") {
            Ledgers::All
        } else {
            Ledgers::Only(self.ledgers.iter().cloned().collect())
        };
        let cases = if self.all_cases == Some(true) {
            Cases::All
        } else {
            let mut only: BTreeMap<String, BTreeSet<BlindCase>> = BTreeMap::new();
            for (name, ids) in self.cases.iter().flatten() {
                let ledger = server
                    .ledgers
                    .get(name)
                    .ok_or_else(|| Problem::not_found("ledger"))?;
                only.insert(
                    name.clone(),
                    ids.iter()
                        .map(|id| BlindCase(ledger.keyring().id.blind("case", id)))
                        .collect(),
                );
            }
            Cases::Only(only)
        };
        let sources = self.sources.iter().flatten().cloned().collect();
        Ok(NewGrant {
            role: self.role,
            scope: Scope {
                ledgers,
                sources,
                cases,
            },
            expires: time(&format!("{at}/expires"), self.expires.as_ref())?,
        })
    }
}

fn made(token: &NewToken) -> TokenMade {
    TokenMade {
        id: token.id().to_hex(),
        token: token.expose().to_owned(),
        expires: token.expires().map(|t| t.to_string()),
    }
}

/// A token is shown once, and no cache may keep it.
fn once(token: &NewToken) -> HttpResponse {
    HttpResponse::Created()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(made(token))
}

fn id(text: &str, what: &str) -> Result<Id16, Problem> {
    Id16::from_hex(text).ok_or_else(|| Problem::not_found(what))
}

/// Look at oneself.
///
/// The principal and token in use, with the grants that decide what they may do.
#[utoipa::path(
    tag = "Access",
    responses(
        (status = 200, description = "The caller", body = Me),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/me")]
pub async fn me(who: Allowed<Oneself>) -> HttpResponse {
    let c = &who.caller;
    HttpResponse::Ok().json(Me {
        principal: c.principal().to_hex(),
        name: c.name().to_owned(),
        token: c.token().to_hex(),
        grants: c.grants().to_vec(),
    })
}

/// Which page of principals.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PrincipalsQuery {
    /// Where an earlier page ended: its `next_cursor`.
    #[param(example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")]
    cursor: Option<String>,
    /// At most so many (1 to 1,000; 100 unless given).
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<usize>,
}

/// List principals.
///
/// Those that an administrator of the caller's ledgers may know of, the revoked included.
#[utoipa::path(
    tag = "Access",
    params(PrincipalsQuery),
    responses(
        (status = 200, description = "A page of principals", body = PrincipalPage),
        (status = 400, description = "The query or cursor is not understood", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/principals")]
pub async fn list_principals(
    who: Allowed<Managing>,
    server: web::Data<Server>,
    query: web::Query<PrincipalsQuery>,
) -> Result<HttpResponse, Problem> {
    let wrong = || Problem::new(Kind::InvalidCursor, "The cursor is not one of this list.");
    let after = query
        .cursor
        .as_deref()
        .map(|c| Id16::from_hex(c).ok_or_else(wrong))
        .transpose()?;
    let limit = query.limit.unwrap_or(100);
    if !(1..=1_000).contains(&limit) {
        return Err(Problem::new(
            Kind::InvalidQuery,
            "`limit` must be between 1 and 1000.",
        ));
    }
    let page = server
        .access
        .principals(Actor::Caller(&who.caller), after, limit)?;
    Ok(HttpResponse::Ok().json(PrincipalPage {
        items: page.items,
        next_cursor: page.next.map(|n| n.to_hex()),
    }))
}

/// Create a principal.
///
/// It has no token yet; make one with `POST …/tokens`.
#[utoipa::path(
    tag = "Access",
    request_body(content = PrincipalRequest, content_type = "application/json", description = "Name and grants", example = json!({"name": "Benefits workflow", "grants": [{"role": "producer", "ledgers": ["demo"], "sources": ["https://workflow.example/cases"]}]})),
    responses(
        (status = 201, description = "Created", body = Principal),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be given", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[post("/v1/principals")]
pub async fn create_principal(
    who: Allowed<Managing>,
    server: web::Data<Server>,
    body: JsonBody,
) -> Result<HttpResponse, Problem> {
    let request: PrincipalRequest = body.read()?;
    let grants = request
        .grants
        .iter()
        .enumerate()
        .map(|(i, g)| g.blinded(&format!("/grants/{i}"), &server))
        .collect::<Result<Vec<_>, _>>()?;
    let principal = server.access.create_principal(
        Actor::Caller(&who.caller),
        &request.name,
        &grants,
        server.clock.now(),
    )?;
    server.record_changes().await;
    let mut response = HttpResponse::Created();
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/principals/{}", principal.id)) {
        response.insert_header((LOCATION, place));
    }
    Ok(response.json(principal))
}

/// Look at a principal.
///
/// With its grants, those that no longer hold included.
#[utoipa::path(
    tag = "Access",
    params(("principal" = String, Path, description = "Id of the principal", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses(
        (status = 200, description = "The principal", body = Principal),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such principal", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/principals/{principal}")]
pub async fn read_principal(
    who: Allowed<Managing>,
    server: web::Data<Server>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let principal = server
        .access
        .principal(Actor::Caller(&who.caller), id(&path, "principal")?)?;
    Ok(HttpResponse::Ok().json(principal))
}

/// Revoke a principal, with all its tokens, for ever.
///
/// Its tokens stop counting at once; the change is an entry of each ledger that it reached.
#[utoipa::path(
    tag = "Access",
    params(("principal" = String, Path, description = "Id of the principal", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses(
        (status = 204, description = "Revoked"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such principal", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[delete("/v1/principals/{principal}")]
pub async fn revoke_principal(
    who: Allowed<Managing>,
    server: web::Data<Server>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    server.access.revoke_principal(
        Actor::Caller(&who.caller),
        id(&path, "principal")?,
        server.clock.now(),
    )?;
    server.record_changes().await;
    Ok(HttpResponse::NoContent().finish())
}

/// Give a principal another grant.
///
/// It holds beside the others, and lends them nothing of its scope.
#[utoipa::path(
    tag = "Access",
    params(("principal" = String, Path, description = "Id of the principal", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    request_body(content = GrantRequest, content_type = "application/json", description = "The grant", example = json!({"role": "regulator", "ledgers": ["demo"], "cases": {"demo": ["C-7"]}, "expires": "2027-01-31T00:00:00Z"})),
    responses(
        (status = 201, description = "Given", body = Grant),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such principal or ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The principal was revoked", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be given", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[post("/v1/principals/{principal}/grants")]
pub async fn add_grant(
    who: Allowed<Managing>,
    server: web::Data<Server>,
    path: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, Problem> {
    let grant: GrantRequest = body.read()?;
    let grant = grant.blinded("", &server)?;
    let given = server.access.add_grant(
        Actor::Caller(&who.caller),
        id(&path, "principal")?,
        &grant,
        server.clock.now(),
    )?;
    server.record_changes().await;
    Ok(HttpResponse::Created().json(given))
}

/// End a grant.
///
/// What rested on it stops at once; the grant stays on record as ended.
#[utoipa::path(
    tag = "Access",
    params(
        ("principal" = String, Path, description = "Id of the principal", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("grant" = String, Path, description = "Id of the grant", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")
    ),
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such grant", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[delete("/v1/principals/{principal}/grants/{grant}")]
pub async fn end_grant(
    who: Allowed<Managing>,
    server: web::Data<Server>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (principal, grant) = (id(&path.0, "principal")?, id(&path.1, "grant")?);
    server.access.end_grant(
        Actor::Caller(&who.caller),
        principal,
        grant,
        server.clock.now(),
    )?;
    server.record_changes().await;
    Ok(HttpResponse::NoContent().finish())
}

/// List a principal's tokens.
///
/// What is known about them; the tokens themselves are stored as hashes and shown once only.
#[utoipa::path(
    tag = "Access",
    params(("principal" = String, Path, description = "Id of the principal", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses(
        (status = 200, description = "The tokens", body = TokenList),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such principal", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/principals/{principal}/tokens")]
pub async fn list_tokens(
    who: Allowed<Managing>,
    server: web::Data<Server>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let items = server
        .access
        .tokens(Actor::Caller(&who.caller), id(&path, "principal")?)?;
    Ok(HttpResponse::Ok().json(TokenList { items }))
}

/// Make a token for a principal.
///
/// The answer shows it this once.
#[utoipa::path(
    tag = "Access",
    params(("principal" = String, Path, description = "Id of the principal", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    request_body(content = TokenRequest, content_type = "application/json", description = "Until when it counts", example = json!({"expires": "2027-01-31T00:00:00Z"})),
    responses(
        (status = 201, description = "The token", body = TokenMade),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such principal", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The principal was revoked", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be made", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[post("/v1/principals/{principal}/tokens")]
pub async fn mint_token(
    who: Allowed<Managing>,
    server: web::Data<Server>,
    path: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, Problem> {
    let request: TokenRequest = body.read()?;
    let expires = time("/expires", request.expires.as_ref())?;
    let token = server.access.mint_token(
        Actor::Caller(&who.caller),
        id(&path, "principal")?,
        expires,
        server.clock.now(),
    )?;
    server.record_changes().await;
    Ok(once(&token))
}

/// Replace a token by a new one.
///
/// The old one ends at once, or after `grace_seconds`.
#[utoipa::path(
    tag = "Access",
    params(
        ("principal" = String, Path, description = "Id of the principal", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("token" = String, Path, description = "Id of the token", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")
    ),
    request_body(content = TokenRequest, content_type = "application/json", description = "How long old and new one count", example = json!({"grace_seconds": 3600})),
    responses(
        (status = 201, description = "The new token", body = TokenMade),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The token has ended", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be made", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[post("/v1/principals/{principal}/tokens/{token}/rotate")]
pub async fn rotate_token(
    who: Allowed<Managing>,
    server: web::Data<Server>,
    path: web::Path<(String, String)>,
    body: JsonBody,
) -> Result<HttpResponse, Problem> {
    let request: TokenRequest = body.read()?;
    let expires = time("/expires", request.expires.as_ref())?;
    let grace = Duration::from_secs(request.grace_seconds.unwrap_or(0));
    let (principal, token) = (id(&path.0, "principal")?, id(&path.1, "token")?);
    let token = server.access.rotate_token(
        Actor::Caller(&who.caller),
        principal,
        token,
        expires,
        grace,
        server.clock.now(),
    )?;
    server.record_changes().await;
    Ok(once(&token))
}

/// Revoke a token.
///
/// It stops counting at once, for ever; the principal's other tokens go on.
#[utoipa::path(
    tag = "Access",
    params(
        ("principal" = String, Path, description = "Id of the principal", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("token" = String, Path, description = "Id of the token", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")
    ),
    responses(
        (status = 204, description = "Revoked"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[delete("/v1/principals/{principal}/tokens/{token}")]
pub async fn revoke_token(
    who: Allowed<Managing>,
    server: web::Data<Server>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (principal, token) = (id(&path.0, "principal")?, id(&path.1, "token")?);
    server.access.revoke_token(
        Actor::Caller(&who.caller),
        principal,
        token,
        server.clock.now(),
    )?;
    server.record_changes().await;
    Ok(HttpResponse::NoContent().finish())
}
