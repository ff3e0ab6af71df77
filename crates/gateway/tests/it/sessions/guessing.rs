//! Keys and tokens that nobody made, thousands of them: what they cost the database, and whom they
//! keep out.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fluxgate_testkit::throwaway::Postgres;
use fluxgate_testkit::wire::{self, Connection};
use fluxgate_testkit::{Plan, TestStack};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor, PgConnection};
use tokio::task::JoinSet;

use super::people::{self, ME, REFRESH, with};
use crate::forged_key::forged_key;

const EMAIL: &str = "ada@example.org";
const CONNECTIONS: u32 = 4;
/// Sent before the first answer is read.
const AT_ONCE: u32 = 50;
/// Of the budget of guesses: at once, and in a second.
const OF_AN_ADDRESS: (u32, f64) = (100, 20.0);
const OF_ALL: (u32, f64) = (1_000, 200.0);

/// A stack whose database writes down every statement, and the reader of that.
struct Watched {
    stack: TestStack,
    reader: PgConnection,
    _server: Postgres,
}

impl Watched {
    async fn start() -> Self {
        let server = Postgres::start();
        let url = server.create_database();
        let (_, name) = url.rsplit_once('/').unwrap();
        let mut reader = PgConnection::connect(&server.url()).await.unwrap();
        let watch = format!("ALTER DATABASE {name} SET log_statement = 'all'");
        reader.execute(AssertSqlSafe(watch)).await.unwrap();
        let plan = Plan::default().database(&url).set("listen.trusted_proxies", "127.0.0.0/8");
        Self { stack: plan.start().await, reader, _server: server }
    }

    /// How often a key or a session was looked for so far.
    async fn look_ups(&mut self) -> usize {
        let log = "SELECT pg_read_file(current_setting('data_directory') || '/../server.log')";
        let (log,): (String,) = sqlx::query_as(log).fetch_one(&mut self.reader).await.unwrap();
        let is_look_up = |line: &&str| {
            line.contains("SELECT")
                && ["FROM api_keys", "FROM sessions"].iter().any(|from| line.contains(from))
        };
        log.lines().filter(is_look_up).count()
    }
}

/// Sends a request for each number, many at once on each of a few connections. Every answer has one
/// of these statuses; gives how many had each.
async fn storm(
    stack: &TestStack,
    numbers: Range<u32>,
    statuses: &'static [u16],
    request: impl Fn(u32) -> Vec<u8> + Clone + Send + 'static,
) -> Vec<usize> {
    let mut sending = JoinSet::new();
    for part in 0..CONNECTIONS {
        let (to, request) = (stack.clear, request.clone());
        let numbers = numbers.clone().skip(part as usize).step_by(CONNECTIONS as usize);
        sending.spawn(async move {
            let mut connection = Connection::open(to).await;
            let (mut numbers, mut counts) = (numbers.peekable(), vec![0; statuses.len()]);
            while numbers.peek().is_some() {
                let batch: Vec<u32> = numbers.by_ref().take(AT_ONCE as usize).collect();
                let bytes: Vec<u8> = batch.iter().flat_map(|number| request(*number)).collect();
                connection.send(&bytes).await;
                for _ in batch {
                    let answer = connection.answer().await;
                    let at = statuses.iter().position(|status| *status == answer.status);
                    counts[at.unwrap_or_else(|| panic!("{}", answer.text()))] += 1;
                }
            }
            counts
        });
    }
    let all = sending.join_all().await;
    (0..statuses.len()).map(|at| all.iter().map(|counts| counts[at]).sum()).collect()
}

/// Asks with a known key until it is told to end: each time it is served.
fn known_key(stack: &TestStack, ended: &Arc<AtomicBool>) -> tokio::task::JoinHandle<u32> {
    let (to, ended) = (stack.clear, Arc::clone(ended));
    let authorization = format!("Bearer {}", stack.key);
    let request = wire::request("GET", "/v1/models", &[("authorization", &authorization)], b"");
    tokio::spawn(async move {
        let (mut connection, mut served) = (Connection::open(to).await, 0);
        while !ended.load(Ordering::Relaxed) {
            connection.send(&request).await;
            let answer = connection.answer().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            served += 1;
        }
        served
    })
}

