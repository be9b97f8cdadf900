//! What is not shown is never counted as not recorded.

use super::build::{erase, hide, withhold};
use super::*;

const PLACES: [&str; 16] = [
    "request",
    "authorization",
    "policy",
    "facts",
    "evidence",
    "tool-proposed",
    "tool",
    "draft",
    "validation",
    "guard",
    "risk",
    "required",
    "approval",
    "output",
    "action",
    "concluded",
];

/// What is told in place of another defect when less is shown.
const TRUE_ALIKE: [(&str, &str); 2] = [
    ("approval.absent", "approval.after_action"),
    ("output.not_approved", "approval.rejected"),
];

fn at(id: &str) -> usize {
    PLACES.iter().position(|place| *place == id).unwrap()
}

fn serious(judgement: &Judgement) -> Vec<&str> {
    codes(judgement)
        .into_iter()
        .filter(|code| !code.starts_with("content."))
        .collect()
}

#[test]
fn hiding_any_entry_never_makes_up_a_defect() {
    for (place, id) in PLACES.iter().enumerate() {
        for erased in [true, false] {
            let mut entries = entries(&base());
            if erased {
                erase(&mut entries[place], 99);
            } else {
                withhold(&mut entries[place]);
            }
            let judgement = judge_entries(&entries);
            assert_eq!(serious(&judgement), Vec::<&str>::new(), "{id} {erased}");
            let code = if erased {
                "content.erased"
            } else {
                "content.withheld"
            };
            assert!(codes(&judgement).contains(&code), "{id}");
            assert!(
                judgement.elements != Judged::Bad && judgement.controls != Judged::Bad,
                "{id}"
            );
        }
    }
}

#[test]
fn hiding_any_member_never_makes_up_a_defect() {
    let events = base();
    for place in 0..events.len() {
        let pointers: Vec<String> = entries(&events)[place]
            .opened
            .members
            .keys()
            .cloned()
            .collect();
        for pointer in pointers {
            for absence in [
                None,
                Some(Absence::Erased { by: 99 }),
                Some(Absence::Withheld { pointer: None }),
                Some(Absence::Withheld {
                    pointer: Some(pointer.clone()),
                }),
            ] {
                let mut entries = entries(&events);
                hide(&mut entries[place], &pointer, absence.clone());
                let judgement = judge_entries(&entries);
                assert_eq!(
                    serious(&judgement),
                    Vec::<&str>::new(),
                    "{place} {pointer} {absence:?}"
                );
            }
        }
    }
}

#[test]
fn hiding_everything_leaves_everything_open() {
    let mut all = entries(&base());
    all.iter_mut().for_each(withhold);
    let judgement = judge_entries(&all);
    assert_eq!(codes(&judgement), ["content.withheld"]);
    assert_eq!(judgement.controls, Judged::Undetermined);
    let mut all = entries(&base());
    all.iter_mut().for_each(|entry| erase(entry, 99));
    let judgement = judge_entries(&all);
    assert_eq!(codes(&judgement), ["content.erased"]);
    assert_eq!(
        (judgement.elements, judgement.controls),
        (Judged::Undetermined, Judged::Undetermined)
    );
    assert!(
        judgement.findings[0].sentence.entries.contains(&99),
        "the erasure itself is named"
    );
}

#[test]
fn hiding_more_never_adds_a_defect_that_more_content_would_not_show() {
    for fixture in corpus::load_all(&corpus_dir()) {
        let open = entries(&fixture.with);
        let before = judge_entries(&open);
        for place in 0..open.len() {
            for erased in [true, false] {
                let mut entries = open.clone();
                if erased {
                    erase(&mut entries[place], 99)
                } else {
                    withhold(&mut entries[place])
                }
                let after = judge_entries(&entries);
                for code in serious(&after) {
                    // Two defects give way to a third when the entry that tells them apart is not shown. That no
                    // approval came before is true in both.
                    let pair = (code, fixture.code.as_str());
                    if TRUE_ALIKE.contains(&pair) {
                        continue;
                    }
                    assert!(
                        codes(&before).contains(&code),
                        "{}: {code} appears when entry {place} is hidden",
                        fixture.code
                    );
                }
            }
        }
    }
}

#[test]
fn a_withheld_member_with_a_known_place_counts_as_recorded() {
    let mut entries = entries(&base());
    hide(
        &mut entries[at("draft")],
        "/data/model_version",
        Some(Absence::Withheld {
            pointer: Some("/data/model_version".to_owned()),
        }),
    );
    let judgement = judge_entries(&entries);
    assert_eq!(judgement.elements, Judged::Good);
    assert!(told(&entries, &judgement).contains("version ⟦withheld from this reader⟧"));
}

#[test]
fn an_erased_member_of_unknown_place_leaves_the_element_open() {
    let mut entries = entries(&base());
    hide(
        &mut entries[at("draft")],
        "/data/model_version",
        Some(Absence::Erased { by: 99 }),
    );
    let judgement = judge_entries(&entries);
    assert_eq!(judgement.elements, Judged::Undetermined);
    assert!(
        told(&entries, &judgement)
            .contains("cannot be decided from what is shown and recorded: No model version")
    );
}

