//! The records of requests: pushed by the data threads without a wait, drained on the control
//! side into metrics and log lines.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_queue::ArrayQueue;
use fluxgate_core::reason::Fault;
use fluxgate_core::subject::EndUserId;
use fluxgate_core::{Reason, RequestId, Usage};
use http::StatusCode;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::auth::last_used::LastUsed;
use crate::auth::principal::Caller;
use crate::auth::pseudonym::Pseudonyms;
use crate::listen::ClientAddr;
use crate::metrics::Metrics;
use crate::router::Endpoint;

/// Records that wait to be drained: several drains' worth at full load.
const QUEUE_MAX: usize = 16_384;
/// How long a record may wait.
const DRAIN_EVERY: Duration = Duration::from_millis(100);
/// Log lines of answered requests in one second; a busy gateway would write nothing else. All of
/// them are in the metrics.
const ANSWERED_LINES_PER_S: u32 = 100;
/// Log lines of refused requests in one second.
const REFUSED_LINES_PER_S: u32 = 100;

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// With an upstream's answer, or one of ours that isn't a refusal.
    Answered(StatusCode),
    /// Before an answer began.
    Refused(Reason),
    /// In the middle of an answer, which had begun with this status.
    Cut(StatusCode, Reason),
}

/// What is left of a request.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    pub id: RequestId,
    pub at: SystemTime,
    pub client: ClientAddr,
    pub client_request_id: Option<Box<str>>,
    pub endpoint: Option<Endpoint>,
    pub caller: Option<Caller>,
    pub end_user: Option<EndUserId>,
    pub model: Option<Arc<str>>,
    pub upstream: Option<Arc<str>>,
    pub outcome: Outcome,
    pub usage: Option<Usage>,
    pub first_token: Option<Duration>,
    pub upstream_head: Option<Duration>,
    pub duration: Duration,
}

/// The bounded queue of records, and what becomes of them.
#[derive(Debug)]
pub struct Recorder {
    queue: ArrayQueue<RequestRecord>,
    pub used: LastUsed,
    people: Pseudonyms,
    pub metrics: Metrics,
}

impl Recorder {
    #[must_use]
    pub fn new(metrics: Metrics, people: Pseudonyms) -> Arc<Self> {
        let queue = ArrayQueue::new(QUEUE_MAX);
        Arc::new(Self { queue, used: LastUsed::default(), people, metrics })
    }

    /// Takes a record. Where the queue is full it is counted at once; its line is lost, and that its
    /// key was used.
    pub fn push(&self, record: RequestRecord) {
        if let Err(record) = self.queue.push(record) {
            self.metrics.count(&record);
            self.metrics.log_lines_dropped.increment(1);
        }
    }

    /// Counts what waits, so that a scrape is exact.
    pub fn settle(&self, lines: &mut LineBudget) {
        for _ in 0..QUEUE_MAX {
            let Some(record) = self.queue.pop() else { return };
            self.metrics.count(&record);
            // A try that was refused is no use.
            if let (Some(key), Outcome::Answered(_) | Outcome::Cut(..)) =
                (record.caller.and_then(Caller::key), record.outcome)
            {
                self.used.note(key, record.at);
            }
            if lines.allows(record.outcome) {
                write_line(&record, &self.people);
            } else {
                self.metrics.log_lines_dropped.increment(1);
            }
        }
    }

    /// Drains until `stop`, and once more then.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut lines = LineBudget::new();
        let mut tick = interval(DRAIN_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => break,
            }
            self.settle(&mut lines);
            self.metrics.upkeep();
        }
        self.settle(&mut lines);
    }
}

/// How many lines may still be written in this second.
#[derive(Debug)]
pub struct LineBudget {
    since: Instant,
    answered: u32,
    refused: u32,
}

impl LineBudget {
    #[must_use]
    pub fn new() -> Self {
        Self { since: Instant::now(), answered: ANSWERED_LINES_PER_S, refused: REFUSED_LINES_PER_S }
    }

    fn allows(&mut self, outcome: Outcome) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        let left = match outcome {
            Outcome::Answered(_) => &mut self.answered,
            Outcome::Refused(_) | Outcome::Cut(..) => &mut self.refused,
        };
        let allowed = *left > 0;
        *left = left.saturating_sub(1);
        allowed
    }
}

impl Default for LineBudget {
    fn default() -> Self {
        Self::new()
    }
}

/// One line, readable alone. It names the key by its public id, whoever signed in by theirs, the
/// people behind a key by a pseudonym, and never holds a body.
fn write_line(record: &RequestRecord, people: &Pseudonyms) {
    let RequestRecord { id, caller, usage, .. } = record;
    let key = caller.and_then(Caller::key);
    let user = caller.filter(|_| key.is_none()).map(|caller| caller.user);
    let person = key.zip(record.end_user.as_ref()).map(|(key, who)| people.of(key, who));
    let (status, reason) = match record.outcome {
        Outcome::Answered(status) => (status, None),
        Outcome::Refused(reason) => (reason.status(), Some(reason)),
        Outcome::Cut(status, reason) => (status, Some(reason)),
    };
    // Health checks and the page would drown the rest.
    if record.endpoint.is_none() && reason.is_none() {
        return;
    }
    let usage = usage.unwrap_or_default();
    macro_rules! line {
        ($level:ident, $text:literal) => {
            $level!(
                request.id = %id,
                request.client_id = record.client_request_id.as_deref(),
                client.address = %record.client,
                route = record.endpoint.map(Endpoint::path),
                key.id = key.map(tracing::field::display),
                user.id = user.map(tracing::field::display),
                end_user = person.as_deref(),
                model = record.model.as_deref(),
                upstream = record.upstream.as_deref(),
                status = status.as_u16(),
                reason = reason.map(Reason::code),
                tokens.prompt = usage.prompt,
                tokens.completion = usage.completion,
                ttft_ms = record.first_token.map(|time| time.as_millis() as u64),
                duration_ms = record.duration.as_millis() as u64,
                $text
            )
        };
    }
    match (record.outcome, reason.map(Reason::fault)) {
        (Outcome::Cut(_, Reason::ClientGone), _) => line!(info, "client left"),
        (Outcome::Answered(_), _) => line!(info, "request answered"),
        (Outcome::Refused(_) | Outcome::Cut(..), Some(Fault::Upstream | Fault::Gateway)) => {
            line!(warn, "request failed");
        }
        (Outcome::Refused(_) | Outcome::Cut(..), _) => line!(info, "request refused"),
    }
}
