//! Elements of the record: is what the profile requires there?

use std::collections::BTreeSet;

use super::{Judging, Weight, approval_needed};
use crate::judge::unit::UnitKind;
use crate::judge::view::{Known, View, say};
use crate::ledger::content::Item;

/// Whether an element is there, and what the answer rests on.
struct Presence<'a> {
    there: Known<()>,
    on: Vec<View<'a>>,
}

/// Elements that a run without a recommendation cannot have.
const NOT_AFTER_PROPER_END: [&str; 14] = [
    "missing.policy_sources",
    "missing.case_facts",
    "missing.evidence",
    "missing.draft",
    "missing.citations",
    "missing.validation",
    "missing.risk",
    "missing.approval_requirement",
    "missing.approval_decision",
    "missing.final_output",
    "missing.action",
    "missing.model_version",
    "missing.prompt_version",
    "missing.agent_version",
];

/// Elements that the end of a run makes unnecessary even when a draft had been made before.
const NOT_AFTER_DRAFT_DROPPED: [&str; 6] = [
    "missing.citations",
    "missing.validation",
    "missing.approval_requirement",
    "missing.approval_decision",
    "missing.final_output",
    "missing.action",
];

type Look = for<'a> fn(&Judging<'a, '_>) -> Presence<'a>;

const ELEMENTS: [(&str, Look); 22] = [
    ("missing.identity", |j| actors(j, "/actor/id")),
    ("missing.role", |j| actors(j, "/actor/role")),
    ("missing.case", case),
    ("missing.trace", trace),
    ("missing.authorization", |j| {
        entry(j, &["authorization.decided"])
    }),
    ("missing.policy_sources", |j| {
        entry(j, &["policy.retrieved"])
    }),
    ("missing.case_facts", |j| entry(j, &["facts.retrieved"])),
    ("missing.evidence", evidence),
    ("missing.draft", draft),
    ("missing.citations", citations),
    ("missing.validation", validation),
    ("missing.risk", |j| {
        member(j, "risk.classified", &["/data/level"])
    }),
    ("missing.approval_requirement", |j| {
        entry(j, &["approval.required"])
    }),
    ("missing.approval_decision", |j| {
        member(j, "approval.decided", &["/data/decision"])
    }),
    ("missing.final_output", |j| {
        member(j, "output.finalized", &["/data/text", "/data/digest"])
    }),
    ("missing.action", |j| entry(j, &["action.performed"])),
    ("missing.model_version", |j| {
        of_draft(j, "/data/model_version", Some("/data/model_versions"))
    }),
    ("missing.prompt_version", |j| {
        of_draft(j, "/data/prompt_version", None)
    }),
    ("missing.index_version", index_version),
    ("missing.tool_version", tool_version),
    ("missing.agent_version", agent_version),
    ("missing.candidates", |j| {
        each(j, &retrievals(j), "/data/candidates")
    }),
];

/// Judges all elements.
pub(super) fn judge(judging: &mut Judging<'_, '_>) {
    for (code, look) in ELEMENTS {
        if !judging.wants(code) {
            continue;
        }
        let not_due = not_due(judging, code);
        if not_due == Known::Is(()) {
            continue;
        }
        let presence = look(judging);
        match presence.there {
            Known::Is(()) => {}
            Known::Hidden => judging.leave_open(code),
            Known::Absent if not_due.is_hidden() => judging.leave_open(code),
            Known::Absent => {
                let count = presence.on.len();
                let say = say(&format!("finding.{code}")).on(presence.on);
                let say = if COUNTED.contains(&code) {
                    say.count(count)
                } else {
                    say
                };
                judging.find(code, Weight::Full, say);
            }
        }
    }
}

/// Codes whose sentence says how many entries lack the element.
const COUNTED: [&str; 5] = [
    "missing.identity",
    "missing.role",
    "missing.index_version",
    "missing.tool_version",
    "missing.candidates",
];

