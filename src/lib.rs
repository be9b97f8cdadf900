//! `whereas`: the ledger of record for AI-assisted case decisions.
//!
//! The rooms and who may know whom: `docs/ARCHITECTURE.md`; a test holds the imports to it.

pub mod event;
pub mod judge;
pub mod json;
pub mod ledger;
pub mod verify;
