//! What is judged together: a recommendation with everything that the record joins to it.
//!
//! Joins are recorded ids and digests only. Belonging to the same case is such a join as long as the case knows one
//! recommendation, but not for approvals, outputs and actions, when the recommendation has an id: one yes must not
//! cover whatever else was done in the case. With several recommendations, an entry must say which one it is about.

use std::collections::BTreeSet;

use super::view::{Known, See, View};
use super::{DatumRef, Subject};

/// Why these entries are judged together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitKind {
    /// An AI recommendation.
    Recommendation,
    /// Flat audit events, and no recommendation.
    Audit,
    /// A run that ended properly without a recommendation: refused, escalated, too little evidence.
    Run,
    /// Outputs and actions that name none of the recommendations of the case.
    Loose,
    /// An AI agent acted, or an approval was asked for and something was done, without any recommendation.
    Acted,
}

/// What is judged together.
#[derive(Debug, Clone)]
pub(super) struct Unit<'a> {
    pub(super) kind: UnitKind,
    /// The recommendation's id, when it is shown.
    pub(super) id: Option<&'a str>,
    /// Its drafts, in ledger order.
    pub(super) drafts: Vec<View<'a>>,
    /// All entries that belong to it, drafts included, in ledger order.
    pub(super) members: Vec<View<'a>>,
    /// Entries that may belong to it: what would tell is not shown.
    pub(super) unclear: Vec<View<'a>>,
    /// Actions of the case that name no recommendation.
    pub(super) strays: Vec<View<'a>>,
}

/// Run statuses that are a proper end without a recommendation.
pub(super) const PROPER: [&str; 3] = ["refused", "escalated", "insufficient_evidence"];

/// Types that are about one recommendation, and nothing else.
const TIED: [&str; 7] = [
    "validation.completed",
    "risk.classified",
    "approval.required",
    "approval.decided",
    "output.finalized",
    "action.performed",
    "outcome.recorded",
];

/// Types that only an id, a digest or a cause joins to a recommendation that has an id.
const CLOSE: [&str; 3] = ["approval.decided", "output.finalized", "action.performed"];

/// Members that could join such an entry.
const JOINING: [&str; 4] = [
    "/approval_id",
    "/causes",
    "/data/draft_digest",
    "/data/digest",
];

/// Types of which one entry may have served several recommendations of a case.
const SHARED: [&str; 7] = [
    "request.received",
    "authorization.decided",
    "source.accessed",
    "policy.retrieved",
    "facts.retrieved",
    "evidence.linked",
    "ai.audit",
];

/// Types of which an entry with another run id belongs to that other run, even in the same case.
fn of_its_run(kind: &str) -> bool {
    !matches!(
        kind,
        "approval.required"
            | "approval.decided"
            | "output.finalized"
            | "action.performed"
            | "outcome.recorded"
    )
}

/// Types that only the service itself writes.
pub(super) fn is_service(kind: &str) -> bool {
    const OWN: [&str; 14] = [
        "ledger.created",
        "trace.sealed",
        "report.issued",
        "record.accessed",
        "access.denied",
        "post.conflicted",
        "content.erased",
        "retention.applied",
        "hold.placed",
        "hold.released",
        "key.rotated",
        "principal.changed",
        "policy.changed",
        "clock.stepped",
    ];
    OWN.contains(&kind) || kind.starts_with("incident.")
}

impl<'a> Unit<'a> {
    /// Its entries of a type, in ledger order.
    pub(super) fn of(&self, kind: &'static str) -> impl DoubleEndedIterator<Item = View<'a>> {
        self.members
            .iter()
            .copied()
            .filter(move |view| view.is(kind))
    }

    /// Whether an entry of this type may belong to it, but what would tell is not shown.
    pub(super) fn may_have(&self, kind: &str) -> bool {
        self.unclear.iter().any(|view| view.is(kind))
    }

    /// The draft that stood when the ledger was at `seq`.
    pub(super) fn draft_before(&self, seq: u64) -> Option<View<'a>> {
        self.drafts.iter().copied().rfind(|draft| draft.seq() < seq)
    }

