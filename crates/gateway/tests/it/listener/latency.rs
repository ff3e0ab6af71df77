//! Small pieces aren't held back. Where TCP_NODELAY is missing on either side, a piece waits 40 ms
//! for the acknowledgement of the one before.

use std::time::{Duration, Instant};

use fluxgate_testkit::Plan;
use fluxgate_testkit::wire::Connection;

#[tokio::test]
async fn small_pieces_pass_without_the_40_ms_of_nagle() {
    let model = "demo!pace=3000,tokens=120";
    let stack = Plan::default().models(&[model]).start().await;
    let body = format!(
        r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"hello"}}]}}"#
    );
    let mut connection = Connection::open(stack.clear).await;
    connection.send(&stack.posting("/v1/chat/completions", &body)).await;
    assert_eq!(connection.head().await.status, 200);
    let (mut gaps, mut last) = (Vec::new(), Instant::now());
    while let Some(chunk) = connection.chunk().await.filter(|chunk| !chunk.is_empty()) {
        assert!(chunk.len() < 4_096, "one piece at a time");
        gaps.push(last.elapsed());
        last = Instant::now();
    }
    assert!(gaps.len() >= 60, "{} pieces", gaps.len());
    gaps.sort_unstable();
    // Nine of ten: the machine may be busy now and then.
    let most = gaps[gaps.len() * 9 / 10];
    assert!(most < Duration::from_millis(30), "{most:?} between two pieces");
}

#[tokio::test]
async fn small_requests_on_a_kept_connection_are_answered_at_once() {
    let stack = Plan::default().start().await;
    let chat = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;
    let whole = stack.posting("/v1/chat/completions", chat);
    let (head, body) = whole.split_at(whole.len() - chat.len());
    let mut connection = Connection::open(stack.clear).await;
    let mut times = Vec::new();
    for _ in 0..40 {
        let since = Instant::now();
        // In two writes, as many clients send.
        connection.send(head).await;
        connection.send(body).await;
        let answer = connection.answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        times.push(since.elapsed());
    }
    times.sort_unstable();
    assert!(times[20] < Duration::from_millis(30), "{:?} for a request", times[20]);
}
