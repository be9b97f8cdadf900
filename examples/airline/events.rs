//! From a run to the audit events that a workflow system would post, in the order in which things happened.

use crate::consent::{Answer, Decision, Findings, Judged, Verdict};
use crate::proposal::Proposal;
use crate::transcript::{Call, Role, Run, TRANSFER};
use crate::words;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The system that states the events.
pub const SOURCE: &str = "https://airline.example/agent";

/// The product feature; selects the ledger's profile.
pub const FEATURE: &str = "airline.booking";

/// The policy: the system message of every run.
const POLICY: &str = "airline-agent-policy";

/// 2024-05-15 15:00:00 EST, the time that the policy gives as now, in seconds after midnight UTC.
const START: usize = 20 * 3600;

/// Digest as the ledger writes it.
pub fn digest(text: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(text.as_bytes())))
}

/// First twelve hex digits of a text's digest: the version of a source that has no other.
fn version(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
        .chars()
        .take(12)
        .collect()
}

/// The case of a run.
pub fn case_id(run: &Run) -> String {
    format!("airline-run-{}-{}", run.task, run.trial)
}

/// The runs carry no times: one minute for each message after the policy's `now`.
fn time(message: usize) -> String {
    let seconds = START.saturating_add(message.saturating_mul(60));
    let (day, rest) = (15_usize.saturating_add(seconds / 86_400), seconds % 86_400);
    format!(
        "2024-05-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}

/// An event with the index of the message that it comes from.
pub struct Event {
    /// Index of the message.
    pub message: usize,
    /// The event, ready to post.
    pub body: Value,
}

/// The events of a run.
pub fn events(run: &Run, findings: &Findings) -> Vec<Event> {
    let mut writer = Writer {
        run,
        case: case_id(run),
        facts: Vec::new(),
        payments: BTreeMap::new(),
        out: Vec::new(),
    };
    for (at, message) in run.messages.iter().enumerate() {
        match message.role {
            Role::System => writer.policy(at),
            Role::User => {
                if run.customer_before(at).is_none() {
                    writer.request(at);
                }
                for decision in findings
                    .decisions
                    .iter()
                    .filter(|decision| decision.at == at)
                {
                    writer.decision(decision);
                }
            }
            Role::Assistant => {
                for proposal in findings
                    .proposals
                    .iter()
                    .filter(|proposal| proposal.at == at)
                {
                    writer.proposal(proposal);
                }
                if let Some(call) = &message.call {
                    writer.call(
                        at,
                        call,
                        findings.judged.iter().find(|judged| judged.at == at),
                    );
                }
            }
            Role::Tool => {}
        }
    }
    writer.conclusion(findings);
    writer.out
}

/// One request for each message: a workflow system records what was said before it goes on.
pub fn requests(events: Vec<Event>) -> Vec<Vec<Value>> {
    let mut requests: Vec<Vec<Value>> = Vec::new();
    let mut last = None;
    for event in events {
        if last != Some(event.message) {
            last = Some(event.message);
            requests.push(Vec::new());
        }
        if let Some(request) = requests.last_mut() {
            request.push(event.body);
        }
    }
    requests
}

/// The event that tells what became of the call in a message.
pub fn action_of(run: &Run, call: usize) -> Option<String> {
    let (answered, _) = run.messages.get(call)?.call.as_ref()?.answer.as_ref()?;
    Some(format!("{}-action", prefix(run, *answered)))
}

/// Prefix of the ids of a message's events, and of what they create.
fn prefix(run: &Run, message: usize) -> String {
    format!("airline-{}-{}-m{message:03}", run.task, run.trial)
}

/// How a run ended, as far as the conversation itself shows.
pub fn conclusion(run: &Run, findings: &Findings) -> (&'static str, &'static str) {
    const REFUSALS: [&str; 6] = [
        "unable to",
        "cannot",
        "can't",
        "not eligible",
        "not possible",
        "not allowed",
    ];
    let calls = || {
        run.messages
            .iter()
            .filter_map(|message| message.call.as_ref())
    };
    let changes: Vec<bool> = findings
        .judged
        .iter()
        .filter(|judged| judged.tool != crate::transcript::CERTIFICATE)
        .map(|judged| judged.succeeded)
        .collect();
    // What the customer has approved and the agent has not tried was not refused.
    let approved = findings
        .decisions
        .iter()
        .any(|decision| decision.answer == Answer::Approved);
    let refused = || {
        !approved
            && (0..run.messages.len()).any(|at| {
                run.is_shown(at) && words::has_any(&words::plain(run.text(at)), &REFUSALS)
            })
    };
    if calls().any(|call| call.tool == TRANSFER) {
        return ("escalated", "transferred to a human agent");
    }
    let status = match (changes.contains(&true), changes.last()) {
        (true, Some(true)) => "success",
        (true, _) => "partial",
        (false, Some(_)) => "failed",
        (false, None) if refused() => "refused",
        (false, None) => "failed",
    };
    (
        status,
        if run.closed_by_customer {
            "the customer ended the conversation"
        } else {
            "the conversation breaks off"
        },
    )
}

/// Something that a tool read, and that the agent has seen.
struct Fact {
    source: String,
    text: String,
}

struct Writer<'a> {
    run: &'a Run,
    case: String,
    facts: Vec<Fact>,
    /// How many payments the last answer about a reservation showed.
    payments: BTreeMap<String, usize>,
    out: Vec<Event>,
}

impl Writer<'_> {
    fn id(&self, message: usize) -> String {
        prefix(self.run, message)
    }

    fn customer(&self) -> Value {
        json!({"id": format!("customer-of-{}", self.case), "role": "customer", "kind": "human"})
    }

    /// Adds an event. `joins` are further common members; those that are `null` are left out.
    fn push(
        &mut self,
        message: usize,
        suffix: &str,
        kind: &str,
        actor: Value,
        joins: Value,
        data: Value,
    ) {
        let mut event = Map::new();
        event.insert(
            "id".to_owned(),
            json!(format!("{}-{suffix}", self.id(message))),
        );
        event.insert("source".to_owned(), json!(SOURCE));
        event.insert("type".to_owned(), json!(kind));
        event.insert("time".to_owned(), json!(time(message)));
        event.insert("case_id".to_owned(), json!(self.case));
        let trace: String = hex::encode(Sha256::digest(self.case.as_bytes()))
            .chars()
            .take(32)
            .collect();
        event.insert("trace_id".to_owned(), json!(trace));
        event.insert(
            "run_id".to_owned(),
            json!(format!("{}-{}", self.run.task, self.run.trial)),
        );
        event.insert("feature".to_owned(), json!(FEATURE));
        event.insert("actor".to_owned(), actor);
        event.insert(
            "subject".to_owned(),
            json!({"id": format!("customer-of-{}", self.case), "kind": "person"}),
        );
        if let Value::Object(joins) = joins {
            event.extend(joins.into_iter().filter(|(_, value)| !value.is_null()));
        }
        event.insert("data".to_owned(), without_nulls(data));
        self.out.push(Event {
            message,
            body: Value::Object(event),
        });
    }

    fn policy(&mut self, at: usize) {
        let text = self.run.text(at);
        let candidate = json!({"source_id": POLICY, "title": "Airline Agent Policy", "version": version(text),
            "digest": digest(text), "rank": 1, "text": text});
        let data = json!({"query_type": "system_message", "candidates": [candidate], "selected_ids": [POLICY]});
        self.push(
            at,
            "policy",
            "policy.retrieved",
            workflow(),
            Value::Null,
            data,
        );
    }

    fn request(&mut self, at: usize) {
        let data = json!({"channel": "chat", "question": self.run.text(at)});
        let actor = self.customer();
        self.push(at, "request", "request.received", actor, Value::Null, data);
    }

    /// A draft, the evidence that its details stand in, and the approval that the policy asks for.
    fn proposal(&mut self, proposal: &Proposal) {
        let (at, recommendation) = (proposal.at, self.id(proposal.at));
        let text = self.run.text(at).to_owned();
        let policy = self.run.text(0).to_owned();
        let (claims, evidence) = self.claims(at, &proposal.terms.reservations);
        let joins = json!({"recommendation_id": recommendation});
        if !evidence.is_empty() {
            let data = json!({"evidence": evidence});
            self.push(
                at,
                "evidence",
                "evidence.linked",
                workflow(),
                joins.clone(),
                data,
            );
        }
        let mut actions = proposal.actions.iter();
        let action = match (actions.next(), actions.next()) {
            (Some(only), None) => json!(only),
            _ => Value::Null,
        };
        let claims = if claims.is_empty() {
            Value::Null
        } else {
            json!(claims)
        };
        let data = json!({"recommended_action": action, "draft": text, "draft_digest": digest(&text),
            "model": "gpt-4o", "agent": "airline-agent", "prompt_template_id": POLICY,
            "prompt_version": version(&policy), "claims": claims});
        let amends = proposal
            .amends
            .map(|before| json!([{"source": SOURCE, "id": format!("{}-draft", self.id(before))}]));
        let causes = json!({"recommendation_id": recommendation, "causes": amends});
        self.push(at, "draft", "recommendation.drafted", agent(), causes, data);
        let joins = json!({"recommendation_id": recommendation, "approval_id": format!("{recommendation}-approval")});
        // The customer asks and the customer confirms: the policy wants no second person.
        let data = json!({"required": true, "policy_id": POLICY, "policy_revision": version(&policy),
            "roles": ["customer"], "quorum": 1, "separation_of_duties": false});
        self.push(
            at,
            "approval-required",
            "approval.required",
            workflow(),
            joins,
            data,
        );
    }

    /// A claim for each line of a draft that names a flight or a reservation, with the tool answers that it stands in.
    fn claims(&self, at: usize, ids: &BTreeSet<String>) -> (Vec<Value>, Vec<Value>) {
        let (mut claims, mut evidence) = (Vec::new(), Vec::new());
        for line in self.run.text(at).lines() {
            let bare = line.replace(['*', '`'], "");
            let mut names = words::flights(&bare);
            names.extend(words::reservations(&bare, ids));
            if names.is_empty() {
                continue;
            }
            let mut citations = Vec::new();
            for name in names {
                let Some(fact) = self
                    .facts
                    .iter()
                    .rev()
                    .find(|fact| fact.text.contains(&name))
                else {
                    continue;
                };
                let id = format!("{}-e{}", self.id(at), evidence.len().saturating_add(1));
                let piece = json!({"evidence_id": id, "source_id": fact.source, "version": version(&fact.text),
                    "digest": digest(&fact.text), "quotation": name});
                citations.push(piece.clone());
                evidence.push(piece);
            }
            let id = format!("c{}", claims.len().saturating_add(1));
            let text = bare.trim_start_matches([' ', '-', '#']).trim_end();
            claims.push(json!({"id": id, "text": text, "citations": citations}));
        }
        (claims, evidence)
    }

    fn decision(&mut self, decision: &Decision) {
        let recommendation = self.id(decision.proposal);
        let said = match decision.answer {
            Answer::Approved => "approved",
            Answer::Rejected => "rejected",
            Answer::Unclear => return,
        };
        let data = json!({"decision": said, "reason": self.run.text(decision.at), "draft_digest": digest(self.run.text(decision.proposal))});
        let joins = json!({"recommendation_id": recommendation, "approval_id": format!("{recommendation}-approval")});
        let actor = self.customer();
        self.push(
            decision.at,
            "approval",
            "approval.decided",
            actor,
            joins,
            data,
        );
    }

    /// A call with its answer. For a judged call also the action, bound to the proposal that it carries out.
    fn call(&mut self, at: usize, call: &Call, judged: Option<&Judged>) {
        // A change that carries out no proposal is a recommendation of its own, which nobody was shown.
        let carries_out = |judged: &Judged| self.id(judged.carries_out().unwrap_or(at));
        let recommendation = judged.map(carries_out);
        let consented = judged.is_some_and(|judged| judged.verdict == Verdict::Consented);
        let approval = recommendation
            .as_ref()
            .filter(|_| consented)
            .map(|id| format!("{id}-approval"));
        let joins = json!({"recommendation_id": recommendation, "approval_id": approval});
        let level = match () {
            () if judged.is_some() => "write",
            () if call.reads() => "read",
            () => "none",
        };
        // The model repeats call ids within a run: the message's own index makes them unique.
        let key = judged.map(|_| self.id(at));
        let call_id = format!("{}:{}", self.id(at), call.id);
        let tool = json!({"tool": call.tool, "call_id": call_id, "side_effect_level": level,
            "arguments_summary": call.arguments, "idempotency_key": key});
        if judged.is_some() {
            self.push(
                at,
                "proposed",
                "tool.proposed",
                agent(),
                joins.clone(),
                tool.clone(),
            );
        }
        let Some((answered, text)) = &call.answer else {
            return;
        };
        let (failed, summary) = (
            !call.succeeded(),
            text.chars().take(160).collect::<String>(),
        );
        let mut executed = tool;
        if let Value::Object(members) = &mut executed {
            members.insert(
                "status".to_owned(),
                json!(if failed { "failed" } else { "success" }),
            );
            members.insert(
                "error_type".to_owned(),
                if failed {
                    json!("tool_error")
                } else {
                    Value::Null
                },
            );
            members.insert("result_digest".to_owned(), json!(digest(text)));
            members.insert("result_summary".to_owned(), json!(summary));
        }
        self.push(
            *answered,
            "tool",
            "tool.executed",
            agent(),
            joins.clone(),
            executed,
        );
        if judged.is_some() {
            let effects = self.effects(call, text);
            let data = json!({"action": call.tool, "status": if failed { "failed" } else { "succeeded" },
                "idempotency_key": key, "side_effects": effects,
                "error": failed.then_some(text)});
            self.push(
                *answered,
                "action",
                "action.performed",
                agent(),
                joins,
                data,
            );
        } else if call.reads() && !failed {
            self.effects(call, text);
            self.fact(*answered, call, text);
        }
    }

    /// What an answer shows to be changed: the reservation, and the payments that its last answer did not show yet.
    fn effects(&mut self, call: &Call, text: &str) -> Option<Vec<String>> {
        let answer: Value = serde_json::from_str(text).ok()?;
        let id = answer.get("reservation_id")?.as_str()?;
        let payments = answer.get("payment_history").and_then(Value::as_array);
        let payments = payments.map_or(&[][..], Vec::as_slice);
        let known = self.payments.insert(id.to_owned(), payments.len());
        let known = match known {
            None if call.tool == "book_reservation" => 0,
            None => payments.len(),
            Some(known) => known,
        };
        let payment = |payment: &Value| {
            let with = payment.get("payment_id")?.as_str()?;
            Some(format!("payment:{with}:{}", payment.get("amount")?))
        };
        let new = payments.iter().skip(known).filter_map(payment);
        Some(
            std::iter::once(format!("reservation:{id}"))
                .chain(new)
                .collect(),
        )
    }

    fn fact(&mut self, at: usize, call: &Call, text: &str) {
        let arguments: Vec<String> = call
            .arguments
            .values()
            .map(|value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
            .collect();
        let source = format!("{}:{}", call.tool, arguments.join(","));
        let candidate = json!({"source_id": source, "version": version(text), "digest": digest(text), "rank": 1,
            "text": text});
        let data = json!({"query_type": call.tool, "retrieval_mode": "lookup", "candidates": [candidate],
            "selected_ids": [source]});
        self.push(
            at,
            "facts",
            "facts.retrieved",
            workflow(),
            Value::Null,
            data,
        );
        self.facts.push(Fact {
            source,
            text: text.to_owned(),
        });
    }

    fn conclusion(&mut self, findings: &Findings) {
        let (status, reason) = conclusion(self.run, findings);
        let last = self.run.messages.len().saturating_sub(1);
        self.push(
            last,
            "concluded",
            "run.concluded",
            workflow(),
            Value::Null,
            json!({"status": status, "stop_reason": reason}),
        );
    }
}

fn workflow() -> Value {
    json!({"id": "airline-workflow", "name": "Airline workflow", "role": "workflow", "kind": "service"})
}

fn agent() -> Value {
    json!({"id": "airline-agent", "name": "Airline agent", "role": "agent", "kind": "agent"})
}

/// An object without its members that are `null`: absent says the same.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::judge;
    use crate::transcript::sample;

    fn posted(lines: &[(&str, &str)]) -> Result<Vec<Value>, String> {
        let run = sample::run(lines)?;
        Ok(events(&run, &judge(&run))
            .into_iter()
            .map(|event| event.body)
            .collect())
    }

    fn of<'a>(events: &'a [Value], kind: &str) -> Result<&'a Value, String> {
        events
            .iter()
            .find(|event| event["type"] == kind)
            .ok_or_else(|| format!("no {kind}"))
    }

    const READ: &str = "get_reservation_details {\"reservation_id\":\"ABC123\"} => {\"reservation_id\":\"ABC123\"}";
    const CANCEL: &str =
        "cancel_reservation {\"reservation_id\":\"ABC123\"} => {\"reservation_id\":\"ABC123\"}";
    const ASK: &str = "- **Reservation:** ABC123\nPlease confirm if you would like to proceed with the cancellation.";

    #[test]
    fn an_approval_is_bound_to_the_draft_that_was_shown() -> Result<(), String> {
        let events = posted(&[
            ("user", "Cancel"),
            ("call", READ),
            ("assistant", ASK),
            ("user", "Yes."),
            ("call", CANCEL),
        ])?;
        let (draft, approval, action) = (
            of(&events, "recommendation.drafted")?,
            of(&events, "approval.decided")?,
            of(&events, "action.performed")?,
        );
        assert_eq!(draft["data"]["draft_digest"], digest(ASK));
        assert_eq!(draft["data"]["recommended_action"], "cancel_reservation");
        assert_eq!(
            approval["data"]["draft_digest"],
            draft["data"]["draft_digest"]
        );
        assert_eq!(approval["data"]["reason"], "Yes.");
        assert_eq!(approval["id"], "airline-7-1-m005-approval");
        for event in [approval, action] {
            assert_eq!(event["recommendation_id"], draft["recommendation_id"]);
        }
        assert_eq!(action["approval_id"], approval["approval_id"]);
        assert_eq!(action["data"]["status"], "succeeded");
        let cited = &draft["data"]["claims"][0]["citations"][0];
        assert_eq!(cited["source_id"], "get_reservation_details:ABC123");
        assert_eq!(
            cited["evidence_id"],
            of(&events, "evidence.linked")?["data"]["evidence"][0]["evidence_id"]
        );
        assert_eq!(
            cited["digest"],
            of(&events, "facts.retrieved")?["data"]["candidates"][0]["digest"]
        );
        Ok(())
    }

    #[test]
    fn an_action_without_a_proposal_is_a_recommendation_of_its_own() -> Result<(), String> {
        let failed = CANCEL.replace("=> {", "=> Error: {");
        let events = posted(&[("user", "Cancel ABC123"), ("call", &failed)])?;
        let action = of(&events, "action.performed")?;
        assert_eq!(action["recommendation_id"], "airline-7-1-m002");
        assert!(action.get("approval_id").is_none());
        assert_eq!(action["data"]["status"], "failed");
        assert_eq!(
            of(&events, "tool.executed")?["data"]["error_type"],
            "tool_error"
        );
        assert!(of(&events, "approval.decided").is_err());
        assert_eq!(of(&events, "run.concluded")?["data"]["status"], "failed");
        Ok(())
    }

    #[test]
    fn nothing_is_invented() -> Result<(), String> {
        let events = posted(&[
            ("user", "Hi"),
            ("assistant", "I cannot do that."),
            ("user", "Bye ###STOP###"),
        ])?;
        let kinds: Vec<&str> = events
            .iter()
            .filter_map(|event| event["type"].as_str())
            .collect();
        assert_eq!(
            kinds,
            ["policy.retrieved", "request.received", "run.concluded"]
        );
        assert_eq!(of(&events, "run.concluded")?["data"]["status"], "refused");
        assert!(
            !events
                .iter()
                .any(|event| event.to_string().contains("reward"))
        );
        Ok(())
    }

    #[test]
    fn a_run_that_forgets_what_was_approved_did_not_refuse() -> Result<(), String> {
        let said = [
            ("user", "Cancel, please"),
            ("assistant", "I cannot cancel XYZ789."),
            ("user", "The other one"),
            ("assistant", ASK),
            ("user", "Yes."),
        ];
        let events = posted(&said)?;
        assert_eq!(of(&events, "run.concluded")?["data"]["status"], "failed");
        let events = posted(said.get(..2).ok_or("too short")?)?;
        assert_eq!(of(&events, "run.concluded")?["data"]["status"], "refused");
        Ok(())
    }

    #[test]
    fn times_do_not_go_back_and_ids_are_unique() -> Result<(), String> {
        let events = posted(&[
            ("user", "Cancel"),
            ("call", READ),
            ("assistant", ASK),
            ("user", "Yes."),
            ("call", CANCEL),
        ])?;
        let times: Vec<&str> = events
            .iter()
            .filter_map(|event| event["time"].as_str())
            .collect();
        assert!(times.is_sorted());
        assert_eq!(times.first(), Some(&"2024-05-15T20:00:00Z"));
        let ids: BTreeSet<String> = events.iter().map(|event| event["id"].to_string()).collect();
        assert_eq!(ids.len(), events.len());
        assert_eq!(time(4 * 60 + 1), "2024-05-16T00:01:00Z");
        Ok(())
    }

    #[test]
    fn an_action_tells_what_was_paid_by_it() -> Result<(), String> {
        let paid = "{\"payment_id\":\"card_1\",\"amount\":50}";
        let charged = "{\"payment_id\":\"card_1\",\"amount\":1200}";
        let read = READ.replace("\"}", &format!("\",\"payment_history\":[{paid}]}}"));
        let read = read.replacen(&format!(",\"payment_history\":[{paid}]"), "", 1);
        let cancel = CANCEL.replace(
            "=> {\"reservation_id\":\"ABC123\"",
            &format!("=> {{\"reservation_id\":\"ABC123\",\"payment_history\":[{paid},{charged}]"),
        );
        let events = posted(&[
            ("user", "Cancel ABC123"),
            ("call", &read),
            ("call", &cancel),
        ])?;
        let effects = &of(&events, "action.performed")?["data"]["side_effects"];
        assert_eq!(
            *effects,
            json!(["reservation:ABC123", "payment:card_1:1200"])
        );
        Ok(())
    }

    #[test]
    fn a_request_is_a_message() -> Result<(), String> {
        let run = sample::run(&[
            ("user", "Cancel"),
            ("assistant", ASK),
            ("user", "Yes."),
            ("call", CANCEL),
        ])?;
        let requests = requests(events(&run, &judge(&run)));
        let sizes: Vec<usize> = requests.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 1, 2, 1, 1, 3]);
        let action = action_of(&run, 4);
        assert_eq!(action.as_deref(), Some("airline-7-1-m005-action"));
        assert!(
            requests
                .iter()
                .flatten()
                .any(|event| event["id"].as_str() == action.as_deref())
        );
        assert_eq!(action_of(&run, 3), None);
        Ok(())
    }
}
