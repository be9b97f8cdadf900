//! Findings over many cases: samples, counts, and tables to work on.

use std::collections::BTreeMap;

use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, LINK, VARY};
use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Serialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::answers::AnswerProfile;
use super::auth::{InLedger, Sight, Why};
use super::entries::case_name;
use super::problem::{Kind, Problem, ProblemBody};
use super::reads::{PURPOSE_DOC, Reading, Unrecorded};
use crate::access::Permission;
use crate::judge::{CODES, Judged, Severity, code_info};
use crate::ledger::{Id16, Timestamp, b64url, decode_b64url};
use crate::reconstruct::{CaseName, find_case};
use crate::sequencer::{Access, Ledger};
use crate::survey::{
    Bounds, Codes, Counted, FindingQuery, Place, Progress, Row, SurveyError, feature_image,
};

/// Findings of a page unless the request says otherwise.
const PAGE: usize = 100;
/// Most findings of a page of JSON.
const MAX_PAGE: usize = 1_000;
/// Most findings of a table: one answer holds them all, in memory.
const MAX_TABLE: usize = 10_000;
/// Cases that could not be judged, named in a page.
const MAX_UNJUDGED: usize = 100;
/// What one request does to bring the index up to date.
const AT_ONCE: Bounds = Bounds {
    cases: 200,
    entries: 20_000,
};

/// Which findings; all given conditions must hold.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FindingsQuery {
    /// Of these codes, separated by commas; `approval.*` for all that begin so. May be given several times.
    #[param(example = "approval.absent,missing.*")]
    code: Option<String>,
    /// Of these severities (`info`, `warning`, `error`, `critical`), separated by commas. May be given several times.
    #[param(example = "critical")]
    severity: Option<String>,
    /// Of cases whose entries name this feature. Features are content: only cases whose content the caller may read.
    #[param(example = "complaint.escalation")]
    feature: Option<String>,
    /// The newest entry that the finding rests on was recorded at or after this time (RFC 3339).
    #[param(example = "2026-07-01T00:00:00Z")]
    recorded_from: Option<String>,
    /// It was recorded before this time (RFC 3339).
    #[param(example = "2026-10-01T00:00:00Z")]
    recorded_to: Option<String>,
    /// It is claimed to have happened at or after this time (RFC 3339).
    #[param(example = "2026-07-01T00:00:00Z")]
    occurred_from: Option<String>,
    /// It is claimed to have happened before this time (RFC 3339).
    #[param(example = "2026-10-01T00:00:00+02:00")]
    occurred_to: Option<String>,
    /// Of this case: its id, or `~` and its pseudonym.
    #[param(example = "C-7")]
    case: Option<String>,
    /// `true` for totals by code and severity over the whole query (JSON only).
    #[param(example = "true")]
    counts: Option<String>,
    /// At most so many: 1 to 1,000 in JSON (100 unless given), 1 to 10,000 in a table (10,000 unless given).
    #[param(minimum = 1, maximum = 10000, example = 100)]
    limit: Option<String>,
    /// Where an earlier page ended: its `next_cursor`.
    #[param(example = "AAAAAAAAAGQAAAAAAAAAAMCpFWTcP1Zi")]
    cursor: Option<String>,
}

/// A page of findings, in the order of the newest entries that they rest on.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingsPage {
    /// The findings.
    pub items: Vec<FindingItem>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "AAAAAAAAAGQAAAAAAAAAAMCpFWTcP1Zi")]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
    /// Every case is judged with at least its entries below this position.
    pub as_of: u64,
    /// The ledger's size.
    pub size: u64,
    /// Whether `as_of` is the ledger's size. When not, ask again: each request goes some way.
    pub complete: bool,
    /// What the cases were judged against.
    pub profile: AnswerProfile,
    /// Totals over the whole query, when they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = FindingCounts, required = false)]
    pub counts: Option<FindingCounts>,
    /// Cases that could not be judged, so that no findings of them are here; at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<NotJudged>,
}

