//! The checks that need another order than the ledger's, and every derived table compared with what the entries call for.

use std::collections::BTreeSet;

use crate::audit::AuditError;
use crate::audit::sort::{Sorted, Sorter};
use crate::json;
use crate::ledger::dsse::Envelope;
use crate::ledger::note::Vkey;
use crate::ledger::{Hash, Id16, sha256};
use crate::store::scan::{Cell, Derived, LedgerScan, ScanReport};
use crate::verify::format::Statement;
use crate::verify::ledger::records::{CaseChains, Identities, read_case, read_identity};
use crate::verify::ledger::{ContentCounts, KeyHistory, LedgerCode, LedgerLog, Streamed};

use super::FolderAudit;
use super::sink::{CASE_CONTENT, LOOKUP, REPORT, Rows, TRACE_CONTENT};

/// Rows that are read at once.
const PAGE: usize = 4_096;

/// A derived table, for messages.
struct Table {
    table: Derived,
    name: &'static str,
    columns: &'static [&'static str],
    /// How many columns are the key.
    key: usize,
    /// The column that holds a position.
    seq: Option<usize>,
    /// What a wrong row leads to.
    harm: &'static str,
}

const IDENTITY: Table = Table {
    table: Derived::Identity,
    name: "identity",
    columns: &["eid", "seq"],
    key: 1,
    seq: Some(1),
    harm: "A retry of this event would become a second entry, or be refused.",
};
const CASE_ENTRY: Table = Table {
    table: Derived::CaseEntry,
    name: "case_entry",
    columns: &["pseudonym", "case_seq", "seq"],
    key: 2,
    seq: Some(2),
    harm: "Answers and reports on this case would lack an entry or show a wrong one.",
};
const TRACE_ENTRY: Table = Table {
    table: Derived::TraceEntry,
    name: "trace_entry",
    columns: &["trace", "seq"],
    key: 2,
    seq: Some(1),
    harm: "Answers about this trace would lack an entry or show a wrong one.",
};
const TYPE_ENTRY: Table = Table {
    table: Derived::TypeEntry,
    name: "type_entry",
    columns: &["type_id", "seq"],
    key: 2,
    seq: Some(1),
    harm: "Lists by type, and the keys that reports bring along, would lack an entry or show a wrong one.",
};
const LOOKUPS: Table = Table {
    table: Derived::Lookup,
    name: "lookup",
    columns: &["blind", "seq"],
    key: 2,
    seq: Some(1),
    harm: "What is asked for by its id would not be found, or be found in the wrong entry.",
};

/// Reads a derived table row by row.
struct Rowwise<'a> {
    scan: &'a mut dyn LedgerScan,
    table: Derived,
    page: std::vec::IntoIter<Vec<Cell>>,
    last: Option<Vec<Cell>>,
    ended: bool,
}

impl<'a> Rowwise<'a> {
    fn new(scan: &'a mut dyn LedgerScan, table: Derived) -> Self {
        Self {
            scan,
            table,
            page: Vec::new().into_iter(),
            last: None,
            ended: false,
        }
    }

    fn next(&mut self) -> Result<Option<Vec<Cell>>, AuditError> {
        if self.page.len() == 0 && !self.ended {
            let page = self.scan.derived(self.table, self.last.as_deref(), PAGE)?;
            self.ended = page.is_empty();
            self.last = page.last().cloned().or(self.last.take());
            self.page = page.into_iter();
        }
        Ok(self.page.next())
    }
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Integer(n) => n.to_string(),
        Cell::Bytes(b) => hex::encode(b),
        Cell::Null => "null".to_owned(),
    }
}

fn place(t: &Table, row: &[Cell], column: Option<usize>) -> String {
    let key: Vec<String> = row.iter().take(t.key).map(cell_text).collect();
    let column = column.and_then(|c| t.columns.get(c));
    let column = column.map_or_else(String::new, |c| format!(", column {c}"));
    format!("table {}, key {}{column}", t.name, key.join(" "))
}

