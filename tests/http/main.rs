//! The service from outside: a real store, a real listener, and a client that believes nothing.
//!
//! Every answer that any test gets is held against the OpenAPI document (see `harness::client`).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../findings/mod.rs"]
mod findings;
mod harness;

mod accesses;
mod authorization;
mod commands;
mod corpus;
mod exports;
mod input;
mod interop;
mod keys;
mod logs;
mod outside;
mod proofs;
mod reading;
mod recording;
mod reports;
mod restart;
mod survey;
mod verifying;
