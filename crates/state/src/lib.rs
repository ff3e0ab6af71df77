//! The state that replicas share: what each scope used in the last minute, and how many requests
//! it has under way. It lives in Redis, or in this process where there is but one.
//!
//! Both do the same, and one suite holds them to it. This crate knows no HTTP, no upstream and no
//! configuration; when to ask, how much to ask for and what to do without an answer is for whoever
//! asks.

mod in_process;
mod lease;
mod redis;
pub mod slots;
pub mod window;

use fluxgate_core::QuotaScope;
use fluxgate_core::secret::SecretUrl;
use thiserror::Error;

pub use self::in_process::InProcess;
pub use self::lease::{HOLD, Held, LEASE, Lease, LeaseAsk, Return, Stamp, UNITS_MAX};
pub use self::redis::{CALL_MAX, RedisState};

/// Where the shared state lives. Cloned cheaply; clones are the same state and the same replica.
#[derive(Clone, Debug)]
pub enum State {
    InProcess(InProcess),
    Redis(RedisState),
}

/// Why there is no answer. The state may have changed all the same: whatever was asked for counts
/// as granted there, and not as granted here.
#[derive(Debug, Error)]
pub enum StateError {
    /// Nothing was sent, or the connection was lost.
    #[error("Redis isn't available")]
    Unavailable,
    #[error("Redis didn't answer within {} ms", CALL_MAX.as_millis())]
    TimedOut,
    /// It answered, with an error.
    #[error("Redis refused")]
    Refused(#[source] ::redis::RedisError),
}

impl State {
    /// State of this process alone.
    #[must_use]
    pub fn in_process() -> Self {
        Self::InProcess(InProcess::default())
    }

    /// State in Redis, for one replica of many; its name must be its own. Waits for the first try
    /// to connect. Where Redis is away that is no error: it is tried again in the background, by a
    /// task on the runtime that this is called on.
    ///
    /// Its user there needs `+ping +eval +evalsha +time +hget +hmget +hgetall +hset +hdel +pexpire`
    /// on `~fluxgate:*`.
    ///
    /// # Errors
    /// Where the URL isn't one of Redis.
    pub async fn redis(url: &SecretUrl, replica: &str) -> Result<Self, StateError> {
        RedisState::connect(url, replica, CALL_MAX).await.map(Self::Redis)
    }

    /// Asks for units of one scope's windows: the answers stand in the order of the asks. Each is
    /// answered for itself: who needs all of them gives back what it got of the others.
    ///
    /// To be awaited to its end: what is granted to a call that was dropped counts for a window.
    ///
    /// # Errors
    /// [`StateError`]: nothing was granted.
    pub async fn lease(
        &self,
        scope: &QuotaScope,
        asks: &[LeaseAsk],
    ) -> Result<Vec<Lease>, StateError> {
        match self {
            Self::InProcess(state) => Ok(state.lease(scope, asks)),
            Self::Redis(state) => state.lease(scope, asks).await,
        }
    }

    /// Gives units back that a lease had and nobody used, or charges what was used beyond it. What
    /// has left the window is ignored.
    ///
    /// # Errors
    /// [`StateError`]. It may have been counted: units that weren't used mustn't be given back a
    /// second time (unused, they leave the window by themselves); a charge may be repeated.
    pub async fn give_back(
        &self,
        scope: &QuotaScope,
        returns: &[Return],
    ) -> Result<(), StateError> {
        match self {
            Self::InProcess(state) => {
                state.give_back(scope, returns);
                Ok(())
            }
            Self::Redis(state) => state.give_back(scope, returns).await,
        }
    }

    /// Holds up to `want` slots of a scope for this replica, for [`HOLD`], instead of what it held
    /// before: 0 gives all back. To be called again before they lapse.
    ///
    /// # Errors
    /// [`StateError`]: what was held before may be held on until it lapses.
    pub async fn hold(
        &self,
        scope: &QuotaScope,
        limit: u32,
        want: u32,
    ) -> Result<Held, StateError> {
        match self {
            Self::InProcess(state) => Ok(state.hold(scope, limit, want)),
            Self::Redis(state) => state.hold(scope, limit, want).await,
        }
    }

    /// Whether calls are tried at all; where not, they fail at once.
    #[must_use]
    pub fn is_available(&self) -> bool {
        match self {
            Self::InProcess(_) => true,
            Self::Redis(state) => state.is_available(),
        }
    }
}
