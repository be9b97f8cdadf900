//! Roles, permissions, and the one table between them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// What a principal is, within a grant's scope.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A system that posts events for the sources that its grant lists, and fetches its own receipts; never content.
    Producer,
    /// Works on the cases that the grant lists: their content, no reports.
    CaseWorker,
    /// Finds out what went wrong: content, and reports.
    Investigator,
    /// Checks the record and the process: leaves, proofs, codes and verdicts by case pseudonym; reports without content.
    Auditor,
    /// Comes with a matter, for a time: content of the cases that the grant lists, and reports.
    Regulator,
    /// Answers for personal data: content, and reports.
    PrivacyOfficer,
    /// Runs the server and manages principals; never reads content, leaves or reports.
    Administrator,
}

/// One thing that a route can need.
///
/// A permission never lends its scope to another: a route that needs two asks for both, each with its own cases.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Post events, for the sources that the grant lists.
    PostEvents,
    /// Fetch receipts of one's own events by (source, id), for the sources that the grant lists.
    ReadOwnReceipts,
    /// Leaves, inclusion proofs, checkpoints by position, tiles of hashes, receipts of anything. Leaves that cannot be
    /// filtered by case (bundles, ranges of leaves) also need all cases.
    ReadProofs,
    /// Why, with codes and verdicts, by case pseudonym, without content.
    ReadVerdicts,
    /// Timelines, why, entries and exhibits with content.
    ReadContent,
    /// Issue reports. A report with content needs `read_content` for its case as well.
    IssueReports,
    /// Read issued reports. A report with content needs `read_content` for its case as well.
    ReadReports,
    /// Create and revoke principals, grants and tokens.
    ManagePrincipals,
    /// Run the server: confirm a clock, look at a ledger's state.
    Operate,
    /// Look at one's own principal, grants and tokens.
    ReadOwnPrincipal,
}

use Permission::{
    IssueReports, ManagePrincipals, Operate, PostEvents, ReadContent, ReadOwnPrincipal,
    ReadOwnReceipts, ReadProofs, ReadReports, ReadVerdicts,
};

/// Which roles may do what. Whoever reads content may also see the verdicts on it.
const TABLE: [(Role, &str, &[Permission]); 7] = [
    (
        Role::Producer,
        "producer",
        &[PostEvents, ReadOwnReceipts, ReadOwnPrincipal],
    ),
    (
        Role::CaseWorker,
        "case_worker",
        &[ReadVerdicts, ReadContent, ReadOwnPrincipal],
    ),
    (
        Role::Investigator,
        "investigator",
        &[
            ReadVerdicts,
            ReadContent,
            IssueReports,
            ReadReports,
            ReadOwnPrincipal,
        ],
    ),
    (
        Role::Auditor,
        "auditor",
        &[
            ReadProofs,
            ReadVerdicts,
            IssueReports,
            ReadReports,
            ReadOwnPrincipal,
        ],
    ),
    (
        Role::Regulator,
        "regulator",
        &[
            ReadVerdicts,
            ReadContent,
            IssueReports,
            ReadReports,
            ReadOwnPrincipal,
        ],
    ),
    (
        Role::PrivacyOfficer,
        "privacy_officer",
        &[
            ReadVerdicts,
            ReadContent,
            IssueReports,
            ReadReports,
            ReadOwnPrincipal,
        ],
    ),
    (
        Role::Administrator,
        "administrator",
        &[ManagePrincipals, Operate, ReadOwnPrincipal],
    ),
];

impl Permission {
    /// All permissions.
    pub const ALL: [Self; 10] = [
        PostEvents,
        ReadOwnReceipts,
        ReadProofs,
        ReadVerdicts,
        ReadContent,
        IssueReports,
        ReadReports,
        ManagePrincipals,
        Operate,
        ReadOwnPrincipal,
    ];
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 7] = [
        Self::Producer,
        Self::CaseWorker,
        Self::Investigator,
        Self::Auditor,
        Self::Regulator,
        Self::PrivacyOfficer,
        Self::Administrator,
    ];

    /// The name, as in JSON and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE
            .iter()
            .find(|row| row.0 == self)
            .map_or("", |row| row.1)
    }

    /// What this role may do within its grant's scope.
    #[must_use]
    pub fn permissions(self) -> &'static [Permission] {
        TABLE
            .iter()
            .find(|row| row.0 == self)
            .map_or(&[], |row| row.2)
    }

    /// Whether this role may do that.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        self.permissions().contains(&permission)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no role {0:?}; the roles are producer, case_worker, investigator, auditor, regulator, privacy_officer and administrator"
)]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let row = TABLE.iter().find(|row| row.1 == text);
        row.map(|row| row.0)
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// The whole table as a page; whoever changes a permission changes this page, knowingly.
    const PAGE: &str = "
                   PostEv OwnRec Proofs Verdic Conten Issue  Report Manage Operat OwnPri
producer           x      x      .      .      .      .      .      .      .      x
case_worker        .      .      .      x      x      .      .      .      .      x
investigator       .      .      .      x      x      x      x      .      .      x
auditor            .      .      x      x      .      x      x      .      .      x
regulator          .      .      .      x      x      x      x      .      .      x
privacy_officer    .      .      .      x      x      x      x      .      .      x
administrator      .      .      .      .      .      .      .      x      x      x
";

    #[test]
    fn the_table_is_the_one_that_was_agreed() {
        let mut page = PAGE.lines().take(2).collect::<Vec<_>>().join("\n");
        for role in Role::ALL {
            let marks = Permission::ALL
                .map(|p| if role.may(p) { "x" } else { "." })
                .join("      ");
            write!(page, "\n{:<19}{marks}", role.name()).unwrap();
        }
        assert_eq!(page + "\n", PAGE);
    }

    #[test]
    fn names_are_those_of_json_and_come_back() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
            assert_eq!(role.name().parse(), Ok(role));
        }
        let err = "root".parse::<Role>().unwrap_err().to_string();
        assert!(
            Role::ALL.iter().all(|role| err.contains(role.name())),
            "{err}"
        );
        assert!("Producer".parse::<Role>().is_err() && "".parse::<Role>().is_err());
    }

    #[test]
    fn who_runs_the_server_never_reads_and_who_posts_never_reads_content() {
        let read = [
            ReadProofs,
            ReadVerdicts,
            ReadContent,
            ReadReports,
            IssueReports,
        ];
        assert!(
            read.iter()
                .all(|p| !Role::Administrator.may(*p) && !Role::Producer.may(*p))
        );
    }
}
