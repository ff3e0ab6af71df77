//! The server's life, its statistics, and the program.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{Client, End, demo, within};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[tokio::test]
async fn the_statistics_keep_the_last_request_as_it_came() {
    let demo = demo().await;
    let body = json!({"model": "demo", "messages": [{"role": "user", "content": "x"}]}).to_string();
    demo.send("POST", "/v1/chat/completions?a=b", body.as_bytes()).await;
    let last = demo.stats.last().unwrap();
    assert_eq!(
        (last.method.as_str(), last.uri.to_string().as_str()),
        ("POST", "/v1/chat/completions?a=b")
    );
    assert_eq!(last.headers["x-test"], "kept");
    assert_eq!(last.body, body.as_bytes());
    demo.get("/v1/models").await;
    assert_eq!(read(&demo.stats.requests), 2);
    assert_eq!(read(&demo.stats.body_bytes), body.len() as u64);
    assert_eq!(read(&demo.stats.connections), 2);
    within(demo.stats.until(|stats| read(&stats.connections_open) == 0)).await;
}

#[tokio::test]
async fn a_stream_read_to_its_end_is_not_cancelled() {
    let demo = demo().await;
    let body =
        json!({"model": "demo", "messages": [{"role": "user", "content": "x"}], "stream": true});
    assert_eq!(demo.post("/v1/chat/completions", body).await.end, End::Whole);
    within(demo.stats.until(|stats| read(&stats.streams_open) == 0)).await;
    assert_eq!((read(&demo.stats.streams), read(&demo.stats.streams_cancelled)), (1, 0));
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_stream_is_noticed() {
    let demo = demo().await;
    let mut client = Client::to(demo.addr).await;
    let body = json!({"model": "demo!pace=5000,tokens=100000", "stream": true,
        "messages": [{"role": "user", "content": "x"}]})
    .to_string();
    client.send("POST", "/v1/chat/completions", body.as_bytes()).await;
    client.head().await;
    client.chunk().await.unwrap();
    drop(client);
    within(demo.stats.until(|stats| read(&stats.streams_cancelled) == 1)).await;
    assert_eq!(read(&demo.stats.streams_open), 0);
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let demo = demo().await;
    let mut client = Client::to(demo.addr).await;
    let body =
        json!({"model": "demo", "messages": [{"role": "user", "content": "x"}], "stream": true})
            .to_string();
    for _ in 0..5 {
        client.send("POST", "/v1/chat/completions", body.as_bytes()).await;
        assert_eq!(client.answer().await.end, End::Whole);
    }
    assert_eq!((read(&demo.stats.requests), read(&demo.stats.connections)), (5, 1));
}

#[tokio::test]
async fn shutting_down_ends_even_what_would_never_end() {
    let demo = demo().await;
    let (addr, stats) = (demo.addr, std::sync::Arc::clone(&demo.stats));
    let mut idle = Client::to(addr).await;
    idle.send("GET", "/v1/models", b"").await;
    idle.answer().await;
    let mut stuck = Client::to(addr).await;
    let body = json!({"model": "demo!stall-after=1", "stream": true, "messages": [{"role": "user", "content": "x"}]});
    stuck.send("POST", "/v1/chat/completions", body.to_string().as_bytes()).await;
    stuck.head().await;
    demo.stop().await;
    assert!(idle.closed().await);
    assert_ne!(stuck.answer_rest().await, End::Whole);
    assert_eq!((read(&stats.streams_open), read(&stats.streams_cancelled)), (0, 0));
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let demo = demo().await;
    let mut client = Client::to(demo.addr).await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: demo\r\ncontent-length: {}\r\n\r\n",
        (64 << 20) + 1
    );
    client.write(head.as_bytes()).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 413);
    assert!(answer.json()["error"]["message"].is_string());
}

#[tokio::test]
async fn the_program_takes_its_flags_and_says_where_it_listens() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fluxgate-demo"))
        .args(["--addr", "127.0.0.1:0", "--pace", "0", "--threads", "1", "--speaks", "openai"])
        .args([
            "--behave",
            "cookie",
            "--behave",
            "status=429,retry-after=3",
            "--also-list",
            "demo!status=500",
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = within(lines.next_line()).await.unwrap().unwrap();
    let addr = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
    let mut client = Client::to(addr).await;
    client.send("GET", "/v1/models", b"").await;
    let listing = client.answer().await;
    assert_eq!(listing.json()["data"][2]["id"], "demo!status=500");
    assert!(listing.header("set-cookie").is_some());
    client.send("POST", "/v1/chat/completions", br#"{"model":"demo","messages":[]}"#).await;
    let refused = client.answer().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("3")));
    client.send("GET", "/api/version", b"").await;
    assert_eq!(client.answer().await.status, 404);
    program.start_kill().unwrap();
    within(program.wait()).await.unwrap();
    let wrong =
        Command::new(env!("CARGO_BIN_EXE_fluxgate-demo")).args(["--behave", "sing"]).output();
    let wrong = within(wrong).await.unwrap();
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("there is no behaviour `sing`"));
}
