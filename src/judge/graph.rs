//! The decision graph: joins between entries, by recorded ids and digests only, in W3C PROV terms.
//!
//! Nothing is joined because it stands near, came next, or looks alike. A join that nobody recorded is not there.

use std::collections::{BTreeMap, BTreeSet};

use super::unit::is_service;
use super::view::{Known, See, View, reference};
use super::{DatumRef, Edge, Relation};
use crate::ledger::content::Item;

/// A join, with what the time findings need to know of it.
#[derive(Debug, Clone)]
pub(super) struct Join<'a> {
    pub(super) from: View<'a>,
    pub(super) to: View<'a>,
    pub(super) relation: Relation,
    pub(super) by: DatumRef,
    /// `from` says outright, in its `causes`, that `to` brought it about.
    pub(super) cause: bool,
    /// `from` cannot have happened before `to`.
    pub(super) follows: bool,
}

const USED: Relation = Relation::Used;
const DERIVED: Relation = Relation::WasDerivedFrom;
const INFORMED: Relation = Relation::WasInformedBy;
const BEHALF: Relation = Relation::ActedOnBehalfOf;
const GENERATED: Relation = Relation::WasGeneratedBy;

/// The joins as the judgement carries them.
pub(super) fn edges(joins: &[Join<'_>]) -> Vec<Edge> {
    let edge = |join: &Join<'_>| Edge {
        from: join.from.seq(),
        relation: join.relation,
        to: join.to.seq(),
        by: join.by.clone(),
    };
    joins.iter().map(edge).collect()
}

/// All joins, by the entry from which they start.
pub(super) fn joins<'a>(views: &[View<'a>]) -> Vec<Join<'a>> {
    let mut identities = BTreeMap::new();
    for view in views.iter().copied() {
        if let Some(identity) = view.identity() {
            identities.entry(identity).or_insert(view);
        }
    }
    let mut graph = Graph {
        views,
        identities,
        joins: Vec::new(),
        known: BTreeSet::new(),
    };
    for view in views
        .iter()
        .copied()
        .filter(|view| !is_service(view.kind()))
    {
        graph.causes(view);
        graph.request(view);
        graph.decision(view);
        match view.kind() {
            "recommendation.drafted" => graph.draft(view),
            "approval.decided" => {
                graph.approved_draft(view);
                graph.same_id(
                    view,
                    "/approval_id",
                    "approval.required",
                    "/approval_id",
                    INFORMED,
                    true,
                );
                graph.about_draft(view, USED, false);
            }
            "action.performed" => {
                // Whether the approval came first is a question of its own, judged by ledger order.
                graph.same_id(
                    view,
                    "/approval_id",
                    "approval.decided",
                    "/approval_id",
                    INFORMED,
                    false,
                );
                graph.about_draft(view, INFORMED, true);
            }
            "output.finalized" => {
                graph.output(view);
                graph.about_draft(view, DERIVED, true);
            }
            "tool.executed" => {
                graph.proposal(view);
                graph.same_id(
                    view,
                    "/approval_id",
                    "approval.decided",
                    "/approval_id",
                    INFORMED,
                    false,
                );
            }
            "validation.completed" => graph.about_draft(view, USED, true),
            "risk.classified" => graph.about_draft(view, USED, false),
            "approval.required" => graph.about_draft(view, INFORMED, false),
            "outcome.recorded" => graph.about_draft(view, INFORMED, true),
            _ => {}
        }
    }
    graph.joins
}

struct Graph<'a, 'v> {
    views: &'v [View<'a>],
    /// Entries by source and id.
    identities: BTreeMap<(&'a str, &'a str), View<'a>>,
    joins: Vec<Join<'a>>,
    known: BTreeSet<(u64, u64, Relation, DatumRef)>,
}

