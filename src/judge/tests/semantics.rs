//! What the rules mean, case by case.

use super::*;

/// Records of these tests whose sentences the catalogue tests go through.
pub fn records() -> Vec<Vec<Value>> {
    vec![
        refused("refused"),
        refused("escalated"),
        refused("insufficient_evidence"),
        two_recommendations(),
        loose_action(),
        without_ai(),
        patched(
            json!([{"op": "replace", "path": "/action/data/status", "value": "failed"}, {"op": "remove", "path": "/approval"}]),
        ),
        patched(json!([{"op": "replace", "path": "/approval/actor/kind", "value": "agent"}])),
        patched(
            json!([{"op": "remove", "path": "/action"}, {"op": "remove", "path": "/output"}, {"op": "remove", "path": "/approval"}]),
        ),
        patched(
            json!([{"op": "replace", "path": "/required/data/required", "value": false}, {"op": "add", "path": "/output/data/changes", "value": [{"what": "a date", "by": "u-31"}]}]),
        ),
        patched(
            json!([{"op": "add", "path": "/-", "value": event("later", "outcome.recorded", json!({"kind": "appeal", "detail": "the complainant appeals"}))}]),
        ),
        redrafted(true),
        stray_action(),
        undrafted(),
        without_recommendation(&[(
            "act",
            "action.performed",
            json!({"action": "refund"}),
            "agent",
        )]),
        without_recommendation(&[
            ("ask", "approval.required", json!({}), "service"),
            (
                "act",
                "action.performed",
                json!({"action": "refund"}),
                "human",
            ),
        ]),
    ]
}

fn event(id: &str, kind: &str, data: Value) -> Value {
    json!({
        "id": id, "source": "https://workflow.example/cases", "type": kind, "time": base()[15]["time"],
        "case_id": "C-2041", "feature": "complaint.escalation", "recommendation_id": "R-9",
        "actor": {"id": "u-17", "name": "Mara Lindqvist", "role": "case worker", "kind": "human"}, "data": data,
    })
}

fn refused(status: &str) -> Vec<Value> {
    let gone = [
        "/action",
        "/output",
        "/approval",
        "/required",
        "/risk",
        "/guard",
        "/validation",
        "/draft",
        "/tool",
        "/tool-proposed",
        "/evidence",
        "/facts",
        "/policy",
    ];
    let mut ops: Vec<Value> = gone
        .iter()
        .map(|path| json!({"op": "remove", "path": path}))
        .collect();
    ops.push(json!({"op": "replace", "path": "/concluded/data/status", "value": status}));
    patched(Value::Array(ops))
}

/// A second recommendation in the same case: drafted, never approved, never carried out.
fn two_recommendations() -> Vec<Value> {
    let mut events = base();
    let mut other = events[7].clone();
    other["id"] = json!("draft-2");
    other["recommendation_id"] = json!("R-10");
    other["run_id"] = json!("run-89");
    other["data"]["draft"] = json!("Recommendation: close complaint C-2041.");
    other["data"]["draft_digest"] =
        json!("sha256:c2ef5a4a2b3a2e4e0e3e4c8f0a6a6f6d2d2c6c7b5a4f3e2d1c0b9a8f7e6d5c4b");
    other["data"]["recommended_action"] = json!("close");
    events.push(other);
    events
}

/// Two recommendations, and an action that names neither.
fn loose_action() -> Vec<Value> {
    let mut events = two_recommendations();
    let mut action = events[14].clone();
    action["id"] = json!("action-2");
    for name in ["recommendation_id", "approval_id", "run_id", "trace_id"] {
        action.as_object_mut().unwrap().remove(name);
    }
    events.push(action);
    events
}

fn without_ai() -> Vec<Value> {
    let mut events = vec![
        base()[0].clone(),
        event(
            "act",
            "action.performed",
            json!({"action": "answer", "status": "succeeded"}),
        ),
        event("note", "x.note", json!({"text": "phoned"})),
    ];
    events[1]
        .as_object_mut()
        .unwrap()
        .remove("recommendation_id");
    events[2]
        .as_object_mut()
        .unwrap()
        .remove("recommendation_id");
    events
}

