//! What the stream gives: records for the sorts, and every node compared with its row.

use std::collections::{HashMap, VecDeque};
use std::io;

use crate::audit::sort::Sorter;
use crate::ledger::tree::{NodeId, stored_index};
use crate::ledger::{Hash, Id16, Leaf};
use crate::store::StoreError;
use crate::store::scan::LedgerScan;
use crate::verify::ledger::erasure::Ranges;
use crate::verify::ledger::records::{CASE_RECORD, IDENTITY_RECORD, case_record, identity_record};
use crate::verify::ledger::{LedgerCode, LedgerLog, Sink};

use super::FolderAudit;
use super::content::{Found, State};

/// Bytes of a record of trace and position.
pub(super) const TRACE: usize = 24;
/// Bytes of a record of type number and position.
pub(super) const TYPE: usize = 16;
/// Bytes of a record of blind image and position.
pub(super) const LOOKUP: usize = 24;
/// Bytes of a record of what a case's content lies under: pseudonym, position, slot, whether a case id is shown, its
/// blind image.
pub(super) const CASE_CONTENT: usize = 16 + 8 + 12 + 1 + 16;
/// Bytes of a record of what a trace's content lies under: trace, position, slot.
pub(super) const TRACE_CONTENT: usize = 16 + 8 + 12;
/// Bytes of a record of a report: id, position, digest of its payload, whether it has a case, pseudonym.
pub(super) const REPORT: usize = 16 + 8 + 32 + 1 + 16;

/// Rows of nodes that are read at once.
const PAGE: usize = 4_096;

/// Everything that is compared after the stream.
pub(super) struct Rows {
    pub identity: Sorter<IDENTITY_RECORD>,
    pub case: Sorter<CASE_RECORD>,
    pub trace: Sorter<TRACE>,
    pub kind: Sorter<TYPE>,
    pub lookup: Sorter<LOOKUP>,
    pub case_content: Sorter<CASE_CONTENT>,
    pub trace_content: Sorter<TRACE_CONTENT>,
    pub report: Sorter<REPORT>,
    /// Numbers of the types, and whether an entry has it.
    pub types: HashMap<String, (i64, bool)>,
    /// Positions whose entry could not be used: what is derived from them is not judged.
    pub unknown: Ranges,
    /// Positions whose content is gone; whose content is held; which were erased, as entries tell.
    pub gone: Ranges,
    pub held: Ranges,
    pub erased: Ranges,
    pub committed: u64,
    pub opened: u64,
}

impl Rows {
    pub fn new(audit: &FolderAudit, types: Vec<(i64, String)>) -> Self {
        let (dir, part) = (&audit.temporary, audit.memory / 8);
        Self {
            identity: Sorter::new(dir, part),
            case: Sorter::new(dir, part),
            trace: Sorter::new(dir, part),
            kind: Sorter::new(dir, part),
            lookup: Sorter::new(dir, part),
            case_content: Sorter::new(dir, part),
            trace_content: Sorter::new(dir, part),
            report: Sorter::new(dir, part),
            types: types
                .into_iter()
                .map(|(id, name)| (name, (id, false)))
                .collect(),
            unknown: Ranges::default(),
            gone: Ranges::default(),
            held: Ranges::default(),
            erased: Ranges::default(),
            committed: 0,
            opened: 0,
        }
    }

    /// Takes what was found about an entry's content.
    pub fn content(
        &mut self,
        seq: u64,
        leaf: &Leaf,
        found: Found,
        log: &mut LedgerLog,
    ) -> io::Result<()> {
        let case = leaf.case.map(|c| c.case);
        for (code, text) in found.problems {
            log.entry(code, seq, case, text);
        }
        self.committed += u64::from(found.committed);
        match found.state {
            State::None | State::Stored => return Ok(()),
            State::Gone => {
                self.gone.add(seq);
                return Ok(());
            }
            State::Opened => {
                self.held.add(seq);
                self.opened += 1;
            }
        }
        for blind in &found.lookups {
            self.lookup.push(pair(&blind.0, seq))?;
        }
        let Some(slot) = found.slot else {
            return Ok(());
        };
        match (case, leaf.trace) {
            (Some(case), _) => {
                let mut r = [0; CASE_CONTENT];
                r[..16].copy_from_slice(&case.0);
                r[16..24].copy_from_slice(&seq.to_be_bytes());
                r[24..36].copy_from_slice(&slot);
                r[36] = u8::from(found.blind.is_some());
                r[37..].copy_from_slice(&found.blind.map_or([0; 16], |b| b.0));
                self.case_content.push(r)
            }
            (None, Some(trace)) => {
                let mut r = [0; TRACE_CONTENT];
                r[..16].copy_from_slice(&trace.0);
                r[16..24].copy_from_slice(&seq.to_be_bytes());
                r[24..].copy_from_slice(&slot);
                self.trace_content.push(r)
            }
            (None, None) => Ok(()),
        }
    }

    fn entry(&mut self, seq: u64, hash: &Hash, leaf: &Leaf) -> io::Result<()> {
        self.identity.push(identity_record(seq, leaf))?;
        if let Some(record) = case_record(seq, hash, leaf) {
            self.case.push(record)?;
        }
        if let Some(trace) = leaf.trace {
            self.trace.push(pair(&trace.0, seq))?;
        }
        // A type without a number is told of when the table of names is compared.
        let known = match self.types.get_mut(leaf.kind.as_str()) {
            Some(known) => known,
            None => self.types.entry(leaf.kind.clone()).or_insert((-1, true)),
        };
        known.1 = true;
        if let Ok(id) = u64::try_from(known.0) {
            let mut r = [0; TYPE];
            r[..8].copy_from_slice(&id.to_be_bytes());
            r[8..].copy_from_slice(&seq.to_be_bytes());
            self.kind.push(r)?;
        }
        if let Some(record) = report_record(seq, leaf) {
            self.report.push(record)?;
        }
        Ok(())
    }
}

