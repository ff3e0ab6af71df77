//! Our own API and what operators look at: keys, setting up, health, status, the page. axum serves
//! it on the control runtime; `router` lists its routes.
//!
//! It must not know how a model request is served: it changes what the stores and the shared
//! directories hold.

pub mod keys;
pub mod setup;
pub mod users;

pub mod health;
pub mod page;
pub mod status;

pub mod token;

mod idempotency;
mod json_body;
mod list_query;
mod origin;
pub mod problem;
