//! Authorization: was it allowed, by a decision that is recorded, about this case, before it was done?

use super::{Judging, Weight, about};
use crate::judge::unit::UnitKind;
use crate::judge::view::{Known, View, member_arg, term};
use crate::ledger::content::Item;

/// Judges all authorizations.
pub(super) fn judge(judging: &mut Judging<'_, '_>) {
    let unit = judging.unit;
    for view in unit.members.iter().copied() {
        match view.kind() {
            "recommendation.drafted" => draft(judging, view),
            "action.performed" if view.text("/data/status") != Some("cancelled") => {
                action(judging, view)
            }
            "ai.audit" => audit(judging, view),
            "tool.executed" => tool(judging, view),
            "source.accessed" => cited_denial(judging, view, "/data/authorization_decision_id"),
            "policy.retrieved" | "facts.retrieved" => selected(judging, view),
            "authorization.decided" => other_case(judging, view),
            _ => {}
        }
    }
}

/// What a recorded id of a decision leads to.
enum Cited<'a> {
    /// No id is recorded.
    None,
    /// The decision, the latest with that id before the entry.
    Found(View<'a>),
    /// It is recorded only after the entry, or not at all.
    NotBefore,
    /// It cannot be told.
    Open,
}

fn cited<'a>(judging: &Judging<'a, '_>, id: Known<&str>, seq: u64) -> Cited<'a> {
    let id = match id {
        Known::Is(id) => id,
        Known::Absent => return Cited::None,
        Known::Hidden => return Cited::Open,
    };
    let before = || {
        judging
            .all
            .iter()
            .copied()
            .filter(|view| view.is("authorization.decided") && view.seq() < seq)
    };
    match before().rfind(|view| view.text("/data/decision_id") == Some(id)) {
        Some(view) => Cited::Found(view),
        None if before().any(|view| view.known("/data/decision_id").is_hidden()) => Cited::Open,
        None => Cited::NotBefore,
    }
}

/// The decisions about the case itself (not about a source or a tool) before `seq`.
fn about_case<'a>(judging: &Judging<'a, '_>, seq: u64) -> Vec<View<'a>> {
    let decided = judging.unit.of("authorization.decided").filter(|view| {
        view.seq() < seq
            && matches!(
                view.known("/data/resource/kind"),
                Known::Is("case") | Known::Absent | Known::Hidden
            )
    });
    let decided: Vec<View<'a>> = decided.collect();
    // Somebody else's denied attempt to open the case says nothing about this run. A decision that names a service
    // as its actor names who decided, not whom it is about.
    let people: Vec<&str> = judging
        .unit
        .members
        .iter()
        .filter(|view| view.is("request.received") || view.is("recommendation.drafted"))
        .flat_map(|view| [view.text("/actor/id"), view.text("/actor/on_behalf_of")])
        .flatten()
        .collect();
    let ours = |view: &View<'a>| match view.text("/actor/id") {
        Some(id) => people.contains(&id) || view.text("/actor/kind") == Some("service"),
        None => true,
    };
    let filtered: Vec<View<'a>> = decided.iter().copied().filter(ours).collect();
    if filtered.is_empty() {
        decided
    } else {
        filtered
    }
}

fn draft<'a>(judging: &mut Judging<'a, '_>, draft: View<'a>) {
    // A denial of the very action that is recommended is judged where the action is performed.
    let recommended = draft.text("/data/recommended_action");
    let decided = about_case(judging, draft.seq());
    let decided: Vec<View<'a>> = decided
        .into_iter()
        .filter(|view| recommended.is_none() || view.text("/data/action") != recommended)
        .collect();
    match decided.last() {
        Some(decision) => denied(judging, *decision, draft, "did.drafted"),
        None => none(judging, draft, "did.drafted"),
    }
}

fn action<'a>(judging: &mut Judging<'a, '_>, act: View<'a>) {
    match cited(
        judging,
        act.known("/data/authorization_decision_id"),
        act.seq(),
    ) {
        Cited::Found(decision) => denied(judging, decision, act, "did.performed"),
        Cited::NotBefore => none(judging, act, "did.performed"),
        Cited::Open => {
            judging.leave_open("authorization.denied");
            judging.leave_open("authorization.none");
        }
        Cited::None => {
            let decided = about_case(judging, act.seq());
            let code = act.text("/data/action");
            let same = decided
                .iter()
                .rfind(|view| code.is_some() && view.text("/data/action") == code);
            match same.or(decided.last()).copied() {
                Some(decision) => denied(judging, decision, act, "did.performed"),
                None => none(judging, act, "did.performed"),
            }
        }
    }
}

