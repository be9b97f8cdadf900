//! The report file, as it is written and read.
//!
//! ```text
//! { "envelope":    DSSE 1.0.2 envelope with exactly one signature, around an in-toto Statement v1,
//!   "disclosures": [ "<base64url>", … ]            what this reader may see (RFC 9901 construct),
//!   "evidence":    { "checkpoint", "entries", "consistency"? }   replaceable,
//!   "catalogues":  { "<language>": "<exact text of the catalogue>", … } }
//! ```
//!
//! Every object is strict: a member that is not described here is refused, and so is a name that stands twice, a
//! `null`, or an optional member written out empty. The payload is free of content; it is signed once and never
//! changes, while disclosures and evidence may be replaced by later ones.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{self, Limits};
use crate::judge::{Judgement, Subject};
use crate::ledger::dsse::Envelope;
use crate::ledger::{Hash, Id16, Timestamp};

/// `_type` of an in-toto Statement v1.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// `predicateType` of a report: a tag URI (RFC 4151), which names and is never fetched.
pub const PREDICATE: &str = "tag:whereas,2026:report/v1";

/// Version of the predicate that this module reads and writes.
pub const VERSION: u64 = 1;

/// Largest report file that a verifier reads, in bytes.
pub const MAX_FILE: usize = 128 << 20;

/// Longest `purpose`, `ground` and `authority`, in characters.
pub const MAX_TEXT: usize = 500;

/// Most entries that the list of recorded reads names.
pub const MAX_CUSTODY: usize = 1_000;

/// Most consistency proofs in one file.
pub const MAX_CONSISTENCY: usize = 64;

/// Most bridges in one file.
pub const MAX_BRIDGES: usize = 1_000;

/// How much one file, or one payload, may hold.
pub const LIMITS: Limits = Limits {
    depth: 64,
    members: 4_096,
    elements: 1_000_000,
};

/// A report file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportFile {
    /// DSSE envelope whose payload is a [`Statement`]; exactly one signature, by the report key.
    pub envelope: Envelope,
    /// The disclosures that this reader may see, base64url, in any order.
    pub disclosures: Vec<String>,
    /// What proves the payload's leaves.
    pub evidence: Evidence,
    /// Message catalogues by language tag: the exact text whose SHA-256 the payload states.
    pub catalogues: BTreeMap<String, String>,
}

/// What proves the leaves: one checkpoint, and a proof to it for every leaf that the report rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// A signed checkpoint (C2SP tlog-checkpoint), with its cosignatures.
    pub checkpoint: String,
    /// Every leaf of the payload and of its list of reads, `report.issued`, `ledger.created`, each `key.rotated`, and each erasure that explains
    /// an absence; nothing else. In ledger order.
    pub entries: Vec<ProvenEntry>,
    /// Proofs that join the checkpoint to trees of other sizes, ascending by size, so that a checkpoint kept by an
    /// outside party can be compared. Left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consistency: Vec<ConsistencyProof>,
    /// The changes of the checkpoint key up to the checkpoint, in ledger order, so that a verifier who pinned an earlier
    /// key finds the one that signed. Left out when there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bridges: Vec<Bridge>,
}

/// A change of the checkpoint key: the tree that ends with its entry, signed by both keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// The exact text of the `key.rotated`.
    pub leaf: String,
    /// Its inclusion proof in the checkpoint's tree, whose last leaf it is; base64.
    #[serde(with = "text::b64::list")]
    pub path: Vec<Hash>,
    /// The signed checkpoint of that tree, with the signatures of both keys.
    pub checkpoint: String,
    /// Consistency proof from that tree to the one of the checkpoint that the bridges come with; base64.
    #[serde(with = "text::b64::list")]
    pub consistency: Vec<Hash>,
}

/// The changes of a ledger's checkpoint key, as a file of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgesFile {
    /// A signed checkpoint to which the bridges are joined.
    pub checkpoint: String,
    /// The bridges up to it, in ledger order; may be empty.
    pub bridges: Vec<Bridge>,
}

