//! Every misbehaviour on the routes whose streams name their events: Anthropic's messages, OpenAI's responses.

use std::time::{Duration, Instant};

use crate::support::{Answer, Demo, End, demo, demo_with};
use fluxgate_demo::{DemoConfig, Speaks, tokens};
use serde_json::{Value, json};

const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";
const BOTH: [&str; 2] = [MESSAGES, RESPONSES];
const ABSURD: u64 = 999_999_999_999;

fn ask(path: &str, quirks: &str, stream: bool) -> Value {
    let model = format!("demo!{quirks}");
    match path {
        MESSAGES => json!({"model": model, "stream": stream, "max_tokens": 1_000_000,
            "messages": [{"role": "user", "content": "Grüße 🎿"}]}),
        _ => json!({"model": model, "stream": stream, "input": "Grüße 🎿"}),
    }
}

async fn whole(demo: &Demo, path: &str, quirks: &str) -> Answer {
    demo.post(path, ask(path, quirks, false)).await
}

async fn stream(demo: &Demo, path: &str, quirks: &str) -> Answer {
    demo.post(path, ask(path, quirks, true)).await
}

/// The text of a stream of either kind.
fn text(events: &[Value]) -> String {
    let piece = |event: &Value| match &event["delta"] {
        Value::String(piece) => Some(piece.clone()),
        delta => delta["text"].as_str().map(str::to_owned),
    };
    events.iter().filter_map(piece).collect()
}

fn whole_text(answer: &Value) -> &str {
    let text = answer.pointer("/content/0/text");
    text.or(answer.pointer("/output/0/content/0/text")).unwrap().as_str().unwrap()
}

/// Each usage that the events carry.
fn usages(events: &[Value]) -> Vec<&Value> {
    let places = ["/usage", "/message/usage", "/response/usage"];
    let found = events.iter().flat_map(|event| places.map(|place| event.pointer(place)));
    found.flatten().filter(|usage| usage.is_object()).collect()
}

#[tokio::test]
async fn a_stream_dies_and_stalls_after_so_many_frames() {
    let demo = demo().await;
    for path in BOTH {
        for count in [0, 1, 4] {
            let answer = stream(&demo, path, &format!("die-after={count}")).await;
            assert_eq!((answer.status, answer.end), (200, End::Reset));
            assert_eq!(answer.text().matches("\n\n").count(), count);
        }
        let half = whole(&demo, path, "die-after=1").await;
        let length: usize = half.header("content-length").unwrap().parse().unwrap();
        assert_eq!((half.end, half.body().len()), (End::Reset, length / 2));
        let stalled = stream(&demo, path, "stall-after=2");
        assert!(tokio::time::timeout(Duration::from_millis(100), stalled).await.is_err());
    }
}

#[tokio::test]
async fn wrong_json_breaks_one_frame_that_no_client_passes_over() {
    let demo = demo().await;
    for path in BOTH {
        serde_json::from_slice::<Value>(&whole(&demo, path, "wrong-json").await.body())
            .unwrap_err();
        let answer = stream(&demo, path, "wrong-json").await.text();
        let broken = |frame: &&str| {
            let (_, data) = frame.split_once("\ndata: ").unwrap();
            serde_json::from_str::<Value>(data).is_err()
        };
        let broken: Vec<_> = answer.split_terminator("\n\n").filter(broken).collect();
        assert_eq!(broken.len(), 1);
        assert!(broken[0].contains("delta\ndata: {"), "{broken:?}");
    }
}

#[tokio::test]
async fn usage_is_true_absent_or_absurd() {
    let demo = demo().await;
    for path in BOTH {
        let true_usage = whole(&demo, path, "").await.json()["usage"].clone();
        assert_eq!(
            *usages(&stream(&demo, path, "").await.named_events()).last().unwrap(),
            &true_usage
        );
        assert!(whole(&demo, path, "no-usage").await.json().get("usage").is_none());
        let events = stream(&demo, path, "no-usage").await.named_events();
        assert!(usages(&events).is_empty() && events.len() > 5);
        let absurd = whole(&demo, path, "absurd-usage").await.json()["usage"].clone();
        assert_eq!(
            (&absurd["input_tokens"], &absurd["output_tokens"]),
            (&json!(ABSURD), &json!(ABSURD))
        );
        let events = stream(&demo, path, "absurd-usage").await.named_events();
        assert_eq!(*usages(&events).last().unwrap(), &absurd);
    }
}

#[tokio::test]
async fn split_merge_and_crlf_change_the_bytes_alone() {
    let demo = demo().await;
    for path in BOTH {
        let expected = whole(&demo, path, "").await.json();
        let expected = whole_text(&expected);
        for size in [1, 7] {
            let answer = stream(&demo, path, &format!("split={size}")).await;
            assert!(answer.chunks.iter().all(|chunk| chunk.len() <= size));
            assert_eq!(text(&answer.named_events()), expected);
        }
        let merged = stream(&demo, path, "merge").await;
        assert_eq!(text(&merged.named_events()), expected);
        assert_eq!(String::from_utf8_lossy(&merged.chunks[0]).matches("\n\n").count(), 16);
        let crlf = stream(&demo, path, "crlf").await.text();
        assert_eq!(crlf.matches("\r\n").count(), crlf.matches('\n').count());
        assert!(crlf.ends_with("}\r\n\r\n") && crlf.contains("\r\ndata: {"));
    }
}

