#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use fluxgate_core::Measure;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A moment long after the clock began, at the start of a bucket.
const START_MS: u64 = 1_000_000_000;

fn ask(limit: u64, want: u64, at_least: u64) -> LeaseAsk {
    LeaseAsk { measure: Measure::Requests, limit, want, at_least }
}

fn granted(window: &mut Window, now_ms: u64, ask: LeaseAsk) -> u64 {
    window.lease(now_ms, &ask).granted
}

#[test]
fn a_short_window_gives_half_of_what_is_left() {
    let mut window = Window::default();
    let grants = [100; 8].map(|want| granted(&mut window, START_MS, ask(100, want, 1)));
    assert_eq!(grants, [50, 25, 13, 6, 3, 2, 1, 0]);
}

#[test]
fn what_is_wanted_is_granted_where_half_is_enough_for_it() {
    let mut window = Window::default();
    assert_eq!(granted(&mut window, START_MS, ask(100, 50, 1)), 50);
    assert_eq!(granted(&mut window, START_MS, ask(100, 26, 1)), 25);
}

#[test]
fn the_least_is_granted_whole_or_not_at_all() {
    let mut window = Window::default();
    assert_eq!(granted(&mut window, START_MS, ask(1_000, 600, 600)), 600);
    assert_eq!(granted(&mut window, START_MS, ask(1_000, 500, 500)), 0);
    assert_eq!(granted(&mut window, START_MS, ask(1_000, 900, 300)), 300);
    assert_eq!(granted(&mut window, START_MS, ask(1_000, 101, 101)), 0);
    assert_eq!(granted(&mut window, START_MS, ask(1_000, 100, 100)), 100);
}

#[test]
fn units_are_free_once_their_bucket_left_the_window() {
    let mut window = Window::default();
    let lease = window.lease(START_MS + 249, &ask(10, 10, 10));
    assert_eq!((lease.granted, lease.left), (10, 0));
    let free_after = lease.free_after.unwrap();
    assert_eq!(free_after, Duration::from_millis(60_000 + 500 + 1));
    let free_at_ms = START_MS + 249 + u64::try_from(free_after.as_millis()).unwrap();
    assert_eq!(granted(&mut window, free_at_ms - 1, ask(10, 10, 10)), 0);
    assert_eq!(granted(&mut window, free_at_ms, ask(10, 10, 10)), 10);
}

#[test]
fn a_refusal_says_when_enough_will_be_free() {
    let mut window = Window::default();
    for step in 0..4 {
        assert_eq!(granted(&mut window, START_MS + step * 1_000, ask(40, 10, 10)), 10);
    }
    let mut after = |limit, at_least| {
        let lease = window.lease(START_MS + 3_000, &ask(limit, 0, at_least));
        lease.free_after.map(|wait| wait.as_millis())
    };
    assert_eq!(after(40, 1), Some(57_750));
    assert_eq!(after(40, 10), Some(57_750));
    assert_eq!(after(40, 11), Some(58_750));
    assert_eq!(after(40, 40), Some(60_750));
    assert_eq!(after(40, 41), None, "never");
    assert_eq!(after(20, 1), Some(59_750), "a limit that was lowered waits for all above it");
    assert_eq!(Window::default().lease(0, &ask(1, 0, 1)).free_after, None, "nothing is counted");
}

#[test]
fn units_go_back_to_their_bucket_and_never_below_none() {
    let mut window = Window::default();
    let first = window.lease(START_MS, &ask(100, 30, 1));
    let second = window.lease(START_MS + 1_000, &ask(100, 30, 1));
    window.give_back(START_MS + 1_000, first.stamp, 10);
    assert_eq!(window.sum(), 50);
    window.give_back(START_MS + 1_000, first.stamp, i64::MAX);
    assert_eq!(window.sum(), 30);
    // The first bucket is empty, the second one has left.
    window.give_back(START_MS + 1_000, first.stamp, 1);
    window.give_back(START_MS + 61_750, second.stamp, 1);
    assert_eq!(window.sum(), 0);
    assert!(window.buckets.is_empty());
}

