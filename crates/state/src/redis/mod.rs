//! The state in Redis: each call is one script, so one round trip, on the clock of Redis alone.

mod connection;

use std::fmt::Display;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fluxgate_core::secret::SecretUrl;
use fluxgate_core::{QuotaScope, redis_keys};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, Script, ServerErrorKind, cmd};

use self::connection::Connection;
use crate::StateError;
use crate::lease::{Held, Lease, LeaseAsk, Return, Stamp, UNITS_MAX};
use crate::slots::HOLD_MS;
use crate::window::{BUCKET_MS, LEASE_MS, WINDOW_MS};

/// How long a call may take. A request waits for one at most; a Redis in the same place answers
/// within 1 ms.
pub const CALL_MAX: Duration = Duration::from_millis(25);

/// How long a window is kept after its last use, until all of it has left it.
const WINDOW_TTL_MS: u64 = 61_000;
const _: () = assert!(WINDOW_TTL_MS >= WINDOW_MS + LEASE_MS + BUCKET_MS);

static LEASE: LazyLock<Lua> =
    LazyLock::new(|| Lua::new(concat!(include_str!("window.lua"), include_str!("lease.lua"))));
static GIVE_BACK: LazyLock<Lua> =
    LazyLock::new(|| Lua::new(concat!(include_str!("window.lua"), include_str!("give_back.lua"))));
static HOLD: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("hold.lua")));

/// What both scripts of windows are told first.
const OF_WINDOWS: [u64; 5] = [WINDOW_MS, BUCKET_MS, LEASE_MS, WINDOW_TTL_MS, UNITS_MAX];

/// One replica's view of the state in Redis.
#[derive(Clone, Debug)]
pub struct RedisState {
    connection: Arc<Connection>,
    replica: Arc<str>,
}

/// A script and its name in Redis.
struct Lua {
    code: &'static str,
    hash: String,
}

impl RedisState {
    /// As [`State::redis`](crate::State::redis); a call may take `call_max`.
    ///
    /// # Errors
    /// Where the URL isn't one of Redis.
    pub async fn connect(
        url: &SecretUrl,
        replica: &str,
        call_max: Duration,
    ) -> Result<Self, StateError> {
        let connection = Connection::open(url, call_max).await.map_err(StateError::Refused)?;
        Ok(Self { connection: Arc::new(connection), replica: replica.into() })
    }

    pub(crate) fn is_available(&self) -> bool {
        self.connection.is_open()
    }

    pub(crate) async fn lease(
        &self,
        scope: &QuotaScope,
        asks: &[LeaseAsk],
    ) -> Result<Vec<Lease>, StateError> {
        let keys = asks.iter().map(|ask| redis_keys::quota_window(scope, ask.measure));
        let of_asks = asks.iter().flat_map(|ask| {
            let LeaseAsk { limit, want, at_least, .. } = ask.bounded();
            [limit, want, at_least]
        });
        let call = Call::new(keys, OF_WINDOWS.into_iter().chain(of_asks));
        let answers: Vec<(u64, u64, u64, i64)> = self.run(&LEASE, &call).await?;
        Ok(answers.into_iter().map(lease_of).collect())
    }

    pub(crate) async fn give_back(
        &self,
        scope: &QuotaScope,
        returns: &[Return],
    ) -> Result<(), StateError> {
        const MOST: i64 = UNITS_MAX.cast_signed();
        let keys = returns.iter().map(|back| redis_keys::quota_window(scope, back.measure));
        let constants = OF_WINDOWS.map(u64::cast_signed);
        let of_returns = returns
            .iter()
            .flat_map(|back| [back.stamp.0.cast_signed(), back.units.clamp(-MOST, MOST)]);
        let call = Call::new(keys, constants.into_iter().chain(of_returns));
        self.run(&GIVE_BACK, &call).await
    }

    pub(crate) async fn hold(
        &self,
        scope: &QuotaScope,
        limit: u32,
        want: u32,
    ) -> Result<Held, StateError> {
        let keys = [redis_keys::quota_slots(scope)].into_iter();
        let numbers = [u64::from(limit), u64::from(want), HOLD_MS].map(|number| number.to_string());
        let call = Call::new(keys, [self.replica.to_string()].into_iter().chain(numbers));
        let (granted, left) = self.run(&HOLD, &call).await?;
        Ok(Held { granted, left })
    }

    async fn run<T: FromRedisValue>(&self, lua: &Lua, call: &Call) -> Result<T, StateError> {
        self.connection.call(|mut commands| async move { lua.run(&mut commands, call).await }).await
    }
}

fn lease_of((granted, stamp, left, free_after_ms): (u64, u64, u64, i64)) -> Lease {
    let free_after = u64::try_from(free_after_ms).ok().map(Duration::from_millis);
    Lease { granted, stamp: Stamp(stamp), left, free_after }
}

/// What a script works on.
struct Call {
    keys: Vec<String>,
    arguments: Vec<String>,
}

impl Call {
    fn new(keys: impl Iterator<Item = String>, arguments: impl Iterator<Item: Display>) -> Self {
        let arguments = arguments.map(|argument| argument.to_string()).collect();
        Self { keys: keys.collect(), arguments }
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}

impl Lua {
    fn new(code: &'static str) -> Self {
        Self { code, hash: Script::new(code).get_hash().to_owned() }
    }

    /// By its name; where Redis doesn't know it (any more), by its text, from which Redis learns it.
    async fn run<T: FromRedisValue>(
        &self,
        commands: &mut MultiplexedConnection,
        call: &Call,
    ) -> Result<T, RedisError> {
        match call.command("EVALSHA", &self.hash).query_async(commands).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                call.command("EVAL", self.code).query_async(commands).await
            }
            other => other,
        }
    }
}
