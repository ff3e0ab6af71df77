//! What every request can reach. It is built once; what changes while it runs is an immutable
//! snapshot that is swapped, or an atomic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use chrono::TimeDelta;
use fluxgate_core::config::{Models, Registration};
use fluxgate_core::{Secret, UserId};
use ipnet::IpNet;
use tokio::runtime::Handle;
use url::Url;

use crate::admin::attempts::Attempts;
use crate::auth::access_token::AccessTokens;
use crate::auth::credential::CredentialId;
use crate::auth::directory::PrincipalDirectory;
use crate::auth::login_throttle::LoginThrottle;
use crate::auth::one_time::OneTimeTokens;
use crate::auth::password::PasswordHasher;
use crate::auth::refresh_token::RefreshTokens;
use crate::listen::ListenerKind;
use crate::listen::accepted::ConnectionCount;
use crate::proxy::body::BodyBudget;
use crate::record::Recorder;
use crate::redis::RedisProbe;
use crate::store::Store;
use crate::upstream::directory::Upstreams;
use crate::worker::{Stop, Workers};

/// The application, shared by all threads.
pub type SharedApp = Arc<App>;

/// See the module.
#[derive(Debug)]
pub struct App {
    /// What a reload may change.
    pub settings: ArcSwap<Settings>,
    pub admin_token: Secret,
    pub passwords: PasswordHasher,
    pub throttle: LoginThrottle,
    pub replica: Box<str>,
    pub store: Store,
    pub redis: Option<RedisProbe>,
    pub directory: Arc<PrincipalDirectory>,
    pub refresh_tokens: RefreshTokens,
    pub one_time: OneTimeTokens,
    pub upstreams: Arc<Upstreams>,
    pub bodies: BodyBudget,
    pub connections: Arc<ConnectionCount>,
    /// What strangers tried, on its way into the audit log.
    pub attempts: Attempts,
    pub recorder: Arc<Recorder>,
    pub workers: Arc<Workers>,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Where whatever isn't model traffic runs: stores, our own API, health, metrics.
    pub control: Handle,
    pub stop: Stop,
    pub reload: tokio::sync::mpsc::Sender<crate::reload::Request>,
    pub started: Instant,
    /// Set once everything listens.
    pub listening: OnceLock<Listening>,
}

/// The bound addresses, and axum's routers for them.
#[derive(Debug)]
pub struct Listening {
    pub addresses: Vec<(ListenerKind, SocketAddr)>,
    pub routers: Vec<(ListenerKind, Router)>,
    /// The demo model of `fluxgate up`.
    pub demo_model: Option<SocketAddr>,
}

impl App {
    /// axum's routes for a listener.
    #[must_use]
    pub fn router(&self, kind: ListenerKind) -> Option<Router> {
        let listening = self.listening.get()?;
        listening.routers.iter().find(|(of, _)| *of == kind).map(|(_, router)| router.clone())
    }

    /// The origin under which the pages are reached, for links: as configured, else as we listen.
    #[must_use]
    pub fn page_origin(&self) -> Option<String> {
        if let Some(url) = &self.settings.load().public_url {
            return Some(url.as_str().trim_end_matches('/').to_owned());
        }
        [(ListenerKind::Web, "http"), (ListenerKind::PublicTls, "https")].into_iter().find_map(
            |(kind, scheme)| Some(format!("{scheme}://{}", reachable(self.address(kind)?))),
        )
    }

    /// What is known here of a key or a session is read anew. The other replicas learn by the store.
    pub fn forget(&self, id: CredentialId) {
        self.directory.forget();
        self.workers.forget(id);
    }

    /// The same for all that a user has.
    pub fn forget_user(&self, user: UserId) {
        self.directory.forget();
        self.workers.forget_user(user);
    }

    /// Where a listener is bound.
    #[must_use]
    pub fn address(&self, kind: ListenerKind) -> Option<SocketAddr> {
        let listening = self.listening.get()?;
        listening.addresses.iter().find(|(of, _)| *of == kind).map(|(_, address)| *address)
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

/// What can change without a restart, in the form in which requests use it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub limits: Limits,
    pub public_url: Option<Url>,
    pub access_tokens: Arc<AccessTokens>,
    /// A session that isn't used for this long ends.
    pub session_idle: TimeDelta,
    /// However often it is used, it ends after this.
    pub session_max: TimeDelta,
    pub registration: Registration,
    pub audit_kept: TimeDelta,
    pub trusted_proxies: Vec<IpNet>,
    /// What is known of models by name, and the names that stand for others.
    pub models: Models,
    pub drain: Duration,
}

/// Limits of connections, headers and bodies.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub handshake: Duration,
    pub first_byte: Duration,
    pub header: Duration,
    pub idle: Duration,
    pub body_stall: Duration,
    pub answer_stall: Duration,
    pub header_bytes: u32,
    pub body_bytes: usize,
    pub bodies_in_flight_bytes: usize,
    pub h2_streams: u32,
}
