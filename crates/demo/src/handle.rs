//! One request's life: receive, find its route, misbehave if told so, let the dialect answer, send.
//! Knows no dialect's shapes and no sockets.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER, SERVER, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use crate::Speaks;
use crate::behaviour::Behaviour;
use crate::body::{self, AnswerBody};
use crate::cache::PromptCache;
use crate::catalogue::Catalogue;
use crate::reply::{Fault, JSON, Reply, ReplyBody, TEXT};
use crate::route::{self, NoRoute, Route};
use crate::stats::{Count, Counted, Received, Stats};
use crate::wire::Line;
use crate::{anthropic, fields, ollama, openai};

/// Largest body that is read: twice what the gateway lets through.
const BODY_BYTES_MAX: usize = 64 << 20;
/// What `GET /` answers.
const GREETING: &str = "Fluxgate's demo model is running";
/// Where `redirect` points.
const ELSEWHERE: HeaderValue = HeaderValue::from_static("/elsewhere");

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub catalogue: Catalogue,
    pub cache: PromptCache,
    pub speaks: Speaks,
    pub pace: Duration,
    pub stats: Arc<Stats>,
    pub requests: AtomicU64,
}

/// What a dialect needs beside the body.
pub(crate) struct Work<'a> {
    pub catalogue: &'a Catalogue,
    pub cache: &'a PromptCache,
    pub behaviour: &'a Behaviour,
    pub pace: Duration,
    /// Of this request; no other has it.
    pub number: u64,
}

/// Answers one request.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    line: Arc<Line>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    line.busy();
    let mut wait = Counted::new(&shared.stats, Count::Wait);
    let (head, incoming) = request.into_parts();
    let path = head.uri.path().to_owned();
    let route = Route::find(&head.method, &path, shared.speaks);
    let everyone = match &route {
        Ok(route) if !route.is_listing() => *shared.catalogue.behaviour(),
        Ok(_) | Err(_) => shared.catalogue.behaviour().for_listings(),
    };
    let (behaviour, mut answer) = match collect(incoming).await {
        Ok(body) => {
            let received = Arc::new(Received {
                method: head.method,
                uri: head.uri,
                headers: head.headers,
                body,
            });
            shared.stats.received(Arc::clone(&received));
            match route {
                Ok(route) => answer(&shared, &route, &received.body, everyone).await,
                Err(no_route) => (everyone, refused(&no_route)),
            }
        }
        Err(error) => (everyone, unread(&route, error.as_ref())),
    };
    let pace = behaviour.pace.unwrap_or(shared.pace);
    if let ReplyBody::Whole { tokens, .. } = answer.reply.body {
        body::wait(pace, tokens).await;
    }
    decorate(&mut answer.headers, &behaviour);
    wait.done();
    Ok(respond(answer, behaviour, pace, &shared.stats, line))
}

/// The body, up to its limit. One that says beforehand that it is larger is not waited for.
async fn collect(body: Incoming) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(TooLarge.into());
    }
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    body.map(Collected::to_bytes)
        .map_err(|error| if error.is::<LengthLimitError>() { TooLarge.into() } else { error })
}

#[derive(Debug, thiserror::Error)]
#[error("the body is larger than {BODY_BYTES_MAX} bytes")]
struct TooLarge;

/// A reply and the headers that come with it.
struct Answer {
    reply: Reply,
    headers: HeaderMap,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { reply, headers: HeaderMap::new() }
    }
}

fn refused(no_route: &NoRoute) -> Answer {
    let mut answer = Answer::from(no_route.dialect.fault(&no_route.fault));
    if let Some(allow) =
        no_route.allow.as_ref().and_then(|allow| HeaderValue::from_str(allow.as_str()).ok())
    {
        answer.headers.insert(ALLOW, allow);
    }
    answer
}

/// A body that is too large, or that broke off; nobody may be there to read this.
fn unread(route: &Result<Route, NoRoute>, error: &(dyn std::error::Error + 'static)) -> Answer {
    let dialect = route.as_ref().map_or_else(|no_route| no_route.dialect, Route::dialect);
    let fault = if error.is::<TooLarge>() {
        Fault::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The body is larger than {BODY_BYTES_MAX} bytes."),
        )
    } else {
        Fault::new(StatusCode::BAD_REQUEST, "The body could not be read to its end.")
    };
    dialect.fault(&fault).into()
}

