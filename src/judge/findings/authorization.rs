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
            "source.accessed" => cited_denial(judging, view, false, "did.read"),
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

/// What the decisions on the case say before an entry.
#[derive(Debug, Clone, Copy)]
enum OnCase<'a> {
    Allowed,
    Denied(View<'a>),
    /// There is none, or it does not say what was decided.
    Silent,
    /// It cannot be told.
    Open,
}

impl OnCase<'_> {
    fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Allowed, Self::Allowed) | (Self::Silent, Self::Silent) => true,
            (Self::Denied(a), Self::Denied(b)) => a.seq() == b.seq(),
            _ => false,
        }
    }
}

/// The latest decision on the case itself (not on a source or a tool) that concerns those who asked or drafted, and
/// about which `counts` does not say no.
fn on_case<'a>(
    judging: &Judging<'a, '_>,
    seq: u64,
    counts: impl Fn(View<'a>) -> Known<()>,
) -> OnCase<'a> {
    let people = People::new(judging);
    let mut possible: Vec<OnCase<'a>> = Vec::new();
    let mut others_allowed = false;
    let mut certain = false;
    for decision in judging
        .unit
        .of("authorization.decided")
        .rev()
        .filter(|view| view.seq() < seq)
    {
        let kind = match decision.known("/data/resource/kind") {
            Known::Is("case") | Known::Absent => Known::Is(()),
            Known::Is(_) => Known::Absent,
            Known::Hidden => Known::Hidden,
        };
        let parts = [kind, people.concerns(decision), counts(decision)];
        let says = match decision.known("/data/result") {
            Known::Is("allowed" | "approval_required") => OnCase::Allowed,
            Known::Is("denied") => OnCase::Denied(decision),
            Known::Hidden => OnCase::Open,
            Known::Is(_) | Known::Absent => OnCase::Silent,
        };
        if parts.contains(&Known::Absent) {
            // Whose permission it was may be recorded in a way that this does not know; that somebody was allowed
            // is then taken as permission, that somebody else was denied is not taken as denial.
            others_allowed |= parts[0] == Known::Is(()) && matches!(says, OnCase::Allowed);
            continue;
        }
        possible.push(says);
        if !parts.contains(&Known::Hidden) {
            certain = true;
            break;
        }
    }
    if !certain {
        possible.push(
            match (
                others_allowed,
                judging.unit.may_have("authorization.decided"),
            ) {
                (true, _) => OnCase::Allowed,
                (false, true) => OnCase::Open,
                (false, false) => OnCase::Silent,
            },
        );
    }
    let Some(first) = possible.first().copied() else {
        return OnCase::Silent;
    };
    if possible.iter().all(|other| first.same(*other)) {
        first
    } else {
        OnCase::Open
    }
}

/// Those who asked or drafted. Somebody else's denied attempt to open the case says nothing about this run.
struct People<'a> {
    ids: Vec<&'a str>,
    open: bool,
}

impl<'a> People<'a> {
    fn new(judging: &Judging<'a, '_>) -> Self {
        let unit = judging.unit;
        let mut people = Self {
            ids: Vec::new(),
            open: unit.may_have("request.received"),
        };
        for view in unit
            .of("request.received")
            .chain(unit.of("recommendation.drafted"))
        {
            for pointer in ["/actor/id", "/actor/on_behalf_of"] {
                let id = view.known(pointer);
                people.open |= id.is_hidden();
                people.ids.extend(id.is());
            }
        }
        people
    }

    fn concerns(&self, decision: View<'a>) -> Known<()> {
        match decision.known("/actor/id") {
            Known::Absent => Known::Is(()),
            Known::Is(id) if self.ids.contains(&id) => Known::Is(()),
            // A decision that names a service as its actor names who decided, not whom it is about.
            Known::Is(_) => match decision.known("/actor/kind") {
                Known::Is("service") => Known::Is(()),
                Known::Hidden => Known::Hidden,
                _ if self.open => Known::Hidden,
                _ if self.ids.is_empty() => Known::Is(()),
                _ => Known::Absent,
            },
            Known::Hidden => Known::Hidden,
        }
    }
}

