//! Starts a replica and ends it: stores, listeners, data threads, background tasks, in that order,
//! and back. It takes everything from outside, so that a test owns ports, folder and end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use fluxgate_core::Secret;
use fluxgate_core::config::Config;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::{App, Listening, SharedApp};
use crate::auth::directory::KeyDirectory;
use crate::data_folder::{DataFolder, DataFolderError, Ports};
use crate::first_start::{self, FirstStart, FirstStartError};
use crate::listen::accepted::ConnectionCount;
use crate::listen::acceptor::{self, Bound};
use crate::listen::tls::{Certificate, TlsError};
use crate::listen::{self, ListenerKind};
use crate::metrics::Metrics;
use crate::proxy::body::BodyBudget;
use crate::record::Recorder;
use crate::redis::RedisProbe;
use crate::reload::{self, ReadAgain, ReloadError, Reloaded};
use crate::store::{Store, StoreError};
use crate::upstream::UnusableUpstream;
use crate::upstream::directory::Upstreams;
use crate::worker::{self, Stop, Workers};
use crate::{changes, config, router};

/// How long the first reading of the listings is waited for: a local model server answers in
/// milliseconds, and nobody waits at start for one that is away.
const FIRST_LISTING_WITHIN: Duration = Duration::from_millis(500);
/// After the drain limit answers are cut short, which takes no longer than this.
const ABORT_WITHIN: Duration = Duration::from_secs(2);
/// Ports that are tried beyond the default where nobody chose one.
const PORTS_TRIED: u16 = 100;
/// Reloads that wait for their turn.
const RELOADS_MAX: usize = 8;

/// What a replica starts from.
pub struct Setup {
    /// Checked and complete: it names a database and has an admin token.
    pub config: Config,
    /// Listeners whose port nobody chose: where it is in use, the next free one is taken.
    pub movable: Vec<ListenerKind>,
    /// Reads the configuration again, for a reload.
    pub read_again: ReadAgain,
    /// `ports.json` or `gateway.ports.json`.
    pub ports_file: &'static str,
    /// Whether a first API key is made where the database is new.
    pub make_first_key: bool,
    /// The demo model of `fluxgate up`, for the ports file and the page.
    pub demo_model: Option<SocketAddr>,
}

