//! What a verifier says: verdicts apart, and problems with stable codes.

use serde::{Serialize, Serializer};

use super::format::Predicate;
use crate::judge::Judged;

/// Which verdict a problem decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Touches {
    /// Something is altered, malformed, or not proven.
    Integrity,
    /// The chain of the case is not whole.
    Sequence,
    /// What was brought from outside could not be used.
    Freshness,
    /// Elements and controls are not what the issuer states.
    Process,
    /// The event that was posted is not the one committed to.
    Event,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal $touches:ident;)*) => {
        /// Stable codes of problems: an interface, extend with care.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All codes, in the order in which things are checked.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Which verdict it decides.
            #[must_use]
            pub fn touches(self) -> Touches {
                match self { $(Self::$name => Touches::$touches,)* }
            }
        }
    };
}

codes! {
    /// The file is not a report file: not strict JSON, an unknown or doubled member, too large.
    FileForm = "file.form" Integrity;
    /// The envelope's payload type or encoding is wrong.
    EnvelopeForm = "envelope.form" Integrity;
    /// The envelope does not carry exactly one signature.
    EnvelopeSignatures = "envelope.signatures" Integrity;
    /// The envelope's key hint is not that of the report key.
    EnvelopeKeyid = "envelope.keyid" Integrity;
    /// The report key did not sign the payload.
    EnvelopeSignature = "envelope.signature" Integrity;
    /// The payload is not strict JSON, or has an unknown, doubled or absent member.
    PayloadForm = "payload.form" Integrity;
    /// The payload is of another version or type.
    PayloadVersion = "payload.version" Integrity;
    /// A value of the payload is not of the form that it must have.
    PayloadValue = "payload.value" Integrity;
    /// Statement subject, window, case and entries do not agree.
    PayloadSubject = "payload.subject" Integrity;
    /// None of the pinned keys is for this ledger.
    LedgerForeign = "ledger.foreign" Integrity;
    /// The checkpoint is not a signed note that holds a checkpoint.
    CheckpointForm = "checkpoint.form" Integrity;
    /// The checkpoint is of another ledger.
    CheckpointOrigin = "checkpoint.origin" Integrity;
    /// No pinned key of the ledger signed the checkpoint.
    CheckpointKey = "checkpoint.key" Integrity;
    /// A known key's signature on the checkpoint is wrong.
    CheckpointSignature = "checkpoint.signature" Integrity;
    /// A leaf is not of format v1.
    LeafForm = "leaf.form" Integrity;
    /// A leaf has a member that format v1 does not know.
    LeafUnknown = "leaf.unknown_member" Integrity;
    /// A leaf is not in canonical form.
    LeafNotCanonical = "leaf.not_canonical" Integrity;
    /// A leaf is of another ledger.
    LeafOrigin = "leaf.origin" Integrity;
    /// A leaf that is not the service's own carries a `fact`.
    LeafFact = "leaf.fact" Integrity;
    /// Entries are not in ledger order, or one stands twice.
    LeafOrder = "leaf.order" Integrity;
    /// An entry's link to the one before does not hold.
    LeafPrev = "leaf.prev" Integrity;
    /// The ledger's time goes backwards.
    LeafRecorded = "leaf.recorded" Integrity;
    /// Two entries have one identity.
    LeafEid = "leaf.eid" Integrity;
    /// Evidence is not in ledger order, doubled, or names an entry that is not in the payload.
    EvidenceOrder = "evidence.order" Integrity;
    /// An entry of the payload has no proof.
    EvidenceAbsent = "evidence.absent" Integrity;
    /// An entry's proof does not lead to the checkpoint.
    EvidenceInclusion = "evidence.inclusion" Integrity;
    /// Evidence that nothing needs.
    EvidenceUnneeded = "evidence.unneeded" Integrity;
    /// A consistency proof does not hold.
    EvidenceConsistency = "evidence.consistency" Integrity;
    /// The ledger's first entry is not proven.
    GenesisAbsent = "genesis.absent" Integrity;
    /// The ledger's first entry does not name the ledger's keys.
    GenesisForm = "genesis.form" Integrity;
    /// A rotation of keys does not join up.
    KeyRotation = "key.rotation" Integrity;
    /// The key that signed the checkpoint is not the one that the ledger names.
    KeyCheckpoint = "key.checkpoint" Integrity;
    /// A bridge from one checkpoint key to the next does not hold.
    KeyBridge = "key.bridge" Integrity;
    /// A key that was replaced has signed a checkpoint beyond its bridge.
    KeyRetired = "key.retired" Integrity;
    /// Somebody else may have held the key that proves it, and no word from outside is older.
    KeyCompromised = "key.compromised" Integrity;
    /// The report's own entry is not proven.
    IssuedAbsent = "issued.absent" Integrity;
    /// The report's own entry is about another report.
    IssuedReport = "issued.report" Integrity;
    /// The report's own entry commits to another payload.
    IssuedPayload = "issued.payload" Integrity;
    /// The report's own entry does not come after the last entry of the report.
    IssuedOrder = "issued.order" Integrity;
    /// A catalogue is absent, or one is there that the payload does not name.
    CatalogueSet = "catalogue.set" Integrity;
    /// A catalogue is not the one that was signed.
    CatalogueDigest = "catalogue.digest" Integrity;
    /// A catalogue is not a flat JSON object of texts.
    CatalogueForm = "catalogue.form" Integrity;
    /// A catalogue lacks a template.
    CatalogueTemplate = "catalogue.template" Integrity;
    /// The profile is not the one whose digest was signed.
    ProfileDigest = "profile.digest" Integrity;
    /// A disclosure is malformed.
    DisclosureForm = "disclosure.form" Integrity;
    /// A disclosure stands twice.
    DisclosureDoubled = "disclosure.doubled" Integrity;
    /// A disclosure's pointer is none that an event can have.
    DisclosurePointer = "disclosure.pointer" Integrity;
    /// An element where a member belongs, or the other way round.
    DisclosureMisplaced = "disclosure.misplaced" Integrity;
    /// Nothing refers to a disclosure.
    DisclosureUnreferenced = "disclosure.unreferenced" Integrity;
    /// The digests of an entry are not those that its leaf commits to.
    ContentCommitment = "content.commitment" Integrity;
    /// A digest stands twice.
    ContentDoubledDigest = "content.doubled_digest" Integrity;
    /// Two disclosures of an entry claim one place.
    ContentDoubledPointer = "content.doubled_pointer" Integrity;
    /// Content is neither shown, nor erased, nor withheld.
    ContentMissing = "content.missing" Integrity;
    /// A shown time is not the one in the leaf.
    ContentTime = "content.time" Integrity;
    /// An erasure's fact is malformed.
    ErasureForm = "erasure.form" Integrity;
    /// The withheld manifest names a digest twice.
    WithheldDoubled = "withheld.doubled" Integrity;
    /// The withheld manifest names a digest that is not in the report.
    WithheldUnreferenced = "withheld.unreferenced" Integrity;
    /// The file shows what the signed manifest withholds.
    WithheldShown = "withheld.shown" Integrity;
    /// The withheld manifest gives a place that is already taken, or none.
    WithheldPointer = "withheld.pointer" Integrity;
    /// The list of recorded reads, or an entry of it, is not of its form, or out of its place.
    CustodyForm = "custody.form" Integrity;
    /// A read is shown that is not one of the report's case.
    CustodyForeign = "custody.foreign" Integrity;
    /// The judgement refers to something that is not in the report.
    JudgementReference = "judgement.reference" Integrity;
    /// What an outside party kept is not part of this history.
    OutsideContradiction = "outside.contradiction" Integrity;
    /// An entry belongs to another case.
    CaseForeign = "case.foreign" Sequence;
    /// An entry of the case is not there.
    CaseGap = "case.gap" Sequence;
    /// Two entries claim one position in the case.
    CaseDoubled = "case.doubled" Sequence;
    /// An entry's link to the case's entry before does not hold.
    CasePrev = "case.prev" Sequence;
    /// The report's own entry does not follow directly on the case's last.
    CaseIssued = "case.issued" Sequence;
    /// The shown case ids differ.
    CaseIds = "case.ids" Sequence;
    /// A text from outside is not a checkpoint of this ledger signed by a pinned key.
    OutsideUnusable = "outside.unusable" Freshness;
    /// The issuer's judgement is not what the entries show.
    JudgementDiffers = "judgement.differs" Process;
    /// The text is not a receipt.
    ReceiptForm = "receipt.form" Integrity;
    /// The leaf is not at the position that the receipt proves.
    ReceiptIndex = "receipt.index" Integrity;
    /// The proof does not lead to the checkpoint.
    ReceiptInclusion = "receipt.inclusion" Integrity;
    /// The event is not strict JSON, or not an object.
    EventForm = "event.form" Event;
    /// The disclosures brought along are not those that the entry commits to.
    EventDisclosures = "event.disclosures" Event;
    /// A member of the event is not committed to.
    EventAbsent = "event.absent" Event;
    /// Something is committed to that the event does not have.
    EventAdded = "event.added" Event;
    /// A member's value is not the one committed to.
    EventDiffers = "event.differs" Event;
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable code.
    pub code: Code,
    /// Which verdict it decides.
    pub touches: Touches,
    /// Where: a JSON pointer into the file (into the decoded payload after `payload:`), or an entry.
    pub place: String,
    /// What is wrong and what it touches, in plain words.
    pub explanation: String,
}

