//! What the audit log has: every act and every sign-in, by whom, upon what, and how it ended.

use std::time::Duration;

use fluxgate_testkit::{Plan, TestStack, wire};
use serde_json::{Value, json};

use super::people::{
    self, Browser, LOGIN, LOGOUT, PASSWORD, SESSIONS, SET_PASSWORD, code, post, send, with,
};

const KEYS: &str = "/api/v1/keys";
const AUDIT: &str = "/api/v1/admin/audit";

/// Actor, object, outcome and count of the newest entry that the query asks for.
async fn of(stack: &TestStack, query: &str) -> (String, String, String, u64) {
    let entry = people::audited(stack, query).await;
    let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
    (text("actor"), text("object"), text("outcome"), entry["count"].as_u64().unwrap())
}

fn entry(actor: &str, object: &str, outcome: &str, count: u64) -> (String, String, String, u64) {
    (actor.to_owned(), object.to_owned(), outcome.to_owned(), count)
}

#[tokio::test]
async fn every_act_names_who_did_it_and_upon_what() {
    let mut stack = TestStack::start().await;
    let ada = people::make(&stack, "ada@example.org", "admin").await;
    let user = format!("user:{ada}");
    let made = of(&stack, "act=POST%20/api/v1/admin/users").await;
    assert_eq!(made, entry("operator", &user, "ok", 1));
    let token = people::sign_in(&stack, "ada@example.org").await.access_token;
    assert_eq!(of(&stack, "act=POST%20/api/v1/auth/login").await, entry(&user, "-", "ok", 1));

    let made = with(stack.clear, &token, "POST", KEYS, r#"{"name":"mine"}"#).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let key = format!("key:{id}");
    assert_eq!(of(&stack, "act=POST%20/api/v1/keys&outcome=ok").await.1, key);
    let newest = people::audited(&stack, &format!("actor={user}&act=POST%20/api/v1/keys")).await;
    assert_eq!(newest["request_id"], made.header("x-request-id").unwrap());
    assert_eq!(newest["address"], "127.0.0.1");
    with(stack.clear, &token, "DELETE", &format!("{KEYS}/{id}"), "").await;
    let ended = of(&stack, "act=DELETE%20/api/v1/keys/{id}").await;
    assert_eq!(ended, entry(&user, &key, "ok", 1));
    with(stack.clear, &token, "DELETE", &format!("{KEYS}/000000000000"), "").await;
    let refused = of(&stack, "act=DELETE%20/api/v1/keys/{id}&outcome=not_found").await;
    assert_eq!(refused, entry(&user, "-", "not_found", 1));

    let body = json!({ "current": PASSWORD, "new": "another horse battery" }).to_string();
    assert_eq!(with(stack.clear, &token, "POST", SET_PASSWORD, &body).await.status, 204);
    let set = of(&stack, "act=POST%20/api/v1/auth/password").await;
    assert_eq!(set, entry(&user, &user, "ok", 1));
    let sessions = with(stack.clear, &token, "GET", SESSIONS, "").await.json();
    let session = format!("session:{}", sessions["items"][0]["id"].as_str().unwrap());
    assert_eq!(with(stack.clear, &token, "POST", LOGOUT, "").await.status, 204);
    assert_eq!(of(&stack, "act=POST%20/api/v1/auth/logout").await.1, session);
    assert_eq!(stack.operator("POST", "/admin/v1/reload", "").await.status, 200);
    let reload = of(&stack, "act=POST%20/admin/v1/reload").await;
    assert_eq!(reload, entry("operator", "-", "ok", 1));
    let list = stack.operator("GET", AUDIT, "").await.text();
    assert!(!list.contains(PASSWORD) && !list.contains(&token));
    stack.stop().await;
}

#[tokio::test]
async fn what_strangers_try_is_gathered_and_says_against_whom() {
    let mut stack = TestStack::start().await;
    let ada = people::make(&stack, "ada@example.org", "admin").await;
    // Within one gathering or two.
    for email in ["ada@example.org", "nobody@example.org"] {
        for _ in 0..3 {
            let asked = json!({ "email": email, "password": "wrong", "grant": "bearer" });
            post(stack.clear, LOGIN, &[], &asked).await;
        }
    }
    with(stack.admin, "a wrong token", "GET", KEYS, "").await;
    people::audited(&stack, "outcome=invalid_admin_token").await;
    tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            let list =
                stack.operator("GET", &format!("{AUDIT}?outcome=invalid_credentials"), "").await;
            let list = list.json();
            let count = |object: Value| -> u64 {
                let of = list["items"].as_array().unwrap().iter();
                let of = of.filter(|entry| entry["object"] == object);
                of.map(|entry| entry["count"].as_u64().unwrap()).sum()
            };
            if count(json!(format!("user:{ada}"))) == 3 && count(Value::Null) == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    stack.stop().await;
}

#[tokio::test]
async fn strangers_fill_neither_the_memory_nor_the_log() {
    let mut stack = TestStack::start().await;
    for number in 0..300 {
        for (method, path) in [
            (format!("METHOD{number}"), KEYS.to_owned()),
            ("POST".to_owned(), format!("/api/v1/nothing/{number}")),
            ("DELETE".to_owned(), "/healthz".to_owned()),
            ("DELETE".to_owned(), format!("{KEYS}/{number:012}")),
        ] {
            send(stack.clear, &method, &path, &[], b"").await;
        }
    }
    let tried = of(&stack, "outcome=missing_api_key").await;
    assert_eq!((tried.0.as_str(), tried.1.as_str()), ("anonymous", "-"));
    let list = stack.operator("GET", &format!("{AUDIT}?limit=500"), "").await.json();
    let entries = list["items"].as_array().unwrap();
    assert!(entries.len() < 20, "{}", entries.len());
    assert!(entries.iter().all(|entry| entry["act"] == "DELETE /api/v1/keys/{id}" || entry["actor"] == "operator"));
    stack.stop().await;
}

#[tokio::test]
async fn a_guesser_is_slowed_down_and_told_how_long() {
    let plan = Plan::default().set("listen.trusted_proxies", "127.0.0.0/8");
    let mut stack = plan.start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let log_in = async |address: &str, password: &str| {
        let asked = json!({ "email": "ada@example.org", "password": password, "grant": "bearer" });
        post(stack.clear, LOGIN, &[("x-forwarded-for", address)], &asked).await
    };
    for _ in 0..5 {
        assert_eq!(log_in("192.0.2.1", "wrong").await.status, 401);
    }
    let answer = log_in("192.0.2.1", PASSWORD).await;
    assert_eq!((answer.status, code(&answer).as_str()), (429, "login_throttled"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // Nobody else is.
    assert_eq!(log_in("192.0.2.2", PASSWORD).await.status, 200);
    stack.stop().await;
}

#[tokio::test]
async fn no_cache_may_keep_an_answer_of_our_own_api() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "admin").await;
    let browser = Browser::sign_in(&stack, "ada@example.org").await;
    for path in [people::ME, SESSIONS, KEYS, AUDIT, "/api/v1/admin/users", "/api/v1/usage"] {
        let answer = browser.ask("GET", path, "").await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, Some("no-store")),
            "{path}"
        );
    }
    for path in [people::ME, LOGIN] {
        let answer = send(stack.web, "GET", path, &[], b"").await;
        assert!(answer.status >= 400);
    }
    // The forms are where people are sent to.
    for at in [stack.web, stack.clear] {
        for page in ["/register", "/reset", "/setup", "/form.js"] {
            let answer = wire::ask(at, &wire::request("GET", page, &[], b"")).await;
            assert_eq!(answer.status, 200, "{page}");
        }
    }
    stack.stop().await;
}
