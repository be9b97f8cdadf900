//! The closed, versioned vocabulary of events: one Rust type for each event type's `data`, from which the
//! JSON Schemas and the OpenAPI document are generated.
//!
//! Every member is optional unless a value could not be understood without it: a missing element is a *finding*
//! (something to report), not a fault (something to refuse). Members that are not declared here are kept as
//! content. `null` means the same as absent.
//!
//! Digests are written `sha256:<64 lower-case hex digits>`. Times are RFC 3339 with an offset.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Who did it, in the role that they had at that time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Actor {
    /// Identifier of the person, service or agent in the producer's system.
    pub id: Option<String>,
    /// Name as it would be printed on a document.
    pub name: Option<String>,
    /// Role at the time of the event.
    pub role: Option<String>,
    /// What acted.
    pub kind: Option<ActorKind>,
    /// How the actor proved who they are: `oidc`, `smartcard`, `mtls`, …
    pub authentication_method: Option<String>,
    /// The person or organisation for whom the actor acted.
    pub on_behalf_of: Option<String>,
}

/// What acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person.
    Human,
    /// A program that follows fixed rules.
    Service,
    /// An AI agent.
    Agent,
}

/// The person whom the case is about, by opaque reference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Subject {
    /// Opaque reference of the person concerned.
    pub id: Option<String>,
    /// What the reference names: `person`, `household`, `organisation`, …
    pub kind: Option<String>,
}

/// A reference to something outside the ledger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Reference {
    /// What is referred to: `trace`, `document`, `ticket`, …
    pub kind: Option<String>,
    /// The system that holds it.
    pub system: Option<String>,
    /// Where it is.
    pub uri: Option<String>,
    /// Its media type.
    pub media_type: Option<String>,
    /// Digest of its bytes.
    pub digest: Option<String>,
}

/// The identity of another event that brought this one about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cause {
    /// Its source.
    pub source: String,
    /// Its id.
    pub id: String,
}

/// What every event may carry beside its `type` and `data`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Common {
    /// Unique within the source, for ever. A repeated (source, id) with the same event is a retry; with another event it is a conflict.
    #[schema(min_length = 1, max_length = 1024)]
    pub id: String,
    /// The system that states the event: a URI reference. The token must list it.
    #[schema(min_length = 1, max_length = 1024)]
    pub source: String,
    /// When it happened, as the producer claims: RFC 3339 with an offset.
    #[schema(max_length = 64)]
    pub time: String,
    /// The case that the event belongs to.
    #[schema(min_length = 1, max_length = 1024)]
    pub case_id: Option<String>,
    /// Trace of the run: W3C trace id (32 lower-case hex digits), or the producer's own id.
    #[schema(min_length = 1, max_length = 1024)]
    pub trace_id: Option<String>,
    /// Span within the trace: W3C span id (16 lower-case hex digits), or the producer's own id.
    #[schema(min_length = 1, max_length = 1024)]
    pub span_id: Option<String>,
    /// The request that started the run.
    pub request_id: Option<String>,
    /// The run of the agent or workflow.
    pub run_id: Option<String>,
    /// The product feature; selects the profile that the record is judged against.
    pub feature: Option<String>,
    /// Who did it.
    pub actor: Option<Actor>,
    /// The person concerned.
    pub subject: Option<Subject>,
    /// Things outside the ledger that belong to the event.
    pub refs: Option<Vec<Reference>>,
    /// The recommendation that the event is about.
    pub recommendation_id: Option<String>,
    /// The approval that the event is about.
    pub approval_id: Option<String>,
    /// Events that brought this one about.
    pub causes: Option<Vec<Cause>>,
    /// Counter of the source, ascending by one for each event that it posts to this ledger; a gap is a finding.
    #[schema(minimum = 0)]
    pub sequence: Option<u64>,
}

/// `request.received`: somebody asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RequestReceived {
    /// How it came: `web`, `phone`, `api`, …
    pub channel: Option<String>,
    /// What the caller thinks the risk is.
    pub risk_hint: Option<String>,
    /// What was asked, where policy permits to keep it.
    pub question: Option<String>,
    /// A keyed hash of the question, where it does not.
    pub question_hash: Option<String>,
}

