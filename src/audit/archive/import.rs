//! Restoring a ledger from its sealed export: byte for byte the same, or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{
    ArchiveError, CaseLine, CatalogueLine, CheckpointLine, Content, LookupLine, Manifest, Part,
    Reader, ReportLine, Scope, SealedLine, TraceLine,
};
use crate::keyring::{KeyringError, SLOT_LEN, sync_dir};
use crate::ledger::checkpoint::{Checkpoint, CheckpointError};
use crate::ledger::keys::{KEY_ROTATED, LEDGER_CREATED};
use crate::ledger::note::{Algorithm, Vkey};
use crate::ledger::tile::WIDTH;
use crate::ledger::tree::{Frontier, NodeId};
use crate::ledger::{Hash, Id16, Leaf, LeafError, decode_b64};
use crate::sequencer::{Guard, GuardError, Ledger, LedgerPaths, OpenError, is_ledger_name};
use crate::store::sqlite::{SqliteStore, SqliteWriter};
use crate::store::{CaseFile, Commitment, Cosignature, EntryRow, NewReport, Slot, StoreError};
use crate::verify::ledger::KeyHistory;

/// Most entries that one commit of a ledger can hold, with much to spare: nothing more is kept in memory.
const MOST_PENDING: usize = 100_000;
/// Entries after which a transaction is ended, at the next commit of the old ledger.
const ENOUGH: usize = 4_096;

/// Why a ledger was not restored. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is no export, or broke off.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It cannot be restored from.
    #[error("{0}")]
    Unsuitable(String),
    /// Its checkpoint is not one of a pinned key.
    #[error("the export's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// An entry is not one of this ledger.
    #[error("entry {seq}: {error}")]
    Leaf {
        /// Where.
        seq: u64,
        /// What is wrong.
        error: LeafError,
    },
    /// What the file holds does not belong together.
    #[error("{0}: the export was altered, and nothing was restored")]
    Altered(String),
    /// The folder could not be written.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`KeyringError`].
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The guard file could not be written.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// What was restored does not start: with this keyring, or beside this guard file.
    #[error("what was restored does not start, and was taken away again: {0}")]
    Start(#[from] OpenError),
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Origin.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// Checkpoints of commits.
    pub checkpoints: u64,
}

/// Restores a ledger where there is none. The keyring must be in its place already (it has a backup of its own); a
/// guard file that is there is compared and stays.
///
/// # Errors
/// See [`ImportError`].
pub fn import<R: Read>(
    input: R,
    paths: &LedgerPaths,
    name: &str,
    keys: &[Vkey],
) -> Result<Imported, ImportError> {
    if !is_ledger_name(name) {
        return Err(ImportError::Unsuitable(format!(
            "`{name}` cannot name a ledger"
        )));
    }
    if paths.ledger.exists() {
        return Err(ImportError::Unsuitable(format!(
            "there is something in {} already; a ledger is restored only where there is none",
            paths.ledger.display()
        )));
    }
    let mut reader = Reader::open(input)?;
    let manifest = reader.manifest().clone();
    if (manifest.scope, manifest.content) != (Scope::Whole, Content::Sealed) {
        return Err(ImportError::Unsuitable(
            "a ledger is restored from a whole, sealed export (`whereas export --content sealed`); this one holds less"
                .into(),
        ));
    }
    let own: Vec<Vkey> = keys
        .iter()
        .filter(|k| k.algorithm() == Algorithm::Ed25519 && k.name() == manifest.ledger)
        .cloned()
        .collect();
    if own.is_empty() {
        return Err(ImportError::Unsuitable(format!(
            "none of the keys given is one of the ledger {}",
            manifest.ledger
        )));
    }
    // Built beside its place and moved there when it is whole.
    let building = paths
        .ledger
        .with_file_name(format!(".{name}.being-restored"));
    if building.exists() {
        fs::remove_dir_all(&building).map_err(io(
            "cannot take away what an earlier attempt left in",
            &building,
        ))?;
    }
    fs::create_dir_all(&building).map_err(io("cannot make the folder", &building))?;
    let result = build(&mut reader, &manifest, own, &building, paths);
    match result {
        Ok(imported) => {
            fs::rename(&building, &paths.ledger)
                .map_err(io("cannot move the restored ledger to", &paths.ledger))?;
            if let Some(parent) = paths.ledger.parent() {
                sync_dir(parent)?;
            }
            Ok(imported)
        }
        Err(e) => {
            if let Err(left) = fs::remove_dir_all(&building) {
                tracing::warn!(component = "audit", error = %left, path = %building.display(), "what was restored in part could not be taken away");
            }
            Err(e)
        }
    }
}

fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> ImportError + 'a {
    move |source| ImportError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

fn build<R: Read>(
    reader: &mut Reader<R>,
    manifest: &Manifest,
    pinned: Vec<Vkey>,
    building: &Path,
    paths: &LedgerPaths,
) -> Result<Imported, ImportError> {
    let origin_file = building.join("origin");
    fs::write(&origin_file, format!("{}\n", manifest.ledger))
        .map_err(io("cannot write", &origin_file))?;
    let database = building.join("ledger.db");
    let store = SqliteStore::open(&database, true)?;
    let mut restore = Restore {
        origin: manifest.ledger.clone(),
        writer: store.writer()?,
        keys: KeyHistory::default(),
        frontier: Frontier::new(),
        prev: Hash::ZERO,
        rows: Vec::new(),
        nodes: Vec::new(),
        roots: BTreeMap::new(),
        commitments: Vec::new(),
        cosignatures: Vec::new(),
        stored: 0,
        checkpoints: 0,
        expected: 0,
    };
    let mut ended = None;
    while let Some(part) = reader.next_part()? {
        match part {
            Part::Bundle { n, leaves } => restore.bundle(n, leaves)?,
            Part::Sealed { lines, .. } => restore.sealed(lines)?,
            Part::Checkpoints { lines, .. } => restore.checkpoints(lines)?,
            // The tree is computed from the leaves; whether the tiles agree is `verify ledger`'s to say.
            Part::Tile { .. } => {}
            Part::Reports(lines) => restore.reports(lines)?,
            Part::Catalogues(lines) => restore.catalogues(lines)?,
            Part::Cases(lines) => restore.cases(lines)?,
            Part::Traces(lines) => restore.traces(lines)?,
            Part::Lookups(lines) => restore.lookups(lines)?,
            Part::Content { .. } | Part::Entries(_) => {
                return Err(ImportError::Altered(
                    "a sealed export holds neither opened content nor single entries".into(),
                ));
            }
            Part::End(end) => ended = Some(end.entries),
        }
    }
    let note = reader.checkpoint();
    let head = Checkpoint::open(note, &restore.origin, &restore.keys.for_size(manifest.size))?;
    if !restore.keys.reaches(&pinned) {
        return Err(ImportError::Unsuitable(
            "nothing joins the keys that the ledger names to the ones that you pinned".into(),
        ));
    }
    let found = (restore.frontier.size(), restore.frontier.root());
    if found != (head.size, head.root)
        || ended != Some(head.size)
        || manifest.size != head.size
        || restore.stored != head.size
    {
        return Err(ImportError::Altered(format!(
            "the file holds {} entries with the root {}, and its checkpoint says {} with the root {}",
            found.0, found.1, head.size, head.root
        )));
    }
    let imported = Imported {
        origin: restore.origin.clone(),
        size: head.size,
        checkpoints: restore.checkpoints,
    };
    drop(restore);
    drop(store);
    sync_dir(building)?;
    let guarded = paths.guard.exists();
    if !guarded {
        if let Some(dir) = paths.guard.parent() {
            fs::create_dir_all(dir).map_err(io("cannot make the folder", dir))?;
        }
        Guard::create(&paths.guard)?.write(note)?;
    }
    let there = LedgerPaths {
        ledger: building.to_owned(),
        ..paths.clone()
    };
    if let Err(e) = Ledger::inspect(&there, &imported.origin) {
        if !guarded {
            fs::remove_file(&paths.guard).map_err(io("cannot take away", &paths.guard))?;
        }
        return Err(e.into());
    }
    Ok(imported)
}

/// A ledger that is being put together again.
struct Restore {
    origin: String,
    writer: SqliteWriter,
    /// The ledger's keys, as its own entries name them.
    keys: KeyHistory,
    frontier: Frontier,
    prev: Hash,
    /// Entries, nodes, roots and commitments that no transaction has stored yet.
    rows: Vec<EntryRow>,
    nodes: Vec<(NodeId, Hash)>,
    roots: BTreeMap<u64, Hash>,
    commitments: Vec<Commitment>,
    cosignatures: Vec<Cosignature>,
    /// Entries that are stored.
    stored: u64,
    checkpoints: u64,
    /// Number of the bundle that must come next.
    expected: u64,
}

