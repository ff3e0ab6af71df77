//! Who may try a password now. It is asked before anything is hashed, and told what came of it.
//!
//! Three things are counted, and none of them is ever locked for good:
//!
//! - an address and an account together: after a few failures each further attempt has to wait. From
//!   an address where the account logged in well it is *delayed* by a few seconds instead, as others
//!   there may fail on purpose;
//! - an address: whoever tries many accounts from one waits. Accounts that logged in well from there
//!   don't: an office has one address;
//! - an account that is guessed at from many addresses: its attempts are *delayed*, never refused.
//!   From an address where it logged in well they aren't even that.
//!
//! So a stranger can't keep an owner out: what others fail at elsewhere doesn't reach a known
//! address, what they fail at there delays her by seconds, and a new one waits for seconds at most. An account that doesn't exist is treated as any
//! other, and no address of mail is kept.
//!
//! It knows no clock, and waits for nothing itself.

mod state;

mod known_good;
mod tally;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fluxgate_core::subject::AddressPrefix;

use state::State;

use super::password::Asker;

/// See the module.
#[derive(Debug)]
pub struct LoginThrottle {
    /// Whose accounts collide can't be known from outside.
    key: RandomState,
    state: Mutex<State>,
}

/// A hash of what an account is called, whether or not it exists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AccountTag(u64);

/// An attempt that may be made. It counts as failed, even where it is dropped without a word: else
/// whoever leaves before the answer would guess for nothing.
#[must_use]
#[derive(Debug)]
pub struct Admitted<'a> {
    throttle: &'a LoginThrottle,
    attempt: Attempt,
    delay: Duration,
    outcome: Outcome,
}

/// A new password that may be hashed. It ends when it is dropped.
#[must_use]
#[derive(Debug)]
pub struct AdmittedHash<'a> {
    throttle: &'a LoginThrottle,
    address: AddressPrefix,
}

/// An attempt that may not be made now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Throttled {
    pub retry_after: Duration,
    pub reason: ThrottleReason,
}

/// Whose doing a refusal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThrottleReason {
    /// The caller's own: too many attempts, or too many at a time.
    TooMany,
    /// Everybody's together.
    Busy,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    address: AddressPrefix,
    account: AccountTag,
    /// The account logged in well from the address before.
    known: bool,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Failed(Instant),
    Succeeded(Instant),
    Spared,
}

impl Default for LoginThrottle {
    fn default() -> Self {
        Self { key: RandomState::new(), state: Mutex::new(State::new()) }
    }
}

impl LoginThrottle {
    /// The account of an address of mail, as [`crate::store::Email`] writes it.
    #[must_use]
    pub fn account(&self, email: &str) -> AccountTag {
        AccountTag(self.key.hash_one(email))
    }

    /// Whether somebody at `address` may try a password of `account` now; if so, after
    /// [`Admitted::delay`].
    ///
    /// # Errors
    /// [`Throttled`]: not now.
    pub fn admit(
        &self,
        address: AddressPrefix,
        account: AccountTag,
        now: Instant,
    ) -> Result<Admitted<'_>, Throttled> {
        let (attempt, delay) = self.lock().admit(address, account, now)?;
        Ok(Admitted { throttle: self, attempt, delay, outcome: Outcome::Failed(now) })
    }

    /// Whether somebody at `address` may have a new password hashed now, such as to register.
    ///
    /// # Errors
    /// [`Throttled`]: not now.
    pub fn admit_hash(
        &self,
        address: AddressPrefix,
        now: Instant,
    ) -> Result<AdmittedHash<'_>, Throttled> {
        self.lock().admit_hash(address, now)?;
        Ok(AdmittedHash { throttle: self, address })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted<'_> {
    /// In whose place the password waits to be hashed.
    #[must_use]
    pub const fn asker(&self) -> Asker {
        if self.attempt.known { Asker::Known } else { Asker::Stranger }
    }

    /// How long to wait before the password is hashed: at most five seconds.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        self.delay
    }

    /// The password was wrong.
    pub fn failed(mut self, now: Instant) {
        self.outcome = Outcome::Failed(now);
    }

    /// The password was right.
    pub fn succeeded(mut self, now: Instant) {
        self.outcome = Outcome::Succeeded(now);
    }

    /// We couldn't look at the password: nobody's failure.
    pub fn spared(mut self) {
        self.outcome = Outcome::Spared;
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.throttle.lock().end(self.attempt, self.outcome);
    }
}

impl Drop for AdmittedHash<'_> {
    fn drop(&mut self) {
        self.throttle.lock().end_hash(self.address);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
