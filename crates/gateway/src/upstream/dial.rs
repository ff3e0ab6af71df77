//! Dials an upstream: name, connection, TLS. It does so for requests and for discovery alike.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls::{ClientConfig, RootCertStore};
use socket2::SockRef;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Target, unacked};

/// RFC 8305 §5: the pause that it recommends.
const ATTEMPT_EVERY: Duration = Duration::from_millis(250);

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
    let stream = race(by_turns(addresses.collect()))
        .await
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
        .map_err(|source| DialError::Connect { host: host.into(), port, source })?;
    secure(target, stream).await
}

/// RFC 8305 §4: the families in turn, beginning with that of the resolver's first address, so that
/// one that leads nowhere costs one attempt.
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut turns = Vec::with_capacity(first.len() + second.len());
    while !first.is_empty() || !second.is_empty() {
        turns.extend(first.pop_front());
        turns.extend(second.pop_front());
    }
    turns
}

/// The first of these to connect. The next one is tried beside those under way after
/// [`ATTEMPT_EVERY`], or at once where one failed.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut left = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    loop {
        match left.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            },
            () = sleep(ATTEMPT_EVERY), if left.len() > 0 => {}
        }
    }
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
    /// Whether nothing has come on it, neither bytes nor its end.
    pub fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        // The reactor heard of whatever came before its present turn, without a system call here.
        if let Self::Clear(socket) = self
            && socket.poll_read_ready(&mut cx).is_pending()
        {
            return true;
        }
        let mut byte = [std::mem::MaybeUninit::uninit()];
        match SockRef::from(self.socket()).peek(&mut byte) {
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            Ok(0) => false,
            Ok(_) => self.holds_no_data(&mut cx),
        }
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

    /// What came may be TLS's own, such as a session ticket, which this reads.
    fn holds_no_data(&mut self, cx: &mut Context<'_>) -> bool {
        let Self::Tls(stream) = self else { return false };
        let mut byte = [0];
        Pin::new(stream).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener as StdListener;

    use socket2::{Domain, Socket, Type};
    use tokio::time::timeout;

    use super::*;

    /// A listener whose queue is full: its kernel drops whatever asks for a connection.
    fn silent() -> (StdListener, Vec<Socket>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = StdListener::from(socket);
        let address = listener.local_addr().unwrap().into();
        let mut waiting = Vec::new();
        loop {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            if client.connect_timeout(&address, Duration::from_millis(50)).is_err() {
                return (listener, waiting);
            }
            waiting.push(client);
        }
    }

    #[tokio::test]
    async fn an_address_that_is_silent_or_dead_costs_a_moment() {
        let (silent, _waiting) = silent();
        let dead = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let live = StdListener::bind("127.0.0.1:0").unwrap();
        let addresses = vec![silent.local_addr().unwrap(), dead, live.local_addr().unwrap()];
        // The silent one isn't waited for.
        let connected = timeout(Duration::from_secs(2), race(addresses)).await;
        let connected = connected.unwrap().unwrap();
        assert_eq!(connected.peer_addr().unwrap(), live.local_addr().unwrap());
    }

    #[tokio::test]
    async fn where_none_connects_the_last_failure_is_told() {
        let dead = || StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = race(vec![dead(), dead()]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn families_take_turns() {
        let read = |list: &str| list.split(' ').map(|one| one.parse().unwrap()).collect();
        assert_eq!(
            by_turns(read("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 2.2.2.2:1")),
            read("[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 [::3]:1") as Vec<SocketAddr>,
        );
    }
}
