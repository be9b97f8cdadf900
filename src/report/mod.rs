//! Reports: a reconstruction, frozen, signed and registered in the ledger; and the file that carries it.

mod custody;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Map, Value, json};

use crate::audit::bridges::bridges;
use crate::event;
use crate::json;
use crate::judge::{self, Judgement, Profile};
use crate::keyring::{KeyringError, random};
use crate::ledger::dsse::{Envelope, IN_TOTO};
use crate::ledger::{Hash, Id16, Leaf, Timestamp, disclosure, sha256};
use crate::reconstruct::{CaseSight, Collected, Question, ReconstructError, collect, open_entry};
use crate::sequencer::{Access, AppendError, Ledger};
use crate::store::{EntryQuery, NewReport, ReportRow, StoreError};
use crate::verify::custody::ACCESSES;
use crate::verify::format::{
    Audience, BridgesFile, CatalogueDigest, ConsistencyProof, CustodyEntry, Evidence, PREDICATE,
    PayloadEntry, Predicate, ProvenEntry, ReportFile, STATEMENT, Sha256Digest, SignedProfile,
    Software, Statement, StatementSubject, VERSION, Window, Withheld,
};

use custody::Reads;
pub use custody::{RecordedReads, accesses_in};

/// How often a report is made anew when its case moves on meanwhile.
const REBUILDS: usize = 3;