/// A thing that a permission is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Resource {
    /// `case`, `source`, `tool`, …
    pub kind: Option<String>,
    /// Its id. For a `case`, the case id.
    pub id: Option<String>,
}

/// The outcome of an authorization decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizationResult {
    /// Allowed.
    Allowed,
    /// Denied.
    Denied,
    /// Allowed only with an approval.
    ApprovalRequired,
}

/// `authorization.decided`: whether the actor may do it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AuthorizationDecided {
    /// Id of the decision; other events refer to it.
    pub decision_id: Option<String>,
    /// The action that was asked for.
    pub action: Option<String>,
    /// What it was asked on.
    pub resource: Option<Resource>,
    /// The outcome.
    pub result: Option<AuthorizationResult>,
    /// The policy that decided.
    pub policy_id: Option<String>,
    /// Its revision.
    pub policy_revision: Option<String>,
    /// Duties that come with the permission.
    pub obligations: Option<Vec<String>>,
    /// Why.
    pub reason: Option<String>,
}

/// `source.accessed`: a source was read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SourceAccessed {
    /// The source.
    pub source_id: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Digest of what was read.
    pub digest: Option<String>,
    /// The authorization decision that allowed it.
    pub authorization_decision_id: Option<String>,
}

/// Something that a retrieval found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Candidate {
    /// The source found.
    pub source_id: Option<String>,
    /// Its title, for people.
    pub title: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Digest of its bytes.
    pub digest: Option<String>,
    /// The stage that found it: `lexical`, `vector`, `fused`, `reranked`, …
    pub stage: Option<String>,
    /// Its place at that stage, from 1.
    pub rank: Option<u64>,
    /// Its score at that stage.
    pub score: Option<f64>,
    /// The authorization decision that allowed it to be read.
    pub authorization_decision_id: Option<String>,
    /// The text found, where policy permits to keep it; lets quotations be checked.
    pub text: Option<String>,
}

/// `policy.retrieved` and `facts.retrieved`: what was looked up, found and selected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Retrieved {
    /// Keyed hash of the query.
    pub query_hash: Option<String>,
    /// What kind of query it was.
    pub query_type: Option<String>,
    /// `lexical`, `vector`, `hybrid`, `lookup`, …
    pub retrieval_mode: Option<String>,
    /// The index that was searched.
    pub index: Option<String>,
    /// Its version.
    pub index_version: Option<String>,
    /// The embedding model.
    pub embedding_model: Option<String>,
    /// The reranking model.
    pub reranker_model: Option<String>,
    /// The filters that were set.
    #[schema(value_type = Option<Object>)]
    pub filters: Option<Map<String, Value>>,
    /// What was found.
    pub candidates: Option<Vec<Candidate>>,
    /// The source ids that were given to the model.
    pub selected_ids: Option<Vec<String>>,
}

/// A piece of evidence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Evidence {
    /// Its id; citations may refer to it.
    pub evidence_id: Option<String>,
    /// The source that it comes from.
    pub source_id: Option<String>,
    /// Version of the source.
    pub version: Option<String>,
    /// Digest of its bytes.
    pub digest: Option<String>,
    /// Where in the source: page, paragraph, line.
    pub locator: Option<String>,
    /// Its words.
    pub quotation: Option<String>,
    /// Reference of the bytes that are kept as exhibit.
    pub exhibit: Option<String>,
}

/// `evidence.linked`: evidence was attached to the case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct EvidenceLinked {
    /// The pieces.
    pub evidence: Option<Vec<Evidence>>,
}

/// How a tool call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    /// It worked.
    Success,
    /// It failed.
    Failed,
    /// No answer in time.
    Timeout,
    /// It was not allowed.
    Denied,
}

