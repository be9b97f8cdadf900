//! Approvals: did the right people say yes, to this draft, before anything was done?
//!
//! Order is the ledger's (`seq`), never claimed time: a late approval does not cure an action that came first. An
//! approval covers the draft whose digest the approver saw, and no other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Judging, Weight, about};
use crate::judge::Arg;
use crate::judge::profile::Rule;
use crate::judge::unit::{Unit, UnitKind};
use crate::judge::view::{Known, Say, See, View, digest_of, term};
use crate::ledger::Timestamp;

/// Something that needed the approval: an output handed out, or an action.
struct Act<'a> {
    view: View<'a>,
    how: How,
    output: bool,
    /// Digests of what an approval must have been for: the draft that stood then, and the final text.
    targets: Vec<String>,
    targets_hidden: bool,
    /// The draft that stood then.
    draft: Option<View<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Performed,
    /// It failed. It should not have been tried without approval, but nothing came of it.
    Attempted,
    /// Its status is not shown.
    Unclear,
}

/// A recorded decision.
struct Decision<'a> {
    view: View<'a>,
    says: Known<&'a str>,
    saw: Saw,
}

/// Which draft the approver saw, compared with the one that went forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saw {
    Same,
    Other,
    Unknown,
}

impl Decision<'_> {
    fn yes(&self) -> bool {
        self.says == Known::Is("approved")
    }

    /// Whether it may be a yes to this draft, as far as is shown.
    fn perhaps(&self) -> bool {
        (self.yes() || self.says.is_hidden()) && self.saw != Saw::Other
    }
}

/// Judges all approvals.
pub(super) fn judge(judging: &mut Judging<'_, '_>) {
    if judging.unit.kind == UnitKind::Run {
        return;
    }
    for act in acts(judging.unit) {
        let requirements: Vec<View<'_>> = governing(judging.unit, act.view.seq());
        let needing: Vec<View<'_>> = requirements
            .iter()
            .copied()
            .filter(|view| !required(*view).is_absent())
            .collect();
        let needed = needed_at(judging.unit, judging.rule, &requirements);
        if needing.is_empty() {
            judge_group(judging, &act, None, needed);
        }
        for requirement in needing {
            judge_group(judging, &act, Some(requirement), needed);
        }
    }
}

/// Whether an approval is needed at all: by the profile, by a recorded requirement, or by an authorization that was
/// given only under approval.
pub(crate) fn needed(unit: &Unit<'_>, rule: &Rule) -> Known<()> {
    needed_at(unit, rule, &governing(unit, u64::MAX))
}

/// Whether the approver counts as a person. An AI agent or a program approves nothing.
pub(crate) fn is_person(view: View<'_>) -> bool {
    !matches!(view.text("/actor/kind"), Some("agent" | "service"))
}

fn needed_at(unit: &Unit<'_>, rule: &Rule, requirements: &[View<'_>]) -> Known<()> {
    if rule.approval_required {
        return Known::Is(());
    }
    let by_authorization = unit.of("authorization.decided").map(|view| {
        match (
            view.known("/data/result"),
            view.known("/data/resource/kind"),
        ) {
            (_, Known::Is("source" | "tool")) => Known::Absent,
            (Known::Is("approval_required"), Known::Hidden) | (Known::Hidden, _) => Known::Hidden,
            (Known::Is("approval_required"), _) => Known::Is(()),
            _ => Known::Absent,
        }
    });
    let parts: Vec<Known<()>> = requirements
        .iter()
        .map(|view| required(*view))
        .chain(by_authorization)
        .collect();
    let unclear = unit.may_have("approval.required") || unit.may_have("authorization.decided");
    if parts.contains(&Known::Is(())) {
        Known::Is(())
    } else if parts.contains(&Known::Hidden) || unclear {
        Known::Hidden
    } else {
        Known::Absent
    }
}

/// Whether the entry asks for approval. Absent means yes.
fn required(view: View<'_>) -> Known<()> {
    flag(view, "/data/required", true)
}

