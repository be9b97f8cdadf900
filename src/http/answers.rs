//! Timelines, and why.

use actix_web::http::header::{CONTENT_LANGUAGE, VARY};
use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::auth::{InLedger, Why};
use super::entries::{case_name, native};
use super::problem::{Kind, Problem, ProblemBody};
use super::reads::{PURPOSE_DOC, Reading, Unrecorded};
use crate::access::Permission;
use crate::judge::{self, Arg, Judged, Judgement, Sentence, Severity};
use crate::ledger::Hash;
use crate::reconstruct::{CaseName, Collected, Question, ReconstructError, collect};
use crate::report;
use crate::sequencer::Access;

/// How to answer.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AnswerQuery {
    /// Language of the sentences: `en` or `de`. Without it, the Accept-Language header decides.
    #[param(example = "en")]
    lang: Option<String>,
    /// For a trace or recommendation that belongs to several cases: which one (its id, or `~` and its pseudonym).
    #[param(example = "C-7")]
    case: Option<String>,
}

/// A sentence, with what it rests on.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerSentence {
    /// In words; left out for callers who may not read content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "The case assistant recommended the action “escalate”.")]
    pub text: Option<String>,
    /// Template in the message catalogue.
    pub template: String,
    /// Its arguments: references to disclosures and leaves, never content itself.
    #[schema(value_type = Object)]
    pub args: std::collections::BTreeMap<String, Arg>,
    /// Positions of the entries that it rests on.
    pub entries: Vec<u64>,
}

/// A part of the answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerSection {
    /// Which part.
    #[schema(value_type = String, example = "summary")]
    pub section: judge::Section,
    /// Its sentences.
    pub sentences: Vec<AnswerSentence>,
}

/// A defect in the record or in the process that it shows.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerFinding {
    /// Stable code; `docs/findings.md` explains it.
    #[schema(example = "approval.after_action")]
    pub code: String,
    /// How grave it is.
    #[schema(value_type = String, example = "critical")]
    pub severity: Severity,
    /// In words; left out for callers who may not read content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// Positions of the entries that it rests on.
    pub entries: Vec<u64>,
}

/// What the service can say of its own record, and what only an outside verifier can.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerVerdicts {
    /// `not_established`: nobody vouches for their own records. Issue a report and verify it offline.
    #[schema(example = "not_established")]
    pub integrity: &'static str,
    /// `complete` when the entries of the case are linked without a gap, up to now; `not_established` without a case.
    #[schema(example = "complete")]
    pub sequence: &'static str,
    /// `not_established`: only somebody outside can say how fresh this is.
    #[schema(example = "not_established")]
    pub freshness: &'static str,
    /// Are the profile's required elements there?
    #[schema(value_type = String, example = "good")]
    pub elements: Judged,
    /// Were the profile's controls met?
    #[schema(value_type = String, example = "bad")]
    pub controls: Judged,
}

/// Which profile the record was judged against.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerProfile {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its canonical form, hex.
    pub sha256: String,
    /// The rule that was applied: its place, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
}

/// Why.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyAnswer {
    /// Pseudonym of the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The ledger's size that the answer speaks of.
    pub as_of: u64,
    /// The answer, summary first.
    pub answer: Vec<AnswerSection>,
    /// The verdicts.
    pub verdicts: AnswerVerdicts,
    /// The defects, gravest first.
    pub findings: Vec<AnswerFinding>,
    /// Joins between entries, by recorded ids (W3C PROV relations).
    #[schema(value_type = Vec<Object>)]
    pub graph: Vec<judge::Edge>,
    /// What it was judged against.
    pub profile: AnswerProfile,
}

/// What happened, entry by entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineAnswer {
    /// Pseudonym of the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The ledger's size that the answer speaks of.
    pub as_of: u64,
    /// The entries, in ledger order.
    pub items: Vec<TimelineEntry>,
}

/// A line of the timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineEntry {
    /// Position.
    #[schema(example = 7)]
    pub seq: u64,
    /// Event type.
    #[serde(rename = "type")]
    #[schema(example = "approval.decided")]
    pub kind: String,
    /// Claimed time.
    #[schema(example = "2026-11-22T10:15:30.000000Z")]
    pub occurred: String,
    /// The ledger's time.
    pub recorded: String,
    /// Leaf hash, hex.
    pub leaf_hash: String,
    /// In words; left out for callers who may not read content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The event as it was posted; left out for callers who may not read content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub event: Option<Value>,
}

