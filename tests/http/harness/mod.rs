//! The service, running on a real store in a folder of its own.

mod client;
mod clock;
mod documented;
mod events;
mod process;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::{rt::System, web};
use serde_json::{Value, json};
use tempfile::TempDir;
use whereas::access::Access;
use whereas::http::{self, Server};
use whereas::judge::Profile;
use whereas::ledger::Leaf;
use whereas::ledger::note::Vkey;
use whereas::outside::{Outside, Settings};
use whereas::sequencer::{Clock, Ledger, LedgerPaths, Limits};
use whereas::store::EntryQuery;
use whereas::store::sqlite_server::SqliteServerStore;

pub use client::{Answer, Client, segment};
pub use clock::TestClock;
pub use documented::operations;
pub use events::{full_event, proper_case, simple};
pub use process::{Process, printed, until, whereas};

/// The tenant that most tests look at, and the other one.
pub const LEDGER: &str = "acme";
pub const OTHER: &str = "globex";
/// What producers post for.
pub const SOURCE: &str = "https://workflow.example/cases";

/// A service that runs until it is dropped.
pub struct Service {
    dir: TempDir,
    pub clock: Arc<TestClock>,
    pub base: String,
    /// Whether checkpoints and hash tiles are for everybody, from the next start on.
    pub public_log: bool,
    /// What records are judged against, from the next start on; the built-in profile without it.
    pub profile: Option<Profile>,
    administrator: String,
    /// Witnesses and anchors, from the next start on.
    pub outside: Option<Settings>,
    running: Option<Running>,
}

struct Running {
    handle: ServerHandle,
    thread: JoinHandle<()>,
    server: web::Data<Server>,
}

impl Service {
    /// Two ledgers, and an administrator of both.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::default());
        for name in [LEDGER, OTHER] {
            let paths = LedgerPaths::below(dir.path(), name);
            Ledger::create(&paths, name, &origin(name), clock.clone(), None).unwrap();
        }
        let mut service = Self {
            dir,
            clock,
            base: String::new(),
            public_log: false,
            profile: None,
            administrator: String::new(),
            outside: None,
            running: None,
        };
        service.start();
        service
    }

    /// Starts on the same folder, on another port.
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "it is running");
        let clock: Arc<dyn Clock> = self.clock.clone();
        let store = SqliteServerStore::open(&self.dir.path().join("server.db")).unwrap();
        let access = Access::new(Arc::new(store));
        if let Some(token) = access.bootstrap(clock.now()).unwrap() {
            self.administrator = token.expose().to_owned();
        }
        let mut ledgers = BTreeMap::new();
        for name in [LEDGER, OTHER] {
            let paths = LedgerPaths::below(self.dir.path(), name);
            let limits = Limits::default();
            let ledger = Ledger::open(&paths, name, &origin(name), clock.clone(), limits).unwrap();
            ledgers.insert(name.to_owned(), ledger);
        }
        let profile = self.profile.clone();
        let profile = profile.unwrap_or_else(|| Profile::builtin().unwrap());
        let server = Server::new(ledgers, access, profile, clock.clone()).unwrap();
        let mut server = server.with_public_log(self.public_log);
        if let Some(settings) = &self.outside {
            for (name, ledger) in &server.ledgers {
                let asking = Outside::start(ledger.clone(), settings.clone(), clock.clone());
                server.outside.insert(name.clone(), asking.unwrap());
            }
        }
        let server = web::Data::new(server);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.base = format!("http://{}", listener.local_addr().unwrap());
        let (tell, told) = channel();
        let state = server.clone();
        let thread = std::thread::spawn(move || {
            System::new().block_on(async move {
                state.record_changes().await;
                let (running, handle) = http::serve(state.clone(), listener, 2).unwrap();
                tell.send(handle).unwrap();
                running.await.unwrap();
                state.close().await;
            });
        });
        let handle = told.recv().unwrap();
        self.running = Some(Running {
            handle,
            thread,
            server,
        });
    }

    /// Stops in order: what was taken is finished.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        let stopping = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        stopping.block_on(running.handle.stop(true));
        running.thread.join().unwrap();
        let state = running.server.into_inner();
        // The threads that served drop their share a moment after the server is done.
        let late = Instant::now() + Duration::from_secs(30);
        while Arc::strong_count(&state) > 1 {
            assert!(Instant::now() < late, "somebody still holds the state");
            std::thread::yield_now();
        }
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// The state behind the API, for what the API does not offer.
    pub fn server(&self) -> &Server {
        &self.running.as_ref().expect("it is running").server
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A client with this token, or without one.
    pub fn client(&self, token: Option<&str>) -> Client {
        Client::new(&self.base, token)
    }

    pub fn administrator(&self) -> Client {
        self.client(Some(&self.administrator))
    }

    /// A new principal with one grant; gives its token.
    pub fn token(&self, grant: &Value) -> String {
        self.principal(grant).1
    }

    /// A new principal with one grant; gives its id and token.
    pub fn principal(&self, grant: &Value) -> (String, String) {
        let admin = self.administrator();
        let name = grant["role"].as_str().unwrap().to_owned();
        let made = admin
            .post("/v1/principals", &json!({"name": name, "grants": [grant]}))
            .json(201);
        let id = made["id"].as_str().unwrap().to_owned();
        let minted = admin
            .post(&format!("/v1/principals/{id}/tokens"), &json!({}))
            .json(201);
        (id, minted["token"].as_str().unwrap().to_owned())
    }

    /// A client that posts for [`SOURCE`].
    pub fn producer(&self) -> Client {
        let grant = json!({"role": "producer", "ledgers": [LEDGER], "sources": [SOURCE]});
        self.client(Some(&self.token(&grant)))
    }

    /// A client of a role that may read about all cases.
    pub fn reader(&self, role: &str) -> Client {
        let grant = json!({"role": role, "ledgers": [LEDGER], "all_cases": true});
        self.client(Some(&self.token(&grant)))
    }

    /// The key that a verifier would have pinned.
    pub fn vkey(&self) -> Vkey {
        let ledger = &self.server().ledgers[LEDGER];
        ledger.keyring().checkpoint().vkey().clone()
    }

    pub fn size(&self) -> u64 {
        self.server().ledgers[LEDGER].size()
    }

    /// The types of all entries.
    pub fn kinds(&self) -> Vec<String> {
        kinds(&self.server().ledgers[LEDGER])
    }

    /// Number of entries but for those that tell of reads and refusals.
    pub fn size_but_reads(&self) -> usize {
        let all = self.kinds().into_iter();
        all.filter(|kind| !is_read(kind)).count()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// The types of all entries of a ledger.
pub fn kinds(ledger: &Ledger) -> Vec<String> {
    let query = EntryQuery {
        below: ledger.size(),
        limit: 1_000_000,
        ..EntryQuery::default()
    };
    let entries = ledger.reader().entries(&query).unwrap().into_iter();
    entries
        .map(|e| Leaf::decode(&e.leaf).unwrap().kind)
        .collect()
}

/// Whether entries of this type tell of reads or refusals.
pub fn is_read(kind: &str) -> bool {
    ["record.accessed", "access.denied"].contains(&kind)
}

pub fn origin(name: &str) -> String {
    format!("ledger.example/{name}")
}

/// Path below the ledger that most tests look at.
pub fn at(path: &str) -> String {
    format!("/v1/ledgers/{LEDGER}{path}")
}
