//! What the service's own entries say: the ledger's keys, erasures, the report's own entry.

use std::collections::BTreeSet;

use serde_json::Value;

use super::custody::{self, RECORD_ACCESSED};
use super::evidence::Proven;
use super::format::Predicate;
use super::outcome::{Code, Log, Stop};
use crate::ledger::keys::{KEY_ROTATED, KeyHistory, LEDGER_CREATED, Purpose};
use crate::ledger::note::Vkey;
use crate::ledger::{Hash, Leaf};

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
    RECORD_ACCESSED,
    "access.denied",
    "post.conflicted",
    "hold.placed",
    "hold.released",
    "principal.changed",
    "policy.changed",
    "clock.stepped",
];

/// Whether only the service writes entries of this type.
pub fn is_service(kind: &str) -> bool {
    SERVICE.contains(&kind) || kind.starts_with("incident.")
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
    /// The ledger's keys, as its entries name them.
    pub keys: KeyHistory,
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
            _ if known.payload || known.custody => {}
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
    let keys = keys_in_force(proven, log)?;
    issued_fact(proven, predicate, issued, log);
    custody::place(&proven.known, predicate, issued, log);
    Ok(Duties {
        report_key: keys.report_key_at(issued).clone(),
        keys,
        issued,
        erasures,
    })
}

/// Follows the key facts from the first entry; the checkpoint key in force at the checkpoint's size must have signed it.
fn keys_in_force(proven: &Proven, log: &mut Log) -> Result<KeyHistory, Stop> {
    let Some(genesis) = proven
        .known
        .get(&0)
        .filter(|k| k.leaf.kind == LEDGER_CREATED)
    else {
        let text = "The ledger's first entry (`ledger.created`) is not in the evidence, so it is not known which key signs reports.";
        return Err(log.stop(Code::GenesisAbsent, "/evidence/entries", text));
    };
    let mut keys = KeyHistory::begin(&genesis.leaf).map_err(|_| {
        let text = "The ledger's first entry does not name a checkpoint key and a report key of format v1.";
        log.stop(Code::GenesisForm, "entry 0", text)
    })?;
    let rotated = proven
        .known
        .iter()
        .filter(|(_, k)| k.leaf.kind == KEY_ROTATED);
    for (seq, known) in rotated {
        if let Err(e) = keys.follow(&known.leaf) {
            let text = format!(
                "The change of keys does not join up: {e}. An earlier one is not in the evidence, or this one is forged."
            );
            return Err(log.stop(Code::KeyRotation, format!("entry {seq}"), text));
        }
    }
    let size = proven.trusted.checkpoint.size;
    let in_force = keys.signers(size);
    let signers = &proven.trusted.signers;
    if signers.iter().any(|k| in_force.contains(k)) {
        return Ok(keys);
    }
    let spans = keys.spans(Purpose::Checkpoint);
    let replaced = spans
        .iter()
        .find(|s| s.to.is_some_and(|to| to < size) && signers.contains(&s.vkey));
    let (code, text) = match replaced {
        Some(span) => (
            Code::KeyRetired,
            format!(
                "The checkpoint of {size} entries is signed by {}, which the ledger's own entries replaced before.",
                span.vkey
            ),
        ),
        None => (
            Code::KeyCheckpoint,
            "The ledger's own entries name another checkpoint key than the one that signed this checkpoint.".to_owned(),
        ),
    };
    Err(log.stop(code, "/evidence/checkpoint", text))
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
    let last = proven.known.iter().rfind(|(_, k)| k.payload);
    if last.is_some_and(|(seq, _)| *seq > issued) {
        let text = format!(
            "Entry {issued} (`report.issued`) stands before the last entry that the report tells of."
        );
        log.add(Code::IssuedOrder, &place, text);
    }
}
