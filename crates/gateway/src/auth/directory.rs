//! What is known of keys and sessions, on the control side: one look-up at a time for each, however
//! many requests wait for it, and a small budget for those that don't exist.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use fluxgate_core::subject::AddressPrefix;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::credential::CredentialId;
use super::guesses::GuessBudget;
use super::outage::Outage;
use super::principal::Principal;
use crate::store::{Store, StoreError};

/// Look-ups under way at the same time; the store answers a few at once, so that more would only
/// wait for it.
const FLIGHTS_MAX: usize = 1_024;

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
pub struct PrincipalDirectory {
    store: Store,
    control: Handle,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    flights: HashMap<(CredentialId, u64), Vec<oneshot::Sender<Found>>>,
    /// Counts what was forgotten: a look-up that began before a change isn't joined after it.
    epoch: u64,
    guesses: GuessBudget,
    outage: Outage,
}

/// Why a credential is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// Somebody there presents it. It may be a guess.
    PresentedFrom(AddressPrefix),
    /// It is known, and its facts have grown old.
    Refresh,
    /// We signed it: nobody can guess one.
    Signed,
}

impl Occasion {
    /// Of a credential that somebody there presents.
    #[must_use]
    pub const fn of(id: CredentialId, address: AddressPrefix) -> Self {
        match id {
            CredentialId::Key(_) => Self::PresentedFrom(address),
            CredentialId::Session(_) => Self::Signed,
        }
    }
}

impl PrincipalDirectory {
    #[must_use]
    pub fn new(store: Store, control: Handle) -> Arc<Self> {
        let state = State {
            flights: HashMap::new(),
            epoch: 0,
            guesses: GuessBudget::new(Instant::now()),
            outage: Outage::default(),
        };
        Arc::new(Self { store, control, state: Mutex::new(state) })
    }

    /// Looks a credential up in the store. Callers that ask for the same one at the same time share
    /// one look-up.
    pub async fn look_up(self: &Arc<Self>, id: CredentialId, occasion: Occasion) -> Found {
        let (sender, answer) = oneshot::channel();
        {
            let mut state = self.state();
            let flight = (id, state.epoch);
            if let Some(waiting) = state.flights.get_mut(&flight) {
                waiting.push(sender);
            } else if state.flights.len() < FLIGHTS_MAX && state.has_room(occasion) {
                state.flights.insert(flight, vec![sender]);
                let directory = Arc::clone(self);
                self.control.spawn(async move { directory.fly(flight, occasion).await });
            } else {
                return Found::CantTell;
            }
        }
        answer.await.unwrap_or(Found::CantTell)
    }

    /// Somebody there presented what can't be right.
    pub fn guessed(&self, address: AddressPrefix) {
        self.state().guesses.spend(address, Instant::now());
    }

    /// Something has changed: look-ups from now on read them anew.
    pub fn forget(&self) {
        self.state().epoch += 1;
    }

    async fn fly(&self, flight: (CredentialId, u64), occasion: Occasion) {
        let (id, _) = flight;
        let answer = match id {
            CredentialId::Key(key) => {
                self.store.find_key(&key).await.map(|record| record.map(Principal::from))
            }
            CredentialId::Session(session) => {
                self.store.find_session(session).await.map(|record| record.map(Principal::from))
            }
        };
        let mut state = self.state();
        let found = match answer {
            Ok(found) => {
                if state.outage.answered() {
                    info!("keys and sessions can be looked up again");
                }
                found.map_or(Found::Unknown, |principal| Found::Known(Arc::new(principal)))
            }
            Err(error) => {
                state.failed(id, &error);
                Found::CantTell
            }
        };
        if let (Found::Unknown, Occasion::PresentedFrom(address)) = (&found, occasion) {
            state.guesses.spend(address, Instant::now());
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
    fn has_room(&mut self, occasion: Occasion) -> bool {
        match occasion {
            Occasion::PresentedFrom(address) => self.guesses.has_room(address, Instant::now()),
            Occasion::Refresh => self.outage.may_ask(Instant::now()),
            Occasion::Signed => true,
        }
    }

    fn failed(&mut self, id: CredentialId, error: &StoreError) {
        if !error.is_unavailable() {
            warn!(credential = ?id, %error, "can't look up a credential");
        } else if self.outage.failed(Instant::now()) {
            warn!(%error, "keys and sessions can't be looked up: those that are known are served from memory");
        } else {
            debug!(credential = ?id, %error, "can't look up a credential");
        }
    }
}
