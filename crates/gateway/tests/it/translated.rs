//! Ollama's API in front of a server that speaks OpenAI's alone: the official dialect's answers,
//! the server's own counts, and an end that nobody takes for another.

use std::sync::Arc;

use fluxgate_demo::{DemoConfig, Pace, Speaks};
use fluxgate_testkit::wire::{self, Answer};
use fluxgate_testkit::{Plan, TestStack};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::scripted_upstream::{
    JSON, LAST_CHUNK, MODEL, SSE, ScriptedUpstream, Speaks as Scripted, Step, chunk, document,
    stream_head,
};
use crate::usage::recording;

const CHAT: &str = "/api/chat";
const MESSAGES: &str = r#""messages":[{"role":"user","content":"Hi"}]"#;

async fn in_front_of(upstream: &ScriptedUpstream) -> TestStack {
    Plan::default()
        .upstreams(&[])
        .set("upstreams.0.name", "scripted")
        .set("upstreams.0.url", &upstream.url())
        .start()
        .await
}

/// A whole gateway whose demo model speaks OpenAI's dialect alone.
async fn over_openai() -> TestStack {
    let demo = DemoConfig { speaks: Speaks::OpenAi, pace: Pace::NONE, ..DemoConfig::default() };
    Plan::default().demo(demo).start().await
}

