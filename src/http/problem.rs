//! Problems (RFC 9457): one table from kind to status, title and documentation.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::access::{AccessError, AuthError};
use crate::json::{Fault, FaultKind};
use crate::reconstruct::ReconstructError;
use crate::report::ReportError;
use crate::sequencer::AppendError;
use crate::store::StoreError;

macro_rules! problems {
    ($($name:ident = $slug:literal $status:literal $title:literal $doc:literal;)*) => {
        /// Kinds of problem: stable, each documented at `/problems/<slug>`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = $doc] $name,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Name in URIs.
            #[must_use]
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// HTTP status.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Title: the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

problems! {
    JsonSyntax = "json-syntax" 400 "The body is not JSON"
        "Nothing after the place named could be read. Mend the JSON and send it again; nothing was stored.";
    JsonInexact = "json-inexact" 422 "The body cannot be kept exactly"
        "The JSON holds values that common readers change silently: member names that stand twice, integers beyond ±(2^53-1), decimals with more digits than an IEEE double keeps, lone surrogates. Send such numbers as strings. Nothing was stored.";
    TooLarge = "too-large" 413 "The body is too large"
        "The body is longer, deeper or wider than the limits: 8 MiB, 32 levels, 256 members an object, 1,000 elements an array. Split the batch. Nothing was stored.";
    InvalidEvent = "invalid-event" 422 "The event is not in the vocabulary"
        "Each place where an event breaks its JSON Schema is listed with its JSON pointer. The schemas are at /v1/event-types. Nothing was stored.";
    InvalidRequest = "invalid-request" 422 "The request cannot be carried out as it is"
        "Each fault of the request's body is listed with its JSON pointer. Nothing was changed.";
    InvalidQuery = "invalid-query" 400 "The query is not understood"
        "A parameter in the address is unknown, missing or malformed; the detail says which.";
    InvalidPurpose = "invalid-purpose" 400 "The purpose is not understood"
        "The header `Whereas-Purpose` becomes a part of the record: it stands once, with 1 to 500 characters in UTF-8 and no control characters. Leave it out, or mend it.";
    InvalidCursor = "invalid-cursor" 400 "The cursor does not belong to this query"
        "A cursor continues the query that it came from: repeat the same parameters, change only `limit`.";
    UnsupportedMediaType = "unsupported-media-type" 415 "The body's media type is not supported"
        "Send application/json.";
    Unauthenticated = "unauthenticated" 401 "No valid token"
        "Send the header `Authorization: Bearer wh_…` with a token that is neither expired nor revoked. An administrator makes tokens with `whereas token create` or the API.";
    Forbidden = "forbidden" 403 "Not permitted"
        "The token is valid, but none of its principal's grants permits this. The detail says what is needed.";
    SourceNotAllowed = "source-not-allowed" 403 "The token may not post for this source"
        "A principal may post only for the sources that its grants list. Nothing of the batch was stored.";
    NotFound = "not-found" 404 "Not there"
        "There is nothing under this address, or nothing that this token may know of.";
    MethodNotAllowed = "method-not-allowed" 405 "The method is not possible here"
        "The address exists, but not for this method.";
    EventConflict = "event-conflict" 409 "Another event has this identity"
        "An event with the same source and id, but other content, is in the ledger, or stands twice in the batch. Identities are permanent: give the new event a new id. Nothing of the batch was stored; the conflict is recorded.";
    EventErased = "event-erased" 409 "The event with this identity was erased"
        "An event with the same source and id was recorded and its content erased since, so it cannot be decided whether this is the same one. Its identity stays taken.";
    SeveralCases = "several-cases" 409 "It belongs to several cases"
        "The trace or recommendation belongs to more than one case. Say which with the query parameter `case`: `~<pseudonym>` as listed, or the case id.";
    RecordTooLong = "record-too-long" 422 "The record is too long for one answer"
        "The case or trace has more than 20,000 entries. Page through its events instead.";
    AccessChange = "access-change-refused" 409 "Access cannot be changed like this"
        "The change would break a rule of access: the detail says which.";
    CaseBusy = "case-busy" 503 "The case moves too fast for a report"
        "New entries of the case came while the report was made, several times over. Try again after the time in Retry-After.";
    Busy = "busy" 503 "The ledger is busy"
        "The queue to the ledger is full. Nothing was stored; try again after the time in Retry-After.";
    Unavailable = "unavailable" 503 "The ledger cannot answer now"
        "Storage failed or is full, or the service is stopping. Nothing was acknowledged: send the same events again, and each is recorded once.";
    NotRecorded = "read-not-recorded" 503 "The read cannot be recorded now"
        "Whatever is handed out of the record is an entry of the ledger first: who read what, and when. The ledger cannot write this entry now, so nothing was handed out; try again after the time in Retry-After. Receipts, checkpoints and keys are still to be had.";
    ClockBehind = "clock-behind" 503 "The clock is far behind the ledger"
        "The machine's clock is more than five minutes behind the ledger's last entry. Set the clock; if the clock is right, an administrator confirms it with POST /v1/ledgers/{ledger}/clock/confirm.";
    Damaged = "record-damaged" 500 "The record is damaged"
        "What is stored is not what was committed: the detail names the entry. It is not handed out. Receipts and reports that were handed out before still verify. Keep the database as evidence, and restore it.";
    Internal = "internal" 500 "The service failed"
        "Something went wrong that should not. The log has it under the request id in the header x-request-id.";
}

/// A problem document, as it is sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Which kind: a URI reference of its documentation.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid-event")]
    pub kind: String,
    /// Title of the kind.
    #[schema(example = "The event is not in the vocabulary")]
    pub title: String,
    /// HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What happened this time, and what to do.
    #[schema(example = "1 fault was found; nothing was stored.")]
    pub detail: String,
    /// Each fault with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemFault>,
    /// More, by kind.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub more: Map<String, Value>,
}

/// One fault of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemFault {
    /// JSON pointer into the body (RFC 6901).
    #[schema(example = "/0/data/decision")]
    pub pointer: String,
    /// What is wrong there.
    #[schema(example = "the value must be one of: approved, rejected, abstained")]
    pub detail: String,
}