#[test]
fn what_was_used_beyond_a_lease_counts_from_now() {
    let mut window = Window::default();
    let lease = window.lease(START_MS, &ask(100, 10, 1));
    window.give_back(START_MS + 30_000, lease.stamp, -200);
    let short = window.lease(START_MS + 30_000, &ask(100, 1, 1));
    assert_eq!((short.granted, short.left), (0, 0));
    assert_eq!(short.free_after, Some(Duration::from_millis(60_250)));
    window.give_back(START_MS + 30_000, lease.stamp, i64::MIN);
    assert_eq!(window.sum(), UNITS_MAX);
}

#[test]
fn after_the_clock_went_back_a_window_is_no_longer_than_before() {
    let mut window = Window::default();
    assert_eq!(granted(&mut window, START_MS + 3_600_000, ask(10, 10, 10)), 10);
    let refused = window.lease(START_MS, &ask(10, 10, 10));
    assert_eq!((refused.granted, refused.left), (0, 0));
    assert_eq!(refused.free_after, Some(Duration::from_millis(60_750)));
    assert_eq!(granted(&mut window, START_MS + 60_750, ask(10, 10, 10)), 10);
}

#[test]
fn a_steady_overload_uses_98_percent_of_the_limit() {
    const MINUTES: u64 = 240;
    for (limit, want, poll_ms) in [(50, 1, 50), (50, 50, 50), (600, 20, 100), (7, 3, 37)] {
        let mut window = Window::default();
        let used: u64 = (0..MINUTES * WINDOW_MS / poll_ms)
            .map(|turn| granted(&mut window, START_MS + turn * poll_ms, ask(limit, want, 1)))
            .sum();
        // The first burst comes early by up to a window: 1 of these minutes, 4 thousandths.
        let share = used * 1_000 / (limit * MINUTES);
        assert!(share >= 980 + 4, "limit {limit}: {share} thousandths");
    }
}

/// What may happen to a window.
#[derive(Clone, Debug)]
enum Act {
    Wait {
        ms: u64,
    },
    /// The clock goes back.
    Jump {
        ms: u64,
    },
    Ask {
        limit: u64,
        want: u64,
        at_least: u64,
    },
    /// Gives back to one of the leases so far.
    GiveBack {
        lease: usize,
        units: i64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0_u64..2_000).prop_map(|ms| Act::Wait { ms }),
        1 => (0_u64..70_000).prop_map(|ms| Act::Wait { ms }),
        6 => (0_u64..120, 0_u64..80, 0_u64..60)
            .prop_map(|(limit, want, at_least)| Act::Ask { limit, want, at_least }),
        2 => (any::<usize>(), -40_i64..40)
            .prop_map(|(lease, units)| Act::GiveBack { lease, units }),
    ]
}

fn act_or_jump() -> impl Strategy<Value = Act> {
    prop_oneof![20 => act(), 1 => (0_u64..90_000).prop_map(|ms| Act::Jump { ms })]
}

fn bucket_end_ms(at_ms: u64) -> u64 {
    (at_ms / BUCKET_MS + 1) * BUCKET_MS
}

/// The window as slowly as can be: each unit by itself, with the time until which it may be used.
#[derive(Default)]
struct Oracle {
    latest_uses_ms: Vec<u64>,
}

impl Oracle {
    fn counts(latest_use_ms: u64, now_ms: u64) -> bool {
        bucket_end_ms(latest_use_ms) + WINDOW_MS > now_ms
    }

    fn forget(&mut self, now_ms: u64) {
        self.latest_uses_ms.retain(|latest| Self::counts(*latest, now_ms));
        for latest in &mut self.latest_uses_ms {
            if *latest / BUCKET_MS > (now_ms + LEASE_MS) / BUCKET_MS {
                *latest = now_ms + LEASE_MS;
            }
        }
    }

