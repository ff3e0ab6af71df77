//! The listeners' section: addresses, and the limits of connections and bodies.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{duration, format};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Where we listen, and what a connection may cost us.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// The public API over TLS, or "off". `fluxgate up`: 127.0.0.1:8443.
    #[serde(with = "format::listen_address")]
    #[schemars(with = "format::ListenAddress")]
    pub https: Option<SocketAddr>,
    /// The public API in clear, for a proxy in front that ends TLS, or "off".
    #[serde(with = "format::listen_address")]
    #[schemars(with = "format::ListenAddress")]
    pub http: Option<SocketAddr>,
    /// The admin API, or "off". Beyond loopback it needs a given admin token, and belongs on a
    /// private network.
    #[serde(with = "format::listen_address")]
    #[schemars(with = "format::ListenAddress")]
    pub admin: Option<SocketAddr>,
    /// Prometheus metrics and health, or "off".
    #[serde(with = "format::listen_address")]
    #[schemars(with = "format::ListenAddress")]
    pub metrics: Option<SocketAddr>,
    /// The web page with the public API beside it, or "off". `fluxgate up`: 127.0.0.1:3000.
    #[serde(with = "format::listen_address")]
    #[schemars(with = "format::ListenAddress")]
    pub web: Option<SocketAddr>,
    /// The origin under which people reach us where a proxy stands in front; compared with
    /// `Origin`, used in links.
    #[schemars(with = "Option<format::Origin>")]
    pub public_url: Option<Url>,
    /// The networks of proxies whose `X-Forwarded-For` is believed, counted from the right.
    #[schemars(with = "Vec<format::Cidr>", length(max = 256))]
    pub trusted_proxies: Vec<IpNet>,
    /// Data threads; not set: one for each core.
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<NonZeroUsize>,
    /// This replica's name; not set: made from host and process.
    #[schemars(with = "Option<format::Name>")]
    pub replica_id: Option<String>,
    /// A TLS handshake takes at most this long.
    #[serde(rename = "handshake_s", with = "duration")]
    #[schemars(with = "u64", range(min = 1, max = 300))]
    pub handshake: Duration,
    /// The first byte of a new connection's first request comes within this time.
    #[serde(rename = "first_byte_s", with = "duration")]
    #[schemars(with = "u64", range(min = 1, max = 300))]
    pub first_byte: Duration,
    /// A request's header is complete within this time, even where it drips.
    #[serde(rename = "header_s", with = "duration")]
    #[schemars(with = "u64", range(min = 1, max = 300))]
    pub header: Duration,
    /// How long a connection is kept between two requests.
    #[serde(rename = "idle_s", with = "duration")]
    #[schemars(with = "u64", range(min = 1, max = 3600))]
    pub idle: Duration,
    /// How long a request's body may bring nothing.
    #[serde(rename = "body_stall_s", with = "duration")]
    #[schemars(with = "u64", range(min = 1, max = 3600))]
    pub body_stall: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    #[serde(rename = "answer_stall_s", with = "duration")]
    #[schemars(with = "u64", range(min = 1, max = 86_400))]
    pub answer_stall: Duration,
    /// How long running requests have to end when the program stops.
    #[serde(rename = "drain_s", with = "duration")]
    #[schemars(with = "u64", range(min = 0, max = 3600))]
    pub drain: Duration,
    /// A request's header block.
    // hyper refuses to work with less than 8 KiB.
    #[schemars(with = "format::ByteSize", range(min = 8192, max = 1_048_576))]
    pub header_bytes_max: usize,
    /// A request's body.
    #[schemars(with = "format::ByteSize", range(min = 1024, max = 4_294_967_296_u64))]
    pub body_bytes_max: usize,
    /// All requests' bodies held at one time; beyond it: 503.
    #[schemars(with = "format::ByteSize", range(min = 1024, max = 1_099_511_627_776_u64))]
    pub bodies_in_flight_bytes_max: usize,
    /// Open connections, over all public listeners.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,
    /// Open connections from one address.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address_max: usize,
    /// Open streams on one HTTP/2 connection.
    #[schemars(range(min = 1, max = 10_000))]
    pub h2_streams_max: u32,
}

impl Listen {
    /// The listeners with their names, in the order of the struct.
    #[must_use]
    pub const fn listeners(&self) -> [(&'static str, Option<SocketAddr>); 5] {
        [
            ("https", self.https),
            ("http", self.http),
            ("admin", self.admin),
            ("metrics", self.metrics),
            ("web", self.web),
        ]
    }
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Self {
            https: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443))),
            http: None,
            admin: loopback(9901),
            metrics: loopback(9464),
            web: None,
            public_url: None,
            trusted_proxies: Vec::new(),
            workers: None,
            replica_id: None,
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_stall: Duration::from_secs(15),
            answer_stall: Duration::from_secs(300),
            drain: Duration::from_secs(30),
            header_bytes_max: 32 * KIB,
            body_bytes_max: 32 * MIB,
            bodies_in_flight_bytes_max: 512 * MIB,
            connections_max: 65_536,
            connections_per_address_max: 8_192,
            h2_streams_max: 100,
        }
    }
}

/// The certificate of the TLS listener: both paths or neither. Without them a self-signed one is
/// made once, in the data folder.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The certificate chain, PEM.
    #[schemars(length(min = 1))]
    pub cert_path: Option<PathBuf>,
    /// Its private key, PEM.
    #[schemars(length(min = 1))]
    pub key_path: Option<PathBuf>,
}
