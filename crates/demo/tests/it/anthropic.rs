//! Anthropic's dialect, through a real socket.

use crate::support::{Demo, demo, demo_with, with};
use fluxgate_demo::{DemoConfig, Speaks, tokens};
use serde_json::{Value, json};

const PATH: &str = "/v1/messages";

fn ask(text: &str) -> Value {
    json!({"model": "demo", "max_tokens": 1000, "messages": [{"role": "user", "content": text}]})
}

async fn whole(demo: &Demo, body: Value) -> Value {
    demo.whole(PATH, body).await
}

async fn stream(demo: &Demo, body: Value) -> Vec<Value> {
    demo.stream(PATH, body).await
}

/// The message that a client puts together from a stream.
fn accumulated(events: &[Value]) -> Value {
    let mut message = events[0]["message"].clone();
    let mut json_text = String::new();
    for event in &events[1..] {
        let at = event["index"].as_u64().unwrap_or_default() as usize;
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                let blocks = message["content"].as_array_mut().unwrap();
                assert_eq!(blocks.len(), at);
                blocks.push(event["content_block"].clone());
                json_text.clear();
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                let block = &mut message["content"][at];
                let mut grow = |member: &str| {
                    let piece = delta[member].as_str().unwrap();
                    block[member] = json!(block[member].as_str().unwrap().to_owned() + piece);
                };
                match delta["type"].as_str().unwrap() {
                    "text_delta" => grow("text"),
                    "thinking_delta" => grow("thinking"),
                    "signature_delta" => grow("signature"),
                    "input_json_delta" => json_text += delta["partial_json"].as_str().unwrap(),
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" if message["content"][at]["type"] == "tool_use" => {
                message["content"][at]["input"] = serde_json::from_str(&json_text).unwrap();
            }
            "message_delta" => {
                for (member, value) in event["delta"].as_object().unwrap() {
                    message[member] = value.clone();
                }
                message["usage"] = event["usage"].clone();
            }
            _ => {}
        }
    }
    message
}

/// That a stream says what the whole answer says.
async fn says_the_same(demo: &Demo, body: Value) -> Value {
    let mut message = whole(demo, body.clone()).await;
    let events = stream(demo, body).await;
    assert_eq!(events.last().unwrap(), &json!({"type": "message_stop"}));
    let mut streamed = accumulated(&events);
    assert_ne!(streamed["id"], message["id"]);
    for each in [&mut streamed, &mut message] {
        each.as_object_mut().unwrap().remove("id");
    }
    assert_eq!(streamed, message);
    message
}

