//! What Ollama's clients send to load and unload a model: answered here.

use fluxgate_testkit::TestStack;

use super::refusal::{Unasked, assert_id, assert_refused};

#[tokio::test]
async fn an_empty_prompt_loads_the_model_and_is_answered_here() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    for (route, body) in [
        ("/api/chat", r#"{"model":"demo","messages":[]}"#),
        ("/api/chat", r#"{"model":"demo","messages":[],"keep_alive":"5m"}"#),
        ("/api/chat", r#"{"model":"demo","messages":[ ],"stream":true}"#),
        ("/api/generate", r#"{"model":"demo"}"#),
        ("/api/generate", r#"{"model":"demo","prompt":""}"#),
        ("/api/generate", r#"{"model":"demo","prompt":null,"keep_alive":-1}"#),
        ("/api/generate", r#"{"model":"demo","keep_alive":300}"#),
    ] {
        let answer = stack.post(route, body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        assert_id(&answer);
        let loaded = answer.json();
        assert_eq!(loaded["done"], true, "{body}");
        assert_eq!(loaded["done_reason"], "load", "{body}");
        assert_eq!(loaded["model"], "demo", "{body}");
        assert!(loaded["created_at"].is_string(), "{body}");
        if route == "/api/chat" {
            assert_eq!(loaded["message"]["role"], "assistant");
            assert_eq!(loaded["message"]["content"], "");
        } else {
            assert_eq!(loaded["response"], "");
        }
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn unloading_is_403() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    for keep_alive in ["0", "0.0", "-0", "\"0\"", "\"0s\"", "\"0m\"", "\"0h0m0s\""] {
        for (route, rest) in
            [("/api/chat", r#""messages":[]"#), ("/api/generate", r#""prompt":"""#)]
        {
            let body = format!(r#"{{"model":"demo",{rest},"keep_alive":{keep_alive}}}"#);
            let answer = stack.post(route, &body).await;
            assert_refused(&body, route, &answer, 403, "unload_refused");
        }
        let body = format!(r#"{{"model":"demo","keep_alive":{keep_alive}}}"#);
        let answer = stack.post("/api/generate", &body).await;
        assert_refused(&body, "/api/generate", &answer, 403, "unload_refused");
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn a_model_is_loaded_only_where_there_is_one() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    for (route, body) in [
        ("/api/chat", r#"{"model":"nothing","messages":[]}"#),
        ("/api/generate", r#"{"model":"nothing"}"#),
        ("/api/generate", r#"{"model":"demo:other"}"#),
    ] {
        let answer = stack.post(route, body).await;
        assert_refused(body, route, &answer, 404, "model_not_found");
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn a_model_has_the_same_name_with_and_without_its_tag() {
    let stack = TestStack::start().await;
    for name in ["demo", "demo:latest", "library/demo", "registry.ollama.ai/library/demo:latest"] {
        let body = format!(r#"{{"model":"{name}","messages":[]}}"#);
        let answer = stack.post("/api/chat", &body).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
}
