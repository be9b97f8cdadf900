//! Findings: named defects in the record, or in the process that it shows.
//!
//! The codes are an interface. `docs/findings.md` states each rule for readers; a test holds the two together.

mod approvals;
mod authorization;
mod content;
mod controls;
mod elements;
mod evidence;
mod time;

use std::collections::BTreeSet;

use super::profile::Rule;
use super::unit::{Unit, UnitKind};
use super::view::{Say, View, say};
use super::{Finding, Severity};

pub(super) use approvals::{covers, is_person, needed as approval_needed};
pub(super) use content::{Hidden, content};
pub(super) use evidence::Sources;
pub(super) use time::time;

/// Which question a code belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Elements of the record.
    Elements,
    /// Controls of the process.
    Controls,
    /// What the reasons rest on.
    Evidence,
    /// Clocks and order.
    Time,
    /// What is not shown.
    Content,
}

/// A code, its family, and how grave it is.
#[derive(Debug, Clone, Copy)]
pub struct CodeInfo {
    /// The code.
    pub code: &'static str,
    /// Its family.
    pub family: Family,
    /// How grave it is.
    pub severity: Severity,
    /// How grave it is when nothing came of it: the action failed, or nothing was handed out or done.
    pub lighter: Severity,
}

use Family::{Content, Controls, Elements, Evidence, Time};
use Severity::{Critical, Error, Info, Warning};

const fn code(
    code: &'static str,
    family: Family,
    severity: Severity,
    lighter: Severity,
) -> CodeInfo {
    CodeInfo {
        code,
        family,
        severity,
        lighter,
    }
}

/// All codes.
pub const CODES: [CodeInfo; 48] = [
    code("missing.identity", Elements, Error, Error),
    code("missing.role", Elements, Warning, Warning),
    code("missing.case", Elements, Error, Error),
    code("missing.trace", Elements, Warning, Warning),
    code("missing.authorization", Elements, Error, Error),
    code("missing.policy_sources", Elements, Error, Error),
    code("missing.case_facts", Elements, Error, Error),
    code("missing.evidence", Elements, Warning, Warning),
    code("missing.draft", Elements, Error, Error),
    code("missing.citations", Elements, Error, Error),
    code("missing.validation", Elements, Error, Error),
    code("missing.risk", Elements, Error, Error),
    code("missing.approval_requirement", Elements, Warning, Warning),
    code("missing.approval_decision", Elements, Error, Error),
    code("missing.final_output", Elements, Warning, Warning),
    code("missing.action", Elements, Warning, Warning),
    code("missing.model_version", Elements, Warning, Warning),
    code("missing.prompt_version", Elements, Warning, Warning),
    code("missing.index_version", Elements, Warning, Warning),
    code("missing.tool_version", Elements, Warning, Warning),
    code("missing.agent_version", Elements, Warning, Warning),
    code("missing.candidates", Elements, Warning, Warning),
    code("sequence.producer_gap", Elements, Warning, Warning),
    code("approval.absent", Controls, Critical, Error),
    code("approval.after_action", Controls, Critical, Critical),
    code("approval.self", Controls, Error, Warning),
    code("approval.expired", Controls, Error, Warning),
    code("approval.other_draft", Controls, Critical, Error),
    code("approval.quorum", Controls, Error, Warning),
    code("approval.rejected", Controls, Critical, Error),
    code("authorization.denied", Controls, Critical, Critical),
    code("authorization.none", Controls, Error, Error),
    code("authorization.other_case", Controls, Error, Error),
    code("output.not_approved", Controls, Error, Error),
    code("action.not_recommended", Controls, Error, Warning),
    code("draft.digest_mismatch", Controls, Critical, Critical),
    code("citation.not_retrieved", Evidence, Error, Error),
    code("citation.not_selected", Evidence, Warning, Warning),
    code("citation.other_version", Evidence, Error, Error),
    code("citation.quote_absent", Evidence, Error, Error),
    code("claim.unsupported", Evidence, Error, Error),
    code("validation.failed", Evidence, Error, Warning),
    code("guardrail.overridden", Evidence, Critical, Critical),
    code("time.backdated", Time, Warning, Warning),
    code("time.future", Time, Warning, Warning),
    code("order.impossible", Time, Error, Error),
    code("content.withheld", Content, Info, Info),
    code("content.erased", Content, Info, Info),
];

/// What is known of a code; `None` when there is no such code.
#[must_use]
pub fn code_info(code: &str) -> Option<&'static CodeInfo> {
    CODES.iter().find(|info| info.code == code)
}

/// What the judging of one unit by one rule has shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    pub(super) findings: Vec<Finding>,
    /// Codes that could not be decided because what would decide them is not shown.
    pub(super) undecided: BTreeSet<&'static str>,
}

/// How grave a finding is, beside its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Full,
    Lighter,
}

/// Judging one unit by one rule.
pub(super) struct Judging<'a, 'r> {
    unit: &'r Unit<'a>,
    /// All entries, for ids that lead out of the unit.
    all: &'r [View<'a>],
    rule: &'r Rule,
    outcome: Outcome,
}

/// Judges one unit by one rule.
pub(super) fn judge_unit<'a>(unit: &Unit<'a>, all: &[View<'a>], rule: &Rule) -> Outcome {
    let mut judging = Judging {
        unit,
        all,
        rule,
        outcome: Outcome::default(),
    };
    if unit.kind != UnitKind::Loose {
        elements::judge(&mut judging);
        authorization::judge(&mut judging);
        controls::judge(&mut judging);
        evidence::judge(&mut judging);
    }
    approvals::judge(&mut judging);
    judging.outcome
}

impl<'a> Judging<'a, '_> {
    /// Whether the rule asks for it.
    fn wants(&self, code: &str) -> bool {
        self.rule.elements.contains(code) || self.rule.controls.contains(code)
    }

    /// Notes a finding, if the rule asks for the code.
    fn find(&mut self, code: &'static str, weight: Weight, say: Say) {
        if self.wants(code) {
            self.outcome.findings.push(finding(code, weight, say));
        }
    }

    /// Like [`Judging::find`], but one finding for all occurrences, told by the first.
    fn find_once(&mut self, code: &'static str, weight: Weight, say: Say) {
        if !self.wants(code) {
            return;
        }
        let new = finding(code, weight, say);
        match self
            .outcome
            .findings
            .iter_mut()
            .find(|finding| finding.code == code)
        {
            None => self.outcome.findings.push(new),
            Some(old) => {
                old.severity = old.severity.max(new.severity);
                old.sentence.entries.extend(new.sentence.entries);
                old.sentence.entries.sort_unstable();
                old.sentence.entries.dedup();
            }
        }
    }

    /// Notes that a code cannot be decided.
    fn leave_open(&mut self, code: &'static str) {
        if self.wants(code) {
            self.outcome.undecided.insert(code);
        }
    }
}

/// Starts the sentence of a finding.
fn about(code: &str) -> Say {
    say(&format!("finding.{code}"))
}

fn finding(code: &'static str, weight: Weight, say: Say) -> Finding {
    let severity = code_info(code).map_or(Error, |info| {
        if weight == Weight::Full {
            info.severity
        } else {
            info.lighter
        }
    });
    Finding {
        code: code.to_owned(),
        severity,
        sentence: say.done(),
    }
}
