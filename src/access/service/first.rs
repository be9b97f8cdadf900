//! The first administrator, and the way back in.

use super::principals::add_principal;
use super::{Access, Actor, Plan};
use crate::access::change::ChangeKind;
use crate::access::error::AccessError;
use crate::access::principal::Principal;
use crate::access::role::Role;
use crate::access::scope::{Cases, Ledgers, NewGrant, Scope};
use crate::access::token::NewToken;
use crate::ledger::Timestamp;
use std::collections::BTreeSet;

impl Access {
    /// At the first start: the principal `administrator` for all ledgers, and its token. `None` when an administrator
    /// exists, even one whose token is lost: that is what [`Access::recover_administrator`] is for. Of several
    /// processes that start at once, one gets the token.
    ///
    /// # Errors
    /// When the store or the random source does not work.
    pub fn bootstrap(&self, now: Timestamp) -> Result<Option<NewToken>, AccessError> {
        self.change(|| match self.administrator(now, false)? {
            Some(_) => Ok(Plan::nothing(None)),
            None => {
                let plan = self.plan_administrator(ChangeKind::AdministratorCreated, now)?;
                Ok(Plan {
                    writes: plan.writes,
                    changes: plan.changes,
                    answer: Some(plan.answer),
                })
            }
        })
    }

    /// A new token for the oldest administrator of all ledgers, who is created when there is none. For a command on the
    /// server's machine. Other tokens stay valid: revoke the lost one when it may be in someone's hands.
    ///
    /// # Errors
    /// When the store or the random source does not work.
    pub fn recover_administrator(&self, now: Timestamp) -> Result<NewToken, AccessError> {
        self.change(|| match self.administrator(now, true)? {
            Some(holder) => self.plan_token(
                Actor::Machine,
                ChangeKind::AdministratorRecovered,
                &holder,
                None,
                now,
            ),
            None => self.plan_administrator(ChangeKind::AdministratorRecovered, now),
        })
    }

    /// The oldest administrator, of all ledgers if `of_all`.
    fn administrator(
        &self,
        now: Timestamp,
        of_all: bool,
    ) -> Result<Option<Principal>, AccessError> {
        for (row, grants) in self
            .store
            .principals_with_role(Role::Administrator.name())?
        {
            let principal = Principal::from_rows(row, grants)?;
            let administers = principal.grants.iter().any(|grant| {
                grant.role == Role::Administrator
                    && grant.holds(now)
                    && (!of_all || grant.scope.ledgers == Ledgers::All)
            });
            if administers && !principal.is_revoked() {
                return Ok(Some(principal));
            }
        }
        Ok(None)
    }

    fn plan_administrator(
        &self,
        kind: ChangeKind,
        now: Timestamp,
    ) -> Result<Plan<NewToken>, AccessError> {
        let scope = Scope {
            ledgers: Ledgers::All,
            sources: BTreeSet::new(),
            cases: Cases::none(),
        };
        let grant = NewGrant {
            role: Role::Administrator,
            scope,
            expires: None,
        };
        let principal = self.new_principal("administrator", &[grant], now)?;
        let mut plan = self.plan_token(Actor::Machine, kind, &principal, None, now)?;
        plan.writes.splice(0..0, add_principal(&principal)?);
        plan.changes = plan
            .changes
            .into_iter()
            .map(|change| change.with_grants(&principal.grants))
            .collect();
        Ok(plan)
    }
}