impl Restore {
    fn bundle(&mut self, n: u64, leaves: Vec<Vec<u8>>) -> Result<(), ImportError> {
        if n != self.expected || !self.frontier.size().is_multiple_of(WIDTH) {
            return Err(ImportError::Altered(format!(
                "the bundle {n} is out of order"
            )));
        }
        self.expected += 1;
        for bytes in leaves {
            let seq = self.frontier.size();
            let leaf = Leaf::decode(&bytes).map_err(|error| ImportError::Leaf { seq, error })?;
            if (leaf.seq, leaf.prev) != (seq, self.prev) || leaf.ledger != self.origin {
                return Err(ImportError::Altered(format!(
                    "entry {seq} does not follow from the one before it"
                )));
            }
            let known = match leaf.kind.as_str() {
                LEDGER_CREATED if seq == 0 => self.keys.begin(&leaf),
                KEY_ROTATED => self.keys.rotate(&leaf).is_ok(),
                _ => true,
            };
            if !known {
                return Err(ImportError::Altered(format!(
                    "entry {seq} does not say which keys the ledger has"
                )));
            }
            let hash = Hash::leaf(&bytes);
            let nodes = &mut self.nodes;
            self.frontier
                .append(hash, |id, hash| nodes.push((id, hash)));
            self.roots
                .insert(self.frontier.size(), self.frontier.root());
            self.prev = hash;
            self.rows.push(EntryRow {
                seq,
                leaf: bytes,
                kind: leaf.kind,
                eid: leaf.eid,
                case: leaf.case.map(|c| (c.case, c.seq)),
                trace: leaf.trace,
                sealed: None,
                lookups: Vec::new(),
            });
        }
        if self.rows.len() > MOST_PENDING {
            return Err(ImportError::Altered(format!(
                "there is no checkpoint for more than {MOST_PENDING} entries in a row"
            )));
        }
        Ok(())
    }

    fn sealed(&mut self, lines: Vec<SealedLine>) -> Result<(), ImportError> {
        for line in lines {
            let altered = || ImportError::Altered(format!("the content of entry {}", line.seq));
            let first = self.rows.first().map_or(0, |r| r.seq);
            let at = line
                .seq
                .checked_sub(first)
                .and_then(|i| usize::try_from(i).ok());
            let row = at.and_then(|i| self.rows.get_mut(i)).ok_or_else(altered)?;
            let sealed = decode_b64(&line.sealed).ok_or_else(altered)?;
            if row.sealed.is_some() {
                return Err(altered());
            }
            row.sealed = Some((slot(&line.slot).ok_or_else(altered)?, sealed));
        }
        Ok(())
    }

    fn checkpoints(&mut self, lines: Vec<CheckpointLine>) -> Result<(), ImportError> {
        for line in lines {
            let (checkpoint, note) = Checkpoint::parse_unverified(&line.note)?;
            let altered = |why: &str| {
                ImportError::Altered(format!("the checkpoint of size {}: {why}", line.size))
            };
            if checkpoint.origin != self.origin
                || checkpoint.size != line.size
                || self.roots.get(&line.size) != Some(&checkpoint.root)
            {
                return Err(altered("it is not one of these entries"));
            }
            // One key, or at a bridge two: the old one first, whose id the row bears.
            let needed = self.keys.for_size(line.size);
            let good = note.verify(&needed).map_err(|e| altered(&e.to_string()))?;
            let signer = needed
                .first()
                .filter(|_| good.len() == needed.len())
                .ok_or_else(|| altered("not every key that must have signed it did"))?;
            if needed.len() > 1 {
                self.keys.bridged(line.size);
            }
            if self
                .commitments
                .last()
                .is_some_and(|last| last.size >= line.size)
            {
                return Err(altered("it is out of order"));
            }
            self.commitments.push(Commitment {
                size: line.size,
                root: checkpoint.root,
                key_id: signer.id(),
                note: Some(line.note.clone()),
            });
            self.checkpoints += 1;
            for text in &line.cosignatures {
                let cosignature = read_cosignature(line.size, text)
                    .ok_or_else(|| altered("what stands beside it is no cosignature"))?;
                self.cosignatures.push(cosignature);
            }
        }
        let full = self.rows.len() >= ENOUGH;
        if full || self.commitments.last().map(|c| c.size) == Some(self.frontier.size()) {
            self.store()?;
        }
        Ok(())
    }

