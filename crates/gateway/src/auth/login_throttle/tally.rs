//! What failed lately of one thing, and is being tried now: counts that fade, of so many things at
//! most.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// A failure counts half after this long: a bad day is forgotten in an hour or two.
pub const HALF_LIFE: Duration = Duration::from_secs(15 * 60);
/// Fewer are none: a single failure is forgotten after one half-life.
const NONE_BELOW: f64 = 0.5;

/// See the module.
#[derive(Debug)]
pub struct Tally {
    /// As of `last`.
    failures: f64,
    /// When the last one was counted.
    last: Instant,
    in_flight: u32,
}

/// So many attempts are free; from there the wait doubles with each, up to the longest.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub free: u32,
    pub first: Duration,
    pub longest: Duration,
}

/// The tallies of many things.
#[derive(Debug)]
pub struct Tallies<K> {
    tallies: HashMap<K, Tally>,
    /// How many are kept, besides those that something is being tried of.
    max: usize,
}

impl Tally {
    const fn new(now: Instant) -> Self {
        Self { failures: 0.0, last: now, in_flight: 0 }
    }

    /// Failures, and with them what is in flight: it counts as failed
    /// until it ends, so that trying many at once gains nothing.
    fn attempts(&self, as_of: Instant) -> u32 {
        // A count of what was hashed within hours is small.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let failures = self.failures(as_of).round() as u32;
        failures.saturating_add(self.in_flight)
    }

    fn failures(&self, as_of: Instant) -> f64 {
        let age = as_of.saturating_duration_since(self.last);
        self.failures * (-age.div_duration_f64(HALF_LIFE)).exp2()
    }

    pub fn fail(&mut self, now: Instant) {
        self.failures = self.failures(now) + 1.0;
        self.last = self.last.max(now);
    }

    pub fn begin(&mut self) {
        self.in_flight += 1;
    }

    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.in_flight == 0 && self.failures(now) < NONE_BELOW
    }
}

impl Rule {
    /// After so many attempts.
    pub fn wait(&self, tally: &Tally, as_of: Instant) -> Duration {
        let Some(beyond) = tally.attempts(as_of).checked_sub(self.free) else {
            return Duration::ZERO;
        };
        let doubled = 2_u32.saturating_pow(beyond);
        self.first.saturating_mul(doubled).min(self.longest)
    }

    /// What is left of the wait that the last failure began. What is in flight could fail any
    /// moment.
    pub fn wait_left(&self, tally: &Tally, now: Instant) -> Duration {
        if tally.in_flight > 0 {
            return self.wait(tally, now);
        }
        let since = now.saturating_duration_since(tally.last);
        self.wait(tally, tally.last).saturating_sub(since)
    }
}

impl<K: Copy + Eq + Hash> Tallies<K> {
    pub fn new(max: usize) -> Self {
        Self { tallies: HashMap::new(), max }
    }

    pub fn get(&self, key: K) -> Option<&Tally> {
        self.tallies.get(&key)
    }

    pub fn of(&mut self, key: K, now: Instant) -> &mut Tally {
        if self.tallies.len() >= self.max && !self.tallies.contains_key(&key) {
            self.make_room(now);
        }
        self.tallies.entry(key).or_insert_with(|| Tally::new(now))
    }

    /// An attempt ended.
    pub fn end(&mut self, key: K) {
        let Some(tally) = self.tallies.get_mut(&key) else { return };
        tally.in_flight = tally.in_flight.saturating_sub(1);
        if tally.is_idle(tally.last) {
            self.tallies.remove(&key);
        }
    }

    /// Its failures were honest mistakes.
    pub fn forgive(&mut self, key: K) {
        let Some(tally) = self.tallies.get_mut(&key) else { return };
        tally.failures = 0.0;
        if tally.in_flight == 0 {
            self.tallies.remove(&key);
        }
    }

    /// Drops what has faded, and where that isn't a quarter, the quarter that is the longest ago: so
    /// that it is looked for seldom. Passwords are hashed too slowly for anybody to push a failure
    /// out that still counts.
    fn make_room(&mut self, now: Instant) {
        self.tallies.retain(|_, tally| !tally.is_idle(now));
        if self.tallies.len() <= self.max - self.max / 4 {
            return;
        }
        let mut ages: Vec<Instant> = self.tallies.values().map(|tally| tally.last).collect();
        let quarter = ages.len() / 4;
        let (_, &mut oldest_kept, _) = ages.select_nth_unstable(quarter);
        self.tallies.retain(|_, tally| tally.in_flight > 0 || tally.last > oldest_kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule =
        Rule { free: 3, first: Duration::from_secs(1), longest: Duration::from_secs(60) };

    #[test]
    fn a_failure_counts_half_after_a_half_life() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        (0..8).for_each(|_| tally.fail(start));
        for (halves, attempts) in [(0, 8), (1, 4), (2, 2), (3, 1), (5, 0)] {
            assert_eq!(tally.attempts(start + HALF_LIFE * halves), attempts);
        }
        tally.fail(start + HALF_LIFE);
        assert_eq!(tally.attempts(start + HALF_LIFE), 5);
    }

    #[test]
    fn the_wait_doubles_from_the_free_failures_on_up_to_the_longest() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        for wait_s in [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(RULE.wait_left(&tally, start), Duration::from_secs(wait_s));
            tally.fail(start);
        }
        let left = RULE.wait_left(&tally, start + Duration::from_secs(59));
        assert_eq!(left, Duration::from_secs(1));
        (0..100_000).for_each(|_| tally.fail(start));
        assert_eq!(RULE.wait(&tally, start), RULE.longest);
    }

    #[test]
    fn the_tallies_kept_are_bounded_and_those_in_use_stay() {
        let start = Instant::now();
        let mut tallies = Tallies::new(100);
        tallies.of(0, start).begin();
        for number in 1..10_000_u32 {
            let now = start + Duration::from_millis(number.into());
            tallies.of(number, now).fail(now);
            assert!(tallies.tallies.len() <= 100);
        }
        assert!(tallies.get(0).is_some() && tallies.get(9_999).is_some());
        assert!(tallies.get(9_950).is_some(), "the oldest quarter goes first");
        let later = start + HALF_LIFE * 20;
        (0..100).for_each(|number| tallies.of(100_000 + number, later).fail(later));
        tallies.of(200_000, later).fail(later);
        assert!(tallies.get(9_999).is_none(), "what has faded goes");
    }
}
