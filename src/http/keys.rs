//! A ledger's signing keys: those in force, those that were, the bridges between them, and changing them.

use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Server;
use super::auth::{InLedger, Knowing, Operating};
use super::body::JsonBody;
use super::problem::{Kind, Problem, ProblemBody};
use crate::json::{Fault, FaultKind};
use crate::ledger::Timestamp;
use crate::ledger::keys::{KeySpan, Purpose};
use crate::report;
use crate::sequencer::{Reason, Rotate};

/// The keys of a ledger.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerKeys {
    /// Origin.
    #[schema(example = "ledger.example/demo")]
    pub origin: String,
    /// Verifier key of checkpoints (C2SP vkey) that is in force. Pin it from a source that you trust, not from here.
    #[schema(example = "ledger.example/demo+1f2e3d4c+AQ…")]
    pub checkpoint: String,
    /// Verifier key of reports that is in force. A verifier finds it, proven, in the ledger's entries.
    #[schema(example = "ledger.example/demo/reports+4c3d2e1f+AQ…")]
    pub report: String,
    /// Every key that was ever in force, by purpose, the first one first.
    pub history: Vec<LedgerKey>,
}

/// A key, and where it is in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerKey {
    /// `checkpoint` or `report`.
    #[schema(example = "checkpoint")]
    pub purpose: &'static str,
    /// The verifier key.
    #[schema(example = "ledger.example/demo+1f2e3d4c+AQ…")]
    pub vkey: String,
    /// A checkpoint key: the smallest size of the tree that it signs (0 for the first key). A report key: it counts for
    /// reports whose `report.issued` stands at this position or later.
    #[schema(example = 0)]
    pub from: u64,
    /// A checkpoint key: the largest size that it signs, together with its successor. A report key: the position from
    /// which its successor counts. Absent while it is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 43)]
    pub to: Option<u64>,
    /// When the ledger recorded that it was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-22T10:15:30.000000Z")]
    pub retired: Option<String>,
    /// From when on somebody else may have held it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-20T00:00:00.000000Z")]
    pub compromised_since: Option<String>,
}

/// The changes of a ledger's checkpoint key, for `whereas verify … --bridges`.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerBridges {
    /// A signed checkpoint (C2SP tlog-checkpoint) to which the bridges are joined.
    #[schema(example = "ledger.example/demo\n43\nNVhk…=\n\n— ledger.example/demo Hy49TN…\n")]
    pub checkpoint: String,
    /// One for each change, in ledger order.
    pub bridges: Vec<LedgerBridge>,
}

/// A change of the checkpoint key.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerBridge {
    /// The exact text of the `key.rotated`.
    #[schema(example = "{\"eid\":\"…\"}")]
    pub leaf: String,
    /// Its inclusion proof in the bridge's tree, base64.
    #[schema(example = json!(["NVhkB9jrSxZMcGs7Qx1kZz0S2eJ0xkD9Ut0dHcOJ1bY="]))]
    pub path: Vec<String>,
    /// The checkpoint that ends with it, signed by the old and the new key.
    #[schema(example = "ledger.example/demo\n43\nNVhk…=\n\n— ledger.example/demo Hy49TN…\n")]
    pub checkpoint: String,
    /// Consistency proof to the checkpoint of this answer, base64.
    #[schema(example = json!([]))]
    pub consistency: Vec<String>,
}

/// A change of keys that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationRequest {
    /// Which key: `checkpoint` or `report`.
    #[schema(example = "checkpoint")]
    purpose: String,
    /// From when on somebody else may have held the old key (RFC 3339). It is recorded for good, and verifiers accept
    /// only what is known from outside to be older.
    #[schema(example = "2026-11-20T00:00:00Z")]
    compromised_since: Option<String>,
    /// `scheduled`, `custody_changed`, `suspected` or `compromised`.
    #[schema(example = "scheduled")]
    reason: Option<String>,
}

/// A change of keys that is recorded.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyRotated {
    /// Which key.
    #[schema(example = "checkpoint")]
    pub purpose: &'static str,
    /// Position of the `key.rotated`.
    #[schema(example = 42)]
    pub seq: u64,
    /// The key that ended.
    #[schema(example = "ledger.example/demo+1f2e3d4c+AQ…")]
    pub old: String,
    /// The key that is in force from now on. Announce it to whoever verifies.
    #[schema(example = "ledger.example/demo+5a6b7c8d+AQ…")]
    pub new: String,
    /// The checkpoint that ends with the entry. When the checkpoint key changed, both keys have signed it: keep it.
    #[schema(example = "ledger.example/demo\n43\nNVhk…=\n\n— ledger.example/demo Hy49TN…\n")]
    pub checkpoint: String,
    /// Whether the old private key is destroyed; if not, the service keeps trying.
    #[schema(example = true)]
    pub destroyed: bool,
}

