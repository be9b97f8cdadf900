//! Checking a receipt (C2SP tlog-proof), and that a posted event is what its entry commits to.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Trust;
use super::content;
use super::evidence::{Known, Trusted, open_checkpoint, read_leaf, trust as trusted_keys};
use super::format::parse;
use super::freshness;
use super::keys::{Compromise, TrustedKeys, is_before};
use super::outcome::{Code, Committed, Integrity, Log, ReceiptCheck, Stop, Touches, Verdict};
use crate::json::{canonical, pointer};
use crate::ledger::content::Pool;
use crate::ledger::note::Vkey;
use crate::ledger::proof::verify_inclusion;
use crate::ledger::receipt::Receipt;
use crate::ledger::{Hash, Id16, Leaf, SpanId, Timestamp, disclosure};

/// An event as it was posted, with the disclosures that the ledger returned for it.
#[derive(Debug, Clone, Copy)]
pub struct EventCheck<'a> {
    /// The posted JSON, in the native form.
    pub event: &'a [u8],
    /// The disclosures, base64url, in any order.
    pub disclosures: &'a [String],
    /// Names of the top-level members that the vocabulary declares; any other stands under `/ext`.
    pub declared: &'a [&'a str],
}

/// Checks a receipt with nothing but pinned keys, and, when the event is brought along, that the entry commits to each
/// of its members and to nothing else.
///
/// The ledger is the one that the leaf names; a pinned key of that name must have signed the checkpoint.
#[must_use]
pub fn verify(
    receipt: &(impl AsRef<[u8]> + ?Sized),
    keys: &[Vkey],
    event: Option<&EventCheck<'_>>,
) -> ReceiptCheck {
    let trust = Trust {
        keys,
        ..Trust::default()
    };
    verify_by(receipt, &trust, event)
}

/// As [`verify`], with all that a verifier may trust.
#[must_use]
pub fn verify_by(
    receipt: &(impl AsRef<[u8]> + ?Sized),
    trust: &Trust<'_>,
    event: Option<&EventCheck<'_>>,
) -> ReceiptCheck {
    let mut log = Log::default();
    let proven = prove(receipt.as_ref(), trust, &mut log).ok();
    let (freshness, as_of) = match &proven {
        Some((trusted, own, _)) => {
            let head = &trusted.checkpoint;
            let roots = BTreeMap::from([(head.size, head.root)]);
            let fresh = freshness::judge(trusted, own, &roots, trust, &mut log);
            (fresh.verdict, fresh.as_of)
        }
        None => (
            Verdict {
                verdict: super::Freshness::NotProven,
                reason: "The receipt does not hold, so nothing is said about its time.".into(),
            },
            None,
        ),
    };
    if let Some((trusted, own, known)) = &proven {
        stolen(trusted, own, known, trust.compromised, &mut log);
    }
    let proven = proven.map(|(trusted, _, known)| (trusted, known));
    let integrity = match log.against_integrity() {
        Some(verdict) => verdict,
        None => Verdict { verdict: Integrity::Intact, reason: "The entry stands in the ledger at its place, under a checkpoint that a pinned key signed.".into() },
    };
    let event = match (&proven, event) {
        (Some((_, known)), Some(event)) => {
            // A stop has left its problem in the log.
            let _stopped: Result<(), Stop> = compare(&known.leaf, event, &mut log);
            committed(&log)
        }
        (None, Some(_)) => Verdict {
            verdict: Committed::NotChecked,
            reason: "The receipt does not hold, so the event was not compared.".into(),
        },
        (_, None) => Verdict {
            verdict: Committed::NotChecked,
            reason: "The event was not brought along; the content was not checked.".into(),
        },
    };
    let known = proven.as_ref().map(|(_, k)| k);
    ReceiptCheck {
        integrity,
        freshness,
        event,
        ledger: known.map(|k| k.leaf.ledger.clone()),
        seq: known.map(|k| k.leaf.seq),
        leaf_hash: known.map(|k| k.hash.to_hex()),
        recorded: known.map(|k| k.leaf.recorded.to_string()),
        checkpoint_size: proven.as_ref().map(|(t, _)| t.checkpoint.size),
        as_of: as_of.map(freshness::time_text),
        problems: log.into_problems(),
    }
}