/// Nearly a key: of each kind of fault that can be seen by looking at it.
fn malformed(number: u32) -> String {
    let mut random = fastrand::Rng::with_seed(number.into());
    let good = forged_key(number);
    match number % 5 {
        0 => {
            let at = random.usize(6..good.len());
            let other = if good.as_bytes()[at] == b'x' { "y" } else { "x" };
            [&good[..at], other, &good[at + 1..]].concat()
        }
        1 => (0..57).map(|_| random.alphanumeric()).collect(),
        2 => format!("sk-fg-{}", (0..51).map(|_| random.alphanumeric()).collect::<String>()),
        3 => good[..random.usize(1..good.len())].to_owned(),
        _ => format!("{good}{}", random.alphanumeric()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_keys_cost_no_look_up_and_unknown_ones_a_bounded_few() {
    let mut watched = Watched::start().await;
    let stack = &watched.stack;
    assert_eq!(with(stack.clear, &stack.key, "GET", "/v1/models", "").await.status, 200);
    let ended = Arc::new(AtomicBool::new(false));
    let known = known_key(stack, &ended);
    let before = watched.look_ups().await;

    let counts = storm(&watched.stack, 0..20_000, &[401], |number| {
        let key = malformed(number);
        let authorization = format!("Bearer {key}");
        match number % 3 {
            0 => wire::request("GET", "/v1/models", &[("authorization", &authorization)], b""),
            1 => wire::request("GET", "/api/tags", &[("x-api-key", &key)], b""),
            _ => wire::request("GET", &format!("/k/{key}/v1/models"), &[], b""),
        }
    });
    assert_eq!(counts.await, [20_000]);
    assert_eq!(watched.look_ups().await, before, "a malformed key is looked for");

    // Of one address.
    let since = Instant::now();
    let guess = |number| {
        let authorization = format!("Bearer {}", forged_key(number));
        wire::request("GET", "/v1/models", &[("authorization", &authorization)], b"")
    };
    let counts = storm(&watched.stack, 0..4_000, &[401, 503], guess).await;
    let looked_up = watched.look_ups().await - before;
    let allowed = budget(OF_AN_ADDRESS, since);
    assert!((OF_AN_ADDRESS.0 as usize..=allowed).contains(&looked_up), "{looked_up} {allowed}");
    assert!(counts[0] <= looked_up && counts[1] > 3_000, "{counts:?}");

    // Of an address for each.
    let guess = |number: u32| {
        let authorization = format!("Bearer {}", forged_key(number));
        let [_, a, b, c] = number.to_be_bytes();
        let client = format!("198.{a}.{b}.{c}");
        let headers = [("authorization", authorization.as_str()), ("x-forwarded-for", &client)];
        wire::request("GET", "/v1/models", &headers, b"")
    };
    let counts = storm(&watched.stack, 4_000..8_000, &[401, 503], guess).await;
    let looked_up = watched.look_ups().await - before;
    let allowed = budget(OF_ALL, since);
    assert!(looked_up <= allowed, "{looked_up} {allowed}");
    assert!(counts[1] > 500, "{counts:?}");

    ended.store(true, Ordering::Relaxed);
    assert!(known.await.unwrap() > 100, "whoever has a key is served all the while");
    watched.stack.stop().await;
}

/// How many guesses may have been looked up since then. What is on its way when the budget is
/// spent is looked up as well.
fn budget((at_once, per_s): (u32, f64), since: Instant) -> usize {
    at_once as usize + (since.elapsed().as_secs_f64() * per_s) as usize + CONNECTIONS as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_we_never_drew_cost_no_look_up() {
    let mut watched = Watched::start().await;
    let stack = &watched.stack;
    people::make(stack, EMAIL, "member").await;
    let tokens = people::sign_in(stack, EMAIL).await;
    let before = watched.look_ups().await;

    // Of our form, under another key; and ours with a letter changed.
    let good = tokens.refresh_token.clone();
    let forged = move |number: u32| {
        let mut random = fastrand::Rng::with_seed(number.into());
        if number.is_multiple_of(2) {
            let bytes: Vec<u8> = (0..81).map(|_| random.u8(..)).collect();
            return format!("fgr_{}", URL_SAFE_NO_PAD.encode(bytes));
        }
        changed(&good, random.usize(4..good.len()))
    };
    let refresh = move |number| {
        let body = json!({ "refresh_token": forged(number) }).to_string();
        wire::request("POST", REFRESH, &[("content-type", "application/json")], body.as_bytes())
    };
    assert_eq!(storm(&watched.stack, 0..3_000, &[401], refresh).await, [3_000]);

    let good = tokens.access_token.clone();
    let parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    let bearer = move |number: u32| {
        let mut random = fastrand::Rng::with_seed(number.into());
        let token = if number.is_multiple_of(2) {
            let signature: Vec<u8> = (0..32).map(|_| random.u8(..)).collect();
            format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode(signature))
        } else {
            changed(&good, random.usize(0..good.len()))
        };
        let authorization = format!("Bearer {token}");
        let path = if number.is_multiple_of(3) { ME } else { "/v1/models" };
        wire::request("GET", path, &[("authorization", &authorization)], b"")
    };
    assert_eq!(storm(&watched.stack, 0..5_000, &[401], bearer).await, [5_000]);
    assert_eq!(watched.look_ups().await, before, "a forged token is looked for");

    // Nobody has lost their session to it.
    let stack = &watched.stack;
    assert_eq!(with(stack.clear, &tokens.access_token, "GET", ME, "").await.status, 200);
    let body = json!({ "refresh_token": tokens.refresh_token });
    assert_eq!(people::post(stack.clear, REFRESH, &[], &body).await.status, 200);
    assert!(watched.look_ups().await > before, "what is looked for is seen");
    watched.stack.stop().await;
}

/// The same with one character changed, by more than the bits at its end that count for nothing.
fn changed(text: &str, at: usize) -> String {
    let other = if text.as_bytes()[at].is_ascii_uppercase() { "z" } else { "Z" };
    [&text[..at], other, &text[at + 1..]].concat()
}