/// Whether two texts are the same, as far as is shown.
fn equal(a: Known<&str>, b: Known<&str>) -> Known<()> {
    match (a, b) {
        (Known::Is(a), Known::Is(b)) if a == b => Known::Is(()),
        (Known::Hidden, Known::Is(_) | Known::Hidden) | (Known::Is(_), Known::Hidden) => {
            Known::Hidden
        }
        _ => Known::Absent,
    }
}

fn tell<'a>(judging: &mut Judging<'a, '_>, said: OnCase<'a>, then: View<'a>, what: &str) {
    match said {
        OnCase::Allowed => {}
        OnCase::Denied(decision) => denied(judging, decision, then, what),
        OnCase::Silent => none(judging, then, what),
        OnCase::Open => {
            judging.leave_open("authorization.denied");
            judging.leave_open("authorization.none");
        }
    }
}

fn draft<'a>(judging: &mut Judging<'a, '_>, draft: View<'a>) {
    // A denial of the very action that is recommended is judged where the action is performed.
    let recommended = draft.known("/data/recommended_action");
    let said = on_case(judging, draft.seq(), |decision| {
        if matches!(
            decision.known("/data/result"),
            Known::Is("allowed" | "approval_required")
        ) {
            return Known::Is(());
        }
        match equal(decision.known("/data/action"), recommended) {
            Known::Is(()) => Known::Absent,
            Known::Absent => Known::Is(()),
            Known::Hidden => Known::Hidden,
        }
    });
    tell(judging, said, draft, "did.drafted");
}

fn action<'a>(judging: &mut Judging<'a, '_>, act: View<'a>) {
    let said = match cited(
        judging,
        act.known("/data/authorization_decision_id"),
        act.seq(),
    ) {
        Cited::Found(decision) => match decision.known("/data/result") {
            Known::Is("allowed" | "approval_required") => OnCase::Allowed,
            Known::Is("denied") => OnCase::Denied(decision),
            Known::Hidden => OnCase::Open,
            Known::Is(_) | Known::Absent => OnCase::Silent,
        },
        Cited::NotBefore => OnCase::Silent,
        Cited::Open => OnCase::Open,
        // What a person does after a run has handed over does not rest on the run's permission.
        Cited::None if judging.unit.kind == UnitKind::Run => return,
        Cited::None => {
            let code = act.known("/data/action");
            let of_action = |decision: View<'a>| equal(decision.known("/data/action"), code);
            match on_case(judging, act.seq(), of_action) {
                OnCase::Silent => on_case(judging, act.seq(), |_| Known::Is(())),
                said => said,
            }
        }
    };
    let said = match act.known("/data/status") {
        Known::Hidden if !matches!(said, OnCase::Allowed) => OnCase::Open,
        _ => said,
    };
    tell(judging, said, act, "did.performed");
}

fn audit<'a>(judging: &mut Judging<'a, '_>, audit: View<'a>) {
    let status = audit.known("/data/answer_status");
    if matches!(status, Known::Is("refused" | "denied")) {
        // The flat event reports denials too; only an answer that was given is a defect.
        return;
    }
    cited_denial(judging, audit, status.is_hidden(), "did.answered");
}

fn tool<'a>(judging: &mut Judging<'a, '_>, call: View<'a>) {
    let status = call.known("/data/status");
    if matches!(status, Known::Is("denied" | "failed")) {
        return;
    }
    match call.known("/data/authorization_result") {
        Known::Is("denied") if status.is_hidden() => judging.leave_open("authorization.denied"),
        Known::Is("denied") => {
            let say = about("authorization.denied")
                .on([call])
                .arg("what", term("did.executed"));
            judging.find("authorization.denied", Weight::Full, say);
        }
        result => cited_denial(
            judging,
            call,
            status.is_hidden() || result.is_hidden(),
            "did.executed",
        ),
    }
}

/// What was done though the decision that it names was a denial. `unsure`: whether it was done is not shown.
fn cited_denial<'a>(judging: &mut Judging<'a, '_>, view: View<'a>, unsure: bool, what: &str) {
    match cited(
        judging,
        view.known("/data/authorization_decision_id"),
        view.seq(),
    ) {
        Cited::Found(decision) => match decision.known("/data/result") {
            Known::Is("denied") if !unsure => denied(judging, decision, view, what),
            Known::Is("denied") | Known::Hidden => judging.leave_open("authorization.denied"),
            _ => {}
        },
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