    /// Stores entries up to the newest commit.
    fn store(&mut self) -> Result<(), ImportError> {
        let Some(last) = self.commitments.pop() else {
            return Ok(());
        };
        let count = usize::try_from(last.size - self.stored).unwrap_or(usize::MAX);
        let rest = self.rows.split_off(count.min(self.rows.len()));
        let stored_nodes = crate::ledger::tree::stored_count(last.size);
        let mut later = Vec::new();
        let mut nodes = Vec::new();
        for (id, hash) in self.nodes.drain(..) {
            if crate::ledger::tree::stored_index(id) < stored_nodes {
                nodes.push((id, hash));
            } else {
                later.push((id, hash));
            }
        }
        let mut t = self.writer.begin_archive()?;
        t.put_entries(&self.rows)?;
        t.put_nodes(&nodes)?;
        t.put_commitments(&self.commitments)?;
        for cosignature in self.cosignatures.drain(..) {
            t.put_cosignature(&cosignature)?;
        }
        t.commit(Some(&last))?;
        self.rows = rest;
        self.nodes = later;
        self.commitments.clear();
        self.roots = self.roots.split_off(&(last.size + 1));
        self.stored = last.size;
        Ok(())
    }

    fn reports(&mut self, lines: Vec<ReportLine>) -> Result<(), ImportError> {
        let mut t = self.writer.begin_archive()?;
        for line in lines {
            let altered = || ImportError::Altered(format!("the report {}", line.id));
            let case = match &line.case {
                Some(case) => Some(Id16::from_hex(case).ok_or_else(altered)?),
                None => None,
            };
            let report = NewReport {
                id: Id16::from_hex(&line.id).ok_or_else(altered)?,
                requester: Id16::from_hex(&line.requester).ok_or_else(altered)?,
                envelope: line.envelope.clone(),
                catalogues: Vec::new(),
            };
            t.put_report(&report, line.seq, case)?;
        }
        Ok(t.commit(None)?)
    }

    fn catalogues(&mut self, lines: Vec<CatalogueLine>) -> Result<(), ImportError> {
        let mut t = self.writer.begin_archive()?;
        for line in lines {
            t.put_catalogue(&line.text)?;
        }
        Ok(t.commit(None)?)
    }

    fn cases(&mut self, lines: Vec<CaseLine>) -> Result<(), ImportError> {
        let mut t = self.writer.begin_archive()?;
        for line in lines {
            let altered = || ImportError::Altered(format!("the case ~{}", line.pseudonym));
            let file = CaseFile {
                blind: Id16::from_hex(&line.blind).ok_or_else(altered)?,
                pseudonym: Id16::from_hex(&line.pseudonym).ok_or_else(altered)?,
                slot: slot(&line.slot).ok_or_else(altered)?,
            };
            if t.put_case(&file)? != file {
                return Err(altered());
            }
        }
        Ok(t.commit(None)?)
    }

    fn traces(&mut self, lines: Vec<TraceLine>) -> Result<(), ImportError> {
        let mut t = self.writer.begin_archive()?;
        for line in lines {
            let altered = || ImportError::Altered(format!("the trace {}", line.trace));
            let trace = Id16::from_hex(&line.trace).ok_or_else(altered)?;
            let slot = slot(&line.slot).ok_or_else(altered)?;
            if t.put_trace_slot(&trace, slot)? != slot {
                return Err(altered());
            }
        }
        Ok(t.commit(None)?)
    }

    fn lookups(&mut self, lines: Vec<LookupLine>) -> Result<(), ImportError> {
        let mut rows = Vec::with_capacity(lines.len());
        for line in &lines {
            let blind = Id16::from_hex(&line.blind)
                .ok_or_else(|| ImportError::Altered(format!("the lookup {}", line.blind)))?;
            rows.push((blind, line.seq));
        }
        let mut t = self.writer.begin_archive()?;
        t.put_lookups(&rows)?;
        Ok(t.commit(None)?)
    }
}

/// Reads a signature line of a cosignature/v1, without its line feed: `— <name> <base64(key id ‖ time ‖ signature)>`.
/// Whether it verifies is for whoever pins the witness.
#[must_use]
pub fn read_cosignature(size: u64, text: &str) -> Option<Cosignature> {
    let (name, blob) = text.strip_prefix("— ")?.split_once(' ')?;
    let blob = decode_b64(blob)?;
    let (key_id, rest) = blob.split_first_chunk::<4>()?;
    let (time, _) = rest.split_first_chunk::<8>()?;
    Some(Cosignature {
        size,
        name: name.to_owned(),
        key_id: *key_id,
        line: format!("{text}\n"),
        time: u64::from_be_bytes(*time),
    })
}

fn slot(text: &str) -> Option<Slot> {
    let mut bytes = [0; SLOT_LEN];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(Slot(bytes))
}
