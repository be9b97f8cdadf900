//! What the log says of a request: its id, method and route template, status and duration. Never the path, which can
//! hold case ids, and never content.

use std::time::Instant;

use actix_web::Error;
use actix_web::HttpMessage;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web;
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};

use super::{Server, reads};

/// Makes the span that every log line of a request stands in.
#[derive(Debug)]
pub struct Spans;

impl RootSpanBuilder for Spans {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request
            .extensions()
            .get::<RequestId>()
            .map(ToString::to_string)
            .unwrap_or_default();
        let route = request.match_pattern().unwrap_or_else(|| "none".into());
        // The caller's own trace of this request, when the header is of W3C form; not the trace that events speak of.
        let trace = request
            .headers()
            .get("traceparent")
            .and_then(|h| h.to_str().ok())
            .and_then(transport_trace)
            .unwrap_or_default();
        tracing::info_span!("request", request_id = id, trace_id = trace, method = %request.method(), route, version = env!("CARGO_PKG_VERSION"), status = tracing::field::Empty)
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status().as_u16(),
            Err(e) => e.as_response_error().status_code().as_u16(),
        };
        span.record("status", status);
    }
}

fn transport_trace(header: &str) -> Option<&str> {
    let id = header.split('-').nth(1)?;
    crate::ledger::Id16::from_hex(id).map(|_| id)
}

/// Puts the request's id into its answer, one line into the log when it is done, and counts it when it was refused.
pub async fn request_id(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = request
        .extensions()
        .get::<RequestId>()
        .map(ToString::to_string);
    let started = Instant::now();
    let mut response = next.call(request).await?;
    if let Some(server) = response.request().app_data::<web::Data<Server>>() {
        let now = server.clock.now();
        reads::denied(response.request(), response.status().as_u16(), now);
    }
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        component = "http",
        status = response.status().as_u16(),
        duration_ms,
        "request done"
    );
    if let Some(value) = id.and_then(|id| HeaderValue::from_str(&id).ok()) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-request-id"), value);
    }
    response.headers_mut().insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}
