//! The vocabulary.
pub mod vocabulary;
