//! The vocabulary: event types, their JSON Schemas, and reading what producers post.
//!
//! Knows nothing of the rest but strict JSON.

mod flat;
mod native;
pub mod schema;
pub mod types;
pub mod vocabulary;

pub use flat::FlatAudit;
pub use native::{COMMON_MEMBERS, Context, Event, SpanRef, TraceRef, is_declared, time_is_exact};
pub use types::{EventType, is_service_type};
