//! The ordered stack that every request passes, on every listener:
//!
//! 1. an id of our own, on the request and on whatever answers it;
//! 2. the framing: a request that could be read in two ways ends here, and so does its connection;
//! 3. the route: model routes go to `proxy`, everything else to axum on the control runtime.

use std::rc::Rc;

use axum::body::Body as AxumBody;
use bytes::Bytes;
use fluxgate_core::Reason;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tower::ServiceExt;
use tracing::error;

use crate::admin::problem::{PROBLEM_JSON, Problem};
use crate::auth::in_path::{self, KeyInPath};
use crate::dialect::Dialect;
use crate::exchange::Exchange;
use crate::listen::connection::ConnectionInfo;
use crate::listen::framing::{self, Framing};
use crate::listen::{ClientAddr, ListenerKind};
use crate::proxy::{self, OutBody};
use crate::refusal::Refusal;
use crate::router::{self, Route};
use crate::worker::Worker;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Under which Anthropic's clients look for it.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// Told where a method is refused before a route is looked for (RFC 9110 §15.5.6 wants a list).
const SERVED_METHODS: HeaderValue = HeaderValue::from_static("GET, POST");

/// Serves one request of a connection.
pub async fn serve(
    worker: Rc<Worker>,
    connection: Rc<ConnectionInfo>,
    mut request: Request<Incoming>,
) -> Response<OutBody> {
    if connection.kind.serves_models() {
        in_path::take(&mut request);
    }
    let client = {
        let trusted = &worker.app.settings.load().trusted_proxies;
        ClientAddr::of_request(connection.peer, request.headers(), trusted)
    };
    let exchange = Exchange::begin(&worker.app, client, connection.kind, request.headers());
    let request_id = exchange.id_header();
    let of_anthropic = Dialect::of_path(request.uri().path()) == Dialect::Anthropic;
    let mut last = request.version() < http::Version::HTTP_2 && worker.stop.drain.is_cancelled();

    let mut response = match framing::check(&request) {
        Ok(framing) => {
            last |= framing == Framing::Last;
            route(&worker, &connection, request, exchange).await
        }
        Err((reason, message)) => {
            last = true;
            connection.deadline.refuse_more();
            let form = Form::of(connection.kind, request.uri().path());
            let mut response = refuse_in(form, &Refusal::new(reason, message), exchange);
            if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(ALLOW, SERVED_METHODS);
            }
            response
        }
    };
    if of_anthropic {
        response.headers_mut().insert(ANTHROPIC_REQUEST_ID, request_id.clone());
    }
    response.headers_mut().insert(REQUEST_ID, request_id);
    if last {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    response
}

async fn route(
    worker: &Rc<Worker>,
    connection: &ConnectionInfo,
    request: Request<Incoming>,
    exchange: Box<Exchange>,
) -> Response<OutBody> {
    if !connection.kind.serves_models() {
        return control(worker, connection, request, exchange).await;
    }
    // Ollama's clients ask it to see whether anybody is there.
    if request.method() == Method::HEAD && request.uri().path() == "/" {
        return exchange.answered_locally(StatusCode::OK, Response::new(OutBody::empty()));
    }
    match router::find(request.method(), request.uri().path()) {
        Route::Model(endpoint) => proxy::handle(worker, endpoint, request, exchange).await,
        // A key in the path opens the models' routes alone.
        Route::Other if request.extensions().get::<KeyInPath>().is_some() => refuse(
            Dialect::OpenAi,
            &Refusal::new(Reason::UnknownRoute, "There is no such route."),
            exchange,
        ),
        Route::Other => control(worker, connection, request, exchange).await,
        Route::WrongMethod(dialect, allow) => {
            let refusal =
                Refusal::new(Reason::MethodNotAllowed, format!("This route takes {allow}."));
            let mut response = refuse(dialect, &refusal, exchange);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            response
        }
        Route::Management => refuse(
            Dialect::Ollama,
            &Refusal::new(
                Reason::ManagementRoute,
                "Models are managed on the model server itself, not through the gateway.",
            ),
            exchange,
        ),
        Route::StoredResponse => refuse(
            Dialect::Responses,
            &Refusal::new(
                Reason::NotFound,
                "The gateway keeps no responses: send the whole conversation as `input`, with \
                 `store` false, instead of a response's id.",
            ),
            exchange,
        ),
        Route::BadPath => refuse_in(
            Form::of(connection.kind, request.uri().path()),
            &Refusal::new(
                Reason::BadPath,
                "The path holds an encoded slash, a backslash or a control byte.",
            ),
            exchange,
        ),
        Route::Unknown(dialect) => refuse(
            dialect,
            &Refusal::new(Reason::UnknownRoute, "There is no such route."),
            exchange,
        ),
    }
}

