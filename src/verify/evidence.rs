//! From a pinned key to proven leaves: checkpoint, inclusion, the ledger's keys, the report's own entry.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::format::{MAX_CONSISTENCY, Predicate, ProvenEntry, ReportFile};
use super::outcome::{Code, Log, Stop};
use crate::ledger::checkpoint::{Checkpoint, CheckpointError};
use crate::ledger::note::{Algorithm, Note, NoteError, Vkey};
use crate::ledger::proof::{verify_consistency, verify_inclusion};
use crate::ledger::{Hash, Leaf, LeafError};

/// Event type of a ledger's first entry.
pub const LEDGER_CREATED: &str = "ledger.created";
/// Event type of a change of keys.
pub const KEY_ROTATED: &str = "key.rotated";
/// Event type of a report's own entry.
pub const REPORT_ISSUED: &str = "report.issued";
/// Event type of an erasure on request.
pub const CONTENT_ERASED: &str = "content.erased";
/// Event type of an erasure by rule.
pub const RETENTION_APPLIED: &str = "retention.applied";

/// Types that only the service writes; only these may carry a `fact`. `incident.*` belongs to them too.
const SERVICE: [&str; 14] = [
    LEDGER_CREATED,
    KEY_ROTATED,
    REPORT_ISSUED,
    CONTENT_ERASED,
    RETENTION_APPLIED,
    "trace.sealed",
    "record.accessed",
    "access.denied",
    "post.conflicted",
    "hold.placed",
    "hold.released",
    "principal.changed",
    "policy.changed",
    "clock.stepped",
];

/// A leaf that leads to the checkpoint.
#[derive(Debug)]
pub struct Known {
    /// Its hash.
    pub hash: Hash,
    /// What it says.
    pub leaf: Leaf,
    /// Whether it stands in the payload.
    pub payload: bool,
}

/// A checkpoint that a pinned key signed.
#[derive(Debug)]
pub struct Trusted {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The ledger's keys that signed it.
    pub signers: Vec<Vkey>,
    /// The latest word of a pinned witness: seconds since 1970, name.
    pub witnessed: Option<(u64, String)>,
}

/// Opens a checkpoint of `origin`: one of the pinned Ed25519 keys that bear the origin's name must have signed it.
/// Keys of witnesses (cosignature/v1) never stand in for the ledger's own.
pub fn open_checkpoint(
    note: &str,
    origin: &str,
    keys: &[Vkey],
    place: &str,
    log: &mut Log,
) -> Result<Trusted, Stop> {
    let own: Vec<Vkey> = keys
        .iter()
        .filter(|k| k.algorithm() == Algorithm::Ed25519 && k.name() == origin)
        .cloned()
        .collect();
    if own.is_empty() {
        let text = format!(
            "This is about the ledger `{origin}`, and none of the pinned keys is that ledger's. Nothing in it can be believed."
        );
        return Err(log.stop(Code::LedgerForeign, place, text));
    }
    let (checkpoint, parsed) = Checkpoint::parse_unverified(note).map_err(|e| {
        let text = format!("{e}. Without it no entry is proven.");
        log.stop(Code::CheckpointForm, place, text)
    })?;
    if checkpoint.origin != origin {
        let text = format!(
            "{}. Without it no entry is proven.",
            CheckpointError::Origin(checkpoint.origin)
        );
        return Err(log.stop(Code::CheckpointOrigin, place, text));
    }
    let signers = parsed.verify(&own).map_err(|e| match e {
        NoteError::Unknown => {
            let text = "None of the pinned keys of this ledger signed the checkpoint, so no entry is proven. \
                        If the ledger has changed its key since, pin the new one after comparing it with the operator's announcement.";
            log.stop(Code::CheckpointKey, place, text)
        }
        e => log.stop(Code::CheckpointSignature, place, format!("{e}: the checkpoint was changed after signing, so no entry is proven.")),
    })?;
    let signers: Vec<Vkey> = signers.into_iter().cloned().collect();
    let witnessed = witnessed(&parsed, keys).map_err(|e| {
        log.stop(
            Code::CheckpointSignature,
            place,
            format!("{e}: a cosignature was changed or forged."),
        )
    })?;
    Ok(Trusted {
        checkpoint,
        signers,
        witnessed,
    })
}

