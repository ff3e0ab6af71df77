//! OpenAI's Responses, through a real socket.

use crate::support::{Demo, demo, demo_with, with};
use fluxgate_demo::{DemoConfig, Speaks, tokens};
use serde_json::{Value, json};

const PATH: &str = "/v1/responses";

fn ask(text: &str) -> Value {
    json!({"model": "demo", "input": text})
}

async fn whole(demo: &Demo, body: Value) -> Value {
    demo.whole(PATH, body).await
}

async fn stream(demo: &Demo, body: Value) -> Vec<Value> {
    let events = demo.stream(PATH, body).await;
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    events
}

/// The output that a client puts together from a stream, checked against what closes each part of it.
fn accumulated(events: &[Value]) -> Vec<Value> {
    let mut output = Vec::<Value>::new();
    for event in events {
        let at = event["output_index"].as_u64().unwrap_or_default() as usize;
        let grow = |text: &mut Value| {
            *text = json!(text.as_str().unwrap().to_owned() + event["delta"].as_str().unwrap());
        };
        match event["type"].as_str().unwrap().strip_prefix("response.").unwrap() {
            "output_item.added" => {
                assert_eq!(output.len(), at);
                output.push(event["item"].clone());
            }
            "content_part.added" => output[at]["content"] = json!([event["part"]]),
            "reasoning_summary_part.added" => output[at]["summary"] = json!([event["part"]]),
            "output_text.delta" => grow(&mut output[at]["content"][0]["text"]),
            "reasoning_summary_text.delta" => grow(&mut output[at]["summary"][0]["text"]),
            "function_call_arguments.delta" => grow(&mut output[at]["arguments"]),
            "output_text.done" => assert_eq!(output[at]["content"][0]["text"], event["text"]),
            "reasoning_summary_text.done" => {
                assert_eq!(output[at]["summary"][0]["text"], event["text"]);
            }
            "function_call_arguments.done" => {
                assert_eq!(output[at]["arguments"], event["arguments"]);
                assert_eq!(output[at]["name"], event["name"]);
            }
            "content_part.done" => assert_eq!(output[at]["content"][0], event["part"]),
            "reasoning_summary_part.done" => assert_eq!(output[at]["summary"][0], event["part"]),
            "output_item.done" => {
                if let Some(status) = event["item"].get("status") {
                    output[at]["status"] = status.clone();
                }
                assert_eq!(output[at], event["item"]);
            }
            _ => continue,
        }
        assert!(event.get("item_id").is_none_or(|id| *id == output[at]["id"]));
    }
    output
}

/// Without what differs from request to request.
fn settled(response: &Value) -> Value {
    let mut response = response.clone();
    let members = response.as_object_mut().unwrap();
    members.remove("id");
    members.remove("created_at");
    for item in response["output"].as_array_mut().unwrap() {
        item.as_object_mut().unwrap().remove("id");
    }
    response
}

/// That a stream says what the whole answer says.
async fn says_the_same(demo: &Demo, body: Value) -> Value {
    let response = whole(demo, body.clone()).await;
    let events = stream(demo, body).await;
    for (event, name) in events.iter().zip(["response.created", "response.in_progress"]) {
        assert_eq!(event["type"], name);
        let begun = &event["response"];
        assert_eq!((&begun["status"], &begun["output"]), (&json!("in_progress"), &json!([])));
        assert_eq!(begun.get("usage"), Some(&Value::Null));
    }
    let last = events.last().unwrap();
    assert_eq!(last["type"], format!("response.{}", response["status"].as_str().unwrap()));
    assert_eq!(settled(&last["response"]), settled(&response));
    assert_eq!(json!(accumulated(&events)), last["response"]["output"]);
    response
}

