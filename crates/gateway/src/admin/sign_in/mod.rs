//! Signing in and out: sessions are opened, refreshed, listed and ended here, and passwords set.

pub mod log_in;
pub mod log_out;
pub mod password;
pub mod refresh;
pub mod register;
pub mod sessions;
pub mod set_up;

mod door;
mod opening;