fn flag(view: View<'_>, pointer: &str, absent: bool) -> Known<()> {
    let of = |set: bool| if set { Known::Is(()) } else { Known::Absent };
    match view.see(pointer) {
        See::Shown(datum) => of(datum.value.as_bool().unwrap_or(absent)),
        See::Absent => of(absent),
        _ => Known::Hidden,
    }
}

/// The requirements that held when the ledger was at `seq`: the latest for each approval id. One that was recorded
/// only afterwards counts when there was none before: what is asked for may be written down late, but not loosened.
fn governing<'a>(unit: &Unit<'a>, seq: u64) -> Vec<View<'a>> {
    let mut latest: BTreeMap<Option<&str>, View<'a>> = BTreeMap::new();
    for view in unit.of("approval.required") {
        let key = view.text("/approval_id");
        // Once somebody has decided under a requirement, only a person changes what was required.
        let settled = latest.get(&key).is_some_and(|earlier: &View<'a>| {
            let between = |d: View<'a>| d.seq() > earlier.seq() && d.seq() < view.seq();
            unit.of("approval.decided").any(between)
                && view.known("/actor/kind") != Known::Is("human")
        });
        if !settled && (view.seq() < seq || !latest.contains_key(&key)) {
            latest.insert(key, view);
        }
    }
    latest.into_values().collect()
}

fn acts<'a>(unit: &Unit<'a>) -> Vec<Act<'a>> {
    let refused = unit.proper_end();
    let acts = unit.members.iter().copied().filter_map(|view| {
        let seq = view.seq();
        let draft = unit
            .draft_before(seq)
            .or_else(|| unit.drafts.first().copied());
        let of_draft = draft.map_or(Known::Absent, |d| {
            d.content_digest("/data/draft", "/data/draft_digest")
        });
        match view.kind() {
            "output.finalized" => {
                let digest = output_digest(view);
                let is_draft = match (&digest, &of_draft) {
                    (Known::Hidden, _) | (_, Known::Hidden) => Known::Hidden,
                    (digest, draft) if digest == draft => Known::Is(()),
                    _ => Known::Absent,
                };
                // After a proper end the text handed out is the refusal, unless it is the draft itself. Where there was a
                // draft, nothing recorded tells a refusal from an altered draft, so it is left open.
                let how = match (refused, is_draft) {
                    (Known::Is(_), Known::Absent) if of_draft.is_absent() => return None,
                    (Known::Is(_), Known::Absent) => How::Unclear,
                    (Known::Is(_), Known::Hidden)
                    | (Known::Hidden, Known::Absent | Known::Hidden) => How::Unclear,
                    _ => How::Performed,
                };
                let targets_hidden = digest.is_hidden();
                let targets = digest.is().into_iter().collect();
                Some(Act {
                    view,
                    how,
                    output: true,
                    targets,
                    targets_hidden,
                    draft,
                })
            }
            "action.performed" => {
                let how = match view.known("/data/status") {
                    Known::Is("cancelled") => return None,
                    Known::Is("failed") => How::Attempted,
                    Known::Hidden => How::Unclear,
                    Known::Is(_) | Known::Absent => How::Performed,
                };
                let finals: Vec<_> = unit
                    .of("output.finalized")
                    .filter(|o| o.seq() < seq)
                    .map(output_digest)
                    .collect();
                let targets_hidden = of_draft.is_hidden() || finals.iter().any(Known::is_hidden);
                let targets = finals
                    .into_iter()
                    .chain([of_draft])
                    .filter_map(Known::is)
                    .collect();
                Some(Act {
                    view,
                    how,
                    output: false,
                    targets,
                    targets_hidden,
                    draft,
                })
            }
            _ => None,
        }
    });
    acts.collect()
}

/// Digest of the final text. Its words, when shown, say more than the digest that came with them.
fn output_digest(view: View<'_>) -> Known<String> {
    match view.known("/data/text") {
        Known::Is(text) => Known::Is(digest_of(text)),
        _ => view.content_digest("/data/text", "/data/digest"),
    }
}

