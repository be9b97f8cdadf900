//! Judging a record: decision graph, profile, findings, answer.
//!
//! Pure: the same entries and the same profile give the same judgement, on the server that issues a report and on
//! the machine of whoever checks it.

mod types;

pub use types::*;