/// Whether the course of things makes the element unnecessary.
fn not_due(judging: &Judging<'_, '_>, code: &str) -> Known<()> {
    let unit = judging.unit;
    let exempt: &[&str] = match unit.kind {
        UnitKind::Recommendation => &NOT_AFTER_DRAFT_DROPPED,
        _ => &NOT_AFTER_PROPER_END,
    };
    let end = match unit.proper_end() {
        Known::Is(_) if exempt.contains(&code) => return Known::Is(()),
        Known::Hidden if exempt.contains(&code) => Known::Hidden,
        _ => Known::Absent,
    };
    let other = match code {
        // A rejected recommendation ends with the rejection.
        "missing.final_output" | "missing.action" => {
            let last = unit
                .of("approval.decided")
                .next_back()
                .map(|view| view.known("/data/decision"));
            match last {
                Some(Known::Is("rejected")) => Known::Is(()),
                Some(Known::Hidden) => Known::Hidden,
                _ if unit.may_have("approval.decided") => Known::Hidden,
                _ => Known::Absent,
            }
        }
        // Nobody has to decide what nobody has to approve.
        "missing.approval_decision" if unit.of("approval.required").next().is_some() => {
            match approval_needed(unit, judging.rule) {
                Known::Is(()) => Known::Absent,
                Known::Absent => Known::Is(()),
                Known::Hidden => Known::Hidden,
            }
        }
        _ => Known::Absent,
    };
    if other.is_absent() { end } else { other }
}

/// Joins several answers: one that is not recorded decides, then one that is not shown.
fn together<'a>(parts: impl IntoIterator<Item = (View<'a>, Known<()>)>) -> Presence<'a> {
    let mut hidden = false;
    let mut lacking = Vec::new();
    for (view, there) in parts {
        match there {
            Known::Is(()) => {}
            Known::Absent => lacking.push(view),
            Known::Hidden => hidden = true,
        }
    }
    let there = match (lacking.is_empty(), hidden) {
        (false, _) => Known::Absent,
        (true, true) => Known::Hidden,
        (true, false) => Known::Is(()),
    };
    Presence { there, on: lacking }
}

/// One of the entries has it.
fn any_of<'a>(
    judging: &Judging<'a, '_>,
    parts: impl IntoIterator<Item = Known<()>>,
    may_have: bool,
) -> Presence<'a> {
    let mut there = if may_have {
        Known::Hidden
    } else {
        Known::Absent
    };
    for part in parts {
        match part {
            Known::Is(()) => there = Known::Is(()),
            Known::Hidden if there.is_absent() => there = Known::Hidden,
            _ => {}
        }
    }
    Presence {
        there,
        on: judging.unit.anchor(),
    }
}

fn entry<'a>(judging: &Judging<'a, '_>, kinds: &[&str]) -> Presence<'a> {
    let there = judging
        .unit
        .members
        .iter()
        .any(|view| kinds.contains(&view.kind()));
    let may_have = kinds.iter().any(|kind| judging.unit.may_have(kind));
    any_of(judging, there.then_some(Known::Is(())), may_have)
}

/// An entry of this type has one of these members.
fn member<'a>(judging: &Judging<'a, '_>, kind: &'static str, pointers: &[&str]) -> Presence<'a> {
    let views: Vec<View<'a>> = judging.unit.of(kind).collect();
    let parts = views
        .iter()
        .flat_map(|view| pointers.iter().map(|pointer| view.has(pointer)));
    any_of(
        judging,
        parts.collect::<Vec<_>>(),
        judging.unit.may_have(kind),
    )
}

/// Each of the entries has the member.
fn each<'a>(_: &Judging<'a, '_>, views: &[View<'a>], pointer: &str) -> Presence<'a> {
    together(views.iter().map(|view| (*view, view.has(pointer))))
}