fn decisions<'a>(
    unit: &Unit<'a>,
    act: &Act<'a>,
    requirement: Option<View<'a>>,
) -> Vec<Decision<'a>> {
    let asked = requirement.and_then(|view| view.text("/approval_id"));
    let views = unit.of("approval.decided").filter(|view| {
        let id = view.text("/approval_id");
        if matches!(unit.kind, UnitKind::Loose | UnitKind::Acted) {
            return covers(*view, act.view);
        }
        id.is_none() || asked.is_none() || id == asked
    });
    let unsure = |view: View<'a>| match requirement {
        Some(requirement) => {
            let (ours, asked) = (
                view.known("/approval_id"),
                requirement.known("/approval_id"),
            );
            (ours.is_hidden() && !asked.is_absent()) || (asked.is_hidden() && !ours.is_absent())
        }
        None => false,
    };
    let decision = |view: View<'a>| {
        let saw = saw(view, act);
        // Which requirement it answers is not shown.
        let saw = if saw == Saw::Same && unsure(view) {
            Saw::Unknown
        } else {
            saw
        };
        Decision {
            view,
            says: view.known("/data/decision"),
            saw,
        }
    };
    views.map(decision).collect()
}

/// Whether the approval is joined to what was done: by the approval's id, or because the one names the other as cause.
pub(crate) fn covers(approval: View<'_>, act: View<'_>) -> bool {
    let id = approval.text("/approval_id");
    act.kind() != "approval.required"
        && ((id.is_some() && act.kind() != "approval.decided" && id == act.text("/approval_id"))
            || caused(approval, act)
            || caused(act, approval))
}

/// Whether the one names the other among its causes.
fn caused(effect: View<'_>, cause: View<'_>) -> bool {
    cause
        .identity()
        .is_some_and(|identity| effect.causes().iter().any(|(named, _)| *named == identity))
}

fn saw(view: View<'_>, act: &Act<'_>) -> Saw {
    let comparable = act.output || act.targets_hidden || !act.targets.is_empty();
    match view.known("/data/draft_digest") {
        Known::Is(digest) if act.targets.iter().any(|target| target == digest) => Saw::Same,
        Known::Is(_) if act.targets_hidden => Saw::Unknown,
        // Without any recorded draft there is nothing that the approval could miss; `missing.draft` tells that.
        Known::Is(_) | Known::Absent if !comparable => Saw::Same,
        Known::Is(_) => Saw::Other,
        // A no that does not say what was seen is a no to what stood then; a yes is a yes to nothing in particular.
        Known::Absent if view.text("/data/decision") == Some("rejected") => {
            let since = act.draft.map_or(0, View::seq);
            if view.seq() > since {
                Saw::Same
            } else {
                Saw::Other
            }
        }
        Known::Absent => Saw::Other,
        Known::Hidden => Saw::Unknown,
    }
}

