//! The summary: the role of the AI, the main elements of the decision, and whether it was proper.

use super::{Parts, level_term};
use crate::judge::findings::{Sources, is_person};
use crate::judge::unit::{UnitKind, by_agent};
use crate::judge::verdict::Told;
use crate::judge::view::{Known, Say, See, View, item_arg, member_arg, say, term};
use crate::judge::{Finding, Section};
use crate::ledger::content::Item;

/// Controls whose failure is told in the summary in words of its own, gravest first, and what those words show.
const TOLD: [(&str, &str, &[&str]); 9] = [
    ("authorization.denied", "summary.denied", &["what"]),
    ("approval.absent", "summary.approval_absent", &["how"]),
    ("approval.after_action", "summary.approval_late", &["how"]),
    ("approval.rejected", "summary.approval_rejected", &["how"]),
    (
        "approval.other_draft",
        "summary.approval_other_draft",
        &["how"],
    ),
    ("approval.self", "summary.approval_self", &[]),
    (
        "approval.expired",
        "summary.approval_expired",
        &["how", "expires"],
    ),
    ("approval.quorum", "summary.approval_quorum", &["how"]),
    ("output.not_approved", "summary.output_not_approved", &[]),
];

pub(super) fn summary(parts: &mut Parts, told: &Told<'_, '_>) {
    let mut add = |say: Say| parts.add(Section::Summary, say.done());
    match told.unit.kind {
        UnitKind::Recommendation => {
            recommendation(told, &mut add);
            decision(told, &mut add);
            done(told, &mut add);
        }
        UnitKind::Audit => audits(told, &mut add),
        UnitKind::Run => {}
        UnitKind::Acted => {
            acted(told, &mut add);
            done(told, &mut add);
        }
        UnitKind::Loose => add(say("summary.loose").on(told.unit.members.iter().copied())),
    }
    if let Known::Is(end) = told.unit.proper_end() {
        let say = match end.text("/data/status") {
            Some("refused") => say("summary.refused"),
            Some("escalated") => say("summary.escalated"),
            _ => say("summary.insufficient_evidence"),
        };
        add(say
            .on([end])
            .at("reason", end, "/data/stop_reason")
            .member("ended_at", end, "occurred"));
    }
    for (code, template, args) in TOLD {
        if let Some(finding) = told
            .outcome
            .findings
            .iter()
            .find(|finding| finding.code == code)
        {
            let mut sentence = finding.sentence.clone();
            sentence.template = template.to_owned();
            sentence
                .args
                .retain(|name, _| args.contains(&name.as_str()));
            parts.add(Section::Summary, sentence);
        }
    }
}

/// How many defects there are, of those that the profile looks for.
pub(super) fn defects(parts: &mut Parts, views: &[View<'_>], findings: &[&Finding], open: bool) {
    let on = |entries: Vec<u64>| {
        views
            .iter()
            .copied()
            .filter(move |view| entries.contains(&view.seq()))
    };
    let entries: Vec<u64> = findings
        .iter()
        .flat_map(|finding| finding.sentence.entries.iter().copied())
        .collect();
    let say = if !findings.is_empty() {
        say("summary.defects").on(on(entries)).count(findings.len())
    } else if open {
        say("summary.undecided").on(views.iter().copied())
    } else {
        say("summary.no_defects").on(views.iter().copied())
    };
    parts.add(Section::Summary, say.done());
}

/// What the AI put forward.
fn recommendation(told: &Told<'_, '_>, add: &mut impl FnMut(Say)) {
    let unit = told.unit;
    let Some(draft) = unit.draft() else {
        let mut none = say("summary.no_draft").on(unit.members.iter().copied());
        if let Some(named) = unit.naming() {
            none = none.at("recommendation", named, "/recommendation_id");
        }
        add(none);
        return;
    };
    let say_it =
        say("summary.recommended")
            .on([draft])
            .at("recommendation", draft, "/recommendation_id");
    let say_it = match draft.see("/data/recommended_action") {
        See::Absent => say_it,
        _ => say_it.need("action", draft, "/data/recommended_action"),
    };
    let say_it = say_it.at("model", draft, "/data/model");
    add(say_it
        .at("version", draft, "/data/model_version")
        .at("agent", draft, "/data/agent"));
    if unit.drafts.len() > 1 {
        add(say("summary.drafts")
            .on(unit.drafts.iter().copied())
            .count(unit.drafts.len()));
    }
    if let Known::Is(claims) = draft.items("/data/claims")
        && !claims.is_empty()
    {
        add(say("summary.reasons").on([draft]).count(claims.len()));
    }
    let sources = Sources::before(unit, draft.seq());
    for (at, item) in draft
        .items("/data/claims")
        .is()
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let start = say("summary.reason").on([draft]).number("rank", at + 1);
        match item {
            Item::Shown(claim) => {
                let cited = draft.items_of(claim, "citations");
                let cited = cited.iter().filter_map(|citation| match citation {
                    Item::Shown(citation) => Some(sources.cited(citation)),
                    Item::Hidden(_) => None,
                });
                let words = member_arg(claim, "text").unwrap_or_else(|| term("not_recorded"));
                add(start
                    .on(cited.flatten().map(|source| source.view))
                    .arg("claim", words));
            }
            Item::Hidden(_) => add(start.arg("claim", item_arg(item))),
        }
    }
    if let Known::Is(level) = told.risk {
        let on = unit.of("risk.classified");
        add(say("summary.risk").on(on).arg("level", level_term(level)));
    }
}

