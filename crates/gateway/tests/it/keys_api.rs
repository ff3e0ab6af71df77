//! The operator's API of keys, and setting up, over HTTP.

use std::fs;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use fluxgate_core::admin_api::{CreatedKey, Key, Page, ProblemDetails};
use fluxgate_core::ids::OPERATOR;
use fluxgate_gateway::store::Store;
use fluxgate_testkit::stack::ADMIN_TOKEN;
use fluxgate_testkit::throwaway::Postgres;
use fluxgate_testkit::wire::{self, Answer};
use fluxgate_testkit::{Plan, TestStack};
use serde_json::json;

const KEYS: &str = "/api/v1/keys";
const SETUP: &str = "/api/v1/auth/setup";
const PASSWORD: &str = "correct horse battery";

fn problem(answer: &Answer) -> ProblemDetails {
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{}",
        answer.text()
    );
    let problem: ProblemDetails = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem.status, answer.status);
    let id = problem.request_id.expect("a problem names its request").to_string();
    assert_eq!(answer.header("x-request-id"), Some(id.as_str()));
    problem
}

async fn create(stack: &TestStack, body: serde_json::Value) -> Answer {
    stack.operator("POST", KEYS, &body.to_string()).await
}

async fn list(stack: &TestStack, query: &str) -> Page<Key> {
    let answer = stack.operator("GET", &format!("{KEYS}{query}"), "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

async fn use_key(stack: &TestStack, key: &str) -> Answer {
    let authorization = format!("Bearer {key}");
    let request = wire::request("GET", "/v1/models", &[("authorization", &authorization)], b"");
    wire::ask(stack.clear, &request).await
}

#[tokio::test]
async fn a_new_key_is_shown_once_and_opens_the_models() {
    let mut stack = TestStack::start().await;
    let end = Utc::now() + TimeDelta::days(30);
    let answer = create(&stack, json!({ "name": "laptop", "expires_at": end.to_rfc3339() })).await;
    assert_eq!((answer.status, answer.header("cache-control")), (201, Some("no-store")));
    let made: CreatedKey = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(made.about.subject, format!("key:{}", made.about.id));
    assert_eq!((made.about.name.as_str(), made.about.owner), ("laptop", OPERATOR));
    assert!(made.key.starts_with(&format!("sk-fg-{}-", made.about.id)));
    assert_eq!(use_key(&stack, &made.key).await.status, 200);

    let page = list(&stack, "").await;
    let listed = page.items.iter().find(|key| key.id == made.about.id).unwrap();
    assert_eq!(
        (listed.created_at, listed.expires_at),
        (made.about.created_at, made.about.expires_at)
    );
    let secret = &made.key[19..];
    let text = stack.operator("GET", KEYS, "").await.text();
    assert!(!text.contains(secret) && page.next_cursor.is_none());
    stack.stop().await;
}

#[tokio::test]
async fn what_cant_be_a_key_is_refused_by_name() {
    let mut stack = TestStack::start().await;
    for (body, says) in [
        (json!({}), "name"),
        (json!({ "name": "" }), "`name`"),
        (json!({ "name": "x".repeat(65) }), "`name`"),
        (json!({ "name": "a\nb" }), "`name`"),
        (json!({ "name": "x", "colour": "red" }), "unknown member, expected one of `name`"),
        (json!({ "name": "x", "scopes": ["everything"] }), "`scopes[0]`"),
        (json!({ "name": "x", "limits": { "concurrent": 0 } }), "`limits.concurrent`"),
        (json!({ "name": "x", "expires_at": "2020-01-01T00:00:00Z" }), "`expires_at`"),
        (json!({ "name": "x", "expires_at": "tomorrow" }), "`expires_at`"),
        (json!({ "name": "x", "user": "nobody@example.org" }), "`user`: there is no such user"),
        (json!({ "name": "x", "user": "somebody" }), "`user`"),
    ] {
        let answer = create(&stack, body.clone()).await;
        let problem = problem(&answer);
        assert_eq!((answer.status, problem.code.as_str()), (400, "invalid_request"), "{body}");
        assert!(problem.detail.contains(says), "{body}: {}", problem.detail);
    }
    for body in ["{", "", r#"["x"]"#, r#"{"name":"x"} {"name":"y"}"#] {
        let answer = stack.operator("POST", KEYS, body).await;
        assert_eq!(problem(&answer).code, "invalid_json", "{body}");
    }
    // Only the stack's own.
    assert_eq!(list(&stack, "").await.items.len(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn a_repeated_create_answers_with_the_id_and_not_the_key() {
    let mut stack = TestStack::start().await;
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "once"),
    ];
    let request = wire::request("POST", KEYS, &headers, br#"{"name":"laptop"}"#);
    let first = wire::ask(stack.admin, &request).await;
    let made: CreatedKey = serde_json::from_slice(&first.body).unwrap();
    let repeat = problem(&wire::ask(stack.admin, &request).await);
    assert_eq!((repeat.status, repeat.code.as_str()), (409, "already_created"));
    assert_eq!(repeat.id, Some(made.about.id.to_string()));
    stack.stop().await;
}

#[tokio::test]
async fn keys_are_listed_in_pages() {
    let mut stack = TestStack::start().await;
    for name in ["one", "two", "three"] {
        stack.create_key(name).await;
    }
    let first = list(&stack, "?limit=3").await;
    let names: Vec<_> = first.items.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["three", "two", "one"]);
    let next = first.next_cursor.unwrap();
    let last = list(&stack, &format!("?limit=3&cursor={next}")).await;
    assert_eq!((last.items.len(), last.items[0].name.as_str()), (1, "test"));
    assert!(last.next_cursor.is_none());
    for query in ["?limit=0", "?limit=501", "?limit=x", "?cursor=x", "?page=2"] {
        let answer = stack.operator("GET", &format!("{KEYS}{query}"), "").await;
        assert_eq!(problem(&answer).code, "invalid_request", "{query}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_stays_listed() {
    let mut stack = TestStack::start().await;
    let key = stack.create_key("laptop").await;
    assert_eq!(use_key(&stack, &key).await.status, 200);
    let path = format!("{KEYS}/{}", &key[6..18]);
    for _ in 0..2 {
        let answer = stack.operator("DELETE", &path, "").await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }
    let refused = use_key(&stack, &key).await;
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (401, Some("key_revoked"))
    );
    let page = list(&stack, "?limit=1").await;
    assert!(page.items[0].revoked_at.is_some());
    for path in ["/api/v1/keys/AAAAAAAAAAAA", "/api/v1/keys/short"] {
        assert_eq!(problem(&stack.operator("DELETE", path, "").await).code, "not_found");
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_key_that_another_replica_revoked_is_refused_within_a_second() {
    let database = Postgres::shared().create_database();
    let mut one = Plan::default().database(&database).start().await;
    let mut other = Plan::default().database(&database).start().await;
    let key = one.create_key("laptop").await;
    assert_eq!(use_key(&other, &key).await.status, 200);
    let answer = one.operator("DELETE", &format!("{KEYS}/{}", &key[6..18]), "").await;
    let revoked = Instant::now();
    assert_eq!(answer.status, 204);
    while use_key(&other, &key).await.status == 200 {
        assert!(revoked.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn only_the_operators_token_opens_the_admin_listener() {
    let mut stack = TestStack::start().await;
    for authorization in ["", "Bearer wrong", "Basic eDp5", &format!("Bearer {}x", ADMIN_TOKEN)] {
        let headers = [("authorization", authorization)];
        let answer = wire::ask(stack.admin, &wire::request("GET", KEYS, &headers, b"")).await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(problem(&answer).code, "invalid_admin_token", "{authorization}");
    }
    // On the public listeners it is no credential at all.
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    for listener in [stack.clear, stack.web] {
        let request = wire::request("GET", KEYS, &[("authorization", &authorization)], b"");
        assert_eq!(problem(&wire::ask(listener, &request).await).code, "invalid_api_key");
    }
    let answer = stack.operator("PUT", KEYS, "").await;
    assert_eq!((answer.header("allow"), problem(&answer).status), (Some("GET,HEAD,POST"), 405));
    stack.stop().await;
}

#[tokio::test]
async fn a_frozen_database_is_503_and_known_keys_are_served() {
    let server = Postgres::start();
    let mut stack = Plan::default().database(&server.create_database()).start().await;
    assert_eq!(use_key(&stack, &stack.key).await.status, 200);
    server.freeze();
    let before = Instant::now();
    let answer = create(&stack, json!({ "name": "laptop" })).await;
    assert!(before.elapsed() < Duration::from_millis(2_500), "{:?}", before.elapsed());
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(problem(&answer).code, "store_unavailable");
    assert_eq!(use_key(&stack, &stack.key).await.status, 200);
    server.thaw();
    let thawed = Instant::now();
    while create(&stack, json!({ "name": "laptop" })).await.status != 201 {
        assert!(thawed.elapsed() < Duration::from_secs(5));
    }
    stack.stop().await;
}

/// Posts to the setup route of the web listener, with further headers.
async fn set_up(stack: &TestStack, token: &str, headers: &[(&str, &str)]) -> Answer {
    let body = json!({ "token": token, "email": "Ada@Example.org", "password": PASSWORD });
    let headers = [&[("content-type", "application/json")], headers].concat();
    let request = wire::request("POST", SETUP, &headers, body.to_string().as_bytes());
    wire::ask(stack.web, &request).await
}

fn token_of(stack: &TestStack) -> String {
    stack.running.as_ref().unwrap().first_start.setup_token.clone().unwrap()
}

#[tokio::test]
async fn the_setup_link_makes_the_first_administrator_once() {
    let mut stack = TestStack::start().await;
    let token = token_of(&stack);
    let wrong = problem(&set_up(&stack, "wrong", &[]).await);
    assert_eq!((wrong.status, wrong.code.as_str()), (403, "invalid_token"));
    let done = set_up(&stack, &token, &[]).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let user = &done.json()["user"];
    assert_eq!(
        (user["email"].as_str(), user["role"].as_str()),
        (Some("ada@example.org"), Some("admin"))
    );
    assert_eq!(problem(&set_up(&stack, &token, &[]).await).code, "invalid_token");

    // The administrator may own keys, and the file has no password in it.
    let made = create(&stack, json!({ "name": "hers", "user": "ada@example.org" })).await;
    assert_eq!(made.json()["owner"], user["id"]);
    let file = stack.folder.path().join("accounts.db");
    let url = format!("sqlite://{}", file.display()).parse().unwrap();
    assert!(Store::open(&url, None).await.unwrap().has_admin().await.unwrap());
    let bytes = fs::read(file).unwrap();
    assert!(!bytes.windows(PASSWORD.len()).any(|bytes| bytes == PASSWORD.as_bytes()));
    stack.stop().await;
}

#[tokio::test]
async fn the_setup_link_of_each_replica_works_until_one_is_used() {
    let mut one = TestStack::start().await;
    let url = format!("sqlite://{}/accounts.db", one.folder.path().display());
    let mut other = Plan::default().database(&url).start().await;
    let (first, last) = (token_of(&one), token_of(&other));
    assert_eq!(set_up(&other, &first, &[]).await.status, 201, "the one that was shown first");
    assert_eq!(problem(&set_up(&one, &last, &[]).await).code, "invalid_token");
    other.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn setting_up_takes_json_from_our_own_page_and_a_good_password() {
    let mut stack = TestStack::start().await;
    let token = token_of(&stack);
    for headers in [
        [("origin", "http://evil.example"), ("sec-fetch-mode", "cors")],
        [("origin", "http://test"), ("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(problem(&set_up(&stack, &token, &headers).await).code, "cross_origin");
    }
    let form = [("content-type", "text/plain")];
    let answer = wire::ask(stack.web, &wire::request("POST", SETUP, &form, b"{}")).await;
    assert_eq!((problem(&answer).code.as_str(), answer.status), ("unsupported_media_type", 415));
    for (email, password, says) in
        [("ada@example.org", "short", "`password`"), ("ada", PASSWORD, "`email`")]
    {
        let body = json!({ "token": token, "email": email, "password": password }).to_string();
        let json = [("content-type", "application/json")];
        let request = wire::request("POST", SETUP, &json, body.as_bytes());
        let problem = problem(&wire::ask(stack.web, &request).await);
        assert!(problem.status == 400 && problem.detail.contains(says), "{}", problem.detail);
    }
    // The token is as good as before.
    let ours = [("origin", "http://test"), ("sec-fetch-site", "same-origin")];
    assert_eq!(problem(&set_up(&stack, &token, &ours).await).code, "https_required");
    assert_eq!(set_up(&stack, &token, &[]).await.status, 201);
    stack.stop().await;
}
