//! The HTTP service: routes, who may, problems, OpenAPI.

mod answers;
mod auth;
mod body;
mod entries;
mod events;
mod exports;
mod findings;
mod keys;
mod ledgers;
mod log;
mod metrics;
mod principals;
mod problem;
mod proofs;
mod readers;
mod reads;
mod reports;
mod tiles;
mod verification;
mod vocabulary;

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::error::InternalError;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError, get, web};
use serde_json::{Map, json};
use utoipa::OpenApi;
use utoipa::openapi::PathItem;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_swagger_ui::SwaggerUi;

use crate::access::{Access, PendingChange};
use crate::judge::{self, Catalogue, Profile};
use crate::outside::Outside;
use crate::sequencer::{Clock, Ledger};
use crate::store::{EntryQuery, StoreError};
use crate::survey::{Bounds, Survey};

pub use entries::case_name;
pub use problem::{Kind, Problem};
pub use reads::{Class, PURPOSE, ROUTES};

/// How old a published checkpoint may be before the newest is published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// What is judged in one go while nobody waits: little, so that whoever asks meanwhile waits little.
const IN_THE_BACKGROUND: Bounds = Bounds {
    cases: 50,
    entries: 10_000,
};

/// All that the handlers share.
pub struct Server {
    /// The ledgers, by name.
    pub ledgers: BTreeMap<String, Arc<Ledger>>,
    /// Who may do what.
    pub access: Access,
    /// What records are judged against.
    pub profile: Profile,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who asks witnesses and fills anchors, by ledger; none where nothing is configured.
    pub outside: BTreeMap<String, Outside>,
    catalogues: BTreeMap<&'static str, Catalogue>,
    surveys: BTreeMap<String, Survey>,
    public_log: bool,
    verifications: verification::Verifications,
    published: Mutex<HashMap<String, (Duration, u64, String)>>,
    recording: tokio::sync::Mutex<()>,
}

