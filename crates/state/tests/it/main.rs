//! The shared state through its public door: one suite on both implementations, and what Redis alone
//! can do to us. One binary, so that it is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod outage;
mod place;
mod raw;
mod suite;
mod twin;