fn judge_group<'a>(
    judging: &mut Judging<'a, '_>,
    act: &Act<'a>,
    requirement: Option<View<'a>>,
    needed: Known<()>,
) {
    let all = decisions(judging.unit, act, requirement);
    let (before, after): (Vec<Decision<'a>>, Vec<Decision<'a>>) =
        all.into_iter().partition(|d| d.view.seq() < act.view.seq());
    let weight = if act.how == How::Attempted {
        Weight::Lighter
    } else {
        Weight::Full
    };
    let sure = act.how != How::Unclear;
    let late = after
        .iter()
        .find(|d| d.yes() && d.saw != Saw::Other)
        .or_else(|| after.iter().find(|d| d.yes()));

    let last = before
        .iter()
        .rev()
        .find(|d| d.saw != Saw::Other && d.says != Known::Is("abstained"));
    if let Some(last) = last.filter(|d| !d.yes()) {
        if acted_otherwise(act) {
            // The no was heeded; `action.not_recommended` tells that something else was done.
            return;
        }
        if last.says == Known::Is("rejected") && last.saw == Saw::Same && sure {
            let say = about("approval.rejected")
                .on([last.view, act.view])
                .actor(last.view);
            let say = say.member("rejected_at", last.view, "recorded");
            judging.find_once("approval.rejected", weight, acted(say, act));
            if needed == Known::Is(()) {
                tell_late(judging, act, late);
            }
            return;
        }
        judging.leave_open("approval.rejected");
    }

    if needed.is_absent() {
        return;
    }
    let sure = sure && needed == Known::Is(());
    let covering: Vec<&Decision<'a>> = before
        .iter()
        .filter(|d| d.yes() && d.saw == Saw::Same && stands(d, &before))
        .collect();
    let absent = if act.output {
        "output.not_approved"
    } else {
        "approval.absent"
    };
    if covering.is_empty() {
        if !sure
            || judging.unit.may_have("approval.decided")
            || before.iter().any(|d| d.perhaps() || d.says.is_hidden())
        {
            judging.leave_open(absent);
            return;
        }
        tell_uncovered(
            judging,
            act,
            weight,
            before.iter().filter(|d| d.yes()).collect(),
            late,
        );
        return;
    }
    let perhaps = before
        .iter()
        .filter(|d| d.perhaps())
        .count()
        .saturating_sub(covering.len());
    judge_covering(judging, act, requirement, covering, perhaps, sure);
}

/// Whether the same person did not take it back before.
fn stands(decision: &Decision<'_>, before: &[Decision<'_>]) -> bool {
    let Known::Is(actor) = decision.view.known("/actor/id") else {
        return true;
    };
    let later = before
        .iter()
        .filter(|d| d.view.seq() > decision.view.seq() && d.view.text("/actor/id") == Some(actor));
    !later
        .into_iter()
        .any(|d| d.says == Known::Is("rejected") && d.saw == Saw::Same)
}

/// Whether what was done is recorded to be something else than what was recommended.
fn acted_otherwise(act: &Act<'_>) -> bool {
    let recommended = act
        .draft
        .and_then(|draft| draft.text("/data/recommended_action"));
    match (recommended, act.view.text("/data/action")) {
        (Some(recommended), Some(done)) => recommended != done,
        _ => false,
    }
}

/// No approval covers it.
fn tell_uncovered<'a>(
    judging: &mut Judging<'a, '_>,
    act: &Act<'a>,
    weight: Weight,
    others: Vec<&Decision<'a>>,
    late: Option<&Decision<'a>>,
) {
    if act.output {
        let digest = if act.view.has("/data/digest") == Known::Is(()) {
            "/data/digest"
        } else {
            "/data/text"
        };
        let on = others.iter().map(|d| d.view).chain([act.view]);
        let say = about("output.not_approved")
            .on(on)
            .need("digest", act.view, digest);
        judging.find_once(
            "output.not_approved",
            weight,
            say.member("acted_at", act.view, "recorded"),
        );
        return;
    }
    if let Some(other) = others.last() {
        let mut say = about("approval.other_draft").on(others
            .iter()
            .map(|d| d.view)
            .chain([act.view])
            .chain(act.draft));
        say = say
            .actor(other.view)
            .need("seen", other.view, "/data/draft_digest");
        say = match act.draft {
            Some(draft) => say.need("draft_digest", draft, "/data/draft_digest"),
            None => say.arg("draft_digest", term("not_recorded")),
        };
        judging.find_once("approval.other_draft", weight, acted(say, act));
    }
    let told = tell_late(judging, act, late);
    if others.is_empty() && !told {
        let say = about("approval.absent").on(act.draft.into_iter().chain([act.view]));
        judging.find_once("approval.absent", weight, acted(say, act));
    }
}

/// A yes that came after the action. A failed attempt was not covered by it either, but it is told as absent.
fn tell_late<'a>(
    judging: &mut Judging<'a, '_>,
    act: &Act<'a>,
    late: Option<&Decision<'a>>,
) -> bool {
    let Some(late) = late.filter(|_| act.how == How::Performed && !act.output) else {
        return false;
    };
    let say = about("approval.after_action")
        .on([act.view, late.view])
        .actor(late.view);
    let say = say.member("approved_at", late.view, "recorded");
    judging.find_once("approval.after_action", Weight::Full, acted(say, act));
    true
}

