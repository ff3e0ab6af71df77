//! Ollama's dialect, through a real socket.

use crate::support::{demo, demo_with, with};
use fluxgate_demo::{DemoConfig, tokens};
use serde_json::{Value, json};

fn chat(text: &str) -> Value {
    json!({"model": "demo", "messages": [{"role": "user", "content": text}]})
}

fn is_time(value: &Value) -> bool {
    chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).is_ok()
}

#[tokio::test]
async fn a_chat_streams_lines_unless_told_otherwise_and_ends_in_true_counts() {
    let demo = demo().await;
    let stream = demo.post("/api/chat", chat("Hello there")).await;
    assert_eq!(stream.header("content-type"), Some("application/x-ndjson"));
    let lines = stream.lines();
    let text: String =
        lines.iter().map(|line| line["message"]["content"].as_str().unwrap()).collect();
    assert!(text.contains("demo model") && text.contains("“Hello there”"));
    let (last, before) = lines.split_last().unwrap();
    assert!(before.iter().all(|line| line["done"] == false && is_time(&line["created_at"])));
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
    assert_eq!(last["prompt_eval_count"], tokens::count("Hello there") + 4);
    assert_eq!(last["eval_count"], tokens::count(&text));
    for duration in ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"] {
        assert!(last[duration].is_u64(), "{duration}");
    }
    let whole = demo.post("/api/chat", with(chat("Hello there"), json!({"stream": false}))).await;
    assert_eq!(whole.header("content-type"), Some("application/json"));
    let whole = whole.json();
    assert_eq!(whole["message"], json!({"role": "assistant", "content": text}));
    assert_eq!(whole["eval_count"], last["eval_count"]);
    assert_eq!(whole["done"], true);
}

#[tokio::test]
async fn generate_answers_in_response_and_gives_a_context() {
    let demo = demo().await;
    let body = json!({"model": "demo:latest", "prompt": "Tell me", "system": "Be kind", "images": ["AAAA"]});
    let lines = demo.post("/api/generate", body).await.lines();
    let text: String = lines.iter().map(|line| line["response"].as_str().unwrap()).collect();
    assert!(text.contains("“Tell me”") && text.contains("1 image,"), "{text}");
    let last = lines.last().unwrap();
    assert_eq!(last["model"], "demo:latest");
    assert_eq!(
        last["prompt_eval_count"],
        tokens::count("Tell me") + tokens::count("Be kind") + 8 + 256
    );
    assert!(last["context"].as_array().unwrap().len() > 10);
}

#[tokio::test]
async fn num_predict_and_stop_bound_the_answer() {
    let demo = demo().await;
    let body = with(chat("x"), json!({"stream": false, "options": {"num_predict": 4, "seed": 1}}));
    let answer = demo.post("/api/chat", body).await.json();
    assert_eq!((&answer["done_reason"], &answer["eval_count"]), (&json!("length"), &json!(4)));
    let body =
        with(chat("x"), json!({"stream": false, "options": {"num_predict": -1, "stop": ["demo"]}}));
    let answer = demo.post("/api/chat", body).await.json();
    assert_eq!(answer["message"]["content"], "This is Fluxgate's built-in ");
    assert_eq!(answer["done_reason"], "stop");
}

#[tokio::test]
async fn an_empty_prompt_loads_and_keep_alive_0_unloads() {
    let demo = demo().await;
    for (path, body) in [
        ("/api/generate", json!({"model": "demo"})),
        ("/api/generate", json!({"model": "demo", "prompt": ""})),
        ("/api/chat", json!({"model": "demo", "messages": []})),
    ] {
        let load = demo.post(path, body.clone()).await.json();
        assert_eq!((&load["done"], &load["done_reason"]), (&json!(true), &json!("load")), "{body}");
        let unload = demo.post(path, with(body, json!({"keep_alive": 0}))).await.json();
        assert_eq!(unload["done_reason"], "unload");
    }
}

#[tokio::test]
async fn thinking_stands_in_a_field_of_its_own_and_is_counted() {
    let demo = demo().await;
    let lines = demo.post("/api/chat", with(chat("x"), json!({"think": true}))).await.lines();
    let part = |name: &str| -> String {
        lines.iter().filter_map(|line| line["message"][name].as_str()).collect()
    };
    let (thinking, text) = (part("thinking"), part("content"));
    assert!(thinking.contains("does not think"));
    assert_eq!(
        lines.last().unwrap()["eval_count"],
        tokens::count(&thinking) + tokens::count(&text)
    );
    let body = json!({"model": "demo", "prompt": "x", "think": "low", "stream": false});
    assert_eq!(demo.post("/api/generate", body).await.json()["thinking"], thinking);
}

#[tokio::test]
async fn a_tool_call_comes_whole_with_its_arguments_as_an_object() {
    let demo = demo().await;
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "description": "d",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
    let body = with(chat("call get_weather for Oslo"), json!({"tools": tools}));
    let lines = demo.post("/api/chat", body.clone()).await.lines();
    let calls: Vec<_> = lines.iter().filter_map(|line| line["message"].get("tool_calls")).collect();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        calls[0][0]["function"],
        json!({"index": 0, "name": "get_weather", "arguments": {"city": "Oslo"}})
    );
    let whole = demo.post("/api/chat", with(body, json!({"stream": false}))).await.json();
    assert_eq!(&whole["message"]["tool_calls"], calls[0]);
    let body = json!({"model": "demo", "stream": false, "tools": tools, "messages": [
        {"role": "user", "content": "call get_weather"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "get_weather", "arguments": {}}}]},
        {"role": "tool", "tool_name": "get_weather", "content": "rain"}]});
    let answer = demo.post("/api/chat", body).await.json();
    assert!(answer["message"]["content"].as_str().unwrap().contains("The tool answered: “rain”"));
}

