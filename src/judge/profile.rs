//! Profiles: which elements and controls the record of a feature must show at which risk.
//!
//! `docs/profiles.md` documents the format for operators.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::findings::{Family, code_info};
use crate::event::vocabulary::RiskLevel;
use crate::json::{self, Limits};
use crate::ledger::{Hash, sha256};

/// The profile that holds when the operator configures none.
const DEFAULT: &[u8] = include_bytes!("default_profile.json");

/// All levels of risk, lowest first.
pub(super) const LEVELS: [RiskLevel; 4] = [
    RiskLevel::Low,
    RiskLevel::Medium,
    RiskLevel::High,
    RiskLevel::Critical,
];

/// What records are judged against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its version: whoever changes a rule changes the version.
    pub version: String,
    /// Its rules; the first that fits is applied.
    pub rules: Vec<Rule>,
}

/// What is required of one group of features at some levels of risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The features: names, with `*` for any run of characters.
    pub features: Vec<String>,
    /// The levels of risk.
    pub risks: Vec<RiskLevel>,
    /// The elements that must be recorded: codes of the elements family.
    pub elements: BTreeSet<String>,
    /// The controls that are judged: codes of the families controls, evidence and time.
    pub controls: BTreeSet<String>,
    /// Whether every recommendation needs an approval before it is handed out or acted on, whatever was recorded.
    #[serde(default)]
    pub approval_required: bool,
    /// Whether somebody other than who asked or drafted must approve, whatever was recorded.
    #[serde(default)]
    pub separation_of_duties: bool,
    /// What clocks are allowed.
    #[serde(default)]
    pub clock: Clock,
}

/// How far claimed times may be off before it is a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clock {
    /// `time.backdated`: how many seconds an event may reach the ledger after it happened.
    pub late_seconds: u32,
    /// `time.future`: how many seconds an event may claim to be ahead of the ledger's clock.
    pub future_seconds: u32,
    /// `order.impossible`, and `time.backdated` against a cause: how many seconds two producers' clocks may differ.
    pub skew_seconds: u32,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            late_seconds: 86_400,
            future_seconds: 120,
            skew_seconds: 5,
        }
    }
}

/// All that is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the profile cannot be used: {}", .problems.join("; "))]
pub struct ProfileError {
    /// One sentence for each problem.
    pub problems: Vec<String>,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// All problems, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProfileError> {
        let value = json::parse(bytes, Limits::default()).map_err(|faults| ProfileError {
            problems: faults
                .into_iter()
                .map(|fault| format!("at `{}`: {}", fault.pointer, fault.detail))
                .collect(),
        })?;
        let profile: Self = serde_json::from_value(value).map_err(|fault| ProfileError {
            problems: vec![fault.to_string()],
        })?;
        let problems = profile.problems();
        if problems.is_empty() {
            Ok(profile)
        } else {
            Err(ProfileError { problems })
        }
    }

    /// The built-in profile.
    ///
    /// # Errors
    /// Never in a program whose tests have passed; the type says so because nothing here may panic.
    pub fn builtin() -> Result<Self, ProfileError> {
        Self::parse(DEFAULT)
    }

    /// SHA-256 over the profile in canonical form: two files that say the same have the same digest.
    #[must_use]
    pub fn digest(&self) -> Hash {
        let value = serde_json::to_value(self).unwrap_or_default();
        sha256(&[json::canonical(&value).as_bytes()])
    }

    /// The first rule for a feature at a level of risk. A record that names no feature is judged by rules for `*`.
    #[must_use]
    pub fn rule_for(&self, feature: Option<&str>, level: RiskLevel) -> Option<usize> {
        self.rules.iter().position(|rule| {
            rule.risks.contains(&level)
                && rule.features.iter().any(|glob| match feature {
                    Some(feature) => matches_glob(glob, feature),
                    None => glob == "*",
                })
        })
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.name.trim().is_empty() {
            problems.push("`name` is empty".to_owned());
        }
        if self.version.trim().is_empty() {
            problems.push("`version` is empty".to_owned());
        }
        for (number, rule) in self.rules.iter().enumerate() {
            rule.problems(&format!("rules[{number}]"), &mut problems);
        }
        for level in LEVELS {
            if self.rule_for(None, level).is_none() {
                let name = serde_json::to_value(level).unwrap_or_default();
                problems.push(format!(
                    "no rule for the feature `*` at risk {name}: every record must find a rule"
                ));
            }
        }
        problems
    }
}

