//! Requests, said by hand in both dialects.

use super::*;

#[test]
fn a_chat_with_everything_in_it_is_the_same_chat() {
    let ollama = json!({
        "model": "named:latest", "keep_alive": "5m", "think": true, "stream": false,
        "messages": [
            {"role": "system", "content": "Be \u{e9}xact."},
            {"role": "user", "content": "What is it?", "images": ["iVBORw0KGgoAAAANSUhEUg=="]},
            {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [
                {"function": {"name": "look", "arguments": {"n": 1.50}}},
                {"function": {"name": "hear", "arguments": {}}}
            ]},
            {"role": "tool", "tool_name": "hear", "content": "nothing"},
            {"role": "tool", "content": "a cat"}
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"x": 1}}}],
        "format": {"type": "object"},
        "options": {"num_predict": 9, "temperature": 0.1, "top_k": 3, "num_ctx": 4096, "seed": null,
            "repeat_penalty": 1.1, "stop": ["a"], "mine": 1}
    });
    let request = translated(Endpoint::OllamaChat, &ollama, TARGET).unwrap();
    assert_eq!((request.path, request.form), ("/v1/chat/completions", Form::Chat));
    assert_eq!(request.usage_edit, None);
    assert_eq!(
        body_of(&request),
        json!({
            "model": "served", "stream": false,
            "messages": [
                {"role": "system", "content": "Be \u{e9}xact."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url",
                     "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="}}
                ]},
                {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [
                    {"id": "call_0", "type": "function",
                     "function": {"name": "look", "arguments": "{\"n\":1.5}"}},
                    {"id": "call_1", "type": "function",
                     "function": {"name": "hear", "arguments": "{}"}}
                ]},
                {"role": "tool", "content": "nothing", "tool_call_id": "call_1"},
                {"role": "tool", "content": "a cat", "tool_call_id": "call_0"}
            ],
            "tools": ollama["tools"],
            "response_format": {"type": "json_schema",
                "json_schema": {"name": "response", "schema": {"type": "object"}}},
            "max_tokens": 9, "temperature": 0.1, "top_k": 3, "stop": ["a"],
            "repeat_penalty": 1.1, "repetition_penalty": 1.1,
            "chat_template_kwargs": {"enable_thinking": true}
        })
    );
    assert_eq!(request.dropped.header().unwrap(), "mine, num_ctx, keep_alive");

    let plain = Target { extra_fields: false, ..TARGET };
    let request = translated(Endpoint::OllamaChat, &ollama, plain).unwrap();
    let body = body_of(&request);
    for extra in ["top_k", "repeat_penalty", "repetition_penalty", "chat_template_kwargs"] {
        assert_eq!(body.get(extra), None);
    }
    assert_eq!(body["messages"][2].get("reasoning_content"), None);
    assert_eq!(
        request.dropped.header().unwrap(),
        "thinking, mine, num_ctx, repeat_penalty, top_k, think, keep_alive"
    );
}

#[test]
fn generate_becomes_a_chat_or_a_bare_completion() {
    let (chat, text) = ("/v1/chat/completions", "/v1/completions");
    for (ollama, path, openai) in [
        (
            json!({"prompt": "Hi", "system": "S", "images": ["/9j/4AAQSkZJRgABAQ=="]}),
            chat,
            json!({"model": "served", "stream": true, "messages": [
                {"role": "system", "content": "S"},
                {"role": "user", "content": [
                    {"type": "text", "text": "Hi"},
                    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ=="}}
                ]}
            ]}),
        ),
        (
            json!({"prompt": "Hi", "raw": true, "format": "json", "options": {"num_predict": -1}}),
            text,
            json!({"model": "served", "stream": true, "prompt": "Hi",
                "response_format": {"type": "json_object"}}),
        ),
        (
            json!({"prompt": "def f(", "suffix": "return x", "stream": false}),
            text,
            json!({"model": "served", "stream": false, "prompt": "def f(", "suffix": "return x"}),
        ),
    ] {
        let request = translated(Endpoint::OllamaGenerate, &ollama, TARGET).unwrap();
        assert_eq!((request.path, body_of(&request)), (path, openai));
        assert_eq!(request.usage_edit.is_some(), body_of(&request)["stream"] == true);
    }
}

#[test]
fn embeddings_in_both_forms() {
    for (endpoint, ollama, openai) in [
        (
            Endpoint::OllamaEmbed,
            json!({"input": ["a", "b"], "dimensions": 8, "truncate": true, "options": {"num_ctx": 1}}),
            json!({"model": "served", "input": ["a", "b"], "dimensions": 8}),
        ),
        (
            Endpoint::OllamaEmbeddings,
            json!({"prompt": "a"}),
            json!({"model": "served", "input": "a"}),
        ),
    ] {
        let request = translated(endpoint, &ollama, TARGET).unwrap();
        assert_eq!((request.path, body_of(&request)), ("/v1/embeddings", openai));
    }
}

