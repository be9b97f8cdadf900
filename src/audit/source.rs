//! Leaves from somewhere else than a data folder: an export, a log on the web. Whoever has them gives them in bundles.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::folder::Progress;
use super::sort::Sorter;
use super::{AuditError, origin_of};
use crate::ledger::content::{ContentError, Pool};
use crate::ledger::note::Vkey;
use crate::ledger::tree::NodeId;
use crate::ledger::{Hash, Leaf, Timestamp};
use crate::verify::keys::Compromise;
use crate::verify::ledger::erasure::{Ranges, erased};
use crate::verify::ledger::records::{
    CASE_RECORD, CaseChains, IDENTITY_RECORD, Identities, case_record, identity_record,
};
use crate::verify::ledger::{
    Checker, ContentCounts, Extent, LedgerCheck, LedgerCode, LedgerLog, OutsideCheckpoint,
    OutsideEntry, Pins, Read, Sink, Stored, conclude, read, shapes,
};

/// What a source shows of an entry's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryContent {
    /// All digests of its members; empty when it has no content, or none any more.
    pub digests: Vec<Hash>,
    /// The disclosures that are shown (base64url), members and elements.
    pub disclosures: Vec<String>,
}

/// Entries that follow each other.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    /// The leaves' bytes.
    pub leaves: Vec<Vec<u8>>,
    /// The leaf hashes that the source itself holds for them (its tiles); one for each leaf, or none at all.
    pub claimed: Vec<Hash>,
    /// Their content; one for each leaf, or none at all when the source has no content.
    pub content: Vec<EntryContent>,
    /// Signed checkpoints whose size lies within this bundle (above its first entry, up to its last), ascending, with
    /// the size that the source files each under.
    pub checkpoints: Vec<(u64, String)>,
}

/// Something wrong with the form of a source, beside its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub code: LedgerCode,
    /// The lowest position that it touches, where there is one.
    pub seq: Option<u64>,
    /// Where.
    pub place: String,
    /// What is wrong.
    pub text: String,
}

/// Gives a ledger from its first entry to its last.
///
/// # Contract
/// - Bundles follow each other without gaps, from entry 0 on; `None` is the end. None is empty.
/// - Nothing is judged here: bytes come as they are. What cannot be read at all is an error.
/// - Memory is bounded by one bundle.
pub trait Source {
    /// The next entries.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn next(&mut self) -> Result<Option<Bundle>, AuditError>;
    /// Checkpoints that the source brings along from outside parties (cosigned, anchored).
    ///
    /// # Errors
    /// When the source cannot be read.
    fn outside(&mut self) -> Result<Vec<OutsideCheckpoint>, AuditError> {
        Ok(Vec::new())
    }
    /// Number of entries, when the source knows it before its end.
    fn size(&self) -> Option<u64> {
        None
    }
    /// What was wrong with the form of what was given since this was asked last.
    fn faults(&mut self) -> Vec<Fault> {
        Vec::new()
    }
    /// Whether the source ended before the ledger did, because of a fault.
    fn broke_off(&self) -> bool {
        false
    }
}

/// Against what a source is checked.
#[derive(Debug, Clone)]
pub struct SourceAudit {
    /// The ledger's pinned checkpoint keys, and keys of witnesses.
    pub keys: Vec<Vkey>,
    /// Checkpoints that the auditor kept.
    pub checkpoints: Vec<OutsideCheckpoint>,
    /// Entries that receipts and reports prove.
    pub entries: Vec<OutsideEntry>,
    /// Keys that somebody else may have held, beside those of which the ledger itself says so.
    pub compromised: Vec<Compromise>,
    /// Threads that work; at least one.
    pub threads: usize,
    /// Bytes that the sorts may hold in memory.
    pub memory: usize,
    /// Where sorted runs lie that memory does not hold.
    pub temporary: PathBuf,
    /// The time now, for how old a witness's word is.
    pub now: Option<Timestamp>,
}

/// What was found about an entry's content.
#[derive(Default)]
pub(super) struct Shown {
    committed: bool,
    whole: bool,
    gone: bool,
    problems: Vec<(LedgerCode, String)>,
}

/// What the content of all entries came to, and what was erased.
#[derive(Default)]
pub(super) struct Contents {
    counts: ContentCounts,
    gone: Ranges,
    gone_by: Ranges,
}