#[tokio::test]
async fn a_message_is_answered_in_the_form_of_the_reference() {
    let demo = demo().await;
    let message = whole(&demo, ask("Grüße aus Zürich 🎿")).await;
    let text = message["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("demo model") && text.contains("“Grüße aus Zürich 🎿”"), "{text}");
    assert!(message["id"].as_str().unwrap().starts_with("msg_"));
    let usage = json!({
        "input_tokens": tokens::count("Grüße aus Zürich 🎿") + 4,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": tokens::count(text)});
    let expected = json!({"id": message["id"], "type": "message", "role": "assistant", "model": "demo",
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": usage});
    assert_eq!(message, expected);
    assert_eq!(whole(&demo, ask("Grüße aus Zürich 🎿")).await["content"], message["content"]);
}

#[tokio::test]
async fn a_stream_says_the_same_as_the_whole_answer() {
    let demo = demo().await;
    let message = says_the_same(&demo, ask("Hello")).await;
    let events = stream(&demo, ask("Hello")).await;
    let names: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(names[..4], ["message_start", "content_block_start", "ping", "content_block_delta"]);
    assert_eq!(names[names.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    assert_eq!(names.iter().filter(|name| **name == "ping").count(), 1);
    let opening = &events[0]["message"];
    assert_eq!((&opening["content"], &opening["stop_reason"]), (&json!([]), &Value::Null));
    assert_eq!(opening["usage"]["input_tokens"], message["usage"]["input_tokens"]);
    assert_eq!(opening["usage"]["output_tokens"], 0);
}

#[tokio::test]
async fn an_answer_ends_at_its_maximum_or_before_a_stop_sequence_and_says_which() {
    let demo = demo().await;
    let cut = says_the_same(&demo, with(ask("Hello"), json!({"max_tokens": 5}))).await;
    assert_eq!((&cut["stop_reason"], &cut["stop_sequence"]), (&json!("max_tokens"), &Value::Null));
    assert_eq!(cut["usage"]["output_tokens"], 5);
    let stops = json!({"stop_sequences": ["never said", "demo model"]});
    let stopped = says_the_same(&demo, with(ask("Hello"), stops.clone())).await;
    assert_eq!(stopped["stop_reason"], "stop_sequence");
    assert_eq!(stopped["stop_sequence"], "demo model");
    assert_eq!(stopped["content"][0]["text"], "This is Fluxgate's built-in ");
    let both = with(with(ask("Hello"), stops), json!({"max_tokens": 2}));
    assert_eq!(says_the_same(&demo, both).await["stop_reason"], "max_tokens");
}

#[tokio::test]
async fn thinking_comes_in_a_block_of_its_own_with_a_signature() {
    let demo = demo().await;
    let body = with(ask("Hello"), json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}));
    let message = says_the_same(&demo, body.clone()).await;
    let [thinking, text] = &message["content"].as_array().unwrap()[..] else { panic!("{message}") };
    assert_eq!((&thinking["type"], &text["type"]), (&json!("thinking"), &json!("text")));
    assert!(!thinking["signature"].as_str().unwrap().is_empty());
    let count = |value: &Value| tokens::count(value.as_str().unwrap());
    let said = count(&thinking["thinking"]) + count(&text["text"]);
    assert_eq!(message["usage"]["output_tokens"], said);
    let cut = says_the_same(&demo, with(body, json!({"max_tokens": 3}))).await;
    assert_eq!(cut["content"].as_array().unwrap().len(), 1);
    let off = with(ask("Hello"), json!({"thinking": {"type": "disabled"}}));
    assert_eq!(whole(&demo, off).await["content"][0]["type"], "text");
}

fn weather_tools() -> Value {
    json!([{"name": "get_weather", "description": "The weather", "input_schema": {
        "type": "object", "required": ["city"], "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}},
        {"name": "lookup", "type": "custom", "input_schema": {"type": "object"}},
        {"name": "web_search", "type": "web_search_20250305", "max_uses": 3}])
}

#[tokio::test]
async fn a_tool_is_used_when_it_is_mentioned_demanded_or_named() {
    let demo = demo().await;
    let used = async |text: &str, choice: Value| {
        let body = with(ask(text), json!({"tools": weather_tools(), "tool_choice": choice}));
        says_the_same(&demo, body).await
    };
    let mentioned = used("Use get_weather for Paris over 3 days", json!({"type": "auto"})).await;
    assert_eq!(mentioned["stop_reason"], "tool_use");
    let block = &mentioned["content"][0];
    assert!(block["id"].as_str().unwrap().starts_with("toolu_"));
    assert_eq!((&block["type"], &block["name"]), (&json!("tool_use"), &json!("get_weather")));
    assert_eq!(block["input"], json!({"city": "Paris", "days": 3}));
    let any = used("Hello", json!({"type": "any"})).await;
    assert_eq!(any["content"][0]["name"], "get_weather");
    let named = used("Hello", json!({"type": "tool", "name": "lookup"})).await;
    assert_eq!(named["content"][0]["name"], "lookup");
    for (text, choice) in [("Hello", "auto"), ("Use get_weather", "none"), ("web_search", "auto")] {
        assert_eq!(used(text, json!({"type": choice})).await["stop_reason"], "end_turn", "{text}");
    }
    let two = "get_weather and lookup in Rome";
    assert_eq!(used(two, json!({"type": "auto"})).await["content"].as_array().unwrap().len(), 2);
    let one = json!({"type": "auto", "disable_parallel_tool_use": true});
    assert_eq!(used(two, one).await["content"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_call_that_the_maximum_cuts_has_an_empty_input() {
    let demo = demo().await;
    let more = json!({"tools": weather_tools(), "max_tokens": 5});
    let body = with(ask("Use get_weather for Paris"), more);
    let message = whole(&demo, body.clone()).await;
    assert_eq!(message["stop_reason"], "max_tokens");
    assert_eq!(message["content"][0]["input"], json!({}));
    let events = stream(&demo, body).await;
    assert_eq!(events[events.len() - 2]["usage"], message["usage"]);
}

#[tokio::test]
async fn a_tools_result_is_answered_in_words_though_more_text_stands_beside_it() {
    let demo = demo().await;
    let results = json!([
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "21 °C and sunny"}]},
        {"type": "text", "text": "Reminder: use get_weather."}]);
    let body = json!({"model": "demo", "max_tokens": 500, "tools": weather_tools(), "tool_choice": {"type": "any"},
        "messages": [{"role": "user", "content": "Use get_weather"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "…", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "get_weather", "input": {"city": "Rome"}}]},
            {"role": "user", "content": results}]});
    let message = says_the_same(&demo, body).await;
    let text = message["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("The tool answered: “21 °C and sunny”"), "{text}");
}

#[tokio::test]
async fn blocks_images_and_the_system_prompt_are_read() {
    let demo = demo().await;
    let content = json!([{"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]);
    let body = json!({"model": "demo", "max_tokens": 500, "unknown": {"x": 1}, "metadata": {"user_id": "u"},
        "system": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind"}],
        "messages": [{"role": "user", "content": content}]});
    let message = whole(&demo, body.clone()).await;
    let text = message["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("“What is this?”") && text.contains("1 image,"), "{text}");
    let prompt = tokens::count("What is this?") + 4 + 256 + tokens::count("Be kind") + 4;
    assert_eq!(message["usage"]["input_tokens"], prompt);
    let text = whole(&demo, with(body, json!({"system": "Be kind"}))).await;
    assert_eq!(text["usage"], message["usage"]);
}

#[tokio::test]
async fn count_tokens_counts_what_a_message_is_charged() {
    let demo = demo().await;
    let system =
        json!([{"type": "text", "text": "Be kind", "cache_control": {"type": "ephemeral"}}]);
    let body = with(ask("one two three"), json!({"system": system, "tools": weather_tools()}));
    let mut unlimited = body.clone();
    unlimited.as_object_mut().unwrap().remove("max_tokens");
    let counted = demo.post("/v1/messages/count_tokens", unlimited).await;
    assert_eq!(counted.status, 200);
    let usage = whole(&demo, body).await["usage"].clone();
    let input = usage["input_tokens"].as_u64().unwrap();
    let created = usage["cache_creation_input_tokens"].as_u64().unwrap();
    assert!(created > 0, "counting puts nothing into the cache: {usage}");
    assert_eq!(counted.json(), json!({"input_tokens": input + created}));
}

#[tokio::test]
async fn a_marked_beginning_is_created_in_the_cache_and_read_from_then_on() {
    let demo = demo().await;
    let mark = json!({"type": "ephemeral"});
    let system = json!([{"type": "text", "text": "Be kind", "cache_control": mark}]);
    let cached = tokens::count("Be kind") + 4;
    let uncached = tokens::count("Hello") + 4;
    let usage = async |body: Value| whole(&demo, body).await["usage"].clone();
    let counts = |usage: &Value| {
        ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
            .map(|member| usage[member].as_u64().unwrap())
    };
    let body = with(ask("Hello"), json!({"system": system}));
    assert_eq!(counts(&usage(body.clone()).await), [uncached, cached, 0]);
    assert_eq!(counts(&usage(body.clone()).await), [uncached, 0, cached]);
    let events = stream(&demo, body.clone()).await;
    for usage in [&events[0]["message"]["usage"], &events[events.len() - 2]["usage"]] {
        assert_eq!(counts(usage), [uncached, 0, cached]);
    }
    let marked = json!([{"type": "text", "text": "Hello", "cache_control": mark}]);
    let messages = json!([{"role": "user", "content": marked}]);
    let longer = with(body, json!({"messages": messages}));
    assert_eq!(counts(&usage(longer.clone()).await), [0, uncached, cached]);
    assert_eq!(counts(&usage(longer).await), [0, 0, cached + uncached]);
    let top = with(ask("Another"), json!({"cache_control": mark}));
    assert_eq!(counts(&usage(top).await), [0, tokens::count("Another") + 4, 0]);
    let five: Vec<_> = (0..5).map(|_| marked[0].clone()).collect();
    let body = with(ask(""), json!({"messages": [{"role": "user", "content": five}]}));
    assert_eq!(demo.post(PATH, body).await.status, 400);
}

#[tokio::test]
async fn models_are_listed_as_anthropic_lists_them_where_nothing_else_is_spoken() {
    let config = DemoConfig {
        speaks: Speaks::Anthropic,
        extra_models: vec!["org/big model".to_owned()],
        ..DemoConfig::default()
    };
    let demo = demo_with(config).await;
    let list = demo.get("/v1/models").await.json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["demo", "demo-embed", "org/big model"]);
    let first = &list["data"][0];
    assert_eq!(
        (&first["type"], &first["created_at"]),
        (&json!("model"), &json!("2026-01-01T00:00:00Z"))
    );
    assert!(first["display_name"].is_string());
    assert_eq!(
        (&list["has_more"], &list["first_id"], &list["last_id"]),
        (&json!(false), &json!("demo"), &json!("org/big model"))
    );
    assert_eq!(demo.get("/v1/models/org%2Fbig%20model").await.json()["id"], "org/big model");
    let unknown = demo.get("/v1/models/none").await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["type"]),
        (404, &json!("not_found_error"))
    );
    assert_eq!(demo.post(PATH, ask("x")).await.status, 200);
    for path in ["/v1/chat/completions", "/v1/responses", "/api/chat"] {
        let refused = demo.post(path, ask("x")).await;
        let kind = refused.json()["error"]["type"].clone();
        assert_eq!((refused.status, kind), (404, json!("not_found_error")), "{path}");
    }
}

#[tokio::test]
async fn every_fault_is_told_in_the_dialect() {
    let demo = demo().await;
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ] {
        let body = with(ask("x"), json!({"model": format!("demo!status={status}")}));
        for path in [PATH, "/v1/messages/count_tokens"] {
            let answer = demo.post(path, body.clone()).await;
            let told = answer.json();
            assert_eq!(answer.status, status);
            assert_eq!((&told["type"], &told["error"]["type"]), (&json!("error"), &json!(kind)));
            assert!(told["error"]["message"].is_string());
        }
    }
    let broken = demo.send("POST", PATH, b"{\"model\":").await;
    assert_eq!((broken.status, &broken.json()["type"]), (400, &json!("error")));
    let unknown = demo.post(PATH, with(ask("x"), json!({"model": "claude"}))).await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["type"]),
        (404, &json!("not_found_error"))
    );
    let method = demo.get(PATH).await;
    assert_eq!((method.status, method.header("allow")), (405, Some("POST")));
    assert_eq!(demo.get("/v1/messages/batches").await.json()["type"], "error");
}

#[tokio::test]
async fn a_wrong_field_is_400_and_named() {
    let demo = demo().await;
    for (more, field) in [
        (json!({"max_tokens": null}), "max_tokens"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": "5"}), "max_tokens"),
        (json!({"model": null}), "model"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "tool", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": 7}]}), "messages[0].content"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages[0].content[0].text",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": 1}]}]}),
            "messages[0].content[0].content",
        ),
        (json!({"system": 1}), "system"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stop_sequences": [1]}), "stop_sequences"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"tools": [{"name": "x"}]}), "tools[0].input_schema"),
        (json!({"tool_choice": "auto"}), "tool_choice"),
        (json!({"tool_choice": {"type": "some"}}), "tool_choice.type"),
        (json!({"tool_choice": {"type": "tool"}}), "tool_choice.name"),
        (json!({"thinking": {"type": "deep"}}), "thinking.type"),
    ] {
        let answer = demo.post(PATH, with(ask("x"), more.clone())).await;
        assert_eq!(answer.status, 400, "{more}");
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().unwrap().contains(&format!("'{field}'")), "{error}");
    }
}