/// Totals.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingCounts {
    /// Findings.
    #[schema(example = 12)]
    pub findings: u64,
    /// Cases that have any of them.
    #[schema(example = 9)]
    pub cases: u64,
    /// Findings by code.
    pub by_code: BTreeMap<String, u64>,
    /// Findings by severity.
    pub by_severity: BTreeMap<&'static str, u64>,
}

/// A case that could not be judged.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotJudged {
    /// Pseudonym of the case.
    #[schema(example = "3da8d00aa31bc2a6baa82c1dee5d3519")]
    pub case: String,
    /// Why: `record-too-long` or `record-damaged`.
    #[schema(example = "record-too-long")]
    pub why: String,
}

/// A finding of a case, with the way to what it rests on.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingItem {
    /// Pseudonym of the case.
    #[schema(example = "3da8d00aa31bc2a6baa82c1dee5d3519")]
    pub case: String,
    /// Where the case is asked about.
    #[schema(example = "/v1/ledgers/demo/cases/~3da8d00aa31bc2a6baa82c1dee5d3519/why")]
    pub case_href: String,
    /// Stable code; `docs/findings.md` explains it.
    #[schema(example = "approval.absent")]
    pub code: String,
    /// How grave it is.
    #[schema(value_type = String, example = "critical")]
    pub severity: Severity,
    /// The entries that it rests on; none where it rests on what is absent.
    pub entries: Vec<FindingEntry>,
    /// When the newest of these entries happened, as claimed; of the case's last entry, when there is none.
    #[schema(example = "2026-08-11T09:12:44Z")]
    pub occurred: String,
    /// When the ledger took that entry.
    #[schema(example = "2026-08-11T09:12:45.120394Z")]
    pub recorded: String,
    /// The case's verdict: are the profile's required elements there?
    #[schema(value_type = String, example = "good")]
    pub elements: Judged,
    /// The case's verdict: were the profile's controls met?
    #[schema(value_type = String, example = "bad")]
    pub controls: Judged,
}

/// An entry that a finding rests on.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingEntry {
    /// Position.
    #[schema(example = 12)]
    pub seq: u64,
    /// Where it is read.
    #[schema(example = "/v1/ledgers/demo/entries/12")]
    pub href: String,
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::InvalidQuery, detail)
}