/// The latest time at which a pinned witness signed, with its name.
fn witnessed(note: &Note<'_>, keys: &[Vkey]) -> Result<Option<(u64, String)>, NoteError> {
    let witnesses: Vec<Vkey> = keys
        .iter()
        .filter(|k| k.algorithm() == Algorithm::CosignatureV1)
        .cloned()
        .collect();
    match note.verify(&witnesses) {
        Ok(good) => Ok(good
            .into_iter()
            .filter_map(|k| Some((note.cosigned_at(k)?, k.name().to_owned())))
            .max()),
        Err(NoteError::Unknown) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Reads a leaf of `origin`, and notes what is wrong with it.
pub fn read_leaf(text: &[u8], origin: &str, place: &str, log: &mut Log) -> Option<Known> {
    let leaf = match Leaf::decode(text) {
        Ok(leaf) => leaf,
        Err(e) => {
            let code = match e {
                LeafError::Unknown(_) => Code::LeafUnknown,
                LeafError::NotCanonical => Code::LeafNotCanonical,
                _ => Code::LeafForm,
            };
            log.add(
                code,
                place,
                format!(
                    "{e}. A ledger of format v1 never writes such an entry; this one is not proven."
                ),
            );
            return None;
        }
    };
    if leaf.ledger != origin {
        let text = format!(
            "The entry says that it is of the ledger `{}`, not of `{origin}`.",
            leaf.ledger
        );
        log.add(Code::LeafOrigin, place, text);
        return None;
    }
    let service = SERVICE.contains(&leaf.kind.as_str()) || leaf.kind.starts_with("incident.");
    if leaf.fact.is_some() && !service {
        let text = format!(
            "Entry {} of type `{}` carries a `fact`, which only the service's own entries may. It was not written by a sound ledger.",
            leaf.seq, leaf.kind
        );
        log.add(Code::LeafFact, place, text);
    }
    Some(Known {
        hash: Hash::leaf(text),
        leaf,
        payload: false,
    })
}

/// All proven leaves.
#[derive(Debug)]
pub struct Proven {
    /// The checkpoint that they lead to.
    pub trusted: Trusted,
    /// By position.
    pub known: BTreeMap<u64, Known>,
    /// Roots at other sizes that belong to the same history.
    pub roots: BTreeMap<u64, Hash>,
}

/// Reads all leaves and proves each of them.
pub fn prove(
    file: &ReportFile,
    predicate: &Predicate,
    keys: &[Vkey],
    log: &mut Log,
) -> Result<Proven, Stop> {
    let evidence = &file.evidence;
    let trusted = open_checkpoint(
        &evidence.checkpoint,
        &predicate.ledger,
        keys,
        "/evidence/checkpoint",
        log,
    )?;
    let mut known = payload_leaves(predicate, log);
    log.checkpoint()?;
    let head = &trusted.checkpoint;
    let mut last: Option<u64> = None;
    let mut proven = BTreeSet::new();
    for (i, entry) in evidence.entries.iter().enumerate() {
        let place = format!("/evidence/entries/{i}");
        let (seq, path) = match entry {
            ProvenEntry::Payload { seq, path } => (*seq, path),
            ProvenEntry::Other { leaf, path } => {
                let Some(read) = read_leaf(leaf.as_bytes(), &predicate.ledger, &place, log) else {
                    continue;
                };
                let seq = read.leaf.seq;
                if known.insert(seq, read).is_some() {
                    let text = format!("Entry {seq} stands twice, in the evidence and before.");
                    return Err(log.stop(Code::EvidenceOrder, place, text));
                }
                (seq, path)
            }
        };
        if last.is_some_and(|l| l >= seq) {
            let text = format!("Entry {seq} is not in ledger order, or its proof stands twice.");
            return Err(log.stop(Code::EvidenceOrder, place, text));
        }
        last = Some(seq);
        let Some(k) = known.get(&seq) else {
            let text = format!(
                "The proof for entry {seq} comes without its leaf, and the payload has no such entry."
            );
            return Err(log.stop(Code::EvidenceOrder, place, text));
        };
        if let Err(e) = verify_inclusion(&k.hash, seq, head.size, path, &head.root) {
            let text = format!(
                "Entry {seq} is not proven to stand in the ledger: {e}. Its leaf, its proof or the checkpoint was changed, \
                 and nothing that rests on this entry can be relied on."
            );
            log.add(Code::EvidenceInclusion, place, text);
        }
        proven.insert(seq);
    }
    for (seq, _) in known.iter().filter(|(seq, _)| !proven.contains(seq)) {
        let text = format!(
            "Entry {seq} of the report comes without a proof that it stands in the ledger."
        );
        log.add(Code::EvidenceAbsent, "/evidence/entries", text);
    }
    log.checkpoint()?;
    let roots = consistency(file, head, log)?;
    Ok(Proven {
        trusted,
        known,
        roots,
    })
}

fn payload_leaves(predicate: &Predicate, log: &mut Log) -> BTreeMap<u64, Known> {
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    for (i, entry) in predicate.entries.iter().enumerate() {
        let place = format!("payload:/predicate/entries/{i}/leaf");
        let Some(read) = read_leaf(entry.leaf.as_bytes(), &predicate.ledger, &place, log) else {
            continue;
        };
        let seq = read.leaf.seq;
        if known.last_key_value().is_some_and(|(last, _)| *last >= seq) {
            let text = format!("Entry {seq} is not in ledger order, or it stands twice.");
            log.add(Code::LeafOrder, place, text);
        }
        known.insert(
            seq,
            Known {
                payload: true,
                ..read
            },
        );
    }
    known
}

fn consistency(
    file: &ReportFile,
    head: &Checkpoint,
    log: &mut Log,
) -> Result<BTreeMap<u64, Hash>, Stop> {
    let mut roots = BTreeMap::from([(head.size, head.root)]);
    let proofs = &file.evidence.consistency;
    if proofs.len() > MAX_CONSISTENCY || !proofs.is_sorted_by(|a, b| a.size < b.size) {
        let text = format!(
            "The consistency proofs are more than {MAX_CONSISTENCY}, or not in ascending order of size."
        );
        return Err(log.stop(Code::EvidenceConsistency, "/evidence/consistency", text));
    }
    for (i, p) in proofs.iter().enumerate() {
        let result = if p.size <= head.size {
            verify_consistency(p.size, head.size, &p.path, &p.root, &head.root)
        } else {
            verify_consistency(head.size, p.size, &p.path, &head.root, &p.root)
        };
        if p.size == head.size || result.is_err() {
            let text = format!(
                "The proof that the tree of {} entries and the checkpoint's tree of {} are one history does not hold.",
                p.size, head.size
            );
            return Err(log.stop(
                Code::EvidenceConsistency,
                format!("/evidence/consistency/{i}"),
                text,
            ));
        }
        roots.insert(p.size, p.root);
    }
    Ok(roots)
}

/// What an erasure covers.
#[derive(Debug)]
pub struct Erasure {
    /// Position of the entry that proves it.
    pub by: u64,
    ranges: Vec<(u64, u64)>,
    digests: BTreeSet<Hash>,
}

impl Erasure {
    /// Whether it covers a disclosure of an entry.
    pub fn covers(&self, seq: u64, digest: &Hash) -> bool {
        self.digests.contains(digest)
            || self
                .ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&seq))
    }

    /// Reads `{"ranges":[[first,last],…],"digests":[…]}`, both optional, more members allowed.
    fn read(leaf: &Leaf) -> Option<Self> {
        let fact = leaf.fact.as_ref()?;
        let list = |name: &str| match fact.get(name) {
            None => Some([].as_slice()),
            Some(v) => v.as_array().map(Vec::as_slice),
        };
        let range = |v: &Value| match v.as_array()?.as_slice() {
            [first, last] => {
                Some((first.as_u64()?, last.as_u64()?)).filter(|(f, l)| f <= l && *l < leaf.seq)
            }
            _ => None,
        };
        let digest = |v: &Value| Hash::from_b64url(v.as_str()?);
        Some(Self {
            by: leaf.seq,
            ranges: list("ranges")?.iter().map(range).collect::<Option<_>>()?,
            digests: list("digests")?.iter().map(digest).collect::<Option<_>>()?,
        })
    }
}

