//! Dials an upstream: name, connection, TLS. It does so for requests and for discovery alike.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::ReadBufCursor;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Target;

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

/// A connection to an upstream.
#[derive(Debug)]
pub enum Connection {
    Clear(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

/// Connects within `limit`, TLS included.
///
/// # Errors
/// [`DialError`], which says at which step.
pub async fn connect(target: &Target, limit: Duration) -> Result<Connection, DialError> {
    tokio::time::timeout(limit, establish(target)).await.unwrap_or_else(|_| {
        Err(DialError::TimedOut { host: target.host.clone(), port: target.port, limit })
    })
}

async fn establish(target: &Target) -> Result<Connection, DialError> {
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

async fn secure(target: &Target, stream: TcpStream) -> Result<Connection, DialError> {
    let Some(name) = &target.tls else { return Ok(Connection::Clear(TokioIo::new(stream))) };
    TlsConnector::from(Arc::clone(&CLIENT_CONFIG))
        .connect(name.clone(), stream)
        .await
        .map(|stream| Connection::Tls(Box::new(TokioIo::new(stream))))
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

impl hyper::rt::Read for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
        }
    }
}

impl hyper::rt::Write for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Clear(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, bufs),
        }
    }
}
