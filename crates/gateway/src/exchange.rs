//! One request and its answer: what is known of it so far, and the record that it leaves.
//!
//! Whatever way a request ends, its exchange is dropped and the record is written; an exchange
//! that nobody ended was ended by its client.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fluxgate_core::subject::EndUserId;
use fluxgate_core::{Reason, RequestId, Usage};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::app::App;
use crate::auth::principal::Caller;
use crate::listen::{ClientAddr, ListenerKind};
use crate::middleware::REQUEST_ID;
use crate::proxy::OutBody;
use crate::record::{Outcome, Recorder, RequestRecord};
use crate::router::Endpoint;
use crate::upstream::InFlight;

/// The most that is kept of an id which the client gave its request.
const CLIENT_ID_BYTES_MAX: usize = 128;

/// See the module.
pub struct Exchange {
    pub id: RequestId,
    pub client: ClientAddr,
    /// Where it came in.
    pub kind: ListenerKind,
    recorder: Arc<Recorder>,
    started: Instant,
    at: SystemTime,
    client_request_id: Option<Box<str>>,
    endpoint: Option<Endpoint>,
    caller: Option<Caller>,
    end_user: Option<EndUserId>,
    model: Option<Arc<str>>,
    in_flight: Option<InFlight>,
    /// Time spent waiting for the client's body and for upstreams.
    waited: Duration,
    first_token: Option<Duration>,
    upstream_head: Option<Duration>,
    usage: Option<Usage>,
    outcome: Outcome,
}

impl Exchange {
    /// A request's header has been read.
    #[must_use]
    pub fn begin(
        app: &App,
        client: ClientAddr,
        kind: ListenerKind,
        headers: &HeaderMap,
    ) -> Box<Self> {
        let at = SystemTime::now();
        Box::new(Self {
            id: new_request_id(at),
            client,
            kind,
            recorder: Arc::clone(&app.recorder),
            started: Instant::now(),
            at,
            client_request_id: headers.get(REQUEST_ID).and_then(printable),
            endpoint: None,
            caller: None,
            end_user: None,
            model: None,
            in_flight: None,
            waited: Duration::ZERO,
            first_token: None,
            upstream_head: None,
            usage: None,
            outcome: Outcome::Refused(Reason::ClientGone),
        })
    }

    /// Our id as a header's value.
    #[must_use]
    pub fn id_header(&self) -> HeaderValue {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = self.id.0.hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }

    pub fn to(&mut self, endpoint: Endpoint) {
        self.endpoint = Some(endpoint);
    }

    pub fn of(&mut self, caller: Caller) {
        self.caller = Some(caller);
    }

    /// One of the people whom the key stands for.
    pub fn for_person(&mut self, end_user: Option<EndUserId>) {
        self.end_user = end_user;
    }

    /// What was used up to now, whatever becomes of the answer.
    pub fn used(&mut self, usage: Usage) {
        self.usage = Some(usage);
    }

    pub fn about(&mut self, model: Arc<str>) {
        self.model = Some(model);
    }

    /// The upstream that serves it; it counts as in flight there until this exchange ends.
    pub fn through(&mut self, in_flight: InFlight) {
        self.in_flight = Some(in_flight);
    }

    /// Adds to the time that wasn't ours.
    pub fn waited(&mut self, since: Instant) {
        self.waited += since.elapsed();
    }

    /// The upstream's head has come, after this long.
    pub fn upstream_answered(&mut self, sent: Instant) {
        self.upstream_head = Some(sent.elapsed());
    }

    /// What we ourselves took, up to now.
    #[must_use]
    pub fn overhead(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.waited)
    }

    /// When the request came.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// The first text passes on to the client.
    pub fn first_token(&mut self) {
        if self.first_token.is_none() {
            self.first_token = Some(self.started.elapsed());
        }
    }

    /// An answer of ours that isn't a refusal.
    #[must_use]
    pub fn answered_locally(
        mut self: Box<Self>,
        status: StatusCode,
        response: Response<OutBody>,
    ) -> Response<OutBody> {
        self.outcome = Outcome::Answered(status);
        response
    }

    /// Ends with a refusal.
    pub fn refused(mut self: Box<Self>, reason: Reason) {
        self.outcome = Outcome::Refused(reason);
    }

    /// The answer was passed on whole.
    pub fn answered(mut self: Box<Self>, status: StatusCode, usage: Option<Usage>) {
        self.usage = usage;
        self.outcome = Outcome::Answered(status);
    }

    /// The answer was cut short; what was delivered counts.
    pub fn cut(mut self: Box<Self>, status: StatusCode, reason: Reason, usage: Option<Usage>) {
        self.usage = usage;
        self.outcome = Outcome::Cut(status, reason);
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.recorder.push(RequestRecord {
            id: self.id,
            at: self.at,
            client: self.client,
            client_request_id: self.client_request_id.take(),
            endpoint: self.endpoint,
            caller: self.caller,
            end_user: self.end_user.take(),
            model: self.model.take(),
            upstream: self.in_flight.as_ref().map(|in_flight| in_flight.upstream_name()),
            outcome: self.outcome,
            usage: self.usage,
            first_token: self.first_token,
            upstream_head: self.upstream_head,
            duration: self.started.elapsed(),
        });
    }
}

/// UUIDv7: sorts by time, and its 74 random bits are all that tells two ids of a millisecond apart.
fn new_request_id(at: SystemTime) -> RequestId {
    let millis = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    RequestId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

fn printable(value: &HeaderValue) -> Option<Box<str>> {
    let text = value.to_str().ok()?;
    let kept: String = text.chars().take(CLIENT_ID_BYTES_MAX).collect();
    (!kept.is_empty()).then(|| kept.into())
}