impl FindingsQuery {
    /// Reads the address's query. Codes and severities may stand in it several times.
    fn read(text: &str) -> Result<Self, Problem> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|e| invalid(format!("{e}.")))?
            .into_inner();
        let mut query = Self::default();
        for (name, value) in pairs {
            let (place, many) = match name.as_str() {
                "code" => (&mut query.code, true),
                "severity" => (&mut query.severity, true),
                "feature" => (&mut query.feature, false),
                "recorded_from" => (&mut query.recorded_from, false),
                "recorded_to" => (&mut query.recorded_to, false),
                "occurred_from" => (&mut query.occurred_from, false),
                "occurred_to" => (&mut query.occurred_to, false),
                "case" => (&mut query.case, false),
                "counts" => (&mut query.counts, false),
                "limit" => (&mut query.limit, false),
                "cursor" => (&mut query.cursor, false),
                _ => return Err(invalid(format!("There is no parameter `{name}`."))),
            };
            *place = Some(match (place.take(), many) {
                (None, _) => value,
                (Some(before), true) => format!("{before},{value}"),
                (Some(_), false) => return Err(invalid(format!("`{name}` stands twice."))),
            });
        }
        Ok(query)
    }

    fn codes(&self) -> Result<Vec<Codes>, Problem> {
        let one = |text: &str| {
            let start = text.strip_suffix('*').filter(|s| s.ends_with('.'));
            let known = match start {
                Some(start) => CODES.iter().any(|info| info.code.starts_with(start)),
                None => code_info(text).is_some(),
            };
            match start {
                _ if !known => Err(invalid(format!(
                    "`code`: there is no finding `{text}`; docs/findings.md lists them."
                ))),
                Some(start) => Ok(Codes::Begin(start.to_owned())),
                None => Ok(Codes::Is(text.to_owned())),
            }
        };
        let text = self.code.as_deref();
        text.map_or(Ok(Vec::new()), |t| t.split(',').map(one).collect())
    }

    fn severities(&self) -> Result<Vec<Severity>, Problem> {
        let one = |text: &str| {
            let found = SEVERITIES.iter().find(|s| severity_name(**s) == text);
            found.copied().ok_or_else(|| {
                invalid(format!(
                    "`severity`: `{text}` is not one of info, warning, error, critical."
                ))
            })
        };
        let text = self.severity.as_deref();
        text.map_or(Ok(Vec::new()), |t| t.split(',').map(one).collect())
    }

    fn limit(&self, format: Format) -> Result<usize, Problem> {
        let (usual, most) = match format {
            Format::Json => (PAGE, MAX_PAGE),
            Format::Csv | Format::Lines => (MAX_TABLE, MAX_TABLE),
        };
        match &self.limit {
            None => Ok(usual),
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| (1..=most).contains(n))
                .ok_or_else(|| invalid(format!("`limit` must be between 1 and {most}."))),
        }
    }

    fn wants_counts(&self, format: Format) -> Result<bool, Problem> {
        match self.counts.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") if format == Format::Json => Ok(true),
            Some("true") => Err(invalid("`counts` are given in JSON only.")),
            Some(_) => Err(invalid("`counts` must be true or false.")),
        }
    }

    /// What a cursor remembers of its query; see `http::entries`.
    fn mark(&self, ledger: &Ledger) -> [u8; 8] {
        let text = json!([
            self.code,
            self.severity,
            self.feature,
            self.recorded_from,
            self.recorded_to,
            self.occurred_from,
            self.occurred_to,
            self.case,
        ])
        .to_string();
        let image = ledger.keyring().id.blind("findings cursor", &text).0;
        std::array::from_fn(|i| image[i])
    }
}

const SEVERITIES: [Severity; 4] = [
    Severity::Info,
    Severity::Warning,
    Severity::Error,
    Severity::Critical,
];

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}

fn judged_name(judged: Judged) -> &'static str {
    match judged {
        Judged::Good => "good",
        Judged::Bad => "bad",
        Judged::Undetermined => "undetermined",
        Judged::NotApplicable => "not_applicable",
    }
}

fn write_cursor(place: Place, mark: &[u8; 8]) -> String {
    b64url(&[place.newest.to_be_bytes(), place.at.to_be_bytes(), *mark].concat())
}

fn read_cursor(cursor: &str, mark: &[u8; 8]) -> Option<Place> {
    let bytes: [u8; 24] = decode_b64url(cursor)?.try_into().ok()?;
    let (newest, rest) = bytes.split_first_chunk::<8>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    (rest == mark).then(|| Place {
        newest: u64::from_be_bytes(*newest),
        at: u64::from_be_bytes(*at),
    })
}

/// How to write the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Lines,
}

impl Format {
    /// The first of the most wanted media types that can be had; JSON, when none can (RFC 9110, 12.5.1).
    fn wanted(request: &HttpRequest) -> Self {
        let header = request.headers().get(ACCEPT).and_then(|h| h.to_str().ok());
        let mut ranges: Vec<(&str, f32)> = header
            .unwrap_or_default()
            .split(',')
            .map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let kind = parts.next().unwrap_or_default();
                let weight = parts.find_map(|p| p.strip_prefix("q=")?.parse().ok());
                (kind, weight.unwrap_or(1.0))
            })
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        ranges.sort_by(|a, b| b.1.total_cmp(&a.1));
        let format = |kind: &str| match kind.to_ascii_lowercase().as_str() {
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            "text/csv" | "text/*" => Some(Self::Csv),
            "application/x-ndjson" => Some(Self::Lines),
            _ => None,
        };
        ranges
            .iter()
            .find_map(|(kind, _)| format(kind))
            .unwrap_or(Self::Json)
    }
}

