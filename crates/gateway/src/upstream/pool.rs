//! One data thread's kept connections. No other thread touches them, so a connection's task, its
//! sender and the request that uses it are always on one core.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::Upstream;
use super::dial::{self, DialError};
use crate::proxy::body::UpBody;

/// How long a connection is kept: uvicorn, in front of vLLM and others, closes after 5 s.
const KEPT_CLEAR: Duration = Duration::from_secs(4);
const KEPT_TLS: Duration = Duration::from_secs(60);
/// Kept connections to one upstream.
const KEPT_MAX: usize = 256;
/// The most that one read takes from an upstream: bounds what a stream holds for a slow client.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Pools {
    kept: RefCell<HashMap<u64, Vec<Kept>>>,
    connections: TaskTracker,
}

#[derive(Debug)]
struct Kept {
    sender: SendRequest<UpBody>,
    since: Instant,
}

/// A connection while a request uses it. Dropped, the connection is closed; [`Lease::keep`] gives
/// it back.
#[derive(Debug)]
pub struct Lease {
    sender: SendRequest<UpBody>,
    upstream: Arc<Upstream>,
}

#[derive(Debug, Error)]
pub enum SendError {
    /// Nothing of the request was sent; it may be sent elsewhere.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The upstream may have read the request.
    #[error("the upstream ended the connection: {0}")]
    Broken(#[source] hyper::Error),
}

impl Pools {
    /// Sends a request on a kept connection, or on a new one. A request that was given back
    /// unsent, because the kept connection had died meanwhile, goes out again at once.
    ///
    /// # Errors
    /// With the request, where nothing of it was sent.
    pub async fn send(
        &self,
        upstream: &Arc<Upstream>,
        mut request: Request<UpBody>,
    ) -> Result<(Response<Incoming>, Lease), (SendError, Option<Request<UpBody>>)> {
        while let Some(mut sender) = self.take(upstream) {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    return Ok((response, Lease { sender, upstream: Arc::clone(upstream) }));
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err((SendError::Broken(failed.into_error()), None)),
                },
            }
        }
        let mut sender = match self.open(upstream).await {
            Ok(sender) => sender,
            Err(error) => return Err((error, Some(request))),
        };
        match sender.try_send_request(request).await {
            Ok(response) => Ok((response, Lease { sender, upstream: Arc::clone(upstream) })),
            Err(mut failed) => {
                let unsent = failed.take_message();
                Err((SendError::Broken(failed.into_error()), unsent))
            }
        }
    }

    /// Keeps a connection whose answer has been read to its end.
    pub fn keep(&self, lease: Lease) {
        if lease.sender.is_closed() {
            return;
        }
        let mut kept = self.kept.borrow_mut();
        let kept = kept.entry(lease.upstream.serial).or_default();
        if kept.len() < KEPT_MAX {
            kept.push(Kept { sender: lease.sender, since: Instant::now() });
        }
    }

    /// Closes what has been kept long enough, so that an upstream that isn't asked any more isn't
    /// held open either.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.kept.borrow_mut().retain(|_, kept| {
            // TLS connections are checked exactly when they are taken.
            kept.retain(|kept| {
                !kept.sender.is_closed() && now.duration_since(kept.since) < KEPT_TLS
            });
            !kept.is_empty()
        });
    }

    /// The newest usable connection: the oldest are left to run out.
    fn take(&self, upstream: &Upstream) -> Option<SendRequest<UpBody>> {
        let limit = if upstream.target.tls.is_some() { KEPT_TLS } else { KEPT_CLEAR };
        let mut pools = self.kept.borrow_mut();
        let kept = pools.get_mut(&upstream.serial)?;
        while let Some(newest) = kept.pop() {
            if newest.since.elapsed() >= limit {
                // Whatever lies below it is older still.
                kept.clear();
            } else if !newest.sender.is_closed() {
                return Some(newest.sender);
            }
        }
        None
    }

    async fn open(&self, upstream: &Upstream) -> Result<SendRequest<UpBody>, SendError> {
        let connection = dial::connect(&upstream.target, upstream.settings.connect).await?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(READ_BUFFER_BYTES)
            .handshake(connection)
            .await
            .map_err(SendError::Broken)?;
        let name = Arc::clone(&upstream.settings.name);
        self.connections.spawn_local(async move {
            if let Err(error) = driver.await {
                debug!(upstream = %name, %error, "upstream connection ended");
            }
        });
        Ok(sender)
    }
}
