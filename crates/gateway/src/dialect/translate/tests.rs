//! A request and its translation mean the same, and so do an answer and its lines: said once by
//! hand in both dialects, and once for conversations of any form.

use std::collections::VecDeque;

use bytes::Bytes;
use fluxgate_core::Usage;
use fluxgate_core::config::MaxTokensField;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::{AnswerReader, Ending};
use crate::router::Endpoint;

const TARGET: Target<'_> =
    Target { model: "served", max_tokens_field: MaxTokensField::MaxTokens, extra_fields: true };

fn translated(endpoint: Endpoint, body: &Value, target: Target<'_>) -> Result<Request, String> {
    request(endpoint, body.to_string().as_bytes(), target)
        .map_err(|refusal| refusal.message.into_owned())
}

fn body_of(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn asked(form: Form) -> Asked {
    Asked { form, model: "named".to_owned(), started: Instant::now() }
}

/// Plays a stream in pieces and gives its lines.
fn lines(form: Form, stream: &[u8], step: usize) -> (Vec<Value>, Ending, Usage) {
    let lines = Lines::new(asked(form), Instant::now());
    let mut reader = AnswerReader::translated(Box::new(lines));
    let (mut out, mut text) = (VecDeque::new(), Vec::new());
    for piece in stream.chunks(step.max(1)) {
        reader.push(Bytes::copy_from_slice(piece), &mut out);
        out.drain(..).for_each(|bytes: Bytes| text.extend_from_slice(&bytes));
    }
    let (rest, ending) = reader.finish();
    text.extend_from_slice(&rest);
    let lines = String::from_utf8(text).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (lines, ending, reader.usage(7))
}

fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn delta(delta: Value) -> String {
    event(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

fn finish(reason: &str) -> String {
    event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
        + &event(&json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}))
        + "data: [DONE]\n\n"
}

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
        (Endpoint::OllamaEmbeddings, json!({}), "`prompt` is required"),
    ] {
        let message = translated(endpoint, &body, TARGET).unwrap_err();
        assert!(message.contains(says), "{message} for {body}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn a_stream_with_thinking_text_and_calls_at_every_split() {
    let stream = delta(json!({"role": "assistant", "content": null}))
        + ": keep-alive\n\n"
        + &delta(json!({"reasoning_content": "Let me "}))
        + &delta(json!({"reasoning": "see."}))
        + &delta(json!({"content": "Caf\u{e9} \"x\"\n"}))
        + &delta(
            json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}}]}),
        )
        + &delta(
            json!({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "hear", "arguments": ""}}]}),
        )
        + &delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"n\":"}}]}))
        + &delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]}))
        + &finish("tool_calls");
    for step in 1..=stream.len() {
        let (lines, ending, usage) = lines(Form::Chat, stream.as_bytes(), step);
        assert_eq!(ending, Ending::Whole, "step {step}");
        assert_eq!((usage.prompt, usage.completion), (5, 2));
        let said: Vec<&Value> = lines.iter().map(|line| &line["message"]).collect();
        assert_eq!(lines.len(), 5, "step {step}: {lines:?}");
        assert_eq!(*said[0], json!({"role": "assistant", "content": "", "thinking": "Let me "}));
        assert_eq!(said[1]["thinking"], "see.");
        assert_eq!(*said[2], json!({"role": "assistant", "content": "Caf\u{e9} \"x\"\n"}));
        assert_eq!(
            said[3]["tool_calls"],
            json!([
                {"id": "a", "function": {"index": 0, "name": "look", "arguments": {"n": 1}}},
                {"id": "b", "function": {"index": 1, "name": "hear", "arguments": {}}}
            ])
        );
        let last = &lines[4];
        assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
        assert_eq!((&last["prompt_eval_count"], &last["eval_count"]), (&json!(5), &json!(2)));
        assert!(last["total_duration"].as_u64() >= last["eval_duration"].as_u64());
        assert!(lines[..4].iter().all(|line| line["done"] == false && line["model"] == "named"));
    }
}

