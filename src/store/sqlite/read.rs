//! Reading.
//!
//! One row is read by `get_result`, never by Diesel's `first`: that binds `LIMIT ?`, and SQLite, which plans by the
//! bound limit, then prepares the cached statement anew at every use. Only the first row is stepped to either way.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sqlite::Sqlite;

use super::schema::{
    anchor, case_entry, case_file, catalogue, commitment, cosignature, entry, head, identity,
    lookup, node, report, trace_entry, trace_slot, type_entry, type_name,
};
use super::{SqliteStore, backend};
use crate::ledger::tree::{NodeId, stored_index};
use crate::ledger::{Hash, Id16, Timestamp};
use crate::store::{
    Anchored, CaseFile, Commitment, Cosignature, EntryQuery, Head, LedgerReader, ReportRow, Slot,
    StoreError, StoredEntry,
};

/// SQLite counts in signed 64 bits; a ledger does not get that long.
pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(n: i64) -> Result<u64, StoreError> {
    u64::try_from(n).map_err(|_| StoreError::Damaged("a position is negative".into()))
}

fn bytes<const N: usize>(what: &str, b: &[u8]) -> Result<[u8; N], StoreError> {
    b.try_into()
        .map_err(|_| StoreError::Damaged(format!("{what} has {} bytes instead of {N}", b.len())))
}

pub(super) fn hash(what: &str, b: &[u8]) -> Result<Hash, StoreError> {
    bytes(what, b).map(Hash)
}

pub(super) fn id16(what: &str, b: &[u8]) -> Result<Id16, StoreError> {
    bytes(what, b).map(Id16)
}

/// The part of an identity that the table is keyed by.
pub(super) fn identity_key(eid: &Hash) -> &[u8] {
    &eid.0[..16]
}

/// From how many nodes on they are read with one statement for a whole tile instead of one for each.
const MANY: usize = 64;
/// Positions that one statement asks for: a tile of the tree.
const AT_ONCE: usize = 256;

fn absent_node(id: &NodeId) -> StoreError {
    StoreError::Damaged(format!(
        "the tree's node at level {}, place {} is absent",
        id.level, id.index
    ))
}

/// Nodes never change, so that several statements see what one would.
fn many_nodes(c: &mut SqliteConnection, ids: &[NodeId]) -> Result<Vec<Hash>, StoreError> {
    let mut out = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        let positions: Vec<i64> = ids.iter().map(|id| signed(stored_index(*id))).collect();
        let rows: Vec<(i64, Vec<u8>)> = node::table
            .filter(node::position.eq_any(&positions))
            .load(c)
            .map_err(backend)?;
        let found: HashMap<i64, Vec<u8>> = rows.into_iter().collect();
        for (id, position) in ids.iter().zip(&positions) {
            let node = found.get(position).ok_or_else(|| absent_node(id))?;
            out.push(hash("a node", node)?);
        }
    }
    Ok(out)
}

