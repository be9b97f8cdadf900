//! The export file: a ledger, or a part of it, that verifies by itself.
//!
//! A tar file (POSIX ustar) of regular files in a fixed order, written and read as a stream. A whole ledger lies in it
//! in the layout of C2SP tlog-tiles, so that it can be unpacked and served as a static log; content lies beside the
//! bundles, piece by piece. `docs/formats.md` states it for implementers.

mod check;
mod import;
mod part;
mod read;
mod whole;
mod write;

use serde::{Deserialize, Deserializer, Serialize};

use crate::ledger::tile;
use crate::verify::format::Bridge;

pub use check::verify;
pub use import::{ImportError, Imported, import, read_cosignature};
pub use read::{ArchiveError, Part, Reader};
pub use write::{ExportError, Filter, Written, write};

/// Version of the format.
pub const VERSION: u64 = 1;

/// First member.
const MANIFEST: &str = "export.json";
/// Second member.
const CHECKPOINT: &str = "checkpoint";
/// Third member of a part, when the ledger's checkpoint key has been replaced.
const BRIDGES: &str = "bridges.json";
/// Last member.
const END: &str = "end.json";

/// Bytes after which a list goes on in a next member, so that neither side holds much of it.
const PIECE: usize = 1 << 20;

/// What an export says of itself: the first member of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub v: u64,
    /// Origin of the ledger.
    pub ledger: String,
    /// Number of entries of the checkpoint that everything is proven to.
    pub size: u64,
    /// Which entries.
    pub scope: Scope,
    /// What of their content.
    pub content: Content,
    /// When it was taken, by the exporter's clock.
    pub exported: String,
    /// The program that took it, with its version.
    pub software: String,
}

/// Which entries an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// All of them, in tlog-tiles layout.
    Whole,
    /// A range of positions, both ends included, each entry with its inclusion proof.
    Range {
        /// First position.
        first: u64,
        /// Last position.
        last: u64,
    },
    /// Those of one case, each with its inclusion proof.
    Case {
        /// Its pseudonym.
        #[serde(with = "id_text")]
        case: crate::ledger::Id16,
    },
}

/// What of the content an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Nothing: leaves and proofs.
    None,
    /// The digests of the disclosures: enough to compare them with the leaves.
    Digests,
    /// Digests and, of the cases that the exporter may read, disclosures.
    Disclosed,
    /// As it is stored, sealed, with all that restoring needs; the keyring is not in it.
    Sealed,
}

mod id_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::ledger::Id16;

    pub fn serialize<S: Serializer>(id: &Id16, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&id.to_hex())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Id16, D::Error> {
        let text = String::deserialize(d)?;
        Id16::from_hex(&text)
            .ok_or_else(|| serde::de::Error::custom("an id has 32 lower-case hex digits"))
    }
}

/// The content of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentLine {
    /// Position.
    pub seq: u64,
    /// The digests of its members, base64url, in any order.
    pub digests: Vec<String>,
    /// All its disclosures, base64url, where they are shown.
    #[serde(
        default,
        deserialize_with = "not_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub disclosures: Option<Vec<String>>,
}

/// A member that may be absent, and is not `null` when it is there.
fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// The content of one entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedLine {
    /// Position.
    pub seq: u64,
    /// Slot, 24 hex digits.
    pub slot: String,
    /// Sealed disclosures, base64.
    pub sealed: String,
}

/// An entry of a part, with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryLine {
    /// The leaf's exact text.
    pub leaf: String,
    /// Inclusion proof to the checkpoint, from the leaf up, base64.
    pub path: Vec<String>,
    /// The digests of its members, base64url; absent where the export holds no content or the entry has none.
    #[serde(
        default,
        deserialize_with = "not_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub digests: Option<Vec<String>>,
    /// All its disclosures, base64url, where they are shown.
    #[serde(
        default,
        deserialize_with = "not_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub disclosures: Option<Vec<String>>,
}