/// A second draft after the approval; approved again or not.
fn redrafted(again: bool) -> Vec<Value> {
    let mut events = base();
    let mut draft = events[7].clone();
    let text = "Recommendation: escalate complaint C-2041 to the review board at once.";
    draft["id"] = json!("draft-2");
    draft["data"]["draft"] = json!(text);
    draft["data"]["draft_digest"] = json!(crate::judge::view::digest_of(text));
    let digest = draft["data"]["draft_digest"].clone();
    let mut checks = events[8].clone();
    checks["id"] = json!("validation-2");
    let mut approval = events[12].clone();
    approval["id"] = json!("approval-2");
    approval["data"]["draft_digest"] = digest.clone();
    events[13]["data"]["text"] = json!(text);
    events[13]["data"]["digest"] = digest;
    for event in [&mut draft, &mut checks, &mut approval] {
        event["time"] = events[12]["time"].clone();
    }
    events.splice(
        13..13,
        if again {
            vec![draft, checks, approval]
        } else {
            vec![draft, checks]
        },
    );
    events
}

fn codes_of(ops: Value) -> Vec<String> {
    codes(&judge_events(&patched(ops)))
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_low_risk_needs_no_approval() {
    let judgement = judge_events(&low_risk());
    assert_eq!(codes(&judgement), Vec::<&str>::new());
    assert_eq!(judgement.profile_rule, Some(0));
    // Unless the record itself asks for one.
    let asked = codes_of(
        json!([{"op": "replace", "path": "/risk/data/level", "value": "low"}, {"op": "remove", "path": "/approval"}]),
    );
    assert!(asked.contains(&"approval.absent".to_owned()), "{asked:?}");
    // Or the authorization was given only under approval.
    let mut events = low_risk();
    events[1]["data"]["result"] = json!("approval_required");
    assert!(codes(&judge_events(&events)).contains(&"approval.absent"));
}

#[test]
fn a_requirement_that_waives_does_not_beat_the_profile() {
    let ops = json!([{"op": "replace", "path": "/required/data/required", "value": false}, {"op": "remove", "path": "/approval"}]);
    assert!(codes_of(ops).contains(&"approval.absent".to_owned()));
}

#[test]
fn without_a_recorded_risk_the_strictest_rule_holds() {
    let mut events = low_risk();
    events.retain(|event| event["id"] != "risk");
    let entries = entries(&events);
    let judgement = judge_entries(&entries);
    assert_eq!(judgement.profile_rule, Some(2));
    assert!(
        codes(&judgement).contains(&"missing.risk")
            && codes(&judgement).contains(&"approval.absent")
    );
    assert!(told(&entries, &judgement).contains("judged by the strictest rule"));
    // A level that is written down only after the action guided nobody.
    let mut events = low_risk();
    let risk = events
        .iter()
        .position(|event| event["id"] == "risk")
        .unwrap();
    let risk = events.remove(risk);
    events.push(risk);
    let judgement = judge_events(&events);
    assert_eq!(judgement.profile_rule, Some(2));
    assert!(!codes(&judgement).contains(&"missing.risk"));
}

#[test]
fn a_late_approval_does_not_cure_whatever_time_it_claims() {
    let events = patched(json!([
        {"op": "move", "from": "/approval", "path": "/15"},
        {"op": "replace", "path": "/approval/time", "value": base()[8]["time"]},
    ]));
    let entries = entries(&events);
    let judgement = judge_entries(&entries);
    assert!(codes(&judgement).contains(&"approval.after_action"));
    assert!(
        !codes(&judgement).contains(&"approval.absent"),
        "it is told as late, not as absent"
    );
    assert_eq!(judgement.findings[0].severity, Severity::Critical);
    assert!(
        told(&entries, &judgement)
            .contains("An approval is recorded only after the action was performed")
    );
}

#[test]
fn a_failed_attempt_needed_approval_but_weighs_less_and_a_cancelled_action_needs_none() {
    let with = |status: &str| {
        patched(
            json!([{"op": "replace", "path": "/action/data/status", "value": status}, {"op": "remove", "path": "/approval"}, {"op": "remove", "path": "/output"}]),
        )
    };
    let failed = judge_events(&with("failed"));
    let finding = failed
        .findings
        .iter()
        .find(|f| f.code == "approval.absent")
        .unwrap();
    assert_eq!(finding.severity, Severity::Error);
    let entries = entries(&with("failed"));
    assert!(
        told(&entries, &judge_entries(&entries))
            .contains("No approval is recorded before the action was attempted, without success")
    );
    assert!(!codes(&judge_events(&with("cancelled"))).contains(&"approval.absent"));
    let pending = judge_events(&with("pending"));
    assert_eq!(
        pending
            .findings
            .iter()
            .find(|f| f.code == "approval.absent")
            .unwrap()
            .severity,
        Severity::Critical
    );
    // A yes after a failed attempt is not a yes after an action.
    let late = patched(
        json!([{"op": "replace", "path": "/action/data/status", "value": "failed"}, {"op": "move", "from": "/approval", "path": "/15"}]),
    );
    let late = judge_events(&late);
    assert!(
        codes(&late).contains(&"approval.absent")
            && !codes(&late).contains(&"approval.after_action")
    );
}

#[test]
fn one_yes_does_not_cover_a_later_draft() {
    let old = judge_events(&redrafted(false));
    assert!(
        codes(&old).contains(&"approval.other_draft")
            && codes(&old).contains(&"output.not_approved"),
        "{:?}",
        codes(&old)
    );
    assert_eq!(codes(&judge_events(&redrafted(true))), Vec::<&str>::new());
}

#[test]
fn an_approval_that_does_not_say_what_was_seen_covers_nothing() {
    let found = codes_of(json!([{"op": "remove", "path": "/approval/data/draft_digest"}]));
    assert!(
        found.contains(&"approval.other_draft".to_owned()),
        "{found:?}"
    );
}

#[test]
fn the_approved_final_text_covers_the_action_too() {
    let text = "Escalated, with a date.";
    let digest = crate::judge::view::digest_of(text);
    let found = codes_of(json!([
        {"op": "replace", "path": "/output/data/text", "value": text},
        {"op": "replace", "path": "/output/data/digest", "value": digest},
        {"op": "replace", "path": "/approval/data/draft_digest", "value": digest},
    ]));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_rejection_that_was_heeded_is_no_defect() {
    let stopped = patched(json!([
        {"op": "replace", "path": "/approval/data/decision", "value": "rejected"},
        {"op": "remove", "path": "/action"}, {"op": "remove", "path": "/output"},
    ]));
    assert_eq!(codes(&judge_events(&stopped)), Vec::<&str>::new());
    // Something else was done: told as that, not as a rejection that was overridden.
    let other = codes_of(json!([
        {"op": "replace", "path": "/approval/data/decision", "value": "rejected"},
        {"op": "replace", "path": "/action/data/action", "value": "close"}, {"op": "remove", "path": "/output"},
    ]));
    assert_eq!(other, ["action.not_recommended"]);
}

#[test]
fn the_latest_decision_counts_and_a_yes_can_be_taken_back() {
    let mut no = base()[12].clone();
    no["id"] = json!("approval-2");
    no["data"]["decision"] = json!("rejected");
    no["actor"]["id"] = json!("u-40");
    let mut events = base();
    events.insert(13, no.clone());
    assert!(
        codes(&judge_events(&events)).contains(&"approval.rejected"),
        "no after yes"
    );
    let mut events = base();
    events.insert(12, no);
    assert!(
        !codes(&judge_events(&events)).contains(&"approval.rejected"),
        "yes after no"
    );
    assert_eq!(codes(&judge_events(&events)), Vec::<&str>::new());
}

#[test]
fn quorum_counts_different_people_in_the_right_roles() {
    let mut events = base();
    events[11]["data"]["quorum"] = json!(2);
    let mut second = events[12].clone();
    second["id"] = json!("approval-2");
    let with = |second: &Value| {
        let mut events = events.clone();
        events.insert(13, second.clone());
        codes(&judge_events(&events))
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(with(&second), ["approval.quorum"], "the same person twice");
    second["actor"]["id"] = json!("u-32");
    assert_eq!(with(&second), Vec::<String>::new());
    let mut other = second.clone();
    other["actor"]["role"] = json!("trainee");
    assert_eq!(with(&other), ["approval.quorum"], "another role");
    let mut machine = second.clone();
    machine["actor"]["kind"] = json!("agent");
    assert_eq!(with(&machine), ["approval.quorum"], "no person");
}

#[test]
fn separation_is_met_when_enough_others_approved() {
    let mut events = base();
    let mut own = events[12].clone();
    own["id"] = json!("approval-0");
    own["actor"]["id"] = json!("u-17");
    events.insert(12, own);
    assert_eq!(codes(&judge_events(&events)), Vec::<&str>::new());
    // Where nothing asks for separation, who asked may approve.
    let medium = codes_of(json!([
        {"op": "replace", "path": "/risk/data/level", "value": "medium"},
        {"op": "replace", "path": "/required/data/separation_of_duties", "value": false},
        {"op": "replace", "path": "/approval/actor/id", "value": "u-17"},
    ]));
    assert_eq!(medium, Vec::<String>::new());
    // When nobody is recorded as having asked, nobody can say that the approver was another.
    let unknown = patched(
        json!([{"op": "remove", "path": "/request/actor/id"}, {"op": "remove", "path": "/draft/actor"}]),
    );
    assert_eq!(judge_events(&unknown).controls, Judged::Undetermined);
}

#[test]
fn somebody_elses_denial_does_not_taint_the_run() {
    let mut events = base();
    let mut snooper = events[1].clone();
    snooper["id"] = json!("authorization-2");
    snooper["data"]["decision_id"] = json!("az-9");
    snooper["data"]["result"] = json!("denied");
    snooper["actor"]["id"] = json!("u-99");
    snooper.as_object_mut().unwrap().remove("causes");
    events.insert(2, snooper);
    assert_eq!(codes(&judge_events(&events)), Vec::<&str>::new());
    events[2]["actor"]["id"] = json!("u-17");
    assert!(codes(&judge_events(&events)).contains(&"authorization.denied"));
}

#[test]
fn a_proper_end_is_no_defect_and_has_its_own_answer() {
    for (status, words) in [
        ("refused", "ended with a refusal"),
        ("escalated", "handing the matter over to a person"),
        ("insufficient_evidence", "too little evidence"),
    ] {
        let events = refused(status);
        let entries = entries(&events);
        let judgement = judge_entries(&entries);
        assert_eq!(codes(&judgement), Vec::<&str>::new(), "{status}");
        assert_eq!(
            (judgement.elements, judgement.controls),
            (Judged::Good, Judged::Good)
        );
        assert!(
            told(&entries, &judgement).contains(words),
            "{}",
            told(&entries, &judgement)
        );
    }
    // It still matters who asked.
    let mut events = refused("refused");
    events[0]["actor"].as_object_mut().unwrap().remove("id");
    assert_eq!(codes(&judge_events(&events)), ["missing.identity"]);
    // And whoever acts after all gets no exemption.
    let acted = codes_of(
        json!([{"op": "replace", "path": "/concluded/data/status", "value": "refused"}, {"op": "remove", "path": "/approval"}]),
    );
    assert!(
        acted.contains(&"approval.absent".to_owned())
            && acted.contains(&"missing.approval_decision".to_owned())
    );
}

#[test]
fn a_case_without_ai_says_so_in_one_sentence() {
    let events = without_ai();
    let entries = entries(&events);
    let judgement = judge_entries(&entries);
    assert_eq!(
        (
            judgement.elements,
            judgement.controls,
            judgement.profile_rule
        ),
        (Judged::NotApplicable, Judged::NotApplicable, None)
    );
    assert_eq!(codes(&judgement), Vec::<&str>::new());
    let summary = judgement
        .answer
        .iter()
        .find(|part| part.section == Section::Summary)
        .unwrap();
    assert_eq!(summary.sentences.len(), 1);
    assert_eq!(
        judgement
            .timeline
            .iter()
            .map(|item| item.sentence.template.as_str())
            .collect::<Vec<_>>(),
        [
            "timeline.request.received",
            "timeline.action.performed",
            "timeline.other"
        ]
    );
}

#[test]
fn a_flat_audit_event_is_told_as_what_it_is() {
    let events = corpus::load_base(&corpus_dir(), "audit");
    let entries = entries(&events);
    let judgement = judge_entries(&entries);
    let told = told(&entries, &judgement);
    assert!(
        told.contains("only a short audit event is recorded"),
        "{told}"
    );
    for satisfied in [
        "missing.identity",
        "missing.model_version",
        "missing.index_version",
        "missing.citations",
        "missing.evidence",
        "missing.trace",
    ] {
        assert!(!codes(&judgement).contains(&satisfied), "{satisfied}");
    }
    assert!(codes(&judgement).contains(&"missing.draft"));
    assert_eq!(judgement.elements, Judged::Bad);
    let mut events = events;
    events[0]["data"]["cited_source_ids"] = json!(["rule-appeals"]);
    assert!(codes(&judge_events(&events)).contains(&"citation.not_selected"));
}

#[test]
fn each_recommendation_is_judged_by_its_own_id() {
    let events = two_recommendations();
    let entries = entries(&events);
    let all = judge_entries(&entries);
    assert!(
        codes(&all).contains(&"missing.approval_decision"),
        "the second was not approved"
    );
    let about = |at: usize| {
        let member = &entries[at].opened.members["/recommendation_id"];
        let subject = Subject::Recommendation(DatumRef {
            digest: member.digest.to_b64url(),
            at: String::new(),
        });
        judge(&subject, &entries, &Profile::builtin().unwrap())
    };
    assert_eq!(codes(&about(7)), Vec::<&str>::new(), "the first is proper");
    assert!(codes(&about(16)).contains(&"missing.approval_decision"));
    assert!(
        !codes(&about(16)).contains(&"approval.absent"),
        "nothing was done on the second"
    );
}

#[test]
fn an_action_that_names_no_recommendation_is_covered_by_no_approval() {
    let judgement = judge_events(&loose_action());
    let absent: Vec<_> = judgement
        .findings
        .iter()
        .filter(|f| f.code == "approval.absent")
        .collect();
    assert_eq!(absent.len(), 1);
    assert_eq!(absent[0].sentence.entries, [18]);
}

#[test]
fn a_recommendation_that_was_never_posted_as_a_draft_is_still_one() {
    let judgement = judge_events(&patched(json!([{"op": "remove", "path": "/draft"}])));
    assert_eq!(judgement.elements, Judged::Bad);
    assert!(codes(&judgement).contains(&"missing.draft"));
}

#[test]
fn a_guard_that_later_lets_it_pass_is_not_overridden() {
    let mut events = base();
    let mut blocked = events[9].clone();
    blocked["id"] = json!("guard-0");
    blocked["data"]["result"] = json!("blocked");
    events.insert(9, blocked);
    assert_eq!(codes(&judge_events(&events)), Vec::<&str>::new());
    events[10]["data"]["guard"] = json!("another guard");
    assert!(codes(&judge_events(&events)).contains(&"guardrail.overridden"));
}

#[test]
fn a_failed_check_that_stopped_the_run_weighs_less() {
    let stopped = patched(json!([
        {"op": "replace", "path": "/validation/data/checks/2/outcome", "value": "failed"},
        {"op": "remove", "path": "/output"}, {"op": "remove", "path": "/action"},
        {"op": "replace", "path": "/concluded/data/status", "value": "escalated"},
    ]));
    let judgement = judge_events(&stopped);
    assert_eq!(codes(&judgement), ["validation.failed"]);
    assert_eq!(judgement.findings[0].severity, Severity::Warning);
}

#[test]
fn a_cause_that_is_dated_later_makes_its_effect_backdated() {
    let found =
        codes_of(json!([{"op": "replace", "path": "/request/time", "value": base()[7]["time"]}]));
    assert!(found.contains(&"time.backdated".to_owned()), "{found:?}");
}

#[test]
fn null_is_absent() {
    let found =
        codes_of(json!([{"op": "replace", "path": "/draft/data/model_version", "value": null}]));
    assert_eq!(found, ["missing.model_version"]);
}

#[test]
fn a_gap_is_claimed_only_when_no_other_entry_can_fill_it() {
    let mut events = base();
    for (at, event) in events.iter_mut().enumerate() {
        event["sequence"] = json!(at + 100);
    }
    assert_eq!(codes(&judge_events(&events)), Vec::<&str>::new());
    let mut entries = entries(&events);
    entries.remove(5);
    assert_eq!(
        codes(&judge_entries(&entries)),
        Vec::<&str>::new(),
        "another case may hold the number between"
    );
    events[5]["sequence"] = json!(104);
    assert!(
        codes(&judge_events(&events)).contains(&"sequence.producer_gap"),
        "a number twice"
    );
}

#[test]
fn judging_is_deterministic() {
    for fixture in corpus::load_all(&corpus_dir()) {
        let entries = entries(&fixture.with);
        assert_eq!(judge_entries(&entries), judge_entries(&entries.clone()));
    }
}

#[test]
fn the_graph_joins_by_recorded_ids_only() {
    let entries = entries(&base());
    let graph = judge_entries(&entries).graph;
    let has = |from: u64, relation: &str, to: u64| {
        graph
            .iter()
            .any(|e| e.from == from && json!(e.relation) == relation && e.to == to)
    };
    assert!(
        has(2, "was_informed_by", 1),
        "authorization to request, by request id"
    );
    assert!(has(3, "was_informed_by", 2), "candidates to authorization");
    assert!(
        has(8, "used", 3) && has(8, "used", 4) && has(8, "used", 5),
        "draft to what it cites"
    );
    assert!(has(8, "acted_on_behalf_of", 1));
    assert!(has(9, "used", 8) && has(13, "used", 8) && has(13, "was_informed_by", 12));
    assert!(has(14, "was_derived_from", 8) && has(15, "was_informed_by", 13));
    let texts: Vec<String> = graph.iter().map(|edge| edge.by.digest.clone()).collect();
    assert!(texts.iter().all(|digest| matches!(
        Entries::new(&entries).datum(&DatumRef {
            digest: digest.clone(),
            at: String::new()
        }),
        Resolved::Value(_)
    )));
    // Nothing is joined when nothing says so.
    let mut bare = vec![base()[0].clone(), base()[12].clone()];
    for event in &mut bare {
        for name in [
            "request_id",
            "run_id",
            "recommendation_id",
            "approval_id",
            "causes",
        ] {
            event.as_object_mut().unwrap().remove(name);
        }
    }
    assert!(judge_events(&bare).graph.is_empty());
}

/// A case in which only these happened: a request, then the given entries, none of which names a recommendation.
fn without_recommendation(more: &[(&str, &str, Value, &str)]) -> Vec<Value> {
    let mut events = vec![base()[0].clone()];
    for (id, kind, data, actor) in more {
        let mut event = event(id, kind, data.clone());
        event.as_object_mut().unwrap().remove("recommendation_id");
        event["actor"]["kind"] = json!(actor);
        events.push(event);
    }
    events
}

#[test]
fn an_agent_that_acts_without_a_recommendation_is_judged() {
    let done = json!({"action": "refund", "status": "succeeded"});
    let events = without_recommendation(&[("act", "action.performed", done.clone(), "agent")]);
    let entries = entries(&events);
    let judgement = judge_entries(&entries);
    let found = codes(&judgement);
    assert!(
        found.contains(&"approval.absent") && found.contains(&"missing.draft"),
        "{found:?}"
    );
    assert_eq!(judgement.controls, Judged::Bad);
    let words = told(&entries, &judgement);
    assert!(words.contains("An AI agent acted"), "{words}");
    assert!(
        !words.contains("No recommendation by an AI system"),
        "{words}"
    );
    // A person's action is judged when an approval had been asked for, and not otherwise.
    let asked = ("ask", "approval.required", json!({"quorum": 1}), "service");
    let act = ("act", "action.performed", done.clone(), "human");
    let judged = judge_events(&without_recommendation(&[asked.clone(), act.clone()]));
    assert!(codes(&judged).contains(&"approval.absent"));
    let plain = judge_events(&without_recommendation(std::slice::from_ref(&act)));
    assert_eq!(plain.controls, Judged::NotApplicable);
    let waived = (
        "ask",
        "approval.required",
        json!({"required": false}),
        "service",
    );
    let plain = judge_events(&without_recommendation(&[waived, act]));
    assert_eq!(plain.controls, Judged::NotApplicable);
    // Only an approval that is joined to the action covers it.
    let yes = (
        "yes",
        "approval.decided",
        json!({"decision": "approved"}),
        "human",
    );
    let act = ("act", "action.performed", done, "agent");
    let mut events = without_recommendation(&[yes, act]);
    let near = judge_events(&events);
    assert!(codes(&near).contains(&"approval.absent"));
    events[1]["approval_id"] = json!("ap-1");
    events[1]["actor"]["id"] = json!("u-31");
    events[2]["approval_id"] = json!("ap-1");
    let joined = judge_events(&events);
    assert!(!codes(&joined).contains(&"approval.absent"));
}

#[test]
fn when_it_is_not_shown_who_acted_it_is_left_open() {
    let done = json!({"action": "refund", "status": "succeeded"});
    let mut entries = entries(&without_recommendation(&[(
        "act",
        "action.performed",
        done,
        "agent",
    )]));
    super::build::withhold(&mut entries[1]);
    let judgement = judge_entries(&entries);
    assert_eq!(judgement.controls, Judged::Undetermined);
    assert!(
        codes(&judgement)
            .iter()
            .all(|code| code.starts_with("content."))
    );
    assert!(told(&entries, &judgement).contains("Whether a person or an AI agent acted"));
}

/// The base record with a second action, which names no recommendation.
fn stray_action() -> Vec<Value> {
    let mut events = base();
    let mut stray = events[14].clone();
    stray["id"] = json!("action-2");
    stray["actor"]["kind"] = json!("agent");
    for name in ["recommendation_id", "approval_id", "causes"] {
        stray.as_object_mut().unwrap().remove(name);
    }
    events.push(stray);
    events
}

#[test]
fn the_approval_of_one_recommendation_does_not_cover_an_action_that_names_none() {
    let events = stray_action();
    let entries = entries(&events);
    let judgement = judge_entries(&entries);
    assert_eq!(codes(&judgement), ["approval.absent"]);
    assert_eq!(judgement.findings[0].sentence.entries, [17]);
    let words = told(&entries, &judgement);
    assert!(
        words.contains("names none of the recommendations"),
        "{words}"
    );
    // An approval id, or a cause, joins it.
    for (name, value) in [
        ("approval_id", base()[12]["approval_id"].clone()),
        (
            "causes",
            json!([{"source": base()[12]["source"], "id": "approval"}]),
        ),
    ] {
        let mut events = stray_action();
        events[16][name] = value;
        assert_eq!(codes(&judge_events(&events)), Vec::<&str>::new(), "{name}");
    }
    // A level of risk that names no recommendation is the case's.
    let mut low = stray_action();
    low[10]["data"]["level"] = json!("low");
    low[10].as_object_mut().unwrap().remove("recommendation_id");
    assert_eq!(codes(&judge_events(&low)), Vec::<&str>::new());
    // Where the recommendation has no id there is nothing to tell apart.
    let mut nameless = base();
    for event in &mut nameless {
        event.as_object_mut().unwrap().remove("recommendation_id");
    }
    assert_eq!(codes(&judge_events(&nameless)), Vec::<&str>::new());
}

#[test]
fn an_approval_that_is_joined_to_nothing_is_counted_for_nothing() {
    let mut events = base();
    let approval = events[12].as_object_mut().unwrap();
    approval.remove("recommendation_id");
    approval.remove("causes");
    // Its digest joins it still.
    events[12]["approval_id"] = json!("ap-2");
    assert!(!codes(&judge_events(&events)).contains(&"missing.approval_decision"));
    events[12]["data"]
        .as_object_mut()
        .unwrap()
        .remove("draft_digest");
    let entries = entries(&events);
    let judgement = judge_entries(&entries);
    assert!(
        codes(&judgement).contains(&"approval.absent"),
        "{:?}",
        codes(&judgement)
    );
    assert!(told(&entries, &judgement).contains("is joined to nothing that was done"));
}

/// Two recommendations without drafts, after a search that names neither.
fn undrafted() -> Vec<Value> {
    let level = |id: &str, of: &str| {
        let mut event = event(id, "risk.classified", json!({"level": "low"}));
        event["recommendation_id"] = json!(of);
        event
    };
    let mut search = base()[2].clone();
    search.as_object_mut().unwrap().remove("run_id");
    vec![search, level("risk-1", "R-1"), level("risk-2", "R-2")]
}

#[test]
fn a_recommendation_without_a_draft_is_told_by_its_id() {
    let events = undrafted();
    let entries = entries(&events);
    let judgement = judge_entries(&entries);
    let words = told(&entries, &judgement);
    assert!(
        words.contains("On the recommendation “R-1”")
            && words.contains("On the recommendation “R-2”"),
        "{words}"
    );
    let drafts = judgement
        .findings
        .iter()
        .filter(|f| f.code == "missing.draft");
    assert_eq!(
        drafts
            .map(|f| f.sentence.entries.clone())
            .collect::<Vec<_>>(),
        [[2], [3]]
    );
    assert!(
        words.contains("This is about the recommendation “R-2”."),
        "{words}"
    );
}

#[test]
fn a_tool_call_rests_on_the_earlier_proposal_of_the_same_tool() {
    let mut events = base();
    let mut later = events[5].clone();
    later["id"] = json!("tool-proposed-2");
    later["time"] = events[15]["time"].clone();
    events.push(later);
    assert_eq!(codes(&judge_events(&events)), Vec::<&str>::new());
    let mut events = base();
    events[5]["data"]["tool"] = json!("another");
    events[5]["time"] = events[7]["time"].clone();
    assert!(!codes(&judge_events(&events)).contains(&"order.impossible"));
}

#[test]
fn the_end_of_a_run_is_not_a_decision_of_its_own() {
    let mut events = two_recommendations();
    events[16]["run_id"] = json!("run-88");
    let end = events.remove(15);
    events.push(end);
    events[16]["data"]["status"] = json!("escalated");
    let words = |events: &[Value]| {
        let entries = entries(events);
        told(&entries, &judge_entries(&entries))
    };
    let told = words(&events);
    assert!(told.contains("2 AI-assisted decisions"), "{told}");
    assert!(!told.contains("On the run"), "{told}");
    events[16].as_object_mut().unwrap().remove("run_id");
    assert!(!words(&events).contains("On the run"));
    // A run that acted without a recommendation has not ended properly.
    let mut acted = refused("escalated");
    let act = stray_action().pop().unwrap();
    acted.insert(acted.len() - 1, act.clone());
    let told = words(&acted);
    assert!(!told.contains("That is a proper end"), "{told}");
    assert!(codes(&judge_events(&acted)).contains(&"approval.absent"));
    // Nor has one that acted past its recommendation.
    let mut past = patched(json!([
        {"op": "remove", "path": "/action"}, {"op": "remove", "path": "/output"}, {"op": "remove", "path": "/approval"},
        {"op": "replace", "path": "/concluded/data/status", "value": "escalated"},
    ]));
    assert!(words(&past).contains("That is a proper end"));
    past.insert(past.len() - 1, act);
    assert!(!words(&past).contains("That is a proper end"));
}

fn words_of(ops: Value) -> String {
    let entries = entries(&patched(ops));
    told(&entries, &judge_entries(&entries))
}

#[test]
fn sentences_say_what_was_recorded_and_say_it_once() {
    let plain = words_of(json!([]));
    assert!(
        plain.contains("What was approved: “Recommendation: escalate"),
        "{plain}"
    );
    assert_eq!(
        plain
            .matches("The complainant faces eviction on 30 November”.")
            .count(),
        1
    );
    assert!(plain.contains("it must be somebody independent"));
    assert!(!plain.contains("itself did this"));
    let free = words_of(
        json!([{"op": "replace", "path": "/required/data/separation_of_duties", "value": false}]),
    );
    assert!(free.contains("it need not be somebody independent"));
    let no = words_of(
        json!([{"op": "replace", "path": "/approval/data/decision", "value": "rejected"}]),
    );
    assert!(no.contains("Its words: “Recommendation") && !no.contains("What was approved"));
    let agent =
        words_of(json!([{"op": "replace", "path": "/action/actor/kind", "value": "agent"}]));
    assert!(
        agent.contains("itself did this: action “escalate”"),
        "{agent}"
    );
    let open = words_of(json!([{"op": "remove", "path": "/draft/data/recommended_action"}]));
    assert!(!open.contains("Recommended action"));
    let called = words_of(
        json!([{"op": "add", "path": "/tool/data/arguments_summary", "value": {"since": "6 October"}}]),
    );
    assert!(
        called.contains("with “{\"since\":\"6 October\"}”"),
        "{called}"
    );
    // Words that are not those of the digest are not told as approved.
    let other =
        words_of(json!([{"op": "replace", "path": "/draft/data/draft", "value": "Close it."}]));
    assert!(!other.contains("What was approved: “Close it.”"));
}

#[test]
fn the_strictest_rule_is_told_once_and_only_when_it_matters() {
    let strict = |events: &[Value]| {
        let entries = entries(events);
        told(&entries, &judge_entries(&entries))
            .matches("by the strictest rule")
            .count()
    };
    let mut events = two_recommendations();
    events.retain(|event| event["id"] != "risk");
    assert_eq!(strict(&events), 1);
    assert_eq!(strict(&base()), 0);
}

#[test]
fn an_escalation_does_not_launder_an_altered_text() {
    let altered = "Your benefit is stopped for fraud.";
    let record = |status: &str| {
        patched(json!([
            {"op": "remove", "path": "/action"},
            {"op": "remove", "path": "/approval"},
            {"op": "replace", "path": "/output/data/text", "value": altered},
            {"op": "replace", "path": "/output/data/digest", "value": crate::judge::view::digest_of(altered)},
            {"op": "replace", "path": "/concluded/data/status", "value": status}
        ]))
    };
    assert_eq!(judge_events(&record("success")).controls, Judged::Bad);
    assert_eq!(
        judge_events(&record("escalated")).controls,
        Judged::Undetermined
    );
}

#[test]
fn a_program_that_lowers_the_risk_before_it_acts_switches_nothing_off() {
    let mut events = base();
    events.retain(|e| e["id"] != "approval" && e["id"] != "required");
    for event in &mut events {
        if let Some(members) = event.as_object_mut() {
            members.remove("approval_id");
        }
    }
    let at = |id: &str, events: &[Value]| events.iter().position(|e| e["id"] == id).unwrap();
    let mut low = events[at("risk", &events)].clone();
    low["id"] = json!("risk-2");
    low["data"]["level"] = json!("low");
    let place = at("output", &events);
    events.insert(place, low);
    let judged = judge_events(&events);
    assert!(
        codes(&judged).contains(&"approval.absent"),
        "{:?}",
        codes(&judged)
    );
    events[place]["actor"] = json!({"id": "u-31", "kind": "human", "role": "team lead"});
    let judged = judge_events(&events);
    assert!(
        !codes(&judged).contains(&"approval.absent"),
        "{:?}",
        codes(&judged)
    );
}

#[test]
fn a_requirement_is_not_loosened_once_somebody_has_decided() {
    let mut events = base();
    let at = |id: &str, events: &[Value]| events.iter().position(|e| e["id"] == id).unwrap();
    let required = at("required", &events);
    events[required]["data"]["quorum"] = json!(2);
    let mut loose = events[required].clone();
    loose["id"] = json!("required-2");
    loose["data"]["quorum"] = json!(1);
    let place = at("approval", &events) + 1;
    events.insert(place, loose);
    let judged = judge_events(&events);
    assert!(
        codes(&judged).contains(&"approval.quorum"),
        "{:?}",
        codes(&judged)
    );
}
