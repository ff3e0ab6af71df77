//! Streams and whole answers, said by hand in both dialects.

use super::*;

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
