//! Rewriting the past, by every way that a table of attacks names, with and without the signing key: who sees what.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use whereas::ledger::{Hash, Id16, Timestamp};

use crate::forger::{Entry, Forger, Outcome, Power, copy, without_reports};
use crate::ground::{self, Ground, NAME, ORIGIN};
use crate::observers::{OBSERVERS, Observer, Seen, look, text};
use crate::page::Said;

/// The case that is attacked.
const CASE: &str = "C-2";

/// What a forger does with the entries, given the positions of the case's own.
type Hand = fn(&Forger, &mut Vec<Entry>, &[usize]) -> Outcome;

/// The attacks, by their names in `docs/threats.md`.
const ATTACKS: [(&str, Hand); 11] = [
    ("content-changed", |f, all, case| changed(f, all, case)),
    ("approval-added", added),
    ("entry-removed", removed),
    ("entries-reordered", |f, all, case| reordered(f, all, case)),
    ("entry-backdated", backdated),
    ("content-swapped", |f, all, case| swapped(f, all, case)),
    ("content-blanked", |f, all, case| blanked(f, all, case)),
    ("case-dropped", dropped),
    ("case-split", |f, all, case| split(f, all, case)),
    ("type-changed", |f, all, case| retyped(f, all, case)),
    ("report-withdrawn", withdrawn),
];

fn changed(forger: &Forger, all: &mut [Entry], case: &[usize]) -> Outcome {
    let entry = &mut all[case[1]];
    let mut members = forger.content(entry)?;
    members.insert("/data/draft".to_owned(), json!("another draft"));
    forger.set_content(entry, &members)
}

fn added(forger: &Forger, all: &mut Vec<Entry>, case: &[usize]) -> Outcome {
    let made = forger.make(&all[case[1]], "approval.decided", |members| {
        members.insert("/data/decision".to_owned(), json!("approved"));
    })?;
    all.insert(case[1] + 1, made);
    Ok(())
}

fn removed(_: &Forger, all: &mut Vec<Entry>, case: &[usize]) -> Outcome {
    all.remove(case[1]);
    Ok(())
}

fn reordered(_: &Forger, all: &mut [Entry], case: &[usize]) -> Outcome {
    all.swap(case[1], case[2]);
    Ok(())
}

fn backdated(forger: &Forger, all: &mut Vec<Entry>, case: &[usize]) -> Outcome {
    let mut entry = all.remove(case[2]);
    let time = Timestamp::parse_rfc3339("2026-01-12T13:00:01Z")?;
    let mut members = forger.content(&entry)?;
    members.insert("/time".to_owned(), json!("2026-01-12T13:00:01Z"));
    forger.set_content(&mut entry, &members)?;
    entry.leaf.occurred = time;
    entry.leaf.recorded = all[case[0]].leaf.recorded;
    all.insert(case[0] + 1, entry);
    Ok(())
}

fn swapped(forger: &Forger, all: &mut [Entry], case: &[usize]) -> Outcome {
    // What binds content to its entry stays with the entry.
    let bound = |at: &String| !at.starts_with("/data");
    let both = [
        forger.content(&all[case[1]])?,
        forger.content(&all[case[2]])?,
    ];
    for (at, own, other) in [(case[1], 0, 1), (case[2], 1, 0)] {
        let keep = both[own].iter().filter(|(at, _)| bound(at));
        let take = both[other].iter().filter(|(at, _)| !bound(at));
        let members: BTreeMap<String, Value> = keep
            .chain(take)
            .map(|(a, v)| (a.clone(), v.clone()))
            .collect();
        forger.set_content(&mut all[at], &members)?;
    }
    Ok(())
}

fn blanked(_: &Forger, all: &mut [Entry], case: &[usize]) -> Outcome {
    let entry = &mut all[case[1]];
    entry.leaf.content = None;
    entry.slot = None;
    entry.sealed = None;
    Ok(())
}

fn dropped(_: &Forger, all: &mut Vec<Entry>, case: &[usize]) -> Outcome {
    for at in case.iter().rev() {
        all.remove(*at);
    }
    Ok(())
}

fn split(_: &Forger, all: &mut [Entry], case: &[usize]) -> Outcome {
    for at in &case[2..] {
        let link = all[*at].leaf.case.as_mut().ok_or("an entry of a case")?;
        link.case = Id16([0x5e; 16]);
    }
    Ok(())
}

