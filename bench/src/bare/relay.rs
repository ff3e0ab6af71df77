//! An answer on its way to the client, chunk by chunk.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::policy::Policy;

/// What brings a connection back to its pool.
pub trait Pooled {
    /// The answer was read to its end: the connection may be used again.
    fn give_back(self);
}

/// Where the pool takes care of itself.
impl Pooled for () {
    fn give_back(self) {}
}

#[derive(Debug)]
pub struct Relay<P: Pooled> {
    body: Incoming,
    policy: Arc<Policy>,
    pooled: Option<P>,
    ended: bool,
}

impl<P: Pooled> Relay<P> {
    pub fn new(body: Incoming, policy: Arc<Policy>, pooled: Option<P>) -> Self {
        Self { body, policy, pooled, ended: false }
    }
}

impl<P: Pooled + Unpin> Body for Relay<P> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let relay = self.get_mut();
        let frame = ready!(Pin::new(&mut relay.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(chunk) = frame.data_ref() {
                    relay.policy.look(chunk);
                }
            }
            Some(Err(_)) => {}
            None => relay.ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// hyper doesn't ask a body of known length for its end, so the drop is the one sure place.
impl<P: Pooled> Drop for Relay<P> {
    fn drop(&mut self) {
        if (self.ended || self.body.is_end_stream())
            && let Some(pooled) = self.pooled.take()
        {
            pooled.give_back();
        }
    }
}
