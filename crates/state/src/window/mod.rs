//! The arithmetic of a sliding window: what of a limit is free, what a lease gets of it, and when
//! more will be free. Pure: the time is an argument, in milliseconds of any clock that all calls
//! for one window share.
//!
//! `redis/window.lua`, with `lease.lua` and `give_back.lua`, does the same inside Redis; the suite
//! holds it against this.
//!
//! **Why it is exact.** Use is counted in buckets of [`BUCKET_MS`]. What is granted at `g` may be
//! used until `g` + [`LEASE`] and is stamped into the bucket of that moment, so a unit's bucket
//! never ends before its use. Take any 60 s and the last grant, at `g`, of those whose units are
//! used in them. All that is used in them is used later than `g` − 60 s, hence stamped into buckets
//! that end later than that, and these are the ones that a grant counts: they hold no more than the
//! limit. (What is charged beyond a lease may exceed it; the next grants wait for that.)

use std::collections::VecDeque;
use std::time::Duration;

use crate::lease::{LEASE, Lease, LeaseAsk, Stamp, UNITS_MAX};

/// How long use counts.
pub const WINDOW_MS: u64 = 60_000;
/// The grain of time. Finer ones cost memory and time with each grant; with this one a unit counts
/// up to 750 ms longer than it must, which costs a steady overload up to 1.25% of its limit.
pub const BUCKET_MS: u64 = 250;
/// [`LEASE`], as the scripts have it.
pub const LEASE_MS: u64 = 500;

const _: () = assert!(LEASE.as_millis() == LEASE_MS as u128);

/// One scope's use of one measure.
#[derive(Clone, Default, Debug)]
pub struct Window {
    /// Bucket and units, the oldest first; no bucket holds 0.
    buckets: VecDeque<(u64, u64)>,
}

impl Window {
    /// Grants what it can of an ask; its measure is the caller's business.
    pub fn lease(&mut self, now_ms: u64, ask: &LeaseAsk) -> Lease {
        self.forget(now_ms);
        let stamp = newest(now_ms);
        let ask = ask.bounded();
        let free = ask.limit.saturating_sub(self.sum());
        let granted = grant(free, &ask);
        self.add(stamp, granted);
        Lease {
            granted,
            stamp: Stamp(stamp),
            left: free.saturating_sub(granted),
            free_after: self.free_after(now_ms, ask.limit, ask.at_least),
        }
    }

    /// Takes `units` out of the bucket they were granted from, down to 0; where they are negative,
    /// counts as many more now.
    pub fn give_back(&mut self, now_ms: u64, stamp: Stamp, units: i64) {
        self.forget(now_ms);
        if units < 0 {
            self.add(bucket_of(now_ms), units.unsigned_abs());
        } else if let Ok(at) = self.buckets.binary_search_by_key(&stamp.0, |(bucket, _)| *bucket) {
            match self.buckets.get_mut(at) {
                Some((_, held)) if *held > units.unsigned_abs() => *held -= units.unsigned_abs(),
                _ => drop(self.buckets.remove(at)),
            }
        }
    }

    /// Units that count, as of the last call.
    #[must_use]
    pub fn sum(&self) -> u64 {
        let sum = self.buckets.iter().fold(0, |sum: u64, (_, units)| sum.saturating_add(*units));
        sum.min(UNITS_MAX)
    }

    /// Drops what has left the window. After the clock went back, older grants lie in the future
    /// and would count for longer than a window: they count as granted now.
    pub fn forget(&mut self, now_ms: u64) {
        // The oldest bucket that ends later than a window ago.
        let first = bucket_of(now_ms.saturating_sub(WINDOW_MS));
        while self.buckets.pop_front_if(|(bucket, _)| *bucket < first).is_some() {}
        let newest = newest(now_ms);
        while let Some((_, units)) = self.buckets.pop_back_if(|(bucket, _)| *bucket > newest) {
            self.add(newest, units);
        }
    }

    fn add(&mut self, bucket: u64, units: u64) {
        if units == 0 {
            return;
        }
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => {
                if let Some((_, held)) = self.buckets.get_mut(at) {
                    *held = held.saturating_add(units).min(UNITS_MAX);
                }
            }
            Err(at) => self.buckets.insert(at, (bucket, units.min(UNITS_MAX))),
        }
    }

    fn free_after(&self, now_ms: u64, limit: u64, at_least: u64) -> Option<Duration> {
        // What may stay where so many are to be free; the rest has to leave, the oldest first.
        let may_stay = limit.checked_sub(at_least.max(1))?;
        let must_leave = self.sum().saturating_sub(may_stay);
        let mut leaving = 0_u64;
        let (bucket, _) = self.buckets.iter().find(|(_, units)| {
            leaving = leaving.saturating_add(*units);
            leaving >= must_leave
        })?;
        let end_ms = bucket.saturating_add(1).saturating_mul(BUCKET_MS);
        Some(Duration::from_millis(end_ms.saturating_add(WINDOW_MS).saturating_sub(now_ms)))
    }
}

fn bucket_of(at_ms: u64) -> u64 {
    at_ms / BUCKET_MS
}

/// The bucket of what is granted now.
fn newest(now_ms: u64) -> u64 {
    bucket_of(now_ms.saturating_add(LEASE_MS))
}

/// How many of the free units an ask gets. A short rest is halved, so that others find some too,
/// and whoever asks comes back soon with a better idea of what it needs.
fn grant(free: u64, ask: &LeaseAsk) -> u64 {
    if free < ask.at_least {
        return 0;
    }
    let half = free.div_ceil(2);
    ask.want.min(half.max(ask.at_least))
}

#[cfg(test)]
mod tests;