/// Whether somebody else may have held the key that signed, with no earlier word of a witness.
fn stolen(
    trusted: &Trusted,
    own: &TrustedKeys,
    known: &Known,
    compromised: &[Compromise],
    log: &mut Log,
) {
    // At a bridge two keys sign; one that nobody stole is enough.
    let times: Option<Vec<Timestamp>> = trusted
        .signers
        .iter()
        .map(|k| own.stolen_since(k, compromised))
        .collect();
    let Some(since) = times.and_then(|t| t.into_iter().max()) else {
        return;
    };
    if !trusted
        .first_witnessed()
        .is_some_and(|s| is_before(s, since))
    {
        let text = format!(
            "Somebody else may have held the key that signed the checkpoint since {since}, and no pinned witness says that entry {} was there before.",
            known.leaf.seq
        );
        log.add(Code::KeyCompromised, "checkpoint", text);
    }
}

fn prove(
    bytes: &[u8],
    trust: &Trust<'_>,
    log: &mut Log,
) -> Result<(Trusted, TrustedKeys, Known), Stop> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        log.stop(
            Code::ReceiptForm,
            "receipt",
            "The receipt is not UTF-8 text.",
        )
    })?;
    let receipt = Receipt::parse(text)
        .map_err(|e| log.stop(Code::ReceiptForm, "receipt", format!("{e}.")))?;
    let origin = receipt.checkpoint.split('\n').next().unwrap_or_default();
    let own = trusted_keys(origin, trust.keys, trust.bridges, log)?;
    let trusted = open_checkpoint(&receipt.checkpoint, &own, trust.keys, "checkpoint", log)?;
    let known = read_leaf(&receipt.leaf, origin, "extra", log).ok_or(Stop)?;
    log.checkpoint()?;
    if known.leaf.seq != receipt.index {
        let text = format!(
            "The entry says that it stands at {}, and the receipt proves position {}.",
            known.leaf.seq, receipt.index
        );
        return Err(log.stop(Code::ReceiptIndex, "index", text));
    }
    let head = &trusted.checkpoint;
    verify_inclusion(&known.hash, receipt.index, head.size, &receipt.path, &head.root).map_err(|e| {
        let text = format!("Entry {} is not proven to stand in the ledger: {e}. The leaf, the proof or the checkpoint was changed.", receipt.index);
        log.stop(Code::ReceiptInclusion, "proof", text)
    })?;
    Ok((trusted, own, known))
}

fn committed(log: &Log) -> Verdict<Committed> {
    match log.first(Touches::Event) {
        Some(p) => Verdict {
            verdict: Committed::Differs,
            reason: p.explanation.clone(),
        },
        None => Verdict {
            verdict: Committed::Whole,
            reason: "The entry commits to every member of the posted event, and to nothing else."
                .into(),
        },
    }
}

fn compare(leaf: &Leaf, check: &EventCheck<'_>, log: &mut Log) -> Result<(), Stop> {
    let value = parse(check.event).map_err(|e| {
        log.stop(
            Code::EventForm,
            "event",
            format!("The event cannot be read: {e}."),
        )
    })?;
    let Value::Object(event) = value else {
        return Err(log.stop(Code::EventForm, "event", "The event is not a JSON object."));
    };
    let committed = committed_members(leaf, check.disclosures, log)?;
    let posted = posted_members(&event, check.declared);
    for (at, value) in &posted {
        match committed.get(at) {
            None => log.add(
                Code::EventAbsent,
                at,
                format!("The event's member `{at}` is not among what the entry commits to."),
            ),
            Some(other) if canonical(other) != canonical(value) => {
                let text = format!(
                    "The event's member `{at}` has another value than the one that the entry commits to; it was changed, or redacted before storage."
                );
                log.add(Code::EventDiffers, at, text);
            }
            Some(_) => {}
        }
    }
    for at in committed.keys().filter(|at| !posted.contains_key(*at)) {
        log.add(
            Code::EventAdded,
            at,
            format!("The entry commits to a member `{at}` that the event does not have."),
        );
    }
    clear_members(leaf, &event, log);
    Ok(())
}

