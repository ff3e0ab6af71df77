//! Whether Redis answers: it is asked once a second, on a connection of its own, so that a frozen
//! one is noticed too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fluxgate_core::secret::SecretUrl;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tracing::{info, warn};

/// How often Redis is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long it may take to connect and answer. With [`ASK_EVERY`] a Redis that freezes right after
/// an answer is noticed within 2 s.
const ANSWER_MAX: Duration = Duration::from_millis(800);

/// Whether Redis answered the last time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RedisState {
    Up,
    Down,
}

/// Watches one Redis until it is dropped.
#[derive(Debug)]
pub struct RedisProbe {
    up: Arc<AtomicBool>,
    task: AbortHandle,
}

#[derive(Debug, Error)]
enum PingError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer within {} ms", ANSWER_MAX.as_millis())]
    Silent,
}

impl RedisProbe {
    /// Starts to watch. Until the first answer came it counts as down.
    #[must_use]
    pub fn start(url: &SecretUrl, control: &Handle) -> Self {
        let up = Arc::new(AtomicBool::new(false));
        let task = control.spawn(watch(url.clone(), Arc::clone(&up))).abort_handle();
        Self { up, task }
    }

    /// What the last question found.
    #[must_use]
    pub fn state(&self) -> RedisState {
        if self.up.load(Ordering::Relaxed) { RedisState::Up } else { RedisState::Down }
    }
}

impl Drop for RedisProbe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(url: SecretUrl, up: Arc<AtomicBool>) {
    let mut tick = interval_at(Instant::now(), ASK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    // A change is told once, and so is the first answer.
    let mut told = None;
    loop {
        tick.tick().await;
        let answer = match timeout(ANSWER_MAX, ping(&url, &mut connection)).await {
            Ok(answer) => answer.map_err(PingError::from),
            Err(_) => Err(PingError::Silent),
        };
        up.store(answer.is_ok(), Ordering::Relaxed);
        if told == Some(answer.is_ok()) {
            continue;
        }
        told = Some(answer.is_ok());
        match answer {
            Ok(()) => info!(redis = %url, "Redis answers"),
            Err(error) => warn!(redis = %url, %error, "Redis doesn't answer"),
        }
    }
}

/// Asks on the connection at hand, else on a new one; one that failed isn't used again.
async fn ping(
    url: &SecretUrl,
    connection: &mut Option<MultiplexedConnection>,
) -> Result<(), RedisError> {
    // Taken out: where the answer is too late, the connection is dropped with this call.
    let mut used = match connection.take() {
        Some(open) => open,
        None => connect(url).await?,
    };
    redis::cmd("PING").query_async::<()>(&mut used).await?;
    *connection = Some(used);
    Ok(())
}

async fn connect(url: &SecretUrl) -> Result<MultiplexedConnection, RedisError> {
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_MAX))
        .set_response_timeout(Some(ANSWER_MAX));
    Client::open(url.expose())?.get_multiplexed_async_connection_with_config(&limits).await
}
