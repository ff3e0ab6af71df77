//! What both implementations do.

use std::time::Duration;

use fluxgate_core::{Measure, QuotaScope};
use fluxgate_state::window::{BUCKET_MS, LEASE_MS, Window};
use fluxgate_state::{HOLD, Held, Lease, LeaseAsk, Return, Stamp, State, UNITS_MAX};
use tokio::time::{Instant, sleep, timeout};

use crate::place::{Place, fresh_scope, requests, tokens};

/// Each test once on either implementation. In-process the time stands still but for sleeps.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod in_process {
            $(#[tokio::test(start_paused = true)]
            async fn $test() {
                super::$test(crate::place::Place::in_process()).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::place::Place::redis()).await;
            })+
        }
    };
}

on_both!(
    a_lease_gives_what_is_free,
    what_comes_back_is_free_again,
    what_was_used_beyond_a_lease_counts,
    a_give_back_for_another_measure_changes_nothing,
    measures_and_scopes_are_counted_apart,
    the_greatest_numbers_are_taken,
    no_asks_are_no_answers,
    four_askers_at_once_take_the_whole_limit_and_no_more,
    random_sequences_are_answered_as_by_the_window,
    slots_are_held_by_one_replica_at_a_time,
    a_lower_limit_of_slots_counts_at_the_next_renewal,
);

async fn lease(state: &State, scope: &QuotaScope, ask: LeaseAsk) -> Lease {
    state.lease(scope, &[ask]).await.unwrap()[0]
}

async fn give_back(state: &State, scope: &QuotaScope, stamp: Stamp, units: i64) {
    let back = Return { measure: Measure::Requests, stamp, units };
    state.give_back(scope, &[back]).await.unwrap();
}

async fn a_lease_gives_what_is_free(place: Place) {
    let (one, other) = (place.replica("one").await, place.replica("other").await);
    let scope = fresh_scope();
    let first = lease(&one, &scope, requests(100, 40, 1)).await;
    assert_eq!((first.granted, first.left), (40, 60));
    let second = lease(&other, &scope, requests(100, 100, 1)).await;
    assert_eq!((second.granted, second.left), (30, 30), "half, for there are others");
    let third = lease(&one, &scope, requests(100, 100, 30)).await;
    assert_eq!((third.granted, third.left), (30, 0), "the least isn't halved");
    let refused = lease(&other, &scope, requests(100, 1, 1)).await;
    assert_eq!((refused.granted, refused.left), (0, 0));
    // The first grant leaves the window 60.5 s after it was made, or with its bucket a bit later.
    let free_after = refused.free_after.unwrap();
    let around = Duration::from_secs(54)..=Duration::from_millis(60_750);
    assert!(around.contains(&free_after), "{free_after:?}");
}

async fn what_comes_back_is_free_again(place: Place) {
    let state = place.replica("one").await;
    let scope = fresh_scope();
    let first = lease(&state, &scope, requests(10, 10, 10)).await;
    give_back(&state, &scope, first.stamp, 4).await;
    assert_eq!(lease(&state, &scope, requests(10, 0, 0)).await.left, 4);
    give_back(&state, &scope, first.stamp, 100).await;
    give_back(&state, &scope, first.stamp, 100).await;
    let empty = lease(&state, &scope, requests(10, 0, 0)).await;
    assert_eq!((empty.left, empty.free_after), (10, None));
}

async fn what_was_used_beyond_a_lease_counts(place: Place) {
    let state = place.replica("one").await;
    let scope = fresh_scope();
    let first = lease(&state, &scope, requests(100, 10, 1)).await;
    give_back(&state, &scope, first.stamp, -50).await;
    assert_eq!(lease(&state, &scope, requests(100, 0, 0)).await.left, 40);
    give_back(&state, &scope, first.stamp, -1_000).await;
    let refused = lease(&state, &scope, requests(100, 1, 1)).await;
    assert_eq!((refused.granted, refused.left), (0, 0));
}