/// The answer, and the behaviour of the model that the request names.
async fn answer(
    shared: &Shared,
    route: &Route,
    body: &Bytes,
    everyone: Behaviour,
) -> (Behaviour, Answer) {
    let dialect = route.dialect();
    let parsed = if route.is_listing() { Ok(Value::Null) } else { fields::parse(body) };
    let behaviour = match parsed.as_ref().ok().and_then(named_model) {
        None => everyone,
        Some(model) => match shared.catalogue.behaviour_of(model) {
            Ok(behaviour) => behaviour,
            Err(fault) => return (everyone, dialect.fault(&fault).into()),
        },
    };
    if let Some(answer) = instead(route, &behaviour, body).await {
        return (behaviour, answer);
    }
    let work = Work {
        catalogue: &shared.catalogue,
        cache: &shared.cache,
        behaviour: &behaviour,
        pace: behaviour.pace.unwrap_or(shared.pace),
        number: shared.requests.fetch_add(1, Ordering::Relaxed),
    };
    let reply = parsed.and_then(|value| match route {
        Route::OpenAi(endpoint) => openai::answer(endpoint, &value, &work),
        Route::Anthropic(endpoint) => anthropic::answer(endpoint, &value, &work),
        Route::Ollama(endpoint) => ollama::answer(*endpoint, &value, &work),
        Route::Greeting => Ok(Reply::whole(StatusCode::OK, TEXT, GREETING)),
    });
    (behaviour, reply.unwrap_or_else(|fault| dialect.fault(&fault)).into())
}

fn named_model(body: &Value) -> Option<&str> {
    body.get("model").or_else(|| body.get("name"))?.as_str()
}

/// What comes instead of an answer.
async fn instead(route: &Route, behaviour: &Behaviour, body: &Bytes) -> Option<Answer> {
    let dialect = route.dialect();
    if behaviour.stall_head {
        std::future::pending::<()>().await;
    }
    if let Some(status) = behaviour.status {
        let fault = Fault::new(status, format!("The demo model was told to answer {status}."));
        let mut answer = Answer::from(dialect.fault(&fault));
        if let Some(seconds) = behaviour.retry_after_s() {
            answer.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        return Some(answer);
    }
    if behaviour.no_responses && *route == Route::OpenAi(openai::Endpoint::Responses) {
        return Some(dialect.fault(&route::unknown("/v1/responses")).into());
    }
    if behaviour.redirect {
        let mut answer =
            Answer::from(Reply::whole(StatusCode::TEMPORARY_REDIRECT, TEXT, "elsewhere"));
        answer.headers.insert(LOCATION, ELSEWHERE);
        return Some(answer);
    }
    behaviour.echo.then(|| Reply::whole(StatusCode::OK, JSON, body.clone()).into())
}

/// The headers that a misbehaving server sends along.
fn decorate(headers: &mut HeaderMap, behaviour: &Behaviour) {
    if behaviour.cookie {
        headers.insert(SET_COOKIE, HeaderValue::from_static("session=demo; Path=/"));
        headers.insert(SERVER, HeaderValue::from_static("fluxgate-demo"));
        headers.insert(
            HeaderName::from_static("x-internal-host"),
            HeaderValue::from_static("model-7.internal"),
        );
        headers
            .insert(HeaderName::from_static("x-internal-trace"), HeaderValue::from_static("demo"));
    }
    if behaviour.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

fn respond(
    answer: Answer,
    behaviour: Behaviour,
    pace: Duration,
    stats: &Arc<Stats>,
    line: Arc<Line>,
) -> Response<AnswerBody> {
    let Reply { status, content_type, body } = answer.reply;
    let count = match body {
        ReplyBody::Whole { .. } => Count::Whole,
        ReplyBody::Frames(_) => Count::Stream,
    };
    let counted = Counted::new(stats, count);
    let mut response =
        Response::new(AnswerBody::new(body, content_type, behaviour, pace, counted, line));
    *response.status_mut() = status;
    *response.headers_mut() = answer.headers;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
