//! Where the state of a test lives.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fluxgate_core::{Measure, QuotaScope};
use fluxgate_state::{InProcess, LeaseAsk, RedisState, State};
use fluxgate_testkit::throwaway::Redis;

/// What a call may take where a test isn't about that: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(4);

/// Replicas of one state, wherever it lives.
#[derive(Clone)]
pub enum Place {
    InProcess(InProcess),
    Redis(String),
}

impl Place {
    pub fn in_process() -> Self {
        Self::InProcess(InProcess::default())
    }

    /// The one server of this binary, for tests that leave it alone.
    pub fn redis() -> Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        Self::Redis(SHARED.get_or_init(Redis::start).url())
    }

    pub async fn replica(&self, name: &str) -> State {
        match self {
            Self::InProcess(state) => State::InProcess(state.beside(name)),
            Self::Redis(url) => patient(url, name).await,
        }
    }
}

pub async fn patient(url: &str, replica: &str) -> State {
    let state = RedisState::connect(&url.parse().unwrap(), replica, PATIENCE).await.unwrap();
    State::Redis(state)
}

/// A scope that no other test counts.
pub fn fresh_scope() -> QuotaScope {
    static SCOPES: AtomicU32 = AtomicU32::new(0);
    QuotaScope::Model(format!("model-{}", SCOPES.fetch_add(1, Ordering::Relaxed)).into())
}

pub fn requests(limit: u64, want: u64, at_least: u64) -> LeaseAsk {
    LeaseAsk { measure: Measure::Requests, limit, want, at_least }
}

pub fn tokens(limit: u64, want: u64, at_least: u64) -> LeaseAsk {
    LeaseAsk { measure: Measure::Tokens, limit, want, at_least }
}