/// Why a replica can't start: one line that says what and what to do.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("can't listen on {address} ({listener}): {source}; {advice}")]
    Listen { listener: &'static str, address: SocketAddr, source: io::Error, advice: &'static str },
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error("{path}: {source}")]
    Ports { path: &'static str, source: io::Error },
    #[error("database: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    FirstStart(#[from] FirstStartError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Upstream(#[from] UnusableUpstream),
    #[error("{0}: not given")]
    Missing(&'static str),
    #[error("can't start a data thread: {0}")]
    Thread(#[source] io::Error),
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// A replica that listens.
#[derive(Debug)]
pub struct Running {
    pub app: SharedApp,
    /// What a first start made, for whoever may see it.
    pub first_start: FirstStart,
    folder: DataFolder,
    ports_file: &'static str,
    threads: Vec<JoinHandle<io::Result<()>>>,
    tasks: JoinSet<()>,
    /// Ends the tasks that outlive the last request.
    end: CancellationToken,
}

/// Starts a replica on the present runtime, which becomes its control side. Everything listens
/// once this returns.
///
/// # Errors
/// [`StartError`], before anything was served.
pub async fn start(setup: Setup) -> Result<Running, StartError> {
    let Setup { config, movable, read_again, ports_file, make_first_key, demo_model } = setup;
    raise_file_limit();
    let folder = DataFolder::open(&config.data_dir)?;
    let url = config.database.url.as_ref().ok_or(StartError::Missing("database.url"))?;
    let store = Store::open(url, config.database.effective_pooler()).await?;
    let certificate = match config.listen.https {
        Some(_) => {
            let files = config::certificate_files(&config.tls, &config.data_dir)?;
            Some(Certificate::load(files)?)
        }
        None => None,
    };
    let bound = bind_all(&config, &movable)?;
    // What is made here is told once: nothing that often fails comes after it.
    let first_start =
        first_start::prepare(&store, &config, &config.data_dir, make_first_key).await?;

    let stop = Stop::default();
    let (workers, queues) = Workers::new(config::workers(&config));
    let (reloads, reload_requests) = mpsc::channel(RELOADS_MAX);
    let last_change = store.last_change().await?;
    let app = Arc::new(build(&config, store, certificate.as_ref(), workers, reloads, &stop)?);
    app.upstreams.set(config::upstreams(&config))?;

    let routers =
        bound.iter().map(|bound| (bound.kind, router::control(bound.kind, Arc::clone(&app))));
    let addresses = bound.iter().map(|bound| (bound.kind, bound.addr)).collect();
    let _ = app.listening.set(Listening { addresses, routers: routers.collect(), demo_model });
    let threads = worker::spawn(queues, &app, &stop).map_err(StartError::Thread)?;

    let (mut tasks, end) = (JoinSet::new(), CancellationToken::new());
    tasks.spawn(Arc::clone(&app.recorder).run(end.clone()));
    tasks.spawn(changes::run(Arc::clone(&app), last_change, end.clone()));
    tasks.spawn(reload::run(
        Arc::clone(&app),
        config.clone(),
        read_again,
        reload_requests,
        end.clone(),
    ));
    if let Some(certificate) = certificate {
        tasks.spawn(listen::tls::watch(certificate, end.clone()));
    }
    // Nobody waits long for a model server that is away; it is found when it comes.
    let _ = tokio::time::timeout(FIRST_LISTING_WITHIN, app.upstreams.read_on_demand()).await;
    tasks.spawn(Arc::clone(&app.upstreams).run(end.clone()));
    for bound in bound {
        let (workers, count) = (Arc::clone(&app.workers), Arc::clone(&app.connections));
        tasks.spawn(bound.accept(workers, count, stop.drain.clone()));
    }
    folder
        .write_ports(ports_file, &ports(&app, demo_model))
        .map_err(|source| StartError::Ports { path: ports_file, source })?;
    Ok(Running { app, first_start, folder, ports_file, threads, tasks, end })
}

fn build(
    config: &Config,
    store: Store,
    certificate: Option<&Arc<Certificate>>,
    workers: Arc<Workers>,
    reload: mpsc::Sender<reload::Request>,
    stop: &Stop,
) -> Result<App, StartError> {
    let control = Handle::current();
    let admin_token: Option<Secret> = config.auth.admin_token.clone();
    let listen = &config.listen;
    Ok(App {
        settings: ArcSwap::from_pointee(config::settings(config)),
        admin_token: admin_token.ok_or(StartError::Missing("auth.admin_token"))?,
        guard_token: config.auth.guard_token.clone(),
        argon2: config.auth.argon2,
        replica: config::replica(config),
        directory: KeyDirectory::new(store.clone(), control.clone()),
        store,
        redis: config.redis.url.as_ref().map(|url| RedisProbe::start(url, &control)),
        upstreams: Upstreams::new(control.clone()),
        bodies: BodyBudget::default(),
        connections: ConnectionCount::new(
            listen.connections_max,
            listen.connections_per_address_max,
        ),
        recorder: Recorder::new(Metrics::new()?),
        workers,
        tls: certificate.map(Certificate::server_config),
        control,
        stop: stop.clone(),
        reload,
        started: Instant::now(),
        listening: OnceLock::new(),
    })
}

impl Running {
    /// Where a listener is bound.
    #[must_use]
    pub fn address(&self, kind: ListenerKind) -> Option<SocketAddr> {
        self.app.address(kind)
    }

    /// The link under which the first administrator is set up: one opening, by whoever has it.
    #[must_use]
    pub fn setup_link(&self) -> Option<String> {
        let token = self.first_start.setup_token.as_ref()?;
        let public_url = self.app.settings.load().public_url.clone();
        let origin = match public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", reachable(self.address(ListenerKind::Web)?)),
        };
        Some(format!("{origin}/setup#{token}"))
    }

    /// Reads the configuration again; a bad one leaves the old in force, and is logged.
    ///
    /// # Errors
    /// What is wrong with the new one.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (sender, outcome) = oneshot::channel();
        if self.app.reload.send(sender).await.is_err() {
            return Err(ReloadError::Unreadable);
        }
        outcome.await.unwrap_or(Err(ReloadError::Unreadable))
    }

    /// Resolves when somebody asks through the admin API that the replica drain.
    pub async fn asked_to_stop(&self) {
        self.app.stop.drain.cancelled().await;
    }

    /// Stops accepting, lets answers under way end within the drain limit, and ends.
    pub async fn stop(mut self) {
        let stop = &self.app.stop;
        stop.drain.cancel();
        info!("draining");
        let threads = std::mem::take(&mut self.threads);
        let mut ended = tokio::task::spawn_blocking(move || {
            threads.into_iter().filter_map(|thread| thread.join().ok()?.err()).collect::<Vec<_>>()
        });
        let drain = self.app.settings.load().drain;
        let mut failures = tokio::time::timeout(drain, &mut ended).await;
        if failures.is_err() {
            warn!("answers are still under way at the drain limit: they end with an error");
            stop.abort.cancel();
            failures = tokio::time::timeout(ABORT_WITHIN, ended).await;
        }
        match failures {
            Ok(Ok(failures)) => {
                failures
                    .iter()
                    .for_each(|error| warn!(%error, "a data thread ended with an error"));
            }
            Ok(Err(error)) => warn!(%error, "a data thread can't be joined"),
            Err(_) => warn!("a data thread didn't end"),
        }
        self.end.cancel();
        while let Some(task) = self.tasks.join_next().await {
            if let Err(error) = task {
                warn!(%error, "a background task failed");
            }
        }
        self.app.store.close().await;
        if let Err(error) = self.folder.remove_ports(self.ports_file) {
            warn!(%error, file = self.ports_file, "can't remove the file of addresses");
        }
        info!("stopped");
    }
}

/// Where a listener of all addresses is reached from this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn bind_all(config: &Config, movable: &[ListenerKind]) -> Result<Vec<Bound>, StartError> {
    config::listeners(config)
        .map(|(kind, address)| bind(kind, address, movable.contains(&kind)))
        .collect()
}