#[test]
fn what_matters_and_has_no_counterpart_is_refused_by_its_name() {
    let chat = |message: Value| json!({"messages": [message]});
    let generate = |member: &str, value: Value| json!({"prompt": "p", member: value});
    for (endpoint, body, says) in [
        (Endpoint::OllamaChat, json!({"messages": 7}), "`messages` must be an array"),
        (Endpoint::OllamaChat, json!({"messages": ["x"]}), "`messages[0]` must be an object"),
        (
            Endpoint::OllamaChat,
            json!({"messages": [], "top_logprobs": "x"}),
            "`top_logprobs` must be a whole number",
        ),
        (Endpoint::OllamaChat, chat(json!({"content": "x"})), "`messages[0].role` is required"),
        (Endpoint::OllamaChat, chat(json!({"role": "judge"})), "`messages[0].role` must be system"),
        (
            Endpoint::OllamaChat,
            chat(json!({"role": "user", "content": []})),
            "`messages[0].content`",
        ),
        (
            Endpoint::OllamaChat,
            chat(json!({"role": "user", "content": "x", "images": ["AAAA"]})),
            "`messages[0].images[0]` must be a PNG",
        ),
        (
            Endpoint::OllamaChat,
            chat(
                json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}),
            ),
            "`messages[0].tool_calls`",
        ),
        (
            Endpoint::OllamaChat,
            json!({"messages": [], "tool_choice": "secret"}),
            "`tool_choice` must",
        ),
        (Endpoint::OllamaChat, json!({"messages": [], "format": "yaml"}), "`format` must"),
        (Endpoint::OllamaChat, json!({"messages": [], "think": "secret"}), "`think` must"),
        (
            Endpoint::OllamaChat,
            json!({"messages": [], "options": {"seed": "secret"}}),
            "`options.seed`",
        ),
        (
            Endpoint::OllamaChat,
            json!({"messages": [], "options": {"num_predict": 1.5}}),
            "num_predict",
        ),
        (
            Endpoint::OllamaGenerate,
            generate("template", json!("{{ .Prompt }}")),
            "`template` can't",
        ),
        (Endpoint::OllamaGenerate, generate("context", json!([1, 2])), "`context` can't"),
        (
            Endpoint::OllamaGenerate,
            json!({"prompt": "p", "raw": true, "system": "s"}),
            "`system` can't",
        ),
        (
            Endpoint::OllamaGenerate,
            json!({"prompt": "p", "raw": true, "logprobs": true}),
            "`logprobs`",
        ),
        (Endpoint::OllamaEmbed, json!({"input": {}}), "`input` must"),
        (Endpoint::OllamaEmbed, json!({"input": ["a", 1]}), "`input` must"),
        (Endpoint::OllamaChat, json!({"messages": [], "tools": [{}, 1]}), "`tools[1]` must"),
        (
            Endpoint::OllamaChat,
            json!({"messages": [], "options": {"stop": ["a", 1]}}),
            "`options.stop` must",
        ),
        (Endpoint::OllamaChat, json!({"messages": [], "Format": "json"}), "`format` stands in"),
        (Endpoint::OllamaEmbeddings, json!({}), "`prompt` is required"),
    ] {
        let message = translated(endpoint, &body, TARGET).unwrap_err();
        assert!(message.contains(says), "{message} for {body}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn a_hundred_thousand_calls_are_answered_in_no_time() {
    let call = json!({"function": {"name": "f"}});
    let mut messages = vec![json!({"role": "assistant", "tool_calls": vec![call; 100_000]})];
    messages.extend(vec![json!({"role": "tool", "tool_name": "f"}); 100_000]);
    let started = Instant::now();
    let request = translated(Endpoint::OllamaChat, &json!({ "messages": messages }), TARGET);
    let body = body_of(&request.unwrap());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    assert_eq!(body["messages"][100_000]["tool_call_id"], "call_99999");
}

#[test]
fn images_are_told_by_their_first_bytes() {
    let chat = |image: &str| {
        let body = json!({"messages": [{"role": "user", "content": "x", "images": [image]}]});
        translated(Endpoint::OllamaChat, &body, TARGET).is_ok()
    };
    assert!(chat("UklGRiQAAABXRUJQVlA4"), "WebP");
    assert!(!chat("UklGRiQAAABXQVZFZm10"), "a sound");
    assert!(!chat("iVBORw0KGgoAAAANSUhEUg====="), "too much padding");
    assert!(!chat("iVBORw0KGgoAAA=AAAAAAAA"), "padding in the middle");
    let escaped =
        br#"{"messages":[{"role":"user","content":"x","images":["\/9j\/4AAQSkZJRgABAQ=="]}]}"#;
    let request = request(Endpoint::OllamaChat, escaped, TARGET).unwrap();
    let url = body_of(&request)["messages"][0]["content"][1]["image_url"]["url"].clone();
    assert_eq!(url, "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ==");
}