type EntryTuple = (i64, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

fn stored((seq, leaf, slot, sealed): EntryTuple) -> Result<StoredEntry, StoreError> {
    let sealed = match (slot, sealed) {
        (Some(slot), Some(sealed)) => Some((Slot(bytes("a slot", &slot)?), sealed)),
        _ => None,
    };
    Ok(StoredEntry {
        seq: unsigned(seq)?,
        leaf,
        sealed,
    })
}

pub(super) fn read_head(c: &mut SqliteConnection) -> Result<Head, StoreError> {
    let row: Option<(i64, Vec<u8>)> = head::table
        .find(1)
        .select((head::size, head::root))
        .get_result(c)
        .optional()
        .map_err(backend)?;
    match row {
        Some((size, root)) => Ok(Head {
            size: unsigned(size)?,
            root: hash("the root", &root)?,
        }),
        None => Ok(Head {
            size: 0,
            root: Hash::empty_root(),
        }),
    }
}

pub(super) fn find_identities(
    c: &mut SqliteConnection,
    eids: &[Hash],
) -> Result<Vec<Option<u64>>, StoreError> {
    let one = |eid: &Hash| {
        let seq: Option<i64> = identity::table
            .find(identity_key(eid))
            .select(identity::seq)
            .get_result(c)
            .optional()
            .map_err(backend)?;
        seq.map(unsigned).transpose()
    };
    eids.iter().map(one).collect()
}

pub(super) fn case_tail(
    c: &mut SqliteConnection,
    pseudonym: &Id16,
) -> Result<Option<(u64, u64)>, StoreError> {
    let row: Option<(i64, i64)> = case_entry::table
        .filter(case_entry::pseudonym.eq(&pseudonym.0[..]))
        .order(case_entry::case_seq.desc())
        .select((case_entry::case_seq, case_entry::seq))
        .get_result(c)
        .optional()
        .map_err(backend)?;
    row.map(|(case_seq, seq)| Ok((unsigned(case_seq)?, unsigned(seq)?)))
        .transpose()
}

pub(super) fn slot(bytes_of: &[u8]) -> Result<Slot, StoreError> {
    bytes("a slot", bytes_of).map(Slot)
}

pub(super) fn case_row(
    (blind, pseudonym, slot): (Vec<u8>, Vec<u8>, Vec<u8>),
) -> Result<CaseFile, StoreError> {
    Ok(CaseFile {
        blind: id16("a blind image", &blind)?,
        pseudonym: id16("a pseudonym", &pseudonym)?,
        slot: Slot(bytes("a slot", &slot)?),
    })
}

pub(super) fn case_by_blind(
    c: &mut SqliteConnection,
    blind: &Id16,
) -> Result<Option<CaseFile>, StoreError> {
    let row = case_file::table
        .find(&blind.0[..])
        .select((case_file::blind, case_file::pseudonym, case_file::slot))
        .get_result(c);
    row.optional().map_err(backend)?.map(case_row).transpose()
}

pub(super) fn read_trace_slot(
    c: &mut SqliteConnection,
    trace: &Id16,
) -> Result<Option<Slot>, StoreError> {
    let row: Option<Vec<u8>> = trace_slot::table
        .find(&trace.0[..])
        .select(trace_slot::slot)
        .get_result(c)
        .optional()
        .map_err(backend)?;
    row.map(|slot| bytes("a slot", &slot).map(Slot)).transpose()
}

pub(super) type CommitmentTuple = (i64, Vec<u8>, Vec<u8>, Option<String>);

pub(super) fn commitment_row(
    (size, root, key_id, note): CommitmentTuple,
) -> Result<Commitment, StoreError> {
    Ok(Commitment {
        size: unsigned(size)?,
        root: hash("a root", &root)?,
        key_id: bytes("a key id", &key_id)?,
        note,
    })
}

impl LedgerReader for SqliteStore {
    fn head(&self) -> Result<Head, StoreError> {
        self.with(read_head)
    }

    fn find_identities(&self, eids: &[Hash]) -> Result<Vec<Option<u64>>, StoreError> {
        self.snapshot(eids.len(), |c| find_identities(c, eids))
    }

    fn entry(&self, seq: u64) -> Result<Option<StoredEntry>, StoreError> {
        let row: Option<EntryTuple> = self.with(|c| {
            entry::table
                .find(signed(seq))
                .get_result(c)
                .optional()
                .map_err(backend)
        })?;
        row.map(stored).transpose()
    }

    fn entries(&self, query: &EntryQuery) -> Result<Vec<StoredEntry>, StoreError> {
        let (from, below) = (signed(query.from), signed(query.below));
        let mut select = entry::table
            .filter(entry::seq.ge(from).and(entry::seq.lt(below)))
            .order(entry::seq)
            .limit(signed(query.limit as u64))
            .into_boxed::<Sqlite>();
        if let Some(case) = &query.case {
            let of_case = case_entry::table
                .filter(case_entry::pseudonym.eq(case.0.to_vec()))
                .select(case_entry::seq);
            select = select.filter(entry::seq.eq_any(of_case));
        }
        if let Some(trace) = &query.trace {
            let of_trace = trace_entry::table
                .filter(trace_entry::trace.eq(trace.0.to_vec()))
                .select(trace_entry::seq);
            select = select.filter(entry::seq.eq_any(of_trace));
        }
        if let Some(blind) = &query.lookup {
            let found = lookup::table
                .filter(lookup::blind.eq(blind.0.to_vec()))
                .select(lookup::seq);
            select = select.filter(entry::seq.eq_any(found));
        }
        if let Some(kind) = &query.kind {
            // A type has many entries: read no more of them than this page can need.
            let id = type_name::table
                .filter(type_name::name.eq(kind.clone()))
                .select(type_name::id);
            let of_type = type_entry::table
                .filter(
                    type_entry::type_id
                        .eq_any(id)
                        .and(type_entry::seq.ge(from))
                        .and(type_entry::seq.lt(below)),
                )
                .select(type_entry::seq);
            select = select.filter(entry::seq.eq_any(of_type));
        }
        let rows: Vec<EntryTuple> = self.with(|c| select.load(c).map_err(backend))?;
        rows.into_iter().map(stored).collect()
    }

    fn nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, StoreError> {
        if ids.len() >= MANY {
            return self.with(|c| many_nodes(c, ids));
        }
        self.snapshot(ids.len(), |c| {
            let one = |id: &NodeId| {
                let row: Option<Vec<u8>> = node::table
                    .find(signed(stored_index(*id)))
                    .select(node::hash)
                    .get_result(&mut *c)
                    .optional()
                    .map_err(backend)?;
                hash("a node", &row.ok_or_else(|| absent_node(id))?)
            };
            ids.iter().map(one).collect()
        })
    }

    fn commitment_at_least(&self, size: u64) -> Result<Option<Commitment>, StoreError> {
        let row: Option<CommitmentTuple> = self.with(|c| {
            commitment::table
                .filter(commitment::size.ge(signed(size)))
                .order(commitment::size)
                .get_result(c)
                .optional()
                .map_err(backend)
        })?;
        row.map(commitment_row).transpose()
    }

    fn commitment_at_most(&self, size: u64) -> Result<Option<Commitment>, StoreError> {
        let row: Option<CommitmentTuple> = self.with(|c| {
            commitment::table
                .filter(commitment::size.le(signed(size)))
                .order(commitment::size.desc())
                .get_result(c)
                .optional()
                .map_err(backend)
        })?;
        row.map(commitment_row).transpose()
    }

    fn unsigned_commitments(&self, limit: usize) -> Result<Vec<Commitment>, StoreError> {
        // Checkpoints are stored in order, so the unsigned ones are the newest.
        let signed_up_to: Option<i64> = self.with(|c| {
            commitment::table
                .filter(commitment::note.is_not_null())
                .order(commitment::size.desc())
                .select(commitment::size)
                .get_result(c)
                .optional()
                .map_err(backend)
        })?;
        let rows: Vec<CommitmentTuple> = self.with(|c| {
            commitment::table
                .filter(commitment::size.gt(signed_up_to.unwrap_or(-1)))
                .order(commitment::size)
                .limit(signed(limit as u64))
                .load(c)
                .map_err(backend)
        })?;
        rows.into_iter().map(commitment_row).collect()
    }

    fn case_by_blind(&self, blind: &Id16) -> Result<Option<CaseFile>, StoreError> {
        self.with(|c| case_by_blind(c, blind))
    }

    fn case_by_pseudonym(&self, pseudonym: &Id16) -> Result<Option<CaseFile>, StoreError> {
        self.with(|c| {
            let row = case_file::table
                .filter(case_file::pseudonym.eq(&pseudonym.0[..]))
                .select((case_file::blind, case_file::pseudonym, case_file::slot))
                .get_result(c);
            row.optional().map_err(backend)?.map(case_row).transpose()
        })
    }

    fn case_tail(&self, pseudonym: &Id16) -> Result<Option<(u64, u64)>, StoreError> {
        self.with(|c| case_tail(c, pseudonym))
    }

    fn trace_slot(&self, trace: &Id16) -> Result<Option<Slot>, StoreError> {
        self.with(|c| read_trace_slot(c, trace))
    }

    fn slots(&self, after: Option<Slot>, limit: usize) -> Result<Vec<Slot>, StoreError> {
        let after = after.map_or_else(Vec::new, |s| s.0.to_vec());
        let limit = signed(limit as u64);
        let mut all: Vec<Vec<u8>> = self.with(|c| {
            let mut all: Vec<Vec<u8>> = case_file::table
                .filter(case_file::slot.gt(&after))
                .select(case_file::slot)
                .order(case_file::slot)
                .limit(limit)
                .load(c)
                .map_err(backend)?;
            all.extend(
                trace_slot::table
                    .filter(trace_slot::slot.gt(&after))
                    .select(trace_slot::slot)
                    .order(trace_slot::slot)
                    .limit(limit)
                    .load::<Vec<u8>>(c)
                    .map_err(backend)?,
            );
            let of_entries: Vec<Option<Vec<u8>>> = entry::table
                .filter(entry::slot.is_not_null().and(entry::slot.gt(&after)))
                .select(entry::slot)
                .distinct()
                .order(entry::slot)
                .limit(limit)
                .load(c)
                .map_err(backend)?;
            all.extend(of_entries.into_iter().flatten());
            Ok(all)
        })?;
        all.sort_unstable();
        all.dedup();
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        all.iter().map(|s| bytes("a slot", s).map(Slot)).collect()
    }

    fn catalogue(&self, digest: &Hash) -> Result<Option<String>, StoreError> {
        self.with(|c| {
            catalogue::table
                .find(&digest.0[..])
                .select(catalogue::text)
                .first(c)
                .optional()
                .map_err(backend)
        })
    }

    fn report(&self, id: &Id16) -> Result<Option<ReportRow>, StoreError> {
        let row: Option<ReportTuple> = self.with(|c| {
            report::table
                .find(&id.0[..])
                .get_result(c)
                .optional()
                .map_err(backend)
        })?;
        row.map(report_row).transpose()
    }

    fn cosignatures(&self, size: u64) -> Result<Vec<Cosignature>, StoreError> {
        let rows: Vec<CosignatureTuple> = self.with(|c| {
            cosignature::table
                .filter(cosignature::size.eq(signed(size)))
                .order((cosignature::name, cosignature::key_id))
                .load(c)
                .map_err(backend)
        })?;
        rows.into_iter().map(cosigned).collect()
    }

    fn cosigned_sizes(&self, above: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sizes: Vec<i64> = self.with(|c| {
            cosignature::table
                .filter(cosignature::size.gt(signed(above)))
                .select(cosignature::size)
                .distinct()
                .order(cosignature::size.desc())
                .limit(limit)
                .load(c)
                .map_err(backend)
        })?;
        sizes.into_iter().map(unsigned).collect()
    }

    fn newest_cosigned(
        &self,
        name: &str,
        key_id: [u8; 4],
    ) -> Result<Option<Cosignature>, StoreError> {
        let row: Option<CosignatureTuple> = self.with(|c| {
            cosignature::table
                .filter(
                    cosignature::name
                        .eq(name)
                        .and(cosignature::key_id.eq(&key_id[..])),
                )
                .order(cosignature::size.desc())
                .limit(1)
                .get_result(c)
                .optional()
                .map_err(backend)
        })?;
        row.map(cosigned).transpose()
    }

    fn newest_anchors(&self) -> Result<Vec<Anchored>, StoreError> {
        let rows: Vec<(String, i64, Vec<u8>, i64)> = self.with(|c| {
            // A handful of places, and the table's key leads to the largest size of each.
            let places: Vec<String> = anchor::table
                .select(anchor::place)
                .distinct()
                .order(anchor::place)
                .load(c)
                .map_err(backend)?;
            places
                .iter()
                .map(|place| {
                    anchor::table
                        .filter(anchor::place.eq(place))
                        .order(anchor::size.desc())
                        .limit(1)
                        .get_result(c)
                        .map_err(backend)
                })
                .collect()
        })?;
        rows.into_iter()
            .map(|(place, size, root, time)| {
                Ok(Anchored {
                    place,
                    size: unsigned(size)?,
                    root: hash("an anchored root", &root)?,
                    time: Timestamp::from_micros(time).ok_or_else(|| {
                        StoreError::Damaged("the time of an anchor is impossible".into())
                    })?,
                })
            })
            .collect()
    }
}

type CosignatureTuple = (i64, String, Vec<u8>, String, i64);

fn cosigned((size, name, key_id, line, time): CosignatureTuple) -> Result<Cosignature, StoreError> {
    Ok(Cosignature {
        size: unsigned(size)?,
        name,
        key_id: bytes("a key id", &key_id)?,
        line,
        time: unsigned(time)?,
    })
}

pub(super) type ReportTuple = (Vec<u8>, i64, Option<Vec<u8>>, Vec<u8>, String);

pub(super) fn report_row(
    (id, seq, pseudonym, requester, envelope): ReportTuple,
) -> Result<ReportRow, StoreError> {
    Ok(ReportRow {
        id: id16("a report id", &id)?,
        seq: unsigned(seq)?,
        pseudonym: pseudonym.map(|p| id16("a pseudonym", &p)).transpose()?,
        requester: id16("a principal", &requester)?,
        envelope,
    })
}

/// All type names with their ids.
pub(super) fn type_names(c: &mut SqliteConnection) -> Result<Vec<(i64, String)>, StoreError> {
    type_name::table.load(c).map_err(backend)
}
