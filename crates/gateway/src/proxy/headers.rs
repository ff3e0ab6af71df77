//! Which headers pass, read as two tables: what goes up to a model server and what comes back.
//! Everything that isn't in a table is left out of answers and passed on in requests.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::middleware::REQUEST_ID;
use crate::upstream::Upstream;
use crate::upstream::http1::RequestHead;

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const UPSTREAM: HeaderName = HeaderName::from_static("x-fluxgate-upstream");
const OVERHEAD: HeaderName = HeaderName::from_static("x-fluxgate-overhead-us");

/// Whether a client's header stays here: credentials, what belongs to one connection (RFC 9110
/// §7.6.1), what we set ourselves, and what tells of the client's way to us.
fn stays_here(name: &str) -> bool {
    match name {
        "authorization" | "x-api-key" | "api-key" | "cookie" => true,
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade" => true,
        "host" | "content-length" | "expect" | "accept-encoding" | "x-request-id" => true,
        "content-encoding" => true,
        "origin" | "referer" | "forwarded" | "x-real-ip" => true,
        _ => ["proxy-", "sec-", "x-forwarded-", "x-fluxgate-"]
            .iter()
            .any(|prefix| name.starts_with(prefix)),
    }
}

/// Whether a header may be set up to name the people whom a key stands for: one that stays here
/// already has another meaning, and one that says what the body is must go up.
#[must_use]
pub fn may_name_a_person(name: &str) -> bool {
    const MEANT: [&str; 5] = ["content-type", "accept", "user-agent", "traceparent", "tracestate"];
    name.parse::<HeaderName>()
        .is_ok_and(|name| !stays_here(name.as_str()) && !MEANT.contains(&name.as_str()))
}

/// Whether a model server's header comes back.
pub fn comes_back(name: &str) -> bool {
    match name {
        "content-type" | "content-encoding" | "cache-control" => true,
        "retry-after" | "retry-after-ms" | "openai-processing-ms" | "openai-version" => true,
        _ => name.strip_prefix("anthropic-").is_some_and(|rest| {
            !rest.starts_with("ratelimit") && !rest.starts_with("organization")
        }),
    }
}

/// The headers of a request, and the one that names whom it is for.
#[derive(Clone, Copy)]
pub struct OfClient<'a> {
    pub all: &'a HeaderMap,
    pub private: Option<&'a HeaderName>,
}

/// Puts the headers of a request to an upstream behind its first line.
pub fn upwards(
    client: OfClient<'_>,
    upstream: &Upstream,
    request_id: &HeaderValue,
    head: &mut RequestHead,
) {
    let OfClient { all: client, private } = client;
    for (name, value) in client {
        if !stays_here(name.as_str()) && Some(name) != private && !is_nominated(client, name) {
            head.header(name.as_str(), value);
        }
    }
    head.header(ACCEPT_ENCODING.as_str(), &IDENTITY);
    head.header(REQUEST_ID.as_str(), request_id);
    if let Some((name, credential)) = upstream.credential() {
        head.header(name.as_str(), credential);
    }
    if !client.contains_key(CONTENT_TYPE) {
        // The body was read as JSON; servers that look at this want to be told.
        head.header(CONTENT_TYPE.as_str(), &JSON);
    }
}

/// Who answered, and what we added to its time.
pub fn ours(upstream: &Arc<Upstream>, overhead: Duration, headers: &mut HeaderMap) {
    headers.insert(UPSTREAM, upstream.name_header.clone());
    let mut digits = itoa::Buffer::new();
    let micros = u64::try_from(overhead.as_micros()).unwrap_or(u64::MAX);
    if let Ok(value) = HeaderValue::from_str(digits.format(micros)) {
        headers.insert(OVERHEAD, value);
    }
}

/// Whether the `Connection` header names this one as its own (RFC 9110 §7.6.1).
fn is_nominated(client: &HeaderMap, name: &HeaderName) -> bool {
    let mut tokens = client
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}
