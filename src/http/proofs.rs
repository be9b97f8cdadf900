//! Proofs: checkpoints of every commit, inclusion, consistency, receipts in later checkpoints.

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{InLedger, Proofs};
use super::problem::{Kind, Problem, ProblemBody};
use super::{Server, text};
use crate::ledger::Hash;
use crate::ledger::receipt::Receipt;
use crate::sequencer::Ledger;

/// What never changes, and was shown to one caller only.
pub(super) const PRIVATE_FOREVER: HeaderValue =
    HeaderValue::from_static("private, max-age=31536000, immutable");

/// Which inclusion.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct InclusionQuery {
    /// Position of the entry.
    #[param(example = 7)]
    seq: u64,
    /// Size of the tree that it is proved to stand in; of any size up to the ledger's.
    #[param(example = 42)]
    size: u64,
}

/// Which consistency.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyQuery {
    /// Size of the smaller tree, at least 1.
    #[param(example = 8)]
    first: u64,
    /// Size of the larger tree.
    #[param(example = 42)]
    second: u64,
}

/// An inclusion proof (RFC 6962, section 2.1.1).
#[derive(Debug, Serialize, ToSchema)]
pub struct InclusionProof {
    /// Position of the entry.
    #[schema(example = 7)]
    pub seq: u64,
    /// Size of the tree.
    #[schema(example = 42)]
    pub size: u64,
    /// Hash of the entry's leaf, base64.
    #[schema(example = "NVhkB9jrSxZMcGs7Qx1kZz0S2eJ0xkD9Ut0dHcOJ1bY=")]
    pub leaf_hash: String,
    /// Root of the tree, base64, as in a checkpoint of this size.
    #[schema(example = "NVhkB9jrSxZMcGs7Qx1kZz0S2eJ0xkD9Ut0dHcOJ1bY=")]
    pub root: String,
    /// The proof, from the leaf up, base64.
    pub hashes: Vec<String>,
}

/// A consistency proof (RFC 6962, section 2.1.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsistencyProof {
    /// Size of the smaller tree.
    #[schema(example = 8)]
    pub first: u64,
    /// Size of the larger tree.
    #[schema(example = 42)]
    pub second: u64,
    /// Root of the smaller tree, base64.
    #[schema(example = "NVhkB9jrSxZMcGs7Qx1kZz0S2eJ0xkD9Ut0dHcOJ1bY=")]
    pub first_root: String,
    /// Root of the larger tree, base64.
    #[schema(example = "NVhkB9jrSxZMcGs7Qx1kZz0S2eJ0xkD9Ut0dHcOJ1bY=")]
    pub second_root: String,
    /// The proof, base64; empty when the two sizes are the same.
    pub hashes: Vec<String>,
}

fn forever(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, PRIVATE_FOREVER);
    response
}

fn lines(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_b64).collect()
}

fn invalid(detail: String) -> Problem {
    Problem::new(Kind::InvalidQuery, detail)
}

fn within(ledger: &Ledger, name: &str, size: u64) -> Result<(), Problem> {
    let most = ledger.size();
    if size <= most {
        return Ok(());
    }
    Err(invalid(format!(
        "`{name}` is {size}, but the ledger has {most} entries."
    )))
}

/// Why there is no checkpoint of a size: which sizes near it have one.
fn no_commit(ledger: &Ledger, size: u64) -> Result<Problem, Problem> {
    let near = match ledger.nearest_commits(size)? {
        (Some(before), Some(after)) => format!("the nearest are those of {before} and {after}"),
        (Some(one), None) | (None, Some(one)) => format!("the nearest is that of {one}"),
        (None, None) => "there is none at all".to_owned(),
    };
    Ok(Problem::new(
        Kind::NotFound,
        format!(
            "No commit led to exactly {size} entries, so that no checkpoint of it was signed; {near}."
        ),
    ))
}

/// Read the checkpoint of a commit.
///
/// The signed note (C2SP tlog-checkpoint) of the commit that led to exactly this size: always the same bytes.
#[utoipa::path(
    tag = "Proofs",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo"), ("size" = u64, Path, description = "Number of entries", example = 42)),
    responses(
        (status = 200, description = "The checkpoint", body = String, content_type = "text/plain",
         example = json!("ledger.example/demo\n42\nNVhkB9jrSxZMcGs7Qx1kZz0S2eJ0xkD9Ut0dHcOJ1bY=\n\n— ledger.example/demo Hy49TN…\n")),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger, or no commit of this size; the detail names the nearest", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/checkpoints/{size}")]