#[test]
fn a_stream_without_its_end_has_no_last_line() {
    let text = delta(json!({"content": "Hi"}));
    let error = event(&json!({"error": {"message": "out of memory", "code": "oom"}}));
    for (stream, count, ending, broken) in [
        (text.clone(), 1, Ending::Cut, false),
        (text.clone() + "data: {\"choices\":[{\"del", 1, Ending::Cut, true),
        (text.clone() + "data: not json\n\n" + &finish("stop"), 1, Ending::Cut, true),
        (text.clone() + &delta(json!({"content": [1]})) + &finish("stop"), 1, Ending::Cut, true),
        (text.clone() + &error, 2, Ending::Whole, false),
        (
            delta(
                json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]}),
            ) + &finish("tool_calls"),
            0,
            Ending::Cut,
            true,
        ),
    ] {
        for step in [1, 5, stream.len()] {
            let (lines, ended, _) = lines(Form::Chat, stream.as_bytes(), step);
            assert_eq!((lines.len(), ended), (count, ending), "{stream} by {step}");
            assert!(lines.iter().all(|line| line["done"] != true), "{lines:?}");
        }
        let mut reader =
            AnswerReader::translated(Box::new(Lines::new(asked(Form::Chat), Instant::now())));
        reader.push(Bytes::from(stream.clone()), &mut VecDeque::new());
        let _ = reader.finish();
        assert_eq!(reader.is_broken(), broken, "{stream}");
    }
    let (lines, ..) = lines(Form::Chat, (text + &error).as_bytes(), 3);
    assert_eq!(lines[1], json!({"error": "out of memory", "code": "oom"}));
}

#[test]
fn a_frame_too_large_to_be_held_breaks_the_stream_and_nothing_of_it_passes() {
    let stream = delta(json!({"content": "x".repeat(200 * 1024)})) + &finish("stop");
    let (lines, ending, _) = lines(Form::Chat, stream.as_bytes(), 4096);
    assert_eq!((lines.len(), ending), (0, Ending::Cut));
}

