//! Keys as requests use them: while the accounts database is well, frozen, dead and back, and while
//! somebody guesses.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::{SubsecRound, Utc};
use fluxgate_testkit::fault_proxy::{FaultProxy, Mode};
use fluxgate_testkit::throwaway::Postgres;
use fluxgate_testkit::wire::{self, Answer};
use fluxgate_testkit::{Plan, TestStack};
use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::forged_key::forged_key;

const CHAT: &str = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;
/// In which a dead store is noticed (2 s), with room for a busy machine.
const NOTICED: Duration = Duration::from_millis(2_500);
/// In which it is used again after its return.
const USED_AGAIN: Duration = Duration::from_secs(5);
/// A request that waits for no store takes far less.
const AT_ONCE: Duration = Duration::from_millis(50);

async fn chat(stack: &TestStack, key: &str) -> Answer {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str())];
    wire::ask(
        stack.clear,
        &wire::request("POST", "/v1/chat/completions", &headers, CHAT.as_bytes()),
    )
    .await
}

#[track_caller]
fn assert_code(answer: &Answer, status: u16, code: &str) {
    let error = answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
    assert_eq!((answer.status, error.as_str()), (status, code), "{}", answer.text());
}

/// Asks again and again until it holds.
async fn soon<F: Future<Output = bool>>(limit: Duration, what: &str, holds: impl Fn() -> F) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Revokes by the part of the key that is its id.
async fn revoke(stack: &TestStack, key: &str) {
    let answer = stack.operator("DELETE", &format!("/api/v1/keys/{}", &key[6..18]), "").await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

#[tokio::test]
async fn on_a_shared_sqlite_file_a_key_of_one_replica_opens_the_other_until_it_is_revoked() {
    let mut one = TestStack::start().await;
    let url = format!("sqlite://{}/accounts.db", one.folder.path().display());
    let mut other = Plan::default().database(&url).start().await;
    let key = one.create_key("laptop").await;
    for stack in [&one, &other] {
        assert_eq!(chat(stack, &key).await.status, 200);
    }
    revoke(&one, &key).await;
    assert_code(&chat(&one, &key).await, 401, "key_revoked");
    soon(Duration::from_secs(1), "the other replica refuses it", async || {
        chat(&other, &key).await.status == 401
    })
    .await;
    assert_code(&chat(&other, &key).await, 401, "key_revoked");
    other.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn a_key_that_was_unknown_a_moment_ago_is_known_once_it_is_made() {
    let stack = TestStack::start().await;
    for round in 0..3 {
        assert_code(&chat(&stack, &forged_key(round)).await, 401, "invalid_api_key");
        let key = stack.create_key("new").await;
        assert_eq!(chat(&stack, &key).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_serves_until_it_expires() {
    let stack = TestStack::start().await;
    let end = (Utc::now() + Duration::from_millis(1_500)).trunc_subsecs(3);
    let body = json!({ "name": "guest", "expires_at": end }).to_string();
    let created = stack.operator("POST", "/api/v1/keys", &body).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let key = created.json()["key"].as_str().unwrap().to_owned();
    let mut served = 0;
    loop {
        let (before, answer, after) = (Utc::now(), chat(&stack, &key).await, Utc::now());
        if answer.status == 200 {
            assert!(before < end, "served after its end");
            served += 1;
        } else {
            assert_code(&answer, 401, "key_expired");
            assert!(after >= end, "refused before its end");
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(served > 0, "it served before");
}

#[tokio::test]
async fn first_uses_at_the_same_time_share_one_look_up() {
    let server = Postgres::start();
    let url = server.create_database();
    let target = ([127, 0, 0, 1], server.port()).into();
    let proxy = FaultProxy::start(target).await;
    let url = url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.addr.port()));
    let stack = Plan::default().database(&url).start().await;
    let (first, second) = (stack.create_key("first").await, stack.create_key("second").await);

    // Each way takes 40 ms more, so that a look-up takes a few tenths of a second: a hundred of them
    // over the store's few connections would take seconds.
    proxy.set(Mode::Delay(Duration::from_millis(40)));
    let alone = Instant::now();
    assert_eq!(chat(&stack, &first).await.status, 200);
    let alone = alone.elapsed();
    let together = Instant::now();
    let answers = join_all((0..100).map(|_| chat(&stack, &second))).await;
    let together = together.elapsed();
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(together < 3 * alone + Duration::from_millis(500), "{together:?}, one alone {alone:?}");
}

/// Guesses from an address of their own, one after the other, until it is dropped.
async fn guess_forever(to: SocketAddr, first: u32) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 9], 0).into()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let mut answer = [0; 4_096];
    for number in first.. {
        let authorization = format!("Bearer {}", forged_key(number));
        let guess = wire::request("GET", "/v1/models", &[("authorization", &authorization)], b"");
        stream.write_all(&guess).await.unwrap();
        // Answers are small: each comes in one piece.
        assert!(stream.read(&mut answer).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_stranger_who_guesses_keeps_nobody_elses_new_key_out() {
    let stack = TestStack::start().await;
    let guessing: Vec<_> = (0..4)
        .map(|part| tokio::spawn(guess_forever(stack.clear, 1_000_000 * (part + 1))))
        .collect();
    let refused = r#"reason="key_check_unavailable""#;
    soon(Duration::from_secs(5), "the guesser's budget is spent", async || {
        stack.metric("fluxgate_refusals_total", &[refused]).await > 100.0
    })
    .await;
    for _ in 0..20 {
        let key = stack.create_key("new").await;
        assert_eq!(chat(&stack, &key).await.status, 200);
    }
    for one in guessing {
        assert!(!one.is_finished(), "it guesses all the time");
        one.abort();
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_a_budget_of_guesses_and_else_none_is_believed() {
    for (trusted, believed) in [("127.0.0.0/8", true), ("192.0.2.0/24", false)] {
        let stack = Plan::default().set("listen.trusted_proxies", trusted).start().await;
        let guess = async |number, told: &str| {
            let authorization = format!("Bearer {}", forged_key(number));
            let headers = [("authorization", authorization.as_str()), ("x-forwarded-for", told)];
            wire::ask(stack.clear, &wire::request("GET", "/v1/models", &headers, b"")).await.status
        };
        let mut number = 0;
        while guess(number, "203.0.113.9, 198.51.100.1").await == 401 {
            number += 1;
            assert!(number < 1_000, "its budget is spent at last");
        }
        // Several: in the time that one takes, a guess more may have become free.
        let mut refused = false;
        for more in 1..=20 {
            refused |= guess(number + more, "203.0.113.9, 198.51.100.2").await == 503;
        }
        assert_eq!(refused, !believed);
    }
}

#[tokio::test]
async fn guesses_are_bounded_and_whoever_has_a_key_is_served() {
    let stack = TestStack::start().await;
    assert_eq!(chat(&stack, &stack.key).await.status, 200);
    let mut statuses = Vec::new();
    for number in 0..300 {
        let answer = chat(&stack, &forged_key(number)).await;
        match answer.status {
            401 => assert_code(&answer, 401, "invalid_api_key"),
            _ => {
                assert_code(&answer, 503, "key_check_unavailable");
                assert!(answer.header("retry-after").is_some());
            }
        }
        statuses.push(answer.status);
        if number % 10 == 0 {
            assert_eq!(chat(&stack, &stack.key).await.status, 200, "after {number} guesses");
        }
    }
    assert!(statuses[..50].iter().all(|status| *status == 401), "a few mistakes are told as such");
    assert!(statuses.contains(&503), "300 guesses at once are more than are looked up");
    // A guess that is made again costs no look-up.
    for _ in 0..50 {
        assert_code(&chat(&stack, &forged_key(1)).await, 401, "invalid_api_key");
    }
    let new = stack.create_key("new").await;
    soon(Duration::from_secs(2), "a new key is served", async || {
        chat(&stack, &new).await.status == 200
    })
    .await;
}

/// What must hold from the moment the database is away until it is back.
async fn known_keys_are_served_and_others_are_503(stack: &TestStack, unused: &str) {
    let mut times = Vec::new();
    for _ in 0..40 {
        let since = Instant::now();
        assert_eq!(chat(stack, &stack.key).await.status, 200);
        times.push(since.elapsed());
    }
    times.sort_unstable();
    assert!(times[36] < AT_ONCE, "a known key waits: {times:?}");

    let (forged, ready) = (forged_key(9), wire::request("GET", "/readyz", &[], b""));
    let since = Instant::now();
    let readiness = wire::request("GET", "/readyz", &[], b"");
    let (one, other, listing) = tokio::join!(
        chat(stack, unused),
        chat(stack, &forged),
        wire::ask(stack.metrics, &readiness),
    );
    assert!(since.elapsed() < NOTICED, "{:?}", since.elapsed());
    for answer in [one, other] {
        assert_code(&answer, 503, "key_check_unavailable");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(listing.status, 503);
    assert_eq!(listing.json()["failing"], json!(["database"]), "{}", listing.text());
    let public = wire::ask(stack.clear, &ready).await;
    assert_eq!((public.status, public.body.len()), (503, 0), "strangers get the status alone");
    assert_eq!(chat(stack, &stack.key).await.status, 200);
}

async fn all_is_well_again(stack: &TestStack, unused: &str) {
    let since = Instant::now();
    soon(USED_AGAIN, "a key that wasn't known is served", async || {
        let answer = chat(stack, unused).await;
        assert_ne!(answer.status, 401, "a good key is never called wrong");
        answer.status == 200
    })
    .await;
    soon(USED_AGAIN, "readyz", async || {
        wire::ask(stack.metrics, &wire::request("GET", "/readyz", &[], b"")).await.status == 200
    })
    .await;
    assert_code(&chat(stack, &forged_key(10)).await, 401, "invalid_api_key");
    let new = stack.create_key("afterwards").await;
    assert_eq!(chat(stack, &new).await.status, 200);
    assert!(since.elapsed() < USED_AGAIN, "{:?}", since.elapsed());
}

#[tokio::test]
async fn while_the_database_is_frozen_known_keys_are_served_and_afterwards_all_are() {
    let server = Postgres::start();
    let mut stack = Plan::default().database(&server.create_database()).start().await;
    let unused = [stack.create_key("unused").await, stack.create_key("unused too").await];
    let revoked = stack.create_key("revoked").await;
    for key in [&stack.key, &revoked] {
        assert_eq!(chat(&stack, key).await.status, 200);
    }
    for unused in &unused {
        server.freeze();
        known_keys_are_served_and_others_are_503(&stack, unused).await;
        server.thaw();
        all_is_well_again(&stack, unused).await;
    }
    revoke(&stack, &revoked).await;
    assert_code(&chat(&stack, &revoked).await, 401, "key_revoked");
    stack.stop().await;
}

#[tokio::test]
async fn while_the_database_is_dead_known_keys_are_served_and_afterwards_all_are() {
    let mut server = Postgres::start();
    let mut stack = Plan::default().database(&server.create_database()).start().await;
    let unused = stack.create_key("unused").await;
    assert_eq!(chat(&stack, &stack.key).await.status, 200);
    server.kill();
    known_keys_are_served_and_others_are_503(&stack, &unused).await;
    server.restart();
    all_is_well_again(&stack, &unused).await;
    stack.stop().await;
}

#[tokio::test]
async fn a_key_revoked_elsewhere_while_the_database_was_frozen_here_is_refused_after_it() {
    let server = Postgres::start();
    let url = server.create_database();
    let proxy = FaultProxy::start(([127, 0, 0, 1], server.port()).into()).await;
    let through = url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.addr.port()));
    let here = Plan::default().database(&through).start().await;
    let elsewhere = Plan::default().database(&url).start().await;
    let key = elsewhere.create_key("laptop").await;
    assert_eq!(chat(&here, &key).await.status, 200);
    proxy.set(Mode::Freeze);
    revoke(&elsewhere, &key).await;
    assert_eq!(chat(&here, &key).await.status, 200, "nobody can know it here");
    proxy.set(Mode::Pass);
    soon(USED_AGAIN, "the revocation is learnt", async || chat(&here, &key).await.status == 401)
        .await;
    assert_code(&chat(&here, &key).await, 401, "key_revoked");
}