fn retyped(_: &Forger, all: &mut [Entry], case: &[usize]) -> Outcome {
    all[case[1]].leaf.kind = "x.note".to_owned();
    Ok(())
}

fn withdrawn(_: &Forger, all: &mut Vec<Entry>, _: &[usize]) -> Outcome {
    *all = without_reports(std::mem::take(all));
    Ok(())
}

/// Positions of the entries whose content names the case; the recommendation that is attacked is the second.
fn of_case(forger: &Forger, all: &[Entry]) -> Outcome<Vec<usize>> {
    let mut found = Vec::new();
    for (i, entry) in all.iter().enumerate() {
        if text(&forger.content(entry)?, "/case_id") == CASE {
            found.push(i);
        }
    }
    let drafted = |i: &usize| all[*i].leaf.kind == "recommendation.drafted";
    let second = found.iter().skip(1).position(drafted).ok_or("a draft")?;
    found.drain(1..=second);
    Ok(found)
}

/// Attacks a copy of the ledger, and asks everybody.
fn attack(ground: &Ground, name: &str, hand: Hand, power: Power) -> Outcome<Vec<(Observer, Seen)>> {
    let data = copy(&ground.data(), &ground.beside(&format!("{name}-{power:?}")))?;
    let forger = Forger::open(&data, NAME, ORIGIN)?;
    let mut entries = forger.entries()?;
    let case = of_case(&forger, &entries)?;
    hand(&forger, &mut entries, &case)?;
    // Who cannot sign has nothing to gain from taking the reports away.
    if power == Power::WithKey {
        entries = without_reports(entries);
    }
    forger.rewrite(entries, power)?;
    drop(forger);
    let seen: Outcome<Vec<_>> = OBSERVERS
        .iter()
        .map(|(who, _)| Ok((*who, look(*who, ground, &data)?)))
        .collect();
    std::fs::remove_dir_all(data)?;
    seen
}

/// A cell of the table.
fn cell(seen: &Seen) -> String {
    if seen.accepted {
        return "accepts".to_owned();
    }
    seen.codes
        .first()
        .map_or("refuses".to_owned(), |c| format!("`{c}`"))
}

#[test]
fn the_past_is_not_rewritten_unseen() -> Outcome {
    let ground = ground::ledger(60)?;
    let mut said = Said::default();
    let mut table = String::new();
    for power in [Power::WithoutKey, Power::WithKey] {
        let with = match power {
            Power::WithoutKey => "without the key",
            Power::WithKey => "with the key",
        };
        let names: Vec<&str> = OBSERVERS.iter().map(|(_, n)| *n).collect();
        table.push_str(&format!("| {with} | {} |\n", names.join(" | ")));
        table.push_str(&format!("|---|{}\n", "---|".repeat(names.len())));
        for (name, hand) in ATTACKS {
            let seen = attack(&ground, name, hand, power)?;
            for (who, seen) in &seen {
                judge(name, power, *who, seen);
            }
            let cells: Vec<String> = seen.iter().map(|(_, s)| cell(s)).collect();
            table.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
            tell(&mut said, name, power, &seen);
        }
        table.push('\n');
    }
    said.note("rewriting/table", &table);
    said.compare("rewriting")
}

/// Who must see what.
fn judge(name: &str, power: Power, who: Observer, seen: &Seen) {
    let at = format!(
        "{name}, {power:?}, {who:?}: {:?}\n{}",
        seen.codes, seen.words
    );
    let outside = !matches!(
        who,
        Observer::StartUp | Observer::PinnedKey | Observer::NoContent
    );
    if power == Power::WithoutKey {
        // He cannot sign, so whoever has the pinned key sees it, and so does the service.
        assert!(!seen.accepted, "{at}");
        return;
    }
    let by_content = name == "case-split" && who == Observer::PinnedKey;
    let honest = name == "report-withdrawn" && !proves_report(who);
    if by_content {
        assert!(seen.codes.iter().any(|c| c == "case.ids"), "{at}");
    } else if outside && !honest {
        assert!(!seen.accepted, "{at}");
        let first = seen.codes.first().map_or("", String::as_str);
        let right = first.starts_with("outside.") || ["Forked", "Behind"].contains(&first);
        assert!(right, "{at}");
        if who != Observer::Anchor {
            assert_eq!(seen.freshness(), "contradicted", "{at}");
        }
    } else if !outside {
        // The bitter part: with the key, and nothing from outside, this history is as good as the true one.
        assert!(seen.accepted, "{at}");
        if who != Observer::StartUp {
            assert_eq!(seen.freshness(), "not_proven", "{at}");
            let said = "The operator could have written the whole ledger anew.";
            assert!(seen.words.contains(said), "{at}");
        }
    }
}

