//! Reading an export as a stream: member by member, in the order in which it must have been written.

use std::io::Read;

use serde::de::DeserializeOwned;

use super::{
    BRIDGES, Bridges, CHECKPOINT, CaseLine, CatalogueLine, CheckpointLine, ContentLine, END, End,
    EntryLine, List, LookupLine, MANIFEST, Manifest, ReportLine, Scope, SealedLine, TraceLine,
    VERSION,
};
use crate::ledger::note::MAX_NOTE;
use crate::ledger::tile::{self, WIDTH};
use crate::ledger::{Hash, MAX_LEAF, Timestamp};
use crate::verify::format::Bridge;

/// Longest member that is read: a bundle of the longest leaves, a piece of a list whose last line is the longest
/// content that a ledger takes.
const MAX_MEMBER: u64 = 64 << 20;

/// Why a file is not an export.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no export file, or none of this version.
    #[error("this is not an export file of a ledger (version {VERSION}): {0}")]
    Form(String),
    /// It breaks off.
    #[error(
        "the file breaks off before its end: it was not written whole, or something was cut off"
    )]
    Truncated,
}

/// One member, or a piece of one.
#[derive(Debug)]
pub enum Part {
    /// Entries from position `256·n` on: the exact leaves.
    Bundle {
        /// Number of the bundle.
        n: u64,
        /// The leaves.
        leaves: Vec<Vec<u8>>,
    },
    /// Hashes of a tile.
    Tile {
        /// Level.
        level: u8,
        /// Number within the level.
        n: u64,
        /// The hashes.
        hashes: Vec<Hash>,
    },
    /// Content of entries of the bundle `n`.
    Content {
        /// Number of the bundle.
        n: u64,
        /// A piece of the list.
        lines: Vec<ContentLine>,
    },
    /// Sealed content of entries of the bundle `n`.
    Sealed {
        /// Number of the bundle.
        n: u64,
        /// A piece of the list.
        lines: Vec<SealedLine>,
    },
    /// Checkpoints of the commits that ended in the bundle `n`.
    Checkpoints {
        /// Number of the bundle.
        n: u64,
        /// A piece of the list.
        lines: Vec<CheckpointLine>,
    },
    /// Entries with their proofs.
    Entries(Vec<EntryLine>),
    /// Reports.
    Reports(Vec<ReportLine>),
    /// Message catalogues.
    Catalogues(Vec<CatalogueLine>),
    /// Cases.
    Cases(Vec<CaseLine>),
    /// Traces.
    Traces(Vec<TraceLine>),
    /// Keyed images.
    Lookups(Vec<LookupLine>),
    /// The end: nothing comes after it.
    End(End),
}

/// An export that is being read.
pub struct Reader<R: Read> {
    source: Source<R>,
    manifest: Manifest,
    checkpoint: String,
    bridges: Vec<Bridge>,
    /// A member that was read to see whether it is the bridges.
    ahead: Option<(String, Vec<u8>)>,
    last: Option<(List, u64)>,
    ended: bool,
}

impl<R: Read> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({:?})", self.manifest)
    }
}