    /// The draft that stands in the end.
    pub(super) fn draft(&self) -> Option<View<'a>> {
        self.drafts.last().copied()
    }

    /// The entry that a statement about the whole rests on.
    pub(super) fn anchor(&self) -> Vec<View<'a>> {
        self.naming().into_iter().collect()
    }

    /// The entry that stands for the whole: the draft, else the first that names the recommendation, else the first.
    pub(super) fn naming(&self) -> Option<View<'a>> {
        self.draft()
            .or_else(|| self.named_at())
            .or_else(|| self.members.first().copied())
    }

    /// The entry that names the recommendation: the draft, else the first that does.
    pub(super) fn named_at(&self) -> Option<View<'a>> {
        let id = self.id?;
        let names = |view: &View<'a>| view.text("/recommendation_id") == Some(id);
        self.draft()
            .filter(names)
            .or_else(|| self.members.iter().copied().find(names))
    }

    /// The entry that records a proper end without a recommendation, when nothing was done after all.
    pub(super) fn proper_end(&self) -> Known<View<'a>> {
        let Some(end) = self.of("run.concluded").next_back() else {
            return if self.may_have("run.concluded") {
                Known::Hidden
            } else {
                Known::Absent
            };
        };
        // What a person does after the run has ended does not change how it ended.
        let of_run = matches!(self.kind, UnitKind::Run | UnitKind::Acted);
        let acts = || {
            self.of("action.performed").map(|act| {
                if of_run {
                    both(attempted(act), by_agent(act))
                } else {
                    attempted(act)
                }
            })
        };
        // Nor is it a proper end when the agent acted past the recommendation.
        let same_run = |act: &&View<'a>| match (act.text("/run_id"), end.text("/run_id")) {
            (Some(theirs), Some(ours)) => theirs == ours,
            _ => true,
        };
        let strays = || {
            let strays = self.strays.iter().filter(same_run);
            strays.map(|act| both(attempted(*act), by_agent(*act)))
        };
        let acted = acts().chain(strays()).any(|act| act == Known::Is(()));
        let perhaps = acts().chain(strays()).any(|act| act.is_hidden());
        match end.known("/data/status") {
            Known::Is(status) if PROPER.contains(&status) && !acted => {
                if perhaps {
                    Known::Hidden
                } else {
                    Known::Is(end)
                }
            }
            Known::Hidden if !acted => Known::Hidden,
            _ => Known::Absent,
        }
    }
}

/// Whether an action was done, or at least tried.
pub(super) fn attempted(action: View<'_>) -> Known<()> {
    match action.known("/data/status") {
        Known::Is("cancelled") => Known::Absent,
        Known::Hidden => Known::Hidden,
        Known::Is(_) | Known::Absent => Known::Is(()),
    }
}

/// Whether an AI agent did it.
pub(super) fn by_agent(view: View<'_>) -> Known<()> {
    match view.known("/actor/kind") {
        Known::Is("agent") => Known::Is(()),
        Known::Hidden => Known::Hidden,
        _ => Known::Absent,
    }
}

fn both(a: Known<()>, b: Known<()>) -> Known<()> {
    if a.is_absent() || b.is_absent() {
        Known::Absent
    } else if a.is_hidden() || b.is_hidden() {
        Known::Hidden
    } else {
        Known::Is(())
    }
}

/// Something that was handed out or done, as far as it is known: nothing, when it was cancelled.
fn act(view: View<'_>) -> Known<()> {
    match view.kind() {
        "action.performed" => attempted(view),
        "output.finalized" => Known::Is(()),
        _ => Known::Absent,
    }
}