fn position(t: &Table, row: &[Cell]) -> Option<u64> {
    match row.get(t.seq?) {
        Some(Cell::Integer(n)) => u64::try_from(*n).ok(),
        _ => None,
    }
}

fn number(n: u64) -> Cell {
    Cell::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

/// Compares a table with the sorted rows that it must have; `next` gives these.
fn join(
    scan: &mut dyn LedgerScan,
    t: &Table,
    rows: &Unknown<'_>,
    log: &mut LedgerLog,
    mut next: impl FnMut(&mut LedgerLog) -> Result<Option<Vec<Cell>>, AuditError>,
) -> Result<(), AuditError> {
    let mut stored = Rowwise::new(scan, t.table);
    let mut have = stored.next()?;
    let mut want = next(log)?;
    loop {
        let order = match (&want, &have) {
            (None, None) => return Ok(()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(w), Some(h)) => key_order(&w[..t.key], &h[..t.key]),
        };
        match (order, &want, &have) {
            (std::cmp::Ordering::Less, Some(w), _) => {
                let text = format!(
                    "The table `{}` lacks the row that entry {} calls for. {}",
                    t.name,
                    position(t, w).map_or_else(|| "?".to_owned(), |s| s.to_string()),
                    t.harm
                );
                log.add(
                    LedgerCode::RowAbsent,
                    position(t, w),
                    None,
                    place(t, w, None),
                    text,
                );
                want = next(log)?;
            }
            (std::cmp::Ordering::Greater, _, Some(h)) => {
                if !position(t, h).is_some_and(|seq| rows.has(seq)) {
                    let text = format!(
                        "The table `{}` has a row that no entry calls for. {}",
                        t.name, t.harm
                    );
                    log.add(
                        LedgerCode::RowExtra,
                        position(t, h),
                        None,
                        place(t, h, None),
                        text,
                    );
                }
                have = stored.next()?;
            }
            (_, Some(w), Some(h)) => {
                if let Some(column) =
                    (t.key..w.len()).find(|c| w[*c] != Cell::Null && w[*c] != h[*c])
                {
                    let text = format!(
                        "A row of the table `{}` has {} where the entries say {}. {}",
                        t.name,
                        cell_text(&h[column]),
                        cell_text(&w[column]),
                        t.harm
                    );
                    log.add(
                        LedgerCode::RowDiffers,
                        position(t, w),
                        None,
                        place(t, w, Some(column)),
                        text,
                    );
                }
                want = next(log)?;
                have = stored.next()?;
            }
            _ => return Ok(()),
        }
    }
}

/// Keys in the order in which SQLite gives them.
fn key_order(a: &[Cell], b: &[Cell]) -> std::cmp::Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = match (a, b) {
            (Cell::Integer(a), Cell::Integer(b)) => a.cmp(b),
            (Cell::Bytes(a), Cell::Bytes(b)) => a.cmp(b),
            _ => std::cmp::Ordering::Equal,
        };
        if order.is_ne() {
            return order;
        }
    }
    std::cmp::Ordering::Equal
}

/// Positions whose rows are not judged, because their entries could not be used.
struct Unknown<'a> {
    entries: &'a crate::verify::ledger::erasure::Ranges,
    gone: Option<&'a crate::verify::ledger::erasure::Ranges>,
}

impl Unknown<'_> {
    fn has(&self, seq: u64) -> bool {
        self.entries.has(seq) || self.gone.is_some_and(|g| g.has(seq))
    }
}

fn split<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&record[at..at + N]);
    out
}

/// Rows of a key of 16 bytes and a position.
fn pairs(
    mut sorted: Sorted<24>,
) -> impl FnMut(&mut LedgerLog) -> Result<Option<Vec<Cell>>, AuditError> {
    let mut last = None;
    move |_| {
        loop {
            let Some(r) = sorted.next()? else {
                return Ok(None);
            };
            // An entry may call for one row twice.
            if last.replace(r) == Some(r) {
                continue;
            }
            let seq = u64::from_be_bytes(split(&r, 16));
            return Ok(Some(vec![Cell::Bytes(r[..16].to_vec()), number(seq)]));
        }
    }
}

