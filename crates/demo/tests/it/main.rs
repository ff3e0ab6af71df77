//! The demo model through a real socket. One binary, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod anthropic;
mod behaviours;
mod lifecycle;
mod named_events;
mod ollama;
mod openai;
mod responses;
mod support;
