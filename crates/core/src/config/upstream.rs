//! The `[[upstreams]]` entries: the model servers, and the names of those that were given as plain
//! URLs.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::format::NAME_BYTES_MAX;
use super::{duration, format};
use crate::secret::Secret;

/// A model server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Its name in metrics, logs and commands; no other upstream has it.
    #[schemars(with = "format::Name")]
    pub name: String,
    /// Its base URL, with the path before `/v1` or `/api` if it has one.
    #[schemars(with = "format::BaseUrl")]
    pub url: Url,
    /// The dialect that it speaks; "auto" asks it.
    #[serde(default)]
    pub kind: UpstreamKind,
    /// Our credential there.
    #[serde(default)]
    #[schemars(with = "Option<format::Token>", length(min = 1, max = 4096))]
    pub api_key: Option<Secret>,
    /// Globs of the models that it serves; empty: all that it lists.
    #[serde(default)]
    #[schemars(
        with = "Vec<format::ModelGlob>",
        length(max = 256),
        inner(length(min = 1, max = 256))
    )]
    pub models: Vec<String>,
    /// Whether it may be asked to report a stream's usage.
    #[serde(default = "yes")]
    pub stream_usage: bool,
    /// Whether it takes members of a request's body that OpenAI's API doesn't name, such as
    /// `top_k`. After a 400 or 422 that names one the gateway leaves them out by itself.
    #[serde(default = "yes")]
    pub extra_fields: bool,
    /// How long a running answer may bring nothing.
    #[serde(rename = "idle_s", with = "duration", default = "idle_default")]
    #[schemars(with = "u64", range(min = 1, max = 3600))]
    pub idle: Duration,
    #[serde(default)]
    pub timeouts: Timeouts,
}

const fn yes() -> bool {
    true
}

const fn idle_default() -> Duration {
    Duration::from_secs(300)
}

/// The dialect of a model server.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamKind {
    OpenAi,
    Anthropic,
    Ollama,
    #[default]
    Auto,
}

/// How long the steps of a request to a model server may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until it is connected, TLS included.
    #[serde(rename = "connect_s", with = "duration")]
    #[schemars(with = "u64", range(min = 1, max = 300))]
    pub connect: Duration,
    /// Until the answer's first byte; a model may have to be loaded first.
    #[serde(rename = "first_byte_s", with = "duration")]
    #[schemars(with = "u64", range(min = 1, max = 86_400))]
    pub first_byte: Duration,
    /// The whole request, its answer included.
    #[serde(rename = "request_s", with = "duration")]
    #[schemars(with = "u64", range(min = 1, max = 86_400))]
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(600),
            request: Duration::from_secs(3600),
        }
    }
}

/// See [`super::Config::effective_upstreams`].
pub(super) fn with_plain_urls(upstreams: &[Upstream], urls: &[Url]) -> Vec<Upstream> {
    let mut all = upstreams.to_vec();
    for url in urls {
        if !all.iter().any(|known| same_base(&known.url, url)) {
            let name = free_name(&all, url);
            all.push(plain(name, url.clone()));
        }
    }
    all
}

fn plain(name: String, url: Url) -> Upstream {
    Upstream {
        name,
        url,
        kind: UpstreamKind::Auto,
        api_key: None,
        models: Vec::new(),
        stream_usage: yes(),
        extra_fields: yes(),
        idle: idle_default(),
        timeouts: Timeouts::default(),
    }
}

/// `http://host/v1` and `http://host/v1/` are one place.
fn same_base(one: &Url, other: &Url) -> bool {
    one.as_str().trim_end_matches('/') == other.as_str().trim_end_matches('/')
}

/// A name from host and port, with a number behind it where it is taken (two paths on one host).
fn free_name(taken: &[Upstream], url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let base: String = format!("{}-{port}", host.trim_matches(['[', ']']))
        .chars()
        .map(|c| if format::is_name_char(c) { c } else { '-' })
        .collect();
    // Room for the number; a host name may be longer than a name. It is ASCII by now.
    let base = base.get(..NAME_BYTES_MAX - 4).unwrap_or(&base);
    let mut name = base.to_owned();
    let mut number = 2;
    while taken.iter().any(|upstream| upstream.name == name) {
        name = format!("{base}-{number}");
        number += 1;
    }
    name
}
