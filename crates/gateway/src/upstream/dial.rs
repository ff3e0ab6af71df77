//! Dials an upstream: name, connection, TLS. It does so for requests and for discovery alike.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use socket2::SockRef;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Target, unacked};

#[derive(Debug, Error)]
pub enum DialError {
    #[error("can't find the address of {host}: {source}")]
    Resolve { host: Box<str>, source: io::Error },
    #[error("can't connect to {host}:{port}: {source}")]
    Connect { host: Box<str>, port: u16, source: io::Error },
    #[error("TLS with {host}: {source}")]
    Tls { host: Box<str>, source: io::Error },
    #[error("{host}:{port} didn't answer within {limit:?}")]
    TimedOut { host: Box<str>, port: u16, limit: Duration },
}

/// The bytes of a connection to an upstream.
#[derive(Debug)]
pub enum Stream {
    Clear(TcpStream),
    /// Boxed: a TLS session is over a kilobyte.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects within `limit`, TLS included.
///
/// # Errors
/// [`DialError`], which says at which step.
pub async fn connect(target: &Target, limit: Duration) -> Result<Stream, DialError> {
    tokio::time::timeout(limit, establish(target)).await.unwrap_or_else(|_| {
        Err(DialError::TimedOut { host: target.host.clone(), port: target.port, limit })
    })
}

async fn establish(target: &Target) -> Result<Stream, DialError> {
    let (host, port) = (&*target.host, target.port);
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|source| DialError::Resolve { host: host.into(), source })?;
    let failed = |source| DialError::Connect { host: host.into(), port, source };
    let mut last = failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in addresses {
        let connected = match TcpStream::connect(address).await {
            Ok(stream) => stream.set_nodelay(true).map(|()| stream),
            Err(error) => Err(error),
        };
        match connected {
            Ok(stream) => return secure(target, stream).await,
            Err(error) => last = failed(error),
        }
    }
    Err(last)
}

async fn secure(target: &Target, stream: TcpStream) -> Result<Stream, DialError> {
    let Some(name) = &target.tls else { return Ok(Stream::Clear(stream)) };
    TlsConnector::from(Arc::clone(&CLIENT_CONFIG))
        .connect(name.clone(), stream)
        .await
        .map(|stream| Stream::Tls(Box::new(stream)))
        .map_err(|source| DialError::Tls { host: target.host.clone(), source })
}

/// Trusts what the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured); where it has
/// no store, as in a bare container, the Mozilla roots that we carry.
static CLIENT_CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
});

impl Stream {
    /// Whether nothing has come on it, neither bytes nor its end. It asks the kernel: the reactor
    /// has heard only of what came before its present turn, and what it hasn't heard of would be
    /// taken for the answer to the next request.
    pub fn is_quiet(&mut self) -> bool {
        if !self.holds_no_data() {
            return false;
        }
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = SockRef::from(self.socket()).peek(&mut byte);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Bytes written that the other end's kernel hasn't acknowledged; `None` where it isn't known,
    /// or where a written byte isn't a byte of the caller's.
    #[must_use]
    pub fn unacknowledged(&self) -> Option<usize> {
        match self {
            Self::Clear(socket) => unacked::bytes(socket.as_fd()),
            Self::Tls(_) => None,
        }
    }

    /// Whether the kernel knows that the other end's has thrown away what we sent it.
    #[must_use]
    pub fn was_reset(&self) -> bool {
        matches!(self.socket().take_error(), Ok(Some(_)))
    }

    /// TLS may have decrypted more than was read, which the socket doesn't show. What is its own,
    /// such as a session ticket, is read here.
    fn holds_no_data(&mut self) -> bool {
        let Self::Tls(stream) = self else { return true };
        let mut cx = Context::from_waker(Waker::noop());
        let mut byte = [0];
        Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Clear(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
