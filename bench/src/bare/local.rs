//! An acceptor deals sockets to single-threaded runtimes. A connection, its task, its upstream
//! connection and the pool that keeps it stay on one thread.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use super::policy::Policy;
use super::relay::Pooled;
use super::{Answer, admit, pass, refusal};

type Sender = SendRequest<Full<Bytes>>;

pub fn serve(
    listener: &std::net::TcpListener,
    upstream: SocketAddr,
    policy: &Arc<Policy>,
    workers: usize,
) -> Result<()> {
    let queues = (0..workers)
        .map(|_| {
            // Holds at most the connections that are being opened.
            let (queue, sockets) = mpsc::unbounded_channel();
            let policy = Arc::clone(policy);
            std::thread::Builder::new().spawn(move || work(upstream, policy, sockets))?;
            Ok(queue)
        })
        .collect::<Result<Vec<_>>>()?;
    for queue in queues.iter().cycle() {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        queue.send(socket).context("a worker has ended")?;
    }
    Ok(())
}

struct Worker {
    upstream: SocketAddr,
    host: HeaderValue,
    policy: Arc<Policy>,
    kept: RefCell<Vec<Sender>>,
}

fn work(
    upstream: SocketAddr,
    policy: Arc<Policy>,
    mut sockets: mpsc::UnboundedReceiver<std::net::TcpStream>,
) -> Result<()> {
    let host = HeaderValue::try_from(upstream.to_string())?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let worker = Rc::new(Worker { upstream, host, policy, kept: RefCell::default() });
        while let Some(socket) = sockets.recv().await {
            let socket = TcpStream::from_std(socket)?;
            let worker = Rc::clone(&worker);
            let service = service_fn(move |request| handle(Rc::clone(&worker), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            // A client that leaves is no news here.
            tokio::task::spawn_local(async move { drop(connection.await) });
        }
        Ok(())
    })
}

async fn handle(
    worker: Rc<Worker>,
    request: Request<Incoming>,
) -> Result<Response<Answer<Lease>>, Infallible> {
    let path = Uri::from_static("/v1/chat/completions");
    let request = match admit(&worker.policy, request, path, &worker.host).await {
        Ok(request) => request,
        Err(status) => return Ok(refusal(status)),
    };
    let Ok(mut sender) = worker.take().await else { return Ok(refusal(StatusCode::BAD_GATEWAY)) };
    match sender.send_request(request).await {
        Ok(response) => {
            let policy = Arc::clone(&worker.policy);
            Ok(pass(response, &policy, Some(Lease { sender, worker })))
        }
        Err(_) => Ok(refusal(StatusCode::BAD_GATEWAY)),
    }
}

impl Worker {
    async fn take(&self) -> Result<Sender> {
        loop {
            let Some(mut sender) = self.kept.borrow_mut().pop() else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let socket = TcpStream::connect(self.upstream).await?;
        socket.set_nodelay(true)?;
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        tokio::task::spawn_local(async move { drop(driver.await) });
        Ok(sender)
    }
}

/// A connection while an answer comes over it.
struct Lease {
    sender: Sender,
    worker: Rc<Worker>,
}

impl Pooled for Lease {
    fn give_back(self) {
        if !self.sender.is_closed() {
            self.worker.kept.borrow_mut().push(self.sender);
        }
    }
}
