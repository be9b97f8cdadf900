//! The walk over all entries, in order: read by this thread, decoded and hashed by others, judged by this one again.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::audit::AuditError;
use crate::keyring::KeyringError;
use crate::ledger::Hash;
use crate::ledger::tree::{NodeId, stored_index};
use crate::store::scan::{LedgerScan, ScanCommitment, ScanEntry};
use crate::verify::ledger::{Checker, LedgerCode, Read, Stored, Streamed, erasure, read};

use super::content::{ContentKeys, Found, look};
use super::outside::Cosigned;
use super::sink::{Collect, NodeRows, Rows};
use super::{FolderAudit, Progress};

/// Entries that are read at once: enough that handing over costs nothing, few enough that they stay in the cache.
const PAGE: usize = 512;
/// Commits that are read at once.
const COMMITS: usize = 1_024;
/// A gap of more entries than this is told of as a whole, and ends the walk.
const MAX_GAP: u64 = 100_000;

/// An entry, read by a worker.
struct Done {
    seq: i64,
    read: Read,
    found: Result<Option<Found>, KeyringError>,
}

type Page = Vec<ScanEntry>;

/// What the walk came to.
pub(super) struct Walked {
    pub streamed: Streamed,
    pub rows: Rows,
}

fn work(page: Page, keys: Option<&ContentKeys>) -> Vec<Done> {
    let one = |row: ScanEntry| {
        let read = read(&row.leaf);
        let found = match &read.leaf {
            Ok(leaf) => look(leaf, &row, keys).map(Some),
            Err(_) => Ok(None),
        };
        Done {
            seq: row.seq,
            read,
            found,
        }
    };
    page.into_iter().map(one).collect()
}

/// Reads, checks and collects all entries.
pub(super) fn walk(
    scan: &mut dyn LedgerScan,
    checker: Checker,
    audit: &FolderAudit,
    keys: Option<&ContentKeys>,
    guarded: Option<u64>,
    progress: &Progress,
) -> Result<Walked, AuditError> {
    let head = super::extras::head(scan)?;
    progress
        .size
        .store(head.size.unwrap_or(0), Ordering::Relaxed);
    let types = scan.type_names()?;
    let mut walk = Walk {
        scan,
        checker,
        rows: Rows::new(audit, types),
        nodes: NodeRows::default(),
        next: 0,
        commits: VecDeque::new(),
        cosigned: Cosigned::default(),
        commits_after: None,
        commits_ended: false,
        last_commit: None,
        last_signed: None,
        size: head.size,
        stopped: false,
        progress,
    };
    let content = keys.is_some();
    // Opening content is the dearer part by far; without it one worker keeps up with the reading.
    let workers = match (audit.threads.max(1), content) {
        (1, _) => 0,
        (n, true) => n,
        (n, false) => n - 1,
    };
    let mut after = None;
    if workers == 0 {
        while let Some(page) = walk.page(&mut after, content)? {
            walk.take(work(page, keys), keys)?;
        }
    } else {
        std::thread::scope(|scope| {
            let mut hands: Vec<(SyncSender<Page>, Receiver<Vec<Done>>)> = Vec::new();
            for _ in 0..workers {
                let (give, pages) = sync_channel::<Page>(2);
                let (done, taken) = sync_channel(2);
                hands.push((give, taken));
                scope.spawn(move || {
                    for page in pages {
                        // The other side is gone when the walk has failed; its error is the one to tell.
                        if done.send(work(page, keys)).is_err() {
                            break;
                        }
                    }
                });
            }
            let (mut given, mut taken) = (0, 0);
            loop {
                let page = walk.page(&mut after, content)?;
                let ended = page.is_none();
                if let Some(page) = page {
                    let (give, _) = &hands[given % workers];
                    give.send(page).map_err(|_| AuditError::Worker)?;
                    given += 1;
                }
                while taken < given && (ended || given - taken > workers) {
                    let (_, from) = &hands[taken % workers];
                    walk.take(from.recv().map_err(|_| AuditError::Worker)?, keys)?;
                    taken += 1;
                }
                if ended {
                    return Ok::<(), AuditError>(());
                }
            }
        })?;
    }
    walk.end(&head, guarded)
}

struct Walk<'a> {
    scan: &'a mut dyn LedgerScan,
    checker: Checker,
    rows: Rows,
    nodes: NodeRows,
    next: u64,
    commits: VecDeque<ScanCommitment>,
    cosigned: Cosigned,
    commits_after: Option<i64>,
    commits_ended: bool,
    last_commit: Option<ScanCommitment>,
    last_signed: Option<u64>,
    size: Option<u64>,
    stopped: bool,
    progress: &'a Progress,
}