/// The pseudonyms of the cases that one of these sights extends to; `None` for every case.
fn visible(ledger: &Ledger, sights: &[&Sight]) -> Result<Option<Vec<Id16>>, Problem> {
    let mut cases = Vec::new();
    for sight in sights {
        let Some(blinds) = sight.cases() else {
            return Ok(None);
        };
        for blind in blinds {
            cases.extend(ledger.reader().case_by_blind(&blind)?.map(|f| f.pseudonym));
        }
    }
    cases.sort_unstable();
    cases.dedup();
    Ok(Some(cases))
}

/// What is asked of the index, within what the caller may see.
fn select(
    at: &InLedger<Why>,
    query: &FindingsQuery,
    format: Format,
) -> Result<FindingQuery, Problem> {
    let ledger = &at.ledger;
    let (verdicts, content) = (
        at.sight(Permission::ReadVerdicts),
        at.sight(Permission::ReadContent),
    );
    let time = |name: &str, value: &Option<String>| -> Result<Option<Timestamp>, Problem> {
        let read = value
            .as_ref()
            .map(|t| Timestamp::parse_rfc3339(t))
            .transpose();
        read.map_err(|e| invalid(format!("`{name}`: {e}.")))
    };
    // Features are content: whoever reads codes only must not find out by guessing which case is about what.
    let mut cases = if query.feature.is_some() {
        if !at.may(Permission::ReadContent) {
            return Err(Problem::new(
                Kind::Forbidden,
                "`feature` is content: this needs a grant for this ledger that permits read_content.",
            ));
        }
        visible(ledger, &[&content])?
    } else {
        visible(ledger, &[&verdicts, &content])?
    };
    if let Some(case) = &query.case {
        let name = case_name(case);
        // So are case ids.
        let found = match &name {
            CaseName::Id(_) => find_case(ledger, &name, &content),
            CaseName::Pseudonym(_) => {
                find_case(ledger, &name, &content).or_else(|_| find_case(ledger, &name, &verdicts))
            }
        }?;
        let seen = cases.is_none_or(|cases| cases.contains(&found));
        cases = Some(if seen { vec![found] } else { Vec::new() });
    }
    let after = match &query.cursor {
        Some(cursor) => Some(read_cursor(cursor, &query.mark(ledger)).ok_or_else(|| {
            Problem::new(
                Kind::InvalidCursor,
                "The cursor does not belong to this query: repeat the parameters of the page that gave it.",
            )
        })?),
        None => None,
    };
    Ok(FindingQuery {
        codes: query.codes()?,
        severities: query.severities()?,
        feature: query.feature.as_ref().map(|f| feature_image(ledger, f)),
        cases,
        recorded_from: time("recorded_from", &query.recorded_from)?,
        recorded_to: time("recorded_to", &query.recorded_to)?,
        occurred_from: time("occurred_from", &query.occurred_from)?,
        occurred_to: time("occurred_to", &query.occurred_to)?,
        after,
        limit: query.limit(format)?,
    })
}

fn page(
    at: &InLedger<Why>,
    server: &Server,
    query: &FindingsQuery,
    format: Format,
) -> Result<FindingsPage, Problem> {
    let ledger = &at.ledger;
    let counting = query.wants_counts(format)?;
    let mut select = select(at, query, format)?;
    let survey = server.survey(ledger)?;
    let progress: Progress = survey.update(ledger, &server.profile, AT_ONCE)?;
    let limit = select.limit;
    select.limit += 1;
    let mut rows = survey.findings(&select)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.place);
    let counts = counting.then(|| survey.counts(&select)).transpose()?;
    let unjudged = survey.unjudged(select.cases.as_deref(), MAX_UNJUDGED)?;
    Ok(FindingsPage {
        items: rows
            .into_iter()
            .map(|row| item(ledger.name(), row))
            .collect(),
        has_more: more,
        next_cursor: next.map(|place| write_cursor(place, &query.mark(ledger))),
        as_of: progress.as_of,
        size: progress.size,
        complete: progress.is_complete(),
        profile: AnswerProfile {
            name: server.profile.name.clone(),
            version: server.profile.version.clone(),
            sha256: server.profile.digest().to_hex(),
            rule: None,
        },
        counts: counts.map(totals),
        not_judged: unjudged
            .into_iter()
            .map(|u| NotJudged {
                case: u.case.to_hex(),
                why: u.why,
            })
            .collect(),
    })
}

