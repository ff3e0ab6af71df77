//! Choose and send: the request goes to the upstream that has the least under way, and to the next
//! one where nothing of it could be sent. Ends with the head of an answer, or with a refusal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fluxgate_core::Reason;
use http::header::{HeaderMap, RETRY_AFTER as RETRY_AFTER_HEADER};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use memchr::memmem;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::body::UpBody;
use super::headers;
use crate::dialect::{Ask, Refusal};
use crate::exchange::Exchange;
use crate::router::Endpoint;
use crate::upstream::Upstream;
use crate::upstream::catalog::Offer;
use crate::upstream::pool::{Lease, SendError};
use crate::worker::Worker;

/// Until something that failed just now may work again.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);
/// The most that is read of an answer which we look into, or read only to keep its connection.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// How long the rest of a refused answer is waited for.
const REST_WITHIN: Duration = Duration::from_secs(1);

/// A request that is ready to go up.
pub struct Sending<'a> {
    pub worker: &'a std::rc::Rc<Worker>,
    pub endpoint: Endpoint,
    pub head: &'a Parts,
    pub body: &'a Bytes,
    pub ask: &'a Ask,
}

/// An upstream's answer that is passed on.
pub struct Answer {
    pub upstream: Arc<Upstream>,
    pub body: AnswerBody,
    status: StatusCode,
    headers: HeaderMap,
}

pub enum AnswerBody {
    /// We had to read it.
    Read(Bytes),
    Coming(Incoming, Lease),
}

/// The head of an answer.
pub struct AnswerHead {
    pub status: StatusCode,
    pub headers: HeaderMap,
}

impl Answer {
    /// The head; the answer has none afterwards.
    pub fn take_head(&mut self) -> AnswerHead {
        AnswerHead { status: self.status, headers: std::mem::take(&mut self.headers) }
    }
}

/// Why one upstream gave no answer that could be passed on.
enum Failure {
    /// It saw nothing of the request: another may be tried.
    Unreached(Refusal),
    Final(Refusal),
}

