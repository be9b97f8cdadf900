//! Strict JSON in, canonical JSON out.
//!
//! Everything that this service hashes is JSON, so two different texts must never mean the same bytes by accident,
//! and no text may be rounded on its way in. [`parse()`] refuses what cannot be kept exactly and says where;
//! [`canonical()`] writes the one form of RFC 8785 (JCS).
//!
//! Knows nothing of the rest; no I/O.

mod canonical;
mod number;
mod parse;
pub mod pointer;

pub use canonical::{canonical, write_canonical, write_string};
pub use parse::{Fault, FaultKind, Limits, parse};
