//! Going on with a session: each refresh token works once.

use fluxgate_testkit::throwaway::Postgres;
use fluxgate_testkit::{Plan, TestStack};
use futures_util::future::join_all;
use serde_json::json;

use super::people::{self, Browser, ME, REFRESH, code, post, send};

#[tokio::test]
async fn a_refresh_token_works_once_and_its_replay_ends_the_session() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let first = people::sign_in(&stack, "ada@example.org").await;
    let refresh = async |token: &str| {
        post(stack.clear, REFRESH, &[], &json!({ "refresh_token": token })).await
    };
    let answer = refresh(&first.refresh_token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let second = answer.json();
    let (access, next) =
        (second["access_token"].as_str().unwrap(), second["refresh_token"].as_str().unwrap());
    assert_ne!(next, first.refresh_token);
    // A tab that was slower changes nothing.
    let answer = refresh(&first.refresh_token).await;
    assert_eq!((answer.status, code(&answer).as_str()), (409, "refresh_superseded"));
    assert_eq!(people::with(stack.clear, access, "GET", ME, "").await.status, 200);
    let third = refresh(next).await.json();
    // The clock of the store: as if the first had been replaced longer ago.
    let url = format!("sqlite://{}/accounts.db", stack.folder.path().display());
    crate::store::sqlite::execute(&url, "UPDATE superseded_tokens SET at = at - 11000000").await;
    let answer = refresh(&first.refresh_token).await;
    assert_eq!((answer.status, code(&answer).as_str()), (401, "refresh_replayed"));
    let answer = refresh(third["refresh_token"].as_str().unwrap()).await;
    assert_eq!((answer.status, code(&answer).as_str()), (401, "session_ended"));
    for path in [ME, "/v1/models"] {
        let answer = people::with(stack.clear, access, "GET", path, "").await;
        assert_eq!((answer.status, code(&answer).as_str()), (401, "session_ended"), "{path}");
    }
    let entry = people::audited(&stack, "outcome=refresh_replayed").await;
    assert_eq!(entry["object"], format!("user:{}", first.user.id));
    stack.stop().await;
}

/// The same on two replicas of one Postgres and on one SQLite.
async fn of_a_hundred_at_once_one_wins(stacks: &[&TestStack]) {
    people::make(stacks[0], "ada@example.org", "member").await;
    let tokens = people::sign_in(stacks[0], "ada@example.org").await;
    let body = json!({ "refresh_token": tokens.refresh_token });
    let asking = (0..100).map(|n| post(stacks[n % stacks.len()].clear, REFRESH, &[], &body));
    let answers = join_all(asking).await;
    let of = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((of(200), of(409)), (1, 99));
    let won = answers.iter().find(|answer| answer.status == 200).unwrap().json();
    let body = json!({ "refresh_token": won["refresh_token"] });
    assert_eq!(post(stacks[0].clear, REFRESH, &[], &body).await.status, 200);
}

#[tokio::test]
async fn of_a_hundred_at_once_one_wins_on_sqlite() {
    let mut stack = TestStack::start().await;
    of_a_hundred_at_once_one_wins(&[&stack]).await;
    stack.stop().await;
}

#[tokio::test]
async fn of_a_hundred_at_once_one_wins_on_two_replicas() {
    let url = Postgres::shared().create_database();
    let mut one = Plan::default().database(&url).start().await;
    let mut other = Plan::default().database(&url).start().await;
    of_a_hundred_at_once_one_wins(&[&one, &other]).await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_page_refreshes_by_its_cookie_alone() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let browser = Browser::sign_in(&stack, "ada@example.org").await;
    let answer = browser.ask("POST", REFRESH, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let next = Browser::of(stack.web, &answer);
    assert_ne!((&next.session, &next.refresh), (&browser.session, &browser.refresh));
    assert!(answer.json()["access_token"].is_null());
    // A cookie's token in a body would give it to a script.
    let (_, token) = next.refresh.split_once('=').unwrap();
    let answer = post(stack.clear, REFRESH, &[], &json!({ "refresh_token": token })).await;
    assert_eq!(answer.status, 401);
    // And a program's token doesn't become a cookie.
    let tokens = people::sign_in(&stack, "ada@example.org").await;
    let cookie = format!("__Secure-fluxgate_refresh={}", tokens.refresh_token);
    let origin = format!("http://{}", stack.web);
    let headers = [("cookie", cookie.as_str()), ("origin", &origin)];
    let answer = send(stack.web, "POST", REFRESH, &headers, b"").await;
    assert_eq!(answer.status, 401);
    // Neither attempt cost anybody their session.
    assert_eq!(next.ask("GET", ME, "").await.status, 200);
    let body = json!({ "refresh_token": tokens.refresh_token });
    assert_eq!(post(stack.clear, REFRESH, &[], &body).await.status, 200);
    stack.stop().await;
}

#[tokio::test]
async fn what_isnt_a_refresh_token_is_401() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let tokens = people::sign_in(&stack, "ada@example.org").await;
    let good = &tokens.refresh_token;
    for text in ["", "x", &tokens.access_token, &good[1..], &format!("{good}x"), "fgr_"] {
        let answer = post(stack.clear, REFRESH, &[], &json!({ "refresh_token": text })).await;
        assert_eq!((answer.status, code(&answer).as_str()), (401, "invalid_session"), "{text}");
    }
    let answer = post(stack.clear, REFRESH, &[], &json!({})).await;
    assert_eq!((answer.status, code(&answer).as_str()), (401, "invalid_session"));
    stack.stop().await;
}
