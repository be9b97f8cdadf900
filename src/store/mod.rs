//! Storage: traits with their contracts, and the databases behind them.

pub mod access;
pub mod sqlite_server;
