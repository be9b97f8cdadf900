//! The room's one entrance: authentication, and every change of who may do what.

use super::caller::Caller;
use super::change::{Change, ChangeKind, PendingChange};
use super::error::{AccessError, AuthError};
use super::principal::Principal;
use super::scope::Ledgers;
use super::token::digest_of;
use crate::ledger::{Hash, Id16, Timestamp};
use crate::store::access::{AccessStore, AccessStoreError, Found, TokenRow, Write};
use rules::{administers, as_seen};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq;

mod first;
mod principals;
mod rules;
mod tokens;

/// How often a change is decided anew when others change something in between.
const ATTEMPTS: usize = 16;
/// Tokens remembered between two changes; more than that, and the memory starts afresh.
const MEMORY: usize = 10_000;

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
