//! Checking a report file.

use super::Trust;
use super::case;
use super::content;
use super::custody::{self, CustodyItem};
use super::evidence::{self, Proven};
use super::format::{
    MAX_CUSTODY, MAX_TEXT, PREDICATE, Predicate, ReportFile, STATEMENT, Statement, VERSION, parse,
};
use super::freshness;
use super::judgement::{self, Judge};
use super::keys::{self, OutsideWord};
use super::outcome::{
    Basis, Code, Content, Custody, Freshness, Heading, Integrity, Log, Process, ProcessVerdict,
    ReportCheck, Sequence, Stop, Touches, Verdict, Verdicts,
};
use super::service::{self, Duties};
use crate::json::pointer;
use crate::judge::{Entry, Judged};
use crate::ledger::checkpoint::is_origin;
use crate::ledger::dsse::EnvelopeError;
use crate::ledger::note::Vkey;
use crate::ledger::sha256;

/// A checked report, opened.
#[derive(Debug, Clone)]
pub struct OpenedReport {
    /// The outcome.
    pub check: ReportCheck,
    /// What the report key signed; absent when integrity is broken.
    pub statement: Option<Statement>,
    /// The entries with what is shown of them; empty when integrity is broken.
    pub entries: Vec<Entry>,
    /// The recorded reads of the case; empty when integrity is broken.
    pub custody: Vec<CustodyItem>,
}

/// Checks a report file with nothing but pinned keys.
///
/// `keys` are the pinned verifier keys: the ledger's checkpoint key (its name is the ledger's origin) and any
/// witnesses' keys. `outside` are signed checkpoints that the verifier has from elsewhere. `judge` recomputes the
/// judgement when all content is shown; without it the issuer's statement stands as such.
#[must_use]
pub fn verify(
    bytes: &[u8],
    keys: &[Vkey],
    outside: &[String],
    judge: Option<&Judge<'_>>,
) -> ReportCheck {
    open(bytes, keys, outside, judge).check
}

/// As [`verify`], and gives what was signed and shown, so that it can be told.
#[must_use]
pub fn open(
    bytes: &[u8],
    keys: &[Vkey],
    outside: &[String],
    judge: Option<&Judge<'_>>,
) -> OpenedReport {
    let trust = Trust {
        keys,
        outside,
        ..Trust::default()
    };
    open_by(bytes, &trust, judge)
}

/// As [`open`], with all that a verifier may trust.
#[must_use]
pub fn open_by(bytes: &[u8], trust: &Trust<'_>, judge: Option<&Judge<'_>>) -> OpenedReport {
    let mut log = Log::default();
    let mut facts = Facts::default();
    // A stop has left its problem in the log; what was found out before it is in the facts.
    let _stopped: Result<(), Stop> = run(bytes, trust, judge, &mut facts, &mut log);
    let verdicts = verdicts(&facts, &log);
    let intact = verdicts.integrity.verdict == Integrity::Intact;
    let check = ReportCheck {
        verdicts,
        problems: log.into_problems(),
        report: facts.heading,
        checkpoint_size: facts.checkpoint_size,
        entries: facts.entry_count,
        content: facts.content,
        custody: facts.custody,
        as_of: facts.as_of.filter(|_| intact),
    };
    OpenedReport {
        check,
        statement: facts.statement.filter(|_| intact),
        entries: if intact { facts.entries } else { Vec::new() },
        custody: if intact { facts.reads } else { Vec::new() },
    }
}

/// What has been found out so far.
#[derive(Default)]
struct Facts {
    heading: Option<Heading>,
    statement: Option<Statement>,
    entries: Vec<Entry>,
    reads: Vec<CustodyItem>,
    custody: Option<Custody>,
    checkpoint_size: Option<u64>,
    entry_count: u64,
    case_entries: Option<u64>,
    content: Content,
    freshness: Option<Verdict<Freshness>>,
    as_of: Option<String>,
    stated: Option<(Judged, Judged)>,
    recomputed: Option<Result<(), String>>,
    not_recomputed: Option<String>,
}

