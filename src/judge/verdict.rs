//! From entries to a judgement.

use std::collections::BTreeSet;

use super::findings::{
    Family, Hidden, Outcome, approval_needed, code_info, content, judge_unit, time,
};
use super::profile::{LEVELS, Profile, Rule};
use super::unit::{Unit, acted_alone, attempted, in_focus, units};
use super::view::{Known, View};
use super::{Entry, Finding, Judged, Judgement, Subject, answer, graph, timeline};
use crate::event::vocabulary::RiskLevel;

/// Judges a record. `entries` are all entries of the case in ledger order, or of the trace when there is no case.
#[must_use]
pub fn judge(subject: &Subject, entries: &[Entry], profile: &Profile) -> Judgement {
    let views: Vec<View<'_>> = entries.iter().map(View::new).collect();
    let joins = graph::joins(&views);
    let everything = units(&views);
    let several = everything.len();
    let focus = in_focus(everything, subject, &views);
    let mut judged: Vec<Told<'_, '_>> = focus
        .iter()
        .map(|unit| judge_one(unit, &views, profile))
        .collect();
    if focus.len() > 1 {
        judged.iter_mut().for_each(name_recommendation);
    }

    let strictest = judged
        .iter()
        .max_by_key(|told| told.level)
        .and_then(|told| told.rule);
    let rule = strictest.or_else(|| profile.rule_for(feature(&views).is(), RiskLevel::Critical));
    let part = focus.len() < several;
    let in_part = |view: &View<'_>| {
        !part
            || focus
                .iter()
                .any(|unit| unit.members.iter().any(|m| m.seq() == view.seq()))
    };
    let shown: Vec<View<'_>> = views.iter().copied().filter(in_part).collect();
    let in_part_joins: Vec<graph::Join<'_>> = joins
        .iter()
        .filter(|join| in_part(&join.from))
        .cloned()
        .collect();
    let times = rule
        .and_then(|index| profile.rules.get(index))
        .map(|rule| time(&shown, &in_part_joins, rule))
        .unwrap_or_default();
    let hidden = Hidden::new(&views);

    let mut findings: Vec<Finding> = judged
        .iter()
        .flat_map(|told| told.outcome.findings.iter().cloned())
        .collect();
    findings.extend(times.findings.iter().cloned());
    findings.extend(content(&hidden));
    arrange(&mut findings);

    let mut undecided: BTreeSet<&'static str> = judged
        .iter()
        .flat_map(|told| told.outcome.undecided.iter().copied())
        .collect();
    undecided.extend(&times.undecided);
    let verdict = |family: fn(Family) -> bool| {
        let of = |code: &str| code_info(code).is_some_and(|info| family(info.family));
        if judged.is_empty() && acted_alone(&views).is_hidden() {
            Judged::Undetermined
        } else if judged.is_empty() {
            Judged::NotApplicable
        } else if findings.iter().any(|finding| of(&finding.code)) {
            Judged::Bad
        } else if undecided.iter().any(|code| of(code)) {
            Judged::Undetermined
        } else {
            Judged::Good
        }
    };
    Judgement {
        elements: verdict(|family| family == Family::Elements),
        controls: verdict(|family| {
            matches!(family, Family::Controls | Family::Evidence | Family::Time)
        }),
        answer: answer::answer(&views, &judged, &findings, &hidden, &times.undecided),
        timeline: timeline::timeline(&views),
        findings,
        graph: graph::edges(&joins),
        profile_rule: strictest,
    }
}

/// A unit with what its judging has shown.
pub(super) struct Told<'a, 'u> {
    pub(super) unit: &'u Unit<'a>,
    pub(super) outcome: Outcome,
    /// The rule that was applied; the strictest, when the risk is not shown.
    pub(super) rule: Option<usize>,
    /// The level of risk by which it was judged.
    pub(super) level: RiskLevel,
    /// What is recorded of the risk.
    pub(super) risk: Known<RiskLevel>,
    /// Whether a recorded level of risk could have led to another outcome.
    pub(super) strict: bool,
    /// Whether the applied rule, or the record, asks for an approval.
    pub(super) approval_needed: Known<()>,
}

