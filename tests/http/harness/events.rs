//! Events to post.

use serde_json::{Value, json};

use super::SOURCE;

/// The least that an event of a case can be.
pub fn simple(id: &str, case: &str) -> Value {
    json!({
        "id": id, "source": SOURCE, "type": "x.note", "time": "2026-01-01T00:00:00Z", "case_id": case,
        "data": {"note": format!("note {id}")}
    })
}

/// An event with every common member.
pub fn full_event(id: &str, case: &str) -> Value {
    json!({
        "id": id, "source": SOURCE, "type": "request.received", "time": "2026-01-01T00:00:00.25Z", "case_id": case,
        "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "request_id": "req-1",
        "run_id": "run-1", "feature": "complaint.escalation",
        "actor": {"id": "u-17", "name": "A. Jansen", "role": "caseworker", "kind": "human"},
        "subject": {"id": "p-1", "kind": "person"},
        "refs": [{"kind": "ticket", "id": "T-1", "uri": "https://tickets.example/T-1"}],
        "recommendation_id": "rec-1", "approval_id": "ap-1", "causes": [{"source": SOURCE, "id": "before"}],
        "sequence": 1,
        "data": {"channel": "web", "question": "Should this complaint be escalated?"}
    })
}

/// A case without fault, under names of its own.
pub fn proper_case(suffix: &str) -> Vec<Value> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings");
    let events = crate::findings::load_base(&dir, "escalation");
    crate::findings::renamed(&events, suffix)
}