/// Whether, in a record without a recommendation, an AI agent acted, or something was done for which an approval had
/// been asked. Process data of people need not be judged.
pub(super) fn acted_alone(views: &[View<'_>]) -> Known<()> {
    let agent = || views.iter().map(|view| both(act(*view), by_agent(*view)));
    let asked = || {
        let of = |view: &View<'_>| match (view.kind(), view.see("/data/required")) {
            ("approval.required", See::Shown(datum)) if datum.value == false => Known::Absent,
            ("approval.required", see) if see.is_hidden() => Known::Hidden,
            ("approval.required", _) => Known::Is(()),
            _ => Known::Absent,
        };
        views.iter().map(of)
    };
    let done = || {
        let actions = views.iter().filter(|view| view.is("action.performed"));
        actions.map(|view| attempted(*view))
    };
    let any = |parts: &mut dyn Iterator<Item = Known<()>>| {
        parts.fold(Known::Absent, |all, part| match (all, part) {
            (Known::Is(()), _) | (_, Known::Is(())) => Known::Is(()),
            (Known::Hidden, _) | (_, Known::Hidden) => Known::Hidden,
            _ => Known::Absent,
        })
    };
    let under_approval = both(any(&mut asked()), any(&mut done()));
    any(&mut [any(&mut agent()), under_approval].into_iter())
}

/// Whether the entry tells that something was handed out, or done with success.
pub(super) fn performed(view: View<'_>) -> Known<()> {
    match (view.kind(), view.known("/data/status")) {
        ("output.finalized", _) => Known::Is(()),
        ("action.performed", Known::Is("failed" | "cancelled")) => Known::Absent,
        ("action.performed", Known::Hidden) => Known::Hidden,
        ("action.performed", _) => Known::Is(()),
        _ => Known::Absent,
    }
}

/// Finds what is to be judged.
pub(super) fn units<'a>(views: &[View<'a>]) -> Vec<Unit<'a>> {
    let mut units = recommendations(views);
    let mut loose = Vec::new();
    let count = units.len();
    let cores: Vec<Core<'a>> = units.iter().map(|unit| Core::new(unit, views)).collect();
    let strays = stray_approvals(views, &cores);
    for view in views
        .iter()
        .copied()
        .filter(|view| !is_service(view.kind()))
    {
        let place = place(view, &units, &cores, &strays);
        for (unit, belongs) in units.iter_mut().zip(&place.belongs) {
            match belongs {
                Belongs::Yes => unit.members.push(view),
                Belongs::Perhaps => unit.unclear.push(view),
                Belongs::No => {}
            }
        }
        // A level of risk that names no recommendation is the case's, and holds for whatever else was done in it.
        let of_case = view.is("risk.classified") && view.known("/recommendation_id").is_absent();
        if count > 0 && (place.loose || of_case) {
            loose.push(view);
        }
    }
    if count == 0 && views.iter().any(|view| view.is("ai.audit")) {
        units.push(all_of(UnitKind::Audit, views));
    } else if count == 0 && acted_alone(views) == Known::Is(()) {
        units.push(all_of(UnitKind::Acted, views));
    }
    runs(views, &mut units);
    let strays: Vec<View<'a>> = loose
        .iter()
        .copied()
        .filter(|view| view.is("action.performed"))
        .collect();
    for unit in &mut units {
        unit.strays.clone_from(&strays);
    }
    // What a run did that has no recommendation is told there.
    let told = |view: &View<'a>| {
        let mut acted = units.iter().filter(|unit| unit.kind == UnitKind::Acted);
        acted.any(|unit| unit.members.iter().any(|member| member.seq() == view.seq()))
    };
    loose.retain(|view| !told(view));
    if loose
        .iter()
        .any(|view| view.is("action.performed") || view.is("output.finalized"))
    {
        units.push(Unit {
            kind: UnitKind::Loose,
            id: None,
            drafts: Vec::new(),
            members: loose,
            unclear: Vec::new(),
            strays: Vec::new(),
        });
    }
    units
}