/// What the service's own entries say.
#[derive(Debug)]
pub struct Duties {
    /// The key that must have signed the report.
    pub report_key: Vkey,
    /// Position of the report's own entry.
    pub issued: u64,
    /// Erasures, in ledger order.
    pub erasures: Vec<Erasure>,
}

/// Finds the report's own entry, the key that was in force then, and the erasures; notes evidence that has no business
/// being there. Whether an erasure explains an absence is found out later.
pub fn duties(proven: &Proven, predicate: &Predicate, log: &mut Log) -> Result<Duties, Stop> {
    let mut issued = None;
    let mut erasures = Vec::new();
    for (seq, known) in &proven.known {
        let leaf = &known.leaf;
        let place = format!("entry {seq}");
        match leaf.kind.as_str() {
            CONTENT_ERASED | RETENTION_APPLIED => match Erasure::read(leaf) {
                Some(e) => erasures.push(e),
                None if known.payload => {}
                None => log.add(
                    Code::ErasureForm,
                    place,
                    format!("Entry {seq} does not say in the prescribed form what was erased, so it explains no absence."),
                ),
            },
            REPORT_ISSUED if !known.payload && issued.is_none() => issued = Some(*seq),
            LEDGER_CREATED if *seq == 0 => {}
            KEY_ROTATED => {}
            _ if known.payload => {}
            kind => log.add(
                Code::EvidenceUnneeded,
                place,
                format!("Entry {seq} of type `{kind}` proves nothing that this report needs; it does not belong in the evidence."),
            ),
        }
    }
    let Some(issued) = issued else {
        let text = "The report's own entry (`report.issued`) is not in the evidence: this report is not proven to be on record.";
        return Err(log.stop(Code::IssuedAbsent, "/evidence/entries", text));
    };
    let report_key = keys_in_force(proven, issued, log)?;
    issued_fact(proven, predicate, issued, log);
    Ok(Duties {
        report_key,
        issued,
        erasures,
    })
}

