//! Fields that are ambiguous, missing or of a wrong type, and models that nobody offers.

use fluxgate_testkit::TestStack;

use super::refusal::{
    OLLAMA_ROUTES, OPENAI_ROUTES, Unasked, assert_names_field, assert_refused, routes, sound_body,
};

/// A sound body with more members in front.
fn with(route: &str, members: &str) -> String {
    format!("{{{members},{}", &sound_body(route)[1..])
}

#[tokio::test]
async fn a_field_that_two_readers_read_differently_is_refused() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    for route in routes() {
        for (members, field) in [
            (r#""model":"demo""#, "model"),
            (r#""model":"other""#, "model"),
            (r#""model":null"#, "model"),
            (r#""Model":"other""#, "model"),
            (r#""MODEL":"other""#, "model"),
            (r#""mod\u0065l":"other""#, "model"),
            (r#""\u006d\u006f\u0064\u0065\u006c":"other""#, "model"),
            (r#""mod\u0045l":"other""#, "model"),
            (r#""Stream":true"#, "stream"),
            (r#""stream":true,"stream":false"#, "stream"),
            (r#""stream":false,"str\u0065am":true"#, "stream"),
            (r#""STREAM":null"#, "stream"),
            // Go matches letters by Unicode's simple folding: U+017F is an s.
            (r#""\u017ftream":true"#, "stream"),
            ("\"\u{17f}tream\":true", "stream"),
            (r#""max_tokens":1,"max_tokens":2"#, "max_tokens"),
            (r#""Max_Tokens":1"#, "max_tokens"),
            (r#""max_completion_tokens":1,"max_completion_tokens":1"#, "max_completion_tokens"),
            (r#""MAX_OUTPUT_TOKENS":1"#, "max_output_tokens"),
            (r#""n":1,"n":1"#, "n"),
            (r#""N":5"#, "n"),
            (r#""options":{},"options":{}"#, "options"),
            (r#""Options":{}"#, "options"),
            (r#""options":{"num_predict":1,"num_predict":2}"#, "options.num_predict"),
            (r#""options":{"NUM_PREDICT":2}"#, "options.num_predict"),
            (r#""options":{"num_predict":1,"num_pr\u0065dict":2}"#, "options.num_predict"),
            (r#""stream_options":{},"stream_options":{}"#, "stream_options"),
            (r#""Stream_Options":{}"#, "stream_options"),
            (
                r#""stream_options":{"include_usage":true,"include_usage":false}"#,
                "stream_options.include_usage",
            ),
            (r#""stream_options":{"Include_Usage":true}"#, "stream_options.include_usage"),
        ] {
            let answer = stack.post(route, &with(route, members)).await;
            let sentence = assert_refused(members, route, &answer, 400, "ambiguous_field");
            assert!(sentence.contains(field), "{members}, {route}: {sentence}");
            assert_names_field(members, route, &answer, field);
        }
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn what_stands_deeper_is_the_clients_own() {
    let stack = TestStack::start().await;
    for route in routes() {
        for members in [
            r#""metadata":{"model":"a","model":"b","Model":"c"}"#,
            r#""options":{"x":{"num_predict":1,"num_predict":2}}"#,
            r#""x":{"stream":true,"stream":false}"#,
            r#""modelx":"a","modelx":"b""#,
            r#""user":"a","user":"b""#,
        ] {
            let answer = stack.post(route, &with(route, members)).await;
            assert_eq!(answer.status, 200, "{members}, {route}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_model_that_nobody_offers_is_404_and_the_ones_there_are_are_named() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    for route in routes() {
        for model in
            ["nothing", "demo2", "DEMO-EMBEDDED", "../demo", "demo\\u0000", "*", "a/b:c", " demo"]
        {
            let known = sound_body(route).split('"').nth(3).unwrap();
            let body = sound_body(route).replacen(known, model, 1);
            let answer = stack.post(route, &body).await;
            let sentence = assert_refused(model, route, &answer, 404, "model_not_found");
            assert!(sentence.contains("demo"), "{route}: {sentence}");
            assert!(!sentence.contains("nothing"), "{route}: {sentence}");
            if OPENAI_ROUTES.contains(&route) {
                assert_names_field(model, route, &answer, "model");
            }
        }
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn a_missing_model_or_one_of_another_type_is_named() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    for route in routes() {
        let known = format!("\"{}\"", sound_body(route).split('"').nth(3).unwrap());
        for wrong in ["null", "1", "true", "[]", "{}", "[\"demo\"]", "\"\""] {
            let body = sound_body(route).replacen(&known, wrong, 1);
            let answer = stack.post(route, &body).await;
            assert_refused(wrong, route, &answer, 400, "invalid_field");
            assert_names_field(wrong, route, &answer, "model");
        }
        let body = sound_body(route).replacen("\"model\"", "\"modell\"", 1);
        let answer = stack.post(route, &body).await;
        assert_refused("no model", route, &answer, 400, "invalid_field");
        assert_names_field("no model", route, &answer, "model");
        let answer = stack.post(route, "{}").await;
        assert_refused("nothing", route, &answer, 400, "invalid_field");
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn a_field_of_a_wrong_type_is_named() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    let chat = OPENAI_ROUTES[0];
    for (route, body, field) in [
        (chat, r#"{"model":"demo"}"#, "messages"),
        (chat, r#"{"model":"demo","messages":null}"#, "messages"),
        (chat, r#"{"model":"demo","messages":"hello"}"#, "messages"),
        (chat, r#"{"model":"demo","messages":{}}"#, "messages"),
        (chat, r#"{"model":"demo","messages":[],"stream":"true"}"#, "stream"),
        (chat, r#"{"model":"demo","messages":[],"stream":1}"#, "stream"),
        (chat, r#"{"model":"demo","messages":[],"max_tokens":"9"}"#, "max_tokens"),
        (chat, r#"{"model":"demo","messages":[],"max_tokens":[]}"#, "max_tokens"),
        (
            chat,
            r#"{"model":"demo","messages":[],"max_completion_tokens":true}"#,
            "max_completion_tokens",
        ),
        (chat, r#"{"model":"demo","messages":[],"n":"2"}"#, "n"),
        (
            chat,
            r#"{"model":"demo","messages":[],"stream":true,"stream_options":true}"#,
            "stream_options",
        ),
        (
            chat,
            r#"{"model":"demo","messages":[],"stream":true,"stream_options":[]}"#,
            "stream_options",
        ),
        (
            chat,
            r#"{"model":"demo","messages":[],"stream":true,"stream_options":{"include_usage":"yes"}}"#,
            "stream_options.include_usage",
        ),
        ("/v1/completions", r#"{"model":"demo","prompt":1}"#, "prompt"),
        ("/v1/completions", r#"{"model":"demo","prompt":{}}"#, "prompt"),
        ("/v1/completions", r#"{"model":"demo","prompt":"a","stream":"no"}"#, "stream"),
        ("/v1/embeddings", r#"{"model":"demo-embed"}"#, "input"),
        ("/v1/embeddings", r#"{"model":"demo-embed","input":null}"#, "input"),
        ("/v1/embeddings", r#"{"model":"demo-embed","input":{}}"#, "input"),
        (OLLAMA_ROUTES[0], r#"{"model":"demo"}"#, "messages"),
        (OLLAMA_ROUTES[0], r#"{"model":"demo","messages":null}"#, "messages"),
        (OLLAMA_ROUTES[0], r#"{"model":"demo","messages":"hello"}"#, "messages"),
        (OLLAMA_ROUTES[0], r#"{"model":"demo","messages":[],"stream":"no"}"#, "stream"),
        (OLLAMA_ROUTES[0], r#"{"model":"demo","messages":[],"options":[]}"#, "options"),
        (OLLAMA_ROUTES[0], r#"{"model":"demo","messages":[],"options":"x"}"#, "options"),
        (OLLAMA_ROUTES[1], r#"{"model":"demo","prompt":[]}"#, "prompt"),
        (OLLAMA_ROUTES[1], r#"{"model":"demo","prompt":1}"#, "prompt"),
        (OLLAMA_ROUTES[1], r#"{"model":"demo","prompt":"a","stream":0}"#, "stream"),
    ] {
        let answer = stack.post(route, body).await;
        assert_refused(body, route, &answer, 400, "invalid_field");
        assert_names_field(body, route, &answer, field);
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn null_in_a_field_that_may_be_absent_means_absent() {
    let stack = TestStack::start().await;
    for members in [
        r#""stream":null"#,
        r#""max_tokens":null,"max_completion_tokens":null,"n":null"#,
        r#""stream_options":null"#,
        r#""stream":true,"stream_options":null"#,
        r#""stream":true,"stream_options":{"include_usage":null}"#,
        r#""options":null"#,
    ] {
        let route = OPENAI_ROUTES[0];
        let answer = stack.post(route, &with(route, members)).await;
        assert_eq!(answer.status, 200, "{members}: {}", answer.text());
    }
}
