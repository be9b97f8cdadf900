//! Tokens.

use super::rules::{check_expiry, has_ended};
use super::{Access, Actor, Plan};
use crate::access::change::{ChangeKind, TokenNote};
use crate::access::error::AccessError;
use crate::access::principal::Principal;
use crate::access::token::{NewToken, TokenInfo};
use crate::ledger::{Id16, Timestamp};
use crate::store::access::{TokenRow, Write};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a rotated token may stay valid.
const MAX_GRACE_DAYS: u64 = 30;

impl Access {
    /// What is known about a principal's tokens, the oldest first.
    ///
    /// # Errors
    /// When there is no such principal for `by`.
    pub fn tokens(&self, by: Actor<'_>, principal: Id16) -> Result<Vec<TokenInfo>, AccessError> {
        self.seen(by, principal)?;
        Ok(self
            .store
            .tokens(principal)?
            .into_iter()
            .map(TokenInfo::from)
            .collect())
    }

    /// Mints a token. Whoever can mint a principal's token can act as that principal, so `by` must administer every
    /// ledger that the principal reaches.
    ///
    /// # Errors
    /// When there is no such principal for `by`, it has ended, or it reaches where `by` does not administer.
    pub fn mint_token(
        &self,
        by: Actor<'_>,
        principal: Id16,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<NewToken, AccessError> {
        check_expiry(expires, now)?;
        self.change(|| {
            let holder = self.managed(by, principal, now)?;
            self.plan_token(by, ChangeKind::TokenMinted, &holder, expires, now)
        })
    }

    /// Mints a token in the place of another, which is refused from `now` or after a grace period.
    ///
    /// # Errors
    /// As [`Access::mint_token`]; when the old token has ended, or the grace period is longer than 30 days.
    pub fn rotate_token(
        &self,
        by: Actor<'_>,
        principal: Id16,
        token: Id16,
        expires: Option<Timestamp>,
        grace: Duration,
        now: Timestamp,
    ) -> Result<NewToken, AccessError> {
        check_expiry(expires, now)?;
        if grace > Duration::from_secs(MAX_GRACE_DAYS * 86_400) {
            return Err(AccessError::GraceTooLong(MAX_GRACE_DAYS));
        }
        let ends = now.plus_micros(i64::try_from(grace.as_micros()).unwrap_or(0));
        self.change(|| {
            let holder = self.managed(by, principal, now)?;
            let old = self.token_of(principal, token)?;
            if has_ended(&old, now) || old.rotated.is_some() {
                return Err(AccessError::TokenEnded);
            }
            let mut plan = self.plan_token(by, ChangeKind::TokenRotated, &holder, expires, now)?;
            // The grace period does not outlive the token.
            let ends = old.expires.map_or(ends, |t| t.min(ends));
            plan.writes.push(Write::RotateToken {
                id: token,
                grace_ends: (now < ends).then_some(ends),
                at: now,
                by: plan.answer.id(),
            });
            for change in &mut plan.changes {
                if let Some(note) = &mut change.details.token {
                    (note.replaces, note.replaced_ends) = (Some(token), Some(ends));
                }
            }
            Ok(plan)
        })
    }

    /// Ends a token, for ever, from `now`. What has ended stays as it is.
    ///
    /// # Errors
    /// When there is none for `by`, or its principal reaches where `by` does not administer.
    pub fn revoke_token(
        &self,
        by: Actor<'_>,
        principal: Id16,
        token: Id16,
        now: Timestamp,
    ) -> Result<(), AccessError> {
        self.change(|| {
            let holder = self.managed(by, principal, now)?;
            let old = self.token_of(principal, token)?;
            if has_ended(&old, now) {
                return Ok(Plan::nothing(()));
            }
            let note = TokenNote {
                id: token,
                expires: old.expires,
                replaces: None,
                replaced_ends: None,
            };
            let change = self
                .note(by, ChangeKind::TokenRevoked, &holder, now)?
                .with_token(note);
            Ok(Plan {
                writes: vec![Write::RevokeToken { id: token, at: now }],
                changes: vec![change],
                answer: (),
            })
        })
    }

    pub(super) fn plan_token(
        &self,
        by: Actor<'_>,
        kind: ChangeKind,
        holder: &Principal,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Plan<NewToken>, AccessError> {
        if holder.is_revoked() {
            return Err(AccessError::PrincipalRevoked);
        }
        let mut secret = Zeroizing::new([0; 32]);
        self.fill(secret.as_mut_slice())?;
        let token = NewToken::from_random(self.random_id()?, holder.id, expires, &secret);
        let row = TokenRow {
            id: token.id(),
            principal: holder.id,
            digest: token.digest(),
            created: now,
            expires,
            revoked: None,
            rotated: None,
            replaced_by: None,
        };
        let note = TokenNote {
            id: token.id(),
            expires,
            replaces: None,
            replaced_ends: None,
        };
        let change = self.note(by, kind, holder, now)?.with_token(note);
        Ok(Plan {
            writes: vec![Write::AddToken(row)],
            changes: vec![change],
            answer: token,
        })
    }

    fn token_of(&self, principal: Id16, token: Id16) -> Result<TokenRow, AccessError> {
        let row = self
            .store
            .token(token)?
            .filter(|row| row.principal == principal);
        row.ok_or(AccessError::NotFound("token"))
    }
}
