//! The sections after the summary: reasons, authority, basis, checks, approval, action, outcome.

use super::Parts;
use crate::judge::findings::Sources;
use crate::judge::timeline::each;
use crate::judge::unit::{Unit, UnitKind};
use crate::judge::verdict::Told;
use crate::judge::view::{Known, Say, See, View, digest_of, item_arg, member_arg, say, term};
use crate::judge::{Arg, Section};
use crate::ledger::content::{Datum, Item};

pub(super) fn sections(parts: &mut Parts, told: &Told<'_, '_>) {
    let unit = told.unit;
    if unit.kind == UnitKind::Loose {
        actions(parts, unit);
        return;
    }
    reasons(parts, unit);
    authority(parts, unit);
    basis(parts, unit);
    checks(parts, unit);
    if matches!(unit.kind, UnitKind::Recommendation | UnitKind::Acted) {
        approval(parts, told);
    }
    actions(parts, unit);
    outcomes(parts, &unit.members);
}

/// What came of it later.
pub(super) fn outcomes(parts: &mut Parts, views: &[View<'_>]) {
    for view in views
        .iter()
        .copied()
        .filter(|view| view.is("outcome.recorded"))
    {
        let say = say("outcome.recorded")
            .on([view])
            .actor(view)
            .need("kind", view, "/data/kind");
        let say = say
            .at("detail", view, "/data/detail")
            .member("occurred", view, "occurred");
        parts.add(Section::Outcome, say.done());
    }
}

/// The reasons in their order, each with what it rests on.
fn reasons(parts: &mut Parts, unit: &Unit<'_>) {
    let Some(draft) = unit.draft() else { return };
    let sources = Sources::before(unit, draft.seq());
    let mut add = |say: Say| parts.add(Section::Reasons, say.done());
    match draft.items("/data/claims") {
        Known::Is(claims) if !claims.is_empty() => {
            for (at, item) in claims.iter().enumerate() {
                reason(&mut add, draft, at + 1, item, &sources);
            }
        }
        Known::Hidden => add(say("reasons.not_shown").on([draft])),
        _ => add(say("reasons.none").on([draft])),
    }
}

fn reason<'a>(
    add: &mut impl FnMut(Say),
    draft: View<'a>,
    rank: usize,
    item: &Item<'a>,
    sources: &Sources<'a>,
) {
    let Item::Shown(claim) = item else {
        return;
    };
    // The words of the reason stand in the summary.
    let citations = draft.items_of(claim, "citations");
    if citations.is_empty() {
        add(say("reasons.uncited").on([draft]).number("rank", rank));
    }
    for citation in &citations {
        let start = say("reasons.citation").number("rank", rank);
        match citation {
            Item::Shown(citation) => {
                let found = sources
                    .cited(citation)
                    .into_iter()
                    .map(|source| source.view);
                add(cite(start.on([draft]).on(found), citation)
                    .opt("title", sources.title(citation)));
            }
            Item::Hidden(_) => add(start.on([draft]).arg("source", item_arg(citation))),
        }
    }
}

fn cite(say: Say, citation: &Datum<'_>) -> Say {
    let source = member_arg(citation, "source_id").or_else(|| member_arg(citation, "evidence_id"));
    let say = say.arg("source", source.unwrap_or_else(|| term("not_recorded")));
    let evidence = citation
        .get("source_id")
        .and_then(|_| member_arg(citation, "evidence_id"));
    let say = say
        .opt("evidence", evidence)
        .opt("version", member_arg(citation, "version"));
    say.opt("locator", member_arg(citation, "locator"))
        .opt("quotation", member_arg(citation, "quotation"))
}

