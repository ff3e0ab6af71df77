//! Sessions end: by signing out, by their list, with the account, with the password, and with time;
//! everywhere within a second.

use std::time::{Duration, Instant};

use fluxgate_testkit::throwaway::Postgres;
use fluxgate_testkit::{Plan, TestStack};
use serde_json::json;

use super::people::{
    self, Browser, LOGOUT, ME, PASSWORD, REFRESH, SESSIONS, SET_PASSWORD, code, cookies, post, send,
};

/// That a token is refused on a replica within a second, on both kinds of routes.
async fn is_refused_within_a_second(stack: &TestStack, token: &str) {
    let began = Instant::now();
    for path in ["/v1/models", ME] {
        while people::with(stack.clear, token, "GET", path, "").await.status != 401 {
            assert!(began.elapsed() < Duration::from_secs(1), "{path} still opens");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn what_ends_a_session_ends_it_on_the_other_replica_within_a_second() {
    let url = Postgres::shared().create_database();
    let mut one = Plan::default().database(&url).start().await;
    let mut other = Plan::default().database(&url).start().await;
    let user = people::make(&one, "ada@example.org", "member").await;
    for way in ["logout", "list", "password", "disable"] {
        let tokens = people::sign_in(&one, "ada@example.org").await;
        let token = &tokens.access_token;
        // Both replicas know it.
        for stack in [&one, &other] {
            assert_eq!(people::with(stack.clear, token, "GET", "/v1/models", "").await.status, 200);
        }
        match way {
            "logout" => {
                let answer = people::with(one.clear, token, "POST", LOGOUT, "").await;
                assert_eq!(answer.status, 204, "{}", answer.text());
            }
            "list" => {
                let of = people::sign_in(&one, "ada@example.org").await.access_token;
                let list = people::with(one.clear, &of, "GET", SESSIONS, "").await.json();
                let session = list["items"].as_array().unwrap();
                let session = session.iter().find(|session| session["current"] == false).unwrap();
                let path = format!("{SESSIONS}/{}", session["id"].as_str().unwrap());
                assert_eq!(people::with(one.clear, &of, "DELETE", &path, "").await.status, 204);
            }
            "password" => {
                let of = people::sign_in(&one, "ada@example.org").await.access_token;
                let body = json!({ "current": PASSWORD, "new": "another horse battery" });
                let answer =
                    people::with(one.clear, &of, "POST", SET_PASSWORD, &body.to_string()).await;
                assert_eq!(answer.status, 204, "{}", answer.text());
                // The session that did it goes on.
                assert_eq!(people::with(one.clear, &of, "GET", ME, "").await.status, 200);
                let body = json!({ "current": "another horse battery", "new": PASSWORD });
                let answer =
                    people::with(one.clear, &of, "POST", SET_PASSWORD, &body.to_string()).await;
                assert_eq!(answer.status, 204, "{}", answer.text());
            }
            _ => {
                let path = format!("/api/v1/admin/users/{user}");
                let answer = one.operator("PATCH", &path, r#"{"state":"disabled"}"#).await;
                assert_eq!(answer.status, 200);
            }
        }
        is_refused_within_a_second(&one, token).await;
        is_refused_within_a_second(&other, token).await;
        let body = json!({ "refresh_token": tokens.refresh_token });
        let answer = post(other.clear, REFRESH, &[], &body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (401, "session_ended"), "{way}");
    }
    // Who is enabled again has to sign in anew.
    let path = format!("/api/v1/admin/users/{user}");
    assert_eq!(one.operator("PATCH", &path, r#"{"state":"active"}"#).await.status, 200);
    people::sign_in(&other, "ada@example.org").await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_browser_gives_its_cookies_back_when_it_signs_out() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let browser = Browser::sign_in(&stack, "ada@example.org").await;
    let other = Browser::sign_in(&stack, "ada@example.org").await;
    let answer = browser.ask("POST", LOGOUT, "").await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let cleared = cookies(&answer);
    assert_eq!(cleared.len(), 2);
    assert!(cleared.iter().all(|cookie| cookie.contains("Max-Age=0")), "{cleared:?}");
    assert_eq!(browser.ask("GET", ME, "").await.status, 401);
    // A program that signs out takes nobody's cookies.
    let tokens = people::sign_in(&stack, "ada@example.org").await;
    let answer = people::with(stack.clear, &tokens.access_token, "POST", LOGOUT, "").await;
    assert_eq!((answer.status, cookies(&answer).len()), (204, 0));
    // Once more is as good, and without the access token's cookie too.
    assert_eq!(browser.ask("POST", LOGOUT, "").await.status, 204);
    let origin = format!("http://{}", stack.web);
    let headers = [("cookie", other.refresh.as_str()), ("origin", &origin)];
    assert_eq!(send(stack.web, "POST", LOGOUT, &headers, b"").await.status, 204);
    assert_eq!(other.ask("GET", ME, "").await.status, 401);
    assert_eq!(send(stack.web, "POST", LOGOUT, &[], b"").await.status, 401);
    stack.stop().await;
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends_and_so_does_an_old_one() {
    let plan =
        Plan::default().set("auth.sessions.idle_s", "600").set("auth.sessions.max_s", "1200");
    let mut stack = plan.start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let url = format!("sqlite://{}/accounts.db", stack.folder.path().display());
    for past in [
        "UPDATE sessions SET last_used_at = last_used_at - 601000000",
        "UPDATE sessions SET expires_at = expires_at - 1201000000",
    ] {
        let tokens = people::sign_in(&stack, "ada@example.org").await;
        crate::store::sqlite::execute(&url, past).await;
        let body = json!({ "refresh_token": tokens.refresh_token });
        let answer = post(stack.clear, REFRESH, &[], &body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (401, "session_ended"), "{past}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn one_lists_and_ends_ones_own_sessions_alone() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    people::make(&stack, "bob@example.org", "admin").await;
    let ada = people::sign_in(&stack, "ada@example.org").await.access_token;
    let bob = people::sign_in(&stack, "bob@example.org").await.access_token;
    let list = people::with(stack.clear, &ada, "GET", SESSIONS, "").await.json();
    let items = list["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["grant"]), (1, &json!("bearer")));
    assert_eq!(items[0]["address"], "127.0.0.1");
    let path = format!("{SESSIONS}/{}", items[0]["id"].as_str().unwrap());
    assert_eq!(people::with(stack.clear, &bob, "DELETE", &path, "").await.status, 404);
    assert_eq!(people::with(stack.clear, &ada, "GET", ME, "").await.status, 200);
    for path in
        [format!("{SESSIONS}/x"), format!("{SESSIONS}/00000000-0000-7000-8000-000000000000")]
    {
        assert_eq!(people::with(stack.clear, &ada, "DELETE", &path, "").await.status, 404);
    }
    stack.stop().await;
}
