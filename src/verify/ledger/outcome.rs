//! What a verifier says of a whole ledger: verdicts apart, problems with stable codes and places, the first break, and
//! the last point that is still good.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::ledger::{Hash, Id16};
use crate::verify::outcome::{Freshness, Integrity, Verdict};

/// Which verdict a problem decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Entries, chain, tree or checkpoints are not what was signed.
    Integrity,
    /// The chain of a case is not whole, or an identity stands twice.
    Sequence,
    /// Stored content is not what the entries commit to.
    Content,
    /// A row that can be computed again is another than what it is computed to.
    Index,
    /// What was brought from outside could not be used.
    Freshness,
    /// The history of the ledger's keys does not lead to a pinned one.
    Keys,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal $part:ident;)*) => {
        /// Stable codes of problems with a ledger: an interface, extend with care.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum LedgerCode {
            $($(#[$doc])* $name,)*
        }

        impl LedgerCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Which verdict it decides.
            #[must_use]
            pub fn part(self) -> Part {
                match self { $(Self::$name => Part::$part,)* }
            }
        }
    };
}

codes! {
    /// A checkpoint that the auditor kept has another root than this ledger at its size.
    OutsideContradiction = "outside.contradiction" Integrity;
    /// An outside checkpoint, receipt or report proves more entries than the ledger has.
    OutsideTruncated = "outside.truncated" Integrity;
    /// The entry that a receipt or report proves is another one in this ledger.
    OutsideEntry = "outside.entry" Integrity;
    /// The guard file vouches for more entries than the ledger has.
    GuardAhead = "guard.ahead" Integrity;
    /// The guard's checkpoint belongs to another history.
    GuardFork = "guard.fork" Integrity;
    /// There is no guard file, or it holds nothing that can be used.
    GuardUnusable = "guard.unusable" Integrity;
    /// The file `origin` names another ledger than the entries.
    OriginDiffers = "origin.differs" Index;
    /// An entry below the head is not there.
    EntryAbsent = "entry.absent" Integrity;
    /// An entry stands where there can be none.
    EntryBeyond = "entry.beyond" Integrity;
    /// A leaf is not of format v1.
    LeafForm = "leaf.form" Integrity;
    /// A leaf has a member that format v1 does not know.
    LeafUnknown = "leaf.unknown_member" Integrity;
    /// A leaf is not in canonical form.
    LeafNotCanonical = "leaf.not_canonical" Integrity;
    /// A leaf's bytes are not those that chain and tree hold.
    LeafAltered = "leaf.altered" Integrity;
    /// A leaf is of another ledger.
    LeafOrigin = "leaf.origin" Integrity;
    /// A leaf states another position than the one it stands at.
    LeafSeq = "leaf.seq" Integrity;
    /// A leaf's link to the entry before does not hold.
    LeafPrev = "leaf.prev" Integrity;
    /// The ledger's time goes backwards.
    LeafRecorded = "leaf.recorded" Integrity;
    /// An entry that is not the service's own carries a `fact`.
    LeafFact = "leaf.fact" Integrity;
    /// The ledger's first entry is not `ledger.created`, or a second one is.
    GenesisAbsent = "genesis.absent" Integrity;
    /// The ledger's first entry does not name the ledger's keys.
    GenesisForm = "genesis.form" Integrity;
    /// There is no signed checkpoint of the head, or one between is taken away.
    CheckpointAbsent = "checkpoint.absent" Integrity;
    /// A checkpoint is not a signed note that holds a checkpoint.
    CheckpointForm = "checkpoint.form" Integrity;
    /// A checkpoint is of another ledger.
    CheckpointOrigin = "checkpoint.origin" Integrity;
    /// A stored checkpoint is of another size than its row says, or beyond the head.
    CheckpointSize = "checkpoint.size" Integrity;
    /// A checkpoint's root is not that of the entries.
    CheckpointRoot = "checkpoint.root" Integrity;
    /// The key in force did not sign a checkpoint.
    CheckpointKey = "checkpoint.key" Integrity;
    /// A signature on a checkpoint is wrong.
    CheckpointSignature = "checkpoint.signature" Integrity;
    /// The hashes that a source serves are not those of its entries.
    TileDiffers = "tile.differs" Integrity;
    /// A file is not an export in the form that the format gives.
    ExportForm = "export.form" Integrity;
    /// An export file breaks off.
    ExportTruncated = "export.truncated" Integrity;
    /// What an export says of itself is not what it holds.
    ExportManifest = "export.manifest" Integrity;
    /// An entry of a part is not proven to stand under the part's checkpoint.
    LeafInclusion = "leaf.inclusion" Integrity;
    /// An entry does not belong to the part that holds it.
    PartScope = "part.scope" Integrity;
    /// Somebody else may have held the key that signed, and nobody outside saw the entries before.
    KeyCompromised = "key.compromised" Integrity;
    /// No pinned key is one that the ledger names.
    KeyPin = "key.pin" Keys;
    /// A change of keys does not join up.
    KeyRotation = "key.rotation" Keys;
    /// A change of keys does not end its commit, or its checkpoint does not carry both signatures.
    KeyBridge = "key.bridge" Keys;
    /// Two entries have one identity.
    IdentityDoubled = "identity.doubled" Sequence;
    /// An entry of a case is not there.
    CaseGap = "case.gap" Sequence;
    /// Two entries claim one position in a case.
    CaseDoubled = "case.doubled" Sequence;
    /// An entry's link to the case's entry before does not hold.
    CasePrev = "case.prev" Sequence;
    /// One case id leads to two pseudonyms, or one pseudonym to two case ids.
    CaseIds = "case.ids" Sequence;
    /// Content is not there, and no entry tells of its erasure.
    ContentMissing = "content.missing" Content;
    /// Sealed content does not open.
    ContentSealed = "content.sealed" Content;
    /// Content is there although the entry commits to none, or lies beside an erased one.
    ContentExtra = "content.extra" Content;
    /// Content opens, and is not what the entry commits to.
    ContentCommitment = "content.commitment" Content;
    /// A disclosure is malformed, doubled, misplaced, or referred to by nothing.
    ContentForm = "content.form" Content;
    /// The entry's identity, trace or time is not the image of the content's.
    ContentIdentity = "content.identity" Content;
    /// Content is sealed under another secret than its case's or trace's.
    ContentSlot = "content.slot" Content;
    /// An entry's fact does not say in the prescribed form what was erased.
    ErasureForm = "erasure.form" Content;
    /// A stored report is not what its entry put on record.
    ReportPayload = "report.payload" Content;
    /// The report key in force did not sign a stored report.
    ReportSignature = "report.signature" Content;
    /// A report that is on record is not stored.
    ReportAbsent = "report.absent" Content;
    /// A row that the entries call for is not there.
    RowAbsent = "row.absent" Index;
    /// A row is there that nothing calls for.
    RowExtra = "row.extra" Index;
    /// A row has another value than what is computed from the entries.
    RowDiffers = "row.differs" Index;
    /// The database's tables, triggers, views or indexes are not those that this program makes.
    SchemaDiffers = "schema.differs" Index;
    /// What was brought from outside cannot be used.
    OutsideUnusable = "outside.unusable" Freshness;
}

