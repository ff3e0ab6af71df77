//! The refusals of our own API as its document describes them: once for each status, referred to by
//! every route that may answer so.

use std::collections::BTreeMap;

use fluxgate_core::admin_api::ProblemDetails;
use utoipa::openapi::header::Header;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Content, Object, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// What any route may answer.
pub enum Always {}
/// What a route may answer that wants to know who asks.
pub enum ToStrangers {}
/// What a route may answer to a body.
pub enum ToBodies {}
/// One status that a route has of its own.
pub enum Refused<const STATUS: u16> {}

const ALWAYS: [u16; 3] = [400, 500, 503];
const TO_STRANGERS: [u16; 2] = [401, 403];
const TO_BODIES: [u16; 3] = [408, 413, 415];

/// Status, name and when it is answered.
const MEANINGS: [(u16, &str, &str); 11] = [
    (400, "BadRequest", "The request isn't what the route takes; `detail` names the part."),
    (401, "Unauthorized", "Nobody is signed in, or what was shown isn't good, or no more."),
    (403, "Forbidden", "Who asks may not do it, or another site's page sent it."),
    (404, "NotFound", "There is no such thing, or none of theirs."),
    (408, "RequestTimeout", "The body stopped coming."),
    (
        409,
        "Conflict",
        "It can't be done as things are, or was done before: `id` says what was made.",
    ),
    (413, "ContentTooLarge", "The body is larger than 64 KiB."),
    (415, "UnsupportedMediaType", "The body isn't `application/json`."),
    (429, "TooManyRequests", "Too many attempts: wait for `Retry-After`."),
    (500, "InternalServerError", "A fault of the gateway's; its log has the cause."),
    (503, "ServiceUnavailable", "The gateway can't tell right now: try again after `Retry-After`."),
];

type Responses = BTreeMap<String, RefOr<Response>>;

/// What is referred to, by name.
#[must_use]
pub fn all() -> Responses {
    let describe = |(status, name, meaning)| (String::from(name), response(status, meaning).into());
    MEANINGS.map(describe).into()
}

fn response(status: u16, meaning: &str) -> Response {
    let problem = Content::new(Some(Ref::from_schema_name(ProblemDetails::name())));
    let response =
        ResponseBuilder::new().description(meaning).content("application/problem+json", problem);
    match status {
        401 => response.header("WWW-Authenticate", Header::default()),
        429 | 503 => response.header("Retry-After", Header::new(Object::with_type(Type::Integer))),
        _ => response,
    }
    .build()
}

fn references(statuses: &[u16]) -> Responses {
    let meant = MEANINGS.iter().filter(|(status, ..)| statuses.contains(status));
    meant
        .map(|(status, name, _)| (status.to_string(), Ref::from_response_name(*name).into()))
        .collect()
}

impl IntoResponses for Always {
    fn responses() -> Responses {
        references(&ALWAYS)
    }
}

impl IntoResponses for ToStrangers {
    fn responses() -> Responses {
        references(&TO_STRANGERS)
    }
}

impl IntoResponses for ToBodies {
    fn responses() -> Responses {
        references(&TO_BODIES)
    }
}

impl<const STATUS: u16> IntoResponses for Refused<STATUS> {
    fn responses() -> Responses {
        references(&[STATUS])
    }
}