/// A verdict with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict<T> {
    /// The verdict.
    pub verdict: T,
    /// Why, in one or two plain sentences.
    pub reason: String,
}

/// Is anything altered?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Integrity {
    /// Nothing is.
    Intact,
    /// Something is, or cannot be checked.
    Broken,
    /// Nothing is found altered, but somebody else may have held the key that proves it.
    Unprovable,
}

/// Are all entries of the case's chain present, up to the report's own entry?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sequence {
    /// They are.
    Complete,
    /// They are not.
    Broken,
    /// There is no case, or the file is not intact.
    NotEstablished,
}

/// As of when, by whose word outside the operator?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// A pinned witness cosigned the checkpoint.
    Witnessed,
    /// A checkpoint that the verifier brought along belongs to the same history.
    Anchored,
    /// Nobody but the operator vouches for it.
    NotProven,
    /// A checkpoint that the verifier brought along belongs to another history.
    Contradicted,
}

/// Is what the profile demands there (elements), was it met (controls)?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Process {
    /// Yes.
    Good,
    /// No.
    Bad,
    /// What would decide it is erased or not shown.
    Undetermined,
    /// The profile demands nothing here.
    NotApplicable,
    /// The issuer states something else than the entries show.
    Differs,
    /// The file is not intact, so nothing is said.
    NotEstablished,
}

