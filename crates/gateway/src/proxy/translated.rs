//! Send, for an upstream that speaks another dialect than the client: the request goes up
//! translated, and what comes back is either translated here, whole, or handed to the relay with
//! what translates it line by line.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fluxgate_core::{Reason, Usage, glob};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use memchr::memmem;
use tokio::time::timeout;

use super::send::{Answer, AnswerBody, Failure, Outward, Sending, broke_off, names_stream_options};
use crate::dialect::translate::{self, Asked, Lines, Request, Target};
use crate::dialect::{AnswerReader, Dialect, Framing, Refusal, Streamed};
use crate::exchange::Exchange;
use crate::upstream::Upstream;
use crate::upstream::http1::{AnswerHead, Body, BodyError};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const DROPPED: HeaderName = HeaderName::from_static("x-fluxgate-dropped");

impl Sending<'_> {
    /// Sends the request in OpenAI's form and gives the answer in the client's.
    pub(super) async fn translated(
        &self,
        upstream: &Arc<Upstream>,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        let sent = Instant::now();
        let (request, head, body) = self.ask_translated(upstream, exchange).await?;
        let asked = Asked {
            form: request.form,
            model: self.ask.model.clone(),
            started: exchange.started(),
        };
        let mut answer = match body {
            AnswerBody::Coming(body) => self.judge(upstream, head, body)?,
            body => Answer { upstream: Arc::clone(upstream), head, body },
        };
        if answer.head.headers.contains_key(CONTENT_ENCODING) {
            return Err(untranslatable());
        }
        let framing = Framing::of(answer.head.headers.get(CONTENT_TYPE));
        let success = answer.head.status.is_success();
        let streams = success && self.ask.stream && framing == Framing::Sse;
        answer.body = match answer.body {
            AnswerBody::Coming(body) if streams => {
                AnswerBody::Lines(body, Box::new(Lines::new(asked, sent)))
            }
            AnswerBody::Coming(mut body) => {
                let bytes = if success {
                    self.collect(upstream, &mut body, exchange).await?
                } else {
                    self.read(upstream, &mut body).await?
                };
                self.worker.pools.keep(upstream, body);
                if success { self.whole(&asked, bytes, sent)? } else { refused(&bytes) }
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

    /// Sends it, again where the upstream refuses a member that we put in. The answer's body was
    /// read where it is such a refusal of something else.
    async fn ask_translated(
        &self,
        upstream: &Arc<Upstream>,
        exchange: &mut Exchange,
    ) -> Result<(Request, AnswerHead, AnswerBody), Failure> {
        let max_tokens_field = {
            let settings = self.worker.app.settings.load();
            let known = glob::most_specific(&settings.models, self.model);
            known.map(|(_, model)| model.max_tokens_field).unwrap_or_default()
        };
        loop {
            let target = Target {
                model: self.model,
                max_tokens_field,
                extra_fields: upstream.takes_extra_fields(),
            };
            let request =
                translate::request(self.endpoint, self.body, target).map_err(Failure::Final)?;
            let edit = request.usage_edit.as_ref().filter(|_| upstream.takes_stream_usage());
            let outward = Outward { path: request.path, body: &request.body, edits: [None, edit] };
            let (head, mut body) = self.send(upstream, &outward, exchange).await?;
            let doubtful =
                matches!(head.status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
            if !doubtful || (edit.is_none() && request.extras.is_empty()) {
                return Ok((request, head, AnswerBody::Coming(body)));
            }
            let bytes = self.read(upstream, &mut body).await?;
            self.worker.pools.keep(upstream, body);
            if edit.is_some() && names_stream_options(&bytes) {
                upstream.refuse_stream_usage();
            } else if refuses_any(&bytes, &request.extras) {
                upstream.refuse_extra_fields();
            } else {
                return Ok((request, head, AnswerBody::Read(bytes, None)));
            }
        }
    }

    /// A whole answer, which can't be translated in pieces.
    async fn collect(
        &self,
        upstream: &Upstream,
        body: &mut Body,
        exchange: &mut Exchange,
    ) -> Result<Bytes, Failure> {
        let max = self.worker.app.settings.load().limits.body_bytes;
        let left = upstream.settings.request.saturating_sub(exchange.started().elapsed());
        let waiting = Instant::now();
        let collected = timeout(left, body.collect(max)).await;
        exchange.waited(waiting);
        match collected {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(BodyError::TooLarge { .. })) => Err(untranslatable()),
            Ok(Err(_)) => Err(broke_off()),
            Err(_) => {
                let text = "The request took longer than its limit.";
                Err(Failure::Final(Refusal::new(Reason::RequestTimeout, text)))
            }
        }
    }

    fn whole(&self, asked: &Asked, bytes: Bytes, sent: Instant) -> Result<AnswerBody, Failure> {
        let usage = usage_of(&bytes, self.ask.prompt_estimate);
        let translated = translate::document(asked, &bytes, usage, sent);
        let mut translated = translated.map_err(|_| untranslatable())?;
        if self.ask.stream {
            translated = [&*translated, b"\n"].concat().into();
        }
        Ok(AnswerBody::Read(translated, Some(usage)))
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