impl BridgesFile {
    /// Reads a file, strictly, without verifying it.
    ///
    /// # Errors
    /// What is wrong with its form, in words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_FILE {
            return Err(format!("it is longer than {MAX_FILE} bytes"));
        }
        strict(bytes)
    }
}

/// A leaf with its inclusion proof to the checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ProvenEntry {
    /// A leaf that stands in the payload, its list of reads included.
    Payload {
        /// Its position.
        seq: u64,
        /// Inclusion proof, from the leaf up, base64.
        #[serde(with = "text::b64::list")]
        path: Vec<Hash>,
    },
    /// Any other leaf.
    Other {
        /// Its exact text.
        leaf: String,
        /// Inclusion proof, from the leaf up, base64.
        #[serde(with = "text::b64::list")]
        path: Vec<Hash>,
    },
}

/// A proof that the tree of `size` leaves with this root and the checkpoint's tree are one history
/// (RFC 6962, section 2.1.2), whichever of them is the larger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyProof {
    /// Size of the other tree.
    pub size: u64,
    /// Its root, base64.
    #[serde(with = "text::b64::one")]
    pub root: Hash,
    /// The proof, base64.
    #[serde(with = "text::b64::list")]
    pub path: Vec<Hash>,
}

/// What the envelope signs: an in-toto Statement v1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`STATEMENT`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// Exactly one: the last leaf of the payload.
    pub subject: Vec<StatementSubject>,
    /// [`PREDICATE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The report.
    pub predicate: Predicate,
}

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementSubject {
    /// `<origin>/entries/<seq>` of the payload's last leaf.
    pub name: String,
    /// Its leaf hash.
    pub digest: Sha256Digest,
}

/// An in-toto digest set with SHA-256 only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sha256Digest {
    /// 64 lower-case hex digits.
    #[serde(with = "text::hex::one")]
    pub sha256: Hash,
}

/// The report itself, free of content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// [`VERSION`].
    pub v: u64,
    /// Random id of the report, 32 hex digits.
    #[serde(with = "text::id::one")]
    pub report: Id16,
    /// Origin of the ledger.
    pub ledger: String,
    /// When it was made, `YYYY-MM-DDThh:mm:ss.ffffffZ`, by the issuer's clock. The ledger's own time is that of its
    /// `report.issued`.
    #[serde(with = "text::time::one")]
    pub issued: Timestamp,
    /// For whom.
    pub audience: Audience,
    /// Why it was asked for, in the requester's words, at most [`MAX_TEXT`] characters. It is signed and can never be
    /// erased, so it must not hold personal data.
    pub purpose: String,
    /// What the question was about.
    pub subject: Subject,
    /// Positions of the first and the last leaf.
    pub window: Window,
    /// Pseudonym of the case, 32 hex digits; absent when the entries belong to none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::id::option"
    )]
    pub case: Option<Id16>,
    /// The report that this one replaces.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::id::option"
    )]
    pub supersedes: Option<Id16>,
    /// What made it.
    pub software: Software,
    /// What it was judged against.
    pub profile: SignedProfile,
    /// SHA-256 of each message catalogue's exact bytes, hex, by language tag; at least one.
    pub catalogues: BTreeMap<String, CatalogueDigest>,
    /// The entries, in ledger order.
    pub entries: Vec<PayloadEntry>,
    /// The recorded reads of the case, in ledger order: entries `record.accessed` before the report's own entry. Left
    /// out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custody: Vec<CustodyEntry>,
    /// How many more entries may record reads of the case: they are older, or erased. Left out when none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody_left_out: Option<u64>,
    /// What the issuer says about them.
    pub judgement: Judgement,
    /// What this reader may not see, and why. Sorted by nothing; each digest once.
    pub withheld: Vec<Withheld>,
}

/// For whom a report is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    /// Name of the role: a lower-case letter, then at most 63 of `a-z 0-9 _ . -`.
    pub role: String,
    /// Random id of the requesting principal.
    #[serde(with = "text::id::one")]
    pub requester: Id16,
}

