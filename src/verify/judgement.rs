//! What the issuer says: that it speaks of things in the report, that it can be told, and that it is what the entries
//! show.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::format::{self, Predicate, ReportFile};
use super::outcome::{Code, Log};
use crate::json::pointer;
use crate::judge::{Arg, DatumRef, Entry, Judgement, Sentence, Subject};
use crate::ledger::{Hash, sha256};

/// Judges entries again: subject, entries, the profile's JSON.
pub type Judge<'a> = dyn Fn(&Subject, &[Entry], &Value) -> Result<Judgement, String> + 'a;

/// Names of a leaf's members, as an [`Arg::Member`] may give them.
const MEMBERS: [&str; 16] = [
    "v",
    "ledger",
    "seq",
    "prev",
    "type",
    "eid",
    "case",
    "case_seq",
    "case_prev",
    "trace",
    "span",
    "occurred",
    "recorded",
    "producer",
    "content",
    "fact",
];

/// What sentences may refer to.
struct Index<'a> {
    /// Digests with their values; `None` for what is not shown.
    digests: HashMap<Hash, Option<&'a Value>>,
    seqs: BTreeSet<u64>,
    /// Entries of which something is not shown: elements may lie beneath it.
    hiding: BTreeSet<u64>,
}

impl<'a> Index<'a> {
    fn new(entries: &'a [Entry], predicate: &Predicate) -> Self {
        let mut digests: HashMap<Hash, Option<&Value>> = predicate
            .withheld
            .iter()
            .map(|w| (w.digest, None))
            .collect();
        for e in entries {
            digests.extend(
                e.opened
                    .hidden
                    .iter()
                    .chain(&e.opened.hidden_elements)
                    .map(|d| (*d, None)),
            );
            digests.extend(
                e.opened
                    .members
                    .values()
                    .map(|m| (m.digest, Some(&m.value))),
            );
            digests.extend(e.opened.elements.iter().map(|(d, v)| (*d, Some(v))));
        }
        let hides =
            |e: &&Entry| !e.opened.hidden.is_empty() || !e.opened.hidden_elements.is_empty();
        Self {
            digests,
            seqs: entries.iter().map(|e| e.leaf.seq).collect(),
            hiding: entries.iter().filter(hides).map(|e| e.leaf.seq).collect(),
        }
    }

    /// `None` when the reference is good; else what is wrong. `from` are the entries that it can lie in; all when empty.
    fn datum(&self, datum: &DatumRef, from: &[u64]) -> Option<String> {
        let Some(digest) = Hash::from_b64url(&datum.digest) else {
            return Some(format!("`{}` is not a digest", datum.digest));
        };
        match self.digests.get(&digest) {
            Some(Some(value)) if pointer::get(value, &datum.at).is_none() => Some(format!(
                "the disclosure {} has nothing at `{}`",
                datum.digest, datum.at
            )),
            Some(_) if pointer::split(&datum.at).is_none() => {
                Some(format!("`{}` is not a place", datum.at))
            }
            Some(_) => None,
            None if self.could_hide(from) => None,
            None => Some(format!(
                "the digest {} is nowhere in the report",
                datum.digest
            )),
        }
    }

    fn could_hide(&self, from: &[u64]) -> bool {
        if from.is_empty() {
            !self.hiding.is_empty()
        } else {
            from.iter().any(|seq| self.hiding.contains(seq))
        }
    }

    fn seq(&self, seq: u64) -> Option<String> {
        (!self.seqs.contains(&seq)).then(|| format!("entry {seq} is not in the report"))
    }

    fn arg(&self, arg: &Arg, from: &[u64]) -> Option<String> {
        match arg {
            Arg::Datum(d) => self.datum(d, from),
            Arg::Member { seq, member } => self.seq(*seq).or_else(|| {
                (!MEMBERS.contains(&member.as_str()))
                    .then(|| format!("a leaf has no member `{member}`"))
            }),
            Arg::Count { .. } | Arg::Term { .. } => None,
            Arg::List { list } => list.iter().find_map(|a| self.arg(a, from)),
        }
    }

    fn sentence(&self, s: &Sentence) -> Option<String> {
        let seqs = s.entries.iter().find_map(|seq| self.seq(*seq));
        seqs.or_else(|| s.args.values().find_map(|a| self.arg(a, &s.entries)))
    }
}

/// All sentences of a judgement with their places.
fn sentences(j: &Judgement) -> impl Iterator<Item = (String, &Sentence)> {
    let answer = j.answer.iter().enumerate().flat_map(|(i, part)| {
        let each = part.sentences.iter().enumerate();
        each.map(move |(k, s)| (format!("answer/{i}/sentences/{k}"), s))
    });
    let timeline = j
        .timeline
        .iter()
        .enumerate()
        .map(|(i, t)| (format!("timeline/{i}/sentence"), &t.sentence));
    let findings = j
        .findings
        .iter()
        .enumerate()
        .map(|(i, f)| (format!("findings/{i}/sentence"), &f.sentence));
    answer.chain(timeline).chain(findings)
}