/// For whom, why, and of what.
#[derive(Debug, Clone)]
pub struct Order {
    /// What is asked.
    pub question: Question,
    /// Name of the role that asks.
    pub role: &'static str,
    /// Who asks.
    pub requester: Id16,
    /// Why, in the requester's words.
    pub purpose: String,
    /// The report that this one replaces.
    pub supersedes: Option<Id16>,
    /// Whether the requester may see content; else every disclosure is withheld, visibly.
    pub content: bool,
    /// The read that this is, as far as it is known before the record is read.
    pub access: Access,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// See [`ReconstructError`].
    #[error(transparent)]
    Reconstruct(#[from] ReconstructError),
    /// The case moved on each time.
    #[error("the case got new entries while the report was made, {} times; try again", REBUILDS + 1)]
    CaseBusy,
    /// The read cannot be recorded, so no report is made.
    #[error("the read could not be recorded: {0}")]
    NotRecorded(#[source] AppendError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] AppendError),
    /// The report to be replaced is unknown, or about something else.
    #[error("the report to be superseded is not a report on this case")]
    Supersedes,
    /// What is stored is not a report.
    #[error("the stored report is damaged: {0}")]
    Damaged(String),
}

impl From<StoreError> for ReportError {
    fn from(e: StoreError) -> Self {
        Self::Ledger(e.into())
    }
}

impl From<KeyringError> for ReportError {
    fn from(e: KeyringError) -> Self {
        Self::Ledger(e.into())
    }
}

/// A report that was issued.
#[derive(Debug)]
pub struct Issued {
    /// Its id.
    pub id: Id16,
    /// Position of its `report.issued`.
    pub seq: u64,
    /// What it says.
    pub judgement: Judgement,
}

/// Judges what was collected.
#[must_use]
pub fn judge(collected: &Collected, profile: &Profile) -> Judgement {
    judge::judge(&collected.subject, &collected.entries, profile)
}

/// Makes, signs and registers a report: `report.issued` stands directly after the last entry that it speaks of.
///
/// # Errors
/// See [`ReportError`].
pub async fn issue(
    ledger: &Ledger,
    order: &Order,
    sight: &dyn CaseSight,
    profile: &Profile,
    now: Timestamp,
) -> Result<Issued, ReportError> {
    let id = Id16(random()?);
    let mut recorded = false;
    for _ in 0..=REBUILDS {
        let as_of = ledger.size();
        let collected = collect(ledger, &order.question, sight)?;
        if let Some(old) = order.supersedes {
            let old = ledger
                .reader()
                .report(&old)?
                .ok_or(ReportError::Supersedes)?;
            // Without a case, what a report is about is its subject.
            let same = match collected.case {
                Some(case) => old.pseudonym == Some(case),
                None => {
                    let (_, statement) = stored_statement(&old)?;
                    old.pseudonym.is_none() && statement.predicate.subject == collected.subject
                }
            };
            if !same {
                return Err(ReportError::Supersedes);
            }
        }
        if !recorded {
            // Before the report is made: so its own list of reads begins with the one that it is.
            let access = Access {
                case: collected.case,
                report: Some(id),
                count: collected.entries.len() as u64,
                as_of,
                content: order.content,
                ..order.access.clone()
            };
            ledger
                .record_access(access)
                .await
                .map_err(ReportError::NotRecorded)?;
            recorded = true;
        }
        let judgement = judge(&collected, profile);
        let reads = match &collected.case {
            Some(case) => custody::list(ledger, case)?,
            None => Reads::default(),
        };
        let statement = statement(
            ledger, order, &collected, reads, &judgement, profile, id, now,
        )?;
        let body = statement
            .encode()
            .map_err(|e| ReportError::Damaged(e.to_string()))?;
        let key = ledger.keyring().report();
        let envelope = Envelope::sign(IN_TOTO, &body, &key);
        let envelope = json::canonical(
            &serde_json::to_value(&envelope).map_err(|e| ReportError::Damaged(e.to_string()))?,
        );
        let fact = Map::from_iter([
            ("payload".to_owned(), json!(sha256(&[&body]).to_hex())),
            ("report".to_owned(), json!(id.to_hex())),
        ]);
        let head = collected
            .case
            .map(|case| (case, collected.entries.len() as u64));
        let report = NewReport {
            id,
            requester: order.requester,
            envelope,
            catalogues: catalogues()?.into_values().collect(),
        };
        match ledger.append_report(report, fact, head, key.vkey()).await {
            Ok(seq) => return Ok(Issued { id, seq, judgement }),
            // The case has moved on, or another report key is in force by now: made anew.
            Err(AppendError::CaseMoved | AppendError::KeyReplaced) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(ReportError::CaseBusy)
}

#[expect(
    clippy::too_many_arguments,
    reason = "all that a report is made of, named once"
)]
fn statement(
    ledger: &Ledger,
    order: &Order,
    collected: &Collected,
    reads: Reads,
    judgement: &Judgement,
    profile: &Profile,
    id: Id16,
    now: Timestamp,
) -> Result<Statement, ReportError> {
    let (first, last) = match (collected.entries.first(), collected.entries.last()) {
        (Some(first), Some(last)) => (&first.leaf, &last.leaf),
        _ => return Err(ReconstructError::NotFound.into()),
    };
    let hash = Hash::leaf(last.encode().as_bytes());
    let entries = collected.entries.iter().zip(&collected.leaves);
    let catalogues = judge::catalogue::builtin()
        .into_iter()
        .map(|(lang, text)| (lang.to_owned(), CatalogueDigest(sha256(&[text]))))
        .collect();
    Ok(Statement {
        kind: STATEMENT.to_owned(),
        subject: vec![StatementSubject {
            name: format!("{}/entries/{}", ledger.origin(), last.seq),
            digest: Sha256Digest { sha256: hash },
        }],
        predicate_type: PREDICATE.to_owned(),
        predicate: Predicate {
            v: VERSION,
            report: id,
            ledger: ledger.origin().to_owned(),
            issued: now,
            audience: Audience {
                role: order.role.to_owned(),
                requester: order.requester,
            },
            purpose: order.purpose.clone(),
            subject: collected.subject.clone(),
            window: Window {
                first: first.seq,
                last: last.seq,
            },
            case: collected.case,
            supersedes: order.supersedes,
            software: Software {
                name: "whereas".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            profile: SignedProfile::new(
                serde_json::to_value(profile).map_err(|e| ReportError::Damaged(e.to_string()))?,
            ),
            catalogues,
            entries: entries
                .map(|(e, leaf)| PayloadEntry {
                    leaf: leaf.clone(),
                    digests: e.digests.clone(),
                })
                .collect(),
            judgement: judgement.clone(),
            withheld: if order.content {
                Vec::new()
            } else {
                withhold_all(collected, &reads.entries, order.role)
            },
            custody: reads.entries,
            custody_left_out: (reads.left_out > 0).then_some(reads.left_out),
        },
    })
}

/// Everything is withheld, and the reader sees what: each member by its digest and, where the vocabulary declares it,
/// its place.
fn withhold_all(collected: &Collected, reads: &[CustodyEntry], role: &str) -> Vec<Withheld> {
    let line = |digest: Hash, pointer: Option<String>| Withheld {
        digest,
        pointer,
        ground: format!("the role {role} reads no content"),
        authority: "access policy of the operator".to_owned(),
    };
    let mut out = Vec::new();
    for entry in &collected.entries {
        let places: BTreeMap<Hash, &String> = entry
            .opened
            .members
            .iter()
            .map(|(at, m)| (m.digest, at))
            .collect();
        for digest in &entry.digests {
            let pointer = places
                .get(digest)
                .filter(|at| event::is_declared(&entry.leaf.kind, at))
                .map(|at| (*at).clone());
            out.push(line(*digest, pointer));
        }
    }
    let reads = reads.iter().flat_map(|e| &e.digests);
    out.extend(reads.map(|digest| line(*digest, Some(ACCESSES.to_owned()))));
    out
}

/// Whether a report shows any content, or would if none of it were erased.
#[must_use]
pub fn shows_content(predicate: &Predicate) -> bool {
    let entries = predicate.entries.iter().map(|e| e.digests.len());
    let reads = predicate.custody.iter().map(|e| e.digests.len());
    let top: usize = entries.chain(reads).sum();
    predicate.withheld.len() != top || top == 0
}

/// What a stored report says, without verifying it: it is our own.
///
/// # Errors
/// When it is damaged.
pub fn stored_statement(row: &ReportRow) -> Result<(Envelope, Statement), ReportError> {
    let envelope: Envelope =
        serde_json::from_str(&row.envelope).map_err(|e| ReportError::Damaged(e.to_string()))?;
    let body = envelope
        .payload_bytes()
        .map_err(|e| ReportError::Damaged(e.to_string()))?;
    let statement = Statement::decode(&body).map_err(ReportError::Damaged)?;
    Ok((envelope, statement))
}

/// The report's file as of now: the envelope as it was signed, the disclosures that are still held and not withheld,
/// and proofs to the newest checkpoint that witnesses cosigned (else to the newest).
///
/// # Errors
/// When the ledger fails or the report is damaged.
pub fn file(ledger: &Ledger, row: &ReportRow) -> Result<ReportFile, ReportError> {
    file_joined(ledger, row, &BTreeSet::new())
}

/// As [`file`](fn@file), with proofs that join trees of these sizes to the evidence's checkpoint, for a verifier who kept
/// checkpoints of them. Sizes that no tree of the ledger has had are left out.
///
/// # Errors
/// As [`file`](fn@file).
pub fn file_joined(
    ledger: &Ledger,
    row: &ReportRow,
    join: &BTreeSet<u64>,
) -> Result<ReportFile, ReportError> {
    let (envelope, statement) = stored_statement(row)?;
    let p = &statement.predicate;
    let withheld: HashSet<Hash> = p.withheld.iter().map(|w| w.digest).collect();
    let mut disclosures = Vec::new();
    let mut payload = BTreeSet::new();
    for entry in &p.entries {
        let leaf =
            Leaf::decode(entry.leaf.as_bytes()).map_err(|e| ReportError::Damaged(e.to_string()))?;
        payload.insert(leaf.seq);
        let stored = ledger
            .entry(leaf.seq)?
            .ok_or_else(|| ReportError::Damaged(format!("entry {} is absent", leaf.seq)))?;
        let all = ledger.disclosures(&stored)?.unwrap_or_default();
        let (opened, _) = open_entry(&stored, &all)?;
        let shown = shown_elements(&opened, &withheld);
        disclosures.extend(
            all.into_iter()
                .filter(|d| shown.contains(&disclosure::digest(d))),
        );
    }
    for entry in &p.custody {
        let (seq, shown) = custody::disclosures(ledger, entry, p.case.as_ref(), &withheld)?;
        payload.insert(seq);
        disclosures.extend(shown);
    }
    // One that witnesses cosigned is worth more than a newer one, as long as it covers all that the file proves.
    let (checkpoint, note) = ledger.evidence_checkpoint(row.seq)?;
    let mut others = BTreeSet::from([0, row.seq]);
    others.extend(rotations(ledger, checkpoint.size)?);
    let mut evidence = Vec::new();
    for seq in payload.union(&others).copied() {
        let path = ledger.inclusion(seq, checkpoint.size)?;
        if payload.contains(&seq) {
            evidence.push(ProvenEntry::Payload { seq, path });
            continue;
        }
        let stored = ledger
            .entry(seq)?
            .ok_or_else(|| ReportError::Damaged(format!("entry {seq} is absent")))?;
        let leaf =
            String::from_utf8(stored.leaf).map_err(|e| ReportError::Damaged(e.to_string()))?;
        evidence.push(ProvenEntry::Other { leaf, path });
    }
    Ok(ReportFile {
        envelope,
        disclosures,
        evidence: Evidence {
            checkpoint: note,
            entries: evidence,
            consistency: joins(ledger, checkpoint.size, join)?,
            bridges: bridges(ledger, checkpoint.size)?,
        },
        catalogues: signed_catalogues(ledger, p)?,
    })
}

/// Consistency proofs between the tree of `size` and others, ascending.
fn joins(
    ledger: &Ledger,
    size: u64,
    others: &BTreeSet<u64>,
) -> Result<Vec<ConsistencyProof>, StoreError> {
    let there = 1..=ledger.size();
    let others = others.iter().copied();
    let others = others.filter(|other| *other != size && there.contains(other));
    others
        .map(|other| {
            Ok(ConsistencyProof {
                size: other,
                root: ledger.root(other)?,
                path: ledger.consistency(other.min(size), other.max(size))?,
            })
        })
        .collect()
}

/// The catalogues that the report was signed with, as they were then.
fn signed_catalogues(
    ledger: &Ledger,
    predicate: &Predicate,
) -> Result<BTreeMap<String, String>, ReportError> {
    let text = |digest: &CatalogueDigest| {
        let found = ledger.reader().catalogue(&digest.0)?;
        found.ok_or_else(|| ReportError::Damaged(format!("the catalogue {} is absent", digest.0)))
    };
    let signed = predicate.catalogues.iter();
    signed
        .map(|(lang, digest)| Ok((lang.clone(), text(digest)?)))
        .collect()
}

/// The message catalogues' texts: they travel in the file.
fn catalogues() -> Result<BTreeMap<String, String>, ReportError> {
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).map_err(|e| ReportError::Damaged(e.to_string()))
    };
    judge::catalogue::builtin()
        .into_iter()
        .map(|(lang, bytes)| Ok((lang.to_owned(), text(bytes)?)))
        .collect()
}

/// The digests of an entry that may be shown: not withheld themselves, nor beneath something withheld.
fn shown_elements(entry: &judge::Entry, withheld: &HashSet<Hash>) -> HashSet<Hash> {
    fn beneath(
        value: &Value,
        entry: &judge::Entry,
        withheld: &HashSet<Hash>,
        shown: &mut HashSet<Hash>,
    ) {
        if let Some(digest) = disclosure::placeholder(value) {
            if let (Some(inner), false) = (
                entry.opened.elements.get(&digest),
                withheld.contains(&digest),
            ) {
                shown.insert(digest);
                beneath(inner, entry, withheld, shown);
            }
            return;
        }
        match value {
            Value::Array(items) => items
                .iter()
                .for_each(|v| beneath(v, entry, withheld, shown)),
            Value::Object(map) => map
                .values()
                .for_each(|v| beneath(v, entry, withheld, shown)),
            _ => {}
        }
    }
    let mut shown = HashSet::new();
    for member in entry
        .opened
        .members
        .values()
        .filter(|m| !withheld.contains(&m.digest))
    {
        shown.insert(member.digest);
        beneath(&member.value, entry, withheld, &mut shown);
    }
    shown
}

/// The changes of the checkpoint key as a file of their own, joined to the newest checkpoint.
///
/// # Errors
/// When the ledger fails.
pub fn bridges_file(ledger: &Ledger) -> Result<BridgesFile, ReportError> {
    let (head, checkpoint) = ledger.checkpoint()?;
    Ok(BridgesFile {
        checkpoint,
        bridges: bridges(ledger, head.size)?,
    })
}

/// Positions of the ledger's key rotations.
fn rotations(ledger: &Ledger, below: u64) -> Result<Vec<u64>, StoreError> {
    let query = EntryQuery {
        kind: Some("key.rotated".into()),
        below,
        limit: 10_000,
        ..EntryQuery::default()
    };
    Ok(ledger.entries(&query)?.into_iter().map(|e| e.seq).collect())
}