/// From the first to the last leaf, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Position of the first leaf.
    pub first: u64,
    /// Position of the last leaf.
    pub last: u64,
}

/// The program that made a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A profile, whole, with its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedProfile {
    /// The profile.
    pub json: Value,
    /// SHA-256 of its canonical form (RFC 8785), hex.
    #[serde(with = "text::hex::one")]
    pub sha256: Hash,
}

impl SignedProfile {
    /// A profile with its digest.
    #[must_use]
    pub fn new(json: Value) -> Self {
        let sha256 = crate::ledger::sha256(&[json::canonical(&json).as_bytes()]);
        Self { json, sha256 }
    }
}

/// SHA-256 of a catalogue's exact bytes, written as 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CatalogueDigest(#[serde(with = "text::hex::one")] pub Hash);

/// An entry of the payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadEntry {
    /// The leaf's exact text.
    pub leaf: String,
    /// All its top-level disclosure digests, base64url.
    #[serde(with = "text::b64url::list")]
    pub digests: Vec<Hash>,
}

/// An entry that records reads, of the case and perhaps of others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodyEntry {
    /// The leaf's exact text.
    pub leaf: String,
    /// All its top-level disclosure digests, base64url: one.
    #[serde(with = "text::b64url::list")]
    pub digests: Vec<Hash>,
    /// The digests of those of its accesses that are to the case, base64url; at least one. The others are nothing that
    /// a reader of this report may see.
    #[serde(with = "text::b64url::list")]
    pub accesses: Vec<Hash>,
}

/// A line of the withheld manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withheld {
    /// A top-level digest of an entry, or the digest of an element of a shown member; base64url.
    #[serde(with = "text::b64url::one")]
    pub digest: Hash,
    /// Place of the top-level member in the event (`/data/draft`), where the name itself tells nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Why it is withheld.
    pub ground: String,
    /// Who, or which rule, decided that.
    pub authority: String,
}

impl ReportFile {
    /// The file's text.
    ///
    /// # Errors
    /// Never for values of this module; the serialiser's error is passed on.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        Ok(json::canonical(&serde_json::to_value(self)?))
    }

    /// Reads a file, strictly, without verifying it.
    ///
    /// # Errors
    /// What is wrong with its form, in words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_FILE {
            return Err(format!("it is longer than {MAX_FILE} bytes"));
        }
        strict(bytes)
    }
}

impl Statement {
    /// The payload's bytes: canonical JSON.
    ///
    /// # Errors
    /// Never for values of this module; the serialiser's error is passed on.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        Ok(json::canonical(&serde_json::to_value(self)?).into_bytes())
    }

    /// Reads a payload, strictly. Beyond the form, its values are not looked at.
    ///
    /// # Errors
    /// What is wrong with its form, in words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let read: Self = strict(bytes)?;
        if read.subject.len() != 1 {
            return Err("a statement has exactly one `subject`".into());
        }
        match &read.predicate.subject {
            Subject::Case(id) | Subject::Trace(id) if Id16::from_hex(id).is_none() => {
                Err("the id in `/predicate/subject` does not have 32 lower-case hex digits".into())
            }
            _ => Ok(read),
        }
    }
}

/// Reads strict JSON into a type, and refuses whatever the type would not write again: members unknown to it (also
/// where a derived reader would let them pass), `null`, empty optional members.
fn strict<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let value = parse(bytes)?;
    let read = T::deserialize(&value).map_err(|e| e.to_string())?;
    let written = serde_json::to_value(&read).map_err(|e| e.to_string())?;
    match difference(&value, &written, &mut String::new()) {
        None => Ok(read),
        Some(at) => Err(format!("the member at `{at}` does not belong there")),
    }
}

/// Strict JSON within [`LIMITS`].
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    json::parse(bytes, LIMITS).map_err(|faults| {
        let first = faults.into_iter().next();
        first.map_or_else(String::new, |f| format!("{} at `{}`", f.detail, f.pointer))
    })
}

