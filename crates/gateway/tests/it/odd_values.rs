//! Values that our own API takes for text, times and objects, and the databases wouldn't, or not as
//! what they are: refused by name, whatever the database.

use fluxgate_testkit::stack::ADMIN_TOKEN;
use fluxgate_testkit::throwaway::Postgres;
use fluxgate_testkit::wire::{self, Answer};
use fluxgate_testkit::{Plan, TestStack};
use serde_json::{Value, json};

const USERS: &str = "/api/v1/admin/users";
const TEAMS: &str = "/api/v1/admin/teams";
const KEYS: &str = "/api/v1/keys";
const AUDIT: &str = "/api/v1/admin/audit";

async fn on_both_databases() -> [TestStack; 2] {
    let database = Postgres::shared().create_database();
    [TestStack::start().await, Plan::default().database(&database).start().await]
}

async fn ask(stack: &TestStack, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    stack.operator(method, path, &body).await
}

/// Refused as a bad request, with a sentence that has this in it.
fn refused_for(answer: &Answer, says: &str, asked: &str) {
    assert_eq!(answer.status, 400, "{asked}: {}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["code"], "invalid_request", "{asked}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(says), "{asked}: {detail}");
}

#[tokio::test]
async fn a_nul_is_in_no_text() {
    for mut stack in on_both_databases().await {
        let user = ask(&stack, "POST", USERS, &json!({ "email": "ada@example.org" })).await.json();
        let user = format!("{USERS}/{}", user["id"].as_str().unwrap());
        let team = ask(&stack, "POST", TEAMS, &json!({ "name": "red" })).await.json();
        let team = format!("{TEAMS}/{}", team["id"].as_str().unwrap());
        let (key, text) = (format!("{KEYS}/{}", &stack.key[6..18]), "a\0b");
        for (method, path, body, says) in [
            ("POST", KEYS, json!({ "name": text }), "`name`"),
            ("POST", KEYS, json!({ "name": "x", "user": text }), "`user`"),
            ("POST", KEYS, json!({ "name": "x", "user": "a\0@b.example" }), "`user`"),
            ("POST", KEYS, json!({ "name": "x", "models": [text] }), "`models`"),
            ("POST", KEYS, json!({ "name": "x", "ips": [text] }), "`ips[0]`"),
            ("POST", KEYS, json!({ "name": "x", "end_user_header": text }), "`end_user_header`"),
            ("PATCH", &key, json!({ "name": text }), "`name`"),
            ("PATCH", &key, json!({ "models": [text] }), "`models`"),
            ("POST", USERS, json!({ "email": "a\0@b.example" }), "`email`"),
            ("POST", USERS, json!({ "email": "a@b.example", "team": text }), "`team`"),
            ("PATCH", &user, json!({ "team": text }), "`team`"),
            ("POST", TEAMS, json!({ "name": text }), "`name`"),
            ("PATCH", &team, json!({ "name": text }), "`name`"),
            ("GET", &format!("{AUDIT}?actor=a%00b"), json!(null), "`actor`"),
            ("GET", &format!("{AUDIT}?act=a%00b"), json!(null), "`act`"),
            ("GET", &format!("{AUDIT}?outcome=a%00b"), json!(null), "`outcome`"),
            ("GET", &format!("{AUDIT}?cursor=1-%00"), json!(null), "`cursor`"),
        ] {
            let answer = ask(&stack, method, path, &body).await;
            refused_for(&answer, says, &format!("{method} {path} {body}"));
        }
        stack.stop().await;
    }
}

#[tokio::test]
async fn an_invitations_text_has_no_nul_either() {
    let database = Postgres::shared().create_database();
    let plan = Plan::default().database(&database).set("auth.registration", "invite");
    let mut stack = plan.start().await;
    for (body, says) in [
        (json!({ "email": "a\0@b.example" }), "`email`"),
        (json!({ "team": "a\0b" }), "`team`"),
        (json!({ "expires_at": "+200000-01-01T00:00:00Z" }), "`expires_at`"),
        (json!({ "expires_at": "-4800-01-01T00:00:00Z" }), "`expires_at`"),
    ] {
        let answer = ask(&stack, "POST", "/api/v1/admin/invites", &body).await;
        refused_for(&answer, says, &body.to_string());
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_time_is_one_that_the_calendar_has() {
    for mut stack in on_both_databases().await {
        for time in [
            "+10000-01-01T00:00:00Z",
            "+262142-12-31T23:59:59Z",
            "-262143-01-01T00:00:00Z",
            "-4800-01-01T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
        ] {
            let body = json!({ "name": "x", "expires_at": time });
            refused_for(&ask(&stack, "POST", KEYS, &body).await, "`expires_at`", time);
            let key = format!("{KEYS}/{}", &stack.key[6..18]);
            let body = json!({ "expires_at": time });
            refused_for(&ask(&stack, "PATCH", &key, &body).await, "`expires_at`", time);
            let written = time.replace('+', "%2B");
            for path in [AUDIT, "/api/v1/usage"] {
                for bound in ["since", "until"] {
                    let asked = format!("{path}?{bound}={written}");
                    let answer = ask(&stack, "GET", &asked, &Value::Null).await;
                    refused_for(&answer, &format!("`{bound}`"), &asked);
                }
            }
        }
        for time in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2020-12-31T23:59:60Z"]
        {
            let asked = format!("{AUDIT}?since={time}");
            assert_eq!(ask(&stack, "GET", &asked, &Value::Null).await.status, 200, "{asked}");
        }
        let body = json!({ "name": "x", "expires_at": "9999-12-31T23:59:59Z" });
        let made = ask(&stack, "POST", KEYS, &body).await;
        assert_eq!((made.status, &made.json()["expires_at"]), (201, &body["expires_at"]));
        stack.stop().await;
    }
}

#[tokio::test]
async fn an_array_is_no_object_however_deep_it_stands() {
    let mut stack = TestStack::start().await;
    for (limits, says) in [
        (json!([]), "`limits`"),
        (json!([1, 2, 3, []]), "`limits`"),
        (json!({ "budgets": [["day", 5, null]] }), "`limits.budgets[0]`"),
    ] {
        for (path, body) in [
            (KEYS, json!({ "name": "x", "limits": limits })),
            (TEAMS, json!({ "name": "x", "limits": limits })),
        ] {
            let answer = ask(&stack, "POST", path, &body).await;
            refused_for(&answer, says, &body.to_string());
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_path_that_isnt_text_names_nothing() {
    let mut stack = TestStack::start().await;
    for (method, path) in [
        ("DELETE", KEYS),
        ("PATCH", USERS),
        ("DELETE", TEAMS),
        ("DELETE", "/api/v1/admin/invites"),
        ("DELETE", "/api/v1/auth/sessions"),
    ] {
        for id in ["%ff", "%c3%28", "%00", "a%00", "%2f"] {
            let answer = stack.operator(method, &format!("{path}/{id}"), "{}").await;
            let kind = answer.header("content-type");
            assert_eq!(
                (answer.status, kind),
                (404, Some("application/problem+json")),
                "{path}/{id}"
            );
            assert_eq!(answer.json()["code"], "not_found", "{path}/{id}");
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_is_visible_text() {
    let mut stack = TestStack::start().await;
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let long = "k".repeat(256);
    for key in ["", "a\tb", "caf\u{e9}", &long] {
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let request = wire::request("POST", TEAMS, &headers, br#"{"name":"red"}"#);
        refused_for(&wire::ask(stack.admin, &request).await, "`Idempotency-Key`", key);
    }
    stack.stop().await;
}
