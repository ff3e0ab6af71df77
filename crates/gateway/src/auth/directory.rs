//! What is known of keys, on the control side: one look-up at a time for each key, however many
//! requests wait for it, and a small budget for keys that don't exist.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use fluxgate_core::{KeyId, UserId};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::warn;

use super::api_key::SecretHash;
use crate::store::{KeyRecord, Store};

/// Look-ups of keys that turned out not to exist: this many at once, then this many a second. A
/// stranger who guesses ids can't make a database trip of each guess.
const UNKNOWN_BURST: f64 = 100.0;
const UNKNOWN_PER_S: f64 = 20.0;

/// What a request needs to know of its key.
#[derive(Debug)]
pub struct Principal {
    pub key: KeyId,
    pub owner: UserId,
    pub secret_sha256: SecretHash,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked: bool,
}

impl From<KeyRecord> for Principal {
    fn from(record: KeyRecord) -> Self {
        Self {
            key: record.id,
            owner: record.owner,
            secret_sha256: SecretHash(record.secret_sha256),
            expires_at: record.expires_at,
            revoked: record.revoked_at.is_some(),
        }
    }
}

/// The answer of a look-up.
#[derive(Clone, Debug)]
pub enum Found {
    Known(Arc<Principal>),
    Unknown,
    /// The store can't answer, or the budget for unknown keys is spent.
    CantTell,
}

/// See the module.
#[derive(Debug)]
pub struct KeyDirectory {
    store: Store,
    control: Handle,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    flights: HashMap<(KeyId, u64), Vec<oneshot::Sender<Found>>>,
    /// Counts what was forgotten: a look-up that began before a change isn't joined after it.
    epoch: u64,
    unknown_left: f64,
    refilled: Instant,
}

impl KeyDirectory {
    #[must_use]
    pub fn new(store: Store, control: Handle) -> Arc<Self> {
        let state = State {
            flights: HashMap::new(),
            epoch: 0,
            unknown_left: UNKNOWN_BURST,
            refilled: Instant::now(),
        };
        Arc::new(Self { store, control, state: Mutex::new(state) })
    }

    /// Looks a key up in the store. Callers that ask for the same key at the same time share one
    /// look-up.
    pub async fn look_up(self: &Arc<Self>, key: KeyId) -> Found {
        let (sender, answer) = oneshot::channel();
        {
            let mut state = self.state();
            let flight = (key, state.epoch);
            if let Some(waiting) = state.flights.get_mut(&flight) {
                waiting.push(sender);
            } else if state.has_budget(Instant::now()) {
                state.flights.insert(flight, vec![sender]);
                let directory = Arc::clone(self);
                self.control.spawn(async move { directory.fly(flight).await });
            } else {
                return Found::CantTell;
            }
        }
        answer.await.unwrap_or(Found::CantTell)
    }

    /// Keys have changed: look-ups from now on read them anew.
    pub fn forget(&self) {
        self.state().epoch += 1;
    }

    async fn fly(&self, flight: (KeyId, u64)) {
        let (key, _) = flight;
        let found = match self.store.find_key(&key).await {
            Ok(Some(record)) => Found::Known(Arc::new(record.into())),
            Ok(None) => Found::Unknown,
            Err(error) => {
                warn!(key.id = %key, %error, "can't look up a key");
                Found::CantTell
            }
        };
        let mut state = self.state();
        if matches!(found, Found::Unknown) {
            state.unknown_left -= 1.0;
        }
        let waiting = state.flights.remove(&flight).unwrap_or_default();
        drop(state);
        for sender in waiting {
            // Whoever left meanwhile needs no answer.
            let _ = sender.send(found.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_budget(&mut self, now: Instant) -> bool {
        let since: Duration = now.duration_since(self.refilled);
        self.refilled = now;
        self.unknown_left =
            (self.unknown_left + since.as_secs_f64() * UNKNOWN_PER_S).min(UNKNOWN_BURST);
        self.unknown_left >= 1.0
    }
}