/// Who decided, as far as it is recorded, and whether that came before anything was done.
fn decision(told: &Told<'_, '_>, add: &mut impl FnMut(Say)) {
    let unit = told.unit;
    let Some(last) = unit.of("approval.decided").next_back() else {
        let act = unit
            .members
            .iter()
            .copied()
            .find(|view| view.is("action.performed") || view.is("output.finalized"));
        if unit.may_have("approval.decided") || !unit.proper_end().is_absent() {
            return;
        }
        match (told.approval_needed, act) {
            (Known::Is(()), None) => add(say("summary.awaiting").on(unit.anchor())),
            // With an act, the finding is told.
            (Known::Is(()) | Known::Hidden, _) => {}
            (Known::Absent, _) => add(say("summary.approval_unneeded").on(unit
                .of("approval.required")
                .chain(unit.of("risk.classified"))
                .chain(unit.anchor()))),
        }
        return;
    };
    let act = unit
        .of("action.performed")
        .find(|view| view.text("/data/status") != Some("cancelled"));
    let late = act.is_some_and(|act| act.seq() < last.seq());
    let start = match (is_person(last), late) {
        (true, false) => say("summary.decided"),
        (true, true) => say("summary.decided_late"),
        (false, _) => say("summary.decided_by_machine").at("kind", last, "/actor/kind"),
    };
    let start = start
        .on([last])
        .actor(last)
        .need("decision", last, "/data/decision");
    add(start.member("decided_at", last, "recorded"));
}

/// What was done.
fn done(told: &Told<'_, '_>, add: &mut impl FnMut(Say)) {
    let unit = told.unit;
    let mut acted = false;
    for act in unit.of("action.performed") {
        acted = true;
        let start = if by_agent(act) == Known::Is(()) {
            say("summary.action_by_agent").actor(act)
        } else {
            say("summary.action")
        };
        let say = start.on([act]).need("action", act, "/data/action");
        add(say
            .at("status", act, "/data/status")
            .member("acted_at", act, "recorded"));
    }
    let decided = told.approval_needed.is_absent() || unit.of("approval.decided").next().is_some();
    if !acted && decided && unit.proper_end().is_absent() && !unit.may_have("action.performed") {
        add(say("summary.no_action").on(unit.anchor()));
    }
}

/// What was done without any recommendation.
fn acted(told: &Told<'_, '_>, add: &mut impl FnMut(Say)) {
    let members = || told.unit.members.iter().copied();
    let acts = || members().filter(|v| v.is("action.performed") || v.is("output.finalized"));
    let by_agent: Vec<View<'_>> = acts()
        .filter(|view| by_agent(*view) == Known::Is(()))
        .collect();
    if by_agent.is_empty() {
        let asked = told.unit.of("approval.required");
        add(say("summary.acted_under_approval").on(asked.chain(acts())));
    } else {
        add(say("summary.agent_acted").on(by_agent));
    }
}

/// Flat audit events.
fn audits(told: &Told<'_, '_>, add: &mut impl FnMut(Say)) {
    for audit in told.unit.of("ai.audit") {
        let say = say("summary.audit")
            .on([audit])
            .need("action", audit, "/data/action")
            .actor(audit);
        let say = say.need("status", audit, "/data/answer_status").at(
            "models",
            audit,
            "/data/model_versions",
        );
        add(say.member("answered_at", audit, "occurred"));
    }
    let audits = told.unit.of("ai.audit");
    add(say("summary.audit_only").on(audits));
}