/// Notes everything in the judgement that refers to what is not in the report.
pub fn references(predicate: &Predicate, entries: &[Entry], log: &mut Log) {
    let index = Index::new(entries, predicate);
    let j = &predicate.judgement;
    let mut wrong = |place: String, what: String| {
        let text = format!(
            "The issuer's judgement rests on something that is not there: {what}. The sentence concerned has no support."
        );
        log.add(
            Code::JudgementReference,
            format!("payload:/predicate/{place}"),
            text,
        );
    };
    if let Subject::Recommendation(datum) = &predicate.subject
        && let Some(what) = index.datum(datum, &[])
    {
        wrong("subject".into(), what);
    }
    for (place, sentence) in sentences(j) {
        if let Some(what) = index.sentence(sentence) {
            wrong(format!("judgement/{place}"), what);
        }
    }
    for (i, finding) in j.findings.iter().enumerate() {
        let (code, template) = (&finding.code, &finding.sentence.template);
        if template.strip_prefix("finding.") != Some(code) {
            let what = format!("the finding `{code}` is told by the template `{template}`");
            wrong(format!("judgement/findings/{i}"), what);
        }
    }
    for (i, item) in j.timeline.iter().enumerate() {
        if let Some(what) = index.seq(item.seq) {
            wrong(format!("judgement/timeline/{i}"), what);
        }
    }
    for (i, edge) in j.graph.iter().enumerate() {
        let what = index
            .seq(edge.from)
            .or_else(|| index.seq(edge.to))
            .or_else(|| index.datum(&edge.by, &[edge.from]));
        if let Some(what) = what {
            wrong(format!("judgement/graph/{i}"), what);
        }
    }
}

/// Checks that the catalogues are those that were signed, and that every sentence can be told in each of them.
///
/// A catalogue is a flat JSON object, strict: template id to text.
pub fn catalogues(file: &ReportFile, predicate: &Predicate, log: &mut Log) {
    let (there, signed) = (&file.catalogues, &predicate.catalogues);
    if signed.is_empty() || !there.keys().eq(signed.keys()) {
        let text = "The message catalogues in the file are not the set that the report was signed with, so its sentences cannot be told.";
        log.add(Code::CatalogueSet, "/catalogues", text);
        return;
    }
    let needed = templates(&predicate.judgement);
    for ((language, text), digest) in there.iter().zip(signed.values()) {
        let place = format!("/catalogues/{language}");
        if sha256(&[text.as_bytes()]) != digest.0 {
            let text = format!(
                "The message catalogue `{language}` is not the one that was signed: the report's sentences would read otherwise."
            );
            log.add(Code::CatalogueDigest, place, text);
            continue;
        }
        let Some(templates) = catalogue(text) else {
            let text =
                format!("The message catalogue `{language}` is not a flat JSON object of texts.");
            log.add(Code::CatalogueForm, place, text);
            continue;
        };
        if let Some(absent) = needed.iter().find(|t| !has_template(&templates, t)) {
            let text = format!(
                "The message catalogue `{language}` has no text for `{absent}`, so a sentence of the report cannot be told."
            );
            log.add(Code::CatalogueTemplate, place, text);
        }
    }
}

/// Reads a catalogue: a flat JSON object, template id to text.
#[must_use]
pub fn catalogue(text: &str) -> Option<BTreeMap<String, String>> {
    let Value::Object(map) = format::parse(text.as_bytes()).ok()? else {
        return None;
    };
    map.into_iter()
        .map(|(id, text)| Some((id, text.as_str()?.to_owned())))
        .collect()
}

/// Ids of all templates and terms (`term.<term>`) that a judgement is told with.
fn templates(j: &Judgement) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (_, sentence) in sentences(j) {
        out.insert(sentence.template.clone());
        sentence.args.values().for_each(|a| terms(a, &mut out));
    }
    out
}

fn terms(arg: &Arg, out: &mut BTreeSet<String>) {
    match arg {
        Arg::Term { term } => {
            out.insert(format!("term.{term}"));
        }
        Arg::List { list } => list.iter().for_each(|a| terms(a, out)),
        _ => {}
    }
}

/// The first thing in which the issuer's judgement is not the recomputed one.
pub fn difference(stated: &Judgement, shown: &Judgement) -> Option<String> {
    if stated == shown {
        return None;
    }
    type Key<'a> = (&'a str, &'a [u64]);
    fn keys(j: &Judgement) -> impl Iterator<Item = Key<'_>> {
        j.findings
            .iter()
            .map(|f| (f.code.as_str(), f.sentence.entries.as_slice()))
    }
    let (says, shows): (BTreeSet<_>, BTreeSet<_>) = (keys(stated).collect(), keys(shown).collect());
    if let Some((code, on)) = keys(stated).find(|k| !shows.contains(k)) {
        return Some(format!(
            "the issuer states the finding `{code}` on entries {on:?}, which the entries do not show"
        ));
    }
    if let Some((code, on)) = keys(shown).find(|k| !says.contains(k)) {
        return Some(format!(
            "the entries show the finding `{code}` on entries {on:?}, which the issuer does not state"
        ));
    }
    let parts = [
        (stated.elements != shown.elements, "the verdict on elements"),
        (stated.controls != shown.controls, "the verdict on controls"),
        (
            stated.profile_rule != shown.profile_rule,
            "the rule of the profile that applies",
        ),
        (
            stated.findings != shown.findings,
            "the wording or the gravity of a finding",
        ),
        (stated.answer != shown.answer, "the answer"),
        (stated.timeline != shown.timeline, "the timeline"),
        (stated.graph != shown.graph, "the joins between entries"),
    ];
    let part = parts
        .into_iter()
        .find_map(|(differs, what)| differs.then_some(what));
    Some(format!(
        "{} is not what the entries show",
        part.unwrap_or("the judgement")
    ))
}

/// A template stands under its id, or under `<id>#one` and `<id>#other` where it depends on a count.
fn has_template(templates: &BTreeMap<String, String>, id: &str) -> bool {
    templates.contains_key(id)
        || ["one", "other"]
            .iter()
            .all(|form| templates.contains_key(&format!("{id}#{form}")))
}