/// A problem.
#[derive(Debug)]
pub struct Problem {
    /// Which kind.
    pub kind: Kind,
    detail: String,
    errors: Vec<Fault>,
    more: Map<String, Value>,
    /// What the log says; never sent.
    internal: Option<String>,
}

impl Problem {
    /// A problem with what happened this time.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            more: Map::new(),
            internal: None,
        }
    }

    /// Nothing there, or nothing that the caller may know of.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            Kind::NotFound,
            format!("There is no such {what}, or none that this token may know of."),
        )
    }

    /// Something that should not happen; the reason goes to the log only.
    pub fn internal(reason: impl fmt::Display) -> Self {
        let mut problem = Self::new(
            Kind::Internal,
            "Something went wrong that should not. The log has it under this request's id.",
        );
        problem.internal = Some(reason.to_string());
        problem
    }

    /// A read cannot be recorded, so nothing is handed out.
    #[must_use]
    pub fn not_recorded(why: &AppendError) -> Self {
        let detail = match why {
            AppendError::Busy | AppendError::Closed | AppendError::ClockBehind { .. } => {
                why.to_string()
            }
            _ => "the ledger cannot write now".to_owned(),
        };
        let mut problem = Self::new(
            Kind::NotRecorded,
            format!("Nothing was handed out, because the read could not be recorded: {detail}."),
        );
        problem.internal = Some(why.to_string());
        problem
    }

    /// The faults of a body; `other` is the kind when all of it could be read.
    #[must_use]
    pub fn faults(faults: Vec<Fault>, other: Kind) -> Self {
        let worst = faults.iter().map(|f| f.kind).min_by_key(|k| match k {
            FaultKind::Syntax => 0,
            FaultKind::TooLarge => 1,
            FaultKind::Inexact => 2,
            FaultKind::Schema => 3,
        });
        let kind = match worst {
            Some(FaultKind::Syntax) => Kind::JsonSyntax,
            Some(FaultKind::TooLarge) => Kind::TooLarge,
            Some(FaultKind::Inexact) => Kind::JsonInexact,
            Some(FaultKind::Schema) | None => other,
        };
        let count = faults.len();
        let (were, nothing) = (
            if count == 1 {
                "fault was"
            } else {
                "faults were"
            },
            if other == Kind::InvalidEvent {
                "stored"
            } else {
                "changed"
            },
        );
        let mut problem = Self::new(
            kind,
            format!("{count} {were} found; nothing was {nothing}."),
        );
        problem.errors = faults;
        problem
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// With faults.
    #[must_use]
    pub fn at(mut self, errors: Vec<Fault>) -> Self {
        self.errors = errors;
        self
    }

    /// With pointers that start at the event's root: for a request that is one event and no array.
    #[must_use]
    pub fn without_index(mut self) -> Self {
        for fault in &mut self.errors {
            fault.pointer.clear();
        }
        self
    }

    fn body(&self) -> ProblemBody {
        ProblemBody {
            kind: format!("/problems/{}", self.kind.slug()),
            title: self.kind.title().to_owned(),
            status: self.kind.status(),
            detail: self.detail.clone(),
            errors: self
                .errors
                .iter()
                .map(|f| ProblemFault {
                    pointer: f.pointer.clone(),
                    detail: f.detail.clone(),
                })
                .collect(),
            more: self.more.clone(),
        }
    }

    /// Whether sending the same again may work.
    fn retryable(&self) -> bool {
        self.kind.status() == 503
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the log may say: never the detail, which can speak of the request's content.
        f.write_str(self.kind.slug())
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let internal = self.internal.as_deref().unwrap_or_default();
        match self.kind.status() {
            500 | 503 => tracing::error!(
                component = "http",
                error_type = self.kind.slug(),
                retryable = self.retryable(),
                reason = internal,
                "request failed"
            ),
            _ => tracing::info!(
                component = "http",
                error_type = self.kind.slug(),
                retryable = self.retryable(),
                "request refused"
            ),
        }
        let mut response = HttpResponseBuilder::new(self.status_code());
        response
            .insert_header((CONTENT_TYPE, "application/problem+json"))
            .insert_header((CACHE_CONTROL, "no-store"));
        if self.retryable() {
            response.insert_header((RETRY_AFTER, "1"));
        }
        if self.kind == Kind::Unauthenticated {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        response.json(self.body())
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        match &e {
            StoreError::Damaged(what) => {
                let mut problem =
                    Self::new(Kind::Damaged, format!("The record is damaged: {what}."));
                problem.internal = Some(e.to_string());
                problem
            }
            StoreError::Version(_) => Self::internal(e),
            StoreError::Backend(_) | StoreError::Unavailable(_) | StoreError::HeadMoved => {
                let mut problem = Self::new(
                    Kind::Unavailable,
                    "The ledger's database does not answer now; try again.",
                );
                problem.internal = Some(e.to_string());
                problem
            }
        }
    }
}

impl From<AppendError> for Problem {
    fn from(e: AppendError) -> Self {
        let detail = e.to_string();
        let at = |index: usize, text: &str| Fault {
            kind: FaultKind::Schema,
            pointer: format!("/{index}"),
            detail: text.to_owned(),
        };
        match e {
            AppendError::Busy => Self::new(Kind::Busy, detail),
            AppendError::Key(_) => Self::new(Kind::InvalidRequest, detail),
            AppendError::Closed => Self::new(Kind::Unavailable, detail),
            AppendError::Unavailable(reason) => {
                let mut problem = Self::new(
                    Kind::Unavailable,
                    "The ledger cannot write now. Nothing was acknowledged; send the same again.",
                );
                problem.internal = Some(reason);
                problem
            }
            AppendError::ClockBehind { .. } => Self::new(Kind::ClockBehind, detail),
            AppendError::Conflict { index, seq, erased } => {
                let kind = if erased {
                    Kind::EventErased
                } else {
                    Kind::EventConflict
                };
                Self::new(kind, detail)
                    .at(vec![at(index, "its identity is taken")])
                    .with("seq", seq.into())
            }
            AppendError::ConflictWithin { first, second } => Self::new(Kind::EventConflict, detail)
                .at(vec![
                    at(
                        first,
                        "it has the same identity as another event of this request",
                    ),
                    at(
                        second,
                        "it has the same identity as another event of this request",
                    ),
                ]),
            AppendError::CaseMoved | AppendError::KeyReplaced => Self::new(Kind::CaseBusy, detail),
            AppendError::Store(e) => e.into(),
            AppendError::Raced
            | AppendError::SlotGone
            | AppendError::Keyring(_)
            | AppendError::Content(_) => Self::internal(detail),
        }
    }
}

impl From<ReconstructError> for Problem {
    fn from(e: ReconstructError) -> Self {
        match e {
            ReconstructError::NotFound => Self::not_found("case, trace or recommendation"),
            ReconstructError::SeveralCases(cases) => {
                let names: Vec<Value> = cases
                    .iter()
                    .map(|c| Value::String(format!("~{c}")))
                    .collect();
                let detail = ReconstructError::SeveralCases(cases).to_string();
                Self::new(Kind::SeveralCases, detail).with("cases", Value::Array(names))
            }
            ReconstructError::TooLong => Self::new(Kind::RecordTooLong, e.to_string()),
            ReconstructError::Ledger(e) => e.into(),
            ReconstructError::Content { seq, ref error } => {
                StoreError::Damaged(format!("entry {seq}: {error}")).into()
            }
        }
    }
}

impl From<ReportError> for Problem {
    fn from(e: ReportError) -> Self {
        match e {
            ReportError::Reconstruct(e) => e.into(),
            ReportError::NotRecorded(e) => Self::not_recorded(&e),
            ReportError::CaseBusy => Self::new(Kind::CaseBusy, e.to_string()),
            ReportError::Ledger(e) => e.into(),
            ReportError::Supersedes => {
                let fault = Fault {
                    kind: FaultKind::Schema,
                    pointer: "/supersedes".into(),
                    detail: e.to_string(),
                };
                Self::faults(vec![fault], Kind::InvalidRequest)
            }
            ReportError::Damaged(_) => Self::internal(e),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(e: AuthError) -> Self {
        match e {
            AuthError::Store(e) => {
                let mut problem = Self::new(
                    Kind::Unavailable,
                    "Tokens cannot be checked now; try again.",
                );
                problem.internal = Some(e.to_string());
                problem
            }
            e => Self::new(
                Kind::Unauthenticated,
                format!("The token was not accepted: {e}."),
            ),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(e: AccessError) -> Self {
        let detail = e.to_string();
        match e {
            AccessError::NotFound(what) => Self::not_found(what),
            AccessError::Forbidden | AccessError::OwnAccess => Self::new(Kind::Forbidden, detail),
            AccessError::BadName
            | AccessError::NoGrant
            | AccessError::Grant(_)
            | AccessError::MixedRoles
            | AccessError::ExpiryPast
            | AccessError::GraceTooLong(_) => Self::new(Kind::InvalidRequest, detail),
            AccessError::PrincipalRevoked | AccessError::TokenEnded => {
                Self::new(Kind::AccessChange, detail)
            }
            AccessError::Busy => Self::new(Kind::Busy, detail),
            AccessError::Random(_) => Self::internal(detail),
            AccessError::Store(_) => {
                let mut problem = Self::new(
                    Kind::Unavailable,
                    "The database of principals does not answer now; try again.",
                );
                problem.internal = Some(detail);
                problem
            }
        }
    }
}
