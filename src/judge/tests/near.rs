//! Near misses: records in which one fact stands between what happened and a finding. When that fact is hidden, the
//! finding must not appear.

use super::*;

/// Records without any finding, each by a different fact.
pub fn records() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (
            "the action was cancelled",
            patched(json!([
                {"op": "move", "from": "/action", "path": "/11"},
                {"op": "replace", "path": "/action/data/status", "value": "cancelled"},
                {"op": "replace", "path": "/action/data/action", "value": "close"},
                {"op": "replace", "path": "/action/time", "value": base()[11]["time"]},
            ])),
        ),
        (
            "the run was refused after a draft",
            patched(json!([
                {"op": "remove", "path": "/action"}, {"op": "remove", "path": "/required"}, {"op": "remove", "path": "/approval"},
                {"op": "replace", "path": "/output/data/text", "value": "We cannot help with this."},
                {"op": "remove", "path": "/output/data/digest"},
                {"op": "replace", "path": "/guard/data/result", "value": "blocked"},
                {"op": "replace", "path": "/concluded/data/status", "value": "refused"},
            ])),
        ),
        ("the risk was classified after a cancelled action", {
            let mut events = low_risk();
            let action = events
                .iter()
                .position(|event| event["id"] == "action")
                .unwrap();
            let mut cancelled = events[action].clone();
            cancelled["id"] = json!("action-0");
            cancelled["time"] = events[8]["time"].clone();
            cancelled["data"]["status"] = json!("cancelled");
            events.insert(9, cancelled);
            events
        }),
        (
            "the denied tool was not called",
            patched(json!([
                {"op": "add", "path": "/tool/data/authorization_result", "value": "denied"},
                {"op": "replace", "path": "/tool/data/status", "value": "denied"},
            ])),
        ),
        (
            "the rejection was heeded",
            patched(json!([
                {"op": "replace", "path": "/approval/data/decision", "value": "rejected"},
                {"op": "remove", "path": "/action"}, {"op": "remove", "path": "/output"},
            ])),
        ),
        ("the low risk needs no approval", low_risk()),
        (
            "the tool's version is in the draft's list",
            patched(json!([
                {"op": "remove", "path": "/tool/data/tool_version"}, {"op": "remove", "path": "/tool-proposed"},
            ])),
        ),
        (
            "nothing was approved because nothing had to be",
            patched(json!([
                {"op": "replace", "path": "/risk/data/level", "value": "low"},
                {"op": "replace", "path": "/required/data/required", "value": false},
                {"op": "remove", "path": "/approval"},
            ])),
        ),
        (
            "the check was run again",
            again("validation", "validation-2", |first| {
                first["data"]["checks"][1]["outcome"] = json!("failed")
            }),
        ),
        (
            "the guard let something else pass",
            again("guard", "guard-2", |first| {
                first["data"]["result"] = json!("blocked")
            }),
        ),
        (
            "the no became a yes",
            again("approval", "approval-2", |first| {
                first["data"]["decision"] = json!("rejected");
                first["actor"]["id"] = json!("u-40");
            }),
        ),
        (
            "an independent person approved too",
            again("approval", "approval-2", |first| {
                first["actor"]["id"] = json!("u-17")
            }),
        ),
        (
            "somebody with the role approved too",
            again("approval", "approval-2", |first| {
                first["actor"]["role"] = json!("trainee");
                first["actor"]["id"] = json!("u-40");
            }),
        ),
        (
            "a person approved too",
            again("approval", "approval-2", |first| {
                first["actor"]["kind"] = json!("agent");
                first["actor"]["id"] = json!("agent-2");
            }),
        ),
        (
            "an older draft was approved before",
            again("approval", "approval-2", |first| {
                first["data"]["draft_digest"] =
                    json!("sha256:0000000000000000000000000000000000000000000000000000000000000000")
            }),
        ),
        (
            "somebody else was denied",
            denied(|event| event["actor"]["id"] = json!("u-99")),
        ),
        (
            "a source was denied",
            denied(|event| event["data"]["resource"] = json!({"kind": "source", "id": "file-1"})),
        ),
        ("only the action was denied, and then allowed", {
            let mut events = denied(|event| event["data"]["action"] = json!("escalate"));
            let mut allowed = events[1].clone();
            allowed["id"] = json!("authorization-3");
            allowed["data"]["action"] = json!("escalate");
            allowed["data"]["decision_id"] = json!("az-3");
            let action = events
                .iter()
                .position(|event| event["id"] == "action")
                .unwrap();
            events[action]["data"]
                .as_object_mut()
                .unwrap()
                .remove("authorization_decision_id");
            events.insert(action, allowed);
            events
        }),
        (
            "two candidates, one of them in the right version",
            patched(json!([
                {"op": "copy", "from": "/policy/data/candidates/0", "path": "/policy/data/candidates/1"},
                {"op": "replace", "path": "/policy/data/candidates/0/version", "value": "2020-01"},
                {"op": "replace", "path": "/policy/data/candidates/0/text", "value": "Other words."},
                {"op": "remove", "path": "/policy/data/candidates/0/digest"},
            ])),
        ),
        ("each of two sources counts for itself", {
            let mut events = base();
            for (at, event) in events.iter_mut().enumerate() {
                event["sequence"] = json!(100 + at / 2);
                if at % 2 == 1 {
                    event["source"] = json!("https://other.example/");
                    event.as_object_mut().unwrap().remove("causes");
                }
            }
            events
        }),
        ("the final text was approved, not the draft", {
            let text = "Escalated, with a date.";
            let digest = crate::judge::view::digest_of(text);
            patched(json!([
                {"op": "replace", "path": "/output/data/text", "value": text},
                {"op": "replace", "path": "/output/data/digest", "value": digest},
                {"op": "replace", "path": "/approval/data/draft_digest", "value": digest},
            ]))
        }),
        (
            "the draft names no recommendation, but its digest does",
            patched(json!([{"op": "remove", "path": "/draft/recommendation_id"}])),
        ),
    ]
}

/// The base with an event doubled; `change` makes the first of the two something that would be a finding alone.
fn again(id: &str, second: &str, change: impl Fn(&mut Value)) -> Vec<Value> {
    let mut events = base();
    let at = events.iter().position(|event| event["id"] == id).unwrap();
    let mut later = events[at].clone();
    later["id"] = json!(second);
    change(&mut events[at]);
    events.insert(at + 1, later);
    events
}

/// The base with a denied authorization right after the allowed one.
fn denied(change: impl Fn(&mut Value)) -> Vec<Value> {
    let mut events = base();
    let mut denied = events[1].clone();
    denied["id"] = json!("authorization-2");
    denied["data"]["decision_id"] = json!("az-9");
    denied["data"]["result"] = json!("denied");
    denied.as_object_mut().unwrap().remove("causes");
    change(&mut denied);
    events.insert(2, denied);
    events
}

#[test]
fn near_misses_are_no_findings() {
    for (why, events) in records() {
        assert_eq!(codes(&judge_events(&events)), Vec::<&str>::new(), "{why}");
    }
}
