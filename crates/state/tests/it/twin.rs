//! The scripts and their twins in Rust, where only a clock could bring the difference out: what lies
//! in Redis is written by hand.

use std::collections::HashMap;

use fluxgate_core::redis_keys::{quota_slots, quota_window};
use fluxgate_core::{Measure, QuotaScope};
use fluxgate_state::window::{BUCKET_MS, Window};
use fluxgate_state::{Held, Return};
use redis::cmd;

use crate::place::{Place, fresh_scope, requests};
use crate::raw::Raw;
use crate::suite::{agree, began_ms};

/// The window's buckets in Redis, written by a clock that was right, slow, or fast: some have left
/// the window, some lie in the future.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_of_any_age_are_read_as_by_the_window() {
    let place = Place::redis();
    let Place::Redis(url) = &place else { unreachable!() };
    let (state, raw) = (place.replica("one").await, Raw::open(url).await);
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..150 {
        let scope = fresh_scope();
        let now_bucket = raw.now_ms().await / BUCKET_MS;
        let newest = match random.u8(0..4) {
            0 => now_bucket + random.u64(0..14_400),
            1 => now_bucket + random.u64(0..40),
            _ => now_bucket - random.u64(0..240),
        };
        let buckets = (0..240).map(|age| newest - age).filter(|_| random.u8(0..3) > 0);
        let buckets: Vec<u64> = buckets.collect();
        let mut window = write_window(&raw, &scope, &buckets, &mut random).await;
        for _ in 0..4 {
            let limit = random.u64(1..4_000);
            let ask = requests(limit, random.u64(0..200), random.u64(0..100));
            let answer = state.lease(&scope, &[ask]).await.unwrap()[0];
            agree(&mut window, &ask, &answer);
            let units = random.i64(0..100);
            let back = Return { measure: Measure::Requests, stamp: answer.stamp, units };
            state.give_back(&scope, &[back]).await.unwrap();
            window.give_back(began_ms(answer.stamp), answer.stamp, units);
        }
        let key = quota_window(&scope, Measure::Requests);
        let mut left: HashMap<String, u64> = raw.ask(&["HGETALL", &key]).await;
        let told = left.remove("sum").unwrap_or(0);
        left.remove("oldest");
        left.remove("newest");
        assert_eq!(told, left.values().sum::<u64>());
        assert_eq!(told, window.sum(), "what has left the window is gone from Redis too");
    }
}

/// The same use in Redis and in a window of ours.
async fn write_window(
    raw: &Raw,
    scope: &QuotaScope,
    newest_first: &[u64],
    random: &mut fastrand::Rng,
) -> Window {
    let mut window = Window::default();
    let stamp = window.lease(0, &requests(0, 0, 0)).stamp;
    let mut command = cmd("HSET");
    command.arg(quota_window(scope, Measure::Requests));
    for bucket in newest_first.iter().rev() {
        let units = random.i64(1..20);
        command.arg(bucket).arg(units);
        window.give_back(bucket * BUCKET_MS, stamp, -units);
    }
    command.arg("sum").arg(window.sum());
    command.arg("oldest").arg(newest_first.last()).arg("newest").arg(newest_first.first());
    let () = raw.run(&command).await;
    window
}

#[tokio::test]
async fn a_bucket_that_has_left_the_window_takes_nothing_back() {
    let place = Place::redis();
    let Place::Redis(url) = &place else { unreachable!() };
    let (state, raw) = (place.replica("one").await, Raw::open(url).await);
    let scope = fresh_scope();
    let key = quota_window(&scope, Measure::Requests);
    let stamp = state.lease(&scope, &[requests(10, 10, 10)]).await.unwrap()[0].stamp;
    let back = Return { measure: Measure::Requests, stamp, units: 3 };
    state.give_back(&scope, &[back]).await.unwrap();
    assert_eq!(raw.ask::<u64>(&["HGET", &key, &stamp.bucket().to_string()]).await, 7);
    let () = raw.ask(&["DEL", &key]).await;
    state.give_back(&scope, &[back]).await.unwrap();
    assert!(!raw.ask::<bool>(&["EXISTS", &key]).await, "nothing comes into being by it");
}

#[tokio::test]
async fn what_is_kept_goes_by_itself() {
    let place = Place::redis();
    let Place::Redis(url) = &place else { unreachable!() };
    let (state, raw) = (place.replica("one").await, Raw::open(url).await);
    let scope = fresh_scope();
    let (key, slots) = (quota_window(&scope, Measure::Requests), quota_slots(&scope));
    let ttl_ms = async |key: &str| raw.ask::<i64>(&["PTTL", key]).await;
    let stamp = state.lease(&scope, &[requests(10, 1, 1)]).await.unwrap()[0].stamp;
    assert!((55_000..=61_000).contains(&ttl_ms(&key).await));
    let () = raw.ask(&["DEL", &key]).await;
    let charge = Return { measure: Measure::Requests, stamp, units: -1 };
    state.give_back(&scope, &[charge]).await.unwrap();
    assert!((55_000..=61_000).contains(&ttl_ms(&key).await), "after a charge too");
    state.hold(&scope, 3, 1).await.unwrap();
    assert!((1..=6_000).contains(&ttl_ms(&slots).await));
    state.hold(&scope, 3, 0).await.unwrap();
    assert!(!raw.ask::<bool>(&["EXISTS", &slots]).await);
}

#[tokio::test]
async fn slots_of_a_dead_replica_lapse_in_redis() {
    let place = Place::redis();
    let Place::Redis(url) = &place else { unreachable!() };
    let (state, raw) = (place.replica("alive").await, Raw::open(url).await);
    let scope = fresh_scope();
    let now_ms = raw.now_ms().await;
    let holders = [
        ("dead", format!("2:{}", now_ms - 1)),
        ("dying", format!("3:{}", now_ms + 400)),
        ("of another clock", format!("1:{}", now_ms + 86_400_000)),
    ];
    for (replica, value) in &holders {
        let () = raw.ask(&["HSET", &quota_slots(&scope), replica, value]).await;
    }
    assert_eq!(state.hold(&scope, 10, 10).await.unwrap(), Held { granted: 6, left: 0 });
    tokio::time::sleep(std::time::Duration::from_millis(450)).await;
    assert_eq!(state.hold(&scope, 10, 10).await.unwrap(), Held { granted: 9, left: 0 });
    let value: String = raw.ask(&["HGET", &quota_slots(&scope), "of another clock"]).await;
    let expires_ms: u64 = value.strip_prefix("1:").unwrap().parse().unwrap();
    assert!(expires_ms <= raw.now_ms().await + 6_000, "nobody holds on for a day");
}

/// A scope of end users may be named anything; its text is a key's all the same.
#[tokio::test]
async fn scopes_of_any_name_are_counted() {
    let state = Place::redis().replica("one").await;
    for name in ["}{", "{}", "a b\"c", "ü%7B", "*"] {
        let subject = format!("end:abcDEF012345:{name}").parse().unwrap();
        let scope = QuotaScope::Subject(subject);
        for granted in [10, 0] {
            let lease = state.lease(&scope, &[requests(10, 10, 10)]).await.unwrap()[0];
            assert_eq!(lease.granted, granted, "{name}");
        }
    }
}
