//! The catalogues: complete, equal in both languages, and nothing in them that nobody uses.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::judge::catalogue::{builtin, placeholders};
use crate::judge::timeline::TYPES;
use crate::ledger::Hash;

/// The sources in which sentences are made.
const SOURCES: [&str; 13] = [
    include_str!("../view.rs"),
    include_str!("../timeline.rs"),
    include_str!("../catalogue.rs"),
    include_str!("../answer/mod.rs"),
    include_str!("../answer/summary.rs"),
    include_str!("../answer/sections.rs"),
    include_str!("../findings/approvals.rs"),
    include_str!("../findings/authorization.rs"),
    include_str!("../findings/content.rs"),
    include_str!("../findings/controls.rs"),
    include_str!("../findings/elements.rs"),
    include_str!("../findings/evidence.rs"),
    include_str!("../findings/time.rs"),
];

/// Values of the vocabulary, and usual values of its open members, that have a word.
const VALUES: [&str; 51] = [
    "case",
    "source",
    "tool",
    "allowed",
    "denied",
    "approval_required",
    "passed",
    "flagged",
    "blocked",
    "failed",
    "skipped",
    "success",
    "timeout",
    "low",
    "medium",
    "high",
    "critical",
    "approved",
    "rejected",
    "abstained",
    "succeeded",
    "pending",
    "cancelled",
    "partial",
    "refused",
    "escalated",
    "insufficient_evidence",
    "human",
    "service",
    "agent",
    "appeal",
    "override",
    "complaint",
    "feedback",
    "correction",
    "none",
    "read",
    "write",
    "irreversible",
    "input",
    "output",
    "lexical",
    "vector",
    "hybrid",
    "lookup",
    "yes",
    "no",
    "not_recorded",
    "not_shown",
    "unnamed",
    "did.answered",
];

/// Parts of a report.
const HEADINGS: [&str; 13] = [
    "summary",
    "reasons",
    "authority",
    "basis",
    "checks",
    "approval",
    "action",
    "outcome",
    "limits",
    "findings",
    "timeline",
    "reads",
    "untold",
];

/// Literals of one kind in the sources: what stands between `before` and the next quotation mark.
fn literals(before: &str) -> BTreeSet<String> {
    let plain = |source: &str| source.split_whitespace().collect::<String>();
    let sources: Vec<String> = SOURCES.iter().map(|source| plain(source)).collect();
    let found = sources
        .iter()
        .flat_map(|source| source.split(before).skip(1));
    let ids = found.filter_map(|rest| rest.split_once('"'));
    ids.map(|(id, _)| id.to_owned())
        .filter(|id| !id.contains('{'))
        .collect()
}

/// All ids that the code can ask for, without plural suffix.
fn wanted() -> BTreeSet<String> {
    let mut ids: BTreeSet<String> = literals("say(\"");
    ids.extend(
        literals("\",\"summary.")
            .into_iter()
            .map(|id| format!("summary.{id}")),
    );
    ids.extend(CODES.iter().flat_map(|info| {
        [
            format!("finding.{}", info.code),
            format!("term.code.{}", info.code),
        ]
    }));
    ids.extend(TYPES.iter().map(|(kind, _)| format!("timeline.{kind}")));
    ids.extend(
        TYPES
            .iter()
            .filter(|(kind, _)| !crate::judge::unit::is_service(kind))
            .map(|(kind, _)| format!("term.type.{kind}")),
    );
    ids.extend(VALUES.iter().map(|value| format!("term.{value}")));
    ids.extend(
        literals("\"did.")
            .into_iter()
            .map(|id| format!("term.did.{id}")),
    );
    ids.extend(
        literals("term(\"")
            .into_iter()
            .map(|id| format!("term.{id}")),
    );
    ids.extend(
        literals(".state(\"")
            .into_iter()
            .map(|id| format!("state.{id}")),
    );
    ids.extend(literals("catalogue.get(\""));
    ids.extend(HEADINGS.iter().map(|name| format!("section.{name}")));
    ids
}

fn ids(catalogue: &Catalogue) -> BTreeSet<String> {
    catalogue
        .ids()
        .map(|id| id.split_once('#').map_or(id, |(id, _)| id).to_owned())
        .collect()
}