fn run(
    bytes: &[u8],
    trust: &Trust<'_>,
    judge: Option<&Judge<'_>>,
    facts: &mut Facts,
    log: &mut Log,
) -> Result<(), Stop> {
    let file = ReportFile::decode(bytes).map_err(|e| {
        let text = format!("This is not a report file in the form of version 1: {e}.");
        log.stop(Code::FileForm, "", text)
    })?;
    let payload = payload(&file, log)?;
    let statement = statement(&payload, log)?;
    let predicate = &statement.predicate;
    facts.entry_count = predicate.entries.len() as u64;
    values(predicate, log)?;

    let own = evidence::trust(&predicate.ledger, trust.keys, trust.bridges, log)?;
    let proven = evidence::prove(&file, predicate, trust.keys, own, log)?;
    facts.checkpoint_size = Some(proven.trusted.checkpoint.size);
    let duties = service::duties(&proven, predicate, log)?;
    signature(&file, &payload, &proven, &duties, log)?;
    let recorded = proven
        .known
        .get(&duties.issued)
        .map(|k| k.leaf.recorded.to_string())
        .unwrap_or_default();
    facts.heading = Some(Heading::new(predicate, &recorded));

    evidence::links(&proven.known, log);
    subject(&statement, &proven, log);
    case::heading(&proven.known, predicate, log);
    case::chain(&proven.known, predicate, duties.issued, log);
    facts.case_entries = predicate.case.map(|case| {
        let of_case =
            |k: &&evidence::Known| k.payload && k.leaf.case.is_some_and(|l| l.case == case);
        proven.known.values().filter(of_case).count() as u64
    });
    judgement::catalogues(&file, predicate, log);
    let profile = crate::json::canonical(&predicate.profile.json);
    if sha256(&[profile.as_bytes()]) != predicate.profile.sha256 {
        let text = "The profile is not the one whose digest the report states.";
        log.add(Code::ProfileDigest, "payload:/predicate/profile", text);
    }

    let (entries, reads, content) =
        content::open(&file.disclosures, predicate, &proven, &duties, log)?;
    facts.content = content;
    facts.reads = custody::items(&reads, predicate);
    let left_out = predicate.custody_left_out.unwrap_or_default();
    facts.custody = (!reads.is_empty() || left_out > 0).then_some(Custody {
        accesses: facts.reads.len() as u64,
        entries: reads.len() as u64,
        left_out,
    });
    case::ids(&entries, predicate.case, log);
    judgement::references(predicate, &entries, log);
    let fresh = freshness::judge(&proven.trusted, &proven.trust, &proven.roots, trust, log);
    facts.freshness = Some(fresh.verdict);
    facts.as_of = fresh.as_of.map(freshness::time_text);
    compromised(&proven, &duties, &fresh.agreeing, trust, log);
    facts.stated = Some((predicate.judgement.elements, predicate.judgement.controls));
    recompute(predicate, &entries, judge, facts, log);
    facts.entries = entries;
    facts.statement = Some(statement);
    Ok(())
}

/// The payload's bytes, not yet verified.
fn payload(file: &ReportFile, log: &mut Log) -> Result<Vec<u8>, Stop> {
    if file.envelope.signatures.len() != 1 {
        let text = format!(
            "A report's envelope carries exactly one signature; this one carries {}.",
            file.envelope.signatures.len()
        );
        return Err(log.stop(Code::EnvelopeSignatures, "/envelope/signatures", text));
    }
    file.envelope.payload_bytes().map_err(|e| {
        let place = if e == EnvelopeError::Type {
            "/envelope/payloadType"
        } else {
            "/envelope/payload"
        };
        log.stop(Code::EnvelopeForm, place, format!("{e}."))
    })
}

fn statement(payload: &[u8], log: &mut Log) -> Result<Statement, Stop> {
    let value = parse(payload).map_err(|e| {
        log.stop(
            Code::PayloadForm,
            "payload:",
            format!("The signed payload cannot be read: {e}."),
        )
    })?;
    let known = pointer::get(&value, "/_type").is_some_and(|t| t == STATEMENT)
        && pointer::get(&value, "/predicateType").is_some_and(|t| t == PREDICATE)
        && pointer::get(&value, "/predicate/v").is_some_and(|v| v == VERSION);
    if !known {
        let text = "The signed payload is not a report of version 1. Another version of this program may be able to read it.";
        return Err(log.stop(Code::PayloadVersion, "payload:", text));
    }
    Statement::decode(payload).map_err(|e| {
        log.stop(
            Code::PayloadForm,
            "payload:",
            format!("The signed payload is not in the form of version 1: {e}."),
        )
    })
}

