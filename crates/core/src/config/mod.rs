//! Configuration: what can be set, and how it is read: defaults, then the file, then the
//! environment, then flags. Every fault is found in one go and named with the layer it came from.
//!
//! Reading order: [`Config`] and its sections say what there is; [`load`] how it is found.
//! The sections' JSON Schema is the one table of names, types, ranges and defaults: faults,
//! conversions of environment strings and the published schema all come from it.
//! Nothing here binds, connects or looks at certificate files.

mod auth;
mod listen;
mod log;
mod models;
mod store;
mod upstream;

mod load;

mod check;
mod duration;
mod environment;
mod fault;
mod file;
mod flags;
mod format;
mod layer;
mod leaf;
mod leaves;
mod path;
mod reading;
mod rules;
mod shape;
mod show;
mod suggestion;
mod variable;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

pub use auth::{Argon2, Auth, Registration, Sessions};
pub use fault::{Fault, Faults};
pub use layer::{Layer, Origins, Sources};
pub use listen::{Listen, Tls};
pub use load::{Loaded, Program, load};
pub use log::{Log, LogFormat};
pub use models::{MaxTokensField, ModelSettings, Models, sent_as};
pub use shape::schema;
pub use show::{Row, Shown};
pub use store::{Database, Pooler, Redis};
pub use upstream::{Timeouts, Upstream, UpstreamKind};
pub use variable::{VARIABLES, Variable};

/// Everything that can be set.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Fluxgate configuration")]
pub struct Config {
    /// The folder of the embedded stores, the self-signed certificate, made secrets and ports.json.
    #[schemars(length(min = 1))]
    pub data_dir: PathBuf,
    /// Base URLs of model servers whose kind is found out by asking them. A server that needs a
    /// credential is an `[[upstreams]]` entry instead.
    #[schemars(with = "Vec<format::BaseUrl>", length(max = 64))]
    pub downstream_ai_urls: Vec<Url>,
    /// The admin listeners that the `fluxgate` command talks to.
    #[schemars(with = "Vec<format::BaseUrl>", length(max = 64))]
    pub admin_urls: Vec<Url>,
    pub listen: Listen,
    pub tls: Tls,
    pub database: Database,
    pub redis: Redis,
    pub auth: Auth,
    pub log: Log,
    /// The model servers.
    #[schemars(length(max = 256))]
    pub upstreams: Vec<Upstream>,
    /// What is known of models, by globs of their names. Of those that match a name the one with
    /// the longest text before its first wildcard counts, then the first in the alphabet.
    #[schemars(extend("maxProperties" = 1024, "propertyNames" = format::model_glob()))]
    pub models: Models,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(".fluxgate"),
            downstream_ai_urls: Vec::new(),
            admin_urls: Vec::new(),
            listen: Listen::default(),
            tls: Tls::default(),
            database: Database::default(),
            redis: Redis::default(),
            auth: Auth::default(),
            log: Log::default(),
            upstreams: Vec::new(),
            models: Models::new(),
        }
    }
}

impl Config {
    /// The `[[upstreams]]` entries, then one for each of `downstream_ai_urls` that none of them
    /// has, named after its host and port.
    #[must_use]
    pub fn effective_upstreams(&self) -> Vec<Upstream> {
        upstream::with_plain_urls(&self.upstreams, &self.downstream_ai_urls)
    }
}