/// Compares everything; gives the states of the content.
pub(super) fn compare(
    scan: &mut dyn LedgerScan,
    rows: Rows,
    audit: &FolderAudit,
    streamed: &mut Streamed,
) -> Result<ContentCounts, AuditError> {
    let (from, keys) = (streamed.from, streamed.keys.clone());
    let log = &mut streamed.log;
    let entries = Unknown {
        entries: &rows.unknown,
        gone: None,
    };
    let mut identities = Identities::default();
    let mut sorted = rows.identity.finish()?;
    let mut last_key: Option<[u8; 16]> = None;
    join(scan, &IDENTITY, &entries, log, |log| {
        loop {
            let Some(r) = sorted.next()? else {
                return Ok(None);
            };
            identities.take(&r, log);
            let (eid, seq) = read_identity(&r);
            let key: [u8; 16] = split(&eid.0, 0);
            // The table has room for one; that there are two was just said.
            if last_key.replace(key) == Some(key) {
                continue;
            }
            return Ok(Some(vec![Cell::Bytes(key.to_vec()), number(seq)]));
        }
    })?;
    let mut chains = CaseChains::new(from);
    let mut sorted = rows.case.finish()?;
    let mut last_key = None;
    join(scan, &CASE_ENTRY, &entries, log, |log| {
        loop {
            let Some(r) = sorted.next()? else {
                return Ok(None);
            };
            chains.take(&r, log);
            let step = read_case(&r);
            if last_key.replace((step.case, step.case_seq)) == Some((step.case, step.case_seq)) {
                continue;
            }
            let case = Cell::Bytes(step.case.0.to_vec());
            return Ok(Some(vec![case, number(step.case_seq), number(step.seq)]));
        }
    })?;
    join(
        scan,
        &TRACE_ENTRY,
        &entries,
        log,
        pairs(rows.trace.finish()?),
    )?;
    type_names(&rows.types, log);
    let mut sorted = rows.kind.finish()?;
    join(scan, &TYPE_ENTRY, &entries, log, |_| {
        Ok(sorted.next()?.map(|r| {
            let [id, seq] = [0, 8].map(|at| number(u64::from_be_bytes(split(&r, at))));
            vec![id, seq]
        }))
    })?;
    reports(scan, rows.report, &keys, log)?;
    let mut counts = ContentCounts {
        committed: rows.committed,
        opened: rows.opened,
        ..ContentCounts::default()
    };
    for seq in rows.gone.iter() {
        if rows.erased.has(seq) {
            counts.erased += 1;
            continue;
        }
        counts.missing += 1;
        let text = format!(
            "The content of entry {seq} is not there, or its secret is not in the keyring, and no entry tells that it was erased: it was taken away."
        );
        log.entry(LedgerCode::ContentMissing, seq, None, text);
    }
    if !audit.content {
        return Ok(counts);
    }
    for seq in rows.held.iter().filter(|s| rows.erased.has(*s)) {
        let text = format!(
            "An entry tells that the content of entry {seq} was erased, and it is still there, or was put back: the erasure was not carried out, or an old copy was restored."
        );
        log.entry(LedgerCode::ContentExtra, seq, None, text);
    }
    let shown = Unknown {
        entries: &rows.unknown,
        gone: Some(&rows.gone),
    };
    let sorted: Sorted<LOOKUP> = rows.lookup.finish()?;
    join(scan, &LOOKUPS, &shown, log, pairs(sorted))?;
    cases(scan, rows.case_content, audit, log)?;
    traces(scan, rows.trace_content, log)?;
    Ok(counts)
}

