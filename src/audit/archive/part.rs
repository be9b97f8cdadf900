//! The export of a part, checked entry by entry as it is read.

use std::io::{self, Read};
use std::sync::atomic::Ordering;

use super::check::{fault, manifest};
use super::whole::{content, instead};
use super::{ArchiveError, Content, ContentLine, EntryLine, Part, Reader, Scope};
use crate::audit::AuditError;
use crate::audit::folder::Progress;
use crate::audit::sort::Sorter;
use crate::audit::source::{Contents, Fault, SourceAudit, look, note_faults, orders};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::Algorithm;
use crate::ledger::{Hash, Leaf};
use crate::verify::keys::{Compromise, TrustedKeys};
use crate::verify::ledger::records::{CASE_RECORD, IDENTITY_RECORD, case_record, identity_record};
use crate::verify::ledger::{
    Extent, LedgerCheck, LedgerCode, PartChecker, PartScope, Pins, Sink, conclude, read,
};

struct Collect {
    identity: Sorter<IDENTITY_RECORD>,
    case: Sorter<CASE_RECORD>,
    failed: Option<io::Error>,
}

impl Sink for Collect {
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
}

/// Checks the export of a part.
pub(super) fn verify<R: Read>(
    mut reader: Reader<R>,
    checkpoint: Checkpoint,
    origin: String,
    audit: &SourceAudit,
    progress: &Progress,
) -> Result<LedgerCheck, AuditError> {
    let (scope, from) = match reader.manifest().scope {
        Scope::Range { first, last } => (PartScope::Range { first, last }, first),
        Scope::Case { case } => (PartScope::Case(case), 0),
        Scope::Whole => (
            PartScope::Range {
                first: 0,
                last: u64::MAX,
            },
            0,
        ),
    };
    let kind = reader.manifest().content;
    // The keys that sign a checkpoint of this size: pinned ones, and those that bridges lead to.
    let mut own = TrustedKeys::pinned(&origin, &audit.keys);
    let crossed = reader.bridges().iter().try_for_each(|b| {
        own.cross(b, &audit.keys)
            .map_err(|e| format!("a bridge from one checkpoint key to the next does not hold: {e}"))
    });
    let joined = crossed.and_then(
        |()| match own.crossed().iter().all(|c| c.joins(&checkpoint)) {
            true => Ok(()),
            false => {
                Err("a bridge is not proven to be of one history with the checkpoint".to_owned())
            }
        },
    );
    let witnesses = audit
        .keys
        .iter()
        .filter(|k| k.algorithm() != Algorithm::Ed25519);
    let keys = own
        .at(checkpoint.size)
        .into_iter()
        .chain(witnesses.cloned());
    // The auditor's word on stolen keys, the bridges', and what follows from both for keys behind a bridge.
    let stolen = own.at(checkpoint.size).into_iter().filter_map(|key| {
        let since = own.stolen_since(&key, &audit.compromised)?;
        Some(Compromise { key, since })
    });
    let pins = Pins {
        origin,
        compromised: stolen.collect(),
        keys: keys.collect(),
        checkpoints: audit.checkpoints.clone(),
        entries: audit.entries.clone(),
    };
    let note = reader.checkpoint().to_owned();
    let (_, parsed) = Checkpoint::parse_unverified(&note)
        .map_err(|e| AuditError::Source(format!("the export's checkpoint: {e}")))?;
    let mut checker = PartChecker::new(pins, scope, checkpoint, &parsed);
    if let Err(why) = joined {
        let text = format!("What joins the ledger's keys to your pin cannot be used: {why}.");
        checker.log().add(
            LedgerCode::KeyBridge,
            None,
            None,
            "member bridges.json",
            text,
        );
    }
    let mut collect = Collect {
        identity: Sorter::new(&audit.temporary, audit.memory / 2),
        case: Sorter::new(&audit.temporary, audit.memory / 2),
        failed: None,
    };
    let mut contents = Contents::default();
    let mut count = 0;
    let broke_off = loop {
        let mut faults = Vec::new();
        let lines = match next(&mut reader, kind, count, &mut faults) {
            Ok(lines) => lines,
            Err(e) => {
                faults.push(fault(e, "the entries of the part")?);
                note_faults(faults, checker.log());
                break true;
            }
        };
        note_faults(faults, checker.log());
        let Some(lines) = lines else { break false };
        for line in lines {
            count += 1;
            one(line, kind, &mut checker, &mut contents, &mut collect);
        }
        if let Some(e) = collect.failed.take() {
            return Err(e.into());
        }
        progress.read.store(count, Ordering::Relaxed);
    };
    let mut streamed = checker.finish(broke_off);
    orders(collect.identity, collect.case, from, &mut streamed.log)?;
    let extent = Extent {
        content: matches!(kind, Content::Digests | Content::Disclosed),
        index: false,
        counts: contents.finish(),
        now: audit.now,
    };
    Ok(conclude(streamed, &extent, |_| None))
}

/// The next entries; `None` at the end of the file.
fn next<R: Read>(
    reader: &mut Reader<R>,
    kind: Content,
    count: u64,
    faults: &mut Vec<Fault>,
) -> Result<Option<Vec<EntryLine>>, ArchiveError> {
    let form = |what: &str| Err(ArchiveError::Form(what.to_owned()));
    if kind == Content::Sealed {
        return form("sealed content is exported with a whole ledger only");
    }
    match reader.next_part()? {
        Some(Part::Entries(lines)) => {
            let shows = |l: &EntryLine| match kind {
                Content::None | Content::Sealed => l.digests.is_some() || l.disclosures.is_some(),
                Content::Digests => l.disclosures.is_some(),
                Content::Disclosed => l.disclosures.is_some() && l.digests.is_none(),
            };
            if lines.iter().any(shows) {
                return form("an entry shows more of its content than the file says");
            }
            Ok(Some(lines))
        }
        Some(Part::End(end)) => {
            if end.entries != count {
                let text = format!(
                    "The file says at its end that it holds {} entries, and it holds {count}.",
                    end.entries
                );
                let mut wrong = manifest(LedgerCode::ExportManifest, text);
                wrong.place = "member end.json".into();
                faults.push(wrong);
            }
            match reader.next_part()? {
                None => Ok(None),
                Some(_) => form("something comes after the end"),
            }
        }
        Some(other) => Err(instead(&other, "a list of entries, or the end,")),
        None => Err(ArchiveError::Truncated),
    }
}

fn one(
    line: EntryLine,
    kind: Content,
    checker: &mut PartChecker,
    contents: &mut Contents,
    collect: &mut Collect,
) {
    let read = read(line.leaf.as_bytes());
    let path: Option<Vec<Hash>> = line.path.iter().map(|h| Hash::from_b64(h)).collect();
    let leaf = read.leaf.as_ref().ok().cloned();
    checker.entry(read, path.as_deref(), collect);
    let Some(leaf) = leaf else { return };
    let mut faults = Vec::new();
    let shown = match (kind, line.digests) {
        (Content::None | Content::Sealed, _) => None,
        (_, None) => Some(look(&leaf, &Default::default())),
        (_, Some(digests)) => {
            let line = ContentLine {
                seq: leaf.seq,
                digests,
                disclosures: line.disclosures,
            };
            // That it shows no more than it says was looked at for the whole piece.
            let shown = content(kind, line, &mut faults).unwrap_or_default();
            Some(look(&leaf, &shown))
        }
    };
    note_faults(faults, checker.log());
    contents.take(&leaf, shown, checker.log());
}