impl Sending<'_> {
    /// Sends to the upstreams of the offer, one after the other, until one has seen the request.
    ///
    /// # Errors
    /// The last upstream's failure, as a refusal.
    pub async fn to_one_of(
        &self,
        offer: &Offer,
        exchange: &mut Exchange,
    ) -> Result<Answer, Refusal> {
        let dialect = self.endpoint.dialect();
        let (mut tried, mut failure) = (0, unavailable());
        while let Some((index, upstream)) =
            offer.best(|kind| dialect.fits(kind), tried, Instant::now())
        {
            tried |= 1 << index;
            exchange.through(upstream.enter());
            match self.to(upstream, exchange).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Unreached(refusal)) => failure = refusal,
                Err(Failure::Final(refusal)) => return Err(refusal),
            }
        }
        Err(failure)
    }

    async fn to(
        &self,
        upstream: &Arc<Upstream>,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        let asks_usage = upstream.takes_stream_usage() && !self.ask.edits.is_empty();
        let (response, lease) = self.send(upstream, asks_usage, exchange).await?;
        if asks_usage && response.status() == StatusCode::BAD_REQUEST {
            let (head, body) = response.into_parts();
            let bytes = read_whole(body).await.map_err(Failure::Final)?;
            self.worker.pools.keep(lease);
            if !names_stream_options(&bytes) {
                return Ok(Answer {
                    upstream: Arc::clone(upstream),
                    body: AnswerBody::Read(bytes),
                    status: head.status,
                    headers: head.headers,
                });
            }
            // It doesn't know the field that we put in: once more, as the client wrote it.
            upstream.refuse_stream_usage();
            let (response, lease) = self.send(upstream, false, exchange).await?;
            return self.judge(upstream, response, lease);
        }
        self.judge(upstream, response, lease)
    }

    async fn send(
        &self,
        upstream: &Arc<Upstream>,
        asks_usage: bool,
        exchange: &mut Exchange,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let request = self.request(upstream, asks_usage, exchange);
        let sent = Instant::now();
        let answer =
            timeout(upstream.settings.first_byte, self.worker.pools.send(upstream, request));
        let answer = answer.await;
        exchange.upstream_answered(sent);
        match answer {
            Ok(Ok(answered)) => {
                upstream.answered();
                Ok(answered)
            }
            Ok(Err((error, unsent))) => Err(failure(upstream, &error, unsent.is_some())),
            Err(_) => {
                let text = "The model server didn't begin to answer in time.";
                Err(Failure::Final(Refusal::new(Reason::UpstreamTimeout, text)))
            }
        }
    }

    fn request(
        &self,
        upstream: &Upstream,
        asks_usage: bool,
        exchange: &Exchange,
    ) -> Request<UpBody> {
        let edits = if asks_usage { self.ask.edits.as_slice() } else { &[] };
        let mut request = Request::new(UpBody::new(self.body, edits));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri(upstream, self.endpoint);
        *request.headers_mut() =
            headers::upwards(&self.head.headers, upstream, exchange.id_header());
        request
    }

    /// What an answer's status means for the client.
    fn judge(
        &self,
        upstream: &Arc<Upstream>,
        response: Response<Incoming>,
        lease: Lease,
    ) -> Result<Answer, Failure> {
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let refusal = match status.as_u16() {
            200..=299 | 400 | 402 | 404..=500 if !status.is_server_error() => {
                let (head, body) = response.into_parts();
                return Ok(Answer {
                    upstream: Arc::clone(upstream),
                    body: AnswerBody::Coming(body, lease),
                    status,
                    headers: head.headers,
                });
            }
            300..=399 => {
                Refusal::new(Reason::UpstreamRedirect, "The model server answered with a redirect.")
            }
            401 | 403 => {
                warn!(upstream = %upstream.settings.name, status = status.as_u16(), "an upstream refuses our credential");
                let text = "The model server refuses the gateway's credential.";
                Refusal::new(Reason::UpstreamAuth, text)
            }
            503 => Refusal::new(Reason::UpstreamOverloaded, "The model server can't serve now.")
                .retry_after(retry_after.unwrap_or(RETRY_AFTER)),
            code => {
                debug!(upstream = %upstream.settings.name, status = code, "upstream error");
                Refusal::new(Reason::UpstreamError, "The model server failed.")
            }
        };
        self.drain(response.into_body(), lease);
        Err(Failure::Final(refusal))
    }

    /// Reads what is left of an answer that isn't passed on, so that its connection can be kept.
    fn drain(&self, body: Incoming, lease: Lease) {
        let worker = std::rc::Rc::clone(self.worker);
        // Bounded in time and bytes, and owned by the data thread that it runs on.
        tokio::task::spawn_local(async move {
            if let Ok(Ok(_)) = timeout(REST_WITHIN, read_whole(body)).await {
                worker.pools.keep(lease);
            }
        });
    }
}

fn uri(upstream: &Upstream, endpoint: Endpoint) -> Uri {
    if upstream.base_path.is_empty() {
        return Uri::from_static(endpoint.path());
    }
    let path = [&*upstream.base_path, endpoint.path()].concat();
    // Both halves were parsed as paths before.
    Uri::try_from(path).unwrap_or_else(|_| Uri::from_static(endpoint.path()))
}

fn failure(upstream: &Upstream, error: &SendError, unsent: bool) -> Failure {
    let first = match error {
        SendError::Dial(_) => upstream.failed(Instant::now()),
        SendError::Broken(_) => false,
    };
    if first {
        warn!(upstream = %upstream.settings.name, %error, "an upstream can't be reached");
    } else {
        debug!(upstream = %upstream.settings.name, %error, "an upstream gave no answer");
    }
    match error {
        SendError::Dial(_) => Failure::Unreached(unavailable()),
        SendError::Broken(_) if unsent => Failure::Unreached(unavailable()),
        SendError::Broken(_) => Failure::Final(Refusal::new(
            Reason::UpstreamBroken,
            "The model server ended the connection before it answered.",
        )),
    }
}

fn unavailable() -> Refusal {
    let text = "No model server that offers this model can be reached.";
    Refusal::new(Reason::UpstreamUnavailable, text).retry_after(RETRY_AFTER)
}

/// Whole seconds; a date (RFC 9110 §10.2.3) isn't used by model servers.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER_HEADER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read_whole(body: Incoming) -> Result<Bytes, Refusal> {
    let whole = Limited::new(body, ERROR_BYTES_MAX).collect().await;
    whole
        .map(http_body_util::Collected::to_bytes)
        .map_err(|_| Refusal::new(Reason::UpstreamBroken, "The model server's answer broke off."))
}

fn names_stream_options(body: &[u8]) -> bool {
    ["stream_options", "include_usage"]
        .iter()
        .any(|name| memmem::find(body, name.as_bytes()).is_some())
}
