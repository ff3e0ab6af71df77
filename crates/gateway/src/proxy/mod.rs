//! The life of a model request: identify, read, choose, send, stream, settle, record.
//!
//! [`handle`] tells it top-down; the decisions are in the leaves. Only a key that isn't known here
//! waits for the store, and nothing for a lock or a metric. What is known of a request is in its
//! `Exchange`, which is recorded when it is dropped, whatever way the request ends.

pub mod body;
mod choose;
mod headers;
mod listing;
mod out;
mod relay;
mod send;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use fluxgate_core::Reason;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;

pub use out::OutBody;

use crate::auth::identify;
use crate::dialect::outline::{Outline, OutlineFault};
use crate::dialect::{self, Ask, Refusal};
use crate::exchange::Exchange;
use crate::middleware;
use crate::router::{self, Endpoint};
use crate::upstream::catalog::Snapshot;
use crate::worker::Worker;
use relay::Relay;
use send::{Answer, Sending};

/// Serves a request to a model route.
pub async fn handle(
    worker: &Rc<Worker>,
    endpoint: Endpoint,
    request: Request<Incoming>,
    mut exchange: Box<Exchange>,
) -> Response<OutBody> {
    exchange.to(endpoint);
    let served = tokio::select! {
        biased;
        served = serve(worker, endpoint, request, &mut exchange) => served,
        () = worker.stop.abort.cancelled() => {
            let text = "The gateway is shutting down.";
            Err(Refusal::new(Reason::ShuttingDown, text).retry_after(send::RETRY_AFTER))
        }
    };
    match served {
        Ok(Served::Here(response)) => exchange.answered_locally(response.status(), response),
        Ok(Served::Upstream(answer, ask)) => relay(worker, endpoint, *answer, &ask, exchange),
        Err(refusal) => middleware::refuse(endpoint.dialect(), &refusal, exchange),
    }
}

/// What a request came to.
enum Served {
    /// We know the answer ourselves.
    Here(Response<OutBody>),
    /// An upstream has begun to answer.
    Upstream(Box<Answer>, Ask),
}

async fn serve(
    worker: &Rc<Worker>,
    endpoint: Endpoint,
    request: Request<Incoming>,
    exchange: &mut Exchange,
) -> Result<Served, Refusal> {
    // Identify.
    let principal = identify::caller(&worker.keys, exchange.client, request.headers()).await?;
    exchange.of_key(principal.key, principal.owner);

    let (head, body) = request.into_parts();
    if let Some(listing) = listing::Listing::of(endpoint) {
        return listing.answer(worker, &head).await.map(Served::Here);
    }

    // Read.
    check_encoding(&head)?;
    let (limits, budget) = (worker.app.settings.load().limits, &worker.app.bodies);
    let waiting = Instant::now();
    let body = body::collect(&head.headers, body, budget, &limits).await;
    exchange.waited(waiting);
    let body = body?;
    let ask = read(endpoint, &body.bytes)?;

    // Choose.
    let snapshot = offering(worker, endpoint, &ask.model, exchange).await?;
    let Some(offer) = snapshot.find(&ask.model) else { return Err(no_such_model(&snapshot)) };
    exchange.about(Arc::clone(&offer.model.id));
    if ask.load_only {
        return Ok(Served::Here(loaded(endpoint, &ask.model)));
    }

    // Send.
    let sending = Sending { worker, endpoint, head: &head, body: &body.bytes, ask: &ask };
    let answer = sending.to_one_of(offer, exchange).await?;
    Ok(Served::Upstream(Box::new(answer), ask))
}