/// Who asked, in what role, and under what authority.
fn authority(parts: &mut Parts, unit: &Unit<'_>) {
    let mut add = |say: Say| parts.add(Section::Authority, say.done());
    let mut asked = false;
    for request in unit.of("request.received") {
        asked = true;
        let say = say("authority.request")
            .on([request])
            .actor(request)
            .member("occurred", request, "occurred");
        let say = say
            .at("method", request, "/actor/authentication_method")
            .at("behalf", request, "/actor/on_behalf_of");
        add(say
            .at("channel", request, "/data/channel")
            .at("question", request, "/data/question"));
    }
    if !asked && !unit.may_have("request.received") && unit.kind != UnitKind::Audit {
        add(say("authority.no_request").on(unit.anchor()));
    }
    let mut decided = false;
    for decision in unit.of("authorization.decided") {
        decided = true;
        let say =
            say("authority.decision")
                .on([decision])
                .at("decision", decision, "/data/decision_id");
        let say =
            say.need("result", decision, "/data/result")
                .at("action", decision, "/data/action");
        let say = say.at("kind", decision, "/data/resource/kind").at(
            "resource",
            decision,
            "/data/resource/id",
        );
        let say = say.at("policy", decision, "/data/policy_id").at(
            "revision",
            decision,
            "/data/policy_revision",
        );
        add(say.at("reason", decision, "/data/reason").at(
            "obligations",
            decision,
            "/data/obligations",
        ));
    }
    for audit in unit.of("ai.audit") {
        if audit.has("/data/authorization_decision_id") == Known::Is(()) {
            decided = true;
            add(say("authority.audit").on([audit]).at(
                "decision",
                audit,
                "/data/authorization_decision_id",
            ));
        }
    }
    if !decided && !unit.may_have("authorization.decided") {
        add(say("authority.no_decision").on(unit.anchor()));
    }
}

/// What was looked up, selected and linked.
fn basis(parts: &mut Parts, unit: &Unit<'_>) {
    let mut add = |say: Say| parts.add(Section::Basis, say.done());
    let mut any = false;
    for view in unit.members.iter().copied() {
        match view.kind() {
            "policy.retrieved" => retrieved(&mut add, say("basis.policy"), view),
            "facts.retrieved" => retrieved(&mut add, say("basis.facts"), view),
            "source.accessed" => {
                let say = say("basis.accessed")
                    .on([view])
                    .need("source", view, "/data/source_id");
                add(say.at("version", view, "/data/version").at(
                    "decision",
                    view,
                    "/data/authorization_decision_id",
                ));
            }
            "evidence.linked" => {
                for item in view.items("/data/evidence").is().unwrap_or_default() {
                    evidence(&mut add, view, &item);
                }
            }
            "tool.executed" => {
                let say = say("basis.tool")
                    .on([view])
                    .need("tool", view, "/data/tool")
                    .at("version", view, "/data/tool_version");
                let say = say
                    .at("status", view, "/data/status")
                    .at("side_effects", view, "/data/side_effect_level")
                    .at("arguments", view, "/data/arguments_summary");
                add(say.at("result", view, "/data/result_summary"));
            }
            "ai.audit" => {
                let say =
                    say("basis.audit")
                        .on([view])
                        .at("selected", view, "/data/selected_source_ids");
                add(say.at("cited", view, "/data/cited_source_ids").at(
                    "indexes",
                    view,
                    "/data/index_versions",
                ));
            }
            _ => continue,
        }
        any = true;
    }
    if !any && unit.unclear.is_empty() && unit.kind == UnitKind::Recommendation {
        add(say("basis.none").on(unit.anchor()));
    }
}

fn retrieved(add: &mut impl FnMut(Say), start: Say, view: View<'_>) {
    let mut start = start.on([view]).at("index", view, "/data/index").at(
        "index_version",
        view,
        "/data/index_version",
    );
    start =
        start
            .at("mode", view, "/data/retrieval_mode")
            .at("selected", view, "/data/selected_ids");
    let titles = each(view, "/data/candidates", "source_id");
    if let Known::Is(items) = view.items("/data/candidates") {
        start = start.number("found", items.len());
        if !titles.is_empty() {
            start = start.arg("candidates", Arg::List { list: titles });
        }
    }
    add(start);
}