#[test]
fn a_hidden_risk_counts_only_what_every_rule_demands() {
    let mut events = low_risk();
    let mut entries = entries(&events);
    let risk = events
        .iter()
        .position(|event| event["id"] == "risk")
        .unwrap();
    withhold(&mut entries[risk]);
    let judgement = judge_entries(&entries);
    assert_eq!(serious(&judgement), Vec::<&str>::new());
    assert_eq!(judgement.controls, Judged::Undetermined);
    // What is wrong at every level is still said.
    let action = events
        .iter()
        .position(|event| event["id"] == "action")
        .unwrap();
    events[action]["data"]["action"] = json!("close");
    let mut entries = build::entries(&events);
    withhold(&mut entries[risk]);
    assert_eq!(
        serious(&judge_entries(&entries)),
        ["action.not_recommended"]
    );
}

#[test]
fn what_is_erased_is_told_as_erased() {
    let mut entries = entries(&base());
    let claims = &entries[at("draft")].opened;
    let digest = *claims
        .elements
        .iter()
        .find(|(_, v)| v["text"].as_str().is_some_and(|t| t.contains("eviction")))
        .unwrap()
        .0;
    let entry = &mut entries[at("draft")];
    entry.opened.elements.remove(&digest);
    entry.opened.hidden_elements.push(digest);
    entry.absences.insert(digest, Absence::Erased { by: 99 });
    let judgement = judge_entries(&entries);
    assert_eq!(serious(&judgement), Vec::<&str>::new());
    assert_eq!(judgement.controls, Judged::Undetermined);
    let told = told(&entries, &judgement);
    assert!(
        told.contains("Reason 2: ⟦erased⟧") && !told.contains("The complainant faces eviction"),
        "{told}"
    );
}

#[test]
fn what_nothing_accounts_for_is_a_limit_not_a_finding() {
    let mut entries = entries(&base());
    hide(&mut entries[at("approval")], "/data/reason", None);
    let judgement = judge_entries(&entries);
    assert!(codes(&judgement).is_empty());
    assert!(told(&entries, &judgement).contains("nothing accounts for that"));
}

/// Hides each member and each element of each record that the tests know, in every way, and looks for defects that
/// were not there before.
#[test]
fn hiding_any_part_of_any_record_never_makes_up_a_defect() {
    let fixtures = corpus::load_all(&corpus_dir())
        .into_iter()
        .map(|f| (f.code, f.with));
    let near = near::records()
        .into_iter()
        .map(|(why, events)| (why.to_owned(), events));
    let others = semantics::records()
        .into_iter()
        .enumerate()
        .map(|(at, events)| (format!("record {at}"), events));
    let mut wrong = Vec::new();
    for (name, events) in fixtures.chain(near).chain(others) {
        let open = entries(&events);
        let before = judge_entries(&open);
        for (place, entry) in open.iter().enumerate() {
            let members = entry
                .opened
                .members
                .keys()
                .map(|pointer| (Some(pointer.clone()), None));
            let elements = entry
                .opened
                .elements
                .keys()
                .map(|digest| (None, Some(*digest)));
            for (pointer, element) in members.chain(elements) {
                for known in [true, false] {
                    let mut entries = open.clone();
                    let absence = match &pointer {
                        Some(_) if known => Absence::Withheld {
                            pointer: pointer.clone(),
                        },
                        _ => Absence::Erased { by: 99 },
                    };
                    match (&pointer, element) {
                        (Some(pointer), _) => {
                            hide(&mut entries[place], pointer, Some(absence));
                        }
                        (None, Some(digest)) => {
                            let entry = &mut entries[place];
                            entry.opened.elements.remove(&digest);
                            entry.opened.hidden_elements.push(digest);
                            entry.absences.insert(digest, absence);
                        }
                        (None, None) => {}
                    }
                    let after = judge_entries(&entries);
                    for code in serious(&after) {
                        let pair = (code, name.as_str());
                        if !codes(&before).contains(&code) && !TRUE_ALIKE.contains(&pair) {
                            wrong.push(format!(
                                "{name}: {code} when {pointer:?} of {} is hidden",
                                events[place]["id"]
                            ));
                        }
                    }
                    let worse =
                        |before, after| before == Judged::Undetermined && after == Judged::Good;
                    if worse(before.elements, after.elements)
                        || worse(before.controls, after.controls)
                    {
                        wrong.push(format!(
                            "{name}: a verdict improves when {pointer:?} of {} is hidden",
                            events[place]["id"]
                        ));
                    }
                    for (was, is) in [
                        (before.elements, after.elements),
                        (before.controls, after.controls),
                    ] {
                        if was == Judged::Bad && is == Judged::Good {
                            wrong.push(format!("{name}: a bad verdict becomes good when {pointer:?} of {} is hidden", events[place]["id"]));
                        }
                    }
                }
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
