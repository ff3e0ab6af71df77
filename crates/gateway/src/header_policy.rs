//! Which headers pass, read as tables: what of a client's goes up to a model server and what of the
//! server's comes back. Everything that isn't in a table is passed on in requests and left out of
//! answers.

use http::HeaderName;

/// Whether a client's header stays here: credentials, what belongs to one connection (RFC 9110
/// §7.6.1), what we set ourselves, and what tells of the client's way to us.
#[must_use]
pub fn stays_here(name: &str) -> bool {
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
#[must_use]
pub fn comes_back(name: &str) -> bool {
    match name {
        "content-type" | "content-encoding" | "cache-control" => true,
        "retry-after" | "retry-after-ms" | "openai-processing-ms" | "openai-version" => true,
        _ => name.strip_prefix("anthropic-").is_some_and(|rest| {
            !rest.starts_with("ratelimit") && !rest.starts_with("organization")
        }),
    }
}