impl Serialize for LedgerCode {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

/// One thing wrong with a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerProblem {
    /// Stable code.
    pub code: LedgerCode,
    /// Which verdict it decides.
    pub touches: Part,
    /// Where: `entry 17`, or table, key and column.
    pub place: String,
    /// What is wrong and what it touches, in plain words.
    pub explanation: String,
    /// The lowest position that it touches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Pseudonym of the case that it touches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Size of the commit that the position belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
}

/// At most this many problems are listed; all are counted.
pub const MAX_PROBLEMS: usize = 100;

/// The problems found so far: the first hundred, the lowest of all, and how many of each code.
#[derive(Debug, Default)]
pub struct LedgerLog {
    listed: Vec<LedgerProblem>,
    lowest: Option<LedgerProblem>,
    counts: BTreeMap<LedgerCode, u64>,
}

impl LedgerLog {
    /// Notes a problem. `seq` is the lowest position that it touches, where there is one.
    pub fn add(
        &mut self,
        code: LedgerCode,
        seq: Option<u64>,
        case: Option<Id16>,
        place: impl Into<String>,
        explanation: impl Into<String>,
    ) {
        let count = self.counts.entry(code).or_default();
        *count += 1;
        let first = *count == 1;
        let lower = seq.is_some_and(|s| {
            let lowest = self.lowest.as_ref().and_then(|l| l.seq);
            breaks(code) && lowest.is_none_or(|l| (s, code) < (l, self.lowest_code()))
        });
        // A code's first occurrence is always listed, so that no kind of damage hides behind another.
        let list = self.listed.len() < MAX_PROBLEMS || first;
        if !lower && !list {
            return;
        }
        let problem = LedgerProblem {
            code,
            touches: code.part(),
            place: place.into(),
            explanation: explanation.into(),
            seq,
            case: case.map(|c| c.to_hex()),
            commit: None,
        };
        if lower {
            self.lowest = Some(problem.clone());
        }
        if list {
            self.listed.push(problem);
        }
    }

