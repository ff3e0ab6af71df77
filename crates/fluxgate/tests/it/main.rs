//! The `fluxgate` command through its only door: the real binary in a folder of its own, with
//! nothing of this process's environment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod command;
mod http;
mod model;
mod terminal;

mod administering;
mod configuring;
mod ending;
mod readiness;
mod refusing_to_start;
mod starting;
