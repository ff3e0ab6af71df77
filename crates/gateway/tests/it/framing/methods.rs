//! Methods: every known one, invented ones, and what isn't one.

use super::trial::Closes::{Must, MustNot};
use super::trial::{Ground, Trial};

const POST_ROUTES: [&str; 8] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
];
const GET_ROUTES: [&str; 5] =
    ["/v1/models", "/v1/models/demo", "/api/tags", "/api/ps", "/api/version"];

/// IANA's list but for the two that end the connection, and a few that nobody registered.
const METHODS: [&str; 44] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "VERSION-CONTROL",
    "PURGE",
    "BREW",
    "get",
    "post",
    "Post",
    "POSTS",
    "X_1",
    "!#$%&'*+-.^_`|~",
];

/// No token of RFC 9110 §5.6.2.
const NO_METHODS: [&str; 14] = [
    "PO(ST",
    "PO/ST",
    "PO:ST",
    "PO,ST",
    "\"POST\"",
    "PO\tST",
    "PO\0ST",
    "PO\u{7f}ST",
    "P\u{d6}ST",
    " POST",
    "",
    "PO@ST",
    "PO[ST",
    "{POST}",
];

pub fn trials(ground: &Ground) -> Vec<Trial> {
    let mut trials = Vec::new();
    let routes = POST_ROUTES.map(|route| ("POST", route));
    let routes = routes.into_iter().chain(GET_ROUTES.map(|route| ("GET", route)));
    for (own, route) in routes {
        for method in METHODS.into_iter().filter(|method| *method != own) {
            trials.push(trial(ground, method, route, &[405], MustNot));
        }
        for method in ["CONNECT", "TRACE"] {
            trials.push(trial(ground, method, route, &[405], Must));
        }
    }
    for target in ["test:443", "other:443", "/", "/healthz", "/nothing"] {
        trials.push(trial(ground, "CONNECT", target, &[400, 405], Must));
    }
    for target in ["*", "/", "/healthz", "/nothing"] {
        trials.push(trial(ground, "TRACE", target, &[405], Must));
    }
    for method in NO_METHODS {
        trials.push(trial(ground, method, "/v1/chat/completions", &[400], Must));
    }
    let long = "M".repeat(20_000);
    trials.push(trial(
        ground,
        &long,
        "/v1/chat/completions",
        &[400, 405],
        super::trial::Closes::May,
    ));
    trials.push(trial(ground, "OPTIONS", "*", &[200, 204, 400, 404, 405], MustNot));
    trials
}

fn trial(
    ground: &Ground,
    method: &str,
    target: &str,
    allowed: &'static [u16],
    closes: super::trial::Closes,
) -> Trial {
    let bytes = ground.framed(&format!("{method} {target} HTTP/1.1\r\nhost: test\r\n"), b"");
    Trial::new(format!("{method:.40} {target}"), bytes, allowed, closes)
}
