//! The export of a whole ledger, read as a source: member by member, none absent, none too many.

use std::io::Read;

use super::check::{fault, manifest};
use super::{ArchiveError, Content, ContentLine, List, Part, Reader, SealedLine};
use crate::audit::AuditError;
use crate::audit::source::{Bundle, EntryContent, Fault, Source};
use crate::ledger::tile::WIDTH;
use crate::ledger::tree::Frontier;
use crate::ledger::{Hash, decode_b64};
use crate::verify::ledger::LedgerCode;

/// Bytes that a slot's id has.
const SLOT: usize = 12;

/// A whole export.
pub(super) struct Whole<R: Read> {
    reader: Reader<R>,
    ahead: Option<Part>,
    /// Number of the next bundle.
    n: u64,
    /// Of each level from 1 up: the roots of the tiles below that are not yet in a full tile.
    levels: Vec<Vec<Hash>>,
    faults: Vec<Fault>,
    /// What was wrong behind the bundle that was given last.
    late: Option<ArchiveError>,
    ended: bool,
    /// Reading stopped before all entries were given.
    broke_off: bool,
}

impl<R: Read> Whole<R> {
    pub fn new(reader: Reader<R>) -> Self {
        Self {
            reader,
            ahead: None,
            n: 0,
            levels: Vec::new(),
            faults: Vec::new(),
            late: None,
            ended: false,
            broke_off: false,
        }
    }

    fn bundles(&self) -> u64 {
        self.reader.manifest().size.div_ceil(WIDTH)
    }

    /// The next part, for looking at.
    fn peek(&mut self) -> Result<&Part, ArchiveError> {
        if self.ahead.is_none() {
            self.ahead = self.reader.next_part()?;
        }
        // The reader gives an end before it gives nothing, and nobody looks beyond the end.
        self.ahead.as_ref().ok_or(ArchiveError::Truncated)
    }

    fn take(&mut self) -> Result<Part, ArchiveError> {
        self.peek()?;
        self.ahead.take().ok_or(ArchiveError::Truncated)
    }

    fn bundle(&mut self) -> Result<Bundle, ArchiveError> {
        let n = self.n;
        let (first, size) = (n * WIDTH, self.reader.manifest().size);
        let width = (size - first).min(WIDTH);
        let leaves = match self.take()? {
            Part::Bundle { n: at, leaves } if at == n && leaves.len() as u64 == width => leaves,
            other => return Err(instead(&other, &format!("bundle {n} of {width} entries"))),
        };
        let content = self.content(n, &leaves)?;
        self.sealed(n, first, first + width)?;
        let claimed = self.tiles(n, width)?;
        let mut checkpoints = self.checkpoints(n, first, first + width)?;
        if n + 1 == self.bundles() && self.late.is_none() {
            checkpoints.push((size, self.reader.checkpoint().to_owned()));
        }
        self.n += 1;
        Ok(Bundle {
            leaves,
            claimed,
            content,
            checkpoints,
        })
    }

    /// The content of a bundle's entries; nothing at all where the export shows none.
    fn content(&mut self, n: u64, leaves: &[Vec<u8>]) -> Result<Vec<EntryContent>, ArchiveError> {
        let kind = self.reader.manifest().content;
        if !matches!(kind, Content::Digests | Content::Disclosed) {
            return Ok(Vec::new());
        }
        let first = n * WIDTH;
        let mut out = vec![EntryContent::default(); leaves.len()];
        let mut next = first;
        while matches!(self.peek()?, Part::Content { n: at, .. } if *at == n) {
            let Part::Content { lines, .. } = self.take()? else {
                continue;
            };
            for line in lines {
                let place = seq_place(line.seq, &mut next, first + leaves.len() as u64)?;
                let shown = content(kind, line, &mut self.faults)?;
                if let Some(here) = usize::try_from(place - first)
                    .ok()
                    .and_then(|i| out.get_mut(i))
                {
                    *here = shown;
                }
            }
        }
        Ok(out)
    }