fn bind(kind: ListenerKind, wanted: SocketAddr, movable: bool) -> Result<Bound, StartError> {
    let mut address = wanted;
    loop {
        let error = match acceptor::bind(kind, address) {
            Ok(bound) => return Ok(bound),
            Err(error) => error,
        };
        let next = address.port().checked_add(1).filter(|port| port - wanted.port() < PORTS_TRIED);
        match (error.kind(), next) {
            (io::ErrorKind::AddrInUse, Some(next)) if movable && wanted.port() != 0 => {
                address.set_port(next);
            }
            (problem, _) => {
                let advice = match problem {
                    io::ErrorKind::AddrInUse => {
                        "end the program that has it, or choose another port"
                    }
                    io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
                    io::ErrorKind::PermissionDenied => "choose a port from 1024 up",
                    _ => "choose another address",
                };
                let listener = kind.name();
                return Err(StartError::Listen {
                    listener,
                    address: wanted,
                    source: error,
                    advice,
                });
            }
        }
    }
}

fn ports(app: &App, demo_model: Option<SocketAddr>) -> Ports {
    let of = |kind| app.address(kind);
    Ports {
        pid: std::process::id(),
        https: of(ListenerKind::PublicTls),
        http: of(ListenerKind::PublicClear),
        admin: of(ListenerKind::Admin),
        metrics: of(ListenerKind::Metrics),
        mcp: None,
        web: of(ListenerKind::Web),
        demo_model,
    }
}

/// Open files that a small installation gets along with: one for each side of each request.
const FEW_FILES: u64 = 4096;

/// Thousands of connections need thousands of files.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Raising the soft limit to the hard one is always allowed; if not, the old one stays.
    let _ = setrlimit(Resource::Nofile, limit);
    if let Some(files) = limit.maximum.filter(|files| *files < FEW_FILES) {
        warn!(files, "the limit of open files is low: raise it with `ulimit -Hn`");
    }
}