    fn lowest_code(&self) -> LedgerCode {
        self.lowest
            .as_ref()
            .map_or(LedgerCode::OutsideUnusable, |l| l.code)
    }

    /// Notes a problem with an entry.
    pub fn entry(
        &mut self,
        code: LedgerCode,
        seq: u64,
        case: Option<Id16>,
        explanation: impl Into<String>,
    ) {
        self.add(code, Some(seq), case, format!("entry {seq}"), explanation);
    }

    /// How many problems decide this verdict.
    #[must_use]
    pub fn count(&self, part: Part) -> u64 {
        let of_part = self.counts.iter().filter(|(c, _)| c.part() == part);
        of_part.map(|(_, n)| n).sum()
    }

    /// How many problems of this code.
    #[must_use]
    pub fn count_of(&self, code: LedgerCode) -> u64 {
        self.counts.get(&code).copied().unwrap_or(0)
    }

    /// Whether this code was noted.
    #[must_use]
    pub fn has(&self, code: LedgerCode) -> bool {
        self.counts.contains_key(&code)
    }

    /// The first problem that decides this verdict, as found.
    #[must_use]
    pub fn first(&self, part: Part) -> Option<&LedgerProblem> {
        self.listed.iter().find(|p| p.touches == part)
    }

    /// The lowest position at which the record itself is broken.
    #[must_use]
    pub fn lowest_break(&self) -> Option<u64> {
        self.lowest.as_ref().and_then(|p| p.seq)
    }

    /// Adds to every listed problem the commit that its position belongs to.
    pub fn locate(&mut self, commit_of: impl Fn(u64) -> Option<u64>) {
        for p in self.listed.iter_mut().chain(self.lowest.as_mut()) {
            p.commit = p.seq.and_then(&commit_of);
        }
    }

    /// All counts, and the listed problems: gravest first (what contradicts outside evidence), then by position.
    pub(super) fn into_parts(
        mut self,
    ) -> (
        Vec<LedgerProblem>,
        Option<LedgerProblem>,
        BTreeMap<LedgerCode, u64>,
    ) {
        let outside = |p: &LedgerProblem| p.code > LedgerCode::GuardFork;
        let loose = |p: &LedgerProblem| !breaks(p.code);
        self.listed
            .sort_by_key(|p| (outside(p), loose(p), p.seq.unwrap_or(u64::MAX), p.code));
        (self.listed, self.lowest, self.counts)
    }
}

/// Whether a problem of this code breaks the record itself at its position, and not only what is derived from it.
fn breaks(code: LedgerCode) -> bool {
    code != LedgerCode::KeyCompromised
        && matches!(
            code.part(),
            Part::Integrity | Part::Sequence | Part::Content | Part::Keys
        )
}

/// Is every case's chain complete, and every identity unique?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerSequence {
    /// Yes.
    Complete,
    /// The entries of a part are linked as far as the part goes.
    Part,
    /// The source breaks off.
    NotChecked,
    /// No.
    Broken,
}