/// Whether somebody has proof of the report's entry, which the forger always takes away.
fn proves_report(who: Observer) -> bool {
    who == Observer::Report
}

/// Notes the words that the page quotes.
fn tell(said: &mut Said, name: &str, power: Power, seen: &[(Observer, Seen)]) {
    let of = |who| {
        seen.iter()
            .find(|(w, _)| *w == who)
            .map(|(_, s)| s)
            .unwrap()
    };
    let gist = [
        "result",
        "refused",
        "first break",
        "still good",
        "freshness",
    ];
    let key = of(Observer::PinnedKey);
    match power {
        Power::WithoutKey => {
            let quoted = format!("rewriting/{name}/without-key/pinned-key");
            said.note(&quoted, &key.lines(&gist[..4]));
        }
        Power::WithKey if name == "approval-added" => {
            said.note("rewriting/approval-added/with-key/pinned-key", &key.words);
            for (who, called) in [
                (Observer::Checkpoint, "checkpoint"),
                (Observer::Receipt, "receipt"),
                (Observer::Report, "report"),
                (Observer::Witness, "witness"),
                (Observer::Anchor, "anchor"),
            ] {
                let seen = of(who);
                let words = match who {
                    Observer::Anchor => seen.words.clone(),
                    _ => seen.lines(&gist),
                };
                said.note(
                    &format!("rewriting/approval-added/with-key/{called}"),
                    &words,
                );
            }
        }
        Power::WithKey if name == "case-split" => {
            said.note(
                "rewriting/case-split/with-key/pinned-key",
                &key.lines(&gist),
            );
        }
        Power::WithKey => {}
    }
}

#[test]
fn a_thinned_index_is_named_row_by_row() -> Outcome {
    let ground = ground::ledger(30)?;
    let mut said = Said::default();
    for table in [
        "case_entry",
        "trace_entry",
        "type_entry",
        "lookup",
        "identity",
    ] {
        let data = copy(&ground.data(), &ground.beside(table))?;
        let forger = Forger::open(&data, NAME, ORIGIN)?;
        let sql =
            format!("DELETE FROM {table} WHERE seq = (SELECT min(seq) FROM {table} WHERE seq > 1)");
        assert!(forger.db.execute(&sql, [])? > 0, "{table}");
        drop(forger);
        // The start compares head, tree and checkpoints; what is only derived, it does not read.
        let start = look(Observer::StartUp, &ground, &data)?;
        assert!(start.accepted, "{table}: {}", start.words);
        for who in [Observer::PinnedKey, Observer::Checkpoint, Observer::Witness] {
            let seen = look(who, &ground, &data)?;
            assert_eq!(seen.codes, ["row.absent"], "{table}: {}", seen.words);
        }
        let key = look(Observer::PinnedKey, &ground, &data)?;
        said.note(&format!("index/{table}"), &key.lines(&["refused"]));
    }
    said.compare("index")
}

#[test]
fn an_identity_that_is_not_the_events_is_named() -> Outcome {
    let ground = ground::ledger(30)?;
    let data = copy(&ground.data(), &ground.beside("identity"))?;
    let forger = Forger::open(&data, NAME, ORIGIN)?;
    let mut all = forger.entries()?;
    let at = of_case(&forger, &all)?[1];
    let members = forger.content(&all[at])?;
    all[at].leaf.eid = Hash::leaf(b"another event's");
    forger.set_content(&mut all[at], &members)?;
    forger.rewrite(without_reports(all), Power::WithKey)?;
    drop(forger);
    let seen = look(Observer::PinnedKey, &ground, &data)?;
    assert_eq!(seen.codes, ["content.identity"], "{}", seen.words);
    Ok(())
}