fn item(ledger: &str, row: Row) -> FindingItem {
    FindingItem {
        case_href: format!("/v1/ledgers/{ledger}/cases/~{}/why", row.case),
        case: row.case.to_hex(),
        code: row.code,
        severity: row.severity,
        entries: row
            .entries
            .into_iter()
            .map(|seq| FindingEntry {
                seq,
                href: format!("/v1/ledgers/{ledger}/entries/{seq}"),
            })
            .collect(),
        occurred: row.occurred.to_string(),
        recorded: row.recorded.to_string(),
        elements: row.elements,
        controls: row.controls,
    }
}

fn totals(counted: Counted) -> FindingCounts {
    let mut totals = FindingCounts {
        findings: 0,
        cases: counted.cases,
        by_code: BTreeMap::new(),
        by_severity: BTreeMap::new(),
    };
    for ((code, severity), count) in counted.findings {
        totals.findings += count;
        *totals.by_code.entry(code).or_default() += count;
        *totals
            .by_severity
            .entry(severity_name(severity))
            .or_default() += count;
    }
    totals
}

/// A cell of a table (RFC 4180). What a spreadsheet would take for a formula is made a text.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\n', '\r', '\'']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn csv(items: &[FindingItem]) -> String {
    const HEAD: &str =
        "case,code,severity,elements,controls,occurred,recorded,entries,case_href,entry_hrefs\r\n";
    let mut out = HEAD.to_owned();
    for item in items {
        let seqs: Vec<String> = item.entries.iter().map(|e| e.seq.to_string()).collect();
        let hrefs: Vec<&str> = item.entries.iter().map(|e| e.href.as_str()).collect();
        // With `~` the pseudonym can stand in addresses, and is no number to a spreadsheet.
        let cells = [
            &format!("~{}", item.case),
            &item.code,
            severity_name(item.severity),
            judged_name(item.elements),
            judged_name(item.controls),
            &item.occurred,
            &item.recorded,
            &seqs.join(" "),
            &item.case_href,
            &hrefs.join(" "),
        ];
        let cells: Vec<String> = cells.iter().map(|c| cell(c)).collect();
        out.push_str(&cells.join(","));
        out.push_str("\r\n");
    }
    out
}

fn lines(items: &[FindingItem]) -> Result<String, Problem> {
    let mut out = String::new();
    for item in items {
        out.push_str(&serde_json::to_string(item).map_err(Problem::internal)?);
        out.push('\n');
    }
    Ok(out)
}

/// The address of the next page: this one, with another cursor.
fn next_address(request: &HttpRequest, cursor: &str) -> String {
    let mut parts: Vec<&str> = request
        .query_string()
        .split('&')
        .filter(|part| !part.is_empty() && part.split('=').next() != Some("cursor"))
        .collect();
    let cursor = format!("cursor={cursor}");
    parts.push(&cursor);
    format!("<{}?{}>; rel=\"next\"", request.path(), parts.join("&"))
}

