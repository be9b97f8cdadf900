//! Writing an export: one pass over the ledger, a bundle in memory at a time.

use std::collections::BTreeSet;
use std::io::Write;

use serde::Serialize;

use super::{
    BRIDGES, Bridges, CHECKPOINT, CaseLine, CatalogueLine, CheckpointLine, Content, ContentLine,
    END, End, EntryLine, List, LookupLine, MANIFEST, Manifest, PIECE, ReportLine, Scope,
    SealedLine, TraceLine,
};
use crate::audit::bridges::bridges;
use crate::ledger::tile::{self, WIDTH};
use crate::ledger::tree::NodeId;
use crate::ledger::{Hash, Id16, Leaf, b64, disclosure};
use crate::sequencer::{AppendError, Ledger};
use crate::store::archive::ArchiveReader;
use crate::store::{EntryQuery, StoreError, StoredEntry};

/// Rows of a page.
const PAGE: usize = 1_000;

/// Why an export ended early. What was written is no export: its last member is absent.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] AppendError),
    /// The file could not be written.
    #[error("the export cannot be written: {0}")]
    Io(#[from] std::io::Error),
    /// What is stored is not what it should be.
    #[error("{0}")]
    Damaged(String),
}

impl From<StoreError> for ExportError {
    fn from(e: StoreError) -> Self {
        Self::Ledger(e.into())
    }
}

/// Whose content the export shows.
pub trait Filter {
    /// Whether the disclosures of entries of this case (or of none) may be shown.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn shows(&mut self, case: Option<&Id16>) -> Result<bool, StoreError>;
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Entries.
    pub entries: u64,
    /// Entries whose disclosures are shown.
    pub shown: u64,
}

/// Writes an export of the ledger at the size of the manifest, which must be that of `checkpoint`.
///
/// # Errors
/// See [`ExportError`].
pub fn write<W: Write>(
    ledger: &Ledger,
    manifest: &Manifest,
    checkpoint: &str,
    filter: &mut dyn Filter,
    out: W,
) -> Result<(Written, W), ExportError> {
    let mut tar = Tar::new(out);
    tar.member(MANIFEST, &line(manifest)?)?;
    tar.member(CHECKPOINT, checkpoint.as_bytes())?;
    if manifest.scope != Scope::Whole {
        let bridges = bridges(ledger, manifest.size)?;
        if !bridges.is_empty() {
            tar.member(BRIDGES, &line(&Bridges { bridges })?)?;
        }
    }
    let mut export = Export {
        ledger,
        manifest,
        filter,
        cosigned: ledger
            .reader()
            .cosigned_sizes(0, usize::MAX)?
            .into_iter()
            .collect(),
        tar,
        written: Written::default(),
    };
    match manifest.scope {
        Scope::Whole => export.whole()?,
        Scope::Range { first, last } => {
            let last = last.min(manifest.size.saturating_sub(1));
            export.part(&EntryQuery {
                from: first,
                below: last + 1,
                ..EntryQuery::default()
            })?;
        }
        Scope::Case { case } => export.part(&EntryQuery {
            case: Some(case),
            below: manifest.size,
            ..EntryQuery::default()
        })?,
    }
    let Export {
        mut tar, written, ..
    } = export;
    let end = End {
        entries: written.entries,
    };
    tar.member(END, &line(&end)?)?;
    Ok((written, tar.finish()?))
}

struct Export<'a, W: Write> {
    ledger: &'a Ledger,
    manifest: &'a Manifest,
    filter: &'a mut dyn Filter,
    /// Sizes whose checkpoint witnesses have cosigned.
    cosigned: BTreeSet<u64>,
    tar: Tar<W>,
    written: Written,
}

