//! While the accounts database is dead or frozen, whoever is known goes on being served, under load;
//! nobody new is taken for wrong; and afterwards all is as before, without a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fluxgate_core::admin_api::BearerTokens;
use fluxgate_testkit::throwaway::Postgres;
use fluxgate_testkit::wire::{self, Answer, Connection};
use fluxgate_testkit::{Plan, TestStack};
use serde_json::json;
use tokio::task::JoinHandle;

use super::people::{self, LOGIN, ME, PASSWORD, REFRESH, SESSIONS, SET_PASSWORD, code, post, with};
use crate::forged_key::forged_key;

/// In which a dead store is noticed (2 s), with room for a busy machine.
const NOTICED: Duration = Duration::from_millis(2_500);
/// In which it is used again after its return.
const USED_AGAIN: Duration = Duration::from_secs(5);
/// Nobody who is known waits for the store; a busy machine may take its time.
const SERVED_WITHIN: Duration = Duration::from_secs(1);
const CHAT: &str = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;
const EMAIL: &str = "ada@example.org";

/// Callers that the gateway knows, each asking again and again.
struct Load {
    ended: Arc<AtomicBool>,
    callers: Vec<JoinHandle<u32>>,
}

impl Load {
    fn begin(stack: &TestStack, credentials: &[&str]) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let caller = |credential: &&str| {
            let authorization = format!("Bearer {credential}");
            let headers = [("authorization", authorization.as_str())];
            let chat = wire::request("POST", "/v1/chat/completions", &headers, CHAT.as_bytes());
            let (to, ended) = (stack.clear, Arc::clone(&ended));
            tokio::spawn(async move {
                let mut connection = Connection::open(to).await;
                let mut served = 0;
                while !ended.load(Ordering::Relaxed) {
                    let since = Instant::now();
                    connection.send(&chat).await;
                    let answer = connection.answer().await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    assert!(since.elapsed() < SERVED_WITHIN, "{:?}", since.elapsed());
                    served += 1;
                }
                served
            })
        };
        Self { callers: credentials.iter().map(caller).collect(), ended }
    }

    /// How many requests were served of each caller.
    async fn end(self) -> Vec<u32> {
        self.ended.store(true, Ordering::Relaxed);
        let mut served = Vec::new();
        for caller in self.callers {
            served.push(caller.await.unwrap());
        }
        served
    }
}

async fn log_in(stack: &TestStack, email: &str, password: &str) -> Answer {
    let asked = json!({ "email": email, "password": password, "grant": "bearer" });
    post(stack.clear, LOGIN, &[], &asked).await
}

async fn refresh(stack: &TestStack, tokens: &BearerTokens) -> Answer {
    post(stack.clear, REFRESH, &[], &json!({ "refresh_token": tokens.refresh_token })).await
}

/// Nothing of what needs the database is wrong: we can't tell, and say so soon.
async fn nobody_new_is_let_in(stack: &TestStack, known: &BearerTokens, unused: &BearerTokens) {
    let since = Instant::now();
    let change = json!({ "current": PASSWORD, "new": "another horse battery" }).to_string();
    let forged = forged_key(7);
    let session = format!("{SESSIONS}/00000000-0000-7000-8000-000000000000");
    let access = known.access_token.as_str();
    let (right, wrong, nobody, goes_on, first_use, guess, me, ended, changed) = tokio::join!(
        log_in(stack, EMAIL, PASSWORD),
        log_in(stack, EMAIL, "incorrect horse battery"),
        log_in(stack, "nobody@example.org", PASSWORD),
        refresh(stack, unused),
        with(stack.clear, &unused.access_token, "GET", "/v1/models", ""),
        with(stack.clear, &forged, "GET", "/v1/models", ""),
        with(stack.clear, access, "GET", ME, ""),
        with(stack.clear, access, "DELETE", &session, ""),
        with(stack.clear, access, "POST", SET_PASSWORD, &change),
    );
    assert!(since.elapsed() < NOTICED, "{:?}", since.elapsed());
    for (what, answer) in [
        ("the right password", right),
        ("a wrong password", wrong),
        ("an unknown address", nobody),
        ("a refresh", goes_on),
        ("a session's first use", first_use),
        ("an unknown key", guess),
        ("who am I", me),
        ("a session's end", ended),
        ("another password", changed),
    ] {
        assert_eq!(answer.status, 503, "{what}: {}", answer.text());
        assert!(answer.header("retry-after").is_some(), "{what}");
    }
}

async fn all_is_well_again(stack: &TestStack, known: &BearerTokens, unused: &BearerTokens) {
    let since = Instant::now();
    while log_in(stack, EMAIL, PASSWORD).await.status != 200 {
        assert!(since.elapsed() < USED_AGAIN, "nobody can sign in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The refresh that came to nothing was none: its token works still, once.
    let answer = refresh(stack, unused).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for token in [&unused.access_token, &known.access_token] {
        for path in ["/v1/models", ME] {
            let answer = with(stack.clear, token, "GET", path, "").await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
    }
    let wrong = log_in(stack, EMAIL, "incorrect horse battery").await;
    assert_eq!((wrong.status, code(&wrong).as_str()), (401, "invalid_credentials"));
    let new = stack.create_key("afterwards").await;
    assert_eq!(with(stack.clear, &new, "GET", "/v1/models", "").await.status, 200);
    assert!(since.elapsed() < USED_AGAIN, "{:?}", since.elapsed());
}

// Several threads: the load goes on while a server is being started.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_a_dead_and_a_frozen_database_cost_whoever_is_known_nothing() {
    let mut server = Postgres::start();
    let mut stack = Plan::default().database(&server.create_database()).start().await;
    people::make(&stack, EMAIL, "member").await;
    let known = people::sign_in(&stack, EMAIL).await;
    let unused = [people::sign_in(&stack, EMAIL).await, people::sign_in(&stack, EMAIL).await];
    for credential in [&stack.key, &known.access_token] {
        assert_eq!(with(stack.clear, credential, "GET", "/v1/models", "").await.status, 200);
    }
    let load = Load::begin(&stack, &[&stack.key, &known.access_token]);

    server.kill();
    nobody_new_is_let_in(&stack, &known, &unused[0]).await;
    server.restart();
    all_is_well_again(&stack, &known, &unused[0]).await;

    server.freeze();
    nobody_new_is_let_in(&stack, &known, &unused[1]).await;
    server.thaw();
    all_is_well_again(&stack, &known, &unused[1]).await;

    let served = load.end().await;
    assert!(served.iter().all(|served| *served > 100), "{served:?}");
    stack.stop().await;
}