    fn lease(&mut self, now_ms: u64, ask: &LeaseAsk) -> (u64, u64, Option<u64>) {
        self.forget(now_ms);
        let free = |uses: &[u64]| ask.limit.saturating_sub(u64::try_from(uses.len()).unwrap());
        let before = free(&self.latest_uses_ms);
        // The most that fits each rule, found by trying all.
        let granted = (1..=ask.want)
            .filter(|units| *units <= before && ask.at_least <= before)
            .filter(|units| *units <= ask.at_least || *units * 2 <= before + 1)
            .max()
            .unwrap_or(0);
        for _ in 0..granted {
            self.latest_uses_ms.push(now_ms + LEASE_MS);
        }
        // The only moments at which anything changes.
        let ends = self.latest_uses_ms.iter().map(|latest| bucket_end_ms(*latest) + WINDOW_MS);
        let enough = |at_ms: &u64| {
            let gone = self.latest_uses_ms.iter().filter(|latest| !Self::counts(**latest, *at_ms));
            gone.count() + usize::try_from(ask.limit).unwrap()
                >= self.latest_uses_ms.len() + usize::try_from(ask.at_least.max(1)).unwrap()
        };
        let can_be = ask.limit >= ask.at_least.max(1);
        let free_after = ends.filter(enough).min().filter(|_| can_be).map(|at_ms| at_ms - now_ms);
        (granted, free(&self.latest_uses_ms), free_after)
    }

    fn give_back(&mut self, now_ms: u64, stamp: Stamp, units: i64) {
        self.forget(now_ms);
        for _ in 0..units.min(0).unsigned_abs() {
            self.latest_uses_ms.push(now_ms);
        }
        for _ in 0..units.max(0) {
            let of_lease =
                |latest: &u64| latest / BUCKET_MS == stamp.0 && Self::counts(*latest, now_ms);
            if let Some(at) = self.latest_uses_ms.iter().position(of_lease) {
                self.latest_uses_ms.swap_remove(at);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_window_answers_as_a_list_of_single_units_does(acts in vec(act_or_jump(), 1..60)) {
        let (mut window, mut oracle) = (Window::default(), Oracle::default());
        let mut now_ms = START_MS;
        let mut stamps = Vec::new();
        for act in acts {
            match act {
                Act::Wait { ms } => now_ms += ms,
                Act::Jump { ms } => now_ms -= ms,
                Act::Ask { limit, want, at_least } => {
                    let ask = ask(limit, want, at_least);
                    let lease = window.lease(now_ms, &ask);
                    let free_after = lease.free_after.map(|wait| wait.as_millis().try_into().unwrap());
                    let answer = (lease.granted, lease.left, free_after);
                    prop_assert_eq!(answer, oracle.lease(now_ms, &ask));
                    stamps.push(lease.stamp);
                }
                Act::GiveBack { lease, units } if !stamps.is_empty() => {
                    let stamp = stamps[lease % stamps.len()];
                    window.give_back(now_ms, stamp, units);
                    oracle.give_back(now_ms, stamp, units);
                }
                Act::GiveBack { .. } => {}
            }
        }
    }

    /// Askers use their units whenever they like within the lease, give some of the rest back, and
    /// keep the others for themselves.
    #[test]
    fn no_60_s_hold_more_uses_than_the_limit(
        limit in 1_u64..40,
        turns in vec((0_u64..3_000, 1_u64..30, 0_u64..10, 0_u64..=LEASE_MS, 0_u64..30, 0_u64..5), 1..120),
    ) {
        let mut window = Window::default();
        let mut now_ms = START_MS;
        let mut uses_ms = Vec::new();
        for (wait_ms, want, at_least, use_after_ms, used, kept) in turns {
            now_ms += wait_ms;
            let lease = window.lease(now_ms, &ask(limit, want, at_least));
            let used = used.min(lease.granted);
            uses_ms.extend((0..used).map(|unit| now_ms + use_after_ms * (unit + 1) / used));
            let unused = (lease.granted - used).saturating_sub(kept);
            window.give_back(now_ms, lease.stamp, unused.try_into().unwrap());
        }
        for first_ms in &uses_ms {
            let in_window = |at: &&u64| (*first_ms..first_ms + WINDOW_MS).contains(*at);
            let used = uses_ms.iter().filter(in_window).count();
            prop_assert!(u64::try_from(used).unwrap() <= limit, "{used} from {first_ms}");
        }
    }

    #[test]
    fn nothing_overflows(
        limit in any::<u64>(), want in any::<u64>(), at_least in any::<u64>(),
        units in any::<i64>(), now_ms in any::<u64>(),
    ) {
        let mut window = Window::default();
        for _ in 0..3 {
            let lease = window.lease(now_ms, &ask(limit, want, at_least));
            prop_assert!(lease.granted + lease.left <= UNITS_MAX);
            window.give_back(now_ms, lease.stamp, units);
        }
    }
}