/// Those of the units that the question is about. All, when it is about the case or cannot be told.
pub(super) fn in_focus<'a>(
    units: Vec<Unit<'a>>,
    subject: &Subject,
    views: &[View<'a>],
) -> Vec<Unit<'a>> {
    let fits = |unit: &Unit<'a>| match subject {
        Subject::Case(_) => true,
        Subject::Trace(trace) => {
            let mut ours = if unit.drafts.is_empty() {
                unit.members.iter()
            } else {
                unit.drafts.iter()
            };
            ours.any(|view| view.entry.leaf.trace.is_some_and(|t| t.to_hex() == *trace))
        }
        Subject::Recommendation(at) => match named_by(at, views) {
            Some(id) => unit.id == Some(id),
            None => unit.members.iter().any(|view| {
                view.entry
                    .digests
                    .iter()
                    .any(|d| d.to_b64url() == at.digest)
            }),
        },
    };
    let chosen: Vec<Unit<'a>> = units.iter().filter(|unit| fits(unit)).cloned().collect();
    if chosen.is_empty() { units } else { chosen }
}

/// The recommendation id that a disclosure holds, when it is shown.
fn named_by<'a>(at: &DatumRef, views: &[View<'a>]) -> Option<&'a str> {
    views.iter().find_map(|view| {
        let member = view
            .entry
            .opened
            .members
            .values()
            .find(|member| member.digest.to_b64url() == at.digest)?;
        crate::json::pointer::get(&member.value, &at.at)?.as_str()
    })
}

fn all_of<'a>(kind: UnitKind, views: &[View<'a>]) -> Unit<'a> {
    let members = views
        .iter()
        .copied()
        .filter(|view| !is_service(view.kind()))
        .collect();
    Unit {
        kind,
        id: None,
        drafts: Vec::new(),
        members,
        unclear: Vec::new(),
        strays: Vec::new(),
    }
}

/// The recommendations of the record: those that were drafted, and those that some entry speaks of.
fn recommendations<'a>(views: &[View<'a>]) -> Vec<Unit<'a>> {
    let mut units: Vec<Unit<'a>> = Vec::new();
    let new = |id, drafts| Unit {
        kind: UnitKind::Recommendation,
        id,
        drafts,
        members: Vec::new(),
        unclear: Vec::new(),
        strays: Vec::new(),
    };
    for draft in views
        .iter()
        .copied()
        .filter(|view| view.is("recommendation.drafted"))
    {
        let id = match draft.known("/recommendation_id") {
            Known::Absent => named_by_digest(draft, views),
            id => id.is(),
        };
        match units.iter_mut().find(|unit| id.is_some() && unit.id == id) {
            Some(unit) => unit.drafts.push(draft),
            None => units.push(new(id, vec![draft])),
        }
    }
    // An approval or an action that names a recommendation shows that there was one, even if its draft was never
    // posted. While the id of some draft is not shown, it may be that one.
    if units.iter().any(|unit| {
        unit.drafts
            .iter()
            .any(|draft| draft.known("/recommendation_id").is_hidden())
    }) {
        return units;
    }
    for view in views
        .iter()
        .copied()
        .filter(|view| TIED.contains(&view.kind()) && !view.is("outcome.recorded"))
    {
        if let Some(id) = view.text("/recommendation_id")
            && units.iter().all(|unit| unit.id != Some(id))
        {
            units.push(new(Some(id), Vec::new()));
        }
    }
    units
}

/// The recommendation that approvals or outputs name together with the digest of a draft that names none.
fn named_by_digest<'a>(draft: View<'a>, views: &[View<'a>]) -> Option<&'a str> {
    let digest = draft
        .content_digest("/data/draft", "/data/draft_digest")
        .is()?;
    let same = |view: &&View<'a>| {
        let seen = match view.kind() {
            "approval.decided" => view.text("/data/draft_digest"),
            "output.finalized" => view.text("/data/digest"),
            _ => None,
        };
        seen == Some(digest.as_str())
    };
    let ids: BTreeSet<&str> = views
        .iter()
        .filter(same)
        .filter_map(|view| view.text("/recommendation_id"))
        .collect();
    if ids.len() == 1 {
        ids.into_iter().next()
    } else {
        None
    }
}

