//! Which event types there are.

use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::vocabulary as v;

/// Version of the vocabulary. Additions raise it; meanings never change under the same name.
pub const VOCABULARY_VERSION: u32 = 1;

/// Prefix of a producer's own types: kept and shown in timelines, never judged.
pub const OWN_PREFIX: &str = "x.";

/// An event type that producers may post.
#[derive(Debug, Clone, Copy)]
pub struct EventType {
    /// Its name.
    pub name: &'static str,
    /// What it states.
    pub summary: &'static str,
    pub(super) data: fn() -> DataSchema,
}

/// Schema of an event's `data` with everything that it refers to.
pub(super) struct DataSchema {
    pub name: String,
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

fn data<T: ToSchema + PartialSchema>() -> DataSchema {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    DataSchema {
        name: T::name().into_owned(),
        schemas,
    }
}

macro_rules! types {
    ($($name:literal $data:ident $summary:literal),* $(,)?) => {
        /// All types that producers may post, in the order of a case.
        pub const EVENT_TYPES: &[EventType] = &[$(EventType { name: $name, summary: $summary, data: data::<v::$data> }),*];
    };
}

types! {
    "request.received" RequestReceived "Somebody asked for something.",
    "authorization.decided" AuthorizationDecided "It was decided whether an actor may do something.",
    "source.accessed" SourceAccessed "A source was read.",
    "policy.retrieved" Retrieved "Policies were looked up.",
    "facts.retrieved" Retrieved "Facts of the case were looked up.",
    "evidence.linked" EvidenceLinked "Evidence was attached to the case.",
    "tool.proposed" ToolCall "The AI proposed a tool call.",
    "tool.executed" ToolCall "A tool call was carried out.",
    "guardrail.fired" GuardrailFired "A guard looked at input or output.",
    "recommendation.drafted" RecommendationDrafted "The AI put a recommendation forward.",
    "validation.completed" ValidationCompleted "The draft was checked.",
    "risk.classified" RiskClassified "It was decided how much is at stake.",
    "approval.required" ApprovalRequired "It was decided whether, and by whom, approval is needed.",
    "approval.decided" ApprovalDecided "An approver decided.",
    "output.finalized" OutputFinalized "The final output was handed out.",
    "action.performed" ActionPerformed "The workflow acted.",
    "run.concluded" RunConcluded "The run ended.",
    "outcome.recorded" OutcomeRecorded "Something came of it later: an appeal, an override, a correction.",
    "ai.audit" AiAudit "The flat audit event of the observability specification.",
}

/// Types that only the service writes, with what they state.
pub const SERVICE_TYPES: &[(&str, &str)] = &[
    ("ledger.created", "The ledger began; carries its keys."),
    ("trace.sealed", "The spans of a trace were committed to."),
    ("report.issued", "A report was issued."),
    ("record.accessed", "Content was handed out."),
    ("access.denied", "Access was denied."),
    (
        "post.conflicted",
        "Other content was posted under an identity that is taken.",
    ),
    ("content.erased", "Content was erased."),
    (
        "retention.applied",
        "Content was erased because its time was over.",
    ),
    ("hold.placed", "Erasure was suspended."),
    ("hold.released", "Erasure is possible again."),
    ("key.rotated", "A key was replaced."),
    (
        "principal.changed",
        "A principal, its grants or its tokens were changed.",
    ),
    (
        "policy.changed",
        "Configuration that decides verdicts was changed.",
    ),
    ("clock.stepped", "The ledger's clock jumped."),
];

/// Whether only the service writes this type.
#[must_use]
pub fn is_service_type(name: &str) -> bool {
    name.starts_with("incident.") || SERVICE_TYPES.iter().any(|(n, _)| *n == name)
}

/// The type with this name, if producers may post it.
#[must_use]
pub fn event_type(name: &str) -> Option<&'static EventType> {
    EVENT_TYPES.iter().find(|t| t.name == name)
}

/// Whether a name is a producer's own type: `x.` and then lower-case words joined by dots.
#[must_use]
pub fn is_own_type(name: &str) -> bool {
    name.len() <= 128
        && name.strip_prefix(OWN_PREFIX).is_some_and(|rest| {
            !rest.is_empty()
                && rest.split('.').all(|word| {
                    !word.is_empty()
                        && word
                            .bytes()
                            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
                })
        })
}

/// Whether a text is `sha256:` and 64 lower-case hex digits.
#[must_use]
pub fn is_digest(value: &Value) -> bool {
    value
        .as_str()
        .and_then(|s| s.strip_prefix("sha256:"))
        .is_some_and(|h| h.len() == 64 && h.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}
