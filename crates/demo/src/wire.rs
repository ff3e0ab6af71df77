//! A connection's socket, and what its requests want of it: a reset, an early close.
//! Knows nothing of HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// What the requests of one connection tell it.
#[derive(Debug)]
pub(crate) struct Line {
    reset: AtomicBool,
    close_at: watch::Sender<Option<Instant>>,
}

impl Line {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { reset: AtomicBool::new(false), close_at: watch::Sender::new(None) })
    }

    /// The connection, when dropped, ends in a TCP reset.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    /// A request has come: no closing while it is answered.
    pub(crate) fn busy(&self) {
        // Without `idle-close` there is nothing to change, and no task to wake on each request.
        self.close_at.send_if_modified(|at| at.take().is_some());
    }

    /// An answer has gone: the connection closes after `limit` unless another request comes.
    pub(crate) fn idle(&self, limit: Duration) {
        self.close_at.send_replace(Some(Instant::now() + limit));
    }

    /// Waits until the connection has been idle for too long.
    pub(crate) async fn idle_too_long(&self) {
        let mut changes = self.close_at.subscribe();
        loop {
            let at = *changes.borrow_and_update();
            let expired = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = expired => return,
                // The sender is `self`: it can't be gone.
                _ = changes.changed() => {}
            }
        }
    }
}

/// The socket. Dropping it closes the connection, by a reset where the line was told so.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) line: Arc<Line>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.line.reset.load(Ordering::Relaxed) {
            // A socket on which this fails is closed already.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
