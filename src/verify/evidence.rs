//! From a pinned key to proven leaves: checkpoint, inclusion, links.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::custody;
use super::format::{
    Bridge, BridgesFile, MAX_BRIDGES, MAX_CONSISTENCY, Predicate, ProvenEntry, ReportFile,
};
use super::keys::{BridgeError, Crossed, TrustedKeys};
use super::outcome::{Code, Log, Stop};
use super::service::is_service;
use crate::ledger::checkpoint::{Checkpoint, CheckpointError};
use crate::ledger::note::{Algorithm, Note, NoteError, Vkey};
use crate::ledger::proof::{verify_consistency, verify_inclusion};
use crate::ledger::{Hash, Leaf, LeafError};

/// A leaf that leads to the checkpoint.
#[derive(Debug)]
pub struct Known {
    /// Its hash.
    pub hash: Hash,
    /// What it says.
    pub leaf: Leaf,
    /// Whether it is one of the payload's entries.
    pub payload: bool,
    /// Whether it is one of the payload's recorded reads.
    pub custody: bool,
}

/// A checkpoint that a pinned key signed.
#[derive(Debug)]
pub struct Trusted {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The ledger's keys that signed it.
    pub signers: Vec<Vkey>,
    /// The pinned witnesses that cosigned it, with the time that each says, in seconds since 1970.
    pub cosigners: Vec<(u64, Vkey)>,
}

impl Trusted {
    /// The earliest word of a pinned witness, in seconds since 1970.
    pub fn first_witnessed(&self) -> Option<u64> {
        self.cosigners.iter().map(|(time, _)| *time).min()
    }
}

/// Opens a checkpoint of the ledger that `trust` is about: a trusted key that is in force at its size must have signed it.
/// Of `keys` only those of witnesses (cosignature/v1) are looked at, and they never stand in for the ledger's own.
pub fn open_checkpoint(
    note: &str,
    trust: &TrustedKeys,
    keys: &[Vkey],
    place: &str,
    log: &mut Log,
) -> Result<Trusted, Stop> {
    let (checkpoint, parsed) = Checkpoint::parse_unverified(note).map_err(|e| {
        let text = format!("{e}. Without it no entry is proven.");
        log.stop(Code::CheckpointForm, place, text)
    })?;
    let origin = trust.origin();
    let own: Vec<Vkey> = trust.keys().iter().map(|k| k.vkey.clone()).collect();
    if own.is_empty() {
        let text = format!(
            "This is about the ledger `{origin}`, and none of the pinned keys is that ledger's. Nothing in it can be believed."
        );
        return Err(log.stop(Code::LedgerForeign, place, text));
    }
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
    let mut signers: Vec<Vkey> = signers.into_iter().cloned().collect();
    let in_force = trust.at(checkpoint.size);
    let retired = signers
        .iter()
        .find_map(|k| Some((k, trust.retired(k, checkpoint.size)?)))
        .map(|(k, until)| (k.clone(), until));
    signers.retain(|k| in_force.contains(k));
    if signers.is_empty() {
        return Err(match retired {
            Some((key, until)) => {
                let text = format!(
                    "The checkpoint of {} entries is signed by {key}, which was replaced by the last of the first {until} entries. \
                     Whoever signed it held a key that should have been destroyed.",
                    checkpoint.size
                );
                log.stop(Code::KeyRetired, place, text)
            }
            None => {
                let text = "The key that signed the checkpoint came into force only later, so no entry is proven.";
                log.stop(Code::CheckpointKey, place, text)
            }
        });
    }
    let cosigners = cosigners(&parsed, keys).map_err(|e| {
        log.stop(
            Code::CheckpointSignature,
            place,
            format!("{e}: a cosignature was changed or forged."),
        )
    })?;
    Ok(Trusted {
        checkpoint,
        signers,
        cosigners,
    })
}

/// Crosses the bridges of a file, in ledger order.
pub fn cross(
    trust: &mut TrustedKeys,
    bridges: &[Bridge],
    keys: &[Vkey],
    place: &str,
    log: &mut Log,
) -> Result<(), Stop> {
    if bridges.len() > MAX_BRIDGES {
        let text = format!("There are more than {MAX_BRIDGES} bridges.");
        return Err(log.stop(Code::KeyBridge, place, text));
    }
    let mut last = None;
    for (i, bridge) in bridges.iter().enumerate() {
        let place = format!("{place}/{i}");
        trust.cross(bridge, keys).map_err(|e| {
            let code = match e {
                BridgeError::Retired(_) => Code::KeyRetired,
                _ => Code::KeyBridge,
            };
            let text =
                format!("The bridge from one checkpoint key to the next does not hold: {e}.");
            log.stop(code, &place, text)
        })?;
        let size = trust.crossed().last().map(|c| c.rotation.bridge());
        if last >= size {
            let text = "The bridges are not in ledger order, or one stands twice.";
            return Err(log.stop(Code::KeyBridge, place, text));
        }
        last = size;
    }
    Ok(())
}

