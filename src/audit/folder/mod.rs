//! A data folder, checked while the service runs or on a copy: every entry, and everything stored beside them computed
//! again from the entries and the content.

mod content;
mod derived;
mod extras;
mod outside;
mod sink;
mod walk;

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use crate::ledger::Timestamp;
use crate::ledger::note::Vkey;
use crate::sequencer::{Guard, GuardError, LedgerPaths};
use crate::store::scan::LedgerScan;
use crate::store::sqlite::SqliteScan;
use crate::verify::keys::Compromise;
use crate::verify::ledger::{
    Checker, Extent, LedgerCheck, LedgerCode, OutsideCheckpoint, OutsideEntry, Pins, conclude,
};

use super::{AuditError, origin_of};
use content::ContentKeys;

/// What is to be checked, and against what.
#[derive(Debug, Clone)]
pub struct FolderAudit {
    /// Where the ledger lies.
    pub paths: LedgerPaths,
    /// The ledger's pinned checkpoint keys, and keys of witnesses.
    pub keys: Vec<Vkey>,
    /// Checkpoints that the auditor kept.
    pub checkpoints: Vec<OutsideCheckpoint>,
    /// Entries that receipts and reports prove.
    pub entries: Vec<OutsideEntry>,
    /// Keys that somebody else may have held, beside those of which the ledger itself says so.
    pub compromised: Vec<Compromise>,
    /// Whether content is opened; the keyring must be there.
    pub content: bool,
    /// Whether the guard file is compared; a copy of a database comes without it.
    pub guard: bool,
    /// Threads that work; at least one.
    pub threads: usize,
    /// Bytes that the sorts may hold in memory.
    pub memory: usize,
    /// Where sorted runs lie that memory does not hold.
    pub temporary: PathBuf,
    /// The time now, for how old a witness's word is.
    pub now: Option<Timestamp>,
}

impl FolderAudit {
    /// An audit with everything that can be checked, on two threads, with 256 MiB for the sorts.
    #[must_use]
    pub fn new(paths: LedgerPaths, keys: Vec<Vkey>) -> Self {
        Self {
            paths,
            keys,
            checkpoints: Vec::new(),
            entries: Vec::new(),
            compromised: Vec::new(),
            content: true,
            guard: true,
            threads: 2,
            memory: 256 << 20,
            temporary: std::env::temp_dir(),
            now: None,
        }
    }
}

/// How far an audit is: entries read, entries in all.
#[derive(Debug, Default)]
pub struct Progress {
    /// Read so far.
    pub read: AtomicU64,
    /// In all.
    pub size: AtomicU64,
}

/// Checks a data folder.
///
/// # Errors
/// When something cannot be read at all. What can be read and is wrong is in the outcome.
pub fn verify(audit: &FolderAudit, progress: &Progress) -> Result<LedgerCheck, AuditError> {
    let origin = origin_of(&audit.keys)?;
    // In this order: the guard never vouches for a commit that was not there before, and no commit refers to a slot that
    // was not there before, so what is written meanwhile is not taken for damage.
    let guard = audit.guard.then(|| Guard::read(&audit.paths.guard));
    let mut scan = SqliteScan::open(&audit.paths.database())?;
    let keys = if audit.content {
        Some(ContentKeys::read(&audit.paths.keyring)?)
    } else {
        None
    };
    let mut checkpoints = audit.checkpoints.clone();
    let mut early: Vec<(LedgerCode, String)> = Vec::new();
    let guarded = take_guard(guard, &origin, &mut checkpoints, &mut early);
    let pins = Pins {
        origin: origin.clone(),
        keys: audit.keys.clone(),
        checkpoints,
        entries: audit.entries.clone(),
        compromised: audit.compromised.clone(),
    };
    let mut checker = Checker::new(pins);
    for (code, text) in early {
        checker.log().add(code, None, None, "guard file", text);
    }
    extras::origin_file(&audit.paths, &origin, checker.log())?;
    extras::schema(&mut scan, checker.log())?;
    let walked = walk::walk(&mut scan, checker, audit, keys.as_ref(), guarded, progress)?;
    let mut streamed = walked.streamed;
    let rows = walked.rows;
    let counts = derived::compare(&mut scan, rows, audit, &mut streamed)?;
    let commits = std::cell::RefCell::new(scan);
    let extent = Extent {
        content: audit.content,
        index: true,
        counts,
        now: audit.now,
    };
    Ok(conclude(streamed, &extent, |seq| {
        let after = i64::try_from(seq).ok()?;
        // A commit that cannot be read was told of already; the place then stays without one.
        let found = commits.borrow_mut().commitments(Some(after), 1).ok()?;
        u64::try_from(found.first()?.size).ok()
    }))
}

/// Makes the guard's checkpoint one of those that the ledger is compared with; gives its size.
fn take_guard(
    guard: Option<Result<Option<String>, GuardError>>,
    origin: &str,
    checkpoints: &mut Vec<OutsideCheckpoint>,
    early: &mut Vec<(LedgerCode, String)>,
) -> Option<u64> {
    match guard? {
        Ok(Some(note)) => {
            let size = crate::ledger::checkpoint::Checkpoint::parse_unverified(&note)
                .ok()
                .filter(|(c, _)| c.origin == origin)
                .map(|(c, _)| c.size);
            if size.is_none() {
                let text = "The guard file holds no checkpoint of this ledger: it was put in place of the right one. \
                            It can no longer tell whether an older copy of the database was put in place.";
                early.push((LedgerCode::GuardUnusable, text.to_owned()));
                return None;
            }
            checkpoints.push(OutsideCheckpoint {
                note,
                name: "the guard file".to_owned(),
                independent: false,
            });
            size
        }
        Ok(None) => {
            let text = "The guard file is empty: it vouches for nothing, so an older copy of the database would not be noticed by it.";
            early.push((LedgerCode::GuardUnusable, text.to_owned()));
            None
        }
        Err(e) => {
            let text = format!(
                "{e}. Without it nothing beside the database says up to where the ledger went: entries may have been cut off."
            );
            early.push((LedgerCode::GuardUnusable, text));
            None
        }
    }
}
