//! Who is asking, and what that entitles them to.

use super::principal::Grant;
use super::role::Permission;
use super::scope::{BlindCase, Cases, Ledgers};
use crate::ledger::Id16;
use std::collections::BTreeSet;

/// An answer to "may they?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes; the scope still says for which sources or cases.
    Allowed,
    /// They see the ledger, and may not do this.
    Forbidden,
    /// For them the ledger does not exist: answer as if it were not there.
    NotFound,
}

/// The cases that a permission extends to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseFilter {
    /// Every case.
    All,
    /// These, in ascending order; an empty list is no case.
    Only(Vec<BlindCase>),
}

impl CaseFilter {
    /// Whether this case is among them.
    #[must_use]
    pub fn admits(&self, case: BlindCase) -> bool {
        match self {
            Self::All => true,
            Self::Only(cases) => cases.binary_search(&case).is_ok(),
        }
    }
}

/// An authenticated principal with the grants that held when it authenticated. Made for one request, not to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    principal: Id16,
    name: String,
    token: Id16,
    grants: Vec<Grant>,
}

impl Caller {
    pub(super) fn new(principal: Id16, name: String, token: Id16, grants: Vec<Grant>) -> Self {
        Self {
            principal,
            name,
            token,
            grants,
        }
    }

    /// The principal's id.
    #[must_use]
    pub fn principal(&self) -> Id16 {
        self.principal
    }

    /// The principal's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the token that was presented.
    #[must_use]
    pub fn token(&self) -> Id16 {
        self.token
    }

    /// The grants that hold.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Whether this ledger exists for the caller.
    #[must_use]
    pub fn sees_ledger(&self, ledger: &str) -> bool {
        self.grants.iter().any(|grant| grant.reaches(ledger))
    }

    /// Whether the caller may do this in this ledger, for some source or case at least.
    #[must_use]
    pub fn may(&self, permission: Permission, ledger: &str) -> Decision {
        if self.with(permission, ledger).next().is_some() {
            Decision::Allowed
        } else if self.sees_ledger(ledger) {
            Decision::Forbidden
        } else {
            Decision::NotFound
        }
    }

    /// Whether the caller may do this anywhere: for routes that belong to no ledger. Never [`Decision::NotFound`].
    #[must_use]
    pub fn may_somewhere(&self, permission: Permission) -> Decision {
        if self.grants.iter().any(|grant| grant.role.may(permission)) {
            Decision::Allowed
        } else {
            Decision::Forbidden
        }
    }

    /// The ledgers in which the caller may do this.
    #[must_use]
    pub fn ledgers_with(&self, permission: Permission) -> Ledgers {
        let grants = self
            .grants
            .iter()
            .filter(|grant| grant.role.may(permission));
        grants.fold(Ledgers::none(), |all, grant| {
            all.union(&grant.scope.ledgers)
        })
    }

    /// The sources that the caller may post for, and fetch its receipts of, in this ledger.
    #[must_use]
    pub fn sources_for(&self, ledger: &str) -> BTreeSet<&str> {
        self.with(Permission::PostEvents, ledger)
            .flat_map(|grant| &grant.scope.sources)
            .map(String::as_str)
            .collect()
    }

    /// Whether the caller may post for exactly this source in this ledger.
    #[must_use]
    pub fn may_post_for(&self, source: &str, ledger: &str) -> bool {
        self.with(Permission::PostEvents, ledger)
            .any(|grant| grant.scope.sources.contains(source))
    }

    /// The one source that the caller may post for in this ledger, when it is one: an event need not name it then.
    #[must_use]
    pub fn only_source(&self, ledger: &str) -> Option<&str> {
        let sources = self.sources_for(ledger);
        if sources.len() == 1 {
            sources.into_iter().next()
        } else {
            None
        }
    }

    /// The cases of this ledger to which the permission extends: those of the grants that give it, and of no other.
    /// No case when the caller lacks the permission here, or when it is not about cases.
    #[must_use]
    pub fn case_filter(&self, permission: Permission, ledger: &str) -> CaseFilter {
        let mut found = BTreeSet::new();
        for grant in self.with(permission, ledger) {
            match &grant.scope.cases {
                Cases::All => return CaseFilter::All,
                Cases::Only(ledgers) => {
                    found.extend(ledgers.get(ledger).into_iter().flatten().copied())
                }
            }
        }
        CaseFilter::Only(found.into_iter().collect())
    }

    fn with(&self, permission: Permission, ledger: &str) -> impl Iterator<Item = &Grant> {
        self.grants
            .iter()
            .filter(move |grant| grant.role.may(permission) && grant.reaches(ledger))
    }
}