fn values(p: &Predicate, log: &mut Log) -> Result<(), Stop> {
    let text = |t: &str, max: usize| {
        !t.is_empty() && t.chars().count() <= max && !t.chars().any(char::is_control)
    };
    let role = |t: &str| {
        let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
        t.len() <= 64 && t.starts_with(|c: char| c.is_ascii_lowercase()) && t.chars().all(rest)
    };
    let language = |t: &String| {
        t.len() <= 35
            && t.split('-').all(|s| {
                !s.is_empty() && s.len() <= 8 && s.bytes().all(|b| b.is_ascii_alphanumeric())
            })
    };
    let withheld = p
        .withheld
        .iter()
        .all(|w| text(&w.ground, MAX_TEXT) && text(&w.authority, MAX_TEXT));
    let checks = [
        ("ledger", is_origin(&p.ledger)),
        ("audience/role", role(&p.audience.role)),
        ("purpose", text(&p.purpose, MAX_TEXT)),
        (
            "software",
            text(&p.software.name, MAX_TEXT) && text(&p.software.version, MAX_TEXT),
        ),
        ("catalogues", p.catalogues.keys().all(language)),
        ("entries", !p.entries.is_empty()),
        ("withheld", withheld),
        ("custody", p.custody.len() <= MAX_CUSTODY),
        ("custody_left_out", p.custody_left_out != Some(0)),
        ("profile/json", p.profile.json.is_object()),
    ];
    for (name, good) in checks {
        if !good {
            let text = format!(
                "The report's `{name}` is empty, too long, or not of the form that it must have."
            );
            log.add(
                Code::PayloadValue,
                format!("payload:/predicate/{name}"),
                text,
            );
        }
    }
    log.checkpoint()
}

/// The report key's signature over exactly these bytes, and the entry that put them on record.
fn signature(
    file: &ReportFile,
    payload: &[u8],
    proven: &Proven,
    duties: &Duties,
    log: &mut Log,
) -> Result<(), Stop> {
    let key = &duties.report_key;
    if let Err(e) = file.envelope.open(key) {
        let text = format!("{e}. Nothing that it states can be believed.");
        return Err(log.stop(Code::EnvelopeSignature, "/envelope", text));
    }
    let keyid = format!("{}+{}", key.name(), hex::encode(key.id()));
    if file.envelope.signatures.iter().any(|s| s.keyid != keyid) {
        let text = "The signature is good, but the key id beside it is not that of the report key: the file was changed.";
        log.add(Code::EnvelopeKeyid, "/envelope/signatures/0/keyid", text);
    }
    let recorded = proven
        .known
        .get(&duties.issued)
        .and_then(|k| k.leaf.fact.as_ref()?.get("payload")?.as_str());
    if recorded != Some(sha256(&[payload]).to_hex().as_str()) {
        let text = format!(
            "Entry {} (`report.issued`) puts other bytes on record than the payload of this file.",
            duties.issued
        );
        log.add(
            Code::IssuedPayload,
            format!("entry {}", duties.issued),
            text,
        );
    }
    Ok(())
}

/// Entries that only a key vouches for which somebody else may have held.
fn compromised(proven: &Proven, duties: &Duties, agreed: &[u64], trust: &Trust<'_>, log: &mut Log) {
    let head = (
        proven.trusted.checkpoint.size,
        proven.trusted.first_witnessed(),
    );
    let bridges = proven.trust.crossed().iter();
    let joined = bridges.filter(|c| proven.roots.get(&c.rotation.bridge()) == Some(&c.root));
    let witnessed = joined
        .map(|c| (c.rotation.bridge(), c.witnessed))
        .chain([head])
        .filter_map(|(size, time)| Some((size, Some(time?))));
    let words: Vec<OutsideWord> = witnessed
        .chain(agreed.iter().map(|size| (*size, None)))
        .map(|(size, time)| OutsideWord { size, time })
        .collect();
    for gap in keys::unprovable(&duties.keys, trust.compromised, &words, trust.keys) {
        let hit: Vec<String> = ranges(proven.known.keys().copied().filter(|s| gap.contains(*s)));
        if !hit.is_empty() {
            let text = format!(
                "Somebody else may have held the checkpoint key {} since {}, and no word from outside says that these entries were there before: {}. \
                 They cannot be proven with this key.",
                gap.key,
                gap.since,
                hit.join(", ")
            );
            let place = format!("entry {}", gap.first);
            log.add(Code::KeyCompromised, place, text);
        }
    }
    if let Some(since) =
        keys::report_unprovable(&duties.keys, trust.compromised, &words, duties.issued)
    {
        let text = format!(
            "Somebody else may have held the report key {} since {since}, and no word from outside says that entry {} (`report.issued`) was there before.",
            duties.report_key, duties.issued
        );
        log.add(
            Code::KeyCompromised,
            format!("entry {}", duties.issued),
            text,
        );
    }
}

/// Ascending positions, runs of them shortened.
fn ranges(positions: impl Iterator<Item = u64>) -> Vec<String> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for seq in positions {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => runs.push((seq, seq)),
        }
    }
    let text = |(first, last): (u64, u64)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first} to {last}")
        }
    };
    runs.into_iter().map(text).collect()
}

