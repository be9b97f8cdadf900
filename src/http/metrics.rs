//! Measurements for a monitoring system (OpenMetrics). Numbers and names of ledgers, witnesses and anchors only: no case,
//! no principal, no content.

use std::sync::atomic::AtomicU64;

use actix_web::{HttpResponse, get, web};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::Server;
use super::problem::{Problem, ProblemBody};
use crate::ledger::Timestamp;
use crate::ledger::checkpoint::Checkpoint;
use crate::store::StoreError;

type Labels = Vec<(&'static str, String)>;
type Sizes = Family<Labels, Gauge>;
type Ages = Family<Labels, Gauge<f64, AtomicU64>>;
type Failures = Family<Labels, Counter>;

/// Read measurements.
///
/// In the OpenMetrics text format. Asks for no token and tells no content; keep it from the public with a proxy if the
/// sizes of ledgers are nobody's business.
#[utoipa::path(
    tag = "Service",
    responses(
        (status = 200, description = "The measurements", body = String, content_type = "application/openmetrics-text",
         example = json!("# HELP whereas_ledger_entries Entries of the ledger.\n# TYPE whereas_ledger_entries gauge\nwhereas_ledger_entries{ledger=\"demo\"} 42\n# EOF\n")),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(())
)]
#[get("/metrics")]
pub async fn metrics(server: web::Data<Server>) -> Result<HttpResponse, Problem> {
    let registry = collect(&server)?;
    let mut text = String::new();
    encode(&mut text, &registry).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(text))
}

/// Everything is read when it is asked for, so nothing here can be out of date.
fn collect(server: &Server) -> Result<Registry, StoreError> {
    let (heads, published) = (Sizes::default(), Sizes::default());
    let (witnessed, witness_ages) = (Sizes::default(), Ages::default());
    let (anchored, anchor_ages) = (Sizes::default(), Ages::default());
    let (witness_failures, anchor_failures) = (Failures::default(), Failures::default());
    let quorum = Sizes::default();
    let (good, checked, sizes) = (Sizes::default(), Sizes::default(), Sizes::default());
    let now = server.clock.now();
    for (name, ledger) in &server.ledgers {
        let labels: Labels = vec![("ledger", name.clone())];
        set(&heads, &labels, ledger.size());
        if let Some(size) = server.last_published(name) {
            set(&published, &labels, size);
        }
        if let Some(v) = server.verifications.of(name) {
            set(&good, &labels, u64::from(v.accepted));
            let seconds = v.at.micros().div_euclid(1_000_000);
            checked.get_or_create(&labels).set(seconds);
            if let Some(size) = v.size {
                set(&sizes, &labels, size);
            }
        }
        let Some(outside) = server.outside.get(name) else {
            continue;
        };
        let state = outside.state()?;
        if let Some(size) = state.quorum_size {
            set(&quorum, &labels, size);
        }
        for w in state.witnesses {
            let labels: Labels = vec![("ledger", name.clone()), ("witness", w.name)];
            witness_failures.get_or_create(&labels).inc_by(w.failures);
            put(&witnessed, &witness_ages, &labels, w.size, w.time, now);
        }
        for a in state.anchors {
            let labels: Labels = vec![("ledger", name.clone()), ("place", a.place)];
            anchor_failures.get_or_create(&labels).inc_by(a.failures);
            put(&anchored, &anchor_ages, &labels, a.size, a.time, now);
        }
    }
    let mut registry = Registry::with_prefix("whereas");
    registry.register("ledger_entries", "Entries of the ledger", heads);
    registry.register(
        "published_entries",
        "Entries of the newest published checkpoint",
        published,
    );
    registry.register(
        "quorum_entries",
        "Entries of the newest checkpoint that satisfies the witness policy",
        quorum,
    );
    registry.register(
        "witness_entries",
        "Entries of the largest checkpoint that a witness cosigned",
        witnessed,
    );
    registry.register_with_unit(
        "witness_age",
        "Time since a witness's newest cosignature",
        Unit::Seconds,
        witness_ages,
    );
    registry.register(
        "witness_failures",
        "Questions to a witness that failed since the start",
        witness_failures,
    );
    registry.register(
        "anchor_entries",
        "Entries of the largest checkpoint at an anchor",
        anchored,
    );
    registry.register_with_unit(
        "anchor_age",
        "Time since a checkpoint was put at an anchor",
        Unit::Seconds,
        anchor_ages,
    );
    registry.register(
        "anchor_failures",
        "Attempts to put a checkpoint at an anchor that failed since the start",
        anchor_failures,
    );
    registry.register(
        "verification_good",
        "1 when the last verification of the whole ledger found nothing wrong, else 0",
        good,
    );
    registry.register_with_unit(
        "verification_time",
        "When the last verification ended, since 1970",
        Unit::Seconds,
        checked,
    );
    registry.register(
        "verification_size",
        "Entries that the last verification read",
        sizes,
    );
    Ok(registry)
}

fn set(family: &Sizes, labels: &Labels, size: u64) {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    family.get_or_create(labels).set(size);
}

fn put(
    sizes: &Sizes,
    ages: &Ages,
    labels: &Labels,
    size: Option<u64>,
    time: Option<Timestamp>,
    now: Timestamp,
) {
    if let Some(size) = size {
        set(sizes, labels, size);
    }
    if let Some(time) = time {
        // Whole seconds are exact in a double.
        let seconds = (now.micros() - time.micros()).div_euclid(1_000_000);
        let seconds = i32::try_from(seconds.max(0)).unwrap_or(i32::MAX);
        ages.get_or_create(labels).set(f64::from(seconds));
    }
}

impl Server {
    fn last_published(&self, ledger: &str) -> Option<u64> {
        let published = self
            .published
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let (_, _, note) = published.get(ledger)?;
        Checkpoint::parse_unverified(note).ok().map(|(c, _)| c.size)
    }
}