impl<'a> Graph<'a, '_> {
    fn of(&self, kind: &'static str) -> impl DoubleEndedIterator<Item = View<'a>> {
        self.views.iter().copied().filter(move |view| view.is(kind))
    }

    fn join(
        &mut self,
        from: View<'a>,
        relation: Relation,
        to: View<'a>,
        by: DatumRef,
        follows: bool,
    ) {
        let key = (from.seq(), to.seq(), relation, by.clone());
        if from.seq() != to.seq() && self.known.insert(key) {
            self.joins.push(Join {
                from,
                to,
                relation,
                by,
                cause: false,
                follows,
            });
        }
    }

    fn causes(&mut self, view: View<'a>) {
        for (identity, by) in view.causes() {
            if let Some(to) = self.identities.get(&identity).copied() {
                self.joins.push(Join {
                    from: view,
                    to,
                    relation: INFORMED,
                    by,
                    cause: true,
                    follows: true,
                });
            }
        }
    }

    /// The request that started it.
    fn request(&mut self, view: View<'a>) {
        if !view.is("request.received") {
            self.same_id(
                view,
                "/request_id",
                "request.received",
                "/request_id",
                INFORMED,
                true,
            );
        }
    }

    /// The authorization decision that allowed it.
    fn decision(&mut self, view: View<'a>) {
        if !view.is("authorization.decided") {
            let to = "authorization.decided";
            self.same_id(
                view,
                "/data/authorization_decision_id",
                to,
                "/data/decision_id",
                INFORMED,
                true,
            );
        }
        for item in view.items("/data/candidates").is().unwrap_or_default() {
            let Item::Shown(candidate) = item else {
                continue;
            };
            let Some(id) = candidate.get("authorization_decision_id") else {
                continue;
            };
            let same = self
                .of("authorization.decided")
                .rfind(|d| d.text("/data/decision_id") == id.value.as_str());
            if let Some(decision) = same {
                self.join(view, INFORMED, decision, reference(&id), true);
            }
        }
    }

    /// Joins to the entries of `kind` that carry the same id.
    fn same_id(
        &mut self,
        view: View<'a>,
        pointer: &str,
        kind: &'static str,
        theirs: &str,
        relation: Relation,
        follows: bool,
    ) {
        let See::Shown(id) = view.see(pointer) else {
            return;
        };
        let Some(text) = id.value.as_str() else {
            return;
        };
        let same: Vec<View<'a>> = self
            .of(kind)
            .filter(|other| other.text(theirs) == Some(text))
            .collect();
        for to in same {
            self.join(view, relation, to, reference(&id), follows);
        }
    }

    /// The proposal of a tool call: the latest one before it with the same call id, for the same tool. Agents count
    /// their calls anew, so that a later proposal may carry the same id.
    fn proposal(&mut self, call: View<'a>) {
        let See::Shown(id) = call.see("/data/call_id") else {
            return;
        };
        let same_tool = |view: &View<'a>| match (view.text("/data/tool"), call.text("/data/tool")) {
            (Some(proposed), Some(called)) => proposed == called,
            _ => true,
        };
        let proposal = self
            .of("tool.proposed")
            .filter(|view| view.seq() < call.seq())
            .filter(|view| {
                view.text("/data/call_id")
                    .is_some_and(|theirs| Some(theirs) == id.value.as_str())
            })
            .rfind(same_tool);
        if let Some(proposal) = proposal {
            self.join(call, INFORMED, proposal, reference(&id), true);
        }
    }

    fn draft(&mut self, draft: View<'a>) {
        for kind in ["policy.retrieved", "facts.retrieved", "tool.executed"] {
            self.same_id(draft, "/run_id", kind, "/run_id", USED, false);
        }
        self.same_id(
            draft,
            "/run_id",
            "request.received",
            "/run_id",
            INFORMED,
            false,
        );
        self.same_id(
            draft,
            "/run_id",
            "run.concluded",
            "/run_id",
            GENERATED,
            false,
        );
        self.same_id(
            draft,
            "/actor/on_behalf_of",
            "request.received",
            "/actor/id",
            BEHALF,
            false,
        );
        for claim in draft.items("/data/claims").is().unwrap_or_default() {
            let Item::Shown(claim) = claim else { continue };
            for citation in draft.items_of(&claim, "citations") {
                let Item::Shown(citation) = citation else {
                    continue;
                };
                for (name, kind, list, id) in CITED {
                    let Some(cited) = citation.get(name) else {
                        continue;
                    };
                    let holds = |view: &View<'a>| {
                        match list {
                        "" => view.text(id) == cited.value.as_str(),
                        list => view.items(list).is().unwrap_or_default().iter().any(|item| {
                            matches!(item, Item::Shown(found) if found.text(id).is_some() && found.text(id) == cited.value.as_str())
                        }),
                    }
                    };
                    let found: Vec<View<'a>> = self.of(kind).filter(holds).collect();
                    for to in found {
                        self.join(draft, USED, to, reference(&cited), false);
                    }
                }
            }
        }
    }

    /// The draft that the approver saw.
    fn approved_draft(&mut self, approval: View<'a>) {
        let See::Shown(digest) = approval.see("/data/draft_digest") else {
            return;
        };
        let same = |kind, text: &'static str, pointer: &'static str| {
            let views = self
                .of(kind)
                .filter(|view| match view.content_digest(text, pointer) {
                    Known::Is(theirs) => Some(theirs.as_str()) == digest.value.as_str(),
                    _ => false,
                });
            views.collect::<Vec<_>>()
        };
        let drafts = same(
            "recommendation.drafted",
            "/data/draft",
            "/data/draft_digest",
        );
        let outputs = same("output.finalized", "/data/text", "/data/digest");
        for draft in drafts {
            self.join(approval, USED, draft, reference(&digest), true);
        }
        for output in outputs {
            self.join(approval, USED, output, reference(&digest), false);
        }
    }

    /// The draft whose words are the final ones.
    fn output(&mut self, output: View<'a>) {
        let See::Shown(digest) = output.see("/data/digest") else {
            return;
        };
        let drafts: Vec<View<'a>> = self.of("recommendation.drafted").collect();
        for draft in drafts {
            if let Known::Is(theirs) = draft.content_digest("/data/draft", "/data/draft_digest")
                && Some(theirs.as_str()) == digest.value.as_str()
            {
                self.join(output, DERIVED, draft, reference(&digest), true);
            }
        }
    }

    /// The draft of the recommendation that the entry names: the latest before it, else the first.
    fn about_draft(&mut self, view: View<'a>, relation: Relation, follows: bool) {
        let See::Shown(id) = view.see("/recommendation_id") else {
            return;
        };
        let drafts = || {
            self.of("recommendation.drafted")
                .filter(|d| d.text("/recommendation_id") == id.value.as_str())
        };
        let before = drafts().rfind(|draft| draft.seq() < view.seq());
        // While the id of some draft is not shown, the one that came before may be that one.
        let hidden = self
            .of("recommendation.drafted")
            .any(|d| d.known("/recommendation_id").is_hidden());
        let follows = follows && (before.is_some() || !hidden);
        if let Some(draft) = before.or_else(|| drafts().next()) {
            self.join(view, relation, draft, reference(&id), follows);
        }
    }
}

/// Where a citation can lead: its member, the type of entry, the list in that entry, the member that must be equal.
const CITED: [(&str, &str, &str, &str); 5] = [
    (
        "source_id",
        "policy.retrieved",
        "/data/candidates",
        "source_id",
    ),
    (
        "source_id",
        "facts.retrieved",
        "/data/candidates",
        "source_id",
    ),
    ("source_id", "source.accessed", "", "/data/source_id"),
    (
        "source_id",
        "evidence.linked",
        "/data/evidence",
        "source_id",
    ),
    (
        "evidence_id",
        "evidence.linked",
        "/data/evidence",
        "evidence_id",
    ),
];
