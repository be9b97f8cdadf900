//! Who may do what: principals, roles, scopes, tokens, and the record of every change of them.
//!
//! A **principal** (a person, a producer, a service) holds **grants**: a [`Role`] within a [`Scope`], perhaps until a
//! time. It presents a **token**; [`Access::authenticate`] turns the token into a [`Caller`], and routes ask the caller
//! [`may`](Caller::may) it, and for which sources and cases. Nothing is inherited and nothing is implied: what a role may
//! do stands in one table ([`Role::permissions`]), and a grant's scope narrows that grant alone.
//!
//! Every change leaves a row in an outbox, in the transaction that makes it; the server turns those rows into
//! `principal.changed` entries ([`Access::pending_changes`]). Time comes from the caller; randomness from the
//! operating system.

mod caller;
mod change;
mod error;
pub mod files;
mod principal;
mod role;
mod scope;
mod service;
mod text;
mod token;

#[cfg(test)]
mod tests;

pub use caller::{Caller, CaseFilter, Decision};
pub use change::{Change, ChangeDetails, ChangeKind, GrantNote, PendingChange, TokenNote};
pub use error::{AccessError, AuthError, GrantFault};
pub use principal::{Grant, Page, Principal};
pub use role::{Permission, Role, UnknownRole};
pub use scope::{BlindCase, Cases, Ledgers, NewGrant, Scope};
pub use service::{Access, Actor};
pub use token::{NewToken, TokenInfo, bearer};