/// Is the stored content what the entries commit to?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerContent {
    /// All content that is held was opened and is.
    Checked,
    /// Lists of digests were compared with the entries; the values behind them were not all seen.
    ByDigests,
    /// What some entries say is not in an export, and no entry in it tells of an erasure.
    Incomplete,
    /// No content was looked at.
    NotChecked,
    /// It is not.
    Broken,
}

/// Are the rows that are derived from the entries sound?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerIndex {
    /// Every one was computed again.
    Sound,
    /// Some differ.
    Broken,
    /// The source has none, or they were left out.
    NotChecked,
}

/// Do the ledger's keys lead to a pinned one?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerKeys {
    /// Each key in force is pinned, or a chain of changes joins it to a pinned one.
    Good,
    /// The source breaks off before entry 0 names any.
    NotChecked,
    /// They do not.
    Broken,
}

/// The six verdicts on a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerVerdicts {
    /// Are entries, chain, tree and checkpoints as they were signed?
    pub integrity: Verdict<Integrity>,
    /// Are all cases whole, all identities unique?
    pub sequence: Verdict<LedgerSequence>,
    /// Is the content what the entries commit to?
    pub content: Verdict<LedgerContent>,
    /// Are derived rows sound?
    pub index: Verdict<LedgerIndex>,
    /// As of when, by whose word outside the operator?
    pub freshness: Verdict<Freshness>,
    /// Do the keys lead to a pinned one?
    pub keys: Verdict<LedgerKeys>,
}

/// Whose word stands for the ledger, and up to where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Word {
    /// Whose: a witness's key name, or what the auditor brought along.
    pub by: String,
    /// Up to which size.
    pub size: u64,
    /// When a witness signed, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// How long ago that was, in seconds, when the caller said what time it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
}

/// A point of the ledger that is good: a signed checkpoint confirms it, and nothing below it is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GoodTo {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree of that size, base64 as in a checkpoint.
    pub root: String,
    /// Whose checkpoint confirms it.
    pub by: String,
}

/// How much content is in which state. Entries without content are in none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ContentCounts {
    /// Entries that commit to content.
    pub committed: u64,
    /// Opened, and every disclosure seen.
    pub opened: u64,
    /// Compared by the list of digests, some of what is behind it not shown.
    pub by_digests: u64,
    /// Erased, as a later entry says.
    pub erased: u64,
    /// Not there, and no entry that was read tells of an erasure.
    pub missing: u64,
}

/// Which part of a ledger was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartRead {
    /// Every position, both ends included, as far as the ledger went.
    Range {
        /// First position.
        first: u64,
        /// Last position.
        last: u64,
    },
    /// Those of one case.
    Case {
        /// Its pseudonym.
        case: String,
    },
}

/// The outcome of checking a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerCheck {
    /// The verdicts, apart.
    pub verdicts: LedgerVerdicts,
    /// The lowest position at which the record is broken, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_break: Option<LedgerProblem>,
    /// The last point that is still good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_to: Option<GoodTo>,
    /// What is wrong, at most a hundred and the first of each kind: contradictions first, then by position. Empty
    /// means: the ledger is accepted.
    pub problems: Vec<LedgerProblem>,
    /// How many problems of each code, those not listed included.
    pub counts: BTreeMap<LedgerCode, u64>,
    /// Origin of the ledger.
    pub ledger: String,
    /// Number of entries that were read.
    pub entries: u64,
    /// Number of entries of the ledger.
    pub size: u64,
    /// Root of the tree over them, base64 as in a checkpoint.
    pub root: String,
    /// When entries below this size were not read: they rest on the checkpoint of this size that the auditor pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// When a part was checked: which. The verdicts speak of its entries alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<PartRead>,
    /// Stored checkpoints whose root and signature were found good.
    pub checkpoints: u64,
    /// By whose word outside the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word: Option<Word>,
    /// States of the content.
    pub content: ContentCounts,
}

impl LedgerCheck {
    /// Whether anything at all is wrong.
    #[must_use]
    pub fn refused(&self) -> bool {
        !self.counts.is_empty()
    }
}

/// A root in the form of a checkpoint.
pub(super) fn root_text(root: &Hash) -> String {
    root.to_b64()
}
