//! Taking and restoring a copy.

use diesel::prelude::*;

use super::read::{ReportTuple, case_row, commitment_row, id16, report_row, signed, unsigned};
use super::schema::{case_file, catalogue, commitment, lookup, report, trace_slot};
use super::write::SqliteTransaction;
use super::{SqliteStore, backend};
use crate::ledger::{Hash, Id16, sha256};
use crate::store::archive::{ArchiveReader, ArchiveTransaction};
use crate::store::{CaseFile, Commitment, ReportRow, Slot, StoreError};

fn after_bytes(after: Option<&[u8]>) -> Vec<u8> {
    after.unwrap_or_default().to_vec()
}

impl ArchiveReader for SqliteStore {
    fn commitments(&self, from: u64, limit: usize) -> Result<Vec<Commitment>, StoreError> {
        let rows: Vec<_> = self.with(|c| {
            commitment::table
                .filter(commitment::size.ge(signed(from)))
                .order(commitment::size)
                .limit(signed(limit as u64))
                .load(c)
                .map_err(backend)
        })?;
        rows.into_iter().map(commitment_row).collect()
    }

    fn case_files(&self, after: Option<Id16>, limit: usize) -> Result<Vec<CaseFile>, StoreError> {
        let after = after_bytes(after.as_ref().map(|a| &a.0[..]));
        let rows: Vec<_> = self.with(|c| {
            case_file::table
                .filter(case_file::blind.gt(after))
                .order(case_file::blind)
                .limit(signed(limit as u64))
                .load(c)
                .map_err(backend)
        })?;
        rows.into_iter().map(case_row).collect()
    }

    fn trace_slots(
        &self,
        after: Option<Id16>,
        limit: usize,
    ) -> Result<Vec<(Id16, Slot)>, StoreError> {
        let after = after_bytes(after.as_ref().map(|a| &a.0[..]));
        let rows: Vec<(Vec<u8>, Vec<u8>)> = self.with(|c| {
            trace_slot::table
                .filter(trace_slot::trace.gt(after))
                .order(trace_slot::trace)
                .limit(signed(limit as u64))
                .load(c)
                .map_err(backend)
        })?;
        rows.iter()
            .map(|(trace, slot)| Ok((id16("a trace", trace)?, super::read::slot(slot)?)))
            .collect()
    }

    fn lookups(
        &self,
        after: Option<(Id16, u64)>,
        limit: usize,
    ) -> Result<Vec<(Id16, u64)>, StoreError> {
        let (blind, seq) = after.map_or((Vec::new(), -1), |(b, s)| (b.0.to_vec(), signed(s)));
        let rows: Vec<(Vec<u8>, i64)> = self.with(|c| {
            lookup::table
                .filter(
                    lookup::blind
                        .gt(blind.clone())
                        .or(lookup::blind.eq(blind).and(lookup::seq.gt(seq))),
                )
                .order((lookup::blind, lookup::seq))
                .limit(signed(limit as u64))
                .load(c)
                .map_err(backend)
        })?;
        rows.into_iter()
            .map(|(blind, seq)| Ok((id16("a blind image", &blind)?, unsigned(seq)?)))
            .collect()
    }

    fn reports(&self, after: Option<Id16>, limit: usize) -> Result<Vec<ReportRow>, StoreError> {
        let after = after_bytes(after.as_ref().map(|a| &a.0[..]));
        let rows: Vec<ReportTuple> = self.with(|c| {
            report::table
                .filter(report::id.gt(after))
                .order(report::id)
                .limit(signed(limit as u64))
                .load(c)
                .map_err(backend)
        })?;
        rows.into_iter().map(report_row).collect()
    }

    fn catalogues(
        &self,
        after: Option<Hash>,
        limit: usize,
    ) -> Result<Vec<(Hash, String)>, StoreError> {
        let after = after_bytes(after.as_ref().map(|a| &a.0[..]));
        let rows: Vec<(Vec<u8>, String)> = self.with(|c| {
            catalogue::table
                .filter(catalogue::digest.gt(after))
                .order(catalogue::digest)
                .limit(signed(limit as u64))
                .load(c)
                .map_err(backend)
        })?;
        rows.into_iter()
            .map(|(digest, text)| Ok((super::read::hash("a digest", &digest)?, text)))
            .collect()
    }
}

impl ArchiveTransaction for SqliteTransaction<'_> {
    fn put_commitments(&mut self, commitments: &[Commitment]) -> Result<(), StoreError> {
        for c in commitments {
            let row = (
                commitment::size.eq(signed(c.size)),
                commitment::root.eq(&c.root.0[..]),
                commitment::key_id.eq(&c.key_id[..]),
                commitment::note.eq(&c.note),
            );
            diesel::insert_into(commitment::table)
                .values(row)
                .execute(self.connection())
                .map_err(backend)?;
        }
        Ok(())
    }

    fn put_lookups(&mut self, lookups: &[(Id16, u64)]) -> Result<(), StoreError> {
        for (blind, seq) in lookups {
            diesel::insert_into(lookup::table)
                .values((lookup::blind.eq(&blind.0[..]), lookup::seq.eq(signed(*seq))))
                .execute(self.connection())
                .map_err(backend)?;
        }
        Ok(())
    }

    fn put_catalogue(&mut self, text: &str) -> Result<(), StoreError> {
        let digest = sha256(&[text.as_bytes()]);
        diesel::insert_into(catalogue::table)
            .values((
                catalogue::digest.eq(&digest.0[..]),
                catalogue::text.eq(text),
            ))
            .on_conflict_do_nothing()
            .execute(self.connection())
            .map_err(backend)?;
        Ok(())
    }
}
