//! HTTP/1.1 as a client speaks it (RFC 9112), on one connection, for one request at a time.
//!
//! It is polled by the request that uses it: no task of its own, no channel between, no buffer
//! while it waits. What one read brings passes on as one piece, however many chunks it held. It
//! knows bytes and framing; which headers go up or come back is its caller's business.

mod body;
mod chunked;
mod head;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

pub use body::Body;
pub use head::{AnswerHead, BadHead, RequestHead};

use super::dial::{DialError, Stream};

/// The most that one read takes: it bounds what a stream holds for a client that reads slowly, and
/// for how long a busy one keeps its thread.
pub const READ_BYTES_MAX: usize = 16 * 1024;
/// A head with more than this, interim answers before it included, is refused; model servers need
/// one or two kilobytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long a request that the upstream closed on waits to be known as thrown away: more than a
/// round trip to any place.
const SETTLED_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked at; within one machine it is known at once.
const SETTLED_LOOK: Duration = Duration::from_millis(2);
/// Pieces that one write takes: the head and a body with three edits.
const SLICES_MAX: usize = 8;

thread_local! {
    /// Every read of this thread goes through here, so that a waiting stream holds no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES_MAX].into());
}

/// A connection between two requests, or during one.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// Was read and is still to be used.
    ahead: BytesMut,
    /// An answer came on it before.
    used: bool,
}

/// A request on its way, which may go out more than once.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub head: &'a RequestHead,
    pub body: &'a [Bytes],
}

#[derive(Debug, Error)]
pub enum SendError {
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The upstream has seen nothing of the request: it may be sent again.
    #[error("the connection was closed before the request reached the upstream")]
    Unsent,
    #[error("the upstream ended the connection before it answered")]
    Ended,
    #[error("the upstream's connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the upstream's answer can't be read: {0}")]
    BadHead(#[from] BadHead),
}

/// How far a request has got.
struct Progress<'a> {
    request: Outgoing<'a>,
    sent: usize,
    length: usize,
    flushed: bool,
    /// Read until the head was complete.
    head_bytes: usize,
    /// Why no more can be sent. The upstream may have answered before it closed.
    failed: Option<io::Error>,
}

impl Connection {
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self { stream, ahead: BytesMut::new(), used: false }
    }

    /// Whether it may take another request: the upstream hasn't closed it, nor said anything that
    /// nobody asked for. Between this look and the request a close may still come in:
    /// [`SendError::Unsent`].
    #[must_use]
    pub fn is_live(&mut self) -> bool {
        self.ahead.is_empty() && self.stream.is_quiet()
    }

    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Sends a request and reads the head of its answer, of which the headers that `keep` names
    /// are kept.
    ///
    /// # Errors
    /// [`SendError`]; the connection must not be used again.
    pub async fn send(
        &mut self,
        request: Outgoing<'_>,
        keep: fn(&str) -> bool,
    ) -> Result<AnswerHead, SendError> {
        let length = request.head.len() + request.body.iter().map(Bytes::len).sum::<usize>();
        let mut progress =
            Progress { request, sent: 0, length, flushed: false, head_bytes: 0, failed: None };
        let mut answer = None;
        let head = poll_fn(|cx| {
            self.poll_request(cx, &mut progress);
            let head = match answer.take() {
                Some(head) => head,
                None => ready!(self.poll_head(cx, &mut progress, keep))?,
            };
            // A server may answer before it has read the whole request: one that refuses it may
            // stop reading, one that serves it needs the rest.
            if head.status.is_success() && !progress.is_over() {
                answer = Some(head);
                return Poll::Pending;
            }
            Poll::Ready(Ok(head))
        });
        let outcome = match head.await {
            Ok(mut head) => {
                head.reusable &= progress.flushed;
                Ok(head)
            }
            Err(error) => Err(self.judge(error, progress).await),
        };
        self.used = true;
        outcome
    }

    /// Tells a request that nobody has seen from one that may have been read.
    async fn judge(&self, error: SendError, progress: Progress<'_>) -> SendError {
        let closed = self.used && matches!(error, SendError::Ended);
        if progress.sent == 0 || closed && self.was_thrown_away(&progress).await {
            return SendError::Unsent;
        }
        progress.failed.map_or(error, SendError::Io)
    }

    /// A kept connection may be closed by the upstream at the very moment we write. Its FIN then
    /// tells how much of ours had reached its kernel. Where that was nothing, it may still take
    /// our bytes if it closed its own direction alone; if it closed both, it answers them with a
    /// reset. After that nobody can have read the request, and sending it again can't serve it
    /// twice.
    async fn was_thrown_away(&self, progress: &Progress<'_>) -> bool {
        let until = Instant::now() + SETTLED_WITHIN;
        let mut reset = progress.failed.is_some();
        loop {
            // Before the count, so that nothing is acknowledged between the two.
            reset |= self.stream.was_reset();
            let unseen = self.stream.unacknowledged() >= Some(progress.sent);
            if reset || !unseen || Instant::now() >= until {
                return reset && unseen;
            }
            sleep(SETTLED_LOOK).await;
        }
    }

    fn poll_request(&mut self, cx: &mut Context<'_>, progress: &mut Progress<'_>) {
        while progress.failed.is_none() && progress.sent < progress.length {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = progress.rest(&mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write_vectored(cx, slices) {
                Poll::Ready(Ok(0)) => progress.failed = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(bytes)) => progress.sent += bytes,
                Poll::Ready(Err(error)) => progress.failed = Some(error),
                Poll::Pending => return,
            }
        }
        if progress.failed.is_none() && !progress.flushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => progress.flushed = true,
                Poll::Ready(Err(error)) => progress.failed = Some(error),
                Poll::Pending => {}
            }
        }
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        progress: &mut Progress<'_>,
        keep: fn(&str) -> bool,
    ) -> Poll<Result<AnswerHead, SendError>> {
        loop {
            let read = read_some(&mut self.stream, cx, |bytes| {
                if bytes.is_empty() {
                    return Err(SendError::Ended);
                }
                progress.head_bytes += bytes.len();
                let head = if self.ahead.is_empty() {
                    // Nearly always the whole head, with the beginning of its body, comes at once.
                    let (head, used) = head::read(bytes, keep)?;
                    self.ahead.extend_from_slice(bytes.get(used..).unwrap_or_default());
                    head
                } else {
                    self.ahead.extend_from_slice(bytes);
                    let (head, used) = head::read(&self.ahead, keep)?;
                    self.ahead.advance(used);
                    head
                };
                if head.is_none() && progress.head_bytes > HEAD_BYTES_MAX {
                    return Err(BadHead::TooLarge.into());
                }
                Ok(head)
            });
            if let Some(head) = ready!(read)?? {
                return Poll::Ready(Ok(head));
            }
        }
    }
}

impl<'a> Progress<'a> {
    /// All is sent, or no more can be.
    fn is_over(&self) -> bool {
        self.flushed || self.failed.is_some()
    }

    /// What is still to be sent, as slices; how many.
    fn rest(&self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let mut skip = self.sent;
        let pieces = std::iter::once(&**self.request.head);
        let pieces = pieces.chain(self.request.body.iter().map(|piece| &**piece));
        let rest = pieces.filter_map(|piece| {
            let left = piece.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(piece.len());
            (!left.is_empty()).then_some(left)
        });
        slices.iter_mut().zip(rest).map(|(slot, piece)| *slot = IoSlice::new(piece)).count()
    }
}

/// One read, given to `take`: empty where the upstream has closed its side.
fn read_some<T>(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(take(buffer.filled())))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
