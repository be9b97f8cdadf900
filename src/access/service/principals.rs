//! Principals and their grants.

use super::rules::{administers, as_seen, check_grant, check_name, mixes_roles};
use super::{Access, Actor, Plan};
use crate::access::change::ChangeKind;
use crate::access::error::AccessError;
use crate::access::principal::{Grant, Page, Principal};
use crate::access::scope::NewGrant;
use crate::ledger::{Id16, Timestamp};
use crate::store::access::Write;

impl Access {
    /// Creates a principal with its first grants.
    ///
    /// # Errors
    /// When the name or a grant is not acceptable, or reaches where `by` does not administer.
    pub fn create_principal(
        &self,
        by: Actor<'_>,
        name: &str,
        grants: &[NewGrant],
        now: Timestamp,
    ) -> Result<Principal, AccessError> {
        check_name(name)?;
        if grants.is_empty() {
            return Err(AccessError::NoGrant);
        }
        for grant in grants {
            check_grant(by, grant, now)?;
        }
        if mixes_roles(grants.iter().map(|grant| grant.role)) {
            return Err(AccessError::MixedRoles);
        }
        self.change(|| {
            let principal = self.new_principal(name, grants, now)?;
            let change = self
                .note(by, ChangeKind::PrincipalCreated, &principal, now)?
                .with_grants(&principal.grants);
            Ok(Plan {
                writes: add_principal(&principal)?,
                changes: vec![change],
                answer: principal,
            })
        })
    }

    /// Principals that share a ledger with `by`, in ascending order of id, after `after`, at most `limit`.
    /// Grants in ledgers that `by` does not administer are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn principals(
        &self,
        by: Actor<'_>,
        after: Option<Id16>,
        limit: usize,
    ) -> Result<Page<Principal>, AccessError> {
        let (mut items, mut after) = (Vec::new(), after);
        loop {
            let rows = self.store.principals(after, limit.saturating_add(1))?;
            let last = rows.len() <= limit;
            for (row, grants) in rows {
                let principal = Principal::from_rows(row, grants)?;
                after = Some(principal.id);
                if let Some(shown) = as_seen(by, principal) {
                    items.push(shown);
                }
                if items.len() > limit {
                    items.truncate(limit);
                    return Ok(Page {
                        next: items.last().map(|p| p.id),
                        items,
                    });
                }
            }
            if last {
                return Ok(Page { items, next: None });
            }
        }
    }

    /// One principal, if it shares a ledger with `by` or is the caller.
    ///
    /// # Errors
    /// When there is none for `by`.
    pub fn principal(&self, by: Actor<'_>, id: Id16) -> Result<Principal, AccessError> {
        as_seen(by, self.load(id)?).ok_or(AccessError::NotFound("principal"))
    }

    /// Ends a principal and all its tokens, for ever, from `now`. What has ended stays as it is.
    ///
    /// # Errors
    /// When there is none for `by`, or it reaches where `by` does not administer.
    pub fn revoke_principal(
        &self,
        by: Actor<'_>,
        id: Id16,
        now: Timestamp,
    ) -> Result<(), AccessError> {
        self.change(|| {
            let principal = self.managed(by, id, now)?;
            if principal.is_revoked() {
                return Ok(Plan::nothing(()));
            }
            let change = self.note(by, ChangeKind::PrincipalRevoked, &principal, now)?;
            Ok(Plan {
                writes: vec![Write::RevokePrincipal { id, at: now }],
                changes: vec![change],
                answer: (),
            })
        })
    }

    /// Gives a principal one more grant.
    ///
    /// # Errors
    /// When the grant is not acceptable, reaches where `by` does not administer, or would be the caller's own.
    pub fn add_grant(
        &self,
        by: Actor<'_>,
        principal: Id16,
        grant: &NewGrant,
        now: Timestamp,
    ) -> Result<Grant, AccessError> {
        self.change(|| {
            let mut holder = self.seen(by, principal)?;
            if matches!(by, Actor::Caller(caller) if caller.principal() == principal) {
                return Err(AccessError::OwnAccess);
            }
            check_grant(by, grant, now)?;
            if holder.is_revoked() {
                return Err(AccessError::PrincipalRevoked);
            }
            let held = holder
                .grants
                .iter()
                .filter(|g| g.holds(now))
                .map(|g| g.role);
            if mixes_roles(held.chain([grant.role])) {
                return Err(AccessError::MixedRoles);
            }
            let grant = Grant::new(self.random_id()?, grant, now);
            holder.grants.push(grant.clone());
            let change = self
                .note(by, ChangeKind::GrantAdded, &holder, now)?
                .about_one_grant(&grant);
            Ok(Plan {
                writes: vec![Write::AddGrant(grant.row(principal)?)],
                changes: vec![change],
                answer: grant,
            })
        })
    }

    /// Ends a grant, for ever, from `now`. What has ended stays as it is.
    ///
    /// # Errors
    /// When there is none for `by`, or it reaches where `by` does not administer.
    pub fn end_grant(
        &self,
        by: Actor<'_>,
        principal: Id16,
        grant: Id16,
        now: Timestamp,
    ) -> Result<(), AccessError> {
        self.change(|| {
            let holder = self.seen(by, principal)?;
            let grant = holder
                .grants
                .iter()
                .find(|g| g.id == grant && administers(by).intersects(&g.scope.ledgers));
            let grant = grant.ok_or(AccessError::NotFound("grant"))?;
            if !administers(by).covers(&grant.scope.ledgers) {
                return Err(AccessError::Forbidden);
            }
            if !grant.holds(now) {
                return Ok(Plan::nothing(()));
            }
            let change = self
                .note(by, ChangeKind::GrantEnded, &holder, now)?
                .about_one_grant(grant);
            Ok(Plan {
                writes: vec![Write::EndGrant {
                    id: grant.id,
                    at: now,
                }],
                changes: vec![change],
                answer: (),
            })
        })
    }

    pub(super) fn new_principal(
        &self,
        name: &str,
        grants: &[NewGrant],
        now: Timestamp,
    ) -> Result<Principal, AccessError> {
        let grants = grants
            .iter()
            .map(|grant| Ok(Grant::new(self.random_id()?, grant, now)));
        let grants = grants.collect::<Result<_, AccessError>>()?;
        Ok(Principal {
            id: self.random_id()?,
            name: name.to_owned(),
            created: now,
            revoked: None,
            grants,
        })
    }
}

pub(super) fn add_principal(principal: &Principal) -> Result<Vec<Write>, AccessError> {
    let mut writes = vec![Write::AddPrincipal(principal.row())];
    for grant in &principal.grants {
        writes.push(Write::AddGrant(grant.row(principal.id)?));
    }
    Ok(writes)
}
