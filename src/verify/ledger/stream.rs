//! The streaming check: leaves in order, one look at each, memory that does not grow with the ledger.

use super::keys::KeyHistory;
use super::outcome::{LedgerCode, LedgerLog, PartRead, Word};
use super::outside::{Outside, OutsideCheckpoint, OutsideEntry};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::keys::{KEY_ROTATED, LEDGER_CREATED};
use crate::ledger::note::{Algorithm, Note, NoteError, Vkey};
use crate::ledger::tree::{Frontier, NodeId};
use crate::ledger::{Hash, Leaf, LeafError, Timestamp};
use crate::verify::keys::{Compromise, unprovable};
use crate::verify::service::is_service;

/// By whose word a stored checkpoint confirms a size.
pub(super) const OWN_KEY: &str = "the ledger's own checkpoint key";

/// How many confirmed sizes are kept for naming the last good point; with more, every second one is let go.
const KEPT_SIZES: usize = 65_536;

/// A leaf, read: what can be done for many leaves at once, without knowing the one before.
#[derive(Debug, Clone)]
pub struct Read {
    /// Its leaf hash.
    pub hash: Hash,
    /// What it says.
    pub leaf: Result<Leaf, LeafError>,
}

/// Reads a leaf.
#[must_use]
pub fn read(bytes: &[u8]) -> Read {
    Read {
        hash: Hash::leaf(bytes),
        leaf: Leaf::decode(bytes),
    }
}

/// What the stream gives to whoever checks more than the stream can.
pub trait Sink {
    /// An entry that stands in chain and tree, with its leaf hash. Entries that are altered or absent are not given.
    fn entry(&mut self, seq: u64, hash: &Hash, leaf: &Leaf);
    /// A complete subtree of the tree.
    fn node(&mut self, _: NodeId, _: Hash) {}
}

/// Nothing more is checked.
impl Sink for () {
    fn entry(&mut self, _: u64, _: &Hash, _: &Leaf) {}
}

/// What is pinned, and what the auditor brought along.
#[derive(Debug, Default, Clone)]
pub struct Pins {
    /// Origin of the ledger.
    pub origin: String,
    /// The ledger's pinned checkpoint keys, and keys of witnesses.
    pub keys: Vec<Vkey>,
    /// Checkpoints from outside.
    pub checkpoints: Vec<OutsideCheckpoint>,
    /// Entries that receipts and reports prove.
    pub entries: Vec<OutsideEntry>,
    /// Keys that somebody else may have held, beside those of which the ledger itself says so.
    pub compromised: Vec<Compromise>,
}

/// What is known of the entries that are not read again, from a checkpoint that the auditor pinned.
#[derive(Debug, Clone)]
pub struct Begin {
    /// The edge of the tree; its root is the pinned checkpoint's.
    pub frontier: Frontier,
    /// Hash of the last entry below.
    pub prev: Hash,
    /// When the last entry below was recorded.
    pub recorded: Timestamp,
    /// The keys up to there.
    pub keys: KeyHistory,
    /// Note of the pinned checkpoint.
    pub note: String,
}

/// The last entry, while it is open whether its bytes or the hash that the source claims for it is the true one: the
/// next entry's link and the next checkpoint decide.
struct Pending {
    seq: u64,
    leaf: Option<Leaf>,
    hash: Option<Hash>,
    claimed: Option<Hash>,
}

/// A checkpoint that the source holds for the entries that were taken so far.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// The signed note.
    pub note: &'a str,
    /// Where it stands, in words for people.
    pub place: &'a str,
}

/// How much of a ledger the source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Covered {
    /// It went on to the ledger's end.
    ToTheEnd,
    /// It broke off: what was read is the beginning of a ledger.
    Beginning,
    /// A part, each entry with its proof.
    Part {
        /// Which.
        scope: PartRead,
        /// Whether the source went on to the end of the part.
        ended: bool,
    },
}

