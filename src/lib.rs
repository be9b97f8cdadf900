//! `whereas`: the ledger of record for AI-assisted case decisions.
//!
//! The rooms and who may know whom: `docs/ARCHITECTURE.md`; a test holds the imports to it.

pub mod access;
pub mod audit;
pub mod cli;
pub mod event;
pub mod http;
pub mod json;
pub mod judge;
pub mod keyring;
pub mod ledger;
pub mod outside;
pub mod reconstruct;
pub mod report;
pub mod sequencer;
pub mod store;
pub mod survey;
pub mod verify;
pub mod witness;