#[test]
fn what_the_code_asks_for_is_there_and_nothing_else() {
    let (want, have) = (wanted(), ids(&catalogue("en")));
    let absent: Vec<_> = want.difference(&have).collect();
    let unused: Vec<_> = have.difference(&want).collect();
    assert!(
        absent.is_empty() && unused.is_empty(),
        "absent: {absent:?}\nunused: {unused:?}"
    );
}

#[test]
fn every_part_has_a_heading() {
    for lang in ["en", "de"] {
        for name in HEADINGS {
            assert!(catalogue(lang).heading(name).is_some(), "{name}");
        }
        for part in judge_events(&base()).answer {
            let name = serde_json::to_value(part.section).unwrap();
            let name = name.as_str().unwrap().to_owned();
            assert!(catalogue(lang).heading(&name).is_some(), "{name}");
        }
        assert_eq!(catalogue(lang).heading("else"), None);
    }
}

#[test]
fn both_languages_say_the_same() {
    let (en, de) = (catalogue("en"), catalogue("de"));
    assert_eq!(en.ids().collect::<Vec<_>>(), de.ids().collect::<Vec<_>>());
    for id in en.ids() {
        let set = |catalogue: &Catalogue| -> BTreeSet<(String, String, bool)> {
            let text = catalogue.get(id).unwrap().to_owned();
            let optional: String = text
                .split('[')
                .skip(1)
                .filter_map(|rest| rest.split_once(']'))
                .map(|(inner, _)| inner)
                .collect();
            let optional = placeholders(&optional)
                .into_iter()
                .map(|(n, _)| n.to_owned())
                .collect::<BTreeSet<_>>();
            placeholders(&text)
                .into_iter()
                .map(|(n, f)| (n.to_owned(), f.to_owned(), optional.contains(n)))
                .collect()
        };
        assert_eq!(set(&en), set(&de), "{id}");
        for catalogue in [&en, &de] {
            let text = catalogue.get(id).unwrap();
            assert!(!text.trim().is_empty(), "{id}");
            assert_eq!(text.matches('[').count(), text.matches(']').count(), "{id}");
            assert_eq!(text.matches('{').count(), text.matches('}').count(), "{id}");
            let plural = id
                .strip_suffix("#one")
                .map(|id| format!("{id}#other"))
                .or_else(|| id.strip_suffix("#other").map(|id| format!("{id}#one")));
            assert!(
                plural.is_none_or(|other| catalogue.get(&other).is_some()),
                "{id}"
            );
        }
    }
}

/// Every record that the tests know.
fn records() -> Vec<Vec<Value>> {
    let fixtures = corpus::load_all(&corpus_dir())
        .into_iter()
        .flat_map(|f| [f.with, f.without]);
    fixtures
        .chain(super::semantics::records())
        .chain([low_risk(), corpus::load_base(&corpus_dir(), "audit")])
        .collect()
}

#[test]
fn sentences_and_templates_fit_together() {
    let (en, de) = (catalogue("en"), catalogue("de"));
    for events in records() {
        let entries = entries(&events);
        let shown = Entries::new(&entries);
        let judgement = judge_entries(&entries);
        for sentence in sentences(&judgement) {
            assert!(
                !sentence.entries.is_empty(),
                "{} rests on nothing",
                sentence.template
            );
            assert!(
                sentence
                    .entries
                    .iter()
                    .all(|seq| entries.iter().any(|e| e.leaf.seq == *seq)),
                "{}",
                sentence.template
            );
            for catalogue in [&en, &de] {
                let plural = if matches!(sentence.args.get("count"), Some(Arg::Count { count: 1 }))
                {
                    "one"
                } else {
                    "other"
                };
                let text = catalogue
                    .get(&format!("{}#{plural}", sentence.template))
                    .or_else(|| catalogue.get(&sentence.template));
                let text = text.unwrap_or_else(|| panic!("no text for {}", sentence.template));
                let names: BTreeSet<&str> = placeholders(text)
                    .into_iter()
                    .map(|(name, _)| name)
                    .collect();
                let counted = sentence.args.keys().filter(|name| *name != "count");
                let unused: Vec<_> = counted
                    .filter(|name| !names.contains(name.as_str()))
                    .collect();
                assert!(
                    unused.is_empty(),
                    "{} does not show {unused:?}",
                    sentence.template
                );
                let bare: String = text
                    .split('[')
                    .enumerate()
                    .map(|(at, part)| {
                        if at == 0 {
                            part
                        } else {
                            part.split_once(']').map_or("", |(_, rest)| rest)
                        }
                    })
                    .collect();
                let absent: Vec<_> = placeholders(&bare)
                    .into_iter()
                    .filter(|(name, _)| !sentence.args.contains_key(*name))
                    .collect();
                assert!(absent.is_empty(), "{} lacks {absent:?}", sentence.template);
                let rendered = render(sentence, catalogue, &shown);
                assert!(
                    !rendered.contains(['{', '}', '[', ']']) || rendered.contains("⟦"),
                    "{}: {rendered}",
                    sentence.template
                );
            }
        }
    }
}

