//! Writing.

use std::collections::HashMap;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::backend;
use super::read::{self, identity_key, signed};
use super::schema::{
    anchor, case_entry, case_file, commitment, cosignature, entry, head, identity, lookup, node,
    report, trace_entry, trace_slot, type_entry, type_name,
};
use crate::ledger::tree::{NodeId, stored_index};
use crate::ledger::{Hash, Id16};
use crate::store::archive::ArchiveTransaction;
use crate::store::{
    Anchored, CaseFile, Commitment, Cosignature, EntryRow, Head, LedgerWriter, NewReport, Slot,
    StoreError, Transaction,
};

/// The one writer of a ledger's file.
pub struct SqliteWriter {
    connection: SqliteConnection,
    /// Type names that are known to be stored. Filled again after a rollback.
    types: HashMap<String, i64>,
}

impl std::fmt::Debug for SqliteWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteWriter")
    }
}

impl SqliteWriter {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self {
            connection,
            types: HashMap::new(),
        }
    }
}

impl SqliteWriter {
    /// Starts a transaction that restores a copy.
    ///
    /// # Errors
    /// When storage fails or is locked.
    pub fn begin_archive(
        &mut self,
    ) -> Result<Box<dyn crate::store::archive::ArchiveTransaction + '_>, StoreError> {
        Ok(Box::new(self.start()?))
    }

    fn start(&mut self) -> Result<SqliteTransaction<'_>, StoreError> {
        self.connection
            .batch_execute("BEGIN IMMEDIATE")
            .map_err(backend)?;
        let mut transaction = SqliteTransaction {
            writer: self,
            head: Head {
                size: 0,
                root: Hash::empty_root(),
            },
            open: true,
        };
        transaction.head = read::read_head(transaction.connection())?;
        Ok(transaction)
    }
}

impl LedgerWriter for SqliteWriter {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, StoreError> {
        Ok(Box::new(self.start()?))
    }
}

pub(super) struct SqliteTransaction<'a> {
    writer: &'a mut SqliteWriter,
    head: Head,
    open: bool,
}

impl Drop for SqliteTransaction<'_> {
    fn drop(&mut self) {
        if self.open {
            // The names that this transaction added are gone with it.
            self.writer.types.clear();
            if let Err(e) = self.writer.connection.batch_execute("ROLLBACK") {
                tracing::error!(error = %e, component = "store", "rolling back failed");
            }
        }
    }
}

impl SqliteTransaction<'_> {
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.writer.connection
    }

    fn type_id(&mut self, name: &str) -> Result<i64, StoreError> {
        if let Some(id) = self.writer.types.get(name) {
            return Ok(*id);
        }
        // Nobody else writes names: once they are known they are all known, and reading them for each new one would
        // let a poster of many types slow the writer down with every one of them.
        if self.writer.types.is_empty() {
            let all = read::type_names(self.connection())?;
            self.writer
                .types
                .extend(all.into_iter().map(|(id, name)| (name, id)));
            if let Some(id) = self.writer.types.get(name) {
                return Ok(*id);
            }
        }
        let id = self.writer.types.values().max().copied().unwrap_or(0) + 1;
        diesel::insert_into(type_name::table)
            .values((type_name::id.eq(id), type_name::name.eq(name)))
            .execute(self.connection())
            .map_err(backend)?;
        self.writer.types.insert(name.to_owned(), id);
        Ok(id)
    }
}