/// Read a ledger's verifier keys.
///
/// Those in force, and all that were. To compare with what was pinned: a verifier does not take keys from the party being
/// verified.
#[utoipa::path(
    tag = "Proofs",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo")),
    responses(
        (status = 200, description = "The keys", body = LedgerKeys),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/keys")]
pub async fn read_keys(at: InLedger<Knowing>) -> HttpResponse {
    let keys = at.ledger.keys();
    let told = |purpose: Purpose| {
        let of = move |s: KeySpan| LedgerKey {
            purpose: purpose.name(),
            vkey: s.vkey.to_string(),
            from: s.from,
            to: s.to,
            retired: s.retired.map(|t| t.to_string()),
            compromised_since: s.compromised_since.map(|t| t.to_string()),
        };
        keys.spans(purpose).into_iter().map(of).collect::<Vec<_>>()
    };
    HttpResponse::Ok().json(LedgerKeys {
        origin: at.ledger.origin().to_owned(),
        checkpoint: keys.newest(Purpose::Checkpoint).to_string(),
        report: keys.newest(Purpose::Report).to_string(),
        history: Purpose::ALL.into_iter().flat_map(told).collect(),
    })
}

/// Read the changes of a ledger's checkpoint key.
///
/// Each with the checkpoint that the old and the new key both signed, so that whoever pinned an earlier key finds the one
/// in force, and holds proof that a key was replaced. A file for `whereas verify receipt --bridges`.
#[utoipa::path(
    tag = "Proofs",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo")),
    responses(
        (status = 200, description = "The bridges", body = LedgerBridges),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/keys/bridges")]
pub async fn read_bridges(at: InLedger<Knowing>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(report::bridges_file(&at.ledger)?))
}

/// Replace a signing key.
///
/// The service makes the new key, records `key.rotated`, signs the checkpoint of that size with both keys, and destroys the
/// old private key. Whoever pinned the old key is led to the new one by the bridge; announce the new one all the same.
/// After a 503 the key may have been replaced: look at the ledger's keys before you ask again.
#[utoipa::path(
    tag = "Ledgers",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo")),
    request_body = RotationRequest,
    responses(
        (status = 201, description = "Replaced and recorded", body = KeyRotated),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The request cannot be carried out", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; look at the keys, then try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[post("/v1/ledgers/{ledger}/keys/rotations")]
pub async fn rotate_key(
    at: InLedger<Operating>,
    body: JsonBody,
    server: web::Data<Server>,
) -> Result<HttpResponse, Problem> {
    let request: RotationRequest = body.read()?;
    let job = job(&request, server.clock.now())
        .map_err(|fault| Problem::faults(vec![fault], Kind::InvalidRequest))?;
    let done = at.ledger.rotate(job).await?;
    Ok(HttpResponse::Created().json(KeyRotated {
        purpose: done.rotation.purpose.name(),
        seq: done.rotation.seq,
        old: done.rotation.old.to_string(),
        new: done.rotation.new.to_string(),
        checkpoint: done.checkpoint,
        destroyed: done.destroyed,
    }))
}

fn job(request: &RotationRequest, now: Timestamp) -> Result<Rotate, Fault> {
    let fault = |at: &str, detail: &str| Fault {
        kind: FaultKind::Schema,
        pointer: format!("/{at}"),
        detail: detail.to_owned(),
    };
    let purpose = Purpose::parse(&request.purpose)
        .ok_or_else(|| fault("purpose", "the value must be one of: checkpoint, report"))?;
    let since = request.compromised_since.as_deref().map(|text| {
        Timestamp::parse_rfc3339(text)
            .ok()
            .filter(|t| *t <= now)
            .ok_or_else(|| {
                fault(
                    "compromised_since",
                    "the value must be an RFC 3339 time that is not in the future",
                )
            })
    });
    let reason = request.reason.as_deref().map(|text| {
        Reason::parse(text).ok_or_else(|| {
            fault(
                "reason",
                "the value must be one of: scheduled, custody_changed, suspected, compromised",
            )
        })
    });
    Ok(Rotate {
        purpose,
        given: None,
        compromised_since: since.transpose()?,
        reason: reason.transpose()?,
    })
}
