//! The room's one entrance: authentication, and every change of who may do what.

use super::caller::Caller;
use super::change::{Change, ChangeKind, PendingChange, TokenNote};
use super::error::{AccessError, AuthError};
use super::principal::{Grant, Page, Principal};
use super::role::{Permission, Role};
use super::scope::{Cases, Ledgers, NewGrant, Scope};
use super::token::{NewToken, TokenInfo, digest_of};
use crate::ledger::{Hash, Id16, Timestamp};
use crate::store::access::{AccessStore, AccessStoreError, Found, TokenRow, Write};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How often a change is decided anew when others change something in between.
const ATTEMPTS: usize = 16;
/// Tokens remembered between two changes; more than that, and the memory starts afresh.
const MEMORY: usize = 10_000;
/// How long a rotated token may stay valid.
const MAX_GRACE_DAYS: u64 = 30;

type Random = fn(&mut [u8]) -> Result<(), getrandom::Error>;

/// On whose behalf something is read or changed.
#[derive(Debug, Clone, Copy)]
pub enum Actor<'a> {
    /// Someone with a shell on the server's machine, or the server itself: everything.
    Machine,
    /// A caller: what its administrator grants reach.
    Caller(&'a Caller),
}

/// Principals, grants, tokens. Cheap to share; calls may block on the disk.
pub struct Access {
    store: Arc<dyn AccessStore>,
    random: Random,
    known: Mutex<Known>,
}

/// Tokens looked up since the generation last moved.
#[derive(Default)]
struct Known {
    generation: u64,
    tokens: HashMap<Hash, Arc<Holder>>,
}

/// A token's row with its principal's, understood.
struct Holder {
    token: TokenRow,
    principal: Principal,
}

/// What to write, and what to answer when it is written.
struct Plan<T> {
    writes: Vec<Write>,
    changes: Vec<Change>,
    answer: T,
}

impl<T> Plan<T> {
    /// Everything is already as asked.
    fn nothing(answer: T) -> Self {
        Self {
            writes: Vec::new(),
            changes: Vec::new(),
            answer,
        }
    }
}

impl Access {
    /// With random bytes from the operating system.
    #[must_use]
    pub fn new(store: Arc<dyn AccessStore>) -> Self {
        Self::with_random(store, getrandom::fill)
    }

    /// With random bytes from `random`, which must be as good as the operating system's.
    #[must_use]
    pub fn with_random(store: Arc<dyn AccessStore>, random: Random) -> Self {
        Self {
            store,
            random,
            known: Mutex::default(),
        }
    }

    // ---- authentication ----