/// Judges one unit by its rule. When what selects the rule is not shown, by each rule that it may be: only what all of
/// them find is said, and what only some find is left open.
fn judge_one<'a, 'u>(unit: &'u Unit<'a>, all: &[View<'a>], profile: &Profile) -> Told<'a, 'u> {
    let risk = risk(unit);
    let levels = match risk {
        Known::Is(level) => vec![level],
        // Who records no risk must not be judged more mildly for it.
        Known::Absent => vec![RiskLevel::Critical],
        Known::Hidden => LEVELS.to_vec(),
    };
    let level = levels.last().copied().unwrap_or(RiskLevel::Critical);
    let rules: BTreeSet<usize> = match feature(&unit.members) {
        Known::Hidden => {
            let fits = |rule: &Rule| rule.risks.iter().any(|risk| levels.contains(risk));
            profile
                .rules
                .iter()
                .enumerate()
                .filter(|(_, rule)| fits(rule))
                .map(|(index, _)| index)
                .collect()
        }
        feature => levels
            .iter()
            .filter_map(|level| profile.rule_for(feature.is(), *level))
            .collect(),
    };
    let rule = profile
        .rule_for(feature(&unit.members).is(), level)
        .or_else(|| rules.last().copied());
    let outcomes = rules
        .iter()
        .filter_map(|index| profile.rules.get(*index))
        .map(|rule| judge_unit(unit, all, rule));
    let outcome = outcomes.reduce(common).unwrap_or_default();
    let strict = risk.is_absent() && {
        let milder = LEVELS
            .iter()
            .filter_map(|level| profile.rule_for(feature(&unit.members).is(), *level))
            .filter(|index| !rules.contains(index))
            .filter_map(|index| profile.rules.get(index));
        let told = |outcome: &Outcome| -> BTreeSet<(String, Vec<u64>)> {
            let findings = outcome.findings.iter();
            findings
                .map(|finding| (finding.code.clone(), finding.sentence.entries.clone()))
                .collect()
        };
        milder
            .map(|rule| judge_unit(unit, all, rule))
            .any(|other| told(&other) != told(&outcome) || other.undecided != outcome.undecided)
    };
    let applied = rule.and_then(|index| profile.rules.get(index));
    let approval_needed = applied.map_or(Known::Hidden, |rule| approval_needed(unit, rule));
    Told {
        unit,
        outcome,
        rule,
        level,
        risk,
        strict,
        approval_needed,
    }
}

/// Says of each missing element which of several recommendations lacks it.
fn name_recommendation(told: &mut Told<'_, '_>) {
    let Some(named) = told.unit.named_at() else {
        return;
    };
    for finding in &mut told.outcome.findings {
        let sentence = &mut finding.sentence;
        // What rests on entries of its own, such as a search without an index version, may be shared.
        let shared = sentence.args.contains_key("count");
        if finding.code.starts_with("missing.")
            && !shared
            && let Some(arg) = named.arg("/recommendation_id")
        {
            sentence.args.insert("recommendation".to_owned(), arg);
            sentence.entries.push(named.seq());
            sentence.entries.sort_unstable();
            sentence.entries.dedup();
        }
    }
}

/// What two judgings have in common; the rest is undecided.
fn common(a: Outcome, b: Outcome) -> Outcome {
    let mut undecided: BTreeSet<&'static str> = a.undecided.union(&b.undecided).copied().collect();
    let (both, one): (Vec<Finding>, Vec<Finding>) = a
        .findings
        .iter()
        .cloned()
        .partition(|finding| b.findings.contains(finding));
    let only_b = b
        .findings
        .iter()
        .filter(|finding| !a.findings.contains(finding));
    undecided.extend(
        one.iter()
            .chain(only_b)
            .filter_map(|finding| code_info(&finding.code))
            .map(|info| info.code),
    );
    Outcome {
        findings: both,
        undecided,
    }
}

/// The level of risk that was recorded before anything was done: the highest, unless a person lowered it. A level that
/// was recorded only afterwards did not guide anybody.
fn risk(unit: &Unit<'_>) -> Known<RiskLevel> {
    let level = |view: View<'_>| match view.known("/data/level") {
        Known::Is(text) => serde_json::from_value(serde_json::Value::String(text.to_owned()))
            .map_or(Known::Absent, Known::Is),
        Known::Absent => Known::Absent,
        Known::Hidden => Known::Hidden,
    };
    let before = |acted: Option<View<'_>>| {
        let acted = acted.map_or(u64::MAX, View::seq);
        let levels = unit.of("risk.classified").filter(|view| view.seq() < acted);
        // A person may take a level back; a program that lowers it just before acting switches nothing off.
        let by_person = |view: View<'_>| view.known("/actor/kind") == Known::Is("human");
        levels.fold(Known::Absent, |held, view| match (held, level(view)) {
            (held, Known::Absent) => held,
            (Known::Is(held), Known::Is(next)) if next < held && !by_person(view) => {
                Known::Is(held)
            }
            (_, next) => next,
        })
    };
    let sure = before(
        unit.of("action.performed")
            .find(|view| attempted(*view) == Known::Is(())),
    );
    let perhaps = before(
        unit.of("action.performed")
            .find(|view| !attempted(*view).is_absent()),
    );
    match sure {
        sure if sure != perhaps => Known::Hidden,
        Known::Absent if unit.may_have("risk.classified") => Known::Hidden,
        sure => sure,
    }
}

/// The feature that the draft names, else any entry.
fn feature<'a>(views: &[View<'a>]) -> Known<&'a str> {
    let of = |view: &View<'a>| view.known("/feature");
    let draft = views
        .iter()
        .rfind(|view| view.is("recommendation.drafted"))
        .map(of);
    if let Some(feature @ (Known::Is(_) | Known::Hidden)) = draft {
        return feature;
    }
    let mut all = views
        .iter()
        .filter(|view| !super::unit::is_service(view.kind()))
        .map(of);
    match all.clone().find_map(Known::is) {
        Some(feature) => Known::Is(feature),
        None if all.any(|feature| feature.is_hidden()) => Known::Hidden,
        None => Known::Absent,
    }
}

/// Gravest first, then in ledger order, then by code.
fn arrange(findings: &mut Vec<Finding>) {
    let first = |finding: &Finding| {
        finding
            .sentence
            .entries
            .first()
            .copied()
            .unwrap_or(u64::MAX)
    };
    findings.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| first(a).cmp(&first(b)))
            .then_with(|| a.code.cmp(&b.code))
    });
    findings.dedup();
}