/// Collects for a caller: with content where they may read it, else for verdicts only, and then nothing that is
/// named by content. Tells which it is.
fn gather(at: &InLedger<Why>, question: &Question) -> Result<(Collected, bool), ReconstructError> {
    if at.may(Permission::ReadContent) {
        match collect(&at.ledger, question, &at.sight(Permission::ReadContent)) {
            Ok(found) => return Ok((found, true)),
            Err(ReconstructError::NotFound) => {}
            Err(e) => return Err(e),
        }
    }
    if !at.may(Permission::ReadVerdicts) || question.names_content() {
        return Err(ReconstructError::NotFound);
    }
    Ok((
        collect(&at.ledger, question, &at.sight(Permission::ReadVerdicts))?,
        false,
    ))
}

/// The language that the request asks for, with its catalogue.
fn catalogue<'a>(
    server: &'a Server,
    request: &HttpRequest,
    query: &AnswerQuery,
) -> Result<(&'static str, &'a judge::Catalogue), Problem> {
    let find = |lang: &str| {
        server
            .catalogues
            .get_key_value(lang)
            .map(|(lang, found)| (*lang, found))
    };
    if let Some(lang) = &query.lang {
        return find(lang).ok_or_else(|| {
            Problem::new(
                Kind::InvalidQuery,
                format!("`lang` must be one of: {}.", server.languages()),
            )
        });
    }
    let header = request
        .headers()
        .get("accept-language")
        .and_then(|h| h.to_str().ok())
        .unwrap_or_default();
    wanted(header)
        .iter()
        .find_map(|lang| find(lang))
        .or_else(|| find("en"))
        .ok_or_else(|| Problem::internal("the English catalogue is absent"))
}

/// The languages of an Accept-Language header without regions, the most wanted first (RFC 9110, 12.5.4).
fn wanted(header: &str) -> Vec<String> {
    let mut ranges: Vec<(f32, String)> = Vec::new();
    for range in header.split(',') {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let weight = parameters
            .split(';')
            .find_map(|p| p.trim().strip_prefix("q="))
            .map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
        let lang = tag
            .trim()
            .split('-')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if weight > 0.0 && !lang.is_empty() {
            ranges.push((weight, lang));
        }
    }
    ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranges.into_iter().map(|(_, lang)| lang).collect()
}

/// An answer in a language that the header may have chosen.
fn told_in(lang: &'static str, body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_LANGUAGE, lang))
        .insert_header((VARY, "accept-language"))
        .json(body)
}

struct Teller<'a> {
    catalogue: &'a judge::Catalogue,
    entries: judge::Entries<'a>,
    content: bool,
}

impl Teller<'_> {
    fn text(&self, sentence: &Sentence) -> Option<String> {
        self.content
            .then(|| judge::render(sentence, self.catalogue, &self.entries))
    }

    fn sentence(&self, s: Sentence) -> AnswerSentence {
        AnswerSentence {
            text: self.text(&s),
            template: s.template,
            args: s.args,
            entries: s.entries,
        }
    }
}

/// The address of a case names it once.
fn named_once(query: &AnswerQuery, question: &Question) -> Result<(), Problem> {
    match question {
        Question::Case(_) if query.case.is_some() => Err(Problem::new(
            Kind::InvalidQuery,
            "The address names the case already: leave out the parameter `case`.",
        )),
        _ => Ok(()),
    }
}

/// What an answer is made of.
struct Found {
    collected: Collected,
    /// Whether the caller may read content.
    content: bool,
    judgement: Judgement,
    /// The ledger's size that it speaks of.
    as_of: u64,
}

