//! Who is asking, and whether they may: permission is a part of each handler's type.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};

use super::Server;
use super::problem::{Kind, Problem};
use super::reads::Asked;
use crate::access::{BlindCase, Caller, CaseFilter, Decision, Permission, bearer};
use crate::ledger::Id16;
use crate::reconstruct::CaseSight;
use crate::sequencer::Ledger;

/// What a handler needs: at least one of these permissions.
pub trait Needs: 'static {
    /// Any of them will do.
    const ANY: &'static [Permission];
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident: $($permission:ident)|+;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;
            impl Needs for $name {
                const ANY: &'static [Permission] = &[$(Permission::$permission),+];
            }
        )*
    };
}

needs! {
    /// To post events.
    Posting: PostEvents;
    /// To fetch the receipts of one's own events.
    OwnReceipts: ReadOwnReceipts;
    /// To read leaves and proofs of anything.
    Proofs: ReadProofs;
    /// To read entries: with content, or as leaves.
    Entries: ReadContent | ReadProofs;
    /// To ask why: with content, or for codes and verdicts.
    Why: ReadContent | ReadVerdicts;
    /// To export: leaves, content, or all as it is stored.
    Exporting: ReadProofs | ReadContent | Operate;
    /// To see who read a case.
    Readers: ReadContent;
    /// To issue a report.
    Issuing: IssueReports;
    /// To read a report.
    Reports: ReadReports;
    /// To manage principals.
    Managing: ManagePrincipals;
    /// To operate a ledger.
    Operating: Operate;
    /// To know the ledger's newest checkpoint and keys: anybody who has to do with the ledger.
    Knowing: PostEvents | ReadProofs | ReadVerdicts | ReadContent | ReadReports | Operate;
    /// To look at oneself.
    Oneself: ReadOwnPrincipal;
}

/// A caller who may do `N` somewhere; for routes that belong to no ledger.
#[derive(Debug)]
pub struct Allowed<N: Needs> {
    /// Who.
    pub caller: Caller,
    needs: PhantomData<N>,
}

/// A caller who may do `N` in the ledger that the path names.
#[derive(Debug)]
pub struct InLedger<N: Needs> {
    /// Who.
    pub caller: Caller,
    /// Which ledger.
    pub ledger: Arc<Ledger>,
    needs: PhantomData<N>,
}

/// A ledger's log as static files: for a caller who may do `N` there, or for everybody where the log is public.
#[derive(Debug)]
pub struct InLog<N: Needs> {
    /// Which ledger.
    pub ledger: Arc<Ledger>,
    /// Whether it is for everybody. A token, even a wrong one, is not looked at then.
    pub public: bool,
    needs: PhantomData<N>,
}

impl<N: Needs> FromRequest for InLog<N> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let found = |ledger, public| Self {
            ledger,
            public,
            needs: PhantomData,
        };
        let server = request.app_data::<web::Data<Server>>();
        if let Some(server) = server.filter(|s| s.public_log) {
            let name = request.match_info().get("ledger").unwrap_or_default();
            let ledger = server.ledgers.get(name).map(Arc::clone);
            return ready(match ledger {
                Some(ledger) => Ok(found(ledger, true)),
                None => Err(Problem::not_found("ledger")),
            });
        }
        let asked = InLedger::<N>::from_request(request, payload).into_inner();
        ready(asked.map(|at| found(at.ledger, false)))
    }
}

fn caller(request: &HttpRequest) -> Result<(&Server, Caller), Problem> {
    let server = request
        .app_data::<web::Data<Server>>()
        .map(|s| s.get_ref())
        .ok_or_else(|| Problem::internal("the server's state is absent"))?;
    let header = request.headers().get(AUTHORIZATION).ok_or_else(|| {
        Problem::new(
            Kind::Unauthenticated,
            "The request carries no token. Send the header `Authorization: Bearer wh_…`.",
        )
    })?;
    let token = header.to_str().ok().and_then(bearer).ok_or_else(|| {
        Problem::new(
            Kind::Unauthenticated,
            "The Authorization header is not of the form `Bearer wh_…`.",
        )
    })?;
    let caller = server.access.authenticate(token, server.clock.now())?;
    Ok((server, caller))
}

fn names(permissions: &[Permission]) -> String {
    let names: Vec<String> = permissions
        .iter()
        .filter_map(|p| serde_json::to_value(p).ok()?.as_str().map(str::to_owned))
        .collect();
    names.join(" or ")
}

impl<N: Needs> FromRequest for Allowed<N> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request).and_then(|(_, caller)| {
            let may = N::ANY
                .iter()
                .any(|p| caller.may_somewhere(*p) == Decision::Allowed);
            if may {
                Ok(Self {
                    caller,
                    needs: PhantomData,
                })
            } else {
                Err(Problem::new(
                    Kind::Forbidden,
                    format!("This needs a grant that permits {}.", names(N::ANY)),
                ))
            }
        }))
    }
}

impl<N: Needs> FromRequest for InLedger<N> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request).and_then(|(server, caller)| {
            let name = request.match_info().get("ledger").unwrap_or_default();
            // Another tenant's ledger and one that does not exist are the same to the caller.
            let ledger = server.ledgers.get(name);
            if let Some(ledger) = ledger {
                let (principal, ledger) = (caller.principal(), Arc::clone(ledger));
                request.extensions_mut().insert(Asked { principal, ledger });
            }
            let ledger = ledger
                .filter(|_| caller.sees_ledger(name))
                .ok_or_else(|| Problem::not_found("ledger"))?;
            let may = N::ANY
                .iter()
                .any(|p| caller.may(*p, name) == Decision::Allowed);
            if may {
                Ok(Self {
                    caller,
                    ledger: Arc::clone(ledger),
                    needs: PhantomData,
                })
            } else {
                Err(Problem::new(
                    Kind::Forbidden,
                    format!(
                        "This needs a grant for this ledger that permits {}.",
                        names(N::ANY)
                    ),
                ))
            }
        }))
    }
}

impl<N: Needs> InLedger<N> {
    /// Whether the caller may do this here as well.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.caller.may(permission, self.ledger.name()) == Decision::Allowed
    }

    /// The role by which the caller may do this here, when it is one.
    #[must_use]
    pub fn role(&self, permission: Permission) -> Option<&'static str> {
        let grants = self.caller.grants().iter();
        let mut roles: Vec<&str> = grants
            .filter(|g| g.role.may(permission) && g.scope.ledgers.contains(self.ledger.name()))
            .map(|g| g.role.name())
            .collect();
        roles.sort_unstable();
        roles.dedup();
        match roles[..] {
            [role] => Some(role),
            _ => None,
        }
    }

    /// The cases that a permission extends to.
    #[must_use]
    pub fn sight(&self, permission: Permission) -> Sight {
        Sight(self.caller.case_filter(permission, self.ledger.name()))
    }
}

/// Which cases a caller may look into.
#[derive(Debug, Clone)]
pub struct Sight(CaseFilter);

impl Sight {
    /// Whether it is every case.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0 == CaseFilter::All
    }
}

impl Sight {
    /// The blind images of the cases; `None` when it is every case.
    #[must_use]
    pub fn cases(&self) -> Option<Vec<Id16>> {
        match &self.0 {
            CaseFilter::All => None,
            CaseFilter::Only(cases) => Some(cases.iter().map(|c| c.0).collect()),
        }
    }
}

impl CaseSight for Sight {
    fn sees(&self, blind: Option<&Id16>) -> bool {
        match blind {
            Some(blind) => self.0.admits(BlindCase(*blind)),
            None => self.is_all(),
        }
    }
}
