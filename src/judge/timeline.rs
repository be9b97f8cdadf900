//! The timeline: one sentence for each entry, in ledger order.

use super::TimelineItem;
use super::view::{View, item_arg, member_arg, say};
use crate::judge::Arg;
use crate::ledger::content::Item;

/// What a sentence shows of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// Who it was.
    Who,
    /// A member, under the name that the template gives it.
    At(&'static str, &'static str),
    /// A public value of the service's own entry.
    Count(&'static str, &'static str),
    /// A member of each element of a list.
    Each(&'static str, &'static str, &'static str),
}

use Part::{At, Count, Each, Who};

/// Event types and what their sentence shows. A type that is not here is told by `timeline.other`.
pub(super) const TYPES: [(&str, &[Part]); 36] = [
    (
        "request.received",
        &[
            Who,
            At("channel", "/data/channel"),
            At("question", "/data/question"),
            At("risk_hint", "/data/risk_hint"),
        ],
    ),
    (
        "authorization.decided",
        &[
            Who,
            At("decision", "/data/decision_id"),
            At("action", "/data/action"),
            At("kind", "/data/resource/kind"),
            At("resource", "/data/resource/id"),
            At("result", "/data/result"),
            At("policy", "/data/policy_id"),
            At("revision", "/data/policy_revision"),
            At("reason", "/data/reason"),
        ],
    ),
    (
        "source.accessed",
        &[
            Who,
            At("source", "/data/source_id"),
            At("version", "/data/version"),
            At("decision", "/data/authorization_decision_id"),
        ],
    ),
    (
        "policy.retrieved",
        &[
            Count("found", "/data/candidates"),
            At("index", "/data/index"),
            At("index_version", "/data/index_version"),
            At("mode", "/data/retrieval_mode"),
            At("selected", "/data/selected_ids"),
        ],
    ),
    (
        "facts.retrieved",
        &[
            Count("found", "/data/candidates"),
            At("index", "/data/index"),
            At("index_version", "/data/index_version"),
            At("mode", "/data/retrieval_mode"),
            At("selected", "/data/selected_ids"),
        ],
    ),
    (
        "evidence.linked",
        &[
            Who,
            Count("found", "/data/evidence"),
            Each("evidence", "/data/evidence", "evidence_id"),
        ],
    ),
    (
        "tool.proposed",
        &[
            Who,
            At("tool", "/data/tool"),
            At("version", "/data/tool_version"),
            At("side_effects", "/data/side_effect_level"),
            At("risk", "/data/risk_level"),
        ],
    ),
    (
        "tool.executed",
        &[
            Who,
            At("tool", "/data/tool"),
            At("version", "/data/tool_version"),
            At("side_effects", "/data/side_effect_level"),
            At("status", "/data/status"),
            At("result", "/data/result_summary"),
            At("error", "/data/error_type"),
        ],
    ),
    (
        "guardrail.fired",
        &[
            At("guard", "/data/guard"),
            At("version", "/data/guard_version"),
            At("stage", "/data/stage"),
            At("result", "/data/result"),
            At("reason", "/data/reason"),
        ],
    ),
    (
        "recommendation.drafted",
        &[
            Who,
            At("recommendation", "/recommendation_id"),
            At("action", "/data/recommended_action"),
            At("model", "/data/model"),
            At("version", "/data/model_version"),
            At("digest", "/data/draft_digest"),
            Count("claims", "/data/claims"),
        ],
    ),
    (
        "validation.completed",
        &[
            Count("checks", "/data/checks"),
            Each("names", "/data/checks", "name"),
            Each("outcomes", "/data/checks", "outcome"),
            At("unsupported", "/data/unsupported_claims"),
            At("repairs", "/data/repairs"),
        ],
    ),
    (
        "risk.classified",
        &[
            At("level", "/data/level"),
            At("factors", "/data/factors"),
            At("classifier", "/data/classifier_version"),
        ],
    ),
    (
        "approval.required",
        &[
            At("required", "/data/required"),
            At("policy", "/data/policy_id"),
            At("revision", "/data/policy_revision"),
            At("roles", "/data/roles"),
            At("quorum", "/data/quorum"),
            At("expires", "/data/expires"),
            At("separation", "/data/separation_of_duties"),
        ],
    ),
    (
        "approval.decided",
        &[
            Who,
            At("decision", "/data/decision"),
            At("meaning", "/data/meaning"),
            At("reason", "/data/reason"),
            At("digest", "/data/draft_digest"),
        ],
    ),
    (
        "output.finalized",
        &[
            Who,
            At("digest", "/data/digest"),
            Each("changes", "/data/changes", "what"),
            At("caveats", "/data/caveats"),
        ],
    ),
    (
        "action.performed",
        &[
            Who,
            At("action", "/data/action"),
            At("status", "/data/status"),
            At("effects", "/data/side_effects"),
            At("error", "/data/error"),
        ],
    ),
    (
        "run.concluded",
        &[
            At("run", "/run_id"),
            At("status", "/data/status"),
            At("reason", "/data/stop_reason"),
        ],
    ),
    (
        "outcome.recorded",
        &[Who, At("kind", "/data/kind"), At("detail", "/data/detail")],
    ),
    (
        "ai.audit",
        &[
            Who,
            At("action", "/data/action"),
            At("status", "/data/answer_status"),
            At("models", "/data/model_versions"),
            At("selected", "/data/selected_source_ids"),
            At("cited", "/data/cited_source_ids"),
        ],
    ),
    ("ledger.created", &[]),
    ("trace.sealed", &[]),
    ("report.issued", &[]),
    ("record.accessed", &[Count("accesses", "/data/accesses")]),
    ("access.denied", &[]),
    ("post.conflicted", &[]),
    ("content.erased", &[]),
    ("retention.applied", &[]),
    ("hold.placed", &[]),
    ("hold.released", &[]),
    ("key.rotated", &[]),
    ("principal.changed", &[]),
    ("policy.changed", &[]),
    ("clock.stepped", &[]),
    ("incident.opened", &[]),
    ("incident.updated", &[]),
    ("incident.closed", &[]),
];

/// Tells all entries.
pub(super) fn timeline(views: &[View<'_>]) -> Vec<TimelineItem> {
    views
        .iter()
        .map(|view| TimelineItem {
            seq: view.seq(),
            sentence: tell(*view),
        })
        .collect()
}

fn tell(view: View<'_>) -> super::Sentence {
    let known = TYPES.iter().find(|(kind, _)| view.is(kind));
    let mut told = match known {
        Some((kind, _)) => say(&format!("timeline.{kind}")),
        None => say("timeline.other").member("type", view, "type"),
    };
    told = told.on([view]).member("occurred", view, "occurred");
    for part in known.map_or([].as_slice(), |(_, parts)| parts) {
        told = match *part {
            Who => told.actor(view),
            At(name, pointer) => told.at(name, view, pointer),
            Count(name, pointer) => match view.items(pointer).is() {
                Some(items) => told.number(name, items.len()),
                None => told,
            },
            Each(name, pointer, member) => match each(view, pointer, member) {
                list if list.is_empty() => told,
                list => told.arg(name, Arg::List { list }),
            },
        };
    }
    told.done()
}

/// A member of each element; what is not shown stands in its place.
pub(super) fn each(view: View<'_>, pointer: &str, member: &str) -> Vec<Arg> {
    let items = view.items(pointer).is().unwrap_or_default();
    let member = |item: &Item<'_>| match item {
        Item::Shown(datum) => member_arg(datum, member),
        Item::Hidden(_) => Some(item_arg(item)),
    };
    items.iter().filter_map(member).collect()
}
