//! What a real model server answered (llama.cpp's, recorded), played through the gateway: it
//! arrives as it was sent, and what it says of its usage is what is counted.

use std::fs;
use std::path::Path;

use fluxgate_testkit::{Plan, TestStack};
use serde_json::Value;

use crate::scripted_upstream::{MODEL, ScriptedUpstream, Speaks, Step};

/// A recording, and the route that it answers.
const RECORDINGS: [(&str, &str); 12] = [
    ("anthropic-count-tokens", "/v1/messages/count_tokens"),
    ("anthropic-messages", "/v1/messages"),
    ("anthropic-messages-stream", "/v1/messages"),
    ("openai-responses", "/v1/responses"),
    ("openai-responses-stream", "/v1/responses"),
    ("openai-chat", "/v1/chat/completions"),
    ("openai-chat-json-schema", "/v1/chat/completions"),
    ("openai-chat-stream", "/v1/chat/completions"),
    ("openai-chat-stream-usage", "/v1/chat/completions"),
    ("openai-chat-tools-stream", "/v1/chat/completions"),
    ("openai-completions-stream", "/v1/completions"),
    ("openai-error-too-long", "/v1/chat/completions"),
];

/// Head without what frames it, and body, of a recording.
pub fn recording(name: &str) -> (String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/recordings");
    let text = fs::read_to_string(path.join(format!("{name}.http"))).unwrap().replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap();
    let framing = ["content-length", "transfer-encoding", "connection", "keep-alive"];
    let head = head.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !framing.contains(&name.as_str())
    });
    (head.collect::<Vec<_>>().join("\r\n"), body.to_owned())
}

/// The usage that the body itself tells: prompt, of it cached, and completion tokens. Later
/// objects add to earlier ones; Anthropic tells what was cached beside the prompt.
fn told(body: &str) -> Option<(f64, f64, f64)> {
    let mut all = serde_json::Map::new();
    for line in body.lines() {
        let Ok(document) = serde_json::from_str::<Value>(line.trim_start_matches("data: ")) else {
            continue;
        };
        for place in ["/usage", "/message/usage", "/response/usage"] {
            if let Some(Value::Object(usage)) = document.pointer(place) {
                all.extend(usage.clone());
            }
        }
    }
    let number = |name: &str| all.get(name).and_then(Value::as_f64);
    let detail = |name: &str| {
        all.get(name).and_then(|details| details.get("cached_tokens")).and_then(Value::as_f64)
    };
    let completion = number("completion_tokens").or(number("output_tokens"))?;
    if let Some(cached) = number("cache_read_input_tokens") {
        return Some((number("input_tokens")? + cached, cached, completion));
    }
    let prompt = number("prompt_tokens").or(number("input_tokens"))?;
    let cached = detail("prompt_tokens_details").or(detail("input_tokens_details"));
    Some((prompt, cached.unwrap_or(0.0), completion))
}

async fn play(head: &str, body: &str, step: usize) -> TestStack {
    let mut steps =
        vec![Step::Send(format!("{head}\r\ntransfer-encoding: chunked\r\n\r\n").into())];
    steps.extend(body.as_bytes().chunks(step).map(|piece| {
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        Step::Send(chunk)
    }));
    steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, steps).await;
    let stack = Plan::default()
        .upstreams(&[])
        .set("upstreams.0.name", "scripted")
        .set("upstreams.0.url", &upstream.url())
        .start()
        .await;
    // It lives as long as its listener's task, which is the runtime's.
    drop(upstream);
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_answers_arrive_whole_and_their_usage_is_counted_at_every_cut() {
    for (name, route) in RECORDINGS {
        let (head, body) = recording(name);
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let streams = name.contains("stream");
        let prompt = match route {
            "/v1/completions" => r#""prompt":"Hello""#,
            "/v1/responses" => r#""input":"Hello""#,
            _ => r#""max_tokens":60,"messages":[{"role":"user","content":"Hello"}]"#,
        };
        let options = r#""stream_options":{"include_usage":true}"#;
        let options = if name.starts_with("openai-c") { options } else { r#""store":false"# };
        let request = format!(r#"{{"model":"{MODEL}","stream":{streams},{options},{prompt}}}"#);
        for step in [7, 4096] {
            let stack = play(&head, &body, step).await;
            let answer = stack.post(route, &request).await;
            assert_eq!((answer.status, answer.text()), (status, body.clone()), "{name} by {step}");
            let counted = async |kind: &str, source: &str| {
                let labels = [format!("kind=\"{kind}\""), format!("source=\"{source}\"")];
                stack.metric("fluxgate_tokens_total", &[&labels[0], &labels[1]]).await
            };
            match told(&body) {
                Some((prompt, cached, completion)) => {
                    assert_eq!(counted("prompt", "reported").await, prompt, "{name} by {step}");
                    assert_eq!(counted("cached", "reported").await, cached, "{name} by {step}");
                    assert_eq!(
                        counted("completion", "reported").await,
                        completion,
                        "{name} by {step}"
                    );
                }
                None if route.ends_with("/count_tokens") => {
                    assert_eq!(counted("prompt", "estimated").await, 0.0, "counting is free");
                }
                None if status == 200 => {
                    assert!(counted("completion", "estimated").await > 0.0, "{name} by {step}");
                }
                None => assert_eq!(counted("prompt", "estimated").await, 0.0, "an error is free"),
            }
        }
    }
}
