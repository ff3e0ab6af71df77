//! Our own API and what operators look at: signing in, keys, people, health, status, the page. axum serves
//! it on the control runtime; `router` lists its routes.
//!
//! It must not know how a model request is served: it changes what the stores and the shared
//! directories hold.

pub mod sign_in;

pub mod audit;
pub mod invites;
pub mod keys;
pub mod teams;
pub mod usage;
pub mod users;

pub mod health;
pub mod openapi;
pub mod page;
pub mod status;

pub mod actor;
pub mod attempts;
pub mod token;

mod given;
mod idempotency;
mod json_body;
mod links;
mod list_query;
mod names;
mod path_id;
pub mod privacy;
pub mod problem;
mod refusals;
mod times;

/// Of a second, in the stores: an answer says what a later one will.
const STORED_DIGITS: u16 = 6;
