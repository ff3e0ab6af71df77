//! Starts a replica and ends it: stores, listeners, data threads, background tasks, in that order,
//! and back. It takes everything from outside, so that a test owns ports, folder and end.

mod bind;
mod error;
mod files;
mod running;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use fluxgate_core::Secret;
use fluxgate_core::config::Config;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::admin::attempts::{self, Attempts};
use crate::app::{App, Listening};
use crate::auth::directory::PrincipalDirectory;
use crate::auth::login_throttle::LoginThrottle;
use crate::auth::one_time::OneTimeTokens;
use crate::auth::password::PasswordHasher;
use crate::auth::pseudonym::Pseudonyms;
use crate::auth::refresh_token::RefreshTokens;
use crate::config::Missing;
use crate::data_folder::{DataFolder, Ports};
use crate::listen::accepted::ConnectionCount;
use crate::listen::tls::Certificate;
use crate::listen::{self, ListenerKind};
use crate::metrics::Metrics;
use crate::proxy::body::BodyBudget;
use crate::record::Recorder;
use crate::redis::RedisProbe;
use crate::reload::{self, ReadAgain};
use crate::store::Store;
use crate::upstream::directory::Upstreams;
use crate::worker::{self, Stop, Workers};
use crate::{changes, config, expired, first_start, router};

pub use error::StartError;
pub use running::Running;

/// How long the first reading of the listings is waited for: a local model server answers in
/// milliseconds, and nobody waits at start for one that is away.
const FIRST_LISTING_WITHIN: Duration = Duration::from_millis(500);
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

/// Starts a replica on the present runtime, which becomes its control side. Everything listens
/// once this returns.
///
/// # Errors
/// [`StartError`], before anything was served.
pub async fn start(setup: Setup) -> Result<Running, StartError> {
    let Setup { config, movable, read_again, ports_file, make_first_key, demo_model } = setup;
    files::raise_file_limit();
    let folder = DataFolder::open(&config.data_dir)?;
    let url = config.database.url.as_ref().ok_or(Missing("database.url"))?;
    let store = Store::open(url, config.database.effective_pooler()).await?;
    let certificate = match config.listen.https {
        Some(_) => {
            let files = config::certificate_files(&config.tls, &config.data_dir)?;
            Some(Certificate::load(files)?)
        }
        None => None,
    };
    let bound = bind::bind_all(&config, &movable)?;
    let passwords = PasswordHasher::start(config.auth.argon2).map_err(StartError::Thread)?;
    // What is made here is told once: nothing that often fails comes after it.
    let first_start =
        first_start::prepare(&store, &passwords, &config, &config.data_dir, make_first_key).await?;

    let stop = Stop::default();
    let (workers, queues) = Workers::new(config::workers(&config));
    let (reloads, reload_requests) = mpsc::channel(RELOADS_MAX);
    let last_change = store.last_change().await?;
    let deployment_secret = Zeroizing::new(store.deployment_secret().await?);
    let people = Pseudonyms::new(&deployment_secret);
    let refresh_tokens = RefreshTokens::new(&deployment_secret);
    let one_time = OneTimeTokens::new(&deployment_secret);
    let recorder = Recorder::new(Metrics::new()?, people);
    let parts =
        Parts { store, passwords, refresh_tokens, one_time, recorder, workers, reload: reloads };
    let app = build(&config, parts, certificate.as_ref(), &stop)?;
    let app = Arc::new(app);
    app.upstreams.set(config::upstreams(&config))?;

    let routers =
        bound.iter().map(|bound| (bound.kind, router::control(bound.kind, Arc::clone(&app))));
    let addresses = bound.iter().map(|bound| (bound.kind, bound.addr)).collect();
    let _ = app.listening.set(Listening { addresses, routers: routers.collect(), demo_model });
    let threads = worker::spawn(queues, &app, &stop).map_err(StartError::Thread)?;

    let (mut tasks, end) = (JoinSet::new(), CancellationToken::new());
    tasks.spawn(record(Arc::clone(&app), end.clone()));
    tasks.spawn(attempts::run(Arc::clone(&app), end.clone()));
    tasks.spawn(expired::run(Arc::clone(&app), end.clone()));
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

/// What is made before the application and moves into it.
struct Parts {
    store: Store,
    passwords: PasswordHasher,
    refresh_tokens: RefreshTokens,
    one_time: OneTimeTokens,
    recorder: Arc<Recorder>,
    workers: Arc<Workers>,
    reload: mpsc::Sender<reload::Request>,
}

fn build(
    config: &Config,
    parts: Parts,
    certificate: Option<&Arc<Certificate>>,
    stop: &Stop,
) -> Result<App, StartError> {
    let Parts { store, passwords, refresh_tokens, one_time, recorder, workers, reload } = parts;
    let control = Handle::current();
    let admin_token: Option<Secret> = config.auth.admin_token.clone();
    let listen = &config.listen;
    Ok(App {
        settings: ArcSwap::from_pointee(config::settings(config)?),
        admin_token: admin_token.ok_or(Missing("auth.admin_token"))?,
        passwords,
        throttle: LoginThrottle::default(),
        replica: config::replica(config),
        directory: PrincipalDirectory::new(store.clone(), control.clone()),
        store,
        redis: config.redis.url.as_ref().map(|url| RedisProbe::start(url, &control)),
        upstreams: Upstreams::new(control.clone()),
        bodies: BodyBudget::default(),
        connections: ConnectionCount::new(
            listen.connections_max,
            listen.connections_per_address_max,
        ),
        attempts: Attempts::default(),
        refresh_tokens,
        one_time,
        recorder,
        workers,
        tls: certificate.map(Certificate::server_config),
        control,
        stop: stop.clone(),
        reload,
        started: Instant::now(),
        listening: OnceLock::new(),
    })
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

/// Settles the records of requests until `end`, and writes what they say of keys: the last of both
/// when nothing more comes.
async fn record(app: Arc<App>, end: CancellationToken) {
    let recorder = &app.recorder;
    tokio::join!(Arc::clone(recorder).run(end.clone()), recorder.used.run(&app.store, &end));
    recorder.used.write(&app.store).await;
}
