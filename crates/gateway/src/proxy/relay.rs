//! Stream, settle, record: an upstream's answer on its way to the client, a piece at a time.
//!
//! A piece is asked of the upstream only when the client has taken the one before, so a slow reader
//! slows the model server down and fills no memory here. Dropped before its end (the client left),
//! it closes the upstream's connection and settles what was delivered.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use fluxgate_core::usage::UsageSource;
use fluxgate_core::{Reason, Usage};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::SizeHint;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::out::CutShort;
use super::send::read_out;
use crate::dialect::translate::Lines;
use crate::dialect::{AnswerReader, Ask, Dialect, Ending, Framing, Streamed};
use crate::exchange::Exchange;
use crate::refusal::Refusal;
use crate::upstream::Upstream;
use crate::upstream::http1::{AnswerHead, Body as UpstreamBody, READ_BYTES_MAX};
use crate::worker::Worker;

/// A comment (WHATWG HTML §9.2) that keeps proxies and clients from giving a silent stream up.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(15);
/// What a stream may pass on before the others of its thread have their turn: with a thousand busy
/// ones, a new request waits for so many times that.
const TURN_BYTES_MAX: usize = READ_BYTES_MAX / 2;

/// Where the answer comes from. Dropped, the upstream's connection is closed.
pub struct Source {
    pub worker: Rc<Worker>,
    pub upstream: Arc<Upstream>,
    pub body: UpstreamBody,
}

/// See the module.
pub struct Relay {
    source: Option<Source>,
    dialect: Dialect,
    /// `None` where the answer is in a coding that we don't undo: it passes unread.
    reader: Option<AnswerReader>,
    /// Pieces that may pass.
    ready: VecDeque<Bytes>,
    /// What came in this turn.
    turn_bytes: usize,
    /// Ends with an error once `ready` is empty.
    broken: bool,
    status: StatusCode,
    prompt_estimate: u64,
    unread_bytes: u64,
    /// `None` once it is settled.
    exchange: Option<Box<Exchange>>,
    wait: Wait,
    /// The request's, whatever part of the answer is still to come.
    end: Instant,
}