impl From<Judged> for Process {
    fn from(judged: Judged) -> Self {
        match judged {
            Judged::Good => Self::Good,
            Judged::Bad => Self::Bad,
            Judged::Undetermined => Self::Undetermined,
            Judged::NotApplicable => Self::NotApplicable,
        }
    }
}

/// By whose word a [`Process`] verdict is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The issuer's: not all content is shown here, or nothing was at hand to judge it again.
    Stated,
    /// Recomputed from the entries.
    Recomputed,
    /// Nobody's.
    None,
}

/// A verdict on the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessVerdict {
    /// The verdict.
    pub verdict: Process,
    /// By whose word.
    pub basis: Basis,
    /// Why, in one or two plain sentences.
    pub reason: String,
}

/// The five verdicts on a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// Is anything altered?
    pub integrity: Verdict<Integrity>,
    /// Are all entries of the case present?
    pub sequence: Verdict<Sequence>,
    /// As of when, by whose word?
    pub freshness: Verdict<Freshness>,
    /// Are the profile's required elements there?
    pub elements: ProcessVerdict,
    /// Were the profile's controls met?
    pub controls: ProcessVerdict,
}

/// How many disclosures are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Shown.
    pub shown: u64,
    /// Erased, as a proven entry says.
    pub erased: u64,
    /// Withheld, as the signed manifest says.
    pub withheld: u64,
    /// None of these: a failure.
    pub missing: u64,
}

/// How many recorded reads of its case a report lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Custody {
    /// Reads, up to the report's own entry.
    pub accesses: u64,
    /// Entries that record them.
    pub entries: u64,
    /// Entries that may record more of them and are not listed, as the issuer states.
    pub left_out: u64,
}

/// What a report says of itself; given only when the report key signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heading {
    /// Id of the report.
    pub report: String,
    /// Origin of the ledger.
    pub ledger: String,
    /// When it was made, by the issuer's clock.
    pub issued: String,
    /// When the ledger took it.
    pub recorded: String,
    /// The role for which it was made.
    pub role: String,
    /// Why it was asked for.
    pub purpose: String,
    /// Pseudonym of the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The report that this one replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    /// The program that made it.
    pub software: String,
}

