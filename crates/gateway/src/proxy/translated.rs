//! Send, for an upstream that speaks another dialect than the client: the request goes up
//! translated, and what comes back is either translated here, whole, or handed to the relay with
//! what translates it line by line.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use fluxgate_core::{Reason, Usage, glob};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use memchr::memmem;
use tokio::time::timeout;

use super::body::Held;
use super::send::{
    Answer, AnswerBody, Failure, Outward, Sending, broke_off, names_stream_options, silent,
};
use crate::dialect::translate::{self, Asked, Lines, Request, Target, Untranslatable};
use crate::dialect::{AnswerReader, Dialect, Framing, Streamed};
use crate::exchange::Exchange;
use crate::refusal::Refusal;
use crate::upstream::Upstream;
use crate::upstream::http1::{AnswerHead, Body};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const DROPPED: HeaderName = HeaderName::from_static("x-fluxgate-dropped");

/// What of an answer is translated on the data thread itself: more would keep its streams waiting.
const HERE_BYTES_MAX: usize = 256 * 1024;
/// A whole answer: a batch of embeddings may be long.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A translated request's answer, its head at least.
struct Asking {
    request: Request,
    head: AnswerHead,
    body: AnswerBody,
    /// The translated request's share of the budget.
    _held: Held,
}

impl Sending<'_> {
    /// Sends the request in OpenAI's form and gives the answer in the client's.
    pub(super) async fn translated(
        &self,
        upstream: &Arc<Upstream>,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        let sent = Instant::now();
        let Asking { request, head, body, .. } = self.ask_translated(upstream, exchange).await?;
        let asked = Asked {
            form: request.form,
            vectors: request.vectors,
            model: self.ask.model.clone(),
            started: exchange.started(),
        };
        let mut answer = match body {
            AnswerBody::Coming(body) => self.judge(upstream, head, body)?,
            body => Answer { upstream: Arc::clone(upstream), head, body },
        };
        let coding = answer.head.headers.get(CONTENT_ENCODING);
        if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(untranslatable());
        }
        let framing = Framing::of(answer.head.headers.get(CONTENT_TYPE));
        let success = answer.head.status.is_success();
        answer.body = match answer.body {
            AnswerBody::Coming(body) if success && self.ask.stream && framing == Framing::Sse => {
                AnswerBody::Lines(body, Box::new(Lines::new(asked, sent)))
            }
            AnswerBody::Coming(body) if success => {
                self.whole(upstream, body, asked, sent, exchange).await?
            }
            AnswerBody::Coming(mut body) => {
                let bytes = self.read(upstream, &mut body).await?;
                self.worker.pools.keep(upstream, body);
                refused(&bytes)
            }
            AnswerBody::Read(bytes, _) => refused(&bytes),
            AnswerBody::Lines(..) => return Err(untranslatable()),
        };
        let content_type = if success && self.ask.stream { NDJSON } else { JSON };
        answer.head.headers.insert(CONTENT_TYPE, content_type);
        if let Some(dropped) = request.dropped.header() {
            answer.head.headers.insert(DROPPED, dropped);
        }
        Ok(answer)
    }

    /// Sends it, again where the upstream refuses a member that we put in. That it does is
    /// remembered once it took the request without. The answer's body was read where it is such a
    /// refusal of something else.
    async fn ask_translated(
        &self,
        upstream: &Arc<Upstream>,
        exchange: &mut Exchange,
    ) -> Result<Asking, Failure> {
        let now = Instant::now();
        let (mut usage, mut extras) =
            (upstream.takes_stream_usage(), upstream.takes_extra_fields(now));
        let (mut without_usage, mut without_extras) = (false, false);
        loop {
            let (request, held) = self.translate(extras).await?;
            let edit = request.usage_edit.as_ref().filter(|_| usage);
            let outward = Outward {
                path: request.path,
                body: &request.body,
                edits: [None, edit],
                rewritten: true,
            };
            let asked_usage = edit.is_some();
            let (head, mut body) = self.send(upstream, &outward, exchange).await?;
            let doubtful =
                matches!(head.status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
            if !doubtful {
                if without_usage {
                    upstream.refuse_stream_usage();
                }
                if without_extras {
                    upstream.refuse_extra_fields(now);
                }
            }
            if !doubtful || !asked_usage && request.extras.is_empty() {
                let body = AnswerBody::Coming(body);
                return Ok(Asking { request, head, body, _held: held });
            }
            let bytes = self.read(upstream, &mut body).await?;
            self.worker.pools.keep(upstream, body);
            if asked_usage && names_stream_options(&bytes) {
                (usage, without_usage) = (false, true);
            } else if refuses_any(&bytes, &request.extras) {
                (extras, without_extras) = (false, true);
            } else {
                let body = AnswerBody::Read(bytes, None);
                return Ok(Asking { request, head, body, _held: held });
            }
        }
    }

    /// The request in OpenAI's form, and its share of the budget.
    async fn translate(&self, extra_fields: bool) -> Result<(Request, Held), Failure> {
        let settings = self.worker.app.settings.load_full();
        let known = glob::most_specific(&settings.models, self.model);
        let max_tokens_field = known.map(|(_, model)| model.max_tokens_field).unwrap_or_default();
        let (endpoint, model) = (self.endpoint, Arc::clone(self.model));
        let body = self.body.clone();
        let work = move |body: &[u8]| {
            let target = Target { model: &model, max_tokens_field, extra_fields };
            translate::request(endpoint, body, target)
        };
        let request = if body.len() <= HERE_BYTES_MAX {
            work(&body)
        } else {
            self.elsewhere(move || work(&body)).await?
        };
        let request = request.map_err(Failure::Final)?;
        let mut held = self.worker.app.bodies.share();
        let grown = held.grow(request.body.len(), settings.limits.bodies_in_flight_bytes);
        grown.map(|()| (request, held)).map_err(Failure::Final)
    }

    /// A whole answer, which can't be translated in pieces.
    async fn whole(
        &self,
        upstream: &Arc<Upstream>,
        body: Body,
        asked: Asked,
        sent: Instant,
        exchange: &mut Exchange,
    ) -> Result<AnswerBody, Failure> {
        // Whatever becomes of it, the prompt was read.
        exchange.used(Usage { prompt: self.ask.prompt_estimate, ..Usage::default() });
        let waiting = Instant::now();
        let collected = self.collect(upstream, body, exchange.started()).await;
        exchange.waited(waiting);
        let (bytes, _held) = collected?;
        let size = bytes.len();
        let usage = usage_of(&bytes, self.ask.prompt_estimate);
        exchange.used(usage);
        let lines = self.ask.stream;
        // Some servers tell of a failure with a status of success.
        let said = if size <= HERE_BYTES_MAX { translate::words(&bytes) } else { None };
        let work = move || {
            let mut translated = translate::document(&asked, &bytes, usage, sent)?.to_vec();
            if lines {
                translated.push(b'\n');
            }
            Ok::<_, Untranslatable>(Bytes::from(translated))
        };
        let translated = if size <= HERE_BYTES_MAX { work() } else { self.elsewhere(work).await? };
        match translated {
            Ok(translated) => Ok(AnswerBody::Read(translated, Some(usage))),
            Err(Untranslatable) => Err(said.map_or_else(untranslatable, |words| {
                Failure::Final(Refusal::new(Reason::UpstreamError, words))
            })),
        }
    }

    /// Reads an answer to its end, within the limits of its silence, its time and its size.
    async fn collect(
        &self,
        upstream: &Arc<Upstream>,
        mut body: Body,
        started: Instant,
    ) -> Result<(Bytes, Held), Failure> {
        let in_all_max = self.worker.app.settings.load().limits.bodies_in_flight_bytes;
        let end = started + upstream.settings.request;
        let (mut whole, mut held) = (BytesMut::new(), self.worker.app.bodies.share());
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let piece = poll_fn(|cx| body.poll_data(cx));
            let piece = match timeout(upstream.settings.idle.min(left), piece).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(Some(Err(_))) => return Err(broke_off()),
                Ok(None) => break,
                Err(_) if left < upstream.settings.idle => {
                    let text = "The request took longer than its limit.";
                    return Err(Failure::Final(Refusal::new(Reason::RequestTimeout, text)));
                }
                Err(_) => return Err(silent()),
            };
            if whole.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(untranslatable());
            }
            held.grow(piece.len(), in_all_max).map_err(Failure::Final)?;
            whole.extend_from_slice(&piece);
        }
        self.worker.pools.keep(upstream, body);
        Ok((whole.freeze(), held))
    }

    /// Work that would keep the streams of this thread waiting.
    async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        self.worker.app.control.spawn_blocking(work).await.map_err(|_| {
            let text = "The gateway failed; its log has the cause.";
            Failure::Final(Refusal::new(Reason::Internal, text))
        })
    }
}

fn refused(bytes: &[u8]) -> AnswerBody {
    AnswerBody::Read(translate::error(bytes), None)
}

fn usage_of(document: &Bytes, prompt_estimate: u64) -> Usage {
    let mut reader = AnswerReader::new(Dialect::OpenAi, Framing::Whole, Streamed::PLAIN);
    reader.push(document.clone(), &mut Default::default());
    reader.usage(prompt_estimate)
}

/// How servers say that they don't know a member of a request.
const UNKNOWN: [&str; 7] = [
    "unknown",
    "unrecognized",
    "unsupported",
    "not supported",
    "not permitted",
    "not allowed",
    "unexpected",
];

/// Whether a refusal says that a member of this name isn't known, rather than that its value is
/// wrong.
fn refuses_any(body: &[u8], names: &[&str]) -> bool {
    let body = body.to_ascii_lowercase();
    let says =
        |words: &[&str]| words.iter().any(|word| memmem::find(&body, word.as_bytes()).is_some());
    says(names) && says(&UNKNOWN)
}

fn untranslatable() -> Failure {
    let text = "The model server's answer can't be translated.";
    Failure::Final(Refusal::new(Reason::UpstreamBroken, text))
}
