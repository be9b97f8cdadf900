//! Content: every digest is shown, else erased, else withheld, else missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::custody;
use super::evidence::Proven;
use super::format::{Predicate, Withheld};
use super::outcome::{Code, Content, Log, Stop};
use super::service::Duties;
use crate::event::COMMON_MEMBERS;
use crate::json::pointer;
use crate::judge::{Absence, Entry};
use crate::ledger::content::{ContentError, Opened, Pool};
use crate::ledger::disclosure::{self, RESERVED};
use crate::ledger::{Hash, Timestamp};

/// What a content error is called, and what it touches.
pub fn code_of(error: &ContentError) -> Code {
    match error {
        ContentError::Disclosure(_) => Code::DisclosureForm,
        ContentError::DoubledDisclosure(_) => Code::DisclosureDoubled,
        ContentError::DoubledDigest(_) => Code::ContentDoubledDigest,
        ContentError::DoubledPointer(_) => Code::ContentDoubledPointer,
        ContentError::Commitment => Code::ContentCommitment,
        ContentError::Misplaced(_) => Code::DisclosureMisplaced,
        ContentError::Unreferenced(_) => Code::DisclosureUnreferenced,
    }
}

/// Opens all entries, and gives each hidden digest its reason. Gives the payload's entries, its recorded reads, and the
/// states.
pub fn open(
    disclosures: &[String],
    predicate: &Predicate,
    proven: &Proven,
    duties: &Duties,
    log: &mut Log,
) -> Result<(Vec<Entry>, Vec<Entry>, Content), Stop> {
    let mut pool = Pool::new(disclosures.iter().map(String::as_str)).map_err(|e| {
        let text =
            format!("{e}. The file shows something that the ledger does not hold in this form.");
        log.stop(code_of(&e), "/disclosures", text)
    })?;
    let mut entries = Vec::with_capacity(predicate.entries.len());
    let payload = proven.known.values().filter(|k| k.payload);
    let payload = payload.zip(predicate.entries.iter().map(|e| &e.digests));
    let reads = proven.known.values().filter(|k| k.custody);
    let reads = reads.zip(predicate.custody.iter().map(|e| &e.digests));
    for (known, digests) in payload.chain(reads) {
        let leaf = known.leaf.clone();
        let opened = pool.open(digests, leaf.content).map_err(|e| {
            let text = format!(
                "Entry {}: {e}. What the report shows of this entry is not what was recorded.",
                leaf.seq
            );
            log.stop(code_of(&e), format!("entry {}", leaf.seq), text)
        })?;
        shapes(leaf.seq, leaf.occurred, &opened, log);
        entries.push(Entry {
            leaf,
            digests: digests.clone(),
            opened,
            absences: BTreeMap::new(),
        });
    }
    if let Err(e) = pool.finish() {
        let text = format!("{e}. The file shows something that no entry of the report commits to.");
        return Err(log.stop(code_of(&e), "/disclosures", text));
    }
    let reads = entries.iter_mut().skip(predicate.entries.len());
    for (entry, listed) in reads.zip(&predicate.custody) {
        custody::shown(entry, listed, predicate.case, log);
    }
    let content = absences(&mut entries, predicate, proven, duties, log);
    let reads = entries.split_off(predicate.entries.len().min(entries.len()));
    Ok((entries, reads, content))
}

/// Whether shown members are such as a ledger of format v1 writes.
pub fn shapes(seq: u64, occurred: Timestamp, opened: &Opened, log: &mut Log) {
    let place = format!("entry {seq}");
    for (at, member) in &opened.members {
        if !is_event_pointer(at) || is_whole(at) && !may_be_whole(at, &member.value, opened) {
            let text = format!("Entry {seq} shows a member at `{at}`, a place that no event has.");
            log.add(Code::DisclosurePointer, &place, text);
        }
        if !is_disclosed(&member.value) {
            let text = format!(
                "The value at `{at}` of entry {seq} is not in the form in which a ledger discloses it."
            );
            log.add(Code::DisclosureForm, &place, text);
        }
    }
    if opened
        .elements
        .values()
        .any(|v| !v.is_object() || !is_disclosed(v))
    {
        let text =
            format!("An element of entry {seq} is not in the form in which a ledger discloses it.");
        log.add(Code::DisclosureForm, &place, text);
    }
    if let Some(time) = opened.members.get("/time") {
        let shown = time
            .value
            .as_str()
            .and_then(|t| Timestamp::parse_rfc3339(t).ok());
        if shown != Some(occurred) {
            let text = format!("Entry {seq} shows another time than the one that its leaf states.");
            log.add(Code::ContentTime, &place, text);
        }
    }
}

/// Whether the pointer names an object whose members are disclosed one by one.
fn is_whole(at: &str) -> bool {
    matches!(at, "/actor" | "/subject" | "/data")
}

/// Such an object is one disclosure only when it has no members: it is `null` or `{}`.
fn may_be_whole(at: &str, value: &Value, opened: &Opened) -> bool {
    let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    let inside = format!("{at}/");
    empty && !opened.members.keys().any(|k| k.starts_with(&inside))
}

/// A declared `/name`, an undeclared `/ext/name`, or `/actor/name`, `/subject/name`, `/data/name`, whatever the name is.
/// The type is never content.
pub fn is_event_pointer(at: &str) -> bool {
    let Some(tokens) = pointer::split(at) else {
        return false;
    };
    match tokens
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["type"] => false,
        [name] => COMMON_MEMBERS.contains(name),
        ["ext", name] => !COMMON_MEMBERS.contains(name),
        ["actor" | "subject" | "data", _] => true,
        _ => false,
    }
}