/// Where two values first differ.
fn difference(a: &Value, b: &Value, at: &mut String) -> Option<String> {
    let mut below = |token: &str, a: &Value, b: Option<&Value>| {
        let outer = at.len();
        json::pointer::push(at, token);
        let found = match b {
            Some(b) => difference(a, b, at),
            None => Some(at.clone()),
        };
        at.truncate(outer);
        found
    };
    match (a, b) {
        (Value::Object(x), Value::Object(y)) if x.len() >= y.len() => {
            x.iter().find_map(|(k, v)| below(k, v, y.get(k)))
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            let pairs = x.iter().zip(y).enumerate();
            pairs
                .into_iter()
                .find_map(|(i, (v, w))| below(&i.to_string(), v, Some(w)))
        }
        _ if a == b => None,
        _ => Some(at.clone()),
    }
}

/// Text forms of hashes, ids and times.
mod text {
    macro_rules! text_form {
        ($(#[$doc:meta])* $name:ident, $type:ty, $write:expr, $read:expr, $what:literal) => {
            $(#[$doc])*
            pub mod $name {
                use serde::{Deserialize, Deserializer, de::Error};

                fn write(value: &$type) -> String {
                    $write(value)
                }

                fn read<E: Error>(text: &str) -> Result<$type, E> {
                    $read(text).ok_or_else(|| E::custom(concat!("expected ", $what)))
                }

                text_form!(@$name $type);
            }
        };
        (@b64 $type:ty) => { text_form!(@one $type); text_form!(@list $type); };
        (@b64url $type:ty) => { text_form!(@one $type); text_form!(@list $type); };
        (@hex $type:ty) => { text_form!(@one $type); };
        (@time $type:ty) => { text_form!(@one $type); };
        (@id $type:ty) => { text_form!(@one $type); text_form!(@option $type); };
        (@one $type:ty) => {
            pub mod one {
                use super::*;
                pub fn serialize<S: serde::Serializer>(value: &$type, s: S) -> Result<S::Ok, S::Error> {
                    s.serialize_str(&write(value))
                }
                pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<$type, D::Error> {
                    read(&String::deserialize(d)?)
                }
            }
        };
        (@list $type:ty) => {
            pub mod list {
                use super::*;
                pub fn serialize<S: serde::Serializer>(values: &[$type], s: S) -> Result<S::Ok, S::Error> {
                    s.collect_seq(values.iter().map(write))
                }
                pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<$type>, D::Error> {
                    Vec::<String>::deserialize(d)?.iter().map(|t| read(t)).collect()
                }
            }
        };
        (@option $type:ty) => {
            pub mod option {
                use super::*;
                pub fn serialize<S: serde::Serializer>(value: &Option<$type>, s: S) -> Result<S::Ok, S::Error> {
                    match value {
                        Some(value) => s.serialize_some(&write(value)),
                        None => s.serialize_none(),
                    }
                }
                pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<$type>, D::Error> {
                    Option::<String>::deserialize(d)?.map(|t| read(&t)).transpose()
                }
            }
        };
    }

    text_form!(
        b64,
        crate::ledger::Hash,
        |h: &crate::ledger::Hash| h.to_b64(),
        crate::ledger::Hash::from_b64,
        "a SHA-256 in base64"
    );
    text_form!(
        b64url,
        crate::ledger::Hash,
        |h: &crate::ledger::Hash| h.to_b64url(),
        crate::ledger::Hash::from_b64url,
        "a SHA-256 in unpadded base64url"
    );
    text_form!(
        hex,
        crate::ledger::Hash,
        |h: &crate::ledger::Hash| h.to_hex(),
        crate::ledger::Hash::from_hex,
        "a SHA-256 in lower-case hex"
    );
    text_form!(
        id,
        crate::ledger::Id16,
        |h: &crate::ledger::Id16| h.to_hex(),
        crate::ledger::Id16::from_hex,
        "32 lower-case hex digits"
    );
    text_form!(
        time,
        crate::ledger::Timestamp,
        |t: &crate::ledger::Timestamp| t.to_string(),
        crate::ledger::Timestamp::parse_canonical,
        "a time as YYYY-MM-DDThh:mm:ss.ffffffZ"
    );
}
