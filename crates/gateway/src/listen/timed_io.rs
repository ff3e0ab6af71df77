//! A client's socket, in clear or under TLS, that tells the connection's deadline of each
//! arrival, and when the client takes nothing.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::deadline::Deadline;
use super::header_block::HeaderBlocks;

/// What one read of HTTP/2 takes. It goes through here, where its frames are followed.
const SCRATCH_BYTES: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// The transport of one client connection.
#[derive(Debug)]
pub enum Transport {
    Clear(TokioIo<TcpStream>),
    /// Boxed: a TLS session is over a kilobyte, and most of what it holds is on the heap anyway.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

/// A transport under a deadline.
#[derive(Debug)]
pub struct TimedIo {
    transport: Transport,
    deadline: Rc<Deadline>,
    /// HTTP/2's.
    headers: Option<HeaderBlocks>,
}

impl TimedIo {
    #[must_use]
    pub fn new(transport: Transport, deadline: Rc<Deadline>, http2: bool) -> Self {
        Self { transport, deadline, headers: http2.then(HeaderBlocks::new) }
    }

    fn written<T>(&self, written: Poll<T>) -> Poll<T> {
        match written {
            Poll::Ready(_) => self.deadline.took(),
            Poll::Pending => self.deadline.blocked(),
        }
        written
    }
}

impl hyper::rt::Read for TimedIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { transport, deadline, headers } = self.get_mut();
        let read = match (transport, headers) {
            (Transport::Clear(io), _) => Pin::new(io).poll_read(cx, buf),
            (Transport::Tls(io), None) => Pin::new(io.as_mut()).poll_read(cx, buf),
            (Transport::Tls(io), Some(headers)) => {
                read_frames(io.inner_mut(), headers, deadline, cx, buf)
            }
        };
        let read = ready!(read);
        deadline.received();
        Poll::Ready(read)
    }
}

fn read_frames(
    stream: &mut TlsStream<TcpStream>,
    headers: &mut HeaderBlocks,
    deadline: &Deadline,
    cx: &mut Context<'_>,
    mut buf: ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let room = scratch.len().min(buf.remaining());
        let mut read = ReadBuf::new(scratch.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(stream).poll_read(cx, &mut read))?;
        let ended = headers.ended();
        headers.follow(read.filled());
        deadline.header(headers.is_open(), headers.ended() > ended);
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    })
}

impl hyper::rt::Write for TimedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Clear(io) => Pin::new(io).poll_write(cx, buf),
            Transport::Tls(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
        };
        self.written(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.transport {
            Transport::Clear(io) => Pin::new(io).poll_flush(cx),
            Transport::Tls(io) => Pin::new(io.as_mut()).poll_flush(cx),
        };
        self.written(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Clear(io) => Pin::new(io).poll_shutdown(cx),
            Transport::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Clear(io) => io.is_write_vectored(),
            Transport::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Clear(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Transport::Tls(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, bufs),
        };
        self.written(written)
    }
}
