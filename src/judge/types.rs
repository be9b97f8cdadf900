//! What goes into a judgement and what comes out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::content::Opened;
use crate::ledger::{Hash, Leaf};

/// An entry as the judge sees it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The leaf, decoded.
    pub leaf: Leaf,
    /// Its top-level digests, in the order of the report.
    pub digests: Vec<Hash>,
    /// What is shown of it.
    pub opened: Opened,
    /// Why what is not shown is not shown. A hidden digest that is not in here is *missing*.
    pub absences: BTreeMap<Hash, Absence>,
}

/// Why a disclosure is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// Erased: the entry with this `seq` proves it.
    Erased {
        /// Position of the `content.erased` or `retention.applied` entry.
        by: u64,
    },
    /// Withheld from this reader.
    Withheld {
        /// The member's place in the event, when it is a declared member (else its name could tell something).
        pointer: Option<String>,
    },
}

/// What the question is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A case, by its pseudonym in hex.
    Case(String),
    /// A trace, by its id in the leaf, in hex.
    Trace(String),
    /// A recommendation, by the disclosure that names it (so that the signed payload stays free of content).
    Recommendation(DatumRef),
}

/// A value within a disclosure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatumRef {
    /// Digest of the disclosure, base64url.
    pub digest: String,
    /// JSON pointer into the disclosure's value.
    pub at: String,
}

/// An argument of a sentence. It never carries content itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Arg {
    /// A value within a disclosure; renders as its state when it is not shown.
    Datum(DatumRef),
    /// A member of a leaf (`recorded`, `occurred`, `type`, `seq`, …).
    Member {
        /// Position of the entry.
        seq: u64,
        /// Name of the leaf's member.
        member: String,
    },
    /// A number that the judge counted.
    Count {
        /// The number.
        count: u64,
    },
    /// A word of the catalogue (`term.<term>`), chosen by rule.
    Term {
        /// Its id.
        term: String,
    },
    /// Several of them.
    List {
        /// In order.
        list: Vec<Arg>,
    },
}

/// One sentence: a template of the message catalogue with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentence {
    /// Template id in the catalogue.
    pub template: String,
    /// Arguments by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, Arg>,
    /// Positions of the entries that the sentence rests on.
    pub entries: Vec<u64>,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// The record or the process is weaker than it should be.
    Warning,
    /// The process was not proper, or the record lacks what the profile demands.
    Error,
    /// The control that should have prevented harm did not work.
    Critical,
}

/// A named defect in the record or in the process that it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Stable code, such as `approval.after_action`.
    pub code: String,
    /// How grave it is.
    pub severity: Severity,
    /// What it says; the template is `finding.<code>`.
    pub sentence: Sentence,
}

/// A verdict on elements or controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// All that the profile demands is there.
    Good,
    /// Something is not.
    Bad,
    /// What would decide it is erased or not shown.
    Undetermined,
    /// No AI recommendation was made, so the profile demands nothing.
    NotApplicable,
}

/// A part of the answer, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// The role of the AI, the main elements of the decision, the principal reasons: read this first.
    Summary,
    /// Why: the reasons in order, each with its evidence.
    Reasons,
    /// Who asked, in what role, and under what authority.
    Authority,
    /// What was looked up, selected and cited.
    Basis,
    /// How it was checked.
    Checks,
    /// Who approved it, and what they saw.
    Approval,
    /// What was handed out and done, when.
    Action,
    /// What came of it later.
    Outcome,
    /// What cannot be said, and why.
    Limits,
}

/// A section with its sentences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerPart {
    /// Which part.
    pub section: Section,
    /// Its sentences.
    pub sentences: Vec<Sentence>,
}

/// One line of the timeline, in ledger order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineItem {
    /// Position of the entry.
    pub seq: u64,
    /// What it says; the template is `timeline.<event type>` (or `timeline.other`).
    pub sentence: Sentence,
}

/// How one entry rests on another, in W3C PROV terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// An activity used an entity.
    Used,
    /// An entity was generated by an activity.
    WasGeneratedBy,
    /// An entity was derived from another.
    WasDerivedFrom,
    /// An activity was informed by another.
    WasInformedBy,
    /// An agent acted on behalf of another.
    ActedOnBehalfOf,
    /// An activity was associated with an agent.
    WasAssociatedWith,
}

/// A join that the record makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Entry from which it starts.
    pub from: u64,
    /// How.
    pub relation: Relation,
    /// Entry that it leads to.
    pub to: u64,
    /// The recorded id or digest that makes the join, on the side of `from`.
    pub by: DatumRef,
}

/// All that the judge says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The answer, summary first.
    pub answer: Vec<AnswerPart>,
    /// Entry by entry.
    pub timeline: Vec<TimelineItem>,
    /// Defects, gravest first, then in ledger order.
    pub findings: Vec<Finding>,
    /// Joins between entries.
    pub graph: Vec<Edge>,
    /// Are the profile's required elements there?
    pub elements: Judged,
    /// Were the profile's controls met?
    pub controls: Judged,
    /// Which rule of the profile was applied: its index.
    pub profile_rule: Option<usize>,
}