/// Stream, settle, record: the body does the rest as it is read.
fn relay(
    worker: &Rc<Worker>,
    endpoint: Endpoint,
    answer: Answer,
    ask: &Ask,
    exchange: Box<Exchange>,
) -> Response<OutBody> {
    let Answer { upstream, mut head, body } = answer;
    let mut response = Response::new(OutBody::empty());
    *response.status_mut() = head.status;
    let relay = |body, exchange| {
        let source =
            relay::Source { worker: Rc::clone(worker), upstream: Arc::clone(&upstream), body };
        Relay::new(source, endpoint.dialect(), &head, ask, exchange)
    };
    let overhead = exchange.overhead();
    *response.body_mut() = match body {
        send::AnswerBody::Read(bytes) => {
            exchange.answered(head.status, None);
            OutBody::full(bytes)
        }
        send::AnswerBody::Coming(body) => OutBody::relay(relay(body, exchange)),
    };
    *response.headers_mut() = std::mem::take(&mut head.headers);
    headers::ours(&upstream, overhead, response.headers_mut());
    response
}

/// RFC 9110 §8.4: a coding that we can't undo can't be checked, and is never passed on unread.
fn check_encoding(head: &Parts) -> Result<(), Refusal> {
    let mut codings = head.headers.get_all(CONTENT_ENCODING).iter();
    if codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let text = "The body must be sent without a Content-Encoding.";
    Err(Refusal::new(Reason::UnsupportedEncoding, text))
}

fn read(endpoint: Endpoint, body: &[u8]) -> Result<Ask, Refusal> {
    let outline = Outline::read(body).map_err(|fault| {
        let refusal = Refusal::new(reason_of(fault), fault.to_string());
        match fault {
            OutlineFault::Ambiguous { field } => refusal.param(field),
            _ => refusal,
        }
    })?;
    endpoint.dialect().read(endpoint, &outline)
}

const fn reason_of(fault: OutlineFault) -> Reason {
    match fault {
        OutlineFault::NotUtf8 { .. } | OutlineFault::Bom | OutlineFault::Ambiguous { .. } => {
            Reason::AmbiguousField
        }
        OutlineFault::NotJson { .. } | OutlineFault::NotAnObject => Reason::InvalidJson,
        OutlineFault::TooDeep { .. } => Reason::JsonTooDeep,
    }
}

/// A snapshot that offers the model for this route; the listings are read once more where the
/// present one doesn't.
async fn offering(
    worker: &Worker,
    endpoint: Endpoint,
    model: &str,
    exchange: &mut Exchange,
) -> Result<Arc<Snapshot>, Refusal> {
    let offers = |snapshot: &Snapshot| {
        snapshot.find(model).is_some_and(|offer| choose::any_serves(offer, endpoint.dialect()))
    };
    let snapshot = worker.app.upstreams.snapshot();
    if offers(&snapshot) {
        return Ok(snapshot);
    }
    let waiting = Instant::now();
    worker.app.upstreams.read_until(offers).await;
    exchange.waited(waiting);
    let snapshot = worker.app.upstreams.snapshot();
    if offers(&snapshot) { Ok(snapshot) } else { Err(no_such_model(&snapshot)) }
}

/// Names in the refusal of an unknown model: a screenful.
const NAMED_MODELS_MAX: usize = 20;

fn no_such_model(snapshot: &Snapshot) -> Refusal {
    if !snapshot.any_listed() {
        let text = "No model server has told its models yet. Try again shortly.";
        return Refusal::new(Reason::ModelsUnknown, text).retry_after(send::RETRY_AFTER);
    }
    let models = snapshot.models();
    let mut named = models.iter().take(NAMED_MODELS_MAX).copied().collect::<Vec<_>>().join(", ");
    if models.len() > NAMED_MODELS_MAX {
        named.push_str(", …");
    }
    let text = if named.is_empty() {
        "No model server offers this model, or any other.".to_owned()
    } else {
        format!("No model server offers this model. There are: {named}.")
    };
    Refusal::new(Reason::ModelNotFound, text).param("model")
}

fn loaded(endpoint: Endpoint, model: &str) -> Response<OutBody> {
    let mut response = Response::new(OutBody::full(dialect::loaded(endpoint, model)));
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    *response.status_mut() = StatusCode::OK;
    response
}

/// The id of `GET /v1/models/{id}` as a refusal's caller may see it.
fn model_in(path: &str) -> Result<String, Refusal> {
    router::model_id(path)
        .ok_or_else(|| Refusal::new(Reason::UnknownRoute, "There is no such route."))
}
