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
const TRUE_ALIKE: [(&str, &str); 3] = [
    ("approval.absent", "approval.rejected"),
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

/// Hides each member and each element of each record that the tests know, and looks for defects that were not there
/// before, and for verdicts that get better by it.
#[test]
fn hiding_any_part_of_any_record_never_makes_up_a_defect() {
    // Of the near misses every part, of the others every fifth: a fifth of the minutes finds nearly all.
    let fixtures = corpus::load_all(&corpus_dir())
        .into_iter()
        .map(|f| (f.code, f.with, 5));
    let near = near::records()
        .into_iter()
        .map(|(why, events)| (why.to_owned(), events, 1));
    let others = semantics::records()
        .into_iter()
        .enumerate()
        .map(|(at, events)| (format!("record {at}"), events, 5));
    let records: Vec<(String, Vec<Value>, usize)> = fixtures.chain(near).chain(others).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let share = records.len().div_ceil(threads);
        let run = |part: &[(String, Vec<Value>, usize)]| {
            part.iter()
                .flat_map(|(name, events, step)| hide_each_part(name, events, *step))
                .collect::<Vec<_>>()
        };
        let running: Vec<_> = records
            .chunks(share)
            .map(|part| scope.spawn(move || run(part)))
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong when one part of the record is hidden.
fn hide_each_part(name: &str, events: &[Value], step: usize) -> Vec<String> {
    let profile = Profile::builtin().unwrap();
    let open = entries(events);
    let subject = case(&open);
    let before = judge(&subject, &open, &profile);
    let mut wrong = Vec::new();
    let mut compare = |entries: &[Entry], what: &str| {
        let after = judge(&subject, entries, &profile);
        for code in serious(&after) {
            if !codes(&before).contains(&code) && !TRUE_ALIKE.contains(&(code, name)) {
                wrong.push(format!("{name}: {code} when {what} is hidden"));
            }
        }
        for (was, is) in [
            (before.elements, after.elements),
            (before.controls, after.controls),
        ] {
            if is == Judged::Good && was != Judged::Good {
                wrong.push(format!(
                    "{name}: {was:?} becomes good when {what} is hidden"
                ));
            }
        }
    };
    let mut entries = open.clone();
    for (place, entry) in open.iter().enumerate() {
        let id = &events[place]["id"];
        for pointer in entry.opened.members.keys().skip(place % step).step_by(step) {
            let known = Absence::Withheld {
                pointer: Some(pointer.clone()),
            };
            for absence in [known, Absence::Erased { by: 99 }] {
                hide(&mut entries[place], pointer, Some(absence));
                compare(&entries, &format!("{pointer} of {id}"));
                entries[place] = entry.clone();
            }
        }
        for digest in entry.opened.elements.keys() {
            let hidden = &mut entries[place];
            let value = hidden.opened.elements.remove(digest).unwrap();
            hidden.opened.hidden_elements.push(*digest);
            hidden.absences.insert(*digest, Absence::Erased { by: 99 });
            compare(&entries, &format!("{value} of {id}"));
            entries[place] = entry.clone();
        }
    }
    wrong
}