impl Contents {
    /// Takes what one entry says, and what is shown of it.
    pub(super) fn take(&mut self, leaf: &Leaf, shown: Option<Shown>, log: &mut LedgerLog) {
        let seq = leaf.seq;
        if let Some(shown) = shown {
            self.counts.committed += u64::from(shown.committed);
            self.counts.opened += u64::from(shown.whole);
            if shown.gone {
                self.gone.add(seq);
            } else if shown.committed && !shown.whole && shown.problems.is_empty() {
                self.counts.by_digests += 1;
            }
            let case = leaf.case.map(|c| c.case);
            for (code, text) in shown.problems {
                log.entry(code, seq, case, text);
            }
        }
        match erased(leaf) {
            None => {}
            Some(Ok(ranges)) => ranges
                .into_iter()
                .for_each(|(f, l)| self.gone_by.add_range(f, l)),
            Some(Err(())) => {
                let text = format!(
                    "Entry {seq} does not say in the prescribed form what was erased, so it explains no absence."
                );
                log.entry(LedgerCode::ErasureForm, seq, None, text);
            }
        }
    }

    /// The counts. Content that is not shown and was not erased was left out, or erased after what was read: that is
    /// told, and refuses nothing.
    pub(super) fn finish(mut self) -> ContentCounts {
        for seq in self.gone.iter() {
            if self.gone_by.has(seq) {
                self.counts.erased += 1;
            } else {
                self.counts.missing += 1;
            }
        }
        self.counts
    }
}

struct Collect<'a> {
    identity: &'a mut Sorter<IDENTITY_RECORD>,
    case: &'a mut Sorter<CASE_RECORD>,
    claimed: &'a mut VecDeque<Option<Hash>>,
    differing: Vec<u64>,
    failed: Option<io::Error>,
}

impl Sink for Collect<'_> {
    fn entry(&mut self, seq: u64, hash: &Hash, leaf: &Leaf) {
        let pushed = self
            .identity
            .push(identity_record(seq, leaf))
            .and_then(|()| {
                let record = case_record(seq, hash, leaf);
                record.map_or(Ok(()), |r| self.case.push(r))
            });
        if let Err(e) = pushed {
            self.failed.get_or_insert(e);
        }
    }

    fn node(&mut self, id: NodeId, hash: Hash) {
        if id.level == 0
            && self
                .claimed
                .pop_front()
                .flatten()
                .is_some_and(|c| c != hash)
        {
            self.differing.push(id.index);
        }
    }
}

/// Checks what a source gives.
///
/// # Errors
/// When something cannot be read at all. What can be read and is wrong is in the outcome.
pub fn verify(
    source: &mut dyn Source,
    audit: &SourceAudit,
    progress: &Progress,
) -> Result<LedgerCheck, AuditError> {
    let mut checkpoints = audit.checkpoints.clone();
    checkpoints.extend(source.outside()?);
    let mut checker = Checker::new(Pins {
        origin: origin_of(&audit.keys)?,
        keys: audit.keys.clone(),
        checkpoints,
        entries: audit.entries.clone(),
        compromised: audit.compromised.clone(),
    });
    progress
        .size
        .store(source.size().unwrap_or(0), Ordering::Relaxed);
    let mut identity = Sorter::new(&audit.temporary, audit.memory / 2);
    let mut case = Sorter::new(&audit.temporary, audit.memory / 2);
    let mut claimed = VecDeque::new();
    let mut contents = Contents::default();
    let mut content = false;
    let mut collect = Collect {
        identity: &mut identity,
        case: &mut case,
        claimed: &mut claimed,
        differing: Vec::new(),
        failed: None,
    };
    loop {
        let bundle = source.next()?;
        note_faults(source.faults(), checker.log());
        let Some(bundle) = bundle else { break };
        content |= !bundle.content.is_empty();
        let mut checkpoints = bundle.checkpoints.iter().peekable();
        let hashes = bundle.claimed.iter().map(|c| Some(*c));
        let hashes: Vec<Option<Hash>> = if bundle.claimed.is_empty() {
            vec![None; bundle.leaves.len()]
        } else {
            hashes.collect()
        };
        if hashes.len() != bundle.leaves.len() {
            return Err(AuditError::Source(
                "the source gives another number of hashes than of entries".into(),
            ));
        }
        for ((read, shown), hash) in read_all(&bundle, audit.threads).into_iter().zip(hashes) {
            if let Ok(leaf) = &read.leaf {
                contents.take(leaf, shown, checker.log());
            }
            collect.claimed.push_back(hash);
            checker.leaf(read, hash, &mut collect);
            while let Some((_, note)) = checkpoints.next_if(|(size, _)| *size <= checker.size()) {
                let place = format!("checkpoint of {} entries", checker.size());
                let stored = Stored {
                    note,
                    place: &place,
                };
                checker.stored(stored, &mut collect);
            }
        }
        for (size, note) in checkpoints {
            let place = format!("checkpoint of {size} entries");
            let stored = Stored {
                note,
                place: &place,
            };
            checker.stored(stored, &mut collect);
        }
        note_tiles(&mut collect, checker.log())?;
        progress.read.store(checker.size(), Ordering::Relaxed);
    }
    let mut streamed = if source.broke_off() {
        checker.broke_off(&mut collect)
    } else {
        checker.finish(false, &mut collect)
    };
    note_tiles(&mut collect, &mut streamed.log)?;
    drop(collect);
    orders(identity, case, 0, &mut streamed.log)?;
    let sizes: Vec<u64> = streamed.confirmed.iter().map(|(size, ..)| *size).collect();
    let extent = Extent {
        content,
        index: false,
        counts: contents.finish(),
        now: audit.now,
    };
    Ok(conclude(streamed, &extent, |seq| {
        sizes.iter().copied().find(|s| *s > seq)
    }))
}

