//! Tests of the whole room, on records built by hand.

#[path = "../../../tests/findings/mod.rs"]
mod corpus;

mod build;
mod catalogues;
mod fixtures;
mod hidden;
mod near;
mod semantics;

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use build::{case, entries, trace};

/// Where the corpus is.
fn corpus_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/findings")
}

/// The base record: a proper one.
fn base() -> Vec<Value> {
    corpus::load_base(&corpus_dir(), "escalation")
}

/// The base record, patched as fixtures are.
fn patched(ops: Value) -> Vec<Value> {
    let mut events = Value::Array(base());
    ops.as_array()
        .unwrap()
        .iter()
        .for_each(|op| corpus::apply(&mut events, op));
    events.as_array().unwrap().clone()
}

fn judge_events(events: &[Value]) -> Judgement {
    judge_entries(&entries(events))
}

fn judge_entries(entries: &[Entry]) -> Judgement {
    judge(&case(entries), entries, &Profile::builtin().unwrap())
}

fn codes(judgement: &Judgement) -> Vec<&str> {
    judgement
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

fn catalogue(lang: &str) -> Catalogue {
    Catalogue::parse(
        catalogue::builtin()
            .into_iter()
            .find(|(l, _)| *l == lang)
            .unwrap()
            .1,
    )
    .unwrap()
}

/// All sentences of a judgement.
fn sentences(judgement: &Judgement) -> Vec<&Sentence> {
    let answer = judgement.answer.iter().flat_map(|part| &part.sentences);
    let timeline = judgement.timeline.iter().map(|item| &item.sentence);
    answer
        .chain(timeline)
        .chain(judgement.findings.iter().map(|finding| &finding.sentence))
        .collect()
}

/// The answer in English, one line a sentence.
fn told(entries: &[Entry], judgement: &Judgement) -> String {
    let (en, shown) = (catalogue("en"), Entries::new(entries));
    let lines = sentences(judgement)
        .into_iter()
        .map(|s| render(s, &en, &shown));
    lines.collect::<Vec<_>>().join("\n")
}

/// A low-risk version of the base, in which nobody approved anything.
fn low_risk() -> Vec<Value> {
    patched(json!([
        {"op": "replace", "path": "/risk/data/level", "value": "low"},
        {"op": "remove", "path": "/approval"},
        {"op": "remove", "path": "/required"},
        {"op": "remove", "path": "/action/approval_id"},
    ]))
}