impl<R: Read> Reader<R> {
    /// Reads the beginning: manifest and checkpoint. Neither is verified.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn open(input: R) -> Result<Self, ArchiveError> {
        let mut source = Source(input);
        let manifest: Manifest = match source.member()? {
            Some((name, bytes)) if name == MANIFEST => object(MANIFEST, &bytes)?,
            _ => return Err(form("its first member must be export.json")),
        };
        if manifest.v != VERSION {
            return Err(form(format!("it says version {}", manifest.v)));
        }
        if Timestamp::parse_canonical(&manifest.exported).is_none() {
            return Err(form("its export.json does not tell when it was taken"));
        }
        let checkpoint = match source.member()? {
            Some((name, bytes)) if name == CHECKPOINT && bytes.len() <= MAX_NOTE => {
                String::from_utf8(bytes).map_err(|_| form("its checkpoint is not text"))?
            }
            Some(_) => return Err(form("its second member must be the checkpoint")),
            None => return Err(ArchiveError::Truncated),
        };
        let mut ahead = source.member()?;
        let bridges = match &ahead {
            Some((name, bytes)) if name == BRIDGES && manifest.scope != Scope::Whole => {
                let read: Bridges = object(BRIDGES, bytes)?;
                ahead = None;
                read.bridges
            }
            _ => Vec::new(),
        };
        Ok(Self {
            source,
            manifest,
            checkpoint,
            bridges,
            ahead,
            last: None,
            ended: false,
        })
    }

    /// What the file says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The checkpoint that everything is proven to, as it stands in the file.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// What joins the checkpoint's key to earlier ones; only in the export of a part.
    #[must_use]
    pub fn bridges(&self) -> &[Bridge] {
        &self.bridges
    }

    /// The next part; `None` after the end.
    ///
    /// # Errors
    /// See [`ArchiveError`]; a file without its last member is [`ArchiveError::Truncated`].
    pub fn next_part(&mut self) -> Result<Option<Part>, ArchiveError> {
        let next = match self.ahead.take() {
            Some(member) => Some(member),
            None => self.source.member()?,
        };
        let Some((name, bytes)) = next else {
            return if self.ended {
                Ok(None)
            } else {
                Err(ArchiveError::Truncated)
            };
        };
        if self.ended {
            return Err(form(format!("`{name}` comes after the end")));
        }
        let part = self.part(&name, &bytes)?;
        self.ended = matches!(part, Part::End(_));
        Ok(Some(part))
    }

    fn part(&mut self, name: &str, bytes: &[u8]) -> Result<Part, ArchiveError> {
        if name == END {
            return object(name, bytes).map(Part::End);
        }
        if let Some((n, width)) = name.strip_prefix("tile/entries/").and_then(tile::parse) {
            let leaves = tile::decode_bundle(bytes)
                .filter(|l| l.len() as u64 == width && l.iter().all(|l| l.len() <= MAX_LEAF))
                .ok_or_else(|| form(format!("`{name}` is not a bundle of {width} entries")))?;
            let leaves = leaves.into_iter().map(<[u8]>::to_vec).collect();
            return Ok(Part::Bundle { n, leaves });
        }
        if let Some((level, rest)) = name.strip_prefix("tile/").and_then(|r| r.split_once('/')) {
            let level: u8 = level
                .parse()
                .ok()
                .filter(|l: &u8| *l < 8 && l.to_string() == level)
                .ok_or_else(|| unknown(name))?;
            let (n, width) = tile::parse(rest).ok_or_else(|| unknown(name))?;
            let (hashes, odd) = bytes.as_chunks::<32>();
            if hashes.len() as u64 != width || !odd.is_empty() || width > WIDTH {
                return Err(form(format!("`{name}` is not a tile of {width} hashes")));
            }
            let hashes = hashes.iter().map(|h| Hash(*h)).collect();
            return Ok(Part::Tile { level, n, hashes });
        }
        let (list, piece) = List::parse(name).ok_or_else(|| unknown(name))?;
        let expected = match self.last {
            Some((last, at)) if last == list => at + 1,
            _ => 0,
        };
        if piece != expected {
            return Err(form(format!(
                "`{name}` is out of order: a piece is absent or stands twice"
            )));
        }
        self.last = Some((list, piece));
        Ok(match list {
            List::Content(n) => Part::Content {
                n,
                lines: lines(name, bytes)?,
            },
            List::Sealed(n) => Part::Sealed {
                n,
                lines: lines(name, bytes)?,
            },
            List::Checkpoints(n) => Part::Checkpoints {
                n,
                lines: lines(name, bytes)?,
            },
            List::Entries => Part::Entries(lines(name, bytes)?),
            List::Reports => Part::Reports(lines(name, bytes)?),
            List::Catalogues => Part::Catalogues(lines(name, bytes)?),
            List::Cases => Part::Cases(lines(name, bytes)?),
            List::Traces => Part::Traces(lines(name, bytes)?),
            List::Lookups => Part::Lookups(lines(name, bytes)?),
        })
    }
}

