//! The server: binds, accepts, runs each connection, and ends them all. Knows nothing of what is answered.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::debug;

use crate::DemoConfig;
use crate::cache::PromptCache;
use crate::catalogue::Catalogue;
use crate::handle::{Shared, handle};
use crate::stats::{Count, Counted, Stats};
use crate::wire::{Line, Wire};

/// Connections at once; further ones wait in the kernel.
const CONNECTIONS_MAX: usize = 16_384;
/// Connections that the kernel holds until we take them: a benchmark opens thousands at once.
const BACKLOG: u32 = 4096;
/// A connection without a request ends after that long. `idle-close` is for shorter ones.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// What running answers are given once the end is told.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
/// Pause after a failed accept, which mostly means that there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The demo model: bound to its address, not yet serving.
#[derive(Debug)]
pub struct DemoModel {
    listener: TcpListener,
    addr: SocketAddr,
    shared: Arc<Shared>,
}

impl DemoModel {
    /// Binds the address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address can't be bound.
    // Async because it registers with the runtime, and so that a later step may wait.
    #[allow(clippy::unused_async)]
    pub async fn bind(config: DemoConfig) -> io::Result<Self> {
        let socket =
            if config.addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(config.addr)?;
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            catalogue: Catalogue::new(config.extra_models, config.behaviour),
            cache: PromptCache::default(),
            speaks: config.speaks,
            pace: config.pace.0,
            stats: Arc::default(),
            requests: AtomicU64::new(1),
        });
        Ok(Self { listener, addr, shared })
    }

    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.shared.stats)
    }

    /// Serves until `shutdown` resolves; running answers then have half a second to end.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, shared, .. } = self;
        let (leave, leaving) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let room = connections.len() < CONNECTIONS_MAX;
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = accept(&listener), if room => {
                    if let Some(stream) = accepted {
                        connections.spawn(connection(Arc::clone(&shared), stream, leaving.clone()));
                    }
                }
            }
        }
        drop(listener);
        leave.send_replace(true);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_GRACE, ended).await.is_err() {
            shared.stats.close();
            connections.shutdown().await;
        }
    }
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            debug!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, mut leaving: watch::Receiver<bool>) {
    let _open = Counted::new(&shared.stats, Count::Connection);
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "the connection was gone before it was served");
        return;
    }
    let line = Line::new();
    let requests = {
        let line = Arc::clone(&line);
        service_fn(move |request| handle(Arc::clone(&shared), Arc::clone(&line), request))
    };
    let wire = TokioIo::new(Wire { stream, line: Arc::clone(&line) });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE_MAX);
    let mut serving = pin!(http.serve_connection(wire, requests));
    let mut idle_too_long = pin!(line.idle_too_long());
    let mut told_to_leave = pin!(async move { leaving.wait_for(|leave| *leave).await.is_ok() });
    let mut leaves = false;
    loop {
        tokio::select! {
            ended = &mut serving => {
                if let Err(error) = ended {
                    debug!(%error, "a connection ended early");
                }
                return;
            }
            () = &mut idle_too_long => return,
            _ = &mut told_to_leave, if !leaves => {
                leaves = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}