/// Runs that ended properly and belong to no recommendation.
fn runs<'a>(views: &[View<'a>], units: &mut Vec<Unit<'a>>) {
    let alone = units.is_empty();
    for end in views
        .iter()
        .copied()
        .filter(|view| view.is("run.concluded"))
    {
        let proper = end
            .text("/data/status")
            .is_some_and(|status| PROPER.contains(&status));
        let taken = units
            .iter()
            .any(|unit| unit.members.iter().any(|member| member.seq() == end.seq()));
        let run = end.text("/run_id");
        // An end that names no run, in a case with recommendations, is joined to nothing.
        if !proper || taken || (run.is_none() && !alone) {
            continue;
        }
        let ours = |view: &View<'a>| match (run, view.known("/run_id")) {
            (Some(run), Known::Is(other)) => run == other,
            _ => alone,
        };
        let members = views
            .iter()
            .copied()
            .filter(|view| !is_service(view.kind()) && ours(view))
            .collect::<Vec<_>>();
        let members = if members.iter().any(|view| view.seq() == end.seq()) {
            members
        } else {
            vec![end]
        };
        let acted = members.iter().any(|view| {
            both(act(*view), by_agent(*view)) == Known::Is(()) && view.is("action.performed")
        });
        units.push(Unit {
            kind: if acted {
                UnitKind::Acted
            } else {
                UnitKind::Run
            },
            id: None,
            drafts: Vec::new(),
            members,
            unclear: Vec::new(),
            strays: Vec::new(),
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Yes,
    No,
    Perhaps,
}

struct Place {
    belongs: Vec<Belongs>,
    loose: bool,
}

/// What joins other entries to a recommendation: the ids and digests of the entries that name it.
struct Core<'a> {
    runs: BTreeSet<&'a str>,
    requests: BTreeSet<&'a str>,
    approvals: BTreeSet<&'a str>,
    digests: BTreeSet<String>,
    traces: BTreeSet<String>,
    identities: BTreeSet<(&'a str, &'a str)>,
    causes: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Core<'a> {
    fn new(unit: &Unit<'a>, views: &[View<'a>]) -> Self {
        let named = views.iter().copied().filter(|view| {
            let names_it = unit.id.is_some() && view.text("/recommendation_id") == unit.id;
            names_it || unit.drafts.iter().any(|draft| draft.seq() == view.seq())
        });
        let named: Vec<View<'a>> = named.collect();
        let texts = |pointer: &str| named.iter().filter_map(|view| view.text(pointer)).collect();
        Self {
            runs: texts("/run_id"),
            requests: texts("/request_id"),
            approvals: texts("/approval_id"),
            digests: unit
                .drafts
                .iter()
                .filter_map(|d| d.content_digest("/data/draft", "/data/draft_digest").is())
                .collect(),
            traces: unit
                .drafts
                .iter()
                .filter_map(|d| d.entry.leaf.trace.map(|t| t.to_hex()))
                .collect(),
            identities: named.iter().filter_map(|view| view.identity()).collect(),
            causes: named
                .iter()
                .flat_map(|view| view.causes())
                .map(|(cause, _)| cause)
                .collect(),
        }
    }

    /// Whether a recorded id or digest joins it. A run, a request or a trace may hold several things that were done,
    /// so that approvals, outputs and actions need more than those.
    fn joins(&self, view: View<'a>) -> bool {
        self.joins_closely(view) || (!CLOSE.contains(&view.kind()) && self.joins_by_run(view))
    }

    fn joins_closely(&self, view: View<'a>) -> bool {
        let digest = match view.kind() {
            "output.finalized" => view.content_digest("/data/text", "/data/digest").is(),
            _ => view.text("/data/draft_digest").map(str::to_owned),
        };
        view.text("/approval_id")
            .is_some_and(|id| self.approvals.contains(id))
            || digest.is_some_and(|digest| self.digests.contains(&digest))
            || view
                .identity()
                .is_some_and(|identity| self.causes.contains(&identity))
            || view
                .causes()
                .iter()
                .any(|(cause, _)| self.identities.contains(cause))
    }

    fn joins_by_run(&self, view: View<'a>) -> bool {
        let among = |set: &BTreeSet<&str>, pointer| {
            view.text(pointer).is_some_and(|text| set.contains(text))
        };
        among(&self.runs, "/run_id")
            || among(&self.requests, "/request_id")
            || view
                .entry
                .leaf
                .trace
                .is_some_and(|trace| self.traces.contains(&trace.to_hex()))
    }

    /// Whether the entry says that it is of another run.
    fn contradicts(&self, view: View<'a>) -> bool {
        let other = view
            .text("/run_id")
            .is_some_and(|run| !self.runs.is_empty() && !self.runs.contains(run));
        other && of_its_run(view.kind())
    }
}