#[test]
fn sentences_survive_being_written_down() {
    let judgement = judge_events(&base());
    let text = serde_json::to_string(&judgement).unwrap();
    assert_eq!(serde_json::from_str::<Judgement>(&text).unwrap(), judgement);
    assert!(
        !text.contains("Lindqvist") && !text.contains("C-2041") && !text.contains("escalate"),
        "no content in it"
    );
}

/// A member of some event, changed, changes what is told; and it is told in both languages.
#[test]
fn what_is_told_depends_on_what_was_posted() {
    let facts = [
        "/request/actor/name",
        "/request/actor/id",
        "/request/actor/role",
        "/request/actor/authentication_method",
        "/request/data/channel",
        "/request/data/question",
        "/authorization/data/decision_id",
        "/authorization/data/action",
        "/authorization/data/policy_id",
        "/authorization/data/policy_revision",
        "/authorization/data/reason",
        "/authorization/data/obligations/0",
        "/policy/data/index",
        "/policy/data/index_version",
        "/policy/data/retrieval_mode",
        "/policy/data/selected_ids/0",
        "/policy/data/candidates/0/title",
        "/evidence/data/evidence/0/locator",
        "/evidence/data/evidence/0/quotation",
        "/tool/data/tool",
        "/tool/data/tool_version",
        "/tool/data/result_summary",
        "/draft/data/recommended_action",
        "/draft/data/model",
        "/draft/data/model_version",
        "/draft/data/agent",
        "/draft/data/claims/0/text",
        "/draft/data/claims/0/citations/0/locator",
        "/draft/data/claims/0/citations/0/quotation",
        "/draft/data/claims/0/citations/0/version",
        "/validation/data/checks/0/name",
        "/validation/data/checks/0/validator_version",
        "/validation/data/checks/2/detail",
        "/guard/data/guard",
        "/guard/data/guard_version",
        "/guard/data/reason",
        "/risk/data/factors/0",
        "/risk/data/classifier_version",
        "/required/data/policy_id",
        "/required/data/roles/0",
        "/approval/actor/name",
        "/approval/actor/role",
        "/approval/data/meaning",
        "/approval/data/reason",
        "/approval/data/draft_digest",
        "/output/data/caveats/0",
        "/output/data/text",
        "/action/data/action",
        "/action/data/side_effects/0",
        "/concluded/data/stop_reason",
    ];
    let render_all = |events: &[Value]| {
        let entries = entries(events);
        let shown = Entries::new(&entries);
        let judgement = judge_entries(&entries);
        ["en", "de"].map(|lang| {
            let words = catalogue(lang);
            sentences(&judgement)
                .into_iter()
                .map(|s| render(s, &words, &shown))
                .collect::<Vec<_>>()
                .join("\n")
        })
    };
    let before = render_all(&base());
    for fact in facts {
        let events = patched(json!([{"op": "replace", "path": fact, "value": "something else"}]));
        let after = render_all(&events);
        assert!(before[0] != after[0] && before[1] != after[1], "{fact}");
        assert!(
            after[0].contains("something else") && after[1].contains("something else"),
            "{fact}"
        );
    }
}

struct Fixed(BTreeMap<String, Resolved>);

impl Resolve for Fixed {
    fn datum(&self, at: &DatumRef) -> Resolved {
        self.0.get(&at.digest).cloned().unwrap_or(Resolved::Missing)
    }
    fn member(&self, _: u64, member: &str) -> Option<String> {
        match member {
            "occurred" => Some("2026-11-22T10:15:30.000000Z".to_owned()),
            "recorded" => Some("2026-11-22T10:15:30.250000Z".to_owned()),
            _ => None,
        }
    }
}