/// Collects and judges, away from the threads that serve requests. That something belongs to several cases, and to which,
/// is an answer as well.
async fn judged(
    at: InLedger<Why>,
    server: web::Data<Server>,
    reading: Reading,
    question: Question,
) -> Result<Unrecorded<Result<Found, Problem>>, Problem> {
    web::block(move || {
        let as_of = at.ledger.size();
        let (collected, content) = match gather(&at, &question) {
            Ok(found) => found,
            Err(ReconstructError::SeveralCases(cases)) => {
                let access = Access {
                    cases: cases.iter().copied().collect(),
                    as_of,
                    ..reading.access(&at, Permission::ReadVerdicts, server.clock.now())
                };
                let several = ReconstructError::SeveralCases(cases).into();
                return Ok(Unrecorded::new(&at.ledger, access, Err(several)));
            }
            Err(e) => return Err(e.into()),
        };
        let judgement = report::judge(&collected, &server.profile);
        let by = if content {
            Permission::ReadContent
        } else {
            Permission::ReadVerdicts
        };
        let (first, last) = (collected.entries.first(), collected.entries.last());
        let access = Access {
            case: collected.case,
            entries: match (collected.case, first, last) {
                (None, Some(first), Some(last)) => Some((first.leaf.seq, last.leaf.seq)),
                _ => None,
            },
            count: collected.entries.len() as u64,
            as_of,
            content,
            ..reading.access(&at, by, server.clock.now())
        };
        let found = Found {
            collected,
            content,
            judgement,
            as_of,
        };
        Ok(Unrecorded::new(&at.ledger, access, Ok(found)))
    })
    .await
    .map_err(Problem::internal)?
}

async fn why(
    at: InLedger<Why>,
    server: web::Data<Server>,
    request: HttpRequest,
    reading: Reading,
    query: AnswerQuery,
    question: Question,
) -> Result<HttpResponse, Problem> {
    named_once(&query, &question)?;
    let (lang, catalogue) = catalogue(&server, &request, &query)?;
    let found = judged(at, server.clone(), reading, question).await?;
    let tell = |found: Found| {
        let teller = Teller {
            catalogue,
            entries: judge::Entries::new(&found.collected.entries),
            content: found.content,
        };
        let (judgement, as_of) = (found.judgement, found.as_of);
        told_in(
            lang,
            &answer(&teller, &found.collected, judgement, as_of, &server),
        )
    };
    found.map(|found| found.map(tell)).record().await?
}

fn answer(
    teller: &Teller<'_>,
    collected: &Collected,
    judgement: Judgement,
    as_of: u64,
    server: &Server,
) -> WhyAnswer {
    let section = |part: judge::AnswerPart| AnswerSection {
        section: part.section,
        sentences: part
            .sentences
            .into_iter()
            .map(|s| teller.sentence(s))
            .collect(),
    };
    let finding = |f: judge::Finding| AnswerFinding {
        sentence: teller.text(&f.sentence),
        code: f.code,
        severity: f.severity,
        entries: f.sentence.entries,
    };
    WhyAnswer {
        case: collected.case.map(|c| c.to_hex()),
        as_of,
        answer: judgement.answer.into_iter().map(section).collect(),
        verdicts: AnswerVerdicts {
            integrity: "not_established",
            sequence: sequence(collected),
            freshness: "not_established",
            elements: judgement.elements,
            controls: judgement.controls,
        },
        findings: judgement.findings.into_iter().map(finding).collect(),
        graph: judgement.graph,
        profile: AnswerProfile {
            name: server.profile.name.clone(),
            version: server.profile.version.clone(),
            sha256: server.profile.digest().to_hex(),
            rule: judgement.profile_rule,
        },
    }
}

/// Whether the case's entries are linked without a gap.
fn sequence(collected: &Collected) -> &'static str {
    if collected.case.is_none() {
        return "not_established";
    }
    let mut last = Hash::ZERO;
    for (position, (entry, leaf)) in (0..).zip(collected.entries.iter().zip(&collected.leaves)) {
        let Some(link) = entry.leaf.case else {
            continue;
        };
        if link.seq != position || link.prev != last {
            return "broken";
        }
        last = Hash::leaf(leaf.as_bytes());
    }
    "complete"
}

async fn timeline(
    at: InLedger<Why>,
    server: web::Data<Server>,
    request: HttpRequest,
    reading: Reading,
    query: AnswerQuery,
    question: Question,
) -> Result<HttpResponse, Problem> {
    named_once(&query, &question)?;
    let (lang, catalogue) = catalogue(&server, &request, &query)?;
    let found = judged(at, server.clone(), reading, question).await?;
    found
        .map(|found| found.map(|found| lines(found, lang, catalogue)))
        .record()
        .await?
}