/// What was done, when, and how it ended.
fn acted(say: Say, act: &Act<'_>) -> Say {
    let how = match (act.output, act.how) {
        (true, _) => "did.handed_out",
        (false, How::Attempted) => "did.attempted",
        (false, How::Performed | How::Unclear) => "did.performed",
    };
    say.at("action", act.view, "/data/action")
        .member("acted_at", act.view, "recorded")
        .arg("how", term(how))
}

/// Approvals of the right draft, in time: were they valid, enough, and independent?
fn judge_covering<'a>(
    judging: &mut Judging<'a, '_>,
    act: &Act<'a>,
    requirement: Option<View<'a>>,
    covering: Vec<&Decision<'a>>,
    perhaps: usize,
    sure: bool,
) {
    let weight = if act.how == How::Attempted {
        Weight::Lighter
    } else {
        Weight::Full
    };
    let on = |decisions: &[&Decision<'a>]| -> Vec<View<'a>> {
        decisions
            .iter()
            .map(|d| d.view)
            .chain([act.view])
            .chain(requirement)
            .collect()
    };
    let mut valid = covering.clone();
    if let Some(requirement) = requirement {
        match requirement.known("/data/expires").parsed() {
            Known::Is(expires) => {
                valid.retain(|d| d.view.recorded() <= expires && act.view.recorded() <= expires);
                if valid.is_empty() && perhaps > 0 {
                    judging.leave_open("approval.expired");
                    return;
                }
                if valid.is_empty() {
                    let say = about("approval.expired").on(on(&covering)).need(
                        "expires",
                        requirement,
                        "/data/expires",
                    );
                    if sure {
                        judging.find_once("approval.expired", weight, acted(say, act));
                    } else {
                        judging.leave_open("approval.expired");
                    }
                    return;
                }
            }
            Known::Absent => {}
            Known::Hidden => judging.leave_open("approval.expired"),
        }
    }

    let mut count = Count::new(judging, requirement, &valid);
    count.unsure += perhaps;
    if count.all.len() < count.quorum {
        if !sure || count.open || count.all.len() + count.unsure >= count.quorum {
            judging.leave_open("approval.quorum");
        } else {
            let say = about("approval.quorum")
                .on(on(&valid))
                .number("approvals", count.all.len());
            let quorum = requirement
                .and_then(|view| view.arg("/data/quorum"))
                .unwrap_or(Arg::Count { count: 1 });
            let say = say.arg("quorum", quorum).opt(
                "roles",
                requirement.and_then(|view| view.arg("/data/roles")),
            );
            judging.find_once("approval.quorum", weight, acted(say, act));
        }
        return;
    }
    if count.open_quorum {
        judging.leave_open("approval.quorum");
    }
    judge_separation(judging, act, requirement, &valid, &count, sure);
}

/// Whether enough of those who approved are others than those who asked or drafted.
fn judge_separation<'a>(
    judging: &mut Judging<'a, '_>,
    act: &Act<'a>,
    requirement: Option<View<'a>>,
    valid: &[&Decision<'a>],
    count: &Count<'a>,
    sure: bool,
) {
    let asked = requirement.map_or(Known::Absent, |view| {
        flag(view, "/data/separation_of_duties", false)
    });
    let separate = if judging.rule.separation_of_duties {
        Known::Is(())
    } else {
        asked
    };
    if separate.is_absent() {
        return;
    }
    let own = Own::new(judging.unit);
    let independent = count.all.iter().filter(|id| !own.ids.contains(*id)).count();
    if independent < count.quorum && independent < count.all.len() {
        if !sure || separate.is_hidden() || count.unsure > 0 {
            judging.leave_open("approval.self");
            return;
        }
        let selves = valid.iter().filter(|d| {
            d.view
                .text("/actor/id")
                .is_some_and(|id| own.ids.contains(id))
        });
        let selves: Vec<View<'a>> = selves.map(|d| d.view).collect();
        let mut say =
            about("approval.self").on(selves.iter().copied().chain([act.view]).chain(own.views));
        if let Some(first) = selves.first() {
            say = say.actor(*first);
        }
        judging.find_once(
            "approval.self",
            if act.how == How::Attempted {
                Weight::Lighter
            } else {
                Weight::Full
            },
            say,
        );
    } else if own.open || own.ids.is_empty() {
        // Nobody can say that the approver was somebody else when it is not known who asked.
        judging.leave_open("approval.self");
    }
}

/// How many different people approved who may.
struct Count<'a> {
    all: BTreeSet<&'a str>,
    /// Approvals that may count: what would tell is not shown.
    unsure: usize,
    quorum: usize,
    /// How many are needed is not shown.
    open_quorum: bool,
    open: bool,
}

