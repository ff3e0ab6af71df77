//! Bodies that are too large, each for itself or all together.

use std::time::Duration;

use fluxgate_testkit::wire::{self, Connection};
use fluxgate_testkit::{Plan, TestStack};

use super::refusal::{Unasked, assert_refused, routes, sound_body};

const MAX: usize = 2_048;

async fn small() -> TestStack {
    Plan::default().set("listen.body_bytes_max", &MAX.to_string()).start().await
}

/// A sound body of so many bytes.
fn padded(route: &str, bytes: usize) -> String {
    let sound = sound_body(route);
    format!("{sound}{}", " ".repeat(bytes - sound.len()))
}

fn chunked(stack: &TestStack, route: &str, body: &str, piece: usize) -> Vec<u8> {
    let head = format!(
        "POST {route} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        stack.key
    );
    let pieces = body.as_bytes().chunks(piece);
    let pieces: Vec<u8> = pieces
        .flat_map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())
        .collect();
    [head.as_bytes(), &pieces, b"0\r\n\r\n"].concat()
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_one_at_the_limit_is_served() {
    let stack = small().await;
    for route in routes() {
        let unasked = Unasked::begin(&stack);
        for bytes in [MAX + 1, 2 * MAX, 100 * MAX] {
            let body = padded(route, bytes);
            let answer = stack.post(route, &body).await;
            assert_refused(&format!("{bytes} bytes"), route, &answer, 413, "body_too_large");
            for piece in [1_000, 10_000] {
                let answer = wire::ask(stack.clear, &chunked(&stack, route, &body, piece)).await;
                let what = format!("{bytes} bytes in pieces of {piece}");
                assert_refused(&what, route, &answer, 413, "body_too_large");
            }
        }
        unasked.end(&stack);
        let body = padded(route, MAX);
        assert_eq!(stack.post(route, &body).await.status, 200, "{route}");
        let answer = wire::ask(stack.clear, &chunked(&stack, route, &body, 700)).await;
        assert_eq!(answer.status, 200, "{route}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_a_byte_of_the_body_came() {
    let stack = small().await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\ncontent-length: 1000000\r\n\r\n",
        stack.key
    );
    let mut connection = Connection::open(stack.clear).await;
    connection.send(head.as_bytes()).await;
    let answer = connection.answer().await;
    assert_refused("announced", "/v1/chat/completions", &answer, 413, "body_too_large");
    assert!(connection.closed_within(Duration::from_secs(5)).await, "nobody waits for the body");
}

#[tokio::test]
async fn a_body_that_ends_early_is_never_sent_on() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    for route in routes() {
        let whole = stack.posting(route, sound_body(route));
        let mut connection = Connection::open(stack.clear).await;
        connection.send(&whole[..whole.len() - 3]).await;
        use tokio::io::AsyncWriteExt;
        connection.stream.shutdown().await.unwrap();
        if let Some(answer) = connection.try_answer().await {
            assert_refused("cut", route, &answer, 400, "body_broken");
        }
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn bodies_beyond_the_bound_of_all_are_503_until_there_is_room() {
    let plan = Plan::default()
        .set("listen.body_bytes_max", "8192")
        .set("listen.bodies_in_flight_bytes_max", "8192");
    let stack = plan.start().await;
    for route in routes() {
        let held = stack.posting(route, &padded(route, 7_000));
        let mut holding = Connection::open(stack.clear).await;
        holding.send(&held[..held.len() - 1_000]).await;
        // What came is held once it was read: not at once.
        let refused = async {
            loop {
                let answer = stack.post(route, &padded(route, 6_000)).await;
                if answer.status == 503 {
                    break answer;
                }
            }
        };
        let refused = tokio::time::timeout(Duration::from_secs(5), refused).await.expect("no room");
        assert_refused("beyond the bound", route, &refused, 503, "bodies_in_flight");
        // A small one still has room.
        assert_eq!(stack.post(route, sound_body(route)).await.status, 200, "{route}");

        holding.send(&held[held.len() - 1_000..]).await;
        assert_eq!(holding.answer().await.status, 200, "{route}: the one that came first");
        let answer = stack.post(route, &padded(route, 6_000)).await;
        assert_eq!(answer.status, 200, "{route}: there is room again: {}", answer.text());
    }
    // Whoever leaves gives its room back.
    for _ in 0..3 {
        let held = stack.posting("/api/show", &padded("/api/show", 7_000));
        let mut leaving = Connection::open(stack.clear).await;
        leaving.send(&held[..held.len() - 10]).await;
        drop(leaving);
    }
    let room = async {
        while stack.post("/api/show", &padded("/api/show", 6_000)).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), room).await.expect("room comes back");
}