/// What the stream came to.
#[derive(Debug)]
pub struct Streamed {
    /// Origin of the ledger.
    pub origin: String,
    /// Entries below this were not read.
    pub from: u64,
    /// Number of entries.
    pub size: u64,
    /// How many of them were read.
    pub read: u64,
    /// How much of the ledger that was.
    pub covered: Covered,
    /// Root of the tree over them.
    pub root: Hash,
    /// The ledger's keys.
    pub keys: KeyHistory,
    /// Sizes that a signed checkpoint confirms, with the root and whose checkpoint it is, ascending. Of very many, some
    /// are left out.
    pub confirmed: Vec<(u64, Hash, String)>,
    /// How many stored checkpoints were found good.
    pub checkpoints: u64,
    /// By whose word outside the operator.
    pub word: Option<Word>,
    /// Whether something from outside contradicts the ledger.
    pub contradicted: bool,
    /// What is wrong.
    pub log: LedgerLog,
}

/// Checks a stream of leaves and checkpoints.
pub struct Checker {
    origin: String,
    pinned: Vec<Vkey>,
    from: u64,
    frontier: Frontier,
    /// Hash of the last entry; `None` when it is absent and nothing says what it was.
    prev: Option<Hash>,
    recorded: Timestamp,
    keys: KeyHistory,
    outside: Outside,
    compromised: Vec<Compromise>,
    pending: Option<Pending>,
    confirmed: Vec<(u64, Hash, String)>,
    checkpoints: u64,
    /// The last checkpoint had another root: what follows from that is said once, not for every later checkpoint.
    lost: bool,
    /// Size at which the commit of a change of keys must end.
    rotated: Option<u64>,
    log: LedgerLog,
}

impl Checker {
    /// Begins with the first entry.
    #[must_use]
    pub fn new(pins: Pins) -> Self {
        let mut log = LedgerLog::default();
        let outside = Outside::new(&pins.origin, pins.checkpoints, pins.entries, &mut log);
        Self {
            origin: pins.origin,
            pinned: pins.keys,
            from: 0,
            frontier: Frontier::new(),
            prev: Some(Hash::ZERO),
            recorded: Timestamp::EPOCH,
            keys: KeyHistory::default(),
            outside,
            compromised: pins.compromised,
            pending: None,
            confirmed: Vec::new(),
            checkpoints: 0,
            lost: false,
            rotated: None,
            log,
        }
    }

    /// Begins after the entries of a checkpoint that the auditor pinned.
    #[must_use]
    pub fn resume(pins: Pins, begin: Begin) -> Self {
        let mut checker = Self::new(pins);
        checker.from = begin.frontier.size();
        checker.frontier = begin.frontier;
        checker.prev = Some(begin.prev);
        checker.recorded = begin.recorded;
        checker.keys = begin.keys;
        checker.confirm("the checkpoint that the check began with".to_owned());
        checker.compare_outside();
        checker
    }

