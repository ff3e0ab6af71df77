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
mod translated;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use fluxgate_core::Reason;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;

pub use out::OutBody;

use crate::auth::identify;
use crate::auth::in_path::KeyInPath;
use crate::auth::principal::Principal;
use crate::dialect::outline::{Outline, OutlineFault};
use crate::dialect::{self, Ask, Dialect, Edit};
use crate::exchange::Exchange;
use crate::middleware;
use crate::refusal::Refusal;
use crate::router::Endpoint;
use crate::upstream::catalog::Snapshot;
use crate::worker::Worker;
use relay::Relay;
use send::{Answer, Sending};

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Serves a request to a model route.
pub async fn handle(
    worker: &Rc<Worker>,
    endpoint: Endpoint,
    request: Request<Incoming>,
    mut exchange: Box<Exchange>,
) -> Response<OutBody> {
    exchange.to(endpoint);
    let dialect = spoken(endpoint, request.headers());
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
        Err(refusal) => middleware::refuse(dialect, &refusal, exchange),
    }
}

/// Anthropic's clients ask for a listing of their own form under a path of OpenAI's.
fn spoken(endpoint: Endpoint, headers: &HeaderMap) -> Dialect {
    match endpoint {
        Endpoint::ListModels | Endpoint::GetModel if headers.contains_key(ANTHROPIC_VERSION) => {
            Dialect::Anthropic
        }
        _ => endpoint.dialect(),
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
    let (head, body) = request.into_parts();
    let in_path = head.extensions.get::<KeyInPath>();
    let credential = {
        let settings = worker.app.settings.load();
        let (tokens, public_url) = (&settings.access_tokens, settings.public_url.as_ref());
        identify::shown(&head, exchange.kind, tokens, public_url)?
    };
    let principal = identify::principal(&worker.principals, exchange.client, &credential).await?;
    // From here on a refusal tells whose request it was.
    exchange.of(principal.caller);
    identify::check(&principal, exchange.client, in_path)?;
    exchange.for_person(principal.end_user(&head.headers)?);
    if let Some(listing) = listing::Listing::of(endpoint) {
        return listing
            .answer(worker, &principal, spoken(endpoint, &head.headers), &head)
            .await
            .map(Served::Here);
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
    let (alias_of, snapshot) = resolve(worker, endpoint, &ask.model, exchange).await;
    let model = alias_of.as_deref().unwrap_or(&ask.model);
    let offer = choose::offer(&snapshot, model, endpoint.dialect());
    let Some(offer) = offer else { return Err(no_such_model(&snapshot, &principal)) };
    exchange.about(Arc::clone(&offer.model.id));
    let by_alias = alias_of.is_some() && principal.may_use(&ask.model);
    if !by_alias && !principal.may_use(&offer.model.id) {
        let text = "This API key may not use this model.";
        return Err(Refusal::new(Reason::ModelNotAllowed, text).param("model"));
    }
    if ask.load_only {
        return Ok(Served::Here(loaded(endpoint, &ask.model)));
    }
    if endpoint == Endpoint::OllamaShow && choose::only_translated(offer, endpoint.dialect()) {
        return Ok(Served::Here(listing::shown(&offer.model)));
    }

    // Send.
    let sending = Sending {
        worker,
        endpoint,
        head: &head,
        body: &body.bytes,
        ask: &ask,
        end_user_header: principal.end_user_header(),
        model: &offer.model.id,
        model_edit: alias_of.as_deref().map(|name| Edit::model(&ask.model_at, name)),
    };
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
    let relay = |body, lines, exchange| {
        let source =
            relay::Source { worker: Rc::clone(worker), upstream: Arc::clone(&upstream), body };
        Relay::new(source, endpoint.dialect(), &head, ask, lines, exchange)
    };
    let overhead = exchange.overhead();
    *response.body_mut() = match body {
        send::AnswerBody::Read(bytes, usage) => {
            exchange.answered(head.status, usage);
            OutBody::full(bytes)
        }
        send::AnswerBody::Coming(body) => OutBody::relay(relay(body, None, exchange)),
        send::AnswerBody::Lines(body, lines) => OutBody::relay(relay(body, Some(lines), exchange)),
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

/// The model that a name stands for, where it is an alias by any of its spellings, and a catalog
/// that has it if anybody does.
async fn resolve(
    worker: &Worker,
    endpoint: Endpoint,
    name: &str,
    exchange: &mut Exchange,
) -> (Option<Box<str>>, Arc<Snapshot>) {
    let dialect = endpoint.dialect();
    let alias_of = |name: &str| choose::alias_of(&worker.app.settings.load().models, name, dialect);
    let alias = alias_of(name);
    let snapshot = offering(worker, endpoint, alias.as_deref().unwrap_or(name), exchange).await;
    if alias.is_some() {
        return (alias, snapshot);
    }
    // Another spelling of a name that stands for another model is that name.
    let found = choose::offer(&snapshot, name, dialect);
    match found.and_then(|offer| alias_of(&offer.model.id)) {
        Some(alias) => {
            let snapshot = offering(worker, endpoint, &alias, exchange).await;
            (Some(alias), snapshot)
        }
        None => (None, snapshot),
    }
}

/// What is known once the listings were read again, where the present ones don't offer the model
/// for this route.
async fn offering(
    worker: &Worker,
    endpoint: Endpoint,
    model: &str,
    exchange: &mut Exchange,
) -> Arc<Snapshot> {
    let offers = |snapshot: &Snapshot| choose::offer(snapshot, model, endpoint.dialect()).is_some();
    let snapshot = worker.app.upstreams.snapshot();
    if offers(&snapshot) {
        return snapshot;
    }
    let waiting = Instant::now();
    worker.app.upstreams.read_until(offers).await;
    exchange.waited(waiting);
    worker.app.upstreams.snapshot()
}

/// Names in the refusal of an unknown model: a screenful.
const NAMED_MODELS_MAX: usize = 20;

fn no_such_model(snapshot: &Snapshot, principal: &Principal) -> Refusal {
    if !snapshot.any_listed() {
        let text = "No model server has told its models yet. Try again shortly.";
        return Refusal::new(Reason::ModelsUnknown, text).retry_after(send::RETRY_AFTER);
    }
    let mut models = snapshot.models();
    models.retain(|model| principal.may_use(model));
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