/// Checks that crossed bridges and a checkpoint are of one history.
pub fn join(
    crossed: &[Crossed],
    head: &Checkpoint,
    place: &str,
    log: &mut Log,
) -> Result<(), Stop> {
    match crossed.iter().position(|c| !c.joins(head)) {
        None => Ok(()),
        Some(i) => {
            let text = format!(
                "The bridge of size {} and the checkpoint's tree of {} entries are not proven to be one history.",
                crossed[i].rotation.bridge(),
                head.size
            );
            Err(log.stop(Code::KeyBridge, format!("{place}/{i}"), text))
        }
    }
}

/// What a verifier trusts before looking at the evidence: pinned keys, and those behind bridges brought along.
pub fn trust(
    origin: &str,
    keys: &[Vkey],
    brought: Option<&BridgesFile>,
    log: &mut Log,
) -> Result<TrustedKeys, Stop> {
    let mut trust = TrustedKeys::pinned(origin, keys);
    if let Some(file) = brought {
        cross(&mut trust, &file.bridges, keys, "bridges:/bridges", log)?;
        let head = open_checkpoint(&file.checkpoint, &trust, keys, "bridges:/checkpoint", log)?;
        join(trust.crossed(), &head.checkpoint, "bridges:/bridges", log)?;
    }
    Ok(trust)
}

/// The pinned witnesses that cosigned a note, with the time that each says.
pub fn cosigners(note: &Note<'_>, keys: &[Vkey]) -> Result<Vec<(u64, Vkey)>, NoteError> {
    let witnesses: Vec<Vkey> = keys
        .iter()
        .filter(|k| k.algorithm() == Algorithm::CosignatureV1)
        .cloned()
        .collect();
    match note.verify(&witnesses) {
        Ok(good) => Ok(good
            .into_iter()
            .filter_map(|k| Some((note.cosigned_at(k)?, k.clone())))
            .collect()),
        Err(NoteError::Unknown) => Ok(Vec::new()),
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
    let service = is_service(&leaf.kind);
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
        custody: false,
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
    /// The ledger's keys that are trusted.
    pub trust: TrustedKeys,
}

/// Reads all leaves and proves each of them.
pub fn prove(
    file: &ReportFile,
    predicate: &Predicate,
    keys: &[Vkey],
    mut trust: TrustedKeys,
    log: &mut Log,
) -> Result<Proven, Stop> {
    let evidence = &file.evidence;
    let brought = trust.crossed().len();
    cross(
        &mut trust,
        &evidence.bridges,
        keys,
        "/evidence/bridges",
        log,
    )?;
    let place = "/evidence/checkpoint";
    let trusted = open_checkpoint(&evidence.checkpoint, &trust, keys, place, log)?;
    let crossed = &trust.crossed()[brought..];
    join(crossed, &trusted.checkpoint, "/evidence/bridges", log)?;
    let mut known = payload_leaves(predicate, log);
    custody_leaves(predicate, &mut known, log);
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
    let mut roots = consistency(file, head, log)?;
    for (i, bridge) in trust.crossed()[brought..].iter().enumerate() {
        let same = known
            .get(&bridge.rotation.seq)
            .is_some_and(|k| k.hash == bridge.leaf);
        if !same {
            let text = format!(
                "The change of keys at entry {} is shown as a bridge, but not among the proven entries.",
                bridge.rotation.seq
            );
            let place = format!("/evidence/bridges/{i}");
            return Err(log.stop(Code::KeyRotation, place, text));
        }
        roots.insert(bridge.rotation.bridge(), bridge.root);
    }
    Ok(Proven {
        trusted,
        known,
        roots,
        trust,
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

/// Reads the recorded reads' leaves, in an order of their own.
fn custody_leaves(predicate: &Predicate, known: &mut BTreeMap<u64, Known>, log: &mut Log) {
    let mut last: Option<u64> = None;
    for (i, entry) in predicate.custody.iter().enumerate() {
        let place = format!("payload:/predicate/custody/{i}/leaf");
        let Some(read) = read_leaf(entry.leaf.as_bytes(), &predicate.ledger, &place, log) else {
            continue;
        };
        let seq = read.leaf.seq;
        let taken = known.get(&seq).is_some_and(|k| k.payload);
        if taken || last.is_some_and(|l| l >= seq) {
            let text = format!("Entry {seq} is not in ledger order, or it stands twice.");
            log.add(Code::LeafOrder, place, text);
            continue;
        }
        last = Some(seq);
        custody::form(i, &read.leaf, entry, log);
        known.insert(
            seq,
            Known {
                custody: true,
                ..read
            },
        );
    }
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
