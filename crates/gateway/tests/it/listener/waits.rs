//! The limits of waiting, each set to a second: it ends the connection then, and not before.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fluxgate_testkit::wire::Connection;
use fluxgate_testkit::{Plan, TestStack};
use http::Request;
use http_body_util::Full;
use tokio::io::AsyncWriteExt;

use crate::secure;

const CHAT: &str = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;
/// Three seconds and a half of frames, more than any limit here.
const SLOW: &str = "demo!pace=100000,tokens=35";

/// The limit under test, with room for a timer that is a little early and a machine that is busy.
const NOT_BEFORE: Duration = Duration::from_millis(900);
const AT_LAST: Duration = Duration::from_millis(2_500);
/// A step of a client that sends slowly.
const DRIP: Duration = Duration::from_millis(150);

async fn impatient() -> TestStack {
    let limits = ["handshake_s", "first_byte_s", "header_s", "idle_s", "body_stall_s"];
    let plan = limits.iter().fold(Plan::default().models(&[SLOW]), |plan, limit| {
        plan.set(&format!("listen.{limit}"), "1")
    });
    plan.start().await
}

/// Waits for the end of the connection and gives how long after `since` it came.
async fn end_of(connection: &mut Connection, since: Instant) -> Duration {
    assert!(connection.closed_within(Duration::from_secs(10)).await, "it doesn't end");
    since.elapsed()
}

#[track_caller]
fn assert_in_time(what: &str, took: Duration) {
    assert!((NOT_BEFORE..AT_LAST).contains(&took), "{what}: after {took:?}");
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_cut_off_at_its_limit() {
    let stack = impatient().await;
    let silent = async |what: &str, to: SocketAddr, bytes: &[u8]| {
        let mut connection = Connection::open(to).await;
        let since = Instant::now();
        connection.send(bytes).await;
        let took = end_of(&mut connection, since).await;
        assert_in_time(what, took);
    };
    // The beginning of a hello that announces 512 bytes.
    let half_hello = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    tokio::join!(
        silent("no handshake", stack.tls, b""),
        silent("half a handshake", stack.tls, &half_hello),
        silent("no first byte", stack.clear, b""),
        silent("no first byte on the web listener", stack.web, b""),
        silent("no first byte on the admin listener", stack.admin, b""),
        silent("a first byte and no more", stack.clear, b"P"),
        silent("half a head", stack.clear, b"POST /v1/chat/completions HTTP/1.1\r\nhost: te"),
        silent("a head without its end", stack.clear, b"GET /healthz HTTP/1.1\r\nhost: test\r\n"),
    );
}

#[tokio::test]
async fn after_the_handshake_a_client_has_its_first_byte_to_send() {
    let stack = impatient().await;
    for protocol in ["http/1.1", "h2"] {
        let stream = secure::connect(&stack, &[protocol]).await;
        let since = Instant::now();
        let (mut read, _write) = tokio::io::split(stream);
        let ended = tokio::time::timeout(Duration::from_secs(10), async {
            // HTTP/2's settings may come; then the end.
            tokio::io::copy(&mut read, &mut tokio::io::sink()).await
        });
        assert!(ended.await.is_ok(), "{protocol}: it doesn't end");
        assert_in_time(protocol, since.elapsed());
    }
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off_all_the_same() {
    let stack = impatient().await;
    let mut connection = Connection::open(stack.clear).await;
    let since = Instant::now();
    let dripping = stack.posting("/v1/chat/completions", CHAT);
    for byte in dripping.chunks(1).take(60) {
        connection.send(byte).await;
        if connection.closed_within(DRIP).await {
            break;
        }
    }
    assert_in_time("a head that drips", since.elapsed());
}

/// HTTP/2: the beginning of a connection, and half of a request's header.
const HALF_A_HEADER: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\0\x04\0\0\0\0\0\
    \0\0\x40\x01\x05\0\0\0\x01\x82\x87\x84\x01\x04test";

#[tokio::test]
async fn an_http2_header_that_drips_is_cut_off_too() {
    let stack = Plan::default().set("listen.header_s", "1").start().await;
    let mut stream = secure::connect(&stack, &["h2"]).await;
    let since = Instant::now();
    stream.write_all(HALF_A_HEADER).await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    let dripping = tokio::spawn(async move {
        // More of the header, up to an end that never comes.
        while write.write_all(&[0]).await.is_ok() && write.flush().await.is_ok() {
            tokio::time::sleep(DRIP).await;
        }
    });
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        tokio::io::copy(&mut read, &mut tokio::io::sink()).await
    });
    assert!(ended.await.is_ok(), "it doesn't end");
    dripping.abort();
    assert_in_time("a header that drips", since.elapsed());
}

#[tokio::test]
async fn a_kept_connection_ends_when_it_was_idle_for_its_limit() {
    let stack = impatient().await;
    let mut connection = Connection::open(stack.clear).await;
    for round in 0..3 {
        connection.send(&stack.posting("/v1/chat/completions", CHAT)).await;
        assert_eq!(connection.answer().await.status, 200, "round {round}");
        // Less than the limit, again and again: each request begins the wait anew.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    connection.send(&stack.posting("/v1/chat/completions", CHAT)).await;
    assert_eq!(connection.answer().await.status, 200);
    let since = Instant::now();
    assert_in_time("HTTP/1.1", end_of(&mut connection, since).await);

    let mut sender = secure::http2(&stack).await;
    let request = || Request::get("https://localhost/healthz").body(Full::default()).unwrap();
    assert_eq!(sender.send_request(request()).await.unwrap().status(), 200);
    let since = Instant::now();
    while sender.ready().await.is_ok() && since.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_in_time("HTTP/2", since.elapsed());
}

#[tokio::test]
async fn a_body_that_stalls_is_408_and_one_that_drips_is_served() {
    let stack = impatient().await;
    let whole = stack.posting("/v1/chat/completions", CHAT);
    let (head, body) = whole.split_at(whole.len() - CHAT.len());
    tokio::join!(
        async {
            let mut connection = Connection::open(stack.clear).await;
            connection.send(&[head, &body[..10]].concat()).await;
            let since = Instant::now();
            let answer = connection.answer().await;
            assert_in_time("the answer", since.elapsed());
            assert_eq!(answer.status, 408);
            assert_eq!(answer.json()["error"]["code"], "body_stalled");
            assert!(connection.closed_within(AT_LAST).await, "nothing more is read there");
        },
        async {
            let mut connection = Connection::open(stack.clear).await;
            connection.send(head).await;
            for piece in body.chunks(5) {
                tokio::time::sleep(DRIP).await;
                connection.send(piece).await;
            }
            assert_eq!(connection.answer().await.status, 200);
        }
    );
}

#[tokio::test]
async fn an_answer_under_way_is_cut_by_no_limit_of_waiting() {
    let stack = impatient().await;
    let body = format!(
        r#"{{"model":"{SLOW}","stream":true,"messages":[{{"role":"user","content":"hello"}}]}}"#
    );
    tokio::join!(
        async {
            let answer = stack.post("/v1/chat/completions", &body).await;
            assert_eq!(answer.status, 200);
            assert!(
                answer.whole && answer.text().ends_with("data: [DONE]\n\n"),
                "{}",
                answer.text()
            );
        },
        async {
            let mut sender = secure::http2(&stack).await;
            let request = secure::post(&stack, "https://localhost/v1/chat/completions", &body);
            let (status, _, text) = secure::read(sender.send_request(request).await.unwrap()).await;
            assert_eq!(status, 200);
            assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        }
    );
}
