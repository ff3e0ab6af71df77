//! Streams: piece by piece, with back-pressure, and honest about every way in which they can end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fluxgate_testkit::wire::{self, Connection};
use fluxgate_testkit::{Plan, TestStack};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use crate::scripted_upstream::{MODEL, ScriptedUpstream, Speaks, Step};
use crate::secure;

const CHAT: &str = "/v1/chat/completions";
/// What the gateway may hold for one stream.
const HELD_BYTES_MAX: u64 = 256 * 1024;

fn chat(model: &str) -> String {
    format!(
        r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}"#
    )
}

fn sse_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_vec()
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn frame(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

async fn scripted(steps: Vec<Step>, settings: &[(&str, &str)]) -> (ScriptedUpstream, TestStack) {
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, steps).await;
    let mut plan = Plan::default()
        .upstreams(&[])
        .set("upstreams.0.name", "scripted")
        .set("upstreams.0.url", &upstream.url());
    for (path, value) in settings {
        plan = plan.set(path, value);
    }
    let stack = plan.start().await;
    (upstream, stack)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_arrives_before_the_next_one_is_sent() {
    let gate = Arc::new(Semaphore::new(0));
    let steps = vec![
        Step::Send(sse_head()),
        Step::Send(chunk(&frame("one"))),
        Step::Gate(Arc::clone(&gate)),
        Step::Send(chunk(&frame("two"))),
        Step::Send(chunk("data: [DONE]\n\n")),
        Step::Send(b"0\r\n\r\n".to_vec()),
    ];
    let (_upstream, stack) = scripted(steps, &[]).await;
    let mut client = Connection::open(stack.clear).await;
    client.send(&stack.posting(CHAT, &chat(MODEL))).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.chunk().await.unwrap(), frame("one").as_bytes());
    gate.add_permits(1);
    // What follows in the same write may come in the same chunk.
    assert!(client.chunk().await.unwrap().starts_with(frame("two").as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_makes_the_upstream_stop() {
    let steps = vec![Step::Send(sse_head()), Step::Endless(chunk(&frame("more")))];
    let (upstream, stack) = scripted(steps, &[]).await;
    let mut client = Connection::open(stack.clear).await;
    client.send(&stack.posting(CHAT, &chat(MODEL))).await;
    client.chunk_after_head().await;
    // Until what the sockets hold is full; then nothing more may be taken.
    let mut before = u64::MAX;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if upstream.sent_bytes() == before {
            break;
        }
        before = upstream.sent_bytes();
    }
    assert_eq!(upstream.sent_bytes(), before, "it is still being read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_slow_readers_stay_within_their_share_of_memory() {
    const READERS: u64 = 1_000;
    let steps = vec![Step::Send(sse_head()), Step::Endless(chunk(&frame(&"more ".repeat(40))))];
    let (_upstream, stack) = scripted(steps, &[]).await;
    let before = resident_bytes();
    let request = Arc::new(stack.posting(CHAT, &chat(MODEL)));
    let mut readers = tokio::task::JoinSet::new();
    let to = stack.clear;
    for _ in 0..READERS {
        let request = Arc::clone(&request);
        readers.spawn(async move {
            let mut client = Connection::open(to).await;
            client.send(&request).await;
            for _ in 0..3 {
                client.take(1024).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let grown = resident_bytes().saturating_sub(before);
    let began = Instant::now();
    assert_eq!(stack.get("/v1/models").await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "others are served meanwhile");
    while readers.join_next().await.is_some() {}
    // The readers and the scripted server live in this process too, so the bound is generous to them.
    assert!(grown < READERS * HELD_BYTES_MAX, "{} MiB", grown >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_its_http2_stream_ends_the_work_upstream() {
    let model = "demo!pace=20000,tokens=1000";
    let stack = Plan::default().models(&[model]).start().await;
    let stats = Arc::clone(&stack.demo.stats);
    let mut client = secure::http2(&stack).await;
    let uri = format!("https://localhost:{}{CHAT}", stack.tls.port());
    let answer = client.send_request(secure::post(&stack, &uri, &chat(model))).await.unwrap();
    let mut body = answer.into_body();
    assert!(body.frame().await.unwrap().is_ok(), "it streams");
    drop(body);
    let cancelled = stats.until(|stats| stats.streams_cancelled.load(Ordering::Relaxed) == 1);
    tokio::time::timeout(Duration::from_millis(250), cancelled).await.expect("within 250 ms");
    // The connection itself goes on.
    let uri = format!("https://localhost:{}/v1/models", stack.tls.port());
    let listing = http::Request::get(uri).header("authorization", format!("Bearer {}", stack.key));
    let listing = listing.body(secure::Body::default()).unwrap();
    assert_eq!(client.send_request(listing).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_work_upstream() {
    let stack =
        Plan::default().models(&["demo!pace=20000,tokens=1000", "demo!stall-head"]).start().await;
    let stats = Arc::clone(&stack.demo.stats);

    let mut client = Connection::open(stack.clear).await;
    client.send(&stack.posting(CHAT, &chat("demo!pace=20000,tokens=1000"))).await;
    client.chunk_after_head().await;
    drop(client);
    let cancelled = stats.until(|stats| stats.streams_cancelled.load(Ordering::Relaxed) == 1);
    tokio::time::timeout(Duration::from_millis(250), cancelled).await.expect("within 250 ms");

    let mut client = Connection::open(stack.clear).await;
    client.send(&stack.posting(CHAT, &chat("demo!stall-head"))).await;
    stats.until(|stats| stats.requests.load(Ordering::Relaxed) >= 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(client);
    let cancelled = stats.until(|stats| stats.waits_cancelled.load(Ordering::Relaxed) == 1);
    tokio::time::timeout(Duration::from_millis(250), cancelled).await.expect("within 250 ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_dies_ends_with_an_error_and_no_end_mark() {
    let stack = Plan::default().models(&["demo!die-after=3"]).start().await;
    let answer = stack.post(CHAT, &chat("demo!die-after=3")).await;
    let text = answer.text();
    assert_eq!(answer.status, 200);
    assert!(text.contains(r#""code":"upstream_died""#), "{text}");
    assert!(!text.contains("[DONE]") && !text.contains(r#""finish_reason":"stop""#), "{text}");

    let body = chat("demo!die-after=3");
    let answer = stack.post("/api/chat", &body).await;
    let last = answer.text().lines().last().unwrap().to_owned();
    assert!(last.contains(r#""code":"upstream_died""#), "{last}");
    assert!(!answer.text().contains(r#""done":true"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_breaks_off_is_never_taken_for_whole() {
    let stack = Plan::default().models(&["demo!die-after=3"]).start().await;
    let body = chat("demo!die-after=3").replace("true", "false");
    let mut client = Connection::open(stack.clear).await;
    client.send(&stack.posting(CHAT, &body)).await;
    let answer = client.try_answer().await;
    assert!(answer.is_none_or(|answer| !answer.whole || answer.status == 502));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_stalls_ends_with_an_error_at_its_limit() {
    let steps = vec![
        Step::Send(sse_head()),
        Step::Send(chunk(&frame("one"))),
        Step::Wait(Duration::from_secs(20)),
    ];
    let (_upstream, stack) = scripted(steps, &[("upstreams.0.idle_s", "1")]).await;
    let began = Instant::now();
    let answer = stack.post(CHAT, &chat(MODEL)).await;
    assert!(answer.text().contains(r#""code":"upstream_stalled""#), "{}", answer.text());
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&began.elapsed()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_never_begins_is_a_504() {
    let steps = vec![Step::Wait(Duration::from_secs(20))];
    let limit = [("upstreams.0.timeouts.first_byte_s", "1")];
    let (_upstream, stack) = scripted(steps, &limit).await;
    let answer = stack.post(CHAT, &chat(MODEL)).await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.json()["error"]["code"], "upstream_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usage_of_a_stream_is_read_whether_or_not_the_client_sees_it() {
    let stack = TestStack::start().await;
    let asked = chat("demo")
        .replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    let seen = stack.post(CHAT, &asked).await.text();
    let usage = seen.lines().find(|line| line.contains(r#""choices":[]"#)).unwrap();
    let usage: serde_json::Value =
        serde_json::from_str(usage.trim_start_matches("data: ")).unwrap();
    let hidden = stack.post(CHAT, &chat("demo")).await.text();
    assert!(!hidden.contains(r#""choices":[]"#));
    for (kind, field) in [("prompt", "prompt_tokens"), ("completion", "completion_tokens")] {
        let kind = format!("kind=\"{kind}\"");
        let counted = stack.metric("fluxgate_tokens_total", &[&kind, "source=\"reported\""]).await;
        assert_eq!(counted, 2.0 * usage["usage"][field].as_f64().unwrap(), "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_under_way_ends_before_the_gateway_does() {
    let mut stack = Plan::default().models(&["demo!pace=20000,tokens=50"]).start().await;
    let mut client = Connection::open(stack.clear).await;
    client.send(&stack.posting(CHAT, &chat("demo!pace=20000,tokens=50"))).await;
    client.chunk_after_head().await;
    let to = stack.clear;
    let reading = tokio::spawn(async move {
        let mut text = Vec::new();
        while let Some(chunk) = client.chunk().await {
            if chunk.is_empty() {
                break;
            }
            text.extend_from_slice(&chunk);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    stack.stop().await;
    assert!(reading.await.unwrap().contains("[DONE]"));
    assert!(tokio::net::TcpStream::connect(to).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_over_the_drain_limit_ends_with_an_error() {
    let plan =
        Plan::default().models(&["demo!pace=20000,tokens=100000"]).set("listen.drain_s", "1");
    let mut stack = plan.start().await;
    let mut client = Connection::open(stack.clear).await;
    client.send(&stack.posting(CHAT, &chat("demo!pace=20000,tokens=100000"))).await;
    client.chunk_after_head().await;
    let reading = tokio::spawn(async move {
        let mut last = Vec::new();
        while let Some(chunk) = client.chunk().await {
            if chunk.is_empty() {
                break;
            }
            last = chunk;
        }
        String::from_utf8_lossy(&last).into_owned()
    });
    stack.stop().await;
    assert!(reading.await.unwrap().contains(r#""code":"shutting_down""#));
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Readers that take no more than they are told.
trait Reader {
    async fn chunk_after_head(&mut self);
    async fn take(&mut self, bytes: usize);
}

impl Reader for Connection {
    async fn chunk_after_head(&mut self) {
        assert_eq!(self.head().await.status, 200);
        assert!(self.chunk().await.is_some());
    }

    async fn take(&mut self, bytes: usize) {
        use tokio::io::AsyncReadExt;
        let mut taken = vec![0; bytes];
        self.stream.read_exact(&mut taken).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversize_request_never_reaches_an_upstream() {
    let stack = Plan::default().set("listen.body_bytes_max", "2048").start().await;
    let body = chat("demo").replace("Hello", &"x".repeat(4096));
    let answer = wire::ask(stack.clear, &stack.posting(CHAT, &body)).await;
    assert_eq!(answer.status, 413);
    assert_eq!(stack.demo.stats.body_bytes.load(Ordering::Relaxed), 0);
}
