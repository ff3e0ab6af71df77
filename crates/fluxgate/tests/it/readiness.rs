//! What `readyz` says when a store fails, and when it is back.

use std::time::{Duration, Instant};

use fluxgate_testkit::throwaway::Redis;
use serde_json::Value;

use crate::command::{Folder, Up, wait_until};
use crate::http;

/// How soon a frozen or dead Redis is noticed, and how soon one that is back is used.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// For the questions of the test itself.
const MARGIN: Duration = Duration::from_millis(200);

fn readiness(up: &Up) -> Value {
    let rest = http::get(up.address("metrics"), "/readyz").rest();
    serde_json::from_str(&rest).unwrap()
}

/// Waits for the answer, and says how long it took.
fn until_status(up: &Up, status: u16) -> Duration {
    let since = Instant::now();
    wait_until("readyz changes", || {
        (http::get(up.address("web"), "/readyz").status == status).then_some(())
    });
    since.elapsed()
}

#[test]
fn a_frozen_and_a_dead_redis_are_named_and_used_again_once_they_are_back() {
    let mut redis = Redis::start();
    let folder = Folder::new();
    let up = folder.up_with(&[], &[("REDIS_URL", &redis.url())]);
    until_status(&up, 200);
    assert_eq!(readiness(&up)["redis"], "up");

    redis.freeze();
    assert!(until_status(&up, 503) < NOTICED_WITHIN + MARGIN);
    let frozen = readiness(&up);
    assert_eq!((&frozen["ready"], &frozen["failing"]), (&false.into(), &vec!["redis"].into()));
    redis.thaw();
    assert!(until_status(&up, 200) < BACK_WITHIN + MARGIN);

    redis.kill();
    assert!(until_status(&up, 503) < NOTICED_WITHIN + MARGIN);
    let status = http::chat(up.address("web"), &folder.first_key()).status;
    assert_eq!(status, 200, "it serves without Redis");
    redis.restart();
    assert!(until_status(&up, 200) < BACK_WITHIN + MARGIN);
}

#[test]
fn the_public_answer_names_nothing() {
    let folder = Folder::new();
    let up = folder.up(&[]);
    until_status(&up, 200);
    assert_eq!(http::get(up.address("web"), "/readyz").rest(), "");
    let named = readiness(&up);
    assert_eq!((&named["database"], &named["redis"]), (&"up".into(), &"off".into()));
}
