//! The state of one process, in its memory.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fluxgate_core::{Measure, QuotaScope};
use tokio::time::Instant;

use crate::lease::{Held, Lease, LeaseAsk, Return};
use crate::slots::Slots;
use crate::window::Window;

/// Scopes that are kept; beyond it those with the least use go. One that was used once takes some
/// 250 bytes, one that is busy all the time 8 KiB.
const SCOPES_MAX: usize = 200_000;
/// How many scopes go at once where there are too many: their choice costs a look at each.
const SCOPES_DROPPED: usize = SCOPES_MAX / 16;
/// Below this many scopes nobody looks for empty ones.
const SCOPES_SWEPT_MIN: usize = 1_024;

/// The state, and which replica of it this is.
#[derive(Clone, Debug)]
pub struct InProcess {
    shared: Arc<Shared>,
    replica: Arc<str>,
}

#[derive(Debug)]
struct Shared {
    /// When the clock of all windows began.
    origin: Instant,
    scopes: Mutex<Scopes>,
}

#[derive(Default, Debug)]
struct Scopes {
    by_name: HashMap<QuotaScope, Scope>,
    /// With how many scopes empty ones are looked for again.
    swept_at: usize,
}

#[derive(Default, Debug)]
struct Scope {
    requests: Window,
    tokens: Window,
    slots: Slots,
}

impl Default for InProcess {
    fn default() -> Self {
        let shared = Shared { origin: Instant::now(), scopes: Mutex::default() };
        Self { shared: Arc::new(shared), replica: "this".into() }
    }
}

impl InProcess {
    /// Another replica on the same state.
    #[must_use]
    pub fn beside(&self, replica: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), replica: replica.into() }
    }

    pub(crate) fn lease(&self, scope: &QuotaScope, asks: &[LeaseAsk]) -> Vec<Lease> {
        let mut scopes = self.scopes();
        let now_ms = self.now_ms();
        let scope = scopes.scope(scope, now_ms);
        asks.iter().map(|ask| scope.window(ask.measure).lease(now_ms, ask)).collect()
    }

    pub(crate) fn give_back(&self, scope: &QuotaScope, returns: &[Return]) {
        let mut scopes = self.scopes();
        let now_ms = self.now_ms();
        let scope = scopes.scope(scope, now_ms);
        for back in returns {
            scope.window(back.measure).give_back(now_ms, back.stamp, back.units);
        }
    }

    pub(crate) fn hold(&self, scope: &QuotaScope, limit: u32, want: u32) -> Held {
        let mut scopes = self.scopes();
        let now_ms = self.now_ms();
        scopes.scope(scope, now_ms).slots.hold(now_ms, &self.replica, limit, want)
    }

    fn scopes(&self) -> MutexGuard<'_, Scopes> {
        // Counts stay counts, whoever panicked.
        self.shared.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Read under the lock: a window's calls come in the order of their times.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.shared.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Scopes {
    fn scope(&mut self, name: &QuotaScope, now_ms: u64) -> &mut Scope {
        if !self.by_name.contains_key(name) {
            self.make_room(now_ms);
        }
        self.by_name.entry(name.clone()).or_default()
    }

    /// Drops empty scopes each time their number may have doubled, so that a new one costs the same
    /// on average however many there are.
    fn make_room(&mut self, now_ms: u64) {
        if self.by_name.len() < self.swept_at.max(SCOPES_SWEPT_MIN) {
            return;
        }
        self.by_name.retain(|_, scope| !scope.is_empty_at(now_ms));
        if self.by_name.len() >= SCOPES_MAX {
            self.drop_emptiest();
        }
        self.swept_at = (self.by_name.len() * 2).min(SCOPES_MAX);
    }

    fn drop_emptiest(&mut self) {
        let mut uses: Vec<Use> = self.by_name.values().map(Scope::used).collect();
        let (least, limit, _) = uses.select_nth_unstable(SCOPES_DROPPED);
        let mut drop_at_limit = least.iter().filter(|used| *used == limit).count();
        self.by_name.retain(|_, scope| match scope.used().cmp(limit) {
            Less => false,
            Equal if drop_at_limit > 0 => {
                drop_at_limit -= 1;
                false
            }
            Equal | Greater => true,
        });
    }
}

/// The less, the sooner a scope goes: one with requests under way last.
type Use = (bool, u64);

impl Scope {
    fn window(&mut self, measure: Measure) -> &mut Window {
        match measure {
            Measure::Requests => &mut self.requests,
            Measure::Tokens => &mut self.tokens,
        }
    }

    fn is_empty_at(&mut self, now_ms: u64) -> bool {
        self.requests.forget(now_ms);
        self.tokens.forget(now_ms);
        self.slots.forget(now_ms);
        self.used() == (false, 0)
    }

    fn used(&self) -> Use {
        (!self.slots.is_empty(), self.requests.sum().saturating_add(self.tokens.sum()))
    }
}
