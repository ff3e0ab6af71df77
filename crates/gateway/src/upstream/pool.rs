//! One data thread's kept connections. No other thread touches them, so a connection and the
//! request that uses it are always on one core.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::http1::{AnswerHead, Body, Connection, Outgoing, SendError};
use super::{Upstream, dial};

/// How long a connection is kept: uvicorn, in front of vLLM and others, closes after 5 s.
const KEPT_CLEAR: Duration = Duration::from_secs(4);
const KEPT_TLS: Duration = Duration::from_secs(60);
/// Kept connections to one upstream.
const KEPT_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub struct Pools {
    kept: RefCell<HashMap<u64, Vec<Kept>>>,
}

#[derive(Debug)]
struct Kept {
    connection: Connection,
    since: Instant,
}

impl Pools {
    /// Sends a request on a kept connection, or on a new one; gives the head of the answer with
    /// the headers that `keep` names, and its body. A request that a kept connection, closed
    /// meanwhile, didn't deliver goes out again at once.
    ///
    /// # Errors
    /// [`SendError`], which tells whether the upstream may have seen the request.
    pub async fn send(
        &self,
        upstream: &Upstream,
        request: Outgoing<'_>,
        keep: fn(&str) -> bool,
    ) -> Result<(AnswerHead, Body), SendError> {
        while let Some(mut connection) = self.take(upstream) {
            match connection.send(request, keep).await {
                Err(SendError::Unsent) => {}
                answered => return answered.map(|head| with_body(connection, head)),
            }
        }
        let stream = dial::connect(&upstream.target, upstream.settings.connect).await?;
        let mut connection = Connection::new(stream);
        let head = connection.send(request, keep).await?;
        Ok(with_body(connection, head))
    }

    /// Keeps the connection of an answer that has been read to its end.
    pub fn keep(&self, upstream: &Upstream, body: Body) {
        let Some(connection) = body.into_connection() else { return };
        let mut kept = self.kept.borrow_mut();
        let kept = kept.entry(upstream.serial).or_default();
        if kept.len() < KEPT_MAX {
            kept.push(Kept { connection, since: Instant::now() });
        }
    }

    /// Closes what has been kept long enough, or was closed at the other end, so that an upstream
    /// that isn't asked any more isn't held open either.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.kept.borrow_mut().retain(|_, kept| {
            kept.retain_mut(|kept| {
                now.duration_since(kept.since) < kept.connection.kept_for()
                    && kept.connection.is_live()
            });
            !kept.is_empty()
        });
    }

    /// The newest usable connection: the oldest are left to run out.
    fn take(&self, upstream: &Upstream) -> Option<Connection> {
        let mut pools = self.kept.borrow_mut();
        let kept = pools.get_mut(&upstream.serial)?;
        while let Some(Kept { mut connection, since }) = kept.pop() {
            if since.elapsed() >= connection.kept_for() {
                // Whatever lies below it is older still.
                kept.clear();
            } else if connection.is_live() {
                return Some(connection);
            }
        }
        None
    }
}

impl Connection {
    /// How long it is kept between two requests.
    fn kept_for(&self) -> Duration {
        if self.is_tls() { KEPT_TLS } else { KEPT_CLEAR }
    }
}

fn with_body(connection: Connection, head: AnswerHead) -> (AnswerHead, Body) {
    let body = Body::new(connection, &head);
    (head, body)
}
