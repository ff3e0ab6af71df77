//! The one connection to Redis and the circuit breaker in front of it. While the breaker is open
//! nothing is sent but what one task in the background tries: a dead Redis keeps nobody waiting, and a
//! frozen one only the first few, for as long as one call may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use fluxgate_core::secret::SecretUrl;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind, cmd};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use crate::StateError;

/// Calls in a row without an answer that open the breaker: one may be a hiccup.
const SILENT_MAX: u32 = 3;
/// How often Redis is asked whether it is there: an idle connection tells nothing, and a frozen
/// Redis is noticed within [`SILENT_MAX`] times this though nobody calls.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long connecting and the first answer may take, TLS and a log-in included.
const CONNECT_MAX: Duration = Duration::from_millis(800);
/// Calls under way at once; others wait, within the time that they have. At 25 ms each it is far
/// beyond what one core of Redis answers.
const CALLS_MAX: usize = 1_024;

/// Closed when dropped.
#[derive(Debug)]
pub(super) struct Connection {
    breaker: Arc<Breaker>,
    call_max: Duration,
    task: AbortHandle,
}

#[derive(Default, Debug)]
struct Breaker {
    /// None while it is open.
    current: ArcSwapOption<Line>,
    opened: Notify,
    /// The first try is over, whatever came of it.
    tried: Notify,
}

/// One connection, from when it answered until it is given up.
#[derive(Debug)]
struct Line {
    commands: MultiplexedConnection,
    /// Calls in a row that nothing came back from.
    silent: AtomicU32,
}

/// Why a call has no result.
enum Failure {
    /// Time went by.
    Silent,
    /// The connection is of no use any more.
    Lost(RedisError),
    Answered(RedisError),
}

impl Connection {
    pub async fn open(url: &SecretUrl, call_max: Duration) -> Result<Self, RedisError> {
        let client = Client::open(url.expose())?;
        let breaker = Arc::new(Breaker::default());
        let watch = watch(client, url.clone(), Arc::clone(&breaker), call_max);
        let task = tokio::spawn(watch).abort_handle();
        let connection = Self { breaker, call_max, task };
        connection.breaker.tried.notified().await;
        Ok(connection)
    }

    pub fn is_open(&self) -> bool {
        self.breaker.current.load().is_some()
    }

    /// Sends something, where Redis is there.
    pub async fn call<T, F>(
        &self,
        send: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, StateError>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let line = self.breaker.current.load_full().ok_or(StateError::Unavailable)?;
        let outcome = line.call(self.call_max, send).await;
        if let Err(failure) = &outcome {
            self.breaker.judge(&line, failure);
        }
        outcome.map_err(StateError::from)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    async fn call<T, F>(
        &self,
        call_max: Duration,
        send: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        match timeout(call_max, send(self.commands.clone())).await {
            Err(_) => Err(Failure::Silent),
            Ok(Err(error)) if is_lost(&error) => Err(Failure::Lost(error)),
            Ok(answer) => {
                // A refusal is an answer too, and a quick one.
                self.silent.store(0, Ordering::Relaxed);
                answer.map_err(Failure::Answered)
            }
        }
    }
}

impl Breaker {
    /// Opens where a failure says that the next call would fare no better.
    fn judge(&self, line: &Arc<Line>, failure: &Failure) {
        match failure {
            Failure::Answered(_) => {}
            Failure::Silent => {
                let silent = line.silent.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                if silent >= SILENT_MAX && self.open(line) {
                    warn!(calls = silent, "Redis doesn't answer: going on without it");
                }
            }
            Failure::Lost(error) => {
                if self.open(line) {
                    warn!(%error, "lost the connection to Redis: going on without it");
                }
            }
        }
    }

    /// Whether this opened it: a late failure of an older connection says nothing about this one.
    fn open(&self, line: &Arc<Line>) -> bool {
        let before = self.current.compare_and_swap(line, None);
        let opened = before.as_ref().is_some_and(|before| Arc::ptr_eq(before, line));
        if opened {
            self.opened.notify_one();
        }
        opened
    }

    fn is_on(&self, line: &Arc<Line>) -> bool {
        self.current.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, line))
    }
}

impl From<Failure> for StateError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Silent => Self::TimedOut,
            // Its cause stands in the log, where the breaker opened.
            Failure::Lost(_) => Self::Unavailable,
            Failure::Answered(error) => Self::Refused(error),
        }
    }
}

/// Whether the next call needs another connection. A server that takes no writes is no longer the
/// one to talk to: after a fail-over its name leads elsewhere.
fn is_lost(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Connects, closes the breaker, waits until it opens, and again.
async fn watch(client: Client, url: SecretUrl, breaker: Arc<Breaker>, call_max: Duration) {
    // A fault is told once, however often it is tried again.
    let mut told = false;
    loop {
        let again_at = Instant::now() + ASK_EVERY;
        match connect(&client).await {
            Ok(line) => {
                info!(redis = %url, "Redis answers");
                let line = Arc::new(line);
                breaker.current.store(Some(Arc::clone(&line)));
                breaker.tried.notify_one();
                attend(&line, &breaker, call_max).await;
                told = true;
            }
            Err(failure) => {
                if !told {
                    let error = StateError::from(failure);
                    warn!(redis = %url, %error, "no connection to Redis: going on without it");
                }
                told = true;
                breaker.tried.notify_one();
            }
        }
        sleep_until(again_at).await;
    }
}

/// Asks each [`ASK_EVERY`] whether Redis is there, until the breaker opens.
async fn attend(line: &Arc<Line>, breaker: &Breaker, call_max: Duration) {
    while breaker.is_on(line) {
        if timeout(ASK_EVERY, breaker.opened.notified()).await.is_ok() {
            continue;
        }
        if let Err(failure) = line.call(call_max, ping).await {
            breaker.judge(line, &failure);
        }
    }
}

async fn connect(client: &Client) -> Result<Line, Failure> {
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_MAX))
        // Each call has a limit of its own.
        .set_response_timeout(None)
        .set_concurrency_limit(CALLS_MAX);
    let connect = async {
        let commands = client.get_multiplexed_async_connection_with_config(&limits).await?;
        // One that loads its data, or wants another password, isn't there yet.
        ping(commands.clone()).await?;
        Ok(Line { commands, silent: AtomicU32::new(0) })
    };
    match timeout(CONNECT_MAX, connect).await {
        Ok(connected) => connected.map_err(Failure::Answered),
        Err(_) => Err(Failure::Silent),
    }
}

async fn ping(mut commands: MultiplexedConnection) -> Result<(), RedisError> {
    cmd("PING").query_async(&mut commands).await
}