/// The in-toto subject: the payload's last leaf.
fn subject(statement: &Statement, proven: &Proven, log: &mut Log) {
    let last = proven.known.iter().rfind(|(_, k)| k.payload);
    let good = match (statement.subject.as_slice(), last) {
        ([subject], Some((seq, known))) => {
            subject.name == format!("{}/entries/{seq}", statement.predicate.ledger)
                && subject.digest.sha256 == known.hash
        }
        _ => false,
    };
    if !good {
        let text =
            "The signed statement does not name the last entry of the report as its subject.";
        log.add(Code::PayloadSubject, "payload:/subject", text);
    }
}

fn recompute(
    predicate: &Predicate,
    entries: &[Entry],
    judge: Option<&Judge<'_>>,
    facts: &mut Facts,
    log: &mut Log,
) {
    let whole = entries
        .iter()
        .all(|e| e.opened.hidden.is_empty() && e.opened.hidden_elements.is_empty());
    let Some(judge) = judge.filter(|_| whole) else {
        let why = if whole {
            "nothing was at hand to judge it again"
        } else {
            "not all content is shown here"
        };
        facts.not_recomputed = Some(why.into());
        return;
    };
    match judge(&predicate.subject, entries, &predicate.profile.json) {
        Err(e) => facts.not_recomputed = Some(format!("it could not be judged again ({e})")),
        Ok(shown) => {
            let result = judgement::difference(&predicate.judgement, &shown).map_or(Ok(()), Err);
            if let Err(what) = &result {
                let text = format!(
                    "The issuer's statement differs from what the entries show: {what}. The report was made by {} {}.",
                    predicate.software.name, predicate.software.version
                );
                log.add(Code::JudgementDiffers, "payload:/predicate/judgement", text);
            }
            facts.recomputed = Some(result);
        }
    }
}

fn verdicts(facts: &Facts, log: &Log) -> Verdicts {
    let against = log.against_integrity();
    let broken = against.is_some();
    let integrity = match against {
        Some(verdict) => verdict,
        None => Verdict {
            verdict: Integrity::Intact,
            reason: format!(
                "All {} entries lead to the signed checkpoint, the report key signed these words, and every part of the content is accounted for.",
                facts.entry_count
            ),
        },
    };
    Verdicts {
        sequence: sequence(facts, log, broken),
        freshness: freshness_verdict(facts, broken),
        elements: process(facts, broken, facts.stated.map(|s| s.0)),
        controls: process(facts, broken, facts.stated.map(|s| s.1)),
        integrity,
    }
}

fn sequence(facts: &Facts, log: &Log, broken: bool) -> Verdict<Sequence> {
    if let Some(p) = log.first(Touches::Sequence) {
        return Verdict {
            verdict: Sequence::Broken,
            reason: p.explanation.clone(),
        };
    }
    match facts.case_entries {
        _ if broken => Verdict {
            verdict: Sequence::NotEstablished,
            reason: "The file is not intact, so nothing is said about what is missing.".into(),
        },
        None => Verdict {
            verdict: Sequence::NotEstablished,
            reason: "The entries belong to no case, so no chain shows whether any are missing."
                .into(),
        },
        Some(n) => Verdict {
            verdict: Sequence::Complete,
            reason: format!(
                "All {n} entries of this case's chain are present, from its first to the report's own entry. It speaks of one pseudonym's chain."
            ),
        },
    }
}

fn freshness_verdict(facts: &Facts, broken: bool) -> Verdict<Freshness> {
    match &facts.freshness {
        Some(v) if !broken || v.verdict == Freshness::Contradicted => v.clone(),
        _ => Verdict {
            verdict: Freshness::NotProven,
            reason: "The file is not intact, so nothing is said about its time.".into(),
        },
    }
}

fn process(facts: &Facts, broken: bool, stated: Option<Judged>) -> ProcessVerdict {
    let Some(stated) = stated.filter(|_| !broken) else {
        let reason = "The file is not intact, so what it states is not repeated here.".into();
        return ProcessVerdict {
            verdict: Process::NotEstablished,
            basis: Basis::None,
            reason,
        };
    };
    match &facts.recomputed {
        Some(Ok(())) => ProcessVerdict {
            verdict: stated.into(),
            basis: Basis::Recomputed,
            reason: "Judged again from the entries, with the same result as the issuer's.".into(),
        },
        Some(Err(what)) => ProcessVerdict {
            verdict: Process::Differs,
            basis: Basis::Recomputed,
            reason: format!("The issuer's statement differs from what the entries show: {what}."),
        },
        None => ProcessVerdict {
            verdict: stated.into(),
            basis: Basis::Stated,
            reason: format!(
                "The issuer states it; {}.",
                facts
                    .not_recomputed
                    .as_deref()
                    .unwrap_or("it was not judged again")
            ),
        },
    }
}
