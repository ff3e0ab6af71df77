//! The bodies of our answers.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body as AxumBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use super::relay::Relay;
use crate::listen::deadline::Serving;

/// An answer that can't be finished: the connection is cut, so that nobody takes it for whole.
#[derive(Debug, Error)]
pub enum CutShort {
    #[error("the upstream's answer broke off")]
    Upstream,
    #[error("a control route's answer broke off: {0}")]
    Control(#[source] axum::Error),
}

/// See the module.
#[derive(Debug)]
pub struct OutBody {
    kind: Kind,
    /// The connection counts as serving until hyper has all of the body, or none of it any more.
    serving: Option<Serving>,
}

#[derive(Debug)]
enum Kind {
    /// Known whole; `None` once it was given.
    Full(Option<Bytes>),
    Control(AxumBody),
    Relay(Box<Relay>),
}

impl OutBody {
    #[must_use]
    pub const fn empty() -> Self {
        Self::new(Kind::Full(None))
    }

    #[must_use]
    pub fn full(bytes: Bytes) -> Self {
        Self::new(Kind::Full(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }

    #[must_use]
    pub const fn control(body: AxumBody) -> Self {
        Self::new(Kind::Control(body))
    }

    #[must_use]
    pub fn relay(relay: Relay) -> Self {
        Self::new(Kind::Relay(Box::new(relay)))
    }

    /// Holds the guard of the connection that it goes out on.
    #[must_use]
    pub fn held_by(self, serving: Serving) -> Self {
        serving.answer(match &self.kind {
            Kind::Relay(relay) => Some(relay.end()),
            Kind::Full(_) | Kind::Control(_) => None,
        });
        Self { serving: Some(serving), ..self }
    }

    const fn new(kind: Kind) -> Self {
        Self { kind, serving: None }
    }
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        let frame = match &mut self.kind {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Control(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(CutShort::Control))),
            Kind::Relay(relay) => {
                relay.poll_next(cx).map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
            }
        };
        if let Some(serving) = &self.serving {
            serving.asked(frame.is_pending());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Control(body) => body.is_end_stream(),
            Kind::Relay(relay) => relay.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Control(body) => body.size_hint(),
            Kind::Relay(relay) => relay.size_hint(),
        }
    }
}
