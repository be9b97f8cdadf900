//! Where a grant holds: ledgers, sources, cases.

use super::error::GrantFault;
use super::role::Role;
use super::text;
use crate::ledger::{Id16, Timestamp};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// The keyed hash of a case id under one ledger's key for that purpose, 16 bytes in lower-case hex: enough to
/// recognise the case when its id is presented, useless without the key. Not the case's pseudonym in leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, example = "9f86d081884c7d659a2feaa0c55ad015")]
pub struct BlindCase(pub Id16);

impl Serialize for BlindCase {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BlindCase {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let id = Id16::from_hex(&String::deserialize(d)?);
        id.map(Self)
            .ok_or_else(|| D::Error::custom("a blinded case is 32 lower-case hex digits"))
    }
}

/// Ledgers, by name: `"all"`, or `{"only": ["claims", …]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ledgers {
    /// All, those still to be created included.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Ledgers {
    /// No ledger.
    #[must_use]
    pub fn none() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// One ledger.
    #[must_use]
    pub fn one(name: &str) -> Self {
        Self::Only(BTreeSet::from([name.to_owned()]))
    }

    /// Whether this ledger is among them.
    #[must_use]
    pub fn contains(&self, ledger: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(ledger),
        }
    }

    /// Whether some ledger is in both.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::All, Self::Only(names)) | (Self::Only(names), Self::All) => !names.is_empty(),
            (Self::Only(a), Self::Only(b)) => !a.is_disjoint(b),
        }
    }

    /// Whether every ledger of `other` is among them; a list never covers all.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(a), Self::Only(b)) => b.is_subset(a),
        }
    }

    /// Those in either.
    #[must_use]
    pub fn union(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(mut a), Self::Only(b)) => {
                a.extend(b.iter().cloned());
                Self::Only(a)
            }
            _ => Self::All,
        }
    }
}

/// Cases: `"all"`, or `{"only": {"claims": ["<blinded case>", …]}}`, since each ledger blinds with its own key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cases {
    /// All.
    All,
    /// These, by ledger.
    Only(BTreeMap<String, BTreeSet<BlindCase>>),
}

impl Cases {
    /// No case.
    #[must_use]
    pub fn none() -> Self {
        Self::Only(BTreeMap::new())
    }

    /// These cases of one ledger.
    #[must_use]
    pub fn of(ledger: &str, cases: impl IntoIterator<Item = BlindCase>) -> Self {
        Self::Only(BTreeMap::from([(
            ledger.to_owned(),
            cases.into_iter().collect(),
        )]))
    }

    fn is_none(&self) -> bool {
        matches!(self, Self::Only(ledgers) if ledgers.values().all(BTreeSet::is_empty))
    }

    /// Whether some case of this ledger is among them.
    pub(super) fn any_in(&self, ledger: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(ledgers) => ledgers.get(ledger).is_some_and(|cases| !cases.is_empty()),
        }
    }
}

/// Where a grant holds. What is left out is nothing, never everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// In which ledgers.
    pub ledgers: Ledgers,
    /// For a producer: the sources that it may post for (URI references, compared character by character).
    #[serde(default)]
    pub sources: BTreeSet<String>,
    /// For a role that reads: about which cases.
    #[serde(default = "Cases::none")]
    pub cases: Cases,
}

/// A grant as someone asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// The role.
    pub role: Role,
    /// Where it holds.
    pub scope: Scope,
    /// Until when; a regulator's grant must end.
    #[serde(
        default,
        with = "text::time_opt",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
}

/// What a role needs in its scope.
struct Shape {
    sources: bool,
    cases: bool,
    /// `all` is not an answer.
    listed: bool,
    ends: bool,
}

impl Role {
    fn shape(self) -> Shape {
        let (sources, cases, listed, ends) = match self {
            Self::Producer => (true, false, false, false),
            Self::CaseWorker => (false, true, true, false),
            Self::Investigator | Self::Auditor | Self::PrivacyOfficer => {
                (false, true, false, false)
            }
            Self::Regulator => (false, true, true, true),
            Self::Administrator => (false, false, false, false),
        };
        Shape {
            sources,
            cases,
            listed,
            ends,
        }
    }

    /// Whether grants of this role are about cases.
    pub(super) fn is_about_cases(self) -> bool {
        self.shape().cases
    }
}

impl NewGrant {
    /// Everything that is wrong with it at `now`; empty when it can be given.
    #[must_use]
    pub fn faults(&self, now: Timestamp) -> Vec<GrantFault> {
        let mut faults = Vec::new();
        let (role, scope, shape) = (self.role, &self.scope, self.role.shape());
        match &scope.ledgers {
            Ledgers::Only(names) if names.is_empty() => faults.push(GrantFault::NoLedger),
            Ledgers::Only(names) if names.iter().any(|name| name.trim().is_empty()) => {
                faults.push(GrantFault::EmptyLedgerName);
            }
            _ => {}
        }
        if shape.sources && scope.sources.is_empty() {
            faults.push(GrantFault::NoSource(role));
        }
        if !shape.sources && !scope.sources.is_empty() {
            faults.push(GrantFault::SourcesNotForRole(role));
        }
        let bad = scope.sources.iter().filter(|source| !is_source(source));
        faults.extend(bad.map(|source| GrantFault::BadSource(source.clone())));
        if shape.cases && scope.cases.is_none() {
            faults.push(GrantFault::NoCases(role));
        }
        if !shape.cases && !scope.cases.is_none() {
            faults.push(GrantFault::CasesNotForRole(role));
        }
        if shape.listed && scope.cases == Cases::All {
            faults.push(GrantFault::CasesMustBeListed(role));
        }
        if let Cases::Only(ledgers) = &scope.cases {
            let outside = ledgers.keys().filter(|name| !scope.ledgers.contains(name));
            faults.extend(outside.map(|name| GrantFault::CasesOutsideLedgers(name.clone())));
        }
        match self.expires {
            None if shape.ends => faults.push(GrantFault::NoExpiry(role)),
            Some(expires) if expires <= now => faults.push(GrantFault::ExpiryPast),
            _ => {}
        }
        faults
    }
}