fn type_names(types: &std::collections::HashMap<String, (i64, bool)>, log: &mut LedgerLog) {
    let mut names: Vec<_> = types.iter().collect();
    names.sort();
    for (name, (id, used)) in names {
        let place = format!("table type_name, name {name}");
        if *id < 0 {
            let text = format!(
                "The table `type_name` has no number for the type `{name}`: lists by type lack its entries."
            );
            log.add(LedgerCode::RowAbsent, None, None, place, text);
        } else if !used {
            let text = format!(
                "The table `type_name` names the type `{name}`, which no entry has: the row was put in, or renamed."
            );
            log.add(LedgerCode::RowExtra, None, None, place, text);
        }
    }
}

const CASE_FILE: Table = Table {
    table: Derived::CaseFile,
    name: "case_file",
    columns: &["pseudonym", "blind", "slot"],
    key: 1,
    seq: None,
    harm: "The next event of this case would begin a second chain, join another one, or lie under a secret that an erasure of the case would miss.",
};
const TRACE_SLOT: Table = Table {
    table: Derived::TraceSlot,
    name: "trace_slot",
    columns: &["trace", "slot"],
    key: 1,
    seq: None,
    harm: "Later content of this trace would lie under another secret.",
};

/// The records of one case or trace, folded to the row that it must have.
fn cases(
    scan: &mut dyn LedgerScan,
    records: Sorter<CASE_CONTENT>,
    audit: &FolderAudit,
    log: &mut LedgerLog,
) -> Result<(), AuditError> {
    let mut ids: Sorter<40> = Sorter::new(&audit.temporary, audit.memory / 8);
    let mut sorted = records.finish()?;
    let mut ahead = sorted.next()?;
    let nothing = crate::verify::ledger::erasure::Ranges::default();
    let all = Unknown {
        entries: &nothing,
        gone: None,
    };
    join(scan, &CASE_FILE, &all, log, |log| {
        let Some(first) = ahead.take() else {
            return Ok(None);
        };
        let case = Id16(split(&first, 0));
        let slot: [u8; 12] = split(&first, 24);
        let mut blind: Option<[u8; 16]> = None;
        let mut next = Some(first);
        while let Some(r) = next.filter(|r| r[..16] == first[..16]) {
            let seq = u64::from_be_bytes(split(&r, 16));
            if r[24..36] != slot {
                let text = format!(
                    "The content of entry {seq} lies under another secret than that of its case {}: an erasure of the case would miss it.",
                    case.to_hex()
                );
                log.entry(LedgerCode::ContentSlot, seq, Some(case), text);
            }
            if r[36] == 1 {
                let theirs: [u8; 16] = split(&r, 37);
                match blind {
                    None => {
                        blind = Some(theirs);
                        let mut id = [0; 40];
                        id[..16].copy_from_slice(&theirs);
                        id[16..24].copy_from_slice(&seq.to_be_bytes());
                        id[24..].copy_from_slice(&case.0);
                        ids.push(id)?;
                    }
                    Some(ours) if ours != theirs => {
                        let text = format!(
                            "Entry {seq} stands in the chain of the case {}, and its content names another case id than the entries before it: two cases were joined.",
                            case.to_hex()
                        );
                        log.entry(LedgerCode::CaseIds, seq, Some(case), text);
                    }
                    Some(_) => {}
                }
            }
            next = sorted.next()?;
        }
        ahead = next;
        let blind = blind.map_or(Cell::Null, |b| Cell::Bytes(b.to_vec()));
        Ok(Some(vec![
            Cell::Bytes(case.0.to_vec()),
            blind,
            Cell::Bytes(slot.to_vec()),
        ]))
    })?;
    let mut sorted = ids.finish()?;
    let mut last: Option<[u8; 40]> = None;
    while let Some(r) = sorted.next()? {
        if let Some(before) = last.filter(|l| l[..16] == r[..16]) {
            let seq = u64::from_be_bytes(split(&r, 16));
            let [a, b] = [before, r].map(|r| Id16(split(&r, 24)));
            let text = format!(
                "One case id leads to two pseudonyms, {} and {}: the case was split into two chains, each whole by itself, so that neither shows everything.",
                a.to_hex(),
                b.to_hex()
            );
            log.entry(LedgerCode::CaseIds, seq, Some(b), text);
        }
        last = Some(r);
    }
    Ok(())
}

