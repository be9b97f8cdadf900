//! The ledger's pure core: leaf, disclosures, chain, tree, proofs, signed notes, checkpoints, receipts.
//!
//! No clock, no I/O, no async and no randomness of its own: whoever calls brings time, salts and keys.
//! Byte formats are those of RFC 6962, RFC 9901 (disclosures), C2SP signed-note, tlog-checkpoint,
//! tlog-cosignature, tlog-proof, and DSSE; `docs/formats.md` states them for implementers.

pub mod checkpoint;
pub mod content;
pub mod disclosure;
pub mod dsse;
pub mod fork;
mod hash;
pub mod keys;
mod leaf;
pub mod note;
pub mod policy;
pub mod proof;
pub mod receipt;
pub mod tile;
mod time;
pub mod tree;

pub use hash::{Hash, Id16, SpanId, b64, b64url, decode_b64, decode_b64url, sha256};
pub use leaf::{CaseLink, Leaf, LeafError, MAX_LEAF};
pub use time::{Timestamp, TimestampError};
