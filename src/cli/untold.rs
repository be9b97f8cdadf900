//! What is recorded but told by no sentence: nothing that a report shows may stay unseen by whoever reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::json::{canonical, pointer};
use crate::judge::{Arg, DatumRef, Entry, Judgement, Sentence};
use crate::ledger::Hash;
use crate::ledger::disclosure::placeholder;

/// One line for each entry that holds something untold: its position, then pointers with values. A value that is the
/// same as the last one listed for its pointer is left out, so that case, run and trace are said once.
pub(super) fn untold(judgement: &Judgement, entries: &[Entry]) -> Vec<String> {
    let told = told(judgement);
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    let mut lines = Vec::new();
    for entry in entries {
        let mut found = Vec::new();
        for (at, member) in &entry.opened.members {
            scalars(
                entry,
                &member.value,
                member.digest,
                "",
                at,
                &told,
                &mut found,
            );
        }
        let ids = [
            ("trace", entry.leaf.trace.map(|t| t.to_hex())),
            ("span", entry.leaf.span.map(|s| s.to_hex())),
        ];
        found.extend(
            ids.into_iter()
                .filter_map(|(name, id)| Some((name.to_owned(), id?))),
        );
        found.retain(|(at, value)| last.insert(at.clone(), value.clone()).as_ref() != Some(value));
        if !found.is_empty() {
            let list: Vec<String> = found
                .into_iter()
                .map(|(at, value)| format!("{at} = {value}"))
                .collect();
            lines.push(format!("  #{} {}", entry.leaf.seq, list.join("; ")));
        }
    }
    lines
}

/// What sentences say in full.
fn told(judgement: &Judgement) -> BTreeSet<(String, String)> {
    let mut refs = BTreeSet::new();
    let parts = judgement.answer.iter().flat_map(|p| &p.sentences);
    let timeline = judgement.timeline.iter().map(|t| &t.sentence);
    let findings = judgement.findings.iter().map(|f| &f.sentence);
    for Sentence { args, .. } in parts.chain(timeline).chain(findings) {
        args.values().for_each(|arg| collect(arg, &mut refs));
    }
    refs
}

fn collect(arg: &Arg, refs: &mut BTreeSet<(String, String)>) {
    match arg {
        Arg::Datum(DatumRef { digest, at }) => {
            refs.insert((digest.clone(), at.clone()));
        }
        Arg::List { list } => list.iter().for_each(|arg| collect(arg, refs)),
        _ => {}
    }
}

fn scalars(
    entry: &Entry,
    value: &Value,
    digest: Hash,
    at: &str,
    place: &str,
    told: &BTreeSet<(String, String)>,
    out: &mut Vec<(String, String)>,
) {
    if let Some(element) = placeholder(value) {
        if let Some(inner) = entry.opened.elements.get(&element) {
            scalars(entry, inner, element, "", place, told, out);
        }
        return;
    }
    // Sentences shorten digests, so a digest is always listed whole.
    let shortened = value.as_str().is_some_and(|s| s.starts_with("sha256:"));
    if !shortened && told.contains(&(digest.to_b64url(), at.to_owned())) {
        return;
    }
    match value {
        Value::Object(map) => map.iter().for_each(|(name, v)| {
            scalars(
                entry,
                v,
                digest,
                &pointer::join(at, name),
                &pointer::join(place, name),
                told,
                out,
            );
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| {
            let i = i.to_string();
            scalars(
                entry,
                v,
                digest,
                &pointer::join(at, &i),
                &pointer::join(place, &i),
                told,
                out,
            );
        }),
        scalar => out.push((place.to_owned(), canonical(scalar))),
    }
}