pub async fn checkpoint_of_size(
    at: InLedger<Proofs>,
    path: web::Path<(String, u64)>,
) -> Result<HttpResponse, Problem> {
    match at.ledger.checkpoint_of(path.1)? {
        Some(note) => Ok(forever(text(note))),
        None => Err(no_commit(&at.ledger, path.1)?),
    }
}

/// Prove that an entry stands in a tree.
///
/// The audit path of RFC 6962, section 2.1.1. Verify it with the root of a signed checkpoint of that size, not with the
/// root in this answer.
#[utoipa::path(
    tag = "Proofs",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo"), InclusionQuery),
    responses(
        (status = 200, description = "The proof", body = InclusionProof),
        (status = 400, description = "The position or size is not there", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/proofs/inclusion")]
pub async fn inclusion_proof(
    at: InLedger<Proofs>,
    query: web::Query<InclusionQuery>,
) -> Result<HttpResponse, Problem> {
    let InclusionQuery { seq, size } = query.into_inner();
    within(&at.ledger, "size", size)?;
    if seq >= size {
        return Err(invalid(format!(
            "The entry {seq} does not stand in a tree of {size} entries: `seq` must be less than `size`."
        )));
    }
    Ok(forever(HttpResponse::Ok().json(InclusionProof {
        seq,
        size,
        leaf_hash: at.ledger.leaf_hash(seq)?.to_b64(),
        root: at.ledger.root(size)?.to_b64(),
        hashes: lines(&at.ledger.inclusion(seq, size)?),
    })))
}

/// Prove that one tree is the beginning of another.
///
/// The consistency proof of RFC 6962, section 2.1.2. Verify it with the roots of signed checkpoints of those sizes, not
/// with the roots in this answer.
#[utoipa::path(
    tag = "Proofs",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo"), ConsistencyQuery),
    responses(
        (status = 200, description = "The proof", body = ConsistencyProof),
        (status = 400, description = "The sizes are not there, or in the wrong order", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/proofs/consistency")]
pub async fn consistency_proof(
    at: InLedger<Proofs>,
    query: web::Query<ConsistencyQuery>,
) -> Result<HttpResponse, Problem> {
    let ConsistencyQuery { first, second } = query.into_inner();
    within(&at.ledger, "second", second)?;
    if first == 0 || first > second {
        return Err(invalid(format!(
            "`first` is {first} and `second` is {second}: `first` must be at least 1 and at most `second`. \
             Everything begins with the empty tree, so that nothing is to be proved of it."
        )));
    }
    Ok(forever(HttpResponse::Ok().json(ConsistencyProof {
        first,
        second,
        first_root: at.ledger.root(first)?.to_b64(),
        second_root: at.ledger.root(second)?.to_b64(),
        hashes: lines(&at.ledger.consistency(first, second)?),
    })))
}

/// The receipt of an entry that is there: its first one, or the one in the checkpoint that was asked for.
///
/// # Errors
/// When `size` is neither `latest` nor the size of a commit that holds the entry.
pub(super) fn receipt_for(
    server: &Server,
    ledger: &Ledger,
    seq: u64,
    size: Option<&str>,
) -> Result<Receipt, Problem> {
    let absent = || Problem::not_found("entry");
    let size = match size {
        None => return ledger.receipt(seq)?.ok_or_else(absent),
        Some("latest") => {
            let (size, _) = server.published(ledger)?;
            if size <= seq {
                // The entry is newer than what is published; who knows of it may have its own commit's checkpoint.
                return ledger.receipt(seq)?.ok_or_else(absent);
            }
            size
        }
        Some(text) => text
            .parse()
            .map_err(|_| invalid("`size` must be a number of entries, or `latest`.".to_owned()))?,
    };
    within(ledger, "size", size)?;
    if size <= seq {
        return Err(invalid(format!(
            "The entry {seq} does not stand in a tree of {size} entries: `size` must be more than {seq}."
        )));
    }
    match ledger.receipt_at(seq, size)? {
        Some(receipt) => Ok(receipt),
        None => Err(no_commit(ledger, size)?),
    }
}
