//! What is known of who tries what, and the limits that it is held against.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use fluxgate_core::subject::AddressPrefix;

use super::known_good::KnownGood;
use super::tally::{self, Rule, Tallies};
use super::{Account, Attempt, Outcome, ThrottleReason, Throttled};
use crate::auth::guesses::{Purse, Rate};

/// A few typing errors are free; then an address gets one guess a minute at an account.
const OF_A_PAIR: Rule =
    Rule { free: 5, first: Duration::from_secs(1), longest: Duration::from_secs(60) };
/// Room for the mistakes of an office; then everybody new there shares two guesses a minute.
const OF_AN_ADDRESS: Rule =
    Rule { free: 50, first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// More than an owner fails at on all their devices; then each attempt is delayed, for no longer
/// than a person puts up with.
const OF_AN_ACCOUNT: Rule =
    Rule { free: 20, first: Duration::from_millis(100), longest: Duration::from_secs(5) };

/// Attempts of one address at a time, where it isn't known good for the account.
const IN_FLIGHT_OF_AN_ADDRESS_MAX: u32 = 8;
/// Attempts at a time in all: a few megabytes of requests that wait.
const IN_FLIGHT_MAX: u32 = 512;
/// Of these, for addresses that are known good alone: strangers can't take them all.
const IN_FLIGHT_KEPT_FOR_KNOWN: u32 = 64;
/// An attempt takes a fraction of a second, and with the longest delay five.
const IN_FLIGHT_RETRY_AFTER: Duration = Duration::from_secs(1);
/// While one refusal for want of room follows another, it is told so seldom.
const NO_ROOM_TOLD_EVERY: Duration = Duration::from_secs(60);

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
    pairs: Tallies<(AddressPrefix, Account)>,
    /// In flight are those alone that aren't known good.
    addresses: Tallies<AddressPrefix>,
    accounts: Tallies<Account>,
    known_good: KnownGood,
    purses: HashMap<AddressPrefix, Purse>,
    in_flight: u32,
    busy_told_until: Option<Instant>,
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
            busy_told_until: None,
        }
    }

    pub fn admit(
        &mut self,
        address: AddressPrefix,
        account: Account,
        now: Instant,
    ) -> Result<(Attempt, Duration), Throttled> {
        let known = self.known_good.has(address, account, now);
        hold(&OF_A_PAIR, &mut self.pairs, (address, account), now)?;
        if !known {
            hold(&OF_AN_ADDRESS, &mut self.addresses, address, now)?;
            self.find_room_of_address(address, now)?;
        }
        let kept = if known { 0 } else { IN_FLIGHT_KEPT_FOR_KNOWN };
        self.find_room(IN_FLIGHT_MAX - kept, now)?;

        self.in_flight += 1;
        self.pairs.of((address, account), now).begin();
        if known {
            return Ok((Attempt { address, account, known }, Duration::ZERO));
        }
        self.addresses.of(address, now).begin();
        let tally = self.accounts.of(account, now);
        let delay = OF_AN_ACCOUNT.wait(tally, now);
        tally.begin();
        Ok((Attempt { address, account, known }, delay))
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
        self.find_room_of_address(address, now)?;
        self.find_room(IN_FLIGHT_MAX - IN_FLIGHT_KEPT_FOR_KNOWN, now)?;
        if let Some(purse) = self.purse(address, now) {
            let missing = 1.0 - purse.left(now);
            if missing > 0.0 {
                let retry_after = Duration::from_secs_f64(missing / NEW_PASSWORDS.per_s);
                let tally = self.addresses.of(address, now);
                let first = tally.is_first_refusal(retry_after, now);
                return Err(Throttled { retry_after, reason: ThrottleReason::TooMany, first });
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

    fn find_room_of_address(
        &mut self,
        address: AddressPrefix,
        now: Instant,
    ) -> Result<(), Throttled> {
        let Some(tally) = self.addresses.get(address) else { return Ok(()) };
        if tally.in_flight() < IN_FLIGHT_OF_AN_ADDRESS_MAX {
            return Ok(());
        }
        let first = tally.is_first_refusal(NO_ROOM_TOLD_EVERY, now);
        let retry_after = IN_FLIGHT_RETRY_AFTER;
        Err(Throttled { retry_after, reason: ThrottleReason::TooMany, first })
    }

    fn find_room(&mut self, in_flight_max: u32, now: Instant) -> Result<(), Throttled> {
        if self.in_flight < in_flight_max {
            return Ok(());
        }
        let first = tally::is_first(&mut self.busy_told_until, NO_ROOM_TOLD_EVERY, now);
        let retry_after = IN_FLIGHT_RETRY_AFTER;
        Err(Throttled { retry_after, reason: ThrottleReason::Busy, first })
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
    tallies: &mut Tallies<K>,
    key: K,
    now: Instant,
) -> Result<(), Throttled> {
    let Some(tally) = tallies.get(key) else { return Ok(()) };
    let retry_after = rule.wait_left(tally, now);
    if retry_after.is_zero() {
        return Ok(());
    }
    let first = tally.is_first_refusal(retry_after, now);
    Err(Throttled { retry_after, reason: ThrottleReason::TooMany, first })
}