fn evidence(add: &mut impl FnMut(Say), view: View<'_>, item: &Item<'_>) {
    let start = say("basis.evidence").on([view]);
    let Item::Shown(piece) = item else {
        add(start.arg("evidence", item_arg(item)));
        return;
    };
    let id = member_arg(piece, "evidence_id").unwrap_or_else(|| term("not_recorded"));
    let start = start
        .arg("evidence", id)
        .opt("source", member_arg(piece, "source_id"));
    let start = start
        .opt("version", member_arg(piece, "version"))
        .opt("locator", member_arg(piece, "locator"));
    add(start.opt("quotation", member_arg(piece, "quotation")));
}

/// How the draft was checked, and what was at stake.
fn checks(parts: &mut Parts, unit: &Unit<'_>) {
    let mut add = |say: Say| parts.add(Section::Checks, say.done());
    let mut any = false;
    for view in unit.members.iter().copied() {
        match view.kind() {
            "validation.completed" => validation(&mut add, view),
            "guardrail.fired" => {
                let say = say("checks.guardrail")
                    .on([view])
                    .need("guard", view, "/data/guard")
                    .at("stage", view, "/data/stage");
                let say = say.at("version", view, "/data/guard_version").need(
                    "result",
                    view,
                    "/data/result",
                );
                add(say.at("reason", view, "/data/reason"));
            }
            "risk.classified" => {
                let say = say("checks.risk")
                    .on([view])
                    .need("level", view, "/data/level")
                    .at("factors", view, "/data/factors");
                add(say.at("classifier", view, "/data/classifier_version"));
            }
            _ => continue,
        }
        any = true;
    }
    if !any && unit.unclear.is_empty() && unit.kind == UnitKind::Recommendation {
        add(say("checks.none").on(unit.anchor()));
    }
}

fn validation(add: &mut impl FnMut(Say), view: View<'_>) {
    for item in view.items("/data/checks").is().unwrap_or_default() {
        let start = say("checks.check").on([view]);
        match &item {
            Item::Shown(check) => {
                let name = member_arg(check, "name").unwrap_or_else(|| term("not_recorded"));
                let outcome = member_arg(check, "outcome").unwrap_or_else(|| term("not_recorded"));
                let start = start
                    .arg("check", name)
                    .arg("outcome", outcome)
                    .opt("subject", member_arg(check, "subject"));
                add(start
                    .opt("version", member_arg(check, "validator_version"))
                    .opt("detail", member_arg(check, "detail")));
            }
            Item::Hidden(_) => add(start
                .arg("check", item_arg(&item))
                .arg("outcome", item_arg(&item))),
        }
    }
    if view
        .texts("/data/unsupported_claims")
        .is()
        .is_some_and(|claims| !claims.is_empty())
    {
        add(say("checks.unsupported")
            .on([view])
            .at("claims", view, "/data/unsupported_claims"));
    }
    if view.has("/data/repairs") == Known::Is(()) {
        add(say("checks.repairs")
            .on([view])
            .at("repairs", view, "/data/repairs"));
    }
}

/// What approval was asked for, and who decided on what.
fn approval(parts: &mut Parts, told: &Told<'_, '_>) {
    let unit = told.unit;
    let mut add = |say: Say| parts.add(Section::Approval, say.done());
    for view in unit.of("approval.required") {
        let waived = matches!(view.see("/data/required"), See::Shown(d) if d.value == false);
        let start = if waived {
            say("approval.not_required")
        } else {
            say("approval.required")
        };
        let mut start = start.on([view]).at("policy", view, "/data/policy_id").at(
            "revision",
            view,
            "/data/policy_revision",
        );
        if !waived {
            start = start
                .at("quorum", view, "/data/quorum")
                .at("roles", view, "/data/roles");
            start = start.at("expires", view, "/data/expires");
            start = match view.see("/data/separation_of_duties") {
                See::Shown(set) if set.value == true => {
                    start.arg("separation", term("independent"))
                }
                See::Shown(set) if set.value == false => {
                    start.arg("separation", term("not_independent"))
                }
                _ => start.at("separation", view, "/data/separation_of_duties"),
            };
        }
        add(start);
    }
    let mut any = false;
    for view in unit.of("approval.decided") {
        any = true;
        let start =
            say("approval.decided")
                .on([view])
                .actor(view)
                .need("decision", view, "/data/decision");
        let start =
            start
                .member("decided_at", view, "recorded")
                .at("meaning", view, "/data/meaning");
        add(start
            .at("reason", view, "/data/reason")
            .at("behalf", view, "/actor/on_behalf_of"));
        seen(&mut add, unit, view);
    }
    if !any && !unit.may_have("approval.decided") && unit.proper_end().is_absent() {
        add(say("approval.none").on(unit.anchor()));
    }
}

