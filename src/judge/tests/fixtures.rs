//! The corpus, judged directly.

use std::collections::BTreeSet;

use super::*;
use crate::judge::Family;

#[test]
fn the_base_is_without_fault() {
    let events = base();
    let entries = entries(&events);
    let judgement = judge_entries(&entries);
    assert_eq!(
        codes(&judgement),
        Vec::<&str>::new(),
        "{}",
        told(&entries, &judgement)
    );
    assert_eq!(
        (judgement.elements, judgement.controls),
        (Judged::Good, Judged::Good)
    );
    assert_eq!(judgement.profile_rule, Some(2));
}

#[test]
fn each_fixture_tells_its_defect_and_no_fixture_cries_wolf() {
    let mut wrong = Vec::new();
    for fixture in corpus::load_all(&corpus_dir()) {
        let judge = |events: &[Value]| {
            let entries = entries(events);
            let subject = if fixture.ask == "case" {
                case(&entries)
            } else {
                trace(&entries)
            };
            judge(&subject, &entries, &Profile::builtin().unwrap())
        };
        let (with, without) = (judge(&fixture.with), judge(&fixture.without));
        if !codes(&with).contains(&fixture.code.as_str()) {
            wrong.push(format!("{}: with {:?}", fixture.code, codes(&with)));
        }
        // The flat audit event lacks much whether or not it names a case.
        let clean = if fixture.ask == "case" {
            without.findings.is_empty()
        } else {
            !codes(&without).contains(&fixture.code.as_str())
        };
        if !clean {
            wrong.push(format!("{}: without {:?}", fixture.code, codes(&without)));
        }
        let bad = match code_info(&fixture.code).unwrap().family {
            Family::Elements => with.elements,
            _ => with.controls,
        };
        if bad != Judged::Bad {
            wrong.push(format!("{}: verdict {bad:?}", fixture.code));
        }
        assert_eq!(fixture.differences, 1, "{}: {}", fixture.code, fixture.why);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_is_a_fixture_for_every_code_that_can_be_posted() {
    let have: BTreeSet<String> = corpus::load_all(&corpus_dir())
        .into_iter()
        .map(|fixture| fixture.code)
        .collect();
    let want = CODES
        .iter()
        .filter(|info| info.family != Family::Content)
        .map(|info| info.code.to_owned())
        .collect();
    assert_eq!(have, want);
}

#[test]
fn renaming_keeps_what_belongs_together_together() {
    let events = corpus::renamed(&base(), "-x1");
    assert_eq!(codes(&judge_events(&events)), Vec::<&str>::new());
    assert_eq!(events[0]["case_id"], "C-2041-x1");
}

#[test]
fn the_table_of_findings_says_what_the_code_does() {
    let table = include_str!("../../../docs/findings.md");
    for info in &CODES {
        let row = table
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", info.code)));
        let row = row.unwrap_or_else(|| panic!("{} is not documented", info.code));
        let severity = row.split(" | ").nth(3).unwrap();
        let want = if info.lighter == info.severity {
            format!("{:?}", info.severity)
        } else {
            format!("{:?}; {:?} when", info.severity, info.lighter)
        };
        assert!(
            severity.starts_with(&want),
            "{}: {severity} is not {want}",
            info.code
        );
    }
    assert_eq!(
        table.lines().filter(|line| line.starts_with("| `")).count(),
        CODES.len()
    );
}

#[test]
fn the_profile_in_the_documentation_can_be_used() {
    let text = include_str!("../../../docs/profiles.md");
    let (_, rest) = text.split_once("```json\n").unwrap();
    let (profile, _) = rest.split_once("```").unwrap();
    assert_eq!(Profile::parse(profile.as_bytes()).unwrap().rules.len(), 2);
}