fn traces(
    scan: &mut dyn LedgerScan,
    records: Sorter<TRACE_CONTENT>,
    log: &mut LedgerLog,
) -> Result<(), AuditError> {
    let mut sorted = records.finish()?;
    let mut ahead = sorted.next()?;
    let nothing = crate::verify::ledger::erasure::Ranges::default();
    let all = Unknown {
        entries: &nothing,
        gone: None,
    };
    join(scan, &TRACE_SLOT, &all, log, |log| {
        let Some(first) = ahead.take() else {
            return Ok(None);
        };
        let slot: [u8; 12] = split(&first, 24);
        let mut next = Some(first);
        while let Some(r) = next.filter(|r| r[..16] == first[..16]) {
            if r[24..] != slot {
                let seq = u64::from_be_bytes(split(&r, 16));
                let text = format!(
                    "The content of entry {seq} lies under another secret than the other entries of its trace."
                );
                log.entry(LedgerCode::ContentSlot, seq, None, text);
            }
            next = sorted.next()?;
        }
        ahead = next;
        Ok(Some(vec![
            Cell::Bytes(first[..16].to_vec()),
            Cell::Bytes(slot.to_vec()),
        ]))
    })
}

/// Compares stored reports with their entries.
fn reports(
    scan: &mut dyn LedgerScan,
    records: Sorter<REPORT>,
    keys: &KeyHistory,
    log: &mut LedgerLog,
) -> Result<(), AuditError> {
    let mut sorted = records.finish()?;
    let mut named: BTreeSet<Hash> = BTreeSet::new();
    let mut want = sorted.next()?;
    let mut page = scan.reports(None, 256)?.into_iter();
    let mut have = page.next();
    while want.is_some() || have.is_some() {
        let order = match (&want, &have) {
            (Some(w), Some(h)) => w[..16].cmp(&h.id[..]),
            (Some(_), None) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        if order.is_le()
            && let Some(w) = &want
        {
            let seq = u64::from_be_bytes(split(w, 16));
            match have.as_ref().filter(|_| order.is_eq()) {
                Some(row) => report(w, row, seq, keys, &mut named, log),
                None => {
                    let id = hex::encode(&w[..16]);
                    let text = format!(
                        "The report {id} is on record in entry {seq}, and it is not stored: it was taken away."
                    );
                    log.add(
                        LedgerCode::ReportAbsent,
                        Some(seq),
                        None,
                        format!("table report, key {id}"),
                        text,
                    );
                }
            }
            want = sorted.next()?;
        } else if let Some(row) = &have {
            let id = hex::encode(&row.id);
            let text = format!(
                "The table `report` has the report {id}, which no entry puts on record: it was never issued, or put in place of another."
            );
            log.add(
                LedgerCode::RowExtra,
                u64::try_from(row.seq).ok(),
                None,
                format!("table report, key {id}"),
                text,
            );
        }
        if order.is_ge()
            && let Some(row) = have.take()
        {
            have = page.next();
            if have.is_none() {
                page = scan.reports(Some(&row.id), 256)?.into_iter();
                have = page.next();
            }
        }
    }
    catalogues(scan, &named, log)
}

fn report(
    w: &[u8; REPORT],
    row: &ScanReport,
    seq: u64,
    keys: &KeyHistory,
    named: &mut BTreeSet<Hash>,
    log: &mut LedgerLog,
) {
    let id = hex::encode(&w[..16]);
    let case = (w[56] == 1).then(|| Id16(split(w, 57)));
    let place = |column: &str| format!("table report, key {id}, column {column}");
    let mut differs = |column: &str, what: &str| {
        let text = format!("The row of the report {id} has another {what} than its entry {seq}.");
        log.add(LedgerCode::RowDiffers, Some(seq), case, place(column), text);
    };
    if u64::try_from(row.seq).ok() != Some(seq) {
        differs("seq", "position");
    }
    if row.pseudonym.as_deref() != case.as_ref().map(|c| &c.0[..]) {
        differs("pseudonym", "case");
    }
    let envelope: Option<Envelope> = serde_json::from_str(&row.envelope).ok();
    let body = envelope.as_ref().and_then(|e| e.payload_bytes().ok());
    let (Some(envelope), Some(body)) = (envelope, body) else {
        let text = format!("The stored report {id} is not a signed envelope any more.");
        return log.add(
            LedgerCode::ReportPayload,
            Some(seq),
            case,
            place("envelope"),
            text,
        );
    };
    if sha256(&[&body]).0 != w[24..56] {
        let text = format!(
            "The stored report {id} is not the one that entry {seq} put on record: its text was changed or replaced."
        );
        log.add(
            LedgerCode::ReportPayload,
            Some(seq),
            case,
            place("envelope"),
            text,
        );
    } else if keys
        .report_key(seq)
        .is_some_and(|k| envelope.open(k).is_err() || !as_made(&envelope, k, &row.envelope))
    {
        let text = format!(
            "The stored report {id} is not signed as the report key that was in force at entry {seq} signs: its signature, or how it is written, was changed."
        );
        log.add(
            LedgerCode::ReportSignature,
            Some(seq),
            case,
            place("envelope"),
            text,
        );
    }
    let Ok(statement) = Statement::decode(&body) else {
        return;
    };
    named.extend(statement.predicate.catalogues.values().map(|c| c.0));
    if row.requester != statement.predicate.audience.requester.0 {
        let text = format!(
            "The row of the report {id} names another requester than the signed report: access to it may go by the row."
        );
        log.add(
            LedgerCode::RowDiffers,
            Some(seq),
            case,
            place("requester"),
            text,
        );
    }
}

/// Whether an envelope is written as reports are: one signature, under its key's name, in canonical form.
fn as_made(envelope: &Envelope, key: &Vkey, text: &str) -> bool {
    let keyid = format!("{}+{}", key.name(), hex::encode(key.id()));
    let [signature] = &envelope.signatures[..] else {
        return false;
    };
    let written = serde_json::to_value(envelope).map(|v| json::canonical(&v));
    signature.keyid == keyid && written.is_ok_and(|w| w == text)
}

/// Compares catalogues with the digests under which they stand, and with what reports were signed with.
fn catalogues(
    scan: &mut dyn LedgerScan,
    named: &BTreeSet<Hash>,
    log: &mut LedgerLog,
) -> Result<(), AuditError> {
    let mut there = BTreeSet::new();
    for (digest, text) in scan.catalogues()? {
        let own = sha256(&[text.as_bytes()]);
        let place = format!("table catalogue, key {}", hex::encode(&digest));
        if own.0[..] != digest[..] {
            let text = "A message catalogue is not the one that its digest names: reports that were signed with it would show other words.";
            log.add(
                LedgerCode::RowDiffers,
                None,
                None,
                format!("{place}, column text"),
                text,
            );
        } else if !named.contains(&own) {
            let text = "A message catalogue is stored that no report was signed with.";
            log.add(LedgerCode::RowExtra, None, None, place, text);
        }
        if let Some(digest) = Hash::from_slice(&digest) {
            there.insert(digest);
        }
    }
    for digest in named.difference(&there) {
        let text = "A message catalogue that a report was signed with is not stored: the report cannot be told in its words any more.";
        log.add(
            LedgerCode::RowAbsent,
            None,
            None,
            format!("table catalogue, key {digest}"),
            text,
        );
    }
    Ok(())
}
