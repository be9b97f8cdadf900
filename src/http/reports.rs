//! Issuing and fetching reports.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderValue, LOCATION};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::auth::{InLedger, Issuing, Reports, Sight};
use super::body::JsonBody;
use super::entries::case_name;
use super::problem::{Kind, Problem, ProblemBody};
use super::reads::{PURPOSE_DOC, Reading, Unrecorded};
use crate::access::{Permission, Role};
use crate::json::{Fault, FaultKind};
use crate::judge::Judged;
use crate::ledger::Id16;
use crate::reconstruct::{CaseSight, Question, ReconstructError};
use crate::report::{self, Issued, Order, ReportError};
use crate::sequencer::{Access, Ledger};
use crate::verify::format::{MAX_CONSISTENCY, MAX_TEXT};

/// A report to be issued.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    /// What it is about.
    subject: ReportSubject,
    /// Why it is asked for. It is signed and can never be erased: no personal data.
    #[schema(
        min_length = 1,
        max_length = 500,
        example = "Supervisory review 2026/114"
    )]
    purpose: String,
    /// The report that this one replaces.
    #[schema(example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")]
    supersedes: Option<String>,
}

/// What a report is about: one of these.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportSubject {
    /// A case: its id, or `~` and its pseudonym. Beside a trace or recommendation: which of its cases.
    #[schema(example = "C-7")]
    case: Option<String>,
    /// A trace.
    trace: Option<String>,
    /// A recommendation.
    recommendation: Option<String>,
}

/// A report that was issued.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportIssued {
    /// Its id.
    #[schema(example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")]
    pub id: String,
    /// Position of its `report.issued` entry.
    pub seq: u64,
    /// Where its file is.
    #[schema(example = "/v1/ledgers/demo/reports/0f1e2d3c4b5a69788796a5b4c3d2e1f0")]
    pub href: String,
    /// Are the profile's required elements there?
    #[schema(value_type = String, example = "good")]
    pub elements: Judged,
    /// Were the profile's controls met?
    #[schema(value_type = String, example = "bad")]
    pub controls: Judged,
    /// Codes of its findings.
    #[schema(example = json!(["approval.after_action"]))]
    pub findings: Vec<String>,
}

fn question(subject: &ReportSubject) -> Result<Question, Problem> {
    let case = subject.case.as_deref().map(case_name);
    match (case, &subject.trace, &subject.recommendation) {
        (Some(case), None, None) => Ok(Question::Case(case)),
        (case, Some(trace), None) => Ok(Question::Trace(trace.clone(), case)),
        (case, None, Some(id)) => Ok(Question::Recommendation(id.clone(), case)),
        _ => {
            let detail =
                "name a case, a trace or a recommendation (a case may stand beside either)"
                    .to_owned();
            Err(Problem::faults(
                vec![Fault {
                    kind: FaultKind::Schema,
                    pointer: "/subject".into(),
                    detail,
                }],
                Kind::InvalidRequest,
            ))
        }
    }
}

/// The role in which somebody asks: of their grants that permit it, the one that sees most.
fn asking_role(at: &InLedger<Issuing>) -> &'static str {
    let roles = [
        Role::Regulator,
        Role::Investigator,
        Role::PrivacyOfficer,
        Role::Auditor,
    ];
    let held = |role: Role| {
        at.caller
            .grants()
            .iter()
            .any(|g| g.role == role && g.scope.ledgers.contains(at.ledger.name()))
    };
    roles
        .into_iter()
        .find(|r| r.may(Permission::IssueReports) && held(*r))
        .map_or("unknown", Role::name)
}

