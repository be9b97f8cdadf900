//! Whole ledgers: taking them along, checking them, restoring them.

pub mod archive;