impl Transaction for SqliteTransaction<'_> {
    fn head(&self) -> Head {
        self.head
    }

    fn find_identities(&mut self, eids: &[Hash]) -> Result<Vec<Option<u64>>, StoreError> {
        read::find_identities(self.connection(), eids)
    }

    fn case_tail(&mut self, pseudonym: &Id16) -> Result<Option<(u64, u64)>, StoreError> {
        read::case_tail(self.connection(), pseudonym)
    }

    // One row a statement: the statement is then prepared once for all time, and SQLite needs no statement journal (a
    // copy of every page that it touches, for the case that a later row of the same statement fails). Table by table,
    // so that each tree's pages are in reach of one another.
    fn put_entries(&mut self, entries: &[EntryRow]) -> Result<(), StoreError> {
        for e in entries {
            let (slot, sealed) = e.sealed.as_ref().map_or((None, None), |(slot, blob)| {
                (Some(&slot.0[..]), Some(&blob[..]))
            });
            diesel::insert_into(entry::table)
                .values((
                    entry::seq.eq(signed(e.seq)),
                    entry::leaf.eq(&e.leaf[..]),
                    entry::slot.eq(slot),
                    entry::sealed.eq(sealed),
                ))
                .execute(self.connection())
                .map_err(backend)?;
        }
        for e in entries {
            diesel::insert_into(identity::table)
                .values((
                    identity::eid.eq(identity_key(&e.eid)),
                    identity::seq.eq(signed(e.seq)),
                ))
                .execute(self.connection())
                .map_err(backend)?;
        }
        for e in entries {
            let id = self.type_id(&e.kind)?;
            diesel::insert_into(type_entry::table)
                .values((
                    type_entry::type_id.eq(id),
                    type_entry::seq.eq(signed(e.seq)),
                ))
                .execute(self.connection())
                .map_err(backend)?;
        }
        for e in entries {
            let Some((pseudonym, case_seq)) = &e.case else {
                continue;
            };
            diesel::insert_into(case_entry::table)
                .values((
                    case_entry::pseudonym.eq(&pseudonym.0[..]),
                    case_entry::case_seq.eq(signed(*case_seq)),
                    case_entry::seq.eq(signed(e.seq)),
                ))
                .execute(self.connection())
                .map_err(backend)?;
        }
        for e in entries {
            let Some(trace) = &e.trace else { continue };
            diesel::insert_into(trace_entry::table)
                .values((
                    trace_entry::trace.eq(&trace.0[..]),
                    trace_entry::seq.eq(signed(e.seq)),
                ))
                .execute(self.connection())
                .map_err(backend)?;
        }
        for e in entries {
            for blind in &e.lookups {
                diesel::insert_into(lookup::table)
                    .values((
                        lookup::blind.eq(&blind.0[..]),
                        lookup::seq.eq(signed(e.seq)),
                    ))
                    .execute(self.connection())
                    .map_err(backend)?;
            }
        }
        Ok(())
    }

    fn put_nodes(&mut self, nodes: &[(NodeId, Hash)]) -> Result<(), StoreError> {
        for (id, hash) in nodes {
            diesel::insert_into(node::table)
                .values((
                    node::position.eq(signed(stored_index(*id))),
                    node::hash.eq(&hash.0[..]),
                ))
                .execute(self.connection())
                .map_err(backend)?;
        }
        Ok(())
    }

    fn put_case(&mut self, case: &CaseFile) -> Result<CaseFile, StoreError> {
        let row = (
            case_file::blind.eq(&case.blind.0[..]),
            case_file::pseudonym.eq(&case.pseudonym.0[..]),
            case_file::slot.eq(&case.slot.0[..]),
        );
        diesel::insert_into(case_file::table)
            .values(row)
            .on_conflict(case_file::blind)
            .do_nothing()
            .execute(self.connection())
            .map_err(backend)?;
        read::case_by_blind(self.connection(), &case.blind)?
            .ok_or_else(|| StoreError::Damaged("a case that was just written is absent".into()))
    }

    fn put_trace_slot(&mut self, trace: &Id16, slot: Slot) -> Result<Slot, StoreError> {
        let row = (
            trace_slot::trace.eq(&trace.0[..]),
            trace_slot::slot.eq(&slot.0[..]),
        );
        diesel::insert_into(trace_slot::table)
            .values(row)
            .on_conflict_do_nothing()
            .execute(self.connection())
            .map_err(backend)?;
        read::read_trace_slot(self.connection(), trace)?
            .ok_or_else(|| StoreError::Damaged("a trace that was just written is absent".into()))
    }

    fn put_report(
        &mut self,
        new: &NewReport,
        seq: u64,
        pseudonym: Option<Id16>,
    ) -> Result<(), StoreError> {
        let row = (
            report::id.eq(&new.id.0[..]),
            report::seq.eq(signed(seq)),
            report::pseudonym.eq(pseudonym.as_ref().map(|p| &p.0[..])),
            report::requester.eq(&new.requester.0[..]),
            report::envelope.eq(&new.envelope),
        );
        for text in &new.catalogues {
            self.put_catalogue(text)?;
        }
        diesel::insert_into(report::table)
            .values(row)
            .execute(self.connection())
            .map_err(backend)?;
        Ok(())
    }

    fn put_note(&mut self, size: u64, note: &str) -> Result<(), StoreError> {
        diesel::update(commitment::table.find(signed(size)))
            .set(commitment::note.eq(note))
            .execute(self.connection())
            .map_err(backend)?;
        Ok(())
    }

    fn put_cosignature(&mut self, new: &Cosignature) -> Result<(), StoreError> {
        let time = signed(new.time);
        diesel::insert_into(cosignature::table)
            .values((
                cosignature::size.eq(signed(new.size)),
                cosignature::name.eq(&new.name),
                cosignature::key_id.eq(&new.key_id[..]),
                cosignature::line.eq(&new.line),
                cosignature::time.eq(time),
            ))
            .on_conflict_do_nothing()
            .execute(self.connection())
            .map_err(backend)?;
        let same = cosignature::table.find((signed(new.size), &new.name, &new.key_id[..]));
        diesel::update(same.filter(cosignature::time.lt(time)))
            .set((cosignature::line.eq(&new.line), cosignature::time.eq(time)))
            .execute(self.connection())
            .map_err(backend)?;
        Ok(())
    }

    fn put_anchored(&mut self, new: &Anchored) -> Result<(), StoreError> {
        diesel::insert_into(anchor::table)
            .values((
                anchor::place.eq(&new.place),
                anchor::size.eq(signed(new.size)),
                anchor::root.eq(&new.root.0[..]),
                anchor::time.eq(new.time.micros()),
            ))
            .on_conflict_do_nothing()
            .execute(self.connection())
            .map_err(backend)?;
        Ok(())
    }

    fn commit(mut self: Box<Self>, next: Option<&Commitment>) -> Result<(), StoreError> {
        if let Some(next) = next {
            let held = self.head;
            self.put_commitments(std::slice::from_ref(next))?;
            let c = self.connection();
            let moved = if held.size == 0 {
                diesel::insert_into(head::table)
                    .values((
                        head::id.eq(1),
                        head::size.eq(signed(next.size)),
                        head::root.eq(&next.root.0[..]),
                    ))
                    .on_conflict_do_nothing()
                    .execute(c)
            } else {
                diesel::update(
                    head::table.filter(
                        head::id
                            .eq(1)
                            .and(head::size.eq(signed(held.size)))
                            .and(head::root.eq(&held.root.0[..])),
                    ),
                )
                .set((
                    head::size.eq(signed(next.size)),
                    head::root.eq(&next.root.0[..]),
                ))
                .execute(c)
            };
            if moved.map_err(backend)? != 1 {
                return Err(StoreError::HeadMoved);
            }
        }
        self.connection()
            .batch_execute("COMMIT")
            .map_err(|e| match backend(e) {
                // A commit that failed may have reached the disk all the same.
                StoreError::Unavailable(m) | StoreError::Backend(m) => StoreError::Backend(m),
                other => other,
            })?;
        self.open = false;
        Ok(())
    }
}