/// What the entry commits to, by event pointer, in native form.
fn committed_members(
    leaf: &Leaf,
    disclosures: &[String],
    log: &mut Log,
) -> Result<BTreeMap<String, Value>, Stop> {
    let mut stop = |what: String| {
        log.stop(
            Code::EventDisclosures,
            "disclosures",
            format!("{what}. So the event cannot be compared with the entry."),
        )
    };
    let top: Vec<Hash> = disclosures
        .iter()
        .filter_map(|d| {
            disclosure::decode(d)
                .ok()
                .filter(|d| d.pointer.is_some())
                .map(|d| d.digest)
        })
        .collect();
    let mut pool =
        Pool::new(disclosures.iter().map(String::as_str)).map_err(|e| stop(e.to_string()))?;
    let opened = pool
        .open(&top, leaf.content)
        .map_err(|_| stop("The disclosures brought along are not those, or not all those, that the entry commits to".into()))?;
    pool.finish().map_err(|e| stop(e.to_string()))?;
    if !opened.hidden_elements.is_empty() {
        return Err(stop(
            "A disclosure of an element was not brought along".into(),
        ));
    }
    let mut shapes = Log::default();
    content::shapes(leaf.seq, leaf.occurred, &opened, &mut shapes);
    // Another time is seen when it is compared with the event's.
    let malformed = shapes
        .into_problems()
        .into_iter()
        .find(|p| p.code != Code::ContentTime);
    if let Some(problem) = malformed {
        return Err(stop(problem.explanation.trim_end_matches('.').to_owned()));
    }
    let members = opened.members.iter().filter(|(_, m)| !m.value.is_null());
    Ok(members
        .map(|(at, m)| (at.clone(), opened.expand(&m.value)))
        .collect())
}

/// An event's members by the pointers under which a ledger commits to them. `null` means absent.
fn posted_members(event: &Map<String, Value>, declared: &[&str]) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for (name, value) in event.iter().filter(|(_, v)| !v.is_null()) {
        let at = pointer::join("", name);
        match (name.as_str(), value) {
            ("type", _) => {}
            ("time", Value::String(t)) if is_plain_time(t) => {}
            ("trace_id", _) if trace(event).is_some() => {}
            ("span_id", _) if span(event).is_some() => {}
            ("actor" | "subject" | "data", Value::Object(members)) if !members.is_empty() => {
                let each = members.iter().filter(|(_, v)| !v.is_null());
                out.extend(each.map(|(n, v)| (pointer::join(&at, n), v.clone())));
            }
            ("time" | "trace_id" | "span_id" | "actor" | "subject" | "data", _) => {
                out.insert(at, value.clone());
            }
            (name, _) if declared.contains(&name) => {
                out.insert(at, value.clone());
            }
            (name, _) => {
                out.insert(pointer::join("/ext", name), value.clone());
            }
        }
    }
    out
}

/// Exactly `YYYY-MM-DDThh:mm:ss[.1-6 digits]Z`: the leaf's own form says all that such a time says.
fn is_plain_time(text: &str) -> bool {
    let rest = text.as_bytes().get(19..).unwrap_or_default();
    let fraction = match rest {
        [b'Z'] => true,
        [b'.', digits @ .., b'Z'] => {
            (1..=6).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    fraction && text.as_bytes().get(10) == Some(&b'T') && Timestamp::parse_rfc3339(text).is_ok()
}

/// The trace id when it is of W3C form (not all zeros), so that the leaf carries it as it is.
fn trace(event: &Map<String, Value>) -> Option<Id16> {
    Id16::from_hex(event.get("trace_id")?.as_str()?).filter(|id| id.0 != [0; 16])
}

/// The span id, likewise; a span without a trace is content.
fn span(event: &Map<String, Value>) -> Option<SpanId> {
    event.get("trace_id").filter(|t| !t.is_null())?;
    SpanId::from_hex(event.get("span_id")?.as_str()?).filter(|id| id.0 != [0; 8])
}

/// What the leaf says in clear about the event. Ids of another form are keyed images, so only their presence is compared.
fn clear_members(leaf: &Leaf, event: &Map<String, Value>, log: &mut Log) {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let has = |name: &str| event.get(name).is_some_and(|v| !v.is_null());
    let time = text("time").and_then(|t| Timestamp::parse_rfc3339(t).ok());
    let trace_good = trace(event).map_or(leaf.trace.is_some() == has("trace_id"), |id| {
        leaf.trace == Some(id)
    });
    let span_good = span(event).map_or(
        leaf.span.is_some() == (has("trace_id") && has("span_id")),
        |id| leaf.span == Some(id),
    );
    let checks = [
        ("/type", text("type") == Some(leaf.kind.as_str())),
        ("/time", time == Some(leaf.occurred)),
        ("/trace_id", trace_good),
        ("/span_id", span_good),
        ("/case_id", leaf.case.is_some() == has("case_id")),
    ];
    for (at, good) in checks {
        if !good {
            log.add(
                Code::EventDiffers,
                at,
                format!("The event's member `{at}` is not what the entry's leaf states."),
            );
        }
    }
}
