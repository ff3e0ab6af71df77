//! The body of an answer on its way to the client: paced, cut, merged, or broken off, as told.
//! Knows frames of bytes, not what they say.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::SizeHint;
use tokio::time::{Instant, Sleep};

use crate::behaviour::Behaviour;
use crate::reply::{Frame, ReplyBody, SSE};
use crate::stats::Counted;
use crate::wire::Line;

/// How many frames `merge` puts into one write.
const MERGED_FRAMES: usize = 16;
/// From this frame of a stream on, `wrong-json` breaks the first that carries a token: clients may pass over
/// others, such as a ping.
const BROKEN_FRAME: u32 = 2;
/// A reset throws away what hyper and the system have not sent yet: many small pieces wait for the
/// acknowledgement of those before them, which may come 40 ms late.
const LAST_WORDS_TAKE: Duration = Duration::from_millis(60);

/// The answer was to break off here.
#[derive(Debug, thiserror::Error)]
#[error("told to break the answer off")]
pub(crate) struct BrokenOff;

pub(crate) struct AnswerBody {
    frames: Box<dyn Iterator<Item = Frame> + Send>,
    /// Frames that the next write carries.
    gathered: Vec<Bytes>,
    /// What was gathered and is not written yet.
    rest: Bytes,
    length: Option<u64>,
    left_bytes: u64,
    frames_taken: u32,
    behaviour: Behaviour,
    sse: bool,
    pace: Pacer,
    breath: Breath,
    /// The wait before a reset.
    dying: Option<Pin<Box<Sleep>>>,
    finished: bool,
    counted: Counted,
    line: Arc<Line>,
}

/// Whether hyper was given the chance to write out what it has: it does so when a body has nothing ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breath {
    Due,
    Taken,
}

impl AnswerBody {
    pub(crate) fn new(
        body: ReplyBody,
        content_type: &str,
        mut behaviour: Behaviour,
        pace: Duration,
        counted: Counted,
        line: Arc<Line>,
    ) -> Self {
        let (frames, length): (Box<dyn Iterator<Item = Frame> + Send>, _) = match body {
            ReplyBody::Frames(frames) => (Box::new(frames.fuse()), None),
            ReplyBody::Whole { mut bytes, .. } => {
                if behaviour.wrong_json {
                    bytes.truncate(bytes.len() / 2);
                }
                behaviour.wrong_json = false;
                let length = bytes.len() as u64;
                let first = bytes.split_to(if breaks_off(&behaviour) {
                    bytes.len() / 2
                } else {
                    bytes.len()
                });
                behaviour.die_after = behaviour.die_after.map(|_| 1);
                behaviour.stall_after = behaviour.stall_after.map(|_| 1);
                let frames =
                    [first, bytes].into_iter().map(|bytes| Frame { bytes, tokens: 0 }).fuse();
                (Box::new(frames), Some(length))
            }
        };
        Self {
            frames,
            gathered: Vec::new(),
            rest: Bytes::new(),
            length,
            left_bytes: length.unwrap_or(u64::MAX),
            frames_taken: 0,
            behaviour,
            sse: content_type == SSE,
            pace: Pacer::new(pace),
            breath: Breath::Taken,
            dying: None,
            finished: false,
            counted,
            line,
        }
    }

    /// Everything was said, or broken off on purpose: a drop from here on is no cancellation.
    fn finish(&mut self) {
        self.finished = true;
        self.counted.done();
    }