impl Server {
    /// A server over open ledgers.
    ///
    /// # Errors
    /// When a built-in message catalogue cannot be read.
    pub fn new(
        ledgers: BTreeMap<String, Arc<Ledger>>,
        access: Access,
        profile: Profile,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, judge::CatalogueError> {
        let catalogues = judge::catalogue::builtin()
            .into_iter()
            .map(|(lang, bytes)| Ok((lang, Catalogue::parse(bytes)?)))
            .collect::<Result<_, _>>()?;
        let survey = |ledger: &Ledger| Survey::at(ledger.folder().join("survey.db"));
        let surveys = ledgers.iter().map(|(n, l)| (n.clone(), survey(l)));
        Ok(Self {
            surveys: surveys.collect(),
            ledgers,
            access,
            profile,
            clock,
            outside: BTreeMap::new(),
            catalogues,
            public_log: false,
            verifications: verification::Verifications::default(),
            published: Mutex::default(),
            recording: tokio::sync::Mutex::new(()),
        })
    }

    fn languages(&self) -> String {
        self.catalogues
            .keys()
            .copied()
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The same server with checkpoints and hash tiles for everybody, without a token. Leaves stay closed.
    #[must_use]
    pub fn with_public_log(mut self, public: bool) -> Self {
        self.public_log = public;
        self
    }

    fn survey(&self, ledger: &Ledger) -> Result<&Survey, Problem> {
        self.surveys
            .get(ledger.name())
            .ok_or_else(|| Problem::internal("the ledger has no index of findings"))
    }

    /// Brings the indexes of findings some way towards their ledgers; gives whether one of them has still to go on.
    /// Reads and judges: not for a thread that answers requests.
    #[must_use]
    pub fn survey_some(&self) -> bool {
        let mut behind = false;
        for (name, ledger) in &self.ledgers {
            let Some(survey) = self.surveys.get(name) else {
                continue;
            };
            match survey.update(ledger, &self.profile, IN_THE_BACKGROUND) {
                Ok(progress) => behind |= !progress.is_complete(),
                Err(e) => {
                    tracing::error!(component = "survey", ledger = name, error = %e, retryable = true, "findings are not up to date");
                }
            }
        }
        behind
    }

    /// The published checkpoint and its size: the newest, but at most one a second, so that single events cannot be
    /// told apart.
    fn published(&self, ledger: &Ledger) -> Result<(u64, String), StoreError> {
        let now = self.clock.elapsed();
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((when, size, note)) = published.get(ledger.name())
            && now.saturating_sub(*when) < PUBLISH_EVERY
        {
            return Ok((*size, note.clone()));
        }
        let (checkpoint, note) = ledger.checkpoint()?;
        let note = ledger.with_cosignatures(checkpoint.size, note)?;
        let name = ledger.name().to_owned();
        published.insert(name, (now, checkpoint.size, note.clone()));
        Ok((checkpoint.size, note))
    }

    /// Records changes of principals, grants and tokens in the ledgers that they concern. What cannot be recorded now
    /// stays pending and is tried again.
    pub async fn record_changes(&self) {
        let _one_at_a_time = self.recording.lock().await;
        let names: Vec<String> = self.ledgers.keys().cloned().collect();
        loop {
            let pending = match self.access.pending_changes(&names, 100) {
                Ok(pending) => pending,
                Err(e) => {
                    tracing::error!(component = "http", error = %e, retryable = true, "pending changes of access cannot be read");
                    return;
                }
            };
            if pending.is_empty() {
                return;
            }
            for change in &pending {
                if !self.record_change(change).await {
                    return;
                }
            }
        }
    }

    async fn record_change(&self, pending: &PendingChange) -> bool {
        for name in &pending.missing {
            let Some(ledger) = self.ledgers.get(name) else {
                continue;
            };
            // Names and cases are personal and stay in the server's database; ids and kinds are enough to follow them.
            let details = pending.details_for(name);
            let roles: Vec<&str> = details.grants.iter().map(|g| g.role.name()).collect();
            let mut fact = Map::from_iter([
                ("change".to_owned(), json!(pending.change.id.to_hex())),
                ("kind".to_owned(), json!(pending.change.kind.name())),
                (
                    "principal".to_owned(),
                    json!(pending.change.principal.to_hex()),
                ),
                ("roles".to_owned(), json!(roles)),
                ("time".to_owned(), json!(pending.change.time.to_string())),
            ]);
            fact.extend(
                pending
                    .change
                    .by
                    .map(|by| ("by".to_owned(), json!(by.to_hex()))),
            );
            let id = pending.change.id.to_hex();
            // A crash between the two repeats only the second: the entry's identity is the change's.
            let recorded = ledger
                .append_own_once("principal.changed", fact, &id)
                .await
                .map_err(|e| e.to_string());
            let marked = recorded.and_then(|_| {
                self.access
                    .mark_recorded(pending.change.id, name)
                    .map_err(|e| e.to_string())
            });
            if let Err(e) = marked {
                tracing::error!(
                    component = "http",
                    error = e,
                    retryable = true,
                    "a change of access is not recorded yet"
                );
                return false;
            }
        }
        true
    }

    /// Records in each ledger that its records are judged against another profile than before.
    ///
    /// # Errors
    /// When a ledger cannot be read or written.
    pub async fn record_profile(&self) -> Result<(), Problem> {
        let digest = self.profile.digest().to_hex();
        for ledger in self.ledgers.values() {
            let query = EntryQuery {
                kind: Some("policy.changed".into()),
                below: ledger.size(),
                limit: 100_000,
                ..EntryQuery::default()
            };
            let last = ledger
                .entries(&query)?
                .pop()
                .and_then(|e| crate::ledger::Leaf::decode(&e.leaf).ok())
                .and_then(|l| l.fact);
            if last.and_then(|f| f.get("sha256").cloned()) == Some(json!(digest)) {
                continue;
            }
            let fact = Map::from_iter([
                ("policy".to_owned(), json!("profile")),
                ("name".to_owned(), json!(self.profile.name)),
                ("version".to_owned(), json!(self.profile.version)),
                ("sha256".to_owned(), json!(digest)),
            ]);
            ledger.append_own("policy.changed", fact).await?;
        }
        Ok(())
    }

    /// Finishes what was taken, and ends every writer.
    pub async fn close(&self) {
        self.record_changes().await;
        // They write through the ledgers, so they end first.
        self.outside.values().for_each(Outside::stop);
        for ledger in self.ledgers.values() {
            ledger.close().await;
        }
    }
}

/// A text answer.
fn text(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(body)
}

/// Whether the service is alive.
///
/// Says nothing of the ledgers and asks for no token; for whoever restarts it.
#[utoipa::path(tag = "Service", responses((status = 200, description = "Alive", body = String, content_type = "text/plain", example = json!("ok"))), security(()))]
#[get("/healthz")]
async fn healthz() -> HttpResponse {
    text("ok\n".into())
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "whereas",
        description = "The ledger of record for AI-assisted case decisions. Post a case's events and keep the receipts; ask why a recommendation was made; get a signed report that verifies offline.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "Recording", description = "Post events, get receipts"),
        (name = "Answering", description = "Timelines, why, reports"),
        (name = "Reading", description = "Entries"),
        (name = "Proofs", description = "Checkpoints, keys, receipts"),
        (name = "Ledgers", description = "Ledgers and their state"),
        (name = "Access", description = "Principals, grants, tokens"),
        (name = "Vocabulary", description = "Event types, schemas, problems"),
        (name = "Service", description = "The service itself"),
    )
)]
struct Document;