#[tokio::test]
async fn the_answer_is_as_long_and_as_slow_as_told() {
    let demo = demo().await;
    for path in BOTH {
        for count in [0, 1, 500] {
            let answer = whole(&demo, path, &format!("tokens={count}")).await.json();
            assert_eq!(answer["usage"]["output_tokens"], count);
            let events = stream(&demo, path, &format!("tokens={count}")).await.named_events();
            assert_eq!(tokens::count(&text(&events)), count);
            assert_eq!(*usages(&events).last().unwrap(), &answer["usage"]);
        }
        for streams in [true, false] {
            let started = Instant::now();
            demo.post(path, ask(path, "pace=500,tokens=100", streams)).await;
            assert!(started.elapsed() >= Duration::from_millis(50));
        }
        let events = stream(&demo, path, "big-frame=300000").await.named_events();
        let first = events.iter().find(|event| !text(std::slice::from_ref(event)).is_empty());
        assert!((300_000..300_100).contains(&text(std::slice::from_ref(first.unwrap())).len()));
        assert_eq!(usages(&events).last().unwrap()["output_tokens"], tokens::count(&text(&events)));
    }
}

#[tokio::test]
async fn a_stream_fails_in_its_own_dialect_after_so_many_frames() {
    let demo = demo().await;
    for count in [0, 4, 9] {
        let quirks = format!("fail-after={count}");
        let answer = stream(&demo, MESSAGES, &quirks).await;
        assert_eq!((answer.status, answer.end), (200, End::Whole));
        let events = answer.named_events();
        assert_eq!(events.len(), count + 1);
        let last = events.last().unwrap();
        assert_eq!((&last["type"], &last["error"]["type"]), (&json!("error"), &json!("api_error")));

        let answer = stream(&demo, RESPONSES, &quirks).await;
        assert_eq!((answer.status, answer.end), (200, End::Whole));
        let events = answer.named_events();
        let (last, before) = events.split_last().unwrap();
        assert_eq!((before.len(), &last["sequence_number"]), (count, &json!(count)));
        assert_eq!(last["type"], "response.failed");
        let response = &last["response"];
        assert_eq!(
            (&response["status"], &response["error"]["code"]),
            (&json!("failed"), &json!("server_error"))
        );
        assert_eq!(response["usage"]["output_tokens"], tokens::count(&text(before)));

        let chat = json!({"model": format!("demo!{quirks}"), "stream": true, "prompt": "x",
            "messages": [{"role": "user", "content": "x"}]});
        for path in ["/v1/chat/completions", "/v1/completions"] {
            let answer = demo.post(path, chat.clone()).await;
            assert_eq!((answer.status, answer.end), (200, End::Whole));
            let events = answer.events();
            assert_eq!(events.len(), count + 1);
            let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
            assert_eq!(last["error"]["type"], "server_error");
        }
        for path in ["/api/chat", "/api/generate"] {
            let answer = demo.post(path, chat.clone()).await;
            assert_eq!((answer.status, answer.end), (200, End::Whole));
            let lines = answer.lines();
            assert_eq!(lines.len(), count + 1);
            assert!(lines[count]["error"].is_string() && lines[count].get("done").is_none());
        }
    }
    for path in BOTH {
        assert_eq!(whole(&demo, path, "fail-after=1").await.status, 200);
        let events = stream(&demo, path, "fail-after=100000").await.named_events();
        assert!(
            ["message_stop", "response.completed"]
                .contains(&events.last().unwrap()["type"].as_str().unwrap())
        );
    }
}

#[tokio::test]
async fn responses_can_be_a_route_that_is_not_there() {
    let demo = demo().await;
    let refused = whole(&demo, RESPONSES, "no-responses").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (404, &json!("unknown_route")));
    assert_eq!(whole(&demo, MESSAGES, "no-responses").await.status, 200);
    let behaviour = "no-responses".parse().unwrap();
    let demo =
        demo_with(DemoConfig { behaviour, speaks: Speaks::OpenAi, ..DemoConfig::default() }).await;
    assert_eq!(whole(&demo, RESPONSES, "").await.status, 404);
    // A body that names nothing is no other case.
    assert_eq!(demo.send("POST", RESPONSES, b"not json").await.status, 404);
    assert_eq!(demo.post("/v1/chat/completions", json!({"model": "demo"})).await.status, 400);
}

#[tokio::test]
async fn statuses_echoes_and_stream_options_are_as_on_other_routes() {
    let demo = demo().await;
    for path in BOTH {
        let busy = whole(&demo, path, "status=429").await;
        assert_eq!((busy.status, busy.header("retry-after")), (429, Some("7")));
        let redirected = whole(&demo, path, "redirect,cookie").await;
        assert_eq!((redirected.status, redirected.header("location")), (307, Some("/elsewhere")));
        assert!(redirected.header("set-cookie").is_some());
        let body = br#"{ "model" : "demo!echo","x":1.0e3 }"#;
        assert_eq!(demo.send("POST", path, body).await.body(), body);
    }
    let mut body = ask(RESPONSES, "refuse-stream-options", true);
    body["stream_options"] = json!({"include_obfuscation": false});
    let refused = demo.post(RESPONSES, body).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["param"]),
        (400, &json!("stream_options"))
    );
}
