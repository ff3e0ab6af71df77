//! The listeners: TLS and the protocols on it, how long a connection may keep us waiting, how many
//! there may be, and what one connection may do.

mod counts;
mod http2;
mod latency;
mod readers;
mod tls;
mod waits;
