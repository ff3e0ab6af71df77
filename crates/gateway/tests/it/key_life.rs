//! What a key may be used for, and what becomes of it: seen by whoever uses it.

use std::time::{Duration, Instant};

use fluxgate_core::admin_api::{CreatedKey, Key, Page, User};
use fluxgate_gateway::store::Store;
use fluxgate_testkit::throwaway::Postgres;
use fluxgate_testkit::wire::{self, Answer};
use fluxgate_testkit::{Plan, TestStack};
use serde_json::{Value, json};

use crate::scripted_upstream::{JSON, MODEL, ScriptedUpstream, Speaks, Step, document};

const KEYS: &str = "/api/v1/keys";
const USERS: &str = "/api/v1/admin/users";

async fn make(stack: &TestStack, mut settings: Value) -> CreatedKey {
    settings["name"] = json!("test");
    let answer = stack.operator("POST", KEYS, &settings.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

async fn post(stack: &TestStack, key: &str, path: &str, body: &Value) -> Answer {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str())];
    let request = wire::request("POST", path, &headers, body.to_string().as_bytes());
    wire::ask(stack.clear, &request).await
}

async fn get(stack: &TestStack, key: &str, path: &str) -> Answer {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str())];
    wire::ask(stack.clear, &wire::request("GET", path, &headers, b"")).await
}

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}]})
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)));
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_say_from_where_it_may() {
    let stack = TestStack::start().await;
    for (settings, status, code) in [
        (json!({"scopes": ["dns", "usage:read"]}), 403, "scope_missing"),
        (json!({"ips": ["192.0.2.0/24", "2001:db8::/32"]}), 403, "address_not_allowed"),
        (json!({"scopes": ["models"], "ips": ["127.0.0.0/8"]}), 200, ""),
        (json!({"scopes": []}), 200, ""),
    ] {
        let key = make(&stack, settings.clone()).await.key;
        let answer = post(&stack, &key, "/v1/chat/completions", &chat("demo")).await;
        if status == 200 {
            assert_eq!(answer.status, 200, "{settings}");
        } else {
            refused(&answer, status, code);
            assert_eq!(get(&stack, &key, "/v1/models").await.status, status);
        }
        // Who has a wrong secret learns nothing of it.
        let wrong = crate::forged_key::forged_key(7);
        refused(
            &post(&stack, &wrong, "/v1/chat/completions", &chat("demo")).await,
            401,
            "invalid_api_key",
        );
    }
}