fn vkey(fact: &Map<String, Value>, name: &str) -> Option<Vkey> {
    Vkey::parse(fact.get(name)?.as_str()?)
        .ok()
        .filter(|k| k.algorithm() == Algorithm::Ed25519)
}

/// Follows the key facts from the first entry; gives the report key in force before `issued`.
fn keys_in_force(proven: &Proven, issued: u64, log: &mut Log) -> Result<Vkey, Stop> {
    let Some(genesis) = proven
        .known
        .get(&0)
        .filter(|k| k.leaf.kind == LEDGER_CREATED)
    else {
        let text = "The ledger's first entry (`ledger.created`) is not in the evidence, so it is not known which key signs reports.";
        return Err(log.stop(Code::GenesisAbsent, "/evidence/entries", text));
    };
    let fact = genesis.leaf.fact.as_ref();
    let spec = fact.and_then(|f| f.get("spec")).and_then(Value::as_u64) == Some(1);
    let keys = fact
        .filter(|_| spec)
        .and_then(|f| Some((vkey(f, "checkpoint_key")?, vkey(f, "report_key")?)));
    let Some((mut checkpoint_key, mut report_key)) = keys else {
        let text = "The ledger's first entry does not name a checkpoint key and a report key of format v1.";
        return Err(log.stop(Code::GenesisForm, "entry 0", text));
    };
    for (seq, known) in proven
        .known
        .iter()
        .filter(|(_, k)| k.leaf.kind == KEY_ROTATED)
    {
        let fact = known.leaf.fact.as_ref();
        let purpose = fact.and_then(|f| f.get("purpose")).and_then(Value::as_str);
        let keys = fact.and_then(|f| Some((vkey(f, "old")?, vkey(f, "new")?)));
        let current = match purpose {
            Some("checkpoint") => &mut checkpoint_key,
            Some("report") => &mut report_key,
            _ => {
                let text = format!("Entry {seq} does not say which key it replaces.");
                return Err(log.stop(Code::KeyRotation, format!("entry {seq}"), text));
            }
        };
        let Some((_, new)) = keys.filter(|(old, _)| old == current) else {
            let text = format!(
                "Entry {seq} replaces a key that was not in force, or does not name both keys: an earlier rotation is not in the evidence, or this one is forged."
            );
            return Err(log.stop(Code::KeyRotation, format!("entry {seq}"), text));
        };
        if *seq < issued || purpose == Some("checkpoint") {
            *current = new;
        }
    }
    if !proven.trusted.signers.contains(&checkpoint_key) {
        let text = "The ledger's own entries name another checkpoint key than the one that signed this checkpoint.";
        return Err(log.stop(Code::KeyCheckpoint, "/evidence/checkpoint", text));
    }
    Ok(report_key)
}