fn pair(key: &[u8; 16], seq: u64) -> [u8; 24] {
    let mut r = [0; 24];
    r[..16].copy_from_slice(key);
    r[16..].copy_from_slice(&seq.to_be_bytes());
    r
}

fn report_record(seq: u64, leaf: &Leaf) -> Option<[u8; REPORT]> {
    let fact = leaf
        .fact
        .as_ref()
        .filter(|_| leaf.kind == "report.issued")?;
    let text = |name: &str| fact.get(name).and_then(|v| v.as_str());
    let id = Id16::from_hex(text("report")?)?;
    let payload = Hash::from_hex(text("payload")?)?;
    let mut r = [0; REPORT];
    r[..16].copy_from_slice(&id.0);
    r[16..24].copy_from_slice(&seq.to_be_bytes());
    r[24..56].copy_from_slice(&payload.0);
    r[56] = u8::from(leaf.case.is_some());
    r[57..].copy_from_slice(&leaf.case.map_or([0; 16], |c| c.case.0));
    Some(r)
}

/// The stored nodes, read ahead of the stream.
#[derive(Debug, Default)]
pub(super) struct NodeRows {
    rows: VecDeque<(i64, Vec<u8>)>,
    after: Option<i64>,
    ended: bool,
}

impl NodeRows {
    /// Reads ahead so that every node up to this position is at hand.
    pub fn reach(&mut self, scan: &mut dyn LedgerScan, position: u64) -> Result<(), StoreError> {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        while !self.ended && self.rows.back().is_none_or(|(p, _)| *p < position) {
            let page = scan.nodes(self.after, PAGE)?;
            self.ended = page.is_empty();
            self.after = page.last().map(|(p, _)| *p).or(self.after);
            self.rows.extend(page);
        }
        Ok(())
    }

    /// The hash at a position that is at hand.
    pub fn get(&self, position: u64) -> Option<Hash> {
        let position = i64::try_from(position).ok()?;
        let first = self.rows.front()?.0;
        // Positions follow each other without gaps unless rows were taken away.
        let guess = usize::try_from(position.checked_sub(first)?).ok()?;
        let row = match self.rows.get(guess) {
            Some(row) if row.0 == position => row,
            _ => {
                let at = self
                    .rows
                    .binary_search_by_key(&position, |(p, _)| *p)
                    .ok()?;
                self.rows.get(at)?
            }
        };
        Hash::from_slice(&row.1)
    }
}

/// Takes what the stream gives.
pub(super) struct Collect<'a> {
    pub rows: &'a mut Rows,
    pub nodes: &'a mut NodeRows,
    /// The position of the next entry that the stream should give.
    pub next: &'a mut u64,
    /// What was found and is to be noted.
    pub found: Vec<(LedgerCode, u64, String, String)>,
    pub failed: Option<io::Error>,
}

impl Collect<'_> {
    /// Rows of nodes below a position, to which nothing belongs.
    pub fn extra_nodes(&mut self, below: i64) {
        while let Some((position, _)) = self.nodes.rows.front().filter(|(p, _)| *p < below) {
            let text = format!(
                "The table `node` has a row at position {position}, where the tree over the entries has none. A proof that is made with it does not hold."
            );
            let place = format!("table node, position {position}");
            self.found
                .push((LedgerCode::RowExtra, *self.next, place, text));
            self.nodes.rows.pop_front();
        }
    }

    /// Notes what was found.
    pub fn flush(&mut self, log: &mut LedgerLog) -> io::Result<()> {
        for (code, seq, place, text) in self.found.drain(..) {
            log.add(code, Some(seq), None, place, text);
        }
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl Sink for Collect<'_> {
    fn entry(&mut self, seq: u64, hash: &Hash, leaf: &Leaf) {
        if seq > *self.next {
            self.rows.unknown.add_range(*self.next, seq - 1);
        }
        *self.next = seq + 1;
        if let Err(e) = self.rows.entry(seq, hash, leaf) {
            self.failed.get_or_insert(e);
        }
    }

    fn node(&mut self, id: NodeId, hash: Hash) {
        let position = i64::try_from(stored_index(id)).unwrap_or(i64::MAX);
        self.extra_nodes(position);
        let place = format!("table node, position {position}, column hash");
        let what = format!("level {}, place {}", id.level, id.index);
        let seq = id.index << id.level.min(63);
        match self.nodes.rows.front() {
            Some((p, stored)) if *p == position => {
                if stored[..] != hash.0 {
                    let text = format!(
                        "The stored hash of the subtree at {what} is not that of the entries beneath it: proofs that use it do not hold, though the entries are sound."
                    );
                    self.found.push((LedgerCode::RowDiffers, seq, place, text));
                }
                self.nodes.rows.pop_front();
            }
            _ => {
                let text = format!(
                    "The stored hash of the subtree at {what} is not there: receipts and proofs that need it cannot be made."
                );
                self.found.push((LedgerCode::RowAbsent, seq, place, text));
            }
        }
    }
}
