//! One runtime of many threads, and hyper-util's pooled client, which all of them share.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::policy::Policy;
use super::{Answer, admit, pass, refusal};

struct Proxy {
    to: Uri,
    host: HeaderValue,
    policy: Arc<Policy>,
    client: Client<HttpConnector, Full<Bytes>>,
}

pub fn serve(
    listener: std::net::TcpListener,
    upstream: SocketAddr,
    policy: Arc<Policy>,
    workers: usize,
) -> Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let proxy = Arc::new(Proxy {
        to: Uri::try_from(format!("http://{upstream}/v1/chat/completions"))?,
        host: HeaderValue::try_from(upstream.to_string())?,
        policy,
        client: Client::builder(TokioExecutor::new()).build(connector),
    });
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all().build()?.block_on(accept(listener, proxy))
}

async fn accept(listener: std::net::TcpListener, proxy: Arc<Proxy>) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let proxy = Arc::clone(&proxy);
        let service = service_fn(move |request| handle(Arc::clone(&proxy), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
        // A client that leaves is no news here.
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn handle(
    proxy: Arc<Proxy>,
    request: Request<Incoming>,
) -> Result<Response<Answer<()>>, Infallible> {
    let request = match admit(&proxy.policy, request, proxy.to.clone(), &proxy.host).await {
        Ok(request) => request,
        Err(status) => return Ok(refusal(status)),
    };
    Ok(match proxy.client.request(request).await {
        Ok(response) => pass(response, &proxy.policy, None),
        Err(_) => refusal(StatusCode::BAD_GATEWAY),
    })
}