fn form(what: impl Into<String>) -> ArchiveError {
    ArchiveError::Form(what.into())
}

fn unknown(name: &str) -> ArchiveError {
    form(format!("its member `{name}` has no meaning"))
}

fn object<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ArchiveError> {
    serde_json::from_slice(bytes).map_err(|e| form(format!("`{name}`: {e}")))
}

fn lines<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<Vec<T>, ArchiveError> {
    let body = bytes
        .strip_suffix(b"\n")
        .ok_or_else(|| form(format!("`{name}` does not end its last line")))?;
    body.split(|b| *b == b'\n')
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_slice(line).map_err(|e| form(format!("`{name}`, line {}: {e}", i + 1)))
        })
        .collect()
}

/// Members of a tar file, one after the other. Only what an export is made of, regular files with short names; whatever
/// else tar files may hold (links, sparse files, long names, other headers) is refused.
struct Source<R: Read>(R);

const BLOCK: usize = 512;

impl<R: Read> Source<R> {
    /// The next member; `None` at the end of the file.
    fn member(&mut self) -> Result<Option<(String, Vec<u8>)>, ArchiveError> {
        let mut header = tar::Header::new_ustar();
        if !self.fill(header.as_mut_bytes())? {
            return Err(ArchiveError::Truncated);
        }
        if header.as_bytes().iter().all(|b| *b == 0) {
            return self.rest_is_empty().map(|()| None);
        }
        let sum = header.as_bytes().iter().enumerate().map(|(i, b)| {
            // The field of the sum itself counts as spaces.
            u32::from(if (148..156).contains(&i) { b' ' } else { *b })
        });
        let sum = sum.sum::<u32>();
        let prefix = header.as_ustar().map(|u| u.prefix.iter().any(|b| *b != 0));
        if prefix != Some(false) || header.cksum().ok() != Some(sum) {
            return Err(form("it is not a tar file (POSIX ustar, short names)"));
        }
        let path = header
            .path()
            .map_err(|_| form("a member's name is not text"))?;
        let name = path
            .to_str()
            .ok_or_else(|| form("a member's name is not text"))?
            .to_owned();
        if header.entry_type() != tar::EntryType::Regular {
            return Err(form(format!("`{name}` is not a regular file")));
        }
        let size = header
            .size()
            .map_err(|_| form(format!("the length of `{name}` is not a number")))?;
        if size > MAX_MEMBER {
            return Err(form(format!("`{name}` is longer than {MAX_MEMBER} bytes")));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.0).take(size).read_to_end(&mut bytes)?;
        if read as u64 != size {
            return Err(ArchiveError::Truncated);
        }
        let padding = read.next_multiple_of(BLOCK) - read;
        let mut pad = [0; BLOCK];
        if !self.fill(&mut pad[..padding])? {
            return Err(ArchiveError::Truncated);
        }
        if pad.iter().any(|b| *b != 0) {
            return Err(form(format!("there is something behind `{name}`")));
        }
        Ok(Some((name, bytes)))
    }

    /// Fills the whole buffer; false when the input ends before.
    fn fill(&mut self, into: &mut [u8]) -> Result<bool, ArchiveError> {
        match self.0.read_exact(into) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn rest_is_empty(&mut self) -> Result<(), ArchiveError> {
        let mut rest = [0; 8 * BLOCK];
        loop {
            match self.0.read(&mut rest)? {
                0 => return Ok(()),
                n if rest[..n].iter().any(|b| *b != 0) => {
                    return Err(form("there is something behind its end"));
                }
                _ => {}
            }
        }
    }
}