/// What is waited for while the upstream is silent. The timer and the watch on our own end cost an
/// allocation each, so they are made only when a stream first has to wait.
#[derive(Default)]
struct Wait {
    since: Option<Instant>,
    comment_at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    aborted: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Relay {
    pub fn new(
        source: Source,
        dialect: Dialect,
        head: &AnswerHead,
        ask: &Ask,
        lines: Option<Box<Lines>>,
        exchange: Box<Exchange>,
    ) -> Self {
        let coded = head
            .headers
            .get(CONTENT_ENCODING)
            .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        let reader = match lines {
            Some(lines) => Some(AnswerReader::translated(lines)),
            None if coded => None,
            None => {
                let framing = Framing::of(head.headers.get(CONTENT_TYPE));
                Some(AnswerReader::new(dialect, framing, Streamed::of(ask)))
            }
        };
        let end = Instant::from_std(exchange.started()) + source.upstream.settings.request;
        let mut relay = Self {
            source: Some(source),
            dialect,
            reader,
            ready: VecDeque::new(),
            turn_bytes: 0,
            broken: false,
            status: head.status,
            prompt_estimate: ask.prompt_estimate,
            unread_bytes: 0,
            exchange: Some(exchange),
            wait: Wait::default(),
            end,
        };
        // Nobody asks for the body of an answer that has none.
        if relay.source.as_ref().is_some_and(|source| source.body.is_over()) {
            relay.finish();
        }
        relay
    }

    /// The next piece.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutShort>>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            let Some(source) = &mut self.source else {
                let error = std::mem::take(&mut self.broken).then_some(Err(CutShort::Upstream));
                return Poll::Ready(error);
            };
            if self.turn_bytes >= TURN_BYTES_MAX {
                self.turn_bytes = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match source.body.poll_data(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    self.wait.since = None;
                    self.turn_bytes += piece.len();
                    self.take(piece);
                }
                Poll::Ready(Some(Err(_))) => self.cut(Reason::UpstreamDied),
                Poll::Ready(None) => self.finish(),
                Poll::Pending => {
                    self.turn_bytes = 0;
                    match ready!(self.poll_wait(cx)) {
                        Waited::Silent => self.ready.push_back(Bytes::from_static(KEEP_ALIVE)),
                        Waited::Over(reason) => self.cut(reason),
                    }
                }
            }
        }
    }

    /// When the answer is given up. Whoever drives the connection keeps this too: nobody asks for a
    /// piece while the client has no room.
    pub const fn end(&self) -> Instant {
        self.end
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        self.source.is_none() && self.ready.is_empty() && !self.broken
    }

    /// Exact for a document whose length the upstream told; of a stream a frame may be withheld.
    pub fn size_hint(&self) -> SizeHint {
        let whole = self.reader.as_ref().is_none_or(|reader| reader.framing() == Framing::Whole);
        match &self.source {
            Some(source) if whole && self.ready.is_empty() => source.body.size_hint(),
            _ => SizeHint::default(),
        }
    }

    fn take(&mut self, piece: Bytes) {
        match &mut self.reader {
            Some(reader) => {
                reader.push(piece, &mut self.ready);
                if reader.has_text()
                    && let Some(exchange) = &mut self.exchange
                {
                    exchange.first_token();
                }
                if reader.is_broken() {
                    return self.cut(Reason::UpstreamBroken);
                }
            }
            None => {
                self.unread_bytes += piece.len() as u64;
                self.ready.push_back(piece);
            }
        }
        // A document's last piece is known as such: it is settled before that passes, since nobody
        // may ask for what comes after. So is the last line of a translated stream.
        let told_all = self.reader.as_ref().is_some_and(AnswerReader::is_over);
        if told_all || self.source.as_ref().is_some_and(|source| source.body.is_over()) {
            self.finish();
        }
    }

    /// The upstream's answer has come to its end.
    fn finish(&mut self) {
        let (rest, ending) = match &mut self.reader {
            Some(reader) => reader.finish(),
            None => (Bytes::new(), Ending::Whole),
        };
        match ending {
            Ending::Whole => {
                if !rest.is_empty() {
                    self.ready.push_back(rest);
                }
                if let Some(Source { worker, upstream, body }) = self.source.take() {
                    read_out(&worker, &upstream, body);
                }
                let usage = self.usage();
                if let Some(exchange) = self.exchange.take() {
                    exchange.answered(self.status, usage);
                }
            }
            // The end mark is missing: what was held is half a frame, and never passes.
            Ending::Cut => {
                let broken = self.reader.as_ref().is_some_and(AnswerReader::is_broken);
                self.cut(if broken { Reason::UpstreamBroken } else { Reason::UpstreamDied });
            }
        }
    }

    /// Ends the answer before its end: with an error frame where one can still be put, else by
    /// cutting the connection.
    fn cut(&mut self, reason: Reason) {
        let usage = self.usage();
        self.source = None;
        let Some(exchange) = self.exchange.take() else { return };
        match self.reader.as_ref().filter(|reader| reader.between_frames()) {
            Some(reader) => {
                let refusal = Refusal::new(reason, sentence(reason));
                let frame = self.dialect.error_frame(&refusal, exchange.id, reader.frames());
                self.ready.push_back(frame);
            }
            None => self.broken = true,
        }
        exchange.cut(self.status, reason, usage);
    }

    /// What the answer used; nothing where it is an error.
    fn usage(&self) -> Option<Usage> {
        if !self.status.is_success() {
            return None;
        }
        Some(match &self.reader {
            Some(reader) => reader.usage(self.prompt_estimate),
            None => Usage {
                prompt: self.prompt_estimate,
                completion: self.unread_bytes.div_ceil(4),
                source: UsageSource::Estimated,
                ..Usage::default()
            },
        })
    }

    /// Waits beside the upstream: for silence that wants a comment, for a limit, for our own end.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Waited> {
        let Some(source) = &self.source else { return Poll::Pending };
        let aborted = self
            .wait
            .aborted
            .get_or_insert_with(|| Box::pin(source.worker.stop.abort.clone().cancelled_owned()));
        if aborted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Waited::Over(Reason::ShuttingDown));
        }
        let comments = self
            .reader
            .as_ref()
            .is_some_and(|reader| reader.framing() == Framing::Sse && reader.between_frames());
        self.wait.poll(cx, comments, source.upstream.settings.idle, self.end)
    }
}