    /// How many entries the ledger has so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size() + u64::from(self.pending.is_some())
    }

    /// The keys so far.
    #[must_use]
    pub fn keys(&self) -> &KeyHistory {
        &self.keys
    }

    /// Where further checks note what they find.
    pub fn log(&mut self) -> &mut LedgerLog {
        &mut self.log
    }

    /// The root of the tree over the entries that are settled.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Settles what the last entry is, with the root of an unsigned commit that ends with it as a hint.
    pub fn settled(&mut self, root: Option<Hash>, sink: &mut impl Sink) {
        self.settle(None, root, sink);
    }

    /// Takes the next leaf. `claimed` is the leaf hash that the source itself holds for it (a stored node, a tile).
    pub fn leaf(&mut self, read: Read, claimed: Option<Hash>, sink: &mut impl Sink) {
        let seq = self.size();
        let leaf = match read.leaf {
            Ok(leaf) => Some(leaf),
            Err(e) => {
                self.unreadable(seq, &e);
                None
            }
        };
        self.settle(leaf.as_ref().map(|l| l.prev), None, sink);
        if let Some(leaf) = &leaf {
            self.judge(seq, leaf);
        }
        self.pending = Some(Pending {
            seq,
            leaf,
            hash: Some(read.hash),
            claimed,
        });
    }

    /// The next entry is not there.
    pub fn absent(&mut self, claimed: Option<Hash>, sink: &mut impl Sink) {
        let seq = self.size();
        self.settle(None, None, sink);
        let text = format!(
            "Entry {seq} is not there, although the ledger goes on after it: it was taken away. What it said cannot be computed from anything else."
        );
        self.log.entry(LedgerCode::EntryAbsent, seq, None, text);
        self.pending = Some(Pending {
            seq,
            leaf: None,
            hash: None,
            claimed,
        });
    }

    /// Compares a checkpoint that the source holds with the entries so far; gives whether it is good.
    pub fn stored(&mut self, stored: Stored<'_>, sink: &mut impl Sink) -> bool {
        let size = self.size();
        let place = stored.place;
        let last = Some(size.saturating_sub(1));
        let (checkpoint, note) = match Checkpoint::parse_unverified(stored.note) {
            Ok(read) => read,
            Err(e) => {
                let text = format!("The checkpoint of {size} entries cannot be read: {e}.");
                self.log
                    .add(LedgerCode::CheckpointForm, last, None, place, text);
                return false;
            }
        };
        if checkpoint.origin != self.origin {
            let text = format!(
                "The checkpoint of {size} entries is of the ledger `{}`, not of `{}`.",
                checkpoint.origin, self.origin
            );
            self.log
                .add(LedgerCode::CheckpointOrigin, last, None, place, text);
            return false;
        }
        if checkpoint.size != size {
            let text = format!(
                "A checkpoint of {} entries stands where the one of {size} entries belongs.",
                checkpoint.size
            );
            self.log
                .add(LedgerCode::CheckpointSize, last, None, place, text);
            return false;
        }
        self.settle(None, Some(checkpoint.root), sink);
        let signers = self.signers(size, &note, place);
        let good_root = checkpoint.root == self.frontier.root();
        match (&signers, good_root) {
            (Some(by), true) => {
                self.checkpoints += 1;
                self.confirm(by.clone());
            }
            (Some(_), false) if !self.lost => {
                let known = self.confirmed.last().map_or(self.from, |(s, ..)| *s);
                // What was found among these entries explains it; else only the range is known.
                let explained = self.log.lowest_break().is_some_and(|b| b >= known);
                let seq = Some(known).filter(|_| !explained);
                let text = format!(
                    "The signed checkpoint of {size} entries has another root than the entries that stand here: at least one of the \
                     entries {known} to {} is not what was signed.{}",
                    size - 1,
                    if explained {
                        ""
                    } else {
                        " They agree with each other, so they were rewritten together."
                    }
                );
                self.log
                    .add(LedgerCode::CheckpointRoot, seq, None, place, text);
            }
            _ => {}
        }
        if signers.is_some() {
            self.lost = !good_root;
        }
        signers.is_some() && good_root
    }

    /// Whose signature of those that must be there is on the note; notes what is wrong.
    fn signers(&mut self, size: u64, note: &Note<'_>, place: &str) -> Option<String> {
        let mut needed = self.keys.for_size(size);
        if needed.is_empty() {
            // Entry 0 names no key, which was said; the pinned ones are the best that is known.
            let own = |k: &&Vkey| k.algorithm() == Algorithm::Ed25519 && k.name() == self.origin;
            needed.extend(self.pinned.iter().filter(own).cloned());
        }
        let witnesses = self
            .pinned
            .iter()
            .filter(|k| k.algorithm() == Algorithm::CosignatureV1);
        let known: Vec<Vkey> = needed.iter().chain(witnesses).cloned().collect();
        let last = Some(size.saturating_sub(1));
        let good = match note.verify(&known) {
            Ok(good) => good,
            Err(NoteError::Unknown) => Vec::new(),
            Err(e) => {
                let text = format!(
                    "{e}: the checkpoint of {size} entries was changed after it was signed, or is forged."
                );
                self.log
                    .add(LedgerCode::CheckpointSignature, last, None, place, text);
                return None;
            }
        };
        let has = |k: &Vkey| good.contains(&k);
        if !needed.iter().any(has) {
            let text = format!(
                "The checkpoint of {size} entries does not bear the signature of the key that was in force ({}).",
                needed
                    .first()
                    .map_or_else(|| "none is known".to_owned(), Vkey::to_string)
            );
            self.log
                .add(LedgerCode::CheckpointKey, last, None, place, text);
            return None;
        }
        let due = self.rotated.filter(|at| size >= *at);
        if let Some(at) = due {
            self.rotated = None;
            if size == at && needed.iter().all(has) {
                self.keys.bridged(at);
            } else {
                let text = format!(
                    "The checkpoint key was changed by entry {}, and no checkpoint of {at} entries carries the signatures of both the old and the new key: \
                     nothing but the operator's word joins the two.",
                    at - 1
                );
                self.log
                    .add(LedgerCode::KeyBridge, Some(at - 1), None, place, text);
            }
        }
        let own = Checkpoint {
            origin: self.origin.clone(),
            size,
            root: self.frontier.root(),
        };
        witnessed(&own, note, &good, &mut self.outside);
        Some(OWN_KEY.to_owned())
    }

    /// Ends the stream. `unsigned` says that the newest commit is stored and its checkpoint is not yet: that is so for a
    /// moment after every commit, and nobody has been answered about its entries then.
    #[must_use]
    pub fn finish(self, unsigned: bool, sink: &mut impl Sink) -> Streamed {
        self.end(unsigned, Covered::ToTheEnd, sink)
    }

    /// Ends the stream where the source broke off. What lies beyond was not seen, so nothing is said of it: neither that
    /// it was cut off from the ledger, nor that checkpoints of it are absent.
    #[must_use]
    pub fn broke_off(self, sink: &mut impl Sink) -> Streamed {
        self.end(true, Covered::Beginning, sink)
    }

    fn end(mut self, unsigned: bool, covered: Covered, sink: &mut impl Sink) -> Streamed {
        self.settle(None, None, sink);
        let whole = covered == Covered::ToTheEnd;
        let size = self.frontier.size();
        if whole {
            self.outside
                .finish(self.from, size, &self.pinned, &self.keys, &mut self.log);
        }
        let known = self.confirmed.last().map(|(s, ..)| *s);
        if known != Some(size) && !self.lost && !unsigned {
            let from = known.unwrap_or(self.from);
            let text = if size == 0 {
                "The ledger has no entries, not even the one of its creation.".to_owned()
            } else {
                format!(
                    "No signed checkpoint confirms the entries {from} to {}: nobody vouches that they belong to this ledger.",
                    size - 1
                )
            };
            let seq = Some(from).filter(|_| !self.explained(from));
            self.log
                .add(LedgerCode::CheckpointAbsent, seq, None, "head", text);
        }
        if let Some(at) = self.rotated.filter(|_| whole) {
            let text = format!(
                "The checkpoint key was changed by entry {}, and the checkpoint of {at} entries that should carry both signatures was not seen.",
                at - 1
            );
            self.log
                .add(LedgerCode::KeyBridge, Some(at - 1), None, "keys", text);
        }
        if whole {
            self.pin();
        }
        self.stolen(size);
        Streamed {
            origin: self.origin,
            from: self.from,
            size,
            read: size - self.from,
            covered,
            root: self.frontier.root(),
            keys: self.keys,
            confirmed: self.confirmed,
            checkpoints: self.checkpoints,
            word: self.outside.word,
            contradicted: self.outside.contradicted,
            log: self.log,
        }
    }

    fn explained(&self, from: u64) -> bool {
        self.log.lowest_break().is_some_and(|b| b >= from)
    }

    /// Notes the entries that only a key vouches for which somebody else may have held.
    fn stolen(&mut self, size: u64) {
        let Some(facts) = self.keys.facts() else {
            return;
        };
        let gaps = unprovable(facts, &self.compromised, &self.outside.words, &self.pinned);
        for gap in gaps {
            let end = gap.end.unwrap_or(size).min(size);
            if gap.first >= end {
                continue;
            }
            let text = format!(
                "Somebody else may have held the checkpoint key {} since {}, and nobody outside says that the entries {} to {} were there before: \
                 the thief could have written them. They cannot be proven with this key; a cosignature or a checkpoint from before that time would.",
                gap.key,
                gap.since,
                gap.first,
                end - 1
            );
            self.log.add(
                LedgerCode::KeyCompromised,
                Some(gap.first),
                None,
                "keys",
                text,
            );
        }
    }

    /// Whether the ledger's keys lead to a pinned one.
    fn pin(&mut self) {
        if self.keys.newest().is_none() {
            let text = "The ledger names no keys, so nothing joins it to the pinned one.";
            return self.log.add(LedgerCode::KeyPin, None, None, "keys", text);
        }
        if self.keys.reaches(&self.pinned) {
            return;
        }
        let text = if self.keys.all().iter().any(|k| self.pinned.contains(k)) {
            "The ledger changed its checkpoint key, and no checkpoint with both signatures joins the new key to the pinned one. \
             Compare the new key with the operator's announcement and pin it as well."
                .to_owned()
        } else {
            format!(
                "None of the pinned keys is a checkpoint key of this ledger; it names {}. \
                 Either the pin is of another ledger, or this is not the ledger that you pinned.",
                self.keys.newest().map_or_else(String::new, Vkey::to_string)
            )
        };
        self.log.add(LedgerCode::KeyPin, None, None, "keys", text);
    }

    /// Decides what the last entry's hash is, and takes it into the tree. `next` is the link of the entry after it,
    /// `root` that of a checkpoint which ends with it.
    fn settle(&mut self, next: Option<Hash>, root: Option<Hash>, sink: &mut impl Sink) {
        let Some(p) = self.pending.take() else { return };
        let (hash, altered) = self.decide(&p, next, root);
        if let (Some(_), true, Some(leaf)) = (p.hash, altered, &p.leaf) {
            let text = format!(
                "The bytes of entry {} are not those that were put on record: the stored tree and what comes after hold another hash for it. It was changed in place.",
                p.seq
            );
            let case = leaf.case.map(|c| c.case);
            self.log.entry(LedgerCode::LeafAltered, p.seq, case, text);
        }
        if let Some(own) = &p.hash {
            self.outside.compare_entry(p.seq, own, &mut self.log);
        }
        self.prev = hash;
        let hash = hash.unwrap_or(Hash::ZERO);
        self.frontier.append(hash, |id, hash| sink.node(id, hash));
        if let (Some(leaf), false) = (&p.leaf, altered) {
            sink.entry(p.seq, &hash, leaf);
        }
        self.compare_outside();
    }

    /// The last entry's hash, and whether its bytes have another.
    fn decide(&self, p: &Pending, next: Option<Hash>, root: Option<Hash>) -> (Option<Hash>, bool) {
        let (own, claimed) = match (p.hash, p.claimed) {
            (Some(own), Some(claimed)) if own != claimed => (own, claimed),
            (Some(own), _) => return (Some(own), false),
            (None, claimed) => return (claimed.or(next), true),
        };
        let size = self.frontier.size() + 1;
        let roots: Vec<Hash> = root
            .into_iter()
            .chain(self.outside.roots(size).copied())
            .collect();
        let leads = |hash: Hash| {
            let mut tree = self.frontier.clone();
            tree.append(hash, |_, _| {});
            roots.contains(&tree.root())
        };
        if !roots.is_empty() && leads(own) {
            return (Some(own), false);
        }
        if !roots.is_empty() && leads(claimed) {
            return (Some(claimed), true);
        }
        match next {
            Some(next) if next == own => (Some(own), false),
            // Neither side is confirmed. That bytes were changed and the tree was left alone is the likelier of the two.
            _ => (Some(claimed), true),
        }
    }

    fn compare_outside(&mut self) {
        let size = self.frontier.size();
        if !self.outside.wants_root(size) {
            return;
        }
        let root = self.frontier.root();
        let agrees = self
            .outside
            .compare(size, &root, &self.pinned, &self.keys, &mut self.log);
        if let Some(by) = agrees {
            self.confirm(by);
        }
    }

    /// Notes that a signed checkpoint confirms the tree as it stands.
    fn confirm(&mut self, by: String) {
        let size = self.frontier.size();
        if self.confirmed.last().is_some_and(|(s, ..)| *s == size) {
            return;
        }
        if self.confirmed.len() >= KEPT_SIZES {
            let mut keep = false;
            self.confirmed.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.confirmed.push((size, self.frontier.root(), by));
    }

    fn unreadable(&mut self, seq: u64, e: &LeafError) {
        let (code, why) = reading(e);
        let text = format!("Entry {seq} cannot be read: {e}. {why}");
        self.log.entry(code, seq, None, text);
    }

    /// What a leaf says by itself, and of the one before.
    fn judge(&mut self, seq: u64, leaf: &Leaf) {
        let case = leaf.case.map(|c| c.case);
        let log = &mut self.log;
        if leaf.ledger != self.origin {
            let text = format!(
                "Entry {seq} says that it is of the ledger `{}`, not of `{}`.",
                leaf.ledger, self.origin
            );
            log.entry(LedgerCode::LeafOrigin, seq, case, text);
        }
        if leaf.seq != seq {
            let text = format!(
                "The entry that stands at position {seq} says that it is entry {}: entries were moved, exchanged or copied.",
                leaf.seq
            );
            log.entry(LedgerCode::LeafSeq, seq, case, text);
        }
        if self.prev.is_some_and(|p| p != leaf.prev) {
            let text = match seq.checked_sub(1) {
                None => "Entry 0 claims an entry before it: it is not the first of its ledger."
                    .to_owned(),
                Some(before) => format!(
                    "Entry {seq} does not link to entry {before} as it stands here: one of the two was changed or put in place of another."
                ),
            };
            log.entry(LedgerCode::LeafPrev, seq, case, text);
        }
        if leaf.recorded < self.recorded {
            let text = format!(
                "Entry {seq} says that it was recorded at {}, and the entry before it at {}: the ledger's time never goes backwards.",
                leaf.recorded, self.recorded
            );
            log.entry(LedgerCode::LeafRecorded, seq, case, text);
        }
        self.recorded = leaf.recorded;
        if leaf.fact.is_some() && !is_service(&leaf.kind) {
            let text = format!(
                "Entry {seq} of type `{}` carries a `fact`, which only the service's own entries may.",
                leaf.kind
            );
            log.entry(LedgerCode::LeafFact, seq, case, text);
        }
        match (seq, leaf.kind.as_str()) {
            (0, LEDGER_CREATED) => self.begin(leaf),
            (0, kind) => {
                let text = format!("Entry 0 is of type `{kind}`, not the creation of a ledger.");
                log.entry(LedgerCode::GenesisAbsent, 0, None, text);
            }
            (_, LEDGER_CREATED) => {
                let text = format!("Entry {seq} is a second creation of the ledger.");
                log.entry(LedgerCode::GenesisAbsent, seq, None, text);
            }
            (_, KEY_ROTATED) => self.rotate(seq, leaf),
            _ => {}
        }
    }

    fn begin(&mut self, leaf: &Leaf) {
        if !self.keys.begin(leaf) {
            let text = "Entry 0 does not name a checkpoint key and a report key of format v1.";
            self.log.entry(LedgerCode::GenesisForm, 0, None, text);
        }
    }

    fn rotate(&mut self, seq: u64, leaf: &Leaf) {
        let before = self.keys.newest().cloned();
        if let Err(why) = self.keys.rotate(leaf) {
            let text = format!(
                "Entry {seq} tells of a change of keys that does not join up: {why}. It was forged, or an earlier change was taken away."
            );
            self.log.entry(LedgerCode::KeyRotation, seq, None, text);
        } else if self.keys.newest() != before.as_ref() {
            self.rotated = Some(seq + 1);
        }
    }
}

/// The code of an entry that cannot be read, and what follows from it.
pub(super) fn reading(e: &LeafError) -> (LedgerCode, &'static str) {
    let code = match e {
        LeafError::Unknown(_) => LedgerCode::LeafUnknown,
        LeafError::NotCanonical => LedgerCode::LeafNotCanonical,
        _ => LedgerCode::LeafForm,
    };
    let why = "A ledger of format v1 never writes such an entry, so its bytes were changed.";
    (code, why)
}

/// Notes the word of the witnesses among `good`, when what they signed is this very checkpoint.
pub(super) fn witnessed(
    checkpoint: &Checkpoint,
    note: &Note<'_>,
    good: &[&Vkey],
    outside: &mut Outside,
) {
    let witnesses = good
        .iter()
        .filter(|k| k.algorithm() == Algorithm::CosignatureV1);
    for witness in witnesses {
        if note.text == checkpoint.text() {
            let by = format!("the witness {}", witness.name());
            outside.say(by, checkpoint.size, note.cosigned_at(witness));
        }
    }
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checker({} of {})", self.size(), self.origin)
    }
}