async fn a_give_back_for_another_measure_changes_nothing(place: Place) {
    let state = place.replica("one").await;
    let scope = fresh_scope();
    let first = lease(&state, &scope, tokens(10, 10, 10)).await;
    give_back(&state, &scope, first.stamp, 10).await;
    assert_eq!(lease(&state, &scope, tokens(10, 1, 1)).await.granted, 0);
}

async fn measures_and_scopes_are_counted_apart(place: Place) {
    let state = place.replica("one").await;
    let (scope, another) = (fresh_scope(), fresh_scope());
    let asks = [requests(10, 10, 10), tokens(1_000, 600, 600), tokens(1_000, 600, 600)];
    let leases = state.lease(&scope, &asks).await.unwrap();
    let answers: Vec<_> = leases.iter().map(|lease| (lease.granted, lease.left)).collect();
    assert_eq!(answers, [(10, 0), (600, 400), (0, 400)], "in the order of the asks");
    assert_eq!(lease(&state, &another, requests(10, 10, 10)).await.granted, 10);
    let returns = leases[..2].iter().zip([Measure::Requests, Measure::Tokens]);
    let returns: Vec<_> =
        returns.map(|(lease, measure)| Return { measure, stamp: lease.stamp, units: 5 }).collect();
    state.give_back(&scope, &returns).await.unwrap();
    let leases = state.lease(&scope, &[requests(10, 0, 0), tokens(1_000, 0, 0)]).await.unwrap();
    assert_eq!((leases[0].left, leases[1].left), (5, 405));
}

async fn the_greatest_numbers_are_taken(place: Place) {
    let state = place.replica("one").await;
    let scope = fresh_scope();
    let limit = 1_000_000_000_000_000;
    let first = lease(&state, &scope, tokens(limit, limit - 1, limit - 1)).await;
    assert_eq!((first.granted, first.left), (limit - 1, 1));
    let most = lease(&state, &scope, requests(u64::MAX, u64::MAX, u64::MAX)).await;
    assert_eq!((most.granted, most.left), (UNITS_MAX, 0));
    give_back(&state, &scope, most.stamp, i64::MAX).await;
    assert_eq!(lease(&state, &scope, requests(u64::MAX, 0, 0)).await.left, UNITS_MAX);
    for units in [i64::MIN, i64::MIN, i64::MAX] {
        give_back(&state, &scope, most.stamp, units).await;
    }
    let after = lease(&state, &scope, requests(u64::MAX, u64::MAX, 1)).await;
    assert_eq!((after.granted, after.left), (0, 0), "the charge is in another bucket");
}

async fn no_asks_are_no_answers(place: Place) {
    let state = place.replica("one").await;
    assert_eq!(state.lease(&fresh_scope(), &[]).await.unwrap(), []);
    state.give_back(&fresh_scope(), &[]).await.unwrap();
    assert!(state.is_available());
}

