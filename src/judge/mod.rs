//! Judging a record: decision graph, profile, findings, answer.
//!
//! Pure: the same entries and the same profile give the same judgement, on the server that issues a report and on
//! the machine of whoever checks it.
//!
//! Two rules stand above all others. Nothing is said that no entry supports. And what this reader does not see is
//! never counted as not recorded: where it would decide, the verdict is `Undetermined`.

mod answer;
pub mod catalogue;
mod findings;
mod graph;
mod profile;
mod timeline;
mod types;
mod unit;
mod verdict;
mod view;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests;

pub use catalogue::{Catalogue, CatalogueError, Entries, Resolve, Resolved, render};
pub use findings::{CODES, CodeInfo, Family, code_info};
pub use profile::{Clock, Profile, ProfileError, Rule};
pub use types::*;
pub use verdict::judge;