/// Which text the approver saw.
fn seen<'a>(add: &mut impl FnMut(Say), unit: &Unit<'a>, approval: View<'a>) {
    match approval.known("/data/draft_digest") {
        Known::Absent => add(say("approval.saw_unrecorded").on([approval])),
        Known::Hidden => {}
        Known::Is(digest) => {
            let same = |view: &View<'a>| {
                let theirs = match view.kind() {
                    "recommendation.drafted" => {
                        view.content_digest("/data/draft", "/data/draft_digest")
                    }
                    _ => match view.text("/data/text") {
                        Some(text) => Known::Is(digest_of(text)),
                        None => view.content_digest("/data/text", "/data/digest"),
                    },
                };
                theirs == Known::Is(digest.to_owned())
            };
            let texts = unit
                .drafts
                .iter()
                .copied()
                .chain(unit.of("output.finalized"));
            let start = match texts.into_iter().find(same) {
                Some(text) => {
                    let start = say("approval.saw")
                        .on([approval, text])
                        .member("position", text, "seq");
                    let at = if text.is("recommendation.drafted") {
                        "/data/draft"
                    } else {
                        "/data/text"
                    };
                    // Words that are not those of the digest were not approved.
                    match text.known(at) {
                        Known::Is(words) if digest_of(words) != digest => start,
                        _ if approval.text("/data/decision") == Some("approved") => {
                            start.at("approved", text, at)
                        }
                        _ => start.at("text", text, at),
                    }
                }
                None => say("approval.saw_other").on([approval]),
            };
            add(start.at("digest", approval, "/data/draft_digest"));
        }
    }
}

/// What was handed out and done.
fn actions(parts: &mut Parts, unit: &Unit<'_>) {
    let mut add = |say: Say| parts.add(Section::Action, say.done());
    for view in unit.members.iter().copied() {
        match view.kind() {
            "output.finalized" => {
                let start = say("action.output")
                    .on([view])
                    .actor(view)
                    .member("done_at", view, "recorded");
                add(start
                    .at("digest", view, "/data/digest")
                    .at("text", view, "/data/text")
                    .at("caveats", view, "/data/caveats"));
                for item in view.items("/data/changes").is().unwrap_or_default() {
                    if let Item::Shown(change) = &item {
                        let start = say("action.change")
                            .on([view])
                            .opt("what", member_arg(change, "what"));
                        add(start.opt("by", member_arg(change, "by")));
                    }
                }
            }
            "action.performed" => {
                let start = say("action.performed").on([view]).actor(view).need(
                    "action",
                    view,
                    "/data/action",
                );
                let start = start
                    .need("status", view, "/data/status")
                    .member("done_at", view, "recorded");
                add(start.at("effects", view, "/data/side_effects").at(
                    "error",
                    view,
                    "/data/error",
                ));
            }
            "run.concluded" => {
                let start = say("action.run")
                    .on([view])
                    .need("status", view, "/data/status");
                add(start
                    .at("reason", view, "/data/stop_reason")
                    .at("run", view, "/run_id"));
            }
            _ => {}
        }
    }
}
