//! Redis frozen, killed, empty, full of somebody else's things: what a call gets, and how it is
//! after that. Each test has a server of its own.

use std::time::{Duration, Instant};

use fluxgate_core::Measure;
use fluxgate_core::redis_keys::quota_window;
use fluxgate_core::secret::SecretUrl;
use fluxgate_state::{CALL_MAX, Return, State, StateError};
use fluxgate_testkit::throwaway::Redis;
use tokio::time::sleep;

use crate::place::{fresh_scope, patient, requests};
use crate::raw::Raw;

/// What an answer may take beyond its limit, on a busy machine.
const SLACK: Duration = Duration::from_millis(15);

async fn connect(redis: &Redis) -> State {
    State::redis(&url(redis), "one").await.unwrap()
}

fn url(redis: &Redis) -> SecretUrl {
    redis.url().parse().unwrap()
}

/// One lease, and how long its answer took.
async fn ask(state: &State) -> (Result<u64, StateError>, Duration) {
    let started = Instant::now();
    let answer = state.lease(&fresh_scope(), &[requests(10, 1, 1)]).await;
    (answer.map(|leases| leases[0].granted), started.elapsed())
}

async fn works(state: &State) -> bool {
    ask(state).await.0.is_ok()
}

/// How long until something holds; fails after `limit`.
async fn until(limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < limit, "not within {limit:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_costs_three_calls_their_time_and_nobody_else_any() {
    let redis = Redis::start();
    let state = connect(&redis).await;
    until(Duration::from_secs(1), async || works(&state).await).await;
    redis.freeze();
    let mut waits = Vec::new();
    let refused = loop {
        match ask(&state).await {
            (Err(StateError::TimedOut), took) => waits.push(took),
            other => break other,
        }
    };
    // The watch may have been one of the three.
    assert!((1..=3).contains(&waits.len()), "{waits:?}");
    assert!(*waits.iter().min().unwrap() < CALL_MAX + SLACK, "{waits:?}");
    assert!(matches!(refused.0, Err(StateError::Unavailable)), "{refused:?}");
    assert!(!state.is_available());
    let started = Instant::now();
    for _ in 0..1_000 {
        assert!(matches!(ask(&state).await.0, Err(StateError::Unavailable)));
    }
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
    // Longer than one try to connect.
    sleep(Duration::from_millis(900)).await;
    assert!(!state.is_available());
    redis.thaw();
    until(Duration::from_secs(2), async || works(&state).await).await;
    assert!(state.is_available());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_is_noticed_though_nobody_calls() {
    let redis = Redis::start();
    let state = connect(&redis).await;
    assert!(state.is_available());
    redis.freeze();
    until(Duration::from_secs(2), async || !state.is_available()).await;
    redis.thaw();
    until(Duration::from_secs(2), async || state.is_available()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_died_and_came_back_empty_is_used_again() {
    let mut redis = Redis::start();
    let state = connect(&redis).await;
    let scope = fresh_scope();
    let asks = [requests(10, 10, 10)];
    let granted = async || Some(state.lease(&scope, &asks).await.ok()?.first()?.granted);
    until(Duration::from_secs(1), async || granted().await == Some(10)).await;
    redis.kill();
    until(Duration::from_secs(1), async || !state.is_available()).await;
    assert!(matches!(ask(&state).await.0, Err(StateError::Unavailable)));
    redis.restart();
    // Neither the scripts nor the counts are there any more.
    until(Duration::from_secs(2), async || granted().await == Some(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_scripts_are_told_again_within_the_call() {
    let redis = Redis::start();
    let state = patient(&redis.url(), "one").await;
    let raw = Raw::open(&redis.url()).await;
    let scope = fresh_scope();
    for _ in 0..2 {
        let () = raw.ask(&["SCRIPT", "FLUSH"]).await;
        let lease = state.lease(&scope, &[requests(10, 1, 1)]).await.unwrap()[0];
        let back = Return { measure: Measure::Requests, stamp: lease.stamp, units: 1 };
        state.give_back(&scope, &[back]).await.unwrap();
        state.hold(&scope, 1, 1).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_one_command_however_much_it_asks_for() {
    let redis = Redis::start();
    let state = patient(&redis.url(), "one").await;
    let raw = Raw::open(&redis.url()).await;
    let scope = fresh_scope();
    let asks = [requests(10, 1, 1); 6];
    state.lease(&scope, &asks).await.unwrap();
    let () = raw.ask(&["CONFIG", "RESETSTAT"]).await;
    state.lease(&scope, &asks).await.unwrap();
    let stats: String = raw.ask(&["INFO", "commandstats"]).await;
    assert!(stats.contains("cmdstat_evalsha:calls=1,"), "{stats}");
    assert!(!stats.contains("cmdstat_eval:"), "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_at_the_start_is_used_once_it_is_there() {
    let mut redis = Redis::start();
    redis.kill();
    let started = Instant::now();
    let state = connect(&redis).await;
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(!state.is_available());
    assert!(matches!(ask(&state).await.0, Err(StateError::Unavailable)));
    redis.restart();
    until(Duration::from_secs(2), async || works(&state).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_whose_answer_was_lost_counts_there_and_not_here() {
    let redis = Redis::start();
    let (hasty, patient) = (connect(&redis).await, patient(&redis.url(), "other").await);
    until(Duration::from_secs(1), async || works(&hasty).await).await;
    let scope = fresh_scope();
    redis.freeze();
    let lost = hasty.lease(&scope, &[requests(10, 4, 4)]).await;
    redis.thaw();
    assert!(matches!(lost, Err(StateError::TimedOut)), "{lost:?}");
    // The two came on connections of their own: either may be served first.
    until(Duration::from_secs(1), async || {
        patient.lease(&scope, &[requests(10, 0, 0)]).await.unwrap()[0].left == 6
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_redis_is_told_and_closes_nothing() {
    let redis = Redis::start();
    let state = patient(&redis.url(), "one").await;
    let raw = Raw::open(&redis.url()).await;
    let scope = fresh_scope();
    let () = raw.ask(&["SET", &quota_window(&scope, Measure::Requests), "not a hash"]).await;
    for _ in 0..5 {
        let refused = state.lease(&scope, &[requests(10, 1, 1)]).await.unwrap_err();
        let StateError::Refused(cause) = &refused else { panic!("{refused:?}") };
        assert!(cause.to_string().contains("WRONGTYPE"), "{cause}");
    }
    assert!(state.is_available());
    assert!(works(&state).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_few_rights_is_enough() {
    let redis = Redis::start();
    let raw = Raw::open(&redis.url()).await;
    let rights = "+ping +eval +evalsha +time +hget +hmget +hgetall +hset +hdel +pexpire";
    let mut user = vec!["ACL", "SETUSER", "fluxgate", "on", ">p4ss", "resetkeys", "~fluxgate:*"];
    user.extend(rights.split(' '));
    let () = raw.ask(&user).await;
    let () = raw.ask(&["ACL", "SETUSER", "default", "off"]).await;
    let url = redis.url().replace("redis://", "redis://fluxgate:p4ss@");
    let state = patient(&url, "one").await;
    let scope = fresh_scope();
    let lease = state.lease(&scope, &[requests(10, 2, 1)]).await.unwrap()[0];
    for units in [1, -1] {
        let back = Return { measure: Measure::Requests, stamp: lease.stamp, units };
        state.give_back(&scope, &[back]).await.unwrap();
    }
    for want in [1, 0] {
        state.hold(&scope, 1, want).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_of_something_else_is_an_error() {
    let url: SecretUrl = "http://127.0.0.1/".parse().unwrap();
    assert!(matches!(State::redis(&url, "one").await, Err(StateError::Refused(_))));
}
