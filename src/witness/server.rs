//! The witness over HTTP.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, web};

use super::{Answer, MAX_REQUEST, Witness, WitnessError};
use crate::ledger::Hash;

/// How long a body may take to arrive.
const BODY: Duration = Duration::from_secs(10);

/// Binds a witness to a listener; gives the running server and what stops it.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(
    witness: Arc<Witness>,
    listener: TcpListener,
    workers: usize,
) -> std::io::Result<(actix_web::dev::Server, ServerHandle)> {
    let running = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(Arc::clone(&witness)))
            .route("/add-checkpoint", web::post().to(add_checkpoint))
            .route("/{origin}/checkpoint", web::get().to(newest))
            .route(
                "/healthz",
                web::get().to(|| async { text(StatusCode::OK, "ok\n") }),
            )
    })
    .workers(workers)
    .client_request_timeout(Duration::from_secs(5))
    .client_disconnect_timeout(Duration::from_secs(5))
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(10)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = running.handle();
    Ok((running, handle))
}

fn text(status: StatusCode, body: impl Into<String>) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(body.into())
}

async fn add_checkpoint(witness: web::Data<Witness>, body: web::Payload) -> HttpResponse {
    let body = match tokio::time::timeout(BODY, body.to_bytes_limited(MAX_REQUEST)).await {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(e))) => return text(StatusCode::BAD_REQUEST, format!("{e}\n")),
        Ok(Err(_)) => {
            return text(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("A request has at most {MAX_REQUEST} bytes.\n"),
            );
        }
        Err(_) => {
            return text(
                StatusCode::REQUEST_TIMEOUT,
                "The request took too long to arrive.\n",
            );
        }
    };
    // It waits for a lock and for the disk.
    match web::block(move || witness.add_checkpoint(&body)).await {
        Ok(answer) => respond(answer),
        Err(_) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "The witness is stopping.\n",
        ),
    }
}

fn respond(answer: Result<Answer, WitnessError>) -> HttpResponse {
    match answer {
        Ok(Answer::Cosigned(lines)) => text(StatusCode::OK, lines),
        Ok(Answer::Malformed(why)) => text(StatusCode::BAD_REQUEST, format!("{why}\n")),
        Ok(Answer::Unsigned) => text(
            StatusCode::FORBIDDEN,
            "No key of this log that the witness trusts signed the checkpoint.\n",
        ),
        Ok(Answer::Unknown) => text(
            StatusCode::NOT_FOUND,
            "The witness does not watch this log.\n",
        ),
        Ok(Answer::Conflict(size)) => HttpResponse::Conflict()
            .content_type("text/x.tlog.size")
            .body(format!("{size}\n")),
        Ok(Answer::Inconsistent(why)) => text(StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")),
        Err(e) => failed(&e),
    }
}

fn failed(e: &WitnessError) -> HttpResponse {
    tracing::error!(component = "witness", error = %e, "nothing was cosigned");
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        "The witness cannot read or keep its state now; nothing was cosigned.\n",
    )
}

async fn newest(witness: web::Data<Witness>, origin: web::Path<String>) -> HttpResponse {
    let Some(origin) = Hash::from_hex(&origin) else {
        return text(StatusCode::NOT_FOUND, "There is no such log.\n");
    };
    match web::block(move || witness.newest(&origin)).await {
        Ok(Ok(Some(note))) => text(StatusCode::OK, note),
        Ok(Ok(None)) => text(
            StatusCode::NOT_FOUND,
            "The witness has cosigned no checkpoint of this log.\n",
        ),
        Ok(Err(e)) => failed(&e),
        Err(_) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "The witness is stopping.\n",
        ),
    }
}
