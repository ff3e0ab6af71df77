//! One client connection on its data thread: handshake, protocol, limits of waiting, draining.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::ListenerKind;
use super::accepted::Accepted;
use super::deadline::{Deadline, WaitLimits};
use super::delivery;
use super::timed_io::{TimedIo, Transport};
use crate::middleware;
use crate::proxy::OutBody;
use crate::worker::{Stop, Worker};

/// The most that one read takes from a client, and about what a slow one leaves unwritten here.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// What HTTP/2 may hold for a client that reads slowly, for each of its streams.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// HTTP/2 windows: a body of the usual size arrives without a round trip.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Streams that a client may reset before they were accepted, and that we reset for its errors,
/// before the connection is closed (CVE-2023-44487, "rapid reset").
const PENDING_RESETS_MAX: usize = 20;
const LOCAL_RESETS_MAX: usize = 256;
/// While nothing is waited for, the timer looks again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// After an abort answers under way end at once; whoever has none by then is let go.
const CUT_WITHIN: Duration = Duration::from_secs(1);

/// What a request may know of the connection that it came on.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The address at the other end of the socket: a proxy's, where one stands in front.
    pub peer: IpAddr,
    pub kind: ListenerKind,
    pub deadline: Rc<Deadline>,
}

/// Serves the connection to its end.
pub async fn serve(worker: Rc<Worker>, accepted: Accepted) {
    let Accepted { socket, peer, kind, place } = accepted;
    let settings = worker.app.settings.load_full();
    let Ok(socket) = TcpStream::from_std(socket) else { return };

    let tls = worker.app.tls.as_ref().filter(|_| kind == ListenerKind::PublicTls);
    let (transport, http2) = if let Some(tls) = tls {
        let acceptor = TlsAcceptor::from(Arc::clone(tls));
        let handshake =
            Box::pin(tokio::time::timeout(settings.limits.handshake, acceptor.accept(socket)));
        match handshake.await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                (Transport::Tls(Box::new(TokioIo::new(stream))), http2)
            }
            Ok(Err(error)) => return debug!(%error, %peer, "TLS handshake failed"),
            Err(_) => return debug!(%peer, "TLS handshake took too long"),
        }
    } else {
        (Transport::Clear(TokioIo::new(socket)), false)
    };
    // The wait for the first byte begins after the handshake, which has a limit of its own.
    let deadline = Deadline::new(
        WaitLimits {
            first_byte: settings.limits.first_byte,
            header: settings.limits.header,
            idle: settings.limits.idle,
            answer_stall: settings.limits.answer_stall,
        },
        Instant::now(),
    );
    if http2 {
        deadline.multiplexed();
    }
    let info = Rc::new(ConnectionInfo { peer: peer.ip(), kind, deadline: Rc::clone(&deadline) });
    let io = TimedIo::new(transport, Rc::clone(&deadline), http2);
    let service = service_fn({
        let worker = Rc::clone(&worker);
        move |request: Request<Incoming>| {
            let (worker, info) = (Rc::clone(&worker), Rc::clone(&info));
            let serving = info.deadline.serve();
            async move {
                let response = middleware::serve(worker, info, request).await;
                Ok::<Response<OutBody>, Infallible>(response.map(|body| body.held_by(serving)))
            }
        }
    });

    if http2 {
        let connection = http2::Builder::new(LocalExecutor(Rc::clone(&deadline)))
            .timer(TokioTimer::new())
            .max_concurrent_streams(settings.limits.h2_streams)
            .max_header_list_size(settings.limits.header_bytes)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(LOCAL_RESETS_MAX)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .serve_connection(io, service);
        drive(connection, &deadline, &worker.stop).await;
    } else {
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(settings.limits.header_bytes as usize)
            .max_buf_size(READ_BUFFER_BYTES.max(settings.limits.header_bytes as usize))
            .serve_connection(io, service);
        drive(connection, &deadline, &worker.stop).await;
    }
    drop(place);
}

/// Polls the connection to its end, within the limits of its waits. A drain lets it finish the
/// answers under way; an abort makes their bodies end with an error (see `proxy::relay`).
async fn drive<C: GracefulConnection>(connection: C, deadline: &Deadline, stop: &Stop)
where
    C::Error: std::fmt::Display,
{
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(deadline.at().unwrap_or_else(Instant::now)));
    let mut stage = Stage::Serving;
    loop {
        let stopping = async {
            match stage {
                Stage::Serving => stop.drain.cancelled().await,
                Stage::Draining => stop.abort.cancelled().await,
                Stage::Aborting => std::future::pending().await,
            }
        };
        let next = poll_fn(|cx| {
            if deadline.take_refused() {
                connection.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            // What the connection did may have moved its deadline. The timer follows at once where
            // that is nearer now, else when it rings.
            if stage != Stage::Aborting
                && let Some(at) = deadline.at().filter(|at| *at < timer.deadline())
            {
                timer.as_mut().reset(at);
            }
            timer.as_mut().poll(cx).map(|()| None)
        });
        tokio::select! {
            biased;
            next = next => {
                if let Some(ended) = next {
                    return ended.unwrap_or_else(|error| debug!(%error, "connection ended"));
                }
                if stage == Stage::Aborting {
                    return debug!("connection closed: its answers didn't end with the drain");
                }
                let now = Instant::now();
                match deadline.at() {
                    Some(at) if at <= now && deadline.last_call() => {
                        connection.as_mut().graceful_shutdown();
                        timer.as_mut().reset(deadline.at().unwrap_or(now + LOOK_AGAIN));
                    }
                    Some(at) if at <= now => return debug!("connection closed: its wait is over"),
                    Some(at) => timer.as_mut().reset(at),
                    None => timer.as_mut().reset(now + LOOK_AGAIN),
                }
            }
            () = stopping => {
                if stage == Stage::Serving {
                    stage = Stage::Draining;
                    connection.as_mut().graceful_shutdown();
                } else {
                    stage = Stage::Aborting;
                    timer.as_mut().reset(Instant::now() + CUT_WITHIN);
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    Draining,
    Aborting,
}

/// Spawns HTTP/2's stream tasks on the data thread that owns the connection, each within the
/// limits of its delivery.
#[derive(Clone, Debug)]
struct LocalExecutor(Rc<Deadline>);

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        // hyper calls the service, which begins a delivery, and then spawns that request's stream.
        match self.0.take_newest() {
            Some(delivery) => {
                let stall = self.0.answer_stall();
                tokio::task::spawn_local(delivery::deliver(future, delivery, stall));
            }
            None => drop(tokio::task::spawn_local(future)),
        }
    }
}