/// A signed checkpoint of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointLine {
    /// Number of entries.
    pub size: u64,
    /// The signed note, as the ledger signed it first.
    pub note: String,
    /// The signature lines of witnesses that the ledger has for it, without their line feeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cosignatures: Vec<String>,
}

impl CheckpointLine {
    /// The note with all its signature lines.
    #[must_use]
    pub fn with_cosignatures(&self) -> String {
        let mut note = self.note.clone();
        for line in &self.cosignatures {
            note.push_str(line);
            note.push('\n');
        }
        note
    }
}

/// An issued report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportLine {
    /// Its id, 32 hex digits.
    pub id: String,
    /// Position of its `report.issued`.
    pub seq: u64,
    /// Pseudonym of its case, 32 hex digits.
    #[serde(
        default,
        deserialize_with = "not_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub case: Option<String>,
    /// Who asked for it, 32 hex digits.
    pub requester: String,
    /// The signed envelope, as it is stored.
    pub envelope: String,
}

/// A message catalogue that reports were signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueLine {
    /// Its exact text.
    pub text: String,
}

/// What a case id's keyed image stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseLine {
    /// Keyed image of the case id, 32 hex digits.
    pub blind: String,
    /// Pseudonym, 32 hex digits.
    pub pseudonym: String,
    /// Slot, 24 hex digits.
    pub slot: String,
}

/// What a trace without a case is sealed under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceLine {
    /// Trace, 32 hex digits.
    pub trace: String,
    /// Slot, 24 hex digits.
    pub slot: String,
}

/// A keyed image by which an entry is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupLine {
    /// Keyed image, 32 hex digits.
    pub blind: String,
    /// Position.
    pub seq: u64,
}

/// What joins the key that signed a part's checkpoint to the ones before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bridges {
    /// In ledger order, joined to the part's checkpoint.
    bridges: Vec<Bridge>,
}

/// The last member: without it the file broke off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Entries in the file.
    pub entries: u64,
}

/// The lists that an export may hold beside bundles and tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Content(u64),
    Sealed(u64),
    Checkpoints(u64),
    Entries,
    Reports,
    Catalogues,
    Cases,
    Traces,
    Lookups,
}

impl List {
    /// The path of a piece of the list.
    fn path(self, piece: u64) -> String {
        match self {
            Self::Content(n) => format!("content/{}/{piece}", tile::number(n)),
            Self::Sealed(n) => format!("sealed/{}/{piece}", tile::number(n)),
            Self::Checkpoints(n) => format!("checkpoints/{}/{piece}", tile::number(n)),
            Self::Entries => format!("entries/{piece}"),
            Self::Reports => format!("reports/{piece}"),
            Self::Catalogues => format!("catalogues/{piece}"),
            Self::Cases => format!("cases/{piece}"),
            Self::Traces => format!("traces/{piece}"),
            Self::Lookups => format!("lookups/{piece}"),
        }
    }

    /// Reads the path of a piece.
    fn parse(path: &str) -> Option<(Self, u64)> {
        let (name, piece) = path.rsplit_once('/')?;
        let number: u64 = piece
            .parse()
            .ok()
            .filter(|n: &u64| n.to_string() == piece)?;
        let bundle = |rest: &str| tile::parse(rest).filter(|(_, w)| *w == tile::WIDTH);
        let list = match name {
            "entries" => Self::Entries,
            "reports" => Self::Reports,
            "catalogues" => Self::Catalogues,
            "cases" => Self::Cases,
            "traces" => Self::Traces,
            "lookups" => Self::Lookups,
            _ => {
                let (name, rest) = name.split_once('/')?;
                let (n, _) = bundle(rest)?;
                match name {
                    "content" => Self::Content(n),
                    "sealed" => Self::Sealed(n),
                    "checkpoints" => Self::Checkpoints(n),
                    _ => return None,
                }
            }
        };
        Some((list, number))
    }
}

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod tests;