/// A URI reference cannot be empty here (`CloudEvents`), hold white space or control characters, or be endless.
fn is_source(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 2_048
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn json_says_all_or_only_and_silence_is_nothing() {
        let scope: Scope = serde_json::from_str(r#"{"ledgers":{"only":["a"]}}"#).unwrap();
        assert_eq!(
            scope,
            Scope {
                ledgers: Ledgers::one("a"),
                sources: BTreeSet::new(),
                cases: Cases::none()
            }
        );
        let hex = "00112233445566778899aabbccddeeff";
        let text = format!(
            r#"{{"ledgers":"all","sources":["urn:x"],"cases":{{"only":{{"a":["{hex}"]}}}}}}"#
        );
        let scope: Scope = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&scope).unwrap(), text);
        for bad in [
            "{}",
            r#"{"ledgers":"ALL"}"#,
            r#"{"ledgers":"all","case":"all"}"#,
            r#"{"ledgers":"all","cases":{"only":{"a":["A1"]}}}"#,
        ] {
            assert!(serde_json::from_str::<Scope>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sets_of_ledgers_never_grow_by_accident() {
        let (all, a, none) = (Ledgers::All, Ledgers::one("a"), Ledgers::none());
        let ab = a.clone().union(&Ledgers::one("b"));
        assert!(all.covers(&all) && all.covers(&ab) && ab.covers(&a) && a.covers(&none));
        assert!(!ab.covers(&all) && !a.covers(&ab));
        assert!(
            all.intersects(&a)
                && ab.intersects(&a)
                && !a.intersects(&Ledgers::one("b"))
                && !all.intersects(&none)
        );
        assert!(all.contains("z") && ab.contains("b") && !a.contains("b") && !a.contains("A"));
        assert_eq!(a.union(&all), Ledgers::All);
    }

    #[test]
    fn each_role_needs_its_shape() {
        let listed = || Cases::of("a", [BlindCase(Id16([1; 16]))]);
        let grant = |role, sources: &[&str], cases, expires: Option<i64>| NewGrant {
            role,
            scope: Scope {
                ledgers: Ledgers::one("a"),
                sources: sources.iter().map(|s| (*s).to_owned()).collect(),
                cases,
            },
            expires: expires.map(at),
        };
        use GrantFault as F;
        use Role::{
            Administrator, Auditor, CaseWorker, Investigator, PrivacyOfficer, Producer, Regulator,
        };
        for (grant, want) in [
            (
                grant(Producer, &["urn:a", "/relative"], Cases::none(), None),
                vec![],
            ),
            (
                grant(Producer, &[], Cases::none(), None),
                vec![F::NoSource(Producer)],
            ),
            (
                grant(Producer, &["a b"], Cases::none(), None),
                vec![F::BadSource("a b".to_owned())],
            ),
            (
                grant(Producer, &["urn:a"], Cases::All, None),
                vec![F::CasesNotForRole(Producer)],
            ),
            (grant(CaseWorker, &[], listed(), None), vec![]),
            (
                grant(CaseWorker, &[], Cases::All, None),
                vec![F::CasesMustBeListed(CaseWorker)],
            ),
            (
                grant(CaseWorker, &[], Cases::none(), None),
                vec![F::NoCases(CaseWorker)],
            ),
            (grant(Investigator, &[], Cases::All, Some(101)), vec![]),
            (
                grant(Investigator, &[], Cases::of("a", []), None),
                vec![F::NoCases(Investigator)],
            ),
            (
                grant(Auditor, &["urn:a"], listed(), None),
                vec![F::SourcesNotForRole(Auditor)],
            ),
            (
                grant(PrivacyOfficer, &[], Cases::All, Some(100)),
                vec![F::ExpiryPast],
            ),
            (grant(Regulator, &[], listed(), Some(101)), vec![]),
            (
                grant(Regulator, &[], listed(), None),
                vec![F::NoExpiry(Regulator)],
            ),
            (
                grant(Regulator, &[], Cases::All, None),
                vec![F::CasesMustBeListed(Regulator), F::NoExpiry(Regulator)],
            ),
            (
                grant(
                    Regulator,
                    &[],
                    Cases::of("b", [BlindCase(Id16([1; 16]))]),
                    Some(101),
                ),
                vec![F::CasesOutsideLedgers("b".to_owned())],
            ),
            (grant(Administrator, &[], Cases::none(), None), vec![]),
            (
                grant(Administrator, &[], Cases::All, None),
                vec![F::CasesNotForRole(Administrator)],
            ),
        ] {
            assert_eq!(grant.faults(at(100)), want, "{grant:?}");
        }
        let mut nowhere = grant(Administrator, &[], Cases::none(), None);
        nowhere.scope.ledgers = Ledgers::none();
        assert_eq!(nowhere.faults(at(100)), [F::NoLedger]);
    }
}