fn refusing(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{JSON}\r\nretry-after: 7\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn joined(lines: &[Value], pointer: &str) -> String {
    lines.iter().filter_map(|line| line.pointer(pointer)?.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_chunk_is_a_line_at_once() {
    let gate = Arc::new(Semaphore::new(0));
    let piece = |text: &str| {
        let frame = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
        );
        Step::Send(chunk(frame.as_bytes()))
    };
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let steps = vec![
        Step::Send(stream_head(SSE)),
        piece("one"),
        Step::Gate(Arc::clone(&gate)),
        piece("two"),
        Step::Gate(Arc::clone(&gate)),
        Step::Send(chunk(end.as_bytes())),
        Step::Send(LAST_CHUNK.to_vec()),
    ];
    let upstream = ScriptedUpstream::always(Scripted::OpenAi, steps).await;
    let stack = in_front_of(&upstream).await;
    let mut client = wire::Connection::open(stack.clear).await;
    client.send(&stack.posting(CHAT, &format!(r#"{{"model":"{MODEL}",{MESSAGES}}}"#))).await;
    let head = client.head().await;
    assert_eq!(head.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(head.header("x-fluxgate-upstream"), Some("scripted"));
    for text in ["one", "two"] {
        let line: Value = serde_json::from_slice(&client.chunk().await.unwrap()).unwrap();
        assert_eq!((&line["message"]["content"], &line["done"]), (&json!(text), &json!(false)));
        gate.add_permits(1);
    }
    let last: Value = serde_json::from_slice(&client.chunk().await.unwrap()).unwrap();
    assert_eq!(last["done"], true);
    assert!(last.get("eval_count").is_none(), "nobody told a usage: {last}");
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.path(), "/v1/chat/completions");
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(body["stream_options"], json!({"include_usage": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_in_both_dialects_is_answered_the_same() {
    let stack = over_openai().await;
    let mut rng = fastrand::Rng::with_seed(0x0011_a3a0);
    let words = ["river", "né", "\"quoted\"", "\u{1f9ed}", "back\\slash", "line\nbreak", "42"];
    for case in 0..60 {
        let text: Vec<&str> = (0..rng.usize(1..9)).map(|_| *rng.choice(&words).unwrap()).collect();
        let text = text.join(" ");
        let limit = rng.u32(1..40);
        let json_mode = rng.bool();
        let stream = rng.bool();
        let mut ollama = json!({"model": "demo:latest", "stream": stream,
            "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": text}],
            "options": {"num_predict": limit}});
        let mut openai = json!({"model": "demo", "max_tokens": limit,
            "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": text}]});
        if json_mode {
            ollama["format"] = json!("json");
            openai["response_format"] = json!({"type": "json_object"});
        }
        let told = stack.post("/v1/chat/completions", &openai.to_string()).await.json();
        let answer = stack.post(CHAT, &ollama.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let lines = lines(&answer);
        assert!(stream || lines.len() == 1);
        let choice = &told["choices"][0];
        assert_eq!(joined(&lines, "/message/content"), choice["message"]["content"], "{case}");
        let last = lines.last().unwrap();
        assert_eq!(last["done_reason"], choice["finish_reason"], "{case}");
        assert_eq!(last["prompt_eval_count"], told["usage"]["prompt_tokens"], "{case}");
        assert_eq!(last["eval_count"], told["usage"]["completion_tokens"], "{case}");
        assert_eq!(last["model"], "demo:latest");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_generate_and_embeddings_over_openai() {
    let stack = over_openai().await;
    let tools = json!([{"type": "function", "function": {"name": "weather", "description": "Weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
    let question = json!([{"role": "user", "content": "Call weather for Paris, please."}]);
    for stream in [false, true] {
        let body = json!({"model": "demo", "stream": stream, "messages": question, "tools": tools});
        let answer = stack.post(CHAT, &body.to_string()).await;
        let lines = lines(&answer);
        let call = lines.iter().find_map(|line| line.pointer("/message/tool_calls/0")).unwrap();
        assert_eq!(call["function"]["name"], "weather");
        assert!(call["function"]["arguments"].is_object(), "{call}");
        assert_eq!(lines.last().unwrap()["done_reason"], "stop");
    }
    for body in [
        json!({"model": "demo", "prompt": "Say hello", "system": "S", "stream": false}),
        json!({"model": "demo", "prompt": "Say hello", "raw": true, "stream": false}),
    ] {
        let answer = stack.post("/api/generate", &body.to_string()).await.json();
        assert!(!answer["response"].as_str().unwrap().is_empty(), "{answer}");
        assert_eq!(answer["done"], true);
        assert!(answer["eval_count"].as_u64().unwrap() > 0);
    }
    let openai = json!({"model": "demo-embed", "input": ["a", "b"]}).to_string();
    let told = stack.post("/v1/embeddings", &openai).await.json();
    let body = json!({"model": "demo-embed", "input": ["a", "b"]}).to_string();
    let answer = stack.post("/api/embed", &body).await.json();
    assert_eq!(answer["embeddings"][1], told["data"][1]["embedding"]);
    assert_eq!(answer["prompt_eval_count"], told["usage"]["prompt_tokens"]);
    let body = json!({"model": "demo-embed", "prompt": "a"}).to_string();
    let answer = stack.post("/api/embeddings", &body).await.json();
    assert_eq!(answer["embedding"], told["data"][0]["embedding"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_is_told_in_ollamas_form() {
    let stack = over_openai().await;
    let tags = stack.get("/api/tags").await.json();
    let tag = tags["models"].as_array().unwrap().iter().find(|tag| tag["name"] == "demo").unwrap();
    assert_eq!(tag["model"], "demo");
    assert_eq!(tag["digest"].as_str().unwrap().len(), 64);
    assert!(tag["details"]["families"].is_array() && tag["size"].is_u64());
    let version = stack.get("/api/version").await.json();
    assert_eq!(version["version"], "0.13.0");
    assert_eq!(stack.get("/api/ps").await.json(), json!({"models": []}));
    for name in ["demo", "demo:latest"] {
        let shown = stack.post("/api/show", &json!({ "model": name }).to_string()).await;
        assert_eq!(shown.status, 200);
        assert_eq!(shown.json()["capabilities"], json!(["completion", "tools"]));
        assert!(shown.json()["model_info"]["general.architecture"].is_string());
    }
    let missing = stack.post("/api/show", r#"{"model":"nobody"}"#).await;
    assert_eq!((missing.status, &missing.json()["code"]), (404, &json!("model_not_found")));
    let loaded = stack.post(CHAT, r#"{"model":"demo","messages":[]}"#).await.json();
    assert_eq!(loaded["done_reason"], "load");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_no_extra_member_is_asked_again_and_remembered() {
    let answer = r#"{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}]}"#;
    let upstream = ScriptedUpstream::start(Scripted::OpenAi, move |seen| {
        let body = String::from_utf8(seen.body.clone()).unwrap();
        vec![Step::Send(if body.contains("top_k") {
            let words = r#"{"error":{"message":"Unrecognized request argument supplied: top_k"}}"#;
            refusing("400 Bad Request", words)
        } else {
            document(JSON, answer.as_bytes())
        })]
    })
    .await;
    let stack = in_front_of(&upstream).await;
    let body = format!(
        r#"{{"model":"{MODEL}","stream":false,{MESSAGES},"options":{{"top_k":3,"num_ctx":9,"seed":1}}}}"#
    );
    for requests in [2, 3] {
        let answer = stack.post(CHAT, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-fluxgate-dropped"), Some("num_ctx, top_k"));
        assert_eq!(upstream.seen().len(), requests);
    }
    let sent: Value = serde_json::from_slice(&upstream.seen()[2].body).unwrap();
    assert_eq!(sent["seed"], 1);

    // A wrong value isn't an unknown name.
    let words = r#"{"error":{"message":"top_k must be positive","code":"bad_top_k"}}"#;
    let upstream = ScriptedUpstream::always(
        Scripted::OpenAi,
        vec![Step::Send(refusing("400 Bad Request", words))],
    )
    .await;
    let stack = in_front_of(&upstream).await;
    let refused = stack.post(CHAT, &body).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json(), json!({"error": "top_k must be positive", "code": "bad_top_k"}));
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_broken_answers_come_in_ollamas_form() {
    let body = format!(r#"{{"model":"{MODEL}","stream":false,{MESSAGES}}}"#);
    let limited = r#"{"error":{"message":"slow down","type":"requests","code":null}}"#;
    for (answer, status, code) in [
        (refusing("429 Too Many Requests", limited), 429, "requests"),
        (refusing("401 Unauthorized", limited), 502, "upstream_auth"),
        (refusing("500 Internal Server Error", limited), 502, "upstream_error"),
        (document(JSON, b"{\"choices\":[{\"mess"), 502, "upstream_broken"),
        (document(JSON, b"{}"), 502, "upstream_broken"),
        (document(&format!("{JSON}\r\ncontent-encoding: gzip"), b"x"), 502, "upstream_broken"),
    ] {
        let upstream = ScriptedUpstream::always(Scripted::OpenAi, vec![Step::Send(answer)]).await;
        let stack = in_front_of(&upstream).await;
        let refused = stack.post(CHAT, &body).await;
        assert_eq!((refused.status, &refused.json()["code"]), (status, &json!(code)));
        assert!(refused.json()["error"].is_string());
        if status == 429 {
            assert_eq!(refused.header("retry-after"), Some("7"));
        }
    }
    let upstream = ScriptedUpstream::always(Scripted::OpenAi, vec![Step::Close]).await;
    let stack = in_front_of(&upstream).await;
    for bad in [
        format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":7}}]}}"#),
        format!(r#"{{"model":"{MODEL}",{MESSAGES},"tool_choice":"any"}}"#),
        format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","images":["////"]}}]}}"#),
    ] {
        let refused = stack.post(CHAT, &bad).await;
        assert_eq!((refused.status, &refused.json()["code"]), (400, &json!("invalid_field")));
    }
    assert_eq!(upstream.seen().len(), 0, "nothing of it reached the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_dies_ends_with_an_error_line() {
    let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    let bad = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":[1]}}]}\n\n";
    for (more, code) in [("", "upstream_died"), (bad, "upstream_broken")] {
        let steps = vec![
            Step::Send(stream_head(SSE)),
            Step::Send(chunk(event.as_bytes())),
            Step::Send(if more.is_empty() { Vec::new() } else { chunk(more.as_bytes()) }),
            Step::Close,
        ];
        let upstream = ScriptedUpstream::always(Scripted::OpenAi, steps).await;
        let stack = in_front_of(&upstream).await;
        let answer = stack.post(CHAT, &format!(r#"{{"model":"{MODEL}",{MESSAGES}}}"#)).await;
        let lines = lines(&answer);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0]["message"]["content"], "Hi");
        assert_eq!((&lines[1]["code"], lines[1]["done"].as_bool()), (&json!(code), None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_streams_become_lines_with_the_servers_own_counts_at_every_split() {
    for (name, route) in [
        ("openai-chat-stream-usage", CHAT),
        ("openai-chat-tools-stream", CHAT),
        ("openai-completions-stream", "/api/generate"),
    ] {
        let (_, body) = recording(name);
        let request = if route == CHAT {
            format!(r#"{{"model":"{MODEL}",{MESSAGES}}}"#)
        } else {
            format!(r#"{{"model":"{MODEL}","prompt":"Hi","raw":true}}"#)
        };
        let mut first: Option<String> = None;
        for step in [1, 7, 100, 4096] {
            let mut steps = vec![Step::Send(stream_head(SSE))];
            steps.extend(body.as_bytes().chunks(step).map(|piece| Step::Send(chunk(piece))));
            steps.push(Step::Send(LAST_CHUNK.to_vec()));
            let upstream = ScriptedUpstream::always(Scripted::OpenAi, steps).await;
            let stack = in_front_of(&upstream).await;
            let lines = lines(&stack.post(route, &request).await);
            let last = lines.last().unwrap();
            assert_eq!(last["done"], true, "{name} by {step}: {last}");
            let usage = body.lines().rev().find_map(|line| {
                let event: Value = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
                event.get("usage").filter(|usage| usage.is_object()).cloned()
            });
            if let Some(usage) = usage {
                assert_eq!(last["prompt_eval_count"], usage["prompt_tokens"], "{name} by {step}");
                assert_eq!(last["eval_count"], usage["completion_tokens"], "{name} by {step}");
            }
            let said: String = ["/message/content", "/response", "/message/tool_calls/0/function"]
                .iter()
                .map(|place| {
                    let values = lines.iter().filter_map(|line| line.pointer(place));
                    values.map(Value::to_string).collect::<String>()
                })
                .collect();
            assert_eq!(*first.get_or_insert(said.clone()), said, "{name} by {step}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_said_of_its_own_body_isnt_said_of_ours() {
    let answer = r#"{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}]}"#;
    let upstream = ScriptedUpstream::always(
        Scripted::OpenAi,
        vec![Step::Send(document(
            &format!("{JSON}\r\ncontent-encoding: identity"),
            answer.as_bytes(),
        ))],
    )
    .await;
    let stack = in_front_of(&upstream).await;
    let body = format!(r#"{{"model":"{MODEL}","stream":false,{MESSAGES}}}"#);
    let authorization = format!("Bearer {}", stack.key);
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/x-ndjson"),
        ("x-mine", "1"),
    ];
    let request = wire::request("POST", CHAT, &headers, body.as_bytes());
    assert_eq!(wire::ask(stack.clear, &request).await.status, 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.all("content-type"), ["application/json"]);
    assert_eq!(seen.all("accept"), ["application/json, text/event-stream"]);
    assert_eq!(seen.header("x-mine"), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn thinking_is_left_out_for_a_server_that_refuses_it_and_no_value_switches_extras_off() {
    let answer = r#"{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}]}"#;
    let upstream = ScriptedUpstream::start(Scripted::OpenAi, move |seen| {
        let body = String::from_utf8(seen.body.clone()).unwrap();
        vec![Step::Send(if body.contains("reasoning_content") {
            let words = r#"{"detail":[{"loc":["messages"],"msg":"reasoning_content: Extra inputs are not permitted"}]}"#;
            refusing("422 Unprocessable Entity", words)
        } else {
            document(JSON, answer.as_bytes())
        })]
    })
    .await;
    let stack = in_front_of(&upstream).await;
    let body = json!({"model": MODEL, "stream": false, "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "thinking": "c"}
    ]});
    let answered = stack.post(CHAT, &body.to_string()).await;
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert_eq!(answered.header("x-fluxgate-dropped"), Some("thinking"));

    // Refused with extras and without: it was something else, and extras go on being sent.
    let words = r#"{"error":{"message":"unexpected value of top_k"}}"#;
    let upstream = ScriptedUpstream::always(
        Scripted::OpenAi,
        vec![Step::Send(refusing("400 Bad Request", words))],
    )
    .await;
    let stack = in_front_of(&upstream).await;
    let body = json!({"model": MODEL, "stream": false, "options": {"top_k": -1},
        "messages": [{"role": "user", "content": "a"}]});
    for asked in [2, 4] {
        assert_eq!(stack.post(CHAT, &body.to_string()).await.status, 400);
        assert_eq!(upstream.seen().len(), asked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_that_stalls_is_given_up_and_what_it_used_is_kept() {
    let broken = r#"{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{"}}]}}],"usage":{"prompt_tokens":11,"completion_tokens":7}}"#;
    let upstream = ScriptedUpstream::always(
        Scripted::OpenAi,
        vec![Step::Send(document(JSON, broken.as_bytes()))],
    )
    .await;
    let stack = in_front_of(&upstream).await;
    let body = format!(r#"{{"model":"{MODEL}","stream":false,{MESSAGES}}}"#);
    let refused = stack.post(CHAT, &body).await;
    assert_eq!((refused.status, &refused.json()["code"]), (502, &json!("upstream_broken")));
    let counted = stack.metric("fluxgate_tokens_total", &["completion", "reported"]).await;
    assert_eq!(counted, 7.0);

    let head = format!("HTTP/1.1 200 OK\r\n{JSON}\r\ncontent-length: 999\r\n\r\n{{\"choices");
    let gate = Arc::new(Semaphore::new(0));
    let steps = vec![Step::Send(head.into_bytes()), Step::Gate(gate)];
    let upstream = ScriptedUpstream::always(Scripted::OpenAi, steps).await;
    let stack = Plan::default()
        .upstreams(&[])
        .set("upstreams.0.name", "scripted")
        .set("upstreams.0.url", &upstream.url())
        .set("upstreams.0.idle_s", "1")
        .start()
        .await;
    let refused = stack.post(CHAT, &body).await;
    assert_eq!((refused.status, &refused.json()["code"]), (504, &json!("upstream_stalled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_conversation_is_translated_beside_the_streams() {
    let stack = over_openai().await;
    let text = "word ".repeat(200_000);
    let body = json!({"model": "demo", "stream": false, "options": {"num_predict": 3},
        "messages": [{"role": "user", "content": text}]});
    let answer = stack.post(CHAT, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["prompt_eval_count"].as_u64().unwrap() > 100_000);
}
