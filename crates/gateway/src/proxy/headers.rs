//! Puts the headers of a request to a model server together, and ours on its answer. Which pass is
//! said in `header_policy`.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};

use crate::header_policy::stays_here;
use crate::middleware::REQUEST_ID;
use crate::upstream::Upstream;
use crate::upstream::http1::RequestHead;

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const JSON_OR_EVENTS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const UPSTREAM: HeaderName = HeaderName::from_static("x-fluxgate-upstream");
const OVERHEAD: HeaderName = HeaderName::from_static("x-fluxgate-overhead-us");

/// The headers of a request, the one that names whom it is for, and whether the body is ours.
#[derive(Clone, Copy)]
pub struct OfClient<'a> {
    pub all: &'a HeaderMap,
    pub private: Option<&'a HeaderName>,
    /// What the client says of its body and of the answer isn't true of ours.
    pub rewritten: bool,
}

/// Puts the headers of a request to an upstream behind its first line.
pub fn upwards(
    client: OfClient<'_>,
    upstream: &Upstream,
    request_id: &HeaderValue,
    head: &mut RequestHead,
) {
    let OfClient { all: client, private, rewritten } = client;
    let untrue = |name: &HeaderName| rewritten && (name == CONTENT_TYPE || name == ACCEPT);
    for (name, value) in client {
        let ours = Some(name) == private || untrue(name);
        if !ours && !stays_here(name.as_str()) && !is_nominated(client, name) {
            head.header(name.as_str(), value);
        }
    }
    head.header(ACCEPT_ENCODING.as_str(), &IDENTITY);
    head.header(REQUEST_ID.as_str(), request_id);
    if let Some((name, credential)) = upstream.credential() {
        head.header(name.as_str(), credential);
    }
    if rewritten {
        head.header(ACCEPT.as_str(), &JSON_OR_EVENTS);
    }
    if rewritten || !client.contains_key(CONTENT_TYPE) {
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