/// Hands a request to axum on the control runtime, and its answer back.
async fn control(
    worker: &Rc<Worker>,
    connection: &ConnectionInfo,
    mut request: Request<Incoming>,
    exchange: Box<Exchange>,
) -> Response<OutBody> {
    let Some(router) = worker.app.router(connection.kind) else {
        let refusal = Refusal::new(Reason::ShuttingDown, "The gateway isn't ready yet.");
        return refuse_in(Form::Problem, &refusal, exchange);
    };
    request.extensions_mut().insert(exchange.client);
    request.extensions_mut().insert(exchange.id);
    let answer = worker.app.control.spawn(router.oneshot(request.map(AxumBody::new)));
    match answer.await {
        Ok(Ok(response)) => match response.extensions().get::<Reason>().copied() {
            Some(reason) => {
                exchange.refused(reason);
                response.map(OutBody::control)
            }
            None => exchange.answered_locally(response.status(), response.map(OutBody::control)),
        },
        Ok(Err(never)) => match never {},
        Err(failed) => {
            error!(error = %failed, request.id = %exchange.id, "a control route failed");
            let refusal =
                Refusal::new(Reason::Internal, "The gateway failed; its log has the cause.");
            refuse_in(Form::Problem, &refusal, exchange)
        }
    }
}

/// How a refusal is written.
enum Form {
    /// As the callers of a model route expect it.
    Model(Dialect),
    /// RFC 9457, as our own API does.
    Problem,
}

impl Form {
    /// The form for a request that is refused before its route is known.
    fn of(kind: ListenerKind, path: &str) -> Self {
        if kind.serves_models() && router::is_of_models(path) {
            Self::Model(Dialect::of_path(path))
        } else {
            Self::Problem
        }
    }
}

fn refuse_in(form: Form, refusal: &Refusal, exchange: Box<Exchange>) -> Response<OutBody> {
    match form {
        Form::Model(dialect) => refuse(dialect, refusal, exchange),
        Form::Problem => {
            let problem = Problem::new(refusal.reason, refusal.message.clone());
            let document = problem.document(exchange.id);
            let mut response = answer(refusal, document, exchange);
            response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
            response
        }
    }
}

/// Answers with a refusal in the dialect.
pub fn refuse(dialect: Dialect, refusal: &Refusal, exchange: Box<Exchange>) -> Response<OutBody> {
    let body = dialect.refusal(refusal, exchange.id);
    answer(refusal, body, exchange)
}

fn answer(refusal: &Refusal, body: Bytes, exchange: Box<Exchange>) -> Response<OutBody> {
    exchange.refused(refusal.reason);
    let mut response = Response::new(OutBody::full(body));
    *response.status_mut() = refusal.reason.status();
    refusal_headers(refusal, response.headers_mut());
    response
}

fn refusal_headers(refusal: &Refusal, headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, JSON);
    if refusal.reason.status() == StatusCode::UNAUTHORIZED {
        headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        // The official clients would try again for minutes.
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(wait) = refusal.retry_after {
        let whole_s = wait.as_millis().div_ceil(1000).max(1);
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from(whole_s as u64));
    }
}
