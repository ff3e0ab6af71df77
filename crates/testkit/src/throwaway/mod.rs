//! Servers of a test's own, made from the programs that are installed: on a free port, without
//! fsync, gone afterwards. They may be frozen, killed and started again without harming anybody.
//!
//! The calls block for a moment (a first start about a second): in async tests that is harmless,
//! but they don't belong on a hot path.

mod process;
mod programs;

pub mod postgres;
pub mod redis;

pub use postgres::Postgres;
pub use redis::Redis;

/// How often a start is tried: a port that was free may have been taken meanwhile.
const STARTS_MAX: usize = 5;
