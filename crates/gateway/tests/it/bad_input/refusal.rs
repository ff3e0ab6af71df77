//! What a refusal must look like in each dialect, and that nothing went upstream.

use std::sync::atomic::Ordering;

use fluxgate_testkit::TestStack;
use fluxgate_testkit::wire::Answer;
use serde_json::Value;

pub const OPENAI_ROUTES: [&str; 3] = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"];
pub const OLLAMA_ROUTES: [&str; 5] =
    ["/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"];

/// Every route that takes a body.
pub fn routes() -> impl Iterator<Item = &'static str> {
    OPENAI_ROUTES.into_iter().chain(OLLAMA_ROUTES)
}

/// A body that the route serves.
pub fn sound_body(route: &str) -> &'static str {
    match route {
        "/v1/chat/completions" => {
            r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#
        }
        "/v1/completions" => r#"{"model":"demo","prompt":"hello"}"#,
        "/v1/embeddings" | "/api/embed" => r#"{"model":"demo-embed","input":"hello"}"#,
        "/api/chat" => {
            r#"{"model":"demo","stream":false,"messages":[{"role":"user","content":"hello"}]}"#
        }
        "/api/generate" => r#"{"model":"demo","stream":false,"prompt":"hello"}"#,
        "/api/embeddings" => r#"{"model":"demo-embed","prompt":"hello"}"#,
        "/api/show" => r#"{"model":"demo"}"#,
        other => panic!("{other} takes no body"),
    }
}

/// Checks a refusal's status, code and shape, by the dialect of the path that was asked; gives its
/// sentence.
#[track_caller]
pub fn assert_refused(what: &str, path: &str, answer: &Answer, status: u16, code: &str) -> String {
    let text = answer.text();
    assert_eq!(answer.status, status, "{what}, {path}: {text}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}, {path}");
    assert_eq!(answer.header("transfer-encoding"), None, "{what}, {path}");
    assert_id(answer);
    let body = answer.json();
    let message = if path.starts_with("/api/") {
        assert_eq!(members(&body), ["code", "error"], "{what}, {path}: {text}");
        assert_eq!(body["code"], code, "{what}, {path}: {text}");
        &body["error"]
    } else {
        assert_eq!(members(&body), ["error"], "{what}, {path}: {text}");
        let error = &body["error"];
        assert_eq!(members(error), ["code", "message", "param", "type"], "{what}, {path}: {text}");
        assert_eq!(error["code"], code, "{what}, {path}: {text}");
        assert!(error["type"].as_str().is_some_and(|kind| !kind.is_empty()), "{what}: {text}");
        assert!(error["param"].is_string() || error["param"].is_null(), "{what}, {path}: {text}");
        &error["message"]
    };
    let message = message.as_str().expect("a sentence");
    assert!(message.ends_with('.') && message.len() > 10, "{what}, {path}: {message}");
    match status {
        401 => assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}, {path}"),
        405 => assert!(answer.header("allow").is_some(), "{what}, {path}"),
        503 => {
            let seconds = answer.header("retry-after").and_then(|value| value.parse::<u64>().ok());
            assert!(seconds.is_some_and(|seconds| seconds > 0), "{what}, {path}");
        }
        _ => {}
    }
    message.to_owned()
}

/// Our own id of the request: a UUIDv7.
#[track_caller]
pub fn assert_id(answer: &Answer) {
    let id = answer.header("x-request-id").expect("every answer has an x-request-id");
    let id = uuid::Uuid::parse_str(id).expect("it is a UUID");
    assert_eq!(id.get_version_num(), 7);
}

/// The field that a refusal names: in `param`, or, where the dialect has none, in its sentence.
#[track_caller]
pub fn assert_names_field(what: &str, path: &str, answer: &Answer, field: &str) {
    let body = answer.json();
    if path.starts_with("/api/") {
        let sentence = body["error"].as_str().unwrap_or_default().to_owned();
        assert!(sentence.contains(&format!("`{field}`")), "{what}, {path}: {sentence}");
    } else {
        assert_eq!(body["error"]["param"], field, "{what}, {path}: {}", answer.text());
    }
}

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// What a model server has seen of bodies; listings, which are read all the time, have none.
pub struct Unasked {
    bytes: u64,
}

impl Unasked {
    pub fn begin(stack: &TestStack) -> Self {
        Self { bytes: stack.demo.stats.body_bytes.load(Ordering::Relaxed) }
    }

    #[track_caller]
    pub fn end(self, stack: &TestStack) {
        let seen = stack.demo.stats.body_bytes.load(Ordering::Relaxed);
        assert_eq!(seen, self.bytes, "a refused request reached the model server");
    }
}