async fn four_askers_at_once_take_the_whole_limit_and_no_more(place: Place) {
    const LIMIT: u64 = 50;
    let scope = fresh_scope();
    let askers: Vec<_> = (0..4_u64)
        .map(|asker| {
            let (place, scope) = (place.clone(), scope.clone());
            tokio::spawn(async move {
                let state = place.replica(&format!("asker {asker}")).await;
                let mut taken = 0;
                loop {
                    let lease = lease(&state, &scope, requests(LIMIT, 1 + asker * 3, 1)).await;
                    if lease.granted == 0 {
                        return taken;
                    }
                    // Every third unit is given back and fought for again.
                    let unused = lease.granted / 3;
                    give_back(&state, &scope, lease.stamp, unused.try_into().unwrap()).await;
                    taken += lease.granted - unused;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut taken = 0;
    for asker in askers {
        taken += asker.await.unwrap();
    }
    // An asker may give up while another holds what it will give back.
    let state = place.replica("last").await;
    let left = lease(&state, &scope, requests(LIMIT, LIMIT, 0)).await;
    assert!((45..=LIMIT).contains(&taken), "{taken} taken");
    assert_eq!(taken + left.granted + left.left, LIMIT);
}

/// The window that is asked the same, at the times that the stamps tell.
async fn random_sequences_are_answered_as_by_the_window(place: Place) {
    let state = place.replica("one").await;
    let in_process = matches!(place, Place::InProcess(_));
    let mut random = fastrand::Rng::with_seed(7);
    let mut answers = 0;
    while answers < 500 {
        answers += one_random_sequence(&state, &mut random, in_process).await;
    }
}

/// How many answers were right.
async fn one_random_sequence(state: &State, random: &mut fastrand::Rng, long: bool) -> u32 {
    let scope = fresh_scope();
    let mut window = Window::default();
    let (mut stamps, mut asked_ms) = (Vec::new(), 0);
    let mut answers = 0;
    for _ in 0..80 {
        match random.u8(0..10) {
            0 if long => sleep(Duration::from_millis(random.u64(0..30_000))).await,
            0 => sleep(Duration::from_millis(random.u64(0..8))).await,
            1..7 => {
                let ask = requests(random.u64(0..200), random.u64(0..80), random.u64(0..60));
                let answer = lease(state, &scope, ask).await;
                agree(&mut window, &ask, &answer);
                asked_ms = began_ms(answer.stamp);
                stamps.push(answer.stamp);
                answers += 1;
            }
            7..9 if !stamps.is_empty() => {
                let stamp = stamps[random.usize(..stamps.len())];
                let units = random.i64(0..60);
                give_back(state, &scope, stamp, units).await;
                window.give_back(asked_ms, stamp, units);
            }
            9 => {
                let units = random.i64(1..20);
                let before = lease(state, &scope, requests(0, 0, 0)).await.stamp;
                give_back(state, &scope, before, -units).await;
                let after = lease(state, &scope, requests(0, 0, 0)).await.stamp;
                if before != after {
                    // Nobody can tell which bucket it went to.
                    return answers;
                }
                asked_ms = began_ms(before);
                window.give_back(asked_ms, before, -units);
            }
            _ => {}
        }
    }
    answers
}

pub fn agree(window: &mut Window, ask: &LeaseAsk, answer: &Lease) {
    // All moments within a bucket give the same answer, but for how long it takes.
    let expected = window.lease(began_ms(answer.stamp), ask);
    assert_eq!(
        (answer.granted, answer.left, answer.stamp),
        (expected.granted, expected.left, expected.stamp),
        "{ask:?} {window:?}"
    );
    match (answer.free_after, expected.free_after) {
        (None, None) => {}
        (Some(answer), Some(expected)) => {
            let since_began = expected.checked_sub(answer).expect("no later than that");
            assert!(since_began < Duration::from_millis(BUCKET_MS), "{answer:?} {expected:?}");
        }
        both => panic!("{both:?} for {ask:?} {window:?}"),
    }
}

/// When the bucket began in which a lease was asked for.
pub fn began_ms(stamp: Stamp) -> u64 {
    stamp.bucket() * BUCKET_MS - LEASE_MS
}

async fn slots_are_held_by_one_replica_at_a_time(place: Place) {
    let (one, other) = (place.replica("one").await, place.replica("other").await);
    let scope = fresh_scope();
    let held = |granted, left| Held { granted, left };
    assert_eq!(one.hold(&scope, 5, 3).await.unwrap(), held(3, 2));
    assert_eq!(other.hold(&scope, 5, 4).await.unwrap(), held(2, 0));
    assert_eq!(one.hold(&scope, 5, 5).await.unwrap(), held(3, 0), "its own are its own");
    assert_eq!(one.hold(&scope, 5, 1).await.unwrap(), held(1, 2));
    assert_eq!(other.hold(&scope, 5, 9).await.unwrap(), held(4, 0));
    assert_eq!(one.hold(&scope, 5, 0).await.unwrap(), held(0, 1));
    assert_eq!(other.hold(&scope, 5, 0).await.unwrap(), held(0, 5));
    assert_eq!(one.hold(&fresh_scope(), u32::MAX, u32::MAX).await.unwrap(), held(u32::MAX, 0));
}

async fn a_lower_limit_of_slots_counts_at_the_next_renewal(place: Place) {
    let (one, other) = (place.replica("one").await, place.replica("other").await);
    let scope = fresh_scope();
    assert_eq!(one.hold(&scope, 10, 4).await.unwrap().granted, 4);
    assert_eq!(other.hold(&scope, 10, 4).await.unwrap().granted, 4);
    let lowered = Held { granted: 1, left: 0 };
    assert_eq!(one.hold(&scope, 5, 4).await.unwrap(), lowered);
    assert_eq!(other.hold(&scope, 3, 4).await.unwrap(), Held { granted: 2, left: 0 });
}

/// Askers of ten minutes, at a limit that is far too low for them.
#[tokio::test(start_paused = true)]
async fn ten_minutes_of_overload_use_98_percent_of_the_limit_and_never_more() {
    const LIMIT: usize = 120;
    const MINUTES: u32 = 10;
    let place = Place::in_process();
    let scope = fresh_scope();
    let start = Instant::now();
    let askers: Vec<_> = (0..4)
        .map(|asker| {
            let (place, scope) = (place.clone(), scope.clone());
            tokio::spawn(async move {
                let state = place.replica(&format!("asker {asker}")).await;
                let mut random = fastrand::Rng::with_seed(asker);
                let mut uses = Vec::new();
                while start.elapsed() < MINUTES * Duration::from_secs(60) {
                    let asked = Instant::now();
                    let lease = lease(&state, &scope, requests(120, random.u64(1..9), 1)).await;
                    for _ in 0..lease.granted {
                        // Anywhere within the lease.
                        sleep(Duration::from_millis(random.u64(0..40))).await;
                        assert!(asked.elapsed() <= fluxgate_state::LEASE);
                        uses.push(start.elapsed());
                    }
                    sleep(Duration::from_millis(random.u64(5..60))).await;
                }
                uses
            })
        })
        .collect();
    let mut uses = Vec::new();
    for asker in askers {
        uses.extend(asker.await.unwrap());
    }
    uses.sort();
    for together in uses.windows(LIMIT + 1) {
        let within = together[LIMIT] - together[0];
        assert!(within >= Duration::from_secs(60), "{} uses in {within:?}", LIMIT + 1);
    }
    let share = uses.len() * 1_000 / (LIMIT * 10);
    assert!(share >= 980, "{share} thousandths of the limit");
}

#[tokio::test(start_paused = true)]
async fn slots_of_a_dead_replica_lapse_in_process() {
    let place = Place::in_process();
    let (alive, dead) = (place.replica("alive").await, place.replica("dead").await);
    let scope = fresh_scope();
    assert_eq!(dead.hold(&scope, 3, 3).await.unwrap().granted, 3);
    sleep(HOLD - Duration::from_millis(1)).await;
    assert_eq!(alive.hold(&scope, 3, 3).await.unwrap().granted, 0);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(alive.hold(&scope, 3, 3).await.unwrap().granted, 3);
}

/// The memory of one process is bounded: who used least is forgotten first.
#[tokio::test(start_paused = true)]
async fn strangers_without_number_push_out_strangers_alone() {
    let state = State::in_process();
    let busy = fresh_scope();
    assert_eq!(lease(&state, &busy, requests(10, 10, 10)).await.granted, 10);
    let running = fresh_scope();
    assert_eq!(state.hold(&running, 1, 1).await.unwrap().granted, 1);
    let strangers = async {
        for stranger in 0..220_000_u32 {
            let scope = QuotaScope::Model(stranger.to_string().into());
            lease(&state, &scope, requests(10, 1, 1)).await;
        }
    };
    timeout(Duration::from_secs(1), strangers).await.expect("no time passes");
    assert_eq!(lease(&state, &busy, requests(10, 1, 1)).await.granted, 0);
    assert_eq!(state.hold(&running, 1, 1).await.unwrap(), Held { granted: 1, left: 0 });
    let mut forgotten = 0;
    for stranger in 0..1_000_u32 {
        let scope = QuotaScope::Model(stranger.to_string().into());
        forgotten += u32::from(lease(&state, &scope, requests(10, 0, 0)).await.left == 10);
    }
    assert!((1..500).contains(&forgotten), "{forgotten} of 1,000");
}