impl Heading {
    pub(super) fn new(p: &Predicate, recorded: &str) -> Self {
        Self {
            report: p.report.to_hex(),
            ledger: p.ledger.clone(),
            issued: p.issued.to_string(),
            recorded: recorded.to_owned(),
            role: p.audience.role.clone(),
            purpose: p.purpose.clone(),
            case: p.case.map(|c| c.to_hex()),
            supersedes: p.supersedes.map(|s| s.to_hex()),
            software: format!("{} {}", p.software.name, p.software.version),
        }
    }
}

/// The outcome of checking a report file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportCheck {
    /// The verdicts, apart.
    pub verdicts: Verdicts,
    /// What is wrong, in the order in which it was found. Empty means: the file is accepted.
    pub problems: Vec<Problem>,
    /// What the report says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Heading>,
    /// Size of the tree that the evidence leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_size: Option<u64>,
    /// How many entries the report carries.
    pub entries: u64,
    /// States of the disclosures.
    pub content: Content,
    /// The recorded reads of the case; absent when the report lists none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custody: Option<Custody>,
    /// The newest moment at which trusted witnesses vouched for this history, by their clocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

impl ReportCheck {
    /// Whether anything at all is wrong with the file. A report that is accepted may still tell of a bad process.
    #[must_use]
    pub fn refused(&self) -> bool {
        !self.problems.is_empty()
    }
}

/// Whether the event that was posted is the one that the ledger committed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Committed {
    /// Every member is.
    Whole,
    /// Something differs or could not be compared.
    Differs,
    /// The event was not brought along.
    NotChecked,
}

/// The outcome of checking a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiptCheck {
    /// Does the entry stand in the signed checkpoint?
    pub integrity: Verdict<Integrity>,
    /// By whose word outside the operator?
    pub freshness: Verdict<Freshness>,
    /// Is the posted event what the entry commits to?
    pub event: Verdict<Committed>,
    /// What is wrong. Empty means: the receipt is accepted.
    pub problems: Vec<Problem>,
    /// Origin of the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// Position of the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Its leaf hash, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_hash: Option<String>,
    /// When the ledger took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
    /// Size of the tree that it was proven in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_size: Option<u64>,
    /// The newest moment at which trusted witnesses vouched for this history, by their clocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

impl ReceiptCheck {
    /// Whether anything at all is wrong.
    #[must_use]
    pub fn refused(&self) -> bool {
        !self.problems.is_empty()
    }
}

/// At most this many problems are listed.
const MAX_PROBLEMS: usize = 100;

/// Checking cannot go on; the problem is already noted.
#[derive(Debug)]
pub(super) struct Stop;

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Log(Vec<Problem>);

impl Log {
    /// Notes a problem.
    pub fn add(&mut self, code: Code, place: impl Into<String>, explanation: impl Into<String>) {
        if self.0.len() < MAX_PROBLEMS || self.first(code.touches()).is_none() {
            let (place, explanation) = (place.into(), explanation.into());
            self.0.push(Problem {
                code,
                touches: code.touches(),
                place,
                explanation,
            });
        }
    }

    /// Notes a problem after which checking cannot go on.
    pub fn stop(
        &mut self,
        code: Code,
        place: impl Into<String>,
        explanation: impl Into<String>,
    ) -> Stop {
        self.add(code, place, explanation);
        Stop
    }

    /// The first problem that decides this verdict.
    pub fn first(&self, touches: Touches) -> Option<&Problem> {
        self.0.iter().find(|p| p.touches == touches)
    }

    /// The verdict on integrity, when there is anything against it.
    pub fn against_integrity(&self) -> Option<Verdict<Integrity>> {
        let touches = || self.0.iter().filter(|p| p.touches == Touches::Integrity);
        let broken = touches().find(|p| p.code != Code::KeyCompromised);
        let (verdict, first) = match broken {
            Some(first) => (Integrity::Broken, first),
            None => (Integrity::Unprovable, touches().next()?),
        };
        Some(Verdict {
            verdict,
            reason: first.explanation.clone(),
        })
    }

    /// Goes on only when no problem was found that decides integrity.
    pub fn checkpoint(&self) -> Result<(), Stop> {
        if self.first(Touches::Integrity).is_some() {
            Err(Stop)
        } else {
            Ok(())
        }
    }

    pub fn into_problems(self) -> Vec<Problem> {
        self.0
    }
}
