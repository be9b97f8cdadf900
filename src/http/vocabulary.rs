//! The vocabulary and the problems, for readers: public, they tell nothing of any ledger.

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Kind, Problem, ProblemBody};
use crate::event::{schema, types};

/// The event types.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventTypeList {
    /// Version of the vocabulary.
    #[schema(example = 1)]
    pub version: u32,
    /// Each type.
    pub items: Vec<EventTypeInfo>,
}

/// An event type.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventTypeInfo {
    /// Its name.
    #[schema(example = "approval.decided")]
    pub name: &'static str,
    /// What it states.
    #[schema(example = "An approver decided.")]
    pub summary: &'static str,
    /// Whether producers may post it; the others are written by the service.
    pub postable: bool,
    /// Where its JSON Schema is, when producers may post it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/v1/event-types/approval.decided/schema")]
    pub schema: Option<String>,
}

/// List the event types.
///
/// Those that producers post, each with the address of its JSON Schema, and those that only the service writes.
#[utoipa::path(tag = "Vocabulary", responses((status = 200, description = "The types", body = EventTypeList)), security(()))]
#[get("/v1/event-types")]
pub async fn list_types() -> HttpResponse {
    let posted = types::EVENT_TYPES.iter().map(|t| EventTypeInfo {
        name: t.name,
        summary: t.summary,
        postable: true,
        schema: Some(format!("/v1/event-types/{}/schema", t.name)),
    });
    let own = types::SERVICE_TYPES
        .iter()
        .map(|(name, summary)| EventTypeInfo {
            name,
            summary,
            postable: false,
            schema: None,
        });
    HttpResponse::Ok().json(EventTypeList {
        version: types::VOCABULARY_VERSION,
        items: posted.chain(own).collect(),
    })
}

/// Read the JSON Schema of an event type.
///
/// `x.*` for a producer's own types, `ai.audit.flat` for the flat audit event.
#[utoipa::path(
    tag = "Vocabulary",
    params(("type" = String, Path, description = "Name of the type", example = "approval.decided")),
    responses(
        (status = 200, description = "A JSON Schema (2020-12)", body = Object, content_type = "application/schema+json", example = json!({"title": "approval.decided", "type": "object"})),
        (status = 404, description = "No such type", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(())
)]
#[get("/v1/event-types/{type}/schema")]
pub async fn read_schema(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let schema = match name.as_str() {
        "x.*" => schema::of_own_type(),
        "ai.audit.flat" => schema::of_flat_audit(),
        name => types::event_type(name)
            .map(schema::of_type)
            .ok_or_else(|| Problem::not_found("event type"))?,
    };
    Ok(HttpResponse::Ok()
        .content_type("application/schema+json")
        .json(schema))
}

/// Read what the problems mean.
///
/// One page; each problem has its place in it.
#[utoipa::path(tag = "Vocabulary", responses((status = 200, description = "A page", body = String, content_type = "text/html", example = json!("<!doctype html>…"))), security(()))]
#[get("/problems")]
pub async fn problems_page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(page(Kind::ALL))
}

/// Read what one problem means.
///
/// Where the `type` of a problem leads to: what happened, and what to do.
#[utoipa::path(
    tag = "Vocabulary",
    params(("problem" = String, Path, description = "Last part of the problem's `type`", example = "event-conflict")),
    responses(
        (status = 200, description = "A page", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
        (status = 404, description = "No such problem", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(())
)]
#[get("/problems/{problem}")]
pub async fn problem_page(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let kind = Kind::ALL
        .iter()
        .copied()
        .find(|k| k.slug() == name.as_str())
        .ok_or_else(|| Problem::not_found("problem"))?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(page(&[kind])))
}

fn page(kinds: &[Kind]) -> String {
    let mut out = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>whereas: problems</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
         h2{margin:2rem 0 .2rem}code{background:#f0f0f0;padding:.1rem .3rem}.s{color:#666}</style><h1>Problems</h1>\
         <p>Every refusal is a problem document (RFC 9457). Its <code>type</code> ends in the name below; <code>errors</code> lists each fault with its JSON pointer.</p>",
    );
    for kind in kinds {
        out.push_str(&format!(
            "<h2 id=\"{0}\">{1}</h2><p class=\"s\"><code>/problems/{0}</code> · HTTP {2}</p><p>{3}</p>",
            kind.slug(),
            escape(kind.title()),
            kind.status(),
            escape(kind.doc())
        ));
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
