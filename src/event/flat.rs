//! The specification's flat audit event, and its native form.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::native::Context;
use super::schema;
use crate::json::{Fault, FaultKind};

/// The flat audit event of the observability specification, section 17. Accepted as type `ai.audit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlatAudit {
    /// Id of the event: becomes `id`.
    #[schema(min_length = 1, max_length = 1024)]
    pub audit_event_id: String,
    /// When it happened: becomes `time`.
    #[schema(max_length = 64)]
    pub timestamp: String,
    /// The tenant: must be the ledger's name or origin.
    pub tenant_id: String,
    /// Who asked: becomes `actor.id`.
    pub user_id: Option<String>,
    /// The request: becomes `request_id`.
    pub request_id: Option<String>,
    /// The trace: becomes `trace_id`.
    #[schema(min_length = 1, max_length = 1024)]
    pub trace_id: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// Sources given to the model.
    pub selected_source_ids: Option<Vec<String>>,
    /// Sources that the answer cites.
    pub cited_source_ids: Option<Vec<String>>,
    /// Versions of the models used.
    pub model_versions: Option<Vec<String>>,
    /// Versions of the indexes used.
    pub index_versions: Option<Vec<String>>,
    /// The authorization decision.
    pub authorization_decision_id: Option<String>,
    /// How the answer ended.
    pub answer_status: Option<String>,
    /// Beyond the specification: the case.
    #[schema(min_length = 1, max_length = 1024)]
    pub case_id: Option<String>,
    /// Beyond the specification: the source, when the token lists more than one.
    #[schema(min_length = 1, max_length = 1024)]
    pub source: Option<String>,
}

/// Whether an object is a flat audit event rather than a native event.
pub(super) fn is_flat(event: &Map<String, Value>) -> bool {
    event.contains_key("audit_event_id") && !event.contains_key("type")
}

/// The native form of a flat audit event. Members that neither form declares stay in `data`.
pub(super) fn to_native(
    event: Map<String, Value>,
    context: &Context<'_>,
) -> Result<Map<String, Value>, Vec<Fault>> {
    let value = Value::Object(event);
    let mut faults = schema::flat_faults(&value);
    let Value::Object(mut event) = value else {
        return Err(faults);
    };
    let source = event
        .remove("source")
        .or_else(|| context.only_source.map(|s| json!(s)));
    if source.is_none() {
        faults.push(Fault {
            kind: FaultKind::Schema,
            pointer: "/source".into(),
            detail: "the token may post for several sources, so say which: add the member `source`"
                .into(),
        });
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut native = Map::new();
    native.insert("type".into(), json!("ai.audit"));
    native.extend(source.map(|s| ("source".to_owned(), s)));
    for (from, to) in [
        ("audit_event_id", "id"),
        ("timestamp", "time"),
        ("request_id", "request_id"),
        ("trace_id", "trace_id"),
        ("case_id", "case_id"),
    ] {
        native.extend(event.remove(from).map(|v| (to.to_owned(), v)));
    }
    if let Some(user) = event.remove("user_id") {
        native.insert("actor".into(), json!({ "id": user }));
    }
    native.insert("data".into(), Value::Object(event));
    Ok(native)
}