/// All routes.
fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(events::post_events)
        .service(events::own_receipt)
        .service(entries::list_entries)
        .service(entries::read_entry)
        .service(entries::any_receipt)
        .service(answers::case_timeline)
        .service(answers::case_why)
        .service(readers::case_accesses)
        .service(answers::trace_timeline)
        .service(answers::trace_why)
        .service(answers::recommendation_timeline)
        .service(answers::recommendation_why)
        .service(findings::list_findings)
        .service(reports::issue_report)
        .service(reports::read_report)
        .service(ledgers::list_ledgers)
        .service(ledgers::read_ledger)
        .service(keys::read_keys)
        .service(keys::read_bridges)
        .service(keys::rotate_key)
        .service(ledgers::read_checkpoint)
        .service(exports::export)
        .service(ledgers::confirm_clock)
        .service(proofs::checkpoint_of_size)
        .service(proofs::inclusion_proof)
        .service(proofs::consistency_proof)
        .service(tiles::log_checkpoint)
        .service(tiles::entry_bundle)
        .service(tiles::hash_tile)
        .service(principals::me)
        .service(principals::list_principals)
        .service(principals::create_principal)
        .service(principals::read_principal)
        .service(principals::revoke_principal)
        .service(principals::add_grant)
        .service(principals::end_grant)
        .service(principals::list_tokens)
        .service(principals::mint_token)
        .service(principals::rotate_token)
        .service(principals::revoke_token)
        .service(vocabulary::list_types)
        .service(vocabulary::read_schema)
        .service(vocabulary::problems_page)
        .service(vocabulary::problem_page)
        .service(metrics::metrics)
        .service(healthz);
}

/// The OpenAPI 3.1 document, made from the code.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(Document::openapi())
        .configure(routes)
        .split_for_parts();
    let scheme = SecurityScheme::Http(
        Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of a principal: wh_…"))
            .build(),
    );
    document
        .components
        .get_or_insert_with(Default::default)
        .add_security_scheme("token", scheme);
    document
}

/// The methods of each address, as RFC 9110 wants them named in a 405.
static ALLOWED: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let document = openapi();
    let methods = |item: &PathItem| {
        let each = [
            ("DELETE", item.delete.is_some()),
            ("GET", item.get.is_some()),
            ("POST", item.post.is_some()),
            ("PUT", item.put.is_some()),
        ];
        each.iter()
            .filter(|(_, there)| *there)
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    document
        .paths
        .paths
        .iter()
        .map(|(path, item)| (path.clone(), methods(item)))
        .collect()
});

async fn nowhere(request: HttpRequest) -> HttpResponse {
    let Some(methods) = request
        .match_pattern()
        .and_then(|pattern| ALLOWED.get(&pattern.replace(":.*}", "}")))
    else {
        return Problem::not_found("address").error_response();
    };
    let mut response = Problem::new(
        Kind::MethodNotAllowed,
        format!("This address has: {methods}."),
    )
    .error_response();
    if let Ok(methods) = HeaderValue::from_str(methods) {
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

fn refuse(kind: Kind, detail: String) -> actix_web::Error {
    let problem = Problem::new(kind, detail);
    let response = problem.error_response();
    InternalError::from_response(problem, response).into()
}

/// Binds the service to a listener; gives the running server and what stops it.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(
    server: web::Data<Server>,
    listener: TcpListener,
    workers: usize,
) -> std::io::Result<(actix_web::dev::Server, ServerHandle)> {
    let document = openapi();
    let running = HttpServer::new(move || {
        App::new()
            .wrap(actix_web::middleware::from_fn(log::request_id))
            .wrap(tracing_actix_web::TracingLogger::<log::Spans>::new())
            .app_data(server.clone())
            .app_data(
                web::QueryConfig::default()
                    .error_handler(|e, _| refuse(Kind::InvalidQuery, format!("{e}."))),
            )
            .app_data(web::PathConfig::default().error_handler(|_, _| {
                refuse(
                    Kind::NotFound,
                    "There is nothing under this address.".into(),
                )
            }))
            .into_utoipa_app()
            .configure(routes)
            .into_app()
            .service(SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", document.clone()))
            .default_service(web::to(nowhere))
    })
    .workers(workers)
    .shutdown_timeout(30)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = running.handle();
    Ok((running, handle))
}