/// List findings over many cases.
///
/// What the judge finds in the cases of the ledger that the caller may ask about, by code, severity and time; a sample
/// leads to its entries. The answer is made from an index that follows the ledger: `complete` says whether it has caught
/// up. `Accept` decides between a page of JSON, `text/csv` and `application/x-ndjson`; a table holds up to 10,000
/// findings, and a `Link` header with `rel="next"` leads to the rest. A table's state stands in the headers
/// `whereas-as-of`, `whereas-size`, `whereas-complete` and `whereas-not-judged`.
#[utoipa::path(
    tag = "Answering",
    params(
        ("ledger" = String, Path, description = "Name of the ledger", example = "demo"),
        ("Whereas-Purpose" = Option<String>, Header, description = PURPOSE_DOC, example = "Audit 2026/3"),
        FindingsQuery
    ),
    responses(
        (status = 200, description = "The findings", content(
            (FindingsPage = "application/json"),
            (String = "text/csv", example = json!("case,code,severity,elements,controls,occurred,recorded,entries,case_href,entry_hrefs\r\n~3da8d00aa31bc2a6baa82c1dee5d3519,approval.absent,critical,good,bad,…")),
            (String = "application/x-ndjson", example = json!("{\"case\":\"3da8d00aa31bc2a6baa82c1dee5d3519\",\"code\":\"approval.absent\",…}\n")),
        )),
        (status = 400, description = "The query or cursor is not understood", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger or case", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The record is damaged", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/findings")]
pub async fn list_findings(
    at: InLedger<Why>,
    request: HttpRequest,
    server: web::Data<Server>,
    reading: Reading,
) -> Result<HttpResponse, Problem> {
    let format = Format::wanted(&request);
    let query = FindingsQuery::read(request.query_string())?;
    let page = web::block(move || {
        let page = page(&at, &server, &query, format)?;
        let by = if at.may(Permission::ReadContent) {
            Permission::ReadContent
        } else {
            Permission::ReadVerdicts
        };
        let access = Access {
            cases: page
                .items
                .iter()
                .filter_map(|item| Id16::from_hex(&item.case))
                .collect(),
            count: page.items.len() as u64,
            as_of: page.as_of,
            ..reading.access(&at, by, server.clock.now())
        };
        Ok::<_, Problem>(Unrecorded::new(&at.ledger, access, page))
    })
    .await
    .map_err(Problem::internal)??;
    answer(&request, format, page.record().await?)
}

fn answer(
    request: &HttpRequest,
    format: Format,
    page: FindingsPage,
) -> Result<HttpResponse, Problem> {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((VARY, "accept"))
        .insert_header((CACHE_CONTROL, "no-store"));
    if let Some(cursor) = &page.next_cursor {
        response.insert_header((LINK, next_address(request, cursor)));
    }
    let (kind, body) = match format {
        Format::Json => return Ok(response.json(page)),
        Format::Csv => ("text/csv; charset=utf-8; header=present", csv(&page.items)),
        Format::Lines => ("application/x-ndjson", lines(&page.items)?),
    };
    Ok(response
        .insert_header((CONTENT_TYPE, kind))
        .insert_header(("whereas-as-of", page.as_of.to_string()))
        .insert_header(("whereas-size", page.size.to_string()))
        .insert_header(("whereas-complete", page.complete.to_string()))
        .insert_header(("whereas-not-judged", page.not_judged.len().to_string()))
        .body(body))
}

impl From<SurveyError> for Problem {
    fn from(e: SurveyError) -> Self {
        match e {
            SurveyError::Ledger(e) => e.into(),
            SurveyError::Index(reason) => {
                tracing::error!(
                    component = "survey",
                    error = reason,
                    retryable = true,
                    "the index of findings failed"
                );
                Self::new(
                    Kind::Unavailable,
                    "The index of findings does not answer now; try again.",
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_cell_is_never_a_formula() {
        assert_eq!(cell("approval.absent"), "approval.absent");
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
        assert_eq!(cell("@x"), "\"'@x\"");
        assert_eq!(cell("-1"), "\"'-1\"");
        assert_eq!(cell("+1"), "\"'+1\"");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("a\nb"), "\"a\nb\"");
    }

    #[test]
    fn accept_decides_by_weight() {
        for (accept, expected) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("text/csv", Format::Csv),
            ("application/x-ndjson", Format::Lines),
            ("text/csv;q=0.5, application/json", Format::Json),
            ("application/json;q=0.1, text/csv;q=0.9", Format::Csv),
            ("image/png, text/csv;q=0.1", Format::Csv),
            ("text/csv;q=0", Format::Json),
            ("image/png", Format::Json),
        ] {
            let request = TestRequest::default()
                .insert_header((ACCEPT, accept))
                .to_http_request();
            assert_eq!(Format::wanted(&request), expected, "{accept}");
        }
    }
}
