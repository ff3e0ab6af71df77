//! Signing in: as a page, as a program, and what strangers learn from it.

use fluxgate_testkit::{Plan, TestStack, wire};
use serde_json::json;

use super::people::{self, Browser, LOGIN, ME, PASSWORD, code, cookies, post, send};

#[tokio::test]
async fn a_page_gets_two_cookies_that_no_script_can_read() {
    let mut stack = TestStack::start().await;
    let id = people::make(&stack, "ada@example.org", "member").await;
    let origin = format!("http://{}", stack.web);
    let asked = json!({ "email": " Ada@Example.ORG", "password": PASSWORD });
    let answer = post(stack.web, LOGIN, &[("origin", &origin)], &asked).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let body = answer.json();
    assert_eq!(body["user"]["id"], id);
    assert_eq!(
        (&body["user"]["email"], &body["user"]["role"]),
        (&json!("ada@example.org"), &json!("member"))
    );
    assert!(body["expires_at"].is_string() && body["access_token"].is_null());
    let cookies = cookies(&answer);
    assert_eq!(cookies.len(), 2);
    for (cookie, name, path) in [
        (cookies[0], "__Host-fluxgate_session=", "Path=/;"),
        (cookies[1], "__Secure-fluxgate_refresh=", "Path=/api/v1/auth;"),
    ] {
        assert!(cookie.starts_with(name), "{cookie}");
        for flag in [path, "Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(cookie.contains(flag), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    let browser = Browser::of(stack.web, &answer);
    let me = browser.ask("GET", ME, "").await;
    assert_eq!((me.status, &me.json()["user"]["id"]), (200, &json!(id)));
    assert_eq!(me.json()["session"]["current"], true);
    // The page chats through its cookie.
    let chat = json!({ "model": "demo", "messages": [{ "role": "user", "content": "hi" }] });
    let answer = browser.ask("POST", "/v1/chat/completions", &chat.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    stack.stop().await;
}

#[tokio::test]
async fn a_program_signs_in_for_a_bearer_token_that_opens_the_models() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let tokens = people::sign_in(&stack, "ada@example.org").await;
    assert_eq!((tokens.token_type.as_str(), tokens.expires_in), ("Bearer", 600));
    for path in ["/v1/models", "/api/tags", ME] {
        let answer = people::with(stack.clear, &tokens.access_token, "GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    // Not as a key, and not as the operator.
    let headers = [("x-api-key", tokens.access_token.as_str())];
    let answer = send(stack.clear, "GET", "/v1/models", &headers, b"").await;
    assert_eq!((answer.status, code(&answer).as_str()), (401, "invalid_api_key"));
    let answer = people::with(stack.admin, &tokens.access_token, "GET", "/api/v1/keys", "").await;
    assert_eq!((answer.status, code(&answer).as_str()), (401, "invalid_admin_token"));
    stack.stop().await;
}

#[tokio::test]
async fn strangers_get_one_answer_whatever_is_wrong() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let body = json!({ "email": "nopassword@example.org" }).to_string();
    stack.operator("POST", "/api/v1/admin/users", &body).await;
    let mut answers = Vec::new();
    for (email, password) in [
        ("ada@example.org", "incorrect horse battery"),
        ("nobody@example.org", PASSWORD),
        ("nopassword@example.org", PASSWORD),
        ("ada@example.org", ""),
        ("ada@example.org", &"x".repeat(1_100)),
    ] {
        let asked = json!({ "email": email, "password": password, "grant": "bearer" });
        let answer = post(stack.clear, LOGIN, &[], &asked).await;
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (401, "invalid_credentials"),
            "{email}"
        );
        answers.push(answer.json()["detail"].clone());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    // Who knows the password is told what became of the account.
    let users = stack.operator("GET", "/api/v1/admin/users", "").await.json();
    let ada =
        users["items"].as_array().unwrap().iter().find(|user| user["email"] == "ada@example.org");
    let path = format!("/api/v1/admin/users/{}", ada.unwrap()["id"].as_str().unwrap());
    assert_eq!(stack.operator("PATCH", &path, r#"{"state":"disabled"}"#).await.status, 200);
    let asked = json!({ "email": "ada@example.org", "password": PASSWORD, "grant": "bearer" });
    let answer = post(stack.clear, LOGIN, &[], &asked).await;
    assert_eq!((answer.status, code(&answer).as_str()), (401, "account_disabled"));
    stack.stop().await;
}

#[tokio::test]
async fn a_cookie_isnt_given_where_a_browser_would_drop_it() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let asked = json!({ "email": "ada@example.org", "password": PASSWORD }).to_string();
    let headers = [("content-type", "application/json"), ("origin", "http://test")];
    let request = wire::request("POST", LOGIN, &headers, asked.as_bytes());
    let answer = wire::ask(stack.web, &request).await;
    assert_eq!((answer.status, code(&answer).as_str()), (400, "https_required"));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&format!("https://test:{}", stack.tls.port())), "{detail}");
    stack.stop().await;
    // Behind a proxy that ends TLS it is.
    let plan = Plan::default().set("listen.public_url", "https://ai.example.org");
    let mut stack = plan.start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let headers = [("content-type", "application/json"), ("origin", "https://ai.example.org")];
    let request = wire::request("POST", LOGIN, &headers, asked.as_bytes());
    let answer = wire::ask(stack.clear, &request).await;
    assert_eq!((answer.status, cookies(&answer).len()), (200, 2), "{}", answer.text());
    stack.stop().await;
}

#[tokio::test]
async fn a_bearer_never_falls_back_to_a_cookie() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let browser = Browser::sign_in(&stack, "ada@example.org").await;
    let origin = format!("http://{}", stack.web);
    for (name, value) in [
        ("authorization", "Bearer a.b.c"),
        ("authorization", "Bearer sk-fg-nothing"),
        ("authorization", "Basic eA=="),
        ("authorization", ""),
        ("x-api-key", "sk-fg-nothing"),
    ] {
        let headers = [("cookie", browser.session.as_str()), ("origin", &origin), (name, value)];
        for path in ["/v1/models", ME] {
            let answer = send(stack.web, "GET", path, &headers, b"").await;
            assert_eq!(answer.status, 401, "{path} {name}: {value}");
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn who_signs_in_over_a_session_leaves_the_old_one() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let old = Browser::sign_in(&stack, "ada@example.org").await;
    let asked = json!({ "email": "ada@example.org", "password": PASSWORD }).to_string();
    let answer = old.ask("POST", LOGIN, &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let new = Browser::of(stack.web, &answer);
    assert_eq!(
        (old.ask("GET", ME, "").await.status, new.ask("GET", ME, "").await.status),
        (401, 200)
    );
    let list = new.ask("GET", people::SESSIONS, "").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn a_password_is_hashed_anew_when_its_cost_was_raised() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let url = format!("sqlite://{}/accounts.db", stack.folder.path().display());
    let plan = Plan::default().database(&url).set("auth.argon2.iterations", "3");
    let mut raised = plan.start().await;
    // As many as like at the same moment: one of them hashes it anew.
    let at_once = (0..4).map(|_| people::sign_in(&raised, "ada@example.org"));
    futures_util::future::join_all(at_once).await;
    let store = fluxgate_gateway::store::Store::open(&url.parse().unwrap(), None).await.unwrap();
    let (_, phc) = store.find_login(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
    assert!(phc.unwrap().contains("t=3"));
    people::sign_in(&stack, "ada@example.org").await;
    raised.stop().await;
    stack.stop().await;
}
