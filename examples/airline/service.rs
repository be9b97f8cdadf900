//! A service of its own: a new ledger in a new folder, served on a free port of this machine for as long as it is used.

use actix_web::web;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use whereas::access::Access;
use whereas::http::{self, Server};
use whereas::judge::Profile;
use whereas::ledger::note::Vkey;
use whereas::sequencer::{Clock, Ledger, LedgerPaths, Limits, SystemClock};
use whereas::store::sqlite_server::SqliteServerStore;

/// Name of the ledger.
pub const LEDGER: &str = "airline";

/// Its origin: the name of its key.
const ORIGIN: &str = "ledger.example/airline";

/// Threads that answer requests. One client asks, one thing after the other.
const WORKERS: usize = 2;

/// Why there is no service.
#[derive(Debug, thiserror::Error)]
#[error("the service does not start: {0}")]
pub struct ServiceError(String);

/// Names what failed.
fn at<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> ServiceError {
    move |cause| ServiceError(format!("{what}: {cause}"))
}

/// What one needs to use the service.
pub struct Running {
    /// Where it listens.
    pub url: String,
    /// Token of its administrator.
    pub administrator: String,
    /// The ledger's key, taken from the new keyring: what a verifier pins.
    pub key: Vkey,
}

/// Makes a ledger in `folder`, which must be new, serves it while `work` runs, and ends it.
pub fn with<T: Send + 'static>(
    folder: &Path,
    profile: Profile,
    work: impl FnOnce(Running) -> T + Send + 'static,
) -> Result<T, ServiceError> {
    if folder.exists() {
        let folder = folder.display();
        return Err(ServiceError(format!("{folder} is there already")));
    }
    let folder = folder.to_owned();
    actix_web::rt::System::new().block_on(run(folder, profile, work))
}

async fn run<T: Send + 'static>(
    folder: PathBuf,
    profile: Profile,
    work: impl FnOnce(Running) -> T + Send + 'static,
) -> Result<T, ServiceError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let paths = LedgerPaths::below(&folder, LEDGER);
    Ledger::create(&paths, LEDGER, ORIGIN, Arc::clone(&clock), None).map_err(at("new ledger"))?;
    let limits = Limits::default();
    let ledger = Ledger::open(&paths, LEDGER, ORIGIN, Arc::clone(&clock), limits);
    let ledger = ledger.map_err(at("ledger"))?;

    let store = SqliteServerStore::open(&folder.join("server.db")).map_err(at("principals"))?;
    let access = Access::new(Arc::new(store));
    let token = access.bootstrap(clock.now()).map_err(at("administrator"))?;
    let token =
        token.ok_or_else(|| ServiceError("there is an administrator already".to_owned()))?;

    let signer = ledger.keyring().checkpoint();

    let ledgers = BTreeMap::from([(LEDGER.to_owned(), ledger)]);
    let server = Server::new(ledgers, access, profile, clock).map_err(at("catalogues"))?;
    let server = web::Data::new(server);
    server.record_profile().await.map_err(at("profile"))?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(at("port"))?;
    let address = listener.local_addr().map_err(at("port"))?;
    let (serving, handle) =
        http::serve(server.clone(), listener, WORKERS).map_err(at("listening"))?;
    let serving = actix_web::rt::spawn(serving);

    let running = Running {
        url: format!("http://{address}"),
        administrator: token.expose().to_owned(),
        key: signer.vkey().clone(),
    };
    let done = web::block(move || work(running)).await;
    handle.stop(true).await;
    serving
        .await
        .map_err(at("serving"))?
        .map_err(at("serving"))?;
    server.close().await;
    done.map_err(at("work"))
}
