//! The checks that need entries in another order than the ledger's: identities, and the chains of cases.
//!
//! The stream gives a fixed-size record for each entry. Sorted as bytes, records of one identity stand together, and so do
//! those of one case, in the order of their positions; whoever holds the entries sorts them, in whatever memory there is.

use super::outcome::{LedgerCode, LedgerLog};
use crate::ledger::{Hash, Id16, Leaf};

/// Bytes of an identity record: `eid` (32), position (8, big-endian).
pub const IDENTITY_RECORD: usize = 40;
/// Bytes of a case record: pseudonym (16), position in the case (8), position (8), leaf hash (32), `case_prev` (32).
pub const CASE_RECORD: usize = 96;

/// The identity record of an entry.
#[must_use]
pub fn identity_record(seq: u64, leaf: &Leaf) -> [u8; IDENTITY_RECORD] {
    let mut out = [0; IDENTITY_RECORD];
    out[..32].copy_from_slice(&leaf.eid.0);
    out[32..].copy_from_slice(&seq.to_be_bytes());
    out
}

/// The case record of an entry that has a case.
#[must_use]
pub fn case_record(seq: u64, hash: &Hash, leaf: &Leaf) -> Option<[u8; CASE_RECORD]> {
    let link = leaf.case?;
    let mut out = [0; CASE_RECORD];
    out[..16].copy_from_slice(&link.case.0);
    out[16..24].copy_from_slice(&link.seq.to_be_bytes());
    out[24..32].copy_from_slice(&seq.to_be_bytes());
    out[32..64].copy_from_slice(&hash.0);
    out[64..].copy_from_slice(&link.prev.0);
    Some(out)
}

fn part<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&record[at..at + N]);
    out
}

/// What an identity record holds: `eid` and position.
#[must_use]
pub fn read_identity(record: &[u8; IDENTITY_RECORD]) -> (Hash, u64) {
    (Hash(part(record, 0)), u64::from_be_bytes(part(record, 32)))
}

/// What a case record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseStep {
    /// The case's pseudonym.
    pub case: Id16,
    /// Position within the case.
    pub case_seq: u64,
    /// Position in the ledger.
    pub seq: u64,
    /// Leaf hash.
    pub hash: Hash,
    /// What the leaf says of the case's entry before.
    pub prev: Hash,
}

/// Reads a case record.
#[must_use]
pub fn read_case(record: &[u8; CASE_RECORD]) -> CaseStep {
    CaseStep {
        case: Id16(part(record, 0)),
        case_seq: u64::from_be_bytes(part(record, 16)),
        seq: u64::from_be_bytes(part(record, 24)),
        hash: Hash(part(record, 32)),
        prev: Hash(part(record, 64)),
    }
}

/// Takes identity records in sorted order, and notes every identity that stands twice.
#[derive(Debug, Default)]
pub struct Identities {
    last: Option<(Hash, u64)>,
}

impl Identities {
    /// The next record.
    pub fn take(&mut self, record: &[u8; IDENTITY_RECORD], log: &mut LedgerLog) {
        let (eid, seq) = read_identity(record);
        if let Some((_, first)) = self.last.filter(|(e, _)| *e == eid) {
            let text = format!(
                "Entries {first} and {seq} have one identity, which a ledger gives only once: the same event was put on record twice."
            );
            log.entry(LedgerCode::IdentityDoubled, seq, None, text);
            return;
        }
        self.last = Some((eid, seq));
    }
}

/// Takes case records in sorted order, and notes every chain that is not whole.
#[derive(Debug, Default)]
pub struct CaseChains {
    last: Option<CaseStep>,
    /// Entries below this position were not read: a chain may begin in the middle.
    from: u64,
}

impl CaseChains {
    /// Chains of a ledger whose entries below `from` were not read.
    #[must_use]
    pub fn new(from: u64) -> Self {
        Self { last: None, from }
    }

    /// The next record.
    pub fn take(&mut self, record: &[u8; CASE_RECORD], log: &mut LedgerLog) {
        let step = read_case(record);
        let case = Some(step.case);
        let CaseStep { case_seq, seq, .. } = step;
        let before = self.last.filter(|l| l.case == step.case);
        self.last = Some(step);
        let Some(before) = before else {
            let unread = self.from > 0 && case_seq > 0;
            if case_seq > 0 && !unread {
                let text = format!(
                    "The case {} begins with position {case_seq} (entry {seq}): its entries before that are not in the ledger.",
                    step.case.to_hex()
                );
                log.entry(LedgerCode::CaseGap, seq, case, text);
            } else if case_seq == 0 && step.prev != Hash::ZERO {
                let text = format!(
                    "Entry {seq} is the first of its case {} and claims an entry before it.",
                    step.case.to_hex()
                );
                log.entry(LedgerCode::CasePrev, seq, case, text);
            }
            return;
        };
        if before.case_seq == case_seq {
            let text = format!(
                "Entries {} and {seq} both claim position {case_seq} in the case {}: one of them does not belong there.",
                before.seq,
                step.case.to_hex()
            );
            log.entry(LedgerCode::CaseDoubled, seq.max(before.seq), case, text);
        } else if before.case_seq + 1 != case_seq {
            let text = format!(
                "In the case {} the entry at position {} is missing: entry {} is followed by entry {seq} at position {case_seq}.",
                step.case.to_hex(),
                before.case_seq + 1,
                before.seq
            );
            log.entry(LedgerCode::CaseGap, seq, case, text);
        } else if step.prev != before.hash || seq < before.seq {
            let text = format!(
                "Entry {seq} does not link to entry {}, which comes before it in the case {}: one of the two was put in place of another.",
                before.seq,
                step.case.to_hex()
            );
            log.entry(LedgerCode::CasePrev, seq, case, text);
        }
    }
}