#[test]
fn whole_answers_of_every_form() {
    let usage = Usage {
        prompt: 5,
        completion: 2,
        source: fluxgate_core::usage::UsageSource::Reported,
        ..Usage::default()
    };
    let chat = json!({"choices": [{"index": 0, "finish_reason": "length", "message": {
        "role": "assistant", "content": "Hi", "reasoning_content": "hm",
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}}]
    }}], "timings": {"prompt_ms": 1.5, "predicted_ms": 20}});
    let vectors = json!({"data": [
        {"index": 1, "embedding": [0.25]}, {"index": 0, "embedding": [1e-7]}
    ]});
    let told = |form, body: &Value| {
        let body = body.to_string();
        let written = document(&asked(form), body.as_bytes(), usage, Instant::now());
        written.map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap())
    };
    let answer = told(Form::Chat, &chat).unwrap();
    assert_eq!(
        answer["message"],
        json!({"role": "assistant", "content": "Hi", "thinking": "hm",
            "tool_calls": [{"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}]})
    );
    assert_eq!((&answer["done"], &answer["done_reason"]), (&json!(true), &json!("length")));
    assert_eq!(answer["prompt_eval_duration"], 1_500_000);
    assert_eq!(answer["eval_duration"], 20_000_000);
    assert_eq!((&answer["prompt_eval_count"], &answer["eval_count"]), (&json!(5), &json!(2)));
    assert_eq!(told(Form::Generate, &chat).unwrap()["response"], "Hi");
    let text = json!({"choices": [{"text": "Hi", "finish_reason": "stop"}]});
    assert_eq!(told(Form::Text, &text).unwrap()["response"], "Hi");
    assert_eq!(told(Form::Embed, &vectors).unwrap()["embeddings"], json!([[1e-7], [0.25]]));
    assert_eq!(told(Form::Embeddings, &vectors).unwrap(), json!({"embedding": [1e-7]}));
    for broken in
        [json!({}), json!({"choices": []}), json!([]), json!({"data": [{"embedding": "AAAA"}]})]
    {
        for form in [Form::Chat, Form::Generate, Form::Text, Form::Embed, Form::Embeddings] {
            assert!(told(form, &broken).is_err(), "{form:?} {broken}");
        }
    }
}

#[test]
fn refusals_keep_the_servers_words_in_every_form_that_they_come_in() {
    for (said, message, code) in [
        (r#"{"error":{"message":"M","type":"t","code":"c"}}"#, "M", "c"),
        (r#"{"error":{"message":"M","type":"t","code":400}}"#, "M", "t"),
        (r#"{"error":"M"}"#, "M", "upstream_refused"),
        (r#"{"object":"error","message":"M","code":40}"#, "M", "upstream_refused"),
        (r#"{"detail":"M"}"#, "M", "upstream_refused"),
        (
            r#"{"detail":[{"loc":["body","n"],"msg":"M","input":"secret"}]}"#,
            "M",
            "upstream_refused",
        ),
        ("<html>", "The model server refused the request.", "upstream_refused"),
    ] {
        let body: Value = serde_json::from_slice(&error(said.as_bytes())).unwrap();
        assert_eq!(body, json!({"error": message, "code": code}));
    }
}

/// One message in both dialects.
fn message() -> impl Strategy<Value = (Value, Value)> {
    let text = "[\\PC\u{0}-\u{1f}]{0,12}";
    prop_oneof![
        (prop_oneof![Just("system"), Just("user"), Just("assistant")], text).prop_map(
            |(role, text)| {
                let message = json!({"role": role, "content": text});
                (message.clone(), message)
            }
        ),
        (text, "[A-Za-z0-9+/]{0,8}").prop_map(|(text, image)| {
            let image = format!("R0lGODlhAQABAAAA{image}");
            let url = format!("data:image/gif;base64,{image}");
            let mut parts = vec![json!({"type": "image_url", "image_url": {"url": url}})];
            if !text.is_empty() {
                parts.insert(0, json!({"type": "text", "text": text}));
            }
            (
                json!({"role": "user", "content": text, "images": [image]}),
                json!({"role": "user", "content": parts}),
            )
        }),
    ]
}

/// An option in both dialects.
fn option() -> impl Strategy<Value = (&'static str, &'static str, Value)> {
    prop_oneof![
        (0.0..2.0).prop_map(|value: f64| ("temperature", "temperature", json!(value))),
        (0.0..1.0).prop_map(|value: f64| ("top_p", "top_p", json!(value))),
        any::<i64>().prop_map(|value| ("seed", "seed", json!(value))),
        (1..9_999_i64).prop_map(|value| ("num_predict", "max_tokens", json!(value))),
        (0..99_i64).prop_map(|value| ("top_k", "top_k", json!(value))),
        proptest::collection::vec("\\PC{0,3}", 0..3).prop_map(|value| (
            "stop",
            "stop",
            json!(value)
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_request_means_the_same_in_both_dialects(
        messages in proptest::collection::vec(message(), 1..5),
        options in proptest::collection::vec(option(), 0..4),
        stream in any::<bool>(),
        json_mode in any::<bool>(),
    ) {
        let (ollamas, openais): (Vec<Value>, Vec<Value>) = messages.into_iter().unzip();
        let mut ollama = json!({"model": "named", "messages": ollamas, "stream": stream, "options": {}});
        let mut openai = json!({"model": "served", "messages": openais, "stream": stream});
        for (name, counterpart, value) in options {
            ollama["options"][name] = value.clone();
            openai[counterpart] = value;
        }
        if json_mode {
            ollama["format"] = json!("json");
            openai["response_format"] = json!({"type": "json_object"});
        }
        let request = translated(Endpoint::OllamaChat, &ollama, TARGET).unwrap();
        // Read back from text, as ours is: serde_json's floats may lose their last bit there.
        let openai: Value = serde_json::from_str(&openai.to_string()).unwrap();
        prop_assert_eq!(body_of(&request), openai);
        prop_assert_eq!(request.dropped.header(), None);
    }

    #[test]
    fn an_answer_means_the_same_in_both_dialects(
        pieces in proptest::collection::vec(("\\PC{0,6}", any::<bool>()), 0..8),
        step in 1..64_usize,
    ) {
        let (mut text, mut thinking, mut stream) = (String::new(), String::new(), String::new());
        for (piece, thought) in &pieces {
            let (to, name) = if *thought {
                (&mut thinking, "reasoning_content")
            } else {
                (&mut text, "content")
            };
            to.push_str(piece);
            stream += &delta(json!({ name: piece }));
        }
        stream += &finish("length");
        for (form, place) in [(Form::Chat, "/message"), (Form::Generate, "")] {
            let (lines, ending, _) = lines(form, stream.as_bytes(), step);
            prop_assert_eq!(ending, Ending::Whole);
            let member = if form == Form::Chat { "content" } else { "response" };
            let joined = |name: &str| -> String {
                let said = lines.iter().filter_map(|line| line.pointer(place)?.get(name)?.as_str());
                said.collect()
            };
            prop_assert_eq!(joined(member), text.clone());
            prop_assert_eq!(joined("thinking"), thinking.clone());
            let last = lines.last().unwrap();
            prop_assert_eq!(&last["done_reason"], "length");
            prop_assert_eq!(&last["eval_count"], 2);
        }
    }

    #[test]
    fn a_body_of_any_values_is_translated_or_refused_by_a_field_and_never_quoted(
        names in proptest::collection::vec(proptest::sample::select(FIELDS.as_slice()), 1..6),
        values in proptest::collection::vec(any_value(), 6),
    ) {
        let mut body = json!({"messages": [], "prompt": "p", "input": "i"});
        for (name, value) in names.iter().zip(values) {
            body[*name] = value;
        }
        for endpoint in [
            Endpoint::OllamaChat,
            Endpoint::OllamaGenerate,
            Endpoint::OllamaEmbed,
            Endpoint::OllamaEmbeddings,
        ] {
            match request(endpoint, body.to_string().as_bytes(), TARGET) {
                Ok(request) => prop_assert_eq!(&body_of(&request)["model"], "served"),
                Err(refusal) => {
                    prop_assert!(refusal.param.is_some(), "{}", refusal.message);
                    prop_assert!(!refusal.message.contains("zq"), "{}", refusal.message);
                }
            }
        }
    }
}

const FIELDS: [&str; 18] = [
    "messages",
    "prompt",
    "input",
    "stream",
    "options",
    "format",
    "think",
    "keep_alive",
    "tools",
    "tool_choice",
    "system",
    "suffix",
    "template",
    "context",
    "images",
    "raw",
    "logprobs",
    "dimensions",
];

/// What a client may put anywhere; its texts begin with `zq`.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "zq[a-z]{0,4}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("role".to_owned()),
        Just("content".to_owned()),
        Just("images".to_owned()),
        Just("tool_calls".to_owned()),
        Just("function".to_owned()),
        Just("seed".to_owned()),
        Just("num_predict".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
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
fn calls_without_end_break_the_stream_and_other_ids_are_other_calls() {
    let call = |id: usize, index: usize| {
        delta(json!({"tool_calls": [{"index": index, "id": format!("{id}"),
            "function": {"name": "f", "arguments": "{}"}}]}))
    };
    let many: String = (0..200).map(|id| call(id, id)).collect();
    let (said, ending, _) = lines(Form::Chat, (many + &finish("tool_calls")).as_bytes(), 999);
    assert_eq!((said.len(), ending), (0, Ending::Cut));
    let same_index = call(1, 0) + &call(2, 0) + &finish("tool_calls");
    let (said, ending, _) = lines(Form::Chat, same_index.as_bytes(), 50);
    assert_eq!(ending, Ending::Whole);
    assert_eq!(said[0]["message"]["tool_calls"].as_array().unwrap().len(), 2);
    let odd = "data: {\"choices\":null,\"timings\":{\"prompt_ms\":\"x\"}}\n\n".to_owned();
    let (_, ending, _) = lines(Form::Chat, (odd + &finish("stop")).as_bytes(), 7);
    assert_eq!(ending, Ending::Whole);
}

#[test]
fn what_a_server_says_of_its_failure_is_no_clean_end() {
    let text = delta(json!({"content": "Hi"}));
    for failure in [
        event(&json!({"error": {"message": "boom", "code": "c"}, "choices": [{"index": 0,
            "delta": {"content": ""}, "finish_reason": "error"}]})),
        event(&json!({"choices": [], "error": {"message": "boom"}})),
        event(&json!({"object": "error", "message": "boom", "code": 500})),
        event(&json!({"detail": "boom"})),
    ] {
        let stream = text.clone() + &failure + "data: [DONE]\n\n";
        let (said, ending, _) = lines(Form::Chat, stream.as_bytes(), 9);
        assert_eq!((said.len(), ending), (2, Ending::Whole), "{failure}");
        assert_eq!(said[1]["error"], "boom", "{failure}");
    }
    // An empty reason is none yet.
    let none = event(&json!({"choices": [{"index": 0, "delta": {"content": "x"},
        "finish_reason": ""}]}));
    assert_eq!(lines(Form::Chat, none.as_bytes(), 9).1, Ending::Cut);
}

#[test]
fn calls_are_put_together_by_index_id_or_place() {
    let part = |part: Value| delta(json!({"tool_calls": [part]}));
    let named = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
    for (stream, calls) in [
        (
            part(json!({"id": "a", "function": named("f", "")}))
                + &part(json!({"id": "a", "function": {"arguments": "{\"x\":1}"}})),
            json!([["f", {"x": 1}]]),
        ),
        (
            part(json!({"function": named("f", "{\"x\"")}))
                + &part(json!({"function": {"arguments": ":1}"}}))
                + &part(json!({"function": named("g", "{}")})),
            json!([["f", {"x": 1}], ["g", {}]]),
        ),
        (
            part(json!({"index": 1, "id": "b", "function": named("g", "{}")}))
                + &part(json!({"index": 0, "id": "a", "function": named("f", "{}")})),
            json!([["f", {}], ["g", {}]]),
        ),
    ] {
        let (said, ending, _) = lines(Form::Chat, (stream + &finish("tool_calls")).as_bytes(), 30);
        assert_eq!(ending, Ending::Whole);
        let told: Vec<Value> = said[0]["message"]["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| json!([call["function"]["name"], call["function"]["arguments"]]))
            .collect();
        assert_eq!(json!(told), calls);
    }
    let nameless = part(json!({"index": 0, "function": {"arguments": "{}"}})) + &finish("stop");
    assert_eq!(lines(Form::Chat, nameless.as_bytes(), 30).1, Ending::Cut);
    // Cut at its length, half a call is left out and the rest is told.
    let half = delta(json!({"content": "t"}))
        + &part(json!({"index": 0, "id": "a", "function": named("f", "{\"x\": \"he")}))
        + &finish("length");
    let (said, ending, _) = lines(Form::Chat, half.as_bytes(), 30);
    assert_eq!((said.len(), ending), (2, Ending::Whole));
    assert_eq!((&said[1]["done_reason"], &said[1]["eval_count"]), (&json!("length"), &json!(2)));
}

#[test]
fn what_isnt_used_of_a_chunk_breaks_nothing() {
    let first = format!("\u{feff}{}", delta(json!({"content": "A"})));
    let odd = event(&json!({"choices": [{"index": null, "message": {"content": "A"},
        "delta": {"content": "B"}, "finish_reason": null}], "timings": {"total": 1}}));
    let usage = event(&json!({"usage": {"prompt_tokens": 5, "completion_tokens": 2}}));
    let end = event(&json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}));
    let stream = first + &odd + &end + &usage + "data: [DONE]\n\n";
    for step in [1, 100, 10_000] {
        let (said, ending, told) = lines(Form::Chat, stream.as_bytes(), step);
        assert_eq!((said.len(), ending, told.completion), (3, Ending::Whole, 2));
        assert_eq!(said[0]["message"]["content"], "A");
        assert_eq!(said[1]["message"]["content"], "B");
        assert_eq!(said[2]["eval_count"], 2);
    }
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
