//! The front of the gateway: sockets, limits on who may hold one, TLS, and the framing of HTTP.
//!
//! One acceptor per address deals accepted sockets to the data threads; from then on a connection
//! belongs to one thread until it ends. Nothing here knows keys, models or upstreams.

pub mod accepted;
pub mod acceptor;
pub mod connection;
pub mod deadline;
pub mod delivery;
pub mod forwarded;
pub mod framing;
pub mod header_block;
pub mod timed_io;
pub mod tls;

pub use accepted::Accepted;
pub use forwarded::ClientAddr;

/// What a listener serves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ListenerKind {
    /// The public API over TLS.
    PublicTls,
    /// The public API in clear text, behind a proxy that ends TLS.
    PublicClear,
    /// The web page and, from the same origin, the public API.
    Web,
    /// The admin API and our own API, for operators.
    Admin,
    /// Metrics and health.
    Metrics,
}

impl ListenerKind {
    /// Whether model traffic is served here.
    #[must_use]
    pub const fn serves_models(self) -> bool {
        matches!(self, Self::PublicTls | Self::PublicClear | Self::Web)
    }

    /// The name used in `ports.json` and in faults.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PublicTls => "https",
            Self::PublicClear => "http",
            Self::Web => "web",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }
}
