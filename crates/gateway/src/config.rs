//! The configuration as the gateway's rooms use it: settings that requests read, upstreams, files.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use fluxgate_core::config::{Auth, Config, Tls, Upstream, UpstreamKind};
use thiserror::Error;

use crate::app::{Limits, Settings};
use crate::auth::access_token::AccessTokens;
use crate::listen::ListenerKind;
use crate::listen::tls::{self, CertificateFiles, TlsError};
use crate::upstream::{Kind, UpstreamSettings};

/// A setting that whoever starts us makes where nobody gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("{0}: isn't set")]
pub struct Missing(pub &'static str);

/// What a reload may change.
///
/// # Errors
/// [`Missing`].
pub fn settings(config: &Config) -> Result<Settings, Missing> {
    let (listen, auth) = (&config.listen, &config.auth);
    let jwt_secret = auth.jwt_secret.as_ref().ok_or(Missing("auth.jwt_secret"))?;
    let access_tokens = AccessTokens::new(jwt_secret, auth.jwt_secret_previous.as_ref());
    Ok(Settings {
        limits: Limits {
            handshake: listen.handshake,
            first_byte: listen.first_byte,
            header: listen.header,
            idle: listen.idle,
            body_stall: listen.body_stall,
            answer_stall: listen.answer_stall,
            header_bytes: u32::try_from(listen.header_bytes_max).unwrap_or(u32::MAX),
            body_bytes: listen.body_bytes_max,
            bodies_in_flight_bytes: listen.bodies_in_flight_bytes_max,
            h2_streams: listen.h2_streams_max,
        },
        public_url: listen.public_url.clone(),
        access_tokens: Arc::new(access_tokens),
        session_idle: lasts(auth.sessions.idle),
        session_max: lasts(auth.sessions.max),
        registration: auth.registration,
        audit_kept: TimeDelta::days(auth.audit_kept_days.into()),
        trusted_proxies: listen.trusted_proxies.clone(),
        models: config.models.clone(),
        drain: listen.drain,
    })
}

fn lasts(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

/// The model servers.
#[must_use]
pub fn upstreams(config: &Config) -> Vec<UpstreamSettings> {
    config.effective_upstreams().iter().map(upstream).collect()
}

fn upstream(upstream: &Upstream) -> UpstreamSettings {
    UpstreamSettings {
        name: Arc::from(upstream.name.as_str()),
        url: upstream.url.clone(),
        kind: match upstream.kind {
            UpstreamKind::OpenAi => Some(Kind::OpenAi),
            UpstreamKind::Anthropic => Some(Kind::Anthropic),
            UpstreamKind::Ollama => Some(Kind::Ollama),
            UpstreamKind::Auto => None,
        },
        api_key: upstream.api_key.clone(),
        models: upstream.models.clone(),
        stream_usage: upstream.stream_usage,
        extra_fields: upstream.extra_fields,
        connect: upstream.timeouts.connect,
        first_byte: upstream.timeouts.first_byte,
        idle: upstream.idle,
        request: upstream.timeouts.request,
    }
}

/// The certificate that was given, else the self-signed one of the data folder.
///
/// # Errors
/// [`TlsError`] where the self-signed one can't be made.
pub fn certificate_files(tls: &Tls, data_dir: &Path) -> Result<CertificateFiles, TlsError> {
    match (&tls.cert_path, &tls.key_path) {
        (Some(cert), Some(key)) => Ok(CertificateFiles { cert: cert.clone(), key: key.clone() }),
        _ => tls::self_signed(data_dir),
    }
}

/// Data threads: what was chosen, else one for each core.
#[must_use]
pub fn workers(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    config.listen.workers.map_or_else(cores, NonZeroUsize::get)
}

/// This replica's name: what was chosen, else host and process.
#[must_use]
pub fn replica(config: &Config) -> Box<str> {
    let chosen = config.listen.replica_id.as_deref();
    chosen.map_or_else(
        || {
            let host = rustix::system::uname();
            format!("{}-{}", host.nodename().to_string_lossy(), std::process::id()).into()
        },
        Box::from,
    )
}

/// The listeners with their addresses.
pub fn listeners(config: &Config) -> impl Iterator<Item = (ListenerKind, std::net::SocketAddr)> {
    let listen = &config.listen;
    [
        (ListenerKind::PublicTls, listen.https),
        (ListenerKind::PublicClear, listen.http),
        (ListenerKind::Admin, listen.admin),
        (ListenerKind::Metrics, listen.metrics),
        (ListenerKind::Web, listen.web),
    ]
    .into_iter()
    .filter_map(|(kind, address)| Some((kind, address?)))
}

/// The settings that need a restart, and differ from what the program was started with.
#[must_use]
pub fn needs_restart(started: &Config, new: &Config) -> Vec<&'static str> {
    let changes = [
        ("data_dir", started.data_dir != new.data_dir),
        ("database", started.database != new.database),
        ("redis", started.redis != new.redis),
        ("auth", for_good(&started.auth) != for_good(&new.auth)),
        ("log", started.log != new.log),
        ("tls", started.tls != new.tls),
        ("listen addresses", started.listen.listeners() != new.listen.listeners()),
        ("listen.workers", started.listen.workers != new.listen.workers),
        ("listen.replica_id", started.listen.replica_id != new.listen.replica_id),
        ("listen.connections_max", started.listen.connections_max != new.listen.connections_max),
        (
            "listen.connections_per_address_max",
            started.listen.connections_per_address_max != new.listen.connections_per_address_max,
        ),
    ];
    changes.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Without what a reload changes: signing keys, registration, sessions, how long the audit is kept.
fn for_good(auth: &Auth) -> Auth {
    let Auth { registration, audit_kept_days, sessions, .. } = Auth::default();
    Auth {
        jwt_secret: None,
        jwt_secret_previous: None,
        registration,
        audit_kept_days,
        sessions,
        ..auth.clone()
    }
}
