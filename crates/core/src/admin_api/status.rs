//! What a gateway says about itself and its model servers.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// How something that the gateway leans on is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependency {
    Up,
    Down,
    /// Not set up.
    Off,
}

impl Dependency {
    #[must_use]
    pub const fn up(is_up: bool) -> Self {
        if is_up { Self::Up } else { Self::Down }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Off => "off",
        }
    }
}

/// `GET /readyz` on the admin and metrics listeners.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Readiness {
    pub ready: bool,
    /// The names of what fails.
    pub failing: Vec<String>,
    pub database: Dependency,
    pub redis: Dependency,
    /// Up where at least one has listed its models and may be tried.
    pub upstreams: Dependency,
    pub draining: bool,
}

impl Readiness {
    /// Ready where nothing is down and nothing ends.
    #[must_use]
    pub fn new(
        database: Dependency,
        redis: Dependency,
        upstreams: Dependency,
        draining: bool,
    ) -> Self {
        let named = [("database", database), ("redis", redis), ("upstreams", upstreams)];
        let failing: Vec<String> = named
            .into_iter()
            .filter(|(_, state)| *state == Dependency::Down)
            .map(|(name, _)| name.to_owned())
            .collect();
        Self {
            ready: failing.is_empty() && !draining,
            failing,
            database,
            redis,
            upstreams,
            draining,
        }
    }
}

/// `GET /admin/v1/status`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub replica: String,
    pub pid: u32,
    pub uptime_s: u64,
    pub readiness: Readiness,
    pub listeners: Vec<Listener>,
    pub connections: usize,
    /// Requests under way at upstreams.
    pub requests_in_flight: u64,
}

/// One of the bound addresses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listener {
    /// As in `ports.json`.
    pub name: String,
    pub address: SocketAddr,
}

/// One of the items of `GET /admin/v1/upstreams`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UpstreamStatus {
    pub name: String,
    /// Without its credentials.
    pub url: String,
    /// What it speaks; null until that is known.
    pub kind: Option<String>,
    /// Whether it may be tried now.
    pub up: bool,
    pub in_flight: u32,
    /// What it lists of the models that it may serve.
    pub models: Vec<String>,
}