impl<W: Write> Export<'_, W> {
    fn whole(&mut self) -> Result<(), ExportError> {
        let size = self.manifest.size;
        for n in 0..size.div_ceil(WIDTH) {
            let (from, below) = (n * WIDTH, size.min((n + 1) * WIDTH));
            self.bundle(n, from, below)?;
            self.tiles(n, below)?;
            self.checkpoints(n, from, below)?;
        }
        self.edge_tiles()?;
        if self.manifest.content == Content::Sealed {
            self.rows()?;
        }
        Ok(())
    }

    /// A bundle, and what is stored of the content of its entries.
    fn bundle(&mut self, n: u64, from: u64, below: u64) -> Result<(), ExportError> {
        let entries = self.ledger.entries(&EntryQuery {
            from,
            below,
            limit: PAGE,
            ..EntryQuery::default()
        })?;
        if entries.len() as u64 != below - from {
            return Err(ExportError::Damaged(format!(
                "of the entries {from} to {} only {} are stored",
                below - 1,
                entries.len()
            )));
        }
        let bytes = tile::encode_bundle(entries.iter().map(|e| e.leaf.as_slice()))
            .ok_or_else(|| ExportError::Damaged("an entry is too long".into()))?;
        self.tar.member(&tile::bundle(n, below - from), &bytes)?;
        self.written.entries += below - from;
        match self.manifest.content {
            Content::None => Ok(()),
            Content::Digests | Content::Disclosed => {
                let mut lines = Lines::new(List::Content(n));
                for entry in &entries {
                    if let Some(line) = self.content(entry)? {
                        lines.put(&mut self.tar, &line)?;
                    }
                }
                lines.end(&mut self.tar)
            }
            Content::Sealed => {
                let mut lines = Lines::new(List::Sealed(n));
                for entry in &entries {
                    if let Some((slot, sealed)) = &entry.sealed {
                        let line = SealedLine {
                            seq: entry.seq,
                            slot: hex::encode(slot.0),
                            sealed: b64(sealed),
                        };
                        lines.put(&mut self.tar, &line)?;
                        self.written.shown += 1;
                    }
                }
                lines.end(&mut self.tar)
            }
        }
    }

    /// The content of an entry as far as this export shows it; `None` when there is none, or none any more.
    fn content(&mut self, entry: &StoredEntry) -> Result<Option<ContentLine>, ExportError> {
        let Some(disclosures) = self.ledger.disclosures(entry)? else {
            return Ok(None);
        };
        let damaged = |e: String| ExportError::Damaged(format!("entry {}: {e}", entry.seq));
        let leaf = Leaf::decode(&entry.leaf).map_err(|e| damaged(e.to_string()))?;
        let mut digests = Vec::new();
        for text in &disclosures {
            let read = disclosure::decode(text).map_err(|e| damaged(e.to_string()))?;
            if read.pointer.is_some() {
                digests.push(read.digest);
            }
        }
        if disclosure::commitment(&digests) != leaf.content {
            return Err(damaged(
                "its content is not what the leaf commits to".into(),
            ));
        }
        let shown = self.manifest.content == Content::Disclosed
            && self.filter.shows(leaf.case.as_ref().map(|c| &c.case))?;
        self.written.shown += u64::from(shown);
        Ok(Some(ContentLine {
            seq: entry.seq,
            digests: digests.iter().map(Hash::to_b64url).collect(),
            disclosures: shown.then_some(disclosures),
        }))
    }

    /// The tile of this bundle's leaf hashes, and the full tiles above that it completes.
    fn tiles(&mut self, n: u64, below: u64) -> Result<(), ExportError> {
        let width = below - n * WIDTH;
        self.tile(0, n, width)?;
        let (mut level, mut n) = (1, n);
        while width == WIDTH && (n + 1).is_multiple_of(WIDTH) {
            n /= WIDTH;
            self.tile(level, n, WIDTH)?;
            level += 1;
        }
        Ok(())
    }

    /// The tiles of levels above 0 that are not full at this size.
    fn edge_tiles(&mut self) -> Result<(), ExportError> {
        let mut width = self.manifest.size / WIDTH;
        let mut level = 1;
        while width > 0 {
            if !width.is_multiple_of(WIDTH) {
                self.tile(level, width / WIDTH, width % WIDTH)?;
            }
            width /= WIDTH;
            level += 1;
        }
        Ok(())
    }

    fn tile(&mut self, level: u8, n: u64, width: u64) -> Result<(), ExportError> {
        let ids: Vec<NodeId> = (n * WIDTH..n * WIDTH + width)
            .map(|index| NodeId {
                level: 8 * level,
                index,
            })
            .collect();
        let hashes = self.ledger.reader().nodes(&ids)?;
        let bytes: Vec<u8> = hashes.iter().flat_map(|h| h.0).collect();
        self.tar.member(&tile::tile(level, n, width), &bytes)
    }

    /// The signed checkpoints of the commits that ended among the entries of a bundle.
    fn checkpoints(&mut self, n: u64, from: u64, below: u64) -> Result<(), ExportError> {
        let mut lines = Lines::new(List::Checkpoints(n));
        for (size, note) in self.ledger.checkpoints(from + 1, below)? {
            let cosignatures = if self.cosigned.contains(&size) {
                let all = self.ledger.reader().cosignatures(size)?.into_iter();
                all.map(|c| c.line.trim_end_matches('\n').to_owned())
                    .collect()
            } else {
                Vec::new()
            };
            let line = CheckpointLine {
                size,
                note,
                cosignatures,
            };
            lines.put(&mut self.tar, &line)?;
        }
        lines.end(&mut self.tar)
    }

    fn part(&mut self, query: &EntryQuery) -> Result<(), ExportError> {
        let mut query = EntryQuery {
            limit: PAGE,
            ..query.clone()
        };
        let mut lines = Lines::new(List::Entries);
        loop {
            let entries = self.ledger.entries(&query)?;
            for entry in &entries {
                let content = match self.manifest.content {
                    Content::Digests | Content::Disclosed => self.content(entry)?,
                    Content::None | Content::Sealed => None,
                };
                let (digests, disclosures) =
                    content.map_or((None, None), |c| (Some(c.digests), c.disclosures));
                let path = self.ledger.inclusion(entry.seq, self.manifest.size)?;
                let line = EntryLine {
                    leaf: String::from_utf8(entry.leaf.clone())
                        .map_err(|e| ExportError::Damaged(e.to_string()))?,
                    path: path.iter().map(Hash::to_b64).collect(),
                    digests,
                    disclosures,
                };
                lines.put(&mut self.tar, &line)?;
                self.written.entries += 1;
                query.from = entry.seq + 1;
            }
            if entries.len() < query.limit {
                return lines.end(&mut self.tar);
            }
        }
    }

    /// What restoring needs and leaves do not tell.
    fn rows(&mut self) -> Result<(), ExportError> {
        let size = self.manifest.size;
        let store: &dyn ArchiveReader = self.ledger.archive();
        let below = |seq: u64| seq < size;
        pages(&mut self.tar, List::Catalogues, |after| {
            Ok(store
                .catalogues(after, PAGE)?
                .into_iter()
                .map(|(digest, text)| (digest, Some(CatalogueLine { text })))
                .collect())
        })?;
        pages(&mut self.tar, List::Reports, |after| {
            let rows = store.reports(after, PAGE)?.into_iter();
            Ok(rows
                .map(|r| {
                    let line = ReportLine {
                        id: r.id.to_hex(),
                        seq: r.seq,
                        case: r.pseudonym.map(|p| p.to_hex()),
                        requester: r.requester.to_hex(),
                        envelope: r.envelope,
                    };
                    (r.id, below(r.seq).then_some(line))
                })
                .collect())
        })?;
        // A case or trace whose first entry came after the checkpoint: restored without it, its secret would be held
        // for nothing.
        pages(&mut self.tar, List::Cases, |after| {
            let mut rows = Vec::new();
            for file in store.case_files(after, PAGE)? {
                let line = CaseLine {
                    blind: file.blind.to_hex(),
                    pseudonym: file.pseudonym.to_hex(),
                    slot: hex::encode(file.slot.0),
                };
                let of = EntryQuery {
                    case: Some(file.pseudonym),
                    ..EntryQuery::default()
                };
                rows.push((
                    file.blind,
                    self.ledger.has_entry(&of, size)?.then_some(line),
                ));
            }
            Ok(rows)
        })?;
        pages(&mut self.tar, List::Traces, |after| {
            let mut rows = Vec::new();
            for (trace, slot) in store.trace_slots(after, PAGE)? {
                let line = TraceLine {
                    trace: trace.to_hex(),
                    slot: hex::encode(slot.0),
                };
                let of = EntryQuery {
                    trace: Some(trace),
                    ..EntryQuery::default()
                };
                rows.push((trace, self.ledger.has_entry(&of, size)?.then_some(line)));
            }
            Ok(rows)
        })?;
        pages(&mut self.tar, List::Lookups, |after| {
            let rows = store.lookups(after, PAGE)?.into_iter();
            Ok(rows
                .map(|(blind, seq)| {
                    let line = LookupLine {
                        blind: blind.to_hex(),
                        seq,
                    };
                    ((blind, seq), below(seq).then_some(line))
                })
                .collect())
        })
    }
}

