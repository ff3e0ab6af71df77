//! What members may do and administrators may, what a key may, and what is written of it.

use fluxgate_testkit::TestStack;
use serde_json::json;

use super::people::{self, code, with};

const KEYS: &str = "/api/v1/keys";
const AUDIT: &str = "/api/v1/admin/audit";

#[tokio::test]
async fn members_manage_their_own_keys_and_no_others() {
    let mut stack = TestStack::start().await;
    let ada_id = people::make(&stack, "ada@example.org", "member").await;
    let bob_id = people::make(&stack, "bob@example.org", "member").await;
    people::make(&stack, "eve@example.org", "admin").await;
    let ada = people::sign_in(&stack, "ada@example.org").await.access_token;
    let bob = people::sign_in(&stack, "bob@example.org").await.access_token;
    let eve = people::sign_in(&stack, "eve@example.org").await.access_token;
    let made = with(stack.clear, &ada, "POST", KEYS, r#"{"name":"mine"}"#).await;
    assert_eq!((made.status, &made.json()["owner"]), (201, &json!(ada_id)));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let key = made.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(with(stack.clear, &key, "GET", "/v1/models", "").await.status, 200);
    // For oneself by name as well; for nobody else, whether there is one or not.
    for user in [ada_id.as_str(), "ada@example.org"] {
        let body = json!({ "name": "x", "user": user }).to_string();
        assert_eq!(with(stack.clear, &ada, "POST", KEYS, &body).await.status, 201);
    }
    for user in [bob_id.as_str(), "bob@example.org", "nobody@example.org", "x"] {
        let body = json!({ "name": "x", "user": user }).to_string();
        let answer = with(stack.clear, &ada, "POST", KEYS, &body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (403, "not_allowed"), "{user}");
    }
    let count = async |token: &str| {
        let list = with(stack.clear, token, "GET", KEYS, "").await.json();
        list["items"].as_array().unwrap().len()
    };
    assert_eq!((count(&ada).await, count(&bob).await, count(&eve).await), (3, 0, 4));
    // As many as anybody needs.
    for _ in 0..100 {
        with(stack.clear, &bob, "POST", KEYS, r#"{"name":"x"}"#).await;
    }
    let answer = with(stack.clear, &bob, "POST", KEYS, r#"{"name":"x"}"#).await;
    assert_eq!((answer.status, code(&answer).as_str()), (409, "conflict"));
    let path = format!("{KEYS}/{id}");
    for (method, path, body) in [
        ("PATCH", path.clone(), r#"{"name":"his"}"#),
        ("DELETE", path.clone(), ""),
        ("POST", format!("{path}/rotate"), "{}"),
    ] {
        let answer = with(stack.clear, &bob, method, &path, body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (404, "not_found"), "{method}");
    }
    assert_eq!(with(stack.clear, &ada, "PATCH", &path, r#"{"name":"still"}"#).await.status, 200);
    assert_eq!(with(stack.clear, &eve, "DELETE", &path, "").await.status, 204);
    let answer = with(stack.clear, &key, "GET", "/v1/models", "").await;
    assert_eq!((answer.status, code(&answer).as_str()), (401, "key_revoked"));
    stack.stop().await;
}

#[tokio::test]
async fn administrators_routes_are_for_administrators() {
    let mut stack = TestStack::start().await;
    let id = people::make(&stack, "ada@example.org", "member").await;
    people::make(&stack, "eve@example.org", "admin").await;
    let ada = people::sign_in(&stack, "ada@example.org").await.access_token;
    let eve = people::sign_in(&stack, "eve@example.org").await.access_token;
    let user = format!("/api/v1/admin/users/{id}");
    let routes = [
        ("GET", "/api/v1/admin/users".to_owned(), ""),
        ("POST", "/api/v1/admin/users".to_owned(), r#"{"email":"new@example.org"}"#),
        ("PATCH", user.clone(), r#"{"role":"member"}"#),
        ("POST", format!("{user}/reset"), ""),
        ("GET", "/api/v1/admin/teams".to_owned(), ""),
        ("POST", "/api/v1/admin/teams".to_owned(), r#"{"name":"Research"}"#),
        ("GET", "/api/v1/admin/invites".to_owned(), ""),
        ("GET", AUDIT.to_owned(), ""),
    ];
    for (method, path, body) in &routes {
        let answer = with(stack.clear, &ada, method, path, body).await;
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (403, "not_allowed"),
            "{method} {path}"
        );
        let answer = with(stack.clear, &stack.key, method, path, body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (403, "scope_missing"), "{path}");
        let answer = people::send(stack.clear, method, path, &[], body.as_bytes()).await;
        assert_eq!((answer.status, code(&answer).as_str()), (401, "missing_api_key"), "{path}");
    }
    for (method, path, body) in &routes {
        let answer = with(stack.clear, &eve, method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
    }
    // Who is made an administrator is one at once, and the last can't be unmade.
    let answer = with(stack.clear, &eve, "PATCH", &user, r#"{"role":"admin"}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(with(stack.clear, &ada, "GET", AUDIT, "").await.status, 200);
    let eve_id = with(stack.clear, &eve, "GET", people::ME, "").await.json()["user"]["id"].clone();
    let path = format!("/api/v1/admin/users/{}", eve_id.as_str().unwrap());
    assert_eq!(
        with(stack.clear, &ada, "PATCH", &path, r#"{"state":"disabled"}"#).await.status,
        200
    );
    let answer = with(stack.clear, &ada, "PATCH", &user, r#"{"role":"member"}"#).await;
    assert_eq!((answer.status, code(&answer).as_str()), (409, "conflict"));
    stack.stop().await;
}

#[tokio::test]
async fn a_key_reads_usage_with_the_scope_for_it_and_nothing_else() {
    let mut stack = TestStack::start().await;
    let make = async |scopes: &[&str]| {
        let body = json!({ "name": "x", "scopes": scopes }).to_string();
        let made = stack.operator("POST", KEYS, &body).await;
        made.json()["key"].as_str().unwrap().to_owned()
    };
    let (reader, chatter) = (make(&["usage:read"]).await, make(&["models"]).await);
    let usage = "/api/v1/usage?by=model&since=2026-01-01T00:00:00Z";
    let answer = with(stack.clear, &reader, "GET", usage, "").await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "items": [], "next_cursor": null })));
    let answer = with(stack.clear, &chatter, "GET", usage, "").await;
    assert_eq!((answer.status, code(&answer).as_str()), (403, "scope_missing"));
    let answer = with(stack.clear, &reader, "GET", "/v1/models", "").await;
    assert_eq!((answer.status, code(&answer).as_str()), (403, "scope_missing"));
    for path in [KEYS, people::ME, people::SESSIONS] {
        let answer = with(stack.clear, &reader, "GET", path, "").await;
        assert_eq!((answer.status, code(&answer).as_str()), (403, "scope_missing"), "{path}");
    }
    for query in [
        "by=colour",
        "since=yesterday",
        "step_s=0",
        "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
    ] {
        let path = format!("/api/v1/usage?{query}");
        assert_eq!(with(stack.clear, &reader, "GET", &path, "").await.status, 400, "{query}");
    }
    stack.stop().await;
}