fn shown(template: &str, arg: Arg, value: Resolved) -> String {
    let words = format!(
        r#"{{"t": {template:?}, "quote.open": "“", "quote.close": "”", "list.separator": ", ", "list.last": " and ", "list.none": "none", "term.approved": "approved!", "term.yes": "yes", "state.withheld": "⟦withheld⟧", "state.erased": "⟦erased⟧", "state.missing": "⟦missing⟧", "state.not_recorded": "⟦not recorded⟧", "note.cut": " (cut; {{length}}, {{digest}})"}}"#
    );
    let catalogue = Catalogue::parse(words.as_bytes()).unwrap();
    let sentence = Sentence {
        template: "t".to_owned(),
        args: [("a".to_owned(), arg)].into(),
        entries: vec![1],
    };
    render(
        &sentence,
        &catalogue,
        &Fixed([("d".to_owned(), value)].into()),
    )
}

fn datum() -> Arg {
    Arg::Datum(DatumRef {
        digest: "d".to_owned(),
        at: String::new(),
    })
}

#[test]
fn values_from_outside_cannot_pretend_to_be_the_sentence() {
    let say = |value: Value| shown("Said: {a}.", datum(), Resolved::Value(value));
    assert_eq!(
        say(json!("a” was approved by “b")),
        "Said: “a’ was approved by ‘b”."
    );
    assert_eq!(
        say(json!("x\u{202e}y\u{200b}z\u{7}\nw")),
        "Said: “x‹U+202E›y‹U+200B›z‹U+0007›⏎w”."
    );
    assert_eq!(say(json!("{b} [c]")), "Said: “{b} [c]”.");
    assert_eq!(say(json!("approved")), "Said: “approved”.");
    assert_eq!(say(json!([1.5, "a", true])), "Said: 1.5, “a” and yes.");
    assert_eq!(say(json!([])), "Said: none.");
    assert_eq!(say(json!({"k": 1})), "Said: “{\"k\":1}”.");
    let digest = Hash([0xab; 32]).to_hex();
    assert_eq!(
        say(json!(format!("sha256:{digest}"))),
        "Said: “sha256:abababababab…abab”."
    );
}

#[test]
fn long_texts_are_cut_and_still_told_apart() {
    let long = |end: &str| {
        shown(
            "{a}",
            datum(),
            Resolved::Value(json!(format!("{}{end}", "x".repeat(5_000)))),
        )
    };
    assert!(long("a").chars().count() < 800);
    assert!(long("a").contains("cut; 5001"));
    assert_ne!(long("a"), long("b"));
}

#[test]
fn words_states_times_and_optional_parts() {
    assert_eq!(
        shown("{a:term}", datum(), Resolved::Value(json!("approved"))),
        "approved!"
    );
    assert_eq!(
        shown("{a:term}", datum(), Resolved::Value(json!("signed off"))),
        "“signed off”"
    );
    assert_eq!(shown("{a}", datum(), Resolved::Withheld), "⟦withheld⟧");
    assert_eq!(shown("{a}", datum(), Resolved::Erased), "⟦erased⟧");
    assert_eq!(shown("{a}", datum(), Resolved::Missing), "⟦missing⟧");
    assert_eq!(
        shown("{a}", datum(), Resolved::NotRecorded),
        "⟦not recorded⟧"
    );
    assert_eq!(
        shown(
            "x[ {b}]y[ {a}].",
            Arg::Count { count: 3 },
            Resolved::Missing
        ),
        "xy 3."
    );
    let time = |member: &str| {
        shown(
            "{a}",
            Arg::Member {
                seq: 1,
                member: member.to_owned(),
            },
            Resolved::Missing,
        )
    };
    assert_eq!(time("occurred"), "2026-11-22 10:15:30 UTC");
    assert_eq!(time("recorded"), "2026-11-22 10:15:30.250000 UTC");
}

#[test]
fn refuses_what_is_no_catalogue() {
    for bad in ["[]", r#"{"a": 1}"#, "{", r#"{"a": "x", "a": "y"}"#] {
        assert!(Catalogue::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let digests: BTreeSet<Hash> = builtin()
        .iter()
        .map(|(_, bytes)| Catalogue::parse(bytes).unwrap().digest())
        .collect();
    assert_eq!(digests.len(), 2);
}