/// `tool.proposed` and `tool.executed`: a tool call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ToolCall {
    /// Name of the tool.
    pub tool: Option<String>,
    /// Its version.
    pub tool_version: Option<String>,
    /// Id of the call.
    pub call_id: Option<String>,
    /// What it changes outside: `none`, `read`, `write`, `irreversible`.
    pub side_effect_level: Option<String>,
    /// Its risk.
    pub risk_level: Option<String>,
    /// Keyed or salted digest of the arguments.
    pub arguments_digest: Option<String>,
    /// The arguments in short.
    #[schema(value_type = Option<Object>)]
    pub arguments_summary: Option<Map<String, Value>>,
    /// Keyed or salted digest of the result.
    pub result_digest: Option<String>,
    /// The result in short.
    pub result_summary: Option<String>,
    /// What authorization said.
    pub authorization_result: Option<AuthorizationResult>,
    /// The authorization decision that allowed it.
    pub authorization_decision_id: Option<String>,
    /// Key under which a repeated call is recognised.
    pub idempotency_key: Option<String>,
    /// How it ended (`tool.executed` only).
    pub status: Option<ToolStatus>,
    /// Kind of error, when it failed.
    pub error_type: Option<String>,
    /// References of what it changed.
    pub side_effects: Option<Vec<String>>,
}

/// What a guardrail found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailResult {
    /// Nothing wrong.
    Passed,
    /// Something doubtful; the run may go on.
    Flagged,
    /// The run must not go on with this.
    Blocked,
}

/// `guardrail.fired`: a guard looked at input or output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct GuardrailFired {
    /// Name of the guard.
    pub guard: Option<String>,
    /// Its version.
    pub guard_version: Option<String>,
    /// `input` or `output`.
    pub stage: Option<String>,
    /// What it found.
    pub result: Option<GuardrailResult>,
    /// Why.
    pub reason: Option<String>,
}

/// A passage that a claim rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Citation {
    /// The source cited.
    pub source_id: Option<String>,
    /// The version cited.
    pub version: Option<String>,
    /// Digest of the source cited.
    pub digest: Option<String>,
    /// The piece of evidence cited.
    pub evidence_id: Option<String>,
    /// Where in the source.
    pub locator: Option<String>,
    /// The words cited.
    pub quotation: Option<String>,
}

/// A statement in the draft, with what it rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Claim {
    /// Its id; validation may refer to it.
    pub id: Option<String>,
    /// The statement.
    pub text: Option<String>,
    /// What it rests on.
    pub citations: Option<Vec<Citation>>,
}

/// A tool that the agent had, by version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ToolVersion {
    /// Name of the tool.
    pub tool: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

/// `recommendation.drafted`: the AI put a recommendation forward.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RecommendationDrafted {
    /// The action recommended, as a code that `action.performed` repeats.
    pub recommended_action: Option<String>,
    /// The draft's words.
    pub draft: Option<String>,
    /// Digest of the draft's words (UTF-8). An approval binds to it.
    pub draft_digest: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Its version.
    pub model_version: Option<String>,
    /// Its parameters.
    #[schema(value_type = Option<Object>)]
    pub model_parameters: Option<Map<String, Value>>,
    /// The prompt template.
    pub prompt_template_id: Option<String>,
    /// Its version.
    pub prompt_version: Option<String>,
    /// Keyed hash of the rendered prompt.
    pub rendered_prompt_hash: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// Its version.
    pub agent_version: Option<String>,
    /// The tools it had.
    pub tools: Option<Vec<ToolVersion>>,
    /// The principal reasons, most important first, each with what it rests on.
    pub claims: Option<Vec<Claim>>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// Passed.
    Passed,
    /// Failed.
    Failed,
    /// Not run.
    Skipped,
}

/// One check of a validation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Check {
    /// `schema`, `citation`, `grounding`, `safety`, …
    pub name: Option<String>,
    /// How it ended.
    pub outcome: Option<CheckOutcome>,
    /// What was checked.
    pub subject: Option<String>,
    /// Version of the validator.
    pub validator_version: Option<String>,
    /// What it found.
    pub detail: Option<String>,
}

/// `validation.completed`: the draft was checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ValidationCompleted {
    /// The checks.
    pub checks: Option<Vec<Check>>,
    /// Ids or words of claims without support.
    pub unsupported_claims: Option<Vec<String>>,
    /// How often the draft was repaired.
    pub repairs: Option<u64>,
}