fn lines(found: Found, lang: &'static str, catalogue: &judge::Catalogue) -> HttpResponse {
    let Found {
        collected,
        content,
        judgement,
        as_of,
    } = found;
    let teller = Teller {
        catalogue,
        entries: judge::Entries::new(&collected.entries),
        content,
    };
    let mut told: std::collections::HashMap<u64, Sentence> = judgement
        .timeline
        .into_iter()
        .map(|t| (t.seq, t.sentence))
        .collect();
    let items = collected
        .entries
        .iter()
        .zip(&collected.leaves)
        .map(|(e, leaf)| TimelineEntry {
            seq: e.leaf.seq,
            kind: e.leaf.kind.clone(),
            occurred: e.leaf.occurred.to_string(),
            recorded: e.leaf.recorded.to_string(),
            leaf_hash: Hash::leaf(leaf.as_bytes()).to_hex(),
            text: told.remove(&e.leaf.seq).and_then(|s| teller.text(&s)),
            event: content.then(|| native(&e.leaf, &e.opened)),
        });
    told_in(
        lang,
        &TimelineAnswer {
            case: collected.case.map(|c| c.to_hex()),
            as_of,
            items: items.collect(),
        },
    )
}

fn choice(query: &AnswerQuery) -> Option<CaseName> {
    query.case.as_deref().map(case_name)
}

macro_rules! answers {
    ($($name:ident $path:literal $param:literal $example:literal $summary:literal $description:literal $body:ty, $run:ident, $question:expr;)*) => {
        $(
            #[doc = $summary]
            #[doc = ""]
            #[doc = $description]
            #[utoipa::path(
                tag = "Answering",
                params(
                    ("ledger" = String, Path, description = "Name of the ledger", example = "demo"),
                    ($param = String, Path, description = "Its id; for a case also `~` and its pseudonym", example = $example),
                    ("Whereas-Purpose" = Option<String>, Header, description = PURPOSE_DOC, example = "Complaint 2026/114"),
                    AnswerQuery
                ),
                responses(
                    (status = 200, description = "The answer", body = $body),
                    (status = 400, description = "The query is not understood", body = ProblemBody, content_type = "application/problem+json"),
                    (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
                    (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
                    (status = 404, description = "Nothing there that this token may know of", body = ProblemBody, content_type = "application/problem+json"),
                    (status = 409, description = "It belongs to several cases", body = ProblemBody, content_type = "application/problem+json"),
                    (status = 422, description = "The record is too long", body = ProblemBody, content_type = "application/problem+json"),
                    (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
                ),
                security(("token" = []))
            )]
            #[get($path)]
            pub async fn $name(
                at: InLedger<Why>,
                server: web::Data<Server>,
                request: HttpRequest,
                reading: Reading,
                query: web::Query<AnswerQuery>,
                path: web::Path<(String, String)>,
            ) -> Result<HttpResponse, Problem> {
                let query = query.into_inner();
                let make: fn(String, Option<CaseName>) -> Question = $question;
                let question = make(path.into_inner().1, choice(&query));
                $run(at, server, request, reading, query, question).await
            }
        )*
    };
}

answers! {
    case_timeline "/v1/ledgers/{ledger}/cases/{case}" "case" "C-7"
        "Read the timeline of a case." "Every entry of the case in ledger order, each in one sentence."
        TimelineAnswer, timeline, |id, _| Question::Case(case_name(&id));
    case_why "/v1/ledgers/{ledger}/cases/{case}/why" "case" "C-7"
        "Ask why, for a case." "The answer in plain language, each sentence with the entries that it rests on; verdicts; findings."
        WhyAnswer, why, |id, _| Question::Case(case_name(&id));
    trace_timeline "/v1/ledgers/{ledger}/traces/{trace}" "trace" "0af7651916cd43dd8448eb211c80319c"
        "Read the timeline of a trace." "All entries of the trace's case, or of the trace where it has no case."
        TimelineAnswer, timeline, Question::Trace;
    trace_why "/v1/ledgers/{ledger}/traces/{trace}/why" "trace" "0af7651916cd43dd8448eb211c80319c"
        "Ask why, for a trace." "As for a case; a trace over several cases makes the caller choose one."
        WhyAnswer, why, Question::Trace;
    recommendation_timeline "/v1/ledgers/{ledger}/recommendations/{recommendation}" "recommendation" "rec-1"
        "Read the timeline of a recommendation." "All entries of the recommendation's case."
        TimelineAnswer, timeline, Question::Recommendation;
    recommendation_why "/v1/ledgers/{ledger}/recommendations/{recommendation}/why" "recommendation" "rec-1"
        "Ask why, for a recommendation." "As for a case, with this recommendation in its centre."
        WhyAnswer, why, Question::Recommendation;
}