/// Writes a table page by page; a row without a line is left out.
fn pages<W: Write, K: Copy, L: Serialize>(
    tar: &mut Tar<W>,
    list: List,
    mut page: impl FnMut(Option<K>) -> Result<Vec<(K, Option<L>)>, ExportError>,
) -> Result<(), ExportError> {
    let mut lines = Lines::new(list);
    let mut after = None;
    loop {
        let rows = page(after)?;
        for (key, line) in &rows {
            after = Some(*key);
            if let Some(line) = line {
                lines.put(tar, line)?;
            }
        }
        if rows.len() < PAGE {
            return lines.end(tar);
        }
    }
}

/// A JSON object on a line of its own.
fn line(value: &impl Serialize) -> Result<Vec<u8>, ExportError> {
    let mut bytes = serde_json::to_vec(value).map_err(|e| ExportError::Damaged(e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A list in pieces, one JSON object a line.
struct Lines {
    list: List,
    piece: u64,
    bytes: Vec<u8>,
}

impl Lines {
    fn new(list: List) -> Self {
        Self {
            list,
            piece: 0,
            bytes: Vec::new(),
        }
    }

    fn put<W: Write>(
        &mut self,
        tar: &mut Tar<W>,
        line: &impl Serialize,
    ) -> Result<(), ExportError> {
        self.bytes.extend(self::line(line)?);
        if self.bytes.len() >= PIECE {
            self.flush(tar)?;
        }
        Ok(())
    }

    fn flush<W: Write>(&mut self, tar: &mut Tar<W>) -> Result<(), ExportError> {
        tar.member(&self.list.path(self.piece), &self.bytes)?;
        self.piece += 1;
        self.bytes.clear();
        Ok(())
    }

    fn end<W: Write>(&mut self, tar: &mut Tar<W>) -> Result<(), ExportError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            self.flush(tar)
        }
    }
}

/// A tar file in which nothing depends on who wrote it, or when.
struct Tar<W: Write>(tar::Builder<W>);

impl<W: Write> Tar<W> {
    fn new(out: W) -> Self {
        let mut builder = tar::Builder::new(out);
        builder.mode(tar::HeaderMode::Deterministic);
        Self(builder)
    }

    fn member(&mut self, path: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        Ok(self.0.append_data(&mut header, path, bytes)?)
    }

    fn finish(self) -> Result<W, ExportError> {
        Ok(self.0.into_inner()?)
    }
}