    /// Sealed content: only its form can be judged without the keyring.
    fn sealed(&mut self, n: u64, first: u64, below: u64) -> Result<(), ArchiveError> {
        if self.reader.manifest().content != Content::Sealed {
            return Ok(());
        }
        let mut next = first;
        while matches!(self.peek()?, Part::Sealed { n: at, .. } if *at == n) {
            let Part::Sealed { lines, .. } = self.take()? else {
                continue;
            };
            for SealedLine { seq, slot, sealed } in lines {
                seq_place(seq, &mut next, below)?;
                if !hex_id(&slot, SLOT) || decode_b64(&sealed).is_none_or(|b| b.is_empty()) {
                    return Err(form(format!(
                        "the sealed content of entry {seq} is not in its text form"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The tile of a bundle's leaf hashes, and the full tiles of higher levels that it completes; gives the first.
    fn tiles(&mut self, n: u64, width: u64) -> Result<Vec<Hash>, ArchiveError> {
        let claimed = self.tile(0, n, width)?;
        let (mut root, mut n, mut full) = (root(&claimed), n, width == WIDTH);
        let mut level = 1;
        while full {
            let at = usize::from(level) - 1;
            if self.levels.len() == at {
                self.levels.push(Vec::new());
            }
            self.levels[at].push(root);
            full = self.levels[at].len() as u64 == WIDTH;
            if full {
                n /= WIDTH;
                root = self.upper(level, n)?;
                level += 1;
            }
        }
        Ok(claimed)
    }

    /// A tile above level 0, compared with the tiles below; gives its root.
    fn upper(&mut self, level: u8, n: u64) -> Result<Hash, ArchiveError> {
        let below = std::mem::take(&mut self.levels[usize::from(level) - 1]);
        let hashes = self.tile(level, n, below.len() as u64)?;
        for (i, (served, own)) in (0_u64..).zip(hashes.iter().zip(&below)) {
            if served != own {
                let place = n * WIDTH + i;
                let text = format!(
                    "The tile of level {level}, number {n}, has another hash at place {i} than the tile of level {} below it leads to: proofs made from the file's tiles do not hold.",
                    level - 1
                );
                self.faults.push(Fault {
                    code: LedgerCode::TileDiffers,
                    seq: place.checked_shl(8 * u32::from(level)),
                    place: format!("tile of level {level}, place {place}"),
                    text,
                });
            }
        }
        Ok(root(&hashes))
    }

    fn tile(&mut self, level: u8, n: u64, width: u64) -> Result<Vec<Hash>, ArchiveError> {
        match self.take()? {
            Part::Tile {
                level: l,
                n: at,
                hashes,
            } if (l, at, hashes.len() as u64) == (level, n, width) => Ok(hashes),
            other => Err(instead(
                &other,
                &format!("the tile of level {level}, number {n}, of {width} hashes"),
            )),
        }
    }

    fn checkpoints(
        &mut self,
        n: u64,
        first: u64,
        last: u64,
    ) -> Result<Vec<(u64, String)>, ArchiveError> {
        let mut out = Vec::new();
        let mut next = first + 1;
        loop {
            match self.peek() {
                Ok(Part::Checkpoints { n: at, .. }) if *at == n => {}
                Ok(_) => break,
                // The bundle itself is whole.
                Err(e) => {
                    self.late = Some(e);
                    break;
                }
            }
            let Part::Checkpoints { lines, .. } = self.take()? else {
                continue;
            };
            for line in lines {
                seq_place(line.size, &mut next, last + 1)?;
                out.push((line.size, line.with_cosignatures()));
            }
        }
        Ok(out)
    }

    /// What comes after the last bundle.
    fn tail(&mut self) -> Result<(), ArchiveError> {
        let mut at = 0;
        while at < self.levels.len() {
            if !self.levels[at].is_empty() {
                let level = u8::try_from(at + 1).map_err(|_| form("it has too many levels"))?;
                let number = self.reader.manifest().size >> (8 * (u32::from(level) + 1)).min(63);
                self.upper(level, number)?;
            }
            at += 1;
        }
        if self.reader.manifest().content == Content::Sealed {
            let order = [
                List::Catalogues,
                List::Reports,
                List::Cases,
                List::Traces,
                List::Lookups,
            ];
            for list in order {
                while kind(self.peek()?) == Some(list) {
                    restoring(&self.take()?)?;
                }
            }
        }
        let size = self.reader.manifest().size;
        match self.take()? {
            Part::End(end) if end.entries == size => {}
            Part::End(end) => {
                let text = format!(
                    "The file says at its end that it holds {} entries, and it holds {size}.",
                    end.entries
                );
                let mut wrong = manifest(LedgerCode::ExportManifest, text);
                wrong.place = "member end.json".into();
                self.faults.push(wrong);
            }
            other => return Err(instead(&other, "the end")),
        }
        match self.reader.next_part()? {
            None => Ok(()),
            Some(_) => Err(form("something comes after the end")),
        }
    }
}

impl<R: Read> Source for Whole<R> {
    fn next(&mut self) -> Result<Option<Bundle>, AuditError> {
        if self.ended {
            return Ok(None);
        }
        let more = self.n < self.bundles();
        let read = if let Some(e) = self.late.take() {
            Err(e)
        } else if more {
            self.bundle().map(Some)
        } else {
            self.ended = true;
            self.tail().map(|()| None)
        };
        match read {
            Ok(bundle) => Ok(bundle),
            Err(e) => {
                self.ended = true;
                self.broke_off = more;
                let place = if more {
                    format!("bundle {}", self.n)
                } else {
                    "after the last bundle".to_owned()
                };
                self.faults.push(fault(e, place)?);
                Ok(None)
            }
        }
    }

    fn size(&self) -> Option<u64> {
        Some(self.reader.manifest().size)
    }

    fn faults(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.faults)
    }

    fn broke_off(&self) -> bool {
        self.broke_off
    }
}

fn form(what: impl Into<String>) -> ArchiveError {
    ArchiveError::Form(what.into())
}

/// The root over a tile's hashes.
fn root(hashes: &[Hash]) -> Hash {
    let mut tree = Frontier::new();
    hashes.iter().for_each(|h| tree.append(*h, |_, _| {}));
    tree.root()
}

/// Takes a position or size that must be at or above `next` and below `below`.
fn seq_place(seq: u64, next: &mut u64, below: u64) -> Result<u64, ArchiveError> {
    if !(*next..below).contains(&seq) {
        return Err(form(format!(
            "a list has a line for {seq} where only {next} to {} can stand",
            below.saturating_sub(1)
        )));
    }
    *next = seq + 1;
    Ok(seq)
}

/// The content that a line shows.
pub(super) fn content(
    kind: Content,
    line: ContentLine,
    faults: &mut Vec<Fault>,
) -> Result<EntryContent, ArchiveError> {
    let seq = line.seq;
    if line.disclosures.is_some() && kind != Content::Disclosed {
        return Err(form(format!(
            "it shows disclosures of entry {seq}, and says that it shows none"
        )));
    }
    let digests: Option<Vec<Hash>> = line
        .digests
        .iter()
        .map(|d| Hash::from_b64url(d))
        .collect::<Option<_>>()
        .filter(|d: &Vec<_>| !d.is_empty());
    let Some(digests) = digests else {
        let text = format!(
            "The digests that are shown for entry {seq} are none, or not all in their text form."
        );
        faults.push(Fault {
            code: LedgerCode::ContentForm,
            seq: Some(seq),
            place: format!("entry {seq}"),
            text,
        });
        return Ok(EntryContent::default());
    };
    Ok(EntryContent {
        digests,
        disclosures: line.disclosures.unwrap_or_default(),
    })
}

/// Which of the lists that only restoring needs a part belongs to.
fn kind(part: &Part) -> Option<List> {
    match part {
        Part::Catalogues(_) => Some(List::Catalogues),
        Part::Reports(_) => Some(List::Reports),
        Part::Cases(_) => Some(List::Cases),
        Part::Traces(_) => Some(List::Traces),
        Part::Lookups(_) => Some(List::Lookups),
        _ => None,
    }
}

fn hex_id(text: &str, bytes: usize) -> bool {
    text.len() == 2 * bytes
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The form of what restoring needs.
fn restoring(part: &Part) -> Result<(), ArchiveError> {
    let good = match part {
        Part::Reports(lines) => lines.iter().all(|r| {
            hex_id(&r.id, 16)
                && hex_id(&r.requester, 16)
                && r.case.as_ref().is_none_or(|c| hex_id(c, 16))
        }),
        Part::Cases(lines) => lines
            .iter()
            .all(|c| hex_id(&c.blind, 16) && hex_id(&c.pseudonym, 16) && hex_id(&c.slot, SLOT)),
        Part::Traces(lines) => lines
            .iter()
            .all(|t| hex_id(&t.trace, 16) && hex_id(&t.slot, SLOT)),
        Part::Lookups(lines) => lines.iter().all(|l| hex_id(&l.blind, 16)),
        _ => true,
    };
    if good {
        Ok(())
    } else {
        Err(form(
            "an id in a list for restoring is not in its text form",
        ))
    }
}

/// A part stands where another belongs.
pub(super) fn instead(part: &Part, wanted: &str) -> ArchiveError {
    let what = match part {
        Part::Bundle { n, leaves } => format!("bundle {n} of {} entries", leaves.len()),
        Part::Tile { level, n, hashes } => format!(
            "the tile of level {level}, number {n}, of {} hashes",
            hashes.len()
        ),
        Part::Content { n, .. } => format!("content of bundle {n}"),
        Part::Sealed { n, .. } => format!("sealed content of bundle {n}"),
        Part::Checkpoints { n, .. } => format!("checkpoints of bundle {n}"),
        Part::Entries(_) => "entries of a part".into(),
        Part::Reports(_) => "reports".into(),
        Part::Catalogues(_) => "catalogues".into(),
        Part::Cases(_) => "cases".into(),
        Part::Traces(_) => "traces".into(),
        Part::Lookups(_) => "lookups".into(),
        Part::End(_) => "the end".into(),
    };
    form(format!("{wanted} belongs where it has {what}"))
}
