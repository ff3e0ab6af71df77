//! The contracts that every Fluxgate program shares: identities, subjects, refusals, usage,
//! configuration and the shapes of the internal API.
//!
//! This crate opens no socket and knows no web framework. It may be read without the others.

pub mod admin_api;
pub mod config;
pub mod glob;
pub mod ids;
pub mod limits;
mod object;
pub mod quota;
pub mod reason;
pub mod redis_keys;
pub mod secret;
pub mod subject;
pub mod text;
pub mod usage;

pub use ids::{AuditId, KeyId, LinkId, RequestId, SessionId, TeamId, UserId};
pub use quota::{Measure, QuotaScope};
pub use reason::Reason;
pub use secret::Secret;
pub use subject::Subject;
pub use usage::Usage;
