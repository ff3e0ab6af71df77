//! The model servers behind us: which there are, what each offers, how it is, and the connections
//! to it. Nothing here knows keys or clients.

pub mod catalog;
pub mod dial;
pub mod directory;
pub mod discovery;
pub mod http1;
pub mod pool;
mod unacked;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fluxgate_core::{Secret, glob};
use http::header::{AUTHORIZATION, InvalidHeaderValue};
use http::{HeaderName, HeaderValue};
use rustls::pki_types::ServerName;
use thiserror::Error;
use url::Url;

/// What a model server speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    OpenAi,
    Anthropic,
    Ollama,
}

impl Kind {
    const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Ollama];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
        }
    }
}

/// Routes that servers of a kind may have or not; whether one has is learned by asking it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OptionalRoute {
    Responses,
    Messages,
    CountTokens,
}

impl OptionalRoute {
    const COUNT: usize = 3;
}

/// How an upstream is set up.
#[derive(Clone, PartialEq, Debug)]
pub struct UpstreamSettings {
    pub name: Arc<str>,
    pub url: Url,
    /// `None`: it is found out.
    pub kind: Option<Kind>,
    pub api_key: Option<Secret>,
    /// Globs of the models that it may serve; none: all that it lists.
    pub models: Vec<String>,
    pub stream_usage: bool,
    pub extra_fields: bool,
    pub connect: Duration,
    pub first_byte: Duration,
    pub idle: Duration,
    pub request: Duration,
}

/// A model server. Shared by all threads: what changes is an atomic.
#[derive(Debug)]
pub struct Upstream {
    /// Unlike any other upstream's of this process, also after a reload.
    pub serial: u64,
    pub settings: UpstreamSettings,
    pub target: Target,
    /// Its name, as answers tell it.
    pub name_header: HeaderValue,
    /// The `Host` that it is asked under.
    pub host: HeaderValue,
    /// The path in front of every route, without the slash at its end.
    pub base_path: Box<str>,
    /// Our own credential there, in each of the two ways to show it.
    credential: Option<Credential>,
    /// What it speaks, once known: an index into [`Kind::ALL`] plus one, or 0.
    kind: AtomicU8,
    /// It refused to be asked for a stream's usage; remembered until it is set up anew.
    refuses_stream_usage: AtomicBool,
    /// Milliseconds of the process's clock until which it gets no members beyond OpenAI's API: it
    /// refused one.
    no_extras_until_ms: AtomicU64,
    /// Milliseconds of the process's clock until which an optional route isn't tried there.
    not_offered_until_ms: [AtomicU64; OptionalRoute::COUNT],
    in_flight: AtomicU32,
    /// Whether it answered the last time it was asked.
    up: AtomicBool,
}

/// What is dialled.
#[derive(Clone, Debug)]
pub struct Target {
    pub host: Box<str>,
    pub port: u16,
    pub tls: Option<ServerName<'static>>,
}

/// What an upstream turned out not to have, a route or members of a request, is tried again after
/// this long: it may have been updated.
const NOT_OFFERED_FOR: Duration = Duration::from_secs(600);
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// An upstream's address that can't be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("upstream {name}: {what}")]
pub struct UnusableUpstream {
    pub name: Arc<str>,
    pub what: &'static str,
}

impl Upstream {
    /// # Errors
    /// [`UnusableUpstream`] where the address isn't an `http` or `https` one with a host, or the
    /// credential can't stand in a header.
    pub fn new(serial: u64, settings: UpstreamSettings) -> Result<Self, UnusableUpstream> {
        let name = Arc::clone(&settings.name);
        let unusable = |what| UnusableUpstream { name: Arc::clone(&name), what };
        let url = &settings.url;
        let host = url.host_str().ok_or_else(|| unusable("the URL has no host"))?;
        let port = url
            .port_or_known_default()
            .ok_or_else(|| unusable("the URL must begin with http:// or https://"))?;
        let bare_host = host.trim_start_matches('[').trim_end_matches(']');
        let tls = match url.scheme() {
            "https" => Some(
                ServerName::try_from(bare_host.to_owned())
                    .map_err(|_| unusable("the host isn't a name that TLS can check"))?,
            ),
            _ => None,
        };
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let credential = settings
            .api_key
            .as_ref()
            .map(Credential::new)
            .transpose()
            .map_err(|_| unusable("api_key holds a character that no header may hold"))?;
        let path = url.path().trim_end_matches('/');
        Ok(Self {
            serial,
            name_header: HeaderValue::from_str(&settings.name)
                .map_err(|_| unusable("the name can't stand in a header"))?,
            target: Target { host: bare_host.into(), port, tls },
            host: HeaderValue::try_from(authority)
                .map_err(|_| unusable("the host can't stand in a header"))?,
            // `http://host/v1` is how OpenAI's clients write the same server.
            base_path: path.strip_suffix("/v1").unwrap_or(path).into(),
            credential,
            kind: AtomicU8::new(settings.kind.map_or(0, |kind| kind as u8 + 1)),
            refuses_stream_usage: AtomicBool::new(!settings.stream_usage),
            no_extras_until_ms: AtomicU64::new(0),
            not_offered_until_ms: std::array::from_fn(|_| AtomicU64::new(0)),
            in_flight: AtomicU32::new(0),
            up: AtomicBool::new(true),
            settings,
        })
    }