/// Whether arrays of objects are placeholders, and reserved names stand nowhere else.
fn is_disclosed(value: &Value) -> bool {
    match value {
        Value::Array(items) if disclosure::is_disclosed_by_element(items) => {
            items.iter().all(|v| disclosure::placeholder(v).is_some())
        }
        Value::Array(items) => items.iter().all(is_disclosed),
        Value::Object(map) => map
            .iter()
            .all(|(name, v)| !RESERVED.contains(&name.as_str()) && is_disclosed(v)),
        _ => true,
    }
}

/// The signed manifest, by digest; each line is to be used.
struct Manifest<'a> {
    lines: HashMap<Hash, (&'a Withheld, bool)>,
}

impl<'a> Manifest<'a> {
    fn new(withheld: &'a [Withheld], log: &mut Log) -> Self {
        let mut lines = HashMap::new();
        for (i, line) in withheld.iter().enumerate() {
            if lines.insert(line.digest, (line, false)).is_some() {
                let text = "The list of what is withheld names one digest twice.";
                log.add(
                    Code::WithheldDoubled,
                    format!("payload:/predicate/withheld/{i}"),
                    text,
                );
            }
        }
        Self { lines }
    }

    fn find(&mut self, digest: &Hash) -> Option<&'a Withheld> {
        let (line, used) = self.lines.get_mut(digest)?;
        *used = true;
        Some(line)
    }
}

fn absences(
    entries: &mut [Entry],
    predicate: &Predicate,
    proven: &Proven,
    duties: &Duties,
    log: &mut Log,
) -> Content {
    let mut manifest = Manifest::new(&predicate.withheld, log);
    let mut content = Content::default();
    let mut needed = BTreeSet::new();
    for entry in entries {
        let seq = entry.leaf.seq;
        shown_though_withheld(entry, &mut manifest, log);
        content.shown += (entry.opened.members.len() + entry.opened.elements.len()) as u64;
        let mut taken: Vec<&str> = entry.opened.members.keys().map(String::as_str).collect();
        let top = entry.opened.hidden.iter().map(|d| (d, true));
        let elements = entry.opened.hidden_elements.iter().map(|d| (d, false));
        for (digest, is_top) in top.chain(elements) {
            let line = manifest.find(digest);
            let covering: Vec<u64> = duties
                .erasures
                .iter()
                .filter(|e| e.covers(seq, digest))
                .map(|e| e.by)
                .collect();
            if let Some(by) = covering.first().copied() {
                needed.extend(covering);
                content.erased += 1;
                entry.absences.insert(*digest, Absence::Erased { by });
            } else if let Some(line) = line {
                content.withheld += 1;
                let pointer = line.pointer.clone();
                entry
                    .absences
                    .insert(*digest, Absence::Withheld { pointer });
            } else {
                content.missing += 1;
                let text = format!(
                    "A part of entry {seq} is not shown (digest {}), and neither the signed list of what is withheld nor a proven erasure says why. \
                     It was taken out of the file.",
                    digest.to_b64url()
                );
                log.add(Code::ContentMissing, format!("entry {seq}"), text);
            }
            if let Some(pointer) = line.and_then(|l| l.pointer.as_deref()).filter(|_| is_top) {
                if taken.contains(&pointer) || !is_event_pointer(pointer) {
                    let text = format!(
                        "The withheld part of entry {seq} is said to be at `{pointer}`, which is taken or no place of an event."
                    );
                    log.add(Code::WithheldPointer, format!("entry {seq}"), text);
                }
                taken.push(pointer);
            }
        }
    }
    // An element of a member that was erased since has no place any more; else every line must have one.
    if content.erased == 0
        && let Some((line, _)) = manifest
            .lines
            .values()
            .filter(|(_, used)| !used)
            .min_by_key(|(l, _)| l.digest)
    {
        let text = format!(
            "The list of what is withheld names the digest {}, which is nowhere in the report.",
            line.digest.to_b64url()
        );
        log.add(
            Code::WithheldUnreferenced,
            "payload:/predicate/withheld",
            text,
        );
    }
    unneeded(proven, duties, &needed, log);
    content
}

fn shown_though_withheld(entry: &Entry, manifest: &mut Manifest<'_>, log: &mut Log) {
    let members = entry.opened.members.values().map(|m| &m.digest);
    for digest in members.chain(entry.opened.elements.keys()) {
        if manifest.find(digest).is_some() {
            let text = format!(
                "The file shows a part of entry {} (digest {}) that its issuer states to withhold from this reader. It is not the file that was issued.",
                entry.leaf.seq,
                digest.to_b64url()
            );
            log.add(
                Code::WithheldShown,
                format!("entry {}", entry.leaf.seq),
                text,
            );
        }
    }
}

/// Erasures outside the payload that explain nothing do not belong in the evidence.
fn unneeded(proven: &Proven, duties: &Duties, needed: &BTreeSet<u64>, log: &mut Log) {
    let outside = |by: &u64| proven.known.get(by).is_some_and(|k| !k.payload);
    for by in duties
        .erasures
        .iter()
        .map(|e| e.by)
        .filter(|by| outside(by) && !needed.contains(by))
    {
        let text = format!(
            "Entry {by} tells of an erasure that explains nothing here; it does not belong in the evidence."
        );
        log.add(Code::EvidenceUnneeded, format!("entry {by}"), text);
    }
}
