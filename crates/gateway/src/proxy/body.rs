//! Bodies of requests: collected up to a limit, held within a bound, sent on in pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use fluxgate_core::Reason;
use futures_util::FutureExt;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::app::Limits;
use crate::dialect::Edit;
use crate::refusal::Refusal;

/// What is set aside at once for a body whose length was announced, the rest as it comes: room that
/// nobody has written to is no memory yet, so an announcement alone costs none.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;

/// The bytes of all bodies that are held now, over all threads: of requests, and of answers that
/// can't pass in pieces.
#[derive(Clone, Debug, Default)]
pub struct BodyBudget(Arc<AtomicUsize>);

impl BodyBudget {
    /// Bytes held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A share of nothing yet.
    #[must_use]
    pub fn share(&self) -> Held {
        Held { budget: self.clone(), bytes: 0 }
    }
}

/// A share of the budget, given back on drop.
#[derive(Debug)]
pub struct Held {
    budget: BodyBudget,
    bytes: usize,
}

impl Held {
    /// Takes more.
    ///
    /// # Errors
    /// Where all of it is taken.
    pub fn grow(&mut self, bytes: usize, in_all_max: usize) -> Result<(), Refusal> {
        self.bytes += bytes;
        if self.budget.0.fetch_add(bytes, Ordering::Relaxed) + bytes <= in_all_max {
            return Ok(());
        }
        let text = "The bodies of all requests under way are at their limit. Try again shortly.";
        Err(Refusal::new(Reason::BodiesInFlight, text).retry_after(super::send::RETRY_AFTER))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A whole body; it counts as in flight until it is dropped.
#[derive(Debug)]
pub struct Collected {
    pub bytes: Bytes,
    _held: Held,
}

/// Reads a body to its end.
///
/// # Errors
/// A body that is too large, breaks, stops coming, or has no room beside the others.
pub async fn collect(
    headers: &HeaderMap,
    mut body: Incoming,
    budget: &BodyBudget,
    limits: &Limits,
) -> Result<Collected, Refusal> {
    let announced = announced_bytes(headers);
    if announced.is_some_and(|bytes| bytes > limits.body_bytes as u64) {
        return Err(too_large(limits));
    }
    let mut held = budget.share();
    let Some(first) = next(&mut body, limits).await? else {
        return Ok(Collected { bytes: Bytes::new(), _held: held });
    };
    held.grow(first.len(), limits.bodies_in_flight_bytes)?;
    // Most bodies come in one piece: it is kept as it is.
    if announced == Some(first.len() as u64) {
        return Ok(Collected { bytes: first, _held: held });
    }
    let ahead = announced.unwrap_or(0).min(AHEAD_BYTES_MAX as u64) as usize;
    let mut whole = BytesMut::with_capacity(ahead.max(first.len() * 2));
    whole.extend_from_slice(&first);
    drop(first);
    while let Some(piece) = next(&mut body, limits).await? {
        if whole.len() + piece.len() > limits.body_bytes {
            return Err(too_large(limits));
        }
        held.grow(piece.len(), limits.bodies_in_flight_bytes)?;
        if whole.len() + piece.len() > whole.capacity() {
            // So much has come that the rest of what was announced is believed.
            let announced = announced.unwrap_or(0).min(limits.body_bytes as u64) as usize;
            whole.reserve(announced.saturating_sub(whole.len()).max(piece.len()));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Collected { bytes: whole.freeze(), _held: held })
}

async fn next(body: &mut Incoming, limits: &Limits) -> Result<Option<Bytes>, Refusal> {
    loop {
        // What is here already needs no timer.
        let frame = match body.frame().now_or_never() {
            Some(frame) => Ok(frame),
            None => timeout(limits.body_stall, body.frame()).await,
        };
        match frame {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if data.len() > limits.body_bytes => return Err(too_large(limits)),
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                // Trailers say nothing that we use, and an empty piece neither.
                Ok(_) | Err(_) => {}
            },
            Ok(Some(Err(_))) => {
                let text = "The body ended early, or its chunks are malformed.";
                return Err(Refusal::new(Reason::BodyBroken, text));
            }
            Ok(None) => return Ok(None),
            Err(_) => {
                let text = "The body stopped coming.";
                return Err(Refusal::new(Reason::BodyStalled, text));
            }
        }
    }
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limits: &Limits) -> Refusal {
    let text = format!("The body is larger than {} bytes.", limits.body_bytes);
    Refusal::new(Reason::BodyTooLarge, text)
}

/// A body on its way up: the client's bytes with ours spliced in, and no copy of what stays.
#[must_use]
pub fn splice(body: &Bytes, mut edits: Vec<&Edit>) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(2 * edits.len() + 1);
    let mut from = 0;
    edits.sort_by_key(|edit| edit.at);
    for edit in edits {
        pieces.push(body.slice(from..edit.at.max(from)));
        pieces.push(edit.with.clone());
        from = edit.until.max(from);
    }
    pieces.push(body.slice(from.min(body.len())..));
    pieces.retain(|piece| !piece.is_empty());
    pieces
}