fn issued_fact(proven: &Proven, predicate: &Predicate, issued: u64, log: &mut Log) {
    let Some(known) = proven.known.get(&issued) else {
        return;
    };
    let report = known
        .leaf
        .fact
        .as_ref()
        .and_then(|f| f.get("report"))
        .and_then(Value::as_str);
    let place = format!("entry {issued}");
    if report != Some(predicate.report.to_hex().as_str()) {
        let text = format!(
            "Entry {issued} (`report.issued`) puts another report on record, not this one."
        );
        log.add(Code::IssuedReport, &place, text);
    }
    let last = proven.known.iter().filter(|(_, k)| k.payload).next_back();
    if last.is_some_and(|(seq, _)| *seq > issued) {
        let text = format!(
            "Entry {issued} (`report.issued`) stands before the last entry that the report tells of."
        );
        log.add(Code::IssuedOrder, &place, text);
    }
}

/// Links between neighbours, ledger time, and identities, over every proven leaf.
pub fn links(known: &BTreeMap<u64, Known>, log: &mut Log) {
    let mut identities = HashMap::new();
    let mut before: Option<(&u64, &Known)> = None;
    for (seq, k) in known {
        let place = format!("entry {seq}");
        let want = match before {
            _ if *seq == 0 => Some(Hash::ZERO),
            Some((b, prev)) if b + 1 == *seq => Some(prev.hash),
            _ => None,
        };
        if want.is_some_and(|w| w != k.leaf.prev) {
            let text = format!(
                "Entry {seq} does not link to the entry before it: one of the two was put in place of another."
            );
            log.add(Code::LeafPrev, &place, text);
        }
        if before.is_some_and(|(_, prev)| prev.leaf.recorded > k.leaf.recorded) {
            let text = format!(
                "Entry {seq} was recorded before an earlier entry: the ledger's time never goes backwards."
            );
            log.add(Code::LeafRecorded, &place, text);
        }
        if let Some(other) = identities.insert(k.leaf.eid, seq) {
            let text = format!(
                "Entries {other} and {seq} have one identity, which the ledger gives only once."
            );
            log.add(Code::LeafEid, &place, text);
        }
        before = Some((seq, k));
    }
}
