//! What may be asked for, and by whom.

use super::Actor;
use crate::access::error::AccessError;
use crate::access::principal::Principal;
use crate::access::role::{Permission, Role};
use crate::access::scope::{Ledgers, NewGrant};
use crate::ledger::Timestamp;
use crate::store::access::TokenRow;

/// The ledgers whose principals `by` manages.
pub(super) fn administers(by: Actor<'_>) -> Ledgers {
    match by {
        Actor::Machine => Ledgers::All,
        Actor::Caller(caller) => caller.ledgers_with(Permission::ManagePrincipals),
    }
}

/// The principal as `by` may see it: callers see themselves; administrators see who shares a ledger with them, with the
/// grants that reach it.
pub(super) fn as_seen(by: Actor<'_>, mut principal: Principal) -> Option<Principal> {
    let Actor::Caller(caller) = by else {
        return Some(principal);
    };
    if caller.principal() == principal.id {
        return Some(principal);
    }
    let mine = administers(by);
    principal
        .grants
        .retain(|grant| mine.intersects(&grant.scope.ledgers));
    (!principal.grants.is_empty()).then_some(principal)
}

pub(super) fn check_grant(
    by: Actor<'_>,
    grant: &NewGrant,
    now: Timestamp,
) -> Result<(), AccessError> {
    let faults = grant.faults(now);
    if !faults.is_empty() {
        return Err(AccessError::Grant(faults));
    }
    if administers(by).covers(&grant.scope.ledgers) {
        Ok(())
    } else {
        Err(AccessError::Forbidden)
    }
}

/// An administrator never reads and never posts, not even under another grant.
pub(super) fn mixes_roles(roles: impl Iterator<Item = Role>) -> bool {
    let (mut administers, mut other) = (false, false);
    for role in roles {
        if role == Role::Administrator {
            administers = true;
        } else {
            other = true;
        }
    }
    administers && other
}

pub(super) fn check_name(name: &str) -> Result<(), AccessError> {
    let fits = (1..=200).contains(&name.chars().count());
    if fits && name.trim() == name && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(AccessError::BadName)
    }
}

pub(super) fn check_expiry(expires: Option<Timestamp>, now: Timestamp) -> Result<(), AccessError> {
    if expires.is_some_and(|t| t <= now) {
        Err(AccessError::ExpiryPast)
    } else {
        Ok(())
    }
}

pub(super) fn has_ended(token: &TokenRow, now: Timestamp) -> bool {
    token.revoked.is_some() || token.expires.is_some_and(|t| t <= now)
}
