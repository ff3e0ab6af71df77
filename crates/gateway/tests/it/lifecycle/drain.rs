//! A replica that is told to end: it takes nobody new, finishes what is under way, and cuts short
//! what lasts too long, so that every client knows.

use std::time::{Duration, Instant};

use fluxgate_testkit::wire::{self, Connection};
use fluxgate_testkit::{Plan, TestStack};
use tokio::net::TcpStream;

use super::{ENDLESS, SLOW, begin, rest};
use crate::secure;

const PROMPT: Duration = Duration::from_secs(2);

/// Tells the stack to end, and waits until it takes no connections any more.
async fn told_to_end(stack: &mut TestStack) -> tokio::task::JoinHandle<()> {
    let ending = tokio::spawn(stack.running.take().unwrap().stop());
    let since = Instant::now();
    while TcpStream::connect(stack.clear).await.is_ok() {
        assert!(since.elapsed() < PROMPT, "connections are still taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ending
}

#[tokio::test]
async fn a_stream_under_way_ends_as_it_should_and_nobody_new_is_taken() {
    let mut stack = Plan::default().models(&[SLOW]).start().await;
    let mut stream = begin(&stack, "/v1/chat/completions", SLOW).await;
    let mut http2 = secure::http2(&stack).await;
    let request =
        secure::post(&stack, "https://localhost/v1/chat/completions", &super::streaming(SLOW));
    let over_http2 = http2.send_request(request).await.unwrap();
    let mut idle = Connection::open(stack.clear).await;
    idle.send(&wire::request("GET", "/healthz", &[], b"")).await;
    assert_eq!(idle.answer().await.status, 200);

    let since = Instant::now();
    let ending = told_to_end(&mut stack).await;
    for to in [stack.clear, stack.tls, stack.web, stack.admin] {
        assert!(TcpStream::connect(to).await.is_err(), "{to} still takes connections");
    }
    assert!(idle.closed_within(PROMPT).await, "an idle connection is closed at once");
    assert!(!ending.is_finished());
    let (text, whole) = rest(&mut stream).await;
    assert!(whole && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(stream.closed_within(PROMPT).await);
    let (_, _, text) = secure::read(over_http2).await;
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    ending.await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(10), "it ends with its last answer");
    assert!(!stack.folder.path().join("ports.json").exists());
}

#[tokio::test]
async fn a_replica_that_does_nothing_ends_at_once() {
    let mut stack = TestStack::start().await;
    let mut kept = Connection::open(stack.clear).await;
    kept.send(&stack.posting("/v1/chat/completions", r#"{"model":"demo","messages":[]}"#)).await;
    kept.answer().await;
    let _silent = Connection::open(stack.web).await;
    let since = Instant::now();
    stack.stop().await;
    assert!(since.elapsed() < PROMPT, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_stream_longer_than_the_drain_ends_with_an_error() {
    let plan = Plan::default().models(&[ENDLESS]).set("listen.drain_s", "1");
    let mut stack = plan.start().await;
    let mut openai = begin(&stack, "/v1/chat/completions", ENDLESS).await;
    let mut ollama = begin(&stack, "/api/chat", ENDLESS).await;
    let mut http2 = secure::http2(&stack).await;
    let request =
        secure::post(&stack, "https://localhost/v1/chat/completions", &super::streaming(ENDLESS));
    let over_http2 = http2.send_request(request).await.unwrap();

    let since = Instant::now();
    let ending = told_to_end(&mut stack).await;
    let ((openai, _), (ollama, _), (_, _, over_http2)) =
        tokio::join!(rest(&mut openai), rest(&mut ollama), secure::read(over_http2));
    let took = since.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(3)).contains(&took), "{took:?}");
    for text in [openai, over_http2] {
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        let frame: serde_json::Value =
            serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(frame["error"]["code"], "shutting_down", "{last}");
        assert!(!text.contains("[DONE]") && !text.contains(r#""finish_reason":"stop""#), "{text}");
    }
    let last: serde_json::Value =
        serde_json::from_str(ollama.trim_end().lines().last().unwrap()).unwrap();
    assert_eq!(last["code"], "shutting_down");
    assert!(last["error"].is_string());
    assert!(!ollama.contains(r#""done":true"#), "{ollama}");
    ending.await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(5));
    stack
        .demo
        .stats
        .until(|stats| stats.streams_open.load(std::sync::atomic::Ordering::Relaxed) == 0)
        .await;
}

#[tokio::test]
async fn whoever_has_no_answer_at_the_end_of_the_drain_is_let_go() {
    let model = "demo!stall-head";
    let plan = Plan::default().models(&[model]).set("listen.drain_s", "1");
    let mut stack = plan.start().await;
    let mut waiting = Connection::open(stack.clear).await;
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}"#);
    waiting.send(&stack.posting("/v1/chat/completions", &body)).await;
    let seen = body.len() as u64;
    stack
        .demo
        .stats
        .until(|stats| stats.body_bytes.load(std::sync::atomic::Ordering::Relaxed) >= seen)
        .await;

    let since = Instant::now();
    let ending = told_to_end(&mut stack).await;
    let answer = waiting.try_answer().await;
    ending.await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let answer = answer.expect("whoever waits is told");
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (503, Some("shutting_down"))
    );
}

#[tokio::test]
async fn while_it_drains_a_replica_says_that_it_is_not_ready() {
    let mut stack = Plan::default().models(&[SLOW]).start().await;
    let mut stream = begin(&stack, "/v1/chat/completions", SLOW).await;
    // Opened before, used afterwards; the answer of the second shows that the first was taken.
    let mut asking = Vec::new();
    for to in [stack.metrics, stack.admin, stack.clear] {
        let mut connection = Connection::open(to).await;
        connection.send(b"GET /readyz HTTP/1.1\r\n").await;
        asking.push(connection);
        let ready = wire::ask(to, &wire::request("GET", "/readyz", &[], b"")).await;
        assert_eq!(ready.status, 200);
    }
    let ending = told_to_end(&mut stack).await;
    for connection in &mut asking {
        connection.send(b"host: test\r\n\r\n").await;
        let answer = connection.answer().await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("connection"), Some("close"));
        if !answer.body.is_empty() {
            assert_eq!(
                (&answer.json()["ready"], &answer.json()["draining"]),
                (&false.into(), &true.into())
            );
        }
    }
    rest(&mut stream).await;
    ending.await.unwrap();
}

#[tokio::test]
async fn the_admin_api_ends_a_replica_as_a_signal_would() {
    let mut stack = Plan::default().models(&[SLOW]).start().await;
    let mut stream = begin(&stack, "/v1/chat/completions", SLOW).await;
    let asked = stack.operator("POST", "/admin/v1/drain", "").await;
    assert_eq!((asked.status, &asked.json()["draining"]), (202, &true.into()));
    let running = stack.running.take().unwrap();
    tokio::time::timeout(PROMPT, running.asked_to_stop()).await.expect("whoever runs it is told");
    let ending = tokio::spawn(running.stop());
    let (text, whole) = rest(&mut stream).await;
    assert!(whole && text.ends_with("data: [DONE]\n\n"), "{text}");
    ending.await.unwrap();
}
