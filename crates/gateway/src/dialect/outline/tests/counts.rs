//! What counts towards a prompt.

use super::super::{Outline, PromptStats};

fn stats(body: &str) -> PromptStats {
    *Outline::read(body.as_bytes()).unwrap().stats()
}

#[test]
fn messages_and_their_text_are_counted() {
    let counted = stats(
        r#"{"model":"a-model-does-not-count","messages":[
            {"role":"system","content":"12345"},
            {"role":"user","content":[{"type":"text","text":"1234567890"}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"arguments":"{}"}}]}
        ],"user":"nor does this","metadata":{"text":"or this"}}"#,
    );
    let text = ["system", "12345", "user", "text", "1234567890", "assistant", "c", "{}"];
    let text_bytes = text.iter().map(|text| text.len() as u64).sum();
    assert_eq!(counted, PromptStats { messages: 3, text_bytes, ..PromptStats::default() });
    assert_eq!(stats("{}"), PromptStats::default());
    assert_eq!(stats(r#"{"messages":[]}"#), PromptStats::default());
    assert_eq!(stats(r#"{"messages":null,"input":null}"#), PromptStats::default());
}

#[test]
fn messages_that_are_no_array_are_no_messages() {
    assert_eq!(stats(r#"{"messages":"no array"}"#).messages, 0);
    assert_eq!(stats(r#"{"messages":{"a":"b"}}"#).messages, 0);
}

#[test]
fn each_member_of_a_prompt_is_counted() {
    for name in [
        "prompt",
        "input",
        "system",
        "instructions",
        "tools",
        "functions",
        "response_format",
        "suffix",
        "template",
        "images",
        "messages",
    ] {
        for value in
            ["\"12345\"", "[\"123\",\"45\"]", "[{\"a\":[\"12345\"]}]", "{\"x\":{\"y\":\"12345\"}}"]
        {
            assert_eq!(stats(&format!("{{\"{name}\":{value}}}")).text_bytes, 5, "{name} {value}");
        }
    }
}

#[test]
fn a_member_that_may_stand_twice_or_in_another_case_counts_each_time() {
    assert_eq!(
        stats(r#"{"system":"123","SYSTEM":"45","system":"6","\u0053ystem":"7"}"#).text_bytes,
        7
    );
}

#[test]
fn text_is_counted_in_bytes_of_utf8_with_escapes_resolved() {
    for (json, bytes) in [
        (r#""äöü""#, 6),
        (r#""\u00e4\u00f6\u00fc""#, 6),
        (r#""日本""#, 6),
        (r#""\u65e5\u672c""#, 6),
        (r#""😀""#, 4),
        (r#""\ud83d\ude00""#, 4),
        (r#""a\nb\"\\\/""#, 6),
        (r#""\u0041\u0000\u007f\u0080\u07ff\u0800""#, 3 + 2 + 2 + 3),
        (r#""\ud83d""#, 2),
    ] {
        assert_eq!(stats(&format!("{{\"prompt\":{json}}}")).text_bytes, bytes, "{json}");
    }
}

#[test]
fn inputs_are_an_arrays_elements_or_one_string() {
    assert_eq!(stats(r#"{"input":"one text"}"#).inputs, 1);
    assert_eq!(stats(r#"{"input":["one","two","three"]}"#).inputs, 3);
    assert_eq!(stats(r#"{"input":[]}"#).inputs, 0);
    assert_eq!(stats(r#"{"input":[[1,2,3],[4]]}"#).inputs, 2);
}

#[test]
fn a_prompt_given_as_tokens_is_counted() {
    assert_eq!(stats(r#"{"input":[[1,2,3],[4]]}"#).token_ids, 4);
    assert_eq!(stats(r#"{"prompt":[15339,1917],"context":[1,2,3]}"#).token_ids, 5);
    let elsewhere =
        r#"{"n":1,"messages":[{"a":1}],"tools":[{"minimum":1}],"options":{"num_ctx":1},"x":[1]}"#;
    assert_eq!(stats(elsewhere).token_ids, 0);
}

#[test]
fn a_payload_counts_as_an_image() {
    let payload = "iVBORw0K".repeat(200);
    let bytes = payload.len() as u64;
    for body in [
        format!(r#"{{"messages":[{{"content":[{{"image_url":{{"url":"{payload}"}}}}]}}]}}"#),
        format!(r#"{{"messages":[{{"content":[{{"image_url": "{payload}"}}]}}]}}"#),
        format!(r#"{{"messages":[{{"content":[{{"input_audio":{{"data":"{payload}"}}}}]}}]}}"#),
        format!(r#"{{"messages":[{{"content":[{{"file":{{"file_data":"{payload}"}}}}]}}]}}"#),
        format!(r#"{{"messages":[{{"images":["{payload}"]}}]}}"#),
        format!(r#"{{"images" : [ "{payload}" ]}}"#),
    ] {
        let counted = stats(&body);
        assert_eq!(
            (counted.images, counted.image_bytes, counted.text_bytes),
            (1, bytes, 0),
            "{:.60}",
            body
        );
    }
    let two = stats(&format!(r#"{{"images":["{payload}","{payload}"],"prompt":"1234"}}"#));
    assert_eq!((two.images, two.image_bytes, two.text_bytes), (2, 2 * bytes, 4));
}

#[test]
fn text_in_a_payloads_place_stays_text() {
    let words = "some words ".repeat(200);
    let long = "iVBORw0K".repeat(200);
    let short = "x".repeat(1024);
    for (body, bytes) in [
        (format!(r#"{{"messages":[{{"data":"{words}"}}]}}"#), words.len()),
        (format!(r#"{{"messages":[{{"data":"{}"}}]}}"#, "日本".repeat(200)), 1200),
        (format!(r#"{{"messages":[{{"url":"{short}"}}]}}"#), 1024),
        (format!(r#"{{"messages":[{{"content":"{long}"}}]}}"#), long.len()),
        (format!(r#"{{"messages":[{{"urls":"{long}"}}]}}"#), long.len()),
        (format!(r#"{{"prompt":"{long}"}}"#), long.len()),
        // The key stands over what directly follows it, not over what comes after its object.
        (format!(r#"{{"messages":[{{"content":[{{"url":"x"}},"{long}"]}}]}}"#), 1 + long.len()),
        (format!(r#"{{"images":[["x"],"{long}"]}}"#), 1 + long.len()),
    ] {
        let counted = stats(&body);
        assert_eq!((counted.text_bytes, counted.images), (bytes as u64, 0), "{:.60}", body);
    }
    assert_eq!(stats(&format!(r#"{{"metadata":{{"url":"{long}"}}}}"#)), PromptStats::default());
}

#[test]
fn a_big_body_is_counted_to_the_last_byte() {
    let text = "The quick brown fox.\\n".repeat(40_000);
    let body = format!(
        "{{\"messages\":[{}{{\"content\":\"{text}\"}}],\"model\":\"m\"}}",
        "{},".repeat(50_000)
    );
    let counted = stats(&body);
    assert_eq!((counted.messages, counted.text_bytes), (50_001, 21 * 40_000));
}
