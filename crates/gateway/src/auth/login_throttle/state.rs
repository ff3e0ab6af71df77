//! What is known of who tries what, and the limits that it is held against.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use fluxgate_core::subject::AddressPrefix;

use super::known_good::KnownGood;
use super::tally::{Rule, Tallies, Tally};
use super::{AccountTag, Attempt, Outcome, ThrottleReason, Throttled};
use crate::auth::purse::{Purse, Rate};

/// A few typing errors are free; then an address gets one guess a minute at an account.
const OF_A_PAIR: Rule =
    Rule { free: 5, first: Duration::from_secs(1), longest: Duration::from_secs(60) };
/// Where the account logged in well: whoever shares the owner's address fails for her, so that this is
/// a delay and no refusal.
const OF_A_KNOWN_PAIR: Rule =
    Rule { free: 5, first: Duration::from_secs(1), longest: Duration::from_secs(5) };
/// Room for the mistakes of an office; then everybody new there shares two guesses a minute.
const OF_AN_ADDRESS: Rule =
    Rule { free: 50, first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// More than an owner fails at on all their devices; then each attempt is delayed, for no longer
/// than a person puts up with.
const OF_AN_ACCOUNT: Rule =
    Rule { free: 20, first: Duration::from_millis(100), longest: Duration::from_secs(5) };

/// Attempts of one address at a time, where it isn't known good for the account.
const IN_FLIGHT_OF_AN_ADDRESS_MAX: u32 = 8;
/// Attempts at an account at a time from an address where it is: one person's, and with the longest
/// delay fewer than two guesses a second. Nobody takes the known ones' room with one account.
const IN_FLIGHT_OF_A_KNOWN_PAIR_MAX: u32 = 8;
/// Attempts at a time in all: a few megabytes of requests that wait.
const IN_FLIGHT_MAX: u32 = 512;
/// Of these, for addresses that are known good alone: strangers can't take them all.
const IN_FLIGHT_KEPT_FOR_KNOWN: u32 = 64;
/// An attempt takes a fraction of a second, and with the longest delay five.
const IN_FLIGHT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a stranger may have hashed of new passwords: an office signs up at once, a script doesn't
/// keep a core busy.
const NEW_PASSWORDS: Rate = Rate { burst: 10.0, per_s: 0.1 };

/// Tallies kept, about five megabytes in all: more than can be hashed within a half-life.
const PAIRS_MAX: usize = 20_000;
const ADDRESSES_MAX: usize = 10_000;
const ACCOUNTS_MAX: usize = 10_000;
/// Beyond it the room in flight alone counts.
const PURSES_MAX: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub struct State {
    pairs: Tallies<(AddressPrefix, AccountTag)>,
    /// In flight are those alone that aren't known good.
    addresses: Tallies<AddressPrefix>,
    accounts: Tallies<AccountTag>,
    known_good: KnownGood,
    purses: HashMap<AddressPrefix, Purse>,
    in_flight: u32,
}

impl State {
    pub fn new() -> Self {
        Self {
            pairs: Tallies::new(PAIRS_MAX),
            addresses: Tallies::new(ADDRESSES_MAX),
            accounts: Tallies::new(ACCOUNTS_MAX),
            known_good: KnownGood::default(),
            purses: HashMap::new(),
            in_flight: 0,
        }
    }

    pub fn admit(
        &mut self,
        address: AddressPrefix,
        account: AccountTag,
        now: Instant,
    ) -> Result<(Attempt, Duration), Throttled> {
        let known = self.known_good.has(address, account, now);
        let delay = if known {
            self.admit_known(address, account, now)?
        } else {
            self.admit_stranger(address, account, now)?
        };
        self.in_flight += 1;
        self.pairs.of((address, account), now).begin();
        Ok((Attempt { address, account, known }, delay))
    }

    fn admit_known(
        &self,
        address: AddressPrefix,
        account: AccountTag,
        now: Instant,
    ) -> Result<Duration, Throttled> {
        let delay = match self.pairs.get((address, account)) {
            Some(pair) if pair.in_flight() >= IN_FLIGHT_OF_A_KNOWN_PAIR_MAX => {
                return Err(no_room(ThrottleReason::TooMany));
            }
            Some(pair) => OF_A_KNOWN_PAIR.wait_left(pair, now),
            None => Duration::ZERO,
        };
        self.find_room(IN_FLIGHT_MAX)?;
        Ok(delay)
    }

    fn admit_stranger(
        &mut self,
        address: AddressPrefix,
        account: AccountTag,
        now: Instant,
    ) -> Result<Duration, Throttled> {
        hold(&OF_A_PAIR, &self.pairs, (address, account), now)?;
        hold(&OF_AN_ADDRESS, &self.addresses, address, now)?;
        self.find_room_of_address(address)?;
        self.find_room(IN_FLIGHT_MAX - IN_FLIGHT_KEPT_FOR_KNOWN)?;
        self.addresses.of(address, now).begin();
        let tally = self.accounts.of(account, now);
        let delay = OF_AN_ACCOUNT.wait(tally, now);
        tally.begin();
        Ok(delay)
    }

    pub fn end(&mut self, Attempt { address, account, known }: Attempt, outcome: Outcome) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Failed(now) => {
                self.pairs.of((address, account), now).fail(now);
                self.addresses.of(address, now).fail(now);
                self.accounts.of(account, now).fail(now);
            }
            Outcome::Succeeded(now) => {
                self.pairs.forgive((address, account));
                self.known_good.remember(address, account, now);
            }
            Outcome::Spared => {}
        }
        self.pairs.end((address, account));
        if !known {
            self.addresses.end(address);
            self.accounts.end(account);
        }
    }

    pub fn admit_hash(&mut self, address: AddressPrefix, now: Instant) -> Result<(), Throttled> {
        self.find_room_of_address(address)?;
        self.find_room(IN_FLIGHT_MAX - IN_FLIGHT_KEPT_FOR_KNOWN)?;
        if let Some(purse) = self.purse(address, now) {
            let missing = 1.0 - purse.left(now);
            if missing > 0.0 {
                let retry_after = Duration::from_secs_f64(missing / NEW_PASSWORDS.per_s);
                return Err(Throttled { retry_after, reason: ThrottleReason::TooMany });
            }
            purse.spend(now);
        }
        self.in_flight += 1;
        self.addresses.of(address, now).begin();
        Ok(())
    }

    pub fn end_hash(&mut self, address: AddressPrefix) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.addresses.end(address);
    }

    fn find_room_of_address(&self, address: AddressPrefix) -> Result<(), Throttled> {
        let in_flight = self.addresses.get(address).map_or(0, Tally::in_flight);
        if in_flight < IN_FLIGHT_OF_AN_ADDRESS_MAX {
            return Ok(());
        }
        Err(no_room(ThrottleReason::TooMany))
    }

    fn find_room(&self, in_flight_max: u32) -> Result<(), Throttled> {
        if self.in_flight < in_flight_max {
            return Ok(());
        }
        Err(no_room(ThrottleReason::Busy))
    }

    /// `None` where there are too many to remember one more.
    fn purse(&mut self, address: AddressPrefix, now: Instant) -> Option<&mut Purse> {
        if self.purses.len() >= PURSES_MAX && !self.purses.contains_key(&address) {
            self.purses.retain(|_, purse| purse.left(now) < NEW_PASSWORDS.burst);
            if self.purses.len() >= PURSES_MAX {
                return None;
            }
        }
        let purse = self.purses.entry(address);
        Some(purse.or_insert_with(|| Purse::full(NEW_PASSWORDS, now)))
    }
}

/// Refuses what has to wait.
fn hold<K: Copy + Eq + Hash>(
    rule: &Rule,
    tallies: &Tallies<K>,
    key: K,
    now: Instant,
) -> Result<(), Throttled> {
    let wait = tallies.get(key).map_or(Duration::ZERO, |tally| rule.wait_left(tally, now));
    if wait.is_zero() {
        return Ok(());
    }
    Err(Throttled { retry_after: wait, reason: ThrottleReason::TooMany })
}

const fn no_room(reason: ThrottleReason) -> Throttled {
    Throttled { retry_after: IN_FLIGHT_RETRY_AFTER, reason }
}
