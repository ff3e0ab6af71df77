//! The data plane: it identifies callers, forwards their requests to model servers, streams the
//! answers and keeps account of what was used.
//!
//! Reading order: `router` (what there is), `middleware` (what every request passes), `proxy` (what
//! becomes of a model request), then the rooms that it leans on.
//!
//! It must not know the guard: nothing here waits for it or calls it.

pub mod app;
pub mod router;

mod middleware;
mod proxy;
mod refusal;

mod auth;
mod dialect;
mod exchange;
mod header_policy;
mod listen;
mod upstream;

mod admin;
mod metrics;
mod record;
mod redis;
pub mod store;

mod changes;
mod config;
mod expired;
mod reload;
mod start;
mod worker;

pub mod data_folder;
pub mod first_start;
pub mod log;

/// What the benchmarks of this crate measure, and nobody else uses.
#[doc(hidden)]
pub mod benched {
    pub use crate::auth::access_token::AccessTokens;
    pub use crate::auth::api_key::NewKey;
    pub use crate::auth::cache::PrincipalCache;
    pub use crate::auth::directory::PrincipalDirectory;
    pub use crate::auth::identify;
    pub use crate::listen::ClientAddr;
}

pub use app::SharedApp;
pub use auth::password;
pub use listen::ListenerKind;
pub use reload::ReadAgain;
pub use start::{Running, Setup, StartError, start};