    /// The caller behind a token. A revocation counts as soon as it is committed, by whichever process.
    ///
    /// # Errors
    /// When the token does not count at `now`, or nobody can say.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Result<Caller, AuthError> {
        let digest = digest_of(token).ok_or(AuthError::Malformed)?;
        let holder = self
            .holder(&digest)
            .map_err(AuthError::Store)?
            .ok_or(AuthError::Unknown)?;
        let Holder { token, principal } = &*holder;
        if principal.is_revoked() {
            return Err(AuthError::PrincipalRevoked);
        }
        let rotated = token.rotated.is_some();
        if token.revoked.is_some() {
            return Err(if rotated {
                AuthError::Rotated
            } else {
                AuthError::Revoked
            });
        }
        if token.expires.is_some_and(|t| t <= now) {
            return Err(if rotated {
                AuthError::Rotated
            } else {
                AuthError::Expired
            });
        }
        let grants = principal
            .grants
            .iter()
            .filter(|grant| grant.holds(now))
            .cloned()
            .collect();
        Ok(Caller::new(
            principal.id,
            principal.name.clone(),
            token.id,
            grants,
        ))
    }

    /// What is remembered counts only while the store's generation, read for every request, is the one it was read at.
    fn holder(&self, digest: &Hash) -> Result<Option<Arc<Holder>>, AccessStoreError> {
        let generation = self.store.generation()?;
        {
            let known = self.known();
            if known.generation == generation
                && let Some(holder) = known.tokens.get(digest)
            {
                return Ok(Some(Arc::clone(holder)));
            }
        }
        let (generation, found) = self.store.find_token(digest)?;
        let Some(Found {
            token,
            principal,
            grants,
        }) = found
        else {
            return Ok(None);
        };
        if !bool::from(token.digest.0.ct_eq(&digest.0)) {
            return Ok(None);
        }
        let holder = Arc::new(Holder {
            token,
            principal: Principal::from_rows(principal, grants)?,
        });
        let mut known = self.known();
        if known.generation < generation || known.tokens.len() >= MEMORY {
            known.tokens.clear();
            known.generation = known.generation.max(generation);
        }
        if known.generation == generation {
            known.tokens.insert(*digest, Arc::clone(&holder));
        }
        Ok(Some(holder))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing under this lock can panic half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- principals and grants ----

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

    // ---- tokens ----

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

    // ---- the first administrator ----

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

    // ---- the record ----

    /// Moves with every change: who has seen [`Access::pending_changes`] empty asks again when it has moved.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn generation(&self) -> Result<u64, AccessError> {
        Ok(self.store.generation()?)
    }

    /// Changes that some of these ledgers concern and have not recorded, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn pending_changes(
        &self,
        ledgers: &[String],
        limit: usize,
    ) -> Result<Vec<PendingChange>, AccessError> {
        let rows = self.store.pending_changes(ledgers, limit)?;
        rows.into_iter()
            .map(|row| Ok(PendingChange::try_from(row)?))
            .collect()
    }

    /// Notes that `ledger` holds a durable entry for this change. Twice is the same as once.
    ///
    /// # Errors
    /// When there is no such change, or the store cannot be written.
    pub fn mark_recorded(&self, change: Id16, ledger: &str) -> Result<(), AccessError> {
        match self.store.mark_recorded(change, ledger) {
            Err(AccessStoreError::Missing { .. }) => Err(AccessError::NotFound("change")),
            other => Ok(other?),
        }
    }

    // ---- within ----

    /// Reads the generation, decides on what is stored, and writes if the generation is still the same; else decides anew.
    fn change<T>(
        &self,
        decide: impl Fn() -> Result<Plan<T>, AccessError>,
    ) -> Result<T, AccessError> {
        for _ in 0..ATTEMPTS {
            let generation = self.store.generation()?;
            let plan = decide()?;
            if plan.writes.is_empty() {
                return Ok(plan.answer);
            }
            let rows = plan
                .changes
                .iter()
                .map(Change::row)
                .collect::<Result<Vec<_>, _>>()?;
            match self.store.apply(generation, &plan.writes, &rows) {
                Ok(_) => return Ok(plan.answer),
                Err(AccessStoreError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccessError::Busy)
    }

    fn load(&self, id: Id16) -> Result<Principal, AccessError> {
        let (row, grants) = self
            .store
            .principal(id)?
            .ok_or(AccessError::NotFound("principal"))?;
        Ok(Principal::from_rows(row, grants)?)
    }

    /// The whole principal, if it exists for `by`.
    fn seen(&self, by: Actor<'_>, id: Id16) -> Result<Principal, AccessError> {
        let principal = self.load(id)?;
        as_seen(by, principal.clone()).ok_or(AccessError::NotFound("principal"))?;
        Ok(principal)
    }

    /// The whole principal, if `by` administers every ledger that it reaches at `now`.
    fn managed(&self, by: Actor<'_>, id: Id16, now: Timestamp) -> Result<Principal, AccessError> {
        let principal = self.seen(by, id)?;
        let mine = administers(by);
        let manages = mine != Ledgers::none() && mine.covers(&principal.ledgers_at(now));
        if manages {
            Ok(principal)
        } else {
            Err(AccessError::Forbidden)
        }
    }

    fn token_of(&self, principal: Id16, token: Id16) -> Result<TokenRow, AccessError> {
        let row = self
            .store
            .token(token)?
            .filter(|row| row.principal == principal);
        row.ok_or(AccessError::NotFound("token"))
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

    fn plan_token(
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

    fn new_principal(
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

    fn note(
        &self,
        by: Actor<'_>,
        kind: ChangeKind,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<Change, AccessError> {
        let by = match by {
            Actor::Machine => None,
            Actor::Caller(caller) => Some(caller.principal()),
        };
        Ok(Change::of(self.random_id()?, now, by, kind, principal))
    }

    fn random_id(&self) -> Result<Id16, AccessError> {
        let mut id = [0; 16];
        self.fill(&mut id)?;
        Ok(Id16(id))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), AccessError> {
        (self.random)(bytes).map_err(|e| AccessError::Random(e.to_string()))
    }
}

fn add_principal(principal: &Principal) -> Result<Vec<Write>, AccessError> {
    let mut writes = vec![Write::AddPrincipal(principal.row())];
    for grant in &principal.grants {
        writes.push(Write::AddGrant(grant.row(principal.id)?));
    }
    Ok(writes)
}

/// The ledgers whose principals `by` manages.
fn administers(by: Actor<'_>) -> Ledgers {
    match by {
        Actor::Machine => Ledgers::All,
        Actor::Caller(caller) => caller.ledgers_with(Permission::ManagePrincipals),
    }
}

/// The principal as `by` may see it: callers see themselves; administrators see who shares a ledger with them, with the
/// grants that reach it.
fn as_seen(by: Actor<'_>, mut principal: Principal) -> Option<Principal> {
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

fn check_grant(by: Actor<'_>, grant: &NewGrant, now: Timestamp) -> Result<(), AccessError> {
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
fn mixes_roles(roles: impl Iterator<Item = Role>) -> bool {
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

fn check_name(name: &str) -> Result<(), AccessError> {
    let fits = (1..=200).contains(&name.chars().count());
    if fits && name.trim() == name && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(AccessError::BadName)
    }
}

fn check_expiry(expires: Option<Timestamp>, now: Timestamp) -> Result<(), AccessError> {
    if expires.is_some_and(|t| t <= now) {
        Err(AccessError::ExpiryPast)
    } else {
        Ok(())
    }
}

fn has_ended(token: &TokenRow, now: Timestamp) -> bool {
    token.revoked.is_some() || token.expires.is_some_and(|t| t <= now)
}