/// Checks what needs another order than the ledger's. Chains may begin in the middle when entries below `from` were not
/// read.
pub(super) fn orders(
    identity: Sorter<IDENTITY_RECORD>,
    case: Sorter<CASE_RECORD>,
    from: u64,
    log: &mut LedgerLog,
) -> io::Result<()> {
    let mut identities = Identities::default();
    let mut sorted = identity.finish()?;
    while let Some(record) = sorted.next()? {
        identities.take(&record, log);
    }
    let mut chains = CaseChains::new(from);
    let mut sorted = case.finish()?;
    while let Some(record) = sorted.next()? {
        chains.take(&record, log);
    }
    Ok(())
}

pub(super) fn note_faults(faults: Vec<Fault>, log: &mut LedgerLog) {
    for f in faults {
        log.add(f.code, f.seq, None, f.place, f.text);
    }
}

fn note_tiles(collect: &mut Collect<'_>, log: &mut LedgerLog) -> Result<(), AuditError> {
    for seq in collect.differing.drain(..) {
        let text = format!(
            "The hash that the source serves for entry {seq} is not that of the entry it serves: proofs made from its tiles do not hold."
        );
        log.add(
            LedgerCode::TileDiffers,
            Some(seq),
            None,
            format!("tile of level 0, entry {seq}"),
            text,
        );
    }
    collect.failed.take().map_or(Ok(()), |e| Err(e.into()))
}

/// Reads all leaves of a bundle, on several threads when that is worth it.
fn read_all(bundle: &Bundle, threads: usize) -> Vec<(Read, Option<Shown>)> {
    let one = |i: usize, bytes: &Vec<u8>| {
        let read = read(bytes);
        let shown = match (&read.leaf, bundle.content.get(i)) {
            (Ok(leaf), Some(content)) => Some(look(leaf, content)),
            _ => None,
        };
        (read, shown)
    };
    let part = bundle.leaves.len().div_ceil(threads.max(1));
    if threads < 2 || part < 32 {
        return bundle
            .leaves
            .iter()
            .enumerate()
            .map(|(i, b)| one(i, b))
            .collect();
    }
    std::thread::scope(|scope| {
        let parts = bundle.leaves.chunks(part).enumerate();
        let hands: Vec<_> = parts
            .map(|(n, leaves)| {
                let all = move || -> Vec<_> {
                    let each = leaves.iter().enumerate();
                    each.map(|(i, b)| one(n * part + i, b)).collect()
                };
                scope.spawn(all)
            })
            .collect();
        hands
            .into_iter()
            .flat_map(|h| {
                h.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

/// Compares what is shown of an entry with what it commits to.
pub(super) fn look(leaf: &Leaf, content: &EntryContent) -> Shown {
    let seq = leaf.seq;
    let mut out = Shown {
        committed: leaf.content.is_some(),
        ..Shown::default()
    };
    if content.digests.is_empty() && content.disclosures.is_empty() {
        out.gone = out.committed;
        return out;
    }
    if !out.committed {
        let text = format!("Content is shown for entry {seq}, which commits to none.");
        out.problems.push((LedgerCode::ContentExtra, text));
        return out;
    }
    let opened = Pool::new(content.disclosures.iter().map(String::as_str)).and_then(|mut pool| {
        let opened = pool.open(&content.digests, leaf.content)?;
        pool.finish()?;
        Ok(opened)
    });
    match opened {
        Ok(opened) => {
            out.whole = opened.hidden.is_empty() && opened.hidden_elements.is_empty();
            let forms = shapes(leaf, &opened).into_iter();
            out.problems
                .extend(forms.map(|text| (LedgerCode::ContentForm, text)));
        }
        Err(e) => {
            let code = match e {
                ContentError::Commitment => LedgerCode::ContentCommitment,
                _ => LedgerCode::ContentForm,
            };
            let text = format!(
                "The content that is shown for entry {seq} is not what the entry commits to: {e}."
            );
            out.problems.push((code, text));
        }
    }
    out
}
