//! Reading is recorded: what a route hands out of the record comes out of [`Unrecorded`] only once the read is an entry
//! of the ledger. And refusals are counted.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::auth::{InLedger, Needs};
use super::problem::{Kind, Problem};
use crate::access::Permission;
use crate::ledger::{Id16, Timestamp};
use crate::sequencer::{Access, Denial, Ledger};
use crate::verify::format::MAX_TEXT;

/// What a route hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Something of the record: each read is an entry before it is answered.
    Content,
    /// Proofs, keys, the service's own state, or what the caller sends itself.
    Free,
}

use Class::{Content, Free};

/// Every route: method, address, the name of its family in the record, class.
#[rustfmt::skip]
pub const ROUTES: &[(&str, &str, &str, Class)] = &[
    ("GET", "/v1/ledgers/{ledger}/events", "events", Content),
    ("GET", "/v1/ledgers/{ledger}/entries/{seq}", "event", Content),
    ("GET", "/v1/ledgers/{ledger}/cases/{case}", "case.timeline", Content),
    ("GET", "/v1/ledgers/{ledger}/cases/{case}/why", "case.why", Content),
    ("GET", "/v1/ledgers/{ledger}/cases/{case}/accesses", "case.accesses", Content),
    ("GET", "/v1/ledgers/{ledger}/traces/{trace}", "trace.timeline", Content),
    ("GET", "/v1/ledgers/{ledger}/traces/{trace}/why", "trace.why", Content),
    ("GET", "/v1/ledgers/{ledger}/recommendations/{recommendation}", "recommendation.timeline", Content),
    ("GET", "/v1/ledgers/{ledger}/recommendations/{recommendation}/why", "recommendation.why", Content),
    ("POST", "/v1/ledgers/{ledger}/reports", "report.issue", Content),
    ("GET", "/v1/ledgers/{ledger}/reports/{report}", "report", Content),
    ("GET", "/v1/ledgers/{ledger}/export", "export", Content),
    ("GET", "/v1/ledgers/{ledger}/findings", "findings", Content),
    ("GET", "/v1/ledgers/{ledger}/checkpoints/{size}", "checkpoint", Free),
    ("GET", "/v1/ledgers/{ledger}/proofs/inclusion", "proof", Free),
    ("GET", "/v1/ledgers/{ledger}/proofs/consistency", "proof", Free),
    ("GET", "/v1/ledgers/{ledger}/log/checkpoint", "log", Free),
    ("GET", "/v1/ledgers/{ledger}/log/tile/{level}/{tile}", "log", Free),
    ("GET", "/v1/ledgers/{ledger}/log/tile/entries/{bundle}", "log", Free),
    ("POST", "/v1/ledgers/{ledger}/events", "events.post", Free),
    ("GET", "/v1/ledgers/{ledger}/receipts", "receipt.own", Free),
    ("GET", "/v1/ledgers/{ledger}/entries/{seq}/receipt", "receipt", Free),
    ("GET", "/v1/ledgers/{ledger}/checkpoint", "checkpoint", Free),
    ("GET", "/v1/ledgers/{ledger}/keys", "keys", Free),
    ("GET", "/v1/ledgers/{ledger}/keys/bridges", "keys", Free),
    ("POST", "/v1/ledgers/{ledger}/keys/rotations", "keys", Free),
    ("GET", "/v1/ledgers/{ledger}", "ledger", Free),
    ("POST", "/v1/ledgers/{ledger}/clock/confirm", "clock", Free),
    ("GET", "/v1/ledgers", "ledgers", Free),
    ("GET", "/v1/me", "me", Free),
    ("GET", "/v1/principals", "principals", Free),
    ("POST", "/v1/principals", "principals", Free),
    ("GET", "/v1/principals/{principal}", "principals", Free),
    ("DELETE", "/v1/principals/{principal}", "principals", Free),
    ("POST", "/v1/principals/{principal}/grants", "principals", Free),
    ("DELETE", "/v1/principals/{principal}/grants/{grant}", "principals", Free),
    ("GET", "/v1/principals/{principal}/tokens", "principals", Free),
    ("POST", "/v1/principals/{principal}/tokens", "principals", Free),
    ("POST", "/v1/principals/{principal}/tokens/{token}/rotate", "principals", Free),
    ("DELETE", "/v1/principals/{principal}/tokens/{token}", "principals", Free),
    ("GET", "/v1/event-types", "vocabulary", Free),
    ("GET", "/v1/event-types/{type}/schema", "vocabulary", Free),
    ("GET", "/problems", "vocabulary", Free),
    ("GET", "/problems/{problem}", "vocabulary", Free),
    ("GET", "/healthz", "health", Free),
    ("GET", "/metrics", "metrics", Free),
];

