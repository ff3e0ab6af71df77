//! Choose and send: the request goes to the upstream that has the least under way, and to the next
//! one where nothing of it could be sent. Ends with the head of an answer, or with a refusal.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fluxgate_core::{Reason, Usage};
use http::header::{HeaderMap, RETRY_AFTER as RETRY_AFTER_HEADER};
use http::request::Parts;
use http::{HeaderName, Method, StatusCode};
use memchr::memmem;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::body::splice;
use super::choose::{self, Way};
use super::headers;
use crate::dialect::translate::Lines;
use crate::dialect::{Ask, Edit};
use crate::exchange::Exchange;
use crate::header_policy::comes_back;
use crate::refusal::Refusal;
use crate::router::Endpoint;
use crate::upstream::Upstream;
use crate::upstream::catalog::Offer;
use crate::upstream::http1::{AnswerHead, Body, Outgoing, RequestHead, SendError};
use crate::worker::Worker;

/// Until something that failed just now may work again.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);
/// The most that is read of an answer which we look into, or read only to keep its connection.
const ERROR_BYTES_MAX: usize = 1024 * 1024;
/// How long the rest of a refused answer is waited for.
const REST_WITHIN: Duration = Duration::from_secs(1);

/// A request that is ready to go up.
pub struct Sending<'a> {
    pub worker: &'a Rc<Worker>,
    pub endpoint: Endpoint,
    pub head: &'a Parts,
    pub body: &'a Bytes,
    pub ask: &'a Ask,
    /// It names whom the request is for, and stays here.
    pub end_user_header: Option<&'a HeaderName>,
    /// The model as the catalog names it.
    pub model: &'a Arc<str>,
    /// Puts its name into the body, where the client named an alias.
    pub model_edit: Option<Edit>,
}

/// What goes up to one upstream.
pub(super) struct Outward<'a> {
    pub path: &'a str,
    pub body: &'a Bytes,
    pub edits: [Option<&'a Edit>; 2],
    /// The body is ours, not the client's.
    pub rewritten: bool,
}

/// An upstream's answer that is passed on.
pub struct Answer {
    pub upstream: Arc<Upstream>,
    pub head: AnswerHead,
    pub body: AnswerBody,
}

pub enum AnswerBody {
    /// We had to read it; what it used, where it tells.
    Read(Bytes, Option<Usage>),
    Coming(Body),
    /// Translated as it comes.
    Lines(Body, Box<Lines>),
}

/// Why one upstream gave no answer that could be passed on.
pub(super) enum Failure {
    /// It saw nothing of the request: another may be tried.
    Unreached(Refusal),
    /// It doesn't have the route: another may.
    NotOffered,
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
        let (mut tried, mut failure) = (0, None);
        loop {
            let now = Instant::now();
            let rank = |upstream: &Upstream| choose::rank_for(upstream, self.endpoint, now);
            let Some((index, upstream)) = offer.best(rank, tried) else { break };
            tried |= 1 << index;
            exchange.through(upstream.enter());
            match self.to(upstream, exchange).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Unreached(refusal)) => failure = Some(refusal),
                Err(Failure::NotOffered) => {}
                Err(Failure::Final(refusal)) => return Err(refusal),
            }
        }
        Err(failure.unwrap_or_else(|| not_offered(self.endpoint, offer)))
    }

    async fn to(
        &self,
        upstream: &Arc<Upstream>,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        let kind = upstream.kind();
        let way = kind.and_then(|kind| choose::way(self.endpoint.dialect(), kind));
        if let Some((_, Way::Translated)) = way {
            return self.translated(upstream, exchange).await;
        }
        let usage_edit = self.ask.usage_edit.as_ref().filter(|_| upstream.takes_stream_usage());
        let mut outward = Outward {
            path: self.endpoint.path(),
            body: self.body,
            edits: [self.model_edit.as_ref(), usage_edit],
            rewritten: false,
        };
        let (head, mut body) = self.send(upstream, &outward, exchange).await?;
        if let Some(route) = self.endpoint.optional()
            && matches!(head.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
        {
            let bytes = self.read(upstream, &mut body).await?;
            self.worker.pools.keep(upstream, body);
            if head.status == StatusCode::METHOD_NOT_ALLOWED || !names_a_model(&bytes) {
                upstream.offers_not(route, Instant::now());
                return Err(Failure::NotOffered);
            }
            let body = AnswerBody::Read(bytes, None);
            return Ok(Answer { upstream: Arc::clone(upstream), head, body });
        }
        if usage_edit.is_some() && head.status == StatusCode::BAD_REQUEST {
            let bytes = self.read(upstream, &mut body).await?;
            self.worker.pools.keep(upstream, body);
            if !names_stream_options(&bytes) {
                let body = AnswerBody::Read(bytes, None);
                return Ok(Answer { upstream: Arc::clone(upstream), head, body });
            }
            // It doesn't know the field that we put in: once more, as the client wrote it.
            outward.edits = [self.model_edit.as_ref(), None];
            let (head, body) = self.send(upstream, &outward, exchange).await?;
            if head.status != StatusCode::BAD_REQUEST {
                upstream.refuse_stream_usage();
            }
            return self.judge(upstream, head, body);
        }
        self.judge(upstream, head, body)
    }

    pub(super) async fn send(
        &self,
        upstream: &Arc<Upstream>,
        outward: &Outward<'_>,
        exchange: &mut Exchange,
    ) -> Result<(AnswerHead, Body), Failure> {
        let body = splice(outward.body, outward.edits.into_iter().flatten().collect());
        let bytes = body.iter().map(Bytes::len).sum();
        let head = self.head(upstream, outward, bytes, exchange);
        let request = Outgoing { head: &head, body: &body };
        let sent = Instant::now();
        let answer = self.worker.pools.send(upstream, request, comes_back);
        let answer = timeout(upstream.settings.first_byte, answer).await;
        exchange.waited(sent);
        match answer {
            Ok(Ok(answered)) => {
                exchange.upstream_answered(sent);
                upstream.answered();
                Ok(answered)
            }
            Ok(Err(error)) => Err(failure(upstream, &error)),
            Err(_) => {
                let text = "The model server didn't begin to answer in time.";
                Err(Failure::Final(Refusal::new(Reason::UpstreamTimeout, text)))
            }
        }
    }

    /// An error's body, which we have to look into.
    pub(super) async fn read(
        &self,
        upstream: &Upstream,
        body: &mut Body,
    ) -> Result<Bytes, Failure> {
        match timeout(upstream.settings.idle, body.collect(ERROR_BYTES_MAX)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => Err(broke_off()),
            Err(_) => Err(silent()),
        }
    }

    fn head(
        &self,
        upstream: &Upstream,
        outward: &Outward<'_>,
        body_bytes: usize,
        exchange: &Exchange,
    ) -> RequestHead {
        let path = [&*upstream.base_path, outward.path];
        let mut head = RequestHead::new(&Method::POST, path, &upstream.host);
        let client = headers::OfClient {
            all: &self.head.headers,
            private: self.end_user_header,
            rewritten: outward.rewritten,
        };
        headers::upwards(client, upstream, &exchange.id_header(), &mut head);
        head.end(body_bytes)
    }

    /// What an answer's status means for the client.
    pub(super) fn judge(
        &self,
        upstream: &Arc<Upstream>,
        head: AnswerHead,
        body: Body,
    ) -> Result<Answer, Failure> {
        let refusal = match head.status.as_u16() {
            200..=299 | 400 | 402 | 404..=499 => {
                let body = AnswerBody::Coming(body);
                return Ok(Answer { upstream: Arc::clone(upstream), head, body });
            }
            300..=399 => {
                Refusal::new(Reason::UpstreamRedirect, "The model server answered with a redirect.")
            }
            401 | 403 => {
                warn!(upstream = %upstream.settings.name, status = head.status.as_u16(), "an upstream refuses our credential");
                let text = "The model server refuses the gateway's credential.";
                Refusal::new(Reason::UpstreamAuth, text)
            }
            503 => Refusal::new(Reason::UpstreamOverloaded, "The model server can't serve now.")
                .retry_after(retry_after(&head.headers).unwrap_or(RETRY_AFTER)),
            code => {
                debug!(upstream = %upstream.settings.name, status = code, "upstream error");
                Refusal::new(Reason::UpstreamError, "The model server failed.")
            }
        };
        read_out(self.worker, upstream, body);
        Err(Failure::Final(refusal))
    }
}

