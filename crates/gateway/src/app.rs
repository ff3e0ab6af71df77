//! What every request can reach. It is built once; what changes while it runs is an immutable
//! snapshot that is swapped, or an atomic.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use fluxgate_core::Secret;
use fluxgate_core::config::Models;
use ipnet::IpNet;
use tokio::runtime::Handle;
use url::Url;

use crate::auth::directory::KeyDirectory;
use crate::auth::password::PasswordHasher;
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
    pub replica: Box<str>,
    pub store: Store,
    pub redis: Option<RedisProbe>,
    pub directory: Arc<KeyDirectory>,
    pub upstreams: Arc<Upstreams>,
    pub bodies: BodyBudget,
    pub connections: Arc<ConnectionCount>,
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

    /// Where a listener is bound.
    #[must_use]
    pub fn address(&self, kind: ListenerKind) -> Option<SocketAddr> {
        let listening = self.listening.get()?;
        listening.addresses.iter().find(|(of, _)| *of == kind).map(|(_, address)| *address)
    }
}

/// What can change without a restart, in the form in which requests use it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub limits: Limits,
    pub public_url: Option<Url>,
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