impl Rule {
    fn problems(&self, place: &str, problems: &mut Vec<String>) {
        if self.features.is_empty() || self.features.iter().any(String::is_empty) {
            problems.push(format!(
                "{place}: `features` needs at least one name, and no empty one; `*` stands for all"
            ));
        }
        if self.risks.is_empty() {
            problems.push(format!("{place}: `risks` names no level"));
        }
        for code in &self.elements {
            if code_info(code).is_none_or(|info| info.family != Family::Elements) {
                problems.push(format!(
                    "{place}: `{code}` in `elements` is not a code of the elements family"
                ));
            }
        }
        for code in &self.controls {
            let fits =
                |family| matches!(family, Family::Controls | Family::Evidence | Family::Time);
            if code_info(code).is_none_or(|info| !fits(info.family)) {
                problems.push(format!("{place}: `{code}` in `controls` is not a code of the control, evidence or time family"));
            }
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any run of characters.
fn matches_glob(glob: &str, name: &str) -> bool {
    let Some((head, tail)) = glob.split_once('*') else {
        return glob == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    if !tail.contains('*') {
        return rest.ends_with(tail);
    }
    (0..=rest.len())
        .filter_map(|at| rest.get(at..))
        .any(|rest| matches_glob(tail, rest))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn default() -> Value {
        serde_json::from_slice(DEFAULT).unwrap()
    }

    #[test]
    fn the_default_demands_more_where_more_is_at_stake() {
        let profile = Profile::builtin().unwrap();
        let at = |level| &profile.rules[profile.rule_for(None, level).unwrap()];
        assert!(!at(RiskLevel::Low).approval_required);
        assert!(
            at(RiskLevel::Medium).approval_required && !at(RiskLevel::Medium).separation_of_duties
        );
        for level in [RiskLevel::High, RiskLevel::Critical] {
            assert!(at(level).approval_required && at(level).separation_of_duties);
            assert!(at(level).elements.contains("missing.citations"));
        }
        for pair in LEVELS.windows(2) {
            assert!(at(pair[0]).elements.is_subset(&at(pair[1]).elements));
            assert!(at(pair[0]).controls.is_subset(&at(pair[1]).controls));
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_profile() {
        let wrong = |change: fn(&mut Value)| {
            let mut value = default();
            change(&mut value);
            Profile::parse(value.to_string().as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert!(
            wrong(|v| v["rules"][0]["elements"] = json!(["missing.nothing"]))
                .contains("missing.nothing")
        );
        assert!(
            wrong(|v| v["rules"][0]["elements"] = json!(["approval.self"]))
                .contains("approval.self")
        );
        assert!(
            wrong(|v| v["rules"][0]["controls"] = json!(["missing.role"])).contains("missing.role")
        );
        assert!(wrong(|v| v["rules"][0]["colour"] = json!(1)).contains("colour"));
        assert!(wrong(|v| v["rules"] = json!([])).contains("every record must find a rule"));
        assert!(wrong(|v| v["name"] = json!(" ")).contains("`name` is empty"));
        assert!(wrong(|v| v["rules"][0]["features"] = json!([])).contains("features"));
        assert!(Profile::parse(b"{\"name\":\"a\",\"name\":\"b\"}").is_err());
    }

    #[test]
    fn the_digest_is_of_what_is_said_not_of_how() {
        let pretty = Profile::builtin().unwrap();
        let plain = Profile::parse(default().to_string().as_bytes()).unwrap();
        assert_eq!(pretty.digest(), plain.digest());
        let mut other = default();
        other["version"] = json!("other");
        assert_ne!(
            Profile::parse(other.to_string().as_bytes())
                .unwrap()
                .digest(),
            plain.digest()
        );
    }

    #[test]
    fn the_first_rule_that_fits_is_applied() {
        let mut value = default();
        let mut special = value["rules"][0].clone();
        special["features"] = json!(["benefit.*.stop", "letters"]);
        value["rules"].as_array_mut().unwrap().insert(0, special);
        let profile = Profile::parse(value.to_string().as_bytes()).unwrap();
        let level = profile.rules[0].risks[0];
        assert_eq!(
            profile.rule_for(Some("benefit.housing.stop"), level),
            Some(0)
        );
        assert_eq!(profile.rule_for(Some("letters"), level), Some(0));
        assert_ne!(profile.rule_for(Some("letters2"), level), Some(0));
        assert_ne!(profile.rule_for(Some("benefit.stop"), level), Some(0));
        assert_ne!(profile.rule_for(None, level), Some(0));
    }

    #[test]
    fn globs() {
        for (glob, name, want) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("a", "ab", false),
            ("*é*", "née", true),
        ] {
            assert_eq!(matches_glob(glob, name), want, "{glob} {name}");
        }
    }
}