/// Reads what is left of an answer that nobody waits for, so that its connection can be kept.
pub fn read_out(worker: &Rc<Worker>, upstream: &Arc<Upstream>, mut body: Body) {
    if body.is_over() {
        return worker.pools.keep(upstream, body);
    }
    let (worker, upstream) = (Rc::clone(worker), Arc::clone(upstream));
    // Bounded in time and bytes, and owned by the data thread that it runs on.
    tokio::task::spawn_local(async move {
        if let Ok(Ok(())) = timeout(REST_WITHIN, body.discard(ERROR_BYTES_MAX)).await {
            worker.pools.keep(&upstream, body);
        }
    });
}

fn failure(upstream: &Upstream, error: &SendError) -> Failure {
    let first = match error {
        SendError::Dial(_) => upstream.failed(),
        SendError::Unsent | SendError::Ended | SendError::Io(_) | SendError::BadHead(_) => false,
    };
    if first {
        warn!(upstream = %upstream.settings.name, %error, "an upstream can't be reached");
    } else {
        debug!(upstream = %upstream.settings.name, %error, "an upstream gave no answer");
    }
    match error {
        SendError::Dial(_) | SendError::Unsent => Failure::Unreached(unavailable()),
        SendError::Ended | SendError::Io(_) => Failure::Final(Refusal::new(
            Reason::UpstreamBroken,
            "The model server ended the connection before it answered.",
        )),
        SendError::BadHead(_) => Failure::Final(Refusal::new(
            Reason::UpstreamBroken,
            "The model server's answer isn't HTTP as it must be.",
        )),
    }
}

/// Of those that could be asked none has the route.
fn not_offered(endpoint: Endpoint, offer: &Offer) -> Refusal {
    let asked: Vec<&str> = offer
        .upstreams
        .iter()
        .filter(|upstream| choose::rank(upstream, endpoint.dialect()).is_some())
        .map(|upstream| &*upstream.settings.name)
        .collect();
    if asked.is_empty() || endpoint.optional().is_none() {
        return unavailable();
    }
    let text = format!(
        "The model servers that offer this model don't have {}: {}.",
        endpoint.path(),
        asked.join(", ")
    );
    Refusal::new(Reason::RouteNotOffered, text)
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

pub(super) fn silent() -> Failure {
    let text = "The model server fell silent in the middle of its answer.";
    Failure::Final(Refusal::new(Reason::UpstreamStalled, text))
}

pub(super) fn broke_off() -> Failure {
    let text = "The model server's answer broke off.";
    Failure::Final(Refusal::new(Reason::UpstreamBroken, text))
}

/// A 404 about a model names it so; one about the route doesn't.
fn names_a_model(body: &[u8]) -> bool {
    memmem::find(&body.to_ascii_lowercase(), b"model").is_some()
}

pub(super) fn names_stream_options(body: &[u8]) -> bool {
    ["stream_options", "include_usage"]
        .iter()
        .any(|name| memmem::find(body, name.as_bytes()).is_some())
}
