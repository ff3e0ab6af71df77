//! Registering, invitations, and links to set another password.

use fluxgate_testkit::{Plan, TestStack};
use serde_json::json;

use super::people::{self, LOGIN, ME, PASSWORD, SET_PASSWORD, code, post, with};

const REGISTER: &str = "/api/v1/auth/register";
const INVITES: &str = "/api/v1/admin/invites";
const DISABLED: &str = r#"{"state":"disabled"}"#;

fn registration(mode: &str) -> Plan {
    Plan::default().set("auth.registration", mode)
}

fn token_of(link: &str) -> String {
    link.split_once('#').unwrap().1.to_owned()
}

#[tokio::test]
async fn nobody_registers_where_it_is_closed() {
    let mut stack = TestStack::start().await;
    let asked = json!({ "email": "ada@example.org", "password": PASSWORD, "grant": "bearer" });
    let answer = post(stack.clear, REGISTER, &[], &asked).await;
    assert_eq!((answer.status, code(&answer).as_str()), (403, "registration_closed"));
    let answer = stack.operator("POST", INVITES, "{}").await;
    assert_eq!((answer.status, code(&answer).as_str()), (409, "conflict"));
    stack.stop().await;
}

#[tokio::test]
async fn anybody_registers_where_it_is_open_and_is_signed_in() {
    let mut stack = registration("open").start().await;
    let asked = json!({ "email": "Ada@Example.org", "password": PASSWORD, "grant": "bearer" });
    let answer = post(stack.clear, REGISTER, &[], &asked).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let tokens = answer.json();
    assert_eq!(
        (&tokens["user"]["email"], &tokens["user"]["role"]),
        (&json!("ada@example.org"), &json!("member"))
    );
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(with(stack.clear, token, "GET", ME, "").await.status, 200);
    let answer = post(stack.clear, REGISTER, &[], &asked).await;
    assert_eq!((answer.status, code(&answer).as_str()), (409, "conflict"));
    for (email, password) in [
        ("bob@example.org", "short"),
        ("bob@example.org", "passwordpassword"),
        ("bob@example.org", "123456789012345"),
        ("bob.the.builder@example.org", "Bob.The.Builder"),
        ("bob@example.org", "bob@example.org"),
        ("bob@example.org", &"x".repeat(1_025)),
        ("bob", PASSWORD),
    ] {
        let asked = json!({ "email": email, "password": password, "grant": "bearer" });
        let answer = post(stack.clear, REGISTER, &[], &asked).await;
        assert_eq!((answer.status, code(&answer).as_str()), (400, "invalid_request"), "{password}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn an_invitation_makes_one_user_with_its_role_and_team() {
    let mut stack = registration("invite").start().await;
    let team = stack.operator("POST", "/api/v1/admin/teams", r#"{"name":"Research"}"#).await.json();
    let body = json!({ "email": "ada@example.org", "role": "admin", "team": "Research" });
    let made = stack.operator("POST", INVITES, &body.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let link = made.json()["link"].as_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("http://{}/register#", stack.web)), "{link}");
    let list = stack.operator("GET", INVITES, "").await;
    assert!(!list.text().contains(&token_of(&link)));
    assert_eq!(list.json()["items"][0]["email"], "ada@example.org");

    let register = async |email: &str, invite: Option<&str>| {
        let asked =
            json!({ "email": email, "password": PASSWORD, "grant": "bearer", "invite": invite });
        post(stack.clear, REGISTER, &[], &asked).await
    };
    assert_eq!(code(&register("ada@example.org", None).await), "registration_closed");
    assert_eq!(code(&register("eve@example.org", Some(&token_of(&link))).await), "invalid_token");
    assert_eq!(code(&register("ada@example.org", Some("x")).await), "invalid_token");
    let answer = register("ada@example.org", Some(&token_of(&link))).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let user = &answer.json()["user"];
    assert_eq!((&user["role"], &user["team"]), (&json!("admin"), &team["id"]));
    assert_eq!(code(&register("ada@example.org", Some(&token_of(&link))).await), "invalid_token");
    let used = list.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let answer = stack.operator("DELETE", &format!("{INVITES}/{used}"), "").await;
    assert_eq!((answer.status, code(&answer).as_str()), (409, "conflict"), "it was used");
    // One that was withdrawn is none.
    let made = stack.operator("POST", INVITES, "").await.json();
    let path = format!("{INVITES}/{}", made["id"].as_str().unwrap());
    assert_eq!(stack.operator("DELETE", &path, "").await.status, 204);
    assert_eq!(stack.operator("DELETE", &path, "").await.status, 204, "once more is as good");
    let nobodys = format!("{INVITES}/00000000-0000-7000-8000-000000000000");
    assert_eq!(stack.operator("DELETE", &nobodys, "").await.status, 404);
    let link = token_of(made["link"].as_str().unwrap());
    assert_eq!(code(&register("bob@example.org", Some(&link)).await), "invalid_token");
    for body in [
        json!({ "expires_at": "2020-01-01T00:00:00Z" }),
        json!({ "expires_at": "2099-01-01T00:00:00Z" }),
        json!({ "team": "nobody's" }),
        json!({ "email": "x" }),
    ] {
        let answer = stack.operator("POST", INVITES, &body.to_string()).await;
        assert_eq!((answer.status, code(&answer).as_str()), (400, "invalid_request"), "{body}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn links_of_whoever_is_no_administrator_any_more_are_none() {
    let mut stack = registration("invite").start().await;
    let user = people::make(&stack, "ada@example.org", "member").await;
    let eve = people::make(&stack, "eve@example.org", "admin").await;
    people::make(&stack, "bob@example.org", "admin").await;
    let token = people::sign_in(&stack, "eve@example.org").await.access_token;
    let made = with(stack.clear, &token, "POST", INVITES, r#"{"role":"admin"}"#).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let invite = token_of(made.json()["link"].as_str().unwrap());
    let path = format!("/api/v1/admin/users/{user}/reset");
    let reset = with(stack.clear, &token, "POST", &path, "").await.json();
    let reset = token_of(reset["link"].as_str().unwrap());
    let path = format!("/api/v1/admin/users/{eve}");
    assert_eq!(stack.operator("PATCH", &path, r#"{"role":"member"}"#).await.status, 200);
    let asked = json!({ "email": "mallory@example.org", "password": PASSWORD, "invite": invite });
    let answer = post(stack.clear, REGISTER, &[], &asked).await;
    assert_eq!((answer.status, code(&answer).as_str()), (403, "invalid_token"));
    let asked = json!({ "token": reset, "new": "another horse battery" });
    let answer = post(stack.clear, SET_PASSWORD, &[], &asked).await;
    assert_eq!((answer.status, code(&answer).as_str()), (403, "invalid_token"));
    stack.stop().await;
}

#[tokio::test]
async fn a_reset_link_sets_a_password_once_and_ends_every_session() {
    let mut stack = TestStack::start().await;
    let user = people::make(&stack, "ada@example.org", "member").await;
    let before = people::sign_in(&stack, "ada@example.org").await.access_token;
    let path = format!("/api/v1/admin/users/{user}/reset");
    let older = stack.operator("POST", &path, "").await;
    assert_eq!(older.status, 201, "{}", older.text());
    let made = stack.operator("POST", &path, "").await.json();
    let link = made["link"].as_str().unwrap();
    assert!(link.contains("/reset#"), "{link}");
    let set = async |token: &str, new: &str| {
        post(stack.clear, SET_PASSWORD, &[], &json!({ "token": token, "new": new })).await
    };
    let older = older.json()["link"].as_str().unwrap().to_owned();
    assert_eq!(code(&set(&token_of(&older), "another horse battery").await), "invalid_token");
    let token = token_of(link);
    assert_eq!(code(&set(&token, "short").await), "invalid_request");
    let answer = set(&token, "another horse battery").await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(code(&set(&token, "a third horse battery").await), "invalid_token");
    assert_eq!(with(stack.clear, &before, "GET", ME, "").await.status, 401);
    let log_in = async |password: &str| {
        let asked = json!({ "email": "ada@example.org", "password": password, "grant": "bearer" });
        post(stack.clear, LOGIN, &[], &asked).await.status
    };
    assert_eq!((log_in(PASSWORD).await, log_in("another horse battery").await), (401, 200));

    let disabled = stack.operator("PATCH", &format!("/api/v1/admin/users/{user}"), DISABLED).await;
    assert_eq!(disabled.status, 200);
    let answer = stack.operator("POST", &path, "").await;
    assert_eq!((answer.status, code(&answer).as_str()), (409, "conflict"));
    stack.stop().await;
}