/// Who asked, and who approved. Without a recorded request, whoever else the record names.
fn actors<'a>(judging: &Judging<'a, '_>, pointer: &str) -> Presence<'a> {
    let unit = judging.unit;
    let approvals = unit
        .of("approval.decided")
        .map(|view| (view, view.has(pointer)));
    let requests: Vec<View<'a>> = unit.of("request.received").collect();
    if !requests.is_empty() {
        return together(
            requests
                .into_iter()
                .map(|view| (view, view.has(pointer)))
                .chain(approvals),
        );
    }
    let others = unit.members.iter().filter(|view| {
        matches!(
            view.kind(),
            "authorization.decided" | "recommendation.drafted" | "ai.audit" | "run.concluded"
        )
    });
    let asked = any_of(
        judging,
        others.map(|view| view.has(pointer)),
        unit.may_have("request.received"),
    );
    let anchor = asked.on.into_iter().map(|view| (view, asked.there));
    together(anchor.chain(approvals))
}

fn case<'a>(judging: &Judging<'a, '_>) -> Presence<'a> {
    let lacking = judging
        .unit
        .members
        .iter()
        .filter(|view| view.entry.leaf.case.is_none());
    together(lacking.map(|view| (*view, view.has("/case_id"))))
}

/// The draft's trace, by id or by reference; else any.
fn trace<'a>(judging: &Judging<'a, '_>) -> Presence<'a> {
    let unit = judging.unit;
    let of = |view: &View<'a>| {
        if view.entry.leaf.trace.is_some() {
            return Known::Is(());
        }
        let refs = view.items("/refs").is().unwrap_or_default();
        let found = refs
            .iter()
            .any(|item| matches!(item, Item::Shown(r) if r.text("kind") == Some("trace")));
        if found {
            Known::Is(())
        } else {
            view.has("/trace_id")
        }
    };
    match unit.draft() {
        Some(draft) => any_of(judging, [of(&draft)], false),
        None => any_of(
            judging,
            unit.members.iter().map(of).collect::<Vec<_>>(),
            !unit.unclear.is_empty(),
        ),
    }
}

fn evidence<'a>(judging: &Judging<'a, '_>) -> Presence<'a> {
    let linked = judging
        .unit
        .of("evidence.linked")
        .map(|view| some(view, "/data/evidence"));
    let audited = judging
        .unit
        .of("ai.audit")
        .map(|view| some(view, "/data/selected_source_ids"));
    any_of(
        judging,
        linked.chain(audited).collect::<Vec<_>>(),
        judging.unit.may_have("evidence.linked"),
    )
}

/// The array there has at least one element.
fn some(view: View<'_>, pointer: &str) -> Known<()> {
    match view.items(pointer) {
        Known::Is(items) if items.is_empty() => Known::Absent,
        Known::Is(_) => Known::Is(()),
        Known::Absent => Known::Absent,
        // Withheld with a known place counts as recorded.
        Known::Hidden => view.has(pointer),
    }
}

fn draft<'a>(judging: &Judging<'a, '_>) -> Presence<'a> {
    let parts = judging
        .unit
        .draft()
        .into_iter()
        .flat_map(|d| [d.has("/data/draft"), d.has("/data/draft_digest")]);
    any_of(
        judging,
        parts.collect::<Vec<_>>(),
        judging.unit.may_have("recommendation.drafted"),
    )
}

fn citations<'a>(judging: &Judging<'a, '_>) -> Presence<'a> {
    let unit = judging.unit;
    let mut parts: Vec<Known<()>> = unit
        .of("ai.audit")
        .map(|view| some(view, "/data/cited_source_ids"))
        .collect();
    if let Some(draft) = unit.draft() {
        match draft.items("/data/claims") {
            Known::Is(claims) => parts.extend(claims.iter().map(|claim| match claim {
                Item::Hidden(_) => Known::Hidden,
                Item::Shown(claim) if draft.items_of(claim, "citations").is_empty() => {
                    Known::Absent
                }
                Item::Shown(_) => Known::Is(()),
            })),
            Known::Absent => {}
            Known::Hidden => parts.push(Known::Hidden),
        }
    }
    any_of(judging, parts, false)
}