#[tokio::test]
async fn a_key_uses_and_sees_the_models_that_it_may() {
    let stack = Plan::default().models(&["other", "third"]).start().await;
    let key = make(&stack, json!({"models": ["demo", "oth*"]})).await.key;
    for (path, body) in [
        ("/v1/chat/completions", chat("third")),
        ("/v1/embeddings", json!({"model": "demo-embed", "input": "x"})),
        ("/v1/responses", json!({"model": "third", "input": "x"})),
        ("/api/chat", chat("third")),
        ("/api/show", json!({"model": "third"})),
        ("/v1/messages", json!({"model": "third", "max_tokens": 5, "messages": []})),
    ] {
        let answer = post(&stack, &key, path, &body).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        assert!(answer.text().contains("may not use this model"));
    }
    assert_eq!(post(&stack, &key, "/v1/chat/completions", &chat("demo")).await.status, 200);
    assert_eq!(post(&stack, &key, "/api/chat", &chat("other:latest")).await.status, 200);

    let listed = |answer: &Answer, list: &str, name: &str| -> Vec<String> {
        let items = answer.json()[list].as_array().unwrap().clone();
        let mut names: Vec<String> =
            items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let models = get(&stack, &key, "/v1/models").await;
    assert_eq!(listed(&models, "data", "id"), ["demo:latest", "other:latest"]);
    let tags = get(&stack, &key, "/api/tags").await;
    assert_eq!(listed(&tags, "models", "name"), ["demo:latest", "other:latest"]);
    assert_eq!(get(&stack, &key, "/v1/models/third").await.status, 404);
    // Nor does the refusal of an unknown one name what the key may not use.
    let unknown = post(&stack, &key, "/v1/chat/completions", &chat("nobody")).await;
    refused(&unknown, 404, "model_not_found");
    let text = unknown.text();
    assert!(text.contains("demo:latest, other:latest") && !text.contains("third"), "{text}");
}

#[tokio::test]
async fn a_rotated_key_keeps_its_id_and_its_old_secret_for_the_overlap() {
    let stack = TestStack::start().await;
    let old = make(&stack, json!({})).await;
    let rotate = async |body: &str| -> CreatedKey {
        let path = format!("{KEYS}/{}/rotate", old.about.id);
        let answer = stack.operator("POST", &path, body).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
        serde_json::from_slice(&answer.body).unwrap()
    };
    let works = async |key: &str| get(&stack, key, "/v1/models").await.status == 200;
    assert!(works(&old.key).await);
    let new = rotate(r#"{"overlap_s":1}"#).await;
    assert_eq!((new.about.id, new.about.subject), (old.about.id, old.about.subject.clone()));
    assert!(works(&new.key).await && works(&old.key).await);
    let until = Instant::now() + Duration::from_secs(3);
    while works(&old.key).await {
        assert!(Instant::now() < until, "the overlap has no end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(works(&new.key).await);
    // While an overlap lasts there isn't another: it would end the first too soon.
    let path = format!("{KEYS}/{}/rotate", old.about.id);
    let third = rotate(r#"{"overlap_s":600}"#).await;
    let refused = stack.operator("POST", &path, r#"{"overlap_s":600}"#).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("conflict")));
    assert!(works(&third.key).await && works(&new.key).await);
    let newest = rotate("").await;
    assert!(works(&newest.key).await && !works(&new.key).await && !works(&third.key).await);
    let long = stack.operator("POST", &path, r#"{"overlap_s":2592001}"#).await;
    assert_eq!(long.status, 400);
    stack.operator("DELETE", &format!("{KEYS}/{}", old.about.id), "").await;
    assert_eq!(stack.operator("POST", &path, "").await.status, 409);
    assert_eq!(
        stack.operator("POST", &format!("{KEYS}/abcDEF012345/rotate"), "").await.status,
        404
    );
}

#[tokio::test]
async fn a_changed_key_takes_effect_at_once() {
    let stack = TestStack::start().await;
    let made = make(&stack, json!({})).await;
    let path = format!("{KEYS}/{}", made.about.id);
    let change = async |body: Value| stack.operator("PATCH", &path, &body.to_string()).await;
    let uses = async || post(&stack, &made.key, "/v1/chat/completions", &chat("demo")).await.status;
    assert_eq!(uses().await, 200);
    let changed = change(json!({"models": ["other"], "name": "renamed"})).await;
    assert_eq!((changed.status, &changed.json()["name"]), (200, &json!("renamed")));
    assert_eq!(uses().await, 403);
    assert_eq!(change(json!({"models": []})).await.status, 200);
    assert_eq!(uses().await, 200);
    for (body, says) in [
        (json!({"name": ""}), "`name`"),
        (json!({"scopes": []}), "`scopes`"),
        (json!({"scopes": ["all"]}), "`scopes[0]`"),
        (json!({"scopes": ["models", "models"]}), "`scopes`"),
        (json!({"models": [""]}), "`models`"),
        (json!({"models": vec!["x"; 65]}), "`models`"),
        (json!({"ips": ["10.0.0.0/99"]}), "`ips[0]`"),
        (json!({"limits": {"requests_per_min": 0}}), "`limits.requests_per_min`"),
        (json!({"limits": {"burst": 1}}), "`limits`: unknown member"),
        (json!({"end_user_header": "authorization"}), "`end_user_header`"),
        (json!({"end_user_header": "a b"}), "`end_user_header`"),
        (json!({"expires_at": "2001-01-01T00:00:00Z"}), "`expires_at`"),
    ] {
        let answer = change(body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{}", answer.text());
    }
    let unknown = stack.operator("PATCH", &format!("{KEYS}/abcDEF012345"), "{}").await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_key_in_the_path_opens_every_route_where_it_may_stand_there() {
    let stack = TestStack::start().await;
    let key = make(&stack, json!({"in_path": true})).await.key;
    let ask = async |method: &str, path: &str, body: &str| {
        wire::ask(stack.clear, &wire::request(method, path, &[], body.as_bytes())).await
    };
    let body = chat("demo").to_string();
    assert_eq!(ask("POST", &format!("/k/{key}/api/chat"), &body).await.status, 200);
    assert_eq!(ask("POST", &format!("/k/{key}/v1/chat/completions?x=1"), &body).await.status, 200);
    assert_eq!(ask("GET", &format!("/k/{key}/v1/models/demo"), "").await.status, 200);
    let mut client = wire::Connection::open(stack.clear).await;
    client.send(&wire::request("HEAD", &format!("/k/{key}/"), &[], b"")).await;
    assert_eq!(client.head().await.status, 200);
    let nowhere = ask("GET", &format!("/k/{key}/v1/nothing"), "").await;
    refused(&nowhere, 404, "unknown_route");
    assert!(!nowhere.text().contains(&key));
    let wrong = crate::forged_key::forged_key(7);
    let answer = ask("POST", &format!("/k/{wrong}/api/chat"), &body).await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("invalid_api_key")));

    let headers_only = make(&stack, json!({})).await.key;
    let answer = ask("POST", &format!("/k/{headers_only}/api/chat"), &body).await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("invalid_api_key")));
    // Our own API takes no model key.
    assert_eq!(ask("GET", &format!("/k/{key}/api/v1/keys"), "").await.status, 404);
}

#[tokio::test]
async fn the_header_that_names_a_person_goes_no_further() {
    let answer = document(JSON, br#"{"choices":[]}"#);
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, vec![Step::Send(answer)]).await;
    let stack = Plan::default()
        .upstreams(&[])
        .set("upstreams.0.name", "scripted")
        .set("upstreams.0.url", &upstream.url())
        .start()
        .await;
    let key = make(&stack, json!({"end_user_header": "X-OpenWebUI-User-Id"})).await.key;
    let authorization = format!("Bearer {key}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("x-openwebui-user-id", "ada"),
        ("x-openwebui-chat-id", "7"),
    ];
    let body = chat(MODEL).to_string();
    let request = wire::request("POST", "/v1/chat/completions", &headers, body.as_bytes());
    assert_eq!(wire::ask(stack.clear, &request).await.status, 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.header("x-openwebui-user-id"), None);
    assert_eq!(seen.header("x-openwebui-chat-id"), Some("7"));
    // Who can't be told apart would count for somebody else.
    for person in ["", &"x".repeat(129), "a\u{202e}b"] {
        let headers = [("authorization", authorization.as_str()), ("x-openwebui-user-id", person)];
        let request = wire::request("POST", "/v1/chat/completions", &headers, body.as_bytes());
        let answer = wire::ask(stack.clear, &request).await;
        refused(&answer, 400, "invalid_field");
        assert_eq!(answer.json()["error"]["param"], "x-openwebui-user-id");
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn names_of_one_model_are_one_name_to_a_key() {
    let stack = TestStack::start().await;
    for (allowed, status) in [
        ("demo", 200),
        ("demo:latest", 200),
        ("registry.ollama.ai/library/demo:latest", 200),
        ("library/*", 403),
        ("Demo", 403),
        ("demo:other", 403),
    ] {
        let key = make(&stack, json!({"models": [allowed]})).await.key;
        for model in ["demo", "demo:latest", "registry.ollama.ai/library/demo", "library/demo"] {
            let answer = post(&stack, &key, "/api/chat", &chat(model)).await;
            assert_eq!(answer.status, status, "{allowed} {model}");
        }
        let listed = get(&stack, &key, "/v1/models/library/demo").await.status;
        assert_eq!(listed, if status == 200 { 200 } else { 404 }, "{allowed}");
    }
}

#[tokio::test]
async fn anthropics_listing_is_refused_in_its_own_form() {
    let stack = TestStack::start().await;
    for (path, key, status, kind) in [
        ("/v1/models", "sk-fg-wrong", 401, "authentication_error"),
        ("/v1/models/nobody", stack.key.as_str(), 404, "not_found_error"),
    ] {
        let headers = [("x-api-key", key), ("anthropic-version", "2023-06-01")];
        let answer = wire::ask(stack.clear, &wire::request("GET", path, &headers, b"")).await;
        assert_eq!((answer.status, &answer.json()["error"]["type"]), (status, &json!(kind)));
        assert_eq!(answer.json()["type"], "error");
        let retry = answer.header("x-should-retry");
        assert_eq!(retry, (status == 401).then_some("false"));
    }
}

#[tokio::test]
async fn a_key_in_the_path_means_nothing_on_private_listeners() {
    let stack = TestStack::start().await;
    let key = make(&stack, json!({"in_path": true})).await.key;
    for listener in [stack.metrics, stack.admin] {
        let request = wire::request("GET", &format!("/k/{key}/healthz"), &[], b"");
        assert_eq!(wire::ask(listener, &request).await.status, 404);
    }
    let request = wire::request("GET", &format!("/k/{key}/healthz"), &[], b"");
    assert_eq!(wire::ask(stack.clear, &request).await.status, 404);
}

#[tokio::test]
async fn the_last_use_of_a_key_is_kept() {
    let mut stack = TestStack::start().await;
    let made = make(&stack, json!({})).await;
    assert_eq!(made.about.last_used_at, None);
    assert_eq!(get(&stack, &made.key, "/v1/models").await.status, 200);
    // Written at the end at the latest.
    stack.stop().await;
    let url = format!("sqlite://{}/accounts.db", stack.folder.path().display());
    let store = Store::open(&url.parse().unwrap(), None).await.unwrap();
    let record = store.find_key(&made.about.id).await.unwrap().unwrap();
    assert!(record.last_used_at.unwrap() >= made.about.created_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_owners_keys_are_refused_on_every_replica_within_a_second() {
    let url = Postgres::shared().create_database();
    let one = Plan::default().database(&url).start().await;
    let other = Plan::default().database(&url).start().await;
    let body = json!({"email": "Bob@Example.org", "password": "correct horse battery"});
    let answer = one.operator("POST", USERS, &body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(!answer.text().contains("battery") && !answer.text().contains("argon2"));
    let user: User = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(user.email.as_deref(), Some("bob@example.org"));
    assert_eq!(one.operator("POST", USERS, &body.to_string()).await.status, 409);
    let key = make(&one, json!({"user": "bob@example.org"})).await.key;
    for stack in [&one, &other] {
        assert_eq!(get(stack, &key, "/v1/models").await.status, 200);
    }
    let path = format!("{USERS}/{}", user.id);
    let answer = one.operator("PATCH", &path, r#"{"state":"disabled"}"#).await;
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("disabled")));
    refused(&get(&one, &key, "/v1/models").await, 401, "account_disabled");
    let until = Instant::now() + Duration::from_secs(1);
    while get(&other, &key, "/v1/models").await.status == 200 {
        assert!(Instant::now() < until, "the other replica serves it still");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    refused(&get(&other, &key, "/v1/models").await, 401, "account_disabled");
    // No key is made for a disabled user, and enabling brings the old one back.
    let answer = one.operator("POST", KEYS, r#"{"name":"x","user":"bob@example.org"}"#).await;
    assert_eq!(answer.status, 400);
    assert_eq!(one.operator("PATCH", &path, r#"{"state":"active"}"#).await.status, 200);
    assert_eq!(get(&one, &key, "/v1/models").await.status, 200);
    let listed = one.operator("GET", USERS, "").await;
    let listed: Page<User> = serde_json::from_slice(&listed.body).unwrap();
    assert_eq!(listed.items.len(), 1);
    for (path, body, status) in [
        (USERS.to_owned(), r#"{"email":"nobody"}"#, 400),
        (USERS.to_owned(), r#"{"email":"a@b.example","password":"short"}"#, 400),
        (USERS.to_owned(), r#"{"email":"a@b.example","role":"king"}"#, 400),
    ] {
        assert_eq!(one.operator("POST", &path, body).await.status, status, "{body}");
    }
    let operator = format!("{USERS}/{}", fluxgate_core::ids::OPERATOR);
    assert_eq!(one.operator("PATCH", &operator, r#"{"state":"disabled"}"#).await.status, 409);
    let keys: Page<Key> =
        serde_json::from_slice(&one.operator("GET", KEYS, "").await.body).unwrap();
    assert!(keys.items.iter().any(|key| key.owner == user.id));
}
