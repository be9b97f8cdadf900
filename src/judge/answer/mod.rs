//! The answer: what is told, in which order, and which entries each sentence rests on.

mod sections;
mod summary;

use std::collections::{BTreeMap, BTreeSet};

use super::findings::{Hidden, covers};
use super::unit::{UnitKind, acted_alone};
use super::verdict::Told;
use super::view::{View, say, term};
use super::{AnswerPart, Finding, Section, Sentence};
use crate::event::vocabulary::RiskLevel;
use crate::judge::Arg;

/// Tells the answer, summary first; a section without sentences is left out.
pub(super) fn answer(
    views: &[View<'_>],
    judged: &[Told<'_, '_>],
    findings: &[Finding],
    hidden: &Hidden<'_>,
    open_times: &BTreeSet<&'static str>,
) -> Vec<AnswerPart> {
    let mut parts = Parts::default();
    if views.is_empty() {
        return Vec::new();
    }
    if judged.is_empty() {
        parts.add(
            Section::Summary,
            say("summary.no_ai").on(views.iter().copied()).done(),
        );
        if acted_alone(views).is_hidden() {
            parts.add(
                Section::Limits,
                say("limits.who_acted").on(views.iter().copied()).done(),
            );
        }
        sections::outcomes(&mut parts, views);
    }
    let several: Vec<&Told<'_, '_>> = judged
        .iter()
        .filter(|told| matches!(told.unit.kind, UnitKind::Recommendation | UnitKind::Audit))
        .collect();
    if several.len() > 1 {
        let anchors = several.iter().flat_map(|told| told.unit.anchor());
        parts.add(
            Section::Summary,
            say("summary.several")
                .on(anchors)
                .count(several.len())
                .done(),
        );
    }
    for told in judged {
        parts.head((judged.len() > 1).then(|| heading(told)));
        summary::summary(&mut parts, told);
        sections::sections(&mut parts, told);
    }
    parts.head(None);
    let findings: Vec<&Finding> = findings
        .iter()
        .filter(|finding| !finding.code.starts_with("content."))
        .collect();
    if !judged.is_empty() {
        let open =
            !open_times.is_empty() || judged.iter().any(|told| !told.outcome.undecided.is_empty());
        summary::defects(&mut parts, views, &findings, open);
    }
    limits(&mut parts, views, judged, hidden, open_times);
    parts.done()
}

/// Sections in their order.
#[derive(Debug, Default)]
struct Parts {
    sections: BTreeMap<Section, Vec<Sentence>>,
    /// What stands before the next sentence of a section: which of several recommendations it is about.
    heading: Option<Sentence>,
    headed: BTreeSet<Section>,
}

impl Parts {
    fn add(&mut self, section: Section, sentence: Sentence) {
        let sentences = self.sections.entry(section).or_default();
        if let Some(heading) = &self.heading
            && self.headed.insert(section)
        {
            sentences.push(heading.clone());
        }
        // Entries that several recommendations share are told once.
        if self.heading.is_none() || !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }

    fn head(&mut self, heading: Option<Sentence>) {
        self.heading = heading;
        self.headed.clear();
    }

    fn done(self) -> Vec<AnswerPart> {
        self.sections
            .into_iter()
            .map(|(section, sentences)| AnswerPart { section, sentences })
            .collect()
    }
}

/// Which of several recommendations the next sentences are about.
fn heading(told: &Told<'_, '_>) -> Sentence {
    let unit = told.unit;
    let named = unit.named_at().or_else(|| unit.naming());
    match (unit.kind, named) {
        (UnitKind::Recommendation, Some(named)) => say("about.recommendation")
            .on([named])
            .need("recommendation", named, "/recommendation_id")
            .done(),
        (UnitKind::Run, Some(named)) => say("about.run")
            .on([named])
            .need("run", named, "/run_id")
            .done(),
        _ => say("about.none").on(unit.members.iter().copied()).done(),
    }
}

/// What cannot be said, and why.
fn limits(
    parts: &mut Parts,
    views: &[View<'_>],
    judged: &[Told<'_, '_>],
    hidden: &Hidden<'_>,
    open_times: &BTreeSet<&'static str>,
) {
    let strictly = judged
        .iter()
        .filter(|told| told.risk.is_absent() && told.strict);
    let strictly: Vec<View<'_>> = strictly.flat_map(|told| told.unit.anchor()).collect();
    if !strictly.is_empty() {
        parts.add(
            Section::Limits,
            say("limits.risk_unrecorded").on(strictly).done(),
        );
    }
    for told in judged {
        if told.risk.is_hidden() {
            parts.add(
                Section::Limits,
                say("limits.risk_hidden").on(told.unit.anchor()).done(),
            );
        }
        if !told.outcome.undecided.is_empty() {
            parts.add(
                Section::Limits,
                undecided(&told.outcome.undecided, &told.unit.members),
            );
        }
        if !told.unit.unclear.is_empty() {
            let unclear = told.unit.unclear.iter().copied();
            let say = say("limits.unclear")
                .on(unclear)
                .count(told.unit.unclear.len());
            parts.add(Section::Limits, say.done());
        }
    }
    if !open_times.is_empty() && !judged.is_empty() {
        parts.add(Section::Limits, undecided(open_times, views));
    }
    let loose: Vec<View<'_>> = unnamed_approvals(views, judged);
    if !loose.is_empty() {
        let count = loose.len();
        parts.add(
            Section::Limits,
            say("limits.unnamed_approval").on(loose).count(count).done(),
        );
    }
    if hidden.withheld > 0 {
        let on = hidden.withheld_in.iter().copied();
        parts.add(
            Section::Limits,
            say("limits.withheld").on(on).count(hidden.withheld).done(),
        );
    }
    if hidden.erased > 0 {
        let on = hidden.erased_in.iter().copied();
        parts.add(
            Section::Limits,
            say("limits.erased").on(on).count(hidden.erased).done(),
        );
    }
    if hidden.missing > 0 {
        let on = hidden.missing_in.iter().copied();
        parts.add(
            Section::Limits,
            say("limits.missing").on(on).count(hidden.missing).done(),
        );
    }
    parts.add(
        Section::Limits,
        say("limits.posted").on(views.iter().copied()).done(),
    );
    parts.add(
        Section::Limits,
        say("limits.claimed_times").on(views.iter().copied()).done(),
    );
}

/// The codes that could not be decided.
fn undecided(codes: &BTreeSet<&'static str>, views: &[View<'_>]) -> Sentence {
    let list = codes
        .iter()
        .map(|code| term(&format!("code.{code}")))
        .collect();
    let say = say("limits.undecided")
        .on(views.iter().copied())
        .count(codes.len());
    say.arg("codes", Arg::List { list }).done()
}

/// Approvals that are counted for nothing: no recommendation, and nothing that was done, is joined to them.
fn unnamed_approvals<'a>(views: &[View<'a>], judged: &[Told<'a, '_>]) -> Vec<View<'a>> {
    let joined = judged
        .iter()
        .any(|told| matches!(told.unit.kind, UnitKind::Run | UnitKind::Audit));
    let taken = |view: &View<'a>| {
        judged.iter().any(|told| match told.unit.kind {
            UnitKind::Loose | UnitKind::Acted => {
                told.unit.members.iter().any(|act| covers(*view, *act))
            }
            _ => {
                let mut all = told.unit.members.iter().chain(&told.unit.unclear);
                all.any(|member| member.seq() == view.seq())
            }
        })
    };
    let unnamed = |view: &View<'a>| {
        view.is("approval.decided") && view.known("/recommendation_id").is_absent() && !taken(view)
    };
    if judged.is_empty() || joined {
        Vec::new()
    } else {
        views.iter().copied().filter(unnamed).collect()
    }
}

/// The word for a level of risk.
fn level_term(level: RiskLevel) -> Arg {
    term(match level {
        RiskLevel::Low => "low",
        RiskLevel::Medium => "medium",
        RiskLevel::High => "high",
        RiskLevel::Critical => "critical",
    })
}