fn audit<'a>(judging: &mut Judging<'a, '_>, audit: View<'a>) {
    match cited(
        judging,
        audit.known("/data/authorization_decision_id"),
        audit.seq(),
    ) {
        // The flat event reports denials too; only an answer that was given is a defect.
        Cited::Found(decision)
            if !matches!(
                audit.text("/data/answer_status"),
                Some("refused" | "denied")
            ) =>
        {
            denied(judging, decision, audit, "did.answered");
        }
        Cited::Open => judging.leave_open("authorization.denied"),
        _ => {}
    }
}

fn tool<'a>(judging: &mut Judging<'a, '_>, call: View<'a>) {
    if matches!(call.text("/data/status"), Some("denied" | "failed")) {
        return;
    }
    if call.text("/data/authorization_result") == Some("denied") {
        let say = about("authorization.denied")
            .on([call])
            .arg("what", term("did.executed"));
        judging.find("authorization.denied", Weight::Full, say);
        return;
    }
    cited_denial(judging, call, "/data/authorization_decision_id");
}

/// Reading a source, or calling a tool, that the decision it names denied.
fn cited_denial<'a>(judging: &mut Judging<'a, '_>, view: View<'a>, pointer: &str) {
    match cited(judging, view.known(pointer), view.seq()) {
        Cited::Found(decision) => denied(
            judging,
            decision,
            view,
            if view.is("tool.executed") {
                "did.executed"
            } else {
                "did.read"
            },
        ),
        Cited::Open => judging.leave_open("authorization.denied"),
        Cited::None | Cited::NotBefore => {}
    }
}

/// Sources that were given to the model though their decision denied it.
fn selected<'a>(judging: &mut Judging<'a, '_>, view: View<'a>) {
    let selected = view.texts("/data/selected_ids");
    for item in view.items("/data/candidates").is().unwrap_or_default() {
        let Item::Shown(candidate) = &item else {
            continue;
        };
        let chosen = match (&selected, candidate.text("source_id")) {
            (Known::Is(ids), Some(id)) => ids.contains(&id),
            _ => false,
        };
        let id = candidate
            .text("authorization_decision_id")
            .map_or(Known::Absent, Known::Is);
        if !chosen {
            continue;
        }
        if let Cited::Found(decision) = cited(judging, id, view.seq())
            && decision.text("/data/result") == Some("denied")
        {
            let say = about("authorization.denied").on([decision, view]).at(
                "decision",
                decision,
                "/data/decision_id",
            );
            let say = say
                .opt("source", member_arg(candidate, "source_id"))
                .arg("what", term("did.read"));
            judging.find("authorization.denied", Weight::Full, say);
        }
    }
}

fn denied<'a>(judging: &mut Judging<'a, '_>, decision: View<'a>, then: View<'a>, what: &str) {
    match decision.known("/data/result") {
        Known::Is("denied") => {
            let say = about("authorization.denied").on([decision, then]).at(
                "decision",
                decision,
                "/data/decision_id",
            );
            let say = say
                .arg("what", term(what))
                .member("denied_at", decision, "recorded");
            judging.find("authorization.denied", Weight::Full, say);
        }
        Known::Hidden => judging.leave_open("authorization.denied"),
        Known::Is(_) | Known::Absent => {}
    }
}

fn none<'a>(judging: &mut Judging<'a, '_>, then: View<'a>, what: &str) {
    if judging.unit.kind == UnitKind::Run {
        return;
    }
    if judging.unit.may_have("authorization.decided") {
        judging.leave_open("authorization.none");
        return;
    }
    let say = about("authorization.none").on([then]).at(
        "decision",
        then,
        "/data/authorization_decision_id",
    );
    judging.find_once(
        "authorization.none",
        Weight::Full,
        say.arg("what", term(what)),
    );
}

fn other_case<'a>(judging: &mut Judging<'a, '_>, decision: View<'a>) {
    let concerns = (
        decision.known("/data/resource/kind"),
        decision.known("/data/resource/id"),
        decision.known("/case_id"),
    );
    match concerns {
        (Known::Is("case"), Known::Is(resource), Known::Is(case)) if resource != case => {
            let say = about("authorization.other_case").on([decision]).at(
                "decision",
                decision,
                "/data/decision_id",
            );
            let say = say
                .need("resource", decision, "/data/resource/id")
                .need("case", decision, "/case_id");
            judging.find("authorization.other_case", Weight::Full, say);
        }
        (Known::Is("case") | Known::Hidden, Known::Hidden, _)
        | (Known::Is("case"), _, Known::Hidden) => {
            judging.leave_open("authorization.other_case");
        }
        _ => {}
    }
}