    /// What it speaks; `None` until it was set or found out.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let known = usize::from(self.kind.load(Ordering::Relaxed));
        Kind::ALL.get(known.checked_sub(1)?).copied()
    }

    /// It was found out what it speaks.
    pub fn found_kind(&self, kind: Kind) {
        self.kind.store(kind as u8 + 1, Ordering::Relaxed);
    }

    /// Our credential there as its kind takes it: header and value.
    #[must_use]
    pub fn credential(&self) -> Option<(HeaderName, &HeaderValue)> {
        let credential = self.credential.as_ref()?;
        Some(match self.kind() {
            Some(Kind::Anthropic) => (API_KEY, &credential.bare),
            Some(Kind::OpenAi | Kind::Ollama) | None => (AUTHORIZATION, &credential.bearer),
        })
    }

    /// Whether it is worth asking for an optional route.
    #[must_use]
    pub fn may_offer(&self, route: OptionalRoute, now: Instant) -> bool {
        self.not_offered_until_ms
            .get(route as usize)
            .is_none_or(|until| until.load(Ordering::Relaxed) <= process_ms(now))
    }

    /// It answered that it doesn't have the route.
    pub fn offers_not(&self, route: OptionalRoute, now: Instant) {
        if let Some(until) = self.not_offered_until_ms.get(route as usize) {
            until.store(process_ms(now + NOT_OFFERED_FOR), Ordering::Relaxed);
        }
    }

    /// Requests under way there, over all threads.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it may serve a model of this name.
    #[must_use]
    pub fn serves(&self, model: &str) -> bool {
        let globs = &self.settings.models;
        globs.is_empty() || globs.iter().any(|glob| glob::matches(glob, model))
    }

    /// Counts a request as under way until the guard is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Whether streams may be asked for their usage.
    #[must_use]
    pub fn takes_stream_usage(&self) -> bool {
        !self.refuses_stream_usage.load(Ordering::Relaxed)
    }

    /// It answered that it doesn't know the field.
    pub fn refuse_stream_usage(&self) {
        self.refuses_stream_usage.store(true, Ordering::Relaxed);
    }

    /// Whether requests to it may hold members that OpenAI's API doesn't have.
    #[must_use]
    pub fn takes_extra_fields(&self, now: Instant) -> bool {
        self.settings.extra_fields
            && self.no_extras_until_ms.load(Ordering::Relaxed) <= process_ms(now)
    }

    /// It answered that it doesn't know one of them.
    pub fn refuse_extra_fields(&self, now: Instant) {
        self.no_extras_until_ms.store(process_ms(now + NOT_OFFERED_FOR), Ordering::Relaxed);
    }

    /// Whether it answered the last time it was asked. Others are preferred to one that didn't,
    /// until a reading of its listing or a request reaches it again.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// It can't be reached, or is silent. `true` for the first failure in a row.
    pub fn failed(&self) -> bool {
        self.up.swap(false, Ordering::Relaxed)
    }

    /// It answered.
    pub fn answered(&self) {
        if !self.is_up() {
            self.up.store(true, Ordering::Relaxed);
        }
    }
}

/// A provider's key: `Authorization: Bearer …` for most, `x-api-key: …` for Anthropic.
#[derive(Debug)]
struct Credential {
    bearer: HeaderValue,
    bare: HeaderValue,
}

impl Credential {
    fn new(key: &Secret) -> Result<Self, InvalidHeaderValue> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()))?;
        let mut bare = HeaderValue::try_from(key.expose())?;
        bearer.set_sensitive(true);
        bare.set_sensitive(true);
        Ok(Self { bearer, bare })
    }
}

/// A request under way at an upstream.
#[derive(Debug)]
pub struct InFlight(Arc<Upstream>);

impl InFlight {
    #[must_use]
    pub fn upstream_name(&self) -> Arc<str> {
        Arc::clone(&self.0.settings.name)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Milliseconds since the first call in this process: an `Instant` that fits an atomic.
fn process_ms(now: Instant) -> u64 {
    use std::sync::LazyLock;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    now.saturating_duration_since(*START).as_millis() as u64 + 1
}
