//! What tests lean on: a whole gateway in the test's own process, throwaway servers that may be
//! frozen and killed, a proxy that breaks connections on demand, and a client that shows what stood
//! on the wire. For development only.
//!
//! It panics where a test could only give up: the message says what is missing.

// A test can't go on without its server, so a panic is the right end.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod fault_proxy;
#[cfg(feature = "stack")]
pub mod stack;
pub mod throwaway;
pub mod wire;

#[cfg(feature = "stack")]
pub use stack::{Demo, Plan, TestStack};

use std::net::{Ipv4Addr, TcpListener};

/// A TCP port of 127.0.0.1 that nobody listened on a moment ago. Somebody else may take it before
/// it is used: who can should bind port 0 instead.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("the system gives a free port of 127.0.0.1")
        .port()
}
