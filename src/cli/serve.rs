//! Serving.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use clap::Args;
use tracing_subscriber::EnvFilter;

use super::{Config, Failure, Outcome, fail, say};
use crate::access::Access;
use crate::access::files::write_secret_file;
use crate::http::{self, Server};
use crate::outside::{self, Outside};
use crate::sequencer::{Clock, Ledger, Limits, SystemClock};
use crate::store::sqlite_server::SqliteServerStore;

/// How often changes that were made on the command line are looked for.
const LOOK_FOR_CHANGES: Duration = Duration::from_secs(2);

/// How often the indexes of findings are brought up to date.
const SURVEY_EVERY: Duration = Duration::from_secs(5);

/// What `serve` takes.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, env = "WHEREAS_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// What records are judged against, instead of the built-in profile
    #[arg(long, env = "WHEREAS_PROFILE", value_name = "FILE")]
    profile: Option<PathBuf>,
}

pub(super) fn run(config: &Config, args: &ServeArgs) -> Outcome {
    let mut config = config.clone();
    config.profile = args.profile.clone().or(config.profile);
    log(config.log.as_deref());
    if config.ledgers()?.is_empty() {
        return fail(format!(
            "there is no ledger in {}; create one with: whereas ledger create NAME",
            config.data_dir.display()
        ));
    }
    let listen = args
        .listen
        .or(config.listen)
        .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
    let listener = TcpListener::bind(listen)
        .map_err(|e| Failure(format!("cannot listen on {listen}: {e}")))?;
    let address = listener.local_addr()?;
    let system = actix_web::rt::System::new();
    system.block_on(async move {
        let server = open(&config).await?;
        say(&format!(
            "whereas serves {} on http://{address} (API at /docs/, stop with Ctrl-C)",
            server
                .ledgers
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        ))?;
        let running = start(&config, server, listener)?;
        stop_signal().await?;
        running.stop().await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// JSON lines on standard error.
pub(super) fn log(filter: Option<&str>) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(filter.unwrap_or("info")));
    let lines = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second subscriber (in a test) is refused; the first goes on.
    let _ = lines.try_init();
}

pub(super) async fn stop_signal() -> Result<(), Failure> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Where the administrator's token is written on the first start.
pub(super) fn administrator_token(data_dir: &Path) -> PathBuf {
    data_dir.join("administrator.token")
}

/// The principals of a data folder.
pub(super) fn principals(data_dir: &Path) -> Result<Access, Failure> {
    crate::keyring::create_private_dir(data_dir)?;
    Ok(Access::new(Arc::new(SqliteServerStore::open(
        &data_dir.join("server.db"),
    )?)))
}

/// Opens everything in the data folder.
pub(super) async fn open(config: &Config) -> Result<web::Data<Server>, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let access = principals(&config.data_dir)?;
    if let Some(token) = access.bootstrap(clock.now())? {
        let path = administrator_token(&config.data_dir);
        write_secret_file(&path, format!("{}\n", token.expose()).as_bytes()).map_err(|e| {
            Failure(format!(
                "cannot write the administrator's token to {}: {e}",
                path.display()
            ))
        })?;
    }
    let mut ledgers = BTreeMap::new();
    let settings = config.outside()?;
    let limits = Limits {
        queue: config.queue.unwrap_or(Limits::default().queue),
    };
    for name in config.ledgers()? {
        let origin = config.stored_origin(&name)?;
        let opened = Ledger::open(
            &config.paths(&name),
            &name,
            &origin,
            Arc::clone(&clock),
            limits,
        );
        let ledger = opened.map_err(|e| {
            Failure(format!(
                "the ledger `{name}` does not start: {}",
                Failure::from(e).0
            ))
        })?;
        outside::compare(&ledger, &settings).map_err(|e| {
            Failure(format!(
                "the ledger `{name}` does not start: {}",
                Failure::from(e).0
            ))
        })?;
        ledgers.insert(name, ledger);
    }
    let mut server = Server::new(ledgers, access, config.read_profile()?, Arc::clone(&clock))?
        .with_public_log(config.public_log);
    if settings.policy.is_some() || !settings.anchors.is_empty() {
        for (name, ledger) in &server.ledgers {
            let asking = Outside::start(Arc::clone(ledger), settings.clone(), Arc::clone(&clock))?;
            server.outside.insert(name.clone(), asking);
        }
    }
    let server = web::Data::new(server);
    server.record_profile().await?;
    server.record_changes().await;
    Ok(server)
}

/// A running service.
pub(super) struct Running {
    server: web::Data<Server>,
    handle: actix_web::dev::ServerHandle,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Starts serving in the background.
pub(super) fn start(
    config: &Config,
    server: web::Data<Server>,
    listener: TcpListener,
) -> Result<Running, Failure> {
    let workers = config
        .workers
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    let (running, handle) = http::serve(server.clone(), listener, workers)?;
    let serving = tokio::task::spawn_local(async move {
        if let Err(e) = running.await {
            tracing::error!(component = "http", error = %e, "the service ended");
        }
    });
    let looking = {
        let server = server.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(LOOK_FOR_CHANGES).await;
                server.record_changes().await;
            }
        })
    };
    let surveying = {
        let server = server.clone();
        tokio::task::spawn_local(async move {
            loop {
                let some = server.clone();
                let behind = tokio::task::spawn_blocking(move || some.survey_some()).await;
                if !matches!(behind, Ok(true)) {
                    tokio::time::sleep(SURVEY_EVERY).await;
                }
            }
        })
    };
    let mut tasks = vec![serving, looking, surveying];
    if let Some(every) = config.verify_every()? {
        for name in server.ledgers.keys() {
            let (server, name, paths) = (server.clone(), name.clone(), config.paths(name));
            tasks.push(tokio::task::spawn_local(async move {
                loop {
                    server.verify_ledger(&name, paths.clone()).await;
                    tokio::time::sleep(every).await;
                }
            }));
        }
    }
    Ok(Running {
        server,
        handle,
        tasks,
    })
}

impl Running {
    /// Takes no more, finishes what was taken, and ends.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.handle.stop(true).await;
        for task in self.tasks {
            task.abort();
        }
        self.server.close().await;
        Ok(())
    }
}
