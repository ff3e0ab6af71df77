//! Messages and Responses: who is asked, how refusals look, how a stream that dies ends.

use std::sync::atomic::Ordering;

use fluxgate_demo::{DemoConfig, Pace, Speaks};
use fluxgate_testkit::{Demo, Plan, TestStack};

use crate::scripted_upstream::{MODEL, ScriptedUpstream, Speaks as Scripted, Step};

const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";

fn messages(stream: bool) -> String {
    format!(
        r#"{{"model":"{MODEL}","stream":{stream},"max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}]}}"#
    )
}

fn answer(status: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    vec![Step::Send((head + body).into_bytes())]
}

async fn in_front_of(upstreams: &[&ScriptedUpstream]) -> TestStack {
    let mut plan = Plan::default().upstreams(&[]);
    for (index, upstream) in upstreams.iter().enumerate() {
        plan = plan
            .set(&format!("upstreams.{index}.name"), &format!("scripted-{index}"))
            .set(&format!("upstreams.{index}.url"), &upstream.url());
    }
    plan.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_route_is_remembered_and_the_next_one_asked() {
    let without = ScriptedUpstream::always(
        Scripted::OpenAi,
        answer("404 Not Found", r#"{"error":{"message":"File Not Found"}}"#),
    )
    .await;
    let with = ScriptedUpstream::always(
        Scripted::OpenAi,
        answer("200 OK", r#"{"type":"message","usage":{"input_tokens":1,"output_tokens":2}}"#),
    )
    .await;
    let stack = in_front_of(&[&without, &with]).await;
    for _ in 0..4 {
        assert_eq!(stack.post(MESSAGES, &messages(false)).await.status, 200);
    }
    assert_eq!(without.seen().len(), 1, "it is asked once in ten minutes");

    let stack = in_front_of(&[&without]).await;
    let refused = stack.post(MESSAGES, &messages(false)).await;
    assert_eq!(refused.status, 404);
    let body = refused.json();
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "not_found_error");
    assert!(body["error"]["message"].as_str().unwrap().contains("scripted-0"), "{body}");
    assert_eq!(body["request_id"].as_str(), refused.header("x-request-id"));
    assert_eq!(refused.header("request-id"), refused.header("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_about_the_model_passes_as_it_is() {
    let body = r#"{"type":"error","error":{"type":"not_found_error","message":"model: gone"}}"#;
    let upstream = ScriptedUpstream::always(Scripted::OpenAi, answer("404 Not Found", body)).await;
    let stack = in_front_of(&[&upstream]).await;
    for asked in 1..=2 {
        let passed = stack.post(MESSAGES, &messages(false)).await;
        assert_eq!((passed.status, passed.text()), (404, body.to_owned()));
        assert_eq!(upstream.seen().len(), asked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_dies_ends_with_the_dialects_error_and_no_end_mark() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let cases = [
        (
            MESSAGES,
            messages(true),
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
        ),
        (
            RESPONSES,
            format!(r#"{{"model":"{MODEL}","stream":true,"input":"Hi"}}"#),
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\",\"sequence_number\":0}\n\n",
        ),
    ];
    for (route, request, event) in cases {
        let steps = vec![Step::Send(format!("{head}{event}").into_bytes()), Step::Close];
        let upstream = ScriptedUpstream::always(Scripted::OpenAi, steps).await;
        let stack = in_front_of(&[&upstream]).await;
        let answer = stack.post(route, &request).await;
        assert_eq!(answer.status, 200);
        let text = answer.text();
        let rest = text.strip_prefix(event).unwrap();
        let data = rest.strip_prefix("event: error\ndata: ").unwrap().trim_end();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], "error");
        assert_eq!(data["error"]["code"], "upstream_died", "{data}");
        if route == RESPONSES {
            assert_eq!(
                (&data["code"], &data["sequence_number"]),
                (&data["error"]["code"], &1.into())
            );
            assert!(data["message"].is_string());
        } else {
            assert_eq!(data["error"]["type"], "api_error");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_the_dialect_pass_and_the_key_does_not() {
    let upstream = ScriptedUpstream::always(Scripted::OpenAi, answer("200 OK", "{}")).await;
    let stack = in_front_of(&[&upstream]).await;
    let body = messages(false);
    let request = format!(
        "POST /v1/messages?beta=true HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\nanthropic-version: 2023-06-01\r\nanthropic-beta: tools-1\r\naccept-encoding: gzip, br, zstd\r\ncontent-length: {}\r\n\r\n{body}",
        stack.key,
        body.len()
    );
    let mut client = fluxgate_testkit::wire::Connection::open(stack.clear).await;
    client.send(request.as_bytes()).await;
    assert_eq!(client.head().await.status, 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.path(), MESSAGES, "the query is dropped");
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(seen.header("anthropic-beta"), Some("tools-1"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_eq!(seen.header("x-api-key"), None);
    assert_eq!(seen.body, body.into_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_and_stored_responses_are_refused_in_the_dialect() {
    let stack = TestStack::start().await;
    let refused = stack.post(MESSAGES, r#"{"model":"demo"}"#).await;
    assert_eq!(refused.status, 400);
    let body = refused.json();
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert!(body["error"]["message"].as_str().unwrap().contains("messages"));
    let twice = stack.post(MESSAGES, r#"{"model":"demo","Model":"x","messages":[]}"#).await;
    assert_eq!((twice.status, &twice.json()["error"]["code"]), (400, &"ambiguous_field".into()));

    let refused = stack.post(RESPONSES, r#"{"model":"demo","input":7}"#).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &"input".into()));
    let stored = stack.get("/v1/responses/resp_1").await;
    assert_eq!(stored.status, 404);
    assert!(stored.json()["error"]["message"].as_str().unwrap().contains("keeps no responses"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anthropic_server_is_known_by_its_listing_and_asked_first() {
    let speaks = |speaks| DemoConfig { speaks, pace: Pace::NONE, ..DemoConfig::default() };
    let anthropic = Demo::start(speaks(Speaks::Anthropic)).await;
    let all = Demo::start(speaks(Speaks::All)).await;
    let stack = Plan::default().upstreams(&[all.url(), anthropic.url()]).start().await;
    let body = r#"{"model":"demo","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    let answered = || anthropic.stats.requests.load(Ordering::Relaxed);
    let discovery = answered();
    for _ in 0..3 {
        assert_eq!(stack.post(MESSAGES, body).await.status, 200);
    }
    assert_eq!(answered() - discovery, 3);
    let counted = stack.post("/v1/messages/count_tokens", body).await;
    assert!(counted.json()["input_tokens"].as_u64().unwrap() > 0);
    // It has none of OpenAI's routes: chat goes to the other.
    let chat = r#"{"model":"demo","messages":[{"role":"user","content":"Hi"}]}"#;
    assert_eq!(stack.post("/v1/chat/completions", chat).await.status, 200);
}
