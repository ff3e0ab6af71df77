//! Names that stand for other models, and what is known of a model by its name.

use fluxgate_testkit::{Plan, TestStack};
use serde_json::{Value, json};

use crate::scripted_upstream::{JSON, MODEL, ScriptedUpstream, Speaks, Step, document};

const ANSWER: &[u8] = br#"{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}]}"#;

/// A gateway with one upstream that has the model `scripted`, and these entries.
async fn with_models(upstream: &ScriptedUpstream, entries: &str) -> TestStack {
    let url = upstream.url();
    let file = format!("[[upstreams]]\nname = \"scripted\"\nurl = \"{url}\"\n{entries}");
    Plan::default().upstreams(&[]).file(&file).start().await
}

async fn upstream() -> ScriptedUpstream {
    ScriptedUpstream::always(Speaks::OpenAi, vec![Step::Send(document(JSON, ANSWER))]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_an_alias_goes_up_under_the_models_name_and_else_unchanged() {
    let upstream = upstream().await;
    let entries = format!("[models.\"gpt-4*\"]\nalias_of = \"{MODEL}\"\n");
    let stack = with_models(&upstream, &entries).await;
    for (route, rest) in [
        ("/v1/chat/completions", r#" , "messages" : [ ], "x":1e2}"#),
        ("/v1/messages", r#", "messages": [{"role":"user","content":"\u00e9"}], "max_tokens": 5}"#),
        ("/v1/responses", r#", "input": "gpt-4o"}"#),
    ] {
        let body = format!(r#"{{ "user":"a", "model" : "gpt\u002d4o-mini"{rest}"#);
        let answer = stack.post(route, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent = String::from_utf8(upstream.seen().pop().unwrap().body).unwrap();
        assert_eq!(sent, format!(r#"{{ "user":"a", "model" : "{MODEL}"{rest}"#));
    }
    // With the usage that we ask for there are two splices.
    let body = r#"{"messages":[],"stream":true,"model":"gpt-4"}"#;
    assert_eq!(stack.post("/v1/chat/completions", body).await.status, 200);
    let sent: Value = serde_json::from_slice(&upstream.seen().pop().unwrap().body).unwrap();
    let options = json!({"include_usage": true});
    assert_eq!(
        sent,
        json!({"messages": [], "stream": true, "model": MODEL, "stream_options": options})
    );
    // Translated, the answer names the model as the client did.
    let body = r#"{"model":"gpt-4","stream":false,"messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(stack.post("/api/chat", body).await.json()["model"], "gpt-4");
    let tagged = body.replace("gpt-4", "gpt-4:latest");
    assert_eq!(stack.post("/api/chat", &tagged).await.json()["model"], "gpt-4:latest");
    let sent: Value = serde_json::from_slice(&upstream.seen().pop().unwrap().body).unwrap();
    assert_eq!(sent["model"], MODEL);
    assert_eq!(stack.metric("fluxgate_requests_total", &["status=\"404\""]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_that_are_names_are_listed_in_every_dialect() {
    let upstream = upstream().await;
    let entries = format!(
        "[models.\"gpt-4o\"]\nalias_of = \"{MODEL}\"\n[models.\"o*\"]\nalias_of = \"{MODEL}\"\n\
         [models.\"nothing\"]\nalias_of = \"nobody\"\n"
    );
    let stack = with_models(&upstream, &entries).await;
    let list = stack.get("/v1/models").await.json();
    let mut ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["gpt-4o", MODEL]);
    assert_eq!(stack.get("/v1/models/gpt-4o").await.json()["id"], "gpt-4o");
    assert_eq!(stack.get("/v1/models/o1").await.json()["id"], "o1");
    assert_eq!(stack.get("/v1/models/nothing").await.status, 404);
    let tags = stack.get("/api/tags").await.json();
    assert_eq!(tags["models"].as_array().unwrap().len(), 2);
    let missing = r#"{"model":"nothing","messages":[]}"#;
    assert_eq!(stack.post("/v1/chat/completions", missing).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_own_name_for_the_most_tokens_is_used_in_translation() {
    let upstream = upstream().await;
    let entries = format!("[models.\"{MODEL}\"]\nmax_tokens_field = \"max_completion_tokens\"\n");
    let stack = with_models(&upstream, &entries).await;
    let body = json!({"model": MODEL, "stream": false, "options": {"num_predict": 7},
        "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(stack.post("/api/chat", &body.to_string()).await.status, 200);
    let sent: Value = serde_json::from_slice(&upstream.seen().pop().unwrap().body).unwrap();
    assert_eq!((sent.get("max_tokens"), &sent["max_completion_tokens"]), (None, &json!(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_set_up_without_extra_fields_gets_none() {
    let upstream = upstream().await;
    let stack = with_models(&upstream, "extra_fields = false\n").await;
    let body = json!({"model": MODEL, "stream": false, "options": {"top_k": 7},
        "messages": [{"role": "user", "content": "x"}]});
    let answer = stack.post("/api/chat", &body.to_string()).await;
    assert_eq!(answer.header("x-fluxgate-dropped"), Some("top_k"));
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spelling_of_an_alias_leads_to_the_same_model() {
    let upstream = upstream().await;
    upstream.list("gpt-4");
    upstream.list("Big-Model");
    let entries = format!(
        "[models.\"gpt-4\"]\nalias_of = \"{MODEL}\"\n[models.\"Big-*\"]\nalias_of = \"{MODEL}\"\n"
    );
    let stack = with_models(&upstream, &entries).await;
    for name in [
        "gpt-4",
        "gpt-4:latest",
        "GPT-4",
        "library/gpt-4",
        "registry.ollama.ai/library/gpt-4",
        "Big-Model",
        "big-model",
        "BIG-MODEL:latest",
    ] {
        let body = json!({"model": name, "stream": false,
            "messages": [{"role": "user", "content": "x"}]});
        assert_eq!(stack.post("/api/chat", &body.to_string()).await.status, 200, "{name}");
        let sent: Value = serde_json::from_slice(&upstream.seen().pop().unwrap().body).unwrap();
        assert_eq!(sent["model"], MODEL, "{name}");
    }
}
