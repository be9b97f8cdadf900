//! Time and order: what the claimed times say about themselves, against the ledger's clock and against recorded joins.

use std::collections::{BTreeMap, BTreeSet};

use super::{Outcome, Weight, about, finding};
use crate::judge::Arg;
use crate::judge::graph::Join;
use crate::judge::profile::Rule;
use crate::judge::unit::is_service;
use crate::judge::view::{See, View, term};

/// Judges times, and the counters of the producers.
pub(in crate::judge) fn time(views: &[View<'_>], joins: &[Join<'_>], rule: &Rule) -> Outcome {
    let mut outcome = Outcome::default();
    let posted: Vec<View<'_>> = views
        .iter()
        .copied()
        .filter(|view| !is_service(view.kind()))
        .collect();
    let micros = |seconds: u32| i64::from(seconds) * 1_000_000;
    let (late, future, skew) = (
        micros(rule.clock.late_seconds),
        micros(rule.clock.future_seconds),
        micros(rule.clock.skew_seconds),
    );
    let mut find = |code: &'static str, on: Vec<View<'_>>, wanted: bool| {
        if let Some(first) = on.first().filter(|_| wanted) {
            let say = about(code)
                .member("occurred", *first, "occurred")
                .member("recorded", *first, "recorded");
            outcome
                .findings
                .push(finding(code, Weight::Full, say.count(on.len()).on(on)));
        }
    };
    let before = |a: View<'_>, b: View<'_>| {
        a.occurred().micros() < b.occurred().micros().saturating_sub(skew)
    };

    let before_cause: BTreeSet<u64> = joins
        .iter()
        .filter(|join| join.cause && before(join.from, join.to))
        .map(|join| join.from.seq())
        .collect();
    let old = posted.iter().copied().filter(|view| {
        let delay = view
            .recorded()
            .micros()
            .saturating_sub(view.occurred().micros());
        delay > late || before_cause.contains(&view.seq())
    });
    find(
        "time.backdated",
        old.collect(),
        rule.controls.contains("time.backdated"),
    );
    let ahead = posted.iter().copied().filter(|view| {
        view.occurred()
            .micros()
            .saturating_sub(view.recorded().micros())
            > future
    });
    find(
        "time.future",
        ahead.collect(),
        rule.controls.contains("time.future"),
    );

    if rule.controls.contains("order.impossible") {
        for join in joins
            .iter()
            .filter(|join| join.follows && !join.cause && before(join.from, join.to))
        {
            let say = about("order.impossible").on([join.from, join.to]);
            let say = say
                .arg("effect", type_word(join.from))
                .member("occurred", join.from, "occurred");
            let say =
                say.arg("cause", type_word(join.to))
                    .member("cause_occurred", join.to, "occurred");
            outcome
                .findings
                .push(finding("order.impossible", Weight::Full, say));
        }
        outcome.findings.dedup_by(|a, b| a.sentence == b.sentence);
    }
    let hides = |pointers: &[&str]| {
        posted
            .iter()
            .any(|view| pointers.iter().any(|pointer| view.see(pointer).is_hidden()))
    };
    if rule.controls.contains("time.backdated") && hides(&["/causes"]) {
        outcome.undecided.insert("time.backdated");
    }
    if rule.controls.contains("order.impossible") && hides(&JOINING) {
        outcome.undecided.insert("order.impossible");
    }
    if rule.elements.contains("sequence.producer_gap") {
        gaps(&posted, &mut outcome);
        let counted = posted
            .iter()
            .any(|view| matches!(view.see("/sequence"), See::Shown(_) | See::Hidden(_)));
        if counted && hides(&["/source", "/sequence"]) {
            outcome.undecided.insert("sequence.producer_gap");
        }
    }
    outcome
}

/// Members that join an entry to one on which it rests.
const JOINING: [&str; 5] = [
    "/request_id",
    "/recommendation_id",
    "/approval_id",
    "/data/draft_digest",
    "/data/authorization_decision_id",
];

/// The catalogue's word for the type of an entry; a producer's own type as it is.
fn type_word(view: View<'_>) -> Arg {
    let own = view.kind().starts_with("x.");
    if own {
        view.member("type")
    } else {
        term(&format!("type.{}", view.kind()))
    }
}

/// A source counts its events to this ledger, of which these are only some. A gap is certain when more numbers are
/// skipped than there are places in the ledger between the two entries that other cases could fill.
fn gaps(posted: &[View<'_>], outcome: &mut Outcome) {
    let mut last: BTreeMap<&str, (u64, View<'_>, usize)> = BTreeMap::new();
    for (place, view) in posted.iter().copied().enumerate() {
        let (Some(source), See::Shown(counter)) = (view.text("/source"), view.see("/sequence"))
        else {
            continue;
        };
        let Some(number) = counter.value.as_u64() else {
            continue;
        };
        let Some((before, earlier, earlier_place)) = last.insert(source, (number, view, place))
        else {
            continue;
        };
        let between = posted.get(earlier_place + 1..place).unwrap_or_default();
        let others = between
            .iter()
            .filter(|other| other.text("/source").is_some_and(|other| other != source))
            .count();
        let room = (view.seq() - earlier.seq() - 1).saturating_sub(others as u64);
        if number <= before || number - before - 1 > room {
            let say = about("sequence.producer_gap")
                .on([earlier, view])
                .need("source", view, "/source");
            let say = say
                .need("from", earlier, "/sequence")
                .need("to", view, "/sequence");
            outcome
                .findings
                .push(finding("sequence.producer_gap", Weight::Full, say));
        }
    }
}