    /// Gathers what the next write carries, waiting for its time.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<More> {
        let wanted = if self.behaviour.merge { MERGED_FRAMES } else { 1 };
        loop {
            ready!(self.pace.poll_due(cx));
            let next = if self.gathered.len() >= wanted { None } else { self.next_frame() };
            match next {
                Some(Next::Frame(bytes)) => self.gathered.push(bytes),
                Some(Next::Stop(more)) if self.gathered.is_empty() => return Poll::Ready(more),
                Some(Next::Stop(_)) | None => {
                    self.rest = join(&mut self.gathered);
                    return Poll::Ready(More::Bytes);
                }
            }
        }
    }

    fn next_frame(&mut self) -> Option<Next> {
        if let Some(stop) = self.stop() {
            return Some(Next::Stop(stop));
        }
        let Some(frame) = self.frames.next() else {
            return Some(Next::Stop(More::End));
        };
        self.pace.take(frame.tokens);
        let bytes = self.disfigured(frame);
        self.frames_taken = self.frames_taken.saturating_add(1);
        Some(Next::Frame(bytes))
    }

    fn stop(&self) -> Option<More> {
        let reached = |after: Option<u32>| after.is_some_and(|after| self.frames_taken >= after);
        if reached(self.behaviour.die_after) {
            return Some(More::Die);
        }
        reached(self.behaviour.stall_after).then_some(More::Stall)
    }

    fn disfigured(&mut self, frame: Frame) -> Bytes {
        let Frame { mut bytes, tokens } = frame;
        if self.behaviour.wrong_json && self.frames_taken >= BROKEN_FRAME && tokens > 0 {
            self.behaviour.wrong_json = false;
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            let end: &[u8] = if self.sse { b"\n\n" } else { b"\n" };
            bytes = [half, end].concat().into();
        }
        if self.behaviour.crlf && self.sse {
            // JSON escapes its line feeds: those that stand in a frame are the frame's own.
            bytes =
                bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]).into();
        }
        bytes
    }

    /// The next bytes to write.
    fn piece(&mut self) -> Bytes {
        let piece = match self.behaviour.split_bytes {
            Some(size) if size.get() < self.rest.len() => self.rest.split_to(size.get()),
            _ => std::mem::take(&mut self.rest),
        };
        self.left_bytes = self.left_bytes.saturating_sub(piece.len() as u64);
        piece
    }
}

fn join(gathered: &mut Vec<Bytes>) -> Bytes {
    match gathered.len() {
        0 | 1 => gathered.pop().unwrap_or_default(),
        _ => std::mem::take(gathered).concat().into(),
    }
}

enum Next {
    Frame(Bytes),
    Stop(More),
}

enum More {
    Bytes,
    End,
    Die,
    Stall,
}

fn breaks_off(behaviour: &Behaviour) -> bool {
    behaviour.die_after.is_some() || behaviour.stall_after.is_some()
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if this.finished {
            return Poll::Ready(None);
        }
        if this.breath == Breath::Due {
            this.breath = Breath::Taken;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // What was cut off a frame goes out before anything else is taken in.
        let more = if this.rest.is_empty() { ready!(this.poll_more(cx)) } else { More::Bytes };
        match more {
            More::Bytes => {
                let piece = this.piece();
                if this.left_bytes == 0 {
                    this.finish();
                }
                if this.behaviour.split_bytes.is_some()
                    || this.behaviour.merge
                    || breaks_off(&this.behaviour)
                {
                    this.breath = Breath::Due;
                }
                Poll::Ready(Some(Ok(http_body::Frame::data(piece))))
            }
            More::End => {
                this.finish();
                Poll::Ready(None)
            }
            More::Die => {
                let dying =
                    this.dying.get_or_insert_with(|| Box::pin(tokio::time::sleep(LAST_WORDS_TAKE)));
                ready!(dying.as_mut().poll(cx));
                this.line.reset();
                this.finish();
                Poll::Ready(Some(Err(BrokenOff)))
            }
            // Nothing wakes this again. Hyper still sees it when the client leaves.
            More::Stall => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.finished || self.length == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if self.length == Some(0) {
            self.counted.done();
        }
        if let Some(limit) = self.behaviour.idle_close {
            self.line.idle(limit);
        }
    }
}

/// Says when the next frame is due. It keeps to a timetable rather than waiting after each frame: the timer
/// wakes on whole milliseconds, a token may take less.
struct Pacer {
    pace: Duration,
    due: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pacer {
    fn new(pace: Duration) -> Self {
        Self { pace, due: Instant::now(), sleep: None }
    }

    fn take(&mut self, tokens: u32) {
        if !self.pace.is_zero() && tokens > 0 {
            self.due += self.pace.saturating_mul(tokens);
            if self.due > Instant::now() {
                self.sleep = Some(Box::pin(tokio::time::sleep_until(self.due)));
            }
        }
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        Poll::Ready(())
    }
}

/// Waits for as long as a whole answer of so many tokens takes.
pub(crate) async fn wait(pace: Duration, tokens: u64) {
    let time = pace.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX));
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