#[tokio::test]
async fn format_answers_in_json() {
    let demo = demo().await;
    let ask = async |format: Value| {
        let body = with(chat("Hi"), json!({"stream": false, "format": format}));
        let answer = demo.post("/api/chat", body).await.json();
        serde_json::from_str::<Value>(answer["message"]["content"].as_str().unwrap()).unwrap()
    };
    assert_eq!(ask(json!("json")).await["source"], "Fluxgate demo model");
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}});
    let object = ask(schema).await;
    assert!(
        object["n"].is_i64() && object["s"].as_str().unwrap().starts_with("Fluxgate demo model")
    );
}

#[tokio::test]
async fn embeddings_have_both_forms() {
    let demo = demo().await;
    let body = json!({"model": "demo-embed", "input": ["one two", "x"], "dimensions": 8});
    let answer = demo.post("/api/embed", body).await.json();
    assert_eq!(answer["embeddings"].as_array().unwrap().len(), 2);
    assert_eq!(answer["embeddings"][0].as_array().unwrap().len(), 8);
    assert_eq!(answer["prompt_eval_count"], 3);
    let old = demo
        .post("/api/embeddings", json!({"model": "demo-embed", "prompt": "one two"}))
        .await
        .json();
    assert_eq!(old["embedding"].as_array().unwrap().len(), 64);
}

#[tokio::test]
async fn the_listings_have_ollamas_shapes() {
    let demo =
        demo_with(DemoConfig { extra_models: vec!["demo!crlf".into()], ..DemoConfig::default() })
            .await;
    let tags = demo.get("/api/tags").await.json();
    let names: Vec<_> = tags["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["demo:latest", "demo-embed:latest", "demo!crlf:latest"]);
    let first = &tags["models"][0];
    assert_eq!(first["digest"].as_str().unwrap().len(), 64);
    assert!(
        is_time(&first["modified_at"])
            && first["size"].is_u64()
            && first["details"]["family"].is_string()
    );
    let ps = demo.get("/api/ps").await.json();
    assert!(is_time(&ps["models"][0]["expires_at"]));
    let version = demo.get("/api/version").await.json();
    assert_eq!(version["version"].as_str().unwrap().split('.').count(), 3);
    for name in ["model", "name"] {
        let show = demo.post("/api/show", json!({name: "demo"})).await.json();
        let architecture = show["model_info"]["general.architecture"].as_str().unwrap();
        assert_eq!(show["model_info"][format!("{architecture}.context_length")], 32_768);
        assert!(show["capabilities"].as_array().unwrap().contains(&json!("tools")));
    }
    let show = demo.post("/api/show", json!({"model": "demo-embed:latest"})).await.json();
    assert_eq!(show["capabilities"], json!(["embedding"]));
    let greeting = demo.get("/").await;
    assert_eq!(greeting.status, 200);
    assert!(greeting.text().contains("demo model"));
}

#[tokio::test]
async fn refusals_are_in_the_dialect_and_name_the_field() {
    let demo = demo().await;
    for (path, body, status, word) in [
        ("/api/chat", json!({"messages": []}), 400, "model"),
        ("/api/chat", json!({"model": "none", "messages": []}), 404, "none"),
        ("/api/chat", json!({"model": "demo", "messages": "x"}), 400, "messages"),
        (
            "/api/chat",
            json!({"model": "demo", "messages": [{"role": "user", "content": 1}]}),
            400,
            "messages[0].content",
        ),
        ("/api/chat", json!({"model": "demo", "messages": [], "stream": "no"}), 400, "stream"),
        ("/api/chat", json!({"model": "demo", "messages": [], "options": 1}), 400, "options"),
        (
            "/api/chat",
            json!({"model": "demo", "messages": [], "options": {"num_predict": "x"}}),
            400,
            "options.num_predict",
        ),
        ("/api/chat", json!({"model": "demo", "messages": [], "format": "xml"}), 400, "format"),
        ("/api/chat", json!({"model": "demo", "messages": [], "think": 3}), 400, "think"),
        ("/api/generate", json!({"model": "demo", "prompt": 5}), 400, "prompt"),
        ("/api/generate", json!({"model": "demo", "prompt": "x", "images": [1]}), 400, "images"),
        ("/api/embed", json!({"model": "demo-embed", "input": 5}), 400, "input"),
        ("/api/embed", json!({"model": "demo", "input": "x"}), 400, "embeddings"),
        ("/api/show", json!({"model": "none"}), 404, "none"),
        ("/api/pull", json!({"model": "demo"}), 404, "/api/pull"),
        ("/api/tags", json!({}), 405, "GET"),
    ] {
        let answer = demo.post(path, body.clone()).await;
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, status, "{path} {body}: {error}");
        assert!(error.contains(word), "{path} {body}: {error}");
    }
    let broken = demo.send("POST", "/api/chat", b"{").await;
    assert_eq!(broken.status, 400);
    assert!(broken.json()["error"].is_string());
}