/// Issue a signed report.
///
/// A reconstruction, frozen and signed with the ledger's report key, and registered as the case's next entry. Callers
/// who may not read content get a report in which every disclosure is withheld, visibly.
#[utoipa::path(
    tag = "Answering",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo")),
    request_body(content = ReportRequest, content_type = "application/json", description = "What, and why", example = json!({"subject": {"case": "C-7"}, "purpose": "Supervisory review 2026/114"})),
    responses(
        (status = 201, description = "Issued", body = ReportIssued),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Nothing there that this token may know of", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "It belongs to several cases", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its JSON pointer, or the record is too long", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Busy or unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[post("/v1/ledgers/{ledger}/reports")]
pub async fn issue_report(
    at: InLedger<Issuing>,
    server: web::Data<Server>,
    reading: Reading,
    body: JsonBody,
) -> Result<HttpResponse, Problem> {
    let request: ReportRequest = body.read()?;
    let fault = |pointer: &str, detail: String| Fault {
        kind: FaultKind::Schema,
        pointer: pointer.to_owned(),
        detail,
    };
    let mut faults = Vec::new();
    if request.purpose.chars().count() > MAX_TEXT
        || request.purpose.chars().any(char::is_control)
        || request.purpose.trim().is_empty()
    {
        faults.push(fault(
            "/purpose",
            format!("the purpose has 1 to {MAX_TEXT} characters and no control characters"),
        ));
    }
    let supersedes = request.supersedes.as_deref().map(Id16::from_hex);
    if supersedes == Some(None) {
        faults.push(fault(
            "/supersedes",
            "a report id has 32 lower-case hex digits".into(),
        ));
    }
    if !faults.is_empty() {
        return Err(Problem::faults(faults, Kind::InvalidRequest));
    }
    let question = question(&request.subject)?;
    let content = at.may(Permission::ReadContent);
    let sight = at.sight(if content {
        Permission::ReadContent
    } else {
        Permission::IssueReports
    });
    if question.names_content() && !content {
        return Err(Problem::not_found("case, trace or recommendation"));
    }
    let by = if content {
        Permission::ReadContent
    } else {
        Permission::IssueReports
    };
    let reading = reading.for_purpose(&request.purpose);
    let order = Order {
        access: reading.access(&at, by, server.clock.now()),
        question,
        role: asking_role(&at),
        requester: at.caller.principal(),
        purpose: request.purpose,
        supersedes: supersedes.flatten(),
        content,
    };
    let (ledger, state) = (Arc::clone(&at.ledger), server.clone());
    // Collecting and judging a long record takes its time: not on the thread that serves others.
    let issued = web::block(move || -> Result<Issued, Problem> {
        let issuing = report::issue(&ledger, &order, &sight, &state.profile, state.clock.now());
        let wait = tokio::runtime::Handle::current();
        match wait.block_on(issuing) {
            // That it belongs to several cases, and to which, is an answer as well.
            Err(ReportError::Reconstruct(ReconstructError::SeveralCases(cases))) => {
                let access = Access {
                    cases: cases.iter().copied().collect(),
                    as_of: ledger.size(),
                    ..order.access
                };
                let several = ReconstructError::SeveralCases(cases).into();
                Err(wait.block_on(Unrecorded::new(&ledger, access, several).record())?)
            }
            done => Ok(done?),
        }
    })
    .await
    .map_err(Problem::internal)??;
    let href = format!("/v1/ledgers/{}/reports/{}", at.ledger.name(), issued.id);
    let mut response = HttpResponse::Created();
    if let Ok(place) = HeaderValue::from_str(&href) {
        response.insert_header((LOCATION, place));
    }
    Ok(response.json(ReportIssued {
        id: issued.id.to_hex(),
        seq: issued.seq,
        href,
        elements: issued.judgement.elements,
        controls: issued.judgement.controls,
        findings: issued
            .judgement
            .findings
            .into_iter()
            .map(|f| f.code)
            .collect(),
    }))
}

/// The query of a report's address.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read by `joined` and described here")]
pub struct ReportQuery {
    /// Sizes of checkpoints that you have kept, joined by commas or given several times, at most 64. The file then holds
    /// proofs that these trees and the one of its own checkpoint are one history, so that
    /// `whereas verify report FILE --checkpoint KEPT` finds it anchored.
    #[param(example = "31,42")]
    join: Option<String>,
}

/// The sizes that a query asks to be joined, each a size that the ledger has or had.
fn joined(text: &str, ledger: &Ledger) -> Result<BTreeSet<u64>, Problem> {
    let invalid = |detail: String| Problem::new(Kind::InvalidQuery, detail);
    let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
        .map_err(|e| invalid(format!("{e}.")))?
        .into_inner();
    let mut sizes = BTreeSet::new();
    for (name, value) in pairs {
        if name != "join" {
            return Err(invalid(format!("There is no parameter `{name}`.")));
        }
        for size in value.split(',') {
            let is_number = size.bytes().all(|b| b.is_ascii_digit());
            let size: u64 = size
                .parse()
                .ok()
                .filter(|n| is_number && *n > 0)
                .ok_or_else(|| invalid(format!("`join`: `{size}` is no size of a checkpoint.")))?;
            if size > ledger.size() {
                return Err(invalid(format!(
                    "`join`: this ledger has {} entries. A signed checkpoint of {size} means that some were taken away since.",
                    ledger.size()
                )));
            }
            sizes.insert(size);
        }
    }
    if sizes.len() > MAX_CONSISTENCY {
        return Err(invalid(format!(
            "`join` takes at most {MAX_CONSISTENCY} sizes."
        )));
    }
    Ok(sizes)
}

/// Fetch a report.
///
/// The file verifies offline with `whereas verify report FILE --key VKEY`. The envelope never changes; disclosures that
/// were erased since are left out, and the proofs lead to the newest checkpoint.
#[utoipa::path(
    tag = "Answering",
    params(
        ("ledger" = String, Path, description = "Name of the ledger", example = "demo"),
        ("report" = String, Path, description = "Id of the report", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("Whereas-Purpose" = Option<String>, Header, description = PURPOSE_DOC, example = "Complaint 2026/114"),
        ReportQuery
    ),
    responses(
        (status = 400, description = "The query or the purpose is not understood", body = ProblemBody, content_type = "application/problem+json"),
        (status = 200, description = "The report file", body = Object, content_type = "application/json", example = json!({"envelope": {"payloadType": "application/vnd.in-toto+json"}, "disclosures": [], "evidence": {}, "catalogues": {}})),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such report", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/reports/{report}")]
pub async fn read_report(
    at: InLedger<Reports>,
    server: web::Data<Server>,
    reading: Reading,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let absent = || Problem::not_found("report");
    let id = Id16::from_hex(&path.1).ok_or_else(absent)?;
    let row = at.ledger.reader().report(&id)?.ok_or_else(absent)?;
    let blind = match row.pseudonym {
        Some(case) => at
            .ledger
            .reader()
            .case_by_pseudonym(&case)?
            .map(|f| f.blind),
        None => None,
    };
    let (_, statement) = report::stored_statement(&row)?;
    let content = report::shows_content(&statement.predicate);
    // A report with content needs the right to that content, now; one without needs the right to reports.
    let needed = if content {
        Permission::ReadContent
    } else {
        Permission::ReadReports
    };
    let sight: Sight = at.sight(needed);
    if row.seq >= at.ledger.size() || !at.may(needed) || !sight.sees(blind.as_ref()) {
        return Err(absent());
    }
    let join = joined(request.query_string(), &at.ledger)?;
    let access = Access {
        case: row.pseudonym,
        report: Some(id),
        count: statement.predicate.entries.len() as u64,
        as_of: row.seq + 1,
        content,
        ..reading.access(&at, needed, server.clock.now())
    };
    let ledger = at.ledger.clone();
    let text = web::block(move || -> Result<String, Problem> {
        report::file_joined(&ledger, &row, &join)?
            .encode()
            .map_err(Problem::internal)
    })
    .await
    .map_err(Problem::internal)??;
    let text = Unrecorded::new(&at.ledger, access, text).record().await?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .insert_header((
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"report-{id}.json\""),
        ))
        .body(text))
}
