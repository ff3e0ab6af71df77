//! Every misbehaviour, through a real socket.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::{Answer, Client, Demo, End, demo, demo_that, demo_with, within};
use fluxgate_demo::{DemoConfig, tokens};
use serde_json::{Value, json};

fn ask(quirks: &str, more: Value) -> Value {
    let mut body = json!({"model": format!("demo!{quirks}"), "messages": [{"role": "user", "content": "Grüße 🎿"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn whole(demo: &Demo, quirks: &str) -> Answer {
    demo.post("/v1/chat/completions", ask(quirks, json!({}))).await
}

async fn stream(demo: &Demo, quirks: &str) -> Answer {
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    demo.post("/v1/chat/completions", ask(quirks, more)).await
}

fn frames(answer: &Answer) -> usize {
    answer.text().matches("\n\n").count()
}

#[tokio::test]
async fn die_after_sends_that_many_frames_and_resets_the_connection() {
    let demo = demo().await;
    for count in [0, 1, 3] {
        let answer = stream(&demo, &format!("die-after={count}")).await;
        assert_eq!((answer.status, answer.end, frames(&answer)), (200, End::Reset, count));
    }
    let ollama = demo.post("/api/chat", ask("die-after=2", json!({}))).await;
    assert_eq!((ollama.end, ollama.lines().len()), (End::Reset, 2));
    let half = whole(&demo, "die-after=1").await;
    let length: usize = half.header("content-length").unwrap().parse().unwrap();
    assert_eq!((half.end, half.body().len()), (End::Reset, length / 2));
    let cut = stream(&demo, "die-after=2,split=7").await;
    assert_eq!((cut.end, frames(&cut)), (End::Reset, 2));
    let merged = stream(&demo, "die-after=2,merge").await;
    assert_eq!((merged.end, frames(&merged)), (End::Reset, 2));
    assert_eq!(demo.stats.streams_cancelled.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn stall_after_falls_silent_and_keeps_the_socket() {
    let demo = demo().await;
    let mut client = Client::to(demo.addr).await;
    let body = ask("stall-after=2", json!({"stream": true})).to_string();
    client.send("POST", "/v1/chat/completions", body.as_bytes()).await;
    client.head().await;
    for _ in 0..2 {
        assert!(within(client.chunk()).await.unwrap().unwrap().starts_with(b"data: "));
    }
    let silence = tokio::time::timeout(Duration::from_millis(100), client.chunk()).await;
    assert!(silence.is_err(), "{silence:?}");
    assert_eq!(demo.stats.streams_open.load(Ordering::Relaxed), 1);
    drop(client);
    within(demo.stats.until(|stats| stats.streams_cancelled.load(Ordering::Relaxed) == 1)).await;
    assert_eq!(demo.stats.streams_open.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn stall_head_never_answers_and_sees_the_client_leave() {
    let demo = demo().await;
    let mut client = Client::to(demo.addr).await;
    client
        .send("POST", "/v1/chat/completions", ask("stall-head", json!({})).to_string().as_bytes())
        .await;
    within(demo.stats.until(|stats| stats.requests.load(Ordering::Relaxed) == 1)).await;
    let silence = tokio::time::timeout(Duration::from_millis(100), client.head()).await;
    assert!(silence.is_err());
    drop(client);
    within(demo.stats.until(|stats| stats.waits_cancelled.load(Ordering::Relaxed) == 1)).await;
}

#[tokio::test]
async fn a_status_is_answered_in_the_dialect() {
    let demo = demo().await;
    for status in [401, 429, 500, 503] {
        let openai = whole(&demo, &format!("status={status}")).await;
        assert_eq!(openai.status, status);
        assert!(openai.json()["error"]["message"].is_string());
        assert_eq!(openai.header("retry-after"), (status == 429).then_some("7"));
        let ollama = demo.post("/api/chat", ask(&format!("status={status}"), json!({}))).await;
        assert_eq!(ollama.status, status);
        assert!(ollama.json()["error"].is_string());
    }
    let busy = whole(&demo, "status=503,retry-after=2").await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("2")));
}

#[tokio::test]
async fn redirect_points_elsewhere() {
    let demo = demo().await;
    let answer = whole(&demo, "redirect").await;
    assert_eq!((answer.status, answer.header("location")), (307, Some("/elsewhere")));
}

#[tokio::test]
async fn wrong_json_is_a_200_that_can_not_be_read() {
    let demo = demo().await;
    let answer = whole(&demo, "wrong-json").await;
    assert_eq!((answer.status, answer.end), (200, End::Whole));
    serde_json::from_slice::<Value>(&answer.body()).unwrap_err();
    let events = stream(&demo, "wrong-json").await.events();
    let broken =
        events.iter().filter(|event| serde_json::from_str::<Value>(event).is_err()).count();
    assert_eq!(broken, 2, "one frame and [DONE]: {events:?}");
    let ollama = demo.post("/api/chat", ask("wrong-json", json!({}))).await;
    let broken =
        ollama.text().lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    assert_eq!(broken, 1);
}

#[tokio::test]
async fn no_usage_says_nothing_of_usage() {
    let demo = demo().await;
    assert!(whole(&demo, "no-usage").await.json().get("usage").is_none());
    // By member, not by word: each event names the model, `demo!no-usage`.
    let events = stream(&demo, "no-usage").await.event_values();
    assert!(events.len() > 2 && events.iter().all(|event| event.get("usage").is_none()));
    let lines = demo.post("/api/chat", ask("no-usage", json!({}))).await.lines();
    let last = lines.last().unwrap();
    assert!(
        last["done"] == true
            && last.get("eval_count").is_none()
            && last.get("prompt_eval_count").is_none()
    );
    let body = json!({"model": "demo-embed!no-usage", "input": "x"});
    assert!(demo.post("/v1/embeddings", body).await.json().get("usage").is_none());
}

#[tokio::test]
async fn absurd_usage_is_absurd() {
    let demo = demo().await;
    assert_eq!(
        whole(&demo, "absurd-usage").await.json()["usage"]["completion_tokens"],
        999_999_999_999_u64
    );
    let events = stream(&demo, "absurd-usage").await.event_values();
    assert_eq!(events.last().unwrap()["usage"]["prompt_tokens"], 999_999_999_999_u64);
    let lines = demo.post("/api/chat", ask("absurd-usage", json!({}))).await.lines();
    assert_eq!(lines.last().unwrap()["eval_count"], 999_999_999_999_u64);
}

#[tokio::test]
async fn null_usage_stands_on_each_chunk_but_the_last() {
    let demo = demo().await;
    let events = stream(&demo, "null-usage-on-chunks").await.event_values();
    let (last, before) = events.split_last().unwrap();
    assert!(before.iter().all(|event| event.get("usage") == Some(&Value::Null)));
    assert!(last["usage"]["total_tokens"].is_u64());
}

#[tokio::test]
async fn refuse_stream_options_names_the_field_and_takes_the_request_without_it() {
    let demo = demo().await;
    let answer = stream(&demo, "refuse-stream-options").await;
    assert_eq!(answer.status, 400);
    let error = &answer.json()["error"];
    assert_eq!(error["param"], "stream_options");
    assert!(error["message"].as_str().unwrap().contains("stream_options"));
    assert_eq!(whole(&demo, "refuse-stream-options").await.status, 200);
}

#[tokio::test]
async fn split_cuts_frames_and_characters_anywhere() {
    let demo = demo().await;
    let plain = stream(&demo, "").await;
    for size in [1, 3, 64] {
        let answer = stream(&demo, &format!("split={size}")).await;
        assert!(answer.chunks.iter().all(|chunk| chunk.len() <= size));
        assert_eq!(content(&answer), content(&plain));
    }
    let each = stream(&demo, "split=1").await;
    assert!(each.chunks.iter().any(|chunk| std::str::from_utf8(chunk).is_err()));
    assert_eq!(
        whole(&demo, "split=5").await.json()["choices"],
        whole(&demo, "").await.json()["choices"]
    );
}

fn content(answer: &Answer) -> String {
    let events = answer.event_values();
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn merge_puts_many_frames_into_one_write() {
    let demo = demo().await;
    let plain = stream(&demo, "").await;
    let merged = stream(&demo, "merge").await;
    assert_eq!(merged.event_values().len(), plain.event_values().len());
    let (last, before) = merged.chunks.split_last().unwrap();
    assert!(
        before.iter().all(|chunk| String::from_utf8_lossy(chunk).matches("\n\n").count() == 16)
    );
    assert!(!last.is_empty() && before.len() > 1);
}

#[tokio::test]
async fn crlf_ends_the_lines_of_sse_and_of_nothing_else() {
    let demo = demo().await;
    let text = stream(&demo, "crlf").await.text();
    assert_eq!(text.matches("\r\n").count(), text.matches('\n').count());
    assert!(text.ends_with("data: [DONE]\r\n\r\n"));
    assert!(!demo.post("/api/chat", ask("crlf", json!({}))).await.text().contains('\r'));
}

#[tokio::test]
async fn pace_takes_its_time_for_each_token_streamed_or_whole() {
    let demo = demo().await;
    for streams in [true, false] {
        let started = Instant::now();
        let more = json!({"stream": streams});
        let answer = demo.post("/v1/chat/completions", ask("pace=500,tokens=100", more)).await;
        let took = started.elapsed();
        assert_eq!(answer.status, 200);
        // A slow machine may take longer, no machine may take less.
        assert!(took >= Duration::from_millis(50), "{took:?}");
    }
}

#[tokio::test]
async fn pace_brings_the_first_token_long_before_the_last() {
    let demo = demo().await;
    let mut client = Client::to(demo.addr).await;
    let body = ask("pace=60000000,tokens=100", json!({"stream": true})).to_string();
    client.send("POST", "/v1/chat/completions", body.as_bytes()).await;
    client.head().await;
    let first = within(client.chunk()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("assistant"));
    assert_eq!(demo.stats.streams_open.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn tokens_sets_the_length_of_the_answer() {
    let demo = demo().await;
    for count in [0, 1, 7, 500, 20_000] {
        let answer = whole(&demo, &format!("tokens={count}")).await.json();
        assert_eq!(answer["usage"]["completion_tokens"], count);
        assert_eq!(
            tokens::count(answer["choices"][0]["message"]["content"].as_str().unwrap()),
            count
        );
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
    let answer =
        demo.post("/v1/chat/completions", ask("tokens=50", json!({"max_tokens": 20}))).await.json();
    assert_eq!(answer["usage"]["completion_tokens"], 20);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn big_frame_has_a_first_frame_of_that_much_text() {
    let demo = demo().await;
    let answer = stream(&demo, "big-frame=300000").await;
    let events = answer.event_values();
    let text = events[1]["choices"][0]["delta"]["content"].as_str().unwrap();
    assert!((300_000..300_100).contains(&text.len()), "{}", text.len());
    assert!(events[2]["choices"][0]["delta"]["content"].as_str().unwrap().len() < 40);
    let usage = &events.last().unwrap()["usage"];
    assert_eq!(usage["completion_tokens"], tokens::count(&content(&answer)));
}

#[tokio::test]
async fn cookie_sends_headers_that_must_not_come_through() {
    let demo = demo().await;
    let answer = whole(&demo, "cookie").await;
    for name in ["set-cookie", "server", "x-internal-host", "x-internal-trace"] {
        assert!(answer.header(name).is_some(), "{name}");
        assert!(whole(&demo, "").await.header(name).is_none(), "{name}");
    }
    let everywhere = demo_that("cookie").await;
    assert!(everywhere.get("/v1/models").await.header("set-cookie").is_some());
}

#[tokio::test]
async fn close_ends_the_connection_after_each_answer() {
    let demo = demo().await;
    let mut client = Client::to(demo.addr).await;
    for quirks in ["", "close"] {
        client
            .send("POST", "/v1/chat/completions", ask(quirks, json!({})).to_string().as_bytes())
            .await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.end), (200, End::Whole));
        assert_eq!(answer.header("connection"), (quirks == "close").then_some("close"));
    }
    assert!(client.closed().await);
}

#[tokio::test]
async fn idle_close_ends_a_kept_connection_but_no_running_answer() {
    let demo = demo_that("idle-close=60").await;
    let mut client = Client::to(demo.addr).await;
    client.send("POST", "/v1/chat/completions", ask("", json!({})).to_string().as_bytes()).await;
    assert_eq!(client.answer().await.end, End::Whole);
    // The second answer takes longer than the connection may be idle.
    let body = ask("pace=2000,tokens=60", json!({"stream": true})).to_string();
    client.send("POST", "/v1/chat/completions", body.as_bytes()).await;
    let slow = client.answer().await;
    assert_eq!((slow.status, slow.end), (200, End::Whole));
    let started = Instant::now();
    assert!(client.closed().await);
    assert!(started.elapsed() >= Duration::from_millis(40));
}

#[tokio::test]
async fn echo_answers_with_the_very_bytes() {
    let body =
        b"{ \"model\" : \"demo!echo\",\"x\":1.0e3 ,\"u\":\"\\u00fc\xc3\xbc\",\"model2\":[ ] }\n";
    let demo = demo().await;
    for path in ["/v1/chat/completions", "/api/chat"] {
        let answer = demo.send("POST", path, body).await;
        assert_eq!((answer.status, answer.body()), (200, body.to_vec()));
    }
    let everything = demo_that("echo").await;
    let answer = everything.send("POST", "/v1/chat/completions", b"not json \xff\x00").await;
    assert_eq!(answer.body(), b"not json \xff\x00");
}

#[tokio::test]
async fn listings_misbehave_only_when_told_to() {
    let quiet = demo_that("status=503").await;
    assert_eq!(quiet.get("/v1/models").await.status, 200);
    assert_eq!(quiet.get("/api/tags").await.status, 200);
    assert_eq!(whole(&quiet, "").await.status, 503);
    let loud = demo_that("status=503,listings-too").await;
    assert_eq!(loud.get("/v1/models").await.status, 503);
    assert_eq!(loud.get("/api/version").await.status, 503);
}

#[tokio::test]
async fn a_suffix_adds_to_what_the_server_does_and_wins() {
    let demo = demo_that("status=500,cookie").await;
    let answer = whole(&demo, "status=429").await;
    assert_eq!(answer.status, 429);
    assert!(answer.header("set-cookie").is_some());
    let unknown = whole(&demo, "status=429,sing").await;
    assert_eq!(unknown.status, 400);
    assert_eq!(unknown.json()["error"]["param"], "model");
}

#[tokio::test]
async fn a_listed_name_with_a_suffix_misbehaves_under_its_tag_too() {
    let demo = demo_with(DemoConfig {
        extra_models: vec!["demo!status=418".into()],
        ..DemoConfig::default()
    })
    .await;
    let tags = demo.get("/api/tags").await.json();
    let name = tags["models"][2]["name"].as_str().unwrap();
    let answer = demo.post("/api/chat", json!({"model": name, "messages": []})).await;
    assert_eq!(answer.status, 418);
}