/// A validation of the draft that stands in the end, with at least one check.
fn validation<'a>(judging: &Judging<'a, '_>) -> Presence<'a> {
    let since = judging.unit.draft().map_or(0, View::seq);
    let parts = judging
        .unit
        .of("validation.completed")
        .filter(|view| view.seq() >= since)
        .map(|view| some(view, "/data/checks"));
    any_of(
        judging,
        parts.collect::<Vec<_>>(),
        judging.unit.may_have("validation.completed"),
    )
}

fn of_draft<'a>(judging: &Judging<'a, '_>, pointer: &str, audit: Option<&str>) -> Presence<'a> {
    let draft = judging.unit.draft().map(|draft| draft.has(pointer));
    let audited = judging
        .unit
        .of("ai.audit")
        .filter_map(|view| audit.map(|pointer| some(view, pointer)));
    any_of(
        judging,
        draft.into_iter().chain(audited).collect::<Vec<_>>(),
        judging.unit.may_have("recommendation.drafted"),
    )
}

fn retrievals<'a>(judging: &Judging<'a, '_>) -> Vec<View<'a>> {
    let members = judging.unit.members.iter().copied();
    members
        .filter(|view| view.is("policy.retrieved") || view.is("facts.retrieved"))
        .collect()
}

/// Each search in an index names the index's version. A plain lookup of case facts searches none.
fn index_version<'a>(judging: &Judging<'a, '_>) -> Presence<'a> {
    let searched = |view: &View<'a>| {
        let mode = view.text("/data/retrieval_mode");
        view.is("policy.retrieved")
            || view.has("/data/index") == Known::Is(())
            || mode.is_some_and(|mode| mode != "lookup")
    };
    let searches: Vec<View<'a>> = retrievals(judging).into_iter().filter(searched).collect();
    let audits = judging
        .unit
        .of("ai.audit")
        .map(|view| (view, some(view, "/data/index_versions")));
    let versions = searches
        .iter()
        .map(|view| (*view, view.has("/data/index_version")));
    if searches.is_empty() {
        together(audits)
    } else {
        together(versions)
    }
}

/// Each tool that was used has a version: in the call, or in the draft's list of tools.
fn tool_version<'a>(judging: &Judging<'a, '_>) -> Presence<'a> {
    let unit = judging.unit;
    let mut listed: BTreeSet<&str> = BTreeSet::new();
    let mut lacking = Vec::new();
    let mut hidden = Vec::new();
    let mut open = unit.may_have("recommendation.drafted");
    for draft in &unit.drafts {
        let tools = draft.items("/data/tools");
        open |= tools.is_hidden();
        for item in tools.is().unwrap_or_default() {
            match &item {
                Item::Shown(tool) if tool.text("version").is_some() => {
                    listed.extend(tool.text("tool"))
                }
                Item::Shown(_) => lacking.push((*draft, Known::Absent)),
                Item::Hidden(_) => {
                    open = true;
                    hidden.push((*draft, Known::Hidden));
                }
            }
        }
    }
    let calls = unit
        .members
        .iter()
        .copied()
        .filter(|view| view.is("tool.proposed") || view.is("tool.executed"));
    let calls = calls.map(|view| {
        let tool = view.known("/data/tool");
        let version = match (view.has("/data/tool_version"), tool) {
            (_, Known::Is(tool)) if listed.contains(tool) => Known::Is(()),
            (Known::Absent, Known::Hidden) => Known::Hidden,
            (Known::Absent, Known::Is(_)) if open => Known::Hidden,
            (version, _) => version,
        };
        (view, version)
    });
    together(calls.chain(hidden).chain(lacking))
}

/// A draft by an agent names the agent's version.
fn agent_version<'a>(judging: &Judging<'a, '_>) -> Presence<'a> {
    let drafts = judging.unit.draft().into_iter().filter(|draft| {
        draft.has("/data/agent") == Known::Is(()) || draft.text("/actor/kind") == Some("agent")
    });
    together(drafts.map(|draft| (draft, draft.has("/data/agent_version"))))
}