/// Approval ids of decisions, outputs and actions that name no recommendation and are joined to none.
fn stray_approvals<'a>(views: &[View<'a>], cores: &[Core<'a>]) -> BTreeSet<Option<&'a str>> {
    let stray = views.iter().filter(|view| {
        CLOSE.contains(&view.kind())
            && view.known("/recommendation_id").is_absent()
            && !cores.iter().any(|core| core.joins_closely(**view))
    });
    stray
        .map(|view| view.text("/approval_id"))
        .filter(Option::is_some)
        .collect()
}

fn place<'a>(
    view: View<'a>,
    units: &[Unit<'a>],
    cores: &[Core<'a>],
    strays: &BTreeSet<Option<&str>>,
) -> Place {
    let all = |belongs| Place {
        belongs: vec![belongs; units.len()],
        loose: false,
    };
    let drafted = |unit: &Unit<'a>| unit.drafts.iter().any(|draft| draft.seq() == view.seq());
    if view.is("recommendation.drafted") {
        let belongs = units.iter().map(|unit| {
            if drafted(unit) {
                Belongs::Yes
            } else {
                Belongs::No
            }
        });
        return Place {
            belongs: belongs.collect(),
            loose: false,
        };
    }
    let named = view.known("/recommendation_id");
    if let Known::Is(id) = named {
        let belongs = units.iter().map(|unit| match unit.id {
            Some(ours) if ours == id => Belongs::Yes,
            Some(_) => Belongs::No,
            None if unit
                .drafts
                .iter()
                .any(|draft| draft.known("/recommendation_id").is_hidden()) =>
            {
                if units.len() == 1 {
                    Belongs::Yes
                } else {
                    Belongs::Perhaps
                }
            }
            None => Belongs::No,
        });
        return Place {
            belongs: belongs.collect(),
            loose: false,
        };
    }
    let joined: Vec<bool> = cores.iter().map(|core| core.joins(view)).collect();
    if let ([core], [unit]) = (cores, units) {
        if joined.contains(&true) {
            return all(Belongs::Yes);
        }
        let hidden = |pointer: &&str| view.see(pointer).is_hidden();
        let known = unit.id.is_some() && named.is_absent() && !JOINING.iter().any(hidden);
        // A requirement with an id that the recommendation does not know is about what carries that id.
        let close = CLOSE.contains(&view.kind())
            || (view.is("approval.required") && strays.contains(&view.known("/approval_id").is()));
        if known && close {
            return Place {
                belongs: vec![Belongs::No],
                loose: true,
            };
        }
        return all(if core.contradicts(view) {
            Belongs::No
        } else {
            Belongs::Yes
        });
    }
    let joins = joined.iter().filter(|joined| **joined).count();
    // The end of a run that holds several recommendations is the end for each of them.
    let shared = SHARED.contains(&view.kind()) || (view.is("run.concluded") && joins > 0);
    if joins == 1 || (shared && joins > 0) {
        let belongs = joined
            .iter()
            .map(|joined| if *joined { Belongs::Yes } else { Belongs::No });
        return Place {
            belongs: belongs.collect(),
            loose: false,
        };
    }
    if named.is_hidden() {
        return all(Belongs::Perhaps);
    }
    if shared {
        let belongs = cores.iter().map(|core| {
            if core.contradicts(view) {
                Belongs::No
            } else {
                Belongs::Yes
            }
        });
        return Place {
            belongs: belongs.collect(),
            loose: false,
        };
    }
    Place {
        belongs: vec![Belongs::No; units.len()],
        loose: TIED.contains(&view.kind()),
    }
}