impl Walk<'_> {
    fn page(&mut self, after: &mut Option<i64>, content: bool) -> Result<Option<Page>, AuditError> {
        if self.stopped {
            return Ok(None);
        }
        let page = self.scan.entries(*after, PAGE, content)?;
        *after = page.last().map(|e| e.seq).or(*after);
        Ok(Some(page).filter(|p| !p.is_empty()))
    }

    /// Takes entries that were read.
    fn take(&mut self, page: Vec<Done>, keys: Option<&ContentKeys>) -> Result<(), AuditError> {
        for done in page {
            if self.stopped {
                return Ok(());
            }
            let at = u64::try_from(done.seq)
                .ok()
                .filter(|s| self.size.is_none_or(|n| *s < n));
            let Some(seq) = at else {
                let text = format!(
                    "The table `entry` has a row at position {}, and the ledger's head says that it has {} entries: the row was put in beside the ledger, or the head was set back.",
                    done.seq,
                    self.size.unwrap_or(0)
                );
                let seq = u64::try_from(done.seq).ok();
                let place = format!("table entry, seq {}", done.seq);
                self.checker
                    .log()
                    .add(LedgerCode::EntryBeyond, seq, None, place, text);
                continue;
            };
            self.gap(seq)?;
            if self.stopped {
                return Ok(());
            }
            self.commits()?;
            let claimed = self.claimed(seq)?;
            let found = done.found?;
            self.right_keyring(seq, &done.read, keys)?;
            if let Ok(leaf) = &done.read.leaf {
                if let Some(found) = found {
                    self.rows.content(seq, leaf, found, self.checker.log())?;
                }
                match erasure::erased(leaf) {
                    None => {}
                    Some(Ok(ranges)) => ranges
                        .into_iter()
                        .for_each(|(f, l)| self.rows.erased.add_range(f, l)),
                    Some(Err(())) => {
                        let text = format!(
                            "Entry {seq} does not say in the prescribed form what was erased, so it explains no absence."
                        );
                        self.checker
                            .log()
                            .entry(LedgerCode::ErasureForm, seq, None, text);
                    }
                }
            }
            let mut sink = collect(&mut self.rows, &mut self.nodes, &mut self.next);
            self.checker.leaf(done.read, claimed, &mut sink);
            sink.flush(self.checker.log())?;
        }
        self.progress
            .read
            .store(self.checker.size(), Ordering::Relaxed);
        Ok(())
    }

    /// With the keyring of another ledger every content would look altered; that is said once, and as what it is.
    fn right_keyring(
        &self,
        seq: u64,
        read: &Read,
        keys: Option<&ContentKeys>,
    ) -> Result<(), AuditError> {
        let (0, Ok(leaf), Some(keys)) = (seq, &read.leaf, keys) else {
            return Ok(());
        };
        let named = leaf
            .fact
            .as_ref()
            .and_then(|f| f.get("id_key_check")?.as_str());
        match named {
            Some(named) if named != keys.check().to_b64url() => Err(AuditError::WrongKeyring),
            _ => Ok(()),
        }
    }

    /// The leaf hash that the table of nodes has for an entry.
    fn claimed(&mut self, seq: u64) -> Result<Option<Hash>, AuditError> {
        let position = stored_index(NodeId {
            level: 0,
            index: seq,
        });
        self.nodes.reach(self.scan, position)?;
        Ok(self.nodes.get(position))
    }

    /// Notes entries that are absent before `seq`.
    fn gap(&mut self, seq: u64) -> Result<(), AuditError> {
        let from = self.checker.size();
        if seq.saturating_sub(from) > MAX_GAP {
            let text = format!("The entries {from} to {} are not there.", seq - 1);
            self.checker
                .log()
                .entry(LedgerCode::EntryAbsent, from, None, text);
            self.stopped = true;
            return Ok(());
        }
        while self.checker.size() < seq {
            self.commits()?;
            let claimed = self.claimed(self.checker.size())?;
            let mut sink = collect(&mut self.rows, &mut self.nodes, &mut self.next);
            self.checker.absent(claimed, &mut sink);
            sink.flush(self.checker.log())?;
        }
        Ok(())
    }

    /// Compares all commits up to the entries that were taken.
    fn commits(&mut self) -> Result<(), AuditError> {
        loop {
            if self.commits.is_empty() && !self.commits_ended {
                let page = self.scan.commitments(self.commits_after, COMMITS)?;
                self.commits_ended = page.is_empty();
                self.commits_after = page.last().map(|c| c.size).or(self.commits_after);
                self.commits.extend(page);
            }
            let size = self.checker.size();
            let due = |c: &ScanCommitment| u64::try_from(c.size).ok().is_none_or(|s| s <= size);
            if !self.commits.front().is_some_and(due) {
                return Ok(());
            }
            let Some(commit) = self.commits.pop_front() else {
                return Ok(());
            };
            self.commit(commit, size)?;
        }
    }

    fn commit(&mut self, commit: ScanCommitment, size: u64) -> Result<(), AuditError> {
        let place = format!("table commitment, size {}", commit.size);
        if u64::try_from(commit.size).ok() != Some(size) || size == 0 {
            let text = format!(
                "The table `commitment` has a row of size {}, which is no size that a commit can have led to.",
                commit.size
            );
            self.checker
                .log()
                .add(LedgerCode::RowExtra, None, None, place, text);
            return Ok(());
        }
        if let Some(before) = self.last_commit.take().filter(|c| c.note.is_none()) {
            let text = format!(
                "The signed checkpoint of {} entries is not stored, and later commits are there: it was taken away. The entries up to there have no receipt of their own commit.",
                before.size
            );
            let at = format!("table commitment, size {}, column note", before.size);
            let seq = u64::try_from(before.size - 1).ok();
            self.checker
                .log()
                .add(LedgerCode::CheckpointAbsent, seq, None, at, text);
        }
        let lines = self
            .cosigned
            .lines(self.scan, commit.size, self.checker.log())?;
        let note = commit.note.as_ref().map(|note| format!("{note}{lines}"));
        let mut sink = collect(&mut self.rows, &mut self.nodes, &mut self.next);
        if let Some(note) = &note {
            let stored = Stored {
                note,
                place: &place,
            };
            if self.checker.stored(stored, &mut sink) {
                self.last_signed = Some(size);
            }
        } else {
            self.checker
                .settled(Hash::from_slice(&commit.root), &mut sink);
        }
        sink.flush(self.checker.log())?;
        if commit.root != self.checker.root().0 {
            let text = format!(
                "The root in the row of the commit that led to {size} entries is not that of the entries: signed again from this row, the checkpoint would be a false one."
            );
            self.checker.log().add(
                LedgerCode::RowDiffers,
                Some(size - 1),
                None,
                format!("{place}, column root"),
                text,
            );
        }
        let ids: Vec<[u8; 4]> = self
            .checker
            .keys()
            .for_size(size)
            .iter()
            .map(|k| k.id())
            .collect();
        if !ids.is_empty() && !ids.iter().any(|id| commit.key_id == id) {
            let text = format!(
                "The row of the commit that led to {size} entries names another key than the one in force: a missing checkpoint would not be signed again."
            );
            self.checker.log().add(
                LedgerCode::RowDiffers,
                Some(size - 1),
                None,
                format!("{place}, column key_id"),
                text,
            );
        }
        self.last_commit = Some(commit);
        Ok(())
    }

    fn end(
        mut self,
        head: &super::extras::Head,
        guarded: Option<u64>,
    ) -> Result<Walked, AuditError> {
        if let Some(size) = self.size.filter(|_| !self.stopped) {
            self.gap(size)?;
        }
        self.commits()?;
        let size = self.checker.size();
        let newest = self
            .last_commit
            .as_ref()
            .and_then(|c| u64::try_from(c.size).ok());
        // For a moment after each commit its checkpoint is not stored yet, and the guard not written.
        let unsigned = newest == Some(size)
            && self.last_commit.as_ref().is_some_and(|c| c.note.is_none())
            && guarded.is_none_or(|g| g < size)
            && !self.stopped;
        for left in std::mem::take(&mut self.commits) {
            let text = format!(
                "The table `commitment` has a row of size {}, and the ledger has {size} entries: entries were cut off, or the row was put in.",
                left.size
            );
            let place = format!("table commitment, size {}", left.size);
            self.checker
                .log()
                .add(LedgerCode::RowExtra, Some(size), None, place, text);
        }
        if newest != Some(size) && size > 0 {
            let text = format!(
                "The table `commitment` has no row for the head of {size} entries: the newest commit's row was taken away, or the head was moved without a commit."
            );
            self.checker.log().add(
                LedgerCode::RowAbsent,
                Some(size - 1),
                None,
                format!("table commitment, size {size}"),
                text,
            );
        }
        self.cosigned.end(self.scan, self.checker.log())?;
        super::outside::anchors(self.scan, self.checker.log())?;
        self.nodes.reach(self.scan, u64::MAX)?;
        let mut sink = collect(&mut self.rows, &mut self.nodes, &mut self.next);
        let mut streamed = self.checker.finish(unsigned, &mut sink);
        sink.extra_nodes(i64::MAX);
        sink.flush(&mut streamed.log)?;
        if self.next < streamed.size {
            self.rows.unknown.add_range(self.next, streamed.size - 1);
        }
        head.compare(&streamed.root, &mut streamed.log);
        Ok(Walked {
            streamed,
            rows: self.rows,
        })
    }
}

fn collect<'a>(rows: &'a mut Rows, nodes: &'a mut NodeRows, next: &'a mut u64) -> Collect<'a> {
    Collect {
        rows,
        nodes,
        next,
        found: Vec::new(),
        failed: None,
    }
}
