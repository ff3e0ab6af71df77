//! The gateway through its public door: the real router, on port 0, with real stores and a model
//! server that misbehaves on demand. One binary, so that it is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod aliases;
mod bad_input;
mod dialects;
mod fidelity;
mod forged_key;
mod framing;
mod hostile_upstream;
mod key_life;
mod keys;
mod keys_api;
mod lifecycle;
mod listener;
mod odd_values;
mod openapi;
mod refusing_to_start;
mod scripted_upstream;
mod secure;
mod sessions;
mod store;
mod streaming;
mod translated;
mod upstreams;
mod usage;