/// Level of risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// `risk.classified`: how much is at stake.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RiskClassified {
    /// The level.
    pub level: Option<RiskLevel>,
    /// What it rests on.
    pub factors: Option<Vec<String>>,
    /// Version of the classifier.
    pub classifier_version: Option<String>,
}

/// `approval.required`: whether, and by whom, the recommendation must be approved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ApprovalRequired {
    /// `false` records that policy asks for no approval. Absent means `true`.
    pub required: Option<bool>,
    /// The policy that says so.
    pub policy_id: Option<String>,
    /// Its revision.
    pub policy_revision: Option<String>,
    /// Roles that may approve; empty or absent: any.
    pub roles: Option<Vec<String>>,
    /// How many different people must approve. Absent means 1.
    #[schema(minimum = 1)]
    pub quorum: Option<u64>,
    /// Until when an approval counts: RFC 3339.
    pub expires: Option<String>,
    /// Whether the approver must be somebody other than who asked or drafted.
    pub separation_of_duties: Option<bool>,
}

/// What an approver decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalDecision {
    /// Yes.
    Approved,
    /// No.
    Rejected,
    /// Left to others.
    Abstained,
}

/// `approval.decided`: the actor approved or rejected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ApprovalDecided {
    /// The decision.
    pub decision: Option<ApprovalDecision>,
    /// What the signature means: "I have read the file and agree".
    pub meaning: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Digest of the draft that the approver saw.
    pub draft_digest: Option<String>,
}

/// A change between draft and final output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Change {
    /// What changed.
    pub what: Option<String>,
    /// Who changed it.
    pub by: Option<String>,
}

/// `output.finalized`: what was handed out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OutputFinalized {
    /// Its words.
    pub text: Option<String>,
    /// Digest of its words (UTF-8).
    pub digest: Option<String>,
    /// What changed since the draft, and by whom.
    pub changes: Option<Vec<Change>>,
    /// The caveats that were shown with it.
    pub caveats: Option<Vec<String>>,
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionStatus {
    /// It was done.
    Succeeded,
    /// It failed.
    Failed,
    /// It has been started.
    Pending,
    /// It was not done.
    Cancelled,
}

/// `action.performed`: the workflow acted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ActionPerformed {
    /// The action, as a code.
    pub action: Option<String>,
    /// How it ended.
    pub status: Option<ActionStatus>,
    /// Key under which a repeated action is recognised.
    pub idempotency_key: Option<String>,
    /// The authorization decision that allowed it.
    pub authorization_decision_id: Option<String>,
    /// References of what it changed.
    pub side_effects: Option<Vec<String>>,
    /// What went wrong, when it failed.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It did what was asked.
    Success,
    /// It failed.
    Failed,
    /// It did a part.
    Partial,
    /// It refused.
    Refused,
    /// It handed over to a person.
    Escalated,
    /// It found too little to go on.
    InsufficientEvidence,
}

/// `run.concluded`: the run ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RunConcluded {
    /// How.
    pub status: Option<RunStatus>,
    /// Why it stopped.
    pub stop_reason: Option<String>,
}

/// `outcome.recorded`: what came of it later. Earlier entries stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OutcomeRecorded {
    /// `appeal`, `override`, `complaint`, `feedback`, `correction`.
    pub kind: Option<String>,
    /// What was said or decided.
    pub detail: Option<String>,
    /// The events that a correction corrects.
    pub corrects: Option<Vec<Cause>>,
}

/// `ai.audit`: the flat audit event of the observability specification (its section 17).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AiAudit {
    /// The tenant: must be the ledger's name or origin.
    pub tenant_id: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// Sources given to the model.
    pub selected_source_ids: Option<Vec<String>>,
    /// Sources that the answer cites.
    pub cited_source_ids: Option<Vec<String>>,
    /// Versions of the models used.
    pub model_versions: Option<Vec<String>>,
    /// Versions of the indexes used.
    pub index_versions: Option<Vec<String>>,
    /// The authorization decision.
    pub authorization_decision_id: Option<String>,
    /// How the answer ended.
    pub answer_status: Option<String>,
}