/// The name of a route's family in the record.
fn resource(method: &str, pattern: &str) -> &'static str {
    // The document knows no parameters that take several segments; the router writes them `{tile:.*}`.
    let pattern = pattern.replace(":.*}", "}");
    let mut rows = ROUTES.iter();
    let row = rows.find(|(m, p, ..)| *m == method && *p == pattern);
    row.map_or("other", |row| row.2)
}

/// The request header that says why somebody reads.
pub const PURPOSE: &str = "Whereas-Purpose";

/// How the header is documented at each route that takes it.
pub const PURPOSE_DOC: &str = "Why this is read, in 1 to 500 characters (UTF-8) without control characters: it becomes a part of the read's entry in the ledger";

/// Who reads in which way: what an [`Access`] needs of a request.
#[derive(Debug, Clone)]
pub struct Reading {
    resource: &'static str,
    purpose: Option<String>,
}

impl Reading {
    /// For another purpose than the header's, where the body says it.
    #[must_use]
    pub fn for_purpose(self, purpose: &str) -> Self {
        Self {
            purpose: Some(purpose.to_owned()),
            ..self
        }
    }

    /// The access of a caller, by this permission, with nothing read yet.
    #[must_use]
    pub fn access<N: Needs>(
        &self,
        at: &InLedger<N>,
        permission: Permission,
        time: Timestamp,
    ) -> Access {
        Access {
            role: at.role(permission),
            purpose: self.purpose.clone(),
            ..Access::new(at.caller.principal(), self.resource, time)
        }
    }
}

impl FromRequest for Reading {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pattern = request.match_pattern().unwrap_or_default();
        let resource = resource(request.method().as_str(), &pattern);
        ready(purpose(request.headers()).map(|purpose| Self { resource, purpose }))
    }
}

fn purpose(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(PURPOSE);
    let Some(value) = given.next() else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes()).ok();
    let good = text.filter(|t| {
        !t.trim().is_empty()
            && t.chars().count() <= MAX_TEXT
            && !t.chars().any(char::is_control)
            && given.next().is_none()
    });
    match good {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(Problem::new(
            Kind::InvalidPurpose,
            format!(
                "The header `{PURPOSE}` stands once and has 1 to {MAX_TEXT} characters in UTF-8, no control characters."
            ),
        )),
    }
}

/// Something of the record that nobody may have before it is on record who got it.
#[derive(Debug)]
#[must_use]
pub struct Unrecorded<T> {
    held: T,
    access: Access,
    ledger: Arc<Ledger>,
}

impl<T> Unrecorded<T> {
    /// Holds back what `access` tells of.
    pub fn new(ledger: &Arc<Ledger>, access: Access, held: T) -> Self {
        Self {
            held,
            access,
            ledger: Arc::clone(ledger),
        }
    }

    /// Works on what is held back, which stays held back.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Unrecorded<U> {
        Unrecorded {
            held: change(self.held),
            access: self.access,
            ledger: self.ledger,
        }
    }

    /// Records the read, and then gives what was held back.
    ///
    /// # Errors
    /// [`Kind::NotRecorded`]: nothing is handed out.
    pub async fn record(self) -> Result<T, Problem> {
        match self.ledger.record_access(self.access).await {
            Ok(_) => Ok(self.held),
            Err(e) => Err(Problem::not_recorded(&e)),
        }
    }
}

/// A caller that is known, asking something of a ledger that exists: left in the request for [`denied`].
#[derive(Clone)]
pub struct Asked {
    /// Who.
    pub principal: Id16,
    /// Of which ledger.
    pub ledger: Arc<Ledger>,
}

/// Counts the refusal of a caller that is known. What is not there and what the caller may not know of are counted
/// alike, as they are answered alike: otherwise the record would tell what the answer does not.
pub fn denied(request: &HttpRequest, status: u16, now: Timestamp) {
    if !matches!(status, 403 | 404) {
        return;
    }
    if let Some(asked) = request.extensions().get::<Asked>() {
        let pattern = request.match_pattern().unwrap_or_default();
        let denial = Denial {
            principal: asked.principal,
            resource: resource(request.method().as_str(), &pattern),
            status,
        };
        asked.ledger.note_denial(denial, now);
    }
}