enum Waited {
    /// Long enough for a comment.
    Silent,
    Over(Reason),
}

impl Wait {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        comments: bool,
        idle: Duration,
        end: Instant,
    ) -> Poll<Waited> {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let silent_since = self.comment_at.map_or(since, |at| at.max(since));
        let comment_at = silent_since + KEEP_ALIVE_AFTER;
        let stalled_at = since + idle;
        if now >= end {
            return Poll::Ready(Waited::Over(Reason::RequestTimeout));
        }
        if now >= stalled_at {
            return Poll::Ready(Waited::Over(Reason::UpstreamStalled));
        }
        if comments && now >= comment_at {
            self.comment_at = Some(now);
            return Poll::Ready(Waited::Silent);
        }
        let next = if comments { comment_at.min(stalled_at) } else { stalled_at }.min(end);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
        // It may ring too early, never too late: moving it at each piece would cost more.
        if timer.is_elapsed() || timer.deadline() > next {
            timer.as_mut().reset(next);
        }
        while timer.as_mut().poll(cx).is_ready() {
            timer.as_mut().reset(next);
        }
        Poll::Pending
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            let over = Instant::now() >= self.end;
            let reason = if over { Reason::RequestTimeout } else { Reason::ClientGone };
            let usage = self.usage();
            exchange.cut(self.status, reason, usage);
        }
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("status", &self.status).finish_non_exhaustive()
    }
}

/// What the client is told in an error frame.
const fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::UpstreamStalled => "The model server fell silent in the middle of its answer.",
        Reason::UpstreamBroken => "The model server's answer can't be translated.",
        Reason::RequestTimeout => "The request took longer than its limit.",
        Reason::ShuttingDown => "The gateway is shutting down.",
        _ => "The model server's answer broke off.",
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const IDLE: Duration = Duration::from_secs(40);

    /// What a silent stream comes to, and after how many seconds.
    async fn silence(wait: &mut Wait, comments: bool, end: Instant) -> (u64, &'static str) {
        let began = Instant::now();
        let waited = poll_fn(|cx| wait.poll(cx, comments, IDLE, end)).await;
        let name = match waited {
            Waited::Silent => "comment",
            Waited::Over(reason) => reason.code(),
        };
        (began.elapsed().as_secs(), name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_gets_a_comment_each_15_s_until_it_is_given_up() {
        let (mut wait, end) = (Wait::default(), Instant::now() + Duration::from_secs(3_600));
        assert_eq!(silence(&mut wait, true, end).await, (15, "comment"));
        assert_eq!(silence(&mut wait, true, end).await, (15, "comment"));
        assert_eq!(silence(&mut wait, true, end).await, (10, "upstream_stalled"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_begins_the_silence_anew() {
        let (mut wait, end) = (Wait::default(), Instant::now() + Duration::from_secs(3_600));
        for _ in 0..5 {
            let until = poll_fn(|cx| wait.poll(cx, true, IDLE, end));
            assert!(tokio::time::timeout(Duration::from_secs(14), until).await.is_err());
            wait.since = None;
        }
        assert_eq!(silence(&mut wait, true, end).await, (15, "comment"));
    }

    #[tokio::test(start_paused = true)]
    async fn no_comment_stands_where_none_may_and_the_requests_end_is_kept() {
        let mut wait = Wait::default();
        let end = Instant::now() + Duration::from_secs(20);
        assert_eq!(silence(&mut wait, false, end).await, (20, "request_timeout"));
        let (mut wait, end) = (Wait::default(), Instant::now() + Duration::from_secs(3_600));
        assert_eq!(silence(&mut wait, false, end).await, (40, "upstream_stalled"));
    }
}
