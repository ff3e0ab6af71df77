//! Requests and answers of any form.

use proptest::prelude::*;

use super::*;

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
