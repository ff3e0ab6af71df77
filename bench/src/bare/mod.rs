//! The reference experiment: a reverse proxy with no more policy than a look-up of the key, its
//! hash, a borrowed parse of the body, counting and a look for usage in each chunk. It shows what
//! the language and hyper allow, and what the two ways of dividing work between threads cost.
//! It has no limits, no time-outs and no errors worth the name: it is a yardstick, not a gateway.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use clap::ValueEnum;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Empty, Full, Limited};
use hyper::body::Incoming;

mod keys;
mod local;
mod policy;
mod relay;
mod shared;

use policy::Policy;
use relay::{Pooled, Relay};

const BODY_BYTES_MAX: usize = 32 << 20;

/// Who serves a connection, and who owns the connections to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Design {
    /// An acceptor deals sockets to single-threaded runtimes, each with an upstream pool that no
    /// other thread touches.
    Local,
    /// One runtime of many threads and one pooled client that all of them share.
    Shared,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model server.
    #[arg(long)]
    upstream: SocketAddr,
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    #[arg(long, value_enum)]
    design: Design,
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// Serves until the process is ended; the address and a key go to stdout, as JSON, once it listens.
pub fn run(args: &Args) -> Result<()> {
    let policy = Arc::new(Policy::new());
    let listener = std::net::TcpListener::bind(args.addr)?;
    println!("{{\"listen\":\"{}\",\"key\":\"{}\"}}", listener.local_addr()?, keys::known());
    match args.design {
        Design::Local => local::serve(&listener, args.upstream, &policy, args.workers.max(1)),
        Design::Shared => shared::serve(listener, args.upstream, policy, args.workers.max(1)),
    }
}

/// What goes back to the client: the upstream's answer or, where there is none, a status alone.
type Answer<P> = Either<Relay<P>, Empty<Bytes>>;

fn refusal<P: Pooled>(status: StatusCode) -> Response<Answer<P>> {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = status;
    response
}

/// Checks the key, reads the body, counts, and makes the request that goes upstream.
async fn admit(
    policy: &Policy,
    request: Request<Incoming>,
    to: Uri,
    host: &HeaderValue,
) -> Result<Request<Full<Bytes>>, StatusCode> {
    let (mut head, body) = request.into_parts();
    policy.check(head.headers.get(AUTHORIZATION)).ok_or(StatusCode::UNAUTHORIZED)?;
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|_| StatusCode::BAD_REQUEST)?.to_bytes();
    policy.read(&body).ok_or(StatusCode::BAD_REQUEST)?;
    head.uri = to;
    head.version = http::Version::HTTP_11;
    for name in [AUTHORIZATION, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    head.headers.insert(HOST, host.clone());
    Ok(Request::from_parts(head, Full::new(body)))
}

/// The answer as it goes to the client. `pooled` is dropped at its end.
fn pass<P: Pooled>(
    response: Response<Incoming>,
    policy: &Arc<Policy>,
    pooled: Option<P>,
) -> Response<Answer<P>> {
    let (mut head, body) = response.into_parts();
    for name in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    Response::from_parts(head, Either::Left(Relay::new(body, Arc::clone(policy), pooled)))
}
