//! What can go wrong, said to people.

use super::role::Role;
use crate::store::access::AccessStoreError;

/// Why a token was not accepted. All but [`AuthError::Store`] mean the same to a client:
/// not authenticated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not of the form of a token.
    #[error("this is not a token of this service; a token starts with wh_ and has 46 characters")]
    Malformed,
    /// Never minted here.
    #[error("this token is unknown")]
    Unknown,
    /// Revoked.
    #[error("this token was revoked")]
    Revoked,
    /// Rotated, and the grace period is over.
    #[error("this token was replaced by a newer one")]
    Rotated,
    /// Past its time.
    #[error("this token has expired")]
    Expired,
    /// Its principal was revoked.
    #[error("the principal of this token was revoked")]
    PrincipalRevoked,
    /// Nobody knows, because the database does not answer: not a verdict on the token.
    #[error("tokens cannot be checked at the moment: {0}")]
    Store(AccessStoreError),
}

/// What is wrong with a grant that someone asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantFault {
    /// No ledger.
    #[error("name at least one ledger, or say all")]
    NoLedger,
    /// A ledger without a name.
    #[error("a ledger's name cannot be empty")]
    EmptyLedgerName,
    /// Sources missing.
    #[error("a grant as {0} needs at least one source to post for")]
    NoSource(Role),
    /// Sources that mean nothing.
    #[error("the role {0} does not post, so its grant lists no sources")]
    SourcesNotForRole(Role),
    /// Not a source.
    #[error(
        "{0:?} is not a source: write a URI reference without white space, at most 2048 bytes long"
    )]
    BadSource(String),
    /// Cases missing.
    #[error("a grant as {0} needs cases: list them, or grant all where the role allows it")]
    NoCases(Role),
    /// Cases that mean nothing.
    #[error("the role {0} reads no cases, so its grant lists none")]
    CasesNotForRole(Role),
    /// All, where a list is needed.
    #[error("the role {0} never gets all cases: list them")]
    CasesMustBeListed(Role),
    /// A case in a ledger that the grant does not reach.
    #[error("the grant lists cases of the ledger {0:?}, which it does not reach")]
    CasesOutsideLedgers(String),
    /// No end.
    #[error("a {0}'s grant must say when it ends")]
    NoExpiry(Role),
    /// Ended before it began.
    #[error("the grant would already be over")]
    ExpiryPast,
}

/// Why principals, grants or tokens could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Not there, or nothing of the asker's business.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The asker may not.
    #[error("this needs an administrator of every ledger that it reaches")]
    Forbidden,
    /// The asker would give something to themselves.
    #[error("nobody extends their own access: ask another administrator")]
    OwnAccess,
    /// Not a name.
    #[error(
        "a principal's name has 1 to 200 characters, none of them control characters, and no space at either end"
    )]
    BadName,
    /// A principal without a grant.
    #[error("a principal needs at least one grant")]
    NoGrant,
    /// A grant that cannot be given.
    #[error("the grant cannot be given: {}", join(.0))]
    Grant(Vec<GrantFault>),
    /// An administrator who reads.
    #[error("whoever administers cannot hold another role as well: use two principals")]
    MixedRoles,
    /// The principal has ended.
    #[error("the principal was revoked")]
    PrincipalRevoked,
    /// The token has ended.
    #[error("the token has expired, or was revoked or rotated already")]
    TokenEnded,
    /// Ended before it began.
    #[error("the token would already be over")]
    ExpiryPast,
    /// Two valid tokens for too long.
    #[error("a rotated token may stay valid for at most {0} days")]
    GraceTooLong(u64),
    /// Others kept changing things.
    #[error("others are changing principals or tokens at the same time; try again")]
    Busy,
    /// No randomness, no token.
    #[error("the operating system gives no random bytes: {0}")]
    Random(String),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] AccessStoreError),
}

fn join(faults: &[GrantFault]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