fn text(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_response_is_in_the_form_of_the_reference() {
    let demo = demo().await;
    let response = whole(&demo, with(ask("one two three"), json!({"store": true}))).await;
    let text = text(&response);
    assert!(text.contains("demo model") && text.contains("“one two three”"), "{text}");
    assert!(response["id"].as_str().unwrap().starts_with("resp_"));
    assert!(response["created_at"].is_u64());
    let item = &response["output"][0];
    assert!(item["id"].as_str().unwrap().starts_with("msg_"));
    let input = tokens::count("one two three") + 4;
    let expected = json!({
        "object": "response", "model": "demo", "status": "completed", "error": null, "incomplete_details": null,
        "instructions": null, "max_output_tokens": null, "metadata": {}, "parallel_tool_calls": true,
        "previous_response_id": null, "reasoning": {"effort": null, "summary": null}, "service_tier": "default",
        "background": false, "store": false, "temperature": 1.0, "text": {"format": {"type": "text"}},
        "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "user": null,
        "output": [{"type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}],
        "usage": {"input_tokens": input, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": tokens::count(text), "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input + tokens::count(text)}});
    assert_eq!(settled(&response), expected);
}

#[tokio::test]
async fn a_stream_says_the_same_as_the_whole_answer() {
    let demo = demo().await;
    says_the_same(&demo, ask("Grüße aus Zürich 🎿")).await;
    let events = stream(&demo, ask("Hello")).await;
    let mut names: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    names.dedup();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
}

#[tokio::test]
async fn the_maximum_of_tokens_leaves_it_incomplete() {
    let demo = demo().await;
    let cut = says_the_same(&demo, with(ask("Hello"), json!({"max_output_tokens": 5}))).await;
    assert_eq!(cut["status"], "incomplete");
    assert_eq!(cut["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(cut["output"][0]["status"], "incomplete");
    assert_eq!((&cut["usage"]["output_tokens"], &cut["max_output_tokens"]), (&json!(5), &json!(5)));
}

#[tokio::test]
async fn reasoning_comes_as_an_item_and_is_counted_apart() {
    let demo = demo().await;
    let reasoning = json!({"effort": "low", "summary": "auto"});
    let response = says_the_same(&demo, with(ask("Hello"), json!({"reasoning": reasoning}))).await;
    assert_eq!(response["reasoning"], reasoning);
    let item = &response["output"][0];
    assert_eq!(
        (&item["type"], &item["summary"][0]["type"]),
        (&json!("reasoning"), &json!("summary_text"))
    );
    let thought = tokens::count(item["summary"][0]["text"].as_str().unwrap());
    let said = tokens::count(response["output"][1]["content"][0]["text"].as_str().unwrap());
    assert_eq!(response["usage"]["output_tokens_details"]["reasoning_tokens"], thought);
    assert_eq!(response["usage"]["output_tokens"], thought + said);
    for reasoning in [json!({"effort": "none"}), json!({"effort": null, "summary": null})] {
        let response = whole(&demo, with(ask("Hello"), json!({"reasoning": reasoning}))).await;
        assert_eq!(response["output"][0]["type"], "message");
    }
}

fn weather_tools() -> Value {
    json!([{"type": "function", "name": "get_weather", "description": "The weather", "strict": true, "parameters": {
        "type": "object", "required": ["city"], "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}},
        {"type": "function", "name": "lookup"},
        {"type": "custom", "name": "apply_patch"}, {"type": "local_shell"}, {"type": "web_search"}])
}

#[tokio::test]
async fn a_function_is_called_when_it_is_mentioned_required_or_named() {
    let demo = demo().await;
    let call = async |text: &str, choice: Value| {
        let body = with(ask(text), json!({"tools": weather_tools(), "tool_choice": choice}));
        let response = says_the_same(&demo, body).await;
        assert_eq!((&response["tools"], &response["tool_choice"]), (&weather_tools(), &choice));
        response["output"].as_array().unwrap().clone()
    };
    let mentioned = call("Use get_weather for Paris over 3 days", json!("auto")).await;
    let item = &mentioned[0];
    assert_eq!((&item["type"], &item["name"]), (&json!("function_call"), &json!("get_weather")));
    assert!(item["id"].as_str().unwrap().starts_with("fc_"));
    assert!(item["call_id"].as_str().unwrap().starts_with("call_"));
    let arguments: Value = serde_json::from_str(item["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"city": "Paris", "days": 3}));
    assert_eq!(call("Hello", json!("required")).await[0]["name"], "get_weather");
    let named = json!({"type": "function", "name": "lookup"});
    assert_eq!(call("Hello", named).await[0]["name"], "lookup");
    let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": []});
    assert_eq!(call("Hello", allowed).await[0]["name"], "get_weather");
    for (text, choice) in [
        ("Hello", json!("auto")),
        ("Use get_weather", json!("none")),
        ("apply_patch, local_shell, web_search", json!({"type": "web_search"})),
    ] {
        assert_eq!(call(text, choice).await[0]["type"], "message", "{text}");
    }
    let two = "get_weather and lookup in Rome";
    assert_eq!(call(two, json!("auto")).await.len(), 2);
    let body = with(ask(two), json!({"tools": weather_tools(), "parallel_tool_calls": false}));
    assert_eq!(says_the_same(&demo, body).await["output"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn items_of_every_kind_are_read_and_a_functions_output_is_answered_in_words() {
    let demo = demo().await;
    let input = json!([
        {"role": "developer", "content": "Be kind"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Use get_weather"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "item_reference", "id": "x"},
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "21 °C and sunny"}]);
    let more = json!({"input": input, "tools": weather_tools(), "tool_choice": "required"});
    let response = says_the_same(&demo, with(ask(""), more)).await;
    assert!(text(&response).contains("The tool answered: “21 °C and sunny”"), "{response}");
}

#[tokio::test]
async fn parts_images_and_instructions_are_read() {
    let demo = demo().await;
    let parts = json!([{"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]);
    let more = json!({"input": [{"role": "user", "content": parts}], "instructions": "Be kind"});
    let response = says_the_same(&demo, with(ask(""), more)).await;
    let said = text(&response);
    assert!(said.contains("“What is this?”") && said.contains("1 image,"), "{said}");
    let prompt = tokens::count("What is this?") + 4 + 256 + tokens::count("Be kind") + 4;
    assert_eq!(response["usage"]["input_tokens"], prompt);
    assert_eq!(response["instructions"], "Be kind");
}

#[tokio::test]
async fn a_format_makes_it_answer_in_json() {
    let demo = demo().await;
    let of = async |format: Value| {
        let body = with(ask("Hi"), json!({"text": {"format": format, "verbosity": "low"}}));
        let response = says_the_same(&demo, body).await;
        serde_json::from_str::<Value>(text(&response)).unwrap()
    };
    assert_eq!(of(json!({"type": "json_object"})).await["source"], "Fluxgate demo model");
    let schema = json!({"type": "object", "properties": {"severity": {"enum": ["low", "high"]}}});
    let format = json!({"type": "json_schema", "name": "report", "strict": true, "schema": schema});
    assert_eq!(of(format).await, json!({"severity": "low"}));
}

#[tokio::test]
async fn a_server_that_speaks_openai_alone_has_responses_but_no_messages() {
    let demo = demo_with(DemoConfig { speaks: Speaks::OpenAi, ..DemoConfig::default() }).await;
    assert_eq!(demo.post(PATH, ask("x")).await.status, 200);
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let refused = demo.post(path, ask("x")).await;
        let code = refused.json()["error"]["code"].clone();
        assert_eq!((refused.status, code), (404, json!("unknown_route")));
    }
    let ollama = demo_with(DemoConfig { speaks: Speaks::Ollama, ..DemoConfig::default() }).await;
    for path in [PATH, "/v1/messages"] {
        assert_eq!(ollama.post(path, ask("x")).await.status, 404);
    }
}

#[tokio::test]
async fn a_wrong_field_is_400_and_named() {
    let demo = demo().await;
    for (more, param) in [
        (json!({"model": null}), "model"),
        (json!({"input": null}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": 7}), "input"),
        (json!({"input": [{"content": "x"}]}), "input[0].role"),
        (json!({"input": [{"role": "user"}]}), "input[0].content"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "input[0].content[0].text",
        ),
        (json!({"input": [{"type": "function_call"}]}), "input[0].name"),
        (json!({"input": [{"type": "function_call_output", "output": 1}]}), "input[0].output"),
        (json!({"instructions": 1}), "instructions"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"tool_choice": "maybe"}), "tool_choice"),
        (json!({"text": {"format": {"type": "json_schema"}}}), "text.format.schema"),
        (json!({"text": {"format": {"type": "xml"}}}), "text.format.type"),
        (json!({"reasoning": {"effort": 1}}), "reasoning.effort"),
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
    ] {
        let answer = demo.post(PATH, with(ask("x"), more.clone())).await;
        assert_eq!(answer.status, 400, "{more}");
        assert_eq!(answer.json()["error"]["param"], param, "{more}");
    }
}