impl<'a> Count<'a> {
    fn new(
        judging: &Judging<'a, '_>,
        requirement: Option<View<'a>>,
        valid: &[&Decision<'a>],
    ) -> Self {
        let roles = requirement.map_or(Known::Absent, |view| view.texts("/data/roles"));
        let quorum = requirement.map_or(Known::Absent, |view| match view.see("/data/quorum") {
            See::Shown(datum) => datum.value.as_u64().map_or(Known::Absent, Known::Is),
            See::Absent => Known::Absent,
            _ => Known::Hidden,
        });
        let mut count = Self {
            all: BTreeSet::new(),
            unsure: 0,
            quorum: usize::try_from(quorum.is().unwrap_or(1))
                .unwrap_or(usize::MAX)
                .max(1),
            open_quorum: quorum.is_hidden(),
            open: quorum.is_hidden() || judging.unit.may_have("approval.decided"),
        };
        for decision in valid {
            let view = decision.view;
            let may = match (&roles, view.known("/actor/role")) {
                (Known::Is(roles), _) if roles.is_empty() => Known::Is(()),
                (Known::Is(roles), Known::Is(role)) if roles.contains(&role) => Known::Is(()),
                (Known::Is(_), Known::Is(_) | Known::Absent) => Known::Absent,
                (Known::Absent, _) => Known::Is(()),
                _ => Known::Hidden,
            };
            match (may, view.known("/actor/id"), is_person(view)) {
                (Known::Absent, ..) | (_, Known::Absent, _) | (.., false) => {}
                (Known::Is(()), Known::Is(id), true) if !view.known("/actor/kind").is_hidden() => {
                    count.all.insert(id);
                }
                _ => count.unsure += 1,
            }
        }
        count
    }
}

/// Those who asked or drafted, themselves or through an agent.
struct Own<'a> {
    ids: BTreeSet<&'a str>,
    views: Vec<View<'a>>,
    open: bool,
}

impl<'a> Own<'a> {
    fn new(unit: &Unit<'a>) -> Self {
        let mut own = Self {
            ids: BTreeSet::new(),
            views: Vec::new(),
            open: unit.may_have("request.received"),
        };
        for view in unit
            .of("request.received")
            .chain(unit.of("recommendation.drafted"))
            .chain(unit.of("ai.audit"))
        {
            for pointer in ["/actor/id", "/actor/on_behalf_of"] {
                match view.known(pointer) {
                    Known::Is(id) => {
                        own.ids.insert(id);
                    }
                    Known::Hidden => own.open = true,
                    Known::Absent => {}
                }
            }
            own.views.push(view);
        }
        own
    }
}

impl Known<&str> {
    /// The time that the text says. One that cannot be read decides nothing.
    fn parsed(self) -> Known<Timestamp> {
        match self {
            Known::Is(text) => Timestamp::parse_rfc3339(text).map_or(Known::Hidden, Known::Is),
            Known::Absent => Known::Absent,
            Known::Hidden => Known::Hidden,
        }
    }
}
