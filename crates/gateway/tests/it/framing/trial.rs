//! One hostile request after the other on connections of their own, each judged by what came back,
//! by whether its connection goes on, and by what the model server has seen.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fluxgate_testkit::TestStack;
use fluxgate_testkit::wire::{Answer, Connection};

/// The body of every request that may reach the model. The model server counts the bytes of bodies,
/// and listings have none: so many bytes more are one request more.
pub const CHAT: &str = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;

/// Stands for a connection that was closed without an answer, among statuses.
pub const NO_ANSWER: u16 = 0;

/// Sent behind a request on a connection that should go on. No hidden request has its answer.
const PROBE: &[u8] = b"PUT /v1/models HTTP/1.1\r\nhost: test\r\n\r\n";
const PROBE_STATUS: u16 = 405;

/// A connection is closed, or a probe answered, in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the connection ends with the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closes {
    Must,
    MustNot,
    May,
}

/// A request and what may come of it.
#[derive(Debug)]
pub struct Trial {
    pub what: String,
    pub bytes: Vec<u8>,
    pub allowed: &'static [u16],
    pub closes: Closes,
    /// A success means that the model was asked, once, with [`CHAT`].
    pub asks_model: bool,
}

impl Trial {
    /// One that never reaches a model.
    pub fn new(
        what: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        allowed: &'static [u16],
        closes: Closes,
    ) -> Self {
        Self { what: what.into(), bytes: bytes.into(), allowed, closes, asks_model: false }
    }

    /// One that asks the model where it is served.
    pub fn chat(
        what: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        allowed: &'static [u16],
        closes: Closes,
    ) -> Self {
        Self { asks_model: true, ..Self::new(what, bytes, allowed, closes) }
    }

    fn method(&self) -> &[u8] {
        self.bytes.split(|byte| *byte == b' ').next().unwrap_or_default()
    }
}

/// Where trials run.
pub struct Ground {
    pub stack: TestStack,
    /// A header line with the key.
    pub auth: String,
}

impl Ground {
    pub async fn start() -> Self {
        let stack = TestStack::start().await;
        let auth = format!("authorization: Bearer {}\r\n", stack.key);
        Self { stack, auth }
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(self.stack.clear).await
    }

    /// An honest chat request, but for its target.
    pub fn post(&self, target: &str) -> Vec<u8> {
        self.request(&format!("POST {target} HTTP/1.1\r\nhost: test\r\n"), CHAT)
    }

    /// The given lines, each with its end, then the key, the length and the body.
    pub fn request(&self, lines: &str, body: &str) -> Vec<u8> {
        let length = format!("content-length: {}\r\n", body.len());
        self.framed(&format!("{lines}{length}"), body.as_bytes())
    }

    /// The given lines, each with its end, then the key and, framed by those lines, the body.
    pub fn framed(&self, lines: &str, body: &[u8]) -> Vec<u8> {
        [lines.as_bytes(), self.auth.as_bytes(), b"\r\n", body].concat()
    }

    /// Runs them all; how many there were.
    pub async fn run(&self, trials: Vec<Trial>) -> usize {
        for trial in &trials {
            let ran = tokio::time::timeout(2 * PATIENCE, self.run_one(trial));
            assert!(ran.await.is_ok(), "{}: no end in sight", trial.what);
        }
        let honest = self.ask_model().await;
        assert_eq!(honest, 200, "the gateway still serves afterwards");
        trials.len()
    }

    /// An honest request, on a connection of its own.
    pub async fn ask_model(&self) -> u16 {
        self.stack.post("/v1/chat/completions", CHAT).await.status
    }

    /// Bytes of bodies that the model server has seen.
    pub fn seen_bytes(&self) -> u64 {
        self.stack.demo.stats.body_bytes.load(Ordering::Relaxed)
    }

    async fn run_one(&self, trial: &Trial) {
        let what = &trial.what;
        let before = self.seen_bytes();
        let mut connection = self.connect().await;
        connection.send(&trial.bytes).await;
        let answer = if trial.method() == b"HEAD" {
            Some(connection.head().await)
        } else {
            connection.try_answer().await
        };
        let status = answer.as_ref().map_or(NO_ANSWER, |answer| answer.status);
        assert!(trial.allowed.contains(&status), "{what}: {status} instead of {:?}", trial.allowed);
        if let Some(answer) = &answer {
            self.check_form(trial, answer);
        }
        let open = goes_on(&mut connection, answer.as_ref(), what).await;
        match trial.closes {
            Closes::Must => assert!(!open, "{what}: the connection goes on after {status}"),
            Closes::MustNot => assert!(open, "{what}: the connection ends after {status}"),
            Closes::May => {}
        }
        let asked = if trial.asks_model && status == 200 { CHAT.len() as u64 } else { 0 };
        assert_eq!(self.seen_bytes() - before, asked, "{what}: bytes at the model, after {status}");
    }

    /// What holds for all answers of ours. Those of the parser alone have no body.
    fn check_form(&self, trial: &Trial, answer: &Answer) {
        let what = &trial.what;
        if answer.body.is_empty() {
            return;
        }
        let id = answer.header("x-request-id").unwrap_or_else(|| panic!("{what}: no x-request-id"));
        let id = uuid::Uuid::parse_str(id).unwrap_or_else(|_| panic!("{what}: {id} is no UUID"));
        assert_eq!(id.get_version_num(), 7, "{what}");
        if answer.status == 405 {
            assert!(answer.header("allow").is_some(), "{what}: 405 without Allow");
        }
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/"), "{what}: {kind}");
        assert!(!answer.text().contains(&self.stack.key), "{what}: the key is in the answer");
    }
}

/// Whether the connection still serves: a probe is answered as it should be, and nothing else is.
async fn goes_on(connection: &mut Connection, answer: Option<&Answer>, what: &str) -> bool {
    if answer.is_none() {
        return false;
    }
    connection.send(PROBE).await;
    match tokio::time::timeout(PATIENCE, connection.try_answer()).await {
        Ok(None) => false,
        Ok(Some(probed)) => {
            assert_eq!(probed.status, PROBE_STATUS, "{what}: the next answer is {}", probed.text());
            true
        }
        Err(_) => panic!("{what}: the connection neither serves nor ends"),
    }
}
