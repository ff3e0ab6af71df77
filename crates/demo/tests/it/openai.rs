//! OpenAI's dialect, through a real socket.

use crate::support::{demo, demo_with, with};
use fluxgate_demo::{DemoConfig, Speaks, tokens};
use serde_json::{Value, json};

fn chat(text: &str) -> Value {
    json!({"model": "demo", "messages": [{"role": "user", "content": text}]})
}

fn content(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn a_chat_is_answered_the_same_each_time_and_says_who_answers() {
    let demo = demo().await;
    let first = demo.post("/v1/chat/completions", chat("Grüße aus Zürich 🎿")).await;
    assert_eq!((first.status, first.header("content-type")), (200, Some("application/json")));
    let first = first.json();
    let text = first["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("demo model") && text.contains("“Grüße aus Zürich 🎿”"), "{text}");
    assert_eq!(first["choices"][0]["finish_reason"], "stop");
    assert_eq!(first["object"], "chat.completion");
    assert_eq!(first["model"], "demo");
    let second = demo.post("/v1/chat/completions", chat("Grüße aus Zürich 🎿")).await.json();
    assert_eq!(second["choices"], first["choices"]);
    assert_ne!(second["id"], first["id"]);
    let other = demo.post("/v1/chat/completions", chat("Something else")).await.json();
    assert_ne!(other["choices"], first["choices"]);
}

#[tokio::test]
async fn usage_is_what_the_tokenizer_counts() {
    let demo = demo().await;
    let answer = demo.post("/v1/chat/completions", chat("one two three")).await.json();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let usage = &answer["usage"];
    assert_eq!(usage["prompt_tokens"], tokens::count("one two three") + 4);
    assert_eq!(usage["completion_tokens"], tokens::count(text));
    assert_eq!(usage["total_tokens"], tokens::count("one two three") + 4 + tokens::count(text));
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
}

#[tokio::test]
async fn a_stream_says_the_same_as_the_whole_answer() {
    let demo = demo().await;
    let whole = demo.post("/v1/chat/completions", chat("Hello")).await.json();
    let stream =
        demo.post("/v1/chat/completions", with(chat("Hello"), json!({"stream": true}))).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let events = stream.event_values();
    assert_eq!(content(&events), whole["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let last = events.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["choices"][0]["delta"], json!({}));
    assert!(
        events
            .iter()
            .all(|event| event["object"] == "chat.completion.chunk" && event["id"] == last["id"])
    );
    assert!(events.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn usage_comes_in_a_chunk_of_its_own_where_it_is_asked_for() {
    let demo = demo().await;
    let whole = demo.post("/v1/chat/completions", chat("Hello")).await.json();
    let body =
        with(chat("Hello"), json!({"stream": true, "stream_options": {"include_usage": true}}));
    let events = demo.post("/v1/chat/completions", body).await.event_values();
    let last = events.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], whole["usage"]);
    assert_eq!(events.iter().filter(|event| event.get("usage").is_some()).count(), 1);
}

#[tokio::test]
async fn the_maximum_of_tokens_cuts_the_answer() {
    let demo = demo().await;
    for field in ["max_tokens", "max_completion_tokens"] {
        let answer =
            demo.post("/v1/chat/completions", with(chat("Hello"), json!({field: 5}))).await.json();
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 5);
        let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
        assert_eq!(tokens::count(text), 5);
    }
    let unlimited =
        demo.post("/v1/chat/completions", with(chat("Hello"), json!({"max_tokens": -1}))).await;
    assert_eq!(unlimited.json()["choices"][0]["finish_reason"], "stop");
    let body = with(chat("Hello"), json!({"max_tokens": 3, "stream": true}));
    let events = demo.post("/v1/chat/completions", body).await.event_values();
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "length");
    assert_eq!(tokens::count(&content(&events)), 3);
}

#[tokio::test]
async fn an_answer_ends_before_a_stop_sequence() {
    let demo = demo().await;
    for stop in [json!("demo model"), json!(["never said", "demo model"])] {
        let answer = demo
            .post("/v1/chat/completions", with(chat("Hello"), json!({"stop": stop})))
            .await
            .json();
        assert_eq!(answer["choices"][0]["message"]["content"], "This is Fluxgate's built-in ");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        assert_eq!(
            answer["usage"]["completion_tokens"],
            tokens::count("This is Fluxgate's built-in ")
        );
    }
}

#[tokio::test]
async fn n_makes_several_choices_and_counts_all_of_them() {
    let demo = demo().await;
    let answer =
        demo.post("/v1/chat/completions", with(chat("Hello"), json!({"n": 3}))).await.json();
    let choices = answer["choices"].as_array().unwrap();
    let texts: Vec<_> = choices.iter().map(|c| c["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 3);
    assert_ne!(texts[0], texts[1]);
    let sum: u64 = texts.iter().map(|text| tokens::count(text)).sum();
    assert_eq!(answer["usage"]["completion_tokens"], sum);
    let body = with(chat("Hello"), json!({"n": 3, "stream": true}));
    let events = demo.post("/v1/chat/completions", body).await.event_values();
    for (at, text) in texts.iter().enumerate() {
        let mine =
            events.iter().map(|event| &event["choices"][0]).filter(|choice| choice["index"] == at);
        let streamed: String =
            mine.filter_map(|choice| choice["delta"]["content"].as_str()).collect();
        assert_eq!(streamed, **text);
    }
}

fn weather_tool() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "description": "The weather",
        "parameters": {"type": "object", "required": ["city"], "properties": {
            "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["celsius", "kelvin"]}}}}},
        {"type": "function", "function": {"name": "search"}}])
}

#[tokio::test]
async fn a_tool_is_called_when_it_is_mentioned_required_or_named() {
    let demo = demo().await;
    let tools = weather_tool();
    let call = async |text: &str, choice: Value| {
        let body = with(chat(text), json!({"tools": tools, "tool_choice": choice}));
        demo.post("/v1/chat/completions", body).await.json()["choices"][0].clone()
    };
    let mentioned = call("Use get_weather for Paris over 3 days", json!("auto")).await;
    assert_eq!(mentioned["finish_reason"], "tool_calls");
    assert_eq!(mentioned["message"]["content"], Value::Null);
    let function = &mentioned["message"]["tool_calls"][0]["function"];
    assert_eq!(function["name"], "get_weather");
    let arguments: Value = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"city": "Paris", "days": 3, "unit": "celsius"}));
    let plain = call("Hello", json!("auto")).await;
    assert_eq!(plain["finish_reason"], "stop");
    let required = call("Hello", json!("required")).await;
    assert_eq!(required["message"]["tool_calls"][0]["function"]["name"], "get_weather");
    let named = call("Hello", json!({"type": "function", "function": {"name": "search"}})).await;
    assert_eq!(
        named["message"]["tool_calls"][0]["function"],
        json!({"name": "search", "arguments": "{}"})
    );
    let none = call("Use get_weather", json!("none")).await;
    assert_eq!(none["finish_reason"], "stop");
    let both = call("get_weather and search in Rome", json!("auto")).await;
    assert_eq!(both["message"]["tool_calls"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_tool_call_streams_its_arguments_in_pieces() {
    let demo = demo().await;
    let body = with(chat("Use get_weather for Paris"), json!({"tools": weather_tool()}));
    let whole = demo.post("/v1/chat/completions", body.clone()).await.json();
    let body = with(body, json!({"stream": true, "stream_options": {"include_usage": true}}));
    let events = demo.post("/v1/chat/completions", body).await.event_values();
    let deltas = events.iter().map(|event| &event["choices"][0]["delta"]["tool_calls"][0]);
    let deltas: Vec<_> = deltas.filter(|call| call.is_object()).collect();
    assert!(deltas.len() > 5);
    let expected = &whole["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(deltas[0]["id"], expected["id"]);
    assert_eq!(deltas[0]["function"]["name"], "get_weather");
    let arguments: String =
        deltas.iter().map(|call| call["function"]["arguments"].as_str().unwrap()).collect();
    assert_eq!(json!(arguments), expected["function"]["arguments"]);
    let finish = &events[events.len() - 2]["choices"][0]["finish_reason"];
    assert_eq!(finish, "tool_calls");
    assert_eq!(events.last().unwrap()["usage"], whole["usage"]);
}

#[tokio::test]
async fn a_tools_result_is_answered_in_words_that_quote_it() {
    let demo = demo().await;
    let body = json!({"model": "demo", "tools": weather_tool(), "tool_choice": "required", "messages": [
        {"role": "user", "content": "Use get_weather"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
            "function": {"name": "get_weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "21 °C and sunny"}]});
    let answer = demo.post("/v1/chat/completions", body).await.json();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("The tool answered: “21 °C and sunny”"), "{text}");
}

#[tokio::test]
async fn json_modes_answer_in_json_that_names_the_demo_model() {
    let demo = demo().await;
    let body = with(chat("Hi"), json!({"response_format": {"type": "json_object"}}));
    let answer = demo.post("/v1/chat/completions", body).await.json();
    let object: Value =
        serde_json::from_str(answer["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert_eq!(object["source"], "Fluxgate demo model");
    assert!(object["answer"].as_str().unwrap().contains("“Hi”"));
    let schema = json!({"type": "object", "required": ["summary", "severity", "steps"], "additionalProperties": false,
        "properties": {"summary": {"type": "string"}, "severity": {"enum": ["low", "high"]},
            "count": {"type": "integer", "minimum": 2},
            "steps": {"type": "array", "minItems": 2, "items": {"type": "object", "properties": {"ok": {"type": "boolean"}}}}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "report", "strict": true, "schema": schema}});
    let body = with(chat("Hi"), json!({"response_format": format, "stream": true}));
    let events = demo.post("/v1/chat/completions", body).await.event_values();
    let object: Value = serde_json::from_str(&content(&events)).unwrap();
    assert!(object["summary"].as_str().unwrap().starts_with("Fluxgate demo model: "));
    assert_eq!(object["severity"], "low");
    assert_eq!(object["count"], 2);
    assert_eq!(object["steps"], json!([{"ok": true}, {"ok": true}]));
}

#[tokio::test]
async fn parts_and_images_of_a_message_are_read() {
    let demo = demo().await;
    let parts = json!([{"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]);
    let body = json!({"model": "demo", "messages": [{"role": "user", "content": parts}]});
    let answer = demo.post("/v1/chat/completions", body).await.json();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("“What is this?”") && text.contains("1 image,"), "{text}");
    assert_eq!(answer["usage"]["prompt_tokens"], tokens::count("What is this?") + 4 + 256);
}

#[tokio::test]
async fn completions_take_texts_and_tokens_and_stream() {
    let demo = demo().await;
    let body = json!({"model": "demo", "prompt": "Once upon", "max_tokens": 6});
    let whole = demo.post("/v1/completions", body.clone()).await.json();
    assert_eq!(whole["object"], "text_completion");
    assert_eq!(whole["usage"]["prompt_tokens"], 2);
    assert_eq!(whole["usage"]["completion_tokens"], 6);
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    let events =
        demo.post("/v1/completions", with(body, json!({"stream": true}))).await.event_values();
    let text: String =
        events.iter().map(|event| event["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(json!(text), whole["choices"][0]["text"]);
    let body = json!({"model": "demo", "prompt": ["a", "b c"], "n": 2, "echo": true});
    let several = demo.post("/v1/completions", body).await.json();
    assert_eq!(several["choices"].as_array().unwrap().len(), 4);
    assert!(several["choices"][2]["text"].as_str().unwrap().starts_with("b c"));
    let tokens =
        demo.post("/v1/completions", json!({"model": "demo", "prompt": [1, 2, 3]})).await.json();
    assert_eq!(tokens["usage"]["prompt_tokens"], 3);
}

#[tokio::test]
async fn embeddings_come_as_floats_or_base64_in_the_wanted_length() {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let demo = demo().await;
    let body = json!({"model": "demo-embed", "input": ["hello world", "x"], "dimensions": 16});
    let floats = demo.post("/v1/embeddings", body.clone()).await.json();
    assert_eq!(floats["data"].as_array().unwrap().len(), 2);
    assert_eq!(floats["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    let vector: Vec<f64> = serde_json::from_value(floats["data"][0]["embedding"].clone()).unwrap();
    assert_eq!(vector.len(), 16);
    assert!((vector.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-5);
    let base64 =
        demo.post("/v1/embeddings", with(body, json!({"encoding_format": "base64"}))).await.json();
    let bytes = BASE64_STANDARD.decode(base64["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let decoded: Vec<f64> =
        bytes.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect();
    assert!(decoded.iter().zip(&vector).all(|(left, right)| (left - right).abs() < 1e-6));
    for (input, count) in [(json!("text"), 1), (json!([5, 6]), 1), (json!([[5], [6, 7], [8]]), 3)] {
        let answer = demo
            .post("/v1/embeddings", json!({"model": "demo-embed", "input": input}))
            .await
            .json();
        assert_eq!(answer["data"].as_array().unwrap().len(), count);
        assert_eq!(answer["data"][0]["embedding"].as_array().unwrap().len(), 64);
    }
}

#[tokio::test]
async fn models_are_listed_and_found_by_their_encoded_name() {
    let extra = vec!["org/big model".to_owned(), "demo!crlf".to_owned()];
    let demo = demo_with(DemoConfig { extra_models: extra, ..DemoConfig::default() }).await;
    let list = demo.get("/v1/models").await.json();
    let ids: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["demo", "demo-embed", "org/big model", "demo!crlf"]);
    assert_eq!(demo.get("/v1/models/demo").await.json()["id"], "demo");
    assert_eq!(demo.get("/v1/models/org%2Fbig%20model").await.json()["id"], "org/big model");
    assert_eq!(demo.get("/v1/models/none").await.status, 404);
    let answer =
        demo.post("/v1/chat/completions", with(chat("x"), json!({"model": "org/big model"}))).await;
    assert_eq!(answer.json()["model"], "org/big model");
}

#[tokio::test]
async fn a_wrong_field_is_400_and_named() {
    let demo = demo().await;
    let message = json!([{"role": "user", "content": "x"}]);
    for (more, param) in [
        (json!({"messages": "text"}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": [{"content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "king", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user", "content": 7}]}), "messages[0].content"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages[0].content[0].text",
        ),
        (json!({"model": 7}), "model"),
        (json!({"model": null}), "model"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stream_options": 1}), "stream_options"),
        (json!({"stream_options": {"include_usage": 1}}), "stream_options.include_usage"),
        (json!({"max_tokens": "5"}), "max_tokens"),
        (json!({"max_tokens": 1.5}), "max_tokens"),
        (json!({"max_completion_tokens": -2}), "max_completion_tokens"),
        (json!({"n": 0}), "n"),
        (json!({"n": 1000}), "n"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"stop": 1}), "stop"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
        (json!({"tool_choice": "maybe"}), "tool_choice"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema"),
    ] {
        let body = with(json!({"model": "demo", "messages": message}), more.clone());
        let answer = demo.post("/v1/chat/completions", body).await;
        assert_eq!(answer.status, 400, "{more}");
        let error = &answer.json()["error"];
        assert_eq!(
            (&error["param"], &error["type"]),
            (&json!(param), &json!("invalid_request_error")),
            "{more}"
        );
        assert!(
            error["message"].as_str().unwrap().contains(param.rsplit('.').next().unwrap()),
            "{error}"
        );
    }
    for (input, param) in [
        (json!(7), "input"),
        (json!([]), "input"),
        (json!([1, "x"]), "input"),
        (json!([-1]), "input"),
    ] {
        let answer =
            demo.post("/v1/embeddings", json!({"model": "demo-embed", "input": input})).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["param"]),
            (400, &json!(param)),
            "{input}"
        );
    }
}

#[tokio::test]
async fn broken_json_unknown_models_and_routes_are_refused_in_the_dialect() {
    let demo = demo().await;
    let broken = demo.send("POST", "/v1/chat/completions", b"{\"model\":").await;
    assert_eq!((broken.status, &broken.json()["error"]["code"]), (400, &json!("invalid_json")));
    assert_eq!(demo.send("POST", "/v1/chat/completions", b"[1]").await.status, 400);
    let unknown = demo.post("/v1/chat/completions", with(chat("x"), json!({"model": "gpt"}))).await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    assert_eq!(unknown.json()["error"]["param"], "model");
    let unable =
        demo.post("/v1/chat/completions", with(chat("x"), json!({"model": "demo-embed"}))).await;
    assert_eq!((unable.status, &unable.json()["error"]["param"]), (400, &json!("model")));
    let route = demo.get("/v1/nothing").await;
    assert_eq!((route.status, &route.json()["error"]["code"]), (404, &json!("unknown_route")));
    let method = demo.get("/v1/chat/completions").await;
    assert_eq!((method.status, method.header("allow")), (405, Some("POST")));
    assert_eq!(method.json()["error"]["code"], "method_not_allowed");
}

#[tokio::test]
async fn a_dialect_it_does_not_admit_to_is_404() {
    let openai = demo_with(DemoConfig { speaks: Speaks::OpenAi, ..DemoConfig::default() }).await;
    assert_eq!(openai.get("/api/version").await.status, 404);
    assert_eq!(openai.get("/v1/models").await.status, 200);
    let ollama = demo_with(DemoConfig { speaks: Speaks::Ollama, ..DemoConfig::default() }).await;
    assert_eq!(ollama.get("/api/version").await.status, 200);
    assert_eq!(ollama.get("/v1/models").await.status, 404);
}
